"""Settings of the image set and of the textures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from subjects.settings.section import Count, NotNegative, Positive, Probability, Section


class StimuliSettings(Section):
    """The stimulus set. Probabilities are judged on the 8-bit image; steps are L2 on RGB in [0, 1]."""

    network: str = "demo"
    weights: str | None = None
    preprocessing: str | None = None
    tap: str | None = None
    classes: tuple[str, ...] = ("dogs", "birds", "cars", "fruits", "aquatic")
    animal_classes: tuple[str, ...] = ("dogs", "birds", "aquatic")
    per_class: Count = 8
    size_px: Count = 227
    images: str | None = None
    labels: str | None = None
    resize: Literal["warp", "warp-crop", "crop"] = "warp"
    min_px: Annotated[int, Field(ge=0)] = 227
    min_aspect: Positive = 2.0 / 3.0
    max_aspect: Positive = 1.5
    exclude: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()
    shortfall: Literal["refuse", "best"] = "refuse"
    mean_image: str | None = None
    re_p: Probability = 0.99
    an_p: Probability = 0.99
    ai_p: Probability = 0.99
    an_min_contrast: NotNegative = 12.0
    near_duplicate_bits: Annotated[int, Field(ge=0, le=63)] = 10
    an_ceiling_p: Annotated[float, Field(gt=0, le=1)] = 0.995
    an_goal_p: Probability | None = None
    an_objective: Literal["log_prob", "prob"] = "log_prob"
    an_lambda: NotNegative = 0.0
    an_step: Positive = 0.5
    ai_step: Positive = 0.2
    ai_method: Literal["first-hit", "minimal"] = "first-hit"
    ai_search: Count = 200
    ai_target: Literal["other_class", "nearest", "least_likely", "any", "table"] = "other_class"
    ai_target_table: str | None = None
    max_iterations: Count = 1000
    features_dtype: Literal["float32", "float16"] = "float32"
    batch: Count = 20

    @model_validator(mode="after")
    def _animals_are_classes(self) -> StimuliSettings:
        unknown = set(self.animal_classes) - set(self.classes)
        if unknown:
            raise ValueError(f"animal_classes names {sorted(unknown)}, which classes does not")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes names one class twice")
        if self.an_ceiling_p <= self.an_p:
            raise ValueError("an_ceiling_p is not above an_p")
        if self.an_goal_p is not None and self.an_goal_p < self.an_p:
            raise ValueError("an_goal_p is below an_p")
        if (self.ai_target == "table") != (self.ai_target_table is not None):
            raise ValueError('ai_target "table" and ai_target_table belong together')
        if not self.min_aspect < self.max_aspect:
            raise ValueError("min_aspect is not below max_aspect")
        both = set(self.pin) & set(self.exclude)
        if both:
            raise ValueError(f"pin and exclude both name {sorted(both)}")
        return self


class TexturesSettings(Section):
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
    def _cells_fit(self) -> TexturesSettings:
        if self.scramble == "grid" and self.size_px % self.scramble_cells:
            raise ValueError(f"scramble_cells does not divide size_px = {self.size_px}")
        return self
