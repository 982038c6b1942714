"""All regions' models from one layer of a network: the level chosen inside RE, trained on RE, tested on AN and AI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.encoding.ceiling import noise_ceiling
from analysis.encoding.generalisation import TESTED, Floats, Generalisation, assess_generalisation
from analysis.encoding.held_out import Control, HeldOut, assess_held_out, best_level, hold_out, score_levels
from analysis.encoding.pursuit.search import Precision
from analysis.encoding.sparse_model import SparseModel, train
from analysis.regions.patterns import RoiPatterns
from analysis.statistics.statistic import Statistic
from subjects.settings.models import EncodingSettings


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
    held = hold_out(units, np.concatenate(list(targets.values()), axis=1), levels=sorted(settings.candidates),
                    folds=settings.folds, where=where, precision=settings.precision)
    return _levels_of(held, targets, settings=settings)


def _levels_of(held: HeldOut, targets: Mapping[str, NDArray[np.float32]], *,
               settings: EncodingSettings) -> tuple[dict[str, int], dict[str, dict[int, float]]]:
    if settings.sparsity != "cv":
        return dict.fromkeys(targets, settings.sparsity), {roi: {} for roi in targets}
    scores = {roi: score_levels(held, targets[roi], columns=columns, correlate=settings.correlate)
              for roi, columns in _columns(targets).items()}
    return {roi: best_level(found) for roi, found in scores.items()}, scores


def levels_in_folds(n_images: int, *, settings: EncodingSettings) -> tuple[int, ...]:
    """Give the levels at which folds are trained: the candidates, or the fixed one as far as the folds determine it."""
    if settings.sparsity == "cv":
        return tuple(sorted(settings.candidates))
    least = n_images - -(-n_images // settings.folds)
    return (max(1, min(settings.sparsity, least // 3)),)


def _columns(targets: Mapping[str, NDArray[np.float32]]) -> dict[str, slice]:
    """Place each region's vertices in the concatenation of all regions."""
    stops = np.cumsum([values.shape[1] for values in targets.values()])
    return {roi: slice(int(stop) - targets[roi].shape[1], int(stop)) for roi, stop in zip(targets, stops, strict=True)}


def train_regions(units: NDArray[np.float32], targets: Mapping[str, NDArray[np.float32]], *,
                  levels: Mapping[str, int], where: str = "features",
                  precision: Precision = "float32") -> dict[str, SparseModel]:
    """Train each region's model on all RE images, regions of one level together.

    Parameters
    ----------
    units : array, (n_images, n_units)
        Units of one layer on the RE images.
    targets : mapping of str to array
        Region to responses to the RE images.
    levels : mapping of str to int
        Region to sparsity level.
    where : str
        The layer, for messages.
    precision : {"float32", "bfloat16", "auto"}
        Of the search for columns.
    """
    found: dict[str, SparseModel] = {}
    for n in sorted({levels[roi] for roi in targets}):
        alike = {roi: values for roi, values in targets.items() if levels[roi] == n}
        model = train(units, np.concatenate(list(alike.values()), axis=1), levels=(n,), where=where,
                      precision=precision)[n]
        found.update({roi: model.take(columns) for roi, columns in _columns(alike).items()})
    return found


def predict_types(units: Mapping[str, NDArray[np.float32]], targets: Mapping[str, NDArray[np.float32]], *,
                  levels: Mapping[str, int], where: str = "features") -> dict[str, dict[str, Floats]]:
    """Train each region's model on all RE images and predict its responses to AN and AI images.

    Parameters
    ----------
    units : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_units).
    targets, levels, where
        See :func:`train_regions`.

    Returns
    -------
    dict of str to dict of str to float64 array
        Region to type to predictions, (n_images, n_vertices).
    """
    models = train_regions(units["RE"], targets, levels=levels, where=where)
    return {roi: {kind: model.predict(units[kind]) for kind in TESTED} for roi, model in models.items()}


@dataclass(frozen=True, eq=False)
class LayerResult:
    """All regions' models from one layer: levels, held-out scores, generalisation, held-out RE, models, predictions."""

    levels: Mapping[str, int]
    scores: Mapping[str, Mapping[int, float]]
    regions: Mapping[str, Generalisation]
    controls: Mapping[str, Control]
    models: Mapping[str, SparseModel]
    predicted: Mapping[str, Mapping[str, NDArray[np.float32]]]

    def statistics(self, patterns: RoiPatterns, *, correlate: str) -> dict[str, Statistic]:
        """Give a region's statistics by type: held-out RE, AN, AI with their noise ceilings, and the difference."""
        found = {"RE": self.controls[patterns.roi].statistic, **self.regions[patterns.roi].statistics}
        if patterns.presentations is None or correlate == "image":
            return found
        for kind, pair in patterns.presentations.items():
            found[kind] = replace(found[kind], ceiling=(noise_ceiling(*pair),) * 2)
        return found

    def accuracies(self, roi: str) -> dict[str, Floats]:
        """Give a region's accuracies vertex by vertex, by type."""
        return {"RE": self.controls[roi].accuracies, **self.regions[roi].accuracies}


def encode_layer(units: Mapping[str, NDArray[np.float32]], regions: Mapping[str, RoiPatterns], *,
                 settings: EncodingSettings, seeds: Mapping[str, int], layer: str, where: str) -> LayerResult:
    """Train, choose and test the models of all regions from one layer's units.

    Parameters
    ----------
    units : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_units).
    regions : mapping of str to RoiPatterns
    settings : EncodingSettings
    seeds : mapping of str to int
        Region to the seed of its draws.
    layer, where : str
        The layer, to draw its own permutations; subject and layer, for messages.
    """
    targets = {roi: patterns.responses["RE"] for roi, patterns in regions.items()}
    held = hold_out(units["RE"], np.concatenate(list(targets.values()), axis=1), folds=settings.folds, where=where,
                    levels=levels_in_folds(len(units["RE"]), settings=settings), precision=settings.precision)
    levels, scores = _levels_of(held, targets, settings=settings)
    models = train_regions(units["RE"], targets, levels=levels, where=where, precision=settings.precision)
    predicted = {roi: {kind: model.predict(units[kind]) for kind in TESTED} for roi, model in models.items()}
    found, controls = {}, {}
    for roi, columns in _columns(targets).items():
        blocks = regions[roi].sessions
        found[roi] = assess_generalisation(predicted[roi], regions[roi].responses, settings=settings, layer=layer,
                                           seed=seeds[roi], blocks=blocks)
        controls[roi] = assess_held_out(held, targets[roi], columns=columns, settings=settings, layer=layer,
                                        seed=seeds[roi], blocks=blocks)
    return LayerResult(levels, scores, found, controls, models, {roi: {
        kind: values.astype(np.float32) for kind, values in kinds.items()} for roi, kinds in predicted.items()})
