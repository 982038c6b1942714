"""The console's commands that need no other folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from paradigms.console.options import accept_option, buttons_option, device_settings, fault_option, trust_option
from subjects import cli as shared
from subjects.cli import Command, Name, json_option, rich_progress, say, site_option, study_option, subject_option
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.devices import DISPLAY_HELP, DISPLAYS, SCANNERS
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

TASKS = tuple(Settings().paradigms())


@click.command(cls=Command)
@study_option
@subject_option
@click.option("--ses", default=None, help="Session label, for example 01.")
@click.option("--task", type=Name(TASKS), default=TASKS[0], show_default=True, help="Which paradigm.")
@click.option("--run", "run_number", default=None, type=click.IntRange(min=1), help="Run number, from 1.")
@click.option("--scanner", default=None, type=Name(SCANNERS), help="Where the pulses come from.")
@click.option("--practice", is_flag=True, help="Practise the task instead, outside the scanner too: pictures that are "
              "not in the set, feedback on each press, until the abort key. Needs no --ses, --run and --scanner.")
@click.option("--rounds", type=click.IntRange(min=1), default=None, help="Rounds of practice (default: as wanted).")
@buttons_option
@fault_option
@click.option("--display", required=True, type=Name(DISPLAYS), help=DISPLAY_HELP)
@click.option("--repeat", is_flag=True, help="Play a run that was played before; earlier attempts are kept.")
@click.option("--resume", is_flag=True, help="Play the rest of a run that was cut short, with the same plan.")
@click.option("--from-trial", type=click.IntRange(min=1), default=None,
              help="Where to resume (default: the first trial that was not shown to its end).")
@click.option("--fullscreen/--windowed", default=True, show_default=True, help="Fill the screen (window display).")
@site_option
@trust_option
@accept_option
@click.option("--accept-settings", "accepted_digest", default=None, hidden=True,
              help="Digest of the settings whose changes the operator has confirmed.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing before the run has ended.")
@json_option
def run(study: Path, sub: str, ses: str | None, task: str, run_number: int | None, scanner: str | None, display: str,
        practice: bool, rounds: int | None, repeat: bool, fullscreen: bool, site: Path | None, buttons: str | None,
        faults: tuple[str, ...],
        resume: bool, from_trial: int | None, trust: bool, accept_changes: bool, accepted_digest: str | None,
        quiet: bool, as_json: bool) -> int:
    """Play one run, show it while it is played, and log it. Ends with 0 when it is complete, 1 when it was aborted."""
    from paradigms.devices.xserver import require_at_hand
    from paradigms.record.run_files import claimed, last_attempt

    layout = Layout(study).require()
    require_at_hand(display)
    if practice:
        _refuse_of_run({"--repeat": repeat, "--resume": resume, "--from-trial": from_trial, "--fault": faults})
        return _practise(layout, device_settings(study, site=site, scanner="keyboard", buttons=buttons, faults=()),
                         sub=sub, task=task, display=display, rounds=rounds, fullscreen=fullscreen, as_json=as_json)
    if rounds is not None:
        raise click.UsageError("--rounds is for --practice.")
    if ses is None or run_number is None or scanner is None:
        missing = next(name for name, one in (("--ses", ses), ("--run", run_number), ("--scanner", scanner))
                       if one is None)
        raise click.UsageError(f"Missing option '{missing}'; only --practice needs none.")
    key = RunKey(sub, ses, task, run_number)
    attempt, real = last_attempt(layout, key) + 1, display != "virtual" and not quiet
    with claimed(layout, key, attempt=attempt):  # before anything that takes time: a session that begins now finds it
        from paradigms.console.questions import folded
        from paradigms.console.watching import shown_beside, watched_run
        from paradigms.devices.tracker import Consent
        from paradigms.playing.play_run import play_run

        settings = device_settings(study, site=site, scanner=scanner, buttons=buttons, faults=faults)
        watched = watched_run(settings, journal=layout.journal(key, attempt=attempt),
                              plan=layout.schedule(key, attempt=attempt), scanner=scanner, display=display)
        with shown_beside(watched, err=as_json) if real else nullcontext():
            outcome = play_run(layout, settings, key=key, scanner=scanner, display=display, repeat=repeat,
                               fullscreen=fullscreen, progress=shared.silent if real or quiet else rich_progress,
                               resume=resume or from_trial is not None, from_trial=from_trial,
                               consent=Consent(site, trust=trust),
                               accept_changes=accept_changes or accepted_digest == settings.digest)
    say({**key.entities(), **outcome.to_json()}, as_json=as_json, text=folded(outcome.summary()))
    return 0 if outcome.complete else 1


def _refuse_of_run(options: Mapping[str, object]) -> None:
    """Refuse what a run is told and practice cannot do."""
    for name, given in options.items():
        if given:
            raise click.UsageError(f"{name} is for a run; --practice has none.")


def _practise(layout: Layout, settings: Settings, *, sub: str, task: str, display: str, rounds: int | None,
              fullscreen: bool, as_json: bool) -> int:
    """Practise a task, say how it went; ends with 0 if a round was played to its end."""
    from paradigms.playing.practice import practise

    one_round = 1 if display == "virtual" and rounds is None else rounds
    done = practise(layout, settings, sub=sub, task_name=task, display=display, fullscreen=fullscreen,
                    rounds=one_round)
    say({"sub": sub, **asdict(done)}, as_json=as_json, text=done.summary())
    return 0 if done.rounds else 1


@click.command(cls=Command)
@study_option
@subject_option
@click.option("--ses", required=True, help="Session label, for example 01.")
@click.option("--scanner", default="keyboard", show_default=True, type=Name(SCANNERS))
@buttons_option
@fault_option
@click.option("--display", default="window", show_default=True, type=Name(DISPLAYS),
              help=DISPLAY_HELP)
@click.option("--accept", multiple=True, help="A finding that may be bad, by name; recorded. May be given again.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True,
              help="Seconds to wait for buttons and pulse.")
@click.option("--fullscreen/--windowed", default=True, show_default=True, help="Fill the screen (window display).")
@site_option
@trust_option
@accept_option
@json_option
def preflight(study: Path, sub: str, ses: str, scanner: str, display: str, accept: tuple[str, ...], timeout: float,
              fullscreen: bool, site: Path | None, buttons: str | None, faults: tuple[str, ...], trust: bool,
              accept_changes: bool, as_json: bool) -> int:
    """Check that a session can begin: files, clock, refresh, every button, a pulse. Ends with 0 if it can, else 1."""
    from paradigms.console.panels import preflight_panel
    from paradigms.console.preflight import make_preflight
    from paradigms.console.questions import folded
    from paradigms.devices.platforms.terminals import typing_unseen
    from paradigms.devices.tracker import Consent

    layout = Layout(study).require()
    settings = device_settings(study, site=site, scanner=scanner, buttons=buttons, faults=faults)
    with typing_unseen():
        made = make_preflight(layout, settings, sub=sub, ses=ses, scanner=scanner, display=display,
                              accepted=(*accept, *(("settings",) if accept_changes else ())), fullscreen=fullscreen,
                              timeout_s=timeout, consent=Consent(site, trust=trust),
                              progress=rich_progress, tell=lambda said: click.echo(folded(said), err=as_json))
    say({"sub": sub, "ses": ses, **made.to_json()}, as_json=as_json, text=[preflight_panel(made, sub=sub, ses=ses)])
    return 0 if made.passed else 1


@click.command(cls=Command)
@study_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a PNG instead of showing it.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=60.0, show_default=True,
              help="How long it stays on the subject's display; the abort key ends it.")
@click.option("--display", default="window", show_default=True, type=Name(DISPLAYS[:2]),
              help="The subject's screen, or a virtual X server that nobody sees.")
@click.option("--flashes", type=click.IntRange(min=0), default=0, help="Measure the display's delay, with so many.")
@click.option("--scanner", default="keyboard", show_default=True, type=Name(SCANNERS[1:]),
              help="Where the photodiode comes in.")
@click.option("--fullscreen/--windowed", default=True, show_default=True, help="Fill the screen.")
@site_option
@json_option
def card(study: Path, out: Path | None, seconds: float, display: str, fullscreen: bool, site: Path | None,
         flashes: int, scanner: str, as_json: bool) -> None:
    """Show the geometry card: ruler, orientation, field of view, grey levels.

    With --flashes a square in its lower right corner flashes; a photodiode on it gives the display's delay.
    """
    from paradigms.console.display_lag import lag_of_card
    from paradigms.console.geometry_card import draw_card, write_card

    settings = load_settings(Layout(study).require().root, site=site)
    if out is not None:
        click.echo(f"card: {write_card(out, settings)}")
        return
    if flashes:
        lag = lag_of_card(settings, scanner=scanner, display=display, fullscreen=fullscreen, n_flashes=flashes)
        say(lag.to_json(), as_json=as_json, text=lag.summary())
        return
    from paradigms.playing.assembly import show_picture

    click.echo(f"the card is shown for {seconds:g} s; {settings.main.abort_key!r} or Ctrl-C ends it")
    shown_s = show_picture(draw_card(settings.display, image_deg=settings.main.image_deg), settings=settings,
                           seconds=seconds, fullscreen=fullscreen, shown=display)
    click.echo(f"card shown for {shown_s:.1f} s")


@click.command(cls=Command)
@json_option
def screens(as_json: bool) -> None:
    """List the screens that display.screen may name, by index and name."""
    from paradigms.devices.screens import list_screens
    from paradigms.devices.xserver import require_display

    require_display()
    found = list_screens()
    say([one.to_json() for one in found], as_json=as_json, text=[str(one) for one in found])


@click.command(cls=Command)
@json_option
def keyboards(as_json: bool) -> None:
    """List the keyboards that keyboard.devices may name."""
    from paradigms.devices.keyboard_queues import keyboard_names
    from paradigms.devices.xserver import require_display

    require_display()
    found = keyboard_names()
    say(found, as_json=as_json, text=found)


@click.command(cls=Command)
@study_option
@json_option
def recover(study: Path, as_json: bool) -> None:
    """Make events tables, marked incomplete, from the journals of runs that were cut off."""
    from paradigms.console.questions import folded
    from paradigms.record.recovery import recover as recover_runs

    recovered = recover_runs(Layout(study).require())
    end = f"{len(recovered)} runs recovered" if recovered else "nothing to recover: every journal has its end"
    say([asdict(one) for one in recovered], as_json=as_json, text=[folded(one.summary()) for one in recovered] + [end])


@click.command(cls=Command)
@study_option
@subject_option
@click.option("--ses", default=None, help="Session in whose sourcedata the calibration is noted.")
@click.option("--display", default="window", show_default=True, type=Name(DISPLAYS[:2]), help="Where targets go.")
@click.option("--fullscreen/--windowed", default=True, show_default=True, help="Fill the screen.")
@site_option
def calibrate(study: Path, sub: str, ses: str | None, display: str, fullscreen: bool, site: Path | None) -> None:
    """Calibrate the EyeLink with its targets on the subject's display: C calibrates, V validates, Esc leaves."""
    from paradigms.devices.protocols import HardwareClock
    from paradigms.playing.assembly import find_place, real_devices
    from paradigms.recorders.eyelink import calibrate as calibrate_eyes
    from paradigms.recorders.eyelink import keep_calibration, make
    from subjects.profile import load_profile

    layout, settings = Layout(study).require(), load_settings(study, site=site)
    load_profile(layout, sub)
    tracker = make(layout, settings)
    tracker.open()  # without an EyeLink no window is opened
    tracker.close()
    place = find_place(settings, display=display, fullscreen=fullscreen)
    with real_devices(settings, clock=HardwareClock(), scanner="keyboard", place=place, fullscreen=fullscreen,
                      every_key=True) as devices:
        told = calibrate_eyes(tracker, display=devices.display, responses=devices.responses, settings=settings)
    if ses is not None:
        keep_calibration(layout, settings, sub=sub, ses=ses, said=told)
    click.echo(f"sub-{sub}: left the calibration ({told or 'the host says nothing of it'}); the EyeLink's host keeps "
               "it until the next one")


