"""The step ``encode``: models of vertices trained on RE images, tested on AN and AI images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.encoding.files import read_selected, save_vertices
from analysis.encoding.hierarchy import COLUMNS as SHARES
from analysis.encoding.hierarchy import require_shares, share_rows
from analysis.encoding.layers import LayerResult, encode_layer
from analysis.regions.patterns import RoiPatterns, selection_parameters
from analysis.regions.subject_regions import SubjectRegions, regions_of
from analysis.running import DIGESTS, digests_of
from analysis.statistics.correction import correct_readings, correct_rows
from analysis.statistics.draws import permutations, warn_of_few
from analysis.statistics.readings import named_layers
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
from stimuli.manifest import TYPES
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.provenance import derive_seed, rng
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
    warn_of_few(chosen.encoding.n_permutations, asked_by="encoding.n_permutations")
    models = [SubjectModels(regions=one, network=network, encoding=chosen.encoding) for one in regions_of(request)]
    return tuple(Work(name=f"sub-{one.regions.sub}", sub=one.regions.sub, outputs=(one.table_path, one.shares_path),
                      origin=one.origin, make=one.make, companions={VERTICES: one.vertices_path}, check=one.check)
                 for one in models)


@dataclass(frozen=True, kw_only=True)
class SubjectModels:
    """The models of one subject: every layer of a network, every region.

    Parameters
    ----------
    regions : SubjectRegions
    network : ChosenNetwork
    encoding : EncodingSettings
    """

    regions: SubjectRegions
    network: ChosenNetwork
    encoding: EncodingSettings

    @property
    def table_path(self) -> Path:
        """The table (columns :data:`COLUMNS`); that of another network than the set's carries its name."""
        return self.regions.layout.derivative("encoding", sub=self.regions.sub, suffix="encoding.tsv",
                                              **self.network.entities)

    @property
    def vertices_path(self) -> Path:
        """Each vertex's accuracies."""
        return self.table_path.with_suffix(".h5")

    @property
    def shares_path(self) -> Path:
        """The shares of vertices by layer (columns :data:`analysis.encoding.hierarchy.COLUMNS`)."""
        return self.table_path.with_name(self.table_path.name.replace("_encoding.tsv", "_layers.tsv"))

    def origin(self, _: Path) -> Origin:
        """Say what the files are made from; the precision of ROMP's search changes nothing."""
        one = self.regions
        return Origin({**one.inputs(), "features": self.network.features}, {
            "seed": one.seed, "network": self.network.name, "dissimilarity": one.dissimilarity,
            "roi": selection_parameters(one.roi),
            "encoding": self.encoding.model_dump(mode="json", exclude={"precision"})})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Train and test the models of every layer."""
        made_from = digests_of(self.origin(self.table_path))
        sub, regions = self.regions.sub, self.regions.load()
        require_varying(regions, sub=sub)
        store = open_features(self.network, study=self.regions.layout.root)
        ids = next(iter(regions.values())).image_ids  # as they were shown, and held against the manifest
        seeds = {roi: derive_seed(self.regions.seed, sub, roi, "encoding") for roi in regions}
        named = named_layers(store)
        found = {layer: encode_layer({kind: store.read(read, image_ids=ids[kind]) for kind in TYPES}, regions,
                                     settings=self.encoding, seeds=seeds, layer=layer, where=f"sub-{sub} {layer}")
                 for layer, read in progress(named.items(), label=f"encoding sub-{sub}", total=len(named))}
        shares = [row for roi in regions for row in self._shares(found, regions[roi], seed=seeds[roi])]
        rows = _rows(found, regions, sub=sub, settings=self.encoding, made_from=made_from)
        return lambda: self._save(found, regions, rows=rows, shares=shares)

    def _shares(self, found: Mapping[str, LayerResult], patterns: RoiPatterns, *,
                seed: int) -> list[dict[str, object]]:
        """Count a region's vertices by the layer that predicts them best."""
        orders = permutations(len(patterns.base_images), n=self.encoding.n_permutations, rng=rng(seed, "hierarchy"),
                              blocks=patterns.sessions)
        return share_rows({layer: result.predicted[patterns.roi] for layer, result in found.items()},
                          presentations(patterns), orders=orders, alpha=self.encoding.predicted_p,
                          sub=self.regions.sub, roi=patterns.roi)

    def _save(self, found: Mapping[str, LayerResult], regions: Mapping[str, RoiPatterns], *,
              rows: list[dict[str, Any]], shares: list[dict[str, object]]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.regions.layout, "encoding")
        write_table(self.shares_path, pd.DataFrame(shares, columns=list(SHARES)), overwrite=True)
        save_vertices(self.vertices_path, found, regions=regions)
        write_table(self.table_path, as_table(rows, columns=COLUMNS), overwrite=True)
        gaps = self.regions.missing_runs()
        return {self.table_path: {"Paper": _PAPER, "Ceiling": _CEILING, "Columns": _DIGESTS, **gaps,
                                  **RESULTS.in_sidecar()},
                self.shares_path: {"Columns": _LAYERS, **gaps, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that both files can be read, and that the table has the columns of this version."""
        require_columns(read_results(self.table_path), COLUMNS, where=self.table_path,
                        remedy="Train again with `python -m analysis encode`.")
        read_selected(self.vertices_path)
        require_shares(read_results(self.shares_path), remedy="Train again with `python -m analysis encode`.")


def require_varying(regions: Mapping[str, RoiPatterns], *, sub: str) -> None:
    """See that no chosen vertex answers alike to all images of a type: it has no correlation with anything.

    Parameters
    ----------
    regions : mapping of str to RoiPatterns
    sub : str

    Raises
    ------
    AnalysisError
        Naming subject, region, type and the first such vertex, with counts.
    """
    for roi, patterns in regions.items():
        for kind, values in patterns.responses.items():
            flat = np.flatnonzero(np.ptp(values, axis=0) == 0)
            if flat.size:
                raise AnalysisError(
                    f"sub-{sub} {roi}", came=f"{flat.size} of {values.shape[1]} chosen vertices with the same response "
                    f"to all {len(values)} {kind} images, first {_name(patterns, int(flat[0]))}",
                    expected="responses that differ", remedy=_FIT_AGAIN)


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
    return correct_readings(rows, column="layer", correct=lambda part: correct_rows(
        part, by=settings.correction, families=[row["type"] for row in part]))
