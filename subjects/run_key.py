"""BIDS labels, and the key of one run: subject, session, task and run number in one record."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

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
    part : int
        A run that was shown in several attempts has as many parts, each with a BOLD file and an events table of its
        own. The first is named as a whole run is; later ones carry the BIDS entity ``acq-part2``, ``acq-part3``, ...

    Raises
    ------
    LayoutError
        For a label of other characters or that is no text, or a number that is no whole number from 1.

    Examples
    --------
    >>> str(RunKey("01", "02", "main", 3))
    'sub-01_ses-02_task-main_run-3'
    >>> str(RunKey("01", "02", "main", 3, part=2))
    'sub-01_ses-02_task-main_acq-part2_run-3'
    """

    sub: str
    ses: str
    task: str
    run: int
    part: int = 1

    def __post_init__(self) -> None:
        for kind in ("sub", "ses", "task"):
            value = getattr(self, kind)
            if not isinstance(value, str):
                raise LayoutError(f"{kind} label", came=repr(value), expected="text of letters and digits",
                                  remedy=f"Write {str(value)!r}.")
            label(kind, value)
        for kind in ("run", "part"):
            value = getattr(self, kind)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise LayoutError(f"{kind} of sub-{self.sub} ses-{self.ses} task-{self.task}", came=repr(value),
                                  expected="a whole number from 1",
                                  remedy=f"{kind.title()}s are counted from 1; see the run sheet.")

    @property
    def whole(self) -> RunKey:
        """The run that this is a part of."""
        return replace(self, part=1)

    def entities(self) -> dict[str, str | int]:
        """Give its parts by name, as JSON holds them."""
        return {name: value for name, value in asdict(self).items() if name != "part" or self.part > 1}

    def __str__(self) -> str:
        """Spell the name that all files of the run share, as BIDS does."""
        part = f"_acq-part{self.part}" if self.part > 1 else ""
        return f"sub-{self.sub}_ses-{self.ses}_task-{self.task}{part}_run-{self.run}"
