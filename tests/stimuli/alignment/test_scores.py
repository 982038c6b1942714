"""Alignment on linear networks, whose perturbations and saliency are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from stimuli.alignment.images import LabelledImages
from stimuli.alignment.importance.agreement import HumanCeiling
from stimuli.alignment.importance.maps import ImportanceMaps
from stimuli.alignment.of_set import read_float_perturbations, score_set
from stimuli.alignment.score_table import alignment_result, ceiling_line, measure_alignment
from stimuli.alignment.scores import align, perturbation_map, saliency_maps, summarise_alignment, with_maps
from stimuli.alignment.tolerance.measure import Scheme
from stimuli.image_set.exports.float_perturbations import export_perturbations
from stimuli.manifest import read_manifest, read_pixels
from stimuli.networks.registry import TorchNetwork
from subjects.errors import StimulusError
from tests.stimuli.alignment.cases import WIDTH, grey_images, save_map, two_categories
from tests.stimuli.tiny import SIDE, Study

Run = Callable[..., tuple[int, str, str]]


def _maps(images: LabelledImages, values: np.ndarray, people: tuple = ()) -> ImportanceMaps:
    n = len(images)
    return ImportanceMaps(images.image_ids, values.astype(np.float32), (None,) * n, (None,) * n,
                          people or (None,) * n, "maps")


def test_maps_on_the_weights_are_fully_aligned_and_others_as_scipy_says() -> None:
    network, way = two_categories()
    images = grey_images(6, network=network)
    noise = np.random.default_rng(2).random((6, WIDTH, WIDTH))
    for share in (0.0, 0.5):
        planted = (1 - share) * np.abs(way.mean(axis=0))[None] + share * noise
        found = [one for one, _ in align(network, images, maps=_maps(images, planted))]
        wanted = [spearmanr(np.abs(way.mean(axis=0)).ravel(), one.astype(np.float32).ravel()).statistic
                  for one in planted]
        np.testing.assert_allclose([one.rho_perturbation for one in found], wanted, atol=0.02)


def test_saliency_is_the_largest_gradient_of_the_own_logit() -> None:
    network, _ = two_categories()
    images = grey_images(5, network=network)
    weights = network.module.weights.numpy().reshape(3, WIDTH, WIDTH, 2)
    wanted = [np.abs(weights[..., label]).max(axis=0) for label in images.labels]
    np.testing.assert_allclose(saliency_maps(network, images, batch=2), wanted, rtol=1e-5)
    found = [one.rho_saliency for one, _ in align(network, images, maps=_maps(images, np.stack(wanted)))]
    np.testing.assert_allclose(found, 1.0)


def test_a_random_perturbation_s_alignment_is_zero_but_for_its_error() -> None:
    network, way = two_categories()
    images = grey_images(200, network=network)
    maps = _maps(images, np.repeat(np.abs(way.mean(axis=0))[None], 200, axis=0))
    scored = align(network, images, maps=maps, scheme=Scheme(steps=2))
    found = summarise_alignment([one.rho_random for one, _ in scored], ceiling=None)
    assert found.n_images == 200
    assert found.error == pytest.approx(1 / np.sqrt(WIDTH**2 - 1) / np.sqrt(200), rel=0.15)
    assert abs(found.mean) < 3.5 * found.error


def test_wrongly_classified_images_have_saliency_alone() -> None:
    network, _ = two_categories()
    images = grey_images(4, network=network)
    labels = images.labels.copy()
    labels[2] = 1 - labels[2]
    maps = _maps(images, np.random.default_rng(0).random((4, WIDTH, WIDTH)))
    found = list(align(network, replace(images, labels=labels), maps=maps))
    assert [other is None for _, other in found] == [False, False, True, False]
    assert np.isnan(found[2][0].rho_perturbation)
    assert np.isfinite(found[2][0].rho_saliency)
    with pytest.raises(ValueError, match="in another order"):
        list(align(network, images, maps=_maps(replace(images, image_ids=images.image_ids[::-1]), maps.maps)))


def test_the_map_of_a_perturbation_is_the_absolute_mean_over_channels() -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, 4, 3))
    np.testing.assert_allclose(perturbation_map(values), np.abs(values.sum(axis=3) / 3))


def test_images_and_maps_are_joined_by_id_never_by_position() -> None:
    network, _ = two_categories()
    images = grey_images(4, network=network)
    values = np.random.default_rng(0).random((3, 2 * WIDTH, 2 * WIDTH)).astype(np.float32)
    maps = ImportanceMaps(("px-3", "px-0", "px-other"), values, (None,) * 3, (None,) * 3,
                          (None, values[:2], None), "maps")
    chosen, joined = with_maps(images, maps, side=WIDTH)
    assert chosen.image_ids == joined.image_ids == ("px-0", "px-3")
    np.testing.assert_array_equal(chosen.pixels, images.pixels[[0, 3]])
    np.testing.assert_allclose(joined.maps[0], values[1].reshape(WIDTH, 2, WIDTH, 2).mean(axis=(1, 3)), rtol=1e-5)
    assert joined.participants[0].shape == (2, WIDTH, WIDTH)
    with pytest.raises(StimulusError, match="maps of 1 images, none of the 4 measured ones"):
        with_maps(images, maps.among(["px-other"]), side=WIDTH)
    with pytest.raises(StimulusError, match="expected square maps"):
        with_maps(images, replace(maps, maps=values[:, :WIDTH]), side=WIDTH)


def test_scores_are_divided_by_the_ceiling() -> None:
    values = [0.1, 0.3, float("nan"), 0.2]
    plain = summarise_alignment(values, ceiling=None)
    assert (plain.n_images, plain.mean) == (3, pytest.approx(0.2))
    assert plain.error == pytest.approx(np.std([0.1, 0.2, 0.3], ddof=1) / np.sqrt(3))
    assert np.isnan(plain.of_ceiling)
    assert summarise_alignment(values, ceiling=0.5).of_ceiling == pytest.approx(0.4)
    ceiling = HumanCeiling(0.4, 0.57, 0.8, 0.01, 3, 20)
    both = summarise_alignment(values, ceiling=ceiling)
    assert (both.of_ceiling, both.of_highest) == (pytest.approx(0.5), pytest.approx(0.25))
    assert summarise_alignment([float("nan")], ceiling=0.5).n_images == 0
    assert "halves of people (3 images" in ceiling_line(ceiling)
    assert "0.658, as given" in ceiling_line(0.65753)
    assert "--ceiling" in ceiling_line(None)


def test_the_table_is_made_once_and_its_ceiling_comes_from_people(tmp_path: Path) -> None:
    network, way = two_categories()
    images = grey_images(8, network=network)
    rng = np.random.default_rng(0)
    people = tuple((np.abs(way.mean(axis=0)) + 0.2 * rng.random((4, WIDTH, WIDTH))).astype(np.float32)
                   for _ in range(8))
    maps = _maps(images, np.stack([one.mean(axis=0) for one in people]), people)
    path, options = tmp_path / "a.tsv", {"network": network, "images": images, "maps": maps, "scheme": Scheme()}
    table = measure_alignment(path, seed=1, **options)
    made = path.stat().st_mtime_ns
    again = measure_alignment(path, seed=1, **options)
    assert path.stat().st_mtime_ns == made
    pd.testing.assert_frame_equal(table[["l2", "rho_perturbation"]], again[["l2", "rho_perturbation"]], rtol=1e-6)
    found = alignment_result(again, maps=maps, norm="l2", seed=1)
    assert isinstance(found.ceiling, HumanCeiling)
    assert found.scores["rho_perturbation"].mean > 0.6
    assert found.scores["rho_perturbation"].mean < found.ceiling.highest + 0.1
    assert abs(found.scores["rho_random"].mean) < 0.3


@pytest.fixture
def mapped(built: Study, tmp_path: Path) -> tuple[Study, Path]:
    """Give a study and a folder of two people's maps of its RE images, brightness for want of people."""
    manifest = read_manifest(built.layout.manifest)
    rng = np.random.default_rng(0)
    for one in manifest.stimuli:
        if one.type != "RE":
            continue
        grey = read_pixels(built.layout.stimuli, one).mean(axis=2)
        for sub in ("01", "02"):
            save_map(tmp_path / "maps" / f"sub-{sub}" / f"{one.image_id}.npz", image_id=one.image_id,
                     map=grey + 20 * rng.random(grey.shape))
    return built, tmp_path / "maps"


