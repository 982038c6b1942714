"""The plan's small rules: ticks, series numbers, journals and sidecars, against plain loops, strftime and nibabel."""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as Terminal

from subjects.errors import LayoutError, RunLogError
from subjects.layout import Layout
from subjects.plan.checklist import Scan, find_scan, local_time, plan_scans, read_ticks, tick, untick
from subjects.plan.image_sidecars import read_series
from subjects.plan.run_sheet import PlannedRun, RunSheet
from subjects.plan.scanned import read_attempts
from subjects.plan.series_numbers import (
    last_played,
    note_series,
    require_free_number,
    series_told,
    source_of,
    taken_numbers,
)
from subjects.plan.sheet_tables import session_panel, sheet_record, sheet_tables
from subjects.run_key import RunKey
from subjects.settings.paradigms import ScansSettings
from tests.subjects.scanned_session import START_S, Console

RUN = RunKey("01", "01", "main", 1)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "Studie – 脳")


@given(n_runs=st.integers(0, 30), field_maps=st.integers(0, 12))
def test_field_maps_cut_the_runs_into_shares_that_differ_by_one_at_most(n_runs: int, field_maps: int) -> None:
    scans = plan_scans(ScansSettings(field_maps=field_maps), ses="01", n_runs=n_runs, done={})
    before = [one.before for one in scans if one.kind == "field map"]
    assert len(before) == field_maps
    if field_maps:
        shares = np.diff([*before, n_runs])
        assert before[0] == 0
        assert shares.sum() == n_runs
        assert shares.max() - shares.min() <= 1
    assert [one.before for one in scans] == sorted(one.before for one in scans)


def test_only_those_beyond_the_sheet_that_were_ticked_off_are_listed() -> None:
    done = {"field map": [{"number": 5, "wall": 9.0, "SeriesNumber": 31}, {"number": 1, "wall": 3.0}]}
    scans = plan_scans(ScansSettings(localizers=0, field_maps=2, t1=(0,)), ses="01", n_runs=4, done=done)
    assert [(one.name, one.before, one.done_wall, one.series) for one in scans] == [
        ("field map 1 of 2", 0, 3.0, None), ("field map 2 of 2", 2, None, None),
        ("field map 5, beyond the sheet", 4, 9.0, 31)]


def test_ticks_are_kept_in_the_order_of_time_and_one_a_scan(layout: Layout) -> None:
    rng = np.random.default_rng(3)
    scans = [Scan("01", kind, number, 3, before=0) for kind in ("T1", "field map") for number in (1, 2, 3)]
    walls = {}
    for k in rng.integers(0, len(scans), 20):
        walls[scans[k]] = 1.7e9 + float(rng.integers(0, 9000))
        tick(layout, scans[k], sub="01", wall=walls[scans[k]])
    written = json.loads(layout.scans("01", "01").read_text(encoding="utf-8"))["scans"]
    assert [one["wall"] for one in written] == sorted(walls.values())
    assert {(one["kind"], one["number"]): one["wall"] for one in written} == {
        (scan.kind, scan.number): wall for scan, wall in walls.items()}
    assert read_ticks(layout, sub="01", ses="02") == {}


def test_a_tick_that_is_taken_back_leaves_the_others(layout: Layout) -> None:
    first, second = (Scan("01", "field map", number, 2, before=0) for number in (1, 2))
    tick(layout, first, sub="01", wall=5.0, series=4)
    tick(layout, second, sub="01", wall=6.0)
    untick(layout, first, sub="01")
    untick(layout, first, sub="01")
    assert [one["number"] for one in read_ticks(layout, sub="01", ses="01")["field map"]] == [2]
    untick(layout, second, sub="01")
    assert read_ticks(layout, sub="01", ses="01") == {}


@pytest.mark.parametrize("wall", [0.0, 1.7e9, 1.75e9 + 0.4])
def test_the_local_time_is_the_same_moment_whatever_the_zone(wall: float) -> None:
    assert datetime.fromisoformat(local_time(wall)).timestamp() == int(wall)


def test_the_next_scan_is_the_first_that_is_not_ticked_off() -> None:
    done = {"field map": [{"number": 1, "wall": 1.0}, {"number": 3, "wall": 2.0}]}
    scans = plan_scans(ScansSettings(field_maps=3), ses="01", n_runs=3, done=done)
    assert find_scan(scans, ses="01", kind="field map", number=None).number == 2
    done["field map"].append({"number": 2, "wall": 3.0})
    scans = plan_scans(ScansSettings(field_maps=3), ses="01", n_runs=3, done=done)
    assert find_scan(scans, ses="01", kind="field map", number=None).name == "field map 4, beyond the sheet"
    assert find_scan(scans, ses="01", kind="field map", number=3).done_wall == 2.0
    assert find_scan((), ses="01", kind="T1", number=None).number == 1


