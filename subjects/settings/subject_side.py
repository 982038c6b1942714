"""Settings of what the subject reads and does beside the paradigms: instructions, practice, naming."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from subjects.settings.section import Count, Positive, Probability, Seconds, Section, described


class InstructionsSettings(Section):
    """What the subject reads before, between and after runs; the operator's words never come to that screen.

    A language of one's own is a file of texts: copy the shipped one of `paradigms/texts/data` and name it in `texts`.
    """

    show: bool = described(True, "Show the task and its buttons before each run, `get ready`, and a closing screen.",
                           since="0.2.0", before=False)
    language: Literal["en", "zh"] = described("en", "Language of the shipped texts: English or Simplified Chinese.",
                                              since="0.2.0")
    texts: str | None = described(None, "File with texts of one's own, in any script; a path is relative to the "
                                  "study's folder. Texts that it lacks are those of `language`.", unit="path",
                                  since="0.2.0")
    font: str | None = described(None, "Font file with every character of the texts; unset: the first of the fonts "
                                 "known to this computer that has them all.", unit="path", since="0.2.0")
    text_deg: Positive = described(0.6, "Height of a line of text.", unit="deg", since="0.2.0")
    buttons: tuple[tuple[str, str], ...] = described((), "Keys, each with what the subject calls it, for example "
        '[["1", "left"], ["2", "right"]]; a key that is not named is called as the keyboard does.', unit="key, words",
        since="0.2.0")
    closing_s: Seconds = described(4.0, "How long the closing screen stays.", unit="s", since="0.2.0")
    feedback: bool = described(False, "Tell the subject at the end of a run how much was answered.", since="0.2.0")
    practice_trials: Count = described(10, "Trials of a round of practice.", since="0.2.0")

    @model_validator(mode="after")
    def _keys_differ(self) -> InstructionsSettings:
        if len({key for key, _ in self.buttons}) != len(self.buttons):
            raise ValueError("buttons names one key twice")
        return self


class NamingSettings(Section):
    """The naming task: what people see in each image, in their own words or from a list."""

    order: Literal["re_last", "mixed"] = described("re_last",
        "Order of showing. re_last: regular images after all others, so that nobody has seen what an image was made "
        "from; mixed: all in one order of chance.", since="0.2.0")
    names: str | None = described(None, "Table (TSV: category, name, search) with the categories in the subjects' "
        "language; a path is relative to the study's folder. Unset: English names are those of the set, the drawn "
        "categories have Chinese ones.", unit="path", since="0.2.0")
    confidence_levels: Annotated[int, Field(ge=2, le=9)] = described(5, "Levels of confidence, from 1.", since="0.2.0")
    image_deg: Positive = described(8.0, "Side of the image.", unit="deg", since="0.2.0")
    ai_least: Probability = described(0.5, "P1 holds where the one-sided 95 % lower bound of the share of AI named as "
        "their RE is above this in every subject.", unit="share", since="0.2.0")
    an_most: Probability = described(0.2, "P2 holds where the one-sided 95 % upper bound of the share of AN named as "
        "what they were made for is below this in every subject.", unit="share", since="0.2.0")
