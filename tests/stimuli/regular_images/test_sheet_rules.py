"""Where candidates stand on their sheet, against a plain sort; texts cut no more than they need; shares in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from stimuli.networks.published import Published
from stimuli.regular_images.answers import Answers, count_answers
from stimuli.regular_images.candidate_sheet import THUMB, _font, arrange_class, exclude_lines, fit_text
from stimuli.regular_images.candidates import Candidate
from stimuli.regular_images.category_choice import BELOW, CHOSEN, OUT, SPARE, Selection, Verdict
from stimuli.regular_images.screening import Screened

PEN = ImageDraw.Draw(Image.new("RGB", (8, 8)))


def verdict(file: str, index: int, p: float | None, *, became: str = SPARE, kind: str = "dogs",
            rule: str = "") -> Verdict:
    return Verdict(Screened(Candidate(file, "", f"category {index}", kind, index), p=p, rank=1), became, rule)


def selection(*verdicts: Verdict) -> Selection:
    chosen = tuple(one.screened for one in verdicts if one.verdict in (CHOSEN, BELOW))
    return Selection(verdicts, chosen, ())


@pytest.mark.parametrize("seed", range(10))
def test_columns_stand_as_a_plain_sort_would_have_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made, chosen = [], set(rng.choice(9, 3, replace=False).tolist())
    for index in range(9):
        n = int(rng.integers(1, 6))
        first = int(rng.integers(n))
        for k in range(n):
            became = (CHOSEN if index % 2 else BELOW) if index in chosen and k == first else SPARE
            made.append(verdict(f"{index}-{k}.jpg", index, float(rng.uniform()), became=became))
    made = [made[k] for k in rng.permutation(len(made))]
    columns = arrange_class(selection(*made, verdict("cat.jpg", 0, 1.0, kind="cats", became=CHOSEN)), "dogs")
    files = [[one.screened.candidate.file for one in column.verdicts] for column in columns]
    expected: list[tuple[object, list[str]]] = []
    for index in range(9):
        mine = [one for one in made if one.screened.candidate.category_index == index]
        mine.sort(key=lambda one: one.screened.p or 0.0, reverse=True)
        mine.sort(key=lambda one: one.verdict == SPARE)
        best = mine[0].screened.p or 0.0
        expected.append(((index not in chosen, index if index in chosen else -best),
                         [one.screened.candidate.file for one in mine[:3]]))
    assert files == [names for _, names in sorted(expected)][:6]
    assert [column.is_chosen for column in columns] == [True] * 3 + [False] * 3


def test_what_was_excluded_or_never_screened_stands_nowhere() -> None:
    made = selection(verdict("a", 1, 0.9, became=OUT, rule="excluded"), verdict("b", 2, None, became=OUT, rule="size"),
                     verdict("c", 3, 0.8, became=OUT, rule="list"), verdict("d", 4, 0.1, became=OUT, rule="P"))
    assert [one.verdicts[0].screened.candidate.file for one in arrange_class(made, "dogs")] == ["d"]
    assert arrange_class(made, "cats") == []


def test_the_first_chosen_one_is_the_example() -> None:
    assert list(exclude_lines(selection(verdict("a", 1, 0.9)))) == []
    (said,) = exclude_lines(selection(verdict("ä/1.jpg", 1, 0.9), verdict("b/2.jpg", 2, 0.9, became=BELOW)))
    assert '[stimuli] exclude = ["b/2.jpg"]' in said


@settings(max_examples=25)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"]), max_size=60))
def test_a_text_is_cut_by_as_few_letters_as_it_takes(text: str) -> None:
    def fits(shown: str) -> bool:
        return PEN.textlength(shown, font=_font(14)) <= THUMB

    cuts = [text, *(f"{text[:len(text) - cut]}…" for cut in range(1, len(text) + 1))]
    assert fit_text(text, pen=PEN) == next(shown for shown in cuts if fits(shown))


@settings(max_examples=40)
@given(st.lists(st.none() | st.integers(1, 1000), max_size=30))
def test_shares_are_those_of_a_plain_count(ranks: list[int | None]) -> None:
    candidate = Candidate("a.jpg", "", "beagle", "dogs", 0)
    found = count_answers(Screened(candidate, rank=rank) for rank in ranks)
    asked = [rank for rank in ranks if rank is not None]
    if asked:
        assert found.top1 == np.mean(np.array(asked) == 1)
        assert found.top5 == np.mean(np.array(asked) < 6)
        assert found.record()["top5"] == found.top5
        assert found.line().endswith(f"of {len(asked)} photographs; nothing is published of this network")
    else:
        assert math.isnan(found.top1)
        assert math.isnan(found.top5)
        assert found.line() == "No candidate reached the network."
    assert found.warning() == ""


def test_the_warning_begins_with_the_figures() -> None:
    far = Answers(200, 30, 101, Published(0.571, 0.802, "a readme"))
    assert far.record()["far_below"] is True
    assert far.record()["published"] == {"top1": 0.571, "top5": 0.802, "source": "a readme"}
    assert far.warning().startswith("top-1 15.0 %, top-5 50.5 % of 200 photographs; published 57.1 and 80.2 % "
                                    "(a readme). That is far below: is the preprocessing")
    assert Answers(200, 0, 0, Published(0.15, 0.3, "a weak one")).far_below is False  # its bound is a share of zero
