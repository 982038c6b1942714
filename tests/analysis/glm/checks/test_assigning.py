"""Exchanges are proposed as a plain search finds them: over all orders of a few runs, over few moves of many."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
from math import comb

import numpy as np
import pandas as pd
import pytest

from analysis.glm.checks.assigning import MOVED, list_orders, propose_exchange, propose_session
from subjects.run_key import RunKey


@dataclass(frozen=True)
class Fixed:
    """Data whose responses under some events are what a table of them says."""

    events: pd.DataFrame
    responses: dict[int, np.ndarray]

    def respond(self, events: pd.DataFrame) -> np.ndarray:
        return self.responses[int(events.attrs["number"])]


def key(run: int, *, ses: str = "01", part: int = 1) -> RunKey:
    return RunKey("01", ses, "main", run, part)


def numbered(number: int) -> pd.DataFrame:
    table = pd.DataFrame()
    table.attrs["number"] = number
    return table


def fixed_scans(n: int, *, rng: np.random.Generator) -> dict[RunKey, Fixed]:
    return {key(run): Fixed(numbered(run), {other: rng.standard_normal((3, 8)) for other in range(1, n + 1)})
            for run in range(1, n + 1)}


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_best_order_is_that_of_a_plain_search(n: int) -> None:
    scans = fixed_scans(n, rng=np.random.default_rng(n))

    def agreement(order: tuple[int, ...]) -> float:
        return sum(float(np.sum(scans[key(i)].responses[order[i - 1]] * scans[key(j)].responses[order[j - 1]]))
                   for i, j in combinations(range(1, n + 1), 2))

    best = max(permutations(range(1, n + 1)), key=agreement)
    assert propose_exchange(scans) == {key(run): key(best[run - 1]) for run in range(1, n + 1)}


def test_runs_that_agree_as_they_are_stay() -> None:
    alike = np.ones((3, 8))
    scans = {key(run): Fixed(numbered(run), {other: alike * (other == run) for other in (1, 2, 3)})
             for run in (1, 2, 3)}
    assert propose_exchange(scans) == {one: one for one in scans}


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_of_few_runs_every_order_is_looked_at_once(n: int) -> None:
    found = [tuple(one) for one in list_orders(n)]
    assert sorted(found) == sorted(permutations(range(n)))
    moved = [sum(place != other for place, other in enumerate(one)) for one in found]
    assert moved == sorted(moved)


def test_of_many_runs_those_are_looked_at_that_move_few() -> None:
    found = [tuple(one) for one in list_orders(9)]
    derangements = {2: 1, 3: 2, 4: 9}
    assert MOVED == 4
    assert len(set(found)) == len(found) == 1 + sum(comb(9, k) * n for k, n in derangements.items())


def test_the_session_is_proposed_under_whose_events_runs_agree_best() -> None:
    rng = np.random.default_rng(5)
    pattern = rng.standard_normal((3, 8))
    tables = {key(run, ses=ses): numbered(10 * int(ses) + run) for ses in ("02", "03") for run in (1, 2, 3)}
    scans = {key(run): Fixed(numbered(run), {20 + run: rng.standard_normal((3, 8)), 30 + run: pattern})
             for run in (1, 2, 3)}
    assert propose_session(scans, tables=tables) == {key(run): key(run, ses="03") for run in (1, 2, 3)}
    alone = {one: table for one, table in tables.items() if one.run == 1}
    assert propose_session(scans, tables=alone) == {}
