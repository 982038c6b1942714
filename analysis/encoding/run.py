"""Forward encoding: models of vertices trained on RE images, tested on AN and AI images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.encoding.generalisation import TESTED, Floats, Generalisation, assess_generalisation, matched_similarity
from analysis.encoding.sparse_model import held_out_predictions, train
from analysis.glm.estimate import require_current_fit
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns
from analysis.statistics.results import STATISTIC_COLUMNS, as_table, read_results, statistic_row, write_results
from stimuli.feature_store import open_store
from stimuli.manifest import TYPES
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import derive_seed, digest_file, is_current, sidecar_path
from subjects.settings.analysis import EncodingSettings
from subjects.settings.study import Settings
from subjects.store import read_json, whole_file

log = logging.getLogger(__name__)

COLUMNS = ("sub", "roi", "layer", "type", *STATISTIC_COLUMNS, "sparsity", "correction")
_VERTICES = "vertices_digest"


def choose_sparsity(units: NDArray[np.float32], targets: Mapping[str, NDArray[np.float32]], *,
                    settings: EncodingSettings,
                    where: str = "features") -> tuple[dict[str, int], dict[str, dict[int, float]]]:
    """Choose ROMP's level for each region by cross-validation inside the RE images.

    Parameters
    ----------
    units : array, (n_images, n_units)
        Units of one layer on the RE images.
    targets : mapping of str to array
        Region to responses to the RE images, (n_images, n_vertices).
    settings : EncodingSettings
        A fixed `sparsity` is taken as it is.

    Returns
    -------
    levels : dict of str to int
        The candidate of highest held-out accuracy (see :func:`matched_similarity`); the smaller of equals.
    scores : dict of str to dict of int to float
        Held-out accuracy of each candidate; empty for a fixed level.
    """
    if settings.sparsity != "cv":
        return dict.fromkeys(targets, settings.sparsity), {roi: {} for roi in targets}
    candidates = sorted(settings.candidates)
    predicted = held_out_predictions(units, np.concatenate(list(targets.values()), axis=1), levels=candidates,
                                     folds=settings.folds, where=where)
    scores: dict[str, dict[int, float]] = {}
    for roi, columns in _columns(targets).items():
        scores[roi] = {n: float(np.trace(matched_similarity(predicted[n][:, columns], targets[roi],
                                                            correlate=settings.correlate))) for n in candidates}
    return {roi: max(candidates, key=lambda n: (found[n], -n)) for roi, found in scores.items()}, scores


def _columns(targets: Mapping[str, NDArray[np.float32]]) -> dict[str, slice]:
    """Place each region's vertices in the concatenation of all regions."""
    stops = np.cumsum([values.shape[1] for values in targets.values()])
    return {roi: slice(int(stop) - targets[roi].shape[1], int(stop)) for roi, stop in zip(targets, stops, strict=True)}


def predict_types(units: Mapping[str, NDArray[np.float32]], targets: Mapping[str, NDArray[np.float32]], *,
                  levels: Mapping[str, int], where: str = "features") -> dict[str, dict[str, Floats]]:
    """Train each region's model on all RE images and predict its responses to AN and AI images.

    Parameters
    ----------
    units : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_units).
    targets : mapping of str to array
        Region to responses to the RE images.
    levels : mapping of str to int
        Region to sparsity level.

    Returns
    -------
    dict of str to dict of str to float64 array
        Region to type to predictions, (n_images, n_vertices).
    """
    found: dict[str, dict[str, Floats]] = {}
    for n in sorted({levels[roi] for roi in targets}):
        alike = {roi: values for roi, values in targets.items() if levels[roi] == n}
        model = train(units["RE"], np.concatenate(list(alike.values()), axis=1), levels=(n,), where=where)[n]
        predicted = {kind: model.predict(units[kind]) for kind in TESTED}
        for roi, columns in _columns(alike).items():
            found[roi] = {kind: values[:, columns] for kind, values in predicted.items()}
    return found


@dataclass(frozen=True, eq=False)
class LayerResult:
    """All regions' models from one layer: chosen level, held-out scores, generalisation."""

    levels: Mapping[str, int]
    scores: Mapping[str, Mapping[int, float]]
    regions: Mapping[str, Generalisation]


def encode_layer(units: Mapping[str, NDArray[np.float32]], regions: Mapping[str, RoiPatterns], *, settings: Settings,
                 sub: str, layer: str) -> LayerResult:
    """Train, choose and test the models of all regions from one layer's units."""
    targets = {roi: patterns.responses["RE"] for roi, patterns in regions.items()}
    where = f"sub-{sub} {layer}"
    levels, scores = choose_sparsity(units["RE"], targets, settings=settings.encoding, where=where)
    predicted = predict_types(units, targets, levels=levels, where=where)
    found = {roi: assess_generalisation(predicted[roi], patterns.responses, settings=settings.encoding, layer=layer,
                                        seed=derive_seed(settings.study.seed, sub, roi, "encoding"),
                                        blocks=patterns.sessions)
             for roi, patterns in regions.items()}
    return LayerResult(levels, scores, found)


