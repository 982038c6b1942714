"""The attempts at a run: their numbers, their files, and which came before which."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.store import give_lock, is_locked, take_lock

CLAIM_S = 1.0
"""How long a claim is tried for: whoever only looks whether there is one holds it for a moment."""


@dataclass(frozen=True)
class RunFiles:
    """Where one attempt at a run, or one excerpt of it, keeps its plan, settings and record."""

    schedule: Path
    settings: Path
    journal: Path


def attempts(layout: Layout, key: RunKey) -> tuple[Path, ...]:
    """List the journals of every attempt at a run, first to last."""
    return tuple(sorted(layout.source_dir(key.sub, key.ses).glob(f"{key}_attempt-*_journal.jsonl")))


def last_attempt(layout: Layout, key: RunKey) -> int:
    """Give the number of the last attempt at a run that left any file, 0 if there is none."""
    pattern = re.compile(rf"{key}_attempt-(\d+)_")
    found = (pattern.match(path.name) for path in layout.source_dir(key.sub, key.ses).glob(f"{key}_attempt-*"))
    return max((int(match[1]) for match in found if match), default=0)


def attempt_files(layout: Layout, key: RunKey, *, attempt: int) -> RunFiles:
    """Spell the files of one attempt."""
    return RunFiles(*(spell(key, attempt=attempt)
                      for spell in (layout.schedule, layout.resolved_settings, layout.journal)))


def excerpt_files(layout: Layout, key: RunKey, *, folder: Path | None = None) -> RunFiles:
    """Spell the files of a new excerpt of a run, in ``sourcedata/excerpts`` unless told otherwise."""
    folder = layout.root / "sourcedata" / "excerpts" if folder is None else Path(folder)
    name = f"{key}_excerpt-"
    taken = [int(match[1]) for path in folder.glob(f"{name}*")
             if (match := re.match(r"(\d+)_", path.name.removeprefix(name)))]
    first = folder / f"{name}{max(taken, default=0) + 1:02d}"
    return RunFiles(*(first.with_name(f"{first.name}_{suffix}")
                      for suffix in ("schedule.json", "settings.json", "journal.jsonl")))


def earlier_attempts(layout: Layout, key: RunKey, *, attempt: int) -> list[str]:
    """Name the journals of the attempts before one, relative to the study, so that a record links to them."""
    mine = layout.journal(key, attempt=attempt).name
    return [path.relative_to(layout.root).as_posix() for path in attempts(layout, key) if path.name < mine]


def _claim_of(layout: Layout, sub: str) -> Path:
    return layout.profile(sub).with_name(f"sub-{sub}_playing.lock")


@contextlib.contextmanager
def claimed(layout: Layout, key: RunKey, *, attempt: int) -> Iterator[None]:
    """Tell every other process that an attempt at a run is being opened or played; the claim ends with this process.

    The journal tells as much once it is there; devices and pictures take some seconds before.

    Raises
    ------
    RunLogError
        If another process opens or plays a run of the subject.
    """
    path = _claim_of(layout, key.sub)
    if not path.parent.is_dir():  # no such subject, which is told in its time
        yield
        return
    file = take_lock(path, patience_s=CLAIM_S)
    if file is None:
        raise RunLogError(f"sub-{key.sub}", came="a run that is being opened or played now",
                          expected="one run at a time",
                          remedy="Wait until it ends; `run_session.py session` follows it. Nothing was changed.")
    try:
        os.write(file, json.dumps({**key.entities(), "attempt": attempt}).encode())
        yield
    finally:
        give_lock(path, file)


def find_claim(layout: Layout, *, sub: str) -> tuple[RunKey, int] | None:
    """Give the run and attempt that some process has claimed for a subject; None if there is none."""
    path = _claim_of(layout, sub)
    try:
        if not is_locked(path):
            return None
        told = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # none, given up, or claimed at this moment
        return None
    return RunKey(told["sub"], told["ses"], told["task"], int(told["run"])), int(told["attempt"])
