"""Every candidate held against the rules for regular images, in one pass and a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stimuli.manifest import Pixels
from stimuli.networks.hardware import CLOSE, answer
from stimuli.networks.registry import Network
from stimuli.regular_images.candidates import Candidate, Listing
from stimuli.regular_images.photographs import Facts, read_facts, read_photograph, to_square
from subjects.errors import StimulusError
from subjects.provenance import digest_bytes
from subjects.settings.images import StimuliSettings

EMPTY = digest_bytes(b"")
"""Digest of a file without content: two of them are no copies of one photograph."""

P_DIGITS = 6
"""Digits of P that are kept: the choice is made from what the report says."""


@dataclass(frozen=True)
class Screened:
    """A candidate that was looked at.

    Parameters
    ----------
    candidate : Candidate
        Which one.
    width, height : int or None
        Of the upright photograph; None if its header could not be read.
    p : float or None
        Probability of its category on the pixels that would be shown; None if it was rejected before.
    rank : int or None
        Place of its category among the network's outputs by their probabilities: 1 for the most probable one.
    top : str or None
        The most probable category: what the network takes it for.
    p_top : float or None
        Its probability.
    rule : {"", "file", "copy", "size"}
        The rule by which it was rejected before the network was asked; empty if the network was.
    reason : str
        That in words.
    note : str
        How it was made upright RGB; empty where nothing was to do.
    """

    candidate: Candidate
    width: int | None = None
    height: int | None = None
    p: float | None = None
    rank: int | None = None
    top: str | None = None
    p_top: float | None = None
    rule: str = ""
    reason: str = ""
    note: str = ""


def screen(listing: Listing, *, network: Network, stimuli: StimuliSettings,
           digests: Mapping[str, str] | None = None) -> Iterator[Screened]:
    """Judge every candidate, holding the pixels of one batch at a time.

    Parameters
    ----------
    listing : Listing
        The candidates.
    network : Network
        Whose probabilities decide.
    stimuli : StimuliSettings
        Size and aspect rules, how photographs are resized, and the batch.
    digests : mapping of str to str, optional
        File to digest of its content. Of files with the same content the first alone is judged.

    Yields
    ------
    Screened
        One a candidate, in their order. A photograph that cannot be used carries its reason and
        stops no other.
    """
    twins, judge = _twins(listing, digests or {}), _Judge(network, stimuli)
    waiting = iter(listing.candidates)
    while batch := list(islice(waiting, stimuli.batch)):
        prepared = [_prepare(listing, one, stimuli=stimuli, side=network.input_size)
                    if one.file not in twins else _twin(one, of=twins[one.file]) for one in batch]
        asked = [(row.candidate, pixels) for row, pixels in prepared if pixels is not None]
        answers = iter(judge.ask(asked) if asked else ())
        for row, pixels in prepared:
            yield row if pixels is None else _judged(row, next(answers), names=network.class_names)


def _judged(row: Screened, probabilities: NDArray[np.float64], *, names: Sequence[str]) -> Screened:
    own, top = probabilities[row.candidate.category_index], int(probabilities.argmax())
    return replace(row, p=round(float(own), P_DIGITS), rank=1 + int((probabilities > own).sum()), top=names[top],
                   p_top=round(float(probabilities[top]), P_DIGITS))


class _Judge:
    """Asks a network about candidates; the CPU judges every one of those that may be chosen.

    May be chosen: whose P reaches the threshold, or the highest P of its category so far, or misses one of them by less
    than devices differ. A candidate that ends as the best of its category was at least the best so far when it came.
    """

    def __init__(self, network: Network, stimuli: StimuliSettings) -> None:
        self._network, self._stimuli = network, stimuli
        self._best: dict[int, float] = {}

    def ask(self, asked: Sequence[tuple[Candidate, Pixels]]) -> NDArray[np.float64]:
        """Give (n, n_classes)."""
        outputs = [candidate.category_index for candidate, _ in asked]

        def doubtful(probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
            rows = zip(probabilities, outputs, strict=True)
            return np.array([self._may_be_chosen(float(row[output]), output) for row, output in rows])

        return answer(self._network, np.stack([pixels for _, pixels in asked]), batch=self._stimuli.batch,
                      doubtful=doubtful)

    def _may_be_chosen(self, p: float, output: int) -> bool:
        best = self._best[output] = max(p, self._best.get(output, 0.0))
        return p >= min(best, self._stimuli.re_p) - CLOSE


def _twins(listing: Listing, digests: Mapping[str, str]) -> dict[str, str]:
    """Map each file whose content came before to the one where it came first; no empty file is a copy of another."""
    first: dict[str, str] = {}
    found = {one.file: first.setdefault(digests.get(one.file, one.file), one.file) for one in listing.candidates
             if digests.get(one.file) != EMPTY}
    return {file: of for file, of in found.items() if of != file}


def _twin(candidate: Candidate, *, of: str) -> tuple[Screened, None]:
    return Screened(candidate, rule="copy", reason=f"the same bytes as {of}"), None


def _prepare(listing: Listing, candidate: Candidate, *, stimuli: StimuliSettings,
             side: int) -> tuple[Screened, Pixels | None]:
    """Hold size and aspect against the rules by the header alone, and decode what passes."""
    path, facts = listing.path(candidate), None
    try:
        facts = read_facts(path)
        rule, reason = "size", size_fault(facts, stimuli=stimuli)
        pixels = None if reason else to_square(read_photograph(path).pixels, side=side, resize=stimuli.resize)
    except StimulusError as error:
        rule, reason, pixels = "file", f"{error.came}; expected {error.expected}. {error.remedy}", None
    if facts is None:
        return Screened(candidate, rule=rule, reason=reason), None
    return Screened(candidate, facts.width, facts.height, rule=rule if reason else "", reason=reason,
                    note="; ".join(facts.notes)), pixels


def size_fault(facts: Facts, *, stimuli: StimuliSettings) -> str:
    """Say which rule of size or aspect a photograph breaks; nothing if none.

    Examples
    --------
    >>> size_fault(Facts(500, 300, "RGB"), stimuli=StimuliSettings())
    'aspect 1.667, wanted between 0.667 and 1.5'
    """
    least = stimuli.min_px
    if min(facts.width, facts.height) <= least:
        return f"{facts.width} x {facts.height} px, wanted width and height > {least}"
    if not stimuli.min_aspect < facts.aspect < stimuli.max_aspect:
        return (f"aspect {facts.aspect:.3f}, wanted between {stimuli.min_aspect:.3g} "
                f"and {stimuli.max_aspect:.3g}")
    return ""
