"""Similarities around every vertex: RE-AN and RE-AI on disks of the flattened cortex, with p by permutation.

Centres of one disk size are worked on together, few at a time, so that what is gathered stays in the cache. The
correlations of patterns are float32 and sorted once, and Spearman's rho is a sum of one RDM's ranks in the order of the
other. Ranks of 1 - r and of -r are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subjects.errors import AnalysisError

Floats32 = NDArray[np.float32]
Disks = tuple[NDArray[np.integer], NDArray[np.integer]]
COMPARED = ("AN", "AI")
_CENTRES = 96
"""Centres worked on at a time."""

_INDEX_BITS = 10
_MOST_PAIRS = 1 << _INDEX_BITS
_STEPS = np.float32(2**21 - 1)


@dataclass(frozen=True, eq=False)
class Searchlight:
    """Similarities around every vertex.

    Parameters
    ----------
    rho : mapping of str to float32 array, (n_vertices,)
        ``"AN"``, ``"AI"``: Spearman's rho of the disk's RDM of that type with that of RE, less the mean of its
        permutation null where there is one; NaN where the disk is too small or the centre has no data.
    n_used : int64 array, (n_vertices,)
        Vertices with data in the disk.
    p : mapping of str to float32 array, (n_vertices,), optional
        One-sided, by permutation.
    exceeding : mapping of str to uint8 array, optional
        Packed bits, (n_permutations, n_bytes): where the null is above the threshold that forms clusters.
    greatest : mapping of str to float32 array, (n_permutations,), optional
        The largest standardised similarity of each permutation anywhere.
    z : mapping of str to float32 array, (n_vertices,), optional
        The similarity in standard deviations of its null, itself among it.
    """

    rho: Mapping[str, Floats32]
    n_used: NDArray[np.int64]
    p: Mapping[str, Floats32] | None = None
    z: Mapping[str, Floats32] | None = None
    greatest: Mapping[str, Floats32] | None = None
    exceeding: Mapping[str, NDArray[np.uint8]] | None = None


def search(responses: Mapping[str, NDArray[np.floating]], *, disks: Disks, min_disk: int = 10,
           blocks: Sequence[str] | None = None, orders: NDArray[np.intp] | None = None,
           forming_z: float = 3.1) -> Searchlight:
    """Compare the AN and AI images with the RE images on the disk around every vertex, by 1 - Pearson's r.

    Parameters
    ----------
    responses : mapping of str to array, (n_images, n_vertices)
        ``"RE"``, ``"AN"``, ``"AI"``, images in one order.
    disks : (indptr, indices)
        The disk around vertex v is ``indices[indptr[v]:indptr[v + 1]]``.
    min_disk : int
        Disks of fewer vertices with data give NaN. A vertex has no data where a response is not finite, or where all
        of its responses to a type are the same; it is left out of all disks, and its own gives NaN.
    blocks : sequence of str, optional
        Session of each image: the mean over all orders of labels within sessions is taken off each similarity.
    orders : int array, (n_permutations, n_images), optional
        Orders of labels (:func:`~analysis.statistics.draws.permutations`), the same at every vertex.
    forming_z : float
        Clusters are formed above this many standard deviations of a vertex's null.

    Returns
    -------
    Searchlight

    Raises
    ------
    AnalysisError
        If the shapes disagree.
    """
    shape = _require_shapes(responses, n_disks=len(disks[0]) - 1)
    indptr, indices, has_data = _with_data(responses, disks=disks)
    n_used = np.diff(indptr)
    centres = np.flatnonzero(has_data & (n_used >= max(2, min_disk)))
    n_images, n_vertices = shape
    columns = [_columns(responses[kind]) for kind in ("RE", *COMPARED)]
    rho = {kind: np.full(n_vertices, np.nan, dtype=np.float32) for kind in COMPARED}
    null = None if orders is None else _Null(orders, n_vertices=n_vertices, forming_z=forming_z)
    pairs, kinds = _Pairs(n_images), _pairs_of_blocks(blocks)
    for block in _blocks(centres, sizes=n_used):
        members = indices[indptr[block][:, None] + np.arange(n_used[block[0]])]
        regular, *others = (pairs.sort(values[members]) for values in columns)
        ranks = pairs.ranks(regular)
        for kind, order in zip(COMPARED, others, strict=True):
            found = pairs.correlate(ranks, order)
            second = pairs.ranks(order) if null is not None or kinds is not None else ranks
            if null is not None:
                null.add(kind, block, ranks=ranks, others=second, found=found)
            if kinds is not None:
                found -= ((ranks @ kinds) * (second @ kinds)).sum(axis=1) / pairs.scale
            rho[kind][block] = found
    if null is None:
        return Searchlight(rho, n_used)
    return Searchlight(rho, n_used, null.p, null.z, null.greatest,
                       {kind: np.packbits(bits, axis=1) for kind, bits in null.exceeding.items()})


class _Pairs:
    """The pairs of images: sorted, ranked, correlated, for many centres at once."""

    def __init__(self, n_images: int) -> None:
        self.rows, self.columns = np.triu_indices(n_images, 1)
        self.n = len(self.rows)
        self.flat = self.rows * (n_images + 1) + self.columns
        self.rising = (np.arange(self.n) - (self.n - 1) / 2).astype(np.float32)
        self.scale = float((self.rising.astype(np.float64)**2).sum())
        self.index = np.arange(self.n, dtype=np.uint32)

    def sort(self, patterns: Floats32) -> NDArray[np.integer]:
        """Order the pairs by the correlation of patterns (n_centres, n_vertices, n_images + 1), the last all 1."""
        products = patterns.swapaxes(1, 2) @ patterns
        sums, n_vertices = products[:, :-1, -1], patterns.shape[1]
        products[:, :-1, :-1] -= sums[:, :, None] * (sums[:, None] / n_vertices)
        sizes = np.sqrt(np.einsum("cii->ci", products[:, :-1, :-1]))
        inverse = 1 / np.maximum(sizes, np.finfo(np.float32).tiny)
        products[:, :-1, :-1] *= inverse[:, :, None]
        products[:, :-1, :-1] *= inverse[:, None]
        found = products.reshape(len(products), -1).take(self.flat, axis=1)
        if self.n > _MOST_PAIRS:
            return found.argsort(axis=1)
        found += 1  # sorted as whole numbers that hold the correlation, to 5e-7, and the pair
        found *= _STEPS
        keys = found.astype(np.uint32)
        keys <<= np.uint32(_INDEX_BITS)
        keys |= self.index
        keys.sort(axis=1)
        keys &= np.uint32(_MOST_PAIRS - 1)
        return keys

    def ranks(self, order: NDArray[np.integer]) -> Floats32:
        """Give the centred ranks, (n_centres, n_pairs)."""
        ranks = np.empty(order.shape, dtype=np.float32)
        ranks.ravel()[self._places(order)] = self.rising
        return ranks

    def correlate(self, ranks: Floats32, order: NDArray[np.integer]) -> NDArray[np.float64]:
        """Give Spearman's rho of ranks with those of an order."""
        products = ranks.ravel().take(self._places(order)) @ self.rising
        result: NDArray[np.float64] = products.astype(np.float64) / self.scale
        return result

    def _places(self, order: NDArray[np.integer]) -> NDArray[np.integer]:
        return order + (np.arange(len(order)) * self.n)[:, None]


