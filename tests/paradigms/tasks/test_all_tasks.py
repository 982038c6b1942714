"""Every paradigm through the command's own path: planned, played, recorded, scored, exported, valid."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import make_first_level_design_matrix

from paradigms.console.run_state import fold_all
from paradigms.detection import color_name
from paradigms.playing.play_run import play_run, prepare
from paradigms.record.plans import read_schedule
from paradigms.runlog import read_events, read_journal
from paradigms.schedule import Schedule
from paradigms.tasks.catalogue import TASKS, task_of
from stimuli.textures.render import render
from subjects.errors import ManifestError, RunLogError, ScheduleError
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.bids import bids_errors
from tests.paradigms.conftest import make_console_study

TEXTURES: dict[str, object] = {"size_px": 32, "scramble_cells": 4, "pieces_across": 2, "words_across": 2}
VIRTUAL = {"scanner": "emulated", "display": "virtual"}


SOME = {("main", "01", 1), ("retinotopy", "01", 1), ("retinotopy", "01", 2), ("retinotopy", "01", 3), ("lo", "01", 1),
        ("motion", "02", 1)}
N_SOME, N_ALL = ({"main": 1, "retinotopy": n, "lo": m, "motion": m} for n, m in ((3, 1), (6, 2)))


@pytest.fixture(scope="module", params=["some", pytest.param("all", marks=pytest.mark.slow)])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Some runs of every paradigm with the protocol's settings, or all of both sessions; of the main task one."""
    layout = make_console_study(tmp_path_factory.mktemp("tasks") / "study", textures=TEXTURES)
    settings = load_settings(layout.root)
    render(layout, settings)
    for item in run_sheet(layout, settings, sub="01").runs:
        chosen = (item.task, item.ses, item.run) in SOME
        if chosen or (item.task != "main" and request.param == "all"):
            outcome = play_run(layout, settings, key=RunKey("01", item.ses, item.task, item.run), **VIRTUAL)
            assert outcome.complete, outcome.summary()
    return layout


def _keys(layout: Layout) -> list[dict[str, Any]]:
    sheet = run_sheet(layout, load_settings(layout.root), sub="01")
    return [item.key for item in sheet.runs if item.done]


def test_every_run_has_the_length_of_the_run_sheet(played: Layout) -> None:
    sheet = run_sheet(played, load_settings(played.root), sub="01")
    assert Counter(item.task for item in sheet.runs if item.done) in (N_SOME, N_ALL)
    for item in (item for item in sheet.runs if item.done):
        plan, table = read_schedule(played.schedule(item.key)), read_events(played.events(item.key))
        records = read_journal(played.journal(item.key))
        assert (plan.seed, plan.duration_s, plan.n_volumes) == (item.seed, item.duration_s, item.n_volumes)
        assert table.attrs["n_pulses"] == item.n_volumes
        assert set(table["trial_type"]) <= set(task_of(item.task, Settings()).levels)
        zero = next(record["t"] for record in records if record["kind"] == "zero")
        assert max(record["t"] for record in records) - zero == pytest.approx(item.duration_s, abs=0.02)
        assert {"main": 556.0, "retinotopy": 300.0, "lo": 336.0, "motion": 336.0}[item.task] == item.duration_s


def test_the_blocks_of_the_localizers_lie_where_the_protocol_has_them(played: Layout) -> None:
    lo = read_events(played.events(RunKey("01", "01", "lo", 1)))
    blanks = lo[lo.trial_type == "blank"]["onset"].to_numpy()
    np.testing.assert_allclose(blanks, [0.0, 80.0, 160.0, 240.0, 320.0])
    shown = lo[lo.trial_type.isin(["intact", "scrambled"])]
    assert Counter(shown.trial_type) == {"intact": 160, "scrambled": 160}
    np.testing.assert_allclose(shown.duration, 0.3, atol=0.02)
    motion = read_events(played.events(RunKey("01", "02", "motion", 1)))
    moving = motion[motion.trial_type == "moving"]
    np.testing.assert_allclose(moving.onset, 8.0 + 24.0 + 32.0 * np.arange(10), atol=0.01)
    np.testing.assert_allclose(moving.duration, 8.0, atol=0.02)


def _condition_number(events: pd.DataFrame, plan: Schedule) -> float:
    times = plan.tr_s * np.arange(plan.n_volumes)
    design = make_first_level_design_matrix(times, events[["onset", "duration", "trial_type"]])
    return float(np.linalg.cond(design.to_numpy()))


def test_an_analysts_default_design_of_every_events_table_is_sound(played: Layout) -> None:
    """nilearn's own first-level design from the file as it is; the fixation point's rows would make it singular."""
    for where in _keys(played):
        plan = read_schedule(played.schedule(where))
        events = pd.read_csv(played.events(where), sep="\t", na_values=["n/a"])
        assert _condition_number(events, plan) < 100.0
        if where.task == "main":
            continue
        told = json.loads(played.events_sidecar(where).read_text(encoding="utf-8"))["FixationTable"]
        changes = pd.read_csv(played.root / told, sep="\t", na_values=["n/a"])
        assert len(changes) == len(plan.marks)
        assert set(changes["color"]) == {color_name(mark.color) for mark in plan.marks}
        described = json.loads((played.root / told).with_suffix(".json").read_text(encoding="utf-8"))
        assert set(changes.columns) <= set(described)
        both = pd.concat([events, changes.assign(trial_type="fixation")])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert _condition_number(both, plan) > 100.0 or any("singular" in str(one.message) for one in said)


