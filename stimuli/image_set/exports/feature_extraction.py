"""A network's unit responses to the whole set, kept by content."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stimuli.feature_store import FeatureStore, open_store
from stimuli.image_set.exports.feature_writer import FeatureWriter
from stimuli.image_set.set_network import NetworkChoice, load_other_network, load_set_network, names_another
from stimuli.image_set.set_rules import require_rows
from stimuli.image_set.transfer import fit_side
from stimuli.manifest import Manifest, Stimulus, read_manifest, read_pixels, read_set_networks
from stimuli.networks.hardware import ON_CPU, Hardware, computing, made_on, place
from stimuli.networks.protocol import LOGITS, read_logits
from stimuli.networks.registry import Images, Network
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.errors import StoreError
from subjects.layout import Layout
from subjects.provenance import is_current, sidecar, sidecar_path, sources
from subjects.settings.images import StimuliSettings
from subjects.settings.study import Settings
from subjects.store import locked, sweep

log = logging.getLogger(__name__)

MOST_BYTES = 32 * 2**20
"""Of one batch's responses. Three batches are held at once: read, copied, and on their way to the disk."""


@dataclass(frozen=True)
class Extracted:
    """A features file, and how it came to be.

    Parameters
    ----------
    store : FeatureStore
        The file, open for reading.
    reused : bool
        It was there already.
    n_resumed : int
        Images that an interrupted attempt had left.
    set_networks : tuple of str
        The network that the set was made with, or both; the file may be of another one.
    """

    store: FeatureStore
    reused: bool
    n_resumed: int = 0
    set_networks: tuple[str, ...] = ()

    @property
    def n_layers(self) -> int:
        """Count the layers."""
        return len(self.store.layers)

    @property
    def n_images(self) -> int:
        """Count the images."""
        return len(self.store.image_ids)

    def record(self) -> dict[str, Any]:
        """Give what ``features --json`` prints."""
        layers, taps = ({name: self.store.n_units[name] for name in names}
                        for names in (self.store.layers, self.store.taps))
        return {"path": self.store.path, "network": self.store.network, "network_digest": self.store.network_digest,
                "set_network": " + ".join(self.set_networks), "tap": self.store.tap, "layers": layers,
                "taps": taps, "places": dict(self.store.places),
                "n_images": self.n_images, "reused": self.reused, "n_resumed": self.n_resumed}


def extract(layout: Layout, settings: Settings, *, asked: NetworkChoice | None = None, overwrite: bool = False,
            hardware: Hardware = ON_CPU, progress: ProgressWrapper = silent) -> Extracted:
    """Read every layer's responses to every image of the set.

    Parameters
    ----------
    layout, settings
        The study. Images go through the network ``stimuli.batch`` at a time; responses are stored as
        ``stimuli.features_dtype``.
    asked : NetworkChoice, optional
        Another network than the set's, whose responses go to a file of its own; images of another size than its
        input are resampled (bicubic). Default: the network that the set was made with, the first one of two.
    overwrite : bool
        Make the file anew even if it is current.
    hardware : Hardware
        Where the network computes; the first image of every batch is read on the CPU as well. The sidecar says which
        (``MadeOn``).
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Extracted
        In ``derivatives/features``, the logits beside the layers as another reading of the last one; reused if images
        and network are the same by content. An interrupted attempt is continued, and the result is the same.

    Raises
    ------
    StudyError
        If the network is unknown or not the set's, a row of the manifest is missing or out of its place, an image is
        missing or changed, or a response does not fit into the number format; features that are there already stay.
    """
    asked, stimuli = asked or NetworkChoice(), settings.stimuli
    (own, *second), manifest = read_set_networks(layout.manifest), read_manifest(layout.manifest)
    names = tuple(one.name for one in (own, *second))
    require_rows(manifest, stimuli, path=layout.manifest)
    other = names_another(layout, asked)
    network = place((load_other_network if other else load_set_network)(layout, stimuli, asked=asked),
                    hardware=hardware)
    plan = _plan(layout, manifest, network=network, stimuli=stimuli, other=other)
    found = None if overwrite else _current(plan)
    if found is not None:
        for one in manifest.stimuli:
            read_pixels(layout.stimuli, one)
        return Extracted(found, reused=True, set_networks=names)
    _require_own_name(plan)
    with locked(layout.stimuli, what="the stimulus set"), computing(hardware):
        resumed = _write(plan, layout=layout, loaded_as=asked.name or own.loaded_as, progress=progress)
    return Extracted(open_store(plan.path), reused=False, n_resumed=resumed, set_networks=names)


@dataclass(frozen=True)
class _Plan:
    """What a features file will be made from, and where it goes."""

    path: Path
    manifest: Manifest
    network: Network
    batch: int
    parameters: dict[str, Any]

    @property
    def inputs(self) -> dict[str, Path | str]:
        """Name what decides the responses besides the parameters."""
        return {"network": self.network.digest}

    @property
    def image_ids(self) -> list[str]:
        """Name the images, in the order of the manifest."""
        return [one.image_id for one in self.manifest.stimuli]


