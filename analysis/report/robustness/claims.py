"""Which choices a robustness report compares, and what comes of claims N1 to N3 under each combination of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.report.scorecard import score
from analysis.rsa.choices import FACTORS, count_deciding
from analysis.statistics.statistic import NOT_TESTED
from subjects.provenance import derive_seed
from subjects.settings.images import RobustnessSettings, StimuliSettings

CLAIMS = ("N1", "N2", "N3")
DRAWN = ("derangement", "class_to_class", "independent")
NAMES = {"contrast": "contrast of AN", "targets": "targets of AI", "tap": "place where layers are read",
         "reading": "reading of the last layer"}
"""The factors in words."""

RULES = {"derangement": "each category once", "class_to_class": "class to class", "independent": "drawn one by one",
         "nearest": "nearest wrong", "least_likely": "least likely", "any": "any of the outputs"}
"""The rules of targets in words."""


@dataclass(frozen=True)
class Level:
    """One choice, and the variant of the set that is made by it.

    Parameters
    ----------
    factor, name : str
        ``"contrast"`` or ``"targets"``; as figures and tables call it.
    label : str
        In file names; ``"own"`` for the set itself.
    kind : str
        ``"AN"`` or ``"AI"``.
    options : tuple of str
        Of ``python -m stimuli vary``.
    """

    factor: str
    name: str
    label: str
    kind: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Levels:
    """All choices; the set's own is the one of label ``"own"`` of each factor, and the first of the taps."""

    variants: tuple[Level, ...]
    taps: tuple[str, ...]

    @property
    def made(self) -> tuple[Level, ...]:
        """The choices by which images are made anew."""
        return tuple(one for one in self.variants if one.label != OWN)

    def of(self, factor: str) -> tuple[Level, ...]:
        """List the levels of contrast or of targets."""
        return tuple(one for one in self.variants if one.factor == factor)

    @property
    def own(self) -> dict[str, str]:
        """Name the set's own choices; the reading is the paper's."""
        chosen = {one.factor: one.name for one in self.variants if one.label == OWN}
        return {**chosen, "tap": self.taps[0], "reading": "softmax"}


OWN = "own"


def choose_levels(settings: RobustnessSettings, *, stimuli: StimuliSettings, seed: int, tap: str | None) -> Levels:
    """List the choices that are compared.

    Parameters
    ----------
    settings : RobustnessSettings
    stimuli : StimuliSettings
        Under which the set was made.
    seed : int
        The study's.
    tap : str or None
        Where the set's record says that its layers are read.

    Examples
    --------
    >>> found = choose_levels(RobustnessSettings(), stimuli=StimuliSettings(), seed=1, tap="after norm and pool")
    >>> [one.name for one in found.of("contrast")], len(found.of("targets")), len(found.made)
    (['first hit', '6', '12', '24'], 7, 9)
    """
    contrasts = sorted({*settings.contrasts, stimuli.an_min_contrast})
    noise = [Level("contrast", f"{value:g}" if value else "first hit",
                   OWN if value == stimuli.an_min_contrast else f"an{value:g}".replace(".", "p"), "AN",
                   ("--contrast", f"{value:g}")) for value in contrasts]
    taps = tuple(dict.fromkeys([*([tap] if tap else []), *settings.taps]))
    return Levels((*noise, *_targets(settings, stimuli=stimuli, seed=seed)), taps)


def _targets(settings: RobustnessSettings, *, stimuli: StimuliSettings, seed: int) -> Iterator[Level]:
    own = stimuli.ai_draw if stimuli.ai_target == "other_class" else stimuli.ai_target
    drawn = own in (*DRAWN, "any")
    yield Level("targets", f"{RULES.get(own, 'by a table')}, own", OWN, "AI")
    for k in range(2, 2 + settings.target_seeds if drawn else 2):
        yield Level("targets", f"{RULES[own]}, draw {k}", f"draw{k}", "AI",
                    ("--target-seed", str(derive_seed(seed, "robustness", k))))
    for rule in settings.target_rules:
        words = ("--target", "other_class", "--draw", rule) if rule in DRAWN else ("--target", rule)
        if rule != own:
            yield Level("targets", RULES[rule], rule.replace("_", ""), "AI", words)


def score_choices(table: pd.DataFrame) -> pd.DataFrame:
    """Hold N1 to N3 against every combination.

    Parameters
    ----------
    table : DataFrame
        Columns of :data:`analysis.rsa.choices.COLUMNS`.

    Returns
    -------
    DataFrame
        A row a combination: :data:`~analysis.rsa.choices.FACTORS`; ``N1``, ``N2``, ``N3``: whether it holds, missing
        where it is not tested (the claims speak of eight layers); trends (``trend RE-AN``, ``trend RE-AI``) and the
        similarities of the last layer (``last RE-AN``, ``last RE-AI``).
    """
    rows = []
    for names, part in table.groupby(list(FACTORS), sort=False):
        lines = {line.id: line for line in score(network=_as_tested(part))}
        verdicts = {"holds": True, "does not hold": False}
        effects = part.set_index(["place", "comparison"])["effect"]
        last = part["place"][part["place"] != "layers"].iloc[-1]
        rows.append({**dict(zip(FACTORS, names, strict=True)),
                     **{claim: verdicts.get(lines[claim].verdict) for claim in CLAIMS},
                     **{f"trend {kind}": effects["layers", f"trend {kind}"] for kind in ("RE-AN", "RE-AI")},
                     **{f"last {kind}": effects[last, kind] for kind in ("RE-AN", "RE-AI")}})
    scored = pd.DataFrame(rows)
    return scored.astype(dict.fromkeys(CLAIMS, "boolean"))


def _as_tested(part: pd.DataFrame) -> pd.DataFrame:
    """Give one combination's rows as the scorecard reads them; what has no p was not tested."""
    rows = part[["place", "comparison", "effect", "p"]]
    return rows.assign(test=np.where(rows["p"].isna(), NOT_TESTED, ""))


def at_own(scored: pd.DataFrame, own: Mapping[str, str], *, free: Sequence[str] = ()) -> pd.DataFrame:
    """Keep the combinations in which all but some factors are the set's own choice."""
    keep = pd.Series(data=True, index=scored.index)
    for factor in FACTORS:
        keep &= True if factor in free else scored[factor] == own[factor]
    return scored[keep]


def say_conclusions(scored: pd.DataFrame) -> list[str]:
    """Say of each claim in how many combinations it holds, and which choices decide that.

    A choice decides a claim if, the other choices being what they are, the claim holds at some of its levels and not
    at others.
    """
    return [_conclusion(scored, claim) for claim in CLAIMS]


def _conclusion(scored: pd.DataFrame, claim: str) -> str:
    known = scored[scored[claim].notna()]
    if not len(known):
        return f"{claim} is not tested: it speaks of eight layers."
    n, of = int(known[claim].sum()), len(known)
    counts = {factor: count_deciding(known, claim=claim, factor=factor) for factor in FACTORS
              if len(set(known[factor])) > 1}
    deciding = [f"{NAMES[factor]} ({k} of {m})" for factor, (k, m) in
                sorted(counts.items(), key=lambda item: -item[1][0] / item[1][1]) if k]
    idle = [NAMES[factor] for factor, (k, _) in counts.items() if not k]
    if not deciding:
        return f"{claim} holds in {'all' if n else 'none'} of the {of} combinations: no choice decides it."
    rest = f"; not on {_listed(idle)}" if idle else ""
    return f"{claim} holds in {n} of {of} combinations. It hangs on {_listed(deciding)}{rest}."


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
