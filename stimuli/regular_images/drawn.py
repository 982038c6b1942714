"""The choice of the regular images: candidates of a category until the network is certain of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stimuli.manifest import Pixels
from stimuli.networks.registry import Network
from stimuli.regular_images.slots import Choice, Slot, certain
from subjects.errors import StimulusError
from subjects.provenance import derive_seed

MAX_CANDIDATES = 200

Draw = Callable[[str, np.random.Generator], Pixels]
"""Gives a candidate of a category as uint8 (side, side, 3)."""


def choose(network: Network, slots: Sequence[Slot], *, draw: Draw, seed: int, p: float, batch: int = 20,
           max_candidates: int = MAX_CANDIDATES) -> Iterator[Choice]:
    """Draw candidates until the network gives each slot's category more than `p`, judged on the pixels.

    Parameters
    ----------
    network : Network
        The judge.
    slots : sequence of Slot
        Places to fill.
    draw : callable
        Gives a candidate of a category. Every slot has a generator of its own, so neither the other
        slots nor the batch decide which candidates it sees.
    seed : int
        The study's seed.
    p : float
        Probability to be exceeded.
    batch : int
        How many images the network judges at a time.
    max_candidates : int
        How many a slot may see.

    Yields
    ------
    Choice
        The first candidate that passes, slot by slot as they are filled.

    Raises
    ------
    StimulusError
        If a slot stays empty; every such category is named, with the best probability it reached.
    """
    generators = {slot: np.random.default_rng(derive_seed(seed, "re", slot.base_image)) for slot in slots}
    best = dict.fromkeys(slots, 0.0)
    empty = list(slots)
    for seen in range(1, max_candidates + 1):
        candidates = np.stack([draw(slot.category, generators[slot]) for slot in empty])
        chances = network.probabilities(candidates, batch=batch)
        for slot, pixels, row in zip(list(empty), candidates, chances, strict=True):
            chance = float(row[slot.category_index])
            best[slot] = max(best[slot], chance)
            if chance > certain(p):
                empty.remove(slot)
                yield Choice(slot, pixels, chance, seen)
        if not empty:
            return
    named = ", ".join(f"{slot.category} ({slot.base_image}, at best {best[slot]:.3f})" for slot in empty)
    raise StimulusError("regular images", came=f"no candidate of {named} in {max_candidates}",
                        expected=f"P > {p} for every category",
                        remedy="Lower stimuli.re_p or choose another network; nothing of this was kept.")
