"""``python -m analysis``: from logged runs and time series to similarities, encoding models and one report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from analysis.encoding.predictivity.command import predict_arrays
from analysis.report.regions.commands import draw_regions, labels
from analysis.steps import SET_REPORT, STEPS, Done, Request, Step
from subjects.cli import (
    Name,
    group,
    json_option,
    main,
    optional_study_option,
    rich_progress,
    say,
    site_option,
    study_option,
)
from subjects.layout import Layout
from subjects.upkeep.cleaning import clean

WHOM = {
    "one": click.option("--sub", "subjects", multiple=True, required=True,
                        help="Subject label, for example 01; may be given again."),
    "any": click.option("--sub", "subjects", multiple=True,
                        help="Subject label, for example 01; may be given again."),
    "all": click.option("--sub", "subjects", multiple=True,
                        help="Subject label; may be given again. Default: all subjects."),
    "none": lambda command: command,
}
"""How a step's command asks whom it is about."""

verify_option = click.option("--verify", is_flag=True, help="Digest every file anew instead of trusting its size and "
                                                            "time of last change, and every image.")


def hardware_options(where: str, command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where networks compute; `where` begins the first one's help."""
    device = click.option("--device", default=None, type=Name(("auto", "cpu", "cuda", "mps")),
                          help=f"{where} (default: cpu).")
    return device(click.option("--threads", default=None, type=click.IntRange(min=1),
                               help="Its CPU threads (default: the physical cores).")(command))


jobs_option = click.option("--jobs", "n_jobs", type=click.IntRange(min=1), default=1, show_default=True,
                           help="How many subjects or networks are worked on at a time; of one subject, how many runs "
                                "and blocks of vertices (glm).")
STEP_OPTIONS = {
    "null": click.option("--null", is_flag=True, help="A subject whose responses do not depend on the images."),
    "world": click.option("--world", type=click.Choice(("paper", "cnn-like", "both", "null", "pixels")), default=None,
                          help="How the subject sees AN and AI images, instead of simulate.world."),
    "network": click.option("--network", default=None, help="Another network than the one that the stimulus set was "
                                                            "made with, for comparison; its features must be there."),
    "hardware": lambda command: hardware_options("Where the network computes", command),
}
"""The options that a step may offer, by the field of the request that they fill."""


@group(help=__doc__)
def cli() -> None:
    pass


REPORT_OPTIONS = (
    click.option("--network-only", is_flag=True, help="The stimulus set and its network alone, before anyone is "
                                                      "scanned; what is missing for it is made."),
    click.option("--network", "networks", multiple=True,
                 help="Another network than the one that the stimulus set was made with, for comparison; with "
                      "--network-only may be given again."),
    partial(hardware_options, "With --network-only: where networks compute what is missing"))
"""The options of ``report``, whose ``--network`` may be repeated."""


def choose_report(networks: tuple[str, ...], *, network_only: bool, subjects: tuple[str, ...],
                  hardware: tuple[str, ...]) -> dict[str, Any]:
    """Turn the options of ``report`` into what is asked of the step."""
    if network_only and subjects:
        raise click.UsageError("--network-only is about no subject; leave --sub out.")
    if network_only:
        return {"others": networks, "hardware": hardware}
    if hardware:
        raise click.UsageError(f"{hardware[0]} belongs to --network-only; the report of subjects asks no network.")
    if len(networks) > 1:
        raise click.UsageError("several networks are compared with --network-only; give --network once.")
    return {"network": networks[0] if networks else None}


def make_command(step: Step) -> click.Command:
    """Make the command of a step from its record."""
    def command(study: Path, site: Path | None, as_json: bool, subjects: tuple[str, ...] = (),
                networks: tuple[str, ...] = (), network_only: bool = False, **asked: Any) -> None:
        from analysis.running import run_step

        given = {name: asked.pop(name, None) for name in ("device", "threads")}
        asked["hardware"] = tuple(str(word) for name, value in given.items() if value is not None
                                  for word in (f"--{name}", value))
        if step.whom == "all":
            asked.update(choose_report(networks, network_only=network_only, subjects=subjects,
                                       hardware=asked["hardware"]))
        request = open_request(study, site=site, subjects=subjects,
                               everybody=step.whom == "all" and not network_only, **asked)
        done = run_step(SET_REPORT.name if network_only else step.name, request)
        say(done.record(), as_json=as_json, text=_lines(done))

    verify = () if step.whom == "all" else (verify_option,)
    own = REPORT_OPTIONS if step.whom == "all" else tuple(STEP_OPTIONS[name] for name in step.options)
    for option in reversed((study_option, WHOM[step.whom], *own, *verify, jobs_option, site_option, json_option)):
        command = option(command)
    return cli.command(step.name, help=step.help)(command)


def open_request(study: Path, *, site: Path | None = None, subjects: tuple[str, ...] = (), everybody: bool = False,
                 **asked: Any) -> Request:
    """Open a study for a step; with `everybody`, no subjects means all of them."""
    from analysis.needs import choose_subjects
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    settings = load_settings(study, site=site)
    return Request(layout=layout, settings=settings, progress=rich_progress,
                   subjects=choose_subjects(layout, subjects) if subjects or everybody else (), **asked)


def _lines(done: Done) -> list[str]:
    lines = []
    for work in done.works:
        what = work.tell() if work.tell else f"{done.step.product} of {work.name}"
        made = "already current, reused" if work.name in done.reused else "made"
        lines.append(f"{what}: {work.outputs[0]}" if work.tell else f"{what} {made}: {work.outputs[0]}")
    return lines


@cli.command("inputs")
@study_option
@click.option("--sub", required=True, help="Subject label, for example 01.")
@click.option("--task", default="main", show_default=True, type=Name(("main", "retinotopy", "lo", "motion")),
              help="The paradigm whose runs are looked at.")
@site_option
@json_option
def inputs(study: Path, sub: str, task: str, site: Path | None, as_json: bool) -> None:
    """List what was found of each run, and what is missing, before anything is fitted.

    Ends with status 1 where something is missing or does not fit.
    """
    from analysis.data.events.foreign import open_foreign
    from analysis.data.files.acquired import find_misnamed
    from analysis.data.files.inputs import look_at_inputs
    from analysis.data.sources import resolve_subject

    request = open_request(study, site=site, subjects=(sub,))
    chosen = request.settings
    data = resolve_subject(request.layout, sub=request.subjects[0], pipeline=chosen.analysis.bold,
                           space=chosen.analysis.space, task=task)
    found = look_at_inputs(data, task=task, tr_s=chosen.scanner.tr_s,
                           flatten=request.command("flatten", sub=request.subjects[0]),
                           planned=(chosen.main.sessions, chosen.main.runs) if task == "main" else (0, 0),
                           accept=chosen.analysis.accept,
                           misnamed=find_misnamed(request.layout, sub=request.subjects[0], keys=data.runs),
                           foreign=open_foreign(request.layout, chosen.analysis), layout=request.layout)
    say(found.record(), as_json=as_json, text=found.lines())
    if found.problems:
        raise SystemExit(1)


@cli.command("open-points")
@optional_study_option
@site_option
@click.option("--markdown", "as_document", is_flag=True, help="Write docs/open-points.md instead: the defaults.")
@json_option
def open_points(study: Path | None, site: Path | None, as_document: bool, as_json: bool) -> None:
    """List what the paper leaves open, what was chosen, and the settings that decide it."""
    from analysis.report.open_choices import OPEN_CHOICES, as_markdown
    from subjects.settings.loading import load_settings
    from subjects.settings.study import leaves

    if as_document:
        click.echo(as_markdown(), nl=False)
        return
    in_force = dict(leaves(load_settings(study, site=site).model_dump()))
    found = [{**asdict(one), "settings": one.values(in_force)} for one in OPEN_CHOICES]
    say({"open_points": found}, as_json=as_json, text=chain.from_iterable(_point_lines(one) for one in found))


@cli.command("rules")
@json_option
def rules(as_json: bool) -> None:
    """List the rules by which claims are decided, with their margins: what `subjects freeze` freezes."""
    from analysis.report.scorecard import rules as rules_in_force

    found = rules_in_force()
    say(found, as_json=as_json, text=[f"{name}: {rule}" for name, rule in found["claims"].items()])


def _point_lines(point: Mapping[str, Any]) -> Iterator[str]:
    yield point["topic"]
    decided = "; ".join(f"{key} = {value}" for key, value in point["settings"].items())
    for head, text in (("paper", point["paper"]), ("here", point["here"]), ("set", decided)):
        yield from wrap(text, width=79, initial_indent=f"  {head + ':':<7}", subsequent_indent=" " * 9,
                        break_long_words=False)


@cli.command("quickcheck")
@click.argument("nifti", type=click.Path(path_type=Path, dir_okay=False))
@study_option
@click.option("--sub", required=True, help="Subject label, for example 01.")
@click.option("--ses", required=True, help="Session label, for example 01.")
@click.option("--task", default="main", show_default=True, help="Paradigm.")
@click.option("--run", "number", required=True, type=click.IntRange(min=1), help="The run that it should be.")
@site_option
@json_option
def quickcheck(nifti: Path, study: Path, sub: str, ses: str, task: str, number: int, site: Path | None,
               as_json: bool) -> None:
    """Check a raw or real-time exported NIfTI series while the subject is still there.

    Volumes against logged pulses, TR, signal over noise, head movement, global signal, what answers to the pictures,
    and whether another run's events fit better: a picture in derivatives/quickcheck. Status 1 if anything asks for a
    look.
    """
    from analysis.glm.subject_runs import count_discarded
    from analysis.report.checks.quick import check_scan, lines, record
    from subjects.run_key import RunKey
    from subjects.settings.loading import load_settings

    layout, chosen = Layout(study).require(), load_settings(study, site=site)
    parts = layout.find_parts(RunKey(sub, ses, task, number))
    key = parts[-1] if parts else RunKey(sub, ses, task, number)
    discard_s = {"main": chosen.main.discard_s, "retinotopy": chosen.prf.discard_s}.get(task, 0.0)
    picture, found = check_scan(nifti, layout=layout, key=key, tr_s=chosen.scanner.tr_s, progress=rich_progress,
                                n_discarded=count_discarded(discard_s, tr_s=chosen.scanner.tr_s))
    say(record(found, picture), as_json=as_json, text=lines(found, picture))
    if not all(one.good for one in found):
        raise SystemExit(1)


for _step in STEPS.values():
    make_command(_step)
cli.add_command(labels)
cli.add_command(draw_regions)
cli.add_command(clean)
cli.add_command(predict_arrays)


if __name__ == "__main__":
    main(cli)
