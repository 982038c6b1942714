"""The command that measures a list of networks alike, and draws them against their accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stimuli.alignment.commands.measures import scheme_options
from stimuli.alignment.commands.options import file_type, folder_type, hardware_options
from subjects.cli import Command, json_option, rich_progress, say

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from stimuli.alignment.trade_off.networks import Listed

_TABLE = click.Path(path_type=Path, dir_okay=False, resolve_path=True)


@click.command("trade-off", cls=Command)
@click.option("--network", "names", multiple=True, metavar="NAME", help="A network by name; may be given again.")
@click.option("--list", "table", type=_TABLE, default=None,
              help="Table of networks: network, and weights, preprocessing, label where wanted (tab-separated).")
@click.option("--images", default=None, type=folder_type,
              help="Folder of labelled photographs; networks of the drawn categories get drawings.")
@click.option("--labels", default=None, type=file_type,
              help="Their table of labels (default: labels.tsv in the folder, else class folders).")
@click.option("--study", default=None, type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
              help="A study whose RE images are measured.")
@click.option("--maps", default=None, type=click.Path(path_type=Path, resolve_path=True),
              help="Human importance maps, of the study's RE or with their own images: alignment too.")
@click.option("--predictivity", default=None, type=_TABLE,
              help="Table of how well networks predict neural responses: network, predictivity (tab-separated).")
@click.option("--ceiling", default=None, type=click.FloatRange(0, 1, min_open=True),
              help="Human ceiling where the maps are means (ClickMe: 0.6575).")
@click.option("--most", default=None, type=click.IntRange(min=1), help="Measure so many photographs.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of that choice.")
@scheme_options
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Networks side by side.")
@click.option("--out", required=True, type=folder_type, help="Folder of the tables and the figure.")
@json_option
@hardware_options
def trade_off(names: tuple[str, ...], table: Path | None, predictivity: Path | None, jobs: int, out: Path,
              scheme: str, norm: str, steps: int | None, device: str, threads: int | None, as_json: bool,
              **asked: Any) -> int:
    """Measure networks alike and draw accuracy against tolerance, alignment and predictivity.

    A network's table that is there and current is kept, so a list that was interrupted or grew is gone on with. Ends
    with 0 when every network was measured, with 1 when some could not be; they are named.
    """
    import pandas as pd

    from stimuli.alignment.tolerance.measure import Scheme
    from stimuli.alignment.trade_off.figure import write_figure
    from stimuli.alignment.trade_off.networks import Listed, read_networks, with_predictivity
    from stimuli.alignment.trade_off.run import Question, measure_networks, question_record
    from stimuli.networks.hardware import Hardware
    from subjects.provenance import FileFormat, sidecar
    from subjects.store import write_table

    networks: Sequence[Listed] = (*map(Listed, names), *(() if table is None else read_networks(table)))
    question = Question(out, scheme=Scheme(scheme, norm, steps),  # type: ignore[arg-type]
                        hardware=Hardware(device, threads or 1), **asked)
    with_predictivity(pd.DataFrame({"network": [one.name for one in networks]}), predictivity)  # refused before hours
    found, failed = measure_networks(networks, question, n_jobs=jobs, progress=rich_progress)
    whole = with_predictivity(found, predictivity)
    path = write_table(out / "trade_off.tsv", whole, overwrite=True)
    figures = write_figure(whole, out / "trade_off", norm=norm)
    sidecar(path, inputs={str(row["network"]): str(row["digest"]) for row in found.to_dict("records")},
            parameters=question_record(question), form=FileFormat("trade-off table", version=1))
    say({"table": path, "figures": list(figures), "failed": list(failed), "networks": whole.to_dict("records")},
        as_json=as_json, text=[_shown(whole), *(f"not measured: {one}" for one in failed), f"table: {path}",
                               f"figure: {figures[0]}" if figures else "no figure: nothing was found to draw"])
    return 1 if failed else 0


def _shown(table: pd.DataFrame) -> Table:
    """Lay the table out for a terminal."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    columns = {"network": ("network", "{}"), "images": ("images", "{}"), "n_images": ("n", "{}"),
               "accuracy": ("accuracy", "{:.3f}"), "tolerance": ("tolerance", "{:.4g}"),
               "alignment": ("alignment", "{:+.3f}"), "saliency": ("saliency", "{:+.3f}"),
               "predictivity": ("predictivity", "{:.3f}"), "seconds": ("s", "{:.0f}"), "peak_mib": ("MiB", "{:.0f}")}
    used = {name: told for name, told in columns.items() if name in table and table[name].notna().any()}
    for k, (title, _) in enumerate(used.values()):
        shown.add_column(title, justify="left" if k < 2 else "right")
    for row in table.to_dict("records"):
        shown.add_row(*("-" if row[name] != row[name] else form.format(row[name]) for name, (_, form) in used.items()))
    return shown
