"""Fields, localizers and the atlas on meshes of a few vertices: plain loops, mirrors, and what must not matter."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from analysis.data.surface import Surface
from analysis.regions.drawing.atlas import atlas_folder, read_atlas
from analysis.simulation.brain import atlas
from analysis.simulation.brain.fields import (
    AREAS,
    EXPONENTS,
    GAINS,
    SIZE_SLOPES,
    FieldMap,
    Fields,
    drive,
    eccentricity,
    size_fields,
)
from analysis.simulation.brain.localizers import RESPONSES, localizer_responses, neural_blocks
from subjects.errors import AnalysisError


def place_of(*areas: int, motion: tuple[int, ...] = ()) -> FieldMap:
    n = len(areas)
    x, y = (np.where(np.array(areas) > 0, np.linspace(a, b, n), np.nan) for a, b in ((0.5, 6.0), (-3.0, 3.0)))
    return FieldMap(np.array(areas, dtype=np.int16), np.isin(np.arange(n), motion), x, y)


def fields_of(n: int = 7, *, seed: int = 0) -> Fields:
    rng = np.random.default_rng(seed)
    return Fields(rng.uniform(-4, 4, n), rng.uniform(-4, 4, n), rng.uniform(0.5, 2, n), rng.uniform(0.2, 1, n),
                  np.ones(n))


X = np.linspace(-6, 6, 25)
MASKS = (np.random.default_rng(1).random((4, 25, 25)) < 0.5).astype(np.float32)


def test_drive_is_a_loop_over_points_of_the_grid() -> None:
    fields = fields_of()
    found = drive(fields, MASKS, x_deg=X, y_deg=-X)
    for frame, mask in enumerate(MASKS):
        for v in range(7):
            total = 0.0
            for row, column in zip(*np.nonzero(mask), strict=True):
                away = (X[column] - fields.x_deg[v]) ** 2 + (-X[row] - fields.y_deg[v]) ** 2
                total += np.exp(-away / (2 * fields.sigma_deg[v] ** 2)) * 0.25 / (2 * np.pi * fields.sigma_deg[v] ** 2)
            assert found[frame, v] == pytest.approx(min(total, 1.0) ** fields.exponent[v], rel=1e-4)


def test_a_mirrored_movie_drives_mirrored_fields_alike() -> None:
    fields = fields_of()
    mirrored = Fields(-fields.x_deg, fields.y_deg, fields.sigma_deg, fields.exponent, fields.gain_pct)
    upright = drive(fields, MASKS, x_deg=X, y_deg=-X)
    np.testing.assert_allclose(drive(mirrored, MASKS[:, :, ::-1], x_deg=X, y_deg=-X), upright, rtol=1e-5)
    np.testing.assert_allclose(drive(fields, MASKS[:, ::-1], x_deg=X, y_deg=X), upright, rtol=1e-5)


def test_drive_grows_with_the_aperture_and_halves_add_up_without_compression() -> None:
    fields = fields_of()
    linear = Fields(fields.x_deg, fields.y_deg, fields.sigma_deg, np.ones(7), fields.gain_pct)
    whole = np.ones((1, 25, 25), np.float32)
    parts = np.stack([MASKS[0], 1 - MASKS[0]])
    both = drive(linear, parts, x_deg=X, y_deg=-X)
    np.testing.assert_allclose(both.sum(axis=0), drive(linear, whole, x_deg=X, y_deg=-X)[0], atol=2e-3)
    assert (drive(fields, parts, x_deg=X, y_deg=-X) <= drive(fields, whole, x_deg=X, y_deg=-X) + 1e-6).all()


def test_frames_and_vertices_do_not_know_one_another() -> None:
    """More vertices than one block holds, in another order, and frame by frame."""
    fields = fields_of(1100)
    found = drive(fields, MASKS, x_deg=X, y_deg=-X)
    order = np.random.default_rng(2).permutation(1100)
    turned = Fields(*(one[order] for one in (fields.x_deg, fields.y_deg, fields.sigma_deg, fields.exponent,
                                             fields.gain_pct)))
    np.testing.assert_allclose(drive(turned, MASKS, x_deg=X, y_deg=-X), found[:, order], rtol=1e-5)
    for frame, mask in enumerate(MASKS):
        np.testing.assert_allclose(drive(fields, mask[None], x_deg=X, y_deg=-X)[0], found[frame], rtol=1e-4, atol=1e-5)


def test_nothing_uncovered_drives_nothing() -> None:
    found = drive(fields_of(), np.zeros((3, 25, 25), np.float32), x_deg=X, y_deg=-X)
    assert found.shape == (3, 7)
    assert not found.any()


def test_magnification_integrates_to_the_distance_on_cortex() -> None:
    """The step in mm that one degree more takes is 17.3 / (E + 0.75)."""
    along = np.linspace(0.1, 60, 400)
    degrees = eccentricity(along)
    np.testing.assert_allclose(1 / np.gradient(degrees, along)[1:-1], 17.3 / (degrees[1:-1] + 0.75), rtol=1e-3)
    np.testing.assert_array_equal(eccentricity(-along), degrees)


def test_sizes_and_gains_are_those_of_a_loop_over_vertices() -> None:
    place, maps = place_of(1, 2, 3, 4, 5, 6, 0), np.random.default_rng(3).standard_normal((4, 7)).astype(np.float32)
    found = size_fields(place, gain_pct=1.5, maps=maps)
    for v, name in enumerate(AREAS):
        size = (0.25 + SIZE_SLOPES[name] * np.hypot(place.x_deg[v], place.y_deg[v])) * np.exp(0.15 * maps[2, v])
        assert found.size_deg[v] == pytest.approx(size)
        assert found.sigma_deg[v] == pytest.approx(size * np.sqrt(EXPONENTS[name]))
        assert found.gain_pct[v] == pytest.approx(1.5 * GAINS[name] * max(1 + 0.25 * maps[3, v], 0.2))
        assert found.x_deg[v] == pytest.approx(place.x_deg[v] + 0.2 * size * maps[0, v])
        assert found.y_deg[v] == pytest.approx(place.y_deg[v] + 0.2 * size * maps[1, v])
    assert all(np.isnan(one[6]) for one in (found.x_deg, found.y_deg, found.sigma_deg, found.exponent, found.gain_pct))


def test_no_gain_is_below_a_fifth_of_its_areas() -> None:
    found = size_fields(place_of(1, 1), gain_pct=2.0, maps=np.full((4, 2), -40, np.float32))
    assert found.gain_pct == pytest.approx(2.0 * 0.2)


def test_responses_to_localizers_are_a_loop_over_vertices_and_follow_the_mean() -> None:
    place = place_of(0, 1, 2, 3, 4, 5, 5, 6, 0, motion=(6, 7))
    mean = np.random.default_rng(4).uniform(0.5, 2, 9).astype(np.float32)
    found, doubled = (localizer_responses(place, mean_pct=size * mean) for size in (1, 2))
    for condition, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(doubled[condition], 2 * values)
        for v, area in enumerate(place.areas):
            dots = condition in ("static", "moving")
            name = "hMT+" if dots and place.motion[v] else AREAS[area - 1] if area else None
            assert values[v] == pytest.approx(mean[v] * RESPONSES[name][condition] if name else 0)


def pictures(*rows: tuple[float, float, str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["onset", "duration", "trial_type", "image_id"])


def test_blocks_do_not_depend_on_the_order_of_rows_nor_on_rows_of_other_kinds() -> None:
    rows = [(0.8 * k, 0.3, "intact" if k < 10 else "scrambled", f"px-{k}") for k in range(20)]
    alone = neural_blocks(pictures(*rows))
    order = np.random.default_rng(5).permutation(20)
    among = neural_blocks(pictures(*(rows[k] for k in order), (3.0, 0.0, "response", None), (30.0, 9.0, "blank", None)))
    assert alone[0] == among[0] == ["intact", "scrambled"]
    for one, two in zip(alone[1:], among[1:], strict=True):
        np.testing.assert_array_equal(one, two)
    assert (alone[1] + alone[2]) == pytest.approx([8.0, 19 * 0.8 + 0.8])


def test_a_gap_parts_a_block_and_a_late_clock_moves_it() -> None:
    rows = [(0.0, 0.3, "intact", "a"), (0.8, 0.3, "intact", "b"), (1.8, 0.3, "intact", "c")]
    conditions, onsets, durations = neural_blocks(pictures(*rows))
    assert conditions == ["intact", "intact"]
    assert onsets.tolist() == [0.0, 1.8]
    assert durations == pytest.approx([1.6, 0.8])
    later = neural_blocks(pictures(*((onset + 5, *rest) for onset, *rest in rows)))
    assert later[1] == pytest.approx(onsets + 5)
    assert later[2] == pytest.approx(durations)
    empty = neural_blocks(pictures((0.0, 1.0, "blank", None)))
    assert (empty[0], len(empty[1]), len(empty[2])) == ([], 0, 0)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed neuropythy whose atlas is yet to be written."""
    folder = tmp_path / "neuropythy" / "lib" / "data" / "fsaverage" / "surf"
    folder.mkdir(parents=True)
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path / "neuropythy")])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: found)
    return folder


