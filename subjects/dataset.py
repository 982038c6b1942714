"""A study's folder, one valid BIDS dataset from its first minute, and its table of participants.

The table has no column for a name, a date, contact data or a document, and never shall have: an age is whole years.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from subjects.errors import LayoutError, ProfileError
from subjects.layout import Layout
from subjects.provenance import generated_by
from subjects.settings.loading import write_settings
from subjects.settings.study import Settings
from subjects.store import read_json, read_table, write_json, write_table, write_text

if TYPE_CHECKING:
    import pandas as pd

BIDS_VERSION = "1.10.0"
STUDY_LINK = {"study": "../.."}
"""What ``bids:study:`` in the ``Sources`` of a derivative means: the study around it."""

_BIDSIGNORE = "study.toml\n"
_PARTICIPANTS = {
    "participant_id": {"Description": "Pseudonym of the subject."},
    "group": {"Description": "Whether the subject is a volunteer or simulated.",
              "Levels": {"volunteer": "a person", "virtual": "simulated by this toolkit"}},
}


def init_study(layout: Layout, *, name: str, seed: int, changes: Mapping[str, Any] | None = None) -> Layout:
    """Make a study's folder.

    Parameters
    ----------
    layout : Layout
        Where. The folder may exist if it is empty.
    name : str
        The study's name, for dataset_description.json.
    seed : int
        The study's one seed.
    changes : mapping, optional
        Nested settings tables that leave the protocol's values.

    Raises
    ------
    LayoutError
        If the folder is not empty, or may not be written to.
    """
    _require_empty(layout)
    tables: dict[str, Any] = {key: dict(table) for key, table in (changes or {}).items()}
    tables["study"] = {"name": name, "seed": int(seed), **tables.get("study", {})}
    Settings.model_validate(tables)
    layout.root.mkdir(parents=True, exist_ok=True)
    write_json(layout.root / "dataset_description.json", description(name))
    write_text(layout.root / "README", _readme(name))
    write_text(layout.root / ".bidsignore", _BIDSIGNORE)
    write_text(layout.participants, "participant_id\tgroup\n")
    write_json(layout.root / "participants.json", _PARTICIPANTS)
    return Layout(write_settings(layout.settings_file, tables).parent)


def description(name: str, *, kind: str = "raw") -> dict[str, Any]:
    """Give the content of a dataset_description.json.

    Parameters
    ----------
    name : str
        The dataset's name.
    kind : {"raw", "derivative"}
        Derivatives need their own description in their own folder.
    """
    links = {"DatasetLinks": STUDY_LINK} if kind == "derivative" else {}
    return {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": kind, "GeneratedBy": generated_by(), **links}


def describe_derivative(layout: Layout, pipeline: str) -> None:
    """Put a dataset_description.json into a derivative's folder, once."""
    path = layout.derivatives(pipeline) / "dataset_description.json"
    if not path.exists():
        write_json(path, description(f"adversarial-fmri {pipeline}", kind="derivative"))


def _require_empty(layout: Layout) -> None:
    root = layout.root
    if root.exists() and not root.is_dir():
        raise LayoutError(str(root), came="a file", expected="a free or empty folder", remedy="Name another folder.")
    if root.is_dir() and any(root.iterdir()):
        raise LayoutError(str(root), came="a folder with something in it", expected="a free or empty folder",
                          remedy="Name another folder; nothing was written.")
    parent = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        raise LayoutError(str(parent), came="a folder without permission to write", expected="a writable folder",
                          remedy="Change its permissions or name another folder.")


def _readme(name: str) -> str:
    return (f"{name}\n{'=' * len(name)}\n\n"
            "A study of regular, adversarial-noise and adversarial-interference images, made with\n"
            "adversarial-fmri. stimuli/ has the images and their manifest; sourcedata/ the journals,\n"
            "schedules and settings as they were at the scanner; derivatives/ whatever was computed.\n"
            "study.toml names the settings that leave the protocol.\n")


OLDEST = 89
"""BIDS: whoever is older counts as this old, since a high age tells who it is."""

