"""What lies behind a drawn thing, and the camera that looks at both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from stimuli.networks.demo.drawings.canvas import SUPERSAMPLING, Canvas, Pen
from stimuli.networks.demo.drawings.shapes import Color, mix, vary

_NATURAL = {
    "dogs": ("meadow", "park", "room", "beach", "snow"),
    "birds": ("meadow", "park", "sky", "beach", "water"),
    "cars": ("street", "street", "park", "studio"),
    "fruits": ("table", "table", "studio", "cloth", "foliage"),
    "aquatic": ("deep", "deep", "reef", "reef", "beach"),
    "swan": ("water",),
    "flamingo": ("water", "water", "beach"),
    "penguin": ("snow", "snow", "beach"),
    "owl": ("sky", "foliage", "park"),
    "toucan": ("sky", "foliage", "park"),
    "ostrich": ("meadow", "beach", "park"),
    "rooster": ("meadow", "park"),
    "peacock": ("meadow", "park"),
    "crab": ("beach", "reef"),
}
_ANYWHERE = ("studio", "cloth", "bokeh", "meadow", "deep", "room")
_NATURAL_SHARE = 0.75
_OVERGROWN_SHARE = 0.2
_DUSK_SHARE = 0.35

Floats = NDArray[np.float32]


def behind(category: str, *, class_name: str, rng: np.random.Generator, size_px: int) -> Image.Image:
    """Paint a background that suits the thing three times in four, and any other otherwise.

    Returns
    -------
    PIL.Image.Image
        RGB, (size_px, size_px).
    """
    suits = rng.random() < _NATURAL_SHARE
    kind = str(rng.choice(_NATURAL.get(category, _NATURAL[class_name]) if suits else _ANYWHERE))
    side = max(8, size_px // 2)
    image = _KINDS[kind](rng, side)
    soft = image.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.004, 0.02)))
    return _dim(soft, rng=rng).resize((size_px, size_px), Image.Resampling.BICUBIC)


def _dim(image: Image.Image, *, rng: np.random.Generator) -> Image.Image:
    """Let the light fall off towards the top or the bottom, more often the top, as before rain."""
    top = rng.uniform(0.55, 1.1)
    fall = np.linspace(top, 1.75 - top, image.height, dtype=np.float32)[:, None, None]
    return Image.fromarray(np.clip(np.asarray(image) * fall, 0, 255).astype(np.uint8))


def before(pen: Pen, *, class_name: str, rng: np.random.Generator) -> None:
    """Let some blades of grass or weed stand in front of one picture in five."""
    if class_name not in ("dogs", "birds", "aquatic") or rng.random() > _OVERGROWN_SHARE:
        return
    green = vary((96.0, 140.0, 60.0), rng=rng, amount=24)
    root = rng.uniform(-0.8, 0.8)
    for _ in range(int(rng.integers(4, 14))):
        x, height, lean = root + rng.normal(0, 0.22), rng.uniform(0.25, 0.65), rng.normal(0, 0.1)
        pen.limb([(x, 1.1), (x + lean * 0.3, 1.1 - height * 0.6), (x + lean, 1.1 - height)], vary(green, rng=rng),
                 widths=[0.05, 0.04, 0.01], sharp=True, volume=0.2)


def photograph(canvas: Canvas, background: Image.Image, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Join the layers and see them through a camera: coat, grain, light, focus.

    Returns
    -------
    ndarray
        uint8 (size_px, size_px, 3).
    """
    size = canvas.size_px
    things = np.asarray(canvas.things.reduce(SUPERSAMPLING), dtype=np.float32)
    rough = np.asarray(canvas.rough.reduce(SUPERSAMPLING), dtype=np.float32)[..., None] / 255.0
    alpha = things[..., 3:] / 255.0
    coat = 1.0 + rough * 0.22 * _coat(rng, size)[..., None]
    scene = np.asarray(background, dtype=np.float32) * (1.0 - _cast(canvas))
    joined = scene * (1.0 - alpha) + things[..., :3] * coat * alpha
    return _expose(joined, rng=rng)


def _cast(canvas: Canvas) -> Floats:
    soft = canvas.shade.filter(ImageFilter.GaussianBlur(canvas.size_px * 0.012))
    large = soft.resize((canvas.size_px, canvas.size_px), Image.Resampling.BILINEAR)
    return np.asarray(large, dtype=np.float32)[..., None] / 255.0


