"""Digests, derived seeds, versions, and the sidecars that tie a file to what it was made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from subjects.errors import StoreError
from subjects.machine import cached_digest
from subjects.store import plain, read_json, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

PROGRAM = "adversarial-fmri"
_LENGTH = 16


@dataclass(frozen=True)
class FileFormat:
    """The format of one kind of file: one constant of this class, in the module that owns the kind.

    A file says its version (an attribute ``format_version`` in HDF5, a key ``FormatVersion`` in JSON; a table has no
    room and leaves it to its sidecar). A file that says none is of version 1: the first release wrote none.

    Parameters
    ----------
    kind : str
        What the file is: ``"betas"``, ``"stimulus manifest"``.
    version : int
        The version that is written; counted up when a reader of the version before would misread it.
    oldest : int
        The oldest version that is still read.

    Examples
    --------
    >>> FileFormat("betas", version=2).require(None, where="sub-01_betas.h5")
    1
    """

    kind: str
    version: int
    oldest: int = 1

    def stamp(self) -> dict[str, Any]:
        """Give the attributes that a file of this kind carries."""
        return {"format": f"{PROGRAM} {self.kind}", "format_version": self.version}

    def in_sidecar(self) -> dict[str, Any]:
        """Give what the sidecar says of a file that has no room for it."""
        return {"Format": self.kind, "FormatVersion": self.version}

    def require(self, found: Any, *, where: Path | str) -> int:
        """Return the version that a file says it has, if it can be read.

        Raises
        ------
        StoreError
            If a newer version of the toolkit wrote it, or one that is no longer read.
        """
        version = 1 if found is None else found
        if isinstance(version, SupportsIndex) and not isinstance(version, bool):
            version = version.__index__()  # numpy's whole numbers too, as HDF5 gives them
        if not isinstance(version, int) or isinstance(version, bool) or version < self.oldest:
            raise StoreError(str(where), came=f"{self.kind} of format version {version!r}",
                             expected=f"version {self.oldest} to {self.version}", remedy="Make the file again.")
        if version > self.version:
            raise StoreError(str(where), came=f"{self.kind} of format version {version}",
                             expected=f"version {self.version} at most; a newer {PROGRAM} wrote it",
                             remedy="Install that newer version.")
        return version


SIDECAR = FileFormat("sidecar", version=2)
"""Version 2 has ``Version`` under its right name in ``GeneratedBy``, and ``Sources``."""


def digest_bytes(data: bytes) -> str:
    """Give the first 16 hexadecimal digits of SHA-256.

    Examples
    --------
    >>> digest_bytes(b"")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(data).hexdigest()[:_LENGTH]


def digest_file(path: Path, *, verify: bool = False) -> str:
    """Digest a file's content; one known by path, size and times is not read again unless `verify`.

    See :func:`subjects.machine.cached_digest`.
    """
    return cached_digest(path, verify=verify)


def digest_array(values: ArrayLike) -> str:
    """Digest an array: its dtype, shape and bytes in C order."""
    import numpy as np  # not needed to print a help text, for which settings and this module are loaded

    array = np.ascontiguousarray(values)
    head = f"{array.dtype.str}{array.shape}".encode()
    return digest_bytes(head + array.tobytes())


