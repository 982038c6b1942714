"""A departure from the settings of a subject's earlier runs is shown, confirmed, recorded, and not read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from paradigms.playing.play_run import play_run
from paradigms.record.departures import changes_since
from paradigms.runlog import of_kind, read_journal
from run_session import cli
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

RUN = RunKey("01", "01", "main", 1)
NEXT = replace(RUN, run=2)
CHANGED = "main.blank_trials: 9 then, 5 now"


def _settings(layout: Layout, **changes: Any) -> Settings:
    return load_settings(layout.root, overrides={name.replace("__", "."): value for name, value in changes.items()})


def _play(layout: Layout, key: RunKey, settings: Settings, **more: Any) -> bool:
    return play_run(layout, settings, key=key, scanner="emulated", display="virtual", **more).complete


def test_changed_settings_are_confirmed_once_and_recorded(small_console: Layout) -> None:
    now = _settings(small_console, main__blank_trials=5)
    assert _play(small_console, RUN, _settings(small_console))
    with pytest.raises(RunLogError, match=f"settings: {CHANGED}; expected the settings of {RUN}_attempt-01.*"
                                          "--accept-changes"):
        _play(small_console, NEXT, now)
    assert not small_console.journal(NEXT).exists()
    assert _play(small_console, NEXT, now, accept_changes=True)
    assert of_kind(read_journal(small_console.journal(NEXT)), "devices")[0]["accepted_changes"] == [CHANGED]
    assert _play(small_console, replace(RUN, ses="02"), now)  # as in the last run
    assert "accepted_changes" not in of_kind(read_journal(small_console.journal(replace(RUN, ses="02"))), "devices")[0]


def test_the_plan_describes_a_run_by_its_own_record(small_console: Layout) -> None:
    assert _play(small_console, RUN, _settings(small_console))
    first, second = run_sheet(small_console, _settings(small_console, main__blank_trials=5), sub="01").runs[:2]
    assert (first.done, first.n_trials, second.done, second.n_trials) == (True, 39, False, 35)
    assert first.n_volumes - second.n_volumes == 8  # four trials of 4 s at a TR of 2 s


@pytest.mark.parametrize(("change", "said"), [
    ({"scanner__arm_key": "a"}, ()), ({"emulated_scanner__jitter_s": 0.001}, ()), ({"lo__block_s": 20.0}, ()),
    ({"main__image_deg": 10.0}, ("main.image_deg: 12.0 then, 10.0 now",)),
    ({"display__distance_cm": 150.0}, ("display.distance_cm: 168.0 then, 150.0 now",))])
def test_what_is_shown_counts_and_how_the_room_is_set_up_does_not(small_console: Layout, change: dict[str, Any],
                                                                  said: tuple[str, ...]) -> None:
    assert _play(small_console, RUN, _settings(small_console))
    assert changes_since(small_console, _settings(small_console, **change), sub="01", task="main")[1] == said
    assert changes_since(small_console, _settings(small_console, **change), sub="01", task="lo") == ("", ())


def test_the_command_takes_the_confirmation(small_console: Layout) -> None:
    assert _play(small_console, RUN, _settings(small_console, main__blank_trials=5))
    words = ["run", "--study", str(small_console.root), "--sub", "01", "--ses", "01", "--run", "2", "--scanner",
             "emulated", "--display", "virtual"]
    refused = CliRunner().invoke(cli, words, standalone_mode=False)
    assert "main.blank_trials: 5 then, 9 now" in str(refused.exception)
    assert CliRunner().invoke(cli, [*words, "--accept-changes"], standalone_mode=False).return_value == 0
