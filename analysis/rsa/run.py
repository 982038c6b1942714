"""Representational similarity between the three image types, in brain regions and in network layers.

Cores take plain arrays; :func:`run_rsa` and :func:`run_network_rsa` join them to a study's files.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.glm.estimate import require_current_fit
from analysis.regions.labels import ROIS
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns
from analysis.rsa.rdm import RDM, compute_rdm, save_rdms, spearman, unit_ranks
from analysis.rsa.resampling import (
    Statistic,
    centred_interval,
    feature_bootstraps,
    feature_counts,
    image_bootstraps,
    interval,
    label_permutations,
    mann_kendall,
    split_half_ceiling,
    two_sided_p,
    upper_p,
)
from analysis.statistics.results import STATISTIC_COLUMNS, as_table, read_results, statistic_row, write_results
from stimuli.feature_store import open_store
from stimuli.manifest import TYPES, read_manifest
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import derive_seed, is_current, rng, sidecar
from subjects.settings.study import Rsa, Settings

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

COLUMNS = ("system", "sub", "place", "comparison", *STATISTIC_COLUMNS, "ceiling_low", "ceiling_high", "correction")
COMPARED = ("AN", "AI")
DIFFERENCE = "RE-AI minus RE-AN"


@dataclass(frozen=True, eq=False)
class Similarities:
    """The similarities of one place: a statistic for each comparison, and the RDMs behind them.

    Parameters
    ----------
    statistics : mapping of str to Statistic
        ``"RE-AN"``, ``"RE-AI"``, ``"RE-AI minus RE-AN"``.
    rdms : mapping of str to RDM
        ``"RE"``, ``"AN"``, ``"AI"``.
    """

    statistics: Mapping[str, Statistic]
    rdms: Mapping[str, RDM]


def compare_types(responses: Mapping[str, NDArray[np.float32]], *, labels: tuple[str, ...], settings: Rsa, seed: int,
                  percent: float, blocks: tuple[str, ...] | None = None, ceiling: tuple[float, float] | None = None,
                  features: str = "features", where: str = "RSA") -> Similarities:
    """Compare the RDMs of the AN and AI images with that of the RE images.

    Parameters
    ----------
    responses : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_features), rows in the order of `labels`.
    labels : tuple of str
        Base images: what a RE image and its two descendants share, so what the RDMs are joined by.
    settings : Rsa
        Dissimilarity and numbers of draws.
    seed : int
        Seed of all draws of this place.
    percent : float
        Width of the intervals of RE-AN and RE-AI, from a bootstrap over features.
    blocks : tuple of str, optional
        Session of each label: labels are shuffled within sessions only.
    ceiling : (float, float), optional
        Noise ceiling to hand on.
    features : str
        What the features are, ``"vertices"`` or ``"units"``.
    where : str
        The place, for messages.

    Returns
    -------
    Similarities
        RE-AN and RE-AI: Spearman's rho, one-sided p from label permutations. Their difference:
        two-sided p and 95 % interval from a bootstrap over images without pairs of one image.

    Notes
    -----
    The responses are compared as they are given. Sessions hold different base images: a pattern that one
    session adds to all its images pulls all three RDMs towards the split into sessions and raises RE-AN and
    RE-AI alike. :func:`~analysis.regions.patterns.select_patterns` removes it; what that leaves behind (patterns
    of one session are a little less alike than those of two) is the same in every order within sessions, so
    labels are shuffled there only.
    """
    rdms = {kind: compute_rdm(responses[kind], labels=labels, measure=settings.dissimilarity, where=f"{where}, {kind}")
            for kind in TYPES}
    draws = _feature_draws(responses, settings=settings, seed=seed)
    statistics = {}
    shuffled = "label permutation within sessions" if blocks else "label permutation"
    for kind in COMPARED:
        effect = spearman(rdms["RE"], rdms[kind])
        null = label_permutations(rdms["RE"], rdms[kind], n=settings.n_permutations, blocks=blocks,
                                  rng=rng(seed, "permutation", kind))
        bounds = centred_interval(draws[kind], effect=effect, percent=percent)
        statistics[f"RE-{kind}"] = Statistic(
            effect, *bounds, p=upper_p(effect, null), n=len(labels), n_resamples=len(null), seed=seed, ceiling=ceiling,
            test=f"{shuffled}, one-sided; {percent:g} % interval: centred bootstrap over {features}")
    statistics[DIFFERENCE] = _difference(rdms, settings=settings, seed=seed)
    return Similarities(statistics, rdms)


def _difference(rdms: Mapping[str, RDM], *, settings: Rsa, seed: int) -> Statistic:
    n = settings.n_bootstraps
    draws = image_bootstraps(rdms["RE"], [rdms[kind] for kind in COMPARED], n=n, rng=rng(seed, "images"))
    gains = draws[:, 1] - draws[:, 0]
    effect = spearman(rdms["RE"], rdms["AI"]) - spearman(rdms["RE"], rdms["AN"])
    return Statistic(effect, *interval(gains, percent=95), p=two_sided_p(gains), n=len(rdms["RE"]), n_resamples=n,
                     seed=seed, test="bootstrap over images, two-sided; 95 % interval: the same")


def _feature_draws(responses: Mapping[str, NDArray[np.float32]], *, settings: Rsa, seed: int) -> dict[str, Floats]:
    """Bootstrap vertices or units, the same draws for all three types."""
    n_features = responses["RE"].shape[1]
    counts = feature_counts(n_features, n=settings.n_bootstraps, rng=rng(seed, "features"))
    ranked = {kind: unit_ranks(feature_bootstraps(responses[kind], counts=counts, measure=settings.dissimilarity))
              for kind in TYPES}
    return {kind: np.einsum("bp,bp->b", ranked["RE"], ranked[kind]) for kind in COMPARED}


def layer_trends(effects: Mapping[str, list[float]]) -> dict[str, Statistic]:
    """Test each comparison's similarity for a trend over the layers.

    Parameters
    ----------
    effects : mapping of str to list of float
        ``"RE-AN"``, ``"RE-AI"`` to the similarity of each layer, in order.

    Returns
    -------
    dict of str to Statistic
        ``"trend RE-AN"``, ``"trend RE-AI"``: Kendall's tau with the order of the layers, exact two-sided p.
    """
    found = {}
    for comparison, values in effects.items():
        tau, p = mann_kendall(values)
        found[f"trend {comparison}"] = Statistic(tau, float("nan"), float("nan"), p=p, n=len(values), n_resamples=0,
                                                 seed=None, test="Mann-Kendall, exact, two-sided; effect: tau")
    return found


def region_similarities(patterns: RoiPatterns, *, settings: Settings, sub: str) -> Similarities:
    """Compare the types in one brain region, with 68 % intervals over vertices and a split-half ceiling."""
    halves = [compute_rdm(half, labels=patterns.base_images, measure=settings.rsa.dissimilarity,
                          where=f"sub-{sub} {patterns.roi}, RE presentation {k}")
              for k, half in enumerate(patterns.halves, start=1)]
    return compare_types(patterns.responses, labels=patterns.base_images, settings=settings.rsa, percent=68,
                         blocks=patterns.sessions, seed=derive_seed(settings.study.seed, sub, patterns.roi, "rsa"),
                         ceiling=split_half_ceiling(*halves), features="vertices", where=f"sub-{sub} {patterns.roi}")


def run_rsa(layout: Layout, settings: Settings, *, sub: str, progress: ProgressWrapper = silent) -> pd.DataFrame:
    """Compare the image types in the five regions of one subject.

    Parameters
    ----------
    layout : Layout
        A study with betas, surfaces and region labels.
    settings : Settings
    sub : str
    progress : ProgressWrapper

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`; written to ``derivatives/rsa/sub-XX/sub-XX_rsa.tsv``, the RDMs to
        ``sub-XX_rdms.h5``, each with a sidecar. Read back where both stand as they were made.
    """
    require_current_fit(layout, settings, sub=sub)
    table_path, made_from = layout.derivative("rsa", sub=sub, suffix="rsa.tsv"), brain_origin(layout, settings, sub=sub)
    if (table := _current(table_path, _rdms_path(table_path), made_from)) is not None:
        return table
    regions = load_roi_patterns(layout, settings, sub=sub)
    found = {roi: region_similarities(regions[roi], settings=settings, sub=sub)
             for roi in progress(ROIS, label=f"RSA sub-{sub}", total=len(ROIS))}
    rows = [statistic_row(statistic, system="brain", sub=sub, place=roi, comparison=comparison)
            for roi, place in found.items() for comparison, statistic in place.statistics.items()]
    ceiling = "split-half: Spearman of RE RDMs, presentation 1 and 2 (low), Spearman-Brown corrected (high)"
    describe_derivative(layout, "rsa")
    return _write(table_path, found, rows=rows, made_from=made_from, extra={"Ceiling": ceiling})


def run_network_rsa(layout: Layout, settings: Settings, *, network: str = "demo",
                    progress: ProgressWrapper = silent) -> pd.DataFrame:
    """Compare the image types in the layers of a network, and test the trends over layers.

    Parameters
    ----------
    layout : Layout
        A study with a manifest and the features of `network`.
    settings : Settings
    network : str
    progress : ProgressWrapper

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`, intervals of 95 % over units; written to
        ``derivatives/rsa/network-<name>_rsa.tsv`` and ``network-<name>_rdms.h5``.
    """
    table_path = layout.derivative("rsa", suffix="rsa.tsv", network=network.replace("_", ""))
    made_from = network_origin(layout, settings, network=network)
    if (table := _current(table_path, _rdms_path(table_path), made_from)) is not None:
        return table
    found = _layer_similarities(layout, settings, network=network, progress=progress)
    effects = {f"RE-{kind}": [place.statistics[f"RE-{kind}"].effect for place in found.values()] for kind in COMPARED}
    named = [(layer, comparison, statistic) for layer, place in found.items()
             for comparison, statistic in place.statistics.items()]
    named += [("layers", comparison, statistic) for comparison, statistic in layer_trends(effects).items()]
    rows = [statistic_row(statistic, system="network", sub="", place=place, comparison=comparison)
            for place, comparison, statistic in named]
    describe_derivative(layout, "rsa")
    return _write(table_path, found, rows=rows, made_from=made_from, extra={"Network": network})


def brain_origin(layout: Layout, settings: Settings, *, sub: str) -> dict[str, Any]:
    """Say what a subject's similarities are made from: inputs and parameters, as their sidecars hold them."""
    return {"inputs": {**brain_inputs(layout, settings, sub=sub), "manifest": layout.manifest},
            "parameters": _parameters(settings, "roi")}