def write_atlas(folder: Path, *, side: str = "lh", **values: list[float]) -> None:
    for name, one in values.items():
        whole = np.array(one, dtype=np.float32)[:, None, None]
        nib.save(nib.freesurfer.MGHImage(whole, np.eye(4)), folder / f"{side}.benson14_{name}.v4_0.mgz")


def strip(hemi: str, *, n: int = 5) -> Surface:
    """Two rows of vertices 10 mm apart."""
    flat = np.array([(10.0 * k, 10.0 * row) for row in range(2) for k in range(n)], dtype=np.float32)
    faces = [(k, k + 1, k + n) for k in range(n - 1)] + [(k + 1, k + n + 1, k + n) for k in range(n - 1)]
    return Surface(hemi, np.column_stack([flat, np.zeros(2 * n, np.float32)]), np.array(faces, dtype=np.int32), flat)


VALUES = {"varea": [1, 2, 7, 9, 0, 1, 3, 8, 10, 5], "angle": [0, 45, 90, 135, 0, 180, 30, 60, 90, 10],
          "eccen": [1, 2, 3, 4, 0, 5, 6, 7, 8, 9]}


@pytest.mark.parametrize(("hemi", "side"), [("L", 1.0), ("R", -1.0)])
def test_the_atlas_on_its_own_vertices_is_itself(installed: Path, hemi: str, side: float) -> None:
    """Numbers 7 and 8 are LO, 9 and 10 hMT+; angle 0 is up, 90 at the side that the hemisphere sees."""
    write_atlas(installed, side="lh" if hemi == "L" else "rh", **VALUES)
    patch = strip(hemi)
    found = atlas.benson_map(patch, coarse=patch, vertices=np.arange(10))
    names = [AREAS[k - 1] if k else "" for k in found.areas]
    assert names == ["V1", "V2", "LO", "hMT+", "", "V1", "V3", "LO", "hMT+", ""]
    for v, name in enumerate(names):
        turn = np.radians(VALUES["angle"][v])
        expected = (side * VALUES["eccen"][v] * np.sin(turn), VALUES["eccen"][v] * np.cos(turn))
        assert (found.x_deg[v], found.y_deg[v]) == pytest.approx(expected if name else (np.nan,) * 2, abs=1e-4,
                                                                 nan_ok=True)
    np.testing.assert_array_equal(found.motion, [name == "hMT+" for name in names])


