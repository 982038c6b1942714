"""The settings of trigger, button box, emulated scanner and simulated participant, and the names of devices.

A byte of a serial line is written as one character ("5") or as a number from 0 to 255 (53).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from subjects.errors import SettingsError, nearest
from subjects.settings.section import Count, NotNegative, Positive, Section, Share, described

SCANNERS = ("emulated", "keyboard", "serial", "parallel")
BUTTONS = ("keyboard", "serial")
DISPLAYS = ("window", "xvfb", "virtual")
DISPLAY_HELP = ("Where the images go: the subject's screen (window), a virtual X server that nobody sees (xvfb), or "
                "nowhere, in virtual time (virtual).")


def byte_value(spelled: int | str) -> int:
    """Give the value of a byte that is written as a number or as one character.

    Examples
    --------
    >>> byte_value("5"), byte_value(53)
    (53, 53)
    """
    return ord(spelled) if isinstance(spelled, str) else spelled


def _require_byte(spelled: int | str) -> int | str:
    wrong = len(spelled) != 1 if isinstance(spelled, str) else isinstance(spelled, bool)
    if wrong or not 0 <= byte_value(spelled) <= 255:
        raise ValueError("a byte is one character or a number from 0 to 255")
    return spelled


Byte = Annotated[int | str, AfterValidator(_require_byte)]
Baud = Annotated[int, Field(ge=50, le=4_000_000)]
"""Speed of a serial line: what drivers offer, from the slowest to the fastest."""
Volume = Annotated[int, Field(ge=0)]


class ScannerSettings(Section):
    """The scanner's repetition time, its dummy volumes, its trigger as a key, and the key that arms a run.

    With `arm_key` a run is safe until the operator presses that key: pulses before it start nothing. An empty
    `arm_key` arms a run at once.
    """

    tr_s: Positive = described(2.0,
        "Repetition time: seconds from one volume to the next.", unit="s", source="protocol 2")
    trigger_key: str = described("5", "Key that a trigger box types at every volume.", unit="key")
    n_dummies: Annotated[int, Field(ge=0)] = described(0,
        "Dummy volumes before the first one that counts.", unit="volumes")
    dummies_send_pulses: bool = described(True, "Whether the scanner sends pulses for dummy volumes too.")
    arm_key: str = described("space",
        "Key with which the operator arms a run: pulses before it start nothing; empty: a run is armed at "
        "once.", unit="key")

    @property
    def n_dummy_pulses(self) -> int:
        """Pulses before time zero: none where dummy volumes send none."""
        return self.n_dummies if self.dummies_send_pulses else 0


class SerialTriggerSettings(Section):
    """Pulses as bytes of a serial line."""

    port: str = described("", "Serial port of the trigger, such as COM3 or /dev/ttyUSB0.", unit="port")
    baud: Baud = described(115200, "Its speed.", unit="baud")
    pulse: Byte = described("5", "Byte that is a pulse: one character or a number.", unit="byte")


class ParallelTriggerSettings(Section):
    """Pulses as a level of a parallel port: a device on Linux, an address on Windows."""

    device: str = described("/dev/parport0", "Parallel port on Linux.", unit="path")
    address: Annotated[int, Field(ge=0)] = described(0x378, "Address of the parallel port on Windows.")
    pin: Literal[10, 11, 12, 13, 15] = described(10, "Status pin that carries the pulses.", unit="pin")
    edge: Literal["rising", "falling"] = described("rising", "Edge that counts as a pulse.")
    poll_s: Annotated[float, Field(gt=0, le=0.001)] = described(0.00025, "How often the pin is looked at.", unit="s")


class KeyboardSettings(Section):
    """Which keyboards may do what. What does not count is recorded under its device's name, and does nothing."""

    devices: tuple[str, ...] = described((),
        "Keyboards (boxes that type) that trigger and answer, by the names that `python run_session.py keyboards` "
        "lists; all others arm and abort, and no more. Empty: every keyboard does all.", unit="name", since="0.2.0")
    only_in_window: bool = described(False,
        "Let keys of keyboards that `devices` does not name count only while the subject's window has the focus.",
        since="0.2.0")


class ButtonsSettings(Section):
    """The subject's button box: keys of a keyboard, or bytes of a serial line, each with the key that it means."""

    device: Literal["keyboard", "serial"] = described("keyboard", "Where the subject's presses come from.")
    port: str = described("", "Serial port of the button box.", unit="port")
    baud: Baud = described(115200, "Its speed.", unit="baud")
    keys: tuple[tuple[Byte, str], ...] = described((("1", "1"), ("2", "2"), ("3", "3"), ("4", "4")),
        "Bytes of the serial line, each with the key of the task that it means.", unit="byte, key")

    @model_validator(mode="after")
    def _bytes_differ(self) -> ButtonsSettings:
        if len({byte_value(byte) for byte, _ in self.keys}) != len(self.keys):
            raise ValueError("keys names one byte twice")
        return self


