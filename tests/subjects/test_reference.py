"""The settings as they are told: the document, and the file of a new study."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from subjects import provenance
from subjects.errors import LayoutError, SettingsError
from subjects.layout import STUDY_FORMAT, Layout
from subjects.settings import history
from subjects.settings.loading import load_settings, write_settings
from subjects.settings.reference import as_markdown, commented, described_settings, spelled
from subjects.settings.section import Section, described
from subjects.settings.study import Settings, leaves

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
ALL = list(described_settings())
NAMES = [f"{one.section}.{one.name}" for one in ALL]


def test_every_setting_is_listed_once() -> None:
    assert [name for name, _ in leaves(Settings().model_dump())] == NAMES


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_every_setting_is_described(one: Any) -> None:
    assert re.match(r"[A-Z`].{8,}\.$", one.meaning), one.meaning
    assert re.match(r"(ours|protocol ([1-9]|1[01])(, open)?)$", one.source), one.source
    suffixes = {"s": "s", "px": "px", "deg": "deg", "cm": "cm", "hz": "Hz", "mm": "mm"}
    ending = one.name.rpartition("_")[2]
    if ending in suffixes and one.name != "speed_deg_s":
        assert one.unit.split()[0].strip(",") == suffixes[ending], f"{one.name} in {one.unit!r}"


def test_the_sections_of_the_protocol_exist() -> None:
    sections = re.findall(r"^## (\d+)\.", (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8"), flags=re.M)
    named = {one.source.split(",")[0].removeprefix("protocol ") for one in ALL if one.source != "ours"}
    assert named <= set(sections)


def test_the_document_is_current() -> None:
    found = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert found == as_markdown(), "write it anew: python -m subjects settings --markdown > docs/settings.md"


HEAD = f"format = {STUDY_FORMAT}"


def _new(folder: Path, **changes: Any) -> str:
    return write_settings(folder / "study.toml", changes).read_text(encoding="utf-8")


def _shown(text: str) -> list[int]:
    """List the lines that show a setting's default."""
    return [k for k, line in enumerate(text.splitlines()) if re.match(r"# \w+ = ", line)]


def test_a_new_studys_file_shows_every_setting_and_changes_none(tmp_path: Path) -> None:
    text = _new(tmp_path)
    assert load_settings(tmp_path) == Settings()
    assert len(_shown(text)) == len(ALL)
    assert max(len(line) for line in text.splitlines() if line.startswith("##")) <= 120
    assert tomllib.loads(text)["format"] == STUDY_FORMAT


@pytest.mark.parametrize("which", range(len(ALL)), ids=NAMES)
def test_any_one_line_can_be_put_in_force(tmp_path: Path, which: int) -> None:
    lines = commented({}, head=HEAD).splitlines()
    k = _shown("\n".join(lines))[which]
    lines[k] = lines[k].removeprefix("# ")
    (tmp_path / "study.toml").write_text("\n".join(lines), encoding="utf-8")
    tables = {name: table for name, table in tomllib.loads("\n".join(lines)).items() if table and name != "format"}
    assert [name for name, _ in leaves(tables)] == [NAMES[which]]
    assert load_settings(tmp_path) == Settings()


