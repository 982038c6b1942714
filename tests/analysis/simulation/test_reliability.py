"""The noise is scaled to the reliability asked for; dead vertices, gains and offsets are as set."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from analysis.data.sources import labels_path, resolve_subject
from analysis.data.timeseries import read_run
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from analysis.regions.labels import read_labels
from analysis.simulation.noise import NoiseModel
from analysis.simulation.reliability import Fitted, scale_noise
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json
from tests.analysis.running_steps import run
from tests.analysis.simulation.exact import EXACT
from tests.analysis.simulation.test_bold import make_study


def with_simulate(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={"simulate": settings.simulate.model_copy(update=changes)})


def split_half(layout: Layout) -> float:
    """Median over the vertices of the regions, session means taken off, both hemispheres."""
    found = []
    for hemi in "LR":
        betas = load_betas(betas_paths(layout, sub="01")[hemi])
        halves = []
        for k in (1, 2):
            rows = ((betas.conditions["type"] == "RE") & (betas.conditions["presentation"] == k)).to_numpy()
            values, sessions = betas.values[rows].astype(float), betas.conditions["session"].to_numpy()[rows]
            for session in np.unique(sessions):
                values[sessions == session] -= values[sessions == session].mean(axis=0)
            halves.append(values[np.argsort(betas.conditions["base_image"].to_numpy()[rows])])
        inside = read_labels(labels_path(layout, source="simulated", sub="01", hemi=hemi)) > 0
        covariance = (halves[0] * halves[1]).sum(axis=0)[inside].mean()
        found.append(covariance / np.mean([(half**2).sum(axis=0)[inside].mean() for half in halves]))
    return float(np.mean(found))


@pytest.mark.parametrize("asked", [0.15, 0.4])
def test_a_vertex_is_as_reliable_as_asked(tmp_path: Path, asked: float) -> None:
    layout, settings = make_study(tmp_path / "study")
    settings = with_simulate(settings, reliability=asked, session_gain_sd=0.0)
    run("simulate", layout, settings)
    run("glm", layout, settings)
    assert split_half(layout) == pytest.approx(asked, abs=0.06)
    said = read_json(sidecar_path(layout.derivative("simulated", sub="01", suffix="truth.h5")))["Noise"]
    assert said["local_sd_pct"] != settings.simulate.noise_sd_pct
    assert said["smooth_sd_pct"] / said["local_sd_pct"] == pytest.approx(
        settings.simulate.smooth_sd_pct / settings.simulate.noise_sd_pct)


def test_nothing_can_be_scaled_without_noise(tmp_path: Path) -> None:
    layout, settings = make_study(tmp_path / "study")
    with pytest.raises(AnalysisError, match=r"simulate\.reliability: reliability 0\.2 of noise of variance 0"):
        run("simulate", layout, with_simulate(settings, **{**EXACT, "reliability": 0.2}))
    model = NoiseModel(local_sd_pct=1, smooth_sd_pct=1, global_sd_pct=0, ar1=0, drift_sd_pct=0, spikes=0, spike_pct=0)
    with pytest.raises(ValueError, match=r"noise of variance 0: without noise it is 0\.90"):
        scale_noise(model, reliability=0.2, fitted=Fitted(1.0, 0.9, 0.0))
    with pytest.raises(ValueError, match=r"reliability 0\.95"):
        scale_noise(model, reliability=0.95, fitted=Fitted(1.0, 0.9, 1.0))


def test_dead_vertices_are_silent_patches_and_pass_the_glm(tmp_path: Path) -> None:
    layout, settings = make_study(tmp_path / "study")
    run("simulate", layout, with_simulate(settings, dead_vertices=0.1))
    data = resolve_subject(layout, sub="01")
    series = read_run(data, RunKey("01", "01", "main", 1), hemi="L", tr_s=2.0).data
    dead = ~series.any(axis=0)
    assert dead.mean() == pytest.approx(0.1, abs=0.005)
    with h5py.File(layout.derivative("simulated", sub="01", suffix="truth.h5")) as file:
        assert ((file["hemi-L/mean_signal"][:] == 0) == dead).all()
    a, b = data.load_surface("L").edges.T
    assert dead[b][dead[a]].mean() > 0.3, "patches, not specks: 0.1 would be chance"
    run("glm", layout, with_simulate(settings, dead_vertices=0.1))
    betas = load_betas(betas_paths(layout, sub="01")["L"]).values
    assert np.isfinite(betas[:, ~dead]).all()


def test_sessions_differ_in_gain_and_offset(tmp_path: Path) -> None:
    layout, settings = make_study(tmp_path / "study")
    quiet = {**EXACT, "session_gain_sd": 0.3, "session_offset_sd": 0.2}
    run("simulate", layout, with_simulate(settings, **quiet))
    data = resolve_subject(layout, sub="01")
    keys = [RunKey("01", "01", "main", 1), RunKey("01", "01", "main", 2), RunKey("01", "02", "main", 1)]
    first, second, other = (read_run(data, key, hemi="L", tr_s=2.0).data for key in keys)
    assert first[0] == pytest.approx(second[0])
    ratio = other[0] / first[0]
    assert np.ptp(ratio) < 1e-5
    assert abs(ratio[0] - 1) > 0.01
    size = [100 * (one.max(axis=0) / one[0] - 1).mean() for one in (first, second, other)]
    assert abs(size[0] / size[1] - 1) < 0.1
