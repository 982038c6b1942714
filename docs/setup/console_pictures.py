# ruff: noqa: INP001
"""Makes the pictures of docs/console.md: what the subject sees, and what the operator sees.

PYTHONPATH=. python docs/setup/console_pictures.py [--out docs/pictures]

A small study with drawn images is played in virtual time in a temporary folder; the subject's displays are composed
from the very frames of its schedules, the terminal's views are those of the commands. No display is needed.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console, Group, RenderableType

from analysis.glm.run_design import design_of, design_panel
from paradigms.console.geometry_card import draw_card
from paradigms.console.panels import live_panel, preflight_panel, verdict_panel
from paradigms.console.preflight import make_preflight
from paradigms.console.run_state import RunView, fold, fold_all
from paradigms.devices.protocols import Pixels
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.play_run import play_run, prepare
from paradigms.record.plans import read_schedule
from paradigms.runlog import read_journal
from paradigms.tasks.catalogue import task_of
from paradigms.tasks.main_task import frame_for
from stimuli.networks.demo.drawings import draw
from stimuli.textures.render import render
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.plan.checklist import Scan, tick
from subjects.plan.match import match_lines, match_subject
from subjects.plan.run_sheet import run_sheet
from subjects.plan.series_numbers import note_series
from subjects.plan.sheet_tables import session_panel, sheet_tables
from subjects.profile import register
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.paradigms.conftest import make_console_study
from tests.subjects.scanned_session import Console as ScannerConsole
from tests.subjects.scanned_session import Scanner

SHOWN_AT_S = {"retinotopy": 31.0, "lo": 16.1, "motion": 33.0}
SIZE = (960, 540)
INSET = 80
"""Pixels around the fixation point that are shown enlarged: above with its surround, below without."""
WIDTH = 104


def main() -> None:
    """Play, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        layout = make_console_study(Path(folder) / "study", side=227)
        settings = load_settings(layout.root)
        render(layout, settings)
        save(out / "display_main.png", main_image(settings))
        for task, at_s in SHOWN_AT_S.items():
            save(out / f"display_{task}.png", subject_sees(layout, settings, task=task, at_s=at_s))
        save(out / "card.png", draw_card(settings.display, image_deg=settings.main.image_deg))
        write_views(out, layout, settings)


def subject_sees(layout: Layout, settings: Settings, *, task: str, at_s: float) -> Pixels:
    """Compose the subject's display at a time of a paradigm's first run."""
    schedule, images = prepare(layout, task_of(task, settings), key=RunKey("01", "01", task, 1))
    display = RecordingDisplay(VirtualClock(), size_px=(settings.display.width_px, settings.display.height_px),
                               refresh_hz=settings.display.refresh_hz)
    display.open()
    display.preload(images)
    past = [change for change in task_of(task, settings).program(schedule).changes() if change.at_s <= at_s]
    display.draw(past[-1].frame)
    display.flip()
    return display.screenshot()


