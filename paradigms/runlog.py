"""The record of a run as it is read: its journal, and the BIDS events table that is made of it.

A journal is a text file of JSON objects, one a line (:mod:`paradigms.record.journal` writes it). ``kind`` says what
happened, ``t`` when (seconds of the clock), ``wall`` when by the wall clock. Time zero of the events
table is the stamp of the first counted pulse, in the record of kind ``zero``.
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paradigms.detection import mark_rows
from paradigms.schedule import BLANK, Event, Schedule
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.provenance import digest_file, versions
from subjects.settings.study import Settings
from subjects.store import read_json, read_table

Record = dict[str, Any]
TABLE, FIXATION_TABLE = "EventsTable", "fixation.tsv"
_MADE_AGAIN = "Move this table away; `python run_session.py recover` then makes it again from the run's journal."
_TEXT = ("trial_type", "stim_file", "image_id", "base_image", "category", "class", "response", "correct_response")
COLUMNS = {
    "onset": ("Time at which it became visible, from the first counted pulse.", "s"),
    "duration": ("How long it was visible.", "s"),
    "trial_type": ("What was shown.", None),
    "stim_file": ("The image shown, relative to /stimuli.", None),
    "image_id": ("Digest of the image's pixels, as in stimuli/manifest.tsv.", None),
    "base_image": ("The regular image that this one is or was made from or for.", None),
    "category": ("Category of the base image.", None),
    "class": ("Class of the category.", None),
    "presentation": ("First or second showing of the image in this run.", None),
    "response": ("First key pressed in the response window.", None),
    "response_time": ("From the image's onset to the press.", "s"),
    "correct_response": ("The key that was right; for AN that of what they were made from, unseen.", None),
    "correct": ("1 if the response was right, 0 if wrong or missing; n/a if the run ended too early or for AN.", None),
    "onset_planned": ("Time at which the image should have become visible.", "s"),
}
FIXATION_COLUMNS = {
    "onset": ("Time at which the fixation point took the colour, from the first counted pulse.", "s"),
    "duration": ("How long it kept it.", "s"),
    "color": ("The colour, by name or as rgb-R-G-B.", None),
    "response": ("The key that was pressed within the window of the change.", None),
    "response_time": ("From the change to the press.", "s"),
    "correct_response": ("The key that answers the change; n/a for the colour at the start.", None),
    "correct": ("1 if the change was answered, 0 if not; n/a if nothing was asked or the run ended too early.", None),
    "onset_planned": ("Time at which the colour should have changed.", "s"),
}
LEVELS = {"correct": {"1": "right", "0": "wrong or missing"}}


def read_journal(path: Path) -> list[Record]:
    """Read a journal; a last line that was cut off is left out.

    Raises
    ------
    RunLogError
        If the file is missing, or a line before the last cannot be read or does not say what and when.
    """
    path = Path(path)
    if not path.is_file():
        raise RunLogError(str(path), came="no such file", expected="a journal", remedy="Check the run's name.")
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    records = []
    for k, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            records.append(_record(json.loads(line)))
        except ValueError as error:
            raise RunLogError(f"{path}, line {k}", came=f"text that is no record ({error})", expected="a journal line",
                              remedy="Restore the file; journals are never edited.") from error
    return records


def has_end(path: Path, *, complete: bool = False) -> bool:
    """Say whether a journal has its end line, as far as it can be read: damage elsewhere in it changes nothing.

    Parameters
    ----------
    path : Path
        A journal.
    complete : bool
        Ask for the end of a run that was played to its end.
    """
    for line in reversed(Path(path).read_bytes().split(b"\n")):
        with contextlib.suppress(ValueError):
            record = _record(json.loads(line))
            if record["kind"] == "end" and (not complete or record.get("complete") is True):
                return True
    return False


def _record(said: Any) -> Record:
    """Take a line's content if it says what happened and when."""
    if not (isinstance(said, dict) and isinstance(said.get("kind"), str)):
        raise ValueError(f"{said!r:.60} has no kind")
    stamp = said.get("t")
    if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not np.isfinite(stamp):
        raise ValueError(f"{said['kind']!r} at t = {stamp!r}")
    return said


