"""What is said of a trigger that does not come: how far the scanner got, what came instead, what to check."""

from __future__ import annotations

from paradigms.playing.trigger_words import missing_pulse, said_instead


class Silent:
    """A source that can tell nothing of what it hears."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def pulses(self) -> list[float]:
        return []


class Telling(Silent):
    checks = "scanner.baud"

    def __init__(self, heard: str) -> None:
        self.heard = heard

    def came_instead(self) -> str:
        return self.heard


def test_a_scanner_that_never_began_is_no_trigger() -> None:
    assert missing_pulse(Silent(), n_pulses=0, dummies=0) == "no trigger"
    assert missing_pulse(Silent(), n_pulses=0, dummies=4) == "no trigger"


def test_a_scanner_that_stopped_among_the_dummies_is_told_with_both_counts() -> None:
    assert missing_pulse(Silent(), n_pulses=2, dummies=4) == \
        "no trigger: the scanner stopped after 2 of 4 dummy volumes; none followed"


def test_other_bytes_are_named_with_the_setting_to_check() -> None:
    assert said_instead(Telling("17 bytes 0xff")) == "17 bytes 0xff; check scanner.baud"
    assert missing_pulse(Telling("17 bytes 0xff"), n_pulses=0, dummies=0) == \
        "no trigger (17 bytes 0xff; check scanner.baud)"


def test_nothing_is_said_of_other_bytes_where_pulses_came_or_none_did() -> None:
    assert said_instead(Telling("")) == ""
    assert said_instead(Silent()) == ""
    assert "0xff" not in missing_pulse(Telling("17 bytes 0xff"), n_pulses=1, dummies=2)
