"""How often a network takes candidates for what they are, beside what is published of it: wrong preprocessing shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from stimuli.networks.published import Published
from stimuli.regular_images.screening import Screened

FAR = 0.15
"""How much below the published top-1 is far: photographs of five classes, warped, differ from the validation images."""

UNLIKELY = 0.01
N_TOP = 5


@dataclass(frozen=True)
class Answers:
    """A network's answers to the candidates that it was asked about.

    Parameters
    ----------
    n : int
        Candidates that it was asked about: those that no rule of file, copy or size rejects.
    n_top1, n_top5 : int
        Of these, whose category is the most probable one, and one of the five most probable.
    published : Published or None
        What is published of the network.
    """

    n: int
    n_top1: int
    n_top5: int
    published: Published | None = None

    @property
    def top1(self) -> float:
        """Give the share of the most probable one; NaN without candidates."""
        return self.n_top1 / self.n if self.n else float("nan")

    @property
    def top5(self) -> float:
        """Give the share of the five most probable; NaN without candidates."""
        return self.n_top5 / self.n if self.n else float("nan")

    @property
    def far_below(self) -> bool:
        """Say whether top-1 is far below what is published, by more than chance.

        That is: a network whose true share were only :data:`FAR` below would have so few right in fewer than one of a
        hundred such folders (binomial).
        """
        if self.published is None or not self.n:
            return False
        from scipy.stats import binom

        return bool(binom.cdf(self.n_top1, self.n, max(0.0, self.published.top1 - FAR)) < UNLIKELY)

    def record(self) -> dict[str, Any]:
        """Give what ``--json`` prints."""
        shares = {"top1": self.top1, "top5": self.top5} if self.n else {"top1": None, "top5": None}
        published = None if self.published is None else asdict(self.published)
        return {"n_asked": self.n, **shares, "published": published, "far_below": self.far_below}

    def line(self) -> str:
        """Say it in one line."""
        if not self.n:
            return "No candidate reached the network."
        found = f"top-1 {100 * self.top1:.1f} %, top-5 {100 * self.top5:.1f} % of {self.n} photographs"
        if self.published is None:
            return f"{found}; nothing is published of this network"
        one = self.published
        return f"{found}; published {100 * one.top1:.1f} and {100 * one.top5:.1f} % ({one.source})"

    def warning(self) -> str:
        """Say what may be wrong; empty unless top-1 is far below."""
        if not self.far_below:
            return ""
        return (f"{self.line()}. That is far below: is the preprocessing that of the weights (--preprocessing, "
                "stimuli.preprocessing: order of channels, mean, scale), and are the labels the photographs' own?")


def count_answers(rows: Iterable[Screened], *, published: Published | None = None) -> Answers:
    """Count how often the network took candidates for what they are."""
    ranks = [row.rank for row in rows if row.rank is not None]
    return Answers(len(ranks), sum(rank == 1 for rank in ranks), sum(rank <= N_TOP for rank in ranks), published)
