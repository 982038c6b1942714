"""Gaze as the EyeLink recorded it: its text file read, written as BIDS physio, and fixation by type of image."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paradigms.runlog import of_kind, read_events, read_journal
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import read_resolved
from subjects.store import read_json, write_bytes, write_json, write_table

COLUMNS = ("timestamp", "x_coordinate", "y_coordinate", "pupil_size")
WITHIN_DEG = 1.0
SAME_ATTEMPT_S = 30.0
"""A tracker begins to record as soon as a run's devices are open."""
_OF_THIS = "Take the recording of this attempt; nothing was written."
_MESSAGE = re.compile(r"MSG\s+(\d+(?:\.\d+)?)\s+(.*)\Z")


@dataclass(frozen=True, eq=False)
class Gaze:
    """A recording.

    Parameters
    ----------
    samples : float64 array, (n, 4)
        Host's milliseconds, x and y in pixels from the upper left corner, pupil; NaN in a blink.
    messages : tuple of (float, str)
        Host's milliseconds, text.
    noticed_ms : float
        How long after the pulse itself the message ``zero`` was sent, as the journal of the run has it.
    """

    samples: NDArray[np.float64]
    messages: tuple[tuple[float, str], ...]
    noticed_ms: float = 0.0

    @property
    def zero_ms(self) -> float:
        """The host's time of the run's time zero."""
        found = [t for t, text in self.messages if text == "zero"]
        if not found:
            raise RunLogError("gaze", came="no message 'zero'", expected="a recording of a run that began",
                              remedy="Take another recording.")
        return found[0] - self.noticed_ms

    @property
    def rate_hz(self) -> float:
        """Samples a second."""
        return float(1000.0 / np.median(np.diff(self.samples[:, 0])))


def read_asc(path: Path) -> Gaze:
    """Read an EyeLink's text file (SR Research's ``edf2asc``); one eye, or the first of two.

    Raises
    ------
    RunLogError
        If it holds no sample.
    """
    samples, messages = [], []
    for k, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if match := _MESSAGE.match(line):
            messages.append((float(match[1]), match[2].strip()))
        elif line[:1].isdigit():
            samples.append(_sample(line, where=f"{path}, line {k}"))
    if len(samples) < 2:
        raise RunLogError(str(path), came="no samples", expected="the text of an EyeLink's recording",
                          remedy="Make it with `edf2asc -s -y`, messages and samples.")
    return Gaze(np.asarray(samples, dtype=np.float64), tuple(messages))


def _sample(line: str, *, where: str) -> list[float]:
    """Read a sample: time, x, y, pupil."""
    words = line.split()
    try:
        found = [float(words[0]), *(np.nan if word == "." else float(word) for word in words[1:4])]
    except ValueError:
        found = []
    if len(found) != len(COLUMNS):
        raise RunLogError(where, came=f"{line[:60]!r}", expected="a sample: time, x, y, pupil",
                          remedy="The file was cut off or edited: convert the recording once more.")
    return found


def text_of(path: Path) -> Path:
    """Give the text of a recording beside it, made by ``edf2asc`` where it is not there.

    Raises
    ------
    RunLogError
        If the program is missing or fails.
    """
    text = path.with_suffix(".asc")
    if text.is_file():
        return text
    program = shutil.which("edf2asc")
    if program is None:
        raise RunLogError(str(path), came="no edf2asc on this computer", expected="SR Research's converter",
                          remedy=f"Convert it elsewhere to {text.name}, or install the EyeLink Developers Kit.")
    done = subprocess.run([program, "-y", "-miss", ".", str(path)], capture_output=True, text=True, check=False)
    if not text.is_file():
        raise RunLogError(str(path), came=f"edf2asc without a result ({(done.stdout or done.stderr).strip()[-80:]})",
                          expected=text.name, remedy="Try it alone.")
    return text


