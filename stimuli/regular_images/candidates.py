"""Which photographs of a folder may become regular images: class folders by wnid, or a table of labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NoReturn

from stimuli.categories import demo_categories, imagenet_categories
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError, nearest
from subjects.provenance import digest_file, digest_json
from subjects.store import read_table

LABELS_FILE = "labels.tsv"
CLASS_ALIASES = MappingProxyType({"aquatic_animals": "aquatic", "aquatic animals": "aquatic"})
"""Names that tables of labels give a class -> the name that the settings give it."""

log = logging.getLogger(__name__)

_TEXT = ("file", "wnid", "category", "class", "imagenet_index")


@dataclass(frozen=True)
class Label:
    """What is known of a category.

    Parameters
    ----------
    wnid : str
        WordNet's name of it, ``n`` and eight digits; empty outside ImageNet.
    category : str
        Its name among the network's outputs.
    class_name : str
        One of the study's classes, or ``"n/a"``.
    index : int or None
        ImageNet's index.
    """

    wnid: str
    category: str
    class_name: str
    index: int | None


@dataclass(frozen=True)
class Candidate:
    """A photograph that may become a regular image.

    Parameters
    ----------
    file : str
        Path inside the folder, with forward slashes.
    wnid, category, class_name : str
        What it is labelled as.
    category_index : int
        The category among the network's outputs.
    """

    file: str
    wnid: str
    category: str
    class_name: str
    category_index: int


@dataclass(frozen=True)
class Listing:
    """The candidates of a folder.

    Parameters
    ----------
    folder : Path
        Their folder.
    candidates : tuple of Candidate
        In the order of their files' names.
    n_outside : int
        Photographs of classes that the study does not show.
    """

    folder: Path
    candidates: tuple[Candidate, ...]
    n_outside: int

    def path(self, candidate: Candidate) -> Path:
        """Spell the path of a candidate's file."""
        return self.folder / candidate.file

    def digests(self, *, progress: ProgressWrapper = silent) -> dict[str, str]:
        """Digest the content of every candidate: file to digest."""
        return {one.file: digest_file(self.path(one))
                for one in progress(self.candidates, label="reading candidates", total=len(self.candidates))}


def digest_of(listing: Listing, digests: Mapping[str, str]) -> str:
    """Digest a listing: names, labels and content of its candidates; not the folder's place."""
    return digest_json([[one.file, one.category, one.class_name, one.category_index, digests[one.file]]
                        for one in listing.candidates])


def list_candidates(folder: Path, *, class_names: Sequence[str], classes: Sequence[str] | None,
                    labels: Path | None = None) -> Listing:
    """List the photographs of a folder that are labelled as one of the study's classes. Opens none.

    Parameters
    ----------
    folder : Path
        One folder a category, named by its wnid (or by its name among the network's outputs); or all
        photographs with a table of labels.
    class_names : sequence of str
        The network's outputs.
    classes : sequence of str or None
        The study's classes; None takes photographs of every category.
    labels : Path, optional
        The table: column ``file``; ``wnid`` or ``category``; ``class`` and ``imagenet_index`` where
        wanted. Without it ``labels.tsv`` in the folder is read, and where there is none, class folders.
        A class in the table outranks the one that this project gives the category.

    Raises
    ------
    StimulusError
        If the folder or a file that the table names is missing, a wnid or category is unknown, a file
        is named twice, or the network has no output for a category.
    """
    folder = Path(folder)
    if not folder.is_dir():
        _refuse(str(folder), "no such folder", "a folder of photographs", "Correct stimuli.images (--images).")
    table = labels if labels is not None else folder / LABELS_FILE
    from_table = labels is not None or table.is_file()
    rows = list(_table_rows(table, folder) if from_table else _folder_rows(folder))
    inside = [(file, label) for file, label in rows if classes is None or label.class_name in classes]
    if not inside:
        _refuse(str(table if from_table else folder), f"{len(rows)} photographs, none of the study's classes",
                f"photographs of {', '.join(classes or ('any category',))}", "Correct the labels, or stimuli.classes.")
    found = [Candidate(file, label.wnid, label.category, label.class_name, _output(label, class_names, where=file))
             for file, label in sorted(inside, key=lambda row: row[0])]
    return Listing(folder, tuple(found), len(rows) - len(inside))


def _output(label: Label, class_names: Sequence[str], *, where: str) -> int:
    if label.category not in class_names:
        _refuse(where, f"category {label.category!r}, for which the network has no output",
                "a category that the network knows", nearest(label.category, class_names))
    return class_names.index(label.category)