def of_kind(records: Sequence[Record], kind: str) -> list[Record]:
    """Pick the records of one kind."""
    return [record for record in records if record["kind"] == kind]


def time_zero(records: Sequence[Record]) -> float | None:
    """Give the clock's time of the first counted pulse, or None if none came."""
    zeros = of_kind(records, "zero")
    return float(zeros[0]["t"]) if zeros else None


def display_delay_s(records: Sequence[Record]) -> float:
    """Give the time from a flip to the light on the subject's screen, as it was set when a run was played."""
    return float(next((one["display_delay_s"] for one in of_kind(records, "devices") if "display_delay_s" in one), 0.0))


def flips_seen(records: Sequence[Record]) -> list[Record]:
    """List a run's flips with the time at which each was seen: that of the flip and the display's delay.

    What is late is judged by the flips themselves (:func:`of_kind`); what is set against scans and presses, by these.
    """
    delay_s = display_delay_s(records)
    return [{**flip, "t": flip["t"] + delay_s} for flip in of_kind(records, "flip")]


def is_complete(records: Sequence[Record]) -> bool:
    """Say whether the run was played to its end."""
    return any(record.get("complete") is True for record in of_kind(records, "end"))


def events_table(records: Sequence[Record], schedule: Schedule, *, response_window_s: float,
                 unknowable: Collection[str] = ()) -> pd.DataFrame:
    """Read the events of a run out of its journal.

    Parameters
    ----------
    records : sequence of dict
        The journal.
    schedule : Schedule
        What was planned.
    response_window_s : float
        How long after an image's onset a press counts as its answer, in seconds; never past the next
        image's onset.
    unknowable : collection of str
        Trial types of which nobody can see what is right: ``correct`` is n/a.

    Returns
    -------
    DataFrame
        One row for each event that began, with the columns of :data:`COLUMNS`. Changes of the fixation point are no
        events of an analyst's design: :func:`fixation_table` has them. A blank trial's onset is planned: nothing
        changes on the display when it begins. An event without a right answer has no response. An event that was up
        when the record was cut off lasts until the last line of the record; one of which no later line tells is left
        out, since nothing says how long it was up.
    """
    zero = time_zero(records)
    rows = [] if zero is None else _rows(records, schedule, zero=zero, response_window_s=response_window_s)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table.loc[table["trial_type"].isin(unknowable), "correct"] = None
    return table.astype({"presentation": "Int64", "correct": "Int64"})


def _rows(records: Sequence[Record], schedule: Schedule, *, zero: float, response_window_s: float) -> list[Record]:
    flips = flips_seen(records)
    shown = {flip["event"]: flip["t"] - zero for flip in flips if flip["what"] == "on"}
    gone = {flip["event"]: flip["t"] - zero for flip in flips if flip["what"] == "off"}
    taken = [press for press in of_kind(records, "press") if press["task"]]
    presses = [(press["t"] - zero, str(press["key"])) for press in sorted(taken, key=lambda press: press["t"])]
    last = max((record["t"] for record in records), default=zero) - zero
    asking = {event.index for event in schedule.events if event.correct_key is not None}
    onsets = sorted(t for index, t in shown.items() if index in asking)
    rows = []
    for event in schedule.events:
        if event.trial_type == BLANK and event.onset_s < last:
            rows.append(_blank_row(event, end=min(event.end_s, last)))
        elif event.index in shown:
            onset = shown[event.index]
            end = gone.get(event.index, min(onset + event.duration_s, max(last, onset)))
            closes = min([onset + response_window_s, *(t for t in onsets if t > onset)])
            asks = event.index in asking
            answer = next(((key, t - onset) for t, key in presses if onset <= t < closes), None) if asks else None
            countable = asks and (bool(answer) or closes <= last)
            rows.append(_image_row(event, onset=onset, end=end, answer=answer, countable=countable))
    return [row for row in rows if row["duration"] > 0]


