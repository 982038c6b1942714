"""RE-AN and RE-AI under every combination of choices: contrast of AN, targets of AI, taps, reading of layer 8."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from analysis.rsa.compare import DIFFERENCE, layer_trends
from analysis.rsa.difference import LEAST_USABLE
from analysis.rsa.rdm import RDM
from analysis.rsa.resampling.images import image_bootstraps, label_permutations
from analysis.rsa.similarity import similarity
from analysis.rsa.variance.jackknife import LEAST, delete_images
from analysis.statistics.readings import LOGITS, SOFTMAX, by_logits
from analysis.statistics.statistic import t_p, two_sided_p, upper_p
from subjects.provenance import derive_seed, rng
from subjects.settings.analysis import RsaSettings

FACTORS = ("contrast", "targets", "tap", "reading")
"""What is chosen: columns of the table, each with the names of its levels."""

COLUMNS = (*FACTORS, "place", "comparison", "effect", "p")
Found = tuple[float, float]
"""Effect and p."""


@dataclass(frozen=True, eq=False)
class Place:
    """The dissimilarities of one layer at one tap, under every choice of images.

    Parameters
    ----------
    regular : RDM
        Of the RE images.
    noise : mapping of str to RDM
        Of the AN images, by level of ``contrast``.
    interference : mapping of str to RDM
        Of the AI images, by level of ``targets``.
    """

    regular: RDM
    noise: Mapping[str, RDM]
    interference: Mapping[str, RDM]


def compare_choices(place: Place, *, settings: RsaSettings, seed: int) -> dict[str, dict[Any, Found]]:
    """Compare the types of one layer under every choice, with the draws and tests of the step ``rsa``.

    Parameters
    ----------
    place : Place
    settings : RsaSettings
        Numbers of draws.
    seed : int
        The layer's; with the one that ``rsa`` derives, the set's own choices have the p that ``rsa`` gives.

    Returns
    -------
    dict
        ``"RE-AN"`` by level of ``contrast``, ``"RE-AI"`` by level of ``targets``: similarity, one-sided p by label
        permutation. ``"RE-AI minus RE-AN"`` by both: two-sided p over images, as ``rsa.difference`` says; NaN where too
        few images allow no test.
    """
    found: dict[str, dict[Any, Found]] = {"RE-AN": {}, "RE-AI": {}, DIFFERENCE: {}}
    for kind, rdms in (("AN", place.noise), ("AI", place.interference)):
        for level, rdm in rdms.items():
            effect = similarity(place.regular, rdm, by=settings.comparison)
            null = label_permutations(place.regular, rdm, n=settings.n_permutations, rng=rng(seed, "permutation", kind),
                                      by=settings.comparison)
            found[f"RE-{kind}"][level] = effect, upper_p(effect, null)
    tested = _by_bootstrap(place, settings=settings, seed=seed) if settings.difference == "images" else \
        _by_variance(place, by=settings.comparison)
    for (j, contrast), (k, targets) in product(enumerate(place.noise), enumerate(place.interference)):
        effect = found["RE-AI"][targets][0] - found["RE-AN"][contrast][0]
        found[DIFFERENCE][contrast, targets] = effect, tested(j, k)
    return found


def _by_variance(place: Place, *, by: str) -> Callable[[int, int], float]:
    """Test differences by t over images; AN and AI of several choices cannot be swapped, so t stands for that too."""
    n, n_noise = len(place.regular), len(place.noise)
    if n < LEAST:
        return lambda *_: math.nan
    deletions = delete_images(place.regular, [*place.noise.values(), *place.interference.values()], by=by)

    def p(j: int, k: int) -> float:
        weights = np.zeros(len(deletions.whole))
        weights[[j, n_noise + k]] = -1, 1
        gain = deletions.contrast(weights)
        return t_p(float(gain.whole[0]), variance=float(gain.variances[0]), df=n - 1)

    return p


def _by_bootstrap(place: Place, *, settings: RsaSettings, seed: int) -> Callable[[int, int], float]:
    """Test differences by the paper's bootstrap over images."""
    draws = image_bootstraps(place.regular, [*place.noise.values(), *place.interference.values()],
                             n=settings.n_bootstraps, rng=rng(seed, "images"), by=settings.comparison)

    def p(j: int, k: int) -> float:
        gains = draws[:, len(place.noise) + k] - draws[:, j]
        usable = gains[np.isfinite(gains)]
        return two_sided_p(usable) if len(usable) >= LEAST_USABLE * len(gains) else math.nan

    return p


def tabulate(places: Mapping[str, Place], *, layers: Sequence[str], tap: str, network: str, settings: RsaSettings,
             seed: int) -> list[dict[str, Any]]:
    """Compare the types in every layer at one tap, and test the trends, for every combination of choices.

    Parameters
    ----------
    places : mapping of str to Place
        Every layer, and the last one by the logits (:func:`~analysis.statistics.readings.by_logits`) where there are
        some.
    layers : sequence of str
        In order of depth.
    tap, network : str
        Names.
    settings : RsaSettings
    seed : int
        The study's.

    Returns
    -------
    list of dict
        Rows with :data:`COLUMNS`; trends have the place ``"layers"``.
    """
    found = {place: compare_choices(content, settings=settings, seed=derive_seed(seed, network, place, "rsa"))
             for place, content in places.items()}
    first, rows = places[layers[0]], []
    readings = {SOFTMAX: list(layers)}
    if by_logits(layers[-1]) in places:
        readings[LOGITS] = [*layers[:-1], by_logits(layers[-1])]
    for (reading, read), contrast, targets in product(readings.items(), first.noise, first.interference):
        named = {"contrast": contrast, "targets": targets, "tap": tap, "reading": reading}
        keys = {"RE-AN": contrast, "RE-AI": targets, DIFFERENCE: (contrast, targets)}
        rows += [{**named, "place": layer, "comparison": name, "effect": found[place][name][key][0],
                  "p": found[place][name][key][1]}
                 for layer, place in zip(layers, read, strict=True) for name, key in keys.items()]
        trends = layer_trends({name: [found[place][name][keys[name]][0] for place in read]
                               for name in ("RE-AN", "RE-AI")}, by=settings.trend)
        rows += [{**named, "place": "layers", "comparison": name, "effect": one.effect, "p": one.p}
                 for name, one in trends.items()]
    return rows


def count_deciding(scored: pd.DataFrame, *, claim: str, factor: str) -> tuple[int, int]:
    """Count in how many settings of the other choices a claim's verdict hangs on one of them.

    Parameters
    ----------
    scored : DataFrame
        One row a combination: columns :data:`FACTORS`, and one of bool a claim.
    claim, factor : str

    Returns
    -------
    n_deciding, n : int
        Settings of the other factors in which the claim holds at some levels of this one and not at others, and all.

    Examples
    --------
    >>> table = pd.DataFrame({"contrast": ["6", "12"], "targets": "own", "tap": "a", "reading": "logits",
    ...                       "N2": [True, False]})
    >>> count_deciding(table, claim="N2", factor="contrast")
    (1, 1)
    """
    others = [name for name in FACTORS if name != factor]
    differing = [len(set(part[claim])) > 1 for _, part in scored.groupby(others, sort=False)]
    return sum(differing), len(differing)
