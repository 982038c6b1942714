"""Disks and the split-half map of one hemisphere at a subject's own density: ours beside scipy over the whole mesh.

    python benchmarks/disks.py [--subdivisions 2] [--images 40] [--radius 3] [--per-disk 44] [--peer-centres 100]

The mesh is fsaverage5's flat map, its triangles divided (two times: 150,000 vertices) and its scale changed so that a
disk holds as many vertices as on a subject's own surface (44; --per-disk 0 leaves the scale: 65). Prints CPU seconds,
what was asked, the share of centres at which our disks are scipy's, the largest difference of the map from a plain loop
of scipy's functions on the same centres, and the peak memory of the process. scipy's Dijkstra over the whole mesh, with
the same limit, is timed on some centres and scaled to all. Run with OMP_NUM_THREADS=1 to compare one thread.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from analysis.data.surface import Surface
from analysis.data.template import load_fsaverage5, subdivide
from analysis.regions.vertex_selection import split_half_consistency

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def whole_mesh(surface: Surface, centres: np.ndarray, *, radius: float) -> list[np.ndarray]:
    graph = surface.adjacency
    return [np.flatnonzero(np.isfinite(dijkstra(graph, directed=False, indices=v, limit=radius))) for v in centres]


def scaled(surface: Surface, *, per_disk: float, radius: float) -> Surface:
    some = np.random.default_rng(1).choice(surface.n_vertices, size=200, replace=False)
    mean = np.isfinite(surface.distances(some, limit_mm=radius)).sum(axis=1).mean()
    scale = np.float32(np.sqrt(mean / per_disk))
    return Surface(surface.hemi, scale * surface.vertices, surface.faces, scale * surface.flat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subdivisions", type=int, default=2)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--radius", type=float, default=3.0)
    parser.add_argument("--per-disk", type=float, default=44.0)
    parser.add_argument("--peer-centres", type=int, default=100)
    given = parser.parse_args()
    surface, rng = subdivide(load_fsaverage5()["L"], times=given.subdivisions), np.random.default_rng(0)
    n, radius = surface.n_vertices, given.radius
    if given.per_disk:
        surface = scaled(surface, per_disk=given.per_disk, radius=radius)
    disks, taken = timed(lambda: surface.disks(radius))
    centres = np.sort(rng.choice(n, size=given.peer_centres, replace=False))
    theirs, peer = timed(lambda: whole_mesh(surface, centres, radius=radius))
    peer *= n / len(centres)
    own = [disks[1][disks[0][v]:disks[0][v + 1]] for v in centres]
    equal = np.mean([np.array_equal(one, two) for one, two in zip(own, theirs, strict=True)])
    sizes = np.diff(disks[0])
    print(f"{n} vertices, disks of {sizes.min()} to {sizes.max()}, mean {sizes.mean():.1f}; flat map: "
          f"{surface.distortion().summary()}")
    print(f"disks: {taken:.2f} CPU s (asked: at most 3); scipy's Dijkstra over the whole mesh {peer:.0f}: ratio "
          f"{taken / peer:.4f}; equal at {100 * equal:.0f} % of {len(centres)} centres")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADVERSARIAL_FMRI_HOME"] = folder
        surface.kept_disks(radius)
        print(f"kept and read again: {timed(lambda: surface.kept_disks(radius))[1]:.2f} CPU s")
    shared = rng.normal(size=(given.images, n))
    first, second = ((shared + 2 * rng.normal(size=shared.shape)).astype(np.float32) for _ in range(2))
    found, taken = timed(lambda: split_half_consistency(first, second, disks=disks))
    plain = [spearmanr(*(pdist(half[:, disk].astype(np.float64), "correlation") for half in (first, second))).statistic
             for disk in own]
    print(f"split-half map of {given.images} images: {taken:.2f} CPU s (asked: at most 15); largest difference from a "
          f"plain loop {np.abs(found.rho[centres] - plain).max():.1e} (asked: 1e-6)")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB (asked: 1)")


if __name__ == "__main__":
    main()
