"""Importance maps: where in an image people look for what it shows; read from files into one record.

Three sources give the same record: ``.npz``, an image each (keys ``map``, or ``maps`` of several people; ``image``,
``label``, ``image_id`` where known); a folder of participants, ``sub-*/...npz``, as ``run_session.py clickme`` and
other labs write them; and ClickMe's TFRecord files (Linsley et al., 2019, ICLR).
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from stimuli.alignment.importance.processing import resampled
from stimuli.alignment.importance.tf_records import ENDINGS, Feature, read_examples
from stimuli.files import Pixels, image_id_of
from subjects.errors import StimulusError

log = logging.getLogger(__name__)

Map = NDArray[np.float32]
_MAP_KEYS = ("map", "heatmap", "maps")


@dataclass(frozen=True, eq=False)
class ImportanceMap:
    """What people look at in one image.

    Parameters
    ----------
    image_id : str
        Of the image; see :func:`stimuli.files.image_id_of`. Where a file names none and holds no image: its own name.
    values : float32 array, (height, width)
        Importance, finite and not negative, of no fixed unit; the mean over people.
    image : uint8 array, (height, width, 3), optional
        The image itself, RGB.
    label : int, optional
        Index of its category among the outputs of the networks that it is meant for.
    participants : float32 array, (n, height, width), optional
        The maps that `values` is the mean of, a person each.
    """

    image_id: str
    values: Map = field(repr=False)
    image: Pixels | None = field(default=None, repr=False)
    label: int | None = None
    participants: Map | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class ImportanceMaps:
    """The importance maps of several images, of one size.

    Parameters
    ----------
    image_ids : tuple of str
        Of the images, n different ones.
    maps : float32 array, (n, height, width)
        Importance, the mean over people.
    images : tuple of (uint8 array, (height, width, 3)) or None
        The images where the source holds them, in their own size.
    labels : tuple of int or None
        Categories where the source names them.
    participants : tuple of (float32 array, (n_people, height, width)) or None
        Single people's maps where the source holds them; what the human ceiling is estimated from.
    source : str
        Where they were read.
    """

    image_ids: tuple[str, ...]
    maps: Map = field(repr=False)
    images: tuple[Pixels | None, ...] = field(repr=False)
    labels: tuple[int | None, ...]
    participants: tuple[Map | None, ...] = field(repr=False)
    source: str = ""

    def __post_init__(self) -> None:
        n = len(self.image_ids)
        if self.maps.ndim != 3 or self.maps.dtype != np.float32 or \
                {n} != {len(self.maps), len(self.images), len(self.labels), len(self.participants)}:
            raise ValueError(f"{n} images with maps {self.maps.dtype} {self.maps.shape}, {len(self.images)} images, "
                             f"{len(self.labels)} labels, {len(self.participants)} stacks of people")
        if len(set(self.image_ids)) != n:
            raise ValueError("an image_id that stands twice")

    def __len__(self) -> int:
        """Count the images."""
        return len(self.image_ids)

    def among(self, image_ids: Iterable[str]) -> ImportanceMaps:
        """Give the maps of those images that have one, in the order asked for."""
        places = {image_id: k for k, image_id in enumerate(self.image_ids)}
        rows = [places[image_id] for image_id in image_ids if image_id in places]
        return replace(self, image_ids=tuple(self.image_ids[k] for k in rows), maps=self.maps[rows],
                       images=tuple(self.images[k] for k in rows), labels=tuple(self.labels[k] for k in rows),
                       participants=tuple(self.participants[k] for k in rows))


def read_importance_maps(source: Path, *, side: int | None = None) -> ImportanceMaps:
    """Read the importance maps of a source, all of them.

    Parameters
    ----------
    source : Path
        An ``.npz`` or TFRecord file, a folder of them, or a folder of participants (``sub-*``).
    side : int, optional
        Side in px that square maps are brought to (bilinear). Default: their own; where a source holds several sizes,
        the largest one's longer side.

    Raises
    ------
    StimulusError
        If nothing is there, a file cannot be read, a map is not finite, negative or (but in a record file, where it is
        left out with a warning) the same everywhere, an image comes twice, or a map that must be brought to a side is
        not square.
    """
    found = list(iterate_importance_maps(source, side=side))
    first: dict[str, int] = {}
    for k, one in enumerate(found, start=1):
        if one.image_id in first:
            _refuse(str(source), f"image {one.image_id} twice (maps {first[one.image_id]} and {k})", "every image once",
                    "Remove one of them; maps of several people belong into folders sub-*, or into one file as `maps`.")
        first[one.image_id] = k
    if len({one.values.shape for one in found}) > 1:
        largest = max(max(one.values.shape) for one in found)
        found = [_brought_to(one, side=largest) for one in found]
    return ImportanceMaps(tuple(one.image_id for one in found), np.stack([one.values for one in found]),
                          tuple(one.image for one in found), tuple(one.label for one in found),
                          tuple(one.participants for one in found), str(source))


def iterate_importance_maps(source: Path, *, side: int | None = None) -> Iterator[ImportanceMap]:
    """Read the maps of a source one at a time, for sets that are larger than the memory.

    Parameters and errors are those of :func:`read_importance_maps`, but that an image which comes twice is no error,
    and maps keep their own sizes unless a side is named. The order is that of the files' names, and of the records in a
    file.
    """
    source = Path(source)
    people = sorted(path for path in source.glob("sub-*") if path.is_dir()) if source.is_dir() else []
    maps = _of_people(people) if people else (one for path in _files(source) for one in _read(path))
    n = 0
    for n, one in enumerate(maps, start=1):  # noqa: B007 - counted
        yield one if side is None else _brought_to(one, side=side)
    if n == 0:
        _refuse(str(source), "no importance map", f"maps as .npz, {' or '.join(ENDINGS)}, or folders sub-* of them",
                "Correct the path.")


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        _refuse(str(source), "no such file or folder", "importance maps", "Correct the path.")
    return sorted(path for path in source.iterdir() if path.is_file() and _is_named_as_maps(path))


def _is_named_as_maps(path: Path) -> bool:
    """Know the files by their names; Keras keeps ClickMe's without an ending, as ``clickme_val_3``. None is hidden."""
    return not path.name.startswith(".") and (path.suffix in (".npz", *ENDINGS) or
                                              (path.suffix == "" and path.name.startswith("clickme_")))


