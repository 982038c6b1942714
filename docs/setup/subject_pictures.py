# ruff: noqa: INP001
"""Draw every screen that a subject reads, in both languages, for docs/subject.md: ``PYTHONPATH=. python FILE``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from paradigms.devices.protocols import Pixels
from paradigms.tasks.catalogue import TASKS, task_of
from paradigms.texts.choices import load_choices
from paradigms.texts.naming_entry import Entry, draw_entry
from paradigms.texts.pictures import TextScreen
from paradigms.texts.screens import load_texts, task_screen
from stimuli.categories import demo_categories
from stimuli.networks.demo.drawings import draw as sketch
from subjects.layout import Layout
from subjects.profile import SubjectProfile
from subjects.settings.study import Settings
from subjects.settings.subject_side import InstructionsSettings

PICTURES = Path(__file__).resolve().parents[1] / "pictures"


def draw(language: str) -> list[Pixels]:
    """Draw the screens around a run and those of practice."""
    settings = Settings(instructions=InstructionsSettings(language=language))  # type: ignore[arg-type]
    one_back = settings.model_copy(update={"lo": settings.lo.model_copy(update={"task": "one_back"})})
    texts = load_texts(Layout(Path()), settings)
    said, mine = texts.wording, SubjectProfile("01", swap_keys=True)
    tasks = [*(task_of(name, settings) for name in TASKS), task_of("lo", one_back)]
    screens = [texts.draw(task_screen(texts, task, profile=mine), background=0 if task.name == "motion" else None)
               for task in tasks]
    others = [TextScreen(said.say("ready", "title"), said.paragraphs("ready")),
              TextScreen(said.say("closing", "title"),
                         (said.say("closing", "feedback", share=95), *said.paragraphs("closing"))),
              *(TextScreen(said.say("practice", name)) for name in ("right", "wrong", "none", "missed", "early")),
              TextScreen(said.say("practice", "over", n_right=9, n=10), (said.say("practice", "again"),))]
    return [*screens, *(texts.draw(one) for one in others)]


def draw_naming(language: str) -> list[Pixels]:
    """Draw the naming task: the introduction, an image while it is named and rated, and the end."""
    settings = Settings(instructions=InstructionsSettings(language=language))  # type: ignore[arg-type]
    texts = load_texts(Layout(Path()), settings)
    choices = load_choices(settings, categories=[name for _, name in demo_categories()], root=Path())
    image = sketch("flamingo", rng=np.random.default_rng(3))
    side, page = round(settings.display.px_for(settings.naming.image_deg)), texts.page(settings.display.background)
    entries = [Entry(choices, settings.naming.confidence_levels)]
    typed = "hai" if language == "zh" else "pe"
    for keys in ([*typed], [*typed, "down", "return"], ["up"]):
        entry = entries[0]
        for key in keys:
            entry = entry.take(key)
        entries.append(entry)
    say = texts.wording
    intro = TextScreen(say.say("naming", "intro_title"), say.paragraphs("naming", "intro"),
                       footer=say.say("naming", "begin"))
    shown = [draw_entry(one, image=image, image_px=side, page=page, wording=say, place=(3, 120)) for one in entries]
    ends = [texts.draw(TextScreen(say.say("naming", name))) for name in ("over", "paused")]
    return [texts.draw(intro), *shown, *ends]


def sheet(pictures: list[Pixels], *, across: int = 3, width: int = 560) -> Image.Image:
    """Lay pictures out in rows."""
    small = [Image.fromarray(one).resize((width, width * one.shape[0] // one.shape[1])) for one in pictures]
    tall = small[0].height
    made = Image.new("RGB", (across * (width + 6), -(-len(small) // across) * (tall + 6)), (255, 255, 255))
    for k, one in enumerate(small):
        made.paste(one, ((k % across) * (width + 6), (k // across) * (tall + 6)))
    return made


if __name__ == "__main__":
    for language in ("en", "zh"):
        found = draw(language)
        assert all(np.ptp(one) > 0 for one in found)
        sheet(found).save(PICTURES / f"subject_{language}.png", optimize=True)
        sheet(draw_naming(language), across=2, width=840).save(PICTURES / f"naming_{language}.png", optimize=True)
