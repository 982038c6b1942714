"""How often a null subject is called a finding: the whole chain, from logged events to p values.

    python benchmarks/null_subjects.py [--subjects 200] [--subdivisions 0] [--processes 2]

Every subject has its own order of images, is scanned on the emulated scanner, responds to every image alike, and goes
through the GLM, the vertex selection and the label permutation within sessions as a real one does. Prints the share
of p <= .05 by region and comparison, with session means removed (the default) and kept. 5 +- 2 % is asked for.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from analysis.data.sources import HEMISPHERES, resolve_subject
from analysis.glm.combining import betas_paths
from analysis.regions.patterns import load_roi_patterns
from analysis.rsa.rdm import compute_rdm, spearman
from analysis.rsa.resampling.images import label_permutations
from analysis.running import run_step
from analysis.statistics.statistic import upper_p
from analysis.steps import Request
from paradigms.playing.play_run import play_run
from stimuli.image_set.build import build
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.manifest import read_manifest
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.profile import register
from subjects.provenance import derive_seed, rng
from subjects.run_key import label
from subjects.settings.loading import load_settings

COARSE = {"roi": {"min_disk": 1, "warn_disk": 0, "refuse_disk": 0, "vertices_per_hemisphere": 90}}


def make_template(folder: Path, *, subdivisions: int) -> Layout:
    """Make a study with images and features; on the coarse mesh of fsaverage5 disks are small."""
    changes: dict[str, object] = {"simulate": {"subdivisions": subdivisions}}
    layout = init_study(Layout(folder), name="null subjects", seed=1,
                        changes=changes if subdivisions else {**changes, **COARSE})
    settings = load_settings(folder)
    build(layout, settings)
    extract(layout, settings)
    return layout


def null_subject(template: Path, *, k: int) -> list[dict[str, object]]:
    """Scan, fit and test one null subject in a copy of the study with a seed of its own."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder) / "study")
        shutil.copytree(template, layout.root)
        settings = load_settings(layout.root, overrides={"study.seed": 1000 + k})
        sub = label("sub", 1)
        register(layout, sub, virtual=True)
        for item in run_sheet(layout, settings, sub=sub).runs:
            play_run(layout, settings, key=item.key, scanner="emulated", display="virtual")
        for step in ("simulate", "glm"):
            run_step(step, Request(layout=layout, settings=settings, subjects=(sub,), null=True))
        return [row for means in ("removed", "kept") for row in p_values(layout, means=means, k=k)]


def p_values(layout: Layout, *, means: str, k: int) -> list[dict[str, object]]:
    settings = load_settings(layout.root, overrides={"study.seed": 1000 + k, "roi.session_means": means})
    found = []
    regions = load_roi_patterns(resolve_subject(layout, sub="01"), betas_paths(layout, sub="01"), settings=settings.roi,
                                manifest=read_manifest(layout.manifest), measure=settings.rsa.dissimilarity)
    for roi, patterns in regions.items():
        rdms = {kind: compute_rdm(values, labels=patterns.base_images) for kind, values in patterns.responses.items()}
        for kind in ("AN", "AI"):
            null = label_permutations(rdms["RE"], rdms[kind], n=199, rng=rng(derive_seed(k, roi, kind)),
                                      blocks=patterns.sessions)
            rho = spearman(rdms["RE"], rdms[kind])
            found.append({"subject": k, "means": means, "roi": roi, "comparison": f"RE-{kind}", "rho": rho,
                          "rejected": upper_p(rho, null) <= 0.05})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--subdivisions", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        template = make_template(Path(folder) / "study", subdivisions=given.subdivisions)
        found = Parallel(n_jobs=given.processes, verbose=1)(
            delayed(null_subject)(template.root, k=k) for k in range(given.subjects))
    table = pd.DataFrame([row for rows in found for row in rows])
    table["percent"] = 100.0 * table["rejected"]
    print(table.pivot_table(index=["means", "comparison"], columns="roi", values="percent", margins=True,
                            margins_name="all").round(1).to_string())
    print(table.groupby("means")["rho"].mean().round(3).to_string())
    by_subject = table[table["means"] == "removed"].groupby("subject")["percent"].mean()
    error = by_subject.std(ddof=1) / np.sqrt(len(by_subject))
    print(f"session means removed: {by_subject.mean():.1f} +- {error:.1f} % of {len(by_subject)} null subjects' tests "
          f"reject at 5 % ({len(HEMISPHERES)} hemispheres, 5 regions, 2 comparisons each)")


if __name__ == "__main__":
    main()
