r"""Population receptive fields of a virtual subject: where, how large, and what an aperture movie drives.

The built-in map is analytic, on the coordinates of the schematic regions: with s the place along the calcarine cut
from the occipital pole and d the distance from it,

- eccentricity in V1 to V4 is the inverse of the cortical magnification of Horton & Hoyt (1991),
  :math:`E = 0.75 (e^{|s| / 17.3\,\mathrm{mm}} - 1)` degrees;
- polar angle runs with d, from the horizontal meridian at the cut to the vertical one at the border of V1, back in V2,
  and again to the vertical in V3; dorsal is the lower field, ventral the upper;
- V4 is a hemifield from the upper to the lower vertical meridian beyond ventral V3; LO and hMT+ are hemifields whose
  polar angle runs with s, and whose eccentricity grows with d.

A vertex is driven by an aperture S as in the compressive spatial summation model (Kay et al. 2013), :math:`(S \cdot
G)^n`, G a Gaussian of unit volume. Field size :math:`\sigma / \sqrt n` grows with eccentricity, and both it and the
compression from area to area, as they report. Nothing of :mod:`analysis.regions.prf`, which fits such fields, is used.

References
----------
Horton JC, Hoyt WF (1991) The representation of the visual field in human striate cortex. Arch Ophthalmol 109:816-824.
Kay KN, Winawer J, Mezer A, Wandell BA (2013) Compressive spatial summation in human visual cortex. J Neurophysiol
110:481-494.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from analysis.data.surface import Surface
from analysis.regions.labels import ROIS
from analysis.regions.schematic import band_borders, calcarine_coordinates

Floats = NDArray[np.float64]
MOTION_AREA = "hMT+"
AREAS = (*ROIS, MOTION_AREA)
"""Areas with receptive fields, by their numbers from 1; hMT+ is what of it is not in LO."""
MAGNIFICATION = (17.3, 0.75)
"""mm and degrees of Horton & Hoyt's cortical magnification 17.3 / (E + 0.75) mm a degree."""
SIZE_AT_FIXATION_DEG = 0.25
SIZE_SLOPES: Mapping[str, float] = MappingProxyType(
    {"V1": 0.16, "V2": 0.20, "V3": 0.32, "V4": 0.60, "LO": 0.90, MOTION_AREA: 1.10})
"""Growth of the size with eccentricity, deg a deg: V1 to V4 as in Fig. 7 of Kay et al. (2013), beyond of that order."""
EXPONENTS: Mapping[str, float] = MappingProxyType(
    {"V1": 0.50, "V2": 0.40, "V3": 0.32, "V4": 0.25, "LO": 0.20, MOTION_AREA: 0.20})
GAINS: Mapping[str, float] = MappingProxyType(
    {"V1": 1.0, "V2": 0.9, "V3": 0.85, "V4": 0.7, "LO": 0.6, MOTION_AREA: 0.6})
"""Response to a stimulus that fills the field, as a share of the mean response to an image."""
SIZE_SCATTER, PLACE_SCATTER = 0.15, 0.2
"""Standard deviation of log size, and of the place in units of the size."""
_V4_DEPTH_MM, _LO_HALF_MM, _LO_NEAR_MM = 22.0, 21.0, 24.0
_MOTION_PLACE_MM, _MOTION_HALF_MM, _MOTION_NEAR_MM = 16.0, 11.0, 43.0
_BLOCK = 512
_REACH = 4.0  # sizes of a field beyond which an aperture is out of its reach


@dataclass(frozen=True, eq=False)
class Fields:
    """Population receptive fields of a hemisphere; NaN where a vertex has none.

    Parameters
    ----------
    x_deg, y_deg : float64 array, (n_vertices,)
        Centre, right of and above fixation.
    sigma_deg : float64 array, (n_vertices,)
    exponent : float64 array, (n_vertices,)
        n; the size for a small stimulus is sigma / sqrt(n).
    gain_pct : float64 array, (n_vertices,)
        Percent signal change of lasting stimulation of the whole field.
    """

    x_deg: Floats
    y_deg: Floats
    sigma_deg: Floats
    exponent: Floats
    gain_pct: Floats

    @property
    def size_deg(self) -> Floats:
        """Size for a small stimulus."""
        result: Floats = self.sigma_deg / np.sqrt(self.exponent)
        return result


@dataclass(frozen=True, eq=False)
class FieldMap:
    """Where in the visual field each vertex of a hemisphere looks.

    Parameters
    ----------
    areas : int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`AREAS`, 0 elsewhere. LO holds what it shares with hMT+.
    motion : bool array, (n_vertices,)
        hMT+, its part in LO included.
    x_deg, y_deg : float64 array, (n_vertices,)
        NaN outside the areas.
    """

    areas: NDArray[np.int16]
    motion: NDArray[np.bool_]
    x_deg: Floats
    y_deg: Floats


def eccentricity(along_mm: Floats) -> Floats:
    """Invert Horton & Hoyt's magnification: degrees at so many mm from the foveal confluence.

    Examples
    --------
    >>> eccentricity(np.array([0.0, 38.0])).round(2)
    array([0.  , 5.99])
    """
    scale, offset = MAGNIFICATION
    result: Floats = offset * np.expm1(np.abs(along_mm) / scale)
    return result


