"""The report: every row of every table on one page that needs nothing else, and no page without its inputs."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.encoding.run import read_selected
from analysis.report.figure_list import example_bases, plan_figures
from analysis.report.open_choices import OPEN_CHOICES, OpenChoice, as_markdown
from analysis.report.page import NBSP, data_uri, make_banner, make_page
from analysis.report.records import StudyRecords, read_records
from analysis.report.scorecard import CLAIMS
from analysis.report.tables import (
    TextTable,
    departures_table,
    excerpts_table,
    files_table,
    glm_table,
    runs_table,
    stimuli_table,
)
from analysis.statistics.results import read_results
from stimuli.manifest import read_manifest
from subjects.errors import AnalysisError, ManifestError, StoreError
from subjects.layout import Layout
from subjects.provenance import digest_file
from subjects.settings.loading import load_settings
from subjects.settings.reference import described_settings
from subjects.settings.study import Settings, leaves
from subjects.store import write_json
from tests.analysis.finished_study import finish_study
from tests.analysis.paper_tables import LAYERS, REGIONS
from tests.analysis.running_steps import ask, run

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Parse strictly: every element closed in order; gather links, cells, images and headings."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [str(found[name]) for name in ("href", "src", "action", "data") if name in found]
        if "id" in found:
            assert found["id"] not in self.ids
            self.ids.add(str(found["id"]))
        if tag == "img":
            self.images.append(found)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if any(tag in ("td", "th") for tag in self.open):
            self.rows[-1][-1] += data.replace(NBSP, " ")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return finish_study(tmp_path_factory.mktemp("report") / "study")


@pytest.fixture(scope="module")
def said(study: Layout) -> str:
    return run("report", study, load_settings(study.root), "01", "02").summary()


@pytest.fixture(scope="module")
def page(study: Layout, said: str) -> Page:
    return Page(study.report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def records(study: Layout, said: str) -> StudyRecords:
    return read_records(ask(study, load_settings(study.root), "01", "02"))


def test_it_says_what_it_made(said: str) -> None:
    assert said == "17 figures; of 14 claims 11 hold, 0 do not, 3 not tested"


def test_the_page_is_whole_and_refers_to_nothing_outside(page: Page, study: Layout) -> None:
    assert page.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    text = study.report.read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(|<script|<link", text)
    assert str(study.root) not in text, "a page may travel: no path of this machine"


def test_every_figure_is_inside(page: Page, study: Layout) -> None:
    inside = {base64.b64decode(str(image["src"]).partition(",")[2]) for image in page.images}
    assert inside == {path.read_bytes() for path in study.figures.glob("*.png")}
    assert len(inside) == 17 == len(list(study.figures.glob("*.svg")))
    assert all(image["alt"] for image in page.images)
    widths = {image["alt"]: image["style"] for image in page.images}
    assert widths["RE-AI and RE-AN similarities in the network"] == "width: 77.8%"


def test_every_row_of_the_result_tables_is_on_the_page(page: Page) -> None:
    rows = {tuple(row[:3]) for row in page.rows}
    for sub in ("01", "02"):
        for roi in REGIONS:
            assert any(row[:2] == [sub, roi] and len(row) == 7 for row in page.rows)
            assert {(sub, roi, layer) for layer in LAYERS} <= rows
    assert ["layer8", "0.220 [0.200, 0.240] p < .001", "0.660 [0.630, 0.690] p < .001",
            "−0.440 [−0.540, −0.340] p = .002"] in page.rows
    assert ["trend", "τ = −1.00, p < .001", "τ = 1.00, p < .001", "–"] in page.rows
    assert ["01", "V2", "layer3", "0.340 [0.310, 0.370] p < .001 (corrected < .001)",
            "−0.030 [−0.050, −0.010] p = .500 (corrected .500)", "0.370 [0.330, 0.410] p = .002 (corrected .002)",
            "0.370 [0.320, 0.420] p < .001 (corrected < .001)", "2"] in page.rows


def test_the_similarities_of_all_subjects_lie_beside_the_page(said: str, study: Layout) -> None:
    found = read_results(study.report.with_name("brain-rsa.tsv"))
    expected = pd.concat([read_results(study.derivative("rsa", sub=sub, suffix="rsa.tsv")) for sub in ("01", "02")],
                         ignore_index=True)
    pd.testing.assert_frame_equal(found, expected)


def test_what_pixels_give_stands_beside_network_and_brain(page: Page, records: StudyRecords) -> None:
    """The brain's row is the mean over both subjects, with smallest and largest."""
    found = {row[0]: row[1:] for row in page.rows if len(row) == 4}
    pixels = records.low_level[records.low_level["place"] == "pixels"].set_index("comparison")["effect"]
    assert found["pixels"][0].startswith(f"{pixels['RE-AI']:.3f}".replace("-", "−"))
    assert found["network, layer8"][1] == "0.660 [0.630, 0.690] p < .001"
    ai = records.brain[records.brain["comparison"].eq("RE-AI") & records.brain["place"].eq("V1")]["effect"]
    assert found["brain, V1"][0] == f"{ai.mean():.3f} ({ai.min():.3f} to {ai.max():.3f})"
    assert any(row[0] == "AN" and "to" in row[1] for row in page.rows if len(row) == 6)


