"""What every entry point shares, tried as a user types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from subjects.cli import fitted, json_option, say
from subjects.errors import ProfileError
from subjects.layout import Layout
from subjects.profile import SubjectProfile, require_virtual

ENTRIES = (("-m", "subjects"), ("-m", "stimuli"), ("-m", "analysis"), ("run_session.py",))


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry[-1])
def test_every_entry_point_says_its_version_and_its_help(entry: tuple[str, ...]) -> None:
    said = _run(*entry, "--version")
    assert (said.returncode, said.stdout) == (0, f"adversarial-fmri {metadata.version('adversarial-fmri')}\n")
    short, long = _run(*entry, "-h"), _run(*entry, "--help")
    assert short.returncode == long.returncode == 0
    assert short.stdout == long.stdout
    assert "--version" in short.stdout


def _group_of(entry: tuple[str, ...]) -> click.Group:
    module = import_module(f"{entry[1]}.__main__" if entry[0] == "-m" else "run_session")
    assert isinstance(module.cli, click.Group)
    return module.cli


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry[-1])
def test_every_command_knows_h_and_v(entry: tuple[str, ...]) -> None:
    cli = _group_of(entry)
    assert cli.commands
    for name in cli.commands:
        said = CliRunner().invoke(cli, [name, "-h"])
        assert said.exit_code == 0, name
        assert "-v, --verbose" in said.output, name


PROGRAM = """
import logging
from subjects.cli import group, main
@group(help='x')
def cli(): pass
@cli.command()
def go():
    for name in ('analysis.glm', 'PIL'):
        for level in ('debug', 'info', 'warning'):
            getattr(logging.getLogger(name), level)(level + ' of ' + name)
main(cli)
"""
TWICE = """
import logging
from subjects.cli import group, main
@group(help='x')
def cli(): pass
@cli.command()
def go():
    for sub in ('01', '01', '02'):
        logging.getLogger('analysis.running').warning('sub-%s: betas without a sidecar, from elsewhere: nothing says '
                                                      'what they were made from', sub)
main(cli)
"""
WARNINGS = ["WARNING analysis.glm: warning of analysis.glm", "WARNING PIL: warning of PIL"]
INFO, DEBUG = "INFO analysis.glm: info of analysis.glm", "DEBUG analysis.glm: debug of analysis.glm"


@pytest.mark.parametrize(("arguments", "lines"), [
    (("go",), WARNINGS), (("go", "-v"), [INFO, *WARNINGS]), (("-v", "go"), [INFO, *WARNINGS]),
    (("go", "-vv"), [DEBUG, INFO, *WARNINGS]), (("-v", "go", "-v"), [DEBUG, INFO, *WARNINGS]),
])
def test_v_lets_our_own_loggers_speak_and_no_others(arguments: tuple[str, ...], lines: list[str]) -> None:
    done = _run("-c", PROGRAM, *arguments)
    assert done.stdout == ""
    assert done.stderr.splitlines() == lines


@click.command()
@json_option
def _report(as_json: bool) -> None:
    from rich.table import Table

    table = Table("head")
    table.add_row("cell")
    say({"n": np.int64(3), "x": [1.5, float("nan")], "where": Path("a/b"), "mean": np.float64("inf"), "no": None},
        as_json=as_json, text=["a line", table])


def test_a_report_is_json_for_programs_and_text_for_people() -> None:
    assert json.loads(CliRunner().invoke(_report, ["--json"]).output) == {
        "n": 3, "x": [1.5, None], "where": "a/b", "mean": None, "no": None}
    text = CliRunner().invoke(_report, []).output
    assert text.startswith("a line\n")
    assert "cell" in text


def test_nothing_is_made_up_for_a_volunteer() -> None:
    with pytest.raises(ProfileError, match=r"sub-01: a volunteer; expected a virtual subject for simulated BOLD\."):
        require_virtual(SubjectProfile("01"), what="for simulated BOLD")
    profile = SubjectProfile("01", virtual=True)
    assert require_virtual(profile, what="for simulated BOLD") is profile


FAILING = """
import click
from subjects.cli import group, main, rich_progress
from subjects.errors import StoreError
@group(help='x')
def cli(): pass
@cli.command()
@click.option('--at', type=int)
def go(at):
    for k in rich_progress(range(4), label='things'):
        if k == at:
            raise StoreError('a place', came='nothing', expected='something', remedy='Look.')
main(cli)
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_an_error_is_the_last_thing_said_whatever_a_bar_was_doing(terminal: bool,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    said = _run("-c", FAILING, "go", "--at", "2")
    assert said.returncode == 2
    last = said.stderr.rstrip().splitlines()[-1].removeprefix("\x1b[?25h")  # the bar gives the cursor back
    assert last == "error: a place: nothing; expected something. Look."


def test_a_pipe_gets_one_line_a_progress_bar() -> None:
    said = _run("-c", FAILING, "go", "--at", "9")
    assert said.stderr.splitlines() == ["things                       4/4"]


def test_the_studys_folder_is_quoted_where_a_command_is_spelled() -> None:
    assert Layout(Path("my study")).argument == "'my study'"
    assert Layout(Path("study")).argument == "study"
    root = Path(__file__).parents[2]
    folders = ("subjects", "stimuli", "paradigms", "analysis")
    sources = [path for name in folders for path in (root / name).rglob("*.py")]
    assert len(sources) > 150
    bare = [str(path) for path in (*sources, root / "run_session.py")
            if re.search(r"--study \{[a-z_.]*root\}", path.read_text(encoding="utf-8"))]
    assert bare == []


def test_a_warning_is_said_once_and_in_a_pipe_on_one_line() -> None:
    done = _run("-c", TWICE, "go")
    said = "betas without a sidecar, from elsewhere: nothing says what they were made from"
    assert done.stderr.splitlines() == [f"WARNING analysis.running: sub-{sub}: {said}" for sub in ("01", "02")]


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal is POSIX's")
def test_a_warning_on_a_terminal_is_broken_at_words() -> None:
    import pty

    keeper, screen = pty.openpty()
    done = subprocess.run([sys.executable, "-c", TWICE, "go"], stderr=screen, check=False,
                          env={**os.environ, "COLUMNS": "60"})
    os.close(screen)
    lines = os.read(keeper, 10_000).decode().splitlines()
    os.close(keeper)
    assert done.returncode == 0
    assert max(map(len, lines)) < 60
    assert " ".join(line.strip() for line in lines).count("nothing says what they were made from") == 2


def test_lines_are_broken_between_words_and_names_of_files_never() -> None:
    name = "derivatives/rois/sub-01_hemi-L_desc-rois_dseg.label.gii"
    text = f"  short line\nlabels of V1 to V4 and LO, 123456 vertices: {name}\n{name}"
    found = fitted(text, width=40).split("\n")
    assert found == ["  short line", "labels of V1 to V4 and LO, 123456", "  vertices:", f"  {name}", name]
    assert fitted(text, width=200) == text
