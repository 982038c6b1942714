"""Interference images on EfficientNet-lite0 beside torchattacks' PGDL2 and foolbox's L2 Carlini-Wagner attack.

    PYTHONPATH=. python benchmarks/attack_peers.py [--photographs ../shared/data/imagenet-sample] [--images 8]

The whole stimulus set is made from the photographs first (40 RE, filled up where the threshold leaves a shortfall, 40
AN, 40 AI) and checked from its files. Then the peers get so many of the very RE images and targets, with the
criterion that ours have: the target's probability above .99 after rounding to 8 bits (two logits, the target's and
log-sum-exp of the others + ln 99). Prints CPU seconds for a valid image, their ratio, and L2. One thread.
Needs `make peers`.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.measures import l2
from stimuli.manifest import read_manifest, read_pixels
from stimuli.networks.hardware import Hardware
from stimuli.networks.protocol import TorchNetwork
from stimuli.networks.registry import Network, cpu_threads, network_of, to_pixels, to_tensor
from stimuli.perturbation.ascent import ascend
from stimuli.perturbation.rules import interference_rule
from stimuli.regular_images.base_images import certain
from subjects.cli import rich_progress
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.settings.images import StimuliSettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

NETWORK = "tests.stimuli.efficientnet:load"
Pixels = np.ndarray


class InOrder(torch.autograd.Function):
    """Pixels channels first, and their gradients too: torchattacks cannot do with another order in memory."""

    @staticmethod
    def forward(ctx: object, images: Tensor) -> Tensor:  # noqa: ARG004 - the signature of a function
        """Pass on."""
        return images.clone(memory_format=torch.contiguous_format)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # noqa: ARG004 - the signature of a function
        """Pass back."""
        return gradient.contiguous()


class TwoLogits(nn.Module):
    """Log-sum-exp of the others + ln 99, and the target: class 1 wins where the target's P is above .99.

    `lent`: with our network's layout in memory (channels last); else torch's own, which a user of the peers has.
    """

    def __init__(self, network: TorchNetwork, targets: Tensor, *, lent: bool) -> None:
        super().__init__()
        self.network, self.targets, self.lent = network, targets, lent

    def forward(self, images: Tensor) -> Tensor:
        """Give two logits for each image, in the order of the targets."""
        logits = (self.network.logits(InOrder.apply(images)) if self.lent else
                  self.network.module(self.network.preprocess(images)))
        own = logits.gather(1, self.targets[:, None])
        others = logits.scatter(1, self.targets[:, None], -torch.inf).logsumexp(dim=1, keepdim=True)
        return torch.cat([others + math.log(99.0), own], dim=1)


def pgd(model: TwoLogits, images: Tensor) -> Tensor:
    """Attack with torchattacks."""
    from torchattacks import PGDL2

    return PGDL2(model, eps=3.0, alpha=0.2, steps=40)(images, torch.zeros(len(images), dtype=torch.long))


def carlini_wagner(model: TwoLogits, images: Tensor) -> Tensor:
    """Attack with foolbox."""
    import foolbox

    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=3, steps=40, stepsize=0.01, initial_const=1.0,
                                                   confidence=0.5)
    wrapped = foolbox.PyTorchModel(model, bounds=(0.0, 1.0), device="cpu")
    not_reached = foolbox.criteria.Misclassification(torch.zeros(len(images), dtype=torch.long))
    _, found, _ = attack(wrapped, images, not_reached, epsilons=None)
    return found


def attack_with(attack: Callable[[TwoLogits, Tensor], Tensor], model: TwoLogits, images: Tensor) -> Pixels:
    """Attack, and round to 8 bits."""
    return to_pixels(attack(model, images))


def ours(network: Network, starts: Pixels, *, targets: np.ndarray, stimuli: StimuliSettings) -> Pixels:
    """Ascend."""
    found = sorted(ascend(network, starts, targets=targets, rule=interference_rule(stimuli)), key=lambda one: one.index)
    return np.stack([one.pixels for one in found])


def report(name: str, attack: Callable[[], Pixels], *, network: Network, starts: Pixels,
           targets: np.ndarray) -> float:
    """Run an attack, judge what it gives, print a line; give CPU seconds for a valid image."""
    began = time.process_time()
    found = attack()
    seconds = time.process_time() - began
    probabilities = network.probabilities(found)[np.arange(len(found)), targets]
    valid = probabilities > certain(0.99)
    sizes = np.array([l2(one, start) for one, start in zip(found, starts, strict=True)])[valid]
    per_valid = seconds / valid.sum() if valid.any() else math.inf
    middle, mean = (np.median(sizes), np.mean(sizes)) if valid.any() else (math.nan, math.nan)
    print(f"{name:<28} {valid.sum()}/{len(found)} valid, {per_valid:6.2f} CPU s a valid image, "
          f"L2 median {middle:.3f}, mean {mean:.3f}", flush=True)
    return per_valid


def make_set(folder: Path, photographs: Path, mean_image: Path) -> tuple[Layout, Settings]:
    """Make and check the whole set."""
    changes = {"stimuli": {"network": NETWORK, "size_px": 224, "images": str(photographs.resolve()),
                           "mean_image": str(mean_image.resolve()), "shortfall": "best"}}
    layout = init_study(Layout(folder / "study"), name="peers", seed=20210, changes=changes)
    settings = load_settings(layout.root)
    began = time.process_time()
    build(layout, settings, hardware=Hardware(threads=1), progress=rich_progress)
    seconds = time.process_time() - began
    verdict = check(layout, settings, hardware=Hardware(threads=1))
    print(f"set: {verdict.n_images - verdict.n_failed} of {verdict.n_images} hold at 8 bit, {seconds:.0f} CPU s")
    return layout, settings


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=Path("../shared/data/imagenet-sample"))
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--search", type=int, default=StimuliSettings().ai_search)
    asked = parser.parse_args()
    if not asked.photographs.is_dir():
        print(f"left out: there is no folder of photographs {asked.photographs}; name one with --photographs")
        return
    with tempfile.TemporaryDirectory() as folder, cpu_threads(1):
        layout, settings = make_set(Path(folder), asked.photographs,
                                    asked.photographs.parent / "ilsvrc_2012_mean.npy")
        network = network_of(settings.stimuli, root=layout.root)
        manifest = read_manifest(layout.manifest)
        rows = [one for one in manifest.stimuli if one.type == "AI"]
        rows = rows[::max(1, len(rows) // asked.images)][:asked.images]
        starts = np.stack([read_pixels(layout.stimuli, manifest.get(base_image=one.base_image, type="RE"))
                           for one in rows])
        targets = np.array([one.target_index for one in rows], dtype=np.int64)
        if not isinstance(network, TorchNetwork):
            raise TypeError(f"{NETWORK} is no TorchNetwork")
        images = to_tensor(starts).contiguous()
        here = {"network": network, "starts": starts, "targets": targets}
        minimal = settings.stimuli.model_copy(update={"ai_method": "minimal", "ai_search": asked.search})
        mine = report("ours, first hit", lambda: ours(network, starts, targets=targets, stimuli=settings.stimuli),
                      **here)
        report(f"ours, minimal ({asked.search})", lambda: ours(network, starts, targets=targets, stimuli=minimal),
               **here)
        for lent, how in ((False, "torch's default layout"), (True, "lent our network's layout")):
            model = TwoLogits(network, torch.from_numpy(targets), lent=lent).eval()
            print(f"peers with {how}:")
            theirs = [report("torchattacks PGDL2", partial(attack_with, pgd, model, images), **here),
                      report("foolbox L2CW 3x40", partial(attack_with, carlini_wagner, model, images), **here)]
            print(f"first hit / best peer: {mine / min(theirs):.2f} (asked: at most 0.50)")


if __name__ == "__main__":
    main()
