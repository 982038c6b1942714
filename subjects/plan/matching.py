"""Series of images joined to attempts at runs by the wall clock.

The clocks of console and scanner differ by a constant, which is not known: by their time zones, and by what they are
wrong. The distance between the beginning of any series and any attempt is a candidate for it. The true one makes many
pairs fit at once, in their times and in what else is known of both (volumes, repetition time, task), and clocks that
are right but for their time zone and some seconds are likelier than others. The candidate that does best is refined to
the median of its pairs. Where another one does about as well, as with runs at even distances of which one is missing,
nothing is certain, and that is said.

What a series is called decides nothing: one that by its name or sequence would be a scout, a field map or a T1 joins an
attempt if it begins with it and its volumes, or where they are not known its repetition time, are the attempt's.
"""

from __future__ import annotations

import statistics
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from subjects.plan.image_sidecars import DAY_S, DERIVED, FUNCTIONAL, OTHER, Series
from subjects.plan.scanned import Attempt

TOLERANCE_S = 6.0
"""How far a series may begin from its attempt, clocks set against each other. An attempt is longer than that."""
CLOSE_S = 2.5
"""From which distance on a pair is doubtful: pulse and acquisition lie a constant apart, give or take a volume."""
NEAR_DAYS = 1.5
"""Dated series of another day are another session's."""
VOLUMES = 2
"""By how many volumes a series may differ from the pulses of its attempt to have as many."""
UNNAMED = 0.5
"""What a pair counts whose series is none of runs by its name: less than one whose name agrees."""
TR_SHARE = 0.02
ZONE_S, WRONG_S = 1800.0, 120.0
"""Time zones are half hours apart; a clock that somebody looks after is not wrong by more than this."""
STEP_S = 5400.0
"""A clock that is set right within a session is not moved by more than this: an hour, and what it was wrong."""
RIVAL = 1.0
"""An offset that does worse by no more than a pair may be the true one."""
FITS, DOUBTFUL, MISSING, EXTRA = "fits", "doubtful", "missing", "extra"


@dataclass(frozen=True)
class Clocks:
    """How the scanner's clock stands to the console's in a session.

    Parameters
    ----------
    offset_s : float
        Scanner minus console: seconds to be added to the console's time since 1970 (UTC). Modulo a day where no
        series is dated.
    n_pairs : int
        Series that it was estimated from.
    spread_s : float
        Median distance of the pairs from it.
    rival_s : float or None
        Another offset that fits about as well.
    """

    offset_s: float
    n_pairs: int
    spread_s: float
    rival_s: float | None = None


