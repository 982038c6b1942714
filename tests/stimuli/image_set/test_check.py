"""Every rule of the check has an image that breaks it, and only it."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from skimage.metrics import structural_similarity

from stimuli.image_set.build import build
from stimuli.image_set.check import Verdict, check, check_image
from stimuli.image_set.check_tables import failure_lines, summary, verdict_table
from stimuli.manifest import Manifest, Stimulus, image_id_of, read_manifest, write_manifest
from stimuli.networks.hardware import Hardware
from stimuli.networks.registry import TorchNetwork
from subjects.errors import ManifestError
from tests.stimuli.tiny import NAMES, Study, make_study


def _rewrite(study: Study, *, base: str = "cars-01", kind: str = "AN", **changes: Any) -> None:
    """Change one row of the manifest."""
    rows = [dataclasses.replace(one, **changes) if (one.base_image, one.type) == (base, kind) else one
            for one in read_manifest(study.layout.manifest).stimuli]
    write_manifest(study.layout.manifest, Manifest(tuple(rows)), overwrite=True)


def _repaint(study: Study, pixels: np.ndarray, *, base: str = "cars-01", kind: str = "AN", **changes: Any) -> None:
    """Change an image and give its row the new digest, as someone who cheats would."""
    one = read_manifest(study.layout.manifest).get(base_image=base, type=kind)
    Image.fromarray(pixels).save(study.layout.stimulus(one.file))
    _rewrite(study, base=base, kind=kind, image_id=image_id_of(pixels), **changes)


def _failures(verdict: Verdict) -> dict[str, tuple[str, ...]]:
    return {f"{one.base_image} {one.type}": one.failures for one in verdict.images if one.failures}


def _pixels(study: Study, *, base: str = "cars-01", kind: str = "AN") -> np.ndarray:
    one = read_manifest(study.layout.manifest).get(base_image=base, type=kind)
    with Image.open(study.layout.stimulus(one.file)) as image:
        return np.asarray(image).copy()


def test_a_set_as_it_was_built_passes(built: Study) -> None:
    verdict = check(built.layout, built.settings)
    assert (verdict.ok, verdict.n_images, verdict.n_failed, verdict.set_failures) == (True, 18, 0, ())
    assert all(one.p >= 0.99 for one in verdict.images)
    assert all(one.p_own < 0.01 for one in verdict.images if one.type == "AI")


def _scaled(study: Study, tiny: TorchNetwork, *, by: float) -> np.ndarray:
    noise = _pixels(study).astype(np.float64) - tiny.mean_image
    return np.round(tiny.mean_image + by * noise).astype(np.uint8)


@pytest.mark.parametrize(("by", "changes", "said"), [
    (0.9, {}, r"contrast 11.\d\d grey levels, wanted >= 12"),
    (1.2, {}, r"contrast 14.\d\d grey levels, wanted <= 13.2 \(stimuli.an_contrast_tolerance\)"),
    (1.2, {"an_contrast_tolerance": None}, None), (1.2, {"an_contrast_tolerance": 0.3}, None),
])
def test_noise_that_is_too_faint_or_too_strong_fails_although_p_is_there(
        built: Study, tiny: TorchNetwork, by: float, changes: dict[str, Any], said: str | None) -> None:
    changed = _scaled(built, tiny, by=by)
    change = float(np.linalg.norm((changed - tiny.mean_image.astype(np.float64)) / 255))
    _repaint(built, changed, l2=change)
    free = {"an_p": 0.5, "an_ceiling_p": 1.0, **changes}
    settings = built.settings.model_copy(update={"stimuli": built.settings.stimuli.model_copy(update=free)})
    found = _failures(check(built.layout, settings))
    rules = [failure for failure in found.get("cars-01 AN", ()) if "wanted" in failure]
    assert (len(rules) == 1 and re.fullmatch(said, rules[0])) if said else not rules


@pytest.mark.parametrize(("changes", "fails"), [({}, True), ({"an_contrast_tolerance": None}, False),
                                                ({"an_ceiling_p": 1.0}, False), ({"an_goal_p": 0.99}, False)])
def test_noise_above_its_ceiling_fails(built: Study, tiny: TorchNetwork, changes: dict[str, Any], fails: bool) -> None:
    one = read_manifest(built.layout.manifest).get(base_image="cars-01", type="AN")
    chances = np.full(len(tiny.class_names), 0.0)
    chances[one.category_index] = 0.9951
    verdict = check_image(one, image=_pixels(built), start=tiny.mean_image, probabilities=chances, network=tiny,
                          stimuli=built.settings.stimuli.model_copy(update=changes))
    assert ("P 0.9951, wanted < 0.995 (stimuli.an_ceiling_p)" in verdict.failures) == fails


def test_the_contrast_of_the_check_is_that_of_the_manifest(built: Study) -> None:
    """One name, one measure: what the check says, the report's table says of the same files."""
    verdict, manifest = check(built.layout, built.settings), read_manifest(built.layout.manifest)
    for one in verdict.images:
        assert one.contrast == pytest.approx(manifest.by_id(one.image_id).contrast_rms, abs=1e-4)
    noise = [one.contrast_rms for one in manifest.stimuli if one.type == "AN"]
    assert f"contrast of AN {min(noise):.1f} to {max(noise):.1f} grey levels RMS" in summary(verdict)


