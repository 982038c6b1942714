"""What a virtual subject's signal holds besides responses: smooth random maps, autocorrelated noise, drifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.sparse import csr_array, eye_array
from scipy.spatial import cKDTree

from analysis.data.surface import Surface
from analysis.simulation.motion import draw_motion

Maps = NDArray[np.float32]
_REACH = 2.5  # standard deviations at which a kernel ends


def smoother(surface: Surface, *, sd_mm: float) -> csr_array:
    """Make a Gaussian kernel on the flat map that keeps white noise at unit variance.

    Parameters
    ----------
    surface : Surface
    sd_mm : float
        Standard deviation in mm on the flat map.

    Returns
    -------
    csr_array, (n_vertices, n_vertices), float32
        Rows of unit length: white noise of variance 1 becomes a smooth map of variance 1.
    """
    n, flat = surface.n_vertices, surface.flat
    first, second = cKDTree(flat.astype(np.float64)).query_pairs(_REACH * sd_mm, output_type="ndarray").T
    weights = np.exp(np.float32(-0.5 / sd_mm**2) * np.square(flat[first] - flat[second]).sum(axis=1))
    lengths = np.sqrt(1 + sum(np.bincount(end, weights**2, minlength=n) for end in (first, second)))
    half = csr_array((weights, (first.astype(np.int32), second.astype(np.int32))), shape=(n, n))
    kernel = csr_array(half + half.T + eye_array(n, dtype=np.float32, format="csr"))
    kernel.data *= np.repeat((1 / lengths).astype(np.float32), np.diff(kernel.indptr))
    return kernel


def smooth_maps(n: int, *, kernel: csr_array, rng: Generator) -> Maps:
    """Draw smooth random maps of mean 0 and variance 1, (n, n_vertices) float32."""
    white = rng.standard_normal((kernel.shape[1], n), dtype=np.float32)
    return np.ascontiguousarray((kernel @ white).T)


@dataclass(frozen=True, kw_only=True)
class NoiseModel:
    """What a run's signal holds besides responses; standard deviations in percent of the mean signal.

    Parameters
    ----------
    local_sd_pct, smooth_sd_pct, global_sd_pct : float
        Of the noise that is independent at every vertex, of that which is smooth over the surface, and of what a few
        physiological sources do to the whole surface.
    ar1 : float
        Correlation of local and smooth noise from one volume to the next.
    drift_sd_pct : float
    spikes : float
        Sudden movements expected in a run.
    spike_pct : float
        Standard deviation of what one does to the signal.
    motion_mm : float
        How far the head drifts in a run; see :func:`~analysis.simulation.motion.draw_motion`.
    motion_pct : float
        Standard deviation of what the movement does to the signal.
    n_unsteady : int
        Volumes before the magnetisation is steady.
    """

    local_sd_pct: float
    smooth_sd_pct: float
    global_sd_pct: float
    ar1: float
    drift_sd_pct: float
    spikes: float
    spike_pct: float
    motion_mm: float = 0.0
    motion_pct: float = 0.0
    n_unsteady: int = 0


@dataclass(frozen=True, eq=False)
class Nuisances:
    """What happens in a run to the whole head, the same for both hemispheres.

    Parameters
    ----------
    physiology : float32 array, (n_volumes, n_sources)
        Time courses of variance 1.
    spikes : float32 array, (n_volumes, n_spikes)
        What each sudden movement does over time: a jump that the next volume takes half back.
    motion : float64 array, (n_volumes, 6)
        Movement of the head; see :mod:`analysis.simulation.motion`.
    unsteady : float32 array, (n_volumes,)
        How much brighter each volume is, as a share, before the magnetisation is steady; 0 from then on.
    """

    physiology: Maps
    spikes: Maps
    motion: NDArray[np.float64]
    unsteady: Maps

    @property
    def moved(self) -> Maps:
        """The movement as six time courses of mean 0 and variance 1 on average; zeros where nothing moved."""
        centred = self.motion - self.motion.mean(axis=0)
        size = centred.std(axis=0)
        result: Maps = (centred / np.where(size > 0, size, 1)).astype(np.float32)
        return result


N_SOURCES = 3
_SLOWEST_S, _FASTEST_S = 30.0, 8.0
"""Periods of the physiological sources: breathing and heartbeat folded down by the TR, and slow changes of CO2."""
_FIRST_EXCESS, _T1_S = 0.25, 1.4
"""How much brighter the first volume is than the steady state, and the time constant with which that falls off."""


def draw_nuisances(n_volumes: int, *, model: NoiseModel, tr_s: float, rng: Generator) -> Nuisances:
    """Draw the whole head's nuisances of one run."""
    period = rng.uniform(_FASTEST_S, _SLOWEST_S, N_SOURCES)
    phase = np.cumsum(2 * np.pi * tr_s / period * (1 + 0.2 * rng.standard_normal((n_volumes, N_SOURCES))), axis=0)
    swings = np.sqrt(2) * np.sin(phase + rng.uniform(0, 2 * np.pi, N_SOURCES))
    at = rng.integers(0, n_volumes, rng.poisson(model.spikes))
    since = np.arange(n_volumes)[:, None] - at
    volume = np.arange(n_volumes)
    unsteady = np.where(volume < model.n_unsteady, _FIRST_EXCESS * np.exp(-volume * tr_s / _T1_S), 0.0)
    return Nuisances(swings.astype(np.float32), np.where(since >= 0, 0.5 ** np.maximum(since, 0), 0).astype(np.float32),
                     draw_motion(swings[:, 0], sudden=at, drift_mm=model.motion_mm, rng=rng),
                     unsteady.astype(np.float32))


