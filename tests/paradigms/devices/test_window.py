"""The real window and keyboard at the study's full size, under Xvfb, probed in a process of its own."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paradigms.playing.excerpt import play_excerpt
from paradigms.runlog import of_kind, read_journal
from subjects.layout import Layout
from subjects.settings.study import Settings

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.window


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    named = ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")
    kept = {name: value for name, value in os.environ.items() if name not in named}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**kept, "PYTHONPATH": str(ROOT), **environment}, timeout=240)


@pytest.fixture(scope="module")
def probed() -> dict[str, Any]:
    done = _python("tests/paradigms/window_probe.py")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_image_has_its_angle_and_stands_upright(probed: dict[str, Any]) -> None:
    screen = probed["screen"]
    wanted = 2 * 168 * math.tan(math.radians(6)) * 1920 / 89
    assert abs(screen["height"] - wanted) <= 2
    assert abs(screen["width"] - wanted) <= 2
    assert screen["centre"] == pytest.approx([539.5, 959.5], abs=1.5)
    assert screen["corners"] == {"top left": [250, 10, 10], "top right": [10, 250, 10], "bottom left": [10, 10, 250]}


def test_the_background_is_exact_and_the_fixation_point_round(probed: dict[str, Any]) -> None:
    screen = probed["screen"]
    assert screen["background"] == [127, 127, 127]
    assert screen["dot_colour"] == [255, 0, 0]
    assert 2 * math.sqrt(screen["dot_area"] / math.pi) == pytest.approx(Settings().display.px_for(0.2), abs=1.5)


@pytest.mark.parametrize("hold_ms", ["2", "5", "10"])
def test_every_short_press_and_pulse_is_heard_once(probed: dict[str, Any], hold_ms: str) -> None:
    keys = probed["keys"][hold_ms]
    assert keys["heard"] == keys["sent"]
    assert abs(keys["median_error_s"]) < 0.005


def test_a_held_key_is_one_press(probed: dict[str, Any]) -> None:
    assert probed["held"] == 1


def test_the_plain_way_of_polling_still_loses_presses(probed: dict[str, Any]) -> None:
    """If this fails, PsychoPy has changed and the union of two polls is no longer needed."""
    assert probed["trap"]["seen"] < probed["trap"]["sent"]


def test_what_cannot_be_drawn_is_refused(probed: dict[str, Any]) -> None:
    assert "expected a preloaded image" in probed["unknown image"]
    assert "a window that is closed; expected an open window" in probed["closed"]


NAMED = """
from paradigms.devices import xserver
from subjects.errors import DeviceError
try:
    print(xserver.require_display())
except DeviceError as error:
    print(error)
"""


@pytest.mark.parametrize(("environment", "said"), [
    ({}, ("window: no X display (DISPLAY is not set); expected the X server of the subject's screen. Log in at the "
          "console; for a trial that nobody sees, --display xvfb.")),
    ({"WAYLAND_DISPLAY": "wayland-0"}, "DISPLAY is not set; this is a Wayland session"),
    ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "`export DISPLAY=:0` to use the console's own screens"),
    ({"DISPLAY": ":987"}, "display :987: no answer"),
])
def test_a_display_that_is_not_there_is_named_and_none_is_started(environment: dict[str, str], said: str) -> None:
    told = _python("-c", NAMED, **environment).stdout
    assert said in told


def test_a_window_that_the_server_has_destroyed_is_noticed_before_the_next_picture(probed: dict[str, Any]) -> None:
    assert all("a window that is closed; expected an open window" in said for said in probed["destroyed"])


PLAY = """
import sys
from pathlib import Path
from paradigms.playing.excerpt import play_excerpt
from subjects.layout import Layout
from subjects.settings.loading import load_settings
layout = Layout(Path(sys.argv[1]))
print(play_excerpt(layout, load_settings(layout.root), sub="01", n_trials=3).summary())
"""


def test_an_excerpt_is_played_logged_and_photographed(console: Layout) -> None:
    done = _python("-c", PLAY, str(console.root))
    assert done.returncode == 0, done.stderr
    report = play_excerpt(console, Settings(), sub="01", n_trials=3)
    assert report.reused
    assert report.n_shown == report.n_planned
    assert (report.n_pulses, report.n_presses) == (report.n_pulses_sent, report.n_presses_sent)
    assert report.n_pulses == json.loads(report.journal.with_name(
        report.journal.name.replace("journal.jsonl", "schedule.json")).read_text(encoding="utf-8"))["n_volumes"]
    _assert_second_image_on_screen(console, report.journal, np.asarray(Image.open(report.screenshot)))


def _assert_second_image_on_screen(console: Layout, journal: Path, screen: np.ndarray) -> None:
    from stimuli.manifest import read_manifest, read_pixels

    second = [flip for flip in of_kind(read_journal(journal), "flip") if flip["what"] == "on"][1]
    pixels = read_pixels(console.stimuli, read_manifest(console.manifest).by_id(second["image_id"]))
    shown = screen[159:921, 579:1341].astype(float)
    means = shown[:752, :752].reshape(16, 47, 16, 47, 3).mean(axis=(1, 3))
    correlation = {name: np.corrcoef(means.ravel(), image.ravel())[0, 1] for name, image in
                {"upright": pixels, "upside down": pixels[::-1], "mirrored": pixels[:, ::-1]}.items()}
    assert correlation["upright"] > 0.8
    assert max(correlation["upside down"], correlation["mirrored"]) < 0.3


def test_a_second_window_of_a_process_hears_its_keys_and_no_earlier_ones(probed: dict[str, Any]) -> None:
    assert probed["opened again"] == ["1", "5", "2"]
