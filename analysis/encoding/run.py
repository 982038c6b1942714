"""The step ``encode``: models of vertices trained on RE images, tested on AN and AI images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.data.sources import SubjectData, require_whole, resolve_subject
from analysis.encoding.files import read_selected, save_vertices
from analysis.encoding.hierarchy import COLUMNS as SHARES
from analysis.encoding.hierarchy import require_shares, share_rows
from analysis.encoding.layers import LayerResult, encode_layer
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths, missing_runs_of
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns, selection_parameters
from analysis.running import DIGESTS, digests_of
from analysis.statistics.correction import correct_rows
from analysis.statistics.draws import permutations
from analysis.statistics.readings import named_layers, read_of
from analysis.statistics.results import (
    PAPER_COLUMNS,
    RESULTS,
    STATISTIC_COLUMNS,
    as_table,
    read_results,
    require_columns,
    statistic_row,
)
from analysis.steps import Origin, Request, Work
from stimuli.manifest import TYPES, read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout, network_label
from subjects.provenance import derive_seed, rng
from subjects.settings.analysis import RoiSettings
from subjects.settings.models import EncodingSettings
from subjects.store import write_table

COLUMNS = ("sub", "roi", "layer", "type", *STATISTIC_COLUMNS, "sparsity", "correction", "p_corrected", "ceiling_low",
           "ceiling_high", *PAPER_COLUMNS, *DIGESTS)
VERTICES = "vertices_digest"
_FIT_AGAIN = ("Fit again with `python -m analysis glm`, and see that the time series cover the region; or take these "
              "vertices out of its label.")
_DIGESTS = ("digest_images: of the manifest; digest_data: of the digests of all other inputs; digest_settings: of the "
            "parameters")
_LAYERS = ("n of n_vertices of the region, and their share, whose responses to a type of images in a presentation this "
           "layer's model predicts best; none: those that no layer predicts (encoding.predicted_p); reading: of the "
           "last layer")
_PAPER = ("paper_p: label permutation over all images; of AI minus AN, from subsamples of vertices, as are paper_low "
          "and paper_high")
_CEILING = ("accuracy of a model without error: root of the vertices' mean reliability over the two presentations; "
            "none where correlations are over vertices")


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the encoding models of each subject.

    Raises
    ------
    AnalysisError
        If session means are to be pooled over types: RE responses would then hold what the test images evoked.
    """
    chosen, network = request.settings, choose_network(request.layout, request.network)
    if chosen.roi.session_means == "pooled":
        raise AnalysisError("roi.session_means", came="'pooled', one mean over RE, AN and AI images",
                            expected="'removed' or 'kept' for encoding models: a mean over types takes the test images "
                            "into the training responses", remedy='Set roi.session_means = "removed".')
    models = [SubjectModels(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold, space=chosen.analysis.space,
                            network=network, roi=chosen.roi, encoding=chosen.encoding,
                            dissimilarity=chosen.rsa.dissimilarity,
                            seed=chosen.study.seed) for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=(one.table_path, one.shares_path), origin=one.origin,
                      make=one.make, companions={VERTICES: one.vertices_path}, check=one.check)
                 for one in models)


