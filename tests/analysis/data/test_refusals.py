"""Whole chains that must not end in betas: one fault each, in a volunteer's study, and the sentence it ends in."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.series.reading import read_series
from analysis.data.surface import save_surface
from analysis.glm.betas import Betas, load_betas, save_betas
from analysis.glm.combining import betas_paths, missing_runs_of, require_images
from stimuli.manifest import TYPES, read_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json, write_json
from tests.analysis.fabricated import make_surface
from tests.analysis.running_steps import run
from tests.analysis.volunteer import bold_path, make_volunteer, put_bold

FIRST, SECOND, OTHER = (RunKey("01", ses, "main", number) for ses, number in (("01", 1), ("01", 2), ("02", 1)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    return make_volunteer(tmp_path_factory.mktemp("refusals") / "study", sessions=("01", "02"))


@pytest.fixture
def volunteer(made: tuple[Layout, Settings], tmp_path: Path) -> tuple[Layout, Settings]:
    return Layout(shutil.copytree(made[0].root, tmp_path / "study")), made[1]


def edit(layout: Layout, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of the first run's events table."""
    path = layout.events(FIRST)
    path.write_text("\n".join(change(path.read_text(encoding="utf-8").splitlines())) + "\n", encoding="utf-8")


def accepting(settings: Settings, *what: str) -> Settings:
    chosen = settings.analysis.model_copy(update={"accept": what})
    return settings.model_copy(update={"analysis": chosen})


