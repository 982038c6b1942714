"""The step ``searchlight``: both similarities around every vertex of both hemispheres, as GIFTI maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.data.gifti import read_gifti, write_maps
from analysis.data.sources import HEMISPHERES, SubjectData, require_whole, resolve_subject
from analysis.data.surface import Surface
from analysis.glm.betas import Betas, load_betas
from analysis.glm.combining import betas_paths, missing_runs_of, require_images
from analysis.jobs import Each, at_once
from analysis.regions.patterns import require_shown
from analysis.rsa.searchlight.correction import corrected_maps
from analysis.rsa.searchlight.disks import COMPARED, Searchlight, search
from analysis.statistics.draws import permutations, warn_of_few
from analysis.steps import Origin, Request, Work
from stimuli.manifest import TYPES, read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import rng
from subjects.settings.analysis import RoiSettings, RsaSettings

Extras = dict[Path, dict[str, Any]]
FORMING_Z = 3.1


def plan(request: Request) -> tuple[Work, ...]:
    """Plan each subject's maps."""
    chosen = request.settings
    warn_of_few(chosen.rsa.searchlight_permutations, asked_by="rsa.searchlight_permutations")
    n_threads = request.n_jobs if len(request.subjects) == 1 else 1
    works = [SubjectSearchlight(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                                space=chosen.analysis.space, roi=chosen.roi,
                                rsa=chosen.rsa, seed=chosen.study.seed, each=at_once(n_threads))
             for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=one.paths, origin=one.origin, make=one.make,
                      check=one.check) for one in works)


