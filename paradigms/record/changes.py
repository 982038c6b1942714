"""Every change of the display against the plan: how many came late, and which steps of a movie never came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from subjects.settings.display import DisplaySettings

_EPS_S = 1e-5


@dataclass(frozen=True)
class Changes:
    """What has become of the changes that were due so far.

    Parameters
    ----------
    frame_s : float
        Length of a frame of the display.
    n_changes, n_late : int
        Changes that were shown (beginnings, ends, steps of a movie, colours of the fixation point), and those of them
        that came more than a frame late.
    worst_s : float
        The largest lateness of a change, in seconds.
    n_steps, n_skipped : int
        Steps of a movie that were due, and those of them that were left out because their time was over.
    longest_gap_s : float
        Longest time from a change to the next step of a movie that was going on: the length of a step where nothing
        went wrong, 0 without a movie.
    last_s, last_step : float, int or None
        When the display changed last, and the number of the last step that was due.

    Examples
    --------
    >>> shown = Changes(frame_s=1 / 60).shown(1.0, planned=1.0, step=0).skipped(1).shown(1.25, planned=1.2, step=2)
    >>> shown.n_changes, shown.n_late, shown.n_steps, shown.n_skipped, shown.longest_gap_s
    (2, 1, 3, 1, 0.25)
    """

    frame_s: float = 1 / 120
    n_changes: int = 0
    n_late: int = 0
    worst_s: float = 0.0
    n_steps: int = 0
    n_skipped: int = 0
    longest_gap_s: float = 0.0
    last_s: float | None = None
    last_step: int | None = None

    def shown(self, t: float, *, planned: float, step: int | None) -> Changes:
        """Count a change that was shown at `t`; `step` is its number in the movie, if it is one."""
        goes_on = step is not None and self.last_step is not None and step == self.last_step + 1
        gap = t - self.last_s if goes_on and self.last_s is not None else 0.0
        return replace(self, n_changes=self.n_changes + 1, n_late=self.n_late + (t - planned > self.frame_s + _EPS_S),
                       worst_s=max(self.worst_s, t - planned), n_steps=self.n_steps + (step is not None), last_s=t,
                       longest_gap_s=max(self.longest_gap_s, gap),
                       last_step=self.last_step if step is None else step)

    def skipped(self, step: int) -> Changes:
        """Count a step that was left out."""
        return replace(self, n_steps=self.n_steps + 1, n_skipped=self.n_skipped + 1, last_step=step)

    def take(self, record: Mapping[str, Any]) -> Changes:
        """Count what a line of the journal tells of; lines of other kinds change nothing."""
        if record["kind"] == "skip":
            return self.skipped(int(record["step"]))
        if record["kind"] == "flip" and "planned" in record:
            return self.shown(float(record["t"]), planned=float(record["planned"]), step=record.get("step"))
        return self

    @property
    def share_late(self) -> float:
        """Share of the changes shown that came late."""
        return self.n_late / self.n_changes if self.n_changes else 0.0

    @property
    def share_shown(self) -> float | None:
        """Share of the movie's steps that were shown; None without a movie."""
        return 1.0 - self.n_skipped / self.n_steps if self.n_steps else None

    def movie_fits(self, bounds: DisplaySettings) -> bool:
        """Say whether the movie ran within the bounds of the settings; so does none at all."""
        return self.n_skipped <= bounds.most_skipped * self.n_steps and self.longest_gap_s <= bounds.longest_gap_s

    def times_fit(self, bounds: DisplaySettings) -> bool:
        """Say whether no more changes were late than the settings allow."""
        return self.share_late <= bounds.most_late

    def faults(self, bounds: DisplaySettings) -> tuple[str, ...]:
        """Name in words what passes the bounds."""
        share = 100.0 * self.n_skipped / max(self.n_steps, 1)
        movie = (f"{self.n_skipped} of {self.n_steps} movie steps skipped ({share:.1f} %), longest gap "
                 f"{self.longest_gap_s:.2f} s")
        late = f"{self.n_late} of {self.n_changes} changes late by more than a frame, worst {1e3 * self.worst_s:.0f} ms"
        return ((movie,) if not self.movie_fits(bounds) else ()) + ((late,) if not self.times_fit(bounds) else ())

    def to_json(self) -> dict[str, Any]:
        """Give the counts as JSON's types."""
        counts = {name: value for name, value in asdict(self).items() if name not in ("last_s", "last_step")}
        return {**counts, "share_shown": self.share_shown}


def changes_of(records: Sequence[Mapping[str, Any]], *, frame_s: float) -> Changes:
    """Count the changes of a whole journal."""
    changes = Changes(frame_s)
    for record in records:
        changes = changes.take(record)
    return changes
