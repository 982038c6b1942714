"""The file that holds a network's unit responses to the images, read a layer or a block of units at a time.

Needs no torch. Written by :mod:`stimuli.feature_writer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from subjects.errors import StoreError, nearest

Units = NDArray[np.float32]
_ATTRIBUTES = ("network", "network_digest", "tap", "layers")
_AGAIN = "Extract the features again with `python -m stimuli features`."


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

    def _require(self, layer: str) -> None:
        if layer not in self.layers:
            raise StoreError(str(self.path), came=f"no layer {layer!r}", expected="a layer of the file",
                             remedy=nearest(layer, self.layers))

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
