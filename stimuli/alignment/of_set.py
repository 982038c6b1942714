"""A study's own AI beside importance maps: from their exported float perturbations, never from the PNG files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stimuli.alignment.importance.agreement import HumanCeiling, human_ceiling, spearman
from stimuli.alignment.importance.maps import ImportanceMaps
from stimuli.alignment.importance.processing import resampled
from stimuli.alignment.scores import Alignment, perturbation_map, summarise_alignment
from stimuli.alignment.tolerance.measure import require_unrounded
from stimuli.image_set.exports.float_perturbations import PERTURBATIONS, perturbations_path
from stimuli.manifest import Manifest, read_manifest, read_pixels, read_set_network, read_set_networks
from subjects.errors import StimulusError
from subjects.layout import Layout
from subjects.provenance import FileFormat, digest_array, rng, sidecar
from subjects.store import write_table

SET_ALIGNMENT = FileFormat("alignment of a set", version=1)


@dataclass(frozen=True, eq=False)
class FloatPerturbations:
    """The perturbations of a set's AI before they were rounded.

    Parameters
    ----------
    image_ids : tuple of str
        Of the AI.
    start_ids : tuple of str
        Of the RE images that they were made from.
    values : float32 array, (n, side, side, 3)
        RGB in [0, 1].
    path : Path
        Where they were read.
    network : str
        The network that they were made with.
    """

    image_ids: tuple[str, ...]
    start_ids: tuple[str, ...]
    values: NDArray[np.float32] = field(repr=False)
    path: Path
    network: str


def read_float_perturbations(layout: Layout, network: str | None = None) -> FloatPerturbations:
    """Read what ``python -m stimuli perturbations`` exported of a study's AI.

    Parameters
    ----------
    layout : Layout
    network : str, optional
        One of a set's two networks; default: the first.

    Raises
    ------
    StimulusError
        If nothing was exported, it is of another set, or it was rounded.
    ManifestError
        If the set was not made with the network.
    """
    manifest = read_manifest(layout.manifest)
    network = network or read_set_network(layout.manifest).name
    path = perturbations_path(layout, network)
    wanted = {one.image_id for one in manifest.of_network(network).stimuli if one.type == "AI"}
    if not path.is_file():
        _refuse(str(path), "no float perturbations", f"those of the set's AI by network {network}", layout)
    with h5py.File(path, "r") as file:
        PERTURBATIONS.require(file.attrs.get("format_version"), where=path)
        ids, starts = (tuple(one.decode() for one in file[name][:]) for name in ("image_ids", "start_ids"))
        rows = [k for k, image_id in enumerate(ids) if image_id in wanted]
        if len(rows) != len(wanted):
            _refuse(str(path), f"perturbations of {len(rows)} of the set's {len(wanted)} AI", "those of this very set",
                    layout)
        values = file["perturbation"][rows]
    _require_floats(layout, manifest, path=path, start=starts[rows[0]], values=values[0])
    return FloatPerturbations(tuple(ids[k] for k in rows), tuple(starts[k] for k in rows), values, path, network)


def _require_floats(layout: Layout, manifest: Manifest, *, path: Path, start: str,
                    values: NDArray[np.float32]) -> None:
    pixels = read_pixels(layout.stimuli, manifest.by_id(start))
    require_unrounded(pixels / 255.0 + values, where=str(path))


def score_set(layout: Layout, maps: ImportanceMaps, *, network: str | None = None) -> pd.DataFrame:
    """Measure the set's own AI: the size of each perturbation, and its agreement with the map of the RE image.

    Parameters
    ----------
    layout : Layout
        A study whose float perturbations are exported.
    maps : ImportanceMaps
        Of its RE images, by image_id; AI without one have no correlation.
    network : str, optional
        One of a set's two networks; default: the first.

    Returns
    -------
    DataFrame
        ``image_id``, ``file``, ``network``, ``base_image``, ``category``, ``target_category``, ``l2``, ``linf``,
        ``rho_perturbation``.
    """
    manifest, found = read_manifest(layout.manifest), read_float_perturbations(layout, network)
    places = {image_id: k for k, image_id in enumerate(maps.image_ids)}
    rows = []
    for image_id, start, values in zip(found.image_ids, found.start_ids, found.values, strict=True):
        one, k = manifest.by_id(image_id), places.get(start)
        rho = np.nan if k is None else spearman(perturbation_map(values[None]),
                                                resampled(maps.maps[k:k + 1], side=len(values)))[0]
        exact = values.astype(np.float64)
        rows.append({"image_id": image_id, "file": one.file, "network": found.network, "base_image": one.base_image,
                     "category": one.category, "target_category": one.target_category,
                     "l2": float(np.linalg.norm(exact)), "linf": float(np.abs(exact).max()), "rho_perturbation": rho})
    return pd.DataFrame(rows)


def _refuse(where: str, came: str, expected: str, layout: Layout) -> NoReturn:
    raise StimulusError(where, came=came, expected=expected,
                        remedy=f"Run `python -m stimuli perturbations --study {layout.argument}`; rounded images tell "
                               "nothing of perturbations so small.")


@dataclass(frozen=True)
class SetAlignment:
    """What the scores of a set's own AI come to.

    Parameters
    ----------
    network : str
        By which they were made.
    n_images : int
        AI of the set.
    median_l2 : float
        Of their float perturbations.
    score : Alignment
        Agreement with the importance maps, over the AI whose RE image has one.
    ceiling : HumanCeiling or float or None
        As estimated or given.
    """

    network: str
    n_images: int
    median_l2: float
    score: Alignment
    ceiling: HumanCeiling | float | None

    def record(self) -> dict[str, Any]:
        """Give what ``--json`` prints."""
        return asdict(self)

    def line(self) -> str:
        """Say it in a line."""
        return (f"{self.n_images} AI of the set by network {self.network}: median L2 {self.median_l2:.4g} before "
                "rounding")


def alignment_of_set(layout: Layout, maps: ImportanceMaps, *, path: Path, network: str | None = None,
                     ceiling: float | None = None, seed: int = 0,
                     overwrite: bool = False) -> tuple[SetAlignment, ...]:
    """Score a set's own AI, write the table with its sidecar, and summarise it; see :func:`score_set`.

    Parameters
    ----------
    layout : Layout
        A study whose float perturbations are exported.
    maps : ImportanceMaps
        Of its RE images.
    path : Path
        The table.
    network : str, optional
        One of a set's two networks; default: both, in one table.
    ceiling : float, optional
        A published one; default: estimated from the maps' people.
    seed : int
        Of the halves of people.
    overwrite : bool
        Replace a table that is there.

    Returns
    -------
    tuple of SetAlignment
        One a network.
    """
    names = [one.name for one in read_set_networks(layout.manifest)] if network is None else [network]
    tables = {name: score_set(layout, maps, network=name) for name in names}
    if all(one["rho_perturbation"].isna().all() for one in tables.values()):
        _refuse_maps(maps)
    exported: dict[str, Path | str] = {
        "perturbations" if k == 0 else "second_perturbations": perturbations_path(layout, name)
        for k, name in enumerate(names)}
    write_table(path, pd.concat(tables.values(), ignore_index=True), overwrite=overwrite)
    sidecar(path, inputs={"manifest": layout.manifest, **exported, "maps": digest_array(maps.maps)},
            parameters={}, form=SET_ALIGNMENT, extra={"Maps": maps.source, "Scale": "RGB in [0, 1]"})
    found = human_ceiling(maps.participants, rng=rng(seed, "human ceiling")) if ceiling is None else ceiling
    return tuple(SetAlignment(name, len(table), float(table["l2"].median()),
                              summarise_alignment(table["rho_perturbation"].to_numpy(), ceiling=found), found)
                 for name, table in tables.items())


def _refuse_maps(maps: ImportanceMaps) -> NoReturn:
    raise StimulusError(maps.source, came=f"maps of {len(maps)} images, none of the set's RE",
                        expected="maps of RE images, by their image_id in the manifest",
                        remedy="Name the maps that were made of this set.")
