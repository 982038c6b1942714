"""Which of the screened candidates become regular images: one a category, the highest P of each class. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from stimuli.categories import wide_reasons
from stimuli.regular_images.base_images import certain
from stimuli.regular_images.candidates import Candidate, Listing
from stimuli.regular_images.screening import Screened
from subjects.errors import StimulusError, nearest
from subjects.provenance import derive_seed
from subjects.settings.images import StimuliSettings

CHOSEN, BELOW, SPARE, OUT = "chosen", "chosen below threshold", "spare", "rejected"


@dataclass(frozen=True)
class Verdict:
    """What became of a candidate.

    Parameters
    ----------
    screened : Screened
        The candidate.
    verdict : str
        ``"chosen"``, ``"chosen below threshold"``, ``"spare"`` (it passes, others came first) or ``"rejected"``.
    rule : {"", "file", "copy", "size", "list", "excluded", "P", "rank"}
        What stands against it.
    reason : str
        That in words.
    """

    screened: Screened
    verdict: str
    rule: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Shortfall:
    """A class of which too few categories pass.

    Parameters
    ----------
    class_name : str
        The class.
    found, wanted : int
        Categories with a candidate that passes every rule, and images a class.
    """

    class_name: str
    found: int
    wanted: int


@dataclass(frozen=True)
class Selection:
    """The choice.

    Parameters
    ----------
    verdicts : tuple of Verdict
        One a candidate, in the order in which they were screened.
    chosen : tuple of Screened
        Class by class in the order of the settings, in a class by the category's index.
    shortfalls : tuple of Shortfall
        Classes of which too few pass, whether they were filled up or not.
    """

    verdicts: tuple[Verdict, ...] = field(repr=False)
    chosen: tuple[Screened, ...]
    shortfalls: tuple[Shortfall, ...]

    @property
    def below(self) -> tuple[Screened, ...]:
        """List the chosen ones that fill a shortfall with a P below the threshold."""
        return tuple(one.screened for one in self.verdicts if one.verdict == BELOW)


def names_of(candidate: Candidate) -> tuple[str, ...]:
    """List the names by which the settings may pin or exclude a candidate: file, category, wnid."""
    return tuple(name for name in (candidate.file, candidate.category, candidate.wnid) if name)


def require_names(listing: Listing, stimuli: StimuliSettings) -> None:
    """Refuse a pin or an exclusion that names nothing.

    Raises
    ------
    StimulusError
        Naming it and the nearest known name.
    """
    known = {name for one in listing.candidates for name in names_of(one)}
    for setting in ("pin", "exclude"):
        for name in getattr(stimuli, setting):
            if name not in known:
                raise StimulusError(f"stimuli.{setting}", came=repr(name),
                                    expected="a file of the folder, a category or a wnid", remedy=nearest(name, known))


def select(rows: Sequence[Screened], *, stimuli: StimuliSettings, seed: int) -> Selection:
    """Choose the regular images.

    Of each category the candidate with the highest P represents it; of each class the categories
    with the highest P are taken. Equal P (to six digits) are ordered by the seed. A pinned file represents
    its category and a pinned category comes first in its class, if it passes the rules. Where too few
    pass and ``stimuli.shortfall`` is ``"best"``, the highest P below the threshold fill up.

    Parameters
    ----------
    rows : sequence of Screened
        Every candidate.
    stimuli : StimuliSettings
        Threshold, images a class, exclusions, pins, and what to do at a shortfall.
    seed : int
        The study's.
    """
    ranking = _Ranking(stimuli, seed)
    verdicts = {row.candidate.file: Verdict(row, OUT, *_fault(row, stimuli)) for row in rows}
    for kind in stimuli.classes:
        verdicts.update(_select_class([one for one in verdicts.values()
                                       if one.screened.candidate.class_name == kind], ranking=ranking))
    found = [one.screened.candidate.class_name for one in verdicts.values() if one.verdict == CHOSEN]
    short = [Shortfall(kind, found.count(kind), stimuli.per_class) for kind in stimuli.classes
             if found.count(kind) < stimuli.per_class]
    return Selection(tuple(verdicts[row.candidate.file] for row in rows),
                     tuple(_in_order(verdicts.values(), stimuli)), tuple(short))


def _select_class(verdicts: Sequence[Verdict], *, ranking: _Ranking) -> Iterator[tuple[str, Verdict]]:
    """Give the verdicts that change in one class."""
    stimuli = ranking.stimuli
    passing = [one.screened for one in verdicts if not one.rule]
    bests = ranking.bests(passing)
    taken = bests[:stimuli.per_class]
    yield from _spares(passing, bests, n=len(taken))
    yield from ((row.candidate.file, Verdict(row, CHOSEN)) for row in taken)
    if stimuli.shortfall == "best":
        used = {row.candidate.category_index for row in taken}
        low = [one.screened for one in verdicts if one.screened.p is not None
               and one.rule not in ("excluded", "list") and one.screened.candidate.category_index not in used]
        for row in ranking.bests(low)[:stimuli.per_class - len(taken)]:
            yield row.candidate.file, Verdict(row, BELOW, *_fault(row, stimuli))


@dataclass(frozen=True)
class _Ranking:
    stimuli: StimuliSettings
    seed: int

    def bests(self, rows: Iterable[Screened]) -> list[Screened]:
        """Give the first of each category, the first category first."""
        first: dict[int, Screened] = {}
        for row in sorted(rows, key=lambda row: (row.candidate.file not in self.stimuli.pin, *self._p(row))):
            first.setdefault(row.candidate.category_index, row)
        return sorted(first.values(), key=lambda row: (not _pinned(row, self.stimuli), *self._p(row)))

    def _p(self, row: Screened) -> tuple[float, int]:
        return -(row.p or 0.0), derive_seed(self.seed, "re", row.candidate.file)


def _pinned(row: Screened, stimuli: StimuliSettings) -> bool:
    return not set(stimuli.pin).isdisjoint(names_of(row.candidate))


def _excluded(row: Screened, stimuli: StimuliSettings) -> bool:
    return not set(stimuli.exclude).isdisjoint(names_of(row.candidate))


def off_list(row: Screened, stimuli: StimuliSettings) -> str:
    """Say why a candidate's category is not on the list that the settings take; empty if it is, or is pinned.

    A table of labels that gives a category another class than this project's is followed.
    """
    reason = wide_reasons().get((row.candidate.wnid, row.candidate.class_name), "")
    if not reason or stimuli.class_lists == "wide" or _pinned(row, stimuli):
        return ""
    return f"on the wide list of {row.candidate.class_name} only: {reason}"


def _fault(row: Screened, stimuli: StimuliSettings) -> tuple[str, str]:
    """Give the rule that a candidate breaks, and that in words; both empty if none."""
    if row.rule:
        return row.rule, row.reason
    if _excluded(row, stimuli):
        return "excluded", "excluded by the settings"
    if reason := off_list(row, stimuli):
        return "list", reason
    if row.p is None or not row.p > certain(stimuli.re_p):
        return "P", f"P {row.p:.6f}, wanted > {certain(stimuli.re_p):.6g}"
    return "", ""


def _spares(passing: Sequence[Screened], bests: Sequence[Screened], *, n: int) -> Iterator[tuple[str, Verdict]]:
    """Say of all that pass but the first `n` of the best why they are not taken."""
    place = {row.candidate.category_index: (k, row) for k, row in enumerate(bests, start=1)}
    for row in passing:
        k, best = place[row.candidate.category_index]
        if row is not best:
            yield row.candidate.file, Verdict(row, SPARE, "rank", f"{best.candidate.file} represents its category")
        elif k > n:
            yield row.candidate.file, Verdict(row, SPARE, "rank", f"rank {k} of {len(bests)} categories of its class")


def _in_order(verdicts: Iterable[Verdict], stimuli: StimuliSettings) -> Iterator[Screened]:
    chosen = [one.screened for one in verdicts if one.verdict in (CHOSEN, BELOW)]
    for kind in stimuli.classes:
        yield from sorted((row for row in chosen if row.candidate.class_name == kind),
                          key=lambda row: row.candidate.category_index)


def require_pins(selection: Selection, stimuli: StimuliSettings) -> None:
    """Refuse a choice that leaves a pinned photograph or category out.

    Raises
    ------
    StimulusError
        Naming the rule that it breaks.
    """
    for name in stimuli.pin:
        named = [one for one in selection.verdicts if name in names_of(one.screened.candidate)]
        if not any(one.verdict in (CHOSEN, BELOW) for one in named):
            best = max(named, key=lambda one: one.screened.p or -1.0)
            raise StimulusError("stimuli.pin", came=f"{name!r}, which cannot be taken "
                                                    f"({best.screened.candidate.file}: {best.reason})",
                                expected=f"what passes the rules, one image a category, {stimuli.per_class} a class",
                                remedy="Correct the pin, or the setting of the rule that it breaks.")
