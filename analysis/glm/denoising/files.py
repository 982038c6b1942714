"""What GLMdenoise found in a session, on disk: every intermediate, and the responses of each hemisphere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.hdf5 import read_hdf5, text_array, texts, write_hdf5
from analysis.glm.betas import COLUMNS
from analysis.glm.denoising.hrf_estimate import HrfEstimate
from analysis.glm.denoising.model import Floats
from analysis.glm.denoising.own_runs import OwnRuns
from analysis.glm.linear.contrasts import ContrastMap
from subjects.provenance import FileFormat

NOISE = FileFormat("noise model", version=1)
RESPONSES = FileFormat("session responses", version=1)
AGAIN = "Fit again with `python -m analysis glm`."


@dataclass(frozen=True, kw_only=True, eq=False)
class PortionNoise:
    """What was learnt from some runs of a session before their final fit, by hemisphere where it is about vertices.

    Parameters
    ----------
    name : str
        See :class:`~analysis.glm.portions.Portion`.
    hrf : HrfEstimate
    times_s : float64 array, (n_lags,)
        Times after an event at which the response is sampled.
    n_components : int
        Components chosen.
    curve : float64 array, (n_tried + 1,)
        Median cross-validated R2 in percent over `curve_vertices`.
    is_fallback : bool
        Whether no vertex had a positive R2, so that the best ones make up the curve.
    components : mapping of int to float64 array, (n_volumes, n_tried)
        Run number to its components.
    in_parts : tuple of int
        Runs that were shown in more than one part.
    missing : str
        Which runs lack conditions, in words; empty where none does.
    not_cross_validated : tuple of str
        Conditions of one run only.
    n_conditions : int
    is_merged : bool
        Whether presentations counted as one until the final fit.
    threshold : float
        Mean signal above which a vertex is bright.
    pool, curve_vertices : mapping of str to bool array, (n_vertices,)
    xval_r2 : mapping of str to float32 array, (n_tried + 1, n_vertices)
        In percent; NaN without signal.
    """

    name: str
    hrf: HrfEstimate
    times_s: Floats
    n_components: int
    curve: Floats
    is_fallback: bool
    components: Mapping[int, Floats]
    in_parts: tuple[int, ...]
    missing: str
    not_cross_validated: tuple[str, ...]
    n_conditions: int
    is_merged: bool
    threshold: float
    pool: Mapping[str, NDArray[np.bool_]]
    curve_vertices: Mapping[str, NDArray[np.bool_]]
    xval_r2: Mapping[str, NDArray[np.float32]]

    @property
    def n_pool(self) -> int:
        """Vertices in the noise pool."""
        return int(sum(mask.sum() for mask in self.pool.values()))

    @property
    def still_rises(self) -> bool:
        """Whether the curve has no maximum before the last number tried."""
        return len(self.curve) > 1 and int(np.argmax(self.curve)) == len(self.curve) - 1

    def remarks(self) -> tuple[str, ...]:
        """Say what a reader must know of these runs before trusting their betas; nothing is passed over."""
        hrf, lone = self.hrf, self.not_cross_validated
        n_curve = int(sum(mask.sum() for mask in self.curve_vertices.values()))
        near = f", R2 {hrf.r2_seed:.0f} %" if np.isfinite(hrf.r2_seed) else ""
        said = (
            (hrf.kept_seed, f"the canonical response was kept ({hrf.outcome.partition(': ')[2]}{near})"),
            (not self.n_pool, "the noise pool is empty: nothing was denoised"),
            (bool(self.n_pool) and not self.n_components,
             "no number of components improves on none: plain least squares"),
            (self.still_rises, f"the curve still rises at {len(self.curve) - 1} components, the most tried"),
            (self.is_fallback,
             f"no vertex has a positive cross-validated R2: the curve is that of the {n_curve} best ones"),
            (self.is_merged, "presentations count as one until the final fit, so that conditions repeat across runs"),
            (bool(lone), (f"{len(lone)} of {self.n_conditions} conditions are in one run only and cannot be "
                          f"cross-validated: {', '.join(lone[:3])}{', ...' if len(lone) > 3 else ''}")),
            (bool(self.missing), self.missing),
            (bool(self.in_parts), f"run {', '.join(map(str, self.in_parts))} was shown in parts and counts as one run"),
        )
        return tuple(text for holds, text in said if holds)


@dataclass(frozen=True, kw_only=True, eq=False)
class PortionResponses:
    """One hemisphere's responses in some runs of a session.

    Parameters
    ----------
    name : str
    conditions : DataFrame
        Columns :data:`~analysis.glm.betas.COLUMNS`.
    percent, errors : float32 array, (n_conditions, n_vertices)
        Betas in percent of the mean signal and their standard errors; NaN where there is none.
    courses : float32 array, (n_conditions, n_lags, n_vertices), or None
        Time courses where one was estimated a condition (``hrf_fit = "fir"``), in percent.
    snr_before, snr_after : float32 array, (n_vertices,)
        Signal over noise without and with components.
    mean_signal, ss_total, ss_residual : float64 array, (n_vertices,)
    n_volumes : int
    condition_number : float
    own : OwnRuns, optional
        What every run gives by itself; None of time courses, and where it was not read.
    """

    name: str
    conditions: pd.DataFrame
    percent: NDArray[np.float32]
    errors: NDArray[np.float32]
    courses: NDArray[np.float32] | None
    snr_before: NDArray[np.float32]
    snr_after: NDArray[np.float32]
    mean_signal: Floats
    ss_total: Floats
    ss_residual: Floats
    n_volumes: int
    condition_number: float
    own: OwnRuns | None = None

    @property
    def own_runs(self) -> OwnRuns:
        """The responses of single runs, which must have been read."""
        if self.own is None:
            raise ValueError(f"{self.name}: responses of single runs were not read")
        return self.own

    @property
    def image_variance(self) -> Floats:
        """Variance of single responses over images, (n_vertices,)."""
        return self.own_runs.image_variance

    @property
    def repeat_variance(self) -> Floats:
        """Their variance over an image's repeats, (n_vertices,)."""
        return self.own_runs.repeat_variance

    @property
    def shown(self) -> NDArray[np.int64]:
        """Runs that hold each condition, (n_conditions,)."""
        return self.own_runs.shown

    @property
    def rho(self) -> Floats:
        """No AR(1) coefficient: 0."""
        return np.zeros(1)

    def contrast(self, weights: Floats) -> ContrastMap:
        """Test a contrast over runs; see :meth:`~analysis.glm.denoising.own_runs.OwnRuns.contrast`."""
        return self.own_runs.contrast(weights)


