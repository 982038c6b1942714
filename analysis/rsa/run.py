"""The step ``rsa``: similarity between the three image types, in brain regions and in network layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, networks_of_set, open_features
from analysis.regions.patterns import ASKED_BY, RoiPatterns, selection_parameters
from analysis.regions.subject_regions import SubjectRegions, regions_of
from analysis.rsa.ceiling import presentation_ceiling, split_half_reliability
from analysis.rsa.compare import COMPARED, Similarities, compare_types, layer_trends
from analysis.rsa.rdm import RDM, compute_rdm, load_rdms, save_rdms
from analysis.rsa.resampling.distances import WhitenedDistances
from analysis.rsa.similarity import pairs_within
from analysis.rsa.two_networks import compare_networks
from analysis.running import DIGESTS, digests_of
from analysis.statistics.correction import correct_readings, correct_rows
from analysis.statistics.dissimilarity import WHITENED, without_noise
from analysis.statistics.draws import warn_of_few
from analysis.statistics.readings import by_logits, named_layers, read_of
from analysis.statistics.results import PAPER_COLUMNS, RESULTS, STATISTIC_COLUMNS, as_table, read_results, statistic_row
from analysis.statistics.statistic import Statistic
from analysis.statistics.whitened import mahalanobis
from analysis.steps import Origin, Request, Work
from stimuli.feature_store import FeatureStore, open_store
from stimuli.manifest import TYPES, Manifest, read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import StoreError
from subjects.layout import Layout, network_label
from subjects.provenance import derive_seed, sidecar_path
from subjects.settings.analysis import RsaSettings
from subjects.store import read_json, write_table

COLUMNS = ("system", "sub", "place", "comparison", "dissimilarity", "coefficient", *STATISTIC_COLUMNS, "z",
           "ceiling_low", "ceiling_high", "reliability", "reliability_whole", "reliability_null", "correction",
           "p_corrected", *PAPER_COLUMNS, "paper_seed", *DIGESTS)
_COLUMNS = ("z: the effect in standard deviations of its permutation null; seed: of the draws behind p, one for all "
            "places and both types where they share orders (rsa.correction = max), none of an exact test or of t; "
            "paper_seed: of the place's other draws, behind paper_ and behind intervals over vertices or units; p: n/a "
            "where test begins with `not tested`, then no test of a correction; digest_images: of the manifest; "
            "digest_data: of the digests of all other inputs; digest_settings: of the parameters")
_CEILING = ("from the noise of the two presentations of RE: two measurements of the same patterns (low), one of them "
            "and the patterns without noise (high)")
_RELIABILITY = ("split-half: similarity of RE RDMs, presentation 1 and 2, less reliability_null, the mean of the null "
                "of labels permuted within sessions, unless rsa.null_mean is kept; reliability_whole: Spearman-Brown "
                "corrected")
_PAPER = ("the paper's own procedures: nothing taken off; intervals over vertices or units one by one, of the "
          "difference from a bootstrap over images; p from labels shuffled over all images, of the difference from "
          "that bootstrap (paper_p) and from the mean of RE-AI against the redrawn RE-AN (paper_p_mean); of trends by "
          "the normal approximation of Mann and Kendall, which most programs give")
Extras = dict[Path, dict[str, Any]]


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the similarities of each subject's regions, and those of the network's layers."""
    chosen, layout = request.settings, request.layout
    warn_of_few(chosen.rsa.n_permutations, asked_by="rsa.n_permutations")
    brains: list[BrainRsa | NetworkHalvesRsa] = [BrainRsa(regions=one, rsa=chosen.rsa) for one in regions_of(request)]
    of_set = networks_of_set(layout)
    asked = of_set if request.network is None else (choose_network(layout, request.network),)
    networks = [NetworkRsa(layout=layout, network=one, rsa=chosen.rsa, seed=chosen.study.seed) for one in asked]
    if len(of_set) > 1:
        brains += [NetworkHalvesRsa(regions=one, rsa=chosen.rsa) for one in regions_of(request)]
    if chosen.rsa.control_vertices:
        roi = chosen.roi.model_copy(update={"vertices_per_hemisphere": chosen.rsa.control_vertices})
        brains += [BrainRsa(regions=replace(one, roi=roi), rsa=chosen.rsa, of="control") for one in regions_of(request)]
    of_brains = [Work(name=one.name, sub=one.regions.sub, outputs=one.outputs, origin=one.origin, make=one.make,
                      check=one.check) for one in brains]
    networks += [replace(one, of="taps") for one in networks if has_taps(one.network)]
    return (*of_brains, *(Work(name=one.name, outputs=one.paths, origin=one.origin, make=one.make, check=one.check)
                          for one in networks))


