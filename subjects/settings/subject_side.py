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
        for k, what in enumerate(("names one key twice", "calls two keys the same")):
            if len({" ".join(pair[k].casefold().split()) for pair in self.buttons}) != len(self.buttons):
                raise ValueError(f"buttons {what}")
        if not all(words.strip() for _, words in self.buttons):
            raise ValueError("buttons without words for a key")
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


class MarkersSettings(Section):
    """Codes that are sent to another device at the events of a run, for EEG, an eye tracker or a recorder."""

    device: Literal["none", "parallel", "serial", "lsl"] = described("none",
        "Where markers go: nowhere, a parallel port, a serial line, or a stream of Lab Streaming Layer.",
        since="0.2.0")
    port: str = described("", "Serial port of the markers.", unit="port", since="0.2.0")
    baud: Annotated[int, Field(ge=50, le=4_000_000)] = described(115200, "Its speed.", unit="baud", since="0.2.0")
    parallel_device: str = described("/dev/parport1", "Parallel port of the markers on Linux; another one than that of "
                                     "the trigger.", unit="path", since="0.2.0")
    address: Annotated[int, Field(ge=0)] = described(0x278, "Address of the parallel port of the markers on Windows.",
                                                     since="0.2.0")
    stream: str = described("adversarial-fmri", "Name of the stream of Lab Streaming Layer.", since="0.2.0")
    hold_s: Annotated[float, Field(ge=0, le=0.1)] = described(0.005, "How long a parallel port holds a code.", unit="s",
                                                              since="0.2.0")
    codes: tuple[tuple[str, Annotated[int, Field(ge=1, le=255)]], ...] = described((
        ("zero", 1), ("end", 2), ("RE", 11), ("AN", 12), ("AI", 13), ("intact", 21), ("scrambled", 22), ("static", 31),
        ("moving", 32), ("wedge_ccw", 41), ("wedge_cw", 42), ("ring_expand", 43), ("ring_contract", 44), ("bar", 45)),
        "Types of events, and time zero and the end of a run, each with its code.", unit="type, code", since="0.2.0")

    @model_validator(mode="after")
    def _codes_differ(self) -> MarkersSettings:
        for k, what in enumerate(("type", "code")):
            if len({pair[k] for pair in self.codes}) != len(self.codes):
                raise ValueError(f"codes names one {what} twice")
        return self


class EyelinkSettings(Section):
    """SR Research's EyeLink, where ``hooks.tracker`` is ``"eyelink"``."""

    host: str = described("100.1.1.1", "Address of the EyeLink's host.", unit="address", since="0.2.0")
    sampling_hz: Literal[250, 500, 1000, 2000] = described(1000, "Samples a second.", unit="Hz", since="0.2.0")
    calibration: Literal["HV3", "HV5", "HV9", "HV13"] = described("HV9", "Kind of calibration: its number of targets.",
                                                                  since="0.2.0")
    target_deg: Positive = described(0.4, "Diameter of a target.", unit="deg", since="0.2.0")
    within_deg: Positive = described(1.0, "Distance from the fixation point within which a sample counts as fixation.",
                                     unit="deg", since="0.2.0")
