"""What an emulated scanner and a simulated participant give is never written down as a volunteer's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import run_session
from paradigms.console.preflight import make_preflight
from paradigms.playing.excerpt import play_excerpt
from paradigms.playing.play_run import play_run
from subjects.errors import ProfileError
from subjects.layout import Layout
from subjects.profile import register
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings

KEY = RunKey("02", "01", "main", 1)
REFUSED = "sub-02: a volunteer; expected a virtual subject on the emulated scanner. Nothing is made up for a volunteer"


@pytest.fixture
def volunteer(small_console: Layout) -> Layout:
    """Give a study with the volunteer 02 beside the virtual subject 01."""
    register(small_console, "02")
    return small_console


def _files(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(layout.root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("display", ["virtual", "window", "xvfb"])
@pytest.mark.parametrize("part", [{}, {"n_trials": 2}, {"until_s": 4.0}])
def test_no_run_and_no_excerpt_is_played(volunteer: Layout, display: str, part: dict[str, float],
                                         tmp_path: Path) -> None:
    before = _files(volunteer)
    with pytest.raises(ProfileError, match=REFUSED):
        play_run(volunteer, load_settings(volunteer.root), key=KEY, scanner="emulated", display=display,
                 folder=tmp_path / "out", **part)  # type: ignore[arg-type]
    assert _files(volunteer) == before
    assert not (tmp_path / "out").exists()


def test_nothing_is_played_on_a_display_that_nobody_sees(volunteer: Layout) -> None:
    before = _files(volunteer)
    with pytest.raises(ProfileError, match="display that nobody sees"):
        play_run(volunteer, load_settings(volunteer.root), key=KEY, scanner="serial", display="xvfb")
    assert _files(volunteer) == before


def test_no_excerpt_is_shown_in_a_window(volunteer: Layout) -> None:
    before = _files(volunteer)
    with pytest.raises(ProfileError, match=REFUSED):
        play_excerpt(volunteer, load_settings(volunteer.root), sub="02")
    assert _files(volunteer) == before


def test_no_preflight_is_passed(volunteer: Layout) -> None:
    before = _files(volunteer)
    with pytest.raises(ProfileError, match=REFUSED):
        make_preflight(volunteer, load_settings(volunteer.root), sub="02", ses="01", scanner="emulated",
                       display="virtual")
    assert _files(volunteer) == before


@pytest.mark.parametrize("verb", ["run", "session", "preflight"])
def test_every_command_refuses_with_2_and_writes_nothing(volunteer: Layout, verb: str, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    before = _files(volunteer)
    words = [verb, "--study", str(volunteer.root), "--sub", "02", "--ses", "01", "--scanner", "emulated", "--display",
             "virtual", *(("--run", "1") if verb == "run" else ()), *(("--yes",) if verb == "session" else ())]
    monkeypatch.setattr(sys, "argv", ["run_session.py", *words])
    with pytest.raises(SystemExit) as ended:
        run_session.main(run_session.cli)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {REFUSED}")
    assert _files(volunteer) == before


def test_a_mark_that_is_taken_away_counts(volunteer: Layout) -> None:
    """The profile on disk decides, at every run anew."""
    key = RunKey("01", "01", "main", 1)
    path = volunteer.profile("01")
    path.write_text(path.read_text(encoding="utf-8").replace('"virtual": true', '"virtual": false'), encoding="utf-8")
    with pytest.raises(ProfileError, match="sub-01: a volunteer"):
        play_run(volunteer, load_settings(volunteer.root), key=key, scanner="emulated", display="virtual")
    assert not volunteer.source_dir("01", "01").exists()
