"""Notices a key that is stuck: one that is never let go, or that comes again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

STUCK_S = 5.0
REPEAT_S = 0.15
REPEATS = 12


@runtime_checkable
class TellsHeld(Protocol):
    """A response device that reports releases too."""

    def keys_down(self) -> Mapping[str, float]:
        """Give the keys that are down now, each with the stamp of its press in the clock's seconds."""


class StuckKeys:
    """Looks at presses as they come, and at keys that are down.

    A key counts as stuck when it has been down for 5 s, or has come 12 times in a row, each within 150 ms of the
    last: no person does either by intent.

    Examples
    --------
    >>> stuck = StuckKeys()
    >>> [said for k in range(13) if (said := stuck.see("1", stamp_s=0.03 * k))]
    ["key '1' comes again and again: it is stuck"]
    >>> stuck.look({"2": 10.0}, now_s=16.0)
    ["key '2' has been down for 5 s: it is stuck"]
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def see(self, key: str, *, stamp_s: float) -> str:
        """Say what is amiss with a press: nothing, or that its key repeats itself."""
        before, n = self._last.get(key, (float("-inf"), 0))
        n = n + 1 if stamp_s - before < REPEAT_S else 1
        self._last[key] = stamp_s, n
        return f"key {key!r} comes again and again: it is stuck" if n == REPEATS else ""

    def look(self, held: Mapping[str, float], *, now_s: float) -> list[str]:
        """Say which keys have been down for too long."""
        return [f"key {key!r} has been down for {STUCK_S:g} s: it is stuck" for key, since in held.items()
                if now_s - since > STUCK_S]
