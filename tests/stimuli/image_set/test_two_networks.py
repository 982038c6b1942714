"""A set whose AN and AI are made with two networks: built, checked, read back, and shown to subjects by halves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from stimuli.feature_store import open_store
from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.contact_sheet import (
    GAP,
    MARGIN,
    THUMB,
    _note,
    _wrap,
    arrange,
    head_height,
    rows_of,
    sheet_room,
    side_width,
    thumbnail,
)
from stimuli.image_set.exports.float_perturbations import export_perturbations, perturbations_path
from stimuli.image_set.set_network import NetworkChoice, load_set_networks
from stimuli.manifest import (
    Manifest,
    pair_of,
    read_image,
    read_manifest,
    read_pixels,
    read_set_network,
    read_set_networks,
    write_manifest,
)
from stimuli.networks import registry as networks
from stimuli.networks.registry import TorchNetwork
from stimuli.regular_images.agreement import Agreement, require_comparable
from stimuli.regular_images.candidate_report import report_path
from stimuli.regular_images.photographs import read_photograph, to_square
from subjects.dataset import init_study
from subjects.errors import ManifestError, NetworkError, ScheduleError
from subjects.layout import Layout
from subjects.profile import is_mirrored, session_images
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_table
from tests.stimuli.alignment.cases import save_map
from tests.stimuli.folders import class_folders, photo_study
from tests.stimuli.tiny import CHANGES, Study, linear_network

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def other(tiny: TorchNetwork) -> Iterator[TorchNetwork]:
    """Give a second network of the same categories, with noise on its weights."""
    module = tiny.module
    weights = module.weights.numpy() + np.random.default_rng(3).normal(0, 0.05, module.weights.shape)
    made = linear_network(weights, module.bias.numpy(), side=tiny.input_size, names=tiny.class_names, mean=120.0)
    made = replace(made, name="other", digest="other-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "NETWORKS", {**networks.NETWORKS, "other": lambda **_: made})
        yield made


def _study(root: Path) -> Study:
    changes = {"stimuli": {**CHANGES["stimuli"], "second_network": "other"}, "main": {"sessions": 1}}
    return Study(init_study(Layout(root), name="two", seed=5, changes=changes), load_settings(root))


@pytest.fixture(scope="session")
def _two(tiny: TorchNetwork, other: TorchNetwork, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = _study(tmp_path_factory.mktemp("two") / "study")
    build(study.layout, study.settings)
    return study


@pytest.fixture
def two(_two: Study, tmp_path: Path) -> Study:
    """Give a copy of a study with six RE, and AN and AI of each by two networks."""
    shutil.copytree(_two.layout.root, tmp_path / "two")
    return Study(Layout(tmp_path / "two"), _two.settings)


def test_every_base_image_has_an_and_ai_of_both(two: Study, tiny: TorchNetwork, other: TorchNetwork) -> None:
    manifest = read_manifest(two.layout.manifest)
    assert manifest.networks == ("tiny", "other")
    assert Counter((one.type, one.network) for one in manifest.stimuli) == {
        ("RE", "tiny + other"): 6, ("AN", "tiny"): 6, ("AI", "tiny"): 6, ("AN", "other"): 6, ("AI", "other"): 6}
    for base in manifest.base_images:
        one, second = (manifest.get(base_image=base, type="AI", network=name) for name in ("tiny", "other"))
        assert one.target_category == second.target_category, "the same change is asked of both"
        assert one.image_id != second.image_id


def test_every_image_holds_under_its_own_network(two: Study, tiny: TorchNetwork, other: TorchNetwork) -> None:
    """Asked anew, without the check: RE of both, AN and AI of their own; and the manifest says those very P."""
    manifest = read_manifest(two.layout.manifest)
    judges = {"tiny": tiny, "other": other}
    for one in manifest.stimuli:
        index = one.category_index if one.target_index is None else one.target_index
        found = {name: float(judge.probabilities(read_pixels(two.layout.stimuli, one)[None])[0, index])
                 for name, judge in judges.items()}
        own = min(found.values()) if one.type == "RE" else found[one.network]
        assert own > 0.99
        assert one.p_after == pytest.approx(own, abs=1e-5)


def test_the_check_passes_and_names_what_was_exchanged(two: Study) -> None:
    assert check(two.layout, two.settings).ok
    assert check(two.layout, two.settings).network == "tiny + other"
    manifest = read_manifest(two.layout.manifest)
    names = {"tiny": "other", "other": "tiny"}
    digests = {one.network: one.network_digest for one in manifest.stimuli}
    wrong = replace(manifest, stimuli=tuple(
        replace(one, network=names[one.network], network_digest=digests[names[one.network]])
        if one.base_image == "dogs-01" and one.type == "AN" else one for one in manifest.stimuli))
    write_manifest(two.layout.manifest, wrong, overwrite=True)
    found = {one.image_id: one.failures for one in check(two.layout, two.settings).images if one.failures}
    assert {manifest.by_id(name).base_image for name in found} == {"dogs-01"}
    assert any("L2 from its start" in line for failures in found.values() for line in failures)


def test_a_missing_second_network_is_named(two: Study) -> None:
    manifest = read_manifest(two.layout.manifest)
    write_manifest(two.layout.manifest, manifest.of_network("tiny"), overwrite=True)
    assert any("AN and AI of 1 networks, the settings name 2" in line
               for line in check(two.layout, two.settings).set_failures)


def test_a_row_of_a_third_network_is_refused(two: Study) -> None:
    manifest = read_manifest(two.layout.manifest)
    third = replace(manifest.stimuli[1], network="third", network_digest="third-1")
    write_manifest(two.layout.manifest, replace(manifest, stimuli=(manifest.stimuli[0], third, *manifest.stimuli[2:])),
                   overwrite=True)
    with pytest.raises(ManifestError, match="network third third-1.*expected other other-1 or tiny tiny-1"):
        read_set_network(two.layout.manifest)


def test_both_records_are_read_back(two: Study, tiny: TorchNetwork, other: TorchNetwork) -> None:
    first, second = read_set_networks(two.layout.manifest)
    assert (first.name, second.name, read_set_network(two.layout.manifest)) == ("tiny", "other", first)
    assert load_set_networks(two.layout, two.settings.stimuli) == (tiny, other)
    agreed = Agreement(tiny, other)
    assert pair_of(first, second) == (agreed.name, agreed.digest)


def test_a_set_is_found_made_and_another_second_network_is_not_it(two: Study, command: Command) -> None:
    code, said, error = command("build", "--study", two.layout.root, "--json")
    assert code == 0, error
    record = json.loads(said)
    assert (code, record["reused"], record["n_images"], record["second_network"]) == (0, True, 30, "other")
    text = two.layout.settings_file.read_text(encoding="utf-8")
    two.layout.settings_file.write_text(text.replace('second_network = "other"', ""), encoding="utf-8")
    code, _, error = command("build", "--study", two.layout.root)
    assert code == 2
    assert "second_network other" in " ".join(error.split())


def test_an_interrupted_build_ends_in_the_same_set(two: Study, empty: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    from stimuli.image_set.making import Maker

    study = _study(empty.layout.root.parent / "again")
    keep, calls = Maker._keep, list[str]()

    def stop(self: Maker, finished: object, *, kind: str) -> None:
        calls.append(kind)
        if len(calls) == 6:  # the second network's AN
            raise KeyboardInterrupt
        keep(self, finished, kind=kind)  # type: ignore[arg-type]

    monkeypatch.setattr(Maker, "_keep", stop)
    with pytest.raises(KeyboardInterrupt):
        build(study.layout, study.settings)
    monkeypatch.setattr(Maker, "_keep", keep)
    build(study.layout, study.settings)
    assert read_manifest(study.layout.manifest) == read_manifest(two.layout.manifest)


def test_responses_and_perturbations_of_either_network(two: Study, command: Command) -> None:
    """Without a name of both, each in its own file; with one of that one alone."""
    study = ("--study", two.layout.root)
    assert command("features", *study, "--network", "other")[0] == 0
    assert not two.layout.features("tiny").exists()
    code, said, _ = command("features", *study)
    assert code == 0
    assert [line.split(": ")[0] for line in said.splitlines()] == [
        "2 layers x 30 images of network tiny extracted", "2 layers x 30 images of network other already up to date"]
    record = json.loads(command("features", *study, "--json")[1])
    assert (record["network"], record["second"]["network"]) == ("tiny", "other")
    assert record["set_network"] == record["second"]["set_network"] == "tiny + other"
    code, said, _ = command("perturbations", *study)
    assert (code, [line.split(": ")[0] for line in said.splitlines()]) == (
        0, [f"12 float perturbations of network {name} exported" for name in ("tiny", "other")])
    manifest = read_manifest(two.layout.manifest)
    for name in manifest.networks:
        store = open_store(two.layout.features(name))
        assert (store.network, store.image_ids) == (name, tuple(one.image_id for one in manifest.stimuli))
        made = export_perturbations(two.layout, two.settings, asked=NetworkChoice(name=name))
        assert (made.n_images, made.path, made.reused) == (12, perturbations_path(two.layout, name), True)


def test_a_build_says_both_names_and_exports_both_floats(two: Study, command: Command) -> None:
    code, said, _ = command("build", "--study", two.layout.root, "--float")
    assert code == 0
    assert said.splitlines()[0].startswith("30 images of networks tiny and other already up to date: ")
    assert [line.split(": ")[0] for line in said.splitlines()[1:]] == [
        "float perturbations of network tiny", "float perturbations of network other"]
    assert all(perturbations_path(two.layout, name).is_file() for name in ("tiny", "other"))


def test_the_check_shows_the_images_of_both(two: Study, command: Command) -> None:
    """A table of each network's images: every P of the manifest stands in one of them."""
    code, said, _ = command("check", "--study", two.layout.root)
    assert code == 0
    heads = [line for line in said.splitlines() if line.startswith("Network ")]
    assert [head.split()[1] for head in heads] == ["'tiny'", "'other'"]
    first, second = said.split("Network 'other'")
    for one in read_manifest(two.layout.manifest).stimuli:
        cell = f"{int(min(one.p_after, 0.9999) * 1e4 + 1e-6) / 1e4:.4f}"
        shown = {"tiny": [first], "other": [second]}.get(one.network, [first, second])
        assert all(cell in part for part in shown), one.file
    assert command("check", "--study", two.layout.root, "--network", "other")[0] == 0, "one of the two may be named"
    code, _, error = command("check", "--study", two.layout.root, "--network", "demo")
    assert code == 2
    assert "tiny tiny-1 or other other-1, the networks that the set was made with" in " ".join(error.split())


