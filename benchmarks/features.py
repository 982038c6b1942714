"""Features of a whole set on the Caffe-shaped AlexNet beside the forward passes alone.

    python benchmarks/features.py [--batch 20] [--repeats 3] [--threads 1]

Full widths, random weights. Ours is `stimuli.image_set.exports.feature_extraction.extract`: PNGs are read and verified,
every layer is taken and written to HDF5, batch by batch onto the disk. The peer passes the same batches forward and
keeps nothing. Both run in
turn in one process, the peer with pixels channels first (as torch lays them out by itself) and channels last (as
ours does); prints CPU seconds (medians), their ratio, and the peak resident memory of a process of its own
that extracts once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stimuli.feature_store import open_store
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.manifest import TYPES, Manifest, Stimulus, image_id_of, write_manifest
from stimuli.networks import registry as networks
from stimuli.networks.alexnet import CaffeAlexNet
from stimuli.networks.hardware import Hardware
from stimuli.networks.preprocessing import find_preprocessing
from stimuli.networks.registry import TorchNetwork, cpu_threads, to_tensor
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.profile import base_images
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings


def make_network() -> TorchNetwork:
    """Make the network of Caffe's shape with the weights that torch begins with."""
    torch.manual_seed(0)
    module = CaffeAlexNet(n_classes=1000).eval().requires_grad_(False)
    preprocess = find_preprocessing("caffe-227")
    return TorchNetwork(name="caffe", digest="random", class_names=tuple(f"class {k}" for k in range(1000)),
                        layers=tuple(f"layer{k}" for k in range(1, 9)), tap="norm-pool",
                        mean_image=preprocess.mean_image, module=module, preprocess=preprocess)


def make_study(root: Path, *, batch: int) -> tuple[Layout, Settings]:
    """Make a study of 120 smooth pictures of chance."""
    layout = init_study(Layout(root), name="features", seed=1, changes={"stimuli": {"network": "caffe",
                                                                                    "batch": batch}})
    settings, rng, rows = load_settings(root), np.random.default_rng(0), []
    for k, base in enumerate(base_images(settings.stimuli)):
        for kind in TYPES:
            coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            pixels = np.asarray(coarse.resize((227, 227), Image.Resampling.BICUBIC))
            file = f"images/{kind}/{base}_{kind}.png"
            layout.stimulus(file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(layout.stimulus(file))
            rows.append(Stimulus(image_id=image_id_of(pixels), file=file, type=kind, base_image=base, category=base,
                                 category_index=k, class_name=base.rpartition("-")[0], target_category=None,
                                 target_index=None, network="caffe", network_digest="random", p_before=0.5, p_after=0.5,
                                 l2=0.0, linf=0.0, ssim=1.0, contrast_rms=50.0, iterations=1, seed=1))
    write_manifest(layout.manifest, Manifest(tuple(rows)))
    return layout, settings


def passes(network: TorchNetwork, images: np.ndarray, *, batch: int, layout: torch.memory_format) -> None:
    """Pass forward, and keep nothing."""
    with torch.inference_mode():
        for first in range(0, len(images), batch):
            prepared = network.preprocess(to_tensor(images[first:first + batch]))
            network.module(prepared.contiguous(memory_format=layout))


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Give CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def extracted(layout: Layout, settings: Settings, *, network: TorchNetwork, threads: int = 1) -> None:
    """Extract from the beginning."""
    layout.features(network.name).unlink(missing_ok=True)
    networks.NETWORKS = {"caffe": lambda: network}
    extract(layout, settings, hardware=Hardware(threads=threads))


def peak_mib(root: Path) -> dict[str, float]:
    """Extract once in this process, and say what it held at most."""
    torch.set_num_threads(1)
    network = make_network()
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    extracted(Layout(root), load_settings(root), network=network)
    return {"loaded": loaded, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("batch", 20), ("repeats", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak_of is not None:
        print(json.dumps(peak_mib(asked.peak_of)))
        return
    with tempfile.TemporaryDirectory() as folder, cpu_threads(asked.threads):
        layout, settings = make_study(Path(folder) / "study", batch=asked.batch)
        network = dataclasses.replace(make_network())
        images = np.random.default_rng(0).integers(0, 256, (120, 227, 227, 3), dtype=np.uint8)
        peers = {"forward alone": torch.contiguous_format, "forward alone, channels last": torch.channels_last}
        ours, alone = [], {name: [] for name in peers}
        for _ in range(asked.repeats + 1):  # the first one warms up
            for name, order in peers.items():
                alone[name].append(measured(lambda order=order: passes(network, images, batch=asked.batch,
                                                                       layout=order)))
            ours.append(measured(lambda: extracted(layout, settings, network=network, threads=asked.threads)))
        size = layout.features("caffe").stat().st_size / 2**20
        assert open_store(layout.features("caffe")).layers == network.layers
        print(f"120 images, batches of {asked.batch}, {asked.threads} thread(s), medians of {asked.repeats}, "
              f"load {os.getloadavg()[0]:.1f}; file {size:.0f} MiB")
        for k, kind in enumerate(("CPU", "wall")):
            for name, taken in alone.items():
                mine, theirs = (statistics.median(one[k] for one in side[1:]) for side in (ours, taken))
                print(f"{kind}: extract {mine:.2f} s, {name} {theirs:.2f} s, ratio {mine / theirs:.3f} "
                      "(asked: at most 1.10)")
        layout.features("caffe").unlink()
        done = subprocess.run([sys.executable, __file__, "--peak-of", str(layout.root)], capture_output=True, text=True,
                              check=True)
        held = json.loads(done.stdout)
        print(f"resident memory: {held['loaded']:.0f} MiB with the network loaded, {held['peak']:.0f} MiB at most "
              "(asked: under 1500)")


if __name__ == "__main__":
    main()