class _Null:
    """What permutations of labels give, added centre by centre."""

    def __init__(self, orders: NDArray[np.intp], *, n_vertices: int, forming_z: float) -> None:
        rows, columns = np.triu_indices(orders.shape[1], 1)
        n = orders.shape[1]
        places = np.zeros((n, n), dtype=np.int32)
        places[rows, columns] = places[columns, rows] = np.arange(len(rows))
        self.moved = places[orders[:, rows], orders[:, columns]]
        self.scale = (len(rows)**3 - len(rows)) / 12
        self.forming_z = forming_z
        self.p, self.z = ({kind: np.full(n_vertices, np.nan, dtype=np.float32) for kind in COMPARED} for _ in "pz")
        self.greatest = {kind: np.full(len(orders), -np.inf, dtype=np.float32) for kind in COMPARED}
        self.exceeding = {kind: np.zeros((len(orders), n_vertices), dtype=bool) for kind in COMPARED}

    def add(self, kind: str, block: NDArray[np.intp], *, ranks: Floats32, others: Floats32,
            found: NDArray[np.float64]) -> None:
        """Compare each centre with its null."""
        null = np.stack([one[self.moved] @ rank for one, rank in zip(others, ranks, strict=True)]) / self.scale
        whole = np.concatenate([null, found[:, None]], axis=1)  # the labels as they are are one of the orders
        mean, spread = whole.mean(axis=1), whole.std(axis=1)
        as_high = np.count_nonzero(null >= found[:, None] - 1e-6, axis=1)
        self.p[kind][block] = (1 + as_high) / (1 + null.shape[1])
        standard = (null - mean[:, None]) / spread[:, None]
        self.z[kind][block] = (found - mean) / spread
        self.greatest[kind] = np.maximum(self.greatest[kind], standard.max(axis=0))
        self.exceeding[kind][:, block] = (standard > self.forming_z).T