def test_candidates_are_screened_by_both_and_the_build_takes_the_same(tiny: TorchNetwork, other: TorchNetwork,
                                                                      tmp_path: Path, command: Command) -> None:
    """P in the report is the smaller one, asked of each network here; the RE of the set are the photographs named."""
    folder = class_folders(tmp_path / "photographs")
    study = photo_study(tmp_path / "study", folder, second_network="other")
    root = study.layout.root
    code, said, error = command("candidates", "--study", root, "--json")
    assert code == 0, error
    table = read_table(report_path(study.layout), text_columns=("file",)).query("P == P")
    for row in table.to_dict("records"):
        photograph = read_photograph(folder / row["file"])
        pixels = to_square(photograph.pixels, side=24, resize=study.settings.stimuli.resize)[None]
        index = tiny.class_names.index(row["category"])
        each = [float(one.probabilities(pixels)[0, index]) for one in (tiny, other)]
        assert row["P"] == pytest.approx(min(each), abs=1e-5), row["file"]
    chosen = json.loads(said)["chosen"]
    said = command("candidates", "--study", root)[1]
    assert "candidates, networks tiny and other: " in said
    build(study.layout, study.settings)
    manifest = read_manifest(study.layout.manifest)
    for file, one in zip(chosen, (one for one in manifest.stimuli if one.type == "RE"), strict=True):
        wanted = to_square(read_photograph(folder / file).pixels, side=24, resize=study.settings.stimuli.resize)
        np.testing.assert_array_equal(read_pixels(study.layout.stimuli, one), wanted)