def network_origin(layout: Layout, settings: Settings, *, network: str) -> dict[str, Any]:
    """Say what a network's similarities are made from."""
    return {"inputs": {"features": layout.features(network), "manifest": layout.manifest},
            "parameters": _parameters(settings)}


def _layer_similarities(layout: Layout, settings: Settings, *, network: str,
                        progress: ProgressWrapper) -> dict[str, Similarities]:
    manifest, store = read_manifest(layout.manifest), open_store(layout.features(network))
    labels = tuple(sorted(manifest.base_images))  # the draws do not depend on the order of the manifest's rows
    ids = {kind: [manifest.get(base_image=name, type=kind).image_id for name in labels] for kind in TYPES}
    found = {}
    for layer in progress(store.layers, label=f"RSA network-{network}", total=len(store.layers)):
        responses = {kind: store.read(layer, image_ids=ids[kind]) for kind in TYPES}
        found[layer] = compare_types(responses, labels=labels, settings=settings.rsa, percent=95,
                                     seed=derive_seed(settings.study.seed, network, layer, "rsa"),
                                     features="units", where=f"network-{network} {layer}")
    return found


def _parameters(settings: Settings, *sections: str) -> dict[str, Any]:
    chosen = {name: getattr(settings, name).model_dump(mode="json") for name in ("rsa", *sections)}
    return {"seed": settings.study.seed, **chosen}


def _rdms_path(table_path: Path) -> Path:
    return table_path.with_name(table_path.name.replace("_rsa.tsv", "_rdms.h5"))


def _current(table_path: Path, rdms_path: Path, made_from: Mapping[str, Any]) -> pd.DataFrame | None:
    if not all(is_current(path, **made_from) for path in (table_path, rdms_path)):
        return None
    log.info("%s is current and is read back", table_path)
    return read_results(table_path, reused=True)


def _write(table_path: Path, found: Mapping[str, Similarities], *, rows: list[dict[str, Any]],
           made_from: Mapping[str, Any], extra: Mapping[str, Any]) -> pd.DataFrame:
    rdms = {f"{place}/{kind}": rdm for place, found_here in found.items() for kind, rdm in found_here.rdms.items()}
    rdms_path = save_rdms(_rdms_path(table_path), rdms, overwrite=True)
    sidecar(rdms_path, **made_from)
    write_results(table_path, as_table(rows, columns=COLUMNS), **made_from, extra=extra)
    return read_results(table_path)
