"""The step ``prf``: retinotopy runs and the apertures that they showed in, population receptive fields out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.sources import HEMISPHERES, SubjectData, require_whole, resolve_subject
from analysis.data.timeseries import Run as Scan
from analysis.data.timeseries import (
    Sessions,
    label_part,
    read_run,
    read_sessions,
    require_counted,
    require_scanner_units,
    require_volumes,
)
from analysis.glm.design import Sampling, drift_degree
from analysis.glm.subject_runs import count_discarded, keep_estimable
from analysis.regions.labels import read_present
from analysis.regions.prf.blocks import Plan, drop_blocks, fit_blocks
from analysis.regions.prf.design import Experiment, Run
from analysis.regions.prf.maps import FORMAT, MAPS, PrfMaps, load_maps, save_maps, summarise, write_gifti, write_mgz
from analysis.regions.prf.movies import Movie, read_export, read_movie, require_covers
from analysis.regions.prf.records import Options, PrfFit
from analysis.regions.prf.stimulus import coarsen, make_stimulus
from analysis.steps import Extras, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.analysis import PrfSettings
from subjects.store import read_table, write_table

TASK = "retinotopy"
FREESURFER = ("fsnative", "fsaverage", "fsaverage6", "fsaverage5")
"""Spaces whose meshes are FreeSurfer's own, on which .mgz maps can be opened."""
Floats = NDArray[np.float64]


