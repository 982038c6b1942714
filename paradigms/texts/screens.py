"""The screens around a run: its task and buttons, get ready, and the closing screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paradigms.devices.protocols import Frame, Pixels
from paradigms.tasks.protocol import Task
from paradigms.tasks.scoring import Score
from paradigms.texts.fonts import Font, choose_font
from paradigms.texts.pictures import Page, TextScreen, draw_screen
from paradigms.texts.wording import Wording, load_wording
from subjects.layout import Layout
from subjects.profile import SubjectProfile
from subjects.settings.study import Settings

BEFORE, READY, CLOSING = "instructions", "ready", "closing"
_DIGITS = "0123456789"


@dataclass(frozen=True)
class RunScreens:
    """What the subject reads around a run.

    Parameters
    ----------
    before, ready : uint8 array, (height, width, 3)
        The task and its buttons; get ready.
    closing : callable
        Draws the closing screen once the run has ended.
    closing_s : float
        How long it stays.
    font : str
        With which font, for the record.
    """

    before: Pixels
    ready: Pixels
    closing: Callable[[], Pixels]
    closing_s: float
    font: str = ""


def screen_id(name: str) -> str:
    """Spell the name under which a display holds the picture of a screen."""
    return f"screen:{name}"


def screen_frame(blank: Frame, *, name: str, height_px: int) -> Frame:
    """Say how a screen is shown: it fills the display, without fixation point, overlay and dots."""
    return replace(blank, image_id=screen_id(name), image_px=float(height_px), fixation_px=0.0, surround_px=0.0,
                   overlay=None, dots_px=None, aperture=None)


@dataclass(frozen=True)
class Texts:
    """The texts of a study with a font that has all their characters.

    Parameters
    ----------
    wording : Wording
    font : Font
    settings : Settings
        Display, heights, what buttons are called.
    """

    wording: Wording
    font: Font
    settings: Settings

    def draw(self, screen: TextScreen, *, background: int | None = None) -> Pixels:
        """Draw a screen on a background; default: the display's."""
        display = self.settings.display
        level = display.background if background is None else background
        return draw_screen(screen, page=self.page(level))

    def page(self, background: int) -> Page:
        """Give the page on which screens are drawn."""
        display = self.settings.display
        return Page((display.width_px, display.height_px), display.px_for(self.settings.instructions.text_deg),
                    background, self.font)


def load_texts(layout: Layout, settings: Settings, *, more: Iterable[str] = ()) -> Texts:
    """Read the study's texts and choose a font for all of them.

    Parameters
    ----------
    layout, settings
        The study.
    more : iterable of str
        What else will be read, for example the names of a list.

    Raises
    ------
    SettingsError
        For a text that cannot be used or a character that no font has.
    """
    wording = load_wording(settings.instructions, root=Path(layout.root))
    texts = [_joined(text) for table in wording.tables.values() for text in table.values()]
    keys = [key for section in settings.paradigms().values() for key in section.answer_keys().values()]
    font = choose_font(settings.instructions, texts=[*texts, *wording.buttons.values(), *keys, _DIGITS, *more],
                       root=Path(layout.root))
    return Texts(wording, font, settings)


def _joined(text: object) -> str:
    values = text.values() if isinstance(text, dict) else (text,) if isinstance(text, str) else text
    return "".join(values)  # type: ignore[arg-type]


def task_screen(texts: Texts, task: Task, *, profile: SubjectProfile) -> TextScreen:
    """Say what a paradigm asks of a subject and which button means what to them.

    The buttons stand in the order of their keys, as they lie under the fingers, whatever they mean to this subject.
    """
    wording, table = texts.wording, task.texts
    meanings = sorted(task.meanings(profile).items(), key=lambda item: item[1])
    return TextScreen(wording.say(table, "title"), wording.paragraphs(table),
                      tuple((wording.button(key), wording.meaning(table, name)) for name, key in meanings))


def closing_screen(texts: Texts, scores: Sequence[Score]) -> TextScreen:
    """Close a run; tell how much was answered where the settings want it and something was asked."""
    n = sum(score.n_targets for score in scores)
    answered = n - sum(score.n_unanswered for score in scores)
    return _closing(texts, share=round(100.0 * answered / n) if texts.settings.instructions.feedback and n else None)


def _closing(texts: Texts, *, share: int | None) -> TextScreen:
    wording = texts.wording
    told = () if share is None else (wording.say("closing", "feedback", share=share),)
    return TextScreen(wording.say("closing", "title"), (*told, *wording.paragraphs("closing")))


def ready_screen(texts: Texts) -> TextScreen:
    """Have the subject get ready."""
    return TextScreen(texts.wording.say("ready", "title"), texts.wording.paragraphs("ready"))


def require_drawable(texts: Texts, *, background: int | None = None) -> None:
    """See that the screens at the end of a run can be drawn before it is begun, with the longest feedback.

    Raises
    ------
    SettingsError
        If one does not fit.
    """
    for screen in (ready_screen(texts), _closing(texts, share=100), _closing(texts, share=None)):
        texts.draw(screen, background=background)


def run_screens(layout: Layout, settings: Settings, *, task: Task, profile: SubjectProfile, background: int,
                scores: Callable[[], Sequence[Score]]) -> RunScreens | None:
    """Draw the screens around a run before it is begun; None where the study shows none.

    Parameters
    ----------
    layout, settings
        The study.
    task : Task
        The paradigm.
    profile : SubjectProfile
        Whose buttons they are.
    background : int
        Grey level of the paradigm's background.
    scores : callable
        Scores the run once it has ended.
    """
    if not settings.instructions.show:
        return None
    texts = load_texts(layout, settings)
    require_drawable(texts, background=background)
    return RunScreens(before=texts.draw(task_screen(texts, task, profile=profile), background=background),
                      ready=texts.draw(ready_screen(texts), background=background),
                      closing=lambda: texts.draw(closing_screen(texts, scores()), background=background),
                      closing_s=settings.instructions.closing_s, font=texts.font.name)
