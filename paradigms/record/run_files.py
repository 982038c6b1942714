"""The attempts at a run: their numbers, their files, and which came before which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from subjects.layout import Layout
from subjects.run_key import RunKey


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
