"""Which events the data of several runs hold between them, when not their own.

Exchanges within a session, and of whole sessions, are proposed by how well the responses of the runs then agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from subjects.run_key import RunKey

Tables = Mapping[RunKey, pd.DataFrame]
ALL_OF, MOVED = 6, 4
"""Up to the first number of runs every exchange is looked at; of more runs those that move up to the second."""


class Responding(Protocol):
    """Data from which responses to each type of trial are told."""

    @property
    def events(self) -> pd.DataFrame:
        """Its own events."""

    def respond(self, events: pd.DataFrame) -> NDArray[np.float64]:
        """Give the responses under some events, (n_kinds, n_vertices)."""


def propose_exchange(scans: Mapping[RunKey, Responding]) -> dict[RunKey, RunKey]:
    """Propose whose events each run's data hold, if the runs' data are all there under some other order.

    Parameters
    ----------
    scans : mapping of RunKey to Responding
        Two runs or more.

    Returns
    -------
    dict of RunKey to RunKey
        The assignment under which the responses of the runs agree best: the sum, over pairs of runs, of the products of
        their responses. Of equal ones the one that moves fewest runs.
    """
    keys = list(scans)
    flat = np.stack([scans[key].respond(scans[other].events).ravel().astype(np.float32)
                     for key in keys for other in keys])
    products = (flat @ flat.T).reshape((len(keys),) * 4)
    orders = np.array(list(list_orders(len(keys))))
    total = np.zeros(len(orders))
    for i, j in combinations(range(len(keys)), 2):
        total += products[i, orders[:, i], j, orders[:, j]]
    best = orders[int(np.argmax(total))]
    return {key: keys[k] for key, k in zip(keys, best, strict=True)}


def list_orders(n: int) -> Iterator[Sequence[int]]:
    """List the orders of `n` things from the one as it is to those that move most; see :data:`MOVED`.

    Examples
    --------
    >>> [tuple(one) for one in list_orders(3)]
    [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0), (2, 0, 1)]
    """
    yield tuple(range(n))
    for n_moved in range(2, (n if n <= ALL_OF else MOVED) + 1):
        for places in combinations(range(n), n_moved):
            for moved in permutations(places):
                if all(place != other for place, other in zip(places, moved, strict=True)):
                    order = list(range(n))
                    for place, other in zip(places, moved, strict=True):
                        order[place] = other
                    yield tuple(order)


def propose_session(scans: Mapping[RunKey, Responding], *, tables: Tables) -> dict[RunKey, RunKey]:
    """Propose the session elsewhere whose runs the data of a session are, run by run of the same numbers.

    Parameters
    ----------
    scans : mapping of RunKey to Responding
    tables : mapping of RunKey to DataFrame
        Events of other sessions and subjects.

    Returns
    -------
    dict of RunKey to RunKey
        The runs of which that session has one of the same number; empty where no session has two.
    """
    best, found = -np.inf, dict[RunKey, RunKey]()
    for sub, ses in sorted({(key.sub, key.ses) for key in tables}):
        theirs = {(key.run, key.part): key for key in tables if (key.sub, key.ses) == (sub, ses)}
        pairs = {key: theirs[key.run, key.part] for key in scans if (key.run, key.part) in theirs}
        if len(pairs) < 2:
            continue
        responses = np.stack([scans[key].respond(tables[other]) for key, other in pairs.items()])
        agreement = float(np.square(responses.sum(axis=0)).sum() - np.square(responses).sum())
        if agreement > best * len(pairs) * (len(pairs) - 1):
            best, found = agreement / (len(pairs) * (len(pairs) - 1)), pairs
    return found
