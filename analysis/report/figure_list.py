"""The figures of a report, drawn from its records, each with a caption that says n, test and interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.data.timeseries import label_part
from analysis.jobs import run_jobs
from analysis.report.figures.brain_rsa import draw_brain_rsa, say_no_ceiling
from analysis.report.figures.cortex.flatmap import FlatHemisphere, draw_flatmap
from analysis.report.figures.cortex.searchlight import draw_searchlight, say_significant
from analysis.report.figures.denoising import (
    DenoisedPortion,
    PoolMap,
    draw_components,
    draw_denoising,
    draw_noise_pool,
)
from analysis.report.figures.encoding.accuracies import draw_encoding
from analysis.report.figures.encoding.best_layers import draw_hierarchy
from analysis.report.figures.low_level import draw_low_level
from analysis.report.figures.network_rsa import draw_network_rsa
from analysis.report.figures.prf.maps import draw_prf_inflated, draw_prf_maps
from analysis.report.figures.rdms import RdmRow, draw_pairs, draw_rdm_rows
from analysis.report.figures.side_by_side import draw_side_by_side
from analysis.report.figures.stimuli import Shown, draw_stimuli
from analysis.report.figures.style import SavedFigure, save
from analysis.report.figures.timing import RunTiming, draw_timing
from analysis.report.records import DenoisingRecord, StudyRecords, SubjectRecords
from analysis.report.regions.found import describe_found
from analysis.report.tables import control_of
from analysis.report.wording import coefficient_name, coefficient_sign, say_draws, say_n, say_tests
from analysis.rsa.rdm import RDM
from analysis.statistics.readings import LOGITS, SOFTMAX, split_readings
from stimuli.manifest import TYPES, Manifest, Stimulus, read_pixels
from subjects.cli import ProgressWrapper, silent
from subjects.layout import network_label

N_TRIPLETS = 5


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the report.

    Parameters
    ----------
    section : str
        Section of the page: ``"stimuli"``, ``"runs"``, ``"glm"``, ``"regions"``, ``"prf"`` or ``"results"``.
    title, caption : str
    saved : SavedFigure
    """

    section: str
    title: str
    caption: str
    saved: SavedFigure


@dataclass(frozen=True)
class PlannedFigure:
    """A figure yet to be drawn; see :class:`ReportFigure`."""

    section: str
    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def draw_figures(records: StudyRecords, *, folder: Path, n_jobs: int = 1,
                 progress: ProgressWrapper = silent) -> tuple[ReportFigure, ...]:
    """Draw all figures into a folder, as PNG and SVG.

    Parameters
    ----------
    records : StudyRecords
    folder : Path
    n_jobs : int
        How many figures are drawn at a time.
    progress : ProgressWrapper

    Returns
    -------
    tuple of ReportFigure
    """
    return draw_planned(plan_figures(records), folder=folder, n_jobs=n_jobs, progress=progress)


def draw_planned(plans: Sequence[PlannedFigure], *, folder: Path, n_jobs: int = 1,
                 progress: ProgressWrapper = silent) -> tuple[ReportFigure, ...]:
    """Draw figures into a folder, as PNG and SVG, several at a time; the files do not depend on how many."""
    shares = [plans[k::n_jobs] for k in range(min(n_jobs, len(plans)))]
    saved = run_jobs([partial(_draw_share, share, folder) for share in shares], n_jobs=n_jobs, label="figures",
                     progress=progress)
    by_name = {one.name: one for share in saved for one in share}
    return tuple(ReportFigure(plan.section, plan.title, plan.caption, by_name[plan.name]) for plan in plans)


def _draw_share(plans: Sequence[PlannedFigure], folder: Path, progress: ProgressWrapper) -> list[SavedFigure]:
    """Draw a worker's share of the figures: they see the same records, which are handed over once."""
    return [save(plan.draw(), folder, name=plan.name)
            for plan in progress(plans, label="figures", total=len(plans))]


def plan_figures(records: StudyRecords) -> tuple[PlannedFigure, ...]:
    """List the figures of a study in the order in which they are shown."""
    of_subjects = [plan for one in records.subjects for plan in _of_subject(records, one)]
    return (_stimuli(records), *of_subjects, _brain(records), *_control(records), _network(records), _encoding(records),
            _hierarchy(records), _side_by_side(records), _low_level(records))


