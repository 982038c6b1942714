"""What a step needs before it can begin: each missing file is named with the command that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import load_profile
from subjects.provenance import is_current
from subjects.run_key import RunKey
from subjects.settings.study import Settings


def require_current(path: Path, *, origin: Mapping[str, Any], command: str) -> Path:
    """Refuse a result that was made from something else than the study as it stands, or changed since.

    Parameters
    ----------
    path : Path
    origin : mapping
        ``inputs`` and ``parameters``, as for :func:`subjects.provenance.is_current`.
    command : str
        What makes it anew.

    Raises
    ------
    AnalysisError
        Naming the command.
    """
    if not is_current(path, **origin):
        raise AnalysisError(str(path), came="a result of other inputs or settings, or one that was changed",
                            expected="one of the study as it stands", remedy=f"Run `{command}`.")
    return path


def require_file(path: Path, *, what: str, command: str) -> Path:
    """Give the path back if a file is there.

    Parameters
    ----------
    path : Path
    what : str
        What it holds, for the message.
    command : str
        What makes it.

    Raises
    ------
    AnalysisError
        If it is missing.
    """
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected=what, remedy=f"Make it with `{command}`.")
    return path


def require_manifest(layout: Layout) -> Path:
    """Give the manifest's path, or say how to build the set."""
    return require_file(layout.manifest, what="the table of shown images",
                        command=f"python -m stimuli build --study {layout.root}")


def require_features(layout: Layout, settings: Settings) -> Path:
    """Give the path of the network's features, or say how to take them."""
    return require_file(layout.features(settings.stimuli.network), what="the network's responses to the images",
                        command=f"python -m stimuli features --study {layout.root}")


def require_betas(layout: Layout, *, sub: str) -> tuple[Path, Path]:
    """Give the paths of a subject's betas, left and right, or say how to estimate them."""
    left, right = (require_file(layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5"), what="betas",
                                command=f"python -m analysis glm --study {layout.root} --sub {sub}")
                   for hemi in ("L", "R"))
    return left, right


def require_runs(layout: Layout, *, sub: str) -> tuple[RunKey, ...]:
    """List a subject's logged runs of the main experiment, or say how to play one."""
    runs = layout.find_runs(sub, "main")
    if not runs:
        command = (f"python run_session.py run --study {layout.root} --sub {sub} --ses 01 --task main --run 1 "
                   "--scanner emulated --display virtual")
        raise AnalysisError(str(layout.raw(sub, "01")), came="no events tables", expected="at least one logged run",
                            remedy=f"Play one with `{command}`.")
    return runs


def choose_subjects(layout: Layout, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Give the subjects that were asked for, or all; an unknown one is an error.

    Raises
    ------
    ProfileError
        If a subject was never added.
    AnalysisError
        If the study has no subjects.
    """
    if not asked and not layout.subjects():
        raise AnalysisError(str(layout.root), came="no subjects", expected="at least one",
                            remedy=f"Add one with `python -m subjects add --study {layout.root} --sub 01`.")
    return tuple(load_profile(layout, sub).sub for sub in asked or layout.subjects())
