"""Contrasts as a person writes them: ``RE + AI > blank``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.glm.betas import BLANK
from analysis.glm.ols import Floats
from stimuli.manifest import TYPES
from subjects.errors import AnalysisError, nearest
from subjects.settings.analysis import contrast_label

IMAGES = "images"


@dataclass(frozen=True)
class Formula:
    """A contrast: the mean of some conditions, minus that of others.

    Parameters
    ----------
    text : str
        As it was written.
    more, less : tuple of str
        Terms on the left and on the right of ``>``; without a right side, the left one against the baseline.
    """

    text: str
    more: tuple[str, ...]
    less: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The contrast as a BIDS label."""
        return contrast_label(self.text)

    def weights(self, conditions: pd.DataFrame) -> Floats | None:
        """Give every condition's weight, (n_conditions,): each side's weights sum to 1 and to -1.

        Parameters
        ----------
        conditions : DataFrame
            Columns :data:`~analysis.glm.betas.COLUMNS`.

        Returns
        -------
        float64 array or None
            None where a term names no condition of these.
        """
        total = np.zeros(len(conditions))
        for terms, sign in ((self.more, 1.0), (self.less, -1.0)):
            chosen = [select(term, conditions) for term in terms]
            if any(not one.any() for one in chosen):
                return None
            for one in chosen:
                total += sign * one / one.sum() / len(chosen)
        return total if total.any() else None


def parse(text: str) -> Formula:
    """Read a contrast.

    Examples
    --------
    >>> parse("RE + AI:dogs > blank")
    Formula(text='RE + AI:dogs > blank', more=('RE', 'AI:dogs'), less=('blank',))
    """
    left, _, right = text.partition(">")
    sides = [tuple(term.strip() for term in side.split("+") if term.strip()) for side in (left, right)]
    return Formula(text, *sides)


def select(term: str, conditions: pd.DataFrame) -> NDArray[np.bool_]:
    """Choose the conditions that a term names, (n_conditions,).

    Examples
    --------
    >>> table = pd.DataFrame({"type": ["RE", "AI", "blank"], "base_image": ["dogs-01", "dogs-01", ""]})
    >>> [select(term, table).tolist() for term in ("AI:dogs", "images", "blank")]
    [[False, True, False], [True, True, False], [False, False, True]]
    """
    kinds, names = conditions["type"].to_numpy(str), conditions["base_image"].to_numpy(str)
    kind, colon, name = term.partition(":")
    if not colon:
        kind, name = (term, "") if term in (*TYPES, BLANK, IMAGES) else (IMAGES, term)
    chosen = kinds != BLANK if kind == IMAGES else kinds == kind
    if name:
        classes = np.array([one.rpartition("-")[0] for one in names])
        chosen = chosen & ((names == name) | (classes == name))
    return np.asarray(chosen)


def require_terms(formulas: list[Formula], conditions: pd.DataFrame, *, where: str) -> None:
    """See that every term names a condition of the subject.

    Raises
    ------
    AnalysisError
        With the nearest name.
    """
    bases = sorted({one for one in conditions["base_image"] if one})
    known = [*TYPES, BLANK, IMAGES, *sorted({one.rpartition("-")[0] for one in bases}), *bases]
    for one in formulas:
        for term in (*one.more, *one.less):
            if not select(term, conditions).any():
                raise AnalysisError(where, came=f"{term!r} in the contrast {one.text!r}",
                                    expected="a type, images, blank, a class, a base image, or TYPE:class",
                                    remedy=f"Correct glm.contrasts. {nearest(term.rpartition(':')[2], known)}")
