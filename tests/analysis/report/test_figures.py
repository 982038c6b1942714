"""The figures show the tables: every bar, line, marker and dot is read back from the drawing."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import spearmanr

from analysis.report.figures.brain_rsa import draw_brain_rsa, say_no_ceiling
from analysis.report.figures.cortex.flatmap import FlatHemisphere, draw_flatmap, face_labels, widest_place
from analysis.report.figures.encoding.accuracies import bar_places, draw_encoding
from analysis.report.figures.encoding.best_layers import draw_hierarchy
from analysis.report.figures.network_rsa import draw_network_rsa
from analysis.report.figures.rdms import RdmRow, draw_pairs, draw_rdm_rows, draw_rdms, percentiles
from analysis.report.figures.side_by_side import draw_side_by_side
from analysis.report.figures.stimuli import Shown, draw_stimuli
from analysis.report.figures.style import COLORS, PAPER, RULE, save, shades
from analysis.report.figures.timing import RunTiming, draw_timing, summary
from analysis.report.wording import say_number
from analysis.rsa.rdm import compute_rdm
from subjects.errors import AnalysisError
from tests.analysis.paper_tables import (
    LAYERS,
    REGIONS,
    brain_table,
    changed,
    encoding_table,
    hierarchy_table,
    network_table,
)


def _bars(axes: Axes, name: str) -> list[float]:
    (container,) = [one for one in axes.containers if one.get_label() == name]
    return [bar.get_height() for bar in container]


def _faces(axes: Axes, name: str) -> list[tuple[float, ...]]:
    (container,) = [one for one in axes.containers if one.get_label() == name]
    return [bar.get_facecolor() for bar in container]


def _intervals(axes: Axes, name: str) -> list[list[float]]:
    (lines,) = [one for one in axes.collections if isinstance(one, LineCollection) and one.get_label() == name]
    return [[segment[0][1], segment[1][1]] for segment in lines.get_segments()]


def _words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def _rows(table: pd.DataFrame, **where: str) -> pd.DataFrame:
    return table[np.logical_and.reduce([table[name] == value for name, value in where.items()])]


@pytest.mark.parametrize("kind", ["AI", "AN"])
def test_brain_bars_and_intervals_are_the_tables(kind: str) -> None:
    table = brain_table()
    figure = draw_brain_rsa(table)
    for axes, sub in zip(figure.axes, ("01", "02", "03"), strict=True):
        rows = _rows(table, sub=sub, comparison=f"RE-{kind}")
        assert axes.get_title(loc="left") == f"Subject {sub}"
        assert [label.get_text() for label in axes.get_xticklabels()] == list(REGIONS)
        assert _bars(axes, f"RE-{kind}") == rows["effect"].tolist()
        assert _intervals(axes, f"RE-{kind} interval") == rows[["low", "high"]].to_numpy().tolist()


def test_brain_asterisks_stand_over_the_significant_bars_only() -> None:
    table = changed(brain_table(), {"sub": "02", "place": "V3", "comparison": "RE-AN"}, p=0.049)
    table = changed(table, {"sub": "03", "place": "LO", "comparison": "RE-AI"}, p=0.05)
    figure = draw_brain_rsa(table)
    stars = [[text.xy for text in axes.texts if text.get_text() == "*"] for axes in figure.axes]
    assert [len(found) for found in stars] == [5, 6, 4]
    effect = _rows(table, sub="02", place="V3", comparison="RE-AN")["high"].item()
    assert any(x == pytest.approx(2.19) and y == effect for x, y in stars[1])


def test_a_difference_that_is_not_significant_is_muted() -> None:
    table = changed(brain_table(("01",)), {"place": "V2", "comparison": "RE-AI minus RE-AN"}, p=0.2)
    axes = draw_brain_rsa(table).axes[0]
    colors = {text.get_text(): text.get_color() for text in axes.texts}
    assert [text.get_text() for text in axes.texts if text.get_text().startswith(".")] == [
        ".002", ".200", ".002", ".002", ".002"]
    assert colors[".200"] != colors[".002"]


def test_the_ceiling_is_drawn_where_there_is_one() -> None:
    table = changed(brain_table(("01",)), {"place": "V4"}, ceiling_low=np.nan, ceiling_high=np.nan)
    bands = {patch.get_label(): (patch.get_y(), patch.get_height()) for patch in draw_brain_rsa(table).axes[0].patches
             if patch.get_label().startswith("noise ceiling")}
    assert set(bands) == {f"noise ceiling {roi}" for roi in REGIONS if roi != "V4"}
    row = _rows(table, place="V1", comparison="RE-AI").iloc[0]
    assert bands["noise ceiling V1"] == pytest.approx((row["ceiling_low"], row["ceiling_high"] - row["ceiling_low"]))
    bare = changed(table, {"sub": "01"}, ceiling_low=np.nan, ceiling_high=np.nan)
    assert "noise ceiling" not in _words(draw_brain_rsa(bare))


def test_negative_bars_stay_inside_the_panel() -> None:
    table = changed(brain_table(), {"sub": "02", "place": "V3", "comparison": "RE-AN"}, effect=-0.4,
                    low=-0.45, high=-0.3)
    for axes in draw_brain_rsa(table).axes:
        low, high = axes.get_ylim()
        assert low < -0.45
        assert high > table["ceiling_high"].max()


def test_five_subjects_take_two_rows() -> None:
    figure = draw_brain_rsa(brain_table(("01", "02", "03", "04", "05")))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [*(f"Subject 0{k}" for k in range(1, 6)), ""]


@pytest.mark.parametrize("kind", ["AI", "AN"])
def test_network_lines_are_the_tables(kind: str) -> None:
    table = network_table()
    axes = draw_network_rsa(table, network="demo").axes[0]
    rows = _rows(table, comparison=f"RE-{kind}")
    (line,) = [one for one in axes.lines if one.get_label() == f"RE-{kind}"]
    assert list(line.get_ydata()) == rows["effect"].tolist()
    assert np.round(line.get_xdata()).tolist() == list(range(1, 9))
    assert _intervals(axes, f"RE-{kind} interval") == rows[["low", "high"]].to_numpy().tolist()
    filled = [to_rgba(one.get_markerfacecolor()) != to_rgba(PAPER) for one in axes.lines
              if one.get_label() == "_marker" and one.get_color() == COLORS[kind]]
    assert filled == (rows["p"] < 0.05).tolist()


def test_network_trends_are_said_at_the_lines() -> None:
    table = changed(network_table(), {"comparison": "trend RE-AI"}, effect=-0.714, p=0.0141)
    words = _words(draw_network_rsa(table, network="demo"))
    assert "trend τ = −0.71\np = .014" in words
    assert "trend τ = 1.00\np < .001" in words
    assert ".375" in words


@pytest.mark.parametrize("gap", [0.0, 0.02, 0.5])
def test_names_of_lines_never_overlap(gap: float) -> None:
    table = changed(network_table(), {"place": "layer8", "comparison": "RE-AN"}, effect=0.22 + gap)
    axes = draw_network_rsa(table, network="demo").axes[0]
    places = [text.xy[1] for text in axes.texts if text.get_text() in ("RE-AI", "RE-AN")]
    low, high = axes.get_ylim()
    assert abs(places[0] - places[1]) >= 0.16 * (high - low)


def test_encoding_bars_are_the_tables() -> None:
    table = encoding_table()
    figure = draw_encoding(table)
    for axes, sub in zip(figure.axes[1:], ("01", "02", "03"), strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == list(REGIONS)
        for roi in REGIONS:
            for kind in ("AI", "AN"):
                rows = _rows(table, sub=sub, roi=roi, type=kind).set_index("layer").loc[list(LAYERS)]
                assert _bars(axes, f"{roi} {kind}") == rows["effect"].tolist()
                assert _intervals(axes, f"{roi} {kind} interval") == rows[["low", "high"]].to_numpy().tolist()


def test_encoding_bars_are_open_where_not_significant() -> None:
    table = changed(encoding_table(("01",)), {"roi": "LO", "layer": "layer8", "type": "AI"}, p=0.11)
    axes = draw_encoding(table).axes[1]
    assert _faces(axes, "LO AI")[-1] == to_rgba(PAPER)
    assert _faces(axes, "LO AI")[:-1] == [to_rgba(color) for color in shades("AI", 8)[:-1]]
    assert _faces(axes, "V1 AN") == [to_rgba(PAPER)] * 8


def test_held_out_re_is_drawn_across_the_bars_dark_where_significant() -> None:
    table = changed(encoding_table(("01",)), {"roi": "V2", "layer": "layer3", "type": "RE"}, p=0.4)
    axes = draw_encoding(table).axes[1]
    rows = _rows(table, sub="01", roi="V2", type="RE").set_index("layer").loc[list(LAYERS)]
    for kind in ("AI", "AN"):
        dashes = next(one for one in axes.collections if one.get_label() == f"V2 {kind} RE")
        assert [float(line[0, 1]) for line in dashes.get_segments()] == rows["effect"].tolist()
        assert [tuple(color) for color in dashes.get_colors()] == [
            to_rgba(RULE if k == 2 else COLORS["RE"]) for k in range(8)]


def test_the_logits_have_a_hatched_bar_of_their_own() -> None:
    table = encoding_table(("01",))
    logits = table[table["layer"] == "layer8"].assign(layer="layer8 by logits", effect=0.33, low=0.3, high=0.4)
    axes = draw_encoding(pd.concat([table, logits], ignore_index=True)).axes[1]
    assert _bars(axes, "LO AI by logits") == [0.33]
    assert _bars(axes, "LO AI") == _rows(table, sub="01", roi="LO", type="AI")["effect"].tolist()
    places = bar_places(5, n_layers=8, logits=True)
    flat = sorted(x for kind in places.values() for roi in kind for x in roi)
    assert len(flat) == 90
    assert min(np.diff(flat)) > 0.99


def test_bars_never_share_a_place() -> None:
    places = bar_places(5, n_layers=8)
    flat = sorted(x for kind in places.values() for roi in kind for x in roi)
    assert len(flat) == 80
    assert min(np.diff(flat)) >= 1


def test_shades_run_from_light_to_dark_and_warm_is_not_cool() -> None:
    for kind in ("AI", "AN"):
        lightness = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b, _ in shades(kind, 8)]
        assert lightness == sorted(lightness, reverse=True)
    assert all(r > b for r, _, b, _ in shades("AI", 8))
    assert all(b > r for r, _, b, _ in shades("AN", 8))


def _hemisphere(hemi: str = "L", **changes: object) -> FlatHemisphere:
    y, x = np.divmod(np.arange(60), 10)
    corner = np.flatnonzero((x < 9) & (y < 5))
    faces = np.concatenate([np.stack([corner, corner + 1, corner + 10], 1),
                            np.stack([corner + 1, corner + 11, corner + 10], 1)])
    values: dict[str, object] = {"flat": np.stack([x, y], 1).astype(np.float32), "faces": faces, "labels": x // 2 + 1,
                                 "selected": {roi: np.flatnonzero(x == 2 * k)[:3] for k, roi in enumerate(REGIONS)}}
    return FlatHemisphere(hemi, **{**values, **changes})  # type: ignore[arg-type]


def test_the_flat_map_shows_the_selected_vertices_where_they_are() -> None:
    left, right = _hemisphere("L"), _hemisphere("R")
    figure = draw_flatmap([left, right], regions=REGIONS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Left hemisphere", "Right hemisphere"]
    for axes, one in zip(figure.axes, (left, right), strict=True):
        dots = {found.get_label(): found.get_offsets() for found in axes.collections}
        for roi in REGIONS:
            assert np.array_equal(dots[f"{roi} selected"], one.flat[one.selected[roi]])
    assert set(REGIONS) <= set(_words(figure))
    assert "10 mm" in _words(figure)


def test_faces_take_the_label_of_two_corners() -> None:
    found = face_labels(np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3]]), np.array([1, 1, 2, 0]))
    assert found.tolist() == [1, 1, 0]


def test_a_name_stands_where_its_region_is_widest() -> None:
    labels = np.where(np.arange(60) % 10 < 5, 1, 2)
    labels[:10] = 2  # the top row: so region 1 is 5 wide and 5 high, with the rim on two sides
    x, y = widest_place(_hemisphere(labels=labels), label=1)
    assert (x, y) in {(2.0, 3.0), (2.0, 2.0), (3.0, 3.0), (3.0, 2.0)}


@pytest.mark.parametrize(("changes", "said"), [
    ({"labels": np.zeros(59, dtype=int)}, "59 labels for 60 vertices"),
    ({"selected": {"V1": np.array([60])}}, "vertex 60 of 60"),
])
def test_a_flat_map_must_fit_its_mesh(changes: dict[str, object], said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        _hemisphere(**changes)


def test_rdms_show_percentile_ranks_in_one_order() -> None:
    rng = np.random.default_rng(3)
    labels = ("dogs-01", "dogs-02", "cars-01", "cars-02")
    patterns = rng.normal(size=(4, 30))
    rdms = {"RE": compute_rdm(patterns, labels=labels), "AN": compute_rdm(rng.normal(size=(4, 30)), labels=labels),
            "AI": compute_rdm(patterns[::-1], labels=labels[::-1])}
    figure = draw_rdms(rdms, statistics=_rows(brain_table(("01",)), place="V1"))
    shown = [axes.images[0].get_array() for axes in figure.axes[:3]]
    assert np.array_equal(np.ma.filled(shown[0], -1), np.ma.filled(shown[2], -1)), "AI is RE in another order"
    values = rdms["RE"].square()[np.triu_indices(4, 1)]
    assert np.argsort(np.ma.getdata(shown[0])[np.triu_indices(4, 1)]).tolist() == np.argsort(values).tolist()
    assert {0.0, 100.0} <= set(np.ma.getdata(shown[0])[np.triu_indices(4, 1)])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["dogs", "cars"]
    assert "with RE: ρ = 0.55, p < .001" in _words(figure)


def test_percentiles_of_tied_pairs_are_shared() -> None:
    rdm = compute_rdm([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], labels=("a", "b", "c"), measure="euclidean")
    found = percentiles(rdm)
    assert found[0, 1] == found[0, 2] == 25.0
    assert found[1, 2] == 100.0


def test_the_strip_shows_the_pixels_and_the_verdicts() -> None:
    rng = np.random.default_rng(0)
    triplets = [[Shown(kind, rng.integers(0, 255, (9, 9, 3), dtype=np.uint8), f"{kind} seen {k}", 0.9912)
                 for kind in ("RE", "AN", "AI")] for k in range(2)]
    figure = draw_stimuli(triplets)
    for k, axes in enumerate(figure.axes):
        row, column = divmod(k, 2)
        assert np.array_equal(axes.images[0].get_array(), triplets[column][row].pixels)
        assert axes.get_xlabel() == f"{triplets[column][row].verdict}  P .991"


def test_timing_shows_every_onset_error_in_ms() -> None:
    errors = np.array([0.001, -0.002, 0.012])
    run = RunTiming("ses-01 run-1", errors, 278, 278, complete=True)
    cut = RunTiming("ses-01 run-2", errors[:1], 12, 278, complete=False)
    axes = draw_timing([run, cut], frame_s=1 / 120).axes[0]
    dots = {found.get_label(): found for found in axes.collections}
    assert np.allclose(dots["ses-01 run-1"].get_offsets()[:, 0], 1e3 * errors)
    late = [tuple(color[:3]) == to_rgba(COLORS["AI"])[:3] for color in dots["ses-01 run-1"].get_facecolors()]
    assert late == [False, False, True]
    assert axes.get_xlim()[1] > 12
    assert summary(cut) == ("1.0 ms, 1.0 ms", "12/278   incomplete")
    columns = {text.get_text(): text.xyann[0] for text in axes.texts}
    assert columns["|error|: median, 99 %"] == columns["1.0 ms, 1.0 ms"]
    assert columns["pulses/volumes"] == columns["12/278   incomplete"] == columns["278/278"]


def test_a_run_without_images_or_pulses_can_be_drawn() -> None:
    run = RunTiming("ses-01 run-1", np.empty(0), None, None, complete=False)
    draw_timing([run], frame_s=1 / 120)
    assert summary(run) == ("–, –", "–/–   incomplete")


def test_a_figure_is_saved_twice_and_the_same_every_time(tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        saved = save(draw_network_rsa(network_table(), network="demo"), tmp_path / name, name="network")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in (saved.png, saved.svg)])
        with Image.open(saved.png) as image:
            assert image.size == (1120, 640)  # 5.6 x 3.2 inches at 200 dpi
        assert "<svg" in saved.svg.read_text(encoding="utf-8")
        assert not re.search(r"<dc:date>", saved.svg.read_text(encoding="utf-8"))
    assert digests[0] == digests[1]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["network.png", "network.svg"]


def test_the_callers_style_does_not_leak_in_or_out() -> None:
    with mpl.rc_context({"font.size": 33.0, "axes.spines.top": True}):
        axes = draw_network_rsa(network_table(), network="demo").axes[0]
        assert mpl.rcParams["font.size"] == 33.0
        assert not axes.spines["top"].get_visible()
        assert axes.yaxis.label.get_size() == 8.0


def test_images_network_and_brain_stand_on_one_axis() -> None:
    low = pd.DataFrame([{"place": place, "comparison": f"RE-{kind}", "effect": effect, "p": p}
                        for place, kind, effect, p in (("pixels", "AI", 0.95, 0.001), ("pixels", "AN", -0.1, 0.6),
                                                       ("Gabor", "AI", 0.9, 0.001), ("Gabor", "AN", 0.2, 0.04))])
    axes = draw_side_by_side(low, network_table(), brain_table(), name="demo").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["pixels", "Gabor", *map(str, range(1, 9)),
                                                                      *REGIONS]
    drawn = {line.get_label(): line for line in axes.lines if line.get_label().startswith("RE-")}
    assert drawn["RE-AN pixels"].get_ydata().tolist() == [-0.1]
    assert to_rgba(drawn["RE-AN pixels"].get_markerfacecolor()) == to_rgba(PAPER)
    assert drawn["RE-AI layer8"].get_ydata().tolist() == [0.22]
    wanted = _rows(brain_table(), place="V4", comparison="RE-AI")["effect"].tolist()
    assert drawn["RE-AI V4"].get_ydata().tolist() == wanted
    dotted = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() not in ("-", "None")]
    assert dotted == [0.95, 0.9]


def test_the_reading_by_logits_stands_beside_the_last_layer() -> None:
    table = network_table()
    logits = changed(table, {"place": "layer8", "comparison": "RE-AN"}, effect=0.9, p=0.2)
    axes = draw_network_rsa(table, network="demo", logits=logits).axes[0]
    found = {line.get_label(): line for line in axes.lines if line.get_label().endswith("by logits")}
    assert found["RE-AN by logits"].get_ydata().tolist() == [0.9]
    assert to_rgba(found["RE-AN by logits"].get_markerfacecolor()) == to_rgba(PAPER)
    assert found["RE-AI by logits"].get_ydata().tolist() == [0.22]
    assert all(8.5 < line.get_xdata()[0] < axes.get_xlim()[1] for line in found.values())
    (line,) = [one for one in axes.lines if one.get_label() == "RE-AN"]
    assert line.get_ydata()[-1] == 0.66, "the line is the softmax's"


def test_shares_of_vertices_are_the_tables_means_and_subjects_are_marked() -> None:
    table = hierarchy_table()
    figure = draw_hierarchy(table)
    panels = np.array(figure.axes[:10]).reshape(2, 5)
    assert len({axes.get_ylim() for axes in panels.ravel()}) == 1
    for row, kind in zip(panels, ("AI", "AN"), strict=True):
        for axes, roi in zip(row, REGIONS, strict=True):
            part = table[(table["type"] == kind) & (table["roi"] == roi)]
            means = 100 * part.groupby("layer")["share"].mean()
            np.testing.assert_allclose(_bars(axes, kind), means.loc[list(LAYERS)])
            assert f"none: {means['none']:.0f} %" in [text.get_text() for text in axes.texts]
            for sub in ("01", "02", "03"):
                line = next(one for one in axes.lines if one.get_label() == sub)
                own = part[part["sub"] == sub].groupby("layer")["share"].mean()
                np.testing.assert_allclose(line.get_ydata(), 100 * own.loc[list(LAYERS)])


def _place(seed: int, labels: tuple[str, ...] = ("dogs-01", "dogs-02", "cars-01", "cars-02")) -> RdmRow:
    rng = np.random.default_rng(seed)
    rdms = {kind: compute_rdm(rng.normal(size=(4, 30)), labels=labels) for kind in ("RE", "AN", "AI")}
    return RdmRow(f"place {seed}", rdms, _rows(brain_table(("01",)), place="V1"))


def test_six_matrices_stand_in_two_rows_each_with_its_own_name_and_similarities() -> None:
    rows = [_place(1), _place(2)]
    figure = draw_rdm_rows(rows)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    assert [axes.get_ylabel() for axes in panels] == ["place 1", "", "", "place 2", "", ""]
    for k, row in enumerate(rows):
        for axes, kind in zip(panels[3 * k:3 * k + 3], ("RE", "AN", "AI"), strict=True):
            assert axes.get_title(loc="left") == kind
            shown = np.ma.filled(axes.images[0].get_array(), np.nan)
            np.testing.assert_array_equal(shown, percentiles(row.rdms[kind]))
    assert len([word for word in _words(figure) if word.startswith("with RE: ρ = ")]) == 4


def test_rows_over_the_same_images_have_them_in_one_order() -> None:
    one, other = _place(1), _place(2, labels=("cars-02", "cars-01", "dogs-02", "dogs-01"))
    panels = [axes for axes in draw_rdm_rows([one, other]).axes if axes.images]
    shown = np.ma.filled(panels[3].images[0].get_array(), np.nan)
    np.testing.assert_array_equal(shown, percentiles(other.rdms["RE"].select(one.rdms["RE"].labels)))
    assert [label.get_text() for label in panels[3].get_yticklabels()] == ["dogs", "cars"]


def test_every_pair_of_images_is_a_dot_at_its_two_ranks() -> None:
    row = _place(3)
    figure = draw_pairs(row)
    upper = np.triu_indices(4, 1)
    for axes, kind in zip(figure.axes, ("AI", "AN"), strict=True):
        (dots,) = [found for found in axes.collections if found.get_label() == f"RE-{kind}"]
        wanted = np.stack([percentiles(row.rdms["RE"])[upper], percentiles(row.rdms[kind])[upper]], axis=1)
        np.testing.assert_array_equal(dots.get_offsets(), wanted)
    assert "ρ = 0.55, p < .001" in _words(figure)


@pytest.mark.parametrize(("coefficient", "name", "sign"), [
    ("tau_a", "Kendall's τa", "τ"), ("pearson", "Pearson's r", "r"), ("spearman", "Spearman's ρ", "ρ")])
def test_figures_name_the_coefficient_of_the_table(coefficient: str, name: str, sign: str) -> None:
    brain, network = (table.assign(coefficient=coefficient) for table in (brain_table(("01",)), network_table()))
    assert name in draw_brain_rsa(brain).axes[0].get_ylabel()
    assert name in draw_network_rsa(network, network="demo").axes[0].get_ylabel()
    row = _place(4)
    said = _words(draw_rdm_rows([RdmRow("", row.rdms, row.statistics.assign(coefficient=coefficient))]))
    assert f"with RE: {sign} = 0.55, p < .001" in said


def test_words_of_a_vector_figure_are_text(tmp_path: Path) -> None:
    for name, figure in (("rdms", draw_rdm_rows([_place(5)])), ("pairs", draw_pairs(_place(6))),
                         ("brain", draw_brain_rsa(brain_table())),
                         ("net", draw_network_rsa(network_table(), network="x"))):
        drawn = save(figure, tmp_path, name=name).svg.read_text(encoding="utf-8")
        assert drawn.count("<text") >= 10
        assert "ρ" in drawn


def test_matrices_tell_what_is_drawn_and_what_is_tested_of_it() -> None:
    """The correlation of the matrices as they are, by scipy, with the effect less its null below; once where alike."""
    row = _place(5)
    drawn = {kind: spearmanr(row.rdms["RE"].condensed, row.rdms[kind].condensed).statistic for kind in ("AN", "AI")}
    table = row.statistics.assign(paper_effect=row.statistics["comparison"].map(
        {f"RE-{kind}": value for kind, value in drawn.items()}))
    table.loc[table["comparison"] == "RE-AN", "effect"] = drawn["AN"]
    row = RdmRow("", row.rdms, table)
    for figure, before in ((draw_rdm_rows([row]), "with RE: "), (draw_pairs(row), "")):
        words = _words(figure)
        assert f"{before}ρ = {say_number(drawn['AI'])}, p < .001\nless null: 0.55" in words
        assert f"{before}ρ = {say_number(drawn['AN'])}, p = .400" in words


def test_a_ceiling_of_zero_is_a_line_and_named_in_the_caption() -> None:
    where = {"sub": "02", "place": "V3", "comparison": "RE-AI"}
    table = changed(brain_table(), where, ceiling_low=0.0, ceiling_high=0.0)
    axes = draw_brain_rsa(table).axes[1]
    assert _intervals(axes, "noise ceiling V3") == [[0.0, 0.0]]
    bands = [one.get_label() for one in axes.patches if str(one.get_label()).startswith("noise ceiling")]
    assert bands == [f"noise ceiling {roi}" for roi in REGIONS if roi != "V3"]
    assert say_no_ceiling(table) == (" Ceiling 0, a line: the two presentations share nothing that could be found (V3 "
                                     "of subject 02).")
    assert say_no_ceiling(brain_table()) == ""


def test_trends_are_said_by_both_readings_where_there_are_two() -> None:
    other = changed(network_table(), {"comparison": "trend RE-AN"}, effect=0.5, p=0.1)
    said = [word for word in _words(draw_network_rsa(network_table(), network="demo", logits=other))
            if word.startswith("trend")]
    assert sorted(said) == ["trend τ = 1.00\np < .001\nby logits τ = 0.50\np = .100",
                            "trend τ = −1.00\np < .001\nby logits τ = −1.00\np < .001"]
