"""Fig. 4: what is drawn of searchlight maps, and that a report shows those of today's files or none."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.searchlight import (
    SearchlightHemisphere,
    draw_searchlight,
    plan_searchlights,
    read_searchlight,
    say_significant,
)
from subjects.errors import AnalysisError
from subjects.settings.loading import load_settings
from tests.analysis.fabricated import make_study
from tests.analysis.running_steps import ask, run


def hemisphere(hemi: str, *, ai: float, an: float) -> SearchlightHemisphere:
    """Give 20 x 20 mm, V1 on the left half; one value everywhere, and none of AN above 15 mm."""
    rows, columns = (one.ravel() for one in np.mgrid[:11, :11])
    corner = np.arange(121).reshape(11, 11)[:-1, :-1].ravel()
    faces = np.concatenate([np.stack([corner, corner + 1, corner + 11], axis=1),
                            np.stack([corner + 1, corner + 12, corner + 11], axis=1)])
    flat = FlatHemisphere(hemi, 2.0 * np.stack([columns, rows], axis=1), faces, (columns <= 5).astype(int), {})
    rho = {"AI": np.full(121, ai, dtype=np.float32), "AN": np.full(121, an, dtype=np.float32)}
    rho["AN"][rows > 7] = np.nan
    return SearchlightHemisphere(flat, rho)


def colour_at(axes: object, x: float, y: float) -> np.ndarray:
    (image,) = axes.images  # type: ignore[attr-defined]
    left, right, low, high = image.get_extent()
    pixels = image.get_array()
    row, column = (y - low) / (high - low) * len(pixels), (x - left) / (right - left) * pixels.shape[1]
    return np.asarray(pixels[int(row), int(column), :3])


def test_similar_is_red_dissimilar_blue_and_no_value_grey_on_one_scale() -> None:
    figure = draw_searchlight([hemisphere("L", ai=0.4, an=-0.4), hemisphere("R", ai=0.2, an=0.0)], regions=("V1",))
    left_ai, right_ai, left_an, right_an = figure.axes[:4]
    red, paler, blue, none = (colour_at(axes, 5, 5) for axes in (left_ai, right_ai, left_an, right_an))
    assert red[0] > red[2] + 0.2
    assert blue[2] > blue[0] + 0.2
    assert red[1] < paler[1], "the right hemisphere is paler on the same scale"
    assert np.ptp(none) < 0.03, "0 is white"
    assert np.ptp(colour_at(left_an, 5, 18)) < 0.05, "no value is grey"
    assert colour_at(left_an, 5, 18).max() < 0.9
    assert [axes.get_title(loc="left") for axes in figure.axes[:4]] == [
        "RE-AI, left hemisphere", "RE-AI, right hemisphere", "RE-AN, left hemisphere", "RE-AN, right hemisphere"]


def test_the_border_between_regions_is_drawn() -> None:
    figure = draw_searchlight([hemisphere("L", ai=0.4, an=0.0)], regions=("V1",))
    (border,) = (line for line in figure.axes[0].lines if line.get_label() == "borders")
    points = np.asarray(border.get_xydata())
    ends = points[~np.isnan(points).any(axis=1)]
    assert len(ends) == 2 * (10 + 9), "a slanting side in each of 10 rows, a level one between each two"
    assert ends[:, 0].min() >= 10
    assert ends[:, 0].max() <= 12


def test_what_is_significant_is_outlined_and_counted() -> None:
    """p below .05 in the 3 x 3 vertices at the corner: the outline is the side of the triangles of these vertices."""
    one = hemisphere("L", ai=0.4, an=0.0)
    p = np.ones(121, dtype=np.float32)
    p.reshape(11, 11)[:3, :3] = 0.049
    p[60], p[61] = 0.05, np.nan
    tested = SearchlightHemisphere(one.flat, one.rho, {"AI": p, "AN": np.ones_like(p)})
    figure = draw_searchlight([tested], regions=("V1",))
    above, below = ([line for line in axes.lines if line.get_label() == "outline"] for axes in figure.axes[:2])
    points = np.asarray(above[0].get_xydata())
    ends = points[~np.isnan(points).any(axis=1)]
    assert len(ends) > 8
    assert ends.min() >= 0
    assert 4 <= ends.max() <= 6, "2 mm between vertices"
    assert not len(np.asarray(below[0].get_xydata()))
    said = say_significant([tested, tested], n_permutations=1000)
    assert "(18 vertices of RE-AI, 0 vertices of RE-AN)" in said
    assert "1000 permutations" in said
    assert not [line for line in draw_searchlight([one], regions=("V1",)).axes[0].lines
                if line.get_label() == "outline"]


def test_maps_of_another_mesh_are_refused() -> None:
    one = hemisphere("L", ai=0.4, an=0.0)
    with pytest.raises(AnalysisError, match="3 values for 121 vertices"):
        SearchlightHemisphere(one.flat, {"AI": one.rho["AI"][:3], "AN": one.rho["AN"]})


def test_a_report_shows_maps_of_todays_settings_or_none(tmp_path) -> None:
    layout, settings = make_study(tmp_path / "study")
    assert plan_searchlights(ask(layout, settings)) == {}
    run("searchlight", layout, settings)
    (work,) = plan_searchlights(ask(layout, settings)).values()
    flats = [FlatHemisphere(hemi, np.zeros((300, 2)), np.array([[0, 1, 2]]), np.zeros(300, dtype=int), {})
             for hemi in "LR"]
    found = read_searchlight(work, flat=flats)
    assert np.nanmedian(found[0].rho["AI"]) > 0.3
    assert found[0].p == {}
    asked = load_settings(layout.root, overrides={"rsa.searchlight_permutations": 39})
    run("searchlight", layout, asked)
    (work,) = plan_searchlights(ask(layout, asked)).values()
    tested = read_searchlight(work, flat=flats)
    assert set(tested[0].p) == {"AI", "AN"}
    assert tested[0].significant("AI").any(), "40 draws with one's own reach p = .025"
    other = load_settings(layout.root, overrides={"roi.radius_mm": 4.0})
    with pytest.raises(AnalysisError, match="searchlight maps of other files or settings.*analysis searchlight"):
        plan_searchlights(ask(layout, other))
