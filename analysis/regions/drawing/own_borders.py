"""Borders that an atlas cannot know: where a map ends on this subject's cortex, whatever shape the atlas gives it.

The borders between V1, V2 and V3 are reversals of polar angle, and a warped atlas finds them. V4 ends elsewhere: its
outline is the atlas's choice, and no reversal there pulls on the warp. Two things of the subject's own are asked:

- *where fields end*: an area is not proposed where hardly a vertex has a field;
- *where V4's own map ends*: its places in the visual field are a smooth function of the place on the cortex. That
  function, quadratic in mm, is fitted to the fields where the warp has V4, most misfits counting alike beyond a few
  times the noise, and V4 is where the fields agree with it, as far as a few mm beyond the warp's border. Fields of
  another map (past a reversal, or of LO) do not, and where there are none V4 ends.

Neither is asked of an area whose fields are few or lie in patches, where that a vertex has none says nothing. The noise
of a field is taken from neighbours anywhere on the map; nothing is assumed of an area's size or shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int16]

_STEP_MM, _PAD_MM = 1.0, 12.0
_SMOOTH_MM = 1.2
_ENDED = 0.25  # of the area's usual share of vertices with a field: where there are fewer, it is not proposed
_EVEN = 0.7  # of the share around an area's fields that all of the area has at least, if they are spread evenly
_EDGE = 0.5  # at a straight border half of the neighbourhood is on its other side
_REACH_MM = 3.0
_ROUGH = 0.25  # what a smooth map may miss fields by beside their noise: a millimetre's worth
_NOISES = (3.0, 2.0, 1.5, 1.0)  # of both together, from coarse to fine
_COARSE = 2  # passes in which the map is a plane
_AGREES = 6.0  # squared misfit, in units of that, up to which a field agrees: 95 % of normal errors in two directions
_PASSES, _ROUNDS, _LEAST = 12, 5, 20
_TINY = 1e-9


class Neighbourhood:
    """Averages over the plane, of a few mm.

    Parameters
    ----------
    places : float64 array, (n, 2)
        mm; all that will be asked for.
    smooth_mm : float
        Standard deviation.
    """

    def __init__(self, places: Floats, *, smooth_mm: float) -> None:
        self._low = places.min(axis=0) - _PAD_MM
        self._shape = np.ceil((places.max(axis=0) + _PAD_MM - self._low) / _STEP_MM).astype(int) + 2
        self._smooth = smooth_mm / _STEP_MM

    def sum(self, places: Floats, values: Floats, *, at: Floats) -> Floats:
        """Sum values (n,) of some places with weights that fall off with distance, (n_at,)."""
        cells = (places - self._low) / _STEP_MM
        corner, part = np.floor(cells).astype(int), cells - np.floor(cells)
        grid = np.zeros(self._shape)
        for i, j in np.ndindex(2, 2):
            share = np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
            np.add.at(grid, (corner[:, 0] + i, corner[:, 1] + j), share * values)
        found: Floats = map_coordinates(gaussian_filter(grid, self._smooth), ((at - self._low) / _STEP_MM).T, order=1)
        return found

    def mean(self, places: Floats, values: Floats, *, at: Floats) -> Floats:
        """Average them, (n_at,); 0 where there are none."""
        return self.sum(places, values, at=at) / np.maximum(self.sum(places, np.ones(len(places)), at=at), _TINY)


@dataclass(frozen=True, eq=False)
class OwnFields:
    """The vertices of a hemisphere, and which of them have a field.

    Parameters
    ----------
    places : float64 array, (n_vertices, 2)
        mm on the plane; none is NaN.
    measured : bool array, (n_vertices,)
    features : float64 array, (n_vertices, 2)
        As :func:`~.warping.as_features`; looked at where measured.
    """

    places: Floats
    measured: Mask
    features: Floats

    def neighbourhood(self, inside: Mask) -> Neighbourhood:
        """Choose averages that hold several fields each in some part of the map: as wide as its fourth neighbours."""
        shown = self.places[self.measured]
        apart = np.asarray(cKDTree(shown).query(self.places[self.measured & inside], k=5)[0])[:, -1]
        return Neighbourhood(self.places, smooth_mm=max(_SMOOTH_MM, float(np.median(apart))))

    def share(self, inside: Mask, *, at: Mask) -> Floats:
        """Say what share of the vertices around some vertices have a field, averaged as suits a part of the map."""
        return self.neighbourhood(inside).mean(self.places, self.measured.astype(np.float64), at=self.places[at])

    def are_even(self, inside: Mask) -> bool:
        """Say whether a part's fields are several, and spread over it, so that where there is none means something."""
        some = self.measured & inside
        return int(some.sum()) >= _LEAST and bool(
            some.sum() / inside.sum() >= _EVEN * np.median(self.share(inside, at=some)))

    def noise(self) -> float:
        """Estimate a feature's standard deviation from nearest neighbours; what the map changes by is in it."""
        shown, values = self.places[self.measured], self.features[self.measured]
        nearest = np.asarray(cKDTree(shown).query(shown, k=2)[1])[:, 1]
        squares = np.square(values - values[nearest]).sum(axis=1)
        return float(np.sqrt(np.median(squares) / (4 * np.log(2)))) or _TINY


