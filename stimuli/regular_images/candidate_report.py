"""The report of every candidate, and the way from it into the set."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from stimuli.files import require_own_folder
from stimuli.networks.hardware import ON_CPU, Hardware, computing, made_on
from stimuli.networks.published import find_published
from stimuli.networks.registry import Network
from stimuli.regular_images.answers import Answers, count_answers
from stimuli.regular_images.base_images import BaseImage, Choice
from stimuli.regular_images.candidates import Listing, digest_of, list_candidates
from stimuli.regular_images.category_choice import BELOW, CHOSEN, SPARE, Selection, require_names, require_pins, select
from stimuli.regular_images.photographs import read_photograph, to_square
from stimuli.regular_images.screening import Screened, screen
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError
from subjects.layout import Layout
from subjects.profile import base_images
from subjects.provenance import FileFormat, is_current, sidecar, sidecar_path
from subjects.settings.images import StimuliSettings
from subjects.store import locked, read_json, read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

COLUMNS = ("file", "wnid", "category", "class", "width", "height", "aspect", "P", "rank", "top", "P_top",
           "verdict", "rule", "reason", "note")
CANDIDATES = FileFormat("candidate table", version=2)
"""Version 2 has what the network takes each candidate for."""

_SHAPE_P = ("size_px", "resize", "min_px", "min_aspect", "max_aspect")


def report_path(layout: Layout) -> Path:
    """Spell the path of the report: beside the manifest."""
    return layout.stimuli / "candidates.tsv"


@dataclass(frozen=True)
class Photographs:
    """The photographs of a study, from the folder to the chosen ones.

    Parameters
    ----------
    layout, stimuli, seed
        The study; ``stimuli.images`` names the folder, and the seed orders photographs of equal P.
    network : Network
        Whose probabilities decide.
    progress : ProgressWrapper
        Told of candidates.
    """

    layout: Layout
    stimuli: StimuliSettings
    seed: int
    network: Network
    progress: ProgressWrapper = silent

    @cached_property
    def listing(self) -> Listing:
        """List the candidates; see :func:`stimuli.regular_images.candidates.list_candidates`."""
        stimuli = self.stimuli
        labels = None if stimuli.labels is None else self.layout.root / stimuli.labels
        listing = list_candidates(self.layout.root / (stimuli.images or ""), class_names=self.network.class_names,
                                  classes=stimuli.classes, labels=labels)
        require_names(listing, stimuli)
        return listing

    @cached_property
    def _digests(self) -> dict[str, str]:
        return self.listing.digests(progress=self.progress)

    @property
    def digest(self) -> str:
        """Digest the candidates: their names, labels and content."""
        return digest_of(self.listing, self._digests)

    @cached_property
    def selection(self) -> Selection:
        """Screen every candidate, or take P from a report that is current; choose, and write the report."""
        path, stimuli = report_path(self.layout), self.stimuli
        inputs = {"network": self.network.digest, "candidates": self.digest}
        parameters = {**{name: getattr(stimuli, name) for name in _SHAPE_P}, "columns": list(COLUMNS)}
        here = made_on(self.network)
        if is_current(path, inputs=inputs, parameters=parameters):
            rows = _read_rows(path, self.listing)
            here = read_json(sidecar_path(path)).get("MadeOn", here)
        else:
            rows = list(self.progress(
                screen(self.listing, network=self.network, stimuli=stimuli, digests=self._digests),
                label="screening candidates", total=len(self.listing.candidates)))
        answers = count_answers(rows, published=find_published(self.network))
        if answers.far_below:
            log.warning("%s: %s", self.network.name, answers.warning())
        selection = select(rows, stimuli=stimuli, seed=self.seed)
        write_table(path, _table(selection), overwrite=True)
        sidecar(path, inputs=inputs, parameters=parameters, form=CANDIDATES,
                extra={"network": self.network.name, "MadeOn": here, "answers": answers.record()})
        return selection

    @cached_property
    def _chosen(self) -> Mapping[BaseImage, Screened]:
        places = zip(base_images(self.stimuli), self.selection.chosen, strict=True)
        return {BaseImage(base, one.candidate.class_name, one.candidate.category, one.candidate.category_index): one
                for base, one in places}

    def base_images(self) -> tuple[BaseImage, ...]:
        """Give every base image of the study its category.

        Raises
        ------
        StimulusError
            If a pin cannot be kept, or a class falls short and ``stimuli.shortfall`` does not say to
            fill it up, or cannot be filled up. The report of every candidate is written before.
        """
        selection, stimuli = self.selection, self.stimuli
        require_pins(selection, stimuli)
        if len(selection.chosen) < len(base_images(self.stimuli)):
            counts = ", ".join(f"{one.found} of {one.wanted} {one.class_name}" for one in selection.shortfalls)
            fill = 'set stimuli.shortfall = "best" to fill up with the next highest P, ' \
                if stimuli.shortfall == "refuse" else ""
            raise StimulusError(str(self.layout.root / (stimuli.images or "")),
                                came=f"too few categories with a candidate that passes the rules: {counts}",
                                expected=f"{stimuli.per_class} categories of each class",
                                remedy=f"Add photographs, {fill}or lower stimuli.re_p; every candidate and why "
                                       f"it was rejected is in {report_path(self.layout)}.")
        return tuple(self._chosen)

    def choose(self, bases: Iterable[BaseImage]) -> Iterator[Choice]:
        """Read the chosen photograph of each base, resized to the network's input."""
        seen = Counter(one.screened.candidate.category_index for one in self.selection.verdicts)
        for base in bases:
            one = self._chosen[base]
            photograph = read_photograph(self.listing.path(one.candidate))
            pixels = to_square(photograph.pixels, side=self.network.input_size, resize=self.stimuli.resize)
            yield Choice(base, pixels, one.p or 0.0, seen[base.category_index])


