"""A virtual subject without noise who responds as the GLM expects: its betas are the truth, to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.glm.hrf import canonical
from analysis.simulation import hemodynamics

EXACT = {"noise_sd_pct": 0.0, "smooth_sd_pct": 0.0, "global_sd_pct": 0.0, "drift_sd_pct": 0.0,
         "spikes": 0.0, "motion_pct": 0.0, "session_gain_sd": 0.0, "session_offset_sd": 0.0, "slice_time_ref": 0.0,
         "hrf_lag_sd_s": 0.0, "hrf_width_sd": 0.0}


def use_the_fitted_response(patch: pytest.MonkeyPatch) -> None:
    """Put the response that the GLM fits in the place of the subject's own."""
    times = hemodynamics._TIMES
    values = canonical(times)
    integral = np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2) * (times[1] - times[0])])
    patch.setattr(hemodynamics, "_INTEGRAL", integral)
