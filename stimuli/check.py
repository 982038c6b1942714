"""Validation of a stimulus set from its files alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stimuli.manifest import TYPES, Manifest, Pixels, Stimulus, read_manifest, read_pixels
from stimuli.mean_image import started
from stimuli.measures import contrast_rms, l2, noise_rms
from stimuli.network import Network, cpu_threads, network_of
from subjects.console import ProgressWrapper, silent
from subjects.errors import ManifestError
from subjects.layout import Layout
from subjects.profile import base_images
from subjects.settings import Settings

_P_TOLERANCE = 1e-3
_L2_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ImageVerdict:
    """What the check found for one image.

    Parameters
    ----------
    image_id, file, type, base_image, category : str
        Which image.
    judged_as : str
        The category whose probability counts: the own one for RE and AN, the wrong one for AI.
    p : float
        Its probability, judged on the file's pixels.
    p_own : float
        Probability of the own category.
    contrast, noise : float
        RMS contrast, and RMS distance from the start, in grey levels.
    failures : tuple of str
        Rules that do not hold.
    """

    image_id: str
    file: str
    type: str
    base_image: str
    category: str
    judged_as: str
    p: float
    p_own: float
    contrast: float
    noise: float
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """The check of a whole set: every image, what is wrong with the set as such, and RE that fill a shortfall."""

    images: tuple[ImageVerdict, ...]
    set_failures: tuple[str, ...]
    network: str
    fillings: tuple[str, ...] = ()

    @property
    def n_images(self) -> int:
        """Count the images."""
        return len(self.images)

    @property
    def n_failed(self) -> int:
        """Count the images that break a rule."""
        return sum(bool(one.failures) for one in self.images)

    @property
    def ok(self) -> bool:
        """Say whether every image and the set hold."""
        return not self.n_failed and not self.set_failures

    def to_json(self) -> dict[str, Any]:
        """Give the verdict as what JSON can hold."""
        return {"ok": self.ok, "n_images": self.n_images, "n_failed": self.n_failed, **asdict(self)}


def check(layout: Layout, settings: Settings, *, threads: int = 1, progress: ProgressWrapper = silent) -> Verdict:
    """Check every rule of the set from manifest and PNG files.

    Parameters
    ----------
    layout, settings
        The study.
    threads : int
        CPU threads of the network.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Verdict
        Rules that do not hold are listed, not raised.

    Raises
    ------
    ManifestError
        If the manifest cannot be read, or a file is missing, not square, or changed by as much as one pixel since
        it was made, or the set was made with another network.
    """
    manifest = read_manifest(layout.manifest)
    network = _require_network(layout, manifest, network_of(settings.stimuli, root=layout.root))
    network = started(layout, settings, network=network)
    pixels = {one.image_id: read_pixels(layout.stimuli, one)
              for one in progress(manifest.stimuli, label="reading images", total=len(manifest))}
    with cpu_threads(threads):
        verdicts = tuple(progress(_judge_all(manifest, pixels, network=network, settings=settings),
                                  label="judging images", total=len(manifest)))
    fillings = tuple(one.file for one in verdicts if is_filling(one.type, p=one.p, settings=settings))
    return Verdict(verdicts, tuple(_set_failures(manifest, settings)), network.name, fillings)


def _require_network(layout: Layout, manifest: Manifest, network: Network) -> Network:
    for one in manifest.stimuli:
        if (one.network, one.network_digest) != (network.name, network.digest):
            raise ManifestError(f"{layout.manifest}, {one.file}", came=f"network {one.network} {one.network_digest}",
                                expected=f"{network.name} {network.digest}, the network of the settings",
                                remedy="Use the network that the set was made with, or build the set again.")
    return network


def _judge_all(manifest: Manifest, pixels: dict[str, Pixels], *, network: Network,
               settings: Settings) -> Iterator[ImageVerdict]:
    size = settings.stimuli.batch
    for first in range(0, len(manifest), size):
        batch = manifest.stimuli[first:first + size]
        fitting = [one for one in batch if pixels[one.image_id].shape[0] == network.input_size]
        images = np.array([pixels[one.image_id] for one in fitting], dtype=np.uint8)
        images = images.reshape(-1, network.input_size, network.input_size, 3)
        rows = dict(zip(fitting, network.probabilities(images, batch=size), strict=True))
        unjudged = np.full(len(network.class_names), np.nan)
        for one in batch:
            yield judge_image(one, image=pixels[one.image_id], chances=rows.get(one, unjudged), network=network,
                              start=_start(one, manifest=manifest, pixels=pixels, network=network), settings=settings)


def _start(one: Stimulus, *, manifest: Manifest, pixels: dict[str, Pixels],
           network: Network) -> NDArray[np.generic] | None:
    if one.type == "AN":
        return network.mean_image
    regular = next((other for other in manifest.stimuli if (other.base_image, other.type) == (one.base_image, "RE")),
                   None)
    return None if regular is None else pixels[regular.image_id]


def judge_image(one: Stimulus, *, image: Pixels, start: NDArray[np.generic] | None, chances: NDArray[np.float64],
                network: Network, settings: Settings) -> ImageVerdict:
    """Hold one image against every rule that concerns it.

    Parameters
    ----------
    one : Stimulus
        Its row.
    image : uint8 array, (side, side, 3)
        Its pixels, as read from the file.
    start : array, (side, side, 3), or None
        What it was made from, RGB in 0..255; None if that is missing.
    chances : float64 array, (n_classes,)
        The network's answer to `image`; NaN where it could not be asked.
    network : Network
        The judge.
    settings : Settings
        The limits.
    """
    judged = one.category_index if one.target_index is None else one.target_index
    known = all(0 <= index < len(network.class_names) for index in (judged, one.category_index))
    p, p_own = (float(chances[judged]), float(chances[one.category_index])) if known else (np.nan, np.nan)
    measurable = start is not None and start.shape == image.shape
    noise = noise_rms(image, start) if start is not None and measurable else np.nan
    distance = l2(image, start) if start is not None and measurable else np.nan
    contrast = contrast_rms(image)
    failures = [*_probability_failures(one, p=p, settings=settings), *_size_failures(image, settings=settings),
                *_label_failures(one, network=network, settings=settings),
                *_contrast_failures(one, contrast=contrast, noise=noise, settings=settings),
                *_record_failures(one, p=p, distance=distance)]
    return ImageVerdict(one.image_id, one.file, one.type, one.base_image, one.category,
                        network.class_names[judged] if known else "unknown", p=p, p_own=p_own, contrast=contrast,
                        noise=noise, failures=tuple(failures))


def _probability_failures(one: Stimulus, *, p: float, settings: Settings) -> list[str]:
    stimuli = settings.stimuli
    if is_filling(one.type, p=p, settings=settings):
        return []
    limit = {"RE": stimuli.re_p, "AN": stimuli.an_p, "AI": stimuli.ai_p}[one.type]
    holds = p >= limit if one.type == "AN" else p > limit
    return [] if holds else [f"P {p:.4f}, wanted {'>=' if one.type == 'AN' else '>'} {limit:g}"]


def is_filling(kind: str, *, p: float, settings: Settings) -> bool:
    """Say whether an image is an RE below the threshold that the settings allow to fill a shortfall."""
    return kind == "RE" and settings.stimuli.shortfall == "best" and p <= settings.stimuli.re_p


def _size_failures(image: Pixels, *, settings: Settings) -> list[str]:
    side = settings.stimuli.size_px
    return [] if image.shape == (side, side, 3) else [f"{image.shape[1]} x {image.shape[0]} px, wanted {side} x {side}"]


def _label_failures(one: Stimulus, *, network: Network, settings: Settings) -> list[str]:
    failures = []
    names = dict(enumerate(network.class_names))
    if names.get(one.category_index) != one.category:
        failures.append(f"category {one.category!r} is not output {one.category_index} of the network")
    if one.target_index is not None and names.get(one.target_index) != one.target_category:
        failures.append(f"target {one.target_category!r} is not output {one.target_index} of the network")
    if one.class_name not in settings.stimuli.classes:
        failures.append(f"class {one.class_name!r} is not in the settings")
    if one.type == "RE" and one.target_index is not None:
        failures.append("RE aims at a category")
    if one.type == "AN" and one.target_index != one.category_index:
        failures.append("AN aims at another category than its RE's")
    if one.type == "AI" and one.target_index in (None, one.category_index):
        failures.append("AI aims at no wrong category")
    return failures


def _contrast_failures(one: Stimulus, *, contrast: float, noise: float, settings: Settings) -> list[str]:
    least = settings.stimuli.an_min_contrast
    if one.type != "AN":
        return []
    return [f"{name} {value:.2f} grey levels, wanted >= {least:g}"
            for name, value in (("contrast", contrast), ("noise", noise)) if not value >= least]


def _record_failures(one: Stimulus, *, p: float, distance: float) -> list[str]:
    failures = []
    if not abs(p - one.p_after) <= _P_TOLERANCE:
        failures.append(f"P {p:.4f}, the manifest has {one.p_after:.4f}")
    if one.type != "RE" and not abs(distance - one.l2) <= _L2_TOLERANCE:
        failures.append(f"L2 {distance:.3f} from its start, the manifest has {one.l2:.3f}")
    return failures


def _set_failures(manifest: Manifest, settings: Settings) -> Iterator[str]:
    wanted, found = base_images(settings), {(one.base_image, one.type): one for one in manifest.stimuli}
    yield from (f"no {kind} of {base}" for base in wanted for kind in TYPES if (base, kind) not in found)
    yield from (f"{base} {kind} is not in the settings" for base, kind in found if base not in wanted)
    class_of = {one.category: one.class_name for one in manifest.stimuli}
    for (base, kind), one in found.items():
        regular = found.get((base, "RE"), one)
        if (one.category, one.class_name) != (regular.category, regular.class_name):
            yield f"{base} {kind} is of {one.category} ({one.class_name}), its RE of {regular.category}"
        if base.rpartition("-")[0] != one.class_name:
            yield f"{base} {kind} is of class {one.class_name}"
        if kind == "AI" and settings.stimuli.ai_target == "other_class" and \
                class_of.get(one.target_category or "", one.class_name) == one.class_name:
            yield f"{base} AI aims at {one.target_category}, not at a category of another class"
    named = [one.category for one in manifest.stimuli if one.type == "RE"]
    yield from (f"category {name} has {named.count(name)} base images" for name in dict.fromkeys(named)
                if named.count(name) > 1)