def photographs_of(layout: Layout, stimuli: StimuliSettings, *, seed: int, network: Network,
                   progress: ProgressWrapper = silent) -> Photographs | None:
    """Give the study's photographs, or None for a study of drawings.

    Raises
    ------
    StimulusError
        If labels, pins or exclusions are named and no folder.
    """
    if stimuli.images is not None:
        return Photographs(layout, stimuli, seed, network, progress)
    for setting in ("labels", "pin", "exclude"):
        named = getattr(stimuli, setting)
        if named:
            came = named if isinstance(named, str) else ", ".join(named)
            raise StimulusError(f"stimuli.{setting}", came=f"{came} without stimuli.images",
                                expected="the folder of the photographs that it concerns; drawings have none",
                                remedy=f"Name the folder with --images, or leave stimuli.{setting} out.")
    return None


def screen_only(layout: Layout, stimuli: StimuliSettings, *, seed: int, network: Network,
                hardware: Hardware = ON_CPU, progress: ProgressWrapper = silent) -> Selection:
    """Screen a study's photographs and write the report of every candidate.

    Raises
    ------
    StimulusError
        If the study has no photographs, a label does not hold, or a pin cannot be kept.
    """
    photographs = photographs_of(layout, stimuli, seed=seed, network=network, progress=progress)
    if photographs is None:
        raise StimulusError("stimuli.images", came="none", expected="a folder of photographs",
                            remedy="Name one with --images; the RE of this study are drawn.")
    require_own_folder(layout)
    with locked(layout.stimuli, what="the table of candidates"), computing(hardware):
        selection = photographs.selection
    require_pins(selection, stimuli)
    return selection


def _table(selection: Selection) -> pd.DataFrame:
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for one in selection.verdicts:
        row, candidate = one.screened, one.screened.candidate
        aspect = None if row.width is None or row.height is None else round(row.width / row.height, 4)
        rows.append((candidate.file, candidate.wnid or None, candidate.category, candidate.class_name, row.width,
                     row.height, aspect, row.p, row.rank, row.top, row.p_top, one.verdict,
                     one.rule or None, _line(one.reason), _line(row.note)))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"width": "Int64", "height": "Int64", "rank": "Int64"})