_YES_NO = {"yes": "yes", "no": "no"}
COLUMNS: dict[str, dict[str, Any]] = {
    "age": {"Description": "Age at the first session, in whole years; above 89 given as 89.", "Units": "year"},
    "sex": {"Description": "Sex as the subject states it.", "Levels": {"F": "female", "M": "male", "O": "other"}},
    "handedness": {"Description": "Hand with which the subject writes.",
                   "Levels": {"R": "right", "L": "left", "A": "both"}},
    "naive": {"Description": "Whether the subject knew neither the hypotheses nor how the images were made.",
              "Levels": _YES_NO},
    "language": {"Description": "The subject's first language, as a tag of BCP 47 (en, zh-Hans, ...)."},
    "consent": {"Description": "Whether informed consent was given in writing; the document is kept elsewhere.",
                "Levels": _YES_NO},
}
"""Column to its entry in participants.json."""


@dataclass(frozen=True)
class Person:
    """What is said of a subject; None where nothing is.

    Parameters
    ----------
    age : int, optional
        Whole years, 0 to 89.
    sex : {"F", "M", "O"}, optional
    handedness : {"R", "L", "A"}, optional
    naive, consent : {"yes", "no"}, optional
    language : str, optional
        A tag of BCP 47.

    Raises
    ------
    ProfileError
        For a value that its column does not know.
    """

    age: int | None = None
    sex: str | None = None
    handedness: str | None = None
    naive: str | None = None
    language: str | None = None
    consent: str | None = None

    def __post_init__(self) -> None:
        if self.age is not None and not 0 <= self.age <= OLDEST:
            raise ProfileError("age", came=str(self.age), expected=f"whole years from 0 to {OLDEST}",
                               remedy=f"Give {OLDEST} for whoever is older; a year of birth is never kept.")
        for name in ("sex", "handedness", "naive", "consent"):
            levels, value = COLUMNS[name]["Levels"], getattr(self, name)
            if value is not None and value not in levels:
                raise ProfileError(name, came=repr(value), expected=f"one of {', '.join(levels)}",
                                   remedy="Correct it; nothing was changed.")
        if self.language is not None and not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", self.language):
            raise ProfileError("language", came=repr(self.language), expected="a tag such as en, zh or zh-Hans",
                               remedy="Correct it; nothing was changed.")

    def told(self) -> dict[str, str]:
        """Give what is said, by column."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}


def read_participants(layout: Layout) -> pd.DataFrame:
    """Read the table of participants as text, so that columns of the study's own stay as they are.

    Raises
    ------
    ProfileError
        If it lacks a column that every study has.
    """
    columns = tuple(read_table(layout.participants).columns)
    missing = [name for name in ("participant_id", "group") if name not in columns]
    if missing:
        raise ProfileError(str(layout.participants), came=f"no column {missing[0]!r}",
                           expected="participant_id and group", remedy="Restore the table; nothing was changed.")
    return read_table(layout.participants, text_columns=columns)


def told_of(layout: Layout, sub: str) -> dict[str, str]:
    """Give what the table of participants says of a subject, by column; what is not known is left out."""
    table = read_participants(layout)
    rows = table[table["participant_id"] == f"sub-{sub}"].to_dict("records")
    return {str(name): value for row in rows for name, value in row.items() if isinstance(value, str)}


def write_row(layout: Layout, sub: str, *, row: dict[str, str]) -> None:
    """Put a subject's values into the table of participants, and their columns into its data dictionary.

    Parameters
    ----------
    layout : Layout
        The study.
    sub : str
        The subject.
    row : dict of str to str
        Values by column; other columns keep what they have.
    """
    import pandas as pd

    table, name = read_participants(layout).astype(object), f"sub-{sub}"
    _describe(layout, columns=[column for column in row if column in COLUMNS])
    known = table[table["participant_id"] == name]
    before = {} if known.empty else {str(key): value for key, value in known.iloc[-1].items() if not pd.isna(value)}
    others = table[table["participant_id"] != name]
    made = pd.concat([others, pd.DataFrame([{**before, "participant_id": name, **row}])])
    order = [*table.columns, *(column for column in COLUMNS if column in row and column not in table.columns)]
    write_table(layout.participants, made.sort_values("participant_id")[order], overwrite=True)


def _describe(layout: Layout, *, columns: list[str]) -> None:
    """Complete the data dictionary; what a study says of a column stays."""
    path = layout.participants.with_suffix(".json")
    told = read_json(path) if path.is_file() else {}
    more = {name: COLUMNS[name] for name in columns if name not in told}
    if more:
        write_json(path, {**told, **more}, overwrite=True)