class ScannerFaults(Section):
    """What the emulated scanner does wrong, on request. Volumes count from 0, dummies included.

    Volumes past the run's last are without effect. `extra_s` are further pulses in seconds from the first one;
    negative ones come before it. `late_s` delays the first pulse; `abort_s` has the operator end the run.
    """

    jitter_s: NotNegative = described(0.0, "Standard deviation of the pulses around their times.", unit="s")
    missed: tuple[Volume, ...] = described((), "Volumes without a pulse, counted from 0 with dummies.", unit="volumes")
    doubled: tuple[Volume, ...] = described((), "Volumes with two pulses.", unit="volumes")
    extra_s: tuple[float, ...] = described((),
        "Further pulses, from the first one; negative ones come before it.", unit="s")
    tr_factor: Positive = described(1.0, "Factor on the repetition time.")
    stop_after: Count | None = described(None,
        "Volumes after which the pulses stop; unset: they do not.", unit="volumes")
    late_s: NotNegative = described(0.0, "Delay of the first pulse.", unit="s")
    abort_s: Positive | None = described(None,
        "Seconds from the first volume after which the abort key is pressed; unset: it is not.", unit="s",
        since="0.2.0")

    def asked(self) -> dict[str, Any]:
        """Give the faults that are asked for, by the names of the settings.

        Examples
        --------
        >>> ScannerFaults(missed=(3,)).asked()
        {'missed': [3]}
        """
        right = ScannerFaults().model_dump(mode="json")
        return {name: value for name, value in self.model_dump(mode="json").items() if value != right[name]}


class ParticipantSettings(Section):
    """How the simulated participant answers; reaction times are normal, never under 150 ms.

    Where only one key can be pressed, a wrong answer is a miss.
    """

    accuracy: Share = described(0.95, "Share of right answers of the simulated participant.", unit="share")
    omission: Share = described(0.02, "Share of images that it does not answer.", unit="share")
    rt_mean_s: Positive = described(0.65, "Its mean reaction time; never under 0.15 s.", unit="s")
    rt_sd_s: NotNegative = described(0.12, "Standard deviation of its reaction times.", unit="s")
    names_re: Share = described(0.95, "Share of RE that it names as what they are.", unit="share", since="0.2.0")
    names_ai: Share = described(0.9, "Share of AI that it names as their RE.", unit="share", since="0.2.0")
    names_target: Share = described(0.02, "Share of AI that it names as what the network takes them for.", unit="share",
                                    since="0.2.0")
    names_an: Share = described(0.02, "Share of AN that it names as what they were made for; the others are noise to "
                                "it.", unit="share", since="0.2.0")


class HooksSettings(Section):
    """The lab's own code: `tracker` names a function without arguments that gives a Tracker, "package.module:name"."""

    tracker: str = described("",
        "Function without arguments that gives an eye tracker, `package.module:function`; it asks for "
        "--trust where the study names it; `eyelink` for SR Research's; empty: none.")


def fault_overrides(asked: Sequence[str]) -> dict[str, Any]:
    """Turn faults that were asked for on the command line into settings.

    Parameters
    ----------
    asked : sequence of str
        ``"name=value"``, lists with commas; the name is a field of :class:`ScannerFaults` or its first word.

    Returns
    -------
    dict
        Dotted settings and their values.

    Raises
    ------
    SettingsError
        For an unknown name or a value that is no number.

    Examples
    --------
    >>> fault_overrides(["jitter=0.005", "missed=3,7"])
    {'emulated_scanner.jitter_s': 0.005, 'emulated_scanner.missed': [3, 7]}
    """
    fields = {field.partition("_")[0]: field for field in ScannerFaults.model_fields}
    found: dict[str, Any] = {}
    for one in asked:
        name, _, text = one.partition("=")
        key = fields.get(name, name)
        if key not in fields.values():
            raise SettingsError("--fault", came=repr(one), expected=f"name=value, name one of {', '.join(fields)}",
                                remedy=nearest(name, fields))
        is_list = isinstance(ScannerFaults.model_fields[key].default, tuple)
        try:
            values = [_number(part) for part in text.split(",")]
        except ValueError:
            values = []
        if not values or (len(values) > 1 and not is_list):
            wanted = "numbers with commas" if is_list else "a number"
            raise SettingsError("--fault", came=repr(one), expected=f"{name}= and {wanted}",
                                remedy="For example: --fault jitter=0.005 --fault missed=3,7")
        found[f"emulated_scanner.{key}"] = values if is_list else values[0]
    return found


def _number(text: str) -> int | float:
    return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
