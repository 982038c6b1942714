"""Localizers on planted areas: what is found, what is not, and what is taken out."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from analysis.glm.design import Sampling
from analysis.glm.linear.contrasts import ContrastMap
from analysis.glm.ols import Model
from analysis.regions.localizing.contrasts import (
    LOCALIZERS,
    Positive,
    correlate_predictions,
    in_one_piece,
    localizer_contrast,
    make_model,
    positive_vertices,
    separate_areas,
)
from analysis.simulation.bold import noise_model
from analysis.simulation.brain.fields import AREAS
from analysis.simulation.brain.localizers import localizer_responses, neural_blocks
from analysis.simulation.brain.meshes import anatomy
from analysis.simulation.hemodynamics import convolve_events, draw_shapes
from analysis.simulation.noise import draw_nuisances, make_noise, smooth_maps
from paradigms.tasks.lo_localizer import make_schedule as plan_lo
from paradigms.tasks.motion_localizer import make_schedule as plan_motion
from subjects.errors import AnalysisError
from subjects.run_key import RunKey
from subjects.settings.study import LoSettings, Settings, SimulateSettings
from tests.analysis.simulation.test_localizers import events_of
from tests.paradigms.texture_rows import rows

N_VOLUMES, TR_S, DISCARDED = 168, 2.0, {"lo": 7, "motion": 3}


@cache
def brain():
    return anatomy("L", mesh="occipital", atlas="analytic", subdivisions=1)


def plan(task: str, *, run: int, design: str = "blocks") -> pd.DataFrame:
    key = RunKey("01", f"0{run}", task, 1)  # one run a session
    settings = Settings(lo=LoSettings(design=design))
    return events_of(plan_lo(settings, textures=rows(), key=key) if task == "lo" else plan_motion(settings, key=key))


def scan(task: str, events: pd.DataFrame, *, seed: int, null: bool) -> np.ndarray:
    """A run's time series as the virtual subject's: its default noise, responses that vary in lag and width."""
    place, kernel, rng = brain().place, brain().noise_kernel, np.random.default_rng(seed)
    n = len(place.areas)
    responses = localizer_responses(place, mean_pct=np.full(n, 0.0 if null else 2.0, dtype=np.float32))
    shapes = draw_shapes(*smooth_maps(2, kernel=brain().tuning_kernel, rng=np.random.default_rng(99)), lag_sd_s=0.5,
                         width_sd=0.1)
    conditions, onsets, durations = neural_blocks(events)
    names = list(dict.fromkeys(conditions))
    evoked = convolve_events(np.stack([responses[name] for name in names]), reference_s=16.0, shapes=shapes,
                             which=np.array([names.index(one) for one in conditions]), onsets_s=onsets,
                             durations_s=durations, volumes_s=TR_S * np.arange(N_VOLUMES))
    model = noise_model(SimulateSettings())
    noise = make_noise(draw_nuisances(N_VOLUMES, model=model, tr_s=TR_S, rng=rng), model=model, tr_s=TR_S,
                       kernel=kernel, rng=rng)
    return (800 * (1 + (evoked + noise) / 100)).astype(np.float32)[DISCARDED[task]:]


def contrast_of(task: str, *, seed: int = 0, null: bool = False, design: str = "blocks") -> ContrastMap:
    events = [plan(task, run=run, design=design) for run in (1, 2)]
    runs = [scan(task, one, seed=100 * seed + k, null=null) for k, one in enumerate(events)]
    sampling = Sampling(n_volumes=N_VOLUMES, tr_s=TR_S, n_discarded=DISCARDED[task])
    return localizer_contrast(runs, model=model_of(events, sampling=sampling, task=task))


def model_of(events: list[pd.DataFrame], *, sampling: Sampling, task: str) -> Model:
    model = make_model(events, samplings=[sampling] * len(events), localizer=LOCALIZERS[task])
    correlate_predictions(model, localizer=LOCALIZERS[task], where=task)
    return model


def dice(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * float((one & two).sum()) / float(one.sum() + two.sum())


def test_planted_areas_come_back_without_what_they_share(caplog):
    place = brain().place
    objects = positive_vertices(contrast_of("lo")).mask
    motion = positive_vertices(contrast_of("motion", seed=1)).mask
    early = (place.areas > 0) & (place.areas <= AREAS.index("V4") + 1)
    planted = place.areas == AREAS.index("LO") + 1
    outline = brain().surface.distance_to(np.flatnonzero(planted | place.motion)) <= 10.0  # as one draws it by hand
    found = separate_areas(objects, motion, within=outline & ~early)
    assert (planted & place.motion).sum() > 50
    assert dice(found.lo, planted & ~place.motion) >= 0.8
    assert dice(found.motion, place.motion) >= 0.8
    np.testing.assert_array_equal(found.shared, objects & motion & outline & ~early)
    assert not (found.lo & motion).any()
    assert not caplog.records


def test_two_conditions_in_turn_within_a_block_have_no_power_and_that_is_said(caplog):
    """Pictures of .8 s in turn: the two predictions are one another a moment later, and nothing tells them apart."""
    found = contrast_of("lo", design="within")
    assert "their contrast has hardly any power" in caplog.text
    planted = brain().place.areas == AREAS.index("LO") + 1
    assert np.median(found.error[planted]) > 5 * np.median(contrast_of("lo").error[planted])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["lo", "motion"])
def test_null_subjects_masks_hold_the_positive_half_of_five_percent(task):
    """In the mean of 40: what the whole head shares makes one subject's share vary by 1.5 points."""
    shares = [100 * positive_vertices(contrast_of(task, seed=seed, null=True)).mask.mean() for seed in range(10, 50)]
    assert np.mean(shares) == pytest.approx(2.5, abs=1.0)


