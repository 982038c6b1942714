"""Our images beside those of other libraries' attacks, by one criterion: P above .99 on the 8-bit image.

    PYTHONPATH=. python benchmarks/attack_peers.py [--data ../shared/data] [--images 12] [--network squeezenet]

The whole stimulus set is made from the photographs first (40 RE, filled up where the threshold leaves a shortfall, 40
AN, 40 AI) and checked from its files. Then every attack gets so many of the very RE images and targets:

- the first AI: torchattacks' PGDL2 and foolbox's L2 Carlini-Wagner attack, which stop at any perturbation that does;
- the smallest AI (`ai_method = "minimal"`): adv-lib's DDN and FMN, 100 steps each.

The peers get the criterion as two logits, the target's and log-sum-exp of the others + ln 99, and their result is
rounded to 8 bits and judged again. Prints CPU seconds for a valid image and L2 on 8 bits. Asked: half of the best
peer's time for the first AI; for the smallest one a median L2 at or below the best peer's at no more CPU time. One
thread. Needs `make peers`.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from adversarial_noise import photographs
from torch import Tensor, nn

from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.measures import l2
from stimuli.manifest import read_manifest, read_pixels
from stimuli.networks.hardware import Hardware
from stimuli.networks.protocol import TorchNetwork
from stimuli.networks.registry import Network, cpu_threads, network_of, to_pixels, to_tensor
from stimuli.perturbation.ascent import ascend
from stimuli.perturbation.rules import interference_rule, noise_rule
from stimuli.perturbation.start_image import with_kept_mean
from stimuli.regular_images.base_images import certain
from subjects.cli import rich_progress
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.settings.images import StimuliSettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

Pixels = np.ndarray
Attack = Callable[["TwoLogits", Tensor], Tensor]


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


def ddn(model: TwoLogits, images: Tensor) -> Tensor:
    """Attack with adv-lib's decoupled direction and norm, which works on 8 bits itself."""
    sys.modules.setdefault("visdom", ModuleType("visdom"))  # it imports this plotting server for a callback not used
    from adv_lib.attacks import ddn as attack

    return attack(model, images, torch.zeros(len(images), dtype=torch.long), steps=100)


def fmn(model: TwoLogits, images: Tensor) -> Tensor:
    """Attack with adv-lib's fast minimum norm, which knows no rounding."""
    sys.modules.setdefault("visdom", ModuleType("visdom"))
    from adv_lib.attacks import fmn as attack

    return attack(model, images, torch.zeros(len(images), dtype=torch.long), norm=2, steps=100)


FIRST: dict[str, Attack] = {"torchattacks PGDL2": pgd, "foolbox L2CW 3x40": carlini_wagner}
LAYOUTS = {"torch": "torch's default layout", "lent": "our network's layout lent"}
SMALLEST: dict[str, Attack] = {"adv-lib DDN 100": ddn, "adv-lib FMN 100": fmn}


def attack_with(attack: Attack, model: TwoLogits, images: Tensor) -> Pixels:
    """Attack, and round to 8 bits."""
    return to_pixels(attack(model, images))


def ours(network: Network, starts: Pixels, *, targets: np.ndarray, stimuli: StimuliSettings) -> Pixels:
    """Ascend."""
    found = sorted(ascend(network, starts, targets=targets, rule=interference_rule(stimuli)), key=lambda one: one.index)
    return np.stack([one.pixels for one in found])


@dataclass(frozen=True)
class Result:
    """What an attack came to: CPU seconds an image tried and a valid one, median L2 of the valid ones."""

    n_valid: int
    seconds: float
    seconds_valid: float
    l2: float


def report(name: str, attack: Callable[[], Pixels], *, network: Network, starts: Pixels,
           targets: np.ndarray) -> Result:
    """Run an attack, judge what it gives, print a line."""
    began = time.process_time()
    found = attack()
    seconds = time.process_time() - began
    probabilities = network.probabilities(found)[np.arange(len(found)), targets]
    valid = probabilities > certain(0.99)
    sizes = np.array([l2(one, start) for one, start in zip(found, starts, strict=True)])[valid]
    n_valid = int(valid.sum())
    per_valid = seconds / n_valid if n_valid else math.inf
    middle, mean = (float(np.median(sizes)), float(np.mean(sizes))) if n_valid else (math.nan, math.nan)
    print(f"  {name:<26} {n_valid}/{len(found)} valid, {seconds / len(found):6.2f} CPU s an image, {per_valid:6.2f} a "
          f"valid one, L2 median {middle:.3f}, mean {mean:.3f}", flush=True)
    return Result(n_valid, seconds / len(found), per_valid, middle)


def settings_of(network: str, data: Path) -> dict[str, Any]:
    """Spell the settings of the set."""
    usual = photographs(data)
    if network == "squeezenet":
        return usual
    return {"network": "tests.stimuli.efficientnet:load", "size_px": 224,
            **{key: usual[key] for key in ("images", "mean_image", "shortfall")}}


