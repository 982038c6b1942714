"""What localizer runs say: a contrast at every vertex, masks of LO and hMT+, and LO without what they share.

A run's conditions are modelled from its events as they were shown, picture by picture, so that blocks of one condition
and pictures of two in turn need no different model; the noise is AR(1), its coefficient corrected for the design.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analysis.glm.ar1 import fit_ar1
from analysis.glm.denoising.model import Nuisance
from analysis.glm.design import Sampling, drift_degree, polynomials
from analysis.glm.linear.contrasts import ContrastMap, contrast
from analysis.glm.ols import Model
from analysis.glm.run_design import run_design
from analysis.statistics.statistic import false_discovery
from subjects.errors import AnalysisError

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Correction = Literal["none", "fdr"]
ALIKE = 0.9
"""Correlation of the two conditions' predictions, drifts removed, from which on it is warned."""


@dataclass(frozen=True)
class Localizer:
    """A localizer: its paradigm, what it finds, and the contrast that finds it.

    Parameters
    ----------
    task : str
        As runs are named.
    area : str
    above, below : str
        Trial types: the area answers more to the first.
    """

    task: str
    area: str
    above: str
    below: str


LOCALIZERS: Mapping[str, Localizer] = MappingProxyType({
    "lo": Localizer("lo", "LO", above="intact", below="scrambled"),
    "motion": Localizer("motion", "hMT+", above="moving", below="static")})


def make_model(events: Sequence[pd.DataFrame], *, samplings: Sequence[Sampling], localizer: Localizer,
               drift_minutes: float = 2.0, nuisances: Sequence[NDArray[np.float64]] | None = None,
               where: str = "localizer") -> Model:
    """Predict the kept volumes of a localizer's runs: the condition that the area answers to, and the other one.

    A prediction's unit is its own peak: pictures of a block add up, and a beta is what the block evokes at its height.

    Parameters
    ----------
    events : sequence of DataFrame
        Their events tables.
    samplings : sequence of Sampling
        When their volumes were taken.
    localizer : Localizer
    drift_minutes : float
        See :func:`~analysis.glm.design.drift_degree`.
    nuisances : sequence of float64 array, (n_kept_volumes, n_regressors), optional
        Regressors of no interest of each run, beside the drifts.
    where : str

    Returns
    -------
    Model

    Raises
    ------
    AnalysisError
        If a run lacks one of the two conditions.
    """
    designs = []
    for k, (table, sampling) in enumerate(zip(events, samplings, strict=True), start=1):
        made = run_design(table, task=localizer.task, sampling=sampling)
        missing = [name for name in (localizer.above, localizer.below) if name not in made.kinds]
        if missing:
            raise AnalysisError(f"{where} run {k}", came=f"trial types {', '.join(made.kinds)}",
                                expected=f"{localizer.above} and {localizer.below}",
                                remedy=f"See that the events are of task {localizer.task}.")
        designs.append(made.matrix[:, [made.kinds.index(name) for name in (localizer.above, localizer.below)]])
    peak = max(float(design.max(initial=0.0)) for design in designs) or 1.0
    designs = [design / peak for design in designs]
    drifts = [polynomials(len(design), degree=drift_degree(sampling, drift_minutes=drift_minutes))
              for design, sampling in zip(designs, samplings, strict=True)]
    if nuisances is not None:
        drifts = [Nuisance(drift, extra).basis for drift, extra in zip(drifts, nuisances, strict=True)]
    return Model(designs, drifts, where=where)


def correlate_predictions(model: Model, *, localizer: Localizer, where: str) -> float:
    """Correlate the two conditions' predictions, drifts removed; say it where they can hardly be told apart."""
    alike = float(np.atleast_2d(np.corrcoef(model.projected.T))[0, 1])
    if alike > ALIKE:
        log.warning("%s: the predictions of %s and %s correlate with r = %.2f: their contrast has hardly any power, "
                    "whatever the area does; blocks of one condition (lo.design = \"blocks\") keep them apart", where,
                    localizer.above, localizer.below, alike)
    return alike