def test_the_last_attempt_is_the_highest_number_and_not_the_last_name(layout: Layout) -> None:
    console = Console(layout)
    for attempt in (2, 100, 11):
        console.play("main", 1, n_volumes=2, attempt=attempt)
    console.play("main", 10, n_volumes=2, attempt=120)
    assert last_played(layout, RUN) == 100
    with pytest.raises(RunLogError, match="no attempt; expected a run that was played"):
        last_played(layout, RunKey("01", "01", "main", 2))


def test_a_number_belongs_to_one_thing_of_a_session(layout: Layout) -> None:
    console = Console(layout)
    for run in (1, 2):
        console.play("main", run, n_volumes=2)
    note_series(layout, RUN, attempt=1, number=7, source="clock", more={"Files": ["größe.json"]})
    tick(layout, Scan("01", "T1", 1, 1, before=0), sub="01", series=8, wall=1.0)
    tick(layout, Scan("01", "field map", 1, 1, before=0), sub="01", wall=1.0)
    assert sorted(taken_numbers(layout, sub="01", ses="01")) == [(7, "main run 1, attempt 1"), (8, "T1 1")]
    assert (source_of(layout, RUN, attempt=1), series_told(layout, RUN, attempt=1)) == ("clock", {"SeriesNumber": 7})
    other = RunKey("01", "01", "main", 2)
    assert (source_of(layout, other, attempt=1), series_told(layout, other, attempt=1)) == ("", {})
    for number, mine in ((7, "main run 1, attempt 1"), (8, "T1 1"), (9, "main run 2, attempt 1")):
        require_free_number(layout, number, sub="01", ses="01", mine=mine)
    require_free_number(layout, 7, sub="01", ses="02", mine="main run 2, attempt 1")
    with pytest.raises(RunLogError, match="series: 8, the series of T1 1; expected a number of its own"):
        require_free_number(layout, 8, sub="01", ses="01", mine="main run 2, attempt 1")


def test_attempts_are_read_in_the_order_of_the_clock_and_doubles_do_not_count(layout: Layout) -> None:
    console = Console(layout)
    late = console.play("lo", 2, n_volumes=5)
    console.play("main", 1, n_volumes=3, complete=False, pulses=False)
    console.play("main", 1, n_volumes=4, attempt=2, display="virtual")
    journal = layout.journal(RunKey("01", "01", "lo", 2), attempt=1)
    lines = journal.read_text(encoding="utf-8").splitlines()
    double = {**json.loads(lines[3]), "amiss": "double"}
    torn = ['{"kind": "pulse", "wal', "[1, 2]", '{"kind": "pulse", "wall": "noon"}']
    journal.write_text("\n".join([*lines[:4], json.dumps(double), *torn, *lines[4:]]), encoding="utf-8")
    first, second = read_attempts(layout, sub="01")
    assert (first.label, first.n_pulses, first.complete, first.tr_s) == ("lo run 2, attempt 1", 5, True, 2.0)
    assert first.began_s == pytest.approx(late, abs=1e-5)
    assert first.opened_s == START_S
    assert (second.label, second.n_pulses, second.complete, second.began_s) == ("main run 1, attempt 1", 0, False, None)
    assert read_attempts(layout, sub="01", ses="02") == ()


