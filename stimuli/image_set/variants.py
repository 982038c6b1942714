"""The AN or the AI of a finished set made once more by other choices, from the same RE: how much hangs on them.

A variant has a folder of its own: its images, a note that says how each ended, and its responses at each tap. The set
stays as it is. A variant that was interrupted is completed: batches that were finished are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stimuli.image_set.build import require_faint_start
from stimuli.image_set.exports.feature_writer import FeatureWriter
from stimuli.image_set.making import write_png
from stimuli.image_set.measures import contrast_rms
from stimuli.image_set.set_network import NetworkChoice, load_set_network, settings_of_set
from stimuli.image_set.set_rules import require_rows
from stimuli.manifest import Manifest, Pixels, image_id_of, read_image, read_manifest, read_pixels
from stimuli.networks.alexnet import TAPS
from stimuli.networks.hardware import ON_CPU, Hardware, computing, place
from stimuli.networks.protocol import LOGITS, read_logits
from stimuli.networks.registry import Network
from stimuli.perturbation.ascent import Rule, ascend
from stimuli.perturbation.rules import interference_rule, noise_rule
from stimuli.perturbation.start_image import with_kept_mean
from stimuli.perturbation.targets import choose_targets
from stimuli.regular_images.base_images import BaseImage
from subjects.cli import ProgressWrapper, silent
from subjects.errors import ManifestError, StoreError
from subjects.layout import Layout, network_label
from subjects.provenance import FileFormat
from subjects.settings.images import StimuliSettings
from subjects.settings.study import Settings
from subjects.store import locked, read_json, write_json

VARIANT = FileFormat("variant of a stimulus set", version=1)
KINDS = ("AN", "AI", "own")
"""What a variant makes: AN, AI, or nothing: the set itself, whose responses are taken at other taps."""


@dataclass(frozen=True)
class Ended:
    """How one image of a variant ended.

    Parameters
    ----------
    base_image, image_id : str
    target_index : int
        The output that was raised.
    p, contrast : float
        Its probability and the RMS contrast in grey levels, on the written file.
    iterations : int
    reached : bool
        Whether the rule is satisfied; if not, the image is where the steps ran out.
    """

    base_image: str
    image_id: str
    target_index: int
    p: float
    contrast: float
    iterations: int
    reached: bool


@dataclass(frozen=True, eq=False)
class Varied:
    """A variant on disk: `features` holds a file for each tap, in the order in which they were asked for."""

    folder: Path
    kind: str
    network: str
    images: tuple[Ended, ...]
    features: tuple[Path, ...]

    def record(self) -> dict[str, Any]:
        """Give what ``vary --json`` prints."""
        return {"folder": self.folder, "type": self.kind, "network": self.network, "features": list(self.features),
                "images": [asdict(one) for one in self.images]}

    def summary(self) -> str:
        """Say in one line what was made and where it is."""
        n, made = sum(one.reached for one in self.images), len(self.images)
        what = f"{made} {self.kind}, {n} of them as the rules ask" if made else "the set's own images"
        return (f"{what}; responses of network {self.network} at {len(self.features)} "
                f"tap{'s' * (len(self.features) != 1)}: {self.folder}")


def vary(layout: Layout, settings: Settings, *, kind: str, folder: Path, seed: int | None = None,
         taps: Sequence[str] = (), network: str | None = None, hardware: Hardware = ON_CPU, name: str = "variant",
         progress: ProgressWrapper = silent) -> Varied:
    """Make a variant of a set, and take its responses.

    Parameters
    ----------
    layout : Layout
        A study with a finished set.
    settings : Settings
        The study's, with those changed by which the variant is made.
    kind : {"AN", "AI", "own"}
        Which images are made.
    folder : Path
        Where it goes: ``images/``, ``variant.json``, ``features_tap-<tap>.h5``.
    seed : int, optional
        Of the draw of targets. Default: the study's.
    taps : sequence of str
        Where responses are taken: names of taps that the network offers, or the modules that stand for its layers, by
        names or patterns with spaces between them. Default: where the set's are.
    network : str, optional
        By which of a set's two networks; the responses are to RE and its own AN and AI. Default: the first.
    hardware : Hardware
        Where the network computes.
    name : str
        What progress is called.
    progress : ProgressWrapper
        Told of images.

    Raises
    ------
    StudyError
        If the set or its network cannot be read, there is no way to draw the targets, or the folder holds another
        variant.
    """
    whole = read_manifest(layout.manifest)
    require_rows(whole, settings.stimuli, path=layout.manifest)
    stimuli, asked = settings_of_set(layout, settings.stimuli), NetworkChoice(name=network)
    networks = {tap: place(one, hardware=hardware)
                for tap, one in _networks(layout, stimuli, taps=taps, asked=asked).items()}
    by = next(iter(networks.values())).name
    manifest = whole.of_network(by)
    with locked(folder, what="a variant of the stimulus set"), computing(hardware):
        ended: tuple[Ended, ...] = ()
        if kind != "own":
            maker = _Maker(layout, stimuli, manifest=manifest, folder=folder, kind=kind,
                           network=with_kept_mean(layout, stimuli, network=next(iter(networks.values()))),
                           seed=settings.study.seed if seed is None else seed)
            ended = tuple(progress(maker.make(), label=name, total=len(manifest.base_images)))
        shown = {one.image_id: variant_image(folder, one.base_image, kind=kind) for one in ended} or \
            {one.image_id: layout.stimulus(one.file) for one in manifest.stimuli}
        files = tuple(_take(network, shown, tap=tap, folder=folder, batch=stimuli.batch, progress=progress)
                      for tap, network in networks.items())
    return Varied(folder, kind, by, ended, files)


def _networks(layout: Layout, stimuli: StimuliSettings, *, taps: Sequence[str],
              asked: NetworkChoice) -> dict[str, Network]:
    """Load the set's network, or one of two, once for each place where it is read, by the name of the place."""
    if not taps:
        own = load_set_network(layout, stimuli, asked=asked)
        return {own.tap: own}
    plain = stimuli.model_copy(update={"layers": (), "taps": ()})
    return {tap: load_set_network(layout, plain, asked=asked, tap=tap) if tap in TAPS else
            load_set_network(layout, plain, asked=replace(asked, layers=tuple(tap.split()))) for tap in taps}


