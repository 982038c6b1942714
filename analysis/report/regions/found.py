"""What a report shows of localizers and of the choice of vertices, where a subject has them: read from their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.gifti import read_gifti
from analysis.regions.localizing.step import LABELS, load_areas
from analysis.regions.selecting import load_maps
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.localized import DrawnContrast, LocalizedMaps, draw_localized
from analysis.report.figures.cortex.selected import SelectionMaps, draw_selected
from analysis.running import Digests, is_whole
from analysis.steps import STEPS, Request, Work
from subjects.errors import AnalysisError
from subjects.settings.analysis import LocalizerSettings, RoiSettings
from subjects.store import read_table

_TABLES = {"localizers": "localizers.tsv", "select": "selection.tsv"}
_SHOWN = {"localizers": "localized areas", "select": "a choice of vertices"}


@dataclass(frozen=True, eq=False)
class FoundRegions:
    """One subject's localized areas and choice of vertices; empty where there are none.

    Parameters
    ----------
    localized : tuple of LocalizedMaps
    areas, selection, bias : DataFrame
        The steps' tables.
    selected : tuple of SelectionMaps
    """

    localized: tuple[LocalizedMaps, ...] = ()
    areas: pd.DataFrame | None = None
    selected: tuple[SelectionMaps, ...] = ()
    selection: pd.DataFrame | None = None
    bias: pd.DataFrame | None = None


class Described(NamedTuple):
    """A figure of the report, told: name, title, caption, and what draws it."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def plan_found(request: Request) -> dict[str, dict[str, Work]]:
    """Give the localized areas and choices that subjects have, by step and subject; there need not be any.

    Raises
    ------
    AnalysisError
        If those of a subject are of other files or settings than the study's: they are shown as they should be, or not
        at all.
    """
    return {step: _plan(request, step) for step in _TABLES}


def _plan(request: Request, step: str) -> dict[str, Work]:
    have = tuple(sub for sub in request.subjects
                 if request.layout.derivative("rois", sub=sub, suffix=_TABLES[step]).is_file())
    if not have:
        return {}
    asked = Request(layout=request.layout, settings=request.settings, subjects=have)
    works, digests = {work.sub or "": work for work in STEPS[step].plan(asked)}, Digests(verify=True)
    for sub, work in works.items():
        if not is_whole(work, digests=digests):
            raise AnalysisError(str(work.outputs[0]), came=f"{_SHOWN[step]} of other files or settings, or changed",
                                expected="those of the study's current files and settings",
                                remedy=f"Run `{request.command(step, sub=sub)}`, or remove them.")
    return works


def read_found(works: Mapping[str, Work], *, flat: Sequence[FlatHemisphere], regions: Sequence[str],
               min_disk: int) -> FoundRegions:
    """Read them.

    Parameters
    ----------
    works : mapping of str to Work
        A subject's, by step.
    flat : sequence of FlatHemisphere
    regions : sequence of str
        In the order of the labels.
    min_disk : int
        ``roi.min_disk``.
    """
    areas = read_table(works["localizers"].outputs[0]) if "localizers" in works else None
    localized = () if areas is None else tuple(_read_localized(works["localizers"], k, one, areas=areas,
                                                               regions=regions) for k, one in enumerate(flat))
    if "select" not in works:
        return FoundRegions(localized, areas)
    table, bias, *files = works["select"].outputs
    selected = tuple(_read_selection(path, one, min_disk=min_disk) for path, one in zip(files, flat, strict=True))
    return FoundRegions(localized, areas, selected, read_table(table), read_table(bias))


def _read_localized(work: Work, k: int, one: FlatHemisphere, *, areas: pd.DataFrame,
                    regions: Sequence[str]) -> LocalizedMaps:
    found = load_areas(work.outputs[2 + k], hemi=one.hemi)
    maps = {array.meta["Name"]: array.data
            for array in read_gifti(work.companions[f"Gifti{one.hemi}"], expected="maps of localizers").darrays}
    rows = areas[(areas["hemi"] == one.hemi) & areas["contrast"].notna()]
    contrasts = []
    for row in rows.to_dict("records"):
        area = {"LO-positive": "LO"}.get(str(row["area"]), str(row["area"]))
        passed = found.lo | found.shared if area == "LO" else found.motion
        contrasts.append(DrawnContrast(area, str(row["contrast"]), maps[f"{area} t"], float(row["t_threshold"]),
                                       passed, int(row["n_tested"]), int(row["n_scattered"])))
    numbers = {name: number for number, name in LABELS.items()}
    classes = np.select([found.shared, found.lo, found.motion], [numbers["LO and hMT+"], numbers["LO"],
                                                                 numbers["hMT+"]], 0)
    return LocalizedMaps(one, tuple(regions), tuple(contrasts), classes)