_OWN = ("percent", "image_variance", "repeat_variance")
_VALUES = ("percent", "errors", "snr_before", "snr_after", "mean_signal", "ss_total", "ss_residual")


def save_noise(path: Path, portions: Iterable[PortionNoise], *, overwrite: bool = False) -> Path:
    """Write what was learnt from the runs of a session."""
    with write_hdf5(path, form=NOISE, overwrite=overwrite) as file:
        for one in portions:
            group = file.create_group(one.name)
            hrf = one.hrf
            group.attrs.update({
                "hrf": hrf.outcome, "hrf_r2_seed": hrf.r2_seed, "hrf_rounds": hrf.rounds, "n_conditions":
                one.n_conditions, "n_components": one.n_components, "is_fallback": one.is_fallback,
                "is_merged": one.is_merged, "threshold": one.threshold, "missing": one.missing,
                "in_parts": np.array(one.in_parts, np.int64)})
            group["not_cross_validated"] = text_array(one.not_cross_validated)
            for name, values in (("times_s", one.times_s), ("response", hrf.response), ("seed", hrf.seed),
                                 ("estimate", hrf.estimate), ("hrf_vertices", hrf.vertices), ("curve", one.curve)):
                if values is not None:
                    group[name] = values
            for run, columns in one.components.items():
                group[f"components/run-{run}"] = columns
            for hemi in one.pool:
                for name in ("pool", "curve_vertices", "xval_r2"):
                    group[f"hemi-{hemi}/{name}"] = getattr(one, name)[hemi]
    return path


def load_noise(path: Path) -> tuple[PortionNoise, ...]:
    """Read what was learnt from the runs of a session.

    Raises
    ------
    AnalysisError
        If the file is missing or cannot be read.
    """
    with read_hdf5(path, form=NOISE, remedy=AGAIN, marked=True) as file:
        return tuple(_noise_of(name, file[name]) for name in file)