def test_what_is_whole_is_fitted(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    run("glm", layout, settings)
    said = read_json(sidecar_path(betas_paths(layout, sub="01")["L"]))
    assert "MissingRuns" not in said


def test_a_row_twice_is_named(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    edit(layout, lambda lines: [*lines[:6], lines[5], *lines[6:]])
    with pytest.raises(AnalysisError, match=r"run-1_events.tsv, row 6: .* at .* s a second time; expected each event"):
        run("glm", layout, settings)


@pytest.mark.parametrize(("kind", "text"), [("RE", "trial_type 're'; expected RE, AN, AI or blank. Write 'RE'"),
                                            ("blank", "trial_type 'blank '; .* Write 'blank'")])
def test_a_trial_type_that_is_none_is_named(volunteer: tuple[Layout, Settings], kind: str, text: str) -> None:
    layout, settings = volunteer
    other = {"RE": "\tre\t", "blank": "\tblank \t"}[kind]
    edit(layout, lambda lines: [line.replace(f"\t{kind}\t", other) for line in lines])
    with pytest.raises(AnalysisError, match=rf"run-1_events.tsv, row \d+: {text}"):
        run("glm", layout, settings)


def test_a_foreign_trial_type_is_no_traceback(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    edit(layout, lambda lines: [line.replace("\tAN\t", "\tfaces\t") for line in lines])
    with pytest.raises(AnalysisError, match=r"trial_type 'faces'; expected RE, AN, AI or blank. Name what was shown"):
        run("glm", layout, settings)


def test_uncounted_pulses_need_consent(volunteer: tuple[Layout, Settings], caplog: pytest.LogCaptureFixture) -> None:
    layout, settings = volunteer
    path = layout.events_sidecar(FIRST)
    write_json(path, {**read_json(path), "n_pulses": None}, overwrite=True)
    with pytest.raises(AnalysisError, match=f"events sidecar of {FIRST}: no n_pulses; expected the pulses that the"):
        run("glm", layout, settings)
    with caplog.at_level(logging.WARNING):
        run("glm", layout, accepting(settings, "uncounted pulses"))
    assert f"{FIRST}: pulses were not counted; volumes are taken as they are" in caplog.text


@pytest.mark.parametrize(("gone", "text"), [((RunKey("01", "02", "main", 2),), "1 of 2 runs in ses-02"),
                                            ((OTHER, RunKey("01", "02", "main", 2)), "1 of 2 sessions")])
def test_missing_runs_and_sessions_need_consent(volunteer: tuple[Layout, Settings], gone: tuple[RunKey, ...],
                                                text: str) -> None:
    layout, settings = volunteer
    for key in gone:
        layout.events(key).unlink()
    with pytest.raises(AnalysisError, match=rf"sub-01: {text}; expected all that \[main\] plans"):
        run("glm", layout, settings)
    run("glm", layout, accepting(settings, "missing runs"))
    assert read_json(sidecar_path(betas_paths(layout, sub="01")["R"]))["MissingRuns"] == text


def test_similarities_of_fewer_images_need_consent_and_are_told(
        made: tuple[Layout, Settings], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = read_manifest(made[0].manifest)
    names = manifest.base_images
    rows = [{"session": "01", "type": kind, "image_id": f"px-{kind}-{name}", "base_image": name, "presentation": k}
            for kind in TYPES for name in names[:6] for k in (1, 2)]
    betas = Betas(hemi="L", values=np.ones((len(rows), 3), np.float32), conditions=pd.DataFrame(rows),
                  r2=np.ones(3, np.float32), mean_signal=np.ones(3, np.float32))
    path = save_betas(tmp_path / "betas.h5", betas)
    assert missing_runs_of([path]) == {}
    with pytest.raises(AnalysisError, match=rf"hemi-L: betas of 6 of {len(names)} base images \(not {names[6]}\);"
                                            r" .*set analysis.accept = \[\"missing runs\"\] and fit"):
        require_images(betas, path, planned=names, where="sub-01 hemi-L")
    write_json(sidecar_path(path), {"MissingRuns": "1 of 2 sessions"})
    assert missing_runs_of([path]) == {"MissingRuns": "1 of 2 sessions"}
    with caplog.at_level(logging.WARNING):
        require_images(betas, path, planned=names, where="sub-01 hemi-L")
    assert f"betas without all that was planned (1 of 2 sessions): 6 of {len(names)} base images" in caplog.text
    require_images(betas, tmp_path / "other.h5", planned=names[:6], where="sub-01 hemi-L")


def test_series_of_another_number_of_vertices_than_the_mesh_are_refused(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    sheet = make_surface("L")
    save_surface(sheet, layout.derivatives("fmriprep") / "sub-01" / "anat" / "sub-01_hemi-L_midthickness.surf.gii",
                 flat_path=layout.derivatives("surfaces") / "sub-01" / "anat" / "sub-01_hemi-L_flat.surf.gii")
    with pytest.raises(AnalysisError, match=r"sub-01 ses-01 task-main run-1 hemi-L: time series of 40 vertices; "
                                            rf"expected {sheet.n_vertices}, as sub-01_hemi-L_midthickness.surf.gii"):
        run("glm", layout, settings)


@pytest.mark.parametrize(("change", "text"), [
    (lambda cells: [*cells[:1], "0", *cells[2:]], "event 5 at .* s for 0 s; expected events that last"),
    (lambda cells: ["5000", *cells[1:]], "event 5 at 5000 s for 2 s; expected events that last, from 0 to"),
])
def test_an_event_that_cannot_be_is_told_with_its_run(volunteer: tuple[Layout, Settings],
                                                      change: Callable[[list[str]], list[str]], text: str) -> None:
    layout, settings = volunteer
    edit(layout, lambda lines: [*lines[:5], "\t".join(change(lines[5].split("\t"))), *lines[6:]])
    for step in ("design", "glm"):
        with pytest.raises(AnalysisError, match=f"{FIRST} events: {text}"):
            run(step, layout, settings)


@pytest.mark.parametrize("step", ["design", "glm"])
def test_too_many_discarded_volumes_are_told_with_their_run(volunteer: tuple[Layout, Settings], step: str) -> None:
    layout, settings = volunteer
    long = settings.model_copy(update={"main": settings.main.model_copy(update={"discard_s": 5000.0})})
    with pytest.raises(AnalysisError, match="ses-01.*run-1.*volumes of 2 s, 2500 discarded"):
        run(step, layout, long)


def say_pulses(layout: Layout, key: RunKey, n: int) -> None:
    path = layout.events_sidecar(key)
    write_json(path, {**read_json(path), "n_pulses": n, "PulseWatch": {}}, overwrite=True)


def test_runs_of_unequal_length_are_fitted_together(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    for hemi in "LR":
        put_bold(layout, SECOND, hemi=hemi, change=lambda data: np.concatenate([data, data[-7:]]))
        n = len(read_series(bold_path(layout, SECOND, hemi=hemi)).data)
    say_pulses(layout, SECOND, n)
    run("glm", layout, settings)
    assert np.isfinite(load_betas(betas_paths(layout, sub="01")["L"]).values).all()


def test_onsets_after_the_end_are_told_with_their_run(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    for hemi in "LR":
        put_bold(layout, SECOND, hemi=hemi, change=lambda data: data[:60])
    say_pulses(layout, SECOND, 60)
    with pytest.raises(AnalysisError, match=rf"{SECOND} events: event \d+ at 1\d\d.* s for .*; expected events that "
                                            "last, from 0 to 120 s"):
        run("glm", layout, settings)


def test_series_that_are_not_what_their_sidecar_says_are_refused(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    path = bold_path(layout, SECOND, hemi="L")
    write_json(sidecar_path(path), {**read_json(sidecar_path(path)), "digest": "0" * 16}, overwrite=True)
    with pytest.raises(AnalysisError, match="changed or replaced since they were made; expected digest 0000"):
        run("glm", layout, settings)


def test_a_demeaned_run_and_a_copied_run_are_refused(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    put_bold(layout, FIRST, hemi="L", change=lambda data: data - data.mean(axis=0))
    with pytest.raises(AnalysisError, match="ses-01_run-1 hemi-L: time series without their mean"):
        run("glm", layout, settings)
    shutil.copy(bold_path(layout, SECOND, hemi="L"), bold_path(layout, FIRST, hemi="L"))
    with pytest.raises(AnalysisError, match="the same content as"):
        run("glm", layout, settings)


def test_no_place_to_write_is_told_before_the_fit(volunteer: tuple[Layout, Settings],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    layout, settings = volunteer
    (layout.derivatives("glm")).write_text("a file where the folder should be")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the fit began")

    monkeypatch.setattr("analysis.glm.linear.fit.fit_session", never)
    with pytest.raises(OSError, match="glm"):
        run("glm", layout, settings)


LAST = RunKey("01", "02", "main", 2)


@pytest.mark.parametrize("hemispheres", ["R", "LR"])
def test_what_the_last_run_lacks_is_told_before_the_first_fit(volunteer: tuple[Layout, Settings],
                                                              hemispheres: str) -> None:
    layout, settings = volunteer
    for hemi in hemispheres:
        bold_path(layout, LAST, hemi=hemi).unlink()
    with pytest.raises(AnalysisError, match=rf"{LAST} hemi-{hemispheres[0]}: no surface time series.* expected "
                                            "fmriprep's of both hemispheres of all 4 logged runs") as caught:
        run("glm", layout, settings)
    assert ("nor of ses-02_task-main_run-2 hemi-R" in str(caught.value)) is (hemispheres == "LR")
    assert len(str(caught.value)) < 600
    assert not list(layout.derivatives("glm").rglob("*_fit.h5"))


def test_a_link_to_nowhere_is_told_as_that(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    path = bold_path(layout, FIRST, hemi="L")
    path.unlink()
    path.symlink_to("../../.git/annex/objects/XY/zz")
    with pytest.raises(AnalysisError, match=r"run-1 hemi-L: .*_bold.func.gii, a link to .*annex/objects/XY/zz, which "
                                            r"is not there; .*`datalad get`"):
        run("glm", layout, settings)


@pytest.mark.parametrize(("name", "text"), [("image_id", "the image 'px-nothing'"),
                                            ("base_image", ": px-.* as .* of px-nothing; expected")])
def test_an_image_of_no_set_is_refused_with_its_row(volunteer: tuple[Layout, Settings], name: str, text: str) -> None:
    layout, settings = volunteer
    head, *rows = layout.events(FIRST).read_text(encoding="utf-8").splitlines()
    place, kind = head.split("\t").index(name), head.split("\t").index("trial_type")
    k = next(k for k, row in enumerate(rows) if row.split("\t")[kind] == "AN")

    def change(lines: list[str]) -> list[str]:
        cells = lines[k + 1].split("\t")
        cells[place] = "px-nothing"
        return [*lines[:k + 1], "\t".join(cells), *lines[k + 2:]]

    edit(layout, change)
    with pytest.raises(AnalysisError, match=rf"_events.tsv, row {k + 1}.*{text}.*stimuli/manifest.tsv"):
        run("glm", layout, settings)


def test_without_a_table_of_images_any_image_is_taken(volunteer: tuple[Layout, Settings]) -> None:
    from analysis.data.events.rows import require_images as require_known

    layout, _ = volunteer
    layout.manifest.unlink()
    events = pd.DataFrame({"trial_type": ["RE"], "image_id": ["whatever"], "base_image": ["dogs-01"]})
    assert require_known(events, layout=layout, where="events") is events


def test_meshes_of_the_other_side_are_refused_by_their_place(volunteer: tuple[Layout, Settings]) -> None:
    import nibabel as nib

    layout, settings = volunteer
    anat = layout.derivatives("fmriprep") / "sub-01" / "anat"
    for hemi in "LR":
        sheet = make_surface(hemi)
        path = anat / f"sub-01_hemi-{hemi}_midthickness.surf.gii"
        save_surface(sheet, path, flat_path=anat / "flat.surf.gii", overwrite=True)
        image = nib.load(path)
        image.darrays[0].data[:, 0] += 40.0 if hemi == "L" else -60.0  # each where the other should be
        for one in image.darrays:
            one.meta = nib.gifti.GiftiMetaData()
        nib.save(image, path)
    with pytest.raises(AnalysisError, match=r"hemi-L_midthickness.surf.gii: a mesh whose vertices lie at x = \d.*"
                                            "expected the left hemisphere, at negative x"):
        run("glm", layout, settings)
