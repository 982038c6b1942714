"""The step ``flatten``: flat maps, and midway meshes where these are missing, for a preprocessed subject's surfaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from analysis.data.files.finding import find_anatomy
from analysis.data.files.registration import REGISTERED, describe_other_spheres, find_registration, read_registration
from analysis.data.flattening import (
    FREESURFER_SIDES,
    find_patch,
    flatten_freesurfer,
    flatten_registered,
    whole_template,
)
from analysis.data.gifti import read_gifti, require_side
from analysis.data.sources import HEMISPHERES, SIMULATED, SURFACES, SubjectData, anatomy_path, resolve_subject
from analysis.data.surface import Surface, load_surface, save_surface
from analysis.steps import Extras, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout

TEMPLATE = "fsaverage5"
"""The space whose meshes and flat map ship with nilearn."""
FREESURFER_FOLDERS = ("derivatives/fmriprep/sourcedata/freesurfer", "derivatives/freesurfer",
                      "sourcedata/freesurfer")
"""Where a study keeps FreeSurfer's subjects: fMRIPrep's default, and what its older releases and BIDS name."""
_SURFACES = ("white", "pial", "sphere.reg")


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the flat maps of each subject, both hemispheres together."""
    chosen = request.settings.analysis
    return tuple(SubjectFlat(request.layout, resolve_subject(request.layout, sub=sub, pipeline=chosen.bold,
                                                             space=chosen.space)).work() for sub in request.subjects)


