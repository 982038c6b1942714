"""Validation of a stimulus set from its files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stimuli.image_set.image_rules import ImageVerdict, check_image, fills_shortfall, without_nan
from stimuli.image_set.set_network import NetworkChoice, load_set_networks, settings_of_set
from stimuli.image_set.set_rules import set_failures
from stimuli.image_set.transfer import Transfer, transfer
from stimuli.manifest import Manifest, Pixels, read_manifest, read_pixels
from stimuli.networks.hardware import ON_CPU, Hardware, computing, place
from stimuli.networks.registry import Network
from stimuli.perturbation.start_image import with_kept_mean
from stimuli.regular_images.agreement import agreed
from subjects.cli import ProgressWrapper, silent
from subjects.layout import Layout
from subjects.settings.images import StimuliSettings
from subjects.settings.study import Settings

__all__ = ["ImageVerdict", "Verdict", "check", "check_image", "fills_shortfall"]


@dataclass(frozen=True)
class Verdict:
    """The check of a whole set.

    Parameters
    ----------
    images : tuple of ImageVerdict
        Every image.
    set_failures : tuple of str
        What is wrong with the set as such.
    network : str
        The set's own network; of two, both.
    below_threshold : tuple of str
        Files of the RE below the threshold which the settings allow where a class falls short.
    transfers : tuple of Transfer
        The set under other networks. They never decide whether it passes.
    """

    images: tuple[ImageVerdict, ...]
    set_failures: tuple[str, ...]
    network: str
    below_threshold: tuple[str, ...] = ()
    transfers: tuple[Transfer, ...] = ()

    @property
    def n_images(self) -> int:
        """Count the images."""
        return len(self.images)

    @property
    def n_failed(self) -> int:
        """Count the images that break a rule."""
        return sum(bool(one.failures) for one in self.images)

    @property
    def ok(self) -> bool:
        """Say whether every image and the set as such pass."""
        return not self.n_failed and not self.set_failures

    def to_json(self) -> dict[str, Any]:
        """Give the verdict as what JSON can hold; null is what could not be measured."""
        content = {"ok": self.ok, "n_images": self.n_images, "n_failed": self.n_failed, **asdict(self)}
        return dict(without_nan(content))


def check(layout: Layout, settings: Settings, *, asked: NetworkChoice | None = None, also: Sequence[Network] = (),
          hardware: Hardware = ON_CPU, progress: ProgressWrapper = silent) -> Verdict:
    """Check every rule of the set from manifest and PNG files.

    Parameters
    ----------
    layout, settings
        The study.
    asked : NetworkChoice, optional
        Where the weights of the set's network are now, where they were moved.
    also : sequence of Network
        Other networks that are asked about the same images.
    hardware : Hardware
        Where the other networks compute. The set's own judges on the CPU.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Verdict
        Rules that are broken are listed, not raised.

    Raises
    ------
    ManifestError
        If the manifest cannot be read, or a file is missing, not square, or changed by as much as one pixel since
        it was made.
    NetworkError
        If the network is not the one that the set was made with; both digests are named.
    """
    manifest, stimuli = read_manifest(layout.manifest), settings_of_set(layout, settings.stimuli)
    networks = [with_kept_mean(layout, stimuli, network=one)
                for one in load_set_networks(layout, stimuli, asked=asked)]
    regular = agreed(networks)
    pixels = {one.image_id: read_pixels(layout.stimuli, one)
              for one in progress(manifest.stimuli, label="reading images", total=len(manifest))}
    others = [place(other, hardware=hardware) for other in also]
    with computing(hardware):
        verdicts = tuple(progress(_check_all(manifest, pixels, judges={one.name: one for one in (*networks, regular)},
                                             stimuli=stimuli),
                                  label="checking images", total=len(manifest)))
        bar = progress(others, label="asking other networks", total=len(others)) if others else iter(())
        transfers = tuple(transfer(manifest, pixels, network=other, batch=stimuli.batch) for other in bar)
    low = tuple(one.file for one in verdicts if fills_shortfall(one.type, p=one.p, stimuli=stimuli))
    return Verdict(verdicts, tuple(set_failures(manifest, stimuli, pixels=pixels)), regular.name, low, transfers)


def _check_all(manifest: Manifest, pixels: Mapping[str, Pixels], *, judges: Mapping[str, Network],
               stimuli: StimuliSettings) -> Iterator[ImageVerdict]:
    """Check every image against the network that its row names."""
    regular = {one.base_image: one.image_id for one in manifest.stimuli if one.type == "RE"}
    asked = {name: {*regular.values(), *(one.image_id for one in manifest.stimuli if one.network == name)}
             for name in judges}
    by_network = {name: _answers({key: image for key, image in pixels.items() if key in asked[name]}, network=network,
                                 batch=stimuli.batch) for name, network in judges.items()}
    at_mean = {name: network.probabilities(np.clip(np.rint(network.mean_image), 0, 255).astype(np.uint8)[None])[0]
               for name, network in judges.items()}
    for one in manifest.stimuli:
        network, answers = judges[one.network], by_network[one.network]
        unknown = np.full(len(network.class_names), np.nan)
        base = regular.get(one.base_image)
        base_pixels = None if base is None else pixels[base]
        own = (network.mean_image, at_mean[one.network]) if one.type == "AN" else \
            (base_pixels, answers.get(base or "", unknown))
        yield check_image(one, image=pixels[one.image_id], start=own[0], regular=base_pixels, network=network,
                          probabilities=answers.get(one.image_id, unknown), probabilities_before=own[1],
                          stimuli=stimuli)


def _answers(pixels: Mapping[str, Pixels], *, network: Network, batch: int) -> dict[str, NDArray[np.float64]]:
    """Ask the network about every image of its size, a batch at a time."""
    fitting = [name for name, image in pixels.items() if image.shape[0] == network.input_size]
    answers: dict[str, NDArray[np.float64]] = {}
    for first in range(0, len(fitting), batch):
        names = fitting[first:first + batch]
        rows = network.probabilities(np.stack([pixels[name] for name in names]), batch=batch)
        answers.update(zip(names, rows, strict=True))
    return answers
