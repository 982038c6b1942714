"""The perturbations of AN and AI before they were rounded to 8 bits: what the smallest perturbations are measured from.

The manifest's images are what was shown; rounding alone adds an L2 of about .44 at 224 px, more than many a smallest
perturbation. So tolerance is computed from floats. They are found by the same ascent from the same starts to the same
targets once more, and taken only if they round to the very pixels that the manifest names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from stimuli.image_set.set_network import NetworkChoice, load_set_network, settings_of_set
from stimuli.manifest import Manifest, Stimulus, image_id_of, read_manifest, read_pixels
from stimuli.networks.hardware import ON_CPU, Hardware, computing, made_on, place
from stimuli.networks.registry import Network
from stimuli.perturbation.ascent import Rule, ascend
from stimuli.perturbation.rules import interference_rule, noise_rule
from stimuli.perturbation.start_image import with_kept_mean
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.errors import StimulusError
from subjects.layout import Layout, network_label
from subjects.provenance import FileFormat, digest_array, is_current, sidecar, sources
from subjects.settings.images import StimuliSettings
from subjects.settings.study import Settings
from subjects.store import whole_file

PERTURBATIONS = FileFormat("float perturbations", version=1)
MEASURED_FROM = {"AN": "the mean image at which adversarial noise starts (dataset mean_image)",
                 "AI": "the regular image of the same base image (its pixels / 255; dataset start_ids)"}
MEAN = "mean image"


@dataclass(frozen=True)
class Exported:
    """A file of perturbations.

    Parameters
    ----------
    path : Path
        HDF5: datasets ``image_ids``, ``start_ids`` (texts, (n,)), ``perturbation`` (float32, (n, side, side, 3), RGB in
        [0, 1]), ``l2`` (float64, (n,)), ``mean_image`` (float32, (side, side, 3), RGB in [0, 1]).
    n_images : int
        AN and AI together.
    reused : bool
        Whether it was there already.
    network : str
        The network that they were made with.
    """

    path: Path
    n_images: int
    reused: bool
    network: str

    def record(self) -> dict[str, Any]:
        """Give what ``perturbations --json`` prints."""
        return {"path": self.path, "network": self.network, "n_images": self.n_images, "reused": self.reused,
                "measured_from": MEASURED_FROM}

    def line(self) -> str:
        """Say in one line what was made and where it is."""
        state = "already up to date" if self.reused else "exported"
        return f"{self.n_images} float perturbations of network {self.network} {state}: {self.path}"


def perturbations_path(layout: Layout, network: str) -> Path:
    """Spell the path of a set's float perturbations."""
    return layout.derivative("perturbations", suffix="perturbations.h5", network=network_label(network))


def export_perturbations(layout: Layout, settings: Settings, *, asked: NetworkChoice | None = None,
                         hardware: Hardware = ON_CPU, progress: ProgressWrapper = silent) -> Exported:
    """Write the perturbations of a set's AN and AI as floats, unless they are there and current.

    Parameters
    ----------
    layout, settings
        A study with a finished set.
    asked : NetworkChoice, optional
        Where the weights of the set's network are now; of two networks, the name of the second for its AN and AI.
    hardware : Hardware
        As when the set was made (``made_on`` in the manifest's sidecar): other sums may end in other pixels.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Exported
        Rounded, start and perturbation together are the image that the manifest names, pixel by pixel.

    Raises
    ------
    StimulusError
        If the ascent ends in other pixels here; nothing is written then.
    """
    manifest, stimuli = read_manifest(layout.manifest), settings_of_set(layout, settings.stimuli)
    network = with_kept_mean(layout, stimuli, network=place(load_set_network(layout, stimuli, asked=asked),
                                                            hardware=hardware))
    path = perturbations_path(layout, network.name)
    made = [one for one in manifest.stimuli if one.type != "RE" and one.network == network.name]
    inputs: dict[str, Path | str] = {"manifest": layout.manifest, "network": network.digest,
                                     "mean_image": digest_array(network.mean_image)}
    if is_current(path, inputs=inputs, parameters={}):
        return Exported(path, len(made), reused=True, network=network.name)
    with computing(hardware):
        found = dict(_ascend_all(layout, manifest, network=network, stimuli=stimuli, progress=progress))
        here = made_on(network)
    _require_same(layout, made, found)
    describe_derivative(layout, "perturbations")
    _write(path, made, found, manifest=manifest, network=network)
    sidecar(path, inputs=inputs, parameters={}, form=PERTURBATIONS,
            extra={"MeasuredFrom": MEASURED_FROM, "Scale": "RGB in [0, 1]", "MadeOn": here,
                   "Sources": sources(path, inputs={"manifest": layout.manifest})})
    return Exported(path, len(made), reused=False, network=network.name)


