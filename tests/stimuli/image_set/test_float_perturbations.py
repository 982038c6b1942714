"""Perturbations as floats: start and perturbation round to the image that is shown, and nothing else is exported."""

from __future__ import annotations

import json
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from stimuli.image_set.exports.float_perturbations import MEAN, export_perturbations, perturbations_path
from stimuli.image_set.measures import l2
from stimuli.manifest import read_manifest, read_pixels
from stimuli.networks.registry import TorchNetwork
from stimuli.perturbation.ascent import ascend
from stimuli.perturbation.rules import interference_rule
from subjects.errors import StimulusError
from subjects.provenance import digest_file, sidecar_path
from subjects.store import read_json
from tests.stimuli.tiny import Study

Command = Callable[..., tuple[int, str, str]]


def test_start_and_perturbation_round_to_what_is_shown(built: Study, tiny: TorchNetwork) -> None:
    made = export_perturbations(built.layout, built.settings)
    manifest = read_manifest(built.layout.manifest)
    assert (made.n_images, made.reused) == (12, False)
    with h5py.File(made.path) as file:
        ids, starts = (list(file[name].asstr()[:]) for name in ("image_ids", "start_ids"))
        values, mean, lengths = (file[name][()] for name in ("perturbation", "mean_image", "l2"))
        assert file.attrs["network_digest"] == tiny.digest
        assert "regular image" in file.attrs["measured_from_AI"]
    assert (values.dtype, values.shape) == (np.float32, (12, 24, 24, 3))
    assert ids == [one.image_id for one in manifest.stimuli if one.type != "RE"]
    for image_id, start_id, value, length in zip(ids, starts, values, lengths, strict=True):
        one = manifest.by_id(image_id)
        assert (start_id == MEAN) == (one.type == "AN")
        regular = manifest.get(base_image=one.base_image, type="RE")
        assert start_id in (MEAN, regular.image_id)
        start = mean if start_id == MEAN else read_pixels(built.layout.stimuli, regular) / 255.0
        shown = read_pixels(built.layout.stimuli, one)
        np.testing.assert_array_equal(np.rint(255.0 * np.clip(start + value, 0.0, 1.0)), shown)
        assert length == pytest.approx(np.linalg.norm(value.astype(np.float64)))
        assert length == pytest.approx(l2(shown, 255.0 * start), abs=0.5 / 255 * np.sqrt(24 * 24 * 3))
        assert not np.allclose(255.0 * (start + value), shown, atol=1e-3), "floats, not the rounded image"


def test_they_are_made_once_and_say_what_they_are(built: Study) -> None:
    first = export_perturbations(built.layout, built.settings)
    assert first.path == perturbations_path(built.layout, "tiny")
    assert export_perturbations(built.layout, built.settings).reused
    said = read_json(sidecar_path(first.path))
    assert said["digest"] == digest_file(first.path)
    assert said["MeasuredFrom"].keys() == {"AN", "AI"}
    assert said["MadeOn"]["device"] == "cpu"
    assert said["inputs"]["manifest"] == digest_file(built.layout.manifest)


def test_other_pixels_than_the_sets_are_refused_and_nothing_is_written(built: Study) -> None:
    """A step of another length ends elsewhere."""
    stimuli = built.settings.stimuli.model_copy(update={"ai_step": 0.31})
    changed = built.settings.model_copy(update={"stimuli": stimuli})
    with pytest.raises(StimulusError, match=r"other pixels in [1-6] of 12 images \(images/AI/.*; expected the very im"):
        export_perturbations(built.layout, changed)
    assert not perturbations_path(built.layout, "tiny").exists()


def test_a_search_keeps_the_float_behind_its_closest_image(built: Study, tiny: TorchNetwork) -> None:
    manifest = read_manifest(built.layout.manifest)
    stimuli = built.settings.stimuli.model_copy(update={"ai_method": "minimal", "ai_search": 30})
    rows = [one for one in manifest.stimuli if one.type == "AI"]
    starts = np.stack([read_pixels(built.layout.stimuli, manifest.get(base_image=one.base_image, type="RE"))
                       for one in rows])
    targets = np.array([one.target_index for one in rows])
    for one in ascend(tiny, starts, targets=targets, rule=interference_rule(stimuli)):
        np.testing.assert_array_equal(np.rint(255.0 * one.unrounded), one.pixels)
        assert one.reached


def test_the_commands_export_them(built: Study, command: Command) -> None:
    status, said, _ = command("perturbations", "--study", built.layout.root, "--json")
    assert (status, json.loads(said)["n_images"]) == (0, 12)
    status, said, _ = command("build", "--study", built.layout.root, "--float")
    assert status == 0
    assert "float perturbations of network tiny: " in said
    assert "network-tiny_perturbations.h5" in "".join(said.split())
