"""When images were acquired, against when the runs of their names were played."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from analysis.data.files.finding import parse_name
from subjects.errors import StudyError
from subjects.layout import Layout
from subjects.plan.checklist import local_time
from subjects.plan.match import match_subject
from subjects.plan.matching import CLOSE_S, Joined, SessionMatch
from subjects.run_key import RunKey
from subjects.store import read_json

log = logging.getLogger(__name__)


def find_misnamed(layout: Layout, *, sub: str, keys: Sequence[RunKey]) -> dict[RunKey, str]:
    """Find runs whose images were acquired while something else was played.

    Looked at are the JSON files beside the raw images (``sub-XX/ses-XX/func``, as dcm2niix writes them), which say when
    a series began, or the tables of scans (``*_scans.tsv``, as heudiconv writes them) where these do not, and the
    journals, which say when a run did; the distance of the two clocks is estimated as for ``python -m subjects match``.

    Parameters
    ----------
    layout : Layout
    sub : str
    keys : sequence of RunKey
        Runs, and parts of runs, that have an events table.

    Returns
    -------
    dict of RunKey to str
        What was played instead, in words. Empty where journals or times are not there, or nothing certain can be said.
    """
    if not any(any(layout.root.glob(f"sub-{sub}/ses-*/{name}")) for name in ("func/*_bold.json", "*_scans.tsv")):
        return {}
    try:
        found = match_subject(layout, sub=sub, folder=layout.root / f"sub-{sub}")
    except StudyError as error:
        log.info("sub-%s: when images were acquired is not known (%s)", sub, error.came)
        return {}
    attempts = {key: _attempt_of(layout, key) for key in keys}
    return {key: told for session in found.sessions for key, told in _misnamed(session, attempts)}


def _attempt_of(layout: Layout, key: RunKey) -> int:
    """Say which attempt at a run its events table tells of."""
    path = layout.events_sidecar(key)
    return int(read_json(path).get("Attempt", 1)) if path.is_file() else 1


def _misnamed(session: SessionMatch, attempts: Mapping[RunKey, int]) -> Iterator[tuple[RunKey, str]]:
    certain = session.clocks is not None and session.clocks.rival_s is None and session.clocks.n_pairs > 1
    for pair in session.joined if certain else ():
        key = _named(pair, attempts)
        if key is None or pair.attempt is None or pair.series is None or abs(pair.off_s or 0.0) > CLOSE_S:
            continue
        if (pair.attempt.key.whole, pair.attempt.number) != (key.whole, attempts[key]):
            began = local_time(pair.attempt.began_s or 0.0)
            yield key, (f"images acquired while {pair.attempt.label} of ses-{pair.attempt.key.ses} was played "
                        f"({began[:16].replace('T', ' ')}; {pair.series.files[0].name})")


def _named(pair: Joined, attempts: Mapping[RunKey, int]) -> RunKey | None:
    """Say of which run a series is by its files' names."""
    names = [parse_name(path) for path in (pair.series.files if pair.series is not None else ())]
    return next((key for name in names if name is not None and name.suffix == "bold"
                 for key in attempts if name.is_of(key)), None)