@pytest.mark.parametrize("task", ["lo", "motion"])
def test_independent_noise_gives_the_positive_half_of_five_percent(task):
    """AR(1) noise of .4, none of it shared by vertices."""
    events, rng, n = [plan(task, run=run) for run in (1, 2)], np.random.default_rng(7), 8000
    runs = []
    for _ in events:
        noise = rng.normal(size=(N_VOLUMES, n))
        for k in range(1, N_VOLUMES):
            noise[k] = 0.4 * noise[k - 1] + np.sqrt(1 - 0.4**2) * noise[k]
        runs.append((800 + 8 * noise).astype(np.float32)[DISCARDED[task]:])
    sampling = Sampling(n_volumes=N_VOLUMES, tr_s=TR_S, n_discarded=DISCARDED[task])
    found = localizer_contrast(runs, model=model_of(events, sampling=sampling, task=task))
    assert 100 * positive_vertices(found).mask.mean() == pytest.approx(2.5, abs=0.6)


def made_up(t: np.ndarray) -> ContrastMap:
    return ContrastMap(effect=t, error=np.ones_like(t), n_df=100)


def test_only_the_positive_side_counts_and_no_vertex_without_signal():
    found = positive_vertices(made_up(np.array([-9.0, 1.9, 2.1, np.nan, 9.0])))
    assert found.mask.tolist() == [False, False, True, False, True]
    assert (found.p_threshold, found.n_tested) == (0.05, 4)


def test_the_false_discovery_rate_is_scipys_over_the_tested_vertices():
    t = np.concatenate([np.random.default_rng(0).normal(size=300), np.linspace(2, 5, 60), [np.nan] * 5])
    wanted = (false_discovery_control(made_up(t).p[:360]) < 0.05) & (t[:360] > 0)
    found = positive_vertices(made_up(t), correction="fdr")
    np.testing.assert_array_equal(found.mask, [*wanted, *[False] * 5])
    assert 0 < wanted.sum() < positive_vertices(made_up(t)).mask.sum()
    assert found.p_threshold < 0.05
    assert positive_vertices(made_up(np.zeros(9)), correction="fdr").p_threshold == 0


