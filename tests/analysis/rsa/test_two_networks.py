"""A subject who was shown the AN and AI of two networks: similarities by network, and their difference."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from analysis.data.features import choose_network, features_command
from analysis.glm.betas import Betas, save_betas
from analysis.regions.labels import ROIS
from analysis.regions.patterns import RoiPatterns
from analysis.report.page import readings_by_network
from analysis.rsa.compare import Similarities
from analysis.rsa.run import region_similarities
from analysis.rsa.two_networks import compare_networks, half_of, networks_shown
from analysis.statistics.results import read_results
from analysis.steps import STEPS, Request
from stimuli.manifest import TYPES, Manifest, SetNetwork, Stimulus, pair_of, write_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar
from subjects.settings.analysis import RsaSettings
from subjects.settings.study import Settings
from tests.analysis import fabricated
from tests.analysis.running_steps import ask, run, table_of

NETWORKS = ("demo", "other")
FEW = RsaSettings(n_permutations=100, n_bootstraps=40, patches=10)


def make_manifest(names: list[str]) -> Manifest:
    """One RE of both networks, and AN and AI of each."""
    pair = pair_of(*(SetNetwork(name, "0" * 16) for name in NETWORKS))
    rows = list[Stimulus]()
    for name in names:
        one = fabricated._stimulus(name, "RE", network=pair[0])
        rows.append(replace(one, network_digest=pair[1]))
        for network in NETWORKS:
            rows += [replace(fabricated._stimulus(name, kind, network=network), image_id=f"px-{kind}-{name}-{network}",
                             file=f"images/{kind}/{name}-{network}.png") for kind in ("AN", "AI")]
    return Manifest(tuple(rows))


def make_patterns(seed: int, *, similar: tuple[float, float] = (0.0, 0.0), n: int = 24,
                  shift: float = 0.0) -> tuple[RoiPatterns, Manifest]:
    """Give patterns whose AI share `similar` of the RE's pattern by the first network and by the second."""
    rng = np.random.default_rng(seed)
    names = [f"{kind}-{k:02d}" for kind in ("dogs", "cars") for k in range(1, n // 2 + 1)]
    manifest = make_manifest(names)
    shown = manifest.shown_to("01")
    of = np.array([shown.get(base_image=name, type="AI").network == NETWORKS[0] for name in names])
    sessions = tuple("01" if k // 2 % 2 else "02" for k in range(n))
    regular = rng.normal(size=(n, 40))
    share = np.where(of, *similar)[:, None]
    signal = {"RE": regular, "AN": rng.normal(size=(n, 40)) + shift * of[:, None],
              "AI": share * regular + np.sqrt(1 - share ** 2) * rng.normal(size=(n, 40)) + shift * of[:, None]}
    both = {kind: tuple((one + 0.3 * rng.normal(size=one.shape)).astype(np.float32) for _ in (1, 2))
            for kind, one in signal.items()}
    for pair in both.values():
        for values in pair:
            for session in ("01", "02"):
                values[np.array(sessions) == session] -= values[np.array(sessions) == session].mean(axis=0)
    return RoiPatterns("V1", tuple(names), sessions,
                       {kind: tuple(shown.get(base_image=name, type=kind).image_id for name in names)
                        for kind in TYPES}, {kind: (one + two) / 2 for kind, (one, two) in both.items()},
                       both["RE"], {"L": np.arange(40)}, presentations=both,
                       session_means={kind: np.zeros((n, 40), dtype=np.float32) for kind in ("AN", "AI")}), manifest


def compare(half: RoiPatterns, seed: int) -> Similarities:
    return region_similarities(half, settings=FEW.model_copy(update={"brain_interval": "features"}), sub="01",
                               seed=seed)


def of_networks(patterns: RoiPatterns, manifest: Manifest, **changes: Any) -> Any:
    return compare_networks(patterns, manifest=manifest, settings=FEW.model_copy(update=changes),
                            session_means="removed", seed=1, compare=compare)


def test_each_network_s_similarity_is_that_of_its_own_images() -> None:
    """A plain reading: correlation distances of what is left after the half's own session means, ranked by scipy."""
    patterns, manifest = make_patterns(1, similar=(0.9, 0.5))
    found, shown = of_networks(patterns, manifest), np.array(networks_shown(patterns, manifest))
    for name, half in found.halves.items():
        rows, values = np.flatnonzero(shown == name), {}
        for kind in TYPES:
            own = patterns.responses[kind][rows].astype(float)
            for session in ("01", "02"):
                mine = [k for k, row in enumerate(rows) if patterns.sessions[row] == session]
                own[mine] -= own[mine].mean(axis=0)
            values[kind] = pdist(own, "correlation")
            np.testing.assert_allclose(half.rdms[kind].condensed, values[kind], atol=1e-5)
        for kind in ("AN", "AI"):
            paper = half.statistics[f"RE-{kind}"].paper
            assert paper is not None
            assert paper.effect == pytest.approx(spearmanr(values["RE"], values[kind])[0], abs=1e-4)


def test_a_planted_difference_is_found_on_its_side_and_none_where_there_is_none() -> None:
    apart = of_networks(*make_patterns(2, similar=(0.95, 0.0))).differences
    assert apart["RE-AI"].effect > 0.3
    assert apart["RE-AI"].p == pytest.approx(1 / 101)
    assert apart["RE-AI"].low > 0
    assert apart["RE-AN"].p > 0.05
    other = of_networks(*make_patterns(2, similar=(0.0, 0.95))).differences["RE-AI"]
    assert other.effect < -0.3
    assert other.high < 0


def test_where_networks_do_not_differ_p_is_even() -> None:
    """40 sets of one truth: p below .2 about every fifth time, and AN too though all are shifted by the network."""
    low = dict.fromkeys(("RE-AN", "RE-AI", "RE-AI minus RE-AN"), 0)
    for seed in range(40):
        patterns, manifest = make_patterns(100 + seed, similar=(0.6, 0.6), n=16)
        found = compare_networks(patterns, manifest=manifest, settings=FEW.model_copy(update={"n_permutations": 39}),
                                 session_means="removed", seed=seed, compare=_quick)
        for name in low:
            low[name] += found.differences[name].p <= 0.2
    assert all(2 <= n <= 17 for n in low.values()), low  # binomial of 40 and .2: 99.9 % within


def _quick(half: RoiPatterns, seed: int) -> Similarities:
    return region_similarities(half, settings=FEW.model_copy(update={
        "brain_interval": "features", "n_permutations": 9, "n_bootstraps": 9}), sub="01", seed=seed)


@pytest.mark.parametrize("how", ["removed", "pooled", "kept"])
def test_a_half_has_the_means_that_it_would_have_had_by_itself(how: str) -> None:
    """The half's betas by themselves, their session means taken off, are the half of all images' patterns."""
    rng = np.random.default_rng(5)
    rows, values = [], []
    names = [f"dogs-{k:02d}" for k in range(1, 13)]
    for kind in TYPES:
        for k, name in enumerate(names):
            for presentation in (1, 2):
                rows.append((f"{k // 2 % 2 + 1:02d}", kind, f"px-{kind}-{name}", name, presentation))
                values.append(rng.normal(size=9) + 3 * k)
    table = pd.DataFrame(rows, columns=["session", "type", "image_id", "base_image", "presentation"])
    betas = Betas("L", np.array(values, dtype=np.float32), table, np.zeros(9, dtype=np.float32),
                  np.ones(9, dtype=np.float32))

    def centred(one: Betas) -> Betas:
        return one if how == "kept" else one.without_session_means(pooled=how == "pooled")

    def patterns(one: Betas, chosen: list[str]) -> dict[str, np.ndarray]:
        return {kind: one.select(type=kind, base_images=chosen) for kind in TYPES}

    half = [0, 2, 4, 6, 8, 10]
    chosen = [names[k] for k in half]
    kept = table["base_image"].isin(chosen).to_numpy()
    alone = centred(replace(betas, values=betas.values[kept], conditions=table[kept].reset_index(drop=True)))
    whole = centred(betas)
    both = {kind: tuple(whole.select(type=kind, presentation=k) for k in (1, 2)) for kind in TYPES}
    given = RoiPatterns("V1", tuple(names), whole.sessions(), {kind: tuple(names) for kind in TYPES},
                        patterns(whole, names), both["RE"], {"L": np.arange(9)}, presentations=both)
    found = half_of(given, np.array(half), session_means=how)
    for kind, wanted in patterns(alone, chosen).items():
        np.testing.assert_allclose(found.responses[kind], wanted, atol=1e-4)
        for k in (1, 2):
            np.testing.assert_allclose(found.presentations[kind][k - 1],
                                       alone.select(type=kind, presentation=k, base_images=chosen), atol=1e-4)
    assert found.base_images == tuple(chosen)


def test_images_by_both_networks_and_too_few_are_refused() -> None:
    patterns, manifest = make_patterns(1)
    ids = list(patterns.image_ids["AN"])
    ids[3] = manifest.get(base_image=patterns.base_images[3], type="AN", network=NETWORKS[0]).image_id
    with pytest.raises(AnalysisError, match=f"AN and AI of {patterns.base_images[3]} by two networks"):
        networks_shown(replace(patterns, image_ids={**patterns.image_ids, "AN": tuple(ids)}), manifest)
    of_first = {kind: tuple(manifest.get(base_image=name, type=kind).image_id for name in patterns.base_images)
                for kind in TYPES}
    with pytest.raises(AnalysisError, match="0 base images with AN and AI by other"):
        networks_shown(replace(patterns, image_ids=of_first), manifest)


# --- a study on disk ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    layout, settings = fabricated.make_study(tmp_path_factory.mktemp("two") / "study", subjects=("01", "02"))
    names = list(dict.fromkeys(f"{kind}-{k:02d}" for kind in settings.stimuli.classes for k in range(1, 5)))
    manifest = make_manifest(names)
    write_manifest(layout.manifest, manifest, overwrite=True)
    records = {key: vars(SetNetwork(name, "0" * 16, tap="none"))
               for key, name in zip(("network", "second_network"), NETWORKS, strict=True)}
    sidecar(layout.manifest, inputs={}, parameters={}, extra=records)
    units = fabricated.make_units(len(names))
    for network in NETWORKS:
        _write_features(layout, manifest, units, network=network)
    for sub in ("01", "02"):
        shown = manifest.shown_to(sub)
        for hemi in ("L", "R"):
            made = fabricated.make_betas(tuple(names), units["layer1"], hemi=hemi, seed=int(sub))
            table = made.conditions.copy()
            images = table["type"].isin(TYPES)
            table.loc[images, "session"] = [f"{names.index(name) // 2 % 2 + 1:02d}"
                                            for name in table.loc[images, "base_image"]]
            table.loc[images, "image_id"] = [shown.get(base_image=row.base_image, type=row.type).image_id
                                             for row in table[images].itertuples()]
            save_betas(layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5"),
                       replace(made, conditions=table), overwrite=True)
    return layout, settings


def _write_features(layout: Layout, manifest: Manifest, units: dict[str, dict[str, np.ndarray]], *,
                    network: str) -> None:
    names, rows = list(manifest.base_images), list(manifest.stimuli)
    layers = {layer: np.stack([of[one.type][names.index(one.base_image)] + (one.network != network and one.type != "RE")
                               for one in rows]).astype(np.float32) for layer, of in units.items()}
    fabricated.write_store(layout.features(network), layers, network=network, network_digest="0" * 16, tap="none",
                           layers=fabricated.LAYERS, image_ids=[one.image_id for one in rows])


def test_the_step_writes_both_networks_and_subjects_by_network(study: tuple[Layout, Settings]) -> None:
    layout, settings = study
    done = run("rsa", layout, settings, "01", "02")
    assert [one.name for one in done.works] == ["sub-01", "sub-02", "sub-01, networks", "sub-02, networks",
                                                "network-demo", "network-other"]
    table = read_results(layout.derivative("rsa", sub="01", suffix="rsa.tsv", desc="networks"))
    assert Counter(table["network"]) == {"demo": 15, "other": 15, "demo minus other": 15}
    for network in NETWORKS:
        part = table[(table["network"] == network) & (table["comparison"] == "RE-AI")]
        assert list(part["place"]) == list(ROIS)
        assert set(part["n"]) == {10}
        assert (part["effect"] > 0.5).all()
    between = table[table["network"] == "demo minus other"]
    assert set(between["n"]) == {20}
    assert (between["p"] > 0.001).all(), "both networks' images were given the same responses"
    pooled = table_of("rsa", layout, settings)
    assert set(pooled["n"]) == {20}, "the pooled table is of all images, as for a set of one network"
    assert run("rsa", layout, settings, "01", "02").all_reused


def test_a_network_s_layers_are_compared_over_its_own_images(study: tuple[Layout, Settings]) -> None:
    """Both networks were given the same units for their own images, and others for the other's."""
    layout, settings = study
    run("rsa", layout, settings, "01", "02")
    one, other = (read_results(layout.derivative("rsa", suffix="rsa.tsv", network=name)) for name in NETWORKS)
    np.testing.assert_allclose(one["effect"], other["effect"], atol=1e-6)
    assert set(one[one["place"] == "layer1"]["n"]) == {20}


def test_the_scorecard_reads_the_claims_by_network(study: tuple[Layout, Settings]) -> None:
    layout, settings = study
    run("rsa", layout, settings, "01", "02")
    lines = readings_by_network(Request(layout=layout, settings=settings, subjects=("01", "02")))
    assert [line.id for line in lines] == ["B1 of demo", "B2 of demo", "B3 of demo", "B1 of other", "B2 of other",
                                           "B3 of other", "N1 of other", "N2 of other", "N3 of other"]
    assert {line.reading for line in lines} == set(NETWORKS)
    assert next(line for line in lines if line.id == "B1 of other").verdict == "holds"


def test_another_set_than_was_shown_is_named_with_both_images(study: tuple[Layout, Settings], tmp_path: Path) -> None:
    import shutil

    layout, settings = study
    shutil.copytree(layout.root, tmp_path / "other")
    other = Layout(tmp_path / "other")
    manifest = make_manifest(list(fabricated.base_images(settings.stimuli)))
    rows = tuple(replace(one, image_id=one.image_id + "-new") if one.type == "AN" else one for one in manifest.stimuli)
    write_manifest(other.manifest, Manifest(rows), overwrite=True)
    with pytest.raises(AnalysisError, match="px-AN-dogs-01-demo-new or px-AN-dogs-01-other-new, as in the manifest"):
        run("rsa", other, settings, "01")


def test_either_network_is_the_set_s_and_its_command_names_it(study: tuple[Layout, Settings]) -> None:
    layout, _ = study
    first, second, third = (choose_network(layout, name) for name in (None, "other", "third"))
    assert (first.name, first.second, first.of_set) == ("demo", False, True)
    assert (second.name, second.second, second.of_set) == ("other", True, True)
    assert (third.second, third.of_set) == (False, False)
    assert "--network" not in features_command(layout.root, first)
    assert features_command(layout.root, second).endswith("--network other")


@pytest.mark.parametrize("step", ["encode", "compare", "predictivity", "report"])
def test_no_network_s_results_are_written_over_those_of_another(study: tuple[Layout, Settings], step: str) -> None:
    """The second network of a set is one of the set, and has files of its own all the same."""
    layout, settings = study
    planned = [STEPS[step].plan(ask(layout, settings, network=name)) for name in (None, "other", "third")]
    outputs = [{path for work in one for path in work.outputs} for one in planned]
    for k, one in enumerate(outputs):
        assert one
        assert not one & set().union(*outputs[:k])
    assert all("network-other" in str(path) for path in outputs[1])
