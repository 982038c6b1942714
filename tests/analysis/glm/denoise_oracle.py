"""GLMdenoise written slowly and literally, with full projection matrices, and small data to run it on."""

from __future__ import annotations

import numpy as np


def drifts(n_volumes, degree):
    return np.linalg.qr(np.vander(np.linspace(-1, 1, n_volumes), degree + 1, increasing=True))[0]


def remove(columns):
    return np.eye(len(columns)) - columns @ np.linalg.pinv(columns)


def convolved(onsets, response):
    return np.stack([np.convolve(column, response)[:len(onsets)] for column in onsets.T], axis=1)


def betas_of(data, designs, nuisance):
    """Least squares on some runs; a condition that they lack gets 0."""
    left = [remove(columns) for columns in nuisance]
    stacked = np.concatenate([one @ design for one, design in zip(left, designs, strict=True)])
    stacked[:, np.abs(stacked).max(axis=0) < 1e-9] = 0.0
    clean = np.concatenate([one @ y for one, y in zip(left, data, strict=True)])
    return np.linalg.lstsq(stacked, clean, rcond=1e-10)[0]


def r2_of(data, predicted, slow):
    left = [remove(columns) for columns in slow]
    wrong = sum(np.square(one @ (y - p)).sum(axis=0) for one, y, p in zip(left, data, predicted, strict=True))
    return 100 * (1 - wrong / sum(np.square(one @ y).sum(axis=0) for one, y in zip(left, data, strict=True)))


def cross_validated(data, designs, slow, extra, components):
    """R2 for 0 to K components, one model and one run left out at a time."""
    found = []
    for n in range(components[0].shape[1] + 1):
        nuisance = [np.hstack([s, e, c[:, :n]]) for s, e, c in zip(slow, extra, components, strict=True)]
        predicted = []
        for out in range(len(data)):
            rest = [run for run in range(len(data)) if run != out]
            betas = betas_of(*[[each[run] for run in rest] for each in (data, designs, nuisance)])
            predicted.append(designs[out] @ betas)
        found.append(r2_of(data, predicted, slow))
    return np.array(found)


def components_of(data, slow, pool, n):
    """Left singular vectors of the pool's unit-length series."""
    found = []
    for y, columns in zip(data, slow, strict=True):
        left = (remove(columns) @ y)[:, pool]
        vectors = np.linalg.svd(left / np.linalg.norm(left, axis=0), full_matrices=False)[0][:, :n]
        found.append(vectors / vectors.std(axis=0, ddof=1))
    return found


def chosen_number(r2, cutoff=0.0, stop=1.05):
    """The published walk along the curve."""
    vertices = (r2 > cutoff).any(axis=0)
    curve = np.median(r2[:, vertices], axis=1)
    curve = curve - curve[0]
    chosen, best = 0, -np.inf
    for n in range(len(curve)):
        if curve[n] > best:
            chosen, best = n, curve[n]
            if best * stop >= curve.max():
                break
    return chosen


def drawn_betas(data, designs, nuisance, weights):
    """Betas of every draw, runs repeated as often as drawn, (n_draws, n_conditions, n_vertices)."""
    found = []
    for row in weights:
        runs = np.repeat(np.arange(len(data)), row)
        found.append(betas_of(*[[each[run] for run in runs] for each in (data, designs, nuisance)]))
    return np.array(found)


def optimized_response(data, onsets, nuisance, seed, n_vertices):
    """Amplitudes and response in turn, until an estimate explains 99 % of the next one; its guard apart."""
    left = [remove(columns) for columns in nuisance]
    clean = [one @ y for one, y in zip(left, data, strict=True)]
    current, rounds = seed / seed.max(), 0
    while True:
        designs = [convolved(one, current) for one in onsets]
        betas = betas_of(data, designs, nuisance)
        r2 = r2_of(clean, [one @ design @ betas for one, design in zip(left, designs, strict=True)], nuisance)
        best = np.argsort(r2)[-n_vertices:]
        rows, values = [], []
        for one, y, onset in zip(left, clean, onsets, strict=True):
            for vertex in best:
                drive = onset @ betas[:, vertex]
                lagged = np.stack([np.concatenate([np.zeros(lag), drive])[:len(drive)] for lag in range(len(seed))])
                rows.append(one @ lagged.T)
                values.append(y[:, vertex])
        previous, current = current, np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
        rounds += 1
        if rounds > 1 and 1 - np.square(current - previous).sum() / np.square(current).sum() >= 0.99:
            return previous, rounds, np.sort(best)


def small_session(seed, *, n_volumes=(90, 90, 84), n_conditions=8, n_vertices=60, n_shared=2, response=None,
                  signal=1.0, white=1.0, shared=1.0, smooth=1, events=2):
    """Onsets, data around a mean of 100 (a tenth of the vertices at 20), true betas.

    Noise time courses in ``n_shared`` dimensions are smoothed over `smooth` volumes; every second vertex responds.
    """
    rng = np.random.default_rng(seed)
    response = np.array([0.0, 0.5, 1.0, 0.7, 0.2, -0.1]) if response is None else response
    betas = signal * rng.standard_normal((n_conditions, n_vertices)) * (np.arange(n_vertices) % 2)
    weights = shared * rng.standard_normal((n_shared, n_vertices))
    mean = np.where(np.arange(n_vertices) % 10 == 9, 20.0, 100.0)
    onsets, data = [], []
    for n in n_volumes:
        onset = np.zeros((n, n_conditions))
        places = np.linspace(1, n - 8, n_conditions * events).astype(int)
        onset[places, rng.permutation(np.repeat(np.arange(n_conditions), events))] = 1.0
        common = rng.standard_normal((n + smooth - 1, n_shared))
        common = np.reshape([np.convolve(one, np.ones(smooth), "valid") for one in common.T], (n_shared, n)).T
        y = (mean + convolved(onset, response) @ betas + common / np.sqrt(smooth) @ weights
             + white * rng.standard_normal((n, n_vertices)) + np.linspace(-2, 2, n)[:, None])
        onsets.append(onset)
        data.append(y.astype(np.float32))
    return onsets, data, betas, response
