"""What a run will show and when: pure, seeded, digested, and written before anything is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from subjects.errors import ScheduleError
from subjects.provenance import digest_json
from subjects.run_key import RunKey

BLANK = "blank"


@dataclass(frozen=True)
class Event:
    """One event of a run, in seconds from the first counted pulse.

    Parameters
    ----------
    index : int
        Place in the run, from 0.
    onset_s, duration_s : float
        When it is visible. A blank trial is the whole trial.
    trial_type : str
        ``"RE"``, ``"AN"``, ``"AI"`` or ``"blank"``.
    image_id, stim_file, base_image, category, class_name : str or None
        The image, as the manifest names it; none for a blank.
    presentation : int or None
        The first or second time that this image is shown in this run.
    correct_key : str or None
        The right answer of the task.
    """

    index: int
    onset_s: float
    duration_s: float
    trial_type: str
    image_id: str | None = None
    stim_file: str | None = None
    base_image: str | None = None
    category: str | None = None
    class_name: str | None = None
    presentation: int | None = None
    correct_key: str | None = None

    @property
    def end_s(self) -> float:
        """Give the time at which it is over."""
        return self.onset_s + self.duration_s


@dataclass(frozen=True)
class Mark:
    """A moment beside the events: the fixation point takes another colour.

    Parameters
    ----------
    index : int
        Place in the run, from 0. The first mark is the colour at time zero and asks for nothing.
    onset_s : float
        When the colour changes, in seconds from the first counted pulse.
    color : tuple of int
        RGB, 0..255, from now on.
    correct_key : str or None
        The key with which the change is to be answered.
    """

    index: int
    onset_s: float
    color: tuple[int, int, int]
    correct_key: str | None = None


@dataclass(frozen=True)
class Schedule:
    """A run's plan.

    Parameters
    ----------
    study, task, sub, ses : str
        What it belongs to.
    run, seed : int
        Run number and the seed of its order.
    tr_s, duration_s : float
        Repetition time and length in seconds.
    n_volumes : int
        Volumes that the scanner will take.
    events : tuple of Event
        In order of onset, none overlapping.
    manifest_digest, settings_digest : str
        What it was made from.
    variant : str
        Which kind of run of its task (the retinotopic aperture, the localizer's block setting).
    textures : tuple of str
        Images that a movie draws on, by ``image_id``.
    steps : tuple of int
        The movie: at each of its steps the place in `textures`, or -1 for none.
    step_s : float or None
        Length of a step.
    marks : tuple of Mark
        Changes of the fixation point's colour, in order; they may fall into events.
    first_trial : int or None
        Number, from 1, of the trial of the whole plan that this one begins with; None for a whole plan.
    """

    study: str
    task: str
    sub: str
    ses: str
    run: int
    seed: int
    tr_s: float
    n_volumes: int
    duration_s: float
    events: tuple[Event, ...]
    manifest_digest: str
    settings_digest: str
    variant: str = ""
    textures: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    step_s: float | None = None
    marks: tuple[Mark, ...] = ()
    first_trial: int | None = None

    def __post_init__(self) -> None:
        where = f"schedule of sub-{self.sub} ses-{self.ses} run-{self.run}"
        self._check_marks(where)
        if self.steps and not (self.step_s and min(self.steps) >= -1 and max(self.steps) < len(self.textures)):
            raise ScheduleError(where, came=f"steps of {self.step_s} s into {len(self.textures)} textures",
                                expected="steps with a length, each of a texture that is named",
                                remedy="Make the schedule again.")
        end = 0.0
        for k, event in enumerate(self.events):
            if event.index != k:
                raise ScheduleError(where, came=f"event {k} with index {event.index}", expected="events in order",
                                    remedy="Make the schedule again.")
            if event.onset_s < end - 1e-9:
                raise ScheduleError(where, came=f"event {k} at {event.onset_s:g} s before {end:g} s",
                                    expected="events that do not overlap", remedy="Make the schedule again.")
            end = event.end_s
        if end > self.duration_s + 1e-9:
            raise ScheduleError(where, came=f"an event that ends at {end:g} s",
                                expected=f"at most {self.duration_s:g} s",
                                remedy="Make the schedule again.")

    def _check_marks(self, where: str) -> None:
        last = -1e-9
        for k, mark in enumerate(self.marks):
            if mark.index != k or not last < mark.onset_s < self.duration_s:
                raise ScheduleError(where, came=f"mark {mark.index} at {mark.onset_s:g} s in place {k}",
                                    expected="marks in order, before the end of the run",
                                    remedy="Make the schedule again.")
            last = mark.onset_s

    @property
    def key(self) -> RunKey:
        """Which run it is of."""
        return RunKey(self.sub, self.ses, self.task, self.run)

    @cached_property
    def digest(self) -> str:
        """Digest of the whole plan."""
        return digest_json(self.to_json())

    @property
    def image_ids(self) -> tuple[str, ...]:
        """List the images it needs, each once, in order of first showing."""
        shown = (event.image_id for event in self.events if event.image_id is not None)
        return tuple(dict.fromkeys((*shown, *self.textures)))

    def to_json(self) -> dict[str, Any]:
        """Give the plan as JSON's types; what a task has no use for is left out."""
        content = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        content["events"] = [dict(vars(event)) for event in self.events]  # asdict copies each value for a second
        content["marks"] = tuple(dict(vars(mark)) for mark in self.marks)
        return {name: value for name, value in content.items() if name not in _OPTIONAL or value not in ("", (), None)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, where: str = "schedule") -> Schedule:
        """Read a plan back.

        Raises
        ------
        ScheduleError
            For missing or unknown fields.
        """
        try:
            events = tuple(Event(**event) for event in content["events"])
            marks = tuple(Mark(**{**mark, "color": tuple(mark["color"])}) for mark in content.get("marks", ()))
            movie = {name: tuple(content.get(name, ())) for name in ("textures", "steps")}
            return cls(**{**content, **movie, "events": events, "marks": marks})
        except (TypeError, KeyError) as error:
            raise ScheduleError(where, came=f"fields that do not fit ({error})", expected="a schedule of this toolkit",
                                remedy="Restore the file from its copy in sourcedata.") from error


_OPTIONAL = ("variant", "textures", "steps", "step_s", "marks", "first_trial")


def rest_of(schedule: Schedule, *, first_trial: int, lead_s: float) -> Schedule:
    """Cut off what was shown before a trial, for a run that is resumed there.

    Parameters
    ----------
    schedule : Schedule
        The whole plan.
    first_trial : int
        Number of the trial to begin with, from 1.
    lead_s : float
        From time zero to the beginning of that trial, in seconds.

    Returns
    -------
    Schedule
        The same trials in the same order, onsets shifted by one constant; whole volumes.

    Raises
    ------
    ScheduleError
        If there is no such trial, or the run has a movie or marks, which cannot be shifted.
    """
    if schedule.steps or schedule.marks:
        raise ScheduleError("resume", came=f"a trial of a {schedule.task} run", expected="a task of trials only",
                            remedy="Play the run again as a whole.")
    if not 1 <= first_trial <= len(schedule.events):
        raise ScheduleError("resume", came=f"trial {first_trial}", expected=f"1 to {len(schedule.events)}",
                            remedy="Leave --from-trial out to begin with the first one that was not shown.")
    kept, before = schedule.events[first_trial - 1:], schedule.events[:first_trial - 1]
    shift = lead_s - before[-1].end_s if before else 0.0
    events = tuple(dataclasses.replace(event, index=k, onset_s=event.onset_s + shift) for k, event in enumerate(kept))
    volumes = -int(-(schedule.duration_s + shift) // schedule.tr_s)
    return dataclasses.replace(schedule, events=events, n_volumes=volumes, duration_s=volumes * schedule.tr_s,
                               first_trial=first_trial)


def first_seconds(schedule: Schedule, *, until_s: float) -> Schedule:
    """Cut a schedule off at a time; what is shown before it stays what it was.

    Parameters
    ----------
    schedule : Schedule
        The whole run.
    until_s : float
        Where to cut, in seconds from the first counted pulse; rounded up to whole volumes.

    Returns
    -------
    Schedule
        Events and marks that begin before the cut, the last event shortened.

    Raises
    ------
    ScheduleError
        If nothing would be left, or the run is shorter.
    """
    if not 0.0 < until_s <= schedule.duration_s:
        raise ScheduleError("excerpt", came=f"{until_s:g} s of {schedule.duration_s:g} s",
                            expected="a part of the run", remedy="Ask for less.")
    volumes = int(-(-until_s // schedule.tr_s))
    end = min(volumes * schedule.tr_s, schedule.duration_s)
    events = tuple(dataclasses.replace(event, duration_s=min(event.duration_s, end - event.onset_s))
                   for event in schedule.events if event.onset_s < end)
    marks = tuple(mark for mark in schedule.marks if mark.onset_s < end)
    steps = schedule.steps[:round(end / schedule.step_s)] if schedule.step_s else ()
    return dataclasses.replace(schedule, events=events, marks=marks, steps=steps, n_volumes=volumes, duration_s=end)


def excerpt(schedule: Schedule, *, n_trials: int = 10, lead_s: float = 4.0) -> Schedule:
    """Cut a schedule down to its first trials, with a short lead-in and lead-out.

    Parameters
    ----------
    schedule : Schedule
        The whole run.
    n_trials : int
        How many events to keep.
    lead_s : float
        Blank seconds before the first kept event and after the last.

    Returns
    -------
    Schedule
        Same images and order; onsets shifted by one constant.

    Raises
    ------
    ScheduleError
        If there are not so many, or the run has a movie or marks, which cannot be shifted.
    """
    if schedule.steps or schedule.marks:
        raise ScheduleError("excerpt", came=f"trials of a {schedule.task} run", expected="a task of trials only",
                            remedy="Ask for its first seconds.")
    kept = schedule.events[:n_trials]
    if len(kept) < n_trials:
        raise ScheduleError("excerpt", came=f"{n_trials} trials of {len(schedule.events)}",
                            expected="no more than the run has", remedy="Ask for fewer.")
    shift = lead_s - kept[0].onset_s
    events = tuple(dataclasses.replace(event, onset_s=event.onset_s + shift) for event in kept)
    volumes = -int(-(events[-1].end_s + lead_s) // schedule.tr_s)
    return dataclasses.replace(schedule, events=events, n_volumes=volumes, duration_s=volumes * schedule.tr_s)
