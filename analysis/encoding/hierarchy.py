"""Which layer predicts a vertex best, and whether that changes from low to high layers and from V1 to LO (Fig. S1).

Every vertex of a region is given to the layer whose model predicts its responses to AN, or to AI, best, in each of the
two presentations. A vertex whose best layer is no better than the best of as many layers in exchanged labels is given
to none, and counted apart: it would go to a layer by chance. Models are those that were trained on the mean of both
presentations of the RE images.

Shares are tested twice: by the paired t-test over measurements, as in the paper, and by a t-test over people, whose
presentations and regions are not independent measurements. Of three people there are 30 measurements for low against
high layers (two presentations, five regions), and six for LO against V1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.encoding.generalisation import TESTED, standardise
from analysis.statistics.readings import LOGITS, SOFTMAX, by_logits, read_of
from analysis.statistics.statistic import t_p
from subjects.errors import AnalysisError

COLUMNS = ("sub", "roi", "reading", "type", "presentation", "layer", "n", "n_vertices", "share")
NONE = "none"
"""Where vertices are counted that no layer predicts."""
N_LAYERS, N_ENDS = 8, 2
FIRST, LAST = "V1", "LO"
_AT_ONCE = 4_000_000
_EQUAL = 1e-12
"""Difference below which means of shares are equal: shares are whole numbers over that of vertices."""


def best_layers(predicted: Sequence[NDArray[np.floating]], measured: NDArray[np.floating], *,
                orders: NDArray[np.intp], alpha: float) -> NDArray[np.intp]:
    """Find the layer that predicts each vertex best, over images.

    Parameters
    ----------
    predicted : sequence of array, (n_images, n_vertices)
        By layer.
    measured : array, (n_images, n_vertices)
    orders : int array, (n, n_images)
        Exchanges of the images' labels, the same for all vertices and layers.
    alpha : float
        A vertex is predicted if its best correlation is reached by the best of all layers in no more than this share of
        the orders, the data counted among them.

    Returns
    -------
    int array, (n_vertices,)
        Place among `predicted`, the lower of equals; -1 where none predicts it.
    """
    x = np.stack([standardise(values) for values in predicted]).astype(np.float32)
    y = standardise(measured).astype(np.float32)
    found = np.einsum("liv,iv->lv", x, y)
    best, n_as_good = found.max(axis=0), np.ones(y.shape[1])
    at_once = max(1, _AT_ONCE // y.size)
    for first in range(0, len(orders), at_once):
        drawn = y[orders[first:first + at_once]]
        most = np.full((len(drawn), y.shape[1]), -np.inf, dtype=np.float32)
        for layer in x:
            np.maximum(most, np.einsum("iv,piv->pv", layer, drawn), out=most)
        n_as_good += (most >= best - 1e-6).sum(axis=0)
    result: NDArray[np.intp] = np.where(n_as_good <= alpha * (1 + len(orders)), found.argmax(axis=0), -1)
    return result


def count_layers(best: NDArray[np.intp], *, layers: Sequence[str]) -> dict[str, int]:
    """Count the vertices of each layer, and those of none.

    Examples
    --------
    >>> count_layers(np.array([0, 0, -1, 1]), layers=["layer1", "layer2"])
    {'layer1': 2, 'layer2': 1, 'none': 1}
    """
    return {**{layer: int((best == k).sum()) for k, layer in enumerate(layers)}, NONE: int((best < 0).sum())}


def share_rows(predicted: Mapping[str, Mapping[str, NDArray[np.floating]]],
               presentations: Mapping[str, Sequence[NDArray[np.floating]]], *, orders: NDArray[np.intp], alpha: float,
               sub: str, roi: str) -> list[dict[str, object]]:
    """Count one region's vertices by layer, for both types and presentations.

    Parameters
    ----------
    predicted : mapping of str to mapping of str to array, (n_images, n_vertices)
        Layer to type to predictions; the last layer by its logits is a second reading, never a layer more.
    presentations : mapping of str to sequence of array, (n_images, n_vertices)
        ``"AN"``, ``"AI"`` to the responses of each presentation.
    orders : int array, (n, n_images)
    alpha : float
    sub, roi : str

    Returns
    -------
    list of dict
        Rows of :data:`COLUMNS`.
    """
    rows = list[dict[str, object]]()
    for reading, names in _readings(list(predicted)).items():
        for kind in TESTED:
            for k, measured in enumerate(presentations[kind], start=1):
                best = best_layers([predicted[name][kind] for name in names.values()], measured, orders=orders,
                                   alpha=alpha)
                rows += [{"sub": sub, "roi": roi, "reading": reading, "type": kind, "presentation": k, "layer": layer,
                          "n": n, "n_vertices": len(best), "share": n / len(best)}
                         for layer, n in count_layers(best, layers=list(names)).items()]
    return rows


def _readings(names: list[str]) -> dict[str, dict[str, str]]:
    """Give, for each reading, the layers and what is read for each of them."""
    layers = [name for name in names if read_of(name) == name]
    found = {SOFTMAX: {name: name for name in layers}}
    if by_logits(layers[-1]) in names:
        found[LOGITS] = {**found[SOFTMAX], layers[-1]: by_logits(layers[-1])}
    return found


@dataclass(frozen=True)
class ShareTest:
    """A difference of shares of vertices, tested.

    Parameters
    ----------
    effect : float
        Its mean.
    p : float
        Two-sided, t over people, each person's measurements averaged.
    paper_p : float
        Two-sided, paired t over all measurements.
    n_people, n_pairs : int
    """

    effect: float
    p: float
    paper_p: float
    n_people: int
    n_pairs: int


def low_minus_high(table: pd.DataFrame, kind: str) -> ShareTest | None:
    """Test the first two layers' share of vertices against the last two's.

    Parameters
    ----------
    table : DataFrame
        Of :data:`COLUMNS`, one reading.
    kind : {"AN", "AI"}

    Returns
    -------
    ShareTest or None
        Pairs are people x presentations x regions. None with one person, or a network of other than eight layers.
    """
    shares = _shares(table, kind, by=["sub", "presentation", "roi"])
    return None if shares is None else _test(shares["low"] - shares["high"])


def last_minus_first(table: pd.DataFrame, kind: str) -> ShareTest | None:
    """Test the last two layers' share of vertices in LO against that in V1; see :func:`low_minus_high`.

    Pairs are people x presentations. None too where a region is missing.
    """
    shares = _shares(table, kind, by=["sub", "presentation", "roi"])
    if shares is None or not {FIRST, LAST} <= set(table["roi"]):
        return None
    first, last = (shares["high"].xs(roi, level="roi") for roi in (FIRST, LAST))
    return _test(last - first)


def _shares(table: pd.DataFrame, kind: str, *, by: list[str]) -> pd.DataFrame | None:
    layers = [name for name in table["layer"].unique() if name != NONE]
    if len(layers) != N_LAYERS or table["sub"].nunique() < 2:
        return None
    ends = {**dict.fromkeys(layers[:N_ENDS], "low"), **dict.fromkeys(layers[-N_ENDS:], "high")}
    rows = table[(table["type"] == kind) & table["layer"].isin(ends)]
    return rows.assign(end=rows["layer"].map(ends)).pivot_table(index=by, columns="end", values="share", aggfunc="sum")


def _test(differences: pd.Series) -> ShareTest:
    people = differences.groupby("sub").mean()
    return ShareTest(float(differences.mean()), _t(people.to_numpy()), _t(differences.to_numpy()), len(people),
                     len(differences))


def _t(values: NDArray[np.float64]) -> float:
    """Give the two-sided p of a mean against 0; 1 where nothing varies but the last digits of shares that are equal."""
    n, spread = len(values), float(np.ptp(values))
    variance = float(values.var(ddof=1)) if spread > _EQUAL else 0.0
    return t_p(float(values.mean()), variance=variance / n, df=n - 1)


def require_shares(table: pd.DataFrame, *, remedy: str) -> pd.DataFrame:
    """See that every region, presentation and type of every subject has a share of every layer, and of none.

    Raises
    ------
    AnalysisError
        Naming the first fault.
    """
    where, keys = "table of shares of vertices by layer", list(COLUMNS[:6])
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or table.empty:
        raise AnalysisError(where, came=f"no column {missing[0]!r}" if missing else "no rows", expected="all columns",
                            remedy=remedy)
    wanted = pd.MultiIndex.from_product([table[key].unique() for key in keys], names=keys)
    found = pd.MultiIndex.from_frame(table[keys])
    if found.has_duplicates or len(wanted.difference(found)):
        first = found[found.duplicated()][0] if found.has_duplicates else wanted.difference(found)[0]
        raise AnalysisError(where, came=f"{'two rows' if found.has_duplicates else 'no row'} for "
                            f"{', '.join(map(str, first))}", expected="one row each", remedy=remedy)
    return table
