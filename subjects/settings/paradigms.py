"""The settings of retinotopic mapping and of the two localizers.

Every default is a number of the protocol or one of its open points (``docs/protocol.md``, sections 3 and 4).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from subjects.settings.section import Count, Level, NotNegative, Positive, Seconds, Section

MAIN, RETINOTOPY, LO, MOTION = "main", "retinotopy", "lo", "motion"
TASKS = (MAIN, RETINOTOPY, LO, MOTION)
Color = tuple[int, int, int]
Aperture = Literal["wedge_ccw", "wedge_cw", "ring_expand", "ring_contract", "bar", "mix"]


class FixationTask(Section):
    """What the tasks with a coloured fixation point share: its changes, and the press that answers them."""

    fixation_deg: Positive = 0.2
    fixation_colors: tuple[Color, ...] = ((255, 0, 0), (0, 0, 0), (255, 255, 255))
    change_min_s: Positive = 1.0
    change_max_s: Positive = 5.0
    hit_window_s: Positive = 1.0
    press_key: str = "1"

    @model_validator(mode="after")
    def _colors_can_change(self) -> FixationTask:
        if len(set(self.fixation_colors)) != len(self.fixation_colors) or len(self.fixation_colors) < 2:
            raise ValueError("fixation_colors needs two different colours at least, each named once")
        if not all(0 <= level <= 255 for color in self.fixation_colors for level in color):
            raise ValueError("fixation_colors are levels of red, green and blue from 0 to 255")
        if self.change_min_s > self.change_max_s:
            raise ValueError("change_min_s is above change_max_s")
        return self


class RetinotopySettings(FixationTask):
    """Retinotopic mapping: textures under moving apertures. `runs` lists the apertures session by session."""

    runs: tuple[tuple[Aperture, ...], ...] = (("wedge_ccw", "ring_expand", "bar"), ("wedge_cw", "ring_contract", "bar"))
    field_deg: Positive = 12.0
    step_hz: Positive = 15.0
    n_textures: Annotated[int, Field(ge=2)] = 100
    kinds: tuple[str, ...] = ("object", "face", "word")
    lead_s: NotNegative = 22.0
    cycles: Count = 8
    cycle_s: Positive = 32.0
    sweep_s: Positive = 28.0
    mix_cycles: Count = 2
    bar_lead_s: NotNegative = 16.0
    bar_pause_s: NotNegative = 12.0
    wedge_deg: Annotated[float, Field(gt=0, le=360)] = 90.0
    wedge_start_deg: float = 0.0
    ring_deg: Positive = 1.5
    bar_deg: Positive = 1.5
    mask_px: Annotated[int, Field(ge=16)] = 256
    grid: bool = True
    grid_line_deg: Positive = 0.05
    grid_opacity: Annotated[float, Field(ge=0, le=1)] = 0.25

    @model_validator(mode="after")
    def _times_are_whole_steps(self) -> RetinotopySettings:
        if self.sweep_s > self.cycle_s:
            raise ValueError("sweep_s is above cycle_s")
        for name in ("lead_s", "cycle_s", "sweep_s", "bar_lead_s", "bar_pause_s"):
            steps = getattr(self, name) * self.step_hz
            if abs(steps - round(steps)) > 1e-6:
                raise ValueError(f"{name} is not a whole number of steps of 1/{self.step_hz:g} s")
        return self

    def n_sweeps(self, aperture: str) -> int:
        """Count the cycles and sweeps of a run."""
        return 8 if aperture == "bar" else 4 * self.mix_cycles if aperture == "mix" else self.cycles

    def duration_s(self, aperture: str) -> float:
        """Give the length of a run in seconds.

        Examples
        --------
        >>> [RetinotopySettings().duration_s(kind) for kind in ("wedge_cw", "bar", "mix")]
        [300.0, 300.0, 300.0]
        """
        if aperture == "bar":
            return 2.0 * self.bar_lead_s + self.bar_pause_s + 8 * self.cycle_s
        return 2.0 * self.lead_s + (4 * self.mix_cycles if aperture == "mix" else self.cycles) * self.cycle_s


class LoSettings(FixationTask):
    """Localizer of the lateral occipital cortex: intact and scrambled images. `runs` counts them session by session."""

    runs: tuple[Annotated[int, Field(ge=0)], ...] = (1, 1)
    design: Literal["blocks", "within"] = "blocks"
    task: Literal["fixation", "one_back"] = "fixation"
    intact: tuple[str, ...] = ("intact",)
    scrambled: tuple[str, ...] = ("scrambled",)
    blocks: Count = 16
    blocks_per_blank: Count = 4
    block_s: Positive = 16.0
    image_s: Positive = 0.3
    gap_s: NotNegative = 0.5
    repeats: Annotated[int, Field(ge=0)] = 2
    image_deg: Positive = 12.0
    discard_s: NotNegative = 14.0

    @model_validator(mode="after")
    def _blocks_hold_images(self) -> LoSettings:
        if self.blocks % self.blocks_per_blank or (self.design == "blocks" and self.blocks % 2):
            raise ValueError("blocks does not fill whole groups of blocks_per_blank, half of them scrambled")
        images = self.block_s / (self.image_s + self.gap_s)
        if abs(images - round(images)) > 1e-6 or (self.design == "within" and round(images) % 2):
            raise ValueError("block_s does not hold a whole (for `within` even) number of images with their gaps")
        if self.task == "one_back" and (self.design == "within" or 2 * self.repeats > images or not self.repeats):
            raise ValueError("one_back wants repeats, at most every second image, in blocks of one kind of image")
        return self

    @property
    def images_per_block(self) -> int:
        """Images shown in a block."""
        return round(self.block_s / (self.image_s + self.gap_s))

    @property
    def duration_s(self) -> float:
        """Length of a run in seconds: a blank block at the start and after every group of blocks."""
        return (self.blocks + self.blocks // self.blocks_per_blank + 1) * self.block_s


class MotionSettings(FixationTask):
    """Localizer of hMT+: dots that stand still, then move in and out. `runs` counts them session by session."""

    runs: tuple[Annotated[int, Field(ge=0)], ...] = (1, 1)
    fixation_colors: tuple[Color, ...] = ((255, 0, 0), (0, 150, 255), (255, 255, 0))
    blocks: Count = 10
    static_s: Positive = 24.0
    moving_s: Positive = 8.0
    lead_s: NotNegative = 8.0
    side_deg: Positive = 12.0
    inner_deg: NotNegative = 0.5
    density: Positive = 1.0
    dot_deg: Positive = 0.2
    speed_deg_s: Positive = 15.0
    lifetime_s: Positive = 0.4
    direction_s: Positive = 2.0
    dot_level: Annotated[int, Field(ge=0, le=255)] = 255
    background: Annotated[int, Field(ge=0, le=255)] = 0
    frames_per_step: Count = 1
    discard_s: NotNegative = 6.0

    @model_validator(mode="after")
    def _dots_have_room(self) -> MotionSettings:
        if 4.0 * self.inner_deg >= self.side_deg:
            raise ValueError("inner_deg leaves the dots no room in side_deg")
        if self.n_dots < 1:
            raise ValueError("density leaves no dot in side_deg")
        return self

    @property
    def n_dots(self) -> int:
        """Dots in the square outside its inner disk."""
        return round(self.density * (self.side_deg ** 2 - math.pi * self.inner_deg ** 2))

    @property
    def duration_s(self) -> float:
        """Length of a run in seconds."""
        return 2.0 * self.lead_s + self.blocks * (self.static_s + self.moving_s)


class MainSettings(Section):
    """The main experiment: trials of blank then image, an animal judgement on every image."""

    sessions: Count = 2
    runs: Count = 5
    presentations: Count = 2
    blank_trials: Annotated[int, Field(ge=0)] = 9
    blank_s: Annotated[Seconds, Field(gt=0)] = 2.0
    image_s: Annotated[Seconds, Field(gt=0)] = 2.0
    lead_in_s: Seconds = 20.0
    lead_out_s: Seconds = 20.0
    image_deg: Positive = 12.0
    fixation_deg: Positive = 0.2
    fixation_color: tuple[Level, Level, Level] = (255, 0, 0)
    discard_s: NotNegative = 18.0
    animal_key: str = "1"
    not_animal_key: str = "2"
    abort_key: str = "escape"
    response_window_s: Positive = 4.0
