"""The step ``localizers``: LO and hMT+ of a subject from its localizer runs, on the whole of both hemispheres.

- ``sub-XX_localizers.tsv``: a row a hemisphere and area (columns :data:`COLUMNS`);
- ``sub-XX_desc-overlap_localizers.tsv``: a row a hemisphere, area and labelled region (columns
  :data:`OVERLAP_COLUMNS`), where the subject has region labels;
- ``sub-XX_hemi-X_desc-localizers_dseg.label.gii``: LO, hMT+, and what both hold;
- ``sub-XX_hemi-X_localizers.func.gii``: percent signal change, t and p of each contrast, for Workbench and Freeview.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from analysis.data.gifti import write_label_map, write_maps
from analysis.data.sources import HEMISPHERES
from analysis.data.surface import Surface
from analysis.data.timeseries import MISSING
from analysis.glm.linear.contrasts import ContrastMap
from analysis.glm.subject_runs import SubjectRuns, count_discarded, keep_estimable
from analysis.regions.labels import read_named_labels, read_present
from analysis.regions.localizing.contrasts import (
    LOCALIZERS,
    Areas,
    Correction,
    Mask,
    Positive,
    correlate_predictions,
    in_one_piece,
    localizer_contrast,
    make_model,
    positive_vertices,
    separate_areas,
)
from analysis.steps import Extras, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import FileFormat
from subjects.settings.analysis import LocalizerSettings
from subjects.store import read_table, write_table

log = logging.getLogger(__name__)

FORMAT = FileFormat("localizers", version=1)
COLUMNS = ("sub", "hemi", "area", "contrast", "n_runs", "n_df", "p", "threshold", "p_threshold", "t_threshold",
           "n_tested", "min_area_mm2", "n_scattered", "n_vertices", "share_pct", "area_mm2", "t_max", "peak_vertex",
           "prediction_r")
_COUNTS = ("n_runs", "n_df", "n_tested", "n_scattered", "n_vertices", "peak_vertex")
OVERLAP_COLUMNS = ("sub", "hemi", "area", "region", "n_area", "n_region", "n_both", "dice")
AREAS = ("LO-positive", "hMT+", "LO", "LO and hMT+")
"""Rows of the table: what each contrast finds, LO without what hMT+ holds too, and what that is."""
LABELS: Mapping[int, str] = {1: "LO", 2: "hMT+", 3: "LO and hMT+"}
"""Numbers of the label files; hMT+ is 2 and 3."""
COLORS = {"LO": "#E69F00", "hMT+": "#0072B2", "LO and hMT+": "#222222"}
"""Of the palette of Okabe and Ito: told apart by colour-blind readers, and by their lightness."""
_CORRECTIONS: Mapping[str, Correction] = {"uncorrected": "none", "fdr": "fdr"}
Floats = NDArray[np.float64]


class Contrasted(NamedTuple):
    """One localizer in one hemisphere: its contrast, the mean signal, the threshold, and who passes it."""

    found: ContrastMap
    mean: Floats
    positive: Positive
    prediction_r: float
    n_runs: int

    @property
    def percent(self) -> Floats:
        """The contrast in percent signal change; NaN where there is no signal."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(self.mean > 0, 100 * self.found.effect / self.mean, np.nan))

    @property
    def t_threshold(self) -> float:
        """The t beyond which a vertex passes; infinite where none does."""
        p = self.positive.p_threshold
        return float(special.stdtrit(self.found.n_df, 1 - p / 2)) if p > 0 else float("inf")


@dataclass(frozen=True, eq=False)
class LocalizedHemisphere:
    """What was found in one hemisphere; one localizer's part is missing where it was not run."""

    surface: Surface
    contrasts: Mapping[str, Contrasted]
    areas: Areas
    regions: Mapping[str, Mask]

    @property
    def masks(self) -> dict[str, Mask]:
        """The areas by the names of :data:`AREAS`, as far as their localizers were run."""
        own = self.areas
        every = {"LO-positive": own.lo | own.shared, "hMT+": own.motion, "LO": own.lo, "LO and hMT+": own.shared}
        return {name: mask for name, mask in every.items() if _localizers_of(name) <= set(self.contrasts)}

    @property
    def labels(self) -> NDArray[np.int32]:
        """The areas as the label file has them (:data:`LABELS`)."""
        own = self.areas
        return np.select([own.shared, own.lo, own.motion], [3, 1, 2], 0).astype(np.int32)


def _localizers_of(area: str) -> set[str]:
    return {"LO and hMT+": {"lo", "motion"}, "hMT+": {"motion"}}.get(area, {"lo"})


