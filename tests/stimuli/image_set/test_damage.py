"""Damaged, foreign and half-replaced states: one clear error, a remedy that leads out, and no image lost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from stimuli import files
from stimuli.image_set import checkpoint
from stimuli.image_set.build import build
from stimuli.image_set.checkpoint import UNFINISHED
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.image_set.set_network import unfinished_path
from stimuli.manifest import MANIFEST, Manifest, read_image, read_manifest, write_manifest
from subjects.errors import StimulusError, StoreError, StudyError
from subjects.layout import Layout
from subjects.provenance import digest_file
from subjects.settings.loading import load_settings
from subjects.store import locked
from tests.stimuli.tiny import Study, make_study

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[3]


def _refit(path: Path) -> None:
    """Let a file's sidecar agree with it, as if the damage had been there when it was made."""
    beside = path.with_suffix(".json")
    content = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps({**content, "digest": digest_file(path)}), encoding="utf-8")


def _drop_attribute(name: str) -> Callable[[Study], None]:
    def drop(study: Study) -> None:
        path = study.layout.features("tiny")
        with h5py.File(path, "r+") as file:
            del file.attrs[name]
        _refit(path)

    return drop


def _edit_manifest(study: Study) -> None:
    rows = read_manifest(study.layout.manifest).stimuli
    write_manifest(study.layout.manifest, Manifest((*rows[1:], rows[0])), overwrite=True)


def _foreign_rows(study: Study) -> None:
    rows = [dataclasses.replace(one, network_digest="foreign") for one in read_manifest(study.layout.manifest).stimuli]
    write_manifest(study.layout.manifest, Manifest(tuple(rows)), overwrite=True)


def _foreign_row(study: Study) -> None:
    first, *rows = read_manifest(study.layout.manifest).stimuli
    write_manifest(study.layout.manifest, Manifest((dataclasses.replace(first, network="demo"), *rows)),
                   overwrite=True)


def _foreign_record(study: Study) -> None:
    path = study.layout.manifest.with_suffix(".json")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["network"]["digest"] = "foreign"
    path.write_text(json.dumps(content), encoding="utf-8")


def _write(name: str, text: str) -> Callable[[Study], None]:
    def write(study: Study) -> None:
        (study.layout.stimuli / name).write_text(text, encoding="utf-8")

    return write


def _remove(name: str) -> Callable[[Study], None]:
    return lambda study: (study.layout.stimuli / name).unlink()


def _flip(study: Study) -> None:
    path = study.layout.stimuli / "images/RE/dogs-01_RE.png"
    pixels = read_image(path)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)


DAMAGE: dict[str, Callable[[Study], None]] = {
    "features without tap": _drop_attribute("tap"), "features without layers": _drop_attribute("layers"),
    "features without format": _drop_attribute("format_version"),
    "moved rows": _edit_manifest, "rows of another network": _foreign_rows, "one row of another network": _foreign_row,
    "a record of another network": _foreign_record, "no sidecar": _remove("manifest.json"),
    "a sidecar that is no JSON": _write("manifest.json", "{"), "no manifest": _remove("manifest.tsv"),
    "a manifest that is no table": _write("manifest.tsv", "a\tb\n1\n"),
    "no image": _remove("images/AN/cars-01_AN.png"), "a changed image": _flip,
    "a file that is no image": _write("images/AI/cars-01_AI.png", "no image"),
}


@pytest.mark.parametrize("verb", ["check", "features", "build"])
@pytest.mark.parametrize("what", DAMAGE)
def test_every_remedy_leads_out(built: Study, command: Command, what: str, verb: str) -> None:
    """Whoever runs the command that the error prints, again and again, comes to an end."""
    extract(built.layout, built.settings)
    DAMAGE[what](built)
    for _ in range(4):
        code, said, complaint = command(verb, "--study", built.layout.root)
        if code == 0:
            break
        remedies = re.findall(r"`python -m stimuli ([^`]*)`", complaint + said)
        assert remedies, f"{what}: no command in {complaint!r}"
        words = shlex.split(remedies[0])
        assert command(*words)[0] in (0, 1), f"{what}: {words}"
    assert code == 0, complaint
    if verb != "features":  # which need no image once they are there
        assert command("check", "--study", built.layout.root)[0] == 0



