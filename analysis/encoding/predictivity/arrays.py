"""Predictivity on arrays of one's own: sites by images, or maps, and any network's units."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.encoding.predictivity.maps import MapPredictivity, map_predictivity
from analysis.encoding.predictivity.scores import Predictivity, halve, predictivity
from subjects.cli import ProgressWrapper, silent
from subjects.errors import AnalysisError
from subjects.provenance import FileFormat, is_current, rng, sidecar
from subjects.settings.models import PredictivitySettings
from subjects.store import read_table, write_table

TABLE = FileFormat("predictivity table", version=1)
COLUMNS = {
    "layer": "Of the network, as the file of units names it.",
    "kind": "sites: responses to images; maps: responses at places of images.",
    "score": "Pearson's r of held-out responses, not divided by a ceiling: sites: median over sites of the mean over "
             "splits; maps: mean over images of the median over sites.",
    "error": "Its standard error: over splits, or over images.",
    "p": "Sites: one-sided, of a score of zero or less, by Student's t over splits.",
    "mean_map": "Maps: Spearman's rho of the mean maps, mean over images.",
    "split_half": "Correlation of two halves of the repetitions.",
    "reliability": "Spearman-Brown of that, by which published scores are divided.",
    "of_reliability": "score over reliability.",
    "of_highest": "score over the root of the reliability, which a model without error reaches.",
    "n_images": "Images.", "n_sites": "Sites.", "n_components": "The most that a model had.",
}


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses of one's own.

    Parameters
    ----------
    kind : {"sites", "maps"}
    repetitions : float array, (n_repetitions, n_images, n_sites), or (n_repetitions, n_images, n_sites, rows, columns)
    image_ids : tuple of str or None
        Of the images, where the file names them.
    """

    kind: str
    repetitions: NDArray[np.floating[Any]] = field(repr=False)
    image_ids: tuple[str, ...] | None = None


def read_responses(path: Path) -> Responses:
    """Read responses.

    Parameters
    ----------
    path : Path
        ``.npz`` with ``responses`` (n_sites, n_images) or (n_repetitions, n_sites, n_images), or with ``maps``
        (n_images, n_sites, rows, columns) or (n_repetitions, n_images, n_sites, rows, columns); ``image_ids`` where
        known.

    Raises
    ------
    AnalysisError
        If it holds something else.
    """
    held = _read_npz(path)
    kinds = [kind for kind in ("responses", "maps") if kind in held]
    if len(kinds) != 1:
        _refuse(path, f"the arrays {', '.join(sorted(held)) or 'none'}", "`responses` or `maps`, one of them",
                "Name the array of sites by images `responses`, that of maps `maps`.")
    values, plain = held[kinds[0]], 2 if kinds[0] == "responses" else 4
    if values.dtype.kind not in "fiu" or values.ndim not in (plain, plain + 1):
        _refuse(path, f"{kinds[0]} of {values.dtype} {values.shape}", "numbers (n_sites, n_images) or (n_repetitions, "
                "n_sites, n_images)" if plain == 2 else "numbers (n_images, n_sites, rows, columns), or with "
                "repetitions before", "Correct the file.")
    whole = values if values.ndim == plain + 1 else values[None]
    if plain == 2:
        whole = whole.transpose(0, 2, 1)
    return Responses("sites" if plain == 2 else "maps", whole, _ids(held, whole.shape[1], path=path))


def read_units(path: Path) -> tuple[dict[str, NDArray[np.floating[Any]]], tuple[str, ...] | None]:
    """Read a network's units: ``.npz``, a layer an array (n_images, ...); ``image_ids`` where known."""
    held = _read_npz(path)
    layers = {name: values for name, values in held.items() if name != "image_ids"}
    lengths = {len(values) if values.ndim else 0 for values in layers.values()}
    if not layers or len(lengths) > 1 or any(one.dtype.kind != "f" or one.ndim < 2 for one in layers.values()):
        _refuse(path, ", ".join(f"{name} {one.dtype} {one.shape}" for name, one in layers.items()) or "no array",
                "a layer an array, floats (n_images, n_units) or (n_images, n_channels, height, width)",
                "Correct the file.")
    return layers, _ids(held, lengths.pop(), path=path)


