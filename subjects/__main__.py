"""``python -m subjects``: make a study, add subjects, print run sheets and settings, upgrade an older study."""

from __future__ import annotations

from pathlib import Path

import click

from subjects.cli import group, json_option, main, optional_study_option, say, site_option, study_option, subject_option
from subjects.layout import Layout
from subjects.upkeep.cleaning import clean


@group(help=__doc__)
def cli() -> None:
    pass


@cli.command()
@study_option
@click.option("--name", default="adversarial-fmri study", show_default=True, help="The study's name.")
@click.option("--seed", default=20210, show_default=True, type=click.IntRange(min=0), help="The study's one seed.")
@json_option
def init(study: Path, name: str, seed: int, as_json: bool) -> None:
    """Make a study's folder: a valid BIDS dataset, with every setting and its default in study.toml."""
    from subjects.dataset import init_study

    layout = init_study(Layout(study), name=name, seed=seed)
    say({"study": layout.root, "settings": layout.settings_file, "name": name, "seed": seed}, as_json=as_json,
        text=f"study made: {study}  (settings in {layout.settings_file})")


@cli.command()
@study_option
@subject_option
@click.option("--swap-keys", is_flag=True, help="Exchange the two buttons for this subject.")
@click.option("--virtual", is_flag=True, help="The subject is simulated.")
@json_option
def add(study: Path, sub: str, swap_keys: bool, virtual: bool, as_json: bool) -> None:
    """Add a subject by pseudonym. No name, birth date or contact is ever stored."""
    from dataclasses import asdict

    from subjects.profile import register, require_even_shares
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    settings = load_settings(study)  # a study that cannot be read gets no subject
    require_even_shares(settings.stimuli, n_sessions=settings.main.sessions)
    profile = register(layout, sub, swap_keys=swap_keys, virtual=virtual)
    say(asdict(profile), as_json=as_json, text=f"subject added: {sub}")


@cli.command()
@study_option
@subject_option
@site_option
@json_option
def plan(study: Path, sub: str, site: Path | None, as_json: bool) -> None:
    """Print the run sheet: which images in which session, runs, seeds."""
    from subjects.plan import run_sheet, sheet_record, sheet_tables
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    sheet = run_sheet(layout, load_settings(study, site=site), sub=sub)
    say(sheet_record(sheet), as_json=as_json, text=sheet_tables(sheet))


@cli.command()
@optional_study_option
@site_option
@json_option
@click.option("--markdown", is_flag=True, help="Describe every setting instead: default, choices, meaning, source.")
def settings(study: Path | None, site: Path | None, as_json: bool, markdown: bool) -> None:
    """Print every setting in force, as TOML."""
    from subjects.settings.loading import as_toml, load_settings
    from subjects.settings.reference import as_markdown

    if markdown:
        click.echo(as_markdown(), nl=False)
        return
    if study is not None:
        Layout(study).require()
    found = load_settings(study, site=site).model_dump(mode="json")
    say(found, as_json=as_json, text=as_toml(found))


cli.add_command(clean)


@cli.command()
@study_option
@click.option("--dry-run", is_flag=True, help="Say what would change and write nothing.")
@json_option
def upgrade(study: Path, dry_run: bool, as_json: bool) -> None:
    """Bring a study that an older release made to today's format.

    Commands read older studies as they are. This changes study.toml and the JSON files that describe others, and
    copies each to sourcedata/before-upgrade first; no image, table or time series is touched.
    """
    from dataclasses import asdict

    from subjects.upkeep.upgrade import upgrade as bring
    from subjects.upkeep.upgrade import upgrade_lines

    found = bring(Layout(study), dry_run=dry_run)
    say({**asdict(found), "dry_run": dry_run}, as_json=as_json, text=upgrade_lines(found, dry_run=dry_run))


if __name__ == "__main__":
    main(cli)
