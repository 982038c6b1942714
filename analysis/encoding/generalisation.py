"""How well models trained on RE images predict the responses to AN and AI images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.encoding.over_images import LEAST, over_images
from analysis.statistics.draws import permutations, subsamples
from analysis.statistics.statistic import PaperStatistic, Statistic, interval, two_sided_p, upper_p
from subjects.errors import AnalysisError
from subjects.provenance import rng
from subjects.settings.models import EncodingSettings

Floats = NDArray[np.float64]
TESTED = ("AN", "AI")
DIFFERENCE = "AI minus AN"


@dataclass(frozen=True, eq=False)
class Generalisation:
    """How far the model of one region and layer carries to the adversarial images.

    Parameters
    ----------
    statistics : mapping of str to Statistic
        ``"AN"``, ``"AI"``, ``"AI minus AN"``.
    accuracies : mapping of str to float64 array, (n_vertices,)
        ``"AN"``, ``"AI"`` to Pearson's r over images of each vertex.
    """

    statistics: Mapping[str, Statistic]
    accuracies: Mapping[str, Floats]


def vertex_accuracies(predicted: Floats, measured: NDArray[np.float32]) -> Floats:
    """Correlate predicted and measured responses of each vertex over images.

    Parameters
    ----------
    predicted, measured : array, (n_images, n_vertices)

    Returns
    -------
    float64 array, (n_vertices,)
        Pearson's r; 0 where the prediction is the same for all images (the chosen units are silent for
        them, so that nothing is predicted).

    Raises
    ------
    AnalysisError
        If a vertex responds alike to all images, or a response is not finite.
    """
    result: Floats = np.einsum("iv,iv->v", standardise(predicted), standardise(_require_varying(measured)))
    return result


def standardise(values: NDArray[Any]) -> Floats:
    """Centre columns and scale them to unit length; constant columns become 0."""
    wide = np.asarray(values, dtype=np.float64)
    centred = wide - wide.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    constant = norms <= 1e-10 * np.linalg.norm(wide, axis=0)
    result: Floats = centred / np.where(constant, np.inf, norms)
    return result


def _require_varying(measured: NDArray[np.float32]) -> NDArray[np.float32]:
    strange = np.flatnonzero(~np.isfinite(measured).all(axis=0))
    if strange.size:
        raise AnalysisError("measured responses", came=f"{strange.size} vertices not finite, first {strange[0]}",
                            expected="finite responses", remedy="Leave the vertices without data out, or fit again.")
    flat = np.flatnonzero(np.ptp(measured, axis=0) == 0)
    if flat.size:
        raise AnalysisError("measured responses", came=f"{flat.size} vertices constant over images, first {flat[0]}",
                            expected="responses that vary", remedy="Leave the vertices without data out.")
    return measured


def matched_similarity(predicted: Floats, measured: NDArray[np.float32], *, correlate: str) -> Floats:
    """Correlate every predicted with every measured image's responses, as one table.

    Parameters
    ----------
    predicted, measured : array, (n_images, n_vertices)
    correlate : {"vertex", "image"}
        Standardise over images within each vertex, or over vertices within each image.

    Returns
    -------
    float64 array, (n_images, n_images)
        Its trace is the accuracy: Pearson's r per vertex averaged over vertices, or per image averaged over
        images. With the measured images relabelled by an order, it is the sum over ``[i, order[i]]``.
    """
    _require_varying(measured)
    if correlate == "vertex":
        result: Floats = standardise(predicted) @ standardise(measured).T / measured.shape[1]
        return result
    return standardise(predicted.T).T @ standardise(measured.T) / len(measured)


def subsampled_accuracies(predicted: Floats, measured: NDArray[np.float32], *, inside: NDArray[np.bool_],
                          correlate: str) -> Floats:
    """Compute the accuracy on subsamples of the vertices.

    Parameters
    ----------
    predicted, measured : array, (n_images, n_vertices)
    inside : bool array, (n, n_vertices)
        The subsamples.
    correlate : {"vertex", "image"}

    Returns
    -------
    float64 array, (n,)
    """
    weights = inside / inside.sum(axis=1, keepdims=True)
    if correlate == "vertex":
        result: Floats = weights @ vertex_accuracies(predicted, measured)
        return result
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (predicted, np.asarray(measured, np.float64)))
    mean_x, mean_y = weights @ x.T, weights @ y.T
    spread = (weights @ (x**2).T - mean_x**2) * (weights @ (y**2).T - mean_y**2)
    covaried = weights @ (x * y).T - mean_x * mean_y
    correlations = np.zeros_like(covaried)
    result = np.divide(covaried, np.sqrt(np.maximum(spread, 0)), out=correlations,
                       where=spread > 1e-20).mean(axis=1)
    return result


def assess_generalisation(predicted: Mapping[str, Floats], measured: Mapping[str, NDArray[np.float32]], *,
                          settings: EncodingSettings, seed: int, layer: str,
                          blocks: tuple[str, ...] | None = None) -> Generalisation:
    """Test the predictions for AN and AI images, and their difference.

    Parameters
    ----------
    predicted, measured : mapping of str to array
        ``"AN"``, ``"AI"`` to (n_images, n_vertices).
    settings : EncodingSettings
    seed : int
        Seed of the region; subsamples are the same for its layers and both types.
    layer : str
        Layer, to draw its own permutations.
    blocks : tuple of str, optional
        Session of each image: labels are shuffled within sessions only.

    Returns
    -------
    Generalisation
        AN and AI: one-sided p from label permutations (the same for all vertices). Their 95 % intervals, the difference
        and its interval are over images (:mod:`analysis.encoding.over_images`), or with ``encoding.over = "vertices"``
        from paired subsamples of vertices without replacement, as in the paper. Those are in ``Statistic.paper``
        either way: a share of 80 % says nothing of other images, and understates the spread over new vertices.

    Raises
    ------
    AnalysisError
        For fewer than :data:`~analysis.encoding.over_images.LEAST` images, and for responses that are not finite or do
        not vary.
    """
    n_images, n_vertices = measured["AN"].shape
    require_images(n_images, where=layer)
    for kind in TESTED:
        _require_varying(measured[kind])
    inside = subsamples(n_vertices, share=settings.subsample, n=settings.n_subsamples, rng=rng(seed, "subsamples"))
    draws = {kind: subsampled_accuracies(predicted[kind], measured[kind], inside=inside, correlate=settings.correlate)
             for kind in TESTED}
    orders = permutations(n_images, n=settings.n_permutations, rng=rng(seed, "images", layer), blocks=blocks)
    found = {kind: over_images(*_standard(predicted[kind], measured[kind], correlate=settings.correlate),
                               orders=orders, correlate=settings.correlate) for kind in TESTED}
    said = say_interval(n_images, blocks=blocks)
    statistics = {}
    for kind in TESTED:
        p, paper = _accuracy(predicted[kind], measured[kind], settings=settings, seed=seed, draws=draws[kind],
                             purpose=(layer, kind), blocks=blocks)
        statistics[kind] = Statistic(
            found[kind].effect, *found[kind].interval(percent=95), p=p, n=n_vertices, seed=seed, paper=paper,
            n_resamples=settings.n_permutations, test=f"{say_shuffled(blocks)}, one-sided; {said}")
    gain, gains = found["AI"].minus(found["AN"]), draws["AI"] - draws["AN"]
    statistics[DIFFERENCE] = Statistic(
        gain.effect, *gain.interval(percent=95), p=gain.two_sided_p(), n=n_vertices, seed=seed,
        n_resamples=settings.n_permutations,
        paper=PaperStatistic(gain.effect, *interval(gains, percent=95), two_sided_p(gains)),
        test=f"difference over its error over {n_images} images, against {say_shuffled(blocks)}, two-sided; {said}")
    if settings.over == "vertices":
        statistics = {name: _as_in_paper(one, settings=settings, difference=name == DIFFERENCE, blocks=blocks)
                      for name, one in statistics.items()}
    return Generalisation(statistics, {kind: vertex_accuracies(predicted[kind], measured[kind]) for kind in TESTED})


def require_images(n_images: int, *, where: str) -> None:
    """See that there are enough images for a test over them.

    Raises
    ------
    AnalysisError
    """
    if n_images < LEAST:
        raise AnalysisError(where, came=f"{n_images} images", expected=f"{LEAST} or more, for a test over images",
                            remedy="Show more images of each type.")


def say_interval(n_images: int, *, blocks: tuple[str, ...] | None) -> str:
    """Say what an interval over images is."""
    return (f"95 % interval: over {n_images} images, its error by leaving out one at a time, its width by "
            f"{say_shuffled(blocks)}")


def say_shuffled(blocks: tuple[str, ...] | None) -> str:
    """Say how labels are exchanged."""
    return "label permutation within sessions" if blocks else "label permutation"


def _standard(predicted: Floats, measured: NDArray[np.float32], *, correlate: str) -> tuple[Floats, Floats]:
    """Centre and scale over images at each vertex, or over vertices at each image."""
    if correlate == "vertex":
        return standardise(predicted), standardise(measured)
    return standardise(predicted.T).T, standardise(measured.T).T


def _accuracy(predicted: Floats, measured: NDArray[np.float32], *, settings: EncodingSettings, seed: int, draws: Floats,
              purpose: tuple[str, str], blocks: tuple[str, ...] | None) -> tuple[float, PaperStatistic]:
    """Give the p of an accuracy, and what the paper's procedures give: labels exchanged over all images."""
    table = matched_similarity(predicted, measured, correlate=settings.correlate)
    effect, n, places = float(np.trace(table)), settings.n_permutations, np.arange(len(table))
    orders = permutations(len(table), n=n, rng=rng(seed, "permutation", *purpose), blocks=blocks)
    p = free = upper_p(effect, table[places, orders].sum(axis=1))
    if blocks and len(set(blocks)) > 1:
        everywhere = permutations(len(table), n=n, rng=rng(seed, "free", *purpose))
        free = upper_p(effect, table[places, everywhere].sum(axis=1))
    return p, PaperStatistic(effect, *interval(draws, percent=95), free)


def _as_in_paper(one: Statistic, *, settings: EncodingSettings, difference: bool,
                 blocks: tuple[str, ...] | None) -> Statistic:
    """Take the interval, and the test of a difference, from subsamples of vertices."""
    if one.paper is None:
        raise ValueError(f"{one.test}: nothing of the paper's procedures")
    share = f"subsamples of {settings.subsample:.0%} of vertices"
    low, high = one.paper.low, one.paper.high
    if not difference:
        return replace(one, low=low, high=high, test=f"{say_shuffled(blocks)}, one-sided; 95 % interval: {share}")
    return replace(one, low=low, high=high, p=one.paper.p, n_resamples=settings.n_subsamples,
                   test=f"{share}, two-sided; 95 % interval: the same")
