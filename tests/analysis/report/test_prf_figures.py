"""Maps of receptive fields: colours that colour-blind readers tell apart, every vertex in its place; sheets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.data.sources import anatomy_path
from analysis.data.surface import save_surface
from analysis.regions.labels import ROIS
from analysis.regions.prf.maps import PrfMaps
from analysis.regions.prf.movies import Movie
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.raster import Canvas, paint
from analysis.report.figures.prf.aperture_sheet import draw_aperture_sheet, draw_frame, thumbnail_size
from analysis.report.figures.prf.field_colors import angle_colors
from analysis.report.figures.prf.maps import PrfHemisphere, draw_prf_inflated, draw_prf_maps, seen_from
from analysis.report.figures.prf.records import _inflated
from analysis.report.figures.style import save
from paradigms.tasks.retinotopy import make_schedule as plan_retinotopy
from subjects.dataset import init_study
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import register
from subjects.provenance import digest_file, sidecar_path
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_json, write_json
from tests.analysis.fabricated import make_labels, make_surface
from tests.analysis.regions.prf_cases import made_fit
from tests.analysis.running_steps import run
from tests.analysis.simulation.test_paradigms import log_schedule
from tests.paradigms.texture_rows import rows

DEUTAN = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
PROTAN = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])
"""Of Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB."""


def as_seen(colors: np.ndarray, cones: np.ndarray) -> np.ndarray:
    """Give CIELAB of sRGB colours as seen with two kinds of cones, by scikit-image."""
    from skimage.color import rgb2lab

    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ cones.T, 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0]


@pytest.mark.parametrize("cones", [np.eye(3), DEUTAN, PROTAN], ids=["usual", "deutan", "protan"])
def test_angles_45_degrees_apart_differ_for_every_reader(cones: np.ndarray) -> None:
    colors = angle_colors()(np.arange(256))[:, :3]
    seen = as_seen(colors, cones)
    for apart in (32, 64, 128):
        assert np.linalg.norm(seen - np.roll(seen, apart, axis=0), axis=1).min() > 12, f"{360 * apart / 256:g} degrees"
    steps = np.linalg.norm(seen - np.roll(seen, 1, axis=0), axis=1)
    assert steps.max() < 4, "no border where there is none in the field: the ends meet"


def test_triangles_are_painted_whole_and_the_last_on_top() -> None:
    """Two triangles make a rectangle without gaps; one over it hides it; one smaller than a pixel is not lost."""
    canvas = Canvas((0.0, 0.0), (10.0, 8.0), step=0.1)
    corners = np.array([[[2, 1], [5, 1], [2, 4]], [[5, 1], [5, 4], [2, 4]], [[3, 2], [4, 2], [3, 3]],
                        [[9.01, 7.01], [9.04, 7.01], [9.01, 7.04]]])
    colors = np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    picture = paint(canvas, corners - 1e-9, colors=colors)
    assert picture.shape == (80, 100, 4)
    painted = np.zeros((80, 100), dtype=bool)
    painted[9:40, 19:50] = True  # those on its left and lower sides too, by a hair
    tiny = np.zeros_like(painted)
    tiny[70, 90] = True
    np.testing.assert_array_equal(picture[..., 3] == 1, painted | tiny)
    x, y = np.meshgrid((np.arange(100) + 0.5) / 10, (np.arange(80) + 0.5) / 10)
    over = (x > 3) & (y > 2) & (x + y < 5.9)
    assert (picture[over] == [0, 0, 1, 1]).all()
    under = painted & ~((x > 2.9) & (y > 1.9) & (x + y < 6.2))
    assert (picture[under] == [1, 0, 0, 1]).all()
    assert picture[70, 90].tolist() == [0, 1, 0, 1]


def hemisphere(hemi: str = "L", **change: object) -> PrfHemisphere:
    surface = make_surface(hemi)
    n, sign = surface.n_vertices, 1 if hemi == "L" else -1
    rng = np.random.default_rng(0)
    fit = made_fit(x=sign * rng.uniform(0.2, 4, n), y=rng.uniform(-4, 4, n), sigma=rng.uniform(0.3, 2, n),
                   exponent=np.full(n, 0.5))
    fit = replace(fit, r2=np.where(np.arange(n) % 5 == 0, 5.0, 50.0))
    maps = PrfMaps(hemi=hemi, fit=fit, r2_cv=np.full(n, np.nan), mean_signal=np.ones(n), field_deg=(12.0, 12.0))
    flat = FlatHemisphere(hemi, surface.flat, surface.faces, make_labels(), {})
    return PrfHemisphere(**{"flat": flat, "maps": maps, "show_r2_pct": 10.0, **change})


def test_a_vertex_is_shown_by_its_own_value_or_not_at_all() -> None:
    one = hemisphere()
    shown, angle = one.values("angle_deg"), one.maps.fit.angle_deg
    hidden = np.arange(len(angle)) % 5 == 0
    assert np.isnan(shown[hidden]).all()
    np.testing.assert_array_equal(shown[~hidden], angle[~hidden])
    np.testing.assert_array_equal(one.values("r2_pct"), one.maps.fit.r2)


def test_between_fitted_vertices_the_nearest_counts_and_silent_ones_stay_empty() -> None:
    one = hemisphere()
    n = one.maps.n_vertices
    some = np.arange(n) % 3 == 0
    table = np.where(some, one.maps.fit.table, np.nan)
    mean = np.ones(n)
    mean[1] = 0
    thinned = replace(one, maps=replace(one.maps, fit=type(one.maps.fit).from_table(table), mean_signal=mean),
                      show_r2_pct=1.0)
    shown = thinned.values("x_deg")
    assert np.isnan(shown[1])
    fitted = np.flatnonzero(some)
    flat = one.flat.flat
    for vertex in (0, 7, 50, 101):
        nearest = np.linalg.norm(flat[fitted] - flat[vertex], axis=1)
        assert shown[vertex] in one.maps.fit.x_deg[fitted[nearest == nearest.min()]]


def test_maps_and_meshes_of_two_subjects_are_refused() -> None:
    one = hemisphere()
    short = replace(one.maps, fit=type(one.maps.fit).from_table(one.maps.fit.table[:, :-1]),
                    r2_cv=one.maps.r2_cv[:-1], mean_signal=one.maps.mean_signal[:-1])
    with pytest.raises(AnalysisError, match="maps and meshes of one subject"):
        hemisphere(maps=short)


def test_maps_are_drawn_the_same_each_time(tmp_path: Path) -> None:
    made = [save(draw_prf_maps([hemisphere("L"), hemisphere("R")], regions=ROIS), tmp_path / str(k), name="prf")
            for k in range(2)]
    assert made[0].png.read_bytes() == made[1].png.read_bytes()
    pixels = np.asarray(Image.open(made[0].png).convert("RGB")).reshape(-1, 3)
    right = (255 * np.array(angle_colors()(0.0)[:3])).round()
    assert (np.abs(pixels - right).max(axis=1) < 40).sum() > 500, "the left hemisphere sees the right"


def test_maps_without_any_fit_are_drawn_empty(tmp_path: Path) -> None:
    one = hemisphere()
    nothing = type(one.maps.fit).from_table(np.full_like(one.maps.fit.table, np.nan))
    empty = replace(one, maps=replace(one.maps, fit=nothing))
    save(draw_prf_maps([empty], regions=ROIS), tmp_path, name="prf")


def test_the_inflated_surface_is_seen_from_its_sides() -> None:
    """The front is on the left of a left hemisphere's lateral view, on the right of its medial one."""
    front, up, right = np.eye(3)[[1, 2, 0]]
    for hemi, side in (("L", -1.0), ("R", 1.0)):
        lateral, medial, behind = (seen_from(np.stack([front, up, right]), hemi=hemi, turn_deg=turn)
                                   for turn in ((-90.0, 0.0), (90.0, 0.0), (0.0, 0.0)))
        np.testing.assert_allclose(lateral[0], [side, 0, 0], atol=1e-12)
        np.testing.assert_allclose(medial[0], [-side, 0, 0], atol=1e-12)
        np.testing.assert_allclose(lateral[2], [0, 0, side], atol=1e-12)
        np.testing.assert_allclose(behind, [[0, 0, -1], [0, 1, 0], [1, 0, 0]], atol=1e-12)
        np.testing.assert_allclose(lateral[1], [0, 1, 0], atol=1e-12)


