"""Faces of people, drawn anew from every generator that is handed in."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from stimuli.networks.demo.drawings.canvas import Pen
from stimuli.networks.demo.drawings.shapes import Color, dark, light, mix

_SKINS: tuple[Color, ...] = ((244.0, 208.0, 178.0), (228.0, 180.0, 142.0), (198.0, 146.0, 104.0), (154.0, 104.0, 70.0),
                             (110.0, 72.0, 50.0), (236.0, 194.0, 160.0))
_HAIRS: tuple[Color, ...] = ((34.0, 26.0, 24.0), (74.0, 48.0, 32.0), (128.0, 84.0, 48.0), (206.0, 164.0, 96.0),
                             (158.0, 76.0, 38.0), (176.0, 172.0, 168.0))
_IRISES: tuple[Color, ...] = ((66.0, 42.0, 24.0), (92.0, 124.0, 150.0), (96.0, 112.0, 66.0))
_CLOTHES: tuple[Color, ...] = ((52.0, 80.0, 128.0), (150.0, 46.0, 50.0), (60.0, 96.0, 66.0), (92.0, 92.0, 98.0))
_STYLES = ("short", "long", "bald", "curly", "bun")
_WHITE: Color = (246.0, 242.0, 238.0)


def paint_face(pen: Pen, rng: Generator) -> None:
    """Paint a head with neck and shoulders from the front, about as large as -1..1."""
    skin = _pick(_SKINS, rng)
    hair, style = _pick(_HAIRS, rng), rng.choice(_STYLES, p=(0.34, 0.28, 0.1, 0.16, 0.12))
    wide, long = rng.uniform(0.46, 0.56), rng.uniform(0.62, 0.7)
    head = pen.moved(rng.normal(0.0, 0.02), -0.12, angle=rng.uniform(-9, 9), stretch=rng.uniform(0.96, 1.04))
    _hair_behind(head, hair, style=str(style), wide=wide)
    _shoulders(pen, skin, cloth=_pick(_CLOTHES, rng))
    for side in (-1, 1):
        head.disk(side * wide * 0.98, 0.04, 0.1, dark(skin, 0.06), ry=0.16, volume=0.4)
        if rng.random() < 0.12:
            head.disk(side * wide, 0.22, 0.03, (224.0, 200.0, 110.0), volume=0.6)
    jaw = rng.uniform(0.5, 0.72)
    head.blob([(-wide * 0.7, -long * 0.88), (wide * 0.7, -long * 0.88), (wide, -0.1), (wide * 0.9, 0.28),
               (wide * jaw, long * 0.86), (0.0, long), (-wide * jaw, long * 0.86), (-wide * 0.9, 0.28), (-wide, -0.1)],
              skin, volume=0.55)
    _features(head, rng, skin=skin, hair=hair, wide=wide)
    if rng.random() < 0.2 and style in ("short", "bald"):
        _beard(head, hair, wide=wide, jaw=jaw, long=long)
    _mouth(head, rng, skin=skin)
    _hair_before(head, rng, hair, style=str(style), wide=wide, long=long)
    if rng.random() < 0.22:
        _glasses(head, wide=wide)


def _pick(colors: tuple[Color, ...], rng: Generator) -> Color:
    return colors[int(rng.integers(len(colors)))]


def _shoulders(pen: Pen, skin: Color, *, cloth: Color) -> None:
    pen.limb([(0.0, 0.3), (0.0, 0.8)], dark(skin, 0.14), widths=[0.44, 0.5], volume=0.3)
    pen.blob([(-0.3, 0.66), (0.3, 0.66), (0.78, 0.84), (0.9, 1.3), (-0.9, 1.3), (-0.78, 0.84)], cloth, volume=0.45)
    pen.blob([(-0.2, 0.62), (0.2, 0.62), (0.0, 0.9)], dark(skin, 0.08), volume=0.2)


def _hair_behind(pen: Pen, hair: Color, *, style: str, wide: float) -> None:
    if style == "long":
        pen.blob([(-wide * 1.1, -0.5), (0.0, -0.86), (wide * 1.1, -0.5), (wide * 1.28, 0.2), (wide * 1.2, 0.9),
                  (wide * 0.5, 0.98), (-wide * 0.5, 0.98), (-wide * 1.2, 0.9), (-wide * 1.28, 0.2)], dark(hair, 0.1),
                 volume=0.4, fur=0.7)
    elif style == "curly":
        pen.disk(0.0, -0.24, wide * 1.3, hair, ry=0.66, volume=0.5, fur=0.8, curl=0.09)
    elif style == "bun":
        pen.disk(0.0, -0.82, 0.2, hair, volume=0.6, fur=0.6)


def _hair_before(pen: Pen, rng: Generator, hair: Color, *, style: str, wide: float, long: float) -> None:
    if style == "bald":
        pen.disk(-0.12, -long * 0.68, 0.12, (255.0, 250.0, 244.0), ry=0.05, alpha=0.35)
        return
    parting, low = rng.uniform(-0.25, 0.25), rng.uniform(-0.5, -0.36)
    pen.blob([(-wide * 1.06, -0.02), (-wide * 1.08, -0.42), (-wide * 0.6, -long * 1.12), (wide * 0.6, -long * 1.12),
              (wide * 1.08, -0.42), (wide * 1.06, -0.02), (wide * 0.86, -0.3), (wide * 0.5, low), (parting, low - 0.1),
              (-wide * 0.5, low), (-wide * 0.86, -0.3)], hair, volume=0.45, fur=0.8,
             curl=0.07 if style == "curly" else 0.0)


def _features(pen: Pen, rng: Generator, *, skin: Color, hair: Color, wide: float) -> None:
    apart, iris, open_ = wide * rng.uniform(0.42, 0.48), _pick(_IRISES, rng), rng.uniform(0.058, 0.074)
    brow = dark(hair, 0.25) if sum(hair) < 520 else (120.0, 104.0, 90.0)
    for side in (-1, 1):
        pen.disk(side * apart, -0.04, 0.15, dark(skin, 0.16), ry=0.1, alpha=0.5)
        pen.disk(side * apart, -0.02, 0.125, _WHITE, ry=open_)
        pen.disk(side * apart, -0.02, open_ * 0.95, iris)
        pen.disk(side * apart, -0.02, open_ * 0.5, (10.0, 8.0, 8.0))
        pen.disk(side * apart - 0.02, -0.045, 0.018, (250.0, 250.0, 250.0))
        pen.limb([(side * (apart - 0.13), -0.04), (side * apart, -0.1), (side * (apart + 0.13), -0.05)],
                 dark(skin, 0.55), widths=[0.016, 0.03, 0.016], volume=0.0)
        pen.limb([(side * (apart - 0.14), -0.2), (side * apart, -0.25), (side * (apart + 0.15), -0.19)], brow,
                 widths=[0.05, 0.06, 0.03], volume=0.1, fur=0.8)
    shadow = dark(skin, 0.24)
    pen.limb([(0.03, -0.08), (0.055, 0.12), (0.09, 0.2)], shadow, widths=[0.015, 0.03, 0.04], volume=0.0, alpha=0.55)
    pen.blob([(-0.1, 0.21), (-0.05, 0.12), (0.05, 0.12), (0.1, 0.21), (0.0, 0.26)], light(skin, 0.06), volume=0.6)
    for side in (-1, 1):
        pen.disk(side * 0.045, 0.235, 0.022, dark(skin, 0.5), ry=0.014)
        pen.disk(side * wide * 0.62, 0.2, 0.13, mix(skin, (222.0, 110.0, 100.0), 0.5), ry=0.1, alpha=0.3)


def _mouth(pen: Pen, rng: Generator, *, skin: Color) -> None:
    half, smile = rng.uniform(0.15, 0.2), rng.uniform(-0.01, 0.06)
    lips = mix(skin, (176.0, 52.0, 60.0), rng.uniform(0.4, 0.75))
    y = 0.4
    corners = [(-half, y - smile), (0.0, y + 0.01), (half, y - smile)]
    if rng.random() < 0.35:
        pen.blob([(-half, y - smile), (0.0, y - 0.02), (half, y - smile), (half * 0.5, y + 0.09),
                  (-half * 0.5, y + 0.09)], lips, volume=0.3)
        pen.blob([(-half * 0.76, y - smile * 0.6), (0.0, y + 0.005), (half * 0.76, y - smile * 0.6),
                  (half * 0.4, y + 0.05), (-half * 0.4, y + 0.05)], _WHITE, volume=0.1)
        return
    pen.blob([(-half, y - smile), (-half * 0.4, y - 0.045), (0.0, y - 0.03), (half * 0.4, y - 0.045), (half, y - smile),
              (half * 0.4, y + 0.075), (-half * 0.4, y + 0.075)], lips, volume=0.4)
    pen.limb(corners, dark(lips, 0.5), widths=0.018, volume=0.0)


def _beard(pen: Pen, hair: Color, *, wide: float, jaw: float, long: float) -> None:
    pen.blob([(-wide * 0.98, 0.1), (-wide * 0.72, 0.3), (0.0, 0.27), (wide * 0.72, 0.3), (wide * 0.98, 0.1),
              (wide * jaw * 1.05, long * 0.9), (0.0, long * 1.1), (-wide * jaw * 1.05, long * 0.9)], hair, volume=0.35,
             fur=0.9)


def _glasses(pen: Pen, *, wide: float) -> None:
    frame, apart = (38.0, 34.0, 36.0), wide * 0.45
    for side in (-1, 1):
        ring = np.linspace(0.0, 2.0 * np.pi, 26)
        points = np.column_stack([side * apart + 0.19 * np.cos(ring), -0.02 + 0.15 * np.sin(ring)])
        pen.limb(points, frame, widths=0.026, volume=0.0)
        pen.limb([(side * (apart + 0.19), -0.04), (side * wide, -0.06)], frame, widths=0.026, volume=0.0)
    pen.limb([(-apart + 0.19, -0.03), (0.0, -0.06), (apart - 0.19, -0.03)], frame, widths=0.026, volume=0.0)
