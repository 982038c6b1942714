"""The 120 images of the protocol with the network that ships: slow, and as near as tests come to a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.manifest import Manifest
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings, Manifest]:
    layout = init_study(Layout(tmp_path_factory.mktemp("demo") / "study"), name="demo", seed=20210)
    settings = load_settings(layout.root)
    return layout, settings, build(layout, settings).manifest


def test_all_120_hold(made: tuple[Layout, Settings, Manifest]) -> None:
    layout, settings, _ = made
    verdict = check(layout, settings)
    assert verdict.ok
    assert verdict.n_images == 120


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort().astype(float)


def test_layers_show_the_papers_two_trends(made: tuple[Layout, Settings, Manifest]) -> None:
    """RE-AI similarity falls over the first seven layers and RE-AN rises above it.

    Nothing is asked of the softmax: the drawn categories are so certain (P of .9999) that its ranks are those of
    the fifth decimal.
    """
    layout, settings, manifest = made
    store = extract(layout, settings).store
    upper = np.triu_indices(40, 1)
    found: dict[str, list[float]] = {"AN": [], "AI": []}
    for layer in store.layers:
        rdm = {kind: (1 - np.corrcoef(store.read(layer, image_ids=manifest.image_ids(kind)).astype(float)))[upper]
               for kind in ("RE", "AN", "AI")}
        for kind, values in found.items():
            values.append(float(np.corrcoef(_ranks(rdm["RE"]), _ranks(rdm[kind]))[0, 1]))
    assert found["AI"][0] > 0.9
    assert found["AI"][-1] < 0.3
    assert np.all(np.diff(found["AI"][:7]) < 0.05)
    assert np.all(np.diff(found["AN"][:7]) > -0.05)
    assert found["AN"][6] - found["AN"][0] > 0.4
    assert found["AN"][6] > found["AI"][6]


def test_the_same_seed_gives_the_same_files(made: tuple[Layout, Settings, Manifest], tmp_path: Path) -> None:
    """On a smaller study with whole batches of its own: the same bases draw the same regular images."""
    layout = init_study(Layout(tmp_path / "again"), name="again", seed=20210, changes={"stimuli": {"per_class": 1}})
    settings = load_settings(layout.root)
    small = build(layout, settings).manifest
    for one in small.stimuli:
        if one.type == "RE":
            assert one.image_id == made[2].get(base_image=one.base_image, type="RE").image_id
