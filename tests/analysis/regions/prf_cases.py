"""Small experiments, a plain-loop model, and the console's apertures point by point, for the tests of the pRF fit."""

from __future__ import annotations

import math

import numpy as np

from analysis.glm.design import Sampling
from analysis.glm.hrf import event_response
from analysis.regions.prf.design import Experiment, Run
from analysis.regions.prf.records import PrfFit
from analysis.regions.prf.stimulus import make_stimulus
from stimuli.apertures import Aperture, Bar, Ring, Wedge

TR_S = 2.0


def sweeping_bar(*, n_rows: int = 16, n_cols: int = 20, n_steps: int = 12, blank: int = 6) -> np.ndarray:
    """Sweep a bar along both axes and one diagonal, with blanks between."""
    down, across = np.meshgrid(np.linspace(0, 1, n_rows), np.linspace(0, 1, n_cols), indexing="ij")
    frames = [np.zeros((blank, n_rows, n_cols))]
    for way in (across, down, 1 - across, 1 - down, (across + down) / 2, (across + 1 - down) / 2):
        fronts = np.linspace(0.05, 1.05, n_steps)
        frames += [np.stack([(way <= front) & (way > front - 0.2) for front in fronts]).astype(float),
                   np.zeros((blank, n_rows, n_cols))]
    return np.concatenate(frames)


def small_experiment(*movies: np.ndarray, width_deg: float = 10.0, height_deg: float = 8.0, x_deg: float = 0.0,
                     y_deg: float = 0.0, frame_s: float = TR_S, **run: object) -> Experiment:
    """Show movies on a field whose middle lies at (`x_deg`, `y_deg`)."""
    movies = movies or (sweeping_bar(),)
    n_rows, n_cols = movies[0].shape[1:]
    x = x_deg + ((np.arange(n_cols) + 0.5) / n_cols - 0.5) * width_deg
    y = y_deg - ((np.arange(n_rows) + 0.5) / n_rows - 0.5) * height_deg
    runs = tuple(Run(sampling=Sampling(n_volumes=round(len(movie) * frame_s / TR_S), tr_s=TR_S), **run)
                 for movie in movies)
    return Experiment(stimulus=make_stimulus(movies, x_deg=x, y_deg=y), runs=runs, frame_s=frame_s)


def made_fit(*, x: np.ndarray, y: np.ndarray, sigma: np.ndarray, exponent: np.ndarray, gain: float = 3.0,
             lag_s: float = 0.0, width: float = 1.0) -> PrfFit:
    """Say what a fit would find."""
    n = len(x)
    full = np.ones(n)
    return PrfFit(x_deg=x, y_deg=y, sigma_deg=sigma, exponent=exponent, gain=gain * full, lag_s=lag_s * full,
                  width=width * full, r2=100.0 * full, seed=np.zeros(n, dtype=np.int8), converged=full == 1)


def random_fields(n: int, *, rng: np.random.Generator, reach: float = 3.5, **known: float) -> PrfFit:
    """Draw receptive fields within the field."""
    return made_fit(x=rng.uniform(-reach, reach, n), y=rng.uniform(-reach, reach, n), sigma=rng.uniform(0.6, 1.6, n),
                    exponent=rng.uniform(0.3, 1.0, n), **known)


def plain_series(movie: np.ndarray, *, x: np.ndarray, y: np.ndarray, point: tuple[float, float, float, float],
                 frame_s: float = TR_S, times_s: np.ndarray | None = None, lag_s: float = 0.0,
                 width: float = 1.0) -> np.ndarray:
    """Give gain-1 responses by loops over frames and volumes: x, y, sigma, exponent."""
    x0, y0, sigma, exponent = point
    area = abs((x[1] - x[0]) * (y[1] - y[0]))
    gaussian = np.array([[math.exp(-((a - x0) ** 2 + (b - y0) ** 2) / (2 * sigma**2)) for a in x] for b in y])
    gaussian *= area / (2 * math.pi * sigma**2)
    drive = [float((frame * gaussian).sum()) for frame in movie]
    times = TR_S * np.arange(round(len(movie) * frame_s / TR_S)) if times_s is None else times_s
    series = np.zeros(len(times))
    for k, value in enumerate(drive):
        if value > 0:
            late = (times - k * frame_s - lag_s) / width
            series += value**exponent * event_response(late, duration_s=frame_s / width,
                                                           planned_s=frame_s / width)
    return series


def without_drifts(series: np.ndarray, *, degree: int) -> np.ndarray:
    """Remove polynomials by least squares."""
    powers = np.linspace(-1, 1, len(series))[:, None] ** np.arange(degree + 1)
    return series - powers @ np.linalg.lstsq(powers, series, rcond=None)[0]


def uncovered(aperture: Aperture | None, x: np.ndarray, y: np.ndarray, *, field_deg: float) -> np.ndarray:
    """Say which points an aperture uncovers, from what its parameters mean; no grid, no rows, no columns."""
    inside = np.hypot(x, y) < field_deg / 2
    if aperture is None:
        return inside & False
    if isinstance(aperture, Wedge):
        off = np.degrees(np.arctan2(y, x)) - aperture.centre_deg
        return inside & (np.abs((off + 180) % 360 - 180) < aperture.width_deg / 2)
    if isinstance(aperture, Ring):
        r = np.hypot(x, y)
        return inside & (r < aperture.outer_deg) & (r > aperture.outer_deg - aperture.width_deg)
    assert isinstance(aperture, Bar)
    along = x * math.cos(math.radians(aperture.toward_deg)) + y * math.sin(math.radians(aperture.toward_deg))
    return inside & (along < aperture.front_deg) & (along > aperture.front_deg - aperture.width_deg)
