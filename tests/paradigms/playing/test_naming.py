"""The naming task: keys, list, order, files that survive a crash, and scores as planted."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.report.scorecard import NamingMargins, naming_claims
from analysis.statistics.naming import find_naming, read_score
from paradigms.devices.protocols import Press
from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.playing import naming
from paradigms.playing.naming import name_images, order
from paradigms.record.naming_files import COLUMNS, NamingAnswer, keep_answer, read_answers
from paradigms.texts.choices import Choice, find, load_choices
from paradigms.texts.fonts import Font, known_fonts
from paradigms.texts.naming_entry import LIST, NOISE, OWN, Entry, Option, draw_entry, keys_for
from paradigms.texts.pictures import Page
from paradigms.texts.screens import load_texts
from paradigms.texts.wording import load_wording
from stimuli.categories import demo_categories
from stimuli.manifest import read_manifest, write_manifest
from subjects.errors import AnalysisError, ProfileError, RunLogError, SettingsError, StoreError
from subjects.layout import Layout
from subjects.profile import register
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.settings.subject_side import InstructionsSettings
from subjects.store import locked, read_json, read_table
from tests.bids import bids_report
from tests.paradigms.conftest import make_console_study

CHOICES = (Choice("sea lion", "sea lion", ""), Choice("lion", "lion", ""), Choice("owl", "猫头鹰", "maotouying"))
HAN = [path for path in known_fonts() if not Font(str(path)).missing("猫头鹰")]


def _type(keys: list[str]) -> Entry:
    entry = Entry(CHOICES, 5)
    for key in keys:
        entry = entry.take(key)
    return entry


@pytest.mark.parametrize(("keys", "named", "confidence"), [
    ([*"lion", "return", "4"], Option(LIST, "lion", "lion"), 4),
    ([*"lio", "down", "return", "1"], Option(LIST, "sea lion", "sea lion"), 1),
    ([*"maot", "return", "5"], Option(LIST, "猫头鹰", "owl"), 5),
    ([*"cat", "return", "2"], Option(OWN, "cat"), 2),
    (["c", "space", "minus", "x", "backspace", "d", "return", "3"], Option(OWN, "c -d"), 3),
    (["up", "return", "1"], Option(NOISE, ""), 1),
    ([*"cat", "up", "return", "1"], Option(NOISE, ""), 1),
    ([*"lion", "return", "backspace", "up", "return", "1"], Option(NOISE, ""), 1),
    (["return"], None, None), (["7"], None, None), ([*"lion", "return", "9"], Option(LIST, "lion", "lion"), None),
    (["lshift", "f1", *"lion", "return", "0"], Option(LIST, "lion", "lion"), None),
])
def test_keys_make_an_answer(keys: list[str], named: Option | None, confidence: int | None) -> None:
    entry = _type(keys)
    assert (entry.named, entry.confidence) == (named, confidence)


def test_a_simulated_answer_is_typed_so_that_it_is_the_answer() -> None:
    for option in (*(Option(LIST, one.name, one.category) for one in CHOICES), Option(OWN, "cat"), Option(NOISE, "")):
        entry = _type(keys_for(option, choices=CHOICES, confidence=2))
        assert (entry.named, entry.confidence) == (option, 2)


def test_the_list_is_searched_by_beginnings_first() -> None:
    assert [one.category for one in find(CHOICES, "LI")] == ["lion", "sea lion"]
    assert find(CHOICES, "  ") == ()


def test_every_drawn_category_has_a_chinese_name_of_its_own() -> None:
    settings = Settings().model_copy(update={"instructions": Settings().instructions.model_copy(
        update={"language": "zh"})})
    names = [name for _, name in demo_categories()]
    made = load_choices(settings, categories=names, root=Path())
    assert [one.category for one in made] == names
    assert all(one.search.isascii() and one.search for one in made)
    with pytest.raises(SettingsError, match="no name for 'tabby' and 0 more"):
        load_choices(settings, categories=[*names, "tabby"], root=Path())


@pytest.mark.parametrize(("rows", "said"), [
    ("lion\t\tn/a", "no name in some row"), ("lion\t \tn/a", "no name in some row"),
    ("lion\tleo\tn/a\nlion\tleone\tn/a", "two rows for 'lion'"),
    ("lion\tSea  Lion\tn/a", "two categories called 'sea lion'"), ("lion\tsea lion\tn/a", "two categories called")])
def test_a_table_of_names_has_one_name_of_its_own_for_each_category(tmp_path: Path, rows: str, said: str) -> None:
    (tmp_path / "names.tsv").write_text(f"category\tname\tsearch\n{rows}\n", encoding="utf-8")
    base = Settings()
    settings = base.model_copy(update={"naming": base.naming.model_copy(update={"names": "names.tsv"})})
    with pytest.raises(SettingsError, match=said):
        load_choices(settings, categories=["lion", "sea lion"], root=tmp_path)


SCREEN: dict[str, object] = {"width_px": 480, "height_px": 270}


@pytest.fixture
def console(tmp_path: Path) -> Layout:
    """Give a study of 120 images on a small screen, which is drawn sooner."""
    return make_console_study(tmp_path / "study", display=SCREEN)


@pytest.fixture
def small(tmp_path: Path) -> Layout:
    """Give one of 30 images."""
    return make_console_study(tmp_path / "small", stimuli={"per_class": 2}, display=SCREEN)


def _planted(layout: Layout, **more: object) -> Settings:
    return load_settings(layout.root, overrides={
        "participant.names_re": 1.0, "participant.names_ai": 0.8, "participant.names_target": 0.1,
        "participant.names_an": 0.0, "participant.rt_mean_s": 0.5, **more})


@pytest.fixture
def named(console: Layout) -> Layout:
    name_images(console, _planted(console), sub="01", display="virtual")
    return console


def test_a_simulated_participant_names_all_images_with_scores_as_planted(named: Layout) -> None:
    scored = read_score(named.naming("01", "naming")).set_index("type")
    assert scored["n"].tolist() == [40, 40, 40]
    assert (scored.loc["RE", "effect"], scored.loc["AN", "effect"], scored.loc["AN", "noise"]) == (1.0, 0.0, 1.0)
    assert scored.loc["AI", "effect"] == pytest.approx(0.8, abs=0.13)
    verdicts = {claim.id: claim.decide(scored.reset_index())[0] for claim in naming_claims(NamingMargins())}  # type: ignore[misc]
    assert verdicts == {"P1": True, "P2": True}
    assert scored["response_time"].between(0.6, 4).all()


def test_the_table_is_valid_bids_and_says_what_every_column_is(named: Layout) -> None:
    path = named.naming("01", "naming")
    table, told = read_table(path), read_json(path.with_suffix(".json"))
    assert tuple(table.columns) == tuple(COLUMNS)
    assert all(told[name]["Description"] for name in COLUMNS)
    assert (told["n_named"], told["n_images"], told["n_choices"]) == (120, 120, 40)
    assert told["Instructions"].startswith("You see one picture at a time. ")
    assert "named" in told["TaskDescription"]
    issues = [one for one in bids_report(named.root)["issues"]["issues"] if one["severity"] == "error"]
    assert issues == []


def test_the_order_is_the_seeds_and_regular_images_come_last(console: Layout) -> None:
    manifest, settings = read_manifest(console.manifest), _planted(console)
    types = [one.type for one in order(manifest, settings, sub="01")]
    assert types[80:] == ["RE"] * 40
    assert set(types[:80]) == {"AN", "AI"}
    mixed = order(manifest, _planted(console, **{"naming.order": "mixed"}), sub="01")
    assert "RE" in [one.type for one in mixed[:40]]
    assert order(manifest, settings, sub="02") != order(manifest, settings, sub="01")
    assert sorted(one.image_id for one in mixed) == sorted(one.image_id for one in manifest.stimuli)


def test_naming_goes_on_where_it_was_left_even_after_half_a_line(small: Layout) -> None:
    settings = _planted(small)
    first = name_images(small, settings, sub="01", display="virtual", most=10)
    assert (first.n_named, first.complete) == (10, False)
    path = small.naming_answers("01", "naming")
    kept = path.read_bytes()
    path.write_bytes(kept + b'{"trial": 11, "image_')
    second = name_images(small, settings, sub="01", display="virtual")
    assert second.complete
    assert path.read_bytes().startswith(kept)
    answers = read_answers(path)
    assert [one.trial for one in answers] == list(range(1, 31))
    assert len({one.image_id for one in answers}) == 30
    assert name_images(small, settings, sub="01", display="virtual").n_named == 30


def test_answers_to_another_order_or_set_are_not_gone_on_with(small: Layout) -> None:
    name_images(small, _planted(small), sub="01", display="virtual", most=5)
    with pytest.raises(RunLogError, match=r"at place \d; expected px-.*naming.order"):
        name_images(small, _planted(small, **{"naming.order": "mixed"}), sub="01", display="virtual")
    with pytest.raises(RunLogError, match=r"line 1: text that is no answer"):
        small.naming_answers("01", "naming").write_bytes(b'{"x": 1}\n')
        read_answers(small.naming_answers("01", "naming"))


@pytest.mark.parametrize(("changed", "said"), [
    ({"naming.confidence_levels": 7}, "confidence_levels: 5 when it was begun, 7 now"),
    ({"naming.image_deg": 4.0}, "image_deg: 8.0 when it was begun, 4.0 now"),
    ({"naming.names": "names.tsv"}, "names: .* when it was begun")])
def test_a_naming_is_gone_on_with_as_it_was_begun(small: Layout, changed: dict[str, object], said: str) -> None:
    (small.root / "names.tsv").write_text("category\tname\tsearch\ncategory 0\tzero\tn/a\n", encoding="utf-8")
    name_images(small, _planted(small), sub="01", display="virtual", most=3)
    before = small.naming("01", "naming").read_bytes()
    with pytest.raises(RunLogError, match=f"{said}.*one way to the last.*--ses"):
        name_images(small, _planted(small, **changed), sub="01", display="virtual")
    assert small.naming("01", "naming").read_bytes() == before
    assert name_images(small, _planted(small, **changed), sub="01", ses="again", display="virtual").complete


@pytest.mark.parametrize("changed", [
    {"confidence": "x"}, {"confidence": True}, {"confidence": 0}, {"trial": 1.5}, {"response": 3}, {"image_id": None},
    {"response_kind": "guess"}, {"response_time": "1"}, {"response_time": float("nan")}, {"confidence_time": -1.0}])
def test_values_that_no_answer_has_are_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    answer = {**dataclasses.asdict(NamingAnswer(1, "px-1", "cat", OWN, None, 3, 1.5, 0.5)), **changed}
    (tmp_path / "a.jsonl").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    with pytest.raises(RunLogError, match="line 1: text that is no answer .values that no answer has"):
        read_answers(tmp_path / "a.jsonl")


def test_a_table_that_was_edited_is_not_scored_and_is_made_again(small: Layout) -> None:
    name_images(small, _planted(small), sub="01", display="virtual")
    path = small.naming("01", "naming")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\tnoise\t", b"\tlist\t", 1))
    with pytest.raises(AnalysisError, match=r"a table that was changed since it was written.*run_session.py name"):
        read_score(path)
    name_images(small, _planted(small), sub="01", display="virtual")
    assert path.read_bytes() == whole
    assert read_score(path)["n"].tolist() == [10, 10, 10]


def test_whoever_named_another_set_is_not_counted(small: Layout) -> None:
    name_images(small, _planted(small), sub="01", display="virtual")
    assert len(find_naming(small, virtual=True)) == 1
    manifest = read_manifest(small.manifest)
    stimuli = tuple(dataclasses.replace(one, iterations=2) for one in manifest.stimuli)
    other = dataclasses.replace(manifest, stimuli=stimuli)
    write_manifest(small.manifest, other, overwrite=True)
    assert find_naming(small, virtual=True) == ()
    small.manifest.unlink()
    assert find_naming(small, virtual=True) == ()


def test_more_answers_than_images_are_refused(small: Layout) -> None:
    name_images(small, _planted(small), sub="01", display="virtual")
    path = small.naming_answers("01", "naming")
    keep_answer(path, read_answers(path)[-1])
    with pytest.raises(RunLogError, match="31 answers; expected at most 30, as many as images"):
        name_images(small, _planted(small), sub="01", display="virtual")


def test_one_process_names_at_a_time(small: Layout) -> None:
    path = small.naming_answers("01", "naming")
    with locked(small.profile("01").parent, what="it", name=f".{path.stem}.lock"), \
            pytest.raises(StoreError, match="the naming of sub-01 being written by process"):
        name_images(small, _planted(small), sub="01", display="virtual")
    assert not path.parent.exists()


def test_what_was_named_is_in_the_table_however_it_ends(small: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    name_images(small, _planted(small), sub="01", display="virtual", most=3)
    for broken, n_named in (("_name_one", 3), ("_say_end", 30)):  # in an image; at the goodbye
        with monkeypatch.context() as patch:
            patch.setattr(naming, broken, interrupt)
            with pytest.raises(KeyboardInterrupt):
                name_images(small, _planted(small), sub="01", display="virtual")
        table = small.naming("01", "naming")
        assert (len(read_table(table)), read_json(table.with_suffix(".json"))["n_named"]) == (n_named, n_named)


def test_esc_pauses_whatever_key_aborts_a_run(small: Layout) -> None:
    """A letter that aborts runs is typed here as any other."""
    settings = _planted(small, **{"main.abort_key": "c"})  # every name of this set begins with it
    assert name_images(small, settings, sub="01", display="virtual").complete
    desk = naming.Desk(VirtualClock(), None, _Pressed("c"), 127)  # type: ignore[arg-type]
    assert [one.key for one in desk.next_presses()] == ["c"]
    with pytest.raises(naming.Paused):
        naming.Desk(VirtualClock(), None, _Pressed("escape"), 127).next_presses()  # type: ignore[arg-type]


class _Pressed:
    def __init__(self, key: str) -> None:
        self.key = key

    def presses(self) -> list[Press]:
        return [Press(0.0, self.key, "")]


def test_a_volunteer_is_not_simulated(small: Layout) -> None:
    register(small, "05")
    with pytest.raises(ProfileError, match="a virtual subject for simulated naming"):
        name_images(small, _planted(small), sub="05", display="virtual")


@pytest.mark.skipif(not HAN, reason="no font with Chinese characters")
def test_chinese_names_are_typed_in_pinyin(console: Layout) -> None:
    manifest, names = read_manifest(console.manifest), [name for _, name in demo_categories()]
    rows = [dataclasses.replace(one, category=names[one.category_index]) for one in manifest.stimuli]
    write_manifest(console.manifest, dataclasses.replace(manifest, stimuli=tuple(rows)), overwrite=True)
    settings = _planted(console, **{"instructions.language": "zh"})
    name_images(console, settings, sub="01", display="virtual")
    table = read_table(console.naming("01", "naming"))
    regular = table[table["trial_type"] == "RE"]
    assert (regular["response_category"] == regular["category"]).all()
    assert regular["response"].str.contains(r"[\u4e00-\u9fff]").all()


@pytest.mark.parametrize("keys", [[], [*"lio"], [*"lion", "return"]])
def test_the_screen_shows_image_words_and_marks(keys: list[str]) -> None:
    settings = Settings()
    texts = load_texts(Layout(Path()), settings)
    image = np.full((10, 10, 3), (200, 10, 10), dtype=np.uint8)
    choices = CHOICES[:2]
    entry = Entry(choices, 5)
    for key in keys:
        entry = entry.take(key)
    made = draw_entry(entry, image=image, image_px=300, page=texts.page(127), wording=texts.wording, place=(3, 120))
    red = np.argwhere((made == (200, 10, 10)).all(axis=2))
    assert len(red) == 300 * 300
    assert (np.ptp(made[:, 1000:1850], axis=(0, 1)) > 50).all()
    assert (made[:, 1850:] == 127).all()


@pytest.mark.parametrize(("language", "keys", "said"), [
    ("en", [*"lion"], "up and down choose"), ("en", [*"lion", "return"], "1 to 7 says how sure"),
    ("zh", [*"lion", "return"], "1 到 7")])
def test_the_line_below_tells_of_the_keys_that_count(monkeypatch: pytest.MonkeyPatch, language: str, keys: list[str],
                                                     said: str) -> None:
    feet: list[str] = []
    monkeypatch.setattr("paradigms.texts.naming_entry._Pen.foot", lambda _, text, **__: feet.append(text))
    entry = Entry(CHOICES, 7)
    for key in keys:
        entry = entry.take(key)
    wording = load_wording(InstructionsSettings(language=language), root=Path())  # type: ignore[arg-type]
    page = Page((480, 270), 12.0, 127, Font(str(known_fonts()[0])))
    draw_entry(entry, image=np.zeros((8, 8, 3), dtype=np.uint8), image_px=50, page=page, wording=wording, place=(1, 2))
    assert said in feet[0]


def test_the_command_pauses_goes_on_and_says_the_score(small: Layout) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "run_session.py", "name", "--study", str(small.root), "--sub", "01",
                               "--display", "virtual", *more], capture_output=True, text=True, check=False,
                              cwd=Path(__file__).resolve().parents[3])

    first = run("--most", "3")
    assert (first.returncode, first.stdout) == (
        1, "naming of sub-01: 3 of 30 images, paused: the same command goes on\n")
    second = run("--json")
    assert second.returncode == 0, second.stderr
    assert [one["type"] for one in json.loads(second.stdout)["scores"]] == ["RE", "AN", "AI"]


def test_an_answer_is_on_the_disk_when_it_is_given(tmp_path: Path) -> None:
    answer = NamingAnswer(1, "px-1", "猫", OWN, None, 3, 1.5, 0.5)
    keep_answer(tmp_path / "a" / "answers.jsonl", answer)
    assert read_answers(tmp_path / "a" / "answers.jsonl") == [answer]
