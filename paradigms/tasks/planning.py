"""What the tasks with their own runs and textures share when they are planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from subjects.errors import ScheduleError
from subjects.provenance import digest_json
from subjects.run_key import label


class Texture(Protocol):
    """A row of the table of textures, as far as the paradigms need it."""

    @property
    def texture_id(self) -> str:
        """Digest of its pixels."""

    @property
    def file(self) -> str:
        """Its file, relative to the stimuli folder."""

    @property
    def kind(self) -> str:
        """What it shows."""


def textures_digest(textures: Sequence[Texture]) -> str:
    """Digest a table of textures."""
    return digest_json([(one.texture_id, one.file, one.kind) for one in textures])


def require_run(counts: Sequence[int], *, ses: str, run: int) -> None:
    """Refuse a run that is not planned.

    Parameters
    ----------
    counts : sequence of int
        Runs of the task in session 01, 02, ...
    ses, run
        Session label and run number, from 1.

    Raises
    ------
    ScheduleError
        If there is no such session or run.
    """
    planned = {label("ses", k + 1): count for k, count in enumerate(counts)}
    if ses not in planned:
        raise ScheduleError("session", came=repr(ses), expected=f"one of {', '.join(planned) or 'none planned'}",
                            remedy="See `python -m subjects plan`.")
    if not 1 <= run <= planned[ses]:
        raise ScheduleError(f"run of session {ses}", came=str(run), expected=f"1 to {planned[ses]}",
                            remedy="See `python -m subjects plan`.")
