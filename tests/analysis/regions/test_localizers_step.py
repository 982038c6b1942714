"""The step ``localizers``: from a study on disk to areas, tables, maps and a picture; what is missing is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from nibabel import load as nib_load
from PIL import Image
from scipy import stats

from analysis.data.sources import resolve_subject
from analysis.data.surface import Surface, save_surface
from analysis.regions.labels import ROIS
from analysis.regions.localizing.step import AREAS, label_paths, load_areas
from analysis.simulation.truth_file import load_areas as load_truth
from analysis.steps import Done
from paradigms.tasks.lo_localizer import make_schedule as plan_lo
from paradigms.tasks.motion_localizer import make_schedule as plan_motion
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import digest_file, sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import LocalizerSettings, Settings
from subjects.store import read_json, read_table, write_json
from tests.analysis.running_steps import run
from tests.analysis.simulation.test_bold import make_study
from tests.analysis.simulation.test_paradigms import log_schedule
from tests.paradigms.texture_rows import rows

Study = tuple[Layout, Settings, Done]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A virtual subject with two runs of each localizer, its noise as it is by default."""
    layout, settings = make_study(tmp_path_factory.mktemp("localizers") / "study")
    settings = settings.model_copy(update={"simulate": settings.simulate.model_copy(update={"subdivisions": 1})})
    for ses in ("01", "02"):
        log_schedule(layout, settings, plan_lo(settings, textures=rows(), key=RunKey("01", ses, "lo", 1)))
        log_schedule(layout, settings, plan_motion(settings, key=RunKey("01", ses, "motion", 1)))
    run("simulate", layout, settings)
    return layout, settings, run("localizers", layout, settings)


@pytest.fixture
def copy(made: Study, tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(made[0].root, tmp_path / "study"))


def table_of(layout: Layout, name: str = "localizers"):
    return read_table(layout.derivative("rois", sub="01", suffix=f"{name}.tsv"), text_columns=("sub",))


def maps_of(layout: Layout, hemi: str) -> dict[str, np.ndarray]:
    path = layout.derivative("rois", sub="01", hemi=hemi, suffix="localizers.func.gii")
    return {one.meta["Name"]: one.data for one in nib_load(path).darrays}


def test_the_planted_areas_are_most_of_what_is_found_where_they_are(made: Study) -> None:
    layout = made[0]
    for hemi, path in label_paths(layout, sub="01").items():
        truth = load_truth(layout.derivative("simulated", sub="01", suffix="truth.h5"), hemi=hemi)
        found = load_areas(path, hemi=hemi)
        assert found.lo[truth.lo & ~truth.mt].mean() > 0.7
        assert found.motion[truth.mt].mean() > 0.7
        assert found.shared[truth.lo & truth.mt].mean() > 0.5
        assert not (found.lo & found.motion).any()
        assert not (found.shared & ~found.motion).any()


def smallest_piece(surface: Surface, mask: np.ndarray) -> float:
    """Give the area of the smallest connected piece, mm2, by networkx."""
    graph = nx.Graph()
    graph.add_nodes_from(np.flatnonzero(mask).tolist())
    for a, b, c in surface.faces.tolist():
        graph.add_edges_from((x, y) for x, y in ((a, b), (b, c), (c, a)) if mask[x] and mask[y])
    extents = surface.vertex_areas()
    return min(float(extents[list(piece)].sum()) for piece in nx.connected_components(graph))


def test_without_a_least_area_every_vertex_that_passes_counts(made: Study, copy: Layout) -> None:
    before = table_of(made[0]).set_index(["hemi", "area"]).loc[(slice(None), ["LO-positive", "hMT+"]), :]
    run("localizers", copy, made[1].model_copy(update={"localizers": LocalizerSettings(min_area_mm2=0.0)}))
    after = table_of(copy).set_index(["hemi", "area"]).loc[before.index]
    assert (after["n_vertices"] == before["n_vertices"] + before["n_scattered"]).all()
    assert (after["n_scattered"] == 0).all()
    assert set(before["min_area_mm2"]) == {20.0}


def test_the_table_says_every_threshold_and_counts_what_passes_it(made: Study) -> None:
    layout = made[0]
    table = table_of(layout)
    assert table[["hemi", "area"]].to_numpy().tolist() == [[hemi, area] for hemi in "LR" for area in AREAS]
    for hemi, path in label_paths(layout, sub="01").items():
        maps, found = maps_of(layout, hemi), load_areas(path, hemi=hemi)
        masks = {"LO-positive": found.lo | found.shared, "hMT+": found.motion}
        rows_of = table[table["hemi"] == hemi].set_index("area")
        for area, contrast in (("LO-positive", "LO"), ("hMT+", "hMT+")):
            row = rows_of.loc[area]
            t, p = maps[f"{contrast} t"].astype(float), maps[f"{contrast} p"].astype(float)
            passed = (p < 0.05) & (t > 0)
            assert row["n_vertices"] + row["n_scattered"] == passed.sum()
            assert row["n_scattered"] > 0
            assert smallest_piece(resolve_subject(layout, sub="01", task="lo").load_surface(hemi), masks[area]) >= 20
            assert not (masks[area] & ~passed).any()
            assert row["t_threshold"] == pytest.approx(stats.t.isf(0.025, row["n_df"]))
            assert (row["n_tested"], row["p_threshold"]) == (np.isfinite(t).sum(), 0.05)
            assert row["t_max"] == pytest.approx(np.nanmax(t), rel=1e-5)
            assert t[int(row["peak_vertex"])] == np.nanmax(t)
            assert row["n_runs"] == 2
        counts = rows_of["n_vertices"]
        assert counts["LO"] == counts["LO-positive"] - counts["LO and hMT+"] == found.lo.sum()
        assert counts["LO and hMT+"] == found.shared.sum()
        assert rows_of.loc["LO", ["contrast", "t_threshold"]].isna().all()
        whole = resolve_subject(layout, sub="01", task="lo").load_surface(hemi).vertex_areas()
        assert rows_of.loc["LO", "area_mm2"] == pytest.approx(whole[found.lo].sum())


