"""Similarities of brain regions and layers: cores on arrays, then a small fabricated study on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from analysis.regions.labels import ROIS
from analysis.rsa import compare
from analysis.rsa.compare import DEGENERATE, DIFFERENCE, compare_types, layer_trends, say_degenerate
from analysis.rsa.rdm import RDM, compute_rdm, load_greatest, load_rdms
from analysis.rsa.resampling.images import label_permutations
from analysis.rsa.run import COLUMNS, named_layers, place_similarities, reading_trends
from analysis.statistics.results import read_results
from analysis.statistics.trend import mann_kendall
from stimuli.feature_store import open_store
from stimuli.image_set.exports.feature_writer import FeatureWriter, write_store
from subjects.cli import silent
from subjects.errors import AnalysisError, StudyError
from subjects.provenance import derive_seed, digest_json, rng, sidecar_path
from subjects.settings.loading import load_settings
from subjects.settings.study import RsaSettings
from subjects.store import read_json
from tests.analysis.fabricated import LAYERS, make_study
from tests.analysis.running_steps import patterns_of, run, table_of

QUICK = RsaSettings(n_permutations=200, n_bootstraps=200)


def names(n: int = 20) -> tuple[str, ...]:
    return tuple(f"dogs-{k:02d}" for k in range(1, n + 1))


def similar_responses(*, ai: float = 1.0, an: float = 0.0, n: int = 20, seed: int = 0) -> dict[str, np.ndarray]:
    """RE patterns; AI and AN share them with these weights."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 50))
    weights = {"RE": 1.0, "AN": an, "AI": ai}
    return {kind: (weight * shared + 0.5 * rng.normal(size=shared.shape)).astype(np.float32)
            for kind, weight in weights.items()}


def test_planted_similarity_is_found_where_it_was_planted():
    found = compare_types(similar_responses(), labels=names(), settings=QUICK, seed=3, percent=68).statistics
    assert found["RE-AI"].p == 1 / 201
    assert found["RE-AN"].p > 0.01
    assert found[DIFFERENCE].p < 1e-6
    assert found[DIFFERENCE].paper.p == pytest.approx(2 / 201)
    assert found[DIFFERENCE].low > 0
    assert found["RE-AI"].low < found["RE-AI"].high


def test_effects_equal_spearman_of_the_rdms_by_scipy():
    responses = similar_responses(an=0.4)
    found = compare_types(responses, labels=names(), settings=QUICK, seed=3, percent=68).statistics
    rdms = {kind: compute_rdm(values, labels=names()).condensed for kind, values in responses.items()}
    for kind in ("AN", "AI"):
        assert found[f"RE-{kind}"].effect == pytest.approx(spearmanr(rdms["RE"], rdms[kind]).statistic, abs=1e-12)
    assert found[DIFFERENCE].effect == pytest.approx(found["RE-AI"].effect - found["RE-AN"].effect)


def test_the_difference_turns_round_with_the_types():
    responses = similar_responses()
    turned = {"RE": responses["RE"], "AN": responses["AI"], "AI": responses["AN"]}
    first, second = (compare_types(x, labels=names(), settings=QUICK, seed=3, percent=68).statistics[DIFFERENCE]
                     for x in (responses, turned))
    assert (second.effect, second.low, second.high, second.p) == \
        pytest.approx((-first.effect, -first.high, -first.low, first.p))


def test_the_interval_is_the_bootstraps_own_moved_to_the_effect():
    """Against a plain loop: draws of vertices lie lower than the effect, the interval keeps their width and offsets."""
    responses = similar_responses(an=0.3)
    found = compare_types(responses, labels=names(), settings=QUICK, seed=3, percent=68).statistics
    generator, n_vertices = rng(3, "features"), responses["RE"].shape[1]
    draws: dict[str, list[float]] = {"AN": [], "AI": []}
    for _ in range(QUICK.n_bootstraps):
        chosen = generator.integers(0, n_vertices, size=n_vertices)
        rdms = {kind: compute_rdm(values[:, chosen], labels=names()).condensed for kind, values in responses.items()}
        for kind, kept in draws.items():
            kept.append(spearmanr(rdms["RE"], rdms[kind]).statistic)
    for kind, kept in draws.items():
        one = found[f"RE-{kind}"]
        low, middle, high = np.percentile(kept, [16, 50, 84])
        assert (one.low, one.high) == pytest.approx((one.effect + low - middle, one.effect + high - middle), abs=1e-6)
    assert np.median(draws["AI"]) < found["RE-AI"].effect - 0.02


