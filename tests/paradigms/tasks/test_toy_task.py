"""A paradigm added in one file: its settings section, its task, and everything a study does with it.

The two lists that a real one would be entered in (the sections of the settings, the catalogue of tasks) are extended
for the length of a test; no other module is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from numpy.random import Generator

from paradigms.console.preflight import check_images, make_preflight
from paradigms.devices.protocols import Frame
from paradigms.playing.play_run import play_run
from paradigms.program import Program, image_changes
from paradigms.record.recovery import recover
from paradigms.runlog import Record, read_events, read_journal
from paradigms.schedule import Event, Schedule
from paradigms.tasks import catalogue
from paradigms.tasks.planning import require_run
from paradigms.tasks.protocol import Picture, Pictures, PracticePicture, PracticeTrial, Task
from paradigms.tasks.scoring import Judged, Score, score_detection
from subjects.errors import ScheduleError
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.profile import SubjectProfile
from subjects.provenance import derive_seed
from subjects.run_key import RunKey
from subjects.settings import loading
from subjects.settings.paradigms import ParadigmSettings, RunLength
from subjects.settings.study import Settings
from subjects.store import write_text
from tests.paradigms.conftest import MAIN_ALONE, make_console_study

KEY = RunKey("01", "02", "toy", 1)
VIRTUAL: dict[str, Any] = {"scanner": "emulated", "display": "virtual"}


class ToySettings(ParadigmSettings):
    """Flashes of one image, each to be answered."""

    runs: tuple[int, ...] = (0, 2)
    flashes: int = 6
    press_key: str = "3"

    def planned_runs(self, *, n_images: int) -> tuple[tuple[RunLength, ...], ...]:
        return tuple((RunLength(self.flashes, 4.0 * self.flashes, "flashes"),) * count for count in self.runs)


class ToyStudySettings(Settings):
    """The settings of a study that plays the toy."""

    toy: ToySettings = ToySettings()


@dataclass(frozen=True)
class Toy:
    """Shows the first image of the set again and again."""

    settings: Settings
    name: ClassVar[str] = "toy"
    levels: ClassVar[Mapping[str, str]] = {"flash": "an image that is to be answered"}
    response_window_s: ClassVar[float] = 2.0
    resume_lead_s: ClassVar[float | None] = 2.0
    judged: ClassVar[Judged] = Judged()
    texts: ClassVar[str] = "lo_one_back"

    @property
    def section(self) -> ToySettings:
        section = self.settings.paradigms()["toy"]
        assert isinstance(section, ToySettings)
        return section

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.section.press_key,)

    def meanings(self, profile: SubjectProfile) -> Mapping[str, str]:
        return {"press": self.section.press_key}

    def practice(self, *, profile: SubjectProfile, pictures: Sequence[PracticePicture], n_trials: int,
                 rng: Generator) -> Sequence[PracticeTrial]:
        return ()

    def make_schedule(self, *, key: RunKey, profile: SubjectProfile, pictures: Pictures) -> Schedule:
        study, section, image = self.settings.study, self.section, pictures.manifest.stimuli[0]
        require_run(section.runs, key=key)
        events = tuple(Event(k, 4.0 * k + 1.0, 0.5, "flash", image_id=image.image_id, correct_key=section.press_key)
                       for k in range(section.flashes))
        return Schedule(study.name, task=self.name, sub=key.sub, ses=key.ses, run=key.run,
                        seed=derive_seed(study.seed, str(key)), tr_s=2.0, n_volumes=2 * section.flashes,
                        duration_s=4.0 * section.flashes, events=events, manifest_digest=pictures.manifest.digest,
                        settings_digest=self.settings.digest)

    def session_pictures(self, *, sub: str, ses: str, pictures: Pictures) -> Sequence[Picture]:
        return [pictures.image(pictures.manifest.stimuli[0])]

    def program(self, schedule: Schedule) -> Program:
        def frame(image_id: str | None) -> Frame:
            return Frame(image_id, image_px=100.0, fixation_px=4.0, fixation_color=(255, 0, 0), background=127)

        return Program(frame(None), changes=lambda: image_changes(schedule, frame_of=frame), keys=self.keys,
                       image_px=100.0)

    def score(self, records: Sequence[Record], schedule: Schedule) -> Sequence[Score]:
        return (score_detection(records, schedule, window_s=self.response_window_s),)

    def write_outputs(self, layout: Layout, *, schedule: Schedule, records: list[Record]) -> Sequence[Path]:
        return [write_text(layout.derivative("toy", sub=schedule.sub, suffix="toy.txt", run=schedule.run),
                           f"{len(records)} lines\n", overwrite=True)]


@pytest.fixture
def toy_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Give a study of one short main run a session, and of two toy runs in the second."""
    toy: Callable[[Settings], Task] = Toy
    monkeypatch.setitem(catalogue.TASKS, "toy", toy)
    monkeypatch.setattr(loading, "Settings", ToyStudySettings)
    sure: dict[str, object] = {"accuracy": 1.0, "omission": 0.0, "rt_mean_s": 0.5, "rt_sd_s": 0.0}
    return make_console_study(tmp_path / "study", stimuli={"per_class": 2}, main={"runs": 1}, participant=sure,
                              **MAIN_ALONE)


