"""Another network's view of a set, against plain counting."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from stimuli.image_set.check import check
from stimuli.image_set.check_tables import transfer_lines, transfer_table
from stimuli.image_set.transfer import fit_side, transfer
from stimuli.manifest import Manifest, read_manifest, read_pixels
from stimuli.networks import registry as networks
from stimuli.networks.registry import TorchNetwork
from tests.stimuli.tiny import NAMES, Study, linear_network

Command = Callable[..., tuple[int, str, str]]


def _other(side: int = 24, names: tuple[str, ...] = NAMES) -> TorchNetwork:
    rng = np.random.default_rng(4)
    network = linear_network(rng.normal(0, 0.3, (3 * side * side, len(names))), np.zeros(len(names)), side=side,
                             names=names)
    return dataclasses.replace(network, name="other", digest="other-1")


def _loaded(study: Study) -> tuple[Manifest, dict[str, np.ndarray]]:
    manifest = read_manifest(study.layout.manifest)
    return manifest, {one.image_id: read_pixels(study.layout.stimuli, one) for one in manifest.stimuli}


def test_shares_and_medians_are_those_of_a_plain_loop(built: Study) -> None:
    manifest, pixels = _loaded(built)
    shuffled = _other(names=NAMES[::-1])
    made = transfer(manifest, pixels, network=shuffled, batch=4)
    assert made.unknown == ()
    for row in made.rows:
        tops, intended, original = [], [], []
        for one in manifest.stimuli:
            if one.type == row.type:
                row_of_p = shuffled.probabilities(pixels[one.image_id][None])[0]
                probabilities = dict(zip(NAMES[::-1], row_of_p, strict=True))
                aim = one.target_category or one.category
                tops.append(max(probabilities, key=lambda name: probabilities[name]) == aim)
                intended.append(probabilities[aim])
                original.append(probabilities[one.category])
        assert (row.n, row.n_incomparable) == (6, 0)
        assert row.top1_intended == pytest.approx(sum(tops) / 6)
        assert row.p_intended == pytest.approx(sorted(intended)[2] / 2 + sorted(intended)[3] / 2)
        assert row.p_original == pytest.approx(sorted(original)[2] / 2 + sorted(original)[3] / 2)


def test_the_same_network_gives_the_manifests_numbers(built: Study, tiny: TorchNetwork) -> None:
    made = transfer(*_loaded(built), network=tiny)
    assert [row.top1_intended for row in made.rows] == [1.0, 1.0, 1.0]
    p_after = {one.image_id: one.p_after for one in _loaded(built)[0].stimuli}
    assert {one.image_id: one.p_intended for one in made.images} == pytest.approx(p_after, abs=1e-5)


def test_categories_without_the_same_name_are_left_out_and_named(built: Study) -> None:
    names = tuple("dog" if name == NAMES[0] else name for name in NAMES)
    manifest, pixels = _loaded(built)
    made = transfer(manifest, pixels, network=_other(names=names))
    assert made.unknown == (NAMES[0],)
    lost = [one for one in manifest.stimuli if NAMES[0] in (one.category, one.target_category)]
    for row in made.rows:
        assert row.n_incomparable == sum(one.type == row.type for one in lost)
        assert row.n == 6 - row.n_incomparable
    assert not {one.image_id for one in lost} & {one.image_id for one in made.images}


def test_nothing_in_common_leaves_no_number(built: Study) -> None:
    made = transfer(*_loaded(built), network=_other(names=("x", "y")))
    assert [(row.n, row.n_incomparable, np.isnan(row.top1_intended)) for row in made.rows] == [(0, 6, True)] * 3
    assert made.images == ()


def test_images_are_resampled_for_another_input_size(built: Study) -> None:
    made = transfer(*_loaded(built), network=_other(side=16))
    assert (made.input_size, len(made.images)) == (16, 18)
    pixels = np.full((24, 24, 3), 90, np.uint8)
    assert fit_side(pixels, side=24) is pixels
    assert (fit_side(pixels, side=16) == np.full((16, 16, 3), 90)).all()


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch, tiny: TorchNetwork) -> str:
    """Name a network that calls nothing by the set's names but five of the six."""
    name = "a_network_with_a_name_that_is_very_long_indeed"
    network = dataclasses.replace(_other(names=("wolf", *NAMES[1:])), name=name)
    monkeypatch.setattr(networks, "NETWORKS", {**networks.NETWORKS, "tiny": lambda **_: tiny, name: lambda: network})
    return name


def test_the_command_tells_transfer_and_ends_by_the_own_network(built: Study, command: Command, other: str) -> None:
    code, said, _ = command("check", "--study", built.layout.root, "--also", other, "--also", "tiny")
    assert code == 0
    assert "other networks" in said
    assert f"{other}: not comparable, since {other} has no category by the name that tiny gives it: {NAMES[0]}" in said
    code, said, _ = command("check", "--study", built.layout.root, "--json", "--also", other, "--also", "tiny")
    content = json.loads(said)
    assert (code, [one["network"] for one in content["transfers"]]) == (0, [other, "tiny"])
    assert content["transfers"][1]["rows"][2]["top1_intended"] == 1.0


@pytest.mark.parametrize("also", [(), ("--also", "tiny", "--also", "demo")])
def test_weights_belong_to_one_other_network(built: Study, command: Command, also: tuple[str, ...]) -> None:
    code, _, complaint = command("check", "--study", built.layout.root, *also, "--also-weights", "w.npz")
    assert code == 2
    assert f"{len(also) // 2} networks by --also; expected one network that they belong to" in complaint


def test_an_unknown_other_network_ends_with_2(built: Study, command: Command) -> None:
    code, _, complaint = command("check", "--study", built.layout.root, "--also", "squeezenet1_l")
    assert code == 2
    assert "Did you mean 'squeezenet1_1'?" in complaint


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_is_never_cut(built: Study, other: str, width: int) -> None:
    verdict = check(built.layout, built.settings, also=[networks.NETWORKS[other]()])
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(transfer_table(verdict))
    said = console.export_text()
    assert "…" not in said
    assert all(len(line) <= width for line in said.splitlines())
    assert sum(line.strip().startswith("a_n") for line in said.splitlines()) == 1
    assert len(transfer_lines(verdict)) == 1
