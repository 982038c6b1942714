"""Every candidate held against the rules for regular images, in one pass and a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from stimuli.manifest import Pixels
from stimuli.networks.registry import Network
from stimuli.regular_images.candidates import Candidate, Listing
from stimuli.regular_images.photographs import Facts, read_facts, read_photograph, to_square
from subjects.errors import StimulusError
from subjects.settings.images import StimuliSettings

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
    twins = _twins(listing, digests or {})
    waiting = iter(listing.candidates)
    while batch := list(islice(waiting, stimuli.batch)):
        prepared = [_prepare(listing, one, stimuli=stimuli, side=network.input_size)
                    if one.file not in twins else _twin(one, of=twins[one.file]) for one in batch]
        images = [pixels for _, pixels in prepared if pixels is not None]
        probabilities = iter(network.probabilities(np.stack(images), batch=stimuli.batch) if images else ())
        for row, pixels in prepared:
            if pixels is None:
                yield row
            else:
                p = round(float(next(probabilities)[row.candidate.category_index]), P_DIGITS)
                yield Screened(row.candidate, row.width, row.height, p=p, note=row.note)


def _twins(listing: Listing, digests: Mapping[str, str]) -> dict[str, str]:
    """Map each file whose content came before to the one where it came first."""
    first: dict[str, str] = {}
    found = {one.file: first.setdefault(digests.get(one.file, one.file), one.file) for one in listing.candidates}
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
