"""What a subject's betas are made from: events, time series, volumes, read when they are needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.data.events.foreign import ForeignEvents
from analysis.data.sources import HEMISPHERES, TASK, SubjectData, require_whole, resolve_subject
from analysis.data.surface import require_mesh
from analysis.data.timeseries import (
    EXCHANGED,
    MISSING,
    Events,
    Run,
    Sessions,
    count_volumes,
    label_part,
    read_run,
    read_sessions,
    require_counted,
    require_scanner_units,
    require_volumes,
    say_missing_runs,
)
from analysis.glm.checks.exchanged import require_own_events, require_times
from analysis.glm.checks.usable import judge_vertices
from analysis.glm.denoising.confounds import read_confounds
from analysis.glm.design import Sampling
from analysis.glm.portions import Portion, split_sessions
from analysis.jobs import Each
from subjects.cli import ProgressWrapper
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.analysis import GlmSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SubjectRuns:
    """The runs of one subject; its files are looked for when they are needed.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    space : str
        ``analysis.space``.
    settings : GlmSettings
    tr_s : float
        Repetition time that is expected.
    n_discarded : int
        Volumes left out at the start of each run.
    base_images : tuple of str
        Order of the rows.
    planned : tuple of int
        Sessions, and runs in each, that must be there.
    accept : tuple of str
        ``analysis.accept``.
    task : str
        The paradigm.
    foreign : ForeignEvents, optional
        What events tables of another program mean.
    left_out : dict of str to dict of str to int
        Runs that were read, and how many vertices have no betas in them, by reason
        (:data:`~analysis.glm.checks.usable.REASONS`).
    event_scores : dict of str to dict of str to float
        Hemisphere to how well the events of each run that was read are found in its data (z).
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    settings: GlmSettings
    tr_s: float
    n_discarded: int
    base_images: tuple[str, ...]
    planned: tuple[int, int] = (0, 0)
    accept: tuple[str, ...] = ()
    task: str = TASK
    foreign: ForeignEvents | None = None
    left_out: dict[str, dict[str, int]] = field(default_factory=dict, repr=False, compare=False)
    event_scores: dict[str, dict[str, float]] = field(default_factory=dict, repr=False, compare=False)
    _held: dict[tuple[tuple[str, ...], str], dict[RunKey, Run]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space,
                                             task=self.task))

    @cached_property
    def sessions(self) -> Sessions:
        """Its events.

        Raises
        ------
        AnalysisError
            If planned sessions or runs are absent, unless ``analysis.accept`` has ``"missing runs"``; or if images
            were acquired while another run than theirs was played, unless it has ``"exchanged runs"``.
        """
        found = read_sessions(self.layout, sub=self.sub, task=self.task, foreign=self.foreign)
        gaps = say_missing_runs(found, n_sessions=self.planned[0], n_runs=self.planned[1])
        if gaps and MISSING not in self.accept:
            raise AnalysisError(f"sub-{self.sub}", came=gaps, expected="all that [main] plans in study.toml",
                                remedy="Play the rest, correct main.sessions and main.runs, or set analysis.accept = "
                                       f'["{MISSING}"] to go on with what there is.')
        if gaps:
            log.warning("sub-%s: %s (analysis.accept)", self.sub, gaps)
        require_times(self.layout, sub=self.sub, keys=[key for events in found.values() for key in events],
                      accepted=EXCHANGED in self.accept)
        return found

    @property
    def missing_runs(self) -> dict[str, str]:
        """What sidecars hold of absent sessions and runs; empty where there are none."""
        gaps = say_missing_runs(self.sessions, n_sessions=self.planned[0], n_runs=self.planned[1])
        return {"MissingRuns": gaps} if gaps else {}

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Sessions that are estimated together (``glm.sessions``)."""
        return join_sessions(tuple(self.sessions), joint=self.settings.sessions == "joint")

    def portions(self, sessions: Sequence[str]) -> tuple[Portion, ...]:
        """Split the runs of some sessions into those that are estimated together (``glm.partition``)."""
        events = {ses: keep_estimable(self.sessions[ses], n_discarded=self.n_discarded) for ses in sessions}
        return split_sessions(events, partition=self.settings.partition, base_images=self.base_images)

    def inputs(self, *, sessions: Iterable[str], hemispheres: Iterable[str]) -> dict[str, Path | str]:
        """Name the files that some sessions' betas are made from."""
        several = tuple(hemispheres)
        found: dict[str, Path | str] = {
            f"{label_part(key)}{f'_hemi-{hemi}' if len(several) > 1 else ''}_{kind}": path for ses in sessions
            for key in self.sessions[ses] for hemi in several for kind, path in self._files(key, hemi).items()}
        return found if self.foreign is None else {**found, "events_read_as": self.foreign.digest}

    @cached_property
    def _n_vertices(self) -> dict[str, int]:
        """Vertices of each hemisphere's midway mesh, where there is one, of its side; asked before anything is read.

        With it both hemispheres of every run are seen to have a file.
        """
        self.data.require_all(key for events in self.sessions.values() for key in events)
        meshes = {hemi: self.data.surfaces[hemi]["midthickness"] for hemi in HEMISPHERES}
        return {hemi: require_mesh(path, hemi=hemi) for hemi, path in meshes.items() if path.is_file()}

    def _files(self, key: RunKey, hemi: str) -> dict[str, Path]:
        self._n_vertices  # noqa: B018 - everything is there, before the first fit
        bold = self.data.bold.get((key, hemi)) or self.data.require_bold(key, hemi=hemi)
        beside = sidecar_path(bold)  # its StartTime shifts the design
        timing = {"timing": beside} if beside.is_file() else {}
        if self.settings.confounds:
            table = self._confounds_path(key)
            beside_table = {"confounds_json": sidecar_path(table)} if sidecar_path(table).is_file() else {}
            timing |= {"confounds": table, **beside_table}
        log_file = self.layout.events_sidecar(key)  # other programs' tables may have none
        return {"events": self.layout.events(key), **({"log": log_file} if log_file.is_file() else {}), "bold": bold,
                **timing}

    def read(self, key: RunKey, *, hemi: str) -> Run:
        """Read one hemisphere of a run, its volumes as many as the logged pulses."""
        events = self.sessions[key.ses][key]
        require_counted(events, key, accept=self.accept)
        run = require_volumes(read_run(self.data, key, hemi=hemi, tr_s=self.tr_s), events)
        require_scanner_units(run.data, where=f"sub-{self.sub} {label_part(key)} hemi-{hemi}")
        return run

    def silence(self, runs: Mapping[RunKey, Run], *, where: str) -> None:
        """Set vertices that have no usable signal to 0 in all of some runs, in place, and say how many and why."""
        sizes = sorted({one.data.shape[1] for one in runs.values()})
        if len(sizes) > 1:
            raise AnalysisError(where, came=f"runs on {' and '.join(map(str, sizes))} vertices", expected="one mesh",
                                remedy="Preprocess all runs to one surface, or see that each file is of its run.")
        found = judge_vertices([one.data for one in runs.values()], min_brightness=self.settings.min_brightness)
        for one in runs.values():
            one.data[:, found.unusable] = 0
        self.left_out[where] = found.counts()
        if found.counts().keys() - {"no signal"}:
            log.warning("%s: vertices without betas: %s", where, say_counts(found.counts()))

    def _require_mesh(self, runs: Mapping[RunKey, Run], *, hemi: str) -> None:
        """See that time series have a vertex for each of the subject's midway mesh, where there is one.

        The two hemispheres of a subject's own surface differ in their numbers of vertices: a file that does not say its
        side is told by that.
        """
        n, mesh = self._n_vertices.get(hemi), self.data.surfaces[hemi]["midthickness"]
        odd = next((one for one in runs.values() if n is not None and one.data.shape[1] != n), None)
        if odd is not None:
            raise AnalysisError(odd.name, came=f"time series of {odd.data.shape[1]} vertices",
                                expected=f"{n}, as {mesh.name} has", remedy="See that both are of this hemisphere and "
                                "of one surface; `python -m analysis inputs` lists them.")

    def _judge_events(self, runs: Mapping[RunKey, Run], *, hemi: str) -> None:
        """See that the data of some runs hold their own events."""
        self.event_scores.setdefault(hemi, {}).update(require_own_events(
            runs, samplings={key: self.sampling(one) for key, one in runs.items()}, layout=self.layout,
            events={key: self.sessions[key.ses][key] for key in runs}, accepted=EXCHANGED in self.accept,
            foreign=self.foreign))

    def left_out_of(self, hemi: str, *, sessions: Sequence[str]) -> dict[str, dict[str, int]]:
        """Give :attr:`left_out` of one hemisphere in sessions that are fitted together, without the subject's name."""
        wanted = f"ses-{'+'.join(sessions)}"
        return {where.removeprefix(f"sub-{self.sub} ").removesuffix(f" hemi-{hemi}"): counts
                for where, counts in self.left_out.items()
                if where.endswith(f"hemi-{hemi}") and wanted in where.split()}

    def _confounds_path(self, key: RunKey) -> Path:
        found = self.data.confounds(key)
        if found is None:
            raise AnalysisError(str(key), came="no table of confounds",
                                expected=f"columns for glm.confounds = {list(self.settings.confounds)}",
                                remedy="Copy fMRIPrep's *_desc-confounds_timeseries.tsv beside the time series, or "
                                       "empty glm.confounds.")
        return found

    def nuisance(self, key: RunKey, *, n_volumes: int) -> NDArray[np.float64]:
        """Read the regressors of no interest of a run's kept volumes, (n_kept_volumes, n_regressors)."""
        if not self.settings.confounds:
            return np.zeros((n_volumes - self.n_discarded, 0))
        is_cut = self.sessions[key.ses][key].attrs.get("complete") is False
        return read_confounds(self._confounds_path(key), wanted=self.settings.confounds, n_volumes=n_volumes,
                              is_cut=is_cut)[self.n_discarded:]

    def sampling(self, run: Run) -> Sampling:
        """Say when a run's volumes were taken."""
        return Sampling(n_volumes=len(run.data), tr_s=run.tr_s, start_s=run.start_s, n_discarded=self.n_discarded,
                        where=run.name)

    def scans(self, sessions: Sequence[str], hemi: str, *, each: Each,
              progress: ProgressWrapper) -> dict[RunKey, Run]:
        """Read one hemisphere of some sessions' runs, and hold them until other sessions are asked for."""
        wanted = tuple(sessions)
        for held in [one for one in self._held if one[0] != wanted]:
            del self._held[held]
        if (wanted, hemi) not in self._held:
            keys = [key for ses in wanted for key in keep_estimable(self.sessions[ses], n_discarded=self.n_discarded)]
            runs = progress(each(lambda key: self.read(key, hemi=hemi), keys), total=len(keys),
                            label=f"reading sub-{self.sub} ses-{'+'.join(wanted)} {hemi}")
            self._held[wanted, hemi] = dict(zip(keys, runs, strict=True))
            self.silence(self._held[wanted, hemi], where=f"sub-{self.sub} ses-{'+'.join(wanted)} hemi-{hemi}")
            self._require_mesh(self._held[wanted, hemi], hemi=hemi)
            self._judge_events(self._held[wanted, hemi], hemi=hemi)
        return self._held[wanted, hemi]

    def release(self) -> None:
        """Let go of the time series that are held."""
        self._held.clear()


