"""Brings a study that an older release made to today's format: ``python -m subjects upgrade``.

Commands read older studies as they are; an upgrade writes down what a newer release knows and an older one left
unsaid. What it changes are study.toml and the JSON files that describe others: never an image, a table, a time series,
a journal or anything else below ``sourcedata`` or a subject's folder. Each changed file is copied to
``sourcedata/before-upgrade/format-N`` first. An upgrade that was interrupted is taken up when it is run again; after
one that was not, another changes nothing.

A new format is one more :class:`Migration` in :data:`MIGRATIONS`, and :data:`subjects.layout.STUDY_FORMAT` counted up.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from subjects.dataset import STUDY_LINK
from subjects.layout import STUDY_FORMAT, Layout, require_known_format
from subjects.provenance import PROGRAM, SIDECAR, digest_bytes, digest_file, generated_by
from subjects.settings.history import defaults_then
from subjects.settings.images import StimuliSettings
from subjects.settings.loading import load_settings, read_toml
from subjects.settings.reference import spelled
from subjects.settings.study import leaves
from subjects.store import locked, write_bytes

log = logging.getLogger(__name__)
Content = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What a migration may look at.

    Parameters
    ----------
    described : mapping of str to dict
        The JSON files of this toolkit that describe others, by their paths from the study's folder.
    network : dict or None
        The record of the set's network, as :class:`stimuli.manifest.SetNetwork` spells it; None without a set.
    """

    described: Mapping[str, Content]
    network: Content | None


@dataclass(frozen=True)
class Migration:
    """One step from a format to the next.

    Parameters
    ----------
    to : int
        The format that it leads to.
    what : str
        What changes, for people.
    change : callable
        Gives one JSON file as the new format has it, from its path, its content and the study. It is pure, and
        changes nothing in a file that has the new format.
    """

    to: int
    what: str
    change: Callable[[str, Content, Study], Content]


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade changed, or would change.

    Parameters
    ----------
    before, after : int
        The study's format.
    changed : tuple of str
        Files, from the study's folder.
    what : tuple of str
        What changes, a line for each migration.
    backup : Path or None
        Where the files are as they were; None if nothing was written.
    """

    before: int
    after: int
    changed: tuple[str, ...]
    what: tuple[str, ...]
    backup: Path | None


def _to_2(path: str, content: Content, study: Study) -> Content:
    """Release 0.1.0 misspelled its version in sidecars, and left formats, links and the set's network unsaid."""
    if "DatasetType" in content:
        links = {"DatasetLinks": {**STUDY_LINK, **content.get("DatasetLinks", {})}}
        return {**content, **(links if content["DatasetType"] == "derivative" else {})}
    makers = [_renamed(maker) for maker in content["GeneratedBy"]]
    record = {"network": study.network} if path == _MANIFEST_SIDECAR and not isinstance(content.get("network"), dict) \
        and study.network is not None else {}
    return {**content, "GeneratedBy": makers, "SidecarVersion": SIDECAR.version, **record}


def _renamed(maker: Content) -> Content:
    """Put the version of a maker under the key that BIDS has for it."""
    if maker.get("Name") != PROGRAM or PROGRAM not in maker:
        return maker
    others = {key: value for key, value in maker.items() if key != PROGRAM}
    return {"Name": PROGRAM, "Version": maker[PROGRAM], **others}


MIGRATIONS = (
    Migration(2, 'sidecars name the release under "Version" and their own format; descriptions of derivatives link to '
                 "the study; the network of the image set is recorded beside its manifest; study.toml names the "
                 "format, and the model of the GLM that was the default then",
              _to_2),
)
"""All migrations, in order; each leads to the format after the one before."""

_MANIFEST_SIDECAR = "stimuli/manifest.json"


