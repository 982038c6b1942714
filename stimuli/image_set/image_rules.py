"""The rules that concern one image: what is measured on its file, and what must hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stimuli.image_set.measures import contrast_rms, l2, linf, similarity
from stimuli.manifest import Pixels, Stimulus
from stimuli.networks.registry import Network
from subjects.settings.images import StimuliSettings

TOLERANCES = {"p_before": 1e-3, "p_after": 1e-3, "l2": 1e-3, "linf": 1e-3, "ssim": 1e-3, "contrast_rms": 1e-2}
"""Column of the manifest -> how far its number may be from what is measured: rounding, and a network on other
hardware."""
_NAMES = {"p_before": "P of the start", "p_after": "P", "l2": "L2 from its start", "linf": "Linf from its start",
          "ssim": "SSIM to its RE", "contrast_rms": "contrast"}
_DIGITS = {"l2": 3, "contrast_rms": 2}


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
    contrast : float
        RMS contrast, grey levels: the standard deviation about each channel's mean.
    measured : dict of str to float
        Every number of the manifest, measured anew: the columns of :data:`TOLERANCES`; NaN where a file that is
        needed for it is not there.
    expected : dict of str to float
        The same numbers as the manifest has them.
    failures : tuple of str
        Rules that it breaks.
    network : str
        That judged it; of RE of a set of two networks, both.
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
    measured: dict[str, float]
    expected: dict[str, float]
    failures: tuple[str, ...]
    network: str


def check_image(one: Stimulus, *, image: Pixels, start: NDArray[np.generic] | None, probabilities: NDArray[np.float64],
                network: Network, stimuli: StimuliSettings, regular: Pixels | None = None,
                probabilities_before: NDArray[np.float64] | None = None) -> ImageVerdict:
    """Check one image against every rule that concerns it.

    Parameters
    ----------
    one : Stimulus
        Its row.
    image : uint8 array, (side, side, 3)
        Its pixels, as read from the file.
    start : array, (side, side, 3), or None
        What it was made from, RGB in 0..255; None if that is missing.
    probabilities : float64 array, (n_classes,)
        The network's answer to `image`; NaN where it could not be asked.
    network : Network
        The set's network, whose answers these are.
    stimuli : StimuliSettings
        The limits.
    regular : uint8 array, (side, side, 3), optional
        Pixels of the RE image of the same base image. Without them SSIM is not judged.
    probabilities_before : float64 array, (n_classes,), optional
        The network's answer to the rounded start. Without it the P before is not judged.
    """
    judged = one.category_index if one.target_index is None else one.target_index
    known = all(0 <= index < len(network.class_names) for index in (judged, one.category_index))
    p, p_own = (float(probabilities[judged]), float(probabilities[one.category_index])) if known else (np.nan, np.nan)
    before = float(probabilities_before[judged]) if known and probabilities_before is not None else np.nan
    measured = {"p_before": before, "p_after": p, **_measure(image, start=start, regular=regular)}
    expected = {name: float(getattr(one, name)) for name in TOLERANCES}
    failures = [*_probability_failures(one, p=p, stimuli=stimuli), *_size_failures(image, stimuli=stimuli),
                *_label_failures(one, network=network, stimuli=stimuli),
                *_contrast_failures(one, contrast=measured["contrast_rms"], stimuli=stimuli),
                *record_failures(measured, expected)]
    return ImageVerdict(one.image_id, one.file, one.type, one.base_image, one.category,
                        network.class_names[judged] if known else "unknown", p=p, p_own=p_own,
                        contrast=measured["contrast_rms"], measured=measured, expected=expected,
                        failures=tuple(failures), network=network.name)


def _measure(image: Pixels, *, start: NDArray[np.generic] | None, regular: Pixels | None) -> dict[str, float]:
    from_start = start is not None and start.shape == image.shape
    to_regular = regular is not None and regular.shape == image.shape
    return {"l2": l2(image, start) if start is not None and from_start else np.nan,
            "linf": linf(image, start) if start is not None and from_start else np.nan,
            "ssim": similarity(image, regular) if regular is not None and to_regular else np.nan,
            "contrast_rms": contrast_rms(image)}


def record_failures(measured: dict[str, float], expected: dict[str, float]) -> list[str]:
    """Name the numbers of the manifest that are not those of the files; what could not be measured is left out."""
    failures = []
    for name, tolerance in TOLERANCES.items():
        came, wanted = measured[name], expected[name]
        if not math.isnan(came) and not abs(came - wanted) <= tolerance:
            digits = _DIGITS.get(name, 4)
            failures.append(f"{_NAMES[name]} {came:.{digits}f}, the manifest has {wanted:.{digits}f} ({name})")
    return failures


def _probability_failures(one: Stimulus, *, p: float, stimuli: StimuliSettings) -> list[str]:
    if fills_shortfall(one.type, p=p, stimuli=stimuli):
        return []
    limit = {"RE": stimuli.re_p, "AN": stimuli.an_p, "AI": stimuli.ai_p}[one.type]
    holds = p >= limit if one.type == "AN" else p > limit
    if not holds:
        return [f"P {p:.4f}, wanted {'>=' if one.type == 'AN' else '>'} {limit:g}"]
    bounded = one.type == "AN" and stimuli.an_contrast_tolerance is not None and stimuli.an_goal_p is None
    above = bounded and stimuli.an_ceiling_p < 1.0 and p >= stimuli.an_ceiling_p
    return [f"P {p:.4f}, wanted < {stimuli.an_ceiling_p:g} (stimuli.an_ceiling_p)"] if above else []


def fills_shortfall(kind: str, *, p: float, stimuli: StimuliSettings) -> bool:
    """Say whether an image is an RE below the threshold which the settings allow where a class falls short."""
    return kind == "RE" and stimuli.shortfall == "best" and p <= stimuli.re_p


def _size_failures(image: Pixels, *, stimuli: StimuliSettings) -> list[str]:
    side = stimuli.size_px
    return [] if image.shape == (side, side, 3) else [f"{image.shape[1]} x {image.shape[0]} px, wanted {side} x {side}"]


def _label_failures(one: Stimulus, *, network: Network, stimuli: StimuliSettings) -> list[str]:
    failures = []
    names = dict(enumerate(network.class_names))
    if names.get(one.category_index) != one.category:
        failures.append(f"category {one.category!r} is not output {one.category_index} of the network")
    if one.target_index is not None and names.get(one.target_index) != one.target_category:
        failures.append(f"target {one.target_category!r} is not output {one.target_index} of the network")
    if one.class_name not in stimuli.classes:
        failures.append(f"class {one.class_name!r} is not in the settings")
    if one.type == "RE" and one.target_index is not None:
        failures.append("RE has a target category")
    if one.type == "AN" and one.target_index != one.category_index:
        failures.append("the target of AN is another category than its RE's")
    if one.type == "AI" and one.target_index in (None, one.category_index):
        failures.append("the target of AI is no wrong category")
    return failures


def _contrast_failures(one: Stimulus, *, contrast: float, stimuli: StimuliSettings) -> list[str]:
    least, share = stimuli.an_min_contrast, stimuli.an_contrast_tolerance
    if one.type != "AN":
        return []
    if contrast < least:
        return [f"contrast {contrast:.2f} grey levels, wanted >= {least:g}"]
    most = math.inf if share is None or least == 0.0 else least * (1.0 + share)
    return [f"contrast {contrast:.2f} grey levels, wanted <= {most:g} (stimuli.an_contrast_tolerance)"] \
        if contrast > most else []


def without_nan(content: Any) -> Any:
    """Give the same content with None for NaN, which JSON does not know."""
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
