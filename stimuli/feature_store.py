"""The file that holds a network's unit responses to the images: reader and writer. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from subjects.errors import StoreError, nearest
from subjects.store import whole_file

Units = NDArray[np.float32]
_ATTRIBUTES = ("network", "network_digest", "tap", "layers")
_CHUNK = (32, 4096)
_AGAIN = "Extract the features again with `python -m stimuli features`."


@dataclass(frozen=True)
class FeatureStore:
    """Unit responses of one network, by layer and image.

    Parameters
    ----------
    path : Path
        The HDF5 file: attributes ``network``, ``network_digest``, ``tap``, ``layers``; dataset
        ``image_ids``; float32 datasets ``layers/<name>`` of (n_images, n_units).
    network, network_digest : str
        Whose responses they are.
    tap : str
        Where in a layer they were taken, for example ``"norm-pool"``.
    layers : tuple of str
        In order of depth.
    image_ids : tuple of str
        Rows of every layer.
    n_units : mapping of str to int
        Columns of each layer.
    """

    path: Path
    network: str
    network_digest: str
    tap: str
    layers: tuple[str, ...]
    image_ids: tuple[str, ...]
    n_units: Mapping[str, int]

    def read(self, layer: str, *, image_ids: Sequence[str] | None = None, units: slice | None = None) -> Units:
        """Read one layer's responses.

        Parameters
        ----------
        layer : str
            One of :attr:`layers`.
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
        if layer not in self.layers:
            raise StoreError(str(self.path), came=f"no layer {layer!r}", expected="a layer of the file",
                             remedy=nearest(layer, self.layers))
        rows = self._rows(self.image_ids if image_ids is None else image_ids)
        with h5py.File(self.path, "r") as file:
            values = file["layers"][layer][:, units if units is not None else slice(None)]
        return np.ascontiguousarray(values[rows], dtype=np.float32)

    def _rows(self, image_ids: Sequence[str]) -> NDArray[np.intp]:
        places = {name: row for row, name in enumerate(self.image_ids)}
        unknown = [name for name in image_ids if name not in places]
        if unknown:
            raise StoreError(str(self.path), came=f"no responses to image {unknown[0]!r}",
                             expected="every image of the manifest", remedy=_AGAIN)
        return np.array([places[name] for name in image_ids], dtype=np.intp)


def open_store(path: Path) -> FeatureStore:
    """Open a features file and check that it is whole.

    Raises
    ------
    StoreError
        If it is missing, no features file, or a layer does not match the images.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(str(path), came="no such file", expected="a network's features", remedy=_AGAIN)
    try:
        with h5py.File(path, "r") as file:
            return _describe(path, file)
    except OSError as error:
        raise StoreError(str(path), came=f"a file that HDF5 cannot read ({error})", expected="a network's features",
                         remedy=_AGAIN) from error


def _describe(path: Path, file: h5py.File) -> FeatureStore:
    missing = [name for name in _ATTRIBUTES if name not in file.attrs]
    missing += [name for name in ("image_ids", "layers") if name not in file]
    if missing:
        raise StoreError(str(path), came=f"no {missing[0]!r} in it", expected="a network's features", remedy=_AGAIN)
    layers = tuple(str(name) for name in file.attrs["layers"])
    image_ids = tuple(file["image_ids"].asstr()[:])
    n_units = {}
    for name in layers:
        shape = file["layers"][name].shape if name in file["layers"] else None
        if shape is None or len(shape) != 2 or shape[0] != len(image_ids):
            raise StoreError(str(path), came=f"{name} of shape {shape}", expected=f"({len(image_ids)}, units)",
                             remedy=_AGAIN)
        n_units[name] = int(shape[1])
    named: dict[str, Any] = {name: str(file.attrs[name]) for name in ("network", "network_digest", "tap")}
    return FeatureStore(path=path, layers=layers, image_ids=image_ids, n_units=n_units, **named)


class StoreWriter:
    """Fills a features file batch by batch; made by :func:`create_store`."""

    def __init__(self, file: h5py.File, *, n_images: int, layers: Sequence[str]) -> None:
        self._group = file.create_group("layers", track_order=True)
        self._n_images, self._layers, self._filled = n_images, tuple(layers), 0

    def append(self, features: Mapping[str, NDArray[Any]]) -> None:
        """Add the next images.

        Parameters
        ----------
        features : mapping of str to array
            Every layer to (n, n_units); stored as float32.
        """
        sizes = {name: len(features[name]) for name in self._layers if name in features}
        if set(sizes) != set(features) or len(sizes) != len(self._layers) or len(set(sizes.values())) != 1:
            raise StoreError("features", came=f"layers {sorted(features)} with {sorted(set(sizes.values()))} images",
                             expected=f"{', '.join(self._layers)}, all of the same images", remedy=_AGAIN)
        end = self._filled + next(iter(sizes.values()))
        for name in self._layers:
            self._dataset(name, n_units=features[name].shape[1])[self._filled:end] = features[name]
        self._filled = end

    def _dataset(self, name: str, *, n_units: int) -> h5py.Dataset:
        if name not in self._group:
            chunks = (min(_CHUNK[0], self._n_images), min(_CHUNK[1], n_units))
            self._group.create_dataset(name, shape=(self._n_images, n_units), dtype=np.float32, chunks=chunks)
        return self._group[name]

    def require_full(self) -> None:
        """Raise unless every image was added."""
        if self._filled != self._n_images:
            raise StoreError("features", came=f"{self._filled} images", expected=f"{self._n_images}",
                             remedy="Nothing was written; add every image once.")


@contextmanager
def create_store(path: Path, *, network: str, network_digest: str, tap: str, layers: Sequence[str],
                 image_ids: Sequence[str], overwrite: bool = False) -> Iterator[StoreWriter]:
    """Write a features file whole: it appears when the block ends well and every image was added.

    Parameters
    ----------
    path : Path
        Usually ``Layout.features(network)``.
    network, network_digest, tap
        See :class:`FeatureStore`.
    layers : sequence of str
        In order of depth.
    image_ids : sequence of str
        The rows, in the order in which batches are added.
    overwrite : bool
        Replace a file that stands there.

    Yields
    ------
    StoreWriter
        Takes the batches.
    """
    if len(set(image_ids)) != len(image_ids):
        raise StoreError(str(path), came="an image twice", expected="every image once", remedy="Name each image once.")
    with whole_file(path, overwrite=overwrite) as beside, h5py.File(beside, "w") as file:
        file.attrs.update({"network": network, "network_digest": network_digest, "tap": tap, "layers": list(layers)})
        file.create_dataset("image_ids", data=list(image_ids), dtype=h5py.string_dtype())
        writer = StoreWriter(file, n_images=len(image_ids), layers=layers)
        yield writer
        writer.require_full()