def _folder_rows(folder: Path) -> Iterator[tuple[str, Label]]:
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not below:
        _refuse(str(folder), f"neither class folders nor {LABELS_FILE}", "folders named by wnid, or a table of labels",
                "Name the table with --labels, or sort the photographs into folders.")
    deeper = []
    for place in below:
        label = _label(_class_name(place), where=str(place))
        for path in sorted(place.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                yield f"{place.name}/{path.name}", label
            elif path.is_dir() and not path.name.startswith("."):
                deeper.append(path)
    if deeper:
        log.warning("%d folder(s) inside the folders of categories are not read, the first %s", len(deeper), deeper[0])


def _class_name(place: Path) -> str:
    """Give the wnid or category of a folder: ``n02085620``, or ``n02085620-Chihuahua`` as in Stanford Dogs.

    Raises
    ------
    StimulusError
        If the folders of categories lie one level below: their folder is named.
    """
    wnid, _, rest = place.name.replace("_", "-").partition("-")
    if _is_wnid(wnid) and rest:
        return wnid
    if place.name not in _known():
        inside = [path.name for path in sorted(place.iterdir()) if path.is_dir() and _is_wnid(path.name[:9])]
        if inside:
            _refuse(str(place.parent), f"a folder {place.name!r} that holds the folders of categories ({inside[0]})",
                    "the folder that holds them", f"Name {place} instead (--images, stimuli.images).")
    return place.name


def _table_rows(table: Path, folder: Path) -> Iterator[tuple[str, Label]]:
    rows = read_table(table, text_columns=_TEXT).astype(object)
    rows = rows.where(rows.notna(), None)
    if "file" not in rows or not {"wnid", "category"} & set(rows.columns):
        _refuse(str(table), f"the columns {', '.join(map(str, rows.columns))}", "file, and wnid or category",
                "Correct the table's first line.")
    seen: dict[str, int] = {}
    for k, row in enumerate(rows.to_dict("records"), start=2):
        where, file = f"{table}, row {k}", _file(row["file"], where=f"{table}, row {k}")
        if file in seen:
            _refuse(where, f"{file} again, as in row {seen[file]}", "every file once", "Remove one of the rows.")
        seen[file] = k
        label = _row_label(row, where=where)
        if not (folder / file).is_file():
            _refuse(where, f"{file}, which is not in {folder}", "a file that exists",
                    "Restore the photograph or remove the row; nothing was read.")
        yield file, label


def _file(value: Any, *, where: str) -> str:
    path = PurePosixPath(str(value or "").replace("\\", "/"))
    if not value or path.is_absolute() or ".." in path.parts:
        _refuse(where, f"file {value!r}", "a path inside the folder of photographs", "Correct the row.")
    return path.as_posix()


def _row_label(row: Mapping[Any, Any], *, where: str) -> Label:
    name = row.get("wnid") or row.get("category")
    if not name:
        _refuse(where, "neither wnid nor category", "one of them", "Complete the row.")
    given = row.get("class")
    label = _label(str(name), where=where, class_name=None if given is None else CLASS_ALIASES.get(given, str(given)))
    index = row.get("imagenet_index")
    if index is not None and label.index is not None and str(label.index) != str(index):
        _refuse(where, f"imagenet_index {index} for {name}", f"{label.index}", "Correct wnid or imagenet_index.")
    return label


def _label(name: str, *, where: str, class_name: str | None = None) -> Label:
    """Look a wnid or a category's name up; `class_name` outranks what is known of it."""
    known = _known()
    if name not in known and class_name is not None and not _is_wnid(name):
        return Label("", name, class_name, None)
    if name not in known:
        kind = "wnid" if _is_wnid(name) else "category"
        _refuse(where, f"the unknown {kind} {name!r}", "one of ImageNet's 1000 wnids, or a category's name",
                nearest(name, [key for key in known if _is_wnid(key) == _is_wnid(name)]))
    found = known[name]
    return found if class_name is None else Label(found.wnid, found.category, class_name, found.index)


@lru_cache(maxsize=1)
def _known() -> Mapping[str, Label]:
    """Give each wnid and each name of a category what is known of it; ImageNet's outrank those of drawings."""
    drawn = {category: Label("", category, name, None) for name, category in demo_categories()}
    found = [Label(one.wnid, one.name, one.class_name or "n/a", one.index) for one in imagenet_categories()]
    named = {label.category: label for label in found if label.class_name != "n/a" or label.category not in drawn}
    return MappingProxyType({**drawn, **named, **{label.wnid: label for label in found}})


def _is_wnid(name: str) -> bool:
    return len(name) == 9 and name[0] == "n" and name[1:].isdigit()


def _refuse(where: str, came: str, expected: str, remedy: str) -> NoReturn:
    raise StimulusError(where, came=came, expected=expected, remedy=remedy)
