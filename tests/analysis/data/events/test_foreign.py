"""Events tables of other programs: the same betas as from the console's, or one sentence that names row and remedy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.data.events.foreign import ForeignEvents, open_foreign, read_run_events
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from paradigms.runlog import COLUMNS, read_events
from stimuli.manifest import Manifest, read_manifest
from subjects.errors import AnalysisError, SettingsError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.analysis import AnalysisSettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.analysis.running_steps import run
from tests.analysis.volunteer import make_volunteer

FIRST, SECOND = (RunKey("01", "01", "main", number) for number in (1, 2))
COLUMNS_THERE = ("onset = time", "duration = length", "trial_type = condition", "image_id = picture")
TYPES_THERE = ("blank = rest", "none = button")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    return make_volunteer(tmp_path_factory.mktemp("foreign") / "study")


@pytest.fixture
def volunteer(made: tuple[Layout, Settings], tmp_path: Path) -> tuple[Layout, Settings]:
    return Layout(shutil.copytree(made[0].root, tmp_path / "study")), made[1]


def meaning(settings: Settings, **changes: Any) -> Settings:
    chosen = {"events_columns": COLUMNS_THERE, "events_types": TYPES_THERE, "accept": ("uncounted pulses",), **changes}
    return settings.model_copy(update={"analysis": settings.analysis.model_copy(update=chosen)})


def rewrite(layout: Layout, key: RunKey, *, padded: bool = True) -> Path:
    """Write a run's table as another program would: names of its own, presses among the events, no JSON file."""
    path = layout.events(key)
    own = read_events(path)
    table = pd.DataFrame({"time": own["onset"], "length": own["duration"],
                          "condition": np.where(own["trial_type"] == "blank", "rest", "picture"),
                          "picture": [None if pd.isna(one) else f"C:\\stimuli\\{Path(one).name}"
                                      for one in own["stim_file"]]})
    press = pd.DataFrame({"time": own["onset"] + 0.6, "length": None, "condition": "button", "picture": None})
    both = pd.concat([press, table]).sample(frac=1, random_state=3)  # in no order
    path.unlink()
    layout.events_sidecar(key).unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    other = path.with_name(path.name.replace(f"run-{key.run}", f"run-{key.run:02d}")) if padded else path
    both.to_csv(other, sep="\t", index=False, na_rep="n/a")
    return other


def test_betas_are_those_of_the_consoles_tables(made: tuple[Layout, Settings], volunteer: tuple[Layout, Settings],
                                                tmp_path: Path) -> None:
    layout, settings = volunteer
    own = Layout(shutil.copytree(made[0].root, tmp_path / "own"))
    run("glm", own, settings)
    for key in (FIRST, SECOND):
        rewrite(layout, key)
    run("glm", layout, meaning(settings))
    for hemi in "LR":
        wanted, found = (load_betas(betas_paths(one, sub="01")[hemi], errors=True) for one in (own, layout))
        pd.testing.assert_frame_equal(wanted.conditions, found.conditions)
        assert np.allclose(wanted.values, found.values, rtol=1e-5, atol=1e-5)


