"""The key of a run: what it takes, what it refuses, how it is spelled."""

from __future__ import annotations

from typing import Any

import pytest

from subjects.errors import LayoutError
from subjects.run_key import RunKey

GOOD: dict[str, Any] = {"sub": "01", "ses": "02", "task": "main", "run": 3}


def test_its_text_is_the_name_of_the_runs_files() -> None:
    assert str(RunKey(**GOOD)) == "sub-01_ses-02_task-main_run-3"


def test_keys_sort_by_number_and_not_by_text() -> None:
    keys = [RunKey("01", "02", "main", 1), RunKey("01", "01", "main", 10), RunKey("01", "01", "main", 2)]
    assert [(key.ses, key.run) for key in sorted(keys)] == [("01", 2), ("01", 10), ("02", 1)]
    assert len({RunKey(**GOOD), RunKey(**GOOD)}) == 1


@pytest.mark.parametrize(("change", "text"), [
    ({"sub": "sub-01"}, "sub label: 'sub-01'; expected letters and digits only. Write '01'"),
    ({"ses": ""}, "ses label: ''; expected letters and digits only. Choose a label"),
    ({"task": "../main"}, r"task label: '\.\./main'; expected letters and digits only. Write 'main'"),
    ({"sub": "01\n"}, "sub label: '01.n'; expected letters and digits only"),
    ({"ses": 1}, "ses label: 1; expected text of letters and digits"),
    ({"run": 0}, "run of sub-01 ses-02 task-main: 0; expected a whole number from 1"),
    ({"run": -2}, "-2; expected a whole number from 1"),
    ({"run": True}, "True; expected a whole number from 1"),
    ({"run": "1"}, "'1'; expected a whole number from 1"),
    ({"run": 1.0}, "1.0; expected a whole number from 1"),
])
def test_a_key_with_one_fault_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        RunKey(**{**GOOD, **change})