def localizer_contrast(runs: Sequence[NDArray[np.float32]], *, model: Model) -> ContrastMap:
    """Contrast the two conditions of a localizer, all runs together.

    Parameters
    ----------
    runs : sequence of float32 array, (n_kept_volumes, n_vertices)
        The discarded volumes left out.
    model : Model
        See :func:`make_model`.

    Returns
    -------
    ContrastMap
        Effect, t, two-tailed p; NaN where there is no signal.
    """
    return contrast(fit_ar1(runs, model=model), [1.0, -1.0])


@dataclass(frozen=True, eq=False)
class Positive:
    """Vertices at which a contrast is positive and significant.

    Parameters
    ----------
    mask : bool array, (n_vertices,)
    p_threshold : float
        The two-tailed p below which a vertex counts: as asked, or what the correction makes of it; 0 if none does.
    n_tested : int
        Vertices with signal.
    n_scattered : int
        Vertices that passed the threshold too, in pieces too small to count (:func:`in_one_piece`).
    """

    mask: Mask
    p_threshold: float
    n_tested: int
    n_scattered: int = 0


def positive_vertices(found: ContrastMap, *, p: float = 0.05, correction: Correction = "none") -> Positive:
    """Threshold a contrast, two-tailed; only its positive side counts.

    Parameters
    ----------
    found : ContrastMap
    p : float
        Two-tailed p, or with ``"fdr"`` the false discovery rate (Benjamini & Hochberg 1995) over all tested vertices.
    correction : {"none", "fdr"}
    """
    values = found.p
    tested = np.isfinite(values)
    passed = np.zeros(len(values), dtype=np.bool_)
    if correction == "fdr" and tested.any():
        passed[tested] = false_discovery(values[tested]) < p
        threshold = float(values[passed].max()) if passed.any() else 0.0
    else:
        passed[tested] = values[tested] < p
        threshold = p
    return Positive(passed & (np.nan_to_num(found.t) > 0), threshold, int(tested.sum()))


def in_one_piece(found: Positive, *, edges: NDArray[np.integer], extents: NDArray[np.floating],
                 least_mm2: float) -> Positive:
    """Leave out what lies scattered: an area of the cortex is of one piece, chance and noise are not.

    Parameters
    ----------
    found : Positive
    edges : int array, (n_edges, 2)
        Neighbouring vertices.
    extents : array, (n_vertices,)
        Surface of each vertex, mm2.
    least_mm2 : float
        Connected pieces that are smaller are left out; 0 keeps all.

    Returns
    -------
    Positive
        Pieces kept; the rest counted.
    """
    inside = edges[found.mask[edges].all(axis=1)]
    links = coo_array((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), shape=(len(found.mask),) * 2)
    _, pieces = connected_components(links, directed=False)
    kept = found.mask & (np.bincount(pieces, weights=extents)[pieces] >= least_mm2)
    return replace(found, mask=kept, n_scattered=int((found.mask & ~kept).sum()))


@dataclass(frozen=True, eq=False)
class Areas:
    """LO and hMT+ of a hemisphere.

    Parameters
    ----------
    lo : bool array, (n_vertices,)
        LO-positive vertices without those that hMT+ holds too, as the paper defines LO.
    motion : bool array, (n_vertices,)
        hMT+.
    shared : bool array, (n_vertices,)
        What was taken out of LO.
    """

    lo: Mask
    motion: Mask
    shared: Mask


def separate_areas(objects: Mask, motion: Mask, *, within: Mask | None = None) -> Areas:
    """Take what LO-positive and hMT+-positive vertices share out of LO.

    Parameters
    ----------
    objects, motion : bool array, (n_vertices,)
        Positive vertices of the two localizers.
    within : bool array, (n_vertices,), optional
        Where the areas are sought, such as an outline drawn by hand without V1 to V4; by default everywhere.

    Raises
    ------
    AnalysisError
        If the two are of different meshes.
    """
    if objects.shape != motion.shape:
        raise AnalysisError("localizers", came=f"{len(objects)} vertices of LO and {len(motion)} of hMT+",
                            expected="one mesh", remedy="Preprocess both localizers to one surface.")
    if within is not None:
        objects, motion = objects & within, motion & within
    shared = objects & motion
    return Areas(objects & ~shared, motion, shared)
