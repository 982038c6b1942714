"""Which photographs of a folder are candidates, and which labels do not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from stimuli.categories import demo_categories, imagenet_categories, imagenet_names
from stimuli.regular_images.candidates import digest_of, list_candidates
from subjects.errors import StimulusError, StoreError

CLASSES = ("dogs", "birds", "cars", "fruits", "aquatic")
IMAGENET = imagenet_names()
DEMO = tuple(name for _, name in demo_categories())
HEAD = "file\timagenet_index\twnid\tclass"


def _files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def _table(folder: Path, *rows: str, head: str = HEAD, name: str = "labels.tsv") -> Path:
    path = folder / name
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return path


def _listed(folder: Path, *, class_names: tuple[str, ...] = IMAGENET, labels: Path | None = None,
            classes: tuple[str, ...] = CLASSES) -> list[tuple[str, str, str, str, int]]:
    listing = list_candidates(folder, class_names=class_names, classes=classes, labels=labels)
    return [(one.file, one.wnid, one.category, one.class_name, one.category_index) for one in listing.candidates]


def test_class_folders_are_read_by_wnid(tmp_path: Path) -> None:
    _files(tmp_path, "n02085620/b.JPEG", "n02085620/a.JPEG", "n07753592/c.png", "n02085620/.hidden", "notes.txt",
           ".cache/x")
    assert _listed(tmp_path) == [("n02085620/a.JPEG", "n02085620", "Chihuahua", "dogs", 151),
                                 ("n02085620/b.JPEG", "n02085620", "Chihuahua", "dogs", 151),
                                 ("n07753592/c.png", "n07753592", "banana", "fruits", 954)]


def test_stanfords_folders_are_read_and_folders_inside_them_are_counted(tmp_path: Path,
                                                                        caplog: pytest.LogCaptureFixture) -> None:
    _files(tmp_path, "n02085620-Chihuahua/a.JPEG", "n02085620-Chihuahua/more/b.JPEG")
    assert _listed(tmp_path) == [("n02085620-Chihuahua/a.JPEG", "n02085620", "Chihuahua", "dogs", 151)]
    assert "1 folder(s) inside the folders of categories are not read, the first" in caplog.text


def test_categories_outside_the_study_are_counted_and_left_out(tmp_path: Path) -> None:
    outside = next(one for one in imagenet_categories() if one.class_name is None)
    _files(tmp_path, "n02085620/a.JPEG", f"{outside.wnid}/b.JPEG", f"{outside.wnid}/c.JPEG")
    listing = list_candidates(tmp_path, class_names=IMAGENET, classes=CLASSES)
    assert (len(listing.candidates), listing.n_outside) == (1, 2)


def test_class_folders_may_be_named_by_category(tmp_path: Path) -> None:
    _files(tmp_path, "pug/1.png", "taxi/1.png")
    assert _listed(tmp_path, class_names=DEMO) == [("pug/1.png", "n02110958", "pug", "dogs", DEMO.index("pug")),
                                                   ("taxi/1.png", "", "taxi", "cars", DEMO.index("taxi"))]


def test_a_flat_folder_is_read_by_its_table(tmp_path: Path) -> None:
    _files(tmp_path, "x.JPEG", "y.JPEG", "unlisted.JPEG")
    _table(tmp_path, "y.JPEG\t151\tn02085620\tdogs", "x.JPEG\t0\tn01440764\taquatic_animals")
    assert _listed(tmp_path) == [("x.JPEG", "n01440764", "tench", "aquatic", 0),
                                 ("y.JPEG", "n02085620", "Chihuahua", "dogs", 151)]


def test_a_table_elsewhere_outranks_the_folders_own(tmp_path: Path) -> None:
    _files(tmp_path, "x.JPEG", "sub/y.JPEG")
    _table(tmp_path, "x.JPEG\t151\tn02085620\tdogs")
    other = _table(tmp_path, "sub\\y.JPEG\tbanana\tcars", head="file\tcategory\tclass", name="other.tsv")
    assert _listed(tmp_path, labels=other) == [("sub/y.JPEG", "n07753592", "banana", "cars", 954)]


def test_a_table_without_classes_takes_the_projects(tmp_path: Path) -> None:
    _files(tmp_path, "x.JPEG", "y.JPEG")
    _table(tmp_path, "x.JPEG\tn07753592", "y.JPEG\tn02085620", head="file\twnid")
    assert [row[3] for row in _listed(tmp_path)] == ["fruits", "dogs"]


def test_a_table_may_bring_categories_of_the_users_network(tmp_path: Path) -> None:
    _files(tmp_path, "x.JPEG")
    _table(tmp_path, "x.JPEG\tgreebles\tcars", head="file\tcategory\tclass")
    assert _listed(tmp_path, class_names=("a", "greebles")) == [("x.JPEG", "", "greebles", "cars", 1)]


BAD_TABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "missing file": (("x.JPEG\t151\tn02085620\tdogs", "gone.JPEG\t151\tn02085620\tdogs"), HEAD,
                     r"labels.tsv, row 3: gone.JPEG, which is not in .*; expected a file that exists."),
    "wrong wnid": (("x.JPEG\t151\tn02085621\tdogs",), HEAD, r"row 2: the unknown wnid 'n02085621'; .*Did you mean 'n0"),
    "wrong category": (("x.JPEG\tbananna",), "file\tcategory", r"unknown category 'bananna'; .*Did you mean 'banana'"),
    "wrong index": (("x.JPEG\t152\tn02085620\tdogs",), HEAD, "row 2: imagenet_index 152 for n02085620; expected 151"),
    "twice": (("x.JPEG\t151\tn02085620\tdogs",) * 2, HEAD, "row 3: x.JPEG again, as in row 2; expected every"),
    "no label": (("x.JPEG\t151\tn/a\tdogs",), HEAD, "row 2: neither wnid nor category"),
    "no file": (("n/a\t151\tn02085620\tdogs",), HEAD, "row 2: file None; expected a path inside the folder"),
    "outside": (("../x.JPEG\t151\tn02085620\tdogs",), HEAD, "row 2: file '../x.JPEG'; expected a path inside"),
    "absolute": (("/x.JPEG\t151\tn02085620\tdogs",), HEAD, "row 2: file '/x.JPEG'; expected a path inside"),
    "no column": (("x.JPEG\tdogs",), "file\tclass", "labels.tsv: the columns file, class; expected file, and"),
    "other classes": (("x.JPEG\t151\tn02085620\tcats",), HEAD, "1 photographs, none of the study's classes"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_does_not_hold_is_one_clear_error(tmp_path: Path, case: str) -> None:
    rows, head, said = BAD_TABLES[case]
    _files(tmp_path, "x.JPEG")
    _table(tmp_path, *rows, head=head)
    with pytest.raises(StimulusError, match=said):
        _listed(tmp_path)


def test_a_table_that_is_no_table_or_missing_is_named(tmp_path: Path) -> None:
    _files(tmp_path, "x.JPEG")
    (tmp_path / "labels.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="labels.tsv: a table that cannot be read"):
        _listed(tmp_path)
    with pytest.raises(StoreError, match="gone.tsv: no such file"):
        _listed(tmp_path, labels=tmp_path / "gone.tsv")


@pytest.mark.parametrize(("files", "said"), [
    (("n02085621/a.JPEG",), "n02085621: the unknown wnid 'n02085621'; expected one of ImageNet's 1000 wnids"),
    (("dalmation/a.JPEG",), "the unknown category 'dalmation'; .*Did you mean 'dalmatian'"),
    (("train/n02085620/a.JPEG",), r"a folder 'train' that holds the folders of categories \(n02085620\)"),
    (("a.JPEG",), "neither class folders nor labels.tsv; expected folders named by wnid, or a table of labels"),
])
def test_folders_that_cannot_be_labelled_are_refused(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    _files(tmp_path, *files)
    with pytest.raises(StimulusError, match=said):
        _listed(tmp_path)
    with pytest.raises(StimulusError, match="nowhere: no such folder; expected a folder of photographs"):
        _listed(tmp_path / "nowhere")


def test_a_category_without_an_output_is_refused(tmp_path: Path) -> None:
    _files(tmp_path, "n02085620/a.JPEG")
    with pytest.raises(StimulusError, match="category 'Chihuahua', for which the network has no output"):
        _listed(tmp_path, class_names=DEMO)


def test_the_digest_is_of_names_labels_and_content_not_of_place_or_time(tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        listing = list_candidates(folder, class_names=IMAGENET, classes=CLASSES)
        return digest_of(listing, listing.digests())

    first = digest(_files(tmp_path / "a", "n02085620/a.JPEG", "n07753592/c.png"))
    assert digest(_files(tmp_path / "b", "n02085620/a.JPEG", "n07753592/c.png")) == first
    (tmp_path / "b/n07753592/c.png").write_bytes(b"n07753592/d.png")
    others = {digest(tmp_path / "b"), digest(_files(tmp_path / "c", "n02085620/a.JPEG", "n07753592/d.png")),
              digest(_files(tmp_path / "a", "n07753592/e.png"))}
    assert len(others) == 3
    assert first not in others
