"""The look: colours that colour-blind readers tell apart, words that do not collide, nothing cut off."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2lab

from analysis.regions.labels import ROIS
from analysis.report.figures.brain_rsa import draw_brain_rsa
from analysis.report.figures.encoding.accuracies import draw_encoding
from analysis.report.figures.network_rsa import draw_network_rsa
from analysis.report.figures.rdms import RdmRow, draw_rdm_rows
from analysis.report.figures.style import (
    CEILING,
    COLORS,
    DPI,
    INK,
    MUTED,
    PAPER,
    REGION_COLORS,
    draw_intervals,
    new_figure,
    save,
    shades,
    styled,
)
from analysis.report.figures.timing import RunTiming, draw_timing
from analysis.rsa.rdm import compute_rdm
from tests.analysis.paper_tables import brain_table, changed, encoding_table, network_table

# Machado, Oliveira & Fernandes 2009, IEEE TVCG 15:1291, severity 1.0, on linear RGB
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def _linear(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _seen(color: object, deficiency: str | None) -> NDArray[np.float64]:
    """The colour in CIELAB, as seen."""
    rgb = np.asarray(to_rgb(color))  # type: ignore[arg-type]
    if deficiency is not None:
        linear = np.clip(np.asarray(DEFICIENCIES[deficiency]) @ _linear(rgb), 0, 1)
        rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb[None, None])[0, 0]


def _contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio."""
    light = sorted(float(np.dot(_linear(np.asarray(to_rgb(color))), [0.2126, 0.7152, 0.0722]))
                   for color in (first, second))
    return (light[1] + 0.05) / (light[0] + 0.05)


SIGHT = [None, *DEFICIENCIES]


@pytest.mark.parametrize("deficiency", SIGHT)
def test_image_types_are_told_apart(deficiency: str | None) -> None:
    for first, second in itertools.combinations(COLORS.values(), 2):
        assert np.linalg.norm(_seen(first, deficiency) - _seen(second, deficiency)) > 20


@pytest.mark.parametrize("deficiency", SIGHT)
def test_warm_and_cool_layers_are_told_apart(deficiency: str | None) -> None:
    for warm, cool in zip(shades("AI", 8), shades("AN", 8), strict=True):
        assert np.linalg.norm(_seen(warm[:3], deficiency) - _seen(cool[:3], deficiency)) > 15


@pytest.mark.parametrize("deficiency", SIGHT)
@pytest.mark.parametrize("kind", ["AI", "AN"])
def test_layers_darken_step_by_step(kind: str, deficiency: str | None) -> None:
    lightness = [_seen(color[:3], deficiency)[0] for color in shades(kind, 8)]
    assert all(later < earlier - 3 for earlier, later in itertools.pairwise(lightness))


@pytest.mark.parametrize("deficiency", [None, "protan", "deutan"])
def test_neighbouring_regions_are_told_apart(deficiency: str | None) -> None:
    for first, second in (("V1", "V2"), ("V2", "V3"), ("V3", "V4"), ("V4", "LO")):
        seen = _seen(REGION_COLORS[first], deficiency) - _seen(REGION_COLORS[second], deficiency)
        assert np.linalg.norm(seen) > 15


def test_every_region_has_its_colour() -> None:
    assert tuple(REGION_COLORS) == ROIS


@pytest.mark.parametrize("color", [INK, MUTED, *COLORS.values()])
def test_words_are_dark_enough_on_paper(color: str) -> None:
    assert _contrast(color, PAPER) >= (4.5 if color in (INK, MUTED) else 3.0)


def test_words_are_dark_enough_on_the_ceilings_band() -> None:
    assert _contrast(INK, CEILING) >= 4.5


def _crowded_network() -> Figure:
    table = network_table()
    for layer in (f"layer{k}" for k in range(1, 9)):
        for comparison in ("RE-AN", "RE-AI"):
            table = changed(table, {"place": layer, "comparison": comparison}, effect=0.3, low=0.25, high=0.35)
    return draw_network_rsa(table, network="a network with a long name")


def _logits(an: float, ai: float) -> pd.DataFrame:
    """The paper's table, with the last layer by its logits."""
    table = changed(network_table(), {"place": "layer8", "comparison": "RE-AN"}, effect=an, low=an - 0.1, high=an + 0.1)
    return changed(table, {"place": "layer8", "comparison": "RE-AI"}, effect=ai, low=ai - 0.1, high=ai + 0.1)


def _low_level() -> pd.DataFrame:
    table = network_table()
    return pd.concat([table[table["place"] == f"layer{k}"].assign(place=place)
                      for k, place in ((1, "pixels"), (2, "Gabor"))])


def _matrices() -> Figure:
    rng = np.random.default_rng(1)
    labels = tuple(f"{name}-{k:02}" for name in ("dogs", "aquatic") for k in range(4))
    rdms = {kind: compute_rdm(rng.normal(size=(8, 30)), labels=labels) for kind in ("RE", "AN", "AI")}
    table = brain_table(("01",))
    table = table[table["place"] == "V1"].assign(paper_effect=-0.47, effect=-0.55)
    return draw_rdm_rows([RdmRow(f"a region with a name, subject {k}", rdms, table) for k in (1, 2)])


