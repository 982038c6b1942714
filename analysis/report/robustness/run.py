"""The step ``robustness``: N1 to N3 of a set under other choices: contrast of AN, targets of AI, taps, readings.

Each other choice is a variant of the set: its AN or its AI made once more from the same RE by ``python -m stimuli
vary``, in a process of its own. A variant's dissimilarities are kept and its responses dropped, so that the disk holds
those of one variant at a time. What is made stays made: a run that was killed goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.data.stimulus_set import stimuli_as_made
from analysis.needs import require_manifest
from analysis.report.of_set.set_files import run_stimuli
from analysis.report.robustness.claims import OWN, Level, Levels, choose_levels, say_conclusions, score_choices
from analysis.report.robustness.page import RobustnessRecords, write_page
from analysis.rsa.choices import COLUMNS, Place, tabulate
from analysis.rsa.rdm import RDM, compute_rdm, load_rdms, save_rdms
from analysis.running import Digests, is_whole, run_step
from analysis.statistics.dissimilarity import without_noise
from analysis.statistics.readings import LOGITS, by_logits
from analysis.steps import Origin, Request, Work
from stimuli.feature_store import FeatureStore, open_store
from stimuli.manifest import TYPES, Manifest, read_manifest, read_set_network
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout, network_label
from subjects.provenance import sidecar_path
from subjects.settings.analysis import RsaSettings
from subjects.store import read_json, read_table, write_table

Extras = dict[Path, dict[str, Any]]


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the page; it is written whenever it is asked for."""
    return (compare(request).page_work(),)


def plan_variants(request: Request) -> tuple[Work, ...]:
    """Plan the variants, the set itself among them."""
    return tuple(one.work() for one in compare(request).variants.values())


def plan_combinations(request: Request) -> tuple[Work, ...]:
    """Plan the table of all combinations."""
    return (compare(request).work(),)


def make_combinations(request: Request) -> None:
    """Make the variants that are not there, and compare all combinations."""
    run_step("robustness, variants", request)
    run_step("robustness, combinations", request)


def compare(request: Request) -> Comparison:
    """Gather the choices that are compared, and where everything about them is."""
    layout, chosen = request.layout, request.settings
    require_manifest(layout)
    tap = " ".join(chosen.stimuli.layers) or read_set_network(layout.manifest).tap
    levels = choose_levels(chosen.robustness, stimuli=stimuli_as_made(layout, chosen.stimuli), seed=chosen.study.seed,
                           tap=tap)
    whole = (Level("", "the set itself", OWN, OWN), *levels.made)
    measure = without_noise(chosen.rsa.dissimilarity)
    variants = {one.label: Variant(layout=layout, level=one, taps=levels.taps, measure=measure,
                                   place=f"{k} of {len(whole)}", hardware=request.hardware)
                for k, one in enumerate(whole, start=1)}
    return Comparison(layout=layout, name=chosen.study.name, levels=levels, variants=variants, rsa=chosen.rsa,
                      seed=chosen.study.seed)


def read_current(request: Request) -> RobustnessRecords | None:
    """Read what the step has made of the study as it stands; None if it was not run, or before something changed."""
    compared = compare(request)
    try:
        whole = is_whole(compared.work(), digests=Digests(verify=False))
    except AnalysisError:
        return None
    return compared.records() if whole else None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The dissimilarities of one variant at every tap, and how its images ended.

    Parameters
    ----------
    layout : Layout
    level : Level
        By which choice it is made.
    taps : tuple of str
    measure : str
        ``rsa.dissimilarity``.
    place : str
        ``"3 of 10"``, for progress.
    hardware : tuple of str
        Options that say where the network computes.
    """

    layout: Layout
    level: Level
    taps: tuple[str, ...]
    measure: str
    place: str
    hardware: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The RDMs, ``<tap>/<layer>/<type>``."""
        return self.layout.derivative("robustness", suffix="rdms.h5", variant=self.level.label)

    def work(self) -> Work:
        """Lay it out as work."""
        return Work(name=f"{self.level.kind}, {self.level.name}", outputs=(self.path,), origin=self.origin,
                    make=self.make, check=lambda: load_rdms(self.path))

    def origin(self, _: Path) -> Origin:
        """Say what it is made from; the manifest names the network by its digest."""
        return Origin({"manifest": self.layout.manifest}, {"options": list(self.level.options), "taps": list(self.taps),
                                                           "dissimilarity": self.measure})

    def make(self, _: ProgressWrapper) -> Callable[[], Extras]:
        """Have the images made and shown to the network, and compute their dissimilarities."""
        folder = self.layout.derivatives("robustness") / f"variant-{self.level.label}"
        taps = [word for tap in self.taps for word in ("--tap", tap)]
        made = json.loads(run_stimuli("vary", "--type", self.level.kind, *self.level.options, *taps, *self.hardware,
                                      "--out", str(folder), "--name", f"{self.place}: {self.level.name}", "--json",
                                      study=self.layout.root, shown=True))
        manifest = read_manifest(self.layout.manifest)
        ids = image_ids(manifest, made["images"], kind=self.level.kind)
        stores = [open_store(Path(path)) for path in made["features"]]
        rdms = {f"{network_label(store.tap)}/{name}": rdm for store in stores
                for name, rdm in layer_rdms(store, ids, measure=self.measure).items()}
        for store in stores:
            store.path.unlink()
        about = {"Taps": {network_label(store.tap): store.tap for store in stores},
                 "Layers": {network_label(store.tap): list(store.layers) for store in stores},
                 "Images": made["images"]}
        return lambda: self._save(rdms, about)

    def _save(self, rdms: Mapping[str, RDM], about: dict[str, Any]) -> Extras:
        describe_derivative(self.layout, "robustness")
        save_rdms(self.path, rdms, overwrite=True)
        return {self.path: about}


