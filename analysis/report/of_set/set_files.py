"""What a report of the set alone needs: made by the commands that make it, in processes of their own.

The check, the sheet and the features are the business of ``stimuli``, which needs torch; the analysis does without it.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.data.features import choose_network, networks_of_set, require_features
from analysis.needs import require_manifest
from analysis.running import run_step
from analysis.steps import Request
from subjects.errors import AnalysisError

log = logging.getLogger(__name__)


def make_network_half(request: Request) -> None:
    """Make what is missing: responses and similarities of every network, and the images' low-level similarities.

    Raises
    ------
    StudyError
        If there is no set, or one of the commands fails.
    """
    require_manifest(request.layout)
    for one in requests(request):
        network = choose_network(one.layout, one.network)
        try:
            require_features(network, study=one.layout.root)
        except AnalysisError as error:
            log.info("%s", error)
            run_stimuli("features", *(["--network", network.name] if network.entities else []), *request.hardware,
                        study=one.layout.root)
    for one in requests(request):
        run_step("rsa", one)
    run_step("confounds", request)


def requests(request: Request) -> tuple[Request, ...]:
    """Ask once for each network that the set was made with, and once for each other one."""
    own = replace(request, subjects=(), network=None)
    second = [one.name for one in networks_of_set(request.layout) if one.second]
    names = [name for name in dict.fromkeys(request.others) if not choose_network(request.layout, name).of_set]
    return (own, *(replace(own, network=name) for name in (*second, *names)))


def run_stimuli(name: str, *options: str, study: Path, accepted: tuple[int, ...] = (0,), shown: bool = False) -> str:
    """Run ``python -m stimuli NAME`` in a process of its own, and give what it prints.

    Parameters
    ----------
    name, *options : str
        The command and its options.
    study : Path
    accepted : tuple of int
        Exit codes that are no failure.
    shown : bool
        Let its progress and errors be seen as they come.

    Raises
    ------
    AnalysisError
        If it ends with another code; what it says on standard error is handed on.
    """
    words = ["-m", "stimuli", name, "--study", str(study), *options]
    done = subprocess.run([sys.executable, *words], check=False, text=True, stdout=subprocess.PIPE,
                          stderr=None if shown else subprocess.PIPE)
    if done.returncode not in accepted:
        said = ["its error is above"] if shown else done.stderr.strip().splitlines()
        raise AnalysisError(f"python {' '.join(words)}", expected="what the report needs",
                            came=f"it ended with {done.returncode}: {said[-1] if said else 'nothing said'}",
                            remedy="Run it by itself, and correct what it names.")
    return done.stdout


def check_set(request: Request) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Check the set from its files, and ask the other networks about it.

    Returns
    -------
    verdict : dict
        What ``python -m stimuli check --json`` prints.
    notes : tuple of str
        Why other networks could not be asked, where they could not.
    """
    study = request.layout.root
    others = [one.network for one in requests(request)
              if one.network is not None and not choose_network(request.layout, one.network).of_set]
    also = [word for name in others for word in ("--also", name)]
    notes: tuple[str, ...] = ()
    try:
        said = run_stimuli("check", "--json", *also, *request.hardware, study=study, accepted=(0, 1))
    except AnalysisError as error:
        if not also:
            raise
        log.warning("%s", error)
        notes = (f"Other networks were not asked about the images: {error.came}",)
        said = run_stimuli("check", "--json", *request.hardware, study=study, accepted=(0, 1))
    return dict(json.loads(said)), notes