def test_all_lines_can_be_put_in_force(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(re.sub(r"^# (?=\w+ = )", "", commented({}, head=HEAD), flags=re.M),
                                         encoding="utf-8")
    assert load_settings(tmp_path) == Settings()


def test_changes_are_in_force_and_the_rest_is_shown(tmp_path: Path) -> None:
    text = _new(tmp_path, study={"name": 'one "two"\n\u00e9\u20ac'}, stimuli={"an_goal_p": 0.995, "exclude": ["a.png"]},
                retinotopy={"runs": [["bar"], []]})
    settings = load_settings(tmp_path)
    assert settings.study.name == 'one "two"\n\u00e9\u20ac'
    assert (settings.stimuli.an_goal_p, settings.stimuli.exclude) == (0.995, ("a.png",))
    assert settings.retinotopy.runs == (("bar",), ())
    assert len(_shown(text)) == len(ALL) - 4


def test_an_empty_text_unsets_what_the_site_sets(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[stimuli]\nweights = "w.npz"\nan_goal_p = 0.995\n[serial_trigger]\nport = "COM3"\n',
                    encoding="utf-8")
    (tmp_path / "study.toml").write_text('[stimuli]\nweights = ""\nan_goal_p = ""\n[serial_trigger]\nport = ""\n',
                                         encoding="utf-8")
    settings = load_settings(tmp_path, site=site)
    assert (settings.stimuli.weights, settings.stimuli.an_goal_p, settings.serial_trigger.port) == (None, None, "")
    assert load_settings(tmp_path, site=site, overrides={"stimuli.weights": "x"}).stimuli.weights == "x"


@pytest.mark.parametrize("key", ["stimuli.images", "stimuli.exclude", "hooks.tracker", "main.animal_key"])
def test_nul_is_refused_wherever_text_is_expected(key: str) -> None:
    with pytest.raises(SettingsError, match=f"{key.rpartition('.')[2]} contains the character NUL"):
        load_settings(overrides={key: ["a\0b"] if key.endswith("exclude") else "a\0b"})


def test_values_are_spelled_as_toml_reads_them() -> None:
    for value in (True, 3, -0.5, 1e-7, "a\\b\"c\n", [["b", "1"], [2, "x"]], [], [0.1, 2]):
        assert tomllib.loads(f"x = {spelled(value)}")["x"] == value


def test_a_new_setting_counts_as_what_was_done_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_BEFORE", {})
    monkeypatch.setattr(provenance, "_AMBIGUOUS", set())

    class Later(Section):
        """Two settings that the first release did not have."""

        finer: int = described(4, "How much finer.", since="0.2.0", before=1)
        plain: bool = described(False, "Whether plain.", since="0.2.0")

    assert Later().finer == 4
    assert provenance.agree({}, wanted={"finer": 1, "plain": False})
    assert not provenance.agree({}, wanted={"finer": 4})
    assert not provenance.agree({}, wanted={"plain": True})


def test_settings_of_an_earlier_release_are_read_under_todays_names(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "RENAMED", {"main.repeats": "main.presentations", "scan.tr": "scanner.tr_s"})
    monkeypatch.setattr(history, "REMOVED", {"main.jitter": 0})
    monkeypatch.setattr(provenance, "_RENAMED", {})
    monkeypatch.setattr(provenance, "_REMOVED", {})
    path = tmp_path / "study.toml"
    path.write_text("[main]\nrepeats = 4\njitter = 0\n", encoding="utf-8")
    assert load_settings(tmp_path).main.presentations == 4
    path.write_text("[main]\njitter = 1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"main.jitter, a setting that no longer exists; expected its value 0"):
        load_settings(tmp_path)
    path.write_text("[main]\nrepeats = 4\npresentations = 4\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"main.repeats is the old name of main.presentations"):
        load_settings(tmp_path)
    history.declare_history()
    assert provenance.agree({"repeats": 4, "jitter": 0}, wanted={"presentations": 4})
    assert not provenance.agree({"repeats": 4}, wanted={"presentations": 5})
    assert not provenance.agree({"repeats": 4, "jitter": 1}, wanted={"presentations": 4})


@pytest.mark.parametrize(("line", "said"), [
    (f"format = {STUDY_FORMAT + 1}",
     rf"format {STUDY_FORMAT + 1}, of a newer version .*expected format {STUDY_FORMAT} at most"),
    ('format = "x"', "format = 'x'; expected a whole number"), ("format = true", "format = True"),
    ("format = 0", "format = 0; expected a whole number"),
])
def test_a_study_of_another_format_is_refused_before_its_settings(study: Layout, line: str, said: str) -> None:
    study.settings_file.write_text(f"{line}\n[setting_of_tomorrow]\nx = 1\n", encoding="utf-8")
    for opened in (study.require, lambda: load_settings(study.root)):
        with pytest.raises(LayoutError, match=said):
            opened()
