"""A network's unit responses to the whole set, kept by content."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stimuli.feature_store import FeatureStore, FeatureWriter, open_store
from stimuli.image_set.set_rules import require_rows
from stimuli.manifest import Manifest, Stimulus, read_manifest, read_pixels
from stimuli.networks.registry import Images, Network, cpu_threads, network_of
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import is_current, sidecar, sidecar_path
from subjects.settings.study import Settings


@dataclass(frozen=True)
class Extracted:
    """A feature file, and how it came to be.

    Parameters
    ----------
    store : FeatureStore
        The file, open for reading.
    reused : bool
        It stood already.
    n_resumed : int
        Images that an interrupted attempt had left.
    """

    store: FeatureStore
    reused: bool
    n_resumed: int = 0

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
        The study. Images go through the network ``stimuli.batch`` at a time; responses are stored as
        ``stimuli.features_dtype``.
    network : str, optional
        Which network. Default: ``stimuli.network``.
    threads : int
        CPU threads of the network.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Extracted
        In ``derivatives/features``; reused if images and network are the same by content. What an interrupted attempt
        has left is gone on with, and the result is the same.

    Raises
    ------
    StudyError
        If the network is unknown, a row of the manifest is missing or out of its place, an image is missing or
        changed, or a response does not fit into the number format; the features that stood stay.
    """
    judge = network_of(settings.stimuli, name=network, root=layout.root)
    manifest = read_manifest(layout.manifest)
    require_rows(manifest, settings, path=layout.manifest)
    path, dtype = layout.features(judge.name), settings.stimuli.features_dtype
    ids = [one.image_id for one in manifest.stimuli]
    inputs, parameters = {"network": judge.digest}, {"image_ids": ids, "tap": judge.tap, "dtype": dtype}
    if is_current(path, inputs=inputs, parameters=parameters):
        return Extracted(open_store(path), reused=True)
    writer = FeatureWriter(path, dtype=dtype, batch=settings.stimuli.batch, attributes={
        "network": judge.name, "network_digest": judge.digest, "tap": judge.tap, "layers": judge.layers,
        "image_ids": ids})
    resumed = writer.n_filled
    with cpu_threads(threads):
        _fill(writer, judge, layout=layout, manifest=manifest, batch=settings.stimuli.batch, progress=progress)
    sidecar_path(path).unlink(missing_ok=True)
    writer.finish()
    describe_derivative(layout, "features")
    sidecar(path, inputs=inputs, parameters=parameters)
    return Extracted(open_store(path), reused=False, n_resumed=resumed)


def _fill(writer: FeatureWriter, network: Network, *, layout: Layout, manifest: Manifest, batch: int,
          progress: ProgressWrapper) -> None:
    """Read images and write responses while the network is at work; nothing is written until every image was read."""
    left = manifest.stimuli[writer.n_filled:]
    batches = [left[first:first + batch] for first in range(0, len(left), batch)]
    bar = iter(progress(range(len(left)), label=f"features of {network.name}", total=len(left)))

    def read(wanted: Sequence[Stimulus]) -> Images:
        return np.stack([read_pixels(layout.stimuli, one) for one in wanted])

    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        images = deque(reading.submit(read, wanted) for wanted in batches)
        written: Future[None] | None = None
        for wanted in batches:
            responses = network.features(images.popleft().result(), batch=batch)
            if written is not None:
                written.result()
            else:
                wait(images)
                for others in images:
                    others.result()
            written = writing.submit(writer.append, responses)
            for _ in wanted:
                next(bar, None)
        if written is not None:
            written.result()
    for _ in bar:
        pass


def describe(made: Extracted) -> str:
    """Say in one line what was made and where it lies."""
    size = Path(made.store.path).stat().st_size / 2**20
    state = "already current, reused" if made.reused else \
        f"taken, {made.n_resumed} of them by an earlier attempt" if made.n_resumed else "taken"
    return f"{made.n_layers} layers x {made.n_images} images {state}: {made.store.path} ({size:.1f} MiB)"
