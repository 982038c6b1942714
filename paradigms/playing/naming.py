"""The naming task: each image of the set is shown and named, with confidence and time; resumed where it was left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from paradigms.devices.protocols import Clock, Display, Frame, HardwareClock, Pixels, Press, ResponseDevice
from paradigms.emulation.participant import SimulatedParticipant
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.assembly import find_place
from paradigms.record.naming_files import NamingAnswer, begin, keep_answer, read_answers, require_begun, write_naming
from paradigms.texts.choices import Choice, load_choices
from paradigms.texts.naming_entry import LIST, NOISE, TYPED, Entry, Option, draw_entry, keys_for
from paradigms.texts.pictures import TextScreen
from paradigms.texts.screens import Texts, load_texts, screen_id
from stimuli.manifest import Manifest, Stimulus, read_manifest, read_pixels
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.profile import SubjectProfile, load_profile, require_virtual
from subjects.provenance import digest_json, rng
from subjects.settings.devices import ParticipantSettings
from subjects.settings.study import Settings
from subjects.store import locked

SESSION = "naming"
PAUSE_KEY = "escape"
"""Whatever ends a run: a letter would be typed."""
DESCRIPTION = ("Each image of the set is shown and named: by a name of a list that is searched as it is typed, in own "
               "words, or as nothing but noise; then the confidence is given.")
POLL_S, OVER_S, TYPING_S = 0.01, 3.0, 0.12
_SCREEN = "naming"


class Paused(Exception):  # noqa: N818 - an end, not a fault
    """The subject, or whoever sits beside, has paused."""


@dataclass(frozen=True)
class Named:
    """How far a subject's naming has come."""

    sub: str
    n_images: int
    n_named: int
    table: Path | None

    @property
    def complete(self) -> bool:
        """Whether every image has been named."""
        return self.n_named == self.n_images

    def summary(self) -> str:
        """Say it in one line."""
        state = "complete" if self.complete else "paused: the same command goes on"
        return f"naming of sub-{self.sub}: {self.n_named} of {self.n_images} images, {state}"


@dataclass
class Desk:
    """Where a subject names: the machines, and the one who types where nobody does."""

    clock: Clock
    display: Display
    responses: ResponseDevice
    background: int
    simulated: SimulatedNamer | None = None

    def show(self, picture: Pixels) -> float:
        """Show a picture that fills the display."""
        height = float(self.display.size_px[1])
        self.display.preload({screen_id(_SCREEN): picture}, height_px=height)
        self.display.draw(Frame(screen_id(_SCREEN), image_px=height, fixation_px=0.0, fixation_color=(0, 0, 0),
                                background=self.background))
        return self.display.flip()

    def next_presses(self) -> list[Press]:
        """Wait for keys.

        Raises
        ------
        Paused
            At the key that pauses.
        """
        while not (presses := self.responses.presses()):
            self.display.require_open()
            self.clock.rest_until(self.clock.now() + POLL_S)
        if any(press.key == PAUSE_KEY for press in presses):
            raise Paused
        return presses


@dataclass
class SimulatedNamer:
    """Names images as the settings of the simulated participant say, by typing.

    Parameters
    ----------
    hands : SimulatedParticipant
        Who presses.
    shares : ParticipantSettings
        How often which type is named as what.
    choices : tuple of Choice
        The list.
    rng : Generator
        Chance.
    """

    hands: SimulatedParticipant
    shares: ParticipantSettings
    choices: tuple[Choice, ...]
    rng: Generator

    def name(self, image: Stimulus, *, shown_s: float, levels: int) -> None:
        """Type an answer to an image: what it was made from, what the network takes it for, noise, or another name."""
        base, target = {"RE": (self.shares.names_re, 0.0), "AI": (self.shares.names_ai, self.shares.names_target),
                        "AN": (self.shares.names_an, 0.0)}[image.type]
        chance, names = float(self.rng.random()), {one.category: one.name for one in self.choices}
        if chance < base:
            category = image.category
        elif chance < base + target and image.target_category in names:
            category = str(image.target_category)
        else:
            category = ""
        option = Option(LIST, names[category], category) if category else Option(NOISE, "")
        keys = keys_for(option, choices=self.choices, confidence=int(self.rng.integers(1, levels + 1)))
        for k, key in enumerate(keys, start=1):
            self.hands.press(key, at_s=shown_s + self.shares.rt_mean_s + k * TYPING_S)


