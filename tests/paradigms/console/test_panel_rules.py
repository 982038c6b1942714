"""What the operator reads, line by line: answers against a plain loop, panels within 80 columns, the photodiode."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console, RenderableType

from paradigms.console.display_lag import LONGEST_S, DisplayLag, measure_lag
from paradigms.console.panels import awaited, live_panel, plain_lines, preflight_panel, verdict_panel, verdict_rows
from paradigms.console.preflight import Finding, Preflight
from paradigms.console.run_state import RunView, detects, fold, fold_all, follow
from paradigms.devices.protocols import Frame, Press, Pulse
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.run_devices import Devices
from paradigms.record.changes import Changes
from paradigms.runlog import Record
from paradigms.schedule import Event, Mark, Schedule
from subjects.errors import DeviceError

KEYS = ("1", "2")


def plan_of(n: int, *, seed: int = 0) -> Schedule:
    """Give a run of n images, 4 s apart, of three types and with one of two keys each."""
    rng = np.random.default_rng(seed)
    events = tuple(Event(k, 4.0 * (k + 1), 2.0, str(rng.choice(["RE", "AN", "AI"])), category="Spürhund",
                         correct_key=str(rng.choice(KEYS))) for k in range(n))
    return Schedule(study="s", task="main", sub="01", ses="02", run=3, seed=1, tr_s=2.0, n_volumes=2 * n + 4,
                    duration_s=4.0 * n + 8.0, events=events, manifest_digest="m", settings_digest="s")


PLAN = plan_of(6)


def line(kind: str, t: float, **fields: object) -> Record:
    return {"kind": kind, "t": t, "wall": t, **fields}


def printed(drawn: RenderableType, *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(drawn)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("attention", [frozenset(), frozenset({"RE", "AN"})])
@pytest.mark.parametrize("seed", range(8))
def test_answers_are_counted_as_by_hand(seed: int, attention: frozenset[str]) -> None:
    rng = np.random.default_rng(seed)
    plan = plan_of(12, seed=seed)
    records, asked, answered, judged, right = [line("zero", 100.0)], 0, 0, 0, 0
    for event in plan.events[:int(rng.integers(1, 12))]:
        at = 100.0 + event.onset_s
        records.append(line("flip", at, what="on", event=event.index, planned=at))
        presses = [str(key) for key in rng.choice([*KEYS, "5"], int(rng.integers(0, 3)))]
        records += [line("press", at + 0.5 + 0.1 * k, key=key, task=True) for k, key in enumerate(presses)]
        tells = not attention or event.trial_type in attention
        asked, answered = asked + 1, answered + bool(presses)
        judged, right = judged + tells, right + (tells and presses[:1] == [event.correct_key])
    waits, told = not presses, tells  # the last image shown may still be answered
    view = fold_all(plan, records, attention=attention)
    assert view.answers == (right, judged - (waits and told))
    closed = asked - waits
    assert view.share_answered == (answered / closed if closed else None)
    over = fold(view, line("end", 170.0, complete=True, reason="complete"))
    assert over.answers == (right, judged)
    assert over.share_answered == answered / asked


def test_a_change_of_the_fixation_point_asks_until_its_window_is_over() -> None:
    marks = (Mark(0, 0.0, (255, 0, 0)), Mark(1, 5.0, (0, 255, 0), "1"), Mark(2, 9.0, (255, 0, 0), "1"))
    plan = replace(PLAN, events=(), marks=marks)
    view = fold(RunView(plan, window_s=1.0), line("zero", 100.0))
    view = fold(view, line("flip", 105.0, what="mark", event=None, planned=105.0))
    assert (view.answers, view.hit_rate) == ((0, 0), None)
    hit = fold(view, line("press", 105.6, key="1", task=True))
    assert (hit.answers, hit.share_answered) == ((1, 1), None)
    missed = fold(view, line("flip", 109.0, what="mark", event=None, planned=109.0))
    assert (missed.answers, missed.n_marks) == ((0, 1), 2)


def test_one_key_for_all_is_a_detection_and_two_are_a_choice() -> None:
    assert not detects(PLAN)
    assert detects(replace(PLAN, events=tuple(replace(one, correct_key="1") for one in PLAN.events)))
    assert not detects(replace(PLAN, events=tuple(replace(one, correct_key=None) for one in PLAN.events)))
    assert detects(replace(PLAN, marks=(Mark(0, 0.0, (0, 0, 0)),)))


def test_stray_pulses_are_counted_until_the_run_is_armed() -> None:
    records = [line("devices", 1.0, trigger="key '5'", abort_key="q"), line("safe", 2.0, key="space")]
    view = fold_all(PLAN, [*records, line("stray", 3.0), line("stray", 4.0)])
    assert (view.state, view.n_stray, view.since_s) == ("safe: press space to arm (2 stray)", 2, 2.0)
    assert awaited(view) == "safe: waits for the key 'space', without a limit; 'q' or Ctrl-C ends it"
    armed = fold(view, line("armed", 5.0))
    assert awaited(armed) == "waits for the trigger, key '5', without a limit; 'q' or Ctrl-C ends it"
    assert fold(armed, line("stray", 6.0)).state == "waiting for the trigger"
    assert awaited(fold(armed, line("zero", 7.0))) == ""


def test_a_device_that_fails_again_is_named_once_with_its_count() -> None:
    view = fold_all(PLAN, [line("fault", 1.0, device="buttons", said="gone"),
                           line("fault", 2.0, device="tracker", said="tot"),
                           line("fault", 3.0, device="buttons", said="gone", n=14)])
    assert view.faults == ("buttons failed: gone (14 times)", "tracker failed: tot")
    assert view.n_lost == 2


def test_a_double_pulse_begins_no_volume() -> None:
    view = fold_all(PLAN, [line("zero", 100.0), line("pulse", 100.0, amiss=""), line("pulse", 101.1, amiss="off"),
                           line("pulse", 108.01, amiss="3 missed")])
    assert (view.n_pulses, view.n_missed, view.n_amiss, view.volume) == (3, 3, 1, 5)
    assert RunView(PLAN, zero_s=100.0, last_pulse_s=99.0).volume == 0
    assert RunView(PLAN, last_pulse_s=99.0).volume == 0


def test_plain_lines_tell_each_half_minute_once() -> None:
    plan = replace(PLAN, duration_s=95.0)
    views = (RunView(plan, zero_s=50.0, now_s=50.0 + k / 10, abort_key="q") for k in range(960))
    told = [said for view in views for said in plain_lines(view)]
    assert list(dict.fromkeys(told)) == ["running: 0:00 of 1:35; 'q' or Ctrl-C ends it", "running: 0:30 of 1:35",
                                         "running: 1:00 of 1:35", "running: 1:30 of 1:35"]
    over = RunView(plan, state="complete", zero_s=50.0, now_s=200.0, faults=("2 pulses missed",))
    assert plain_lines(over) == ("2 pulses missed",)


@pytest.mark.parametrize(("now_s", "said"), [(100.0, "next RE_ in 4 s"), (103.0, "next RE_ in 1 s"),
                                             (140.0, "next the end of the run")])
def test_the_panel_says_what_comes_next_within_80_columns(now_s: float, said: str) -> None:
    events = (replace(PLAN.events[0], trial_type="RE_"), replace(PLAN.events[1], trial_type="blank", category=None))
    view = RunView(replace(PLAN, events=tuple(replace(one, category=None) for one in events)), zero_s=100.0,
                   now_s=now_s, state="running")
    assert said in printed(live_panel(view, width=80))
    assert said in printed(live_panel(view), width=100)


def test_the_panel_says_how_long_has_been_waited() -> None:
    waiting = RunView(PLAN, state="waiting for the trigger", since_s=10.0, now_s=10.0, trigger="port COM3")
    said = printed(live_panel(waiting, now_s=134.6, hint="press nothing"))
    assert "waiting for port COM3, 2:05 by now, without a limit" in said
    assert "press nothing" in said
    assert f"next {PLAN.events[0].trial_type} (Spürhund) at 4 s" in said
    assert "last button none yet" in said


def test_few_answers_are_no_verdict_before_five_were_asked() -> None:
    view = RunView(PLAN, n_judged=4, n_asked=4, n_answered=4, n_right=0)
    assert "right answers 0 % (0 of 4)" in printed(live_panel(view))
    rows = {row[0]: row for row in verdict_rows(replace(view, attention=frozenset({"RE", "AN"})))}
    assert rows["right answers to AN, RE"][1:] == ("at least 50 %", "0 % (0 of 4)", False)
    assert rows["answered"][1:] == ("at least 80 %", "100 % (4 of 4)", True)
    assert "movie steps shown" not in rows


def test_the_verdict_of_a_movie_says_what_was_shown_of_it() -> None:
    view = RunView(PLAN, changes=Changes(n_changes=98, n_steps=100, n_skipped=2, longest_gap_s=0.4))
    rows = {row[0]: row[1:] for row in verdict_rows(view)}
    assert rows["movie steps shown"] == ("at least 99 %, no gap above 0.25 s", "98.0 % (2 of 100 skipped, gap 0.40 s)",
                                         False)
    assert rows["pulses"] == (f"at least {PLAN.n_volumes}", "0", False)
    assert "look at this run before you go on" in printed(verdict_panel(view))


def test_a_preflight_tells_the_remedy_of_what_is_not_good() -> None:
    found = (Finding("screen", ok=True, came="1920x1080", remedy="Never said."),
             Finding("disk", ok=False, came="2 GB left", remedy="Räume auf."),
             Finding("trigger", ok=False, came="no pulse", remedy="Start the scanner."))
    said = printed(preflight_panel(Preflight(found, accepted=("trigger",)), sub="01", ses="02"))
    assert "the preflight found faults" in said
    assert "Räume auf." in said
    assert "Never said." not in said
    assert (said.count("NOT YET"), said.count("accepted"), said.count("good")) == (1, 1, 1)


def test_a_journal_that_comes_late_and_torn_is_read_whole(tmp_path: Path) -> None:
    journal = tmp_path / "größe_journal.jsonl"
    whole = "".join(json.dumps(line("press", k, key="ü"), ensure_ascii=False) + "\n" for k in range(9)).encode()
    cuts = [0, 0, 60, 65, 66, len(whole) - 1, len(whole)]
    states = iter(cuts)

    def grow() -> bool:
        n = next(states)
        if n:
            journal.write_bytes(whole[:n])
        return n < len(whole)

    got = list(follow(journal, alive=grow, poll_s=0.0))
    assert len(got) == len(cuts)
    assert got[:2] == [[], []]
    assert [one["t"] for part in got for one in part] == list(range(9))
    assert {one["key"] for part in got for one in part} == {"ü"}


class Diode:
    """A photodiode that sees each flash after its own delay (None: not at all), and stray light at any time."""

    def __init__(self, clock: VirtualClock, delays_s: list[float | None]) -> None:
        self.clock, self.left, self.due, self.lit, self.dark_s = clock, list(delays_s), list[float](), False, [0.0]

    def see(self, frame: Frame, shown_s: float) -> None:
        if frame.photodiode and not self.lit and (delay := self.left.pop(0)) is not None:
            self.due += [shown_s + delay, shown_s + delay + 0.01]  # a bounce: the second pulse is no answer
        self.lit = bool(frame.photodiode)

    def open(self) -> None: ...

    def close(self) -> None: ...

    def pulses(self) -> list[Pulse]:
        now, self.due = [t for t in self.due if t <= self.clock.now()], [t for t in self.due if t > self.clock.now()]
        return [Pulse(t, "photodiode", "pin 10") for t in now]

    def presses(self) -> list[Press]:
        return []


def measured(delays_s: list[float | None]) -> DisplayLag:
    clock = VirtualClock()
    diode = Diode(clock, delays_s)
    display = RecordingDisplay(clock, size_px=(8, 8), refresh_hz=60.0, on_flip=diode.see)
    display.open()
    return measure_lag(Devices(clock, trigger=diode, responses=diode, display=display), n_flashes=len(delays_s),
                       frame_of=lambda lit: Frame(None, image_px=0.0, fixation_px=0.0, fixation_color=(0, 0, 0),
                                                  background=127, photodiode=lit), rng=np.random.default_rng(5))


@pytest.mark.parametrize("seed", range(3))
def test_the_delay_is_numpys_median_of_what_was_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    delays: list[float | None] = [*rng.uniform(0.005, 0.3, 11).tolist()]
    delays[int(rng.integers(11))] = None
    seen = np.array([one for one in delays if one is not None])
    lag = measured(delays)
    assert (lag.n_flashes, lag.n_seen) == (11, 10)
    assert lag.median_s == pytest.approx(np.median(seen), abs=1e-9)
    assert lag.sd_s == pytest.approx(np.std(seen, ddof=1), abs=1e-9)
    assert (lag.least_s, lag.most_s) == pytest.approx((seen.min(), seen.max()))
    assert json.loads(json.dumps(lag.to_json()))["median_s"] == lag.median_s


def test_one_flash_has_no_spread_and_light_that_comes_too_late_is_no_answer() -> None:
    assert measured([0.02]).sd_s == 0.0
    with pytest.raises(DeviceError, match="photodiode: 1 of 2 flashes seen; expected at least 90 % of them"):
        measured([LONGEST_S + 0.05, 0.02])
    with pytest.raises(DeviceError, match="0 of 0 flashes seen"):
        measured([])


def test_the_setting_to_copy_is_in_seconds() -> None:
    lag = DisplayLag(20, 19, median_s=0.03349, sd_s=0.0012, least_s=0.03, most_s=0.0409)
    assert lag.summary() == ("19 of 20 flashes seen; from flip to light 33.5 ms (median; sd 1.2, 30.0 to 40.9).\n"
                             "Under [display] set: delay_s = 0.0335")
