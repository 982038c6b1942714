"""What a run leaves beside its events table: how it was answered, and the apertures that it truly showed."""

from __future__ import annotations

from pathlib import Path

from paradigms.record.apertures import aperture_movie, write_nifti, write_npz, write_stim
from paradigms.record.scoring import COLUMNS, Score, score_run, score_table
from paradigms.runlog import Record, time_zero
from paradigms.schedule import Schedule
from paradigms.tasks.catalogue import has_movie
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.settings.study import Settings
from subjects.store import write_json, write_table

APERTURES = "apertures"


def write_outputs(layout: Layout, settings: Settings, *, schedule: Schedule, records: list[Record], attempt: int,
                  current: bool) -> Score | None:
    """Write what follows from a run's record.

    Parameters
    ----------
    layout, settings
        The study, and the settings in force at the run.
    schedule : Schedule
        Its plan.
    records : list of dict
        Its journal.
    attempt : int
        Which attempt it was.
    current : bool
        Whether it is the run that the analysis will read. Apertures are exported of that one alone; behaviour is
        kept of every attempt.

    Returns
    -------
    Score or None
        None where the run never began.
    """
    if time_zero(records) is None:
        return None
    score = score_run(records, schedule, settings=settings)
    table = layout.attempt_file("behavior.tsv", schedule.key, attempt=attempt)
    write_table(table, score_table([score]), overwrite=True)
    write_json(table.with_suffix(".json"), {name: {"Description": text} for name, text in COLUMNS.items()},
               overwrite=True)
    if current and has_movie(schedule.task):
        export_apertures(layout, settings, schedule=schedule, records=records)
    return score


def export_apertures(layout: Layout, settings: Settings, *, schedule: Schedule, records: list[Record]) -> list[Path]:
    """Write the aperture movie of a run as npz, NIfTI and BIDS ``_stim.tsv.gz``, in the place of an earlier one."""
    made = aperture_movie(schedule, records, settings=settings)
    npz, nifti = (layout.derivative(APERTURES, sub=schedule.sub, suffix=f"apertures.{kind}", ses=schedule.ses,
                                    task=schedule.task, run=schedule.run) for kind in ("npz", "nii.gz"))
    describe_derivative(layout, APERTURES)
    return [write_npz(npz, made, schedule=schedule, overwrite=True), write_nifti(nifti, made, overwrite=True),
            write_stim(layout.stim(schedule.key), made, schedule=schedule, settings=settings, overwrite=True)]
