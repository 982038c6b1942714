"""What can be made again is dropped, and nothing else: files that are what their sidecar says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from subjects.layout import Layout
from subjects.provenance import digest_file, sidecar, sidecar_path
from subjects.upkeep.cleaning import KINDS, drop, find_droppable

BOLD = "simulated/sub-01/ses-01/func/sub-01_ses-01_task-main_run-1_bold.func.gii"
FEATURES = "features/network-demo_features.h5"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "study")


def make(layout: Layout, name: str, *, content: bytes = b"made", described: bool = True) -> Path:
    path = layout.root / "derivatives" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if described:
        sidecar(path, inputs={}, parameters={})
    return path


def test_only_files_that_are_what_their_sidecar_says_are_dropped(layout: Layout) -> None:
    kept = [make(layout, BOLD.replace("run-1", "run-2"), described=False),
            make(layout, BOLD.replace("simulated", "fmriprep")), make(layout, BOLD.replace("_bold.func", "_beta.func"))]
    changed = make(layout, BOLD.replace("run-1", "run-3"))
    changed.write_bytes(b"by hand")
    torn = make(layout, BOLD.replace("run-1", "run-4"))
    sidecar_path(torn).write_text("{", encoding="utf-8")
    good = make(layout, BOLD, content=b"x" * 1234)
    digest = digest_file(good)
    found = find_droppable(layout)
    assert [(one.kind, one.path, one.size) for one in found] == [("bold", good, 1234)]
    assert drop(found) == 1234
    assert [one.is_file() for one in (good, *kept, changed, torn)] == [False] + [True] * 5
    assert digest in sidecar_path(good).read_text(encoding="utf-8")
    assert find_droppable(layout) == ()


def test_features_are_found_only_if_they_are_asked_for(layout: Layout) -> None:
    make(layout, BOLD)
    make(layout, FEATURES)
    make(layout, FEATURES.replace(".h5", ".part.h5"))
    assert [one.kind for one in find_droppable(layout)] == ["bold"]
    assert [one.kind for one in find_droppable(layout, kinds=tuple(KINDS))] == ["bold", "features"]
    assert find_droppable(layout, kinds=()) == ()


def test_files_come_in_the_order_of_their_names_and_a_second_drop_is_no_fault(layout: Layout) -> None:
    rng = [3, 1, 2]
    for run in rng:
        make(layout, BOLD.replace("run-1", f"run-{run}"), content=hashlib.sha256(bytes([run])).digest()[:run])
    found = find_droppable(layout)
    assert [one.size for one in found] == sorted(rng)
    assert drop(found) == drop(found) == sum(rng)
    assert drop(()) == 0
