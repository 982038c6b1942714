"""Window and keyboard of a run, opened together."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from paradigms.devices.keyboard import Authority, KeyboardHub, KeyboardResponses, KeyboardTrigger
from paradigms.devices.protocols import Clock
from paradigms.devices.screens import Screen
from paradigms.devices.window import PsychoPyDisplay, connect_each, connect_keyboard
from subjects.settings.devices import KeyboardSettings
from subjects.settings.study import Settings


@dataclass(frozen=True)
class Console:
    """The real display, trigger and responses."""

    display: PsychoPyDisplay
    trigger: KeyboardTrigger
    responses: KeyboardResponses


@contextlib.contextmanager
def open_console(settings: Settings, *, clock: Clock, fullscreen: bool = True, trigger_key: str | None = None,
                 screen: Screen | None = None, every_key: bool = False) -> Iterator[Console]:
    """Open window and keyboard for as long as the block lasts.

    Parameters
    ----------
    settings : Settings
        Display, trigger key.
    clock : Clock
        The hardware clock.
    fullscreen : bool
        See :class:`PsychoPyDisplay`.
    trigger_key : str, optional
        Key that is the trigger, none if empty. Default: that of the settings.
    screen : Screen, optional
        Which screen; default: the window system's first.
    every_key : bool
        Let every key of every keyboard count, whatever the settings say: sent keys come from no box.
    """
    key = settings.scanner.trigger_key if trigger_key is None else trigger_key
    display = PsychoPyDisplay(settings.display, clock=clock, fullscreen=fullscreen, screen=screen)
    asked = KeyboardSettings() if every_key else settings.keyboard
    authority = Authority(asked.devices, frozenset({settings.scanner.arm_key, settings.main.abort_key}),
                          in_window=display.has_focus if asked.only_in_window else None)
    connect = functools.partial(connect_each, asked.devices) if asked.devices else connect_keyboard
    hub = KeyboardHub(connect, clock=clock, trigger_key=key, authority=authority)
    console = Console(display, KeyboardTrigger(hub), KeyboardResponses(hub))
    devices: Sequence[Any] = (console.display, console.trigger, console.responses)
    try:
        for device in devices:
            device.open()
        yield console
    finally:
        for device in devices:
            device.close()