def test_ai_of_both_are_scored_and_tolerance_is_of_the_network_that_is_named(two: Study, tmp_path: Path,
                                                                             command: Command) -> None:
    manifest, rng = read_manifest(two.layout.manifest), np.random.default_rng(4)
    planted = {}
    for base in manifest.base_images:
        image_id = manifest.get(base_image=base, type="RE").image_id
        planted[base] = rng.random((24, 24)).astype(np.float32)
        save_map(tmp_path / "maps" / f"{image_id}.npz", map=planted[base], image_id=image_id)
    words = ("alignment", "--study", two.layout.root, "--maps", tmp_path / "maps", "--of", "set")
    code, _, error = command(*words)
    assert (code, "no float perturbations" in error, "by network tiny" in error) == (2, True, True)
    assert command("perturbations", "--study", two.layout.root)[0] == 0
    code, said, error = command(*words)
    assert code == 0, error
    assert [line.split(":")[0] for line in said.splitlines() if "AI of the set" in line] == [
        "6 AI of the set by network tiny", "6 AI of the set by network other"]
    table = read_table(two.layout.derivative("alignment", suffix="alignment.tsv", of="AI"))
    assert list(table["network"]) == ["tiny"] * 6 + ["other"] * 6
    for name in manifest.networks:
        with h5py.File(perturbations_path(two.layout, name)) as file:
            held = {one.decode(): values for one, values in
                    zip(file["image_ids"][:], file["perturbation"][:], strict=True)}
        for row in table[table["network"] == name].to_dict("records"):
            wanted = spearmanr(np.abs(held[row["image_id"]].mean(axis=2)).ravel(), planted[row["base_image"]].ravel())
            assert row["rho_perturbation"] == pytest.approx(wanted.statistic, abs=1e-6)
    record = json.loads(command(*words, "--network", "other", "--out", tmp_path / "other.tsv", "--json")[1])
    assert (record["network"], set(read_table(tmp_path / "other.tsv")["network"])) == ("other", {"other"})
    code, _, error = command(*words, "--network", "third", "--out", tmp_path / "third.tsv")
    assert (code, "tiny or other" in " ".join(error.split())) == (2, True)
    assert not (tmp_path / "third.tsv").exists()


