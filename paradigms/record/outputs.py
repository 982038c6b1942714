"""What a run leaves beside its events table: how it was answered, and what else its task writes."""

from __future__ import annotations

from paradigms.runlog import (
    FIXATION_COLUMNS,
    FIXATION_TABLE,
    Record,
    delay_told,
    describe_columns,
    display_delay_s,
    fixation_table,
    time_zero,
)
from paradigms.schedule import Schedule
from paradigms.tasks.protocol import Task
from paradigms.tasks.scoring import COLUMNS, Score, score_table
from subjects.layout import Layout
from subjects.store import write_json, write_table


def write_outputs(layout: Layout, task: Task, *, schedule: Schedule, records: list[Record], attempt: int,
                  current: bool) -> tuple[Score, ...] | None:
    """Write what follows from a run's record.

    Parameters
    ----------
    layout : Layout
        The study.
    task : Task
        The paradigm, made with the settings in force at the run.
    schedule : Schedule
        Its plan.
    records : list of dict
        Its journal.
    attempt : int
        Which attempt it was.
    current : bool
        Whether it is the run that the analysis will read. The task's own outputs are written of that one alone;
        behaviour is kept of every attempt.

    Returns
    -------
    tuple of Score or None
        None where the run never began.
    """
    if time_zero(records) is None:
        return None
    scores = tuple(task.score(records, schedule))
    table = layout.attempt_file("behavior.tsv", schedule.key, attempt=attempt)
    write_table(table, score_table(scores), overwrite=True)
    told = delay_told(display_delay_s(records))
    write_json(table.with_suffix(".json"), {**{name: {"Description": text} for name, text in COLUMNS.items()}, **told},
               overwrite=True)
    if schedule.marks:
        table = layout.attempt_file(FIXATION_TABLE, schedule.key, attempt=attempt)
        write_table(table, fixation_table(records, schedule, response_window_s=task.response_window_s), overwrite=True)
        write_json(table.with_suffix(".json"), {**describe_columns(FIXATION_COLUMNS), **told}, overwrite=True)
    if current:
        task.write_outputs(layout, schedule=schedule, records=records)
    return scores
