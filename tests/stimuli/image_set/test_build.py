"""A set from its making to its files: exact, repeatable, resumable, and never silently replaced."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stimuli.categories import DEMO_CATEGORIES
from stimuli.image_set import making
from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.checkpoint import unfinished_path
from stimuli.image_set.measures import contrast_rms
from stimuli.manifest import TYPES, image_id_of, read_manifest
from stimuli.networks.registry import TorchNetwork
from stimuli.perturbation import ascent as attacks
from stimuli.perturbation.rules import interference_rule
from subjects.dataset import init_study
from subjects.errors import ManifestError, NetworkError, StimulusError
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.stimuli.tiny import CLASSES, NAMES, Study, make_study


def _bytes(layout: Layout) -> dict[str, str]:
    return {path.relative_to(layout.stimuli).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(layout.stimuli.rglob("*")) if path.is_file()}


def _changed(study: Study, **stimuli: object) -> Study:
    return Study(study.layout, study.settings.model_copy(
        update={"stimuli": study.settings.stimuli.model_copy(update=stimuli)}))


def _pixels(layout: Layout, file: str) -> np.ndarray:
    with Image.open(layout.stimuli / file) as image:
        return np.asarray(image).copy()


def test_every_base_image_has_its_three(built: Study) -> None:
    manifest = read_manifest(built.layout.manifest)
    assert manifest.base_images == ("dogs-01", "dogs-02", "cars-01", "cars-02", "fruits-01", "fruits-02")
    assert [(one.base_image, one.type) for one in manifest.stimuli] == \
        [(base, kind) for base in manifest.base_images for kind in TYPES]
    for one in manifest.stimuli:
        regular = manifest.get(base_image=one.base_image, type="RE")
        assert one.file == f"images/{one.type}/{one.base_image}_{one.type}.png"
        assert (one.category, one.category_index, one.class_name) == \
            (regular.category, NAMES.index(one.category), one.base_image.rpartition("-")[0])
    assert {path.name for path in built.layout.stimuli.iterdir()} == {"images", "manifest.tsv", "manifest.json"}


def test_every_rule_holds_on_the_written_pixels(built: Study, tiny: TorchNetwork) -> None:
    """Read with PIL and judged directly, without the project's check."""
    for one in read_manifest(built.layout.manifest).stimuli:
        pixels = _pixels(built.layout, one.file)
        probabilities = tiny.probabilities(pixels[None])[0]
        assert image_id_of(pixels) == one.image_id
        target = one.category_index if one.type != "AI" else NAMES.index(one.target_category or "")
        assert one.p_after == pytest.approx(probabilities[target], abs=1e-5)
        assert probabilities[target] > 0.99
        if one.type == "AI":
            assert one.target_category not in DEMO_CATEGORIES[one.class_name]
        if one.type == "AN":
            assert 12.0 <= contrast_rms(pixels) <= 13.2
            assert one.target_category == one.category


def test_the_recorded_measures_are_those_of_the_files(built: Study, tiny: TorchNetwork) -> None:
    manifest = read_manifest(built.layout.manifest)
    for one in manifest.stimuli:
        pixels = _pixels(built.layout, one.file).astype(np.float64)
        regular = _pixels(built.layout, manifest.get(base_image=one.base_image, type="RE").file).astype(np.float64)
        change = (pixels - (tiny.mean_image if one.type == "AN" else regular)) / 255.0
        assert one.l2 == pytest.approx(np.sqrt((change ** 2).sum()), abs=1e-5)
        assert one.linf == pytest.approx(np.abs(change).max(), abs=1e-5)
        spread = pixels - pixels.mean(axis=(0, 1))
        assert one.contrast_rms == pytest.approx(np.sqrt((spread ** 2).mean()), abs=1e-3)
        start = tiny.mean_image[None].astype(np.uint8) if one.type == "AN" else regular[None].astype(np.uint8)
        target = one.category_index if one.target_index is None else one.target_index
        assert one.p_before == pytest.approx(tiny.probabilities(start)[0, target], abs=1e-5)
    assert {one.ssim for one in manifest.stimuli if one.type == "RE"} == {1.0}


