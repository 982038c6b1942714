"""Practice: trials with pictures that are not in the set, feedback on each press, as often as wanted."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import run_session
from paradigms.devices.protocols import Press
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing import practice
from paradigms.playing.practice import Practised, Stage, practice_pictures, practise
from paradigms.tasks.catalogue import TASKS, task_of
from paradigms.tasks.protocol import PracticePicture
from stimuli.textures.practice import draw_practice
from subjects.errors import ManifestError, ProfileError
from subjects.layout import Layout
from subjects.profile import SubjectProfile, register
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_json

ALWAYS = {"participant.accuracy": 1.0, "participant.omission": 0.0, "instructions.practice_trials": 6}


@pytest.fixture
def studied(small_console: Layout) -> Layout:
    rng = np.random.default_rng(3)
    for kind in load_settings(small_console.root).stimuli.classes:
        folder = small_console.stimuli / "practice" / kind
        folder.mkdir(parents=True)
        for k in range(2):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    register(small_console, "02", swap_keys=True, virtual=True)
    return small_console


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("sub", ["01", "02"])
def test_a_simulated_participant_practises_every_paradigm(studied: Layout, task: str, sub: str) -> None:
    made = practise(studied, load_settings(studied.root, overrides=ALWAYS), sub=sub, task_name=task,
                    display="virtual", rounds=2)
    assert [[one.said for one in trials] for trials in made.rounds] == [["right"] * 6] * 2
    assert all(0.1 < (one.response_time or 0) < 2 for trials in made.rounds for one in trials)
    kept = read_json(studied.practice(sub, task=task, number=1))
    assert [[one["said"] for one in trials] for trials in kept["rounds"]] == [["right"] * 6] * 2
    assert not list(studied.root.glob("sub-*/**/*_events.tsv"))


def test_practice_is_kept_each_time_and_scores_what_was_planted(studied: Layout) -> None:
    planted = {**ALWAYS, "participant.accuracy": 0.5, "participant.omission": 0.2, "instructions.practice_trials": 400}
    made = practise(studied, load_settings(studied.root, overrides=planted), sub="01", task_name="main",
                    display="virtual", rounds=1)
    said = [one.said for one in made.rounds[0]]
    assert said.count("none") / 400 == pytest.approx(0.2, abs=0.06)
    assert said.count("right") / 400 == pytest.approx(0.4, abs=0.08)
    practise(studied, load_settings(studied.root, overrides=ALWAYS), sub="01", task_name="main", display="virtual",
             rounds=1)
    assert studied.practice("01", task="main", number=2).is_file()


def test_one_back_practice_repeats_the_last_picture(settings: Settings) -> None:
    changed = settings.model_copy(update={"lo": settings.lo.model_copy(update={"task": "one_back"})})
    pictures = [PracticePicture("dogs", f"px-{k}", np.zeros((2, 2, 3), dtype=np.uint8)) for k in range(5)]
    for trial in task_of("lo", changed).practice(profile=SubjectProfile("01"), pictures=pictures, n_trials=20,
                                                 rng=np.random.default_rng(0)):
        shown = [frame.image_id for frame, _ in trial.frames if frame.image_id]
        assert shown[-1] == shown[-2]
        assert len(set(shown)) == len(shown) - 1


def test_half_of_the_pictures_are_animals(settings: Settings) -> None:
    pictures = [PracticePicture(kind, f"px-{kind}", np.zeros((2, 2, 3), dtype=np.uint8))
                for kind in settings.stimuli.classes]
    trials = task_of("main", settings).practice(profile=SubjectProfile("01"), pictures=pictures, n_trials=10,
                                                rng=np.random.default_rng(0))
    assert sorted(trial.right for trial in trials) == ["1"] * 5 + ["2"] * 5


class _Scripted:
    """Presses at set times."""

    def __init__(self, clock: VirtualClock, presses: list[tuple[float, str]]) -> None:
        self.clock, self.left = clock, list(presses)

    def presses(self) -> list[Press]:
        due = [Press(t, key, "script") for t, key in self.left if t <= self.clock.now()]
        self.left = [(t, key) for t, key in self.left if t > self.clock.now()]
        return due


@pytest.mark.parametrize(("task", "key", "after_s", "said"), [
    ("main", "1", 2.5, "right"), ("main", "2", 2.5, "wrong"), ("main", "1", 0.5, "none"), ("main", "9", 2.5, "none"),
    ("lo", "1", 0.5, "early"), ("lo", "1", 99.0, "missed")])
def test_every_kind_of_answer_is_told(settings: Settings, task: str, key: str, after_s: float, said: str) -> None:
    pictures = [PracticePicture(kind, "px-1", np.zeros((2, 2, 3), dtype=np.uint8)) for kind in ("dogs",)]
    made = task_of(task, settings).practice(profile=SubjectProfile("01"), pictures=pictures, n_trials=1,
                                            rng=np.random.default_rng(0))[0]
    clock = VirtualClock(start_s=0.0)
    display = RecordingDisplay(clock, size_px=(64, 48), refresh_hz=120.0)
    display.preload({"px-1": pictures[0].pixels})
    display.open()
    stage = Stage(clock, display, _Scripted(clock, [(after_s, key)]), task_of(task, settings), "escape")  # type: ignore[arg-type]
    assert practice._play_trial(stage, made).said == said


def test_rounds_are_kept_when_it_is_broken_off(studied: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    played = practice._play_round

    def play(*given: Any, first: bool, **more: Any) -> Any:
        if not first:
            raise KeyboardInterrupt
        return played(*given, first=first, **more)

    monkeypatch.setattr(practice, "_play_round", play)
    with pytest.raises(KeyboardInterrupt):
        practise(studied, load_settings(studied.root, overrides=ALWAYS), sub="01", task_name="main", display="virtual")
    assert len(read_json(studied.practice("01", task="main", number=1))["rounds"]) == 1
    monkeypatch.setattr(practice, "_play_round", lambda *_, **__: played())
    with pytest.raises(TypeError):
        practise(studied, load_settings(studied.root, overrides=ALWAYS), sub="01", task_name="main", display="virtual")
    assert not studied.practice("01", task="main", number=2).exists()  # no round was played


def test_how_the_last_round_went_stays_to_be_read(studied: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, float]] = []
    show = Stage.show_screen

    def watch(stage: Stage, name: str, *, blank: Any) -> None:
        shown.append((name, stage.clock.now()))
        show(stage, name, blank=blank)

    ended: list[float] = []
    staged = practice._staged

    @contextlib.contextmanager
    def timed(*given: Any, **more: Any) -> Iterator[Stage]:
        with staged(*given, **more) as stage:
            yield stage
            ended.append(stage.clock.now())

    monkeypatch.setattr(Stage, "show_screen", watch)
    monkeypatch.setattr(practice, "_staged", timed)
    settings = load_settings(studied.root, overrides={**ALWAYS, "instructions.closing_s": 6.0})
    practise(studied, settings, sub="01", task_name="main", display="virtual", rounds=1)
    assert shown[-1][0] == "practice-over"
    assert ended[0] - shown[-1][1] >= 6.0


def test_a_picture_of_the_set_is_refused(studied: Layout) -> None:
    image = next((studied.stimuli / "images" / "RE").glob("*.png"))
    (studied.stimuli / "practice" / "dogs" / "stray.png").write_bytes(image.read_bytes())
    with pytest.raises(ManifestError, match=r"a picture of the set \(px-.*expected pictures that no run shows"):
        practice_pictures(studied)


def test_a_volunteer_is_never_simulated(studied: Layout) -> None:
    register(studied, "03")
    with pytest.raises(ProfileError, match="a volunteer; expected a virtual subject for simulated practice"):
        practise(studied, load_settings(studied.root), sub="03", task_name="main", display="virtual", rounds=1)


def test_drawings_to_practise_with_are_none_of_the_set_and_ones_own_stay(small_console: Layout) -> None:
    own = small_console.stimuli / "practice" / "dogs" / "mine.png"
    own.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(own)
    made = draw_practice(small_console, load_settings(small_console.root))
    assert (made.n_drawn, made.n_kept) == (16, 1)
    assert len(practice_pictures(small_console)) == 17
    assert draw_practice(small_console, load_settings(small_console.root)).n_drawn == 0


def test_the_command_practises_without_session_run_and_scanner(studied: Layout) -> None:
    where = ["run_session.py", "run", "--study", str(studied.root), "--sub", "01", "--display", "virtual"]
    root = Path(__file__).resolve().parents[3]
    def run(*more: str) -> Any:
        return subprocess.run([sys.executable, *where, *more], capture_output=True, text=True, check=False, cwd=root)

    done = run("--practice", "--task", "motion", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task"] == "motion"
    assert "Missing option '--ses'; only --practice needs none" in run().stderr
    assert "--repeat is for a run; --practice has none" in run("--practice", "--repeat").stderr
    assert "--rounds is for --practice" in run("--rounds", "2").stderr


def test_the_button_box_is_the_one_that_is_asked_for(studied: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop has no serial box: ``--buttons keyboard`` practises by its keys."""
    text = studied.settings_file.read_text(encoding="utf-8")
    text = text.replace("[buttons]\n", '[buttons]\ndevice = "serial"\n', 1)
    studied.settings_file.write_text(text, encoding="utf-8")
    asked: list[str] = []

    def note(_: Layout, settings: Settings, **__: Any) -> Practised:
        asked.append(settings.buttons.device)
        return Practised("main", ())

    monkeypatch.setattr(practice, "practise", note)
    for more in ([], ["--buttons", "keyboard"]):
        CliRunner().invoke(run_session.cli, ["run", "--practice", "--study", str(studied.root), "--sub", "01",
                                             "--display", "virtual", *more])
    assert asked == ["serial", "keyboard"]