def _coat(rng: np.random.Generator, size: int) -> Floats:
    """Noise drawn out along one direction, as hair is."""
    noise = rng.normal(0.0, 1.0, (size, size)).astype(np.float32)
    streak = noise.copy()
    for down, across in ((1, 0), (2, 1), (3, 1)):
        streak += np.roll(noise, (down, across), (0, 1))
    return streak * np.float32(0.5)


def _expose(scene: Floats, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    gain = rng.uniform(0.88, 1.12) * (1.0 + rng.normal(0.0, 0.03, 3))
    lit = (scene - 127.5) * rng.uniform(0.88, 1.1) + 127.5
    lit = lit * gain.astype(np.float32)
    image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    if rng.random() < 0.45:
        image = image.filter(ImageFilter.GaussianBlur(scene.shape[0] / 227 * rng.uniform(0.3, 1.2)))
    grain = rng.normal(0.0, rng.uniform(1.0, 4.0), (*scene.shape[:2], 1)).astype(np.float32)
    result: NDArray[np.uint8] = np.clip(np.asarray(image, dtype=np.float32) + grain + 0.5, 0, 255).astype(np.uint8)
    return result


def _ramp(top: Color, bottom: Color, *, side: int, horizontal: float = 0.0) -> Image.Image:
    y, x = np.mgrid[0:1:complex(side), 0:1:complex(side)]
    share = np.clip((1 - abs(horizontal)) * y + horizontal * x + max(-horizontal, 0.0), 0, 1)[..., None]
    values = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _mottle(image: Image.Image, *, rng: np.random.Generator, amount: float, grain: int = 12) -> Image.Image:
    """Add cloudy unevenness, coarse and fine."""
    side = image.width
    total = np.zeros((side, side), dtype=np.float32)
    for cells, share in ((grain, 0.6), (grain * 4, 0.4)):
        cells = min(cells, side)
        field = Image.fromarray(rng.normal(0.0, 1.0, (cells, cells)).astype(np.float32))
        total += share * np.asarray(field.resize((side, side), Image.Resampling.BICUBIC))
    values = np.asarray(image, dtype=np.float32) + amount * total[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _ellipse(image: Image.Image, x: float, y: float, *, rx: float, ry: float, color: Color) -> None:
    bounds = (x - rx, y - ry, x + rx, y + ry)
    ImageDraw.Draw(image).ellipse(bounds, fill=tuple(int(channel) for channel in color))


def _land(rng: np.random.Generator, side: int, *, sky: Color, ground: Color,
          horizon: float) -> tuple[Image.Image, int]:
    if rng.random() < _DUSK_SHARE:
        sky = vary((176.0, 116.0, 88.0), rng=rng, amount=24)
    image = _ramp(vary(sky, rng=rng), mix(sky, (255, 255, 255), 0.35), side=side)
    line = int(side * horizon)
    below = _ramp(mix(ground, sky, 0.25), ground, side=side)
    image.paste(_mottle(below, rng=rng, amount=13.0, grain=14), (0, line))
    return image, line


def _meadow(rng: np.random.Generator, side: int) -> Image.Image:
    green = vary((96.0, 140.0, 62.0), rng=rng, amount=16)
    image, line = _land(rng, side, sky=(150.0, 195.0, 232.0), ground=green, horizon=rng.uniform(0.2, 0.6))
    for _ in range(int(rng.integers(0, 7))):
        radius = side * rng.uniform(0.05, 0.16)
        tree = vary((70.0, 105.0, 60.0), rng=rng, amount=18)
        _ellipse(image, rng.uniform(0, side), line - radius * 0.5, rx=radius, ry=radius, color=tree)
    return image


def _park(rng: np.random.Generator, side: int) -> Image.Image:
    image, line = _land(rng, side, sky=(178.0, 196.0, 190.0), ground=vary((122.0, 128.0, 84.0), rng=rng),
                        horizon=rng.uniform(0.35, 0.65))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 9))):
        x, width = rng.uniform(0, side), side * rng.uniform(0.015, 0.05)
        trunk = tuple(int(channel) for channel in vary((84.0, 70.0, 56.0), rng=rng))
        pen.rectangle((x, 0, x + width, line + side * 0.03), fill=trunk)
        _ellipse(image, x, rng.uniform(0, line * 0.5), rx=side * rng.uniform(0.08, 0.2),
                 ry=side * rng.uniform(0.06, 0.14), color=vary((88.0, 124.0, 66.0), rng=rng, amount=20))
    return image


