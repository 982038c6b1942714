"""Is AI more like RE than AN is: four tests of the difference of two similarities with one RDM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.rdm import RDM
from analysis.rsa.resampling.distances import Added, Distances
from analysis.rsa.resampling.images import image_bootstraps
from analysis.rsa.similarity import PairGroups, all_pairs, correlate
from analysis.rsa.variance.influence import difference_variances
from analysis.rsa.variance.jackknife import LEAST, Deletions
from analysis.statistics.statistic import (
    NOT_TESTED,
    PaperStatistic,
    Statistic,
    interval,
    t_interval,
    t_p,
    two_sided_p,
)
from subjects.provenance import rng
from subjects.settings.analysis import RsaSettings

Floats = NDArray[np.float64]
_BLOCK_SWAPS = 128
LEAST_USABLE = 0.5
"""Share of the draws of images that must have two different pairs; where fewer do, the difference is not tested."""


def image_difference(rdms: Mapping[str, RDM], *, effect: float, settings: RsaSettings, seed: int) -> Statistic:
    """Test RE-AI minus RE-AN by the paper's bootstrap over images, over all pairs.

    The bootstrap's own spread counts the noise of pairs three times: at a true difference of 0 it rejects hardly ever.
    With a few images some draws have no two different pairs: they are left out, and counted in the test's words; where
    most are, nothing is tested: there is no interval and no p. The second reading of the Methods, the mean of the
    redrawn RE-AI against the redrawn RE-AN, two-sided, is ``paper.p_mean``.

    Parameters
    ----------
    rdms : mapping of str to RDM
        ``"RE"``, ``"AN"``, ``"AI"``.
    effect : float
        The difference as it is.
    settings : RsaSettings
    seed : int
    """
    n = settings.n_bootstraps
    draws = image_bootstraps(rdms["RE"], [rdms["AN"], rdms["AI"]], n=n, rng=rng(seed, "images"),
                             by=settings.comparison)
    usable = draws[np.isfinite(draws).all(axis=1)]
    n_left_out = n - len(usable)
    said = "bootstrap over images, two-sided; 95 % interval: the same"
    n_images = len(rdms["RE"])
    if len(usable) < LEAST_USABLE * n:
        nothing = PaperStatistic(effect, np.nan, np.nan, np.nan, seed=seed)
        return Statistic(effect, np.nan, np.nan, p=np.nan, paper=nothing, n=n_images, n_resamples=n, seed=seed,
                         test=f"{NOT_TESTED} ({said.partition('; ')[0]}): {n_left_out} of {n} draws have no two "
                              "different pairs of images")
    if n_left_out:
        said += f"; {n_left_out} of {n} draws without two different pairs left out"
    gains = usable[:, 1] - usable[:, 0]
    p, p_mean = two_sided_p(gains), two_sided_p(usable[:, 1].mean() - usable[:, 0])
    paper = PaperStatistic(effect, *interval(gains, percent=95), p, p_mean, seed=seed)
    return Statistic(effect, paper.low, paper.high, p=p, paper=paper, test=said, n=n_images, n_resamples=n,
                     seed=seed)


def corrected_difference(deletions: Deletions | None, *, effect: float, n: int) -> Statistic:
    """Test a difference by t, n - 1 degrees of freedom, with the corrected variance over images.

    Parameters
    ----------
    deletions : Deletions or None
        Of RE-AN and RE-AI; None where there are too few images.
    effect : float
    n : int
        Images.

    Returns
    -------
    Statistic
        95 % interval over images like these. Fewer than
        :data:`~analysis.rsa.variance.jackknife.LEAST` images: no test, no p.
    """
    if deletions is None:
        return Statistic(effect, np.nan, np.nan, p=np.nan, n=n, n_resamples=0, seed=None,
                         test=f"{NOT_TESTED}: {n} images, {LEAST} are needed for a variance over images")
    variance = float(deletions.contrast([-1, 1]).variances[0])
    return Statistic(effect, *t_interval(effect, variance=variance, df=n - 1, percent=95),
                     p=t_p(effect, variance=variance, df=n - 1), n=n, n_resamples=0, seed=None,
                     test=f"t over images (df {n - 1}), variance corrected for the noise of pairs, two-sided; 95 % "
                          "interval: the same")


def swapped_difference(distances: Distances, *, effect: float, raw: float, settings: RsaSettings, seed: int,
                       pairs: PairGroups | None = None, studentised: bool = False,
                       session_means: Added | None = None, blocks: Sequence[str] | None = None) -> Statistic:
    """Test a difference by swapping the AN and the AI pattern of random images.

    Exact where AN and AI are exchangeable, so that nothing at all tells them apart: more than that they are alike RE
    equally. In units of its own standard error over images (:mod:`~analysis.rsa.variance.influence`) each swap's
    difference has the same distribution, for many images, where they are alike RE equally in whatever way, and gives
    an interval. Without that there is none.

    Parameters
    ----------
    distances : Distances
    effect, raw : float
        The difference that is given, and as it is.
    settings : RsaSettings
    seed : int
    pairs : PairGroups, optional
    studentised : bool
    session_means : mapping of str to array, (n_images, n_features), optional
        ``"AN"``, ``"AI"``: what was taken off their patterns, type by type. It is put back before patterns are swapped
        and the means of the new sets are taken off: sets that were never swapped would else be the only ones without
        session means, and a test at 5 % reject in 7.
    blocks : sequence of str, optional
        Session of each image; for that.

    References
    ----------
    Janssen 1997, Stat Probab Lett 36:9; Chung & Romano 2013, Ann Stat 41:484.
    """
    n, _ = distances.shape
    names, chosen = tuple(str(k) for k in range(2 * n)), pairs or all_pairs(n)
    both = distances.products("AN", "AI", added=session_means)
    regular = distances.rdm("RE", labels=names[:n], where="RE").condensed
    swaps = rng(seed, "swap").integers(0, 2, size=(settings.n_permutations, n))
    gains, variances = _gains(both, swaps=swaps, regular=regular, pairs=chosen, by=settings.comparison,
                              studentised=studentised, of_products=distances.of_products,
                              centre=None if session_means is None else _less_means(blocks, n=n))
    found = Statistic(effect, np.nan, np.nan, p=1.0, n=n, n_resamples=len(swaps), seed=seed,
                      test="AN and AI swapped at random images, two-sided; no interval")
    if not studentised:
        n_as_far = int(np.count_nonzero(np.abs(gains[1:]) >= abs(raw) - 1e-12))
        return replace(found, p=(1 + n_as_far) / (1 + len(swaps)))
    if not np.isfinite(variances).all():
        return replace(found, p=np.nan, test=f"{NOT_TESTED}: {n} images, {LEAST} are needed for a variance over images")
    errors = np.sqrt(np.maximum(variances, np.finfo(float).tiny))
    null = np.sort(np.abs(gains[1:] / errors[1:]))
    n_as_far = int(len(null) - np.searchsorted(null, abs(raw) / errors[0] - 1e-9))
    width = float(null[min(len(null) - 1, int(np.ceil(0.95 * (1 + len(null)))) - 1)] * errors[0])
    return replace(found, low=effect - width, high=effect + width, p=(1 + n_as_far) / (1 + len(null)),
                   test="AN and AI swapped at random images, each difference in its own standard errors over images, "
                        "two-sided; 95 % interval: the same")


def _gains(both: Floats, *, swaps: NDArray[np.int64], regular: Floats, pairs: PairGroups, by: str,
           studentised: bool, of_products: Callable[[Floats], Floats],
           centre: Floats | None) -> tuple[Floats, Floats]:
    """Give the difference as it is and under each swap, and their variances if asked for."""
    n = swaps.shape[1]
    all_swaps, gains, variances = np.concatenate([np.zeros((1, n), dtype=np.int64), swaps]), [], []
    for start in range(0, len(all_swaps), _BLOCK_SWAPS):
        part, sides = all_swaps[start:start + _BLOCK_SWAPS], []
        for swapped in (part, 1 - part):
            places = np.arange(n) + n * swapped
            products = both[places[:, :, None], places[:, None, :]]
            sides.append(of_products(products if centre is None else centre @ products @ centre))
        first, second = sides
        gains.append(correlate(regular, second, pairs=pairs, by=by) - correlate(regular, first, pairs=pairs, by=by))
        if studentised:
            variances.append(difference_variances(regular, first=first, second=second, pairs=pairs, by=by))
    return np.concatenate(gains), np.concatenate(variances) if studentised else np.empty(0)


def _less_means(blocks: Sequence[str] | None, *, n: int) -> Floats:
    """Give the matrix that takes the mean of each session's images off, (n, n)."""
    names = np.zeros(n) if blocks is None else np.unique(list(blocks), return_inverse=True)[1]
    alike = names[:, None] == names
    result: Floats = np.eye(n) - alike / alike.sum(axis=1)
    return result
