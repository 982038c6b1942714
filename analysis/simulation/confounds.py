r"""The table of confounds of a run, in the form in which fMRIPrep writes it (``desc-confounds_timeseries``).

Columns: means of CSF, white matter and cortex with derivatives and squares, DVARS, framewise displacement, RMS
displacement, aCompCor of CSF, white matter and both, the cosines of a 128 s high-pass filter, volumes before the steady
state, 24 motion parameters, and motion outliers by fMRIPrep's thresholds. There is no temporal CompCor. What needs the
volume before has ``n/a`` at the first one.

CSF and white matter are small sets of made-up voxels, which hold what happens to the whole head
(:class:`~analysis.simulation.noise.Nuisances`) and noise of their own; the components are computed from them as
Behzadi et al. (2007) and fMRIPrep do: high-pass filtered, standardised, decomposed, kept to half of the variance.

References
----------
Behzadi Y, Restom K, Liau J, Liu TT (2007) A component based noise correction method (CompCor) for BOLD and perfusion
based fMRI. NeuroImage 37:90-101.
Afyouni S, Nichols TE (2018) Insight and inference for DVARS. NeuroImage 172:291-312.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from analysis.simulation.motion import MOTION_COLUMNS, framewise_displacement, rms_displacement
from analysis.simulation.noise import NoiseModel, Nuisances

Floats = NDArray[np.float64]
CUTOFF_S = 128.0
OUTLIER_FD_MM, OUTLIER_DVARS = 0.5, 1.5
KEPT_VARIANCE = 0.5
TISSUES: Mapping[str, tuple[float, float, float]] = {"csf": (1500.0, 2.0, 1.5), "white_matter": (650.0, 0.5, 0.8)}
"""Tissue to mean signal, strength of the physiology as a multiple of the cortex's, and own noise in percent."""
_N_VOXELS = 120
_ALIKE = 0.7  # of what one source does to a voxel, the part that it does to all alike
_MASKS = {"c": "CSF", "w": "WM", "a": "combined"}


@dataclass(frozen=True, eq=False)
class Cortex:
    """What the table tells of a run's cortex, gathered hemisphere by hemisphere.

    Parameters
    ----------
    mean : float64 array, (n_volumes,)
        Mean signal over vertices with signal.
    dvars, std_dvars : float64 array, (n_volumes,)
        Root mean square of the change from the volume before, in scanner units and in units of what the noise alone
        would give (Afyouni & Nichols 2018); NaN at the first volume.
    """

    mean: Floats
    dvars: Floats
    std_dvars: Floats


def measure_cortex(series: list[NDArray[np.float32]]) -> Cortex:
    """Measure a run.

    Parameters
    ----------
    series : list of float32 array, (n_volumes, n_vertices)
        Its hemispheres; a sample of the vertices will do.
    """
    data = np.concatenate([one[:, one[0] != 0] for one in series], axis=1).astype(np.float64)
    change = np.diff(data, axis=0)
    low, high = np.percentile(data, [25, 75], axis=0)
    centred = data - data.mean(axis=0)
    ar1 = (centred[1:] * centred[:-1]).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-30)
    expected = np.sqrt(2 * (1 - ar1)) * (high - low) / 1.349
    dvars = np.sqrt((change**2).mean(axis=1))
    usual = float(expected.mean())
    return Cortex(data.mean(axis=1), np.concatenate([[np.nan], dvars]),
                  np.concatenate([[np.nan], dvars / usual if usual > 0 else np.zeros_like(dvars)]))


def cosines(n_volumes: int, *, tr_s: float) -> Floats:
    """Give the discrete cosines slower than 128 s, (n_volumes, n), as fMRIPrep's: unit length, without the constant."""
    count = max(int(np.floor(2 * n_volumes * tr_s / CUTOFF_S)), 1) - 1
    place = (np.arange(n_volumes)[:, None] + 0.5) * np.arange(1, count + 1)
    result: Floats = np.sqrt(2 / n_volumes) * np.cos(np.pi * place / n_volumes)
    return result


def draw_voxels(nuisances: Nuisances, *, model: NoiseModel, rng: Generator) -> dict[str, Floats]:
    """Make up CSF and white matter, (n_volumes, n_voxels) in scanner units each."""
    found = {}
    for tissue, (mean, strength, own_pct) in TISSUES.items():
        parts = [(model.global_sd_pct * strength, nuisances.physiology), (model.motion_pct, nuisances.moved),
                 (model.spike_pct, nuisances.spikes)]
        percent = own_pct * rng.standard_normal((len(nuisances.physiology), _N_VOXELS))
        percent += 100.0 * nuisances.unsteady[:, None]
        for size, courses in parts:
            n = courses.shape[1]
            weights = _ALIKE + np.sqrt(1 - _ALIKE**2) * rng.standard_normal((n, _N_VOXELS))
            percent += size / np.sqrt(max(n, 1)) * (courses.astype(np.float64) @ weights)
        found[tissue] = mean * (1 + 0.1 * rng.standard_normal(_N_VOXELS)) * (1 + percent / 100)
    return found


