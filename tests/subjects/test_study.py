from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from subjects.dataset import describe_derivative, init_study
from subjects.errors import LayoutError, ProfileError, ScheduleError, StudyError
from subjects.layout import Layout, network_label
from subjects.plan.run_sheet import run_sheet
from subjects.plan.sheet_tables import sheet_tables
from subjects.profile import SubjectProfile, base_images, load_profile, register, session_images
from subjects.run_key import RunKey, label
from subjects.settings.loading import load_settings
from subjects.settings.paradigms import MainSettings
from subjects.settings.study import Settings, StudySettings


def _subjects(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "subjects", *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ, "COLUMNS": "120"})


def test_labels_are_checked_and_a_correction_is_offered() -> None:
    assert label("sub", 7) == "07"
    with pytest.raises(LayoutError, match=r"sub label: 'sub-0_1'; expected letters and digits only. Write '01'."):
        label("sub", "sub-0_1")
    with pytest.raises(LayoutError, match="Choose a label such as '01'"):
        label("sub", "--")


def test_paths_are_spelled_as_bids_spells_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    where = RunKey("01", "02", "main", 3)
    stem = "sub-01_ses-02_task-main_run-3"
    assert layout.events(where) == tmp_path / "sub-01/ses-02/func" / f"{stem}_events.tsv"
    assert layout.journal(where, attempt=2) == tmp_path / f"sourcedata/sub-01/ses-02/{stem}_attempt-02_journal.jsonl"
    assert layout.bold("simulated", key=where, hemi="L", space="fsaverage5") == (
        tmp_path / f"derivatives/simulated/sub-01/ses-02/func/{stem}_hemi-L_space-fsaverage5_bold.func.gii")
    assert layout.derivative("glm", sub="01", hemi="R", suffix="betas.h5") == (
        tmp_path / "derivatives/glm/sub-01/sub-01_hemi-R_betas.h5")
    assert layout.features("demo").name == "network-demo_features.h5"


def test_reading_bold_wants_exactly_one_space(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    key = RunKey("01", "01", "main", 1)
    with pytest.raises(LayoutError, match="no such file"):
        layout.bold("fmriprep", key=key, hemi="L")
    for space in ("fsnative", "fsaverage5"):
        path = layout.bold("fmriprep", key=key, hemi="L", space=space)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(LayoutError, match="2 files in different spaces"):
        layout.bold("fmriprep", key=key, hemi="L")
    path.unlink()
    assert "space-fsnative" in layout.bold("fmriprep", key=key, hemi="L").name


def test_runs_are_found_in_order(study: Layout) -> None:
    for ses, run in (("02", 1), ("01", 10), ("01", 2)):
        path = study.events(RunKey("01", ses, "main", run))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    study.events(RunKey("01", "01", "lo", 1)).touch()
    assert study.find_runs("01", "main") == (
        RunKey("01", "01", "main", 2), RunKey("01", "01", "main", 10), RunKey("01", "02", "main", 1))


def test_a_new_study_is_described_and_empty_of_people(study: Layout) -> None:
    content = json.loads((study.root / "dataset_description.json").read_text(encoding="utf-8"))
    assert content["DatasetType"] == "raw"
    assert study.participants.read_text(encoding="utf-8") == "participant_id\tgroup\n"
    assert load_settings(study.root) == Settings(study=StudySettings(name="test", seed=1))


@pytest.mark.parametrize("occupy", ["file", "folder"])
def test_a_study_is_made_only_where_nothing_is(tmp_path: Path, occupy: str) -> None:
    root = tmp_path / "study"
    if occupy == "file":
        root.write_text("x", encoding="utf-8")
    else:
        root.mkdir()
        (root / "x").write_text("x", encoding="utf-8")
    with pytest.raises(LayoutError, match="expected a free or empty folder"):
        init_study(Layout(root), name="n", seed=1)
    assert sorted(item.name for item in tmp_path.rglob("*")) == (["study"] if occupy == "file" else ["study", "x"])


def test_a_folder_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(LayoutError, match="without permission to write"):
        init_study(Layout(tmp_path / "a" / "b"), name="n", seed=1)
    assert list(tmp_path.iterdir()) == []


def test_derivatives_are_described_once(study: Layout) -> None:
    describe_derivative(study, "glm")
    path = study.derivatives("glm") / "dataset_description.json"
    before = path.stat().st_mtime_ns
    describe_derivative(study, "glm")
    assert json.loads(path.read_text(encoding="utf-8"))["DatasetType"] == "derivative"
    assert path.stat().st_mtime_ns == before


def test_profiles_hold_no_personal_field(study: Layout) -> None:
    assert {field.name for field in dataclasses.fields(SubjectProfile)} == {"sub", "swap_keys", "virtual"}
    with pytest.raises(ProfileError, match="a pseudonym without a date"):
        register(study, "AB19870412")


def test_subjects_are_added_once_and_found(study: Layout) -> None:
    register(study, "02", virtual=True)
    register(study, "01", swap_keys=True)
    assert study.subjects() == ("01", "02")
    assert load_profile(study, "01").swap_keys
    assert study.participants.read_text(encoding="utf-8") == (
        "participant_id\tgroup\nsub-01\tvolunteer\nsub-02\tvirtual\n")
    with pytest.raises(ProfileError, match="subject '01' again"):
        register(study, "01")
    with pytest.raises(ProfileError, match=r"no subject '3'.*python -m subjects add"):
        load_profile(study, "3")


def test_a_profile_with_a_strange_field_is_refused(study: Layout) -> None:
    register(study, "01")
    study.profile("01").write_text('{"sub": "01", "name": "x"}', encoding="utf-8")
    with pytest.raises(ProfileError, match="unknown fields"):
        load_profile(study, "01")


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"no study.toml"):
        load_profile(Layout(tmp_path), "01")


