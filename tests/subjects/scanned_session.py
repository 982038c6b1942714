"""A session at a scanner, for tests: journals of attempts, and the JSON files of series as converters write them."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.store import write_json

START_S = datetime(2026, 11, 26, 9, 30, tzinfo=timezone.utc).timestamp()
TR_S = 2.0


@dataclass
class Console:
    """The console's side: writes journals by a wall clock of its own, one attempt after the other."""

    layout: Layout
    ses: str = "01"
    now_s: float = START_S
    played: list[tuple[RunKey, int, float, int]] = field(default_factory=list)

    def play(self, task: str, run: int, *, n_volumes: int, attempt: int = 1, waits_s: float = 20.0,
             complete: bool = True, pulses: bool = True, display: str = "window") -> float:
        """Write the journal and the plan of an attempt; give the time of its first pulse."""
        key = RunKey("01", self.ses, task, run)
        opened, t = self.now_s, 500.0 + self.now_s - START_S
        zero = self.now_s + waits_s
        lines: list[dict[str, Any]] = [
            {"kind": "devices", "t": t, "wall": opened, "display": display, "scanner": "keyboard"},
            {"kind": "start", "t": t + 1.0, "wall": opened + 1.0}]
        for k in range(n_volumes if pulses else 0):
            stamp = t + waits_s + TR_S * k
            lines.append({"kind": "pulse", "t": stamp, "wall": zero + TR_S * k + 0.004, "n": k + 1, "amiss": "",
                          "offset": round(zero - (t + waits_s), 6)})
        self.now_s = zero + TR_S * n_volumes + 1.0
        lines.append({"kind": "end", "t": t + self.now_s - opened, "wall": self.now_s, "complete": complete})
        journal = self.layout.journal(key, attempt=attempt)
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        write_json(self.layout.schedule(key, attempt=attempt), {"tr_s": TR_S})
        self.played.append((key, attempt, zero, n_volumes))
        return zero

    def rest(self, seconds: float) -> None:
        self.now_s += seconds


def iso_time(seconds: float) -> dict[str, Any]:
    """Spell a time as dcm2niix does."""
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return {"AcquisitionTime": at.strftime("%H:%M:%S.%f")}


def with_date(seconds: float) -> dict[str, Any]:
    """Spell date and time as dcm2niix does when nothing is to be kept from the file."""
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return {"AcquisitionDateTime": at.strftime("%Y-%m-%dT%H:%M:%S.%f"), **iso_time(seconds)}


def dicom_time(seconds: float) -> dict[str, Any]:
    """Spell date and time as DICOM does."""
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return {"AcquisitionDate": at.strftime("%Y%m%d"), "AcquisitionTime": float(at.strftime("%H%M%S.%f"))}


@dataclass
class Scanner:
    """The scanner's side: writes the JSON file of each series by its own clock."""

    folder: Path
    ahead_s: float = 0.0
    spell: Callable[[float], dict[str, Any]] = iso_time
    n: int = 0

    def scan(self, at_s: float, *, name: str, number: int | None = None, file: str = "", n_volumes: int | None = None,
             **told: Any) -> Path:
        """Write a series that begins at a time of the console's clock."""
        self.n = self.n + 1 if number is None else number
        path = self.folder / f"{file or f'{self.n:02d}_{name}'}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"Manufacturer": "Siemens", "SeriesNumber": self.n, "SeriesDescription": name, "ProtocolName": name,
                   "RepetitionTime": TR_S, "EchoTime": 0.029, **self.spell(at_s + self.ahead_s), **told}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
        if n_volumes is not None:
            head = struct.pack("<i", 348) + bytes(36) + struct.pack("<8h", 4, 96, 96, 60, n_volumes, 1, 1, 1)
            with gzip.open(path.with_suffix(".nii.gz"), "wb") as image:
                image.write(head + bytes(292))
        return path
