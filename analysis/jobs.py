"""Work done side by side: the one place behind every ``--jobs``.

Whole works (subjects, networks) go to processes of their own (:func:`run_jobs`). Parts of one work that see the same
large arrays go to threads (:func:`at_once`): what takes time in them (matrix products, sorting, reading) leaves the
interpreter free.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeVar

from subjects.cli import FOLDERS, ProgressWrapper, silent

T = TypeVar("T")
Item = TypeVar("Item")
Found = TypeVar("Found")


class _Outcome(NamedTuple):
    """What came of one job: its result or the error that ended it, and what it logged."""

    result: Any
    error: Exception | None
    records: tuple[logging.LogRecord, ...]


def run_jobs(calls: Sequence[Callable[[ProgressWrapper], T]], *, n_jobs: int, label: str,
             progress: ProgressWrapper = silent) -> list[T]:
    """Make several independent calls, at most `n_jobs` of them at a time.

    Parameters
    ----------
    calls : sequence of callable
        Each takes a progress wrapper. With more than one job they run in worker processes, to which they are pickled
        (closures and lambdas may be).
    n_jobs : int
        1 or more. With 1, or a single call, everything runs in this process.
    label : str
        What the progress over the calls is called.
    progress : ProgressWrapper
        Passed on to each call where they run one after another; shows the calls done where they run side by side.

    Returns
    -------
    list
        The results, in the order of the calls.

    Raises
    ------
    ValueError
        If `n_jobs` is less than 1.
    Exception
        The error of the first call, in their order, that failed. The others are made nevertheless.

    Notes
    -----
    What a call logs in a worker is logged again here, in the order of the calls. A worker whose parent was killed ends
    within a second (on Windows, once its call is done). Each worker gets its share of the processors for linear
    algebra, so that results may differ from those of one process in the last digits.
    """
    if n_jobs < 1:
        raise ValueError(f"{n_jobs} jobs")
    if min(n_jobs, len(calls)) <= 1:
        return [call(progress) for call in calls]
    from joblib import Parallel, delayed

    levels = {name: logging.getLogger(name).level for name in FOLDERS}
    made = Parallel(n_jobs=min(n_jobs, len(calls)), return_as="generator")(
        delayed(_made_alone)(call, levels=levels) for call in calls)
    outcomes = list(progress(made, label=label, total=len(calls)))
    for record in (record for outcome in outcomes for record in outcome.records):
        logging.getLogger(record.name).handle(record)
    for error in (outcome.error for outcome in outcomes):
        if error is not None:
            raise error
    return [outcome.result for outcome in outcomes]


class _Kept(logging.Handler):
    """Keeps what is logged in a worker, ready for the trip to the process that asked."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, its words in place of what they were made from."""
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self.records.append(record)


@cache
def _watch(parent: int) -> None:
    """Watch the process that asked, once in a worker that makes several calls."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker soon after the process that asked has been killed: its results would come as a surprise."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _made_alone(call: Callable[[ProgressWrapper], T], *, levels: dict[str, int]) -> _Outcome:
    """Make one call in a worker."""
    _watch(os.getppid())
    kept = _Kept()
    loggers = [logging.getLogger(name) for name in FOLDERS]
    for logger in loggers:
        logger.setLevel(levels[logger.name])
        logger.addHandler(kept)
        logger.propagate = False
    try:
        return _Outcome(call(silent), None, tuple(kept.records))
    except Exception as error:  # noqa: BLE001 - raised again by the process that asked
        return _Outcome(None, error, tuple(kept.records))
    finally:
        for logger in loggers:
            logger.removeHandler(kept)
            logger.propagate = True


class Each(Protocol):
    """Does one piece of work for each of several items."""

    def __call__(self, work: Callable[[Item], Found], items: Iterable[Item], /) -> Iterator[Found]:
        """Give what `work` makes of each item, in the order of the items."""


def one_by_one(work: Callable[[Item], Found], items: Iterable[Item], /) -> Iterator[Found]:
    """Do the work for one item after another."""
    return map(work, items)


def at_once(n_jobs: int) -> Each:
    """Do the work for several items at once, in threads, each of which multiplies matrices by itself.

    Parameters
    ----------
    n_jobs : int
        Threads; 1 for :func:`one_by_one`.

    Returns
    -------
    Each
        Its results are the same for any number of threads.

    Raises
    ------
    ValueError
        If `n_jobs` is less than 1.

    Examples
    --------
    >>> list(at_once(2)(lambda x: x * x, range(5)))
    [0, 1, 4, 9, 16]
    """
    if n_jobs < 1:
        raise ValueError(f"{n_jobs} jobs; expected at least 1")
    if n_jobs == 1:
        return one_by_one

    def each(work: Callable[[Item], Found], items: Iterable[Item], /) -> Iterator[Found]:
        from joblib import Parallel, delayed
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            yield from Parallel(n_jobs=n_jobs, backend="threading", return_as="generator")(
                delayed(work)(item) for item in items)

    return each
