"""Markers out: every event's code at every sink, stamped, and no picture later for it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paradigms.devices.platforms.status_ports import InpoutPort, PpdevPort, data_port
from paradigms.devices.protocols import HardwareClock
from paradigms.playing.marker_queue import MarkerQueue
from paradigms.playing.play_run import play_run
from paradigms.recorders.markers import (
    LslMarkers,
    MarkerSink,
    ParallelMarkers,
    RecordingMarkers,
    SerialMarkers,
    code_of,
    make_markers,
)
from paradigms.runlog import of_kind
from paradigms.schedule import BLANK
from paradigms.tasks.catalogue import TASKS
from subjects.errors import DeviceError, SettingsError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.settings.subject_side import MarkersSettings


def _queued(bench: Any, **changes: Any) -> RecordingMarkers:
    sink = RecordingMarkers(bench.clock.now, **changes)
    bench.markers = MarkerQueue(sink, bench.clock, 0.005, threaded=False)
    return sink


def test_a_full_run_has_every_events_marker_with_its_offset(bench: Callable[..., Any]) -> None:
    made = bench()
    sink = _queued(made)
    outcome = made.play()
    codes = dict(MarkersSettings().codes)
    shown = [event for event in made.schedule.events if event.trial_type != BLANK]
    assert outcome.complete
    assert [code for _, code in sink.sent] == [1, *(codes[event.trial_type] for event in shown), 2]
    lines = of_kind(made.records, "marker")
    assert [line["event"] for line in lines[1:-1]] == [event.index for event in shown]
    flips = {flip["event"]: flip["t"] for flip in of_kind(made.records, "flip") if flip["what"] == "on"}
    assert all(line["due"] == pytest.approx(flips[line["event"]], abs=2e-6) for line in lines[1:-1])
    assert len(sink.released) == len(sink.sent)
    told = of_kind(made.records, "markers")[0]
    assert (told["n"], told["worst"] < 0.3) == (len(shown) + 2, True)
    assert made.records[-1]["kind"] == "end"


def test_onsets_are_the_same_with_and_without_markers(bench: Callable[..., Any], tmp_path: Path) -> None:
    bare, marked = bench(), bench(journal_path=tmp_path / "marked.jsonl")
    _queued(marked)
    assert marked.play().onset_errors_s == pytest.approx(bare.play().onset_errors_s, abs=1e-9)


def test_a_sink_that_fails_is_a_fault_and_the_run_goes_on(bench: Callable[..., Any]) -> None:
    made = bench()
    _queued(made, failing=True)
    outcome = made.play()
    assert outcome.complete
    assert any("markers failed: OSError('unplugged')" in fault for fault in outcome.watch.faults)
    assert not of_kind(made.records, "marker")


class _Slow(RecordingMarkers):
    def send(self, code: int) -> None:
        time.sleep(0.05)
        super().send(code)


def test_a_slow_sink_holds_nobody_up_and_its_offsets_say_so() -> None:
    clock = HardwareClock()
    sink = _Slow(clock.now)
    markers = MarkerQueue(sink, clock, 0.0)
    began = clock.now()
    for k in range(3):
        markers.send(k + 1, name="RE", event=k, due_s=clock.now())
    assert clock.now() - began < 0.02
    assert markers.finish() == 0
    heard = markers.heard()
    assert [one.code for one in heard] == [1, 2, 3]
    assert [one.offset_s for one in heard] == pytest.approx([0.05, 0.1, 0.15], abs=0.04)


def test_in_real_time_markers_follow_within_milliseconds() -> None:
    clock = HardwareClock()
    markers = MarkerQueue(RecordingMarkers(clock.now), clock, 0.001)
    for k in range(20):
        markers.send(1, name="RE", event=k, due_s=clock.now())
        time.sleep(0.01)
    markers.finish()
    offsets = sorted(one.offset_s for one in markers.heard())
    assert len(offsets) == 20
    assert offsets[0] >= 0.0
    assert offsets[10] < 0.005


class _Register:
    """A port that keeps what is written."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def open(self) -> None:
        self.calls.append("open")

    def write(self, value: int) -> None:
        self.calls.append(value)

    def close(self) -> None:
        self.calls.append("close")


def test_a_parallel_port_holds_a_code_and_goes_low() -> None:
    port = _Register()
    sink = ParallelMarkers(port)
    assert isinstance(sink, MarkerSink)
    sink.open()
    sink.send(12)
    sink.release()
    sink.close()
    assert port.calls == ["open", 0, 12, 0, "close"]


def test_ppdev_writes_the_data_register(tmp_path: Path) -> None:
    told: list[tuple[int, Any]] = []
    device = tmp_path / "parport1"
    device.touch()
    fcntl = SimpleNamespace(ioctl=lambda _, code, *data: told.append((code, data)))
    port = PpdevPort(str(device), load=lambda _: fcntl)
    port.open()
    port.write(255)
    port.close()
    assert told[1] == (0x40017086, (b"\xff",))  # _IOW('p', 0x86, unsigned char) of linux/ppdev.h


def test_windows_writes_to_the_ports_address() -> None:
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(IsInpOutDriverOpen=lambda: 1, Out32=lambda *given: told.append(given))
    port = InpoutPort(0x278, load=lambda _: library)
    port.open()
    port.write(7)
    assert told == [(0x278, 7)]
    with pytest.raises(DeviceError, match="the platform darwin; expected Linux or Windows. Use markers.device"):
        data_port(device="", address=0, platform="darwin")


