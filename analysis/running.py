"""Running a step: what is needed, is it current, make, say beside it what it was made from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from analysis.jobs import run_jobs
from analysis.steps import NEEDS, PARTS, STEPS, Done, Origin, Request, Work, imported
from stimuli.manifest import read_manifest, read_pixels
from subjects.cli import ProgressWrapper
from subjects.errors import AnalysisError, StoreError, StudyError
from subjects.provenance import digest_file, digest_json, is_current, sidecar, sidecar_path, sources
from subjects.store import locked, read_json, sweep, write_json

FROZEN = "analysis.report.scorecard:preregistered"
"""What says beside every file whether it was made under the preregistration."""
log = logging.getLogger(__name__)

DIGESTS = ("digest_images", "digest_data", "digest_settings")
"""Columns of what a table of results is made from: the manifest, all other files, the settings."""


class Digests:
    """Digests of files during one step; with `verify`, each file is read anew once, and then known."""

    def __init__(self, *, verify: bool) -> None:
        self._verify, self._seen = verify, set[Path]()

    def file(self, path: Path) -> str:
        """Digest a file."""
        fresh = self._verify and path not in self._seen
        self._seen.add(path)
        return digest_file(path, verify=fresh)

    def kept(self, path: Path) -> str:
        """Digest a file, or give the digest that its sidecar keeps of one that was dropped.

        Raises
        ------
        AnalysisError
            If there is neither.
        """
        if path.is_file():
            return self.file(path)
        if kept := recorded_digest(path):
            return kept
        raise AnalysisError(str(path), came="no such file", expected="an input of this step",
                            remedy="Restore it, or run the step that makes it.")

    def of(self, origin: Origin) -> Origin:
        """Digest the inputs."""
        return Origin({name: item if isinstance(item, str) else self.kept(item)
                       for name, item in origin.inputs.items()}, origin.parameters)


def digests_of(origin: Origin) -> dict[str, str]:
    """Give the digests of what a table is made from, for its rows: see :data:`DIGESTS`."""
    inputs, parameters = Digests(verify=False).of(origin)
    others = {name: digest for name, digest in inputs.items() if name != "manifest"}
    return dict(zip(DIGESTS, (str(inputs["manifest"]), digest_json(others), digest_json(parameters)), strict=True))


def run_step(name: str, request: Request) -> Done:
    """Run a step: see that what it needs is there, make what is not current, and say beside it what it was made from.

    Parameters
    ----------
    name : str
        A key of :data:`STEPS` or of :data:`PARTS`.
    request : Request

    Returns
    -------
    Done

    Raises
    ------
    StudyError
        If something is needed that is not there: it is named, with the command that makes it.
    """
    step = PARTS[name] if name in PARTS else STEPS[name]
    digests = Digests(verify=request.verify or step.whom == "all")
    if request.verify and request.layout.manifest.is_file():
        require_images(request)
    for need in step.needs:
        if need in STEPS:
            require_made(need, request, digests=digests)
        else:
            imported(NEEDS[need])(request)
    works, chains = step.plan(request), dict[str, list[Work]]()
    for work in works:
        chains.setdefault(work.chain or work.name, []).append(work)
    reused, waiting = [], []
    for chain in chains.values():
        current = list(takewhile(lambda work: not work.always and is_whole(work, digests=digests), chain))
        reused += [work.name for work in current]
        waiting.append(chain[len(current):])
    for work_name in reused:
        log.info("%s of %s: current, reused", step.product, work_name)
    frozen = imported(FROZEN)(request) if request.layout.freeze.is_file() else {}
    calls = [partial(_make_chain, chain, digests=digests, frozen=frozen,
                     commands=[request.command(step.name, sub=work.sub) for work in chain])
             for chain in waiting if chain]
    more = run_jobs(calls, n_jobs=request.n_jobs, label=step.title, progress=request.progress)
    known = {*reused, *(work_name for names in more for work_name in names)}
    return Done(step=step, works=works, reused=tuple(work.name for work in works if work.name in known))


def _make_chain(chain: Sequence[Work], progress: ProgressWrapper, *, digests: Digests,
                commands: Sequence[str], frozen: Mapping[str, Any]) -> list[str]:
    """Make the works of a chain one after the other, but for those that are current; give the names of these."""
    reused = []
    for place, (work, command) in enumerate(zip(chain, commands, strict=True)):
        if place and not work.always and is_whole(work, digests=digests):  # the first one was found not to be
            log.info("%s: current, reused", work.name)
            reused.append(work.name)
        else:
            _make(work, progress, digests=digests, command=command, frozen=frozen)
    return reused


def _make(work: Work, progress: ProgressWrapper, *, digests: Digests, command: str,
          frozen: Mapping[str, Any]) -> None:
    """Replace a work's files so that nobody takes a mixture of older and newer ones for whole, even if this is killed.

    A mark stands beside them, and no sidecar, from before the first file is replaced until after the last.
    """
    named = {path: work.origin(path) for path in work.outputs}
    origins = {path: digests.of(origin) for path, origin in named.items()}  # before anything is computed from them
    for folder in {path.parent for path in work.outputs}:
        sweep(folder)
    with locked(work.mark.parent, what=f"what is made of {work.name}", name=work.mark.name.replace(".json", ".lock")):
        _replace(work, progress, named=named, origins=origins, command=command, frozen=frozen)


def _replace(work: Work, progress: ProgressWrapper, *, named: Mapping[Path, Origin], origins: Mapping[Path, Origin],
             command: str, frozen: Mapping[str, Any]) -> None:
    """Compute a work's files, write them over older ones, and their sidecars last."""
    write = work.make(progress)
    write_json(work.mark, {"command": command}, overwrite=True)
    for path in work.outputs:
        sidecar_path(path).unlink(missing_ok=True)
    extras, algebra = write(), {"LinearAlgebra": linear_algebra()}
    shared = {key: digest_file(path) for key, path in work.companions.items()}
    for path in work.outputs:
        sidecar(path, **origins[path]._asdict(),
                extra={"Sources": sources(path, inputs=named[path].inputs), **extras.get(path, {}), **algebra, **frozen,
                       **(shared if path == work.outputs[0] else {})})
    work.mark.unlink(missing_ok=True)


