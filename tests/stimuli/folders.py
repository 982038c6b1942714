"""Folders of small photographs (drawings, saved as files) that the tiny network knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from stimuli.networks.demo.drawings import draw
from tests.stimuli.tiny import NAMES, SIDE, Study, make_study

SMALL = {"min_px": 20, "re_p": 0.9}


def class_folders(root: Path, *, per_category: int = 6, seed: int = 11) -> Path:
    """One folder a category, named by it; sizes differ, one of six is too wide."""
    rng = np.random.default_rng(seed)
    for name in NAMES:
        (root / name).mkdir(parents=True)
        for k in range(per_category):
            image = Image.fromarray(draw(name, rng=rng, size_px=SIDE))
            width, height = [(24, 24), (30, 24), (24, 33), (48, 40), (26, 26), (48, 24)][k % 6]
            image.resize((width, height)).save(root / name / f"{k:02d}.png")
    return root


def photo_study(root: Path, folder: Path, **stimuli: object) -> Study:
    return make_study(root, images=str(folder), **{**SMALL, **stimuli})