@dataclass(frozen=True)
class Joined:
    """A series and an attempt that belong together, or one of them alone.

    Parameters
    ----------
    status : {"fits", "doubtful", "missing", "extra"}
        `missing`: an attempt without a series; `extra`: a series of runs without an attempt.
    attempt : Attempt or None
    series : Series or None
    off_s : float or None
        How much later the series begins than the attempt's first pulse, clocks set against each other.
    doubts : tuple of str
        What does not fit.
    """

    status: str
    attempt: Attempt | None
    series: Series | None
    off_s: float | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A change of the clocks' difference within a session, as what was left over tells of it.

    Parameters
    ----------
    by_s : float
        How much more (or less) the scanner's clock is ahead in one part of the session than in the other.
    at : Series
        The first series of the later part.
    n_pairs : int
        Attempts and series that would be joined with it and were not.
    """

    by_s: float
    at: Series
    n_pairs: int


@dataclass(frozen=True)
class SessionMatch:
    """What was joined in a session.

    `beside` are series that are of no run (field maps, T1, localizers, the rest); `step` is said where the clocks'
    difference seems to change.
    """

    ses: str
    clocks: Clocks | None
    joined: tuple[Joined, ...]
    beside: tuple[Series, ...] = ()
    step: Step | None = None

    @property
    def fits(self) -> bool:
        """Say whether everything fits."""
        return all(one.status == FITS for one in self.joined)


def match_session(attempts: Sequence[Attempt], series: Sequence[Series], *, ses: str,
                  offset_s: float | None = None) -> SessionMatch:
    """Join the series of a session to its attempts.

    Parameters
    ----------
    attempts : sequence of Attempt
        All of the session, also those without a pulse.
    series : sequence of Series
        All that may be of it.
    ses : str
        Its label.
    offset_s : float, optional
        Scanner's clock minus console's, where it is known; default: estimated.

    Returns
    -------
    SessionMatch
        Attempts in order, then series without one. Series that were found by the number that the operator entered,
        because no time is known of them, are doubtful.
    """
    scanned = [one for one in attempts if one.began_s is not None]
    candidates = [one for one in series if any(_may_be(attempt, one) for attempt in scanned)]
    timed = [one for one in candidates if one.began_s is not None]
    clocks = None
    if scanned and timed:
        clocks = estimate_clocks(scanned, timed) if offset_s is None else _given(scanned, timed, offset_s=offset_s)
    pairs = {} if clocks is None else _pairs(scanned, timed, offset_s=clocks.offset_s)
    if clocks is not None:
        pairs |= _derived_pairs(scanned, series, taken=pairs, offset_s=clocks.offset_s)
    joined = [_judge(one, pairs.get(k), candidates=candidates, taken=list(pairs.values()), clocks=clocks)
              for k, one in enumerate(scanned)]
    used = {id(one.series) for one in joined if one.series is not None}
    joined += [_extra(one, attempts, clocks=clocks) for one in series
               if id(one) not in used and one.kind == FUNCTIONAL]
    used |= {id(one.series) for one in joined}
    return SessionMatch(ses, clocks, tuple(joined), tuple(one for one in series if id(one) not in used),
                        step=None if clocks is None else _step(joined, clocks=clocks))


def _step(joined: Sequence[Joined], *, clocks: Clocks) -> Step | None:
    """Look whether what was left over, two pairs or more on one side of the rest, fits with clocks set otherwise."""
    attempts = [one.attempt for one in joined if one.status == MISSING and one.attempt is not None]
    series = [one.series for one in joined if one.attempt is None and one.series is not None
              and one.series.began_s is not None]
    fitted = [one.attempt.opened_s for one in joined if one.attempt is not None and one.off_s is not None]
    other = estimate_clocks(attempts, series) if len(attempts) > 1 and len(series) > 1 and fitted else None
    if other is None or other.n_pairs < 2:
        return None
    by_s = (other.offset_s - clocks.offset_s + DAY_S / 2) % DAY_S - DAY_S / 2
    pairs = _pairs(attempts, series, offset_s=other.offset_s)
    times = [attempts[k].opened_s for k in pairs]
    if abs(by_s) > STEP_S or not (min(times) > max(fitted) or max(times) < min(fitted)):
        return None
    later = min(times) > max(fitted)
    ordered = [pairs[k] for k in sorted(pairs)] if later else [
        one.series for one in joined if one.series is not None and one.off_s is not None]
    return Step(by_s if later else -by_s, ordered[0], len(pairs))


def estimate_clocks(attempts: Sequence[Attempt], series: Sequence[Series]) -> Clocks | None:
    """Estimate how the scanner's clock stands to the console's; None where nothing can belong together.

    Parameters
    ----------
    attempts : sequence of Attempt
        Those with a pulse.
    series : sequence of Series
        Those with a time.
    """
    offsets = sorted({round(_apart(one, other), 3) for one in series for other in attempts})
    offsets = [offset for offset in offsets if _possible(offset, series)] or offsets
    scored = sorted(((_score(attempts, series, offset_s=offset), offset) for offset in offsets),
                    key=lambda one: (-one[0], _spread(attempts, series, offset_s=one[1])))
    if not scored:
        return None
    best, offset = scored[0]
    clocks = _given(attempts, series, offset_s=offset)
    for _ in range(2):  # to the median of the pairs, and of those that fit then
        clocks = _given(attempts, series, offset_s=clocks.offset_s)
    others = (other for score, other in scored if score >= best - RIVAL)
    dated = _dated(series)
    return replace(clocks, rival_s=next(
        (one for one in others if _cyclic(one - clocks.offset_s, dated=dated) > TOLERANCE_S), None))


def _given(attempts: Sequence[Attempt], series: Sequence[Series], *, offset_s: float) -> Clocks:
    """Refine an offset to the median of the pairs that it makes."""
    off = [_off(attempts[k], one, offset_s=offset_s) for k, one in _pairs(attempts, series, offset_s=offset_s).items()]
    if not off:
        return Clocks(offset_s, 0, 0.0)
    middle = statistics.median(off)
    return Clocks(offset_s + middle, len(off), statistics.median(abs(one - middle) for one in off))


def _dated(series: Sequence[Series]) -> bool:
    return all(one.dated for one in series)


def _possible(offset_s: float, series: Sequence[Series]) -> bool:
    """Whether clocks can differ so much: by a time zone and what they are wrong, not by days."""
    return not _dated(series) or abs(offset_s) <= NEAR_DAYS * DAY_S


def _apart(series: Series, attempt: Attempt) -> float:
    apart = (series.began_s or 0.0) - (attempt.began_s or 0.0)
    return apart if series.dated else (apart + DAY_S / 2) % DAY_S - DAY_S / 2


def _cyclic(seconds: float, *, dated: bool) -> float:
    """Give the size of a difference; modulo a day where no date is known."""
    return abs(seconds) if dated else abs((seconds + DAY_S / 2) % DAY_S - DAY_S / 2)


def _off(attempt: Attempt, series: Series, *, offset_s: float) -> float:
    """Give how much later a series begins than an attempt, by clocks that differ so much."""
    off = _apart(series, attempt) - offset_s
    return off if series.dated else (off + DAY_S / 2) % DAY_S - DAY_S / 2


def _pairs(attempts: Sequence[Attempt], series: Sequence[Series], *, offset_s: float) -> dict[int, Series]:
    """Join each attempt to one series at most, those of runs by their names and the closest pairs first."""
    near = sorted((not _of_runs(one), abs(off), k, j) for k, attempt in enumerate(attempts)
                  for j, one in enumerate(series)
                  if abs(off := _off(attempt, one, offset_s=offset_s)) <= TOLERANCE_S and _may_be(attempt, one))
    pairs, taken = dict[int, Series](), set[int]()
    for _, _, k, j in near:
        if k not in pairs and j not in taken:
            pairs[k] = series[j]
            taken.add(j)
    return pairs


def _derived_pairs(attempts: Sequence[Attempt], series: Sequence[Series], *, taken: Container[int],
                   offset_s: float) -> dict[int, Series]:
    """Join what is derived by its name or type to attempts that have nothing else: it may be the run itself."""
    free = [k for k in range(len(attempts)) if k not in taken]
    near = sorted((abs(off), k, j) for k in free for j, one in enumerate(series)
                  if one.kind == DERIVED and one.began_s is not None and _as_many(attempts[k], one) is not False
                  and abs(off := _off(attempts[k], one, offset_s=offset_s)) <= TOLERANCE_S)
    pairs: dict[int, Series] = {}
    for _, k, j in near:
        if all(series[j] is not one for one in pairs.values()):
            pairs.setdefault(k, series[j])
    return pairs


def _score(attempts: Sequence[Attempt], series: Sequence[Series], *, offset_s: float) -> float:
    """Count the pairs of an offset, with what else speaks for and against each; one more for likely clocks."""
    pairs = _pairs(attempts, series, offset_s=offset_s)
    likely = abs((offset_s + ZONE_S / 2) % ZONE_S - ZONE_S / 2) <= WRONG_S
    return sum((1.0 if _of_runs(one) else UNNAMED) + _agreement(attempts[k], one) for k, one in pairs.items()) + likely


def _spread(attempts: Sequence[Attempt], series: Sequence[Series], *, offset_s: float) -> float:
    return _given(attempts, series, offset_s=offset_s).spread_s


def _agreement(attempt: Attempt, series: Series) -> float:
    """Weigh what is known of both: volumes, repetition time, task, the number that was entered."""
    entered = None if None in (attempt.series, series.number) else attempt.series == series.number
    said = [None if series.n_volumes is None else series.n_volumes >= attempt.n_pulses - 1,
            _as_many(attempt, series),
            _same_tr(attempt, series), None if series.task is None else _same_task(attempt, series), entered, entered]
    return sum(0.0 if one is None else 0.5 if one else -0.5 for one in said)


def _of_runs(series: Series) -> bool:
    """Whether name and sequence speak for a run, or for nothing."""
    return series.kind in (FUNCTIONAL, OTHER)


def _as_many(attempt: Attempt, series: Series) -> bool | None:
    """Whether a series has as many volumes as an attempt pulses; None where they are not known."""
    return None if series.n_volumes is None else abs(series.n_volumes - attempt.n_pulses) <= VOLUMES


def _may_be(attempt: Attempt, series: Series) -> bool:
    """Whether a series can be an attempt's, the clock apart; against its name, what was measured must speak for it."""
    if _of_runs(series) or series.kind == DERIVED:
        return series.kind != DERIVED
    as_many = _as_many(attempt, series)
    return _same_tr(attempt, series) is not False if as_many is None else as_many and series.n_volumes != 1


