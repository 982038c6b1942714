"""The display's delay: measured from a photodiode, added to onsets, said in sidecars."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paradigms.console.display_lag import measure_lag
from paradigms.devices.protocols import Frame, Press, Pulse
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing import play_run as playing
from paradigms.playing.play_run import play_run
from paradigms.playing.run_devices import Devices
from paradigms.runlog import flips_seen, of_kind, read_events, read_journal
from subjects.errors import DeviceError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study

RUN = RunKey("01", "01", "main", 1)


class Photodiode:
    """A photodiode on the square of a recording display: a pulse some time after the square has turned white."""

    def __init__(self, clock: VirtualClock, *, delays_s: list[float], blind: int = 0) -> None:
        self._clock, self._delays, self._blind = clock, delays_s, blind
        self._pending: list[float] = []
        self._was, self._n = False, 0
        self.presses_: list[Press] = []

    def see(self, frame: Frame, shown_s: float) -> None:
        if frame.photodiode and not self._was:
            if self._n >= self._blind:
                self._pending.append(shown_s + self._delays[self._n % len(self._delays)])
            self._n += 1
        self._was = bool(frame.photodiode)

    def open(self) -> None: ...

    def close(self) -> None: ...

    def pulses(self) -> list[Pulse]:
        due = [t for t in self._pending if t <= self._clock.now()]
        self._pending = [t for t in self._pending if t > self._clock.now()]
        return [Pulse(t, "photodiode", "pin 10") for t in due]

    def presses(self) -> list[Press]:
        given, self.presses_ = self.presses_, []
        return given


def _measured(delays_s: list[float], *, blind: int = 0, press: str = "") -> object:
    clock = VirtualClock()
    diode = Photodiode(clock, delays_s=delays_s, blind=blind)
    diode.presses_ = [Press(100.0, press, "keyboard")] if press else []
    display = RecordingDisplay(clock, size_px=(8, 8), refresh_hz=60.0, on_flip=diode.see)
    display.open()
    devices = Devices(clock, trigger=diode, responses=diode, display=display)

    def frame(lit: bool) -> Frame:
        return Frame(None, image_px=0.0, fixation_px=0.0, fixation_color=(0, 0, 0), background=127, photodiode=lit)

    return measure_lag(devices, frame_of=frame, n_flashes=20, rng=np.random.default_rng(0), abort_key="escape")


def test_the_delay_is_that_from_flip_to_light() -> None:
    lag = _measured([0.030, 0.032, 0.034, 0.200])
    assert (lag.n_flashes, lag.n_seen) == (20, 20)
    assert lag.median_s == pytest.approx(0.033)
    assert (lag.least_s, lag.most_s) == pytest.approx((0.030, 0.200))
    assert lag.sd_s == pytest.approx(np.std([0.030, 0.032, 0.034, 0.200] * 5, ddof=1))
    assert "delay_s = 0.0330" in lag.summary()


@pytest.mark.parametrize(("blind", "n"), [(3, 17), (20, 0)])
def test_a_photodiode_that_misses_flashes_gives_no_delay(blind: int, n: int) -> None:
    with pytest.raises(DeviceError, match=f"photodiode: {n} of 20 flashes seen; expected at least 90 %"):
        _measured([0.03], blind=blind)
    assert _measured([0.03], blind=2).n_seen == 18


def test_the_operators_key_ends_the_measurement() -> None:
    with pytest.raises(DeviceError, match="the key 'escape'"):
        _measured([0.03], press="escape")


def test_an_onset_is_when_it_was_seen_and_lateness_when_it_was_flipped(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run, played with a delay of 40 ms and without, on one virtual clock."""
    tables, sidecars, reports = {}, {}, {}
    for delay in (0.0, 0.04):
        layout: Layout = make_console_study(
            tmp_path / f"study{delay}", stimuli={"per_class": 2}, main={"runs": 1}, retinotopy={"runs": []},
            lo={"runs": []}, motion={"runs": []}, display={"delay_s": delay})
        settings = load_settings(layout.root)
        told = {"display_delay_s": delay}
        begun = playing.begun

        def as_in_a_window(files, *, said, _begun=begun, _told=told, **rest):
            return _begun(files, said={**said, **_told}, **rest)

        monkeypatch.setattr(playing, "begun", as_in_a_window)
        outcome = play_run(layout, settings, key=RUN, scanner="emulated", display="virtual")
        monkeypatch.setattr(playing, "begun", begun)
        tables[delay] = read_events(layout.events(RUN))
        sidecars[delay] = json.loads(layout.events(RUN).with_suffix(".json").read_text(encoding="utf-8"))
        reports[delay] = outcome
        assert of_kind(read_journal(layout.journal(RUN, attempt=1)), "devices")[0]["display_delay_s"] == delay
    plain, late = (tables[delay][tables[delay]["trial_type"] != "blank"] for delay in (0.0, 0.04))
    np.testing.assert_allclose(late["onset"].to_numpy(float) - plain["onset"].to_numpy(float), 0.04, atol=1e-6)
    np.testing.assert_allclose(late["duration"].to_numpy(float), plain["duration"].to_numpy(float), atol=1e-6)
    same = late["response"].notna().to_numpy() & plain["response"].notna().to_numpy()
    np.testing.assert_allclose((plain["response_time"].to_numpy(float) - late["response_time"].to_numpy(float))[same],
                               0.04, atol=1e-6)
    assert (sidecars[0.0]["DisplayDelay"], sidecars[0.04]["DisplayDelay"]) == (0.0, 0.04)
    scored = layout.attempt_file("behavior.json", RUN, attempt=1)
    assert json.loads(scored.read_text(encoding="utf-8"))["DisplayDelay"] == 0.04
    np.testing.assert_allclose(reports[0.04].onset_errors_s, reports[0.0].onset_errors_s)


def test_flips_are_moved_by_the_delay_that_was_recorded_with_them() -> None:
    flip = {"kind": "flip", "t": 5.0, "planned": 4.99, "what": "on", "event": 0}
    assert flips_seen([flip]) == [flip], "a record of the first release says nothing of it"
    seen = flips_seen([{"kind": "devices", "t": 0.0, "display_delay_s": 0.02}, flip])
    assert (seen[0]["t"], seen[0]["planned"]) == (pytest.approx(5.02), 4.99)


def test_a_run_in_virtual_time_has_no_delay(tmp_path: Path) -> None:
    layout = make_console_study(tmp_path / "study", stimuli={"per_class": 2}, main={"runs": 1}, retinotopy={"runs": []},
                                lo={"runs": []}, motion={"runs": []}, display={"delay_s": 0.04})
    play_run(layout, load_settings(layout.root), key=RUN, scanner="emulated", display="virtual")
    assert json.loads(layout.events(RUN).with_suffix(".json").read_text(encoding="utf-8"))["DisplayDelay"] == 0.0
