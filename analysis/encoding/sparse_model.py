"""Sparse linear models from network units to responses: standardised, trained and chosen on the RE images alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.encoding.pursuit.romp import SparseFit, romp_levels
from analysis.encoding.pursuit.search import Precision
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]

_CONSTANT = 1e-6  # spread of a unit, as a share of its size, that float32 cannot tell from none
_TWIN = 1e-6  # difference of projections, below which two columns may be twins
_TWIN_PRODUCT = 5e-9  # 1 - |product| of unit columns that are twins
_SECOND = 2e-4  # more than the distance of twins, the root of twice that
_UNITS_AT_ONCE = 4096  # so that a block stays in the processor's cache


@dataclass(frozen=True, eq=False)
class Scaling:
    """How units become unit-norm columns, as measured on the training images and on nothing else.

    Parameters
    ----------
    kept : int64 array, (n_kept,)
        Units that vary over the training images and are not the twin of an earlier unit.
    mean, norm : float64 array, (n_kept,)
        Mean, and length of the centred column, over the training images.
    """

    kept: NDArray[np.int64]
    mean: Floats
    norm: Floats

    def __post_init__(self) -> None:
        if not self.kept.shape == self.mean.shape == self.norm.shape or not (self.norm > 0).all():
            raise AnalysisError("feature scaling", came=f"{len(self.mean)} means, {len(self.norm)} norms",
                                expected=f"one mean and one positive norm for {len(self.kept)} units",
                                remedy="Build it with measure_scaling.")

    def apply(self, units: NDArray[np.float32], *, places: NDArray[np.int64] | None = None) -> Floats:
        """Scale any images' units with the training images' numbers.

        Parameters
        ----------
        units : array, (n_images, n_units)
        places : int64 array, optional
            Which of the kept units to give; all by default.

        Returns
        -------
        float64 array, (n_images, n_kept)
        """
        chosen = slice(None) if places is None else places
        return (units[:, self.kept[chosen]].astype(np.float64) - self.mean[chosen]) / self.norm[chosen]


def measure_scaling(units: NDArray[np.float32], *, where: str = "features") -> Scaling:
    """Measure the scaling of units on the training images.

    Parameters
    ----------
    units : array, (n_images, n_units)
        The training images' units.
    where : str
        The layer, for messages.

    Returns
    -------
    Scaling
        Units without variance are dropped. Units that are collinear on these images (as are all that
        respond to one and the same image only) cannot be told apart: the first is kept.

    Raises
    ------
    AnalysisError
        If a unit is not finite, or none varies.
    """
    return _scale(np.asarray(units), where=where)[0]


def _scale(units: NDArray[np.float32], *, where: str) -> tuple[Scaling, Floats]:
    """Measure the scaling, and give the training images' columns so scaled, (n_kept, n_images)."""
    n_images, n_units = units.shape
    columns, mean, norm = np.empty((n_units, n_images)), np.empty(n_units), np.empty(n_units)
    varies = np.empty(n_units, dtype=bool)
    for start in range(0, n_units, _UNITS_AT_ONCE):
        part = slice(start, start + _UNITS_AT_ONCE)
        values = units[:, part].astype(np.float64)
        if not np.isfinite(values.sum()) and not np.isfinite(values).all():
            first = start + np.flatnonzero(~np.isfinite(values).all(axis=0))[0]
            raise AnalysisError(where, came=f"unit {first} not finite", expected="finite units",
                                remedy="Extract the features again.")
        mean[part] = values.mean(axis=0)
        centred = values - mean[part]
        norm[part] = np.sqrt(np.einsum("ij,ij->j", centred, centred))
        largest = np.maximum(values.max(axis=0), -values.min(axis=0))
        varies[part] = norm[part] > _CONSTANT * np.sqrt(n_images) * largest
        columns[part] = np.divide(centred, norm[part], out=centred, where=varies[part]).T
    varying = np.flatnonzero(varies)
    if not varying.size:
        raise AnalysisError(where, came=f"no unit that varies over the training images ({n_units} units, "
                            f"{n_images} images)", expected="at least one",
                            remedy="See that the features are those of this network, or make them again with "
                            "`python -m stimuli features --overwrite`; no model can be made of a constant layer.")
    columns = columns if varying.size == n_units else columns[varying]
    first = _first_of_twins(columns)
    return (Scaling(varying[first], mean[varying[first]], norm[varying[first]]),
            columns if first.size == varying.size else columns[first])


