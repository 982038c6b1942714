"""Which vertices of some runs have a signal from which percent signal change can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILE = 99.0
REASONS = ("no signal", "signal in some runs only", "mean smaller than its spread", "too dim")
"""Why a vertex has no betas, in the order in which it is asked."""


@dataclass(frozen=True, eq=False)
class Vertices:
    """What was found of each vertex.

    Parameters
    ----------
    reason : int8 array, (n_vertices,)
        0 for a usable vertex, k + 1 for the k-th of :data:`REASONS`.
    """

    reason: NDArray[np.int8]

    @property
    def unusable(self) -> NDArray[np.bool_]:
        """Vertices without betas, (n_vertices,)."""
        return self.reason > 0

    def counts(self) -> dict[str, int]:
        """Count them by reason; reasons without a vertex are left out."""
        found = np.bincount(self.reason, minlength=len(REASONS) + 1)[1:]
        return {name: int(n) for name, n in zip(REASONS, found, strict=True) if n}


def judge_vertices(runs: Sequence[NDArray[np.float32]], *, min_brightness: float) -> Vertices:
    """Judge each vertex over some runs.

    Parameters
    ----------
    runs : sequence of float32 array, (n_volumes, n_vertices)
        In scanner units.
    min_brightness : float
        A vertex whose mean over the runs is below this share of the 99th percentile over vertices with signal is too
        dim: percent of next to nothing is anything.

    Returns
    -------
    Vertices

    Notes
    -----
    A vertex that is constant in some runs and varies in others would be fitted to both, its responses diluted; one
    whose mean in any run is smaller than its spread was demeaned, or has next to no signal.
    """
    means = np.stack([run.mean(axis=0, dtype=np.float64) for run in runs])
    spreads = np.stack([run.std(axis=0, dtype=np.float64) for run in runs])
    alive = spreads > 0
    brightness = means.mean(axis=0)
    dead, partly = ~alive.any(axis=0), ~alive.all(axis=0)
    centred = (alive & (np.abs(means) < spreads)).any(axis=0)
    bright = brightness[~partly]
    threshold = min_brightness * float(np.percentile(bright, PERCENTILE)) if bright.size else 0.0
    reason = np.select([dead, partly, centred, brightness < threshold], [1, 2, 3, 4], default=0)
    return Vertices(reason.astype(np.int8))
