"""What least squares found in a session, on disk: betas, their covariance, the betas of every run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.hdf5 import read_hdf5, text_array, texts, write_hdf5
from analysis.glm.betas import COLUMNS
from analysis.glm.linear.contrasts import ContrastMap
from analysis.glm.ols import Floats
from subjects.provenance import FileFormat

FITS = FileFormat("session fits", version=1)
AGAIN = "Fit again with `python -m analysis glm`."


@dataclass(frozen=True, kw_only=True, eq=False)
class PortionFit:
    """One hemisphere's fit to some runs of a session.

    Parameters
    ----------
    name : str
        See :class:`~analysis.glm.portions.Portion`.
    conditions : DataFrame
        Columns :data:`~analysis.glm.betas.COLUMNS`.
    percent, errors : float32 array, (n_conditions, n_vertices)
        Betas in percent of the mean signal and their standard errors; NaN where there is no signal.
    unit_variance : float64 array, (n_vertices,)
        Variance of the (whitened) noise in squared percent of the mean signal.
    rho : float64 array, (n_vertices,)
        AR(1) coefficient, in hundredths; 0 of ordinary least squares.
    covariance_rho : float64 array, (n_coefficients,)
    covariances : float64 array, (n_coefficients, n_conditions, n_conditions)
        The betas' covariance for noise of variance 1, by coefficient.
    n_df : int
        Degrees of freedom.
    run_names : tuple of str
        Such as ``"ses-01_run-1"``.
    run_percent : float32 array, (n_runs, n_conditions, n_vertices)
        Betas of each run by itself (least squares), in percent of the mean over all these runs.
    shown : int64 array, (n_conditions,)
        Runs that hold each condition.
    image_variance, repeat_variance : float64 array, (n_vertices,)
        Variance of the responses to images in all and over an image's repeats, from `run_percent`, averaged over
        sessions; NaN where there are no two repeats.
    mean_signal, ss_total, ss_residual : float64 array, (n_vertices,)
    n_volumes : int
    condition_number : float
    """

    name: str
    conditions: pd.DataFrame
    percent: NDArray[np.float32]
    errors: NDArray[np.float32]
    unit_variance: Floats
    rho: Floats
    covariance_rho: Floats
    covariances: Floats
    n_df: int
    run_names: tuple[str, ...]
    run_percent: NDArray[np.float32]
    shown: NDArray[np.int64]
    image_variance: Floats
    repeat_variance: Floats
    mean_signal: Floats
    ss_total: Floats
    ss_residual: Floats
    n_volumes: int
    condition_number: float

    def contrast(self, weights: Floats) -> ContrastMap:
        """Take a contrast of the conditions, in percent of the mean signal."""
        scale = np.full(self.rho.shape, np.nan)
        for rho, covariance in zip(self.covariance_rho, self.covariances, strict=True):
            scale[self.rho == rho] = weights @ covariance @ weights
        used = np.flatnonzero(weights)
        return ContrastMap(effect=weights[used] @ self.percent[used].astype(np.float64), n_df=self.n_df,
                           error=np.sqrt(scale * self.unit_variance))


_VALUES = ("percent", "errors", "unit_variance", "rho", "covariance_rho", "covariances", "shown",
           "image_variance", "repeat_variance", "mean_signal", "ss_total", "ss_residual")
_NUMBERS = ("n_df", "n_volumes", "condition_number")


def save_fits(path: Path, portions: Sequence[PortionFit], *, hemi: str, overwrite: bool = False) -> Path:
    """Write one hemisphere's fits to a session."""
    with write_hdf5(path, form=FITS, overwrite=overwrite) as file:
        file.attrs.update({"hemi": hemi, "unit": "percent signal change"})
        for one in portions:
            group = file.create_group(one.name)
            group.attrs.update({name: getattr(one, name) for name in _NUMBERS})
            group["run_names"] = text_array(one.run_names)
            for name in (*_VALUES, "run_percent"):
                group[name] = getattr(one, name)
            for name in COLUMNS:
                column = one.conditions[name]
                group[f"conditions/{name}"] = column.to_numpy(np.int64) if name == "presentation" else \
                    text_array(tuple(column))
    return path


def load_fits(path: Path, *, own_runs: bool = True) -> tuple[PortionFit, ...]:
    """Read one hemisphere's fits to a session.

    Parameters
    ----------
    path : Path
    own_runs : bool
        Also the betas of every run by itself, the largest part; False gives none.

    Raises
    ------
    AnalysisError
        If the file is missing or cannot be read.
    """
    with read_hdf5(path, form=FITS, remedy=AGAIN, marked=True) as file:
        return tuple(_fits_of(file, own_runs=own_runs))


def _fits_of(file: h5py.File, *, own_runs: bool) -> Iterator[PortionFit]:
    for name, group in file.items():
        columns = {key: group[f"conditions/{key}"][:] if key == "presentation" else
                   np.array(texts(group[f"conditions/{key}"]), dtype=object) for key in COLUMNS}
        yield PortionFit(
            name=name, conditions=pd.DataFrame(columns), n_df=int(group.attrs["n_df"]),
            n_volumes=int(group.attrs["n_volumes"]), condition_number=float(group.attrs["condition_number"]),
            run_names=texts(group["run_names"]),
            run_percent=group["run_percent"][slice(None) if own_runs else slice(0)],
            **{key: group[key][:] for key in _VALUES})


def require_fits(path: Path) -> Path:
    """See that a file holds fits, without reading them; raises as :func:`load_fits`."""
    with read_hdf5(path, form=FITS, remedy=AGAIN, marked=True) as file:
        for group in file.values():
            shape = (len(group["conditions/type"]), len(group["mean_signal"]))
            if group["percent"].shape != shape or group["run_percent"].shape[1:] != shape:
                raise ValueError(f"{group.name}: betas of another shape than conditions and vertices")
    return path
