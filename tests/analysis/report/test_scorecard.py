"""The scorecard's truth table: tables in which all claims hold, and one-element changes that turn each verdict."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.report.scorecard import CLAIMS, Line, layers_of, score, tally
from analysis.rsa.compare import DEGENERATE
from analysis.statistics.readings import split_readings
from subjects.errors import AnalysisError
from tests.analysis.paper_tables import brain_table, changed, encoding_table, hierarchy_table, network_table

TESTED = ("B1", "B2", "B3", "N1", "N2", "N3", "E1", "E2", "E3", "H1", "H2")


def _verdicts(**tables: pd.DataFrame) -> dict[str, str]:
    given = {"brain": brain_table(), "network": network_table(), "encoding": encoding_table(),
             "hierarchy": hierarchy_table(), **tables}
    return {line.id: line.verdict for line in score(**given)}


def _here(claim: str, **tables: pd.DataFrame) -> str:
    given = {"brain": brain_table(), "network": network_table(), "encoding": encoding_table(),
             "hierarchy": hierarchy_table(), **tables}
    return next(line.here for line in score(**given) if line.id == claim)


def test_the_papers_own_pattern_holds_throughout() -> None:
    found = _verdicts()
    assert {name: found[name] for name in TESTED} == dict.fromkeys(TESTED, "holds")
    assert {name: found[name] for name in ("S2",)} == dict.fromkeys(("S2",), "not tested")
    assert _verdicts(control=brain_table())["S2"] == "holds"


def test_without_a_second_selection_s2_says_how_to_make_one() -> None:
    assert _here("S2") == "no control results yet; run python -m analysis rsa with rsa.control_vertices = 200"


@pytest.mark.parametrize(("where", "values", "turned"), [
    ({"comparison": "RE-AI"}, {"p": 0.05}, "B1"), ({"comparison": "RE-AI minus RE-AN"}, {"effect": -0.1}, "B3"),
    ({"comparison": "RE-AI minus RE-AN"}, {"p": 0.2}, "B3")])
def test_s2_falls_with_one_region_of_the_second_selection_and_b1_to_b3_stand(where, values, turned) -> None:
    other = changed(brain_table(), {"sub": "02", "place": "V3", **where}, **values)
    found = _verdicts(control=other)
    assert found["S2"] == "does not hold"
    assert [found[name] for name in ("B1", "B2", "B3")] == ["holds"] * 3
    assert [f"{name} does not hold" in _here("S2", control=other) for name in ("B1", "B2", "B3")] == [
        name == turned for name in ("B1", "B2", "B3")]


def test_s2_needs_an_to_stay_at_null_too() -> None:
    table = brain_table()
    table.loc[table.index[table["comparison"] == "RE-AN"][:8], "p"] = 0.01
    assert _verdicts(control=table)["S2"] == "does not hold"


def test_s2_is_open_where_a_difference_was_not_tested_and_falls_where_another_rule_does() -> None:
    table = brain_table().assign(test="made by hand")
    row = (table["place"] == "V3") & (table["comparison"] == "RE-AI minus RE-AN")
    table.loc[row, ["p", "test"]] = [np.nan, "not tested: 6 images"]
    assert _verdicts(control=table)["S2"] == "not tested"
    table.loc[table["comparison"] == "RE-AI", "p"] = 0.5
    assert _verdicts(control=table)["S2"] == "does not hold"


def test_s2_tells_how_the_similarities_of_both_selections_go_together() -> None:
    """Against NumPy; rows in another order."""
    brain, control = brain_table(), brain_table().sample(frac=1, random_state=1)
    similar = control["comparison"] != "RE-AI minus RE-AN"
    control.loc[similar, "effect"] += np.random.default_rng(2).normal(0.05, 0.05, size=similar.sum())
    both = brain.merge(control, on=["sub", "place", "comparison"])
    both = both[both["comparison"] != "RE-AI minus RE-AN"]
    r = np.corrcoef(both["effect_x"], both["effect_y"])[0, 1]
    mean = (both["effect_y"] - both["effect_x"]).mean()
    assert _here("S2", brain=brain, control=control).endswith(
        f"similarities of both selections: r = {r:.2f}, mean difference {mean:.3f}")
    assert _here("S2", control=control, brain=None).count("r = ") == 0


def test_p_corrected_is_counted_beside_p_where_the_table_has_it() -> None:
    table = brain_table().assign(p_corrected=lambda t: t["p"] * 30)
    assert _here("B1", brain=table) == "15/15 p < .05 (15/15 corrected), 15/15 p < .005; largest p < .001"
    assert _here("B2", brain=table) == "0/15 p < .05 (0/15 corrected)"
    assert _here("B3", brain=table) == "15/15 higher, 15/15 with p < .05 (0/15 corrected); largest p = .002"


def test_of_differences_only_those_with_ai_higher_are_counted_once_corrected_too() -> None:
    """Fifteen differences with p = .001, in two of which AN is higher, as in a brain that follows the network."""
    table = brain_table().assign(p_corrected=0.001)
    differs = table.index[table["comparison"] == "RE-AI minus RE-AN"]
    table.loc[differs[:2], "effect"] = -0.2
    said = _here("B3", brain=table)
    assert said.startswith("13/15 higher, 13/15 with p < .05 (13/15 corrected)")
    models = encoding_table().assign(p_corrected=0.001)
    rows = models.index[models["type"] == "AI minus AN"]
    models.loc[rows, ["effect", "p"]] = [-0.1, 0.001]
    assert _here("E3", encoding=models) == "0/120 models with AI higher, p < .05 (0/120 corrected)"


@pytest.mark.parametrize("source", ["brain", "control"])
def test_a_broken_second_selection_is_refused_by_its_name(source: str) -> None:
    with pytest.raises(AnalysisError, match=f"{source} table: no row for 01, V2, RE-AI"):
        score(**{"brain": brain_table(), source: brain_table().drop(index=4)})


def test_the_claims_stand_in_the_protocols_order() -> None:
    assert [claim.id for claim in CLAIMS] == [*TESTED, "S2", "P1", "P2"]


BRAIN = {"sub": "02", "place": "V3"}
ENCODING = {"sub": "02", "roi": "V3", "layer": "layer4"}


@pytest.mark.parametrize(("source", "where", "values", "turned"), [
    ("brain", {**BRAIN, "comparison": "RE-AI"}, {"p": 0.05}, {"B1"}),
    ("brain", {**BRAIN, "comparison": "RE-AI"}, {"p": 0.0499}, set()),
    ("brain", {**BRAIN, "comparison": "RE-AI minus RE-AN"}, {"p": 0.05}, {"B3"}),
    ("brain", {**BRAIN, "comparison": "RE-AI minus RE-AN"}, {"effect": -0.1}, {"B3"}),
    ("network", {"place": "layer5", "comparison": "RE-AI"}, {"p": 0.06}, {"N1"}),
    ("network", {"comparison": "trend RE-AI"}, {"p": 0.05}, {"N1"}),
    ("network", {"comparison": "trend RE-AI"}, {"effect": 0.5}, {"N1"}),
    ("network", {"place": "layer2", "comparison": "RE-AN"}, {"p": 0.04}, {"N2"}),
    ("network", {"place": "layer3", "comparison": "RE-AN"}, {"p": 0.05}, {"N2"}),
    ("network", {"comparison": "trend RE-AN"}, {"effect": -0.5}, {"N2"}),
    ("network", {"comparison": "trend RE-AN"}, {"p": 0.2}, {"N2"}),
    ("network", {"place": "layer8", "comparison": "RE-AI minus RE-AN"}, {"p": 0.05}, {"N3"}),
    ("network", {"place": "layer8", "comparison": "RE-AI minus RE-AN"}, {"effect": 0.1}, {"N3"}),
    ("network", {"place": "layer7", "comparison": "RE-AI minus RE-AN"}, {"effect": -0.1, "p": 0.01}, {"N3"}),
    ("network", {"place": "layer7", "comparison": "RE-AI minus RE-AN"}, {"effect": -0.1}, set()),
    ("encoding", {**ENCODING, "type": "AI"}, {"p": 0.5}, set()),
    ("encoding", {"sub": "02", "roi": "V3", "type": "AI"}, {"p": 0.5}, set()),
    ("encoding", {"sub": "02", "type": "AI"}, {"p": 0.5}, {"E1"}),
    ("encoding", {"sub": "02", "type": "AN"}, {"p": 0.01}, {"E2"}),
    ("encoding", {"sub": "02", "type": "AI minus AN"}, {"effect": -0.1}, {"E3"}),
    ("encoding", {"sub": "02", "type": "AI minus AN"}, {"p": 0.06}, {"E3"}),
])
def test_one_change_turns_one_verdict(source: str, where: dict[str, object], values: dict[str, float],
                                      turned: set[str]) -> None:
    base = {"brain": brain_table(), "network": network_table(), "encoding": encoding_table()}[source]
    found = _verdicts(**{source: changed(base, where, **values)})
    assert {name for name in TESTED if found[name] == "does not hold"} == turned


@pytest.mark.parametrize(("n_below", "verdict"), [(7, "holds"), (8, "does not hold")])
def test_mostly_means_fewer_than_half(n_below: int, verdict: str) -> None:
    table = brain_table()
    rows = table.index[table["comparison"] == "RE-AN"][:n_below]
    table.loc[rows, "p"] = 0.01
    assert _verdicts(brain=table)["B2"] == verdict
    assert _here("B2", brain=table) == f"{n_below}/15 p < .05"


@pytest.mark.parametrize(("n_above", "verdict"), [(12, "holds"), (13, "does not hold")])
def test_almost_all_means_nine_in_ten(n_above: int, verdict: str) -> None:
    table = encoding_table()
    rows = table.index[table["type"] == "AI"][:n_above]
    table.loc[rows, "p"] = 0.05
    table.loc[rows[1:], "p_corrected"] = 0.05
    assert _verdicts(encoding=table)["E1"] == verdict
    assert _here("E1", encoding=table) == f"{120 - n_above}/120 models p < .05 ({121 - n_above}/120 corrected)"


def test_the_numbers_are_this_studys() -> None:
    assert _here("B1") == "15/15 p < .05, 15/15 p < .005; largest p < .001"
    assert _here("B1", brain=changed(brain_table(), {**BRAIN, "comparison": "RE-AI"}, p=0.0123)) == (
        "15/15 p < .05, 14/15 p < .005; largest p = .012")
    assert _here("N3") == ("RE-AI higher in 6/6 of layers 1–6; RE-AN higher in layer 8; layer 7 p = .375, "
                           "layer 8 p = .002")
    assert _here("N2") == "p < .05 in 0/2 of layers 1–2, 6/6 of 3–8; τ = 1.00, p < .001"
    assert _here("B3", brain=brain_table(("01",))) == "5/5 higher, 5/5 with p < .05; largest p = .002"
    other = {"sub": "01", "place": "V3", "comparison": "RE-AI minus RE-AN"}
    lower = changed(brain_table(("01",)), other, effect=-0.2, low=-0.3, high=-0.1, p=0.5)
    assert _here("B3", brain=lower) == "4/5 higher, 4/5 with p < .05; largest p = .002", "of those that are higher"


def _with_logits(**changes: object) -> pd.DataFrame:
    """The paper's table, and the last layer and the trends again by logits, with some values changed."""
    table = network_table()
    again = table[table["place"].isin(["layer8", "layers"])].copy()
    again["place"] = again["place"] + " by logits"
    for name, value in changes.items():
        again.loc[again["place"] == "layer8 by logits", name] = value
    return pd.concat([table, again], ignore_index=True)