def test_the_open_points_are_those_under_which_the_set_was_made(tmp_path: Path) -> None:
    """A set of release 0.1.0, which drew every target by itself."""
    layout = finish_study(tmp_path / "old")
    write_json(layout.manifest.with_suffix(".json"), {"parameters": {"ai_target": "other_class"}})
    text = run("report", layout, load_settings(layout.root), "01", "02").works[0].outputs[0].read_text("utf-8")
    assert any("stimuli.ai_draw = independent" in row[-1] for row in Page(text).rows if row)


def test_the_scorecard_is_on_the_page_and_beside_it(page: Page, study: Layout) -> None:
    verdicts = {row[0]: row[-1] for row in page.rows if len(row) == 5}
    kept = {line["id"]: line for line in json.loads(study.report.with_name("scorecard.json").read_text("utf-8"))}
    assert list(kept) == [claim.id for claim in CLAIMS]
    for name, line in kept.items():
        assert verdicts[name].endswith(line["verdict"])
    assert verdicts["B1"] == "✓ holds"
    assert verdicts["H1"] == "✓ holds"
    assert verdicts["S2"] == "– not tested"


def test_simulated_bold_is_flagged_before_any_number(page: Page) -> None:
    assert "Simulated BOLD: subjects 01 and 02 are virtual." in page.text.replace("\n", " ")
    assert page.text.index("Simulated BOLD") < page.text.index("Scorecard")


def test_the_studys_name_cannot_break_the_page(page: Page) -> None:
    assert "A study <made by hand>" in page.text


def test_departures_and_open_points_are_listed(page: Page) -> None:
    assert ["stimuli.per_class", "8", "2"] in page.rows
    assert ["main.runs", "5", "2"] in page.rows
    for choice in OPEN_CHOICES:
        assert any(row[0] == choice.topic for row in page.rows)
    assert any(row[-1] == "rsa.dissimilarity = correlation" for row in page.rows)


def test_every_file_is_named_with_its_digest(page: Page, study: Layout, records: StudyRecords) -> None:
    found = {row[0]: row[2] for row in page.rows if len(row) == 4}
    assert len(records.files) == 20
    for path in records.files:
        assert found[path.relative_to(study.root).as_posix()] == digest_file(path)


def test_captions_say_n_test_and_seed(page: Page) -> None:
    text = " ".join(page.text.replace(NBSP, " ").split())
    assert "40 images. Bars and asterisks: made by hand." in text
    assert "1000 draws a test, seeds derived from the study's 5" in text
    assert "correction for multiple tests: none" in text


def test_the_same_records_give_the_same_page(study: Layout, said: str) -> None:
    before = {path.name: digest_file(path) for path in [study.report, *study.figures.iterdir()]}
    run("report", study, load_settings(study.root), "01", "02")
    assert {path.name: digest_file(path) for path in [study.report, *study.figures.iterdir()]} == before