def test_a_variant_is_made_by_the_network_that_is_named(two: Study, command: Command, tmp_path: Path,
                                                       other: TorchNetwork) -> None:
    """By the set's own rules: the second network's very images, and its responses to them."""
    manifest = read_manifest(two.layout.manifest)
    words = ("vary", "--study", two.layout.root, "--network", "other")
    for kind in ("AN", "AI"):
        record = json.loads(command(*words, "--type", kind, "--out", tmp_path / kind, "--json")[1])
        assert record["network"] == "other"
        assert [(one["base_image"], one["image_id"]) for one in record["images"]] == [
            (base, manifest.get(base_image=base, type=kind, network="other").image_id) for base in manifest.base_images]
    code, said, _ = command(*words, "--type", "own", "--out", tmp_path / "own")
    assert (code, said.split(":")[0]) == (0, "the set's own images; responses of network other at 1 tap")
    shown = manifest.of_network("other").stimuli
    store = open_store(tmp_path / "own" / "features_tap-none.h5")
    assert store.image_ids == tuple(one.image_id for one in shown)
    pixels = np.stack([read_pixels(two.layout.stimuli, one) for one in shown])
    np.testing.assert_allclose(store.read("layer2"), other.features(pixels)["layer2"], atol=1e-6)
    code, _, error = command("vary", "--study", two.layout.root, "--network", "demo", "--type", "AN", "--out",
                             tmp_path / "no")
    assert code == 2
    assert "tiny tiny-1 or other other-1" in " ".join(error.split())
    assert not (tmp_path / "no").exists()


def test_the_contact_sheet_shows_both_networks_in_rows_of_their_own(two: Study, tmp_path: Path,
                                                                   command: Command) -> None:
    """Every image of the set stands in its row and column; --network shows one network's alone."""
    out, manifest = tmp_path / "sheet.png", read_manifest(two.layout.manifest)
    assert command("sheet", "--study", two.layout.root, "--out", out)[0] == 0
    assert rows_of(manifest) == (("RE", None), ("AN", "tiny"), ("AI", "tiny"), ("AN", "other"), ("AI", "other"))
    _require_shown(read_image(out), two, manifest)
    words = ("sheet", "--study", two.layout.root, "--overwrite", "--out", out, "--network")
    assert command(*words, "other")[0] == 0
    of_other = manifest.of_network("other")
    assert rows_of(of_other) == (("RE", None), ("AN", None), ("AI", None))
    _require_shown(read_image(out), two, of_other)
    before = out.read_bytes()
    code, _, error = command(*words, "third")
    assert (code, "expected tiny or other" in " ".join(error.split())) == (2, True)
    assert out.read_bytes() == before


def _require_shown(sheet: np.ndarray, study: Study, manifest: Manifest) -> None:
    blocks = list(arrange(manifest))
    side = side_width(manifest)
    note = _wrap(_note(manifest), room=sheet_room(blocks, side=side), size=24)
    top, seen = head_height(len(note)), list[str]()
    for block in blocks:
        for (kind, network), y in zip(rows_of(manifest), block.row_tops, strict=False):
            for column, base in enumerate(block.base_images):
                one = manifest.get(base_image=base, type=kind, network=network)
                x = MARGIN + side + column * (THUMB + GAP)
                shown = np.asarray(thumbnail(read_pixels(study.layout.stimuli, one)))
                np.testing.assert_array_equal(sheet[top + y:top + y + THUMB, x:x + THUMB], shown, err_msg=one.file)
                seen.append(one.image_id)
        top += block.height
    assert sorted(seen) == sorted(one.image_id for one in manifest.stimuli)