def _same_tr(attempt: Attempt, series: Series) -> bool | None:
    if attempt.tr_s is None or series.tr_s is None:
        return None
    return abs(series.tr_s / attempt.tr_s - 1.0) <= TR_SHARE


def _same_task(attempt: Attempt, series: Series) -> bool:
    return (series.task or "").lower() == attempt.key.task.lower()


def _judge(attempt: Attempt, series: Series | None, *, candidates: Sequence[Series], taken: Sequence[Series],
           clocks: Clocks | None) -> Joined:
    """Say how an attempt and the series that the clock gives it fit."""
    if series is None or clocks is None:
        entered = next((one for one in candidates if one.number is not None and one.number == attempt.series
                        and one not in taken), None)
        if entered is not None:
            why = "no time is known of it" if entered.began_s is None else "the clock gives it no attempt"
            return Joined(DOUBTFUL, attempt, entered, doubts=(f"joined by the number that was entered: {why}",))
        there = any(one.number == attempt.series for one in candidates)
        said = f"series {attempt.series} was entered and {'is joined to another' if there else 'is not there'}"
        return Joined(MISSING, attempt, None, doubts=(said,) if attempt.series is not None else ())
    off = _off(attempt, series, offset_s=clocks.offset_s)
    doubts = tuple(_doubts(attempt, series, clocks=clocks, off_s=off))
    return Joined(DOUBTFUL if doubts else FITS, attempt, series, off_s=off, doubts=doubts)


