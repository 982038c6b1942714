"""How near an atlas's V1 to V4 come to planted ones once they are moved to the measured field map.

    PYTHONPATH=. python benchmarks/atlas_proposal.py [--atlas benson] [--subdivisions 2] [--seeds 3]

Needs neuropythy (`pip install neuropythy`), which brings the atlases. The planted maps are the virtual subject's
schematic ones, which are no atlas's. A third of the vertices within 6 degrees have a receptive field, LO and hMT+ among
them, its centre off by a normal error that grows with eccentricity (.125 + .15 E degrees). Dice within the mapped
field, of the atlas as it is and of the proposal; then with the planted maps turned on the cortex by 20 degrees about
their middle, where what is turned in from beyond the patch has no area, beside Dice of that proposal with the maps that
were not turned.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from analysis.regions.drawing.atlas import ATLASES, PROPOSED, load_atlas
from analysis.regions.drawing.proposal import propose
from analysis.simulation.brain.fields import FieldMap
from analysis.simulation.brain.meshes import template_map

Floats = NDArray[np.float64]
FIELD_DEG, SHARE, NOISE = 6.0, 1 / 3, 0.5


def turn_map(flat: Floats, place: FieldMap, *, degrees: float) -> tuple[NDArray[np.int16], Floats, Floats]:
    """Give areas and places in the visual field once the maps were turned on the cortex."""
    middle = flat[(place.areas > 0) & (place.areas <= len(PROPOSED))].mean(axis=0)
    angle = np.radians(degrees)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    away, source = cKDTree(flat).query((flat - middle) @ back + middle)
    there = away < 2.5
    x, y = (np.where(there, axis[source], np.nan) for axis in (place.x_deg, place.y_deg))
    return np.where(there & (np.hypot(x, y) < FIELD_DEG), place.areas[source], 0).astype(np.int16), x, y


def dice(labels: NDArray[np.int16], truth: NDArray[np.int16]) -> Floats:
    """Measure the overlap of each area."""
    return np.array([2 * ((labels == k) & (truth == k)).sum() / max(1, (labels == k).sum() + (truth == k).sum())
                     for k in range(1, len(PROPOSED) + 1)])


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atlas", choices=tuple(ATLASES), default="benson")
    parser.add_argument("--subdivisions", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(f"atlas {given.atlas}, occipital patch refined {given.subdivisions} times, {given.seeds} seeds, medians\n")
    print(f"| hemisphere | turned | of | {' | '.join(PROPOSED)} | CPU s |\n|---|---|---|{'---|' * (len(PROPOSED) + 1)}")
    for hemi in "LR":
        patch, place = template_map(hemi, atlas="analytic", subdivisions=given.subdivisions)
        flat, atlas = patch.flat.astype(np.float64), load_atlas(hemi, given.atlas)
        straight = turn_map(flat, place, degrees=0.0)[0]
        for degrees in (0.0, 20.0):
            areas, x, y = turn_map(flat, place, degrees=degrees)
            found: dict[str, list[Floats]] = {"the atlas": [], "the proposal": [], "the proposal, maps not turned": []}
            start = time.process_time()
            for seed in range(given.seeds):
                rng = np.random.default_rng(seed)
                error = NOISE * (0.25 + 0.3 * np.nan_to_num(np.hypot(x, y)))
                seen = (areas > 0) & (rng.random(len(areas)) < SHARE)
                made = propose(flat, x_deg=x + error * rng.normal(size=len(x)), weights=seen.astype(np.float64),
                               y_deg=y + error * rng.normal(size=len(y)), atlas=atlas, field_deg=FIELD_DEG)
                for values, one in zip(found.values(), ((made.atlas, areas), (made.labels, areas),
                                                        (made.labels, straight)), strict=True):
                    values.append(dice(*one))
            cost = (time.process_time() - start) / given.seeds
            for name, values in found.items():
                if degrees or "not turned" not in name:
                    medians = " | ".join(f"{one:.2f}" for one in np.median(values, axis=0))
                    print(f"| {hemi} | {degrees:g} | {name} | {medians} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    main()
