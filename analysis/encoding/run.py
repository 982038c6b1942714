"""The step ``encode``: models of vertices trained on RE images, tested on AN and AI images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.data.hdf5 import read_hdf5, write_hdf5
from analysis.data.sources import HEMISPHERES, SubjectData, require_whole, resolve_subject
from analysis.encoding.generalisation import TESTED, Floats, Generalisation, assess_generalisation, matched_similarity
from analysis.encoding.sparse_model import held_out_predictions, train
from analysis.glm.combining import betas_paths
from analysis.regions.patterns import RoiPatterns, brain_inputs, load_roi_patterns, selection_parameters
from analysis.statistics.results import RESULTS, STATISTIC_COLUMNS, as_table, read_results, statistic_row
from analysis.steps import Origin, Request, Work
from stimuli.manifest import TYPES, read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.layout import Layout, network_label
from subjects.provenance import FileFormat, derive_seed
from subjects.settings.analysis import EncodingSettings, RoiSettings
from subjects.store import write_table

COLUMNS = ("sub", "roi", "layer", "type", *STATISTIC_COLUMNS, "sparsity", "correction")
VERTICES = "vertices_digest"
FORMAT = FileFormat("accuracies of encoding models", version=1)
_AGAIN = "Train again with `python -m analysis encode`."


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the encoding models of each subject."""
    chosen, network = request.settings, choose_network(request.layout, request.network)
    models = [SubjectModels(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold, space=chosen.analysis.space,
                            network=network, roi=chosen.roi, encoding=chosen.encoding,
                            dissimilarity=chosen.rsa.dissimilarity,
                            seed=chosen.study.seed) for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=(one.table_path,), origin=one.origin, make=one.make,
                      companions={VERTICES: one.vertices_path}, check=one.check) for one in models)