Drawer = Callable[[Mapping[str, LocalizedHemisphere], Path], None]
"""Draws what was found into a PNG (and beside it an SVG): the report's, which lies above this folder."""


@dataclass(frozen=True, kw_only=True)
class SubjectLocalizers:
    """The localizers of one subject.

    Parameters
    ----------
    runs : mapping of str to SubjectRuns
        The runs of each localizer that was played, by its name (:data:`~.contrasts.LOCALIZERS`).
    planned : mapping of str to int
        How many there should be.
    settings : LocalizerSettings
    regions : tuple of str
        ``roi.regions``: overlaps with those that are labelled are told.
    draw : callable
        See :data:`Drawer`.
    """

    runs: Mapping[str, SubjectRuns]
    planned: Mapping[str, int]
    settings: LocalizerSettings
    regions: tuple[str, ...]
    draw: Drawer

    @property
    def _any(self) -> SubjectRuns:
        return next(iter(self.runs.values()))

    @property
    def layout(self) -> Layout:
        """The study."""
        return self._any.layout

    @property
    def sub(self) -> str:
        """The subject."""
        return self._any.sub

    @property
    def tables(self) -> tuple[Path, Path]:
        """The areas, and their overlap with labelled regions."""
        areas, overlap = (self.layout.derivative("rois", sub=self.sub, suffix=name)
                          for name in ("localizers.tsv", "desc-overlap_localizers.tsv"))
        return areas, overlap

    @property
    def companions(self) -> dict[str, Path]:
        """Maps for other programs, and the picture."""
        maps = {f"Gifti{hemi}": self.layout.derivative("rois", sub=self.sub, hemi=hemi, suffix="localizers.func.gii")
                for hemi in HEMISPHERES}
        picture = self.tables[0].with_suffix(".png")
        return {**maps, "png_digest": picture, "svg_digest": picture.with_suffix(".svg")}

    def work(self) -> Work:
        """Plan them."""
        return Work(name=f"sub-{self.sub}", sub=self.sub, companions=self.companions, origin=self.origin,
                    outputs=(*self.tables, *label_paths(self.layout, sub=self.sub).values()), make=self.make,
                    check=self.check, tell=self.tell)

    def origin(self, _: Path) -> Origin:
        """Say what all files are made from."""
        inputs: dict[str, Path | str] = {}
        for runs in self.runs.values():
            inputs |= runs.inputs(sessions=runs.sessions, hemispheres=HEMISPHERES)
        data = self._any.data
        for hemi in HEMISPHERES:
            inputs |= {f"{name}_{hemi}": path for name, path in data.surfaces[hemi].items()}
            if data.labels[hemi].is_file():
                inputs[f"labels_{hemi}"] = data.labels[hemi]
        glm = self._any.settings
        return Origin(inputs, {**self.settings.model_dump(mode="json"), "regions": list(self.regions),
                               "tr_s": self._any.tr_s, "drift_minutes": glm.drift_minutes,
                               "min_brightness": glm.min_brightness, "glm_confounds": list(glm.confounds),
                               "discarded": {name: runs.n_discarded for name, runs in self.runs.items()}})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Contrast, threshold and take apart both hemispheres; give what then saves them."""
        missing = self._require_planned()
        for name in LOCALIZERS.keys() - self.runs.keys():
            log.warning("sub-%s: no runs of task %s: %s", self.sub, LOCALIZERS[name].task, _CONSEQUENCES[name])
        found = {hemi: self._localize(hemi) for hemi in
                 progress(HEMISPHERES, label=f"localizers sub-{self.sub}", total=len(HEMISPHERES))}
        return lambda: self._save(found, missing=missing)

    def _require_planned(self) -> str:
        """Say which planned runs are absent, and refuse it without consent."""
        gaps = []
        for name, n_planned in self.planned.items():
            n = len({key.whole for events in self.runs[name].sessions.values() for key in events}) \
                if name in self.runs else 0
            if n < n_planned:
                gaps.append(f"{n} of {n_planned} runs of task {LOCALIZERS[name].task}")
        said = "; ".join(gaps)
        if said and MISSING not in self._any.accept:
            raise AnalysisError(f"sub-{self.sub}", came=said, expected="all that [lo] and [motion] plan in study.toml",
                                remedy=f"Play the rest, correct lo.runs or motion.runs, or set analysis.accept = "
                                       f'["{MISSING}"] to go on with what there is.')
        if said:
            log.warning("sub-%s: %s (analysis.accept)", self.sub, said)
        return said

    def _localize(self, hemi: str) -> LocalizedHemisphere:
        data, where = self._any.data, f"sub-{self.sub} hemi-{hemi}"
        surface = data.load_surface(hemi)
        found = {name: self._contrast(name, hemi) for name in self.runs}
        none, edges, extents = np.zeros(surface.n_vertices, dtype=np.bool_), surface.edges, surface.vertex_areas()
        for name, one in found.items():
            if len(one.mean) != surface.n_vertices:
                raise AnalysisError(where, came=f"time series of {len(one.mean)} vertices (task {name}) and a surface "
                                    f"of {surface.n_vertices}", expected="one mesh",
                                    remedy="Take meshes and time series of one space (analysis.space).")
            positive = in_one_piece(one.positive, edges=edges, extents=extents, least_mm2=self.settings.min_area_mm2)
            found[name] = one._replace(positive=positive)
            log.info("%s: %s: %d of %d vertices at p < %.3g (t > %.2f); %d more in pieces below %g mm2 left out", where,
                     LOCALIZERS[name].area, positive.mask.sum(), positive.n_tested, positive.p_threshold,
                     one.t_threshold, positive.n_scattered, self.settings.min_area_mm2)
        areas = separate_areas(*(found[name].positive.mask if name in found else none for name in LOCALIZERS))
        return LocalizedHemisphere(surface, found, areas, self._labelled(hemi, n_vertices=surface.n_vertices))

    def _contrast(self, name: str, hemi: str) -> Contrasted:
        runs, localizer, where = self.runs[name], LOCALIZERS[name], f"sub-{self.sub} task-{name} hemi-{hemi}"
        events = {key: table for every in runs.sessions.values()
                  for key, table in keep_estimable(every, n_discarded=runs.n_discarded).items()}
        scans = {key: runs.read(key, hemi=hemi) for key in events}
        runs.silence(scans, where=where)
        model = make_model(list(events.values()), samplings=[runs.sampling(one) for one in scans.values()],
                           localizer=localizer, drift_minutes=runs.settings.drift_minutes,
                           nuisances=[runs.nuisance(key, n_volumes=len(one.data)) for key, one in scans.items()],
                           where=where)
        alike = correlate_predictions(model, localizer=localizer, where=where)
        kept = [one.data[runs.n_discarded:] for one in scans.values()]
        mean = np.mean([one.mean(axis=0, dtype=np.float64) for one in kept], axis=0)
        found = localizer_contrast(kept, model=model)
        passed = positive_vertices(found, p=self.settings.p, correction=_CORRECTIONS[self.settings.threshold])
        return Contrasted(found, mean, passed, alike, n_runs=len({key.whole for key in events}))

    def _labelled(self, hemi: str, *, n_vertices: int) -> dict[str, Mask]:
        path = self._any.data.labels[hemi]
        if not path.is_file():
            return {}
        labels, names = read_present(path, hemi=hemi, names=self.regions)
        if len(labels) != n_vertices:
            raise AnalysisError(str(path), came=f"{len(labels)} labels for {n_vertices} vertices",
                                expected="one label a vertex", remedy="Take labels and time series of the same mesh.")
        return {name: labels == k for k, name in enumerate(names, start=1)}

    def _save(self, found: Mapping[str, LocalizedHemisphere], *, missing: str) -> Extras:
        describe_derivative(self.layout, "rois")
        rows = [row for one in found.values() for row in describe_areas(one, sub=self.sub, settings=self.settings)]
        overlaps = [row for one in found.values() for row in describe_overlaps(one, sub=self.sub)]
        table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(_COUNTS, "Int64"))
        write_table(self.tables[0], table, overwrite=True)
        write_table(self.tables[1], pd.DataFrame(overlaps, columns=list(OVERLAP_COLUMNS)), overwrite=True)
        for hemi, path in label_paths(self.layout, sub=self.sub).items():
            write_label_map(path, {"localizers": found[hemi].labels}, names=LABELS, hemi=hemi, colors=COLORS,
                            overwrite=True)
            maps = {f"{LOCALIZERS[name].area} {what}": values.astype(np.float32)
                    for name, one in found[hemi].contrasts.items()
                    for what, values in (("percent", one.percent), ("t", one.found.t), ("p", one.found.p))}
            write_maps(self.companions[f"Gifti{hemi}"], maps, hemi=hemi, overwrite=True)
        self.draw(found, self.companions["png_digest"])
        absent = {LOCALIZERS[name].task: _CONSEQUENCES[name] for name in LOCALIZERS if name not in self.runs}
        return {self.tables[0]: {**FORMAT.in_sidecar(), "LocalizersNotRun": absent, "RunsMissing": missing,
                                 "LeftOut": {name: runs.left_out for name, runs in self.runs.items()}}}

    def check(self) -> None:
        """See that the files can be read."""
        for path in self.tables:
            read_table(path)
        for hemi, path in label_paths(self.layout, sub=self.sub).items():
            load_areas(path, hemi=hemi)

    def tell(self) -> str:
        """Say what was found in a few words."""
        table = read_table(self.tables[0])
        counts = {area: " + ".join(str(n) for n in table.loc[table["area"] == area, "n_vertices"])
                  for area in ("LO", "hMT+", "LO and hMT+") if (table["area"] == area).any()}
        return f"sub-{self.sub}, vertices of L + R: " + ", ".join(f"{area} {said}" for area, said in counts.items())


_CONSEQUENCES = {"lo": "LO is not found", "motion": "LO still holds what hMT+ would take from it"}


def plan_localizers(request: Request, draw: Drawer) -> tuple[Work, ...]:
    """Plan the localizers of each subject, drawn by `draw`."""
    chosen, found = request.settings, []
    planned = {"lo": sum(chosen.lo.runs), "motion": sum(chosen.motion.runs)}
    discards = {"lo": chosen.lo.discard_s, "motion": chosen.motion.discard_s}
    for sub in request.subjects:
        runs = {name: SubjectRuns(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                                  space=chosen.analysis.space, settings=chosen.glm, tr_s=chosen.scanner.tr_s,
                                  n_discarded=count_discarded(discards[name], tr_s=chosen.scanner.tr_s),
                                  base_images=(), accept=chosen.analysis.accept, task=one.task)
                for name, one in LOCALIZERS.items() if request.layout.find_runs(sub, one.task)}
        found.append(SubjectLocalizers(runs=runs, planned=planned, settings=chosen.localizers,
                                       regions=chosen.roi.regions, draw=draw).work())
    return tuple(found)


def label_paths(layout: Layout, *, sub: str) -> dict[str, Path]:
    """Spell the paths of a subject's localized areas, by hemisphere."""
    return {hemi: layout.derivative("rois", sub=sub, hemi=hemi, suffix="desc-localizers_dseg.label.gii")
            for hemi in HEMISPHERES}


