"""A study with a set of small noise images, for the console's tests: no network is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paradigms.devices.protocols import Pixels
from paradigms.devices.tracker import NullTracker, Tracker
from paradigms.emulation.participant import SimulatedParticipant, simulated_answers
from paradigms.emulation.scanner_and_display import EmulatedScanner, RecordingDisplay, VirtualClock, pulse_times
from paradigms.playing.engine import play
from paradigms.playing.marker_queue import MarkerQueue
from paradigms.playing.run_devices import Devices
from paradigms.program import Program
from paradigms.record.journal import Journal
from paradigms.record.outcome import RunOutcome
from paradigms.runlog import Record, read_journal
from paradigms.schedule import Schedule
from paradigms.tasks.main_task import make_schedule, program
from paradigms.texts.screens import RunScreens
from stimuli.manifest import TYPES, Manifest, Stimulus, image_id_of, write_manifest
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.profile import base_images, register
from subjects.run_key import RunKey
from subjects.settings.devices import ParticipantSettings, ScannerFaults
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings


def noise_set(settings: Settings, *, seed: int, side: int = 16) -> tuple[Manifest, dict[str, Pixels]]:
    """Make a manifest of noise images and their pixels by file."""
    rng = np.random.default_rng(seed)
    rows, pixels = [], {}
    for k, base in enumerate(base_images(settings.stimuli)):
        for kind in TYPES:
            file = f"images/{kind}/{base}_{kind}.png"
            pixels[file] = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            rows.append(Stimulus(
                image_id=image_id_of(pixels[file]), file=file, type=kind, base_image=base, category=f"category {k}",
                category_index=k, class_name=base.rpartition("-")[0], target_category=None, target_index=None,
                network="none", network_digest="0", p_before=0.5, p_after=0.995, l2=0.0, linf=0.0, ssim=1.0,
                contrast_rms=70.0, iterations=1, seed=seed))
    return Manifest(tuple(rows)), pixels


MAIN_ALONE: dict[str, dict[str, object]] = {"retinotopy": {"runs": []}, "lo": {"runs": [0, 0]},
                                            "motion": {"runs": [0, 0]}}


def make_console_study(root: Path, *, seed: int = 1, side: int = 16, **changes: dict[str, object]) -> Layout:
    """Make a study with noise images, and the virtual subject 01."""
    layout = init_study(Layout(root), name="console", seed=seed, changes=changes)
    manifest, pixels = noise_set(load_settings(layout.root), seed=seed, side=side)
    for file, image in pixels.items():
        layout.stimulus(file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(layout.stimulus(file))
    write_manifest(layout.manifest, manifest)
    register(layout, "01", virtual=True)
    return layout


@pytest.fixture
def console(tmp_path: Path) -> Layout:
    """Give a study of 120 noise images with the protocol's settings."""
    return make_console_study(tmp_path / "study")


@pytest.fixture
def small_console(tmp_path: Path) -> Layout:
    """Give a study whose runs are short: 2 images a class, 1 run a session."""
    return make_console_study(tmp_path / "study", stimuli={"per_class": 2}, main={"runs": 2, "lead_in_s": 6.0},
                              **MAIN_ALONE)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Give the protocol's settings."""
    return Settings()


@pytest.fixture(scope="session")
def manifest(settings: Settings) -> Manifest:
    """Give a manifest of 120 noise images, without files."""
    return noise_set(settings, seed=1, side=4)[0]


@pytest.fixture(scope="session")
def schedule(settings: Settings, manifest: Manifest) -> Schedule:
    """Give the first run of the main task."""
    return make_schedule(settings, manifest=manifest, key=RunKey("01", "01", "main", 1))


@dataclass
class Bench:
    """Virtual devices around a schedule, each to be replaced by a test; ``play`` plays it."""

    schedule: Schedule
    settings: Settings
    journal_path: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    faults: ScannerFaults = field(default_factory=ScannerFaults)
    delay_s: float = 3.0
    answering: ParticipantSettings = field(default_factory=ParticipantSettings)
    trigger_timeout_s: float | None = None
    program: Program | None = None
    arm_key: str | None = None
    tracker: Tracker = field(default_factory=NullTracker)
    prompt: Callable[[Sequence[str]], None] | None = None
    screens: RunScreens | None = None
    markers: MarkerQueue | None = None

    def __post_init__(self) -> None:
        keys = (self.settings.main.animal_key, self.settings.main.not_animal_key)
        self.responses: Any = SimulatedParticipant(
            self.clock, answers=simulated_answers(self.schedule, keys=keys), answering=self.answering,
            rng=np.random.default_rng(5))
        n_volumes = self.schedule.n_volumes + self.settings.scanner.n_dummy_pulses
        pulses = pulse_times(tr_s=self.schedule.tr_s, n_volumes=n_volumes, faults=self.faults,
                             rng=np.random.default_rng(6))
        self.trigger: Any = EmulatedScanner(self.clock, times_s=pulses, delay_s=self.delay_s)
        self.display: Any = RecordingDisplay(self.clock, size_px=(64, 48), refresh_hz=120.0, on_flip=self.responses.see)

    def play(self) -> RunOutcome:
        """Play the schedule; the journal stands afterwards, whatever happened."""
        images = dict.fromkeys(self.schedule.image_ids, np.zeros((2, 2, 3), dtype=np.uint8))
        devices = Devices(self.clock, trigger=self.trigger, responses=self.responses, display=self.display, poll_s=0.25,
                          tracker=self.tracker, prompt=self.prompt, markers=self.markers)
        with Journal(self.journal_path, clock=self.clock) as journal:
            return play(self.schedule, program=self.program or program(self.schedule, self.settings), devices=devices,
                        journal=journal, settings=self.settings, images=images,
                        trigger_timeout_s=self.trigger_timeout_s, arm_key=self.arm_key,
                        screens=self.screens)

    @property
    def records(self) -> list[Record]:
        """Read the journal."""
        return read_journal(self.journal_path)


@pytest.fixture
def bench(schedule: Schedule, settings: Settings, tmp_path: Path) -> Callable[..., Bench]:
    """Give a maker of benches around the first run of the main task."""

    def make(**changes: Any) -> Bench:
        return Bench(**{"schedule": schedule, "settings": settings, "journal_path": tmp_path / "journal.jsonl",
                        **changes})

    return make
