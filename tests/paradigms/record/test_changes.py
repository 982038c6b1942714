"""Changes of the display against a plain count over the whole journal."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from paradigms.console.panels import live_panel
from paradigms.console.run_state import RunView, fold
from paradigms.playing.play_run import play_run
from paradigms.record.changes import Changes, changes_of
from paradigms.schedule import Schedule
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import load_settings

FRAME_S = 1 / 60
BOUNDS = DisplaySettings()


def line(k: int, *, late: float | None) -> dict[str, Any]:
    """Give step k, due at k / 10 s: shown that late, or skipped."""
    planned = 50.0 + k / 10
    if late is None:
        return {"kind": "skip", "t": planned, "planned": planned, "step": k}
    return {"kind": "flip", "what": "step", "event": None, "t": planned + late, "planned": planned, "step": k}


@given(st.lists(st.none() | st.sampled_from([0.0, 0.01, 0.02, 0.05]), max_size=40))
def test_the_counts_are_those_of_a_plain_loop(late: list[float | None]) -> None:
    found = changes_of([{"kind": "zero", "t": 50.0}, *(line(k, late=one) for k, one in enumerate(late))],
                       frame_s=FRAME_S)
    seen = [(k, one) for k, one in enumerate(late) if one is not None]
    assert (found.n_changes, found.n_steps, found.n_skipped) == (len(seen), len(late), len(late) - len(seen))
    assert found.n_late == sum(one >= 0.02 for _, one in seen)
    assert found.worst_s == pytest.approx(max((one for _, one in seen), default=0.0))
    times = [(k, 50.0 + k / 10 + one) for k, one in seen]
    gaps = [after - before for (_, before), (_, after) in itertools.pairwise(times)]
    assert found.longest_gap_s == pytest.approx(max(gaps, default=0.0))


@pytest.mark.parametrize(("changes", "faults"), [
    (Changes(FRAME_S), ()),
    (Changes(FRAME_S, n_changes=900, n_late=9, n_steps=1000, n_skipped=10, longest_gap_s=0.25), ()),
    (Changes(FRAME_S, n_changes=900, n_late=10, worst_s=0.03),
     ("10 of 900 changes late by more than a frame, worst 30 ms",)),
    (Changes(FRAME_S, n_changes=989, n_steps=1000, n_skipped=11, longest_gap_s=0.2),
     ("11 of 1000 movie steps skipped (1.1 %), longest gap 0.20 s",)),
    (Changes(FRAME_S, n_changes=998, n_steps=1000, n_skipped=2, longest_gap_s=0.26),
     ("2 of 1000 movie steps skipped (0.2 %), longest gap 0.26 s",))])
def test_what_passes_a_bound_is_named(changes: Changes, faults: tuple[str, ...]) -> None:
    assert changes.faults(BOUNDS) == faults


def test_the_bounds_are_the_settings(schedule: Schedule) -> None:
    wide = DisplaySettings(most_skipped=0.2, longest_gap_s=2.0, most_late=1.0)
    changes = Changes(FRAME_S, n_changes=10, n_late=9, n_steps=12, n_skipped=2, longest_gap_s=1.0)
    assert len(changes.faults(BOUNDS)) == 2
    assert changes.faults(wide) == ()


def test_the_live_view_tells_of_skipped_steps(schedule: Schedule) -> None:
    view = RunView(schedule, changes=Changes(FRAME_S), zero_s=50.0)
    for k, late in enumerate((0.0, 0.0, None, None, 0.0)):
        view = fold(view, line(k, late=late))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(live_panel(view))
    said = " ".join(console.export_text().replace("│", " ").split())
    assert "movie steps skipped 2 of 5 (40.0 %)" in said
    assert "longest gap 0.30 s" in said


def test_the_record_says_how_the_display_kept_up(small_console: Layout) -> None:
    key = RunKey("01", "01", "main", 1)
    outcome = play_run(small_console, load_settings(small_console.root), key=key, scanner="emulated", display="virtual")
    told = json.loads(Path(small_console.events_sidecar(key)).read_text(encoding="utf-8"))["DisplayChanges"]
    assert told == pytest.approx(outcome.to_json()["changes"], abs=1e-5)
    assert (told["n_changes"], told["n_late"], told["share_shown"]) == (2 * outcome.n_events, 0, None)
