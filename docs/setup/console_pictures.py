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
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console, RenderableType

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
from stimuli.textures.render import render
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.plan.sheet_tables import sheet_tables
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.paradigms.conftest import make_console_study

SHOWN_AT_S = {"retinotopy": 31.0, "lo": 16.1, "motion": 33.0}
SIZE = (960, 540)
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


def save(path: Path, pixels: Pixels) -> None:
    """Write a small picture."""
    small = Image.fromarray(np.asarray(pixels)).resize(SIZE, Image.Resampling.LANCZOS)
    small.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


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
    view = RunView(plan, frame_s=1.0 / settings.display.refresh_hz, window_s=window_s, attention=attention)
    half = records[0]["t"] + plan.duration_s / 2.0
    for record in records:
        if record["t"] <= half:
            view = fold(view, record)
    write_view(out / "live.svg", live_panel(view), title="while the run is played")
    write_view(out / "verdict.svg", verdict_panel(fold_all(plan, records, window_s=window_s, attention=attention)),
               title="verdict")
    design = design_of(layout, key=key)
    if design is not None:
        write_view(out / "design.svg", design_panel(design), title="design")


def write_view(path: Path, view: RenderableType, *, title: str) -> None:
    """Write a terminal's view as SVG, the same text giving the same bytes."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(view)
    text = console.export_svg(title=title, unique_id=path.stem)
    text = re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL)  # fonts from elsewhere: the reader's will do
    path.write_text(text.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


if __name__ == "__main__":
    main()
