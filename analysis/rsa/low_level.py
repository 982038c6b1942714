"""What images share before any network sees them: luminance, contrast, colour, spatial frequencies, Gabor energies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Luminance of the three primaries of sRGB (Rec. 709)."""

GABOR_SIDE, GABOR_FREQUENCIES, N_ORIENTATIONS = 128, (2, 4, 8, 16, 32), 8
_POOLS = {2: 4, 4: 8, 8: 16, 16: 32, 32: 32}
_BANDWIDTH_OCTAVES, _SPREAD = 1.0, np.pi / N_ORIENTATIONS


def luminance(pixels: Pixels) -> Floats:
    """Give the luminance of sRGB pixels (h, w, 3) as a share of white's, (h, w)."""
    light: Floats = linear(pixels) @ np.array(WEIGHTS)
    return light


def linear(pixels: Pixels) -> Floats:
    """Undo the gamma of sRGB (IEC 61966-2-1): light of each primary, 0 to 1.

    Examples
    --------
    >>> linear(np.array([0, 10, 128, 255], dtype=np.uint8)).round(4)
    array([0.    , 0.003 , 0.2159, 1.    ])
    """
    share = pixels / 255.0
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def measure_image(pixels: Pixels) -> dict[str, float]:
    """Measure one image.

    Parameters
    ----------
    pixels : uint8 array, (side, side, 3)
        sRGB.

    Returns
    -------
    dict of str to float
        ``luminance``: mean, % of white; ``rms_contrast``: standard deviation of the luminance over its mean (Peli 1990,
        J Opt Soc Am A 7:2032), 0 for black; ``red_green``, ``blue_yellow``: mean a* and b* of CIELAB (D65);
        ``chroma``: mean distance from grey in that plane.
    """
    from skimage.color import rgb2lab

    light = luminance(pixels)
    lab = rgb2lab(pixels)
    mean = float(light.mean())
    return {"luminance": 100 * mean, "rms_contrast": float(light.std() / mean) if mean else 0.0,
            "red_green": float(lab[..., 1].mean()), "blue_yellow": float(lab[..., 2].mean()),
            "chroma": float(np.hypot(lab[..., 1], lab[..., 2]).mean())}


def band_edges(side: int) -> Floats:
    """Give the edges of octave bands from 1 cycle an image to half the side, the last band cut there.

    Examples
    --------
    >>> band_edges(227).tolist()
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 113.5]
    """
    octaves = 2.0 ** np.arange(int(np.ceil(np.log2(side / 2))))
    return np.append(octaves, side / 2)


def band_contrasts(pixels: Pixels) -> Floats:
    """Give the RMS contrast of the luminance in each octave band of :func:`band_edges`, (n_bands,).

    The squares of all bands, and of what lies above half the side in the corners of the spectrum, add up to the
    square of the image's RMS contrast (Parseval); no window is laid over the image. A black image has none.
    """
    light = luminance(pixels)
    mean = light.mean()
    power = np.abs(np.fft.fft2(light / mean - 1 if mean else light)) ** 2 / light.size**2
    cycles = np.fft.fftfreq(len(light), d=1 / len(light))
    radius = np.hypot(cycles[:, None], cycles[None, :])
    edges = band_edges(len(light))
    band = np.digitize(radius.ravel(), edges)  # 0: the mean; beyond the last edge: the corners
    return np.sqrt(np.bincount(band, weights=power.ravel(), minlength=len(edges) + 1)[1:len(edges)])


def gabor_energies(pixels: Pixels) -> NDArray[np.float32]:
    """Give the energies of a pyramid of Gabor-like filters over an image.

    Parameters
    ----------
    pixels : uint8 array, (side, side, 3)

    Returns
    -------
    float32 array, (n_energies,)
        Amplitude of quadrature pairs at 2, 4, 8, 16 and 32 cycles an image and 8 orientations (log-Gabor, one octave
        wide), averaged over the cells of grids of 4, 8, 16, 32 and 32 cells a side.

    Notes
    -----
    After the Gabor wavelet pyramid of Kay et al. 2008 (Nature 452:352). The image is brought to 128 px first.
    """
    grey = Image.fromarray(np.float32(luminance(pixels)), mode="F")
    small = np.asarray(grey.resize((GABOR_SIDE, GABOR_SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    spectrum = np.fft.fft2(small - small.mean())
    energies = [_pooled(np.abs(np.fft.ifft2(spectrum * band)), n_cells=_POOLS[frequency])
                for frequency, band in _filters()]
    return np.concatenate([one.ravel() for one in energies]).astype(np.float32)


def _pooled(values: Floats, *, n_cells: int) -> Floats:
    size = GABOR_SIDE // n_cells
    pooled: Floats = values.reshape(n_cells, size, n_cells, size).mean(axis=(1, 3))
    return pooled


def _filters() -> list[tuple[int, Floats]]:
    """Make the filters in the frequency plane: half planes, so that their outputs are quadrature pairs."""
    cycles = np.fft.fftfreq(GABOR_SIDE, d=1 / GABOR_SIDE)
    across, down = cycles[None, :], cycles[:, None]
    radius, angle = np.hypot(across, down), np.arctan2(down, across)
    octaves = np.log2(np.where(radius == 0, 1e-6, radius))
    found = []
    for frequency in GABOR_FREQUENCIES:
        radial = np.exp(-0.5 * ((octaves - np.log2(frequency)) * 2.3548 / _BANDWIDTH_OCTAVES) ** 2)
        for k in range(N_ORIENTATIONS):
            away = np.angle(np.exp(1j * (angle - k * np.pi / N_ORIENTATIONS)))
            found.append((frequency, 2 * radial * np.exp(-0.5 * (away / (_SPREAD / 1.1774)) ** 2)))
    return found