def _line(text: str) -> str | None:
    """Keep a reason within its cell."""
    return " ".join(text.split()) or None


def _read_rows(path: Path, listing: Listing) -> list[Screened]:
    """Read back what was screened; `listing` is the one that the report was made from."""
    table = read_table(path, text_columns=COLUMNS).astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    return [Screened(candidate, _whole(row["width"]), _whole(row["height"]),
                     p=float(row["P"]), rank=_whole(row["rank"]), top=row["top"], p_top=float(row["P_top"]),
                     note=row["note"] or "") if row["P"] is not None else
            Screened(candidate, _whole(row["width"]), _whole(row["height"]), rule=row["rule"], reason=row["reason"],
                     note=row["note"] or "")
            for candidate, row in zip(listing.candidates, rows, strict=True)]


def _whole(cell: str | None) -> int | None:
    return None if cell is None else int(cell)


_COLUMNS = ("seen", "file", "size", "P", "excluded", "pass", "categories", "chosen", "short")


def selection_table(selection: Selection, *, classes: Sequence[str], title: str) -> Table:
    """Lay a selection out within 80 columns, one row a class.

    Columns: photographs; those rejected because the file cannot be used (or is a copy), by width, height or
    aspect, by P, by the settings or since their category is on the wide list only; those that pass, and their
    categories; images chosen; images missing, or filled up from below the threshold.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, title_style="bold")
    table.add_column("class", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    short = {one.class_name: one.wanted - one.found for one in selection.shortfalls}
    for kind in classes:
        table.add_row(kind, *map(str, _counts(selection, kind)), str(short.get(kind, 0)),
                      style="bold red" if kind in short else None)
    return table


def _counts(selection: Selection, kind: str) -> Iterator[int]:
    mine = [one for one in selection.verdicts if one.screened.candidate.class_name == kind]
    rules = Counter(one.rule for one in mine)
    passing = [one for one in mine if one.verdict in (CHOSEN, SPARE)]
    yield from (len(mine), rules["file"] + rules["copy"], rules["size"], rules["P"],
                rules["excluded"] + rules["list"], len(passing))
    yield len({one.screened.candidate.category_index for one in passing})
    yield sum(one.verdict in (CHOSEN, BELOW) for one in mine)


def answers_of(selection: Selection, *, network: Network) -> Answers:
    """Count how often the network took the candidates of a selection for what they are, beside what is published."""
    return count_answers((one.screened for one in selection.verdicts), published=find_published(network))


def selection_record(selection: Selection, *, classes: Sequence[str], path: Path) -> dict[str, Any]:
    """Give what ``candidates --json`` prints: the counts of :func:`selection_table` by class, and the photographs."""
    short = {one.class_name: one.wanted - one.found for one in selection.shortfalls}
    counts = {kind: {**dict(zip(_COLUMNS, _counts(selection, kind), strict=False)), "short": short.get(kind, 0)}
              for kind in classes}
    return {"table": path, "n_candidates": len(selection.verdicts), "classes": counts,
            "chosen": [one.candidate.file for one in selection.chosen],
            "below_threshold": [one.candidate.file for one in selection.below]}


def list_line(selection: Selection) -> list[str]:
    """Name in one line the categories that were left out since they are on the wide list only; no line if none was."""
    names = dict.fromkeys(one.screened.candidate.category for one in selection.verdicts if one.rule == "list")
    line = (f'Left out, since on the wide lists only: {", ".join(names)} (stimuli.class_lists = "wide" takes them; the '
            "reasons are in the report).")
    return [line] if names else []


def below_lines(selection: Selection) -> list[str]:
    """Name the chosen photographs that do not reach the threshold, one line each."""
    return [f"{one.candidate.file}: {one.candidate.category} ({one.candidate.class_name}), P {one.p:.4f}, "
            "below the threshold" for one in selection.below]
