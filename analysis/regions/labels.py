"""Regions of interest: their GIFTI labels, and schematic ones for the virtual subjects' standard patch.

The schematic regions are drawn with ruler and compass on the flat map. They lie about where the areas lie in a
textbook's flat map, so that a rehearsal looks and weighs like a study. They are no atlas: regions of a real subject
are drawn from its own retinotopy and localizers.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from analysis.data.surface import Surface, anatomy_path, read_gifti
from analysis.data.template import occipital_pole
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.store import whole_file

ROIS = ("V1", "V2", "V3", "V4", "LO")
COLORS = {"V1": "#d1495b", "V2": "#edae49", "V3": "#66a182", "V4": "#2e86ab", "LO": "#6f5b9c"}
_STRUCTURE = {"L": "CortexLeft", "R": "CortexRight"}

_BAND_MM = {"V1": 14.0, "V2": 25.0, "V3": 34.0}  # outer border, far from the fovea
_FOVEA = 0.35  # share of it that is left at the foveal confluence
_FOVEA_MM = 18.0  # how fast a band widens along the calcarine
_REACH_MM = 64.0  # how far from the pole the bands go
_V4_MM = ((-38.0, 26.0), (6.0, 16.0))  # an ellipse: centre and half axis along the calcarine, and beyond V3
_LO_MM = ((0.0, 21.0), (41.0, 17.0))  # the same, along the calcarine and away from it
_RIM_MM = 6.0


def schematic_regions(surface: Surface) -> NDArray[np.int16]:
    """Draw schematic V1, V2, V3, V4 and LO on an occipital patch.

    Parameters
    ----------
    surface : Surface
        See :func:`~analysis.data.template.occipital_patch`; its flat map has dorsal up and the calcarine cut as
        its rim.

    Returns
    -------
    int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`ROIS`, 0 elsewhere.

    Notes
    -----
    With d the distance from the calcarine cut on the flat map and s the place along it from the occipital pole
    (dorsal positive), the bands end at ``d = W (f + (1 - f)(1 - exp(-|s| / 18 mm)))`` with W = 14, 25 and 34 mm for
    V1, V2, V3 and f = .35, so that they narrow towards the foveal confluence, and at 64 mm from the pole. V4 is the
    part of an ellipse beyond ventral V3, LO an ellipse on the lateral side in front of the confluence. Sizes are of
    the order of those that Dougherty et al. (2003) measured; nothing else is claimed.
    """
    along, away = calcarine_coordinates(surface)
    widening = _FOVEA + (1 - _FOVEA) * (1 - np.exp(-np.abs(along) / _FOVEA_MM))
    borders = {name: width * widening for name, width in _BAND_MM.items()}
    labels = np.zeros(surface.n_vertices, dtype=np.int16)
    labels[_within(_LO_MM, along, away)] = 5
    labels[_within(_V4_MM, along, away - borders["V3"])] = 4
    for k, border in reversed(list(enumerate(borders.values(), start=1))):
        labels[away < border] = np.where(np.hypot(along, away) < _REACH_MM, k, 0)[away < border]
    return labels


def _within(ellipse: tuple[tuple[float, float], ...], along: NDArray[np.float64],
            away: NDArray[np.float64]) -> NDArray[np.bool_]:
    (centre, half), (centre_away, half_away) = ellipse
    return ((along - centre) / half) ** 2 + ((away - centre_away) / half_away) ** 2 < 1


def calcarine_coordinates(surface: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each vertex's place along the calcarine cut and its distance from it.

    Parameters
    ----------
    surface : Surface
        A patch around the occipital pole, bounded by the cut and an arc.

    Returns
    -------
    along : float64 array, (n_vertices,)
        mm from the occipital pole, dorsal positive.
    away : float64 array, (n_vertices,)
        mm from the cut, in a straight line on the flat map.
    """
    flat = surface.flat.astype(np.float64)
    pole = flat[occipital_pole(surface)]
    sides = flat[surface.rim_edges()]
    distance = np.linalg.norm(sides - pole, axis=2)
    cut = sides[(distance < np.linalg.norm(flat - pole, axis=1).max() - _RIM_MM).all(axis=1)]
    if not len(cut):
        raise AnalysisError(surface.where, came="no rim along a calcarine cut", expected="an occipital patch",
                            remedy="Cut it out with occipital_patch.")
    shares = np.linspace(0.0, 1.0, 17)[:, None, None]
    points = ((1 - shares) * cut[:, 0] + shares * cut[:, 1]).reshape(-1, 2)
    return flat[:, 1] - pole[1], np.asarray(cKDTree(points).query(flat)[0])


def labels_path(layout: Layout, *, source: str, sub: str, hemi: str) -> Path:
    """Spell the path of a subject's region labels."""
    return anatomy_path(layout, source=source, sub=sub, hemi=hemi, suffix="desc-rois_dseg.label.gii")


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
        entry.label = name
    array = GiftiDataArray(labels.astype(np.int32), intent="NIFTI_INTENT_LABEL", datatype="int32")
    image = GiftiImage(meta=GiftiMetaData({"AnatomicalStructurePrimary": _STRUCTURE[hemi]}),
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
