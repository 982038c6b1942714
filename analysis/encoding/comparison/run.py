"""The step ``compare``: ROMP beside other linear models, on held-out RE images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.data.sources import SubjectData, require_whole, resolve_subject
from analysis.encoding.comparison.banded import compare_banded, require_himalaya
from analysis.encoding.comparison.estimator import compare_models
from analysis.glm.combining import betas_paths, missing_runs_of
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns, selection_parameters
from analysis.statistics.readings import named_layers
from analysis.statistics.results import RESULTS, as_table, read_results, require_columns
from analysis.steps import Origin, Request, Work
from stimuli.manifest import read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.layout import Layout, network_label
from subjects.provenance import derive_seed
from subjects.settings.analysis import RoiSettings
from subjects.settings.models import ComparisonSettings
from subjects.store import write_table

COLUMNS = ("sub", "roi", "layer", "model", "effect", "sd", "n", "n_images", "n_folds", "seed")
MEANING = ("effect: mean over n vertices of the cosine, over n_images held-out RE images, of predicted and measured "
           "deviations from the means of the images trained on; sd: over vertices; layer: all for banded ridge. For "
           "comparison alone: images both train and are tested, so that no p or interval is given")
NAMES = {"romp": "ROMP", "omp": "OMP", "ridge": "ridge", "banded": "banded ridge"}
TOGETHER = "all"
_REMEDY = "Compare again with `python -m analysis compare`."
Units = Mapping[str, NDArray[np.float32]]


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the comparison of each subject.

    Raises
    ------
    AnalysisError
        If banded ridge is asked for without himalaya.
    """
    chosen, network = request.settings, choose_network(request.layout, request.network)
    if "banded" in chosen.comparison.models:
        require_himalaya()
    found = [SubjectComparison(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                               space=chosen.analysis.space, network=network, roi=chosen.roi, settings=chosen.comparison,
                               candidates=chosen.encoding.candidates, dissimilarity=chosen.rsa.dissimilarity,
                               seed=chosen.study.seed) for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=(one.path,), origin=one.origin, make=one.make,
                      check=one.check) for one in found)


@dataclass(frozen=True, kw_only=True)
class SubjectComparison:
    """One subject: every model, region and layer.

    Parameters
    ----------
    layout, sub, pipeline, space, network, roi, dissimilarity, seed
        As of :class:`analysis.encoding.run.SubjectModels`.
    settings : ComparisonSettings
    candidates : tuple of int
        ``encoding.candidates``, the levels among which ROMP and OMP choose.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    network: ChosenNetwork
    roi: RoiSettings
    settings: ComparisonSettings
    candidates: tuple[int, ...]
    dissimilarity: str
    seed: int

    @property
    def path(self) -> Path:
        """The table (columns :data:`COLUMNS`); that of another network than the set's carries its name."""
        other = {} if self.network.of_set else {"network": network_label(self.network.name)}
        return self.layout.derivative("encoding", sub=self.sub, suffix="comparison.tsv", **other)

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space))

    def origin(self, _: Path) -> Origin:
        """Say what the table is made from."""
        inputs = {**brain_inputs(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi),
                  "manifest": self.layout.manifest, "features": self.network.features}
        return Origin(inputs, {"seed": self.seed, "network": self.network.name, "dissimilarity": self.dissimilarity,
                               "roi": selection_parameters(self.roi), "candidates": list(self.candidates),
                               "comparison": self.settings.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Train and score every model."""
        regions = load_roi_patterns(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi,
                                    manifest=read_manifest(self.layout.manifest), measure=self.dissimilarity)
        store = open_features(self.network, study=self.layout.root)
        ids = next(iter(regions.values())).image_ids["RE"]
        units = {layer: store.read(read, image_ids=ids) for layer, read in named_layers(store).items()}
        bands = gather_bands({layer: units[layer] for layer in store.layers}, by=self.settings.bands)
        rows = [row for patterns in progress(regions.values(), label=f"models of sub-{self.sub}", total=len(regions))
                for row in self._compare(patterns, units, bands)]
        return lambda: self._save(rows)

    def _compare(self, patterns: RoiPatterns, units: Units, bands: Units) -> Iterator[dict[str, Any]]:
        """Give a row a model and layer."""
        some, chosen = spread(patterns.responses["RE"], n=self.settings.vertices), self.settings
        seed = derive_seed(self.seed, self.sub, patterns.roi, "comparison")
        names = {"sub": self.sub, "roi": patterns.roi, "n_images": len(some), "n_folds": chosen.folds, "seed": seed}
        alone = [NAMES[name] for name in chosen.models if name != "banded"]
        for layer, values in units.items():
            found = compare_models(values, some, folds=chosen.folds, levels=self.candidates, models=alone,
                                   random_state=seed % 2**32)
            for model, accuracies in found.items():
                yield {**names, "layer": layer, "model": model, **_summary(accuracies)}
        if "banded" in chosen.models:
            accuracies = compare_banded(bands, some, folds=chosen.folds, n_weights=chosen.n_weights,
                                        random_state=seed % 2**32)
            yield {**names, "layer": TOGETHER, "model": NAMES["banded"], **_summary(accuracies)}

    def _save(self, rows: list[dict[str, Any]]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.layout, "encoding")
        write_table(self.path, as_table(rows, columns=COLUMNS), overwrite=True)
        gaps = missing_runs_of(betas_paths(self.layout, sub=self.sub).values())
        return {self.path: {"Columns": MEANING, **gaps, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that the table can be read, and has the columns of this version."""
        require_columns(read_results(self.path), COLUMNS, where=self.path, remedy=_REMEDY)


def spread(responses: NDArray[np.float32], *, n: int) -> NDArray[np.float32]:
    """Take n vertices, evenly along the columns; all where there are no more."""
    n_vertices = responses.shape[1]
    return responses[:, np.unique(np.linspace(0, n_vertices - 1, min(n, n_vertices)).round().astype(np.intp))]


def gather_bands(layers: Units, *, by: str) -> dict[str, NDArray[np.float32]]:
    """Gather layers into bands: each by itself, or the earlier and the later half (the middle one is early).

    Examples
    --------
    >>> one = np.zeros((2, 1), dtype=np.float32)
    >>> found = gather_bands({"a": one, "b": one, "c": one}, by="early and late")
    >>> {name: band.shape[1] for name, band in found.items()}
    {'early': 2, 'late': 1}
    """
    if by == "layers" or len(layers) == 1:
        return dict(layers)
    names, half = list(layers), -(-len(layers) // 2)
    return {band: np.concatenate([layers[name] for name in part], axis=1)
            for band, part in (("early", names[:half]), ("late", names[half:]))}


def _summary(accuracies: NDArray[np.float64]) -> dict[str, Any]:
    sd = float(accuracies.std(ddof=1)) if len(accuracies) > 1 else float("nan")
    return {"effect": float(accuracies.mean()), "sd": sd, "n": len(accuracies)}
