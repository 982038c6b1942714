"""An EyeLink behind the tracker's hook: calibration, messages, the file brought home. Needs SR Research's ``pylink``.

``hooks.tracker = "eyelink"`` names it. It is calibrated by ``run_session.py calibrate``, in a window of its own before
a run: the EyeLink's host keeps a calibration until the next one.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from paradigms.devices.protocols import Display, Frame, ResponseDevice
from subjects.errors import DeviceError
from subjects.layout import Layout
from subjects.settings.study import Settings
from subjects.store import write_json

LIMIT = 8
"""Letters of a file's name on the host, which is a computer of the time of DOS."""
_DATA = "LEFT,RIGHT,GAZE,AREA,STATUS"


class EyeLinkTracker:
    """The five calls of a tracker, on an EyeLink.

    Parameters
    ----------
    layout, settings
        Where files go; host, rate, display.
    load : callable
        Gives the module ``pylink``.
    at_once : bool
        Whether the run makes the calls itself instead of a thread: for doubles in virtual time.
    wall : callable
        The wall clock, in seconds of Unix time, which tells attempts apart.
    """

    patience_s = 120.0
    """How long the end of a run waits for the file to be brought home."""

    def __init__(self, layout: Layout, settings: Settings, *, load: Callable[[str], Any] = importlib.import_module,
                 at_once: bool = False, wall: Callable[[], float] = time.time) -> None:
        self._layout, self._settings, self._load, self.at_once = layout, settings, load, at_once
        self._wall = wall
        self._link: Any = None
        self._name = ""

    @property
    def link(self) -> Any:
        """The connection, once it is open."""
        if self._link is None:
            raise OSError("the EyeLink is not connected")
        return self._link

    def open(self) -> None:
        """Connect, and say what is to be recorded."""
        section, display = self._settings.eyelink, self._settings.display
        try:
            pylink = self._load("pylink")
        except ImportError as error:
            raise _refusal(f"no package pylink ({error})", "Install SR Research's package for the EyeLink.") from error
        try:
            self._link = pylink.EyeLink(section.host)
        except (OSError, RuntimeError) as error:
            raise _refusal(f"no EyeLink at {section.host} ({error})",
                           "Check the cable, the address (eyelink.host) and that the host is on.") from error
        for command in (f"screen_pixel_coords = 0 0 {display.width_px - 1} {display.height_px - 1}",
                        f"sample_rate {section.sampling_hz}", f"calibration_type = {section.calibration}",
                        f"file_sample_data = {_DATA}", "file_event_filter = LEFT,RIGHT,FIXATION,SACCADE,BLINK,MESSAGE"):
            self.link.sendCommand(command)

    def start_run(self, name: str) -> None:
        """Open a file on the host and record into it."""
        display, self._name = self._settings.display, name
        if self.link.openDataFile(f"{'AFMRI':.{LIMIT}}.EDF") != 0:
            raise OSError("the host cannot open a file")
        self.link.setOfflineMode()
        self.link.sendMessage(f"DISPLAY_COORDS 0 0 {display.width_px - 1} {display.height_px - 1}")
        self.link.sendMessage(f"RUN {name}")
        self.link.sendMessage(f"WALL {self._wall():.3f}")
        if self.link.startRecording(1, 1, 0, 0) != 0:
            raise OSError("the EyeLink does not record")

    def message(self, text: str) -> None:
        """Put a text into the recording."""
        self.link.sendMessage(text)

    def stop_run(self) -> None:
        """Stop, and bring the file to the subject's sourcedata; the next one gets a number of its own."""
        self.link.stopRecording()
        self.link.setOfflineMode()
        self.link.closeDataFile()
        path = free_name(self._layout, self._name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.link.receiveDataFile(f"{'AFMRI':.{LIMIT}}.EDF", str(path))

    def close(self) -> None:
        """Disconnect."""
        link, self._link = self._link, None
        if link is not None:
            link.close()


def make(layout: Layout, settings: Settings) -> EyeLinkTracker:
    """Make the tracker that ``hooks.tracker = "eyelink"`` names."""
    return EyeLinkTracker(layout, settings)


def free_name(layout: Layout, run: str) -> Path:
    """Spell the first free path for a recording of a run (``sub-01_ses-01_task-main_run-01``)."""
    parts = dict(part.split("-", 1) for part in run.split("_"))
    folder, number = layout.source_dir(parts["sub"], parts["ses"]), 1
    while any((path := folder / f"{run}_eyelink-{number:02d}.edf").with_suffix(end).exists()
              for end in (".edf", ".asc")):
        number += 1
    return path


def calibrate(tracker: EyeLinkTracker, *, display: Display, responses: ResponseDevice, settings: Settings,
              load: Callable[[str], Any] = importlib.import_module) -> str:
    """Have the EyeLink calibrate itself, its targets drawn on the subject's display.

    Keys go to the EyeLink as its own do: Enter shows the camera, C calibrates, V validates, Esc leaves.

    Returns
    -------
    str
        What the host says of the last calibration or validation.

    Raises
    ------
    DeviceError
        If there is no EyeLink.
    """
    pylink = load("pylink")
    tracker.open()
    try:
        pylink.openGraphicsEx(make_graphics(pylink, display=display, responses=responses, settings=settings))
        tracker.link.doTrackerSetup()
        pylink.closeGraphics()
        return str(tracker.link.getCalibrationMessage() or "").strip()
    finally:
        tracker.close()


def keep_calibration(layout: Layout, settings: Settings, *, sub: str, ses: str, said: str,
                     now: Callable[[], float] = time.time) -> Path:
    """Note a calibration in the session's sourcedata, in a new file: when, of which kind, what the host said."""
    number = 1
    while (path := layout.source_dir(sub, ses) / f"sub-{sub}_ses-{ses}_calibration-{number:02d}.json").exists():
        number += 1
    return write_json(path, {"wall": round(now(), 3), "calibration": settings.eyelink.calibration, "said": said})


def make_graphics(pylink: Any, *, display: Display, responses: ResponseDevice, settings: Settings) -> Any:
    """Make what pylink draws its calibration with: a target where it asks for one, on the run's background."""
    width, height = display.size_px
    shown, size_px = settings.display, settings.display.px_for(settings.eyelink.target_deg)
    blank = Frame(None, image_px=0.0, fixation_px=0.0, fixation_color=(0, 0, 0), background=shown.background)
    special = {"escape": pylink.ESC_KEY, "return": pylink.ENTER_KEY, "space": ord(" ")}

    class Graphics(pylink.EyeLinkCustomDisplay):  # type: ignore[misc]
        """Draws on the subject's display."""

        def show(self, frame: Frame) -> None:
            display.draw(frame)
            display.flip()

        def setup_cal_display(self) -> None:
            self.show(blank)

        clear_cal_display = exit_cal_display = erase_cal_target = setup_cal_display

        def draw_cal_target(self, x: float, y: float) -> None:
            place = np.array([[x - width / 2.0, height / 2.0 - y]], dtype=np.float32)
            self.show(Frame(None, image_px=0.0, fixation_px=0.0, fixation_color=(0, 0, 0),
                            background=shown.background, dots_px=place, dot_px=size_px, dot_level=0))

        def get_input_key(self) -> list[Any]:
            keys = [special.get(press.key, ord(press.key) if len(press.key) == 1 else 0)
                    for press in responses.presses()]
            return [pylink.KeyInput(key, 0) for key in keys if key]

        def setup_image_display(self, width: int, height: int) -> int:  # noqa: ARG002 - the camera is seen on the host
            return 0

        def _nothing(self, *_: object) -> None:
            """Do nothing: sounds, the camera's picture and messages stay on the host."""

        play_beep = alert_printf = exit_image_display = image_title = draw_image_line = set_image_palette = _nothing
        draw_line = draw_lozenge = record_abort_hide = _nothing

        def get_mouse_state(self) -> tuple[tuple[int, int], int]:
            return (0, 0), 0

    return Graphics()


def _refusal(came: str, remedy: str) -> DeviceError:
    return DeviceError("hooks.tracker = 'eyelink'", came=came, expected="a connection to the EyeLink's host",
                       remedy=remedy)
