"""A key that is stuck is told once, and no person who presses fast is taken for one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from paradigms.devices.stuck_keys import REPEAT_S, REPEATS, STUCK_S, StuckKeys


def said(stamps: list[float], *, key: str = "1", stuck: StuckKeys | None = None) -> list[int]:
    stuck = stuck or StuckKeys()
    return [k for k, stamp in enumerate(stamps) if stuck.see(key, stamp_s=stamp)]


def test_a_repeating_key_is_told_once_however_long_it_goes_on() -> None:
    assert said([0.033 * k for k in range(200)]) == [REPEATS - 1]


def test_it_is_told_again_after_a_pause() -> None:
    burst = [0.033 * k for k in range(20)]
    assert said([*burst, *(10 + one for one in burst)]) == [REPEATS - 1, 20 + REPEATS - 1]


@given(st.lists(st.floats(REPEAT_S, 2.0), min_size=1, max_size=60))
def test_presses_that_leave_the_key_alone_between_them_are_never_stuck(gaps: list[float]) -> None:
    assert said(list(np.cumsum(gaps) * (1 + 1e-9))) == []


def test_two_keys_that_alternate_are_counted_apart() -> None:
    stuck = StuckKeys()
    found = [stuck.see("12"[k % 2], stamp_s=0.05 * k) for k in range(2 * REPEATS)]
    assert [k for k, one in enumerate(found) if one] == [2 * REPEATS - 2, 2 * REPEATS - 1]
    assert "'1'" in found[-2]
    assert "'2'" in found[-1]


def test_a_key_that_is_held_is_told_beyond_the_limit_alone_and_by_name() -> None:
    stuck = StuckKeys()
    assert stuck.look({"1": 0.0}, now_s=STUCK_S) == []
    assert stuck.look({"1": 0.0, "2": 3.0}, now_s=STUCK_S + 0.01) == ["key '1' has been down for 5 s: it is stuck"]
    assert stuck.look({}, now_s=100.0) == []
