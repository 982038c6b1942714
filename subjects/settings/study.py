"""Typed settings in TOML: the protocol's numbers, then the site's, the study's, and flags.

Every default is a number of the study protocol (``docs/protocol.md``). The resolved copy is
saved beside whatever it shaped; :meth:`Settings.departures` lists where a study leaves the protocol.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator

from subjects.errors import SettingsError, nearest
from subjects.provenance import digest_json
from subjects.settings.analysis import Analysis, Encoding, Glm, Roi, Rsa, Simulate
from subjects.settings.devices import (
    Buttons,
    EmulatedScanner,
    Hooks,
    ParallelTrigger,
    Participant,
    Scanner,
    SerialTrigger,
)
from subjects.settings.paradigms import Lo, Motion, Retinotopy
from subjects.settings.section import Count, Level, NotNegative, Positive, Probability, Seconds, Section
from subjects.store import write_text
from subjects.texture_settings import Textures

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

log = logging.getLogger(__name__)


class Study(Section):
    """What the study is called, and the one seed from which all others derive."""

    name: str = "adversarial-fmri study"
    seed: Annotated[int, Field(ge=0)] = 20210


class Stimuli(Section):
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
    def _animals_are_classes(self) -> Stimuli:
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


class Display(Section):
    """The projector and where the subject's eyes are. `photodiode` adds a square that turns at every change."""

    width_px: Count = 1920
    height_px: Count = 1080
    refresh_hz: Positive = 120.0
    width_cm: Positive = 89.0
    height_cm: Positive = 50.0
    distance_cm: Positive = 168.0
    background: Annotated[int, Field(ge=0, le=255)] = 127
    photodiode: bool = False

    def px_for(self, deg: float) -> float:
        """Give the extent in pixels of a centred stimulus of `deg` degrees of visual angle.

        The extent is ``2 * distance * tan(angle / 2)``, not a linear number of pixels a degree.

        Examples
        --------
        >>> round(Display().px_for(12.0), 1)
        761.9
        """
        extent_cm = 2.0 * self.distance_cm * math.tan(math.radians(deg) / 2.0)
        return extent_cm * self.width_px / self.width_cm


class Main(Section):
    """The main experiment: trials of blank then image, an animal judgement on every image."""

    sessions: Count = 2
    runs: Count = 5
    presentations: Count = 2
    blank_trials: Annotated[int, Field(ge=0)] = 9
    blank_s: Annotated[Seconds, Field(gt=0)] = 2.0
    image_s: Annotated[Seconds, Field(gt=0)] = 2.0
    lead_in_s: Seconds = 20.0
    lead_out_s: Seconds = 20.0
    image_deg: Positive = 12.0
    fixation_deg: Positive = 0.2
    fixation_color: tuple[Level, Level, Level] = (255, 0, 0)
    discard_s: NotNegative = 18.0
    animal_key: str = "1"
    not_animal_key: str = "2"
    abort_key: str = "escape"
    response_window_s: Positive = 4.0


class Settings(Section):
    """All settings of one study.

    Examples
    --------
    >>> Settings().main.runs
    5
    """

    study: Study = Study()
    stimuli: Stimuli = Stimuli()
    display: Display = Display()
    scanner: Scanner = Scanner()
    serial_trigger: SerialTrigger = SerialTrigger()
    parallel_trigger: ParallelTrigger = ParallelTrigger()
    buttons: Buttons = Buttons()
    emulated_scanner: EmulatedScanner = EmulatedScanner()
    participant: Participant = Participant()
    hooks: Hooks = Hooks()
    main: Main = Main()
    textures: Textures = Textures()
    retinotopy: Retinotopy = Retinotopy()
    lo: Lo = Lo()
    motion: Motion = Motion()
    glm: Glm = Glm()
    roi: Roi = Roi()
    rsa: Rsa = Rsa()
    encoding: Encoding = Encoding()
    analysis: Analysis = Analysis()
    simulate: Simulate = Simulate()

    @model_validator(mode="after")
    def _keys_differ(self) -> Settings:
        keys = {"scanner.trigger_key": self.scanner.trigger_key, "main.animal_key": self.main.animal_key,
                "main.not_animal_key": self.main.not_animal_key, "main.abort_key": self.main.abort_key,
                "scanner.arm_key": self.scanner.arm_key}
        for name, key in keys.items():
            same = [other for other, its in keys.items() if its == key and other != name]
            if same:
                raise ValueError(f"{name} and {same[0]} are the same key, {key!r}")
        return self

    @property
    def digest(self) -> str:
        """Digest of every value."""
        return digest_json(self.model_dump(mode="json"))

    def departures(self) -> tuple[tuple[str, Any, Any], ...]:
        """List where these settings leave the protocol, as (key, protocol's value, this value).

        Examples
        --------
        >>> Settings(scanner=Scanner(tr_s=1.5)).departures()
        (('scanner.tr_s', 2.0, 1.5),)
        """
        own, protocol = self.model_dump(), Settings().model_dump()
        lab = {"serial_trigger", "parallel_trigger", "buttons", "emulated_scanner", "participant", "hooks"}
        naming = {"study.name", "study.seed", "stimuli.images", "stimuli.labels", "stimuli.weights"}
        return tuple((key, theirs, ours) for (key, theirs), (_, ours) in
                     zip(_leaves(protocol), _leaves(own), strict=True)
                     if ours != theirs and key not in naming and key.partition(".")[0] not in lab)


