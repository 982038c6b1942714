"""Other meshes than the patch, and the atlas: fsaverage5 whole, a FreeSurfer subject, and files as neuropythy's."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from analysis.data import flattening
from analysis.data.sources import require_whole, resolve_subject
from analysis.data.surface import triangle_areas
from analysis.data.template import load_fsaverage5
from analysis.data.timeseries import read_run
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from analysis.regions.drawing.atlas import read_atlas
from analysis.simulation.brain import meshes
from analysis.simulation.brain.fields import AREAS, FieldMap
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import read_manifest
from subjects.errors import AnalysisError
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.store import read_json
from tests.analysis.running_steps import run
from tests.analysis.simulation.test_bold import make_study
from tests.analysis.simulation.test_reliability import with_simulate

FIRST = RunKey("01", "01", "main", 1)


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    meshes.anatomy.cache_clear()


def write_subject(folder: Path, *, refined: bool = False) -> Path:
    """Write fsaverage5 as a FreeSurfer subject of its own: other vertex numbers, a larger brain; or finer."""
    rng = np.random.default_rng(0)
    (folder / "surf").mkdir(parents=True)
    for hemi, side in (("L", "lh"), ("R", "rh")):
        order = None
        for name in ("white", "pial", "sphere"):
            points, faces = flattening.read_template(hemi, name)
            if refined:
                points, faces = split(points, faces)
            if order is None:
                order = rng.permutation(len(points))
                number = np.argsort(order)
            scale = 1.1 if name != "sphere" else 100.0 / np.linalg.norm(points, axis=1, keepdims=True)
            kind = "sphere.reg" if name == "sphere" else name
            nib.freesurfer.write_geometry(folder / "surf" / f"{side}.{kind}", (scale * points)[order], number[faces])
    return folder


def split(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split every triangle into four."""
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
    edges, place = np.unique(sides, axis=0, return_inverse=True)
    middle = len(points) + place.reshape(-1, 3)
    quarters = [(faces[:, 0], middle[:, 0], middle[:, 2]), (middle[:, 0], faces[:, 1], middle[:, 1]),
                (middle[:, 2], middle[:, 1], faces[:, 2]), tuple(middle.T)]
    return (np.concatenate([points, points[edges].mean(axis=1)]),
            np.concatenate([np.stack(corners, axis=1) for corners in quarters]))


@pytest.mark.parametrize("hemi", ["L", "R"])
def test_points_of_the_sphere_come_onto_the_flat_map(hemi):
    """The template's own vertices come to their own places, its edges' middles between them."""
    sphere, triangles = flattening.read_template(hemi, "sphere")
    flat, on_map = flattening.read_template(hemi, "flat")
    found = flattening.to_flat(3.0 * sphere, hemi=hemi)
    inside = np.setdiff1d(np.unique(on_map), np.unique(triangles[~np.isin(
        flattening.face_keys(triangles, n=len(flat)), flattening.face_keys(on_map, n=len(flat)))]))
    assert len(inside) > 7000
    assert np.abs(found[inside] - flat[inside, :2]).max() < 0.02
    a, b = np.isin(on_map, inside).all(axis=1).nonzero()[0][:500], slice(0, 2)
    corners = on_map[a][:, b]
    unit = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    middles = flattening.to_flat(unit[corners].mean(axis=1), hemi=hemi)
    assert np.abs(middles - flat[corners, :2].mean(axis=1)).max() < 0.1


@pytest.mark.parametrize("refined", [False, True])
def test_a_freesurfer_subject_has_the_templates_areas(tmp_path, refined):
    folder = write_subject(tmp_path / "bert", refined=refined)
    own = meshes.anatomy("L", mesh=str(folder), atlas="analytic", subdivisions=0)
    template = meshes.anatomy("L", mesh="occipital", atlas="analytic", subdivisions=2)
    sizes = {}
    for name, one, scale in (("own", own, 1.1), ("template", template, 1.0)):
        faces = one.surface.faces
        area = triangle_areas(one.surface.vertices, faces) / scale**2
        sizes[name] = [area[(one.place.areas[faces] == k).sum(axis=1) >= 2].sum() for k in range(1, len(AREAS) + 1)]
    assert sizes["own"] == pytest.approx(sizes["template"], rel=0.15)
    assert own.surface.distortion().n_folded_over == 0
    inside = own.place.areas > 0
    assert (own.place.x_deg[inside] > -0.5).all()
    a, b = own.surface.edges.T
    assert np.linalg.norm(own.surface.flat[a] - own.surface.flat[b], axis=1).max() < 12


def test_a_freesurfer_subject_goes_through_the_chain(tmp_path):
    folder = write_subject(tmp_path / "bert")
    layout, settings = make_study(tmp_path / "study")
    settings = with_simulate(settings, mesh=str(folder))
    run("simulate", layout, settings)
    data = require_whole(resolve_subject(layout, sub="01"))
    path = data.require_bold(FIRST, hemi="L")
    assert path.name.endswith("hemi-L_space-fsnative_den-occipital_bold.func.gii")
    surface = data.load_surface("L")
    assert read_run(data, FIRST, hemi="L", tr_s=2.0).data.shape[1] == surface.n_vertices
    assert surface.euler_characteristic == 1
    run("glm", layout, settings)
    assert np.isfinite(load_betas(betas_paths(layout, sub="01")["R"]).values).all()


