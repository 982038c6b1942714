"""The map-collecting task: a participant uncovers in each regular image what identifies it (ClickMe)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from numpy.random import Generator

from paradigms.console.clickme.canvas import STEP_SHARE, Canvas, Views, draw_canvas
from paradigms.console.clickme.files import Uncovered, keep_uncovered, read_uncovered, write_maps
from paradigms.devices.protocols import HardwareClock, Pixels
from paradigms.emulation.participant import SimulatedParticipant
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.assembly import find_place
from paradigms.playing.naming import OVER_S, PAUSE_KEY, POLL_S, TYPING_S, Desk, Paused
from paradigms.texts.pictures import TextScreen
from paradigms.texts.screens import Texts, load_texts
from stimuli.manifest import Manifest, Stimulus, read_manifest, read_pixels
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.profile import load_profile, require_virtual
from subjects.provenance import rng
from subjects.settings.study import Settings
from subjects.store import locked

SESSION = "clickme"
N_SIMULATED, SPREAD_SHARE = 6, 0.15
"""How many disks a simulated participant uncovers, about the middle, and their spread as a share of the side."""


@runtime_checkable
class Pointing(Protocol):
    """A display with a mouse."""

    def pointer(self) -> tuple[float, float, bool]:
        """Give where the mouse is, px from the left and the top, and whether a button is held."""


@dataclass(frozen=True)
class Collected:
    """How far a participant's maps have come."""

    sub: str
    n_images: int
    n_done: int
    maps: tuple[Path, ...] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether every image was finished."""
        return self.n_done == self.n_images

    def summary(self) -> str:
        """Say it in one line."""
        state = "complete" if self.complete else "paused: the same command goes on"
        where = f"; maps: {self.maps[0].parent}" if self.maps else ""
        return f"importance maps of sub-{self.sub}: {self.n_done} of {self.n_images} images, {state}{where}"


@dataclass
class SimulatedHands:
    """Uncovers the middle of every image, and a little of chance, with the keys."""

    hands: SimulatedParticipant
    rng: Generator

    def uncover(self, canvas: Canvas, *, shown_s: float) -> None:
        """Press the keys for one image."""
        step, keys, at = STEP_SHARE * canvas.radius, [], list(canvas.at)
        for _ in range(N_SIMULATED):
            aim = self.rng.normal(canvas.side / 2.0, SPREAD_SHARE * canvas.side, 2)
            for axis, (less, more) in enumerate((("left", "right"), ("up", "down"))):
                n = round((min(max(aim[axis], 0.0), canvas.side - 1.0) - at[axis]) / step)
                keys += [more if n > 0 else less] * abs(n)
                at[axis] = min(max(at[axis] + n * step, 0.0), canvas.side - 1.0)
            keys.append("space")
        for k, key in enumerate([*keys, "return"], start=1):
            self.hands.press(key, at_s=shown_s + k * TYPING_S)


def order(manifest: Manifest, *, seed: int, sub: str) -> tuple[Stimulus, ...]:
    """Put the regular images in the order in which a participant sees them: of chance, by the study's seed."""
    regular = [one for one in manifest.stimuli if one.type == "RE"]
    return tuple(regular[int(k)] for k in rng(seed, sub, "clickme order").permutation(len(regular)))


def collect_maps(layout: Layout, settings: Settings, *, sub: str, ses: str = SESSION, display: str,
                 fullscreen: bool = True, most: int | None = None) -> Collected:
    """Let a participant uncover what identifies the regular images that they have not finished yet.

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
    Collected
        Also of a task that was paused; the maps of what was finished are on the disk.

    Raises
    ------
    StudyError
        Before anything is shown: for images that are not what the manifest says, or answers to another set.
    """
    profile, manifest = load_profile(layout, sub), read_manifest(layout.manifest)
    if display == "virtual":
        require_virtual(profile, what="for simulated importance maps")
    images = order(manifest, seed=settings.study.seed, sub=sub)
    texts = load_texts(layout, settings, more=[one.category for one in images])
    path, pixels = layout.clickme_answers(sub, ses), {one.image_id: read_pixels(layout.stimuli, one) for one in images}
    with locked(layout.profile(sub).parent, what=f"the maps of sub-{sub}", name=f".{path.stem}.lock"):
        done = read_uncovered(path)
        _require_same(path, done, images=images)
        left = list(enumerate(images, start=1))[len(done):]
        with _desk(settings, sub=sub, display=display, fullscreen=fullscreen) as (desk, hands):
            with contextlib.suppress(Paused):
                if left:
                    _introduce(desk, texts, hands=hands)
                for trial, image in left[:most]:
                    answer = _uncover_one(desk, texts, image=image, pixels=pixels[image.image_id], hands=hands,
                                          place=(trial, len(images)))
                    keep_uncovered(path, answer)
                    done.append(answer)
            _say_end(desk, texts, whole=len(done) == len(images))
        maps = write_maps(layout, sub=sub, ses=ses, answers=done, images=pixels, simulated=display == "virtual")
    return Collected(sub, len(images), len(done), maps)


