"""Maps of a subject's fits for Workbench and Freeview: size, R2, noise ceiling, contrasts; and a table of contrasts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.gifti import write_maps
from analysis.data.sources import HEMISPHERES
from analysis.glm.betas import BLANK
from analysis.glm.linear.contrasts import ContrastMap, noise_ceiling, snr_of
from analysis.glm.linear.files import load_fits
from analysis.glm.linear.formula import Formula, parse, require_terms
from analysis.glm.ols import Floats, explained
from analysis.glm.subject_runs import SubjectRuns
from analysis.steps import Origin, Work
from subjects.cli import ProgressWrapper
from subjects.errors import AnalysisError
from subjects.store import write_table

log = logging.getLogger(__name__)

Maps = dict[str, NDArray[np.float32]]
ALPHA = 0.05
WHITE = ("contrasts of ordinary least squares take the noise of successive volumes for independent, which makes p too "
         'small; glm.model = "ar1" does not')


def load_fits_alone(path: Path) -> Sequence[Mapped]:
    """Read a hemisphere's fits to a session without the betas of single runs."""
    return load_fits(path, own_runs=False)


class Mapped(Protocol):
    """What some runs that were estimated together give to maps and contrasts."""

    @property
    def conditions(self) -> pd.DataFrame:
        """Columns :data:`~analysis.glm.betas.COLUMNS`."""

    @property
    def percent(self) -> NDArray[np.float32]:
        """Betas in percent of the mean signal, (n_conditions, n_vertices)."""

    @property
    def ss_total(self) -> Floats:
        """Sum of squares of the data, drifts removed."""

    @property
    def ss_residual(self) -> Floats:
        """Sum of squares that the model leaves."""

    @property
    def image_variance(self) -> Floats:
        """Variance of single responses over images; see :func:`~analysis.glm.linear.contrasts.repeat_variances`."""

    @property
    def repeat_variance(self) -> Floats:
        """Their variance over an image's repeats."""

    @property
    def rho(self) -> Floats:
        """AR(1) coefficients; 0 where there are none."""

    @property
    def shown(self) -> NDArray[np.int64]:
        """Runs that hold each condition."""

    def contrast(self, weights: Floats) -> ContrastMap:
        """Take a contrast of the conditions."""