def test_runs_are_told_as_they_were(records: StudyRecords) -> None:
    table = runs_table(records)
    assert len(table.rows) == 8
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert cells == {"Subject": "01", "Session": "01", "Run": "1", "State": "complete", "Watch": "ok",
                     "Scanner, display": "emulated, virtual", "Trials": "31 (1 blank)", "Pulses": "98/98",
                     "Onset error, median (ms)": "2.00", "99 % (ms)": "2.00", "Correct, RE": "90 %",
                     "Correct, AI": "90 %", "Answered": "97 %", "Median RT (s)": "0.65"}
    last = dict(zip(table.columns, table.rows[3], strict=True))
    assert (last["State"], last["Watch"], last["Pulses"]) == ("incomplete", "3 pulses missed", "60/98")
    assert last["Scanner, display"] == "–, –"


def test_only_whole_excerpts_are_told(records: StudyRecords, page: Page) -> None:
    table = excerpts_table(records)
    assert table.rows == (("01", "2/2", "2.00", "3.96", "2/2", "2/3"),)
    assert list(table.rows[0]) in page.rows
    assert "onset errors there are 0 by construction" in " ".join(page.text.split())


def test_the_model_is_summed_up_by_region(records: StudyRecords) -> None:
    table = glm_table(records)
    assert [row[:2] for row in table.rows] == [("01", "L"), ("01", "R"), ("02", "L"), ("02", "R")]
    assert table.rows[0][2:4] == ("300", "31 + 31")
    assert table.columns[4:] == ("R², all", "R², V1", "R², V2", "R², V3", "R², V4", "R², LO")


def test_what_was_planned_and_is_not_there_is_told(records: StudyRecords) -> None:
    first, *others = records.subjects
    lacking = dataclasses.replace(first, glm=tuple(dataclasses.replace(one, missing="1 of 2 sessions")
                                                   for one in first.glm))
    changed = dataclasses.replace(records, subjects=(lacking, *others))
    table = glm_table(changed)
    assert table.columns[-1] == "There, of what was planned"
    assert [row[-1] for row in table.rows] == ["1 of 2 sessions"] * 2 + ["–"] * 2
    page = make_page(changed, lines=(), figures=())
    assert page.dropped.startswith("Not all that was planned is there (subject 01: 1 of 2 sessions). This was accepted")
    assert make_page(records, lines=(), figures=()).dropped == ""


def test_the_stimuli_are_summed_up_by_type(records: StudyRecords) -> None:
    table = stimuli_table(records)
    assert table.rows[2] == ("AI", "10", ".9912", "13.0", "1.50", "0.100", "0.90", "20")
    first = records.manifest.stimuli[0]
    other = dataclasses.replace(first, p_after=0.99999, contrast_rms=20.0)
    changed = dataclasses.replace(records.manifest, stimuli=(other, *records.manifest.stimuli[1:]))
    table = stimuli_table(dataclasses.replace(records, manifest=changed))
    assert table.rows[0][2:4] == (".9912 to > .9999", "13.0 (13.0–20.0)")


def test_sidecars_say_what_a_file_was_made_from(study: Layout, records: StudyRecords) -> None:
    from subjects.provenance import sidecar

    path = records.files[2]
    kept = path.with_suffix(".json").read_bytes()
    sidecar(path, inputs={"manifest": study.manifest}, parameters={})
    row = next(row for row in files_table(records).rows if row[0].endswith("network-demo_rsa.tsv"))
    assert row[3] == f"manifest {digest_file(study.manifest)[:8]}"
    path.with_suffix(".json").write_bytes(kept)


@pytest.mark.parametrize(("change", "stale"), [
    ({"rsa.dissimilarity": "euclidean"}, "sub-01_rsa.tsv"), ({"roi.vertices_per_hemisphere": 50}, "sub-01_rsa.tsv"),
    ({"encoding.folds": 3}, "sub-01_encoding.tsv"),
])
def test_results_of_other_settings_are_not_told(study: Layout, change: dict[str, object], stale: str) -> None:
    settings = load_settings(study.root, overrides=change)
    with pytest.raises(AnalysisError, match=rf"{stale}: .* of other files or settings.*python -m analysis"):
        run("report", study, settings)