def _read(path: Path) -> Iterator[ImportanceMap]:
    if path.suffix == ".npz":
        yield _read_npz(path)
        return
    for number, example in enumerate(read_examples(path), start=1):
        where = f"{path}, record {number}"
        one = _from_example(example, where=where)
        if one.values.min() == one.values.max():  # nobody can take a record out of its file
            log.warning("%s: %g everywhere; left out, since it tells no place from another", where, one.values.flat[0])
        else:
            yield _checked(one, where=where)


def _of_people(folders: list[Path]) -> Iterator[ImportanceMap]:
    """Join the maps that several people made of the same images: the mean, and every person's own."""
    files: dict[str, list[Path]] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*.npz")) if _is_named_as_maps(path)):
        files.setdefault(_read_npz(path).image_id, []).append(path)
    for image_id, paths in sorted(files.items()):
        maps = [_read_npz(path) for path in paths]
        stack = [values for one in maps for values in (one.values[None] if one.participants is None
                                                       else one.participants)]
        sizes = {values.shape[-2:] for values in stack}
        if len(sizes) > 1:
            _refuse(str(paths[0]), f"maps of image {image_id} of several sizes, {sorted(sizes)}", "one size",
                    "Bring the maps of an image to one size.")
        whole = np.stack([values.reshape(values.shape[-2:]) for values in stack])
        image = next((one.image for one in maps if one.image is not None), None)
        label = next((one.label for one in maps if one.label is not None), None)
        yield _checked(ImportanceMap(image_id, _mean(whole), image, label, whole), where=f"{paths[0]} and others")


def _mean(maps: Map) -> Map:
    return np.asarray(maps.mean(axis=0, dtype=np.float64), dtype=np.float32)


