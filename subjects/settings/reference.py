"""All settings, described: the tables of ``docs/settings.md``, and the commented ``study.toml`` of a new study."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from subjects.settings.section import FIRST, Section, may_be_unset
from subjects.settings.study import Settings

_HEAD = """\
# Settings

Written by `python -m subjects settings --markdown`; the texts are those of the fields in `subjects/settings/`.

A study's settings are the defaults below, then the site's file (`--site FILE`), then the study's `study.toml`, then
flags, each overriding the one before. A setting belongs to the table of its section: `[scanner]`, then `tr_s = 1.5`. An
empty text (`""`) unsets a setting that may be unset. "protocol 2" is section 2 of [the protocol](protocol.md); "open"
marks what the paper leaves open and the protocol decides; "ours" are choices of this toolkit.
"""
_COLUMNS = "\n| setting | default | unit or choices | meaning | source |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Described:
    """One setting, as people read about it.

    Parameters
    ----------
    section, name : str
        Section and name.
    default : Any
        Its default, as JSON holds it.
    meaning, unit, source, since : str
        See :func:`subjects.settings.section.described`.
    choices : tuple
        The texts or numbers that it may be, where its type lists them.
    """

    section: str
    name: str
    default: Any
    meaning: str
    unit: str
    source: str
    since: str
    choices: tuple[Any, ...]

    def kind(self) -> str:
        """Spell the unit, or the choices, or both.

        Examples
        --------
        >>> [one.kind() for one in described_settings() if one.name in ("tr_s", "edge")]
        ['s', '`rising`, `falling`']
        """
        listed = ", ".join(f"`{choice}`" for choice in self.choices)
        return f"{listed} or {self.unit}" if listed and self.unit and self.unit != "path" else listed or self.unit


def described_settings() -> Iterator[Described]:
    """List every setting of every section, in the order of the settings file."""
    defaults = Settings().model_dump(mode="json")
    for section, field in Settings.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, Section)):
            raise TypeError(f"{section} is no section")
        for name, one in model.model_fields.items():
            said = one.json_schema_extra if isinstance(one.json_schema_extra, dict) else {}
            yield Described(section, name, defaults[section][name], one.description or "", str(said.get("unit", "")),
                            str(said.get("source", "")), str(said.get("since", FIRST)), _choices(one.annotation))


def _choices(annotation: Any) -> tuple[Any, ...]:
    """List the values of a Literal, alone or as one of several types."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if may_be_unset(annotation) or str(get_origin(annotation)) in ("typing.Union", "<class 'types.UnionType'>"):
        return tuple(choice for part in get_args(annotation) for choice in _choices(part))
    return ()


def spelled(value: Any) -> str:
    """Spell a value in TOML on one line; what is unset is an empty text.

    Examples
    --------
    >>> spelled(("a", 1.0, None)), spelled(True)
    ('["a", 1.0, ""]', 'true')
    """
    if isinstance(value, list | tuple):
        return "[" + ", ".join(spelled(item) for item in value) + "]"
    return '""' if value is None else json.dumps(value, ensure_ascii=False)


def as_markdown() -> str:
    """Write ``docs/settings.md``: a table for each section."""
    lines = [_HEAD.rstrip("\n")]
    section = ""
    for one in described_settings():
        if one.section != section:
            section = one.section
            lines += [f"\n## {section}\n", _about(section), _COLUMNS]
        newer = "" if one.since == FIRST else f" (since {one.since})"
        default = "unset" if one.default is None else f"`{spelled(one.default)}`"
        cells = (f"`{one.name}`", default, one.kind(), one.meaning + newer, one.source)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _about(section: str) -> str:
    model = Settings.model_fields[section].annotation
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def commented(changes: Mapping[str, Mapping[str, Any]], *, head: str) -> str:
    """Write a settings file that shows every setting: those of `changes` in force, the others commented out.

    Parameters
    ----------
    changes : mapping
        Nested tables of what leaves the default.
    head : str
        The text before the first table, TOML or comments.

    Returns
    -------
    str
        TOML. A line that starts with ``# `` and a setting's name shows its default: without the ``# `` it is in force.
    """
    lines = [head.rstrip("\n")]
    section = ""
    for one in described_settings():
        if one.section != section:
            section = one.section
            lines += ["", f"[{section}]", *_remark(_about(section))]
        mine = changes.get(section, {})
        about = "; ".join(part for part in (one.kind().replace("`", '"'), one.source) if part)
        lines += ["", *_remark(f"{one.meaning} ({about})")]
        lines.append(f"{one.name} = {spelled(mine[one.name])}" if one.name in mine
                     else f"# {one.name} = {spelled(one.default)}")
    return "\n".join(lines) + "\n"


def _remark(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="## ", subsequent_indent="## ", break_long_words=False,
                         break_on_hyphens=False)
