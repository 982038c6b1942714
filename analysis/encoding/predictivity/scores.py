r"""Predictivity: how well a layer predicts responses to images that the model has not seen.

A model of 25 components is trained on nine tenths of the images and tested on the rest, ten times over (Schrimpf et
al., 2018; Linsley et al., 2023, NeurIPS): Pearson's r over the held-out images at each site, mean over the splits, and
the median over sites. Here each image is held out once, so that the ten scores have no test image in common.

Two ceilings, from two halves of the repetitions with correlation r: the reliability of their mean by Spearman and
Brown, :math:`2r / (1 + r)`, by which the published scores are divided; and its square root, which is what a model
without error reaches when it is correlated with noisy responses. The first understates the ceiling: a perfect model
scores above 1 by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import t as student

from analysis.encoding.predictivity.pls import fit_pls
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
Values = NDArray[np.floating[Any]]
LEAST_HELD_OUT = 3
"""Images below which a correlation over them says nothing."""


@dataclass(frozen=True)
class Ceiling:
    """How well responses repeat, median over sites.

    Parameters
    ----------
    split_half : float
        Correlation over images of two halves of the repetitions.
    reliability : float
        Of the mean of both: Spearman-Brown; 0 where halves do not agree.
    highest : float
        Its square root: what a model without error reaches.
    """

    split_half: float
    reliability: float
    highest: float


@dataclass(frozen=True, eq=False)
class Predictivity:
    """How well a layer predicts the responses of some sites.

    Parameters
    ----------
    score : float
        Median over sites of the mean over splits of Pearson's r, not divided by a ceiling.
    error : float
        Standard error of the mean over splits of the medians over sites. Splits have no test image in common, but most
        of their training images: after Nadeau & Bengio (2003, Machine Learning 52, 239-281) their variance is
        multiplied by 1 / n_splits + 1 / (n_splits - 1), the latter for the ratio of test to training images.
    low, high : float
        95 % interval about the score, from that error and Student's t of n_splits - 1.
    p : float
        One-sided, of a score of zero or less, from the same.
    ceiling : Ceiling, optional
        None without repetitions.
    sites : float64 array, (n_sites,)
        Each site's mean r over splits.
    n_images, n_splits, n_components : int
        Components: the most that a split's model had.
    """

    score: float
    error: float
    low: float
    high: float
    p: float
    ceiling: Ceiling | None
    sites: Floats = field(repr=False)
    n_images: int
    n_splits: int
    n_components: int

    @property
    def published(self) -> float:
        """The score over the reliability, as published scores are given; NaN where halves do not agree."""
        return _over(self.score, None if self.ceiling is None else self.ceiling.reliability)

    @property
    def corrected(self) -> float:
        """The score over what a model without error would reach; NaN where halves do not agree."""
        return _over(self.score, None if self.ceiling is None else self.ceiling.highest)


def _over(score: float, ceiling: float | None) -> float:
    return score / ceiling if ceiling else math.nan


def predictivity(units: Values, responses: Values, *, rng: Generator, halves: tuple[Values, Values] | None = None,
                 groups: Sequence[str] | None = None, blocks: Sequence[str] | None = None, n_components: int = 25,
                 n_splits: int = 10) -> Predictivity:
    """Score a layer by the responses that it predicts.

    Parameters
    ----------
    units : array, (n_images, n_units)
    responses : array, (n_images, n_sites)
        Mean over repetitions.
    rng : numpy.random.Generator
        Deals the images to the splits.
    halves : (array, array), each (n_images, n_sites), optional
        Means of two halves of the repetitions, for the ceiling.
    groups : sequence of str, optional
        Images of one group are held out together: an AI looks like its RE.
    blocks : sequence of str, optional
        Images measured together, with an offset of their own: a session's. In each split the mean of a block's training
        images is taken off all its images; a mean over all of them would put what is held out into the training.
    n_components : int
        Of each model, at most.
    n_splits : int
        Into how many parts the images are dealt; each is held out once.

    Returns
    -------
    Predictivity

    Raises
    ------
    AnalysisError
        If a split would hold out fewer than three images, or all of a block; or if shapes do not fit.
    """
    measured = np.asarray(responses, dtype=np.float64)
    parts = deal(len(measured), rng=rng, groups=groups, n_splits=n_splits)
    scores, most = np.empty((n_splits, measured.shape[1])), 0
    for k, held_out in enumerate(parts):
        rest = np.setdiff1d(np.arange(len(measured)), held_out)
        known = measured if blocks is None else without_block_means(measured, blocks=blocks, of=rest)
        model = fit_pls(units[rest], known[rest], n_components=n_components)
        scores[k] = correlate(model.predict(units[held_out]), known[held_out])
        most = max(most, model.n_components)
    sites = scores.mean(axis=0)
    score, medians = float(np.median(sites)), np.median(scores, axis=1)
    error = float(medians.std(ddof=1)) * math.sqrt(1.0 / n_splits + 1.0 / (n_splits - 1))
    reach = float(student.ppf(0.975, n_splits - 1)) * error
    p = float(student.sf(score / error, n_splits - 1)) if error > 0 else 1.0
    return Predictivity(score, error, score - reach, score + reach, max(p, np.finfo(float).tiny),
                        None if halves is None else find_ceiling(*halves), sites, len(measured), n_splits, most)


def without_block_means(responses: Floats, *, blocks: Sequence[str], of: NDArray[np.int64]) -> Floats:
    """Take off each block's images the mean of those among them that a model is trained on.

    Parameters
    ----------
    responses : float64 array, (n_images, n_sites)
    blocks : sequence of str
        Each image's.
    of : int64 array
        The training images.

    Raises
    ------
    AnalysisError
        If none of a block's images is among them.

    Examples
    --------
    >>> values = np.array([[1.0], [3.0], [9.0], [5.0]])
    >>> without_block_means(values, blocks=["a", "a", "b", "b"], of=np.array([0, 1, 2])).ravel().tolist()
    [-1.0, 1.0, 0.0, -4.0]
    """
    names, found = np.asarray(blocks), responses.copy()
    for block in np.unique(names):
        rows = np.flatnonzero(names == block)
        training = np.intersect1d(rows, of)
        if not len(training):
            raise AnalysisError(f"predictivity, {block}", came=f"a split that holds out all {len(rows)} images",
                                expected="training images in each session, for its mean",
                                remedy="Ask for more splits (predictivity.n_splits).")
        found[rows] -= responses[training].mean(axis=0)
    return found


def deal(n: int, *, rng: Generator, groups: Sequence[str] | None, n_splits: int) -> list[NDArray[np.int64]]:
    """Deal images to parts of nearly the same size, a group's together.

    Examples
    --------
    >>> [len(part) for part in deal(25, rng=np.random.default_rng(0), groups=None, n_splits=4)]
    [7, 6, 6, 6]
    """
    names = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    order = rng.permutation(int(names.max()) + 1)
    parts = [np.flatnonzero(np.isin(names, order[k::n_splits])) for k in range(n_splits)]
    fewest = min(len(part) for part in parts)
    if n_splits < 2 or fewest < LEAST_HELD_OUT or len(names) != n:
        raise AnalysisError("predictivity", came=f"{n} images in {n_splits} parts, of which one has {fewest}",
                            expected=f"two or more parts of at least {LEAST_HELD_OUT} images",
                            remedy="Ask for fewer splits (predictivity.n_splits).")
    return parts


def correlate(predicted: Floats, measured: Floats) -> Floats:
    """Correlate columns over rows, (n_sites,): Pearson's r; 0 where the prediction, or the site, does not vary."""
    one, other = (_unit(values) for values in (predicted, measured))
    result: Floats = np.einsum("is,is->s", one, other)
    return result


def _unit(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    flat = norms <= 1e-10 * np.linalg.norm(values, axis=0)
    result: Floats = centred / np.where(flat, np.inf, norms)
    return result


def find_ceiling(first: Values, second: Values) -> Ceiling:
    """Measure how well responses repeat, from two halves (n_images, n_sites) of their repetitions."""
    half = float(np.median(correlate(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))))
    reliability = 2.0 * half / (1.0 + half) if half > 0 else 0.0
    return Ceiling(half, reliability, math.sqrt(reliability))


def halve(repetitions: Values, *, rng: Generator) -> tuple[Floats, Floats]:
    """Take the means of two random halves of repetitions, (n_repetitions, ...); an odd one is left out."""
    size = len(repetitions) // 2
    if size == 0:
        raise AnalysisError("predictivity, repetitions", came=f"{len(repetitions)} repetition",
                            expected="two or more for a ceiling", remedy="Give the responses without repetitions.")
    order = rng.permutation(len(repetitions))
    one, other = (repetitions[order[rows]].mean(axis=0, dtype=np.float64)
                  for rows in (slice(size), slice(size, 2 * size)))
    return one, other