@dataclass(frozen=True, kw_only=True)
class SubjectModels:
    """The models of one subject: every layer of a network, every region.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    space : str
        ``analysis.space``.
    network : ChosenNetwork
    roi : RoiSettings
    encoding : EncodingSettings
    dissimilarity : str
        ``rsa.dissimilarity``, by which the vertices are selected.
    seed : int
        The study's.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    network: ChosenNetwork
    roi: RoiSettings
    encoding: EncodingSettings
    dissimilarity: str
    seed: int

    @property
    def table_path(self) -> Path:
        """The table (columns :data:`COLUMNS`); that of another network than the set's carries its name."""
        other = {} if self.network.of_set else {"network": network_label(self.network.name)}
        return self.layout.derivative("encoding", sub=self.sub, suffix="encoding.tsv", **other)

    @property
    def vertices_path(self) -> Path:
        """Each vertex's accuracies."""
        return self.table_path.with_suffix(".h5")

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space))

    def origin(self, _: Path) -> Origin:
        """Say what both files are made from."""
        inputs = {**brain_inputs(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi),
                  "manifest": self.layout.manifest, "features": self.network.features}
        return Origin(inputs, {"seed": self.seed, "network": self.network.name, "dissimilarity": self.dissimilarity,
                               "roi": selection_parameters(self.roi),
                               "encoding": self.encoding.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Train and test the models of every layer."""
        regions = load_roi_patterns(self.data, betas_paths(self.layout, sub=self.sub), settings=self.roi,
                                    manifest=read_manifest(self.layout.manifest), measure=self.dissimilarity)
        store = open_features(self.network, study=self.layout.root)
        ids = next(iter(regions.values())).image_ids  # as they were shown, and held against the manifest
        seeds = {roi: derive_seed(self.seed, self.sub, roi, "encoding") for roi in regions}
        found = {layer: encode_layer({kind: store.read(layer, image_ids=ids[kind]) for kind in TYPES}, regions,
                                     settings=self.encoding, seeds=seeds, layer=layer, where=f"sub-{self.sub} {layer}")
                 for layer in progress(store.layers, label=f"encoding sub-{self.sub}", total=len(store.layers))}
        return lambda: self._save(found, regions)

    def _save(self, found: Mapping[str, LayerResult], regions: Mapping[str, RoiPatterns]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.layout, "encoding")
        save_vertices(self.vertices_path, found, regions=regions)
        write_table(self.table_path, as_table(_rows(found, sub=self.sub), columns=COLUMNS), overwrite=True)
        return {self.table_path: RESULTS.in_sidecar()}

    def check(self) -> None:
        """See that both files can be read."""
        read_results(self.table_path)
        read_selected(self.vertices_path)


def choose_sparsity(units: NDArray[np.float32], targets: Mapping[str, NDArray[np.float32]], *,
                    settings: EncodingSettings,
                    where: str = "features") -> tuple[dict[str, int], dict[str, dict[int, float]]]:
    """Choose ROMP's level for each region by cross-validation inside the RE images.

    Parameters
    ----------
    units : array, (n_images, n_units)
        Units of one layer on the RE images.
    targets : mapping of str to array
        Region to responses to the RE images, (n_images, n_vertices).
    settings : EncodingSettings
        A fixed `sparsity` is taken as it is.

    Returns
    -------
    levels : dict of str to int
        The candidate of highest held-out accuracy (see :func:`matched_similarity`); the smaller of equals.
    scores : dict of str to dict of int to float
        Held-out accuracy of each candidate; empty for a fixed level.
    """
    if settings.sparsity != "cv":
        return dict.fromkeys(targets, settings.sparsity), {roi: {} for roi in targets}
    candidates = sorted(settings.candidates)
    predicted = held_out_predictions(units, np.concatenate(list(targets.values()), axis=1), levels=candidates,
                                     folds=settings.folds, where=where)
    scores: dict[str, dict[int, float]] = {}
    for roi, columns in _columns(targets).items():
        scores[roi] = {n: float(np.trace(matched_similarity(predicted[n][:, columns], targets[roi],
                                                            correlate=settings.correlate))) for n in candidates}
    return {roi: max(candidates, key=lambda n: (found[n], -n)) for roi, found in scores.items()}, scores


def _columns(targets: Mapping[str, NDArray[np.float32]]) -> dict[str, slice]:
    """Place each region's vertices in the concatenation of all regions."""
    stops = np.cumsum([values.shape[1] for values in targets.values()])
    return {roi: slice(int(stop) - targets[roi].shape[1], int(stop)) for roi, stop in zip(targets, stops, strict=True)}


def predict_types(units: Mapping[str, NDArray[np.float32]], targets: Mapping[str, NDArray[np.float32]], *,
                  levels: Mapping[str, int], where: str = "features") -> dict[str, dict[str, Floats]]:
    """Train each region's model on all RE images and predict its responses to AN and AI images.

    Parameters
    ----------
    units : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_units).
    targets : mapping of str to array
        Region to responses to the RE images.
    levels : mapping of str to int
        Region to sparsity level.

    Returns
    -------
    dict of str to dict of str to float64 array
        Region to type to predictions, (n_images, n_vertices).
    """
    found: dict[str, dict[str, Floats]] = {}
    for n in sorted({levels[roi] for roi in targets}):
        alike = {roi: values for roi, values in targets.items() if levels[roi] == n}
        model = train(units["RE"], np.concatenate(list(alike.values()), axis=1), levels=(n,), where=where)[n]
        predicted = {kind: model.predict(units[kind]) for kind in TESTED}
        for roi, columns in _columns(alike).items():
            found[roi] = {kind: values[:, columns] for kind, values in predicted.items()}
    return found


@dataclass(frozen=True, eq=False)
class LayerResult:
    """All regions' models from one layer: chosen level, held-out scores, generalisation."""

    levels: Mapping[str, int]
    scores: Mapping[str, Mapping[int, float]]
    regions: Mapping[str, Generalisation]


def encode_layer(units: Mapping[str, NDArray[np.float32]], regions: Mapping[str, RoiPatterns], *,
                 settings: EncodingSettings, seeds: Mapping[str, int], layer: str, where: str) -> LayerResult:
    """Train, choose and test the models of all regions from one layer's units.

    Parameters
    ----------
    units : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_units).
    regions : mapping of str to RoiPatterns
    settings : EncodingSettings
    seeds : mapping of str to int
        Region to the seed of its draws.
    layer, where : str
        The layer, to draw its own permutations; subject and layer, for messages.
    """
    targets = {roi: patterns.responses["RE"] for roi, patterns in regions.items()}
    levels, scores = choose_sparsity(units["RE"], targets, settings=settings, where=where)
    predicted = predict_types(units, targets, levels=levels, where=where)
    found = {roi: assess_generalisation(predicted[roi], patterns.responses, settings=settings, layer=layer,
                                        seed=seeds[roi], blocks=patterns.sessions)
             for roi, patterns in regions.items()}
    return LayerResult(levels, scores, found)


def _rows(results: Mapping[str, LayerResult], *, sub: str) -> list[dict[str, Any]]:
    return [statistic_row(statistic, sub=sub, roi=roi, layer=layer, type=kind, sparsity=result.levels[roi])
            for layer, result in results.items() for roi, found in result.regions.items()
            for kind, statistic in found.statistics.items()]


def save_vertices(path: Path, results: Mapping[str, LayerResult], *, regions: Mapping[str, RoiPatterns]) -> Path:
    """Write each vertex's accuracies to HDF5.

    Group ``<roi>``: ``vertices_L``, ``vertices_R`` (mesh vertices, in this order along the accuracies); group
    ``<roi>/<layer>``: ``AN``, ``AI`` float32 (n_vertices,), ``candidates``, ``held_out``, attribute ``sparsity``.
    """
    with write_hdf5(path, form=FORMAT, overwrite=True) as file:
        for roi, patterns in regions.items():
            group = file.create_group(roi, track_order=True)
            for hemi, vertices in patterns.vertices.items():
                group[f"vertices_{hemi}"] = vertices
            for layer, result in results.items():
                part = group.create_group(layer)
                part.attrs["sparsity"] = result.levels[roi]
                part["candidates"] = np.array(list(result.scores[roi]), dtype=np.int64)
                part["held_out"] = np.array(list(result.scores[roi].values()), dtype=np.float64)
                for kind, accuracies in result.regions[roi].accuracies.items():
                    part[kind] = accuracies.astype(np.float32)
    return path


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
