"""Which wrong category an interference image aims at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stimuli.regular import Slot
from subjects.errors import StimulusError
from subjects.provenance import rng


def choose_target(slot: Slot, *, rule: str, probabilities: NDArray[np.float64], slots: Sequence[Slot],
                  seed: int) -> int:
    """Choose the output that an AI raises.

    Parameters
    ----------
    slot : Slot
        The base image.
    rule : {"other_class", "any", "nearest", "least_likely"}
        ``other_class`` draws from the study's categories outside the base image's class, ``any`` from
        all wrong outputs; ``nearest`` and ``least_likely`` take the wrong output that the network
        gives the base image the most or the least.
    probabilities : float64 array, (n_outputs,)
        The network's answer to the base image.
    slots : sequence of Slot
        All places of the study.
    seed : int
        The study's seed; a draw depends on it and the base image's name alone.

    Returns
    -------
    int
        An index among the outputs, never the base image's own.

    Raises
    ------
    StimulusError
        If the rule leaves nothing to choose from.
    """
    outside = sorted({other.category_index for other in slots if other.class_name != slot.class_name})
    wrong = [index for index in range(len(probabilities)) if index != slot.category_index]
    pools: Mapping[str, list[int]] = {"other_class": outside, "any": wrong, "nearest": wrong, "least_likely": wrong}
    pool = pools[rule]
    if not pool:
        raise StimulusError("stimuli.ai_target", came=f"{rule!r} with nothing to choose from for {slot.base_image}",
                            expected="at least one other category", remedy="Add a class or choose another rule.")
    if rule == "nearest":
        return max(pool, key=lambda index: probabilities[index])
    if rule == "least_likely":
        return min(pool, key=lambda index: probabilities[index])
    return int(rng(seed, "ai", slot.base_image).choice(pool))
