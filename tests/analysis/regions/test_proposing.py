"""The step ``propose``: from receptive fields on disk to proposed labels, a table and a picture."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from analysis.data.sources import SURFACES, resolve_subject, surface_paths
from analysis.data.surface import save_surface
from analysis.regions.drawing import proposing
from analysis.regions.drawing.atlas import ATLASES, PROPOSED, load_atlas
from analysis.regions.drawing.proposing import SubjectProposal, proposal_paths, template_places
from analysis.regions.labels import read_labels
from analysis.regions.prf.maps import PrfMaps, save_maps
from analysis.regions.prf.records import PrfFit
from analysis.regions.prf.run import maps_paths
from analysis.report.regions.proposal import draw
from analysis.simulation.brain.meshes import template_map
from subjects.cli import silent
from subjects.dataset import init_study
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import register
from subjects.store import read_table
from tests.analysis.fabricated import COLUMNS, ROWS, make_surface, pretend_bold
from tests.analysis.regions.test_proposal import an_atlas, dice_of, measured
from tests.analysis.volunteer import make_volunteer


def maps_of(hemi: str, *, n: int | None = None) -> PrfMaps:
    """The planted fields with noise, as a fit would give them: R2 of 40 % where there is one."""
    data = measured(hemi)
    shown = data["weights"] > 0
    size = len(shown) if n is None else n
    table = np.full((len(PrfFit.TABLE), len(shown)), np.nan)
    for name, values in {"x_deg": data["x_deg"], "y_deg": data["y_deg"], "r2": np.where(shown, 40.0, 2.0)}.items():
        table[list(PrfFit.TABLE).index(name)] = values
    table[np.isnan(table)] = 1.0
    table[:2, ~np.isfinite(data["x_deg"])] = 99.0
    return PrfMaps(hemi=hemi, fit=PrfFit.from_table(table[:, :size]), mean_signal=np.full(size, 800.0),
                   r2_cv=np.full(size, np.nan), field_deg=(12.0, 12.0))


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SubjectProposal:
    layout = init_study(Layout(tmp_path / "study"), name="proposal", seed=1)
    register(layout, "01", virtual=True)
    pretend_bold(layout, "01")
    for hemi, path in maps_paths(layout, sub="01").items():
        meshes = surface_paths(layout, source="simulated", sub="01", hemi=hemi)
        save_surface(template_map(hemi, atlas="analytic", subdivisions=1)[0], meshes["midthickness"],
                     flat_path=meshes["flat"])
        save_maps(path, maps_of(hemi))
    monkeypatch.setattr(proposing, "load_atlas", lambda hemi, _: an_atlas(hemi))
    return SubjectProposal(layout=layout, sub="01", pipeline="auto", space="", atlas="benson", r2_pct=5.0,
                           draw=draw)


def test_fields_become_proposed_labels_a_table_and_a_picture(subject: SubjectProposal) -> None:
    work = subject.work()
    work.make(silent)()
    work.check()
    table = read_table(work.outputs[0], text_columns=("sub",))
    assert table[["hemi", "region"]].to_numpy().tolist() == [[hemi, name] for hemi in "LR" for name in PROPOSED]
    for hemi, path in proposal_paths(subject.layout, sub="01").items():
        labels = read_labels(path, hemi=hemi, names=PROPOSED)
        assert min(dice_of(labels, measured(hemi)["areas"])) >= 0.7
        rows = table[table["hemi"] == hemi]
        assert rows["n_vertices"].tolist() == [int((labels == k).sum()) for k in range(1, 5)]
        assert set(rows["n_measured"]) == {int(maps_of(hemi).shown(r2_pct=5.0).sum())}
    with Image.open(work.companions["png_digest"]) as picture:
        assert picture.width > 1000
    said = work.tell()
    assert said.startswith("sub-01: V1 ")
    assert "python -m analysis labels --study" in said
    assert said.count("--from") == 2


def test_fields_of_another_mesh_are_refused(subject: SubjectProposal) -> None:
    save_maps(maps_paths(subject.layout, sub="01")["R"], maps_of("R", n=500))
    with pytest.raises(AnalysisError, match="receptive fields of 500 vertices, a surface of 5832 and a reg"):
        subject.work().make(silent)


def test_a_simulated_subjects_flat_map_is_the_templates(subject: SubjectProposal) -> None:
    surface = subject.data.load_surface("L")
    np.testing.assert_array_equal(template_places(subject.layout, subject.data, surface=surface), surface.flat)


def test_without_freesurfers_registration_what_it_is_for_is_said(tmp_path: Path) -> None:
    layout, _ = make_volunteer(tmp_path / "study", runs=1, n_vertices=ROWS * COLUMNS)
    for hemi in "LR":
        paths = surface_paths(layout, source=SURFACES, sub="01", hemi=hemi)
        save_surface(make_surface(hemi), paths["midthickness"], flat_path=paths["flat"])
    data = resolve_subject(layout, sub="01")
    with pytest.raises(AnalysisError) as said:
        template_places(layout, data, surface=data.load_surface("L"))
    assert "no FreeSurfer folder for time series in fsnative" in str(said.value)
    assert "expected surf/lh.sphere.reg and rh.sphere.reg, or fMRIPrep's *_hemi-L_space-fsaverage_" in str(said.value)
    assert "*_hemi-L_desc-reg_sphere.surf.gii: by them the atlas is laid on the subject" in str(said.value)
    assert "or draw the regions by hand, which needs neither (`python -m analysis draw --study" in str(said.value)
    assert "analysis.space" not in str(said.value)


@pytest.mark.parametrize("name", list(ATLASES))
def test_an_atlas_is_read_from_the_files_of_neuropythy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                       name: str) -> None:
    folder = tmp_path / "neuropythy" / "lib" / "data" / "fsaverage" / "surf"
    folder.mkdir(parents=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: type("Spec", (), {
        "submodule_search_locations": [str(tmp_path / "neuropythy")]}))
    with pytest.raises(AnalysisError, match=r"lh\.benson14_varea\.v4_0\.mgz: no such file"):
        load_atlas("L", name)
    n, rng = 10242, np.random.default_rng(0)
    values = {"benson14_varea.v4_0": rng.integers(0, 5, n), "benson14_angle.v4_0": np.full(n, 90.0),
              "benson14_eccen.v4_0": np.full(n, 3.0), "wang15_mplbl.v1_0": rng.integers(0, 9, n)}
    for file, one in values.items():
        nib.save(nib.freesurfer.MGHImage(one.astype(np.float32)[:, None, None], np.eye(4)), folder / f"lh.{file}.mgz")
    found = load_atlas("L", name)
    assert len(found.places) < n  # without the medial wall
    known = np.isfinite(found.x_deg)
    np.testing.assert_allclose(found.x_deg[known], 3.0)  # right of fixation, as a left hemisphere sees
    np.testing.assert_allclose(found.y_deg[known], 0.0, atol=1e-9)
    counts = np.bincount(found.areas, minlength=5)
    assert (counts[1:] > 0).all()
    given = values[ATLASES[name][0]]
    share = np.isin(given, [k for k, area in ATLASES[name][1].items() if area == "V2"]).mean()
    assert counts[2] / len(found.areas) == pytest.approx(share, abs=0.03)


def test_without_neuropythy_what_to_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(AnalysisError, match=r"the atlas 'benson': no neuropythy; .*pip install neuropythy.*by hand"):
        load_atlas("L", "benson")
