from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from subjects import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StudyError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_holds_its_four_parts(kind: type[errors.StudyError]) -> None:
    error = kind("file.tsv", came="x", expected="y", remedy="Do z.")
    assert str(error) == "file.tsv: x; expected y. Do z."
    assert isinstance(error, errors.StudyError)


def test_an_error_survives_the_trip_between_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.StoreError("a", came="b", expected="c", remedy="d.")))
    assert (type(error), str(error)) == (errors.StoreError, "a: b; expected c. d.")


def test_nearest_names_the_close_word_or_all() -> None:
    assert errors.nearest("scaner.tr_s", ["scanner.tr_s", "main.runs"]) == "Did you mean 'scanner.tr_s'?"
    assert errors.nearest("qqq", ["b", "a"]) == "Known here: a, b."


PROGRAM = """
import sys, click
from subjects.cli import main
from subjects.errors import StoreError
@click.command()
@click.option('--how')
def go(how):
    if how == 'study': raise StoreError('here', came='this', expected='that', remedy='Mend it.')
    if how == 'os': open('/nowhere/at/all')
    if how == 'code': return 1
    if how == 'interrupt': raise KeyboardInterrupt
main(go)
"""


@pytest.mark.parametrize(("how", "code", "said"), [
    ("study", 2, "error: here: this; expected that. Mend it."),
    ("os", 2, "error: /nowhere/at/all: No such file or directory"),
    ("code", 1, ""), ("fine", 0, ""), ("interrupt", 130, "interrupted"),
])
def test_every_end_of_a_command(how: str, code: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "--how", how], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_flag_ends_with_2() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "--hwo", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--hwo" in done.stderr