@pytest.mark.parametrize("sub", ["01", "02", "pilot"])
def test_sessions_partition_the_images_evenly_by_class(sub: str) -> None:
    settings = Settings()
    split = session_images(settings, sub=sub)
    assert list(split) == ["01", "02"]
    assert sorted(split["01"] + split["02"]) == sorted(base_images(settings.stimuli))
    for names in split.values():
        assert len(names) == 20
        for kind in settings.stimuli.classes:
            assert sum(name.startswith(f"{kind}-") for name in names) == 4


def test_splits_differ_between_subjects_and_seeds_and_stay() -> None:
    splits = {session_images(Settings(study=StudySettings(seed=seed)), sub=sub)["01"]
              for seed in (1, 2) for sub in ("01", "02")}
    assert len(splits) == 4
    assert session_images(Settings(), sub="01") == session_images(Settings(), sub="01")


def test_an_uneven_split_is_refused() -> None:
    with pytest.raises(ScheduleError, match="3 sessions for 8 images a class"):
        session_images(Settings(main=MainSettings(sessions=3)), sub="01")


def test_the_run_sheet_holds_the_protocols_runs(study: Layout) -> None:
    register(study, "01")
    sheet = run_sheet(study, load_settings(study.root), sub="01")
    assert sheet.sessions == ("01", "02")
    for ses in sheet.sessions:
        runs = [(run.task, run.run, run.what, run.n_trials, run.duration_s, run.n_volumes) for run in sheet.runs
                if run.ses == ses]
        wedge, ring = ("wedge_ccw", "ring_expand") if ses == "01" else ("wedge_cw", "ring_contract")
        assert runs == [
            *(("main", k, "", 129, 556.0, 278) for k in range(1, 6)),
            ("retinotopy", 1, wedge, 8, 300.0, 150), ("retinotopy", 2, ring, 8, 300.0, 150),
            ("retinotopy", 3, "bar", 8, 300.0, 150), ("lo", 1, "blocks", 320, 336.0, 168),
            ("motion", 1, "", 10, 336.0, 168)]
    assert len({run.seed for run in sheet.runs}) == 20
    assert not any(run.done for run in sheet.runs)
    events = study.events(RunKey("01", "02", "main", 4))
    events.parent.mkdir(parents=True)
    events.touch()
    done = [(run.ses, run.run) for run in run_sheet(study, load_settings(study.root), sub="01").runs if run.done]
    assert done == [("02", 4)]


