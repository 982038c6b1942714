"""Conditions, predicted time courses and drifts against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.glm.design import (
    Sampling,
    design_matrix,
    drift_degree,
    list_conditions,
    missing_conditions,
    name_events,
    order_conditions,
    planned_durations,
    polynomials,
)
from analysis.glm.hrf import ResponseModel, event_response
from subjects.errors import AnalysisError

NAMES = ("dogs-01", "birds-01")


def make_events(seed: int, *, names: tuple[str, ...] = NAMES, n_blanks: int = 3) -> pd.DataFrame:
    """One run: every image twice, blanks between, 4 s a trial, onsets not on the volumes."""
    rng = np.random.default_rng(seed)
    rows = [(kind, f"px-{kind}-{name}", name) for kind in ("RE", "AN", "AI") for name in names] * 2
    rows += [("blank", np.nan, np.nan)] * n_blanks
    table = pd.DataFrame([rows[k] for k in rng.permutation(len(rows))],
                         columns=["trial_type", "image_id", "base_image"])
    blank = table["trial_type"] == "blank"
    start = 20.0 + 4.0 * np.arange(len(table)) + rng.uniform(0, 0.02, len(table))
    table.insert(0, "onset", start + np.where(blank, 0.0, 2.0))
    table.insert(1, "duration", np.where(blank, 4.0, 2.0))
    shown = table.groupby(["trial_type", "image_id"]).cumcount() + 1
    table["presentation"] = shown.where(~blank).astype(float)
    return table


@pytest.fixture
def events() -> pd.DataFrame:
    return make_events(0)


@pytest.fixture
def conditions(events) -> pd.DataFrame:
    return list_conditions({1: events, 2: make_events(1)}, session="01", base_images=NAMES)


def test_conditions_are_images_by_presentations_and_one_blank(conditions):
    assert len(conditions) == 3 * 2 * 2 + 1
    assert conditions["type"].tolist() == ["RE"] * 4 + ["AN"] * 4 + ["AI"] * 4 + ["blank"]
    assert conditions["base_image"].tolist() == ["dogs-01", "dogs-01", "birds-01", "birds-01"] * 3 + [""]
    assert conditions["presentation"].tolist() == [1, 2] * 6 + [0]
    assert conditions["image_id"].iloc[0] == "px-RE-dogs-01"
    assert set(conditions["session"]) == {"01"}


def test_the_protocols_session_has_121_conditions():
    names = tuple(f"dogs-{k:02d}" for k in range(20))
    runs = {run: make_events(run, names=names, n_blanks=9) for run in range(1, 6)}
    assert len(list_conditions(runs, session="02")) == 121
    assert len(runs[1]) == 129


def test_the_order_is_the_studys_or_alphabetical(events):
    alphabetical = list_conditions({1: events}, session="01")
    assert alphabetical["base_image"].iloc[0] == "birds-01"
    shuffled = alphabetical.sample(frac=1, random_state=2).reset_index(drop=True)
    rows = order_conditions(shuffled)
    pd.testing.assert_frame_equal(shuffled.iloc[rows].reset_index(drop=True), alphabetical)


def test_a_design_equals_a_plain_loop(events, conditions):
    sampling = Sampling(n_volumes=60, tr_s=2.0, n_discarded=9, start_s=0.5)
    expected = np.zeros((51, len(conditions)))
    for row, volume in enumerate(range(9, 60)):
        for _, event in events.iterrows():
            for column, condition in conditions.iterrows():
                same = event["trial_type"] == condition["type"] and (
                    condition["type"] == "blank" or (event["image_id"] == condition["image_id"]
                                                     and event["presentation"] == condition["presentation"]))
                if same:
                    lag = 0.5 + 2.0 * volume - event["onset"]
                    if 0 <= lag <= event["duration"] + 32:
                        expected[row, column] += event_response(lag, duration_s=event["duration"],
                                                                planned_s=event["duration"])
    np.testing.assert_allclose(design_matrix(events, conditions=conditions, sampling=sampling), expected, atol=1e-12)


@pytest.mark.parametrize(("basis", "n"), [("derivative", 2), ("dispersion", 3)])
def test_derivatives_are_orthogonal_to_what_stands_before_them(events, conditions, basis, n):
    sampling = Sampling(n_volumes=60, tr_s=2.0)
    found = design_matrix(events, conditions=conditions, sampling=sampling, response=ResponseModel(basis=basis))
    by_condition = found.reshape(60, len(conditions), n)
    np.testing.assert_allclose(by_condition[..., 0], design_matrix(events, conditions=conditions, sampling=sampling))
    for k in range(len(conditions)):
        columns = by_condition[:, k] / np.linalg.norm(by_condition[:, k], axis=0)
        np.testing.assert_allclose(columns.T @ columns, np.eye(n), atol=1e-9)


def test_the_order_of_events_does_not_matter(events, conditions):
    sampling = Sampling(n_volumes=60, tr_s=2.0)
    shuffled = events.sample(frac=1, random_state=3)
    np.testing.assert_allclose(design_matrix(events, conditions=conditions, sampling=sampling),
                               design_matrix(shuffled, conditions=conditions, sampling=sampling), atol=1e-12)


def left_up(events: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The last image of the run stays up for 4 s instead of 2 s."""
    row = int(events.index[events["trial_type"] != "blank"][-1])
    longer = events.copy()
    longer.loc[row, "duration"] = 4.0
    return longer, row


