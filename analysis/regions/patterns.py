"""Responses of the selected vertices of each region: betas, surfaces and region labels joined."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.data.sources import HEMISPHERES, SubjectData
from analysis.glm.betas import Betas, load_betas
from analysis.glm.combining import require_images
from analysis.regions.disk_rdms import Disks
from analysis.regions.labels import ROIS, read_regions
from analysis.regions.vertex_selection import Consistency, require_dense, select_vertices, split_half_consistency
from analysis.statistics.dissimilarity import without_noise
from stimuli.manifest import TYPES, Manifest
from subjects.errors import AnalysisError
from subjects.settings.analysis import RoiSettings

Presentation = int | Literal["mean"]
Gathered = dict[tuple[str, Presentation | Literal["taken off"]], dict[str, NDArray[np.float32]]]
APART_MM = 1e4
ASKED_BY = "roi.vertices_per_hemisphere"
"""The setting that says how many vertices are chosen, unless a caller asks by another."""
_NEEDED: tuple[tuple[str, Presentation], ...] = tuple(itertools.product(TYPES, ("mean", 1, 2)))


@dataclass(frozen=True, eq=False)
class RoiPatterns:
    """Responses of one region's selected vertices, both hemispheres side by side.

    Parameters
    ----------
    roi : str
    base_images : tuple of str
        Rows of every array: the base image that the RE, AN and AI image share.
    sessions : tuple of str
        Session in which each of them was shown: labels can be exchanged within a session.
    image_ids : mapping of str to tuple of str
        ``"RE"``, ``"AN"``, ``"AI"``: the images that were shown, as the betas name them.
    responses : mapping of str to float32 array, (n_images, n_vertices)
        ``"RE"``, ``"AN"``, ``"AI"``: percent signal change, mean of the two presentations, less the mean
        over all images of the type, session and presentation unless ``roi.session_means`` keeps it.
    halves : (float32 array, float32 array), each (n_images, n_vertices)
        RE at presentation 1 and at presentation 2.
    vertices : mapping of str to int64 array
        Hemisphere to the chosen vertices, in the order of the columns.
    places_mm : float64 array, (n_vertices, 2), optional
        Where the columns are on the flat maps, the hemispheres :data:`APART_MM` apart; for patches of cortex.
    presentations : mapping of str to (float32 array, float32 array), each (n_images, n_vertices), optional
        ``"RE"``, ``"AN"``, ``"AI"`` at presentation 1 and at presentation 2; for distances in units of the noise.
    session_means : mapping of str to float32 array, (n_images, n_vertices), optional
        ``"AN"``, ``"AI"``: the mean over all images of the type and session, where it was taken off type by type.
    """

    roi: str
    base_images: tuple[str, ...]
    sessions: tuple[str, ...]
    image_ids: Mapping[str, tuple[str, ...]]
    responses: Mapping[str, NDArray[np.float32]]
    halves: tuple[NDArray[np.float32], NDArray[np.float32]]
    vertices: Mapping[str, NDArray[np.int64]]
    places_mm: NDArray[np.float64] | None = None
    presentations: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]] | None = None
    session_means: Mapping[str, NDArray[np.float32]] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.base_images), sum(len(chosen) for chosen in self.vertices.values()))
        for name, values in [*self.responses.items(), ("RE presentation", self.halves[0]), ("RE", self.halves[1])]:
            if values.shape != shape:
                raise AnalysisError(f"{self.roi}, {name}", came=f"responses of shape {values.shape}",
                                    expected=f"{shape}, images by vertices", remedy="Select all from the same betas.")


def select_patterns(betas: Mapping[str, Betas], *, disks: Mapping[str, Disks],
                    labels: Mapping[str, NDArray[np.int16]], settings: RoiSettings, measure: str = "correlation",
                    flat: Mapping[str, NDArray[np.float32]] | None = None, names: Sequence[str] = ROIS,
                    where: str = "subject", asked_by: str = ASKED_BY) -> dict[str, RoiPatterns]:
    """Choose each region's vertices by their RE responses, and gather their responses to all types.

    Parameters
    ----------
    betas : mapping of str to Betas
        Hemisphere to betas.
    disks : mapping of str to (indptr, indices)
        Hemisphere to searchlight disks; see :func:`~analysis.regions.vertex_selection.split_half_consistency`.
    labels : mapping of str to int16 array, (n_vertices,)
        Hemisphere to region: k + 1 for the k-th of `names`, 0 elsewhere.
    settings : RoiSettings
        Vertices a hemisphere, the smallest disk that counts, and whether session means are removed.
    measure : str
        Dissimilarity of the split-half RDMs.
    flat : mapping of str to array, (n_vertices, 2), optional
        Hemisphere to places on the flat map, mm.
    names : sequence of str
        The regions.
    where : str
        The subject, for messages.
    asked_by : str
        The setting that asks for so many vertices, for messages.

    Returns
    -------
    dict of str to RoiPatterns

    Raises
    ------
    AnalysisError
        If a chosen vertex has no value for an image of any type: region, type, image, session and vertex are named.
    """
    base_images = _shared_images(betas, where=where)
    shown = next(iter(betas.values()))
    images = {"base_images": base_images, "sessions": shown.sessions(),
              "image_ids": {kind: shown.image_ids(kind) for kind in TYPES}}
    for hemi, values in betas.items():
        _require_one_mesh(values, disks=disks[hemi], labels=labels[hemi], where=f"{where} hemi-{hemi}")
        _require_varied(values, labels=labels[hemi], where=f"{where} hemi-{hemi}")
    as_they_are = betas
    if settings.session_means != "kept":
        betas = {hemi: values.without_session_means(pooled=settings.session_means == "pooled")
                 for hemi, values in betas.items()}
    chosen: dict[str, dict[str, NDArray[np.int64]]] = {roi: {} for roi in names}
    for hemi, values in betas.items():
        halves = re_halves(values, base_images=base_images)
        found = choose_vertices(halves, disks=disks[hemi], labels=labels[hemi], settings=settings, measure=measure,
                                names=names, where=f"{where} hemi-{hemi}", asked_by=asked_by)
        for roi in names:
            chosen[roi][hemi] = found.vertices[roi]
    whole: Gathered = {(kind, showing): {hemi: values.select(type=kind, presentation=showing, base_images=base_images)
                                         for hemi, values in betas.items()} for kind, showing in _NEEDED}
    if settings.session_means == "removed":
        whole |= {(kind, "taken off"): {hemi: values.select(type=kind, base_images=base_images)
                                        - whole[kind, "mean"][hemi] for hemi, values in as_they_are.items()}
                  for kind in ("AN", "AI")}
    gathered = {roi: _gather(roi, whole, vertices=chosen[roi], flat=flat, images=images) for roi in names}
    for one in gathered.values():
        _require_measured(one, as_they_are, where=f"{where} {one.roi}")
    return gathered


@dataclass(frozen=True, eq=False)
class Choice:
    """The vertices that were chosen in one hemisphere, and by what.

    Parameters
    ----------
    consistency : Consistency
        Of the labelled vertices.
    vertices : mapping of str to int64 array, (n_chosen,)
        Region to the chosen vertices, ascending.
    """

    consistency: Consistency
    vertices: Mapping[str, NDArray[np.int64]]


def re_halves(betas: Betas, *, base_images: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Take the RE images' responses at presentation 1 and 2, each (n_images, n_vertices)."""
    first, second = (betas.select(type="RE", presentation=k, base_images=base_images) for k in (1, 2))
    return first, second


