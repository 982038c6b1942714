"""Which keys there are, and one check over all keys of all devices: each can be heard, and none means two things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from subjects.errors import SettingsError, nearest

if TYPE_CHECKING:
    from subjects.settings.study import Settings

_ROWS = """
    1 2 3 4 5 6 7 8 9 0 a b c d e f g h i j k l m n o p q r s t u v w x y z
    f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 f13 f14 f15 f16 f17 f18 f19
    escape return space tab backspace capslock numlock scrolllock pause menu function less grave pound quoteleft
    minus equal bracketleft bracketright backslash semicolon apostrophe comma period slash
    left right up down home end pageup pagedown insert delete
    lshift rshift lctrl rctrl lalt ralt lwindows rwindows loption roption lcommand rcommand
    add subtract multiply divide enter decimal
"""
KEYS = frozenset(_ROWS.split())
"""Names of the keys as the keyboard tells them, on Linux, Windows or macOS (the number pad's without ``num_``)."""

_MEANT = {"esc": "escape", "enter": "return", " ": "space", "=": "equal", "+": "equal", "-": "minus", ",": "comma",
          ".": "period", "/": "slash", ";": "semicolon", "'": "apostrophe", "[": "bracketleft", "]": "bracketright",
          "\\": "backslash", "del": "delete", "ins": "insert", "pgup": "pageup", "pgdn": "pagedown"}


def require_keys(settings: Settings, *, where: str) -> Settings:
    """Hand settings on if every key in them can be heard and means one thing.

    Parameters
    ----------
    settings : Settings
        The trigger's, the operator's and the paradigms' keys, and the button box's.
    where : str
        Whose settings they are, for the message.

    Raises
    ------
    SettingsError
        For a name that no key has, one key with two meanings, or a serial box without a button for a paradigm's key.
    """
    control = {"scanner.trigger_key": settings.scanner.trigger_key, "main.abort_key": settings.main.abort_key,
               **({"scanner.arm_key": settings.scanner.arm_key} if settings.scanner.arm_key else {})}
    answers = dict(_answers(settings))
    serial = settings.buttons.device == "serial"
    named = {f"instructions.buttons, {words!r}": key for key, words in settings.instructions.buttons}
    typed = control if serial else {**control, **answers, **named}
    for name, key in typed.items():
        if key not in KEYS:
            raise SettingsError(where, came=f"{name} = {key!r}", expected="the name of a key as the keyboard tells it",
                                remedy=_suggestion(key))
    _require_one_meaning(control, answers, where=where)
    buttons = {key for _, key in settings.buttons.keys}
    for name, key in answers.items() if serial else ():
        if key not in buttons:
            raise SettingsError(where, came=f"{name} = {key!r}, which no button of the serial box stands for",
                                expected=f"one of its keys, {', '.join(map(repr, sorted(buttons)))}",
                                remedy=f"Correct {name}, or give buttons.keys a byte for {key!r}.")
    return settings


def _answers(settings: Settings) -> Iterator[tuple[str, str]]:
    """List the keys that answer, by their settings, of the paradigms that have a run."""
    for task, section in settings.paradigms().items():
        if any(section.planned_runs(n_images=1)):
            yield from ((f"{task}.{name}", key) for name, key in section.answer_keys().items())


def _require_one_meaning(control: dict[str, str], answers: dict[str, str], *, where: str) -> None:
    every = {**control, **answers}
    for name, key in every.items():
        for other, its in every.items():
            shared = name in answers and other in answers and _task(name) != _task(other)
            if other != name and its == key and not shared:
                raise SettingsError(where, came=f"{other} and {name} are the same key, {key!r}",
                                    expected="a key of its own for each, but for answers of different paradigms",
                                    remedy=f"Correct {name}; nothing was changed.")


def _task(name: str) -> str:
    return name.partition(".")[0]


def _suggestion(key: str) -> str:
    low = key.strip().lower().removeprefix("num_") if key.strip() else key
    meant = low if low in KEYS else _MEANT.get(low)
    return f"Did you mean {meant!r}?" if meant else nearest(key, KEYS)
