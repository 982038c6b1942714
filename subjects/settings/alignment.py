"""Settings of what sets networks beside people: predictivity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from subjects.settings.section import Count, Section, described


class PredictivitySettings(Section):
    """How well a network's layers predict responses: partial least squares on held-out images."""

    n_components: Count = described(25, "Components of a model, at most.", since="0.2.0")
    n_splits: Annotated[int, Field(ge=2)] = described(10,
        "Parts into which the images are dealt; each is held out once, and a base image's RE, AN and AI together.",
        since="0.2.0")
    images: tuple[Literal["all", "RE", "AN", "AI"], ...] = described(("all", "RE"),
        "On which images models are trained and tested, each by itself: of all types together, or of one.",
        since="0.2.0")
