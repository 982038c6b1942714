"""Every setting there is: a value of another kind, beyond a bound or off the list is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from subjects.errors import SettingsError
from subjects.layout import STUDY_FORMAT
from subjects.settings.loading import load_settings, write_settings
from subjects.settings.study import Settings, leaves

SCHEMA = Settings.model_json_schema()
BOUNDS = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
"""Bound in the JSON schema -> on which side of it a value is surely refused; 0: the bound itself is."""


def described() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for section, place in SCHEMA["properties"].items():
        found = SCHEMA["$defs"][place["$ref"].rsplit("/", 1)[-1]]
        for name, one in found["properties"].items():
            yield f"{section}.{name}", one


DESCRIBED = dict(described())


def kinds(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(one.get("anyOf", [one]))


def beyond() -> Iterator[tuple[str, Any]]:
    for key, one in DESCRIBED.items():
        parts = kinds(one)
        for part in parts:
            for bound, side in BOUNDS.items():
                if bound in part and sum(each.get("type") in ("number", "integer") for each in parts) == 1:
                    yield key, part[bound] + side


CHOICES = [(key, part["enum"]) for key, one in DESCRIBED.items() for part in kinds(one) if "enum" in part]
NUMBERS = [key for key, one in DESCRIBED.items() if {part.get("type") for part in kinds(one)} <= {"number", "integer"}]


def test_the_schema_tells_of_every_setting() -> None:
    assert set(DESCRIBED) == {key for key, _ in leaves(Settings().model_dump())}
    assert len(NUMBERS) > 100
    assert len(CHOICES) > 20


def test_a_value_beyond_a_bound_is_refused_by_name() -> None:
    bounds = list(beyond())
    assert len(bounds) > 100
    for key, value in bounds:
        with pytest.raises(SettingsError) as found:
            load_settings(overrides={key: value})
        assert f"{key} = {value}; expected" in str(found.value)
        assert "a value greater" in str(found.value) or "a value less" in str(found.value), key


@pytest.mark.parametrize(("key", "known"), CHOICES)
def test_a_word_that_is_no_choice_is_refused_with_all_that_are(key: str, known: list[str]) -> None:
    with pytest.raises(SettingsError) as found:
        load_settings(overrides={key: "quite another"})
    assert key in str(found.value)
    assert "quite another" in str(found.value)
    assert all(str(one) in str(found.value) for one in known)


@pytest.mark.parametrize("value", ["many", [1, 2, 3, 4, 5, 6, 7], {"a": 1}, True, float("nan"), float("inf")])
def test_a_number_is_nothing_else(value: Any) -> None:
    for key in NUMBERS:
        with pytest.raises(SettingsError) as found:
            load_settings(overrides={key: value})
        assert key.split(".")[1] in str(found.value)


def test_a_misspelled_name_is_answered_with_a_known_one() -> None:
    for key in DESCRIBED:
        with pytest.raises(SettingsError, match="unknown setting") as found:
            load_settings(overrides={f"{key}x": 1})
        assert f"'{key}x'" in str(found.value)
        assert "Did you mean" in str(found.value)


@pytest.mark.parametrize(("key", "value", "said"), [
    ("encoding.sparsity", 0, "encoding.sparsity = 0; expected 'cv' or a value greater than or equal to 1."),
    ("encoding.sparsity", "all", "encoding.sparsity = 'all'; expected 'cv' or a valid integer"),
    ("display.screen", 1.5, "expected a valid integer, got a number with a fractional part or a valid string."),
    ("main.fixation_color", [0, 300, 0], "main.fixation_color.1 = 300; expected a value less than or equal to 255.")])
def test_a_setting_of_two_kinds_is_told_by_its_name_with_both(key: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsError) as found:
        load_settings(overrides={key: value})
    assert said in str(found.value)


def test_a_list_to_choose_from_is_not_empty() -> None:
    with pytest.raises(SettingsError, match=r"encoding\.candidates = \[\]; expected at least 1 item\."):
        load_settings(overrides={"encoding.candidates": []})


def test_all_defaults_written_out_are_the_defaults(tmp_path: Path) -> None:
    write_settings(tmp_path / "study.toml", Settings().model_dump(mode="json", exclude_none=True))
    assert f"format = {STUDY_FORMAT}" in (tmp_path / "study.toml").read_text(encoding="utf-8")
    assert load_settings(tmp_path) == Settings()
