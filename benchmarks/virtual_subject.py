"""How realistic the default virtual subject is: reliability, tSNR, autocorrelation, smoothness, response lags.

    PYTHONPATH=. python benchmarks/virtual_subject.py --study DIR [--sub 01]

Reads the simulated time series and the betas of a finished study (`make demo`), and prints each figure as median and
range over vertices inside the regions. Measured from the files, with nothing of the simulation's own code but the
record of the true lags. Published ranges are those of 3 T surface data at 2 mm: tSNR 40 to 80 (Triantafyllou et al.
2005), vertex reliability of single-image betas .1 to .4 (Allen et al. 2022, one to three repeats), lag of the response
over cortex SD about .5 s (Handwerker et al. 2004).
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
from analysis.glm.estimate import betas_paths
from analysis.regions.labels import ROIS, read_labels
from subjects.layout import Layout

Floats = NDArray[np.float64]


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


def measure(layout: Layout, *, sub: str, hemi: str = "L") -> None:
    """Print the table of one hemisphere."""
    data = resolve_subject(layout, sub=sub)
    labels = read_labels(labels_path(layout, source="simulated", sub=sub, hemi=hemi))
    path = next(path for (_, side), path in data.bold.items() if side == hemi)
    series = read_timeseries(path, hemi=hemi).astype(np.float64)
    inside = labels > 0
    left = detrended(series)
    print(f"{path.name}: {series.shape[0]} volumes x {series.shape[1]} vertices")
    print(f"tSNR                                   {span(series.mean(axis=0)[inside] / left.std(axis=0)[inside], 1)}")
    lagged = columns_correlated(left[1:], left[:-1])
    print(f"correlation with the next volume       {span(lagged[inside])}; outside the regions {span(lagged[~inside])}")
    surface = data.load_surface(hemi)
    a, b = surface.edges.T
    flat = surface.flat.astype(np.float64)
    apart = np.linalg.norm(flat[a] - flat[b], axis=1)
    near = columns_correlated(left[:, a], left[:, b])
    print(f"correlation of neighbours              {span(near)} at {span(apart)} mm")
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, series.shape[1], (2, 4000))
    print(f"correlation of vertices at random      {span(columns_correlated(left[:, pairs[0]], left[:, pairs[1]]))}")
    found = reliability(load_betas(betas_paths(layout, sub=sub)[hemi]))
    for k, roi in enumerate(ROIS, start=1):
        print(f"split-half reliability of RE in {roi:<6} {span(found[labels == k])}; "
              f"best 100: {span(np.sort(found[labels == k])[-100:])}")
    with h5py.File(layout.derivative("simulated", sub=sub, suffix="truth.h5"), "r") as file:
        lag, width = (file[f"hemi-{hemi}"][name][:][inside] for name in ("hrf_lag_s", "hrf_width"))
    print(f"SD of the response's lag and width     {lag.std():.2f} s, {width.std():.2f}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--sub", default="01")
    given = parser.parse_args()
    measure(Layout(given.study), sub=given.sub)


if __name__ == "__main__":
    main()
