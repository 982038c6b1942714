"""Runs with faults in them, at random moments: nothing recorded is lost, the fault is named, the next run starts.

PYTHONPATH=. .venv/bin/python benchmarks/faults.py [--trials 200] [--windowed 20] [--seed 0]

Each trial is the command itself (``run_session.py run``) in a process of its own, with one fault. The process notes
every record a second time elsewhere once its journal has taken it; after the fault and ``recover``, each of them must
be in the journal. All trials share one study, so that each starts on what the faults before it have left. It lies
on a small file system in memory, which root can fill and make read-only; without that right both faults are left
out, and said to be.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from paradigms.runlog import read_journal
from subjects.layout import Layout
from tests.bids import bids_errors
from tests.paradigms.conftest import MAIN_ALONE, make_console_study

ROOT = Path(__file__).resolve().parents[1]
SHORT: dict[str, dict[str, object]] = {
    "stimuli": {"per_class": 2}, "display": {"width_px": 640, "height_px": 480, "refresh_hz": 60.0},
    "main": {"runs": 2, "lead_in_s": 2.0, "lead_out_s": 2.0, "blank_s": 0.5, "image_s": 0.5}, **MAIN_ALONE}
SPEED = 15.0
ROOM_MIB = 64


@dataclass(frozen=True)
class Kind:
    """A fault: how the process ends, what it says, what the record names; `inside` is what the run's process does.

    A run whose words nobody takes any more may end with any status: its record says how it went.
    """

    code: int | None
    said: str
    named: str
    inside: str = "none"
    flags: tuple[str, ...] = ()
    from_outside: str = ""
    windowed_only: bool = False
    wants_root: bool = False


KINDS = {
    "kill -9": Kind(-9, "", "", from_outside="kill"),
    "SIGTERM": Kind(143, "", "terminated", from_outside="terminate"),
    "Ctrl-C": Kind(130, "", "interrupted", from_outside="interrupt"),
    "hang-up": Kind(0, "", r'"complete":true', from_outside="hang up"),
    "terminal closed": Kind(0, "", r'"complete":true', from_outside="terminal"),
    "nobody reads": Kind(None, "", r'"complete":true', from_outside="pipe"),
    "disk full": Kind(2, "No space left on device", "journal failed: No space left", from_outside="fill",
                      wants_root=True),
    "read-only folder": Kind(2, "[Rr]ead-only", "", from_outside="read-only", wants_root=True),
    "window closed": Kind(1, "device failed: window: a window that is closed", "window that is closed", "window"),
    "display gone": Kind(1, "the X server is gone", "the X server is gone", from_outside="server", windowed_only=True),
    "serial unplugged": Kind(0, "trigger failed: serial", "trigger failed: serial", "serial"),
    "1 pulse missing": Kind(0, "1 pulse missed", "1 pulse missed", flags=("missed=3",)),
    "5 pulses missing": Kind(0, "5 pulses missed", "5 pulses missed", flags=("missed=2,3,5,6,8",)),
    "all pulses missing": Kind(1, "aborted: key 'escape'.*no pulse came", "no pulse came", "silence",
                               ("missed=" + ",".join(str(k) for k in range(400)),)),
    "pulses doubled": Kind(0, "2 double pulses", "2 double pulses", flags=("doubled=2,5",)),
    "TR wrong by 1 %": Kind(0, r"TR is 2\.02\d* s", r"TR is 2\.02\d* s", flags=("tr=1.01",)),
    "wall clock stepped": Kind(0, r"the wall clock stepped by 3(600|599)\.\d+ s", "the wall clock stepped", "clock"),
    "key stuck": Kind(0, "key '[13]' (comes again and again|has been down)", "it is stuck", "stuck"),
}


def main() -> None:
    """Play all trials and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--windowed", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-turn", action="store_true", help="every kind in turn, instead of at random")
    parser.add_argument("--only", nargs="+", choices=list(KINDS))
    options = parser.parse_args()
    for sign in (signal.SIGINT, signal.SIGHUP):  # a shell's background job ignores them, and hands that on to the runs
        signal.signal(sign, signal.SIG_DFL)
    rng, failed, done = np.random.default_rng(options.seed), 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder) / "disk") as rooted:
        layout = make_console_study(Path(folder) / "disk" / "study", **SHORT)
        for k in range(options.trials + options.windowed):
            windowed = k >= options.trials
            can = [name for name, kind in KINDS.items() if (windowed or not kind.windowed_only)
                   and (rooted or not kind.wants_root) and name in (options.only or KINDS)]
            name = can[k % len(can)] if windowed or options.in_turn else str(rng.choice(can))
            wrong = trial(layout, name, number=k, windowed=windowed, rng=rng)
            failed += bool(wrong)
            done[f"{'windowed' if windowed else 'virtual'}: {name}"] += 1
            where = "window" if windowed else "virtual"
            print(f"{k + 1:3d} {where:7s} {name:20s} {'; '.join(wrong) or 'holds'}", flush=True)
        whole = _play(layout, run=1, extra=("--repeat",))
        errors = bids_errors(layout.root)
    for name, n in sorted(done.items()):
        print(f"{n:4d} {name}")
    if not rooted:
        print("left out, for want of the right to mount: disk full, read-only folder")
    n = options.trials + options.windowed
    print(f"{n - failed} of {n} hold; a run after all of them "
          f"ends with {whole}; BIDS errors: {len(errors)}")
    sys.exit(1 if failed or whole or errors else 0)


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Mount a small file system in memory; False, and a plain folder, where that is not allowed."""
    place.mkdir()
    mounted = not subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_MIB}m", "tmpfs", str(place)],
                                 check=False, stderr=subprocess.DEVNULL).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def _arguments(layout: Layout, *, run: int, windowed: str, scanner: str = "emulated") -> list[str]:
    shown = ("--display", windowed, "--windowed") if windowed else ("--display", "virtual")
    return ["run", "--study", str(layout.root), "--sub", "01", "--ses", "01", "--run", str(run), "--scanner", scanner,
            *shown]


def _play(layout: Layout, *, run: int, windowed: str = "", extra: tuple[str, ...] = ()) -> int:
    return subprocess.run([sys.executable, "run_session.py", *_arguments(layout, run=run, windowed=windowed), *extra],
                          cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode


def trial(layout: Layout, name: str, *, number: int, windowed: bool, rng: Generator) -> list[str]:
    """Play one run with a fault, recover, and say what is wrong: nothing, it is to be hoped."""
    kind = KINDS[name]
    before = set(layout.root.rglob("*_journal.jsonl"))
    truth = layout.root.parent.parent / f"truth-{number}"
    scanner = "serial" if kind.inside == "serial" and windowed else "emulated"
    shown = "" if not windowed else "window" if kind.from_outside == "server" else "xvfb"
    at_s = float(rng.uniform(1.0, 20.0))
    command = [sys.executable, "benchmarks/faulty_run.py", str(truth), kind.inside, str(at_s), str(SPEED), "--",
               *_arguments(layout, run=1, windowed=shown, scanner=scanner), "--repeat",
               *(word for flag in kind.flags for word in ("--fault", flag))]
    server, environment = None, {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    if kind.from_outside == "server":
        server, environment["DISPLAY"] = own_server()
    if kind.from_outside == "read-only":
        remount(layout, "ro")
    kept = contents(layout)
    process, terminal = start(kind, command, environment={**environment, "PYTHONPATH": str(ROOT)})
    filler = act(kind, process, layout=layout, server=server, terminal=terminal, before=before,
                 at_s=at_s / (1.0 if windowed else SPEED))
    said = process.communicate(timeout=180)[0] or ""
    if filler is not None:
        filler.unlink()
    if kind.from_outside == "read-only":
        wrong = [] if contents(layout) == kept else ["a read-only study was changed"]
        remount(layout, "rw")
        return wrong + judge_end(kind, process.returncode, said)
    if server is not None:
        server.wait()
    return judge_end(kind, process.returncode, said) + judge_record(layout, kind, before=before, truth=truth)


def start(kind: Kind, command: list[str], *, environment: dict[str, str]) -> tuple[subprocess.Popen[str], int | None]:
    """Start a run in a session of its own, with a pipe or, to be closed, a terminal to write to."""
    if kind.from_outside != "terminal":
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=environment, start_new_session=True), None
    ours, theirs = pty.openpty()

    def take() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, text=True,
                               env={**environment, "TERM": "xterm"}, preexec_fn=take)  # noqa: PLW1509 - no threads
    os.close(theirs)
    return process, ours


def pass_time(seconds: float, *, terminal: int | None) -> None:
    """Wait, and take what is written to a terminal meanwhile, as its window does."""
    if terminal is None:
        time.sleep(seconds)
        return
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                return


def act(kind: Kind, process: subprocess.Popen[str], *, layout: Layout, server: subprocess.Popen[bytes] | None,
        terminal: int | None, before: set[Path], at_s: float) -> Path | None:
    """Do what is done from outside, `at_s` after the run's journal has begun."""
    if kind.from_outside in ("", "read-only"):
        return None
    while set(layout.root.rglob("*_journal.jsonl")) == before and process.poll() is None:
        pass_time(0.01, terminal=terminal)
    pass_time(at_s + (3.0 if server is not None else 0.3), terminal=terminal)
    if kind.from_outside == "kill":
        process.kill()
    if kind.from_outside == "terminate":
        process.send_signal(signal.SIGTERM)
    if kind.from_outside in ("interrupt", "hang up"):
        process.send_signal(signal.SIGINT if kind.from_outside == "interrupt" else signal.SIGHUP)
    if terminal is not None:
        os.close(terminal)
    if kind.from_outside == "pipe" and process.stdout is not None:
        process.stdout.close()
        process.stdout = None
    if server is not None:
        server.kill()
    return fill(layout.root.parent / "filler") if kind.from_outside == "fill" else None


