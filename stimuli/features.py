"""The network's unit responses to the whole set, kept by content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stimuli.feature_store import FeatureStore, create_store, open_store
from stimuli.manifest import read_manifest, read_pixels
from stimuli.network import Network, load_network
from subjects.console import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import is_current, sidecar
from subjects.settings import Settings

TAP = "after norm and pool"
_BATCH = 20


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


def extract(layout: Layout, settings: Settings, *, network: str | None = None,
            progress: ProgressWrapper = silent) -> Extracted:
    """Take every layer's responses to every image of the set.

    Parameters
    ----------
    layout, settings
        The study.
    network : str, optional
        Which network. Default: ``stimuli.network``.
    progress : ProgressWrapper
        Told of batches.

    Returns
    -------
    Extracted
        In ``derivatives/features``; reused if images and network are the same by content.
    """
    judge = load_network(network or settings.stimuli.network)
    manifest = read_manifest(layout.manifest)
    ids = tuple(one.image_id for one in manifest.stimuli)
    path = layout.features(judge.name)
    inputs, parameters = {"network": judge.digest}, {"image_ids": list(ids), "tap": TAP}
    if is_current(path, inputs=inputs, parameters=parameters):
        return Extracted(open_store(path), reused=True)
    images = np.stack([read_pixels(layout.stimuli, one) for one in manifest.stimuli])
    describe_derivative(layout, "features")
    store = create_store(path, _all_layers(judge, images, progress=progress), image_ids=ids, network=judge.name,
                         network_digest=judge.digest, tap=TAP, overwrite=True)
    sidecar(path, inputs=inputs, parameters=parameters)
    return Extracted(store, reused=False)


def _all_layers(network: Network, images: np.ndarray, *, progress: ProgressWrapper) -> dict[str, np.ndarray]:
    out = {name: np.empty((len(images), n), dtype=np.float32) for name, n in network.n_units().items()}
    for first in progress(range(0, len(images), _BATCH), label="features"):
        part = slice(first, first + _BATCH)
        for name, values in network.features(images[part]).items():
            out[name][part] = values
    return out