def run_encoding(layout: Layout, settings: Settings, *, sub: str, network: str = "demo",
                 progress: ProgressWrapper = silent) -> pd.DataFrame:
    """Train on RE and test on AN and AI: every layer of a network, every region of a subject.

    Parameters
    ----------
    layout : Layout
        A study with betas, surfaces, region labels, a manifest and the network's features.
    settings : Settings
    sub : str
    network : str
    progress : ProgressWrapper

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`; written to ``derivatives/encoding/sub-XX/sub-XX_encoding.tsv``, each vertex's
        accuracies to ``sub-XX_encoding.h5``. Read back where both stand as they were made.
    """
    table_path = layout.derivative("encoding", sub=sub, suffix="encoding.tsv")
    vertices_path = table_path.with_suffix(".h5")
    require_current_fit(layout, settings, sub=sub)
    made_from = encoding_origin(layout, settings, sub=sub, network=network)
    if is_current(table_path, **made_from) and _vertices_current(vertices_path):
        log.info("%s is current and is read back", table_path)
        return read_results(table_path, reused=True)
    regions = load_roi_patterns(layout, settings, sub=sub)
    results = _all_layers(layout, settings, regions=regions, sub=sub, network=network, progress=progress)
    describe_derivative(layout, "encoding")
    save_vertices(vertices_path, results, regions=regions)
    write_results(table_path, as_table(_rows(results, sub=sub), columns=COLUMNS), **made_from,
                  extra={_VERTICES: digest_file(vertices_path)})
    return read_results(table_path)


def encoding_origin(layout: Layout, settings: Settings, *, sub: str, network: str) -> dict[str, Any]:
    """Say what a subject's encoding models are made from: inputs and parameters, as their sidecar holds them."""
    inputs = {**brain_inputs(layout, settings, sub=sub), "manifest": layout.manifest,
              "features": layout.features(network)}
    return {"inputs": inputs, "parameters": _parameters(settings, network=network)}


def _vertices_current(path: Path) -> bool:
    """Compare the vertices' file with its digest in the sidecar that it shares with the table."""
    return path.is_file() and read_json(sidecar_path(path)).get(_VERTICES) == digest_file(path)


def _parameters(settings: Settings, *, network: str) -> dict[str, Any]:
    sections = {name: getattr(settings, name).model_dump(mode="json") for name in ("roi", "encoding")}
    return {"seed": settings.study.seed, "network": network, "dissimilarity": settings.rsa.dissimilarity, **sections}


def _all_layers(layout: Layout, settings: Settings, *, regions: Mapping[str, RoiPatterns], sub: str, network: str,
                progress: ProgressWrapper) -> dict[str, LayerResult]:
    store = open_store(layout.features(network))
    ids = next(iter(regions.values())).image_ids  # as they were shown, and held against the manifest
    return {layer: encode_layer({kind: store.read(layer, image_ids=ids[kind]) for kind in TYPES}, regions,
                                settings=settings, sub=sub, layer=layer)
            for layer in progress(store.layers, label=f"encoding sub-{sub}", total=len(store.layers))}


def _rows(results: Mapping[str, LayerResult], *, sub: str) -> list[dict[str, Any]]:
    return [statistic_row(statistic, sub=sub, roi=roi, layer=layer, type=kind, sparsity=result.levels[roi])
            for layer, result in results.items() for roi, found in result.regions.items()
            for kind, statistic in found.statistics.items()]


def save_vertices(path: Path, results: Mapping[str, LayerResult], *, regions: Mapping[str, RoiPatterns]) -> Path:
    """Write each vertex's accuracies to HDF5.

    Group ``<roi>``: ``vertices_L``, ``vertices_R`` (mesh vertices, in this order along the accuracies); group
    ``<roi>/<layer>``: ``AN``, ``AI`` float32 (n_vertices,), ``candidates``, ``held_out``, attribute ``sparsity``.
    """
    import h5py

    with whole_file(path, overwrite=True) as beside, h5py.File(beside, "w", track_order=True) as file:
        for roi, patterns in regions.items():
            group = file.create_group(roi, track_order=True)
            for hemi, vertices in patterns.vertices.items():
                group[f"vertices_{hemi}"] = vertices
            for layer, result in results.items():
                part = group.create_group(layer)
                part.attrs["sparsity"] = result.levels[roi]
                part["candidates"] = np.array(list(result.scores[roi]), dtype=np.int64)
                part["held_out"] = np.array(list(result.scores[roi].values()), dtype=np.float64)
                for kind, accuracies in result.regions[roi].accuracies.items():
                    part[kind] = accuracies.astype(np.float32)
    return path
