"""How a run was answered, from its record: hits, false alarms, reaction times, accuracy and d'."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist

import numpy as np
import pandas as pd

from paradigms.detection import detect, shown_times
from paradigms.runlog import Record, events_table, flips_seen, of_kind, time_zero
from paradigms.schedule import Schedule
from stimuli.manifest import TYPES

DETECTION, JUDGEMENT = "detection", "judgement"
COLUMNS = {
    "task": "Label of the task.",
    "trial_type": "Judgement: the type of image that this row counts, one row each; n/a: the whole run.",
    "kind": "detection: presses at changes of the fixation point or at repeated images; judgement: animal or not.",
    "n_targets": "What could be answered before the run ended: targets of a detection, images of a judgement.",
    "n_hits": "Detection: targets with a press in their window. Judgement: animals called animals.",
    "n_misses": "Detection: targets without. Judgement: animals called no animals.",
    "n_false_alarms": "Detection: presses that answer no target. Judgement: others called animals.",
    "n_correct_rejections": "Judgement: others called no animals. One-back: new images without a press.",
    "n_unanswered": "Judgement: images without an answer; detection: as n_misses.",
    "share_answered": "n_targets without n_unanswered, over n_targets.",
    "animal_rate": "Judgement: images called animals over images answered.",
    "accuracy": "Right answers over n_targets; what was not answered is not right. n/a, as are hits, misses, false "
                "alarms, correct rejections and their rates, for images of which nobody can see what is right (AN).",
    "hit_rate": "n_hits over n_hits and n_misses.",
    "false_alarm_rate": "n_false_alarms over n_false_alarms and n_correct_rejections; "
                        "n/a where no moment is a noise trial.",
    "d_prime": "z(hit rate) - z(false alarm rate), half a case added to each count and one to each sum; "
               "n/a where no moment is a noise trial.",
    "rt_median": "Median time from onset to the press, seconds: detection over hits, judgement over all answers.",
    "rt_mean": "Mean of the same.",
}


@dataclass(frozen=True)
class Score:
    """How one run, or its images of one type, were answered; the fields are explained in :data:`COLUMNS`."""

    task: str
    trial_type: str | None
    kind: str
    n_targets: int
    n_hits: int | None
    n_misses: int | None
    n_false_alarms: int | None
    n_correct_rejections: int | None
    n_unanswered: int
    share_answered: float | None
    animal_rate: float | None
    accuracy: float | None
    hit_rate: float | None
    false_alarm_rate: float | None
    d_prime: float | None
    rt_median: float | None
    rt_mean: float | None

    def summary(self) -> str:
        """Say it in one line."""
        share = ("no target" if self.share_answered is None else f"{100 * self.share_answered:.0f} % answered of "
                 f"{self.n_targets}" if self.accuracy is None else f"{100 * self.accuracy:.0f} % right of "
                 f"{self.n_targets}")
        alarms = "" if self.n_false_alarms is None else f", {self.n_false_alarms} false alarms"
        sense = "" if self.d_prime is None else f", d' {self.d_prime:.2f}"
        time = "" if self.rt_median is None else f", median RT {1e3 * self.rt_median:.0f} ms"
        return f"{self.kind}{f' of {self.trial_type}' if self.trial_type else ''}: {share}{alarms}{sense}{time}"


@dataclass(frozen=True)
class Judged:
    """Which answers of a task say what.

    Parameters
    ----------
    attention : frozenset of str
        Trial types whose right answers tell whether the subject attends; empty: all that ask for one.
    unknowable : frozenset of str
        Trial types of which nobody can see what is right: their events tables say n/a for ``correct``.
    least_right, least_answered : float
        Shares of right answers, and of answers, from which on a run can be used.
    """

    attention: frozenset[str] = frozenset()
    unknowable: frozenset[str] = frozenset()
    least_right: float = 0.5
    least_answered: float = 0.8


def d_prime(*, n_hits: int, n_misses: int, n_false_alarms: int, n_correct_rejections: int) -> float:
    """Give the sensitivity d' with the log-linear correction.

    ``z((hits + .5) / (targets + 1)) - z((false alarms + .5) / (others + 1))`` (Hautus 1995, Behav Res Methods
    27:46-51): finite also where every or no target was hit.

    Examples
    --------
    >>> round(d_prime(n_hits=18, n_misses=2, n_false_alarms=5, n_correct_rejections=15), 3)
    1.817
    """
    z = NormalDist().inv_cdf
    return z((n_hits + 0.5) / (n_hits + n_misses + 1.0)) - \
        z((n_false_alarms + 0.5) / (n_false_alarms + n_correct_rejections + 1.0))


def score_judgement(records: Sequence[Record], schedule: Schedule, *, window_s: float,
                    animal_classes: Sequence[str], unknowable: Collection[str] = ()) -> tuple[Score, ...]:
    """Score a run of animal judgements, whole or cut off, from its journal: each type of image by itself.

    Parameters
    ----------
    records : sequence of dict
        The journal.
    schedule : Schedule
        What was planned.
    window_s : float
        How long after an image's onset it may be answered, in seconds.
    animal_classes : sequence of str
        The classes that are animals.
    unknowable : collection of str
        Types of which nobody can see what is right: their answers are counted and timed, not judged.

    Returns
    -------
    tuple of Score
        One for each type of image that asks for an answer: RE, AN, AI. Images whose window was still open when the
        record ended are left out unless they were answered.
    """
    table = events_table(records, schedule, response_window_s=window_s)
    asked = table[table["correct_response"].notna() & table["correct"].notna()]
    kinds = {event.trial_type for event in schedule.events if event.correct_key is not None}
    return tuple(_judged(asked[asked["trial_type"] == kind], kind, task=schedule.task, known=kind not in unknowable,
                         animal_classes=animal_classes)
                 for kind in sorted(kinds, key=lambda kind: (TYPES.index(kind) if kind in TYPES else len(TYPES), kind)))


def _judged(asked: pd.DataFrame, kind: str, *, task: str, known: bool, animal_classes: Sequence[str]) -> Score:
    """Score the judgements of images of one type."""
    answered = asked[asked["response"].notna()]
    animal = answered["class"].isin(animal_classes).to_numpy(dtype=bool)
    called = animal == (answered["correct"] == 1).to_numpy(dtype=bool)
    counts = {"n_hits": int(np.sum(animal & called)), "n_misses": int(np.sum(animal & ~called)),
              "n_false_alarms": int(np.sum(~animal & called)), "n_correct_rejections": int(np.sum(~animal & ~called))}
    made = _score(task, JUDGEMENT, n_targets=len(asked), n_right=int(asked["correct"].sum()),
                  n_unanswered=len(asked) - len(answered), counts=counts,
                  reactions=[float(t) for t in answered["response_time"]])
    made = replace(made, trial_type=kind, animal_rate=float(called.mean()) if len(called) else None)
    if known:
        return made
    return replace(made, n_hits=None, n_misses=None, n_false_alarms=None, n_correct_rejections=None, accuracy=None,
                   hit_rate=None, false_alarm_rate=None, d_prime=None)


def score_detection(records: Sequence[Record], schedule: Schedule, *, window_s: float) -> Score:
    """Score the detection of colour changes or repeated images, in a whole run or one cut off, from its journal.

    Parameters
    ----------
    records : sequence of dict
        The journal.
    schedule : Schedule
        What was planned.
    window_s : float
        How long after a target a press is a hit, in seconds.

    Returns
    -------
    Score
        Targets whose window was still open when the record ended are left out unless they were answered.
    """
    zero = time_zero(records)
    if zero is None:
        return _score(schedule.task, DETECTION, n_targets=0, n_right=0, n_unanswered=0, reactions=[],
                      counts={"n_hits": 0, "n_misses": 0, "n_false_alarms": 0})
    last = max(record["t"] for record in records) - zero
    presses = [press["t"] - zero for press in of_kind(records, "press") if press["task"] and press["t"] >= zero]
    targets = _targets(records, schedule, zero=zero)
    found = detect(targets, presses, window_s=window_s)
    counted = [reaction for target, reaction in zip(targets, found.reaction_s, strict=True)
              if reaction is not None or target + window_s <= last]
    hits = [reaction for reaction in counted if reaction is not None]
    counts = {"n_hits": len(hits), "n_misses": len(counted) - len(hits), "n_false_alarms": len(found.false_alarms_s)}
    noise = _noise_trials(records, schedule)
    if noise:
        counts["n_correct_rejections"] = max(noise - counts["n_false_alarms"], 0)
    return _score(schedule.task, DETECTION, n_targets=len(counted), n_right=len(hits),
                  n_unanswered=len(counted) - len(hits), counts=counts, reactions=hits)


def _targets(records: Sequence[Record], schedule: Schedule, *, zero: float) -> list[float]:
    """Give when each target was seen: changes of colour, and repeated images."""
    flips = [flip for flip in flips_seen(records) if "planned" in flip]
    times = shown_times([mark.onset_s for mark in schedule.marks],
                        flips=[(flip["planned"] - zero, flip["t"] - zero) for flip in flips])
    seen = [t for mark, t in zip(schedule.marks, times, strict=True) if mark.correct_key is not None and t is not None]
    asked = {event.index for event in schedule.events if event.correct_key is not None}
    return sorted(seen + [flip["t"] - zero for flip in flips if flip["what"] == "on" and flip["event"] in asked])


def _noise_trials(records: Sequence[Record], schedule: Schedule) -> int:
    """Count the shown images that were no target, in a run where images are targets."""
    if not any(event.correct_key is not None for event in schedule.events):
        return 0
    return sum(flip["what"] == "on" and schedule.events[flip["event"]].correct_key is None
               for flip in of_kind(records, "flip"))


def _score(task: str, kind: str, *, n_targets: int, n_right: int, n_unanswered: int, counts: dict[str, int],
           reactions: Sequence[float]) -> Score:
    hits, misses, alarms = counts["n_hits"], counts["n_misses"], counts["n_false_alarms"]
    rejections = counts.get("n_correct_rejections")
    noise = rejections is not None and alarms + rejections > 0
    return Score(
        task=task, trial_type=None, kind=kind, n_targets=n_targets, n_hits=hits, n_misses=misses, n_false_alarms=alarms,
        n_correct_rejections=rejections, n_unanswered=n_unanswered,
        share_answered=(n_targets - n_unanswered) / n_targets if n_targets else None, animal_rate=None,
        accuracy=n_right / n_targets if n_targets else None, hit_rate=hits / (hits + misses) if hits + misses else None,
        false_alarm_rate=alarms / (alarms + rejections) if noise and rejections is not None else None,
        d_prime=d_prime(n_hits=hits, n_misses=misses, n_false_alarms=alarms, n_correct_rejections=rejections)
        if noise and rejections is not None and hits + misses else None,
        rt_median=float(np.median(reactions)) if len(reactions) else None,
        rt_mean=float(np.mean(reactions)) if len(reactions) else None)


def score_table(scores: Sequence[Score]) -> pd.DataFrame:
    """Put scores in a table, a row each, with the columns of :data:`COLUMNS`."""
    table = pd.DataFrame([asdict(score) for score in scores], columns=list(COLUMNS))
    counts = ("n_hits", "n_misses", "n_false_alarms", "n_correct_rejections")
    return table.astype(dict.fromkeys(counts, "Int64"))
