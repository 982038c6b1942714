"""What denoising is worth on a virtual subject with realistic noise: vertex reliability with and without, by world.

    PYTHONPATH=. python benchmarks/denoised_worlds.py [--worlds paper,null] [--subdivisions 1]
                                                      [--fits ols,assume,optimize] [--seed 1]

A subject of each world is scanned on the emulated scanner (2 sessions of 5 runs, 120 images of the demo network), its
BOLD simulated with the default noise, and fitted three times: least squares, GLMdenoise with the canonical response
(`assume`), and GLMdenoise as it is published (`optimize`). Prints, over the vertices of all regions and both
hemispheres: the correlation of an image's two estimates over the RE images, session means taken off (median and best
100 a region); the correlation of the estimates of both presentations with the truth, over the images of a type and
session; components, response, and CPU seconds of the step (one thread).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from analysis.data.sources import HEMISPHERES, labels_path
from analysis.glm.betas import Betas, load_betas
from analysis.glm.combining import betas_paths
from analysis.glm.denoising.files import load_noise
from analysis.regions.labels import ROIS, read_labels
from analysis.running import run_step
from analysis.simulation.truth_file import load_truth
from analysis.steps import Request
from paradigms.playing.play_run import play_run
from stimuli.image_set.build import build
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.manifest import TYPES
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.profile import register
from subjects.settings.loading import load_settings

FITS = {"ols": {"glm.model": "ols"}, "assume": {"glm.model": "glmdenoise", "glm.hrf_fit": "assume"},
        "optimize": {"glm.model": "glmdenoise", "glm.hrf_fit": "optimize"},
        "halves": {"glm.model": "glmdenoise", "glm.partition": "runs"},
        "ols-halves": {"glm.model": "ols", "glm.partition": "runs"}}
WORLDS = ("paper", "cnn-like", "both", "null", "pixels")
Floats = NDArray[np.float64]


def scanned_study(folder: Path, *, subdivisions: int, seed: int) -> Layout:
    """Make a study with images and features and play all runs of the main experiment."""
    layout = init_study(Layout(folder), name="denoised worlds", seed=seed, changes={
        "simulate": {"subdivisions": subdivisions}, "retinotopy": {"runs": []}, "lo": {"runs": []},
        "motion": {"runs": []}})
    settings = load_settings(folder)
    build(layout, settings)
    extract(layout, settings)
    register(layout, "01", virtual=True)
    for item in run_sheet(layout, settings, sub="01").runs:
        play_run(layout, settings, key=item.key, scanner="emulated", display="virtual")
    return layout


def columns_correlated(one: Floats, other: Floats) -> Floats:
    """Correlate two matrices column by column."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    result: Floats = (one * other).sum(axis=0) / np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return result


def measure(layout: Layout) -> tuple[float, float, float]:
    """Median reliability, that of the best 100 vertices a region, and mean correlation with the truth."""
    reliabilities, best, true = [], [], []
    for hemi in HEMISPHERES:
        betas = load_betas(betas_paths(layout, sub="01")[hemi]).without_session_means()
        labels = read_labels(labels_path(layout, source="simulated", sub="01", hemi=hemi))
        found = columns_correlated(*(betas.select(type="RE", presentation=k).astype(np.float64) for k in (1, 2)))
        reliabilities.append(found[labels > 0])
        best += [np.sort(found[labels == k])[-100:].mean() for k in range(1, len(ROIS) + 1)]
        truth = load_truth(layout.derivative("simulated", sub="01", suffix="truth.h5"), hemi=hemi)
        true += [near_truth(betas, truth.responses[kind], kind=kind, inside=labels > 0) for kind in TYPES]
    known = [one for one in true if np.isfinite(one)]
    return (float(np.nanmedian(np.concatenate(reliabilities))), float(np.mean(best)),
            float(np.mean(known)) if known else float("nan"))


def near_truth(betas: Betas, truth: NDArray[np.float32], *, kind: str, inside: NDArray[np.bool_]) -> float:
    """Correlate estimates with the truth over images, within sessions; NaN where the truth is flat."""
    sessions = np.array(betas.sessions())
    found, true = betas.select(type=kind)[:, inside].astype(np.float64), truth[:, inside].astype(np.float64)
    for session in np.unique(sessions):
        mine = sessions == session
        found[mine] -= found[mine].mean(axis=0)
        true[mine] -= true[mine].mean(axis=0)
    if np.abs(true).max() < 1e-5:
        return float("nan")
    with np.errstate(invalid="ignore"):
        return float(np.nanmean(columns_correlated(found, true)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--fits", default="ols,assume,optimize")
    parser.add_argument("--subdivisions", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        layout = scanned_study(Path(folder) / "study", subdivisions=given.subdivisions, seed=given.seed)
        print(f"{'world':<9} {'fit':<10} reliability  best 100  r to truth  CPU s  components; response")
        for world in given.worlds.split(","):
            base = load_settings(layout.root)
            run_step("simulate", Request(layout=layout, settings=base, subjects=("01",), world=world))
            for name in given.fits.split(","):
                settings = load_settings(layout.root, overrides=FITS[name])
                began = time.process_time()
                run_step("glm", Request(layout=layout, settings=settings, subjects=("01",)))
                taken = time.process_time() - began
                noise = [] if settings.glm.model == "ols" else [
                    part for ses in ("01", "02")
                    for part in load_noise(layout.derivative("glm", sub="01", ses=ses, suffix="denoise.h5"))]
                said = "; ".join(f"{part.n_components}, {part.hrf.outcome} ({part.hrf.r2_seed:.0f} %)"
                                 for part in noise)
                reliability, best, true = measure(layout)
                print(f"{world:<9} {name:<10} {reliability:11.3f} {best:9.3f} {true:11.3f} {taken:6.1f}  {said}",
                      flush=True)


if __name__ == "__main__":
    main()
