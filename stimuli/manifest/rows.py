"""The rows of the table of shown images as records: an image, and all images of a study."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from stimuli.files import require_inside
from subjects.errors import ManifestError
from subjects.profile import is_mirrored
from subjects.provenance import digest_json

TYPES = ("RE", "AN", "AI")

OPTIONAL_TEXT = ("target_category",)
OPTIONAL_NUMBERS = ("target_index",)
_RANGES = {"p_before": (0.0, 1.0, "a probability"), "p_after": (0.0, 1.0, "a probability"),
           "l2": (0.0, math.inf, "a distance, finite and not negative"),
           "linf": (0.0, 1.0, "a distance from 0 to 1"), "ssim": (-1.0, 1.0, "a similarity from -1 to 1"),
           "contrast_rms": (0.0, 127.5, "grey levels from 0 to 127.5"),
           "category_index": (0, math.inf, "the index of an output, not negative"),
           "iterations": (0, math.inf, "a count, not negative")}
CORRECT = "Restore the table, or build the set again with `python -m stimuli build --overwrite`."


@dataclass(frozen=True)
class Stimulus:
    """One shown image.

    Parameters
    ----------
    image_id : str
        ``px-`` and 16 hexadecimal digits; see :func:`image_id_of`.
    file : str
        Path relative to the study's ``stimuli/``, with forward slashes.
    type : {"RE", "AN", "AI"}
        Regular, adversarial noise, adversarial interference.
    base_image : str
        What an RE image and its AN and AI share, for example ``"dogs-01"``.
    category, category_index : str, int
        Category of the base image, and its index among the network's classes.
    class_name : str
        Class of the category (column ``class``).
    target_category, target_index : str or None, int or None
        The category whose probability the perturbation raises: for AN the own category, for AI a wrong one.
    network, network_digest : str
        The network that the image was made with; its answers are the image's probabilities. RE of a set of two networks
        name both, and their probabilities are the smaller of the two networks'.
    p_before, p_after : float
        Probability of the target (for RE of the own category) at the start and on the written image.
    l2, linf : float
        Distance from the start on RGB in [0, 1].
    ssim : float
        Structural similarity to the base image's RE.
    contrast_rms : float
        Standard deviation about each channel's mean, in grey levels 0..255.
    iterations, seed : int
        Steps taken (for RE: candidates seen), and the seed.
    """

    image_id: str
    file: str
    type: str
    base_image: str
    category: str
    category_index: int
    class_name: str
    target_category: str | None
    target_index: int | None
    network: str
    network_digest: str
    p_before: float
    p_after: float
    l2: float
    linf: float
    ssim: float
    contrast_rms: float
    iterations: int
    seed: int

    def __post_init__(self) -> None:
        require_inside(self.file, where="manifest", remedy=CORRECT)
        where = f"manifest, {self.file}"
        if self.type not in TYPES:
            raise ManifestError(where, came=f"type {self.type!r}", expected=f"one of {', '.join(TYPES)}",
                                remedy=CORRECT)
        if not self.image_id.startswith("px-"):
            raise ManifestError(where, came=f"image_id {self.image_id!r}", expected="px- and a digest of the pixels",
                                remedy=CORRECT)
        for name, (low, high, expected) in _RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ManifestError(where, came=f"{name} = {value}", expected=expected, remedy=CORRECT)


COLUMNS = tuple("class" if field.name == "class_name" else field.name for field in dataclasses.fields(Stimulus))


@dataclass(frozen=True)
class Manifest:
    """All images of a study.

    Parameters
    ----------
    stimuli : tuple of Stimulus
        In the order of the table. No image, file, or (base image, type) twice; in a set of two networks each base image
        has one RE, and AN and AI of each network.
    """

    stimuli: tuple[Stimulus, ...]

    def __post_init__(self) -> None:
        for what, keys in (("image_id", [one.image_id for one in self.stimuli]),
                           ("file", [one.file for one in self.stimuli]),
                           ("base image and type", [_place(one) for one in self.stimuli])):
            twice = _first_repeated(keys)
            if twice is not None:
                files = " and ".join(one.file for one, key in zip(self.stimuli, keys, strict=True) if key == twice)
                raise ManifestError("manifest", came=f"{what} {twice!r} twice ({files})", expected="every image once",
                                    remedy=CORRECT)

    def __len__(self) -> int:
        return len(self.stimuli)

    @cached_property
    def _by_id(self) -> dict[str, Stimulus]:
        return {one.image_id: one for one in self.stimuli}

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str | None], Stimulus]:
        found: dict[tuple[str, str, str | None], Stimulus] = {}
        for one in self.stimuli:
            found.setdefault((one.base_image, one.type, None), one)
            found[one.base_image, one.type, one.network] = one
        return found

    @cached_property
    def networks(self) -> tuple[str, ...]:
        """Name the networks that AN and AI were made with, the first one first: one, or two."""
        return tuple(dict.fromkeys(one.network for one in self.stimuli if one.type != "RE"))

    @property
    def base_images(self) -> tuple[str, ...]:
        """List the base images in the order of the table."""
        return tuple(dict.fromkeys(one.base_image for one in self.stimuli))

    @cached_property
    def digest(self) -> str:
        """Digest of all rows."""
        return digest_json([dataclasses.asdict(one) for one in self.stimuli])

    def by_id(self, image_id: str) -> Stimulus:
        """Find an image by its digest."""
        if image_id not in self._by_id:
            raise ManifestError("manifest", came=f"image {image_id!r}", expected="an image of this study",
                                remedy="Check that schedule and manifest belong together.")
        return self._by_id[image_id]

    def get(self, *, base_image: str, type: str,  # noqa: A002 - the column's name
            network: str | None = None) -> Stimulus:
        """Find an image by base image and type, and of two networks by the network; default: the first one."""
        place = (base_image, type, None if type == "RE" else network)
        if place not in self._by_place:
            by = "" if network is None else f" by network {network!r}"
            raise ManifestError("manifest", came=f"no {type} of {base_image!r}{by}",
                                expected="RE, AN and AI of every base image",
                                remedy="Build the set with `python -m stimuli build`.")
        return self._by_place[place]

    def of_network(self, name: str) -> Manifest:
        """Give RE, and the AN and AI of one network: of a set of one network, the set.

        Raises
        ------
        ManifestError
            If no AN or AI was made with it.
        """
        if name not in self.networks:
            raise ManifestError("manifest", came=f"network {name!r}", expected=" or ".join(self.networks),
                                remedy="Name a network that the set was made with.")
        return Manifest(tuple(one for one in self.stimuli if one.type == "RE" or one.network == name))

    def shown_to(self, sub: str) -> Manifest:
        """Give what a subject is shown: one RE, AN and AI of every base image.

        Of a set of two networks each class's first, third, ... base image is shown with the AN and AI of the first
        network, the others with those of the second; to every second subject (:func:`~subjects.profile.is_mirrored`)
        the other way round. So half of the base images of every class are of each network, and over two subjects every
        base image is of both.
        """
        if len(self.networks) < 2:
            return self
        shown, seen, mirrored = list[Stimulus](), dict[str, int](), is_mirrored(sub)
        for base in self.base_images:
            kind = self.get(base_image=base, type="RE").class_name
            seen[kind] = seen.get(kind, -1) + 1
            network = self.networks[(seen[kind] + mirrored) % 2]
            shown += [self.get(base_image=base, type=name, network=network) for name in TYPES]
        return Manifest(tuple(shown))

    def image_ids(self, type: str) -> tuple[str, ...]:  # noqa: A002 - the column's name
        """List the images of one type in the order of :attr:`base_images`."""
        return tuple(self.get(base_image=name, type=type).image_id for name in self.base_images)


def _place(one: Stimulus) -> str:
    """Say what no two images may share."""
    return f"{one.base_image} {one.type}" + ("" if one.type == "RE" else f" of {one.network}")


def _first_repeated(keys: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return None
