"""Whether the choice of vertices biases what is compared on them: the choice is made anew in subjects without answers.

Vertices are chosen by how well the RE images' dissimilarities of two presentations agree. If the agreement is one of
noise, the chosen vertices' noise is alike in both presentations, and a similarity of their mean to other images could
be biased by it. Here the images' names are exchanged within sessions, in each presentation by itself, so that nothing
repeats and nothing resembles the other types; in each such draw vertices are chosen anew, and RE is compared with AN
and AI on them. The same draws on the vertices of the data's own choice say what is to be expected without a choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.regions.disk_rdms import Disks, condensed_rdms
from analysis.statistics.dissimilarity import dissimilarities, unit_ranks, without_noise
from analysis.statistics.draws import permutations

Floats = NDArray[np.float64]
LEVEL_PCT = 95.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Side:
    """A region in one hemisphere: what may be chosen, and the responses.

    Parameters
    ----------
    halves : (float array, float array), each (n_images, n_vertices)
        RE at presentation 1 and 2.
    others : mapping of str to float array, (n_images, n_vertices)
        ``"AN"``, ``"AI"``: the mean of the presentations.
    disks : Disks
        Of vertices that count.
    eligible : int64 array, (n_eligible,)
        Vertices that may be chosen, ascending.
    chosen : int64 array, (n,)
        The data's own choice.
    """

    halves: tuple[NDArray[np.floating], NDArray[np.floating]]
    others: Mapping[str, NDArray[np.floating]]
    disks: Disks
    eligible: NDArray[np.int64]
    chosen: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bias:
    """Similarities in draws without repetition and without resemblance, (n,) each.

    Parameters
    ----------
    anew : float64 array
        On vertices that were chosen anew in each draw.
    fixed : float64 array
        On the vertices of the data's own choice.
    """

    anew: Floats
    fixed: Floats

    @property
    def mean(self) -> float:
        """How much the choice adds: mean of `anew` less mean of `fixed`."""
        return float(self.anew.mean() - self.fixed.mean())

    @property
    def error(self) -> float:
        """Standard error of the mean, over draws."""
        return float((self.anew - self.fixed).std(ddof=1) / np.sqrt(len(self.anew)))

    @property
    def share_above(self) -> float:
        """Share of `anew` above the 95th percentile of `fixed`: .05 without a bias."""
        return float((self.anew > np.percentile(self.fixed, LEVEL_PCT)).mean())


def measure_bias(sides: Sequence[Side], *, sessions: Sequence[str], n_draws: int, measure: str,
                 rng: np.random.Generator) -> dict[str, Bias]:
    """Measure the bias of one region's choice, both hemispheres side by side.

    Parameters
    ----------
    sides : sequence of Side
        The hemispheres.
    sessions : sequence of str
        Session of each image: names are exchanged within.
    n_draws : int
        Two at least.
    measure : str
        Dissimilarity.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to Bias
        By the other type.
    """
    n_images, measure = len(sessions), without_noise(measure)
    rows, columns = np.triu_indices(n_images, 1)
    number = np.zeros((n_images, n_images), dtype=np.int64)
    number[rows, columns] = number[columns, rows] = np.arange(len(rows))
    ranks = [[unit_ranks(condensed_rdms(half, disks=side.disks, centres=side.eligible, measure=measure).astype(float))
              .astype(np.float32) for half in side.halves] for side in sides]
    kinds = tuple(sides[0].others)
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    orders = [permutations(n_images, n=n_draws, rng=rng, blocks=sessions) for _ in range(2)]
    for first, second in zip(*orders, strict=True):
        relative = second[np.argsort(first)]  # a permutation of both alike changes no agreement
        pairs = number[relative[rows], relative[columns]]
        anew = [_choose(np.einsum("vp,vp->v", one, two[:, pairs]), side.eligible, n=len(side.chosen))
                for side, (one, two) in zip(sides, ranks, strict=True)]
        both = (_similarities(sides, chosen, orders=(first, second), measure=measure)
                for chosen in (anew, [side.chosen for side in sides]))
        for kind, pair in zip(kinds, zip(*both, strict=True), strict=True):
            found[kind].append(pair)
    return {kind: Bias(*np.array(values, dtype=np.float64).T) for kind, values in found.items()}


def _choose(rho: NDArray[np.floating], eligible: NDArray[np.int64], *, n: int) -> NDArray[np.int64]:
    order = np.lexsort((eligible, -np.where(np.isfinite(rho), rho, -np.inf)))
    return np.sort(eligible[order[:n]])


def _similarities(sides: Sequence[Side], chosen: Sequence[NDArray[np.int64]], *,
                  orders: tuple[NDArray[np.intp], NDArray[np.intp]], measure: str) -> list[float]:
    """Compare RE, its names exchanged in each presentation, with the other types on some vertices."""
    places = list(zip(sides, chosen, strict=True))
    mean = np.concatenate([sum(half[order][:, own].astype(np.float64) for half, order in
                               zip(side.halves, orders, strict=True)) / 2 for side, own in places], axis=1)
    own_ranks = unit_ranks(dissimilarities(mean, measure=measure))
    result = []
    for kind in sides[0].others:
        other = np.concatenate([side.others[kind][:, own].astype(np.float64) for side, own in places], axis=1)
        result.append(float(own_ranks @ unit_ranks(dissimilarities(other, measure=measure))))
    return result
