"""The network comes from the stimulus set; another one only by asking; other weights are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data.features import choose_network
from analysis.statistics.results import read_results
from subjects.errors import AnalysisError
from subjects.layout import Layout, network_label
from subjects.profile import base_images
from subjects.provenance import sidecar_path
from subjects.store import write_json
from tests.analysis.fabricated import make_study, make_units, write_features
from tests.analysis.running_steps import run


@pytest.mark.parametrize("name", ["demo", "alexnet-caffe", "alexnet-torchvision", "squeezenet1_0",
                                  "my.networks:load_it"])
def test_every_kind_of_network_goes_from_the_set_to_the_results(tmp_path: Path, name: str) -> None:
    layout, settings = make_study(tmp_path / "study", network=name)
    assert choose_network(layout).name == name
    _, network = run("rsa", layout, settings).works
    assert network.outputs[0].name == f"network-{network_label(name)}_rsa.tsv"
    assert set(read_results(network.outputs[0])["place"]) > {"layer1", "layer8"}
    (models,) = run("encode", layout, settings).works
    assert models.outputs[0].name == "sub-01_encoding.tsv"
    assert run("rsa", layout, settings).all_reused
    assert run("encode", layout, settings).all_reused


def other_network(layout: Layout, name: str, *, digest: str) -> None:
    from subjects.settings.loading import load_settings

    names = base_images(load_settings(layout.root).stimuli)
    write_features(layout, names, make_units(len(names)), network=name, digest=digest)


def test_another_network_is_compared_by_asking_and_has_files_of_its_own(tmp_path: Path) -> None:
    layout, settings = make_study(tmp_path / "study")
    other_network(layout, "squeezenet1_0", digest="f" * 16)
    own, = run("encode", layout, settings).works
    kept = own.outputs[0].read_bytes()
    theirs, = run("encode", layout, settings, network="squeezenet1_0").works
    assert theirs.outputs[0].name == "sub-01_network-squeezenet10_encoding.tsv"
    assert own.outputs[0].read_bytes() == kept
    names = [work.name for work in run("rsa", layout, settings, network="squeezenet1_0").works]
    assert names == ["sub-01", "network-squeezenet1_0"]
    with pytest.raises(AnalysisError, match=r"network-none_features.h5: no such file; .*features .* --network none"):
        run("rsa", layout, settings, network="none")
    with pytest.raises(AnalysisError, match=r"Did you mean 'squeezenet1_0'\? For responses of 'squeeznet1_0' itself: "):
        run("encode", layout, settings, network="squeeznet1_0")
    with pytest.raises(AnalysisError, match=r"Known here: demo, squeezenet1_0\."):
        run("rsa", layout, settings, network="zzz")


def test_a_network_of_ones_own_is_found_by_the_function_that_gave_it(tmp_path: Path) -> None:
    """Its responses carry the name that it has itself; the sidecar says by which function it was loaded."""
    layout, settings = make_study(tmp_path / "study")
    other_network(layout, "own-net", digest="f" * 16)
    assert choose_network(layout, "nets:load").name == "nets:load", "before anything says so"
    write_json(sidecar_path(layout.features("own-net")), {"Network": "own-net", "LoadedAs": "nets:load"})
    found = choose_network(layout, "nets:load")
    assert (found.name, found.features, found.of_set) == ("own-net", layout.features("own-net"), False)
    assert [work.name for work in run("rsa", layout, settings, network="nets:load").works] == [
        "sub-01", "network-own-net"]


@pytest.mark.parametrize("step", ["rsa", "encode"])
def test_features_of_other_weights_are_refused_with_both_digests(tmp_path: Path, step: str) -> None:
    layout, settings = make_study(tmp_path / "study")
    layout.features("demo").unlink()
    other_network(layout, "demo", digest="f" * 16)
    with pytest.raises(AnalysisError, match=f"responses of weights {'f' * 16}; expected those of {'0' * 16}"):
        run(step, layout, settings)