def _read_selection(path: Path, one: FlatHemisphere, *, min_disk: int) -> SelectionMaps:
    rho, sizes, vertices = load_maps(path)
    flat = FlatHemisphere(one.hemi, one.flat, one.faces, one.labels, vertices, distortion=one.distortion)
    return SelectionMaps(flat, rho, np.where(one.labels > 0, sizes, np.nan).astype(np.float64), min_disk)


def describe_found(found: FoundRegions, *, sub: str, regions: Sequence[str], roi: RoiSettings,
                   localizers: LocalizerSettings) -> tuple[Described, ...]:
    """Tell the figures of a subject's localizers and choice of vertices."""
    described = []
    if found.areas is not None and found.localized:
        described.append(Described(f"sub-{sub}_localizers", f"Localizers, subject {sub}",
                                   _say_localizers(found.areas, localizers),
                                   partial(draw_localized, found.localized)))
    if found.selection is not None and found.selected:
        described.append(Described(f"sub-{sub}_selection", f"Choice of vertices, subject {sub}",
                                   _say_selection(found.selection, found.bias, roi),
                                   partial(draw_selected, found.selected, regions=regions)))
    return tuple(described)


def _say_localizers(areas: pd.DataFrame, chosen: LocalizerSettings) -> str:
    runs = ", ".join(f"{row.n_runs:g} run{'s' * (row.n_runs != 1)} of {row.contrast} ({row.n_df:g} degrees of freedom)"
                     for row in areas.drop_duplicates("contrast").dropna(subset=["contrast"]).itertuples())
    rule = f"two-tailed p < {chosen.p:g}, uncorrected" if chosen.threshold == "uncorrected" else \
        f"false discovery rate {chosen.p:g}"
    small = f", without connected pieces below {chosen.min_area_mm2:g} mm²" if chosen.min_area_mm2 else ""
    motion = "the rest is LO; the table of the step has areas in mm² and overlaps with every labelled region." \
        if (areas["area"] == "hMT+").any() else "there were no runs for hMT+, which would take its part."
    return (f"t of each contrast at every vertex, AR(1) noise: {runs}. Heavy lines: vertices that pass ({rule}, the "
            f"positive side alone{small}), counted above each map with those that were tested. Last row: LO-positive "
            f"vertices that hMT+ holds too are taken from LO; {motion}")


def _say_selection(table: pd.DataFrame, bias: pd.DataFrame | None, roi: RoiSettings) -> str:
    per_region = ", ".join(f"{name} {rows['rho_median'].mean():.2f}"
                           for name, rows in table.groupby("roi", sort=False))
    whose = "of its region" if roi.disk == "region" else "of any region"
    near = (f"{100 * table['near_border_chosen'].mean():.0f} % of the chosen and "
            f"{100 * table['near_border_all'].mean():.0f} % of all vertices lie within that of a border")
    said = (f"Above: Spearman's ρ of the RE images' dissimilarities at both presentations on the disk of "
            f"{roi.radius_mm:g} mm around each vertex, which holds vertices {whose}; dots: the "
            f"{roi.vertices_per_hemisphere} best a region and hemisphere. Median ρ of the chosen, mean of hemispheres: "
            f"{per_region}; {near}. Grey: vertices that cannot be chosen, without signal or with a disk of fewer "
            f"than {roi.min_disk} vertices. Below: vertices in each disk.")
    if bias is None or not len(bias):
        return said
    worst = bias.iloc[int(bias["bias"].abs().to_numpy().argmax())]
    return (f"{said} Largest bias of a similarity by the choice, of {len(bias)} in {int(worst['n_draws'])} draws "
            f"without repetition: {worst['bias']:+.3f} ± {worst['standard_error']:.3f} ({worst['roi']}, "
            f"{worst['comparison']}; ± standard error).")
