"""Drawing regions on the flat maps: by matplotlib's own events, without a screen, and from a file of polygons."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.__main__ import cli
from analysis.data.sources import surface_paths
from analysis.data.surface import save_surface
from analysis.regions.drawing.outlines import read_freesurfer_label, read_polygons
from analysis.regions.labels import ROIS
from analysis.regions.prf.maps import PrfMaps, save_maps
from analysis.regions.prf.records import PrfFit
from analysis.regions.prf.run import maps_paths
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.prf.maps import PrfHemisphere
from analysis.report.regions.window import EMPTY, Drawing
from subjects.errors import AnalysisError
from tests.analysis.fabricated import COLUMNS, ROWS, make_study, make_surface

N = ROWS * COLUMNS
SQUARE = np.array([[1.5, 1.5], [4.5, 1.5], [4.5, 4.5], [1.5, 4.5]])


def maps() -> PrfMaps:
    rng = np.random.default_rng(0)
    table = rng.uniform(0.5, 1.5, size=(len(PrfFit.TABLE), N))
    table[list(PrfFit.TABLE).index("r2")] = 50.0
    return PrfMaps(hemi="L", fit=PrfFit.from_table(table), mean_signal=np.full(N, 800.0), r2_cv=np.full(N, np.nan),
                   field_deg=(12.0, 12.0))


def inside(low: float, high: float) -> np.ndarray:
    """Vertices of the sheet within a square along its diagonal."""
    y, x = np.divmod(np.arange(N), COLUMNS)
    return np.flatnonzero((x > low) & (x < high) & (y > low) & (y < high))


@pytest.fixture
def drawing(tmp_path: Path) -> Drawing:
    surface = make_surface("L")
    flat = FlatHemisphere("L", surface.flat, surface.faces, np.zeros(N, dtype=np.int16), {})
    figure = Figure(figsize=(8, 8))
    FigureCanvasAgg(figure)
    made = Drawing(figure, hemisphere=PrfHemisphere(flat=flat, maps=maps(), show_r2_pct=10.0), surface=surface,
                   regions=ROIS, path=tmp_path / "hemi-L_polygons.json")
    figure.canvas.draw()
    return made


def press(drawing: Drawing, key: str) -> None:
    canvas = drawing._figure.canvas
    canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, key))


def click(drawing: Drawing, corners: np.ndarray) -> None:
    """Move to each place on the flat map, press and release; the first one again closes the polygon."""
    canvas, axes = drawing._figure.canvas, drawing._axes
    for corner in [*corners, corners[0]]:
        x, y = axes.transData.transform(corner)
        for name, button in (("motion_notify_event", None), ("button_press_event", 1), ("button_release_event", 1)):
            canvas.callbacks.process(name, MouseEvent(name, canvas, x, y, button=button))


def test_clicks_make_a_region_that_goes_out_and_back_unchanged(drawing: Drawing) -> None:
    assert drawing.said == EMPTY
    press(drawing, "2")
    click(drawing, SQUARE)
    np.testing.assert_allclose(drawing.polygons["V2"][0], SQUARE, atol=1e-6)
    assert drawing.said == "V2 9"
    press(drawing, "w")
    assert "written: hemi-L_polygons.json, lh.V2.label" in drawing.said
    label = read_freesurfer_label(drawing.path.with_name("lh.V2.label"), n_vertices=N, hemi="L",
                                  points=make_surface("L").vertices)
    np.testing.assert_array_equal(label, inside(1.5, 4.5))
    np.testing.assert_array_equal(label, np.flatnonzero(drawing.labels() == 2))
    back = read_polygons(drawing.path, hemi="L", flat=make_surface("L").flat)
    np.testing.assert_allclose(back["V2"][0], SQUARE, atol=1e-6)


def test_a_second_polygon_joins_the_first_and_another_region_follows(drawing: Drawing) -> None:
    press(drawing, "1")
    click(drawing, SQUARE)
    click(drawing, SQUARE + np.array([5.0, 0.0]))
    press(drawing, "5")
    click(drawing, SQUARE + np.array([10.0, 4.0]))
    assert {name: len(outlines) for name, outlines in drawing.polygons.items()} == {"V1": 2, "LO": 1}
    assert drawing.said == "V1 18   LO 9"
    press(drawing, "backspace")
    assert drawing.said == "V1 18"


def test_an_overlap_is_said_at_once_and_no_label_is_written(drawing: Drawing) -> None:
    click(drawing, SQUARE)
    press(drawing, "2")
    click(drawing, SQUARE + 1.0)
    assert drawing.said.startswith("hemi-L_polygons.json, V2: 4 vertices of V1 too; expected regions that do not")
    press(drawing, "w")
    assert drawing.said.startswith("polygons written, no labels: ")
    assert not list(drawing.path.parent.glob("*.label"))
    assert set(read_polygons(drawing.path)) == {"V1", "V2"}


def test_the_label_of_a_region_that_is_gone_goes_too(drawing: Drawing) -> None:
    click(drawing, SQUARE)
    drawing.write()
    assert drawing.path.with_name("lh.V1.label").is_file()
    press(drawing, "backspace")
    drawing.write()
    assert not drawing.path.with_name("lh.V1.label").exists()


def test_maps_are_gone_through_by_a_key(drawing: Drawing) -> None:
    pictures = []
    for _ in range(4):
        drawing._figure.canvas.draw()
        pictures.append(np.asarray(drawing._figure.canvas.buffer_rgba()).copy())
        press(drawing, "m")
    assert len(drawing._axes.images) == 1
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures[0], pictures[3])


def test_other_keys_and_half_a_polygon_change_nothing(drawing: Drawing) -> None:
    for key in ("9", "x", "0"):
        press(drawing, key)
    drawing.add(SQUARE[:2])
    assert (drawing.region, drawing.polygons) == ("V1", {})


@pytest.fixture
def study(tmp_path: Path) -> Path:
    layout, _ = make_study(tmp_path / "study")
    meshes = surface_paths(layout, source="simulated", sub="01", hemi="L")
    save_surface(make_surface("L"), meshes["midthickness"], flat_path=meshes["flat"], overwrite=True)
    save_maps(maps_paths(layout, sub="01")["L"], maps())
    return layout.root


def ask(study: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["draw", "--study", str(study), "--sub", "01", "--hemi", "L", *more])


def test_a_file_of_polygons_is_drawn_without_a_window(study: Path, tmp_path: Path) -> None:
    path = tmp_path / "hemi-L_mine.json"
    path.write_text(json.dumps({"V1": [SQUARE.tolist()], "LO": [(SQUARE + 5).tolist()]}), encoding="utf-8")
    done = ask(study, "--polygons", str(path), "--no-window", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["said"] == "V1 9   LO 9"
    for name, low in (("V1", 1.5), ("LO", 6.5)):
        found = read_freesurfer_label(tmp_path / f"lh.{name}.label", n_vertices=N, hemi="L")
        np.testing.assert_array_equal(found, inside(low, low + 3))


def test_without_polygons_or_a_display_what_to_do_is_said(study: Path) -> None:
    done = ask(study, "--no-window")
    assert isinstance(done.exception, AnalysisError)
    assert "hemi-L_polygons.json: no such file; expected polygons on the flat map" in str(done.exception)
    plt.switch_backend("agg")
    done = ask(study)
    assert "matplotlib's backend agg, which opens none; expected a display" in str(done.exception)