@pytest.fixture
def halfway(empty: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A build that was interrupted after the regular images."""
    real = checkpoint.UnfinishedSet.add
    with monkeypatch.context() as patch:
        def stop(self: checkpoint.UnfinishedSet, rows: object) -> None:
            real(self, rows)  # type: ignore[arg-type]
            if len(self.rows) > 6:
                raise KeyboardInterrupt

        patch.setattr(checkpoint.UnfinishedSet, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            build(empty.layout, empty.settings)
    return empty


def _note(study: Study, **changes: object) -> Path:
    path = unfinished_path(study.layout)
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize(("changes", "said"), [
    ({"rows": [{"file": "x"}]}, r"unfinished.json, image 1: a row of other fields"),
    ({"rows": [7]}, r"unfinished.json, image 1: a row of other fields \(7\)"),
    ({"rows": {}}, r"rows dict"),
    ({"replaces": "../../outside"}, r"replaces '../../outside'"),
    ({"format_version": 99}, r"unfinished stimulus set of format version 99; .*version 2 at most"),
])
def test_a_note_that_is_no_use_is_one_error_and_overwriting_keeps_the_images(
        halfway: Study, command: Command, changes: dict[str, object], said: str) -> None:
    _note(halfway, **changes)
    images = {path.name: path.read_bytes() for path in halfway.layout.stimuli.rglob("*.png")}
    code, _, complaint = command("build", "--study", halfway.layout.root)
    assert code == 2
    assert re.search(said, complaint), complaint
    assert {path.name: path.read_bytes() for path in halfway.layout.stimuli.rglob("*.png")} == images
    assert command("build", "--study", halfway.layout.root, "--overwrite")[0] == 0
    (folder,) = (halfway.layout.stimuli / "replaced").iterdir()
    assert {path.name: path.read_bytes() for path in folder.rglob("*.png")} == images


@pytest.mark.parametrize(("name", "value"), [("p_after", "high"), ("seed", 1.5), ("file", "images/\0"),
                                             ("iterations", True), ("l2", -1.0)])
def test_a_row_of_a_note_with_a_value_of_no_use_is_named(halfway: Study, command: Command, name: str,
                                                         value: object) -> None:
    rows = json.loads(unfinished_path(halfway.layout).read_text(encoding="utf-8"))["rows"]
    _note(halfway, rows=[{**rows[0], name: value}, *rows[1:]])
    code, _, complaint = command("build", "--study", halfway.layout.root)
    assert (code, name in complaint, "Traceback" in complaint) == (2, True, False)


@pytest.mark.parametrize("moves", range(6))
def test_a_set_that_is_replaced_is_whole_in_one_place_whenever_the_process_dies(
        built: Study, monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    """Whatever step of the move the process dies in, the next build ends well and every old image is kept."""
    old = {path.name: path.read_bytes() for path in (built.layout.stimuli / "images").rglob("*.png")}
    manifest = built.layout.manifest.read_bytes()
    changed = load_settings(built.layout.root, overrides={"stimuli.an_min_contrast": 15.0})
    real, done = Path.rename, []

    def dying(self: Path, target: Path) -> Path:
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(target)
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        try:
            build(built.layout, changed, overwrite=True)
            assert moves >= 3
        except KeyboardInterrupt:
            if built.layout.manifest.exists():
                assert built.layout.manifest.read_bytes() == manifest
    assert len(build(built.layout, changed).manifest) == 18
    kept = {path.name: path.read_bytes() for path in (built.layout.stimuli / "replaced").rglob("*.png")}
    assert kept == old
    (table,) = (built.layout.stimuli / "replaced").rglob("manifest.tsv")
    assert table.read_bytes() == manifest


def test_two_replaced_sets_of_one_day_have_folders_of_their_own(built: Study) -> None:
    for _ in range(3):
        build(built.layout, built.settings, overwrite=True)
    names = sorted(path.name for path in (built.layout.stimuli / "replaced").iterdir())
    assert len(names) == 3
    assert names[1:] == [f"{names[0]}-2", f"{names[0]}-3"]
    assert (built.layout.root / ".bidsignore").read_text(encoding="utf-8").count("stimuli/replaced/\n") == 1


@pytest.mark.parametrize("verb", ["build", "features", "textures", "candidates"])
def test_two_writers_at_once_are_refused(built: Study, command: Command, verb: str, tmp_path: Path) -> None:
    """The first one is another process, as it would be; when it ends, the lock has gone."""
    folder = tmp_path / "photographs"
    for name in ("beagle", "dalmatian"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / name / "a.png")
    text = built.layout.settings_file.read_text(encoding="utf-8")
    small = "[textures]\nsize_px = 48\nscramble_cells = 4\nn_objects = 1\nn_faces = 1\nn_words = 1\nn_pictures = 1"
    built.layout.settings_file.write_text(text.replace("[textures]", small, 1), encoding="utf-8")
    options = {"build": ("--overwrite",), "candidates": ("--images", folder)}.get(verb, ())
    code = ("import sys; from pathlib import Path; from subjects.store import locked\n"
            "with locked(Path(sys.argv[1]), what='the stimulus set'):\n    print('held', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code, str(built.layout.stimuli)], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        before = _content(built.layout)
        code_, _, complaint = command(verb, "--study", built.layout.root, *options)
        assert code_ == 2
        assert f"process {first.pid}" in complaint
        assert _content(built.layout) == before
        first.kill()
    assert command(verb, "--study", built.layout.root, *options)[0] in (0, 1)


def _content(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_set_that_is_current_is_read_while_another_writes(built: Study) -> None:
    extract(built.layout, built.settings)
    with locked(built.layout.stimuli, what="the stimulus set"):
        assert build(built.layout, built.settings).reused
        assert extract(built.layout, built.settings).reused


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("place", ["", "images", "images/AN", "images/AN/dogs-01_AN.png", "replaced", "textures"])
@pytest.mark.parametrize("verb", ["build", "textures"])
def test_a_link_out_of_the_study_is_refused_before_anything_is_written(
        empty: Study, command: Command, tmp_path: Path, place: str, verb: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = empty.layout.stimuli / place if place else empty.layout.stimuli
    link.parent.mkdir(parents=True, exist_ok=True)
    target = outside / "file.png" if place.endswith(".png") else outside
    if target != outside:
        target.touch()
    link.symlink_to(target)
    code, _, complaint = command(verb, "--study", empty.layout.root)
    assert code == 2
    assert f"{link}: a link to {target.resolve()}, outside the study" in complaint
    assert [path.name for path in outside.iterdir()] == (["file.png"] if target != outside else [])
    assert target == outside or not target.stat().st_size


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_within_the_study_is_followed(empty: Study) -> None:
    inside = empty.layout.root / "big disk"
    inside.mkdir()
    empty.layout.stimuli.mkdir()
    (empty.layout.stimuli / "images").symlink_to(inside)
    assert len(build(empty.layout, empty.settings).manifest) == 18
    assert len(list(inside.rglob("*.png"))) == 18
    old = {path.name: path.read_bytes() for path in inside.rglob("*.png")}
    assert not build(empty.layout, load_settings(empty.layout.root, overrides={"stimuli.an_min_contrast": 15.0}),
                     overwrite=True).reused
    assert len(list(inside.rglob("*.png"))) == 18
    assert {path.name: path.read_bytes() for path in (empty.layout.stimuli / "replaced").rglob("*.png")} == old


def test_a_name_of_replaced_files_is_never_taken_twice(empty: Study) -> None:
    first = files.name_replaced(empty.layout, digest="abc")
    first.mkdir(parents=True)
    second = files.name_replaced(empty.layout, digest="abc")
    assert second.name == f"{first.name}-2"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-abc", first.name)


def test_a_set_says_its_format_and_one_of_a_newer_version_is_refused(built: Study, command: Command) -> None:
    beside = built.layout.manifest.with_suffix(".json")
    content = json.loads(beside.read_text(encoding="utf-8"))
    assert content["FormatVersion"] == MANIFEST.version
    beside.write_text(json.dumps({**content, "FormatVersion": MANIFEST.version + 1}), encoding="utf-8")
    for verb in ("check", "features", "build"):
        code, _, complaint = command(verb, "--study", built.layout.root)
        assert code == 2
        assert f"format version {MANIFEST.version + 1}" in complaint
        assert "Install that newer version" in complaint


def test_every_file_that_is_written_says_its_format(halfway: Study) -> None:
    assert json.loads(unfinished_path(halfway.layout).read_text(encoding="utf-8"))["format_version"] == \
        UNFINISHED.version
    build(halfway.layout, halfway.settings)
    with h5py.File(extract(halfway.layout, halfway.settings).store.path) as file:
        assert (file.attrs["format"], int(file.attrs["format_version"])) == ("adversarial-fmri network features", 2)


def _as_0_1(study: Study) -> None:
    """Leave what version 0.1.0 wrote: no record of the network, no formats, and settings that it did not know."""
    beside = study.layout.manifest.with_suffix(".json")
    content = json.loads(beside.read_text(encoding="utf-8"))
    kept = {key: content[key] for key in ("GeneratedBy", "inputs", "parameters", "digest", "images")}
    del kept["parameters"]["ai_method"], kept["parameters"]["an_goal_p"]
    beside.write_text(json.dumps(kept), encoding="utf-8")


def test_a_set_without_todays_settings_is_current(built: Study) -> None:
    _as_0_1(built)
    before = built.layout.manifest.read_bytes()
    assert build(built.layout, built.settings).reused
    assert built.layout.manifest.read_bytes() == before
    changed = load_settings(built.layout.root, overrides={"stimuli.ai_method": "minimal"})
    with pytest.raises(StimulusError, match=r"ai_method None, now 'minimal'"):
        build(built.layout, changed)


def test_a_link_to_another_file_in_features_is_refused(built: Study, tmp_path: Path) -> None:
    path = extract(built.layout, built.settings).store.path
    other = shutil.copy(path, tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        del file["layers"]["layer1"]
        file["layers"]["layer1"] = h5py.ExternalLink(other, "/layers/layer1")
    from stimuli.feature_store import open_store

    with pytest.raises(StoreError, match=r"layer1, kept in another file; expected a dataset in the file itself"):
        open_store(path)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                                max_size=3), max_leaves=6)
DAMAGED = ("manifest.tsv", "manifest.json", "unfinished.json", "../derivatives/features/network-tiny_features.h5",
           "../derivatives/features/network-tiny_features.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: object) -> Study:
    study = make_study(tmp_path_factory.mktemp("whole") / "study")
    build(study.layout, study.settings)
    extract(study.layout, study.settings)
    rows = [dataclasses.asdict(one) for one in read_manifest(study.layout.manifest).stimuli]
    sidecar = json.loads(study.layout.manifest.with_suffix(".json").read_text(encoding="utf-8"))
    unfinished_path(study.layout).write_text(json.dumps({**sidecar, "rows": rows}), encoding="utf-8")
    return study


def _damage_text(data: st.DataObject, content: bytes) -> bytes:
    """Cut, overwrite or insert some bytes anywhere."""
    first = data.draw(st.integers(0, len(content)))
    last = data.draw(st.integers(first, min(len(content), first + 40)))
    return content[:first] + data.draw(st.binary(max_size=12)) + content[last:]


def _damage_json(data: st.DataObject, content: bytes) -> bytes:
    """Put some other value in the place of one of the JSON's own."""
    tree = json.loads(content)
    place, key = tree, data.draw(st.sampled_from(sorted(tree)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(JSON)
    return json.dumps(tree).encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(DAMAGED))
def test_no_damage_ends_in_a_traceback(whole: Study, tmp_path: Path, data: st.DataObject, name: str) -> None:
    """The steps behind build, check and features end well or with one of our errors, and never lose an image."""
    from stimuli.image_set.check import check

    root = tmp_path / "damaged"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole.layout.root, root)
    layout, path = Layout(root), root / "stimuli" / name
    content = path.read_bytes()
    damage = _damage_json if name.endswith(".json") and data.draw(st.booleans()) else _damage_text
    path.write_bytes(damage(data, content))
    images = {one.read_bytes() for one in layout.stimuli.rglob("*.png")}
    for step in (check, extract, build):
        with contextlib.suppress(StudyError):
            step(layout, whole.settings)  # type: ignore[operator]
    assert {one.read_bytes() for one in layout.stimuli.rglob("*.png")} >= images