def end_where_fields_end(labels: Labels, own: OwnFields) -> Labels:
    """Take labels away where hardly a vertex has a field.

    Parameters
    ----------
    labels : int16 array, (n_vertices,)
    own : OwnFields

    Returns
    -------
    int16 array, (n_vertices,)
        0 where fewer than a quarter as many vertices have a field as is usual in that area; an area whose fields are
        few or patchy stays as it is.
    """
    found = labels.copy()
    for area in np.unique(labels[labels > 0]):
        inside = labels == area
        if not own.are_even(inside):
            continue
        share = own.share(inside, at=inside)
        found[np.flatnonzero(inside)[share < _ENDED * np.median(share)]] = 0
    return found


def follow_own_map(labels: Labels, own: OwnFields, *, area: int, taken: Mask) -> tuple[Labels, int]:
    """Draw an area's border where its own map ends.

    Parameters
    ----------
    labels : int16 array, (n_vertices,)
    own : OwnFields
    area : int
        Its number.
    taken : bool array, (n_vertices,)
        Vertices that are other areas', which keep them.

    Returns
    -------
    labels : int16 array, (n_vertices,)
    n_fields : int
        Fields that agree with its map; 0 where these were too few or patchy, and the labels are as they were.
    """
    start = own.places[labels == area]
    if not own.are_even(labels == area):
        return labels, 0
    open_to = ~taken & (np.asarray(cKDTree(start).query(own.places)[0]) <= _REACH_MM)
    candidates = np.flatnonzero(open_to & own.measured)
    around = own.neighbourhood(labels == area)
    agree = _agreeing(own, candidates, member=labels[candidates] == area, around=around)
    if agree.sum() < _LEAST:
        return labels, 0
    members = own.places[candidates[agree]]
    among = own.places[open_to]
    share = around.sum(members, np.ones(len(members)), at=own.places) / np.maximum(
        around.sum(among, np.ones(len(among)), at=own.places), _TINY)
    inside = open_to & (share > _EDGE * np.median(share[candidates[agree]]))
    kept = np.where(labels == area, 0, labels)
    return np.where(inside, area, kept).astype(np.int16), int(agree.sum())


def _agreeing(own: OwnFields, candidates: NDArray[np.int64], *, member: Mask, around: Neighbourhood) -> Mask:
    """Say which candidates' surroundings agree with the map of the members, coarse to fine."""
    places, features, noise, start = own.places[candidates], own.features[candidates], own.noise(), member
    for k in range(_PASSES):
        if member.sum() < _LEAST:
            break
        allowed = float(np.hypot(noise, _ROUGH)) * _NOISES[min(k, len(_NOISES) - 1)]
        squares = _misfits(places, features, member=member, allowed=allowed, quadratic=k >= _COARSE)
        votes = around.mean(places, (squares < _AGREES).astype(np.float64), at=places)
        near = np.asarray(cKDTree(places[member]).query(places)[0]) <= _REACH_MM
        before, member = member, (near if k >= len(_NOISES) - 1 else start) & (votes > _EDGE)
        if k >= len(_NOISES) and np.array_equal(before, member):
            break
    return member


def _misfits(places: Floats, features: Floats, *, member: Mask, allowed: float, quadratic: bool) -> Floats:
    """Fit the members' map robustly; give every candidate's squared misfit in units of what is allowed."""
    u, v = ((places - places[member].mean(axis=0)) / 10.0).T
    terms = np.column_stack([np.ones_like(u), u, v, *((u * u, u * v, v * v) if quadratic else ())])
    weights = member.astype(np.float64)
    squares = np.zeros(len(places))
    for _ in range(_ROUNDS):
        scale = np.sqrt(weights)[:, None]
        fitted = np.linalg.lstsq(scale * terms, scale * features, rcond=None)[0]
        squares = np.square(features - terms @ fitted).sum(axis=1) / allowed**2
        weights = member / (1 + squares / 4) ** 2
    return squares