def test_the_stim_files_named_are_there(played: Layout) -> None:
    for where in _keys(played):
        for file in read_events(played.events(where))["stim_file"].dropna().unique():
            assert (played.stimuli / file).is_file()


def test_every_run_is_scored(played: Layout) -> None:
    for where in _keys(played):
        table = pd.read_csv(played.attempt_file("behavior.tsv", where, attempt=1), sep="\t", na_values=["n/a"])
        kinds = ["RE", "AN", "AI"] if where.task == "main" else [None]
        assert table["trial_type"].astype(object).where(table["trial_type"].notna(), None).tolist() == kinds
        for row in table.to_dict("records"):
            assert row["task"] == where.task
            assert row["n_targets"] >= (40 if where.task == "main" else 50)
            assert 0.8 < row["accuracy"] <= 1.0 or (row["trial_type"] == "AN" and pd.isna(row["accuracy"]))
            assert 0.8 < row["share_answered"] <= 1.0
            assert 0.5 < row["rt_median"] < 0.8
        described = json.loads(played.attempt_file("behavior.json", where, attempt=1).read_text(encoding="utf-8"))
        assert set(described) - {"DisplayDelay", "DisplayDelayDescription"} == set(table.columns)


def test_the_live_view_counts_what_the_score_counts(played: Layout) -> None:
    for where in _keys(played):
        plan = read_schedule(played.schedule(where))
        window = {"main": 4.0}.get(where.task, 1.0)
        judged = task_of(where.task, Settings()).judged
        view = fold_all(plan, read_journal(played.journal(where)), window_s=window, attention=judged.attention)
        score = pd.read_csv(played.attempt_file("behavior.tsv", where, attempt=1), sep="\t").iloc[0]
        right, asked = view.answers
        assert asked == pytest.approx(score["n_targets"], abs=1)
        assert right / asked == pytest.approx(score["accuracy"], abs=0.02)
        assert view.n_shown == sum(event.trial_type != "blank" for event in plan.events)


def test_the_apertures_shown_are_exported_for_the_fit(played: Layout) -> None:
    for where in (key for key in _keys(played) if key.task == "retinotopy"):
        names = {"ses": where.ses, "task": where.task, "run": where.run}
        npz = played.derivative("apertures", sub="01", suffix="apertures.npz", **names)
        with np.load(npz) as movie:
            masks = movie["masks"]
            assert masks.shape == (150, 101, 101)
            assert movie["tr_s"] == 2.0
        image = nib.load(npz.with_suffix(".nii.gz"))
        assert image.shape == (101, 101, 1, 150)
        np.testing.assert_allclose(np.asarray(image.dataobj)[:, ::-1, 0].transpose(2, 1, 0), masks)
        assert masks[:7].max() == 0.0
        assert masks.max() == pytest.approx(1.0)
        stim = pd.read_csv(played.stim(where), sep="\t", header=None)
        assert stim.shape == (4500, 2)


@pytest.mark.timeout(300)
def test_the_whole_dataset_is_valid(played: Layout) -> None:
    assert bids_errors(played.root) == []


def test_ten_seeds_give_ten_orders_and_the_same_seed_the_same_bytes(played: Layout) -> None:
    plans: dict[str, set[str]] = {task: set() for task in TASKS}
    for seed in (*range(10), 0):
        settings = load_settings(played.root, overrides={"study.seed": seed})
        for task in TASKS:
            schedule, _ = prepare(played, task_of(task, settings), key=RunKey("01", "01", task, 1))
            plans[task].add(json.dumps(schedule.to_json(), sort_keys=True))
    assert {task: len(texts) for task, texts in plans.items()} == dict.fromkeys(TASKS, 10)


def test_without_textures_nothing_is_shown_and_the_command_is_named(tmp_path: Path) -> None:
    layout = make_console_study(tmp_path / "study")
    for task in ("retinotopy", "lo"):
        with pytest.raises(ManifestError, match=r"textures.tsv: no such file; .* `python -m stimuli textures --study "):
            play_run(layout, load_settings(layout.root), key=RunKey("01", "01", task, 1), **VIRTUAL)
    assert not layout.source_dir("01", "01").exists()
    assert play_run(layout, load_settings(layout.root), key=RunKey("01", "01", "motion", 1), **VIRTUAL).complete


@pytest.mark.parametrize(("change", "text"), [({"ses": "03"}, "session: '03'; expected one of 01, 02"),
                                              ({"run": 2}, "run of session 01: 2; expected 1 to 1")])
def test_a_run_that_is_not_planned_is_refused(played: Layout, change: dict[str, Any], text: str) -> None:
    key = replace(RunKey("01", "01", "motion", 1), **change)
    with pytest.raises(ScheduleError, match=text):
        play_run(played, load_settings(played.root), key=key, **VIRTUAL)


def test_a_completed_run_is_refused(played: Layout) -> None:
    with pytest.raises(RunLogError, match="a run that was played before"):
        play_run(played, load_settings(played.root), key=RunKey("01", "01", "lo", 1), **VIRTUAL)