def test_a_serial_line_carries_one_byte_a_code() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    sink = SerialMarkers(os.ttyname(theirs), baud=115200)
    sink.open()
    for code in (1, 12, 255):
        sink.send(code)
        sink.release()
    heard = b""
    while len(heard) < 3:  # they may come one by one
        heard += os.read(ours, 10)
    assert heard == bytes((1, 12, 255))
    sink.close()
    sink.close()
    os.close(ours)
    os.close(theirs)


def test_lab_streaming_layer_gets_one_integer_a_sample() -> None:
    told: list[Any] = []
    library = SimpleNamespace(StreamInfo=lambda *given: given,
                              StreamOutlet=lambda info: SimpleNamespace(push_sample=lambda sample: told.append(
                                  (info, sample))))
    sink = LslMarkers("study", load=lambda _: library)
    sink.open()
    sink.send(13)
    assert told == [(("study", "Markers", 1, 0.0, "int32", "adversarial-fmri study"), [13])]


LOOPBACK = """
import json, time
import pylsl
from paradigms.recorders.markers import LslMarkers
sink = LslMarkers("afmri-test")
sink.open()
found = pylsl.resolve_byprop("name", "afmri-test", timeout=20)
inlet = pylsl.StreamInlet(found[0])
inlet.open_stream(timeout=20)
time.sleep(0.5)
sent = []
for code in (1, 12, 255):
    sent.append(pylsl.local_clock())
    sink.send(code)
heard = [inlet.pull_sample(timeout=10) for _ in sent]
print(json.dumps([[code[0], stamp - at] for (code, stamp), at in zip(heard, sent)]))
"""


def test_the_real_library_carries_codes_with_their_times() -> None:
    pytest.importorskip("pylsl", exc_type=(ImportError, RuntimeError))
    done = subprocess.run([sys.executable, "-c", LOOPBACK], capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr[-500:]
    heard = json.loads(done.stdout.splitlines()[-1])
    assert [code for code, _ in heard] == [1, 12, 255]
    assert all(0.0 <= late < 0.005 for _, late in heard)


@pytest.mark.parametrize(("device", "said"), [
    ("serial", "markers.port: no port"), ("parallel", "a parallel port that cannot be opened")])
def test_what_cannot_be_opened_is_said_before_a_record_is_begun(small_console: Layout, device: str, said: str) -> None:
    settings = load_settings(small_console.root, overrides={"markers.device": device,
                                                            "markers.parallel_device": "/dev/none"})
    before = sorted(small_console.root.rglob("*"))
    with pytest.raises(DeviceError, match=said):
        play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    assert sorted(small_console.root.rglob("*")) == before


def test_without_pylsl_the_remedy_names_it() -> None:
    def fail(_: str) -> Any:
        raise RuntimeError("LSL binary library file was not found")

    with pytest.raises(DeviceError, match="LSL binary library file was not found.*pip install pylsl"):
        LslMarkers("x", load=fail).open()


def test_a_type_without_a_code_is_refused_before_anything_is_shown(small_console: Layout) -> None:
    settings = load_settings(small_console.root, overrides={"markers.device": "lsl", "markers.codes": [["zero", 1],
                                                            ["end", 2], ["RE", 11], ["AN", 12]]})
    before = sorted(small_console.root.rglob("*"))
    with pytest.raises(SettingsError, match="no code for 'AI'; expected one for every type of event"):
        play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    assert sorted(small_console.root.rglob("*")) == before


@pytest.mark.parametrize("edge", ["zero", "end"])
def test_an_edge_without_a_code_is_refused_before_anything_is_shown(small_console: Layout, edge: str) -> None:
    """Before, the first pulse of the scanner ended the run."""
    codes = [[name, k] for k, name in enumerate(("zero", "end", "RE", "AN", "AI"), start=1) if name != edge]
    settings = load_settings(small_console.root, overrides={"markers.device": "serial", "markers.codes": codes})
    before = sorted(small_console.root.rglob("*"))
    with pytest.raises(SettingsError, match=f"no code for '{edge}'"):
        play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    assert sorted(small_console.root.rglob("*")) == before


def test_every_type_of_every_paradigm_has_a_code_of_its_own() -> None:
    settings = Settings()
    types = [name for task in TASKS.values() for name in task(settings).levels if name != BLANK]
    codes = [code_of(settings.markers, name) for name in (*types, "zero", "end")]
    assert len(set(codes)) == len(codes)
    assert make_markers(settings.markers) is None
    with pytest.raises(ValueError, match="codes names one code twice"):
        MarkersSettings(codes=(("RE", 1), ("AN", 1)))


class _Direct(RecordingMarkers):
    direct = True


def test_a_direct_sink_is_written_at_once_and_released_by_the_thread() -> None:
    clock = HardwareClock()
    sink = _Direct(clock.now)
    markers = MarkerQueue(sink, clock, 0.003)
    began = clock.now()
    for k in range(3):
        markers.send(k + 1, name="RE", event=k, due_s=clock.now())
    assert [code for _, code in sink.sent] == [1, 2, 3]
    assert clock.now() - began < 0.02
    assert markers.finish() == 0
    assert len(sink.released) == 3
    assert sink.released[0] >= sink.sent[0][0] + 0.003
    assert [one.code for one in markers.heard()] == [1, 2, 3]