def test_a_regular_image_in_place_of_a_perturbed_one_fails(built: Study) -> None:
    other = _pixels(built, base="cars-02", kind="RE")
    other[0, 0] ^= 1
    _repaint(built, other, kind="AI")
    said = " ".join(_failures(check(built.layout, built.settings))["cars-01 AI"])
    assert "wanted > 0.99" in said
    assert "L2" in said


@pytest.mark.parametrize(("kind", "change", "said"), [
    ("AN", {"p_after": 0.5}, r"the manifest has 0.5000"),
    ("AI", {"l2": 9.0}, r"L2 from its start .*, the manifest has 9.000 \(l2\)"),
    ("AN", {"category": "pug"}, r"category 'pug' is not output 2 of the network"),
    ("AI", {"target_category": "pug"}, r"target 'pug' is not output . of the network"),
    ("RE", {"class_name": "boats"}, r"class 'boats' is not in the settings"),
    ("RE", {"target_index": 2, "target_category": "taxi"}, r"RE has a target category"),
    ("AN", {"target_index": None, "target_category": None}, r"the target of AN is another category than its RE's"),
    ("AI", {"target_index": 2, "target_category": "taxi"}, r"the target of AI is no wrong category"),
    ("AI", {"target_index": 99}, r"P nan, wanted > 0.99"),
    ("AN", {"p_before": 0.9}, r"P of the start 0.\d+, the manifest has 0.9000 \(p_before\)"),
    ("AI", {"p_before": 0.9}, r"P of the start 0.\d+, the manifest has 0.9000 \(p_before\)"),
    ("RE", {"p_before": 0.5}, r"P of the start \d.\d+, the manifest has 0.5000 \(p_before\)"),
    ("AN", {"linf": 0.0}, r"Linf from its start 0.\d+, the manifest has 0.0000 \(linf\)"),
    ("AI", {"linf": 1.0}, r"Linf from its start 0.\d+, the manifest has 1.0000 \(linf\)"),
    ("RE", {"l2": 0.1}, r"L2 from its start 0.000, the manifest has 0.100 \(l2\)"),
    ("AN", {"ssim": 0.9}, r"SSIM to its RE -?0.\d+, the manifest has 0.9000 \(ssim\)"),
    ("AI", {"ssim": -0.5}, r"SSIM to its RE 0.\d+, the manifest has -0.5000 \(ssim\)"),
    ("RE", {"contrast_rms": 1.0}, r"contrast \d+.\d\d, the manifest has 1.00 \(contrast_rms\)"),
])
def test_each_rule_about_an_image_is_noticed(built: Study, kind: str, change: dict[str, Any], said: str) -> None:
    _rewrite(built, kind=kind, **change)
    found = _failures(check(built.layout, built.settings))
    assert set(found) == {f"cars-01 {kind}"}
    assert re.search(said, " | ".join(found[f"cars-01 {kind}"]))


def test_an_image_of_another_size_fails(built: Study) -> None:
    _repaint(built, np.full((30, 30, 3), 90, np.uint8))
    found = _failures(check(built.layout, built.settings))
    assert "30 x 30 px, wanted 24 x 24" in found["cars-01 AN"]


def test_every_number_is_measured_and_expected(built: Study, tiny: TorchNetwork) -> None:
    """Against plain loops over the pixels, and scikit-image."""
    verdict = check(built.layout, built.settings)
    re_, an, ai = (_pixels(built, base="dogs-02", kind=kind) for kind in ("RE", "AN", "AI"))
    found = {one.type: one for one in verdict.images if one.base_image == "dogs-02"}
    changes = [(int(a) - int(b)) / 255 for a, b in zip(ai.ravel(), re_.ravel(), strict=True)]
    assert found["AI"].measured["l2"] == pytest.approx(sum(change ** 2 for change in changes) ** 0.5)
    assert found["AI"].measured["linf"] == pytest.approx(max(map(abs, changes)))
    row = _row(built, base="dogs-02", kind="AI")
    assert found["AI"].measured["p_before"] == pytest.approx(tiny.probabilities(re_[None])[0, row.target_index])
    mean = np.full((1, 24, 24, 3), 127, np.uint8)
    assert found["AN"].measured["p_before"] == pytest.approx(tiny.probabilities(mean)[0, row.category_index])
    for kind, pixels in (("AN", an), ("AI", ai)):
        assert found[kind].measured["ssim"] == pytest.approx(
            structural_similarity(pixels, re_, channel_axis=2, data_range=255))
    for one in verdict.images:
        assert one.expected == pytest.approx(one.measured, abs=1e-3)


