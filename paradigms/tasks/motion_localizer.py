"""Localizer of hMT+: dots that do not move for a while, then move in and out, on black."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from paradigms.detection import EPS_S
from paradigms.devices.protocols import Frame
from paradigms.program import STEP, Moment, Program, changes, moments
from paradigms.schedule import BLANK, Event, Schedule
from paradigms.tasks.dots import DotField, make_dots, plan_flow, screen_px
from paradigms.tasks.fixation_task import color_at, plan_marks
from paradigms.tasks.planning import DetectionTask, require_run
from paradigms.tasks.protocol import Picture, Pictures
from subjects.profile import SubjectProfile
from subjects.provenance import derive_seed
from subjects.provenance import rng as generator
from subjects.run_key import RunKey
from subjects.settings.paradigms import Color, MotionSettings
from subjects.settings.study import Settings

TASK = "motion"
STATIC, MOVING = "static", "moving"
LEVELS = {STATIC: "dots that do not move", MOVING: "dots that move in and out; category says which way first",
          BLANK: "no dots, only the fixation point"}
_FIRST = {"outward": 1, "inward": -1}
GRID_S = 0.1


def make_schedule(settings: Settings, *, key: RunKey) -> Schedule:
    """Plan one run of the hMT+ localizer.

    Parameters
    ----------
    settings : Settings
        The study's settings.
    key : RunKey
        Which run of whom.

    Returns
    -------
    Schedule
        With the protocol's settings 8 s blank, 10 times 24 s static and 8 s moving dots, 8 s blank: 336 s. Half of
        the moving periods begin outward, in random order. The dots' paths follow from the schedule's seed.

    Raises
    ------
    ScheduleError
        For a run that is not planned.
    """
    section = settings.motion
    require_run(section.runs, key=key)
    seed = derive_seed(settings.study.seed, key.sub, key.ses, TASK, key.run, "order")
    rng = np.random.default_rng(seed)
    return Schedule(
        study=settings.study.name, task=TASK, sub=key.sub, ses=key.ses, run=key.run, seed=seed,
        tr_s=settings.scanner.tr_s, n_volumes=round(section.duration_s / settings.scanner.tr_s),
        duration_s=section.duration_s, events=tuple(_events(section, rng=rng)), manifest_digest="none",
        settings_digest=settings.digest,
        marks=plan_marks(section, duration_s=section.duration_s, grid_s=GRID_S, rng=rng))


def _events(section: MotionSettings, *, rng: Generator) -> Iterator[Event]:
    first = rng.permutation([name for k in range(section.blocks) for name in [list(_FIRST)[k % 2]]])
    parts: list[tuple[str, float, str | None]] = [(BLANK, section.lead_s, None)]
    for way in first:
        parts += [(STATIC, section.static_s, None), (MOVING, section.moving_s, str(way))]
    parts.append((BLANK, section.lead_s, None))
    onset = 0.0
    for index, (kind, duration, way) in enumerate((kind, s, way) for kind, s, way in parts if s > 0.0):
        yield Event(index=index, onset_s=onset, duration_s=duration, trial_type=kind, category=way)
        onset += duration


@dataclass(frozen=True, eq=False)
class Player:
    """What a run draws, as a function of time."""

    schedule: Schedule
    settings: Settings

    @cached_property
    def dots(self) -> DotField:
        """The dots' paths over the moving time of the whole run."""
        section = self.settings.motion
        flow = plan_flow([_FIRST[str(event.category)] for event in self._moving], moving_s=section.moving_s,
                         direction_s=section.direction_s)
        return make_dots(section, flow=flow, rng=generator(self.schedule.seed, "dots"))

    @cached_property
    def _moving(self) -> tuple[Event, ...]:
        return tuple(event for event in self.schedule.events if event.trial_type == MOVING)

    def moved_s(self, t: float) -> float:
        """Say for how long the dots have moved `t` seconds after the first counted pulse."""
        return sum(min(max(t - event.onset_s, 0.0), event.duration_s) for event in self._moving)

    def dots_at(self, t: float) -> NDArray[np.float64]:
        """Give the dots' places at a time, float64 (n_dots, 2) in degrees; none in a blank.

        Static dots are where the moving period before left them, and where the next one takes them up.
        """
        shown = any(event.trial_type != BLANK and event.onset_s - EPS_S <= t < event.end_s - EPS_S
                    for event in self.schedule.events)
        return self.dots.at(self.moved_s(t)) if shown else np.zeros((0, 2))

    def frame_at(self, t: float) -> Frame:
        """Say what is drawn at a time."""
        section, display = self.settings.motion, self.settings.display
        places = self.dots_at(t)
        return Frame(image_id=None, image_px=display.px_for(section.side_deg),
                     fixation_px=display.px_for(section.fixation_deg),
                     fixation_color=color_at(self.schedule.marks, t), background=section.background,
                     surround_px=display.px_for(section.surround_deg),
                     dots_px=screen_px(places, display) if len(places) else None,
                     dot_px=display.px_for(section.dot_deg), dot_level=section.dot_level)


def movie_steps(schedule: Schedule, settings: Settings) -> Iterator[Moment]:
    """List a step for every frame (or every few) of the moving periods, each worth showing until the next."""
    step_s = settings.motion.frames_per_step / settings.display.refresh_hz
    for event in schedule.events:
        if event.trial_type == MOVING:
            for k in range(int(np.ceil(event.duration_s / step_s - EPS_S))):
                at = event.onset_s + k * step_s
                yield Moment(at, STEP, event.index, step=k, until_s=at + step_s)


def program(schedule: Schedule, settings: Settings) -> Program:
    """Say how a run of the hMT+ localizer is drawn and answered."""
    player = Player(schedule, settings)
    planned = moments(schedule, steps=movie_steps(schedule, settings))
    return Program(blank=player.frame_at(-1.0), changes=partial(changes, planned, frame_at=player.frame_at),
                   keys=(settings.motion.press_key,), image_px=settings.display.px_for(settings.motion.side_deg))


class MotionLocalizer(DetectionTask):
    """The hMT+ localizer as a paradigm."""

    name: ClassVar[str] = TASK
    levels: ClassVar[Mapping[str, str]] = LEVELS

    def practice_frame(self, image_id: str | None, *, color: Color, rng: Generator) -> Frame:  # noqa: ARG002
        """Draw dots that stand still."""
        section, display = self.settings.motion, self.settings.display
        places = rng.uniform(-0.5, 0.5, (round(section.density * section.side_deg ** 2), 2)) * section.side_deg
        places = places[np.hypot(*places.T) >= section.inner_deg]
        return Frame(image_id=None, image_px=display.px_for(section.side_deg),
                     fixation_px=display.px_for(section.fixation_deg), fixation_color=color,
                     background=section.background, surround_px=display.px_for(section.surround_deg),
                     dots_px=screen_px(places, display), dot_px=display.px_for(section.dot_deg),
                     dot_level=section.dot_level)

    def make_schedule(self, *, key: RunKey, profile: SubjectProfile,  # noqa: ARG002 - a task's signature
                      pictures: Pictures) -> Schedule:  # noqa: ARG002 - dots are drawn, not read
        """Plan one run."""
        return make_schedule(self.settings, key=key)

    def session_pictures(self, *, sub: str, ses: str,  # noqa: ARG002 - dots are drawn, not read
                         pictures: Pictures) -> Sequence[Picture]:  # noqa: ARG002
        """List no pictures."""
        return ()

    def program(self, schedule: Schedule) -> Program:
        """Say what is drawn, and when."""
        return program(schedule, self.settings)
