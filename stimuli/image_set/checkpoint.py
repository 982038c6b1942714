"""A set in the making: what is finished is on disk, so that an interrupted build continues from there."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stimuli.files import REPLACED, build_again, move_aside, name_replaced
from stimuli.image_set.set_network import unfinished_path
from stimuli.manifest import FIRST, MANIFEST, SECOND, Manifest, SetNetwork, Stimulus, read_pixels, write_manifest
from stimuli.perturbation.start_image import mean_path
from subjects.errors import ManifestError, StimulusError, StoreError
from subjects.layout import Layout
from subjects.provenance import FileFormat, agree, digest_file, digest_json, sidecar, sidecar_path
from subjects.store import plain, read_json, sweep, write_json

UNFINISHED = FileFormat("unfinished stimulus set", version=2)
"""Version 2 has the record of the set's network, and names the folder of what is being replaced."""

Place = tuple[str, str, str]
"""Base image, type, network."""

_DIGITS = 12


@dataclass(frozen=True)
class Origin:
    """What a set is made from; two sets of the same origin have the same images.

    Parameters
    ----------
    inputs : mapping of str to str
        Digests: of the network, of the drawings.
    parameters : mapping
        The settings that shape images, and the study's seed.
    """

    inputs: Mapping[str, str]
    parameters: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """Give it as JSON would give it back."""
        content = {"inputs": dict(self.inputs), "parameters": dict(self.parameters)}
        return dict(json.loads(json.dumps(content, default=plain)))

    def differences(self, found: Mapping[str, Any]) -> list[str]:
        """Say in which inputs and parameters a recorded set differs; empty if it is the same set.

        A setting that did not exist when the set was made counts as what was done then; see
        :func:`subjects.provenance.agree`.
        """
        own = self.record()
        inputs, parameters = ({} if not isinstance(found.get(key), dict) else found[key]
                              for key in ("inputs", "parameters"))
        said = [f"{name} {inputs.get(name, 'none')}, now {own['inputs'].get(name, 'none')}"
                for name in dict.fromkeys([*own["inputs"], *inputs]) if inputs.get(name) != own["inputs"].get(name)]
        for name in dict.fromkeys([*own["parameters"], *parameters]):
            mine, theirs = ({name: one[name]} if name in one else {} for one in (own["parameters"], parameters))
            if not agree(theirs, wanted=mine):
                said.append(f"{name} {theirs.get(name)!r}, now {mine.get(name)!r}")
        return said


@dataclass
class UnfinishedSet:
    """The finished part of a set.

    Parameters
    ----------
    layout : Layout
        The study.
    origin : Origin
        What the set is made from.
    records : mapping
        What later commands need to know: ``network``, of two ``second_network`` and, for photographs, ``photographs``.
    made_on : list of mapping
        Every device, with its threads, on which a part was made.
    rows : dict of (str, str, str) to Stimulus
        Base image, type and network to the row of an image that is on disk.
    """

    layout: Layout
    origin: Origin
    records: Mapping[str, Any]
    made_on: list[Mapping[str, Any]] = field(default_factory=list)
    rows: dict[Place, Stimulus] = field(default_factory=dict)

    def has(self, base_images: Iterable[str], *, kind: str, network: str) -> bool:
        """Say whether these base images all have their image of one type by one network."""
        return all((name, kind, network) in self.rows for name in base_images)

    def add(self, rows: Iterable[Stimulus]) -> None:
        """Add images that were written, and note them on disk."""
        self.rows.update({(row.base_image, row.type, row.network): row for row in rows})
        self.save()

    def save(self, *, replaces: Path | None = None) -> None:
        """Write the note; `replaces` is the folder to which an older set is being moved."""
        rows = [dataclasses.asdict(row) for row in self.rows.values()]
        moving = {} if replaces is None else {"replaces": replaces.name}
        write_json(unfinished_path(self.layout), {**UNFINISHED.stamp(), **self.origin.record(), **self.records,
                                                  "made_on": self.made_on, **moving, "rows": rows}, overwrite=True)

    def finish(self, order: Iterable[Place]) -> Manifest:
        """Write manifest and sidecar in this order of (base image, type, network), and remove the note."""
        manifest = Manifest(tuple(self.rows[place] for place in order))
        write_manifest(self.layout.manifest, manifest, overwrite=True)
        images = digest_json([one.image_id for one in manifest.stimuli])
        sidecar(self.layout.manifest, inputs=self.origin.inputs, parameters=self.origin.parameters, form=MANIFEST,
                extra={**self.records, "made_on": self.made_on, "images": images})
        unfinished_path(self.layout).unlink()
        return manifest


