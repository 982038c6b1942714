"""HDF5 results: whatever is wrong with a file is one error that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from analysis.encoding.run import read_selected
from analysis.glm.betas import load_betas, save_betas
from analysis.rsa.rdm import compute_rdm, load_rdms, save_rdms
from subjects.errors import AnalysisError, StoreError
from tests.analysis.fabricated import make_betas, make_units

NAMES = ("a-01", "b-01", "c-01")


def write_betas(path: Path) -> Path:
    return save_betas(path, make_betas(NAMES, make_units(3)["layer1"], hemi="L", seed=1))


def write_rdms(path: Path) -> Path:
    return save_rdms(path, {"V1/RE": compute_rdm(np.eye(3, 9), labels=NAMES)})


def write_selected(path: Path) -> Path:
    with h5py.File(path, "w") as file:  # as version 0.1.0 wrote it, without a format
        for hemi in ("L", "R"):
            file[f"V1/vertices_{hemi}"] = np.arange(4)
    return path


KINDS = {"betas": (write_betas, load_betas, "conditions/base_image"), "rdms": (write_rdms, load_rdms, "V1/RE/labels"),
         "encoding": (write_selected, read_selected, "V1/vertices_L")}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path], object], str]:
    write, read, part = KINDS[request.param]
    path = write(tmp_path / "one.h5")
    read(path)
    return path, read, part


def spoil(path: Path, part: str, how: str) -> None:
    with h5py.File(path, "r+") as file:
        if how == "newer":
            file.attrs["format_version"] = 9
            return
        if how == "other":
            file.attrs["format"] = "something else"
            return
        kept = np.arange(4.0)
        del file[part]
        if how == "external":
            file[part] = h5py.ExternalLink("elsewhere.h5", "/x")
        elif how == "virtual":
            layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
            layout[:] = h5py.VirtualSource(path.with_name("elsewhere.h5"), "x", shape=(4,))
            file.create_virtual_dataset(part, layout)
        elif how == "numbers":
            file[part] = kept
        elif how == "group":
            file.create_group(part)


@pytest.mark.parametrize(("how", "text"), [
    ("missing", "cannot be read|no RDM"), ("group", "cannot be read"), ("numbers", "cannot be read"),
    ("external", "that refers to another file"), ("virtual", "that refers to another file"),
    ("other", "format 'something else'"),
])
def test_one_fault_is_one_error_that_names_the_file(kind: tuple[Path, Callable[[Path], object], str], how: str,
                                                    text: str) -> None:
    path, read, part = kind
    spoil(path, part, how)
    with pytest.raises(AnalysisError, match=text) as caught:
        read(path)
    assert caught.value.where == str(path)
    assert "python -m analysis" in caught.value.remedy


def test_a_file_of_a_newer_version_is_refused(kind: tuple[Path, Callable[[Path], object], str]) -> None:
    path, read, part = kind
    spoil(path, part, "newer")
    with pytest.raises(StoreError, match="of format version 9; .*Install that newer version"):
        read(path)


def test_betas_of_the_first_release_are_read(tmp_path: Path) -> None:
    path = write_betas(tmp_path / "betas.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["format_version"]
        file.attrs["format"] = "adversarial-fmri betas 1"
    assert load_betas(path).base_images == NAMES


def test_no_hdf5_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "torn.h5").write_bytes(b"torn")
    for name, text in (("torn.h5", "cannot be read"), ("none.h5", "no such file; expected betas")):
        with pytest.raises(AnalysisError, match=text):
            load_betas(tmp_path / name)
