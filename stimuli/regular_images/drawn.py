"""The choice of the regular images: candidates of a category until the network is certain of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stimuli.manifest import Pixels
from stimuli.networks.registry import Network
from stimuli.regular_images.base_images import BaseImage, Choice, certain
from subjects.errors import StimulusError
from subjects.provenance import derive_seed

MAX_CANDIDATES = 200

Draw = Callable[[str, np.random.Generator], Pixels]
"""Gives a candidate of a category as uint8 (side, side, 3)."""


def choose(network: Network, bases: Sequence[BaseImage], *, draw: Draw, seed: int, p: float, batch: int = 20,
           max_candidates: int = MAX_CANDIDATES) -> Iterator[Choice]:
    """Draw candidates until the network gives each base's category more than `p`, judged on the pixels.

    Parameters
    ----------
    network : Network
        Whose probabilities decide.
    bases : sequence of BaseImage
        Places to fill.
    draw : callable
        Gives a candidate of a category. Every base has a generator of its own, so neither the other
        bases nor the batch decide which candidates it sees.
    seed : int
        The study's seed.
    p : float
        Probability to be exceeded.
    batch : int
        How many images the network judges at a time.
    max_candidates : int
        How many a base may see.

    Yields
    ------
    Choice
        The first candidate that passes, base by base as they are filled.

    Raises
    ------
    StimulusError
        If a base stays empty; every such category is named, with the best probability it reached.
    """
    generators = {base: np.random.default_rng(derive_seed(seed, "re", base.base_image)) for base in bases}
    best = dict.fromkeys(bases, 0.0)
    empty = list(bases)
    for seen in range(1, max_candidates + 1):
        candidates = np.stack([draw(base.category, generators[base]) for base in empty])
        probabilities = network.probabilities(candidates, batch=batch)
        for base, pixels, row in zip(list(empty), candidates, probabilities, strict=True):
            p_found = float(row[base.category_index])
            best[base] = max(best[base], p_found)
            if p_found > certain(p):
                empty.remove(base)
                yield Choice(base, pixels, p_found, seen)
        if not empty:
            return
    named = ", ".join(f"{base.category} ({base.base_image}, at best {best[base]:.3f})" for base in empty)
    raise StimulusError("regular images", came=f"no candidate of {named} in {max_candidates}",
                        expected=f"P > {p} for every category",
                        remedy="Lower stimuli.re_p or choose another network; nothing of this was kept.")
