"""Low-level properties of images: closed forms, then a study's images on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from analysis.data.features import networks_of_set
from analysis.rsa.confounds import PLACES, confound_paths, read_low_level
from analysis.rsa.low_level import band_contrasts, band_edges, gabor_energies, luminance, measure_image
from analysis.rsa.rdm import compute_rdm, load_rdms
from analysis.statistics.results import read_results
from stimuli.manifest import TYPES, read_manifest, read_pixels
from subjects.dataset import init_study
from subjects.errors import AnalysisError, ManifestError
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from subjects.store import read_table
from tests.analysis.finished_study import add_second_network, finish_study
from tests.analysis.running_steps import run


def grating(cycles: int, *, degrees: float = 0.0, side: int = 64) -> np.ndarray:
    """A grating, so many cycles an image, whose bars are crossed along this direction."""
    y, x = np.mgrid[:side, :side] / side
    along = x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))
    return np.repeat((127.5 + 60 * np.sin(2 * np.pi * cycles * along))[..., None], 3, axis=2).astype(np.uint8)


def test_measures_of_plain_colours() -> None:
    """White, black, mid grey by sRGB's formula; the a* and b* of sRGB's red are 80.1 and 67.2 (D65)."""
    white, black, red = (np.full((8, 8, 3), colour, dtype=np.uint8) for colour in ((255,) * 3, (0,) * 3, (255, 0, 0)))
    assert measure_image(white) == pytest.approx(
        {"luminance": 100, "rms_contrast": 0, "red_green": 0, "blue_yellow": 0, "chroma": 0}, abs=0.02)
    assert measure_image(black)["rms_contrast"] == 0
    found = measure_image(red)
    assert (found["luminance"], found["red_green"], found["blue_yellow"]) == pytest.approx((21.26, 80.1, 67.2), abs=0.1)


def test_contrast_is_the_spread_of_luminance_over_its_mean() -> None:
    halves = np.zeros((8, 8, 3), dtype=np.uint8)
    halves[:, 4:] = 255
    assert measure_image(halves)["rms_contrast"] == pytest.approx(1.0)
    assert measure_image(halves)["luminance"] == pytest.approx(50.0)


@pytest.mark.parametrize(("cycles", "band"), [(1, 0), (3, 1), (6, 2), (12, 3)])
def test_a_gratings_contrast_lies_in_its_octave(cycles: int, band: int) -> None:
    found = band_contrasts(grating(cycles))
    assert found.argmax() == band
    assert found[band] > 4 * np.delete(found, band).max()


def test_contrasts_of_all_bands_add_up_to_the_images() -> None:
    """Parseval; a smooth image, so that the spectrum's corners hold nothing."""
    image = grating(5, degrees=30)
    assert band_edges(64)[-1] == 32
    light = luminance(image)
    assert np.sqrt((band_contrasts(image) ** 2).sum()) == pytest.approx(light.std() / light.mean(), rel=1e-3)


def test_gabor_energies_follow_frequency_and_orientation() -> None:
    """Each filter of 8 cycles has 256 energies, after 8 filters of 16 and 8 of 64 energies."""
    for k, degrees in ((0, 0.0), (2, 45.0), (4, 90.0)):
        energies = gabor_energies(grating(8, degrees=degrees, side=128))
        assert len(energies) == 8 * (16 + 64 + 256 + 2 * 1024)
        of_eight = energies[8 * 80:8 * 80 + 8 * 256].reshape(8, 256).mean(axis=1)
        assert of_eight.argmax() == k
        assert of_eight[k] > 2 * energies[8 * 16:8 * 80].max()


