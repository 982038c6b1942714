"""Where a run that was cut short goes on: at a trial, with the same plan, as an attempt of its own."""

from __future__ import annotations

from paradigms.record.events_files import read_schedule, schedule_beside
from paradigms.record.run_files import attempts
from paradigms.runlog import read_journal, time_zero
from paradigms.schedule import Schedule, rest_of
from subjects.errors import RunLogError, ScheduleError
from subjects.layout import Layout


def resumed(layout: Layout, whole: Schedule, *, from_trial: int | None, lead_s: float | None) -> Schedule:
    """Plan the rest of a run.

    Parameters
    ----------
    layout : Layout
        The study.
    whole : Schedule
        The run's plan by the settings as they are now.
    from_trial : int or None
        Where to begin, from 1; None for the first trial that the last attempt has not shown to its end.
    lead_s : float or None
        See :func:`paradigms.schedule.rest_of`; None for a task whose runs cannot be resumed.

    Raises
    ------
    RunLogError
        If there is nothing to resume; see :func:`first_open_trial`.
    ScheduleError
        If there is no such trial, or a run of this task cannot be resumed.
    """
    if lead_s is None:
        raise ScheduleError("resume", came=f"a trial of a {whole.task} run",
                            expected="a task whose runs can be resumed", remedy="Play the run again as a whole.")
    open_trial = first_open_trial(layout, whole, lead_s=lead_s)
    return rest_of(whole, first_trial=open_trial if from_trial is None else from_trial, lead_s=lead_s)


def first_open_trial(layout: Layout, whole: Schedule, *, lead_s: float) -> int:
    """Give the number, from 1, of the first trial that the last attempt has not shown to its end.

    Parameters
    ----------
    layout : Layout
        The study.
    whole : Schedule
        The run's plan by the settings as they are now.
    lead_s : float
        See :func:`paradigms.schedule.rest_of`.

    Raises
    ------
    RunLogError
        If there is nothing to resume: no attempt that was cut short, or one of another plan.
    """
    journals = attempts(layout, whole.key)
    if not journals:
        raise RunLogError(str(whole.key), came="no earlier attempt", expected="one that was cut short",
                          remedy="Play the run from its beginning: leave --resume out.")
    plan, records = read_schedule(schedule_beside(journals[-1])), read_journal(journals[-1])
    first = plan.first_trial or 1
    expected = whole if plan.first_trial is None else rest_of(whole, first_trial=first, lead_s=lead_s)
    if plan.digest != expected.digest:
        raise RunLogError(str(journals[-1]), came="an attempt of another plan", expected="the plan of the settings now",
                          remedy="Restore the settings, or play the run from its beginning.")
    zero = time_zero(records)
    last = max((record["t"] for record in records), default=0.0) - (zero or 0.0)
    shown = 0 if zero is None else sum(event.end_s <= last for event in plan.events)
    if shown == len(plan.events):
        raise RunLogError(str(journals[-1]), came="an attempt that showed every trial",
                          expected="one that was cut short", remedy="Add --repeat to play the run again.")
    return first + shown
