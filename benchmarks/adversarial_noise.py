"""How a whole set ends: P, contrast and steps of AN, targets of AI, from the files as written; and claims N1 to N3.

    PYTHONPATH=. python benchmarks/adversarial_noise.py [--data ../shared/data] [--sets photographs demo] [--keep DIR]

Two sets with the protocol's settings: SqueezeNet 1.0 on the photographs of `imagenet-sample` (eight a class, filled up
where P > .99 falls short), and the drawings with the network that ships. Prints for each: how many AN lie in
[.99, .995) by a fresh judgement of the PNG files, how many have a contrast within 10 % of `an_min_contrast`, the steps,
how many AI reach .99, at how many categories they aim, CPU seconds, and N1 to N3 with layer 8 as softmax and as logits.
A set that an earlier release left in `--keep` is measured as it is. One thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.report.scorecard import score
from analysis.rsa.compare import layer_trends
from analysis.rsa.rdm import compute_rdm, spearman
from analysis.rsa.resampling.images import image_bootstraps, label_permutations
from analysis.statistics.statistic import two_sided_p, upper_p
from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.manifest import TYPES, Manifest, read_image, read_manifest
from stimuli.networks.hardware import Hardware
from stimuli.networks.protocol import read_logits
from stimuli.networks.registry import Network, cpu_threads, network_of
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
    build(layout, settings, hardware=Hardware(threads=1))
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
    failed = check(layout, settings, hardware=Hardware(threads=1)).n_failed
    print(f"  check: {failed} of {len(manifest)} images fail", flush=True)
    for line in claims(manifest, layout=layout, network=network):
        print(f"  {line}", flush=True)


def claims(manifest: Manifest, *, layout: Layout, network: Network) -> Iterator[str]:
    """Hold N1 to N3 against the set, with 1000 label permutations and 1000 bootstraps over images a layer."""
    labels = manifest.base_images
    units: dict[str, dict[str, np.ndarray]] = {}
    for kind in TYPES:
        rows = [manifest.get(base_image=name, type=kind) for name in labels]
        images = np.stack([read_image(layout.stimulus(one.file)) for one in rows])
        units[kind] = {**network.features(images), "logits": read_logits(network, images)}
    found = {layer: compared({kind: units[kind][layer] for kind in TYPES}, labels=labels)
             for layer in (*network.layers, "logits")}
    for reading in (network.layers[-1], "logits"):
        layers = [*network.layers[:-1], reading]
        table = [{"place": layer, "comparison": name, "effect": effect, "p": p}
                 for layer in layers for name, (effect, p) in found[layer].items()]
        effects = {name: [found[layer][name][0] for layer in layers] for name in ("RE-AN", "RE-AI")}
        table += [{"place": "layers", "comparison": name, "effect": one.effect, "p": one.p}
                  for name, one in layer_trends(effects).items()]
        said = (f"{name} {' '.join(f'{value:.2f}' for value in values)}" for name, values in effects.items())
        yield f"layer 8 as {'softmax' if reading != 'logits' else 'logits'}: {', '.join(said)}"
        lines = [line for line in score(network=pd.DataFrame(table)) if line.id in ("N1", "N2", "N3")]
        yield from (f"  {line.id} {line.verdict}: {line.here}" for line in lines)


def compared(responses: Mapping[str, np.ndarray], *, labels: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Give effect and p of RE-AN, RE-AI and their difference."""
    rdms = {kind: compute_rdm(values, labels=labels) for kind, values in responses.items()}
    found = {}
    for kind in ("AN", "AI"):
        effect = spearman(rdms["RE"], rdms[kind])
        null = label_permutations(rdms["RE"], rdms[kind], n=1000, rng=np.random.default_rng(1))
        found[f"RE-{kind}"] = effect, upper_p(effect, null)
    draws = image_bootstraps(rdms["RE"], [rdms["AN"], rdms["AI"]], n=1000, rng=np.random.default_rng(2))
    difference = found["RE-AI"][0] - found["RE-AN"][0]
    return {**found, "RE-AI minus RE-AN": (difference, two_sided_p(draws[:, 1] - draws[:, 0]))}


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
