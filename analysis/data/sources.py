"""Where a subject's data come from, resolved once: pipeline, runs, time series, surfaces, region labels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.data.files.finding import (
    SERIES,
    BidsName,
    choose_series,
    describe_other,
    find_anatomy,
    find_confounds,
    is_series,
    list_functional,
    list_some,
)
from analysis.data.surface import Surface, load_surface
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import load_profile
from subjects.provenance import digest_file, sidecar_path
from subjects.run_key import RunKey
from subjects.store import read_json

log = logging.getLogger(__name__)

SIMULATED, SAMPLED = "simulated", "sampled"
SOURCES = ("fmriprep", SIMULATED, SAMPLED)
"""Where time series may come from, by their folder under ``derivatives/``; sampled ones are of fMRIPrep's volumes."""
SURFACES = "surfaces"
"""Folder under ``derivatives/`` of meshes that no pipeline makes: flat maps (``python -m analysis flatten``)."""
PIPELINES = {SAMPLED: "fmriprep"}
"""Sources whose meshes and labels are in another one's folder."""
HEMISPHERES = ("L", "R")
TASK = "main"


@dataclass(frozen=True, kw_only=True)
class SubjectData:
    """One subject's files.

    Parameters
    ----------
    sub : str
    source : {"fmriprep", "simulated", "sampled"}
        Pipeline that the time series come from.
    runs : tuple of RunKey
        Logged runs of one paradigm, in order.
    events : mapping of RunKey to Path
        Their events tables.
    bold : mapping of (RunKey, str) to Path
        Run and hemisphere to the time series; simulated ones may have been dropped, then only their sidecar is there.
    space : str
        The surface space that they are in; empty without any.
    names : tuple of BidsName
        All functional files of the subject that the pipeline wrote.
    surfaces : mapping of str to mapping of str to Path
        Hemisphere to ``"midthickness"`` and ``"flat"``.
    labels : mapping of str to Path
        Hemisphere to region labels.
    remedy : str
        What to do where something is missing.
    """

    sub: str
    source: str
    runs: tuple[RunKey, ...]
    events: Mapping[RunKey, Path]
    bold: Mapping[tuple[RunKey, str], Path]
    surfaces: Mapping[str, Mapping[str, Path]]
    labels: Mapping[str, Path]
    remedy: str
    space: str = ""
    names: tuple[BidsName, ...] = ()

    @property
    def dropped(self) -> bool:
        """Whether time series were dropped that can be made again."""
        return any(not path.is_file() for path in self.bold.values())

    def require_bold(self, key: RunKey, *, hemi: str) -> Path:
        """Give the path of a run's time series.

        Raises
        ------
        AnalysisError
            If there is none, or it was dropped.
        """
        path = self.bold.get((key, hemi))
        if path is None or not path.is_file():
            came, remedy = self._why_missing(key) if path is None else _why_gone(path, remedy=self.remedy)
            raise AnalysisError(f"{key} hemi-{hemi}", came=came, expected=f"one of {self.source}", remedy=remedy)
        return path

    def _why_missing(self, key: RunKey) -> tuple[str, str]:
        """Say what there is in place of a run's surface time series, and what to do."""
        other = describe_other([one for one in self.names if one.is_of(key)])
        if other is not None:
            return other
        there = [one.path.name for one in self.names if is_series(one) and one.entities.get("ses") == key.ses]
        return "no surface time series" + (f" among {list_some(there, n=2)}" if there else ""), self.remedy

    def require_all(self, keys: Iterable[RunKey]) -> None:
        """See that both hemispheres of every run have a file, before anything is made of one.

        Raises
        ------
        AnalysisError
            Naming the first that has none, and how many more.
        """
        places = [(key, hemi) for key in keys for hemi in HEMISPHERES]
        for key, hemi in places:
            if self.bold.get((key, hemi), Path()).is_symlink():  # one that leads nowhere stops here
                self.require_bold(key, hemi=hemi)
        lacking = [place for place in places if place not in self.bold]
        if not lacking:
            return
        (key, hemi), (came, remedy) = lacking[0], self._why_missing(lacking[0][0])
        others = [f"{one} hemi-{side}".removeprefix(f"sub-{self.sub}_") for one, side in lacking[1:]]
        more = f", nor of {list_some(others, n=2)}" if others else ""
        raise AnalysisError(f"{key} hemi-{hemi}", came=f"{came}{more}", remedy=remedy,
                            expected=f"{self.source}'s of both hemispheres of all {len(places) // 2} logged runs")

    def confounds(self, key: RunKey) -> Path | None:
        """Find a run's table of confounds; None without one."""
        return find_confounds(self.names, key)

    def load_surface(self, hemi: str) -> Surface:
        """Read one hemisphere's meshes."""
        paths = self.surfaces[hemi]
        return load_surface(paths["midthickness"], flat_path=paths["flat"], hemi=hemi)


