"""Settings that differ from those that a subject's earlier runs were played with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from paradigms.record.parts import was_scanned
from subjects.errors import RunLogError
from subjects.layout import Layout, key_of
from subjects.settings.loading import read_resolved
from subjects.settings.study import Settings, leaves

SHOWN = ("stimuli", "display", "scanner", "textures")
"""Sections that tell what is shown and when, beside the task's own."""
NOT_SHOWN = ("stimuli.images", "stimuli.labels", "stimuli.weights", "display.screen", "display.only_screen",
             "display.photodiode", "display.most_skipped", "display.longest_gap_s", "display.most_late",
             "scanner.arm_key", "scanner.trigger_key", "main.least_right", "main.least_answered",
             "main.counterbalance_keys",
             *(f"{task}.least_hits" for task in ("retinotopy", "lo", "motion")))
"""Settings in them that say where things lie, what a verdict is about, and with which key a run is started."""


def differences(before: Mapping[str, Any], after: Mapping[str, Any], *, prefix: str = "") -> Iterator[str]:
    """Name the settings that differ.

    Examples
    --------
    >>> list(differences({"main": {"runs": 5, "blank_s": 2.0}}, {"main": {"runs": 4, "blank_s": 2.0}}))
    ['main.runs: 5 then, 4 now']
    """
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, prefix=f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}: {old} then, {new} now"


def changes_since(layout: Layout, settings: Settings, *, sub: str, task: str) -> tuple[str, tuple[str, ...]]:
    """Name what differs from the settings of the subject's last run of a task that was scanned.

    Returns
    -------
    name : str
        That run's attempt; empty where there was none.
    changes : tuple of str
        Each as ``"main.n_blank: 9 then, 5 now"``. A setting that did not exist then counts as what was done then.
    """
    for journal in sorted(layout.root.glob(f"sourcedata/sub-{sub}/ses-*/*_task-{task}_*_journal.jsonl"),
                          key=lambda path: path.stat().st_mtime_ns, reverse=True):
        named = key_of(journal)
        if named is None or named[0].task != task or not was_scanned(journal):
            continue
        saved = layout.resolved_settings(named[0], attempt=named[1])
        then, now = (_of_task(one, task) for one in (read_resolved(saved), settings))
        return journal.name.removesuffix("_journal.jsonl"), tuple(
            f"{key}: {then.get(key)} then, {now.get(key)} now" for key in sorted(then.keys() | now.keys())
            if then.get(key) != now.get(key))
    return "", ()


def require_accepted(name: str, changes: tuple[str, ...], *, accept: bool) -> tuple[str, ...]:
    """Refuse changes that :func:`changes_since` has found, unless they are accepted.

    Returns
    -------
    tuple of str
        The accepted changes, for the record.

    Raises
    ------
    RunLogError
        Naming every change.
    """
    if changes and not accept:
        raise RunLogError("settings", came="; ".join(changes), expected=f"the settings of {name}",
                          remedy="Restore them in study.toml or the site's file, or add --accept-changes if the change "
                                 "is meant; nothing was shown.")
    return changes


def _of_task(settings: Settings, task: str) -> Mapping[str, Any]:
    tree = settings.model_dump(mode="json")
    return {key: value for key, value in leaves({name: tree[name] for name in (*SHOWN, task) if name in tree})
            if key not in NOT_SHOWN}