def upgrade(layout: Layout, *, dry_run: bool = False) -> Upgrade:
    """Bring a study to today's format.

    Parameters
    ----------
    layout : Layout
        The study.
    dry_run : bool
        Say what would change and write nothing.

    Raises
    ------
    LayoutError
        If the folder is no study, or of a newer format than this version knows.
    SettingsError
        If its settings cannot be read.
    StoreError
        If another process upgrades it now.
    """
    layout.require()
    settings = load_settings(layout.root)
    before = require_known_format(layout.format(), where=layout.settings_file)
    steps = tuple(step for step in MIGRATIONS if step.to > before)
    changed = _changes(layout, settings.stimuli, steps=steps)
    backup = layout.root / "sourcedata" / "before-upgrade" / f"format-{before}"
    if changed and not dry_run:
        with locked(layout.root, what="the study's files"):
            _write(layout.root, changed, backup=backup)
    return Upgrade(before, STUDY_FORMAT, tuple(changed), tuple(step.what for step in steps),
                   backup if changed and not dry_run else None)


def _changes(layout: Layout, stimuli: StimuliSettings, *, steps: tuple[Migration, ...]) -> dict[str, bytes]:
    """Give every file that changes as it will be, in the order of writing."""
    if not steps:
        return {}
    found = dict(_described(layout.root))
    study = Study({path: content for path, (content, _) in found.items()}, _network_record(layout, stimuli))
    new = {path: _migrated(path, content, steps=steps, study=study) for path, content in study.described.items()}
    old = {path: data for path, (_, data) in found.items()}
    changed = {path: data for path, data in _with_digests(new, old=old).items() if data != old[path]}
    return {**changed, "study.toml": _with_format(layout.settings_file.read_bytes(), version=steps[-1].to,
                                                  then=_unnamed(layout, version=steps[0].to - 1))}


def _described(root: Path) -> Iterator[tuple[str, tuple[Content, bytes]]]:
    """List the JSON files that this toolkit wrote to describe others, each with its content and its bytes."""
    places = (root.glob("*.json"), (root / "stimuli").rglob("*.json"), (root / "derivatives").rglob("*.json"))
    for path in sorted(path for place in places for path in place):
        data = path.read_bytes()
        try:
            content = json.loads(data)
        except ValueError as error:
            log.warning("%s cannot be read and is left as it is (%s)", path, error)
            continue
        makers = content.get("GeneratedBy") if isinstance(content, dict) else None
        ours = isinstance(makers, list) and any(isinstance(one, dict) and one.get("Name") == PROGRAM for one in makers)
        if ours and ("DatasetType" in content or {"inputs", "parameters", "digest"} <= content.keys()):
            yield path.relative_to(root).as_posix(), (content, data)


def _migrated(path: str, content: Content, *, steps: tuple[Migration, ...], study: Study) -> Content:
    for step in steps:
        content = step.change(path, content, study)
    return content


def _with_digests(new: Mapping[str, Content], *, old: Mapping[str, bytes]) -> dict[str, bytes]:
    """Spell the files, and name the new digest of a changed one wherever inputs name the old one.

    Returns
    -------
    dict of str to bytes
        In the order of writing: a file before those that it was made from. Where an upgrade was interrupted, the next
        one then finds each digest to be changed still beside the file that it is of.
    """
    moved: dict[str, str] = {}
    while True:
        contents = {path: {**content, **_moved_inputs(content, moved=moved)} for path, content in new.items()}
        spelled = {path: _spelled(content, old=old[path]) for path, content in contents.items()}
        found = {digest_bytes(old[path]): digest_bytes(data) for path, data in spelled.items() if data != old[path]}
        if found == moved:  # sidecars that name sidecars settle one after the other
            break
        moved = found
    owner = {digest_bytes(data): path for path, data in old.items()}
    graph = {path: {owner[one] for one in _inputs(content).values() if one in owner} for path, content in new.items()}
    return {path: spelled[path] for path in reversed(tuple(TopologicalSorter(graph).static_order()))}


