"""One hemisphere of some runs by least squares: betas, errors, and what every run gives by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.data.timeseries import Run, label_part
from analysis.glm.ar1 import AutoregressiveFit, as_white, fit_ar1
from analysis.glm.denoising.model import Nuisance
from analysis.glm.design import Sampling, condition_columns, design_matrix, drift_degree, planned_durations, polynomials
from analysis.glm.hrf import ResponseModel
from analysis.glm.linear.files import PortionFit
from analysis.glm.linear.own_runs import average_variances, fit_each_run
from analysis.glm.ols import Floats, Model, fit_session
from analysis.glm.portions import Portion
from analysis.glm.subject_runs import part_series
from analysis.jobs import Each, one_by_one
from subjects.errors import AnalysisError
from subjects.run_key import RunKey
from subjects.settings.analysis import GlmSettings


def make_designs(portion: Portion, *, samplings: Mapping[RunKey, Sampling], response: ResponseModel) -> list[Floats]:
    """Predict every part's volumes from its events, one array a part."""
    return [design_matrix(table, conditions=portion.conditions, sampling=samplings[key], response=response)
            for key, table in portion.events.items()]


def make_drifts(portion: Portion, *, samplings: Mapping[RunKey, Sampling], drift_minutes: float) -> list[Floats]:
    """Make the drifts of every part of a run; each has its own, as a scan has."""
    chosen = [samplings[key] for key in portion.events]
    return [polynomials(one.n_volumes - one.n_discarded, degree=drift_degree(one, drift_minutes=drift_minutes),
                        where=one.where)
            for one in chosen]


def build_model(portion: Portion, *, samplings: Mapping[RunKey, Sampling], drift_minutes: float,
                response: ResponseModel | None = None, extras: Mapping[RunKey, Floats] | None = None) -> Model:
    """Make a model from the events of some runs.

    Parameters
    ----------
    portion : Portion
    samplings : mapping of RunKey to Sampling
        Of every part.
    drift_minutes : float
        Minutes a degree of the drift polynomials.
    response : ResponseModel, optional
        By default SPM's response.
    extras : mapping of RunKey to float64 array, (n_kept_volumes, n_regressors), optional
        Further regressors of no interest of every part; they leave the data together with its drifts.

    Raises
    ------
    AnalysisError
        If there are more columns than volumes, or conditions cannot be told apart.
    """
    designs = make_designs(portion, samplings=samplings, response=response or ResponseModel())
    drifts = make_drifts(portion, samplings=samplings, drift_minutes=drift_minutes)
    if extras is not None:
        drifts = [Nuisance(drift, extras[key]).basis for key, drift in zip(portion.events, drifts, strict=True)]
    n_columns = designs[0].shape[1] + sum(drift.shape[1] for drift in drifts)
    n_volumes = sum(len(design) for design in designs)
    if n_columns >= n_volumes:
        raise AnalysisError(portion.where, came=f"{n_columns} columns (drifts included) for {n_volumes} volumes",
                            expected="fewer columns than volumes",
                            remedy='Set glm.basis = "single", or glm.partition = "presentation", or add runs.')
    return Model(designs, drifts, portion.where)


def fit_portion(portion: Portion, scans: Mapping[RunKey, Run], *, settings: GlmSettings,
                samplings: Mapping[RunKey, Sampling], extras: Mapping[RunKey, Floats] | None = None,
                each: Each = one_by_one) -> tuple[PortionFit, tuple[str, ...]]:
    """Fit one hemisphere of some runs.

    Parameters
    ----------
    portion : Portion
    scans : mapping of RunKey to Run
    settings : GlmSettings
        ``model`` is ``"ols"`` or ``"ar1"``.
    samplings : mapping of RunKey to Sampling
    extras : mapping of RunKey to float64 array, optional
        See :func:`build_model`.
    each : Each
        How blocks of vertices are gone through.

    Returns
    -------
    PortionFit
    remarks : tuple of str
        Which runs could not be fitted alone.
    """
    first = next(iter(samplings.values()))
    response = ResponseModel(shape=settings.hrf, basis=settings.basis, tr_s=first.tr_s)
    model = build_model(portion, samplings=samplings, drift_minutes=settings.drift_minutes, response=response,
                        extras=extras)
    series = part_series(portion, scans, n_discarded=first.n_discarded)
    fit = _fit(list(series.values()), model=model, settings=settings, each=each)
    rows = main_rows(portion, response=response)
    names = tuple(label_part(key) for key in series)
    own, remarks = fit_each_run(
        list(series.values()), drifts=model.drifts, names=names, each=each,
        designs=model.designs if settings.basis == "single" else make_designs(
            portion, samplings=samplings, response=ResponseModel(shape=settings.hrf, tr_s=first.tr_s)))
    own *= fit.to_percent.astype(np.float32)
    return _as_record(portion, fit.select(rows), model=model, own=own, names=names), remarks


def _fit(series: Sequence[NDArray[np.float32]], *, model: Model, settings: GlmSettings,
         each: Each) -> AutoregressiveFit:
    if settings.model == "ar1":
        return fit_ar1(series, model=model, each=each)
    return as_white(fit_session(series, model=model, block_vertices=settings.block_vertices, each=each), model=model)


def main_rows(portion: Portion, *, response: ResponseModel) -> NDArray[np.int64]:
    """Say which column of the design is each condition's beta, (n_conditions,)."""
    planned = float(np.median(np.concatenate([planned_durations(table) for table in portion.events.values()])))
    first = response.n_columns * np.arange(len(portion.conditions))
    return np.asarray(first + response.main_column(planned))


def _as_record(portion: Portion, fit: AutoregressiveFit, *, model: Model, own: NDArray[np.float32],
               names: tuple[str, ...]) -> PortionFit:
    total, noise = average_variances(own, sessions=[key.ses for key in portion.events],
                                     conditions=portion.conditions)
    return PortionFit(
        name=portion.name, conditions=portion.conditions, percent=fit.percent, errors=fit.errors,
        unit_variance=fit.variance * np.square(fit.to_percent), rho=fit.rho,
        covariance_rho=np.array(list(fit.covariances)), covariances=np.stack(list(fit.covariances.values())),
        n_df=fit.n_df, run_names=names, run_percent=own, shown=_count_runs(portion),
        image_variance=total, repeat_variance=noise,
        mean_signal=fit.mean_signal, ss_total=fit.ss_total, ss_residual=fit.ss_residual, n_volumes=fit.n_volumes,
        condition_number=model.condition_number)


def _count_runs(portion: Portion) -> NDArray[np.int64]:
    """Count the runs that hold each condition."""
    found = [np.unique(np.concatenate([condition_columns(table, conditions=portion.conditions)
                                       for table in parts.values()])) for parts in portion.runs.values()]
    return np.bincount(np.concatenate(found), minlength=len(portion.conditions)).astype(np.int64)
