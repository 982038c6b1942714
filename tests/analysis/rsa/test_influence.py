"""Variances from what pairs add, and swaps in units of them: against closed forms, deletions and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.rsa.compare import DIFFERENCE, compare_types
from analysis.rsa.difference import swapped_difference
from analysis.rsa.rdm import compute_rdm
from analysis.rsa.resampling.distances import distances_of
from analysis.rsa.similarity import all_pairs, pairs_within, similarity
from analysis.rsa.variance.influence import difference_variances, sum_variances
from analysis.rsa.variance.jackknife import delete_images
from analysis.statistics.dissimilarity import MEASURES, WHITENED
from subjects.provenance import rng
from subjects.settings.analysis import RsaSettings


def names(n: int) -> tuple[str, ...]:
    return tuple(f"image-{k:02}" for k in range(n))


def kinds(seed: int, *, n: int = 20, n_features: int = 40, like: float = 0.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(n, n_features))
    return {"RE": shared, **{kind: like * shared + generator.normal(size=shared.shape) for kind in ("AN", "AI")}}


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_sum_over_pairs_has_the_variance_that_it_truly_has(share: float) -> None:
    """Images' own parts a and pairs' own e: n (n - 1)^2 var(a) + n (n - 1) / 2 var(e)."""
    n, generator = 16, np.random.default_rng(1)
    rows, columns = np.triu_indices(n, 1)
    own = np.sqrt(share) * generator.normal(size=(400, n))
    values = own[:, rows] + own[:, columns] + np.sqrt(1 - share) * generator.normal(size=(400, len(rows)))
    found = sum_variances(values, rows=rows, columns=columns, n_images=n)
    truth = share * n * (n - 1)**2 + (1 - share) * len(rows)
    assert found.mean() == pytest.approx(truth, rel=0.1 if share else 0.5)
    assert values.sum(axis=1).var() == pytest.approx(truth, rel=0.25)


def test_own_parts_and_the_rest_are_those_of_least_squares() -> None:
    n, generator = 9, np.random.default_rng(2)
    rows, columns = np.triu_indices(n, 1)
    values = generator.normal(size=len(rows)) + 5 * generator.normal(size=n)[rows]
    design = np.zeros((len(rows), n))
    design[np.arange(len(rows)), rows] = design[np.arange(len(rows)), columns] = 1
    centred = values - values.mean()
    own, left, _, _ = np.linalg.lstsq(design, centred, rcond=None)
    by_pair = left[0] / (len(rows) - n)
    by_image = max((own**2).sum() / (n - 1) - by_pair / (n - 2), 0)
    wanted = n * (n - 1)**2 * by_image + len(rows) * by_pair
    assert sum_variances(values[None], rows=rows, columns=columns, n_images=n)[0] == pytest.approx(wanted)


@pytest.mark.parametrize("by", ["spearman", "pearson", "tau_a"])
def test_differences_have_the_variance_that_deletions_give_in_the_mean(by: str) -> None:
    found, wanted = [], []
    for seed in range(40):
        rdms = {kind: compute_rdm(values, labels=names(20)) for kind, values in kinds(seed, like=0.7).items()}
        found.append(difference_variances(rdms["RE"].condensed, first=rdms["AN"].condensed[None],
                                          second=rdms["AI"].condensed[None], pairs=all_pairs(20), by=by)[0])
        wanted.append(delete_images(rdms["RE"], [rdms["AN"], rdms["AI"]], by=by).contrast([-1, 1]).variances[0])
    assert np.mean(found) == pytest.approx(np.mean(wanted), rel=0.2)


def test_pairs_within_sessions_add_the_variances_of_the_sessions() -> None:
    values = kinds(3, n=20)
    blocks = ("1",) * 10 + ("2",) * 10
    rdms = {kind: compute_rdm(one, labels=names(20)) for kind, one in values.items()}
    whole = difference_variances(rdms["RE"].condensed, first=rdms["AN"].condensed[None],
                                 second=rdms["AI"].condensed[None], pairs=pairs_within(blocks))
    parts = []
    for chosen in (names(20)[:10], names(20)[10:]):
        own = [rdms[kind].select(chosen).condensed for kind in ("RE", "AN", "AI")]
        parts.append(difference_variances(own[0], first=own[1][None], second=own[2][None], pairs=all_pairs(10))[0])
    assert whole[0] == pytest.approx(sum(parts) / 4)


def test_swaps_in_standard_errors_are_those_of_a_plain_loop() -> None:
    values, settings = kinds(4, n=9, n_features=25, like=0.3), RsaSettings(n_permutations=60)
    regular = compute_rdm(values["RE"], labels=names(9))

    def studentised(swapped: np.ndarray) -> tuple[float, float]:
        an, ai = (compute_rdm(np.where(chosen[:, None], values["AI"], values["AN"]), labels=names(9))
                  for chosen in (swapped, ~swapped))
        variance = difference_variances(regular.condensed, first=an.condensed[None], second=ai.condensed[None],
                                        pairs=all_pairs(9))
        return similarity(regular, ai) - similarity(regular, an), float(np.sqrt(variance[0]))

    raw, error = studentised(np.zeros(9, dtype=bool))
    swaps = rng(4, "swap").integers(0, 2, size=(60, 9)).astype(bool)
    null = np.sort([abs(gain) / size for gain, size in map(studentised, swaps)])
    found = swapped_difference(distances_of(values, measure="correlation"), effect=raw + 0.1, raw=raw,
                               settings=settings, seed=4, studentised=True)
    assert found.p == (1 + np.count_nonzero(null >= abs(raw) / error - 1e-9)) / 61
    assert (found.low, found.high) == pytest.approx((raw + 0.1 - null[57] * error, raw + 0.1 + null[57] * error))


def test_the_interval_leaves_out_zero_where_p_is_below_five_percent() -> None:
    for seed in range(30):
        values = kinds(seed, n=12, like=0.0)
        values["AI"] = values["AI"] + 0.3 * values["RE"]
        found = compare_types(values, labels=names(12), blocks=("1",) * 6 + ("2",) * 6, seed=seed, percent=68,
                              settings=RsaSettings(n_permutations=99, n_bootstraps=2, null_mean="kept"))
        one = found.statistics[DIFFERENCE]
        assert (one.p <= 0.05) == (one.low > 0 or one.high < 0)


def test_few_images_are_not_tested_and_networks_have_the_corrected_t() -> None:
    few = swapped_difference(distances_of(kinds(5, n=6), measure="correlation"), effect=0.1, raw=0.1, seed=1,
                             settings=RsaSettings(n_permutations=20), studentised=True)
    assert np.isnan(few.p)
    assert "not tested: 6 images, 7 are needed" in few.test
    assert np.isnan(few.low)
    plain = compare_types(kinds(6), labels=names(20), seed=1, percent=95,
                          settings=RsaSettings(n_permutations=20, n_bootstraps=2)).statistics[DIFFERENCE]
    assert plain.test.startswith("t over images (df 19)")


@pytest.mark.parametrize("measure", [*MEASURES, *WHITENED])
def test_session_means_are_put_back_before_a_swap_and_taken_off_after_it(measure: str) -> None:
    """By a plain loop over patterns as they were measured."""
    generator, n, blocks = np.random.default_rng(7), 10, ("1",) * 5 + ("2",) * 5
    raw = {kind: generator.normal(size=(2, n, 15)) + 3 * generator.normal(size=15) for kind in ("RE", "AN", "AI")}

    def centred(values: np.ndarray) -> np.ndarray:
        return np.concatenate([part - part.mean(axis=(0, 1), keepdims=True) for part in np.split(values, 2, axis=1)],
                              axis=1)

    pairs = {kind: tuple(centred(values)) for kind, values in raw.items()}
    taken = {kind: (values - centred(values))[0] for kind, values in raw.items()}
    means = {kind: np.mean(one, axis=0) for kind, one in pairs.items()}
    distances = distances_of(means, measure=measure, presentations=pairs)
    settings = RsaSettings(n_permutations=25, dissimilarity=measure)
    swaps, null = rng(3, "swap").integers(0, 2, size=(25, n)).astype(bool), []
    regular = distances.rdm("RE", labels=names(n), where="RE")
    for swapped in swaps:
        sides = []
        for chosen in (swapped, ~swapped):
            values = centred(np.where(chosen[None, :, None], raw["AI"], raw["AN"]))
            one = {**pairs, "AN": tuple(values)}
            rdm = distances_of({**means, "AN": values.mean(axis=0)}, measure=measure, presentations=one)
            if hasattr(rdm, "covariance"):
                rdm.__dict__["covariance"] = distances.covariance  # type: ignore[attr-defined]
            sides.append(similarity(regular, rdm.rdm("AN", labels=names(n), where="AN")))
        null.append(abs(sides[1] - sides[0]))
    raw_gain = similarity(regular, distances.rdm("AI", labels=names(n), where="AI")) - similarity(
        regular, distances.rdm("AN", labels=names(n), where="AN"))
    found = swapped_difference(distances, effect=raw_gain, raw=raw_gain, settings=settings, seed=3,
                               session_means=taken, blocks=blocks)
    assert found.p == (1 + np.count_nonzero(np.array(null) >= abs(raw_gain) - 1e-9)) / 26
