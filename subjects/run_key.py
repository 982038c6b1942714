"""BIDS labels, and the key of one run: subject, session, task and run number in one record."""

from __future__ import annotations

import re
from dataclasses import dataclass

from subjects.errors import LayoutError

_LABEL = re.compile(r"[A-Za-z0-9]+\Z")


def label(kind: str, value: str | int) -> str:
    """Check a BIDS label and give it as text; numbers get two digits for subjects and sessions.

    Parameters
    ----------
    kind : str
        The entity: ``"sub"``, ``"ses"``, ``"task"``, ``"hemi"``, ...
    value : str or int
        The label, for example ``1`` or ``"01"``.

    Raises
    ------
    LayoutError
        If it holds anything but letters and digits; the message offers a corrected one.

    Examples
    --------
    >>> label("sub", 1)
    '01'
    """
    text = f"{value:02d}" if isinstance(value, int) else str(value)
    if _LABEL.match(text):
        return text
    bare = re.sub(r"[^A-Za-z0-9]", "", text.removeprefix(f"{kind}-"))
    raise LayoutError(f"{kind} label", came=repr(text), expected="letters and digits only",
                      remedy=f"Write {bare!r}." if bare else "Choose a label such as '01'.")


@dataclass(frozen=True, order=True)
class RunKey:
    """Which run of a study: handed from call to call in the place of its four parts.

    Parameters
    ----------
    sub, ses, task : str
        Labels of subject, session and task: letters and digits, without the entity's name (``"01"``).
    run : int
        Run number, from 1.

    Raises
    ------
    LayoutError
        For a label of other characters or that is no text, or a run number that is no whole number from 1.

    Examples
    --------
    >>> str(RunKey("01", "02", "main", 3))
    'sub-01_ses-02_task-main_run-3'
    """

    sub: str
    ses: str
    task: str
    run: int

    def __post_init__(self) -> None:
        for kind in ("sub", "ses", "task"):
            value = getattr(self, kind)
            if not isinstance(value, str):
                raise LayoutError(f"{kind} label", came=repr(value), expected="text of letters and digits",
                                  remedy=f"Write {str(value)!r}.")
            label(kind, value)
        if isinstance(self.run, bool) or not isinstance(self.run, int) or self.run < 1:
            raise LayoutError(f"run of sub-{self.sub} ses-{self.ses} task-{self.task}", came=repr(self.run),
                              expected="a whole number from 1", remedy="Runs are counted from 1; see the run sheet.")

    def __str__(self) -> str:
        """Spell the name that all files of the run share, as BIDS does."""
        return f"sub-{self.sub}_ses-{self.ses}_task-{self.task}_run-{self.run}"
