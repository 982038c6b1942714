"""The study's textures on disk: drawn ones or the user's own, rendered once, so that the console only reads PNGs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from stimuli.categories import demo_categories
from stimuli.files import move_aside, name_replaced, require_own_folder
from stimuli.manifest import Pixels, image_id_of
from stimuli.networks.demo.drawings import drawings_digest
from stimuli.regular_images.photographs import read_photograph, to_square
from stimuli.texture_table import (
    KINDS,
    TEXTURES,
    Texture,
    TextureTable,
    read_texture_pixels,
    read_textures,
    render_again,
    write_textures,
)
from stimuli.textures.pieces import Piece, Words, face_pieces, load_words, object_piece, object_pieces, word_pieces
from stimuli.textures.synthesis import centred, collage, grid_scramble, phase_scramble, pink_noise, to_levels
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError
from subjects.layout import Layout
from subjects.provenance import digest_file, digest_json, is_current, rng, sidecar, sidecar_path
from subjects.settings.images import TexturesSettings
from subjects.settings.study import Settings
from subjects.store import locked, sweep, whole_file

INTACT, SCRAMBLED = "intact", "scrambled"
POOL, POOL_PX = 80, 220
SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Rendered:
    """The textures, and whether they were there already."""

    table: TextureTable
    reused: bool


@dataclass(frozen=True)
class Made:
    """A texture before it is written: its kind, its number from 1, what it was made from, its pixels."""

    kind: str
    number: int
    source: str
    pixels: Pixels

    @property
    def file(self) -> str:
        """Its path, relative to the study's ``stimuli/``."""
        return f"textures/{self.kind}-{self.number:03d}.png"


def render(layout: Layout, settings: Settings, *, overwrite: bool = False,
           progress: ProgressWrapper = silent) -> Rendered:
    """Render the study's textures, or find them rendered.

    Parameters
    ----------
    layout, settings
        The study; ``textures`` says how many of what, or names the user's own folder.
    overwrite : bool
        Make them anew; the textures that are there are moved to ``stimuli/replaced``.
    progress : ProgressWrapper
        Told of textures.

    Returns
    -------
    Rendered
        ``reused`` if they were there, whole and current. The same settings and seed give the same pixels; the table is
        written last, so that an interrupted rendering begins anew and is never taken for whole.

    Raises
    ------
    StimulusError
        If textures made otherwise are there and `overwrite` is false, or the user's folder breaks a rule.
    ManifestError
        If they are current but a file is missing or was changed.
    StoreError
        If another process is writing to the study's images.
    """
    layout.require()
    require_own_folder(layout)
    section, seed = settings.textures, settings.study.seed
    source = own_files(section, root=layout.root)
    words = load_words(section, root=layout.root) if source is None and section.n_words else Words()
    inputs = {"drawings": drawings_digest(), **_words_input(words)} if source is None else \
        {"files": digest_json({kind: [digest_file(path) for path in paths] for kind, paths in source.items()})}
    parameters = {**section.model_dump(mode="json", exclude={"folder"}), "seed": seed}
    if not overwrite and is_current(layout.textures, inputs=inputs, parameters=parameters):
        return Rendered(_verified(layout), reused=True)
    if layout.textures.exists() and not overwrite:
        raise StimulusError(str(layout.textures), came="textures made with other settings, or edited since",
                            expected="none, or those of the settings",
                            remedy=f"Restore the settings and the table, or make them anew with "
                                   f"{render_again(layout.stimuli)}; the old ones are moved to stimuli/replaced.")
    with locked(layout.stimuli, what="the textures"):
        _move_old(layout)
        made = drawn(section, seed=seed, words=words) if source is None else read_own(source, section, seed=seed)
        rows = _write(layout, made, total=_count(section, source), progress=progress)
        write_textures(layout.textures, TextureTable(tuple(rows)), overwrite=True)
        sidecar(layout.textures, inputs=inputs, parameters=parameters, form=TEXTURES)
    return Rendered(read_textures(layout.textures), reused=False)


