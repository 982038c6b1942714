"""``python -m analysis predict-arrays``: predictivity of responses that are no study's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from subjects.cli import Command, json_option, rich_progress, say

_file = click.Path(path_type=Path, dir_okay=False)


@click.command("predict-arrays", cls=Command)
@click.option("--units", required=True, type=_file,
              help=".npz: a layer an array, (n_images, n_units) or (n_images, n_channels, height, width).")
@click.option("--responses", required=True, type=_file,
              help=".npz: `responses` (sites x images) or `maps` (images x sites x rows x columns), repetitions first.")
@click.option("--out", required=True, type=_file, help="The table, a .tsv file.")
@click.option("--components", default=25, show_default=True, type=click.IntRange(min=1), help="Of a model, at most.")
@click.option("--splits", default=10, show_default=True, type=click.IntRange(min=2),
              help="Parts into which the images are dealt; of maps, one image is left out at a time.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of splits and halves.")
@click.option("--overwrite", is_flag=True, help="Replace the table that is there.")
@json_option
def predict_arrays(units: Path, responses: Path, out: Path, components: int, splits: int, seed: int, overwrite: bool,
                   as_json: bool) -> None:
    """Say how well a network's layers predict responses of your own: sites by images, or maps.

    Partial least squares on held-out images, beside the ceiling that repetitions leave. Images are joined by the array
    image_ids where both files have it.
    """
    from analysis.encoding.predictivity.arrays import score_files
    from subjects.settings.models import PredictivitySettings

    settings = PredictivitySettings(n_components=components, n_splits=splits)
    rows, reused = score_files(units, responses, out=out, settings=settings, seed=seed, overwrite=overwrite,
                               progress=rich_progress)
    say({"table": out, "reused": reused, "layers": rows}, as_json=as_json,
        text=[*_lines(rows), f"table {'already up to date' if reused else 'written'}: {out}"])


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        share = "no ceiling without repetitions" if row["reliability"] != row["reliability"] else \
            f"{row['of_highest']:.3f} of the highest, {row['of_reliability']:.3f} of the reliability"
        yield f"{row['layer']}: r {row['score']:.3f} +- {row['error']:.3f} ({share})"