def one_hot(*, tail: float, n: int = 20, n_units: int = 200) -> dict[str, np.ndarray]:
    """Softmax outputs: each image has a unit of its own, and tails of this size in all others."""
    generator = np.random.default_rng(4)
    return {kind: np.where(np.arange(n_units) == np.arange(n)[:, None], 1.0, tail * generator.random((n, n_units)))
            for kind in ("RE", "AN", "AI")}


def test_draws_that_leave_a_softmax_constant_give_no_interval():
    """A draw misses a given unit with probability 1/e: nearly none of 200 holds the units of all images."""
    found = compare_types(one_hot(tail=1e-6), labels=names(), settings=QUICK, seed=3, percent=95).statistics
    for kind in ("RE-AN", "RE-AI"):
        assert np.isnan(found[kind].low)
        assert np.isnan(found[kind].high)
        assert "no interval: 200 of 200 bootstrap draws of features leave a pattern constant" in found[kind].test
    assert np.isfinite(found[DIFFERENCE].low), "a bootstrap over images leaves no pattern constant"


def test_a_softmax_with_tails_has_an_interval_that_rounding_does_not_move():
    """Noise of 1e-9 of a value moved single draws of a nearly one-hot softmax by .13."""
    responses = one_hot(tail=0.2)
    generator = np.random.default_rng(9)
    moved = {kind: values * (1 + 1e-9 * generator.standard_normal(values.shape)) for kind, values in responses.items()}
    first, second = (compare_types(x, labels=names(), settings=QUICK, seed=3, percent=95).statistics["RE-AN"]
                     for x in (responses, moved))
    assert first.low < first.effect < first.high
    assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=1e-6)


def test_a_few_draws_that_leave_a_pattern_constant_are_left_out_and_counted():
    """One pattern rests on 4 of 50 vertices: exp(-4), some 2 % of the draws, miss them all."""
    responses = similar_responses(an=0.3)
    responses["AN"][7] = np.where(np.arange(50) < 4, 1e4 * np.arange(1, 51), responses["AN"][7] * 1e-3)
    many = QUICK.model_copy(update={"n_bootstraps": 1000})
    found = compare_types(responses, labels=names(), settings=many, seed=3, percent=68).statistics["RE-AN"]
    generator = rng(3, "features")
    n_missed = sum((generator.integers(0, 50, size=50) >= 4).all() for _ in range(1000))
    assert 0 < n_missed < 50
    assert f", {n_missed} of 1000 draws that leave a pattern constant left out" in found.test
    assert found.low < found.effect < found.high


def test_groups_of_units_move_the_interval_and_nothing_else():
    """50 features: 49 groups or fewer are groups, and say so; 50 and more, or 0, are the features themselves."""
    exact, all_of_them, grouped = (
        compare_types(similar_responses(an=0.3), labels=names(), settings=QUICK, seed=3, percent=95, features="units",
                      n_groups=n_groups).statistics["RE-AN"] for n_groups in (0, 50, 25))
    assert exact == all_of_them
    assert (grouped.effect, grouped.p) == (exact.effect, exact.p)
    assert grouped.low != exact.low
    assert grouped.high - grouped.low == pytest.approx(exact.high - exact.low, rel=0.35)
    assert exact.test.endswith("centred bootstrap over units")
    assert grouped.test.endswith("centred bootstrap over 25 random groups of units")


def test_wider_intervals_hold_narrower_ones():
    narrow, wide = (compare_types(similar_responses(), labels=names(), settings=QUICK, seed=3, percent=percent)
                    .statistics["RE-AI"] for percent in (68, 95))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert "95 % interval" in wide.test


def test_the_same_seed_gives_the_same_statistics_and_another_does_not():
    once, again, other = (compare_types(similar_responses(), labels=names(), settings=QUICK, seed=seed, percent=68)
                          .statistics["RE-AI"] for seed in (1, 1, 2))
    assert once == again
    assert once.low != other.low


