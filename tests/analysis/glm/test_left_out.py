"""Vertices without betas: each fit tells of its own sessions, and no fit hides what another one counted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from analysis.glm.combining import vertices_left_out
from analysis.glm.subject_runs import SubjectRuns
from subjects.provenance import sidecar_path

LEFT_OUT = {"sub-01 ses-01 hemi-L": {"no signal": 3}, "sub-01 ses-01 hemi-R": {"signal in some runs only": 50},
            "sub-01 ses-010 hemi-R": {"no signal": 7}, "sub-01 ses-01+02 hemi-R": {"no signal": 9}}


@pytest.mark.parametrize(("sessions", "told"), [
    (("01",), {"ses-01": {"signal in some runs only": 50}}), (("010",), {"ses-010": {"no signal": 7}}),
    (("01", "02"), {"ses-01+02": {"no signal": 9}}), (("02",), {})])
def test_a_fit_tells_of_its_own_sessions_alone(sessions: tuple[str, ...], told: dict[str, dict[str, int]]) -> None:
    runs = cast("SubjectRuns", SimpleNamespace(sub="01", left_out=LEFT_OUT))
    assert SubjectRuns.left_out_of(runs, "R", sessions=sessions) == told


def _fit(folder: Path, name: str, counts: dict[str, dict[str, int]]) -> Path:
    path = folder / f"{name}_fit.h5"
    sidecar_path(path).write_text(json.dumps({"VerticesLeftOut": counts}))
    return path


@pytest.mark.parametrize("turned", [False, True])
def test_a_fit_that_says_nothing_of_a_session_hides_no_count(tmp_path: Path, turned: bool) -> None:
    """A session is fitted again, another one's older fit still tells that all was well."""
    fits = [_fit(tmp_path, "new", {"ses-01": {"signal in some runs only": 50}}),
            _fit(tmp_path, "old", {"ses-01": {}, "ses-02": {}})]
    assert vertices_left_out(fits[::-1] if turned else fits) == {"ses-01": {"signal in some runs only": 50},
                                                                 "ses-02": {}}


def test_fits_of_older_versions_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fit.h5"
    sidecar_path(path).write_text("{}")
    assert vertices_left_out([path]) == {}
