"""The ascent on the Caffe-shaped AlexNet beside the forward and backward passes alone that it cannot do without.

    python benchmarks/ascent.py [--images 20] [--iterations 8] [--repeats 3] [--threads 1]

Full widths, random weights. Both see the same batches: ours is the loop that makes interference images (rounding, log
odds, step, stop rule), the peer one forward and one backward pass to the pixels an iteration. Prints CPU seconds and
wall seconds of both (medians, in turn) and their ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from stimuli.networks.alexnet import CaffeAlexNet
from stimuli.networks.preprocessing import find_preprocessing
from stimuli.networks.registry import TorchNetwork, cpu_threads, to_tensor
from stimuli.perturbation.ascent import Rule, ascend
from stimuli.perturbation.rules import interference_rule, noise_rule
from subjects.settings.images import StimuliSettings


def make_network() -> TorchNetwork:
    """Make the network of Caffe's shape with the weights that torch begins with."""
    torch.manual_seed(0)
    module = CaffeAlexNet(n_classes=1000).eval().requires_grad_(False)
    preprocess = find_preprocessing("caffe-227")
    return TorchNetwork(name="caffe shape", digest="random", class_names=tuple(f"class {k}" for k in range(1000)),
                        layers=tuple(f"layer{k}" for k in range(1, 9)), tap="norm-pool",
                        mean_image=preprocess.mean_image, module=module, preprocess=preprocess)


def passes(network: TorchNetwork, starts: np.ndarray, *, targets: np.ndarray, iterations: int) -> None:
    """Pass forward and backward, nothing else; the last iteration of an ascent has no backward pass."""
    rows = torch.arange(len(starts))
    aims = torch.from_numpy(targets)
    images = to_tensor(starts)
    for iteration in range(iterations + 1):
        images.requires_grad_()
        raised = network.logits(images)[rows, aims].sum()
        if iteration < iterations:
            torch.autograd.grad(raised, images)
        images = images.detach()


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Give CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def endless(rule: Rule, *, iterations: int) -> Rule:
    """Let no image finish before the last iteration."""
    return Rule(rule.objective, lambda probabilities, images, starts: rule.done(probabilities, images, starts) & False,
                step=rule.step, max_iterations=iterations, project=rule.project)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("images", 20), ("iterations", 8), ("repeats", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    network, rng = make_network(), np.random.default_rng(0)
    starts = rng.integers(0, 256, (asked.images, 227, 227, 3), dtype=np.uint8)
    targets = rng.integers(0, 1000, asked.images)
    rules = {"AI": interference_rule(StimuliSettings()), "AN": noise_rule(StimuliSettings())}
    print(f"{asked.images} images, {asked.iterations} iterations, {asked.threads} thread(s), medians of "
          f"{asked.repeats}, load {os.getloadavg()[0]:.1f}")
    with cpu_threads(asked.threads):
        for name, rule in rules.items():
            limited = endless(rule, iterations=asked.iterations)
            ours, alone = [], []
            for _ in range(asked.repeats):
                alone.append(measured(lambda: passes(network, starts, targets=targets, iterations=asked.iterations)))
                ours.append(measured(lambda limited=limited: list(ascend(network, starts, targets=targets,
                                                                         rule=limited))))
            for k, kind in enumerate(("CPU", "wall")):
                mine, theirs = (statistics.median(one[k] for one in side) for side in (ours, alone))
                print(f"{name} {kind}: ascent {mine:.2f} s, passes alone {theirs:.2f} s, "
                      f"ratio {mine / theirs:.3f} (asked: at most 1.15)")


if __name__ == "__main__":
    main()