def test_the_networks_claims_are_given_by_both_readings_and_counted_once() -> None:
    plain, both = score(network=network_table()), score(network=_with_logits(p=0.9))
    assert [line.id for line in both if line.reading] == ["N1 by logits", "N2 by logits", "N3 by logits"]
    found = {line.id: line.verdict for line in both}
    assert {line.id: line.verdict for line in both if not line.reading} == {line.id: line.verdict for line in plain}
    assert (found["N1"], found["N2"], found["N3"]) == ("holds",) * 3
    assert (found["N1 by logits"], found["N2 by logits"], found["N3 by logits"]) == ("does not hold",) * 3
    assert tally(both) == tally(plain)


def test_the_logits_are_never_a_ninth_layer() -> None:
    readings = split_readings(_with_logits(effect=-0.5))
    for table in readings.values():
        assert layers_of(table) == tuple(f"layer{k}" for k in range(1, 9))
        assert len(table) == len(network_table())
    last = readings["logits"].query("place == 'layer8' and comparison == 'RE-AI'")
    assert last["effect"].tolist() == [-0.5]
    pd.testing.assert_frame_equal(readings["softmax"], network_table().reset_index(drop=True))
    assert list(split_readings(network_table())) == ["softmax"]


def test_a_layer_whose_dissimilarities_hardly_differ_is_named() -> None:
    table = network_table().assign(test="label permutation")
    table.loc[(table["place"] == "layer8") & (table["comparison"] == "RE-AN"), "test"] += f"; {DEGENERATE}: RE 98 %"
    assert _here("N1", network=table).endswith("; degenerate dissimilarities in layer 8")
    assert DEGENERATE not in _here("N1")


