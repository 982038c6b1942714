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
from subjects.store import write_bytes, write_json, write_table

COLUMNS = ("timestamp", "x_coordinate", "y_coordinate", "pupil_size")
WITHIN_DEG = 1.0
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
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _MESSAGE.match(line):
            messages.append((float(match[1]), match[2].strip()))
        elif line[:1].isdigit():
            words = line.split()
            samples.append([float(words[0]), *(np.nan if word == "." else float(word) for word in words[1:4])])
    if not samples:
        raise RunLogError(str(path), came="no sample", expected="the text of an EyeLink's recording",
                          remedy="Make it with `edf2asc -s -y`, messages and samples.")
    return Gaze(np.asarray(samples, dtype=np.float64), tuple(messages))


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
    told = [(t - gaze.zero_ms) / 1000.0 for t, text in gaze.messages if text.startswith("event ")]
    onsets = events.loc[events["trial_type"] != "blank", "onset"].to_numpy(dtype=np.float64)
    if len(told) != len(onsets):
        raise RunLogError("gaze", came=f"{len(told)} events' messages", expected=f"{len(onsets)}, as the events table",
                          remedy="Take the recording of this attempt.")
    return np.asarray(np.asarray(told) - onsets, dtype=np.float64)


def write_physio(layout: Layout, *, key: RunKey, recording: Path, display: DisplaySettings,
                 within_deg: float = WITHIN_DEG) -> tuple[Path, pd.DataFrame]:
    """Write a run's gaze as BIDS physio, and its fixation by type of image beside the journal.

    Returns
    -------
    Path, DataFrame
        The physio file, and :func:`fixation_by_type`.
    """
    events = read_events(layout.events(key))
    zero = of_kind(read_journal(layout.journal(key, attempt=int(events.attrs["sidecar"]["Attempt"]))), "zero")[0]
    gaze = replace(read_asc(text_of(recording)), noticed_ms=1000.0 * (zero["noticed"] - zero["t"]))
    offsets = message_offsets_s(gaze, events)
    table = fixation_by_type(gaze, events, display=display, within_deg=within_deg)
    path = layout.physio(key)
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
        "Recording": recording.relative_to(layout.root).as_posix()}, overwrite=True)
    write_table(recording.with_name(f"{recording.stem}_fixation.tsv"), table, overwrite=True)
    return path, table
