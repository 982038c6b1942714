"""Digests, seeds, sidecars; what is current, also under another version of the toolkit."""

from __future__ import annotations

import hashlib
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subjects import provenance, store
from subjects.dataset import describe_derivative
from subjects.errors import StoreError
from subjects.layout import Layout
from subjects.provenance import FileFormat
from tests.bids import bids_report


@given(st.binary(max_size=200))
def test_digests_are_the_head_of_sha256(data: bytes) -> None:
    assert provenance.digest_bytes(data) == hashlib.sha256(data).hexdigest()[:16]


def test_array_digest_sees_values_shape_and_type_not_memory_order() -> None:
    a = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert provenance.digest_array(a) == provenance.digest_array(np.asfortranarray(a))
    others = [a + 1, a.reshape(3, 2), a.astype(np.int16)]
    assert provenance.digest_array(a) not in [provenance.digest_array(b) for b in others]


def test_json_digest_ignores_the_order_of_keys() -> None:
    assert provenance.digest_json({"a": 1, "b": 2}) == provenance.digest_json({"b": 2, "a": 1})


def test_seeds_differ_by_purpose_and_stay() -> None:
    seeds = {provenance.derive_seed(1, sub, run) for sub in ("01", "02") for run in range(50)}
    assert len(seeds) == 100
    assert provenance.derive_seed(1, "a", "b") != provenance.derive_seed(1, "a,b")
    expected = hashlib.sha256(b'[1, "01", "3"]').digest()[:6]
    assert provenance.derive_seed(1, "01", 3) == int.from_bytes(expected, "big")
    assert provenance.rng(1, "x").random() == provenance.rng(1, "x").random()


def test_a_sidecar_tells_whether_a_file_is_current(tmp_path: Path) -> None:
    source = store.write_text(tmp_path / "in.txt", "in")
    made = store.write_text(tmp_path / "out.tsv", "out")
    inputs, parameters = {"in": source, "set": "abc"}, {"n": 3, "t": (1, 2)}
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)
    provenance.sidecar(made, inputs=inputs, parameters=parameters)
    assert provenance.is_current(made, inputs=inputs, parameters=parameters)
    assert not provenance.is_current(made, inputs=inputs, parameters={**parameters, "n": 4})
    assert not provenance.is_current(made, inputs={**inputs, "set": "abd"}, parameters=parameters)
    source.write_text("changed", encoding="utf-8")
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)
    source.write_text("in", encoding="utf-8")
    made.write_text("touched", encoding="utf-8")
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)
    source.unlink()
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)


def test_versions_say_what_is_not_there() -> None:
    found = provenance.versions("numpy", "no-such-package")
    assert found == {"numpy": np.__version__, "no-such-package": "not installed"}