def analytic_map(surface: Surface, *, labels: NDArray[np.int16], motion: NDArray[np.bool_]) -> FieldMap:
    """Lay the visual field on the schematic regions of an occipital patch.

    Parameters
    ----------
    surface : Surface
        See :func:`~analysis.data.template.occipital_patch`. A left hemisphere sees the right visual field.
    labels : int16 array, (n_vertices,)
        See :func:`~analysis.regions.schematic.schematic_regions`.
    motion : bool array, (n_vertices,)
        See :func:`~analysis.regions.schematic.schematic_motion_area`.
    """
    along, away = calcarine_coordinates(surface)
    areas = np.where((labels == 0) & motion, len(AREAS), labels).astype(np.int16)
    distance, elevation = np.full(len(areas), np.nan), np.full(len(areas), np.nan)
    for name, (mm, angle) in _courses(along, away).items():
        inside = areas == AREAS.index(name) + 1
        distance[inside], elevation[inside] = mm[inside], angle[inside]
    degrees, turn = eccentricity(distance), np.radians(np.clip(elevation, -90.0, 90.0))
    side = 1.0 if surface.hemi == "L" else -1.0
    return FieldMap(areas, motion & (areas > 0), side * degrees * np.cos(turn), degrees * np.sin(turn))


def _courses(along: Floats, away: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Give each area's mm from the foveal confluence, and elevation above the horizontal meridian in degrees."""
    v1, v2, v3 = band_borders(along).values()
    upper = np.where(along < 0, 1.0, -1.0)
    lateral = np.maximum(away - _LO_NEAR_MM, 0.0)
    return {
        "V1": (along, upper * 90.0 * away / v1),
        "V2": (along, upper * 90.0 * (v2 - away) / (v2 - v1)),
        "V3": (along, upper * 90.0 * (away - v2) / (v3 - v2)),
        "V4": (along, 90.0 - 180.0 * (away - v3) / _V4_DEPTH_MM),
        "LO": (lateral, -90.0 * along / _LO_HALF_MM),
        MOTION_AREA: (np.maximum(away - _MOTION_NEAR_MM, 0.0) * 2.0,
                      -90.0 * (along - _MOTION_PLACE_MM) / _MOTION_HALF_MM)}


def size_fields(place: FieldMap, *, gain_pct: float, maps: NDArray[np.float32]) -> Fields:
    """Give fields their sizes, compression and gains, and scatter them.

    Parameters
    ----------
    place : FieldMap
    gain_pct : float
        Percent signal change of lasting stimulation of the whole field in V1.
    maps : float32 array, (4, n_vertices)
        Standard normal maps: scatter of x, y and log size, and variation of the gain.
    """
    sigma, exponent, gain = (np.full(len(place.areas), np.nan) for _ in range(3))
    size = np.full(len(place.areas), np.nan)
    for k, name in enumerate(AREAS, start=1):
        inside = place.areas == k
        away = np.hypot(place.x_deg[inside], place.y_deg[inside])
        size[inside] = (SIZE_AT_FIXATION_DEG + SIZE_SLOPES[name] * away) * np.exp(SIZE_SCATTER * maps[2, inside])
        exponent[inside] = EXPONENTS[name]
        sigma[inside] = size[inside] * np.sqrt(EXPONENTS[name])
        gain[inside] = gain_pct * GAINS[name] * np.maximum(1 + 0.25 * maps[3, inside], 0.2)
    x, y = (axis + PLACE_SCATTER * size * one for axis, one in zip((place.x_deg, place.y_deg), maps[:2], strict=True))
    return Fields(x, y, sigma, exponent, gain)


def drive(fields: Fields, masks: NDArray[np.float32], *, x_deg: Floats, y_deg: Floats) -> NDArray[np.float32]:
    r"""Say how much aperture masks drive each vertex: :math:`(S \cdot G)^n`.

    Parameters
    ----------
    fields : Fields
    masks : float32 array, (n_frames, n_rows, n_cols)
        0 (covered) to 1.
    x_deg, y_deg : float64 array, (n_cols,) and (n_rows,)
        Places of columns and rows, evenly spaced.

    Returns
    -------
    float32 array, (n_frames, n_vertices)
        0 to 1; 0 where a vertex has no field, or one that the apertures never reach.
    """
    result = np.zeros((len(masks), len(fields.x_deg)), dtype=np.float32)
    rows, columns = np.nonzero(masks.any(axis=0))
    if not len(rows):
        return result
    frames = np.ascontiguousarray(masks[:, rows, columns])
    rim = float(np.hypot(x_deg[columns], y_deg[rows]).max())
    beyond = np.hypot(fields.x_deg, fields.y_deg) - _REACH * fields.size_deg
    reached = np.flatnonzero(beyond < rim)  # a comparison with NaN is false
    area = float(abs((x_deg[1] - x_deg[0]) * (y_deg[1] - y_deg[0])))
    for start in range(0, len(reached), _BLOCK):
        some = reached[start:start + _BLOCK]
        sigma = fields.sigma_deg[some]
        across, up = (np.exp(-0.5 * ((axis[:, None] - centre[some]) / sigma) ** 2).astype(np.float32)
                      for axis, centre in ((x_deg, fields.x_deg), (y_deg, fields.y_deg)))
        up *= (area / (2 * np.pi * sigma**2)).astype(np.float32)
        seen = frames @ (across[columns] * up[rows])
        result[:, some] = np.clip(seen, 0, 1) ** fields.exponent[some].astype(np.float32)
    return result