def _row(built: Study, *, base: str, kind: str) -> Stimulus:
    return read_manifest(built.layout.manifest).get(base_image=base, type=kind)


def test_a_missing_partner_is_a_failure_of_the_set(built: Study) -> None:
    rows = [one for one in read_manifest(built.layout.manifest).stimuli
            if (one.base_image, one.type) not in {("dogs-02", "AN"), ("cars-02", "RE")}]
    write_manifest(built.layout.manifest, Manifest(tuple(rows)), overwrite=True)
    verdict = check(built.layout, built.settings)
    assert not verdict.ok
    assert verdict.set_failures == ("no AN of dogs-02", "no RE of cars-02")


def test_what_a_missing_partner_leaves_unmeasured_is_null_in_json(built: Study) -> None:
    rows = [one for one in read_manifest(built.layout.manifest).stimuli
            if (one.base_image, one.type) != ("cars-02", "RE")]
    write_manifest(built.layout.manifest, Manifest(tuple(rows)), overwrite=True)
    content = check(built.layout, built.settings).to_json()
    json.dumps(content, allow_nan=False)
    one = next(one for one in content["images"] if (one["base_image"], one["type"]) == ("cars-02", "AI"))
    assert [one["measured"][name] for name in ("p_before", "l2", "linf", "ssim")] == [None] * 4
    assert one["expected"]["l2"] > 0
    assert one["failures"] == []


def test_rows_out_of_their_place_are_a_failure_of_the_set(built: Study) -> None:
    rows = list(read_manifest(built.layout.manifest).stimuli)
    rows[4], rows[5] = rows[5], rows[4]
    write_manifest(built.layout.manifest, Manifest(tuple(rows)), overwrite=True)
    (said,) = check(built.layout, built.settings).set_failures
    assert said == ("row 6 of the manifest is dogs-02 AI, wanted dogs-02 AN: "
                    "the rows are not in the order in which they were written")


def test_two_regular_images_that_look_alike_are_a_failure_of_the_set(built: Study) -> None:
    other = _pixels(built, base="dogs-01", kind="RE")
    other[0, 0] ^= 1
    _repaint(built, other, base="fruits-02", kind="RE")
    failures = check(built.layout, built.settings).set_failures
    assert len(failures) == 1
    assert re.fullmatch(r"images/RE/dogs-01_RE.png and images/RE/fruits-02_RE.png are nearly the same image: [01] of "
                        r"63 bits .* differ, wanted more than 10 \(stimuli.near_duplicate_bits\)", failures[0])


def test_a_set_of_other_classes_is_a_failure_of_the_set(built: Study) -> None:
    settings = built.settings.model_copy(update={
        "stimuli": built.settings.stimuli.model_copy(update={"per_class": 1})})
    assert "dogs-02 RE is not in the settings" in check(built.layout, settings).set_failures


def test_a_target_of_the_same_class_is_a_failure_of_the_set(built: Study) -> None:
    _rewrite(built, kind="AI", target_category="police car", target_index=3)
    verdict = check(built.layout, built.settings)
    assert "the target of cars-01 AI is police car, not a category of another class" in verdict.set_failures
    free = built.settings.model_copy(update={
        "stimuli": built.settings.stimuli.model_copy(update={"ai_target": "any"})})
    assert check(built.layout, free).set_failures == ()


@pytest.mark.parametrize(("draw", "said"), [
    ("derangement", "category {} is the target of 2 AI, wanted one (stimuli.ai_draw)"),
    ("class_to_class", "the AI of class cars have targets in "), ("independent", None)])
