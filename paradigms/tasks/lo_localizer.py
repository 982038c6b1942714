"""Localizer of the lateral occipital cortex: blocks of intact and of scrambled images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from paradigms.detection import EPS_S
from paradigms.devices.protocols import Frame
from paradigms.program import Program, changes, moments
from paradigms.schedule import BLANK, Event, Mark, Schedule
from paradigms.tasks.fixation_task import color_at, plan_marks
from paradigms.tasks.planning import DetectionTask, Texture, require_run, textures_digest
from paradigms.tasks.protocol import Picture, Pictures, PracticePicture, PracticeTrial
from subjects.errors import ScheduleError
from subjects.profile import SubjectProfile
from subjects.provenance import derive_seed
from subjects.run_key import RunKey
from subjects.settings.paradigms import Color, LoSettings
from subjects.settings.study import Settings

TASK = "lo"
INTACT, SCRAMBLED = "intact", "scrambled"
LEVELS = {INTACT: "an intact image", SCRAMBLED: "the same image, scrambled",
          BLANK: "a blank block, only the fixation point"}
GRID_S = 0.1
Shown = tuple[str, int, bool]
"""Kind, number of the picture, and whether it is the one before it again."""


def make_schedule(settings: Settings, *, textures: Sequence[Texture], key: RunKey) -> Schedule:
    """Plan one run of the LO localizer.

    Parameters
    ----------
    settings : Settings
        The study's settings; ``lo.design`` says whether intact and scrambled images alternate block by block
        (``"blocks"``) or image by image (``"within"``), ``lo.task`` what is to be answered.
    textures : sequence of Texture
        The table of textures. The k-th row of the kinds ``lo.intact`` and the k-th of ``lo.scrambled`` are one picture.
    key : RunKey
        Which run of whom.

    Returns
    -------
    Schedule
        Events are images and blank blocks. Odd runs begin with intact images, even ones with scrambled; every
        picture of an intact block is shown scrambled in the next one, and pictures are shown about equally often.
        With the protocol's settings 21 blocks of 16 s.

    Raises
    ------
    ScheduleError
        For a run that is not planned, or pictures that are too few or have no partner.
    """
    section = settings.lo
    require_run(section.runs, key=key)
    seed = derive_seed(settings.study.seed, key.sub, key.ses, TASK, key.run, "order")
    rng = np.random.default_rng(seed)
    pairs = _pairs(textures, section=section)
    # Runs are counted over the sessions, so that one run a session is counterbalanced too.
    odd = (sum(section.runs[:int(key.ses) - 1]) + key.run) % 2 == 1
    kinds = (INTACT, SCRAMBLED) if odd else (SCRAMBLED, INTACT)
    blocks = list(_blocks(section, kinds=kinds, n_pictures=len(pairs), rng=rng))
    return Schedule(
        study=settings.study.name, task=TASK, sub=key.sub, ses=key.ses, run=key.run, seed=seed,
        tr_s=settings.scanner.tr_s, n_volumes=round(section.duration_s / settings.scanner.tr_s),
        duration_s=section.duration_s, events=tuple(_events(section, blocks=blocks, pairs=pairs)),
        manifest_digest=textures_digest(textures), settings_digest=settings.digest, variant=section.design,
        marks=_marks(section, rng=rng))


def _marks(section: LoSettings, *, rng: Generator) -> tuple[Mark, ...]:
    if section.task == "one_back":
        return (Mark(0, 0.0, section.fixation_colors[0]),)
    return plan_marks(section, duration_s=section.duration_s, grid_s=GRID_S, rng=rng)


def _pairs(textures: Sequence[Texture], *, section: LoSettings) -> list[dict[str, Texture]]:
    intact = [one for one in textures if one.kind in section.intact]
    scrambled = [one for one in textures if one.kind in section.scrambled]
    needed = _distinct(section)
    if len(intact) != len(scrambled) or len(intact) < needed:
        raise ScheduleError("LO textures", came=f"{len(intact)} of kind {', '.join(section.intact)} and "
                            f"{len(scrambled)} of kind {', '.join(section.scrambled)}",
                            expected=f"{needed} or more of each, as many of one as of the other",
                            remedy="Render the textures again.")
    return [{INTACT: whole, SCRAMBLED: broken} for whole, broken in zip(intact, scrambled, strict=True)]


def _distinct(section: LoSettings) -> int:
    """Give the number of different pictures in a block."""
    if section.design == "within":
        return section.images_per_block // 2
    return section.images_per_block - (section.repeats if section.task == "one_back" else 0)


def _blocks(section: LoSettings, *, kinds: tuple[str, str], n_pictures: int, rng: Generator) -> Iterator[list[Shown]]:
    distinct = _distinct(section)
    draws = _pictures(n_pictures, size=distinct, rng=rng)
    pictures: list[int] = []
    for block in range(section.blocks):
        if section.design == "within":
            pictures = next(draws)
            orders = [rng.permutation(pictures) for _ in kinds]
            yield [(kinds[k % 2], int(orders[k % 2][k // 2]), False) for k in range(section.images_per_block)]
            continue
        pictures = next(draws) if block % 2 == 0 else [int(k) for k in rng.permutation(pictures)]
        n_repeats = section.images_per_block - distinct
        again = _repeat_places(section.images_per_block, n=n_repeats, rng=rng)
        queue = iter(pictures)
        shown: list[Shown] = []
        for k in range(section.images_per_block):
            shown.append((kinds[block % 2], shown[-1][1] if k in again else next(queue), k in again))
        yield shown


def _pictures(n: int, *, size: int, rng: Generator) -> Iterator[list[int]]:
    """Deal pictures out in hands of `size`: none twice in a hand, none again before all were dealt, or nearly so."""
    deck: list[int] = []
    while True:
        hand = deck[:size]
        deck = deck[size:]
        if len(hand) < size:
            fresh = [int(k) for k in rng.permutation(n)]
            add = [k for k in fresh if k not in hand][:size - len(hand)]
            deck = [k for k in fresh if k not in add]
            hand += add
        yield hand


def _repeat_places(size: int, *, n: int, rng: Generator) -> set[int]:
    """Draw `n` places from 1 to `size` - 1, no two beside each other, all choices alike."""
    picked = np.sort(rng.choice(size - n, n, replace=False)) if n else np.zeros(0, dtype=int)
    return {int(place) + k + 1 for k, place in enumerate(picked)}


def _events(section: LoSettings, *, blocks: list[list[Shown]], pairs: list[dict[str, Texture]]) -> Iterator[Event]:
    showings: Counter[str] = Counter()
    index, start = 0, 0.0
    for number in range(len(blocks) + 1):
        if number % section.blocks_per_blank == 0:
            yield Event(index=index, onset_s=start, duration_s=section.block_s, trial_type=BLANK)
            index, start = index + 1, start + section.block_s
        for k, (kind, picture, again) in enumerate(blocks[number] if number < len(blocks) else ()):
            image = pairs[picture][kind]
            showings[image.texture_id] += 1
            yield Event(index=index, onset_s=round(start + k * (section.image_s + section.gap_s), 9),
                        duration_s=section.image_s, trial_type=kind, image_id=image.texture_id, stim_file=image.file,
                        presentation=showings[image.texture_id], correct_key=section.press_key if again else None)
            index += 1
        start += section.block_s


def frame_for(settings: Settings, *, image_id: str | None, color: tuple[int, int, int]) -> Frame:
    """Say what the LO localizer draws: the image if there is one, and always the fixation point."""
    section, display = settings.lo, settings.display
    return Frame(image_id=image_id, image_px=display.px_for(section.image_deg),
                 fixation_px=display.px_for(section.fixation_deg), fixation_color=color,
                 background=display.background, surround_px=display.px_for(section.surround_deg))


@dataclass(frozen=True, eq=False)
class Player:
    """What a run draws, as a function of time."""

    schedule: Schedule
    settings: Settings

    def frame_at(self, t: float) -> Frame:
        """Say what is drawn `t` seconds after the first counted pulse."""
        at = t + EPS_S
        image_id = next((event.image_id for event in self.schedule.events if event.onset_s <= at < event.end_s), None)
        return frame_for(self.settings, image_id=image_id, color=color_at(self.schedule.marks, t))


def program(schedule: Schedule, settings: Settings) -> Program:
    """Say how a run of the LO localizer is drawn and answered."""
    player = Player(schedule, settings)
    return Program(blank=player.frame_at(-1.0), changes=partial(changes, moments(schedule), frame_at=player.frame_at),
                   keys=(settings.lo.press_key,), image_px=settings.display.px_for(settings.lo.image_deg))


class LoLocalizer(DetectionTask):
    """The LO localizer as a paradigm."""

    name: ClassVar[str] = TASK
    levels: ClassVar[Mapping[str, str]] = LEVELS

    @property
    def texts(self) -> str:
        """The texts of the task that the settings ask for."""
        return "lo_one_back" if self.settings.lo.task == "one_back" else self.name

    def practice(self, *, profile: SubjectProfile, pictures: Sequence[PracticePicture], n_trials: int,
                 rng: Generator) -> Sequence[PracticeTrial]:
        """Let the point change its colour, or, with ``lo.task = "one_back"``, show some pictures and the last again."""
        if self.settings.lo.task != "one_back" or not pictures:
            return super().practice(profile=profile, pictures=pictures, n_trials=n_trials, rng=rng)
        section, trials = self.settings.lo, []
        frames = [frame_for(self.settings, image_id=one, color=section.fixation_colors[0])
                  for one in (None, *(picture.picture_id for picture in pictures))]
        blank, shown = (frames[0], section.gap_s), frames[1:]
        for _ in range(n_trials):
            order = rng.permutation(len(shown))[:int(rng.integers(2, 5))]
            steps = [part for k in (*order, order[-1]) for part in ((shown[int(k)], section.image_s), blank)]
            trials.append(PracticeTrial((*steps[:-2], (steps[-2][0], section.hit_window_s)), section.press_key,
                                        waits=True))
        return tuple(trials)

    def practice_frame(self, image_id: str | None, *, color: Color, rng: Generator) -> Frame:  # noqa: ARG002 - no dots
        """Draw a picture as a run does."""
        return frame_for(self.settings, image_id=image_id, color=color)

    def make_schedule(self, *, key: RunKey, profile: SubjectProfile,  # noqa: ARG002 - a task's signature
                      pictures: Pictures) -> Schedule:
        """Plan one run."""
        return make_schedule(self.settings, key=key, textures=pictures.textures.rows)

    def session_pictures(self, *, sub: str, ses: str,  # noqa: ARG002 - the same for everyone
                         pictures: Pictures) -> Sequence[Picture]:
        """List the intact and the scrambled pictures."""
        kinds = (*self.settings.lo.intact, *self.settings.lo.scrambled)
        return [pictures.texture(row) for row in pictures.textures.rows if row.kind in kinds]

    def program(self, schedule: Schedule) -> Program:
        """Say what is drawn, and when."""
        return program(schedule, self.settings)