def _brain_origin(regions: SubjectRegions, rsa: RsaSettings) -> Origin:
    """Say what a subject's similarities are made from."""
    return Origin(regions.inputs(), {
        "seed": regions.seed, "roi": selection_parameters(regions.roi), "rsa": rsa.model_dump(mode="json", exclude={
            "unit_groups", "network_interval", "searchlight_permutations", "trend", "control_vertices"})})


def _said_of_brain(regions: SubjectRegions) -> dict[str, Any]:
    """Give what the sidecar of a subject's table says."""
    return {"Columns": _COLUMNS, "Ceiling": _CEILING, "Reliability": _RELIABILITY, "Paper": _PAPER,
            **regions.missing_runs(), **RESULTS.in_sidecar()}


@dataclass(frozen=True, kw_only=True)
class BrainRsa:
    """The similarities in the regions of one subject.

    Parameters
    ----------
    regions : SubjectRegions
    rsa : RsaSettings
    of : {"selection", "control"}
        The vertices of ``roi.vertices_per_hemisphere``; or those of ``rsa.control_vertices``, in files of their own.
    """

    regions: SubjectRegions
    rsa: RsaSettings
    of: Literal["selection", "control"] = "selection"

    @property
    def name(self) -> str:
        """What it is of, for people."""
        return f"sub-{self.regions.sub}" + ("" if self.of == "selection" else f", {self.of}")

    @property
    def outputs(self) -> tuple[Path, Path]:
        """The table (columns :data:`COLUMNS`), and the RDMs behind it."""
        entities = {} if self.of == "selection" else {"desc": self.of}
        table, rdms = (self.regions.layout.derivative("rsa", sub=self.regions.sub, suffix=suffix, **entities)
                       for suffix in ("rsa.tsv", "rdms.h5"))
        return table, rdms

    def origin(self, _: Path) -> Origin:
        """Say what both files are made from."""
        return _brain_origin(self.regions, self.rsa)

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Compare the image types in every region."""
        sub, seed = self.regions.sub, self.regions.seed
        shared = derive_seed(seed, sub, "rsa", "orders") if self.rsa.correction == "max" else None
        made_from = digests_of(self.origin(self.outputs[0]))
        regions = self.regions.load(asked_by="rsa.control_vertices" if self.of == "control" else ASKED_BY)
        found = {roi: region_similarities(regions[roi], settings=self.rsa, sub=sub, shared_seed=shared,
                                          seed=derive_seed(seed, sub, roi, "rsa"))
                 for roi in progress(regions, label=f"RSA {self.name}", total=len(regions))}
        rows = place_rows(found, settings=self.rsa, system="brain", sub=sub, **made_from)
        return lambda: self._save(found, rows)

    def _save(self, found: Mapping[str, Similarities], rows: list[dict[str, Any]]) -> Extras:
        describe_derivative(self.regions.layout, "rsa")
        save(self.outputs, found, rows=rows, correction=self.rsa.correction)
        return {self.outputs[0]: _said_of_brain(self.regions)}

    def check(self) -> None:
        """See that both files can be read."""
        read_results(self.outputs[0])
        load_rdms(self.outputs[1])


@dataclass(frozen=True, kw_only=True)
class NetworkHalvesRsa:
    """The similarities over the images of each network of a set of two, and the networks' difference.

    Parameters
    ----------
    regions : SubjectRegions
    rsa : RsaSettings
    """

    regions: SubjectRegions
    rsa: RsaSettings

    @property
    def name(self) -> str:
        """What it is of, for people."""
        return f"sub-{self.regions.sub}, networks"

    @property
    def outputs(self) -> tuple[Path]:
        """The table (columns :data:`COLUMNS`, and the network)."""
        return (self.regions.layout.derivative("rsa", sub=self.regions.sub, suffix="rsa.tsv", desc="networks"),)

    def origin(self, _: Path) -> Origin:
        """Say what the table is made from."""
        return _brain_origin(self.regions, self.rsa)

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Compare the image types among the images of each network, and the networks, in every region."""
        made_from, manifest = digests_of(self.origin(self.outputs[0])), read_manifest(self.regions.layout.manifest)
        regions = self.regions.load()
        rows = [row for roi in progress(regions, label=f"RSA {self.name}", total=len(regions))
                for row in self._rows(regions[roi], manifest, made_from=made_from)]
        return lambda: self._save(rows)

    def _rows(self, patterns: RoiPatterns, manifest: Manifest, *,
              made_from: Mapping[str, str]) -> list[dict[str, Any]]:
        sub = self.regions.sub
        found = compare_networks(
            patterns, manifest=manifest, settings=self.rsa, session_means=self.regions.roi.session_means,
            seed=derive_seed(self.regions.seed, sub, patterns.roi, "rsa", "networks"),
            compare=lambda half, own: region_similarities(half, settings=self.rsa, sub=sub, seed=own))
        names = {"system": "brain", "sub": sub, **made_from}
        rows = [row for network, half in found.halves.items()
                for row in place_rows({patterns.roi: half}, settings=self.rsa, network=network, **names)]
        between, measure = " minus ".join(manifest.networks), rows[0]["dissimilarity"]
        return rows + [statistic_row(statistic, place=patterns.roi, comparison=comparison, network=between,
                                     dissimilarity=measure, coefficient=self.rsa.comparison, **names)
                       for comparison, statistic in found.differences.items()]

    def _save(self, rows: list[dict[str, Any]]) -> Extras:
        describe_derivative(self.regions.layout, "rsa")
        by = "none" if self.rsa.correction == "none" else "fdr"  # halves have no permutations in common
        table = [row for network in dict.fromkeys(row["network"] for row in rows)
                 for row in correct_rows([one for one in rows if one["network"] == network], by=by)]
        write_table(self.outputs[0], as_table(table, columns=(*COLUMNS[:3], "network", *COLUMNS[3:])), overwrite=True)
        return {self.outputs[0]: _said_of_brain(self.regions)}

    def check(self) -> None:
        """See that the table can be read."""
        read_results(self.outputs[0])


