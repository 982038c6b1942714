"""Receptive fields of a virtual subject beside the truth: how many come back in their place.

    PYTHONPATH=. python benchmarks/prf_virtual_subject.py --study DIR [--sub 01] [--r2 20]

Reads what `python -m analysis prf` has made of a simulated subject (`make demo`, or a study of one's own; set
`prf.vertices` and `prf.max_vertices` as wanted), and the truth beside the time series. Counted are vertices whose fit
explains more than `--r2` percent of the variance and whose true centre lies within the stimulated field. Printed for
each area and all: how many, the shares with an angle within 10 degrees, with an eccentricity within .5 degrees, and
with both, and medians of the errors and of size over true size. Asked: 80 % of each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from analysis.regions.prf.maps import PrfMaps, load_maps
from analysis.regions.prf.run import maps_paths
from analysis.simulation.brain.fields import AREAS, Fields
from analysis.simulation.truth_file import load_areas, load_fields
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.store import read_json

ANGLE_DEG, ECCENTRICITY_DEG, ASKED = 10.0, 0.5, 80.0


def errors(maps: PrfMaps, truth: Fields, *, r2: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the vertices that count, and (4, n): errors of angle and eccentricity, sizes over true ones, R2."""
    fit, (width, height) = maps.fit, maps.field_deg
    with np.errstate(invalid="ignore"):
        counted = np.flatnonzero((fit.r2 > r2) & (np.hypot(truth.x_deg, truth.y_deg) < min(width, height) / 2))
    true_angle = np.degrees(np.arctan2(truth.y_deg, truth.x_deg))
    turned = np.abs((fit.angle_deg - true_angle + 180) % 360 - 180)
    away = np.abs(fit.eccentricity_deg - np.hypot(truth.x_deg, truth.y_deg))
    return counted, np.stack([turned, away, fit.size_deg / truth.size_deg, fit.r2])[:, counted]


def line(name: str, found: np.ndarray) -> str:
    """Spell one row."""
    if not found.shape[1]:
        return f"{name:<5} {0:>6}"
    near, far = found[0] <= ANGLE_DEG, found[1] <= ECCENTRICITY_DEG
    shares = (100 * near.mean(), 100 * far.mean(), 100 * (near & far).mean())
    medians = np.median(found, axis=1)
    return (f"{name:<5} {found.shape[1]:>6} " + " ".join(f"{share:>8.1f}" for share in shares)
            + f" {medians[0]:>10.2f} {medians[1]:>8.3f} {medians[2]:>8.2f} {medians[3]:>6.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--sub", default="01")
    parser.add_argument("--r2", type=float, default=20.0)
    given = parser.parse_args()
    layout = Layout(given.study)
    path = layout.derivative("simulated", sub=given.sub, suffix="truth.h5")
    rows, areas = [], []
    for hemi, file in maps_paths(layout, sub=given.sub).items():
        maps = load_maps(file)
        counted, found = errors(maps, load_fields(path, hemi=hemi), r2=given.r2)
        rows.append(found)
        areas.append(load_areas(path, hemi=hemi).areas[counted])
    values, area = np.concatenate(rows, axis=1), np.concatenate(areas)
    said = read_json(sidecar_path(file))["parameters"]
    noise = read_json(sidecar_path(path))["parameters"]
    print(f"{said['model']}, response {said['hrf']}; noise: "
          + ", ".join(f"{key} {noise[key]:g}" for key in noise if key.endswith("_sd_pct")))
    print(f"R2 > {given.r2:g} %     n    angle   eccentr.    both   med. angle  med. ecc  size/true  R2")
    for k, name in enumerate(AREAS, start=1):
        print(line(name, values[:, area == k]))
    print(line("all", values) + f"   (asked: {ASKED:g} % of angles within {ANGLE_DEG:g} deg and of eccentricities "
          f"within {ECCENTRICITY_DEG:g} deg)")


if __name__ == "__main__":
    main()