def choose_vertices(halves: tuple[NDArray[np.float32], NDArray[np.float32]], *, disks: Disks,
                    labels: NDArray[np.int16], settings: RoiSettings, measure: str, where: str,
                    names: Sequence[str] = ROIS, asked_by: str = ASKED_BY) -> Choice:
    """Choose the vertices of each region of one hemisphere whose disks' RDMs repeat best.

    Parameters
    ----------
    halves : (float32 array, float32 array), each (n_images, n_vertices)
        RE responses at presentation 1 and 2.
    disks : Disks
    labels : int16 array, (n_vertices,)
    settings : RoiSettings
    measure : str
    where : str
        Subject and hemisphere, for messages.
    names : sequence of str
        The regions, in the order of their numbers.
    asked_by : str
        The setting that asks for so many vertices, for messages.

    Raises
    ------
    AnalysisError
        If the mesh is too sparse (``roi.refuse_disk``), or a region has too few usable disks.
    """
    regions = labels if settings.disk == "region" else None
    consistency = split_half_consistency(*halves, disks=disks, centres=np.flatnonzero(labels), regions=regions,
                                         measure=without_noise(measure))
    chosen = {}
    for k, roi in enumerate(names, start=1):
        place = {"region": labels == k, "where": f"{where} {roi}"}
        require_dense(consistency, warn=settings.warn_disk, refuse=settings.refuse_disk, **place)
        chosen[roi] = select_vertices(consistency, min_disk=settings.min_disk, n=settings.vertices_per_hemisphere,
                                      asked_by=asked_by, **place)
    return Choice(consistency, chosen)


