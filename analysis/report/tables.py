"""The tables of a report as plain rows of text, made from its records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.report.open_choices import OPEN_CHOICES
from analysis.report.records import DenoisingRecord, RunRecord, StudyRecords
from analysis.report.wording import bare_p, say_number, say_p, say_probability
from analysis.rsa.ceiling import noise_ceiling
from analysis.rsa.compare import DEGENERATE
from analysis.running import Digests
from analysis.statistics.correction import say_families
from stimuli.manifest import TYPES
from subjects.provenance import sidecar_path, versions
from subjects.settings.study import Settings, leaves
from subjects.store import read_json

PACKAGES = ("adversarial-fmri", "numpy", "scipy", "pandas", "h5py", "nibabel", "nilearn", "matplotlib", "torch",
            "psychopy")
KNOWABLE = ("RE", "AI")
"""Types of image of which a subject can see whether they show an animal."""


@dataclass(frozen=True)
class TextTable:
    """A table ready to be set.

    Parameters
    ----------
    columns : tuple of str
    rows : tuple of tuple of str
        Each as long as `columns`.
    n_text : int
        How many columns from the left are words; the others are numbers and set flush right.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_text: int = 1

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(row)} cells under {len(self.columns)} columns: {row}")


def stimuli_table(records: StudyRecords) -> TextTable:
    """Sum up the set by type: probabilities, contrast, distance from the start."""
    rows = []
    for kind in TYPES:
        ones = [one for one in records.manifest.stimuli if one.type == kind]
        cells = [_range([getattr(one, name) for one in ones], digits=digits) for name, digits in
                 (("contrast_rms", 1), ("l2", 2), ("linf", 3), ("ssim", 2), ("iterations", 0))]
        rows.append((kind, str(len(ones)), _probabilities([one.p_after for one in ones]), *cells))
    columns = ("Type", "Images", "P of target", "Contrast (grey levels)", "L2", "L∞", "SSIM", "Steps")
    return TextTable(columns, tuple(rows))


