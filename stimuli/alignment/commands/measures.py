"""The commands that measure networks: tolerance and alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stimuli.alignment.commands.options import (
    asked_network,
    file_type,
    folder_type,
    hardware_options,
    network_options,
    replace_option,
)
from subjects.cli import Command, Name, json_option, rich_progress, say

if TYPE_CHECKING:
    from stimuli.alignment.commands.sources import Source
    from stimuli.alignment.importance.maps import ImportanceMaps
    from stimuli.alignment.tolerance.table import ToleranceSummary

_PATH = click.Path(path_type=Path, resolve_path=True)
_TABLE = click.Path(path_type=Path, dir_okay=False, resolve_path=True)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which images are measured."""
    for option in (
            click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of that choice."),
            click.option("--most", default=None, type=click.IntRange(min=1),
                         help="Measure so many photographs, chosen at random."),
            click.option("--resize", default=None, type=Name(("warp", "warp-crop", "crop")),
                         help="How photographs are brought to the input (default: the network's own rule)."),
            click.option("--labels", default=None, type=file_type,
                         help="Their table of labels (default: labels.tsv in the folder, else class folders)."),
            click.option("--images", default=None, type=folder_type,
                         help="Folder of labelled photographs, of any of the network's categories."),
            click.option("--study", default=None, type=click.Path(path_type=Path, file_okay=False),
                         help="A study: its network, its RE images, and where tables go.")):
        command = option(command)
    return command