@click.command(cls=Command)
@study_option
@subject_option
@click.option("--ses", required=True, help="Session label, for example 01.")
@click.option("--task", type=Name(TASKS), default=TASKS[0], show_default=True, help="Which paradigm.")
@click.option("--run", "run_number", required=True, type=click.IntRange(min=1), help="Run number, from 1.")
@click.option("--part", type=click.IntRange(min=1), default=1, show_default=True,
              help="Which part of a run that was shown in two attempts.")
@click.option("--recording", required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="The run's .edf or .asc file, in the subject's sourcedata.")
@site_option
@json_option
def gaze(study: Path, sub: str, ses: str, task: str, run_number: int, part: int, recording: Path,
         site: Path | None, as_json: bool) -> None:
    """Write a run's gaze as BIDS physio, and say how well the subject fixated by type of image."""
    from paradigms.recorders.gaze import write_physio

    settings = load_settings(study, site=site)
    path, table = write_physio(Layout(study).require(), recording=recording,
                               key=RunKey(sub, ses, task, run_number, part=part),
                               within_deg=settings.eyelink.within_deg)
    said = [f"{row['trial_type']}: {100 * row['share_within']:.1f} % of samples within {settings.eyelink.within_deg:g} "
            f"deg, {100 * row['share_lost']:.1f} % lost" for row in table.to_dict("records")]
    say({"file": path, "fixation": table.to_dict("records")}, as_json=as_json, text=[*said, f"gaze: {path}"])


