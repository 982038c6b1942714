"""Fig. 4 of the paper: RE-AI and RE-AN around every vertex of the flattened cortex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.data.gifti import read_gifti
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.panels import (
    SIDES,
    draw_borders,
    draw_outline,
    draw_scale,
    draw_values,
    frame_of,
    set_frame,
)
from analysis.report.figures.style import ALPHA, COLORS, WIDTH_IN, new_figure, styled
from analysis.running import Digests, is_whole
from analysis.steps import STEPS, Request, Work
from subjects.errors import AnalysisError

_KINDS = ("AI", "AN")
Floats32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SearchlightHemisphere:
    """Similarities of one hemisphere.

    Parameters
    ----------
    flat : FlatHemisphere
    rho : dict of str to float32 array, (n_vertices,)
        ``"AI"``, ``"AN"``; NaN where there is none.
    p : dict of str to float32 array, (n_vertices,)
        Corrected by the largest similarity anywhere; empty where no permutations were made.

    Raises
    ------
    AnalysisError
        If they are of another mesh.
    """

    flat: FlatHemisphere
    rho: dict[str, Floats32]
    p: dict[str, Floats32] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for values in (*self.rho.values(), *self.p.values()):
            if len(values) != len(self.flat.flat):
                raise AnalysisError(f"searchlight of hemi-{self.flat.hemi}", came=f"{len(values)} values for "
                                    f"{len(self.flat.flat)} vertices", expected="one value a vertex",
                                    remedy="Run `python -m analysis searchlight` again.")

    def significant(self, kind: str) -> NDArray[np.bool_]:
        """Mark the vertices of corrected p < .05."""
        result: NDArray[np.bool_] = self.p[kind] < ALPHA
        return result


def say_significant(hemispheres: Sequence[SearchlightHemisphere], *, n_permutations: int) -> str:
    """Say what is outlined, and how much of each map; or that nothing was tested.

    Examples
    --------
    >>> say_significant((), n_permutations=0)
    'Nothing here was tested (rsa.searchlight_permutations = 0).'
    """
    if not n_permutations:
        return "Nothing here was tested (rsa.searchlight_permutations = 0)."
    counts = [f"{sum(int(one.significant(kind).sum()) for one in hemispheres)} vertices of RE-{kind}"
              for kind in _KINDS]
    return (f"Heavy outlines: p < .05, corrected by the largest similarity anywhere in each of {n_permutations} "
            f"permutations ({', '.join(counts)}).")


def plan_searchlights(request: Request) -> dict[str, Work]:
    """Give the searchlight maps that the subjects have, by subject; there need not be any.

    Raises
    ------
    AnalysisError
        If those of a subject are of other files or settings than the study's: they are shown as they should be, or not
        at all.
    """
    works = {work.sub or "": work for work in STEPS["searchlight"].plan(request)}
    have = {sub: work for sub, work in works.items() if any(path.is_file() for path in work.outputs)}
    digests = Digests(verify=True)
    for sub, work in have.items():
        if not is_whole(work, digests=digests):
            raise AnalysisError(str(work.outputs[0]), came="searchlight maps of other files or settings, or changed",
                                expected="those of the study's current files and settings",
                                remedy=f"Run `{request.command('searchlight', sub=sub)}`, or remove them.")
    return have


def read_searchlight(work: Work, *, flat: Sequence[FlatHemisphere]) -> tuple[SearchlightHemisphere, ...]:
    """Read a subject's maps."""
    found = []
    for path, one in zip(work.outputs, flat, strict=True):
        maps = {array.meta["Name"]: array.data for array in read_gifti(path, expected="searchlight maps").darrays}
        found.append(SearchlightHemisphere(one, {kind: maps[f"RE-{kind}"] for kind in _KINDS}, {
            kind: maps[name] for kind in _KINDS if (name := f"p FWE RE-{kind}") in maps}))
    return tuple(found)


@styled
def draw_searchlight(hemispheres: Sequence[SearchlightHemisphere], *, regions: Sequence[str]) -> Figure:
    """Draw RE-AI above RE-AN on both flat maps, one scale for all, the regions' borders over them.

    Parameters
    ----------
    hemispheres : sequence of SearchlightHemisphere
    regions : sequence of str
        Names in the order of the labels.

    Returns
    -------
    Figure
        Red above 0, blue below, grey where there is no value; outlined where p was made and is below .05.
    """
    frames = [frame_of(one.flat) for one in hemispheres]
    spans = np.array([high - low for low, high in frames])
    inch_per_mm = (WIDTH_IN - 1.2) / float(spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, min(9.0, 0.9 + 2 * inch_per_mm * float(spans[:, 1].max())))
    panels = figure.subplots(2, len(hemispheres), squeeze=False, width_ratios=spans[:, 0].tolist())
    most = max(0.1, float(np.nanmax([np.nanmax(np.abs(one.rho[kind]), initial=0.0) for one in hemispheres
                                     for kind in _KINDS])))
    shade = ScalarMappable(Normalize(-most, most), cmap=mpl.colormaps["RdBu_r"])
    for row, kind in zip(panels, _KINDS, strict=True):
        for axes, one, (low, high) in zip(row, hemispheres, frames, strict=True):
            draw_values(axes, one.flat, values=one.rho[kind], shade=shade, low=low, high=high)
            if kind in one.p:
                draw_outline(axes, one.flat, inside=one.significant(kind))
            draw_borders(axes, one.flat, regions=regions)
            set_frame(axes, low=low, high=high)
            axes.set_title(f"RE-{kind}, {SIDES.get(one.flat.hemi, one.flat.hemi)}", color=COLORS[kind])
    draw_scale(panels[-1][0], low=frames[0][0])
    bar = figure.colorbar(shade, ax=panels, shrink=0.5, aspect=22, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("Similarity of RDMs (Spearman's ρ)", fontsize=7.5)
    return figure
