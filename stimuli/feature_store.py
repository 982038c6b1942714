"""The file of a network's unit responses to the images, read a layer or a block of units at a time. Needs no torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from subjects.errors import StoreError, nearest
from subjects.provenance import FileFormat

Units = NDArray[np.float32]
FEATURES = FileFormat("network features", version=2)
"""Version 2 says its version; a file of version 1 without the attribute ``tap`` is not read."""

DTYPES = ("float32", "float16")
CHUNK_UNITS = 4096
_READ_UNITS = 16 * CHUNK_UNITS
_ATTRIBUTES = ("network", "network_digest", "tap", "layers")
BESIDE = ("readings", "taps")
"""What is stored as layers are, and is none."""


def extract_again(path: Path) -> str:
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
    taps : tuple of str
        Modules that were read beside the layers, and are none of them: ``"tap features.3"``.
    places : mapping of str to str
        Layer -> path of the module that it was read at, as far as that was known.
    """

    path: Path
    network: str
    network_digest: str
    tap: str
    layers: tuple[str, ...]
    image_ids: tuple[str, ...]
    n_units: Mapping[str, int]
    readings: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def stored(self) -> tuple[str, ...]:
        """Name all that can be read: layers, readings, taps."""
        return (*self.layers, *self.readings, *self.taps)

    def read(self, layer: str, *, image_ids: Sequence[str] | None = None, units: slice | None = None) -> Units:
        """Read one layer's responses.

        Parameters
        ----------
        layer : str
            One of :attr:`stored`.
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
        first, last = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
        low, high, step = (units if units is not None else slice(None)).indices(self.n_units[layer])
        if step != 1:
            raise StoreError("units", came=f"every {step}th unit", expected="consecutive units",
                             remedy="Read them all, and choose.")
        found = np.empty((len(rows), max(0, high - low)), dtype=np.float32)
        with h5py.File(self.path, "r") as file:
            stored = file["layers"][layer]
            for start in range(low, high, _READ_UNITS):  # what is held beside the result is one block
                end = min(start + _READ_UNITS, high)
                found[:, start - low:end - low] = stored[first:last, start:end][rows - first]
        return found

    def blocks(self, layer: str, *, max_units: int, image_ids: Sequence[str] | None = None) -> Iterator[
            tuple[slice, Units]]:
        """Read one layer block by block, so that no more than `max_units` columns are held at once.

        Parameters
        ----------
        layer : str
            One of :attr:`stored`.
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
        for layer in self.stored:
            for units, values in self.blocks(layer, max_units=CHUNK_UNITS):
                if not np.isfinite(values).all():
                    raise StoreError(str(self.path), came=f"responses that are not finite in {layer}, units "
                                     f"{units.start} to {units.stop - 1}", expected="finite numbers",
                                     remedy=extract_again(self.path))
        return self

    def _require(self, layer: str) -> None:
        if layer not in self.stored:
            raise StoreError(str(self.path), came=f"no layer {layer!r}", expected="a layer of the file",
                             remedy=nearest(layer, self.stored))

    def _rows(self, image_ids: Sequence[str]) -> NDArray[np.intp]:
        places = {name: row for row, name in enumerate(self.image_ids)}
        unknown = [name for name in image_ids if name not in places]
        if unknown:
            raise StoreError(str(self.path), came=f"no responses to image {unknown[0]!r}",
                             expected="every image of the manifest", remedy=extract_again(self.path))
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
                         remedy=extract_again(path).replace(" --overwrite", ""))
    try:
        with h5py.File(path, "r") as file:
            return _describe(path, file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise StoreError(str(path), came=f"a file that HDF5 cannot read ({error})", expected="a network's features",
                         remedy=extract_again(path)) from error


def _describe(path: Path, file: h5py.File) -> FeatureStore:
    FEATURES.require(file.attrs.get("format_version"), where=path)
    missing = [name for name in _ATTRIBUTES if name not in file.attrs]
    missing += [name for name in ("image_ids", "layers") if name not in file]
    if missing:
        raise StoreError(str(path), came=f"no {missing[0]!r} in it", expected="a network's features",
                         remedy=extract_again(path))
    layers = tuple(str(name) for name in file.attrs["layers"])
    image_ids = _image_ids(path, file)
    groups = own_item(file, "layers", kind=h5py.Group, path=path)
    beside = {key: tuple(str(name) for name in file.attrs.get(key, ())) for key in BESIDE}
    n_units = {name: _count_units(path, groups, name, n_images=len(image_ids))
               for name in (*layers, *beside["readings"], *beside["taps"])}
    places = dict(zip(layers, (str(place) for place in file.attrs.get("places", ())), strict=False))
    named: dict[str, Any] = {name: str(file.attrs[name]) for name in ("network", "network_digest", "tap")}
    return FeatureStore(path=path, layers=layers, image_ids=image_ids, n_units=n_units, places=places,
                        readings=beside["readings"], taps=beside["taps"], **named)


def _image_ids(path: Path, file: h5py.File) -> tuple[str, ...]:
    stored = own_item(file, "image_ids", kind=h5py.Dataset, path=path)
    if h5py.check_string_dtype(stored.dtype) is None or stored.ndim != 1:
        raise StoreError(str(path), came=f"image_ids of type {stored.dtype} and shape {stored.shape}",
                         expected="a list of texts", remedy=extract_again(path))
    return tuple(stored.asstr()[:])


def _count_units(path: Path, groups: h5py.Group, name: str, *, n_images: int) -> int:
    """Check a layer's shape and type, and that its numbers are in the file."""
    shape = stored = None
    if name in groups or groups.get(name, getlink=True) is not None:
        stored = own_item(groups, name, kind=h5py.Dataset, path=path)
        shape = stored.shape
    if stored is None or len(stored.shape) != 2 or stored.shape[0] != n_images or stored.shape[1] < 1:
        raise StoreError(str(path), came=f"{name} of shape {shape}", expected=f"({n_images}, units)",
                         remedy=extract_again(path))
    if stored.dtype.name not in DTYPES:
        raise StoreError(str(path), came=f"{name} of type {stored.dtype}", expected=" or ".join(DTYPES),
                         remedy=extract_again(path))
    held, wanted = stored.id.get_storage_size(), stored.size * stored.dtype.itemsize
    if not held or (held < wanted and stored.compression is None):
        raise StoreError(str(path), came=f"{name} of {wanted} bytes, of which {held} are stored",
                         expected="a layer that was filled", remedy=extract_again(path))
    return int(stored.shape[1])


def own_item(place: h5py.Group, name: str, *, kind: type, path: Path) -> Any:
    """Take something out of the file, which must be in this file itself: no link leads elsewhere."""
    link = place.get(name, getlink=True)
    found = place[name] if isinstance(link, h5py.HardLink) else None
    elsewhere = isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
    if not isinstance(found, kind) or elsewhere:
        came = f"{name}, kept in another file" if found is None or elsewhere else f"{name}, a {type(found).__name__}"
        raise StoreError(str(path), came=came, expected=f"a {kind.__name__.lower()} in the file itself",
                         remedy=extract_again(path))
    return found
