"""Digests, derived seeds, versions, and the sidecars that tie a file to what it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from subjects.errors import StoreError
from subjects.store import plain, read_json, write_json

_LENGTH = 16


def digest_bytes(data: bytes) -> str:
    """Give the first 16 hexadecimal digits of SHA-256.

    Examples
    --------
    >>> digest_bytes(b"")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(data).hexdigest()[:_LENGTH]


def digest_file(path: Path) -> str:
    """Digest a file's content, read in blocks of 1 MiB."""
    state = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()[:_LENGTH]


def digest_array(values: ArrayLike) -> str:
    """Digest an array: its dtype, shape and bytes in C order."""
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


def _record(inputs: Mapping[str, Path | str], parameters: Mapping[str, Any]) -> dict[str, Any]:
    digests = {name: digest_file(item) if isinstance(item, Path) else item for name, item in inputs.items()}
    return {"inputs": digests, "parameters": json.loads(json.dumps(parameters, default=plain))}


def sidecar_path(path: Path) -> Path:
    """Name the sidecar of a file: the same name ending in ``.json``.

    Examples
    --------
    >>> sidecar_path(Path("sub-01_rsa.tsv")).name
    'sub-01_rsa.json'
    """
    path = Path(path)
    return path.with_name(path.name.split(".", 1)[0] + ".json")


def sidecar(path: Path, *, inputs: Mapping[str, Path | str], parameters: Mapping[str, Any],
            extra: Mapping[str, Any] | None = None) -> Path:
    """Write beside a file what it was made from.

    Parameters
    ----------
    path : Path
        The file that was made.
    inputs : mapping of str to Path or str
        What it was made from: a path is digested, a string is taken as a digest.
    parameters : mapping
        The settings that shaped it.
    extra : mapping, optional
        More keys for the top level (a BIDS ``Sources``, a note).
    """
    content = {"GeneratedBy": [{"Name": "adversarial-fmri", **versions("adversarial-fmri")}],
               **_record(inputs, parameters), "digest": digest_file(path), **(extra or {})}
    return write_json(sidecar_path(path), content, overwrite=True)


def is_current(path: Path, *, inputs: Mapping[str, Path | str], parameters: Mapping[str, Any]) -> bool:
    """Say whether a file stands as it was made, from these very inputs and parameters.

    A sidecar that cannot be read, or is no JSON object, says nothing: the file is not current.
    """
    path = Path(path)
    beside = sidecar_path(path)
    if not (path.is_file() and beside.is_file()):
        return False
    try:
        found, wanted = read_json(beside), _record(inputs, parameters)
    except (FileNotFoundError, StoreError):
        return False
    same = all(found.get(key) == value for key, value in wanted.items())
    return same and found.get("digest") == digest_file(path)
