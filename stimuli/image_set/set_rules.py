"""The rules that concern a set as a whole: its rows and their order, its pairing, and near-duplicate images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from stimuli.files import build_again
from stimuli.manifest import TYPES, Manifest, Pixels, Stimulus
from subjects.errors import ManifestError
from subjects.profile import base_images
from subjects.settings.images import StimuliSettings

_FIRST_ROW = 2  # row 1 of the table is its header


def set_failures(manifest: Manifest, stimuli: StimuliSettings, *, pixels: Mapping[str, Pixels]) -> Iterator[str]:
    """Name what is wrong with the set as such.

    Parameters
    ----------
    manifest : Manifest
        The table.
    stimuli : StimuliSettings
        Which base images, classes and targets there should be.
    pixels : mapping of str to uint8 array, (side, side, 3)
        ``image_id`` -> image.
    """
    wanted = 1 if stimuli.second_network is None else 2
    if len(manifest.networks) != wanted:
        yield f"AN and AI of {len(manifest.networks)} networks, the settings name {wanted} (stimuli.second_network)"
    yield from row_failures(manifest, stimuli)
    yield from _pairing_failures(manifest, stimuli)
    yield from _joint_failures(manifest, stimuli)
    named = [one.category for one in manifest.stimuli if one.type == "RE"]
    yield from (f"category {name} has {named.count(name)} base images" for name in dict.fromkeys(named)
                if named.count(name) > 1)
    yield from _duplicate_failures(manifest, stimuli, pixels=pixels)


def row_failures(manifest: Manifest, stimuli: StimuliSettings) -> list[str]:
    """Name missing rows, rows that the settings do not know, and the first row out of its place.

    Rows stand base image by base image in the order of the settings' classes, each as RE, AN, AI, and AN and AI of a
    second network.
    """
    kinds = [("RE", ""), *((kind, "" if len(manifest.networks) < 2 else f"by {name}") for name in manifest.networks
                           or ("",) for kind in TYPES[1:])]
    wanted = [(base, *kind) for base in base_images(stimuli) for kind in kinds]
    found = [(one.base_image, one.type, "" if one.type == "RE" or len(manifest.networks) < 2 else f"by {one.network}")
             for one in manifest.stimuli]
    there, known = set(found), set(wanted)
    failures = [f"no {kind} of {base} {by}".rstrip() for base, kind, by in wanted if (base, kind, by) not in there]
    failures += [f"{base} {kind} is not in the settings" for base, kind, by in found if (base, kind, by) not in known]
    ordered = [place for place in wanted if place in there]
    shared = [(row, place) for row, place in enumerate(found, start=_FIRST_ROW) if place in known]
    for (row, place), should in zip(shared, ordered, strict=True):
        if place != should:
            moved = f"row {row} of the manifest is {' '.join(place).rstrip()}, wanted {' '.join(should).rstrip()}"
            return [*failures, f"{moved}: the rows are not in the order in which they were written"]
    return failures


def require_rows(manifest: Manifest, stimuli: StimuliSettings, *, path: Path) -> None:
    """Refuse a manifest from which a row is missing, or whose rows were moved.

    Raises
    ------
    ManifestError
        With every row concerned (at most 3 by name).
    """
    failures = row_failures(manifest, stimuli)
    if failures:
        more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise ManifestError(str(path), came="; ".join(failures[:3]) + more,
                            expected=f"RE, AN and AI of the {len(base_images(stimuli))} base images of the settings, "
                                     "in the order in which they were written",
                            remedy=f"Restore the table, or build the set again with {build_again(path.parent)}.")


def _pairing_failures(manifest: Manifest, stimuli: StimuliSettings) -> Iterator[str]:
    regulars = {one.base_image: one for one in manifest.stimuli if one.type == "RE"}
    class_of = {one.category: one.class_name for one in manifest.stimuli}
    for one in manifest.stimuli:
        base, kind, regular = one.base_image, one.type, regulars.get(one.base_image, one)
        if (one.category, one.class_name) != (regular.category, regular.class_name):
            yield f"{base} {kind} is of {one.category} ({one.class_name}), its RE of {regular.category}"
        if base.rpartition("-")[0] != one.class_name:
            yield f"{base} {kind} is of class {one.class_name}"
        if kind == "AI" and stimuli.ai_target == "other_class" and \
                class_of.get(one.target_category or "", one.class_name) == one.class_name:
            yield f"the target of {base} AI is {one.target_category}, not a category of another class"


def _joint_failures(manifest: Manifest, stimuli: StimuliSettings) -> Iterator[str]:
    """Name targets that a joint draw does not give: a category twice, or two classes for the images of one."""
    if stimuli.ai_target != "other_class" or stimuli.ai_draw == "independent":
        return
    for network in manifest.networks:
        yield from _draw_failures([one for one in manifest.stimuli if one.type == "AI" and one.network == network],
                                  manifest, stimuli)


def _draw_failures(aims: Sequence[Stimulus], manifest: Manifest, stimuli: StimuliSettings) -> Iterator[str]:
    named = [one.target_category for one in aims]
    for name in dict.fromkeys(named):
        if named.count(name) > 1:
            yield f"category {name} is the target of {named.count(name)} AI, wanted one (stimuli.ai_draw)"
    class_of = {one.category: one.class_name for one in manifest.stimuli}
    for kind in dict.fromkeys(one.class_name for one in aims) if stimuli.ai_draw == "class_to_class" else ():
        reached = dict.fromkeys(class_of.get(one.target_category or "", "unknown") for one in aims
                                if one.class_name == kind)
        if len(reached) > 1:
            yield f"the AI of class {kind} have targets in {', '.join(reached)}, wanted one (stimuli.ai_draw)"


def _duplicate_failures(manifest: Manifest, stimuli: StimuliSettings, *, pixels: Mapping[str, Pixels]) -> Iterator[str]:
    regular = {one.file: pixels[one.image_id] for one in manifest.stimuli if one.type == "RE"}
    limit = stimuli.near_duplicate_bits
    for pair in near_duplicates(regular, bits=limit):
        yield (f"{pair.first} and {pair.second} are nearly the same image: {pair.bits} of {BITS} bits of their "
               f"perceptual hashes differ, wanted more than {limit} (stimuli.near_duplicate_bits)")


BITS = 63
_SIDE, _LOW = 32, 8


@dataclass(frozen=True)
class Pair:
    """Two images that are nearly the same, and in how many of :data:`BITS` bits they differ."""

    first: str
    second: str
    bits: int


def perceptual_hash(pixels: Pixels) -> NDArray[np.bool_]:
    """Hash what an image looks like, not its bytes.

    Parameters
    ----------
    pixels : uint8 array, (height, width, 3)
        RGB.

    Returns
    -------
    bool array, (63,)
        The image in grey at 32 x 32; of its cosine transform the 8 x 8 lowest frequencies without the mean; true
        where a coefficient is above their median (the pHash of Zauner 2010, Upper Austria University).

    Notes
    -----
    Noise of 8 grey levels flips at most 2 bits, a border of 3 % cut away about 6; the nearest two of 171
    photographs of different things differ in 14, the nearest two of the 40 demo drawings in 20.
    """
    grey = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    low = dctn(np.asarray(grey, dtype=np.float64), norm="ortho")[:_LOW, :_LOW].ravel()[1:].round(6)
    bits: NDArray[np.bool_] = low > np.median(low)
    return bits


def near_duplicates(images: Mapping[str, Pixels], *, bits: int) -> tuple[Pair, ...]:
    """List the pairs of images whose hashes differ in at most `bits` bits, the nearest first.

    Parameters
    ----------
    images : mapping of str to uint8 array, (height, width, 3)
        Name -> pixels; sizes may differ.
    bits : int
        0 to :data:`BITS`.
    """
    hashes = {name: perceptual_hash(pixels) for name, pixels in images.items()}
    pairs = [Pair(a, b, int((hashes[a] != hashes[b]).sum())) for a, b in combinations(hashes, 2)]
    return tuple(sorted((pair for pair in pairs if pair.bits <= bits), key=lambda pair: pair.bits))
