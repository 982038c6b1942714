"""The step ``propose``: borders of V1 to V4 from an atlas, moved to a subject's own receptive fields.

- ``sub-XX_hemi-X_desc-proposal_dseg.label.gii``: the proposed regions, within the field that was mapped;
- ``sub-XX_proposal.tsv``: a row a hemisphere and region (columns :data:`COLUMNS`).

They are no labels of the subject before somebody looked at them and took them with ``labels --from``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.files.registration import REGISTERED, read_registration
from analysis.data.flattening import read_freesurfer, read_template, to_flat
from analysis.data.sources import HEMISPHERES, SIMULATED, SubjectData, resolve_subject
from analysis.data.surface import Surface
from analysis.regions.drawing.atlas import PROPOSED, load_atlas
from analysis.regions.drawing.proposal import HALVED, Proposal, propose
from analysis.regions.drawing.tidying import make_whole
from analysis.regions.flat_maps import FREESURFER_FOLDERS, SubjectFlat
from analysis.regions.labels import read_named_labels, write_labels
from analysis.regions.prf.maps import PrfMaps, load_maps
from analysis.regions.prf.run import TASK, maps_paths
from analysis.steps import Extras, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import FileFormat
from subjects.store import read_table, write_table

Floats = NDArray[np.float64]
FORMAT = FileFormat("proposed regions", version=1)
COLUMNS = ("sub", "hemi", "region", "atlas", "n_vertices", "n_atlas", "dice_with_atlas", "n_measured", "turn_deg",
           "scale", "shift_mm", "stiffness", "misfit", "n_warped", "n_followed")


@dataclass(frozen=True, eq=False)
class ProposedHemisphere:
    """What was proposed for one hemisphere, and from which maps: their fields above an R2."""

    surface: Surface
    maps: PrfMaps
    proposal: Proposal
    r2_pct: float


Drawer = Callable[[Mapping[str, ProposedHemisphere], Path], None]
"""Draws what was proposed over the maps into a PNG (and beside it an SVG)."""


@dataclass(frozen=True, kw_only=True)
class SubjectProposal:
    """The proposal for one subject.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline, space : str
        ``analysis.bold`` and ``analysis.space``.
    atlas : str
        ``roi.proposal_atlas``.
    r2_pct : float
        ``roi.proposal_r2_pct``: fields of vertices above it count.
    draw : callable
        See :data:`Drawer`.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    atlas: str
    r2_pct: float
    draw: Drawer

    @property
    def table(self) -> Path:
        """The table of both hemispheres."""
        return self.layout.derivative("rois", sub=self.sub, suffix="proposal.tsv")

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space, task=TASK)

    def work(self) -> Work:
        """Plan them."""
        picture = self.table.with_suffix(".png")
        return Work(name=f"sub-{self.sub}", sub=self.sub, origin=self.origin, make=self.make, check=self.check,
                    outputs=(self.table, *proposal_paths(self.layout, sub=self.sub).values()), tell=self.tell,
                    companions={"png_digest": picture, "svg_digest": picture.with_suffix(".svg")})

    def origin(self, _: Path) -> Origin:
        """Say what all files are made from."""
        inputs: dict[str, Path | str] = {f"prf_{hemi}": path for hemi, path in
                                         maps_paths(self.layout, sub=self.sub).items()}
        for hemi in HEMISPHERES:
            inputs |= {f"{name}_{hemi}": path for name, path in self.data.surfaces[hemi].items()}
        return Origin(inputs, {"proposal_atlas": self.atlas, "proposal_r2_pct": self.r2_pct,
                               "source": self.data.source})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Propose both hemispheres; give what then saves them."""
        found = {hemi: self._propose(hemi) for hemi in
                 progress(HEMISPHERES, label=f"proposal sub-{self.sub}", total=len(HEMISPHERES))}
        return lambda: self._save(found)

    def _propose(self, hemi: str) -> ProposedHemisphere:
        surface, where = self.data.load_surface(hemi), f"sub-{self.sub} hemi-{hemi}"
        maps = load_maps(maps_paths(self.layout, sub=self.sub)[hemi])
        places = template_places(self.layout, self.data, surface=surface)
        if not maps.n_vertices == surface.n_vertices == len(places):
            raise AnalysisError(where, came=f"receptive fields of {maps.n_vertices} vertices, a surface of "
                                f"{surface.n_vertices} and a registration of {len(places)}", expected="one mesh",
                                remedy="Take meshes and time series of one subject and space, and run `python -m "
                                       "analysis prf` again.")
        weights = np.where(maps.shown(r2_pct=self.r2_pct), np.nan_to_num(maps.fit.r2), 0.0)
        found = propose(places, x_deg=maps.fit.x_deg, y_deg=maps.fit.y_deg, weights=weights,
                        atlas=load_atlas(hemi, self.atlas), field_deg=min(maps.field_deg) / 2, where=where)
        whole = make_whole(found.labels, surface, halved=HALVED)
        return ProposedHemisphere(surface, maps, replace(found, labels=whole), self.r2_pct)

    def _save(self, found: Mapping[str, ProposedHemisphere]) -> Extras:
        describe_derivative(self.layout, "rois")
        rows = [row for one in found.values() for row in describe_proposal(one, sub=self.sub, atlas=self.atlas)]
        write_table(self.table, pd.DataFrame(rows, columns=list(COLUMNS)), overwrite=True)
        for hemi, path in proposal_paths(self.layout, sub=self.sub).items():
            write_labels(path, found[hemi].proposal.labels, hemi=hemi, names=PROPOSED, overwrite=True)
        self.draw(found, self.table.with_suffix(".png"))
        return {self.table: FORMAT.in_sidecar()}

    def check(self) -> None:
        """See that the files can be read."""
        read_table(self.table)
        for hemi, path in proposal_paths(self.layout, sub=self.sub).items():
            read_named_labels(path, hemi=hemi)

    def tell(self) -> str:
        """Say what was proposed in a few words, and what to do with it."""
        table = read_table(self.table)
        counts = table.groupby("region", sort=False)["n_vertices"].sum()
        files = " ".join(f"--from {path}" for path in proposal_paths(self.layout, sub=self.sub).values())
        counted = ", ".join(f"{name} {n}" for name, n in counts.items())
        return (f"sub-{self.sub}: {counted} vertices; look at the picture, then take it with `python -m analysis "
                f"labels --study {self.layout.argument} --sub {self.sub} {files}`")


def plan_proposals(request: Request, draw: Drawer) -> tuple[Work, ...]:
    """Plan the proposal for each subject, drawn by `draw`."""
    chosen = request.settings
    return tuple(SubjectProposal(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                                 space=chosen.analysis.space, atlas=chosen.roi.proposal_atlas,
                                 r2_pct=chosen.roi.proposal_r2_pct, draw=draw).work() for sub in request.subjects)


def proposal_paths(layout: Layout, *, sub: str) -> dict[str, Path]:
    """Spell the paths of a subject's proposed regions, by hemisphere."""
    return {hemi: layout.derivative("rois", sub=sub, hemi=hemi, suffix="desc-proposal_dseg.label.gii")
            for hemi in HEMISPHERES}


