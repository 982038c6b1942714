"""What a report shows of localizers and of the choice of vertices: read from the files, drawn, told, or refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.gifti import write_label_map, write_maps
from analysis.regions.labels import ROIS
from analysis.regions.localizing.step import COLORS, LABELS
from analysis.regions.localizing.step import COLUMNS as AREA_COLUMNS
from analysis.regions.selecting import load_selected, selection_paths
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.localized import DrawnContrast, LocalizedMaps, draw_localized
from analysis.report.figures.cortex.selected import SelectionMaps, draw_selected
from analysis.report.regions.found import FoundRegions, describe_found, plan_found, read_found
from analysis.steps import Origin, Work
from subjects.errors import AnalysisError
from subjects.settings.analysis import LocalizerSettings, RoiSettings
from subjects.settings.loading import load_settings
from subjects.store import read_table, write_table
from tests.analysis.fabricated import COLUMNS, ROWS, make_labels, make_study, make_surface
from tests.analysis.report.test_searchlight_figure import colour_at
from tests.analysis.report.test_style import SIGHT, _seen
from tests.analysis.running_steps import ask, run

N = ROWS * COLUMNS
COLUMN = np.arange(N) % COLUMNS


def flat_of(hemi: str = "L") -> FlatHemisphere:
    """The sheet of 12 x 25 mm with five bands."""
    surface = make_surface(hemi)
    return FlatHemisphere(hemi, surface.flat, surface.faces, make_labels(), {}, distortion="none")


def contrasts() -> tuple[DrawnContrast, DrawnContrast]:
    """LO answers from the 17th millimetre on, hMT+ from the 22nd."""
    t = {name: np.where(low <= COLUMN, 6.0, -3.0).astype(np.float32) for name, low in (("LO", 17), ("hMT+", 22))}
    return (DrawnContrast("LO", "intact > scrambled", t["LO"], 1.97, COLUMN >= 17, 290, 7),
            DrawnContrast("hMT+", "moving > static", t["hMT+"], float("inf"), COLUMN >= 22, 290, 0))


def localized() -> LocalizedMaps:
    classes = np.select([COLUMN >= 22, COLUMN >= 17], [3, 1], 0)
    return LocalizedMaps(flat_of(), ROIS, contrasts(), classes)


def test_contrasts_are_drawn_with_threshold_and_counts_and_areas_with_theirs() -> None:
    figure = draw_localized([localized()])
    lo, motion, areas = figure.axes[:3]
    assert lo.get_title(loc="left") == ("LO: intact > scrambled, left\nt > 1.97: 96 of 290 vertices (33.1 %)\n"
                                        "7 more in small pieces left out")
    assert motion.get_title(loc="left") == "hMT+: moving > static, left\nno t passes: 36 of 290 vertices (12.4 %)"
    assert [one.get_text() for one in areas.get_legend().get_texts()] == ["LO 60", "both: taken from LO 36",
                                                                          "labelled regions"]
    assert colour_at(lo, 20, 5)[0] > colour_at(lo, 20, 5)[2] + 0.2, "above is red"
    assert colour_at(lo, 5, 5)[2] > colour_at(lo, 5, 5)[0] + 0.1, "below is blue"
    (outline,) = (line for line in lo.lines if line.get_label() == "outline")
    across = np.asarray(outline.get_xydata())[:, 0]
    assert np.nanmin(across) == pytest.approx(16, abs=1)
    assert np.nanmax(across) == pytest.approx(17, abs=1)


@pytest.mark.parametrize("deficiency", SIGHT)
def test_areas_are_told_apart_whatever_one_sees(deficiency: str | None) -> None:
    for one, two in itertools.combinations(COLORS.values(), 2):
        assert np.linalg.norm(_seen(one, deficiency) - _seen(two, deficiency)) > 20


def test_what_is_found_beyond_the_labelled_regions_is_in_the_picture() -> None:
    flat = FlatHemisphere("L", flat_of().flat, flat_of().faces, np.where(COLUMN < 5, 1, 0), {})
    low, high = LocalizedMaps(flat, ("V1",), contrasts(), np.where(COLUMN == 20, 2, 0)).frame()
    assert (low[0], high[0]) == (-6.0, 26.0)


def test_the_choice_is_drawn_as_dots_on_its_reliability() -> None:
    rho = np.where(COLUMN < 5, 0.4, -0.1)
    flat = FlatHemisphere("R", flat_of().flat, flat_of().faces, make_labels(), {"V1": np.array([2, 27])})
    one = SelectionMaps(flat, rho, np.where(COLUMN == 8, 9.0, 12.0), 10)
    assert one.summary() == f"2 chosen of {300 - (COLUMN == 8).sum()} eligible\nmedian ρ 0.40, of all eligible -0.10"
    figure = draw_selected([one], regions=ROIS)
    above, below = figure.axes[:2]
    (dots,) = (points for points in above.collections if points.get_label() == "chosen")
    np.testing.assert_array_equal(dots.get_offsets(), [[2, 0], [2, 1]])
    assert above.get_title(loc="left").endswith(one.summary())
    assert below.get_title(loc="left") == "Disks, right hemisphere"
    assert colour_at(above, 2, 5)[0] > colour_at(above, 2, 5)[2] + 0.2
    empty = SelectionMaps(flat_of(), np.full(N, np.nan), np.full(N, np.nan), 10)
    assert empty.summary() == "0 chosen of 0 eligible"


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory):
    layout, _ = make_study(tmp_path_factory.mktemp("found") / "study")
    settings = load_settings(layout.root, overrides={"roi.bias_draws": 5})
    run("select", layout, settings)
    return layout, settings


def test_the_choice_is_read_and_told_as_the_step_wrote_it(chosen) -> None:
    layout, settings = chosen
    works = plan_found(ask(layout, settings))
    assert works["localizers"] == {}
    found = read_found({"select": works["select"]["01"]}, flat=[flat_of("L"), flat_of("R")], regions=ROIS,
                       min_disk=settings.roi.min_disk)
    for one, (hemi, path) in zip(found.selected, selection_paths(layout, sub="01").items(), strict=True):
        assert one.flat.hemi == hemi
        for roi, vertices in load_selected(path).items():
            np.testing.assert_array_equal(one.flat.selected[roi], vertices)
            assert np.isfinite(one.rho[vertices]).all()
    (told,) = describe_found(found, sub="01", regions=ROIS, roi=settings.roi,
                             localizers=settings.localizers)
    table = read_table(layout.derivative("rois", sub="01", suffix="selection.tsv"))
    assert told.name == "sub-01_selection"
    assert f"V1 {table.loc[table['roi'] == 'V1', 'rho_median'].mean():.2f}, V2 " in told.caption
    assert "the 15 best a region and hemisphere" in told.caption
    assert "Largest bias of a similarity by the choice, of 10 in 5 draws" in told.caption
    assert len(told.draw().axes) >= 4


def test_a_choice_by_other_settings_is_refused(chosen) -> None:
    layout, settings = chosen
    other = settings.model_copy(update={"roi": settings.roi.model_copy(update={"radius_mm": 4.0})})
    with pytest.raises(AnalysisError, match="a choice of vertices of other files or settings, or changed.*"
                                            "python -m analysis select --study .* --sub 01"):
        plan_found(ask(layout, other))


def test_nothing_is_told_where_nothing_is() -> None:
    assert describe_found(FoundRegions(), sub="01", regions=ROIS, roi=RoiSettings(),
                          localizers=LocalizerSettings()) == ()


def written_localizers(folder: Path) -> Work:
    """Write what the step ``localizers`` leaves of one hemisphere."""
    rows = [{"sub": "01", "hemi": "L", "area": area, "contrast": contrast, "n_runs": 2, "n_df": 300, "p": 0.05,
             "threshold": "uncorrected", "t_threshold": 1.97, "n_tested": 290, "n_scattered": 7, "n_vertices": n}
            for area, contrast, n in (("LO-positive", "intact > scrambled", 96), ("hMT+", "moving > static", 36),
                                      ("LO", None, 60), ("LO and hMT+", None, 36))]
    write_table(folder / "areas.tsv", pd.DataFrame(rows, columns=list(AREA_COLUMNS)))
    write_label_map(folder / "L.label.gii", {"": localized().classes.astype(np.int32)}, names=LABELS, hemi="L")
    write_maps(folder / "L.func.gii", {f"{one.area} t": one.t for one in contrasts()}, hemi="L")
    return Work(name="sub-01", outputs=(folder / "areas.tsv", folder / "overlap.tsv", folder / "L.label.gii"),
                companions={"GiftiL": folder / "L.func.gii"}, origin=lambda _: Origin({}, {}), make=lambda _: dict)


def test_localized_areas_are_read_and_told(tmp_path: Path) -> None:
    found = read_found({"localizers": written_localizers(tmp_path)}, flat=[flat_of()], regions=ROIS, min_disk=10)
    (one,) = found.localized
    np.testing.assert_array_equal(one.classes, localized().classes)
    for read, planted in zip(one.contrasts, contrasts(), strict=True):
        assert (read.area, read.contrast, read.n_tested, read.n_scattered) == (planted.area, planted.contrast, 290, 7)
        np.testing.assert_array_equal(read.passed, planted.passed)
        np.testing.assert_array_equal(read.t, planted.t)
    (told,) = describe_found(found, sub="01", regions=ROIS, roi=RoiSettings(),
                             localizers=LocalizerSettings())
    assert "2 runs of intact > scrambled (300 degrees of freedom), 2 runs of moving > static" in told.caption
    assert "two-tailed p < 0.05, uncorrected, the positive side alone, without connected pieces below 20 mm²" in \
        told.caption
    assert told.caption.endswith("overlaps with every labelled region.")
