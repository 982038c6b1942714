"""The real display and keyboard, through PsychoPy. The only file that imports it.

Traps that this file works around, each measured and held by a test in ``tests/paradigms/devices/test_window.py``:

- ``getKeys(waitRelease=False)`` loses presses that are already released, ``waitRelease=True`` sees a press
  only on release: the union of both, told apart by ``tDown``, loses nothing and is soon told.
- ``flip()`` gives no time without a retrace to wait for: the clock is read after ``glFinish``.
- NumPy images have row 0 at the bottom, PIL images at the top: images go in as PIL.
- Degrees are linear in PsychoPy: everything here is in pixels, computed by the settings.
- A ``Monitor`` is made in code: no dialog. At import PsychoPy makes a folder in the user's home, reads the
  person's preferences there and puts that folder's packages on the path of this process and its children:
  it gets a folder of its own instead, which goes with the process.
- A texture that is stretched fades at its rim over half a texel (3 px of the study's images): images are brought
  to their size before they go to the graphics card.
- An image of odd side in a window of even width is half a pixel off its own pixels and is blurred: it is
  moved by that half pixel.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from paradigms.devices.keyboard_queues import QueueClock, open_keyboards
from paradigms.devices.platforms.focus import window_has_focus
from paradigms.devices.platforms.system import absent, own_home
from paradigms.devices.protocols import PHOTODIODE_PX, Clock, Frame, Pixels
from paradigms.devices.screens import Screen
from paradigms.devices.xserver import grab_screen, x_window_exists
from subjects.errors import DeviceError
from subjects.settings.display import DisplaySettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PsychoPy's own dependencies warn at import; nothing of ours can
    # The home not around the windows, whose X connection looks for its key in the real one; the packages absent because
    # PsychoPy can do without them, and they are a third of its start.
    with own_home(), absent("matplotlib", "openpyxl"):
        from psychopy import logging as psychopy_logging
        from psychopy import monitors

    psychopy_logging.console.setLevel(psychopy_logging.CRITICAL)
    import pyglet
    with absent("matplotlib", "openpyxl"):
        from psychopy import event, visual
        from psychopy.hardware import keyboard


PLACED_WITHIN_S = 2.0


def _take_no_notice(*_: object) -> bool:
    """Let a key pass that the keyboard reads by itself; PsychoPy's window keeps each in a list that only grows."""
    return True


def _make_no_mipmap(_: int) -> None:
    """Leave out the smaller copies that PsychoPy makes of every texture and mask, and never draws from."""


pyglet.gl.glGenerateMipmap = _make_no_mipmap


