"""What tables tell of a test: the seed its draws came from, that there was none, the null of a reliability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.glm.betas import Betas
from analysis.report.figures.brain_rsa import draw_brain_rsa
from analysis.report.scorecard import score
from analysis.report.tables import say_statistic
from analysis.rsa.ceiling import split_half_reliability
from analysis.rsa.choices import Place, compare_choices
from analysis.rsa.compare import DIFFERENCE, Similarities, compare_types
from analysis.rsa.rdm import RDM, compute_rdm
from analysis.rsa.resampling.images import image_bootstraps, label_permutations
from analysis.rsa.run import COLUMNS, place_rows
from analysis.rsa.similarity import pairs_within, similarity
from analysis.statistics.correction import correct_rows
from analysis.statistics.results import as_table, read_results
from analysis.statistics.statistic import two_sided_p, upper_p
from subjects.errors import AnalysisError, SettingsError
from subjects.provenance import rng, sidecar
from subjects.settings.analysis import RsaSettings
from subjects.settings.loading import load_settings
from subjects.store import write_table
from subjects.upkeep.cleaning import drop, find_droppable
from tests.analysis.fabricated import make_study
from tests.analysis.rsa.test_bad_input import change, names, responses
from tests.analysis.running_steps import patterns_of, run

FEW = RsaSettings(n_permutations=60, n_bootstraps=40)
BLOCKS = ("01",) * 10 + ("02",) * 10


def compared(n: int = 20, *, shared_seed: int | None = None, **changes: object) -> Similarities:
    kinds = responses(n)
    kinds["AI"] = (kinds["RE"] + kinds["AI"]).astype(np.float32)
    blocks = BLOCKS if n == 20 else None
    return compare_types(kinds, labels=names(n), settings=FEW.model_copy(update=changes), seed=5, percent=68,
                         blocks=blocks, shared_seed=shared_seed, where="V1")


def table_of_one(found: Similarities, *, by: str = "fdr") -> pd.DataFrame:
    rows = place_rows({"V1": found}, settings=FEW, system="brain", sub="01", digest_images="", digest_data="",
                      digest_settings="")
    return as_table(correct_rows(rows, by=by), columns=COLUMNS)


@pytest.mark.parametrize("shared_seed", [None, 77])
def test_seeds_in_a_table_are_those_that_its_p_can_be_had_from_again(tmp_path, shared_seed: int | None) -> None:
    found = compared(shared_seed=shared_seed)
    table = read_results(write_table(tmp_path / "rsa.tsv", table_of_one(found))).set_index("comparison")
    for kind in ("AN", "AI"):
        row, rdms = table.loc[f"RE-{kind}"], (found.rdms["RE"], found.rdms[kind])
        purpose = ("permutation", kind) if shared_seed is None else ("permutation",)
        null = label_permutations(*rdms, n=60, blocks=BLOCKS, rng=rng(int(row["seed"]), *purpose))
        assert row["p"] == upper_p(similarity(*rdms), null)
        free = label_permutations(*rdms, n=60, rng=rng(int(row["paper_seed"]), "free", kind))
        assert row["paper_p"] == upper_p(similarity(*rdms), free)
    draws = image_bootstraps(found.rdms["RE"], [found.rdms["AN"], found.rdms["AI"]], n=40,
                             rng=rng(int(table.loc[DIFFERENCE, "paper_seed"]), "images"))
    assert table.loc[DIFFERENCE, "paper_p"] == two_sided_p(draws[:, 1] - draws[:, 0])


def test_a_test_without_draws_has_no_seed_and_the_papers_beside_it_has_one() -> None:
    found = table_of_one(compared(difference="corrected")).set_index("comparison").loc[DIFFERENCE]
    assert found["n_resamples"] == 0
    assert pd.isna(found["seed"])
    assert found["paper_seed"] == 5


@pytest.mark.parametrize(("by", "n"), [("corrected", 6), ("studentised", 6), ("images", 3)])
def test_what_is_not_tested_has_no_p_anywhere(tmp_path, by: str, n: int) -> None:
    table = read_results(write_table(tmp_path / "rsa.tsv", table_of_one(compared(n, difference=by))))
    row = table.set_index("comparison").loc[DIFFERENCE]
    assert row["test"].startswith("not tested")
    assert np.isnan(row["p"])
    assert np.isnan(row["p_corrected"])
    assert np.isfinite(row["effect"])
    assert say_statistic(row).endswith("[–, –] not tested")
    if by == "images":
        assert np.isnan(row["paper_p"])
        assert np.isnan(row["paper_p_mean"])


def test_swaps_of_too_few_images_are_not_tested() -> None:
    kinds, settings = responses(6), FEW.model_copy(update={"difference": "studentised"})
    found = compare_types(kinds, labels=names(6), settings=settings, seed=5, percent=68, blocks=("01",) * 6)
    assert np.isnan(found.statistics[DIFFERENCE].p)
    assert "not tested: 6 images, 7 are needed" in found.statistics[DIFFERENCE].test


def test_choices_over_too_few_images_are_not_tested() -> None:
    rdms = [compute_rdm(values, labels=names(6)) for values in responses(6).values()]
    place = Place(rdms[0], {"first hit": rdms[1]}, {"own": rdms[2]})
    found = compare_choices(place, settings=FEW, seed=1)
    effect, p = found[DIFFERENCE]["first hit", "own"]
    assert np.isnan(p)
    assert effect == pytest.approx(found["RE-AI"]["own"][0] - found["RE-AN"]["first hit"][0])


def untested_brain() -> pd.DataFrame:
    """Two regions; the difference of the second was not tested."""
    rows = []
    for place in ("V1", "V2"):
        for comparison, p in (("RE-AN", 0.4), ("RE-AI", 0.001), (DIFFERENCE, 0.02)):
            untested = place == "V2" and comparison == DIFFERENCE
            rows.append({"sub": "01", "place": place, "comparison": comparison, "effect": 0.3, "low": 0.2, "high": 0.4,
                         "p": np.nan if untested else p, "test": "not tested: 6 images" if untested else "t",
                         "ceiling_low": np.nan, "ceiling_high": np.nan})
    return pd.DataFrame(correct_rows(rows, by="fdr"))


def test_a_claim_on_all_regions_is_open_where_one_was_not_tested() -> None:
    lines = {line.id: line for line in score(brain=untested_brain())}
    assert [lines[name].verdict for name in ("B1", "B2", "B3")] == ["holds", "holds", "not tested"]
    assert lines["B3"].here == "2/2 higher, 1/2 with p < .05 (1/2 corrected); largest p = .020; 1 not tested"


def test_a_p_that_is_missing_without_a_reason_is_refused() -> None:
    with pytest.raises(AnalysisError, match=r"p nan for 01, V2, RE-AI minus RE-AN; expected an effect, and a p"):
        score(brain=untested_brain().assign(test="t"))


def test_a_difference_that_was_not_tested_is_a_dash_under_its_region() -> None:
    figure = draw_brain_rsa(untested_brain())
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text() in (".020", "–")] == [".020", "–"]


def halves_of_noise(seed: int) -> list[RDM]:
    """Two presentations that share nothing, but that session means were taken off both."""
    generator, made = np.random.default_rng(seed), []
    for _ in range(2):
        values = generator.normal(size=(20, 50))
        for block in set(BLOCKS):
            inside = np.array(BLOCKS) == block
            values[inside] -= values[inside].mean(axis=0)
        made.append(compute_rdm(values, labels=names(20)))
    return made


def test_the_null_of_a_reliability_is_the_mean_over_orders_within_sessions() -> None:
    first, second = halves_of_noise(4)
    half, whole, chance = split_half_reliability(first, second, blocks=BLOCKS)
    drawn = label_permutations(first, second, n=4000, blocks=BLOCKS, rng=np.random.default_rng(1))
    assert chance == pytest.approx(drawn.mean(), abs=4 * drawn.std() / np.sqrt(4000))
    assert half == pytest.approx(similarity(first, second) - chance)
    assert whole == pytest.approx(2 * half / (1 + half) if half > 0 else half)
    assert split_half_reliability(first, second)[2] == 0
    within = split_half_reliability(first, second, blocks=BLOCKS, pairs=pairs_within(BLOCKS))
    assert within[2] == pytest.approx(0, abs=1e-12), "within sessions nothing has to be taken off"


def test_reliabilities_of_null_subjects_are_zero_in_the_mean() -> None:
    """200 subjects: with their nulls' means they would be above 0 by several standard errors."""
    found = np.array([split_half_reliability(*halves_of_noise(seed), blocks=BLOCKS) for seed in range(200)])
    half, chance = found[:, 0], found[:, 2]
    error = half.std() / np.sqrt(len(half))
    assert abs(half.mean()) < 3 * error
    assert (half + chance).mean() > 5 * error


