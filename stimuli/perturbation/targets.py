"""The wrong category of which an interference image is made: by a rule, or as a table says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stimuli.regular_images.base_images import BaseImage
from subjects.errors import StimulusError, nearest
from subjects.provenance import rng
from subjects.settings.images import StimuliSettings
from subjects.store import read_table

JOINT = ("derangement", "class_to_class")
"""Draws that settle the targets of all base images together, each category the target once."""

Barred = Callable[[BaseImage, int], bool]
"""Whether a base image may not have an output as its target."""

_COLUMNS = ("base_image", "target")


def choose_targets(bases: Sequence[BaseImage], *, stimuli: StimuliSettings, seed: int,
                   probabilities: NDArray[np.float64] | None = None,
                   table: Mapping[str, int] | None = None) -> dict[str, int]:
    """Choose the output that each AI of a set raises.

    Parameters
    ----------
    bases : sequence of BaseImage
        All base images of the study.
    stimuli : StimuliSettings
        The rule (`ai_target`, `ai_draw`) and `ai_p`.
    seed : int
        The study's seed; draws depend on it and the base images alone.
    probabilities : float64 array, (n_bases, n_outputs), optional
        The network's answers to the RE. A draw leaves out an output that has more than `ai_p` there already, since an
        AI towards it would be the RE itself. Before RE are made: none, and rules that need them choose nothing.
    table : mapping of str to int, optional
        Targets by a table, which then holds.

    Returns
    -------
    dict of str to int
        Base image to an index among the outputs, never its own.

    Raises
    ------
    StimulusError
        If the rule leaves nothing to choose from, or the target that it gives is above `ai_p` on the RE.
    """
    by_base = {} if probabilities is None else \
        {base.base_image: row for base, row in zip(bases, probabilities, strict=True)}

    def reached(base: BaseImage, index: int) -> bool:
        return base.base_image in by_base and bool(by_base[base.base_image][index] > stimuli.ai_p)

    targets = dict(table) if table is not None else {}
    if table is None and stimuli.ai_target == "other_class" and stimuli.ai_draw in JOINT:
        targets = draw_jointly(bases, draw=stimuli.ai_draw, seed=seed, barred=reached)
    elif table is None and (by_base or stimuli.ai_target == "other_class"):
        targets = {base.base_image: choose_target(base, rule=stimuli.ai_target, bases=bases, seed=seed,
                                                  probabilities=by_base.get(base.base_image), barred=reached)
                   for base in bases}
    for base in bases:
        if base.base_image in targets and reached(base, targets[base.base_image]):
            index = targets[base.base_image]
            raise StimulusError(f"AI of {base.base_image}", came=f"target {index}, which the network sees in the RE "
                                f"already (P = {by_base[base.base_image][index]:.4f})",
                                expected=f"a target with P <= {stimuli.ai_p:g} (stimuli.ai_p) on the RE, so that there "
                                "is something to make", remedy="Name another target, or exclude this photograph.")
    return targets


def draw_jointly(bases: Sequence[BaseImage], *, draw: str, seed: int,
                 barred: Barred | None = None) -> dict[str, int]:
    """Give every category of the study to one base image of another class as its target.

    Parameters
    ----------
    bases : sequence of BaseImage
        All base images; each category once.
    draw : {"derangement", "class_to_class"}
        Any other class for each image; or, for all images of a class, the same one.
    seed : int
        The study's.
    barred : callable, optional
        Whether a base image may not have an output as its target.

    Returns
    -------
    dict of str to int
        Base image to an index among the outputs.

    Raises
    ------
    StimulusError
        If there is no such assignment; the reason is named.

    Notes
    -----
    Every pair of base image and category gets a number from the seed; the assignment is the allowed one of the least
    sum (scipy's ``linear_sum_assignment``), which is the only one, whatever solves it. No pair of classes and no
    pair of categories is favoured.

    Examples
    --------
    >>> three = [BaseImage(f"{name}-01", name, name, k) for k, name in enumerate(("dogs", "birds", "cars"))]
    >>> sorted(draw_jointly(three, draw="derangement", seed=1).values())
    [0, 1, 2]
    """
    _require_distinct(bases, draw=draw)
    classes = tuple(dict.fromkeys(base.class_name for base in bases))
    sizes = {name: sum(base.class_name == name for base in bases) for name in classes}
    generator = rng(seed, "ai", draw)
    aims = dict.fromkeys(classes, "")
    if draw == "class_to_class":
        pairs = _assign(np.array([[a != b and sizes[a] == sizes[b] for b in classes] for a in classes]), generator)
        if pairs is None:
            raise _none(draw, f"classes of {', '.join(f'{n} {name}' for name, n in sizes.items())}",
                        "another class with as many base images for every class")
        aims = {name: classes[k] for name, k in zip(classes, pairs, strict=True)}
    allowed = np.array([[base.class_name != other.class_name and aims[base.class_name] in ("", other.class_name)
                         and not (barred and barred(base, other.category_index)) for other in bases] for base in bases])
    chosen = _assign(allowed, generator)
    if chosen is None:
        largest = max(sizes, key=lambda name: sizes[name])
        raise _none(draw, f"{sizes[largest]} of {len(bases)} base images in class {largest!r}"
                    if 2 * sizes[largest] > len(bases) else "RE that have too many categories' P above stimuli.ai_p",
                    "no class with more than half of the base images")
    return {base.base_image: bases[k].category_index for base, k in zip(bases, chosen, strict=True)}


def _assign(allowed: NDArray[np.bool_], generator: np.random.Generator) -> list[int] | None:
    """Give each row a column of its own among those that are allowed, at random; None if there is no way."""
    from scipy.optimize import linear_sum_assignment

    cost = np.where(allowed, generator.random(allowed.shape), np.inf)
    try:
        return [int(column) for column in linear_sum_assignment(cost)[1]]
    except ValueError:  # "cost matrix is infeasible"
        return None


def _require_distinct(bases: Sequence[BaseImage], *, draw: str) -> None:
    named = [base.category for base in bases]
    twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
    if twice:
        raise _none(draw, f"{named.count(twice[0])} base images of category {twice[0]!r}", "every category once")


def _none(draw: str, came: str, expected: str) -> StimulusError:
    return StimulusError("stimuli.ai_draw", came=f"{draw!r} with {came}", expected=expected,
                         remedy='Change classes or pinned photographs, or set stimuli.ai_draw = "independent".')


def choose_target(base: BaseImage, *, rule: str, probabilities: NDArray[np.float64] | None,
                  bases: Sequence[BaseImage], seed: int,
                  barred: Barred | None = None) -> int:
    """Choose the output that one AI raises, whatever the others do.

    Parameters
    ----------
    base : BaseImage
        The base image.
    rule : {"other_class", "any", "nearest", "least_likely"}
        ``other_class`` draws from the study's categories outside the base image's class, ``any`` from
        all wrong outputs; ``nearest`` and ``least_likely`` take the wrong output that the network
        gives the base image the most or the least.
    probabilities : float64 array, (n_outputs,), or None
        The network's answer to the base image; ``other_class`` needs none.
    bases : sequence of BaseImage
        All base images of the study.
    seed : int
        The study's seed; a draw depends on it and the base image's name alone.
    barred : callable, optional
        Whether a draw may not take an output for a base image.

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
    answers = np.zeros(0) if probabilities is None else probabilities
    wrong = [index for index in range(len(answers)) if index != base.category_index]
    pools: Mapping[str, list[int]] = {"other_class": outside, "any": wrong, "nearest": wrong, "least_likely": wrong}
    pool = pools[rule]
    if rule in ("other_class", "any"):
        pool = [index for index in pool if not (barred and barred(base, index))]
    if not pool:
        raise StimulusError("stimuli.ai_target", came=f"{rule!r} with nothing to choose from for {base.base_image}",
                            expected="at least one other category", remedy="Add a class or choose another rule.")
    if rule == "nearest":
        return max(pool, key=lambda index: answers[index])
    if rule == "least_likely":
        return min(pool, key=lambda index: answers[index])
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
