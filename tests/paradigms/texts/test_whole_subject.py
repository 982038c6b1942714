"""One simulated participant with exchanged buttons: practice, every paradigm, gaze, and naming; scores as planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.statistics.naming import read_score
from paradigms.devices.tracker import Tracker
from paradigms.emulation.eyelink_double import FakePylink
from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.playing import play_run as playing
from paradigms.playing.naming import name_images
from paradigms.playing.practice import practise
from paradigms.recorders.eyelink import EyeLinkTracker
from paradigms.recorders.gaze import write_physio
from paradigms.runlog import read_events
from paradigms.tasks.catalogue import TASKS
from stimuli.manifest import image_id_of
from stimuli.texture_table import KINDS, Texture, TextureTable, write_textures
from subjects.dataset import Person
from subjects.layout import Layout
from subjects.profile import register
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.bids import bids_report
from tests.paradigms.conftest import make_console_study

ACCURACY, OMISSION = 0.9, 0.1
CHANGES: dict[str, Any] = {
    "display": {"width_px": 480, "height_px": 270}, "stimuli": {"per_class": 4}, "main": {"runs": 2},
    "retinotopy": {"runs": [["bar"]], "n_textures": 6}, "lo": {"runs": [1, 0]},
    "motion": {"runs": [1, 0]}, "instructions": {"practice_trials": 10, "feedback": True},
    "participant": {"accuracy": ACCURACY, "omission": OMISSION, "names_re": 1.0, "names_ai": 0.9, "names_an": 0.0}}


def _textures(layout: Layout) -> None:
    rng, rows = np.random.default_rng(2), []
    for kind in KINDS:
        for k in range(40 if kind in ("intact", "scrambled") else 3):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            path = layout.stimulus(f"textures/{kind}-{k:03d}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            rows.append(Texture(image_id_of(pixels), f"textures/{kind}-{k:03d}.png", kind, "noise"))
    write_textures(layout.textures, TextureTable(tuple(rows)))
    for kind in ("dogs", "cars"):
        path = layout.stimuli / "practice" / kind / "1.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


@pytest.mark.slow
def test_a_simulated_participant_with_exchanged_buttons_goes_through_everything(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = make_console_study(tmp_path / "study", **CHANGES)
    _textures(layout)
    register(layout, "02", swap_keys=True, virtual=True, person=Person(
        age=30, sex="F", handedness="R", naive="yes", language="zh-Hans", consent="yes"))
    settings, clocks = load_settings(layout.root), []

    class Clock(VirtualClock):
        def __init__(self) -> None:
            super().__init__()
            clocks.append(self)

    def tracker(layout: Layout, settings: Any, **_: Any) -> Tracker:
        double = FakePylink(lambda: float(clocks[-1].now()), lambda _: (240.0, 135.0), rate_hz=20.0)
        return EyeLinkTracker(layout, settings, load=double, at_once=True, wall=lambda: float(clocks[-1].wall()))

    monkeypatch.setattr(playing, "VirtualClock", Clock)
    monkeypatch.setattr(playing, "make_tracker", tracker)
    for task in TASKS:
        practised = practise(layout, settings, sub="02", task_name=task, display="virtual", rounds=3)
        assert sum(one.said == "right" for trials in practised.rounds for one in trials) >= 18  # of 30; 24.3 planted
    keys = [RunKey("02", "01", task, 1) for task in TASKS] + [RunKey("02", "01", "main", 2)]
    for key in keys:
        assert playing.play_run(layout, settings, key=key, scanner="emulated", display="virtual").complete, key
    shown = pd.concat([read_events(layout.events(key)) for key in keys if key.task == "main"])
    known = shown[shown["trial_type"].isin(["RE", "AI"]) & shown["response"].notna()]
    animal = known["class"].isin(settings.stimuli.animal_classes)
    right = known["response"].astype(str) == np.where(animal, "2", "1")  # exchanged: 2 is animal
    assert right.mean() == pytest.approx(ACCURACY, abs=0.1)
    assert (known["correct"] == 1).tolist() == right.tolist()
    for task in ("retinotopy", "lo", "motion"):
        table = layout.attempt_file("behavior.tsv", RunKey("02", "01", task, 1), attempt=1)
        score = pd.read_csv(table, sep="\t").iloc[0]
        assert score["hit_rate"] == pytest.approx(ACCURACY * (1 - OMISSION), abs=0.12), task
    name_images(layout, settings, sub="02", display="virtual")
    named = read_score(layout.naming("02", "naming")).set_index("type")["effect"]
    assert (named["RE"], named["AN"]) == (1.0, 0.0)
    assert named["AI"] == pytest.approx(0.9, abs=0.2)
    recording = next(layout.root.rglob("*task-main_run-01_eyelink-01.edf"))
    _, fixation = write_physio(layout, key=RunKey("02", "01", "main", 1), recording=recording)
    assert set(fixation["share_within"].dropna()) == {1.0}
    assert [one for one in bids_report(layout.root)["issues"]["issues"] if one["severity"] == "error"] == []
