"""``python -m analysis labels``: a subject's region labels listed, checked, read from other programs, exported."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from subjects.cli import Command, json_option, say, site_option, study_option, subject_option

if TYPE_CHECKING:
    from analysis.data.sources import SubjectData
    from analysis.data.surface import Surface
    from analysis.regions.labels import Regions
    from subjects.layout import Layout
    from subjects.settings.study import Settings


class Subject:
    """A subject's files, opened when they are needed."""

    def __init__(self, study: Path, *, sub: str, site: Path | None) -> None:
        from analysis.data.sources import resolve_subject
        from subjects.layout import Layout
        from subjects.profile import load_profile
        from subjects.settings.loading import load_settings

        self.layout: Layout = Layout(study).require()
        self.settings: Settings = load_settings(study, site=site)
        self.sub = load_profile(self.layout, sub).sub
        chosen = self.settings.analysis
        self.data: SubjectData = resolve_subject(self.layout, sub=self.sub, pipeline=chosen.bold, space=chosen.space)

    def surfaces(self) -> dict[str, Surface]:
        """Read both hemispheres' meshes."""
        from analysis.data.sources import HEMISPHERES

        return {hemi: self.data.load_surface(hemi) for hemi in HEMISPHERES}


@click.command("labels", cls=Command)
@study_option
@subject_option
@click.option("--from", "files", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
              help="Make the subject's labels from this file: .label, .annot, .label.gii, or .json with polygons on "
                   "the flat map; lh., rh. or hemi-L, hemi-R in its name say of which hemisphere. May be given again.")
@click.option("--rename", "renamed", multiple=True, metavar="OLD=NEW",
              help="A file's name of a region, and the study's (V1v=V1 and V1d=V1 join two). May be given again.")
@click.option("--localized", multiple=True, metavar="REGION",
              help="Let LO (or hMT+) be what `localizers` found: within its outline among the files, or without one "
                   "wherever no other region is.")
@click.option("--overwrite", is_flag=True, help="Replace own labels (or exported files) that are there. Labels in "
                                                     "fMRIPrep's folder stay, and are no longer read.")