def _beach(rng: np.random.Generator, side: int) -> Image.Image:
    image, line = _land(rng, side, sky=(164.0, 204.0, 232.0), ground=vary((214.0, 192.0, 148.0), rng=rng),
                        horizon=rng.uniform(0.35, 0.6))
    sea = tuple(int(channel) for channel in vary((72.0, 140.0, 176.0), rng=rng))
    ImageDraw.Draw(image).rectangle((0, line - side * rng.uniform(0.05, 0.14), side, line), fill=sea)
    return image


def _snow(rng: np.random.Generator, side: int) -> Image.Image:
    image, _ = _land(rng, side, sky=(176.0, 198.0, 222.0), ground=vary((226.0, 230.0, 238.0), rng=rng, amount=6),
                     horizon=rng.uniform(0.3, 0.6))
    return image


def _water(rng: np.random.Generator, side: int) -> Image.Image:
    image, line = _land(rng, side, sky=(182.0, 206.0, 214.0), ground=vary((78.0, 124.0, 144.0), rng=rng),
                        horizon=rng.uniform(0.25, 0.5))
    for _ in range(24):
        y = rng.uniform(line, side)
        _ellipse(image, rng.uniform(0, side), y, rx=side * rng.uniform(0.04, 0.16), ry=side * 0.006,
                 color=vary((132.0, 170.0, 182.0), rng=rng))
    return image


def _sky(rng: np.random.Generator, side: int) -> Image.Image:
    image = _ramp(vary((106.0, 160.0, 218.0), rng=rng), vary((190.0, 216.0, 238.0), rng=rng), side=side)
    for _ in range(int(rng.integers(0, 9))):
        _ellipse(image, rng.uniform(0, side), rng.uniform(0, side), rx=side * rng.uniform(0.06, 0.22),
                 ry=side * rng.uniform(0.03, 0.08), color=vary((236.0, 240.0, 244.0), rng=rng, amount=6))
    return image


def _street(rng: np.random.Generator, side: int) -> Image.Image:
    image, line = _land(rng, side, sky=vary((186.0, 202.0, 214.0), rng=rng), horizon=rng.uniform(0.5, 0.68),
                        ground=vary((110.0, 110.0, 114.0), rng=rng))
    pen, x = ImageDraw.Draw(image), 0.0
    while x < side and rng.random() < 0.93:
        width, height = side * rng.uniform(0.12, 0.3), side * rng.uniform(0.15, 0.5)
        wall = vary((156.0, 140.0, 126.0), rng=rng, amount=26)
        pen.rectangle((x, line - height, x + width, line), fill=tuple(int(channel) for channel in wall))
        pane = tuple(int(channel) for channel in mix(wall, (60.0, 70.0, 90.0), 0.6))
        for left in np.arange(x + width * 0.15, x + width * 0.8, width * 0.3):
            pen.rectangle((left, line - height * 0.8, left + width * 0.14, line - height * 0.6), fill=pane)
        x += width * rng.uniform(1.0, 1.5)
    dash = side * rng.uniform(0.86, 0.94)
    pen.line((0, dash, side, dash), fill=(196, 194, 184), width=max(1, side // 70))
    return image


def _studio(rng: np.random.Generator, side: int) -> Image.Image:
    wall = vary(tuple(rng.uniform(70, 215, 3) * 0.5 + rng.uniform(50, 110)), rng=rng)
    return _ramp(wall, mix(wall, (20.0, 20.0, 24.0), rng.uniform(0.1, 0.5)), side=side,
                 horizontal=rng.uniform(-0.6, 0.6))


def _table(rng: np.random.Generator, side: int) -> Image.Image:
    wood = vary((156.0, 112.0, 70.0), rng=rng, amount=28)
    image, line = _land(rng, side, sky=vary((196.0, 186.0, 172.0), rng=rng, amount=26), ground=wood,
                        horizon=rng.uniform(0.1, 0.55))
    pen = ImageDraw.Draw(image)
    for y in np.arange(line, side, side * rng.uniform(0.08, 0.16)):
        pen.line((0, y, side, y + side * 0.02), fill=tuple(int(channel * 0.8) for channel in wood))
    return image


def _cloth(rng: np.random.Generator, side: int) -> Image.Image:
    base = tuple(rng.uniform(60, 225, 3))
    other = mix(base, tuple(rng.uniform(40, 240, 3)), 0.4)
    image = Image.new("RGB", (side, side), tuple(int(channel) for channel in base))
    pen, step = ImageDraw.Draw(image), side * rng.uniform(0.08, 0.2)
    fill = tuple(int(channel) for channel in other)
    for start in np.arange(0, side, step):
        pen.rectangle((start, 0, start + step / 2, side), fill=fill)
    return _mottle(image, rng=rng, amount=8.0)


def _bokeh(rng: np.random.Generator, side: int) -> Image.Image:
    base = vary((96.0, 104.0, 92.0), rng=rng, amount=30)
    image = _ramp(base, mix(base, (10.0, 14.0, 20.0), 0.5), side=side)
    for _ in range(int(rng.integers(8, 26))):
        radius = side * rng.uniform(0.02, 0.12)
        glow = mix(base, tuple(rng.uniform(90, 250, 3)), rng.uniform(0.15, 0.6))
        _ellipse(image, rng.uniform(0, side), rng.uniform(0, side), rx=radius, ry=radius, color=glow)
    return image


def _foliage(rng: np.random.Generator, side: int) -> Image.Image:
    image = Image.new("RGB", (side, side), (46, 74, 38))
    for _ in range(60):
        leaf = vary((86.0, 130.0, 58.0), rng=rng, amount=24)
        _ellipse(image, rng.uniform(0, side), rng.uniform(0, side), rx=side * rng.uniform(0.03, 0.12),
                 ry=side * rng.uniform(0.02, 0.06), color=leaf)
    return image


def _room(rng: np.random.Generator, side: int) -> Image.Image:
    image, line = _land(rng, side, sky=vary((200.0, 188.0, 170.0), rng=rng, amount=28),
                        ground=vary((140.0, 108.0, 82.0), rng=rng, amount=28), horizon=rng.uniform(0.5, 0.75))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 4))):
        x, width = rng.uniform(-0.1, 0.9) * side, side * rng.uniform(0.12, 0.35)
        thing = vary(tuple(rng.uniform(60, 200, 3)), rng=rng)
        pen.rectangle((x, line - side * rng.uniform(0.1, 0.4), x + width, line + side * 0.03),
                      fill=tuple(int(channel) for channel in thing))
    return image