def plan_set_figures(records: Sequence[StudyRecords]) -> tuple[PlannedFigure, ...]:
    """List the figures of a report of the set alone.

    Parameters
    ----------
    records : sequence of StudyRecords
        One a network, the set's own first.
    """
    networks = [replace(_network(one, with_images=True), name=f"network-rsa-{network_label(one.about.name)}",
                        title=f"RE-AI and RE-AN similarities in the network “{one.about.name}”") for one in records]
    return (_stimuli(records[0]), *networks, _low_level(records[0]))


def _low_level(records: StudyRecords) -> PlannedFigure:
    measures = records.measures
    size = records.settings.main.image_deg
    counts = [int((measures["type"] == kind).sum()) for kind in TYPES]
    whose = f"{counts[0]} images of each type" if len(set(counts)) == 1 else \
        f"{counts[0]} RE, and {counts[1]} AN and {counts[2]} AI of {' and '.join(records.manifest.networks)} together"
    caption = (f"{whose}; a dot an image, a line at the median. Luminance of "
               f"sRGB pixels; a* and b* of CIELAB. Right: RMS contrast of the luminance in octave bands, median and "
               f"quartiles over images, at a side of {size:g} deg.")
    return PlannedFigure("confounds", "low-level", "Low-level properties by type", caption,
                         lambda: draw_low_level(measures, image_deg=size))


def _side_by_side(records: StudyRecords) -> PlannedFigure:
    table, name = split_readings(records.network)[SOFTMAX], records.about.name
    whom = f"{len(records.subjects)} subject{'s' * (len(records.subjects) != 1)}"
    caption = (f"RE-AI (vermilion) and RE-AN (blue) by pixels and by Gabor energies, in the layers of “{name}” and in "
               f"the regions of {whom} (a dot each, a line at the mean where there are several). Of images and network "
               "filled: permutation p < .05. Dotted: RE-AI that pixels and Gabor energies give; a region that is no "
               "higher need not represent objects.")
    return PlannedFigure("confounds", "side-by-side", "Images, network and brain side by side", caption,
                         lambda: draw_side_by_side(records.low_level, table, records.brain, name=name))


def _stimuli(records: StudyRecords) -> PlannedFigure:
    manifest = records.manifest
    chosen = example_bases(manifest)
    caption = (f"{len(chosen)} of {len(manifest.base_images)} triplets, from as many classes as there are. Under each "
               f"image, what the network “{manifest.networks[0]}” takes it for, and with which probability, "
               "computed on the 8-bit pixels that were shown.")
    return PlannedFigure("stimuli", "stimuli", "Regular and adversarial images", caption,
                         lambda: draw_stimuli([[_shown(records, manifest.get(base_image=name, type=kind))
                                                for kind in TYPES] for name in chosen]))


def example_bases(manifest: Manifest, n: int = N_TRIPLETS) -> tuple[str, ...]:
    """Pick base images to show: the first of every class, then the next ones."""
    turn: dict[str, int] = {}
    order: list[tuple[int, int, str]] = []
    for name in manifest.base_images:
        kind = manifest.get(base_image=name, type="RE").class_name
        turn[kind] = turn.get(kind, 0) + 1
        order.append((turn[kind], len(order), name))
    chosen = sorted(order)[:n]
    return tuple(name for _, _, name in sorted(chosen, key=lambda item: item[1]))


def _shown(records: StudyRecords, one: Stimulus) -> Shown:
    pixels = read_pixels(records.layout.stimuli, one)
    return Shown(one.type, pixels, (one.target_category or one.category).replace("_", " "), one.p_after)


def _of_subject(records: StudyRecords, one: SubjectRecords) -> tuple[PlannedFigure, ...]:
    found = describe_found(one.found, sub=one.sub, regions=one.regions, roi=records.settings.roi,
                           localizers=records.settings.localizers)
    return _timing(records, one), _flatmap(records, one), *(PlannedFigure("regions", *told) for told in found), \
        *_rdms(records, one), *_denoising(records, one), *_prf(one), *_searchlight(records, one)


