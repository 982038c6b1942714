"""``python -m analysis``: what each command needs, and how it ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis.__main__ import cli
from analysis.steps import choose_subjects, require_betas, require_file, require_runs
from subjects.errors import AnalysisError, LayoutError, ProfileError, StudyError
from subjects.layout import Layout
from subjects.profile import register
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
    assert done.stderr == (f"error: {path}: no such file; expected similarities in the brain. "
                           f"Make it with `python -m analysis rsa --study {copy.root} --sub 01`.\n")


@pytest.mark.parametrize("arguments", [("glm",), ("rsa", "--study", "x"), ("report",), ("fly", "--study", "x")])
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
        f"7 figures; of 12 claims 9 hold, 0 do not, 3 not tested: {copy.report}")
    assert copy.report.is_file()


def test_subjects_are_all_or_those_asked_for(copy: Layout) -> None:
    register(copy, "07")
    assert choose_subjects(copy, ()) == ("01", "07")
    assert choose_subjects(copy, ("07",)) == ("07",)
    assert require_runs(copy, sub="01") == tuple(
        RunKey("01", ses, "main", run) for ses in ("01", "02") for run in (1, 2))
    assert [path.name for path in require_betas(copy, sub="01")] == [
        "sub-01_hemi-L_betas.h5", "sub-01_hemi-R_betas.h5"]


def test_a_study_without_subjects_has_no_report(study: Layout) -> None:
    error = _fault("report", "--study", str(study.root))
    assert "no subjects; expected at least one" in str(error)
    assert "python -m subjects add" in str(error)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no such file; expected a thing"):
        require_file(tmp_path, what="a thing", command="make it")


@pytest.mark.parametrize(("command", "module", "function", "said"), [
    ("simulate", "analysis.simulation.bold", "simulate_subject", "virtual BOLD made: "),
    ("glm", "analysis.glm.estimate", "run_glm", "betas already current, reused: "),
    ("rsa", "analysis.rsa.run", "run_rsa", "similarities current: "),
    ("encode", "analysis.encoding.run", "run_encoding", "encoding models current: "),
])
def test_commands_hand_on_what_they_were_given(finished: Layout, monkeypatch: pytest.MonkeyPatch, command: str,
                                               module: str, function: str, said: str) -> None:
    import importlib
    from types import SimpleNamespace

    given = []

    def record(layout: Layout, settings: object, **options: object) -> SimpleNamespace:
        given.append((layout.root, settings, options))
        return SimpleNamespace(reused=function == "run_glm")

    monkeypatch.setattr(importlib.import_module(module), function, record)
    if command == "rsa":
        monkeypatch.setattr("analysis.rsa.run.run_network_rsa", record)
    done = _run(command, "--study", str(finished.root), "--sub", "01", *(["--null"] if command == "simulate" else []))
    assert done.exit_code == 0, done.exception
    assert done.output.startswith(said)
    root, settings, options = given[0]
    assert (root, settings, options["sub"]) == (finished.root, load_settings(finished.root), "01")
    assert callable(options["progress"])
    if command == "simulate":
        assert options["null"] is True
    if command == "encode":
        assert options["network"] == "demo"
    if command == "rsa":
        assert given[1][2]["network"] == "demo"
