"""What there is to analyse of a subject, and what is missing: looked at before anything is fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from analysis.data.events.foreign import ForeignEvents, read_run_events
from analysis.data.events.rows import require_images, require_rows
from analysis.data.files.finding import is_series
from analysis.data.gifti import Outline
from analysis.data.series.reading import read_outline, require_end
from analysis.data.sources import HEMISPHERES, TASK, SubjectData, find_changed
from analysis.data.surface import require_mesh
from analysis.data.timeseries import MISSING, count_volumes, require_counted, say_missing_runs
from subjects.errors import StudyError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.store import read_json


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """What there is of one run.

    Parameters
    ----------
    key : RunKey
    files : mapping of str to Path
        Hemisphere to time series.
    outlines : mapping of str to Outline
        Hemisphere to what the head of that file says.
    n_pulses : int, optional
        Volumes that the log tells of; None where it tells of none.
    confounds : Path, optional
    n_confounds : int
        Columns of that table.
    problems : tuple of str
        What is missing or does not fit, a sentence each.
    """

    key: RunKey
    files: Mapping[str, Path]
    outlines: Mapping[str, Outline]
    n_pulses: int | None
    confounds: Path | None
    n_confounds: int
    problems: tuple[str, ...]

    @property
    def n_volumes(self) -> str:
        """Volumes, of both hemispheres where they differ."""
        return "/".join(dict.fromkeys(str(one.n_volumes) for one in self.outlines.values()))


@dataclass(frozen=True, kw_only=True)
class SubjectInputs:
    """What there is of a subject.

    Parameters
    ----------
    data : SubjectData
    task : str
    runs : tuple of RunInputs
    unlogged : tuple of Path
        Time series of runs that have no events table.
    problems : tuple of str
        Of the runs, and of the subject's surfaces and labels.
    """

    data: SubjectData
    task: str
    runs: tuple[RunInputs, ...]
    unlogged: tuple[Path, ...]
    problems: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Give it for ``--json``."""
        anatomy = {f"{name}_{hemi}": path for hemi, paths in self.data.surfaces.items() for name, path in paths.items()}
        return {"sub": self.data.sub, "task": self.task, "source": self.data.source, "space": self.data.space,
                "runs": [{**one.key.entities(), "files": {hemi: str(path) for hemi, path in one.files.items()},
                          "vertices": {hemi: head.n_vertices for hemi, head in one.outlines.items()},
                          "volumes": {hemi: head.n_volumes for hemi, head in one.outlines.items()},
                          "tr_s": {hemi: head.tr_s for hemi, head in one.outlines.items()}, "pulses": one.n_pulses,
                          "confounds": str(one.confounds) if one.confounds else None,
                          "confounds_columns": one.n_confounds} for one in self.runs],
                "anatomy": {name: str(path) if path.is_file() else None for name, path in anatomy.items()},
                "labels": {hemi: str(path) if path.is_file() else None for hemi, path in self.data.labels.items()},
                "without_events": [str(path) for path in self.unlogged], "problems": list(self.problems)}

    def lines(self) -> Iterator[RenderableType]:
        """Lay it out for people."""
        space = f" in {self.data.space}" if self.data.space else ""
        yield f"sub-{self.data.sub}, task {self.task}: time series of {self.data.source}{space}"
        yield _run_table(self.runs)
        for one in self.runs:
            for name in dict.fromkeys(_without_hemi(path.name) for path in one.files.values()):
                yield f"  {name}"
        yield ""
        yield from _anatomy_lines(self.data)
        for path in self.unlogged:
            yield f"Without an events table, and left out: {path.name}"
        if not self.problems:
            yield "Nothing is missing."
            return
        yield f"Missing or not fitting ({len(self.problems)}):"
        yield from (f"- {one}" for one in self.problems)


def _without_hemi(name: str) -> str:
    return name.replace("_hemi-L", "_hemi-*").replace("_hemi-R", "_hemi-*")