FIGURES: dict[str, Callable[[], Figure]] = {
    "one subject": lambda: draw_brain_rsa(brain_table(("01",))),
    "two subjects": lambda: draw_brain_rsa(brain_table(("01", "02"))),
    "three subjects": lambda: draw_brain_rsa(brain_table()),
    "four subjects": lambda: draw_brain_rsa(brain_table(("01", "02", "03", "04"))),
    "network": lambda: draw_network_rsa(network_table(), network="demo"),
    "network, lines together": _crowded_network,
    "network, logits apart": lambda: draw_network_rsa(network_table(), network="demo", logits=_logits(0.75, 0.05)),
    "network, logits together": lambda: draw_network_rsa(network_table(), network="demo", logits=_logits(0.31, 0.3)),
    "network, logits and images": lambda: draw_network_rsa(
        network_table(), network="demo", logits=_logits(0.05, 0.9), low_level=_low_level()),
    "matrices": _matrices,
    "encoding": lambda: draw_encoding(encoding_table()),
    "encoding, one subject": lambda: draw_encoding(encoding_table(("01",))),
    "timing": lambda: draw_timing([RunTiming(f"ses-01 run-{k}", np.array([0.001, -0.002]), 278, 278, complete=k != 2)
                                   for k in range(1, 6)], frame_s=1 / 120),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_words_collide_and_none_are_cut_off(name: str) -> None:
    figure = FIGURES[name]()
    figure.canvas.draw()
    canvas = figure.bbox
    boxes = []
    for axes in figure.axes:
        labels = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]  # type: ignore[attr-defined]
        if axes.axison:
            labels += [*axes.get_xticklabels(), *axes.get_yticklabels()]
        low, high = sorted(axes.get_ylim())
        for label in labels:
            tick_outside = label in axes.get_yticklabels() and not low <= label.get_position()[1] <= high
            if label.get_visible() and label.get_text() and label.get_text() != "*" and not tick_outside:
                boxes.append((label.get_text(), label.get_window_extent()))
    assert len(boxes) > 5
    for text, box in boxes:
        assert box.x0 >= -1, f"{text!r} is cut off"
        assert box.y0 >= -1, f"{text!r} is cut off"
        assert box.x1 <= canvas.x1 + 1, f"{text!r} is cut off"
        assert box.y1 <= canvas.y1 + 1, f"{text!r} is cut off"
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert width < 1.5 or height < 1.5, f"{first!r} lies over {second!r}"


@pytest.mark.parametrize(("an", "ai"), [(0.75, 0.05), (0.05, 0.75), (0.31, 0.3), (-0.2, -0.25), (0.95, 0.97)])
def test_a_diamond_stands_beside_the_name_of_its_own_colour_and_under_no_words(an: float, ai: float) -> None:
    figure = draw_network_rsa(network_table(), network="demo", logits=_logits(an, ai))
    figure.canvas.draw()
    axes = figure.axes[0]
    named = {text.get_text(): text.get_window_extent() for text in axes.texts if text.get_text() in ("RE-AI", "RE-AN")}
    heights = {}
    for line in axes.lines:
        if str(line.get_label()).endswith("by logits"):
            (x, y), = axes.transData.transform(line.get_xydata())
            heights[str(line.get_label()).split()[0]] = y
            for text in axes.texts:
                box = text.get_window_extent().padded(2)
                assert not box.contains(x, y), f"{text.get_text()!r} lies on {line.get_label()}"
    assert set(heights) == set(named)
    middles = {name: (box.y0 + box.y1) / 2 for name, box in named.items()}
    assert (middles["RE-AI"] > middles["RE-AN"]) == (heights["RE-AI"] > heights["RE-AN"])
    if abs(an - ai) > 0.5:
        for name, other in (("RE-AI", "RE-AN"), ("RE-AN", "RE-AI")):
            assert abs(middles[name] - heights[name]) < abs(middles[name] - heights[other])


def test_intervals_are_drawn_where_they_are_even_off_their_estimate() -> None:
    @styled
    def draw() -> Figure:
        figure = new_figure(2, 2)
        draw_intervals(figure.subplots(), [0.0, 1.0], low=[0.6, np.nan], high=[0.8, np.nan], name="off")
        return figure

    (lines,) = draw().axes[0].collections
    assert lines.get_segments()[0].tolist() == [[0.0, 0.6], [0.0, 0.8]]


@pytest.mark.parametrize(("width_in", "share"), [(7.2, 1.0), (3.6, 0.5), (9.0, 1.0)])
def test_a_saved_figure_knows_its_share_of_the_page(tmp_path: Path, width_in: float, share: float) -> None:
    figure = new_figure(width_in, 1.0)
    figure.subplots()
    saved = save(figure, tmp_path / "made", name="one.two")
    assert saved.width_share == share
    assert (saved.png.name, saved.svg.name) == ("one.two.png", "one.two.svg")
    with Image.open(saved.png) as image:
        assert image.size == (round(DPI * width_in), DPI)
    assert ET.parse(saved.svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_words_in_svg_are_text_that_can_be_searched_and_edited(tmp_path: Path) -> None:
    saved = save(draw_network_rsa(network_table(), network="demo"), tmp_path, name="network")
    said = {element.text for element in ET.parse(saved.svg).iter() if element.tag.rpartition("}")[2] == "text"}
    assert {"RE-AI", "RE-AN", "Similarity of RDMs (Spearman\'s ρ)"} <= said