@pytest.mark.parametrize("least_mm2", [0.0, 3.0, 5.0, 8.0, 100.0])
def test_pieces_that_are_too_small_are_left_out_and_counted(least_mm2):
    """A loop that spreads from vertex to vertex, on a grid of which a third passes."""
    rng, side = np.random.default_rng(2), 20
    passed = rng.random(side**2) < 0.35
    extents = rng.uniform(0.5, 1.5, size=side**2)
    places = np.arange(side**2).reshape(side, side)
    edges = np.concatenate([np.stack([places[:, :-1].ravel(), places[:, 1:].ravel()], axis=1),
                            np.stack([places[:-1].ravel(), places[1:].ravel()], axis=1)])
    near = {k: [] for k in range(side**2)}
    for a, b in edges.tolist():
        near[a].append(b)
        near[b].append(a)
    wanted, seen = np.zeros(side**2, dtype=bool), set()
    for first in np.flatnonzero(passed).tolist():
        piece, ahead = set(), [first] if first not in seen else []
        while ahead:
            one = ahead.pop()
            if one not in piece:
                piece.add(one)
                ahead += [other for other in near[one] if passed[other]]
        seen |= piece
        if piece and extents[list(piece)].sum() >= least_mm2:
            wanted[list(piece)] = True
    found = in_one_piece(Positive(passed, 0.05, side**2), edges=edges, extents=extents, least_mm2=least_mm2)
    np.testing.assert_array_equal(found.mask, wanted)
    assert found.n_scattered == (passed & ~wanted).sum()
    assert (found.p_threshold, found.n_tested) == (0.05, side**2)


def test_a_run_of_another_task_is_refused():
    sampling = Sampling(n_volumes=N_VOLUMES, tr_s=TR_S)
    with pytest.raises(AnalysisError, match="run 1: trial types static, moving; expected intact and scrambled"):
        make_model([plan("motion", run=1)], samplings=[sampling], localizer=LOCALIZERS["lo"])


def test_regressors_of_no_interest_take_what_follows_them():
    """A noise that follows one of them to the letter leaves the contrast as it is."""
    events, sampling = plan("lo", run=1), Sampling(n_volumes=N_VOLUMES, tr_s=TR_S, n_discarded=7)
    rng = np.random.default_rng(3)
    moved = rng.normal(size=(N_VOLUMES - 7, 2))
    model = make_model([events], samplings=[sampling], localizer=LOCALIZERS["lo"], nuisances=[moved])
    data = (800 + 8 * rng.normal(size=(N_VOLUMES - 7, 30))).astype(np.float32)
    shaken = (data + 50 * moved[:, :1]).astype(np.float32)
    one, two = (localizer_contrast([runs], model=model) for runs in (data, shaken))
    np.testing.assert_allclose(two.t, one.t, rtol=1e-2, atol=1e-3)


def test_a_beta_is_what_a_block_evokes_at_its_height():
    events, sampling = plan("lo", run=1), Sampling(n_volumes=N_VOLUMES, tr_s=TR_S)
    model = make_model([events], samplings=[sampling], localizer=LOCALIZERS["lo"])
    course = convolve_events(np.array([[3.0], [1.0]]), reference_s=16.0, shapes=draw_shapes(
        np.zeros(1), np.zeros(1), lag_sd_s=0.0, width_sd=0.0), volumes_s=TR_S * np.arange(N_VOLUMES),
        which=np.array([["intact", "scrambled"].index(one) for one in neural_blocks(events)[0]]),
        onsets_s=neural_blocks(events)[1], durations_s=neural_blocks(events)[2])
    noise = np.random.default_rng(0).normal(size=course.shape) * 1e-3
    found = localizer_contrast([(800 * (1 + course / 100) + noise).astype(np.float32)], model=model)
    assert 100 * found.effect[0] / 800 == pytest.approx(2.0, rel=0.15)  # Glover's response, SPM's model


def test_masks_of_two_meshes_are_refused():
    with pytest.raises(AnalysisError, match=r"3 vertices of LO and 4 of hMT\+"):
        separate_areas(np.zeros(3, dtype=bool), np.zeros(4, dtype=bool))