def _plan(layout: Layout, manifest: Manifest, *, network: Network, stimuli: StimuliSettings, other: bool) -> _Plan:
    resampled = other and stimuli.size_px != network.input_size
    return _Plan(layout.features(network.name), manifest, network, stimuli.batch,
                 {"image_ids": [one.image_id for one in manifest.stimuli], "tap": network.tap,
                  "dtype": stimuli.features_dtype, "readings": [LOGITS], "taps": list(_taps(network)),
                  **({"places": _places(network)} if _places(network) else {}),
                  **({"resampled_from_px": stimuli.size_px} if resampled else {})})


def _current(plan: _Plan) -> FeatureStore | None:
    """Open the file if it is what the plan would make, whole and finite."""
    if not is_current(plan.path, inputs=plan.inputs, parameters=plan.parameters):
        return None
    try:
        store = open_store(plan.path).require_finite()
    except StoreError as error:
        log.warning("%s Made anew.", error)
        return None
    same = (store.image_ids, store.layers, store.tap) == (tuple(plan.image_ids), plan.network.layers, plan.network.tap)
    beside = (store.readings, store.taps) == ((LOGITS,), _taps(plan.network))
    return store if same and beside and dict(store.places) == _places(plan.network) else None


def _taps(network: Network) -> tuple[str, ...]:
    """Name what is read beside the layers; a network of a class of one's own need not know the word."""
    return tuple(getattr(network, "taps", ()))


def _places(network: Network) -> dict[str, str]:
    return dict(getattr(network, "places", {}))


def count_at_a_time(network: Network, *, batch: int) -> int:
    """Say how many images go through a network together, so that their responses stay below :data:`MOST_BYTES`.

    Parameters
    ----------
    network : Network
        Asked about one image.
    batch : int
        At most so many.
    """
    image = np.zeros((1, network.input_size, network.input_size, 3), dtype=np.uint8)
    n_units = sum(units.size for units in network.features(image, batch=1).values())
    return max(1, min(batch, MOST_BYTES // (4 * n_units)))


def _require_own_name(plan: _Plan) -> None:
    """Refuse to replace the responses of a network whose name gives the same file name."""
    try:
        found = open_store(plan.path).network if plan.path.is_file() else plan.network.name
    except StoreError:
        return
    if found != plan.network.name:
        raise StoreError(str(plan.path), came=f"responses of network {found!r}",
                         expected=f"a file of {plan.network.name!r} alone; both names have the same letters and digits",
                         remedy="Move the file away, or give the network another name.")


def _write(plan: _Plan, *, layout: Layout, loaded_as: str, progress: ProgressWrapper) -> int:
    """Write the file and its sidecar; give how many images an interrupted attempt had left."""
    network, ids = plan.network, plan.image_ids
    sweep(plan.path.parent, older_than_s=0.0)
    plan = replace(plan, batch=count_at_a_time(network, batch=plan.batch))
    writer = FeatureWriter(plan.path, dtype=plan.parameters["dtype"], batch=plan.batch, attributes={
        "network": network.name, "network_digest": network.digest, "tap": network.tap, "layers": network.layers,
        "readings": [LOGITS], "taps": list(_taps(network)), "places": list(_places(network).values()),
        "image_ids": ids})
    resumed = writer.n_filled
    _fill(writer, plan, stimuli_dir=layout.stimuli, progress=progress)
    sidecar_path(plan.path).unlink(missing_ok=True)
    writer.finish()
    describe_derivative(layout, "features")
    sidecar(plan.path, inputs=plan.inputs, parameters=plan.parameters,
            extra={"Network": network.name, "LoadedAs": loaded_as, "MadeOn": made_on(network),
                   "Sources": sources(plan.path, inputs={"manifest": layout.manifest})})
    return resumed


def _fill(writer: FeatureWriter, plan: _Plan, *, stimuli_dir: Path, progress: ProgressWrapper) -> None:
    """Read images and write responses while the network is at work; nothing is written until every image was read."""
    network, batch = plan.network, plan.batch
    side = network.input_size if "resampled_from_px" in plan.parameters else None
    left = plan.manifest.stimuli[writer.n_filled:]
    batches = [left[first:first + batch] for first in range(0, len(left), batch)]
    bar = iter(progress(range(len(left)), label=f"features of {network.name}", total=len(left)))

    def read(wanted: Sequence[Stimulus]) -> Images:
        images = [read_pixels(stimuli_dir, one) for one in wanted]
        return np.stack(images if side is None else [fit_side(image, side=side) for image in images])

    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        images = deque(reading.submit(read, wanted) for wanted in batches)
        written: Future[None] | None = None
        for wanted in batches:
            shown = images.popleft().result()
            responses = {**network.features(shown, batch=batch), LOGITS: read_logits(network, shown)}
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
    """Say in one line what was made and where it is."""
    size = Path(made.store.path).stat().st_size / 2**20
    state = "already up to date" if made.reused else \
        f"extracted, {made.n_resumed} of them by an earlier attempt" if made.n_resumed else "extracted"
    whose = f"network {made.store.network}" if made.store.network in made.set_networks else \
        f"network {made.store.network}, not the set's ({' and '.join(made.set_networks)})"
    beside = f" and {len(made.store.taps)} taps" if made.store.taps else ""
    return (f"{made.n_layers} layers{beside} x {made.n_images} images of {whose} {state}: {made.store.path} "
            f"({size:.1f} MiB)")
