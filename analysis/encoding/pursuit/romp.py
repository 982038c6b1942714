"""Regularized orthogonal matching pursuit (ROMP), literal and batched over targets.

Needell & Vershynin 2009, Found Comput Math 9:317. In a dictionary ``phi`` of unit-norm columns, a
target is approximated by few columns: take the n columns that correlate best with the residual, keep
among them the comparable set (no correlation more than twice another) of largest energy, refit, repeat.

Two things are fixed that the paper leaves open. Ties go to the lower column. A column that depends
linearly on those already chosen (remainder below 1e-4 of its length) counts as chosen and gets weight 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.encoding.pursuit.search import Dictionary, Precision
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DEPENDENT = 1e-4  # remainder of a unit column, below which it adds nothing to those chosen
EXHAUSTED = 1e-10  # residual, as a share of the target, that counts as zero


@dataclass(frozen=True, eq=False)
class SparseFit:
    """Sparse weights of many targets.

    Parameters
    ----------
    support : int64 array, (n_targets, k)
        Chosen columns in the order of choice; -1 where a target has fewer than k.
    weights : float64 array, (n_targets, k)
        Their weights; 0 at the -1.
    """

    support: Indices
    weights: Floats

    def __post_init__(self) -> None:
        if self.support.shape != self.weights.shape:
            raise AnalysisError("sparse fit", came=f"{self.weights.shape} weights for {self.support.shape} columns",
                                expected="one weight a column", remedy="Build it with romp_levels.")

    def predict(self, phi: Floats) -> Floats:
        """Give ``phi @ w`` for every target.

        Parameters
        ----------
        phi : array, (n_samples, n_columns)
            Any samples of the same columns.

        Returns
        -------
        float64 array, (n_samples, n_targets)
        """
        chosen = np.ascontiguousarray(phi.T, dtype=np.float64)[np.maximum(self.support, 0)]
        result: Floats = np.einsum("tks,tk->st", chosen, self.weights)
        return result


def romp(phi: Floats, y: Floats, *, n: int) -> tuple[Indices, Floats]:
    """Solve one target, step by step as published; the reference for :func:`romp_levels`.

    Parameters
    ----------
    phi : array, (n_samples, n_columns)
        Unit-norm columns.
    y : array, (n_samples,)
        The target.
    n : int
        Sparsity level; up to ``3 n - 1`` columns are chosen.

    Returns
    -------
    support : int64 array, (k,)
        Chosen columns in the order of choice.
    weights : float64 array, (k,)
        Least-squares weights on them.

    Raises
    ------
    AnalysisError
        If a column is not of unit length, or `n` leaves the least squares undetermined.
    """
    phi, y = np.asarray(phi, dtype=np.float64), np.asarray(y, dtype=np.float64)
    _require_dictionary(phi, n_samples=len(y))
    _require_level(n, n_samples=len(y))
    support: list[int] = []
    weights, residual = np.zeros(0), y.copy()
    while len(support) < 2 * n and np.linalg.norm(residual) > EXHAUSTED * np.linalg.norm(y):
        u = np.abs(phi.T @ residual)
        u[support] = 0.0
        ordered = np.argsort(-u, kind="stable")[:n]
        ordered = ordered[u[ordered] > 0]
        if not len(ordered):
            break
        support += _comparable_run(ordered, sizes=u[ordered])
        weights = _least_squares(phi, y, support=support)
        residual = y - phi[:, support] @ weights
    return np.array(support, dtype=np.int64), weights


def _comparable_run(ordered: Indices, *, sizes: Floats) -> list[int]:
    """Find the run of descending correlations, none above twice another, of largest energy."""
    best, energy = slice(0, 0), -1.0
    for start in range(len(ordered)):
        stop = start
        while stop < len(ordered) and sizes[start] <= 2 * sizes[stop]:
            stop += 1
        if (found := float((sizes[start:stop] ** 2).sum())) > energy:
            best, energy = slice(start, stop), found
    return [int(column) for column in ordered[best]]


def _least_squares(phi: Floats, y: Floats, *, support: list[int]) -> Floats:
    """Fit y on the independent columns of the support, the others at weight 0."""
    basis: list[Floats] = []
    independent = []
    for place, column in enumerate(support):
        rest = phi[:, column].copy()
        for q in basis + basis:
            rest -= q * (q @ rest)
        if (length := np.linalg.norm(rest)) > DEPENDENT:
            basis.append(rest / length)
            independent.append(place)
    weights = np.zeros(len(support))
    weights[independent] = np.linalg.lstsq(phi[:, np.array(support)[independent]], y, rcond=None)[0]
    return weights


def romp_levels(phi: Floats, targets: Floats, *, levels: Sequence[int],
                precision: Precision = "float32") -> dict[int, SparseFit]:
    """Solve many targets on one dictionary at several sparsity levels; equal to :func:`romp` target by target.

    Parameters
    ----------
    phi : array, (n_samples, n_columns)
        Unit-norm columns.
    targets : array, (n_samples, n_targets)
    levels : sequence of int
        Sparsity levels n; ``3 n - 1 <= n_samples``.
    precision : {"float32", "bfloat16", "auto"}
        Of the products by which columns are searched: how fast it is, never what is found.

    Returns
    -------
    dict of int to SparseFit
        One fit a level.

    Notes
    -----
    The levels share the first ranking of the columns. Columns are searched by products of lower precision, of which a
    bound on their error says which have to be multiplied again (:mod:`analysis.encoding.pursuit.search`). What is
    ranked, and all least squares by one growing orthonormal basis a target, is float64.
    """
    phi, targets = np.asarray(phi, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    for n in levels:
        _require_level(n, n_samples=len(targets))
    _require_dictionary(phi, n_samples=len(targets))
    dictionary = Dictionary(phi, precision=precision)
    first = dictionary.rank(targets.T, n=max(levels), taken=np.full((targets.shape[1], 1), -1))
    return {n: _solve(dictionary, targets.T, n=n, first=first) for n in levels}


def _solve(dictionary: Dictionary, targets: Floats, *, n: int, first: tuple[Indices, Floats]) -> SparseFit:
    state = _Fits(targets, most=3 * n - 1)
    columns, sizes = first[0][:, :n], first[1][:, :n]
    rows = np.flatnonzero(state.unfinished(n))
    columns, sizes = columns[rows], sizes[rows]
    while rows.size:
        chosen = _comparable_runs(sizes)
        for place in range(columns.shape[1]):
            takes = chosen[:, place]
            state.add(rows[takes], columns=columns[takes, place], phi=dictionary.columns)
        rows = rows[chosen.any(axis=1)]
        rows = rows[state.unfinished(n)[rows]]
        columns, sizes = dictionary.rank(state.residuals[rows], n=n, taken=state.support[rows])
    return state.fit()


def _comparable_runs(sizes: Floats) -> NDArray[np.bool_]:
    """Mark, in each row of descending correlations, the comparable run of largest energy."""
    n = sizes.shape[1]
    after = np.arange(n)[None, :] >= np.arange(n)[:, None]
    runs = after & (sizes[:, :, None] <= 2 * sizes[:, None, :]) & (sizes > 0)[:, None, :]
    energies = (runs * (sizes**2)[:, None, :]).sum(axis=2)
    result: NDArray[np.bool_] = runs[np.arange(len(sizes)), energies.argmax(axis=1)]
    return result


class _Fits:
    """Growing least-squares fits of all targets, by Gram-Schmidt with one repetition."""

    def __init__(self, targets: Floats, *, most: int) -> None:
        n_targets, n_samples = targets.shape
        self.residuals = targets.copy()
        self.support = np.full((n_targets, most), -1, dtype=np.int64)
        self._targets = targets
        self._size = np.zeros(n_targets, dtype=np.int64)
        self._basis = np.zeros((n_targets, most, n_samples))
        self._triangle = np.zeros((n_targets, most, most))
        self._enough = EXHAUSTED * np.linalg.norm(targets, axis=1)

    def unfinished(self, n: int) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = (self._size < 2 * n) & (np.linalg.norm(self.residuals, axis=1) > self._enough)
        return result

    def add(self, rows: Indices, *, columns: Indices, phi: Floats) -> None:
        """Add one column to each of some targets' fits."""
        if not rows.size:
            return
        place = self._size[rows]
        filled = int(place.max()) + 1
        basis = self._basis[rows, :filled]
        rest = phi[columns]
        projected = np.zeros((len(rows), filled))
        for _ in range(2):
            step = np.einsum("tks,ts->tk", basis, rest)
            rest -= np.einsum("tks,tk->ts", basis, step)
            projected += step
        lengths = np.linalg.norm(rest, axis=1)
        rest /= np.where(lengths > DEPENDENT, lengths, np.inf)[:, None]
        self._basis[rows, place] = rest
        self._triangle[rows, :filled, place] = projected
        self._triangle[rows, place, place] = np.where(lengths > DEPENDENT, lengths, np.inf)
        self.support[rows, place] = columns
        self._size[rows] += 1
        self.residuals[rows] -= rest * np.einsum("ts,ts->t", rest, self.residuals[rows])[:, None]

    def fit(self) -> SparseFit:
        """Solve the triangles for the weights; a dependent column has an infinite pivot, so weight 0."""
        most = int(self._size.max(initial=0))
        wanted = np.einsum("tks,ts->tk", self._basis[:, :most], self._targets)
        weights = np.zeros_like(wanted)
        for k in reversed(range(most)):
            rest = wanted[:, k] - np.einsum("tk,tk->t", self._triangle[:, k, k + 1:most], weights[:, k + 1:])
            pivot = self._triangle[:, k, k]
            weights[:, k] = np.divide(rest, pivot, out=np.zeros_like(rest), where=(pivot > 0) & np.isfinite(pivot))
        return SparseFit(self.support[:, :most], weights)


def _require_level(n: int, *, n_samples: int) -> None:
    if n < 1 or 3 * n - 1 > n_samples:
        raise AnalysisError("ROMP", came=f"sparsity level {n} with {n_samples} samples",
                            expected=f"1 to {(n_samples + 1) // 3}, so that 3 n - 1 columns stay determined",
                            remedy="Lower encoding.sparsity or encoding.candidates.")


def _require_dictionary(phi: Floats, *, n_samples: int) -> None:
    if phi.ndim != 2 or len(phi) != n_samples:
        raise AnalysisError("ROMP", came=f"a dictionary of shape {phi.shape} for {n_samples} samples",
                            expected=f"({n_samples}, n_columns)", remedy="Give both for the same images.")
    lengths = np.sqrt(np.einsum("ij,ij->j", phi, phi))
    odd = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if odd.size:
        raise AnalysisError("ROMP", came=f"column {odd[0]} of length {lengths[odd[0]]:.4g} ({odd.size} such)",
                            expected="columns of unit length", remedy="Standardise the features first.")
