"""What people saw in the images: answers kept one by one as they are given, and the BIDS table made of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from stimuli.manifest import Manifest
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.provenance import digest_file, generated_by
from subjects.store import read_json, write_json, write_table

Answer = TypeVar("Answer")
COLUMNS: dict[str, dict[str, Any]] = {
    "trial": {"Description": "Place in the order of showing, from 1."},
    "trial_type": {"Description": "Type of the image.", "Levels": {
        "RE": "regular image", "AN": "adversarial noise image", "AI": "adversarial interference image"}},
    "stim_file": {"Description": "The image, relative to /stimuli."},
    "image_id": {"Description": "Digest of the image's pixels, as in stimuli/manifest.tsv."},
    "base_image": {"Description": "The regular image that this one is or was made from or for."},
    "category": {"Description": "Category of the base image."},
    "target_category": {"Description": "AI: the wrong category that the network takes it for."},
    "response": {"Description": "The name as it was chosen or typed; n/a where nothing but noise was seen."},
    "response_kind": {"Description": "How it was given.", "Levels": {
        "list": "a name of the list", "own words": "typed, none of the list", "noise": "called nothing but noise"}},
    "response_category": {"Description": "Category of a name of the list."},
    "confidence": {"Description": "From 1 (guessed) to the number of levels (certain)."},
    "response_time": {"Description": "From the image's onset to the choice of the name.", "Units": "s"},
    "confidence_time": {"Description": "From the choice of the name to the confidence.", "Units": "s"},
}


KINDS = tuple(COLUMNS["response_kind"]["Levels"])


@dataclass(frozen=True)
class NamingAnswer:
    """One answer; the fields are columns of the table."""

    trial: int
    image_id: str
    response: str | None
    response_kind: str
    response_category: str | None
    confidence: int
    response_time: float
    confidence_time: float

    def __post_init__(self) -> None:
        whole = all(isinstance(one, int) and not isinstance(one, bool) and one >= 1
                    for one in (self.trial, self.confidence))
        named = all(one is None or isinstance(one, str) for one in (self.response, self.response_category))
        timed = all(isinstance(one, int | float) and one >= 0 for one in (self.response_time, self.confidence_time))
        if not (whole and named and timed and isinstance(self.image_id, str) and self.response_kind in KINDS):
            raise ValueError(f"values that no answer has: {asdict(self)}")


def read_kept(path: Path, make: Callable[[dict[str, Any]], Answer]) -> list[Answer]:
    """Read the answers that were kept; a last line that was cut off is no answer.

    Parameters
    ----------
    path : Path
        JSON, a line an answer; no file is no answers.
    make : callable
        Makes an answer of what a line holds.

    Raises
    ------
    RunLogError
        If a line before the last cannot be read.
    """
    if not path.is_file():
        return []
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    found = []
    for k, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            found.append(make(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise RunLogError(f"{path}, line {k}", came=f"text that is no answer ({error})", expected="an answer",
                              remedy="Restore the file; it is never edited.") from error
    return found


def read_answers(path: Path) -> list[NamingAnswer]:
    """Read the answers that were kept; a last line that was cut off is no answer.

    Raises
    ------
    RunLogError
        If a line before the last cannot be read.
    """
    return read_kept(path, lambda held: NamingAnswer(**held))


def require_begun(path: Path, said: Mapping[str, Any] | None) -> None:
    """See that answers are gone on with as they were begun: one list, one scale, one size of the images.

    Parameters
    ----------
    path : Path
        The answers.
    said : mapping or None
        How images are named now; None where nothing was named before.

    Raises
    ------
    RunLogError
        Naming the first thing that is otherwise.
    """
    begun = path.with_suffix(".json")
    then = read_json(begun) if said is not None and begun.is_file() else {}
    for name, value in (said or {}).items():
        if name in then and then[name] != value:
            raise RunLogError(str(begun), came=f"{name}: {then[name]} when it was begun, {value} now",
                              expected="the images named in one way to the last",
                              remedy="Restore the settings, or name in another session (--ses); nothing was shown.")


def begin(path: Path, said: Mapping[str, Any]) -> None:
    """Keep how images are named beside the answers, before the first is given."""
    if not path.is_file():
        write_json(path.with_suffix(".json"), dict(said), overwrite=True)


def keep_answer(path: Path, answer: NamingAnswer) -> None:
    """Put an answer on the disk before the next image is shown; half a line that a crash left is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        whole, newline, _torn = file.read().rpartition(b"\n")
        file.truncate(len(whole) + len(newline))
        file.write(json.dumps(asdict(answer), ensure_ascii=False).encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def write_naming(layout: Layout, *, sub: str, ses: str, manifest: Manifest, answers: Sequence[NamingAnswer],
                 said: dict[str, Any]) -> Path:
    """Write the BIDS table of a subject's naming, and its sidecar, in which `said` stands too."""
    images = {one.image_id: one for one in manifest.stimuli}
    rows = []
    for answer in answers:
        image = images[answer.image_id]
        rows.append({**asdict(answer), "trial_type": image.type, "stim_file": image.file,
                     "base_image": image.base_image, "category": image.category,
                     "target_category": image.target_category})
    path = write_table(layout.naming(sub, ses), pd.DataFrame(rows, columns=list(COLUMNS)), overwrite=True)
    write_json(path.with_suffix(".json"), {
        **COLUMNS, "TaskName": "naming", "GeneratedBy": generated_by(), "n_images": len(manifest.stimuli),
        "n_named": len(answers), "manifest_digest": manifest.digest, "table_digest": digest_file(path), **said},
        overwrite=True)
    return path
