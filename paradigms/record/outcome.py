"""What has come in while a run is played, and how the run went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from paradigms.record.changes import Changes, changes_of
from paradigms.record.watchdog import WatchReport, watch
from paradigms.schedule import Schedule
from subjects.settings.display import DisplaySettings


@dataclass(frozen=True)
class RunOutcome:
    """How a run went.

    Parameters
    ----------
    complete : bool
        Played to its end.
    reason : str
        Why not, or ``"complete"``.
    n_events : int
        Events shown.
    n_presses : int
        Presses of the task's keys.
    onset_errors_s : tuple of float
        Actual minus planned onset of every image shown.
    watch : WatchReport
        Pulses, onsets and clocks.
    changes : Changes
        All changes of the display, and the steps of a movie.
    """

    complete: bool
    reason: str
    n_events: int
    n_presses: int
    onset_errors_s: tuple[float, ...]
    watch: WatchReport
    changes: Changes = field(default_factory=Changes)

    @property
    def n_pulses(self) -> int:
        """Volumes from time zero on whose pulse came."""
        return self.watch.n_pulses

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {"complete": self.complete, "reason": self.reason, "n_images": self.n_events,
                "n_presses": self.n_presses, "watch": self.watch.to_json(), "changes": self.changes.to_json()}

    def summary(self) -> str:
        """Say it in one line."""
        seen = self.watch
        onsets = ("no image shown" if seen.onset_median_s is None or seen.onset_p99_s is None else
                  f"onset error median {1e3 * seen.onset_median_s:.2f} ms, 99 % {1e3 * seen.onset_p99_s:.2f} ms")
        faults = f"; {'; '.join(seen.faults)}" if seen.faults else ""
        return (f"{self.reason}: {self.n_events} images, {seen.n_pulses} of {seen.n_expected} pulses, "
                f"{self.n_presses} presses, {onsets}{faults}")


@dataclass
class Tally:
    """What has come in so far.

    `counted` are the pulses without doubles, `strays` those before the run was armed; `awaited` says whether it has
    waited for its trigger.
    """

    pulses: list[float] = field(default_factory=list)
    counted: list[float] = field(default_factory=list)
    presses: int = 0
    errors_s: list[float] = field(default_factory=list)
    offsets_s: list[float] = field(default_factory=list)
    zero: float | None = None
    awaited: bool = False
    changes: Changes = field(default_factory=Changes)
    strays: int = 0
    faults: list[str] = field(default_factory=list)


def outcome_of(tally: Tally, *, schedule: Schedule, n_dummies: int, display: DisplaySettings, now_s: float,
               reason: str) -> RunOutcome:
    """Say how a run went that has ended.

    Parameters
    ----------
    tally : Tally
        What came in.
    schedule : Schedule
        What was planned.
    n_dummies : int
        Pulses before time zero.
    display : DisplaySettings
        Its refresh rate, and the bounds of what may be late or skipped.
    now_s : float
        The clock's time.
    reason : str
        ``"complete"``, or why it ended before.
    """
    report = watch(tally.pulses, zero_s=tally.zero, n_dummies=n_dummies,
                   n_volumes=schedule.n_volumes, tr_s=schedule.tr_s,
                   played_s=0.0 if tally.zero is None else now_s - tally.zero, onset_errors_s=tally.errors_s,
                   clock_offsets_s=tally.offsets_s, frame_s=1.0 / display.refresh_hz)
    early = "a pulse" if tally.strays == 1 else f"{tally.strays} pulses"
    strays = (f"{early} before the run was armed",) if tally.strays else ()
    silence = ("no pulse came",) if tally.awaited and not tally.pulses else ()
    changes = tally.changes
    return RunOutcome(reason == "complete", reason, n_events=len(tally.errors_s), n_presses=tally.presses,
                      onset_errors_s=tuple(tally.errors_s), changes=changes,
                      watch=replace(report, faults=(*report.faults, *changes.faults(display), *silence, *strays,
                                                    *tally.faults)))


def tally_of(records: Sequence[Mapping[str, Any]], *, frame_s: float) -> Tally:
    """Take what came in out of the journal of a run that was cut off; `frame_s` is a frame of its display."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        kinds.setdefault(record["kind"], []).append(record)
    pulses, zeros = kinds.get("pulse", []), kinds.get("zero", [])
    return Tally(
        pulses=[pulse["t"] for pulse in pulses], offsets_s=[pulse["offset"] for pulse in pulses],
        presses=sum(bool(press.get("task")) for press in kinds.get("press", [])),
        errors_s=[flip["t"] - flip["planned"] for flip in kinds.get("flip", []) if flip["what"] == "on"],
        zero=float(zeros[0]["t"]) if zeros else None, changes=changes_of(records, frame_s=frame_s),
        strays=len(kinds.get("stray", [])),
        faults=list({(fault["device"], fault["said"]): fault_text(fault["device"], fault["said"], n=fault.get("n", 1))
                     for fault in kinds.get("fault", [])}.values()))


def fault_text(device: str, said: str, *, n: int = 1) -> str:
    """Say which device has failed, how, and how often."""
    return f"{device} failed: {said}{f' ({n} times)' if n > 1 else ''}"
