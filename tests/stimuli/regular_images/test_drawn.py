"""Which images are chosen and which wrong categories are aimed at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stimuli.categories import DEMO_CATEGORIES, demo_categories
from stimuli.perturbation.targets import choose_target, choose_targets, read_targets
from stimuli.regular_images.base_images import BaseImage, certain, plan_base_images
from stimuli.regular_images.drawn import choose
from subjects.errors import StimulusError
from subjects.settings.images import StimuliSettings

ALL = tuple(name for _, name in demo_categories())
BASES = plan_base_images(StimuliSettings(), class_names=ALL)


class Judge:
    """P of category k is the value that a candidate carries in its first pixel, over 250."""

    class_names = ALL

    def __init__(self) -> None:
        self.seen: list[int] = []

    def probabilities(self, images: np.ndarray, *, batch: int = 20) -> np.ndarray:
        self.seen.append(len(images))
        probabilities = np.zeros((len(images), len(ALL)))
        probabilities[np.arange(len(images)), images[:, 0, 0, 1]] = images[:, 0, 0, 0] / 250
        return probabilities


def _draw(category: str, rng: np.random.Generator) -> np.ndarray:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0, 0] = rng.integers(0, 251)
    image[0, 0, 1] = ALL.index(category)
    return image


def _choose(bases: Sequence[BaseImage], **changes: object) -> dict[str, tuple[int, int]]:
    found = choose(Judge(), bases, **{"draw": _draw, "seed": 3, "p": 0.8, **changes})  # type: ignore[arg-type]
    return {one.base.base_image: (one.candidates, int(one.pixels[0, 0, 0])) for one in found}


def test_the_protocol_has_forty_slots_in_class_order() -> None:
    assert [base.base_image for base in BASES[:9]] == [*(f"dogs-{k:02d}" for k in range(1, 9)), "birds-01"]
    assert [base.category for base in BASES] == list(ALL)
    assert all(ALL[base.category_index] == base.category for base in BASES)
    assert all(base.category in DEMO_CATEGORIES[base.class_name] for base in BASES)


@pytest.mark.parametrize(("stimuli", "said"), [
    ({"classes": ("dogs", "brids"), "animal_classes": ("dogs",)}, r"'brids'; .*Did you mean 'birds'\?"),
    ({"per_class": 9}, "9 images of dogs; expected at most 8"),
])
def test_a_set_that_cannot_be_drawn_is_refused(stimuli: dict[str, object], said: str) -> None:
    with pytest.raises(StimulusError, match=said):
        plan_base_images(StimuliSettings(**stimuli), class_names=ALL)


def test_a_network_that_lacks_a_category_is_refused() -> None:
    with pytest.raises(StimulusError, match="no output for 'crab'"):
        plan_base_images(StimuliSettings(), class_names=ALL[:-1])


def test_the_first_candidate_that_passes_is_kept() -> None:
    found = _choose(BASES)
    assert len(found) == 40
    for base in BASES:
        from subjects.provenance import rng as study_rng

        rng, value, count = study_rng(3, "re", base.base_image), 0, 0
        while value / 250 <= certain(0.8):
            value, count = int(_draw(base.category, rng)[0, 0, 0]), count + 1
        assert found[base.base_image] == (count, value)


@given(st.permutations(range(40)), st.integers(1, 40))
def test_a_choice_does_not_depend_on_the_others(order: list[int], n: int) -> None:
    subset = [BASES[k] for k in order[:n]]
    everyone = _choose(BASES)
    assert _choose(subset) == {base.base_image: everyone[base.base_image] for base in subset}


def test_another_seed_gives_other_images() -> None:
    assert _choose(BASES, seed=4) != _choose(BASES)


def test_filled_slots_are_not_judged_again() -> None:
    judge = Judge()
    counts = [one.candidates for one in choose(judge, BASES, draw=_draw, seed=3, p=0.8)]  # type: ignore[arg-type]
    assert judge.seen == [sum(count >= k for count in counts) for k in range(1, max(counts) + 1)]


def test_an_empty_slot_is_named_with_its_best() -> None:
    def dark(category: str, rng: np.random.Generator) -> np.ndarray:
        image = _draw(category, rng)
        image[0, 0, 0] = 125 if category == "owl" else 250
        return image

    with pytest.raises(StimulusError, match=r"no candidate of owl \(birds-03, at best 0.500\) in 6; "
                                            r"expected P > 0.8 for every category. Lower stimuli.re_p"):
        _choose(BASES, draw=dark, max_candidates=6)


@pytest.mark.parametrize(("level", "passes"), [(248, False), (249, True)])
def test_the_probability_is_exceeded_with_a_margin(level: int, passes: bool) -> None:
    def fixed(category: str, rng: np.random.Generator) -> np.ndarray:
        image = _draw(category, rng)
        image[0, 0, 0] = level
        return image

    if passes:
        assert _choose(BASES[:1], draw=fixed, p=0.992) == {"dogs-01": (1, 249)}
    else:
        with pytest.raises(StimulusError, match="at best 0.992"):
            _choose(BASES[:1], draw=fixed, p=0.992, max_candidates=2)


PROBABILITIES = np.linspace(0.001, 0.049, 40)


def _target(base: BaseImage, rule: str, *, seed: int = 0, bases: Sequence[BaseImage] = BASES) -> int:
    return choose_target(base, rule=rule, probabilities=PROBABILITIES, bases=bases, seed=seed)


@given(st.sampled_from(BASES), st.sampled_from(["other_class", "any", "nearest", "least_likely"]),
       st.integers(0, 10**6))
def test_a_target_is_never_the_own_category(base: BaseImage, rule: str, seed: int) -> None:
    target = _target(base, rule, seed=seed)
    assert target != base.category_index
    if rule == "other_class":
        assert ALL[target] not in DEMO_CATEGORIES[base.class_name]


@pytest.mark.parametrize(("base", "nearest", "least"), [(BASES[0], 39, 1), (BASES[39], 38, 0)])
def test_nearest_and_least_likely_follow_the_probabilities(base: BaseImage, nearest: int, least: int) -> None:
    assert _target(base, "nearest") == nearest
    assert _target(base, "least_likely") == least


def test_a_draw_reaches_every_allowed_category_evenly() -> None:
    drawn = np.bincount([_target(BASES[9], "other_class", seed=seed) for seed in range(3200)], minlength=40)
    assert set(np.flatnonzero(drawn == 0)) == set(range(8, 16))
    expected = 3200 / 32
    chi2 = ((drawn[drawn > 0] - expected) ** 2 / expected).sum()
    assert chi2 < 61.1  # 99.9th percentile, 31 degrees of freedom


def test_a_draw_depends_on_the_base_image_and_the_seed_alone() -> None:
    assert _target(BASES[3], "any", seed=5) == _target(BASES[3], "any", seed=5)
    assert len({_target(BASES[3], "any", seed=seed) for seed in range(40)}) > 10
    assert len({_target(base, "any", seed=5) for base in BASES}) > 10


def test_a_rule_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(StimulusError, match="'other_class' with nothing to choose from for dogs-01"):
        _target(BASES[0], "other_class", bases=BASES[:8])


def _joint(draw: str, *, seed: int = 0, bases: Sequence[BaseImage] = BASES) -> list[int]:
    found = choose_targets(bases, stimuli=StimuliSettings(ai_draw=draw), seed=seed)  # type: ignore[arg-type]
    assert list(found) == [base.base_image for base in bases]
    return list(found.values())


@given(st.sampled_from(["derangement", "class_to_class"]), st.integers(0, 10**6))
def test_a_joint_draw_makes_each_category_the_target_once_and_never_of_its_own_class(draw: str, seed: int) -> None:
    targets = _joint(draw, seed=seed)
    assert sorted(targets) == list(range(40))
    aims = [{target // 8 for target in targets[first:first + 8]} for first in range(0, 40, 8)]
    assert all(own not in reached for own, reached in enumerate(aims))
    if draw == "class_to_class":
        assert sorted(min(reached) for reached in aims) == list(range(5))
        assert all(len(reached) == 1 for reached in aims)


def test_joint_draws_come_from_the_seed_and_favour_no_category() -> None:
    assert _joint("derangement", seed=5) == _joint("derangement", seed=5)
    drawn = np.array([_joint("derangement", seed=seed) for seed in range(960)])
    counts = np.bincount(drawn[:, 9], minlength=40)
    assert set(np.flatnonzero(counts == 0)) == set(range(8, 16))
    expected = 960 / 32
    assert ((counts[counts > 0] - expected) ** 2 / expected).sum() < 61.1  # 99.9th percentile, 31 degrees of freedom


@pytest.mark.parametrize(("draw", "places", "said"), [
    ("derangement", range(12), "'derangement' with 8 of 12 base images in class 'dogs'; expected no class with more"),
    ("class_to_class", range(12), "'class_to_class' with classes of 8 dogs, 4 birds; expected another"),
    ("derangement", [0, 8, 8, 16], r"'derangement' with 2 base images of category .*; expected every category once"),
    ("derangement", range(8), "'derangement' with 8 of 8 base images in class 'dogs'"),
])
def test_where_there_is_no_joint_draw_the_reason_is_named(draw: str, places: Sequence[int], said: str) -> None:
    bases = [replace(BASES[k], base_image=f"{BASES[k].class_name}-{row:02d}") for row, k in enumerate(places)]
    with pytest.raises(StimulusError, match=said):
        _joint(draw, bases=bases)


@pytest.mark.parametrize("places", [range(16), [*range(4), 8, 16, 24, 32]])
def test_a_class_of_exactly_half_can_still_be_drawn(places: Sequence[int]) -> None:
    bases = [BASES[k] for k in places]
    assert sorted(_joint("derangement", bases=bases)) == sorted(places)


@pytest.mark.parametrize("changes", [{}, {"ai_draw": "class_to_class"}, {"ai_draw": "independent"},
                                     {"ai_target": "any"}])
def test_a_draw_leaves_out_what_the_network_sees_in_the_regular_image_already(changes: dict[str, str]) -> None:
    stimuli = StimuliSettings(**changes)  # type: ignore[arg-type]
    answers = np.tile(PROBABILITIES, (40, 1))
    first = choose_targets(BASES, stimuli=stimuli, seed=3, probabilities=answers)["dogs-01"]
    answers[0, first] = 0.9901
    second = choose_targets(BASES, stimuli=stimuli, seed=3, probabilities=answers)["dogs-01"]
    assert second not in (first, 0)


NEXT = {base.base_image: (base.category_index + 1) % 40 for base in BASES}


@pytest.mark.parametrize(("changes", "table"), [({"ai_target": "nearest"}, None),
                                                ({"ai_target": "table", "ai_target_table": "t"}, NEXT)])
def test_a_fixed_target_that_the_network_sees_already_is_refused(changes: dict[str, str],
                                                                 table: dict[str, int] | None) -> None:
    answers = np.tile(PROBABILITIES, (40, 1))
    answers[0, 1] = 0.9901
    with pytest.raises(StimulusError, match=r"AI of dogs-01: target 1, .* RE already \(P = 0.9901\); expected a target "
                                            r"with P <= 0.99"):
        choose_targets(BASES, stimuli=StimuliSettings(**changes), seed=0, probabilities=answers,  # type: ignore[arg-type]
                       table=table)


OUTPUTS = tuple(f"thing {k}, or {k}" for k in range(40))


def _table(folder: Path, rows: Sequence[tuple[str, str]], *, head: str = "base_image\ttarget") -> Path:
    path = folder / "targets.tsv"
    path.write_text("\n".join([head, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def test_a_table_names_targets_by_output_or_index(tmp_path: Path) -> None:
    rows = [(base.base_image, OUTPUTS[(base.category_index + 9) % 40] if base.category_index % 2 else
             str((base.category_index + 9) % 40)) for base in reversed(BASES)]
    targets = read_targets(_table(tmp_path, rows), bases=BASES, class_names=OUTPUTS)
    assert targets == {base.base_image: (base.category_index + 9) % 40 for base in BASES}


@pytest.mark.parametrize(("rows", "text"), [
    ([("dogs-01", "thing 5, or 6")], r"line 2: target 'thing 5, or 6'; expected an output .*Did you mean 'thing \d"),
    ([("dogs-01", "40")], "line 2: target '40'; .* an index from 0 to 39"),
    ([("dogs-01", "-1")], "line 2: target '-1'"),
    ([("dogs-01", "0")], "line 2: dogs-01 towards its own category '0'"),
    ([("dogs-99", "7")], "line 2: base image 'dogs-99'; .*Did you mean 'dogs-0"),
    ([("dogs-01", "7"), ("dogs-01", "8")], "line 3: base image 'dogs-01' again"),
    ([("dogs-01", "7")], "no target for dogs-02; .* Add rows for dogs-02, "),
])
def test_a_table_with_one_fault_is_refused(tmp_path: Path, rows: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(StimulusError, match=text):
        read_targets(_table(tmp_path, rows), bases=BASES, class_names=OUTPUTS)


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match="no column 'target'; expected columns base_image and target"):
        read_targets(_table(tmp_path, [("dogs-01", "7")], head="base_image\taim"), bases=BASES, class_names=OUTPUTS)
