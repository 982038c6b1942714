"""The figure of low-level measures: every dot, median and band is read back from the drawing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.report.figures.low_level import draw_low_level

KINDS = ("RE", "AN", "AI")
DOTS = ("luminance", "rms_contrast", "red_green", "blue_yellow")
BANDS = ("contrast_4_8", "contrast_8_16", "contrast_16_32")


@pytest.fixture(scope="module")
def measures() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    return pd.DataFrame([{"type": kind, **{name: rng.normal(5 * k, 1.0) for k, name in enumerate(DOTS)},
                          **{name: rng.uniform(0.02, 0.2) for name in BANDS}} for kind in KINDS for _ in range(7)])


def test_each_image_is_a_dot_and_each_type_has_its_median(measures: pd.DataFrame) -> None:
    figure = draw_low_level(measures, image_deg=8.0)
    for axes, name in zip(figure.axes, DOTS, strict=False):
        for k, kind in enumerate(KINDS):
            values = measures.loc[measures["type"] == kind, name].tolist()
            (dots,) = [one for one in axes.lines if one.get_label() == kind]
            np.testing.assert_allclose(dots.get_ydata(), values)
            assert np.all(np.abs(np.asarray(dots.get_xdata()) - k) < 0.34)
            assert axes.collections[k].get_segments()[0][0][1] == pytest.approx(sorted(values)[3])


def test_the_spectrum_stands_at_cycles_a_degree_with_quartiles(measures: pd.DataFrame) -> None:
    axes = draw_low_level(measures, image_deg=8.0).axes[-1]
    for kind in KINDS:
        (line,) = [one for one in axes.lines if one.get_label() == kind]
        table = np.sort(measures.loc[measures["type"] == kind, list(BANDS)].to_numpy(), axis=0)
        np.testing.assert_allclose(line.get_ydata(), table[3])
        np.testing.assert_allclose(line.get_xdata(), np.sqrt([32.0, 128.0, 512.0]) / 8.0, rtol=0.04)
    bands = [one.get_paths()[0].vertices[:, 1] for one in axes.collections]
    for kind, found in zip(KINDS, bands, strict=True):
        table = np.sort(measures.loc[measures["type"] == kind, list(BANDS)].to_numpy(), axis=0)
        edges = np.concatenate([(table[1] + table[2]) / 2, (table[4] + table[5]) / 2])
        assert {round(float(one), 9) for one in edges} <= {round(float(one), 9) for one in found}


def test_an_image_twice_as_large_has_half_the_frequencies(measures: pd.DataFrame) -> None:
    small, large = (draw_low_level(measures, image_deg=deg).axes[-1].lines[0].get_xdata() for deg in (4.0, 8.0))
    np.testing.assert_allclose(small, 2 * np.asarray(large))


def test_signed_colours_show_where_zero_is_and_amounts_begin_there(measures: pd.DataFrame) -> None:
    panels = draw_low_level(measures, image_deg=8.0).axes
    for axes, name in zip(panels, DOTS, strict=False):
        levels = [line for line in axes.lines if np.allclose(line.get_ydata(), 0) and len(line.get_ydata()) == 2]
        assert (axes.get_ylim()[0] == 0) == (name in ("luminance", "rms_contrast"))
        assert bool(levels) == (name not in ("luminance", "rms_contrast"))
