"""Each rule for one image, broken alone: a sound image passes, and one change brings one named failure."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stimuli.image_set.image_rules import TOLERANCES, ImageVerdict, check_image, record_failures, without_nan
from stimuli.manifest import Stimulus
from subjects.settings.images import StimuliSettings

SIDE, CLASSES = 16, ("beagle", "robin", "lemon")
NETWORK: Any = SimpleNamespace(class_names=CLASSES, name="mine")
RNG = np.random.default_rng(5)
REGULAR = RNG.integers(60, 190, size=(SIDE, SIDE, 3), dtype=np.uint8)
START = np.full((SIDE, SIDE, 3), 120.0)
NOISE = np.clip(120 + np.where(RNG.random((SIDE, SIDE, 3)) < 0.5, -12, 12), 0, 255).astype(np.uint8)


def settings(**changes: Any) -> StimuliSettings:
    plain = {"classes": ("dogs", "birds", "fruits"), "animal_classes": ("dogs", "birds"), "size_px": SIDE,
             "an_min_contrast": 11.0}
    return StimuliSettings.model_validate({**plain, **changes})


def chances(index: int, p: float) -> np.ndarray:
    found = np.full(len(CLASSES), (1 - p) / (len(CLASSES) - 1))
    found[index] = p
    return found


def distances(image: np.ndarray, start: np.ndarray) -> dict[str, float]:
    """The columns of the manifest by their definitions, in plain loops over channels."""
    gap = (image.astype(float) - start.astype(float)) / 255
    spread = [float(np.mean((image[..., k] - image[..., k].mean()) ** 2)) for k in range(3)]
    return {"l2": math.sqrt(sum(float(np.sum(gap[..., k] ** 2)) for k in range(3))), "linf": float(np.abs(gap).max()),
            "contrast_rms": math.sqrt(sum(spread) / 3)}


def row(kind: str, **changes: Any) -> Stimulus:
    image, start = (REGULAR, REGULAR) if kind == "RE" else (NOISE, START)
    target = {"RE": (None, None), "AN": ("beagle", 0), "AI": ("robin", 1)}[kind]
    plain = Stimulus(image_id="px-1", file=f"images/{kind}.png", type=kind, base_image="beagle-01", category="beagle",
                     category_index=0, class_name="dogs", target_category=target[0], target_index=target[1],
                     network="demo", network_digest="d", p_before=0.2, p_after=0.993, ssim=1.0 if kind == "RE" else 0.0,
                     iterations=3, seed=1, **distances(image, start))
    return dataclasses.replace(plain, **changes)


def judge(kind: str, one: Stimulus | None = None, *, p: float = 0.993, stimuli: StimuliSettings | None = None,
          image: np.ndarray | None = None, ssim_known: bool = False) -> ImageVerdict:
    one = row(kind) if one is None else one
    shown, start = (REGULAR, REGULAR.astype(float)) if kind == "RE" else (NOISE, START)
    index = one.category_index if one.target_index is None else one.target_index
    return check_image(one, image=shown if image is None else image, start=start, network=NETWORK,
                       probabilities=chances(min(index, 2), p), stimuli=stimuli or settings(),
                       regular=REGULAR if ssim_known else None, probabilities_before=chances(min(index, 2), 0.2))


@pytest.mark.parametrize("kind", ["RE", "AN", "AI"])
def test_a_sound_image_breaks_no_rule(kind: str) -> None:
    found = judge(kind)
    assert found.failures == ()
    assert found.judged_as == {"RE": "beagle", "AN": "beagle", "AI": "robin"}[kind]
    assert found.measured["contrast_rms"] == pytest.approx(distances(REGULAR if kind == "RE" else NOISE, START)
                                                           ["contrast_rms"], abs=1e-9)
    assert set(found.measured) == set(found.expected) == set(TOLERANCES)


@pytest.mark.parametrize(("kind", "p", "said"), [
    ("RE", 0.99, "P 0.9900, wanted > 0.99"), ("RE", 0.9901, None), ("AI", 0.99, "P 0.9900, wanted > 0.99"),
    ("AN", 0.99, None), ("AN", 0.9899, "P 0.9899, wanted >= 0.99"), ("AN", 0.9949, None),
    ("AN", 0.995, "P 0.9950, wanted < 0.995 (stimuli.an_ceiling_p)"), ("AI", 0.9999, None)])
def test_the_bounds_of_p_are_those_of_the_protocol(kind: str, p: float, said: str | None) -> None:
    found = judge(kind, row(kind, p_after=p), p=p)
    assert found.failures == (() if said is None else (said,))


def test_a_regular_image_may_fill_a_shortfall_only_where_the_settings_say_so() -> None:
    below = row("RE", p_after=0.7)
    assert judge("RE", below, p=0.7).failures == ("P 0.7000, wanted > 0.99",)
    assert judge("RE", below, p=0.7, stimuli=settings(shortfall="best")).failures == ()
    assert judge("AI", row("AI", p_after=0.7), p=0.7, stimuli=settings(shortfall="best")).failures != ()


@pytest.mark.parametrize(("kind", "changes", "said"), [
    ("RE", {"category": "robin"}, "category 'robin' is not output 0 of the network"),
    ("AI", {"target_category": "lemon"}, "target 'lemon' is not output 1 of the network"),
    ("RE", {"class_name": "cars"}, "class 'cars' is not in the settings"),
    ("RE", {"target_category": "beagle", "target_index": 0}, "RE has a target category"),
    ("AN", {"target_category": "robin", "target_index": 1}, "the target of AN is another category than its RE's"),
    ("AI", {"target_category": "beagle", "target_index": 0}, "the target of AI is no wrong category"),
    ("AI", {"target_category": None, "target_index": None}, "the target of AI is no wrong category")])
def test_each_label_is_held_against_the_network_and_the_type(kind: str, changes: dict[str, Any], said: str) -> None:
    assert judge(kind, row(kind, **changes)).failures == (said,)


@pytest.mark.parametrize(("name", "by", "said"), [
    ("p_before", 0.01, "P of the start 0.2000, the manifest has 0.2100 (p_before)"),
    ("p_after", 0.002, "P 0.9930, the manifest has 0.9950 (p_after)"),
    ("l2", 0.1, "L2 from its start"), ("linf", 0.01, "Linf from its start"), ("contrast_rms", 0.5, "contrast")])
def test_each_number_of_the_manifest_is_measured_anew(name: str, by: float, said: str) -> None:
    wrong = row("AN", **{name: getattr(row("AN"), name) + by})
    (failure,) = judge("AN", wrong).failures
    assert failure.startswith(said)
    assert failure.endswith(f"({name})")


def test_within_its_tolerance_a_number_passes_and_just_beyond_it_fails() -> None:
    expected = dict.fromkeys(TOLERANCES, 0.5)
    for name, tolerance in TOLERANCES.items():
        assert record_failures({**expected, name: 0.5 + 0.99 * tolerance}, expected) == []
        assert len(record_failures({**expected, name: 0.5 - 1.01 * tolerance}, expected)) == 1
        assert record_failures({**expected, name: math.nan}, expected) == [], "not measured is not wrong"


def test_similarity_is_judged_only_with_the_regular_image() -> None:
    wrong = row("AN", ssim=0.9)
    assert judge("AN", wrong).failures == ()
    (failure,) = judge("AN", wrong, ssim_known=True).failures
    assert failure.startswith("SSIM to its RE")
    same = row("RE", ssim=1.0)
    assert judge("RE", same, ssim_known=True).failures == ()


def test_an_image_of_another_size_is_named_by_width_and_height_and_compared_with_nothing() -> None:
    found = judge("AN", image=NOISE[:, :12])
    assert "12 x 16 px, wanted 16 x 16" in found.failures
    assert math.isnan(found.measured["l2"])
    assert math.isnan(found.measured["linf"])


def test_noise_has_a_least_and_a_largest_contrast_and_other_types_have_none() -> None:
    contrast = distances(NOISE, START)["contrast_rms"]
    (low,) = judge("AN", stimuli=settings(an_min_contrast=contrast + 0.01)).failures
    assert low == f"contrast {contrast:.2f} grey levels, wanted >= {contrast + 0.01:g}"
    (high,) = judge("AN", stimuli=settings(an_min_contrast=contrast / 1.11)).failures
    assert high.endswith("(stimuli.an_contrast_tolerance)")
    assert judge("AN", stimuli=settings(an_min_contrast=contrast / 1.09)).failures == ()
    assert judge("AN", stimuli=settings(an_min_contrast=contrast / 2, an_contrast_tolerance=None)).failures == ()
    assert judge("AI", stimuli=settings(an_min_contrast=100.0)).failures == ()


def test_an_output_that_the_network_lacks_is_a_failure_and_no_crash() -> None:
    found = judge("RE", row("RE", category_index=7))
    assert found.judged_as == "unknown"
    assert math.isnan(found.p)
    assert any(said == "category 'beagle' is not output 7 of the network" for said in found.failures)


def test_json_gets_none_for_what_is_no_number_at_any_depth() -> None:
    content = {"a": math.nan, "b": [1.5, (math.inf, "x")], "c": {"d": -math.inf, "e": 0}}
    assert without_nan(content) == {"a": None, "b": [1.5, [None, "x"]], "c": {"d": None, "e": 0}}
