"""Vertices without a usable signal get no betas, and are counted: planted faults, one at a time."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from analysis.glm.betas import Betas, load_betas
from analysis.glm.checks.usable import REASONS, judge_vertices
from analysis.glm.combining import betas_paths
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json
from tests.analysis.running_steps import run
from tests.analysis.volunteer import N_VERTICES, make_volunteer, put_bold

FIRST, SECOND = (RunKey("01", "01", "main", number) for number in (1, 2))


def clean(n_runs: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(1000, 20, (50, 30)).astype(np.float32) for _ in range(n_runs)]


def test_what_is_whole_is_usable() -> None:
    found = judge_vertices(clean(), min_brightness=0.1)
    assert not found.unusable.any()
    assert found.counts() == {}


@pytest.mark.parametrize(("reason", "spoil"), [
    ("no signal", lambda runs: [one * 0 for one in runs]),
    ("no signal", lambda runs: [one * 0 + 7 for one in runs]),
    ("signal in some runs only", lambda runs: [runs[0], runs[1] * 0, runs[2]]),
    ("mean smaller than its spread", lambda runs: [one - one.mean() for one in runs]),
    ("mean smaller than its spread", lambda runs: [runs[0], runs[1] - runs[1].mean(), runs[2]]),
    ("mean smaller than its spread", lambda runs: [one - one.mean() + 0.01 for one in runs]),
    ("too dim", lambda runs: [one * 0.099 for one in runs]),
])
def test_one_vertex_with_one_fault_is_marked_and_the_others_are_not(reason: str, spoil: object) -> None:
    runs = clean()
    for data, column in zip(runs, spoil([one[:, 4].copy() for one in runs]), strict=True):  # type: ignore[operator]
        data[:, 4] = column
    found = judge_vertices(runs, min_brightness=0.1)
    assert found.unusable.tolist() == [k == 4 for k in range(30)]
    assert found.counts() == {reason: 1}
    assert reason in REASONS


def test_the_threshold_is_a_share_of_the_brightest() -> None:
    runs = [one * np.linspace(0.01, 1, 30, dtype=np.float32) for one in clean()]
    means = np.mean([one.mean(axis=0, dtype=float) for one in runs], axis=0)
    for share in (0.0, 0.1, 0.5):
        found = judge_vertices(runs, min_brightness=share)
        assert found.unusable.tolist() == (means < share * np.percentile(means, 99)).tolist()


# --- from files to betas -----------------------------------------------------------------------------------

@pytest.fixture(params=["ols", "glmdenoise"])
def volunteer(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Layout, Settings]:
    return make_volunteer(tmp_path / "study", changes={"glm": {"model": request.param, "run_bootstraps": 0,
                                                               "hrf_fit": "assume"}})


def fit(volunteer: tuple[Layout, Settings], hemi: str = "L") -> Betas:
    layout, settings = volunteer
    run("glm", layout, settings)
    return load_betas(betas_paths(layout, sub="01")[hemi])


def spoilt(data: np.ndarray) -> np.ndarray:
    """Spoil one vertex in each way that every run shares."""
    data[:, 0] = np.nan
    data[:, 1] = 0
    data[:, 2] -= data[:, 2].mean()
    data[:, 3] += 0.01 - data[:, 3].mean()
    data[:, 4] *= 0.05
    return data


def test_such_vertices_have_no_betas_and_are_counted(volunteer: tuple[Layout, Settings],
                                                     caplog: pytest.LogCaptureFixture) -> None:
    layout, _ = volunteer
    whole = fit(volunteer).values
    assert np.isfinite(whole).all()
    for key in (FIRST, SECOND):
        put_bold(layout, key, hemi="L", change=spoilt)
    put_bold(layout, SECOND, hemi="L", change=lambda data: spoilt(data) * (np.arange(N_VERTICES) != 5))
    with caplog.at_level(logging.WARNING):
        found = fit(volunteer).values
    assert np.isnan(found[:, :6]).all()
    assert np.isfinite(found[:, 6:]).all()
    counts = {"no signal": 2, "signal in some runs only": 1, "mean smaller than its spread": 2, "too dim": 1}
    said = read_json(sidecar_path(betas_paths(layout, sub="01")["L"]))
    assert list(said["VerticesLeftOut"].values()) == [counts]
    assert said["VerticesWithoutSignal"] == 6
    assert "vertices without betas: 2 no signal, 1 signal in some runs only, 2 mean smaller" in caplog.text
    if said["parameters"]["model"] == "ols":
        np.testing.assert_allclose(found[:, 6:], whole[:, 6:], rtol=1e-5)


def test_runs_of_two_meshes_are_refused(volunteer: tuple[Layout, Settings]) -> None:
    layout, _ = volunteer
    put_bold(layout, SECOND, hemi="R", change=lambda data: data[:, :-1])
    with pytest.raises(AnalysisError, match="sub-01 ses-01 hemi-R: runs on 39 and 40 vertices; expected one mesh"):
        fit(volunteer)
