"""Which network a command takes: the command line, the settings, the record of a set, in that order; moved paths."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from stimuli.image_set.set_network import (
    NetworkChoice,
    photographs_record,
    remembered_network,
    remembered_photographs,
    settings_for_build,
    unfinished_path,
)
from subjects.layout import Layout
from subjects.settings.images import StimuliSettings

OWN: dict[str, Any] = {"network": "alexnet-caffe", "weights": "w.npy", "preprocessing": "caffe", "layers": ("a",),
                       "taps": ("b",)}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "étude")


@pytest.mark.parametrize("name", [None, "alexnet-caffe", "demo"])
@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=3)))
def test_a_choice_is_laid_over_the_settings_and_another_network_takes_nothing_of_theirs(
        name: str | None, given: tuple[bool, ...]) -> None:
    weights, preprocessing, layers = given
    choice = NetworkChoice(name, weights=Path("/other/w.npy") if weights else None,
                           preprocessing="torchvision" if preprocessing else None, layers=("c", "d") if layers else ())
    found = choice.applied(StimuliSettings(**OWN, per_class=7))
    other = name == "demo"
    assert found.network == (name or "alexnet-caffe")
    assert found.weights == ("/other/w.npy" if weights else None if other else "w.npy")
    assert found.preprocessing == ("torchvision" if preprocessing else None if other else "caffe")
    assert found.layers == (("c", "d") if layers else () if other else ("a",))
    assert found.taps == (() if other else ("b",))
    assert found.per_class == 7


def _leave(layout: Layout, **content: Any) -> None:
    """Leave the note of an unfinished set."""
    path = unfinished_path(layout)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(("content", "name"), [
    ({"network": {"name": "demo", "digest": "d", "later": "x", "tap": 3}}, "demo"), ({"network": {"name": 4}}, None),
    ({"parameters": {"network": "squeezenet1_0"}}, "squeezenet1_0"), ({"parameters": {"network": None}}, None),
    ({"network": {"name": "mine", "function": "a.b:load"}}, "a.b:load"), ({}, None)])
def test_an_unfinished_set_tells_its_network_as_far_as_it_can(layout: Layout, content: dict[str, Any],
                                                              name: str | None) -> None:
    assert remembered_network(layout) is None
    _leave(layout, **content)
    found = remembered_network(layout)
    assert (found and found.loaded_as) == name
    unfinished_path(layout).write_text('{"network": ', encoding="utf-8")
    assert remembered_network(layout) is None


def test_a_set_keeps_its_network_unless_something_newer_names_one(layout: Layout) -> None:
    _leave(layout, network={"name": "squeezenet1_0", "digest": "d", "weights": "kept.pth", "tap": "relu"})
    nothing = NetworkChoice()
    kept = settings_for_build(layout, StimuliSettings(), asked=nothing)
    assert (kept.network, kept.weights, kept.tap) == ("squeezenet1_0", "kept.pth", "relu")
    named = settings_for_build(layout, StimuliSettings(network="alexnet-caffe"), asked=nothing)
    assert (named.network, named.weights) == ("alexnet-caffe", None)
    asked = settings_for_build(layout, StimuliSettings(), asked=NetworkChoice("demo"))
    assert (asked.network, asked.weights) == ("demo", None)
    own = settings_for_build(layout, StimuliSettings(weights="own.pth"), asked=nothing)
    assert (own.network, own.weights) == ("squeezenet1_0", "own.pth")


def test_photographs_are_remembered_with_their_labels(layout: Layout) -> None:
    assert remembered_photographs(layout) == {}
    for labels, kept in (("t.tsv", "t.tsv"), (None, None), (5, None)):
        _leave(layout, photographs={"images": "photos", "labels": labels})
        assert remembered_photographs(layout) == {"images": "photos", "labels": kept}
    assert settings_for_build(layout, StimuliSettings(), asked=NetworkChoice()).images == "photos"
    assert settings_for_build(layout, StimuliSettings(images="mine"), asked=NetworkChoice()).images == "mine"
    _leave(layout, photographs={"images": None})
    assert remembered_photographs(layout) == {}


def test_a_folder_inside_the_study_is_named_from_it_and_any_other_whole(tmp_path: Path) -> None:
    root = tmp_path / "study"
    (root / "pictures").mkdir(parents=True)
    (tmp_path / "study-2").mkdir()
    for named, kept in (("pictures", "pictures"), (str(root / "pictures"), "pictures"), ("x/../pictures", "pictures"),
                        ("../study-2", (tmp_path / "study-2").as_posix())):
        assert photographs_record(StimuliSettings(images=named), root=root) == {"images": kept, "labels": None}
    both = photographs_record(StimuliSettings(images="pictures", labels="étiquettes.tsv"), root=root)
    assert both == {"images": "pictures", "labels": "étiquettes.tsv"}
    assert photographs_record(StimuliSettings(labels="étiquettes.tsv"), root=root) == {}
