"""How people named the images: shares by type, exact intervals, and claims P1 and P2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from stimuli.manifest import read_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import load_profile
from subjects.provenance import digest_file
from subjects.store import read_json, read_table

TYPES = ("RE", "AN", "AI")
COLUMNS = {
    "sub": "Subject.",
    "type": "Type of the images.",
    "n": "Images that were named.",
    "effect": "Share of them named as the category of their base image.",
    "low": "Lower one-sided 95 % bound of that share (Clopper and Pearson).",
    "high": "Upper one-sided 95 % bound.",
    "p": "One-sided exact binomial test against naming by chance from the list.",
    "noise": "Share called nothing but noise.",
    "target": "AI: share named as the category that the network takes them for.",
    "own_words": "Share named in own words, which are none of the list and count as no category.",
    "confidence": "Mean confidence.",
    "response_time": "Median time to the name, in seconds.",
}


def bounds(k: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Give the one-sided exact bounds of a share (Clopper & Pearson 1934, Biometrika 26:404-413).

    Examples
    --------
    >>> [round(bound, 4) for bound in bounds(0, 40)], [round(bound, 4) for bound in bounds(38, 40)]
    ([0.0, 0.0722], [0.8509, 0.9911])
    """
    low = 0.0 if k == 0 else float(stats.beta.ppf(1.0 - level, k, n - k + 1))
    high = 1.0 if k == n else float(stats.beta.ppf(level, k + 1, n - k))
    return low, high


def score_naming(table: pd.DataFrame, *, sub: str, n_choices: int) -> pd.DataFrame:
    """Score the naming of one subject, each type of image by itself.

    Parameters
    ----------
    table : DataFrame
        A naming table (``*_task-naming_beh.tsv``).
    sub : str
        The subject.
    n_choices : int
        Names on the list.

    Returns
    -------
    DataFrame
        A row each for RE, AN and AI, with the columns of :data:`COLUMNS`.

    Raises
    ------
    AnalysisError
        If no image of a type was named.
    """
    rows = []
    for kind in TYPES:
        mine = table[table["trial_type"] == kind]
        n = len(mine)
        if n == 0:
            raise AnalysisError(f"naming of sub-{sub}", came=f"no {kind} image", expected="every type of image named",
                                remedy="Go on with `python run_session.py name`.")
        right = mine["response_category"] == mine["category"]
        k = int(right.sum())
        low, high = bounds(k, n)
        kinds = mine["response_kind"]
        target = mine["target_category"].notna() & (mine["response_category"] == mine["target_category"])
        rows.append({"sub": sub, "type": kind, "n": n, "effect": k / n, "low": low, "high": high,
                     "p": max(float(stats.binomtest(k, n, 1.0 / n_choices, alternative="greater").pvalue),
                              float(np.finfo(float).tiny)),
                     "noise": float((kinds == "noise").mean()),
                     "target": float(target.mean()) if kind == "AI" else np.nan,
                     "own_words": float((kinds == "own words").mean()), "confidence": float(mine["confidence"].mean()),
                     "response_time": float(mine["response_time"].median())})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def find_naming(layout: Layout, *, virtual: bool) -> tuple[Path, ...]:
    """List the naming tables that are whole, every image of today's set named, of volunteers or of virtual subjects.

    Everybody who named counts, scanned or not; of somebody who named twice the first table. Whoever named another set,
    made before this one, said nothing of it.
    """
    first: dict[str, Path] = {}
    digest = read_manifest(layout.manifest).digest if layout.manifest.is_file() else ""
    for path in sorted(layout.root.glob("sub-*/ses-*/beh/*_task-naming_beh.tsv")):
        sub = _subject(path)
        if sub in layout.subjects() and load_profile(layout, sub).virtual == virtual and _whole(path, of=digest):
            first.setdefault(sub, path)
    return tuple(first.values())


def _subject(path: Path) -> str:
    return path.name.split("_")[0].removeprefix("sub-")


def _whole(path: Path, *, of: str) -> bool:
    told = read_json(path.with_suffix(".json"))
    return told.get("n_named") == told.get("n_images") and told.get("manifest_digest") == of


def read_naming(layout: Layout, *, virtual: bool) -> pd.DataFrame | None:
    """Score the naming of everybody; None where nobody has named the set."""
    scored = [read_score(path) for path in find_naming(layout, virtual=virtual)]
    return pd.concat(scored, ignore_index=True) if scored else None


def read_score(path: Path) -> pd.DataFrame:
    """Score one naming table; see :func:`score_naming`.

    Raises
    ------
    AnalysisError
        If it is not the table that its sidecar tells of.
    """
    told = read_json(path.with_suffix(".json"))
    if told.get("table_digest", digest_file(path)) != digest_file(path):
        raise AnalysisError(str(path), came="a table that was changed since it was written",
                            expected=f"digest {told['table_digest']}, as its sidecar says",
                            remedy="`python run_session.py name` makes it again of the answers that were kept.")
    table = read_table(path, text_columns=("response_category", "category", "target_category", "response"))
    return score_naming(table, sub=_subject(path), n_choices=int(told["n_choices"]))


def say_naming(scored: pd.DataFrame) -> list[str]:
    """Say how somebody named the images, a line a type."""
    return [f"{row['type']}: {100 * row['effect']:.0f} % of {row['n']} named as their RE, "
            f"{100 * row['noise']:.0f} % called noise"
            + ("" if pd.isna(row["target"]) else f", {100 * row['target']:.0f} % as the network names them")
            for row in scored.to_dict("records")]