def test_rows_may_come_in_any_order() -> None:
    shuffled = {name: table.sample(frac=1, random_state=5) for name, table in
                (("brain", brain_table()), ("encoding", encoding_table()))}
    assert _verdicts(**shuffled) == _verdicts()


@pytest.mark.parametrize(("source", "claims"), [
    ("brain", "B"), ("network", "N"), ("encoding", "E"), ("hierarchy", "H")])
def test_a_table_that_is_not_there_leaves_its_claims_open(source: str, claims: str) -> None:
    given = {"brain": brain_table(), "network": network_table(), "encoding": encoding_table(),
             "hierarchy": hierarchy_table(), source: None}
    for line in score(**given):
        if line.id.startswith(claims):
            assert line.verdict == "not tested"
            assert "python -m analysis" in line.here
        elif line.id in TESTED:
            assert line.verdict == "holds"


def test_a_network_of_another_depth_is_not_held_against_eight_layers() -> None:
    shallow = network_table()[lambda table: table["place"] != "layer5"]
    assert len(layers_of(shallow)) == 7
    lines = {line.id: line for line in score(network=shallow)}
    assert lines["N2"].verdict == "not tested"
    assert lines["N2"].here == "the claim speaks of 8 layers; this network has 7"


@pytest.mark.parametrize(("source", "fault", "said"), [
    ("brain", lambda t: t.drop(columns="p"), "no column 'p'"),
    ("brain", lambda t: t.iloc[:0], "no rows"),
    ("brain", lambda t: pd.concat([t, t.iloc[[4]]]), "two rows for 01, V2, RE-AI"),
    ("brain", lambda t: t.drop(index=4), "no row for 01, V2, RE-AI"),
    ("brain", lambda t: t[t["comparison"] != "RE-AI"], "no row for 'RE-AI'"),
    ("brain", lambda t: changed(t, {**BRAIN, "comparison": "RE-AI"}, p=0.0), "p 0.0 for 02, V3, RE-AI"),
    ("brain", lambda t: changed(t, {**BRAIN, "comparison": "RE-AI"}, p=float("nan")), "p nan for 02, V3, RE-AI"),
    ("brain", lambda t: changed(t, {**BRAIN, "comparison": "RE-AI"}, effect=float("nan")), "effect nan"),
    ("network", lambda t: t[t["comparison"] != "trend RE-AN"], "no row for 'trend RE-AN'"),
    ("encoding", lambda t: t.drop(index=7), "no row for 01, V1, layer3, AI"),
])
def test_a_broken_table_is_refused(source: str, fault: object, said: str) -> None:
    base = {"brain": brain_table(), "network": network_table(), "encoding": encoding_table()}[source]
    with pytest.raises(AnalysisError, match=said) as caught:
        score(**{source: fault(base)})  # type: ignore[operator]
    assert str(caught.value).startswith(f"{source} table: ")
    assert "python -m analysis" in str(caught.value)


