r"""The worlds that a virtual subject may live in: how it sees an AN and an AI image, given its RE image.

Each region sees an image as scores z on a few dimensions (:mod:`analysis.simulation.contents`). With z(i) of the RE
image i, e the share of its own that a near copy has (:data:`OWN_SHARE`), and x, y drawn anew:

============ ======================================== ==================================================
world        AI image                                 AN image
============ ======================================== ==================================================
``paper``    near copy of z(i)                        y, without relation to its RE image
``cnn-like`` z of its target's RE image, else y       near copy of z(i)
``both``     near copy of z(i)                        near copy of z(i)
``null``     every image of every type alike          the same
``pixels``   by its own pixels                        by its own pixels
============ ======================================== ==================================================

A near copy is :math:`\sqrt{1 - e^2} z + e x`; x and y are normal with the variances of z. ``paper`` is what Zhang et
al. (2021) report of people, ``cnn-like`` what a network's output says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Scores = NDArray[np.float64]
WORLDS = ("paper", "cnn-like", "both", "null", "pixels")
TYPES = ("RE", "AN", "AI")
OWN_SHARE = 0.4
"""e: a near copy correlates .92 with its RE image."""


def see(world: str, scores: Scores, *, rng: Generator, targets: Sequence[int | None] | None = None,
        by_pixels: Mapping[str, Scores] | None = None) -> dict[str, Scores]:
    """Give the scores by which each type of image is seen.

    Parameters
    ----------
    world : str
        One of :data:`WORLDS`.
    scores : float64 array, (n_images, n_dimensions)
        z, of the RE images.
    rng : numpy.random.Generator
    targets : sequence of (int or None), optional
        Each AI image's target: the place of its RE image among `scores`, None for a target outside the set. For
        ``cnn-like``; without it no target is in the set.
    by_pixels : mapping of str to float64 array, optional
        Type to scores of the images' own pixels; ``pixels`` needs it.

    Returns
    -------
    dict of str to float64 array
        ``"RE"``, ``"AN"``, ``"AI"``, each (n_images, n_dimensions); zeros in ``null``.

    Raises
    ------
    ValueError
        For an unknown world, ``pixels`` without scores of pixels, or targets of another number than images.
    """
    if world not in WORLDS:
        raise ValueError(f"world {world!r}, expected one of {', '.join(WORLDS)}")
    if world == "pixels":
        if by_pixels is None or set(by_pixels) != set(TYPES):
            raise ValueError("world 'pixels' needs scores of the pixels of RE, AN and AI")
        return {kind: np.asarray(by_pixels[kind], dtype=np.float64) for kind in TYPES}
    if world == "null":
        return {kind: np.zeros_like(scores) for kind in TYPES}
    own, other = (rng.standard_normal(scores.shape) * scores.std(axis=0) for _ in range(2))
    copy = near_copy(scores, own)
    unrelated = {"AN": other, "AI": _as_targets(scores, targets, otherwise=other)}
    copied = {"paper": ("AI",), "cnn-like": ("AN",), "both": ("AN", "AI")}[world]
    second = near_copy(scores, rng.standard_normal(scores.shape) * scores.std(axis=0)) if len(copied) == 2 else copy
    seen = {kind: (second if kind == "AN" else copy) if kind in copied else unrelated[kind] for kind in ("AN", "AI")}
    return {"RE": scores, **seen}


def near_copy(scores: Scores, own: Scores) -> Scores:
    """Mix scores with some of their own, so that variances stay."""
    result: Scores = np.sqrt(1 - OWN_SHARE**2) * scores + OWN_SHARE * own
    return result


def _as_targets(scores: Scores, targets: Sequence[int | None] | None, *, otherwise: Scores) -> Scores:
    if targets is None:
        return otherwise
    if len(targets) != len(scores):
        raise ValueError(f"{len(targets)} targets, expected {len(scores)}, one an image")
    return np.stack([otherwise[k] if target is None else scores[target] for k, target in enumerate(targets)])
