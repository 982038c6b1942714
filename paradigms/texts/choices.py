"""The names among which a subject chooses: the set's categories in the study's language, with what finds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from subjects.errors import SettingsError
from subjects.settings.study import Settings
from subjects.store import read_table

COLUMNS = ("category", "name", "search")


@dataclass(frozen=True)
class Choice:
    """A name on the list.

    Parameters
    ----------
    category : str
        The category, as the manifest has it.
    name : str
        What is read.
    search : str
        What finds it when it is typed, beside the name itself (pinyin, for example).
    """

    category: str
    name: str
    search: str

    def rank(self, typed: str) -> int | None:
        """Say how well a name fits what was typed, 0 best; None where it does not."""
        words = [text.casefold() for text in (self.name, self.search)]
        if any(word.startswith(typed) for word in words):
            return 0
        if any(part.startswith(typed) for word in words for part in word.split()):
            return 1
        return 2 if any(typed in word for word in words) else None


def find(choices: Sequence[Choice], typed: str, *, most: int = 6) -> tuple[Choice, ...]:
    """List the names that fit what was typed, the best first.

    Examples
    --------
    >>> [one.name for one in find([Choice("a", "sea lion", ""), Choice("b", "lion", "")], "lio")]
    ['lion', 'sea lion']
    """
    typed = typed.strip().casefold()
    if not typed:
        return ()
    ranked = [(rank, one.name.casefold(), one) for one in choices if (rank := one.rank(typed)) is not None]
    return tuple(one for _, _, one in sorted(ranked, key=lambda item: item[:2])[:most])


def load_choices(settings: Settings, *, categories: Iterable[str], root: Path) -> tuple[Choice, ...]:
    """Name the categories of a set in the study's language.

    Parameters
    ----------
    settings : Settings
        ``instructions.language``, ``naming.names``.
    categories : iterable of str
        The set's.
    root : Path
        The study's folder.

    Raises
    ------
    SettingsError
        If a category has no name in that language, two have the same one, or the table is not as it should be.
    """
    wanted = tuple(dict.fromkeys(categories))
    names = {one.category: one for one in _known(settings, root=root)}
    if settings.instructions.language == "en":
        names = {**{name: Choice(name, name.replace("_", " "), "") for name in wanted}, **names}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise SettingsError("naming.names", came=f"no name for {missing[0]!r} and {len(missing) - 1} more categories",
                            expected=f"a name for every category in {settings.instructions.language!r}",
                            remedy=f"Write a table with the columns {', '.join(COLUMNS)} and name it.")
    found = tuple(names[name] for name in wanted)
    twice = _twice(" ".join(one.name.casefold().split()) for one in found)
    if twice is not None:
        raise SettingsError("naming.names", came=f"two categories called {twice!r}", expected="a name for each",
                            remedy="Give one of them another name in the table.")
    return found


def _twice(values: Iterable[str]) -> str | None:
    """Give the first value that was there before."""
    known: set[str] = set()
    for value in values:
        if value in known:
            return value
        known.add(value)
    return None


def _known(settings: Settings, *, root: Path) -> list[Choice]:
    own = [] if settings.naming.names is None else _read(root / settings.naming.names)
    if settings.instructions.language != "zh":
        return own
    with as_file(files("paradigms.texts") / "data" / "categories_zh.tsv") as path:
        return [*_read(path), *own]


def _read(path: Path) -> list[Choice]:
    table = read_table(path, text_columns=COLUMNS)
    lacks = [name for name in COLUMNS[:2] if name not in table.columns or table[name].isna().any()
             or not table[name].astype(str).str.strip().all()]
    if lacks:
        raise SettingsError(str(path), came=f"no {lacks[0]} in some row", expected=f"the columns {', '.join(COLUMNS)}",
                            remedy="Complete the table; search may be empty (n/a).")
    if (twice := _twice(map(str, table["category"]))) is not None:
        raise SettingsError(str(path), came=f"two rows for {twice!r}", expected="one for each category",
                            remedy="Take one of them out.")
    searches = table["search"].fillna("") if "search" in table.columns else [""] * len(table)
    return [Choice(str(category), str(name), str(search))
            for category, name, search in zip(table["category"], table["name"], searches, strict=True)]
