"""The design that one run will give: as the GLM's for the main task, blocks by hand for the localizers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.glm.design import Sampling, design_matrix, list_conditions
from analysis.glm.hrf import canonical
from analysis.glm.run_design import design_of, design_panel, run_design
from paradigms.playing.play_run import play_run
from paradigms.runlog import read_events
from stimuli.textures.render import render
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study

TEXTURES: dict[str, object] = {"size_px": 32, "scramble_cells": 4, "pieces_across": 2, "words_across": 2}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = make_console_study(tmp_path_factory.mktemp("design") / "study", textures=TEXTURES)
    settings = load_settings(layout.root)
    render(layout, settings)
    for task in ("main", "retinotopy", "lo", "motion"):
        key = RunKey("01", "01", task, 1)
        assert play_run(layout, settings, key=key, scanner="emulated", display="virtual").complete
    return layout


def test_the_main_tasks_design_is_the_glms(played: Layout) -> None:
    found = design_of(played, key=RunKey("01", "01", "main", 1))
    events = read_events(played.events(RunKey("01", "01", "main", 1)))
    wanted = design_matrix(events, conditions=list_conditions({1: events}, session="01"),
                           sampling=Sampling(n_volumes=278, tr_s=2.0))
    assert found is not None
    np.testing.assert_array_equal(found.matrix, wanted)
    assert (found.matrix.shape, found.n_flat) == ((278, 121), 0)
    assert found.n_events == (1,) * 120 + (9,)
    plain = np.corrcoef(wanted.T) - 2 * np.eye(121)
    assert found.largest_correlation == pytest.approx(plain.max())
    assert found.summary().startswith("121 conditions x 278 volumes, 1 to 9 events each, largest correlation of "
                                      "two conditions r = 0.")


@pytest.mark.parametrize(("task", "kind", "onsets", "length"), [
    ("motion", "moving", 32.0 + 32.0 * np.arange(10), 8.0), ("motion", "static", 8.0 + 32.0 * np.arange(10), 24.0)])
def test_blocks_are_convolved_as_by_hand(played: Layout, task: str, kind: str, onsets: np.ndarray,
                                         length: float) -> None:
    found = design_of(played, key=RunKey("01", "01", task, 1))
    assert found is not None
    fine = np.arange(0.0, 400.0, 0.01)
    box = np.zeros_like(fine)
    for onset in onsets:
        box[(fine >= onset) & (fine < onset + length)] = 1.0
    course = np.convolve(box, canonical(np.arange(0.0, 40.0, 0.01)))[:len(fine)]
    wanted = course[np.searchsorted(fine, 2.0 * np.arange(168) - 1e-9)]
    got = found.matrix[:, found.kinds.index(kind)]
    assert np.corrcoef(wanted, got)[0, 1] > 0.9995


def test_tables_of_release_0_1_0_with_rows_of_the_fixation_point_give_the_same_design(played: Layout) -> None:
    events = read_events(played.events(RunKey("01", "01", "motion", 1)))
    rows = [{"onset": 3.0 * k, "duration": 3.0, "trial_type": "fixation", "category": "red"} for k in range(112)]
    sampling = Sampling(n_volumes=168, tr_s=2.0)
    older = run_design(pd.concat([events, pd.DataFrame(rows)]), task="motion", sampling=sampling)
    np.testing.assert_array_equal(older.matrix, run_design(events, task="motion", sampling=sampling).matrix)


def test_every_paradigm_has_a_panel(played: Layout) -> None:
    kinds = {"main": "RE", "retinotopy": "wedge_ccw", "lo": "scrambled", "motion": "moving"}
    for task, kind in kinds.items():
        design = design_of(played, key=RunKey("01", "01", task, 1))
        assert design is not None
        console = Console(file=io.StringIO(), record=True, width=100)
        console.print(design_panel(design))
        said = console.export_text()
        assert kind in said
        assert "fixation" not in said
        assert "█" in said


def test_a_run_without_a_table_has_no_design(tmp_path: Path) -> None:
    layout = make_console_study(tmp_path / "study")
    assert design_of(layout, key=RunKey("01", "01", "main", 1)) is None


def test_a_single_condition_correlates_with_nothing(played: Layout) -> None:
    events = read_events(played.events(RunKey("01", "01", "motion", 1)))
    alone = run_design(events[events["trial_type"] == "moving"], task="motion",
                       sampling=Sampling(n_volumes=168, tr_s=2.0))
    assert (alone.largest_correlation, alone.kinds, alone.n_events) == (0.0, ("moving",), (10,))
    assert alone.summary() == "one condition x 168 volumes, 10 events"