def test_scaling_all_responses_changes_nothing():
    responses = similar_responses(an=0.3)
    before = compare_types(responses, labels=names(), settings=QUICK, seed=3, percent=68).statistics
    scaled = {kind: 4 * values for kind, values in responses.items()}
    assert compare_types(scaled, labels=names(), settings=QUICK, seed=3, percent=68).statistics == before


def test_a_ceiling_travels_with_the_similarities_and_not_with_the_difference():
    found = compare_types(similar_responses(), labels=names(), settings=QUICK, seed=3, percent=68,
                          ceiling=(0.4, 0.6)).statistics
    assert found["RE-AI"].ceiling == (0.4, 0.6)
    assert found[DIFFERENCE].ceiling is None


def test_one_constant_pattern_names_place_type_and_image():
    responses = similar_responses()
    responses["AN"][4] = 0
    with pytest.raises(AnalysisError, match=r"sub-01 V3, AN: 1 constant pattern\(s\), first 'dogs-05'"):
        compare_types(responses, labels=names(), settings=QUICK, seed=3, percent=68, where="sub-01 V3")


def test_dissimilarities_that_hardly_differ_are_called_degenerate():
    """One-hot patterns are all equally unlike; random ones are not."""
    found = compare_types(one_hot(tail=1e-6), labels=names(), settings=QUICK, seed=3, percent=95).statistics
    assert f"{DEGENERATE}: RE 100 %, AN 100 %, AI 100 % of them within 0.2 % of their median" in found["RE-AN"].test
    plain = compare_types(similar_responses(), labels=names(), settings=QUICK, seed=3, percent=95).statistics
    assert DEGENERATE not in plain["RE-AN"].test


@pytest.mark.parametrize(("n_far", "degenerate"), [(18, True), (19, False), (20, False)])
def test_an_rdm_is_degenerate_if_more_than_nine_in_ten_are_alike(n_far: int, degenerate: bool):
    values = np.full(190, 0.9)
    values[:n_far] = np.linspace(0.1, 0.5, n_far)
    values[n_far:] += np.linspace(0, 0.0005, 190 - n_far)
    rdms = {"RE": RDM(names(), values, "correlation")}
    assert bool(say_degenerate(rdms)) == degenerate


def test_the_last_layer_is_read_by_its_logits_too_and_trends_have_as_many_layers(tmp_path):
    """Softmax and logits of 20 images: what is stored beside the layers is compared as a reading of the last."""
    generator = np.random.default_rng(2)
    layers = {f"layer{k}": generator.normal(size=(60, 30)) for k in (1, 2, 3)}
    logits = 2 * generator.normal(size=(60, 10))
    layers["layer4"] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    manifest = SimpleNamespace(base_images=names(), get=lambda **of: SimpleNamespace(
        image_id=f"{of['base_image']} {of['type']}"))
    ids = [f"{name} {kind}" for name in names() for kind in ("RE", "AN", "AI")]
    write_store(tmp_path / "f.h5", {**layers, "logits": logits}, network="n", network_digest="0", tap="none",
                layers=list(layers), readings=["logits"], image_ids=ids)
    store = open_store(tmp_path / "f.h5")
    assert (store.layers, store.readings) == (tuple(layers), ("logits",))
    found = place_similarities(store, named_layers(store), manifest=manifest, settings=QUICK,  # type: ignore[arg-type]
                               seed=1, progress=silent)
    assert list(found) == [*layers, "layer4 by logits"]
    places = {kind: [row for row, name in enumerate(ids) if name.endswith(kind)] for kind in ("RE", "AN")}
    wanted = [compute_rdm(logits[rows].astype(np.float32), labels=names()).condensed for rows in places.values()]
    effect = found["layer4 by logits"].statistics["RE-AN"].effect
    assert effect == pytest.approx(spearmanr(*wanted).statistic, abs=1e-6)
    trends = reading_trends(found, layers=store.layers)
    assert {name: {one.n for one in of.values()} for name, of in trends.items()} == {
        "layers": {4}, "layers by logits": {4}}
    effects = [found[name].statistics["RE-AN"].effect for name in ("layer1", "layer2", "layer3", "layer4 by logits")]
    assert trends["layers by logits"]["trend RE-AN"].effect == pytest.approx(kendalltau(range(4), effects).statistic)


