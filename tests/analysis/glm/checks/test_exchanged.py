"""Runs under one another's names: told by the clocks, told by the data, accepted where that is asked for."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.__main__ import cli
from analysis.data.files.acquired import find_misnamed
from analysis.data.timeseries import read_sessions
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json, write_json
from tests.analysis.running_steps import run
from tests.analysis.volunteer import bold_path, make_volunteer
from tests.subjects.scanned_session import Console, Scanner

FIRST, SECOND, THIRD = (RunKey("01", "01", "main", number) for number in (1, 2, 3))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    return make_volunteer(tmp_path_factory.mktemp("exchanged") / "study", runs=3)


@pytest.fixture
def volunteer(made: tuple[Layout, Settings], tmp_path: Path) -> tuple[Layout, Settings]:
    return Layout(shutil.copytree(made[0].root, tmp_path / "study")), made[1]


def accepting(settings: Settings, *what: str) -> Settings:
    return settings.model_copy(update={"analysis": settings.analysis.model_copy(update={"accept": what})})


def exchange(layout: Layout, one: RunKey, other: RunKey, *, hemispheres: str = "LR") -> None:
    for hemi in hemispheres:
        for ending in (".func.gii", ".json"):
            first, second = (path.with_name(path.name.replace(".func.gii", ending)) for path in
                             (bold_path(layout, one, hemi=hemi), bold_path(layout, other, hemi=hemi)))
            aside = first.with_suffix(".aside")
            first.rename(aside)
            second.rename(first)
            aside.rename(second)


def play_and_scan(layout: Layout, order: tuple[RunKey, ...], *, ahead_s: float = 7.0) -> None:
    """Play the three runs one after the other; name their images in this order."""
    console, func = Console(layout), layout.root / "sub-01" / "ses-01" / "func"
    scanner = Scanner(func, ahead_s=ahead_s)
    for number, named, waits_s in zip((1, 2, 3), order, (40.0, 95.0, 170.0), strict=True):
        console.rest(waits_s)
        zero = console.play("main", number, n_volumes=100)
        layout.schedule(RunKey("01", "01", "main", number)).unlink()  # not that of the events tables
        scanner.scan(zero, name="ep2d_bold_main", file=f"{named}_bold", n_volumes=100, ScanningSequence="EP")


def test_whole_runs_are_fitted_and_their_scores_are_kept(volunteer: tuple[Layout, Settings],
                                                        caplog: pytest.LogCaptureFixture) -> None:
    layout, settings = volunteer
    with caplog.at_level(logging.WARNING):
        done = run("glm", layout, settings)
    assert "hold the events" not in caplog.text
    assert "not found in its data" not in caplog.text
    fit = next(path for work in done.works for path in work.outputs if path.name.endswith("hemi-L_fit.h5"))
    scores = read_json(sidecar_path(fit))["EventsInData"]
    assert set(scores) == {str(FIRST), str(SECOND), str(THIRD)}
    assert min(scores.values()) > 5


@pytest.mark.parametrize("model", ["ols", "glmdenoise"])
def test_exchanged_runs_are_refused_with_both_names(volunteer: tuple[Layout, Settings], model: str) -> None:
    layout, settings = volunteer
    exchange(layout, FIRST, SECOND)
    changed = settings.model_copy(update={"glm": settings.glm.model_copy(update={"model": model})})
    with pytest.raises(AnalysisError, match=rf"sub-01 ses-01 task-main run-1 hemi-L: data that hold the events of "
                                            rf"{SECOND} \(z = .*\) and not its own .*python -m subjects match"):
        run("glm", layout, changed)


def test_a_hemisphere_of_another_run_is_refused(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    exchange(layout, SECOND, THIRD, hemispheres="R")
    with pytest.raises(AnalysisError, match=rf"run-2 hemi-R: data that hold the events of {THIRD}"):
        run("glm", layout, settings)


def test_exchanged_runs_may_be_accepted(volunteer: tuple[Layout, Settings], caplog: pytest.LogCaptureFixture) -> None:
    layout, settings = volunteer
    exchange(layout, FIRST, SECOND)
    with caplog.at_level(logging.WARNING):
        run("glm", layout, accepting(settings, "exchanged runs"))
    assert f"run-2 hemi-R: data that hold the events of {FIRST}" in caplog.text
    assert "(analysis.accept)" in caplog.text


def test_another_subjects_run_is_named(tmp_path: Path) -> None:
    layout, settings = make_volunteer(tmp_path / "study", runs=3)
    shutil.copytree(layout.root / "sub-01", layout.root / "sub-02")
    shutil.copytree(layout.root / "sourcedata" / "sub-01", layout.root / "sourcedata" / "sub-02")
    for path in [*(layout.root / "sub-02").rglob("*"), *(layout.root / "sourcedata" / "sub-02").rglob("*")]:
        if path.is_file():
            path.rename(path.with_name(path.name.replace("sub-01", "sub-02")))
    foreign = RunKey("02", "01", "main", 1)
    for ending in ("tsv", "json"):  # the first run of sub-01 is of an order that no other run of theirs has
        shutil.copy(layout.events(SECOND).with_suffix(f".{ending}"), layout.events(FIRST).with_suffix(f".{ending}"))
    assert layout.subjects() == ("01", "02")
    with pytest.raises(AnalysisError, match=rf"run-1 hemi-L: data that hold the events of {foreign} "):
        run("glm", layout, settings)


def test_a_table_of_another_subject_that_cannot_be_read_stops_nothing(
        volunteer: tuple[Layout, Settings], caplog: pytest.LogCaptureFixture) -> None:
    layout, settings = volunteer
    broken = layout.root / "sub-02" / "ses-01" / "func" / "sub-02_ses-01_task-main_run-1_events.tsv"
    broken.parent.mkdir(parents=True)
    broken.write_text("onset\n")
    profile = layout.profile("02")
    profile.parent.mkdir(parents=True)
    profile.write_text(layout.profile("01").read_text().replace('"01"', '"02"'))
    exchange(layout, FIRST, SECOND)
    with caplog.at_level(logging.INFO), pytest.raises(AnalysisError, match="data that hold the events of"):
        run("glm", layout, settings)
    assert "sub-02_ses-01_task-main_run-1 is not compared" in caplog.text


def test_a_run_without_its_events_is_told(volunteer: tuple[Layout, Settings], caplog: pytest.LogCaptureFixture) -> None:
    import numpy as np

    from tests.analysis.volunteer import put_bold

    layout, settings = volunteer
    rng = np.random.default_rng(3)
    put_bold(layout, THIRD, hemi="L", change=lambda data: (
        1000 + 2 * rng.standard_normal(data.shape)).astype(np.float32))
    with caplog.at_level(logging.WARNING):
        run("glm", layout, settings)
    assert "run-3 hemi-L: its events are not found in its data" in caplog.text


def test_images_of_another_time_are_told_by_inputs_and_refused(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    play_and_scan(layout, (SECOND, FIRST, THIRD))
    sentence = rf"{SECOND}: images acquired while main run 1, attempt 1 of ses-01 was played \(2026-11-26 .*bold.json\)"
    said = CliRunner().invoke(cli, ["inputs", "--study", str(layout.root), "--sub", "01", "--json"])
    assert any("images acquired while main run 1" in one for one in json.loads(said.stdout)["problems"])
    with pytest.raises(AnalysisError, match=rf"{sentence}; expected the run that its name says"):
        run("glm", layout, settings)
    run("glm", layout, accepting(settings, "exchanged runs"))


def keys_of(layout: Layout) -> list[RunKey]:
    return [key for events in read_sessions(layout, sub="01").values() for key in events]


@pytest.mark.parametrize("ahead_s", [0.0, -45.0, 3600.0])
def test_runs_named_as_they_were_played_are_not_told(volunteer: tuple[Layout, Settings], ahead_s: float) -> None:
    layout, _ = volunteer
    play_and_scan(layout, (FIRST, SECOND, THIRD), ahead_s=ahead_s)
    assert find_misnamed(layout, sub="01", keys=keys_of(layout)) == {}


def test_images_of_a_broken_off_attempt_are_told(volunteer: tuple[Layout, Settings]) -> None:
    layout, _ = volunteer
    play_and_scan(layout, (FIRST, SECOND, THIRD))
    told = layout.events_sidecar(SECOND)
    write_json(told, {**read_json(told), "Attempt": 2}, overwrite=True)
    found = find_misnamed(layout, sub="01", keys=keys_of(layout))
    assert list(found) == [SECOND]
    assert "main run 2, attempt 1" in found[SECOND]


def test_nothing_is_told_without_journals_or_times(volunteer: tuple[Layout, Settings]) -> None:
    layout, _ = volunteer
    assert find_misnamed(layout, sub="01", keys=keys_of(layout)) == {}
    for key in (FIRST, SECOND):
        write_json(layout.events(key).with_name(f"{key}_bold.json"), {"RepetitionTime": 2.0})
    assert find_misnamed(layout, sub="01", keys=keys_of(layout)) == {}


def to_table(layout: Layout, *, day: str = "2026-11-26") -> None:
    """Move the times of acquisition out of the JSON files into the session's table of scans, as heudiconv has them."""
    func, rows = layout.root / "sub-01" / "ses-01" / "func", ["filename\tacq_time\toperator"]
    for path in sorted(func.glob("*_bold.json")):
        told = read_json(path)
        rows.append(f"func/{path.stem}.nii.gz\t{day}T{told.pop('AcquisitionTime')}\tn/a")
        path.unlink()
        write_json(path, {name: one for name, one in told.items() if not name.startswith("Acquisition")})
    (func.parent / "sub-01_ses-01_scans.tsv").write_text("\n".join([*rows, "anat/x.nii.gz\tn/a\tn/a"]) + "\n")


