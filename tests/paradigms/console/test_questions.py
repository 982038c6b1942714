"""What the operator is asked: whole answers, first letters, mistakes, files of answers that end, and a terminal."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradigms.console.questions import WIDTH, ask, ask_number, first_answer, folded
from paradigms.console.session import LEAVE

ROOT = Path(__file__).resolve().parents[3]
CHOICES = ("start", "skip", LEAVE)
IN_TERMINAL = """
import sys, click
from paradigms.console.questions import ask, ask_number
try:
    print("got", ask("What now?", ("start", "skip", "leave")) if sys.argv[1] == "choice" else ask_number("Which?"))
except click.Abort:
    print("got", "the operator's Ctrl-C")
"""


def _from_a_pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize(("typed", "taken"), [
    ("\n", "start"), ("start\n", "start"), ("st\n", "start"), ("sk\n", "skip"), ("  SKIP \n", "skip"),
    ("l\n", LEAVE),
    ("s\nsk\n", "skip"),
    ("begin\nstarts\nsk\n", "skip"),
])
def test_a_choice_is_taken_by_as_many_letters_as_tell_it_apart(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, taken: str) -> None:
    _from_a_pipe(monkeypatch, typed)
    assert ask("What now?", CHOICES) == taken
    mistakes = capsys.readouterr().out.count(f"one of start, skip, {LEAVE}, please")
    assert mistakes == typed.count("\n") - 1, "each mistake is told, and nothing else"


@pytest.mark.parametrize("typed", ["", "nothing of these\n"])
def test_where_a_file_of_answers_ends_the_answer_is_to_leave(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str) -> None:
    _from_a_pipe(monkeypatch, typed)
    assert ask("What now?", CHOICES) == LEAVE
    assert capsys.readouterr().out.endswith(f"no more answers: {LEAVE}\n")


def test_a_question_that_cannot_be_left_is_not_answered_by_the_end_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    _from_a_pipe(monkeypatch, "")
    with pytest.raises(click.Abort):
        ask("Sure?", ("yes", "no"))


def test_with_json_on_standard_output_questions_go_to_standard_error(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _from_a_pipe(monkeypatch, "what\nskip\n7\n")
    assert (ask("What now?", CHOICES, err=True), ask_number("Which series?", err=True)) == ("skip", 7)
    assert first_answer("Again?", ("no", "yes"), err=True) == "no"
    out, err = capsys.readouterr()
    assert out == ""
    for said in ("What now?", "please", "Which series?", "Again?: no"):
        assert said in err


@pytest.mark.parametrize(("typed", "number", "mistakes"), [
    ("12\n", 12, 0), ("\n", None, 0), ("", None, 0), ("0\n-3\n1.5\nfive\n\N{ARABIC-INDIC DIGIT SEVEN}x\n5\n", 5, 5)])
def test_a_number_is_from_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str,
                            number: int | None, mistakes: int) -> None:
    _from_a_pipe(monkeypatch, typed)
    assert ask_number("Which series?") == number
    assert capsys.readouterr().out.count("a whole number from 1, please, or Enter") == mistakes


@pytest.mark.skipif(sys.platform == "win32", reason="a pty plays the terminal")
@pytest.mark.parametrize(("what", "typed", "got"), [("choice", b"sk\n", "got skip"), ("number", b"31\n", "got 31"),
                                                    ("choice", b"\x03", "got the operator's Ctrl-C"),
                                                    ("choice", b"\x04", "got the operator's Ctrl-C")])
def test_in_a_terminal_ctrl_c_and_ctrl_d_are_the_operators_own(what: str, typed: bytes, got: str) -> None:
    import pty

    ours, theirs = pty.openpty()
    controlled = ("import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n" + IN_TERMINAL)
    process = subprocess.Popen([sys.executable, "-c", controlled, what], cwd=ROOT, stdin=theirs, stdout=theirs,
                               stderr=theirs, env={**os.environ, "PYTHONPATH": str(ROOT)})
    os.close(theirs)
    asked = said = ""
    while not asked.endswith(": ") and process.poll() is None:
        asked += _shown(ours)
    while process.poll() is None and "got " not in said:
        os.write(ours, typed)  # again: a Ctrl-C between a question and the reading of its answer is lost
        said += _shown(ours)
    said += _shown(ours)
    process.wait(30)
    os.close(ours)
    assert ("What now? [start, skip, leave]" if what == "choice" else "Which? [number, or Enter]") in asked
    assert got in said


def _shown(descriptor: int) -> str:
    """Read what a terminal shows within three seconds; nothing once nobody writes there any more."""
    text, until = "", time.monotonic() + 3.0
    while (left := until - time.monotonic()) > 0 and select.select([descriptor], [], [], left)[0]:
        try:
            text += os.read(descriptor, 4096).decode()
        except OSError:
            break
        if text.endswith(": "):
            break
    return text


@given(st.lists(st.text(alphabet="abcdefg-/_.", min_size=1, max_size=120), min_size=1, max_size=40))
def test_folding_keeps_every_word_whole_and_in_its_place(words: Sequence[str]) -> None:
    lines = folded(" ".join(words)).splitlines()
    assert [word for line in lines for word in line.split()] == list(words)
    assert all(len(line) <= WIDTH or len(line.split()) == 1 for line in lines)
    assert all(line.startswith("  ") for line in lines[1:])
    joined = textwrap.shorten(" ".join(words), 10**6)
    assert len(lines) > 1 or len(joined) <= WIDTH or len(words) == 1
