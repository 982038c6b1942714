"""Textures: pink noise, collages on it, and two ways to scramble a picture. Pure functions of arrays and generators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from stimuli.manifest import Pixels
from subjects.errors import StimulusError

GREY = 127
Floats = NDArray[np.float64]


def pink_noise(size_px: int, *, rng: Generator, exponent: float = 1.0, sd: float = 30.0) -> Pixels:
    """Make achromatic noise whose amplitude falls with spatial frequency as ``1 / f**exponent``.

    Parameters
    ----------
    size_px : int
        Side.
    rng : Generator
        Draws the phases.
    exponent : float
        1 for pink noise (power ``1 / f**2`` of a plane, as natural images have it), 0 for white.
    sd : float
        Standard deviation in grey levels, about :data:`GREY`.

    Returns
    -------
    uint8 array, (size_px, size_px, 3)
        The three channels are equal; values beyond 0 and 255 are cut off.
    """
    field = np.fft.fft2(rng.standard_normal((size_px, size_px)))
    frequency = np.hypot(np.fft.fftfreq(size_px)[:, None], np.fft.fftfreq(size_px)[None, :])
    frequency[0, 0] = 1.0
    shaped = field / np.abs(field) / frequency**exponent
    shaped[0, 0] = 0.0
    noise = np.fft.ifft2(shaped).real
    levels = np.round(GREY + sd * noise / noise.std())
    return np.repeat(np.clip(levels, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def collage(background: Pixels, pieces: Sequence[Image.Image], *, rng: Generator, n_across: int,
            spread: tuple[float, float] = (0.8, 1.4), turn_deg: float = 15.0) -> Pixels:
    """Lay pieces over a background so that they fill it, none the same in size, place and turn.

    Parameters
    ----------
    background : uint8 array, (side, side, 3)
        What is seen between them.
    pieces : sequence of PIL RGBA images
        Drawn from with replacement, none twice in a row.
    rng : Generator
        Decides.
    n_across : int
        Places along a side; each gets one piece, moved by up to half a place.
    spread : (float, float)
        Smallest and largest length of a piece's longer side, in places.
    turn_deg : float
        Largest turn either way.

    Returns
    -------
    uint8 array, (side, side, 3)
    """
    if not pieces:
        raise StimulusError("collage", came="no pieces", expected="one at least", remedy="Draw some first.")
    canvas, step = Image.fromarray(background).convert("RGBA"), background.shape[0] / n_across
    places = [(x, y) for x in range(n_across) for y in range(n_across)]
    last = -1
    for k in rng.permutation(len(places)):
        last = _next(last, n=len(pieces), rng=rng)
        piece = _sized(pieces[last], longest=step * rng.uniform(*spread), turn=rng.uniform(-turn_deg, turn_deg))
        centre = (np.asarray(places[k]) + 0.5 + rng.uniform(-0.5, 0.5, 2)) * step
        corner = np.round(centre - np.asarray(piece.size) / 2).astype(int)
        layer = Image.new("RGBA", canvas.size)
        layer.paste(piece, (int(corner[0]), int(corner[1])))
        canvas.alpha_composite(layer)
    return np.asarray(canvas.convert("RGB"), dtype=np.uint8).copy()


def _next(last: int, *, n: int, rng: Generator) -> int:
    if n == 1:
        return 0
    drawn = int(rng.integers(n)) if last < 0 else int(rng.integers(n - 1))
    return drawn + (0 <= last <= drawn)


def _sized(piece: Image.Image, *, longest: float, turn: float) -> Image.Image:
    scale = longest / max(piece.size)
    size = tuple(max(1, round(scale * length)) for length in piece.size)
    premultiplied = piece.convert("RGBa").resize((size[0], size[1]), Image.Resampling.BICUBIC)
    return premultiplied.rotate(turn, Image.Resampling.BICUBIC, expand=True).convert("RGBA")


def centred(piece: Image.Image, *, size_px: int, share: float = 0.8, level: int = GREY) -> Pixels:
    """Put a piece in the middle of a grey square, its longer side so large a share of the square's.

    Returns
    -------
    uint8 array, (size_px, size_px, 3)
    """
    canvas = Image.new("RGBA", (size_px, size_px), (level, level, level, 255))
    sized = _sized(piece, longest=share * size_px, turn=0.0)
    canvas.alpha_composite(sized, ((size_px - sized.width) // 2, (size_px - sized.height) // 2))
    return np.asarray(canvas.convert("RGB"), dtype=np.uint8).copy()


def grid_scramble(image: Pixels, *, cells: int, rng: Generator) -> Pixels:
    """Cut a picture into a grid and put every cell in another's place.

    Parameters
    ----------
    image : uint8 array, (side, side, 3)
        A square whose side is a multiple of `cells`.
    cells : int
        Cells along a side, 2 at least.
    rng : Generator
        Draws a cyclic permutation (Sattolo 1986): no cell stays where it was.

    Returns
    -------
    uint8 array, (side, side, 3)
        The same pixels in other places.

    Raises
    ------
    StimulusError
        If the cells do not fit.
    """
    side = image.shape[0]
    if cells < 2 or side % cells or image.shape[1] != side:
        raise StimulusError("grid scramble", came=f"{cells} cells along {image.shape[1]} x {side} pixels",
                            expected="2 cells at least, of whole pixels, in a square",
                            remedy="Choose textures.scramble_cells that divides textures.size_px.")
    edge = side // cells
    blocks = image.reshape(cells, edge, cells, edge, 3).swapaxes(1, 2).reshape(cells * cells, edge, edge, 3)
    order = np.arange(cells * cells)
    for k in range(len(order) - 1, 0, -1):
        other = int(rng.integers(k))
        order[k], order[other] = order[other], order[k]
    return np.ascontiguousarray(blocks[order].reshape(cells, cells, edge, edge, 3).swapaxes(1, 2)
                                .reshape(side, side, 3))


def phase_scramble(image: Pixels, *, rng: Generator) -> Floats:
    """Replace where things are by chance and keep how much there is of every spatial frequency and orientation.

    The same random phases, those of a real noise field, are added to the phases of each channel, so that colours
    stay together (Prins 2007, Perception 36; Dakin et al. 2002).

    Parameters
    ----------
    image : uint8 array, (height, width, 3)
    rng : Generator
        Draws the noise field.

    Returns
    -------
    float64 array, (height, width, 3)
        Real; amplitude spectrum and mean of every channel are those of `image`. Some values may leave 0..255: see
        :func:`to_levels`.
    """
    phases = np.angle(np.fft.fft2(rng.standard_normal(image.shape[:2])))
    phases[0, 0] = 0.0
    spectrum = np.fft.fft2(image.astype(np.float64), axes=(0, 1))
    return np.fft.ifft2(spectrum * np.exp(1j * phases)[:, :, None], axes=(0, 1)).real


def to_levels(values: Floats) -> Pixels:
    """Round to grey levels, and cut off what lies beyond 0 and 255."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
