"""Results differ between BLAS kernels, by little; each sidecar says which kernel it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.running import linear_algebra

KERNELS = {"Prescott": "SSE3", "Sandybridge": "AVX", "Haswell": "AVX2", "SkylakeX": "AVX512F"}
"""OpenBLAS's kernels, and the instructions without which a processor cannot run them."""

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import json, sys
import numpy as np
from analysis.glm.design import polynomials
from analysis.glm.ols import Model, fit_session
from analysis.running import linear_algebra
rng = np.random.default_rng(0)
designs = [np.abs(rng.standard_normal((120, 60))) for _ in range(3)]
drifts = [polynomials(120, degree=4) for _ in designs]
runs = [(800 + 5 * rng.standard_normal((120, 2000))).astype(np.float32) for _ in designs]
fit = fit_session(runs, model=Model(designs, drifts))
json.dump({"kernel": linear_algebra(), "percent": fit.percent.tolist()}, sys.stdout)
"""


def runnable() -> list[str]:
    """List the kernels that this processor can run; another ends the process."""
    from numpy._core._multiarray_umath import __cpu_features__ as features

    return [name for name, instructions in KERNELS.items() if features.get(instructions)]


def fit_with(kernel: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True,
                          env={**os.environ, "OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "1"})
    return json.loads(done.stdout)


def test_the_kernel_is_named() -> None:
    found = linear_algebra()
    assert found
    assert set(found[0]) == {"library", "version", "architecture", "threads"}


def test_kernels_differ_by_little_and_are_told_apart() -> None:
    if not any(one["library"] == "openblas" for one in linear_algebra()):
        pytest.skip("numpy is not built on OpenBLAS here")
    names = runnable()[-2:]
    if len(names) < 2:
        pytest.skip("this processor runs one of OpenBLAS's kernels at most")
    fits = {name: fit_with(name) for name in names}
    kernels = {name: {one["architecture"] for one in fit["kernel"]} for name, fit in fits.items()}  # type: ignore[attr-defined]
    if kernels[names[0]] == kernels[names[1]]:
        pytest.skip(f"this processor has one kernel only: {kernels[names[0]]}")
    assert kernels == {name: {name} for name in names}
    first, second = (np.array(fit["percent"]) for fit in fits.values())
    assert np.abs(first - second).max() < 1e-4 * np.abs(first).max()