def _verified(layout: Layout) -> TextureTable:
    table = read_textures(layout.textures)
    for row in table.rows:
        read_texture_pixels(layout.stimuli, row)
    return table


def _move_old(layout: Layout) -> None:
    """Move whole textures to ``stimuli/replaced``, their table first; what no table names was never finished."""
    folder = layout.stimuli / "textures"
    if layout.textures.is_file():
        move_aside([layout.textures, sidecar_path(layout.textures), folder],
                   name_replaced(layout, digest=f"textures-{digest_file(layout.textures)[:12]}"), layout=layout)
    sweep(folder, older_than_s=0.0)


def _write(layout: Layout, made: Iterator[Made], *, total: int, progress: ProgressWrapper) -> list[Texture]:
    folder, rows = layout.stimuli / "textures", []
    for one in progress(made, label="textures", total=total):
        with whole_file(layout.stimulus(one.file), overwrite=True) as beside:
            Image.fromarray(one.pixels).save(beside, format="PNG", compress_level=1)
        rows.append(Texture(image_id_of(one.pixels), one.file, one.kind, one.source))
    kept = {layout.stimulus(row.file) for row in rows}
    for path in folder.glob("*-[0-9][0-9][0-9].png"):
        if path not in kept:
            path.unlink()
    return sorted(rows, key=lambda row: (KINDS.index(row.kind), row.file))


def _count(section: TexturesSettings, source: dict[str, list[Path]] | None) -> int:
    if source is None:
        return section.n_objects + section.n_faces + section.n_words + 2 * section.n_pictures
    pairs = 0 if SCRAMBLED in source else len(source.get(INTACT, ()))
    return sum(map(len, source.values())) + pairs


def _words_input(words: Words) -> dict[str, str]:
    """Digest words and fonts that are not those of release 0.1.0, which its sidecars do not name."""
    if words == Words():
        return {}
    return {"words": digest_json(words.words), "fonts": digest_json([digest_file(Path(one)) if Path(one).is_file() else
                                                                     one for one in words.fonts])}


def drawn(section: TexturesSettings, *, seed: int, words: Words | None = None) -> Iterator[Made]:
    """Draw the textures that ship: collages on pink noise, and pictures of things with their scrambled ones."""
    plan = (("object", section.n_objects, partial(object_pieces, side_px=POOL_PX), section.pieces_across),
            ("face", section.n_faces, partial(face_pieces, side_px=POOL_PX), section.pieces_across),
            ("word", section.n_words, partial(word_pieces, side_px=POOL_PX, words=words), section.words_across))
    for kind, n, pieces, across in plan:
        pool = pieces(POOL, rng=rng(seed, "texture", kind, "pool")) if n else []
        for k in range(1, n + 1):
            yield Made(kind, k, f"{kind}s drawn on pink noise", _collage(pool, section, seed=seed, kind=kind, k=k,
                                                                        across=across))
    names = [name for _, name in demo_categories()]
    for k in range(1, section.n_pictures + 1):
        random, name = rng(seed, "texture", INTACT, k), names[(k - 1) % len(names)]
        piece = object_piece(name, rng=random, side_px=section.size_px)
        yield from _pair(centred(piece, size_px=section.size_px), k=k, source=f"{name}, drawn", section=section,
                         seed=seed)


def _collage(pool: list[Piece], section: TexturesSettings, *, seed: int, kind: str, k: int, across: int) -> Pixels:
    random = rng(seed, "texture", kind, k)
    noise = pink_noise(section.size_px, rng=random, exponent=section.noise_exponent, sd=section.noise_sd)
    return collage(noise, pool, rng=random, n_across=across, spread=(1.0, 1.8))


def _pair(picture: Pixels, *, k: int, source: str, section: TexturesSettings, seed: int) -> Iterator[Made]:
    yield Made(INTACT, k, source, picture)
    yield Made(SCRAMBLED, k, f"{source}, {section.scramble}-scrambled", scrambled(picture, section, seed=seed, k=k))


