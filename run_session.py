"""The console's entry: rehearse a whole study, run a scan, recover what a crash left.

This file joins the four folders and computes nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click

from analysis.jobs import run_jobs
from analysis.steps import STEPS, Request, Step
from paradigms.console.commands import COMMANDS
from paradigms.console.options import accept_option, buttons_option, device_settings, fault_option, trust_option
from subjects.cli import (
    Name,
    ProgressWrapper,
    group,
    json_option,
    main,
    rich_progress,
    say,
    site_option,
    study_option,
    subject_option,
)
from subjects.errors import LayoutError, StimulusError
from subjects.layout import Layout
from subjects.machine import usable_cores
from subjects.run_key import RunKey, label
from subjects.settings.devices import DISPLAY_HELP, DISPLAYS, SCANNERS
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

DEMO_SEED = 20210
DEMO_CHANGES = {"glm": {"run_bootstraps": 20}, "prf": {"vertices": "regions", "max_vertices": 500},
                "roi": {"bias_draws": 20}}
"""Where the study of a rehearsal leaves the defaults: all bootstraps, draws and every vertex's fields take minutes."""
STDERR = 2


@dataclass(frozen=True)
class Rehearsal:
    """One study to be rehearsed, and the virtual subjects that take part."""

    layout: Layout
    settings: Settings
    subjects: tuple[str, ...]
    n_jobs: int = 1


@group(help=__doc__)
def cli() -> None:
    """Group the commands."""


@cli.command()
@study_option
@click.option("--seed", type=click.IntRange(min=0), default=None, help=f"Seed of a new study (default {DEMO_SEED}).")
@click.option("--subjects", type=click.IntRange(min=1, max=99), default=2, show_default=True,
              help="How many virtual subjects take part.")
@click.option("--no-window", is_flag=True, help="Leave out the excerpt in a real window.")
@click.option("--jobs", "n_jobs", type=click.IntRange(min=1), default=None,
              help="How many subjects are worked on at a time (default: one a processor).")
def rehearse(study: Path, seed: int | None, subjects: int, no_window: bool, n_jobs: int | None) -> None:
    """Play a whole study: images, scans on an emulated scanner, virtual BOLD, analysis, report.

    Whatever is there already and current is reused, and said to be.
    """
    rehearsal = replace(open_rehearsal(Layout(study), seed=seed, subjects=subjects),
                        n_jobs=n_jobs or min(subjects, usable_cores()))
    tasks = {name for name, section in rehearsal.settings.paradigms().items()
             if any(section.planned_runs(n_images=1))}
    steps: tuple[tuple[str, Callable[[Rehearsal], str]], ...] = (
        ("stimulus set", build_stimuli), ("check", check_stimuli), ("textures", render_textures),
        ("features", store_features), ("scans", play_scans), ("window", skip_window if no_window else play_excerpt),
        *((step.title, partial(analyse, step=step)) for step in STEPS.values()
          if step.rehearsed and step.task in tasks),
    )
    for k, (name, step) in enumerate(steps, start=1):
        start = time.perf_counter()
        said = step(rehearsal)
        click.echo(f"[{k:2d}/{len(steps)}] {name:<13} {said} ({time.perf_counter() - start:.1f} s)")
    click.echo(f"report: {rehearsal.layout.report}")


def open_rehearsal(layout: Layout, *, seed: int | None, subjects: int) -> Rehearsal:
    """Open a study for rehearsal, or make it, and see that its virtual subjects are there."""
    from subjects.dataset import init_study
    from subjects.profile import register

    if not layout.settings_file.is_file():
        init_study(layout, name="Rehearsal", seed=DEMO_SEED if seed is None else seed, changes=DEMO_CHANGES)
        click.echo(f"study made: {layout.root}")
    settings = load_settings(layout.root)
    if seed not in (None, settings.study.seed):
        raise LayoutError(str(layout.settings_file), came=f"a study of seed {settings.study.seed}",
                          expected=f"seed {seed}", remedy="Leave --seed out, or rehearse in another folder.")
    names = tuple(label("sub", k) for k in range(1, subjects + 1))
    for sub in names:
        if sub not in layout.subjects():
            register(layout, sub, virtual=True)
    return Rehearsal(layout, settings, names)


def build_stimuli(rehearsal: Rehearsal) -> str:
    """Make the 120 images, or find them made."""
    from stimuli.image_set.build import build
    from stimuli.image_set.contact_sheet import write_sheet

    made = build(rehearsal.layout, rehearsal.settings, progress=rich_progress)
    sheet = rehearsal.layout.derivatives("report") / "stimuli.png"
    write_sheet(rehearsal.layout, sheet, overwrite=True)
    return _reused(made.reused, f"{len(made.manifest)} images")