@pytest.mark.parametrize("edited", ["encoding.tsv", "layers.tsv"])
def test_a_number_that_was_edited_is_not_told(study: Layout, edited: str) -> None:
    """The file that was edited is named, whichever of a step's it is."""
    path = study.derivative("encoding", sub="01", suffix=edited)
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b"0.", b"0.9", 1))
    try:
        with pytest.raises(AnalysisError, match=rf"sub-01_{edited}: encoding models of other files .* changed"):
            run("report", study, load_settings(study.root))
    finally:
        path.write_bytes(kept)


def test_example_images_come_from_every_class(records: StudyRecords) -> None:
    assert example_bases(records.manifest) == ("dogs-01", "birds-01", "cars-01", "fruits-01", "aquatic-01")
    assert example_bases(records.manifest, n=7)[:4] == ("dogs-01", "dogs-02", "birds-01", "birds-02")


def test_figures_are_planned_in_reading_order(records: StudyRecords) -> None:
    names = [plan.name for plan in plan_figures(records)]
    of_subjects = [f"sub-{sub}_{name}" for sub in ("01", "02") for name in (
        "timing", "flatmap", "pairs", "rdms", "rdms-regions")]
    assert names == ["stimuli", *of_subjects, "brain-rsa", "network-rsa", "encoding", "hierarchy", "side-by-side",
                     "low-level"]


def test_the_protocols_own_settings_depart_in_nothing() -> None:
    assert departures_table(Settings()).rows == ()


@pytest.mark.parametrize("choice", OPEN_CHOICES, ids=lambda choice: choice.topic)
def test_every_open_point_names_a_setting_that_exists(choice: OpenChoice) -> None:
    assert tuple(choice.values(dict(leaves(Settings().model_dump())))) == choice.settings


def test_every_setting_that_the_protocol_leaves_open_is_an_open_point() -> None:
    left_open = {f"{one.section}.{one.name}" for one in described_settings() if one.source.endswith(", open")}
    assert len(left_open) > 20
    assert left_open <= {key for choice in OPEN_CHOICES for key in choice.settings}


def test_the_document_of_open_points_is_current() -> None:
    found = (Path(__file__).parents[3] / "docs" / "open-points.md").read_text(encoding="utf-8")
    assert found == as_markdown(), "write it anew: python -m analysis open-points --markdown > docs/open-points.md"


def test_a_table_of_text_has_one_cell_a_column() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 columns"):
        TextTable(("a", "b"), (("1",),))


def test_selected_vertices_are_read_for_each_hemisphere(study: Layout) -> None:
    found = read_selected(study.derivative("encoding", sub="01", suffix="encoding.h5"))
    assert list(found) == ["L", "R"]
    assert set(found["L"]) == set(REGIONS)
    assert np.array_equal(found["R"]["V2"], np.arange(5, 10) + 151)


def test_measured_bold_has_no_banner(tmp_path: Path) -> None:
    layout = finish_study(tmp_path / "measured", subjects=("01",), source="fmriprep")
    run("confounds", layout, load_settings(layout.root))
    records = read_records(ask(layout, load_settings(layout.root)))
    assert make_banner(records) == ""
    assert any("as labelled for this subject" in plan.caption for plan in plan_figures(records))


def test_one_virtual_subject_is_named_alone(records: StudyRecords) -> None:
    alone = dataclasses.replace(records, subjects=records.subjects[:1])
    assert make_banner(alone).startswith(
        "Simulated BOLD: subject 01 is virtual. Subject 01 is of the world `paper`: an AI image ")


def test_a_null_subject_is_told_apart(study: Layout, tmp_path: Path) -> None:
    copy = Layout(shutil.copytree(study.root, tmp_path / "study"))
    for sub, null in (("01", False), ("02", True)):
        write_json(copy.derivative("simulated", sub=sub, suffix="truth.json"), {"parameters": {"null": null}},
                   overwrite=True)
    records = read_records(ask(copy, load_settings(copy.root), "01", "02"))
    banner = make_banner(records)
    assert "subjects 01 and 02 are virtual. Subject 01 is of the world `paper`: " in banner
    assert "Subject 02 is of the world `null`: every image evokes the same response." in banner
    only = dataclasses.replace(records, subjects=records.subjects[1:])
    assert "The verdicts on brain" not in make_banner(only)


