"""A subject's betas on disk, and how the estimates of its sessions are joined to them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.sources import HEMISPHERES
from analysis.glm.betas import COLUMNS, Betas, require_betas, save_betas
from analysis.glm.design import order_conditions
from analysis.glm.ols import explained
from analysis.glm.subject_runs import SubjectRuns, joint_origin
from analysis.steps import Origin
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import digest_file, sidecar_path
from subjects.store import read_json

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]


def betas_paths(layout: Layout, *, sub: str) -> dict[str, Path]:
    """Spell the paths of a subject's betas, by hemisphere."""
    return {hemi: layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5") for hemi in HEMISPHERES}


def betas_origin(runs: SubjectRuns, path: Path, *, names: Sequence[str], **more: Any) -> Origin:
    """Say what a file of betas is made from: the runs of its hemisphere, and the settings of these names."""
    hemi = next(hemi for hemi, one in betas_paths(runs.layout, sub=runs.sub).items() if one == path)
    chosen = runs.settings.model_dump(mode="json", include=set(names))
    return Origin(runs.inputs(sessions=runs.sessions, hemispheres=(hemi,)),
                  {"source": runs.data.source, "tr_s": runs.tr_s, "n_discarded": runs.n_discarded, **chosen,
                   **(joint_origin(runs.groups[0]) if len(runs.groups) == 1 else {}), **more})


def write_betas(path: Path, betas: Betas, *, sub: str, said: Mapping[str, Any],
                inputs: Mapping[str, Path | str] | None = None) -> dict[str, Any]:
    """Write one hemisphere's betas, and say what their sidecar holds beside `said`."""
    digests = {name: one if isinstance(one, str) else digest_file(one) for name, one in (inputs or {}).items()}
    save_betas(path, betas, sub=sub, inputs=digests, overwrite=True)
    return {"Unit": "percent signal change", **said, "VerticesWithoutSignal": int(np.isnan(betas.r2).sum()),
            "MedianR2": float(np.nanmedian(betas.r2))}


def check_betas(paths: Mapping[str, Path], *, sub: str) -> None:
    """See that both files are betas, and this subject's."""
    for hemi, path in paths.items():
        require_betas(path, sub=sub, hemi=hemi)


def vertices_left_out(fits: Iterable[Path]) -> dict[str, dict[str, int]]:
    """Gather from the sidecars of sessions' fits how many vertices have no betas, and why, by session and portion.

    Fits of versions before 0.2.0 told of other sessions too, as they were then: what says nothing hides no count.
    """
    found = dict[str, dict[str, int]]()
    for path in fits:
        for where, counts in read_json(sidecar_path(path)).get("VerticesLeftOut", {}).items():
            found[where] = counts or found.get(where, {})
    return found


def missing_runs_of(paths: Iterable[Path]) -> dict[str, str]:
    """Take from the sidecars of betas which planned sessions or runs are not in them; empty where none are missing.

    Returns
    -------
    dict of str to str
        ``{"MissingRuns": "1 of 2 sessions"}``, as sidecars of what is made from them hold it too.
    """
    beside = [one for one in map(sidecar_path, paths) if one.is_file()]
    said = dict.fromkeys(str(told["MissingRuns"]) for told in map(read_json, beside) if told.get("MissingRuns"))
    return {"MissingRuns": "; ".join(said)} if said else {}


def require_images(betas: Betas, path: Path, *, planned: Sequence[str], where: str) -> None:
    """See that betas hold every base image of a study, or that they were fitted without some by consent.

    Parameters
    ----------
    betas : Betas
    path : Path
        Their file, whose sidecar names what is missing by consent.
    planned : sequence of str
        The base images of the study.
    where : str

    Raises
    ------
    AnalysisError
        If images are missing and the sidecar does not say so.
    """
    said = missing_runs_of([path]).get("MissingRuns", "")
    lacking = [name for name in planned if name not in set(betas.base_images)]
    if lacking and not said:
        there = f"{len(planned) - len(lacking)} of {len(planned)}"
        raise AnalysisError(where, came=f"betas of {there} base images (not {lacking[0]})",
                            expected="those of every image of the set",
                            remedy='Fit all sessions, or set analysis.accept = ["missing runs"] and fit again with '
                                   "`python -m analysis glm`.")
    if said:
        log.warning("%s: betas without all that was planned (%s): %d of %d base images", where, said,
                    len(planned) - len(lacking), len(planned))


class Estimates(Protocol):
    """Estimates of some runs of a session."""

    @property
    def percent(self) -> NDArray[np.float32]:
        """Betas in percent of the mean signal, (n_conditions, n_vertices)."""

    @property
    def mean_signal(self) -> Floats:
        """Mean over the volumes that entered, (n_vertices,)."""

    @property
    def ss_total(self) -> Floats:
        """Sum of squares of the data, drifts removed."""

    @property
    def ss_residual(self) -> Floats:
        """Sum of squares that the model leaves."""

    @property
    def n_volumes(self) -> int:
        """Volumes that entered."""


def combine_sessions(fits: Sequence[Estimates], tables: Sequence[pd.DataFrame], *, hemi: str,
                     base_images: Sequence[str]) -> Betas:
    """Join the sessions' estimates: rows by name, R2 from the pooled sums of squares.

    A condition that two halves of a session hold alike (its blanks) is their mean.
    """
    sizes = {len(fit.mean_signal) for fit in fits}
    if len(sizes) != 1:
        raise AnalysisError(f"hemi-{hemi}", came=f"sessions on {' and '.join(map(str, sorted(sizes)))} vertices",
                            expected="one mesh", remedy="Preprocess all sessions to one surface.")
    joined = pd.concat(tables, ignore_index=True)
    values, table = _means_of_equals(np.concatenate([fit.percent for fit in fits]), joined)
    rows = order_conditions(table, base_images=base_images)
    found = [one for one in (getattr(fit, "errors", None) for fit in fits) if one is not None]
    errors = _errors_of_means(np.concatenate(found), joined)[rows] if len(found) == len(fits) else None
    volumes = np.array([fit.n_volumes for fit in fits], dtype=np.float64)
    total, left = (np.sum([getattr(fit, name) for fit in fits], axis=0) for name in ("ss_total", "ss_residual"))
    return Betas(hemi=hemi, values=values[rows], errors=errors, conditions=table.iloc[rows].reset_index(drop=True),
                 r2=explained(total, left).astype(np.float32),
                 mean_signal=np.average([fit.mean_signal for fit in fits], axis=0, weights=volumes).astype(np.float32))


def _errors_of_means(errors: NDArray[np.float32], table: pd.DataFrame) -> NDArray[np.float32]:
    """Give the standard errors of the means of independent estimates: the root of summed squares over their number."""
    if not table.duplicated().any():
        return errors
    groups = table.groupby(list(COLUMNS), sort=False).ngroup().to_numpy()
    sums = [np.sqrt(np.square(errors[groups == group], dtype=np.float64).sum(axis=0)) / np.sum(groups == group)
            for group in range(groups.max() + 1)]
    return np.stack(sums).astype(np.float32)


def _means_of_equals(values: NDArray[np.float32], table: pd.DataFrame) -> tuple[NDArray[np.float32], pd.DataFrame]:
    if not table.duplicated().any():
        return values, table
    groups = table.groupby(list(COLUMNS), sort=False).ngroup().to_numpy()
    means = np.stack([values[groups == group].mean(axis=0, dtype=np.float64) for group in range(groups.max() + 1)])
    return means.astype(np.float32), table.drop_duplicates().reset_index(drop=True)
