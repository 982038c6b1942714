"""``python -m subjects``: make a study, add subjects, print run sheets and settings, upgrade an older study."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from subjects.cli import group, json_option, main, optional_study_option, say, site_option, study_option, subject_option
from subjects.layout import Layout
from subjects.upkeep.cleaning import clean
from subjects.upkeep.freeze import freeze_command


def person_options(command: Any) -> Any:
    """Offer what may be said of a person, all of it optional."""
    for option in (
        click.option("--consent", type=click.Choice(["yes", "no"]), default=None,
                     help="Whether consent was given in writing; the document stays elsewhere."),
        click.option("--language", default=None, help="First language, for example en or zh-Hans."),
        click.option("--naive", type=click.Choice(["yes", "no"]), default=None,
                     help="Whether the subject knew neither hypotheses nor how images were made."),
        click.option("--handedness", type=click.Choice(["R", "L", "A"]), default=None, help="Right, left, both."),
        click.option("--sex", type=click.Choice(["F", "M", "O"]), default=None, help="Female, male, other."),
        click.option("--age", type=int, default=None, help="Whole years, 89 for whoever is older; never a date."),
    ):
        command = option(command)
    return command


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
@click.option("--swap-keys/--no-swap-keys", default=None, help="Exchange the two buttons for this subject, or not "
              "(default: as main.counterbalance_keys says).")
@click.option("--virtual", is_flag=True, help="The subject is simulated.")
@person_options
@site_option
@json_option
def add(study: Path, sub: str, swap_keys: bool | None, virtual: bool, site: Path | None, as_json: bool,
        **person: Any) -> None:
    """Add a subject by pseudonym. No name, birth date or contact is ever stored."""
    from dataclasses import asdict

    from subjects.dataset import Person
    from subjects.profile import next_mapping, register, require_even_shares
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    settings = load_settings(study, site=site)  # a study that cannot be read gets no subject
    require_even_shares(settings.stimuli, n_sessions=settings.main.sessions)
    if swap_keys is None:
        swap_keys = not virtual and settings.main.counterbalance_keys and next_mapping(layout, settings, sub=sub)
    told = Person(**person)
    profile = register(layout, sub, swap_keys=swap_keys, virtual=virtual, person=told)
    said = ", buttons exchanged" if profile.swap_keys else ""
    say({**asdict(profile), **told.told()}, as_json=as_json, text=f"subject added: {sub}{said}")


@cli.command()
@study_option
@subject_option
@person_options
@json_option
def describe(study: Path, sub: str, as_json: bool, **person: Any) -> None:
    """Enter or correct what participants.tsv says of a subject."""
    from subjects.dataset import Person, write_row
    from subjects.profile import load_profile

    layout = Layout(study).require()
    load_profile(layout, sub)
    told = Person(**person).told()
    if not told:
        raise click.UsageError("Nothing to enter: give --age, --sex, --handedness, --naive, --language or --consent.")
    write_row(layout, sub, row=told)
    say({"sub": sub, **told}, as_json=as_json,
        text=f"{sub}: {', '.join(f'{name} {value}' for name, value in told.items())}")


@cli.command()
@study_option
@subject_option
@site_option
@json_option
def plan(study: Path, sub: str, site: Path | None, as_json: bool) -> None:
    """Print the run sheet: which images in which session, runs, seeds, the scans between them."""
    from subjects.plan.run_sheet import run_sheet
    from subjects.plan.sheet_tables import sheet_record, sheet_tables
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


@cli.command()
@study_option
@subject_option
@click.option("--ses", required=True, help="Session label, for example 01.")
@click.option("--scan", "kind", required=True, help="What was scanned: localizer, 'field map' or T1.")
@click.option("--number", type=click.IntRange(min=1), default=None,
              help="Which of them (default: the first that is not ticked off).")
@click.option("--series", type=click.IntRange(min=1), default=None, help="The scanner's number of the series.")
@click.option("--undo", is_flag=True, help="Take a tick back.")
@click.option("--anyway", is_flag=True, help="Keep a series number that something else of the session has.")
@site_option
@json_option
def tick(study: Path, sub: str, ses: str, kind: str, number: int | None, series: int | None, undo: bool, anyway: bool,
         site: Path | None, as_json: bool) -> None:
    """Tick off a scan beside the runs, with the time and, where it is known, the number of its series."""
    from subjects.errors import ScheduleError
    from subjects.plan import checklist
    from subjects.plan.run_sheet import run_sheet
    from subjects.plan.series_numbers import require_free_number
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    sheet = run_sheet(layout, load_settings(study, site=site), sub=sub)
    if ses not in sheet.sessions:
        raise ScheduleError("session", came=repr(ses), expected=f"one of {', '.join(sheet.sessions)}",
                            remedy="See `python -m subjects plan`.")
    if undo and number is None:
        raise click.UsageError("--undo wants --number: which tick is to be taken back")
    scan = checklist.find_scan(sheet.scans, ses=ses, kind=kind, number=number)
    if series is not None and not anyway:
        require_free_number(layout, series, sub=sub, ses=ses, mine=f"{scan.kind} {scan.number}")
    if undo:
        checklist.untick(layout, scan, sub=sub)
    else:
        checklist.tick(layout, scan, sub=sub, series=series)
    said = "open again" if undo else "ticked off"
    say({"sub": sub, "ses": ses, "scan": scan.kind, "number": scan.number, "done": not undo, "series": series},
        as_json=as_json, text=f"{scan.name}: {said}")


@cli.command()
@study_option
@subject_option
@click.option("--ses", required=True, help="Session label, for example 01.")
@click.option("--task", required=True, help="Which paradigm, for example main.")
@click.option("--run", "run_number", required=True, type=click.IntRange(min=1), help="Run number, from 1.")
@click.option("--attempt", type=click.IntRange(min=1), default=None, help="Which attempt (default: the last).")
@click.option("--number", required=True, type=click.IntRange(min=1), help="The scanner's number of the series.")
@click.option("--anyway", is_flag=True, help="Keep a series number that something else of the session has.")
@json_option
def series(study: Path, sub: str, ses: str, task: str, run_number: int, attempt: int | None, number: int, anyway: bool,
           as_json: bool) -> None:
    """Enter the scanner's series of an attempt at a run."""
    from subjects.plan.series_numbers import last_played, note_series, require_free_number
    from subjects.run_key import RunKey

    layout, key = Layout(study).require(), RunKey(sub, ses, task, run_number)
    which = last_played(layout, key) if attempt is None else attempt
    if not anyway:
        require_free_number(layout, number, sub=sub, ses=ses, mine=f"{task} run {run_number}, attempt {which}")
    note_series(layout, key, attempt=which, number=number)
    say({**key.entities(), "attempt": which, "series": number}, as_json=as_json,
        text=f"{task} run {run_number}, attempt {which}: series {number}")


