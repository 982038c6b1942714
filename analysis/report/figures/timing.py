"""How well runs kept to their plan: onset errors trial by trial, pulses against volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.report.figures.style import COLORS, INK, MUTED, RULE, WIDTH_IN, new_figure, styled
from analysis.report.wording import say_number

_LATE = COLORS["AI"]
_COLUMNS = (8, 92)
"""Where errors and pulses stand in words, in points right of the axes."""


@dataclass(frozen=True, eq=False)
class RunTiming:
    """What is drawn of one run.

    Parameters
    ----------
    name : str
        Such as ``"ses-01 run-1"``.
    onset_errors_s : float array, (n_images,)
        Actual minus planned onset of each image.
    n_pulses, n_volumes : int or None
        Pulses counted and volumes planned.
    complete : bool
    """

    name: str
    onset_errors_s: NDArray[np.float64]
    n_pulses: int | None
    n_volumes: int | None
    complete: bool


@styled
def draw_timing(runs: Sequence[RunTiming], *, frame_s: float) -> Figure:
    """Draw one line a run: every image's onset error, their median, and pulses in words.

    Parameters
    ----------
    runs : sequence of RunTiming
    frame_s : float
        Duration of a display frame; onsets off by more are marked.

    Returns
    -------
    Figure
    """
    figure = new_figure(WIDTH_IN, 0.75 + 0.2 * len(runs))
    axes = figure.subplots()
    frame_ms = 1e3 * frame_s
    axes.axvspan(-frame_ms, frame_ms, color="#f1f1ee", zorder=0, label="one frame")
    axes.axvline(0, color=RULE, linewidth=0.7, zorder=0.5)
    reach = 1.25 * max([frame_ms, *(1e3 * float(np.abs(run.onset_errors_s).max(initial=0)) for run in runs)])
    for k, run in enumerate(runs):
        _draw_run(axes, run, y=k, frame_ms=frame_ms)
    axes.set_yticks(range(len(runs)), [run.name for run in runs])
    axes.set_ylim(len(runs) - 0.4, -0.9)
    axes.set_xlim(-reach, reach)
    axes.tick_params(axis="y", length=0, labelsize=7.5)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"Onset error of images (ms, actual − planned; band: one frame, {frame_ms:.1f} ms)")
    for x, heading in zip(_COLUMNS, ("|error|: median, 99 %", "pulses/volumes"), strict=True):
        axes.annotate(heading, (1, 1), xycoords="axes fraction", xytext=(x, 0), va="top", textcoords="offset points",
                      fontsize=7, color=MUTED)
    return figure


def _draw_run(axes: Axes, run: RunTiming, *, y: int, frame_ms: float) -> None:
    errors = 1e3 * run.onset_errors_s
    wobble = 0.28 * np.sin(2.4 * np.arange(len(errors)))  # spread over the line's height, the same every time
    colors = [_LATE if abs(error) > frame_ms else COLORS["AN"] for error in errors]
    axes.scatter(errors, y + wobble, s=4, c=colors, alpha=0.55, linewidths=0, zorder=2, label=run.name)
    if len(errors):
        axes.plot([np.median(errors)] * 2, [y - 0.36, y + 0.36], color=INK, linewidth=1.2, zorder=3, label="_median")
    for x, said in zip(_COLUMNS, summary(run), strict=True):
        axes.annotate(said, (1, y), xycoords=("axes fraction", "data"), xytext=(x, 0), va="center",
                      textcoords="offset points", fontsize=7, color=INK if run.complete else _LATE)


def summary(run: RunTiming) -> tuple[str, str]:
    """Say a run's errors, and its pulses.

    Examples
    --------
    >>> summary(RunTiming("run-1", np.array([0.001, -0.001, 0.003]), 278, 278, True))
    ('1.0 ms, 3.0 ms', '278/278')
    """
    size = 1e3 * np.abs(run.onset_errors_s)
    middle, far = (float(np.percentile(size, q)) if len(size) else None for q in (50, 99))
    pulses = "/".join("–" if n is None else str(n) for n in (run.n_pulses, run.n_volumes))
    tail = "" if run.complete else "   incomplete"
    return f"{say_number(middle, digits=1, unit=' ms')}, {say_number(far, digits=1, unit=' ms')}", f"{pulses}{tail}"
