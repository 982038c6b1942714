"""One check over all keys: the keyboard's own names, one meaning each, a button for every answer."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from subjects.errors import SettingsError
from subjects.settings.keys import KEYS
from subjects.settings.loading import as_toml, load_settings, read_resolved
from subjects.settings.study import Settings


def test_the_names_are_those_that_psychopy_knows_on_the_three_platforms() -> None:
    package = importlib.util.find_spec("psychopy")
    assert package is not None
    assert package.origin is not None
    source = (Path(package.origin).parent / "hardware" / "keyboard.py").read_text(encoding="utf-8")
    tables = {target.id: ast.literal_eval(node.value) for node in ast.parse(source).body
              if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
              and target.id in ("keyNamesWin", "keyNamesMac", "keyNamesLinux")}
    assert len(tables) == 3
    assert {name.removeprefix("num_") for table in tables.values() for name in table.values()} == KEYS


def _loaded(folder: Path, tables: dict[str, Any], **overrides: Any) -> Settings:
    (folder / "study.toml").write_text(as_toml(tables), encoding="utf-8")
    return load_settings(folder, overrides=overrides)


@pytest.mark.parametrize("name", ["scanner.trigger_key", "scanner.arm_key", "main.abort_key", "main.animal_key",
                                  "main.not_animal_key", "retinotopy.press_key", "lo.press_key", "motion.press_key"])
@pytest.mark.parametrize(("key", "said"), [
    ("ESC", "Did you mean 'escape'?"), ("T", "Did you mean 't'?"), ("=", "Did you mean 'equal'?"),
    ("Return", "Did you mean 'return'?"), ("num_7", "Did you mean '7'?"), (" ", "Did you mean 'space'?"),
    ("letter", "Did you mean")])
def test_a_name_that_no_key_has_is_refused(tmp_path: Path, name: str, key: str, said: str) -> None:
    section, _, field = name.partition(".")
    with pytest.raises(SettingsError, match="the name of a key as the keyboard tells it") as refused:
        _loaded(tmp_path, {section: {field: key}})
    assert f"{name} = {key!r}" in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("task", ["retinotopy", "lo", "motion"])
@pytest.mark.parametrize(("key", "other"), [("5", "scanner.trigger_key"), ("escape", "main.abort_key"),
                                            ("space", "scanner.arm_key")])
def test_no_press_is_the_trigger_or_the_operators(tmp_path: Path, task: str, key: str, other: str) -> None:
    with pytest.raises(SettingsError, match=f"{other}.*are the same key, '{key}'"):
        _loaded(tmp_path, {task: {"press_key": key}})


@pytest.mark.parametrize(("buttons", "said"), [
    ([["esc", "left"]], r"instructions.buttons, 'left' = 'esc'.*Did you mean 'escape'"),
    ([["1", "left"], ["2", " LEFT"]], "buttons calls two keys the same"), ([["1", " "]], "without words for a key"),
    ([["1", "a"], ["1", "b"]], "names one key twice")])
def test_what_the_subject_calls_a_button_is_one_keys(tmp_path: Path, buttons: list[list[str]], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        _loaded(tmp_path, {"instructions": {"buttons": buttons}})
    told = (("1", "左"), ("4", "右"))
    assert _loaded(tmp_path, {"instructions": {"buttons": list(map(list, told))}}).instructions.buttons == told


@pytest.mark.parametrize(("name", "key"), [("main.animal_key", "2"), ("main.abort_key", "1"), ("scanner.arm_key", "5"),
                                           ("scanner.trigger_key", "2")])
def test_no_key_of_the_main_task_means_two_things(tmp_path: Path, name: str, key: str) -> None:
    section, _, field = name.partition(".")
    with pytest.raises(SettingsError, match=f"are the same key, '{key}'"):
        _loaded(tmp_path, {section: {field: key}})


@pytest.mark.parametrize("tables", [
    {"retinotopy": {"press_key": "2"}, "lo": {"press_key": "1"}},
    {"scanner": {"trigger_key": "t", "arm_key": ""}, "motion": {"press_key": "space"}},
    {"retinotopy": {"press_key": "5", "runs": []}},
    {"buttons": {"device": "serial", "keys": [["b", "blue"], ["y", "yellow"]]},
     "main": {"animal_key": "blue", "not_animal_key": "yellow"},
     **{task: {"press_key": "blue"} for task in ("retinotopy", "lo", "motion")}},
])
def test_keys_that_can_be_told_apart_are_taken(tmp_path: Path, tables: dict[str, Any]) -> None:
    _loaded(tmp_path, tables)


@pytest.mark.parametrize(("keys", "name"), [
    ([["b", "blue"]], "main.animal_key = '1'"), ([["b", "1"]], "main.not_animal_key = '2'"),
    ([["b", "2"], ["y", "3"]], "main.animal_key = '1'")])
def test_a_serial_box_has_a_button_for_every_answer(tmp_path: Path, keys: list[list[str]], name: str) -> None:
    with pytest.raises(SettingsError, match="which no button of the serial box stands for") as refused:
        _loaded(tmp_path, {"buttons": {"keys": keys}}, **{"buttons.device": "serial"})
    assert name in str(refused.value)


def test_a_file_of_the_site_is_judged_together_with_the_studys(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[scanner]\ntrigger_key = "1"\n', encoding="utf-8")
    (tmp_path / "study.toml").write_text(as_toml({
        "main": {"animal_key": "7", "not_animal_key": "8"},
        **{task: {"press_key": "7"} for task in ("retinotopy", "lo", "motion")}}), encoding="utf-8")
    assert load_settings(tmp_path, site=site).scanner.trigger_key == "1"
    with pytest.raises(SettingsError, match="are the same key, '1'"):
        load_settings(site=site)


def test_the_settings_of_an_older_record_are_read_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(Settings().model_copy(update={"lo": Settings().lo.model_copy(update={"press_key": "Return"})})
                    .model_dump_json(), encoding="utf-8")
    assert read_resolved(path).lo.press_key == "Return"
