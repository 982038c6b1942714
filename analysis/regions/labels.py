"""Regions of interest: their names, colours, and GIFTI label files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.data.gifti import read_gifti, require_side, write_label_map
from subjects.errors import AnalysisError

ROIS = ("V1", "V2", "V3", "V4", "LO")
COLORS = {"V1": "#d1495b", "V2": "#edae49", "V3": "#66a182", "V4": "#2e86ab", "LO": "#6f5b9c"}


def write_labels(path: Path, labels: NDArray[np.int16], *, hemi: str, overwrite: bool = False) -> Path:
    """Write region labels as a GIFTI label file.

    Parameters
    ----------
    path : Path
    labels : int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`ROIS`, 0 elsewhere.
    hemi : {"L", "R"}
    overwrite : bool
    """
    return write_label_map(path, {"": labels.astype(np.int32)}, names=dict(enumerate(ROIS, start=1)), hemi=hemi,
                           colors=COLORS, overwrite=overwrite)


def read_labels(path: Path, *, hemi: str | None = None) -> NDArray[np.int16]:
    """Read region labels from a GIFTI label file, joined by name, whatever its numbers are.

    Parameters
    ----------
    path : Path
    hemi : {"L", "R"}, optional
        The hemisphere that the file must be of, where it says so.

    Returns
    -------
    int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`ROIS`, 0 for everything else.

    Raises
    ------
    AnalysisError
        If it is no label file, lacks one of the regions, or is of the other hemisphere.
    """
    image = read_gifti(path, expected="a label file")
    if hemi is not None:
        require_side(image, hemi=hemi, path=path)
    if len(image.darrays) != 1 or image.darrays[0].data.ndim != 1:
        raise AnalysisError(str(path), came=f"{len(image.darrays)} arrays", expected="one label a vertex",
                            remedy="Export the labels again as one label.gii.")
    keys = {entry.label: entry.key for entry in image.labeltable.labels}
    missing = [name for name in ROIS if name not in keys]
    if missing:
        raise AnalysisError(str(path), came=f"no label {missing[0]!r}", expected=f"labels {', '.join(ROIS)}",
                            remedy="Draw the region, or rename its label.")
    found = image.darrays[0].data
    labels = np.zeros(len(found), dtype=np.int16)
    for k, name in enumerate(ROIS, start=1):
        labels[found == keys[name]] = k
    return labels
