"""A hook for an eye tracker, or anything else that wants to know what a run does and when.

The engine tells a tracker of the edges of a run and of every event. A tracker can fail: it is then named in the
record, and the run goes on.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from subjects.errors import DeviceError, nearest
from subjects.layout import Layout
from subjects.machine import require_trust
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings


@runtime_checkable
class Tracker(Protocol):
    """What a tracker must do. Calls are made one after the other in a thread of their own, as soon as that is free."""

    def open(self) -> None:
        """Connect. Called once a run, before the trigger is waited for."""

    def start_run(self, name: str) -> None:
        """Start recording; `name` is the run's, as in its files."""

    def message(self, text: str) -> None:
        """Put a text into the recording: ``"zero"``, and ``"event INDEX TYPE IMAGE"`` just after the flip."""

    def stop_run(self) -> None:
        """Stop recording and keep it."""

    def close(self) -> None:
        """Disconnect."""


class NullTracker:
    """No tracker."""

    def open(self) -> None:
        """Do nothing."""

    def start_run(self, name: str) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Do nothing."""

    def stop_run(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass
class RecordingTracker:
    """A tracker that keeps what it is told; on request it fails.

    Parameters
    ----------
    failing : tuple of str
        Names of calls that raise.
    told : list of (str, ...)
        The calls with their words, in order.
    """

    failing: tuple[str, ...] = ()
    told: list[tuple[str, ...]] = field(default_factory=list)

    def _tell(self, *words: str) -> None:
        self.told.append(words)
        if words[0] in self.failing:
            raise RuntimeError(f"{words[0]} failed")

    def open(self) -> None:
        """Keep it."""
        self._tell("open")

    def start_run(self, name: str) -> None:
        """Keep it."""
        self._tell("start_run", name)

    def message(self, text: str) -> None:
        """Keep it."""
        self._tell("message", text)

    def stop_run(self) -> None:
        """Keep it."""
        self._tell("stop_run")

    def close(self) -> None:
        """Keep it."""
        self._tell("close")


@dataclass(frozen=True)
class Consent:
    """Who agreed to run the tracker's code on this computer.

    Parameters
    ----------
    site : Path, optional
        The site's settings file. The people at the scanner wrote it: a tracker that it names may run.
    trust : bool
        Whether ``--trust`` was given; kept on this computer for later commands.
    """

    site: Path | None = None
    trust: bool = False


NO_CONSENT = Consent()
EYELINK = "eyelink"


def make_tracker(layout: Layout, settings: Settings, *, consent: Consent) -> Tracker:
    """Make the tracker that the settings name, if its code may run on this computer.

    Raises
    ------
    SettingsError
        If only the study names it and nobody trusted it here; nothing of it was imported.
    DeviceError
        As :func:`load_tracker`.
    """
    named = settings.hooks.tracker
    if named == EYELINK:  # the toolkit's own: nobody has to be trusted
        made = importlib.import_module("paradigms.recorders.eyelink").make(layout, settings)
        assert isinstance(made, Tracker)
        return made
    site = consent.site
    if named and (site is None or load_settings(site=site).hooks.tracker != named):
        require_trust(layout.root, named, where=f"{layout.settings_file}, hooks.tracker", trust=consent.trust)
    return load_tracker(named)


def load_tracker(named: str) -> Tracker:
    """Make the tracker that the settings name.

    Parameters
    ----------
    named : str
        ``"package.module:function"``, a function without arguments; empty for no tracker.

    Returns
    -------
    Tracker

    Raises
    ------
    DeviceError
        If there is no such function, or what it gives is no tracker.
    """
    if not named:
        return NullTracker()
    module, colon, function = named.partition(":")
    if not (module and colon and function):
        raise _refusal(named, came="no module and function", remedy='For example: tracker = "eyelink_lab.hook:make"')
    try:
        place = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise _refusal(named, came=f"a module that cannot be imported ({error})",
                       remedy="Install the lab's package beside this one, or correct the name.") from error
    make = getattr(place, function, None)
    if not callable(make):
        names = [name for name in vars(place) if not name.startswith("_")]
        raise _refusal(named, came=f"no function {function!r}", remedy=nearest(function, names))
    try:
        made = make()
    except (Exception, SystemExit) as error:
        raise _refusal(named, came=f"a function that failed ({error!r})", remedy="Try it alone.") from error
    if not isinstance(made, Tracker):
        raise _refusal(named, came=f"a {type(made).__name__}", remedy="See docs/devices.md for its five methods.")
    return made


def _refusal(named: str, *, came: str, remedy: str) -> DeviceError:
    return DeviceError(f"hooks.tracker = {named!r}", came=came, remedy=remedy,
                       expected='"package.module:function" that gives a tracker')
