"""Plays a schedule on four devices: absolute deadlines from the first counted pulse, every line on disk.

A run is *safe* until the operator arms it, *waiting* until the trigger comes, *running* until the schedule ends,
then *ended*. Pulses that come while it is safe start nothing. A trigger, a button box or a tracker that is lost
while the run is on is recorded as a fault, and the run goes on. Whatever happens, the journal says how it ended.
"""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any

from paradigms.devices.protocols import Frame, Pixels
from paradigms.playing.intake import Aborted, Intake
from paradigms.playing.marker_queue import PATIENCE_S
from paradigms.playing.run_devices import Devices
from paradigms.playing.tracker_queue import TrackerQueue
from paradigms.playing.trigger_words import missing_pulse
from paradigms.program import ON, STEP, Change, Program, in_order
from paradigms.record.changes import Changes
from paradigms.record.journal import Journal
from paradigms.record.outcome import RunOutcome, Tally, outcome_of
from paradigms.record.watchdog import PulseWatch
from paradigms.recorders.markers import END, ZERO, code_of
from paradigms.schedule import Event, Schedule
from paradigms.texts.screens import BEFORE, CLOSING, READY, RunScreens, screen_frame, screen_id
from subjects.errors import DeviceError, StudyError
from subjects.settings.study import Settings

log = logging.getLogger(__name__)
SYNC_MARGIN_S = 0.25
LOOK_S = 0.5
WAIT_POLL_S = 0.02
"""How often inputs are read while a run waits: what they are stamped does not depend on it."""


class Terminated(SystemExit):
    """The process was asked to end (SIGTERM); its exit status is 128 and the signal's number."""


def play(schedule: Schedule, *, program: Program, devices: Devices, journal: Journal, settings: Settings,
         images: Mapping[str, Pixels], on_event: Callable[[Event], None] | None = None,
         trigger_timeout_s: float | None = None, arm_key: str | None = None,
         screens: RunScreens | None = None) -> RunOutcome:
    """Play a run.

    Parameters
    ----------
    schedule : Schedule
        What is planned.
    program : Program
        What is drawn for it, and when.
    devices : Devices
        The machines; opened here, and closed here whatever happens.
    journal : Journal
        An open journal.
    settings : Settings
        Keys, geometry, dummies.
    images : mapping of str to uint8 array
        Every image of the schedule, by ``image_id``.
    on_event : callable, optional
        Told of every image when it has become visible (progress, operator's view).
    trigger_timeout_s : float, optional
        How long to wait for the arm key, and then for the first pulse. Default: for ever.
    arm_key : str, optional
        The key that arms the run; pulses stamped before its press start nothing and are recorded as strays.
        Default: armed from the beginning.
    screens : RunScreens, optional
        What the subject reads: the task until the run is armed (or, armed from the beginning, until the trigger), get
        ready until the trigger, and the closing screen after the record has its end.

    Returns
    -------
    RunOutcome
        Also for a run that was aborted; nothing is raised for what happens during a run but
        KeyboardInterrupt and SIGTERM, which are recorded first.
    """
    tally = Tally(changes=Changes(1.0 / settings.display.refresh_hz))
    inputs = Intake(devices, journal, tally=tally, pulse_watch=PulseWatch(tr_s=schedule.tr_s), keys=program.keys,
                    abort_key=settings.main.abort_key, arm_key=arm_key)
    run = _Run(schedule, program=program, devices=devices, journal=journal, settings=settings, tally=tally,
               inputs=inputs, on_event=on_event, screens=screens)
    reason = "complete"
    try:
        with run.opened(images):
            with run.tracked():
                run.wait_until_armed(trigger_timeout_s)
                run.wait_for_trigger(trigger_timeout_s)
                run.show_all()
            if screens is not None:
                return run.close(screens)
    except Aborted as stop:
        reason = f"aborted: {stop}"
    except DeviceError as error:
        reason = f"device failed: {error}"
    except (KeyboardInterrupt, Terminated) as stop:
        if run.outcome is None:
            run.finish("terminated" if isinstance(stop, Terminated) else "interrupted")
        raise
    except Exception as error:
        if run.outcome is None:
            run.finish(f"failed: {error!r}")
        raise
    return run.finish(reason)


