"""``python -m subjects``: make a study, add subjects, print run sheets and settings."""

from __future__ import annotations

from pathlib import Path

import click

from subjects.cli import group, main, study_option, subject_option
from subjects.layout import Layout


@group(help=__doc__)
def cli() -> None:
    pass


@cli.command()
@study_option
@click.option("--name", default="adversarial-fmri study", show_default=True, help="The study's name.")
@click.option("--seed", default=20210, show_default=True, type=click.IntRange(min=0), help="The study's one seed.")
def init(study: Path, name: str, seed: int) -> None:
    """Make a study's folder: a valid BIDS dataset with the protocol's settings."""
    from subjects.dataset import init_study

    init_study(Layout(study), name=name, seed=seed)
    click.echo(f"study made: {study}  (settings in {study / 'study.toml'})")


@cli.command()
@study_option
@subject_option
@click.option("--swap-keys", is_flag=True, help="Exchange the two buttons for this subject.")
@click.option("--virtual", is_flag=True, help="The subject is simulated.")
def add(study: Path, sub: str, swap_keys: bool, virtual: bool) -> None:
    """Add a subject by pseudonym. No name, birth date or contact is ever stored."""
    from subjects.profile import register
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    load_settings(study)  # a study that cannot be read gets no subject
    register(layout, sub, swap_keys=swap_keys, virtual=virtual)
    click.echo(f"subject added: {sub}")


@cli.command()
@study_option
@subject_option
def plan(study: Path, sub: str) -> None:
    """Print the run sheet: which images in which session, runs, seeds."""
    from rich.console import Console

    from subjects.plan import run_sheet, sheet_tables
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    sheet = run_sheet(layout, load_settings(study), sub=sub)
    console = Console()
    for table in sheet_tables(sheet):
        console.print(table)


@cli.command()
@study_option
def settings(study: Path) -> None:
    """Print every setting in force, as TOML."""
    from subjects.settings.loading import as_toml, load_settings

    Layout(study).require()
    click.echo(as_toml(load_settings(study).model_dump(mode="json")))


if __name__ == "__main__":
    main(cli)