def test_the_run_sheet_loses_nothing_in_80_columns_and_through_a_pipe(tmp_path: Path) -> None:
    study = tmp_path / "study"
    init_study(Layout(study), name="n", seed=1)
    register(Layout(study), "01")
    runs = run_sheet(Layout(study), load_settings(study), sub="01").runs
    command = [sys.executable, "-m", "subjects", "plan", "--study", str(study), "--sub", "01"]
    unset = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    for env in ({**unset, "COLUMNS": "80"}, unset):
        lines = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.splitlines()
        assert max(map(len, lines)) <= 80
        rows = [line.split() for line in lines]
        for run in runs:
            wanted = [run.ses, run.task, str(run.run), "planned", str(run.n_trials), f"{run.duration_s:g}", "s",
                      str(run.n_volumes), str(run.seed), *([run.what] if run.what else [])]
            assert rows.count(wanted) == 1


def test_narrower_than_that_only_seeds_and_what_is_shown_are_folded(study: Layout) -> None:
    register(study, "01")
    sheet = run_sheet(study, load_settings(study.root), sub="01")
    said = io.StringIO()
    Console(file=said, width=62).print(sheet_tables(sheet)[1])
    heads = re.findall(r"^(\d\d) +(\w+) +(\d) planned", said.getvalue(), flags=re.M)
    assert heads == [(run.ses, run.task, str(run.run)) for run in sheet.runs]


def test_the_run_sheet_for_programs(study: Layout) -> None:
    register(study, "01")
    done = _subjects("plan", "--study", str(study.root), "--sub", "01", "--json")
    content, sheet = json.loads(done.stdout), run_sheet(study, load_settings(study.root), sub="01")
    assert [(run["ses"], run["task"], run["run"], run["seed"], run["done"]) for run in content["runs"]] == [
        (run.ses, run.task, run.run, run.seed, run.done) for run in sheet.runs]
    assert content["base_images"]["01"] == list(sheet.images["01"])


def test_the_sites_settings_reach_plan_and_settings(study: Layout, tmp_path: Path) -> None:
    register(study, "01")
    site = tmp_path / "site.toml"
    site.write_text("[scanner]\ntr_s = 1.0\n", encoding="utf-8")
    told = json.loads(_subjects("settings", "--study", str(study.root), "--site", str(site), "--json").stdout)
    assert told["scanner"]["tr_s"] == 1.0
    sheet = json.loads(_subjects("plan", "--study", str(study.root), "--sub", "01", "--site", str(site),
                                 "--json").stdout)
    assert sheet["runs"][0]["n_volumes"] == 556


def test_init_and_add_report_for_programs(tmp_path: Path) -> None:
    study = str(tmp_path / "study")
    assert json.loads(_subjects("init", "--study", study, "--seed", "7", "--json").stdout)["seed"] == 7
    assert json.loads(_subjects("add", "--study", study, "--sub", "01", "--virtual", "--json").stdout) == {
        "sub": "01", "swap_keys": False, "virtual": True}


def test_sessions_that_do_not_divide_a_class_are_refused_before_there_is_a_subject(study: Layout) -> None:
    text = study.settings_file.read_text(encoding="utf-8")
    for table, line in (("stimuli", "per_class = 4"), ("main", "sessions = 3")):
        assert f"[{table}]\n" in text
        text = text.replace(f"[{table}]\n", f"[{table}]\n{line}\n", 1)
    study.settings_file.write_text(text, encoding="utf-8")
    done = _subjects("add", "--study", str(study.root), "--sub", "07")
    assert (done.returncode, study.profile("07").exists()) == (2, False)
    assert "main.sessions: 3 sessions for 4 images a class; expected a number of sessions that divides" in done.stderr