def test_lines_are_sealed() -> None:
    line = score()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.verdict = "holds"  # type: ignore[misc]
    with pytest.raises(AnalysisError, match="'maybe'"):
        Line("B1", "c", "p", "r", "h", "maybe")  # type: ignore[arg-type]


def test_the_tally_counts_every_line() -> None:
    counts = tally(score(brain=changed(brain_table(), {**BRAIN, "comparison": "RE-AI"}, p=0.5)))
    assert counts == {"holds": 2, "does not hold": 1, "not tested": 11}
    assert sum(counts.values()) == len(CLAIMS)


@pytest.mark.parametrize(("n_read", "n_low", "verdict"), [
    (120, 12, "holds"), (120, 13, "does not hold"), (60, 6, "holds"), (60, 7, "does not hold"), (59, 0, "not tested")])
def test_a_failure_on_an_counts_where_held_out_re_is_predicted(n_read, n_low, verdict):
    """The first `n_read` models predict RE; AN of `n_low` of these, and of all others, are predicted."""
    table = encoding_table()
    control, an = (table.index[table["type"] == kind] for kind in ("RE", "AN"))
    table.loc[control[n_read:], "p"] = 0.3
    table.loc[[*an[:n_low], *an[n_read:]], "p"] = 0.01
    assert _verdicts(encoding=table)["E2"] == verdict
    assert _here("E2", encoding=table).endswith(f"{n_read - n_low}/{n_read} of those that predict held-out RE images")