def _probabilities(values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, high = (say_probability(float(edge), digits=4) for edge in (np.min(values), np.max(values)))
    return low if low == high else f"{low} to {high}"


def _range(values: Sequence[float], *, digits: int) -> str:
    """Give the median and, in brackets, smallest and largest."""
    if not values:
        return "–"
    low, middle, high = np.min(values), float(np.median(values)), np.max(values)
    if low == high:
        return say_number(middle, digits=digits)
    return (f"{say_number(middle, digits=digits)} ({say_number(float(low), digits=digits)}–"
            f"{say_number(float(high), digits=digits)})")


def runs_table(records: StudyRecords) -> TextTable:
    """Tell of every run: trials, pulses, onset errors, completeness, answers."""
    columns = ("Subject", "Session", "Run", "State", "Watch", "Scanner, display", "Trials", "Pulses",
               "Onset error, median (ms)", "99 % (ms)", *(f"Correct, {kind}" for kind in KNOWABLE), "Answered",
               "Median RT (s)")
    return TextTable(columns, tuple(_run_row(run) for one in records.subjects for run in one.runs), n_text=6)


def _run_row(run: RunRecord) -> tuple[str, ...]:
    sidecar, images = run.events.attrs["sidecar"], run.images
    size = 1e3 * np.abs(run.onset_errors_s)
    middle, far = (float(np.percentile(size, q)) if len(size) else None for q in (50, 99))
    answered = pd.to_numeric(images["response_time"], errors="coerce").dropna()
    faults = (sidecar.get("PulseWatch") or {}).get("faults") or ()
    pulses = f"{_or_dash(sidecar.get('n_pulses'))}/{_or_dash(sidecar.get('n_volumes'))}"
    part, state = sidecar.get("Part"), "complete" if run.events.attrs["complete"] else "incomplete"
    named = str(run.key.run) if part is None else f"{run.key.run}, part {part} of {len(sidecar['RunAttempts'])}"
    if part is not None and part < len(sidecar["RunAttempts"]):
        state = "cut short, resumed"
    return (run.key.sub, run.key.ses, named, state,
            "; ".join(faults) or "ok", f"{run.scanner}, {run.display}",
            f"{len(run.events)} ({len(run.events) - len(images)} blank)", pulses,
            say_number(middle, digits=2), say_number(far, digits=2),
            *(_share(images.loc[images["trial_type"] == kind, "correct"]) for kind in KNOWABLE),
            _share(images["response"].notna()[images["correct_response"].notna()]),
            say_number(float(answered.median()) if len(answered) else None, digits=2))


def _share(of: pd.Series) -> str:
    """Say which percentage of some rows is right; rows that say nothing are left out."""
    known = pd.to_numeric(of, errors="coerce").dropna()
    return f"{100 * float(known.mean()):.0f} %" if len(known) else "–"


def excerpts_table(records: StudyRecords) -> TextTable:
    """Tell of the excerpts in a real window: images, onset errors, key events sent and logged."""
    columns = ("Subject", "Images shown", "Onset error, median (ms)", "99 % (ms)", "Pulses logged", "Presses logged")
    rows = []
    for one in (excerpt for subject in records.subjects for excerpt in subject.excerpts):
        size = 1e3 * np.abs(one.onset_errors_s)
        middle, far = (float(np.percentile(size, q)) if len(size) else None for q in (50, 99))
        keys = (f"{one.logged[name]}/{one.sent[name]}" for name in ("pulses", "presses"))
        rows.append((one.sub, f"{len(size)}/{one.n_planned}", say_number(middle), say_number(far), *keys))
    return TextTable(columns, tuple(rows))


def _or_dash(value: object) -> str:
    return "–" if value is None else str(value)


def glm_table(records: StudyRecords) -> TextTable:
    """Tell how the model fitted: conditions, and median R2 in all vertices and in each region."""
    places = ("all", *records.regions)
    columns = ("Subject", "Hemisphere", "Vertices", "Conditions", *(f"R², {name}" for name in places))
    gaps = any(fit.missing for one in records.subjects for fit in one.glm)
    rows = tuple((fit.sub, fit.hemi, f"{fit.n_vertices}" + (f" ({fit.n_silent} silent)" if fit.n_silent else ""),
                  " + ".join(str(n) for n in fit.conditions.values()),
                  *(say_number(fit.r2.get(name)) for name in places), *((fit.missing or "–",) if gaps else ()))
                 for one in records.subjects for fit in one.glm)
    return TextTable((*columns, *(("There, of what was planned",) if gaps else ())), rows, n_text=2)


def prf_table(records: StudyRecords) -> TextTable:
    """Tell of the receptive fields of each region: how many, how well they fit, how large they are."""
    columns = ("Subject", "Hemisphere", "Region", "Fitted", "Shown", "R² (%)", "R², left out (%)", "Eccentricity (°)",
               "Size (°)", "Size at 2°", "Slope", "Exponent", "Lag (s)")
    names = ("median_r2_pct", "median_r2_cv_pct", "median_eccentricity_deg", "median_size_deg", "size_at_2_deg",
             "size_slope", "median_exponent", "median_lag_s")
    rows = tuple((one.sub, str(row.hemi), str(row.region), str(row.n_fitted), str(row.n_shown),
                  *(say_number(float(getattr(row, name))) for name in names))
                 for one in records.subjects if one.prf is not None for row in one.prf.table.itertuples())
    return TextTable(columns, rows, n_text=3)


def denoising_table(records: StudyRecords) -> TextTable:
    """Tell what GLMdenoise found, one line a session or half of one; no rows without it."""
    columns = ("Subject", "Runs", "Response", "Remarks", "R² to canonical", "Noise pool", "Components",
               "Cross-validated R²", "Signal over noise")
    return TextTable(columns, tuple((one.sub, *_denoising_row(found)) for one in records.subjects
                                    for found in one.denoising), n_text=4)


def _denoising_row(record: DenoisingRecord) -> tuple[str, ...]:
    one = record.noise
    gain = " → ".join(say_number(float(np.nanmedian(values)) if np.isfinite(values).any() else None)
                      for values in record.gains)
    r2 = " → ".join(say_number(float(one.curve[n]), digits=2, unit=" %") for n in (0, one.n_components))
    near = one.hrf.r2_seed if np.isfinite(one.hrf.r2_seed) else None
    return (record.name, one.hrf.outcome, "; ".join(one.remarks()) or "–", say_number(near, digits=1, unit=" %"),
            f"{one.n_pool}/{sum(len(mask) for mask in one.pool.values())}",
            f"{one.n_components} of {len(one.curve) - 1}", r2, gain)


def brain_table(records: StudyRecords) -> TextTable:
    """Set every similarity in the brain, one line a region and subject."""
    return _statistics(records.brain, lines=("sub", "place"), kinds=("RE-AI", "RE-AN", "RE-AI minus RE-AN"),
                       heads=("Subject", "Region"), ceiling=True)


def ceiling_table(records: StudyRecords) -> TextTable:
    """Bound what any model could reach with this group: each region's RDMs of one subject against those of the others.

    No row of a region that fewer than two subjects have.
    """
    rows = []
    for roi in records.regions:
        subjects = [one for one in records.subjects if roi in one.regions]
        if len(subjects) < 2:
            continue
        bounds = (noise_ceiling([one.rdms[f"{roi}/{kind}"] for one in subjects]) for kind in TYPES)
        rows.append((roi, *(f"{say_number(low)}–{say_number(high)}" for low, high in bounds)))
    return TextTable(("Region", *TYPES), tuple(rows))


def network_table(records: StudyRecords) -> TextTable:
    """Set every similarity in the network, one line a layer and the last by logits too; the trends over layers below.

    Layers whose dissimilarities hardly differ are called degenerate.
    """
    table = records.network
    degenerate = table["test"].astype(str).str.contains(DEGENERATE)
    flagged = {place: f"{place} (degenerate)" for place in table.loc[degenerate, "place"]}
    trend = table["comparison"].str.startswith("trend ")
    layers = _statistics(table[~trend].replace({"place": flagged}), lines=("place",),
                         kinds=("RE-AI", "RE-AN", "RE-AI minus RE-AN"), heads=("Layer",))
    trends = []
    for place, part in table[trend].groupby("place", sort=False):
        rows: list[Any] = list(part.itertuples())
        found = {row.comparison: f"τ = {say_number(row.effect)}, {_say_ps(row)}" for row in rows}
        trends.append((str(place).replace("layers", "trend", 1), found["trend RE-AI"], found["trend RE-AN"], "–"))
    return TextTable(layers.columns, (*layers.rows, *trends))


def encoding_table(records: StudyRecords) -> TextTable:
    """Set every encoding model, one line a region, layer and subject."""
    return _statistics(records.encoding, lines=("sub", "roi", "layer"), kinds=("AI", "AN", "AI minus AN", "RE"),
                       heads=("Subject", "Region", "Layer"), tail=("sparsity", "Sparsity"))


def _statistics(table: pd.DataFrame, *, lines: tuple[str, ...], kinds: tuple[str, ...], heads: tuple[str, ...],
                ceiling: bool = False, tail: tuple[str, str] | None = None) -> TextTable:
    """Put the kinds of one place side by side: effect, interval, p as it is and corrected."""
    column = "comparison" if "comparison" in table else "type"
    rows = []
    for place, part in table.groupby(list(lines), sort=False):
        found = {getattr(row, column): row for row in part.itertuples()}
        extra = [_ceiling(found[kinds[0]]), _reliability(found[kinds[0]])] if ceiling else []
        extra += [str(getattr(found[kinds[0]], tail[0]))] if tail else []
        rows.append((*map(str, place), *(say_statistic(found[kind]) for kind in kinds), *extra))
    more = (("Noise ceiling", "Split-half reliability, whole") if ceiling else ()) + ((tail[1],) if tail else ())
    return TextTable((*heads, *(kind.replace(" minus ", " − ") for kind in kinds), *more), tuple(rows),
                     n_text=len(lines))


def control_of(records: StudyRecords) -> pd.DataFrame | None:
    """Give the similarities on the second selection, of the subjects that have one; None where nobody has."""
    tables = [one.control for one in records.subjects if one.control is not None]
    return pd.concat(tables, ignore_index=True) if tables else None


def say_statistic(row: Any) -> str:
    """Write a tested number: effect, interval, p, and p corrected where the table has it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> say_statistic(SimpleNamespace(effect=0.5, low=0.4, high=0.6, p=0.012, p_corrected=0.03))
    '0.500 [0.400, 0.600] p = .012 (corrected .030)'
    """
    return (f"{say_number(row.effect, digits=3)} [{say_number(row.low, digits=3)}, {say_number(row.high, digits=3)}] "
            f"{_say_ps(row)}")


def _say_ps(row: Any) -> str:
    corrected = getattr(row, "p_corrected", math.nan)
    return say_p(row.p) if pd.isna(corrected) else f"{say_p(row.p)} (corrected {bare_p(corrected)})"


def say_corrections(records: StudyRecords) -> dict[str, str]:
    """Name the families within which p is corrected, for brain, network and models; empty where none is."""
    tables = {"brain": records.brain, "network": records.network, "encoding": records.encoding}
    return {name: say_families(table) for name, table in tables.items()}


def _reliability(row: Any) -> str:
    """Write the split-half reliability, as it is and for the whole of the data."""
    half, whole = (getattr(row, name, math.nan) for name in ("reliability", "reliability_whole"))
    return "–" if pd.isna(half) else f"{say_number(half)}, {say_number(whole)}"


def _ceiling(row: Any) -> str:
    if not np.isfinite(row.ceiling_low):
        return "–"
    return f"{say_number(row.ceiling_low)}–{say_number(row.ceiling_high)}"


def departures_table(settings: Settings) -> TextTable:
    """List where the settings leave the protocol."""
    rows = tuple((key, _value(theirs), _value(ours)) for key, theirs, ours in settings.departures())
    return TextTable(("Setting", "Protocol", "This study"), rows, n_text=3)


def choices_table(settings: Settings) -> TextTable:
    """List the protocol's open points, and what was chosen."""
    in_force = dict(leaves(settings.model_dump()))
    rows = tuple((one.topic, one.paper, one.here,
                  "; ".join(f"{key} = {_value(value)}" for key, value in one.values(in_force).items()) or "–")
                 for one in OPEN_CHOICES)
    return TextTable(("About", "The paper", "Here, by default", "Settings of this study"), rows, n_text=4)


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def files_table(records: StudyRecords) -> TextTable:
    """Name every result file with size, digest and what it was made from."""
    root, digests = records.layout.root, Digests(verify=False)
    rows = tuple((path.relative_to(root).as_posix(), _size(path), digests.kept(path), "; ".join(_made_from(path)))
                 for path in records.files)
    return TextTable(("File", "Size", "Digest", "Made from"), rows, n_text=4)


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1024:,.0f} KiB" if path.is_file() else "dropped"


def _made_from(path: Path) -> Iterator[str]:
    beside = sidecar_path(path)
    content = read_json(beside) if beside.is_file() else {}
    inputs = content.get("inputs", {}) if isinstance(content, Mapping) else {}
    for name, digest in inputs.items():
        yield f"{name} {str(digest)[:8]}"


def provenance_rows(records: StudyRecords) -> TextTable:
    """Give the seeds, digests and versions behind everything."""
    first = records.manifest.stimuli[0]
    digests = {"Study seed": records.settings.study.seed, "Settings": records.settings.digest,
               "Manifest": records.manifest.digest, f"Network “{first.network}”": first.network_digest}
    found = [(name, str(value)) for name, value in digests.items()]
    return TextTable(("What", "Value"), (*found, *versions(*PACKAGES).items()), n_text=2)
