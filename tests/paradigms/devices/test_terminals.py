"""The operator's terminal: typed keys are forgotten and unseen; no terminal is no fault; Windows by a double."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paradigms.devices.platforms import terminals
from paradigms.devices.platforms.terminals import forget_typed, typing_unseen

ROOT = Path(__file__).resolve().parents[3]
IN_TERMINAL = """
import sys, time
from paradigms.devices.platforms.terminals import forget_typed, typing_unseen
print("ready", flush=True)
if sys.argv[1] == "unseen":
    with typing_unseen():
        print("unseen", flush=True)
        time.sleep(1.0)
else:
    time.sleep(1.0)
    forget_typed()
print("now", flush=True)
print("got", repr(sys.stdin.readline()), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a pty plays the terminal")
@pytest.mark.parametrize(("how", "seen"), [("unseen", False), ("forgotten", True)])
def test_what_was_typed_before_is_not_read(how: str, seen: bool) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", IN_TERMINAL, how], cwd=ROOT, stdin=theirs, stdout=theirs,
                               stderr=theirs,
                               env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True)
    os.close(theirs)
    text = _read_to(ours, "unseen" if how == "unseen" else "ready")
    time.sleep(0.2)
    os.write(ours, b"55x\n")
    text += _read_to(ours, "now")
    os.write(ours, b"answer\n")
    text += _read_to(ours, "answer\\n")
    process.wait()
    os.close(ours)
    assert r"got 'answer\n'" in text
    assert ("55x" in text) is seen


def _read_to(descriptor: int, word: str) -> str:
    text = ""
    while word not in text:
        text += os.read(descriptor, 4096).decode()
    return text


def test_without_a_terminal_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise AssertionError(name)

    with (ROOT / "README.md").open(encoding="utf-8") as no_terminal:
        monkeypatch.setattr(sys, "stdin", no_terminal)
        forget_typed(load=load)
        with typing_unseen(load=load):
            pass


def test_windows_forgets_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Msvcrt:
        def __init__(self, typed: str) -> None:
            self.typed = list(typed)

        def kbhit(self) -> bool:
            return bool(self.typed)

        def getwch(self) -> str:
            return self.typed.pop(0)

    monkeypatch.setattr(terminals, "is_typed", lambda: True)
    first, second = Msvcrt("55 "), Msvcrt("5")
    forget_typed(platform="win32", load={"msvcrt": first}.__getitem__)
    assert first.typed == []
    with typing_unseen(platform="win32", load={"msvcrt": second}.__getitem__):
        assert second.typed == ["5"]
    assert second.typed == []
