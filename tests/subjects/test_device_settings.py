"""Settings of devices: bytes, keys, faults that are asked for on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from subjects.errors import SettingsError
from subjects.settings.devices import ScannerFaults, byte_value, fault_overrides
from subjects.settings.loading import as_toml, load_settings, write_settings
from subjects.settings.study import Settings


@given(st.integers(0, 255))
def test_a_byte_is_a_number_or_its_character(value: int) -> None:
    for spelled in (value, chr(value)):
        found = Settings.model_validate({"serial_trigger": {"pulse": spelled}}).serial_trigger.pulse
        assert byte_value(found) == value


@pytest.mark.parametrize(("tables", "text"), [
    ({"serial_trigger": {"pulse": 256}}, "a byte is one character or a number from 0 to 255"),
    ({"serial_trigger": {"pulse": "55"}}, "a byte is one character"),
    ({"serial_trigger": {"pulse": "€"}}, "a byte is one character"),
    ({"buttons": {"keys": [["a", "1"], [97, "2"]]}}, "keys names one byte twice"),
    ({"buttons": {"device": "joystick"}}, "buttons.device = 'joystick'"),
    ({"parallel_trigger": {"pin": 1}}, "parallel_trigger.pin = 1"),
    ({"emulated_scanner": {"missed": [-1]}}, "greater than or equal to 0"),
    ({"participant": {"accuracy": 1.2}}, "participant.accuracy = 1.2"),
    ({"scanner": {"arm_key": "1"}}, "are the same key, '1'"),
    ({"hooks": {"traker": "a:b"}}, "Did you mean 'hooks.tracker'"),
])
def test_what_makes_no_sense_is_refused(tmp_path: Path, tables: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text.replace("(", r"\(")):
        write_settings(tmp_path / "study.toml", tables)
    assert not list(tmp_path.iterdir())


def test_device_settings_survive_file_and_json(tmp_path: Path) -> None:
    tables = {"buttons": {"device": "serial", "port": "COM3", "keys": [["b", "1"], [2, "2"]]},
              "emulated_scanner": {"missed": [3], "stop_after": 4}}
    write_settings(tmp_path / "study.toml", tables)
    settings = load_settings(tmp_path)
    assert settings.buttons.keys == (("b", "1"), (2, "2"))
    assert Settings.model_validate(json.loads(settings.model_dump_json())) == settings
    assert "[emulated_scanner]" in as_toml(settings.model_dump(mode="json"))
    assert settings.departures() == (), "a lab's devices are no departure from the protocol"


@pytest.mark.parametrize(("sends", "n"), [(True, 4), (False, 0)])
def test_dummies_send_pulses_or_not(sends: bool, n: int) -> None:
    scanner = Settings.model_validate({"scanner": {"n_dummies": 4, "dummies_send_pulses": sends}}).scanner
    assert scanner.n_dummy_pulses == n


@pytest.mark.parametrize(("asked", "name", "value"), [
    ("jitter=0.005", "jitter_s", 0.005), ("missed=3,7", "missed", (3, 7)), ("doubled=4", "doubled", (4,)),
    ("extra=-1.5,9", "extra_s", (-1.5, 9.0)), ("tr=1.01", "tr_factor", 1.01), ("stop=40", "stop_after", 40),
    ("late=10", "late_s", 10.0), ("abort=90", "abort_s", 90.0), ("jitter_s=0.1", "jitter_s", 0.1),
])
def test_faults_become_settings(asked: str, name: str, value: object) -> None:
    section = load_settings(overrides=fault_overrides([asked])).emulated_scanner
    assert getattr(section, name) == value
    assert list(section.asked()) == [name]


def test_nothing_is_asked_for_by_default() -> None:
    assert ScannerFaults().asked() == {}
    assert fault_overrides(()) == {}


@pytest.mark.parametrize(("asked", "text"), [
    ("jiter=0.1", "name one of jitter, missed.*Did you mean 'jitter'"), ("jitter", "jitter= and a number"),
    ("jitter=0.1,0.2", "jitter= and a number"), ("missed=a", "missed= and numbers with commas"),
    ("tr=", "tr= and a number"),
])
def test_a_fault_that_cannot_be_read_is_refused(asked: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"--fault: .*{text}"):
        fault_overrides([asked])


@pytest.mark.parametrize("asked", ["jitter=-1", "stop=0", "tr=0", "missed=1.5", "jitter=nan"])
def test_a_fault_out_of_range_is_refused_by_the_settings(asked: str) -> None:
    with pytest.raises(SettingsError, match="emulated_scanner"):
        load_settings(overrides=fault_overrides([asked]))


@pytest.mark.parametrize("section", ["serial_trigger", "buttons"])
@pytest.mark.parametrize("baud", [4_000_000_000, 0, 49])
def test_a_speed_that_no_line_has_is_refused(section: str, baud: int) -> None:
    with pytest.raises(ValidationError, match=rf"{section}\.baud"):
        Settings.model_validate({section: {"baud": baud}})
    assert Settings.model_validate({section: {"baud": 4_000_000}}).digest
