"""What of a study can be made again, how large it is, and dropping it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from subjects.cli import Command, json_option, say, study_option
from subjects.layout import Layout

KINDS = {"bold": "simulated/sub-*/ses-*/func/*_bold.func.gii", "features": "features/network-*_features.h5"}
"""What can be dropped, and its files under ``derivatives/``: a later step needs no more of them than their digests."""

DROPPED = "Dropped"
"""What the sidecar of features says that were dropped, beside their digest."""


@dataclass(frozen=True)
class Droppable:
    """A file that can be made again.

    Parameters
    ----------
    kind : str
        A key of :data:`KINDS`.
    path : Path
    size : int
        Bytes.
    """

    kind: str
    path: Path
    size: int


def find_droppable(layout: Layout, *, kinds: tuple[str, ...] = ("bold",)) -> tuple[Droppable, ...]:
    """List what can be dropped: files that are what their sidecar says, which stays and keeps their digest.

    Parameters
    ----------
    layout : Layout
    kinds : tuple of str
        Keys of :data:`KINDS`.
    """
    return tuple(Droppable(kind, path, path.stat().st_size) for kind in kinds
                 for path in sorted(layout.root.joinpath("derivatives").glob(KINDS[kind])) if _kept(path))


def _kept(path: Path) -> bool:
    from subjects.errors import StoreError
    from subjects.provenance import digest_file, sidecar_path
    from subjects.store import read_json

    try:
        return bool(read_json(sidecar_path(path)).get("digest") == digest_file(path))
    except StoreError:
        return False


def drop(found: tuple[Droppable, ...]) -> int:
    """Remove files; give their bytes.

    Features say so in their sidecar first: features that are gone without that are missed. A time series' sidecar is
    read by later steps itself, and stays as it is.
    """
    from subjects.provenance import sidecar_path
    from subjects.store import read_json, write_json

    for one in found:
        if one.kind == "features":
            beside = sidecar_path(one.path)
            write_json(beside, {**read_json(beside), DROPPED: True}, overwrite=True)
        one.path.unlink(missing_ok=True)
    return sum(one.size for one in found)


@click.command(cls=Command)
@study_option
@click.option("--features", is_flag=True, help="The networks' responses, too.")
@click.option("--yes", is_flag=True, help="Remove the files; without it they are only listed.")
@json_option
def clean(study: Path, features: bool, yes: bool, as_json: bool) -> None:
    """List what can be made again (simulated BOLD) and its size; with --yes remove it.

    Betas, tables and the report stay and stay current: sidecars keep the digests of what was removed.
    """
    layout = Layout(study).require()
    found = find_droppable(layout, kinds=("bold", "features") if features else ("bold",))
    size = drop(found) if yes else sum(one.size for one in found)
    kinds = {kind: [one for one in found if one.kind == kind] for kind in KINDS}
    lines = [f"{kind}: {len(ones)} files, {sum(one.size for one in ones) / 2**20:,.1f} MiB"
             for kind, ones in kinds.items() if ones]
    after = "removed" if yes else "nothing was removed; give --yes to remove them"
    say({"removed": yes, "bytes": size, "files": [str(one.path) for one in found]}, as_json=as_json,
        text=[*lines, f"in all {size / 2**20:,.1f} MiB: {after}"] if found else "nothing that can be made again")