def test_draws_of_many_features_are_the_same_when_fewer_counts_are_held(monkeypatch):
    settings = RsaSettings(n_permutations=5, n_bootstraps=50, unit_groups=0)
    whole = compare_types(similar_responses(), labels=names(), settings=settings, seed=3, percent=95).statistics
    monkeypatch.setattr(compare, "MOST_COUNTS", 50 * 7)  # 7 draws of 50 features at once, the last time one
    parts = compare_types(similar_responses(), labels=names(), settings=settings, seed=3, percent=95).statistics
    for name, one in whole.items():
        assert (parts[name].low, parts[name].high) == pytest.approx((one.low, one.high), abs=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc, in KiB")
@pytest.mark.parametrize("n_groups", [2000, 0])
def test_a_layer_of_390000_units_is_compared_below_a_gigabyte(tmp_path, n_groups):
    ids = [f"{name} {kind}" for name in names(40) for kind in ("RE", "AN", "AI")]
    writer = FeatureWriter(tmp_path / "f.h5", dtype="float32", batch=20, attributes={
        "network": "n", "network_digest": "0", "tap": "none", "layers": ["layer1"], "image_ids": ids})
    for k in range(6):
        writer.append({"layer1": np.random.default_rng(k).random((20, 390_000), dtype=np.float32)})
    writer.finish()
    code = f"""
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from analysis.rsa.run import named_layers, place_similarities
from analysis.statistics.results import read_results
from analysis.statistics.trend import mann_kendall
from stimuli.feature_store import open_store
from subjects.cli import silent
from subjects.settings.study import RsaSettings
store = open_store({str(tmp_path / 'f.h5')!r})
manifest = SimpleNamespace(base_images={names(40)!r},
                           get=lambda **of: SimpleNamespace(image_id=f"{{of['base_image']}} {{of['type']}}"))
place_similarities(store, named_layers(store), manifest=manifest, seed=1, progress=silent,
                   settings=RsaSettings(n_permutations=20, n_bootstraps=200, unit_groups={n_groups}))
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[3])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1e9 / 1024, done.stdout


def test_layer_trends_are_exact_mann_kendall_tests():
    rising, falling = [0.1, 0.2, 0.15, 0.3, 0.5, 0.6, 0.8, 0.9], [0.99, 0.9, 0.8, 0.7, 0.5, 0.55, 0.2, 0.1]
    found = layer_trends({"RE-AN": rising, "RE-AI": falling})
    for name, values in (("trend RE-AN", rising), ("trend RE-AI", falling)):
        theirs = kendalltau(np.arange(8), values, method="exact")
        assert (found[name].effect, found[name].p) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert (found[name].n, found[name].n_resamples, found[name].seed) == (8, 0, None)
        usual = layer_trends({name.removeprefix("trend "): values}, by="normal")[name]
        assert usual.p == found[name].paper.p == mann_kendall(values, by="normal")[1]
        assert "Mann-Kendall, normal approximation, two-sided" in usual.test


@pytest.mark.slow
def test_null_subjects_are_rejected_at_five_percent():
    """200 null subjects through the whole comparison, 5 +- 2 %; both similarities count."""
    settings = RsaSettings(n_permutations=199, n_bootstraps=5)
    p = [compare_types({kind: np.random.default_rng([7, k, j]).normal(size=(40, 200)).astype(np.float32)
                        for j, kind in enumerate(("RE", "AN", "AI"))},
                       labels=names(40), settings=settings, seed=k, percent=68).statistics[comparison].p
         for k in range(200) for comparison in ("RE-AN", "RE-AI")]
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.07


# --- a fabricated study on disk ------------------------------------------------------------------------

@pytest.fixture(scope="module")
def fabricated(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("rsa") / "study")


def test_a_subjects_similarities_are_found_and_written(fabricated):
    layout, settings = fabricated
    table = table_of("rsa", layout, settings)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 3 * len(ROIS)
    assert set(table["system"]) == {"brain"}
    assert set(table["sub"]) == {"01"}
    by_name = table.set_index(["place", "comparison"])
    for roi in ROIS:
        assert by_name.loc[(roi, "RE-AI"), "p"] == pytest.approx(1 / 201)
        assert by_name.loc[(roi, DIFFERENCE), "low"] > 0
        assert by_name.loc[(roi, "RE-AI"), "effect"] > 0.6
        assert abs(by_name.loc[(roi, "RE-AN"), "effect"]) < 0.3
        assert 0.5 < by_name.loc[(roi, "RE-AI"), "ceiling_low"] < by_name.loc[(roi, "RE-AI"), "ceiling_high"] < 1
    assert (layout.derivatives("rsa") / "dataset_description.json").is_file()


def test_taps_beside_the_layers_have_a_table_of_their_own_and_change_no_trend(tmp_path):
    """The network's table is the same with taps and without; one tap is a layer under another name."""
    layout, settings = make_study(tmp_path / "study")
    plain = table_of("rsa", layout, settings, work="network-demo")
    store = open_store(layout.features("demo"))
    values = {layer: store.read(layer) for layer in store.layers}
    taps = {f"tap features.{k}": values["layer3"] if k == 4 else values["layer1"] + k for k in range(12)}
    write_store(store.path, {**values, **taps}, network="demo", network_digest=store.network_digest, tap="none",
                layers=store.layers, taps=list(taps), image_ids=store.image_ids)
    done = run("rsa", layout, settings)
    assert [one.name for one in done.works] == ["sub-01", "network-demo", "network-demo, taps"]
    again = read_results(done.works[1].outputs[0])
    assert (again["digest_data"] != plain["digest_data"]).all(), "the file of features is another one"
    pd.testing.assert_frame_equal(again.drop(columns="digest_data"), plain.drop(columns="digest_data"))
    beside = read_results(done.works[2].outputs[0])
    assert done.works[2].outputs[0].name == "network-demo_desc-taps_rsa.tsv"
    assert list(dict.fromkeys(beside["place"])) == list(taps)
    assert set(beside["comparison"]) == {"RE-AN", "RE-AI", DIFFERENCE}
    effects = [table.set_index(["place", "comparison"]).loc[(place, "RE-AI"), "effect"]
               for table, place in ((beside, "tap features.4"), (plain, "layer3"))]
    assert effects[0] == effects[1]
    assert run("rsa", layout, settings).all_reused


def test_the_written_rdms_are_those_of_the_patterns(fabricated):
    layout, settings = fabricated
    table_of("rsa", layout, settings)
    rdms = load_rdms(layout.derivative("rsa", sub="01", suffix="rdms.h5"))
    patterns = patterns_of(layout, settings)
    assert set(rdms) == {f"{roi}/{kind}" for roi in ROIS for kind in ("RE", "AN", "AI")}
    expected = compute_rdm(patterns["V4"].responses["AI"], labels=patterns["V4"].base_images)
    np.testing.assert_array_equal(rdms["V4/AI"].condensed, expected.condensed)


def test_a_current_result_is_read_back_and_a_stale_one_made_again(fabricated):
    layout, settings = fabricated
    before = table_of("rsa", layout, settings)
    path = layout.derivative("rsa", sub="01", suffix="rsa.tsv")
    stamp = path.stat().st_mtime_ns
    again = table_of("rsa", layout, settings)
    assert path.stat().st_mtime_ns == stamp
    assert again.equals(before)
    other = table_of("rsa", layout, load_settings(layout.root, overrides={"study.seed": 8}))
    assert path.stat().st_mtime_ns != stamp
    assert not other["seed"].equals(before["seed"])
    assert other["effect"].equals(before["effect"])
    back = table_of("rsa", layout, settings)
    assert back.equals(before)


def test_the_sidecar_names_inputs_settings_and_what_the_ceiling_is(fabricated):
    layout, settings = fabricated
    table_of("rsa", layout, settings)
    content = read_json(sidecar_path(layout.derivative("rsa", sub="01", suffix="rsa.tsv")))
    assert {"betas_L", "betas_R", "labels_L", "flat_R"} <= set(content["inputs"])
    assert content["parameters"]["rsa"]["dissimilarity"] == "correlation"
    assert "unit_groups" not in content["parameters"]["rsa"], "vertices are drawn one by one, whatever it says"
    assert "two measurements of the same patterns" in content["Ceiling"]
    assert content["Reliability"].startswith("split-half")
    assert content["Paper"].startswith("the paper's own procedures")


def test_progress_passes_over_the_regions(fabricated):
    layout, _ = fabricated
    seen = []

    def note(iterable, *, label, total=None):
        for item in iterable:
            seen.append((label, item, total))
            yield item

    run("rsa", layout, load_settings(layout.root, overrides={"study.seed": 99}), progress=note)
    assert seen[:5] == [("RSA sub-01", roi, 5) for roi in ROIS]


def test_a_networks_similarities_and_trends(fabricated):
    layout, settings = fabricated
    table = table_of("rsa", layout, settings, work="network-demo")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 3 * len(LAYERS) + 2
    by_name = table.set_index(["place", "comparison"])
    assert by_name.loc[("layer1", "RE-AI"), "effect"] > 0.9
    assert by_name.loc[("layer8", "RE-AN"), "effect"] > 0.9
    assert by_name.loc[("layer1", DIFFERENCE), "effect"] > 0 > by_name.loc[("layer8", DIFFERENCE), "effect"]
    assert by_name.loc[("layers", "trend RE-AN"), "effect"] > 0.7
    assert by_name.loc[("layers", "trend RE-AI"), "effect"] < -0.7
    assert by_name.loc[("layers", "trend RE-AI"), "p"] < 0.02
    assert table["seed"].isna().sum() == 2 + len(LAYERS), "trends are exact, differences by t: no draws behind p"
    assert table["paper_seed"].isna().sum() == 2
    assert table["ceiling_low"].isna().all()
    assert set(table["sub"]) == {""}
    assert (layout.derivatives("rsa") / "network-demo_rsa.tsv").is_file()
    assert set(load_rdms(layout.derivatives("rsa") / "network-demo_rdms.h5")) == \
        {f"{layer}/{kind}" for layer in LAYERS for kind in ("RE", "AN", "AI")}
    assert table_of("rsa", layout, settings, work="network-demo").equals(table)


def test_a_network_without_features_says_how_to_take_them(fabricated):
    layout, settings = fabricated
    with pytest.raises(StudyError, match=r"network-other_features.h5: no such file.*python -m stimuli features"):
        run("rsa", layout, settings, network="other")


def test_missing_betas_say_how_to_fit_them(fabricated):
    layout, settings = fabricated
    path = layout.derivative("glm", sub="01", hemi="R", suffix="betas.h5")
    away = path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(AnalysisError, match=r"hemi-R_betas.h5: no such file.*python -m analysis glm"):
            table_of("rsa", layout, settings)
    finally:
        away.rename(path)


@pytest.mark.parametrize(("n_images", "said"), [(6, "draws without two different pairs left out"),
                                                (3, "not tested (bootstrap over images, two-sided)")])
def test_a_set_of_a_few_images_is_compared_and_says_what_its_draws_are_worth(n_images: int, said: str) -> None:
    """Before, the whole step was refused."""
    labels = tuple(f"image-{k}" for k in range(n_images))
    noise = np.random.default_rng(3)
    found = compare_types({kind: noise.normal(size=(n_images, 20)).astype(np.float32) for kind in ("RE", "AN", "AI")},
                          labels=labels, seed=1, percent=95,
                          settings=RsaSettings(n_permutations=50, n_bootstraps=200, difference="images"))
    one = found.statistics["RE-AI minus RE-AN"]
    assert said in one.test
    assert np.isnan(one.p) == np.isnan(one.low) == (n_images == 3)
    assert np.isfinite(one.effect)


@pytest.mark.parametrize("n_images", [6, 7])
def test_fewer_than_seven_images_have_no_variance_over_images_and_say_so(n_images: int) -> None:
    noise = np.random.default_rng(3)
    found = compare_types({kind: noise.normal(size=(n_images, 20)).astype(np.float32) for kind in ("RE", "AN", "AI")},
                          labels=tuple(f"image-{k}" for k in range(n_images)), seed=1, percent=95, over="images",
                          settings=RsaSettings(n_permutations=50, n_bootstraps=200)).statistics
    few = n_images < 7
    assert (found[DIFFERENCE].test == "not tested: 6 images, 7 are needed for a variance over images") == few
    assert np.isnan(found[DIFFERENCE].p) == np.isnan(found[DIFFERENCE].low) == few
    assert ("no interval: too few images" in found["RE-AI"].test) == np.isnan(found["RE-AI"].low) == few
    assert np.isfinite(found["RE-AI"].paper.low)


def test_the_largest_of_all_regions_is_shared_by_orders_of_labels_that_are_the_same(tmp_path):
    """By a plain loop over the RDMs on disk: one order of labels for all regions and both comparisons."""
    layout, _ = make_study(tmp_path / "study", subjects=("01", "02"))
    settings = load_settings(layout.root, overrides={
        "rsa.correction": "max", "rsa.n_permutations": 50, "rsa.n_bootstraps": 10})
    done = run("rsa", layout, settings, "01", "02")
    table, rdms = read_results(done.works[0].outputs[0]), load_rdms(done.works[0].outputs[1])
    seed = derive_seed(settings.study.seed, "01", "rsa", "orders")
    blocks = patterns_of(layout, settings)["V1"].sessions
    null, z = {}, {}
    for roi in ROIS:
        for kind in ("AN", "AI"):
            draws = label_permutations(rdms[f"{roi}/RE"], rdms[f"{roi}/{kind}"], n=50, blocks=blocks,
                                       rng=rng(seed, "permutation"))
            raw = spearmanr(rdms[f"{roi}/RE"].condensed, rdms[f"{roi}/{kind}"].condensed).statistic
            whole = np.append(draws, raw)
            null[roi, kind] = (draws - whole.mean()) / whole.std()
            z[roi, kind] = (raw - whole.mean()) / whole.std()
    greatest = np.max(list(null.values()), axis=0)
    np.testing.assert_allclose(load_greatest(done.works[0].outputs[1]), greatest)
    by_name = table.set_index(["place", "comparison"])
    for (roi, kind), value in z.items():
        row = by_name.loc[(roi, f"RE-{kind}")]
        assert row["z"] == pytest.approx(value)
        assert row["p_corrected"] == (1 + np.count_nonzero(greatest >= value - 1e-9)) / 51
    other = load_greatest(done.works[1].outputs[1])
    assert not np.array_equal(greatest, other)
    layers = read_results(next(one for one in done.works if one.name == "network-demo").outputs[0])
    assert layers["correction"].str.contains("largest of 16 similarities|false discovery").all()


def test_rows_name_measure_coefficient_and_the_digests_of_what_they_are_from(fabricated):
    layout, settings = fabricated
    done = run("rsa", layout, settings)
    for work in done.works:
        table, beside = read_results(work.outputs[0]), read_json(sidecar_path(work.outputs[0]))
        assert set(table["digest_images"]) == {beside["inputs"]["manifest"]}
        assert set(table["digest_settings"]) == {digest_json(beside["parameters"])}
        others = {name: digest for name, digest in beside["inputs"].items() if name != "manifest"}
        assert set(table["digest_data"]) == {digest_json(others)}
        assert set(table["dissimilarity"].dropna()) == {"correlation"}
        assert set(table["coefficient"]) <= {"spearman", "tau_a"}
        trends = table["comparison"].str.startswith("trend")
        assert set(table.loc[~trends, "coefficient"]) == {"spearman"}


def test_a_second_selection_has_files_of_its_own_and_changes_nothing_else(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    before = table_of("rsa", layout, settings)
    few = settings.roi.vertices_per_hemisphere
    more = load_settings(layout.root, overrides={"rsa.control_vertices": few // 2})
    done = run("rsa", layout, more)
    assert [one.name for one in done.works] == ["sub-01", "sub-01, control", "network-demo"]
    assert done.reused == ("sub-01", "network-demo")
    table, beside = (read_results(one.outputs[0]) for one in done.works[:2])
    pd.testing.assert_frame_equal(table, before)
    assert done.works[1].outputs[0].name == "sub-01_desc-control_rsa.tsv"
    said = read_json(sidecar_path(done.works[1].outputs[0]))["parameters"]["roi"]
    assert said["vertices_per_hemisphere"] == few // 2
    half = load_settings(layout.root, overrides={"roi.vertices_per_hemisphere": few // 2})
    alone = table_of("rsa", layout, half)
    pd.testing.assert_frame_equal(beside, alone)