class PsychoPyDisplay:
    """A window on the subject's screen.

    Parameters
    ----------
    settings : subjects.settings.display.DisplaySettings
        Resolution, refresh rate, geometry, background.
    clock : Clock
        Whose time flips are given in.
    fullscreen : bool
        Fill the screen and wait for its retrace; a plain window does not wait.
    screen : Screen, optional
        Which screen; default: the window system's first.
    """

    def __init__(self, settings: DisplaySettings, *, clock: Clock, fullscreen: bool,
                 screen: Screen | None = None) -> None:
        self._settings, self._clock, self._fullscreen = settings, clock, fullscreen
        self._screen, self._destroyed = screen, False
        self._window: Any = None
        self._images: dict[str, Any] = {}
        self._proportions: dict[str, float] = {}
        self._dot: Any = None
        self._dots: tuple[tuple[int, float, int], Any] | None = None
        self._square: Any = None
        self._overlay: tuple[Pixels, Any] | None = None
        self._text: Any = None
        self._mouse: Any = None
        self._table = settings.level_table()

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._settings.width_px, self._settings.height_px

    @property
    def refresh_hz(self) -> float:
        """Frames a second, from the settings."""
        return self._settings.refresh_hz

    @property
    def lead_s(self) -> float:
        """Half a frame where a flip waits for the retrace, else nothing."""
        return 0.5 / self._settings.refresh_hz if self._fullscreen else 0.0

    def open(self) -> None:
        """Open the window and show the background.

        Raises
        ------
        DeviceError
            If no window can be had.
        """
        if self._window is not None:
            return
        monitor = monitors.Monitor("console", width=self._settings.width_cm, distance=self._settings.distance_cm)
        monitor.setSizePix(self.size_px)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._window = visual.Window(
                    self.size_px, screen=0 if self._screen is None else self._screen.index,
                    monitor=monitor, fullscr=self._fullscreen, units="pix", colorSpace="rgb255",
                    color=[int(self._table[self._settings.background])] * 3,
                    allowGUI=False, allowStencil=False, checkTiming=False,
                    waitBlanking=self._fullscreen, winType="pyglet", multiSample=False, autoLog=False)
        except Exception as error:
            raise DeviceError("window", came=f"no window ({error})", expected="an OpenGL window on the display",
                              remedy="Check the display and its driver, or use --display virtual.") from error
        self._require_size()
        self._require_place()
        self._window.mouseVisible = False
        for event in ("on_key_press", "on_key_release", "on_text", "on_text_motion"):
            setattr(self._window.winHandle, event, _take_no_notice)
        self._dot = visual.Circle(self._window, radius=1.0, units="pix", edges=64, lineWidth=0, colorSpace="rgb255",
                                  fillColor=(255, 0, 0), autoLog=False, interpolate=True)
        for _ in range(2):
            self._window.flip()

    def _require_size(self) -> None:
        """Refuse a screen on which an image would not have its angle, or not be wholly seen."""
        width, height = self.size_px
        screen = self._window.winHandle.screen
        fits = screen.width >= width and screen.height >= height
        if tuple(self._window.size) != (width, height) or not fits:
            came = f"a window of {'x'.join(map(str, self._window.size))} on a screen of {screen.width}x{screen.height}"
            self.close()
            raise DeviceError("window", came=came, expected=f"{width}x{height}, the study's display settings",
                              remedy="Set the screen to this resolution, or display.width_px and height_px to the "
                                     "screen's.")

    def _require_place(self) -> None:
        """Refuse a picture that the window system has put on another screen than the one asked for."""
        if self._screen is None or not self._fullscreen:
            return
        wanted, end = (self._screen.x_px, self._screen.y_px), self._clock.now() + PLACED_WITHIN_S
        while (came := tuple(self._window.winHandle.get_location())) != wanted and self._clock.now() < end:
            self._window.winHandle.dispatch_events()
            self._clock.wait_until(self._clock.now() + 0.02)
        if came != wanted:
            self.close()
            raise DeviceError("window", came=f"a picture at {came[0]}, {came[1]} of the desktop",
                              expected=f"screen {self._screen}", remedy="Check how the window manager places full "
                              "screens, and how the desktop is laid out; `python run_session.py screens` lists it.")

    def close(self) -> None:
        """Close the window."""
        self._destroyed = False
        if self._window is not None:
            window, self._window = self._window, None
            self._images.clear()
            self._dots = self._square = self._overlay = self._text = self._mouse = None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                window.close()

    def preload(self, images: Mapping[str, Pixels], *, height_px: float | None = None) -> None:
        """Put images on the graphics card at their size, and draw each once so that it is there."""
        window = self._require_window()
        with ThreadPoolExecutor(2) as pool:  # others are brought to their size while one goes to the card
            pictures = pool.map(functools.partial(_at_size, height_px=height_px, table=self._table), images.values())
            for (image_id, pixels), picture in zip(images.items(), pictures, strict=True):
                stimulus = visual.ImageStim(window, image=picture, units="pix", size=(64, 64), interpolate=True,
                                            autoLog=False)
                stimulus.draw()
                self._images[image_id] = stimulus
                self._proportions[image_id] = pixels.shape[1] / pixels.shape[0]
        window.clearBuffer()

    def require_open(self) -> None:
        """See that the window is still there; whoever closes or destroys it is noticed before the next picture.

        Raises
        ------
        DeviceError
            If it is gone.
        """
        window = self._require_window()
        window.winHandle.dispatch_events()
        self._require_window()
        if sys.platform == "linux" and not x_window_exists(window.winHandle):
            self._destroyed = True
            raise _gone()

    def has_focus(self) -> bool:
        """Say whether keys that are typed now go to this window."""
        return self._window is not None and window_has_focus(self._window.winHandle)

    def pointer(self) -> tuple[float, float, bool]:
        """Give where the mouse is, px from the left and the top, and whether a button is held; shows it."""
        window = self._require_window()
        if self._mouse is None:
            self._mouse = event.Mouse(visible=True, win=window)
        x, y = self._mouse.getPos()
        width, height = self.size_px
        return float(x) + width / 2.0, height / 2.0 - float(y), any(self._mouse.getPressed())

    def draw(self, frame: Frame) -> None:
        """Draw into the back buffer: background, image behind its aperture, overlay, dots, fixation.

        Raises
        ------
        DeviceError
            If the window is gone or the image was not preloaded.
        """
        self._require_window()
        with _gone_as_device_error():
            self._draw(frame)

    def _draw(self, frame: Frame) -> None:
        window = self._window
        window.color = [int(self._table[frame.background])] * 3
        window.clearBuffer()
        if frame.image_id is not None:
            if frame.image_id not in self._images:
                raise DeviceError("window", came=f"image {frame.image_id!r}", expected="a preloaded image",
                                  remedy="Preload the schedule's images.")
            self._draw_image(self._images[frame.image_id], frame, wide=self._proportions[frame.image_id])
        if frame.overlay is not None:
            self._draw_overlay(frame.overlay, side_px=round(frame.image_px))
        if frame.dots_px is not None:
            self._draw_dots(frame)
        self._draw_disk(frame.surround_px, color=(frame.background,) * 3)
        self._draw_disk(frame.fixation_px, color=frame.fixation_color)
        if frame.photodiode is not None:
            self._draw_photodiode(lit=frame.photodiode)
        if frame.text is not None:
            self._write(frame.text)
        pyglet.gl.glFinish()

    def _draw_disk(self, diameter_px: float, *, color: tuple[int, int, int]) -> None:
        if diameter_px > 0.0:
            self._dot.size = diameter_px / 2.0
            self._dot.fillColor = tuple(int(self._table[level]) for level in color)
            self._dot.draw()

    def _draw_image(self, stimulus: Any, frame: Frame, *, wide: float) -> None:
        size = (round(frame.image_px * wide), round(frame.image_px))
        stimulus.size = size
        stimulus.pos = self._on_whole_pixels(size)
        if frame.aperture is not None:
            stimulus.mask = np.flipud(frame.aperture).astype(np.float32) / 127.5 - 1.0  # row 0 is its bottom
        elif stimulus.mask is not None:
            stimulus.mask = None
        stimulus.draw()

    def _on_whole_pixels(self, size: tuple[int, int]) -> list[float]:
        return [((extent - side) % 2) / 2.0 for extent, side in zip(self.size_px, size, strict=True)]

    def _draw_overlay(self, overlay: Pixels, *, side_px: int) -> None:
        if self._overlay is None or self._overlay[0] is not overlay:
            white = visual.ImageStim(self._window, image=Image.new("RGB", overlay.shape, (255, 255, 255)), units="pix",
                                     mask=np.flipud(overlay).astype(np.float32) / 127.5 - 1.0, size=(side_px, side_px),
                                     pos=self._on_whole_pixels((side_px, side_px)), interpolate=True, autoLog=False)
            self._overlay = (overlay, white)
        self._overlay[1].draw()

    def _draw_dots(self, frame: Frame) -> None:
        dots = np.asarray(frame.dots_px, dtype=np.float64)
        look = (len(dots), frame.dot_px, frame.dot_level)
        if self._dots is None or self._dots[0] != look:
            self._dots = (look, visual.ElementArrayStim(
                self._window, units="pix", nElements=len(dots), elementTex=None, elementMask="circle",
                xys=dots, sizes=frame.dot_px, colorSpace="rgb255", colors=[int(self._table[frame.dot_level])] * 3,
                autoLog=False))  # without places it draws some at random, and fails where too few fall into its circle
        self._dots[1].xys = dots
        self._dots[1].draw()

    def _draw_photodiode(self, *, lit: bool) -> None:
        width, height = self.size_px
        if self._square is None:
            self._square = visual.Rect(self._window, units="pix", size=(PHOTODIODE_PX, PHOTODIODE_PX), lineWidth=0,
                                       pos=((width - PHOTODIODE_PX) / 2, -(height - PHOTODIODE_PX) / 2),
                                       colorSpace="rgb255", autoLog=False)
        self._square.fillColor = (255 * lit,) * 3
        self._square.draw()

    def _write(self, text: str) -> None:
        if self._text is None:
            self._text = visual.TextStim(self._window, units="pix", height=40, autoLog=False)
        self._text.text = text
        self._text.draw()

    def flip(self) -> float:
        """Show the back buffer; give the time after the graphics card has finished.

        Raises
        ------
        DeviceError
            If the window was closed.
        """
        window = self._require_window()
        with _gone_as_device_error():
            window.flip(clearBuffer=False)
            pyglet.gl.glFinish()
        return self._clock.now()

    def screenshot(self) -> Pixels:
        """Read what is on the screen: from the X server where there is one, else from the front buffer.

        (Mesa's software renderer gives a black front buffer while the screen shows the image.)
        """
        window = self._require_window()
        if sys.platform == "linux":
            return grab_screen(self.size_px, window_id=window.winHandle._window)
        return np.asarray(window._getFrame(buffer="front").convert("RGB"), dtype=np.uint8).copy()

    def _require_window(self) -> Any:
        window = self._window
        gone = window is None or self._destroyed or getattr(window, "_closed", False)
        if gone or getattr(window.winHandle, "context", None) is None or window.winHandle.has_exit:
            raise _gone()
        return window


