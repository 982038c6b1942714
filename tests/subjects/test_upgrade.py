"""Studies of released versions: opened as they are, upgraded, and never made anew."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from analysis.glm.betas import load_betas
from paradigms.runlog import is_complete, read_events, read_journal
from stimuli.feature_store import open_store
from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.set_network import load_set_network
from stimuli.manifest import read_manifest, read_pixels, read_set_network
from stimuli.texture_table import read_textures
from subjects import machine
from subjects.errors import LayoutError, StimulusError
from subjects.layout import STUDY_FORMAT, Layout
from subjects.plan.run_sheet import run_sheet
from subjects.provenance import agree, digest_file
from subjects.settings.history import MOVED, REMOVED, RENAMED
from subjects.settings.loading import load_settings, read_resolved
from subjects.settings.reference import described_settings
from subjects.settings.study import Settings, leaves
from subjects.store import read_json
from subjects.upkeep import upgrade

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "studies"
RELEASES = sorted(path.parent.name for path in FIXTURES.glob("*/study.tar.xz"))
OUTSIDE = ("sourcedata/", "sub-01/")


@pytest.fixture(params=RELEASES)
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Unpack a study as a release made it; its network lies beside the fixtures, and is trusted."""
    with tarfile.open(FIXTURES / request.param / "study.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.syspath_prepend(str(FIXTURES))
    machine.require_trust(tmp_path / "study", "small_network:small", where="stimuli.network", trust=True)
    return Layout(tmp_path / "study")


def _files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _open_everything(layout: Layout) -> None:
    """Read a study's files with today's readers."""
    layout.require()
    settings = load_settings(layout.root)
    manifest = read_manifest(layout.manifest)
    assert len(manifest) == 18
    for row in manifest.stimuli:
        assert read_pixels(layout.stimuli, row).shape == (24, 24, 3)
    assert (read_set_network(layout.manifest).name, read_set_network(layout.manifest).digest) == (
        "small", "0f1e2d3c4b5a6978")
    assert len(read_textures(layout.textures).rows) == 5
    runs = run_sheet(layout, settings, sub="01").runs
    assert [(run.task, run.run, run.done) for run in runs] == [("main", 1, True), ("main", 2, True)]
    for run in runs:
        assert (read_events(layout.events(run.key))["trial_type"] != "blank").sum() == 36
        assert is_complete(read_journal(layout.journal(run.key)))
        assert read_resolved(layout.resolved_settings(run.key)) == settings
    assert open_store(layout.features("small")).image_ids == tuple(row.image_id for row in manifest.stimuli)
    assert load_betas(layout.derivative("glm", sub="01", hemi="L", suffix="betas.h5")).values.shape[0] == 37


def test_a_study_of_an_older_release_is_read_as_it_is(old: Layout) -> None:
    before = _files(old.root)
    _open_everything(old)
    assert _files(old.root) == before


def test_an_upgraded_study_is_read(old: Layout) -> None:
    upgrade.upgrade(old)
    _open_everything(old)


@pytest.mark.parametrize("upgraded", [False, True])
def test_a_second_build_remakes_no_image(old: Layout, upgraded: bool) -> None:
    if upgraded:
        upgrade.upgrade(old)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in old.stimuli.rglob("*.png")}
    assert build(old, load_settings(old.root)).reused
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in old.stimuli.rglob("*.png")} == before


def test_a_set_of_an_older_release_is_judged_by_what_was_done_then(old: Layout) -> None:
    """Targets drawn one by one, and no upper bound on P and contrast of AN: the study names neither."""
    settings = load_settings(old.root)
    assert check(old, settings).ok
    named = load_settings(old.root, overrides={"stimuli.an_contrast_tolerance": 0.1, "stimuli.ai_draw": "derangement"})
    verdict = check(old, named)
    assert any("wanted <" in failure for one in verdict.images for failure in one.failures)
    assert any("is the target of 2 AI" in failure for failure in verdict.set_failures)
    with pytest.raises(StimulusError, match=r"made with other settings .*ai_draw None, now 'derangement'"):
        build(old, named)


