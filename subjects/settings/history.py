"""Settings of earlier releases: those that were renamed, those that are gone, and defaults that are others now.

A study's file, and the settings saved beside a record, keep the words of the release that wrote them. They are read
here as today's settings; sidecars likewise (:func:`subjects.provenance.agree`). A new setting needs no entry: it says
at its field since when it exists and what was done before (:func:`subjects.settings.section.described`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from subjects.errors import SettingsError
from subjects.provenance import declare_removed, declare_renamed
from subjects.settings.section import Section

RENAMED: dict[str, str] = {}
"""Old dotted name to today's, in the same section or another one."""

MOVED: dict[str, tuple[int, Any]] = {"glm.model": (2, "ols"), "roi.disk": (2, "whole"), "roi.refuse_disk": (2, 0)}
"""Dotted name of a setting whose default is another since a format of the study's folder (or which decides since then
what was fixed before), to that format and the default before: an older study that does not name the setting keeps what
it was made with."""

REMOVED: dict[str, Any] = {}
"""Dotted name of a setting that is gone, to the value that today's code is fixed to."""

log = logging.getLogger(__name__)


def declare_history() -> None:
    """Tell the sidecars' comparison what was renamed and removed."""
    for old, new in RENAMED.items():
        declare_renamed(old.rpartition(".")[2], new=new.rpartition(".")[2])
    for name, value in REMOVED.items():
        declare_removed(name.rpartition(".")[2], value=value)


def modernise(tree: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Give nested tables of any release under today's names.

    Raises
    ------
    SettingsError
        If a setting that is gone has another value than the one that today's code is fixed to, or a renamed one is
        given under both names.
    """
    found = {section: dict(table) if isinstance(table, Mapping) else table for section, table in tree.items()}
    for old, new in RENAMED.items():
        section, _, name = old.partition(".")
        if name not in _table(found, section):
            continue
        its_section, _, its_name = new.partition(".")
        target = found.setdefault(its_section, {})
        if its_name in target:
            raise SettingsError(where, came=f"{old} and {new}", expected=f"one of them: {old} is the old name of {new}",
                                remedy=f"Leave {old} out.")
        log.info("%s: %s is called %s now", where, old, new)
        target[its_name] = found[section].pop(name)
    for key, fixed in REMOVED.items():
        section, _, name = key.partition(".")
        if name in _table(found, section) and found[section].pop(name) != fixed:
            raise SettingsError(where, came=f"{key}, a setting that no longer exists", expected=f"its value {fixed!r}, "
                                "to which it is fixed now", remedy="Leave it out, or use the release that has it.")
    return found


def defaults_then(version: int) -> dict[str, Any]:
    """Give, as nested tables, the defaults that a study of an older format had and that are others today.

    Examples
    --------
    >>> defaults_then(1), defaults_then(2)
    ({'glm': {'model': 'ols'}, 'roi': {'disk': 'whole', 'refuse_disk': 0}}, {})
    """
    found: dict[str, Any] = {}
    for key, (moved, value) in MOVED.items():
        if version < moved:
            section, _, name = key.partition(".")
            found.setdefault(section, {})[name] = value
    return found


def complete_as_then(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Fill into all settings that a run was made with those that did not exist yet and whose default is another since.

    Parameters
    ----------
    tree : mapping
        Nested tables as they were saved beside a record: every setting of that time is in them.
    """
    found = {section: dict(table) if isinstance(table, Mapping) else table for section, table in tree.items()}
    for key, (_, value) in MOVED.items():
        section, _, name = key.partition(".")
        if isinstance(table := found.get(section), dict):
            table.setdefault(name, value)
    return found


SomeSection = TypeVar("SomeSection", bound=Section)


def as_made(section: SomeSection, recorded: Mapping[str, Any]) -> SomeSection:
    """Give the settings under which something was made: what did not exist then is what was done then.

    Parameters
    ----------
    section : Section
        Today's settings, told from defaults by ``model_fields_set``.
    recorded : mapping
        The parameters in its sidecar.

    Returns
    -------
    Section
        Where the study names a setting, or the record has it, it stays as it is.

    Examples
    --------
    >>> from subjects.settings.images import StimuliSettings
    >>> as_made(StimuliSettings(), {"ai_target": "other_class"}).ai_draw
    'independent'
    """
    then = {name: field.json_schema_extra["before"] for name, field in type(section).model_fields.items()
            if isinstance(field.json_schema_extra, dict) and "before" in field.json_schema_extra
            and name not in recorded and name not in section.model_fields_set}
    fields = type(section).model_fields
    return section.model_copy(update={name: value for name, value in then.items() if value != fields[name].default})


def _table(tree: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    table = tree.get(section, {})
    return table if isinstance(table, Mapping) else {}


declare_history()
