"""Claims under choices: levels and sentences on tables made by hand, and what their order must not change."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis.report.robustness.claims import CLAIMS, at_own, choose_levels, say_conclusions, score_choices
from analysis.rsa.choices import FACTORS, count_deciding
from subjects.settings.images import RobustnessSettings, StimuliSettings
from tests.analysis.paper_tables import RE_AI, network_table

LEVELS = {"contrast": ("6", "12", "24"), "targets": ("own", "nearest"), "tap": ("after", "before"),
          "reading": ("softmax", "logits")}
OWN = {"contrast": "12", "targets": "own", "tap": "after", "reading": "softmax"}


def grid(**claims: object) -> pd.DataFrame:
    """Every combination of levels; each claim holds where its function of a row says so."""
    rows = [dict(zip(FACTORS, names, strict=True)) for names in product(*LEVELS.values())]
    found = pd.DataFrame([{**row, **{claim: claims[claim](row) if claim in claims else True for claim in CLAIMS}}
                          for row in rows])
    return found.astype(dict.fromkeys(CLAIMS, "boolean"))


def test_own_choices_are_one_row_and_every_free_factor_gives_its_levels() -> None:
    scored = grid()
    assert at_own(scored, OWN)[list(FACTORS)].to_dict("records") == [OWN]
    for factor, levels in LEVELS.items():
        kept = at_own(scored, OWN, free=(factor,))
        assert kept[factor].tolist() == list(levels)
        for other in set(FACTORS) - {factor}:
            assert set(kept[other]) == {OWN[other]}
    pd.testing.assert_frame_equal(at_own(scored, OWN, free=FACTORS), scored)
    assert at_own(scored, {**OWN, "tap": "nowhere"}).empty


def test_a_sentence_counts_combinations_and_names_what_decides_first_by_how_often() -> None:
    """N2 hangs on the contrast everywhere, on the tap at one of three contrasts, and on nothing else."""
    scored = grid(N1=lambda _: False,
                  N2=lambda row: row["contrast"] == "6" or (row["contrast"] == "12" and row["tap"] == "after"))
    none, some, every = say_conclusions(scored)
    assert none == "N1 holds in none of the 24 combinations: no choice decides it."
    assert some == ("N2 holds in 12 of 24 combinations. It hangs on contrast of AN (8 of 8) and place where layers are "
                    "read (4 of 12); not on targets of AI and reading of the last layer.")
    assert every == "N3 holds in all of the 24 combinations: no choice decides it."


def test_where_all_choices_decide_nothing_is_left_out() -> None:
    def parity(row: dict[str, str]) -> bool:
        return sum(LEVELS[factor].index(row[factor]) for factor in FACTORS) % 2 == 0

    sentence = say_conclusions(grid(N3=parity))[2]
    assert sentence == ("N3 holds in 12 of 24 combinations. It hangs on contrast of AN (8 of 8), targets of AI (12 of "
                        "12), place where layers are read (12 of 12) and reading of the last layer (12 of 12).")


@pytest.mark.parametrize("seed", range(4))
def test_deciding_is_a_loop_over_the_other_choices_and_knows_no_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scored = grid(N1=lambda _: bool(rng.random() < 0.7))
    held = {tuple(row[factor] for factor in FACTORS): bool(row["N1"]) for _, row in scored.iterrows()}
    for place, factor in enumerate(FACTORS):
        others = [levels for name, levels in LEVELS.items() if name != factor]
        n = 0
        for names in product(*others):
            verdicts = {held[(*names[:place], level, *names[place:])] for level in LEVELS[factor]}
            n += len(verdicts) == 2
        assert count_deciding(scored, claim="N1", factor=factor) == (n, int(np.prod([len(one) for one in others])))
    assert say_conclusions(scored.sample(frac=1, random_state=seed))[0].startswith(
        f"N1 holds in {sum(held.values())} of 24 combinations.")


def test_combinations_that_are_not_tested_are_left_out_of_the_count() -> None:
    scored = grid(N1=lambda row: pd.NA if row["tap"] == "before" else row["reading"] == "logits")
    assert say_conclusions(scored)[0] == ("N1 holds in 6 of 12 combinations. It hangs on reading of the last layer (6 "
                                          "of 6); not on contrast of AN and targets of AI.")


def test_scores_do_not_depend_on_the_other_combinations_or_their_order() -> None:
    own = network_table()[["place", "comparison", "effect", "p"]].assign(**OWN)
    flat = own.assign(contrast="24", p=0.9)
    weaker = own.assign(contrast="6", effect=own["effect"].where(own["comparison"] != "RE-AI", own["effect"] / 2))
    both = score_choices(pd.concat([own, flat, weaker]))
    for name, table in (("12", own), ("24", flat), ("6", weaker)):
        alone = score_choices(table).iloc[0]
        row = both[both["contrast"] == name].iloc[0]
        pd.testing.assert_series_equal(row, alone, check_names=False)
    turned = score_choices(pd.concat([weaker, flat, own]))
    assert turned["contrast"].tolist() == ["6", "24", "12"]
    pd.testing.assert_frame_equal(turned.iloc[::-1].reset_index(drop=True), both)
    assert both["last RE-AI"].tolist() == pytest.approx([RE_AI[-1], RE_AI[-1], RE_AI[-1] / 2])
    assert not both["N1"][1], "without significance nothing holds"


def test_contrasts_are_in_order_once_each_with_the_sets_own_among_them() -> None:
    settings = RobustnessSettings(contrasts=(24.0, 0.0, 2.5, 24.0))
    found = choose_levels(settings, stimuli=StimuliSettings(an_min_contrast=12.0), seed=1, tap=None).of("contrast")
    assert [one.name for one in found] == ["first hit", "2.5", "12", "24"]
    assert [one.label for one in found] == ["an0", "an2p5", "own", "an24"]
    assert [one.options for one in found if one.label != "own"] == [("--contrast", value)
                                                                    for value in ("0", "2.5", "24")]


def test_draws_of_targets_have_seeds_of_their_own_that_the_studys_seed_gives() -> None:
    def seeds(seed: int) -> list[str]:
        found = choose_levels(RobustnessSettings(target_seeds=5), stimuli=StimuliSettings(), seed=seed, tap=None)
        return [one.options[1] for one in found.of("targets") if one.label.startswith("draw")]

    assert len(set(seeds(1))) == 5
    assert seeds(1) == seeds(1)
    assert not set(seeds(1)) & set(seeds(2))


@pytest.mark.parametrize(("tap", "expected"), [
    (None, ("a", "b")), ("b", ("b", "a")), ("mine", ("mine", "a", "b"))])
def test_the_sets_own_tap_is_the_first_and_none_is_named_twice(tap: str | None, expected: tuple[str, ...]) -> None:
    found = choose_levels(RobustnessSettings(taps=("a", "b", "a")), stimuli=StimuliSettings(), seed=1, tap=tap)
    assert found.taps == expected
    assert found.own["tap"] == expected[0]
    assert found.own["reading"] == "softmax"
