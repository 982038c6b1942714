"""The file of a network's unit responses to the images, read a layer or a block of units at a time. Needs no torch."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from subjects.errors import StoreError, StudyError, nearest
from subjects.provenance import FileFormat
from subjects.store import read_json, write_json

Units = NDArray[np.float32]
FEATURES = FileFormat("network features", version=2)
"""Version 2 says its version; a file of version 1 without the attribute ``tap`` is not read."""

DTYPES = ("float32", "float16")
_CHUNK_UNITS = 4096
_ATTRIBUTES = ("network", "network_digest", "tap", "layers")


def _again(path: Path) -> str:
    """Spell the command that makes a features file of a study; its folder is ``derivatives/features``."""
    folder = Path(path).absolute().parent
    inside = folder.name == "features" and folder.parent.name == "derivatives"
    study = shlex.quote(str(Path(path).parents[2])) if inside and len(Path(path).parents) > 2 else "DIR"
    return f"Make the features again with `python -m stimuli features --study {study} --overwrite`."


@dataclass(frozen=True)
class FeatureStore:
    """Unit responses of one network, by layer and image.

    Parameters
    ----------
    path : Path
        The HDF5 file: attributes ``network``, ``network_digest``, ``tap``, ``layers``; dataset
        ``image_ids``; float32 or float16 datasets ``layers/<name>`` of (n_images, n_units), chunked by units.
    network, network_digest : str
        Whose responses they are.
    tap : str
        Where in a layer they were taken, for example ``"norm-pool"``.
    layers : tuple of str
        In order of depth.
    image_ids : tuple of str
        Rows of every layer.
    n_units : mapping of str to int
        Columns of each layer and reading.
    readings : tuple of str
        Other readings of the last layer, which are no layers: ``"logits"``. Files of release 0.1.0 have none.
    """

    path: Path
    network: str
    network_digest: str
    tap: str
    layers: tuple[str, ...]
    image_ids: tuple[str, ...]
    n_units: Mapping[str, int]
    readings: tuple[str, ...] = ()

    def read(self, layer: str, *, image_ids: Sequence[str] | None = None, units: slice | None = None) -> Units:
        """Read one layer's responses.

        Parameters
        ----------
        layer : str
            One of :attr:`layers` or :attr:`readings`.
        image_ids : sequence of str, optional
            Rows, in the order wanted; an image may be asked for twice. Default: all, as stored.
        units : slice, optional
            Columns. Default: all.

        Returns
        -------
        float32 array, (n, n_units)

        Raises
        ------
        StoreError
            If the layer or an image is not in the file.
        """
        self._require(layer)
        rows = self._rows(self.image_ids if image_ids is None else image_ids)
        with h5py.File(self.path, "r") as file:
            first, last = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
            values = file["layers"][layer][first:last, units if units is not None else slice(None)]
        return np.ascontiguousarray(values[rows - first], dtype=np.float32)

    def blocks(self, layer: str, *, max_units: int, image_ids: Sequence[str] | None = None) -> Iterator[
            tuple[slice, Units]]:
        """Read one layer block by block, so that no more than `max_units` columns are held at once.

        Parameters
        ----------
        layer : str
            One of :attr:`layers`.
        max_units : int
            Columns of a block; the last one may have fewer.
        image_ids : sequence of str, optional
            Rows; see :meth:`read`.

        Yields
        ------
        (slice, float32 array of (n, n_block))
            Which units, and their responses. The blocks side by side are what :meth:`read` gives.
        """
        if max_units < 1:
            raise StoreError("max_units", came=str(max_units), expected="1 or more", remedy="Ask for some units.")
        self._require(layer)
        for first in range(0, self.n_units[layer], max_units):
            units = slice(first, min(first + max_units, self.n_units[layer]))
            yield units, self.read(layer, image_ids=image_ids, units=units)

    def require_finite(self) -> FeatureStore:
        """Read every response once, block by block, and return itself.

        Raises
        ------
        StoreError
            At the first layer with NaN or infinity.
        """
        for layer in (*self.layers, *self.readings):
            for units, values in self.blocks(layer, max_units=_CHUNK_UNITS):
                if not np.isfinite(values).all():
                    raise StoreError(str(self.path), came=f"responses that are not finite in {layer}, units "
                                     f"{units.start} to {units.stop - 1}", expected="finite numbers",
                                     remedy=_again(self.path))
        return self

    def _require(self, layer: str) -> None:
        if layer not in (*self.layers, *self.readings):
            raise StoreError(str(self.path), came=f"no layer {layer!r}", expected="a layer of the file",
                             remedy=nearest(layer, self.layers))

    def _rows(self, image_ids: Sequence[str]) -> NDArray[np.intp]:
        places = {name: row for row, name in enumerate(self.image_ids)}
        unknown = [name for name in image_ids if name not in places]
        if unknown:
            raise StoreError(str(self.path), came=f"no responses to image {unknown[0]!r}",
                             expected="every image of the manifest", remedy=_again(self.path))
        return np.array([places[name] for name in image_ids], dtype=np.intp)


def open_store(path: Path) -> FeatureStore:
    """Open a features file and check that it is whole.

    Raises
    ------
    StoreError
        If it is missing, no features file, of a newer version, or a layer does not match the images.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(str(path), came="no such file", expected="a network's features",
                         remedy=_again(path).replace(" --overwrite", ""))
    try:
        with h5py.File(path, "r") as file:
            return _describe(path, file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise StoreError(str(path), came=f"a file that HDF5 cannot read ({error})", expected="a network's features",
                         remedy=_again(path)) from error


def _describe(path: Path, file: h5py.File) -> FeatureStore:
    FEATURES.require(file.attrs.get("format_version"), where=path)
    missing = [name for name in _ATTRIBUTES if name not in file.attrs]
    missing += [name for name in ("image_ids", "layers") if name not in file]
    if missing:
        raise StoreError(str(path), came=f"no {missing[0]!r} in it", expected="a network's features",
                         remedy=_again(path))
    layers = tuple(str(name) for name in file.attrs["layers"])
    image_ids = _image_ids(path, file)
    groups = _own(file, "layers", kind=h5py.Group, path=path)
    readings = tuple(str(name) for name in file.attrs.get("readings", ()))
    n_units = {name: _count_units(path, groups, name, n_images=len(image_ids)) for name in (*layers, *readings)}
    named: dict[str, Any] = {name: str(file.attrs[name]) for name in ("network", "network_digest", "tap")}
    return FeatureStore(path=path, layers=layers, image_ids=image_ids, n_units=n_units, readings=readings, **named)


def _image_ids(path: Path, file: h5py.File) -> tuple[str, ...]:
    stored = _own(file, "image_ids", kind=h5py.Dataset, path=path)
    if h5py.check_string_dtype(stored.dtype) is None or stored.ndim != 1:
        raise StoreError(str(path), came=f"image_ids of type {stored.dtype} and shape {stored.shape}",
                         expected="a list of texts", remedy=_again(path))
    return tuple(stored.asstr()[:])


def _count_units(path: Path, groups: h5py.Group, name: str, *, n_images: int) -> int:
    """Check a layer's shape and type, and that its numbers are in the file."""
    shape = stored = None
    if name in groups or groups.get(name, getlink=True) is not None:
        stored = _own(groups, name, kind=h5py.Dataset, path=path)
        shape = stored.shape
    if stored is None or len(stored.shape) != 2 or stored.shape[0] != n_images or stored.shape[1] < 1:
        raise StoreError(str(path), came=f"{name} of shape {shape}", expected=f"({n_images}, units)",
                         remedy=_again(path))
    if stored.dtype.name not in DTYPES:
        raise StoreError(str(path), came=f"{name} of type {stored.dtype}", expected=" or ".join(DTYPES),
                         remedy=_again(path))
    held, wanted = stored.id.get_storage_size(), stored.size * stored.dtype.itemsize
    if not held or (held < wanted and stored.compression is None):
        raise StoreError(str(path), came=f"{name} of {wanted} bytes, of which {held} are stored",
                         expected="a layer that was filled", remedy=_again(path))
    return int(stored.shape[1])


def _own(place: h5py.Group, name: str, *, kind: type, path: Path) -> Any:
    """Take something out of the file, which must be in this file itself: no link leads elsewhere."""
    link = place.get(name, getlink=True)
    found = place[name] if isinstance(link, h5py.HardLink) else None
    elsewhere = isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
    if not isinstance(found, kind) or elsewhere:
        came = f"{name}, kept in another file" if found is None or elsewhere else f"{name}, a {type(found).__name__}"
        raise StoreError(str(path), came=came, expected=f"a {kind.__name__.lower()} in the file itself",
                         remedy=_again(path))
    return found


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
        order in which batches are added. ``readings``, if any, are added like layers.
    dtype : {"float32", "float16"}
        As which responses are stored.
    batch : int
        Rows that are added at a time; chunks of the file have as many.

    Raises
    ------
    StoreError
        If an image is named twice.
    """

    def __init__(self, path: Path, *, attributes: Mapping[str, Any], dtype: str, batch: int) -> None:
        self.path, self._part, self._note = Path(path), part_path(Path(path)), _note_path(Path(path))
        self._attributes, self._dtype, self._batch = dict(attributes), dtype, batch
        self._ids, self._readings = list(attributes["image_ids"]), list(attributes.get("readings", ()))
        self._layers = [*attributes["layers"], *self._readings]
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
                whole = all(len(_own(file["layers"], name, kind=h5py.Dataset, path=self._part)) == len(self._ids)
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
                             expected=f"{', '.join(self._layers)}, all of the same images", remedy=_again(self.path))
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
            file.attrs["layers"] = self._layers[:len(self._layers) - len(self._readings)]
            if self._readings:
                file.attrs["readings"] = self._readings
            file.create_dataset("image_ids", data=self._ids, dtype=h5py.string_dtype())
            group = file.create_group("layers", track_order=True)
            for name in self._layers:
                plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                plan.set_chunk((min(self._batch, len(self._ids)), min(_CHUNK_UNITS, n_units[name])))
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
