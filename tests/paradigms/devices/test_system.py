"""What a process asks of the system: to be preferred to others, and packages that it can do without."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from paradigms.devices.platforms.system import PREFERRED_NICE, absent, preferred


class System:
    """An operating system that keeps a process's nice value; it may refuse to lower it."""

    PRIO_PROCESS = 0

    def __init__(self, *, allows: bool) -> None:
        self.nice, self.allows = 3, allows

    def getpriority(self, which: int, who: int) -> int:
        return self.nice

    def setpriority(self, which: int, who: int, nice: int) -> None:
        if nice < self.nice and not self.allows:
            raise PermissionError(13, "Permission denied")
        self.nice = nice


def test_a_run_is_preferred_where_that_is_allowed_and_as_it_was_afterwards() -> None:
    system = System(allows=True)
    with preferred(system=system) as first:
        assert (first, system.nice) == (True, PREFERRED_NICE)
    assert system.nice == 3


@pytest.mark.parametrize("system", [System(allows=False), SimpleNamespace()])
def test_where_it_is_not_allowed_or_unknown_nothing_is_changed(system: object) -> None:
    with preferred(system=system) as first:
        assert first is False
    assert getattr(system, "nice", 3) == 3


def test_the_end_of_a_run_does_not_need_the_right_to_go_back() -> None:
    system = System(allows=True)
    with preferred(system=system):
        system.allows, system.nice = False, 5  # another program made it less
    assert system.nice == 5


def test_an_absent_package_is_not_found_and_is_found_again() -> None:
    assert "wave" not in sys.modules or sys.modules.pop("wave")
    with absent("wave"), pytest.raises(ImportError):
        import wave
    import wave

    assert wave.Error


def test_a_package_that_is_there_stays() -> None:
    import json

    with absent("json"):
        import json as again
    assert again is json