def test_the_same_study_gives_the_same_bytes(built: Study, tmp_path: Path) -> None:
    again = make_study(tmp_path / "again")
    assert not build(again.layout, again.settings).reused
    assert _bytes(again.layout) == _bytes(built.layout)


def test_another_seed_gives_another_set(built: Study, tmp_path: Path) -> None:
    layout = init_study(Layout(tmp_path / "other"), name="other", seed=6,
                        changes={"stimuli": built.settings.stimuli.model_dump(mode="json")})
    other = build(layout, load_settings(layout.root)).manifest
    same = read_manifest(built.layout.manifest)
    assert {one.image_id for one in other.stimuli if one.type != "AN"}.isdisjoint(
        one.image_id for one in same.stimuli if one.type != "AN")


def test_what_stands_is_reused_untouched(built: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.layout.stimuli.rglob("*")}
    monkeypatch.setattr(making, "ascend", None)
    made = build(built.layout, built.settings)
    assert made.reused
    assert made.manifest == read_manifest(built.layout.manifest)
    assert {path: path.stat().st_mtime_ns for path in built.layout.stimuli.rglob("*")} == before


@pytest.mark.parametrize("change", [{"batch": 3}, {"max_iterations": 77}, {"animal_classes": ()}])
def test_settings_that_shape_no_pixel_may_change(built: Study, change: dict[str, object]) -> None:
    study = _changed(built, **change)
    assert build(study.layout, study.settings).reused