def make_set(folder: Path, stimuli: dict[str, Any]) -> tuple[Layout, Settings]:
    """Make and check the whole set."""
    layout = Layout(folder)
    if not layout.settings_file.exists():
        init_study(layout, name="peers", seed=20210, changes={"stimuli": stimuli})
    settings = load_settings(layout.root)
    began = time.process_time()
    build(layout, settings, hardware=Hardware(threads=1), progress=rich_progress)
    seconds = time.process_time() - began
    verdict = check(layout, settings, hardware=Hardware(threads=1))
    print(f"set: {verdict.n_images - verdict.n_failed} of {verdict.n_images} hold at 8 bit, {seconds:.0f} CPU s")
    return layout, settings


def noise(network: Network, targets: np.ndarray, *, stimuli: StimuliSettings) -> Pixels:
    """Make AN."""
    starts = np.repeat(network.mean_image[None], len(targets), axis=0)
    found = sorted(ascend(network, starts, targets=targets, rule=noise_rule(stimuli)), key=lambda one: one.index)
    return np.stack([one.pixels for one in found])


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--network", choices=("squeezenet", "efficientnet"), default="squeezenet")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--search", type=int, default=100, help="steps of our smallest AI; the peers take 100")
    parser.add_argument("--study", type=Path, help="a study that has the set, or where it is kept")
    parser.add_argument("--layouts", nargs="+", choices=tuple(LAYOUTS), default=list(LAYOUTS),
                        help="how the peers' images lie in memory")
    asked = parser.parse_args()
    if not (asked.data / "imagenet-sample").is_dir():
        print(f"left out: there is no folder of photographs in {asked.data}; name another with --data")
        return
    with tempfile.TemporaryDirectory() as folder, cpu_threads(1):
        layout, settings = make_set(asked.study or Path(folder) / "study", settings_of(asked.network, asked.data))
        network = with_kept_mean(layout, settings.stimuli, network=network_of(settings.stimuli, root=layout.root))
        manifest = read_manifest(layout.manifest)
        rows = [one for one in manifest.stimuli if one.type == "AI"]
        rows = rows[::max(1, len(rows) // asked.images)][:asked.images]
        starts = np.stack([read_pixels(layout.stimuli, manifest.get(base_image=one.base_image, type="RE"))
                           for one in rows])
        targets = np.array([one.target_index for one in rows], dtype=np.int64)
        compare(network, starts, targets=targets, stimuli=settings.stimuli, search=asked.search,
                layouts=asked.layouts,
                own=np.array([one.category_index for one in rows], dtype=np.int64))


def compare(network: Network, starts: Pixels, *, targets: np.ndarray, own: np.ndarray, stimuli: StimuliSettings,
            search: int, layouts: Sequence[str]) -> None:
    """Run every attack on the same images, and print the ratios that are asked for."""
    inner = getattr(network, "network", network)
    if not isinstance(inner, TorchNetwork):
        raise TypeError(f"{network.name} is no TorchNetwork")
    images, here = to_tensor(starts).contiguous(), {"network": network, "starts": starts, "targets": targets}
    least = stimuli.model_copy(update={"ai_method": "minimal", "ai_search": search})
    print("ours")
    report("AN", lambda: noise(network, own, stimuli=stimuli), network=network, targets=own,
           starts=np.repeat(np.rint(network.mean_image).astype(np.uint8)[None], len(own), axis=0))
    first = report("AI, first hit", lambda: ours(network, starts, targets=targets, stimuli=stimuli), **here)
    small = report(f"AI, minimal ({search})", lambda: ours(network, starts, targets=targets, stimuli=least), **here)
    for name in layouts:
        model = TwoLogits(inner, torch.from_numpy(targets), lent=name == "lent").eval()
        print(f"peers with {LAYOUTS[name]}")
        theirs = {name: report(name, partial(attack_with, attack, model, images), **here)
                  for name, attack in {**FIRST, **SMALLEST}.items()}
        best = min(theirs[name].seconds_valid for name in FIRST)
        print(f"  first hit / best peer, CPU s a valid image: {first.seconds_valid / best:.2f} (asked: at most 0.50)")
        whole = {name: theirs[name] for name in SMALLEST if theirs[name].n_valid == len(starts)}
        if not whole:
            print("  no peer of the smallest AI is valid on every image at 8 bit")
            continue
        name = min(whole, key=lambda one: whole[one].l2)
        print(f"  minimal / {name}: median L2 {small.l2 / whole[name].l2:.3f}, CPU s an image "
              f"{small.seconds / whole[name].seconds:.2f} (asked: at most 1 and 1)")


if __name__ == "__main__":
    main()
