"""How the perturbed images of a whole set end: P, contrast and steps of AN, targets of AI, from the files as written.

    PYTHONPATH=. python benchmarks/adversarial_noise.py [--data ../shared/data] [--sets photographs demo] [--keep DIR]

Two sets with the protocol's settings: SqueezeNet 1.0 on the photographs of `imagenet-sample` (eight a class, filled up
where P > .99 falls short), and the drawings with the network that ships. Prints for each: how many AN lie in
[.99, .995) by a fresh judgement of the PNG files, how many have a contrast within 10 % of `an_min_contrast`, the steps,
how many AI reach .99, at how many categories they aim, and CPU seconds. One thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.manifest import read_image, read_manifest
from stimuli.networks.registry import cpu_threads, network_of
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.settings.loading import load_settings


def photographs(data: Path) -> dict[str, Any]:
    """Spell the settings of the set of photographs."""
    return {"network": "squeezenet1_0", "preprocessing": "caffe-227", "shortfall": "best",
            "weights": str((data / "squeezenet1_0_imagenet.safetensors").resolve()),
            "images": str((data / "imagenet-sample").resolve()),
            "mean_image": str((data / "ilsvrc_2012_mean.npy").resolve())}


def spread(image: np.ndarray) -> float:
    """Measure contrast: the standard deviation about each channel's mean, grey levels; written out, not imported."""
    values = image.astype(np.float64)
    return float(np.sqrt(((values - values.mean(axis=(0, 1))) ** 2).mean()))


def span(values: np.ndarray, digits: int) -> str:
    """Print least, median and largest."""
    return " / ".join(f"{value:.{digits}f}" for value in (values.min(), np.median(values), values.max()))


def measure(name: str, stimuli: Mapping[str, Any], *, folder: Path) -> None:
    """Build a set in a folder, or go on with the one that is there, and print how its images end."""
    layout = Layout(folder)
    if not layout.settings_file.exists():
        init_study(layout, name=name, seed=20210, changes={"stimuli": dict(stimuli)})
    settings = load_settings(layout.root)
    began = time.process_time()
    build(layout, settings)
    seconds = time.process_time() - began
    manifest, network = read_manifest(layout.manifest), network_of(settings.stimuli, root=layout.root)
    rows = {kind: [one for one in manifest.stimuli if one.type == kind] for kind in ("AN", "AI")}
    images = {kind: np.stack([read_image(layout.stimulus(one.file)) for one in some]) for kind, some in rows.items()}
    p = {kind: network.probabilities(images[kind])[np.arange(len(some)), [one.target_index for one in some]]
         for kind, some in rows.items()}
    asked, contrast = settings.stimuli.an_min_contrast, np.array([spread(image) for image in images["AN"]])
    steps = {kind: np.array([one.iterations for one in some]) for kind, some in rows.items()}
    inside, n = int(((p["AN"] >= 0.99) & (p["AN"] < 0.995)).sum()), len(p["AN"])
    near = int((np.abs(contrast - asked) <= 0.1 * asked).sum())
    print(f"{name}: built in {seconds:.0f} CPU s")
    print(f"  AN in [.99, .995) {inside}/{n}, above .999 {int((p['AN'] > 0.999).sum())}; P {span(p['AN'], 4)}")
    print(f"  AN contrast within 10 % of {asked:g}: {near}/{n}; grey levels {span(contrast, 2)}")
    print(f"  AN steps {span(steps['AN'], 0)}; AI steps {span(steps['AI'], 0)} (least / median / largest)")
    targets = {one.target_index for one in rows["AI"]}
    print(f"  AI above .99 {int((p['AI'] > 0.99).sum())}/{n}, at {len(targets)} categories, "
          f"L2 median {np.median([one.l2 for one in rows['AI']]):.2f}")
    print(f"  check: {check(layout, settings).n_failed} of {len(manifest)} images fail", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=("photographs", "demo"), default=["photographs", "demo"])
    parser.add_argument("--keep", type=Path, help="keep the studies in this folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, cpu_threads(1):
        for name in asked.sets:
            if name == "photographs" and not (asked.data / "imagenet-sample").is_dir():
                print(f"photographs: left out, since {asked.data} has none; name the folder with --data")
                continue
            measure(name, photographs(asked.data) if name == "photographs" else {},
                    folder=(asked.keep or Path(folder)) / name)


if __name__ == "__main__":
    main()
