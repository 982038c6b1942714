"""The step ``predictivity``: how well each layer of a network predicts each region of a subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.encoding.predictivity.scores import Predictivity, predictivity
from analysis.glm.betas import Betas, load_betas
from analysis.regions.patterns import RoiPatterns, selection_parameters
from analysis.regions.subject_regions import SubjectRegions, regions_of
from analysis.statistics.results import RESULTS, STATISTIC_COLUMNS, as_table, read_results, require_columns
from analysis.steps import Origin, Request, Work
from stimuli.manifest import TYPES
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.provenance import derive_seed
from subjects.settings.analysis import RoiSettings
from subjects.settings.models import PredictivitySettings
from subjects.store import write_table

OWN_COLUMNS = ("error", "split_half", "reliability", "of_reliability", "of_highest", "n_sites", "n_splits",
               "n_components")
COLUMNS = ("sub", "roi", "layer", "images", *STATISTIC_COLUMNS, *OWN_COLUMNS)
TEST = "Student's t over splits, one-sided; interval from the same"
MEANING = {"effect": "Median over vertices of the mean over splits of Pearson's r over held-out images; not divided by "
                     "a ceiling",
           "split_half": "Median over vertices of the correlation of the two presentations over images",
           "reliability": "Its Spearman-Brown correction, by which published scores are divided",
           "of_reliability": "Effect over reliability (as published; a model without error exceeds 1)",
           "of_highest": "Effect over the root of the reliability, which a model without error reaches"}


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the predictivity of each subject's regions."""
    chosen, network = request.settings, choose_network(request.layout, request.network)
    found = [SubjectPredictivity(regions=one, network=network, settings=chosen.predictivity)
             for one in regions_of(request)]
    return tuple(Work(name=f"sub-{one.regions.sub}", sub=one.regions.sub, outputs=(one.path,), origin=one.origin,
                      make=one.make, check=one.check) for one in found)


@dataclass(frozen=True, kw_only=True)
class SubjectPredictivity:
    """One subject: every layer, every region.

    Parameters
    ----------
    regions : SubjectRegions
    network : ChosenNetwork
    settings : PredictivitySettings
    """

    regions: SubjectRegions
    network: ChosenNetwork
    settings: PredictivitySettings

    @property
    def path(self) -> Path:
        """The table (columns :data:`COLUMNS`); that of another network than the set's carries its name."""
        return self.regions.layout.derivative("encoding", sub=self.regions.sub, suffix="predictivity.tsv",
                                              **self.network.entities)

    def origin(self, _: Path) -> Origin:
        """Say what the table is made from."""
        one = self.regions
        return Origin({**one.inputs(), "features": self.network.features}, {
            "seed": one.seed, "network": self.network.name, "dissimilarity": one.dissimilarity,
            "roi": selection_parameters(one.roi), "predictivity": self.settings.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Score every layer in every region."""
        sub, regions = self.regions.sub, self.regions.load()
        betas = {hemi: _centred(load_betas(path, sub=sub, hemi=hemi), self.regions.roi)
                 for hemi, path in self.regions.betas.items()}
        store = open_features(self.network, study=self.regions.layout.root)
        ids = next(iter(regions.values())).image_ids
        rows = [row for layer in progress(store.layers, label=f"predictivity sub-{sub}", total=len(store.layers))
                for row in self._score(layer, {kind: store.read(layer, image_ids=ids[kind]) for kind in TYPES}, regions,
                                       betas)]
        return lambda: self._save(rows)

    def _score(self, layer: str, units: dict[str, NDArray[np.float32]], regions: dict[str, RoiPatterns],
               betas: dict[str, Betas]) -> Iterator[dict[str, Any]]:
        for roi, patterns in regions.items():
            for kinds in self.settings.images:
                types = TYPES if kinds == "all" else (kinds,)
                halves = tuple(np.concatenate([_presentation(betas, patterns, kind, number) for kind in types])
                               for number in (1, 2))
                seed = derive_seed(self.regions.seed, self.regions.sub, roi, kinds, "predictivity")
                found = predictivity(np.concatenate([units[kind] for kind in types]),
                                     np.concatenate([patterns.responses[kind] for kind in types]),
                                     halves=(halves[0], halves[1]), groups=patterns.base_images * len(types),
                                     blocks=_blocks(patterns, types, means=self.regions.roi.session_means),
                                     rng=np.random.default_rng(seed), n_components=self.settings.n_components,
                                     n_splits=self.settings.n_splits)
                yield {"sub": self.regions.sub, "roi": roi, "layer": layer, "images": kinds,
                       **score_row(found, seed=seed)}

    def _save(self, rows: list[dict[str, Any]]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.regions.layout, "encoding")
        write_table(self.path, as_table(rows, columns=COLUMNS), overwrite=True)
        return {self.path: {"Columns": MEANING, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that the table can be read, and has the columns of this version."""
        require_columns(read_results(self.path), COLUMNS, where=self.path,
                        remedy="Make it again with `python -m analysis predictivity`.")


def _centred(betas: Betas, settings: RoiSettings) -> Betas:
    """Take session means off as the patterns' are."""
    return betas if settings.session_means == "kept" else \
        betas.without_session_means(pooled=settings.session_means == "pooled")


def _blocks(patterns: RoiPatterns, types: Sequence[str], *, means: str) -> tuple[str, ...] | None:
    """Name what has a mean of its own, image by image: as session means are taken off."""
    if means == "kept":
        return None
    return tuple(f"session {ses}" if means == "pooled" else f"session {ses}, {kind}"
                 for kind in types for ses in patterns.sessions)


def _presentation(betas: dict[str, Betas], patterns: RoiPatterns, kind: str, number: int) -> NDArray[np.float32]:
    """Take one presentation's responses of a region's vertices, (n_images, n_vertices)."""
    names = patterns.base_images
    return np.concatenate([betas[hemi].select(type=kind, presentation=number, base_images=names)[:, chosen]
                           for hemi, chosen in patterns.vertices.items()], axis=1)


def score_row(found: Predictivity, *, seed: int) -> dict[str, Any]:
    """Spread a score into the columns of a table."""
    half, reliability = (found.ceiling.split_half, found.ceiling.reliability) if found.ceiling else (np.nan, np.nan)
    return {"effect": found.score, "low": found.low, "high": found.high, "p": found.p, "n": found.n_images,
            "n_resamples": 0, "seed": seed, "test": TEST, "error": found.error, "split_half": half,
            "reliability": reliability, "of_reliability": found.published, "of_highest": found.corrected,
            "n_sites": len(found.sites), "n_splits": found.n_splits, "n_components": found.n_components}
