"""The table of a network's alignment, an image a line, its sidecar, and how a terminal tells what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stimuli.alignment.images import LabelledImages
from stimuli.alignment.importance.agreement import HumanCeiling, human_ceiling
from stimuli.alignment.importance.maps import ImportanceMaps
from stimuli.alignment.scores import READINGS, Alignment, align, summarise_alignment, with_maps
from stimuli.alignment.tolerance.measure import Scheme
from stimuli.alignment.tolerance.table import COLUMNS as OF_TOLERANCE
from stimuli.alignment.tolerance.table import ToleranceSummary, summarise, tolerance_table
from stimuli.networks.registry import Network
from subjects.cli import ProgressWrapper, silent
from subjects.provenance import FileFormat, digest_array, is_current, rng, sidecar
from subjects.store import read_table, write_table

ALIGNMENT = FileFormat("alignment table", version=1)
COLUMNS = {**OF_TOLERANCE,
           "rho_perturbation": "Spearman's rho over pixels of the smallest perturbation and the importance map.",
           "rho_saliency": "The same of the gradient of the right category's logit.",
           "rho_random": "The same of normal noise: zero but for its error."}


@dataclass(frozen=True)
class AlignmentResult:
    """What a network's alignment comes to.

    Parameters
    ----------
    tolerance : ToleranceSummary
        Of the same images.
    scores : dict of str to Alignment
        By reading: ``rho_perturbation``, ``rho_saliency``, ``rho_random``.
    ceiling : HumanCeiling or float or None
        As estimated from the maps' people, or as it was given.
    """

    tolerance: ToleranceSummary
    scores: Mapping[str, Alignment]
    ceiling: HumanCeiling | float | None

    def record(self) -> dict[str, Any]:
        """Give what ``--json`` prints."""
        ceiling = asdict(self.ceiling) if isinstance(self.ceiling, HumanCeiling) else self.ceiling
        return {"tolerance": asdict(self.tolerance), "ceiling": ceiling,
                **{name: asdict(score) for name, score in self.scores.items()}}


def measure_alignment(path: Path | None, *, network: Network, images: LabelledImages, maps: ImportanceMaps,
                      scheme: Scheme, seed: int, overwrite: bool = False,
                      progress: ProgressWrapper = silent) -> pd.DataFrame:
    """Score a network on the images that have a map, into a table unless it is there and current.

    Parameters
    ----------
    path : Path or None
        Where the table goes; None writes none.
    network, images, maps, scheme, seed
        As :func:`stimuli.alignment.scores.align` takes them; images and maps are joined by ``image_id`` here.
    overwrite : bool
        Replace a table of other images, maps or schemes.
    progress : ProgressWrapper
        Told of batches.
    """
    images, maps = with_maps(images, maps, side=network.input_size)
    inputs: dict[str, Path | str] = {"network": network.digest, "images": images.digest,
                                     "maps": digest_array(maps.maps)}
    parameters = {**scheme.record(), "seed": seed}
    if path is not None and is_current(path, inputs=inputs, parameters=parameters):
        return read_table(path, text_columns=("image_id", "file", "category", "taken_for"))
    found = list(align(network, images, maps=maps, scheme=scheme, seed=seed, progress=progress))
    table = tolerance_table(images, [one for _, one in found if one is not None], network=network)
    for name in READINGS:
        table[name] = [getattr(score, name) for score, _ in found]
    if path is not None:
        write_table(path, table, overwrite=overwrite)
        sidecar(path, inputs=inputs, parameters=parameters, form=ALIGNMENT,
                extra={"Network": network.name, "Maps": maps.source, "Scale": "RGB in [0, 1]",
                       "Columns": {name: {"Description": said} for name, said in COLUMNS.items()}})
    return table


def alignment_result(table: pd.DataFrame, *, maps: ImportanceMaps, norm: str, seed: int,
                     ceiling: float | None = None) -> AlignmentResult:
    """Summarise a table; the ceiling is estimated from the maps' people unless it is given."""
    among = maps.among(table["image_id"])
    found = human_ceiling(among.participants, rng=rng(seed, "human ceiling")) if ceiling is None else ceiling
    scores = {name: summarise_alignment(table[name].to_numpy(dtype=np.float64), ceiling=found)
              for name in READINGS if name in table}
    return AlignmentResult(summarise(table, norm=norm), scores, found)


def ceiling_line(ceiling: HumanCeiling | float | None) -> str:
    """Say what the human ceiling is and where it comes from."""
    if ceiling is None:
        return "no human ceiling: the maps are means; give a published one with --ceiling, or single people's maps"
    if isinstance(ceiling, float):
        return f"human ceiling: {ceiling:.3f}, as given"
    return (f"human ceiling: {ceiling.split_half:.3f} between halves of people ({ceiling.n_images} images, "
            f"{ceiling.n_splits} splits), at most {ceiling.highest:.3f} with all of them")


def score_lines(scores: Mapping[str, Alignment]) -> list[str]:
    """Say each score in a line."""
    names = {"rho_perturbation": "perturbation", "rho_saliency": "saliency", "rho_random": "random perturbation"}
    lines = []
    for name, score in scores.items():
        share = "" if np.isnan(score.of_ceiling) else f", {round(100 * score.of_ceiling)} % of the ceiling"
        lines.append(f"{names[name]:<20} rho {score.mean:+.3f} +- {score.error:.3f} ({score.n_images} images){share}"
                     if score.n_images else f"{names[name]:<20} no image")
    return lines