def read_resolved(path: Path) -> Settings:
    """Read the settings that were saved beside a record, also those of another version of this toolkit.

    What this version does not know is left out and named in the log; what it did not know then has its default.

    Raises
    ------
    SettingsError
        If a value is of no use.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Settings.model_validate(_known(content, Settings, where=path.name))
    except ValidationError as error:
        raise _explained(error, str(path)) from error
    except (OSError, ValueError) as error:
        raise SettingsError(str(path), came=f"a file that cannot be read ({error})", expected="resolved settings",
                            remedy="Restore the file; it was written with the run.") from error


def _known(content: Mapping[str, Any], model: type[BaseModel], *, where: str) -> dict[str, Any]:
    kept = {}
    for key, value in content.items():
        field = model.model_fields.get(key)
        if field is None:
            if key != "digest":
                log.warning("%s: %r is a setting of another version and is left out", where, key)
            continue
        section = field.annotation
        nested = isinstance(section, type) and issubclass(section, BaseModel) and isinstance(value, Mapping)
        kept[key] = _known(value, section, where=f"{where}, {key}") if nested else value  # type: ignore[arg-type]
    return kept


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def load_settings(study: Path | None = None, *, site: Path | None = None,
                  overrides: Mapping[str, Any] | None = None) -> Settings:
    """Resolve the settings of a study.

    Parameters
    ----------
    study : Path, optional
        The study's folder; its ``study.toml`` is read.
    site : Path, optional
        A TOML file of the site (its display, scanner and keys), weaker than the study's.
    overrides : mapping, optional
        The strongest layer: dotted keys to values, ``{"scanner.tr_s": 1.5}``.

    Returns
    -------
    Settings
        Defaults < site < study < overrides.

    Raises
    ------
    SettingsError
        For a missing or malformed file, an unknown key (the nearest known one is named) or a value
        out of range.
    """
    merged: dict[str, Any] = {}
    if site is not None:
        merged = _validated_layer(Path(site))
    if study is not None:
        merged = _merge(merged, _validated_layer(Path(study) / "study.toml"))
    for key, value in (overrides or {}).items():
        tree: Any = value
        for part in reversed(key.split(".")):
            tree = {part: tree}
        _build(tree, "a flag")
        merged = _merge(merged, tree)
    return _build(merged, str(study or site or "settings"))


def _validated_layer(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(str(path), came="no such file", expected="a settings file in TOML",
                            remedy="Make a study with `python -m subjects init --study DIR`.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), came=f"text that is not TOML ({error})", expected="TOML",
                            remedy="Correct the line named.") from error
    _build(tree, str(path))
    return tree


def _merge(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(weak)
    for key, value in strong.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _build(tree: Mapping[str, Any], where: str) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise _explained(error, where) from error


def _explained(error: ValidationError, where: str) -> SettingsError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = [name for name, _ in _leaves(Settings().model_dump())] + list(Settings.model_fields)
        return SettingsError(where, came=f"an unknown setting {key!r}", expected="a known setting",
                             remedy=nearest(key, known))
    return SettingsError(where, came=f"{key} = {first['input']!r}", expected=first["msg"],
                         remedy="Correct this setting; nothing was changed.")


def write_settings(path: Path, changes: Mapping[str, Any], *, overwrite: bool = False) -> Path:
    """Write a study's settings file holding `changes` only; every other setting keeps the protocol's value.

    Parameters
    ----------
    path : Path
        Usually ``study.toml``.
    changes : mapping
        Nested tables, validated before anything is written.
    """
    _build(changes, str(path))
    head = ("# Settings of this study. Whatever is not named here keeps the protocol's value;\n"
            "# `python -m subjects settings --study DIR` prints all of them.\n\n")
    return write_text(path, head + as_toml(changes), overwrite=overwrite)


def as_toml(tables: Mapping[str, Any]) -> str:
    r"""Spell settings in TOML, which has no word for unset: what is None is left out.

    Examples
    --------
    >>> as_toml({"stimuli": {"images": None, "per_class": 8}})
    '[stimuli]\\nper_class = 8\\n'
    """
    return tomli_w.dumps(_without_none(tables))


def _without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _without_none(value) if isinstance(value, Mapping) else value
            for key, value in tree.items() if value is not None}
