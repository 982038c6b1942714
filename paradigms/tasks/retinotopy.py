"""Retinotopic mapping: textures that change fifteen times a second, seen through a wedge, ring or bar that moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from paradigms.detection import EPS_S
from paradigms.devices.protocols import Frame
from paradigms.program import STEP, Moment, Program, changes, moments
from paradigms.runlog import Record
from paradigms.schedule import BLANK, Event, Schedule
from paradigms.tasks.aperture_files import export_apertures
from paradigms.tasks.aperture_movie import BAR_DIRECTIONS, Movie, Segment, movie, segments
from paradigms.tasks.fixation_task import color_at, plan_marks
from paradigms.tasks.planning import DetectionTask, Texture, require_run, textures_digest
from paradigms.tasks.protocol import Picture, Pictures
from stimuli.apertures import Grid, fixation_grid, mask, screen_grid
from subjects.errors import ScheduleError
from subjects.layout import Layout
from subjects.profile import SubjectProfile
from subjects.provenance import derive_seed
from subjects.run_key import RunKey
from subjects.settings.paradigms import Color, RetinotopySettings
from subjects.settings.study import Settings

TASK = "retinotopy"
MAX_KEPT = 512
"""Masks kept for the next cycle: all of a wedge or ring, 32 MiB at 256 pixels."""
LEVELS = {
    "wedge_ccw": "a cycle of a wedge that turns counter-clockwise",
    "wedge_cw": "a cycle of a wedge that turns clockwise",
    "ring_expand": "a sweep of a ring from fixation to the rim",
    "ring_contract": "a sweep of a ring from the rim to fixation",
    "bar": "a sweep of a bar; category says from where to where", BLANK: "no aperture, only the fixation point"}


def make_schedule(settings: Settings, *, textures: Sequence[Texture], key: RunKey) -> Schedule:
    """Plan one run of retinotopic mapping.

    Parameters
    ----------
    settings : Settings
        The study's settings; ``retinotopy.runs`` says which aperture this run shows.
    textures : sequence of Texture
        The table of textures; those of ``retinotopy.kinds`` are used.
    key : RunKey
        Which run of whom.

    Returns
    -------
    Schedule
        Events are the cycles, sweeps and blanks; `steps` has a texture for every step with an aperture, none of
        them twice in a row. With the protocol's settings 300 s, 4500 steps.

    Raises
    ------
    ScheduleError
        For a run that is not planned, or too few textures.
    """
    section = settings.retinotopy
    require_run([len(kinds) for kinds in section.runs], key=key)
    variant = section.runs[int(key.ses) - 1][key.run - 1]
    seed = derive_seed(settings.study.seed, key.sub, key.ses, TASK, key.run, "order")
    rng = np.random.default_rng(seed)
    parts, duration_s = segments(section, variant), section.duration_s(variant)
    chosen = _chosen(textures, section=section, rng=rng)
    index = movie(section, variant).index
    steps = np.where(index > 0, draw_sequence(len(index), n_textures=len(chosen), rng=rng), -1)
    return Schedule(
        study=settings.study.name, task=TASK, sub=key.sub, ses=key.ses, run=key.run, seed=seed,
        tr_s=settings.scanner.tr_s, n_volumes=round(duration_s / settings.scanner.tr_s), duration_s=duration_s,
        events=tuple(_event(k, part, step_hz=section.step_hz) for k, part in enumerate(parts)),
        manifest_digest=textures_digest(textures), settings_digest=settings.digest, variant=variant,
        textures=tuple(one.texture_id for one in chosen), steps=tuple(int(k) for k in steps),
        step_s=1.0 / section.step_hz,
        marks=plan_marks(section, duration_s=duration_s, grid_s=1.0 / section.step_hz, rng=rng))


def _chosen(textures: Sequence[Texture], *, section: RetinotopySettings, rng: Generator) -> list[Texture]:
    fit = [one for one in textures if one.kind in section.kinds]
    if len(fit) < section.n_textures:
        raise ScheduleError("retinotopy textures", came=f"{len(fit)} of the kinds {', '.join(section.kinds)}",
                            expected=f"{section.n_textures}, as retinotopy.n_textures says",
                            remedy="Render more textures, or ask for fewer.")
    return [fit[k] for k in sorted(rng.choice(len(fit), section.n_textures, replace=False))]


def draw_sequence(n: int, *, n_textures: int, rng: Generator) -> NDArray[np.int64]:
    """Draw `n` texture numbers, each uniform over all but the one before it."""
    first = rng.integers(n_textures)
    return np.cumsum([first, *rng.integers(1, n_textures, n - 1)]) % n_textures


def _event(index: int, part: Segment, *, step_hz: float) -> Event:
    direction = BAR_DIRECTIONS[part.direction][0] if part.kind == "bar" else None
    return Event(index=index, onset_s=part.start / step_hz, duration_s=part.n / step_hz, trial_type=part.kind,
                 category=direction)


@dataclass(frozen=True)
class State:
    """What is shown at a time.

    Parameters
    ----------
    step : int
        Number of the movie's step.
    aperture_index : int
        Place in :attr:`paradigms.tasks.aperture_movie.Movie.apertures`; 0 for none.
    texture_index : int
        Place in the schedule's textures; -1 for none.
    fixation_color : tuple of int
        RGB.
    """

    step: int
    aperture_index: int
    texture_index: int
    fixation_color: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Player:
    """What a run draws, as a function of time."""

    schedule: Schedule
    settings: Settings

    @cached_property
    def movie(self) -> Movie:
        """The run's apertures."""
        return movie(self.settings.retinotopy, self.schedule.variant)

    def state_at(self, t: float) -> State:
        """Say what is shown `t` seconds after the first counted pulse; before it and after the end, no aperture."""
        schedule = self.schedule
        step = int(np.floor((t + EPS_S) * self.settings.retinotopy.step_hz))
        inside = 0 <= step < len(schedule.steps)
        return State(step, int(self.movie.index[step]) if inside else 0, schedule.steps[step] if inside else -1,
                     color_at(schedule.marks, t))

    def mask_of(self, aperture_index: int) -> NDArray[np.uint8]:
        """Draw an aperture for the screen, uint8 (mask_px, mask_px), anti-aliased, row 0 at the top."""
        if aperture_index not in self._masks:
            if len(self._masks) >= MAX_KEPT:
                self._masks.clear()
            grid, field_deg = self._grid, self.settings.retinotopy.field_deg
            drawn = mask(self.movie.apertures[aperture_index], grid, field_deg=field_deg, edge_deg=grid.step_deg)
            self._masks[aperture_index] = np.round(255.0 * drawn).astype(np.uint8)
        return self._masks[aperture_index]

    @cached_property
    def _masks(self) -> dict[int, NDArray[np.uint8]]:
        return {}

    @cached_property
    def _grid(self) -> Grid:
        return screen_grid(self.settings.retinotopy.mask_px, size_deg=self.settings.retinotopy.field_deg)

    @cached_property
    def overlay(self) -> NDArray[np.uint8] | None:
        """The fixation grid, fine enough for the screen, as a frame's overlay; None if the settings want none."""
        section = self.settings.retinotopy
        if not section.grid:
            return None
        fine = screen_grid(_power_of_two(self.settings.display.px_for(section.field_deg)), size_deg=section.field_deg)
        lines = fixation_grid(fine, field_deg=section.field_deg, line_deg=section.grid_line_deg)
        return np.round(255.0 * section.grid_opacity * lines).astype(np.uint8)

    def frame_at(self, t: float) -> Frame:
        """Say what is drawn at a time."""
        state, section, display = self.state_at(t), self.settings.retinotopy, self.settings.display
        seen = state.aperture_index > 0
        return Frame(image_id=self.schedule.textures[state.texture_index] if seen else None,
                     image_px=display.px_for(section.field_deg), fixation_px=display.px_for(section.fixation_deg),
                     fixation_color=state.fixation_color, background=display.background,
                     surround_px=display.px_for(section.surround_deg),
                     aperture=self.mask_of(state.aperture_index) if seen else None, overlay=self.overlay)


