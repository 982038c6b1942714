"""The scorecard's rules against a plain reading of the protocol, on tables with random effects and p values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.report.scorecard import score, tally
from tests.analysis.paper_tables import LAYERS, REGIONS, brain_table, encoding_table, network_table

SUBJECTS = ("01", "02")
SEEDS = st.integers(0, 2**32 - 1)
BRAIN, NETWORK, ENCODING = brain_table(SUBJECTS), network_table(), encoding_table(SUBJECTS)


def _shaken(table: pd.DataFrame, seed: int, *, share: float) -> pd.DataFrame:
    """Give some rows another p and another sign."""
    rng = np.random.default_rng(seed)
    chosen = rng.random(len(table)) < share
    copy = table.copy()
    copy.loc[chosen, "p"] = rng.choice([0.001, 0.049, 0.05, 0.051, 0.5], size=chosen.sum())
    copy.loc[chosen, "effect"] = rng.choice([-0.2, 0.2], size=chosen.sum())
    return copy.sample(frac=1, random_state=seed % 1000) if seed % 2 else copy


def _cells(table: pd.DataFrame, *keys: str) -> dict[tuple[str, ...], tuple[float, float]]:
    found = {}
    for _, row in table.iterrows():
        found[tuple(str(row[key]) for key in keys)] = (float(row["effect"]), float(row["p"]))
    return found


def _verdicts(**tables: pd.DataFrame) -> dict[str, bool]:
    return {line.id: line.verdict == "holds" for line in score(**tables) if line.verdict != "not tested"}


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([0.02, 0.2, 0.6]))
def test_the_brains_claims(seed: int, share: float) -> None:
    table = _shaken(BRAIN, seed, share=share)
    cells = _cells(table, "sub", "place", "comparison")
    every_ai, n_an, every_difference = True, 0, True
    for sub in SUBJECTS:
        for roi in REGIONS:
            if cells[sub, roi, "RE-AI"][1] >= 0.05:
                every_ai = False
            if cells[sub, roi, "RE-AN"][1] < 0.05:
                n_an += 1
            effect, p = cells[sub, roi, "RE-AI minus RE-AN"]
            if effect <= 0 or p >= 0.05:
                every_difference = False
    assert _verdicts(brain=table) == {"B1": every_ai, "B2": n_an < 5, "B3": every_difference}


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([0.02, 0.1, 0.6]))
def test_the_networks_claims(seed: int, share: float) -> None:
    layers = _shaken(NETWORK.iloc[:-2], seed - seed % 2, share=share)  # layers stay in order: it is their depth
    table = pd.concat([layers, _shaken(NETWORK.iloc[-2:], seed, share=share)])
    cells = _cells(table, "place", "comparison")
    ai = all(cells[layer, "RE-AI"][1] < 0.05 for layer in LAYERS)
    early = [cells[layer, "RE-AN"][1] < 0.05 for layer in LAYERS[:2]]
    late = [cells[layer, "RE-AN"][1] < 0.05 for layer in LAYERS[2:]]
    tau_ai, p_ai = cells["layers", "trend RE-AI"]
    tau_an, p_an = cells["layers", "trend RE-AN"]
    higher, lower = [], []
    for k, layer in enumerate(LAYERS, start=1):
        effect, p = cells[layer, "RE-AI minus RE-AN"]
        if p < 0.05:
            (higher if effect < 0 else lower).append(k)
    assert _verdicts(network=table) == {
        "N1": ai and tau_ai < 0 and p_ai < 0.05,
        "N2": not any(early) and all(late) and tau_an > 0 and p_an < 0.05,
        "N3": higher == [8] and lower[:6] == [1, 2, 3, 4, 5, 6],
    }


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([0.05, 0.12, 0.2, 0.5]))
def test_the_encoding_models_claims(seed: int, share: float) -> None:
    table = _shaken(ENCODING, seed, share=share)
    cells = _cells(table, "sub", "roi", "layer", "type")
    n_ai = n_an = n_read = n_difference = 0
    for sub in SUBJECTS:
        for roi in REGIONS:
            for layer in LAYERS:
                n_ai += cells[sub, roi, layer, "AI"][1] < 0.05
                if cells[sub, roi, layer, "RE"][1] < 0.05:
                    n_read += 1
                    n_an += cells[sub, roi, layer, "AN"][1] >= 0.05
                effect, p = cells[sub, roi, layer, "AI minus AN"]
                n_difference += effect > 0 and p < 0.05
    found = _verdicts(encoding=table)
    assert (found["E1"], found["E3"]) == (n_ai >= 72, n_difference >= 72)
    said = {line.id: line.verdict for line in score(encoding=table)}["E2"]
    assert said == ("not tested" if n_read < 40 else "holds" if n_an >= 0.9 * n_read else "does not hold")


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_stronger_evidence_never_costs_a_claim(seed: int) -> None:
    """Lowering the p of a similarity that should be there leaves B1 and E1 as they are, or makes them hold."""
    brain, encoding = _shaken(BRAIN, seed, share=0.3), _shaken(ENCODING, seed, share=0.15)
    before = _verdicts(brain=brain, encoding=encoding)
    brain.loc[brain["comparison"] == "RE-AI", "p"] *= 0.5
    encoding.loc[encoding["type"] == "AI", "p"] *= 0.5
    after = _verdicts(brain=brain, encoding=encoding)
    assert after["B1"] >= before["B1"]
    assert after["E1"] >= before["E1"]
    assert {name: after[name] for name in ("B2", "B3", "E2", "E3")} == {
        name: before[name] for name in ("B2", "B3", "E2", "E3")}


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_names_of_subjects_do_not_matter(seed: int) -> None:
    brain, encoding = _shaken(BRAIN, seed, share=0.3), _shaken(ENCODING, seed, share=0.15)
    other = {"01": "zz", "02": "aa"}
    renamed = [table.assign(sub=table["sub"].map(other)) for table in (brain, encoding)]
    first = score(brain=brain, encoding=encoding)
    second = score(brain=renamed[0], encoding=renamed[1])
    assert first == second
    assert sum(tally(first).values()) == len(first)


def test_scoring_leaves_the_tables_alone() -> None:
    copies = [table.copy(deep=True) for table in (BRAIN, NETWORK, ENCODING)]
    score(brain=BRAIN, network=NETWORK, encoding=ENCODING)
    for table, copy in zip((BRAIN, NETWORK, ENCODING), copies, strict=True):
        pd.testing.assert_frame_equal(table, copy)
