"""Noise pool, principal components of its time series, and how many of them to use by leave-one-run-out R2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, solve_triangular

from analysis.glm.denoising.model import NEGLIGIBLE, FactoredDesign, Floats, Nuisance, Scan, SurfaceRuns, map_loadings
from analysis.glm.ols import project_out


@dataclass(frozen=True, kw_only=True, eq=False)
class NoisePool:
    """Vertices that carry signal but nothing that the conditions predict.

    Parameters
    ----------
    mask : bool array, (n_vertices,)
    threshold : float
        Mean signal that a vertex must exceed, in scanner units.
    n_bright : int
        Vertices above it.
    """

    mask: NDArray[np.bool_]
    threshold: float
    n_bright: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take components from."""
        return not self.mask.any()


def choose_pool(mean_signal: Floats, *, r2: NDArray[np.float32], percentile: float = 99.0, fraction: float = 0.5,
                r2_below: float = 0.0, exclude: NDArray[np.bool_] | None = None) -> NoisePool:
    """Choose the noise pool.

    Parameters
    ----------
    mean_signal : float64 array, (n_vertices,)
        In scanner units: the brightness test is void on data scaled to one mean.
    r2 : float32 array, (n_vertices,)
        Cross-validated R2 without components, in percent; NaN where a vertex has no signal.
    percentile, fraction : float
        A vertex is bright above `fraction` of this percentile of `mean_signal`.
    r2_below : float
        And in the pool if its R2 is less than this.
    exclude : bool array, (n_vertices,), optional
        Vertices to leave out, for example those of interest.

    Returns
    -------
    NoisePool
    """
    threshold = fraction * float(np.percentile(mean_signal, percentile, method="hazen"))
    bright = mean_signal > threshold
    mask = bright & (np.nan_to_num(r2, nan=np.inf) < r2_below)
    if exclude is not None:
        if exclude.shape != mask.shape:
            raise ValueError(f"exclusion of {exclude.shape} vertices beside {mask.shape}")
        mask &= ~exclude.astype(bool)
    return NoisePool(mask=mask, threshold=threshold, n_bright=int(bright.sum()))


def noise_components(runs: SurfaceRuns, *, scan: Scan, nuisance: Sequence[Nuisance], pool: NDArray[np.bool_],
                     n_components: int = 20) -> list[Floats]:
    """Find the first principal components of the pool's time series, run by run.

    Drifts are projected out and each series is scaled to unit length first.

    Parameters
    ----------
    runs : SurfaceRuns
    scan : Scan
    nuisance : sequence of Nuisance
    pool : bool array, (n_vertices,)
    n_components : int
        At most so many; all runs give the same number, fewer where the pool or the volumes allow no more.

    Returns
    -------
    list of float64 array, (n_volumes, n_found)
        One a run; every component has standard deviation 1, and its largest value is positive.
    """
    grams = [np.zeros((n, n)) for n in runs.n_volumes]

    def multiply(block: slice) -> list[Floats]:
        chosen, found = np.flatnonzero(pool[block]), []
        for series, means, one in zip(runs.series, scan.run_means, nuisance, strict=True) if chosen.size else ():
            data = np.subtract(series[:, block][:, chosen], means[block][chosen], dtype=np.float64)
            unit = _unit_length(data, one.drifts)
            found.append(unit @ unit.T)
        return found

    for parts in runs.each(multiply, runs.slices()):
        for gram, part in zip(grams, parts, strict=False):
            gram += part
    found = [_first_vectors(gram, n_components=n_components) for gram in grams]
    n_found = min(vectors.shape[1] for vectors in found)
    return [vectors[:, :n_found] / vectors[:, :n_found].std(axis=0, ddof=1) for vectors in found]


def _unit_length(data: Floats, drifts: Floats) -> Floats:
    left = project_out(data, drifts)
    whole, length = np.linalg.norm(data, axis=0), np.linalg.norm(left, axis=0)
    unit: Floats = np.divide(left, length, out=np.zeros_like(left), where=length > NEGLIGIBLE * whole)
    return unit