def test_another_meaning_fits_again(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    for key in (FIRST, SECOND):
        rewrite(layout, key)
    assert not run("glm", layout, meaning(settings)).reused
    assert run("glm", layout, meaning(settings)).all_reused
    assert not run("glm", layout, meaning(settings, events_types=(*TYPES_THERE, "none = cue"))).all_reused


def test_a_table_of_another_program_is_told_with_the_remedy(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    rewrite(layout, FIRST)
    with pytest.raises(AnalysisError, match=r"run-01_events.tsv: no column 'onset'; .*analysis.events_columns, "
                                            r"analysis.events_types \(docs/fmriprep.md\)"):
        run("glm", layout, settings)


def test_the_consoles_tables_are_read_as_they_are_beside_others(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    rewrite(layout, SECOND)
    foreign = open_foreign(layout, meaning(settings).analysis)
    own = read_run_events(layout.events(FIRST), foreign=foreign)
    pd.testing.assert_frame_equal(own, read_events(layout.events(FIRST)))


@pytest.fixture
def manifest(made: tuple[Layout, Settings]) -> Manifest:
    return read_manifest(made[0].manifest)


def read(tmp_path: Path, manifest: Manifest, text: str, *, columns: dict[str, str] | None = None,
         types: dict[str, str] | None = None) -> pd.DataFrame:
    path = tmp_path / "events.tsv"
    path.write_text(text.replace(" ", "\t"), encoding="utf-8")
    return ForeignEvents(columns=columns or {}, types=types or {}, manifest=manifest).read(path)


def test_images_are_known_by_id_file_name_stem_or_base_image(tmp_path: Path, manifest: Manifest) -> None:
    one = manifest.stimuli[4]
    stem = Path(one.file).stem
    for name in (one.image_id, one.file, Path(one.file).name, stem, f"pictures/{Path(one.file).name}"):
        found = read(tmp_path, manifest, f"onset duration trial_type image_id\n2 2 x {name}\n")
        assert found["image_id"].tolist() == [one.image_id]
        assert found["trial_type"].tolist() == [one.type]
        assert found["base_image"].tolist() == [one.base_image]
        assert list(found.columns) == list(COLUMNS)
    found = read(tmp_path, manifest, f"onset duration trial_type base_image\n2 2 shown {one.base_image}\n",
                 types={"shown": one.type})
    assert found["image_id"].tolist() == [one.image_id]


def test_an_image_may_stand_in_the_trial_type(tmp_path: Path, manifest: Manifest) -> None:
    one = manifest.stimuli[0]
    found = read(tmp_path, manifest, f"onset duration trial_type\n8 2 {one.image_id}\n2 2 {one.image_id}\n4 4 0\n",
                 columns={"image_id": "trial_type"}, types={"0": "blank"})
    assert found["onset"].tolist() == [2.0, 4.0, 8.0]
    assert found["trial_type"].tolist() == [one.type, "blank", one.type]
    assert found["presentation"].tolist() == [1, pd.NA, 2]
    assert found.attrs["n_pulses"] is None


def test_what_its_json_file_says_counts(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "events.json").write_text('{"n_pulses": 278, "RunComplete": true}')
    found = read(tmp_path, manifest, "onset duration trial_type\n2 2 blank\n")
    assert (found.attrs["n_pulses"], found.attrs["complete"]) == (278, True)


@pytest.mark.parametrize(("text", "columns", "types", "message"), [
    ("onset duration\n2 2\n", {"image_id": "pic"}, {}, r"no column 'pic'; expected one of its columns \(onset, dur"),
    ("time duration\n2 2\n", {}, {}, r"no column 'onset'; expected one of its columns \(time, duration\)"),
    ("onset duration trial_type\n2 2 faces\n", {}, {}, "row 1: trial_type 'faces' without an image; expected an image"),
    ("onset duration trial_type image_id\n2 2 RE px-none\n", {}, {}, "row 1: the image 'px-none' as RE; expected"),
    ("onset duration trial_type image_id\n2 2 a IMAGE\n", {}, {"a": "AI"}, "trial_type 'a', which is AI, for .* of RE"),
    ("onset duration trial_type\n2 n/a blank\n", {}, {}, "row 1: duration n/a; expected seconds"),
    ("onset duration trial_type\n2 0 blank\n", {}, {}, "row 1: duration 0; expected seconds"),
    ("onset duration trial_type\nsoon 2 blank\n", {}, {}, "row 1: onset soon; expected seconds"),
])
def test_what_cannot_be_understood_is_named(tmp_path: Path, manifest: Manifest, text: str, columns: dict[str, str],
                                            types: dict[str, str], message: str) -> None:
    first = next(one for one in manifest.stimuli if one.type == "RE")
    with pytest.raises(AnalysisError, match=message):
        read(tmp_path, manifest, text.replace("IMAGE", first.image_id), columns=columns, types=types)


@pytest.mark.parametrize(("key", "value", "message"), [
    ("events_columns", ["picture"], r"'picture' is no pair; write it as 'image_id = name there'"),
    ("events_columns", ["picture = image"], "with one of image_id, onset, .* on the left"),
    ("events_columns", ["onset = a", "onset = b"], "'onset' is said twice"),
    ("events_types", ["face = RE"], "with one of blank, RE, AN, AI, none on the left"),
    ("events_types", ["RE = a", "AN = a"], "'a' is said twice"),
])
def test_pairs_that_are_none_are_named(key: str, value: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(overrides={f"analysis.{key}": value})


def test_without_settings_there_is_no_meaning(made: tuple[Layout, Settings]) -> None:
    assert open_foreign(made[0], AnalysisSettings()) is None


def designs_of(layout: Layout) -> pd.DataFrame:
    return pd.read_csv(layout.derivative("glm", sub="01", ses="01", suffix="design.tsv"), sep="\t")


@pytest.mark.parametrize("with_data", [True, False])
def test_the_design_is_that_of_the_consoles_tables(made: tuple[Layout, Settings], volunteer: tuple[Layout, Settings],
                                                   tmp_path: Path, with_data: bool,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    layout, settings = volunteer
    own = Layout(shutil.copytree(made[0].root, tmp_path / "own"))
    run("design", own, settings)
    for key in (FIRST, SECOND):
        rewrite(layout, key)
    if not with_data:
        shutil.rmtree(layout.derivatives("fmriprep"))
    run("design", layout, meaning(settings))
    wanted, found = designs_of(own), designs_of(layout)
    names = ["type", "image_id", "presentation", "n_runs"]
    pd.testing.assert_frame_equal(wanted[names], found[names])
    assert ("nothing says how many volumes were taken" in caplog.text) is not with_data
    if with_data:
        assert np.allclose(wanted["error_pct"], found["error_pct"], rtol=1e-3)
