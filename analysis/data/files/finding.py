"""Files of a preprocessing pipeline, found by the entities in their names and not by one spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from subjects.errors import AnalysisError
from subjects.run_key import RunKey

_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9+]+)\Z")
_PART = re.compile(r"part([2-9]|[1-9][0-9]+)\Z")
HEMI_NAMES = {"L": "L", "R": "R", "lh": "L", "rh": "R"}
SERIES = (".func.gii", ".func.gii.gz", ".mgz", ".mgh", ".h5", ".hdf5")
"""Extensions of surface time series: GIFTI, FreeSurfer's, HDF5."""
CONFOUNDS = ("timeseries", "regressors")
"""Suffixes of tables of confounds: fMRIPrep's of today, and of its releases before 20.2."""
Place = tuple[RunKey, str]
_OWN = "fsnative"
_SHOWN = 6


@dataclass(frozen=True)
class BidsName:
    """What a file's name says.

    Parameters
    ----------
    path : Path
    entities : mapping of str to str
        Entity to label, ``{"sub": "01", "run": "01", "space": "fsnative", ...}``.
    suffix : str
        Last part of the name, such as ``"bold"``.
    extension : str
        With its points: ``".func.gii"``.
    """

    path: Path
    entities: Mapping[str, str]
    suffix: str
    extension: str

    @property
    def hemi(self) -> str | None:
        """``"L"``, ``"R"`` or None."""
        return HEMI_NAMES.get(self.entities.get("hemi", ""))

    @property
    def space(self) -> str:
        """Space and, where named, density: ``"fsaverage5"``, ``"fsLR den-32k"``; the subject's own without one."""
        density = f" den-{self.entities['den']}" if "den" in self.entities else ""
        return self.entities.get("space", "fsnative") + density

    def is_of(self, key: RunKey) -> bool:
        """Say whether it is of a run, or of a part of one: numbers count as numbers, ``run-1`` as ``run-01``."""
        said = self.entities
        named = [said.get(name) for name in ("sub", "ses", "task")]
        part = _PART.match(said.get("acq", ""))
        return (named == [key.sub, key.ses, key.task] and said.get("run", "").isdigit()
                and int(said["run"]) == key.run and int(part[1] if part else 1) == key.part)


def parse_name(path: Path) -> BidsName | None:
    """Read a file's name; None for one that is no BIDS name.

    Examples
    --------
    >>> name = parse_name(Path("sub-01_ses-01_task-main_run-01_space-fsaverage5_hemi-L_bold.func.gii"))
    >>> name.hemi, name.space, name.suffix, name.extension
    ('L', 'fsaverage5', 'bold', '.func.gii')
    >>> name.is_of(RunKey("01", "01", "main", 1))
    True
    >>> parse_name(Path("lh.white")) is None
    True
    """
    *parts, last = path.name.split("_")
    suffix, point, extension = last.partition(".")
    found = [_ENTITY.match(part) for part in parts]
    if not parts or not all(found) or not suffix.isalnum():
        return None
    return BidsName(path, {match[1]: match[2] for match in found if match}, suffix, point + extension)


def list_names(paths: Iterable[Path]) -> tuple[BidsName, ...]:
    """Read the names of files, in order; others than BIDS names are left out."""
    return tuple(name for path in sorted(paths) if (name := parse_name(path)) is not None)


def list_functional(folder: Path, *, sub: str) -> tuple[BidsName, ...]:
    """List the functional files of a subject in a pipeline's folder."""
    return list_names(folder.glob(f"sub-{sub}/ses-*/func/sub-{sub}_*"))


def list_anatomy(folder: Path, *, sub: str) -> tuple[BidsName, ...]:
    """List the anatomical files of a subject and its sessions in a pipeline's folder."""
    return list_names([*folder.glob(f"sub-{sub}/anat/sub-{sub}_*"), *folder.glob(f"sub-{sub}/ses-*/anat/sub-{sub}_*")])


def is_series(name: BidsName) -> bool:
    """Say whether a name is that of a surface time series."""
    return name.suffix == "bold" and name.extension in SERIES and name.hemi is not None


def find_confounds(names: Iterable[BidsName], key: RunKey) -> Path | None:
    """Find a run's table of confounds.

    Raises
    ------
    AnalysisError
        If several fit.
    """
    fit = [one for one in names if one.is_of(key) and one.suffix in CONFOUNDS and one.extension == ".tsv"
           and one.entities.get("desc") == "confounds"]
    if len(fit) > 1:
        raise AnalysisError(str(key), came=f"{len(fit)} tables of confounds: {_listed(fit)}", expected="one",
                            remedy="Keep the table of the time series that are analysed.")
    return fit[0].path if fit else None


