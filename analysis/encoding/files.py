"""The file of the models: what they are, what they predict, each vertex's accuracies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.data.hdf5 import read_hdf5, write_hdf5
from analysis.data.sources import HEMISPHERES
from analysis.encoding.layers import LayerResult
from analysis.encoding.sparse_model import SparseModel
from analysis.regions.patterns import RoiPatterns
from subjects.provenance import FileFormat

FORMAT = FileFormat("accuracies of encoding models", version=1)
_AGAIN = "Train again with `python -m analysis encode`."


def save_vertices(path: Path, results: Mapping[str, LayerResult], *, regions: Mapping[str, RoiPatterns]) -> Path:
    """Write each vertex's accuracies to HDF5.

    Group ``<roi>``: ``vertices_L``, ``vertices_R`` (mesh vertices, in this order along the accuracies),
    ``base_images``. Group ``<roi>/<layer>``: ``RE`` (held out), ``AN``, ``AI`` float32 (n_vertices,); ``candidates``
    and ``held_out``, their accuracies; attributes ``sparsity``, and ``sparsity_of_folds`` of the models behind ``RE``.
    The models on the units as they are stored: ``units`` int32 (n_vertices, k), -1 where a vertex has fewer,
    ``weights`` float32 (n_vertices, k), ``constant`` float32 (n_vertices,). ``predicted_AN``, ``predicted_AI`` float32
    (n_images, n_vertices); ``predicted_RE``, of each image by the models of the other folds, and ``means_RE``, the
    responses' means over those models' images, from which ``RE`` takes deviations.
    """
    with write_hdf5(path, form=FORMAT, overwrite=True) as file:
        for roi, patterns in regions.items():
            group = file.create_group(roi, track_order=True)
            for hemi, vertices in patterns.vertices.items():
                group[f"vertices_{hemi}"] = vertices
            group["base_images"] = list(patterns.base_images)
            for layer, result in results.items():
                part = group.create_group(layer)
                part.attrs["sparsity"] = result.levels[roi]
                part.attrs["sparsity_of_folds"] = result.controls[roi].levels
                part["candidates"] = np.array(list(result.scores[roi]), dtype=np.int64)
                part["held_out"] = np.array(list(result.scores[roi].values()), dtype=np.float64)
                for kind, accuracies in result.accuracies(roi).items():
                    part[kind] = accuracies.astype(np.float32)
                control = result.controls[roi]
                _save_model(part, result.models[roi], images={
                    **{f"predicted_{kind}": values for kind, values in result.predicted[roi].items()},
                    "predicted_RE": control.predicted.astype(np.float32), "means_RE": control.means.astype(np.float32)})
    return path


def _save_model(part: h5py.Group, model: SparseModel, *, images: Mapping[str, NDArray[np.float32]]) -> None:
    units, weights, constant = model.raw()
    part["units"] = units.astype(np.int32)
    part["weights"], part["constant"] = weights.astype(np.float32), constant.astype(np.float32)
    for name, values in images.items():
        part.create_dataset(name, data=values, compression="gzip", shuffle=True)


def read_selected(path: Path) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Read which vertices the encoding models were trained on: hemisphere to region to vertices.

    Raises
    ------
    AnalysisError
        If the file is missing, or is not one of :func:`save_vertices`.
    """
    with read_hdf5(path, form=FORMAT, remedy=_AGAIN) as file:
        return {hemi: {roi: _vertices(file[roi][f"vertices_{hemi}"]) for roi in file} for hemi in HEMISPHERES}


def _vertices(dataset: h5py.Dataset) -> NDArray[np.int64]:
    values = np.asarray(dataset[:])
    if values.ndim != 1 or values.dtype.kind != "i":
        raise ValueError(f"{dataset.name} is no list of vertices")
    return values.astype(np.int64)