def decompose(voxels: Floats, *, slow: Floats) -> tuple[Floats, Floats]:
    """Give the components of voxels, high-pass filtered and standardised, and their singular values, largest first."""
    drift = np.column_stack([np.ones(len(voxels)), slow])
    left = voxels - drift @ np.linalg.lstsq(drift, voxels, rcond=None)[0]
    spread = left.std(axis=0)
    courses, sizes, _ = np.linalg.svd(left / np.where(spread > 0, spread, 1), full_matrices=False)
    return courses, sizes


def _components(voxels: Mapping[str, Floats], *, slow: Floats) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Decompose each tissue and both together; keep components up to half of the variance."""
    masks = {"c": voxels["csf"], "w": voxels["white_matter"], "a": np.concatenate(list(voxels.values()), axis=1)}
    columns, said = {}, {}
    for letter, some in masks.items():
        courses, sizes = decompose(some, slow=slow)
        share = sizes**2 / np.maximum((sizes**2).sum(), 1e-30)
        kept = int(np.searchsorted(np.cumsum(share), KEPT_VARIANCE)) + 1
        for k in range(kept):
            name = f"{letter}_comp_cor_{k:02d}"
            columns[name] = courses[:, k]
            said[name] = {"CumulativeVarianceExplained": float(share[:k + 1].sum()), "Mask": _MASKS[letter],
                          "Method": "aCompCor", "Retained": True, "SingularValue": float(sizes[k]),
                          "VarianceExplained": float(share[k])}
    return columns, said


def _expanded(name: str, values: Floats) -> dict[str, Floats]:
    """Add derivative, square, and the derivative's square."""
    derivative = np.concatenate([[np.nan], np.diff(values)])
    return {name: values, f"{name}_derivative1": derivative, f"{name}_power2": values**2,
            f"{name}_derivative1_power2": derivative**2}


def _one_hot(name: str, where: NDArray[np.integer], *, n: int) -> dict[str, Floats]:
    return {f"{name}{k:02d}": (np.arange(n) == at).astype(np.float64) for k, at in enumerate(where)}


def confounds_table(nuisances: Nuisances, cortex: Cortex, *, model: NoiseModel, tr_s: float,
                    rng: Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Make the table of a run.

    Parameters
    ----------
    nuisances : Nuisances
        What happened to the whole head.
    cortex : Cortex
    model : NoiseModel
    tr_s : float
    rng : Generator

    Returns
    -------
    table : DataFrame
        One row a volume; NaN (``n/a`` on disk) where the volume before is needed and there is none.
    said : dict
        Column to what the JSON beside the table says of it.
    """
    n = len(cortex.mean)
    voxels = draw_voxels(nuisances, model=model, rng=rng)
    slow = cosines(n, tr_s=tr_s)
    components, said = _components(voxels, slow=slow)
    displacement = framewise_displacement(nuisances.motion)
    columns: dict[str, Floats] = {}
    means = {"global_signal": cortex.mean, **{tissue: one.mean(axis=1) for tissue, one in voxels.items()}}
    for name, values in means.items():
        columns |= _expanded(name, values)
        said[name] = {"Method": "Mean"}
    columns |= {"csf_wm": np.concatenate(list(voxels.values()), axis=1).mean(axis=1), "std_dvars": cortex.std_dvars,
                "dvars": cortex.dvars, "framewise_displacement": displacement,
                "rmsd": rms_displacement(nuisances.motion), **components}
    columns |= {f"cosine{k:02d}": one for k, one in enumerate(slow.T)}
    columns |= _one_hot("non_steady_state_outlier", np.flatnonzero(nuisances.unsteady), n=n)
    for name, values in zip(MOTION_COLUMNS, nuisances.motion.T, strict=True):
        columns |= _expanded(name, values)
    with np.errstate(invalid="ignore"):
        outliers = np.flatnonzero((displacement > OUTLIER_FD_MM) | (cortex.std_dvars > OUTLIER_DVARS))
    columns |= _one_hot("motion_outlier", outliers, n=n)
    return pd.DataFrame(columns), said