def _first_of_twins(columns: Floats) -> NDArray[np.int64]:
    """Find the unit-norm columns, (n_columns, n_images), that are no multiple of an earlier one.

    Twins have equal absolute projections on any vector, so that sorting by one brings them together; a second one
    passes over nearly all others.
    """
    angles = np.arange(1, columns.shape[1] + 1)
    projections, second = np.abs(columns @ np.stack([np.cos(angles), np.sin(angles)], axis=1)).T
    order = np.argsort(projections, kind="stable")
    near = np.flatnonzero(np.diff(projections[order]) < _TWIN)
    near = near[np.abs(second[order[near]] - second[order[near + 1]]) < _SECOND * np.sqrt(len(angles))]
    products = np.einsum("ij,ij->i", columns[order[near]], columns[order[near + 1]])
    starts = np.ones(len(order), dtype=bool)
    starts[near[1 - np.abs(products) < _TWIN_PRODUCT] + 1] = False
    return np.sort(np.minimum.reduceat(order, np.flatnonzero(starts)))


@dataclass(frozen=True, eq=False)
class SparseModel:
    """A trained model of many targets.

    Parameters
    ----------
    scaling : Scaling
    constant : float64 array, (n_targets,)
        Weight of the column of ones: the targets' means over the training images.
    fit : SparseFit
        Weights on the scaled units.
    """

    scaling: Scaling
    constant: Floats
    fit: SparseFit

    def predict(self, units: NDArray[np.float32]) -> Floats:
        """Predict the targets for any images, (n_images, n_units) to (n_images, n_targets)."""
        used, places = np.unique(self.fit.support, return_inverse=True)
        support = places.reshape(self.fit.support.shape)
        columns = self.scaling.apply(units, places=np.maximum(used, 0))
        return self.constant + SparseFit(support, self.fit.weights).predict(columns)

    def take(self, targets: slice) -> SparseModel:
        """Give the model of some of the targets."""
        return SparseModel(self.scaling, self.constant[targets],
                           SparseFit(self.fit.support[targets], self.fit.weights[targets]))

    def raw(self) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Give the model as it is on the units as they are stored, and never densely.

        Returns
        -------
        units : int64 array, (n_targets, k)
            Numbers of the chosen units; -1 where a target has fewer than k.
        weights : float64 array, (n_targets, k)
            Of the units as they are, not scaled; 0 at the -1.
        constant : float64 array, (n_targets,)
            A response is it plus the weighted units.
        """
        places = np.maximum(self.fit.support, 0)
        weights = self.fit.weights / self.scaling.norm[places]
        chosen = np.where(self.fit.support >= 0, self.scaling.kept[places], -1)
        return chosen, weights, self.constant - (weights * self.scaling.mean[places]).sum(axis=1)


def train(units: NDArray[np.float32], targets: NDArray[np.float32], *, levels: Sequence[int],
          where: str = "features", precision: Precision = "float32") -> dict[int, SparseModel]:
    """Train sparse models of all targets at several sparsity levels.

    Parameters
    ----------
    units : array, (n_images, n_units)
        Units of one layer on the training images.
    targets : array, (n_images, n_targets)
        Responses to the same images in the same order.
    levels : sequence of int
        ROMP's n; ``3 n - 1`` columns must stay determined by the images less one for the constant.
    where : str
        The layer, for messages.
    precision : {"float32", "bfloat16", "auto"}
        Of the search for columns; see :func:`~analysis.encoding.pursuit.romp.romp_levels`.

    Returns
    -------
    dict of int to SparseModel

    Raises
    ------
    AnalysisError
        If a level is too high for the images, a response or a unit is not finite, or no unit varies.

    Notes
    -----
    With units and targets centred on the training images the weight of the column of ones is the
    targets' mean, so that the column need not compete in ROMP.
    """
    _require_determined(len(units), levels=levels, where=where)
    strange = np.flatnonzero(~np.isfinite(targets).all(axis=0))
    if strange.size:
        raise AnalysisError(where, came=f"vertex {strange[0]} not finite ({strange.size} such)",
                            expected="finite responses", remedy="Leave the vertices without data out, or fit again.")
    scaling, columns = _scale(np.asarray(units), where=where)
    constant = targets.mean(axis=0, dtype=np.float64)
    fits = romp_levels(columns.T, targets - constant, levels=levels, precision=precision)
    return {n: SparseModel(scaling, constant, fit) for n, fit in fits.items()}


def _require_determined(n_images: int, *, levels: Sequence[int], where: str) -> None:
    most = n_images // 3
    if max(levels) > most:
        raise AnalysisError(where, came=f"sparsity level {max(levels)} with {n_images} training images",
                            expected=f"at most {most}, so that 3 n - 1 weights and a constant stay determined",
                            remedy="Lower encoding.sparsity, or shorten encoding.candidates.")