def region_similarities(patterns: RoiPatterns, *, settings: RsaSettings, sub: str, seed: int,
                        shared_seed: int | None = None) -> Similarities:
    """Compare the types in one brain region, with 68 % intervals, a noise ceiling and the split-half reliability."""
    by, covariance = settings.comparison, None
    if settings.dissimilarity in WHITENED and patterns.presentations is not None:
        covariance = WhitenedDistances(patterns.presentations, settings.dissimilarity).covariance
    halves = [_half_rdm(half, patterns, measure=settings.dissimilarity, covariance=covariance,
                        where=f"sub-{sub} {patterns.roi}, RE presentation {k}")
              for k, half in enumerate(patterns.halves, start=1)]
    ceiling = presentation_ceiling(*patterns.halves, measure=settings.dissimilarity, blocks=patterns.sessions, by=by,
                                   covariance=covariance)
    return compare_types(patterns.responses, labels=patterns.base_images, settings=settings, percent=68,
                         blocks=patterns.sessions, seed=seed, ceiling=ceiling, features="vertices",
                         reliability=_reliability(halves, patterns, settings=settings), places_mm=patterns.places_mm,
                         over="patches" if settings.brain_interval == "patches" else "features",
                         presentations=patterns.presentations, session_means=patterns.session_means,
                         shared_seed=shared_seed,
                         where=f"sub-{sub} {patterns.roi}")