def test_an_inflated_surface_is_read_and_drawn(tmp_path: Path) -> None:
    surface = make_surface("L")
    path = anatomy_path(Layout(tmp_path), source="fmriprep", sub="01", hemi="L", suffix="inflated.surf.gii")
    assert _inflated(path) == (None, None)
    save_surface(surface, path, flat_path=tmp_path / "flat.surf.gii")
    points, faces = _inflated(path)
    np.testing.assert_array_equal(points, surface.vertices)
    bent = points + np.sin(np.arange(len(points)))[:, None] * np.array([3.0, 0.0, 3.0])
    one = hemisphere(inflated=bent, faces=faces)
    saved = save(draw_prf_inflated([one]), tmp_path, name="inflated")
    assert saved.png.stat().st_size > 5000


def test_a_frame_is_drawn_as_the_subject_sees_it() -> None:
    masks = np.zeros((2, 4, 8), dtype=np.float32)
    masks[0, 0, 7] = 1  # row 0 and the last column: up on the right
    places = np.arange(8) - 3.5, 1.5 - np.arange(4)
    movie = Movie(masks, *places, 2.0, "here")
    assert thumbnail_size(movie) == (72, 36)
    seen = np.asarray(draw_frame(masks[0], movie=movie, size=(72, 36)))
    assert seen[4, 67].tolist() == [0, 114, 178]
    assert seen[4, 4].tolist() == [238, 238, 236]
    assert seen[18, 36, 0] > seen[18, 36, 1] + 100, "a red dot at fixation"
    turned = Movie(masks[:, ::-1, ::-1].copy(), places[0][::-1], places[1][::-1], 2.0, "here")
    np.testing.assert_array_equal(np.asarray(draw_frame(turned.masks[0], movie=turned, size=(72, 36))), seen)