@click.option("--export", "folder", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Write each region as FreeSurfer's lh.V1.label into this folder.")
@site_option
@json_option
def labels(study: Path, sub: str, files: tuple[Path, ...], renamed: tuple[str, ...], localized: tuple[str, ...],
           overwrite: bool, folder: Path | None, site: Path | None, as_json: bool) -> None:
    """List and check a subject's region labels; make them from other files; export them.

    Ends with status 1 where something would stop or mislead the analysis.
    """
    from analysis.regions.drawing.checking import describe_regions, find_faults
    from analysis.regions.drawing.files import export_labels, find_passed_over, read_all, require_files

    require_files(files)
    opened = Subject(study, sub=sub, site=site)
    surfaces = opened.surfaces()
    if files or localized:
        collect(opened, surfaces, files=files, renamed=renamed, localized=localized, overwrite=overwrite)
        opened = Subject(study, sub=sub, site=site)
    roi = opened.settings.roi
    regions = read_all(opened.data, names=roi.regions)
    found = {hemi: describe_regions(surfaces[hemi], one, names=regions.names) for hemi, one in regions.labels.items()}
    exported = export_labels(folder, regions, surfaces=surfaces, overwrite=overwrite) if folder is not None else []
    faults = list(find_faults(found, wanted=roi.regions, least=roi.vertices_per_hemisphere))
    picture = draw(opened, regions, surfaces=surfaces)
    rows = [one.record() for every in found.values() for one in every]
    hidden = find_passed_over(opened.layout, opened.data)
    say({"labels": {hemi: str(path) for hemi, path in opened.data.labels.items()}, "regions": rows, "faults": faults,
         "not_read": {hemi: str(path) for hemi, path in hidden.items()},
         "picture": str(picture), "exported": [str(path) for path in exported]}, as_json=as_json,
        text=[*_table(rows), *(f"{hemi}: {path}" for hemi, path in opened.data.labels.items()),
              *(f"{hemi}, there too and not read: {path}" for hemi, path in hidden.items()), f"picture: {picture}",
              *(f"written: {path}" for path in exported), *(f"LOOK: {one}" for one in faults)])
    if faults:
        raise SystemExit(1)


@click.command("draw", cls=Command)
@study_option
@subject_option
@click.option("--hemi", required=True, type=click.Choice(("L", "R")), help="The hemisphere.")
@click.option("--polygons", "path", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="File of polygons to go on with and to write (default: derivatives/rois, hemi-X_polygons.json).")
@click.option("--no-window", is_flag=True, help="Write the labels of the polygons in the file, without a window.")
@site_option
@json_option
def draw_regions(study: Path, sub: str, hemi: str, path: Path | None, no_window: bool, site: Path | None,
                 as_json: bool) -> None:
    """Draw regions as polygons on the flat angle and eccentricity maps (after `prf`).

    Keys stand above the map. Written are the polygons and, beside them, each region as FreeSurfer's lh.V1.label:
    take them with `labels --from`.
    """
    import numpy as np
    from matplotlib.figure import Figure

    from analysis.regions.drawing.outlines import read_polygons
    from analysis.regions.prf.maps import load_maps
    from analysis.regions.prf.run import maps_paths
    from analysis.report.figures.cortex.flatmap import FlatHemisphere
    from analysis.report.figures.prf.maps import PrfHemisphere
    from analysis.report.regions.window import Drawing, require_window, starting_polygons
    from subjects.dataset import describe_derivative

    opened = Subject(study, sub=sub, site=site)
    surface, chosen = opened.data.load_surface(hemi), opened.settings
    target = path or opened.layout.derivative("rois", sub=opened.sub, hemi=hemi, suffix="polygons.json")
    begun = read_polygons(target, hemi=hemi, flat=surface.flat) if target.is_file() else None
    flat = FlatHemisphere(hemi, surface.flat, surface.faces, np.zeros(surface.n_vertices, dtype=np.int16), {})
    shown = PrfHemisphere(flat=flat, maps=load_maps(maps_paths(opened.layout, sub=opened.sub)[hemi]),
                          show_r2_pct=chosen.prf.show_r2_pct)
    opens = partial(Drawing, hemisphere=shown, surface=surface, regions=chosen.roi.regions, path=target)
    describe_derivative(opened.layout, "rois")
    if no_window:
        drawing = opens(Figure(), polygons=starting_polygons(target, read=begun))
    else:
        require_window()
        import matplotlib.pyplot as plt

        drawing = opens(plt.figure(figsize=(9, 9)), polygons=begun)
        plt.show()
    written = drawing.write()
    say({"written": [str(one) for one in written], "said": drawing.count()}, as_json=as_json,
        text=[drawing.count(), *(f"written: {one}" for one in written)])


def collect(opened: Subject, surfaces: dict[str, Surface], *, files: tuple[Path, ...], renamed: tuple[str, ...],
            localized: tuple[str, ...], overwrite: bool) -> None:
    """Make a subject's labels from some files, both hemispheres before anything is written."""
    from analysis.regions.drawing.collecting import collect_regions, side_of_name
    from analysis.regions.drawing.files import read_localized, require_place, write_own_labels

    require_place(opened.layout, opened.data, overwrite=overwrite)
    pairs = {}
    for one in renamed:
        old, equals, new = one.partition("=")
        if not (old and equals and new in opened.settings.roi.regions):
            raise click.UsageError(f"--rename {one}: expected OLD=NEW, NEW one of "
                                   f"{', '.join(opened.settings.roi.regions)} (roi.regions).")
        pairs[old] = new
    by_side = {hemi: [path for path in files if side_of_name(path) == hemi] for hemi in surfaces}
    found = {hemi: collect_regions(by_side[hemi], hemi=hemi, surface=surface, names=opened.settings.roi.regions,
                                   renamed=pairs, localized=read_localized(opened.layout, sub=opened.sub, hemi=hemi,
                                                                           names=localized))
             for hemi, surface in surfaces.items()}
    write_own_labels(opened.layout, opened.data, found=found, files=by_side, renamed=pairs, localized=localized,
                     overwrite=overwrite)


def draw(opened: Subject, regions: Regions, *, surfaces: dict[str, Surface]) -> Path:
    """Draw the regions on both flat maps."""
    from analysis.report.figures.cortex.flatmap import FlatHemisphere, draw_flatmap
    from analysis.report.figures.style import save
    from subjects.dataset import describe_derivative

    describe_derivative(opened.layout, "rois")
    flat = [FlatHemisphere(hemi, one.flat, one.faces, regions.labels[hemi], {}) for hemi, one in surfaces.items()]
    path = opened.layout.derivative("rois", sub=opened.sub, suffix="labels.png")
    return save(draw_flatmap(flat, regions=regions.names), path.parent, name=path.stem).png


def _table(rows: list[dict[str, Any]]) -> list[Any]:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("side", "region", "vertices", "mm²", "pieces", "off map"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("side", "region") else "right")
    table.add_column("touches")
    for row in rows:
        table.add_row(row["hemi"], row["region"], str(row["n_vertices"]), f"{row['area_mm2']:.0f}",
                      str(row["n_pieces"]), str(row["n_off_map"]), row["neighbours"] or "–")
    return [table]