def template_places(layout: Layout, data: SubjectData, *, surface: Surface) -> Floats:
    """Say where a subject's vertices are on the template's flat map, (n_vertices, 2) mm; NaN off it.

    A simulated subject's flat map is the template's; a preprocessed one's vertices come there by ``sphere.reg``, of
    FreeSurfer's folder or as fMRIPrep wrote it.

    Raises
    ------
    AnalysisError
        Without that registration.
    """
    if data.source == SIMULATED:
        return surface.flat.astype(np.float64)
    flattened = SubjectFlat(layout, data)
    try:
        folder = flattened.folder
    except AnalysisError as error:
        raise AnalysisError(
            error.where, came=error.came, expected="surf/lh.sphere.reg and rh.sphere.reg, or fMRIPrep's "
            f"{REGISTERED.format(hemi='L')}: by them the atlas is laid on the subject",
            remedy=f"Copy both there, or under {', '.join(FREESURFER_FOLDERS[1:])}; or draw the regions by hand, which "
                   f"needs neither (`python -m analysis draw --study {layout.argument} --sub {data.sub} --hemi "
                   f"{surface.hemi}`).") from error
    if flattened.registered:
        return to_flat(read_registration(flattened.spheres[surface.hemi], hemi=surface.hemi), hemi=surface.hemi)
    if folder is None:
        flat, faces = read_template(surface.hemi, "flat")
        places = np.full((len(flat), 2), np.nan)
        places[np.unique(faces)] = flat[np.unique(faces), :2]
        return places
    sphere, _ = read_freesurfer(folder, hemi=surface.hemi, name="sphere.reg",
                                remedy="Copy it from the subject's folder, since the atlas is laid on by it; or draw "
                                       "the regions by hand (`python -m analysis draw`).")
    return to_flat(sphere, hemi=surface.hemi)


def describe_proposal(one: ProposedHemisphere, *, sub: str, atlas: str) -> list[dict[str, Any]]:
    """Give a row of the table for each region."""
    found, rows = one.proposal, []
    start = found.warp.start
    for k, name in enumerate(PROPOSED, start=1):
        own, theirs = found.labels == k, found.atlas == k
        total = int(own.sum() + theirs.sum())
        values = (sub, one.surface.hemi, name, atlas, int(own.sum()), int(theirs.sum()),
                  2 * float((own & theirs).sum()) / total if total else float("nan"), found.n_measured, start.turn_deg,
                  start.scale, float(np.hypot(*start.shift_mm)), found.stiffness, found.warp.misfit,
                  int((found.warped == k).sum()), found.n_followed if name == "V4" else 0)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows
