"""Repetitions in batches that are kept as they are done: what the calibrations share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed

BATCH = 50
"""Repetitions a batch; batch k has seed k."""

Rows = list[dict[str, object]]


def run(work: Callable[..., Rows], *, cells: list[tuple[dict[str, object], int]], n: int, processes: int,
        keep: Path | None, say: Callable[[pd.DataFrame], None]) -> None:
    """Work on one cell after the other, and say each as soon as it is done; what is kept already is not done again."""
    kept = read_kept(keep)
    with Parallel(n_jobs=processes, return_as="generator") as parallel:
        for cell, share in cells:
            names = [name_of(work, cell, seed) for seed in range(max(1, n // BATCH // share))]
            missing = [seed for seed, name in enumerate(names) if name not in kept]
            for seed, rows in zip(missing, parallel(delayed(work)(**cell, seed=k) for k in missing), strict=True):
                kept[names[seed]] = rows
                if keep is not None:
                    with keep.open("a", encoding="utf-8") as file:
                        file.write(json.dumps([names[seed], rows]) + "\n")
            say(pd.DataFrame([{**cell, **row} for name in names for row in kept[name]]))


def name_of(work: Callable[..., Rows], cell: Mapping[str, object], seed: int) -> str:
    return f"{work.__name__} {json.dumps(cell, sort_keys=True)} {seed}"


def read_kept(path: Path | None) -> dict[str, Rows]:
    """Read batches that were done before; a last line that was torn is done again."""
    found = dict[str, Rows]()
    for line in path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else ():
        try:
            name, rows = json.loads(line)
        except ValueError:
            continue
        found[name] = rows
    return found