@dataclass(frozen=True, kw_only=True)
class SubjectModels:
    """The models of one subject: every layer of a network, every region.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    space : str
        ``analysis.space``.
    network : ChosenNetwork
    roi : RoiSettings
    encoding : EncodingSettings
    dissimilarity : str
        ``rsa.dissimilarity``, by which the vertices are selected.
    seed : int
        The study's.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    network: ChosenNetwork
    roi: RoiSettings
    encoding: EncodingSettings
    dissimilarity: str
    seed: int

    @property
    def table_path(self) -> Path:
        """The table (columns :data:`COLUMNS`); that of another network than the set's carries its name."""
        other = {} if self.network.of_set else {"network": network_label(self.network.name)}
        return self.layout.derivative("encoding", sub=self.sub, suffix="encoding.tsv", **other)

    @property
    def vertices_path(self) -> Path:
        """Each vertex's accuracies."""
        return self.table_path.with_suffix(".h5")

    @property
    def shares_path(self) -> Path:
        """The shares of vertices by layer (columns :data:`analysis.encoding.hierarchy.COLUMNS`)."""
        return self.table_path.with_name(self.table_path.name.replace("_encoding.tsv", "_layers.tsv"))

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space))

    def origin(self, _: Path) -> Origin:
        """Say what the files are made from; the precision of ROMP's search changes nothing."""
        inputs = {**brain_inputs(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi),
                  "manifest": self.layout.manifest, "features": self.network.features}
        return Origin(inputs, {"seed": self.seed, "network": self.network.name, "dissimilarity": self.dissimilarity,
                               "roi": selection_parameters(self.roi),
                               "encoding": self.encoding.model_dump(mode="json", exclude={"precision"})})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Train and test the models of every layer."""
        made_from = digests_of(self.origin(self.table_path))
        regions = load_roi_patterns(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi,
                                    manifest=read_manifest(self.layout.manifest), measure=self.dissimilarity)
        require_responses(regions, betas_paths(self.layout, sub=self.sub), sub=self.sub)
        store = open_features(self.network, study=self.layout.root)
        ids = next(iter(regions.values())).image_ids  # as they were shown, and held against the manifest
        seeds = {roi: derive_seed(self.seed, self.sub, roi, "encoding") for roi in regions}
        named = named_layers(store)
        found = {layer: encode_layer({kind: store.read(read, image_ids=ids[kind]) for kind in TYPES}, regions,
                                     settings=self.encoding, seeds=seeds, layer=layer, where=f"sub-{self.sub} {layer}")
                 for layer, read in progress(named.items(), label=f"encoding sub-{self.sub}", total=len(named))}
        shares = [row for roi in regions for row in self._shares(found, regions[roi], seed=seeds[roi])]
        rows = _rows(found, regions, sub=self.sub, settings=self.encoding, made_from=made_from)
        return lambda: self._save(found, regions, rows=rows, shares=shares)

    def _shares(self, found: Mapping[str, LayerResult], patterns: RoiPatterns, *,
                seed: int) -> list[dict[str, object]]:
        """Count a region's vertices by the layer that predicts them best."""
        orders = permutations(len(patterns.base_images), n=self.encoding.n_permutations, rng=rng(seed, "hierarchy"),
                              blocks=patterns.sessions)
        return share_rows({layer: result.predicted[patterns.roi] for layer, result in found.items()},
                          presentations(patterns), orders=orders, alpha=self.encoding.predicted_p, sub=self.sub,
                          roi=patterns.roi)

    def _save(self, found: Mapping[str, LayerResult], regions: Mapping[str, RoiPatterns], *,
              rows: list[dict[str, Any]], shares: list[dict[str, object]]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.layout, "encoding")
        write_table(self.shares_path, pd.DataFrame(shares, columns=list(SHARES)), overwrite=True)
        save_vertices(self.vertices_path, found, regions=regions)
        write_table(self.table_path, as_table(rows, columns=COLUMNS), overwrite=True)
        gaps = missing_runs_of(betas_paths(self.layout, sub=self.sub).values())
        return {self.table_path: {"Paper": _PAPER, "Ceiling": _CEILING, "Columns": _DIGESTS, **gaps,
                                  **RESULTS.in_sidecar()},
                self.shares_path: {"Columns": _LAYERS, **gaps, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that both files can be read, and that the table has the columns of this version."""
        require_columns(read_results(self.table_path), COLUMNS, where=self.table_path,
                        remedy="Train again with `python -m analysis encode`.")
        read_selected(self.vertices_path)
        require_shares(read_results(self.shares_path), remedy="Train again with `python -m analysis encode`.")


def require_responses(regions: Mapping[str, RoiPatterns], betas: Mapping[str, Path], *, sub: str) -> None:
    """See that every chosen vertex has a response to every image, and not the same to all.

    Parameters
    ----------
    regions : mapping of str to RoiPatterns
    betas : mapping of str to Path
        Hemisphere to the file that the responses come from, which is read again to name what is missing: where session
        means were taken off, one response without a value takes all of its session with it.
    sub : str

    Raises
    ------
    AnalysisError
        Naming subject, region, vertices, image, session and presentation.
    """
    for roi, patterns in regions.items():
        for kind, values in patterns.responses.items():
            if not np.isfinite(values).all():
                raise _without_value(patterns, betas, sub=sub, kind=kind)
            flat = np.flatnonzero(np.ptp(values, axis=0) == 0)
            if flat.size:
                raise AnalysisError(
                    f"sub-{sub} {roi}", came=f"{flat.size} of {values.shape[1]} chosen vertices with the same response "
                    f"to all {len(values)} {kind} images, first {_name(patterns, int(flat[0]))}",
                    expected="responses that differ", remedy=_FIT_AGAIN)


def _without_value(patterns: RoiPatterns, betas: Mapping[str, Path], *, sub: str, kind: str) -> AnalysisError:
    """Name the first response without a value in the betas, and how many there are."""
    missing, said = 0, ""
    for hemi, path in betas.items():
        found = load_betas(path, sub=sub, hemi=hemi)
        rows = np.flatnonzero(found.conditions["type"] == kind)
        bad = ~np.isfinite(found.values[np.ix_(rows, patterns.vertices[hemi])])  # noqa: PD011 - no DataFrame
        missing += int(bad.any(axis=1).sum())
        if bad.any() and not said:
            first = int(np.flatnonzero(bad.any(axis=1))[0])
            row = found.conditions.iloc[rows[first]]
            said = (f"{int(bad[first].sum())} of {bad.shape[1]} chosen vertices of hemi-{hemi} without a value for "
                    f"{row['image_id']} ({kind} of {row['base_image']}, session {row['session']}, presentation "
                    f"{row['presentation']})")
    return AnalysisError(f"sub-{sub} {patterns.roi}", came=f"{said}; {missing} such responses to {kind} images",
                         expected="a value at every chosen vertex for every image", remedy=_FIT_AGAIN)


def _name(patterns: RoiPatterns, column: int) -> str:
    """Name the vertex of a column."""
    for hemi, chosen in patterns.vertices.items():
        if column < len(chosen):
            return f"vertex {chosen[column]} of hemi-{hemi}"
        column -= len(chosen)
    raise ValueError(f"no column {column} in {patterns.roi}")


def presentations(patterns: RoiPatterns) -> Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Give the responses of each presentation.

    Raises
    ------
    AnalysisError
        If the patterns have none.
    """
    if patterns.presentations is None:
        raise AnalysisError(patterns.roi, came="no responses by presentation", expected="two presentations",
                            remedy="Estimate the betas again with `python -m analysis glm`.")
    return patterns.presentations


def _rows(results: Mapping[str, LayerResult], regions: Mapping[str, RoiPatterns], *, sub: str,
          settings: EncodingSettings, made_from: Mapping[str, str]) -> list[dict[str, Any]]:
    rows = [statistic_row(statistic, sub=sub, roi=roi, layer=layer, type=kind, sparsity=result.levels[roi], **made_from)
            for layer, result in results.items() for roi, patterns in regions.items()
            for kind, statistic in result.statistics(patterns, correlate=settings.correlate).items()]
    softmax = [row for row in rows if read_of(row["layer"]) == row["layer"]]
    logits = [row for row in rows if read_of(row["layer"]) != row["layer"]]
    others = [row for row in softmax if row["layer"] not in {read_of(row["layer"]) for row in logits}]
    return [*_corrected(softmax, by=settings.correction),
            *_corrected([*others, *logits], by=settings.correction)[len(others):]]


def _corrected(rows: list[dict[str, Any]], *, by: str) -> list[dict[str, Any]]:
    """Correct p over all regions and layers of one reading, for each type of images."""
    return correct_rows(rows, by=by, families=[row["type"] for row in rows])