def test_targets_that_no_joint_draw_gives_are_a_failure_of_the_set(tmp_path: Path, draw: str, said: str | None) -> None:
    study = make_study(tmp_path / "study", ai_draw=draw)
    build(study.layout, study.settings)
    assert check(study.layout, study.settings).set_failures == ()
    rows = {one.base_image: one for one in read_manifest(study.layout.manifest).stimuli if one.type == "AI"}
    own = NAMES.index(rows["cars-01"].target_category or "")
    taken = next(one for one in rows.values() if one.class_name != "cars"
                 and NAMES.index(one.target_category or "") // 2 not in (NAMES.index("taxi") // 2, own // 2))
    _rewrite(study, kind="AI", target_category=taken.target_category, target_index=taken.target_index)
    found = check(study.layout, study.settings).set_failures
    assert found == () if said is None else any(
        one.startswith(said.format(taken.target_category)) for one in found)


@pytest.mark.parametrize(("change", "said"), [
    ({"category": "banana", "category_index": 4}, "cars-01 AN is of banana (cars), its RE of taxi"),
    ({"class_name": "fruits"}, "cars-01 AN is of class fruits"),
])
def test_a_base_image_is_of_one_category(built: Study, change: dict[str, Any], said: str) -> None:
    _rewrite(built, **change)
    assert said in check(built.layout, built.settings).set_failures


def test_a_category_twice_is_a_failure_of_the_set(built: Study) -> None:
    for kind in ("RE", "AN", "AI"):
        _rewrite(built, base="cars-02", kind=kind, category="taxi", category_index=2)
    assert "category taxi has 2 base images" in check(built.layout, built.settings).set_failures


@pytest.mark.parametrize("change", [{"network_digest": "other"}, {"network": "demo"}])
def test_a_set_of_another_network_is_an_error(built: Study, change: dict[str, str]) -> None:
    _rewrite(built, **change)
    with pytest.raises(ManifestError, match=r"cars-01_AN.png: network .*; expected tiny tiny-1, as in the rows before"):
        check(built.layout, built.settings)


def test_one_changed_pixel_is_an_error(built: Study) -> None:
    pixels = _pixels(built)
    pixels[5, 5, 2] ^= 1
    Image.fromarray(pixels).save(built.layout.stimulus("images/AN/cars-01_AN.png"))
    with pytest.raises(ManifestError, match="cars-01_AN.png: pixels with digest"):
        check(built.layout, built.settings)


def test_limits_are_held_exactly(built: Study, tiny: TorchNetwork) -> None:
    """AN may equal its limit, RE and AI must exceed theirs."""
    for kind, p, holds in (("RE", 0.99, False), ("AN", 0.99, True), ("AI", 0.99, False), ("AN", 0.98999, False),
                           ("RE", 0.990001, True), ("AI", 0.990001, True)):
        one = dataclasses.replace(_row(built, base="cars-01", kind=kind), p_after=p)
        probabilities = np.full(6, (1 - p) / 5)
        probabilities[one.category_index if one.target_index is None else one.target_index] = p
        start = tiny.mean_image if kind == "AN" else _pixels(built, kind="RE")
        verdict = check_image(one, image=_pixels(built, kind=kind), start=start, network=tiny,
                              probabilities=probabilities, stimuli=built.settings.stimuli)
        assert (verdict.failures == ()) is holds, (kind, p)


def test_batches_and_threads_change_no_verdict(built: Study) -> None:
    one_by_one = built.settings.model_copy(update={
        "stimuli": built.settings.stimuli.model_copy(update={"batch": 1})})
    a, b = check(built.layout, built.settings), check(built.layout, one_by_one, hardware=Hardware(threads=2))
    assert [one.base_image for one in a.images] == [one.base_image for one in b.images]
    np.testing.assert_allclose([one.p for one in a.images], [one.p for one in b.images], atol=1e-6)


def test_the_table_fits_80_columns_and_hides_nothing(built: Study) -> None:
    _rewrite(built, p_after=0.5)
    verdict = check(built.layout, built.settings)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(verdict_table(verdict))
    said = console.export_text()
    assert "…" not in said
    rows = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert rows["cars-01"].rstrip().endswith("fails")
    assert rows["cars-02"].rstrip().endswith("passes")
    assert failure_lines(verdict) == ["images/AN/cars-01_AN.png: P 0.9925, the manifest has 0.5000 (p_after)"]
    assert summary(verdict).startswith("17 of 18 images pass; contrast of AN 12.")


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_go_on_in_the_next_line(built: Study, width: int) -> None:
    verdict = check(built.layout, built.settings)
    long = tuple(dataclasses.replace(one, category="African elephant, Loxodonta africana",
                                     judged_as="white shark, man-eater") for one in verdict.images)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(verdict_table(dataclasses.replace(verdict, images=long, network="n" * 100)))
    said = console.export_text()
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
    for word in ("elephant,", "africana", "man-eater", "passes"):
        assert said.count(word) == 6
    assert said.count("n" * 20) >= 1