def _doubts(attempt: Attempt, series: Series, *, clocks: Clocks, off_s: float) -> list[str]:
    by_number = attempt.series is not None and attempt.series == series.number
    named = {
        f"begins {abs(off_s):.1f} s {'later' if off_s > 0 else 'earlier'} than it": abs(off_s) > CLOSE_S,
        f"TR {series.tr_s or 0.0:g} s, the run's {attempt.tr_s or 0.0:g} s": _same_tr(attempt, series) is False,
        "derived by its name or ImageType": series.kind == DERIVED,
        f"a {series.kind} by its name, and how many volumes it has is not known":
            not _of_runs(series) and series.kind != DERIVED and series.n_volumes is None
            and not _same_tr(attempt, series),
        f"named task {series.task!r}": series.task is not None and not _same_task(attempt, series),
        f"{series.n_volumes} volumes, {attempt.n_pulses} pulses":
            series.n_volumes is not None and series.n_volumes < attempt.n_pulses - 1,
        f"the operator entered series {attempt.series}":
            None not in (attempt.series, series.number) and not by_number,
        "the clocks' difference rests on this series alone":
            clocks.n_pairs < 2 and not by_number and series.n_volumes != attempt.n_pulses,
        "another difference of the clocks fits as well": clocks.rival_s is not None and not by_number}
    return [said for said, holds in named.items() if holds]


def _extra(series: Series, attempts: Sequence[Attempt], *, clocks: Clocks | None) -> Joined:
    """Say what is known of a series of runs without an attempt."""
    if series.began_s is None:
        return Joined(EXTRA, None, series, doubts=("no time is known of it",))
    if clocks is None:
        return Joined(EXTRA, None, series)
    for one in attempts:
        off = _off(replace(one, began_s=one.opened_s), series, offset_s=clocks.offset_s)
        if 0.0 <= off <= one.ended_s - one.opened_s:
            why = "waited: no pulse of it came" if one.began_s is None else "was on"
            return Joined(EXTRA, None, series, doubts=(f"begun while {one.label} {why}",))
    return Joined(EXTRA, None, series)