def choose_series(names: Sequence[BidsName], *, places: Iterable[Place], space: str = "") -> dict[Place, BidsName]:
    """Choose the time series of each run and hemisphere: one of each, all of one space.

    Parameters
    ----------
    names : sequence of BidsName
        Surface time series.
    places : iterable of (RunKey, str)
        Runs and hemispheres that are wanted; one without a file is left out.
    space : str
        ``analysis.space``: the space to take, with its density where several are there (``"fsLR den-32k"``); empty for
        the only one.

    Raises
    ------
    AnalysisError
        If several spaces are there and none, or another one, is asked for; or if several files fit a run: they are
        listed.
    """
    fit = {place: [one for one in names if one.hemi == place[1] and one.is_of(place[0])] for place in places}
    there = _count_spaces(fit)
    if space and there:
        fit = {place: [one for one in some if space in (one.space, one.entities.get("space", _OWN))]
               for place, some in fit.items()}
        if not any(fit.values()):
            raise AnalysisError("analysis.space", came=repr(space), expected=f"one of the spaces that are there: "
                                f"{_told(there)}", remedy="Correct analysis.space in study.toml, or preprocess to it.")
    elif len(there) > 1:
        where, came = _mixture(fit, there)
        raise AnalysisError(where, came=f"{came} files in different spaces: {_told(there)}",
                            expected="one surface time series a run, all of one space",
                            remedy="Set analysis.space in study.toml to the one to analyse.")
    chosen = {place: _only(place, some) for place, some in fit.items() if some}
    if len({one.space for one in chosen.values()}) > 1:
        raise AnalysisError("analysis.space", came=f"{space!r}, which fits {_told(_count_spaces(fit))}",
                            expected="one space for all runs", remedy="Name the density too, as it stands here.")
    return chosen


def _count_spaces(fit: Mapping[Place, Sequence[BidsName]]) -> dict[str, int]:
    """Count the runs and hemispheres that have files of each space."""
    counts: dict[str, int] = {}
    for some in fit.values():
        for space in sorted({one.space for one in some}):
            counts[space] = counts.get(space, 0) + 1
    return counts


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{space} ({n} file{'s' * (n > 1)})" for space, n in counts.items())


def _mixture(fit: Mapping[Place, Sequence[BidsName]], there: Mapping[str, int]) -> tuple[str, str]:
    """Say where files of several spaces are, and how many: of the first run with several, else those of the fewest.

    Where no run has two, one that was preprocessed otherwise than most is what is looked for.
    """
    several = [some for some in fit.values() if len({one.space for one in some}) > 1]
    if several:
        return str(several[0][0].path.parent), str(len(several[0]))
    rarest = min(there, key=lambda space: there[space])
    key, hemi = next(place for place, some in fit.items() if any(one.space == rarest for one in some))
    n = sum(len(some) for some in fit.values())
    return f"{key} hemi-{hemi}", f"a file of {rarest} among {n}"


def _only(place: Place, some: Sequence[BidsName]) -> BidsName:
    if len(some) > 1:
        key, hemi = place
        raise AnalysisError(f"{key} hemi-{hemi}", came=f"{len(some)} files that fit: {_listed(some)}",
                            expected="one surface time series",
                            remedy="Move the others (other echoes, acquisitions or resolutions) elsewhere.")
    return some[0]


def _listed(names: Sequence[BidsName]) -> str:
    return list_some([one.path.name for one in names], n=_SHOWN)


def list_some(names: Sequence[str], *, n: int) -> str:
    """List the first few of some names, and how many more there are.

    Examples
    --------
    >>> list_some(["a", "b", "c"], n=2)
    'a, b and 1 more'
    """
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


def describe_other(names: Iterable[BidsName]) -> tuple[str, str] | None:
    """Say what bold files there are that are no surface time series, and how to come by these.

    Parameters
    ----------
    names : iterable of BidsName
        Functional files of a subject, or of one of its runs.

    Returns
    -------
    came, remedy : str
        None without any.
    """
    bold = [one for one in names if one.suffix == "bold" and not is_series(one)
            and one.extension not in (".json", ".tsv")]
    if not bold:
        return None
    came = f"no surface time series, but {_listed(bold)}"
    if any(one.extension == ".dtseries.nii" for one in bold):
        return came, ("Run fMRIPrep with --output-spaces fsnative (or fsaverage5) beside --cifti-output, or separate "
                      "the cortex with wb_command -cifti-separate into *_hemi-L_space-fsLR_den-91k_bold.func.gii "
                      "and its partner.")
    return came, ("Run fMRIPrep with --output-spaces fsnative (or fsaverage5), which samples the volumes to the "
                  "surface, or sample those in space-T1w with `python -m analysis sample`.")


def find_anatomy(folders: Iterable[Path], *, sub: str, hemi: str, suffix: str, space: str = _OWN,
                 desc: str | None = None) -> Path | None:
    """Find an anatomical file of a hemisphere, under ``anat`` of the subject or of one of its sessions.

    Parameters
    ----------
    folders : iterable of Path
        Pipelines' folders; the first that has one counts.
    sub, hemi : str
    suffix : str
        Suffix and extension: ``"midthickness.surf.gii"``.
    space : str
        As :attr:`~analysis.data.names.BidsName.space` spells it.
    desc : str, optional

    Raises
    ------
    AnalysisError
        If several fit.
    """
    kind, _, extension = suffix.partition(".")
    for folder in folders:
        fit = [one for one in list_anatomy(folder, sub=sub) if one.hemi == hemi and one.suffix == kind
               and one.entities.get("desc") == desc and one.extension in (f".{extension}", f".{extension}.gz")
               and one.space == space]
        if len(fit) > 1:
            raise AnalysisError(f"sub-{sub} hemi-{hemi}", came=f"{len(fit)} files that fit: {_listed(fit)}",
                                expected=f"one {suffix} of {space}", remedy="Keep the one that fits the time series.")
        if fit:
            return fit[0].path
    return None