@dataclass
class _Run:
    """The state of one run while it is played."""

    schedule: Schedule
    program: Program
    devices: Devices
    journal: Journal
    settings: Settings
    tally: Tally
    inputs: Intake
    on_event: Callable[[Event], None] | None
    screens: RunScreens | None = None
    outcome: RunOutcome | None = None
    offsets_s: list[float] = field(default_factory=list)
    looked_s: float = -math.inf
    lit: bool = False

    @contextmanager
    def opened(self, images: Mapping[str, Pixels]) -> Iterator[None]:
        """Open the devices, display first, and close every one of them at the end."""
        devices = self.devices
        with ExitStack() as stack:
            for device in (devices.display, devices.responses, devices.trigger):
                stack.callback(device.close)
                device.open()
            devices.display.preload(images, height_px=self.program.image_px)
            self._flip(self.program.blank)
            if self.screens is not None:
                self._preload_screen(BEFORE, self.screens.before)
                self._preload_screen(READY, self.screens.ready)
            gc.freeze()  # what is here stays: a search through all of it would hold a frame up by a tenth of a second
            stack.callback(gc.unfreeze)
            self.journal.write("start", sync=True, schedule_digest=self.schedule.digest, seed=self.schedule.seed,
                               size_px=devices.display.size_px, refresh_hz=devices.display.refresh_hz)
            if self.screens is not None:
                self._show_screen(BEFORE)
            try:
                yield
            finally:
                if self.outcome is None:
                    self._drain()

    def _preload_screen(self, name: str, picture: Pixels) -> None:
        display = self.devices.display
        display.preload({screen_id(name): picture}, height_px=float(display.size_px[1]))

    def _show_screen(self, name: str) -> None:
        """Show the subject a screen; it stands in the record once that is begun."""
        self._flip(screen_frame(self.program.blank, name=name, height_px=self.devices.display.size_px[1]))
        self.journal.write("screen", name=name)

    def close(self, screens: RunScreens) -> RunOutcome:
        """End the record of a run that was played to its end, then show the closing screen for its time.

        The record has its end before: nothing that happens to the closing screen changes what the run is.
        """
        self._drain()
        outcome = self.finish("complete")
        clock, display = self.devices.clock, self.devices.display
        try:
            self._preload_screen(CLOSING, screens.closing())
            frame = screen_frame(self.program.blank, name=CLOSING, height_px=display.size_px[1])
            display.draw(replace(frame, photodiode=self.lit) if self.settings.display.photodiode else frame)
            display.flip()
            over_s = clock.now() + screens.closing_s
            while clock.now() < over_s:
                display.require_open()
                clock.rest_until(min(over_s, clock.now() + LOOK_S))
        except StudyError as error:
            log.warning("the closing screen: %s", error)
        return outcome

    @property
    def hook(self) -> TrackerQueue:
        """The lab's own tracker."""
        return self.inputs.hook

    def _drain(self) -> None:
        """Record what came in up to the end; a device that has failed has nothing more to say."""
        self.inputs.state = "ended"
        self.inputs.poll()

    @contextmanager
    def tracked(self) -> Iterator[None]:
        """Have the tracker record the run."""
        plan, self.inputs.hook = self.schedule, TrackerQueue(self.devices.tracker)
        self.hook.tell("open")
        self.hook.tell("start_run", f"sub-{plan.sub}_ses-{plan.ses}_task-{plan.task}_run-{plan.run:02d}")
        try:
            yield
        finally:
            self.hook.tell("stop_run")
            self.hook.tell("close")
            counts = self.hook.finish()
            for said in self.hook.heard():
                self.inputs.fault("tracker", said)
            for said, n in counts.items():
                self.inputs.count_fault("tracker", said, n=n)

    def wait_until_armed(self, timeout_s: float | None) -> None:
        """Wait for the operator's key, if there is to be one. An emulated keyboard presses it by itself."""
        if self.inputs.arm_key is None:
            return
        self.inputs.state, self.inputs.safe_s = "safe", self.devices.clock.now()
        self.journal.write("safe", key=self.inputs.arm_key, sync=True)
        if self.devices.prompt is not None:
            self.devices.prompt((self.inputs.arm_key,))
        while self.inputs.armed_s is None:
            self.inputs.poll()
            self.journal.sync_if_due()
            if timeout_s is not None and self.devices.clock.now() - self.inputs.safe_s > timeout_s:
                raise Aborted(f"not armed within {timeout_s:g} s")
            self._rest()

    def wait_for_trigger(self, timeout_s: float | None) -> None:
        """Wait for the first counted pulse, which is time zero by its own stamp; a double counts once."""
        clock, dummies = self.devices.clock, self.settings.scanner.n_dummy_pulses
        self.inputs.state, self.tally.awaited, began = "waiting", True, clock.now()
        if self.screens is not None and self.inputs.arm_key is not None:
            self._show_screen(READY)
        while self.tally.zero is None:
            self.inputs.poll()
            self.journal.sync_if_due()
            if len(self.tally.counted) > dummies:
                self.tally.zero = self.tally.counted[dummies]
                self.journal.write("zero", t=self.tally.zero, sync=True, dummies=dummies, noticed=clock.now())
                self.hook.tell("message", "zero")
                self._mark(ZERO, event=None, due_s=self.tally.zero)
            elif timeout_s is not None and clock.now() - began > timeout_s:
                missing = missing_pulse(self.devices.trigger, n_pulses=len(self.tally.counted), dummies=dummies)
                raise Aborted(f"{missing} within {timeout_s:g} s")
            else:
                self.inputs.look_for_others()
                self._rest()
        self.inputs.state = "running"
        if self.screens is not None and self.first_s > SYNC_MARGIN_S:  # else the first change replaces it
            self._flip(self.program.blank)

    def _rest(self) -> None:
        """Wait a little for whatever comes; less where the first change follows the trigger closely."""
        self._look_at_display()
        nap_s = WAIT_POLL_S if self.first_s > 2.0 * WAIT_POLL_S else 0.0
        self.devices.clock.rest_until(self.devices.clock.now() + max(nap_s, self.devices.poll_s))

    def _look_at_display(self) -> None:
        """See twice a second that the window is still there, while nothing is shown anew."""
        now = self.devices.clock.now()
        if now >= self.looked_s + LOOK_S:
            self.looked_s = now
            self.devices.display.require_open()

    @cached_property
    def first_s(self) -> float:
        """When the first change of the display comes, from time zero."""
        return min((change.at_s for change in islice(self.program.changes(), 1)), default=math.inf)

    def show_all(self) -> None:
        """Make every change at its deadline, then wait for the end of the run."""
        for change in in_order(self.program.changes()):
            self._show(change)
        self._poll_until(self._clock_time(self.schedule.duration_s))
        self._mark(END, event=None, due_s=self._clock_time(self.schedule.duration_s))
        self.inputs.state = "ended"

    def _show(self, change: Change) -> None:
        deadline = self._clock_time(change.at_s)
        display = self.devices.display
        over_s = self._clock_time(change.until_s) - display.lead_s
        if change.what == STEP and change.step is not None and self.devices.clock.now() > over_s:
            self.tally.changes = self.tally.changes.skipped(change.step)
            self.journal.write("skip", planned=round(deadline, 6), step=change.step)
            return
        frame = self._with_diode(change.frame)
        display.draw(frame)
        self._poll_until(deadline - display.lead_s - self.devices.poll_s)
        self.devices.clock.wait_until(deadline - display.lead_s)
        actual = display.flip()
        step: dict[str, Any] = {} if change.step is None else {"step": change.step}
        self.journal.write("flip", t=actual, event=change.event, what=change.what, planned=round(deadline, 6),
                           image_id=change.frame.image_id, **step)
        self.tally.changes = self.tally.changes.shown(actual, planned=deadline, step=change.step)
        if change.what == ON and change.event is not None:
            self.tally.errors_s.append(actual - deadline)
            shown = self.schedule.events[change.event]
            self._mark(shown.trial_type, event=change.event, due_s=actual)
            self.hook.tell("message", f"event {shown.index} {shown.trial_type} {shown.image_id or '-'}")
            if self.on_event is not None:
                self.on_event(self.schedule.events[change.event])

    def _mark(self, name: str, *, event: int | None, due_s: float) -> None:
        """Have a marker sent, and record those that were sent since."""
        markers = self.devices.markers
        if markers is not None:
            markers.send(code_of(self.settings.markers, name), name=name, event=event, due_s=due_s)
            self._record_markers()

    def _record_markers(self) -> None:
        for one in () if self.devices.markers is None else self.devices.markers.heard():
            if one.fault:
                self.inputs.fault("markers", one.fault)
            else:
                self.offsets_s.append(one.offset_s)
                self.journal.write("marker", t=one.sent_s, code=one.code, name=one.name, event=one.event,
                                   due=round(one.due_s, 6))

    def _finish_markers(self) -> None:
        """Wait for the last markers and record how late all of them were."""
        if self.devices.markers is None:
            return
        if n_left := self.devices.markers.finish():
            self.inputs.fault("markers", f"{n_left} markers that were not sent within {PATIENCE_S:g} s of the end")
        self._record_markers()
        told = sorted(self.offsets_s)
        late: dict[str, Any] = {} if not told else {
            "median": round(told[len(told) // 2], 6), "p99": round(told[min(len(told) - 1, int(0.99 * len(told)))], 6),
            "worst": round(told[-1], 6)}
        self.journal.write("markers", n=len(told), **late)

    def _with_diode(self, frame: Frame) -> Frame:
        """Turn the photodiode's square over at every change, if there is to be one; black before the first."""
        if not self.settings.display.photodiode:
            return frame
        self.lit = not self.lit
        return replace(frame, photodiode=self.lit)

    def _flip(self, frame: Frame) -> None:
        self.devices.display.draw(replace(frame, photodiode=False) if self.settings.display.photodiode else frame)
        self.devices.display.flip()

    def _clock_time(self, at_s: float) -> float:
        if self.tally.zero is None:
            raise DeviceError("engine", came="a deadline before the trigger", expected="wait_for_trigger() first",
                              remedy="Keep to the order of calls.")
        return self.tally.zero + at_s

    def _poll_until(self, t: float) -> None:
        clock = self.devices.clock
        self.inputs.poll()
        while (now := clock.now()) < t:
            if t - now > SYNC_MARGIN_S:
                self.journal.sync_if_due()
                self._look_at_display()
            wait = clock.wait_until if t <= now + self.devices.poll_s else clock.rest_until
            wait(min(t, now + self.devices.poll_s))
            self.inputs.poll()

    def finish(self, reason: str) -> RunOutcome:
        """Say how the run went and write its last line."""
        self.inputs.state = "ended"
        self._finish_markers()
        self.inputs.tell_counts()
        outcome = outcome_of(self.tally, schedule=self.schedule, n_dummies=self.settings.scanner.n_dummy_pulses,
                             display=self.settings.display, now_s=self.devices.clock.now(), reason=reason)
        self.outcome = outcome
        self.journal.write("end", sync=True, complete=outcome.complete, reason=reason, watch=outcome.watch.to_json(),
                           changes=outcome.changes.to_json())
        return outcome
