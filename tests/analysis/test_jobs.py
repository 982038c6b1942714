"""Jobs side by side give what they give one after another: results, errors, and what was logged."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pytest
from threadpoolctl import threadpool_info

from analysis.jobs import at_once, one_by_one, run_jobs
from analysis.steps import STEPS
from subjects.cli import ProgressWrapper
from subjects.errors import AnalysisError, StoreError
from tests.analysis.fabricated import make_study
from tests.analysis.running_steps import ask, run

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("analysis.test")


class Seen:
    """A progress wrapper that remembers its labels and counts."""

    def __init__(self) -> None:
        self.passed: dict[str, int] = {}

    def __call__(self, iterable: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
        """Pass the items on and count them."""
        for item in iterable:
            self.passed[label] = self.passed.get(label, 0) + 1
            yield item


def job(number: int, progress: ProgressWrapper) -> tuple[int, int]:
    log.warning("job %d", number)
    log.info("more of job %d", number)
    return sum(progress(range(number + 1), label="inside")), os.getpid()


def failing(number: int, _: ProgressWrapper) -> int:
    if number:
        raise AnalysisError(f"file {number}", came="nothing", expected="something", remedy="Make it.")
    return number


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_results_and_words_come_in_the_order_of_the_calls(n_jobs: int, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()
    made = run_jobs([partial(job, k) for k in range(4)], n_jobs=n_jobs, label="jobs", progress=seen)
    assert [total for total, _ in made] == [0, 1, 3, 6]
    assert (os.getpid() in {process for _, process in made}) == (n_jobs == 1)
    assert seen.passed == ({"inside": 10} if n_jobs == 1 else {"jobs": 4})
    assert [one.message for one in caplog.records] == [f"job {k}" for k in range(4)]


def test_a_worker_is_as_talkative_as_the_process_that_asked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="analysis"):
        run_jobs([partial(job, k) for k in range(2)], n_jobs=2, label="jobs")
    assert [one.message for one in caplog.records] == ["job 0", "more of job 0", "job 1", "more of job 1"]


def test_the_first_calls_error_comes_back_whole() -> None:
    with pytest.raises(AnalysisError) as raised:
        run_jobs([partial(failing, k) for k in range(3)], n_jobs=2, label="jobs")
    assert (raised.value.where, raised.value.remedy) == ("file 1", "Make it.")


def test_closures_travel_and_no_jobs_is_a_mistake() -> None:
    base = 5
    assert run_jobs([lambda _, k=k: base + k for k in range(3)], n_jobs=2, label="jobs") == [5, 6, 7]
    assert run_jobs([], n_jobs=2, label="jobs") == []
    with pytest.raises(ValueError, match="0 jobs"):
        run_jobs([lambda _: 1], n_jobs=0, label="jobs")


@pytest.mark.skipif(sys.platform == "win32", reason="a worker cannot see there that its parent has gone")
def test_a_worker_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    done = tmp_path / "done"
    code = ("import os, time\n"
            "from pathlib import Path\n"
            "from analysis.jobs import run_jobs\n"
            "def slow(_):\n"
            f"    Path({str(tmp_path)!r}, f'began-{{os.getpid()}}').touch()\n"
            "    time.sleep(6)\n"
            f"    Path({str(done)!r}).touch()\n"
            "run_jobs([slow, slow], n_jobs=2, label='jobs')\n")
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        until = time.monotonic() + 60
        while not (began := list(tmp_path.glob("began-*"))) and time.monotonic() < until:
            time.sleep(0.05)
        parent.kill()
    worker = int(began[0].name.removeprefix("began-"))
    until = time.monotonic() + 5
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(worker)
    assert not done.exists()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_another_process_is_making_is_left_to_it(tmp_path: Path) -> None:
    layout, settings = make_study(tmp_path)
    (work,) = STEPS["encode"].plan(ask(layout, settings))
    code = ("import sys\n"
            "from pathlib import Path\n"
            "from subjects.store import locked\n"
            f"with locked(Path({str(work.mark.parent)!r}), what='it', name={work.mark.with_suffix('.lock').name!r}):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.read()\n")
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match=rf"sub-01 being written by process {other.pid}.*nothing was written"):
            run("encode", layout, settings)
        assert not any(path.is_file() for path in work.files())
        other.communicate()
    assert not run("encode", layout, settings).reused


def test_a_step_gives_the_same_tables_with_jobs(tmp_path: Path) -> None:
    tables = []
    for n_jobs in (1, 2):
        layout, settings = make_study(tmp_path / str(n_jobs))
        done = run("rsa", layout, settings, n_jobs=n_jobs)
        assert (len(done.works), done.reused) == (2, ())
        tables.append([pd.read_table(work.outputs[0]) for work in done.works])
        assert run("rsa", layout, settings, n_jobs=n_jobs).all_reused
    for one, other in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-6)


def test_threads_give_results_in_order_with_one_thread_of_linear_algebra_each() -> None:
    def work(k: int) -> tuple[int, set[int]]:
        return k, {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    found = list(at_once(3)(work, range(20)))
    assert [k for k, _ in found] == list(range(20))
    assert all(threads <= {1} for _, threads in found)
    assert at_once(1) is one_by_one
    with pytest.raises(ValueError, match="0 jobs; expected at least 1"):
        at_once(0)


def test_an_error_in_a_thread_comes_back() -> None:
    def work(k: int) -> int:
        if k == 2:
            raise AnalysisError("file 2", came="nothing", expected="something", remedy="Make it.")
        return k

    with pytest.raises(AnalysisError, match="file 2: nothing"):
        list(at_once(2)(work, range(4)))
