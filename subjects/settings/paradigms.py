"""The settings of the paradigms, and what the run sheet needs to know of each: its runs and their lengths.

Every default is a number of the protocol or one of its open points (``docs/protocol.md``, sections 3 and 4).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from subjects.settings.section import Count, Level, NotNegative, Positive, Seconds, Section, Share, described

MAIN = "main"
SURROUND = ("Diameter of the disk of the background's grey on which the fixation point stands, so that it is seen on "
            "any picture; 0 for none.")
Color = tuple[int, int, int]
_Some = Annotated[int, Field(ge=0)]
Aperture = Literal["wedge_ccw", "wedge_cw", "ring_expand", "ring_contract", "bar", "mix"]


@dataclass(frozen=True)
class RunLength:
    """What one planned run will hold.

    Parameters
    ----------
    n_trials : int
        Trials, images, sweeps or blocks.
    duration_s : float
        Length in seconds.
    what : str
        Which kind of run of its paradigm, where there are several.
    """

    n_trials: int
    duration_s: float
    what: str = ""


class ParadigmSettings(Section, ABC):
    """The section of a paradigm. :class:`~subjects.settings.study.Settings` names the section as the task is named."""

    @abstractmethod
    def planned_runs(self, *, n_images: int) -> tuple[tuple[RunLength, ...], ...]:
        """List the runs of every session, in order.

        Parameters
        ----------
        n_images : int
            Images of the stimulus set that a session shows.
        """

    def answer_keys(self) -> dict[str, str]:
        """Give the keys that the subject answers with, by the names of their settings."""
        return {}


class FixationTask(ParadigmSettings):
    """What the tasks with a coloured fixation point share: its changes, and the press that answers them."""

    fixation_deg: Positive = described(0.2, "Diameter of the fixation point.", unit="deg", source="protocol 3")
    surround_deg: NotNegative = described(0.0, SURROUND, unit="deg", since="0.2.0")
    fixation_colors: tuple[Color, ...] = described(((255, 0, 0), (0, 0, 0), (255, 255, 255)),
        "Colours among which the fixation point changes: red, green, blue.", unit="0 to 255", source="protocol 3")
    change_min_s: Positive = described(1.0, "Shortest time between two changes.", unit="s", source="protocol 3")
    change_max_s: Positive = described(5.0, "Longest time between two changes.", unit="s", source="protocol 3")
    hit_window_s: Positive = described(1.0,
        "A press within this time after a change is a hit.", unit="s", source="protocol 3")
    press_key: str = described("1", "Key that answers a change.", unit="key", source="protocol 3")
    least_hits: Share = described(0.5,
        "Share of changes answered from which on the verdict calls the subject attentive.", unit="share", since="0.2.0")

    @model_validator(mode="after")
    def _colors_can_change(self) -> FixationTask:
        if len(set(self.fixation_colors)) != len(self.fixation_colors) or len(self.fixation_colors) < 2:
            raise ValueError("fixation_colors needs two different colours at least, each named once")
        if not all(0 <= level <= 255 for color in self.fixation_colors for level in color):
            raise ValueError("fixation_colors are levels of red, green and blue from 0 to 255")
        if self.change_min_s > self.change_max_s:
            raise ValueError("change_min_s is above change_max_s")
        return self

    def answer_keys(self) -> dict[str, str]:
        """Give the key that answers a change."""
        return {"press_key": self.press_key}


class RetinotopySettings(FixationTask):
    """Retinotopic mapping: textures under moving apertures. `runs` lists the apertures session by session."""

    runs: tuple[tuple[Aperture, ...], ...] = described(
        (("wedge_ccw", "ring_expand", "bar"), ("wedge_cw", "ring_contract", "bar")),
        "Apertures of the runs, session by session: wedge_ccw, wedge_cw, ring_expand, ring_contract, bar "
        "or mix.", source="protocol 3, open")
    field_deg: Positive = described(12.0, "Diameter of the stimulated field.", unit="deg", source="protocol 3")
    step_hz: Positive = described(15.0, "Rate at which texture and aperture change.", unit="Hz", source="protocol 3")
    n_textures: Annotated[int, Field(ge=2)] = described(100,
        "Textures of a run, drawn at random from those of `kinds`.", source="protocol 3")
    kinds: tuple[str, ...] = described(("object", "face", "word"),
        "Kinds of textures that are shown: object, face, word.", source="protocol 3")
    lead_s: NotNegative = described(22.0,
        "Blank at the start and the end of wedge, ring and mixed runs.", unit="s", source="protocol 3")
    cycles: Count = described(8, "Cycles of a wedge or ring run.", source="protocol 3")
    cycle_s: Positive = described(32.0,
        "Length of a cycle; of rings and bars, sweep and blank together.", unit="s", source="protocol 3")
    sweep_s: Positive = described(28.0, "Length of a sweep of a ring or a bar.", unit="s", source="protocol 3")
    mix_cycles: Count = described(2, "Cycles of each of the four parts of a mixed run.", source="protocol 3")
    bar_lead_s: NotNegative = described(16.0,
        "Blank at the start and the end of a bar run.", unit="s", source="protocol 3")
    bar_pause_s: NotNegative = described(12.0, "Blank in the middle of a bar run.", unit="s", source="protocol 3")
    preset: Literal["even", "kay"] = described("even",
        "Course of rings and wedges. even: rings of one width at one speed. kay: rings that grow as Kendrick Kay's "
        "published ones (ring_deg is not used), and wedges that start 45 degrees further counter-clockwise.",
        source="protocol 3, open", since="0.2.0")
    wedge_deg: Annotated[float, Field(gt=0, le=360)] = described(90.0,
        "Angle of the wedge.", unit="deg of polar angle", source="protocol 3, open")
    wedge_start_deg: float = described(0.0,
        "Polar angle of the wedge's middle when a run starts, counter-clockwise from the right.",
        unit="deg of polar angle", source="protocol 3, open")
    ring_deg: Positive = described(1.5, "Width of an even ring.", unit="deg", source="protocol 3, open")
    bar_deg: Positive = described(1.5, "Width of the bar.", unit="deg", source="protocol 3, open")
    mask_px: Annotated[int, Field(ge=16)] = described(256,
        "Side of the aperture masks that are drawn and exported.", unit="px")
    grid: bool = described(True, "Draw a polar fixation grid over the field.", source="protocol 3")
    grid_line_deg: Positive = described(0.05, "Width of the grid's lines.", unit="deg")
    grid_opacity: Annotated[float, Field(ge=0, le=1)] = described(0.25, "Opacity of the grid.", unit="0 to 1")

    @model_validator(mode="after")
    def _times_are_whole_steps(self) -> RetinotopySettings:
        if self.sweep_s > self.cycle_s:
            raise ValueError("sweep_s is above cycle_s")
        for name in ("lead_s", "cycle_s", "sweep_s", "bar_lead_s", "bar_pause_s"):
            steps = getattr(self, name) * self.step_hz
            if abs(steps - round(steps)) > 1e-6:
                raise ValueError(f"{name} is not a whole number of steps of 1/{self.step_hz:g} s")
        return self

    def planned_runs(self, *, n_images: int) -> tuple[tuple[RunLength, ...], ...]:  # noqa: ARG002 - textures alone
        """List the runs of every session; each is named after its aperture."""
        return tuple(tuple(RunLength(self.n_sweeps(aperture), self.duration_s(aperture), aperture)
                           for aperture in session) for session in self.runs)

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

    runs: tuple[Annotated[int, Field(ge=0)], ...] = described((1, 1), "Runs of each session.", source="protocol 4")
    surround_deg: NotNegative = described(0.4, SURROUND, unit="deg", since="0.2.0", before=0.0)
    design: Literal["blocks", "within"] = described("blocks",
        "`blocks`: a block is intact or scrambled; `within`: both alternate image by image in one block.",
        source="protocol 4, open")
    task: Literal["fixation", "one_back"] = described("fixation",
        "The subject's task: changes of the fixation point, or repeated images.")
    intact: tuple[str, ...] = described(("intact",), "Kinds of textures that are shown as intact.", source="protocol 4")
    scrambled: tuple[str, ...] = described(("scrambled",),
        "Kinds of textures that are shown as scrambled.", source="protocol 4")
    blocks: Count = described(16, "Blocks with images.", source="protocol 4")
    blocks_per_blank: Count = described(4, "Blocks after which a blank block follows.", source="protocol 4")
    block_s: Positive = described(16.0, "Length of a block.", unit="s", source="protocol 4")
    image_s: Positive = described(0.3, "How long an image is shown.", unit="s", source="protocol 4")
    gap_s: NotNegative = described(0.5, "Blank after an image.", unit="s", source="protocol 4")
    repeats: Annotated[int, Field(ge=0)] = described(2, 'Repeated images in a block, with `task = "one_back"`.')
    image_deg: Positive = described(12.0, "Side of the images.", unit="deg", source="protocol 4")
    discard_s: NotNegative = described(14.0,
        "Start of a run that the analysis leaves out.", unit="s", source="protocol 4")

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

    def planned_runs(self, *, n_images: int) -> tuple[tuple[RunLength, ...], ...]:  # noqa: ARG002 - textures alone
        """List the runs of every session; each is named after its design."""
        one = RunLength(self.blocks * self.images_per_block, self.duration_s, self.design)
        return tuple((one,) * count for count in self.runs)

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

    runs: tuple[Annotated[int, Field(ge=0)], ...] = described((1, 1), "Runs of each session.", source="protocol 4")
    fixation_colors: tuple[Color, ...] = described(((255, 0, 0), (0, 150, 255), (255, 255, 0)),
        "Colours among which the fixation point changes, all visible on black: red, green, blue.", unit="0 to 255")
    blocks: Count = described(10, "Blocks of dots that stand still, then move.", source="protocol 4")
    static_s: Positive = described(24.0, "How long the dots stand still.", unit="s", source="protocol 4")
    moving_s: Positive = described(8.0, "How long they move.", unit="s", source="protocol 4")
    lead_s: NotNegative = described(8.0, "Blank at both ends of a run.", unit="s", source="protocol 4")
    side_deg: Positive = described(12.0, "Side of the square of dots.", unit="deg", source="protocol 4")
    inner_deg: NotNegative = described(0.5, "Radius around the fixation point without dots.", unit="deg")
    density: Positive = described(1.0, "Dots in a square degree.", unit="1/deg^2", source="protocol 4, open")
    dot_deg: Positive = described(0.2, "Diameter of a dot.", unit="deg", source="protocol 4, open")
    speed_deg_s: Positive = described(15.0, "Speed of the dots.", unit="deg/s", source="protocol 4, open")
    lifetime_s: Positive = described(0.4, "How long a dot lives.", unit="s", source="protocol 4, open")
    direction_s: Positive = described(2.0,
        "Time after which the dots turn from outwards to inwards or back.", unit="s", source="protocol 4, open")
    dot_level: Annotated[int, Field(ge=0, le=255)] = described(255, "Grey level of the dots.", unit="0 to 255")
    background: Annotated[int, Field(ge=0, le=255)] = described(0,
        "Grey level of the background.", unit="0 to 255", source="protocol 4")
    frames_per_step: Count = described(1, "Frames of the display for which the dots keep their places.", unit="frames")
    discard_s: NotNegative = described(6.0,
        "Start of a run that the analysis leaves out.", unit="s", source="protocol 4")

    @model_validator(mode="after")
    def _dots_have_room(self) -> MotionSettings:
        if 4.0 * self.inner_deg >= self.side_deg:
            raise ValueError("inner_deg leaves the dots no room in side_deg")
        if self.n_dots < 1:
            raise ValueError("density leaves no dot in side_deg")
        return self

    def planned_runs(self, *, n_images: int) -> tuple[tuple[RunLength, ...], ...]:  # noqa: ARG002 - dots alone
        """List the runs of every session."""
        return tuple((RunLength(self.blocks, self.duration_s),) * count for count in self.runs)

    @property
    def n_dots(self) -> int:
        """Dots in the square outside its inner disk."""
        return round(self.density * (self.side_deg ** 2 - math.pi * self.inner_deg ** 2))

    @property
    def duration_s(self) -> float:
        """Length of a run in seconds."""
        return 2.0 * self.lead_s + self.blocks * (self.static_s + self.moving_s)


class MainSettings(ParadigmSettings):
    """The main experiment: trials of blank then image, an animal judgement on every image."""

    sessions: Count = described(2, "Sessions; the base images are shared out over them.", source="protocol 2")
    runs: Count = described(5, "Runs of a session.", source="protocol 2")
    presentations: Count = described(2, "How often an image is shown in a run.", source="protocol 2")
    blank_trials: Annotated[int, Field(ge=0)] = described(9, "Trials of a run without an image.", source="protocol 2")
    blank_s: Annotated[Seconds, Field(gt=0)] = described(2.0,
        "Blank at the start of a trial.", unit="s", source="protocol 2")
    image_s: Annotated[Seconds, Field(gt=0)] = described(2.0,
        "How long an image is shown.", unit="s", source="protocol 2")
    lead_in_s: Seconds = described(20.0, "Blank at the start of a run.", unit="s", source="protocol 2")
    lead_out_s: Seconds = described(20.0, "Blank at the end of a run.", unit="s", source="protocol 2")
    image_deg: Positive = described(12.0, "Side of the images.", unit="deg", source="protocol 2")
    fixation_deg: Positive = described(0.2, "Diameter of the fixation point.", unit="deg", source="protocol 2")
    surround_deg: NotNegative = described(0.4, SURROUND, unit="deg", since="0.2.0", before=0.0)
    fixation_color: tuple[Level, Level, Level] = described((255, 0, 0),
        "Colour of the fixation point: red, green, blue.", unit="0 to 255")
    discard_s: NotNegative = described(18.0,
        "Start of a run that the analysis leaves out.", unit="s", source="protocol 2")
    animal_key: str = described("1",
        'Key for "animal"; exchanged with the other one for subjects with swapped keys.',
        unit="key", source="protocol 2")
    not_animal_key: str = described("2", 'Key for "not animal".', unit="key", source="protocol 2")
    counterbalance_keys: bool = described(True, "Whether `python -m subjects add` exchanges the two keys for every "
        "second volunteer, in an order of chance, unless it is told which.", since="0.2.0", before=False)
    abort_key: str = described("escape", "Key with which the operator ends a run.", unit="key")
    response_window_s: Positive = described(4.0,
        "Time from an image's onset in which a press counts as its answer.", unit="s")
    least_right: Share = described(0.75,
        "Share of RE images answered rightly from which on the verdict calls the subject attentive.", unit="share",
        since="0.2.0")
    least_answered: Share = described(0.8,
        "Share of all images answered from which on it does.", unit="share", since="0.2.0")

    def answer_keys(self) -> dict[str, str]:
        """Give the keys of the two answers."""
        return {"animal_key": self.animal_key, "not_animal_key": self.not_animal_key}

    def n_trials(self, n_images: int) -> int:
        """Count the trials of a run that shows so many images."""
        return n_images * self.presentations + self.blank_trials

    def duration_s(self, n_images: int) -> float:
        """Give the length of a run in seconds.

        Examples
        --------
        >>> MainSettings().duration_s(60)
        556.0
        """
        return self.lead_in_s + self.n_trials(n_images) * (self.blank_s + self.image_s) + self.lead_out_s

    def planned_runs(self, *, n_images: int) -> tuple[tuple[RunLength, ...], ...]:
        """List the runs of every session, all of one length."""
        one = RunLength(self.n_trials(n_images), self.duration_s(n_images))
        return ((one,) * self.runs,) * self.sessions


class ScansSettings(Section):
    """Scans beside the runs, for the run sheet: how many of each a session has. They are no paradigm."""

    localizers: _Some = described(1, "Localizer (scout) scans at the start of each session.", since="0.2.0")
    field_maps: _Some = described(3,
        "B0 field maps of each session, spread evenly: one comes before each of as many shares of the runs.",
        source="protocol 5", since="0.2.0")
    t1: tuple[_Some, ...] = described((1,),
        "T1-weighted images of each session, in order, after its runs; sessions past the last have none.",
        source="protocol 5", since="0.2.0")

    def counts(self, ses: int) -> dict[str, int]:
        """Count the scans of each kind of a session, which is numbered from 1.

        Examples
        --------
        >>> ScansSettings().counts(2)
        {'localizer': 1, 'field map': 3, 'T1': 0}
        """
        return {"localizer": self.localizers, "field map": self.field_maps,
                "T1": self.t1[ses - 1] if ses <= len(self.t1) else 0}