def test_a_function_of_ones_own_is_no_other_network_than_the_one_it_gave_then(
        old: Layout, caplog: pytest.LogCaptureFixture) -> None:
    network = load_set_network(old, load_settings(old.root).stimuli)
    assert (network.name, [one.getMessage() for one in caplog.records if "the settings name" in one.getMessage()]) == (
        "small", [])


def test_a_set_that_replaces_one_of_an_older_release_is_made_as_today(old: Layout) -> None:
    settings = load_settings(old.root)
    made = build(old, settings, overwrite=True)
    aims = [one.target_category for one in made.manifest.stimuli if one.type == "AI"]
    assert len(set(aims)) == len(aims)
    assert check(old, settings).ok


def test_a_dry_run_names_every_file_and_writes_none(old: Layout) -> None:
    before = _files(old.root)
    found = upgrade.upgrade(old, dry_run=True)
    assert (found.before, found.after, found.backup) == (1, STUDY_FORMAT, None)
    assert _files(old.root) == before
    assert set(upgrade.upgrade(old).changed) == set(found.changed)
    after = _files(old.root)
    assert {path for path in before if after[path] != before[path]} == set(found.changed)


def test_an_upgrade_touches_descriptions_only_and_keeps_a_copy(old: Layout) -> None:
    before = _files(old.root)
    found = upgrade.upgrade(old)
    assert found.backup is not None
    for path in found.changed:
        assert path == "study.toml" or (path.endswith(".json") and not path.startswith(OUTSIDE)), path
        assert (found.backup / path).read_bytes() == before[path]
    after = _files(old.root)
    new = set(after) - set(before)
    assert new == {f"sourcedata/before-upgrade/format-1/{path}" for path in found.changed}
    added = [line for line in after["study.toml"].splitlines(keepends=True) if b"# the default when this study" in line]
    assert {line.split(b"#")[0].split(b".")[-1].strip() for line in added} == {
        b'model = "ols"', b'disk = "whole"', b"refuse_disk = 0"}
    rest = b"".join(line for line in after["study.toml"].splitlines(keepends=True) if line not in added)
    assert rest.endswith(before["study.toml"]), "the user's own remarks stay"


def test_a_second_upgrade_changes_nothing(old: Layout) -> None:
    upgrade.upgrade(old)
    before = _files(old.root)
    assert upgrade.upgrade(old).changed == ()
    assert _files(old.root) == before


def test_an_upgraded_study_says_what_it_did_not_say(old: Layout) -> None:
    upgrade.upgrade(old)
    betas = read_json(old.derivatives("glm") / "sub-01" / "sub-01_hemi-L_betas.json")
    assert betas["GeneratedBy"] == [{"Name": "adversarial-fmri", "Version": "0.1.0"}]
    assert betas["SidecarVersion"] == 2
    described = read_json(old.derivatives("glm") / "dataset_description.json")
    assert described["DatasetLinks"] == {"study": "../.."}
    assert read_json(old.stimuli / "manifest.json")["network"]["digest"] == "0f1e2d3c4b5a6978"


def test_files_that_name_a_changed_file_name_its_new_digest(old: Layout) -> None:
    was = {path: digest_file(old.root / path) for path in _files(old.root)}
    found = upgrade.upgrade(old)
    moved = {was[path]: digest_file(old.root / path) for path in found.changed}
    n_moved = 0
    for path in (path for path in was if path.endswith(".json")):
        content = json.loads((old.root / path).read_text(encoding="utf-8"))
        inputs = content.get("inputs", {}) if isinstance(content, dict) else {}
        assert not set(inputs.values()) & (moved.keys() - set(moved.values())), path
        n_moved += sum(digest in moved.values() for digest in inputs.values())
    assert n_moved == 4, "the betas of two hemispheres were made from two time series each, whose sidecars changed"


