"""The step ``select``: the choice of vertices as files, with what it hangs on and whether it biases anything.

``rsa`` and ``encode`` choose the same vertices by the same functions; what is written here is for people to look at:

- ``sub-XX_selection.tsv``: a row a region and hemisphere (columns :data:`COLUMNS`);
- ``sub-XX_bias.tsv``: a row a region and comparison (columns :data:`BIAS_COLUMNS`);
- ``sub-XX_hemi-X_selection.h5``: the map of split-half rho, disk sizes, and for each region the chosen vertices and the
  dissimilarities of the RE images around them at both presentations;
- ``sub-XX_hemi-X_selection.func.gii``: the map for Workbench and Freeview;
- ``sub-XX_selection.png`` and ``.svg``: the map and the chosen vertices on the flattened cortex.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.gifti import write_maps
from analysis.data.hdf5 import read_hdf5, text_array, write_hdf5
from analysis.data.sources import HEMISPHERES, SubjectData, require_whole, resolve_subject
from analysis.data.surface import Surface
from analysis.glm.betas import Betas, load_betas
from analysis.glm.combining import betas_paths, require_images
from analysis.regions.disk_rdms import Disks, condensed_rdms, restrict_disks
from analysis.regions.labels import Regions, read_regions
from analysis.regions.patterns import (
    Choice,
    brain_inputs,
    choose_vertices,
    re_halves,
    require_shown,
    selection_parameters,
)
from analysis.regions.selection_bias import Bias, Side, measure_bias
from analysis.steps import Extras, Origin, Request, Work
from stimuli.manifest import read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import FileFormat, rng
from subjects.settings.analysis import RoiSettings
from subjects.store import read_table, write_table

log = logging.getLogger(__name__)

FORMAT = FileFormat("selection of vertices", version=1)
REMEDY = "Run `python -m analysis select`."
COLUMNS = ("sub", "hemi", "roi", "n_vertices", "n_silent", "disk_min", "disk_median", "disk_max", "n_eligible",
           "n_chosen", "rho_median", "rho_min", "near_border_chosen", "near_border_all", "other_disk",
           "n_chosen_by_both", "near_border_other")
BIAS_COLUMNS = ("sub", "roi", "comparison", "n_draws", "bias", "standard_error", "mean_anew", "mean_fixed",
                "share_above_95_pct")
_OTHER = {"region": "whole", "whole": "region"}


def plan_selections(request: Request, draw: Drawer) -> tuple[Work, ...]:
    """Plan the selection of each subject, drawn by `draw`."""
    chosen = request.settings
    subjects = [SubjectSelection(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                                 space=chosen.analysis.space, roi=chosen.roi, dissimilarity=chosen.rsa.dissimilarity,
                                 seed=chosen.study.seed, draw=draw)
                for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=one.paths, companions=one.companions,
                      origin=one.origin, make=one.make, check=one.check, tell=one.tell) for one in subjects)


@dataclass(frozen=True, eq=False)
class Found:
    """One hemisphere's choice and what it was made of; `other` is that by the other kind of disk, if it gives one."""

    surface: Surface
    names: tuple[str, ...]
    labels: NDArray[np.int16]
    betas: Betas
    disks: Disks
    choice: Choice
    other: Choice | None

    @property
    def halves(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """RE at presentation 1 and 2."""
        return re_halves(self.betas, base_images=self.betas.base_images)

    def inside(self, roi: str) -> NDArray[np.bool_]:
        """Say which vertices are of a region, (n_vertices,)."""
        return np.asarray(self.labels == self.names.index(roi) + 1)


Drawer = Callable[[Mapping[str, Found], Path], None]
"""Draws a choice into a PNG (and beside it an SVG): the report's, which lies above this folder."""


@dataclass(frozen=True, kw_only=True)
class SubjectSelection:
    """The selection of one subject; parameters as in :class:`~analysis.regions.subject_regions.SubjectRegions`.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    space : str
        ``analysis.space``.
    roi : RoiSettings
    dissimilarity : str
        ``rsa.dissimilarity``.
    seed : int
        The study's.
    draw : callable
        See :data:`Drawer`.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    roi: RoiSettings
    dissimilarity: str
    seed: int
    draw: Drawer

    @property
    def paths(self) -> tuple[Path, ...]:
        """The two tables, and the file of each hemisphere."""
        tables = (self.layout.derivative("rois", sub=self.sub, suffix=name) for name in ("selection.tsv", "bias.tsv"))
        return (*tables, *selection_paths(self.layout, sub=self.sub).values())

    @property
    def companions(self) -> dict[str, Path]:
        """The maps for other programs, and the picture."""
        maps = {f"Gifti{hemi}": path.with_name(path.name.replace(".h5", ".func.gii"))
                for hemi, path in selection_paths(self.layout, sub=self.sub).items()}
        picture = self.paths[0].with_suffix(".png")
        return {**maps, "png_digest": picture, "svg_digest": picture.with_suffix(".svg")}

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space))

    def origin(self, _: Path) -> Origin:
        """Say what all files are made from."""
        inputs = brain_inputs(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi)
        return Origin({**inputs, "manifest": self.layout.manifest},
                      {"seed": self.seed, "dissimilarity": self.dissimilarity, "roi": selection_parameters(self.roi),
                       "bias_draws": self.roi.bias_draws})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Choose by both kinds of disk, and measure the bias."""
        regions = read_regions(self.data.labels, settings=self.roi, where=f"sub-{self.sub}")
        found = {hemi: self._choose(hemi, path, regions)
                 for hemi, path in betas_paths(self.layout, sub=self.sub).items()}
        rows = [describe_choice(one, roi, sub=self.sub, settings=self.roi)
                for one in found.values() for roi in regions.names]
        places = regions.names if self.roi.bias_draws >= 2 else ()
        bias = {roi: self._bias(found, roi) for roi in progress(places, label=f"selection bias sub-{self.sub}",
                                                                total=len(places))}
        lines = [{"sub": self.sub, "roi": roi, "comparison": f"RE-{kind}", "n_draws": len(one.anew), "bias": one.mean,
                  "standard_error": one.error, "mean_anew": one.anew.mean(), "mean_fixed": one.fixed.mean(),
                  "share_above_95_pct": one.share_above}
                 for roi, by_kind in bias.items() for kind, one in by_kind.items()]
        return lambda: self._save(found, rows, lines, left_out=regions.left_out)

    def _choose(self, hemi: str, path: Path, regions: Regions) -> Found:
        where, labels = f"sub-{self.sub} hemi-{hemi}", regions.labels[hemi]
        betas = load_betas(path, sub=self.sub, hemi=hemi)
        manifest = read_manifest(self.layout.manifest)
        require_shown(betas, manifest, where=where)
        require_images(betas, path, planned=manifest.base_images, where=where)
        if self.roi.session_means != "kept":
            betas = betas.without_session_means(pooled=self.roi.session_means == "pooled")
        surface = self.data.load_surface(hemi)
        disks = surface.kept_disks(self.roi.radius_mm, along=self.roi.along)
        choose = partial(choose_vertices, re_halves(betas, base_images=betas.base_images), disks=disks, labels=labels,
                         names=regions.names, measure=self.dissimilarity)
        choice = choose(settings=self.roi, where=where)
        own = restrict_disks(disks, usable=~choice.consistency.silent,
                             regions=labels if self.roi.disk == "region" else None)
        try:
            other = choose(settings=self.roi.model_copy(update={"disk": _OTHER[self.roi.disk], "refuse_disk": 0}),
                           where=f"with roi.disk = {_OTHER[self.roi.disk]!r}, for comparison: {where}")
        except AnalysisError as error:
            log.warning("%s", error)
            other = None
        return Found(surface, regions.names, labels, betas, own, choice, other)

    def _bias(self, found: Mapping[str, Found], roi: str) -> dict[str, Bias]:
        sides = [Side(halves=one.halves, disks=one.disks, chosen=one.choice.vertices[roi],
                      eligible=eligible_vertices(one.choice, one.inside(roi), settings=self.roi),
                      others={kind: one.betas.select(type=kind, presentation="mean",
                                                     base_images=one.betas.base_images) for kind in ("AN", "AI")})
                 for one in found.values()]
        return measure_bias(sides, sessions=found["L"].betas.sessions(), n_draws=self.roi.bias_draws,
                            measure=self.dissimilarity, rng=rng(self.seed, self.sub, roi, "selection bias"))

    def _save(self, found: Mapping[str, Found], rows: list[dict[str, Any]], bias: list[dict[str, Any]], *,
              left_out: Mapping[str, str]) -> Extras:
        describe_derivative(self.layout, "rois")
        write_table(self.paths[0], pd.DataFrame(rows, columns=list(COLUMNS)), overwrite=True)
        write_table(self.paths[1], pd.DataFrame(bias, columns=list(BIAS_COLUMNS)), overwrite=True)
        for hemi, path in selection_paths(self.layout, sub=self.sub).items():
            save_selection(path, found[hemi], measure=self.dissimilarity)
            consistency = found[hemi].choice.consistency
            maps = {"split_half_rho": consistency.rho, "disk_size": consistency.disk_sizes}
            write_maps(self.companions[f"Gifti{hemi}"], {name: one.astype(np.float32) for name, one in maps.items()},
                       hemi=hemi, overwrite=True)
        self.draw(found, self.companions["png_digest"])
        distortion = {hemi: one.surface.distortion().summary() for hemi, one in found.items()}
        return {self.paths[0]: {**FORMAT.in_sidecar(), "FlatMap": distortion, "RegionsLeftOut": dict(left_out)}}

    def check(self) -> None:
        """See that the files can be read."""
        read_table(self.paths[0])
        read_table(self.paths[1])
        for path in self.paths[2:]:
            load_selected(path)

    def tell(self) -> str:
        """Say what was chosen, and the largest bias, in a few words."""
        table, bias = read_table(self.paths[0]), read_table(self.paths[1])
        said = (f"sub-{self.sub}: {int(table['n_chosen'].sum())} vertices, median split-half rho "
                f"{table['rho_median'].median():.2f}, disks of {table['disk_median'].median():g} vertices")
        if not len(bias):
            return said
        worst = bias.iloc[int(bias["bias"].abs().to_numpy().argmax())]
        return (f"{said}; largest bias of a similarity by the choice {worst['bias']:+.3f} +- "
                f"{worst['standard_error']:.3f} ({worst['roi']} {worst['comparison']})")


def selection_paths(layout: Layout, *, sub: str) -> dict[str, Path]:
    """Spell the paths of a subject's selection, by hemisphere."""
    return {hemi: layout.derivative("rois", sub=sub, hemi=hemi, suffix="selection.h5") for hemi in HEMISPHERES}


def eligible_vertices(choice: Choice, region: NDArray[np.bool_], *, settings: RoiSettings) -> NDArray[np.int64]:
    """List the vertices of a region that could be chosen."""
    consistency = choice.consistency
    fit = (consistency.disk_sizes >= settings.min_disk) & np.isfinite(consistency.rho)
    return np.flatnonzero(region & fit)


def describe_choice(found: Found, roi: str, *, sub: str, settings: RoiSettings) -> dict[str, Any]:
    """Give a row of the table: sizes of the disks, and how the choice lies in its region.

    Near the border is who has a vertex of another region, or of none, within ``roi.radius_mm`` along the flat map.
    """
    region = found.inside(roi)
    consistency, chosen = found.choice.consistency, found.choice.vertices[roi]
    sizes = consistency.disk_sizes[region & ~consistency.silent]
    near = found.surface.distance_to(np.flatnonzero(~region)) <= settings.radius_mm
    other = None if found.other is None else found.other.vertices[roi]
    compared = (np.nan, np.nan) if other is None else (len(np.intersect1d(chosen, other)), near[other].mean())
    values = (sub, found.surface.hemi, roi, int(region.sum()), int((region & consistency.silent).sum()), sizes.min(),
              np.median(sizes), sizes.max(), len(eligible_vertices(found.choice, region, settings=settings)),
              len(chosen), np.median(consistency.rho[chosen]), consistency.rho[chosen].min(), near[chosen].mean(),
              near[region].mean(), _OTHER[settings.disk], *compared)
    return dict(zip(COLUMNS, values, strict=True))


def save_selection(path: Path, found: Found, *, measure: str) -> None:
    """Write one hemisphere's selection to HDF5; see above for what the file holds."""
    consistency = found.choice.consistency
    with write_hdf5(path, form=FORMAT, overwrite=True) as file:
        file.attrs["hemi"] = found.surface.hemi
        file["base_images"] = text_array(found.betas.base_images)
        file["rho"] = consistency.rho.astype(np.float32)
        file["disk_sizes"] = consistency.disk_sizes
        file["silent"] = consistency.silent
        for roi, chosen in found.choice.vertices.items():
            group = file.create_group(roi)
            group["vertices"] = chosen
            for k, half in enumerate(found.halves, start=1):
                group[f"rdm_{k}"] = condensed_rdms(half, disks=found.disks, centres=chosen, measure=measure)


def load_selected(path: Path) -> dict[str, NDArray[np.int64]]:
    """Read which vertices of a hemisphere were chosen, by region."""
    with read_hdf5(path, form=FORMAT, remedy=REMEDY, marked=True) as file:
        return {roi: np.asarray(group["vertices"][:], dtype=np.int64) for roi, group in file.items()
                if isinstance(group, h5py.Group)}


def load_maps(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[str, NDArray[np.int64]]]:
    """Read a hemisphere's split-half rho and disk sizes, (n_vertices,) each, and the chosen vertices by region."""
    with read_hdf5(path, form=FORMAT, remedy=REMEDY, marked=True) as file:
        rho, sizes = file["rho"][:], file["disk_sizes"][:]
    return np.asarray(rho, dtype=np.float32), np.asarray(sizes, dtype=np.int64), load_selected(path)
