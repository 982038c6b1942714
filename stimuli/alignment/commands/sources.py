"""Which network and which images a command measures: those of a study, or those that its options name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stimuli.alignment.images import (
    LabelledImages,
    drawings,
    images_of_maps,
    labelled_photographs,
    regular_images,
)
from stimuli.alignment.importance.maps import ImportanceMaps, read_importance_maps
from stimuli.alignment.importance.processing import smoothed_as_clickme
from stimuli.categories import DEMO_CATEGORIES
from stimuli.image_set.set_network import NetworkChoice, load_other_network, load_set_network, names_another
from stimuli.manifest import read_manifest
from stimuli.networks.hardware import Hardware, place
from stimuli.networks.registry import Network, load_network
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.errors import StoreError
from subjects.layout import Layout
from subjects.settings.loading import load_settings

DRAWN_EACH = 3
"""Drawings of each category that the network which ships is measured on where no images are named."""


@dataclass(frozen=True)
class Source:
    """Where a command's images come from; the first that is named counts: a study, photographs, maps, or drawings.

    Parameters
    ----------
    study : Path or None
        A study's folder: its RE images.
    images, labels : Path or None
        A folder of photographs and their table of labels.
    resize : str or None
        How photographs are brought to the network's input; default: the network's own rule.
    most, seed : int
        How many photographs at most, and the seed of that choice.
    maps : Path or None
        Importance maps.
    """

    study: Path | None = None
    images: Path | None = None
    labels: Path | None = None
    resize: str | None = None
    most: int | None = None
    seed: int = 0
    maps: Path | None = None

    def network(self, asked: NetworkChoice, *, hardware: Hardware) -> Network:
        """Load the network that is asked for: default the study's, of two the first, or the one that ships."""
        if self.study is None:
            found = load_network(asked.name or "demo", weights=asked.weights, preprocessing=asked.preprocessing)
            return place(found, hardware=hardware)
        layout, stimuli = Layout(self.study).require(), load_settings(self.study).stimuli
        otherwise = asked.name is not None and (asked.weights is not None or asked.preprocessing is not None)
        load = load_other_network if otherwise or names_another(layout, asked) else load_set_network
        return place(load(layout, stimuli, asked=asked), hardware=hardware)

    def importance(self, *, processing: str = "none") -> ImportanceMaps:
        """Read the importance maps that are named; ``clickme`` smooths them as the published code does."""
        if self.maps is None:
            raise StoreError("--maps", came="no importance maps", expected="a file or folder of them",
                             remedy="Name it with --maps.")
        found = read_importance_maps(self.maps)
        return found if processing == "none" else replace(
            found, maps=smoothed_as_clickme(found.maps, side=found.maps.shape[-1]),
            participants=tuple(None if one is None else smoothed_as_clickme(one, side=one.shape[-1])
                               for one in found.participants))

    def labelled(self, network: Network, *, maps: ImportanceMaps | None = None,
                 progress: ProgressWrapper = silent) -> LabelledImages:
        """Read the images, brought to the network's input."""
        if self.study is not None:
            layout = Layout(self.study).require()
            return regular_images(layout.stimuli, read_manifest(layout.manifest), network=network)
        if self.images is not None:
            return labelled_photographs(self.images, network=network, labels=self.labels, resize=self.resize,
                                        most=self.most, seed=self.seed, progress=progress)
        if maps is not None:
            return images_of_maps(maps, network=network)
        names = tuple(name for kind in DEMO_CATEGORIES.values() for name in kind)
        return drawings(names, network=network, each=DRAWN_EACH, seed=self.seed)

    def output(self, given: Path | None, *, suffix: str, **entities: Any) -> Path:
        """Say where a command's table goes: where it is asked for, else among the study's derivatives.

        Raises
        ------
        StoreError
            If neither is named.
        """
        if given is not None:
            return given
        if self.study is None:
            raise StoreError("--out", came="no file and no study", expected="a place for the table",
                             remedy="Name a .tsv file with --out, or the study with --study.")
        layout = Layout(self.study).require()
        describe_derivative(layout, "alignment")
        return layout.derivative("alignment", suffix=suffix, **entities)