def fixation_table(records: Sequence[Record], schedule: Schedule, *, response_window_s: float) -> pd.DataFrame:
    """Read the changes of the fixation point out of a run's journal.

    Parameters
    ----------
    records, schedule
        The journal, and what was planned.
    response_window_s : float
        How long after a change a press is its answer, in seconds.

    Returns
    -------
    DataFrame
        One row for each colour that was seen, the first being the one at the start, with the columns of
        :data:`FIXATION_COLUMNS`. The rows tile the run: in a design beside a constant they would be collinear.
    """
    zero, rows = time_zero(records), []
    if zero is not None:
        presses = sorted(press["t"] - zero for press in of_kind(records, "press") if press["task"])
        last = max(record["t"] for record in records) - zero
        rows = mark_rows(schedule.marks, flips=[(flip["planned"] - zero, flip["t"] - zero)
                                                for flip in flips_seen(records)],
                         presses_s=presses, last_s=min(last, schedule.duration_s), window_s=response_window_s)
    table = pd.DataFrame([row for row in rows if row["duration"] > 0], columns=list(FIXATION_COLUMNS))
    return table.astype({"correct": "Int64"})


def _blank_row(event: Event, *, end: float) -> Record:
    return {"onset": event.onset_s, "duration": round(end - event.onset_s, 6), "trial_type": BLANK,
            "onset_planned": event.onset_s}


def _image_row(event: Event, *, onset: float, end: float, answer: tuple[str, float] | None, countable: bool) -> Record:
    key, reaction = answer or (None, None)
    return {"onset": round(onset, 6), "duration": round(end - onset, 6), "trial_type": event.trial_type,
            "stim_file": event.stim_file, "image_id": event.image_id, "base_image": event.base_image,
            "category": event.category, "class": event.class_name, "presentation": event.presentation,
            "response": key, "response_time": None if reaction is None else round(reaction, 6),
            "correct_response": event.correct_key, "correct": int(key == event.correct_key) if countable else None,
            "onset_planned": event.onset_s}


def events_sidecar(schedule: Schedule, settings: Settings, *, complete: bool, attempt: int, levels: Mapping[str, str],
                   watch: Mapping[str, Any] | None = None, delay_s: float = 0.0) -> dict[str, Any]:
    """Describe an events table the BIDS way.

    Parameters
    ----------
    schedule : Schedule
        The plan of the run.
    settings : Settings
        Screen and scanner.
    complete : bool
        Whether the run was played to its end (``RunComplete``).
    attempt : int
        Which attempt at this run the table tells of.
    levels : mapping of str to str
        What each ``trial_type`` of the task is.
    watch : mapping, optional
        What the watchdog found; its ``n_pulses`` is repeated as ``n_pulses``.
    delay_s : float
        What was added to the flips' times to give the onsets (``DisplayDelay``).
    """
    display = settings.display
    named = {**LEVELS, "trial_type": dict(levels)}
    columns = {name: {**told, **({"Levels": named[name]} if name in named else {})}
               for name, told in describe_columns(COLUMNS).items()}
    screen = {"ScreenDistance": display.distance_cm / 100, "ScreenRefreshRate": display.refresh_hz,
              "ScreenResolution": [display.width_px, display.height_px],
              "ScreenSize": [display.width_cm / 100, display.height_cm / 100]}
    software = {"OperatingSystem": platform.platform(), "SoftwareName": "adversarial-fmri",
                "SoftwareVersion": versions("adversarial-fmri")["adversarial-fmri"], **screen}
    return {**columns, "StimulusPresentation": software, "TaskName": schedule.task, "RunComplete": complete,
            "Attempt": attempt, **delay_told(delay_s),
            **_fixation_file(schedule, attempt=attempt), "FirstTrial": schedule.first_trial or 1,
            "n_volumes": schedule.n_volumes, "n_pulses": (watch or {}).get("n_pulses"),
            "PulseWatch": dict(watch or {}), "schedule_digest": schedule.digest,
            "manifest_digest": schedule.manifest_digest, "settings_digest": schedule.settings_digest}


