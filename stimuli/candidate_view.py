"""The screening of candidates as a table for the terminal: a row for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from stimuli.regular_images.category_choice import BELOW, CHOSEN, SPARE, Selection

_COLUMNS = ("seen", "file", "size", "P", "excluded", "pass", "categories", "chosen", "short")


def selection_table(selection: Selection, *, classes: Sequence[str], title: str) -> Table:
    """Lay a selection out within 80 columns, one row a class.

    Columns: photographs; those that fell out because the file cannot be used (or is a copy), by width, height or
    aspect, by P, by the settings; those that pass, and their categories; images chosen; images missing, or
    filled up from below the threshold.
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
    yield from (len(mine), rules["file"] + rules["copy"], rules["size"], rules["P"], rules["excluded"], len(passing))
    yield len({one.screened.candidate.category_index for one in passing})
    yield sum(one.verdict in (CHOSEN, BELOW) for one in mine)


def below_lines(selection: Selection) -> list[str]:
    """Name the chosen photographs that do not reach the threshold, one line each."""
    return [f"{one.candidate.file}: {one.candidate.category} ({one.candidate.class_name}), P {one.p:.4f}, "
            "below the threshold" for one in selection.below]