def _gather(roi: str, whole: Gathered, *, vertices: Mapping[str, NDArray[np.int64]],
            flat: Mapping[str, NDArray[np.float32]] | None, images: Mapping[str, Any]) -> RoiPatterns:
    found = {key: np.concatenate([by_hemi[hemi][:, chosen] for hemi, chosen in vertices.items()], axis=1)
             for key, by_hemi in whole.items()}
    places = None if flat is None else np.concatenate([
        flat[hemi][chosen] + np.array([k * APART_MM, 0.0]) for k, (hemi, chosen) in enumerate(vertices.items())])
    return RoiPatterns(roi, **images, responses={kind: found[kind, "mean"] for kind in TYPES},
                       halves=(found["RE", 1], found["RE", 2]), vertices=vertices, places_mm=places,
                       presentations={kind: (found[kind, 1], found[kind, 2]) for kind in TYPES},
                       session_means={kind: found[kind, "taken off"] for kind in ("AN", "AI")
                                      if (kind, "taken off") in found} or None)


def _shared_images(betas: Mapping[str, Betas], *, where: str) -> tuple[str, ...]:
    first, *others = (values.base_images for values in betas.values())
    odd = sorted(set().union(*(set(first) ^ set(other) for other in others)))
    if odd:
        raise AnalysisError(where, came=f"base image {odd[0]!r} in one hemisphere only ({len(odd)} such)",
                            expected="the same images in both",
                            remedy="Fit both hemispheres again with `python -m analysis glm`.")
    for kind in TYPES:
        for a, b in itertools.pairwise(betas.values()):
            pairs = zip(a.image_ids(kind, base_images=first), b.image_ids(kind, base_images=first), strict=True)
            strange = next((pair for pair in pairs if pair[0] != pair[1]), None)
            if strange:
                raise AnalysisError(where, came=f"{kind} images {strange[0]} and {strange[1]} in the same place of "
                                    "the two hemispheres", expected="the same images in both",
                                    remedy="Fit both hemispheres again with `python -m analysis glm`.")
    return first


def require_shown(betas: Betas, manifest: Manifest, *, where: str) -> None:
    """See that what was shown is what the manifest calls by the same name: digest by digest.

    Raises
    ------
    AnalysisError
        If the set was changed or exchanged after the scan.
    """
    for kind in TYPES:
        for name, shown in zip(betas.base_images, betas.image_ids(kind), strict=True):
            listed = [manifest.get(base_image=name, type=kind, network=one).image_id for one in manifest.networks]
            if shown not in listed:
                raise AnalysisError(where, came=f"{shown} was shown as {kind} of {name}",
                                    expected=f"{' or '.join(dict.fromkeys(listed))}, as in the manifest",
                                    remedy="Restore the stimulus set that the subject was scanned with.")


def _require_one_mesh(betas: Betas, *, disks: Disks, labels: NDArray[np.int16], where: str) -> None:
    counts = {"betas": betas.values.shape[1], "surface": len(disks[0]) - 1, "labels": len(labels)}
    if len(set(counts.values())) > 1:
        raise AnalysisError(where, came=", ".join(f"{name} of {n} vertices" for name, n in counts.items()),
                            expected="one mesh", remedy="Export them for the same surface, or fit again.")


def _require_varied(betas: Betas, *, labels: NDArray[np.int16], where: str) -> None:
    """See that no image has one response everywhere: session means, taken off, would hide that nothing was measured."""
    for kind, showing in itertools.product(TYPES, (1, 2)):
        inside = betas.select(type=kind, presentation=showing)[:, labels > 0]
        inside = inside[:, np.isfinite(inside).all(axis=0)]
        flat = np.flatnonzero(np.ptp(inside, axis=1) == 0) if inside.shape[1] > 1 else np.array([], dtype=np.intp)
        if flat.size:
            raise AnalysisError(f"{where}, {kind} of {betas.base_images[flat[0]]}, presentation {showing}",
                                came=f"one response, {inside[flat[0], 0]:g}, at {inside.shape[1]} labelled vertices",
                                expected="a pattern", remedy="See whether that image was scanned, and fit again with "
                                                             "`python -m analysis glm`.")


