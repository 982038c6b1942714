"""The settings of the textures that the mapping and localizer paradigms show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from subjects.settings.section import Count, NotNegative, Section


class Textures(Section):
    """Textures of objects, faces and words on pink noise, and pairs of intact and scrambled pictures."""

    folder: str | None = None
    size_px: Annotated[int, Field(ge=32, le=2048)] = 512
    n_objects: Annotated[int, Field(ge=0)] = 34
    n_faces: Annotated[int, Field(ge=0)] = 34
    n_words: Annotated[int, Field(ge=0)] = 34
    n_pictures: Annotated[int, Field(ge=0)] = 40
    noise_exponent: NotNegative = 1.0
    noise_sd: NotNegative = 30.0
    pieces_across: Count = 6
    words_across: Count = 7
    scramble: Literal["grid", "phase"] = "grid"
    scramble_cells: Annotated[int, Field(ge=2)] = 16

    @model_validator(mode="after")
    def _cells_fit(self) -> Textures:
        if self.scramble == "grid" and self.size_px % self.scramble_cells:
            raise ValueError(f"scramble_cells does not divide size_px = {self.size_px}")
        return self