def own_server() -> tuple[subprocess.Popen[bytes], str]:
    """Start an X server that can be taken away; give it and its display's name."""
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-noreset"],
                              pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        return server, f":{told.readline().strip()}"


def fill(path: Path) -> Path:
    """Take all the room there is."""
    block = b"0" * 65536
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                block = block[:file.write(block)]
        except OSError:
            return path


def remount(layout: Layout, how: str) -> None:
    """Make the study's file system read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(layout.root.parent)], check=True)


def contents(layout: Layout) -> dict[Path, tuple[int, int]]:
    """Note every file's size and time."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in layout.root.rglob("*") if path.is_file()}


def judge_end(kind: Kind, code: int, said: str) -> list[str]:
    """Check exit status and message."""
    flat = " ".join(said.split())
    found = [] if kind.code in (None, code) else [f"ended with {code}, not {kind.code}: {flat[-300:]}"]
    if kind.said and not re.search(kind.said, flat):
        found.append(f"did not say {kind.said!r}: {flat[-300:]}")
    if "Traceback" in flat:
        found.append(f"a traceback: {flat[-300:]}")
    return found


def judge_record(layout: Layout, kind: Kind, *, before: set[Path], truth: Path) -> list[str]:
    """Recover, then check that all that was recorded is there, and that the fault is named."""
    recovered = subprocess.run([sys.executable, "run_session.py", "recover", "--study", str(layout.root)], cwd=ROOT,
                               check=False, capture_output=True, text=True)
    wrong = [] if recovered.returncode == 0 else [f"recover ended with {recovered.returncode}: {recovered.stderr}"]
    fresh = set(layout.root.rglob("*_journal.jsonl")) - before
    if len(fresh) != 1:
        return [*wrong, f"{len(fresh)} journals"]
    journal = fresh.pop()
    records = read_journal(journal)
    here = Counter(f"{record['kind']} {record['t']:.6f}" for record in records)
    lost = Counter(truth.read_text(encoding="utf-8").split("\n")[:-1]) - here
    if lost:
        wrong.append(f"{sum(lost.values())} records lost, the first {next(iter(lost))}")
    pulses = [record["n"] for record in records if record["kind"] == "pulse"]
    if pulses != list(range(1, len(pulses) + 1)):
        wrong.append("pulses are not in a row")
    tables = list(layout.root.rglob(f"{journal.name.replace('_journal.jsonl', '')}*_events.json"))
    text = journal.read_text(encoding="utf-8") + "".join(path.read_text(encoding="utf-8") for path in tables)
    if kind.named and not re.search(kind.named, text):
        wrong.append(f"the record does not name {kind.named!r}")
    if pulses and "task-main" not in "".join(
            path.name for path in layout.root.rglob("*_events.tsv") if path.stat().st_size):
        wrong.append("no events table")
    return wrong


if __name__ == "__main__":
    main()
