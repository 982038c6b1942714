"""Many networks measured alike: each in a process of its own, its table kept, so that a list is gone on with."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stimuli.alignment.images import LabelledImages, drawings, images_of_maps, labelled_photographs, regular_images
from stimuli.alignment.importance.maps import ImportanceMaps, read_importance_maps
from stimuli.alignment.score_table import alignment_result, measure_alignment
from stimuli.alignment.tolerance.measure import Scheme, tolerance
from stimuli.alignment.tolerance.table import read_current, summarise, tolerance_table, write_tolerance
from stimuli.alignment.trade_off.networks import Listed, require_different
from stimuli.categories import DEMO_CATEGORIES
from stimuli.manifest import read_manifest
from stimuli.networks.hardware import Hardware, computing, place
from stimuli.networks.registry import Network, load_network
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError, StudyError
from subjects.layout import Layout
from subjects.store import write_json

DRAWN_EACH = 3
"""Drawings of each category that a network of the drawn categories is measured on where photographs are named."""

DRAWINGS = "drawings"
"""What the table says of their images."""

_SCHEME, _HARDWARE = Scheme(), Hardware(threads=1)


@dataclass(frozen=True)
class Question:
    """What every network of a list is asked.

    Parameters
    ----------
    folder : Path
        Where the tables go.
    images, labels : Path or None
        Photographs and their table of labels. A network that knows the drawn categories alone gets drawings.
    study : Path or None
        A study, whose RE images are measured in place of photographs.
    maps : Path or None
        Importance maps; with `study` of its RE, else with their own images.
    most, seed : int
        How many photographs at most, and the seed of that choice.
    scheme : Scheme
        How tolerance is measured.
    ceiling : float or None
        A published human ceiling, where the maps are means.
    hardware : Hardware
        Where each network computes.
    """

    folder: Path
    images: Path | None = None
    labels: Path | None = None
    study: Path | None = None
    maps: Path | None = None
    most: int | None = None
    seed: int = 0
    scheme: Scheme = _SCHEME
    ceiling: float | None = None
    hardware: Hardware = _HARDWARE


def measure_network(listed: Listed, question: Question) -> dict[str, Any]:
    """Measure one network: accuracy and tolerance, and alignment where there are maps.

    Tables that are there and current are not made again.

    Returns
    -------
    dict
        A row of the trade-off's table; the measures that need maps are NaN without them.
    """
    began, cpu = time.perf_counter(), time.process_time()
    with computing(question.hardware):
        loaded = load_network(listed.network, weights=listed.weights, preprocessing=listed.preprocessing)
        network = place(loaded, hardware=question.hardware)
        images, kind = _images(question, network)
        scored = _tolerance(listed, question, network=network, images=images)
        scored |= _alignment(listed, question, network=network, drawn=kind == DRAWINGS)
    return {"network": listed.name, "digest": network.digest, "images": kind, **scored,
            "seconds": round(time.perf_counter() - began, 2), "cpu_seconds": round(time.process_time() - cpu, 2),
            "peak_mib": round(peak_mib(), 1)}


def peak_mib() -> float:
    """Give the most memory that this process has held, MiB; NaN on Windows, which does not tell it so."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def _images(question: Question, network: Network) -> tuple[LabelledImages, str]:
    if question.study is not None:
        layout = Layout(question.study).require()
        return regular_images(layout.stimuli, read_manifest(layout.manifest), network=network), "RE of the study"
    drawn = tuple(name for kind in DEMO_CATEGORIES.values() for name in kind)
    if question.images is None and question.maps is not None:
        return images_of_maps(read_importance_maps(question.maps), network=network), "images of the maps"
    if question.images is None or set(network.class_names) <= set(drawn):
        return drawings(drawn, network=network, each=DRAWN_EACH, seed=question.seed), DRAWINGS
    return labelled_photographs(question.images, network=network, labels=question.labels, most=question.most,
                                seed=question.seed), "photographs"


def _tolerance(listed: Listed, question: Question, *, network: Network, images: LabelledImages) -> dict[str, Any]:
    path, scheme = question.folder / f"{listed.stem}_tolerance.tsv", question.scheme
    table = read_current(path, network=network, images=images, scheme=scheme)
    if table is None:
        table = tolerance_table(images, list(tolerance(network, images, scheme=scheme)), network=network)
        write_tolerance(path, table, network=network, images=images, scheme=scheme, overwrite=True)
    found = summarise(table, norm=scheme.norm)
    return {"n_images": found.n_images, "n_correct": found.n_correct, "n_reached": found.n_reached,
            "accuracy": found.accuracy, "tolerance": found.median, "tolerance_lower": found.lower,
            "tolerance_upper": found.upper}


