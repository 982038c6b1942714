"""Pictures to practise with: drawn anew for each class, none of them in the stimulus set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stimuli.categories import DEMO_CATEGORIES
from stimuli.manifest import image_id_of, read_manifest
from stimuli.networks.demo.drawings import draw
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError
from subjects.layout import Layout
from subjects.provenance import rng
from subjects.settings.study import Settings
from subjects.store import whole_file

PER_CLASS = 4


@dataclass(frozen=True)
class Practice:
    """The folder of practice pictures, how many were drawn now, and how many were there."""

    folder: Path
    n_drawn: int
    n_kept: int


def draw_practice(layout: Layout, settings: Settings, *, progress: ProgressWrapper = silent) -> Practice:
    """Draw the practice pictures of every class that has none.

    Parameters
    ----------
    layout, settings
        The study; each class gets four pictures of its first four categories, from seeds of their own.
    progress : ProgressWrapper
        Told of pictures.

    Returns
    -------
    Practice
        Pictures that are there already, a user's own among them, stay as they are.

    Raises
    ------
    StimulusError
        If a class without pictures cannot be drawn, or a drawing is one of the set.
    """
    folder = layout.stimuli / "practice"
    kept = {kind: sorted(folder.glob(f"{kind}/*.*")) for kind in settings.stimuli.classes}
    missing = [kind for kind, paths in kept.items() if not paths]
    for kind in missing:
        if kind not in DEMO_CATEGORIES:
            raise StimulusError(str(folder / kind), came=f"no picture of the class {kind!r}",
                                expected=f"drawings of {', '.join(DEMO_CATEGORIES)} alone",
                                remedy="Put pictures of your own there.")
    known = {one.image_id for one in read_manifest(layout.manifest).stimuli} if layout.manifest.is_file() else set()
    wanted = [(kind, name) for kind in missing for name in DEMO_CATEGORIES[kind][:PER_CLASS]]
    for kind, name in progress(wanted, label="practice pictures"):
        pixels = draw(name, rng=rng(settings.study.seed, "practice", name))
        if image_id_of(pixels) in known:
            raise StimulusError("practice", came=f"a {name} that is in the set", expected="another drawing",
                                remedy="Put pictures of your own into stimuli/practice.")
        with whole_file(folder / kind / f"{name.replace(' ', '-')}.png", overwrite=True) as beside:
            Image.fromarray(pixels).save(beside, format="PNG")
    return Practice(folder, len(wanted), sum(map(len, kept.values())))
