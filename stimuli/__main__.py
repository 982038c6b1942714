"""``python -m stimuli``: make, check and show a stimulus set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subjects.console import main, rich_progress, study_option
from subjects.layout import Layout
from subjects.settings import load_settings

if TYPE_CHECKING:
    from stimuli.check import Verdict


@click.group(help=__doc__)
def cli() -> None:
    pass


@cli.command()
@study_option
@click.option("--network", default=None, help="The judge (default: the setting stimuli.network).")
@click.option("--overwrite", is_flag=True, help="Replace a set made with other settings.")
def build(study: Path, network: str | None, overwrite: bool) -> None:
    """Make the RE, AN and AI images and their manifest."""
    from stimuli.build import build as make

    layout = Layout(study).require()
    made = make(layout, load_settings(study), network=network, overwrite=overwrite, progress=rich_progress)
    state = "already current, reused" if made.reused else "made"
    click.echo(f"{len(made.manifest)} images {state}: {layout.manifest}")


@cli.command()
@study_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def check(study: Path, as_json: bool) -> int:
    """Check every rule from the files alone. Ends with 0 only if every image holds, else 1."""
    from stimuli.check import check as judge

    layout = Layout(study).require()
    verdict = judge(layout, load_settings(study), progress=rich_progress)
    click.echo(json.dumps(verdict.to_json(), indent=2)) if as_json else _print(verdict)
    return 0 if verdict.ok else 1


def _print(verdict: Verdict) -> None:
    from rich.console import Console

    from stimuli.check_view import verdict_table

    console = Console()
    console.print(verdict_table(verdict))
    for failure in verdict.set_failures:
        console.print(f"set: {failure}")
    good = verdict.n_images - verdict.n_failed
    console.print(f"{good} of {verdict.n_images} images hold (network {verdict.network})")


@cli.command()
@study_option
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A PNG file.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it stands.")
def sheet(study: Path, out: Path, overwrite: bool) -> None:
    """Draw the contact sheet: RE, AN and AI with labels and P."""
    from stimuli.sheet import write_sheet

    click.echo(f"sheet: {write_sheet(Layout(study).require(), out, overwrite=overwrite)}")


@cli.command()
@study_option
@click.option("--network", default=None, help="Whose units (default: the setting stimuli.network).")
def features(study: Path, network: str | None) -> None:
    """Take the 8 layers' responses to the whole set, for the analysis."""
    from stimuli.features import extract

    layout = Layout(study).require()
    made = extract(layout, load_settings(study), network=network, progress=rich_progress)
    state = "already current, reused" if made.reused else "taken"
    click.echo(f"{made.n_layers} layers x {made.n_images} images {state}: {made.store.path}")


@cli.command()
def networks() -> None:
    """List the networks that can judge."""
    from stimuli.network import NETWORKS, load_network

    for name in NETWORKS:
        network = load_network(name)
        click.echo(f"{name}: {len(network.class_names)} classes, input {network.input_size} px, digest {network.digest}")


@cli.command("train-demo")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the weights.")
@click.option("--seed", default=20210, show_default=True, type=click.IntRange(min=0))
@click.option("--per-category", default=120, show_default=True, type=click.IntRange(min=1))
@click.option("--epochs", default=16, show_default=True, type=click.IntRange(min=1))
def train_demo(out: Path, seed: int, per_category: int, epochs: int) -> None:
    """Train the network that ships with the project (about 10 CPU minutes)."""
    from stimuli.demo_network import train_demo as train

    record = train(out, seed=seed, per_category=per_category, epochs=epochs, progress=rich_progress)
    click.echo(f"validation accuracy {record['validation_accuracy']:.3f}, weights in {out}")


if __name__ == "__main__":
    main(cli)
