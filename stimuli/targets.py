"""Which wrong class an AI image shall be taken for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subjects.errors import StimulusError
from subjects.provenance import rng
from subjects.settings import Settings

RULES = ("other_class", "nearest", "least_likely", "any")


def choose_target(settings: Settings, *, base_image: str, own: int, same_class: frozenset[int],
                  probabilities: NDArray[np.float64]) -> int:
    """Choose the target of one AI image by the rule in the settings.

    Parameters
    ----------
    settings : Settings
        ``stimuli.ai_target`` and the study's seed.
    base_image : str
        For the seed.
    own : int
        Index of the right category.
    same_class : frozenset of int
        Categories of the same one of the study's classes, the own one included.
    probabilities : float64 array, (n_classes,)
        Of the RE image.

    Returns
    -------
    int
        Never `own`. ``other_class`` draws outside the same class, ``any`` among all others; ``nearest``
        takes the likeliest wrong category, ``least_likely`` the least likely.
    """
    rule = settings.stimuli.ai_target
    outside = same_class if rule == "other_class" else frozenset({own})
    free = np.array([k for k in range(len(probabilities)) if k not in outside])
    if not free.size:
        raise StimulusError("AI target", came=f"no category left by the rule {rule!r}",
                            expected="a network with other categories", remedy="Choose another stimuli.ai_target.")
    if rule == "nearest":
        return int(free[np.argmax(probabilities[free])])
    if rule == "least_likely":
        return int(free[np.argmin(probabilities[free])])
    return int(rng(settings.study.seed, "ai target", base_image).choice(free))