def test_an_upgrade_that_is_cut_off_anywhere_is_taken_up(old: Layout, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    start = _files(old.root)
    really = upgrade.write_bytes
    n_writes = 2 * len(upgrade.upgrade(old).changed)
    whole = _files(old.root)
    for cut in range(n_writes):
        for path in set(_files(old.root)) - set(start):
            (old.root / path).unlink()
        for path, data in start.items():
            (old.root / path).write_bytes(data)
        left = [cut]

        def write(path: Path, data: bytes, *, overwrite: bool = False, left: list[int] = left) -> Path:
            if not left[0]:
                raise OSError("no room")
            left[0] -= 1
            return really(path, data, overwrite=overwrite)

        monkeypatch.setattr(upgrade, "write_bytes", write)
        with pytest.raises(OSError, match="no room"):
            upgrade.upgrade(old)
        monkeypatch.setattr(upgrade, "write_bytes", really)
        upgrade.upgrade(old)
        assert _files(old.root) == whole


def test_sidecars_that_name_sidecars_settle() -> None:
    """Three files in a row: the last was made from the middle one's sidecar, that from the first one's."""
    def spelled(content: dict[str, Any]) -> bytes:
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()

    old: dict[str, bytes] = {"a": spelled({"inputs": {}, "v": 1})}
    for name, made_from in (("b", "a"), ("c", "b")):
        old[name] = spelled({"inputs": {"it": upgrade.digest_bytes(old[made_from])}, "v": 1})
    new = {name: {**json.loads(data), "v": 2} for name, data in old.items()}
    written = upgrade._with_digests(new, old=old)
    assert list(written) == ["c", "b", "a"]
    for name, made_from in (("b", "a"), ("c", "b")):
        assert json.loads(written[name])["inputs"]["it"] == upgrade.digest_bytes(written[made_from])


def test_a_set_of_another_network_than_the_settings_name_gets_no_weights_of_theirs(old: Layout) -> None:
    text = old.settings_file.read_text(encoding="utf-8")
    for named, weights in (("small", "w.npz"), ("alexnet-caffe", None)):
        old.settings_file.write_text(text.replace('"small_network:small"', f'"{named}"\nweights = "w.npz"'),
                                     encoding="utf-8")
        (old.root / "w.npz").write_bytes(b"weights")
        record = upgrade._network_record(old, load_settings(old.root).stimuli)
        assert record is not None
        assert (record["name"], record["weights"], record["weights_digest"]) == (
            "small", weights, digest_file(old.root / "w.npz") if weights else None)


def test_a_sidecar_that_cannot_be_read_is_left_and_named(old: Layout, caplog: pytest.LogCaptureFixture) -> None:
    broken = old.stimuli / "textures.json"
    broken.write_bytes(b"{")
    assert "stimuli/textures.json" not in upgrade.upgrade(old).changed
    assert broken.read_bytes() == b"{"
    assert "textures.json cannot be read and is left as it is" in caplog.text


def test_other_makers_files_are_left(old: Layout) -> None:
    theirs = old.derivatives("fmriprep") / "dataset_description.json"
    theirs.parent.mkdir()
    theirs.write_text('{"DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]}', encoding="utf-8")
    assert not any("fmriprep" in path for path in upgrade.upgrade(old).changed)


def test_a_new_study_has_todays_format(study: Layout) -> None:
    assert upgrade.upgrade(study).changed == ()
    assert [step.to for step in upgrade.MIGRATIONS] == list(range(2, STUDY_FORMAT + 1))


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [
    ("-m", "subjects", "plan", "--sub", "01"), ("-m", "subjects", "settings"), ("-m", "subjects", "upgrade"),
    ("-m", "subjects", "add", "--sub", "02"), ("-m", "stimuli", "build"), ("-m", "stimuli", "features"),
    ("-m", "analysis", "glm", "--sub", "01"), ("-m", "analysis", "report"), ("run_session.py", "recover"),
], ids=" ".join)
def test_a_study_of_a_newer_format_is_refused_by_every_command(study: Layout, words: tuple[str, ...]) -> None:
    text = study.settings_file.read_text(encoding="utf-8")
    study.settings_file.write_text(text.replace(f"format = {STUDY_FORMAT}", f"format = {STUDY_FORMAT + 1}"),
                                   encoding="utf-8")
    before = _files(study.root)
    done = _command(*words, "--study", str(study.root))
    assert done.returncode == 2
    assert f"a study of format {STUDY_FORMAT + 1}, of a newer version of this toolkit" in done.stderr
    assert done.stderr.count("\n") == 1
    assert _files(study.root) == before
    with pytest.raises(LayoutError, match="of a newer version"):
        upgrade.upgrade(study)