@pytest.mark.parametrize("kept", [False, True])
def test_a_region_tells_the_null_of_its_reliability_and_takes_it_off_unless_it_is_kept(tmp_path, kept: bool) -> None:
    layout, _ = make_study(tmp_path / "study")
    settings = load_settings(layout.root, overrides={"rsa.null_mean": "kept" if kept else "removed",
                                                     "rsa.n_permutations": 20, "rsa.n_bootstraps": 5})
    table = read_results(run("rsa", layout, settings).works[0].outputs[0]).query("place == 'V1'")
    patterns = patterns_of(layout, settings)["V1"]
    halves = [compute_rdm(half, labels=patterns.base_images) for half in patterns.halves]
    half, whole, chance = split_half_reliability(*halves, blocks=patterns.sessions)
    for _, row in table.iterrows():
        if row["comparison"] != DIFFERENCE:
            assert row["reliability_null"] == pytest.approx(chance)
            assert row["reliability"] == pytest.approx(similarity(*halves) if kept else half)
            assert kept or row["reliability_whole"] == pytest.approx(whole)


@pytest.mark.parametrize("step", ["rsa", "encode"])
def test_a_response_that_is_missing_is_named_by_region_image_session_and_vertex(tmp_path, step: str) -> None:
    """One gap in one image; the mean of its session, taken off, spreads it to all images of the session."""
    layout, settings = make_study(tmp_path / "study")
    before = patterns_of(layout, settings)["V2"]
    chosen = int(before.vertices["R"][3])

    def spoil(betas: Betas) -> Betas:
        values, rows = betas.values.copy(), betas.conditions
        ours = (rows["type"] == "AI") & (rows["base_image"] == "cars-02") & (rows["presentation"] == 2)
        values[ours, chosen] = np.nan
        return replace(betas, values=values)

    change(layout, spoil, hemis="R")
    session = before.sessions[before.base_images.index("cars-02")]
    with pytest.raises(AnalysisError) as caught:
        run(step, layout, settings)
    said = str(caught.value)
    assert "sub-01 V2, AI: 1 pattern(s) with NaN or infinity, first 'cars-02' of session " + session in said
    assert "presentation 2" in said
    assert f"at 1 of 30 chosen vertices, first hemi-R {chosen}; expected a response to every image" in said