@pytest.mark.parametrize("plan", ["known", "from elsewhere"])
def test_an_image_left_up_for_4_s_has_the_response_of_two(events, conditions, plan):
    """With the plan of the schedule, and with an events table that knows no plan."""
    longer, row = left_up(events)
    again = pd.concat([events, events.loc[[row]].assign(onset=events.loc[row, "onset"] + 2.0)])
    if plan == "known":
        longer["duration_planned"] = events["duration"]
    sampling = Sampling(n_volumes=60, tr_s=2.0)
    found, twice = (design_matrix(table, conditions=conditions, sampling=sampling) for table in (longer, again))
    np.testing.assert_allclose(found, twice, atol=2e-3)
    assert found.max() > 1.7


def test_a_plan_is_known_or_the_median_of_its_type(events):
    longer, row = left_up(events)
    expected = np.where(events["trial_type"] == "blank", 4.0, 2.0)
    np.testing.assert_array_equal(planned_durations(longer), expected)
    longer["duration_planned"] = np.nan
    longer.loc[row, "duration_planned"] = 3.0
    expected[longer.index.get_loc(row)] = 3.0
    np.testing.assert_array_equal(planned_durations(longer), expected)


def test_late_onsets_move_the_response(events, conditions):
    sampling = Sampling(n_volumes=60, tr_s=2.0)
    late = events.assign(onset=events["onset"] + 2.0)
    now, then = (design_matrix(table, conditions=conditions, sampling=sampling) for table in (events, late))
    np.testing.assert_allclose(then[1:], now[:-1], atol=2e-3)  # 2e-3: what is left when a response is cut off


@pytest.mark.parametrize(("n_volumes", "degree"), [(278, 4), (150, 2), (40, 1), (20, 0)])
def test_drift_degree_is_half_the_minutes_kept(n_volumes, degree):
    assert drift_degree(Sampling(n_volumes=n_volumes, tr_s=2.0, n_discarded=9)) == degree


@pytest.mark.parametrize("degree", [0, 1, 4])
def test_polynomials_are_orthonormal_and_span_the_powers(degree):
    basis = polynomials(80, degree=degree)
    np.testing.assert_allclose(basis.T @ basis, np.eye(degree + 1), atol=1e-12)
    powers = np.arange(80.0)[:, None] ** np.arange(degree + 1)
    np.testing.assert_allclose(basis @ (basis.T @ powers), powers, rtol=1e-8, atol=1e-6)
    assert (basis[-1] > 0).all()


def test_a_condition_missing_from_one_run_is_named(events):
    lacking = events[~((events["image_id"] == "px-AN-dogs-01") & (events["presentation"] == 2))]
    runs = {1: events, 2: lacking}
    conditions = list_conditions(runs, session="01")
    assert conditions.equals(list_conditions({1: events, 2: events}, session="01"))
    assert missing_conditions(runs, conditions=conditions) == {2: ("AN dogs-01 presentation 2",)}
    assert missing_conditions({1: events, 2: events}, conditions=conditions) == {}


def test_two_images_in_one_place_are_named(events):
    other = events.replace({"image_id": {"px-RE-dogs-01": "px-other"}})
    both = pd.concat([events, other.assign(onset=other["onset"] + 60)])
    with pytest.raises(AnalysisError, match="two images as RE dogs-01 presentation 1"):
        list_conditions({1: both}, session="01")
    other.attrs["where"] = "sub-01_ses-01_task-main_run-2 events"
    with pytest.raises(AnalysisError, match="'px-RE-dogs-01' in run 1 and 'px-other' in sub-01_.*_run-2 events"):
        list_conditions({1: events, 2: other}, session="01")


@pytest.mark.parametrize("column", ["image_id", "presentation"])
def test_a_nameless_image_is_refused(events, column):
    row = int(np.flatnonzero(events["trial_type"] != "blank")[1])
    events.loc[row, column] = np.nan
    with pytest.raises(AnalysisError, match=f"event {row + 1} without an image_id or a presentation"):
        name_events(events)


def test_an_unknown_base_image_is_refused(events):
    with pytest.raises(AnalysisError, match="base image 'birds-01'; expected the base images of the settings"):
        list_conditions({1: events}, session="01", base_images=("dogs-01",))


def test_an_event_of_no_condition_is_refused(events, conditions):
    with pytest.raises(AnalysisError, match=r"event \d+ of no listed condition"):
        design_matrix(events, conditions=conditions.iloc[1:], sampling=Sampling(n_volumes=60, tr_s=2.0))


@pytest.mark.parametrize(("column", "value"), [("onset", -0.5), ("onset", 121.0), ("onset", np.nan), ("duration", 0.0)])
def test_an_event_outside_the_run_is_refused(events, conditions, column, value):
    events.loc[2, column] = value
    with pytest.raises(AnalysisError, match="event 3 at .* expected events that last, from 0 to 120 s"):
        design_matrix(events, conditions=conditions, sampling=Sampling(n_volumes=60, tr_s=2.0))


@pytest.mark.parametrize("changes", [{"n_discarded": 60}, {"n_discarded": -1}, {"tr_s": 0.0}])
def test_a_run_without_volumes_is_refused(changes):
    with pytest.raises(AnalysisError, match="60 volumes of .* expected some left"):
        Sampling(**{"n_volumes": 60, "tr_s": 2.0, **changes})


def test_more_polynomials_than_volumes_are_refused():
    with pytest.raises(AnalysisError, match="polynomials of degree 4 for 5 volumes"):
        polynomials(5, degree=4)
