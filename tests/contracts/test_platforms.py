"""What differs between the platforms, on Linux: its own branches really, those of Windows and macOS on doubles."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paradigms.devices.inputs import Inputs
from paradigms.devices.parallel_port import ParallelTrigger
from paradigms.devices.platforms import status_ports
from paradigms.devices.platforms.status_ports import PINS, InpoutPort, platform_port
from paradigms.devices.platforms.system import of_its_own, serial_options, take_precedence
from paradigms.devices.protocols import HardwareClock
from paradigms.record.journal import Journal
from subjects.errors import DeviceError
from subjects.settings.study import Settings
from subjects.store import try_lock

FAR = 1 << 30


class Msvcrt:
    """Locks of one process after another: a byte of a file, held by the descriptor that locked it."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, file: int, mode: int, n: int) -> None:
        assert (mode, n) == (self.LK_NBLCK, 1)
        byte = (os.fstat(file).st_ino, os.lseek(file, 0, os.SEEK_CUR))
        if self.held.setdefault(byte, file) != file:
            raise OSError(errno.EACCES, "Permission denied")

    def close(self, file: int) -> None:
        self.held = {byte: holder for byte, holder in self.held.items() if holder != file}
        os.close(file)


class Flock:
    """The real locks of this platform."""

    def close(self, file: int) -> None:
        os.close(file)


@pytest.mark.parametrize("platform", ["win32", pytest.param("linux", marks=pytest.mark.skipif(
    sys.platform == "win32", reason="fcntl"))])
def test_a_file_is_locked_by_one_and_read_by_all(tmp_path: Path, platform: str) -> None:
    path = tmp_path / "lock"
    path.write_text("process 7")
    double = Msvcrt() if platform == "win32" else Flock()
    how: dict[str, Any] = {"platform": platform, **({"load": {"msvcrt": double}.__getitem__}
                                                    if platform == "win32" else {})}
    first, second = (os.open(path, os.O_RDWR) for _ in range(2))
    assert try_lock(first, **how)
    assert not try_lock(second, **how)
    assert os.read(second, 20) == b"process 7"
    double.close(first)
    assert try_lock(second, **how)
    if isinstance(double, Msvcrt):
        assert [place for _, place in double.held] == [FAR], "no byte that anybody reads"
    double.close(second)


def test_a_file_system_without_locks_gives_the_file_to_everybody(tmp_path: Path) -> None:
    def flock(number: int) -> Any:
        def refuse(file: int, how: int) -> None:
            raise OSError(number, "no")
        return {"fcntl": SimpleNamespace(flock=refuse, LOCK_EX=2, LOCK_NB=4)}.__getitem__

    assert try_lock(3, platform="linux", load=flock(errno.ENOLCK))
    with pytest.raises(OSError, match="no"):
        try_lock(3, platform="linux", load=flock(errno.EIO))


def test_journals_are_opened_so_that_line_ends_stay_one_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, really = [], os.open
    monkeypatch.setattr(os, "O_BINARY", 1 << 28, raising=False)

    def spy(path: Any, flags: int, *mode: int, **more: Any) -> int:
        opened.append((Path(path).name, bool(flags & 1 << 28)))
        return really(path, flags & ~(1 << 28), *mode, **more)

    monkeypatch.setattr(os, "open", spy)
    with Journal(tmp_path / "a_journal.jsonl", clock=HardwareClock()) as journal:
        journal.write("pulse")
        journal._refused(OSError(errno.ENOSPC, "No space left"))
    names = dict(opened)
    assert names.pop("a_journal.jsonl")
    copies = [binary for name, binary in opened if name.endswith(".jsonl") and name != "a_journal.jsonl"]
    assert copies == [True]


class Inpout:
    """inpoutx64.dll with one port, as its header declares it."""

    def __init__(self, *, installed: bool = True, status: int = 0) -> None:
        self.installed, self.status, self.asked = installed, status, list[int]()

    def IsInpOutDriverOpen(self) -> int:
        return int(self.installed)

    def Inp32(self, address: int) -> int:
        self.asked.append(address)
        return self.status - 65536 if self.status & 0x8000 else self.status  # a short, with its sign


@pytest.mark.parametrize(("status", "high"), [
    (0x00, [11]), (0x80, []), (0xC0, [10]), (0x90, [13]), (0xA0, [12]), (0x88, [15]), (0xFF40, [10, 11])])