def _require_measured(patterns: RoiPatterns, betas: Mapping[str, Betas], *, where: str) -> None:
    """See that every chosen vertex has a value for every image, and say which one has none as the betas are.

    Vertices are chosen by their RE images alone. A mean of a session that is taken off would spread one gap to all
    images of the session, and blame the first of them.
    """
    if all(np.isfinite(values).all() for values in patterns.responses.values()):
        return
    for kind in TYPES:
        gaps = np.concatenate([~np.isfinite(np.stack([
            betas[hemi].select(type=kind, presentation=k, base_images=patterns.base_images)[:, chosen]
            for k in (1, 2)])) for hemi, chosen in patterns.vertices.items()], axis=2)
        images, vertices = (np.flatnonzero(gaps.any(axis=axes)) for axes in ((0, 2), (0, 1)))
        if images.size:
            named = [f"hemi-{hemi} {vertex}" for hemi, chosen in patterns.vertices.items() for vertex in chosen]
            showing = int(np.flatnonzero(gaps[:, images[0]].any(axis=1))[0]) + 1
            raise AnalysisError(
                f"{where}, {kind}", came=f"{images.size} pattern(s) with NaN or infinity, first "
                f"{patterns.base_images[images[0]]!r} of session {patterns.sessions[images[0]]}, presentation "
                f"{showing}, at {vertices.size} of {len(named)} chosen vertices, first {named[vertices[0]]}",
                expected="a response to every image", remedy="See what is wrong with that vertex in that session, and "
                "fit again with `python -m analysis glm`; without values of RE images it would not be chosen.")


def selection_parameters(settings: RoiSettings) -> dict[str, Any]:
    """Give the settings that decide which vertices are chosen; the others warn, refuse or measure."""
    return settings.model_dump(mode="json", exclude={"warn_disk", "refuse_disk", "bias_draws", "proposal_atlas",
                                                     "proposal_r2_pct"})


def brain_inputs(data: SubjectData, betas: Mapping[str, Path], *, settings: RoiSettings) -> dict[str, Path]:
    """Name the files that a subject's patterns are made from: betas, the meshes that count, region labels."""
    found = {}
    for hemi in HEMISPHERES:
        found[f"betas_{hemi}"] = betas[hemi]
        found[f"flat_{hemi}"] = data.surfaces[hemi]["flat"]
        if settings.along == "folded":
            found[f"midthickness_{hemi}"] = data.surfaces[hemi]["midthickness"]
        found[f"labels_{hemi}"] = data.labels[hemi]
    return found


def load_roi_patterns(data: SubjectData, betas: Mapping[str, Path], *, manifest: Manifest, settings: RoiSettings,
                      measure: str, asked_by: str = ASKED_BY) -> dict[str, RoiPatterns]:
    """Choose and gather the patterns of all regions of one subject that are analysed, from its files.

    Parameters
    ----------
    data : SubjectData
        Surfaces that the betas are on, and region labels.
    betas : mapping of str to Path
        Hemisphere to file of betas.
    manifest : Manifest
    settings : RoiSettings
    measure : str
        ``rsa.dissimilarity``.
    asked_by : str
        The setting that asks for so many vertices, for messages.

    Returns
    -------
    dict of str to RoiPatterns

    Raises
    ------
    AnalysisError
        If betas, surface and labels are not on the same vertices, or other images were shown than the
        manifest lists.
    """
    loaded = {hemi: load_betas(path, sub=data.sub, hemi=hemi) for hemi, path in betas.items()}
    regions = read_regions({hemi: data.labels[hemi] for hemi in loaded}, settings=settings, where=f"sub-{data.sub}")
    for hemi, one in loaded.items():
        require_shown(one, manifest, where=f"sub-{data.sub} hemi-{hemi}")
        require_images(one, betas[hemi], planned=manifest.base_images, where=f"sub-{data.sub} hemi-{hemi}")
    surfaces = {hemi: data.load_surface(hemi) for hemi in loaded}
    disks = {hemi: one.kept_disks(settings.radius_mm, along=settings.along) for hemi, one in surfaces.items()}
    return select_patterns(loaded, disks=disks, labels=regions.labels, names=regions.names, settings=settings,
                           measure=measure, asked_by=asked_by,
                           flat={hemi: surface.flat for hemi, surface in surfaces.items()}, where=f"sub-{data.sub}")
