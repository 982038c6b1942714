"""``python -m analysis``: what each command needs, and how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis.__main__ import cli
from analysis.needs import choose_subjects, require_runs
from analysis.running import require_file, run_step
from analysis.steps import STEPS, Done, Request
from subjects.dataset import init_study
from subjects.errors import AnalysisError, LayoutError, ProfileError, StudyError
from subjects.layout import Layout
from subjects.profile import register
from subjects.provenance import digest_file
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.analysis.finished_study import finish_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return finish_study(tmp_path_factory.mktemp("cli") / "study", subjects=("01",))


@pytest.fixture
def copy(finished: Layout, tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(finished.root, tmp_path / "study"))


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def _fault(*arguments: str) -> StudyError:
    error = _run(*arguments).exception
    assert isinstance(error, StudyError), error
    return error


def _process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "analysis", *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=False)


def test_help_names_the_five_commands_and_loads_nothing_heavy() -> None:
    code = ("import sys\nfrom click.testing import CliRunner\nfrom analysis.__main__ import cli\n"
            "print(CliRunner().invoke(cli, ['--help']).output)\n"
            "heavy = {'matplotlib', 'scipy', 'nibabel', 'nilearn', 'pandas', 'jinja2', 'torch'} & set(sys.modules)\n"
            "sys.exit(' '.join(sorted(heavy)) or 0)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in ("simulate", "glm", "rsa", "encode", "report"))


def test_a_mistake_ends_with_two_and_one_line(copy: Layout) -> None:
    path = copy.derivative("rsa", sub="01", suffix="rsa.tsv")
    path.unlink()
    done = _process("report", "--study", str(copy.root))
    assert done.returncode == 2
    assert done.stdout == ""
    *warnings, last = done.stderr.splitlines()
    assert last == (f"error: {path}: no such file; expected similarities. "
                    f"Make it with `python -m analysis rsa --study {copy.root} --sub 01`.")
    assert len(warnings) == 1, "betas of elsewhere are warned of"


@pytest.mark.parametrize("arguments", [("glm",), ("encode", "--study", "x"), ("report",), ("fly", "--study", "x")])
def test_wrong_flags_end_with_two(arguments: tuple[str, ...]) -> None:
    assert _run(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["simulate", "glm", "rsa", "encode"])
def test_a_folder_that_is_no_study_is_refused(command: str, tmp_path: Path) -> None:
    error = _fault(command, "--study", str(tmp_path), "--sub", "01")
    assert isinstance(error, LayoutError)
    assert "python -m subjects init" in str(error)


@pytest.mark.parametrize("command", ["simulate", "glm", "rsa", "encode", "report"])
def test_an_unknown_subject_is_refused(command: str, finished: Layout) -> None:
    error = _fault(command, "--study", str(finished.root), "--sub", "02")
    assert isinstance(error, ProfileError)
    assert "Did you mean '01'?" in str(error)


@pytest.mark.parametrize("command", ["simulate", "rsa", "encode"])
def test_missing_features_name_the_command_that_takes_them(command: str, copy: Layout) -> None:
    copy.features("demo").unlink()
    error = _fault(command, "--study", str(copy.root), "--sub", "01")
    assert isinstance(error, AnalysisError)
    assert str(error).startswith(f"{copy.features('demo')}: no such file")
    assert f"`python -m stimuli features --study {copy.root}`" in str(error)


@pytest.mark.parametrize("command", ["rsa", "encode"])
def test_missing_betas_name_the_command_that_estimates_them(command: str, copy: Layout) -> None:
    path = copy.derivative("glm", sub="01", hemi="R", suffix="betas.h5")
    path.unlink()
    error = _fault(command, "--study", str(copy.root), "--sub", "01")
    assert str(error).startswith(f"{path}: no such file")
    assert f"`python -m analysis glm --study {copy.root} --sub 01`" in str(error)


@pytest.mark.parametrize("command", ["simulate", "glm"])
def test_missing_runs_name_the_command_that_plays_one(command: str, copy: Layout) -> None:
    shutil.rmtree(copy.root / "sub-01")
    error = _fault(command, "--study", str(copy.root), "--sub", "01")
    assert "no events tables" in str(error)
    assert f"python run_session.py run --study {copy.root} --sub 01" in str(error)


def test_report_covers_all_subjects_and_says_where_it_is(copy: Layout) -> None:
    done = _run("report", "--study", str(copy.root))
    assert done.exit_code == 0, done.exception
    assert done.output.splitlines()[-1] == (
        f"12 figures; of 14 claims 9 hold, 0 do not, 5 not tested: {copy.report}")
    assert copy.report.is_file()


def test_subjects_are_all_or_those_asked_for(copy: Layout) -> None:
    register(copy, "07")
    assert choose_subjects(copy, ()) == ("01", "07")
    assert choose_subjects(copy, ("07",)) == ("07",)
    assert require_runs(copy, sub="01") == tuple(
        RunKey("01", ses, "main", run) for ses in ("01", "02") for run in (1, 2))


def test_a_study_without_subjects_has_no_report(study: Layout) -> None:
    error = _fault("report", "--study", str(study.root))
    assert "no subjects; expected at least one" in str(error)
    assert "python -m subjects add" in str(error)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no such file; expected a thing"):
        require_file(tmp_path, what="a thing", command="make it")


@pytest.mark.parametrize("command", sorted(STEPS))
def test_commands_hand_on_what_they_were_given(finished: Layout, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    asked: list[tuple[str, Request]] = []

    def record(name: str, request: Request) -> Done:
        asked.append((name, request))
        return Done(step=STEPS[name], works=(), reused=())

    monkeypatch.setattr("analysis.running.run_step", record)
    step = STEPS[command]
    flags = {"null": ["--null"], "network": ["--network", "other"], "world": ["--world", "both"],
             "hardware": ["--device", "auto", "--threads", "2"]}
    given = [part for name in step.options for part in flags[name]] + ([] if step.whom == "all" else ["--verify"])
    whom = () if step.whom == "none" else ("--sub", "01")
    done = _run(command, "--study", str(finished.root), *whom, *given)
    assert done.exit_code == 0, done.exception
    (name, request), = asked
    assert (name, request.layout.root, request.subjects) == (command, finished.root, whom[1:])
    assert request.settings == load_settings(finished.root)
    assert (request.null, request.world) == ((True, "both") if "null" in step.options else (False, None))
    assert request.network == ("other" if "network" in step.options else None)
    assert request.hardware == (tuple(flags["hardware"]) if "hardware" in step.options else ())
    assert request.verify == (step.whom != "all")


def test_results_are_told_for_programs(copy: Layout) -> None:
    told = json.loads(_run("report", "--study", str(copy.root), "--json").stdout)
    assert told["step"] == "report"
    (result,) = told["results"]
    assert result["files"] == [str(copy.report)]
    assert result["said"].startswith("12 figures; of 14 claims")
    told = json.loads(_run("rsa", "--study", str(copy.root), "--sub", "01", "--json").stdout)
    assert {one["name"]: one["reused"] for one in told["results"]} == {"sub-01": True, "network-demo": True}


def test_every_command_is_made_from_its_record() -> None:
    assert set(cli.commands) >= set(STEPS)
    for name, step in STEPS.items():
        said = _run(name, "-h").output
        assert " ".join(step.help.split()[:4]) in said
        assert all(flag in said for flag in ("--study", "--json", "-v", "--site"))


def test_nothing_is_made_up_for_a_volunteer(tmp_path: Path) -> None:
    layout = finish_study(tmp_path / "study", subjects=("01",), source="fmriprep")
    before = sorted(layout.root.rglob("*"))
    error = _fault("simulate", "--study", str(layout.root), "--sub", "01")
    assert isinstance(error, ProfileError)
    assert "sub-01: a volunteer; expected a virtual subject for simulated BOLD" in str(error)
    assert sorted(layout.root.rglob("*")) == before
    shutil.rmtree(layout.root / "sub-01")
    error = _fault("glm", "--study", str(layout.root), "--sub", "01")
    assert "run_session.py recover" in str(error)
    assert "emulated" not in str(error)


def test_without_a_subject_the_networks_similarities_are_found_alone(copy: Layout) -> None:
    shutil.rmtree(copy.derivatives("rsa"))
    for path in ("sub-01", "derivatives/glm", "derivatives/simulated"):
        shutil.rmtree(copy.root / path)
    done = _run("rsa", "--study", str(copy.root))
    assert done.exit_code == 0, done.exception
    table = copy.derivative("rsa", suffix="rsa.tsv", network="demo")
    assert done.stdout == f"similarities of network-demo made: {table}\n"
    assert sorted(path.name for path in copy.derivatives("rsa").iterdir() if path.suffix in (".tsv", ".h5")) == [
        "network-demo_rdms.h5", "network-demo_rsa.tsv"]


@pytest.mark.parametrize(("step", "asked", "fresh"), [("report", {}, True), ("rsa", {}, False),
                                                      ("rsa", {"verify": True}, True)])
def test_what_is_published_is_digested_anew_and_each_file_once(copy: Layout, monkeypatch: pytest.MonkeyPatch, step: str,
                                                               asked: dict[str, bool], fresh: bool) -> None:
    anew: list[Path] = []

    def record(path: Path, *, verify: bool = False) -> str:
        anew.extend([path] * verify)
        return digest_file(path, verify=verify)

    monkeypatch.setattr("analysis.running.digest_file", record)
    run_step(step, Request(layout=copy, settings=load_settings(copy.root), subjects=("01",), **asked))
    assert len(anew) == len(set(anew))
    assert (copy.derivative("rsa", sub="01", suffix="rdms.h5") in anew) is fresh
    assert (copy.manifest in anew) is fresh


def test_open_points_show_the_studys_own_values_and_fit_80_columns(tmp_path: Path) -> None:
    study = init_study(Layout(tmp_path / "study"), name="open", seed=1, changes={"encoding": {"folds": 7}})
    shown = _run("open-points", "--study", str(study.root)).output
    assert "encoding.folds = 7" in shown
    assert max(len(line) for line in shown.splitlines()) < 80
    points = json.loads(_run("open-points", "--study", str(study.root), "--json").output)["open_points"]
    assert {"encoding.folds": 7}.items() <= {k: v for one in points for k, v in one["settings"].items()}.items()
    assert "encoding.folds = 5" in _run("open-points").output