def _noise_of(name: str, group: h5py.Group) -> PortionNoise:
    said: Mapping[str, Any] = group.attrs
    hrf = HrfEstimate(outcome=str(said["hrf"]), response=group["response"][:],  # type: ignore[arg-type]
                      seed=group["seed"][:], r2_seed=float(said["hrf_r2_seed"]), rounds=int(said["hrf_rounds"]),
                      estimate=group["estimate"][:] if "estimate" in group else None,
                      vertices=group["hrf_vertices"][:] if "hrf_vertices" in group else None)
    hemispheres = [key.removeprefix("hemi-") for key in group if key.startswith("hemi-")]
    of_vertices = {what: {hemi: group[f"hemi-{hemi}/{what}"][:] for hemi in hemispheres}
                   for what in ("pool", "curve_vertices", "xval_r2")}
    return PortionNoise(
        name=name, hrf=hrf, times_s=group["times_s"][:], n_components=int(said["n_components"]),
        curve=group["curve"][:], is_fallback=bool(said["is_fallback"]), is_merged=bool(said["is_merged"]),
        components={run: group[f"components/run-{run}"][:]
                    for run in sorted(int(key.removeprefix("run-")) for key in group["components"])},
        in_parts=tuple(int(run) for run in said["in_parts"]), n_conditions=int(said["n_conditions"]),
        missing=str(said["missing"]),
        not_cross_validated=texts(group["not_cross_validated"]), threshold=float(said["threshold"]), **of_vertices)


def save_responses(path: Path, portions: Sequence[PortionResponses], *, hemi: str, overwrite: bool = False) -> Path:
    """Write one hemisphere's responses in a session."""
    with write_hdf5(path, form=RESPONSES, overwrite=overwrite) as file:
        file.attrs.update({"hemi": hemi, "unit": "percent signal change"})
        for one in portions:
            group = file.create_group(one.name)
            group.attrs.update({"n_volumes": one.n_volumes, "condition_number": one.condition_number})
            for name in _VALUES:
                group[name] = getattr(one, name)
            if one.courses is not None:
                group["courses"] = one.courses
            if one.own is not None:
                group["own/names"] = text_array(one.own.names)
                for name in _OWN:
                    group[f"own/{name}"] = getattr(one.own, name)
            for name in COLUMNS:
                column = one.conditions[name]
                group[f"conditions/{name}"] = column.to_numpy(np.int64) if name == "presentation" else \
                    text_array(tuple(column))
    return path


def load_responses(path: Path, *, own_runs: bool = False) -> tuple[PortionResponses, ...]:
    """Read one hemisphere's responses in a session, on request those of single runs too; as :func:`load_noise`."""
    with read_hdf5(path, form=RESPONSES, remedy=AGAIN, marked=True) as file:
        return tuple(_responses_of(file, own_runs=own_runs))


def load_snr(path: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Read the signal over noise without and with components, by portion; raises as :func:`load_noise`."""
    with read_hdf5(path, form=RESPONSES, remedy=AGAIN, marked=True) as file:
        return {name: (group["snr_before"][:], group["snr_after"][:]) for name, group in file.items()}


def _responses_of(file: h5py.File, *, own_runs: bool) -> Iterator[PortionResponses]:
    for name, group in file.items():
        columns = {key: group[f"conditions/{key}"][:] if key == "presentation" else
                   np.array(texts(group[f"conditions/{key}"]), dtype=object) for key in COLUMNS}
        yield PortionResponses(
            name=name, conditions=pd.DataFrame(columns), n_volumes=int(group.attrs["n_volumes"]),
            courses=group["courses"][:] if "courses" in group else None,
            own=_own_of(group["own"]) if own_runs else None,
            condition_number=float(group.attrs["condition_number"]), **{key: group[key][:] for key in _VALUES})


def _own_of(group: h5py.Group) -> OwnRuns:
    return OwnRuns(names=texts(group["names"]), **{name: group[name][:] for name in _OWN})


def require_noise(path: Path) -> Path:
    """See that a file holds what GLMdenoise found; raises as :func:`load_noise`."""
    load_noise(path)
    return path


def require_responses(path: Path) -> Path:
    """See that a file holds responses, without reading them; raises as :func:`load_noise`."""
    with read_hdf5(path, form=RESPONSES, remedy=AGAIN, marked=True) as file:
        for group in file.values():
            if group["percent"].shape != (len(group["conditions/type"]), len(group["mean_signal"])):
                raise ValueError(f"{group.name}: betas of another shape than conditions and vertices")
    return path
