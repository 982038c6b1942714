"""What is asked of a fit of population receptive fields, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analysis.regions.prf.response import Range
from analysis.regions.prf.seeds import SEEDS
from analysis.regions.prf.stimulus import Stimulus

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the parameters may be.

    Parameters
    ----------
    x_deg, y_deg : (float, float)
        Place of the centre.
    sigma_deg, exponent : (float, float)
        More than 0.
    """

    x_deg: Range
    y_deg: Range
    sigma_deg: Range
    exponent: Range

    def __post_init__(self) -> None:
        for name in ("x_deg", "y_deg", "sigma_deg", "exponent"):
            low, high = getattr(self, name)
            if not low < high or (name in ("sigma_deg", "exponent") and low <= 0):
                raise ValueError(f"bounds of {name}: expected an ascending range, above 0 for sigma_deg and exponent, "
                                 f"got {low:g} to {high:g}")


def default_bounds(stimulus: Stimulus) -> Bounds:
    """Let the centre be up to one width of the field outside its edges, as analyzePRF does.

    Sigma goes from half a pixel to four widths of the field, the exponent from 0.05 to 4. analyzePRF bounds neither
    from above, and both by 0 from below, where noise finds many minima, and sizes that the pixels cannot tell apart.
    """
    (left, right), (lower, upper) = stimulus.limits_deg
    width, height = stimulus.widths_deg
    pixel = min(float(steps.min()) for steps in stimulus.steps_deg)
    return Bounds(x_deg=(left - width, right + width), y_deg=(lower - height, upper + height),
                  sigma_deg=(pixel / 2.0, 4.0 * max(width, height)), exponent=(0.05, 4.0))


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to fit.

    Parameters
    ----------
    exponent : float, optional
        A fixed exponent: 1 for the Gaussian model. Without it, it is fitted.
    lag_s, width : (float, float)
        What the lag and the width of the response may be; equal limits fix it.
    seeds : tuple of str
        Some of :data:`~analysis.regions.prf.seeds.SEEDS`. The grid gives three starts, one for each of its exponents;
        the two at the centre are analyzePRF's: they cost as much again and add little.
    bounds : Bounds, optional
        By default :func:`default_bounds`.
    max_iterations : int
        In each of the two stages, at most.
    tolerance : float
        A vertex is done when its step promises less of its variance.
    block : int
        Fits evaluated at once; does not alter the result beyond rounding.
    """

    exponent: float | None = None
    lag_s: Range = (0.0, 0.0)
    width: Range = (1.0, 1.0)
    seeds: tuple[str, ...] = ("supergrid",)
    bounds: Bounds | None = None
    max_iterations: int = 60
    tolerance: float = 2e-6
    block: int = 256

    def __post_init__(self) -> None:
        unknown = [name for name in self.seeds if name not in SEEDS]
        if unknown or not self.seeds:
            raise ValueError(f"seeds: expected some of {', '.join(SEEDS)}, got {self.seeds}")
        if self.exponent is not None and not self.exponent > 0:
            raise ValueError(f"expected a positive exponent, got {self.exponent:g}")
        if self.max_iterations < 1 or self.block < 1 or not self.tolerance > 0:
            raise ValueError("expected at least one iteration, blocks of at least one vertex and a positive tolerance, "
                             f"got {self.max_iterations}, {self.block} and {self.tolerance:g}")


@dataclass(frozen=True, eq=False, kw_only=True)
class PrfFit:
    """Population receptive fields, one a vertex; NaN in every array where a vertex could not be fitted.

    Parameters
    ----------
    x_deg, y_deg : float64 array, (n_vertices,)
        Centre, to the right of and above fixation.
    sigma_deg, exponent : float64 array, (n_vertices,)
        See :mod:`analysis.regions.prf.model`.
    gain : float64 array, (n_vertices,)
        In the units of the data: the response to one frame that fills the whole receptive field.
    lag_s, width : float64 array, (n_vertices,)
        Of the haemodynamic response, against the one that was given.
    r2 : float64 array, (n_vertices,)
        Percent of the variance without drifts that the fit explains.
    seed : int8 array, (n_vertices,)
        Which of the seeds led to it, by place; -1 where not fitted.
    converged : bool array, (n_vertices,)
        False where the search ran out of iterations, or was not begun.
    """

    x_deg: Floats
    y_deg: Floats
    sigma_deg: Floats
    exponent: Floats
    gain: Floats
    lag_s: Floats
    width: Floats
    r2: Floats
    seed: NDArray[np.int8]
    converged: NDArray[np.bool_]

    TABLE: ClassVar[tuple[str, ...]] = ("x_deg", "y_deg", "sigma_deg", "exponent", "gain", "lag_s", "width", "r2",
                                        "seed", "converged")

    @classmethod
    def from_table(cls, table: Floats) -> PrfFit:
        """Make a fit from one row for each of :attr:`TABLE`, NaN where a vertex was not fitted."""
        *rows, seed, converged = table
        return cls(**dict(zip(cls.TABLE, rows, strict=False)), seed=np.nan_to_num(seed, nan=-1.0).astype(np.int8),
                   converged=converged == 1.0)

    @property
    def table(self) -> Floats:
        """One row for each of :attr:`TABLE`, (n_rows, n_vertices); see :meth:`from_table`."""
        return np.stack([np.asarray(getattr(self, name), dtype=np.float64) for name in self.TABLE])

    @classmethod
    def join(cls, parts: Sequence[PrfFit]) -> PrfFit:
        """Put fits of different vertices beside one another, in their order."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.TABLE})

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if values.shape != self.r2.shape:
                raise ValueError(f"{name} of shape {values.shape}, expected one value for each of {self.r2.shape}")

    @property
    def angle_deg(self) -> Floats:
        """Polar angle, 0 to 360, counter-clockwise from the right horizontal meridian."""
        return np.degrees(np.arctan2(self.y_deg, self.x_deg)) % 360.0

    @property
    def eccentricity_deg(self) -> Floats:
        """Distance of the centre from fixation."""
        return np.hypot(self.x_deg, self.y_deg)

    @property
    def size_deg(self) -> Floats:
        """Size, ``sigma / sqrt(n)``: the standard deviation of the response to a small stimulus over its place."""
        return self.sigma_deg / np.sqrt(self.exponent)

    @property
    def n_unfitted(self) -> int:
        """Vertices with a missing value, or constant throughout a run."""
        return int(np.isnan(self.r2).sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossValidation:
    """How much of the runs that were left out the fits to the other runs predict.

    Parameters
    ----------
    r2 : float64 array, (n_vertices,)
        Percent: 1 less the sum of squared errors over all tests, over that of the data without drifts. It is negative
        where a prediction is worse than none, NaN where a vertex could not be fitted in a fold or a test.
    fits : tuple of PrfFit
        One a fold.
    test_runs : tuple of tuple of int
        The places of the runs that each fold left out.
    """

    r2: Floats
    fits: tuple[PrfFit, ...]
    test_runs: tuple[tuple[int, ...], ...]