def records_of(networks: Sequence[SetNetwork], *, photographs: Mapping[str, str | None]) -> dict[str, Any]:
    """Lay out what later commands need to know of a set of one network, or of two."""
    return {**{key: dataclasses.asdict(one) for key, one in zip((FIRST, SECOND), networks, strict=False)},
            **({"photographs": dict(photographs)} if photographs else {})}


def open_unfinished(layout: Layout, origin: Origin, *, records: Mapping[str, Any], here: Mapping[str, Any],
                    overwrite: bool) -> UnfinishedSet:
    """Continue an unfinished set, or begin one.

    Parameters
    ----------
    layout : Layout
        The study.
    origin : Origin
        What the set shall be made from.
    records : mapping
        See :class:`UnfinishedSet`.
    here : mapping
        Device and threads of this attempt; see :func:`stimuli.networks.hardware.made_on`.
    overwrite : bool
        Move a set of another origin to ``stimuli/replaced``.

    Returns
    -------
    UnfinishedSet
        With every image of an earlier attempt that is whole on disk.

    Raises
    ------
    StimulusError
        If images of another or of unknown origin are there and `overwrite` is false.
    """
    sweep(layout.stimuli, older_than_s=0.0)
    note = _read_note(layout, overwrite=overwrite)
    unfinished = UnfinishedSet(layout, origin, records, [here])
    if note is None or origin.differences(note):
        if not overwrite:
            _require_free(layout, origin, note)
        folder = name_replaced(layout, digest=_digest_of(layout))
        move_aside([unfinished_path(layout)], folder, layout=layout) if unfinished_path(layout).exists() else None
        _replace(unfinished, folder)
    elif isinstance(note.get("replaces"), str):
        _replace(unfinished, layout.stimuli / REPLACED / note["replaces"])
    else:
        unfinished.rows = _whole_rows(layout, note["rows"])
        earlier = note.get("made_on")
        unfinished.made_on = [*(one for one in (earlier if isinstance(earlier, list) else []) if one != here), here]
    return unfinished


def require_free(layout: Layout, origin: Origin) -> None:
    """Refuse what :func:`open_unfinished` would refuse, before anything is computed.

    Raises
    ------
    StimulusError
        If images of another or of unknown origin are in the study.
    """
    note = _read_note(layout, overwrite=False)
    if note is None or origin.differences(note):
        _require_free(layout, origin, note)


def _replace(unfinished: UnfinishedSet, folder: Path) -> None:
    """Move the set that is given up aside: first its manifest, so that it is never taken for whole.

    The note of the new set is on disk before and says where to; a process that is killed in between is continued.
    """
    layout = unfinished.layout
    old = [layout.manifest, sidecar_path(layout.manifest), mean_path(layout), sidecar_path(mean_path(layout)),
           layout.stimuli / "images"]
    if any(path.is_file() or (path.is_dir() and any(path.iterdir())) for path in old):
        unfinished.save(replaces=folder)
        move_aside(old, folder, layout=layout)
    unfinished.save()