@dataclass(frozen=True, kw_only=True)
class SubjectSearchlight:
    """The maps of one subject.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    space : str
        ``analysis.space``.
    roi : RoiSettings
        Radius and smallest disk, and what is done with session means.
    rsa : RsaSettings
        Dissimilarity, and how many permutations.
    seed : int
        The study's.
    each : Each
        How hemispheres are gone through.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    roi: RoiSettings
    rsa: RsaSettings
    seed: int
    each: Each

    @property
    def paths(self) -> tuple[Path, ...]:
        """The maps of the left and the right hemisphere."""
        return searchlight_paths(self.layout, sub=self.sub)

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space))

    def origin(self, _: Path) -> Origin:
        """Say what both files are made from."""
        inputs: dict[str, Path | str] = {"manifest": self.layout.manifest}
        for hemi, path in betas_paths(self.layout, sub=self.sub).items():
            inputs |= {f"betas_{hemi}": path, f"flat_{hemi}": self.data.surfaces[hemi]["flat"]}
        return Origin(inputs, {"seed": self.seed, "roi": self.roi.model_dump(mode="json", include={
            "radius_mm", "min_disk", "session_means"}), "rsa": self.rsa.model_dump(mode="json", include={
                "dissimilarity", "comparison", "pairs", "null_mean", "searchlight_permutations"})})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Search both hemispheres, and correct both together."""
        _require_choices(self.rsa)
        surfaces = {hemi: self.data.load_surface(hemi) for hemi in HEMISPHERES}
        betas = self._load()
        orders = None
        if self.rsa.searchlight_permutations:
            one = betas[HEMISPHERES[0]]
            orders = permutations(len(one.base_images), n=self.rsa.searchlight_permutations, blocks=one.sessions(),
                                  rng=rng(self.seed, self.sub, "searchlight"))
        found = dict(progress(self.each(lambda hemi: (hemi, self._search(
            surfaces[hemi], betas[hemi], orders=orders)), HEMISPHERES), label=f"searchlight sub-{self.sub}",
            total=len(HEMISPHERES)))
        maps = {hemi: similarity_maps(one) for hemi, one in found.items()}
        if orders is not None:
            p = corrected_maps(found, edges={hemi: one.edges for hemi, one in surfaces.items()}, forming_z=FORMING_Z)
            maps = {hemi: {**own, **p[hemi]} for hemi, own in maps.items()}
        return lambda: self._save(maps)

    def _load(self) -> dict[str, Betas]:
        manifest = read_manifest(self.layout.manifest)
        found = {}
        for hemi, path in betas_paths(self.layout, sub=self.sub).items():
            one = load_betas(path, sub=self.sub, hemi=hemi)
            require_shown(one, manifest, where=f"sub-{self.sub} hemi-{hemi}")
            require_images(one, path, planned=manifest.base_images, where=f"sub-{self.sub} hemi-{hemi}")
            found[hemi] = one if self.roi.session_means == "kept" else one.without_session_means(
                pooled=self.roi.session_means == "pooled")
        return found

    def _search(self, surface: Surface, betas: Betas, *, orders: NDArray[np.intp] | None) -> Searchlight:
        names = betas.base_images
        responses = {kind: betas.select(type=kind, base_images=names) for kind in TYPES}
        blocks = betas.sessions() if self.rsa.null_mean == "removed" else None
        disks = surface.kept_disks(self.roi.radius_mm)
        return search(responses, disks=disks, min_disk=self.roi.min_disk, blocks=blocks,
                      orders=orders, forming_z=FORMING_Z)

    def _save(self, maps: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> Extras:
        describe_derivative(self.layout, "rsa")
        for path, (hemi, own) in zip(self.paths, maps.items(), strict=True):
            write_maps(path, own, hemi=hemi, overwrite=True)
        less = ", less its mean over exchanged labels within sessions" if self.rsa.null_mean == "removed" else ""
        said = (f"Spearman's rho of RDMs (1 - Pearson's r){less}, on disks of {self.roi.radius_mm:g} mm along the flat "
                "map")
        if self.rsa.searchlight_permutations:
            n = self.rsa.searchlight_permutations
            said += (f"; p one-sided by {n} permutations within sessions, the same at every vertex; clusters above z = "
                     f"{FORMING_Z}; {say_reach(n)}")
        gaps = missing_runs_of(betas_paths(self.layout, sub=self.sub).values())
        return {path: {"Maps": list(own), "Searchlight": said, **gaps}
                for path, own in zip(self.paths, maps.values(), strict=True)}

    def check(self) -> None:
        """See that both files can be read."""
        for path in self.paths:
            read_gifti(path, expected="searchlight maps")


def say_reach(n: int) -> str:
    """Say what a false discovery rate below .05 takes with n permutations, whose smallest p is 1 / (n + 1).

    Examples
    --------
    >>> say_reach(99)
    'a false discovery rate below .05 takes the smallest p, 0.01, in more than 20 % of all vertices'
    >>> say_reach(19)
    'no false discovery rate is below .05: the smallest p is 0.05'
    """
    share, least = 100 / (0.05 * (n + 1)), f"{1 / (n + 1):.2g}"
    if share >= 100:
        return f"no false discovery rate is below .05: the smallest p is {least}"
    return f"a false discovery rate below .05 takes the smallest p, {least}, in more than {share:.3g} % of all vertices"


def _require_choices(chosen: RsaSettings) -> None:
    """See that maps are asked for as they can be made: what `rsa` offers beside is no silent default here."""
    if chosen.dissimilarity != "correlation":
        raise AnalysisError("searchlight", came=f"rsa.dissimilarity = {chosen.dissimilarity!r}",
                            expected="correlation", remedy="Run it with rsa.dissimilarity = \"correlation\".")
    if chosen.comparison not in ("spearman", "rho_a"):
        raise AnalysisError("searchlight", came=f"rsa.comparison = {chosen.comparison!r}",
                            expected="spearman, or rho_a, which is the same without ties",
                            remedy="Run it with rsa.comparison = \"spearman\".")
    if chosen.pairs != "all":
        raise AnalysisError("searchlight", came=f"rsa.pairs = {chosen.pairs!r}", expected="all pairs of images",
                            remedy="Run it with rsa.pairs = \"all\".")


def searchlight_paths(layout: Layout, *, sub: str) -> tuple[Path, ...]:
    """Spell the paths of a subject's maps, left and right."""
    return tuple(layout.derivative("rsa", sub=sub, hemi=hemi, suffix="desc-searchlight_rsa.func.gii")
                 for hemi in HEMISPHERES)


def similarity_maps(found: Searchlight) -> dict[str, NDArray[np.float32]]:
    """Give the maps that need no permutation."""
    own = {f"RE-{kind}": np.asarray(found.rho[kind]) for kind in COMPARED}
    return {**own, "RE-AI minus RE-AN": own["RE-AI"] - own["RE-AN"], "vertices": found.n_used.astype(np.float32)}
