"""The table of a network's tolerance, an image a line, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stimuli.alignment.images import LabelledImages
from stimuli.alignment.tolerance.measure import Scheme, Tolerated
from stimuli.networks.registry import Network
from subjects.provenance import FileFormat, is_current, sidecar
from subjects.store import read_table, write_table

TOLERANCE = FileFormat("tolerance table", version=1)
COLUMNS = {
    "image_id": "Digest of the image's pixels before it was brought to the network's input.",
    "file": "Where the image came from.",
    "category": "What it shows, by the network's name of it.",
    "correct": "Whether the network classifies it correctly; others are not measured.",
    "reached": "Whether a perturbation was found that changes the decision.",
    "l2": "L2 of the smallest perturbation found, RGB in [0, 1], before any rounding.",
    "linf": "Its largest absolute value.",
    "taken_for": "The category that the perturbed image is taken for.",
}


@dataclass(frozen=True)
class ToleranceSummary:
    """What a table comes to.

    Parameters
    ----------
    n_images, n_correct, n_reached : int
        Images; those classified correctly; those of them for which a perturbation was found.
    accuracy : float
        Share of correct ones.
    median, lower, upper, mean : float
        Of the size in the scheme's norm, and its quartiles; NaN where none was found.
    """

    n_images: int
    n_correct: int
    n_reached: int
    accuracy: float
    median: float
    lower: float
    upper: float
    mean: float


def tolerance_table(images: LabelledImages, found: Sequence[Tolerated], *, network: Network) -> pd.DataFrame:
    """Lay out what was measured; see :data:`COLUMNS`."""
    by_place = {one.index: one for one in found}
    rows = []
    for k, (image_id, file) in enumerate(zip(images.image_ids, images.files, strict=True)):
        one = by_place.get(k)
        taken_for = None if one is None or one.taken_for is None else network.class_names[one.taken_for]
        rows.append({"image_id": image_id, "file": file, "category": network.class_names[images.labels[k]],
                     "correct": one is not None, "reached": one is not None and one.reached,
                     "l2": np.nan if one is None else one.l2, "linf": np.nan if one is None else one.linf,
                     "taken_for": taken_for})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def summarise(table: pd.DataFrame, *, norm: str) -> ToleranceSummary:
    """Give counts, accuracy and quartiles of a table."""
    correct, reached = table["correct"].astype(bool), table["reached"].astype(bool)
    sizes = table.loc[reached, norm].to_numpy(dtype=np.float64)
    lower, median, upper = np.quantile(sizes, [0.25, 0.5, 0.75]) if len(sizes) else (np.nan,) * 3
    return ToleranceSummary(len(table), int(correct.sum()), int(reached.sum()), float(correct.mean()), float(median),
                            float(lower), float(upper), float(sizes.mean()) if len(sizes) else np.nan)


def inputs_of(network: Network, images: LabelledImages) -> dict[str, Path | str]:
    """Name what a table is made from, for its sidecar."""
    return {"network": network.digest, "images": images.digest}


def read_current(path: Path, *, network: Network, images: LabelledImages, scheme: Scheme) -> pd.DataFrame | None:
    """Read a table that is there and was made from these very images, network and scheme; None otherwise."""
    if not is_current(path, inputs=inputs_of(network, images), parameters=scheme.record()):
        return None
    return read_table(path, text_columns=("image_id", "file", "category", "taken_for"))


def write_tolerance(path: Path, table: pd.DataFrame, *, network: Network, images: LabelledImages, scheme: Scheme,
                    overwrite: bool = False) -> Path:
    """Write a table and its sidecar."""
    write_table(path, table, overwrite=overwrite)
    sidecar(path, inputs=inputs_of(network, images), parameters=scheme.record(), form=TOLERANCE,
            extra={"Network": network.name, "Scale": "RGB in [0, 1]",
                   "Columns": {name: {"Description": said} for name, said in COLUMNS.items()}})
    return path
