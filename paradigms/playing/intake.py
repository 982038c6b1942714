"""What comes in while a run is on: pulses, presses, faults of devices; recorded as it comes, and heeded."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from paradigms.devices.protocols import Press, Pulse
from paradigms.devices.stuck_keys import StuckKeys, TellsHeld
from paradigms.devices.tracker import NullTracker
from paradigms.playing.run_devices import Devices
from paradigms.playing.tracker_queue import TrackerQueue
from paradigms.playing.trigger_words import said_instead
from paradigms.record.journal import Journal
from paradigms.record.outcome import Tally, fault_text
from paradigms.record.watchdog import PulseWatch
from subjects.errors import DeviceError

log = logging.getLogger(__name__)
T = TypeVar("T")
WARNED = 3
"""How many warnings of one kind a run says as they come; the rest are counted. The journal has every one."""


class Aborted(Exception):  # noqa: N818 - an end, not a fault
    """The run was ended before its time; the message says why."""


@dataclass
class Intake:
    """Reads the inputs of a run and records what they give.

    Parameters
    ----------
    devices : Devices
        The machines.
    journal : Journal
        An open journal.
    tally : Tally
        What has come in so far; added to.
    pulse_watch : PulseWatch
        Says what is amiss with a pulse.
    keys : tuple of str
        The task's keys.
    abort_key : str
        The key that ends the run.
    arm_key : str or None
        The key that arms it; None: armed from the beginning.
    state : str
        ``"closed"``, ``"safe"``, ``"waiting"``, ``"running"`` or ``"ended"``.
    safe_s, armed_s : float or None
        Since when the arm key is waited for, and the stamp of its press.
    hook : TrackerQueue
        The lab's own tracker.
    """

    devices: Devices
    journal: Journal
    tally: Tally
    pulse_watch: PulseWatch
    keys: tuple[str, ...]
    abort_key: str
    arm_key: str | None = None
    state: str = "closed"
    safe_s: float | None = None
    armed_s: float | None = None
    strange: bool = False
    stuck: StuckKeys = field(default_factory=StuckKeys)
    hook: TrackerQueue = field(default_factory=lambda: TrackerQueue(NullTracker()))
    warned: Counter[str] = field(default_factory=Counter)

    def count_fault(self, device: str, said: str, *, n: int) -> None:
        """Record how often a fault came that was recorded once."""
        text = fault_text(device, said)
        if n > 1:
            self.tally.faults[self.tally.faults.index(text)] = fault_text(device, said, n=n)
            self.journal.write("fault", device=device, said=said, n=n)

    def fault(self, device: str, said: str) -> None:
        """Record what a device that was lost says, each thing once."""
        text = fault_text(device, said)
        if text not in self.tally.faults:
            self.tally.faults.append(text)
            log.warning("%s", text)
            self.journal.write("fault", device=device, said=said)

    def poll(self) -> None:
        """Read and record whatever came in, all of it; then heed the abort key."""
        for said in self.hook.heard():
            self.fault("tracker", said)
        if self.journal.refusal is not None:
            self.fault("journal", f"{self.journal.refusal.strerror}; the run goes on, its record waits")
        pulses = self._read("trigger", self.devices.trigger.pulses)
        presses = self._read("buttons", self.devices.responses.presses)
        for press in presses:
            self._take_press(press)
        for pulse in pulses:
            self._take_pulse(pulse)
        for said in self.stuck.look(self._held(), now_s=self.devices.clock.now()):
            self.fault("buttons", said)
        key = self.abort_key
        if self.state in ("safe", "waiting", "running") and any(press.key == key for press in presses):
            raise Aborted(f"key {key!r}")

    def _read(self, device: str, read: Callable[[], list[T]]) -> list[T]:
        """Read an input; one that is lost before time zero ends the run, later it is a fault."""
        try:
            return read()
        except DeviceError as error:
            if self.state not in ("running", "ended"):
                raise
            self.fault(device, str(error))
            return []

    def _held(self) -> Mapping[str, float]:
        """Ask which keys are down, where the device is told of releases."""
        return {} if self.tells_held is None else self.tells_held.keys_down()

    @cached_property
    def tells_held(self) -> TellsHeld | None:
        """The response device, where it is told of releases."""
        responses = self.devices.responses
        return responses if isinstance(responses, TellsHeld) else None

    def _take_pulse(self, pulse: Pulse) -> None:
        if self.arm_key is not None and (self.armed_s is None or pulse.stamp_s < self.armed_s):
            self.tally.strays += 1
            self.journal.write("stray", t=pulse.stamp_s, source=pulse.source, name=pulse.name)
            self._warn("before the run was armed",
                       f"a pulse at {pulse.stamp_s:.3f} s, before the run was armed, starts nothing")
            return
        tally, clock = self.tally, self.devices.clock
        amiss, offset = self.pulse_watch.see(pulse.stamp_s), clock.wall() - clock.now()
        tally.pulses.append(pulse.stamp_s)
        tally.offsets_s.append(offset)
        if amiss != "double":
            tally.counted.append(pulse.stamp_s)
        if amiss:
            kind = "after missed ones" if amiss.endswith("missed") else amiss
            self._warn(kind, f"pulse {len(tally.pulses)} at {pulse.stamp_s:.3f} s: {amiss}")
        self.journal.write("pulse", t=pulse.stamp_s, n=len(tally.pulses), source=pulse.source, name=pulse.name,
                           amiss=amiss, offset=round(offset, 6))

    def _warn(self, kind: str, text: str) -> None:
        """Say the first few of a kind, and count the others: with a wrong TR every pulse is amiss."""
        self.warned[kind] += 1
        if self.warned[kind] <= WARNED:
            more = "; more of this kind are counted, and told at the end" if self.warned[kind] == WARNED else ""
            log.warning("%s%s", text, more)

    def tell_counts(self) -> None:
        """Say how often a warning came of which only the first few were said."""
        for kind, n in self.warned.items():
            if n > WARNED:
                log.warning("%d pulses in all: %s", n, kind)

    def _take_press(self, press: Press) -> None:
        task = press.key in self.keys
        self.tally.presses += task
        self.journal.write("press", t=press.stamp_s, key=press.key, source=press.source, task=task)
        if said := self.stuck.see(press.key, stamp_s=press.stamp_s):
            self.fault("buttons", said)
        asked_s = self.safe_s if self.state == "safe" and self.armed_s is None else None
        if asked_s is not None and press.key == self.arm_key and press.stamp_s >= asked_s:  # not one from before
            self.armed_s = press.stamp_s
            self.journal.write("armed", t=press.stamp_s, sync=True)

    def look_for_others(self) -> None:
        """Record once that something came that is no pulse while none does: a wrong speed, or another byte."""
        if not self.tally.pulses and not self.strange and (said := said_instead(self.devices.trigger)):
            self.strange = True
            self.journal.write("fault", device="trigger", said=said)  # none of the run's once the pulses come
