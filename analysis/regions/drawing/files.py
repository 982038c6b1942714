"""A subject's region labels on disk: where its own are kept, written with what they were made from, and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from analysis.data.files.finding import find_anatomy
from analysis.data.sources import HEMISPHERES, PIPELINES, SIMULATED, SURFACES, SubjectData, anatomy_path
from analysis.data.surface import Surface
from analysis.regions.drawing.collecting import ENDINGS, Collected, Mask
from analysis.regions.drawing.outlines import write_freesurfer_label
from analysis.regions.labels import Regions, read_present, write_labels
from analysis.regions.localizing.step import label_paths, load_areas
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar

_SIDES = {"L": "lh", "R": "rh"}
LOCALIZED = ("LO", "hMT+")
"""Regions that may be what a localizer found."""
_LISTED = 6


def own_labels_path(layout: Layout, data: SubjectData, *, hemi: str) -> Path:
    """Spell where a preprocessed subject's own labels are kept: in ``derivatives/surfaces``, beside its flat maps."""
    own = "" if data.space in ("", "fsnative") else f"space-{data.space.replace(' ', '_')}_"
    return anatomy_path(layout, source=SURFACES, sub=data.sub, hemi=hemi, suffix=f"{own}desc-rois_dseg.label.gii")


def require_place(layout: Layout, data: SubjectData, *, overwrite: bool) -> dict[str, Path]:
    """See that a subject's own labels may be written, and give their paths by hemisphere.

    Raises
    ------
    AnalysisError
        For a simulated subject, whose labels are its truth; or where there are some, here or elsewhere, and nobody
        asked for others. Those elsewhere are left as they are in any case: own ones are read before them.
    """
    if data.source == SIMULATED:
        raise AnalysisError(f"sub-{data.sub}", came="a simulated subject, whose labels were made with it",
                            expected="a preprocessed one", remedy="Leave --from out: its labels can be listed, checked "
                                                                  "and exported.")
    paths = {hemi: own_labels_path(layout, data, hemi=hemi) for hemi in HEMISPHERES}
    for hemi, path in paths.items():
        there = data.labels[hemi]
        if overwrite:
            continue
        if path.is_file():
            raise AnalysisError(str(path), came="labels of this subject already", expected="no such file",
                                remedy="Say --overwrite to replace them; they are kept nowhere else.")
        if there.is_file():
            raise AnalysisError(str(there), came="labels of this subject already", expected="none",
                                remedy=f"Say --overwrite to have others in {path.parent}, which are then read in their "
                                       "place (this file stays as it is), or give it as --from.")
    return paths


def find_passed_over(layout: Layout, data: SubjectData) -> dict[str, Path]:
    """Find labels of the pipeline's folder that own ones are read in place of, by hemisphere."""
    if data.source == SIMULATED:
        return {}
    own = {hemi: own_labels_path(layout, data, hemi=hemi) for hemi in HEMISPHERES}
    found = {hemi: find_anatomy([layout.derivatives(PIPELINES.get(data.source, data.source))], sub=data.sub, hemi=hemi,
                                suffix="dseg.label.gii", space=data.space or "fsnative", desc="rois")
             for hemi, path in own.items() if data.labels[hemi] == path}
    return {hemi: path for hemi, path in found.items() if path is not None}


def write_own_labels(layout: Layout, data: SubjectData, *, found: Mapping[str, Collected],
                     files: Mapping[str, Sequence[Path]], renamed: Mapping[str, str], localized: Sequence[str],
                     overwrite: bool) -> dict[str, Path]:
    """Write a subject's labels, each with the digests of what it was made from.

    Parameters
    ----------
    layout : Layout
    data : SubjectData
    found : mapping of str to Collected
        By hemisphere.
    files : mapping of str to sequence of Path
        What each hemisphere's were read from.
    renamed, localized
        See :func:`~.collecting.collect_regions`.
    overwrite : bool
    """
    paths = require_place(layout, data, overwrite=overwrite)
    describe_derivative(layout, SURFACES)
    areas = label_paths(layout, sub=data.sub) if localized else {}
    for hemi, one in found.items():
        write_labels(paths[hemi], one.labels, hemi=hemi, names=one.names, overwrite=overwrite)
        inputs = {path.name: path for path in files[hemi]} | {name: data.surfaces[hemi][name] for name in
                                                              ("midthickness", "flat")}
        if localized:
            inputs["localized"] = areas[hemi]
        counts = {name: int((one.labels == k).sum()) for k, name in enumerate(one.names, start=1)}
        sidecar(paths[hemi], inputs=inputs, parameters={"renamed": dict(renamed), "localized": list(localized)},
                extra={"Vertices": counts, "PassedOver": list(one.passed_over)})
    return paths


def require_files(files: Sequence[Path]) -> None:
    """See that the files are there that labels are to be made from.

    Raises
    ------
    AnalysisError
        Naming the first that is not, and what of its name is beside where it should be.
    """
    for path in files:
        if path.is_file():
            continue
        beside = sorted(one.name for one in path.parent.iterdir() if one.name.endswith(ENDINGS)) \
            if path.parent.is_dir() else []
        came = "no such file" if path.parent.is_dir() else "no such file, nor such a folder"
        raise AnalysisError(f"--from {path}", came=came, expected=f"a file that ends with {', '.join(ENDINGS)}",
                            remedy=f"See its name: in that folder are {', '.join(beside[:_LISTED])}"
                                   f"{' and others' if len(beside) > _LISTED else ''}." if beside else
                                   "See its path; `python -m analysis draw` and `propose` say where they write.")


def read_localized(layout: Layout, *, sub: str, hemi: str, names: Sequence[str]) -> dict[str, Mask]:
    """Read what localizers found of some regions.

    Raises
    ------
    AnalysisError
        For a region that no localizer finds, or without the step's files.
    """
    for name in names:
        if name not in LOCALIZED:
            raise AnalysisError(f"--localized {name}", came=name, expected=" or ".join(LOCALIZED),
                                remedy="Only these are found by localizers.")
    if not names:
        return {}
    path = label_paths(layout, sub=sub)[hemi]
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="localized areas",
                            remedy=f"Make them with `python -m analysis localizers --study {layout.argument} "
                                   f"--sub {sub}`.")
    areas = load_areas(path, hemi=hemi)
    return {name: {"LO": areas.lo, "hMT+": areas.motion}[name] for name in names}


def read_all(data: SubjectData, *, names: Sequence[str]) -> Regions:
    """Read whichever of the study's regions a subject's labels have, hemisphere by hemisphere.

    Returns
    -------
    Regions
        Numbered alike in both; one that a hemisphere lacks has no vertex there.
    """
    read = {hemi: read_present(data.labels[hemi], hemi=hemi, names=names) for hemi in HEMISPHERES}
    numbers = {hemi: np.array([0, *(list(names).index(name) + 1 for name in there)], dtype=np.int16)
               for hemi, (_, there) in read.items()}
    return Regions(tuple(names), {hemi: numbers[hemi][labels] for hemi, (labels, _) in read.items()}, {})


def export_labels(folder: Path, regions: Regions, *, surfaces: Mapping[str, Surface], overwrite: bool) -> list[Path]:
    """Write each region as FreeSurfer's ``lh.V1.label``, with places on the midway surface."""
    written = []
    for hemi, labels in regions.labels.items():
        for k, name in enumerate(regions.names, start=1):
            inside = np.flatnonzero(labels == k)
            if len(inside):
                written.append(write_freesurfer_label(folder / f"{_SIDES[hemi]}.{name}.label", inside,
                                                      points=surfaces[hemi].vertices, overwrite=overwrite))
    return written