def _at_size(pixels: Pixels, *, height_px: float | None, table: Pixels) -> Image.Image:
    """Bring an image to its height on the screen, if that is given, then its levels through the display's table."""
    picture = Image.fromarray(pixels)
    if height_px is None:
        return Image.fromarray(table[pixels])
    wide = round(height_px * pixels.shape[1] / pixels.shape[0])
    resized = picture.resize((wide, round(height_px)), Image.Resampling.BILINEAR)
    return Image.fromarray(table[np.asarray(resized)])


def _gone() -> DeviceError:
    return DeviceError("window", came="a window that is closed", expected="an open window",
                       remedy="Start the run again with --repeat; the record of this attempt is kept.")


@contextlib.contextmanager
def _gone_as_device_error() -> Iterator[None]:
    """Name a window that the window system has destroyed under our drawing as what it is."""
    try:
        yield
    except pyglet.gl.GLException as error:
        raise _gone() from error


@functools.cache
def connect_keyboard() -> Mapping[str, Any]:
    """Start PsychoPy's keyboard, once for the process; a wait for its first key would block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"": keyboard.Keyboard(backend="ptb", bufferSize=100_000, waitForStart=False)}


@functools.cache
def connect_each(wanted: tuple[str, ...]) -> Mapping[str, Any]:
    """Start a queue for every keyboard, once for the process."""
    return open_keyboards(wanted, key_names=keyboard.keyNames, clock=QueueClock())
