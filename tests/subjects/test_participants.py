"""What the table of participants says of a person, and which buttons the next one gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subjects.dataset import COLUMNS, Person, init_study, write_row
from subjects.errors import ProfileError
from subjects.layout import Layout
from subjects.profile import next_mapping, register
from subjects.settings.study import Settings, StudySettings
from subjects.store import read_json, read_table
from tests.bids import bids_report


@pytest.fixture
def study(tmp_path: Path) -> Layout:
    return init_study(Layout(tmp_path / "study"), name="people", seed=4)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "subjects", *arguments], capture_output=True, text=True, check=False)


def test_what_is_said_stands_in_the_table_and_its_dictionary(study: Layout) -> None:
    where = ("--study", str(study.root), "--sub")
    assert _python("add", *where, "01", "--age", "25", "--sex", "F", "--language", "zh-Hans", "--consent", "yes",
                   "--no-swap-keys").returncode == 0
    assert _python("add", *where, "02", "--swap-keys").returncode == 0
    done = _python("describe", *where, "02", "--handedness", "L", "--naive", "yes")
    assert done.stdout == "02: handedness L, naive yes\n"
    table = read_table(study.participants).set_index("participant_id")
    assert table.loc["sub-01"].dropna().to_dict() == {"group": "volunteer", "age": 25, "sex": "F",
                                                      "language": "zh-Hans", "consent": "yes"}
    assert table.loc["sub-02"].dropna().to_dict() == {"group": "volunteer", "handedness": "L", "naive": "yes"}
    told = read_json(study.participants.with_suffix(".json"))
    assert set(told) == {"participant_id", *table.columns}
    issues = bids_report(study.root)["issues"]["issues"]
    assert [one for one in issues if "participants" in str(one.get("location"))
            and one["code"] not in ("PARTICIPANT_ID_MISMATCH",)] == []


def test_a_column_that_the_study_describes_itself_stays(study: Layout) -> None:
    path = study.participants.with_suffix(".json")
    from subjects.store import write_json

    write_json(path, {**read_json(path), "age": {"Description": "Ours."}}, overwrite=True)
    register(study, "01", person=Person(age=30))
    write_row(study, "01", row={"age": "31"})
    assert read_json(path)["age"] == {"Description": "Ours."}
    assert read_table(study.participants)["age"].tolist() == [31]


@pytest.mark.parametrize(("said", "complaint"), [
    ({"age": 90}, "age: 90; expected whole years from 0 to 89"), ({"age": -1}, "age: -1"),
    ({"age": 1998}, "a year of birth is never kept"), ({"sex": "female"}, "sex: 'female'; expected one of F, M, O"),
    ({"handedness": "r"}, "handedness: 'r'"), ({"naive": "true"}, "naive: 'true'"),
    ({"language": "Chinese"}, "language: 'Chinese'"), ({"consent": "scan.pdf"}, "consent: 'scan.pdf'")])
def test_a_value_that_a_column_does_not_know_is_refused(said: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ProfileError, match=complaint):
        Person(**said)


def test_no_column_is_for_a_name_or_a_date() -> None:
    assert set(COLUMNS) == {"age", "sex", "handedness", "naive", "language", "consent"}
    with pytest.raises(TypeError):
        Person(name="Somebody")  # type: ignore[call-arg]


def test_both_mappings_are_had_equally_often_and_their_order_is_the_seeds(study: Layout) -> None:
    settings = Settings(study=StudySettings(seed=4))
    for k in range(1, 21):
        sub = f"{k:02d}"
        register(study, sub, swap_keys=next_mapping(study, settings, sub=sub))
    swaps = np.array([read_json(study.profile(sub))["swap_keys"] for sub in study.subjects()])
    assert swaps.reshape(10, 2).sum(axis=1).tolist() == [1] * 10
    assert 0 < swaps[::2].sum() < 10
    again = [next_mapping(study, settings, sub="21") for _ in range(3)]
    assert len(set(again)) == 1