def _pairs_of_blocks(blocks: Sequence[str] | None) -> Floats32 | None:
    """Give the pairs of each two blocks, (n_pairs, n_kinds), scaled so that products of sums are means."""
    if blocks is None or len(set(blocks)) == 1:
        return None
    names = np.unique(list(blocks), return_inverse=True)[1]
    rows, columns = np.triu_indices(len(names), 1)
    codes = np.minimum(names[rows], names[columns]) * len(names) + np.maximum(names[rows], names[columns])
    inside = np.unique(codes) == codes[:, None]
    result: Floats32 = (inside / np.sqrt(inside.sum(axis=0))).astype(np.float32)
    return result


def _columns(responses: NDArray[np.floating]) -> Floats32:
    """Lay the responses of each vertex side by side, less the mean pattern, (n_vertices, n_images + 1), and a 1."""
    values = np.ones((responses.shape[1], len(responses) + 1), dtype=np.float32)
    with np.errstate(invalid="ignore"):
        means = np.nanmean(np.where(np.isfinite(responses), responses, np.nan), axis=1, dtype=np.float64)
    values[:, :-1] = responses.T - means
    return values


def _require_shapes(responses: Mapping[str, NDArray[np.floating]], *, n_disks: int) -> tuple[int, int]:
    shapes = {kind: responses[kind].shape for kind in ("RE", *COMPARED)}
    if len(set(shapes.values())) > 1:
        raise AnalysisError("searchlight", came=", ".join(f"{kind} {shape}" for kind, shape in shapes.items()),
                            expected="the same images and vertices in all types",
                            remedy="Select all from the same betas.")
    n_images, n_vertices = shapes["RE"]
    if n_vertices != n_disks:
        raise AnalysisError("searchlight", came=f"{n_vertices} vertices for {n_disks} disks",
                            expected="one disk a vertex", remedy="Use the surface that the betas are on.")
    if n_images < 3:
        raise AnalysisError("searchlight", came=f"{n_images} images", expected="three or more",
                            remedy="Use more images.")
    return n_images, n_vertices


def _with_data(responses: Mapping[str, NDArray[np.floating]], *,
               disks: Disks) -> tuple[NDArray[np.int64], NDArray[np.integer], NDArray[np.bool_]]:
    """Leave vertices without data out of all disks."""
    has_data = np.logical_and.reduce([np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > 0)
                                      for values in responses.values()])
    indptr, indices = np.asarray(disks[0], dtype=np.int64), np.asarray(disks[1])
    if has_data.all():
        return indptr, indices, has_data
    kept = has_data[indices]
    return np.concatenate([[0], np.cumsum(kept)])[indptr], indices[kept], has_data


def _blocks(centres: NDArray[np.intp], *, sizes: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Give centres of one disk size, some at a time, in the order of the mesh."""
    ordered = centres[np.argsort(sizes[centres], kind="stable")]
    edges = np.flatnonzero(np.diff(sizes[ordered])) + 1
    for alike in np.split(ordered, edges):
        yield from (alike[k:k + _CENTRES] for k in range(0, len(alike), _CENTRES))