def _power_of_two(side_px: float) -> int:
    """Give the next power of two, which graphics cards like best, from 16 to 2048."""
    return min(2048, max(16, 1 << (math.ceil(side_px) - 1).bit_length()))


def movie_steps(schedule: Schedule) -> list[Moment]:
    """List the steps at which the movie changes, each worth showing until the next; none where nothing is seen."""
    step_s = schedule.step_s or 0.0
    return [Moment(k * step_s, STEP, step=k, until_s=(k + 1) * step_s)
            for k, texture in enumerate(schedule.steps) if texture >= 0]


def program(schedule: Schedule, settings: Settings) -> Program:
    """Say how a run of retinotopic mapping is drawn and answered."""
    player = Player(schedule, settings)
    planned = moments(schedule, steps=movie_steps(schedule))
    return Program(blank=player.frame_at(-1.0), changes=partial(changes, planned, frame_at=player.frame_at),
                   keys=(settings.retinotopy.press_key,), image_px=None)


class Retinotopy(DetectionTask):
    """Retinotopic mapping as a paradigm."""

    name: ClassVar[str] = TASK
    levels: ClassVar[Mapping[str, str]] = LEVELS

    def practice_frame(self, image_id: str | None, *, color: Color, rng: Generator) -> Frame:  # noqa: ARG002 - no dots
        """Draw a picture in the whole field, without an aperture."""
        section, display = self.settings.retinotopy, self.settings.display
        return Frame(image_id=image_id, image_px=display.px_for(section.field_deg),
                     fixation_px=display.px_for(section.fixation_deg), fixation_color=color,
                     background=display.background, surround_px=display.px_for(section.surround_deg))

    def make_schedule(self, *, key: RunKey, profile: SubjectProfile,  # noqa: ARG002 - a task's signature
                      pictures: Pictures) -> Schedule:
        """Plan one run."""
        return make_schedule(self.settings, key=key, textures=pictures.textures.rows)

    def session_pictures(self, *, sub: str, ses: str,  # noqa: ARG002 - the same for everyone
                         pictures: Pictures) -> Sequence[Picture]:
        """List the textures of the kinds that are shown."""
        return [pictures.texture(row) for row in pictures.textures.rows if row.kind in self.settings.retinotopy.kinds]

    def program(self, schedule: Schedule) -> Program:
        """Say what is drawn, and when."""
        return program(schedule, self.settings)

    def write_outputs(self, layout: Layout, *, schedule: Schedule, records: list[Record]) -> Sequence[Path]:
        """Write the apertures that were truly shown, for a fit of population receptive fields."""
        return export_apertures(layout, self.settings.retinotopy, schedule=schedule, records=records)
