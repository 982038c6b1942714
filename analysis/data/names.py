"""Names of files as BIDS spells them: entities in whatever order a program writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from subjects.run_key import RunKey

_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9+]+)\Z")
_PART = re.compile(r"part([2-9]|[1-9][0-9]+)\Z")
HEMI_NAMES = {"L": "L", "R": "R", "lh": "L", "rh": "R"}


@dataclass(frozen=True)
class BidsName:
    """What a file's name says.

    Parameters
    ----------
    path : Path
    entities : mapping of str to str
        Entity to label, ``{"sub": "01", "run": "01", "space": "fsnative", ...}``.
    suffix : str
        Last part of the name, such as ``"bold"``.
    extension : str
        With its points: ``".func.gii"``.
    """

    path: Path
    entities: Mapping[str, str]
    suffix: str
    extension: str

    @property
    def hemi(self) -> str | None:
        """``"L"``, ``"R"`` or None."""
        return HEMI_NAMES.get(self.entities.get("hemi", ""))

    @property
    def space(self) -> str:
        """Space and, where named, density: ``"fsaverage5"``, ``"fsLR den-32k"``; the subject's own without one."""
        density = f" den-{self.entities['den']}" if "den" in self.entities else ""
        return self.entities.get("space", "fsnative") + density

    def is_of(self, key: RunKey) -> bool:
        """Say whether it is of a run, or of a part of one: numbers count as numbers, ``run-1`` as ``run-01``."""
        said = self.entities
        named = [said.get(name) for name in ("sub", "ses", "task")]
        part = _PART.match(said.get("acq", ""))
        return (named == [key.sub, key.ses, key.task] and said.get("run", "").isdigit()
                and int(said["run"]) == key.run and int(part[1] if part else 1) == key.part)


def parse_name(path: Path) -> BidsName | None:
    """Read a file's name; None for one that is no BIDS name.

    Examples
    --------
    >>> name = parse_name(Path("sub-01_ses-01_task-main_run-01_space-fsaverage5_hemi-L_bold.func.gii"))
    >>> name.hemi, name.space, name.suffix, name.extension
    ('L', 'fsaverage5', 'bold', '.func.gii')
    >>> name.is_of(RunKey("01", "01", "main", 1))
    True
    >>> parse_name(Path("lh.white")) is None
    True
    """
    *parts, last = path.name.split("_")
    suffix, point, extension = last.partition(".")
    found = [_ENTITY.match(part) for part in parts]
    if not parts or not all(found) or not suffix.isalnum():
        return None
    return BidsName(path, {match[1]: match[2] for match in found if match}, suffix, point + extension)


def list_names(paths: Iterable[Path]) -> tuple[BidsName, ...]:
    """Read the names of files, in order; others than BIDS names are left out."""
    return tuple(name for path in sorted(paths) if (name := parse_name(path)) is not None)
