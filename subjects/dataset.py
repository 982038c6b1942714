"""A new study's folder: one valid BIDS dataset from its first minute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from subjects.errors import LayoutError
from subjects.layout import Layout
from subjects.provenance import generated_by
from subjects.settings.loading import write_settings
from subjects.settings.study import Settings
from subjects.store import write_json, write_text

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
