"""Schematic region labels on the template brain, for virtual subjects.

Geometric shapes on the flat map, roughly where a textbook's flat map shows the areas, so that a rehearsal has regions
of realistic place and size. They are no atlas: regions of a real subject are drawn from its own retinotopy and
localizers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from analysis.data.surface import Surface
from analysis.data.template import occipital_pole
from subjects.errors import AnalysisError

_BAND_MM = {"V1": 14.0, "V2": 25.0, "V3": 34.0}  # outer border, far from the fovea
_FOVEA = 0.35  # share of it that is left at the foveal confluence
_FOVEA_MM = 18.0  # how fast a band widens along the calcarine
_REACH_MM = 64.0  # how far from the pole the bands go
_V4_MM = ((-38.0, 26.0), (6.0, 16.0))  # an ellipse: centre and half axis along the calcarine, and beyond V3
_LO_MM = ((0.0, 21.0), (41.0, 17.0))  # the same, along the calcarine and away from it
_MOTION_MM = ((16.0, 11.0), (52.0, 9.0))  # hMT+, the same: part of it lies in LO
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
    borders = band_borders(along)
    labels = np.zeros(surface.n_vertices, dtype=np.int16)
    labels[_within(_LO_MM, along, away)] = 5
    labels[_within(_V4_MM, along, away - borders["V3"])] = 4
    for k, border in reversed(list(enumerate(borders.values(), start=1))):
        labels[away < border] = np.where(np.hypot(along, away) < _REACH_MM, k, 0)[away < border]
    return labels


def band_borders(along: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Give how far from the calcarine cut V1, V2 and V3 end at places along it; see :func:`schematic_regions`.

    Parameters
    ----------
    along : float64 array, (n_vertices,)
        mm from the occipital pole.

    Returns
    -------
    dict of str to float64 array
        Area to its outer border in mm.
    """
    widening = _FOVEA + (1 - _FOVEA) * (1 - np.exp(-np.abs(along) / _FOVEA_MM))
    return {name: width * widening for name, width in _BAND_MM.items()}


def schematic_motion_area(surface: Surface) -> NDArray[np.bool_]:
    """Draw a schematic hMT+: an ellipse in front of and above LO, which overlaps it, (n_vertices,) bool."""
    return _within(_MOTION_MM, *calcarine_coordinates(surface))


def _within(ellipse: tuple[tuple[float, float], ...], along: NDArray[np.float64],
            away: NDArray[np.float64]) -> NDArray[np.bool_]:
    (centre, half), (centre_away, half_away) = ellipse
    return ((along - centre) / half) ** 2 + ((away - centre_away) / half_away) ** 2 < 1


@lru_cache(maxsize=2)
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
