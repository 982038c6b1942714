"""The record beside the table: which network a set was made with, or which two."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stimuli.files import build_again
from stimuli.manifest.rows import Manifest
from stimuli.manifest.table import read_manifest
from subjects.errors import ManifestError, StoreError
from subjects.provenance import digest_json, sidecar_path
from subjects.store import read_json

FIRST, SECOND = "network", "second_network"
"""Under which the sidecar has the records."""


@dataclass(frozen=True)
class SetNetwork:
    """The network that a set was made with.

    Parameters
    ----------
    name, digest : str
        As in the manifest's rows.
    weights : str or None
        Its weights file as it was named, relative to the study where it is inside it; None: the network's own file.
    weights_digest : str or None
        Digest of that file's content.
    preprocessing : str or None
        As it was named; None: the network's own.
    tap : str or None
        Where in a layer its responses are read. None for a set made by version 0.1.0, which wrote name and digest
        only; then nothing is known of the weights file and the preprocessing either.
    function : str or None
        ``"package.module:function"`` that gives it, for a network of the user's own; None: it is loaded by its name.
    """

    name: str
    digest: str
    weights: str | None = None
    weights_digest: str | None = None
    preprocessing: str | None = None
    tap: str | None = None
    function: str | None = None

    @property
    def loaded_as(self) -> str:
        """Give the name under which the network is loaded again."""
        return self.function or self.name


def pair_of(first: SetNetwork, second: SetNetwork) -> tuple[str, str]:
    """Give name and digest of two networks together, which RE of both carry."""
    return f"{first.name} + {second.name}", digest_json([first.digest, second.digest])


def read_set_networks(manifest_path: Path) -> tuple[SetNetwork, ...]:
    """Read which networks a study's set was made with: one, or two; see :func:`read_set_network`."""
    first, second = read_set_network(manifest_path), recorded_network(manifest_path, key=SECOND)
    return (first,) if second is None else (first, second)


def read_set_network(manifest_path: Path) -> SetNetwork:
    """Read which network a study's set was made with, the first one of two.

    Parameters
    ----------
    manifest_path : Path
        The manifest; the record is in its sidecar under ``network``. For a set made by version 0.1.0, whose
        sidecar has no such key, name and digest come from the rows.

    Raises
    ------
    ManifestError
        If the manifest cannot be read, its rows name other networks than the sidecar, or several without one.
    """
    path = Path(manifest_path)
    beside = sidecar_path(path)
    manifest = read_manifest(path)
    named = {(one.network, one.network_digest): one.file for one in manifest.stimuli}
    again = f"Restore the files, or build the set again with {build_again(path.parent)}."
    record, other = recorded_network(path), recorded_network(path, key=SECOND)
    if record is not None and other is not None:
        _require_both(manifest, (record, other), where=path, again=again)
        return record
    if len(named) > 1:
        (first, _), (second, file) = list(named.items())[:2]
        raise ManifestError(f"{path}, {file}", came=f"network {second[0]} {second[1]}",
                            expected=f"{first[0]} {first[1]}, as in the rows before", remedy=again)
    (name, digest), = named
    record = record or SetNetwork(name, digest)
    if (record.name, record.digest) != (name, digest):
        raise ManifestError(str(path), came=f"rows of network {name} {digest}",
                            expected=f"{record.name} {record.digest}, as in {beside.name}", remedy=again)
    return record


def _require_both(manifest: Manifest, networks: tuple[SetNetwork, SetNetwork], *, where: Path, again: str) -> None:
    """See that every row is of one of two networks, or an RE of both."""
    known = {(one.name, one.digest) for one in networks}
    for one in manifest.stimuli:
        wanted = {pair_of(*networks)} if one.type == "RE" else known
        if (one.network, one.network_digest) not in wanted:
            raise ManifestError(f"{where}, {one.file}", came=f"network {one.network} {one.network_digest}",
                                expected=" or ".join(f"{name} {digest}" for name, digest in sorted(wanted)) +
                                f", as in {sidecar_path(where).name}", remedy=again)


def recorded_network(manifest_path: Path, *, key: str = FIRST) -> SetNetwork | None:
    """Read the record in a manifest's sidecar alone, of the first or of the second network; None where there is none.

    Raises
    ------
    ManifestError
        If the sidecar cannot be read, or the record in it is not one.
    """
    beside = sidecar_path(manifest_path)
    again = f"Restore the file, or build the set again with {build_again(beside.parent)}."
    try:
        record = read_json(beside).get(key) if beside.is_file() else None
    except StoreError as error:
        raise ManifestError(str(beside), came=error.came, expected=error.expected, remedy=again) from error
    if record is None:
        return None
    names = [field.name for field in dataclasses.fields(SetNetwork)]
    texts: dict[str, Any] = {name: record.get(name) for name in names} if isinstance(record, dict) else {}
    whole = all(isinstance(value, str) or (value is None and name not in ("name", "digest"))
                for name, value in texts.items())
    if not texts or not whole:
        raise ManifestError(f"{beside}, {key}", came=repr(record), expected=f"texts under {', '.join(names)}",
                            remedy=again)
    return SetNetwork(**texts)
