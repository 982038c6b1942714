"""The smallest perturbation that changes a decision: ours beside other libraries' minimum-norm attacks.

    PYTHONPATH=. python benchmarks/tolerance.py [--data ../shared/data] [--images 40] [--networks squeezenet ...]

Correctly classified photographs of `imagenet-sample`, as floats, one batch and one thread; every attack gets the same
images and sees the network as its users would. Peers, `--peer-steps` (40) forward and backward passes each: adv-lib FMN
(Pintor et al. 2021), DDN (Rony et al. 2019) and ALMA (Rony et al. 2021), foolbox's DDN and, to its own end, DeepFool
(Moosavi-Dezfooli et al. 2016). Ours: refined (20 steps), and corrected L2-PGD inside a bisection for comparison. Every
result is judged again, image by image. Asked: a median L2 at or below that of the best peer, at no more CPU time. Needs
`make peers`.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from stimuli.alignment.images import LabelledImages, labelled_photographs
from stimuli.alignment.tolerance.decision import margins
from stimuli.alignment.tolerance.measure import Scheme, correct, tolerance
from stimuli.networks.protocol import TorchNetwork
from stimuli.networks.registry import Network, cpu_threads, load_network, to_tensor

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Plain(nn.Module):
    """A network as a user of the peers has it: a module from RGB in [0, 1] to logits."""

    def __init__(self, network: TorchNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits."""
        return self.network.module(self.network.preprocess(images))


def adv_lib(name: str, **options: object) -> Attack:
    """Attack with a function of adv-lib."""
    def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        sys.modules.setdefault("visdom", ModuleType("visdom"))  # a plotting server, for a callback not used
        from adv_lib import attacks

        return getattr(attacks, name)(model, images, labels, **options)

    return attack


def foolbox(name: str, **options: object) -> Attack:
    """Attack with a class of foolbox."""
    def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        from foolbox import PyTorchModel, attacks

        wrapped = PyTorchModel(model, bounds=(0.0, 1.0), device="cpu")
        _, found, _ = getattr(attacks, name)(**options)(wrapped, images, labels, epsilons=None)
        return found

    return attack


def peers(steps: int) -> dict[str, Attack]:
    """Name the peers."""
    return {f"adv-lib FMN {steps}": adv_lib("fmn", norm=2, steps=steps),
            f"adv-lib DDN {steps}": adv_lib("ddn", steps=steps, levels=None),
            f"adv-lib ALMA {steps}": adv_lib("alma", num_steps=steps),
            f"foolbox DDN {steps}": foolbox("DDNAttack", steps=steps),
            "foolbox DeepFool": foolbox("L2DeepFoolAttack")}


def ours(network: Network, pictures: LabelledImages, *, scheme: Scheme) -> Attack:
    """Search as the command does, confirmation of each image by itself included."""
    def attack(_: nn.Module, images: Tensor, __: Tensor) -> Tensor:
        offsets = torch.zeros_like(images)
        for one in tolerance(network, pictures, scheme=scheme, batch=len(pictures)):
            if one.perturbation is not None:
                offsets[one.index] = torch.from_numpy(one.perturbation).permute(2, 0, 1)
        return images + offsets

    return attack


def load(name: str, data: Path) -> TorchNetwork:
    """Load a network with its real weights."""
    found = load_network("tests.stimuli.efficientnet:load") if name == "efficientnet" else load_network(
        "squeezenet1_0", weights=data / "squeezenet1_0_imagenet.safetensors", preprocessing="caffe-227")
    if not isinstance(found, TorchNetwork):
        raise TypeError(f"{found.name} is no TorchNetwork")
    return found


def choose(network: Network, data: Path, *, n: int) -> LabelledImages:
    """Take the first n of shuffled photographs that the network classifies correctly."""
    images = labelled_photographs(data / "imagenet-sample", network=network)
    rows = np.random.default_rng(0).permutation(correct(network, images))[:n]
    return LabelledImages(tuple(images.image_ids[k] for k in rows), tuple(images.files[k] for k in rows),
                          images.pixels[rows], images.labels[rows])


def measure(name: str, attack: Attack, *, network: TorchNetwork, images: LabelledImages) -> tuple[float, float]:
    """Run an attack, judge what it gives, print a line; give median L2 (found ones) and CPU seconds an image."""
    starts, labels = to_tensor(images.pixels).contiguous(), torch.from_numpy(images.labels)
    began = time.process_time()
    found = attack(Plain(network).eval(), starts.clone(), labels).detach()
    seconds = (time.process_time() - began) / len(images)
    changed = torch.cat([margins(network, one[None], labels=label[None]) < 0
                         for one, label in zip(found, labels, strict=True)]).numpy()
    sizes = (found - starts).double().flatten(1).norm(dim=1).numpy()
    counted = np.where(changed, sizes, np.inf)
    print(f"  {name:<24} {int(changed.sum())}/{len(images)} changed, L2 median {np.median(counted):.4f}, mean of the "
          f"changed {sizes[changed].mean() if changed.any() else np.nan:.4f}, {seconds:.2f} CPU s an image", flush=True)
    return float(np.median(counted)), seconds


def compare(network: TorchNetwork, images: LabelledImages, *, steps: int) -> None:
    """Run every attack on the same images, and print the ratios that are asked for."""
    print(f"{network.name}: {len(images)} photographs")
    mine, cost = measure("refined", ours(network, images, scheme=Scheme()), network=network, images=images)
    measure("corrected", ours(network, images, scheme=Scheme("corrected")), network=network, images=images)
    theirs = {name: measure(name, attack, network=network, images=images) for name, attack in peers(steps).items()}
    best = min(theirs, key=lambda name: theirs[name])
    print(f"  refined / {best}: median L2 {mine / theirs[best][0]:.3f}, CPU s {cost / theirs[best][1]:.2f} (asked: at "
          "most 1 and 1)")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--networks", nargs="+", choices=("squeezenet", "efficientnet"),
                        default=["squeezenet", "efficientnet"])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--peer-steps", type=int, default=40)
    asked = parser.parse_args()
    if not (asked.data / "imagenet-sample").is_dir():
        print(f"left out: there is no folder of photographs in {asked.data}; name another with --data")
        return
    with cpu_threads(1):
        for name in asked.networks:
            network = load(name, asked.data)
            compare(network, choose(network, asked.data, n=asked.images), steps=asked.peer_steps)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
