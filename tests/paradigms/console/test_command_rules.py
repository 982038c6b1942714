"""What the console's commands refuse before anything is opened, written or shown; what they say where all is well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import run_session
from subjects.errors import StudyError
from subjects.layout import Layout

WHOLE_RUN = {"--sub": "01", "--ses": "01", "--run": "1", "--scanner": "emulated", "--display": "virtual"}


def _files(layout: Layout) -> dict[Path, int]:
    return {path: path.stat().st_size for path in sorted(layout.root.rglob("*")) if path.is_file()}


def _call(verb: str, layout: Layout, *words: str, **options: str | None) -> Result:
    named = {f"--{name}": value for name, value in options.items()}
    given = [word for pair in named.items() if pair[1] is not None for word in pair]
    return CliRunner().invoke(run_session.cli, [verb, "--study", str(layout.root), *map(str, given), *words])


def _refusal(result: Result) -> str:
    """Give what a refused command says; a traceback is no refusal."""
    if isinstance(result.exception, StudyError):  # the entry point says it, and ends with 2
        return str(result.exception)
    assert result.exit_code == 2, (result.output, result.exception)
    return result.output


@pytest.mark.parametrize("left_out", ["--ses", "--run", "--scanner"])
def test_a_run_names_its_session_number_and_scanner(small_console: Layout, left_out: str) -> None:
    before = _files(small_console)
    words = [word for pair in WHOLE_RUN.items() if pair[0] != left_out for word in pair]
    result = _call("run", small_console, *words)
    assert result.exit_code == 2
    assert f"Missing option '{left_out}'; only --practice needs none." in result.output
    assert _files(small_console) == before


@pytest.mark.parametrize("words", [("--repeat",), ("--resume",), ("--from-trial", "3"), ("--fault", "stop=4")])
def test_practice_has_none_of_a_runs_options(small_console: Layout, words: tuple[str, ...]) -> None:
    before = _files(small_console)
    result = _call("run", small_console, "--practice", "--sub", "01", "--display", "virtual", *words)
    assert result.exit_code == 2
    assert f"{words[0]} is for a run; --practice has none." in result.output
    assert _files(small_console) == before


def test_rounds_are_of_practice(small_console: Layout) -> None:
    result = _call("run", small_console, *[word for pair in WHOLE_RUN.items() for word in pair], "--rounds", "2")
    assert (result.exit_code, "--rounds is for --practice." in result.output) == (2, True)


@pytest.mark.parametrize(("words", "said"), [
    (("--run", "0"), "x>=1"), (("--from-trial", "0"), "x>=1"), (("--task", "mian"), "main"),
    (("--display", "widow"), "window"), (("--scanner", "emulatde"), "emulated"), (("--sub", "1/2"), "1/2"),
    (("--ses", "99"), "99"), (("--run", "77"), "77")])
def test_a_word_that_cannot_be_is_refused_with_what_can(small_console: Layout, words: tuple[str, str],
                                                        said: str) -> None:
    before = _files(small_console)
    result = _call("run", small_console, *[word for pair in (WHOLE_RUN | dict([words])).items() for word in pair])
    assert said in _refusal(result)
    assert _files(small_console) == before


@pytest.mark.parametrize("verb", ["run", "preflight", "session", "recover", "card"])
def test_a_folder_that_is_no_study_is_named(tmp_path: Path, verb: str) -> None:
    run = [word for name, value in WHOLE_RUN.items() if verb == "run" or (
        verb in ("preflight", "session") and name != "--run") for word in (name, value)]
    result = _call(verb, Layout(tmp_path / "nothing"), *run)
    assert "nothing" in _refusal(result)
    assert not (tmp_path / "nothing").exists(), "no study is begun by a word misspelled"


def test_nothing_to_recover_is_said_and_writes_nothing(small_console: Layout) -> None:
    before = _files(small_console)
    told, as_json = _call("recover", small_console), _call("recover", small_console, "--json")
    assert (told.exit_code, told.output) == (0, "nothing to recover: every journal has its end\n")
    assert json.loads(as_json.output) == []
    assert _files(small_console) == before


def test_practice_without_pictures_says_how_to_draw_some(small_console: Layout) -> None:
    before = _files(small_console)
    said = _refusal(_call("run", small_console, "--practice", "--sub", "01", "--display", "virtual"))
    assert "python -m stimuli practice" in said
    assert _files(small_console) == before