def _searchlight(records: StudyRecords, one: SubjectRecords) -> tuple[PlannedFigure, ...]:
    """Plan the maps of similarities; none where there are none."""
    if not one.searchlight:
        return ()
    chosen = records.settings.roi
    less = ", less its mean over exchanged labels" if records.settings.rsa.null_mean == "removed" else ""
    caption = (f"Correlation of the AI (above) and AN (below) images' dissimilarities with those of RE images{less}; "
               f"disks of {chosen.radius_mm:g} mm along the flat map around every vertex. Red: above 0; grey: disks of "
               f"fewer than {chosen.min_disk} vertices. Lines: borders of the regions. "
               + say_significant(one.searchlight, n_permutations=records.settings.rsa.searchlight_permutations))
    return (PlannedFigure("regions", f"sub-{one.sub}_searchlight", f"Searchlight, subject {one.sub}", caption,
                          lambda: draw_searchlight(one.searchlight, regions=one.regions)),)


def _prf(one: SubjectRecords) -> tuple[PlannedFigure, ...]:
    found = one.prf
    if found is None:
        return ()
    chosen = found.settings
    thinned = " Between fitted vertices, the value of the nearest one." if chosen.max_vertices else ""
    n_fitted = int(found.table.loc[found.table["region"] == "all", "n_fitted"].sum())
    model = "Compressive spatial summation" if chosen.model == "css" else "Gaussian receptive fields"
    shown = (f"Coloured where the fit explains more than {chosen.show_r2_pct:g} % of the variance and the centre lies "
             "in the stimulated field.")
    caption = (f"{model}, {n_fitted} vertices fitted, haemodynamic response {chosen.hrf}. {shown} Disks: the visual "
               f"field in the colours of the maps. Size: σ/√n. Lines: borders of the regions. Variance explained: in "
               f"the data that were fitted, drifts removed.{thinned}")
    title = f"Population receptive fields, subject {one.sub}"
    maps = PlannedFigure("prf", f"sub-{one.sub}_prf", title, caption,
                         lambda: draw_prf_maps(found.hemispheres, regions=one.regions))
    inflated = PlannedFigure("prf", f"sub-{one.sub}_prf-inflated", f"{title}, inflated", f"Angle (above) and "
                             f"eccentricity on the inflated surfaces. {shown}",
                             lambda: draw_prf_inflated(found.hemispheres))
    return (maps, inflated) if found.has_inflated else (maps,)


def _timing(records: StudyRecords, one: SubjectRecords) -> PlannedFigure:
    runs = [RunTiming(label_part(run.key).replace("_", " "), run.onset_errors_s,
                      _count(run.events.attrs.get("n_pulses")), _count(run.events.attrs["sidecar"].get("n_volumes")),
                      bool(run.events.attrs["complete"]))
            for run in one.runs]
    runs += [RunTiming("window excerpt", excerpt.onset_errors_s, excerpt.logged["pulses"], excerpt.sent["pulses"], True)
             for excerpt in one.excerpts]
    caption = ("When each image became visible, against its plan. Time zero is the first counted "
               "pulse. One dot an image, black line: median; right: median and 99th percentile of the absolute error.")
    return PlannedFigure("runs", f"sub-{one.sub}_timing", f"Onset errors, subject {one.sub}", caption,
                         lambda: draw_timing(runs, frame_s=1 / records.settings.display.refresh_hz))


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _flatmap(records: StudyRecords, one: SubjectRecords) -> PlannedFigure:
    n = {roi: sum(len(hemisphere.selected.get(roi, ())) for hemisphere in one.flat) for roi in one.regions}
    counts = str(next(iter(n.values()))) if len(set(n.values())) == 1 else ", ".join(f"{k} {v}" for k, v in n.items())
    kind = "schematic geometric shapes" if one.source == "simulated" else "as labelled for this subject"
    caption = (f"The occipital cortex, flattened. Tints: regions ({kind}). Dots: the {counts} "
               f"vertices a region that were selected by the split-half consistency of their RE patterns, on disks of "
               f"{records.settings.roi.radius_mm:g} mm. Distortion of the flat map: "
               f"{'; '.join(f'{hemisphere.hemi}: {hemisphere.distortion}' for hemisphere in one.flat)}."
               + "".join(f" {roi} is left out: {why}." for roi, why in one.left_out.items()))
    return PlannedFigure("regions", f"sub-{one.sub}_flatmap", f"Regions and selected vertices, subject {one.sub}",
                         caption, lambda: draw_flatmap(one.flat, regions=one.regions))


