"""A hemisphere block by block: side by side in processes of their own, and kept if the step is interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.jobs import run_jobs
from analysis.regions.prf.design import Experiment
from analysis.regions.prf.fit import cross_validate, fit_prf
from analysis.regions.prf.records import Options, PrfFit
from subjects.cli import ProgressWrapper, silent
from subjects.provenance import digest_array, digest_json
from subjects.store import whole_file

Data = Sequence[NDArray[np.float32]]
Folds = Sequence[Sequence[int]]
FORMAT = 1
"""Of a kept block: the rows of a fit's table, and the cross-validated R2. It is raised where the fit changes."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """How blocks are fitted.

    Parameters
    ----------
    experiment : Experiment
        What was shown and how it was sampled.
    options : Options
    folds : sequence of sequence of int
        Runs that each fold of the cross-validation leaves out; empty for none.
    folder : Path
        Where finished blocks are kept until all are done.
    n_jobs : int
        Blocks fitted at a time.
    block_vertices : int
    """

    experiment: Experiment
    options: Options
    folds: Folds
    folder: Path
    n_jobs: int = 1
    block_vertices: int = 4096

    @property
    def digest(self) -> str:
        """Digest of everything but the data that decides what a fit gives."""
        shown, runs = self.experiment.stimulus, self.experiment.runs
        arrays: list[NDArray[Any]] = [shown.frames, shown.x_deg, shown.y_deg, *shown.order,
                                      *(run.nuisance() for run in runs), *(run.sampling.times_s for run in runs)]
        return digest_json([*(digest_array(one) for one in arrays), self.experiment.frame_s, repr(self.options),
                            [list(fold) for fold in self.folds], FORMAT])


def fit_blocks(data: Data, *, plan: Plan, label: str, progress: ProgressWrapper) -> tuple[PrfFit, NDArray[np.float64]]:
    """Fit every vertex; blocks that an interrupted step left are taken as they are.

    Parameters
    ----------
    data : sequence of float32 array, (n_kept_volumes, n_vertices)
        One a run, in percent of the mean.
    plan : Plan
    label : str
        What the progress over the blocks is called.
    progress : ProgressWrapper

    Returns
    -------
    fit : PrfFit
    r2_cv : float64 array, (n_vertices,)
        Percent; NaN without folds.

    Notes
    -----
    A block is kept under a digest of its data and of everything that shapes its fit, so that one of other data or
    settings is never taken. Blocks do not depend on the number of jobs.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    digest, size = plan.digest, plan.block_vertices
    parts = [[run[:, start:start + size] for run in data] for start in range(0, data[0].shape[1], size)]
    kept = [plan.folder / f"{digest_json([digest, *(digest_array(run) for run in part)])}.npy" for part in parts]
    calls = [partial(_fit_one, plan, part, path) for part, path in zip(parts, kept, strict=True) if not path.is_file()]
    if plan.n_jobs == 1:
        for call in progress(calls, label=label, total=len(calls)):
            call(silent)
    else:
        run_jobs(calls, n_jobs=plan.n_jobs, label=label, progress=progress)
    tables = np.concatenate([np.load(path, allow_pickle=False) for path in kept], axis=1)
    return PrfFit.from_table(tables[:-1]), tables[-1]


def _fit_one(plan: Plan, data: Data, path: Path, progress: ProgressWrapper) -> None:  # noqa: ARG001 - a job's signature
    """Fit a block, and keep it."""
    fit = fit_prf(data, experiment=plan.experiment, options=plan.options)
    r2_cv = np.full(len(fit.r2), np.nan)
    if plan.folds:
        r2_cv = cross_validate(data, experiment=plan.experiment, options=plan.options, folds=plan.folds).r2
    with whole_file(path, overwrite=True) as beside, beside.open("wb") as file:
        np.save(file, np.concatenate([fit.table, r2_cv[None]]))


def drop_blocks(folder: Path) -> None:
    """Remove the kept blocks of a step that has come to its end."""
    for path in folder.glob("*.npy"):
        path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