def _why_gone(path: Path, *, remedy: str) -> tuple[str, str]:
    """Say why a time series that is known of is not there: a link to nowhere, or simulated data that were dropped."""
    if path.is_symlink():
        return (f"{path.name}, a link to {path.readlink()}, which is not there",
                "Fetch what it stands for (`datalad get`, `git annex get`), or mount the disk that it is on.")
    return "time series that were dropped", remedy


def surface_paths(layout: Layout, *, source: str, sub: str, hemi: str) -> dict[str, Path]:
    """Spell the paths of a subject's midway and flat meshes.

    Parameters
    ----------
    layout : Layout
    source : str
        Pipeline that the time series come from: ``"simulated"`` or ``"fmriprep"``.
    sub, hemi : str

    Returns
    -------
    dict of str to Path
        ``"midthickness"`` and ``"flat"``.
    """
    return {name: anatomy_path(layout, source=source, sub=sub, hemi=hemi, suffix=f"{name}.surf.gii")
            for name in ("midthickness", "flat")}


def anatomy_path(layout: Layout, *, source: str, sub: str, hemi: str, suffix: str) -> Path:
    """Spell the path of one anatomical file: ``derivatives/<source>/sub-XX/anat/sub-XX_hemi-X_<suffix>``."""
    path = layout.derivative(source, sub=sub, hemi=hemi, suffix=suffix)
    return path.parent / "anat" / path.name


def labels_path(layout: Layout, *, source: str, sub: str, hemi: str) -> Path:
    """Spell the path of a subject's region labels."""
    return anatomy_path(layout, source=source, sub=sub, hemi=hemi, suffix="desc-rois_dseg.label.gii")


def resolve_subject(layout: Layout, *, sub: str, pipeline: str = "auto", space: str = "",
                    task: str = TASK) -> SubjectData:
    """Find a subject's files.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``: a pipeline, or ``"auto"`` for the only one that has time series of this subject.
    space : str
        ``analysis.space``: the surface space to take of preprocessed time series; empty for the only one.
    task : str
        The paradigm: ``"main"``, ``"retinotopy"``, ``"lo"`` or ``"motion"``.

    Raises
    ------
    AnalysisError
        For ``"auto"`` when both pipelines or none have time series; when the named one has none; when time series are
        there in several spaces and none is chosen; or when several files fit a run.
    """
    remedy = _remedy(layout, sub=sub)
    source = choose_source(layout, sub=sub, pipeline=pipeline, remedy=remedy)
    runs, names = layout.find_runs(sub, task), list_functional(layout.derivatives(source), sub=sub)
    if source == SAMPLED:  # fMRIPrep's tables of confounds are theirs
        names += tuple(one for one in list_functional(layout.derivatives("fmriprep"), sub=sub) if not is_series(one))
    places = [(key, hemi) for key in runs for hemi in HEMISPHERES]
    chosen = choose_series(_with_dropped(names) if source == SIMULATED else [one for one in names if is_series(one)],
                           places=places, space="" if source == SIMULATED else space)
    there = next((one.space for one in chosen.values()), space)
    return SubjectData(
        sub=sub, source=source, runs=runs, events={key: layout.events(key) for key in runs},
        bold={place: one.path for place, one in chosen.items()}, space=there, names=names,
        surfaces={hemi: {name: _anatomy(layout, source=source, sub=sub, hemi=hemi, suffix=f"{name}.surf.gii",
                                        space=there) for name in ("midthickness", "flat")} for hemi in HEMISPHERES},
        labels={hemi: _anatomy(layout, source=source, sub=sub, hemi=hemi, suffix="dseg.label.gii", desc="rois",
                               space=there) for hemi in HEMISPHERES}, remedy=remedy)


def _anatomy(layout: Layout, *, source: str, sub: str, hemi: str, suffix: str, space: str,
             desc: str | None = None) -> Path:
    """Find an anatomical file, or spell where it should be: meshes of the pipeline, but labels of one's own first."""
    entities = "" if desc is None else f"desc-{desc}_"
    if source == SIMULATED:
        return anatomy_path(layout, source=source, sub=sub, hemi=hemi, suffix=f"{entities}{suffix}")
    pipeline = PIPELINES.get(source, source)
    folders = [layout.derivatives(pipeline), layout.derivatives(SURFACES)]
    found = find_anatomy(folders if desc is None else reversed(folders), sub=sub, hemi=hemi, suffix=suffix,
                         space=space or "fsnative", desc=desc)
    own = "" if space in ("", "fsnative") else f"space-{space.replace(' ', '_')}_"
    return found or anatomy_path(layout, source=pipeline, sub=sub, hemi=hemi, suffix=f"{own}{entities}{suffix}")


