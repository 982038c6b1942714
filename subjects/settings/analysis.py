"""The settings of the analysis: GLM, vertex selection, RSA, encoding models, the virtual subject.

Every default is a number of the protocol or one of its open points (``docs/protocol.md``, sections 6 to 9).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from subjects.settings.section import Count, NotNegative, Positive, Section


class GlmSettings(Section):
    """The general linear model: HRF, drifts, and how many vertices are fitted at once."""

    model: Literal["ols"] = "ols"
    hrf: Literal["canonical"] = "canonical"
    drift_minutes: Positive = 2.0
    block_vertices: Count = 4096


class RoiSettings(Section):
    """Vertex selection on searchlight disks of the flattened cortex."""

    radius_mm: Positive = 3.0
    vertices_per_hemisphere: Count = 100
    min_disk: Count = 10
    session_means: Literal["removed", "kept"] = "removed"


class RsaSettings(Section):
    """Representational similarity analysis."""

    dissimilarity: Literal["correlation", "euclidean"] = "correlation"
    n_permutations: Count = 1000
    n_bootstraps: Count = 1000


class EncodingSettings(Section):
    """Forward encoding by regularized orthogonal matching pursuit."""

    sparsity: Literal["cv"] | Count = "cv"
    candidates: tuple[Count, ...] = (1, 2, 4, 8)
    folds: Annotated[int, Field(ge=2)] = 5
    n_permutations: Count = 1000
    n_subsamples: Count = 1000
    subsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    correlate: Literal["vertex", "image"] = "vertex"


class AnalysisSettings(Section):
    """Where the BOLD time series come from. ``auto`` takes the only source present, and says which."""

    bold: Literal["auto", "fmriprep", "simulated"] = "auto"


class SimulateSettings(Section):
    """The virtual subject. Standard deviations are in percent of the mean signal."""

    subdivisions: Annotated[int, Field(ge=0, le=3)] = 2
    signal_pct: NotNegative = 2.0
    noise_sd_pct: NotNegative = 1.0
    drift_sd_pct: NotNegative = 1.0
    ar1: Annotated[float, Field(ge=0, lt=1)] = 0.3
