"""The key of one run: subject, session, task and run number in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunKey:
    """Which run: subject, session, task, run number."""

    sub: str
    ses: str
    task: str
    run: int

    def names(self) -> dict[str, Any]:
        """Give the entities as keywords for the speller of paths."""
        return {"sub": self.sub, "ses": self.ses, "task": self.task, "run": self.run}
