"""The file of unit responses: layers x images in HDF5, joined by image. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from subjects.errors import AnalysisError
from subjects.store import whole_file

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class FeatureStore:
    """A feature file that is read one layer, or one block of units, at a time.

    Parameters
    ----------
    path : Path
        The file.
    network, network_digest, tap : str
        Whose units, and where they were tapped.
    layers, image_ids : tuple of str
        In order.
    """

    path: Path
    network: str
    network_digest: str
    tap: str
    layers: tuple[str, ...]
    image_ids: tuple[str, ...]

    def n_units(self, layer: str) -> int:
        """Count the units of a layer."""
        with h5py.File(self.path, "r") as file:
            return int(self._dataset(file, layer).shape[1])

    def read(self, layer: str, *, image_ids: Sequence[str] | None = None,
             units: slice | None = None) -> NDArray[np.float32]:
        """Read the units of a layer.

        Parameters
        ----------
        layer : str
            One of :attr:`layers`.
        image_ids : sequence of str, optional
            Which images, in this order. Default: all, in the file's order.
        units : slice, optional
            Which units. Default: all.

        Returns
        -------
        float32 array, (n_images, n_units)
            Rows in the order asked for.

        Raises
        ------
        AnalysisError
            For an unknown layer or image.
        """
        wanted = self.image_ids if image_ids is None else tuple(image_ids)
        place = {name: k for k, name in enumerate(self.image_ids)}
        unknown = [name for name in wanted if name not in place]
        if unknown:
            raise AnalysisError(str(self.path), came=f"no image {unknown[0]!r}", expected="the images of the manifest",
                                remedy="Take the features again with `python -m stimuli features`.")
        rows = np.array([place[name] for name in wanted], dtype=np.int64)
        order, back = np.unique(rows, return_inverse=True)
        with h5py.File(self.path, "r") as file:
            values = self._dataset(file, layer)[order, units or slice(None)]
        return np.asarray(values, dtype=np.float32)[back]

    def _dataset(self, file: h5py.File, layer: str) -> h5py.Dataset:
        if layer not in self.layers:
            raise AnalysisError(str(self.path), came=f"no layer {layer!r}", expected=f"one of {', '.join(self.layers)}",
                                remedy="Name a layer of this network.")
        return file["layers"][layer]


def open_store(path: Path) -> FeatureStore:
    """Open a feature file.

    Raises
    ------
    AnalysisError
        If it is missing or no feature file.
    """
    path = Path(path)
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="a network's features",
                            remedy="Take them with `python -m stimuli features --study DIR`.")
    try:
        with h5py.File(path, "r") as file:
            text = {key: str(file.attrs[key]) for key in ("network", "network_digest", "tap")}
            layers = tuple(str(name) for name in file.attrs["layers"])
            ids = tuple(name.decode("ascii") for name in file["image_ids"][:])
    except (OSError, KeyError) as error:
        raise AnalysisError(str(path), came=f"a file that is no feature store ({error})", expected="HDF5 with layers/",
                            remedy="Take the features again with `python -m stimuli features`.") from error
    return FeatureStore(path, layers=layers, image_ids=ids, **text)


def create_store(path: Path, features: Mapping[str, NDArray[np.float32]], *, image_ids: Sequence[str], network: str,
                 network_digest: str, tap: str, overwrite: bool = False) -> FeatureStore:
    """Write a feature file, whole.

    Parameters
    ----------
    path : Path
        Where.
    features : mapping of str to float32 array, (n_images, n_units)
        Layer by layer, in the network's order.
    image_ids : sequence of str
        The images of the rows.
    network, network_digest, tap : str
        Whose units, and where they were tapped.
    overwrite : bool
        Replace a file that stands there.
    """
    for layer, values in features.items():
        if values.ndim != 2 or len(values) != len(image_ids):
            raise AnalysisError(f"{path}, {layer}", came=f"an array {values.shape}",
                                expected=f"({len(image_ids)}, n_units)", remedy="Hand in one row an image.")
    with whole_file(path, overwrite=overwrite) as beside, h5py.File(beside, "w") as file:
        file.attrs.update(network=network, network_digest=network_digest, tap=tap, layers=list(features))
        file["image_ids"] = np.array(list(image_ids), dtype="S")
        for layer, values in features.items():
            width = max(1, min(values.shape[1], _CHUNK_BYTES // (4 * max(1, len(values)))))
            file.create_dataset(f"layers/{layer}", data=values.astype(np.float32), chunks=(len(values), width))
    return open_store(path)
