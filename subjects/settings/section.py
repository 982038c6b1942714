"""What every table of the settings file is made of: a frozen, strict section, and the ranges of its numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Level = Annotated[int, Field(ge=0, le=255)]
Probability = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """One table of the settings file: frozen, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