def order(manifest: Manifest, settings: Settings, *, sub: str) -> tuple[Stimulus, ...]:
    """Put the images in the order in which a subject names them: of chance, by the study's seed, RE last or not."""
    random = rng(settings.study.seed, sub, "naming order")
    mixed = [manifest.stimuli[int(k)] for k in random.permutation(len(manifest.stimuli))]
    if settings.naming.order == "mixed":
        return tuple(mixed)
    return (*(one for one in mixed if one.type != "RE"), *(one for one in mixed if one.type == "RE"))


def name_images(layout: Layout, settings: Settings, *, sub: str, ses: str = SESSION, display: str,
                fullscreen: bool = True, most: int | None = None) -> Named:
    """Let a subject name the images of the set that they have not named yet.

    Parameters
    ----------
    layout, settings
        The study.
    sub, ses : str
        Who, and the label of the session.
    display : {"window", "xvfb", "virtual"}
        A screen, or nowhere, in virtual time, with a simulated participant.
    fullscreen : bool
        Whether the window fills the screen.
    most : int, optional
        After how many images to pause.

    Returns
    -------
    Named
        Also of a naming that was paused; the table holds what has been named.

    Raises
    ------
    StudyError
        Before anything is shown: for names or characters that are missing, images that are not what the manifest
        says, answers to another set.
    """
    profile, manifest = load_profile(layout, sub), read_manifest(layout.manifest)
    choices = load_choices(settings, categories=(one.category for one in manifest.stimuli), root=layout.root)
    texts = load_texts(layout, settings, more=[TYPED, *(one.name for one in choices)])
    path, images = layout.naming_answers(sub, ses), order(manifest.shown_to(sub), settings, sub=sub)
    said = _said(settings, choices=choices, simulated=display == "virtual")
    with locked(layout.profile(sub).parent, what=f"the naming of sub-{sub}", name=f".{path.stem}.lock"):
        done = read_answers(path)
        _require_same(path, done, images=images)
        require_begun(path, said if done else None)
        left = list(enumerate(images, start=1))[len(done):]
        pixels = {one.image_id: read_pixels(layout.stimuli, one) for _, one in left}
        with _desk(settings, profile=profile, choices=choices, display=display, fullscreen=fullscreen) as desk:
            begin(path, said)
            try:
                with contextlib.suppress(Paused):
                    if left:
                        _introduce(desk, texts)
                    for trial, image in left[:most]:
                        answer = _name_one(desk, texts, image=image, pixels=pixels[image.image_id],
                                           choices=choices, place=(trial, len(images)))
                        keep_answer(path, answer)
                        done.append(answer)
            finally:  # whatever ends it: a window that is closed, Ctrl-C
                table = write_naming(layout, sub=sub, ses=ses, manifest=manifest, answers=done, said={
                    **said, "TaskDescription": DESCRIPTION,
                    "Instructions": "\n".join(texts.wording.paragraphs("naming", "intro"))}) if done else None
            _say_end(desk, texts, whole=len(done) == len(images))
    return Named(sub, len(images), len(done), table)


def _said(settings: Settings, *, choices: Sequence[Choice], simulated: bool) -> dict[str, Any]:
    """Say how images are named, in the same way from the first to the last."""
    naming = settings.naming
    return {"order": naming.order, "confidence_levels": naming.confidence_levels, "image_deg": naming.image_deg,
            "n_choices": len(choices), "names": digest_json([asdict(one) for one in choices]),
            "Language": settings.instructions.language, "Simulated": simulated}