def join_sessions(sessions: tuple[str, ...], *, joint: bool) -> tuple[tuple[str, ...], ...]:
    """Group sessions into those that are estimated together.

    Examples
    --------
    >>> join_sessions(("01", "02"), joint=False), join_sessions(("01", "02"), joint=True)
    ((('01',), ('02',)), (('01', '02'),))
    """
    return (sessions,) if joint and len(sessions) > 1 else tuple((ses,) for ses in sessions)


def fit_entities(sessions: Sequence[str]) -> dict[str, str]:
    """Give the entities by which a file of some sessions is named: none for several together."""
    return {"ses": sessions[0]} if len(sessions) == 1 else {}


def joint_origin(sessions: Sequence[str]) -> dict[str, list[str]]:
    """Say in a sidecar that sessions were fitted together; nothing of one by itself."""
    return {"joint_sessions": list(sessions)} if len(sessions) > 1 else {}


def part_series(portion: Portion, scans: Mapping[RunKey, Run], *,
                n_discarded: int) -> dict[RunKey, NDArray[np.float32]]:
    """Give the kept volumes of every part of a run.

    The signals of several sessions are scaled to their common mean at each vertex: a scanner's units change from one
    day to the next, and percent of the mean signal do not. A vertex that is dark in one of them is left as it is.
    """
    kept = {key: scans[key].data[n_discarded:] for key in portion.events}
    sessions = {key.ses for key in kept}
    if len(sessions) == 1:
        return kept
    sums = {ses: np.sum([one.sum(axis=0, dtype=np.float64) for key, one in kept.items() if key.ses == ses], axis=0)
            for ses in sessions}
    n_volumes = {ses: sum(len(one) for key, one in kept.items() if key.ses == ses) for ses in sessions}
    mean = np.sum(list(sums.values()), axis=0) / sum(n_volumes.values())
    bright = np.all([one > 0 for one in sums.values()], axis=0)
    scales = {ses: np.divide(mean * n_volumes[ses], sums[ses], out=np.ones_like(mean),
                             where=bright).astype(np.float32) for ses in sessions}
    return {key: one * scales[key.ses] for key, one in kept.items()}