def test_a_fainter_image_has_smaller_energies_of_the_same_pattern() -> None:
    image = np.random.default_rng(0).integers(100, 150, (128, 128, 3)).astype(np.uint8)
    assert np.corrcoef(gabor_energies(image), gabor_energies(image // 2 + 60))[0, 1] > 0.98


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = finish_study(tmp_path_factory.mktemp("confounds") / "study", subjects=("01",))
    run("confounds", layout, load_settings(layout.root))
    return layout


def test_the_images_similarities_are_those_of_their_pixels(study: Layout) -> None:
    table, rdms, _ = confound_paths(study)
    manifest, labels = read_manifest(study.manifest), sorted(read_manifest(study.manifest).base_images)
    found = read_results(table)
    assert list(found["place"].unique()) == list(PLACES)
    assert len(found) == 6
    flat = np.stack([read_pixels(study.stimuli, manifest.get(base_image=name, type="AI")).ravel() for name in labels])
    np.testing.assert_allclose(load_rdms(rdms)["pixels/AI"].condensed, compute_rdm(flat, labels=labels).condensed)


def test_every_image_is_measured_once(study: Layout) -> None:
    measures = read_table(confound_paths(study)[2])
    assert list(measures["image_id"]) == [one.image_id for one in read_manifest(study.manifest).stimuli]
    assert {"luminance", "contrast_1_2", "contrast_4_8"} <= set(measures.columns)
    assert run("confounds", study, load_settings(study.root)).all_reused


def test_each_network_of_two_has_low_level_results_of_its_own(study: Layout, tmp_path: Path) -> None:
    """The second's AN and AI by another reading of their pixels; the first's are what they were without a second."""
    layout = add_second_network(Layout(shutil.copytree(study.root, tmp_path / "two")))
    done, manifest = run("confounds", layout, load_settings(layout.root)), read_manifest(layout.manifest)
    first, second = networks_of_set(layout)
    assert [work.name for work in done.works] == [f"the images of {one.name}" for one in (first, second)]
    alone = load_rdms(confound_paths(study)[1])
    own, others = (load_rdms(confound_paths(layout, one)[1]) for one in (first, second))
    names, labels = confound_paths(layout), sorted(manifest.base_images)
    assert confound_paths(layout, first) == names
    assert not set(confound_paths(layout, second)) & set(names)
    for kind in TYPES:
        np.testing.assert_array_equal(own[f"pixels/{kind}"].condensed, alone[f"pixels/{kind}"].condensed)
        flat = [read_pixels(layout.stimuli, manifest.get(base_image=base, type=kind, network="other")).ravel()
                for base in labels]
        np.testing.assert_allclose(others[f"pixels/{kind}"].condensed, pdist(np.array(flat, dtype=np.float64),
                                                                             "correlation"), atol=1e-6)
    low_level, measures, by_network = read_low_level(layout, second)
    assert sorted(measures["image_id"]) == sorted(one.image_id for one in manifest.stimuli)
    assert dict(measures.groupby(["type", "network"]).size()) == {
        ("RE", f"{first.name} + other"): 10, **{(kind, name): 10 for kind in ("AN", "AI")
                                                for name in (first.name, "other")}}
    assert list(by_network) == [first.name, "other"]
    pd.testing.assert_frame_equal(low_level, by_network["other"])
    assert run("confounds", layout, load_settings(layout.root)).all_reused


def test_without_a_set_it_says_how_to_build_one(tmp_path: Path) -> None:
    layout = init_study(Layout(tmp_path / "study"), name="x", seed=1)
    with pytest.raises(AnalysisError, match="python -m stimuli build"):
        run("confounds", layout, load_settings(layout.root))


def test_verifying_looks_at_every_image(study: Layout, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = Layout(shutil.copytree(study.root, tmp_path / "study"))
    settings, rows = load_settings(copy.root), read_manifest(copy.manifest).stimuli
    run("confounds", copy, settings)
    first, second = (copy.stimuli / one.file for one in rows[:2])
    shutil.copy(second, first)
    with pytest.raises(ManifestError, match=rf"{rows[1].image_id}; expected {rows[0].image_id}, as in the manifest"):
        run("confounds", copy, settings, verify=True)
    first.unlink()
    assert run("confounds", copy, settings, verify=True).all_reused
    assert f"1 of {len(rows)} images are not here and were not verified" in caplog.text