def _remedy(layout: Layout, *, sub: str) -> str:
    """Say where missing time series should come from; a volunteer's are never made up."""
    if load_profile(layout, sub).virtual:
        return f"Run `python -m analysis simulate --study {layout.argument} --sub {sub}`."
    return (f"Preprocess this volunteer with fMRIPrep (surface outputs) into {layout.derivatives('fmriprep')}, or see "
            "that subject, session, task and run have the names there that they have in the events tables.")


def choose_source(layout: Layout, *, sub: str, pipeline: str, remedy: str) -> str:
    """Choose the pipeline whose time series are analysed, and say which; see :func:`resolve_subject`."""
    present = [name for name in SOURCES if _has_bold(layout, name, sub=sub)]
    if pipeline == "auto" and len(present) == 1:
        log.info("sub-%s: time series of %s, the only ones there", sub, present[0])
        return present[0]
    if pipeline in present:
        return pipeline
    other = describe_other(list_functional(layout.derivatives("fmriprep"), sub=sub))
    came = f"surface time series from {' and '.join(present)}" if present else "no surface time series"
    if other is not None and not (present and pipeline == "auto"):
        came, remedy = other
    elif present:
        remedy = "Set analysis.bold in study.toml to the one to analyse."
    raise AnalysisError(f"derivatives of sub-{sub}", came=came, remedy=remedy,
                        expected="those of one pipeline" if pipeline == "auto" else f"those of {pipeline}")


def _has_bold(layout: Layout, source: str, *, sub: str) -> bool:
    names = list_functional(layout.derivatives(source), sub=sub)
    return any(map(is_series, _with_dropped(names) if source == SIMULATED else names))


def _with_dropped(names: Iterable[BidsName]) -> tuple[BidsName, ...]:
    """Give simulated time series, and those that were dropped: of these the sidecar is left."""
    return tuple({one.path: one for name in names if name.suffix == "bold"
                  for one in [_series_of(name) if name.extension == ".json" else name] if is_series(one)}.values())


def _series_of(sidecar: BidsName) -> BidsName:
    """Name the time series that a sidecar stands beside."""
    path = sidecar.path.with_name(sidecar.path.name.replace(".json", SERIES[0]))
    return replace(sidecar, path=path, extension=SERIES[0])


def require_whole(data: SubjectData) -> SubjectData:
    """See that simulated files were made together and are as they were made, and no two preprocessed ones alike.

    Raises
    ------
    AnalysisError
        If two preprocessed time series have the very same content, or another one than their sidecar says; if a
        simulated file has no sidecar, is not what its sidecar says, or was made from something else than the others:
        a simulation that was killed leaves some older files and some newer ones.
    """
    for error in find_changed(data):
        raise error
    return data


def find_changed(data: SubjectData) -> Iterator[AnalysisError]:
    """Give what is wrong with the content of a subject's files, one after the other; see :func:`require_whole`."""
    if data.source != SIMULATED:
        yield from _find_alike(data)
        return
    files = [*data.bold.values(), *data.labels.values(),
             *(path for paths in data.surfaces.values() for path in paths.values())]
    first: tuple[object, object] | None = None
    for path in files:
        said = read_json(sidecar_path(path)) if sidecar_path(path).is_file() else {}
        origin = (said.get("inputs"), said.get("parameters"))
        first = first or origin
        if "digest" not in said:
            came = "a simulated file without a sidecar"
        elif path.is_file() and said["digest"] != digest_file(path):
            came = "a simulated file that was changed or replaced after it was made"
        elif origin != first:
            came = "a simulated file that was made from something else than the others"
        else:
            continue
        yield AnalysisError(str(path), came=came, expected="files of one simulation", remedy=data.remedy)


def _find_alike(data: SubjectData) -> Iterator[AnalysisError]:
    """Find runs that have the very same time series, one of them another's under its name, or those of no sidecar."""
    seen: dict[str, Path] = {}
    for path in data.bold.values():
        if path.is_file():
            said = read_json(sidecar_path(path)).get("digest") if sidecar_path(path).is_file() else None
            if said not in (None, digest_file(path)):
                yield AnalysisError(str(path), came="time series that were changed or replaced since they were made",
                                    expected=f"digest {said}, as the JSON file beside them says",
                                    remedy="Restore them, or their JSON file.")
            other = seen.setdefault(digest_file(path), path)
            if other != path:
                yield AnalysisError(str(path), came=f"the same content as {other.name}",
                                    expected="another time series in each run and hemisphere",
                                    remedy="Restore the file that was copied over.")
