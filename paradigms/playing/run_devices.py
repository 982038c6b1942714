"""The machines of a run, in one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from paradigms.devices.protocols import Clock, Display, ResponseDevice, TriggerSource
from paradigms.devices.tracker import NullTracker, Tracker
from paradigms.playing.marker_queue import MarkerQueue


@dataclass(frozen=True)
class Devices:
    """The four machines of a run.

    Parameters
    ----------
    clock, trigger, responses, display
        See :mod:`paradigms.devices.protocols`.
    poll_s : float
        How often inputs are read at least. Stamps do not depend on it; the abort key's effect does.
    prompt : callable, optional
        Has the emulated keyboard press each of some keys; None where a person does.
    tracker : Tracker
        Told of the run's edges and events.
    markers : MarkerQueue or None
        Told of the run's edges and events; its sink is open.
    where : str
        On which X server and screen the picture is.
    preferred : bool
        Whether the system prefers this process to others.
    """

    clock: Clock
    trigger: TriggerSource
    responses: ResponseDevice
    display: Display
    poll_s: float = 0.004
    prompt: Callable[[Sequence[str]], None] | None = None
    tracker: Tracker = field(default_factory=NullTracker)
    markers: MarkerQueue | None = None
    where: str = "no screen: virtual time"
    preferred: bool = False
