"""ImageNet's table against the network library's names, the sample's labels, and the ranges that are known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from stimuli.categories import (
    CLASSES,
    DEMO_CATEGORIES,
    class_of,
    demo_categories,
    imagenet_categories,
    imagenet_category,
    imagenet_names,
    wide_reasons,
)
from subjects.errors import StimulusError


def test_names_are_those_of_torchvision_in_its_order() -> None:
    from torchvision.models import AlexNet_Weights

    assert list(imagenet_names()) == AlexNet_Weights.DEFAULT.meta["categories"]


def test_indices_count_up_and_keys_are_unique() -> None:
    found = imagenet_categories()
    assert [one.index for one in found] == list(range(1000))
    assert len({one.wnid for one in found}) == len({one.name for one in found}) == 1000
    assert [one.wnid for one in found] == sorted(one.wnid for one in found)  # ILSVRC counts in the order of wnids
    assert all(len(one.wnid) == 9 for one in found)


def test_the_sample_agrees(shared_data: Path) -> None:
    with (shared_data / "imagenet-sample" / "labels.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 171
    for row in rows:
        one = imagenet_category(row["wnid"])
        assert (str(one.index), one.class_name) == (row["imagenet_index"], row["class"].removesuffix("_animals"))


def test_classes_hold_what_they_must() -> None:
    members = {name: [one.index for one in imagenet_categories() if one.class_name == name] for name in CLASSES}
    assert members["dogs"] == list(range(151, 269))
    assert members["birds"] == [*range(7, 25), *range(80, 101), *range(127, 147)]
    assert set(range(948, 958)) <= set(members["fruits"])
    assert {imagenet_category(name).index for name in ("sports car", "cab", "jeep", "minivan")} <= set(members["cars"])
    assert {imagenet_category(name).index for name in ("goldfish", "loggerhead", "jellyfish", "killer whale",
                                                       "sea lion", "hermit crab")} <= set(members["aquatic"])
    assert {one.class_name for one in imagenet_categories()} == {*CLASSES, None}
    assert min(len(indices) for indices in members.values()) >= 16


def test_the_core_lists_hold_what_a_subject_sees_as_the_class() -> None:
    """Named by hand, from outside: what is no fruit, no car, no sea animal to a subject is on the wide lists only."""
    wide = {one.name for one in imagenet_categories() if one.wide}
    assert {"rapeseed", "corn", "acorn", "hip", "buckeye", "ear", "streetcar", "half track", "isopod", "tench"} <= wide
    assert not wide & {"banana", "fig", "jackfruit", "cab", "school bus", "pickup", "goldfish", "killer whale",
                       "jellyfish", "starfish"}
    assert {one.class_name for one in imagenet_categories() if one.wide} == {"cars", "fruits", "aquatic"}
    for name in CLASSES:
        core = [one for one in imagenet_categories() if one.class_name == name and not one.wide]
        assert len(core) >= 10, "eight are wanted of each class, and some to choose among"
    assert all(wide_reasons()[one.wnid, str(one.class_name)] for one in imagenet_categories() if one.wide)


@pytest.mark.parametrize("key", [1, "n01443537", "goldfish"])
def test_every_key_leads_to_the_category(key: int | str) -> None:
    assert imagenet_category(key).name == "goldfish"


@pytest.mark.parametrize(("key", "text"), [
    ("goldfisch", r"'goldfisch'; expected an index in 0..999, a wnid or a name. Did you mean 'goldfish'\?"),
    ("n01443538", r"Did you mean 'n01443537'\?"), (1000, "ImageNet category: 1000; .* Correct the index."),
])
def test_an_unknown_category_is_refused(key: int | str, text: str) -> None:
    with pytest.raises(StimulusError, match=text):
        imagenet_category(key)


def test_demo_categories_are_forty_and_know_their_class() -> None:
    assert len(demo_categories()) == len(set(demo_categories())) == 40
    assert all(class_of(category) == name for name, category in demo_categories())
    with pytest.raises(StimulusError, match="'pengiun'; expected one of the 40 demo categories. Did you mean"):
        class_of("pengiun")
    assert tuple(DEMO_CATEGORIES) == CLASSES