def test_encoding_models_by_logits_are_a_reading_of_their_own():
    table = encoding_table()
    logits = table[table["layer"] == "layer8"].assign(layer="layer8 by logits")
    logits.loc[logits["type"] == "AI", ["p", "p_corrected"]] = 0.6
    lines = score(encoding=pd.concat([table, logits], ignore_index=True))
    found = {line.id: line.here for line in lines}
    assert found["E1"] == "120/120 models p < .05 (120/120 corrected)"
    assert found["E1 by logits"] == "105/120 models p < .05 (105/120 corrected)"
    assert tally(lines) == tally(score(encoding=table))


@pytest.mark.parametrize(("kind", "layers", "roi", "turned"), [
    ("AI", ("layer7", "layer8"), "V2", {"H1"}), ("AI", ("layer7", "layer8"), "LO", {"H1", "H2"}),
    ("AN", ("layer1",), "V2", {"H1"}), ("AN", ("layer8",), "LO", {"H1", "H2"})])
def test_shares_that_turn_a_claim_on_the_hierarchy(kind, layers, roi, turned):
    """AI: one subject's high layers take most of a region; AN: every subject's layers take more of one, alike but for
    a thousandth."""
    table = hierarchy_table()
    rows = (table["type"] == kind) & table["layer"].isin(layers) & (table["roi"] == roi)
    if kind == "AI":
        table.loc[rows & (table["sub"] == "02"), "share"] = 0.9
    else:
        table.loc[rows, "share"] += 0.2 + 0.001 * table.loc[rows, "sub"].astype(int)
        table.loc[table["type"] == "AN", "share"] += 1e-4 * table["sub"].astype(int) * (table["presentation"] - 1.5)
    found = _verdicts(hierarchy=table)
    assert {name for name in ("H1", "H2") if found[name] != "holds"} == turned


def test_the_sign_of_h2_is_told_and_either_holds():
    table = hierarchy_table()
    order = {"V1": "LO", "LO": "V1"}
    turned = table.assign(roi=table["roi"].replace(order))
    assert _here("H2").startswith("AI 6.6 points, p = .003 over 3 subjects (paired t over 6 measurements")
    assert _here("H2", hierarchy=turned).startswith("AI −6.6 points")
    assert _verdicts(hierarchy=turned)["H2"] == "holds"


def test_the_hierarchy_of_one_subject_is_not_tested_and_logits_are_a_reading():
    assert _verdicts(hierarchy=hierarchy_table(("01",)))["H1"] == "not tested"
    both = pd.concat([hierarchy_table(), hierarchy_table().assign(reading="logits")], ignore_index=True)
    assert {"H1 by logits", "H2 by logits"} <= set(_verdicts(hierarchy=both))