def require_images(request: Request) -> None:
    """See that every image is the one that the manifest names, pixel by pixel; say how many are not at hand.

    Raises
    ------
    ManifestError
        Naming the first that is not.
    """
    stimuli_dir = request.layout.manifest.parent
    stimuli = read_manifest(request.layout.manifest).stimuli
    here = [one for one in stimuli if (stimuli_dir / one.file).is_file()]
    for one in request.progress(here, label="reading images", total=len(here)):
        read_pixels(stimuli_dir, one)
    if len(here) < len(stimuli):
        log.warning("%s: %d of %d images are not here and were not verified", stimuli_dir, len(stimuli) - len(here),
                    len(stimuli))


def linear_algebra() -> list[dict[str, Any]]:
    """Say which libraries multiply matrices here, and with which kernel: results differ by it in the fifth digit.

    Returns
    -------
    list of dict
        ``library``, ``version``, ``architecture`` (the kernel, such as ``"SkylakeX"``) and ``threads`` of each.
    """
    from threadpoolctl import threadpool_info

    found = [one for one in threadpool_info() if one.get("user_api") == "blas"]
    return sorted(({"library": one.get("internal_api"), "version": one.get("version"),
                    "architecture": one.get("architecture"), "threads": one.get("num_threads")} for one in found),
                  key=str)


def recorded_digest(path: Path) -> str | None:
    """Give the digest that a file's sidecar holds; None without one."""
    try:
        found = read_json(sidecar_path(path)).get("digest")
    except StoreError:
        return None
    return found if isinstance(found, str) else None


def is_whole(work: Work, *, digests: Digests) -> bool:
    """Say whether a work's files are there, made together from the study's current files, unchanged, and readable."""
    if work.mark.is_file() or not all(path.is_file() for path in work.files()):
        return False
    if _not_current(work, digests=digests):
        return False
    shared = read_json(sidecar_path(work.outputs[0])) if work.companions else {}
    if any(shared.get(key) != digests.file(path) for key, path in work.companions.items()):
        return False
    try:
        work.check()
    except StudyError as error:
        log.info("%s: made anew, for %s", work.name, error)
        return False
    return True


def _not_current(work: Work, *, digests: Digests) -> Path | None:
    """Give the first of a work's outputs that was changed, or made from others than the study's current files."""
    for path in work.outputs:
        digests.file(path)
        if not sidecar_path(path).is_file() or not is_current(path, **digests.of(work.origin(path))._asdict()):
            return path
    return None


def require_made(name: str, request: Request, *, digests: Digests) -> tuple[Work, ...]:
    """See that a step's results are there, whole, and made from the study's current files and settings.

    Parameters
    ----------
    name : str
        A key of :data:`STEPS`.
    request : Request
    digests : Digests

    Returns
    -------
    tuple of Work
        What the step has made for others; what it made on the way need not be there.

    Raises
    ------
    AnalysisError
        Naming the command that makes it.
    """
    step = STEPS[name]
    works = tuple(work for work in step.plan(request) if not work.intermediate)
    for work in works:
        command = request.command(name, sub=work.sub or next(iter(request.subjects), None))
        for path in work.files():
            require_file(path, what=step.product, command=command)
        require_finished(work, command=command)
        if work.foreign and not any(sidecar_path(path).is_file() for path in work.outputs):
            log.warning("%s: %s without a sidecar, from elsewhere: nothing says what they were made from", work.name,
                        step.product)
            work.check()
        elif not is_whole(work, digests=digests):
            changed = _not_current(work, digests=digests) or work.outputs[0]
            raise AnalysisError(str(changed), expected="those of the study's current files and settings",
                                came=f"{step.product} of other files or settings, or changed since",
                                remedy=f"Run `{command}`.")
    return works


def require_finished(work: Work, *, command: str) -> None:
    """Refuse files of which some may be older than others, because a step was killed while it replaced them."""
    if work.mark.is_file():
        raise AnalysisError(str(work.mark), expected="files that were made together", remedy=f"Run `{command}`.",
                            came=f"files of {work.name} that were being replaced when a step was cut off")


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
