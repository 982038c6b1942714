"""A network's unit responses to the whole set, kept by content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stimuli.feature_store import FeatureStore, create_store, open_store
from stimuli.manifest import Manifest, read_manifest, read_pixels
from stimuli.network import Network, cpu_threads, network_of
from stimuli.set_rules import require_rows
from subjects.console import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import is_current, sidecar
from subjects.settings import Settings


@dataclass(frozen=True)
class Extracted:
    """A feature file, and whether it stood already."""

    store: FeatureStore
    reused: bool

    @property
    def n_layers(self) -> int:
        """Count the layers."""
        return len(self.store.layers)

    @property
    def n_images(self) -> int:
        """Count the images."""
        return len(self.store.image_ids)


def extract(layout: Layout, settings: Settings, *, network: str | None = None, threads: int = 1,
            progress: ProgressWrapper = silent) -> Extracted:
    """Take every layer's responses to every image of the set.

    Parameters
    ----------
    layout, settings
        The study. Images go through the network ``stimuli.batch`` at a time.
    network : str, optional
        Which network. Default: ``stimuli.network``.
    threads : int
        CPU threads of the network.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Extracted
        In ``derivatives/features``; reused if images and network are the same by content.

    Raises
    ------
    StudyError
        If the network is unknown, a row of the manifest is missing or out of its place, or an image is missing or
        changed; nothing is written then.
    """
    judge = network_of(settings.stimuli, name=network, root=layout.root)
    manifest = read_manifest(layout.manifest)
    require_rows(manifest, settings, path=layout.manifest)
    path = layout.features(judge.name)
    ids = [one.image_id for one in manifest.stimuli]
    inputs, parameters = {"network": judge.digest}, {"image_ids": ids, "tap": judge.tap}
    if is_current(path, inputs=inputs, parameters=parameters):
        return Extracted(open_store(path), reused=True)
    with cpu_threads(threads):
        _write(path, judge, layout=layout, manifest=manifest, batch=settings.stimuli.batch, progress=progress)
    describe_derivative(layout, "features")
    sidecar(path, inputs=inputs, parameters=parameters)
    return Extracted(open_store(path), reused=False)


def _write(path: Path, network: Network, *, layout: Layout, manifest: Manifest, batch: int,
           progress: ProgressWrapper) -> None:
    ids = [one.image_id for one in manifest.stimuli]
    waiting = []
    with create_store(path, network=network.name, network_digest=network.digest, tap=network.tap,
                      layers=network.layers, image_ids=ids, overwrite=True) as writer:
        for one in progress(manifest.stimuli, label=f"features of {network.name}", total=len(manifest)):
            waiting.append(read_pixels(layout.stimuli, one))
            if len(waiting) == batch:
                writer.append(network.features(np.stack(waiting)))
                waiting = []
        if waiting:
            writer.append(network.features(np.stack(waiting)))
