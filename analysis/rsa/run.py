"""The step ``rsa``: similarity between the three image types, in brain regions and in network layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.data.sources import SubjectData, require_whole, resolve_subject
from analysis.glm.estimate import betas_paths
from analysis.regions.labels import ROIS
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns
from analysis.rsa.compare import COMPARED, Similarities, compare_types, layer_trends
from analysis.rsa.rdm import compute_rdm, load_rdms, save_rdms
from analysis.rsa.readings import LOGITS, by_logits
from analysis.rsa.resampling import split_half_ceiling
from analysis.statistics.results import RESULTS, STATISTIC_COLUMNS, as_table, read_results, statistic_row
from analysis.statistics.statistic import Statistic
from analysis.steps import Origin, Request, Work
from stimuli.feature_store import FeatureStore
from stimuli.manifest import TYPES, Manifest, read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.layout import Layout, network_label
from subjects.provenance import derive_seed
from subjects.settings.analysis import RoiSettings, RsaSettings
from subjects.store import write_table

COLUMNS = ("system", "sub", "place", "comparison", *STATISTIC_COLUMNS, "ceiling_low", "ceiling_high", "correction")
_CEILING = "split-half: Spearman of RE RDMs, presentation 1 and 2 (low), Spearman-Brown corrected (high)"
Extras = dict[Path, dict[str, Any]]


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the similarities of each subject's regions, and those of the network's layers."""
    chosen, layout = request.settings, request.layout
    brains = [BrainRsa(layout=layout, sub=sub, pipeline=chosen.analysis.bold, roi=chosen.roi, rsa=chosen.rsa,
                       seed=chosen.study.seed) for sub in request.subjects]
    network = NetworkRsa(layout=layout, network=choose_network(layout, request.network), rsa=chosen.rsa,
                         seed=chosen.study.seed)
    of_brains = [Work(name=f"sub-{one.sub}", sub=one.sub, outputs=one.paths, origin=one.origin, make=one.make,
                      check=one.check) for one in brains]
    return (*of_brains, Work(name=f"network-{network.network.name}", outputs=network.paths, origin=network.origin,
                             make=network.make, check=network.check))