def scheme_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how tolerance is measured."""
    for option in (
            click.option("--steps", default=None, type=click.IntRange(min=1),
                         help="Steps of an attack (default: 20 of refined, 3 of the others)."),
            click.option("--norm", default="l2", show_default=True, type=Name(("l2", "linf")), help="What is small."),
            click.option("--scheme", default="refined", show_default=True,
                         type=Name(("refined", "corrected", "published")),
                         help="refined: along the decision's border; corrected: L2-PGD inside a bisection, as the "
                              "paper describes; published: its script, to the letter.")):
        command = option(command)
    return command


@click.command(cls=Command)
@network_options("Which network, by name (default: the study's, else the one that ships).")
@source_options
@scheme_options
@click.option("--maps", default=None, type=_PATH, help="Importance maps whose images are measured.")
@click.option("--out", default=None, type=_TABLE, help="The table, a .tsv file (default: in the study's derivatives).")
@replace_option
@json_option
@hardware_options
def tolerance(scheme: str, norm: str, steps: int | None, out: Path | None, overwrite: bool, as_json: bool,
              device: str, threads: int | None, network: str | None, weights: Path | None,
              preprocessing: str | None, trust: bool, **source: Any) -> None:
    """Measure the smallest perturbation that changes the decision, of every image that is classified correctly.

    A float quantity: RGB in [0, 1], before any rounding. Without images, the 40 demo categories are drawn.
    """
    from stimuli.alignment.commands.sources import Source
    from stimuli.alignment.tolerance.measure import Scheme
    from stimuli.alignment.tolerance.measure import tolerance as measure
    from stimuli.alignment.tolerance.table import read_current, summarise, tolerance_table, write_tolerance
    from stimuli.networks.hardware import Hardware, computing
    from subjects.layout import network_label

    how, where, hardware = Scheme(scheme, norm, steps), Source(**source), Hardware(device, threads)  # type: ignore[arg-type]
    asked = asked_network(network=network, weights=weights, preprocessing=preprocessing, trust=trust)
    path = where.output(out, suffix="tolerance.tsv", network=network_label(network or "study"), scheme=scheme,
                        norm=norm)
    with computing(hardware):
        measured = where.network(asked, hardware=hardware)
        maps = None if where.maps is None else where.importance()
        images = where.labelled(measured, maps=maps, progress=rich_progress)
        table = read_current(path, network=measured, images=images, scheme=how)
        if table is None:
            found = list(measure(measured, images, scheme=how, progress=rich_progress))
            table = tolerance_table(images, found, network=measured)
            write_tolerance(path, table, network=measured, images=images, scheme=how, overwrite=overwrite)
    summary = summarise(table, norm=norm)
    say({"network": measured.name, **how.record(), **asdict(summary), "path": path}, as_json=as_json,
        text=[*_tolerance_lines(summary, network=measured.name, scheme=scheme, norm=norm), f"table: {path}"])


def _tolerance_lines(found: ToleranceSummary, *, network: str, scheme: str, norm: str) -> list[str]:
    name = {"l2": "L2", "linf": "Linf"}[norm]
    head = f"{network}: {found.n_correct} of {found.n_images} images correct ({100 * found.accuracy:.1f} %)"
    if found.n_reached == 0:
        return [head, f"no perturbation found that changes a decision ({scheme})"]
    return [head, (f"smallest {name} that changes the decision ({scheme}): median {found.median:.4g}, quartiles "
                   f"{found.lower:.4g} to {found.upper:.4g}, mean {found.mean:.4g}; found for {found.n_reached} of "
                   f"{found.n_correct}")]


@click.command(cls=Command)
@network_options("Which network, by name (default: the study's, else the one that ships).")
@source_options
@scheme_options
@click.option("--maps", required=True, type=_PATH,
              help="Human importance maps: a folder of .npz or of participants (sub-*), or ClickMe's TFRecord files.")
@click.option("--processing", default="none", show_default=True, type=Name(("none", "clickme")),
              help="clickme: smooth the maps first as the published code does with ClickMe's.")
@click.option("--ceiling", default=None, type=click.FloatRange(0, 1, min_open=True),
              help="Human ceiling where the maps are means (ClickMe: 0.6575); default: by split halves of people.")
@click.option("--of", "what", default="smallest", show_default=True, type=Name(("smallest", "set")),
              help="smallest: the smallest perturbations; set: the study's own AI, from their exported floats (of two "
                   "networks: of both, or of the one that --network names).")
@click.option("--out", default=None, type=_TABLE, help="The table, a .tsv file (default: in the study's derivatives).")
@replace_option
@json_option
@hardware_options
def alignment(scheme: str, norm: str, steps: int | None, processing: str, ceiling: float | None, what: str,
              out: Path | None, overwrite: bool, as_json: bool, device: str, threads: int | None,
              network: str | None, weights: Path | None, preprocessing: str | None, trust: bool, **source: Any) -> None:
    """Measure how far a network's perturbations and saliency fall on what people look at.

    Spearman's correlation over pixels with human importance maps, the mean over images, beside the human ceiling and a
    random perturbation.
    """
    from stimuli.alignment.commands.sources import Source
    from stimuli.alignment.score_table import alignment_result, ceiling_line, measure_alignment, score_lines
    from stimuli.alignment.tolerance.measure import Scheme
    from stimuli.networks.hardware import Hardware, computing
    from subjects.layout import network_label

    how, where, hardware = Scheme(scheme, norm, steps), Source(**source), Hardware(device, threads)  # type: ignore[arg-type]
    maps = where.importance(processing=processing)
    if what == "set":
        _of_set(where, maps, network=network, out=out, ceiling=ceiling, overwrite=overwrite, as_json=as_json)
        return
    asked = asked_network(network=network, weights=weights, preprocessing=preprocessing, trust=trust)
    path = where.output(out, suffix="alignment.tsv", network=network_label(network or "study"), scheme=scheme,
                        norm=norm)
    with computing(hardware):
        measured = where.network(asked, hardware=hardware)
        images = where.labelled(measured, maps=maps, progress=rich_progress)
        table = measure_alignment(path, network=measured, images=images, maps=maps, scheme=how, seed=where.seed,
                                  overwrite=overwrite, progress=rich_progress)
    found = alignment_result(table, maps=maps, norm=norm, seed=where.seed, ceiling=ceiling)
    say({"network": measured.name, **how.record(), **found.record(), "path": path}, as_json=as_json,
        text=[*_tolerance_lines(found.tolerance, network=measured.name, scheme=scheme, norm=norm),
              *score_lines(found.scores), ceiling_line(found.ceiling), f"table: {path}"])


def _of_set(where: Source, maps: ImportanceMaps, *, network: str | None, out: Path | None, ceiling: float | None,
            overwrite: bool, as_json: bool) -> None:
    """Score the study's own AI; of a set of two networks, those of both, or of the one that is named."""
    from stimuli.alignment.of_set import alignment_of_set
    from stimuli.alignment.score_table import ceiling_line, score_lines
    from subjects.errors import StoreError
    from subjects.layout import Layout

    if where.study is None:
        raise StoreError("--of set", came="no study", expected="the study whose AI are scored",
                         remedy="Name it with --study.")
    path = where.output(out, suffix="alignment.tsv", of="AI")
    scored = alignment_of_set(Layout(where.study).require(), maps, path=path, network=network, ceiling=ceiling,
                              seed=where.seed, overwrite=overwrite)
    first, *others = [one.record() for one in scored]
    lines = [line for one in scored for line in (one.line(), *score_lines({"rho_perturbation": one.score}))]
    say({**first, **({"second": others[0]} if others else {}), "path": path}, as_json=as_json,
        text=[*lines, ceiling_line(scored[0].ceiling), f"table: {path}"])


COMMANDS: tuple[click.Command, ...] = (tolerance, alignment)
"""What ``python -m stimuli`` offers beside the making of a set."""
