r"""Held-out RE images: the choice of the level, and whether the models predict anything at all.

A model that does not carry to AN says something only if it predicts RE images that it was not trained on. Each fold's
images are predicted by a model of the others, at the level that is best over the other folds' images, and scored as
deviations from the training images' means, by their cosine (centred on themselves, held-out images correlate -.03 with
nothing).

Exchanged labels alone are too narrow a null for this accuracy: image i trains the model that predicts j, and j the one
that predicts i, and what chance adds to the one it adds to the other. How much wider chance is depends on the units.
It is measured: labels are exchanged before training, the models of some vertices trained anew on some of the units,

.. math::
    f^2 = \mathrm{var}_b(S_b) / \overline{V_b}

with S_b the accuracy in the b-th order and V_b its variance if labels were exchanged after that training. The draws
that p and the interval come from are widened by f.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.encoding.generalisation import matched_similarity, require_images, say_interval, say_shuffled, standardise
from analysis.encoding.over_images import over_images
from analysis.encoding.pursuit.search import Precision
from analysis.encoding.sparse_model import SparseModel, train
from analysis.statistics.draws import permutations
from analysis.statistics.statistic import Statistic, upper_p
from subjects.errors import AnalysisError
from subjects.provenance import rng
from subjects.settings.models import EncodingSettings

Floats = NDArray[np.float64]
N_RETRAINED = 100
MOST_UNITS, MOST_VERTICES = 2000, 8
"""Units and vertices whose models are trained anew to measure how wide chance is."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Models of all folds but one, at several levels, and what they predict of the images of that one.

    Parameters
    ----------
    units : float32 array, (n_images, n_units)
    fold : int64 array, (n_images,)
    models : tuple of dict of int to SparseModel
        By fold and level.
    predicted : mapping of int to float64 array, (n_images, n_targets)
        Level to predictions.
    means : float64 array, (n_images, n_targets)
        The targets' means over the images that the model of an image's fold was trained on.
    """

    units: NDArray[np.float32]
    fold: NDArray[np.int64]
    models: tuple[Mapping[int, SparseModel], ...]
    predicted: Mapping[int, Floats]
    means: Floats


def hold_out(units: NDArray[np.float32], targets: NDArray[np.float32], *, levels: Sequence[int], folds: int,
             where: str = "features", precision: Precision = "float32") -> HeldOut:
    """Predict each training image from a model that never saw it.

    Image k is held out in fold ``k mod folds``: with images in class order every fold holds every class; as many folds
    as images leave one out at a time. Scaling, constant and weights are made from the other folds alone.

    Parameters
    ----------
    units : array, (n_images, n_units)
    targets : array, (n_images, n_targets)
    levels : sequence of int
    folds : int
    where : str
        The layer, for messages.
    precision : {"float32", "bfloat16", "auto"}
        Of the search for columns: how fast it is, never what is found.

    Raises
    ------
    AnalysisError
        If there are fewer images than folds, or a level is too high for the images of all folds but one.
    """
    if not 2 <= folds <= len(units):
        raise AnalysisError("encoding.folds", came=f"{folds} folds of {len(units)} images",
                            expected=f"2 to {len(units)}", remedy="Change encoding.folds.")
    fold = np.arange(len(units)) % folds
    predicted, means, models = {n: np.empty(targets.shape) for n in levels}, np.empty(targets.shape), []
    for k in range(folds):
        models.append(train(units[fold != k], targets[fold != k], levels=levels, where=where,
                            precision=precision))
        means[fold == k] = models[-1][levels[0]].constant
        for n, model in models[-1].items():
            predicted[n][fold == k] = model.predict(units[fold == k])
    return HeldOut(units, fold, tuple(models), predicted, means)


def held_out_predictions(units: NDArray[np.float32], targets: NDArray[np.float32], *, levels: Sequence[int],
                         folds: int, where: str = "features") -> dict[int, Floats]:
    """Give the predictions of :func:`hold_out` alone, level to (n_images, n_targets)."""
    return dict(hold_out(units, targets, levels=levels, folds=folds, where=where).predicted)


def best_level(scores: Mapping[int, float]) -> int:
    """Take the level of highest score; the smaller of equals."""
    return max(scores, key=lambda n: (scores[n], -n))


def score_levels(held: HeldOut, measured: NDArray[np.float32], *, columns: slice, correlate: str) -> dict[int, float]:
    """Give each level's held-out accuracy (:func:`~analysis.encoding.generalisation.matched_similarity`)."""
    return {n: float(np.trace(matched_similarity(values[:, columns], measured, correlate=correlate)))
            for n, values in held.predicted.items()}


