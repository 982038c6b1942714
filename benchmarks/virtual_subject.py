"""How realistic the default virtual subject is: reliability, tSNR, autocorrelation, smoothness, response lags.

    PYTHONPATH=. python benchmarks/virtual_subject.py --study DIR [--sub 01]

Reads the simulated time series and the betas of a finished study (`make demo`), and prints each figure as median and
10th to 90th percentile over vertices inside the regions, beside published ranges: a table in Markdown, which
docs/virtual-subject.md holds. Measured from the files, with nothing of the simulation's own code but the record of the
true lags.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.data.gifti import read_timeseries
from analysis.data.sources import labels_path, resolve_subject
from analysis.glm.betas import Betas, load_betas
from analysis.glm.combining import betas_paths
from analysis.regions.labels import ROIS, read_labels
from subjects.layout import Layout
from subjects.store import read_table

Floats = NDArray[np.float64]
PUBLISHED = {
    "tsnr": "40 to 80 at 3 T and 2 mm (Triantafyllou et al. 2005)",
    "noise": "1.2 to 2.5, the inverse of that",
    "ar1": "0.1 to 0.5 at TR 2 to 3 s (Worsley et al. 2002; Olszowy et al. 2019)",
    "fwhm": "2 to 4: the voxel, and the point spread of BOLD at 3 T (Parkes et al. 2005)",
    "global": "small and positive before physiology is removed (Power et al. 2017)",
    "motion": "0.1 to 0.3 in trained adults, sudden movements beyond 0.5 (Power et al. 2012)",
    "lag": "about 0.5 to 1 s (Handwerker et al. 2004)",
    "width": "about 0.1 to 0.2 (Handwerker et al. 2004)",
    "reliability": "0.1 to 0.4 for single images, few repeats (Allen et al. 2022)"}
"""What is reported of measured data: ranges of ours, for orientation, after the papers named."""


def span(values: Floats, digits: int = 2) -> str:
    """Spell median, 10th and 90th percentile."""
    low, middle, high = np.nanpercentile(values, [10, 50, 90])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def columns_correlated(a: Floats, b: Floats) -> Floats:
    """Correlate two matrices column by column."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    result: Floats = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return result


def reliability(betas: Betas) -> Floats:
    """Correlate the two presentations of the RE images at each vertex, session means taken off."""
    halves = []
    for presentation in (1, 2):
        rows = ((betas.conditions["type"] == "RE")
                & (betas.conditions["presentation"] == presentation)).to_numpy()
        values = betas.values[rows].astype(np.float64)
        sessions = betas.conditions["session"].to_numpy()[rows]
        for session in np.unique(sessions):
            values[sessions == session] -= values[sessions == session].mean(axis=0)
        order = np.argsort(betas.conditions["base_image"].to_numpy()[rows])
        halves.append(values[order])
    return columns_correlated(*halves)


def detrended(data: Floats) -> Floats:
    """Take off polynomials of degree 5."""
    powers = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(data)), 5)
    result: Floats = data - powers @ np.linalg.lstsq(powers, data, rcond=None)[0]
    return result


def smoothness_mm(data: Floats, *, edges: NDArray[np.int32], lengths: Floats) -> Floats:
    """Give the width (FWHM) of the noise from neighbours' differences, for each edge (Hagler et al. 2006)."""
    a, b = edges.T
    apart, own = (data[:, a] - data[:, b]).var(axis=0), data.var(axis=0)
    left = 1 - apart / (own[a] + own[b])
    result: Floats = lengths * np.sqrt(-2 * np.log(2) / np.log(np.clip(left, 1e-3, 1 - 1e-6)))
    return result


def measure(layout: Layout, *, sub: str, hemi: str = "L") -> None:
    """Print the table of one hemisphere."""
    data = resolve_subject(layout, sub=sub)
    labels = read_labels(labels_path(layout, source="simulated", sub=sub, hemi=hemi))
    key, path = next((key, path) for (key, side), path in data.bold.items() if side == hemi)
    series = read_timeseries(path, hemi=hemi).astype(np.float64)
    inside = labels > 0
    left = detrended(series)
    surface = data.load_surface(hemi)
    flat = surface.flat.astype(np.float64)
    edges = surface.edges[inside[surface.edges].all(axis=1)]
    lengths = np.linalg.norm(flat[edges[:, 0]] - flat[edges[:, 1]], axis=1)
    pairs = np.random.default_rng(1).integers(0, series.shape[1], (2, 4000))
    moved = read_table(layout.confounds("simulated", key))["framewise_displacement"].to_numpy()[1:]
    with h5py.File(layout.derivative("simulated", sub=sub, suffix="truth.h5"), "r") as file:
        lag, width = (file[f"hemi-{hemi}"][name][:][inside] for name in ("hrf_lag_s", "hrf_width"))
    print(f"{path.name}: {series.shape[0]} volumes x {series.shape[1]} vertices\n")
    print("| figure | virtual subject | published |\n|---|---|---|")
    tsnr = series.mean(axis=0)[inside] / left.std(axis=0)[inside]
    row("tSNR, drifts removed", span(tsnr, 0), PUBLISHED["tsnr"])
    row("noise, % of the mean", span(100 / tsnr, 1), PUBLISHED["noise"])
    row("correlation with the next volume", span(columns_correlated(left[1:], left[:-1])[inside]), PUBLISHED["ar1"])
    row(f"width of the noise, FWHM in mm (edges of {np.median(lengths):.1f} mm)",
        span(smoothness_mm(left, edges=edges, lengths=lengths), 1), PUBLISHED["fwhm"])
    row("correlation of vertices at random", span(columns_correlated(left[:, pairs[0]], left[:, pairs[1]])),
        PUBLISHED["global"])
    row("framewise displacement, mm", span(moved), PUBLISHED["motion"])
    row("lag of the response, SD over cortex", f"{lag.std():.2f} s", PUBLISHED["lag"])
    row("width of the response, SD over cortex", f"{width.std():.2f} of its own", PUBLISHED["width"])
    found = reliability(load_betas(betas_paths(layout, sub=sub)[hemi]))
    for k, roi in enumerate(ROIS, start=1):
        row(f"split-half reliability of RE, {roi}; best 100", f"{span(found[labels == k])}; "
            f"{span(np.sort(found[labels == k])[-100:])}", PUBLISHED["reliability"])


def row(*cells: str) -> None:
    """Print a row of the table."""
    print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--sub", default="01")
    given = parser.parse_args()
    measure(Layout(given.study), sub=given.sub)


if __name__ == "__main__":
    main()
