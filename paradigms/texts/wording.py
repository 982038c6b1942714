"""The texts that a subject reads: shipped in two languages, or from a file of the study's own."""

from __future__ import annotations

import string
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from subjects.errors import SettingsError, nearest
from subjects.settings.subject_side import InstructionsSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Text = str | tuple[str, ...] | Mapping[str, str]


@dataclass(frozen=True)
class Wording:
    """Texts by table and name.

    Parameters
    ----------
    tables : mapping of str to mapping
        As the shipped files have them: a text, a list of paragraphs, or words by what they mean.
    buttons : mapping of str to str
        What the subject calls a key.
    """

    tables: Mapping[str, Mapping[str, Text]]
    buttons: Mapping[str, str]

    def say(self, table: str, name: str, **fill: object) -> str:
        """Give a text with its words filled in."""
        text = self.tables[table][name]
        assert isinstance(text, str)
        return text.format(**fill)

    def paragraphs(self, table: str, name: str = "text") -> tuple[str, ...]:
        """Give the paragraphs of a screen."""
        text = self.tables[table][name]
        assert isinstance(text, tuple)
        return text

    def meaning(self, table: str, name: str) -> str:
        """Say what a button means in a paradigm."""
        words = self.tables[table]["meanings"]
        assert isinstance(words, Mapping)
        return words[name]

    def button(self, key: str) -> str:
        """Say what the subject calls a key."""
        return self.buttons.get(key) or self.say("buttons", "named", key=key)


def load_wording(section: InstructionsSettings, *, root: Path) -> Wording:
    """Read the texts in force: the shipped ones of the language, and over them those of the study's file.

    Parameters
    ----------
    section : InstructionsSettings
        Language, file, what keys are called.
    root : Path
        The study's folder, to which the file's path is relative.

    Raises
    ------
    SettingsError
        If the file is missing or no TOML, or has a table, text or word in braces that no shipped text has.
    """
    shipped = _shipped(section.language)
    own = {} if section.texts is None else _own(root / section.texts, shipped)
    tables = {name: {**table, **own.get(name, {})} for name, table in shipped.items()}
    return Wording(tables, dict(section.buttons))


def _shipped(language: str) -> dict[str, dict[str, Text]]:
    content = (files("paradigms.texts") / "data" / f"{language}.toml").read_text(encoding="utf-8")
    return _tables(tomllib.loads(content))


def _tables(tree: Mapping[str, Any]) -> dict[str, dict[str, Text]]:
    return {table: {name: tuple(text) if isinstance(text, list) else text for name, text in texts.items()}
            for table, texts in tree.items()}


def _own(path: Path, shipped: Mapping[str, Mapping[str, Text]]) -> dict[str, dict[str, Text]]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"instructions.texts = {str(path)!r}", came=f"a file that cannot be read ({error})",
                            expected="a TOML file of texts", remedy="Correct the path or the line named.") from error
    for table, texts in tree.items():
        if table not in shipped or not isinstance(texts, Mapping):
            raise SettingsError(str(path), came=f"a table [{table}]", expected=f"one of {', '.join(shipped)}",
                                remedy=nearest(table, tuple(shipped)))
        for name, text in texts.items():
            _require_like(f"{path}, [{table}] {name}", text, name=name, shipped=shipped[table])
    return {table: {name: _whole(text, shipped[table][name]) for name, text in texts.items()}
            for table, texts in _tables(tree).items()}


def _whole(text: Text, shipped: Text) -> Text:
    """Complete the words by meaning with the shipped ones."""
    return {**shipped, **text} if isinstance(text, Mapping) and isinstance(shipped, Mapping) else text


def _require_like(where: str, text: object, *, name: str, shipped: Mapping[str, Text]) -> None:
    """See that a text is of the kind of the shipped one, and fills in no word that is not given."""
    if name not in shipped:
        raise SettingsError(where, came="an unknown text", expected=f"one of {', '.join(shipped)}",
                            remedy=nearest(name, tuple(shipped)))
    like = shipped[name]
    texts = [text] if isinstance(like, str) else list(text.values()) if isinstance(text, Mapping) else text
    same = isinstance(text, str if isinstance(like, str) else list if isinstance(like, tuple) else Mapping)
    if not same or not isinstance(texts, list) or not all(isinstance(one, str) and one.strip() for one in texts):
        kind = "a text" if isinstance(like, str) else "a list of texts" if isinstance(like, tuple) else "words"
        raise SettingsError(where, came=repr(text), expected=f"{kind}, none empty", remedy="See the shipped file.")
    if isinstance(text, Mapping) and isinstance(like, Mapping) and (text.keys() - like.keys()):
        raise SettingsError(where, came=f"a meaning {min(text.keys() - like.keys())!r}",
                            expected=f"one of {', '.join(like)}", remedy="See the shipped file.")
    given = _fields(like, where=where) if isinstance(like, str) else set()
    asked = set().union(*(_fields(one, where=where) for one in texts))
    if asked != given:
        raise SettingsError(where, came=f"the words {{{', '.join(sorted(asked)) or ''}}} to be filled in",
                            expected=f"{{{', '.join(sorted(given))}}}", remedy="Use the words of the shipped text.")


def _fields(text: str, *, where: str) -> set[str]:
    try:
        found = [parts for parts in string.Formatter().parse(text) if parts[1] is not None]
        if changed := [str(field) for _, field, spec, conversion in found if spec or conversion]:
            raise ValueError(f"more than a word in {{{changed[0]}}}")
        return {str(field) for _, field, _, _ in found}
    except ValueError as error:
        raise SettingsError(where, came=f"braces that do not fit ({error})", expected="words in braces",
                            remedy="Write {{ for a brace that is meant.") from error