def test_the_banner_says_what_drives_a_virtual_subject(study: Layout, tmp_path: Path) -> None:
    copy = Layout(shutil.copytree(study.root, tmp_path / "study"))
    for sub, said in (("01", {"Content": "mixed", "Network": "demo"}), ("02", {"Content": "network", "Network": "x9"})):
        write_json(copy.derivative("simulated", sub=sub, suffix="truth.json"), {"parameters": {"null": False}, **said},
                   overwrite=True)
    banner = make_banner(read_records(ask(copy, load_settings(copy.root), "01", "02")))
    assert "Subject 01 is driven by Gabor energy, categories and the layers of the network demo." in banner
    assert "Subject 02 is driven by the layers of the network x9." in banner


def test_a_virtual_subject_without_its_truth_is_not_reported(study: Layout, tmp_path: Path) -> None:
    copy = Layout(shutil.copytree(study.root, tmp_path / "study"))
    copy.derivative("simulated", sub="02", suffix="truth.json").unlink()
    with pytest.raises(StoreError, match=r"sub-02_truth.json: no such file"):
        read_records(ask(copy, load_settings(copy.root), "01", "02"))


def test_an_image_becomes_an_address(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(b"\x89PNG")
    assert data_uri(tmp_path / "one.png") == "data:image/png;base64,iVBORw=="


@pytest.mark.parametrize(("missing", "command"), [
    ("stimuli/manifest.tsv", "python -m stimuli build --study"),
    ("derivatives/glm/sub-02/sub-02_hemi-R_betas.h5", "python -m analysis glm --study {root} --sub 02"),
    ("derivatives/features/network-demo_features.h5", "python -m stimuli features --study {root}"),
    ("derivatives/rsa/sub-02/sub-02_rsa.tsv", "python -m analysis rsa --study {root} --sub 02"),
    ("derivatives/rsa/sub-01/sub-01_rdms.h5", "python -m analysis rsa --study {root} --sub 01"),
    ("derivatives/rsa/network-demo_rsa.tsv", "python -m analysis rsa --study {root} --sub 01"),
    ("derivatives/encoding/sub-01/sub-01_encoding.tsv", "python -m analysis encode --study {root} --sub 01"),
    ("derivatives/encoding/sub-01/sub-01_encoding.h5", "python -m analysis encode --study {root} --sub 01"),
    ("derivatives/encoding/sub-01/sub-01_layers.tsv", "python -m analysis encode --study {root} --sub 01"),
])
def test_a_missing_input_is_named_with_its_command(study: Layout, tmp_path: Path, missing: str, command: str) -> None:
    copy = Layout(shutil.copytree(study.root, tmp_path / "study"))
    shutil.rmtree(copy.derivatives("report"), ignore_errors=True)
    (copy.root / missing).unlink()
    with pytest.raises(AnalysisError, match=re.escape(f"{missing}: no such file")) as caught:
        run("report", copy, load_settings(copy.root), "01", "02")
    assert command.format(root=copy.root) in str(caught.value)
    assert not copy.derivatives("report").exists()


def test_a_subject_without_runs_is_named(study: Layout, tmp_path: Path) -> None:
    copy = Layout(shutil.copytree(study.root, tmp_path / "study"))
    shutil.rmtree(copy.root / "sub-02")
    with pytest.raises(AnalysisError, match="no events tables") as caught:
        run("report", copy, load_settings(copy.root), "01", "02")
    assert "python run_session.py run" in str(caught.value)


def test_a_changed_image_is_not_shown(study: Layout, tmp_path: Path) -> None:
    copy = Layout(shutil.copytree(study.root, tmp_path / "study"))
    first, second = read_manifest(copy.manifest).stimuli[:2]
    shutil.copy(copy.stimulus(second.file), copy.stimulus(first.file))
    with pytest.raises(ManifestError, match="pixels with digest"):
        run("report", copy, load_settings(copy.root), "01", "02")
