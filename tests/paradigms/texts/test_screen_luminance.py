"""Luminances of a study, told and recorded; the table at work in a real window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from paradigms.playing.play_run import play_run
from paradigms.runlog import of_kind, read_journal
from paradigms.texts.luminance import measure
from stimuli.manifest import read_manifest, read_pixels
from subjects.errors import SettingsError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings

ROOT = Path(__file__).resolve().parents[3]
CALIBRATED = {"display.gamma": 2.0, "display.black_cd_m2": 0.0, "display.white_cd_m2": 255.0 ** 2 / 100}


def test_images_and_screens_in_cd_m2(small_console: Layout) -> None:
    """With gamma 2 and this white a level's luminance is its square over 100."""
    found = {one.what: one for one in measure(small_console, load_settings(small_console.root, overrides=CALIBRATED))}
    weights = (0.2126, 0.7152, 0.0722)
    means = [float(((read_pixels(small_console.stimuli, one).astype(float) ** 2 / 100) @ weights).mean())
             for one in read_manifest(small_console.manifest).stimuli if one.type == "AN"]
    assert found["AN images"].mean_cd_m2 == pytest.approx(np.mean(means))
    assert (found["AN images"].least_cd_m2, found["AN images"].most_cd_m2) == pytest.approx((min(means), max(means)))
    assert found["main, blank"].mean_cd_m2 == pytest.approx(127 ** 2 / 100)
    assert found["motion, blank"].mean_cd_m2 == 0.0
    assert found["main, instructions"].mean_cd_m2 > found["main, blank"].mean_cd_m2
    with pytest.raises(SettingsError, match="no curve and no gamma"):
        measure(small_console, load_settings(small_console.root))


def test_a_runs_record_says_its_luminances(small_console: Layout) -> None:
    settings = load_settings(small_console.root, overrides={**CALIBRATED, "display.linearise": True})
    key = RunKey("01", "01", "main", 1)
    with pytest.raises(SettingsError, match=r"display.linearise: neither"):
        play_run(small_console, load_settings(small_console.root, overrides={"display.linearise": True}), key=key,
                 scanner="emulated", display="virtual")
    play_run(small_console, settings, key=key, scanner="emulated", display="virtual")
    told = of_kind(read_journal(small_console.journal(key)), "devices")[0]["luminance"]
    assert told["linearised"] is True
    assert (told["black_cd_m2"], told["white_cd_m2"]) == (0.0, pytest.approx(650.25))
    assert told["background_cd_m2"] == pytest.approx(650.25 * 127 / 255, rel=0.01)


PROBE = """
import json
import numpy as np
from paradigms.devices.protocols import Frame, HardwareClock
from paradigms.devices.xserver import start_virtual_display
from subjects.settings.display import DisplaySettings
settings = DisplaySettings(width_px=400, height_px=300, gamma=2.2, linearise=True, background=100)
start_virtual_display(400, 300)
from paradigms.devices.window import PsychoPyDisplay
display = PsychoPyDisplay(settings, clock=HardwareClock(), fullscreen=False)
display.open()
levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
display.preload({"ramp": levels}, height_px=200.0)
display.draw(Frame("ramp", image_px=200.0, fixation_px=0.0, fixation_color=(0, 0, 0), background=100))
display.flip()
seen = display.screenshot()
print(json.dumps({"ramp": seen[150, 72:328, 1].tolist(), "background": seen[5, 5].tolist(),
                  "table": settings.level_table().tolist()}))
display.close()
"""


@pytest.mark.window
def test_a_real_window_shows_every_level_through_the_table() -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**kept, "PYTHONPATH": str(ROOT)}, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["ramp"] == seen["table"]
    assert seen["background"] == [seen["table"][100]] * 3