@pytest.mark.parametrize("day", ["2026-11-26", "1884-03-01"])
@pytest.mark.parametrize("order", [(FIRST, SECOND, THIRD), (SECOND, FIRST, THIRD)])
def test_times_of_the_table_of_scans_are_taken_where_the_json_files_have_none(
        volunteer: tuple[Layout, Settings], order: tuple[RunKey, ...], day: str) -> None:
    layout, _ = volunteer
    play_and_scan(layout, order)
    to_table(layout, day=day)
    assert set(find_misnamed(layout, sub="01", keys=keys_of(layout))) == set(
        () if order[0] == FIRST else (FIRST, SECOND))


def test_a_table_of_scans_does_without_json_files(volunteer: tuple[Layout, Settings]) -> None:
    layout, _ = volunteer
    play_and_scan(layout, (FIRST, THIRD, SECOND))
    to_table(layout)
    for path in (layout.root / "sub-01" / "ses-01" / "func").glob("*_bold.json"):
        path.unlink()
    assert set(find_misnamed(layout, sub="01", keys=keys_of(layout))) == {SECOND, THIRD}


def test_every_run_under_the_next_ones_name_is_told(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    exchange(layout, FIRST, SECOND)
    exchange(layout, SECOND, THIRD)
    with pytest.raises(AnalysisError, match=rf"run-1 hemi-L: data that hold the events of {SECOND} "):
        run("glm", layout, settings)
