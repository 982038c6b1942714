"""Portions of a session, groups of conditions, and how estimates are joined: against loops over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from analysis.glm.betas import COLUMNS, Betas
from analysis.glm.combining import check_betas, combine_sessions, write_betas
from analysis.glm.denoising.given import merge_presentations
from analysis.glm.portions import say_missing, split_session
from subjects.errors import AnalysisError
from subjects.run_key import RunKey


@dataclass(frozen=True)
class Found:
    """Estimates as :func:`combine_sessions` takes them."""

    percent: np.ndarray
    mean_signal: np.ndarray
    ss_total: np.ndarray
    ss_residual: np.ndarray
    n_volumes: int


def events_of(run: int, *, names: tuple[str, ...] = ("a-01", "b-01")) -> pd.DataFrame:
    rows = [("RE", f"px-{name}", name, 1.0) for name in names] + [("blank", None, None, None)]
    table = pd.DataFrame(rows, columns=["trial_type", "image_id", "base_image", "presentation"])
    table["presentation"] = table["presentation"].astype("Float64")
    table = table.assign(onset=np.arange(len(rows)) * 4.0, duration=2.0)
    table.attrs["run"] = run
    return table


def key(run: int, part: int = 1) -> RunKey:
    return RunKey("01", "02", "main", run, part=part)


def found_of(n: int, *, seed: int, n_vertices: int = 4, n_volumes: int = 10) -> Found:
    rng = np.random.default_rng(seed)
    total = 1 + rng.random(n_vertices)
    return Found(rng.standard_normal((n, n_vertices)).astype(np.float32), 100 * rng.random(n_vertices), total,
                 total * rng.random(n_vertices), n_volumes)


def table_of(session: str, number: int) -> pd.DataFrame:
    rows = [(session, kind, f"px-{kind}-{name}", name, number) for name in ("b-01", "a-01") for kind in ("AI", "RE")]
    return pd.DataFrame([(session, "blank", "", "", 0), *rows], columns=list(COLUMNS))


def test_a_whole_session_is_one_portion_in_the_order_of_runs_and_parts() -> None:
    events = {one: events_of(one.run) for one in (key(3), key(1, 2), key(2), key(1))}
    portion, = split_session(events, session="02", partition="presentation")
    assert list(portion.events) == [key(1), key(1, 2), key(2), key(3)]
    assert portion.in_parts == (1,)
    assert portion.where == "ses-02"
    assert portion.missing == {}
    for one, table in portion.events.items():
        pd.testing.assert_frame_equal(table, events[one])


def test_halves_take_places_and_not_numbers_of_runs() -> None:
    """Runs 2, 4, 7 are the first, second and third, whatever they are called."""
    events = {key(run): events_of(run) for run in (7, 2, 4)}
    odd, even = split_session(events, session="02", partition="runs")
    assert (list(odd.runs), list(even.runs)) == ([2, 7], [4])
    assert (odd.name, even.name, even.where) == ("odd runs", "even runs", "ses-02, even runs")


def test_halving_changes_the_number_of_showings_and_nothing_else_and_leaves_its_argument() -> None:
    events = {key(run): events_of(run) for run in (1, 2)}
    before = {one: table.copy() for one, table in events.items()}
    for half, portion in enumerate(split_session(events, session="02", partition="runs"), start=1):
        (one, table), = portion.events.items()
        assert table["presentation"].to_numpy()[:2].tolist() == [half, half]
        assert pd.isna(table["presentation"].to_numpy()[2])
        assert table.attrs == {"run": one.run}
        pd.testing.assert_frame_equal(table.drop(columns="presentation"), before[one].drop(columns="presentation"))
        pd.testing.assert_frame_equal(events[one], before[one])


def test_one_run_cannot_be_halved_and_the_way_out_is_said() -> None:
    with pytest.raises(AnalysisError, match=r'ses-02: 1 run; expected at least two.*glm\.partition = "presentation"'):
        split_session({key(1): events_of(1), key(1, 2): events_of(1)}, session="02", partition="runs")


def test_what_a_run_lacks_is_counted_and_the_first_is_named() -> None:
    events = {key(1): events_of(1), key(2): events_of(2, names=("a-01",)), key(3): events_of(3).iloc[:0]}
    portion, = split_session(events, session="02", partition="presentation")
    assert portion.missing[2] == ("RE b-01 presentation 1",)
    assert say_missing(portion.missing) == ("run 2 lacks 1 condition (RE b-01 presentation 1); "
                                            "run 3 lacks 3 conditions (RE a-01 presentation 1, ...)")
    assert say_missing({}) == ""


def test_an_order_of_images_is_kept_and_an_unknown_image_is_refused() -> None:
    events = {key(1): events_of(1)}
    portion, = split_session(events, session="02", partition="presentation", base_images=("b-01", "a-01"))
    assert portion.conditions["base_image"].tolist() == ["b-01", "a-01", ""]
    with pytest.raises(AnalysisError, match="base image 'b-01'; expected the base images of the settings"):
        split_session(events, session="02", partition="presentation", base_images=("a-01",))


def test_presentations_stay_apart_where_merging_would_let_none_repeat() -> None:
    table = pd.DataFrame({"type": ["RE"] * 4, "image_id": ["a", "a", "b", "b"], "presentation": [1, 2, 1, 2]})
    same_run = np.array([[True, True, False, False], [False, False, True, True]])
    assert merge_presentations(table, occurs=same_run) is None
    one_repeats = np.array([[True, True, True, False], [False, False, False, True]])
    assert merge_presentations(table, occurs=one_repeats).tolist() == [0, 0, 1, 1]
    assert merge_presentations(table, occurs=np.zeros((2, 4), dtype=bool)) is None


def test_types_of_one_image_are_never_merged() -> None:
    table = pd.DataFrame({"type": ["RE", "AN", "RE", "AN"], "image_id": ["a", "a", "a", "a"],
                          "presentation": [1, 1, 2, 2]})
    occurs = np.array([[True, True, False, False], [False, False, True, True]])
    assert merge_presentations(table, occurs=occurs).tolist() == [0, 1, 0, 1]


def test_blanks_that_two_halves_share_are_their_mean_and_all_else_is_as_it_was() -> None:
    tables = [table_of("01", k) for k in (1, 2)]
    fits = [found_of(5, seed=k) for k in (1, 2)]
    betas = combine_sessions(fits, tables, hemi="L", base_images=("a-01", "b-01"))
    assert len(betas.conditions) == 9
    assert betas.values.dtype == np.float32
    for row, value in zip(betas.conditions.itertuples(), betas.values, strict=True):
        mine = [fit.percent[k] for fit, table in zip(fits, tables, strict=True)
                for k, other in enumerate(table.itertuples())
                if (other.type, other.base_image, other.presentation) == (row.type, row.base_image, row.presentation)]
        assert len(mine) == (2 if row.type == "blank" else 1)
        np.testing.assert_allclose(value, np.mean(mine, axis=0), rtol=1e-6)


def test_joined_rows_go_by_type_then_image_then_showing_with_blanks_last() -> None:
    betas = combine_sessions([found_of(5, seed=k) for k in (1, 2)], [table_of("01", k) for k in (1, 2)], hemi="R",
                             base_images=("b-01", "a-01"))
    rows = [tuple(row) for row in betas.conditions[["type", "base_image", "presentation"]].to_numpy()]
    assert rows == [(kind, name, k) for kind in ("RE", "AI") for name in ("b-01", "a-01") for k in (1, 2)] + [
        ("blank", "", 0)]


def test_the_order_of_sessions_changes_no_beta() -> None:
    fits = [found_of(5, seed=k, n_volumes=10 * k) for k in (1, 2, 3)]
    tables = [table_of(f"0{k}", 1) for k in (1, 2, 3)]
    one, other = (combine_sessions(fits[::step], tables[::step], hemi="L", base_images=("a-01", "b-01"))
                  for step in (1, -1))
    pd.testing.assert_frame_equal(one.conditions, other.conditions)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_allclose(one.r2, other.r2, rtol=1e-6)
    expected = sum(fit.n_volumes * fit.mean_signal for fit in fits) / 60
    np.testing.assert_allclose(one.mean_signal, expected, rtol=1e-6)
    np.testing.assert_allclose(other.mean_signal, expected, rtol=1e-6)


def test_a_vertex_without_signal_has_no_r2_and_leaves_the_others() -> None:
    whole, cut = found_of(5, seed=1), found_of(5, seed=1)
    cut.ss_total[2] = cut.ss_residual[2] = 0.0
    a, b = (combine_sessions([one], [table_of("01", 1)], hemi="L", base_images=("a-01", "b-01"))
            for one in (whole, cut))
    assert np.isnan(b.r2).tolist() == [False, False, True, False]
    np.testing.assert_array_equal(np.delete(a.r2, 2), np.delete(b.r2, 2))


def test_what_is_said_of_written_betas_are_their_own_numbers_and_the_file_is_one_subjects(tmp_path) -> None:
    fit = found_of(5, seed=3)
    fit.ss_total[0] = 0.0
    betas: Betas = combine_sessions([fit], [table_of("01", 1)], hemi="L", base_images=("a-01", "b-01"))
    said = write_betas(tmp_path / "betas.h5", betas, sub="01", said={"Model": "ols"})
    assert said == {"Unit": "percent signal change", "Model": "ols", "VerticesWithoutSignal": 1,
                    "MedianR2": pytest.approx(np.median(1 - fit.ss_residual[1:] / fit.ss_total[1:]), rel=1e-5)}
    check_betas({"L": tmp_path / "betas.h5"}, sub="01")
    with pytest.raises(AnalysisError, match="betas of sub-01; expected those of sub-02"):
        check_betas({"L": tmp_path / "betas.h5"}, sub="02")
    with pytest.raises(AnalysisError, match="betas of hemi-L; expected those of hemi-R"):
        check_betas({"L": tmp_path / "betas.h5", "R": tmp_path / "betas.h5"}, sub="01")