def _deep(rng: np.random.Generator, side: int) -> Image.Image:
    top = vary((74.0, 158.0, 198.0), rng=rng, amount=18)
    image = _ramp(top, mix(top, (6.0, 26.0, 60.0), rng.uniform(0.5, 0.85)), side=side)
    lit = image.copy()
    pen = ImageDraw.Draw(lit)
    for _ in range(int(rng.integers(0, 6))):
        x, lean, width = rng.uniform(0, side), side * rng.uniform(-0.3, 0.3), side * rng.uniform(0.02, 0.08)
        ray = tuple(int(channel) for channel in mix(top, (230.0, 244.0, 250.0), 0.08))
        pen.polygon((x, 0, x + width, 0, x + lean + width * 2, side * 0.7, x + lean, side * 0.7), fill=ray)
    image = Image.blend(image, lit.filter(ImageFilter.GaussianBlur(side * 0.015)), 0.45)
    for _ in range(int(rng.integers(0, 14))):
        radius = side * rng.uniform(0.006, 0.02)
        _ellipse(image, rng.uniform(0, side), rng.uniform(0, side), rx=radius, ry=radius,
                 color=mix(top, (235.0, 248.0, 252.0), 0.5))
    return _mottle(image, rng=rng, amount=4.0, grain=6)


def _reef(rng: np.random.Generator, side: int) -> Image.Image:
    image = _deep(rng, side)
    floor = _mottle(_ramp((176.0, 168.0, 132.0), (120.0, 116.0, 96.0), side=side), rng=rng, amount=16.0)
    line = int(side * rng.uniform(0.65, 0.85))
    image.paste(floor, (0, line))
    for _ in range(int(rng.integers(3, 12))):
        radius = side * rng.uniform(0.03, 0.11)
        coral = mix((60.0, 96.0, 110.0), tuple(rng.uniform(60, 220, 3)), 0.6)
        _ellipse(image, rng.uniform(0, side), line + side * rng.uniform(-0.02, 0.25), rx=radius,
                 ry=radius * rng.uniform(0.6, 1.6), color=coral)
    return image


_KINDS = {"meadow": _meadow, "park": _park, "beach": _beach, "snow": _snow, "water": _water, "sky": _sky,
          "street": _street, "studio": _studio, "table": _table, "cloth": _cloth, "bokeh": _bokeh,
          "foliage": _foliage, "room": _room, "deep": _deep, "reef": _reef}