def make_noise(nuisances: Nuisances, *, model: NoiseModel, tr_s: float, kernel: csr_array,
               rng: Generator) -> Maps:
    """Draw one hemisphere's noise and drifts of one run.

    Parameters
    ----------
    nuisances : Nuisances
        Of the run; what they do to this hemisphere is drawn here, smooth over the surface.
    model : NoiseModel
    tr_s : float
    kernel : csr_array
        See :func:`smoother`.
    rng : Generator

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
        Percent of the mean signal.
    """
    n_volumes = len(nuisances.physiology)
    reach = smooth_maps(nuisances.physiology.shape[1], kernel=kernel, rng=rng)
    reach = (np.float32(0.7) + np.float32(np.sqrt(1 - 0.7**2)) * reach) / np.float32(np.sqrt(len(reach)))
    size = np.hypot(model.local_sd_pct, model.smooth_sd_pct)
    result = np.float32(size) * autocorrelated_noise(
        n_volumes, kernel=kernel, ar1=model.ar1, rng=rng,
        smooth_share=float((model.smooth_sd_pct / size) ** 2) if size > 0 else 0.0)
    result += np.float32(model.global_sd_pct) * (nuisances.physiology @ reach)
    result += np.float32(model.drift_sd_pct) * drifts(n_volumes, tr_s=tr_s, kernel=kernel, rng=rng)
    if nuisances.spikes.shape[1]:
        result += np.float32(model.spike_pct) * (nuisances.spikes @ smooth_maps(nuisances.spikes.shape[1],
                                                                               kernel=kernel, rng=rng))
    if model.motion_pct > 0:
        reach = smooth_maps(nuisances.motion.shape[1], kernel=kernel, rng=rng)
        result += np.float32(model.motion_pct / np.sqrt(len(reach))) * (nuisances.moved @ reach)
    if model.n_unsteady:
        result += np.float32(100) * nuisances.unsteady[:, None]
    return result


def autocorrelated_noise(n_volumes: int, *, kernel: csr_array, ar1: float, rng: Generator,
                         smooth_share: float = 0.5) -> Maps:
    """Draw noise of variance 1: a share of it smooth over the surface, all of it AR(1) in time.

    ``e_t = rho e_(t-1) + sqrt(1 - rho^2) w_t`` from its stationary distribution on.

    Parameters
    ----------
    n_volumes : int
    kernel : csr_array
        See :func:`smoother`.
    ar1 : float
        rho, the correlation of neighbouring volumes.
    rng : Generator
    smooth_share : float
        Share of the variance that is smooth.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
    """
    local = np.float32(np.sqrt(1 - smooth_share)) * rng.standard_normal((n_volumes, kernel.shape[0]), dtype=np.float32)
    if smooth_share > 0:
        local += np.float32(np.sqrt(smooth_share)) * smooth_maps(n_volumes, kernel=kernel, rng=rng)
    local[1:] *= np.float32(np.sqrt(1 - ar1**2))
    return np.asarray(lfilter(np.ones(1, np.float32), np.array([1, -ar1], np.float32), local, axis=0), np.float32)


def drifts(n_volumes: int, *, tr_s: float, kernel: csr_array, rng: Generator, shortest_s: float = 180.0) -> Maps:
    """Draw slow drifts of variance 1 on average: cosines of falling size, with smooth weights.

    Parameters
    ----------
    n_volumes : int
    tr_s : float
    kernel : csr_array
        See :func:`smoother`.
    rng : Generator
    shortest_s : float
        The shortest period; at least the slowest cosine, half a period long, is there.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
    """
    count = max(1, int(2 * n_volumes * tr_s / shortest_s))
    order = np.arange(1, count + 1)
    waves = np.sqrt(2) * np.cos(np.pi * order * (np.arange(n_volumes)[:, None] + 0.5) / n_volumes)
    sizes = (1 / order) / np.sqrt((1 / order**2).sum())
    result: Maps = (waves * sizes).astype(np.float32) @ smooth_maps(count, kernel=kernel, rng=rng)
    return result
