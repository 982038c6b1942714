"""What a participant uncovered: kept image by image as it is finished, and the importance maps made of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paradigms.console.clickme.canvas import RADIUS_SHARE, Point, importance
from paradigms.record.naming_files import read_kept
from stimuli.manifest import Pixels
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import sidecar
from subjects.store import whole_file


@dataclass(frozen=True)
class Uncovered:
    """One image that was finished; a line of the answers.

    Parameters
    ----------
    trial : int
        Place in the order of showing, from 1.
    image_id : str
        Of the image.
    side : int
        Of the image, px.
    disks : tuple of (float, float)
        Centres of what was uncovered, px from the left and the top, in their order.
    seconds : float
        From the image's onset to its end.
    """

    trial: int
    image_id: str
    side: int
    disks: tuple[Point, ...]
    seconds: float


def read_uncovered(path: Path) -> list[Uncovered]:
    """Read what was kept; a last line that was cut off is no answer.

    Raises
    ------
    RunLogError
        If a line before the last cannot be read.
    """
    return read_kept(path, _uncovered)


def _uncovered(held: dict[str, Any]) -> Uncovered:
    disks = tuple((float(x), float(y)) for x, y in held["disks"])
    return Uncovered(int(held["trial"]), str(held["image_id"]), int(held["side"]), disks, float(held["seconds"]))


def keep_uncovered(path: Path, answer: Uncovered) -> None:
    """Put an answer on the disk before the next image is shown; half a line that a crash left is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        whole, newline, _torn = file.read().rpartition(b"\n")
        file.truncate(len(whole) + len(newline))
        file.write(json.dumps(asdict(answer)).encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def write_maps(layout: Layout, *, sub: str, ses: str, answers: Sequence[Uncovered],
               images: dict[str, Pixels], simulated: bool) -> tuple[Path, ...]:
    """Write a participant's importance maps, an ``.npz`` an image, as ``python -m stimuli alignment`` reads them.

    Parameters
    ----------
    layout : Layout
        The study.
    sub, ses : str
        Who, and the label of the session.
    answers : sequence of Uncovered
        What was finished.
    images : dict of str to uint8 array, (side, side, 3)
        ``image_id`` -> image, which goes into the file too.
    simulated : bool
        Whether nobody sat there.

    Returns
    -------
    tuple of Path
        Arrays ``map`` (float32, (side, side)), ``image``, ``image_id``.
    """
    describe_derivative(layout, "importance")
    kept, paths = layout.clickme_answers(sub, ses), []
    for answer in answers:
        path = layout.importance_map(sub, ses, image_id=answer.image_id)
        with whole_file(path, overwrite=True) as beside, beside.open("wb") as file:
            np.savez_compressed(file, map=importance(answer.disks, side=answer.side), image_id=answer.image_id,
                                image=images[answer.image_id])
        sidecar(path, inputs={"image": answer.image_id}, parameters={"radius_share": RADIUS_SHARE},
                extra={"Answers": kept.name, "n_disks": len(answer.disks), "seconds": answer.seconds,
                       "Simulated": simulated})
        paths.append(path)
    return tuple(paths)