def _denoising(records: StudyRecords, one: SubjectRecords) -> tuple[PlannedFigure, ...]:
    """Plan the figures of what GLMdenoise found; none without it."""
    if not one.denoising:
        return ()
    drawn = [denoised_portion(found) for found in one.denoising]
    n_draws = records.settings.glm.run_bootstraps
    about = ("Left: the response that the designs were made with. Middle: median cross-validated R² over the vertices "
             "that some number of components predicts (the best ones where there is none), leaving out one run at a "
             "time; chosen is the first number whose gain comes within 5 % of the largest. "
             f"Right: largest response over its mean standard error ({n_draws} bootstraps over runs) at every "
             "vertex of both hemispheres, darker where there are more.")
    pool = ("Noise pool: bright vertices (mean signal above half its 99th percentile) whose cross-validated R² without "
            "components is negative; both hemispheres share it.")
    courses = ("Principal components of the noise pool's time series in each run, drifts removed, at most eight; grey "
               "where none was used.")
    maps = pool_maps(one.denoising, flat=one.flat)
    names, tr_s = [found.name for found in one.denoising], records.settings.scanner.tr_s
    return (PlannedFigure("glm", f"sub-{one.sub}_denoising", f"GLMdenoise, subject {one.sub}", about,
                          lambda: draw_denoising(drawn)),
            PlannedFigure("glm", f"sub-{one.sub}_noise-pool", f"Where noise was taken from, subject {one.sub}", pool,
                          lambda: draw_noise_pool(maps, names=names)),
            PlannedFigure("glm", f"sub-{one.sub}_components", f"Noise components, subject {one.sub}", courses,
                          lambda: draw_components(drawn, tr_s=tr_s)))


def denoised_portion(record: DenoisingRecord) -> DenoisedPortion:
    """Give what the figures draw of some runs."""
    one = record.noise
    return DenoisedPortion(
        record.name, one.times_s, one.hrf.seed, one.hrf.response, one.hrf.estimate, one.hrf.outcome, one.curve,
        one.n_components, int(sum(mask.sum() for mask in one.curve_vertices.values())), *record.gains, one.components)


def pool_maps(records: Sequence[DenoisingRecord], *, flat: Sequence[FlatHemisphere]) -> tuple[PoolMap, ...]:
    """Lay the noise pools on a subject's flat maps."""
    return tuple(PoolMap(one.hemi, one.flat, one.faces, [record.noise.pool[one.hemi] for record in records],
                         [record.noise.curve_vertices[one.hemi] for record in records]) for one in flat)


def _rdms(records: StudyRecords, one: SubjectRecords) -> tuple[PlannedFigure, ...]:
    """Plan Fig. 2: how a region's similarities arise, its matrices with those of a layer, and those of all regions."""
    regions = [_rdm_row(roi, one.rdms, one.rsa, place=roi) for roi in one.regions]
    first, table = regions[0], split_readings(records.network)[SOFTMAX]
    layer = str(table["place"].iloc[0])
    drawn = [replace(first, name=f"{first.name}, subject {one.sub}")]
    if f"{layer}/RE" in records.network_rdms:
        drawn.append(_rdm_row(f"{layer} of {records.about.name}", records.network_rdms, table, place=layer))
    said = (f"Dissimilarities ({first.rdms['RE'].measure}) of all pairs of {len(first.rdms['RE'])} images as "
            f"percentile ranks, base images in the same order in all. {coefficient_sign(one.rsa)}: "
            f"{coefficient_name(one.rsa)} with the RE matrix, both as drawn; less null: what bars show, the similarity "
            f"less the mean of its permutation null; p in the brain: "
            f"{say_tests(first.statistics, 'RE-AI').partition('; ')[0]}; in the network: "
            f"{say_tests(table, 'RE-AI').partition('; ')[0]}.")
    whom = f"subject {one.sub}"
    return (PlannedFigure("regions", f"sub-{one.sub}_pairs", f"How similarities arise: {first.name}, {whom}",
                          f"A dot a pair of images. {said}", lambda: draw_pairs(first)),
            PlannedFigure("regions", f"sub-{one.sub}_rdms", f"Dissimilarity matrices, {whom}", said,
                          lambda: draw_rdm_rows(drawn)),
            PlannedFigure("regions", f"sub-{one.sub}_rdms-regions", f"Dissimilarity matrices of all regions, {whom}",
                          said, lambda: draw_rdm_rows(regions)))


def _rdm_row(name: str, rdms: Mapping[str, RDM], table: pd.DataFrame, *, place: str) -> RdmRow:
    return RdmRow(name, {kind: rdms[f"{place}/{kind}"] for kind in TYPES}, table[table["place"] == place])