def test_the_commands_as_written(tmp_path: Path) -> None:
    study = str(tmp_path / "study")
    assert _subjects("init", "--study", study).returncode == 0
    assert _subjects("add", "--study", study, "--sub", "01").returncode == 0
    sheet = _subjects("plan", "--study", study, "--sub", "01")
    assert sheet.returncode == 0
    seed = run_sheet(Layout(Path(study)), load_settings(Path(study)), sub="01").runs[0].seed
    assert str(seed) in sheet.stdout
    assert [sheet.stdout.count(text) for text in ("556 s", "300 s", "336 s")] == [10, 6, 4]
    assert "fixation_color" in _subjects("settings", "--study", study).stdout


@pytest.mark.parametrize("arguments", [("init",), ("add", "--sub", "01"), ("add", "--sub", "a_b"),
                                       ("plan", "--sub", "09")])
def test_bad_input_ends_with_2_and_changes_nothing(study: Layout, arguments: tuple[str, ...]) -> None:
    register(study, "01")
    before = {path: path.read_bytes() for path in study.root.rglob("*") if path.is_file()}
    done = _subjects(arguments[0], "--study", str(study.root), *arguments[1:])
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in study.root.rglob("*") if path.is_file()} == before


def test_a_profile_in_the_wrong_place_is_not_taken(study: Layout) -> None:
    for sub in ("01", "02"):
        register(study, sub)
    study.profile("01").write_bytes(study.profile("02").read_bytes())
    with pytest.raises(ProfileError, match="the profile of sub-02; expected that of sub-01"):
        load_profile(study, "01")


def test_a_profile_says_true_or_false(study: Layout) -> None:
    register(study, "01")
    text = study.profile("01").read_text(encoding="utf-8")
    study.profile("01").write_text(text.replace('"swap_keys": false', '"swap_keys": "no"'), encoding="utf-8")
    with pytest.raises(ProfileError, match="swap_keys: 'no'; expected true or false"):
        load_profile(study, "01")


def test_a_subject_is_added_whole_or_not_at_all(study: Layout) -> None:
    table = study.participants.read_bytes()
    study.participants.unlink()
    with pytest.raises(StudyError, match=r"participants.tsv: no such file"):
        register(study, "01")
    study.participants.write_bytes(b"foo\tbar\n1\t2\n")
    with pytest.raises(ProfileError, match=r"participants.tsv: no column 'participant_id'"):
        register(study, "01")
    assert study.participants.read_bytes() == b"foo\tbar\n1\t2\n"
    study.participants.write_bytes(table)
    register(study, "01")
    assert load_profile(study, "01").sub == "01"


def test_columns_of_the_studys_own_stay_as_they_are(study: Layout) -> None:
    study.participants.write_text("participant_id\tgroup\tage\nsub-07\tvolunteer\t25\nsub-08\tvolunteer\tn/a\n",
                                  encoding="utf-8")
    register(study, "01")
    lines = study.participants.read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ["sub-01\tvolunteer\tn/a", "sub-07\tvolunteer\t25", "sub-08\tvolunteer\tn/a"]


@pytest.mark.parametrize(("name", "spelled"), [("demo", "demo"), ("alexnet-caffe", "alexnetcaffe"),
                                               ("squeezenet1_0", "squeezenet10"), ("my.nets:load", "mynetsload")])
def test_a_network_has_one_spelling_in_every_name_of_a_file(name: str, spelled: str) -> None:
    layout = Layout(Path("study"))
    assert network_label(name) == spelled
    assert layout.features(name).name == f"network-{spelled}_features.h5"
    assert layout.derivative("rsa", suffix="rsa.tsv", network=network_label(name)).name == f"network-{spelled}_rsa.tsv"


def test_a_network_without_letters_has_no_label() -> None:
    with pytest.raises(LayoutError, match="network label: ''; expected letters and digits"):
        network_label("_:")