def _reliability(halves: Sequence[RDM], patterns: RoiPatterns, *, settings: RsaSettings) -> tuple[float, float, float]:
    """Give the reliability on the scale of the similarities: over the same pairs, their null's mean off or kept."""
    first, second = halves
    pairs = pairs_within(patterns.sessions) if settings.pairs == "within_sessions" else None
    half, whole, chance = split_half_reliability(first, second, by=settings.comparison, pairs=pairs,
                                                 blocks=patterns.sessions)
    if settings.null_mean == "removed":
        return half, whole, chance
    return *split_half_reliability(first, second, by=settings.comparison, pairs=pairs)[:2], chance


def _half_rdm(half: NDArray[np.float32], patterns: RoiPatterns, *, measure: str, covariance: NDArray[np.float64] | None,
              where: str) -> RDM:
    """Give the RDM of one presentation; it has no partitions, so that whitened measures are Mahalanobis distances."""
    if covariance is None:
        return compute_rdm(half, labels=patterns.base_images, measure=without_noise(measure), where=where)
    return RDM(patterns.base_images, mahalanobis(half, covariance=covariance), "mahalanobis", where)


@dataclass(frozen=True, kw_only=True)
class NetworkRsa:
    """The similarities in the layers of a network, with 95 % intervals, and their trends over layers.

    Parameters
    ----------
    layout : Layout
    network : ChosenNetwork
    rsa : RsaSettings
    seed : int
        The study's.
    of : {"layers", "taps"}
        The layers and their trends, or what was read beside them, without trends and in files of its own.
    """

    layout: Layout
    network: ChosenNetwork
    rsa: RsaSettings
    seed: int
    of: Literal["layers", "taps"] = "layers"

    @property
    def name(self) -> str:
        """What it is of, for people."""
        return f"network-{self.network.name}" + (", taps" if self.of == "taps" else "")

    @property
    def paths(self) -> tuple[Path, Path]:
        """The table (columns :data:`COLUMNS`), and the RDMs behind it."""
        entities = {"network": network_label(self.network.name), **({"desc": "taps"} if self.of == "taps" else {})}
        table, rdms = (self.layout.derivative("rsa", suffix=suffix, **entities) for suffix in ("rsa.tsv", "rdms.h5"))
        return table, rdms

    def origin(self, _: Path) -> Origin:
        """Say what both files are made from."""
        return Origin({"features": self.network.features, "manifest": self.layout.manifest},
                      {"seed": self.seed, "rsa": self.rsa.model_dump(mode="json", exclude={
                          "brain_interval", "patches", "pairs", "null_mean", "searchlight_permutations",
                          "control_vertices"})})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Compare the image types in every layer, or in every tap."""
        store, made_from = open_features(self.network, study=self.layout.root), digests_of(self.origin(self.paths[0]))
        named = {name: name for name in store.taps} if self.of == "taps" else named_layers(store)
        manifest = read_manifest(self.layout.manifest)
        shown = manifest.of_network(self.network.name) if self.network.name in manifest.networks else manifest
        found = place_similarities(store, named, manifest=shown, settings=self.rsa, seed=self.seed, progress=progress)
        trends = reading_trends(found, layers=store.layers, by=self.rsa.trend) if self.of == "layers" else {}
        names = {"system": "network", "sub": "", **made_from}
        rows = place_rows(found, settings=self.rsa, **names)
        rows += [statistic_row(statistic, place=place, comparison=comparison, coefficient="tau_a", **names)
                 for place, statistics in trends.items() for comparison, statistic in statistics.items()]
        return lambda: self._save(found, rows)

    def _save(self, found: Mapping[str, Similarities], rows: list[dict[str, Any]]) -> Extras:
        describe_derivative(self.layout, "rsa")
        save(self.paths, found, rows=rows, correction=self.rsa.correction)
        return {self.paths[0]: {"Network": self.network.name, "Columns": _COLUMNS, "Paper": _PAPER,
                                **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that both files can be read."""
        read_results(self.paths[0])
        load_rdms(self.paths[1])


