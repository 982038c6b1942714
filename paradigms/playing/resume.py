"""Where a run that was cut short goes on: at a trial, with the same plan, as an attempt of its own."""

from __future__ import annotations

from paradigms.record.parts import last_scanned, read_part
from paradigms.record.run_files import attempts
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

    Notes
    -----
    An attempt that ended before its first pulse has shown nothing: the one before it goes on.
    """
    journals = attempts(layout, whole.key)
    if not journals:
        raise RunLogError(str(whole.key), came="no earlier attempt", expected="one that was cut short",
                          remedy="Play the run from its beginning: leave --resume out.")
    attempt = last_scanned(layout, whole.key)
    if attempt is None:
        return 1
    part = read_part(layout, whole.key, attempt=attempt)
    plan, journal = part.plan, layout.journal(whole.key, attempt=attempt)
    expected = whole if plan.first_trial is None else rest_of(whole, first_trial=part.first, lead_s=lead_s)
    if plan.digest != expected.digest:
        raise RunLogError(str(journal), came="an attempt of another plan", expected="the plan of the settings now",
                          remedy="Restore the settings, or play the run from its beginning.")
    if part.n_shown == len(plan.events):
        raise RunLogError(str(journal), came="an attempt that showed every trial",
                          expected="one that was cut short", remedy="Add --repeat to play the run again.")
    return part.open_trial
