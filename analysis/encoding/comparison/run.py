"""The step ``compare``: ROMP beside other linear models, on held-out RE images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.encoding.comparison.banded import compare_banded, require_himalaya
from analysis.encoding.comparison.estimator import compare_models
from analysis.regions.patterns import RoiPatterns, selection_parameters
from analysis.regions.subject_regions import SubjectRegions, regions_of
from analysis.statistics.readings import named_layers
from analysis.statistics.results import RESULTS, as_table, read_results, require_columns
from analysis.steps import Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.provenance import derive_seed
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
    found = [SubjectComparison(regions=one, network=network, settings=chosen.comparison,
                               candidates=chosen.encoding.candidates) for one in regions_of(request)]
    return tuple(Work(name=f"sub-{one.regions.sub}", sub=one.regions.sub, outputs=(one.path,), origin=one.origin,
                      make=one.make, check=one.check) for one in found)


@dataclass(frozen=True, kw_only=True)
class SubjectComparison:
    """One subject: every model, region and layer.

    Parameters
    ----------
    regions : SubjectRegions
    network : ChosenNetwork
    settings : ComparisonSettings
    candidates : tuple of int
        ``encoding.candidates``, the levels among which ROMP and OMP choose.
    """

    regions: SubjectRegions
    network: ChosenNetwork
    settings: ComparisonSettings
    candidates: tuple[int, ...]

    @property
    def path(self) -> Path:
        """The table (columns :data:`COLUMNS`); that of another network than the set's carries its name."""
        return self.regions.layout.derivative("encoding", sub=self.regions.sub, suffix="comparison.tsv",
                                              **self.network.entities)

    def origin(self, _: Path) -> Origin:
        """Say what the table is made from."""
        one = self.regions
        return Origin({**one.inputs(), "features": self.network.features}, {
            "seed": one.seed, "network": self.network.name, "dissimilarity": one.dissimilarity,
            "roi": selection_parameters(one.roi), "candidates": list(self.candidates),
            "comparison": self.settings.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Train and score every model."""
        sub, regions = self.regions.sub, self.regions.load()
        store = open_features(self.network, study=self.regions.layout.root)
        ids = next(iter(regions.values())).image_ids["RE"]
        units = {layer: store.read(read, image_ids=ids) for layer, read in named_layers(store).items()}
        bands = gather_bands({layer: units[layer] for layer in store.layers}, by=self.settings.bands)
        layers = [*units, *([TOGETHER] if "banded" in self.settings.models else [])]
        pieces = [(patterns, layer) for patterns in regions.values() for layer in layers]
        rows = [row for patterns, layer in progress(pieces, label=f"models of sub-{sub}", total=len(pieces))
                for row in self._compare(patterns, layer, units=units, bands=bands)]
        return lambda: self._save(rows)

    def _compare(self, patterns: RoiPatterns, layer: str, *, units: Units, bands: Units) -> Iterator[dict[str, Any]]:
        """Give a row a model of one layer, or the row of all layers together."""
        some, chosen = spread(patterns.responses["RE"], n=self.settings.vertices), self.settings
        seed = derive_seed(self.regions.seed, self.regions.sub, patterns.roi, "comparison")
        names = {"sub": self.regions.sub, "roi": patterns.roi, "n_images": len(some), "n_folds": chosen.folds,
                 "layer": layer, "seed": seed}
        if layer == TOGETHER:
            accuracies = compare_banded(bands, some, folds=chosen.folds, n_weights=chosen.n_weights,
                                        random_state=seed % 2**32)
            yield {**names, "model": NAMES["banded"], **_summary(accuracies)}
            return
        found = compare_models(units[layer], some, folds=chosen.folds, levels=self.candidates,
                               random_state=seed % 2**32,
                               models=[NAMES[name] for name in chosen.models if name != "banded"])
        for model, accuracies in found.items():
            yield {**names, "model": model, **_summary(accuracies)}

    def _save(self, rows: list[dict[str, Any]]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.regions.layout, "encoding")
        write_table(self.path, as_table(rows, columns=COLUMNS), overwrite=True)
        return {self.path: {"Columns": MEANING, **self.regions.missing_runs(), **RESULTS.in_sidecar()}}

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