def _alignment(listed: Listed, question: Question, *, network: Network, drawn: bool) -> dict[str, Any]:
    """Score the images that have maps; nothing where maps of photographs are of categories that a network lacks."""
    names = ("alignment", "alignment_error", "saliency", "saliency_error", "random", "random_error", "ceiling")
    if question.maps is None or (drawn and question.study is None):
        return dict.fromkeys(names, float("nan"))
    maps = read_importance_maps(question.maps)
    images, seed = _of_maps(question, network, maps), question.seed
    table = measure_alignment(question.folder / f"{listed.stem}_alignment.tsv", network=network, images=images,
                              maps=maps, scheme=question.scheme, seed=seed, overwrite=True)
    found = alignment_result(table, maps=maps, norm=question.scheme.norm, seed=seed, ceiling=question.ceiling)
    scores = [found.scores[name] for name in ("rho_perturbation", "rho_saliency", "rho_random")]
    half = getattr(found.ceiling, "split_half", found.ceiling)
    values = [value for score in scores for value in (score.mean, score.error)]
    return dict(zip(names, [*values, float("nan") if half is None else half], strict=True))


def _of_maps(question: Question, network: Network, maps: ImportanceMaps) -> LabelledImages:
    if question.study is None:
        return images_of_maps(maps, network=network)
    return _images(question, network)[0]


@dataclass(frozen=True)
class Outcome:
    """What came of one network: a row, or why there is none."""

    row: dict[str, Any] | None
    failed: str | None


def _guarded(work: tuple[Listed, Question]) -> Outcome:
    listed, question = work
    try:
        return Outcome(measure_network(listed, question), None)
    except (StudyError, OSError) as error:
        return Outcome(None, f"{listed.name}: {error}")
    except Exception as error:  # noqa: BLE001 - a network of the user's own may raise anything; the others go on
        return Outcome(None, f"{listed.name}: {type(error).__name__}: {error}")


def _apart(work: tuple[Listed, Question], call: Callable[[tuple[Listed, Question]], Outcome] = _guarded) -> Outcome:
    """Measure in a process of its own, whose memory goes with it; one that is killed is told like any other fault."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        try:
            return alone.submit(call, work).result()
        except BrokenProcessPool:
            return Outcome(None, f"{work[0].name}: its process was ended from outside; too little memory, perhaps")


def measure_networks(networks: Sequence[Listed], question: Question, *, n_jobs: int = 1,
                     progress: ProgressWrapper = silent) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Measure a list of networks, each in a process of its own, `n_jobs` at a time.

    Parameters
    ----------
    networks : sequence of Listed
        In the order of the table's rows.
    question : Question
        What each is asked.
    n_jobs : int
        Processes side by side.
    progress : ProgressWrapper
        Told of networks.

    Returns
    -------
    table : DataFrame
        A network a row; see :func:`measure_network`.
    failed : tuple of str
        Networks that could not be measured, and why; the others are measured nevertheless.

    Raises
    ------
    StimulusError
        If the list is empty or has a name twice, or none could be measured.
    """
    require_different(networks)
    question.folder.mkdir(parents=True, exist_ok=True)
    work = [(one, question) for one in networks]
    with ThreadPoolExecutor(max(1, min(n_jobs, len(work)))) as side_by_side:
        found = list(progress(side_by_side.map(_apart, work), label="networks", total=len(work)))
    failed = tuple(one.failed for one in found if one.failed is not None)
    rows = [one.row for one in found if one.row is not None]
    if not rows:
        raise StimulusError("the list of networks", came=f"none that could be measured ({failed[0]})",
                            expected="networks, images and maps that belong together",
                            remedy="Correct the first and run the command again.")
    for row in rows:
        write_json(question.folder / f"{_stem(networks, row)}_measures.json", _plain(row), overwrite=True)
    return pd.DataFrame(rows), failed


def _stem(networks: Sequence[Listed], row: dict[str, Any]) -> str:
    return next(one.stem for one in networks if one.name == row["network"])


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in row.items()}


def question_record(question: Question) -> dict[str, Any]:
    """Give what the table's sidecar says of the question."""
    told = asdict(question)
    told.pop("folder")
    told.pop("hardware")
    return {**told, "scheme": question.scheme.record(),
            **{name: None if told[name] is None else str(told[name]) for name in ("images", "labels", "study", "maps")}}
