"""Series joined to attempts by the clock: times as converters write them, clocks apart, runs broken off."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console as Terminal

from subjects.__main__ import cli
from subjects.errors import LayoutError, RunLogError
from subjects.layout import Layout
from subjects.plan.image_sidecars import DERIVED, FIELD_MAP, FUNCTIONAL, LOCALIZER, OTHER, T1, read_series
from subjects.plan.match import SubjectMatch, keep_match, match_lines, match_subject
from subjects.plan.matching import DOUBTFUL, EXTRA, FITS, MISSING, Joined
from subjects.plan.series_numbers import note_series, series_of
from subjects.profile import register
from subjects.run_key import RunKey
from subjects.store import read_json
from tests.subjects.scanned_session import Console, Scanner, dicom_time, iso_time, with_date

EPI: dict[str, Any] = {"ScanningSequence": "EP"}


@pytest.fixture
def layout(study: Layout) -> Layout:
    register(study, "01")
    return study


def a_session(layout: Layout, folder: Path, *, ahead_s: float = 3.2, ses: str = "01", seed: int = 1,
              spell: Callable[[float], dict[str, Any]] = iso_time, volumes: bool = True) -> tuple[Console, Scanner]:
    """Play five runs, the second broken off once, with a localizer and field maps between them, and scan them."""
    rng = random.Random(seed)
    console = Console(layout, ses=ses)
    scanner = Scanner(folder, ahead_s=ahead_s, spell=spell)
    console.rest({"01": 0.0, "02": 8 * 86400.0 + 600.0}[ses])
    scanner.scan(console.now_s, name="AAHead_Scout", ScanningSequence="GR")
    for run, attempt, n in ((1, 1, 278), (2, 1, 43), (2, 2, 278), (3, 1, 278), (4, 1, 278), (5, 1, 278)):
        console.rest(rng.uniform(30.0, 200.0))
        if run in (1, 4):
            scanner.scan(console.now_s, name="gre_field_mapping", ScanningSequence="GR")
            console.rest(90.0)
        zero = console.play("main", run, n_volumes=n, attempt=attempt, complete=n == 278, waits_s=rng.uniform(10, 40))
        scanner.scan(zero + rng.uniform(-0.3, 0.3), name="ep2d_bold_main", n_volumes=n + 1 if volumes else None, **EPI)
    console.rest(20.0)
    scanner.scan(console.now_s, name="t1_mprage_sag", RepetitionTime=2.3)
    return console, scanner


def joined(found: SubjectMatch, *, session: int = 0) -> list[Joined]:
    return list(found.sessions[session].joined)


def told(one: Joined) -> tuple[str, int | None, int | None, int | None]:
    attempt, series = one.attempt, one.series
    return (one.status, None if attempt is None else attempt.key.run, None if attempt is None else attempt.number,
            None if series is None else series.number)


WHOLE = [(FITS, 1, 1, 3), (FITS, 2, 1, 4), (FITS, 2, 2, 5), (FITS, 3, 1, 6), (FITS, 4, 1, 8), (FITS, 5, 1, 9)]


@pytest.mark.parametrize("spell", [iso_time, with_date, dicom_time])
@pytest.mark.parametrize("ahead_s", [0.0, 3.2, -47.0, 3600.0 + 11.0, -5 * 3600.0, 14 * 3600.0])
@pytest.mark.parametrize("volumes", [True, False])
def test_a_session_is_joined_whatever_the_clocks_say(layout: Layout, tmp_path: Path, ahead_s: float, volumes: bool,
                                                     spell: Callable[[float], dict[str, Any]]) -> None:
    a_session(layout, tmp_path / "images", ahead_s=ahead_s, spell=spell, volumes=volumes)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert [told(one) for one in joined(found)] == WHOLE
    assert found.fits
    clocks = found.sessions[0].clocks
    assert clocks is not None
    assert (clocks.offset_s - ahead_s + 43200) % 86400 - 43200 == pytest.approx(0.0, abs=0.3)
    assert (clocks.n_pairs, clocks.rival_s) == (6, None)
    assert sorted(one.kind for one in found.sessions[0].beside) == sorted([LOCALIZER, FIELD_MAP, FIELD_MAP, T1])


@pytest.mark.parametrize("seed", range(8))
def test_what_is_missing_and_what_is_too_many_is_named(layout: Layout, tmp_path: Path, seed: int) -> None:
    console, scanner = a_session(layout, tmp_path / "images", seed=seed, volumes=seed % 2 == 0)
    (tmp_path / "images" / "06_ep2d_bold_main.json").unlink()  # run 3 was not converted
    console.rest(60.0)
    scanner.scan(console.now_s, name="ep2d_bold_main", **EPI)  # and a series was begun when nothing was played
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert not found.fits
    expected = [one for one in WHOLE if one[3] != 6]
    expected.insert(3, (MISSING, 3, 1, None))
    assert [told(one) for one in joined(found)] == [*expected, (EXTRA, None, None, 11)]


def test_a_run_whose_pulses_did_not_come_explains_its_series(layout: Layout, tmp_path: Path) -> None:
    console, scanner = a_session(layout, tmp_path / "images")
    began = console.now_s
    console.play("lo", 1, n_volumes=168, pulses=False, complete=False)
    scanner.scan(began + 30.0, name="ep2d_bold_lo", n_volumes=168, **EPI)
    last = joined(match_subject(layout, sub="01", folder=tmp_path / "images"))[-1]
    assert (last.status, last.doubts) == (EXTRA, ("begun while lo run 1, attempt 1 waited: no pulse of it came",))


def test_what_does_not_fit_is_doubtful(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images")
    folder = tmp_path / "images"
    changes = {"03": {"RepetitionTime": 1500.0}, "04": {"TaskName": "lo"}, "08": {"AcquisitionTime": None}}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        for name, value in changes.get(path.name[:2], {}).items():
            if value is None:
                hours, minutes, seconds = content[name].split(":")
                content[name] = f"{hours}:{minutes}:{(float(seconds) + 3.4) % 60:09.6f}"
                if float(seconds) + 3.4 >= 60:
                    content[name] = f"{hours}:{int(minutes) + 1:02d}:{(float(seconds) + 3.4) % 60:09.6f}"
            else:
                content[name] = value
        path.write_text(json.dumps(content))
    note_series(layout, RunKey("01", "01", "main", 3), attempt=1, number=12)
    (folder / "09_ep2d_bold_main.nii.gz").unlink()
    Scanner(folder, n=8).scan(0.0, name="ep2d_bold_main", file="09_ep2d_bold_main", n_volumes=200, **{
        **json.loads((folder / "09_ep2d_bold_main.json").read_text()), "NumberOfVolumes": None})
    doubts = {one.attempt.label: one.doubts for one in joined(match_subject(layout, sub="01", folder=folder))
              if one.attempt is not None and one.status == DOUBTFUL}
    assert doubts["main run 1, attempt 1"] == ("TR 1.5 s, the run's 2 s",)
    assert doubts["main run 2, attempt 1"] == ("named task 'lo'",)
    assert doubts["main run 3, attempt 1"] == ("the operator entered series 12",)
    assert doubts["main run 4, attempt 1"][0].startswith("begins 3.")
    assert doubts["main run 5, attempt 1"] == ("200 volumes, 278 pulses",)
    assert "main run 2, attempt 2" not in doubts


def test_one_run_alone_rests_on_what_else_is_known(layout: Layout, tmp_path: Path) -> None:
    console = Console(layout)
    zero = console.play("main", 1, n_volumes=278)
    scanner = Scanner(tmp_path / "images", ahead_s=100.0)
    scanner.scan(zero, name="ep2d_bold", **EPI)
    found = joined(match_subject(layout, sub="01", folder=tmp_path / "images"))
    assert (told(found[0])[0], found[0].doubts) == (DOUBTFUL, ("the clocks' difference rests on this series alone",))
    scanner.scan(zero + 700.0, name="ep2d_bold", **EPI)
    assert "another difference of the clocks fits as well" in joined(
        match_subject(layout, sub="01", folder=tmp_path / "images"))[0].doubts
    note_series(layout, RunKey("01", "01", "main", 1), attempt=1, number=2)
    assert [told(one) for one in joined(match_subject(layout, sub="01", folder=tmp_path / "images"))] == [
        (FITS, 1, 1, 2), (EXTRA, None, None, 1)]
    known = match_subject(layout, sub="01", folder=tmp_path / "images", offset_s=100.0)
    assert told(joined(known)[0]) == (DOUBTFUL, 1, 1, 1)  # the clock speaks against the number that was entered


def test_runs_at_even_distances_are_not_shifted_by_one(layout: Layout, tmp_path: Path) -> None:
    console, scanner = Console(layout), Scanner(tmp_path / "images", ahead_s=-30.0)
    for run in range(1, 6):
        scanner.scan(console.play("main", run, n_volumes=278), name="ep2d_bold", **EPI)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert [told(one) for one in joined(found)] == [(FITS, k, 1, k) for k in range(1, 6)]
    (tmp_path / "images" / "01_ep2d_bold.json").unlink()
    scanner.scan(console.now_s + 20.0, name="ep2d_bold", number=6, **EPI)
    shifted = match_subject(layout, sub="01", folder=tmp_path / "images")
    kinds = {one.status for one in joined(shifted)}  # five series at the same distances, a run later
    assert FITS not in kinds
    assert DOUBTFUL in kinds


@pytest.mark.parametrize("spell", [iso_time, with_date])
@pytest.mark.parametrize("named", [True, False])
def test_sessions_are_kept_apart(layout: Layout, tmp_path: Path, named: bool,
                                 spell: Callable[[float], dict[str, Any]]) -> None:
    for ses, ahead_s in (("01", 3.0), ("02", 3605.0)):  # the time of the year changed between them
        folder = tmp_path / "images" / (f"sub-01/ses-{int(ses)}" if named else ses)
        a_session(layout, folder, ses=ses, ahead_s=ahead_s, seed=int(ses), spell=spell)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert [[told(one) for one in session.joined] for session in found.sessions] == [WHOLE, WHOLE]
    alone = match_subject(layout, sub="01", folder=tmp_path / "images", ses="02")
    assert [session.ses for session in alone.sessions] == ["02"]


def test_images_without_times_are_joined_by_the_numbers_that_were_entered(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images", spell=lambda _: {})
    note_series(layout, RunKey("01", "01", "main", 1), attempt=1, number=3)
    found = joined(match_subject(layout, sub="01", folder=tmp_path / "images"))
    assert told(found[0]) == (DOUBTFUL, 1, 1, 3)
    assert found[0].doubts == ("joined by the number that was entered: no time is known of it",)
    assert [told(one)[0] for one in found[1:6]] == [MISSING] * 5
    assert {told(one)[0] for one in found[6:]} == {EXTRA}


def test_echoes_phases_and_what_was_made_of_a_series_are_not_series_of_their_own(layout: Layout,
                                                                                tmp_path: Path) -> None:
    console, _ = a_session(layout, tmp_path / "images")
    zero = console.played[0][2]
    more = Scanner(tmp_path / "images", ahead_s=3.2)
    for echo in (2, 3):
        more.scan(zero + 0.01 * echo, name="ep2d_bold_main", number=3, file=f"03_ep2d_bold_main_e{echo}",
                  EchoNumber=echo, **EPI)
    more.scan(zero - 8.0, name="ep2d_bold_main_SBRef", number=20, n_volumes=1, **EPI)
    more.scan(zero, name="MoCoSeries", number=21, ImageType=["ORIGINAL", "PRIMARY", "M", "MOCO"], **EPI)
    more.scan(zero, name="ep2d_bold_main", number=22, ImageType=["ORIGINAL", "PRIMARY", "P", "PHASE"], **EPI)
    more.scan(zero, name="ep2d_bold_main_PhysioLog", number=23, RepetitionTime=None)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert [told(one) for one in joined(found)] == WHOLE
    assert len(joined(found)[0].series.files) == 3  # type: ignore[union-attr]
    assert sum(one.kind == DERIVED for one in found.sessions[0].beside) == 4


VENDORS = [
    ({"SeriesNumber": "7", "AcquisitionTime": "101112.250000", "RepetitionTime": 2000, "SeriesDescription": "fMRI_main",
      "Manufacturer": "GE MEDICAL SYSTEMS"}, 7, 36672.25, 2.0, FUNCTIONAL),
    ({"SeriesNumber": 701, "AcquisitionTime": "10:11:12.25", "RepetitionTime": 2.0, "ProtocolName": "WIP FE_EPI main",
      "Manufacturer": "Philips"}, 701, 36672.25, 2.0, FUNCTIONAL),
    ({"SeriesNumber": [7], "AcquisitionTime": [101112.25, 101114.25], "RepetitionTime": [2.0],
      "SeriesDescription": "a name", "ScanningSequence": ["EP", "GR"]}, 7, 36672.25, 2.0, FUNCTIONAL),
    ({"global": {"const": {"SeriesNumber": 7, "AcquisitionTime": 101112.25, "RepetitionTime": 2000.0,
                           "SeriesDescription": "bold", "ProtocolName": "bold"}}}, 7, 36672.25, 2.0, FUNCTIONAL),
    ({"SeriesNumber": 7, "SeriesTime": "101112.25", "SeriesDescription": "SpinEchoFieldMap_AP",
      "ScanningSequence": "EP\\SE"}, 7, 36672.25, None, FIELD_MAP),
    ({"SeriesNumber": 7, "EchoTime": 0.002, "SeriesDescription": "part1 of something"}, 7, None, None, OTHER),
    ({"SeriesDescription": "T1w_MPR", "RepetitionTime": 2.4, "AcquisitionTime": "24:00:00"}, None, None, 2.4, T1),
    ({"SeriesNumber": 2, "SeriesDescription": "Survey", "EchoTime": 0.005}, 2, None, None, LOCALIZER),
]


@pytest.mark.parametrize(("content", "number", "began_s", "tr_s", "kind"), VENDORS)
def test_fields_are_read_as_vendors_and_converters_spell_them(tmp_path: Path, content: dict[str, Any], kind: str,
                                                              number: int | None, began_s: float | None,
                                                              tr_s: float | None) -> None:
    (tmp_path / "image.json").write_text(json.dumps(content), encoding="utf-8-sig")
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9"}')
    (tmp_path / "torn.json").write_text('{"Name": ')
    (tmp_path / "list.json").write_text("[1, 2]")
    (found,), n_passed, unreadable = read_series(tmp_path)
    assert (found.number, found.began_s, found.tr_s, found.kind) == (number, began_s, tr_s, kind)
    assert (n_passed, [path.name for path in unreadable]) == (3, ["torn.json"])


def test_a_folder_without_images_is_named(layout: Layout, tmp_path: Path) -> None:
    Console(layout).play("main", 1, n_volumes=4)
    with pytest.raises(LayoutError, match="no such folder; expected a folder with the images' JSON files"):
        match_subject(layout, sub="01", folder=tmp_path / "none")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "x.json").write_text("{}")
    with pytest.raises(LayoutError, match="1 JSON files, none of an image"):
        match_subject(layout, sub="01", folder=tmp_path / "some")


def test_a_rehearsal_has_no_images(layout: Layout, tmp_path: Path) -> None:
    for run, display in ((1, "virtual"), (2, "xvfb")):
        Console(layout).play("main", run, n_volumes=4, display=display)
    with pytest.raises(RunLogError, match="no attempt at a scanner"):
        match_subject(layout, sub="01", folder=tmp_path)


def test_a_torn_line_hides_no_attempt(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images")
    journal = layout.journal(RunKey("01", "01", "main", 1))
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:40], lines[40][:20] + "\n", *lines[41:-1], lines[-1][:30]]))
    found = joined(match_subject(layout, sub="01", folder=tmp_path / "images"))
    assert told(found[0]) == WHOLE[0]


def test_only_what_fits_is_kept_and_nothing_unless_asked(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images")
    (tmp_path / "images" / "06_ep2d_bold_main.json").unlink()
    note_series(layout, RunKey("01", "01", "main", 4), attempt=1, number=99)
    note_series(layout, RunKey("01", "01", "main", 5), attempt=1, number=9)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert series_of(layout, RunKey("01", "01", "main", 1), attempt=1) is None
    assert keep_match(layout, found) == 3
    numbers = {(run, attempt): series_of(layout, RunKey("01", "01", "main", run), attempt=attempt)
               for run, attempt in ((1, 1), (2, 1), (2, 2), (3, 1), (4, 1), (5, 1))}
    assert numbers == {(1, 1): 3, (2, 1): 4, (2, 2): 5, (3, 1): None, (4, 1): 99, (5, 1): 9}
    kept = read_json(layout.series(RunKey("01", "01", "main", 1), attempt=1))
    assert (kept["Source"], kept["Files"]) == ("clock", ["03_ep2d_bold_main.json"])
    assert read_json(layout.series(RunKey("01", "01", "main", 5), attempt=1))["Source"] == "operator"


def test_the_command_tells_all_within_80_columns(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images", ahead_s=-40.0)
    words = ["match", "--study", str(layout.root), "--sub", "01", "--json-folder", str(tmp_path / "images")]
    done = CliRunner().invoke(cli, words, standalone_mode=False, env={"COLUMNS": "80", "TZ": "UTC"})
    assert (done.exception, done.return_value) == (None, 0)
    assert max(map(len, done.output.splitlines())) <= 80
    assert "everything fits" in done.output
    assert "from 6 series" in done.output
    assert "field map: 0 ticked off, 2 in the folder" in done.output
    (tmp_path / "images" / "06_ep2d_bold_main.json").unlink()
    asked = CliRunner().invoke(cli, [*words, "--json", "--write"], standalone_mode=False)
    assert asked.return_value == 1
    content = json.loads(asked.output)
    assert (content["fits"], content["kept"]) == (False, 5)
    assert [one["status"] for one in content["sessions"][0]["joined"]].count("missing") == 1
    assert series_of(layout, RunKey("01", "01", "main", 1), attempt=1) == 3


def test_the_difference_of_the_clocks_is_told_against_the_local_time(layout: Layout, tmp_path: Path) -> None:
    import time

    local = time.localtime(Console(layout).now_s).tm_gmtoff
    a_session(layout, tmp_path / "images", ahead_s=local + 90.0)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert "scanner's clock 0:01:30 ahead of this computer's, from 6 series" in str(match_lines(found)[1])
    said = Terminal(width=80, record=True)
    for line in match_lines(found):
        said.print(line)
    assert "ep2d_bold_main" in said.export_text()


# ---------------------------------------------------------- an operator's trial: values, names, midnight, claims

def invoke(layout: Layout, folder: Path, *more: str) -> Any:
    return CliRunner().invoke(cli, ["match", "--study", str(layout.root), "--sub", "01", "--json-folder", str(folder),
                                    *more], env={"COLUMNS": "80", "TZ": "UTC"})


def change(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


STRANGE: list[Any] = [float("nan"), float("inf"), -float("inf"), None, 5, -1.5, 10 ** 400, True, "", "x", "NaN",
                      "\ud800", [], [None], [[[]]], {}, {"const": 5}, [float("nan")], ["P", 5], "[/bold]"]
FIELDS = ["SeriesNumber", "ImageType", "dcmmeta_shape", "RepetitionTime", "NumberOfVolumes", "AcquisitionTime",
          "SeriesTime", "AcquisitionDateTime", "AcquisitionDate", "StudyDate", "SeriesDescription", "ProtocolName",
          "TaskName", "ScanningSequence", "NumberOfTemporalPositions", "global"]


@pytest.mark.parametrize("field", FIELDS)
def test_no_value_of_a_sidecar_ends_the_match(layout: Layout, tmp_path: Path, field: str) -> None:
    a_session(layout, tmp_path / "images", volumes=False)
    scanner = Scanner(tmp_path / "images", n=50)
    for k, value in enumerate(STRANGE):
        scanner.scan(k, name="odd", file=f"odd{k:02d}", **{**EPI, field: value})
    change(tmp_path / "images", "odd00.json", dcmmeta_shape=[64, 64, 30, None])
    done = invoke(layout, tmp_path / "images")
    assert isinstance(done.exception, SystemExit | None), done.exception
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert [told(one) for one in joined(found)[:6]] == WHOLE
    json.dumps(found.to_json(), allow_nan=False)


def test_a_value_that_is_not_finite_is_unknown_and_an_endless_file_is_named(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images", volumes=False)
    change(tmp_path / "images", "03_ep2d_bold_main.json", SeriesNumber=float("nan"), ImageType=5,
           dcmmeta_shape=[64, 64, 30, None])
    (tmp_path / "images" / "deep.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    first = joined(found)[0].series
    assert first is not None
    assert (first.number, first.n_volumes, joined(found)[0].status) == (None, None, FITS)
    assert [path.name for path in found.unreadable] == ["deep.json"]
    said = invoke(layout, tmp_path / "images").output
    assert "passed over, cannot be read: deep.json" in said
    assert "(03_ep2d_bold_main.json)" in said.replace("\n", "")  # a series without a number has its file's name


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_an_offset_that_is_no_number_is_refused(layout: Layout, tmp_path: Path, value: str) -> None:
    done = invoke(layout, tmp_path, "--offset", value)
    assert done.exit_code == 2
    assert "is not a finite number" in done.output


@pytest.mark.parametrize("told_of_it", [{"ScanningSequence": "GR"}, {}])
@pytest.mark.parametrize("volumes", [True, False])
def test_a_series_that_fits_an_attempt_joins_it_whatever_its_name(layout: Layout, tmp_path: Path, volumes: bool,
                                                                  told_of_it: dict[str, str]) -> None:
    console, scanner = Console(layout), Scanner(tmp_path / "images", ahead_s=41.0)
    scanner.scan(console.now_s - 30.0, name="WIP Survey", n_volumes=1, RepetitionTime=0.011, ScanningSequence="GR")
    rng = random.Random(4)
    for task, run, name in (("lo", 1, "WIP LO localizer"), ("lo", 2, "LO localizer"), ("motion", 1, "MT localizer"),
                            ("main", 1, "main T1 scout")):
        console.rest(rng.uniform(30.0, 200.0))
        n = {"lo": 168, "motion": 16, "main": 278}[task]  # few enough to be no run by their number alone
        scanner.scan(console.play(task, run, n_volumes=n), name=name, n_volumes=n if volumes else None, **told_of_it)
    scanner.scan(console.now_s + 30.0, name="T1w_MPR", RepetitionTime=2.4)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert [(one.status, one.series.number) for one in joined(found) if one.series is not None] == [
        (FITS, 2), (FITS, 3), (FITS, 4), (FITS, 5)]
    assert [one.name for one in found.sessions[0].beside] == ["WIP Survey", "T1w_MPR"]
    said = invoke(layout, tmp_path / "images").output
    assert all(name in said for name in ("series of no run", "WIP Survey", "T1w_MPR"))


def test_the_date_of_the_study_is_not_that_of_what_came_after_midnight(layout: Layout, tmp_path: Path) -> None:
    def study_date(seconds: float) -> dict[str, Any]:
        return {"StudyDate": "20261126", **iso_time(seconds)}

    a_session(layout, tmp_path / "images", ahead_s=13 * 3600.0 + 2400.0, spell=study_date)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    series, _, _ = read_series(tmp_path / "images")
    times = [one.began_s or 0.0 for one in sorted(series, key=lambda one: one.number or 0)]
    assert times != sorted(times)  # the session does go on over midnight
    assert [told(one) for one in joined(found)] == WHOLE
    assert found.fits


@pytest.mark.parametrize("spell", [iso_time, with_date])
def test_a_series_that_two_sessions_claim_fits_neither(layout: Layout, tmp_path: Path,
                                                       spell: Callable[[float], dict[str, Any]]) -> None:
    a_session(layout, tmp_path / "other", ses="01", seed=3)
    a_session(layout, tmp_path / "images", ses="02", seed=3, spell=spell)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    both = [[told(one)[0] for one in session.joined if one.attempt is not None] for session in found.sessions]
    if spell is with_date:
        assert both == [[MISSING] * 6, [FITS] * 6]
        return
    assert both == [[DOUBTFUL] * 6, [DOUBTFUL] * 6]
    assert found.sessions[0].joined[0].doubts == ("joined in ses-02 as well",)
    alone = match_subject(layout, sub="01", folder=tmp_path / "images", ses="01")  # asked for alone, it is no other
    assert [told(one)[0] for one in joined(alone)] == [DOUBTFUL] * 6
    assert keep_match(layout, found) == keep_match(layout, alone) == 0


def test_a_number_that_was_entered_for_another_run_is_not_written(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images")
    note_series(layout, RunKey("01", "01", "main", 4), attempt=1, number=9)  # which is run 5's
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    doubts = {one.attempt.key.run: one.doubts for one in joined(found) if one.attempt is not None}
    assert doubts[4] == ("the operator entered series 9",)
    assert doubts[5] == ("series 9 was entered for main run 4, attempt 1",)
    assert keep_match(layout, found) == 4
    assert series_of(layout, RunKey("01", "01", "main", 5), attempt=1) is None
    again = match_subject(layout, sub="01", folder=tmp_path / "images")  # what the clock kept speaks for itself
    assert [one.status for one in joined(again)] == [FITS] * 4 + [DOUBTFUL] * 2
    (tmp_path / "images" / "08_ep2d_bold_main.json").unlink()
    lost = joined(match_subject(layout, sub="01", folder=tmp_path / "images"))[4]
    assert (lost.status, lost.doubts) == (MISSING, ("series 9 was entered and is joined to another",))


def test_a_number_that_comes_twice_is_left_to_the_operator(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images")
    change(tmp_path / "images", "09_ep2d_bold_main.json", SeriesNumber=4)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert found.fits
    assert keep_match(layout, found) == 4
    assert "series 4 comes twice" in str(match_lines(found))


@pytest.mark.parametrize("by_s", [12.0, -300.0])
def test_a_step_of_the_clock_is_named(layout: Layout, tmp_path: Path, by_s: float) -> None:
    a_session(layout, tmp_path / "images", spell=iso_time)
    for path in (tmp_path / "images").glob("*.json"):
        told_of = json.loads(path.read_text())
        if int(path.name[:2]) >= 6:
            hours, minutes, seconds = told_of["AcquisitionTime"].split(":")
            change(path.parent, path.name, **iso_time(3600 * int(hours) + 60 * int(minutes) + float(seconds) + by_s))
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    step = found.sessions[0].step
    assert step is not None
    assert (step.at.number, step.n_pairs) == (6, 3)
    assert step.by_s == pytest.approx(by_s, abs=0.6)
    assert f"clock seems to change by {step.by_s:+.1f} s at series 6" in str(match_lines(found))


def test_a_field_map_is_counted_once(layout: Layout, tmp_path: Path) -> None:
    console, _ = a_session(layout, tmp_path / "images")
    for number in (None, 31):  # without a number the echoes have their name and time in common
        for echo in (1, 2):
            console.rest(0.004)
            path = Scanner(tmp_path / "images", n=30).scan(console.now_s, name="gre_field_mapping", number=30,
                                                            file=f"fm_{number}_e{echo}", EchoNumber=echo)
            change(path.parent, path.name, SeriesNumber=number)
        Scanner(tmp_path / "images").scan(console.now_s, name="gre_field_mapping", number=32 if number else 33)  # phase
        console.rest(90.0)
    found = match_subject(layout, sub="01", folder=tmp_path / "images")
    assert found.scans["01"]["field map"] == (0, 4)  # two of the session, two of these


def test_what_is_derived_by_its_name_stands_for_a_run_that_has_nothing_else(layout: Layout, tmp_path: Path) -> None:
    a_session(layout, tmp_path / "images")
    change(tmp_path / "images", "08_ep2d_bold_main.json", SeriesDescription="main mean field")
    one = joined(match_subject(layout, sub="01", folder=tmp_path / "images"))[4]
    assert (told(one), one.doubts) == ((DOUBTFUL, 4, 1, 8), ("derived by its name or ImageType",))
