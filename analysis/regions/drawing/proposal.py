"""Borders of V1 to V4 as an atlas has them, moved to where the subject's own angle and eccentricity maps have them.

Everything happens on the template's flat map: the atlas is there, and a subject's vertices come there by the
registration of the spheres. What the atlas shapes otherwise than the subject (V4, and where fields end) is then drawn
from the subject's own fields (:mod:`~.own_borders`). A proposal is where drawing by hand begins, and no more: it knows
nothing of what lies outside the field that was mapped, and follows the atlas there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import cKDTree

from analysis.regions.drawing.atlas import PROPOSED, Atlas
from analysis.regions.drawing.own_borders import OwnFields, end_where_fields_end, follow_own_map
from analysis.regions.drawing.warping import LEVELS, FieldImage, Level, Warp, align, as_features, fit_warp, stiffened
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
SMOOTH_MM = 1.2
_GRID_MM = 1.0
_NEAR_MM = 3.0  # of the atlas's nearest vertex: further away there is none
_REACH_MM = 4.0  # from the nearest place of the atlas, once that was moved
_ROUND_MM = 15.0  # around the areas: what is beyond them is told from them there
_LEAST = 50
STIFFNESS = (10.0, 3.0, 1.0)
"""Factors of the stiffness of the warp that are tried."""
_FOLDS, _BLOCK_MM = 5, 4.0
_UNREACHED = 0.75  # misfit of a left-out vertex that the template does not reach
HALVED = tuple(PROPOSED.index(name) + 1 for name in ("V2", "V3"))
"""Numbers of the areas whose dorsal and ventral halves may be apart."""
_FOLLOWED = PROPOSED.index("V4") + 1  # the one whose outline is no reversal of the angle


@dataclass(frozen=True, eq=False)
class Proposal:
    """What an atlas proposes for a hemisphere.

    Parameters
    ----------
    labels : int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`~.atlas.PROPOSED`, within the mapped field; 0 elsewhere.
    warped : int16 array, (n_vertices,)
        The same as the warp alone has it, before borders were drawn from the subject's own fields.
    whole : int16 array, (n_vertices,)
        `labels`, and where they are 0 what the warp has, beyond the mapped field too, where nothing was measured.
    atlas : int16 array, (n_vertices,)
        The atlas as it is, within the mapped field.
    warp : Warp
    stiffness : float
        Of :data:`STIFFNESS`, the one that best predicts vertices that were left out.
    n_measured : int
        Vertices whose receptive fields decided.
    n_followed : int
        Of these, the vertices whose fields drew V4's border; 0 where they were too few and the warp's border stands.
    """

    labels: NDArray[np.int16]
    warped: NDArray[np.int16]
    whole: NDArray[np.int16]
    atlas: NDArray[np.int16]
    warp: Warp
    stiffness: float
    n_measured: int
    n_followed: int


@dataclass(frozen=True, eq=False)
class _Lattice:
    """The atlas on a square lattice."""

    places: Floats
    areas: NDArray[np.int16]
    features: Floats
    eccentricity: Floats


def propose(places: Floats, *, x_deg: Floats, y_deg: Floats, weights: Floats, atlas: Atlas, field_deg: float,
            smooth_mm: float = SMOOTH_MM, levels: Sequence[Level] = LEVELS, where: str = "proposal") -> Proposal:
    """Move an atlas's borders to a subject's own maps.

    Parameters
    ----------
    places : float64 array, (n_vertices, 2)
        Where the subject's vertices are on the template's flat map, mm; NaN off it.
    x_deg, y_deg : float64 array, (n_vertices,)
        Centres of receptive fields; only those with a weight count.
    weights : float64 array, (n_vertices,)
        0 for a vertex without a field that can be trusted.
    atlas : Atlas
    field_deg : float
        Radius of the field that was mapped.
    smooth_mm : float
        Standard deviation over which measured places are averaged.
    levels : sequence of Level
    where : str

    Raises
    ------
    AnalysisError
        If hardly a vertex has a field.
    """
    measured = np.isfinite(places).all(axis=1) & (weights > 0) & np.isfinite(x_deg) & np.isfinite(y_deg)
    if measured.sum() < _LEAST:
        raise AnalysisError(where, came=f"{int(measured.sum())} vertices with a receptive field that can be trusted",
                            expected=f"{_LEAST} at least", remedy="Fit more vertices (prf.max_vertices), lower "
                                                                  "roi.proposal_r2_pct, or draw the regions by hand.")
    lattice = _make_lattice(atlas)
    fits = (lattice.areas > 0) & np.isfinite(lattice.features).all(axis=1) & (lattice.eccentricity < field_deg)
    data = _Measured(places[measured], as_features(x_deg[measured], y_deg[measured]), weights[measured])
    warp, factor = _fit(data, lattice.features[fits], places=lattice.places[fits], smooth_mm=smooth_mm, levels=levels)
    inside = np.isfinite(places).all(axis=1)
    whole, warped, raw, labels = np.zeros((4, len(places)), dtype=np.int16)
    whole[inside], warped[inside] = _label(places[inside], lattice, at=warp(lattice.places), field_deg=field_deg)
    raw[inside] = _label(places[inside], lattice, at=lattice.places, field_deg=field_deg)[1]
    own = OwnFields(places[inside], measured[inside], as_features(x_deg[inside], y_deg[inside]))
    ended = end_where_fields_end(warped[inside], own)
    labels[inside], n_followed = follow_own_map(ended, own, area=_FOLLOWED,
                                                taken=(whole[inside] > 0) & (whole[inside] != _FOLLOWED))
    whole = np.where(labels > 0, labels, whole)
    return Proposal(labels, warped, whole, raw, warp, factor, int(measured.sum()), n_followed)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Vertices with a field: places on the plane, features, weights."""

    places: Floats
    features: Floats
    weights: Floats

    def some(self, chosen: NDArray[np.bool_]) -> _Measured:
        return _Measured(self.places[chosen], self.features[chosen], self.weights[chosen])

    def image(self, smooth_mm: float) -> FieldImage:
        return FieldImage(self.places, self.features, weights=self.weights, smooth_mm=smooth_mm)


