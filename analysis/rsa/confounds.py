"""The step ``confounds``: what RE, AN and AI images share before any network or brain sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, networks_of_set
from analysis.needs import require_manifest
from analysis.rsa.compare import Similarities, compare_types
from analysis.rsa.low_level import Pixels, band_contrasts, band_edges, gabor_energies, measure_image
from analysis.rsa.rdm import load_rdms
from analysis.rsa.run import Extras, place_rows, save
from analysis.running import digests_of
from analysis.statistics.results import RESULTS, read_results
from analysis.steps import Origin, Request, Work
from stimuli.manifest import TYPES, Manifest, read_manifest, read_pixels
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import derive_seed
from subjects.settings.analysis import RsaSettings
from subjects.store import read_table, write_table

PLACES = ("pixels", "Gabor")
"""What the images are compared by: RGB values, and the energies of :func:`~analysis.rsa.low_level.gabor_energies`."""


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the measures of the images, and their similarities by pixels and by Gabor energies."""
    require_manifest(request.layout)
    of_set = [Confounds(layout=request.layout, rsa=request.settings.rsa, seed=request.settings.study.seed, network=one)
              for one in networks_of_set(request.layout)]
    return tuple(Work(name="the images" if len(of_set) == 1 else f"the images of {one.network.name}",
                      outputs=one.paths, origin=one.origin, make=one.make, check=one.check) for one in of_set)


@dataclass(frozen=True, kw_only=True)
class Confounds:
    """The low-level properties of a set's images, and the similarities that follow from them alone.

    Parameters
    ----------
    layout : Layout
    rsa : RsaSettings
    seed : int
        The study's.
    network : ChosenNetwork
        Of a set of two networks, whose AN and AI are compared with RE. The second's files bear its name.
    """

    layout: Layout
    rsa: RsaSettings
    seed: int
    network: ChosenNetwork

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """Similarities (columns :data:`~analysis.rsa.run.COLUMNS`), the RDMs behind them, measures of every image."""
        return confound_paths(self.layout, self.network)

    def origin(self, _: Path) -> Origin:
        """Say what the files are made from; the manifest names every image by the digest of its pixels."""
        second = {"network": self.network.name} if self.network.second else {}
        return Origin({"manifest": self.layout.manifest},
                      {"seed": self.seed, "rsa": self.rsa.model_dump(mode="json"), **second})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Measure every image, and compare the types."""
        manifest = read_manifest(self.layout.manifest).of_network(self.network.name)
        pixels = {one.image_id: read_pixels(self.layout.stimuli, one)
                  for one in progress(manifest.stimuli, label="reading images", total=len(manifest))}
        measures = measure_set(manifest, pixels)
        found = {place: compare_images(manifest, pixels, by=place, settings=self.rsa, seed=self.seed)
                 for place in progress(PLACES, label="low-level RSA", total=len(PLACES))}
        digests = {**digests_of(self.origin(self.paths[0])), "digest_data": ""}
        rows = place_rows(found, settings=self.rsa, system="images", sub="", **digests)
        return lambda: self._save(found, rows, measures)

    def _save(self, found: Mapping[str, Similarities], rows: list[dict[str, Any]], measures: pd.DataFrame) -> Extras:
        describe_derivative(self.layout, "rsa")
        table, rdms, values = self.paths
        save((table, rdms), found, rows=rows, correction=self.rsa.correction)
        write_table(values, measures, overwrite=True)
        return {table: {"Network": self.network.name, **RESULTS.in_sidecar()}}

    def check(self) -> None:
        """See that the files can be read."""
        read_results(self.paths[0])
        load_rdms(self.paths[1])
        read_table(self.paths[2])


def confound_paths(layout: Layout, network: ChosenNetwork | None = None) -> tuple[Path, Path, Path]:
    """Spell the paths of a study's low-level results: similarities, RDMs, measures.

    Parameters
    ----------
    layout : Layout
    network : ChosenNetwork, optional
        Of the images of a set's second network; of any other, and without one, of the first's.
    """
    entities = network.entities if network is not None and network.second else {}
    table, rdms, values = (layout.derivative("rsa", suffix=suffix, desc="lowlevel", **entities)
                           for suffix in ("rsa.tsv", "rdms.h5", "measures.tsv"))
    return table, rdms, values


def low_level_files(layout: Layout) -> tuple[Path, ...]:
    """List what ``confounds`` made: of two networks, of the images of both."""
    return tuple(path for one in networks_of_set(layout) for path in confound_paths(layout, one))


def read_low_level(layout: Layout,
                   network: ChosenNetwork) -> tuple[pd.DataFrame, pd.DataFrame, Mapping[str, pd.DataFrame]]:
    """Read what ``confounds`` made.

    Parameters
    ----------
    layout : Layout
    network : ChosenNetwork

    Returns
    -------
    low_level : DataFrame
        Similarities of RE with the AN and AI of this network of the set; of another network, the set's first one's.
    measures : DataFrame
        Of every image of the set.
    by_network : mapping of str to DataFrame
        The similarities with the AN and AI of each network of a set of two; empty for one network.
    """
    of_set = networks_of_set(layout)
    found = {one.name: read_results(confound_paths(layout, one)[0]) for one in of_set}
    measures = pd.concat([read_table(confound_paths(layout, one)[2]) for one in of_set]).drop_duplicates("image_id")
    own = found[network.name if network.of_set else of_set[0].name]
    return own, measures.reset_index(drop=True), found if len(found) > 1 else {}


def measure_set(manifest: Manifest, pixels: Mapping[str, Pixels]) -> pd.DataFrame:
    """Measure every image: a row each, with the RMS contrast of each octave (``contrast_2_4``: 2 to 4 cycles an image).

    Parameters
    ----------
    manifest : Manifest
    pixels : mapping of str to uint8 array, (side, side, 3)
        By image_id.
    """
    rows = []
    for one in manifest.stimuli:
        image = pixels[one.image_id]
        edges = band_edges(len(image))
        names = [f"contrast_{low:g}_{high:g}" for low, high in pairwise(edges)]
        rows.append({"image_id": one.image_id, "type": one.type, "base_image": one.base_image, "network": one.network,
                     **measure_image(image),
                     **dict(zip(names, band_contrasts(image).tolist(), strict=True))})
    return pd.DataFrame(rows)


def compare_images(manifest: Manifest, pixels: Mapping[str, Pixels], *, by: str, settings: RsaSettings,
                   seed: int) -> Similarities:
    """Compare the types by pixels or by Gabor energies, as a network's layers are compared."""
    describe: Callable[[Pixels], NDArray[Any]] = gabor_energies if by == "Gabor" else np.ravel
    labels = tuple(sorted(manifest.base_images))
    responses = {kind: np.stack([describe(pixels[manifest.get(base_image=name, type=kind).image_id])
                                 for name in labels]).astype(np.float32) for kind in TYPES}
    return compare_types(responses, labels=labels, settings=settings, percent=95, seed=derive_seed(seed, by, "rsa"),
                         shared_seed=derive_seed(seed, "images", "orders") if settings.correction == "max" else None,
                         over="images" if settings.network_interval == "images" else "features",
                         features="energies" if by == "Gabor" else "values", n_groups=settings.unit_groups, where=by)