def test_the_command_as_written(old: Layout) -> None:
    words = ("-m", "subjects", "upgrade", "--study", str(old.root))
    planned = _command(*words, "--dry-run")
    assert planned.returncode == 0
    assert "nothing was written" in planned.stdout
    told = json.loads(_command(*words, "--json").stdout)
    assert (told["before"], told["after"], told["dry_run"]) == (1, STUDY_FORMAT, False)
    assert "stimuli/manifest.json" in told["changed"]
    assert _command(*words).stdout == f"format {STUDY_FORMAT}: nothing to upgrade\n"


@pytest.mark.parametrize("release", RELEASES)
def test_no_setting_of_a_release_is_forgotten_and_no_default_of_it_moves(release: str) -> None:
    """A study names only what leaves the defaults: another default would make another study of it."""
    then = dict(leaves(json.loads((FIXTURES / release / "defaults.json").read_text(encoding="utf-8"))))
    now = dict(leaves(Settings().model_dump(mode="json")))
    for key, value in then.items():
        if key in MOVED:  # studies of that time keep it: tested below
            assert (MOVED[key][1], now[key] == value) == (value, False), key
        else:
            assert key in REMOVED or now[RENAMED.get(key, key)] == value, key


@pytest.mark.parametrize("text", ["", "\n[glm]  # mine\ndrift_minutes = 3.0\n", "\n[glm]\nmodel = \"glmdenoise\"\n"],
                         ids=["unnamed", "table", "named"])
def test_a_study_of_an_older_release_keeps_the_defaults_of_its_time(old: Layout, text: str) -> None:
    """GLMdenoise is the default today; betas of release 0.1.0 are least squares and do not turn silently."""
    remarks = old.settings_file.read_text(encoding="utf-8")
    old.settings_file.write_text(remarks + text, encoding="utf-8")
    wanted = "glmdenoise" if "model" in text else "ols"
    before = load_settings(old.root)
    assert before.glm.model == wanted
    site = old.root.parent / "site.toml"
    site.write_text('[glm]\nmodel = "glmdenoise"\n', encoding="utf-8")
    assert load_settings(old.root, site=site).glm.model == "glmdenoise"
    upgrade.upgrade(old)
    assert load_settings(old.root) == before
    assert ('model = "ols"  # the default when this study was made' in old.settings_file.read_text(encoding="utf-8")) \
        == (wanted == "ols")
    assert upgrade.upgrade(old).changed == ()


def test_what_an_older_default_was_is_said_alike_in_both_places(study: Layout) -> None:
    assert load_settings(study.root).glm.model == Settings().glm.model == "glmdenoise"
    for key, (_, value) in MOVED.items():
        section, _, name = key.partition(".")
        extra = type(getattr(Settings(), section)).model_fields[name].json_schema_extra
        assert isinstance(extra, dict)
        assert extra["before"] == value


def test_a_setting_that_the_first_release_did_not_have_says_since_when() -> None:
    first = dict(leaves(json.loads((FIXTURES / "0.1.0" / "defaults.json").read_text(encoding="utf-8"))))
    for one in described_settings():
        name = f"{one.section}.{one.name}"
        assert (one.since == "0.1.0") == (name in first), f"{name}: {one.since}"


def test_parameters_that_the_first_release_recorded_agree_with_todays(old: Layout) -> None:
    recorded = read_json(old.stimuli / "manifest.json")["parameters"]
    assert agree(recorded, wanted={**recorded, "ai_search": 200})
    assert not agree(recorded, wanted={**recorded, "ai_search": 100})
