"""Settings read from TOML and written: defaults < site < study < flags; the saved copies."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from subjects.errors import SettingsError, nearest
from subjects.layout import STUDY_FORMAT, require_known_format
from subjects.settings.history import complete_as_then, defaults_then, modernise
from subjects.settings.keys import require_keys
from subjects.settings.reference import commented
from subjects.settings.study import Settings, leaves
from subjects.store import write_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

log = logging.getLogger(__name__)
_HEAD = f"""\
## Settings of this study. A line that starts with one "#" shows a default, mostly the protocol's value; take the "# "
## away to set it here. `python -m subjects settings --study DIR` prints the settings in force.

format = {STUDY_FORMAT}  # of the study's folder; not to be changed by hand
"""


def read_resolved(path: Path) -> Settings:
    """Read the settings that were saved beside a record, also those of another version of this toolkit.

    What this version does not know is left out and named in the log; what it did not know then has its default,
    or where that changed what is done, what was done then.

    Raises
    ------
    SettingsError
        If a value is of no use.
    """
    try:
        content = complete_as_then(modernise(json.loads(path.read_text(encoding="utf-8")), where=path.name))
        return Settings.model_validate(_known(content, Settings, where=path.name))
    except ValidationError as error:
        raise _explained(error, str(path)) from error
    except (OSError, ValueError) as error:
        raise SettingsError(str(path), came=f"a file that cannot be read ({error})", expected="resolved settings",
                            remedy="Restore the file; it was written with the run.") from error


def _known(content: Mapping[str, Any], model: type[BaseModel], *, where: str) -> dict[str, Any]:
    kept = {}
    for key, value in content.items():
        field = model.model_fields.get(key)
        if field is None:
            if key != "digest":
                log.warning("%s: %r is a setting of another version and is left out", where, key)
            continue
        section = field.annotation
        nested = isinstance(section, type) and issubclass(section, BaseModel) and isinstance(value, Mapping)
        kept[key] = _known(value, section, where=f"{where}, {key}") if nested else value  # type: ignore[arg-type]
    return kept


def load_settings(study: Path | None = None, *, site: Path | None = None,
                  overrides: Mapping[str, Any] | None = None) -> Settings:
    """Resolve the settings of a study.

    Parameters
    ----------
    study : Path, optional
        The study's folder; its ``study.toml`` is read.
    site : Path, optional
        A TOML file of the site (its display, scanner and keys), weaker than the study's.
    overrides : mapping, optional
        The strongest layer: dotted keys to values, ``{"scanner.tr_s": 1.5}``.

    Returns
    -------
    Settings
        Defaults < site < study < overrides. A study of an older format has the defaults of its time.

    Raises
    ------
    SettingsError
        For a missing or malformed file, an unknown key (the nearest known one is named) or a value
        out of range.
    """
    nothing: dict[str, Any] = {}
    own, version = (nothing, STUDY_FORMAT) if study is None else _validated_layer(Path(study) / "study.toml")
    merged = defaults_then(version)
    if site is not None:
        if not Path(site).is_file():
            raise SettingsError(f"--site {site}", came="no such file", expected="the site's settings file, in TOML",
                                remedy="Correct --site; without it the study's settings and the defaults hold.")
        merged = _merge(merged, _validated_layer(Path(site))[0])
    merged = _merge(merged, own)
    for key, value in (overrides or {}).items():
        tree: Any = value
        for part in reversed(key.split(".")):
            tree = {part: tree}
        _build(tree, "a flag")
        merged = _merge(merged, tree)
    files = [str(path) for path in (site, None if study is None else Path(study) / "study.toml") if path is not None]
    where = " with ".join(files) or "settings"
    return require_keys(_build(merged, where), where=where)


def _validated_layer(path: Path) -> tuple[dict[str, Any], int]:
    """Read a settings file: its tables under today's names, and the format of the study's folder."""
    tree = read_toml(path)
    version = require_known_format(tree.pop("format", None), where=path)
    tree = modernise(tree, where=str(path))
    _build(tree, str(path))
    return tree, version


def read_toml(path: Path) -> dict[str, Any]:
    """Read a settings file as it stands.

    Raises
    ------
    SettingsError
        If it is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(str(path), came="no such file", expected="a settings file in TOML",
                            remedy="Make a study with `python -m subjects init --study DIR`.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        twice = re.search(r"Cannot declare \('(\w+)',\) twice", str(error))
        raise SettingsError(str(path), came=f"text that is not TOML ({error})", expected="TOML",
                            remedy=f"The file has a table [{twice[1]}] already: put the settings there." if twice
                            else "Correct the line named.") from error


def _merge(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(weak)
    for key, value in strong.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _build(tree: Mapping[str, Any], where: str) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise _explained(error, where) from error


def _explained(error: ValidationError, where: str) -> SettingsError:
    first, *others = error.errors()
    key = _spell(first["loc"])
    if first["type"] == "extra_forbidden":
        known = [name for name, _ in leaves(Settings().model_dump())] + list(Settings.model_fields)
        return SettingsError(where, came=f"an unknown setting {key!r}", expected="a known setting",
                             remedy=nearest(key, known))
    wanted = [_wanted(one["msg"]) for one in (first, *others) if _spell(one["loc"]) == key]
    return SettingsError(where, came=f"{key} = {first['input']!r}", expected=" or ".join(dict.fromkeys(wanted)),
                         remedy="Correct this setting; nothing was changed.")


def _spell(place: tuple[int | str, ...]) -> str:
    """Spell where a value stands: section, setting, its place in a list; not which of its types was tried."""
    return ".".join(str(part) for part in (*place[:2], *(part for part in place[2:] if isinstance(part, int))))


def _wanted(message: str) -> str:
    """Turn pydantic's sentence into what follows "expected"."""
    said = message.removeprefix("Input should be ").removeprefix("Value error, ")
    few = re.match(r"Tuple should have (at least \d+ items?)", said)
    return few[1] if few else f"a value {said}" if said.startswith(("greater", "less")) else said


def write_settings(path: Path, changes: Mapping[str, Any], *, overwrite: bool = False) -> Path:
    """Write a study's settings file: `changes` in force, every other setting commented out with its default.

    Parameters
    ----------
    path : Path
        Usually ``study.toml``.
    changes : mapping
        Nested tables, validated before anything is written.
    """
    require_keys(_build(changes, str(path)), where=str(path))
    return write_text(path, commented(changes, head=_HEAD), overwrite=overwrite)


def as_toml(tables: Mapping[str, Any]) -> str:
    r"""Spell settings in TOML, which has no word for unset: what is None is left out.

    Examples
    --------
    >>> as_toml({"stimuli": {"images": None, "per_class": 8}})
    '[stimuli]\nper_class = 8\n'
    """
    return tomli_w.dumps(_without_none(tables))


def _without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _without_none(value) if isinstance(value, Mapping) else value
            for key, value in tree.items() if value is not None}