def main_image(settings: Settings) -> Pixels:
    """Compose the main task's display with a red drawing, beside the middle of it without the surround, enlarged."""
    picture = draw("crab", rng=np.random.default_rng(7))
    frame = frame_for(settings, image_id="crab")
    shown = []
    for one in (frame, replace(frame, surround_px=0.0)):
        display = RecordingDisplay(VirtualClock(), size_px=(settings.display.width_px, settings.display.height_px),
                                   refresh_hz=settings.display.refresh_hz)
        display.open()
        display.preload({"crab": picture})
        display.draw(one)
        display.flip()
        shown.append(display.screenshot())
    canvas, (middle, across) = shown[0].copy(), (settings.display.height_px // 2, settings.display.width_px // 2)
    for k, screen in enumerate(shown):
        part = screen[middle - INSET // 2:middle + INSET // 2, across - INSET // 2:across + INSET // 2]
        large = part.repeat(4, axis=0).repeat(4, axis=1)
        top = middle + (16 if k else -16 - large.shape[0])
        canvas[top:top + large.shape[0], -60 - large.shape[1]:-60] = large
    return canvas


def save(path: Path, pixels: Pixels) -> None:
    """Write a small picture."""
    small = Image.fromarray(np.asarray(pixels)).resize(SIZE, Image.Resampling.LANCZOS)
    small.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def write_views(out: Path, layout: Layout, settings: Settings) -> None:
    """Play a main run and write what the operator's terminal shows before, during and after it."""
    key = RunKey("01", "01", "main", 1)
    made = make_preflight(layout, settings, sub="01", ses="01", scanner="emulated", display="virtual")
    write_view(out / "preflight.svg", preflight_panel(made, sub="01", ses="01"), title="preflight")
    play_run(layout, settings, key=key, scanner="emulated", display="virtual")
    write_view(out / "runsheet.svg", sheet_tables(run_sheet(layout, settings, sub="01"))[1], title="run sheet")
    plan = read_schedule(layout.schedule(key, attempt=1))
    records = read_journal(layout.journal(key, attempt=1))
    window_s = settings.main.image_s + settings.main.blank_s
    attention = task_of(key.task, settings).judged.attention
    judged = task_of(key.task, settings).judged
    view = RunView(plan, frame_s=1.0 / settings.display.refresh_hz, window_s=window_s, attention=attention,
                   least_right=judged.least_right, least_answered=judged.least_answered)
    half = records[0]["t"] + plan.duration_s / 2.0
    for record in records:
        if record["t"] <= half:
            view = fold(view, record)
    write_view(out / "live.svg", live_panel(view), title="while the run is played")
    whole = replace(fold_all(plan, records, window_s=window_s, attention=attention), least_right=judged.least_right,
                    least_answered=judged.least_answered)
    write_view(out / "verdict.svg", verdict_panel(whole), title="verdict")
    write_scans(out, layout, settings)
    design = design_of(layout, key=key)
    if design is not None:
        write_view(out / "design.svg", design_panel(design), title="design")


def write_scans(out: Path, layout: Layout, settings: Settings) -> None:
    """Tick scans off and write how far a session has come, and how series are joined to attempts."""
    began = datetime(2026, 11, 26, 9, 30).timestamp()  # noqa: DTZ001 - the same local time everywhere
    tick(layout, Scan("01", "localizer", 1, 1, before=0), sub="01", series=1, wall=began)
    tick(layout, Scan("01", "field map", 1, 3, before=0), sub="01", series=2, wall=began + 240.0)
    note_series(layout, RunKey("01", "01", "main", 1), attempt=1, number=4)
    write_view(out / "session.svg", session_panel(run_sheet(layout, settings, sub="01"), ses="01"), title="session")
    with tempfile.TemporaryDirectory() as folder:
        other = register_study(Path(folder) / "study")
        console = ScannerConsole(other, now_s=began)
        scanner = Scanner(Path(folder) / "images", ahead_s=43.0 + zone_s(began))
        for run, attempt, n_volumes in ((1, 1, 278), (2, 1, 43), (2, 2, 278), (3, 1, 278)):
            console.rest(70.0 + 31.0 * run)
            zero = console.play("main", run, attempt=attempt, n_volumes=n_volumes)
            if run != 3:
                scanner.scan(zero + 0.1, name="ep2d_bold_main", n_volumes=n_volumes, ScanningSequence="EP")
        opened = console.now_s
        console.play("lo", 1, n_volumes=168, pulses=False, complete=False)
        scanner.scan(opened + 30.0, name="ep2d_bold_lo", n_volumes=168, ScanningSequence="EP")
        found = match_subject(other, sub="01", folder=Path(folder) / "images")
        write_view(out / "match.svg", Group(*match_lines(found)), title="match")


def register_study(root: Path) -> Layout:
    """Make a study with subject 01."""
    layout = init_study(Layout(root), name="pictures", seed=1)
    register(layout, "01")
    return layout


def zone_s(wall: float) -> float:
    """Give this computer's time zone."""
    return (datetime.fromtimestamp(wall).astimezone().utcoffset() or timedelta()).total_seconds()


def write_view(path: Path, view: RenderableType, *, title: str) -> None:
    """Write a terminal's view as SVG, the same text giving the same bytes."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(view)
    text = console.export_svg(title=title, unique_id=path.stem)
    text = re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL)  # fonts from elsewhere: the reader's will do
    path.write_text(text.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


if __name__ == "__main__":
    main()
