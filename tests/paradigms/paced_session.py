"""Walks a session whose runs go faster than real time, for a test to close its terminal or to interrupt it.

Usage: python paced_session.py STUDY SPEED
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from paradigms.console.session import LEAVE, START, Session, Stage
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings


@dataclass(frozen=True)
class PacedStage(Stage):
    """Plays each run with the script beside this one."""

    speed: str = "50"

    def command(self, layout: Layout, *, key: RunKey, how: str = START) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("paced_run.py")), str(layout.root), self.speed, key.ses,
                str(key.run)]


def once(question: str, choices: Sequence[str]) -> str:
    """Start what waits, and leave after one attempt."""
    print(question, flush=True)
    return START if START in choices else LEAVE


def main() -> None:
    study, speed = sys.argv[1:]
    stage = PacedStage("emulated", "virtual", speed=speed)
    walk = Session(Layout(Path(study)), load_settings(Path(study)), stage=stage, ask=once, console=Console())
    for played in walk.play(sub="01", ses="01"):
        print(f"complete: {played.complete}", flush=True)


if __name__ == "__main__":
    main()