def _run_table(runs: tuple[RunInputs, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "vertices L", "vertices R", "volumes", "pulses", "TR, s", "confounds"):
        table.add_column(name, justify="left" if name == "run" else "right", no_wrap=name != "run")
    for one in runs:
        part = f" part {one.key.part}" if one.key.part > 1 else ""
        sizes = [f"{one.outlines[hemi].n_vertices:,}" if hemi in one.outlines else "none" for hemi in HEMISPHERES]
        steps = dict.fromkeys("unknown" if head.tr_s is None else f"{head.tr_s:g}" for head in one.outlines.values())
        table.add_row(f"ses-{one.key.ses} run {one.key.run}{part}", *sizes, one.n_volumes or "none",
                      "not counted" if one.n_pulses is None else str(one.n_pulses), "/".join(steps) or "unknown",
                      f"{one.n_confounds} columns" if one.confounds else "none")
    return table


def _anatomy_lines(data: SubjectData) -> Iterator[str]:
    """Name the surfaces and labels, one file a line."""
    rows = {"midway mesh": {hemi: data.surfaces[hemi]["midthickness"] for hemi in HEMISPHERES},
            "flat map": {hemi: data.surfaces[hemi]["flat"] for hemi in HEMISPHERES}, "regions": data.labels}
    for name, paths in rows.items():
        for hemi, path in paths.items():
            yield f"  {name:<11}  {hemi}  {path.name if path.is_file() else 'missing'}"


def look_at_inputs(data: SubjectData, *, task: str, tr_s: float, flatten: str,
                   planned: tuple[int, int] = (0, 0), accept: Sequence[str] = (),
                   misnamed: Mapping[RunKey, str] | None = None, foreign: ForeignEvents | None = None,
                   layout: Layout | None = None) -> SubjectInputs:
    """Look at everything that a subject's runs are analysed from, without taking the time series apart.

    Their files are gone through for their digests and ends; what their values are is seen when they are fitted.

    Parameters
    ----------
    data : SubjectData
    task : str
    tr_s : float
        ``scanner.tr_s``.
    flatten : str
        The command that makes flat maps.
    planned : (int, int)
        Sessions, and runs in each, that there should be.
    accept : sequence of str
        ``analysis.accept``: what is no problem.
    misnamed : mapping of RunKey to str, optional
        Runs whose images are not theirs; see :func:`~analysis.data.files.acquired.find_misnamed`.
    foreign : ForeignEvents, optional
        What events tables of another program mean.
    layout : Layout, optional
        The study, whose stimulus set images are held against.

    Returns
    -------
    SubjectInputs
    """
    runs = tuple(_look_at_run(data, key, tr_s=tr_s, accept=accept, foreign=foreign, layout=layout)
                 for key in data.runs)
    unlogged = tuple(one.path for one in data.names
                     if is_series(one) and one.space == data.space and one.entities.get("task") == task
                     and not any(one.is_of(key) for key in data.runs))
    problems = [problem for one in runs for problem in one.problems]
    problems += [f"{key}: {told}." for key, told in (misnamed or {}).items()]
    problems += [str(error) for error in find_changed(data)]
    problems += _anatomy_problems(data, runs, flatten=flatten)
    logged = {ses: list(keys) for ses, keys in groupby(sorted(data.runs), key=lambda key: key.ses)}
    gaps = say_missing_runs(logged, n_sessions=planned[0], n_runs=planned[1]) if runs else ""
    if gaps and MISSING not in accept:
        problems.insert(0, f"sub-{data.sub}: {gaps} of task {task} have an events table.")
    if not runs:
        problems.insert(0, f"sub-{data.sub}: no events table of task {task}.")
    return SubjectInputs(data=data, task=task, runs=runs, unlogged=unlogged, problems=tuple(problems))


def _look_at_run(data: SubjectData, key: RunKey, *, tr_s: float, accept: Sequence[str],
                 foreign: ForeignEvents | None, layout: Layout | None) -> RunInputs:
    files, outlines, problems = {}, {}, []
    for hemi in HEMISPHERES:
        try:
            files[hemi] = data.require_bold(key, hemi=hemi)
            outlines[hemi] = _outline(files[hemi])
            require_end(files[hemi])
        except StudyError as error:
            problems.append(str(error))
    n_pulses = None
    try:
        events = require_rows(read_run_events(data.events[key], foreign=foreign), task=key.task,
                              where=data.events[key].name)
        n_pulses = count_volumes(events) if events.attrs["n_pulses"] is not None else None
        require_counted(events, key, accept=accept)
        if layout is not None and key.task == TASK:
            require_images(events, layout=layout, where=data.events[key].name)
    except StudyError as error:
        problems.append(str(error))
    for hemi, head in outlines.items():
        where = f"{key} hemi-{hemi}"
        if n_pulses not in (None, head.n_volumes):
            turned = f" It has {n_pulses} vertices: write it as volumes x vertices." * (n_pulses == head.n_vertices)
            problems.append(f"{where}: {head.n_volumes} volumes but {n_pulses} logged pulses.{turned}")
        if head.tr_s is None:
            problems.append(f"{where}: no file says its repetition time; {tr_s:g} s will be taken.")
        elif abs(head.tr_s - tr_s) > 1e-5:
            problems.append(f"{where}: a repetition time of {head.tr_s:g} s; scanner.tr_s is {tr_s:g} s.")
    confounds = data.confounds(key)
    return RunInputs(key=key, files=files, outlines=outlines, n_pulses=n_pulses, confounds=confounds,
                     n_confounds=_count_columns(confounds) if confounds else 0, problems=tuple(problems))


def _outline(path: Path) -> Outline:
    """Read a file's head; the repetition time from its JSON file where it has one."""
    head, beside = read_outline(path), sidecar_path(path)
    said = read_json(beside).get("RepetitionTime") if beside.is_file() else None
    return head._replace(tr_s=float(said)) if isinstance(said, int | float) and not isinstance(said, bool) else head


def _count_columns(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return len(file.readline().rstrip("\n").split("\t"))


def _anatomy_problems(data: SubjectData, runs: tuple[RunInputs, ...], *, flatten: str) -> Iterator[str]:
    """Say which surfaces and labels are missing, and whether all are of one mesh."""
    wanted = {"midway mesh": ({hemi: data.surfaces[hemi]["midthickness"] for hemi in HEMISPHERES},
                              f"Preprocess with surface outputs, or run `{flatten}`"),
              "flat map": ({hemi: data.surfaces[hemi]["flat"] for hemi in HEMISPHERES},
                           f"Make it with `{flatten}`"),
              "regions": (data.labels, "Draw them; rsa and encode need them")}
    for name, (paths, remedy) in wanted.items():
        lacking = [hemi for hemi, path in paths.items() if not path.is_file()]
        if lacking:
            yield f"sub-{data.sub} hemi-{' and hemi-'.join(lacking)}: no {name} ({paths[lacking[0]].name}). {remedy}."
    for hemi in HEMISPHERES:
        sizes = Counter(one.outlines[hemi].n_vertices for one in runs if hemi in one.outlines)
        mesh = data.surfaces[hemi]["midthickness"]
        try:
            sizes += Counter([require_mesh(mesh, hemi=hemi)] if mesh.is_file() else [])
        except StudyError as error:
            yield str(error)
        if len(sizes) > 1:
            several = ", ".join(f"{n:,}" for n in sorted(sizes))
            yield (f"sub-{data.sub} hemi-{hemi}: time series and mesh of {several} vertices; all must be of one "
                   "surface.")