def scrambled(picture: Pixels, section: TexturesSettings, *, seed: int, k: int) -> Pixels:
    """Scramble the k-th picture as the settings say."""
    random = rng(seed, "texture", SCRAMBLED, k)
    if section.scramble == "grid":
        return grid_scramble(picture, cells=section.scramble_cells, rng=random)
    return to_levels(phase_scramble(picture, rng=random))


def own_files(section: TexturesSettings, *, root: Path) -> dict[str, list[Path]] | None:
    """List the user's own pictures by kind, in the order of their names; None where the settings name no folder.

    Raises
    ------
    StimulusError
        If the folder is missing or holds none, a sub-folder is of no kind, or scrambled pictures do not belong to
        intact ones by their names.
    """
    if section.folder is None:
        return None
    folder = root / section.folder
    if not folder.is_dir():
        raise StimulusError(str(folder), came="no such folder", expected="the folder that textures.folder names",
                            remedy="Correct the setting; a path is relative to the study's folder.")
    found: dict[str, list[Path]] = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if part.name not in KINDS:
            raise StimulusError(str(part), came=f"sub-folder {part.name!r}", expected=f"{', '.join(KINDS)}",
                                remedy="Name the sub-folders after the kinds of texture.")
        files = sorted(path for path in part.iterdir() if path.suffix.lower() in SUFFIXES)
        if files:
            found[part.name] = files
    if not found:
        raise StimulusError(str(folder), came="no picture", expected=f"sub-folders {', '.join(KINDS)} with pictures",
                            remedy="Put PNG or JPEG files there.")
    _require_pairs(folder, found)
    return found


def _require_pairs(folder: Path, found: dict[str, list[Path]]) -> None:
    if SCRAMBLED not in found:
        return
    intact, other = ({path.stem for path in found.get(kind, ())} for kind in (INTACT, SCRAMBLED))
    if intact != other:
        raise StimulusError(str(folder), came=f"{min(intact ^ other)!r} in one of {INTACT} and {SCRAMBLED} only",
                            expected="the same names in both", remedy="Name a scrambled picture as its intact one, or "
                            f"take {SCRAMBLED} out and have them made.")


def read_own(source: dict[str, list[Path]], section: TexturesSettings, *, seed: int) -> Iterator[Made]:
    """Read the user's own pictures, cut square and brought to size; make scrambled ones where there are none."""
    for kind in (kind for kind in KINDS if kind in source):
        for k, path in enumerate(source[kind], start=1):
            pixels = to_square(read_photograph(path).pixels, side=section.size_px, resize="crop")
            if kind == INTACT and SCRAMBLED not in source:
                yield from _pair(pixels, k=k, source=path.name, section=section, seed=seed)
            else:
                yield Made(kind, k, path.name, pixels)


def texture_sheet(table: TextureTable, stimuli_dir: Path, *, per_kind: int = 6, side_px: int = 200) -> Pixels:
    """Lay the first textures of each kind out in rows.

    Returns
    -------
    uint8 array, (height, width, 3)
    """
    gap, kinds = 8, [kind for kind in KINDS if table.of_kind(kind)]
    canvas = np.full((len(kinds) * (side_px + gap) + gap, per_kind * (side_px + gap) + gap, 3), 255, dtype=np.uint8)
    for row, kind in enumerate(kinds):
        for column, texture in enumerate(table.of_kind(kind)[:per_kind]):
            small = Image.fromarray(read_texture_pixels(stimuli_dir, texture)).resize((side_px, side_px),
                                                                                     Image.Resampling.LANCZOS)
            top, left = gap + row * (side_px + gap), gap + column * (side_px + gap)
            canvas[top:top + side_px, left:left + side_px] = np.asarray(small)
    return canvas


def write_sheet(layout: Layout, path: Path, *, overwrite: bool = False) -> Path:
    """Write :func:`texture_sheet` as PNG."""
    table = read_textures(layout.textures)
    with whole_file(path, overwrite=overwrite) as beside:
        Image.fromarray(texture_sheet(table, layout.stimuli)).save(beside, format="PNG")
    return path