def digest_json(content: Any) -> str:
    """Digest anything JSON can hold, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True, default=plain, ensure_ascii=False, separators=(",", ":"))
    return digest_bytes(text.encode("utf-8"))


def derive_seed(study_seed: int, *purpose: str | int) -> int:
    """Derive a seed for one purpose from the study's seed.

    Parameters
    ----------
    study_seed : int
        The one seed that a study has.
    *purpose : str or int
        What the numbers are for, for example ``"01", "02", "main", 3, "order"``.

    Returns
    -------
    int
        48 bits of SHA-256 over the parts; the same parts give the same seed on every machine.
    """
    text = json.dumps([int(study_seed), *[str(part) for part in purpose]])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:6], "big")


def rng(study_seed: int, *purpose: str | int) -> np.random.Generator:
    """Make the random generator for one purpose; see :func:`derive_seed`."""
    import numpy as np

    return np.random.default_rng(derive_seed(study_seed, *purpose))


def versions(*packages: str) -> dict[str, str]:
    """Look up the installed versions of packages without importing them."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def sidecar_path(path: Path) -> Path:
    """Name the sidecar of a file: the same name ending in ``.json``.

    Examples
    --------
    >>> sidecar_path(Path("sub-01_rsa.tsv")).name
    'sub-01_rsa.json'
    """
    path = Path(path)
    return path.with_name(path.name.split(".", 1)[0] + ".json")


def generated_by() -> list[dict[str, str]]:
    """Name the toolkit as BIDS wants it: ``Name``, ``Version`` and, where the package declares one, ``CodeURL``."""
    maker = {"Name": PROGRAM, "Version": versions(PROGRAM)[PROGRAM]}
    try:
        declared = metadata.metadata(PROGRAM).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        declared = []
    links = {name.strip().lower(): url.strip() for name, _, url in (line.partition(",") for line in declared)}
    url = links.get("source") or links.get("repository")
    return [{**maker, **({"CodeURL": url} if url else {})}]


def sources(path: Path, *, inputs: Mapping[str, Path | str]) -> list[str]:
    """Spell the input files of the same study as BIDS URIs, each once.

    Parameters
    ----------
    path : Path
        The file that was made. Its study is the nearest folder above it with a ``study.toml``; its dataset is the
        study, or the folder of one pipeline below ``derivatives``.
    inputs : mapping of str to Path or str
        As for :func:`sidecar`; a bare digest has no address, and a file outside the study none that others could use.

    Returns
    -------
    list of str
        ``bids::...`` within the dataset, ``bids:study:...`` from a derivative into the study; the link ``study`` is
        in the derivative's description (:func:`subjects.dataset.describe_derivative`).
    """
    path = Path(path).absolute()
    root = next((folder for folder in path.parents if (folder / "study.toml").is_file()), None)
    if root is None:
        return []
    own = path.relative_to(root).parts
    dataset = root / own[0] / own[1] if own[0] == "derivatives" and len(own) > 2 else root
    found: dict[str, None] = {}
    for item in inputs.values():
        source = Path(os.path.normpath(Path(item).absolute())) if isinstance(item, Path) else None
        if source is not None and source.is_relative_to(dataset):
            found[f"bids::{source.relative_to(dataset).as_posix()}"] = None
        elif source is not None and source.is_relative_to(root):
            found[f"bids:study:{source.relative_to(root).as_posix()}"] = None
    return sorted(found)


def sidecar(path: Path, *, inputs: Mapping[str, Path | str], parameters: Mapping[str, Any],
            extra: Mapping[str, Any] | None = None, form: FileFormat | None = None) -> Path:
    """Write beside a file what it was made from.

    Parameters
    ----------
    path : Path
        The file that was made.
    inputs : mapping of str to Path or str
        What it was made from: a path is digested and named in ``Sources``, a string is taken as a digest.
    parameters : mapping
        The settings that shaped it.
    extra : mapping, optional
        More keys for the top level (a unit, a note).
    form : FileFormat, optional
        The format of the file itself; for tables, which have no room for it.
    """
    said = {} if form is None else form.in_sidecar()
    content = {"GeneratedBy": generated_by(), "SidecarVersion": SIDECAR.version, **said,
               "Sources": sources(path, inputs=inputs), "inputs": _digests(inputs), "parameters": _as_json(parameters),
               "digest": digest_file(path), **(extra or {})}
    return write_json(sidecar_path(path), content, overwrite=True)


