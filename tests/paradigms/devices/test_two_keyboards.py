"""Only named keyboards, or the subject's window, trigger and answer; two keyboards of an X server, one named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paradigms.devices.keyboard import Authority
from paradigms.devices.keyboard_queues import QueuedKeyboard, require_keyboards
from paradigms.devices.platforms.focus import window_has_focus
from subjects.errors import DeviceError

ROOT = Path(__file__).resolve().parents[3]
BOX, OTHER = "box XTEST keyboard", "Virtual core XTEST keyboard"


@pytest.fixture(scope="module")
def typed() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "tests.paradigms.two_keyboards"], cwd=ROOT, check=False, text=True,
                          capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.window
def test_a_named_box_triggers_and_answers_and_the_operators_keyboard_arms_and_aborts(typed: dict[str, Any]) -> None:
    assert {BOX, OTHER} <= set(typed["keyboards"])
    assert typed["box named"]["pulses"] == [f"{BOX}: 5"]
    assert typed["box named"]["presses"] == [
        f"{BOX}: escape", "1", f"{BOX}: space", "escape", f"{OTHER}: 1", f"{OTHER}: 5", "space"]


@pytest.mark.window
def test_keys_typed_in_another_window_are_told_and_count_for_nothing(typed: dict[str, Any]) -> None:
    assert typed["elsewhere"] == {"pulses": [], "presses": [f"another window: {key}" for key in (
        "escape", "1", "5", "space")] * 2}
    assert len(typed["in window"]["pulses"]) == 2
    assert typed["in window"]["presses"] == ["escape", "1", "space"] * 2


@pytest.mark.window
def test_a_box_that_is_not_plugged_in_is_named(typed: dict[str, Any]) -> None:
    assert typed["missing"].startswith("keyboard.devices: 'box XTEST keybord', which is not there")
    assert f"Did you mean {BOX!r}?" in typed["missing"]


def test_two_keyboards_of_one_name_are_not_told_apart() -> None:
    with pytest.raises(DeviceError, match="'Box', the name of 2 keyboards"):
        require_keyboards(("Box",), found=("Box", "Dell", "Box"))
    require_keyboards(("Dell",), found=("Box", "Dell", "Box"))


def test_the_focus_is_asked_for_when_a_key_has_come() -> None:
    focus = iter((True, False))
    authority = Authority(("Box",), frozenset({"escape"}), in_window=lambda: next(focus))
    assert [authority.name("5", device="Box"), authority.name("escape", device="Dell"),
            authority.name("escape", device="Dell")] == ["5", "escape", "another window: escape"]


class Queue:
    """A queue of Psychtoolbox's with events that were put into it."""

    def __init__(self) -> None:
        self.events: deque[dict[str, Any]] = deque()

    def put(self, code: int, pressed: bool, at: float) -> None:
        self.events.append({"Keycode": code, "Pressed": pressed, "Time": at})

    def flush(self, *, flush_type: int) -> int:
        return len(self.events)

    def queue_get_event(self) -> tuple[dict[str, Any], int]:
        return self.events.popleft(), len(self.events)


def test_a_queue_gives_every_press_however_short() -> None:
    queue = Queue()
    board = QueuedKeyboard(queue, key_names={11: "1", 15: "5"}, clock=None)
    for code, pressed, at in ((15, True, 1.0), (15, False, 1.002), (11, True, 1.1), (99, True, 1.2)):
        queue.put(code, pressed, at)
    assert [(key.name, key.tDown) for key in board.getKeys(waitRelease=False, clear=False)] == [
        ("1", 1.1), ("code 99", 1.2)]
    released = board.getKeys(waitRelease=True, clear=True)
    assert [(key.name, key.tDown, key.duration) for key in released] == [("5", 1.0, pytest.approx(0.002))]
    assert board.getKeys(waitRelease=True, clear=True) == []
    queue.put(11, True, 2.0)  # the release before it was missed
    assert [key.tDown for key in board.getKeys(waitRelease=True, clear=True)] == [1.1]
    assert [key.tDown for key in board.getKeys(waitRelease=False, clear=False)] == [1.2, 2.0]
    board.clearEvents()
    assert board.getKeys(waitRelease=False, clear=False) == []


@pytest.mark.parametrize(("platform", "handle"), [
    ("win32", SimpleNamespace(_hwnd=7)), ("darwin", SimpleNamespace(_nswindow=SimpleNamespace(isKeyWindow=lambda: 1)))])
def test_the_focus_is_asked_of_each_platform(platform: str, handle: Any) -> None:
    library = SimpleNamespace(GetForegroundWindow=lambda: 7)
    assert window_has_focus(handle, platform=platform, load={"user32": library}.__getitem__)
    if platform == "win32":
        assert not window_has_focus(SimpleNamespace(_hwnd=8), platform=platform, load={"user32": library}.__getitem__)
