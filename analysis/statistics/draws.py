"""Random draws: permutations of labels and subsamples without replacement."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from subjects.errors import AnalysisError

log = logging.getLogger(__name__)
_LEAST = 20


def warn_of_few(n: int, *, asked_by: str) -> None:
    """Say that no p below .05 can come of so few permutations; of none nothing is tested.

    The smallest p is 1 / (n + 1) (Phipson & Smyth, 2010, Stat Appl Genet Mol Biol 9:39).
    """
    if 0 < n < _LEAST:
        log.warning("%s = %d: no p below %.2g can be reached, whatever the data; %d or more reach .05", asked_by, n,
                    1 / (n + 1), _LEAST)


def permutations(n_items: int, *, n: int, rng: np.random.Generator,
                 blocks: Sequence[str] | None = None) -> NDArray[np.intp]:
    """Draw `n` random orders of `n_items`, (n, n_items); with `blocks`, items only change places within theirs.

    Examples
    --------
    >>> permutations(4, n=50, rng=np.random.default_rng(0), blocks="aabb").max(axis=0)
    array([1, 1, 3, 3])
    """
    orders = np.tile(np.arange(n_items), (n, 1))
    names = np.zeros(n_items, dtype=np.int64) if blocks is None else np.unique(list(blocks), return_inverse=True)[1]
    for name in np.unique(names):
        places = np.flatnonzero(names == name)
        orders[:, places] = rng.permuted(orders[:, places], axis=1)
    return orders


def subsamples(n_items: int, *, share: float, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw `n` subsamples without replacement, (n, n_items), true where an item is in.

    Examples
    --------
    >>> subsamples(10, share=0.8, n=3, rng=np.random.default_rng(0)).sum(axis=1)
    array([8, 8, 8])
    """
    size = round(share * n_items)
    if size < 1:
        raise AnalysisError("encoding.subsample", came=f"{share} of {n_items} items", expected="at least one item",
                            remedy="Raise the share.")
    return permutations(n_items, n=n, rng=rng) < size