def eccentricity_deg(gaze: Gaze, display: DisplaySettings) -> NDArray[np.float64]:
    """Give how far from the centre of the display the eye looked, in degrees of visual angle; NaN in a blink."""
    across = (gaze.samples[:, 1] - display.width_px / 2.0) * display.width_cm / display.width_px
    down = (gaze.samples[:, 2] - display.height_px / 2.0) * display.height_cm / display.height_px
    return np.asarray(np.degrees(np.arctan(np.hypot(across, down) / display.distance_cm)))


def fixation_by_type(gaze: Gaze, events: pd.DataFrame, *, display: DisplaySettings,
                     within_deg: float = WITHIN_DEG) -> pd.DataFrame:
    """Count the samples within some degrees of the fixation point while images of each type were up.

    Returns
    -------
    DataFrame
        ``trial_type``, ``n_samples``, ``share_within`` (of the samples with an eye), ``share_lost`` (blinks).
    """
    t = (gaze.samples[:, 0] - gaze.zero_ms) / 1000.0
    away, rows = eccentricity_deg(gaze, display), []
    for kind, those in events.groupby("trial_type"):
        up = np.zeros(len(t), dtype=bool)
        for onset, duration in zip(those["onset"], those["duration"], strict=True):
            up |= (t >= onset) & (t < onset + duration)
        seen = up & np.isfinite(away)
        rows.append({"trial_type": kind, "n_samples": int(up.sum()),
                     "share_within": float((away[seen] <= within_deg).mean()) if seen.any() else np.nan,
                     "share_lost": float(1.0 - seen.sum() / up.sum()) if up.any() else np.nan})
    return pd.DataFrame(rows)


def message_offsets_s(gaze: Gaze, events: pd.DataFrame) -> NDArray[np.float64]:
    """Give for every event's message how long after the event's onset it stands in the recording, in seconds.

    Raises
    ------
    RunLogError
        If an event that was shown has no message, or a message no event.
    """
    told = [((t - gaze.zero_ms) / 1000.0, text.split()) for t, text in gaze.messages if text.startswith("event ")]
    shown = events[events["trial_type"] != "blank"]
    if not events.attrs.get("complete", True) and len(told) == len(shown) + 1:
        told = told[:-1]  # the run was cut short during an event, of whose end nothing tells: it has no row
    if len(told) != len(shown):
        raise RunLogError("gaze", came=f"{len(told)} events' messages", expected=f"{len(shown)}, as the events table",
                          remedy=_OF_THIS)
    kinds = [words[2] if len(words) > 2 else "" for _, words in told]
    for k, (came, expected) in enumerate(zip(kinds, shown["trial_type"], strict=True), start=1):
        if came != expected:
            raise RunLogError("gaze", came=f"message {k} of an event {came!r}", expected=f"{expected!r}, as the events "
                              "table", remedy=_OF_THIS)
    return np.asarray([t for t, _ in told] - shown["onset"].to_numpy(dtype=np.float64), dtype=np.float64)


def require_recording_of(gaze: Gaze, *, key: RunKey, began_wall_s: float, where: Path) -> None:
    """See that a recording says that it is of a run, and of this attempt at it: by name, and by the wall clock.

    Parameters
    ----------
    gaze : Gaze
    key : RunKey
        The run.
    began_wall_s : float
        When the attempt's record was begun, in seconds of Unix time.
    where : Path
        The file, for the message.

    Raises
    ------
    RunLogError
        If it is of another run or attempt.
    """
    told = {text.partition(" ")[0]: text.partition(" ")[2] for _, text in gaze.messages}
    mine = f"sub-{key.sub}_ses-{key.ses}_task-{key.task}_run-{key.run:02d}"
    if told.get("RUN", mine) != mine:
        raise RunLogError(str(where), came=f"a recording of {told['RUN']}", expected=mine, remedy=_OF_THIS)
    away_s = float(told.get("WALL", began_wall_s)) - began_wall_s
    if abs(away_s) > SAME_ATTEMPT_S:
        side = "after" if away_s > 0 else "before"
        raise RunLogError(str(where), came=f"a recording begun {abs(away_s):.0f} s {side} the attempt that the events "
                          "table is of", expected="one of the same attempt", remedy=_OF_THIS)


