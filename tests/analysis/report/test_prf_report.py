"""Receptive fields in the report: there where a study has them, as they were fitted, and never stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.data.gifti import write_timeseries
from analysis.report.figure_list import plan_figures
from analysis.report.figures.prf.records import plan_prf
from analysis.report.page import make_page, render
from analysis.report.records import read_records
from analysis.report.tables import prf_table
from paradigms.tasks.retinotopy import make_schedule as plan_retinotopy
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.analysis import PrfSettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.analysis.fabricated import sign_simulated
from tests.analysis.finished_study import finish_study, sign_results
from tests.analysis.running_steps import ask, run
from tests.analysis.simulation.test_paradigms import log_schedule
from tests.paradigms.texture_rows import rows

N = 300
KEY = RunKey("01", "01", "retinotopy", 1)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    """A finished study of two subjects, one of whom has a retinotopy run and its fields."""
    layout = finish_study(tmp_path_factory.mktemp("prf") / "study")
    settings = load_settings(layout.root)
    log_schedule(layout, settings, plan_retinotopy(settings, textures=rows(), key=KEY))
    rng = np.random.default_rng(0)
    for hemi in ("L", "R"):
        made = (1000 + 10 * rng.standard_normal((150, N))).astype(np.float32)
        write_timeseries(layout.bold("simulated", key=KEY, hemi=hemi, space="fsnative"), made, hemi=hemi, tr_s=2.0)
    sign_simulated(layout, "01")
    settings = settings.model_copy(update={"prf": PrfSettings(max_vertices=8, grid_deg=1.0, show_r2_pct=0.5)})
    run("prf", layout, settings)
    run("confounds", layout, settings)
    sign_results(layout, subjects=("01", "02"))
    return layout, settings


def test_the_report_has_a_figure_and_a_table_of_who_was_mapped(study: tuple[Layout, Settings]) -> None:
    layout, settings = study
    records = read_records(ask(layout, settings, "01", "02"))
    first, second = records.subjects
    assert first.prf is not None
    assert second.prf is None
    (figure,) = [plan for plan in plan_figures(records) if plan.section == "prf"]
    assert figure.name == "sub-01_prf"
    assert "16 vertices fitted, haemodynamic response canonical" in figure.caption
    assert "Between fitted vertices, the value of the nearest one." in figure.caption
    table = prf_table(records)
    assert [row[:4] for row in table.rows[:2]] == [("01", "L", "all", "8"), ("01", "L", "V1", "2")]
    assert {row[0] for row in table.rows} == {"01"}
    named = {path.name for path in records.files}
    assert named >= {"sub-01_hemi-L_prf.h5", "sub-01_hemi-L_prf.func.gii", "sub-01_prf.tsv"}
    page = render(make_page(records, lines=(), figures=()))
    assert '<section id="prf">' in page
    assert '<a href="#prf">' in page


def test_a_study_without_retinotopy_has_no_such_section(study: tuple[Layout, Settings]) -> None:
    layout, settings = study
    records = read_records(ask(layout, settings, "02"))
    assert not [plan for plan in plan_figures(records) if plan.section == "prf"]
    assert "#prf" not in render(make_page(records, lines=(), figures=()))


def test_fields_of_other_settings_are_not_shown(study: tuple[Layout, Settings]) -> None:
    layout, settings = study
    other = settings.model_copy(update={"prf": settings.prf.model_copy(update={"model": "gaussian"})})
    with pytest.raises(AnalysisError, match=r"receptive fields of other files or settings.*analysis prf .*--sub 01"):
        plan_prf(ask(layout, other, "01"))


def test_the_file_of_a_kept_report_names_them(study: tuple[Layout, Settings], tmp_path: Path) -> None:
    from analysis.report.page import Report

    layout, settings = study
    named = Report(ask(layout, settings, "01")).origin(tmp_path).inputs
    assert "derivatives/prf/sub-01/sub-01_hemi-R_prf.h5" in named
