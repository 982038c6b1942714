"""A stimulus set in the making: what is finished lies on disk, so that an interrupted build goes on from there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stimuli.manifest import Manifest, SetNetwork, Stimulus, read_pixels, write_manifest
from subjects.errors import ManifestError, StimulusError, StoreError
from subjects.layout import Layout
from subjects.provenance import digest_json, sidecar, sidecar_path
from subjects.store import HALF_WRITTEN, plain, read_json, read_table, write_json

_OTHER = "a set made with other settings or another network"
_REMEDY = "Add --overwrite to make it anew (the old images are lost), or restore the settings."


@dataclass(frozen=True)
class Origin:
    """What a set is made from; two sets of the same origin hold the same images.

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


@dataclass
class Draft:
    """The finished part of a set.

    Parameters
    ----------
    layout : Layout
        The study.
    origin : Origin
        What the set is made from.
    network : SetNetwork
        With which network, and where its parts are.
    rows : dict of (str, str) to Stimulus
        Base image and type to the row of an image that lies on disk.
    """

    layout: Layout
    origin: Origin
    network: SetNetwork
    rows: dict[tuple[str, str], Stimulus] = field(default_factory=dict)

    def holds(self, base_images: Iterable[str], *, kind: str) -> bool:
        """Say whether these base images all have their image of one type."""
        return all((name, kind) in self.rows for name in base_images)

    def add(self, rows: Iterable[Stimulus]) -> None:
        """Take in images that were written, and note them on disk."""
        self.rows.update({(row.base_image, row.type): row for row in rows})
        self.save()

    def save(self) -> None:
        """Write the note."""
        rows = [dataclasses.asdict(row) for row in self.rows.values()]
        write_json(draft_path(self.layout), {**self.origin.record(), "network": dataclasses.asdict(self.network),
                                             "rows": rows}, overwrite=True)

    def finish(self, order: Iterable[tuple[str, str]]) -> Manifest:
        """Write manifest and sidecar in this order of (base image, type), and drop the note."""
        manifest = Manifest(tuple(self.rows[place] for place in order))
        write_manifest(self.layout.manifest, manifest, overwrite=True)
        sidecar(self.layout.manifest, inputs=self.origin.inputs, parameters=self.origin.parameters,
                extra={"network": dataclasses.asdict(self.network),
                       "images": digest_json([one.image_id for one in manifest.stimuli])})
        draft_path(self.layout).unlink()
        return manifest


def draft_path(layout: Layout) -> Path:
    """Spell the path of the note of an unfinished set."""
    return layout.stimuli / "unfinished.json"


def open_draft(layout: Layout, origin: Origin, *, network: SetNetwork, overwrite: bool) -> Draft:
    """Go on with an unfinished set, or begin one.

    Parameters
    ----------
    layout : Layout
        The study.
    origin : Origin
        What the set shall be made from.
    network : SetNetwork
        With which network.
    overwrite : bool
        Give up what stands there of another origin.

    Returns
    -------
    Draft
        With every image of an earlier attempt that is whole on disk.

    Raises
    ------
    StimulusError
        If images of another or of unknown origin stand there and `overwrite` is false.
    """
    path = draft_path(layout)
    for half in layout.stimuli.rglob(HALF_WRITTEN):
        half.unlink()
    found = read_json(path) if path.is_file() else None
    draft = Draft(layout, origin, network)
    if found is not None and _same(found, origin):
        draft.rows = _whole_rows(layout, found["rows"])
        return draft
    if not overwrite:
        _require_free(layout, found)
    draft.save()
    _remove_old(layout, found)
    return draft


def require_free(layout: Layout, origin: Origin) -> None:
    """Refuse what :func:`open_draft` would refuse, before anything is computed.

    Raises
    ------
    StimulusError
        If images of another or of unknown origin stand in the study.
    """
    path = draft_path(layout)
    found = read_json(path) if path.is_file() else None
    if found is None or not _same(found, origin):
        _require_free(layout, found)


def _same(found: Mapping[str, Any], origin: Origin) -> bool:
    return {key: found.get(key) for key in ("inputs", "parameters")} == origin.record()


def _whole_rows(layout: Layout, rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Stimulus]:
    whole = {}
    for row in rows:
        stimulus = Stimulus(**row)
        try:
            read_pixels(layout.stimuli, stimulus)
        except ManifestError:
            continue  # it is made again
        whole[stimulus.base_image, stimulus.type] = stimulus
    return whole


def _require_free(layout: Layout, found: Any) -> None:
    if layout.manifest.exists():
        raise StimulusError(str(layout.manifest), came=_OTHER, expected="none, or one that is current",
                            remedy=_REMEDY)
    if found is not None:
        raise StimulusError(str(draft_path(layout)), came=f"an unfinished set: {_OTHER}",
                            expected="none, or one of the same settings", remedy=_REMEDY)
    strays = sorted((layout.stimuli / "images").rglob("*.png"))
    if strays:
        raise StimulusError(str(strays[0]), came="an image without a manifest", expected="a free folder",
                            remedy="Restore the manifest, move the images away, or add --overwrite.")


def _remove_old(layout: Layout, found: Any) -> None:
    """Remove the set that is given up: first its manifest, so that it is never taken for whole."""
    files = [row["file"] for row in found["rows"]] if found is not None else []
    if layout.manifest.is_file():
        try:
            files += read_table(layout.manifest)["file"].tolist()
        except (StoreError, KeyError):
            files += []  # no table that names files; the images are replaced one by one
    for path in (layout.manifest, sidecar_path(layout.manifest)):
        path.unlink(missing_ok=True)
    images = (layout.stimuli / "images").resolve()
    for file in files:
        path = layout.stimulus(str(file)).resolve()
        if images in path.parents:
            path.unlink(missing_ok=True)