def _fixation_file(schedule: Schedule, *, attempt: int) -> dict[str, str]:
    """Name the table of the fixation point, relative to the study, where the point changes."""
    place = Layout(Path()).attempt_file(FIXATION_TABLE, schedule.key, attempt=attempt)
    return {"FixationTable": place.as_posix()} if schedule.marks else {}


def delay_told(delay_s: float) -> dict[str, Any]:
    """Say in a sidecar what its onsets hold of the display's delay."""
    return {"DisplayDelay": delay_s, "DisplayDelayDescription":
            "Seconds from a flip to the light on the screen, added to the time of every flip (display.delay_s)."}


def describe_columns(columns: Mapping[str, tuple[str, str | None]]) -> dict[str, dict[str, str]]:
    """Describe columns the BIDS way: what each holds, and its unit."""
    return {name: {"Description": text, **({"Units": unit} if unit else {})} for name, (text, unit) in columns.items()}


def read_events(path: Path) -> pd.DataFrame:
    """Read an events table with its sidecar.

    Parameters
    ----------
    path : Path
        ``*_events.tsv``.

    Returns
    -------
    DataFrame
        With ``attrs["complete"]`` (bool), ``attrs["n_pulses"]`` and ``attrs["sidecar"]``.

    Raises
    ------
    RunLogError
        If columns are missing, a time is no number, or the table is not the one that its sidecar tells of.
    """
    path = Path(path)
    table = read_table(path, text_columns=_TEXT)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise RunLogError(str(path), came=f"no column {missing[0]!r}", expected="an events table of this toolkit",
                          remedy=_MADE_AGAIN)
    for name in ("onset", "duration"):
        _require_seconds(path, table, name)
    sidecar = read_json(path.with_suffix(".json"))
    _require_same_table(path, sidecar)
    table.attrs.update(complete=bool(sidecar.get("RunComplete")), n_pulses=sidecar.get("n_pulses"), sidecar=sidecar)
    return table


def _require_seconds(path: Path, table: pd.DataFrame, name: str) -> None:
    wrong = ~np.isfinite(pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64))
    if wrong.any():
        row = int(np.argmax(wrong))
        found = table[name].iloc[row]
        came = "n/a" if pd.isna(found) else f"{found!r}" if isinstance(found, str) else f"{found}"
        raise RunLogError(f"{path}, row {row + 1}", came=f"{name} {came}", expected="seconds",
                          remedy=_MADE_AGAIN)


def _run_of(name: str) -> str:
    """Take attempt and part out of a name: a table keeps its run when it is put aside."""
    return re.sub(r"_attempt-\d+(?=_)|_acq-part\d+(?=_)", "", name)


def _require_same_table(path: Path, sidecar: Mapping[str, Any]) -> None:
    """See that a table has the name and the content that its sidecar tells of, where it tells."""
    pulses, named = sidecar.get("n_pulses"), sidecar.get(TABLE, {})
    if pulses is not None and (isinstance(pulses, bool) or not isinstance(pulses, int) or pulses < 0):
        raise RunLogError(str(path.with_suffix(".json")), came=f"n_pulses {pulses!r}",
                          expected="a whole number or null", remedy="Correct it by the journal of the run.")
    if not isinstance(named, dict):
        raise RunLogError(str(path.with_suffix(".json")), came=f"{TABLE} {named!r:.60}", expected="name and digest",
                          remedy="Restore the sidecar.")
    if _run_of(named.get("name", path.name)) != _run_of(path.name):
        raise RunLogError(str(path), came=f"the table of {named['name']}", expected="the run of its own name",
                          remedy="Give table and sidecar their old names.")
    if named.get("digest", digest_file(path)) != digest_file(path):
        raise RunLogError(str(path), came="a table that was changed after the run",
                          expected=f"digest {named['digest']}, as its sidecar says",
                          remedy=f"Restore the table; if the change is meant, take {TABLE} out of the sidecar.")
