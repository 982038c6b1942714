"""The file of a network's unit responses as it grows, so that a crash costs one batch. Needs no torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from stimuli.feature_store import BESIDE, CHUNK_UNITS, FEATURES, extract_again, own_item
from subjects.errors import StoreError, StudyError
from subjects.store import read_json, write_json

_CHUNK_ROWS = 20
log = logging.getLogger(__name__)


def part_path(path: Path) -> Path:
    """Spell the growing file of a features file.

    Examples
    --------
    >>> part_path(Path("network-demo_features.h5")).name
    'network-demo_features.part.h5'
    """
    return path.with_name(f"{path.stem}.part{path.suffix}")


def _note_path(path: Path) -> Path:
    return part_path(path).with_suffix(".json")


class FeatureWriter:
    """Fills a features file, or continues one that was interrupted.

    Parameters
    ----------
    path : Path
        The final file, usually ``Layout.features(network)``.
    attributes : mapping
        ``network``, ``network_digest``, ``tap``, ``layers`` (in order of depth), and ``image_ids``: the rows, in the
        order in which batches are added. ``readings`` and ``taps``, if any, are added like layers; ``places``: the
        modules of the first layers.
    dtype : {"float32", "float16"}
        As which responses are stored.
    batch : int
        Rows that are added at a time.

    Raises
    ------
    StoreError
        If an image is named twice.
    """

    def __init__(self, path: Path, *, attributes: Mapping[str, Any], dtype: str, batch: int) -> None:
        self.path, self._part, self._note = Path(path), part_path(Path(path)), _note_path(Path(path))
        self._attributes, self._dtype, self._batch = dict(attributes), dtype, batch
        self._ids = list(attributes["image_ids"])
        self._beside = {key: list(attributes.get(key, ())) for key in BESIDE}
        self._layers = [*attributes["layers"], *self._beside["readings"], *self._beside["taps"]]
        if len(set(self._ids)) != len(self._ids):
            raise StoreError(str(path), came="an image twice", expected="every image once",
                             remedy="Name each image once.")
        self.n_filled = self._count_finished()

    @property
    def _origin(self) -> dict[str, Any]:
        return {**self._attributes, "image_ids": self._ids, "layers": self._layers, "dtype": self._dtype,
                "batch": self._batch}

    def _count_finished(self) -> int:
        """Count the rows of an earlier attempt from which can be continued."""
        if not (self._part.is_file() and self._note.is_file()):
            return 0
        try:
            note = read_json(self._note)
            same = {key: note.get(key) for key in self._origin} == self._origin
            with h5py.File(self._part, "r") as file:
                whole = all(len(own_item(file["layers"], name, kind=h5py.Dataset, path=self._part)) == len(self._ids)
                            for name in self._layers)
        except (StudyError, OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            log.info("%s: begun anew, for the unfinished file cannot be read (%s)", self.path, error)
            return 0
        filled = note.get("n_filled")
        if not (same and whole and type(filled) is int and 0 <= filled <= len(self._ids)):
            log.info("%s: begun anew, for the unfinished file is of other images or another network", self.path)
            return 0
        return filled

    def append(self, features: Mapping[str, NDArray[Any]]) -> None:
        """Add the next images, and see them onto the disk.

        Parameters
        ----------
        features : mapping of str to array
            Every layer to (n, n_units).

        Raises
        ------
        StoreError
            If a layer is missing or has another number of images, there are more images than named, or a response
            does not fit into the number format.
        """
        n = self._count(features)
        stored = {name: self._stored(name, features[name]) for name in self._layers}
        if not self.n_filled:
            self._create({name: values.shape[1] for name, values in stored.items()})
        end = self.n_filled + n
        with h5py.File(self._part, "r+") as file:
            for name, values in stored.items():
                file["layers"][name][self.n_filled:end] = values
        self.n_filled = end
        self._seal()

    def _count(self, features: Mapping[str, NDArray[Any]]) -> int:
        sizes = {name: len(features[name]) for name in self._layers if name in features}
        if set(sizes) != set(features) or len(sizes) != len(self._layers) or len(set(sizes.values())) != 1:
            raise StoreError("features", came=f"layers {sorted(features)} with {sorted(set(sizes.values()))} images",
                             expected=f"{', '.join(self._layers)}, all of the same images",
                             remedy=extract_again(self.path))
        n = next(iter(sizes.values()))
        if self.n_filled + n > len(self._ids):
            raise StoreError("features", came=f"{self.n_filled + n} images", expected=f"{len(self._ids)}",
                             remedy="Add every image once.")
        return n

    def _stored(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            stored = np.asarray(values, dtype=self._dtype)
        wrong = ~np.isfinite(stored)
        if wrong.any():
            raise StoreError(str(self.path), came=f"a response of {np.asarray(values)[wrong][0]:g} in {name}",
                             expected=f"numbers that {self._dtype} can hold",
                             remedy="Set stimuli.features_dtype to float32." if self._dtype == "float16" else
                             "Look at the network's weights.")
        return stored

    def _create(self, n_units: Mapping[str, int]) -> None:
        """Lay the whole file out."""
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        with h5py.File(self._part, "w") as file:
            file.attrs.update({**FEATURES.stamp(), **{key: self._attributes[key]
                                                      for key in ("network", "network_digest", "tap")}})
            lists = {"layers": list(self._attributes["layers"]), **self._beside,
                     "places": list(self._attributes.get("places", ()))}
            file.attrs.update({key: names for key, names in lists.items() if names})
            file.create_dataset("image_ids", data=self._ids, dtype=h5py.string_dtype())
            group = file.create_group("layers", track_order=True)
            for name in self._layers:
                plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                plan.set_chunk((min(_CHUNK_ROWS, len(self._ids)), min(CHUNK_UNITS, n_units[name])))
                plan.set_obj_track_times(False)
                plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                plan.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)  # what no row fills is zero, not what was in memory
                space = h5py.h5s.create_simple((len(self._ids), n_units[name]))
                kind = h5py.h5t.py_create(np.dtype(self._dtype))
                h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=plan)

    def _seal(self) -> None:
        """Flush to the disk, then say so."""
        with self._part.open("rb+") as file:
            os.fsync(file.fileno())
        write_json(self._note, {**FEATURES.stamp(), **self._origin, "n_filled": self.n_filled}, overwrite=True)

    def finish(self) -> None:
        """Give the whole file its name.

        Raises
        ------
        StoreError
            Unless every image was added.
        """
        if self.n_filled != len(self._ids):
            raise StoreError("features", came=f"{self.n_filled} images", expected=f"{len(self._ids)}",
                             remedy="Nothing was written; add every image once.")
        self._part.replace(self.path)
        self._note.unlink(missing_ok=True)


def write_store(path: Path, features: Mapping[str, NDArray[Any]], *, dtype: str = "float32", **attributes: Any) -> Path:
    """Write the responses to all images at once; `attributes` as for :class:`FeatureWriter`."""
    writer = FeatureWriter(path, attributes=attributes, dtype=dtype, batch=len(attributes["image_ids"]))
    writer.append(features)
    writer.finish()
    return writer.path
