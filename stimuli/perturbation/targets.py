"""The wrong category of which an interference image is made: by a rule, or as a table says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stimuli.regular_images.base_images import BaseImage
from subjects.errors import StimulusError, nearest
from subjects.provenance import rng
from subjects.store import read_table

_COLUMNS = ("base_image", "target")


def choose_target(base: BaseImage, *, rule: str, probabilities: NDArray[np.float64], bases: Sequence[BaseImage],
                  seed: int) -> int:
    """Choose the output that an AI raises.

    Parameters
    ----------
    base : BaseImage
        The base image.
    rule : {"other_class", "any", "nearest", "least_likely"}
        ``other_class`` draws from the study's categories outside the base image's class, ``any`` from
        all wrong outputs; ``nearest`` and ``least_likely`` take the wrong output that the network
        gives the base image the most or the least.
    probabilities : float64 array, (n_outputs,)
        The network's answer to the base image.
    bases : sequence of BaseImage
        All places of the study.
    seed : int
        The study's seed; a draw depends on it and the base image's name alone.

    Returns
    -------
    int
        An index among the outputs, never the base image's own.

    Raises
    ------
    StimulusError
        If the rule leaves nothing to choose from.
    """
    outside = sorted({other.category_index for other in bases if other.class_name != base.class_name})
    wrong = [index for index in range(len(probabilities)) if index != base.category_index]
    pools: Mapping[str, list[int]] = {"other_class": outside, "any": wrong, "nearest": wrong, "least_likely": wrong}
    pool = pools[rule]
    if not pool:
        raise StimulusError("stimuli.ai_target", came=f"{rule!r} with nothing to choose from for {base.base_image}",
                            expected="at least one other category", remedy="Add a class or choose another rule.")
    if rule == "nearest":
        return max(pool, key=lambda index: probabilities[index])
    if rule == "least_likely":
        return min(pool, key=lambda index: probabilities[index])
    return int(rng(seed, "ai", base.base_image).choice(pool))


def read_targets(path: Path, *, bases: Sequence[BaseImage], class_names: Sequence[str]) -> dict[str, int]:
    """Read a table of targets.

    Parameters
    ----------
    path : Path
        Tab-separated, columns ``base_image`` (for example ``dogs-01``) and ``target``: the name of an output of the
        network, or its index from 0. Every base image of the study has one row.
    bases : sequence of BaseImage
        All places of the study.
    class_names : sequence of str
        The network's outputs.

    Returns
    -------
    dict of str to int
        Base image to index among the outputs.

    Raises
    ------
    StimulusError
        For a column, base image or output that is missing, unknown or named twice, or a base image's own category.
    """
    table = read_table(path, text_columns=_COLUMNS)
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise StimulusError(str(path), came=f"no column {missing[0]!r}", expected=f"columns {' and '.join(_COLUMNS)}",
                            remedy="Add it; columns are separated by tabs.")
    own = {base.base_image: base.category_index for base in bases}
    targets: dict[str, int] = {}
    for row, (base, target) in enumerate(zip(table["base_image"], table["target"], strict=True), start=2):
        where = f"{path}, line {row}"
        if base not in own or base in targets:
            raise StimulusError(where, came=f"base image {base!r}" + (" again" if base in targets else ""),
                                expected="each base image of the study once", remedy=nearest(str(base), own))
        targets[str(base)] = _output(target, where=where, class_names=class_names)
        if targets[base] == own[base]:
            raise StimulusError(where, came=f"{base} towards its own category {target!r}", expected="a wrong category",
                                remedy="Name another output of the network.")
    left = [base for base in own if base not in targets]
    if left:
        raise StimulusError(str(path), came=f"no target for {left[0]}", expected="each base image of the study once",
                            remedy=f"Add rows for {', '.join(left)}.")
    return targets


def _output(target: object, *, where: str, class_names: Sequence[str]) -> int:
    if target in class_names:
        return class_names.index(str(target))
    text = str(target)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    raise StimulusError(where, came=f"target {text!r}", expected=f"an output of the network: its name, or an index "
                        f"from 0 to {len(class_names) - 1}", remedy=nearest(text, class_names))
