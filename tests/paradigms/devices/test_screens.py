"""Which screen is the subject's: chosen by index or name, never guessed; two monitors under Xvfb."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradigms.console.geometry_card import draw_card
from paradigms.devices.screens import Screen, choose_screen, windows_name
from subjects.dataset import init_study
from subjects.errors import DeviceError
from subjects.layout import Layout
from subjects.settings.display import DisplaySettings
from tests.paradigms.two_monitors import LEFT, RIGHT, photograph, two_monitors

ROOT = Path(__file__).resolve().parents[3]
OPERATOR, SUBJECT = Screen(0, "eDP-1", 0, 0, 1920, 1200), Screen(1, "HDMI-1", 1920, 0, 1920, 1080)
BOTH = (OPERATOR, SUBJECT)


@pytest.mark.parametrize(("screens", "wanted", "fullscreen", "ours", "chosen"), [
    (BOTH, 1, True, False, SUBJECT), (BOTH, "HDMI-1", True, False, SUBJECT), (BOTH, 0, True, False, OPERATOR),
    (BOTH, None, False, False, OPERATOR), ((OPERATOR,), None, False, False, OPERATOR),
    ((OPERATOR,), None, True, True, OPERATOR),
])
def test_the_screen_is_the_one_that_was_asked_for(screens: tuple[Screen, ...], wanted: int | str | None,
                                                  fullscreen: bool, ours: bool, chosen: Screen) -> None:
    settings = DisplaySettings(screen=wanted)
    assert choose_screen(screens, settings=settings, fullscreen=fullscreen, ours=ours) is chosen


@pytest.mark.parametrize(("screens", "wanted", "said"), [
    (BOTH, None, "2 screens and none named; expected the subject's, by index or name: 0: eDP-1, 1920x1200 at 0, 0; 1:"),
    (BOTH, 2, "screen 2, which is not there"),
    (BOTH, "HDMI-2", "Did you mean 'HDMI-1'?"),
    ((OPERATOR, Screen(1, "eDP-1", 1920, 0, 640, 480)), "eDP-1", "screen 'eDP-1', the name of 2"),
    ((OPERATOR,), None, "one screen, the operator's too (0: eDP-1"),
    ((OPERATOR,), 0, "one screen, the operator's too (0: eDP-1"),
])
def test_no_screen_is_guessed(screens: tuple[Screen, ...], wanted: int | str | None, said: str) -> None:
    with pytest.raises(DeviceError, match=re.escape(said)):
        choose_screen(screens, settings=DisplaySettings(screen=wanted), fullscreen=True)


def test_the_only_screen_is_used_where_that_is_allowed() -> None:
    settings = DisplaySettings(only_screen=True)
    assert choose_screen((OPERATOR,), settings=settings, fullscreen=True) is OPERATOR


def test_windows_names_its_monitors() -> None:
    class User32:
        def GetMonitorInfoW(self, handle: int, info: Any) -> int:
            assert (handle, info._obj.size) == (7, 104)  # sizeof(MONITORINFOEXW)
            info._obj.device[:12] = [ord(letter) for letter in r"\\.\DISPLAY2"]
            return 1

    assert windows_name(7, user32=User32()) == r"\\.\DISPLAY2"


@pytest.fixture(scope="module")
def desktop() -> Iterator[str]:
    with two_monitors() as name:
        yield name


def _command(display: str, *words: str) -> list[str]:
    return ["env", f"DISPLAY={display}", sys.executable, "run_session.py", *words]


@pytest.mark.window
def test_the_list_names_both_monitors(desktop: str) -> None:
    done = subprocess.run(_command(desktop, "screens", "--json"), cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        {"index": 0, "name": "LEFT", "x_px": 0, "y_px": 0, "width_px": LEFT[0], "height_px": LEFT[1]},
        {"index": 1, "name": "RIGHT", "x_px": LEFT[0], "y_px": 0, "width_px": RIGHT[0], "height_px": RIGHT[1]}]


@pytest.mark.window
@pytest.mark.parametrize(("screen", "size", "left"), [("RIGHT", RIGHT, LEFT[0]), (0, LEFT, 0)])
def test_the_card_fills_the_screen_asked_for_and_leaves_the_other_alone(
        desktop: str, tmp_path: Path, screen: int | str, size: tuple[int, int], left: int) -> None:
    shown = {"width_px": size[0], "height_px": size[1], "width_cm": 60.0, "height_cm": 40.0, "distance_cm": 150.0}
    layout: Layout = init_study(Layout(tmp_path / "study"), name="two", seed=1, changes={
        "display": {**shown, "screen": screen}})
    card = draw_card(DisplaySettings(**shown))
    place = (slice(0, size[1]), slice(left, left + size[0]))
    process = subprocess.Popen(_command(desktop, "card", "--study", str(layout.root), "--seconds", "30"), cwd=ROOT)
    try:
        seen, end = photograph(desktop), time.monotonic() + 60.0
        while not np.array_equal(seen[place], card) and time.monotonic() < end and process.poll() is None:
            time.sleep(0.2)
            seen = photograph(desktop)
        if keep := os.environ.get("KEEP_PICTURES"):
            from PIL import Image

            Image.fromarray(seen).save(Path(keep) / f"screen_{screen}.png")
    finally:
        process.kill()
        process.wait()
    assert np.array_equal(seen[place], card)
    other = seen.copy()
    other[place] = 0
    assert not other.any()