class Hemisphere(NamedTuple):
    """What is kept of a hemisphere until its files are written."""

    maps: PrfMaps
    rows: tuple[dict[str, Any], ...]


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the receptive fields of each subject: both hemispheres are computed before any file is replaced."""
    chosen, alone = request.settings, len(request.subjects) == 1
    subjects = [SubjectPrf(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                           space=chosen.analysis.space, settings=chosen.prf, tr_s=chosen.scanner.tr_s,
                           drift_minutes=chosen.glm.drift_minutes, regions=chosen.roi.regions,
                           accept=chosen.analysis.accept, n_jobs=request.n_jobs if alone else 1)
                for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=one.paths, companions=one.companions,
                      origin=one.origin, make=one.make, check=one.check, tell=one.tell) for one in subjects)


@dataclass(frozen=True, kw_only=True)
class SubjectPrf:
    """The receptive fields of one subject; its files are looked for when they are needed.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    space : str
        ``analysis.space``.
    settings : PrfSettings
    tr_s : float
        Repetition time that is expected.
    drift_minutes : float
        Minutes a degree of the drift polynomials, as in the GLM.
    regions : tuple of str
        ``roi.regions``: those that the subject's labels have are summed up.
    accept : tuple of str
        ``analysis.accept``.
    n_jobs : int
        Blocks of vertices fitted at a time.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    settings: PrfSettings
    tr_s: float
    drift_minutes: float
    regions: tuple[str, ...]
    accept: tuple[str, ...] = ()
    n_jobs: int = 1

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """The table of both hemispheres, and the file of each."""
        left, right = maps_paths(self.layout, sub=self.sub).values()
        return self.layout.derivative("prf", sub=self.sub, suffix="prf.tsv"), left, right

    @property
    def companions(self) -> dict[str, Path]:
        """The same maps for other programs: GIFTI, and .mgz where the mesh is FreeSurfer's."""
        found = {f"Gifti{hemi}": path.with_name(path.name.replace(".h5", ".func.gii"))
                 for hemi, path in maps_paths(self.layout, sub=self.sub).items()}
        for hemi in HEMISPHERES if self.is_freesurfer else ():
            found |= {f"Mgz{hemi}_{name}": self.layout.derivative("prf", sub=self.sub, hemi=hemi, suffix="prf.mgz",
                                                                  desc=name.replace("_", "")) for name in MAPS}
        return found

    @cached_property
    def is_freesurfer(self) -> bool:
        """Whether the time series are on a mesh of FreeSurfer's, as their names say."""
        return self._resolve().space in FREESURFER

    def _resolve(self) -> SubjectData:
        return resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space, task=TASK)

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(self._resolve())

    @cached_property
    def sessions(self) -> Sessions:
        """Its events, of the runs and parts that are long enough to be fitted."""
        return {ses: keep_estimable(events, n_discarded=self.n_discarded)
                for ses, events in read_sessions(self.layout, sub=self.sub, task=TASK).items()}

    @property
    def n_discarded(self) -> int:
        """Volumes left out at the start of each run."""
        return count_discarded(self.settings.discard_s, tr_s=self.tr_s)

    @property
    def runs(self) -> dict[RunKey, pd.DataFrame]:
        """Runs, or parts of them, and their events, in order."""
        return {key: table for events in self.sessions.values() for key, table in events.items()}

    def origin(self, _: Path) -> Origin:
        """Say what all files are made from."""
        inputs: dict[str, Path | str] = {}
        for key in self.runs:
            name = label_part(key)
            inputs |= {f"{name}_events": self.layout.events(key), f"{name}_log": self.layout.events_sidecar(key),
                       f"{name}_apertures": self.aperture_path(key)}
            for hemi in HEMISPHERES:
                bold = self.data.bold.get((key, hemi)) or self.data.require_bold(key, hemi=hemi)
                beside = sidecar_path(bold)
                timing = {f"{name}_timing_{hemi}": beside} if beside.is_file() else {}
                inputs |= {f"{name}_bold_{hemi}": bold, **timing}
        inputs |= {f"labels_{hemi}": path for hemi, path in self.data.labels.items() if path.is_file()}
        chosen = self.settings.model_dump(mode="json", exclude={"block_vertices"})
        return Origin(inputs, {"source": self.data.source, "tr_s": self.tr_s, "drift_minutes": self.drift_minutes,
                               "regions": list(self.regions), **chosen})

    def aperture_path(self, key: RunKey) -> Path:
        """Spell where a run's apertures are: the console's, or one's own."""
        return aperture_path(self.layout, key, pattern=self.settings.apertures)

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Fit both hemispheres; give what then saves them."""
        for key, table in self.runs.items():
            require_counted(table, key, accept=self.accept)
        movies = read_movies(self.layout, self.runs, settings=self.settings, tr_s=self.tr_s)
        found = {hemi: self._fit(hemi, movies, progress) for hemi in HEMISPHERES}
        return lambda: self._save(found)

    def _fit(self, hemi: str, movies: Mapping[RunKey, Movie], progress: ProgressWrapper) -> Hemisphere:
        scans = {key: require_volumes(read_run(self.data, key, hemi=hemi, tr_s=self.tr_s), table)
                 for key, table in self.runs.items()}
        require_movies(movies, scans, is_export=not self.settings.apertures)
        experiment = make_experiment(movies, scans, settings=self.settings, n_discarded=self.n_discarded,
                                     drift_minutes=self.drift_minutes)
        labels, names = read_present(self.data.labels[hemi], hemi=hemi, names=self.regions) \
            if self.data.labels[hemi].is_file() else (None, ())
        data, mean = in_percent([scan.data[self.n_discarded:] for scan in scans.values()], where=f"hemi-{hemi}")
        chosen = choose_vertices(mean, labels=labels, settings=self.settings, where=f"sub-{self.sub} hemi-{hemi}")
        blocks = Plan(experiment=experiment, options=fit_options(self.settings), n_jobs=self.n_jobs,
                      folds=choose_folds(tuple(scans), by=self.settings.cross_validation),
                      folder=self.paths[0].parent / f".{hemi}.blocks", block_vertices=self.settings.block_vertices)
        fit, r2_cv = fit_blocks([run[:, chosen] for run in data], plan=blocks, label=f"pRF sub-{self.sub} {hemi}",
                                progress=progress)
        maps = PrfMaps(hemi=hemi, fit=spread(fit, chosen, n_vertices=len(mean)), mean_signal=mean,
                       r2_cv=_spread(r2_cv, chosen, n=len(mean)), field_deg=experiment.stimulus.widths_deg)
        return Hemisphere(maps, tuple(summarise(maps, sub=self.sub, labels=labels, names=names,
                                                r2_pct=self.settings.show_r2_pct)))

    def _save(self, found: Mapping[str, Hemisphere]) -> Extras:
        describe_derivative(self.layout, "prf")
        table, *files = self.paths
        write_table(table, pd.DataFrame([row for one in found.values() for row in one.rows]), overwrite=True)
        for path, one in zip(files, found.values(), strict=True):
            save_maps(path, one.maps)
            write_gifti(self.companions[f"Gifti{one.maps.hemi}"], one.maps)
            for name, values in one.maps.by_name.items() if self.is_freesurfer else ():
                write_mgz(self.companions[f"Mgz{one.maps.hemi}_{name}"], values)
            drop_blocks(table.parent / f".{one.maps.hemi}.blocks")
        return {table: FORMAT.in_sidecar(), **{path: said(one.maps) for path, one in
                                               zip(files, found.values(), strict=True)}}

    def check(self) -> None:
        """See that the files can be read."""
        read_table(self.paths[0])
        for path in self.paths[1:]:
            load_maps(path)

    def tell(self) -> str:
        """Say what was found, in a few words."""
        table = read_table(self.paths[0])
        every = table[table["region"] == "all"]
        return (f"sub-{self.sub}: {int(every['n_fitted'].sum())} vertices, {int(every['n_shown'].sum())} of them above "
                f"{self.settings.show_r2_pct:g} % of variance")


def maps_paths(layout: Layout, *, sub: str) -> dict[str, Path]:
    """Spell the paths of a subject's receptive fields, by hemisphere."""
    return {hemi: layout.derivative("prf", sub=sub, hemi=hemi, suffix="prf.h5") for hemi in HEMISPHERES}


