"""Mean luminances of what is shown: the set by type of image, the blank screens, the instructions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paradigms.tasks.catalogue import TASKS, task_of
from paradigms.texts.screens import load_texts, task_screen
from stimuli.manifest import TYPES, read_manifest, read_pixels
from subjects.errors import SettingsError
from subjects.layout import Layout
from subjects.profile import SubjectProfile
from subjects.settings.study import Settings


@dataclass(frozen=True)
class Light:
    """The luminance of one thing that is shown.

    Parameters
    ----------
    what : str
    n : int
        Pictures.
    mean_cd_m2, least_cd_m2, most_cd_m2 : float
        Mean over pictures of their mean luminance, and the darkest and the brightest picture's.
    """

    what: str
    n: int
    mean_cd_m2: float
    least_cd_m2: float
    most_cd_m2: float

    def __str__(self) -> str:
        """Say it in one line."""
        spread = f", {self.least_cd_m2:.2f} to {self.most_cd_m2:.2f}" if self.n > 1 else ""
        return f"{self.what}: {self.mean_cd_m2:.2f} cd/m2{spread}"


def measure(layout: Layout, settings: Settings) -> list[Light]:
    """Give the luminances of a study's images and screens.

    Raises
    ------
    SettingsError
        If the display is not calibrated.
    """
    display = settings.display
    if not display.is_calibrated:
        raise SettingsError("display", came="no curve and no gamma", expected="a calibrated display",
                            remedy="Measure it (docs/luminance.md) and enter display.curve in the site's file.")
    found = []
    manifest = read_manifest(layout.manifest)
    for kind in TYPES:
        images = [one for one in manifest.stimuli if one.type == kind]
        means = [display.mean_luminance(read_pixels(layout.stimuli, one)) for one in images]
        found.append(Light(f"{kind} images", len(means), float(np.mean(means)), min(means), max(means)))
    texts = load_texts(layout, settings)
    for name in TASKS:
        level = settings.motion.background if name == "motion" else display.background
        blank = display.mean_luminance(np.full((1, 1, 3), level, dtype=np.uint8))
        found.append(Light(f"{name}, blank", 1, blank, blank, blank))
        words = display.mean_luminance(texts.draw(
            task_screen(texts, task_of(name, settings), profile=SubjectProfile("any")), background=level))
        found.append(Light(f"{name}, instructions", 1, words, words, words))
    return found