def _moved_inputs(content: Content, *, moved: Mapping[str, str]) -> Content:
    inputs = _inputs(content)
    return {"inputs": {name: moved.get(one, one) for name, one in inputs.items()}} if inputs else {}


def _inputs(content: Content) -> Mapping[str, str]:
    found = content.get("inputs")
    return found if isinstance(found, dict) else {}


def _spelled(content: Content, *, old: bytes) -> bytes:
    """Spell a file as the store does; one whose content is the same keeps its very bytes."""
    if content == json.loads(old):
        return old
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _unnamed(layout: Layout, *, version: int) -> dict[str, Any]:
    """List by dotted name the older defaults that the study's settings do not name, and that are others today."""
    named = dict(leaves(read_toml(layout.settings_file)))
    return {key: value for key, value in leaves(defaults_then(version)) if key not in named}


def _with_format(text: bytes, *, version: int, then: Mapping[str, Any]) -> bytes:
    """Name the format, and defaults of that time, in study.toml; the rest, remarks and all, stays as it is.

    They come first, or where the file has their table already, under its head.
    """
    lines = text.splitlines(keepends=True)
    n_top = next((k for k, line in enumerate(lines) if line.lstrip().startswith(b"[")), len(lines))
    top = [line for line in lines[:n_top] if line.partition(b"=")[0].strip() != b"format"]
    first = [f"format = {version}  # of the study's folder; not to be changed by hand\n".encode()]
    rest = lines[n_top:]
    for key, value in then.items():
        section, _, name = key.partition(".")
        said = f"{name} = {spelled(value)}  # the default when this study was made\n"
        heads = [k for k, line in enumerate(rest) if line.partition(b"#")[0].strip() == f"[{section}]".encode()]
        if heads:
            rest.insert(heads[0] + 1, said.encode())
        else:
            first.append(f"{section}.{said}".encode())
    return b"".join([*first, *top, *rest])


def _network_record(layout: Layout, stimuli: StimuliSettings) -> Content | None:
    """Say which network made the set: name and digest from its rows, the files from the settings if they name it."""
    if not layout.manifest.is_file():
        return None
    rows = list(csv.DictReader(io.StringIO(layout.manifest.read_text(encoding="utf-8")), delimiter="\t"))
    named = {(row.get("network"), row.get("network_digest")) for row in rows}
    if len(named) != 1:
        log.warning("%s: its rows name %d networks; no record of one is written", layout.manifest, len(named))
        return None
    (name, digest), = named
    return {"name": name, "digest": digest, **_network_files(stimuli, name=name, root=layout.root)}


def _network_files(stimuli: StimuliSettings, *, name: str | None, root: Path) -> Content:
    """Take weights and preprocessing from the settings; where they name another network, nothing is known of them."""
    mine = stimuli.network == name
    weights = stimuli.weights if mine else None
    there = weights is not None and (root / weights).is_file()
    return {"weights": weights, "weights_digest": digest_file(root / weights) if there and weights else None,
            "preprocessing": stimuli.preprocessing if mine else None, "tap": None}


def _write(root: Path, changed: Mapping[str, bytes], *, backup: Path) -> None:
    """Copy every file away, then write: study.toml last, so that an interrupted upgrade is taken up again."""
    for path in changed:
        if not (backup / path).exists():
            write_bytes(backup / path, (root / path).read_bytes())
    for path, data in changed.items():
        write_bytes(root / path, data, overwrite=True)
        log.info("%s: upgraded", root / path)


def upgrade_lines(found: Upgrade, *, dry_run: bool) -> list[str]:
    """Tell an upgrade to people."""
    if not found.changed:
        return [f"format {found.after}: nothing to upgrade"]
    what = [f"format {found.before} to {found.after}: {one}" for one in found.what]
    files = [f"  {path}" for path in found.changed]
    end = f"{len(files)} files would change; nothing was written" if dry_run else \
        f"{len(files)} files changed by {generated_by()[0]['Version']}; as they were: {found.backup}"
    return [*what, *files, end]
