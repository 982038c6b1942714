"""Series of images, read from the JSON files that converters write beside them.

What is read: BIDS sidecars as dcm2niix writes them (and tools that call it), those of dicm2nii, and the header that
dcmstack embeds, with the DICOM names that they share. Fields may be missing, times may be those of DICOM (101112.5) or
of ISO 8601 (10:11:12.5), numbers may be texts, repetition times milliseconds. The echoes of a series, its phase images
and what the scanner made of it (motion correction, a reference image) are told apart from a series of its own.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from subjects.errors import LayoutError

FUNCTIONAL, FIELD_MAP, T1, LOCALIZER, DERIVED, OTHER = KINDS = (
    "functional", "field map", "T1", "localizer", "derived", "other")
DAY_S = 86400.0
ECHO_S = 1.0
"""Echoes of one excitation begin within this time."""
SAME_S = 60.0
"""Files of one series number that begin within this time are one series: a scanner counts no two in a minute anew."""

_TELLING = ("AcquisitionTime", "AcquisitionDateTime", "SeriesTime", "SeriesNumber", "RepetitionTime", "EchoTime",
            "SeriesDescription", "ProtocolName", "SeriesInstanceUID", "MagneticFieldStrength")
_DATES = ("AcquisitionDate", "SeriesDate", "ContentDate", "StudyDate")
"""The first is the day of the time of acquisition; the others stay behind where a session goes on over midnight."""
_NAMES = ("SeriesDescription", "ProtocolName", "PulseSequenceName", "SequenceName")
_HINTS = {
    DERIVED: r"sbref|moco|physio|phoenix|part-phase|(?<![a-z])(mean|adc|tensor|ph|t-?map)(?![a-z])",
    FIELD_MAP: r"(^|/)fmap/|field[_ -]?map|b0[_ -]?map|phasediff|magnitude[12]|topup|distort|dir-(ap|pa)_epi|gre_field",
    T1: r"(?<![a-z0-9])t1w?(?![a-z0-9])|mp2?rage|bravo|spgr",
    FUNCTIONAL: r"(^|/)func/|bold|fmri|task-|(?<![a-z])func|ep2d|fe_?epi",
    LOCALIZER: r"locali[sz]er|scout|survey|3-?plane|plan_?loc"}


@dataclass(frozen=True)
class Series:
    """A series of images, as its JSON files tell of it.

    Parameters
    ----------
    number : int or None
        The scanner's number of it.
    name : str
        What the scanner's protocol calls it.
    kind : str
        One of :data:`KINDS`, by its name, its folder and how it was measured.
    began_s : float or None
        When its first volume was acquired, by the scanner's clock: seconds since 1970 if a date is known, with the
        clock's own time zone taken for UTC; seconds of the day otherwise.
    dated : bool
        Whether the date is that of the acquisition itself; that of the study or the series may be a day behind.
    tr_s : float or None
        Repetition time.
    n_volumes : int or None
        From the image beside the file, where there is one.
    files : tuple of Path
        Its JSON files: one an echo, for example.
    sub, ses, task : str or None
        Labels in the names of files and folders, where they follow BIDS.
    """

    number: int | None
    name: str
    kind: str
    began_s: float | None
    dated: bool
    tr_s: float | None
    n_volumes: int | None
    files: tuple[Path, ...]
    sub: str | None = None
    ses: str | None = None
    task: str | None = None

    @property
    def label(self) -> str:
        """Name it for a person."""
        return f"series {self.number}" if self.number is not None else self.files[0].name


def read_series(folder: Path) -> tuple[tuple[Series, ...], int, tuple[Path, ...]]:
    """Read every series of a folder and those in it.

    Returns
    -------
    series : tuple of Series
        By time.
    n_passed : int
        JSON files that tell of no image.
    unreadable : tuple of Path
        Those among them that could not be read: torn, nested without end, no text.

    Raises
    ------
    LayoutError
        If there is no such folder, or no file in it that tells of an image.
    """
    if not folder.is_dir():
        raise LayoutError(str(folder), came="no such folder", expected="a folder with the images' JSON files",
                          remedy="Convert the DICOM files with dcm2niix -b y, or name the folder where it wrote.")
    found, n_passed, unreadable = list[Series](), 0, list[Path]()
    times = read_scans(folder)
    for path in sorted(folder.rglob("*.json")):
        try:
            told = _content(path)
        except (OSError, ValueError, RecursionError):
            told = None
            unreadable.append(path)
        if told is None:
            n_passed += 1
        else:
            found.append(_one(path, told, folder=folder, acquired=times.pop(_stem(path), None)))
    found += [_one(stem.with_name(f"{stem.name}.json"), {}, folder=folder, acquired=moment)
              for stem, moment in times.items()]
    if not found:
        torn = f" ({len(unreadable)} of them cannot be read: {unreadable[0].name} ...)" if unreadable else ""
        raise LayoutError(str(folder), came=f"{n_passed} JSON files, none of an image{torn}",
                          expected="sidecars as dcm2niix writes them (AcquisitionTime, SeriesNumber)",
                          remedy="Convert the DICOM files with dcm2niix -b y -ba n.")
    series = sorted(_mark_derived(_grouped(found)), key=lambda one: (one.began_s or 0.0, one.number or 0))
    return tuple(series), n_passed, tuple(unreadable)


def _content(path: Path) -> dict[str, Any] | None:
    """Give what a file tells of an image; None where it tells of something else."""
    told = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(told, dict):
        return None
    nested = told.get("global")
    const = nested.get("const") if isinstance(nested, dict) else None
    told = {**const, **told} if isinstance(const, dict) else told
    return told if sum(name in told for name in _TELLING) >= 2 else None


def _stem(path: Path) -> Path:
    """Give what an image and its JSON file have in common."""
    return path.with_name(re.sub(r"\.(json|nii|nii\.gz)\Z", "", path.name))


def read_scans(folder: Path) -> dict[Path, str]:
    """Read BIDS tables of scans (``*_scans.tsv``): when images were acquired, for those whose JSON file does not say.

    Parameters
    ----------
    folder : Path
        The tables are looked for at any depth.

    Returns
    -------
    dict of Path to str
        Image, its path without the ending, to its ``acq_time``. Rows without one, and tables that cannot be read or
        have no such column, are left out.
    """
    found = dict[Path, str]()
    for table in sorted(folder.rglob("*_scans.tsv")):
        try:
            head, *rows = [line.split("\t") for line in table.read_text(encoding="utf-8-sig").splitlines() if line]
            places = [head.index(name) for name in ("filename", "acq_time")]
        except (OSError, ValueError):
            continue
        for row in rows:
            if max(places) < len(row) and _moment(row[places[1]]) is not None:
                found[_stem(table.parent / row[places[0]])] = row[places[1]]
    return found


def _one(path: Path, told: Mapping[str, Any], *, folder: Path, acquired: str | None = None) -> Series:
    place = path.relative_to(folder.parent).as_posix()
    kept = "/".join([*({"func", "fmap", "anat"} & {path.parent.name}), path.name])  # other folders hint at nothing
    names = [_text(told[name]) for name in _NAMES if told.get(name)]
    began_s, dated = _began(told)
    if began_s is None and acquired is not None:
        began_s, dated = _began({"AcquisitionDateTime": acquired})
        if began_s is not None and began_s < DAY_S:  # a date before 1925 says that days were taken out (BIDS)
            began_s, dated = began_s % DAY_S, False
    number, n_volumes = _number(told.get("SeriesNumber")), _count_volumes(path, told)
    tr_s = _number(told.get("RepetitionTime"))
    if tr_s is not None and tr_s > 50.0:  # milliseconds, as in DICOM itself
        tr_s /= 1000.0
    task = _text(told.get("TaskName") or "") or _entity(" ".join([place, *names]), "task")
    return Series(number=None if number is None else int(number), name=names[0] if names else path.stem,
                  kind=_kind(told, text=" ".join([kept, *names]).lower(), n_volumes=n_volumes), began_s=began_s,
                  dated=dated, tr_s=tr_s if (tr_s or 0.0) > 0.0 else None, n_volumes=n_volumes, files=(path,),
                  sub=_entity(place, "sub"), ses=_entity(place, "ses"), task=task)


def _first(value: Any) -> Any:
    """Give a value, or the first of several (as dcmstack keeps what differs between volumes)."""
    return value[0] if isinstance(value, list) and value else value


def _text(value: Any) -> str:
    """Give a value in letters that can be written; half a surrogate pair, which JSON can spell, is a question mark."""
    return str(_first(value)).encode("utf-8", "replace").decode("utf-8")


def _number(value: Any) -> float | None:
    """Read a number; None where there is none, or one that is not finite.

    Examples
    --------
    >>> _number("7"), _number([2.0, 2.0]), _number(float("nan")), _number("Infinity"), _number(None)
    (7.0, 2.0, None, None, None)
    """
    try:
        number = float(_first(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _entity(text: str, kind: str) -> str | None:
    found = re.findall(rf"(?<![A-Za-z0-9]){kind}-([A-Za-z0-9]+)", text)
    return found[-1] if found else None


def _kind(told: Mapping[str, Any], *, text: str, n_volumes: int | None) -> str:
    """Say what a series is, by the first hint that holds; what was measured decides where names say nothing."""
    kinds = told.get("ImageType")
    image_type = {word for one in (kinds if isinstance(kinds, list) else [kinds])
                  for word in str(one).upper().split("\\")}
    hinted = next((kind for kind, hint in _HINTS.items() if re.search(hint, text)), None)
    measured = set(re.findall(r"[A-Z]+", str(told.get("ScanningSequence", "")).upper().replace("_", " ")))
    planar = "EP" in measured and "SE" not in measured
    if hinted == DERIVED or image_type & {"MOCO", "PHYSIO"}:
        return DERIVED
    phase = bool(image_type & {"P", "PHASE"}) and "M" not in image_type
    if hinted in (FUNCTIONAL, LOCALIZER, None) and (planar or hinted == FUNCTIONAL or (n_volumes or 0) > 20):
        return DERIVED if phase else FUNCTIONAL
    return hinted or OTHER


def _began(told: Mapping[str, Any]) -> tuple[float | None, bool]:
    """Read when the first volume was acquired, and whether its own date is known."""
    moment = _first(told.get("AcquisitionDateTime"))
    if moment is not None and (read := _moment(str(moment))) is not None:
        return read, True
    clock = next((read for name in ("AcquisitionTime", "SeriesTime", "ContentTime")
                  if (read := _time_of_day(_first(told.get(name)))) is not None), None)
    if clock is None:
        return None, False
    for name in _DATES:
        if (day := _day(_first(told.get(name)))) is not None:
            return day + clock, name == _DATES[0]
    return clock, False


def _time_of_day(value: Any) -> float | None:
    """Read a time of day in seconds.

    Examples
    --------
    >>> _time_of_day("10:11:12.5"), _time_of_day("101112.500000"), _time_of_day(91112.5), _time_of_day("noon")
    (36672.5, 36672.5, 33072.5, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if re.fullmatch(r"\d{1,6}(\.\d*)?", text):
        whole, _, rest = text.partition(".")
        whole = whole.zfill(6)
        text = f"{whole[:2]}:{whole[2:4]}:{whole[4:]}.{rest or '0'}"
    match = re.fullmatch(r"(\d{1,2}):(\d{2}):(\d{2}(?:\.\d*)?)", text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        return None
    return 3600.0 * int(match[1]) + 60.0 * int(match[2]) + float(match[3])


def _day(value: Any) -> float | None:
    text = re.sub(r"[-.:/]", "", str(value or "").strip())
    if not re.fullmatch(r"\d{8}", text):
        return None
    try:
        return datetime(int(text[:4]), int(text[4:6]), int(text[6:]), tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    """Read date and time; a time zone that is written with it is left out: the clock's own hours count.

    Examples
    --------
    >>> _moment("2026-11-26T10:11:12.500000") == _moment("20261126101112.5+0100")
    True
    """
    match = re.match(r"(\d{4}-?\d{2}-?\d{2})[T ]?(\d{2}:?\d{2}:?\d{2}(?:\.\d*)?)", text.strip())
    if match is None:
        return None
    day, clock = _day(match[1]), _time_of_day(match[2])
    return None if day is None or clock is None else day + clock


def _count_volumes(path: Path, told: Mapping[str, Any]) -> int | None:
    """Count the volumes of a series: in the image beside the file, or as the file says."""
    for ending in (".nii.gz", ".nii"):
        image = path.with_name(path.name.removesuffix(".json") + ending)
        if image.is_file() and (n_volumes := _nifti_volumes(image)) is not None:
            return n_volumes
    shape = told.get("dcmmeta_shape")
    said = _number(shape[3]) if isinstance(shape, list) and len(shape) > 3 else None
    for name in ("NumberOfVolumes", "NumberOfTemporalPositions"):
        said = _number(told.get(name)) if said is None else said
    return None if said is None else int(said)


def _nifti_volumes(image: Path) -> int | None:
    """Read the number of volumes from the first bytes of an image in NIfTI-1 or NIfTI-2 form."""
    try:
        with gzip.open(image) if image.name.endswith(".gz") else image.open("rb") as file:
            head = file.read(540)
        for order in "<>":
            size = struct.unpack(f"{order}i", head[:4])[0]
            if size in (348, 540):
                dims = (f"{order}8h", head[40:56]) if size == 348 else (f"{order}8q", head[16:80])
                n_dims, _, _, _, n_volumes, *_ = struct.unpack(*dims)
                return int(n_volumes) if n_dims > 3 else 1
    except (OSError, EOFError, struct.error, zlib.error):
        return None
    return None


def _grouped(found: Iterable[Series]) -> Iterator[Series]:
    """Join the files of one series: its echoes, its parts; a number that comes again much later is another one."""
    groups: list[Series] = []
    for one in found:
        k = next((k for k, other in enumerate(groups) if _same(one, other)), None)
        if k is None:
            groups.append(one)
            continue
        other = groups[k]
        times = [time for time in (one.began_s, other.began_s) if time is not None]
        first = other if KINDS.index(other.kind) <= KINDS.index(one.kind) else one
        groups[k] = replace(first, files=(*other.files, *one.files), began_s=min(times, default=None),
                            dated=one.dated and other.dated, tr_s=other.tr_s or one.tr_s,
                            n_volumes=max((n for n in (other.n_volumes, one.n_volumes) if n), default=None))
    yield from groups


def _same(one: Series, other: Series) -> bool:
    if one.number != other.number or (one.sub, one.ses) != (other.sub, other.ses):
        return False
    known = one.began_s is not None and other.began_s is not None
    apart = abs((one.began_s or 0.0) - (other.began_s or 0.0))
    if (one.began_s or 0.0) // DAY_S == (other.began_s or 0.0) // DAY_S and not (one.dated and other.dated):
        apart = min(apart, DAY_S - apart)  # an echo may begin on the other side of midnight, and the date stay behind
    if one.number is None:
        return known and apart <= ECHO_S and (one.name, one.kind) == (other.name, other.kind)
    return not known or apart <= SAME_S


def _mark_derived(found: Iterable[Series]) -> Iterator[Series]:
    """Mark what begins at the very time of an earlier functional series: made of it, or its phase."""
    seen: set[float] = set()
    for one in sorted(found, key=lambda one: (one.number is None, one.number or 0)):
        if one.kind == FUNCTIONAL and one.began_s is not None:
            if round(one.began_s, 1) in seen:
                yield replace(one, kind=DERIVED)
                continue
            seen.add(round(one.began_s, 1))
        yield one
