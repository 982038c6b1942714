"""A study with a set of small noise images, for the console's tests: no network is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stimuli.manifest import TYPES, Manifest, Stimulus, image_id_of, write_manifest
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.profile import base_images, register
from subjects.settings import load_settings


def make_console_study(root: Path, *, seed: int = 1, side: int = 16, **changes: dict[str, object]) -> Layout:
    """Make a study with noise images, and subject 01."""
    layout = init_study(Layout(root), name="console", seed=seed, changes=changes)
    settings = load_settings(layout.root)
    rng = np.random.default_rng(seed)
    rows = []
    for k, base in enumerate(base_images(settings)):
        for kind in TYPES:
            pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            file = f"images/{kind}/{base}_{kind}.png"
            layout.stimulus(file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(layout.stimulus(file))
            rows.append(Stimulus(
                image_id=image_id_of(pixels), file=file, type=kind, base_image=base, category=f"category {k}",
                category_index=k, class_name=base.rpartition("-")[0], target_category=None, target_index=None,
                network="none", network_digest="0", p_before=0.5, p_after=0.995, l2=0.0, linf=0.0, ssim=1.0,
                contrast_rms=70.0, iterations=1, seed=seed))
    write_manifest(layout.manifest, Manifest(tuple(rows)))
    register(layout, "01")
    return layout


@pytest.fixture
def console(tmp_path: Path) -> Layout:
    """Give a study of 120 noise images with the protocol's settings."""
    return make_console_study(tmp_path / "study")