def _require_same(path: Path, done: Sequence[Uncovered], *, images: Sequence[Stimulus]) -> None:
    """See that what was finished is the beginning of the order that is left."""
    wanted = [one.image_id for one in images][:len(done)]
    for answer, image_id in zip(done, wanted, strict=False):
        if answer.image_id != image_id:
            raise RunLogError(str(path), came=f"image {answer.image_id} at place {answer.trial}",
                              expected=f"{image_id}, as this set and seed have it",
                              remedy="Restore them, or collect in another session (--ses); nothing was shown.")
    if len(done) > len(images):
        raise RunLogError(str(path), came=f"{len(done)} answers", expected=f"at most {len(images)}, as many as images",
                          remedy="Restore the set, or collect in another session (--ses); nothing was shown.")


@contextlib.contextmanager
def _desk(settings: Settings, *, sub: str, display: str,
          fullscreen: bool) -> Iterator[tuple[Desk, SimulatedHands | None]]:
    shown = settings.display
    if display == "virtual":
        clock, chance = VirtualClock(), rng(settings.study.seed, sub, "simulated clickme")
        hands = SimulatedParticipant(clock, answers={}, answering=settings.participant, rng=chance)
        screen = RecordingDisplay(clock, size_px=(shown.width_px, shown.height_px), refresh_hz=shown.refresh_hz)
        screen.open()
        hands.open()
        yield Desk(clock, screen, hands, shown.background), SimulatedHands(hands, chance)
        return
    hardware = HardwareClock()
    place = find_place(settings, display=display, fullscreen=fullscreen)
    from paradigms.devices.console_window import open_console

    with open_console(settings, clock=hardware, fullscreen=fullscreen, trigger_key="", screen=place.screen,
                      every_key=True) as console:
        yield Desk(hardware, console.display, console.responses, shown.background), None


def _introduce(desk: Desk, texts: Texts, *, hands: SimulatedHands | None) -> None:
    say = texts.wording
    shown_s = desk.show(texts.draw(TextScreen(say.say("clickme", "intro_title"), say.paragraphs("clickme", "intro"),
                                              footer=say.say("clickme", "begin"))))
    if hands is not None:
        hands.hands.press("return", at_s=shown_s + 1.0)
    while not any(press.key == "return" for press in desk.next_presses()):
        pass


def _uncover_one(desk: Desk, texts: Texts, *, image: Stimulus, pixels: Pixels, hands: SimulatedHands | None,
                 place: tuple[int, int]) -> Uncovered:
    display, side = texts.settings.display, len(pixels)
    page, views = texts.page(display.background), Views.on(desk.display.size_px)
    canvas = Canvas(side, (side / 2.0, side / 2.0))

    def draw(state: Canvas) -> Pixels:
        return draw_canvas(state, image=pixels, name=image.category, page=page, wording=texts.wording, place=place)

    shown_s = desk.show(draw(canvas))
    if hands is not None:
        hands.uncover(canvas, shown_s=shown_s)
    while not canvas.done:
        before = canvas
        canvas = _next(desk, canvas, views=views)
        if canvas != before and not canvas.done:
            desk.show(draw(canvas))
    return Uncovered(place[0], image.image_id, side, canvas.disks, round(desk.clock.now() - shown_s, 3))


def _next(desk: Desk, canvas: Canvas, *, views: Views) -> Canvas:
    """Give what keys and mouse make of the canvas; wait a moment where they do nothing."""
    presses = desk.responses.presses()
    for press in presses:
        if press.key == PAUSE_KEY:
            raise Paused
        canvas = canvas if canvas.done else canvas.take(press.key)
    if isinstance(desk.display, Pointing):
        x, y, held = desk.display.pointer()
        canvas = canvas.touch(views.point((x, y), side=canvas.side)) if held and not canvas.done else canvas
    if not presses:
        desk.display.require_open()
        desk.clock.rest_until(desk.clock.now() + POLL_S)
    return canvas


def _say_end(desk: Desk, texts: Texts, *, whole: bool) -> None:
    """Say goodbye for a moment."""
    said = texts.wording.say("clickme", "over" if whole else "paused")
    until_s = desk.show(texts.draw(TextScreen(said))) + OVER_S
    while desk.clock.now() < until_s:
        desk.display.require_open()
        desk.clock.rest_until(min(until_s, desk.clock.now() + 0.2))
