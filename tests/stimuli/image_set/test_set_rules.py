"""A manifest that was edited is told as such by every command that reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stimuli.image_set.build import build
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.image_set.set_rules import require_rows, row_failures
from stimuli.manifest import Manifest, Stimulus, read_manifest, write_manifest
from subjects.errors import ManifestError
from subjects.provenance import is_current, sidecar_path
from tests.stimuli.tiny import Study

Command = Callable[..., tuple[int, str, str]]


def _edit(study: Study, change: Callable[[list[Stimulus]], list[Stimulus]]) -> Manifest:
    rows = change(list(read_manifest(study.layout.manifest).stimuli))
    manifest = Manifest(tuple(rows))
    write_manifest(study.layout.manifest, manifest, overwrite=True)
    return manifest


def _without_one(rows: list[Stimulus]) -> list[Stimulus]:
    return [one for one in rows if (one.base_image, one.type) != ("cars-01", "AN")]


def _moved(rows: list[Stimulus]) -> list[Stimulus]:
    return [*rows[3:6], *rows[:3], *rows[6:]]


EDITS = [(_without_one, "no AN of cars-01; expected RE, AN and AI of the 6 base images"),
         (_moved, "row 2 of the manifest is dogs-02 RE, wanted dogs-01 RE: the rows are not in the order")]


def test_rows_as_they_were_written_hold(built: Study) -> None:
    manifest = read_manifest(built.layout.manifest)
    assert row_failures(manifest, built.settings.stimuli) == []
    require_rows(manifest, built.settings.stimuli, path=built.layout.manifest)


@pytest.mark.parametrize(("change", "said"), EDITS)
def test_features_and_build_name_the_row(built: Study, change: Callable[..., list[Stimulus]], said: str) -> None:
    _edit(built, change)
    for act in (build, extract):
        with pytest.raises(ManifestError, match=r"manifest.tsv: " + said):
            act(built.layout, built.settings)
    assert not list(built.layout.derivatives("features").glob("*.h5"))


def test_many_missing_rows_are_counted(built: Study) -> None:
    manifest = _edit(built, lambda rows: rows[:12])
    with pytest.raises(ManifestError, match="no RE of fruits-01; no AN of fruits-01; no AI of fruits-01; and 3 more"):
        require_rows(manifest, built.settings.stimuli, path=built.layout.manifest)


def test_build_tells_an_edited_number_from_other_settings(built: Study) -> None:
    text = built.layout.manifest.read_text()
    built.layout.manifest.write_text(text.replace("\t1.0\t", "\t0.9\t", 1))
    with pytest.raises(ManifestError, match="a table that was edited after the set was made; expected the digest"):
        build(built.layout, built.settings)
    assert not build(built.layout, built.settings, overwrite=True).reused


@pytest.mark.parametrize("text", ["[]", "7", "{", '{"inputs": []}'])
def test_a_malformed_sidecar_is_not_current(tmp_path: Path, text: str) -> None:
    made = tmp_path / "made.tsv"
    made.write_text("a\n")
    sidecar_path(made).write_text(text)
    assert not is_current(made, inputs={}, parameters={})


def test_build_names_a_malformed_sidecar(built: Study, command: Command) -> None:
    sidecar_path(built.layout.manifest).write_text("[]")
    code, _, complaint = command("build", "--study", built.layout.root)
    assert code == 2
    assert "manifest.json: a JSON list; expected what the set was made from. Restore it, or build" in complaint
    assert command("build", "--study", built.layout.root, "--overwrite")[0] == 0


@pytest.mark.parametrize("verb", ["check", "sheet", "features", "build"])
def test_a_table_without_rows_is_named_by_every_command(built: Study, command: Command, tmp_path: Path,
                                                        verb: str) -> None:
    built.layout.manifest.write_text(built.layout.manifest.read_text().splitlines()[0] + "\n")
    out = ["--out", tmp_path / "sheet.png"] if verb == "sheet" else []
    code, _, complaint = command(verb, "--study", built.layout.root, *out)
    assert code == 2
    assert "manifest.tsv: a table without rows; expected a row for every image" in complaint
