"""The table of images: identity by pixels, exact round trips, and one violation for every guard."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from stimuli.manifest import (
    COLUMNS,
    TYPES,
    Manifest,
    SetNetwork,
    Stimulus,
    image_id_of,
    read_image,
    read_manifest,
    read_pixels,
    read_set_network,
    write_manifest,
)
from subjects.errors import ManifestError

ROW = Stimulus(image_id="px-0123456789abcdef", file="images/RE/dogs-01_RE.png", type="RE", base_image="dogs-01",
               category="beagle", category_index=0, class_name="dogs", target_category=None, target_index=None,
               network="demo", network_digest="d" * 16, p_before=0.5, p_after=0.995, l2=0.0, linf=0.0, ssim=1.0,
               contrast_rms=40.0, iterations=2, seed=11)


def _rows(n: int = 3) -> Manifest:
    return Manifest(tuple(
        dataclasses.replace(ROW, image_id=f"px-{base:08x}{k:08x}", file=f"images/{kind}/dogs-{base:02d}_{kind}.png",
                            type=kind, base_image=f"dogs-{base:02d}",
                            target_category=None if kind == "RE" else "taxi",
                            target_index=None if kind == "RE" else 16)
        for base in range(1, n + 1) for k, kind in enumerate(TYPES)))


def _edited(tmp_path: Path, edit: Callable[[list[list[str]]], None]) -> Path:
    path = write_manifest(tmp_path / "manifest.tsv", _rows(), overwrite=True)
    cells = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    edit(cells)
    path.write_text("".join("\t".join(row) + "\n" for row in cells), encoding="utf-8")
    return path


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))))
def test_an_identity_is_sha256_over_shape_and_bytes(pixels: np.ndarray) -> None:
    plain = hashlib.sha256(str(tuple(pixels.shape)).encode() + bytes(pixels.reshape(-1).tolist())).hexdigest()
    assert image_id_of(pixels) == f"px-{plain[:16]}"
    assert image_id_of(np.asfortranarray(pixels)) == image_id_of(pixels)


@given(hnp.arrays(np.uint8, (3, 3, 3)), st.integers(0, 26), st.integers(1, 255))
def test_any_changed_value_changes_the_identity(pixels: np.ndarray, place: int, change: int) -> None:
    other = pixels.copy()
    other.reshape(-1)[place] ^= np.uint8(change)
    assert image_id_of(other) != image_id_of(pixels)


def test_the_shape_belongs_to_the_identity() -> None:
    assert image_id_of(np.zeros((2, 8, 3), np.uint8)) != image_id_of(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_an_identity_needs_8_bit_rgb(pixels: np.ndarray) -> None:
    with pytest.raises(ManifestError, match=r"expected uint8 \(height, width, 3\)"):
        image_id_of(pixels)


finite = st.floats(0, 1e6, allow_nan=False)
words = st.text("abcdefghijklmnopqrstuvwxyz -", min_size=1, max_size=12).filter(lambda text: text.strip() == text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(p=st.tuples(st.floats(0, 1), st.floats(0, 1)),
       measures=st.tuples(finite, st.floats(0, 1), st.floats(-1, 1), st.floats(0, 127.5)),
       counts=st.tuples(st.integers(0, 999), st.integers(0, 10**6), st.integers(0, 2**63 - 1)), category=words,
       target=st.none() | st.tuples(words, st.integers(0, 999)))
def test_every_value_comes_back_bit_by_bit(tmp_path: Path, p: tuple[float, float], measures: tuple[float, ...],
                                           counts: tuple[int, int, int], category: str,
                                           target: tuple[str, int] | None) -> None:
    name, index = target or (None, None)
    row = dataclasses.replace(ROW, p_before=p[0], p_after=p[1], l2=measures[0], linf=measures[1], ssim=measures[2],
                              contrast_rms=measures[3], category_index=counts[0], iterations=counts[1],
                              seed=counts[2], category=category, target_category=name, target_index=index)
    path = write_manifest(tmp_path / "manifest.tsv", Manifest((row,)), overwrite=True)
    back = read_manifest(path)
    assert back.stimuli == (row,)
    assert back.digest == Manifest((row,)).digest


def test_the_columns_are_the_contract(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "manifest.tsv", _rows())
    head, first, *_ = path.read_text(encoding="utf-8").splitlines()
    assert head.split("\t") == list(COLUMNS) == [
        "image_id", "file", "type", "base_image", "category", "category_index", "class", "target_category",
        "target_index", "network", "network_digest", "p_before", "p_after", "l2", "linf", "ssim", "contrast_rms",
        "iterations", "seed"]
    assert first.split("\t")[7:9] == ["n/a", "n/a"]


def test_the_digest_is_that_of_the_rows_as_json() -> None:
    rows = [{field: getattr(ROW, field) for field in sorted(ROW.__dataclass_fields__)}]
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    assert Manifest((ROW,)).digest == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert Manifest((dataclasses.replace(ROW, seed=12),)).digest != Manifest((ROW,)).digest


def test_images_are_found_by_name_and_by_place() -> None:
    manifest = _rows()
    assert len(manifest) == 9
    assert manifest.base_images == ("dogs-01", "dogs-02", "dogs-03")
    an = manifest.get(base_image="dogs-02", type="AN")
    assert manifest.by_id(an.image_id) is an
    assert manifest.image_ids("AN")[1] == an.image_id
    shuffled = Manifest((manifest.stimuli[4], *manifest.stimuli[:4], *manifest.stimuli[5:]))
    assert shuffled.base_images == ("dogs-02", "dogs-01", "dogs-03")
    assert [shuffled.by_id(name).base_image for name in shuffled.image_ids("RE")] == list(shuffled.base_images)


def test_a_strange_image_or_place_is_an_error() -> None:
    with pytest.raises(ManifestError, match="image 'px-none'; expected an image of this study"):
        _rows().by_id("px-none")
    with pytest.raises(ManifestError, match="no AN of 'cats-01'"):
        _rows().get(base_image="cats-01", type="AN")


@pytest.mark.parametrize(("change", "said"), [
    ({"type": "XX"}, "type 'XX'; expected one of RE, AN, AI"),
    ({"image_id": "0123"}, "image_id '0123'; expected px- and a digest"),
    ({"file": "/etc/passwd"}, "file '/etc/passwd'; expected a path inside stimuli/"),
    ({"file": "../x.png"}, "expected a path inside stimuli/"),
    ({"p_after": 1.5}, "p_after = 1.5; expected a probability"),
    ({"p_before": math.nan}, "p_before = nan; expected a probability"),
])
def test_a_row_is_validated(change: dict[str, object], said: str) -> None:
    with pytest.raises(ManifestError, match=said.replace("(", r"\(")):
        dataclasses.replace(ROW, **change)


@pytest.mark.parametrize(("change", "said"), [
    ({"image_id": "px-0000000100000000"}, "image_id 'px-0000000100000000' twice"),
    ({"file": "images/RE/dogs-01_RE.png"}, "file 'images/RE/dogs-01_RE.png' twice"),
    ({"base_image": "dogs-01", "type": "RE"}, "base image and type 'dogs-01 RE' twice"),
])
def test_nothing_is_there_twice(change: dict[str, str], said: str) -> None:
    rows = list(_rows().stimuli)
    rows[5] = dataclasses.replace(rows[5], **change)
    with pytest.raises(ManifestError, match=said):
        Manifest(tuple(rows))


def test_a_missing_table_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file; expected a stimulus manifest.*stimuli build"):
        read_manifest(tmp_path / "manifest.tsv")


def _drop_column(cells: list[list[str]]) -> None:
    for row in cells:
        del row[COLUMNS.index("ssim")]


def _set(row: int, column: str, value: str) -> Callable[[list[list[str]]], None]:
    def edit(cells: list[list[str]]) -> None:
        cells[row][COLUMNS.index(column)] = value
    return edit


@pytest.mark.parametrize(("edit", "said"), [
    (_drop_column, "no column 'ssim'"),
    (_set(0, "ssim", "sim"), "an unknown column 'sim'|no column 'ssim'"),
    (_set(3, "type", "ZZ"), "type 'ZZ'"),
    (_set(2, "seed", "many"), "row 3: seed = 'many'; expected int"),
    (_set(2, "category_index", "1.5"), "row 3: category_index = '1.5'; expected int"),
    (_set(4, "l2", "far"), "row 5: l2 = 'far'; expected float"),
    (_set(1, "category", "n/a"), "row 2: no category; expected a value"),
    (_set(2, "image_id", "px-0000000100000000"), "image_id 'px-0000000100000000' twice"),
])
def test_a_spoilt_table_gets_one_clear_error(tmp_path: Path, edit: Callable[[list[list[str]]], None],
                                             said: str) -> None:
    with pytest.raises(ManifestError, match=said) as caught:
        read_manifest(_edited(tmp_path, edit))
    assert "\n" not in str(caught.value)


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, Stimulus, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    path = tmp_path / ROW.file
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path)
    return path, dataclasses.replace(ROW, image_id=image_id_of(pixels)), pixels


def test_pixels_come_back_the_right_way_up(tmp_path: Path, image: tuple[Path, Stimulus, np.ndarray]) -> None:
    _, row, pixels = image
    np.testing.assert_array_equal(read_pixels(tmp_path, row), pixels)


def test_one_changed_pixel_is_named_with_both_digests(tmp_path: Path,
                                                      image: tuple[Path, Stimulus, np.ndarray]) -> None:
    path, row, pixels = image
    pixels[4, 4, 1] ^= 1
    Image.fromarray(pixels).save(path)
    with pytest.raises(ManifestError, match=f"dogs-01_RE.png: pixels with digest {image_id_of(pixels)}; "
                                            f"expected {row.image_id}"):
        read_pixels(tmp_path, row)


def test_a_missing_image_is_named(tmp_path: Path, image: tuple[Path, Stimulus, np.ndarray]) -> None:
    image[0].unlink()
    with pytest.raises(ManifestError, match="dogs-01_RE.png: no such file; expected an image of the set"):
        read_pixels(tmp_path, image[1])


def test_an_image_that_is_not_square_is_named(tmp_path: Path, image: tuple[Path, Stimulus, np.ndarray]) -> None:
    Image.fromarray(image[2][:, :5]).save(image[0])
    with pytest.raises(ManifestError, match="5 x 9 pixels; expected a square image"):
        read_pixels(tmp_path, image[1])


def test_only_8_bit_rgb_is_read(image: tuple[Path, Stimulus, np.ndarray]) -> None:
    Image.fromarray(image[2]).convert("RGBA").save(image[0])
    with pytest.raises(ManifestError, match="an image of mode RGBA; expected 8-bit RGB"):
        read_image(image[0])
    image[0].write_bytes(b"no picture")
    with pytest.raises(ManifestError, match="no readable image"):
        read_image(image[0])


@pytest.mark.parametrize(("name", "value", "said"), [
    ("l2", "nan", "l2 = nan; expected a distance, finite and not negative"),
    ("l2", "inf", "l2 = inf; expected a distance, finite"),
    ("l2", "-1", "l2 = -1.0; expected a distance"),
    ("linf", "1.2", "linf = 1.2; expected a distance from 0 to 1"),
    ("ssim", "-1.5", "ssim = -1.5; expected a similarity from -1 to 1"),
    ("contrast_rms", "200", "contrast_rms = 200.0; expected grey levels from 0 to 127.5"),
    ("p_before", "NaN", "p_before = nan; expected a probability"),
    ("p_after", "1.01", "p_after = 1.01; expected a probability"),
    ("category_index", "-1", "category_index = -1; expected the index of an output"),
    ("iterations", "-3", "iterations = -3; expected a count"),
])
def test_a_number_out_of_its_range_is_named_with_its_row(tmp_path: Path, name: str, value: str, said: str) -> None:
    path = write_manifest(tmp_path / "manifest.tsv", Manifest((ROW,)))
    header, row = path.read_text().splitlines()
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True)) | {name: value}
    path.write_text("\n".join([header, "\t".join(cells.values())]) + "\n")
    with pytest.raises(ManifestError, match=r"manifest.tsv, row 2 \(.*\.png\): " + re.escape(said)):
        read_manifest(path)


def test_a_table_without_rows_is_no_manifest(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "manifest.tsv", Manifest((ROW,)))
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(ManifestError, match="a table without rows; expected a row for every image. Restore the table"):
        read_manifest(path)


def test_the_same_pixels_in_two_rows_are_named_with_both_files() -> None:
    other = dataclasses.replace(ROW, file="images/RE/other.png", base_image="birds-01")
    with pytest.raises(ManifestError, match=rf"image_id '{ROW.image_id}' twice \({ROW.file} and images/RE/other.png"):
        Manifest((ROW, other))


def _with_record(path: Path, **changes: object) -> Path:
    """A manifest with a sidecar whose record of the network is changed."""
    write_manifest(path, Manifest((ROW,)))
    record = {"name": ROW.network, "digest": ROW.network_digest, "weights": "w.npz", "weights_digest": "ab12",
              "preprocessing": "caffe-227", "tap": "after norm and pool"}
    path.with_suffix(".json").write_text(json.dumps({"network": {**record, **changes}}), encoding="utf-8")
    return path


def test_the_network_of_a_set_is_read_from_its_record(tmp_path: Path) -> None:
    found = read_set_network(_with_record(tmp_path / "manifest.tsv", weights=None))
    assert found == SetNetwork(ROW.network, ROW.network_digest, None, "ab12", "caffe-227", "after norm and pool")


def test_a_function_of_ones_own_is_how_its_network_is_loaded_again(tmp_path: Path) -> None:
    found = read_set_network(_with_record(tmp_path / "manifest.tsv", function="lab.nets:load"))
    assert (found.name, found.loaded_as) == (ROW.network, "lab.nets:load")
    assert SetNetwork("demo", "ab12").loaded_as == "demo"


@pytest.mark.parametrize("beside", [None, "{}", '{"inputs": {"network": "x"}}'])
def test_a_set_without_a_record_has_the_network_of_its_rows(tmp_path: Path, beside: str | None) -> None:
    path = write_manifest(tmp_path / "manifest.tsv", Manifest((ROW,)))
    if beside is not None:
        path.with_suffix(".json").write_text(beside, encoding="utf-8")
    assert read_set_network(path) == SetNetwork(ROW.network, ROW.network_digest, None, None, None, None)


def test_rows_of_two_networks_are_refused_with_both_digests(tmp_path: Path) -> None:
    other = dataclasses.replace(ROW, type="AN", file="images/AN/x.png", image_id="px-1", network_digest="0ther")
    path = write_manifest(tmp_path / "manifest.tsv", Manifest((ROW, other)))
    with pytest.raises(ManifestError, match=rf"images/AN/x.png: network \w+ 0ther; expected \w+ {ROW.network_digest}, "
                                            "as in the rows before"):
        read_set_network(path)


@pytest.mark.parametrize("changes", [{"digest": "0ther"}, {"name": "other"}])
def test_a_record_of_another_network_than_the_rows_is_refused_with_both(tmp_path: Path,
                                                                        changes: dict[str, str]) -> None:
    path = _with_record(tmp_path / "manifest.tsv", **changes)
    (value,) = changes.values()
    with pytest.raises(ManifestError, match=rf"rows of network {ROW.network} {ROW.network_digest}; expected "
                                            rf".*{value}.*, as in manifest.json.*build --study .* --overwrite"):
        read_set_network(path)


@pytest.mark.parametrize("changes", [{"digest": None}, {"name": 3}, {"weights": ["w.npz"]}])
def test_a_record_that_is_none_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ManifestError, match=r"manifest.json, network: .*expected texts under name, digest"):
        read_set_network(_with_record(tmp_path / "manifest.tsv", **changes))


@pytest.mark.parametrize("file", ["images/\0.png", "images/a\nb.png", "C:images/a.png", "images\\a.png", "/a.png", ""])
def test_a_path_that_leads_out_of_the_folder_is_refused(file: str) -> None:
    with pytest.raises(ManifestError, match="expected a path inside stimuli/, with forward slashes"):
        dataclasses.replace(ROW, file=file)