def variant_image(folder: Path, base_image: str, *, kind: str) -> Path:
    """Spell the path of one image of a variant."""
    return folder / "images" / f"{base_image}_{kind}.png"


class _Maker:
    """Makes the images of one variant batch by batch, and goes on where it was interrupted."""

    def __init__(self, layout: Layout, stimuli: StimuliSettings, *, manifest: Manifest, folder: Path,
                 kind: str, network: Network, seed: int) -> None:
        self._layout, self._stimuli, self._manifest, self._folder = layout, stimuli, manifest, folder
        self._kind, self._network, self._seed = kind, network, seed
        self._origin = {"manifest": manifest.digest, "network": network.digest, "seed": seed,
                        "stimuli": stimuli.model_dump(mode="json")}
        self._rows = self._read()

    @property
    def _note(self) -> Path:
        return self._folder / "variant.json"

    def _read(self) -> dict[str, Ended]:
        """Read which images are there, whole."""
        if not self._note.is_file():
            return {}
        note = read_json(self._note)
        VARIANT.require(note.get("format_version"), where=self._note)
        if note.get("origin") != self._origin:
            raise StoreError(str(self._note), came="a variant made by other choices or of another set",
                             expected="a free folder, or the same variant", remedy="Name another folder.")
        return {one.base_image: one for one in (Ended(**row) for row in note["images"]) if self._is_whole(one)}

    def _is_whole(self, one: Ended) -> bool:
        try:
            return image_id_of(read_image(self._file(one.base_image))) == one.image_id
        except ManifestError:
            return False  # it is made again

    def _file(self, base_image: str) -> Path:
        return variant_image(self._folder, base_image, kind=self._kind)

    def make(self) -> Iterator[Ended]:
        """Make what is missing; give how every image ended, in the order of the manifest."""
        bases = [BaseImage(one.base_image, one.class_name, one.category, one.category_index)
                 for one in self._manifest.stimuli if one.type == "RE"]
        targets, size = self._targets(bases), self._stimuli.batch
        for first in range(0, len(bases), size):
            batch = bases[first:first + size]
            if not all(base.base_image in self._rows for base in batch):
                self._ascend(batch, [targets[base.base_image] for base in batch])
            yield from (self._rows[base.base_image] for base in batch)

    def _targets(self, bases: Sequence[BaseImage]) -> dict[str, int]:
        if self._kind == "AN":
            return {base.base_image: base.category_index for base in bases}
        size = self._stimuli.batch
        answers = [self._network.probabilities(self._regular(bases[first:first + size]), batch=size)
                   for first in range(0, len(bases), size)]
        return choose_targets(bases, stimuli=self._stimuli, seed=self._seed, probabilities=np.concatenate(answers))

    def _regular(self, bases: Sequence[BaseImage]) -> NDArray[np.uint8]:
        return np.stack([read_pixels(self._layout.stimuli, self._manifest.get(base_image=base.base_image, type="RE"))
                         for base in bases])

    def _start(self, bases: Sequence[BaseImage]) -> tuple[NDArray[np.generic], Rule]:
        if self._kind == "AI":
            return self._regular(bases), interference_rule(self._stimuli)
        require_faint_start(self._stimuli, self._network.mean_image)
        return np.repeat(self._network.mean_image[None], len(bases), axis=0), noise_rule(self._stimuli)

    def _ascend(self, batch: Sequence[BaseImage], targets: Sequence[int]) -> None:
        starts, rule = self._start(batch)
        found = sorted(ascend(self._network, starts, targets=np.array(targets), rule=rule), key=lambda one: one.index)
        for base, one in zip(batch, found, strict=True):
            write_png(self._file(base.base_image), one.pixels)
        pixels = np.stack([read_image(self._file(base.base_image)) for base in batch])
        answers = self._network.probabilities(pixels, batch=self._stimuli.batch)
        for base, target, one, image, p in zip(batch, targets, found, pixels, answers, strict=True):
            self._rows[base.base_image] = Ended(base.base_image, image_id_of(image), int(target), float(p[target]),
                                                contrast_rms(image), one.iterations, one.reached)
        write_json(self._note, {**VARIANT.stamp(), "origin": self._origin,
                                "images": [asdict(one) for one in self._rows.values()]}, overwrite=True)


def _take(network: Network, images: Mapping[str, Path], *, tap: str, folder: Path, batch: int,
          progress: ProgressWrapper) -> Path:
    """Take a network's responses to image files, which are named by their digests."""
    path = folder / f"features_tap-{network_label(tap)}.h5"
    writer = FeatureWriter(path, dtype="float32", batch=batch, attributes={
        "network": network.name, "network_digest": network.digest, "tap": tap, "layers": network.layers,
        "readings": [LOGITS], "image_ids": list(images)})
    left = list(images.items())[writer.n_filled:]
    batches = [left[first:first + batch] for first in range(0, len(left), batch)]
    for part in progress(batches, label=f"responses {tap}", total=len(batches)):
        shown = np.stack([_unchanged(file, image_id) for image_id, file in part])
        found = network.features(shown, batch=batch)
        writer.append({**{layer: found[layer] for layer in network.layers}, LOGITS: read_logits(network, shown)})
    writer.finish()
    return path


def _unchanged(path: Path, image_id: str) -> Pixels:
    pixels = read_image(path)
    if image_id_of(pixels) != image_id:
        raise ManifestError(str(path), came="other pixels than when it was made", expected=image_id,
                            remedy="Restore the image, or make it again.")
    return pixels
