"""Trees as fMRIPrep 20 to 25 write them, found by entities; what does not fit is refused with what is there.

The spellings are those of fMRIPrep's own lists of expected outputs (``.circleci/*_outputs.txt`` of its releases).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.data.files.finding import find_anatomy, find_confounds, list_functional, parse_name
from analysis.data.gifti import write_timeseries
from analysis.data.sources import SubjectData, resolve_subject
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import register
from subjects.run_key import RunKey

RUNS = tuple(RunKey("01", "01", "main", run) for run in (1, 2))
OWN = "sub-01_ses-01_task-main"


@pytest.fixture
def study(study: Layout) -> Layout:
    """Give a study with a volunteer and two logged runs."""
    register(study, "01")
    for key in RUNS:
        study.events(key).parent.mkdir(parents=True, exist_ok=True)
        study.events(key).touch()
    return study


def put(layout: Layout, *names: str) -> Path:
    """Leave files of these names; ``{run}``, ``{hemi}`` stand for two runs and two hemispheres."""
    folder = layout.derivatives("fmriprep") / "sub-01" / "ses-01" / "func"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for run in (1, 2):
            for hemi in "LR":
                (folder / name.format(run=run, hemi=hemi)).touch()
    return folder


def find(layout: Layout, *, space: str = "") -> SubjectData:
    return resolve_subject(layout, sub="01", space=space)


SPELLINGS = {
    "20.2, space before hemi": (f"{OWN}_run-{{run}}_space-fsnative_hemi-{{hemi}}_bold.func.gii", "fsnative"),
    "20.2, fsaverage5, two digits": (f"{OWN}_run-0{{run}}_space-fsaverage5_hemi-{{hemi}}_bold.func.gii", "fsaverage5"),
    "21.0, hemi before space": (f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii", "fsnative"),
    "22.1, fsaverage": (f"{OWN}_run-0{{run}}_hemi-{{hemi}}_space-fsaverage_bold.func.gii", "fsaverage"),
    "23.2, fsaverage6": (f"{OWN}_run-00{{run}}_hemi-{{hemi}}_space-fsaverage6_bold.func.gii", "fsaverage6"),
    "24.1, acquisition": (f"{OWN}_acq-mb4_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii", "fsnative"),
    "25.0, direction": (f"{OWN}_dir-AP_run-{{run}}_hemi-{{hemi}}_space-fsaverage5_bold.func.gii", "fsaverage5"),
    "20.2, one echo": (f"{OWN}_run-{{run}}_echo-2_space-fsnative_hemi-{{hemi}}_bold.func.gii", "fsnative"),
    "23.0, optimal combination": (f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_desc-optcom_bold.func.gii",
                                  "fsnative"),
    "density": (f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsLR_den-32k_bold.func.gii", "fsLR den-32k"),
    "density first": (f"{OWN}_run-{{run}}_den-91k_hemi-{{hemi}}_space-fsLR_bold.func.gii", "fsLR den-91k"),
    "resolution": (f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsaverage_res-1_bold.func.gii", "fsaverage"),
    "compressed": (f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii.gz", "fsnative"),
    "all entities, another order": (
        f"{OWN}_hemi-{{hemi}}_acq-a_dir-PA_run-{{run}}_echo-1_space-fsaverage5_res-2_bold.func.gii", "fsaverage5"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_found(study: Layout, spelling: str) -> None:
    name, space = SPELLINGS[spelling]
    folder = put(study, name, f"{OWN}_run-{{run}}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz",
                 f"{OWN}_run-{{run}}_hemi-{{hemi}}_bold.json",
                 f"{OWN}_run-{{run}}_space-fsLR_den-91k_bold.dtseries.nii")
    found = find(study)
    assert found.source == "fmriprep"
    assert found.space == space
    assert found.bold == {(key, hemi): folder / name.format(run=key.run, hemi=hemi) for key in RUNS for hemi in "LR"}


def test_there_are_as_many_spellings_as_were_asked_for() -> None:
    assert len(SPELLINGS) >= 12


@pytest.mark.parametrize("space", ["fsnative", "fsaverage5"])
def test_one_of_several_spaces_is_taken_by_asking(study: Layout, space: str) -> None:
    put(study, *(f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-{one}_bold.func.gii" for one in ("fsnative", "fsaverage5")))
    with pytest.raises(AnalysisError, match=r"func: 2 files in different spaces: fsaverage5 \(4 files\), fsnative "
                                            r"\(4 files\); .*Set analysis.space"):
        find(study)
    found = find(study, space=space)
    assert {path.name.split("_space-")[1].split("_")[0] for path in found.bold.values()} == {space}
    with pytest.raises(AnalysisError, match=r"analysis.space: 'fsLR'; expected one of the spaces that are there: "
                                            r"fsaverage5 \(4 files\), fsnative"):
        find(study, space="fsLR")


def test_a_density_decides_where_a_space_has_several(study: Layout) -> None:
    put(study, *(f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsLR_den-{one}_bold.func.gii" for one in ("32k", "91k")))
    assert find(study, space="fsLR den-32k").space == "fsLR den-32k"
    with pytest.raises(AnalysisError, match="2 files that fit: .*den-32k_bold.func.gii, .*den-91k"):
        find(study, space="fsLR")


def test_runs_of_different_spaces_are_refused(study: Layout) -> None:
    folder = put(study, f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii")
    for hemi in "LR":
        old = folder / f"{OWN}_run-2_hemi-{hemi}_space-fsnative_bold.func.gii"
        old.rename(folder / old.name.replace("fsnative", "fsaverage5"))
    with pytest.raises(AnalysisError, match=r"files in different spaces: fsnative \(2 files\), fsaverage5 \(2 files\)"):
        find(study)
    found = find(study, space="fsnative")
    with pytest.raises(AnalysisError, match="run-2 hemi-L: no surface time series among .*run-1_hemi-L_space-fsnative"):
        found.require_bold(RUNS[1], hemi="L")


@pytest.mark.parametrize("entity", ["echo-{n}", "acq-x{n}", "dir-{n}", "desc-d{n}", "res-{n}"])
def test_several_files_of_one_run_are_listed(study: Layout, entity: str) -> None:
    put(study, *(f"{OWN}_run-{{run}}_{entity.format(n=n)}_hemi-{{hemi}}_space-fsnative_bold.func.gii" for n in (1, 2)))
    with pytest.raises(AnalysisError, match=rf"sub-01_ses-01_task-main_run-1 hemi-L: 2 files that fit: .*"
                                            rf"{entity.format(n=1)}_hemi-L.*, .*{entity.format(n=2)}_hemi-L"):
        find(study)


def test_parts_of_a_run_are_told_from_acquisitions(study: Layout) -> None:
    rest = RunKey("01", "01", "main", 2, part=2)
    study.events(rest).touch()
    folder = put(study, f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii",
                 f"{OWN}_acq-part2_run-2_hemi-{{hemi}}_space-fsnative_bold.func.gii")
    found = find(study)
    assert found.bold[rest, "R"] == folder / f"{OWN}_acq-part2_run-2_hemi-R_space-fsnative_bold.func.gii"
    assert found.bold[RUNS[1], "R"] == folder / f"{OWN}_run-2_hemi-R_space-fsnative_bold.func.gii"


@pytest.mark.parametrize("other", [
    "sub-01_ses-01_task-rest_run-{run}_hemi-{hemi}_space-fsnative_bold.func.gii",
    "sub-01_ses-02_task-main_run-{run}_hemi-{hemi}_space-fsnative_bold.func.gii",
    "sub-02_ses-01_task-main_run-{run}_hemi-{hemi}_space-fsnative_bold.func.gii",
    "sub-01_ses-01_task-main_run-1{run}_hemi-{hemi}_space-fsnative_bold.func.gii",
])
def test_other_runs_are_not_taken(study: Layout, other: str) -> None:
    name = f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii"
    folder = put(study, name, other)
    wanted = {folder / name.format(run=run, hemi=hemi) for run in (1, 2) for hemi in "LR"}
    assert set(find(study).bold.values()) == wanted


@pytest.mark.parametrize(("name", "remedy"), [
    (f"{OWN}_run-{{run}}_space-fsLR_den-91k_bold.dtseries.nii",
     "beside --cifti-output, or .* wb_command -cifti-separate"),
    (f"{OWN}_run-{{run}}_space-T1w_desc-preproc_bold.nii.gz", "--output-spaces fsnative"),
])
def test_what_is_no_surface_series_is_named_with_its_remedy(study: Layout, name: str, remedy: str) -> None:
    put(study, name)
    with pytest.raises(AnalysisError, match=rf"no surface time series, but {name.format(run=1)}, .*{remedy}"):
        find(study)


def test_a_run_of_which_only_volumes_are_there_is_named(study: Layout) -> None:
    folder = put(study, f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii")
    for hemi in "LR":
        (folder / f"{OWN}_run-2_hemi-{hemi}_space-fsnative_bold.func.gii").unlink()
    (folder / f"{OWN}_run-2_space-T1w_desc-preproc_bold.nii.gz").touch()
    with pytest.raises(AnalysisError, match="run-2 hemi-L: no surface time series, but .*run-2_space-T1w_desc-preproc"):
        find(study).require_bold(RUNS[1], hemi="L")


@pytest.mark.parametrize("name", ["desc-confounds_timeseries.tsv", "desc-confounds_regressors.tsv"])
@pytest.mark.parametrize("run", ["run-1", "run-01"])
def test_tables_of_confounds_of_every_release_are_found(study: Layout, name: str, run: str) -> None:
    folder = put(study, f"{OWN}_{run}_{name}", f"{OWN}_{run}_{name.replace('.tsv', '.json')}",
                 f"{OWN}_run-12_{name}")
    names = list_functional(study.derivatives("fmriprep"), sub="01")
    assert find_confounds(names, RUNS[0]) == folder / f"{OWN}_{run}_{name}"
    assert find_confounds(names, RUNS[1]) is None


def test_two_tables_of_confounds_are_refused(study: Layout) -> None:
    put(study, f"{OWN}_run-1_desc-confounds_timeseries.tsv", f"{OWN}_run-01_desc-confounds_timeseries.tsv")
    names = list_functional(study.derivatives("fmriprep"), sub="01")
    with pytest.raises(AnalysisError, match="2 tables of confounds: .*run-01.*, .*run-1"):
        find_confounds(names, RUNS[0])


@pytest.mark.parametrize("place", ["sub-01/anat/sub-01", "sub-01/ses-01/anat/sub-01_ses-01",
                                   "sub-01/ses-02/anat/sub-01_ses-02_acq-mprage_run-1"])
def test_anatomy_is_found_under_the_subject_or_a_session(study: Layout, place: str) -> None:
    root = study.derivatives("fmriprep")
    for name in ("midthickness", "flat", "inflated"):
        for space in ("", "_space-fsLR_den-32k"):
            path = root / f"{place}_hemi-L{space}_{name}.surf.gii"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    put(study, f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii")
    surfaces = find(study).surfaces["L"]
    assert surfaces == {name: root / f"{place}_hemi-L_{name}.surf.gii" for name in ("midthickness", "flat")}
    assert find_anatomy([root], sub="01", hemi="L", suffix="flat.surf.gii", space="fsLR den-32k") == \
        root / f"{place}_hemi-L_space-fsLR_den-32k_flat.surf.gii"
    assert find_anatomy([root], sub="01", hemi="R", suffix="flat.surf.gii") is None


def test_two_anatomies_are_listed(study: Layout) -> None:
    root = study.derivatives("fmriprep")
    for ses in ("01", "02"):
        path = root / f"sub-01/ses-{ses}/anat/sub-01_ses-{ses}_hemi-L_flat.surf.gii"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(AnalysisError, match=r"2 files that fit: .*ses-01_hemi-L_flat.surf.gii, .*ses-02_hemi-L"):
        find_anatomy([root], sub="01", hemi="L", suffix="flat.surf.gii")


@pytest.mark.parametrize("name", ["lh.white", "sub-01_bold", "sub-_bold.nii", "sub-01__bold.nii", "readme.txt",
                                  "sub-01_ses-1 2_bold.nii", ".sub-01_bold.func.gii"])
def test_other_names_are_no_bids_names(name: str) -> None:
    parsed = parse_name(Path(name))
    assert parsed is None or parsed.extension == ""


def test_names_are_read_as_nilearn_reads_them() -> None:
    from nilearn.interfaces.bids import parse_bids_filename

    for name, _ in SPELLINGS.values():
        path = Path(name.format(run=1, hemi="L"))
        own, theirs = parse_name(path), parse_bids_filename(str(path))
        assert own is not None
        assert (dict(own.entities), own.suffix, own.extension) == (
            theirs["entities"], theirs["suffix"], f".{theirs['extension']}")


def test_a_compressed_series_is_read_with_its_sidecar(study: Layout) -> None:
    import gzip

    from analysis.data.timeseries import read_run
    from subjects.store import write_json

    folder = put(study)
    data = np.random.default_rng(0).normal(800, 10, (7, 5)).astype(np.float32)
    for run in (1, 2):
        for hemi in "LR":
            name = f"{OWN}_run-{run}_hemi-{hemi}_space-fsnative_bold"
            path = write_timeseries(folder / f"{name}.func.gii", data, hemi=hemi, tr_s=2.0)
            path.with_name(f"{name}.func.gii.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
            write_json(folder / f"{name}.json", {"RepetitionTime": 2.0, "StartTime": 0.5})
    found = read_run(find(study), RUNS[1], hemi="R", tr_s=2.0)
    np.testing.assert_array_equal(found.data, data)
    assert found.start_s == 0.5


def test_a_single_run_of_another_space_is_named(study: Layout) -> None:
    folder = put(study, f"{OWN}_run-{{run}}_hemi-{{hemi}}_space-fsnative_bold.func.gii")
    odd = folder / f"{OWN}_run-2_hemi-R_space-fsnative_bold.func.gii"
    odd.rename(folder / odd.name.replace("fsnative", "fsaverage5"))
    with pytest.raises(AnalysisError, match=r"task-main_run-2 hemi-R: a file of fsaverage5 among 4 files in different "
                                            r"spaces: fsnative \(3 files\), fsaverage5 \(1 file\); .*analysis.space"):
        find(study)
