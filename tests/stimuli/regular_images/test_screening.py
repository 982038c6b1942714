"""Photographs on their way into a set: all screened, the bad ones with their reason, the rest untouched."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.manifest import read_image, read_manifest
from stimuli.networks.registry import Images, TorchNetwork
from stimuli.regular_images import candidate_report
from stimuli.regular_images.candidate_report import COLUMNS, photographs_of, report_path
from stimuli.regular_images.candidates import Listing, list_candidates
from stimuli.regular_images.category_choice import Selection
from stimuli.regular_images.photographs import read_photograph, to_square
from stimuli.regular_images.screening import screen
from subjects.errors import StimulusError
from subjects.settings.loading import load_settings
from tests.stimuli.folders import SMALL, class_folders, photo_study
from tests.stimuli.regular_images.test_photographs import SPOILT
from tests.stimuli.tiny import CLASSES, NAMES, Study, make_study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("photographs"))


@pytest.fixture
def folder(_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_folder, tmp_path / "photographs"))


@pytest.fixture
def photos(tiny: TorchNetwork, tmp_path: Path, folder: Path) -> Study:
    return photo_study(tmp_path / "study", folder)


def _report(study: Study) -> pd.DataFrame:
    return pd.read_csv(report_path(study.layout), sep="\t", na_values=["n/a"], keep_default_na=False)


def _listing(study: Study, network: TorchNetwork) -> Listing:
    return list_candidates(Path(study.settings.stimuli.images or ""), class_names=network.class_names, classes=CLASSES)


def _selection(study: Study, network: TorchNetwork) -> Selection:
    photographs = photographs_of(study.layout, study.settings.stimuli, seed=study.settings.study.seed, network=network)
    assert photographs is not None
    return photographs.selection


def _bytes(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*")) if path.is_file()}


def test_every_candidate_is_in_the_report_with_what_a_plain_loop_finds(photos: Study, tiny: TorchNetwork) -> None:
    _selection(photos, tiny)
    table = _report(photos)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 6 * 6
    for row in table.to_dict("records"):
        path = Path(photos.settings.stimuli.images or "") / row["file"]
        with Image.open(path) as image:
            assert (row["width"], row["height"]) == image.size
            aspect = image.width / image.height
            square = np.asarray(image.convert("RGB").resize((24, 24), Image.Resampling.BILINEAR))
        assert row["aspect"] == pytest.approx(aspect, abs=1e-4)
        assert row["category"] == row["file"].split("/")[0]
        if 2 / 3 < aspect < 1.5:
            probabilities = tiny.probabilities(square[None])[0]
            assert row["P"] == pytest.approx(probabilities[NAMES.index(row["category"])], abs=2e-6)
            assert row["P_top"] == pytest.approx(probabilities.max(), abs=2e-6)
            assert row["top"] == NAMES[probabilities.argmax()]
            assert row["rank"] == 1 + sum(probabilities > probabilities[NAMES.index(row["category"])])
        else:
            assert (row["verdict"], row["rule"]) == ("rejected", "size")
            assert np.isnan(row["P"])
            assert row["reason"] == "aspect 2.000, wanted between 0.667 and 1.5"


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_batch_changes_nothing_and_bounds_what_is_held(photos: Study, tiny: TorchNetwork, batch: int) -> None:
    class Counting:
        largest = 0

        def probabilities(self, images: Images, *, batch: int = 20) -> np.ndarray:
            self.largest = max(self.largest, len(images))
            return tiny.probabilities(images, batch=batch)

        input_size = 24
        class_names = tiny.class_names

    counting = Counting()
    listing, stimuli = _listing(photos, tiny), photos.settings.stimuli.model_copy(update={"batch": batch})
    rows = list(screen(listing, network=counting, stimuli=stimuli))  # type: ignore[arg-type]
    wanted = list(screen(listing, network=tiny, stimuli=photos.settings.stimuli))
    assert [(one.candidate, one.reason) for one in rows] == [(one.candidate, one.reason) for one in wanted]
    assert [one.p or 0.0 for one in rows] == pytest.approx([one.p or 0.0 for one in wanted], abs=2e-6)
    assert counting.largest <= batch


@pytest.mark.parametrize("case", [case for case in SPOILT if case not in ("missing", "a folder")])
def test_a_bad_photograph_falls_out_with_its_reason_and_stops_no_other(photos: Study, folder: Path, case: str,
                                                                       tiny: TorchNetwork) -> None:
    good = _selection(photos, tiny)
    name, spoil, said = SPOILT[case]
    spoil(folder / "beagle" / f"bad_{name}")
    made = _selection(photos, tiny)
    bad = [one for one in made.verdicts if "bad_" in one.screened.candidate.file]
    assert [(one.verdict, one.rule) for one in bad] == [("rejected", "file")]
    assert re.search(said.removeprefix("a.png: "), bad[0].reason)
    assert [one.candidate for one in made.chosen] == [one.candidate for one in good.chosen]
    others = [one for one in made.verdicts if one not in bad]
    assert [(one.screened.candidate, one.verdict, one.rule) for one in others] == \
        [(one.screened.candidate, one.verdict, one.rule) for one in good.verdicts]
    assert [one.screened.p or 0.0 for one in others] == \
        pytest.approx([one.screened.p or 0.0 for one in good.verdicts], abs=3e-6)
    row = _report(photos).query("file.str.contains('bad_')").to_dict("records")[0]
    assert row["reason"] == " ".join(bad[0].reason.split())


def test_two_empty_files_are_both_empty(photos: Study, folder: Path, tiny: TorchNetwork) -> None:
    """They have the same bytes, and are copies of nothing."""
    for name in ("zz_1.png", "zz_2.png"):
        (folder / "beagle" / name).write_bytes(b"")
    found = [one for one in _selection(photos, tiny).verdicts if "zz_" in one.screened.candidate.file]
    assert [one.rule for one in found] == ["file", "file"]
    assert all("empty" in one.reason for one in found)


def test_a_copy_of_a_photograph_counts_once(photos: Study, folder: Path, tiny: TorchNetwork) -> None:
    best = _selection(photos, tiny).chosen[0].candidate
    shutil.copy(folder / best.file, folder / best.category / "zz_copy.png")
    made = _selection(photos, tiny)
    copy, = [one for one in made.verdicts if one.screened.candidate.file.endswith("zz_copy.png")]
    assert (copy.rule, copy.reason) == ("copy", f"the same bytes as {best.file}")


def test_a_set_is_made_from_the_best_photographs(photos: Study, folder: Path, tiny: TorchNetwork) -> None:
    made = build(photos.layout, photos.settings)
    assert len(made.manifest) == 18
    assert check(photos.layout, photos.settings).ok
    table = _report(photos)
    for one in made.manifest.stimuli:
        if one.type == "RE":
            mine = table[table.category == one.category]
            row = mine[mine.verdict == "chosen"].iloc[0]
            assert row["P"] == pytest.approx(mine["P"].max())
            assert one.p_after == pytest.approx(row["P"], abs=2e-6)
            assert one.iterations == len(mine)
            shown = to_square(read_photograph(folder / row["file"]).pixels, side=24, resize="warp")
            assert np.array_equal(read_image(photos.layout.stimulus(one.file)), shown)
    assert made.manifest.base_images == ("dogs-01", "dogs-02", "cars-01", "cars-02", "fruits-01", "fruits-02")
    assert build(photos.layout, photos.settings).reused


def test_a_study_may_name_its_photographs_relative_to_itself(tiny: TorchNetwork, tmp_path: Path, folder: Path) -> None:
    study = make_study(tmp_path / "study", images="../photographs", **SMALL)
    assert len(build(study.layout, study.settings).manifest) == 18
    shutil.copytree(tmp_path, tmp_path.with_name(tmp_path.name + "_moved"))
    moved = Study(type(study.layout)(tmp_path.with_name(tmp_path.name + "_moved") / "study"), study.settings)
    assert build(moved.layout, moved.settings).reused


def test_another_candidate_makes_another_set(photos: Study, folder: Path) -> None:
    build(photos.layout, photos.settings)
    before = _bytes(photos.layout.stimuli)
    shutil.copy(folder / "beagle/00.png", folder / "beagle/new.png")
    with pytest.raises(StimulusError, match=r"manifest.tsv: a set made with other settings"):
        build(photos.layout, photos.settings)
    assert _bytes(photos.layout.stimuli) == before
    assert len(build(photos.layout, photos.settings, overwrite=True).manifest) == 18


def test_what_was_screened_is_not_screened_again(photos: Study, tiny: TorchNetwork,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    first = _selection(photos, tiny)
    monkeypatch.setattr(candidate_report, "screen", None)
    assert _selection(photos, tiny) == first
    stricter = Study(photos.layout, photos.settings.model_copy(
        update={"stimuli": photos.settings.stimuli.model_copy(update={"re_p": 0.999, "exclude": ("beagle",)})}))
    again = _selection(stricter, tiny)
    assert {one.rule for one in again.verdicts} >= {"size", "excluded"}
    assert [one.screened for one in again.verdicts] == [one.screened for one in first.verdicts]


def _short(folder: Path, *, keep: int = 1) -> None:
    """Leave the taxis so dark that no network sees one; `keep` of them."""
    for k, path in enumerate(sorted((folder / "taxi").iterdir())):
        if k >= keep:
            path.unlink()
        else:
            Image.fromarray(read_image(path) // 8).save(path)


def test_a_shortfall_is_refused_with_counts_and_a_report(photos: Study, folder: Path, command: Command) -> None:
    _short(folder)
    code, said, complaint = command("build", "--study", photos.layout.root)
    assert (code, said) == (2, "")
    line = complaint.strip().splitlines()[-1]
    assert re.search(r"too few categories with a candidate that passes the rules: 1 of 2 cars; expected 2 categories "
                     r"of each class. Add photographs, set stimuli.shortfall = \"best\"", line)
    assert line.endswith(f"why it was rejected is in {report_path(photos.layout)}.")
    assert {path.name for path in photos.layout.stimuli.iterdir()} == {"candidates.tsv", "candidates.json"}
    assert _report(photos).query("category == 'taxi'")["rule"].tolist() == ["P"]


def test_a_refused_shortfall_leaves_an_earlier_set_whole(photos: Study, folder: Path) -> None:
    build(photos.layout, photos.settings)
    before = _bytes(photos.layout.stimuli / "images")
    _short(folder)
    with pytest.raises(StimulusError, match="1 of 2 cars"):
        build(photos.layout, photos.settings, overwrite=True)
    assert _bytes(photos.layout.stimuli / "images") == before
    assert check(photos.layout, photos.settings).ok


def test_a_shortfall_may_be_filled_up_and_is_named_everywhere(tiny: TorchNetwork, tmp_path: Path, folder: Path,
                                                              command: Command) -> None:
    _short(folder)
    study = photo_study(tmp_path / "study", folder, shortfall="best")
    code, said, _ = command("build", "--study", study.layout.root)
    assert code == 0
    assert re.search(r"^images/RE/cars-01_RE.png: taxi, P 0\.\d+, below stimuli.re_p = 0.9; taken since too few "
                     r"of its class reach it$",
                     said, re.MULTILINE)
    row, = _report(study).query("category == 'taxi'").to_dict("records")
    assert (row["verdict"], row["rule"]) == ("chosen below threshold", "P")
    code, said, _ = command("check", "--study", study.layout.root)
    assert code == 0
    assert re.search(r"1 RE are below the threshold, as the settings allow where a class falls short: "
                     r"cars-01 taxi \(P 0\.\d{4}\)",
                     " ".join(said.split()))
    strict = load_settings(study.layout.root, overrides={"stimuli.shortfall": "refuse"})
    assert check(study.layout, strict).n_failed == 1


def test_a_shortfall_that_cannot_be_filled_up_is_refused(tiny: TorchNetwork, tmp_path: Path, folder: Path) -> None:
    shutil.rmtree(folder / "taxi")
    study = photo_study(tmp_path / "study", folder, shortfall="best")
    with pytest.raises(StimulusError, match=r"1 of 2 cars; .*Add photographs, or lower stimuli.re_p"):
        build(study.layout, study.settings)


def test_candidates_are_screened_alone_by_a_command(empty: Study, folder: Path, command: Command) -> None:
    root = empty.layout.root
    code, said, _ = command("candidates", "--study", root, "--images", folder)
    assert code == 1  # the protocol's 227 px are more than these have
    code, said, complaint = command("candidates", "--study", root)
    assert (code, said) == (2, "")
    assert "stimuli.images: none; expected a folder of photographs. Name one with --images" in complaint
    study = photo_study(root.with_name("other"), folder)
    code, said, _ = command("candidates", "--study", study.layout.root)
    assert code == 0
    assert re.search(r"^\s*cars\s+12\s+0\s+2\s+\d+\s+0\s+\d+\s+2\s+2\s+0\s*$", said, re.MULTILINE)
    assert said.rstrip().endswith(f"36 candidates, network tiny: {report_path(study.layout)}")
    assert not study.layout.manifest.exists()


def test_flags_name_folder_and_labels(tiny: TorchNetwork, tmp_path: Path, folder: Path, command: Command) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    rows = ["file\tcategory\tclass"]
    for path in sorted(folder.rglob("*.png")):
        shutil.copy(path, flat / f"{path.parent.name}_{path.name}")
        rows.append(f"{path.parent.name}_{path.name}\t{path.parent.name}\tn/a")
    labels = tmp_path / "mine.tsv"
    labels.write_text("\n".join(rows) + "\n", encoding="utf-8")
    study = make_study(tmp_path / "study", **SMALL)
    assert command("build", "--study", study.layout.root, "--images", flat, "--labels", labels)[0] == 0
    assert len(read_manifest(study.layout.manifest)) == 18
    code, said, _ = command("build", "--study", study.layout.root)
    assert (code, "already up to date" in said) == (0, True), "the photographs of the set are remembered"
    code, said, _ = command("build", "--study", study.layout.root, "--overwrite", "--json")
    assert (code, json.loads(said)["reused"]) == (0, False)
    assert command("candidates", "--study", study.layout.root)[0] == 0


@pytest.mark.parametrize(("setting", "value"), [("labels", "mine.tsv"), ("pin", ("beagle",)), ("exclude", ("taxi",))])
@pytest.mark.parametrize("verb", ["build", "candidates"])
def test_what_concerns_photographs_is_refused_for_drawings(tiny: TorchNetwork, tmp_path: Path, command: Command,
                                                           verb: str, setting: str, value: object) -> None:
    study = make_study(tmp_path / "study", **{setting: value})
    code, _, complaint = command(verb, "--study", study.layout.root)
    assert code == 2
    assert f"stimuli.{setting}: {value if isinstance(value, str) else value[0]} without stimuli.images" in complaint
    assert not study.layout.manifest.exists()


def test_a_table_with_a_missing_file_stops_before_anything_is_written(photos: Study, folder: Path,
                                                                      command: Command) -> None:
    (folder / "labels.tsv").write_text("file\tcategory\nbeagle/00.png\tbeagle\nbeagle/gone.png\tbeagle\n",
                                       encoding="utf-8")
    code, said, complaint = command("build", "--study", photos.layout.root)
    assert (code, said) == (2, "")
    assert re.search(r"error: .*labels.tsv, row 3: beagle/gone.png, which is not in .*Restore the photo", complaint)
    assert not photos.layout.stimuli.exists()


@pytest.mark.parametrize(("changes", "said"), [
    ({"pin": ["beagel"]}, r"stimuli.pin: 'beagel'; .*Did you mean 'beagle'"),
    ({"exclude": ["beagle/99.png"]}, "stimuli.exclude: 'beagle/99.png'"),
    ({"pin": ["beagle/05.png"]}, r"stimuli.pin: 'beagle/05.png', which cannot be taken \(.*aspect 2.000"),
])
def test_pins_and_exclusions_that_cannot_be_kept_are_refused(tiny: TorchNetwork, tmp_path: Path, folder: Path,
                                                             changes: dict[str, object], said: str) -> None:
    study = photo_study(tmp_path / "study", folder, **changes)
    with pytest.raises(StimulusError, match=said):
        build(study.layout, study.settings)
    assert not study.layout.manifest.exists()


@pytest.mark.parametrize(("changes", "said"), [
    ({"pin": ["a"], "exclude": ["a"]}, "pin and exclude both name"),
    ({"min_aspect": 2.0}, "min_aspect is not below max_aspect"),
])
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_study(tmp_path / "study", **changes)
