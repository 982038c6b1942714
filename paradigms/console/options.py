"""Options that the console's commands share: devices, and what the operator agrees to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from subjects.cli import Name
from subjects.errors import DeviceError
from subjects.settings.devices import BUTTONS, fault_overrides
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

buttons_option = click.option("--buttons", type=Name(BUTTONS), default=None,
                              help="Which button box (default: the settings' buttons.device).")
trust_option = click.option("--trust", is_flag=True, help="Trust the study's own tracker (hooks.tracker) on this "
                                                          "computer from now on.")
accept_option = click.option("--accept-changes", is_flag=True, help="Play although settings differ from those of the "
                                                                   "subject's earlier runs; recorded.")
fault_option = click.option("--fault", "faults", multiple=True, metavar="NAME=VALUE",
                            help="A fault of the emulated scanner: jitter=0.005, missed=3,7, doubled=4, extra=9.5, "
                                 "tr=1.01, stop=40, late=10, abort=90. May be given again.")


def device_settings(study: Path, *, site: Path | None, scanner: str, buttons: str | None,
                    faults: Sequence[str]) -> Settings:
    """Load the settings with the devices asked for on the command line; refuse what does not go together."""
    overrides = fault_overrides(faults)
    if faults and scanner != "emulated":
        raise DeviceError("--fault", came=f"faults of a scanner that is {scanner!r}", expected="--scanner emulated",
                          remedy="Leave --fault out.")
    if buttons is not None and scanner == "emulated":
        raise DeviceError("--buttons", came=f"{buttons!r} with the emulated scanner",
                          expected="no button box: the emulated scanner brings a simulated participant",
                          remedy="Leave --buttons out.")
    return load_settings(study, site=site, overrides={**overrides, **({"buttons.device": buttons} if buttons else {})})