@dataclass(frozen=True, kw_only=True)
class BrainRsa:
    """The similarities in the five regions of one subject.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    roi : RoiSettings
    rsa : RsaSettings
    seed : int
        The study's.
    """

    layout: Layout
    sub: str
    pipeline: str
    roi: RoiSettings
    rsa: RsaSettings
    seed: int

    @property
    def paths(self) -> tuple[Path, Path]:
        """The table (columns :data:`COLUMNS`), and the RDMs behind it."""
        table, rdms = (self.layout.derivative("rsa", sub=self.sub, suffix=suffix) for suffix in ("rsa.tsv", "rdms.h5"))
        return table, rdms

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline))

    def origin(self, _: Path) -> Origin:
        """Say what both files are made from."""
        inputs = {**brain_inputs(self.data, betas_paths(self.layout, sub=self.sub)), "manifest": self.layout.manifest}
        return Origin(inputs, {"seed": self.seed, "rsa": self.rsa.model_dump(mode="json", exclude={"unit_groups"}),
                               "roi": self.roi.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Compare the image types in every region."""
        regions = load_roi_patterns(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi,
                                    manifest=read_manifest(self.layout.manifest), measure=self.rsa.dissimilarity)
        found = {roi: region_similarities(regions[roi], settings=self.rsa, sub=self.sub,
                                          seed=derive_seed(self.seed, self.sub, roi, "rsa"))
                 for roi in progress(ROIS, label=f"RSA sub-{self.sub}", total=len(ROIS))}
        rows = [statistic_row(statistic, system="brain", sub=self.sub, place=roi, comparison=comparison)
                for roi, place in found.items() for comparison, statistic in place.statistics.items()]
        return lambda: self._save(found, rows)

    def _save(self, found: Mapping[str, Similarities], rows: list[dict[str, Any]]) -> Extras:
        describe_derivative(self.layout, "rsa")
        save(self.paths, found, rows=rows)
        return {self.paths[0]: {"Ceiling": _CEILING, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that both files can be read."""
        read_results(self.paths[0])
        load_rdms(self.paths[1])


def region_similarities(patterns: RoiPatterns, *, settings: RsaSettings, sub: str, seed: int) -> Similarities:
    """Compare the types in one brain region, with 68 % intervals over vertices and a split-half ceiling."""
    halves = [compute_rdm(half, labels=patterns.base_images, measure=settings.dissimilarity,
                          where=f"sub-{sub} {patterns.roi}, RE presentation {k}")
              for k, half in enumerate(patterns.halves, start=1)]
    return compare_types(patterns.responses, labels=patterns.base_images, settings=settings, percent=68,
                         blocks=patterns.sessions, seed=seed, ceiling=split_half_ceiling(*halves), features="vertices",
                         where=f"sub-{sub} {patterns.roi}")


@dataclass(frozen=True, kw_only=True)
class NetworkRsa:
    """The similarities in the layers of a network, with 95 % intervals over units, and their trends over layers.

    Parameters
    ----------
    layout : Layout
    network : ChosenNetwork
    rsa : RsaSettings
    seed : int
        The study's.
    """

    layout: Layout
    network: ChosenNetwork
    rsa: RsaSettings
    seed: int

    @property
    def paths(self) -> tuple[Path, Path]:
        """The table (columns :data:`COLUMNS`), and the RDMs behind it."""
        label = network_label(self.network.name)
        table, rdms = (self.layout.derivative("rsa", suffix=suffix, network=label) for suffix in ("rsa.tsv", "rdms.h5"))
        return table, rdms

    def origin(self, _: Path) -> Origin:
        """Say what both files are made from."""
        return Origin({"features": self.network.features, "manifest": self.layout.manifest},
                      {"seed": self.seed, "rsa": self.rsa.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Compare the image types in every layer."""
        store = open_features(self.network, study=self.layout.root)
        found = layer_similarities(store, read_manifest(self.layout.manifest), settings=self.rsa, seed=self.seed,
                                   progress=progress)
        named = [(layer, comparison, statistic) for layer, place in found.items()
                 for comparison, statistic in place.statistics.items()]
        named += [(place, comparison, statistic) for place, trends in reading_trends(found, layers=store.layers).items()
                  for comparison, statistic in trends.items()]
        rows = [statistic_row(statistic, system="network", sub="", place=place, comparison=comparison)
                for place, comparison, statistic in named]
        return lambda: self._save(found, rows)

    def _save(self, found: Mapping[str, Similarities], rows: list[dict[str, Any]]) -> Extras:
        describe_derivative(self.layout, "rsa")
        save(self.paths, found, rows=rows)
        return {self.paths[0]: {"Network": self.network.name, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that both files can be read."""
        read_results(self.paths[0])
        load_rdms(self.paths[1])


def layer_similarities(store: FeatureStore, manifest: Manifest, *, settings: RsaSettings, seed: int,
                       progress: ProgressWrapper) -> dict[str, Similarities]:
    """Compare the types in every layer of a network, and in its last layer by the logits where they are stored."""
    labels = tuple(sorted(manifest.base_images))  # the draws do not depend on the order of the manifest's rows
    ids = [manifest.get(base_image=name, type=kind).image_id for kind in TYPES for name in labels]
    found = {}
    stored = {**{layer: layer for layer in store.layers},
              **{by_logits(store.layers[-1]): name for name in store.readings if name == LOGITS}}
    for layer, name in progress(stored.items(), label=f"RSA network-{store.network}", total=len(stored)):
        values = store.read(name, image_ids=ids)
        responses = {kind: values[k * len(labels):(k + 1) * len(labels)] for k, kind in enumerate(TYPES)}
        found[layer] = compare_types(responses, labels=labels, settings=settings, percent=95,
                                     seed=derive_seed(seed, store.network, layer, "rsa"),
                                     features="units", n_groups=settings.unit_groups,
                                     where=f"network-{store.network} {layer}")
    return found


def reading_trends(found: Mapping[str, Similarities], *, layers: Sequence[str]) -> dict[str, dict[str, Statistic]]:
    """Test the trends over the layers, and again with the last layer by the logits, which is never a layer more."""
    readings = {"layers": list(layers)}
    if by_logits(layers[-1]) in found:
        readings[by_logits("layers")] = [*layers[:-1], by_logits(layers[-1])]
    return {name: layer_trends({f"RE-{kind}": [found[place].statistics[f"RE-{kind}"].effect for place in places]
                                for kind in COMPARED}) for name, places in readings.items()}


def save(paths: tuple[Path, Path], found: Mapping[str, Similarities], *, rows: list[dict[str, Any]]) -> None:
    """Write the table and the RDMs of some places over older ones."""
    rdms = {f"{place}/{kind}": rdm for place, here in found.items() for kind, rdm in here.rdms.items()}
    save_rdms(paths[1], rdms, overwrite=True)
    write_table(paths[0], as_table(rows, columns=COLUMNS), overwrite=True)
