"""Correction of searchlight maps for the number of vertices: largest value, clusters, false discovery rate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analysis.rsa.searchlight.disks import COMPARED, Searchlight
from analysis.statistics.statistic import false_discovery

Floats32 = NDArray[np.float32]
Edges = NDArray[np.integer]


def cluster_sizes(inside: NDArray[np.bool_], *, edges: Edges) -> NDArray[np.int64]:
    """Give the size of the cluster that each vertex is in, (n_vertices,), 0 outside.

    Parameters
    ----------
    inside : bool array, (n_vertices,)
    edges : int array, (n_edges, 2)

    Examples
    --------
    >>> cluster_sizes(np.array([True, True, False, True]), edges=np.array([[0, 1], [1, 2], [2, 3]])).tolist()
    [2, 2, 0, 1]
    """
    sizes = np.zeros(len(inside), dtype=np.int64)
    vertices = np.flatnonzero(inside)
    if not len(vertices):
        return sizes
    number = np.cumsum(inside) - 1
    a, b = edges[inside[edges].all(axis=1)].T
    graph = coo_array((np.ones(len(a), dtype=np.int8), (number[a], number[b])), shape=(len(vertices),) * 2)
    _, labels = connected_components(graph, directed=False)
    sizes[vertices] = np.bincount(labels)[labels]
    return sizes


def corrected_maps(found: Mapping[str, Searchlight], *, edges: Mapping[str, Edges],
                   forming_z: float = 3.1) -> dict[str, dict[str, Floats32]]:
    """Correct the maps of both hemispheres together.

    Parameters
    ----------
    found : mapping of str to Searchlight
        Hemisphere to its similarities, with permutations that are the same in both.
    edges : mapping of str to int array, (n_edges, 2)
        Hemisphere to the edges of its mesh.
    forming_z : float
        As in :func:`~analysis.rsa.searchlight.disks.search`.

    Returns
    -------
    dict of str to dict of str to float32 array, (n_vertices,)
        Hemisphere to maps: ``"p RE-AN"`` uncorrected, ``"p FDR ..."`` (Benjamini & Hochberg), ``"p FWE ..."`` by the
        largest standardised similarity of a permutation anywhere, ``"p cluster ..."`` by its largest cluster; 1 outside
        clusters. The same for RE-AI. Each is one-sided.
    """
    maps: dict[str, dict[str, Floats32]] = {hemi: {} for hemi in found}
    for kind in COMPARED:
        values = {hemi: _of_kind(one, kind) for hemi, one in found.items()}
        p = np.concatenate([one for one, _, _ in values.values()])
        tested = np.isfinite(p)
        rates = np.full(len(p), np.nan)
        rates[tested] = false_discovery(p[tested])
        starts = np.cumsum([0, *(len(one) for one, _, _ in values.values())])
        greatest = np.max([one for _, _, one in values.values()], axis=0)
        largest = _largest_clusters(found, kind, edges=edges)
        for k, (hemi, (own, z, _)) in enumerate(values.items()):
            sizes = cluster_sizes(np.nan_to_num(z, nan=-np.inf) > forming_z, edges=edges[hemi])
            by_cluster = np.where(sizes > 0, _upper(sizes, null=largest), 1.0)
            maps[hemi] |= {name: np.where(np.isnan(own), np.nan, map_).astype(np.float32) for name, map_ in {
                f"p RE-{kind}": own, f"p FDR RE-{kind}": rates[starts[k]:starts[k + 1]],
                f"p FWE RE-{kind}": _upper(z, null=greatest), f"p cluster RE-{kind}": by_cluster}.items()}
    return maps


def _of_kind(one: Searchlight, kind: str) -> tuple[Floats32, Floats32, Floats32]:
    if one.p is None or one.z is None or one.greatest is None:
        raise ValueError("corrected maps need permutations")
    return one.p[kind], one.z[kind], one.greatest[kind]


def _upper(values: NDArray[np.number], *, null: NDArray[np.number]) -> NDArray[np.float64]:
    """Give (1 + how many of the null are as high) / (1 + n)."""
    slack = 1e-5 if np.issubdtype(values.dtype, np.floating) else 0
    result: NDArray[np.float64] = (1 + len(null) - np.searchsorted(np.sort(null), values - slack)) / (1 + len(null))
    return result


def _largest_clusters(found: Mapping[str, Searchlight], kind: str, *, edges: Mapping[str, Edges]) -> NDArray[np.int64]:
    largest: list[NDArray[np.int64]] = []
    for hemi, one in found.items():
        packed = one.exceeding[kind] if one.exceeding is not None else np.zeros((0, 0), dtype=np.uint8)
        rows = (np.unpackbits(row, count=len(one.n_used)).astype(bool) for row in packed)
        largest.append(np.array([cluster_sizes(row, edges=edges[hemi]).max() for row in rows]))
    result: NDArray[np.int64] = np.max(largest, axis=0)
    return result
