"""How well the fixation point is seen on the pictures of a study, with its surround and without.

    PYTHONPATH=. python benchmarks/fixation_visibility.py --study DIR [--keep FOLDER]

Shows every image of the set and every texture of the LO localizer with the point of its task, in each of its colours,
on a recording display, and prints the colour difference (CIE 1976) that nine tenths of what touches the point exceed:
the least over the set, the median, and how many pictures stay below 20, where the point is easily missed. With
``--keep`` the picture on which the bare point is worst is saved from the screen of a real window, both ways.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from paradigms.devices.protocols import Frame, HardwareClock, Pixels
from paradigms.devices.xserver import start_virtual_display
from paradigms.tasks import lo_localizer, main_task
from stimuli.manifest import read_manifest, read_pixels
from stimuli.texture_table import read_texture_pixels, read_textures
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.paradigms.visibility import rim_difference, screenshot

MISSED = 20.0


def pictures(layout: Layout, settings: Settings) -> dict[str, list[Pixels]]:
    """Read the set's images by type, and the LO localizer's textures by kind."""
    found: dict[str, list[Pixels]] = {}
    for row in read_manifest(layout.manifest).stimuli:
        found.setdefault(row.type, []).append(read_pixels(layout.stimuli, row))
    for texture in read_textures(layout.textures).rows if layout.textures.is_file() else ():
        if texture.kind in (*settings.lo.intact, *settings.lo.scrambled):
            found.setdefault(f"LO {texture.kind}", []).append(read_texture_pixels(layout.stimuli, texture))
    return found


def frames(kind: str, settings: Settings) -> list[Frame]:
    """Give the frames in which a kind of picture is shown, one for each colour of the point."""
    if kind.startswith("LO"):
        return [lo_localizer.frame_for(settings, image_id="picture", color=color)
                for color in settings.lo.fixation_colors]
    return [main_task.frame_for(settings, image_id="picture")]


def worst(frame: Frame, pixels: Pixels) -> float:
    """Measure one picture."""
    return rim_difference(screenshot(frame, {"picture": pixels}), fixation_px=frame.fixation_px,
                          fixation_color=frame.fixation_color)


def keep(folder: Path, settings: Settings, *, frame: Frame, pixels: Pixels) -> None:
    """Photograph a real window with the surround and without."""
    folder.mkdir(parents=True, exist_ok=True)
    start_virtual_display(settings.display.width_px, settings.display.height_px)
    from paradigms.devices.console_window import open_console

    with open_console(settings, clock=HardwareClock(), fullscreen=False) as console:
        console.display.preload({"picture": pixels}, height_px=frame.image_px)
        for name, one in (("with", frame), ("without", replace(frame, surround_px=0.0))):
            console.display.draw(one)
            console.display.flip()
            Image.fromarray(console.display.screenshot()).save(folder / f"fixation_{name}.png")


def main() -> None:
    """Print a line for each kind of picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    layout, settings = Layout(options.study), load_settings(options.study)
    lost: tuple[float, Frame, Pixels] | None = None
    print(f"{'':>14} pictures  with: least  median  below {MISSED:g}   without: least  median  below {MISSED:g}")
    for kind, images in pictures(layout, settings).items():
        measured: list[list[float]] = [[], []]
        for pixels in images:
            for frame in frames(kind, settings):
                for values, one in zip(measured, (frame, replace(frame, surround_px=0.0)), strict=True):
                    values.append(worst(one, pixels))
                if lost is None or measured[1][-1] < lost[0]:
                    lost = (measured[1][-1], frame, pixels)
        cells = (f"{min(values):11.1f} {np.median(values):7.1f} {sum(v < MISSED for v in values):9d}     "
                 for values in measured)
        print(f"{kind:>14} {len(images):8d} {' '.join(cells)}")
    if options.keep and lost is not None:
        keep(options.keep, settings, frame=lost[1], pixels=lost[2])


if __name__ == "__main__":
    main()
