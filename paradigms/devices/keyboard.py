"""One keyboard as trigger and button box: every key once, stamped in the run's clock.

PsychoPy's keyboard stamps keys by the wall clock on Linux, which can be stepped during a run: its offset to the
monotonic clock is taken again at every poll.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paradigms.devices.protocols import Clock, Press, Pulse
from subjects.errors import DeviceError

log = logging.getLogger(__name__)
_STEP_S = 0.001
_SLACK_S = 0.05


_Mark = tuple[str, float, str]
"""Key, stamp of its press, keyboard."""


@dataclass(frozen=True)
class _Heard:
    """A key that went down, stamped in the clock's seconds."""

    stamp_s: float
    key: str


@dataclass(frozen=True)
class Authority:
    """Which keys of which keyboards count.

    Parameters
    ----------
    devices : tuple of str
        Keyboards that trigger and answer, and do not arm or abort; the others arm and abort, and no more. Empty:
        every keyboard does all.
    operator_keys : frozenset of str
        The keys that arm and abort.
    in_window : callable, optional
        Whether the subject's window has the focus: keys of keyboards that are not named count only then. Default:
        they count wherever the focus is.
    """

    devices: tuple[str, ...] = ()
    operator_keys: frozenset[str] = frozenset()
    in_window: Callable[[], bool] | None = None

    def name(self, key: str, *, device: str) -> str:
        """Give the name under which a key is told: its own if it counts, else with where it came from.

        Examples
        --------
        >>> box = Authority(("Box",), frozenset({"escape"}))
        >>> [box.name(key, device=device) for key in ("5", "escape") for device in ("Box", "Dell")]
        ['5', 'Dell: 5', 'Box: escape', 'escape']
        """
        named = device in self.devices
        if not named and self.in_window is not None and not self.in_window():
            return f"another window: {key}"
        operators = key in self.operator_keys
        return key if not self.devices or operators != named else f"{device}: {key}"


EVERY_KEY = Authority()


