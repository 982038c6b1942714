"""The step ``select`` with its picture: split-half reliability around every labelled vertex, and who was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.regions.selecting import Found, plan_selections
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.selected import SelectionMaps, draw_selected
from analysis.report.figures.style import save
from analysis.steps import Request, Work


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the selection of each subject."""
    return plan_selections(request, partial(draw, min_disk=request.settings.roi.min_disk))


def draw(found: Mapping[str, Found], path: Path, *, min_disk: int) -> None:
    """Draw what was chosen as PNG and SVG."""
    save(draw_selection(tuple(found.values()), min_disk=min_disk), path.parent, name=path.stem)


def draw_selection(hemispheres: Sequence[Found], *, min_disk: int) -> Figure:
    """Draw reliability, disks and the chosen vertices; see :func:`~.selected.draw_selected`."""
    maps = [SelectionMaps(
        FlatHemisphere(one.surface.hemi, one.surface.flat, one.surface.faces, one.labels, one.choice.vertices,
                       distortion=one.surface.distortion().summary()), one.choice.consistency.rho,
        np.where(one.labels > 0, one.choice.consistency.disk_sizes, np.nan).astype(np.float64), min_disk)
        for one in hemispheres]
    return draw_selected(maps, regions=hemispheres[0].names)