def _digest_of(layout: Layout) -> str:
    for path in (layout.manifest, unfinished_path(layout)):
        if path.is_file():
            return digest_file(path)[:_DIGITS]
    return "images"


def _read_note(layout: Layout, *, overwrite: bool) -> dict[str, Any] | None:
    """Read the note of an unfinished set; with `overwrite` one that cannot be read counts as one of another set."""
    path = unfinished_path(layout)
    if not path.is_file():
        return None
    try:
        note = read_json(path)
        UNFINISHED.require(note.get("format_version"), where=path)
        rows = note.get("rows")
        if not isinstance(rows, list):
            raise StoreError(str(path), came=f"rows {type(rows).__name__}", expected="a list", remedy="")
        if not re.fullmatch(r"[\w-]+", str(note.get("replaces", "none"))):
            raise StoreError(str(path), came=f"replaces {note['replaces']!r}", expected="a folder's name", remedy="")
        return {**note, "rows": [_row(row, where=f"{path}, image {k}") for k, row in enumerate(rows, start=1)]}
    except (StoreError, ManifestError) as error:
        if overwrite:
            return {}
        raise StimulusError(error.where, came=error.came, expected=f"the note of an unfinished set ({error.expected})",
                            remedy=f"Restore it, or begin again with {build_again(layout.stimuli)}; the images are "
                                   "moved to stimuli/replaced.") from error


def _row(content: Any, *, where: str) -> Stimulus:
    """Read one row, whose values must be of the kinds that a row has."""
    fields = {one.name: str(one.type) for one in dataclasses.fields(Stimulus)}
    if not isinstance(content, dict) or set(content) != set(fields):
        raise StoreError(where, came=f"a row of other fields ({str(content)[:60]})", expected="a row of the manifest",
                         remedy="")
    for name, kind in fields.items():
        value, allowed = content[name], {"str": str, "int": int, "float": (int, float)}[kind.removesuffix(" | None")]
        fits = isinstance(value, allowed) and not isinstance(value, bool)  # type: ignore[arg-type]
        if not fits and not (value is None and kind.endswith("None")):
            raise StoreError(where, came=f"{name} = {value!r}", expected=kind, remedy="")
    return Stimulus(**content)


def _whole_rows(layout: Layout, rows: Iterable[Stimulus]) -> dict[Place, Stimulus]:
    whole = {}
    for stimulus in rows:
        try:
            read_pixels(layout.stimuli, stimulus)
        except ManifestError:
            continue  # it is made again
        whole[stimulus.base_image, stimulus.type, stimulus.network] = stimulus
    return whole


def _require_free(layout: Layout, origin: Origin, note: Mapping[str, Any] | None) -> None:
    remedy = (f"Restore the settings, or make it anew with {build_again(layout.stimuli)}; the old images are moved to "
              "stimuli/replaced.")
    if layout.manifest.exists():
        came = f"a set made with other settings or another network ({_named(layout, origin)})"
        raise StimulusError(str(layout.manifest), came=came, expected="none, or one that is current", remedy=remedy)
    if note is not None:
        came = f"an unfinished set made with other settings or another network ({_shortened(origin.differences(note))})"
        raise StimulusError(str(unfinished_path(layout)), came=came, expected="none, or one of the same settings",
                            remedy=remedy)
    strays = sorted((layout.stimuli / "images").rglob("*.png"))
    if strays:
        raise StimulusError(str(strays[0]), came="an image without a manifest", expected="a free folder",
                            remedy=f"Restore the manifest, or move the images to stimuli/replaced and build with "
                                   f"{build_again(layout.stimuli)}.")


def _named(layout: Layout, origin: Origin) -> str:
    """Say how a finished set differs from what is asked for."""
    try:
        return _shortened(origin.differences(read_json(sidecar_path(layout.manifest))))
    except StoreError:
        return "nothing tells what it was made from"


def _shortened(differences: list[str]) -> str:
    more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
    return "; ".join(differences[:3]) + more
