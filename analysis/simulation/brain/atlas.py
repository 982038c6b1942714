"""Areas and receptive fields of the atlas of Benson et al., where neuropythy is installed, on the template brain.

The atlas is a set of files that come with neuropythy (``lib/data/fsaverage/surf/*.benson14_*.v4_0.mgz``), one value at
each vertex of fsaverage; the first 10,242 of them are fsaverage5's. Only the files are read: the package's code is not
run. LO is LO-1 and LO-2, hMT+ is TO-1 and TO-2 and what of LO is within 4 mm of them, which both localizers find.

References
----------
Benson NC, Butt OH, Brainard DH, Aguirre GK (2014) Correction of distortion in flattened representations of the cortical
surface allows prediction of V1-V3 functional organization from anatomy. PLoS Comput Biol 10:e1003538.
Benson NC, Winawer J (2018) Bayesian analysis of retinotopic maps. eLife 7:e40224.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import cKDTree

from analysis.data.surface import Surface
from analysis.regions.drawing.atlas import read_atlas
from analysis.simulation.brain.fields import AREAS, MOTION_AREA, FieldMap

_NUMBERS = {1: "V1", 2: "V2", 3: "V3", 4: "V4", 7: "LO", 8: "LO", 9: MOTION_AREA, 10: MOTION_AREA}
"""The atlas's visual areas to ours; others have none."""
OVERLAP_MM = 4.0
_WHERE, _INSTEAD = 'simulate.atlas = "benson"', "or set simulate.atlas to analytic"


def benson_map(patch: Surface, *, coarse: Surface, vertices: NDArray[np.int64]) -> FieldMap:
    """Lay the atlas on a patch of the template brain.

    Parameters
    ----------
    patch : Surface
        Refined or not.
    coarse : Surface
        The same patch before it was refined.
    vertices : int64 array, (n_coarse_vertices,)
        Each of its vertices' number on fsaverage5.

    Returns
    -------
    FieldMap
        Areas of the nearest vertex of the atlas; places in the visual field are interpolated linearly on the flat map.
    """
    atlas = {name: values[vertices] for name, values in read_atlas(patch.hemi, where=_WHERE, instead=_INSTEAD).items()}
    numbers = np.zeros(len(vertices), dtype=np.int16)
    for number, name in _NUMBERS.items():
        numbers[atlas["varea"].astype(int) == number] = AREAS.index(name) + 1
    side = 1.0 if patch.hemi == "L" else -1.0
    turn = np.radians(atlas["angle"])
    places = np.column_stack([side * atlas["eccen"] * np.sin(turn), atlas["eccen"] * np.cos(turn)])
    known = numbers > 0
    flat = coarse.flat.astype(np.float64)
    areas = numbers[cKDTree(flat).query(patch.flat)[1]]
    inside = np.flatnonzero(areas > 0)
    x_deg, y_deg = np.full(patch.n_vertices, np.nan), np.full(patch.n_vertices, np.nan)
    between = LinearNDInterpolator(flat[known], places[known])(patch.flat[inside])
    nearest = places[known][cKDTree(flat[known]).query(patch.flat[inside])[1]]
    x_deg[inside], y_deg[inside] = np.where(np.isnan(between), nearest, between).T
    return FieldMap(areas, _motion(patch, areas), x_deg, y_deg)


def _motion(patch: Surface, areas: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Take hMT+ and what of LO is near it."""
    own, lo = areas == AREAS.index(MOTION_AREA) + 1, areas == AREAS.index("LO") + 1
    if not own.any():
        return np.zeros(len(areas), dtype=np.bool_)
    near = np.asarray(cKDTree(patch.flat[own]).query(patch.flat)[0] <= OVERLAP_MM, dtype=np.bool_)
    return np.asarray(own | (lo & near), dtype=np.bool_)
