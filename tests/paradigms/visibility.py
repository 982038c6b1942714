"""How well the fixation point is seen: colour differences across its rim, from a picture of the screen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paradigms.devices.protocols import Frame, Pixels
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock


def lab(pixels: Pixels) -> NDArray[np.float64]:
    """Turn sRGB, uint8 (..., 3), into CIE L*a*b* under D65."""
    v = pixels.astype(np.float64) / 255.0
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124564, 0.2126729, 0.0193339], [0.3575761, 0.7151522, 0.1191920],
                             [0.1804375, 0.0721750, 0.9503041]]) / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def screenshot(frame: Frame, images: dict[str, Pixels], *, size_px: tuple[int, int] = (1920, 1080)) -> Pixels:
    """Show a frame on a recording display and read its screen."""
    display = RecordingDisplay(VirtualClock(), size_px=size_px, refresh_hz=60.0)
    display.open()
    display.preload(images)
    display.draw(frame)
    display.flip()
    return display.screenshot()


def rim_difference(screen: Pixels, *, fixation_px: float, fixation_color: tuple[int, int, int]) -> float:
    """Give the colour difference (CIE 1976) that nine tenths of what touches the point exceed.

    The tenth percentile over a band of half the point's radius says how much of its rim is lost in the picture; a
    mean would hide that half of it is.
    """
    reach = 2 * int(fixation_px)
    top, left = screen.shape[0] // 2 - reach, screen.shape[1] // 2 - reach
    screen = screen[top:top + 2 * reach, left:left + 2 * reach]
    height, width = screen.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    away = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2)
    band = screen[(away > fixation_px / 2 + 1) & (away < 0.75 * fixation_px + 1)]
    point = np.array(fixation_color, dtype=np.uint8)
    return float(np.percentile(np.linalg.norm(lab(band) - lab(point), axis=1), 10))