def nested_levels(held: HeldOut, measured: NDArray[np.float32], *, columns: slice, correlate: str) -> tuple[int, ...]:
    """Choose the level of each fold by the accuracy over the images of the other folds."""
    found = []
    for k in range(len(held.models)):
        others = held.fold != k
        found.append(best_level({n: _accuracy(*deviations(held, measured, columns=columns, levels=(n,)), rows=others,
                                              correlate=correlate) for n in held.predicted}))
    return tuple(found)


def deviations(held: HeldOut, measured: NDArray[np.float32], *, columns: slice,
               levels: Sequence[int]) -> tuple[Floats, Floats]:
    """Give what is predicted and measured of each held-out image beyond its training images' means.

    Parameters
    ----------
    held : HeldOut
    measured : array, (n_images, n_vertices)
    columns : slice
        The region's among the targets.
    levels : sequence of int
        One for all folds, or one a fold.

    Returns
    -------
    predicted, measured : float64 array, (n_images, n_vertices)
    """
    means, predicted = held.means[:, columns], np.empty(measured.shape)
    for k, n in enumerate(levels if len(levels) > 1 else tuple(levels) * len(held.models)):
        inside = held.fold == k
        predicted[inside] = held.predicted[n][inside, columns]
    return predicted - means, measured.astype(np.float64) - means


def _accuracy(predicted: Floats, measured: Floats, *, rows: NDArray[np.bool_], correlate: str) -> float:
    x, y = scaled(predicted[rows], measured[rows], correlate=correlate)
    return float((x * y).sum() / (x.shape[1] if correlate == "vertex" else len(x)))


def scaled(predicted: Floats, measured: Floats, *, correlate: str) -> tuple[Floats, Floats]:
    """Scale deviations to unit length at each vertex, or centre and scale them over vertices at each image."""
    if correlate == "image":
        return standardise(predicted.T).T, standardise(measured.T).T
    x, y = (values / np.where(lengths > 0, lengths, np.inf) for values in (predicted, measured)
            for lengths in (np.linalg.norm(values, axis=0),))
    return x, y


@dataclass(frozen=True, eq=False)
class Control:
    """How well held-out RE images are predicted.

    Parameters
    ----------
    statistic : Statistic
    accuracies : float64 array, (n_vertices,)
        Of each vertex, over the images.
    levels : tuple of int
        Of each fold.
    predicted, means : float64 array, (n_images, n_vertices)
        What the models of the other folds predict of each image, and the responses' means over the images that they
        were trained on: accuracies are of what both the predictions and the responses are beyond these.
    """

    statistic: Statistic
    accuracies: Floats
    levels: tuple[int, ...]
    predicted: Floats
    means: Floats