def score_arrays(units: Mapping[str, NDArray[np.floating[Any]]], responses: Responses, *,
                 settings: PredictivitySettings, seed: int = 0,
                 progress: ProgressWrapper = silent) -> list[dict[str, Any]]:
    """Score every layer.

    Parameters
    ----------
    units : mapping of str to array, (n_images, ...)
        In the order of the responses; see :func:`in_one_order`.
    responses : Responses
    settings : PredictivitySettings
        Components and splits.
    seed : int
        Of splits and halves.
    progress : ProgressWrapper

    Returns
    -------
    list of dict
        Rows of :data:`COLUMNS`.
    """
    whole = responses.repetitions
    mean = whole.mean(axis=0, dtype=np.float64)
    halves = halve(whole, rng=rng(seed, "halves")) if len(whole) > 1 else None
    rows = []
    for layer, values in progress(units.items(), label="predictivity", total=len(units)):
        found, own = _score(values, mean, halves=halves, settings=settings, seed=seed)
        half, reliability = (found.ceiling.split_half, found.ceiling.reliability) if found.ceiling else [math.nan] * 2
        rows.append({"layer": layer, "kind": responses.kind, **own, "score": found.score, "error": found.error,
                     "split_half": half, "reliability": reliability, "of_reliability": found.published,
                     "of_highest": found.corrected, "n_images": len(mean), "n_sites": mean.shape[1],
                     "n_components": found.n_components})
    return rows


def _score(values: NDArray[np.floating[Any]], mean: NDArray[np.float64], *,
           halves: tuple[NDArray[np.float64], NDArray[np.float64]] | None, settings: PredictivitySettings,
           seed: int) -> tuple[Predictivity | MapPredictivity, dict[str, float]]:
    """Score one layer by sites or by maps; give the score, and what the other kind does not have."""
    if mean.ndim == 4:
        by_place = map_predictivity(values, mean, halves=halves, n_components=settings.n_components)
        return by_place, {"mean_map": by_place.mean_map, "p": math.nan}
    by_image = predictivity(values.reshape(len(values), -1), mean, halves=halves, rng=rng(seed, "splits"),
                            n_components=settings.n_components, n_splits=settings.n_splits)
    return by_image, {"mean_map": math.nan, "p": by_image.p}


def in_one_order(units: Mapping[str, NDArray[np.floating[Any]]], responses: Responses, *,
                 ids: tuple[str, ...] | None) -> dict[str, NDArray[np.floating[Any]]]:
    """Bring units to the order of the responses, by ``image_ids`` where both files name them.

    Raises
    ------
    AnalysisError
        If an image of the responses has no units, or numbers differ where one file names no images.
    """
    n = responses.repetitions.shape[1]
    if ids is None or responses.image_ids is None:
        found = len(next(iter(units.values())))
        if found != n:
            raise AnalysisError("units and responses", came=f"units of {found} images, responses to {n}",
                                expected="the same images in the same order, or image_ids in both files",
                                remedy="Add the array image_ids to both files.")
        return dict(units)
    places = {name: k for k, name in enumerate(ids)}
    lacking = [name for name in responses.image_ids if name not in places]
    if lacking:
        raise AnalysisError("units and responses", came=f"no units of image {lacking[0]} ({len(lacking)} such)",
                            expected="units of every image of the responses", remedy="Take the network's units again.")
    rows = [places[name] for name in responses.image_ids]
    return {layer: values[rows] for layer, values in units.items()}


def score_files(units: Path, responses: Path, *, out: Path, settings: PredictivitySettings, seed: int = 0,
                overwrite: bool = False, progress: ProgressWrapper = silent) -> tuple[list[dict[str, Any]], bool]:
    """Score every layer of a file of units by a file of responses, unless that table is there and current.

    Returns
    -------
    rows : list of dict
    reused : bool
    """
    inputs: dict[str, Path | str] = {"units": units, "responses": responses}
    parameters = {**settings.model_dump(mode="json", include={"n_components", "n_splits"}), "seed": seed}
    if is_current(out, inputs=inputs, parameters=parameters):
        return [{str(name): value for name, value in row.items()} for row in read_table(out).to_dict("records")], True
    found = read_responses(responses)
    layers, ids = read_units(units)
    layers = in_one_order(layers, found, ids=ids)
    rows = score_arrays(layers, found, settings=settings, seed=seed, progress=progress)
    write_table(out, pd.DataFrame(rows, columns=list(COLUMNS)), overwrite=overwrite)
    sidecar(out, inputs=inputs, parameters=parameters, extra={"Columns": COLUMNS}, form=TABLE)
    return rows, False


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        _refuse(path, "no such file", "an .npz of arrays", "Correct the path.")
    except (OSError, ValueError, BadZipFile, EOFError, AttributeError, TypeError, zlib.error) as error:
        _refuse(path, f"a file that cannot be read ({error})", "an .npz of arrays", "Write it with numpy.savez.")


def _ids(held: Mapping[str, NDArray[Any]], n: int, *, path: Path) -> tuple[str, ...] | None:
    if "image_ids" not in held:
        return None
    found = tuple(str(name) for name in held["image_ids"].ravel())
    if len(found) != n or len(set(found)) != n:
        _refuse(path, f"{len(found)} image_ids, {len(set(found))} different", f"one for each of the arrays' {n} images",
                "Correct the file; see that `responses` are sites x images.")
    return found


def _refuse(path: Path, came: str, expected: str, remedy: str) -> NoReturn:
    raise AnalysisError(str(path), came=came, expected=expected, remedy=remedy) from None