@click.command(cls=Command)
@study_option
@site_option
@json_option
def luminance(study: Path, site: Path | None, as_json: bool) -> None:
    """Say the mean luminance of the set's images and of the screens, in cd/m2, as the calibrated display shows them."""
    from paradigms.texts.luminance import measure

    found = measure(Layout(study).require(), load_settings(study, site=site))
    say([asdict(one) for one in found], as_json=as_json, text=[str(one) for one in found])


@click.command(cls=Command)
@study_option
@subject_option
@click.option("--ses", default="clickme", show_default=True, help="Session label of the maps.")
@click.option("--display", default="window", show_default=True, type=Name(DISPLAYS), help=DISPLAY_HELP)
@click.option("--fullscreen/--windowed", default=True, show_default=True, help="Fill the screen (window display).")
@click.option("--most", type=click.IntRange(min=1), default=None, help="Pause after so many images.")
@site_option
@json_option
def clickme(study: Path, sub: str, ses: str, display: str, fullscreen: bool, most: int | None, site: Path | None,
            as_json: bool) -> int:
    """Collect importance maps: in each regular image a participant uncovers what identifies it, by mouse or keys.

    On any computer. It goes on where it was left. The maps are read by `python -m stimuli alignment --maps`. Ends with
    0 when every image is finished, 1 otherwise.
    """
    from paradigms.console.clickme.task import collect_maps
    from paradigms.devices.xserver import require_at_hand

    require_at_hand(display)
    done = collect_maps(Layout(study).require(), load_settings(study, site=site), sub=sub, ses=ses, display=display,
                        fullscreen=fullscreen, most=most)
    say({"sub": sub, "ses": ses, "n_images": done.n_images, "n_done": done.n_done, "complete": done.complete,
         "maps": list(done.maps)}, as_json=as_json, text=done.summary())
    return 0 if done.complete else 1


COMMANDS: tuple[click.Command, ...] = (run, preflight, card, screens, keyboards, recover, calibrate, gaze,
                                       luminance, clickme)
"""What the console entry point offers beside the rehearsal and the session."""