@cli.command()
@study_option
@subject_option
@click.option("--json-folder", "folder", required=True, type=click.Path(path_type=Path),
              help="Where the images' JSON files are, at any depth.")
@click.option("--ses", default=None, help="One session alone.")
@click.option("--offset", "offset_s", type=float, default=None,
              help="Scanner's clock minus the console's UTC, in seconds (default: estimated).")
@click.option("--write", is_flag=True, help="Keep the numbers of the series that fit with their attempts.")
@json_option
def match(study: Path, sub: str, folder: Path, ses: str | None, offset_s: float | None, write: bool,
          as_json: bool) -> int:
    """Join the scanner's series to the attempts at runs by the clock. Ends with 1 where something does not fit."""
    from subjects.plan.match import keep_match, match_lines, match_subject
    from subjects.profile import load_profile

    layout = Layout(study).require()
    load_profile(layout, sub)
    if offset_s is not None and not math.isfinite(offset_s):
        raise click.BadParameter(f"{offset_s} is not a finite number of seconds.", param_hint="--offset")
    found = match_subject(layout, sub=sub, folder=folder, ses=ses, offset_s=offset_s)
    n_kept = keep_match(layout, found) if write else 0
    say({**found.to_json(), "kept": n_kept}, as_json=as_json,
        text=[*match_lines(found), *([f"kept with {n_kept} attempts"] if write else [])])
    return 0 if found.fits else 1


cli.add_command(clean)
cli.add_command(freeze_command)


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