def has_taps(network: ChosenNetwork) -> bool:
    """Say whether a network was read beside its layers; of dropped responses the sidecar tells."""
    try:
        if network.features.is_file():
            return bool(open_store(network.features).taps)
        return bool(read_json(sidecar_path(network.features)).get("parameters", {}).get("taps"))
    except StoreError:
        return False


def place_similarities(store: FeatureStore, named: Mapping[str, str], *, manifest: Manifest, settings: RsaSettings,
                       seed: int, progress: ProgressWrapper) -> dict[str, Similarities]:
    """Compare the types in some places of a network.

    Parameters
    ----------
    store : FeatureStore
    named : mapping of str to str
        Place in the table to what is read of the store. One is held at a time.
    manifest : Manifest
    settings : RsaSettings
    seed : int
        The study's.
    progress : ProgressWrapper
    """
    labels = tuple(sorted(manifest.base_images))  # the draws do not depend on the order of the manifest's rows
    ids = {kind: [manifest.get(base_image=name, type=kind).image_id for name in labels] for kind in TYPES}
    shared = derive_seed(seed, store.network, "rsa", "orders") if settings.correction == "max" else None
    found = {}
    for place, name in progress(named.items(), label=f"RSA network-{store.network}", total=len(named)):
        responses = {kind: store.read(name, image_ids=rows) for kind, rows in ids.items()}
        found[place] = compare_types(responses, labels=labels, settings=settings, percent=95,
                                     seed=derive_seed(seed, store.network, place, "rsa"),
                                     features="units", n_groups=settings.unit_groups, shared_seed=shared,
                                     over="images" if settings.network_interval == "images" else "features",
                                     where=f"network-{store.network} {place}")
    return found


def reading_trends(found: Mapping[str, Similarities], *, layers: Sequence[str],
                   by: str = "exact") -> dict[str, dict[str, Statistic]]:
    """Test the trends over the layers, and again with the last layer by the logits, which is never a layer more."""
    readings = {"layers": list(layers)}
    if by_logits(layers[-1]) in found:
        readings[by_logits("layers")] = [*layers[:-1], by_logits(layers[-1])]
    return {name: layer_trends({f"RE-{kind}": [found[place].statistics[f"RE-{kind}"].effect for place in places]
                                for kind in COMPARED}, by=by) for name, places in readings.items()}


def place_rows(found: Mapping[str, Similarities], *, settings: RsaSettings, **names: str) -> list[dict[str, Any]]:
    """Give a row a place and comparison, behind the columns that name it."""
    return [statistic_row(statistic, place=place, comparison=comparison, dissimilarity=here.rdms["RE"].measure,
                          coefficient=settings.comparison, **names)
            for place, here in found.items() for comparison, statistic in here.statistics.items()]


def save(paths: tuple[Path, Path], found: Mapping[str, Similarities], *, rows: Sequence[Mapping[str, Any]],
         correction: str) -> None:
    """Correct the tests of some places, and write the table and the RDMs over older ones."""
    rdms = {f"{place}/{kind}": rdm for place, here in found.items() for kind, rdm in here.rdms.items()}
    greatest = _greatest(found) if correction == "max" else None
    save_rdms(paths[1], rdms, overwrite=True, greatest=greatest)
    corrected = correct_readings(rows, column="place", correct=lambda part: correct_rows(
        part, by=correction, greatest=None if greatest is None else _greatest(found, {row["place"] for row in part})))
    write_table(paths[0], as_table(corrected, columns=COLUMNS), overwrite=True)


def _greatest(found: Mapping[str, Similarities], places: Collection[str] | None = None) -> NDArray[np.float64]:
    """Give the largest similarity in each permutation: of some places, by default those that are no other's reading."""
    chosen = [place for place in found if (read_of(place) == place if places is None else place in places)]
    result: NDArray[np.float64] = np.max([null for place in chosen for null in found[place].nulls.values()], axis=0)
    return result
