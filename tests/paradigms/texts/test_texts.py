"""What the subject reads: wording, fonts, pictures, and the screens around a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from paradigms.playing.play_run import play_run
from paradigms.runlog import of_kind, read_events, read_journal
from paradigms.tasks.catalogue import TASKS, task_of
from paradigms.texts.fonts import Font, choose_font, known_fonts
from paradigms.texts.naming_entry import TYPED
from paradigms.texts.pictures import Page, TextScreen, draw_screen, wrap
from paradigms.texts.screens import BEFORE, CLOSING, READY, RunScreens, load_texts, screen_id, task_screen
from paradigms.texts.wording import Wording, load_wording
from subjects.errors import SettingsError
from subjects.layout import Layout
from subjects.profile import SubjectProfile, register
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.settings.subject_side import InstructionsSettings
from subjects.store import read_json

DEJAVU = Font(str(known_fonts()[0]))
HAN = [path for path in known_fonts() if not Font(str(path)).missing("动物")]
needs_han = pytest.mark.skipif(not HAN, reason="no font with Chinese characters on this computer")


def _settings(**instructions: Any) -> Settings:
    return Settings(instructions=InstructionsSettings(**instructions))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_both_languages_have_the_same_texts_and_braces(language: str) -> None:
    one, other = (load_wording(InstructionsSettings(language=name), root=Path()).tables for name in (language, "en"))
    assert {table: set(texts) for table, texts in one.items()} == {table: set(texts) for table, texts in other.items()}
    for table, texts in one.items():
        for name, text in texts.items():
            assert set(re.findall(r"{\w+}", str(text))) == set(re.findall(r"{\w+}", str(other[table][name]))), name
            if not isinstance(text, str | tuple):
                assert set(text) == set(other[table][name])


def test_a_glyph_is_missing_exactly_where_the_font_draws_its_empty_box() -> None:
    drawn = ImageFont.truetype(DEJAVU.path, 40)
    box = bytes(drawn.getmask("\uffff"))
    text = "Animal, not! éßŁЖ 动物图片"
    assert DEJAVU.missing(text) == "".join(one for one in dict.fromkeys(text)
                                           if one != " " and bytes(drawn.getmask(one)) == box)


def test_a_missing_glyph_is_refused_by_name() -> None:
    section = InstructionsSettings(language="zh", font=DEJAVU.path)
    with pytest.raises(SettingsError, match=r"a font without . \(U\+[0-9A-F]{4}\).* more characters; expected a font"):
        load_texts(Layout(Path("study")), Settings(instructions=section))
    with pytest.raises(SettingsError, match=r"no font on this computer with .* \(U\+10FFFD\)"):
        choose_font(InstructionsSettings(), texts=["a\U0010fffd"], root=Path())


def test_a_collection_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ttc").write_bytes(b"none")
    with pytest.raises(SettingsError, match="x.ttc.*a file that is no font"):
        choose_font(InstructionsSettings(language="zh", font="x.ttc"), texts=["Animal"], root=tmp_path)


def test_a_computer_without_any_font_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paradigms.texts.fonts.known_fonts", list)
    with pytest.raises(SettingsError, match=r"no font on this computer with A \(U\+0041\).*Install one"):
        choose_font(InstructionsSettings(), texts=["Animal"], root=Path())


def test_a_missing_glyph_stops_a_run_before_anything_is_shown_or_written(small_console: Layout) -> None:
    settings = load_settings(small_console.root, overrides={"instructions.language": "zh",
                                                            "instructions.font": DEJAVU.path})
    before = sorted(small_console.root.rglob("*"))
    with pytest.raises(SettingsError, match="a font without"):
        play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    assert sorted(small_console.root.rglob("*")) == before


@pytest.mark.parametrize(("text", "said"), [
    ("[mian]\ntitle = 'x'", r"a table \[mian\].*main"),
    ("[main]\ntitel = 'x'", "an unknown text.*title"),
    ("[main]\ntitle = ''", "none empty"),
    ("[main]\ntext = 'one'", "a list of texts"),
    ("[closing]\nfeedback = 'You got {part}'", r"\{part\}.*expected \{share\}"),
    ("[closing]\nfeedback = 'You got {share'", "braces that do not fit"),
    ("[closing]\nfeedback = 'You got {share:%s}'", r"braces that do not fit \(more than a word in \{share\}"),
    ("[closing]\nfeedback = 'You got {share!z}'", r"braces that do not fit \(more than a word in \{share\}"),
    ("[main]\nmeanings = { animals = 'x' }", "a meaning 'animals'"),
    ("[main", "cannot be read"),
])
def test_texts_of_ones_own_are_like_the_shipped_ones(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        load_wording(InstructionsSettings(texts="own.toml"), root=tmp_path)


def test_texts_of_ones_own_stand_over_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[main]\ntitle = 'Tier?'\nmeanings = { animal = 'Tier' }", encoding="utf-8")
    wording = load_wording(InstructionsSettings(texts="own.toml", buttons=(("1", "links"),)), root=tmp_path)
    assert wording.say("main", "title") == "Tier?"
    assert [wording.meaning("main", name) for name in ("animal", "not_animal")] == ["Tier", "not an animal"]
    assert [wording.button(key) for key in ("1", "2")] == ["links", "button 2"]
    assert wording.say("ready", "title") == "Get ready"


def test_lines_break_between_words_and_characters_and_before_no_stop() -> None:
    font = DEJAVU.at(20)
    lines = wrap("one two three four five six", font=font, width_px=font.getlength("one two three"))
    assert lines == ["one two three", "four five six"]
    if HAN:
        east = Font(str(HAN[0])).at(20)
        lines = wrap("图片会出现，请按键。", font=east, width_px=east.getlength("图片会出现"))
        assert "".join(lines) == "图片会出现，请按键。"
        assert not any(line[0] in "，。" for line in lines)
    with pytest.raises(SettingsError, match="wider than the screen"):
        wrap("incomprehensibilities", font=font, width_px=40)


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=needs_han)])
@pytest.mark.parametrize("size", [(1920, 1080), (1024, 768), (640, 480)])
def test_every_screen_fits_and_keeps_its_margin(language: str, size: tuple[int, int]) -> None:
    base = _settings(language=language)
    settings = base.model_copy(update={"display": base.display.model_copy(
        update={"width_px": size[0], "height_px": size[1]})})
    texts = load_texts(Layout(Path("study")), settings)
    for name in TASKS:
        picture = texts.draw(task_screen(texts, task_of(name, settings), profile=SubjectProfile("01")))
        assert picture.shape == (size[1], size[0], 3)
        ink = np.argwhere(picture[:, :, 0] != settings.display.background)
        assert len(ink) > 500 * size[0] / 1920
        assert ink[:, 1].min() > 0.08 * size[0]
        assert ink[:, 1].max() < 0.92 * size[0]


def test_what_does_not_fit_is_refused() -> None:
    page = Page((400, 100), 30.0, 127, DEJAVU)
    with pytest.raises(SettingsError, match="a screen .* px high"):
        draw_screen(TextScreen("Title", ("one two three",) * 4), page=page)


@pytest.mark.parametrize("text", ["title = 'Thanks!%s'", "text = ['Thanks!%s']", "feedback = '{share} %s'"])
def test_an_end_that_does_not_fit_is_refused_before_the_run(small_console: Layout, text: str) -> None:
    """Before, the closing screen was first drawn when the subject had done the run."""
    (small_console.root / "own.toml").write_text(f"[closing]\n{text % ('x' * 300)}", encoding="utf-8")
    settings = load_settings(small_console.root, overrides={"instructions.texts": "own.toml",
                                                            "instructions.feedback": True})
    with pytest.raises(SettingsError, match=r"'.{40}', wider than the screen"):
        play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    assert not list(small_console.root.rglob("*_journal.jsonl"))


def test_the_names_of_keys_and_what_is_typed_are_asked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Font.missing
    monkeypatch.setattr(Font, "missing", lambda font, text: "".join(
        one for one in "qz" if one in text) + missing(font, text))  # a font without q and z
    own = _settings(font=DEJAVU.path)
    plain = {"main": {"text": ("x",), "title": "x", "meanings": {"animal": "x", "not_animal": "x"}}}
    wording = Wording(plain, {"1": "x"})
    monkeypatch.setattr("paradigms.texts.screens.load_wording", lambda *_, **__: wording)
    load_texts(Layout(Path("study")), own)
    for changed, more in ((own.model_copy(update={"main": own.main.model_copy(update={"animal_key": "z"})}), ()),
                          (own, (TYPED,))):
        with pytest.raises(SettingsError, match=r"a font without [qz] \(U"):
            load_texts(Layout(Path("study")), changed, more=more)


def test_buttons_stand_in_the_order_of_their_keys_whatever_they_mean() -> None:
    settings = _settings(buttons=(("1", "left"), ("2", "right")))
    texts = load_texts(Layout(Path("study")), settings)
    told = [task_screen(texts, task_of("main", settings), profile=SubjectProfile("01", swap_keys=swap)).buttons
            for swap in (False, True)]
    assert told == [(("left", "animal"), ("right", "not an animal")), (("left", "not an animal"), ("right", "animal"))]


def _screens(**changes: Any) -> RunScreens:
    picture = np.zeros((48, 64, 3), dtype=np.uint8)
    return RunScreens(**{"before": picture, "ready": picture, "closing": lambda: picture, "closing_s": 4.0, **changes})


def test_the_screens_stand_around_the_run_and_never_in_it(bench: Callable[..., Any]) -> None:
    made = bench(screens=_screens(), arm_key="space")
    made.prompt = made.responses.press_each
    outcome = made.play()
    assert outcome.complete
    zero = of_kind(made.records, "zero")[0]
    shown = made.display.shown
    screens = [one for one in shown if str(one.frame.image_id).startswith("screen:")]
    assert [one.frame.image_id for one in screens] == [screen_id(name) for name in (BEFORE, READY, CLOSING)]
    armed = of_kind(made.records, "armed")[0]["t"]
    assert screens[0].t < armed <= screens[1].t < zero["t"]
    blank = shown[shown.index(screens[1]) + 1]
    assert blank.frame.image_id is None
    assert 0.0 <= blank.t - zero["t"] < 0.3
    end = of_kind(made.records, "end")[0]
    assert screens[2].t >= zero["t"] + made.schedule.duration_s
    assert made.records[-1] == end
    assert made.clock.now() >= screens[2].t + 4.0


def test_onsets_and_answers_are_the_same_with_and_without_screens(bench: Callable[..., Any], tmp_path: Path) -> None:
    runs = [bench(journal_path=tmp_path / f"{k}.jsonl", screens=shown) for k, shown in enumerate((None, _screens()))]
    first, second = (made.play() for made in runs)
    assert second.onset_errors_s == pytest.approx(first.onset_errors_s, abs=1e-9)
    assert (second.n_events, second.n_presses) == (first.n_events, first.n_presses)
    assert max(second.onset_errors_s) <= max(first.onset_errors_s) + 1e-9


def test_a_closing_screen_that_fails_changes_nothing_of_the_run(bench: Callable[..., Any],
                                                                caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise SettingsError("closing", came="a word", expected="none", remedy="None.")

    made = bench(screens=_screens(closing=fail))
    assert made.play().complete
    assert [record["complete"] for record in of_kind(made.records, "end")] == [True]
    assert "the closing screen" in caplog.text


def test_a_run_that_is_interrupted_at_the_closing_screen_stays_complete(bench: Callable[..., Any]) -> None:
    def interrupt() -> Any:
        raise KeyboardInterrupt

    made = bench(screens=_screens(closing=interrupt))
    with pytest.raises(KeyboardInterrupt):
        made.play()
    assert [record["complete"] for record in of_kind(made.records, "end")] == [True]


def test_a_swapped_subject_reads_answers_and_is_scored_by_their_own_buttons(small_console: Layout) -> None:
    register(small_console, "02", swap_keys=True, virtual=True)
    settings = load_settings(small_console.root, overrides={
        "participant.accuracy": 1.0, "participant.omission": 0.0, "instructions.feedback": True})
    accuracy = []
    for sub in ("01", "02"):
        key = RunKey(sub, "01", "main", 1)
        play_run(small_console, settings, key=key, scanner="emulated", display="virtual")
        events = read_events(small_console.events(key))
        shown = events[events["trial_type"] == "RE"]
        animal = shown["class"].isin(settings.stimuli.animal_classes)
        assert set(shown.loc[animal, "response"].dropna().astype(str)) == {"2" if sub == "02" else "1"}
        told = of_kind(read_journal(small_console.journal(key)), "devices")[0]["buttons_mean"]
        assert told == ({"animal": "2", "not_animal": "1"} if sub == "02" else {"animal": "1", "not_animal": "2"})
        assert read_json(small_console.events_sidecar(key))["ButtonMeanings"] == told
        accuracy.append(float(shown["correct"].mean()))
    assert accuracy == [1.0, 1.0]


@needs_han
def test_chinese_is_drawn_with_chinese_glyphs(tmp_path: Path) -> None:
    texts = load_texts(Layout(tmp_path), _settings(language="zh"))
    font = texts.font.at(40)
    box = bytes(font.getmask("\uffff"))
    assert all(bytes(font.getmask(one)) != box for one in texts.wording.say("main", "title"))
    Image.fromarray(texts.draw(TextScreen(texts.wording.say("main", "title")))).save(tmp_path / "zh.png")


def test_the_photodiode_is_black_before_the_first_change_and_stays_as_it_is_after_the_last(
        bench: Callable[..., Any], settings: Settings) -> None:
    lit = settings.model_copy(update={"display": settings.display.model_copy(update={"photodiode": True})})
    made = bench(screens=_screens(), settings=lit)
    assert made.play().complete
    flips = len(of_kind(made.records, "flip"))
    squares = [one.frame.photodiode for one in made.display.shown]
    before, run, after = squares[:-flips - 1], squares[-flips - 1:-1], squares[-1]
    assert set(before) == {False}
    assert run == [k % 2 == 0 for k in range(flips)]
    assert after == run[-1]
