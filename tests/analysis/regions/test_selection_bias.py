"""The bias of a choice: none by RE alone, and found where a choice looks at what is compared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.regions import selection_bias as module
from analysis.regions.disk_rdms import split_half_rho
from analysis.regions.selection_bias import Bias, Side, measure_bias
from analysis.rsa.rdm import compute_rdm
from tests.analysis.regions.test_vertex_selection import ring_disks

N_IMAGES, N = 16, 240
SESSIONS = ["01"] * 8 + ["02"] * 8


def make_side(seed: int, *, signal: float = 0.0, n: int = 30) -> Side:
    rng = np.random.default_rng(seed)
    shared = signal * rng.normal(size=(N_IMAGES, N))
    halves = tuple(shared + rng.normal(size=shared.shape) for _ in range(2))
    others = {"AN": rng.normal(size=shared.shape), "AI": shared + rng.normal(size=shared.shape)}
    disks = ring_disks(N, reach=[5])
    rho = split_half_rho(*halves, disks=disks, centres=np.arange(N), measure="correlation")
    return Side(halves=halves, others=others, disks=disks, eligible=np.arange(N), chosen=np.sort(np.argsort(-rho)[:n]))


@pytest.mark.parametrize("signal", [0.0, 1.0])
def test_a_choice_by_re_alone_biases_nothing(signal):
    sides = [make_side(k, signal=signal) for k in (1, 2)]
    found = measure_bias(sides, sessions=SESSIONS, n_draws=300, measure="correlation", rng=np.random.default_rng(5))
    assert list(found) == ["AN", "AI"]
    for one in found.values():
        assert abs(one.mean) < 4 * one.error
        assert one.share_above == pytest.approx(0.05, abs=0.05)


def test_a_choice_that_sees_the_other_type_is_found_out(monkeypatch):
    """Vertices chosen by how RE's dissimilarities resemble AI's: what must never happen."""
    sides = [make_side(k) for k in (1, 2)]
    seen = iter([module.condensed_rdms(values, disks=side.disks, centres=side.eligible, measure="correlation")
                 for side in sides for values in (side.halves[0], side.others["AI"])])
    monkeypatch.setattr(module, "condensed_rdms", lambda *_, **__: next(seen))
    monkeypatch.setattr(module, "permutations", lambda n_items, *, n, **_: np.tile(np.arange(n_items), (n, 1)))
    found = measure_bias(sides, sessions=SESSIONS, n_draws=2, measure="correlation", rng=np.random.default_rng(5))
    assert found["AI"].mean > 0.1 > found["AN"].mean


def test_a_draw_is_the_one_of_a_plain_loop(monkeypatch):
    sides = [make_side(k, signal=0.5) for k in (3, 4)]
    rng = np.random.default_rng(6)
    first, second = rng.permutation(N_IMAGES), rng.permutation(N_IMAGES)
    given = iter([first[None], second[None]])
    monkeypatch.setattr(module, "permutations", lambda *_, **__: next(given))
    found = measure_bias(sides, sessions=SESSIONS, n_draws=1, measure="correlation", rng=rng)["AI"]
    responses = {"anew": [], "fixed": []}
    for side in sides:
        halves = [half[order] for half, order in zip(side.halves, (first, second), strict=True)]
        rho = split_half_rho(*halves, disks=side.disks, centres=np.arange(N), measure="correlation")
        for name, chosen in (("anew", np.sort(np.argsort(-rho)[:30])), ("fixed", side.chosen)):
            responses[name].append((np.mean(halves, axis=0)[:, chosen], side.others["AI"][:, chosen]))
    for name, parts in responses.items():
        pair = [np.concatenate(one, axis=1) for one in zip(*parts, strict=True)]
        wanted = spearmanr(*(compute_rdm(one, labels=range(N_IMAGES)).condensed for one in pair)).statistic
        assert getattr(found, name)[0] == pytest.approx(wanted, abs=1e-9)


def test_what_a_bias_says():
    one = Bias(np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.1, 0.2]))
    assert one.mean == pytest.approx(0.1)
    assert one.error == pytest.approx(0.0, abs=1e-12)
    assert one.share_above == pytest.approx(2 / 3)
