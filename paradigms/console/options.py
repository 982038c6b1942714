"""What the command line says of devices, joined with the settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from subjects.errors import DeviceError
from subjects.settings.devices import fault_overrides
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings


def device_settings(study: Path, *, site: Path | None, scanner: str, buttons: str | None,
                    faults: Sequence[str]) -> Settings:
    """Load the settings with the devices that were asked for on the command line.

    Raises
    ------
    StudyError
        For faults without the emulated scanner, or a button box with it.
    """
    overrides = fault_overrides(faults)
    if faults and scanner != "emulated":
        raise DeviceError("--fault", came=f"faults of a scanner that is {scanner!r}", expected="--scanner emulated",
                          remedy="Leave --fault out.")
    if buttons is not None and scanner == "emulated":
        raise DeviceError("--buttons", came=f"{buttons!r} with the emulated scanner",
                          expected="no button box: the emulated scanner brings a simulated participant",
                          remedy="Leave --buttons out.")
    return load_settings(study, site=site, overrides={**overrides, **({"buttons.device": buttons} if buttons else {})})
