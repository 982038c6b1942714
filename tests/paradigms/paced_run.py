"""Plays runs of a study on virtual devices and a clock that runs faster than real time, for a test to kill.

Usage: python paced_run.py STUDY SPEED SES RUN
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from paradigms.playing import play_run as session
from paradigms.playing.play_run import play_run
from subjects.cli import rich_progress, say
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings


class PacedClock:
    """A hardware clock whose seconds are shorter."""

    def __init__(self, speed: float) -> None:
        self._speed, self._start = speed, time.monotonic()

    def now(self) -> float:
        return 100.0 + (time.monotonic() - self._start) * self._speed

    def wall(self) -> float:
        return 1.6e9 + self.now()

    def wait_until(self, t: float) -> None:
        while (left := t - self.now()) > 0:
            time.sleep(min(left / self._speed, 0.01))

    rest_until = wait_until


def main() -> None:
    study, speed, ses, run = sys.argv[1:]
    session.VirtualClock = lambda: PacedClock(float(speed))  # type: ignore[assignment,misc]
    outcome = play_run(Layout(Path(study)), load_settings(Path(study)), key=RunKey("01", ses, "main", int(run)),
                       scanner="emulated", display="virtual", progress=rich_progress)
    say(outcome.to_json(), as_json=False, text=outcome.summary())
    sys.stdout.flush()


if __name__ == "__main__":
    main()
