"""The paper's claims against the data at hand: a pure function of the result tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from analysis.encoding.hierarchy import FIRST, LAST, ShareTest, last_minus_first, low_minus_high, require_shares
from analysis.report.wording import say_number, say_p, say_share, say_shares
from analysis.rsa.compare import DEGENERATE
from analysis.statistics.correction import SIMILARITIES, family_of
from analysis.statistics.readings import LOGITS, SOFTMAX, split_readings
from analysis.statistics.results import COMMANDS, KEYS, TRENDS, require_whole
from analysis.steps import Request
from subjects.errors import AnalysisError
from subjects.upkeep.freeze import agreement

Verdict = Literal["holds", "does not hold", "not tested"]
ALPHA = 0.05
ALMOST_ALL = 0.9
N_LAYERS, N_EARLY = 8, 6
_PLACES = {"brain": "place", "control": "place", "network": "place", "encoding": "layer", "naming": "place"}

@dataclass(frozen=True)
class Line:
    """One claim of the paper and what this study says to it.

    Parameters
    ----------
    id : str
        ``"B1"`` ... ``"S2"``.
    claim, paper : str
        What the paper says, and by which numbers.
    rule : str
        When the claim is said to hold here.
    here : str
        This study's numbers, or why there are none.
    verdict : {"holds", "does not hold", "not tested"}
    reading : str
        ``"logits"`` where the last layer is read otherwise than in the paper.
    """

    id: str
    claim: str
    paper: str
    rule: str
    here: str
    verdict: Verdict
    reading: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in ("holds", "does not hold", "not tested"):
            raise AnalysisError(f"scorecard, {self.id}", came=repr(self.verdict),
                                expected="holds, does not hold or not tested", remedy="Correct the rule.")


Decision = Callable[[pd.DataFrame], tuple[bool | None, str]]  # holds (None: cannot be tested), numbers in words


@dataclass(frozen=True)
class Claim:
    """A claim, the table that decides it, and the rule by which it is decided.

    Parameters
    ----------
    source : {"brain", "network", "encoding"} or None
        None for a claim that this toolkit cannot test yet; `rule` then says why.
    decide : Decision, optional
    """

    id: str
    claim: str
    paper: str
    rule: str
    source: str | None = None
    decide: Decision | None = None


def score(*, brain: pd.DataFrame | None = None, network: pd.DataFrame | None = None,
          encoding: pd.DataFrame | None = None, hierarchy: pd.DataFrame | None = None,
          control: pd.DataFrame | None = None, naming: pd.DataFrame | None = None,
          margins: NamingMargins | None = None) -> tuple[Line, ...]:
    """Hold the paper's claims against result tables.

    Parameters
    ----------
    brain, network : DataFrame, optional
        Columns of :data:`analysis.rsa.run.COLUMNS`; `brain` holds all subjects.
    control : DataFrame, optional
        As `brain`, on the second selection of vertices (``rsa.control_vertices``).
    encoding, hierarchy : DataFrame, optional
        Columns of :data:`analysis.encoding.run.COLUMNS` and :data:`analysis.encoding.hierarchy.COLUMNS`, all subjects.
    naming : DataFrame, optional
        Columns of :data:`analysis.statistics.naming.COLUMNS`, all subjects.
    margins : NamingMargins, optional
        Of P1 and P2; default: those of the settings' defaults.

    Returns
    -------
    tuple of Line
        In the order of the protocol. A claim whose table is not given is not tested. Behind a claim on the network, or
        on models trained on it, it is given again by the logits of the last layer, where the table has them.

    Raises
    ------
    AnalysisError
        If a table lacks a column, has a row twice, lacks a subject's row for a place, or has a p outside (0, 1] where
        something was tested.
    """
    given = {"brain": brain, "control": control, "network": network, "encoding": encoding, "naming": naming}
    readings = {source: {} if table is None else split_readings(table, column=_PLACES[source])
                for source, table in given.items()}
    if hierarchy is not None:
        require_shares(hierarchy, remedy=f"Make it again with `{COMMANDS['hierarchy']}`.")
    for source, found in readings.items():
        for table in found.values():
            require_whole(table, source=source)
    readings["hierarchy"] = {} if hierarchy is None else {str(k): part for k, part in hierarchy.groupby("reading")}
    tables = {source: found.get(SOFTMAX) for source, found in readings.items()}
    lines: list[Line] = []
    if brain is not None and control is not None:
        tables["control"] = _beside(control, brain)
    for claim in (*PAPERS_CLAIMS, *naming_claims(NamingMargins() if margins is None else margins)):
        lines.append(_line(claim, tables))
        if claim.source and LOGITS in readings[claim.source]:
            other = _line(claim, {claim.source: readings[claim.source][LOGITS]})
            lines.append(replace(other, id=f"{claim.id} by {LOGITS}", reading=LOGITS))
    return tuple(lines)


def tally(lines: Sequence[Line]) -> dict[Verdict, int]:
    """Count the verdicts on the claims as the paper reads them; other readings are not counted."""
    kinds: tuple[Verdict, ...] = ("holds", "does not hold", "not tested")
    return {kind: sum(line.verdict == kind and not line.reading for line in lines) for kind in kinds}


def _line(claim: Claim, tables: Mapping[str, pd.DataFrame | None]) -> Line:
    if claim.source is None or claim.decide is None:
        return Line(claim.id, claim.claim, claim.paper, "–", claim.rule, "not tested")
    table = tables[claim.source]
    if table is None:
        here = f"no {claim.source} results yet; run {COMMANDS[claim.source]}" + (
            " with rsa.control_vertices = 200" if claim.source == "control" else "")
        return Line(claim.id, claim.claim, claim.paper, claim.rule, here, "not tested")
    if claim.source == "network" and len(layers_of(table)) != N_LAYERS:
        here = f"the claim speaks of {N_LAYERS} layers; this network has {len(layers_of(table))}"
        return Line(claim.id, claim.claim, claim.paper, claim.rule, here, "not tested")
    holds, here = claim.decide(table)
    here += _say_degenerate(table) if claim.source == "network" else ""
    verdict: Verdict = "not tested" if holds is None else "holds" if holds else "does not hold"
    return Line(claim.id, claim.claim, claim.paper, claim.rule, here, verdict)


def layers_of(network: pd.DataFrame) -> tuple[str, ...]:
    """List the layers of a network's table in their order, the trends' rows left out."""
    return tuple(network.loc[~network["comparison"].isin(TRENDS), "place"].unique())


def _pick(table: pd.DataFrame, comparison: str) -> pd.DataFrame:
    column = "comparison" if "comparison" in table else "type"
    return table[table[column] == comparison]


def _below(table: pd.DataFrame, alpha: float) -> int:
    return int((table["p"] < alpha).sum())


def _untested(rows: pd.DataFrame) -> str:
    """Say how many rows have no p, which leave a claim on all of them undecided."""
    n = int(rows["p"].isna().sum())
    return f"; {n} not tested" if n else ""


def _corrected(rows: pd.DataFrame, *, higher: bool = False) -> str:
    """Say in how many rows (of positive effect, if `higher`) p is below .05 once corrected; empty where it is not."""
    if "p_corrected" not in rows or rows["p_corrected"].isna().all():
        return ""
    found = (rows["p_corrected"] < ALPHA) & ((rows["effect"] > 0) | (not higher))
    return f" ({say_share(int(found.sum()), len(rows))} corrected)"


def _brain_ai(brain: pd.DataFrame) -> tuple[bool | None, str]:
    rows = _pick(brain, "RE-AI")
    n, of = _below(rows, ALPHA), len(rows)
    return n == of, (f"{say_share(n, of)} p < .05{_corrected(rows)}, {say_share(_below(rows, 0.005), of)} p < .005; "
                     f"largest {say_p(rows['p'].max())}")


def _brain_an(brain: pd.DataFrame) -> tuple[bool | None, str]:
    rows = _pick(brain, "RE-AN")
    n, of = _below(rows, ALPHA), len(rows)
    return 2 * n < of, f"{say_share(n, of)} p < .05{_corrected(rows)}"


def _brain_difference(brain: pd.DataFrame) -> tuple[bool | None, str]:
    rows = _pick(brain, "RE-AI minus RE-AN")
    gained = rows[rows["effect"] > 0]
    n, of = _below(gained, ALPHA), len(rows)
    largest = f"; largest {say_p(gained['p'].max())}" if gained["p"].notna().any() else ""
    untested = _untested(rows)
    return None if untested else n == of, (f"{say_share(len(gained), of)} higher, {say_share(n, of)} with p < .05"
                                           f"{_corrected(rows, higher=True)}{largest}{untested}")


def _beside(control: pd.DataFrame, brain: pd.DataFrame) -> pd.DataFrame:
    """Put beside each row of the second selection what the first one gave (``first``)."""
    keys = list(KEYS["control"])
    first = brain[[*keys, "effect"]].rename(columns={"effect": "first"})
    return control.merge(first, on=keys, how="left", validate="one_to_one")


def _control(control: pd.DataFrame) -> tuple[bool | None, str]:
    """Hold B1 to B3 on the second selection, and say how its similarities go with those of the first."""
    found = {name: decide(control) for name, decide in (("B1", _brain_ai), ("B2", _brain_an),
                                                        ("B3", _brain_difference))}
    words = {True: "holds", False: "does not hold", None: "not tested"}
    said = "; ".join(f"{name} {words[holds]}: {here}" for name, (holds, here) in found.items())
    verdicts = [holds for holds, _ in found.values()]
    holds = None if None in verdicts and False not in verdicts else all(verdicts)
    similar = control[control["comparison"].map(family_of) == SIMILARITIES]
    if "first" in similar and similar["first"].nunique() > 2 and similar["effect"].nunique() > 2:
        said += (f"; similarities of both selections: r = {say_number(similar['effect'].corr(similar['first']))}, mean "
                 f"difference {say_number((similar['effect'] - similar['first']).mean(), digits=3)}")
    return holds, said


def _network_ai(network: pd.DataFrame) -> tuple[bool, str]:
    rows, trend = _layers(network, "RE-AI"), _trend(network, "RE-AI")
    n, of = _below(rows, ALPHA), len(rows)
    falls = bool(trend["effect"] < 0 and trend["p"] < ALPHA)
    return n == of and falls, f"{say_share(n, of)} layers p < .05, largest {say_p(rows['p'].max())}; {_say(trend)}"


def _network_an(network: pd.DataFrame) -> tuple[bool, str]:
    rows, trend = _layers(network, "RE-AN"), _trend(network, "RE-AN")
    early, late = rows.iloc[:2], rows.iloc[2:]
    rises = bool(trend["effect"] > 0 and trend["p"] < ALPHA)
    n_early, n_late = _below(early, ALPHA), _below(late, ALPHA)
    return n_early == 0 and n_late == len(late) and rises, (
        f"p < .05 in {say_share(n_early, 2)} of layers 1–2, {say_share(n_late, len(late))} of 3–8; {_say(trend)}")


def _network_difference(network: pd.DataFrame) -> tuple[bool | None, str]:
    rows = _layers(network, "RE-AI minus RE-AN")
    higher = (rows["effect"] < 0) & (rows["p"] < ALPHA)
    names = [str(k) for k, is_higher in enumerate(higher, start=1) if is_higher]
    said = f"RE-AN higher in layer {', '.join(names)}" if names else "RE-AN higher in no layer"
    early = rows.iloc[:N_EARLY]
    n_early = _below(early[early["effect"] > 0], ALPHA)
    untested = _untested(rows)
    return None if untested else names == [str(N_LAYERS)] and n_early == N_EARLY, (
        f"RE-AI higher in {say_share(n_early, N_EARLY)} of layers 1–6; {said}; layer 7 {say_p(rows['p'].iloc[-2])}, "
        f"layer 8 {say_p(rows['p'].iloc[-1])}{untested}")


def _say_degenerate(network: pd.DataFrame) -> str:
    """Name the layers whose dissimilarities hardly differ."""
    if "test" not in network:
        return ""
    flagged = _layers(network, "RE-AN")["test"].astype(str).str.contains(DEGENERATE)
    names = [str(k) for k, is_flagged in enumerate(flagged, start=1) if is_flagged]
    return f"; {DEGENERATE} in layer {', '.join(names)}" if names else ""


def _layers(network: pd.DataFrame, comparison: str) -> pd.DataFrame:
    return _pick(network, comparison).set_index("place").loc[list(layers_of(network))]


def _trend(network: pd.DataFrame, comparison: str) -> pd.Series:
    return _pick(network, f"trend {comparison}").iloc[0]


def _say(trend: pd.Series) -> str:
    return f"τ = {say_number(trend['effect'])}, {say_p(trend['p'])}"


def _encoding_ai(encoding: pd.DataFrame) -> tuple[bool, str]:
    rows = _pick(encoding, "AI")
    n, of = _below(rows, ALPHA), len(rows)
    return n >= ALMOST_ALL * of, f"{say_share(n, of)} models p < .05{_corrected(rows)}"


def _encoding_an(encoding: pd.DataFrame) -> tuple[bool | None, str]:
    """Count AN among the models that predict something: RE images that they were not trained on."""
    keys = list(KEYS["encoding"][:-1])
    every, control = (_pick(encoding, kind).set_index(keys)["p"] for kind in ("AN", "RE"))
    read = every[control.reindex(every.index) < ALPHA]
    n, of, n_every = int((read >= ALPHA).sum()), len(read), int((every >= ALPHA).sum())
    return (n >= ALMOST_ALL * of if 2 * of >= len(every) else None), (
        f"{say_share(n_every, len(every))} models p ≥ .05; {say_share(n, of)} of those that predict held-out RE images")


def _encoding_difference(encoding: pd.DataFrame) -> tuple[bool, str]:
    rows = _pick(encoding, "AI minus AN")
    n, of = _below(rows[rows["effect"] > 0], ALPHA), len(rows)
    return n >= ALMOST_ALL * of, f"{say_share(n, of)} models with AI higher, p < .05{_corrected(rows, higher=True)}"


def _shares(test: Callable[[pd.DataFrame, str], ShareTest | None], *, either: bool) -> Decision:
    """Hold a difference of shares of vertices, of either sign or above 0, that AI should show, and AN should not."""
    def decide(hierarchy: pd.DataFrame) -> tuple[bool | None, str]:
        ai, an = (test(hierarchy, kind) for kind in ("AI", "AN"))
        if ai is None or an is None:
            return None, f"needs two subjects, {N_LAYERS} layers, for H2 the regions {FIRST} and {LAST}"
        return ai.p < ALPHA and (either or ai.effect > 0) and an.p >= ALPHA, f"AI {say_shares(ai)}; AN {say_shares(an)}"
    return decide


PAPERS_CLAIMS = (
    Claim("B1", "Brain: RE-AI similarity above null", "15/15 ROI × subject, p < .005",
          "p < .05 in every ROI of every subject", "brain", _brain_ai),
    Claim("B2", "Brain: RE-AN similarity mostly not above null", "4/15 with p < .05",
          "p < .05 in fewer than half of them", "brain", _brain_an),
    Claim("B3", "Brain: RE-AI above RE-AN", "15/15, p < .0001",
          "higher, with p < .05, in every ROI of every subject", "brain", _brain_difference),
    Claim("N1", "Network: RE-AI above null in all layers, falling with depth",
          "all p < .001; Mann-Kendall p = .009", "p < .05 in all 8 layers; τ < 0 with p < .05", "network", _network_ai),
    Claim("N2", "Network: RE-AN at null in layers 1–2, above it in 3–8, rising",
          "Mann-Kendall p < .001", "p ≥ .05 in layers 1–2, p < .05 in 3–8; τ > 0 with p < .05", "network",
          _network_an),
    Claim("N3", "Network: RE-AI above RE-AN in layers 1–6, RE-AN above RE-AI in layer 8 only",
          "layers 1–6 p < .05; layer 7 p = .375; layer 8 p < .05",
          "RE-AI higher, with p < .05, in layers 1–6; RE-AN higher, with p < .05, in layer 8 and in no other",
          "network", _network_difference),
    Claim("E1", "Encoding models generalise to AI", "113/120 models p < .05",
          "p < .05 in at least 90 % of the models", "encoding", _encoding_ai),
    Claim("E2", "Encoding models do not generalise to AN", "111/120 models p > .05",
          "p ≥ .05 in at least 90 % of the models that predict held-out RE images (p < .05); not tested where fewer "
          "than half do", "encoding", _encoding_an),
    Claim("E3", "AI is predicted better than AN", "all but one of 120 (S2, LO, layer 8: p = .11)",
          "higher, with p < .05, in at least 90 % of the models", "encoding", _encoding_difference),
    Claim("H1", "AI: low layers explain more vertices than high ones; AN: not", "p < .0001; p = .2351",
          "share of layers 1–2 above that of 7–8 for AI, p < .05 by t over subjects; for AN p ≥ .05", "hierarchy",
          _shares(low_minus_high, either=False)),
    Claim("H2", "AI: the share of high layers changes from V1 to LO; AN: not", "p = .0004, of either sign; p = .5631",
          "share of layers 7–8 in LO less that in V1: for AI p < .05 by t over subjects; for AN p ≥ .05", "hierarchy",
          _shares(last_minus_first, either=True)),
    Claim("S2", "B1–B3 hold with 400 vertices a region", "Fig. S2",
          "B1, B2 and B3 hold, each by its own rule, on the second selection of vertices (rsa.control_vertices)",
          "control", _control),
)


@dataclass(frozen=True)
class NamingMargins:
    """The margins of P1 and P2: shares of images named as their RE (settings ``naming.ai_least``, ``an_most``)."""

    ai_least: float = 0.5
    an_most: float = 0.2


def naming_claims(margins: NamingMargins) -> tuple[Claim, ...]:
    """Spell the two claims on what people see, which the paper asserts and does not measure, with their margins."""

    def ai(naming: pd.DataFrame) -> tuple[bool, str]:
        rows = _pick(naming, "AI")
        n = int((rows["low"] > margins.ai_least).sum())
        return n == len(rows), _say_named(rows, n)

    def an(naming: pd.DataFrame) -> tuple[bool, str]:
        rows = _pick(naming, "AN")
        n = int((rows["high"] < margins.an_most).sum())
        return n == len(rows), f"{_say_named(rows, n)}; called noise {100 * rows['noise'].mean():.0f} %"

    return (
        Claim("P1", "People name AI as their RE", "asserted in Fig. 1; no figures given",
              f"one-sided 95 % lower bound of the share above {100 * margins.ai_least:g} % in every subject",
              "naming", ai),
        Claim("P2", "People do not name AN", "asserted in Fig. 1; no figures given",
              f"one-sided 95 % upper bound of the share below {100 * margins.an_most:g} % in every subject",
              "naming", an))


def _say_named(rows: pd.DataFrame, n: int) -> str:
    return (f"{say_share(n, len(rows))} subjects; named as the RE {100 * rows['effect'].mean():.0f} % "
            f"({100 * rows['effect'].min():.0f} to {100 * rows['effect'].max():.0f} %)")


CLAIMS = (*PAPERS_CLAIMS, *naming_claims(NamingMargins()))
"""All claims, in the order of the scorecard; P1 and P2 with the margins of the settings' defaults."""


def rules() -> dict[str, Any]:
    """Give the rules by which the claims are decided, and their margins, as a preregistration freezes them.

    The margins of P1 and P2 are settings, which are frozen themselves.
    """
    return {"alpha": ALPHA, "almost_all": ALMOST_ALL,
            "claims": {claim.id: claim.rule for claim in CLAIMS if claim.source not in (None, "naming")}}


def preregistered(request: Request) -> dict[str, Any]:
    """Say for a sidecar whether what is made now is made under the preregistration that was frozen."""
    return {"Preregistration": agreement(request.layout, request.settings, rules=rules()).to_json()}
