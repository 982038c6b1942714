"""What every table of the settings file is made of: a frozen, strict section whose fields describe themselves."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from subjects.provenance import declare

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Level = Annotated[int, Field(ge=0, le=255)]
Probability = Annotated[float, Field(gt=0, lt=1)]


def _two_or_more(why: str, *, such_as: int) -> AfterValidator:
    def check(given: int) -> int:
        if given < 2:
            raise ValueError(f"2 or more, such as {such_as}: {why}")
        return given

    return AfterValidator(check)


Draws = Annotated[Count, _two_or_more("one draw has no spread, and gives no interval", such_as=1000)]
Vertices = Annotated[Count, _two_or_more("with one vertex a hemisphere, patterns of two vertices correlate by 1 or -1, "
                                         "whatever they are", such_as=100)]

FIRST = "0.1.0"
"""The first release: every setting that does not say otherwise was in it."""

_DEFAULT = object()
_TEXTS = (str, str | None, tuple[str, ...])


def described(default: Any, meaning: str, *, unit: str = "", source: str = "ours", since: str = FIRST,
              before: Any = _DEFAULT) -> Any:
    """Describe a setting at its field.

    Parameters
    ----------
    default : Any
        The protocol's value, or ours.
    meaning : str
        What it does, in one or two sentences; ``docs/settings.md`` and a new study's ``study.toml`` print it.
    unit : str
        Its unit, or what kind of text it is; choices are read from its type.
    source : str
        ``"protocol 3"`` for the section of docs/protocol.md that gives the value, ``"protocol 3, open"`` where the
        paper leaves it open and the protocol decides, or ``"ours"``.
    since : str
        The release that brought it.
    before : Any
        What was done before it existed, if that is not the default: files of that time count as made with it.
    """
    then = default if before is _DEFAULT else before
    return Field(default, description=meaning,
                 json_schema_extra={"unit": unit, "source": source, "since": since, "before": then})


class Section(BaseModel):
    """One table of the settings file: frozen, and strict about keys.

    TOML has no word for unset: where a setting may be unset, an empty text says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False,
                              defer_build=True)  # a help text needs the names only: half of its start-up time

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Declare what each setting counts as in files that are older than it."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if isinstance(field.json_schema_extra, dict) and "before" in field.json_schema_extra:
                declare(name, before=field.json_schema_extra["before"])

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: _spelled(value, key=key, annotation=cls.model_fields[key].annotation)
                if key in cls.model_fields else value for key, value in values.items()}


def may_be_unset(annotation: Any) -> bool:
    """Say whether a setting's type allows None."""
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _spelled(value: Any, *, key: str, annotation: Any) -> Any:
    """Read an empty text as unset where that is allowed; refuse NUL in texts, and true and false for numbers."""
    if value == "" and may_be_unset(annotation):
        return None
    texts = value if isinstance(value, list | tuple) else [value]
    if annotation in _TEXTS and any(isinstance(text, str) and "\0" in text for text in texts):
        raise ValueError(f"{key} contains the character NUL")
    if any(isinstance(one, bool) for one in texts) and "bool" not in str(annotation):
        raise ValueError(f"{key} is {str(value).lower()}, which is no number and no text")
    return value


def as_pairs(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Read texts of the form ``ours = theirs``.

    Examples
    --------
    >>> as_pairs(["image_id = stim_file", "blank=rest"])
    (('image_id', 'stim_file'), ('blank', 'rest'))
    """
    parts = [text.partition("=") for text in texts]
    return tuple((ours.strip(), theirs.strip()) for ours, _, theirs in parts)


def require_pairs(given: tuple[str, ...], *, known: Sequence[str], once: int) -> tuple[str, ...]:
    """Return texts that are pairs, with a known name on the left, if no name of side `once` (0, 1) is there twice.

    Raises
    ------
    ValueError
        Naming the first that is not.
    """
    for one, (ours, theirs) in zip(given, as_pairs(given), strict=True):
        if ours not in known or not theirs:
            raise ValueError(f"{one!r} is no pair; write it as '{known[0]} = name there', with one of "
                             f"{', '.join(known)} on the left")
    said = [pair[once] for pair in as_pairs(given)]
    twice = next((name for name in said if said.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is said twice")
    return given