def test_the_command_scores_a_study(mapped: tuple[Study, Path], command: Run) -> None:
    study, maps = mapped
    code, out, err = command("alignment", "--study", study.layout.root, "--maps", maps)
    assert code == 0, err
    for said in ("6 of 6 images correct", "perturbation         rho", "random perturbation", "human ceiling: 0.",
                 "between halves of people (6 images"):
        assert said in out
    path = study.layout.derivatives("alignment") / "network-study_scheme-refined_norm-l2_alignment.tsv"
    assert pd.read_csv(path, sep="\t")["rho_saliency"].notna().all()
    assert (path.parent / "dataset_description.json").is_file()
    code, out, _ = command("alignment", "--study", study.layout.root, "--maps", maps, "--processing", "clickme",
                           "--ceiling", "0.65753", "--overwrite")
    assert (code, "0.658, as given" in out) == (0, True)


def test_the_study_s_own_ai_are_scored_from_their_floats(mapped: tuple[Study, Path], command: Run) -> None:
    study, maps = mapped
    arguments = ("alignment", "--study", study.layout.root, "--maps", maps, "--of", "set")
    code, _, err = command(*arguments)
    assert code == 2
    assert "no float perturbations" in err
    assert "python -m stimuli perturbations --study" in err
    made = export_perturbations(study.layout, study.settings)
    code, out, err = command(*arguments)
    assert code == 0, err
    assert "6 AI of the set by network tiny: median L2" in out
    table = pd.read_csv(study.layout.derivatives("alignment") / "of-AI_alignment.tsv", sep="\t")
    manifest = read_manifest(study.layout.manifest)
    with h5py.File(made.path) as file:
        held = {one.decode(): values for one, values in zip(file["image_ids"][:], file["perturbation"][:], strict=True)}
    for row in table.to_dict("records"):
        values, one = held[row["image_id"]], manifest.by_id(row["image_id"])
        assert row["l2"] == pytest.approx(np.linalg.norm(values.astype(float)))
        assert row["base_image"] == one.base_image
        two = [np.load(maps / f"sub-0{k}" / f"{manifest.get(base_image=one.base_image, type='RE').image_id}.npz")["map"]
               for k in (1, 2)]
        wanted = spearmanr(np.abs(values.mean(axis=2)).ravel(), np.mean(two, axis=0).ravel()).statistic
        assert row["rho_perturbation"] == pytest.approx(wanted, abs=1e-4)


