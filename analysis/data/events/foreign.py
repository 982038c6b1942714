"""Events tables of other programs: what their columns and trial types are here, said by settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.events.rows import BLANK, MAIN_TYPES, say_nearest
from paradigms.runlog import COLUMNS, read_events
from stimuli.manifest import Manifest, Stimulus, read_manifest
from subjects.errors import AnalysisError, RunLogError
from subjects.layout import Layout
from subjects.provenance import digest_json
from subjects.settings.analysis import AnalysisSettings
from subjects.settings.section import as_pairs
from subjects.store import read_json, read_table

NONE = "none"
"""What a trial type is here that is left out of the design."""
_NAMES = ("image_id", "stim_file")
_SEE = "Say what its columns and types are here: analysis.events_columns, analysis.events_types (docs/fmriprep.md)."


@dataclass(frozen=True, kw_only=True, eq=False)
class ForeignEvents:
    """What another program's tables mean.

    Parameters
    ----------
    columns : mapping of str to str
        Column here to column there; those of one name need not be said.
    types : mapping of str to str
        Trial type there to that here: RE, AN, AI, blank, or none for events that are left out.
    manifest : Manifest
        The study's images, by which events are told.
    """

    columns: Mapping[str, str]
    types: Mapping[str, str]
    manifest: Manifest

    @property
    def digest(self) -> str:
        """What results that were made with it depend on."""
        return digest_json({"columns": dict(self.columns), "types": dict(self.types)})

    @cached_property
    def _images(self) -> Mapping[str, Stimulus]:
        """Images by their id, file, file name and file name without its ending, where only one has it."""
        found = [(name, one) for one in self.manifest.stimuli for file in [PurePosixPath(one.file)]
                 for name in dict.fromkeys((one.image_id, one.file, file.name, file.stem))]
        counts = Counter(name for name, _ in found)
        return {name: one for name, one in found if counts[name] == 1}

    def read(self, path: Path) -> pd.DataFrame:
        """Read a table, as :func:`paradigms.runlog.read_events` gives the console's.

        Parameters
        ----------
        path : Path
            A BIDS events table; its JSON file need not be there.

        Returns
        -------
        DataFrame
            Columns :data:`paradigms.runlog.COLUMNS`, by onset. A showing that has no number is counted within its run.
            ``attrs["n_pulses"]`` is None if no JSON file says it.

        Raises
        ------
        AnalysisError
            Naming the column or row that cannot be understood.
        """
        texts = (*self.columns.values(), "trial_type", *_NAMES, "base_image")
        table = self._own_columns(read_table(path, text_columns=texts), where=str(path))
        kinds, images = self._told(table, where=str(path))
        kept = np.flatnonzero(kinds != NONE)
        made = pd.DataFrame(index=range(len(kept)), columns=list(COLUMNS))
        for name in ("onset", "duration"):
            made[name] = _seconds(table[name], rows=kept, where=str(path))
        shown = [images[k] for k in kept]
        made["trial_type"], made["onset_planned"] = kinds[kept], made["onset"]
        for name, there in (("stim_file", "file"), ("image_id", "image_id"), ("base_image", "base_image"),
                            ("category", "category"), ("class", "class_name")):
            made[name] = [None if one is None else getattr(one, there) for one in shown]
        made["presentation"] = table["presentation"].to_numpy()[kept] if "presentation" in table else pd.NA
        made = made.sort_values("onset", kind="stable", ignore_index=True)
        if "presentation" not in table:
            counted = made.groupby("image_id", dropna=True).cumcount() + 1
            made["presentation"] = counted.where(made["image_id"].notna()).astype("Int64")
        said = read_json(path.with_suffix(".json")) if path.with_suffix(".json").is_file() else {}
        made.attrs.update(complete=said.get("RunComplete", True) is True, n_pulses=said.get("n_pulses"), sidecar=said)
        return made

    def _own_columns(self, table: pd.DataFrame, *, where: str) -> pd.DataFrame:
        """Give the columns that are read under their names here."""
        wanted = {name: self.columns.get(name, name) for name in ("onset", "duration", "trial_type", "image_id",
                                                                  "stim_file", "base_image", "presentation")}
        there = {name: theirs for name, theirs in wanted.items() if theirs in table.columns}
        lacking = [theirs for name, theirs in wanted.items() if name not in there
                   and (name in self.columns or name in ("onset", "duration"))]
        if lacking:
            there_are = ", ".join(map(str, table.columns))
            raise AnalysisError(where, came=f"no column {lacking[0]!r}", expected=f"one of its columns ({there_are})",
                                remedy="Correct analysis.events_columns.")
        return pd.DataFrame({name: table[theirs] for name, theirs in there.items()})

    def _told(self, table: pd.DataFrame, *, where: str) -> tuple[NDArray[np.object_], list[Stimulus | None]]:
        """Say of each row what type it is and which image, if any, it shows."""
        kinds, images = np.empty(len(table), dtype=object), list[Stimulus | None]()
        for k, row in enumerate(table.to_dict("records")):
            kinds[k], image = self._told_of({str(name): one for name, one in row.items() if not pd.isna(one)},
                                            where=f"{where}, row {k + 1}")
            images.append(image)
        return kinds, images

    def _told_of(self, row: Mapping[str, Any], *, where: str) -> tuple[str, Stimulus | None]:
        theirs = str(row.get("trial_type", ""))
        kind = self.types.get(theirs, theirs if theirs in MAIN_TYPES else "")
        if kind in (BLANK, NONE):
            return kind, None
        image = self._image_of(row, kind=kind)
        named = [str(row[name]) for name in (*_NAMES, "base_image") if name in row]
        if image is None and named:
            raise AnalysisError(where, came=f"the image {named[0]!r}" + (f" as {kind}" if kind else ""),
                                expected="an image of stimuli/manifest.tsv, by its image_id, file or base image",
                                remedy=" ".join(["Correct analysis.events_columns.",
                                                 say_nearest(named[0], self._images)]).strip())
        if image is None:
            raise AnalysisError(where, came=f"trial_type {theirs!r} without an image", remedy=_SEE,
                                expected=f"an image, or a type that is {BLANK} or {NONE} (left out)")
        if kind not in ("", image.type):
            raise AnalysisError(where, came=f"trial_type {theirs!r}, which is {kind}, for {image.file} of {image.type}",
                                expected="the type of the image", remedy="Correct analysis.events_types.")
        return image.type, image

    def _image_of(self, row: Mapping[str, Any], *, kind: str) -> Stimulus | None:
        for name in _NAMES:
            value = str(row.get(name, ""))
            found = self._images.get(value) or self._images.get(PurePosixPath(value.replace("\\", "/")).name)
            if found is not None:
                return found
        return next((one for one in self.manifest.stimuli
                     if (one.base_image, one.type) == (str(row.get("base_image", "")), kind)), None)


def _seconds(column: pd.Series, *, rows: NDArray[np.int64], where: str) -> NDArray[np.float64]:
    """Read times of some rows; durations are more than 0."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)[rows]
    wrong = ~np.isfinite(numbers) if column.name == "onset" else ~(np.isfinite(numbers) & (numbers > 0))
    if wrong.any():
        row = int(rows[np.argmax(wrong)])
        came = "n/a" if pd.isna(column.iloc[row]) else column.iloc[row]
        raise AnalysisError(f"{where}, row {row + 1}", came=f"{column.name} {came}", expected="seconds",
                            remedy="Correct the table, or analysis.events_columns.")
    return numbers


def open_foreign(layout: Layout, settings: AnalysisSettings) -> ForeignEvents | None:
    """Take what the settings say of other programs' tables; None where they say nothing."""
    if not (settings.events_columns or settings.events_types):
        return None
    return ForeignEvents(columns=dict(as_pairs(settings.events_columns)), manifest=read_manifest(layout.manifest),
                         types={theirs: ours for ours, theirs in as_pairs(settings.events_types)})


def read_run_events(path: Path, *, foreign: ForeignEvents | None = None) -> pd.DataFrame:
    """Read an events table: the console's, or another program's where the settings say what it means.

    Parameters
    ----------
    path : Path
    foreign : ForeignEvents, optional

    Raises
    ------
    RunLogError, AnalysisError
        If it cannot be read or understood.
    """
    if foreign is not None and not set(COLUMNS) <= set(read_table(path).columns):
        return foreign.read(path)
    try:
        return read_events(path)
    except RunLogError as error:
        if error.came.startswith("no column"):
            raise AnalysisError(str(path), came=error.came, expected=error.expected,
                                remedy=f"{error.remedy} Or another program wrote it: {_SEE}") from error
        raise