def test_subjects_are_shown_halves_and_two_of_them_all(two: Study) -> None:
    manifest = read_manifest(two.layout.manifest)
    shown = {sub: manifest.shown_to(sub) for sub in ("01", "02", "03")}
    assert all(len(one) == 18 for one in shown.values())
    assert shown["01"] == shown["03"]
    for one in shown.values():
        assert Counter(row.network for row in one.stimuli if row.type == "AI") == {"tiny": 3, "other": 3}
        for base in one.base_images:
            assert one.get(base_image=base, type="AN").network == one.get(base_image=base, type="AI").network
    both = [{row.image_id for row in shown[sub].stimuli} for sub in ("01", "02")]
    assert both[0] | both[1] == {row.image_id for row in manifest.stimuli}
    assert both[0] & both[1] == {row.image_id for row in manifest.stimuli if row.type == "RE"}


def test_a_set_of_one_network_is_shown_whole(built: Study) -> None:
    manifest = read_manifest(built.layout.manifest)
    assert manifest.networks == ("tiny",)
    assert manifest.shown_to("02") is manifest
    assert manifest.of_network("tiny") == manifest
    with pytest.raises(ManifestError, match="network 'other'; expected tiny"):
        manifest.of_network("other")


@pytest.mark.parametrize("sub", ["01", "02", "p7", "anna"])
def test_every_session_has_as_many_of_either_network(sub: str) -> None:
    settings = Settings.model_validate({"study": {"name": "x", "seed": 4}, "stimuli": {"second_network": "other"}})
    numbers = {kind: range(1, 9) for kind in settings.stimuli.classes}
    split = session_images(settings, sub=sub)
    assert sorted(name for names in split.values() for name in names) == sorted(
        f"{kind}-{k:02d}" for kind, of in numbers.items() for k in of)
    for names in split.values():
        odd = Counter((name.split("-")[0], int(name[-2:]) % 2) for name in names)
        assert set(odd.values()) == {2}, "of each class two of either network"


def test_a_design_that_cannot_be_balanced_is_refused() -> None:
    settings = Settings.model_validate({"study": {"name": "x", "seed": 4},
                                        "stimuli": {"second_network": "other", "per_class": 6}})
    with pytest.raises(ScheduleError, match="a multiple of 4 images a class"):
        session_images(settings, sub="01")


def test_halves_are_exchanged_from_subject_to_subject() -> None:
    assert [is_mirrored(f"{k:02d}") for k in range(1, 7)] == [False, True] * 3
    assert {is_mirrored(name) for name in "abcdefghij"} == {False, True}


def test_weights_of_no_second_network_are_refused() -> None:
    with pytest.raises(ValueError, match="belong to a second_network"):
        Settings.model_validate({"study": {"name": "x", "seed": 4}, "stimuli": {"second_weights": "a.safetensors"}})


@pytest.mark.parametrize(("changes", "said"), [
    ({"name": "tiny"}, "with the name of the first"), ({"digest": "tiny-1"}, "with the digest of the first"),
    ({"class_names": ("a", "b", "c", "d", "e", "f")}, "whose outputs are not 'tiny''s"),
    ({"class_names": ("a",)}, "whose outputs are not"),
    ({"mean_image": np.zeros((30, 30, 3), dtype=np.float32)}, "of 30 px")])
def test_a_network_that_cannot_stand_beside_the_first_is_refused(
        tiny: TorchNetwork, other: TorchNetwork, changes: dict[str, object], said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        require_comparable(tiny, replace(other, **changes))  # type: ignore[arg-type]


def test_an_agreement_gives_the_smaller_probability(tiny: TorchNetwork, other: TorchNetwork) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)
    agreed, each = Agreement(tiny, other), [one.probabilities(images) for one in (tiny, other)]
    found = agreed.probabilities(images)
    for k, j in np.ndindex(found.shape):
        assert found[k, j] == min(each[0][k, j], each[1][k, j])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255.0
    np.testing.assert_allclose(np.exp(agreed.logits(pixels).numpy()), found, rtol=1e-4, atol=1e-7)


def test_the_study_says_it_in_its_settings(two: Study) -> None:
    assert load_settings(two.layout.root).stimuli.second_network == "other"