def assess_held_out(held: HeldOut, measured: NDArray[np.float32], *, columns: slice, settings: EncodingSettings,
                    seed: int, layer: str, blocks: tuple[str, ...] | None = None) -> Control:
    """Test the predictions of held-out RE images.

    Parameters
    ----------
    held : HeldOut
    measured : array, (n_images, n_vertices)
        The region's responses to the RE images.
    columns : slice
        The region's among the targets of `held`.
    settings : EncodingSettings
    seed : int
    layer : str
    blocks : tuple of str, optional
        Session of each image.

    Returns
    -------
    Control
        One-sided p and 95 % interval, widened for images that train and are tested; see the head of this module. The
        interval is the wider of that over images and that of the exchanged labels.
    """
    require_images(len(measured), where=layer)
    levels = nested_levels(held, measured, columns=columns, correlate=settings.correlate)
    x, y = deviations(held, measured, columns=columns, levels=levels)
    orders = permutations(len(x), n=settings.n_permutations, rng=rng(seed, "images", layer), blocks=blocks)
    found = over_images(*scaled(x, y, correlate=settings.correlate), orders=orders, correlate=settings.correlate,
                        centred=False)
    draws = rng(seed, "retrained", layer)
    wider = inflation(held.units[:, some_units(held, draws=draws)], measured, levels=levels, draws=draws, blocks=blocks,
                      correlate=settings.correlate)
    middle = float(found.null.mean())
    by_draws = float(np.percentile(np.abs(found.null - middle), 95))
    half = wider * max(found.effect - found.interval(percent=95)[0], by_draws)
    statistic = Statistic(
        found.effect, found.effect - half, found.effect + half, n=measured.shape[1], seed=seed,
        p=upper_p(found.effect, middle + wider * (found.null - middle)), n_resamples=settings.n_permutations,
        test=f"{say_shuffled(blocks)}, widened as by {N_RETRAINED} exchanges before training, one-sided; "
             f"{say_interval(len(x), blocks=blocks)}")
    p, m = scaled(x, y, correlate="vertex")
    means = held.means[:, columns]
    return Control(statistic, (p * m).sum(axis=0), levels, x + means, means)


def some_units(held: HeldOut, *, draws: np.random.Generator) -> NDArray[np.intp]:
    """Draw up to :data:`MOST_UNITS` units of which some vary in the training images of every fold."""
    share = -(-MOST_UNITS // len(held.models))
    kept = [next(iter(models.values())).scaling.kept for models in held.models]
    return np.unique(np.concatenate([units[draws.permutation(len(units))[:share]] for units in kept]))


def inflation(units: NDArray[np.float32], measured: NDArray[np.float32], *, levels: Sequence[int], correlate: str,
              draws: np.random.Generator, blocks: tuple[str, ...] | None = None, n: int = N_RETRAINED) -> float:
    """Give how much wider than with labels exchanged after training the accuracy varies by chance, at least 1.

    Parameters
    ----------
    units : array, (n_images, n_units)
    measured : array, (n_images, n_vertices)
        :data:`MOST_VERTICES` of them are taken, evenly along the columns.
    levels : sequence of int
        Of each fold.
    correlate : {"vertex", "image"}
    draws : numpy.random.Generator
    blocks : tuple of str, optional
        Session of each image.
    n : int
        How often labels are exchanged and models trained anew.
    """
    n_images, n_vertices = measured.shape
    some = np.unique(np.linspace(0, n_vertices - 1, min(MOST_VERTICES, n_vertices)).round().astype(np.intp))
    orders = permutations(n_images, n=n, rng=draws, blocks=blocks)
    targets = measured[:, some][orders].transpose(1, 0, 2).reshape(n_images, -1)
    held = hold_out(units, targets, levels=sorted(set(levels)), folds=len(levels), where="label permutation")
    x, y = (values.reshape(n_images, n, -1) for values in deviations(held, targets, columns=slice(None), levels=levels))
    found, exchanged = np.empty(n), np.empty(n)
    for k in range(n):
        a, b = scaled(x[:, k], y[:, k], correlate=correlate)
        table = a @ b.T / (len(some) if correlate == "vertex" else n_images)
        found[k], exchanged[k] = np.trace(table), _permutation_variance(table, blocks=blocks)
    mean = float(exchanged.mean())
    return math.sqrt(max(1.0, float(found.var(ddof=1)) / mean)) if mean > 0 else 1.0


def _permutation_variance(table: Floats, *, blocks: tuple[str, ...] | None) -> float:
    """Give the variance of the sum over ``[i, order[i]]`` of a table in random orders within blocks."""
    names = np.zeros(len(table), dtype=np.intp) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    found = 0.0
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        part = table[np.ix_(rows, rows)]
        centred = part - part.mean(axis=0) - part.mean(axis=1, keepdims=True) + part.mean()
        found += float((centred**2).sum()) / max(1, len(rows) - 1)
    return found
