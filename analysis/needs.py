"""What must be there before a step can begin, beside the results of earlier steps: each names its remedy."""

from __future__ import annotations

from pathlib import Path

from analysis.data.features import choose_network, require_features
from analysis.running import require_file, run_step
from analysis.steps import Request
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import load_profile, require_virtual
from subjects.run_key import RunKey


def virtual_subjects(request: Request) -> None:
    """See that every subject is marked virtual: nothing is made up for a volunteer."""
    for sub in request.subjects:
        require_virtual(load_profile(request.layout, sub), what="for simulated BOLD")


def logged_runs(request: Request) -> None:
    """See that every subject has runs of the main experiment."""
    for sub in request.subjects:
        require_runs(request.layout, sub=sub)


def played_runs(request: Request) -> None:
    """See that every subject has runs of some paradigm, and that retinotopic ones have their apertures.

    Raises
    ------
    AnalysisError
        Naming what is missing, and where it comes from.
    """
    for sub in request.subjects:
        mapped = request.layout.find_runs(sub, "retinotopy")
        if not (mapped or request.layout.find_runs(sub, "lo") or request.layout.find_runs(sub, "motion")):
            require_runs(request.layout, sub=sub)
        for key in mapped:
            path = request.layout.derivative("apertures", sub=sub, suffix="apertures.npz", ses=key.ses, task=key.task,
                                             run=key.run)
            if not path.is_file():
                raise AnalysisError(str(path), came="no such file", expected="the apertures that this run showed",
                                    remedy="Restore it, or play the run again with --repeat.")


def driving_features(request: Request) -> None:
    """See that the responses are there of the network that drives virtual subjects."""
    require_manifest(request.layout)
    require_features(choose_network(request.layout, request.settings.simulate.network or None),
                     study=request.layout.root)


def mapping_runs(request: Request) -> None:
    """See that every subject has runs of retinotopic mapping.

    Raises
    ------
    AnalysisError
        Naming the command that plays them, or for a volunteer what may be wrong.
    """
    for sub in request.subjects:
        require_runs(request.layout, sub=sub, task="retinotopy")


def localizer_runs(request: Request) -> None:
    """See that every subject has runs of a localizer, of LO or of hMT+."""
    for sub in request.subjects:
        if not request.layout.find_runs(sub, "motion"):
            require_runs(request.layout, sub=sub, task="lo")


def features(request: Request) -> None:
    """See that the network's responses are there, and are those of the network that the set was made with."""
    require_manifest(request.layout)
    require_features(choose_network(request.layout, request.network), study=request.layout.root)


def low_level(request: Request) -> None:
    """Measure the images where that was not done: seconds, from the set alone."""
    run_step("confounds", request)


def require_manifest(layout: Layout) -> Path:
    """Give the manifest's path, or say how to build the set."""
    return require_file(layout.manifest, what="the table of shown images",
                        command=f"python -m stimuli build --study {layout.argument}")


def require_runs(layout: Layout, *, sub: str, task: str = "main") -> tuple[RunKey, ...]:
    """List a subject's logged runs of a paradigm, by default the main experiment, or say where they should come from.

    Raises
    ------
    AnalysisError
        If there is none. A virtual subject's can be played on the emulated scanner; a volunteer's cannot.
    """
    runs = layout.find_runs(sub, task)
    if runs:
        return runs
    if load_profile(layout, sub).virtual:
        remedy = (f"Play one with `python run_session.py run --study {layout.argument} --sub {sub} --ses 01 "
                  f"--task {task} --run 1 --scanner emulated --display virtual`.")
    else:
        remedy = (f"Runs of this volunteer were not played yet, were cut off (`python run_session.py recover --study "
                  f"{layout.argument}` makes their tables), or carry other names than "
                  f"sub-{sub}_ses-*_task-{task}_run-*.")
    raise AnalysisError(str(layout.root / f"sub-{sub}"), came=f"no events tables of task {task}",
                        expected="at least one logged run",
                        remedy=remedy)


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
                            remedy=f"Add one with `python -m subjects add --study {layout.argument} --sub 01`.")
    return tuple(load_profile(layout, sub).sub for sub in dict.fromkeys(asked or layout.subjects()))
