"""A simulation that is killed, and one whose BOLD was dropped: no mixture passes, and nothing is lost by dropping."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.__main__ import cli
from analysis.glm.combining import betas_paths
from analysis.simulation import bold
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.settings.study import Settings
from tests.analysis.running_steps import run
from tests.analysis.simulation.test_bold import make_study


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the product catches it."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    layout, settings = make_study(tmp_path_factory.mktemp("interrupted") / "study")
    run("simulate", layout, settings)
    run("glm", layout, settings)
    return layout, settings


@pytest.fixture
def copy(made: tuple[Layout, Settings], tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(made[0].root, tmp_path / "study"))


def kill_at(monkeypatch: pytest.MonkeyPatch, *, writes: int) -> None:
    """End the process before it has written so many of its files."""
    left = [writes]

    def counted(write):  # type: ignore[no-untyped-def]
        def instead(*args, **named):  # type: ignore[no-untyped-def]
            if not left[0]:
                raise Killed
            left[0] -= 1
            return write(*args, **named)
        return instead

    for name in ("write_timeseries", "save_truth", "write_labels", "save_surface"):
        monkeypatch.setattr(bold, name, counted(getattr(bold, name)))


@pytest.mark.parametrize("writes", range(8 + 2 + 2 + 1))
def test_no_mixture_of_two_simulations_passes(made: tuple[Layout, Settings], copy: Layout, writes: int,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Meshes (2), labels (2), truth (1) and BOLD (8) of a null subject over those of an older one."""
    settings = made[1]
    with monkeypatch.context() as patched:
        kill_at(patched, writes=writes)
        with pytest.raises(Killed):
            run("simulate", copy, settings, null=True)
    with pytest.raises(AnalysisError, match=rf"python -m analysis simulate --study {copy.root} --sub 01"):
        run("glm", copy, settings)
    with pytest.raises(AnalysisError, match="a simulated file without a sidecar"):
        run("rsa", copy, settings)
    if writes in (0, 8):
        run("simulate", copy, settings, null=True)
        assert not list(copy.derivatives("simulated").rglob("*unfinished*"))
        run("glm", copy, settings)


@pytest.mark.parametrize("what", ["bold", "labels"])
def test_a_simulated_file_from_another_simulation_is_refused(made: tuple[Layout, Settings], copy: Layout,
                                                            what: str) -> None:
    pattern = {"bold": "*_bold.func.gii", "labels": "*.label.gii"}[what]
    first, second = sorted(copy.derivatives("simulated").rglob(pattern))[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(AnalysisError, match="a simulated file that was changed or replaced after it was made"):
        run("glm", copy, made[1])


def test_half_written_files_are_swept(made: tuple[Layout, Settings], copy: Layout) -> None:
    import os

    left = copy.derivatives("glm") / "sub-01" / ".0123abcd.tmp.sub-01_hemi-L_betas.h5"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    sidecar_path(betas_paths(copy, sub="01")["L"]).unlink()
    run("glm", copy, made[1])
    assert not left.exists()


@pytest.mark.parametrize("entry", ["analysis", "subjects"])
def test_dropped_bold_makes_nothing_stale_and_can_be_made_again(made: tuple[Layout, Settings], copy: Layout,
                                                               entry: str) -> None:
    from subjects.__main__ import cli as subjects_cli

    command = {"analysis": cli, "subjects": subjects_cli}[entry]
    files = {path: path.read_bytes() for path in copy.derivatives("simulated").rglob("*_bold.func.gii")}
    listed = CliRunner().invoke(command, ["clean", "--study", str(copy.root)])
    assert "bold: 8 files" in listed.output
    assert "nothing was removed" in listed.output
    assert all(path.is_file() for path in files)
    assert CliRunner().invoke(command, ["clean", "--study", str(copy.root), "--yes"]).exit_code == 0
    assert not any(path.is_file() for path in files)
    assert run("glm", copy, made[1]).all_reused
    stale = made[1].model_copy(update={"glm": made[1].glm.model_copy(update={"drift_minutes": 9.0})})
    with pytest.raises(AnalysisError, match="time series that were dropped; .*python -m analysis simulate"):
        run("glm", copy, stale)
    run("simulate", copy, made[1])
    assert {path: path.read_bytes() for path in files} == files
    assert run("glm", copy, made[1]).all_reused


def test_a_file_that_is_not_what_its_sidecar_says_is_not_dropped(copy: Layout) -> None:
    path = min(copy.derivatives("simulated").rglob("*_bold.func.gii"))
    path.write_bytes(b"by hand")
    CliRunner().invoke(cli, ["clean", "--study", str(copy.root), "--yes"])
    assert [one.name for one in copy.derivatives("simulated").rglob("*_bold.func.gii")] == [path.name]


def test_betas_without_a_format_lead_to_no_circle(made: tuple[Layout, Settings], copy: Layout) -> None:
    """What rsa says is to be done is done by glm: the remedy is followed until it succeeds."""
    import h5py

    path = betas_paths(copy, sub="01")["L"]
    with h5py.File(path, "r+") as file:
        del file.attrs["format"]
    from subjects.provenance import digest_file
    from subjects.store import read_json, write_json

    write_json(sidecar_path(path), {**read_json(sidecar_path(path)), "digest": digest_file(path)}, overwrite=True)
    with pytest.raises(AnalysisError, match="python -m analysis glm") as caught:
        run("rsa", copy, made[1])
    step = caught.value.remedy.split("python -m analysis ")[1].split()[0]
    assert not run(step, copy, made[1]).all_reused
    assert run(step, copy, made[1]).all_reused
