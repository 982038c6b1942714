"""Regions of interest: their names, colours, and GIFTI label files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.data.gifti import read_gifti, require_side, write_label_map
from subjects.errors import AnalysisError
from subjects.settings.analysis import RoiSettings

log = logging.getLogger(__name__)

ROIS = ("V1", "V2", "V3", "V4", "LO")
"""The study's regions, which virtual subjects have; which ones a study analyses is ``roi.regions``."""
COLORS = {"V1": "#d1495b", "V2": "#edae49", "V3": "#66a182", "V4": "#2e86ab", "LO": "#6f5b9c"}
Labels = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of one subject.

    Parameters
    ----------
    names : tuple of str
        Those that are analysed, in the order of their numbers.
    labels : mapping of str to int16 array, (n_vertices,)
        Hemisphere to each vertex's region: k + 1 for the k-th of `names`, 0 elsewhere.
    left_out : mapping of str to str
        Regions of the study that this subject lacks, and where.
    """

    names: tuple[str, ...]
    labels: Mapping[str, Labels]
    left_out: Mapping[str, str]


def write_labels(path: Path, labels: Labels, *, hemi: str, names: Sequence[str] = ROIS,
                 overwrite: bool = False) -> Path:
    """Write region labels as a GIFTI label file.

    Parameters
    ----------
    path : Path
    labels : int16 array, (n_vertices,)
        k + 1 for the k-th of `names`, 0 elsewhere.
    hemi : {"L", "R"}
    names : sequence of str
    overwrite : bool
    """
    return write_label_map(path, {"": labels.astype(np.int32)}, names=dict(enumerate(names, start=1)), hemi=hemi,
                           colors=COLORS, overwrite=overwrite)


def read_named_labels(path: Path, *, hemi: str | None = None) -> tuple[NDArray[np.int32], dict[str, int]]:
    """Read a GIFTI label file as it is.

    Parameters
    ----------
    path : Path
    hemi : {"L", "R"}, optional
        The hemisphere that the file must be of, where it says so.

    Returns
    -------
    labels : int32 array, (n_vertices,)
    keys : dict of str to int
        Name to number. The table may name labels that no vertex has.

    Raises
    ------
    AnalysisError
        If it is no label file, names two labels alike, or is of the other hemisphere.
    """
    image = read_gifti(path, expected="a label file")
    if hemi is not None:
        require_side(image, hemi=hemi, path=path)
    if len(image.darrays) != 1 or image.darrays[0].data.ndim != 1:
        raise AnalysisError(str(path), came=f"{len(image.darrays)} arrays", expected="one label a vertex",
                            remedy="Export the labels again as one label.gii.")
    entries = [(entry.label, entry.key) for entry in image.labeltable.labels]
    keys = dict(entries)
    if len(keys) < len(entries):
        twice = next(name for name in keys if sum(other == name for other, _ in entries) > 1)
        raise AnalysisError(str(path), came=f"two labels named {twice!r}", expected="a name for each label",
                            remedy="Rename one of them, or join them.")
    return np.asarray(image.darrays[0].data, dtype=np.int32), keys


def read_labels(path: Path, *, hemi: str | None = None, names: Sequence[str] = ROIS) -> Labels:
    """Read region labels from a GIFTI label file, joined by name, whatever its numbers are.

    Parameters
    ----------
    path : Path
    hemi : {"L", "R"}, optional
        The hemisphere that the file must be of, where it says so.
    names : sequence of str

    Returns
    -------
    int16 array, (n_vertices,)
        k + 1 for the k-th of `names`, 0 for everything else.

    Raises
    ------
    AnalysisError
        If it is no label file, lacks one of the regions, or is of the other hemisphere.
    """
    found, keys = read_named_labels(path, hemi=hemi)
    missing = [name for name in names if name not in keys]
    if missing:
        raise AnalysisError(str(path), came=f"no label {missing[0]!r}", expected=f"labels {', '.join(names)}",
                            remedy="Draw the region, or rename its label.")
    return _numbered(found, keys, names=names)


def _numbered(found: NDArray[np.int32], keys: Mapping[str, int], *, names: Sequence[str]) -> Labels:
    labels = np.zeros(len(found), dtype=np.int16)
    for k, name in enumerate(names, start=1):
        labels[found == keys[name]] = k
    return labels


def read_regions(paths: Mapping[str, Path], *, settings: RoiSettings, where: str) -> Regions:
    """Read the regions that a study analyses from a subject's label files.

    Parameters
    ----------
    paths : mapping of str to Path
        Hemisphere to GIFTI label file.
    settings : RoiSettings
        ``regions`` and ``missing_regions``.
    where : str
        The subject, for messages.

    Returns
    -------
    Regions
        A region without a label, or without a vertex, in one hemisphere is left out of both, if that is settled.

    Raises
    ------
    AnalysisError
        If a region is missing and ``roi.missing_regions`` is ``"refuse"``, or all are.
    """
    read = {hemi: read_named_labels(path, hemi=hemi) for hemi, path in paths.items()}
    lacking = {name: [hemi for hemi, (found, keys) in read.items()
                      if name not in keys or not (found == keys[name]).any()] for name in settings.regions}
    left_out = {name: f"no vertex of it in hemi-{' and hemi-'.join(sides)}" for name, sides in lacking.items() if sides}
    names = tuple(name for name in settings.regions if name not in left_out)
    if left_out and (settings.missing_regions == "refuse" or not names):
        name, said = next(iter(left_out.items()))
        there = sorted({key for _, keys in read.values() for key in keys} - {"???"})
        raise AnalysisError(f"region labels of {where}", came=f"{name}: {said} (labels: {', '.join(there) or 'none'})",
                            expected=f"{', '.join(settings.regions)} (roi.regions) in both hemispheres",
                            remedy="Draw it or rename its label (`python -m analysis labels`), leave it out of "
                                   "roi.regions for all subjects, or set roi.missing_regions = \"leave_out\" to "
                                   "analyse what each subject has.")
    for name, said in left_out.items():
        log.warning("%s: %s is left out: %s (roi.missing_regions)", where, name, said)
    return Regions(names, {hemi: _numbered(found, keys, names=names) for hemi, (found, keys) in read.items()}, left_out)


def read_present(path: Path, *, hemi: str, names: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    """Read those of some regions that a label file has, and say which these are; see :func:`read_labels`."""
    found, keys = read_named_labels(path, hemi=hemi)
    there = tuple(name for name in names if name in keys)
    return _numbered(found, keys, names=there), there