BEFORE = {"step": 0.5, "runs": [1, 2], "tap": None}


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare three settings as newer than the sidecar, and one as removed."""
    monkeypatch.setattr(provenance, "_BEFORE", {})
    monkeypatch.setattr(provenance, "_REMOVED", {})
    monkeypatch.setattr(provenance, "_AMBIGUOUS", set())
    for name, value in BEFORE.items():
        provenance.declare(name, before=value if name != "runs" else (1, 2))
    provenance.declare_removed("polish", value=False)


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(("recorded", "wanted", "same"), [
    ({"n": 3}, {"n": 3, **BEFORE}, True),
    ({"n": 3}, {"n": 3, "runs": [1, 2]}, True), ({"n": 3}, {"n": 3, "runs": [2, 1]}, False),
    ({"n": 3}, {"n": 3, "step": 0.6}, False), ({"n": 3, "step": 0.6}, {"n": 3, "step": 0.6}, True),
    ({"n": 3}, {"n": 3, "unknown": 1}, False), ({"n": 3}, {"n": 4}, False),
    ({"n": 3, "polish": False}, {"n": 3}, True), ({"n": 3, "polish": True}, {"n": 3}, False),
    ({"n": 3, "other": 1}, {"n": 3}, False), ({}, {"n": None}, False),
])
def test_parameters_of_another_version_mean_what_was_done_then(
        recorded: dict[str, Any], wanted: dict[str, Any], same: bool) -> None:
    assert provenance.agree(recorded, wanted=wanted) is same


@pytest.mark.usefixtures("declared")
def test_a_name_of_two_behaviours_says_nothing() -> None:
    provenance.declare("step", before=0.5)
    assert provenance.agree({}, wanted={"step": 0.5})
    provenance.declare("step", before=0.2)
    provenance.declare("step", before=0.5)
    assert not provenance.agree({}, wanted={"step": 0.5})
    assert provenance.agree({}, wanted={"step": 0.5}, then={"step": 0.5})


@pytest.mark.usefixtures("declared")
def test_a_file_of_a_version_without_the_setting_is_current(tmp_path: Path) -> None:
    made = store.write_text(tmp_path / "out.tsv", "out")
    provenance.sidecar(made, inputs={}, parameters={"n": 3, "polish": False})
    assert provenance.is_current(made, inputs={}, parameters={"n": 3, "runs": (1, 2)})
    assert not provenance.is_current(made, inputs={}, parameters={"n": 3, "runs": (1, 3)})
    assert provenance.is_current(made, inputs={}, parameters={"n": 3, "own": 7}, then={"own": 7})


def test_a_sidecar_of_a_newer_version_says_nothing(tmp_path: Path) -> None:
    made = store.write_text(tmp_path / "out.tsv", "out")
    beside = provenance.sidecar(made, inputs={}, parameters={})
    assert provenance.is_current(made, inputs={}, parameters={})
    content = store.read_json(beside)
    store.write_json(beside, {**content, "SidecarVersion": provenance.SIDECAR.version + 1}, overwrite=True)
    assert not provenance.is_current(made, inputs={}, parameters={})
    content.pop("SidecarVersion")  # as version 0.1.0 wrote it
    store.write_json(beside, content, overwrite=True)
    assert provenance.is_current(made, inputs={}, parameters={})


BETAS = FileFormat("betas", version=3, oldest=2)


@pytest.mark.parametrize(("found", "said"), [
    (4, "x.h5: betas of format version 4; expected version 3 at most; a newer adversarial-fmri wrote it"),
    (1, "betas of format version 1; expected version 2 to 3"), (None, "betas of format version 1"),
    ("3", "betas of format version '3'"), (True, "betas of format version True"),
])
def test_a_format_that_cannot_be_read_is_named(found: Any, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        BETAS.require(found, where="x.h5")


def test_a_format_that_can_be_read_is_given() -> None:
    assert [BETAS.require(found, where="x") for found in (2, 3, np.int64(3))] == [2, 3, 3]
    assert FileFormat("betas", version=3).require(None, where="x") == 1
    assert BETAS.stamp() == {"format": "adversarial-fmri betas", "format_version": 3}


def test_the_maker_is_named_as_bids_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [set(one) - {"CodeURL"} for one in provenance.generated_by()] == [{"Name", "Version"}]
    declared = Message()
    declared["Project-URL"] = "Documentation, https://example.org/docs"
    declared["Project-URL"] = "Source, https://example.org/code"
    monkeypatch.setattr(metadata, "metadata", lambda _: declared)
    assert provenance.generated_by() == [{"Name": "adversarial-fmri", "Version": metadata.version("adversarial-fmri"),
                                          "CodeURL": "https://example.org/code"}]


def test_sources_are_bids_uris_of_what_lies_in_the_study(study: Layout, tmp_path: Path) -> None:
    betas = study.derivative("glm", sub="01", hemi="L", suffix="betas.h5")
    bold = study.root / "derivatives/simulated/sub-01/bold.func.gii"
    events, outside = study.root / "sub-01/events.tsv", tmp_path / "weights.pt"
    inputs = {"again": events, "events": events, "bold": bold, "betas": betas, "weights": outside, "network": "abc"}
    assert provenance.sources(betas, inputs=inputs) == [
        "bids::sub-01/sub-01_hemi-L_betas.h5", "bids:study:derivatives/simulated/sub-01/bold.func.gii",
        "bids:study:sub-01/events.tsv"]
    assert provenance.sources(study.manifest, inputs={"table": study.stimuli / "targets.tsv"}) == [
        "bids::stimuli/targets.tsv"]
    assert provenance.sources(outside, inputs=inputs) == []


def test_every_source_leads_to_its_file(study: Layout) -> None:
    table = study.derivative("rsa", sub="01", suffix="rsa.tsv")
    store.write_text(table, "a\n1\n")
    describe_derivative(study, "rsa")
    beside = provenance.sidecar(table, inputs={"settings": study.settings_file}, parameters={},
                                form=FileFormat("similarities", version=1))
    content = store.read_json(beside)
    link = store.read_json(study.derivatives("rsa") / "dataset_description.json")["DatasetLinks"]
    (uri,) = content["Sources"]
    _, name, relative = uri.split(":", 2)
    assert (study.derivatives("rsa") / link[name] / relative).resolve() == study.settings_file.resolve()
    assert (content["Format"], content["FormatVersion"]) == ("similarities", 1)
    assert content["inputs"] == {"settings": provenance.digest_file(study.settings_file)}


def _faults(dataset: Path) -> list[str]:
    """List what the validator says of the dataset's description."""
    return [one["code"] for one in bids_report(dataset)["issues"]["issues"]
            if one["severity"] == "error" and one.get("location") == "/dataset_description.json"]


def test_the_bids_validator_takes_our_descriptions_and_no_wrong_ones(study: Layout) -> None:
    describe_derivative(study, "rsa")
    path = study.derivatives("rsa") / "dataset_description.json"
    assert _faults(study.derivatives("rsa")) == []
    content = store.read_json(path)
    for key, wrong in (("GeneratedBy", [{"adversarial-fmri": "0.1.0"}]), ("DatasetLinks", ["../.."])):
        store.write_json(path, {**content, key: wrong}, overwrite=True)
        assert _faults(study.derivatives("rsa")) != [], key


def test_a_lock_is_no_fault_of_a_dataset(study: Layout) -> None:
    store.write_text(study.manifest, "image_id\n")
    before = bids_report(study.root)["issues"]["issues"]
    with store.locked(study.stimuli, what="the set"):
        assert (study.stimuli / ".lock").is_file()
        assert bids_report(study.root)["issues"]["issues"] == before


def test_a_new_setting_inside_a_section_makes_nothing_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_BEFORE", {"n_draws": 1000})
    recorded = {"seed": 1, "rsa": {"measure": "correlation"}}
    assert provenance.agree(recorded, wanted={"seed": 1, "rsa": {"measure": "correlation", "n_draws": 1000}})
    assert not provenance.agree(recorded, wanted={"seed": 1, "rsa": {"measure": "correlation", "n_draws": 999}})
    assert not provenance.agree(recorded, wanted={"seed": 1, "rsa": {"measure": "cosine", "n_draws": 1000}})
    assert not provenance.agree(recorded, wanted={"seed": 1, "rsa": "correlation"})