def _read_npz(path: Path) -> ImportanceMap:
    held = _arrays(path)
    key = next((name for name in _MAP_KEYS if name in held), None)
    if key is None:
        _refuse(str(path), f"the arrays {', '.join(sorted(held)) or 'none'}", "a map, under `map` or `maps`",
                "Name the array (height, width) `map`, or those of several people (n, height, width) `maps`.")
    values = _as_map(held[key], where=f"{path}, {key}", several=key == "maps")
    image = _as_image(held["image"], where=f"{path}, image") if "image" in held else None
    said = held.get("image_id", np.str_(""))
    if said.shape != () or said.dtype.kind != "U":
        _refuse(f"{path}, image_id", f"{said.dtype} of shape {said.shape}", "one text", "Save it as a plain str.")
    image_id = str(said) or (path.stem if image is None else image_id_of(image))
    label = _as_label(held["label"], where=f"{path}, label") if "label" in held else None
    whole = values if values.ndim == 3 else None
    return _checked(ImportanceMap(image_id, values if whole is None else _mean(whole), image, label, whole),
                    where=str(path))


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """Read all arrays of an npz; a damaged one fails as zipfile, zlib or numpy happen to notice it."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                _refuse(str(path), "a single array, as numpy.save writes it", "an .npz of arrays",
                        "Write it with numpy.savez_compressed.")
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        _refuse(str(path), f"a file that cannot be read ({error})", "an .npz of arrays",
                "Write it with numpy.savez_compressed, without objects.")


def _as_label(value: Any, *, where: str) -> int:
    """Take one whole number, as a scalar or an array of one."""
    values = np.asarray(value)
    if values.size != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values).all() or \
            (whole := float(values.reshape(()))) != int(whole):
        _refuse(where, " ".join(str(value).split())[:60], "one whole number, the index of a category among the outputs",
                "Save the index, not the name.")
    return int(whole)


def _as_map(values: NDArray[Any], *, where: str, several: bool) -> Map:
    values = np.asarray(values)
    plain = values[..., 0] if not several and values.ndim == 3 and values.shape[-1] == 1 else values
    if plain.ndim != 2 + several or plain.dtype.kind not in "fiub" or 0 in plain.shape:
        _refuse(where, f"{values.dtype} of shape {values.shape}", f"numbers ({'n, ' * several}height, width)",
                "Correct the file.")
    with np.errstate(over="ignore"):  # what is no float32 is not finite, and refused
        return plain.astype(np.float32)


def _as_image(values: NDArray[Any], *, where: str) -> Pixels:
    values = np.asarray(values)
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3:
        _refuse(where, f"{values.dtype} of shape {values.shape}", "uint8 (height, width, 3)",
                "Save the image as 8-bit RGB.")
    return np.ascontiguousarray(values)


def _checked(one: ImportanceMap, *, where: str) -> ImportanceMap:
    for values in (one.values, *(() if one.participants is None else one.participants)):
        if not np.isfinite(values).all() or values.min() < 0:
            _refuse(where, "values that are negative or not finite", "importance, zero or more", "Correct the file.")
    if one.values.min() == one.values.max():
        _refuse(where, f"{one.values.flat[0]:g} everywhere", "a map that tells one place from another",
                "Leave the image out: what is the same everywhere has no order of importance.")
    return one


def _from_example(example: Mapping[str, Feature], *, where: str) -> ImportanceMap:
    """Take ClickMe's example: ``image`` and ``heatmap`` as JPEG or PNG, or as raw float32; ``label``."""
    missing = [name for name in ("image", "heatmap") if not example.get(name)]
    if missing:
        _refuse(where, f"the features {', '.join(sorted(example)) or 'none'}", "image, heatmap and label",
                f"Name ClickMe's files; {' and '.join(missing)} cannot be found here.")
    image = _decode(example["image"][0], channels=3, where=f"{where}, image")
    heatmap = _decode(example["heatmap"][0], channels=1, where=f"{where}, heatmap")
    label = example.get("label") or [None]
    peak = 255.0 if image.dtype == np.uint8 or image.max() > 1.0 else 1.0
    pixels = np.clip(np.rint(image * (255.0 / peak)), 0, 255).astype(np.uint8)
    values = _as_map(heatmap, where=f"{where}, heatmap", several=False)
    return ImportanceMap(image_id_of(pixels), values, pixels,
                         None if label[0] is None else _as_label(label[0], where=f"{where}, label"))


def _decode(content: Any, *, channels: int, where: str) -> NDArray[Any]:
    """Decode JPEG and PNG; other bytes are float32 of a square, as some copies of ClickMe hold them."""
    if not isinstance(content, bytes):
        _refuse(where, f"a {type(content).__name__}", "bytes", "Name ClickMe's files.")
    if content[:3] == b"\xff\xd8\xff" or content[:8] == b"\x89PNG\r\n\x1a\n":
        try:
            with Image.open(io.BytesIO(content)) as file:
                return np.asarray(file.convert("L" if channels == 1 else "RGB"), dtype=np.uint8)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            _refuse(where, f"an image that is damaged ({error})", "a whole JPEG or PNG", "Fetch the file again.")
    side = round((len(content) / 4 / channels) ** 0.5)
    if side == 0 or side * side * channels * 4 != len(content):
        _refuse(where, f"{len(content)} bytes that are neither JPEG nor PNG", f"float32 (side, side, {channels})",
                "Name ClickMe's files.")
    values = np.frombuffer(content, dtype="<f4").reshape(side, side, channels)
    if not np.isfinite(values).all():
        _refuse(where, "values that are not finite", "float32 values", "Fetch the file again.")
    return values


def _brought_to(one: ImportanceMap, *, side: int) -> ImportanceMap:
    if one.values.shape[0] != one.values.shape[1]:
        _refuse(one.image_id, f"a map of shape {one.values.shape}", "a square map, as networks see the image",
                "Cut the map as the image was cut.")
    people = None if one.participants is None else resampled(one.participants, side=side)
    return replace(one, values=resampled(one.values, side=side), participants=people)


def _refuse(where: str, came: str, expected: str, remedy: str) -> NoReturn:
    raise StimulusError(where, came=came, expected=expected, remedy=remedy) from None