def check_stimuli(rehearsal: Rehearsal) -> str:
    """Check every image again from its file."""
    from stimuli.image_set.check import check

    verdict = check(rehearsal.layout, rehearsal.settings, progress=rich_progress)
    if not verdict.ok:
        raise StimulusError(str(rehearsal.layout.manifest), came=f"{verdict.n_failed} images outside the rules",
                            expected="every image within the rules",
                            remedy=f"See `python -m stimuli check --study {rehearsal.layout.argument}`.")
    return f"all {verdict.n_images} images within the rules"


def render_textures(rehearsal: Rehearsal) -> str:
    """Render what retinotopic mapping and the LO localizer show."""
    from stimuli.textures.render import render

    made = render(rehearsal.layout, rehearsal.settings, progress=rich_progress)
    return _reused(made.reused, f"{len(made.table.rows)} pictures")


def store_features(rehearsal: Rehearsal) -> str:
    """Take the 8 layers' responses to the 120 images."""
    from stimuli.image_set.exports.feature_extraction import extract

    made = extract(rehearsal.layout, rehearsal.settings, progress=rich_progress)
    return _reused(made.reused, f"{made.n_layers} layers x {made.n_images} images")


def play_scans(rehearsal: Rehearsal) -> str:
    """Play every run of every subject in virtual time, through the engine that plays real ones."""
    from subjects.plan.run_sheet import run_sheet

    planned = [item for sub in rehearsal.subjects
               for item in run_sheet(rehearsal.layout, rehearsal.settings, sub=sub).runs]
    waiting = [[item.key for item in planned if item.key.sub == sub and not item.done] for sub in rehearsal.subjects]
    calls = [partial(_play_in_virtual_time, rehearsal, keys) for keys in waiting if keys]
    run_jobs(calls, n_jobs=rehearsal.n_jobs, label="scans in virtual time", progress=rich_progress)
    volumes = sum(item.n_volumes for item in planned)
    return _reused(not calls, f"{len(planned)} runs, {volumes} volumes")


def _play_in_virtual_time(rehearsal: Rehearsal, keys: Sequence[RunKey], progress: ProgressWrapper) -> None:
    """Play the runs of a subject one after another."""
    from paradigms.playing.play_run import play_run

    for key in progress(keys, label=f"scans of sub-{keys[0].sub}"):
        play_run(rehearsal.layout, rehearsal.settings, key=key, scanner="emulated", display="virtual")


def play_excerpt(rehearsal: Rehearsal) -> str:
    """Play ten trials at real pace in a real window, with pulses and presses sent as key events."""
    from paradigms.playing.excerpt import play_excerpt as play

    return play(rehearsal.layout, rehearsal.settings, sub=rehearsal.subjects[0], progress=rich_progress).summary()


def skip_window(rehearsal: Rehearsal) -> str:  # noqa: ARG001 - a step's signature
    """Say that the window was left out."""
    return "left out (--no-window)"


def analyse(rehearsal: Rehearsal, step: Step) -> str:
    """Run a step of the analysis for every subject, as ``python -m analysis`` does for one."""
    from analysis.running import run_step

    done = run_step(step.name, Request(layout=rehearsal.layout, settings=rehearsal.settings,
                                       subjects=rehearsal.subjects, n_jobs=rehearsal.n_jobs, progress=rich_progress))
    return _reused(done.all_reused, done.summary())


def _reused(reused: bool, said: str) -> str:
    return f"{said}, reused" if reused else said


@cli.command()
@study_option
@subject_option
@click.option("--ses", required=True, help="Session label, for example 01.")
@click.option("--scanner", default="keyboard", show_default=True, type=Name(SCANNERS))
@buttons_option
@fault_option
@click.option("--display", default="window", show_default=True, type=Name(DISPLAYS),
              help=DISPLAY_HELP)