def test_the_run_sheet_lists_its_runs(toy_study: Layout) -> None:
    sheet = run_sheet(toy_study, loading.load_settings(toy_study.root), sub="01")
    assert [(run.task, run.ses, run.run, run.n_trials, run.duration_s, run.n_volumes, run.what)
            for run in sheet.runs if run.task != "main"] == [
        ("toy", "02", 1, 6, 24.0, 12, "flashes"), ("toy", "02", 2, 6, 24.0, 12, "flashes")]


def test_it_is_played_scored_and_written_out(toy_study: Layout) -> None:
    settings = loading.load_settings(toy_study.root)
    outcome = play_run(toy_study, settings, key=KEY, **VIRTUAL)
    assert (outcome.complete, outcome.n_events, outcome.n_pulses, outcome.n_presses) == (True, 6, 12, 6)
    table = read_events(toy_study.events(KEY))
    assert table["response"].tolist() == ["3"] * 6
    assert table["response_time"].tolist() == pytest.approx([0.5] * 6, abs=0.01)
    assert table.attrs["sidecar"]["trial_type"]["Levels"] == Toy.levels
    score = pd.read_csv(toy_study.attempt_file("behavior.tsv", KEY, attempt=1), sep="\t").iloc[0]
    assert (score["task"], score["n_targets"], score["n_hits"]) == ("toy", 6, 6)
    lines = len(read_journal(toy_study.journal(KEY)))
    written = toy_study.derivative("toy", sub="01", suffix="toy.txt", run=1)
    assert written.read_text(encoding="utf-8") == f"{lines} lines\n"
    assert [run.done for run in run_sheet(toy_study, settings, sub="01").runs if run.task == "toy"] == [True, False]


def test_a_run_that_was_cut_off_is_recovered_and_resumed(toy_study: Layout) -> None:
    settings = loading.load_settings(toy_study.root)
    play_run(toy_study, settings, key=KEY, **VIRTUAL)
    journal = toy_study.journal(KEY)
    lines = journal.read_bytes().splitlines(keepends=True)
    third = [k for k, line in enumerate(lines) if b'"what": "on"' in line or b'"what":"on"' in line][2]
    journal.write_bytes(b"".join(lines[:third]))
    toy_study.events(KEY).unlink()
    toy_study.events_sidecar(KEY).unlink()
    found, = recover(toy_study)
    assert (found.n_events, found.complete) == (2, False)
    assert not read_events(toy_study.events(KEY)).attrs["complete"]
    assert play_run(toy_study, settings, key=KEY, resume=True, **VIRTUAL).n_events == 4


def test_preflight_asks_for_its_picture_and_its_key(toy_study: Layout) -> None:
    settings = loading.load_settings(toy_study.root)
    made = make_preflight(toy_study, settings, sub="01", ses="02", **VIRTUAL)
    came = {one.name: one.came for one in made.findings}
    assert made.passed
    assert came["buttons"] == "'1', '2', '3'"
    tasks = [catalogue.task_of("toy", settings)]
    assert check_images(toy_study, tasks, sub="01", ses="02").came == "1 images, each as its table says"
    toy_study.stimulus(Pictures(toy_study).manifest.stimuli[0].file).unlink()
    assert not check_images(toy_study, tasks, sub="01", ses="02").ok


def test_a_run_that_it_does_not_plan_is_refused(toy_study: Layout) -> None:
    with pytest.raises(ScheduleError, match="run of session 01: 1; expected 1 to 0"):
        play_run(toy_study, loading.load_settings(toy_study.root), key=RunKey("01", "01", "toy", 1), **VIRTUAL)
