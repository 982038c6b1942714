"""CPU time of the searchlight: 2,000 disks beside rsatoolbox, and a hemisphere with its disks.

    python benchmarks/rsa_searchlight.py [--vertices 146000] [--centres 2000] [--theirs 2000]

One thread (set OMP_NUM_THREADS=1). Asked: 2,000 centres x 75 vertices x 40 images in at most .15 CPU s and 25 times
faster than rsatoolbox's RDMs and evaluation of one model; a hemisphere of 146,000 vertices, three RDMs and both
similarities, in at most 15 CPU s with its 3 mm disks, below 1 GB.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings

import numpy as np

from analysis.data.surface import Surface
from analysis.rsa.searchlight.disks import search


def flat_sheet(n_vertices: int, *, spacing_mm: float = 0.8) -> Surface:
    """Make a flat, slightly irregular triangulated sheet, about as dense as a subject's flat map."""
    side = int(np.sqrt(n_vertices))
    rows, columns = (grid.ravel() for grid in np.mgrid[:side, :side])
    rng = np.random.default_rng(0)
    flat = spacing_mm * (np.stack([columns + 0.5 * (rows % 2), rows * 0.87], axis=1)
                         + 0.1 * rng.standard_normal((side * side, 2)))
    corner = (np.arange(side * (side - 1)).reshape(side - 1, side)[:, :-1]).ravel()
    faces = np.concatenate([np.stack([corner, corner + 1, corner + side], axis=1),
                            np.stack([corner + 1, corner + side + 1, corner + side], axis=1)]).astype(np.int32)
    vertices = np.column_stack([flat, np.zeros(len(flat))]).astype(np.float32)
    return Surface("L", vertices, faces, flat.astype(np.float32))


def their_searchlight(responses: dict[str, np.ndarray], members: np.ndarray) -> None:
    from rsatoolbox.inference import eval_fixed
    from rsatoolbox.model import ModelFixed
    from rsatoolbox.rdm import RDMs
    from rsatoolbox.util.searchlight import evaluate_models_searchlight, get_searchlight_RDMs

    events = np.arange(len(responses["RE"]))
    rdms = {kind: get_searchlight_RDMs(values, np.arange(len(members)), list(members), events, method="correlation",
                                       verbose=False) for kind, values in responses.items()}
    model = ModelFixed("RE", RDMs(rdms["RE"].dissimilarities[:1]))
    evaluate_models_searchlight(rdms["AI"], model, eval_fixed, method="spearman", n_jobs=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=146_000)
    parser.add_argument("--centres", type=int, default=2000)
    parser.add_argument("--theirs", type=int, default=2000, help="centres for rsatoolbox; 0 leaves it out")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    values = {kind: rng.standard_normal((40, given.centres), dtype=np.float32) for kind in ("RE", "AN", "AI")}
    members = np.sort(np.argsort(rng.random((given.centres, given.centres)), axis=1)[:, :75], axis=1)
    disks = (75 * np.arange(given.centres + 1), members.ravel())
    taken = []
    for _ in range(3):
        began = time.process_time()
        search(values, disks=disks)
        taken.append(time.process_time() - began)
    print(f"{given.centres} centres x 75 x 40, three RDMs, two similarities: {min(taken):.3f} CPU s", flush=True)
    if given.theirs:
        began = time.process_time()
        their_searchlight({kind: one.astype(np.float64) for kind, one in values.items() if kind != "AN"},
                          members[:given.theirs])
        theirs = (time.process_time() - began) * given.centres / given.theirs
        print(f"rsatoolbox, two RDMs, one model: {theirs:.2f} CPU s, ratio {theirs / min(taken):.0f}", flush=True)
    sheet = flat_sheet(given.vertices)
    values = {kind: rng.standard_normal((40, sheet.n_vertices), dtype=np.float32) for kind in ("RE", "AN", "AI")}
    began = time.process_time()
    disks = sheet.disks(3.0)
    between = time.process_time()
    found = search(values, disks=disks)
    ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{sheet.n_vertices} vertices, disks of {np.median(found.n_used):g}: disks {between - began:.1f}, search "
          f"{ended - between:.1f}, both {ended - began:.1f} CPU s; peak {peak:.0f} MiB")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