class KeyboardHub:
    """One keyboard for trigger and responses, so that neither takes the other's keys.

    Parameters
    ----------
    connect : callable
        Gives the keyboards by their names: objects with the methods of ``psychopy.hardware.keyboard.Keyboard``, all on
        one clock.
    clock : Clock
        Whose time stamps are given in.
    trigger_key : str
        Goes to the trigger; every other key to the responses.
    authority : Authority
        Which keys of which keyboards count.
    """

    def __init__(self, connect: Callable[[], Mapping[str, Any]], *, clock: Clock, trigger_key: str,
                 authority: Authority = EVERY_KEY) -> None:
        self._connect, self._authority = connect, authority
        self._clock, self._trigger_key = clock, trigger_key
        self._keyboards: dict[str, Any] = {}
        self._offset_s = self._polled_s = 0.0
        self._users = 0
        self._seen: dict[_Mark, None] = {}
        self._down: dict[_Mark, _Heard] = {}
        self._queues: dict[bool, list[_Heard]] = {True: [], False: []}

    def open(self) -> None:
        """Listen from now on; counts its users."""
        self._users += 1
        if self._keyboards:
            return
        try:
            self._keyboards = dict(self._connect())
        except DeviceError:
            raise
        except Exception as error:
            raise DeviceError("keyboard", came=f"no keyboard ({error})", expected="the ptb keyboard backend",
                              remedy="Check that a keyboard is plugged in and may be read.") from error
        for board in self._keyboards.values():
            board.clearEvents()
        self._offset_s, self._polled_s = self._measure_offset(readings=50), self._clock.now()

    def close(self) -> None:
        """Let go of the keyboard when the last user is gone.

        It is not stopped: a queue of Psychtoolbox's that was stopped hears nothing more when it is started again.
        """
        self._users = max(0, self._users - 1)
        if not self._users:
            self._keyboards = {}

    def keys_down(self) -> dict[str, float]:
        """Give the keys that are down, each with the stamp of its press."""
        return {one.key: one.stamp_s for one in self._down.values()}

    def _measure_offset(self, *, readings: int = 3) -> float:
        """Give this clock minus the keyboard's (on Linux that is the wall clock), the best of some readings."""
        best = (float("inf"), 0.0)
        board = next(iter(self._keyboards.values()))
        for _ in range(readings):
            before = self._clock.now()
            theirs = board.clock.getTime()
            after = self._clock.now()
            best = min(best, (after - before, (before + after) / 2 - theirs))
        return best[1]

    def hear(self, *, trigger: bool) -> list[_Heard]:
        """Give the keys of the trigger, or all others, since the last call."""
        self._listen()
        heard, self._queues[trigger] = self._queues[trigger], []
        return sorted(heard, key=lambda one: one.stamp_s)

    def _listen(self) -> None:
        if not self._keyboards:
            return
        fresh: dict[_Mark, float] = {}
        released: list[_Mark] = []
        for device, board in self._keyboards.items():
            for wait in (False, True):
                for key in board.getKeys(waitRelease=wait, clear=wait):
                    mark = (str(key.name), float(key.tDown), device)
                    if mark not in self._seen:
                        self._seen[mark] = None
                        fresh[mark] = float(key.rt)
                    if wait:
                        released.append(mark)
        self._forget()
        offset, polled = self._measure_offset(), self._clock.now()
        if abs(offset - self._offset_s) > _STEP_S:
            log.warning("the keyboard's clock was stepped by %.3f s; its stamps are put right",
                        self._offset_s - offset)
        for mark, down in fresh.items():
            key_name = self._authority.name(mark[0].removeprefix("num_"), device=mark[2])
            heard = _Heard(self._stamp(down, offset_s=offset, polled_s=polled), key_name)
            self._queues[heard.key == self._trigger_key].append(heard)
            self._down[mark] = heard
        for mark in released:
            self._down.pop(mark, None)
        self._offset_s, self._polled_s = offset, polled

    def _stamp(self, down_s: float, *, offset_s: float, polled_s: float) -> float:
        """Turn a keyboard's stamp into this clock's; it is between the last poll and this one.

        When the keyboard's clock was stepped between the polls, a key may have come before or after the step.
        """
        for offset in (offset_s, self._offset_s):
            if self._polled_s - _SLACK_S <= down_s + offset <= polled_s + _STEP_S:
                return min(down_s + offset, polled_s)
        return min(down_s + offset_s, polled_s)

    def _forget(self) -> None:
        """Keep the memory of presses bounded; a press is told twice at most within its own hold."""
        while len(self._seen) > 4096:
            self._seen.pop(next(iter(self._seen)))


class KeyboardTrigger:
    """A scanner's trigger that arrives as a key."""

    def __init__(self, hub: KeyboardHub) -> None:
        self._hub = hub

    def open(self) -> None:
        """Start listening."""
        self._hub.open()

    def close(self) -> None:
        """Stop listening."""
        self._hub.close()

    def pulses(self) -> list[Pulse]:
        """Give the pulses since the last call."""
        return [Pulse(one.stamp_s, "keyboard", one.key) for one in self._hub.hear(trigger=True)]


class KeyboardResponses:
    """A button box that types, and the operator's abort key."""

    def __init__(self, hub: KeyboardHub) -> None:
        self._hub = hub

    def open(self) -> None:
        """Start listening."""
        self._hub.open()

    def close(self) -> None:
        """Stop listening."""
        self._hub.close()

    def presses(self) -> list[Press]:
        """Give the presses since the last call."""
        return [Press(one.stamp_s, one.key, "keyboard") for one in self._hub.hear(trigger=False)]

    def keys_down(self) -> dict[str, float]:
        """Give the keys that are down, the trigger's too, each with the stamp of its press."""
        return self._hub.keys_down()
