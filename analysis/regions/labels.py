"""Regions of interest: their names, colours, and GIFTI label files."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData
from numpy.typing import NDArray

from analysis.data.gifti import STRUCTURES, read_gifti
from subjects.errors import AnalysisError
from subjects.store import whole_file

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
    table = GiftiLabelTable()
    for key, name in enumerate(("???", *ROIS)):
        red, green, blue = (int(COLORS.get(name, "#000000")[k:k + 2], 16) / 255 for k in (1, 3, 5))
        table.labels.append(entry := GiftiLabel(key, red, green, blue, float(key > 0)))
        entry.label = name  # type: ignore[attr-defined]  # nibabel sets it on reading only
    array = GiftiDataArray(labels.astype(np.int32), intent="NIFTI_INTENT_LABEL", datatype="int32")
    image = GiftiImage(meta=GiftiMetaData({"AnatomicalStructurePrimary": STRUCTURES[hemi]}),
                       labeltable=table, darrays=[array])
    with whole_file(path, overwrite=overwrite) as beside:
        nib.save(image, beside)
    return Path(path)


def read_labels(path: Path) -> NDArray[np.int16]:
    """Read region labels from a GIFTI label file, joined by name, whatever its numbers are.

    Returns
    -------
    int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`ROIS`, 0 for everything else.

    Raises
    ------
    AnalysisError
        If it is no label file, or lacks one of the regions.
    """
    image = read_gifti(path, expected="a label file")
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
