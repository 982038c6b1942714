"""The choice of the regular images: the first drawing of each category that the network is sure of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stimuli.categories import DEMO_CATEGORIES
from stimuli.drawings import draw
from stimuli.network import Network
from subjects.console import ProgressWrapper, silent
from subjects.errors import StimulusError, nearest
from subjects.provenance import derive_seed
from subjects.settings import Settings

MAX_CANDIDATES = 200
_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Regular:
    """A chosen regular image.

    Parameters
    ----------
    base_image, class_name, category : str
        ``"dogs-01"``, ``"dogs"``, ``"beagle"``.
    index : int
        The category's place among the network's classes.
    pixels : uint8 array, (side, side, 3)
        The image.
    p : float
        Its probability.
    n_candidates, seed : int
        Drawings seen, and the seed of this one.
    """

    base_image: str
    class_name: str
    category: str
    index: int
    pixels: NDArray[np.uint8]
    p: float
    n_candidates: int
    seed: int


def slots(settings: Settings) -> tuple[tuple[str, str, str], ...]:
    """List (base image, class, category) of the drawn set.

    Raises
    ------
    StimulusError
        For a class that cannot be drawn, or more categories a class than there are.
    """
    found = []
    for kind in settings.stimuli.classes:
        if kind not in DEMO_CATEGORIES:
            raise StimulusError("stimuli.classes", came=repr(kind), expected="classes that can be drawn",
                                remedy=nearest(kind, DEMO_CATEGORIES))
        names = DEMO_CATEGORIES[kind]
        if settings.stimuli.per_class > len(names):
            raise StimulusError("stimuli.per_class", came=str(settings.stimuli.per_class),
                                expected=f"at most {len(names)} drawn categories a class", remedy="Ask for fewer.")
        found += [(f"{kind}-{k:02d}", kind, name) for k, name in
                  enumerate(names[:settings.stimuli.per_class], start=1)]
    return tuple(found)


def choose_regular(network: Network, settings: Settings, *, progress: ProgressWrapper = silent) -> tuple[Regular, ...]:
    """Choose one drawing of each category, the first whose P exceeds ``stimuli.re_p``.

    Parameters
    ----------
    network : Network
        The judge; it must know the drawn categories.
    settings : Settings
        Classes, threshold, seed, size.

    Returns
    -------
    tuple of Regular
        In class order.

    Raises
    ------
    StimulusError
        If a category gives no such drawing in 200.
    """
    return tuple(_choose(network, settings, base_image=base, class_name=kind, category=category)
                 for base, kind, category in progress(slots(settings), label="regular images"))


def _choose(network: Network, settings: Settings, *, base_image: str, class_name: str, category: str) -> Regular:
    if category not in network.class_names:
        raise StimulusError(f"network {network.name}", came=f"no class {category!r}",
                            expected="a network that knows the drawn categories", remedy="Use --network demo.")
    index = network.class_names.index(category)
    best = 0.0
    for first in range(0, MAX_CANDIDATES, _AT_ONCE):
        seeds = [derive_seed(settings.study.seed, "regular", base_image, k) for k in range(first, first + _AT_ONCE)]
        drawn = np.stack([draw(category, rng=np.random.default_rng(seed), size_px=settings.stimuli.size_px)
                          for seed in seeds])
        chances = network.probabilities(drawn)[:, index]
        best = max(best, float(chances.max()))
        for k in np.flatnonzero(chances > settings.stimuli.re_p)[:1]:
            return Regular(base_image, class_name, category, index, drawn[k], float(chances[k]),
                           n_candidates=first + int(k) + 1, seed=seeds[k])
    raise StimulusError(f"regular image {base_image} ({category})", came=f"P of at most {best:.4f} in {MAX_CANDIDATES} drawings",
                        expected=f"P > {settings.stimuli.re_p}", remedy="Lower stimuli.re_p, or train the network longer.")