def _series(folder: Path, **told: Any) -> Any:
    """Give the one series of a folder whose sidecar says that."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.json").write_text(json.dumps({"EchoTime": 0.03, "SeriesDescription": "x", **told}), encoding="utf-8")
    (found,), _, _ = read_series(folder)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_moment_is_read_from_every_spelling_of_it(tmp_path: Path, seed: int) -> None:
    at = 1.6e9 + round(float(np.random.default_rng(seed).uniform(0, 2e8)), 2)
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    day, dicom, iso = (moment.strftime(form) for form in ("%Y%m%d", "%H%M%S.%f", "%H:%M:%S.%f"))
    for k, told in enumerate(({"AcquisitionDateTime": moment.isoformat()}, {"AcquisitionDateTime": f"{day}{dicom}"},
                              {"AcquisitionDate": day, "AcquisitionTime": float(dicom)},
                              {"AcquisitionDate": [moment.strftime("%Y-%m-%d")], "AcquisitionTime": [iso, "23:00:00"]},
                              {"SeriesDate": moment.strftime("%Y.%m.%d"), "SeriesTime": dicom})):
        found = _series(tmp_path / str(k), **told)
        assert found.began_s == pytest.approx(at, abs=2e-3)
        assert found.dated == ("SeriesDate" not in told)
    assert _series(tmp_path / "clock", AcquisitionTime=iso).began_s == pytest.approx(at % 86400, abs=2e-3)


@pytest.mark.parametrize("wrong", ["24:00:00", "10:60:00", "1:2", "noon", "", True, -5, [], {"a": 1}])
def test_what_is_no_time_of_day_is_no_time(tmp_path: Path, wrong: Any) -> None:
    assert _series(tmp_path, AcquisitionTime=wrong, AcquisitionDate="20261126").began_s is None


@pytest.mark.parametrize(("told", "tr_s"), [(2000, 2.0), ("2.5", 2.5), ([0.8, 0.8], 0.8), (0, None), ("NaN", None),
                                            (-1, None), (50, 50.0), (50.5, 0.0505)])
def test_a_repetition_time_is_in_seconds(tmp_path: Path, told: Any, tr_s: float | None) -> None:
    assert _series(tmp_path, RepetitionTime=told).tr_s == tr_s


@pytest.mark.parametrize("form", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("shape", "n_volumes"), [((2, 3, 4), 1), ((2, 3, 4, 1), 1), ((2, 3, 4, 27), 27)])
def test_volumes_are_those_that_nibabel_writes(tmp_path: Path, form: Any, ending: str, shape: tuple[int, ...],
                                               n_volumes: int) -> None:
    for order in "<>":
        image = form(np.zeros(shape, np.int16), np.eye(4), header=form.header_class(endianness=order))
        nibabel.save(image, tmp_path / f"one{ending}")
        found = _series(tmp_path, NumberOfVolumes=99)
        assert (found.n_volumes, found.kind) == (n_volumes, "functional" if n_volumes > 20 else "other")


def test_an_image_that_is_cut_off_leaves_the_count_to_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / "one.nii.gz").write_bytes(b"\x1f\x8b\x08 no more")
    assert _series(tmp_path, NumberOfVolumes="12").n_volumes == 12
    (tmp_path / "one.nii").write_bytes(b"\x5c\x01")
    assert _series(tmp_path).n_volumes is None


def test_a_folder_of_other_files_names_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "torn.json").write_text('{"EchoTime"', encoding="utf-8")
    (tmp_path / "one_name.json").write_text('{"EchoTime": 1}', encoding="utf-8")
    said = r"3 JSON files, none of an image \(1 of them cannot be read: torn.json ...\)"
    with pytest.raises(LayoutError, match=said):
        read_series(tmp_path)
    with pytest.raises(LayoutError, match="no such folder"):
        read_series(tmp_path / "list.json")


def _sheet(**scan: Any) -> RunSheet:
    runs = tuple(PlannedRun(RunKey("01", ses, "main", run), seed=2**63 - run, n_trials=40, duration_s=320.5,
                            n_volumes=160, what="a design with a rather long name", done=run == 1,
                            series=(11, 12) if run == 1 else ())
                 for ses in ("01", "02") for run in (1, 2))
    images = {"01": ("cats-01", "cats-02", "wild-cats-01"), "02": ("cats-03", "wild-cats-02", "wild-cats-03")}
    return RunSheet("01", images, runs, (Scan("01", "T1", 1, 1, before=2, **scan),
                                         Scan("02", "field map", 1, 2, before=1),))


def test_a_session_holds_its_runs_and_scans_and_none_of_another() -> None:
    sheet = _sheet()
    assert sheet.sessions == ("01", "02")
    named = [[one.kind if isinstance(one, Scan) else one.run for one in sheet.session(ses)] for ses in ("01", "02")]
    assert named == [[1, 2, "T1"], [1, "field map", 2]]
    assert list(sheet.session("03")) == []


def test_nothing_of_a_sheet_is_lost_within_80_columns() -> None:
    out = io.StringIO()
    terminal = Terminal(file=out, width=80, color_system=None)
    terminal.print(*sheet_tables(_sheet(done_wall=START_S, series=9)))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    joined = "".join("".join(lines).split())
    assert "wild-cats" in joined
    assert joined.count("planned") == 2
    assert local_time(START_S)[11:16] in joined
    assert "…" not in joined


def test_the_panel_of_a_session_says_what_is_done() -> None:
    out = io.StringIO()
    Terminal(file=out, width=80, color_system=None).print(session_panel(_sheet(), ses="01"))
    rows = [" ".join(row.strip("│ ").split()) for row in out.getvalue().splitlines()]
    assert rows[1:4] == ["main run 1 a design with a rather long name done series 11+12",
                         "main run 2 a design with a rather long name planned", "T1 to do"]


def test_the_record_of_a_sheet_survives_json() -> None:
    record = json.loads(json.dumps(sheet_record(_sheet(done_wall=START_S, series=9))))
    assert [(one["ses"], one["run"], one["series"]) for one in record["runs"]] == [
        ("01", 1, [11, 12]), ("01", 2, []), ("02", 1, [11, 12]), ("02", 2, [])]
    first, second = record["scans"]
    assert datetime.fromisoformat(first["done"]).timestamp() == START_S
    assert (first["before_run"], first["series"]) == (3, 9)
    assert (second["before_run"], second["done"], second["series"]) == (2, None, None)