def _require_same(path: Path, done: Sequence[NamingAnswer], *, images: Sequence[Stimulus]) -> None:
    """See that what was named is the beginning of the order that is left to be named."""
    if len(done) > len(images):
        raise RunLogError(str(path), came=f"{len(done)} answers", expected=f"at most {len(images)}, as many as images",
                          remedy="Restore it, or name in another session (--ses); nothing was shown.")
    for answer, image in zip(done, images, strict=False):
        if answer.image_id != image.image_id:
            raise RunLogError(str(path), came=f"image {answer.image_id} at place {answer.trial}",
                              expected=f"{image.image_id}, as this set, seed and naming.order have it",
                              remedy="Restore them, or name in another session (--ses); nothing was shown.")


@contextlib.contextmanager
def _desk(settings: Settings, *, profile: SubjectProfile, choices: tuple[Choice, ...], display: str,
          fullscreen: bool) -> Iterator[Desk]:
    shown = settings.display
    if display == "virtual":
        require_virtual(profile, what="for simulated naming")
        clock, chance = VirtualClock(), rng(settings.study.seed, profile.sub, "simulated namer")
        hands = SimulatedParticipant(clock, answers={}, answering=settings.participant, rng=chance)
        screen = RecordingDisplay(clock, size_px=(shown.width_px, shown.height_px), refresh_hz=shown.refresh_hz)
        screen.open()
        hands.open()
        namer = SimulatedNamer(hands, settings.participant, choices, np.random.default_rng(chance))
        yield Desk(clock, screen, hands, shown.background, namer)
        return
    hardware = HardwareClock()
    place = find_place(settings, display=display, fullscreen=fullscreen)
    from paradigms.devices.console_window import open_console

    with open_console(settings, clock=hardware, fullscreen=fullscreen, trigger_key="", screen=place.screen,
                      every_key=True) as console:  # a keyboard is typed on: no key is a trigger's
        yield Desk(hardware, console.display, console.responses, shown.background)


def _introduce(desk: Desk, texts: Texts) -> None:
    say = texts.wording
    shown_s = desk.show(texts.draw(TextScreen(say.say("naming", "intro_title"), say.paragraphs("naming", "intro"),
                                              footer=say.say("naming", "begin"))))
    if desk.simulated is not None:
        desk.simulated.hands.press("return", at_s=shown_s + 1.0)
    while not any(press.key == "return" for press in desk.next_presses()):
        pass


def _name_one(desk: Desk, texts: Texts, *, image: Stimulus, pixels: Pixels, choices: tuple[Choice, ...],
              place: tuple[int, int]) -> NamingAnswer:
    naming, display = texts.settings.naming, texts.settings.display
    entry = Entry(choices, naming.confidence_levels)
    page, side = texts.page(display.background), round(display.px_for(naming.image_deg))

    def draw(state: Entry) -> Pixels:
        return draw_entry(state, image=pixels, image_px=side, page=page, wording=texts.wording, place=place)

    shown_s = named_s = ended_s = desk.show(draw(entry))
    if desk.simulated is not None:
        desk.simulated.name(image, shown_s=shown_s, levels=naming.confidence_levels)
    while entry.confidence is None:
        before = entry
        for press in desk.next_presses():
            after = entry.take(press.key)
            if after.named is not None and entry.named is None:
                named_s = press.stamp_s
            if after.confidence is not None and entry.confidence is None:
                ended_s = press.stamp_s
            entry = after if entry.confidence is None else entry
        if entry != before and entry.confidence is None:
            desk.show(draw(entry))
    assert entry.named is not None
    return NamingAnswer(place[0], image.image_id, entry.named.words or None, entry.named.kind, entry.named.category,
                        entry.confidence, round(named_s - shown_s, 6), round(ended_s - named_s, 6))


def _say_end(desk: Desk, texts: Texts, *, whole: bool) -> None:
    """Say goodbye for a moment."""
    said = texts.wording.say("naming", "over" if whole else "paused")
    until_s = desk.show(texts.draw(TextScreen(said))) + OVER_S
    while desk.clock.now() < until_s:
        desk.display.require_open()
        desk.clock.rest_until(min(until_s, desk.clock.now() + 0.2))
