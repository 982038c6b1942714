"""The step ``localizers`` with its picture: both contrasts and the areas on the flattened cortex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.regions.localizing.contrasts import LOCALIZERS
from analysis.regions.localizing.step import LocalizedHemisphere, plan_localizers
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.localized import DrawnContrast, LocalizedMaps, draw_localized
from analysis.report.figures.style import save
from analysis.steps import Request, Work


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the localizers of each subject."""
    return plan_localizers(request, draw)


def draw(found: Mapping[str, LocalizedHemisphere], path: Path) -> None:
    """Draw what was found as PNG and SVG."""
    save(draw_localizers(tuple(found.values())), path.parent, name=path.stem)


def draw_localizers(hemispheres: Sequence[LocalizedHemisphere]) -> Figure:
    """Draw a row for each contrast, and one for the areas; see :func:`~.localized.draw_localized`."""
    return draw_localized([_as_maps(one) for one in hemispheres])


def _as_maps(one: LocalizedHemisphere) -> LocalizedMaps:
    labels = np.zeros(one.surface.n_vertices, dtype=np.int16)
    for k, mask in enumerate(one.regions.values(), start=1):
        labels[mask] = k
    contrasts = tuple(DrawnContrast(LOCALIZERS[name].area, f"{LOCALIZERS[name].above} > {LOCALIZERS[name].below}",
                                    found.found.t, found.t_threshold, found.positive.mask, found.positive.n_tested,
                                    found.positive.n_scattered) for name, found in one.contrasts.items())
    return LocalizedMaps(FlatHemisphere(one.surface.hemi, one.surface.flat, one.surface.faces, labels, {}),
                         tuple(one.regions), contrasts, one.labels)