def test_inpout_reads_the_status_register_above_its_address(status: int, high: list[int]) -> None:
    """Pin 11 is inverted by the hardware; the upper byte of the answer means nothing."""
    library, loaded = Inpout(status=status), []
    port = InpoutPort(0x378, load=lambda name: loaded.append(name) or library)
    with pytest.raises(OSError, match="closed"):
        port.levels()
    port.open()
    assert sorted(pin for pin, bit in PINS.items() if port.levels() & bit) == high
    port.close()
    port.close()
    assert (loaded, set(library.asked)) == (["inpoutx64.dll"], {0x379})


def test_a_windows_driver_that_is_not_there_is_named() -> None:
    with pytest.raises(OSError, match="run its InstallDriver.exe once as administrator"):
        InpoutPort(0x378, load=lambda _: Inpout(installed=False)).open()
    with pytest.raises(DeviceError, match="parallel port: no port") as refused:
        ParallelTrigger(InpoutPort(0x378, load=_no_library), pin=10).open()
    assert "Could not find module" in str(refused.value)


def _no_library(name: str) -> Any:
    raise FileNotFoundError(f"Could not find module '{name}'")


def test_libraries_of_windows_are_asked_for_from_ctypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_ports.ctypes, "WinDLL", lambda name: f"library {name}", raising=False)
    assert status_ports.load_windows_library("user32") == "library user32"


@pytest.mark.parametrize(("platform", "kind"), [("linux", "PpdevPort"), ("win32", "InpoutPort")])
def test_each_platform_has_its_parallel_port(platform: str, kind: str) -> None:
    assert type(platform_port(device="/dev/parport0", address=0x378, platform=platform)).__name__ == kind


def test_macos_has_no_parallel_port() -> None:
    with pytest.raises(DeviceError, match="the platform darwin; expected Linux or Windows"):
        platform_port(device="", address=0, platform="darwin")


@pytest.mark.parametrize(("platform", "options"), [("win32", {}), ("linux", {"exclusive": True}),
                                                   ("darwin", {"exclusive": True})])
def test_a_serial_port_is_nobody_elses(platform: str, options: dict[str, Any]) -> None:
    assert serial_options(platform=platform) == options


@pytest.mark.parametrize(("trigger", "buttons"), [("COM3", "com3"), (r"\\.\COM12", "COM12")])
def test_two_spellings_of_a_com_port_are_one_line(monkeypatch: pytest.MonkeyPatch, trigger: str, buttons: str) -> None:
    """pyserial is stood in for as it opens on Windows: with a name, a speed, a timeout and no `exclusive`."""
    import serial

    opened: list[tuple[str, int]] = []

    class Port:
        in_waiting = 0

        def __init__(self, name: str, baud: int, *, timeout: float) -> None:
            opened.append((name, baud))

        def read(self, n: int) -> bytes:
            return b""

        def reset_input_buffer(self) -> None: ...

        def cancel_read(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(serial, "Serial", Port)
    monkeypatch.setattr("paradigms.devices.serial_port.serial_options", lambda: serial_options(platform="win32"))
    settings = Settings.model_validate({
        "serial_trigger": {"port": trigger, "pulse": "T"}, "buttons": {"device": "serial", "port": buttons}})

    class Silent:
        def open(self) -> None: ...

        def close(self) -> None: ...

    inputs = Inputs(settings, clock=HardwareClock(), trigger=Silent(), responses=Silent())  # type: ignore[arg-type]
    made = (inputs.trigger("serial"), inputs.responses("serial"))
    for device in made:
        device.open()
    for device in made:
        device.close()
    assert opened == [(trigger, 115200)]


def test_a_run_of_its_own_is_out_of_reach_of_ctrl_c() -> None:
    assert of_its_own(platform="win32") == {"creationflags": 0x200}
    here = subprocess.run([sys.executable, "-c", "import os; print(os.getpgrp())"], capture_output=True, text=True,
                          check=True, **of_its_own(platform="linux"))
    assert int(here.stdout) != os.getpgrp()


def test_precedence_is_taken_where_there_is_such_a_thing() -> None:
    asked = []
    linux = SimpleNamespace(SCHED_FIFO=1, sched_param=lambda level: level,
                            sched_setscheduler=lambda *words: asked.append(words))
    take_precedence(system=linux)
    take_precedence(system=SimpleNamespace())  # Windows and macOS
    assert asked == [(0, 1, 10)]