@dataclass(frozen=True)
class SubjectFlat:
    """The flat maps of one subject.

    Parameters
    ----------
    layout : Layout
    data : SubjectData
    """

    layout: Layout
    data: SubjectData

    def __post_init__(self) -> None:
        if self.data.source == SIMULATED:
            raise AnalysisError(f"sub-{self.data.sub}", came="a simulated subject, who has a flat map already",
                                expected="a preprocessed one", remedy="Nothing needs to be done.")

    @property
    def space(self) -> str:
        """The surface space of the time series."""
        return self.data.space or "fsnative"

    @cached_property
    def folder(self) -> Path | None:
        """FreeSurfer's folder of the subject, or of the template whose space it is.

        None for nilearn's template, and where fMRIPrep's registered spheres (:attr:`spheres`) stand in for it.
        """
        if self.space == TEMPLATE:
            return None
        wanted = [f"sub-{self.data.sub}", *sorted({f"sub-{key.sub}_ses-{key.ses}" for key in self.data.runs})]
        names = wanted if self.space == "fsnative" else [self.space]
        found = [self.layout.root / parent / name for parent in FREESURFER_FOLDERS for name in names]
        for folder in found:
            if (folder / "surf").is_dir():
                return folder
        if self.spheres:
            return None
        others = "; ".join(filter(None, (describe_other_spheres(self._pipelines, sub=self.data.sub, hemi=hemi)
                                         for hemi in HEMISPHERES))) if self.space == "fsnative" else ""
        raise AnalysisError(
            str(found[0]), came=f"no FreeSurfer folder for time series in {self.space}"
            + (f", and of fMRIPrep's spheres only {others}" if others else ""),
            expected="surf/lh.white, lh.pial and lh.sphere.reg"
            + (f", or fMRIPrep's {REGISTERED.format(hemi='L')}" if self.space == "fsnative" else ""),
            remedy=f"Copy it there or under {', '.join(FREESURFER_FOLDERS[1:])}; or set analysis.space "
                   f"to {TEMPLATE}, whose flat map is at hand.")

    @property
    def _pipelines(self) -> tuple[Path, ...]:
        """Folders of the pipelines that write surfaces."""
        return tuple(self.layout.derivatives(name) for name in dict.fromkeys(("fmriprep", self.data.source)))

    @cached_property
    def spheres(self) -> dict[str, Path]:
        """Spheres of fMRIPrep that are registered to fsaverage, by hemisphere; empty unless both are there."""
        if self.space != "fsnative":
            return {}
        found = {hemi: find_registration(self._pipelines, sub=self.data.sub, hemi=hemi) for hemi in HEMISPHERES}
        return {hemi: path for hemi, path in found.items() if path is not None} if all(found.values()) else {}

    @property
    def registered(self) -> bool:
        """Whether fMRIPrep's spheres stand in for FreeSurfer's folder."""
        return self.folder is None and self.space != TEMPLATE

    def midway(self, hemi: str) -> Path:
        """Give the path of fMRIPrep's midway mesh.

        Raises
        ------
        AnalysisError
            Without one.
        """
        path = find_anatomy(self._pipelines, sub=self.data.sub, hemi=hemi, suffix="midthickness.surf.gii")
        if path is None:
            raise AnalysisError(str(self.spheres[hemi].parent), came="no midway mesh beside the registered sphere",
                                expected=f"*_hemi-{hemi}_midthickness.surf.gii",
                                remedy="Copy fMRIPrep's whole anat/ folder.")
        return path

    def _path(self, hemi: str, name: str) -> Path:
        own = "" if self.space == "fsnative" else f"space-{self.space.replace(' ', '_')}_"
        return anatomy_path(self.layout, source=SURFACES, sub=self.data.sub, hemi=hemi, suffix=f"{own}{name}.surf.gii")

    def paths(self, hemi: str) -> tuple[Path, Path]:
        """Spell where midway mesh and flat map are written."""
        return self._path(hemi, "midthickness"), self._path(hemi, "flat")

    def work(self) -> Work:
        """Plan them."""
        outputs = tuple(path for hemi in HEMISPHERES for path in self.paths(hemi))
        return Work(name=f"sub-{self.data.sub}", sub=self.data.sub, outputs=outputs, origin=self.origin,
                    make=self.make, check=self.load, tell=self.tell)

    def origin(self, path: Path) -> Origin:
        """Say what a file is made from."""
        hemi = next(hemi for hemi in HEMISPHERES if path in self.paths(hemi))
        if self.registered:
            return Origin({"midthickness": self.midway(hemi), "sphere": self.spheres[hemi]}, {"space": self.space})
        if self.folder is None:
            return Origin({}, {"space": self.space, "template": TEMPLATE})
        side, patch = FREESURFER_SIDES[hemi], find_patch(self.folder, hemi=hemi)
        files = [self.folder / "surf" / f"{side}.{name}" for name in _SURFACES] if patch is None else \
            [self.folder / "surf" / f"{side}.white", self.folder / "surf" / f"{side}.pial", patch]
        return Origin({one.name: one for one in files}, {"space": self.space})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Flatten both hemispheres; give what then saves them."""
        found = {hemi: self._flatten(hemi) for hemi in
                 progress(HEMISPHERES, label=f"flat maps sub-{self.data.sub}", total=len(HEMISPHERES))}
        return lambda: self._save(found)

    def _flatten(self, hemi: str) -> Surface:
        if self.registered:
            path = self.midway(hemi)
            image = read_gifti(path, expected="a surface mesh")
            require_side(image, hemi=hemi, path=path)
            points, faces = (image.agg_data(kind) for kind in ("pointset", "triangle"))
            return flatten_registered(points.astype(np.float64), faces.astype(np.int64), hemi=hemi,
                                      sphere=read_registration(self.spheres[hemi], hemi=hemi),
                                      where=str(self.spheres[hemi]))
        made = whole_template(hemi)[0] if self.folder is None else flatten_freesurfer(self.folder, hemi=hemi)
        mesh = find_anatomy([self.layout.derivatives(self.data.source)], sub=self.data.sub, hemi=hemi,
                            suffix="midthickness.surf.gii", space=self.space)
        if mesh is not None:
            require_one_mesh(mesh, made, hemi=hemi)
        return made

    def _save(self, found: dict[str, Surface]) -> Extras:
        describe_derivative(self.layout, SURFACES)
        for hemi, surface in found.items():
            path, flat_path = self.paths(hemi)
            save_surface(surface, path, flat_path=flat_path, overwrite=True)
        return {path: {"FlatMap": self._kind(hemi), "Distortion": surface.distortion().summary()}
                for hemi, surface in found.items() for path in self.paths(hemi)}

    def _kind(self, hemi: str) -> str:
        """Say where a flat map comes from."""
        if self.registered:
            return f"{TEMPLATE}'s, by {self.spheres[hemi].name}"
        if self.folder is None:
            return f"{TEMPLATE}'s own"
        patch = find_patch(self.folder, hemi=hemi)
        return f"{TEMPLATE}'s, by sphere.reg" if patch is None else patch.name

    def load(self) -> dict[str, Surface]:
        """Read what was made."""
        return {hemi: load_surface(mid, flat_path=flat, hemi=hemi)
                for hemi in HEMISPHERES for mid, flat in [self.paths(hemi)]}

    def tell(self) -> str:
        """Say how far the maps leave the surfaces' own measures."""
        return f"flat maps of sub-{self.data.sub}: " + "; ".join(
            f"{hemi}: {surface.distortion().summary()}" for hemi, surface in self.load().items())


def require_one_mesh(path: Path, made: Surface, *, hemi: str) -> None:
    """See that fMRIPrep's midway mesh has the vertices of FreeSurfer's surfaces.

    Raises
    ------
    AnalysisError
        If it has another number: it is of another subject, or of another recon-all run.
    """
    image = read_gifti(path, expected="a surface mesh")
    require_side(image, hemi=hemi, path=path)
    n = len(image.agg_data("pointset"))
    if n != made.n_vertices:
        raise AnalysisError(str(path), came=f"{n} vertices", expected=f"{made.n_vertices}, as {made.where} has",
                            remedy="Take the FreeSurfer folder that this subject was preprocessed with.")
