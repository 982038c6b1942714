"""How near an atlas's V1 to V4 come to planted ones once they are moved to the measured field map.

    PYTHONPATH=. python benchmarks/atlas_proposal.py [--atlas benson] [--subdivisions 2] [--seeds 3]
    PYTHONPATH=. python benchmarks/atlas_proposal.py --fitted DIR [--sub 01] [--r2 2]

Needs neuropythy (`pip install neuropythy`), which brings the atlases. The planted maps are the virtual subject's
schematic ones, which are no atlas's. Without a study, a third of the vertices within 6 degrees have a receptive field,
LO and hMT+ among them, its centre off by a normal error that grows with eccentricity (.125 + .15 E degrees).

With `--fitted`, the fields are those that `python -m analysis prf` fitted to a simulated subject's retinotopy runs,
above `--r2` percent of variance (by default the study's roi.proposal_r2_pct), and the truth is the simulation's: what
`python -m analysis propose` writes, end to end. For the study: `python run_session.py rehearse --study DIR`, then
prf.vertices = "all" and prf.max_vertices = 0 in its study.toml, and `python -m analysis prf --study DIR --sub 01`.

Dice within the mapped field, of the atlas as it is, of the warp alone, and of the proposal; then with the planted maps
turned on the cortex by 20 degrees about their middle, where what is turned in from beyond the patch has no area, beside
Dice of that proposal with the maps that were not turned.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from analysis.data.surface import Surface
from analysis.regions.drawing.atlas import ATLASES, PROPOSED, Atlas, load_atlas
from analysis.regions.drawing.proposal import HALVED, propose
from analysis.regions.drawing.tidying import make_whole
from analysis.regions.prf.maps import load_maps
from analysis.regions.prf.run import maps_paths
from analysis.simulation.brain.meshes import anatomy, template_map
from subjects.layout import Layout
from subjects.settings.loading import load_settings

Floats = NDArray[np.float64]
FIELD_DEG, SHARE, NOISE = 6.0, 1 / 3, 0.5


@dataclass(frozen=True, eq=False)
class Case:
    """Planted areas within the mapped field, and measured places (with weights) at every vertex of a flat map."""

    surface: Surface
    areas: NDArray[np.int16]
    x_deg: Floats
    y_deg: Floats
    weights: Floats

    @property
    def flat(self) -> Floats:
        """Places on the flat map, mm."""
        return self.surface.flat.astype(np.float64)


def turn(flat: Floats, areas: NDArray[np.int16], *, degrees: float) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Say which vertices have something once the maps were turned on the cortex, and whose it is."""
    middle = flat[(areas > 0) & (areas <= len(PROPOSED))].mean(axis=0)
    angle = np.radians(degrees)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    away, source = cKDTree(flat).query((flat - middle) @ back + middle)
    return np.asarray(away < 2.5), np.asarray(source)


def planted(hemi: str, *, degrees: float, subdivisions: int, seed: int) -> Case:
    """Plant maps, turned, and measure them with an error."""
    patch, place = template_map(hemi, atlas="analytic", subdivisions=subdivisions)
    flat = patch.flat.astype(np.float64)
    there, source = turn(flat, place.areas, degrees=degrees)
    x, y = (np.where(there, axis[source], np.nan) for axis in (place.x_deg, place.y_deg))
    areas = np.where(there & (np.hypot(x, y) < FIELD_DEG), place.areas[source], 0).astype(np.int16)
    rng = np.random.default_rng(seed)
    error = NOISE * (0.25 + 0.3 * np.nan_to_num(np.hypot(x, y)))
    seen = (areas > 0) & (rng.random(len(areas)) < SHARE)
    return Case(patch, areas, x + error * rng.normal(size=len(x)), y + error * rng.normal(size=len(y)),
                seen.astype(np.float64))


