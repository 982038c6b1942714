r"""How large the noise must be for a vertex to be as reliable as asked.

The betas of two presentations hold the subject's responses, what a haemodynamic response that is not the subject's own
makes of them, and noise. With the variance V over RE images and the covariance C of the two presentations without
noise, and the variance v that a model of noise leaves in one presentation, noise c times as large gives a split-half
correlation of

.. math::
    r = \frac{C}{V + c^2 v}, \qquad c = \sqrt{(C / r - V) / v}

All three are measured: responses of this subject, and noise, of some vertices are drawn for the runs of a session as
they were logged, and fitted by least squares with a column for each image and presentation and polynomials for each
run. The columns hold SPM's haemodynamic response, which most laboratories fit. An analysis with another response, or
one that removes noise, finds more or less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.sparse import csr_array, eye_array
from scipy.special import gammainc

from analysis.simulation.hemodynamics import Shape, event_responses
from analysis.simulation.noise import NoiseModel, draw_nuisances, make_noise

Floats = NDArray[np.float64]
_N_VERTICES = 300
_MINUTES_A_DEGREE = 2.0
_EVENT_S = 2.0


@dataclass(frozen=True)
class FittedShape(Shape):
    """SPM's canonical response, by its formula: gamma densities of shapes 6 and 16, the second a sixth of the first."""

    def integral(self, time_s: Floats) -> Floats:
        """Integrate the response from its beginning to seconds since an impulse."""
        time = np.maximum(time_s, 0.0)
        result: Floats = gammainc(6.0, time) - gammainc(16.0, time) / 6.0
        return result


@dataclass(frozen=True)
class Fitted:
    """What least squares finds of signal and noise in the betas of RE images, percent signal change squared.

    Parameters
    ----------
    variance, covariance : float
        V and C: of each presentation over images, and of the two, without noise.
    error : float
        v: variance that the noise adds to one presentation.
    """

    variance: float
    covariance: float
    error: float


def fit_session(runs: Sequence[tuple[pd.DataFrame, int]], *, model: NoiseModel, tr_s: float, shapes: Sequence[Shape],
                signal_pct: float, tuning_sd_pct: float, rng: Generator) -> Fitted:
    """Measure what is found of signal and noise in a session.

    Parameters
    ----------
    runs : sequence of (DataFrame, int)
        Events and number of volumes of each run.
    model : NoiseModel
    tr_s : float
    shapes : sequence of Shape
        Some responses of the subject's vertices.
    signal_pct, tuning_sd_pct : float
        Mean and standard deviation of the true responses over images.
    rng : Generator
    """
    names = sorted({name for events, _ in runs for name in _conditions(events)})
    columns = [_columns(events, names, n_volumes=n, tr_s=tr_s, shape=FittedShape()) for events, n in runs]
    slow = block_diag(*(_polynomials(n, tr_s=tr_s) for _, n in runs))
    solve = np.linalg.pinv(np.column_stack([np.concatenate(columns), slow]))[:len(names)]
    kernel = csr_array(eye_array(_N_VERTICES, dtype=np.float32))
    noise = [make_noise(draw_nuisances(n, model=model, tr_s=tr_s, rng=rng), model=model, tr_s=tr_s, kernel=kernel,
                        rng=rng) for _, n in runs]
    images = sorted({name[:2] for name in names})
    sizes = signal_pct + tuning_sd_pct * rng.standard_normal((len(images), _N_VERTICES))
    true = sizes[[images.index(name[:2]) for name in names]]
    signal = [_moments(solve @ np.concatenate([_columns(events, names, n_volumes=n, tr_s=tr_s, shape=shape)
                                               for events, n in runs]) @ true, names) for shape in shapes]
    variance, covariance = np.mean(signal, axis=0)
    return Fitted(float(variance), float(covariance), _moments(solve @ np.concatenate(noise), names)[0])


def _moments(betas: Floats, names: Sequence[tuple[str, str, int]]) -> tuple[float, float]:
    """Give variance and covariance of the two presentations over RE images, averaged over vertices."""
    halves = [betas[[k for k, name in enumerate(names) if name[0] == "RE" and name[2] == shown]] for shown in (1, 2)]
    first, second = (half - half.mean(axis=0) for half in halves)
    n = len(first) - 1
    return (float(((first**2).sum(axis=0) + (second**2).sum(axis=0)).mean() / (2 * n)),
            float((first * second).sum(axis=0).mean() / n))


def scale_noise(model: NoiseModel, *, reliability: float, fitted: Fitted) -> NoiseModel:
    """Scale all parts of the noise so that a vertex is as reliable as asked.

    Parameters
    ----------
    model : NoiseModel
    reliability : float
        r, between 0 and 1.
    fitted : Fitted
        See :func:`fit_session`.

    Raises
    ------
    ValueError
        If there is no noise to be scaled, or no noise is little enough.

    Examples
    --------
    >>> one = NoiseModel(local_sd_pct=1.0, smooth_sd_pct=0.0, global_sd_pct=0.0, ar1=0.3, drift_sd_pct=1.0, spikes=1.0,
    ...                  spike_pct=2.0)
    >>> scale_noise(one, reliability=0.2, fitted=Fitted(variance=0.09, covariance=0.09, error=0.09)).local_sd_pct
    2.0
    """
    left = fitted.covariance / reliability - fitted.variance
    if not (fitted.error > 0 and left > 0):
        most = fitted.covariance / fitted.variance if fitted.variance > 0 else 0.0
        raise ValueError(f"reliability {reliability:g} of noise of variance {fitted.error:g}: without noise it is "
                         f"{most:.2f}")
    factor = float(np.sqrt(left / fitted.error))
    return replace(model, **{name: factor * getattr(model, name) for name in (
        "local_sd_pct", "smooth_sd_pct", "global_sd_pct", "drift_sd_pct", "spike_pct", "motion_pct")})


def _conditions(events: pd.DataFrame) -> list[tuple[str, str, int]]:
    images = events[events["image_id"].notna()]
    return [(str(kind), str(image), int(k))
            for kind, image, k in zip(images["trial_type"], images["base_image"], images["presentation"], strict=True)]


def _columns(events: pd.DataFrame, names: Sequence[tuple[str, str, int]], *, n_volumes: int, tr_s: float,
             shape: Shape) -> Floats:
    images = events[events["image_id"].notna()]
    responses = event_responses(tr_s * np.arange(n_volumes, dtype=np.float64), shape=shape, reference_s=_EVENT_S,
                                onsets_s=images["onset"].to_numpy(np.float64),
                                durations_s=images["duration"].to_numpy(np.float64))
    places = {name: k for k, name in enumerate(names)}
    member = np.zeros((len(images), len(names)))
    member[np.arange(len(images)), [places[name] for name in _conditions(events)]] = 1.0
    result: Floats = responses @ member
    return result


def _polynomials(n_volumes: int, *, tr_s: float) -> Floats:
    degree = int(n_volumes * tr_s / 60 / _MINUTES_A_DEGREE)
    return np.asarray(np.polynomial.legendre.legvander(np.linspace(-1, 1, n_volumes), degree), dtype=np.float64)
