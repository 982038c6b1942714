"""Confounds of three releases' tables, against nilearn's own loader, and out of planted data.

The tables of the first two are those of nilearn's own tests. That of today's releases is made here, to the columns that
fMRIPrep documents for 23 to 25: components of CSF, white matter and crown apart, dropped ones in the JSON alone.
"""

from __future__ import annotations

import shutil
import warnings
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds

from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from analysis.glm.denoising.confounds import read_confounds
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.store import write_json, write_table
from tests.analysis.running_steps import run
from tests.analysis.volunteer import bold_path, make_volunteer, put_bold

DATA = resources.files("nilearn") / "interfaces" / "fmriprep" / "data"
RELEASES = {"1.4 to 20.2": ("test_desc-confounds_regressors", "regressors"),
            "21 and later": ("test-v21_desc-confounds_timeseries", "timeseries")}
DOCUMENTED = "23 to 25, as documented"
FIRST, SECOND = (RunKey("01", "01", "main", number) for number in (1, 2))


def as_documented(path: Path) -> Path:
    """Write a table of random numbers as fMRIPrep 23 to 25 names its columns, with the JSON beside it."""
    rng, n = np.random.default_rng(25), 30
    signals = [f"{name}{tail}" for name in ("global_signal", "csf", "white_matter")
               for tail in ("", "_derivative1", "_derivative1_power2", "_power2")]
    components = {f"{letter}_comp_cor_{k:02d}": {"Method": "aCompCor", "Mask": mask, "Retained": True,
                                                 "SingularValue": 30.0 - k, "VarianceExplained": 0.2 / (k + 1),
                                                 "CumulativeVarianceExplained": 0.2 * (k + 1)}
                  for letter, mask in (("a", "combined"), ("c", "CSF"), ("w", "WM")) for k in range(4)}
    dropped = {f"dropped_{k}": {"Method": "aCompCor", "Mask": "combined", "Retained": False} for k in range(3)}
    temporal = {f"t_comp_cor_{k:02d}": {"Method": "tCompCor", "Retained": True} for k in range(3)}
    motion = [f"{kind}_{axis}{tail}" for kind in ("trans", "rot") for axis in "xyz"
              for tail in ("", "_derivative1", "_derivative1_power2", "_power2")]
    outliers = ["non_steady_state_outlier00", "motion_outlier00", "motion_outlier01"]
    quality = ["csf_wm", "tcompcor", "std_dvars", "dvars", "framewise_displacement", "rmsd"]
    names = [*signals, *quality, *temporal, *components, *(f"edge_comp_{k:02d}" for k in range(24)),
             *(f"cosine{k:02d}" for k in range(3)), *outliers, *motion]
    made = pd.DataFrame(rng.standard_normal((n, len(names))), columns=names)
    made.loc[0, [name for name in names if "derivative1" in name or name in quality[2:]]] = np.nan
    made[outliers] = np.eye(n)[:, :3]
    write_table(path, made)
    write_json(path.with_suffix(".json"), {**components, **temporal, **dropped})
    return path