def test_fast_frames_are_drawn_once_a_volume() -> None:
    masks = np.zeros((40, 4, 4), dtype=np.float32)
    masks[30:] = 1
    movie = Movie(masks, np.arange(4.0), -np.arange(4.0), 0.5, "here")
    slow = draw_aperture_sheet(Movie(masks[2::4], movie.x_deg, movie.y_deg, 2.0, ""), title="", tr_s=2.0, lacking="")
    assert draw_aperture_sheet(movie, title="", tr_s=2.0, lacking="").size == slow.size


@pytest.fixture
def mapped(tmp_path: Path) -> tuple[Layout, Settings, RunKey]:
    layout = init_study(Layout(tmp_path / "study"), name="sheets", seed=1)
    settings, key = load_settings(layout.root), RunKey("01", "01", "retinotopy", 1)
    register(layout, "01", virtual=True)
    log_schedule(layout, settings, plan_retinotopy(settings, textures=rows(), key=key))
    return layout, settings, key


def test_every_run_has_a_sheet_and_a_short_movie_is_named(mapped: tuple[Layout, Settings, RunKey]) -> None:
    layout, settings, key = mapped
    done = run("apertures", layout, settings)
    (path,) = done.works[0].outputs
    assert path.name == "sub-01_ses-01_task-retinotopy_run-1_apertures.png"
    with Image.open(path) as sheet:
        assert sheet.width > 1000
    assert done.summary() == "apertures of sub-01, 1 runs"
    assert run("apertures", layout, settings).all_reused
    npz = layout.derivative("apertures", sub="01", suffix="apertures.npz", ses="01", task="retinotopy", run=1)
    with np.load(npz) as file:
        arrays = dict(file)
    np.savez(npz, **{**arrays, "masks": arrays["masks"][:-30]})
    with pytest.raises(AnalysisError, match="changed after they were exported"):
        run("apertures", layout, settings)
    beside = sidecar_path(npz)
    as_exported = {**read_json(beside), "digest": digest_file(npz)}  # as if the movie itself had been too short
    write_json(beside, as_exported, overwrite=True)
    for _ in range(2):
        assert run("apertures", layout, settings).summary() == (
            f"apertures of sub-01, 1 runs; TOO SHORT: {key}: a movie of 240 s for a run of 300 s")