def fitted(study: Path, hemi: str, *, degrees: float, sub: str, r2: float | None) -> Case:
    """Read what was fitted to a simulated subject, and turn all of it on the cortex."""
    layout, settings = Layout(study).require(), load_settings(study)
    maps = load_maps(maps_paths(layout, sub=sub)[hemi])
    chosen = settings.simulate
    true = anatomy(hemi, mesh=chosen.mesh, atlas=chosen.atlas, subdivisions=chosen.subdivisions)
    flat, place = true.surface.flat.astype(np.float64), true.place
    there, source = turn(flat, place.areas, degrees=degrees)
    within = there & (np.hypot(place.x_deg, place.y_deg)[source] < min(maps.field_deg) / 2)
    above = settings.roi.proposal_r2_pct if r2 is None else r2
    weights = np.where(maps.shown(r2_pct=above), np.nan_to_num(maps.fit.r2), 0.0)
    return Case(true.surface, np.where(within, place.areas[source], 0).astype(np.int16), maps.fit.x_deg[source],
                maps.fit.y_deg[source], np.where(there, weights[source], 0.0))


def dice(labels: NDArray[np.int16], truth: NDArray[np.int16]) -> Floats:
    """Measure the overlap of each area."""
    return np.array([2 * ((labels == k) & (truth == k)).sum() / max(1, (labels == k).sum() + (truth == k).sum())
                     for k in range(1, len(PROPOSED) + 1)])


def compare(cases: Iterator[Case], straight: NDArray[np.int16], *, atlas: Atlas) -> tuple[dict[str, Floats], float]:
    """Propose for each case; give medians of Dice by what is compared, and CPU seconds a case."""
    found: dict[str, list[Floats]] = {}
    taken = list[float]()
    for one in cases:
        start = time.process_time()
        made = propose(one.flat, x_deg=one.x_deg, y_deg=one.y_deg, weights=one.weights, atlas=atlas,
                       field_deg=FIELD_DEG)
        whole = make_whole(made.labels, one.surface, halved=HALVED)
        taken.append(time.process_time() - start)
        for name, labels, truth in (("the atlas", made.atlas, one.areas), ("the warp alone", made.warped, one.areas),
                                    ("the proposal", whole, one.areas),
                                    ("the proposal, maps not turned", whole, straight)):
            found.setdefault(name, []).append(dice(labels, truth))
    return {name: np.median(values, axis=0) for name, values in found.items()}, float(np.mean(taken))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atlas", choices=tuple(ATLASES), default="benson")
    parser.add_argument("--subdivisions", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fitted", metavar="DIR", type=Path,
                        help="a study with a simulated subject whose fields were fitted")
    parser.add_argument("--sub", default="01")
    parser.add_argument("--r2", type=float, default=None)
    given = parser.parse_args()
    seeds = range(given.seeds if given.fitted is None else 1)

    def case(hemi: str, degrees: float, seed: int) -> Case:
        if given.fitted is not None:
            return fitted(given.fitted, hemi, degrees=degrees, sub=given.sub, r2=given.r2)
        return planted(hemi, degrees=degrees, subdivisions=given.subdivisions, seed=seed)

    source = "fields fitted to a simulated subject's runs" if given.fitted is not None else \
        f"occipital patch refined {given.subdivisions} times, {len(seeds)} seeds, medians"
    print(f"atlas {given.atlas}, {source}\n")
    print(f"| hemisphere | turned | of | {' | '.join(PROPOSED)} | CPU s |\n|---|---|---|{'---|' * (len(PROPOSED) + 1)}")
    for hemi in "LR":
        atlas, straight = load_atlas(hemi, given.atlas), case(hemi, 0.0, 0)
        inside = (straight.areas > 0) & (straight.areas <= len(PROPOSED))
        shares = [100 * (straight.weights > 0)[straight.areas == k].mean() for k in range(1, len(PROPOSED) + 1)]
        print(f"| {hemi} | | {int((inside & (straight.weights > 0)).sum())} of {int(inside.sum())} vertices have a "
              "field, % | " + " | ".join(f"{one:.0f}" for one in shares) + " | |", flush=True)
        for degrees in (0.0, 20.0):
            medians, cost = compare((case(hemi, degrees, seed) for seed in seeds), straight.areas, atlas=atlas)
            for name, values in medians.items():
                if degrees or "not turned" not in name:
                    said = " | ".join(f"{one:.2f}" for one in values)
                    print(f"| {hemi} | {degrees:g} | {name} | {said} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    main()