def test_what_of_lo_is_near_the_motion_area_is_its_too_and_v1_is_not(installed: Path) -> None:
    write_atlas(installed, **{**VALUES, "varea": [7, 7, 9, 1, 0, 7, 7, 9, 1, 0]})
    coarse = strip("L")
    near = coarse.flat.copy()
    near[[1, 2, 6, 7, 8], 0] = [14.5, 18.0, 13.9, 22.0, 25.5]
    patch = Surface("L", coarse.vertices, coarse.faces, near)
    found = atlas.benson_map(patch, coarse=coarse, vertices=np.arange(10))
    close = [bool(min(np.hypot(*(near[v] - near[k])) for k in np.flatnonzero(found.areas == 6)) <= 4.0)
             for v in range(10)]
    expected = [area == 6 or (area == 5 and near_by) for area, near_by in zip(found.areas, close, strict=True)]
    assert found.motion.tolist() == expected
    assert found.areas.tolist() == [5, 5, 6, 1, 0, 5, 5, 6, 1, 0]
    assert np.flatnonzero(close).tolist() == [1, 2, 7, 8]


def test_without_a_motion_area_nothing_is_one(installed: Path) -> None:
    write_atlas(installed, **{**VALUES, "varea": [1, 2, 7, 7, 0, 1, 3, 8, 8, 0]})
    assert not atlas.benson_map(strip("L"), coarse=strip("L"), vertices=np.arange(10)).motion.any()


def test_a_package_without_the_files_is_said_by_what_it_lacks(installed: Path) -> None:
    write_atlas(installed, varea=[1.0], angle=[1.0])
    with pytest.raises(AnalysisError, match=r"lh\.benson14_eccen.*no such file; expected .* neuropythy 0\.12 or newer"):
        read_atlas("L")
    for path in installed.iterdir():
        path.unlink()
    installed.rmdir()
    with pytest.raises(AnalysisError, match="a neuropythy without the atlas's files"):
        atlas_folder()
