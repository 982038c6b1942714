"""``quickcheck``: was a scan good, and is it the one that was logged? Asked while the subject is still there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.timeseries import count_volumes
from analysis.glm.ar1 import fit_ar1
from analysis.glm.betas import BLANK
from analysis.glm.design import add_responses, polynomials
from analysis.glm.linear.contrasts import contrast
from analysis.glm.ols import Floats, Model
from analysis.glm.run_design import FIXATION
from analysis.report.checks.quick_figure import ScanPicture, draw_scan
from analysis.report.checks.series import (
    Series,
    explained_by,
    find_head,
    framewise_displacement,
    head_motion,
    read_series,
    temporal_snr,
)
from analysis.report.figures.style import save
from paradigms.runlog import read_events
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.plan.series_numbers import FIELD, series_of
from subjects.run_key import RunKey
from subjects.store import read_json, write_json

MAX_DISPLACEMENT_MM, MAX_SHARE, MAX_DRIFT_MM = 0.5, 0.05, 2.0
MIN_SNR, MAX_GLOBAL_PCT, MIN_SHARE_RESPONDING = 30.0, 3.0, 0.002
MIN_AHEAD = 0.05
"""By how much more variance the best run's events must explain than the next one's: noise is ahead by .03 at most."""
_TOP = 0.01


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One thing that was looked at: what was found in words, its figure, and whether it is as it should be."""

    name: str
    said: str
    value: float | None
    good: bool


def check_scan(path: Path, *, layout: Layout, key: RunKey, tr_s: float, n_discarded: int,
               progress: ProgressWrapper = silent) -> tuple[Path, tuple[Verdict, ...]]:
    """Check a series against the log of a run, and draw one picture.

    Parameters
    ----------
    path : Path
        A raw or real-time exported NIfTI series.
    layout : Layout
    key : RunKey
        The run that it should be; of a run in parts, its last part unless a part is named.
    tr_s : float
        ``scanner.tr_s``.
    n_discarded : int
        Volumes at the start that are left out of signal over noise and of the map.
    progress : ProgressWrapper

    Returns
    -------
    picture : Path
        In ``derivatives/quickcheck``; a JSON file with the same figures is beside it.
    verdicts : tuple of Verdict

    Raises
    ------
    AnalysisError
        If the file is no series, or the run was not logged.
    """
    events = _read_log(layout, key)
    series = read_series(path)
    flat = series.data.reshape(-1, series.data.shape[3])
    mean = flat.mean(axis=1, dtype=np.float64)
    head = find_head(mean)
    voxels = np.ascontiguousarray(flat[head].T)
    motion = np.array(list(progress(head_motion(series), label="head movement", total=series.data.shape[3])))
    kept = voxels[n_discarded:]
    snr, z = temporal_snr(kept), _response_map(voxels, events, tr_s=tr_s, n_discarded=n_discarded)
    displacement = framewise_displacement(motion)
    course = voxels.mean(axis=1, dtype=np.float64)
    global_pct = 100 * (course / course[n_discarded:].mean() - 1)
    others = {name: explained_by(kept, one) for name, one in _rival_designs(
        layout, key, n_volumes=len(voxels), tr_s=tr_s, n_discarded=n_discarded).items()}
    verdicts = (*_of_log(series, events, tr_s=tr_s), *_of_series(path, layout, key),
                *_of_signal(snr, global_pct[n_discarded:]), *_of_motion(motion, displacement),
                *_of_response(z, others, key=key))

    def whole(values: NDArray[np.floating]) -> NDArray[np.floating]:
        filled = np.full(len(head), np.nan)
        filled[head] = values
        return filled.reshape(series.data.shape[:3])

    picture = layout.derivative("quickcheck", sub=key.sub, suffix=f"{_label(key)}_quickcheck.png")
    figure = draw_scan(ScanPicture(
        title=f"{key}: {path.name}", verdicts=[(one.said, one.good) for one in verdicts], tr_s=tr_s, motion=motion,
        mean=mean.reshape(series.data.shape[:3]), snr=whole(snr), z=whole(z), displacement=displacement,
        global_pct=global_pct))
    describe_derivative(layout, "quickcheck")
    save(figure, picture.parent, name=picture.stem)
    write_json(picture.with_suffix(".json"), {"series": path.name, "run": str(key), **record(verdicts, picture)},
               overwrite=True)
    return picture, verdicts


def _label(key: RunKey) -> str:
    return str(key).partition("_")[2]


def _read_log(layout: Layout, key: RunKey) -> pd.DataFrame:
    if not layout.events(key).is_file():
        there = [str(one) for one in layout.find_runs(key.sub, key.task)]
        raise AnalysisError(str(layout.events(key)), came="no events table of this run",
                            expected="a run that was logged", remedy=f"Logged are: {', '.join(there) or 'none'}.")
    return read_events(layout.events(key))


def make_design(events: pd.DataFrame, *, n_volumes: int, tr_s: float, n_discarded: int) -> Floats:
    """Predict a run's volumes: what was shown, and blanks where there are any, (n_kept, 1 or 2)."""
    lasting = events[(events["duration"] > 0) & (events["onset"] < n_volumes * tr_s)
                     & (events["trial_type"] != FIXATION)]
    is_blank = (lasting["trial_type"] == BLANK).to_numpy()
    times = tr_s * np.arange(n_discarded, n_volumes, dtype=np.float64)
    design = np.zeros((len(times), 1 + bool(is_blank.any())))
    add_responses(design, lasting, columns=is_blank.astype(int), times_s=times)
    return design


