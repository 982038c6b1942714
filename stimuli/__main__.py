"""``python -m stimuli``: make, check and show a stimulus set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subjects.console import main, rich_progress, study_option
from subjects.errors import StoreError
from subjects.layout import Layout
from subjects.settings import load_settings

if TYPE_CHECKING:
    from stimuli.check import Verdict
    from subjects.settings import Settings


@click.group(help=__doc__)
def cli() -> None:
    pass


threads_option = click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1),
                              help="CPU threads of the network.")
_folder = click.Path(path_type=Path, file_okay=False, resolve_path=True)
_file = click.Path(path_type=Path, dir_okay=False, resolve_path=True)
images_option = click.option("--images", type=_folder, default=None,
                             help="Folder of photographs for RE (default: stimuli.images; unset: RE are drawn).")
labels_option = click.option("--labels", type=_file, default=None,
                             help="Their table of labels (default: stimuli.labels, then labels.tsv in the folder).")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what stands there.")


@cli.command()
@study_option
@click.option("--network", default=None, help="The judge (default: the setting stimuli.network).")
@images_option
@labels_option
@overwrite_option
@threads_option
def build(study: Path, network: str | None, images: Path | None, labels: Path | None, overwrite: bool,
          threads: int) -> None:
    """Make the RE, AN and AI images and their manifest; what stands and is current is reused.

    A set whose making was interrupted is completed. A set made with other settings is
    replaced with --overwrite only.
    """
    from stimuli.build import build as make
    from stimuli.build import fillings

    layout = Layout(study).require()
    settings = _with_photographs(study, images=images, labels=labels)
    made = make(layout, settings, network=network, overwrite=overwrite, threads=threads, progress=rich_progress)
    state = "already current, reused" if made.reused else "made"
    for line in fillings(made.manifest, settings):
        click.echo(line)
    click.echo(f"{len(made.manifest)} images {state}: {layout.manifest}")


def _with_photographs(study: Path, *, images: Path | None, labels: Path | None) -> Settings:
    given = {"stimuli.images": images, "stimuli.labels": labels}
    return load_settings(study, overrides={key: str(path) for key, path in given.items() if path is not None})


@cli.command()
@study_option
@click.option("--network", default=None, help="The judge (default: the setting stimuli.network).")
@images_option
@labels_option
@threads_option
def candidates(study: Path, network: str | None, images: Path | None, labels: Path | None, threads: int) -> int:
    """Screen the photographs for RE, and make no image.

    Writes stimuli/candidates.tsv: every candidate, its P and why it fell out. Ends with 0 if every class has its
    images, with 1 if one falls short, with 2 if something cannot be read.
    """
    from rich.console import Console

    from stimuli.candidate_report import report_path, screen_only
    from stimuli.candidate_view import below_lines, selection_table

    layout, settings = Layout(study).require(), _with_photographs(study, images=images, labels=labels)
    made = screen_only(layout, settings, network=network, threads=threads, progress=rich_progress)
    Console().print(selection_table(made, classes=settings.stimuli.classes,
                                    title=f"P > {settings.stimuli.re_p:g}, one photograph a category"))
    for line in [*below_lines(made), f"{len(made.verdicts)} candidates: {report_path(layout)}"]:
        click.echo(line)
    wanted = settings.stimuli.per_class * len(settings.stimuli.classes)
    return 0 if len(made.chosen) == wanted else 1


@cli.command()
@study_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@threads_option
def check(study: Path, as_json: bool, threads: int) -> int:
    """Check every rule from the files alone.

    Ends with 0 only if every image holds, with 1 if a rule is broken, with 2 if a file is
    missing or was changed.
    """
    from stimuli.check import check as judge

    layout = Layout(study).require()
    verdict = judge(layout, load_settings(study), threads=threads, progress=rich_progress)
    click.echo(json.dumps(verdict.to_json(), indent=2)) if as_json else _print(verdict)
    return 0 if verdict.ok else 1


def _print(verdict: Verdict) -> None:
    from rich.console import Console

    from stimuli.check_view import failure_lines, summary, verdict_table

    console = Console()
    console.print(verdict_table(verdict))
    for line in failure_lines(verdict):
        click.echo(line)
    click.echo(summary(verdict))


@cli.command()
@study_option
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A PNG file.")
@overwrite_option
def sheet(study: Path, out: Path, overwrite: bool) -> None:
    """Draw the contact sheet: RE, AN and AI with labels and P."""
    from stimuli.sheet import write_sheet

    click.echo(f"sheet: {write_sheet(Layout(study).require(), out, overwrite=overwrite)}")


@cli.command()
@study_option
@click.option("--network", default=None, help="Whose units (default: the setting stimuli.network).")
@threads_option
def features(study: Path, network: str | None, threads: int) -> None:
    """Take every layer's responses to the whole set, for the analysis."""
    from stimuli.features import extract

    layout = Layout(study).require()
    made = extract(layout, load_settings(study), network=network, threads=threads, progress=rich_progress)
    state = "already current, reused" if made.reused else "taken"
    click.echo(f"{made.n_layers} layers x {made.n_images} images {state}: {made.store.path}")


@cli.command()
def networks() -> None:
    """List the networks that can judge."""
    from stimuli.network import NETWORKS, load_network

    for network in map(load_network, NETWORKS):
        click.echo(f"{network.name}: {len(network.class_names)} classes, input {network.input_size} px, "
                   f"{len(network.layers)} layers, digest {network.digest}")


@cli.command("train-demo")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder for the weights (default: beside the program, where the network is loaded from).")
@click.option("--seed", default=20210, show_default=True, type=click.IntRange(min=0))
@click.option("--per-category", default=120, show_default=True, type=click.IntRange(min=1))
@click.option("--epochs", default=16, show_default=True, type=click.IntRange(min=1))
@overwrite_option
def train_demo(out: Path | None, seed: int, per_category: int, epochs: int, overwrite: bool) -> None:
    """Train the network that ships with the project (about 16 CPU minutes).

    Sets that were made with weights that are replaced no longer pass the check.
    """
    from stimuli import demo_network

    weights = (out or demo_network.DATA) / demo_network.WEIGHTS_FILE
    if weights.exists() and not overwrite:
        raise StoreError(str(weights), came="weights that exist already", expected="a free name",
                         remedy="Nothing was trained; name another folder with --out, or add --overwrite.")
    record = demo_network.train_demo(out, seed=seed, per_category=per_category, epochs=epochs, progress=rich_progress)
    click.echo(f"validation accuracy {record['validation_accuracy']:.3f}: {weights}")


if __name__ == "__main__":
    main(cli)