def test_perturbations_of_rounded_images_or_of_another_set_are_refused(mapped: tuple[Study, Path]) -> None:
    study, _ = mapped
    made = export_perturbations(study.layout, study.settings)
    found = read_float_perturbations(study.layout)
    manifest = read_manifest(study.layout.manifest)
    with h5py.File(made.path, "r+") as file:
        ids = [one.decode() for one in file["image_ids"][:]]
        first = ids.index(found.image_ids[0])
        start = read_pixels(study.layout.stimuli, manifest.by_id(found.start_ids[0])) / 255.0
        file["perturbation"][first] = np.rint((start + found.values[0]) * 255.0) / 255.0 - start
    with pytest.raises(StimulusError, match="rounded to 8 bits"):
        read_float_perturbations(study.layout)
    with h5py.File(made.path, "r+") as file:
        file["image_ids"][first] = "px-ffffffffffffffff"
    with pytest.raises(StimulusError, match="perturbations of 5 of the set's 6 AI"):
        score_set(study.layout, _maps(grey_images(1, network=two_categories()[0]), np.ones((1, SIDE, SIDE))))


def test_maps_that_belong_to_no_image_of_the_set_are_refused(built: Study, command: Run, tmp_path: Path,
                                                             tiny: TorchNetwork) -> None:
    save_map(tmp_path / "maps" / "a.npz", map=np.random.default_rng(0).random((SIDE, SIDE)))
    code, _, err = command("alignment", "--study", built.layout.root, "--maps", tmp_path / "maps")
    assert (code, "maps of 1 images, none of the 6 measured ones" in err) == (2, True)
    export_perturbations(built.layout, built.settings)
    code, _, err = command("alignment", "--study", built.layout.root, "--maps", tmp_path / "maps", "--of", "set")
    assert (code, "none of the set's RE" in err) == (2, True)
    code, _, err = command("alignment", "--network", "tiny", "--maps", tmp_path / "maps", "--of", "set")
    assert (code, "--of set: no study" in err) == (2, True)
    code, _, err = command("alignment", "--network", "tiny", "--maps", tmp_path / "maps", "--out", tmp_path / "t.tsv")
    assert (code, "importance maps without images or without labels" in err) == (2, True)