def _stop_after(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the n-th image of the ascents be the last, as a crash would."""
    count = iter(range(n))

    def failing(*args: object, **kwargs: object) -> Iterator[attacks.Ascended]:
        for one in attacks.ascend(*args, **kwargs):  # type: ignore[arg-type]
            if next(count, None) is None:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(making, "ascend", failing)


@pytest.mark.parametrize("n", [0, 3, 5, 6, 11])
def test_an_interrupted_build_is_completed_to_the_same_bytes(built: Study, empty: Study, n: int,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _stop_after(n, patch)
        with pytest.raises(KeyboardInterrupt):
            build(empty.layout, empty.settings)
    assert not empty.layout.manifest.exists()
    kept = {path: path.stat().st_mtime_ns for path in empty.layout.stimuli.rglob("*.png")}
    assert len(kept) == 6 + 4 * (n >= 4) + 2 * (n >= 6) + 4 * (n >= 10)
    build(empty.layout, empty.settings)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert _bytes(empty.layout) == _bytes(built.layout)


def test_a_spoilt_image_of_an_interrupted_build_is_made_again(built: Study, empty: Study,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _stop_after(8, patch)
        with pytest.raises(KeyboardInterrupt):
            build(empty.layout, empty.settings)
    (empty.layout.stimuli / "images/AN/dogs-02_AN.png").unlink()
    (empty.layout.stimuli / "images/RE/cars-01_RE.png").write_bytes(b"half")
    build(empty.layout, empty.settings)
    assert _bytes(empty.layout) == _bytes(built.layout)


def test_a_crash_between_manifest_and_sidecar_is_survived(built: Study, empty: Study,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stimuli.image_set.checkpoint.sidecar", fail)
        with pytest.raises(KeyboardInterrupt):
            build(empty.layout, empty.settings)
    assert build(empty.layout, empty.settings).manifest == read_manifest(built.layout.manifest)
    assert _bytes(empty.layout) == _bytes(built.layout)


def test_a_set_with_other_settings_is_refused_and_left(built: Study) -> None:
    before = _bytes(built.layout)
    other = _changed(built, an_min_contrast=15.0)
    with pytest.raises(StimulusError, match=r"manifest.tsv: a set made with other settings or another network "
                                            r"\(an_min_contrast 12.0, now 15.0\); expected none, or one that is "
                                            r"current. .*build --study .* --overwrite`; the old images are moved"):
        build(other.layout, other.settings)
    assert _bytes(built.layout) == before


def test_overwriting_replaces_the_whole_set(built: Study) -> None:
    other = _changed(built, an_min_contrast=15.0, per_class=1)
    before = {path.relative_to(built.layout.stimuli): path.read_bytes()
              for path in built.layout.stimuli.rglob("*") if path.is_file()}
    made = build(other.layout, other.settings, overwrite=True)
    assert not made.reused
    assert len(made.manifest) == 9
    assert sorted(path.name for path in (built.layout.stimuli / "images").rglob("*.png")) == \
        sorted(Path(one.file).name for one in made.manifest.stimuli)
    (folder,) = (built.layout.stimuli / "replaced").iterdir()
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "stimuli/replaced/\n" in (built.layout.root / ".bidsignore").read_text(encoding="utf-8")
    assert build(other.layout, other.settings).reused


def test_an_interrupted_overwrite_is_never_taken_for_the_old_set(built: Study,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    other = _changed(built, an_min_contrast=15.0)
    with monkeypatch.context() as patch:
        _stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            build(other.layout, other.settings, overwrite=True)
    assert not built.layout.manifest.exists()
    with pytest.raises(StimulusError, match="unfinished.json: an unfinished set made with other settings"):
        build(built.layout, built.settings)
    assert len(build(other.layout, other.settings).manifest) == 18


def test_a_missing_or_changed_image_of_a_current_set_is_an_error(built: Study) -> None:
    path = built.layout.stimuli / "images/AI/cars-02_AI.png"
    pixels = _pixels(built.layout, "images/AI/cars-02_AI.png")
    pixels[3, 3, 0] ^= 1
    Image.fromarray(pixels).save(path)
    with pytest.raises(ManifestError, match="cars-02_AI.png: pixels with digest"):
        build(built.layout, built.settings)
    path.unlink()
    with pytest.raises(ManifestError, match="cars-02_AI.png: no such file"):
        build(built.layout, built.settings)
    assert len(build(built.layout, built.settings, overwrite=True).manifest) == 18


def test_images_without_a_manifest_are_not_overwritten(built: Study) -> None:
    built.layout.manifest.unlink()
    before = _bytes(built.layout)
    with pytest.raises(StimulusError, match="AI/cars-01_AI.png: an image without a manifest; expected a free folder"):
        build(built.layout, built.settings)
    assert _bytes(built.layout) == before


def test_no_file_outside_the_images_is_ever_removed(built: Study) -> None:
    text = built.layout.manifest.read_text(encoding="utf-8")
    built.layout.manifest.write_text(text.replace("images/RE/dogs-01_RE.png", "images/../../study.toml"),
                                     encoding="utf-8")
    build(built.layout, built.settings, overwrite=True)
    assert built.layout.settings_file.is_file()


def test_a_shortfall_names_image_category_and_remedy(empty: Study) -> None:
    study = _changed(empty, max_iterations=1)
    with pytest.raises(StimulusError, match=r"not reached in 1 steps: .*dogs-01 towards beagle \(P = .*"
                                            r"Raise stimuli.max_iterations"):
        build(study.layout, study.settings)
    assert not study.layout.manifest.exists()


def test_a_category_that_is_never_certain_is_named(empty: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "draw", lambda category, *, rng, size_px: np.zeros((size_px, size_px, 3), np.uint8))
    with pytest.raises(StimulusError, match=r"no candidate of .*beagle \(dogs-01, at best .*; expected P > 0.99"):
        build(empty.layout, empty.settings)


@pytest.mark.parametrize(("change", "kind", "said"), [
    ({"size_px": 227}, StimulusError, "227 px; expected 24 px, the input of network 'tiny'"),
    ({"network": "tyni"}, NetworkError, r"'tyni'; .*Did you mean 'tiny'\?"),
    ({"classes": ("dgos",)}, StimulusError, r"'dgos'; .*Did you mean 'dogs'\?"),
])
def test_settings_that_cannot_be_met_write_nothing(empty: Study, change: dict[str, object], kind: type[Exception],
                                                   said: str) -> None:
    study = _changed(empty, **change)
    with pytest.raises(kind, match=said):
        build(study.layout, study.settings)
    assert not study.layout.stimuli.exists()


def test_an_image_that_changes_on_its_way_to_the_disk_stops_the_build(empty: Study,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "write_png", lambda path, pixels: _save(path, 255 - pixels))
    with pytest.raises(StimulusError, match=r"dogs-01_RE.png: P 0\..*expected an image that passes the rules when"):
        build(empty.layout, empty.settings)
    assert not empty.layout.manifest.exists()


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_the_sidecar_says_what_the_set_is_made_from(built: Study, tiny: TorchNetwork) -> None:
    sidecar = json.loads(built.layout.manifest.with_suffix(".json").read_text(encoding="utf-8"))
    assert sidecar["inputs"]["network"] == tiny.digest
    assert sidecar["parameters"]["seed"] == 5
    assert sidecar["parameters"]["an_min_contrast"] == 12.0
    assert "batch" not in sidecar["parameters"]


def test_progress_is_told_of_every_image(empty: Study) -> None:
    told: list[tuple[str, int, int | None]] = []

    def wrapper(iterable: Iterable[object], *, label: str, total: int | None = None) -> Iterator[object]:
        items = list(iterable)
        told.append((label, len(items), total))
        yield from items

    build(empty.layout, empty.settings, progress=wrapper)
    assert told == [(label, 6, 6) for label in ("regular images", "adversarial noise", "adversarial interference")]


@contextmanager
def _somebody_else() -> Iterator[None]:
    """Be a user who may not write where root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX")
def test_a_folder_without_permission_is_one_clear_error(tiny: TorchNetwork, monkeypatch: pytest.MonkeyPatch,
                                                        command: Callable[..., tuple[int, str, str]]) -> None:
    """Nothing is computed before the folder is known to take files."""
    monkeypatch.setattr(making, "drawings_digest", lambda: "d" * 16)
    monkeypatch.setattr(making, "choose", None)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        study = make_study(Path(folder) / "study")
        study.layout.root.chmod(0o555)
        with _somebody_else():
            code, _, said = command("build", "--study", study.layout.root)
        study.layout.root.chmod(0o755)
        assert code == 2
        assert said.strip() == (f"error: {study.layout.stimuli}: Permission denied; expected to read and write there. "
                                "Check the folder, its permissions and free space.")
        assert not study.layout.stimuli.exists()


def test_an_unfinished_set_can_be_moved_with_its_study(empty: Study, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _stop_after(5, patch)
        with pytest.raises(KeyboardInterrupt):
            build(empty.layout, empty.settings)
    assert str(empty.layout.root) not in unfinished_path(empty.layout).read_text(encoding="utf-8")
    shutil.move(empty.layout.root, tmp_path / "moved")
    assert len(build(Layout(tmp_path / "moved"), empty.settings).manifest) == 18


def _targets(study: Study, *, towards: str) -> Path:
    """Every base image towards one category, its own towards the next."""
    manifest = read_manifest(study.layout.manifest)
    rows = [f"{one.base_image}\t{towards if one.category != towards else NAMES[NAMES.index(towards) - 1]}"
            for one in manifest.stimuli if one.type == "RE"]
    path = study.layout.root / "targets.tsv"
    path.write_text("\n".join(["base_image\ttarget", *rows]) + "\n", encoding="utf-8")
    return path


def test_a_table_of_targets_is_followed_and_makes_another_set(built: Study) -> None:
    path = _targets(built, towards=NAMES[4])
    study = _changed(built, ai_target="table", ai_target_table="targets.tsv")
    with pytest.raises(StimulusError, match="a set made with other settings"):
        build(study.layout, study.settings)
    made = build(study.layout, study.settings, overwrite=True)
    aims = [one.target_category for one in made.manifest.stimuli if one.type == "AI"]
    assert sorted(set(aims)) == sorted({NAMES[4], NAMES[3]})
    assert check(study.layout, study.settings).ok
    assert build(study.layout, study.settings).reused
    path.write_text(path.read_text(encoding="utf-8").replace(NAMES[4], NAMES[5], 1), encoding="utf-8")
    with pytest.raises(StimulusError, match="a set made with other settings"):
        build(study.layout, study.settings)


@pytest.mark.parametrize("changes", [{"classes": ["dogs"], "animal_classes": ["dogs"]},
                                     {"classes": ["dogs"], "animal_classes": ["dogs"], "ai_draw": "independent"}])
def test_where_no_target_can_be_drawn_nothing_is_made(tmp_path: Path, changes: dict[str, object]) -> None:
    study = make_study(tmp_path / "study", **changes)
    said = "'derangement' with 2 of 2 base images|'other_class' with nothing to choose"
    with pytest.raises(StimulusError, match=said):
        build(study.layout, study.settings)
    assert not list(study.layout.stimuli.rglob("*.png"))
    assert not unfinished_path(study.layout).exists()


def test_a_target_above_its_probability_on_a_regular_image_is_refused_before_any_ai_is_made(empty: Study) -> None:
    """The AI would be its RE: two images of one digest, which only the manifest would have refused."""
    rows = [f"{name}-0{k}\t{NAMES[(2 * place + k) % 6]}" for place, name in enumerate(CLASSES) for k in (1, 2)]
    (empty.layout.root / "targets.tsv").write_text("\n".join(["base_image\ttarget", *rows]) + "\n", encoding="utf-8")
    study = _changed(empty, ai_target="table", ai_target_table="targets.tsv", ai_p=1e-9)
    with pytest.raises(StimulusError, match=r"AI of \w+-0\d: target \d, which the network sees in the RE already"):
        build(study.layout, study.settings)
    assert not list((study.layout.stimuli / "images" / "AI").glob("*.png"))


def test_a_search_that_finds_nothing_names_its_length(empty: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "interference_rule", lambda stimuli: dataclasses.replace(
        interference_rule(stimuli), done=lambda probabilities, images, starts: probabilities > 1.0))
    study = _changed(empty, ai_method="minimal", ai_search=5, max_iterations=60)
    said = r"not reached in 60 steps: .* Raise stimuli.ai_search \(a search has 5 steps\) or max_iterations"
    with pytest.raises(StimulusError, match=said) as caught:
        build(study.layout, study.settings)
    assert max(float(one) for one in re.findall(r"contrast (\d+\.\d)", str(caught.value))) < 127.0


def test_a_missing_table_of_targets_is_named_and_writes_nothing(built: Study) -> None:
    before = _bytes(built.layout)
    study = _changed(built, ai_target="table", ai_target_table="nowhere.tsv")
    with pytest.raises(StimulusError, match=r"nowhere.tsv: no such file; expected the table that stimuli.ai_target_ta"):
        build(study.layout, study.settings, overwrite=True)
    assert _bytes(built.layout) == before


def test_a_minimal_set_holds_and_is_closer_to_the_regular_images(built: Study) -> None:
    first = {one.base_image: one.l2 for one in read_manifest(built.layout.manifest).stimuli if one.type == "AI"}
    study = _changed(built, ai_method="minimal")
    made = build(study.layout, study.settings, overwrite=True)
    assert check(study.layout, study.settings).ok
    for one in made.manifest.stimuli:
        if one.type == "AI":
            assert one.l2 <= first[one.base_image]
