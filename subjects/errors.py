"""The error family: every message says where, what came, what was expected and what to do.

An entry point turns any of these into one line on standard error and exit status 2
(see :func:`subjects.cli.main`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StudyError(Exception):
    """Something that a person can put right.

    Parameters
    ----------
    where : str
        The file, setting or device concerned.
    came : str
        What was found there.
    expected : str
        What should have been found.
    remedy : str
        What to do now, as one sentence.

    Examples
    --------
    >>> str(StudyError("study.toml", came="TR -2", expected="a positive TR", remedy="Correct the TR."))
    'study.toml: TR -2; expected a positive TR. Correct the TR.'
    """

    def __init__(self, where: str, *, came: str, expected: str, remedy: str) -> None:
        self.where, self.came, self.expected, self.remedy = where, came, expected, remedy
        super().__init__(f"{where}: {came}; expected {expected}. {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between worker processes, which pickles by positional arguments."""
        return (_rebuild, (type(self), self.where, self.came, self.expected, self.remedy))


def _rebuild(kind: type[StudyError], where: str, came: str, expected: str, remedy: str) -> StudyError:
    return kind(where, came=came, expected=expected, remedy=remedy)


class SettingsError(StudyError):
    """A settings file or flag that cannot be read as settings."""


class LayoutError(StudyError):
    """A path or name that does not belong in a study folder."""


class ProfileError(StudyError):
    """A subject or session that is unknown or badly named."""


class StoreError(StudyError):
    """A file that may not be written, or is not what its digest says."""


class ManifestError(StudyError):
    """A stimulus manifest, or an image of it, that is invalid."""


class StimulusError(StudyError):
    """An image that could not be made or chosen by the rules."""


class NetworkError(StudyError):
    """A network that is unknown, or whose weights do not fit."""


class ScheduleError(StudyError):
    """A schedule that cannot be made from the settings at hand."""


class DeviceError(StudyError):
    """A display, trigger or button box that is missing or failed."""


class RunLogError(StudyError):
    """A journal or events table that exists already, is missing or cannot be read."""


class AnalysisError(StudyError):
    """Data that cannot be analysed as they stand."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Name the known word closest to a mistyped one, as a sentence.

    Parameters
    ----------
    word : str
        What was typed.
    known : iterable of str
        What could have been meant.

    Returns
    -------
    str
        ``"Did you mean 'x'?"`` or, when nothing is close, the whole list.

    Examples
    --------
    >>> nearest("runz", ["runs", "sessions"])
    "Did you mean 'runs'?"
    """
    options = sorted(known)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known here: {', '.join(options)}."