def _brain(records: StudyRecords) -> PlannedFigure:
    table = records.brain
    caption = (f"Correlation of the AI (vermilion) and AN (blue) images' dissimilarities with those of the RE images; "
               f"{say_n(table)} images. Bars and asterisks: {say_tests(table, 'RE-AI')}. Numbers under the regions: p "
               f"of the difference ({say_tests(table, 'RE-AI minus RE-AN')}; –: not tested). Grey: noise ceiling from "
               "the two presentations of the RE images, too high where these chose the vertices."
               f"{say_no_ceiling(table)} {say_draws(table, seed=records.settings.study.seed)}")
    return PlannedFigure("results", "brain-rsa", "RE-AI and RE-AN similarities in the brain", caption,
                         lambda: draw_brain_rsa(table))


def _control(records: StudyRecords) -> tuple[PlannedFigure, ...]:
    """Plan Fig. S2, the same with a second selection; none where there is none."""
    table = control_of(records)
    if table is None:
        return ()
    n = records.settings.rsa.control_vertices
    caption = (f"As the figure before, on {n} vertices a hemisphere and region instead of "
               f"{records.settings.roi.vertices_per_hemisphere}.")
    return (PlannedFigure("results", "brain-rsa-control", "The same similarities with a second selection of vertices",
                          caption, lambda: draw_brain_rsa(table)),)


def _network(records: StudyRecords, *, with_images: bool = False) -> PlannedFigure:
    readings, name = split_readings(records.network), records.about.name
    table, logits = readings[SOFTMAX], readings.get(LOGITS)
    layers = table[~table["comparison"].str.startswith("trend")]
    caption = (f"The same similarities in the layers of the network “{name}”; {say_n(layers)} images. Markers and "
               f"lines: {say_tests(table, 'RE-AI')}. Numbers under the layers: p of the difference "
               f"({say_tests(table, 'RE-AI minus RE-AN')}). Trends: {say_tests(table, 'trend RE-AI')}. "
               f"{say_draws(layers, seed=records.settings.study.seed)} Filled: p < .05, one-sided; an interval of 95 % "
               "has two sides, and may hold 0.")
    if logits is not None:
        caption += " Diamonds, with names: the last layer by its logits instead of its softmax, whose are the lines."
    low_level = records.low_level if with_images else None
    if with_images:
        caption += " Short lines at the left: the same similarities by pixels and by Gabor energies."
    return PlannedFigure("results", "network-rsa", "RE-AI and RE-AN similarities in the network", caption,
                         lambda: draw_network_rsa(table, network=name, low_level=low_level, logits=logits))


def _encoding(records: StudyRecords) -> PlannedFigure:
    table, ai = records.encoding, say_tests(records.encoding, "AI", column="type")
    logits = " Hatched: the last layer by its logits." if LOGITS in split_readings(table, column="layer") else ""
    caption = (f"Correlation of measured with predicted responses, trained on RE images and tested on AI "
               f"(warm) and AN (cool) images; shades: layers, from light to dark. Dashes: held-out RE images, the "
               f"control without which no failure on AN can be read; an AI image resembles an RE image trained on, "
               f"a held-out RE image does not.{logits} Mean of {say_n(table)} vertices. "
               f"{ai[:1].upper()}{ai[1:]}; held-out RE: {say_tests(table, 'RE', column='type')}. "
               f"{say_draws(table, seed=records.settings.study.seed)}")
    return PlannedFigure("results", "encoding", "Encoding models, from RE to AI and AN", caption,
                         lambda: draw_encoding(table))


def _hierarchy(records: StudyRecords) -> PlannedFigure:
    table = records.hierarchy
    table = table[table["reading"] == SOFTMAX]
    p = records.settings.encoding.predicted_p
    caption = ("Share of each region's vertices whose responses to AI (warm) and AN (cool) images each layer's model "
               "predicts best; shades: layers, from light to dark. Bars: means over subjects and presentations; "
               "markers: subjects. None: vertices whose best layer is no better than the best in exchanged labels "
               f"(p > {p:g}): of vertices that no layer predicts, about {1 - p:.0%} are none.")
    return PlannedFigure("results", "hierarchy", "Best layer of each vertex (Fig. S1)", caption,
                         lambda: draw_hierarchy(table))