@pytest.fixture(params=[*RELEASES, DOCUMENTED])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a release's table, with its JSON, under a run's name."""
    if request.param == DOCUMENTED:
        (tmp_path / "sub-01_task-main_run-1_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz").touch()
        return as_documented(tmp_path / "sub-01_task-main_run-1_desc-confounds_timeseries.tsv")
    name, suffix = RELEASES[request.param]
    path = tmp_path / f"sub-01_task-main_run-1_desc-confounds_{suffix}.tsv"
    for ending in (".tsv", ".json"):
        shutil.copy(str(DATA / f"{name}{ending}"), path.with_suffix(ending))
    (tmp_path / "sub-01_task-main_run-1_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz").touch()
    return path


def theirs(table: Path, **asked: object) -> np.ndarray:
    image = next(table.parent.glob("*_bold.nii.gz"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, _ = load_confounds(str(image), demean=False, **asked)  # type: ignore[call-overload]
    return np.asarray(found, dtype=float)


def same_span(first: np.ndarray, second: np.ndarray) -> bool:
    """Say whether two sets of regressors, their first rows left out, leave the same of anything."""
    bases = [np.linalg.svd(np.column_stack([np.ones(len(one) - 1), one[1:] / np.linalg.norm(one[1:], axis=0)]),
                           full_matrices=False)[0] for one in (first, second)]
    return bool(np.allclose(bases[0] @ bases[0].T, bases[1] @ bases[1].T, atol=1e-6))


@pytest.mark.parametrize(("wanted", "asked", "n"), [
    (["motion6"], {"strategy": ("motion",), "motion": "basic"}, 6),
    (["motion24"], {"strategy": ("motion",), "motion": "full"}, 24),
    (["cosine"], {"strategy": ("high_pass",)}, None),
    (["wm_csf"], {"strategy": ("wm_csf",), "wm_csf": "basic"}, 2),
    (["global_signal"], {"strategy": ("global_signal",), "global_signal": "basic"}, 1),
    (["acompcor"], {"strategy": ("high_pass", "compcor"), "compcor": "anat_combined", "n_compcor": "all"}, None),
    (["acompcor2"], {"strategy": ("high_pass", "compcor"), "compcor": "anat_combined", "n_compcor": 2}, 2),
])
def test_groups_are_those_of_nilearn(table: Path, wanted: list[str], asked: dict[str, object], n: int | None) -> None:
    own, other = read_confounds(table, wanted=wanted, n_volumes=30), theirs(table, **asked)
    if wanted[0].startswith("acompcor"):
        own = np.column_stack([own, read_confounds(table, wanted=["cosine"], n_volumes=30)])
    elif n is not None:
        assert own.shape[1] == n
    assert own.shape[1] == other.shape[1]
    assert same_span(own, other)


def test_todays_outliers_are_found_and_dropped_components_are_not(tmp_path: Path) -> None:
    path = as_documented(tmp_path / "sub-01_task-main_run-1_desc-confounds_timeseries.tsv")
    found = read_confounds(path, wanted=["non_steady_state", "motion_outliers"], n_volumes=30)
    np.testing.assert_array_equal(found, np.eye(30)[:, :3])
    assert read_confounds(path, wanted=["acompcor"], n_volumes=30).shape == (30, 4)


def test_columns_are_read_as_they_stand_and_the_first_row_is_no_change(table: Path) -> None:
    raw = pd.read_csv(table, sep="\t")
    found = read_confounds(table, wanted=["rot_z", "trans_x_derivative1", "rot_z"], n_volumes=30)
    np.testing.assert_array_equal(found[1:], raw[["rot_z", "trans_x_derivative1"]].to_numpy()[1:])
    assert found[0].tolist() == [raw["rot_z"][0], 0.0]


def test_one_fault_each_is_named(table: Path) -> None:
    with pytest.raises(AnalysisError, match=r"no column for 'trans_q'; .*Did you mean 'trans_\w'"):
        read_confounds(table, wanted=["trans_q"], n_volumes=30)
    with pytest.raises(AnalysisError, match="30 rows; expected 29, one a volume"):
        read_confounds(table, wanted=["motion6"], n_volumes=29)
    assert read_confounds(table, wanted=["motion6"], n_volumes=29, is_cut=True).shape == (29, 6)
    raw = table.read_text(encoding="utf-8").split("\n")
    values = raw[4].split("\t")
    values[raw[0].split("\t").index("rot_x")] = "n/a"
    table.write_text("\n".join([*raw[:4], "\t".join(values), *raw[5:]]), encoding="utf-8")
    with pytest.raises(AnalysisError, match="row 4: no number in rot_x"):
        read_confounds(table, wanted=["motion6"], n_volumes=30)
    table.with_suffix(".json").unlink()
    with pytest.raises(AnalysisError, match="no column for 'acompcor'; expected .* with the JSON file beside it"):
        read_confounds(table, wanted=["acompcor"], n_volumes=30)


@pytest.mark.parametrize("name", ["non_steady_state", "motion_outliers"])
def test_a_run_without_outliers_has_no_such_columns(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / "x.tsv", pd.DataFrame({"trans_x": np.arange(4.0)}))
    assert read_confounds(path, wanted=[name], n_volumes=4).shape == (4, 0)


@pytest.mark.parametrize("model", ["ols", "glmdenoise"])
def test_a_planted_confound_leaves_the_betas(tmp_path: Path, model: str) -> None:
    """Made as today's releases name things: what a column brings into the data is gone when it is asked for."""
    changes = {"glm": {"model": model, "run_bootstraps": 0, "hrf_fit": "assume", "noise_components": 0}}
    layout, settings = make_volunteer(tmp_path / "study", changes=changes)
    run("glm", layout, settings)
    clean = load_betas(betas_paths(layout, sub="01")["L"]).values
    rng = np.random.default_rng(5)
    for key in (FIRST, SECOND):
        plant(layout, key, rng)
    run("glm", layout, settings)
    spoilt = load_betas(betas_paths(layout, sub="01")["L"]).values
    chosen = settings.model_copy(update={"glm": settings.glm.model_copy(update={"confounds": ("motion6",)})})
    run("glm", layout, chosen)
    mended = load_betas(betas_paths(layout, sub="01")["L"]).values
    errors = [np.sqrt(np.mean((one - clean) ** 2)) for one in (spoilt, mended)]
    assert errors[1] < errors[0] / 20
    bold_path(layout, FIRST, hemi="L").with_name(f"{FIRST}_desc-confounds_timeseries.tsv").unlink()
    with pytest.raises(AnalysisError, match=rf"{FIRST}: no table of confounds; expected columns for glm.confounds"):
        run("glm", layout, chosen)


def plant(layout: Layout, key: RunKey, rng: np.random.Generator) -> None:
    """Add six courses to a run's data, and write the table that names them."""
    courses = None
    for hemi in "LR":
        def add(data: np.ndarray) -> np.ndarray:
            nonlocal courses
            if courses is None:
                courses = rng.standard_normal((len(data), 6))
            return (data + courses @ rng.normal(0, 40, (6, data.shape[1]))).astype(np.float32)

        put_bold(layout, key, hemi=hemi, change=add)
    path = bold_path(layout, key, hemi="L").with_name(f"{key}_desc-confounds_timeseries.tsv")
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    write_table(path, pd.DataFrame(courses, columns=names))
    write_json(path.with_suffix(".json"), {})