def _fit(data: _Measured, features: Floats, *, places: Floats, smooth_mm: float,
         levels: Sequence[Level]) -> tuple[Warp, float]:
    """Fit the warp, as stiff as predicts best what was left out: noisy or sparse maps bend it less."""
    start = align(data.image(smooth_mm), features, places=places)
    held = _blocks(data.places) % _FOLDS == 0
    shown, hidden = data.some(~held).image(smooth_mm), data.some(held)
    errors = {factor: _error(hidden, features, at=fit_warp(shown, features, places=places, start=start,
                                                           levels=stiffened(levels, factor))(places))
              for factor in STIFFNESS}
    factor = min(errors, key=lambda one: (errors[one], -one))
    return fit_warp(data.image(smooth_mm), features, places=places, start=start,
                    levels=stiffened(levels, factor)), factor


def _blocks(places: Floats) -> NDArray[np.int64]:
    """Give places the number of their square of a chessboard: what is left out has few neighbours left in."""
    squares = np.floor((places - places.min(axis=0)) / _BLOCK_MM).astype(np.int64)
    found: NDArray[np.int64] = squares @ np.array([1, 3])
    return found


def _error(hidden: _Measured, features: Floats, *, at: Floats) -> float:
    """Say how far left-out vertices are from what the warped template has at their places, most misfits alike."""
    away, nearest = cKDTree(at).query(hidden.places)
    squares = np.square(hidden.features - features[nearest]).sum(axis=1)
    misfit = np.where(np.asarray(away) <= _NEAR_MM, squares / (1 + squares), _UNREACHED)
    return float(np.average(misfit, weights=hidden.weights))


def _make_lattice(atlas: Atlas) -> _Lattice:
    """Lay the atlas on a lattice around its areas."""
    areas = atlas.places[atlas.areas > 0]
    low, high = areas.min(axis=0) - _ROUND_MM, areas.max(axis=0) + _ROUND_MM
    axes = [np.arange(low[k], high[k], _GRID_MM) for k in (0, 1)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    points = points[cKDTree(areas).query(points)[0] <= _ROUND_MM]
    away, numbers = cKDTree(atlas.places).query(points)
    on_map = np.asarray(away) <= _NEAR_MM
    points, nearest = points[on_map], np.asarray(numbers)[on_map]
    known = np.isfinite(atlas.x_deg) & np.isfinite(atlas.y_deg)
    features = as_features(atlas.x_deg[known], atlas.y_deg[known])
    return _Lattice(points, atlas.areas[nearest], LinearNDInterpolator(atlas.places[known], features)(points),
                    np.hypot(atlas.x_deg, atlas.y_deg)[nearest])


def _label(places: Floats, lattice: _Lattice, *, at: Floats,
           field_deg: float) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Label vertices by the nearest place of a lattice that was moved: all of them, and those in the mapped field."""
    away, nearest = cKDTree(at).query(places)
    whole = np.where(away <= _REACH_MM, lattice.areas[nearest], 0).astype(np.int16)
    return whole, np.where(lattice.eccentricity[nearest] < field_deg, whole, 0).astype(np.int16)