@dataclass(frozen=True)
class SubjectMaps:
    """Maps and contrasts of one subject, from fits by least squares, or from the runs after GLMdenoise.

    Parameters
    ----------
    runs : SubjectRuns
    fits : mapping of str to sequence of Path
        Hemisphere to the files of its sessions' fits.
    read : callable
        Reads such a file.
    """

    runs: SubjectRuns
    fits: Mapping[str, Sequence[Path]]
    read: Callable[[Path], Sequence[Mapped]] = load_fits_alone

    def path(self, hemi: str, what: str) -> Path:
        """Spell the path of a hemisphere's maps: ``"glm"`` or ``"contrasts"``."""
        return self.runs.layout.derivative("glm", sub=self.runs.sub, hemi=hemi, suffix=f"desc-{what}_maps.func.gii")

    @property
    def table_path(self) -> Path:
        """The table of contrasts."""
        return self.runs.layout.derivative("glm", sub=self.runs.sub, suffix="contrasts.tsv")

    @property
    def formulas(self) -> list[Formula]:
        """The contrasts that the settings ask for."""
        return [parse(text) for text in self.runs.settings.contrasts]

    def work(self) -> Work:
        """Plan them."""
        outputs = {self.path(hemi, what): hemi for what in ("glm", "contrasts") for hemi in HEMISPHERES
                   if what == "glm" or self.formulas}
        companions = {"table_digest": self.table_path} if self.formulas else {}
        return Work(name=f"sub-{self.runs.sub} maps", sub=self.runs.sub, outputs=tuple(outputs), intermediate=True,
                    companions=companions, chain=f"sub-{self.runs.sub}", make=self.make,
                    origin=lambda path: Origin(
                        {f"fit_{place}": one for place, one in enumerate(self.fits[outputs[path]], start=1)},
                        {"glm_contrasts": list(self.runs.settings.contrasts)}))

    def make(self, _: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Compute both hemispheres' maps; give what then writes them."""
        maps = {hemi: self._maps_of(hemi) for hemi in HEMISPHERES}
        rows = list[dict[str, Any]]()
        for hemi, (_sizes, contrasts) in maps.items():
            rows += [{"contrast": one.text, "hemi": hemi, **summary(found)} for one, found in contrasts]
        if self.formulas and self.runs.settings.model == "ols":
            log.warning("sub-%s: %s", self.runs.sub, WHITE)

        def write() -> dict[Path, dict[str, Any]]:
            said = {}
            for hemi, (sizes, contrasts) in maps.items():
                write_maps(self.path(hemi, "glm"), sizes, hemi=hemi, overwrite=True)
                said[self.path(hemi, "glm")] = {"Maps": list(sizes)}
                if contrasts:
                    said[self.path(hemi, "contrasts")] = self._write_contrasts(hemi, contrasts)
            if self.formulas:
                write_table(self.table_path, pd.DataFrame(rows), overwrite=True)
            return said

        return write

    def _write_contrasts(self, hemi: str, contrasts: Sequence[tuple[Formula, ContrastMap]]) -> dict[str, Any]:
        named: dict[str, tuple[NDArray[np.float32], dict[str, str]]] = {}
        for one, found in contrasts:
            for what, values, statistic in (("percent", found.effect, "ESTIMATE"), ("t", found.t, "TTEST"),
                                            ("z", found.z, "ZSCORE"), ("p", found.p, "PVAL")):
                named[f"{one.text}: {what}"] = (values.astype(np.float32), {
                    "Statistic": f"NIFTI_INTENT_{statistic}", "DegreesOfFreedom": f"{found.n_df:g}"})
        write_maps(self.path(hemi, "contrasts"), {name: values for name, (values, _) in named.items()}, hemi=hemi,
                   said={name: words for name, (_, words) in named.items()}, overwrite=True)
        model = self.runs.settings.model
        over = "t over runs after denoising" if model == "glmdenoise" else "t"
        return {"Maps": list(named), "Test": f"two-tailed {over} of a vertex, not corrected over vertices; sessions by "
                                             "fixed effects", "Noise": model}

    def _maps_of(self, hemi: str) -> tuple[Maps, list[tuple[Formula, ContrastMap]]]:
        fits = [part for path in self.fits[hemi] for part in self.read(path)]
        if self.formulas:
            require_terms(self.formulas, pd.concat([one.conditions for one in fits]), where=f"sub-{self.runs.sub}")
        return size_maps(fits), [(one, fixed_effects(one, fits, where=f"sub-{self.runs.sub}"))
                                 for one in self.formulas]


def size_maps(fits: Sequence[Mapped]) -> Maps:
    """Make the maps that need no contrast, over all sessions."""
    total, left = (np.sum([getattr(one, name) for one in fits], axis=0) for name in ("ss_total", "ss_residual"))
    images = [one.percent[(one.conditions["type"] != BLANK).to_numpy()] for one in fits]
    ratio = snr_of(*(np.mean([getattr(one, name) for one in fits], axis=0)
                     for name in ("image_variance", "repeat_variance")))
    n_repeats = count_repeats(fits)
    maps = {"mean response to images in percent": np.mean([one.mean(axis=0, dtype=np.float64) for one in images],
                                                          axis=0).astype(np.float32),
            "R2 in percent": (100 * explained(total, left)).astype(np.float32),
            "ncsnr": ratio,
            f"noise ceiling in percent, mean of {n_repeats} repeats": noise_ceiling(ratio, n_repeats=n_repeats)}
    if any(one.rho.any() for one in fits):
        maps["AR(1) coefficient"] = np.mean([one.rho for one in fits], axis=0).astype(np.float32)
    return maps


def count_repeats(fits: Sequence[Mapped]) -> int:
    """Count how often an image was shown to a subject, the median over images."""
    shown = pd.concat([one.conditions.assign(n=one.shown)[(one.conditions["type"] != BLANK).to_numpy()]
                       for one in fits])
    return max(1, int(shown.groupby("image_id")["n"].sum().median()))


def fixed_effects(formula: Formula, fits: Sequence[Mapped], *, where: str) -> ContrastMap:
    """Take a contrast of each session and average them; sessions that lack a term are left out.

    Raises
    ------
    AnalysisError
        If no session holds every term.
    """
    found = []
    for one in fits:
        weights = formula.weights(one.conditions)
        if weights is not None:
            found.append(one.contrast(weights))
    if not found:
        raise AnalysisError(where, came=f"no session with all conditions of the contrast {formula.text!r}",
                            expected="both sides in one session",
                            remedy='Correct glm.contrasts, or set glm.sessions = "joint".')
    return ContrastMap(effect=np.mean([one.effect for one in found], axis=0), n_df=sum(one.n_df for one in found),
                       error=np.sqrt(np.sum([np.square(one.error) for one in found], axis=0)) / len(found))


def summary(found: ContrastMap) -> dict[str, Any]:
    """Give a contrast's row of the table."""
    known = np.isfinite(found.t)
    p, t = found.p[known], found.t[known]
    best = int(np.argmax(np.abs(t))) if len(t) else 0
    return {"n_vertices": int(known.sum()), "n_df": found.n_df,
            "percent_median": round(float(np.median(found.effect[known])), 4) if len(t) else None,
            "t_largest": round(float(t[best]), 3) if len(t) else None,
            "vertex_largest": int(np.flatnonzero(known)[best]) if len(t) else None,
            "share_p05_positive": round(float(np.mean((p < ALPHA) & (t > 0))), 4) if len(t) else None,
            "share_p05_negative": round(float(np.mean((p < ALPHA) & (t < 0))), 4) if len(t) else None}
