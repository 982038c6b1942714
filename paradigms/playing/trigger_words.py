"""What is said of a trigger that does not come."""

from __future__ import annotations

from paradigms.devices.protocols import TriggerSource, came_instead, checks_of


def said_instead(trigger: TriggerSource) -> str:
    """Say what came in the place of pulses, and what to check; empty where nothing did."""
    other = came_instead(trigger)
    return f"{other}; check {checks_of(trigger)}" if other else ""


def missing_pulse(trigger: TriggerSource, *, n_pulses: int, dummies: int) -> str:
    """Say which pulse did not come, and what came instead.

    Parameters
    ----------
    trigger : TriggerSource
        Where it should have come from.
    n_pulses, dummies : int
        Pulses that came, and dummy volumes that were to come before the first counted one.
    """
    stopped = f": the scanner stopped after {n_pulses} of {dummies} dummy volumes" if n_pulses else ""
    missing = f"no trigger{stopped}; none followed" if stopped else "no trigger"
    other = "" if n_pulses else said_instead(trigger)
    return f"{missing} ({other})" if other else missing