def test_responses_that_are_gone_are_missed_unless_they_were_dropped(tmp_path) -> None:
    layout, _ = make_study(tmp_path / "study")
    settings = load_settings(layout.root, overrides={"rsa.n_permutations": 20, "rsa.n_bootstraps": 5})
    features = layout.features("demo")
    sidecar(features, inputs={}, parameters={})
    run("rsa", layout, settings)
    away = features.rename(features.with_suffix(".away"))
    for step in ("rsa", "encode"):
        with pytest.raises(AnalysisError, match=r"features.h5: no such file.*python -m stimuli features"):
            run(step, layout, settings)
    away.rename(features)
    dropped = find_droppable(layout, kinds=("features",))
    assert [one.path for one in dropped] == [features]
    assert drop(dropped) > 0
    assert run("rsa", layout, settings).reused == ("sub-01", "network-demo")


def test_too_few_vertices_for_the_second_selection_name_its_own_setting(tmp_path) -> None:
    layout, _ = make_study(tmp_path / "study")
    settings = load_settings(layout.root, overrides={"rsa.control_vertices": 500, "rsa.n_permutations": 5,
                                                     "rsa.n_bootstraps": 2})
    with pytest.raises(AnalysisError) as caught:
        run("rsa", layout, settings)
    assert "expected 500 of them, as rsa.control_vertices asks" in str(caught.value)
    assert "fewer rsa.control_vertices" in str(caught.value)
    assert "vertices_per_hemisphere" not in str(caught.value)


@pytest.mark.parametrize(("key", "said"), [
    ("rsa.n_bootstraps", "one draw has no spread, and gives no interval"),
    ("roi.vertices_per_hemisphere", "patterns of two vertices correlate by 1 or -1"),
    ("rsa.control_vertices", "patterns of two vertices correlate by 1 or -1")])
def test_one_draw_and_one_vertex_are_refused_with_the_reason(tmp_path, key: str, said: str) -> None:
    layout, _ = make_study(tmp_path / "study")
    with pytest.raises(SettingsError, match=f"{key} = 1; expected .*2 or more, such as 100.*{said}"):
        load_settings(layout.root, overrides={key: 1})
    assert load_settings(layout.root, overrides={key: 2}) is not None