@click.option("--fullscreen/--windowed", default=True, show_default=True, help="Fill the screen (window display).")
@site_option
@trust_option
@accept_option
@json_option
@click.option("--yes", is_flag=True, help="Take the first answer to every question (for a dry run).")
def session(study: Path, sub: str, ses: str, scanner: str, display: str, fullscreen: bool,
            site: Path | None, yes: bool, buttons: str | None, faults: tuple[str, ...], trust: bool,
            accept_changes: bool, as_json: bool) -> int:
    """Play a session: preflight, then the planned runs one by one: start, watch, verdict, repeat or go on.

    Each run plays in a process of its own. Ends with 0 when no planned run is left, 1 otherwise. With --json, what is
    shown and asked goes to standard error.
    """
    from rich.console import Console, RenderableType

    from analysis.glm.run_design import design_of, design_panel
    from paradigms.console import questions
    from paradigms.console.run_process import find_running
    from paradigms.console.session import Played, Session, Stage, pass_preflight
    from paradigms.devices.tracker import Consent, make_tracker
    from paradigms.playing.assembly import require_devices
    from subjects.plan.run_sheet import run_sheet
    from subjects.plan.sheet_tables import sheet_tables
    from subjects.profile import load_profile

    layout = Layout(study).require()
    settings = device_settings(study, site=site, scanner=scanner, buttons=buttons, faults=faults)
    require_devices(load_profile(layout, sub), scanner=scanner, display=display)
    make_tracker(layout, settings, consent=Consent(site, trust=trust))
    sheet = run_sheet(layout, settings, sub=sub)
    if ses not in sheet.sessions:
        raise LayoutError("session", came=repr(ses), expected=f"one of {', '.join(sheet.sessions)}",
                          remedy="See `python -m subjects plan`.")
    console = Console(stderr=as_json)
    console.print(sheet_tables(sheet)[1])
    words = (*(() if fullscreen else ("--windowed",)), *(() if site is None else ("--site", str(site))),
               *(("--trust",) if trust else ()), *(("--accept-changes",) if accept_changes else ()),
               *(() if buttons is None else ("--buttons", buttons)),
               *(word for fault in faults for word in ("--fault", fault)))
    stage = Stage(scanner, display, words)
    ask = partial(questions.first_answer if yes else questions.ask, err=as_json)
    played: list[Played] = []
    on = stage if find_running(layout, sub=sub) else pass_preflight(layout, sub=sub, ses=ses, stage=stage, ask=ask,
                                                                    out=STDERR if as_json else None)
    if on is not None:
        def describe(one: Played) -> RenderableType | None:
            design = design_of(layout, key=one.key, attempt=one.attempt)
            return None if design is None else design_panel(design, width=min(64, console.width - 32))

        scanned = scanner != "emulated" and not yes
        walk = Session(layout, settings, stage=on, ask=ask, console=console, describe=describe,
                       ask_number=partial(questions.ask_number, err=as_json) if scanned else None)
        played += walk.play(sub=sub, ses=ses)
    left = [run for run in run_sheet(layout, settings, sub=sub).runs if run.ses == ses and not run.done]
    say({"sub": sub, "ses": ses, "complete": not left, "left": [run.key.entities() for run in left],
         "attempts": [{**one.key.entities(), "attempt": one.attempt, "complete": one.complete, "said": one.said}
                      for one in played]},
        as_json=as_json,
        text=f"ses-{ses}: {'every planned run is complete' if not left else f'{len(left)} runs are left'}")
    return 1 if left else 0


@cli.command()
@study_option
@subject_option
@click.option("--ses", default="naming", show_default=True, help="Session label of the answers.")
@click.option("--display", default="window", show_default=True, type=Name(DISPLAYS), help=DISPLAY_HELP)
@click.option("--fullscreen/--windowed", default=True, show_default=True, help="Fill the screen (window display).")
@click.option("--most", type=click.IntRange(min=1), default=None, help="Pause after so many images.")
@site_option
@json_option
def name(study: Path, sub: str, ses: str, display: str, fullscreen: bool, most: int | None, site: Path | None,
         as_json: bool) -> int:
    """Name the images: each is shown and named from a list, in own words, or called noise, with confidence.

    On any computer with a keyboard, after the scans or, with other people, before. It goes on where it was left. Ends
    with 0 when every image is named, 1 otherwise.
    """
    from analysis.statistics.naming import read_score, say_naming
    from paradigms.devices.xserver import require_at_hand
    from paradigms.playing.naming import name_images

    require_at_hand(display)
    done = name_images(Layout(study).require(), load_settings(study, site=site), sub=sub, ses=ses, display=display,
                       fullscreen=fullscreen, most=most)
    scored = read_score(done.table) if done.complete and done.table is not None else None
    say({"sub": sub, "ses": ses, "n_images": done.n_images, "n_named": done.n_named, "complete": done.complete,
         "table": done.table, "scores": [] if scored is None else scored.to_dict("records")}, as_json=as_json,
        text=[done.summary(), *([] if scored is None else say_naming(scored))])
    return 0 if done.complete else 1


for _command in COMMANDS:
    cli.add_command(_command)


if __name__ == "__main__":
    main(cli)