def image_ids(manifest: Manifest, images: Sequence[Mapping[str, Any]], *, kind: str) -> dict[str, dict[str, str]]:
    """Give type to base image to image_id: all types of the set itself, or the one that a variant made."""
    if kind == OWN:
        return {one: {name: manifest.get(base_image=name, type=one).image_id for name in sorted(manifest.base_images)}
                for one in TYPES}
    found = {str(one["base_image"]): str(one["image_id"]) for one in images}
    return {kind: {name: found[name] for name in sorted(found)}}


def layer_rdms(store: FeatureStore, ids: Mapping[str, Mapping[str, str]], *, measure: str) -> dict[str, RDM]:
    """Compute the RDM of every layer and type, ``<layer>/<type>``, and of the last layer by its logits."""
    stored = {**{layer: layer for layer in store.layers},
              **{by_logits(store.layers[-1]): name for name in store.readings if name == LOGITS}}
    return {f"{place}/{kind}": compute_rdm(store.read(name, image_ids=list(images.values())), labels=list(images),
                                           measure=measure, where=f"{store.tap}, {place}, {kind}")
            for place, name in stored.items() for kind, images in ids.items()}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The table of all combinations, and the page about it.

    Parameters
    ----------
    layout : Layout
    name : str
        The study's.
    levels : Levels
    variants : mapping of str to Variant
        By label.
    rsa : RsaSettings
    seed : int
        The study's.
    """

    layout: Layout
    name: str
    levels: Levels
    variants: Mapping[str, Variant]
    rsa: RsaSettings
    seed: int

    @property
    def table(self) -> Path:
        """Effect and p of every layer under every combination (columns :data:`~analysis.rsa.choices.COLUMNS`)."""
        return self.layout.derivative("robustness", suffix="robustness.tsv")

    @property
    def claims(self) -> Path:
        """Whether N1 to N3 hold under every combination."""
        return self.layout.derivative("robustness", suffix="claims.tsv")

    @property
    def page(self) -> Path:
        """The page."""
        return self.layout.derivatives("report") / "robustness" / "report.html"

    def work(self) -> Work:
        """Lay the table out as work."""
        return Work(name="all combinations", outputs=(self.table,), companions={"Claims": self.claims},
                    origin=self.origin, make=self.make)

    def page_work(self) -> Work:
        """Lay the page out as work."""
        return Work(name="robustness report", outputs=(self.page,), origin=self.page_origin, make=self.make_page,
                    always=True, tell=self.tell)

    def origin(self, _: Path) -> Origin:
        """Say what the tables are made from."""
        return Origin({f"variant-{label}": one.path for label, one in self.variants.items()},
                      {"seed": self.seed, "rsa": self.rsa.model_dump(mode="json", exclude={"unit_groups"}),
                       "levels": {factor: [one.name for one in self.levels.of(factor)]
                                  for factor in ("contrast", "targets")}})

    def page_origin(self, _: Path) -> Origin:
        """Say what the page is written from."""
        return Origin({"table": self.table, "claims": self.claims}, {})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Compare the types under every combination, and score the claims."""
        rdms = {label: load_rdms(one.path) for label, one in self.variants.items()}
        own, rows = read_json(sidecar_path(self.variants[OWN].path)), []
        network = read_set_network(self.layout.manifest).name
        for label in progress(own["Taps"], label="comparing choices", total=len(own["Taps"])):
            layers = own["Layers"][label]
            stored = dict.fromkeys(name.split("/")[1] for name in rdms[OWN] if name.startswith(f"{label}/"))
            places = {place: self._place(rdms, f"{label}/{place}") for place in stored}
            rows += tabulate(places, layers=layers, tap=own["Taps"][label], network=network, settings=self.rsa,
                             seed=self.seed)
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        scored = score_choices(table)
        return lambda: self._save(table, scored)

    def _place(self, rdms: Mapping[str, Mapping[str, RDM]], place: str) -> Place:
        noise, interference = ({one.name: rdms[one.label][f"{place}/{one.kind}"] for one in self.levels.of(factor)}
                               for factor in ("contrast", "targets"))
        return Place(rdms[OWN][f"{place}/RE"], noise, interference)

    def _save(self, table: pd.DataFrame, scored: pd.DataFrame) -> Extras:
        write_table(self.table, table, overwrite=True)
        write_table(self.claims, scored, overwrite=True)
        return {}

    def make_page(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Read the tables; give what then draws the figure and writes the page."""
        records = self.records()
        return lambda: write_page(records, self.page, progress=progress)

    def records(self) -> RobustnessRecords:
        """Gather what a page tells of."""
        return RobustnessRecords(self.name, read_set_network(self.layout.manifest).name, self.seed, self.levels,
                                 read_table(self.table, text_columns=COLUMNS[:6]), self.read_claims(),
                                 {label: read_json(sidecar_path(one.path))["Images"]
                                  for label, one in self.variants.items()}, self.rsa)

    def read_claims(self) -> pd.DataFrame:
        """Read the table of claims."""
        found = read_table(self.claims, text_columns=COLUMNS[:4])
        return found.astype(dict.fromkeys(("N1", "N2", "N3"), "boolean"))

    def tell(self) -> str:
        """Say what came of it."""
        return "\n".join([*say_conclusions(self.read_claims()), "robustness report"])
