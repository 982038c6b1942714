"""Typed settings in TOML: the protocol's numbers, then the site's, the study's, and flags.

Every default is a number of the study protocol (``docs/protocol.md``). The resolved copy is
saved beside whatever it shaped; :meth:`Settings.departures` lists where a study leaves the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from subjects.provenance import digest_json
from subjects.settings.analysis import (
    AnalysisSettings,
    GlmSettings,
    LocalizerSettings,
    PrfSettings,
    RoiSettings,
    RsaSettings,
    SimulateSettings,
)
from subjects.settings.devices import (
    ButtonsSettings,
    HooksSettings,
    KeyboardSettings,
    ParallelTriggerSettings,
    ParticipantSettings,
    ScannerFaults,
    ScannerSettings,
    SerialTriggerSettings,
)
from subjects.settings.display import DisplaySettings
from subjects.settings.images import RobustnessSettings, StimuliSettings, TexturesSettings
from subjects.settings.models import ComparisonSettings, EncodingSettings, PredictivitySettings
from subjects.settings.paradigms import (
    LoSettings,
    MainSettings,
    MotionSettings,
    ParadigmSettings,
    RetinotopySettings,
    ScansSettings,
)
from subjects.settings.section import Section, described
from subjects.settings.subject_side import EyelinkSettings, InstructionsSettings, MarkersSettings, NamingSettings


class StudySettings(Section):
    """What the study is called, and the one seed from which all others derive."""

    name: str = described("adversarial-fmri study", "The study's name.")
    seed: Annotated[int, Field(ge=0)] = described(20210, "The study's one seed, from which all others are derived.")


class Settings(Section):
    """All settings of one study.

    Examples
    --------
    >>> Settings().main.runs
    5
    """

    study: StudySettings = Field(default_factory=StudySettings)
    stimuli: StimuliSettings = Field(default_factory=StimuliSettings)
    display: DisplaySettings = Field(default_factory=DisplaySettings)
    scanner: ScannerSettings = Field(default_factory=ScannerSettings)
    serial_trigger: SerialTriggerSettings = Field(default_factory=SerialTriggerSettings)
    parallel_trigger: ParallelTriggerSettings = Field(default_factory=ParallelTriggerSettings)
    keyboard: KeyboardSettings = Field(default_factory=KeyboardSettings)
    buttons: ButtonsSettings = Field(default_factory=ButtonsSettings)
    emulated_scanner: ScannerFaults = Field(default_factory=ScannerFaults)
    participant: ParticipantSettings = Field(default_factory=ParticipantSettings)
    hooks: HooksSettings = Field(default_factory=HooksSettings)
    instructions: InstructionsSettings = Field(default_factory=InstructionsSettings)
    naming: NamingSettings = Field(default_factory=NamingSettings)
    markers: MarkersSettings = Field(default_factory=MarkersSettings)
    eyelink: EyelinkSettings = Field(default_factory=EyelinkSettings)
    main: MainSettings = Field(default_factory=MainSettings)
    textures: TexturesSettings = Field(default_factory=TexturesSettings)
    retinotopy: RetinotopySettings = Field(default_factory=RetinotopySettings)
    lo: LoSettings = Field(default_factory=LoSettings)
    motion: MotionSettings = Field(default_factory=MotionSettings)
    scans: ScansSettings = Field(default_factory=ScansSettings)
    glm: GlmSettings = Field(default_factory=GlmSettings)
    prf: PrfSettings = Field(default_factory=PrfSettings)
    localizers: LocalizerSettings = Field(default_factory=LocalizerSettings)
    roi: RoiSettings = Field(default_factory=RoiSettings)
    rsa: RsaSettings = Field(default_factory=RsaSettings)
    robustness: RobustnessSettings = Field(default_factory=RobustnessSettings)
    encoding: EncodingSettings = Field(default_factory=EncodingSettings)
    comparison: ComparisonSettings = Field(default_factory=ComparisonSettings)
    predictivity: PredictivitySettings = Field(default_factory=PredictivitySettings)
    analysis: AnalysisSettings = Field(default_factory=AnalysisSettings)
    simulate: SimulateSettings = Field(default_factory=SimulateSettings)

    @property
    def digest(self) -> str:
        """Digest of every value but the emulated scanner's faults, which are no part of a run's plan.

        An emulated run that a fault cut off is resumed without it.
        """
        right = self.model_copy(update={"emulated_scanner": ScannerFaults()})
        return digest_json(right.model_dump(mode="json"))

    def paradigms(self) -> dict[str, ParadigmSettings]:
        """Give the paradigms' sections by the names of their tasks, in the order in which a session plays them.

        Examples
        --------
        >>> list(Settings().paradigms())
        ['main', 'retinotopy', 'lo', 'motion']
        """
        return {name: section for name in type(self).model_fields
                if isinstance(section := getattr(self, name), ParadigmSettings)}

    def departures(self) -> tuple[tuple[str, Any, Any], ...]:
        """List where these settings leave the protocol, as (key, protocol's value, this value).

        Examples
        --------
        >>> Settings(scanner=ScannerSettings(tr_s=1.5)).departures()
        (('scanner.tr_s', 2.0, 1.5),)
        """
        own, protocol = self.model_dump(), Settings().model_dump()
        lab = {"serial_trigger", "parallel_trigger", "keyboard", "buttons", "emulated_scanner", "participant", "hooks",
               "instructions", "markers", "eyelink"}
        naming = {"study.name", "study.seed", "display.screen", "display.only_screen",
                  "stimuli.images", "stimuli.labels", "stimuli.weights"}
        return tuple((key, theirs, ours) for (key, theirs), (_, ours) in
                     zip(leaves(protocol), leaves(own), strict=True)
                     if ours != theirs and key not in naming and key.partition(".")[0] not in lab)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List the values of nested tables by their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
