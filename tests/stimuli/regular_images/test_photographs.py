"""Photographs as they come: each is read as it should be seen, or refused in one sentence before it does harm."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stimuli.regular_images.photographs import MAX_PIXELS, RESIZES, enlarged, read_facts, read_photograph, to_square
from subjects.errors import StimulusError

RNG = np.random.default_rng(3)
SMOOTH = cv2.resize(RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8), (70, 50), interpolation=cv2.INTER_CUBIC)


def _save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def _png(width: int, height: int, *, bits: int = 8, color: int = 2) -> bytes:
    """A PNG whose header announces what its data do not hold."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 50)) + chunk(b"IEND", b"")


def test_an_rgb_png_comes_back_bit_by_bit(tmp_path: Path) -> None:
    photograph = read_photograph(_save(tmp_path / "a.png", Image.fromarray(SMOOTH)))
    assert np.array_equal(photograph.pixels, SMOOTH)
    assert (photograph.facts.width, photograph.facts.height, photograph.facts.mode) == (70, 50, "RGB")
    assert photograph.facts.aspect == pytest.approx(1.4)
    assert photograph.facts.notes == ()


def test_a_jpeg_agrees_with_opencv(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.jpg", Image.fromarray(SMOOTH), quality=95)
    theirs = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    assert np.abs(read_photograph(path).pixels - theirs).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_otherwise_gives_an_upright_photograph(tmp_path: Path, orientation: int) -> None:
    """OpenCV applies the orientation as well."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _save(tmp_path / "a.jpg", Image.fromarray(SMOOTH), quality=95, exif=exif)
    photograph = read_photograph(path)
    theirs = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    assert photograph.pixels.shape == theirs.shape
    assert np.abs(photograph.pixels - theirs).max() <= 3
    facts = read_facts(path)
    assert (facts.height, facts.width) == theirs.shape[:2]
    assert facts.notes == (("turned upright as its EXIF says",) if orientation > 1 else ())


def test_a_png_with_exif_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = _save(tmp_path / "a.png", Image.fromarray(SMOOTH), exif=exif)
    assert np.array_equal(read_photograph(path).pixels, np.rot90(SMOOTH, k=-1))


@pytest.mark.parametrize("value", [0, 9, 4000])
def test_a_senseless_orientation_counts_as_upright(tmp_path: Path, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    path = _save(tmp_path / "a.jpg", Image.fromarray(SMOOTH), exif=exif)
    assert read_photograph(path).pixels.shape == (50, 70, 3)


@pytest.mark.parametrize(("mode", "ending", "note"), [
    ("L", "jpg", "grey, made RGB"), ("L", "png", "grey, made RGB"), ("1", "png", "black and white, made RGB"),
    ("CMYK", "jpg", "CMYK, made RGB"), ("P", "png", "palette, made RGB")])
def test_other_modes_are_made_rgb_and_say_so(tmp_path: Path, mode: str, ending: str, note: str) -> None:
    image = Image.fromarray(SMOOTH).convert(mode)
    photograph = read_photograph(_save(tmp_path / f"a.{ending}", image))
    assert photograph.facts.notes == (note,)
    wanted = np.asarray(image.convert("RGB")).astype(int)
    assert photograph.pixels.shape == (50, 70, 3)
    assert np.abs(photograph.pixels - wanted).max() <= (25 if ending == "jpg" else 0)
    if mode in ("L", "1"):
        assert (photograph.pixels == photograph.pixels[..., :1]).all()


def test_a_cmyk_photograph_is_no_negative(tmp_path: Path) -> None:
    """Adobe stores CMYK inverted; read without care, every photograph of that kind is a negative."""
    path = _save(tmp_path / "a.jpg", Image.fromarray(SMOOTH).convert("CMYK"), quality=95)
    assert np.corrcoef(read_photograph(path).pixels.ravel(), SMOOTH.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_dropped_only_where_nothing_shines_through(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(SMOOTH).convert("RGB" if mode == "RGBA" else mode[0]).convert(mode)
    options = {"transparency": bytes([255] * 256)} if mode == "P" else {}
    photograph = read_photograph(_save(tmp_path / "a.png", image, **options))
    assert "opaque alpha dropped" in photograph.facts.notes
    assert np.array_equal(photograph.pixels, np.asarray(image.convert("RGB")))
    if mode == "P":
        clear = _save(tmp_path / "b.png", image, transparency=bytes([255] * 3 + [0] * 253))
    else:
        alpha = np.full((50, 70), 255, np.uint8)
        alpha[3, 4] = 254
        image.putalpha(Image.fromarray(alpha))
        clear = _save(tmp_path / "b.png", image)
    with pytest.raises(StimulusError, match=r"b.png: transparent pixels; expected an opaque image. Flatten it"):
        read_photograph(clear)


def _truncated(path: Path, kind: str) -> None:
    content = io.BytesIO()
    Image.fromarray(SMOOTH).save(content, format=kind)
    path.write_bytes(content.getvalue()[:-200])


SPOILT: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "truncated jpeg": ("a.jpg", lambda path: _truncated(path, "JPEG"),
                       r"ends early or is damaged .*expected a whole JPEG or PNG. Fetch the file again or remove it"),
    "truncated png": ("a.png", lambda path: _truncated(path, "PNG"), "ends early or is damaged"),
    "empty": ("a.jpg", lambda path: path.write_bytes(b""), r"an empty file \(0 bytes\); expected a JPEG or PNG. Fetch"),
    "text": ("a.jpg", lambda path: path.write_bytes(b"<html>Not found</html>"), "no JPEG or PNG by its first bytes"),
    "gif": ("a.gif", lambda path: Image.fromarray(SMOOTH).save(path), "no JPEG or PNG by its first bytes.*Save it"),
    "16 bit rgb": ("a.png", lambda path: cv2.imwrite(str(path), SMOOTH.astype(np.uint16) * 257),
                   "16 bits a channel; expected 8 bits a channel, as displays show. Save it with 8 bits"),
    "16 bit grey": ("a.png", lambda path: cv2.imwrite(str(path), SMOOTH[..., 0].astype(np.uint16) * 257), "16 bits"),
    "huge": ("a.png", lambda path: path.write_bytes(_png(30_000, 30_000)),
             r"a header that announces 30000 x 30000 pixels; expected at most 64,000,000 pixels. Nothing was decoded"),
    "huge jpeg": ("a.jpg", lambda path: path.write_bytes(_huge_jpeg()), "announces 65000 x 65000 pixels"),
    "missing": ("a.jpg", lambda path: None, "no such file; expected a photograph. Restore it"),
    "a folder": ("a.jpg", lambda path: path.mkdir(), "a file that cannot be read .Is a directory"),
    "broken header": ("a.png", lambda path: path.write_bytes(_png(3, 3)[:40]), "ends early or is damaged"),
    "no pixels": ("a.png", lambda path: path.write_bytes(_png(0, 0)), "a.png: "),
}


def _huge_jpeg() -> bytes:
    content = io.BytesIO()
    Image.fromarray(SMOOTH).save(content, format="JPEG")
    data = bytearray(content.getvalue())
    place = data.index(b"\xff\xc0")
    data[place + 5:place + 9] = struct.pack(">HH", 65000, 65000)
    return bytes(data)


@pytest.mark.parametrize("case", SPOILT)
def test_what_cannot_be_shown_is_one_clear_error(tmp_path: Path, case: str) -> None:
    name, spoil, said = SPOILT[case]
    spoil(tmp_path / name)
    with pytest.raises(StimulusError, match=said) as caught:
        read_photograph(tmp_path / name)
    assert caught.value.where == str(tmp_path / name)


def test_a_huge_image_is_refused_without_memory_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png(30_000, 30_000))
    tracemalloc.start()
    with pytest.raises(StimulusError):
        read_facts(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_the_header_of_a_large_png_is_read_without_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png(8000, MAX_PIXELS // 8000))
    assert read_facts(path).width == 8000


JPEG, PNG = (io.BytesIO(), io.BytesIO())
Image.fromarray(SMOOTH).save(JPEG, format="JPEG")
Image.fromarray(SMOOTH).save(PNG, format="PNG")


@given(st.sampled_from([JPEG, PNG]), st.data())
@settings(max_examples=150)
def test_a_file_cut_anywhere_gives_the_same_pixels_or_a_refusal(tmp_path_factory: pytest.TempPathFactory,
                                                                 whole: io.BytesIO, data: st.DataObject) -> None:
    content = whole.getvalue()
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(content)
    wanted = read_photograph(path).pixels
    path.write_bytes(content[:data.draw(st.integers(0, len(content)))])
    try:
        found = read_photograph(path).pixels
    except StimulusError:
        return
    assert np.array_equal(found, wanted)


@given(st.sampled_from([JPEG, PNG]), st.data())
@settings(max_examples=150)
def test_a_byte_changed_anywhere_raises_nothing_but_a_refusal(tmp_path_factory: pytest.TempPathFactory,
                                                              whole: io.BytesIO, data: st.DataObject) -> None:
    content = bytearray(whole.getvalue())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(bytes(content))
    try:
        found = read_photograph(path).pixels
    except StimulusError:
        return
    assert found.dtype == np.uint8
    assert found.shape[2] == 3


@given(st.integers(1, 60), st.integers(1, 60), st.integers(8, 48), st.sampled_from(RESIZES))
@settings(max_examples=60)
def test_every_photograph_fits_the_square(height: int, width: int, side: int, resize: str) -> None:
    uniform = np.full((height, width, 3), (9, 90, 200), np.uint8)
    square = to_square(uniform, side=side, resize=resize)
    assert square.shape == (side, side, 3)
    assert (square == (9, 90, 200)).all()


def test_warp_maps_the_whole_photograph_and_crop_keeps_its_shape() -> None:
    """A ramp from left to right: what is left of it says what was cut off."""
    ramp = np.repeat(np.linspace(0, 255, 400).round().astype(np.uint8)[None, :, None], 300, axis=0).repeat(3, axis=2)
    warped, cropped = (to_square(ramp, side=227, resize=how)[100, :, 0] for how in ("warp", "crop"))
    assert (warped[0], warped[-1]) == (0, 255)
    assert cropped[-1] - int(cropped[0]) == pytest.approx(255 * (227 / 256) * (300 / 400), abs=2)
    middle = to_square(ramp, side=227, resize="warp-crop")[100, :, 0]
    assert middle[-1] - int(middle[0]) == pytest.approx(255 * 227 / 256, abs=2)
    for row in (warped, cropped, middle):
        assert int(row[0]) + int(row[-1]) == pytest.approx(255, abs=2)


def test_a_photograph_that_shrinks_is_averaged_not_sampled() -> None:
    stripes = np.zeros((454, 454, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(to_square(stripes, side=227, resize="warp").astype(int) - 100).max() <= 26


def test_a_photograph_of_the_right_size_is_left_alone() -> None:
    exact = RNG.integers(0, 256, (227, 227, 3), dtype=np.uint8)
    assert np.array_equal(to_square(exact, side=227, resize="warp"), exact)
    wide = RNG.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert np.array_equal(to_square(wide, side=227, resize="crop"), wide[14:241, 14:241])
    assert enlarged(227) == 256
