"""The choice of the regular images: rules that hold for whatever candidates come."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stimuli.categories import imagenet_category
from stimuli.regular_images.base_images import certain
from stimuli.regular_images.candidates import Candidate, Listing
from stimuli.regular_images.category_choice import (
    BELOW,
    CHOSEN,
    OUT,
    SPARE,
    Selection,
    require_names,
    require_pins,
    select,
)
from stimuli.regular_images.screening import Screened
from subjects.errors import StimulusError
from subjects.settings.history import as_made
from subjects.settings.images import StimuliSettings

CLASSES = ("dogs", "cars")
STIMULI = StimuliSettings(classes=CLASSES, animal_classes=("dogs",), per_class=2)
"""Categories 0-4 are dogs, 5-9 cars."""


def _row(k: int, category: int, p: float | None) -> Screened:
    kind = CLASSES[category // 5]
    candidate = Candidate(f"{kind}{category}/{k:03d}.jpg", f"n{category:08d}", f"{kind} {category}", kind, category)
    return Screened(candidate, 300, 300, p=p) if p is not None else \
        Screened(candidate, 300, 200, rule="size", reason="300 x 200 px")


PROBABILITIES = st.one_of(st.none(), st.sampled_from([1.0, 0.995, 0.99, 0.5]),
                          st.floats(0, 1).map(lambda p: round(p, 6)))
ROWS = st.lists(st.tuples(st.integers(0, 9), PROBABILITIES), max_size=60).map(
    lambda pairs: tuple(_row(k, category, p) for k, (category, p) in enumerate(pairs)))


def _select(rows: tuple[Screened, ...], *, seed: int = 1, **changes: object) -> Selection:
    return select(rows, stimuli=STIMULI.model_copy(update=changes), seed=seed)


def _plain(rows: tuple[Screened, ...], *, per_class: int, p: float) -> dict[str, list[float]]:
    """The choice as a plain loop over classes and categories: the P that are taken."""
    taken = {}
    for kind in CLASSES:
        bests = []
        for category in range(10):
            passing = [row.p for row in rows if row.candidate.category_index == category
                       and row.candidate.class_name == kind and row.p is not None and row.p > certain(p)]
            if passing:
                bests.append(max(passing))
        taken[kind] = sorted(bests, reverse=True)[:per_class]
    return taken


@given(ROWS, st.integers(0, 5), st.sampled_from(["refuse", "best"]))
def test_the_choice_keeps_every_rule(rows: tuple[Screened, ...], seed: int, shortfall: str) -> None:
    made = _select(rows, seed=seed, shortfall=shortfall)
    assert [one.screened for one in made.verdicts] == list(rows)
    categories = [one.candidate.category_index for one in made.chosen]
    assert len(set(categories)) == len(categories)
    assert categories == sorted(categories)
    per_class = Counter(one.candidate.class_name for one in made.chosen)
    assert all(per_class[kind] <= 2 for kind in CLASSES)
    for one in made.verdicts:
        if one.verdict in (CHOSEN, SPARE):
            assert one.screened.p is not None
            assert one.screened.p > certain(0.99)
        assert (one.rule == "") == (one.verdict == CHOSEN)
        assert (one.reason == "") == (one.verdict == CHOSEN)
        assert one.verdict != BELOW or shortfall == "best"
    reached = {kind: sorted((one.screened.p or 0.0 for one in made.verdicts if one.verdict == CHOSEN
                             and one.screened.candidate.class_name == kind), reverse=True) for kind in CLASSES}
    assert reached == _plain(rows, per_class=2, p=0.99)
    assert {one.class_name: one.found for one in made.shortfalls} == \
        {kind: len(found) for kind, found in reached.items() if len(found) < 2}


@given(ROWS, st.randoms())
def test_the_choice_depends_on_no_order(rows: tuple[Screened, ...], random: np.random.RandomState) -> None:
    mixed = list(rows)
    random.shuffle(mixed)
    assert _select(tuple(mixed)).chosen == _select(rows).chosen


@given(ROWS)
def test_filling_up_takes_the_highest_of_unused_categories(rows: tuple[Screened, ...]) -> None:
    strict, filled = _select(rows), _select(rows, shortfall="best")
    assert set(strict.chosen) <= set(filled.chosen)
    assert strict.shortfalls == filled.shortfalls
    for kind in CLASSES:
        used = {one.candidate.category_index for one in strict.chosen}
        low = {}
        for row in rows:
            if row.candidate.class_name == kind and row.p is not None and row.candidate.category_index not in used:
                low[row.candidate.category_index] = max(row.p, low.get(row.candidate.category_index, 0.0))
        missing = 2 - sum(one.candidate.class_name == kind for one in strict.chosen)
        taken = [one.p or 0.0 for one in filled.below if one.candidate.class_name == kind]
        assert sorted(taken, reverse=True) == sorted(low.values(), reverse=True)[:missing]


@given(ROWS, st.sets(st.integers(0, 9), max_size=3))
def test_what_is_excluded_is_as_if_it_were_not_there(rows: tuple[Screened, ...], out: set[int]) -> None:
    names = tuple(f"n{category:08d}" for category in out)
    left = tuple(row for row in rows if row.candidate.category_index not in out)
    for shortfall in ("refuse", "best"):
        made = _select(rows, exclude=names, shortfall=shortfall)
        assert made.chosen == _select(left, shortfall=shortfall).chosen
        assert {one.rule for one in made.verdicts if one.screened.candidate.category_index in out} <= \
            {"excluded", "size"}


@given(ROWS)
def test_an_exclusion_by_file_leaves_the_rest_of_its_category(rows: tuple[Screened, ...]) -> None:
    for one in _select(rows).chosen:
        left = tuple(row for row in rows if row is not one)
        assert _select(rows, exclude=(one.candidate.file,)).chosen == _select(left).chosen


@given(ROWS, st.integers(0, 59))
def test_a_pin_that_passes_is_always_taken(rows: tuple[Screened, ...], k: int) -> None:
    passing = [one.screened for one in _select(rows).verdicts if one.verdict in (CHOSEN, SPARE)]
    if not passing:
        return
    pinned = passing[k % len(passing)]
    made = _select(rows, pin=(pinned.candidate.file,))
    require_pins(made, STIMULI.model_copy(update={"pin": (pinned.candidate.file,)}))
    assert pinned in made.chosen
    by_category = _select(rows, pin=(pinned.candidate.category,))
    assert pinned.candidate.category_index in {one.candidate.category_index for one in by_category.chosen}
    assert len(made.chosen) == len(by_category.chosen) == len(_select(rows).chosen)


def test_ties_are_drawn_by_the_seed_and_fairly() -> None:
    rows = tuple(_row(k, k, 1.0) for k in range(5))
    taken = Counter(one.candidate.category_index for seed in range(2000) for one in _select(rows, seed=seed).chosen)
    expected = 2000 * 2 / 5
    assert sum((taken[k] - expected) ** 2 / expected for k in range(5)) < 18.5  # chi2, 4 df, 99.9th percentile
    assert _select(rows, seed=4) == _select(rows, seed=4)


def _fruit(k: int, name: str, p: float, *, kind: str = "fruits") -> Screened:
    one = imagenet_category(name)
    return Screened(Candidate(f"{name}.jpg", one.wnid, name, kind, one.index), 300, 300, p=p)


FRUITS = StimuliSettings(classes=("fruits", "cars"), animal_classes=(), per_class=2)


def test_rapeseed_is_no_fruit_unless_it_is_asked_for() -> None:
    rows = (_fruit(0, "rapeseed", 1.0), _fruit(1, "banana", 0.999), _fruit(2, "fig", 0.995))

    def chosen(rows: tuple[Screened, ...], **changes: object) -> list[str]:
        made = select(rows, stimuli=FRUITS.model_copy(update=changes), seed=1)
        return [one.candidate.category for one in made.chosen]

    assert chosen(rows) == ["fig", "banana"]
    assert chosen(rows, class_lists="wide") == ["banana", "rapeseed"]
    assert chosen(rows, pin=("rapeseed",)) == ["banana", "rapeseed"]
    assert chosen(rows[:2], shortfall="best") == ["banana"], "a shortfall is not filled from the wide list"
    assert chosen((_fruit(0, "rapeseed", 1.0, kind="cars"),)) == ["rapeseed"], "a table's own class is followed"
    verdict = select(rows, stimuli=FRUITS, seed=1).verdicts[0]
    assert (verdict.verdict, verdict.rule) == (OUT, "list")
    assert verdict.reason == "on the wide list of fruits only: photographs show fields in bloom"


def test_a_set_of_an_older_release_keeps_its_lists() -> None:
    assert as_made(StimuliSettings(), {"ai_target": "other_class"}).class_lists == "wide"
    assert as_made(StimuliSettings(), {"class_lists": "core"}).class_lists == "core"


def test_every_candidate_is_told_its_reason() -> None:
    rows = (_row(0, 0, 0.999), _row(1, 0, 0.998), _row(2, 1, 0.997), _row(3, 2, 0.996), _row(4, 3, 0.9899),
            _row(5, 3, None), _row(6, 4, 0.99))
    made = _select(rows, shortfall="best", exclude=("dogs3/004.jpg",))
    assert [(one.verdict, one.rule, one.reason) for one in made.verdicts] == [
        (CHOSEN, "", ""), (SPARE, "rank", "dogs0/000.jpg represents its category"), (CHOSEN, "", ""),
        (SPARE, "rank", "rank 3 of 3 categories of its class"), (OUT, "excluded", "excluded by the settings"),
        (OUT, "size", "300 x 200 px"), (OUT, "P", "P 0.990000, wanted > 0.99001")]
    assert [(one.class_name, one.found, one.wanted) for one in made.shortfalls] == [("cars", 0, 2)]


@pytest.mark.parametrize(("pin", "said"), [
    (("dogs1/001.jpg",), r"'dogs1/001.jpg', which cannot be taken \(dogs1/001.jpg: 300 x 200 px\); expected what"),
    (("dogs 2",), r"'dogs 2', which cannot be taken \(dogs2/002.jpg: P 0.500000, wanted > 0.99001\)"),
    (("dogs0/000.jpg", "dogs0/003.jpg"), r"'dogs0/003.jpg'.*dogs0/000.jpg represents its category"),
    (("dogs 0", "dogs 3", "dogs 4"), r"'dogs 4'.*rank 3 of 3 categories"),
])
def test_a_pin_that_cannot_be_kept_is_refused(pin: tuple[str, ...], said: str) -> None:
    rows = (_row(0, 0, 0.9995), _row(1, 1, None), _row(2, 2, 0.5), _row(3, 0, 0.995), _row(4, 3, 0.9992),
            _row(5, 4, 0.9991))
    stimuli = STIMULI.model_copy(update={"pin": pin})
    with pytest.raises(StimulusError, match=said):
        require_pins(select(rows, stimuli=stimuli, seed=1), stimuli)


def test_a_pin_below_the_threshold_is_taken_only_to_fill_up() -> None:
    rows = (_row(0, 0, 0.999), _row(1, 1, 0.9), _row(2, 2, 0.5))
    stimuli = STIMULI.model_copy(update={"pin": ("dogs 2",), "shortfall": "best"})
    made = select(rows, stimuli=stimuli, seed=1)
    require_pins(made, stimuli)
    assert [one.candidate.category_index for one in made.below] == [2]


@pytest.mark.parametrize("setting", ["pin", "exclude"])
def test_a_name_that_names_nothing_is_refused_with_the_nearest(setting: str) -> None:
    listing = Listing(Path(), tuple(_row(k, k, 1.0).candidate for k in range(3)), 0)
    require_names(listing, STIMULI.model_copy(update={setting: ("dogs 1", "n00000002", "dogs0/000.jpg")}))
    with pytest.raises(StimulusError, match=rf"stimuli.{setting}: 'dgos 1'; .*Did you mean 'dogs 1'\?"):
        require_names(listing, STIMULI.model_copy(update={setting: ("dgos 1",)}))


def test_a_pin_outside_imagenet_needs_no_wnid() -> None:
    row = _row(0, 0, 1.0)
    bare = replace(row, candidate=replace(row.candidate, wnid=""))
    assert _select((bare,), exclude=("",)).chosen == (bare,)