def kept_series(portion: Portion, scans: Mapping[RunKey, Run], *, n_discarded: int) -> list[NDArray[np.float32]]:
    """Give the kept volumes of each run, its parts below one another; see :func:`part_series`."""
    kept = part_series(portion, scans, n_discarded=n_discarded)
    return [kept[next(iter(parts))] if len(parts) == 1 else np.concatenate([kept[key] for key in parts])
            for parts in portion.runs.values()]


def keep_estimable(events: Events, *, n_discarded: int) -> Events:
    """Leave out the parts of runs that ended before two volumes beyond the discarded ones were taken.

    Examples
    --------
    >>> import pandas as pd
    >>> short, rest = pd.DataFrame(), pd.DataFrame()
    >>> short.attrs.update(n_pulses=10, complete=False)
    >>> rest.attrs.update(n_pulses=200, complete=True)
    >>> run = RunKey("01", "01", "main", 1)
    >>> [key.part for key in keep_estimable({run: short, RunKey("01", "01", "main", 1, part=2): rest}, n_discarded=9)]
    [2]
    """
    return {key: table for key, table in events.items()
            if table.attrs.get("complete", True) or count_volumes(table) > n_discarded + 1}


def say_counts(counts: Mapping[str, int]) -> str:
    """Say how many vertices have no betas, and why.

    Examples
    --------
    >>> say_counts({"no signal": 888, "too dim": 3})
    '888 no signal, 3 too dim'
    """
    return ", ".join(f"{n} {reason}" for reason, n in counts.items()) or "none"


def count_discarded(discard_s: float, *, tr_s: float) -> int:
    """Count the volumes that begin within the discarded seconds.

    Examples
    --------
    >>> count_discarded(18.0, tr_s=2.0)
    9
    """
    return int(np.ceil(discard_s / tr_s - 1e-9))