def _first_vectors(gram: Floats, *, n_components: int) -> Floats:
    n = len(gram)
    if not n_components:
        return np.zeros((n, 0))
    values, vectors = eigh(gram, subset_by_index=(max(0, n - n_components), n - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    vectors = vectors[:, values > NEGLIGIBLE * max(float(np.trace(gram)), NEGLIGIBLE)]
    peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    signed: Floats = vectors * np.sign(peaks)
    return signed


def beyond_nuisance(components: Sequence[Floats], *, nuisance: Sequence[Nuisance]) -> list[Floats]:
    """Make components orthonormal in their order, drifts and extra regressors projected out.

    The first n columns span what the first n components add to the nuisance columns, so that every number of
    components is a truncation of the same columns.

    Raises
    ------
    ValueError
        If a component is explained by those before it.
    """
    made = []
    for run, (columns, one) in enumerate(zip(components, nuisance, strict=True), start=1):
        if columns.shape[1] + one.basis.shape[1] >= len(columns):
            raise ValueError(f"run {run}: {columns.shape[1]} components and {one.basis.shape[1]} nuisance columns for "
                             f"{len(columns)} volumes")
        left = project_out(project_out(columns, one.basis), one.basis)
        vectors, triangle = np.linalg.qr(left)
        spoilt = np.abs(np.diag(triangle)) <= NEGLIGIBLE * np.linalg.norm(columns, axis=0)
        if spoilt.any():
            raise ValueError(f"run {run}: component {int(np.argmax(spoilt)) + 1} is explained by the nuisance columns")
        made.append(vectors)
    return made


def cross_validate(runs: SurfaceRuns, *, scan: Scan, factored: FactoredDesign,
                   directions: Sequence[Floats] | None = None) -> NDArray[np.float32]:
    """Predict every run from the others, with 0 to K noise components in the models.

    Parameters
    ----------
    runs : SurfaceRuns
    scan : Scan
    factored : FactoredDesign
    directions : sequence of float64 array, (n_volumes, K), optional
        See :func:`beyond_nuisance`; without them K is 0.

    Returns
    -------
    float32 array, (K + 1, n_vertices)
        ``100 (1 - SS(data - prediction) / SS(data))``, drifts removed from both, components from neither, runs
        pooled before the ratio; NaN where there is no signal. A condition that no other run holds is predicted
        as 0.

    Notes
    -----
    On the training runs, conditions and then components, level by level, are orthogonalised once: a model of n
    components is a truncation of the same coordinates z, and its error is a cumulative sum over them.
    """
    empty = [np.zeros((n, 0)) for n in runs.n_volumes]
    directions = empty if directions is None else directions
    folds = [_Fold(factored, directions, left_out=run) for run in range(len(runs.series))]
    bases = [np.concatenate([rotation, columns, one.beyond_drifts], axis=1) for rotation, columns, one
             in zip(factored.rotations, directions, factored.nuisance, strict=True)]
    r2 = np.full((directions[0].shape[1] + 1, runs.n_vertices), np.nan, dtype=np.float32)

    def predict(block: slice, found: list[Floats]) -> None:
        error = np.sum([fold.errors(found) for fold in folds], axis=0)
        total = scan.ss_total[block]
        np.divide(-100.0 * error, total, out=r2[:, block], where=total > 0, casting="same_kind")

    map_loadings(runs, predict, scan=scan, bases=bases)
    return r2


class _Fold:
    """One run predicted from the others."""

    def __init__(self, factored: FactoredDesign, directions: Sequence[Floats], *, left_out: int) -> None:
        train = [run for run in range(len(directions)) if run != left_out]
        self.left_out, self.train = left_out, train
        self.n_conditions, self.n_components = len(factored.estimated), directions[0].shape[1]
        present = factored.occurs[train].any(axis=0)
        whole = factored.triangle[:, present]
        lower = np.linalg.cholesky(whole.T @ np.sum([factored.grams[run] for run in train], axis=0) @ whole)
        to_unit = solve_triangular(lower, whole.T, lower=True)
        crossed = np.stack([factored.rotations[run].T @ directions[run] for run in train], axis=2)
        shared = to_unit @ crossed.reshape(self.n_conditions, -1)  # level by level, in each the training runs
        own = np.linalg.cholesky(np.eye(shared.shape[1]) - shared.T @ shared)
        extra = factored.on_extra[left_out]
        gram = to_unit @ (factored.grams[left_out] + extra.T @ extra) @ to_unit.T
        spread = solve_triangular(own, shared.T, lower=True)
        moved = spread @ gram @ spread.T
        self._to_unit, self._extra, self._gram, self._spread = to_unit, extra, gram, spread
        self._own = solve_triangular(own, np.eye(len(own)), lower=True)
        self._pairs = 2.0 * np.tril(moved, k=-1) + np.diag(np.diag(moved))

    def errors(self, found: Sequence[Floats]) -> Floats:
        """Give SS(data - prediction) - SS(data) of the run left out for 0 to K components, (K + 1, n_block)."""
        n, k, held = self.n_conditions, self.n_components, found[self.left_out]
        z = self._to_unit @ np.sum([found[run][:n] for run in self.train], axis=0)
        aim = self._to_unit @ (held[:n] + self._extra.T @ held[n + k:])
        left = aim - self._gram @ z
        errors = np.empty((k + 1, z.shape[1]))
        errors[0] = -np.einsum("cv,cv->v", z, aim + left)
        if k:
            levels = np.stack([found[run][n:n + k] for run in self.train], axis=1).reshape(-1, z.shape[1])
            steps = self._own @ levels - self._spread @ z
            changes = steps * (self._pairs @ steps + 2.0 * (self._spread @ left))
            errors[1:] = errors[0] + np.cumsum(changes.reshape(k, len(self.train), -1).sum(axis=1), axis=0)
        return errors


@dataclass(frozen=True, kw_only=True, eq=False)
class ComponentChoice:
    """How many components to use, and what spoke for it.

    Parameters
    ----------
    n_components : int
    curve : float64 array, (n_tried + 1,)
        Median cross-validated R2 over `vertices`, in percent, for 0 to n_tried components.
    vertices : bool array, (n_vertices,)
        Vertices that the curve is taken over.
    is_fallback : bool
        Whether no vertex passed the cutoff with any number of components, so that the best ones stand in.
    """

    n_components: int
    curve: Floats
    vertices: NDArray[np.bool_]
    is_fallback: bool

    @property
    def still_rises(self) -> bool:
        """Whether the curve has no maximum before the last number tried."""
        return len(self.curve) > 1 and int(np.argmax(self.curve)) == len(self.curve) - 1


def choose_components(r2: NDArray[np.float32], *, cutoff: float = 0.0, n_fallback: int = 100,
                      stop: float = 1.05) -> ComponentChoice:
    """Choose the number of components by GLMdenoise's rule.

    Parameters
    ----------
    r2 : float32 array, (n_tried + 1, n_vertices)
        See :func:`cross_validate`.
    cutoff : float
        Vertices whose R2 exceeds this for any number of components make up the curve.
    n_fallback : int
        Where none does, so many of the highest R2 make it up.
    stop : float
        The first number whose gain over 0 components, times `stop`, reaches the largest gain is taken, among those
        that each exceed all before.

    Returns
    -------
    ComponentChoice

    Raises
    ------
    ValueError
        If no vertex has a cross-validated R2.
    """
    best = np.nan_to_num(r2, nan=-np.inf).max(axis=0)
    vertices = best > cutoff
    is_fallback = not vertices.any()
    if is_fallback:
        order = np.argsort(-best, kind="stable")[:n_fallback]
        vertices[order[best[order] > -np.inf]] = True
    if not vertices.any():
        raise ValueError("no vertex with a cross-validated R2; no vertex has signal")
    curve = np.median(r2[:, vertices].astype(np.float64), axis=1)
    gain = curve - curve[0]
    chosen = 0
    for n, value in enumerate(gain):
        if n == 0 or value > gain[chosen]:
            chosen = n
            if value * stop >= gain.max():
                break
    return ComponentChoice(n_components=chosen, curve=curve, vertices=vertices, is_fallback=is_fallback)
