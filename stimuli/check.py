"""Validation of a stimulus set from its files alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stimuli.attacks import rms_contrast
from stimuli.build import distances
from stimuli.manifest import TYPES, Manifest, Stimulus, read_manifest, read_pixels
from stimuli.network import Network, load_network
from subjects.console import ProgressWrapper, silent
from subjects.errors import ManifestError
from subjects.layout import Layout
from subjects.profile import base_images
from subjects.settings import Settings

_TOLERANCE = 0.005


@dataclass(frozen=True)
class ImageVerdict:
    """What the check found for one image.

    Parameters
    ----------
    image_id, file, type, base_image : str
        Which image.
    judged_as : str
        The category whose probability counts: the own one for RE and AN, the wrong one for AI.
    p : float
        Its probability, read from the PNG.
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
    judged_as: str
    p: float
    p_own: float
    contrast: float
    noise: float
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """The check of a whole set: every image, and what is wrong with the set as such."""

    images: tuple[ImageVerdict, ...]
    set_failures: tuple[str, ...]
    network: str

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


def check(layout: Layout, settings: Settings, *, progress: ProgressWrapper = silent) -> Verdict:
    """Check every rule of the set from manifest and PNG files.

    Parameters
    ----------
    layout, settings
        The study.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Verdict
        Rules that do not hold are listed, not raised.

    Raises
    ------
    ManifestError
        If a file is missing, not square or changed since it was made, or the network is another.
    """
    manifest = read_manifest(layout.manifest)
    names = {one.network for one in manifest.stimuli}
    if len(names) != 1:
        raise ManifestError(str(layout.manifest), came=f"{len(names)} networks", expected="one network for the whole set",
                            remedy="Build the set again.")
    network = load_network(names.pop())
    _require_same_network(layout, manifest, network)
    pixels = {one.image_id: read_pixels(layout.stimuli, one)
              for one in progress(manifest.stimuli, label="reading images")}
    chances = network.probabilities(np.stack(list(pixels.values())))
    verdicts = tuple(_judge(one, pixels=pixels, manifest=manifest, chances=chances[k], network=network,
                            settings=settings)
                     for k, one in enumerate(progress(manifest.stimuli, label="judging images")))
    return Verdict(verdicts, _set_failures(manifest, settings), network.name)


def _require_same_network(layout: Layout, manifest: Manifest, network: Network) -> None:
    for one in manifest.stimuli:
        if one.network_digest != network.digest:
            raise ManifestError(f"{layout.manifest}, {one.file}", came=f"network digest {one.network_digest}",
                                expected=f"{network.digest}, the network {network.name!r} at hand",
                                remedy="Use the network that the set was made with, or build the set again.")


def _judge(one: Stimulus, *, pixels: dict[str, NDArray[np.uint8]], manifest: Manifest, chances: NDArray[np.float64],
           network: Network, settings: Settings) -> ImageVerdict:
    judged = one.category_index if one.target_index is None else one.target_index
    image = pixels[one.image_id]
    start: NDArray[Any] = network.mean_image
    if one.type != "AN":
        start = pixels[manifest.get(base_image=one.base_image, type="RE").image_id]
    l2, linf = distances(image, start)
    noise = 255.0 * l2 / np.sqrt(image.size)
    contrast = rms_contrast(image)
    failures = [*_probability_failures(one, p=float(chances[judged]), settings=settings),
                *_label_failures(one, network=network, settings=settings),
                *_size_failures(image, settings=settings)]
    if one.type == "AN" and min(noise, contrast) < settings.stimuli.an_min_contrast:
        failures.append(f"contrast {min(noise, contrast):.2f} under {settings.stimuli.an_min_contrast:g} grey levels")
    if one.type != "RE" and abs(l2 - one.l2) > _TOLERANCE * max(1.0, one.l2):
        failures.append(f"L2 {l2:.3f}, manifest {one.l2:.3f}")
    if abs(float(chances[judged]) - one.p_after) > _TOLERANCE:
        failures.append(f"P {chances[judged]:.4f}, manifest {one.p_after:.4f}")
    return ImageVerdict(one.image_id, one.file, one.type, one.base_image, network.class_names[judged],
                        p=float(chances[judged]), p_own=float(chances[one.category_index]), contrast=contrast,
                        noise=float(noise), failures=tuple(failures))


def _probability_failures(one: Stimulus, *, p: float, settings: Settings) -> list[str]:
    stimuli = settings.stimuli
    limit = {"RE": stimuli.re_p, "AN": stimuli.an_p, "AI": stimuli.ai_p}[one.type]
    holds = p >= limit if one.type == "AN" else p > limit
    return [] if holds else [f"P {p:.4f}, wanted {'>=' if one.type == 'AN' else '>'} {limit:g}"]


def _label_failures(one: Stimulus, *, network: Network, settings: Settings) -> list[str]:
    failures = []
    if not 0 <= one.category_index < len(network.class_names) or network.class_names[one.category_index] != one.category:
        failures.append(f"category {one.category!r} is not number {one.category_index} of the network")
    if one.class_name not in settings.stimuli.classes:
        failures.append(f"class {one.class_name!r} is not in the settings")
    if one.type == "AN" and one.target_index != one.category_index:
        failures.append("AN aims at another category than its RE's")
    if one.type == "AI" and one.target_index in (None, one.category_index):
        failures.append("AI aims at no wrong category")
    return failures


def _size_failures(image: NDArray[np.uint8], *, settings: Settings) -> list[str]:
    side = settings.stimuli.size_px
    return [] if image.shape == (side, side, 3) else [f"{image.shape[1]} x {image.shape[0]} px, wanted {side} x {side}"]


def _set_failures(manifest: Manifest, settings: Settings) -> tuple[str, ...]:
    wanted, found = set(base_images(settings)), {(one.base_image, one.type) for one in manifest.stimuli}
    failures = [f"no {kind} of {base}" for base in sorted(wanted) for kind in TYPES if (base, kind) not in found]
    failures += [f"{base} {kind} is not in the settings" for base, kind in sorted(found) if base not in wanted]
    return tuple(failures)
