"""Representational similarity between the three image types, in brain regions and in network layers.

Cores take plain arrays; :func:`run_rsa` and :func:`run_network_rsa` join them to a study's files.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.glm.estimate import require_current_fit
from analysis.regions.labels import ROIS
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns
from analysis.rsa.compare import COMPARED, Similarities, compare_types, layer_trends
from analysis.rsa.rdm import compute_rdm, save_rdms
from analysis.rsa.resampling import (
    split_half_ceiling,
)
from analysis.statistics.results import STATISTIC_COLUMNS, as_table, read_results, statistic_row, write_results
from stimuli.feature_store import open_store
from stimuli.manifest import TYPES, read_manifest
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import derive_seed, is_current, sidecar
from subjects.settings.study import Settings

log = logging.getLogger(__name__)

COLUMNS = ("system", "sub", "place", "comparison", *STATISTIC_COLUMNS, "ceiling_low", "ceiling_high", "correction")


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