def _response_map(voxels: NDArray[np.float32], events: pd.DataFrame, *, tr_s: float, n_discarded: int) -> Floats:
    """Give z of what was shown against blanks (or the baseline) under AR(1) noise."""
    design = make_design(events, n_volumes=len(voxels), tr_s=tr_s, n_discarded=n_discarded)
    drift = polynomials(len(design), degree=max(1, round(len(design) * tr_s / 120)))
    fit = fit_ar1([voxels[n_discarded:]], model=Model([design], [drift], "quickcheck"))
    return contrast(fit, [1.0, -1.0][:design.shape[1]]).z


def _rival_designs(layout: Layout, key: RunKey, *, n_volumes: int, tr_s: float, n_discarded: int) -> dict[str, Floats]:
    """Predict the volumes from this run's events and from those of the session's other runs."""
    keys = [one for one in layout.find_runs(key.sub, key.task) if one.ses == key.ses]
    return {str(one): make_design(read_events(layout.events(one)), n_volumes=n_volumes, tr_s=tr_s,
                                  n_discarded=n_discarded) for one in keys}


def _of_log(series: Series, events: pd.DataFrame, *, tr_s: float) -> tuple[Verdict, ...]:
    n_volumes, pulses = series.data.shape[3], count_volumes(events)
    fits = n_volumes == pulses
    hint = "" if fits else (": another run's series, one that was cut off, or pulses that were lost"
                            if n_volumes < pulses else ": another run's series, or the scanner ran on after the run")
    known = series.tr_s > 0
    return (Verdict(name="volumes", said=f"{n_volumes} volumes, {pulses} logged pulses{hint}", value=n_volumes,
                    good=fits),
            Verdict(name="tr", value=series.tr_s if known else None, good=known and abs(series.tr_s - tr_s) < 1e-3,
                    said=f"TR {series.tr_s:g} s, expected {tr_s:g} s" if known else "the header says no TR"))


def _of_series(path: Path, layout: Layout, key: RunKey) -> tuple[Verdict, ...]:
    """Compare the series' number with the one that was entered for this attempt, where both are known."""
    beside = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    attempt = int(read_json(layout.events_sidecar(key)).get("Attempt", 1))
    found = read_json(beside).get(FIELD) if beside.is_file() else None
    entered = series_of(layout, key, attempt=attempt)
    if found is None or entered is None:
        return ()
    return (Verdict(name="series", said=f"series {found}, entered for this attempt: {entered}", value=float(found),
                    good=str(found) == str(entered)),)


def _of_signal(snr: NDArray[np.float32], global_pct: Floats) -> tuple[Verdict, ...]:
    middle, swing = float(np.median(snr)), float(np.abs(global_pct).max())
    return (Verdict(name="tsnr", said=f"signal over noise {middle:.0f} (median of the head; {MIN_SNR:.0f} or more)",
                    value=middle, good=middle >= MIN_SNR),
            Verdict(name="global", said=f"global signal within {swing:.1f} % (at most {MAX_GLOBAL_PCT:g} %)",
                    value=swing, good=swing <= MAX_GLOBAL_PCT))


def _of_motion(motion: Floats, displacement: Floats) -> tuple[Verdict, ...]:
    share, drift = float(np.mean(displacement > MAX_DISPLACEMENT_MM)), float(np.abs(motion[:, :3]).max())
    return (Verdict(name="motion", value=drift, good=drift <= MAX_DRIFT_MM and share <= MAX_SHARE,
                    said=f"head at most {drift:.1f} mm from the start, {100 * share:.0f} % of volumes moved by more "
                         f"than {MAX_DISPLACEMENT_MM:g} mm"),)


def _of_response(z: Floats, others: dict[str, Floats], *, key: RunKey) -> tuple[Verdict, ...]:
    share = float(np.mean(z > 3.1))
    found = [Verdict(name="response", value=share, good=share >= MIN_SHARE_RESPONDING,
                     said=f"{100 * share:.1f} % of the head's voxels answer to the pictures (z > 3.1)")]
    if len(others) > 1:
        scores = {name: _score(one) for name, one in others.items()}
        best, own = max(scores, key=lambda name: scores[name]), scores[str(key)]
        ahead = scores[best] - max(value for name, value in scores.items() if name != best)
        good = ahead >= MIN_AHEAD and best == str(key)
        said = (f"no run's events fit clearly best: {best} is ahead by {ahead:.3f} ({MIN_AHEAD:g} or more)"
                if ahead < MIN_AHEAD else "this run's events fit the data best of the session's" if good
                else f"the events of {best} fit better")
        found.append(Verdict(name="attempt", said=said, value=own - max(
            value for name, value in scores.items() if name != str(key)), good=good))
    return tuple(found)


def _score(explained: Floats) -> float:
    """Average the best hundredth of the voxels."""
    n = max(1, int(_TOP * len(explained)))
    return float(np.partition(explained, -n)[-n:].mean())


def lines(verdicts: Sequence[Verdict], picture: Path) -> list[str]:
    """Say the verdicts, a line each."""
    return [*(f"{'ok  ' if one.good else 'LOOK'}  {one.said}" for one in verdicts), f"      picture: {picture}"]


def record(verdicts: Sequence[Verdict], picture: Path) -> dict[str, Any]:
    """Give them for ``--json``."""
    return {"picture": str(picture), "good": all(one.good for one in verdicts),
            "verdicts": [{"name": one.name, "said": one.said, "value": one.value, "good": one.good}
                         for one in verdicts]}