def test_counts_are_written_as_whole_numbers(made: Study) -> None:
    path = made[0].derivative("rois", sub="01", suffix="localizers.tsv")
    heading, *lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    for name in ("n_runs", "n_df", "n_tested", "n_scattered", "n_vertices", "peak_vertex"):
        cells = [line[heading.index(name)] for line in lines]
        assert all(cell.isdigit() or cell == "n/a" for cell in cells), (name, cells)
        assert any(cell.isdigit() for cell in cells)


def test_percent_is_the_difference_of_what_the_conditions_evoke(made: Study) -> None:
    """Planted: .55 of a vertex's mean response between intact and scrambled in LO, .65 between the dots in hMT+."""
    layout = made[0]
    truth = load_truth(layout.derivative("simulated", sub="01", suffix="truth.h5"), hemi="L")
    maps = maps_of(layout, "L")
    assert np.median(maps["LO percent"][truth.lo]) == pytest.approx(0.55 * 2.0, rel=0.25)
    assert np.median(maps["hMT+ percent"][truth.mt]) == pytest.approx(0.65 * 2.0, rel=0.25)


def test_overlaps_with_labelled_regions_are_counted(made: Study) -> None:
    layout = made[0]
    table = table_of(layout, "desc-overlap_localizers")
    assert len(table) == 2 * len(AREAS) * len(ROIS)
    row = table[(table["hemi"] == "R") & (table["area"] == "LO") & (table["region"] == "LO")].iloc[0]
    assert row["dice"] == pytest.approx(2 * row["n_both"] / (row["n_area"] + row["n_region"]))
    assert row["n_both"] > 0.7 * row["n_region"]


def test_files_are_told_reused_and_drawn(made: Study) -> None:
    layout, settings, done = made
    assert done.works[0].tell().startswith("sub-01, vertices of L + R: LO ")
    assert run("localizers", layout, settings).all_reused
    said = read_json(sidecar_path(done.works[0].outputs[0]))
    assert (said["LocalizersNotRun"], said["RunsMissing"]) == ({}, "")
    assert (said["parameters"]["p"], said["parameters"]["threshold"]) == (0.05, "uncorrected")
    with Image.open(done.works[0].companions["png_digest"]) as picture:
        assert picture.width > 1200
        assert len(picture.convert("RGB").quantize(64).getcolors()) > 20


def test_a_false_discovery_rate_finds_fewer(made: Study, copy: Layout) -> None:
    before = table_of(made[0]).set_index(["hemi", "area"])["n_vertices"]
    fdr = made[1].model_copy(update={"localizers": LocalizerSettings(p=0.01, threshold="fdr")})
    run("localizers", copy, fdr)
    after = table_of(copy).set_index(["hemi", "area"])
    assert (after["n_vertices"] < before).all()
    assert set(after["threshold"].dropna()) == {"fdr"}
    assert (after["p_threshold"].dropna() < 0.01).all()


def remove(layout: Layout, task: str, *, sessions: tuple[str, ...] = ("01", "02")) -> None:
    for ses in sessions:
        for path in layout.root.glob(f"sub-01/ses-{ses}/func/*task-{task}_*"):
            path.unlink()


def test_absent_runs_need_consent_and_are_told(made: Study, copy: Layout, caplog: pytest.LogCaptureFixture) -> None:
    settings = made[1]
    remove(copy, "motion")
    with pytest.raises(AnalysisError, match=r"0 of 2 runs of task motion; expected all that \[lo\] and"):
        run("localizers", copy, settings)
    accepted = settings.model_copy(update={"analysis": settings.analysis.model_copy(
        update={"accept": ("missing runs",)})})
    done = run("localizers", copy, accepted)
    assert "no runs of task motion: LO still holds what hMT+ would take from it" in caplog.text
    assert table_of(copy)["area"].tolist() == ["LO-positive", "LO"] * 2
    said = read_json(sidecar_path(done.works[0].outputs[0]))
    assert said["LocalizersNotRun"] == {"motion": "LO still holds what hMT+ would take from it"}
    assert said["RunsMissing"] == "0 of 2 runs of task motion"
    remove(copy, "lo")
    with pytest.raises(AnalysisError, match="no events tables of task lo"):
        run("localizers", copy, accepted)


def test_time_series_of_another_mesh_are_refused(made: Study, copy: Layout) -> None:
    data = resolve_subject(copy, sub="01", task="lo")
    surface = data.load_surface("L")
    paths = data.surfaces["L"]
    piece, _ = surface.restrict(np.arange(surface.n_vertices) < 2000)
    save_surface(piece, paths["midthickness"], flat_path=paths["flat"], overwrite=True)
    for path in paths.values():
        said = read_json(sidecar_path(path))
        write_json(sidecar_path(path), {**said, "digest": digest_file(path)}, overwrite=True)
    with pytest.raises(AnalysisError, match=rf"vertices \(task lo\) and a surface of {piece.n_vertices}; expected one"):
        run("localizers", copy, made[1])