def load_areas(path: Path, *, hemi: str) -> Areas:
    """Read the areas of a hemisphere."""
    labels, keys = read_named_labels(path, hemi=hemi)
    lo, motion, shared = (labels == keys.get(name, -1) for name in LABELS.values())
    return Areas(lo, motion | shared, shared)


def describe_areas(one: LocalizedHemisphere, *, sub: str, settings: LocalizerSettings) -> list[dict[str, Any]]:
    """Give a row of the table for each area: by which contrast and threshold, how many vertices, how large.

    What joins two localizers has no contrast, threshold and peak of its own.
    """
    rows, extents = [], one.surface.vertex_areas()
    for area, mask in one.masks.items():
        name = {"LO-positive": "lo", "hMT+": "motion"}.get(area)
        row: dict[str, Any] = {"sub": sub, "hemi": one.surface.hemi, "area": area, "n_vertices": int(mask.sum()),
                               "share_pct": 100 * float(mask.mean()), "area_mm2": float(extents[mask].sum())}
        if name is not None:
            found, localizer = one.contrasts[name], LOCALIZERS[name]
            t = np.nan_to_num(found.found.t, nan=-np.inf)
            row |= {"contrast": f"{localizer.above} > {localizer.below}", "n_runs": found.n_runs,
                    "n_df": found.found.n_df, "p": settings.p, "threshold": settings.threshold,
                    "p_threshold": found.positive.p_threshold, "t_threshold": found.t_threshold,
                    "n_tested": found.positive.n_tested, "min_area_mm2": settings.min_area_mm2,
                    "n_scattered": found.positive.n_scattered, "t_max": float(t.max()), "peak_vertex": int(t.argmax()),
                    "prediction_r": found.prediction_r}
        rows.append({column: row.get(column) for column in COLUMNS})
    return rows


def describe_overlaps(one: LocalizedHemisphere, *, sub: str) -> list[dict[str, Any]]:
    """Give a row of the table for each area and labelled region: how many vertices they share."""
    rows = []
    for area, mask in one.masks.items():
        for region, inside in one.regions.items():
            both, n_area, n_region = int((mask & inside).sum()), int(mask.sum()), int(inside.sum())
            dice = 2 * both / (n_area + n_region) if n_area + n_region else float("nan")
            values = (sub, one.surface.hemi, area, region, n_area, n_region, both, dice)
            rows.append(dict(zip(OVERLAP_COLUMNS, values, strict=True)))
    return rows
