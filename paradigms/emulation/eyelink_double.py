"""A double of SR Research's ``pylink``: an EyeLink that records a planted gaze, written as edf2asc writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

GazeAt = Callable[[float], "tuple[float, float] | None"]


class FakePylink:
    """The parts of ``pylink`` that the adapter uses.

    Parameters
    ----------
    now : callable
        The clock, in seconds.
    gaze : callable
        Where the eye looks at a time, in pixels from the upper left corner; None in a blink.
    rate_hz : float
        Samples a second.
    dead : bool
        Whether nobody answers at the address.
    """

    ESC_KEY, ENTER_KEY = 27, 13

    class EyeLinkCustomDisplay:
        """The base of what draws a calibration."""

    def __init__(self, now: Callable[[], float], gaze: GazeAt, *, rate_hz: float = 250.0, dead: bool = False) -> None:
        self.now, self.gaze, self.rate_hz, self.dead = now, gaze, rate_hz, dead
        self.told: list[tuple[float, str]] = []
        self.commands: list[str] = []
        self.calls: list[str] = []
        self.graphics: Any = None
        self.connected = self.recording = False
        self.began = self.ended = 0.0

    def __call__(self, name: str) -> FakePylink:
        """Be loaded by the name ``pylink``."""
        if name != "pylink":
            raise ImportError(name)
        return self

    def EyeLink(self, host: str) -> FakePylink:  # noqa: N802 - pylink's own name
        """Connect."""
        if self.dead or self.connected:
            raise RuntimeError(f"Link terminated: {host}" if self.dead else "a connection is open")
        self.connected = True
        self.calls.append("EyeLink")
        return self

    def KeyInput(self, key: int, state: int) -> tuple[int, int]:  # noqa: N802
        """Make a key."""
        return key, state

    def openGraphicsEx(self, graphics: Any) -> None:  # noqa: N802
        """Take what draws."""
        self.graphics = graphics

    def doTrackerSetup(self) -> None:  # noqa: N802
        """Calibrate on three targets until Esc."""
        self.graphics.setup_cal_display()
        for x, y in ((960, 540), (192, 108), (1728, 972)):
            self.graphics.draw_cal_target(x, y)
            self.graphics.erase_cal_target()
        self.calls.append("calibrated")

    def closeGraphics(self) -> None:  # noqa: N802
        """Let go of what draws."""
        self.graphics = None

    def getCalibrationMessage(self) -> str:  # noqa: N802
        """Say how the calibration was."""
        return "calibration_result: 0"

    def sendCommand(self, text: str) -> None:  # noqa: N802
        """Keep a command."""
        self.commands.append(text)

    def sendMessage(self, text: str) -> None:  # noqa: N802
        """Keep a message with its time."""
        self.told.append((self.now(), text))

    def openDataFile(self, name: str) -> int:  # noqa: N802
        """Open a file; a name longer than the host takes is refused."""
        self.told.clear()
        return int(len(name.partition(".")[0]) > 8)

    def startRecording(self, *_: int) -> int:  # noqa: N802
        """Begin to record."""
        self.began, self.recording = self.now(), True
        return 0

    def stopRecording(self) -> None:  # noqa: N802
        """Stop."""
        self.ended, self.recording = self.now(), False

    def setOfflineMode(self) -> None:  # noqa: N802
        """Be idle; a recording that is on would be lost."""
        if self.recording:
            raise RuntimeError("offline while it records")

    def closeDataFile(self) -> None:  # noqa: N802
        """Close the file."""
        self.calls.append("closeDataFile")

    def receiveDataFile(self, _: str, path: str) -> None:  # noqa: N802
        """Write the recording, and its text as edf2asc would."""
        lines = [(t, f"MSG\t{round(1000 * t)} {text}") for t, text in self.told]
        n = int((self.ended - self.began) * self.rate_hz)
        for k in range(n):
            t = self.began + k / self.rate_hz
            at = self.gaze(t)
            place = "   .\t   .\t    0.0" if at is None else f"{at[0]:.1f}\t{at[1]:.1f}\t1000.0"
            lines.append((t, f"{round(1000 * t)}\t{place}\t..."))
        Path(path).write_bytes(b"SR_RESEARCH_COMBINED_FILE (double)")
        text = "\n".join(line for _, line in sorted(lines, key=lambda item: item[0]))
        Path(path).with_suffix(".asc").write_text(text + "\n", encoding="utf-8")

    def close(self) -> None:
        """Disconnect."""
        self.connected = False
        self.calls.append("close")