def test_the_whole_template_is_named_as_fmriprep_names_it(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    run("simulate", layout, with_simulate(settings, mesh="fsaverage5"))
    data = require_whole(resolve_subject(layout, sub="01"))
    path = data.require_bold(FIRST, hemi="R")
    assert path.name == "sub-01_ses-01_task-main_run-1_hemi-R_space-fsaverage5_bold.func.gii"
    series = read_run(data, FIRST, hemi="R", tr_s=2.0).data
    assert series.shape[1] == 10242
    silent = ~series.any(axis=0)
    on_map = load_fsaverage5()["R"].n_vertices
    assert silent.sum() == 10242 - on_map


def test_another_mesh_takes_the_place_of_the_first(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    run("simulate", layout, settings)
    run("simulate", layout, with_simulate(settings, mesh="fsaverage5"))
    names = {path.name.partition("_space-")[2] for path in layout.derivatives("simulated").rglob("*_bold.func.gii")}
    assert names == {"fsaverage5_bold.func.gii"}


def test_a_folder_without_surfaces_is_named(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    with pytest.raises(AnalysisError, match=r"surf/lh\.white: no such file; expected a surface of a Free"):
        run("simulate", layout, with_simulate(settings, mesh=str(tmp_path / "nobody")))
    folder = write_subject(tmp_path / "torn")
    (folder / "surf" / "lh.pial").write_bytes(b"\xff\xff\xfetorn")
    with pytest.raises(AnalysisError, match=r"lh\.pial: a file that cannot be read"):
        run("simulate", layout, with_simulate(settings, mesh=str(folder)))


def install_atlas(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package beside the tests whose files are in neuropythy's places: bands of made-up areas and angles."""
    surf = folder / "neuropythy" / "lib" / "data" / "fsaverage" / "surf"
    surf.mkdir(parents=True)
    (folder / "neuropythy" / "__init__.py").write_text("raise ImportError('only the files are read')")
    for side, hemi in (("lh", "L"), ("rh", "R")):
        points, _ = flattening.read_template(hemi, "white")
        back = points[:, 1] < -70
        height = points[:, 2] - points[back, 2].mean()
        varea = np.where(back, np.digitize(height, [-20, -10, 0, 10, 20, 30]) + 1, 0)
        varea = np.array([0, 1, 2, 3, 4, 7, 9, 12])[varea]
        fields = {"varea": varea, "angle": np.clip(90 - 3 * height, 0, 180), "eccen": 1 + np.abs(points[:, 1] + 70) / 5}
        for name, values in fields.items():
            whole = np.zeros(163842, np.float32)
            whole[:len(values)] = values
            image = nib.freesurfer.MGHImage(whole[:, None, None], np.eye(4))
            nib.save(image, surf / f"{side}.benson14_{name}.v4_0.mgz")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "neuropythy", raising=False)


def test_the_atlas_is_read_where_its_files_are(tmp_path, monkeypatch):
    install_atlas(tmp_path / "packages", monkeypatch)
    places: dict[int, FieldMap] = {}
    for k in (0, 2):
        one = meshes.anatomy("R", mesh="occipital", atlas="benson", subdivisions=k)
        places[k] = one.place
        assert set(np.unique(one.place.areas)) == set(range(7))
        assert (one.place.x_deg[one.place.areas > 0] <= 1e-6).all(), "the right hemisphere sees the left"
        lo = one.place.areas == AREAS.index("LO") + 1
        assert (one.place.motion & lo).any()
        assert not one.place.motion[(one.place.areas > 0) & (one.place.areas <= 4)].any()
    counts = [np.bincount(one.areas, minlength=7) for one in places.values()]
    assert counts[1] / counts[1].sum() == pytest.approx(counts[0] / counts[0].sum(), abs=0.03)
    vertices = meshes._numbers("R", meshes.template_map("R", atlas="analytic", subdivisions=0)[0])
    inside = places[0].areas > 0
    measured = np.degrees(np.arctan2(-places[0].x_deg, places[0].y_deg))[inside]
    assert measured == pytest.approx(read_atlas("R")["angle"][vertices][inside], abs=1e-3)


def test_without_neuropythy_the_atlas_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    layout, settings = make_study(tmp_path / "study")
    with pytest.raises(AnalysisError, match=r"no neuropythy; expected neuropythy.*pip install neuropythy"):
        run("simulate", layout, with_simulate(settings, atlas="benson"))


def test_regions_follow_another_network_that_is_named(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    other = with_simulate(settings, network="other_net")
    with pytest.raises(AnalysisError, match="features .*--network other_net"):
        run("simulate", layout, other)
    ids = [one.image_id for one in read_manifest(layout.manifest).stimuli]
    units = {name: np.random.default_rng(5).standard_normal((len(ids), 30), dtype=np.float32)
             for name in ("stem", "body", "head")}
    write_store(layout.features("other_net"), units, network="other_net", network_digest="1" * 16, tap="none",
                layers=tuple(units), image_ids=ids)
    run("simulate", layout, other)
    said = read_json(sidecar_path(layout.derivative("simulated", sub="01", suffix="truth.h5")))
    assert said["Network"] == "other_net"
    assert set(said["Layers"].values()) == {"stem", "body"}
