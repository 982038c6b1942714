"""The main task: 2 s blank then 2 s image, two showings of each image and blank trials, in random order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from paradigms.devices.protocols import Frame
from paradigms.program import Program, image_changes
from paradigms.runlog import Record
from paradigms.schedule import BLANK, Event, Schedule
from paradigms.tasks.protocol import Picture, Pictures, PracticePicture, PracticeTrial
from paradigms.tasks.scoring import Judged, Score, score_judgement
from stimuli.manifest import TYPES, Manifest, Stimulus
from subjects.errors import ScheduleError
from subjects.layout import Layout
from subjects.profile import SubjectProfile, session_images
from subjects.provenance import derive_seed
from subjects.run_key import RunKey
from subjects.settings.paradigms import MAIN, MainSettings
from subjects.settings.study import Settings

TASK = MAIN
LEVELS = {"RE": "regular image", "AN": "adversarial noise image", "AI": "adversarial interference image",
          BLANK: "no image, only the fixation point"}
ATTENTION, UNKNOWABLE = frozenset({"RE"}), frozenset({"AN"})


def make_schedule(settings: Settings, *, key: RunKey, manifest: Manifest, swap_keys: bool = False) -> Schedule:
    """Plan one run of the main task.

    Parameters
    ----------
    settings : Settings
        The study's settings.
    key : RunKey
        Which run of whom.
    manifest : Manifest
        The stimulus set.
    swap_keys : bool
        Whether the two keys are exchanged for this subject.

    Returns
    -------
    Schedule
        With the protocol's settings 129 trials, 556 s, 278 volumes. No image follows itself.

    Raises
    ------
    ScheduleError
        For a session or run that is not planned, or an image that the manifest lacks.
    """
    images = _stimuli_of(session_images(settings, sub=key.sub), ses=key.ses, manifest=manifest.shown_to(key.sub))
    if key.run > settings.main.runs:
        raise ScheduleError("run", came=str(key.run), expected=f"1 to {settings.main.runs}",
                            remedy="See `python -m subjects plan`.")
    seed = derive_seed(settings.study.seed, key.sub, key.ses, TASK, key.run, "order")
    order = _order(len(images), main=settings.main, rng=np.random.default_rng(seed))
    duration_s = settings.main.duration_s(len(images))
    return Schedule(
        study=settings.study.name, task=TASK, sub=key.sub, ses=key.ses, run=key.run, seed=seed,
        tr_s=settings.scanner.tr_s, n_volumes=round(duration_s / settings.scanner.tr_s), duration_s=duration_s,
        events=_events(order, images=images, settings=settings, swap_keys=swap_keys),
        manifest_digest=manifest.digest, settings_digest=settings.digest)


def _stimuli_of(split: Mapping[str, Sequence[str]], *, ses: str, manifest: Manifest) -> tuple[Stimulus, ...]:
    if ses not in split:
        raise ScheduleError("session", came=repr(ses), expected=f"one of {', '.join(split)}",
                            remedy="See `python -m subjects plan`.")
    return tuple(manifest.get(base_image=name, type=kind) for name in split[ses] for kind in TYPES)


def _order(n_images: int, *, main: MainSettings, rng: Generator) -> list[int]:
    """Shuffle image numbers, -1 for blanks, until no image follows itself."""
    trials = np.repeat(np.arange(n_images), main.presentations)
    trials = np.concatenate([trials, np.full(main.blank_trials, -1)])
    for _ in range(10_000):
        order = rng.permutation(trials)
        if not np.any((order[1:] == order[:-1]) & (order[1:] >= 0)):
            return [int(k) for k in order]
    raise ScheduleError("main task", came=f"{n_images} images shown {main.presentations} times each",
                        expected="an order in which no image follows itself", remedy="Show more images a run.")


def _events(order: list[int], *, images: tuple[Stimulus, ...], settings: Settings,
            swap_keys: bool) -> tuple[Event, ...]:
    main = settings.main
    trial_s = main.blank_s + main.image_s
    shown = [0] * len(images)
    events = []
    for index, k in enumerate(order):
        start = main.lead_in_s + index * trial_s
        if k < 0:
            events.append(Event(index=index, onset_s=start, duration_s=trial_s, trial_type=BLANK))
            continue
        shown[k] += 1
        events.append(_image_event(images[k], index=index, onset_s=start + main.blank_s, settings=settings,
                                   presentation=shown[k], swap_keys=swap_keys))
    return tuple(events)


def _image_event(image: Stimulus, *, index: int, onset_s: float, settings: Settings, presentation: int,
                 swap_keys: bool) -> Event:
    animal = image.class_name in settings.stimuli.animal_classes
    keys = mapped_keys(settings, swap_keys=swap_keys)
    return Event(index=index, onset_s=onset_s, duration_s=settings.main.image_s, trial_type=image.type,
                 image_id=image.image_id, stim_file=image.file, base_image=image.base_image,
                 category=image.category, class_name=image.class_name, presentation=presentation,
                 correct_key=keys["animal" if animal else "not_animal"])


def frame_for(settings: Settings, *, image_id: str | None = None, text: str | None = None) -> Frame:
    """Say what the main task draws: the image if there is one, and always the fixation point."""
    main, display = settings.main, settings.display
    return Frame(image_id=image_id, image_px=display.px_for(main.image_deg),
                 fixation_px=display.px_for(main.fixation_deg), fixation_color=main.fixation_color,
                 background=display.background, surround_px=display.px_for(main.surround_deg), text=text)


def answer_keys(settings: Settings) -> tuple[str, str]:
    """Name the keys of the animal judgement: animal, not animal (before they are exchanged for a subject)."""
    return settings.main.animal_key, settings.main.not_animal_key


def mapped_keys(settings: Settings, *, swap_keys: bool) -> dict[str, str]:
    """Give the key of each judgement for a subject, whose keys may be exchanged.

    Examples
    --------
    >>> mapped_keys(Settings(), swap_keys=True)
    {'animal': '2', 'not_animal': '1'}
    """
    animal, other = answer_keys(settings)
    return {"animal": other, "not_animal": animal} if swap_keys else {"animal": animal, "not_animal": other}


def program(schedule: Schedule, settings: Settings) -> Program:
    """Say how a run of the main task is drawn and answered."""
    def frame_of(image_id: str | None) -> Frame:
        return frame_for(settings, image_id=image_id)

    return Program(blank=frame_of(None), changes=partial(image_changes, schedule, frame_of=frame_of),
                   keys=answer_keys(settings),
                   image_px=settings.display.px_for(settings.main.image_deg))


@dataclass(frozen=True)
class MainTask:
    """The main experiment as a paradigm.

    Parameters
    ----------
    settings : Settings
        Those in force.
    """

    settings: Settings
    name: ClassVar[str] = TASK
    levels: ClassVar[Mapping[str, str]] = LEVELS

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the animal judgement."""
        return answer_keys(self.settings)

    @property
    def texts(self) -> str:
        """The texts of the animal judgement."""
        return self.name

    def meanings(self, profile: SubjectProfile) -> Mapping[str, str]:
        """Give the keys for animal and not animal as this subject has them."""
        return mapped_keys(self.settings, swap_keys=profile.swap_keys)

    @property
    def response_window_s(self) -> float:
        """The time in seconds in which an image is to be answered."""
        return self.settings.main.response_window_s

    @property
    def resume_lead_s(self) -> float | None:
        """The lead-in: a run is resumed at any trial."""
        return self.settings.main.lead_in_s

    def make_schedule(self, *, key: RunKey, profile: SubjectProfile, pictures: Pictures) -> Schedule:
        """Plan one run."""
        return make_schedule(self.settings, key=key, manifest=pictures.manifest, swap_keys=profile.swap_keys)

    def session_pictures(self, *, sub: str, ses: str, pictures: Pictures) -> Sequence[Picture]:
        """List the three versions of every base image of the session."""
        split = session_images(self.settings, sub=sub)
        return [pictures.image(one) for one in _stimuli_of(split, ses=ses, manifest=pictures.manifest.shown_to(sub))]

    def program(self, schedule: Schedule) -> Program:
        """Say what is drawn, and when."""
        return program(schedule, self.settings)

    def practice(self, *, profile: SubjectProfile, pictures: Sequence[PracticePicture], n_trials: int,
                 rng: Generator) -> Sequence[PracticeTrial]:
        """Show a picture after a blank, as a run does; half of them animals, or nearly so."""
        keys, main = mapped_keys(self.settings, swap_keys=profile.swap_keys), self.settings.main
        animals = self.settings.stimuli.animal_classes
        groups = [[one for one in pictures if (one.class_name in animals) == animal] for animal in (True, False)]
        drawn = [group[int(k)] for group, n in zip(groups, (-(-n_trials // 2), n_trials // 2), strict=True) if group
                 for k in rng.permutation(np.arange(n) % len(group))]
        blank = frame_for(self.settings)
        return tuple(PracticeTrial(
            ((blank, main.blank_s), (frame_for(self.settings, image_id=one.picture_id), main.image_s)),
            right=keys["animal" if one.class_name in animals else "not_animal"], waits=False)
            for one in (drawn[int(k)] for k in rng.permutation(len(drawn))))

    @property
    def judged(self) -> Judged:
        """Attention is told by RE alone; nobody can see what an AN was made from."""
        main = self.settings.main
        return Judged(ATTENTION, UNKNOWABLE, least_right=main.least_right, least_answered=main.least_answered)

    def score(self, records: Sequence[Record], schedule: Schedule) -> Sequence[Score]:
        """Score the animal judgement, each type of image by itself."""
        return score_judgement(records, schedule, window_s=self.response_window_s,
                               animal_classes=self.settings.stimuli.animal_classes, unknowable=UNKNOWABLE)

    def write_outputs(self, layout: Layout, *, schedule: Schedule,  # noqa: ARG002 - a task's signature
                      records: list[Record]) -> Sequence[Path]:  # noqa: ARG002
        """Write nothing: the events table says all."""
        return ()
