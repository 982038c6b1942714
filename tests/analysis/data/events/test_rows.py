"""Rows of events tables that a design must not be made from are named, by number and by what to write."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.data.events.rows import require_rows
from subjects.errors import AnalysisError


def events(*rows: tuple[float, str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["onset", "trial_type", "image_id"])


SOUND = ((2.0, "RE", "a"), (4.0, "AN", "b"), (6.0, "blank", "n/a"), (8.0, "AI", "c"))


def test_a_sound_table_comes_back_as_it_is() -> None:
    table = events(*SOUND)
    pd.testing.assert_frame_equal(require_rows(table, task="main", where="t"), table)


def test_an_image_may_come_twice_at_other_times() -> None:
    require_rows(events(*SOUND, (10.0, "RE", "a")), task="main", where="t")


@pytest.mark.parametrize("k", range(len(SOUND)))
def test_a_row_that_was_copied_is_named_wherever_it_stands(k: int) -> None:
    onset, kind, _ = SOUND[k]
    with pytest.raises(AnalysisError, match=rf"^t, row 5: {kind} at {onset:g} s a second time"):
        require_rows(events(*SOUND, SOUND[k]), task="main", where="t")


@pytest.mark.parametrize(("given", "remedy"), [("re", "Write 'RE'."), (" Blank ", "Write 'blank'."),
                                              ("stimulus", "other programs' tables have other names")])
def test_a_kind_of_trial_that_is_none_is_named_with_its_remedy(given: str, remedy: str) -> None:
    with pytest.raises(AnalysisError, match=r"^t, row 2: trial_type") as found:
        require_rows(events(SOUND[0], (4.0, given, "b")), task="main", where="t")
    assert repr(given) in str(found.value)
    assert remedy in str(found.value)


def test_other_tasks_name_their_trials_as_they_like_but_never_twice() -> None:
    require_rows(events((2.0, "wedge", "n/a")), task="retinotopy", where="t")
    with pytest.raises(AnalysisError, match="wedge at 2 s a second time"):
        require_rows(events((2.0, "wedge", "n/a"), (2.0, "wedge", "n/a")), task="retinotopy", where="t")


def test_a_complete_run_has_events_and_one_that_was_cut_short_may_have_none() -> None:
    table = events()
    table.attrs["complete"] = False
    assert require_rows(table, task="main", where="t").empty
    table.attrs["complete"] = True
    with pytest.raises(AnalysisError, match=r"^t: a heading and no event; expected the events of a run"):
        require_rows(table, task="main", where="t")