def aperture_path(layout: Layout, key: RunKey, *, pattern: str = "") -> Path:
    """Spell where a run's apertures are: the console's export, or by a pattern of one's own.

    Raises
    ------
    AnalysisError
        If the pattern has other fields than sub, ses and run.
    """
    if pattern:
        try:
            return layout.root / pattern.format(sub=key.sub, ses=key.ses, run=key.run)
        except (KeyError, IndexError, ValueError) as error:
            raise AnalysisError("prf.apertures", came=pattern, expected="a path with {sub}, {ses} and {run} alone",
                                remedy="Correct it in study.toml.") from error
    part = {"acq": f"part{key.part}"} if key.part > 1 else {}
    return layout.derivative("apertures", sub=key.sub, suffix="apertures.npz", ses=key.ses, task=key.task, **part,
                             run=key.run)


def read_movies(layout: Layout, runs: Mapping[RunKey, pd.DataFrame], *, settings: PrfSettings,
                tr_s: float) -> dict[RunKey, Movie]:
    """Read the apertures of every run.

    Raises
    ------
    AnalysisError
        If a file is missing, cannot be read or does not say degrees, or if files differ in field, grid or frame.
    """
    paths = {key: aperture_path(layout, key, pattern=settings.apertures) for key in runs}
    movies = {key: read_movie(path, settings=settings, tr_s=tr_s) if settings.apertures else read_export(path)
              for key, path in paths.items()}
    first = next(iter(movies.values()))
    for one in movies.values():
        same = one.frame_s == first.frame_s and all(
            here.shape == there.shape and np.allclose(here, there, atol=1e-6)
            for here, there in ((one.x_deg, first.x_deg), (one.y_deg, first.y_deg)))
        if not same:
            raise AnalysisError(one.where, came="another grid, field or frame length than in " + first.where,
                                expected="apertures of all runs on one grid", remedy="Export all runs on one grid.")
    return movies


def require_movies(movies: Mapping[RunKey, Movie], scans: Mapping[RunKey, Scan], *, is_export: bool) -> None:
    """See that every movie lasts as long as its run; see :func:`~analysis.regions.prf.movies.require_covers`."""
    for key, scan in scans.items():
        require_covers(movies[key], n_volumes=len(scan.data), tr_s=scan.tr_s, is_export=is_export)


def make_experiment(movies: Mapping[RunKey, Movie], scans: Mapping[RunKey, Scan], *, settings: PrfSettings,
                    n_discarded: int, drift_minutes: float) -> Experiment:
    """Join what was shown with when volumes were taken."""
    first = next(iter(movies.values()))
    x, y, masks = first.x_deg, first.y_deg, [movies[key].masks for key in scans]
    if min(abs(np.diff(x)).min(), abs(np.diff(y)).min()) < settings.grid_deg:
        made = [coarsen(one, x_deg=first.x_deg, y_deg=first.y_deg, step_deg=settings.grid_deg) for one in masks]
        masks, (_, x, y) = [one[0] for one in made], made[0]
    samplings = [Sampling(n_volumes=len(scan.data), tr_s=scan.tr_s, start_s=scan.start_s, n_discarded=n_discarded)
                 for scan in scans.values()]
    runs = tuple(Run(sampling=one, degree=drift_degree(one, drift_minutes=drift_minutes)) for one in samplings)
    stimulus = make_stimulus(masks, x_deg=x, y_deg=y, tolerance=settings.frame_tolerance)
    return Experiment(stimulus=stimulus, runs=runs, frame_s=first.frame_s)


def fit_options(settings: PrfSettings) -> Options:
    """Turn the settings into what the fit is asked."""
    lag_s, width = (settings.lag_s, settings.width) if settings.hrf == "fitted" else ((0.0, 0.0), (1.0, 1.0))
    return Options(exponent=1.0 if settings.model == "gaussian" else None, lag_s=lag_s, width=width)


