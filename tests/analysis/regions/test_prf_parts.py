"""A retinotopy run that was scanned in two parts: two scans, each with apertures of its own, one run for the folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.data.timeseries import Run as Scan
from analysis.glm.design import Sampling, drift_degree
from analysis.regions.prf.fit import fit_prf, predict_prf
from analysis.regions.prf.movies import Movie
from analysis.regions.prf.run import aperture_path, choose_folds, fit_options, make_experiment
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.analysis import PrfSettings
from tests.analysis.regions.prf_cases import TR_S, random_fields, sweeping_bar

FIRST = RunKey("01", "01", "retinotopy", 1)
SECOND = replace(FIRST, part=2)
X, Y = np.linspace(-4.75, 4.75, 20), np.linspace(3.75, -3.75, 16)
SETTINGS = PrfSettings(grid_deg=0.1, frame_tolerance=0.0, discard_s=4.0)


def test_each_part_has_its_own_apertures() -> None:
    names = [aperture_path(Layout(Path("study")), key).name for key in (FIRST, SECOND)]
    assert names == ["sub-01_ses-01_task-retinotopy_run-01_apertures.npz",
                     "sub-01_ses-01_task-retinotopy_acq-part2_run-01_apertures.npz"]


def in_parts() -> tuple[dict[RunKey, Movie], dict[RunKey, Scan]]:
    """Cut a movie in two: the second part begins anew, with its own first pulse."""
    masks = sweeping_bar().astype(np.float32)
    cut = 50
    movies = {FIRST: Movie(masks[:cut + 6], X, Y, TR_S, "first"), SECOND: Movie(masks[cut:], X, Y, TR_S, "second")}
    lengths = {FIRST: cut, SECOND: len(masks) - cut}
    scans = {key: Scan(key=key, hemi="L", data=np.zeros((n, 3), dtype=np.float32), tr_s=TR_S)
             for key, n in lengths.items()}
    return movies, scans


def test_parts_are_scans_with_drifts_of_their_own() -> None:
    movies, scans = in_parts()
    experiment = make_experiment(movies, scans, settings=SETTINGS, n_discarded=2, drift_minutes=0.5)
    assert [run.n_kept for run in experiment.runs] == [48, len(scans[SECOND].data) - 2]
    assert [run.degree for run in experiment.runs] == [
        drift_degree(Sampling(n_volumes=len(scan.data), tr_s=TR_S, n_discarded=2), drift_minutes=0.5)
        for scan in scans.values()]
    truth = random_fields(12, rng=np.random.default_rng(3))
    clean = predict_prf(truth, experiment=experiment)
    data = [(100 + 10 * k + one + np.linspace(0, 3, len(one))[:, None]).astype(np.float32)
            for k, one in enumerate(clean)]
    found = fit_prf(data, experiment=experiment, options=fit_options(SETTINGS))
    assert np.hypot(found.x_deg - truth.x_deg, found.y_deg - truth.y_deg).max() < 0.05
    assert choose_folds(tuple(scans), by="none") == ()
    with pytest.raises(AnalysisError, match="runs, of which there is one"):
        choose_folds(tuple(scans), by="runs")


def test_what_was_shown_in_the_discarded_time_still_counts() -> None:
    """A bar that stood within the discarded volumes is still felt after them."""
    masks = np.zeros((40, 16, 20), dtype=np.float32)
    masks[1, :, 8:12] = 1
    masks[20, 6:10] = 1
    movies = {FIRST: Movie(masks, X, Y, TR_S, "here")}
    scans = {FIRST: Scan(key=FIRST, hemi="L", data=np.zeros((40, 1), dtype=np.float32), tr_s=TR_S)}
    settings = SETTINGS.model_copy(update={"model": "gaussian"})
    experiment = make_experiment(movies, scans, settings=settings, n_discarded=2, drift_minutes=10.0)
    truth = replace(random_fields(1, rng=np.random.default_rng(0)), x_deg=np.zeros(1), y_deg=np.array([3.0]),
                    sigma_deg=np.array([0.7]), exponent=np.ones(1))
    (series,) = predict_prf(truth, experiment=experiment)
    assert np.argmax(series[:, 0]) < 4


@pytest.mark.parametrize(("change", "expected"), [
    ({}, (None, (0.0, 0.0), (1.0, 1.0))), ({"model": "gaussian"}, (1.0, (0.0, 0.0), (1.0, 1.0))),
    ({"hrf": "fitted", "lag_s": (-1.0, 2.0)}, (None, (-1.0, 2.0), (0.7, 1.4)))])
def test_settings_become_options(change: dict[str, object], expected: tuple[object, ...]) -> None:
    found = fit_options(PrfSettings(**change))
    assert (found.exponent, found.lag_s, found.width) == expected


def test_the_default_lag_range_holds_two_volumes() -> None:
    assert PrfSettings().lag_s[1] >= 2 * TR_S


@pytest.mark.parametrize("change", [{"lag_s": (1.0, 1.0)}, {"lag_s": (2.0, 1.0)}, {"width": (0.0, 1.0)}])
def test_ranges_ascend(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ascending ranges"):
        PrfSettings(**change)