def _own_path(layout: Layout, key: RunKey) -> Path:
    """Spell where a run's gaze goes; what another recorder's has that name is never written over."""
    path = layout.physio(key)
    told = path.with_name(path.name.replace(".tsv.gz", ".json"))
    if path.exists() and not (told.is_file() and "MessageOffset" in read_json(told)):
        raise RunLogError(str(path), came="another recording", expected="a free name, or gaze that was written before",
                          remedy="Give it an entity of its own, for example recording-cardiac; nothing was written.")
    return path


def write_physio(layout: Layout, *, key: RunKey, recording: Path,
                 within_deg: float = WITHIN_DEG) -> tuple[Path, pd.DataFrame]:
    """Write a run's gaze as BIDS physio, and its fixation by type of image beside the recording.

    Degrees are those of the display that the run was shown on, as its own settings have it.

    Returns
    -------
    Path, DataFrame
        The physio file, and :func:`fixation_by_type`.

    Raises
    ------
    RunLogError
        For a recording outside the study, of another run or attempt, or that cannot be read.
    """
    if not recording.resolve().is_relative_to(layout.root.resolve()):
        raise RunLogError(str(recording), came="a file outside the study", expected=f"one in {layout.root}",
                          remedy=f"Copy it to {layout.source_dir(key.sub, key.ses)}; nothing was written.")
    events = read_events(layout.events(key))
    attempt = int(events.attrs["sidecar"]["Attempt"])
    journal = read_journal(layout.journal(key, attempt=attempt))
    display = read_resolved(layout.resolved_settings(key, attempt=attempt)).display
    zero = of_kind(journal, "zero")[0]
    gaze = replace(read_asc(text_of(recording)), noticed_ms=1000.0 * (zero["noticed"] - zero["t"]))
    require_recording_of(gaze, key=key, began_wall_s=float(of_kind(journal, "start")[0]["wall"]), where=recording)
    offsets = message_offsets_s(gaze, events)
    table = fixation_by_type(gaze, events, display=display, within_deg=within_deg)
    path = _own_path(layout, key)
    values = gaze.samples.copy()
    values[:, 0] = (values[:, 0] - gaze.zero_ms) / 1000.0
    text = io.StringIO()
    pd.DataFrame(values).to_csv(text, sep="\t", header=False, index=False, na_rep="n/a", lineterminator="\n",
                                float_format="%.4f")
    write_bytes(path, gzip.compress(text.getvalue().encode("utf-8"), mtime=0), overwrite=True)
    units: dict[str, dict[str, Any]] = {
        "timestamp": {"Description": "Time from the first counted pulse.", "Units": "s"},
        "x_coordinate": {"Description": "Gaze from the left edge of the display.", "Units": "pixel"},
        "y_coordinate": {"Description": "Gaze from the upper edge of the display.", "Units": "pixel"},
        "pupil_size": {"Description": "Pupil, as the EyeLink gives it.", "Units": "arbitrary"}}
    write_json(path.with_name(path.name.replace(".tsv.gz", ".json")), {
        "SamplingFrequency": gaze.rate_hz, "StartTime": float(values[0, 0]), "Columns": list(COLUMNS), **units,
        "Manufacturer": "SR Research", "MessageOffset": {
            "Median": float(np.median(offsets)), "Worst": float(np.max(np.abs(offsets))),
            "Description": "Seconds from an event's onset to its message in the recording."},
        "Recording": recording.resolve().relative_to(layout.root.resolve()).as_posix()}, overwrite=True)
    write_table(recording.with_name(f"{recording.stem}_fixation.tsv"), table, overwrite=True)
    return path, table