def choose_folds(keys: Sequence[RunKey], *, by: str) -> tuple[tuple[int, ...], ...]:
    """Say which places each fold leaves out: all parts of a run, or all runs of a session.

    Raises
    ------
    AnalysisError
        If there is only one run or session.

    Examples
    --------
    >>> keys = [RunKey("01", ses, "retinotopy", run) for ses in ("01", "02") for run in (1, 2)]
    >>> choose_folds(keys, by="sessions"), choose_folds(keys, by="none")
    (((0, 1), (2, 3)), ())
    """
    if by == "none":
        return ()
    names = [(key.ses,) if by == "sessions" else (key.ses, key.run) for key in keys]
    folds = tuple(tuple(k for k, one in enumerate(names) if one == name) for name in dict.fromkeys(names))
    if len(folds) < 2:
        raise AnalysisError("prf.cross_validation", came=f"{by}, of which there is one", expected="two at least",
                            remedy="Set it to none, or to runs.")
    return folds


def in_percent(data: Sequence[NDArray[np.float32]], *, where: str) -> tuple[list[NDArray[np.float32]], Floats]:
    """Give each run in percent of each vertex' mean in it, and that mean over runs; 0 where a run has no signal.

    Raises
    ------
    AnalysisError
        If no vertex has a signal, or as :func:`~analysis.data.timeseries.require_scanner_units`.
    """
    found = [require_scanner_units(run, where=where) for run in data]
    means, use = np.stack([one for one, _ in found]), np.all([usable for _, usable in found], axis=0)
    if not use.any():
        raise AnalysisError(where, came="no vertex with a signal", expected="time series in scanner units",
                            remedy="See what the files hold with `wb_command -file-information` or nibabel.")
    scale = np.where(use, 100.0 / np.where(use, np.abs(means), 1.0), 0.0).astype(np.float32)
    return [run * one for run, one in zip(data, scale, strict=True)], np.where(use, means.mean(axis=0), 0.0)


def choose_vertices(mean: Floats, *, labels: NDArray[np.int16] | None, settings: PrfSettings,
                    where: str) -> NDArray[np.int64]:
    """List the vertices that are fitted.

    Raises
    ------
    AnalysisError
        If those of the regions are asked for and there are no labels, or labels of another mesh.
    """
    if labels is not None and len(labels) != len(mean):
        raise AnalysisError(where, came=f"{len(labels)} labels for {len(mean)} vertices", expected="one label a vertex",
                            remedy="Take labels and time series of the same mesh.")
    if settings.vertices == "regions" and labels is None:
        raise AnalysisError(where, came="no region labels", expected="labels, for prf.vertices = \"regions\"",
                            remedy="Set prf.vertices to \"all\", or draw the regions.")
    asked = mean != 0 if settings.vertices == "all" or labels is None else (mean != 0) & (labels > 0)
    found = np.flatnonzero(asked)
    if not found.size:
        raise AnalysisError(where, came="no vertex to fit", expected="vertices with a signal",
                            remedy="See prf.vertices.")
    if settings.max_vertices and len(found) > settings.max_vertices:
        found = found[np.linspace(0, len(found) - 1, settings.max_vertices).round().astype(np.int64)]
    return found


def spread(fit: PrfFit, chosen: NDArray[np.int64], *, n_vertices: int) -> PrfFit:
    """Put the fits of some vertices in their place on the mesh, NaN elsewhere."""
    table = np.full((len(PrfFit.TABLE), n_vertices), np.nan)
    table[:, chosen] = np.where(np.isfinite(fit.r2), fit.table, np.nan)
    return PrfFit.from_table(table)


def _spread(values: Floats, chosen: NDArray[np.int64], *, n: int) -> Floats:
    result = np.full(n, np.nan)
    result[chosen] = values
    return result


def said(maps: PrfMaps) -> dict[str, Any]:
    """Give what a hemisphere's sidecar tells beside its origin."""
    fitted = np.isfinite(maps.fit.r2)
    return {"Maps": dict(MAPS), "Model": "compressive spatial summation (Kay et al. 2013)",
            "FieldDegrees": list(maps.field_deg), "VerticesFitted": int(fitted.sum()),
            "VerticesNotConverged": int((fitted & ~maps.fit.converged).sum()),
            "VerticesWithoutSignal": int((maps.mean_signal == 0).sum()), "MedianR2": float(np.nanmedian(maps.fit.r2))}
