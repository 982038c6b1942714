"""Whole-file storage: written beside, then renamed; nothing overwritten unless asked."""

from __future__ import annotations

import json
import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from subjects.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

HALF_WRITTEN = ".????????.tmp.*"
"""Pattern of the names under which :func:`whole_file` writes; a killed process may leave one."""


@contextmanager
def whole_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Offer a temporary path beside `path`; rename it into place when the block ends well.

    Parameters
    ----------
    path : Path
        Where the file belongs. Its folder is made.
    overwrite : bool
        Replace a file that stands there.

    Yields
    ------
    Path
        A path in the same folder, with the same ending, to write to.

    Raises
    ------
    StoreError
        If the file exists and `overwrite` is false. On any error the half-written file is removed.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise StoreError(str(path), came="a file that exists already", expected="a free name",
                         remedy="Nothing was written; name another place or ask for overwriting.")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex[:8]}.tmp.{path.name}")
    try:
        yield beside
        _sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk (folders cannot be opened on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write bytes as a whole file; see :func:`whole_file`."""
    with whole_file(path, overwrite=overwrite) as beside:
        beside.write_bytes(data)
    return Path(path)


def write_text(path: Path, text: str, *, overwrite: bool = False) -> Path:
    """Write UTF-8 text with Unix line ends as a whole file."""
    return write_bytes(path, text.encode("utf-8"), overwrite=overwrite)


def write_json(path: Path, content: Any, *, overwrite: bool = False) -> Path:
    """Write indented JSON; numpy scalars and arrays become numbers and lists."""
    return write_text(path, json.dumps(content, indent=2, default=plain, ensure_ascii=False) + "\n",
                      overwrite=overwrite)


def plain(value: Any) -> Any:
    """Turn numpy values and paths into what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing or malformed file is a :class:`StoreError`."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(str(path), came="no such file", expected="a JSON file",
                         remedy="Run the step that makes it.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(str(path), came=f"text that is not JSON ({error})", expected="a JSON file",
                         remedy="Restore the file or make it again.") from error
    if not isinstance(content, dict):
        raise StoreError(str(path), came=f"a JSON {type(content).__name__}", expected="an object with named values",
                         remedy="Restore the file or make it again.")
    return content


def write_table(path: Path, table: pd.DataFrame, *, overwrite: bool = False) -> Path:
    """Write a tab-separated table the BIDS way (``n/a`` for missing values, no index)."""
    return write_text(path, table_text(table), overwrite=overwrite)


def table_text(table: pd.DataFrame) -> str:
    """Spell a table as :func:`write_table` writes it."""
    return str(table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n"))


def read_table(path: Path, *, text_columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a tab-separated table in which ``n/a`` (and nothing else) is missing.

    Parameters
    ----------
    path : Path
        The table.
    text_columns : tuple of str
        Columns kept as text, so that labels such as ``01`` keep their zeros.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(str(path), came="no such file", expected="a tab-separated table",
                         remedy="Run the step that makes it.")
    import pandas as pd  # most of the start-up time of every command, most of which read no table

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, index_col=False,
                               dtype=dict.fromkeys(text_columns, str))
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StoreError(str(path), came=f"a table that cannot be read ({error})",
                         expected="tab-separated columns", remedy="Restore the file or make it again.") from error
