"""A table of textures without files, and runs played with virtual devices, for the tests of the four paradigms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paradigms.devices.protocols import Frame, Press
from paradigms.emulation.scanner_and_display import EmulatedScanner, RecordingDisplay, Shown, VirtualClock
from paradigms.playing.engine import play
from paradigms.playing.run_devices import Devices
from paradigms.program import Program
from paradigms.record.journal import Journal
from paradigms.runlog import Record, read_journal
from paradigms.schedule import Schedule
from subjects.settings.study import Settings


@dataclass(frozen=True)
class Row:
    texture_id: str
    file: str
    kind: str


def rows(*, n: int = 102, n_pictures: int = 40) -> list[Row]:
    """Name textures of objects, faces and words in turn, then pictures, intact and scrambled."""
    found = [Row(f"px-t{k:03d}", f"textures/t{k:03d}.png", ("object", "face", "word")[k % 3]) for k in range(n)]
    for kind in ("intact", "scrambled"):
        found += [Row(f"px-{kind}{k:02d}", f"textures/{kind}-{k:02d}.png", kind) for k in range(n_pictures)]
    return found


class Watcher:
    """EmulatedKeys that press a key some time after the fixation point has changed, or an image came."""

    def __init__(self, clock: VirtualClock, *, key: str, after_s: float, images: Sequence[str] = ()) -> None:
        self._clock, self._key, self._after_s, self._images = clock, key, after_s, images
        self._color: tuple[int, int, int] | None = None
        self._due: list[float] = []

    def open(self) -> None: ...

    def close(self) -> None: ...

    def see(self, frame: Frame, shown_s: float) -> None:
        if self._color not in (None, frame.fixation_color):
            self._due.append(shown_s + self._after_s)
        self._color = frame.fixation_color

    def presses(self) -> list[Press]:
        due = [t for t in self._due if t <= self._clock.now()]
        self._due = [t for t in self._due if t > self._clock.now()]
        return [Press(t, self._key, "watcher") for t in due]


class StallingDisplay(RecordingDisplay):
    """A display that now and then holds everything up, as a busy machine does."""

    def __init__(self, clock: VirtualClock, *, stalls: dict[int, float], **others: Any) -> None:
        super().__init__(clock, **others)
        self._stall_clock, self._stalls, self._n = clock, stalls, 0

    def draw(self, frame: Frame) -> None:
        self._n += 1
        self._stall_clock.wait_until(self._stall_clock.now() + self._stalls.get(self._n, 0.0))
        super().draw(frame)


def played(schedule: Schedule, program: Program, *, settings: Settings, folder: Path, after_s: float = 0.4,
           refresh_hz: float = 60.0, stalls: dict[int, float] | None = None) -> tuple[list[Record], list[Shown]]:
    """Play a run in virtual time; give its journal and what the display showed."""
    clock = VirtualClock()
    watcher = Watcher(clock, key=program.keys[0], after_s=after_s)
    display = StallingDisplay(clock, stalls=stalls or {}, size_px=(64, 48), refresh_hz=refresh_hz, on_flip=watcher.see)
    scanner = EmulatedScanner(clock, times_s=schedule.tr_s * np.arange(schedule.n_volumes))
    with Journal(folder / "journal.jsonl", clock=clock) as journal:
        outcome = play(schedule, program=program, journal=journal, settings=settings,
                       devices=Devices(clock, trigger=scanner, responses=watcher, display=display, poll_s=0.05),
                       images=dict.fromkeys(schedule.image_ids, np.zeros((2, 2, 3), dtype=np.uint8)))
    assert outcome.complete
    return read_journal(folder / "journal.jsonl"), display.shown