def is_current(path: Path, *, inputs: Mapping[str, Path | str], parameters: Mapping[str, Any], verify: bool = False,
               then: Mapping[str, Any] | None = None) -> bool:
    """Say whether a file is unchanged since it was made, and was made from these very inputs and parameters.

    Parameters
    ----------
    path : Path
        The file, with a sidecar of :func:`sidecar` beside it.
    inputs, parameters : mapping
        As for :func:`sidecar`, as they would be written today.
    verify : bool
        Digest every file anew instead of trusting its size and times; for whatever is published.
    then : mapping, optional
        What was done before a parameter existed, where that is not the declared behaviour of a setting of the same
        name (:func:`declare`).

    Notes
    -----
    A file whose sidecar cannot be read, is no JSON object or is of a newer version is not current. A parameter that
    the sidecar does not have counts as what was done before it existed; one that it has and that no longer exists must
    have had the value that today's code is fixed to (:func:`declare_removed`).
    """
    path = Path(path)
    beside = sidecar_path(path)
    if not (path.is_file() and beside.is_file()):
        return False
    try:
        found = read_json(beside)
        SIDECAR.require(found.get("SidecarVersion"), where=beside)
        same = found.get("inputs") == _digests(inputs, verify=verify)
    except (FileNotFoundError, StoreError):
        return False
    recorded = found.get("parameters")
    return (same and isinstance(recorded, dict)
            and agree(recorded, wanted=_as_json(parameters), then=_as_json(then or {}))
            and found.get("digest") == digest_file(path, verify=verify))


def agree(recorded: Mapping[str, Any], *, wanted: Mapping[str, Any], then: Mapping[str, Any] | None = None) -> bool:
    """Say whether recorded parameters mean what these do today, whichever version recorded them.

    Parameters
    ----------
    recorded, wanted : mapping
        Parameters as JSON holds them.
    then : mapping, optional
        See :func:`is_current`.
    """
    recorded = {_RENAMED.get(key, key): value for key, value in recorded.items()}
    before = {**_BEFORE, **(then or {})}
    missing = object()
    new = (wanted[key] == before.get(key, missing) for key in wanted.keys() - recorded.keys())
    old = (recorded[key] == _REMOVED.get(key, missing) for key in recorded.keys() - wanted.keys())
    both = (_alike(recorded[key], wanted[key], then=then) for key in recorded.keys() & wanted.keys())
    return all(both) and all(new) and all(old)


def _alike(recorded: Any, wanted: Any, *, then: Mapping[str, Any] | None) -> bool:
    """Compare two values; whole sections of the settings are compared setting by setting."""
    if isinstance(recorded, Mapping) and isinstance(wanted, Mapping):
        return agree(recorded, wanted=wanted, then=then)
    return bool(recorded == wanted)


_BEFORE: dict[str, Any] = {}
_REMOVED: dict[str, Any] = {}
_RENAMED: dict[str, str] = {}
_AMBIGUOUS: set[str] = set()


def declare(name: str, *, before: Any) -> None:
    """Declare what was done before a setting existed; the settings do so for each of their fields.

    A name that two settings share with different behaviours has no such value: without it a sidecar is not current.
    """
    value = _as_json({name: before})[name]
    if name in _AMBIGUOUS or _BEFORE.get(name, value) != value:
        _AMBIGUOUS.add(name)
        _BEFORE.pop(name, None)
    else:
        _BEFORE[name] = value


def declare_removed(name: str, *, value: Any) -> None:
    """Declare that a setting is gone, and with which value of it files were made as today's code makes them."""
    _REMOVED[name] = _as_json({name: value})[name]


def declare_renamed(name: str, *, new: str) -> None:
    """Declare that a setting has another name now."""
    _RENAMED[name] = new


def _as_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(parameters, default=plain)))


def _digests(inputs: Mapping[str, Path | str], *, verify: bool = False) -> dict[str, str]:
    return {name: digest_file(item, verify=verify) if isinstance(item, Path) else item for name, item in inputs.items()}