Found = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""A perturbation and the rounded image, (side, side, 3)."""


def _ascend_all(layout: Layout, manifest: Manifest, *, network: Network, stimuli: StimuliSettings,
                progress: ProgressWrapper) -> Iterator[tuple[str, Found]]:
    """Repeat the ascents in the batches in which a build makes them; give each image's perturbation by its image_id."""
    bases, size = manifest.base_images, stimuli.batch
    rules: dict[str, Rule] = {"AN": noise_rule(stimuli), "AI": interference_rule(stimuli)}
    for kind, rule in rules.items():
        batches = [[manifest.get(base_image=base, type=kind, network=network.name)
                    for base in bases[first:first + size]]
                   for first in range(0, len(bases), size)]
        for rows in progress(batches, label=f"perturbations of {kind}", total=len(batches)):
            starts = np.stack([_start(layout, manifest, one, network=network) for one in rows])
            targets = np.array([one.category_index if kind == "AN" else one.target_index for one in rows])
            for one in ascend(network, starts, targets=targets, rule=rule):
                start = starts[one.index].astype(np.float32) / 255.0
                yield rows[one.index].image_id, (one.unrounded - start, one.pixels)


def _start(layout: Layout, manifest: Manifest, one: Stimulus, *, network: Network) -> NDArray[np.generic]:
    if one.type == "AN":
        return network.mean_image
    return read_pixels(layout.stimuli, manifest.get(base_image=one.base_image, type="RE"))


def _require_same(layout: Layout, made: Sequence[Stimulus], found: Mapping[str, Found]) -> None:
    other = [one.file for one in made if image_id_of(found[one.image_id][1]) != one.image_id]
    if other:
        raise StimulusError(str(layout.manifest), came=f"other pixels in {len(other)} of {len(made)} images "
                            f"({', '.join(other[:3])}) when the ascent is repeated here",
                            expected="the very images of the manifest",
                            remedy="Repeat it with the device, threads, stimuli.batch and torch that the set was made "
                                   "with (made_on in the manifest's sidecar), or on that computer.")


def _write(path: Path, made: Sequence[Stimulus], found: Mapping[str, Found], *, manifest: Manifest,
           network: Network) -> None:
    values = np.stack([found[one.image_id][0] for one in made])
    starts = [MEAN if one.type == "AN" else manifest.get(base_image=one.base_image, type="RE").image_id
              for one in made]
    with whole_file(path, overwrite=True) as beside, h5py.File(beside, "w") as file:
        file.attrs.update({**PERTURBATIONS.stamp(), "network": network.name, "network_digest": network.digest,
                           "scale": "RGB in [0, 1]",
                           **{f"measured_from_{kind}": text for kind, text in MEASURED_FROM.items()}})
        texts = h5py.string_dtype()
        file.create_dataset("image_ids", data=[one.image_id for one in made], dtype=texts, track_times=False)
        file.create_dataset("start_ids", data=starts, dtype=texts, track_times=False)
        file.create_dataset("perturbation", data=values, chunks=(1, *values.shape[1:]), track_times=False)
        file.create_dataset("l2", data=np.sqrt(np.sum(np.square(values, dtype=np.float64), axis=(1, 2, 3))),
                            track_times=False)
        file.create_dataset("mean_image", data=network.mean_image / np.float32(255.0), track_times=False)
