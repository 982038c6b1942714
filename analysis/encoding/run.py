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
from analysis.glm.combining import betas_paths, missing_runs_of
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns, selection_parameters
from analysis.statistics.draws import permutations
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
from stimuli.manifest import TYPES, read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout, network_label
from subjects.provenance import derive_seed, rng
from subjects.settings.analysis import EncodingSettings, RoiSettings
from subjects.store import write_table

COLUMNS = ("sub", "roi", "layer", "type", *STATISTIC_COLUMNS, "sparsity", "correction", "ceiling_low", "ceiling_high",
           *PAPER_COLUMNS)
VERTICES, LAYERS = "vertices_digest", "layers_digest"
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
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=(one.table_path,), origin=one.origin, make=one.make,
                      companions={VERTICES: one.vertices_path, LAYERS: one.shares_path}, check=one.check)
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
        """Say what both files are made from."""
        inputs = {**brain_inputs(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi),
                  "manifest": self.layout.manifest, "features": self.network.features}
        return Origin(inputs, {"seed": self.seed, "network": self.network.name, "dissimilarity": self.dissimilarity,
                               "roi": selection_parameters(self.roi),
                               "encoding": self.encoding.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Train and test the models of every layer."""
        regions = load_roi_patterns(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi,
                                    manifest=read_manifest(self.layout.manifest), measure=self.dissimilarity)
        store = open_features(self.network, study=self.layout.root)
        ids = next(iter(regions.values())).image_ids  # as they were shown, and held against the manifest
        seeds = {roi: derive_seed(self.seed, self.sub, roi, "encoding") for roi in regions}
        named = named_layers(store)
        found = {layer: encode_layer({kind: store.read(read, image_ids=ids[kind]) for kind in TYPES}, regions,
                                     settings=self.encoding, seeds=seeds, layer=layer, where=f"sub-{self.sub} {layer}")
                 for layer, read in progress(named.items(), label=f"encoding sub-{self.sub}", total=len(named))}
        shares = [row for roi in regions for row in self._shares(found, regions[roi], seed=seeds[roi])]
        return lambda: self._save(found, regions, shares=shares)

    def _shares(self, found: Mapping[str, LayerResult], patterns: RoiPatterns, *,
                seed: int) -> list[dict[str, object]]:
        """Count a region's vertices by the layer that predicts them best."""
        orders = permutations(len(patterns.base_images), n=self.encoding.n_permutations, rng=rng(seed, "hierarchy"),
                              blocks=patterns.sessions)
        return share_rows({layer: result.predicted[patterns.roi] for layer, result in found.items()},
                          presentations(patterns), orders=orders, alpha=self.encoding.predicted_p, sub=self.sub,
                          roi=patterns.roi)

    def _save(self, found: Mapping[str, LayerResult], regions: Mapping[str, RoiPatterns], *,
              shares: list[dict[str, object]]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.layout, "encoding")
        write_table(self.shares_path, pd.DataFrame(shares, columns=list(SHARES)), overwrite=True)
        save_vertices(self.vertices_path, found, regions=regions)
        rows = _rows(found, regions, sub=self.sub, correlate=self.encoding.correlate)
        write_table(self.table_path, as_table(rows, columns=COLUMNS), overwrite=True)
        gaps = missing_runs_of(betas_paths(self.layout, sub=self.sub).values())
        return {self.table_path: {"Paper": _PAPER, "Ceiling": _CEILING, **gaps, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that both files can be read, and that the table has the columns of this version."""
        require_columns(read_results(self.table_path), COLUMNS, where=self.table_path,
                        remedy="Train again with `python -m analysis encode`.")
        read_selected(self.vertices_path)
        require_shares(read_results(self.shares_path), remedy="Train again with `python -m analysis encode`.")


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
          correlate: str) -> list[dict[str, Any]]:
    return [statistic_row(statistic, sub=sub, roi=roi, layer=layer, type=kind, sparsity=result.levels[roi])
            for layer, result in results.items() for roi, patterns in regions.items()
            for kind, statistic in result.statistics(patterns, correlate=correlate).items()]
