"""Alignment: how far a network's perturbations and saliency fall on what people look at.

Spearman's correlation over pixels between a map of the network and the importance map of the same image; the mean over
images, beside the human ceiling (Linsley et al., 2023; Fel et al., 2022, NeurIPS). The map of a perturbation is the
absolute mean over its channels, that of saliency the largest absolute gradient of the right category's logit over
channels, both as in the public code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stimuli.alignment.images import LabelledImages
from stimuli.alignment.importance.agreement import HumanCeiling, spearman
from stimuli.alignment.importance.maps import ImportanceMaps
from stimuli.alignment.importance.processing import resampled
from stimuli.alignment.tolerance.measure import Scheme, Tolerated, tolerance
from stimuli.networks.registry import Network, to_tensor
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError
from subjects.provenance import rng

READINGS = ("rho_perturbation", "rho_saliency", "rho_random")


@dataclass(frozen=True)
class Aligned:
    """One image that has an importance map.

    Parameters
    ----------
    index : int
        Its place among the images.
    rho_perturbation : float
        Of the smallest perturbation; NaN where the image is not classified correctly or none was found.
    rho_saliency : float
        Of the gradient of the right category's logit.
    rho_random : float
        Of normal noise in place of the perturbation: zero but for its error.
    """

    index: int
    rho_perturbation: float
    rho_saliency: float
    rho_random: float


def perturbation_map(perturbations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Give the absolute mean over channels, (n, side, side), of perturbations (n, side, side, 3)."""
    return np.abs(np.mean(perturbations, axis=-1, dtype=np.float64))


def saliency_maps(network: Network, images: LabelledImages, *, batch: int = 20) -> NDArray[np.float32]:
    """Give the largest absolute gradient over channels of each image's own logit, (n, side, side)."""
    labels, found = torch.from_numpy(images.labels), []
    for first in range(0, len(images), batch):
        part = slice(first, first + batch)
        at = to_tensor(images.pixels[part]).requires_grad_()
        own = network.logits(at).gather(1, labels[part][:, None]).sum()
        found.append(torch.autograd.grad(own, at)[0].abs().amax(dim=1).float().numpy())
    return np.concatenate(found)


def with_maps(images: LabelledImages, maps: ImportanceMaps, *, side: int) -> tuple[LabelledImages, ImportanceMaps]:
    """Take the images that have a map, and their maps brought to the network's input, in the same order.

    Raises
    ------
    StimulusError
        If no image has one.
    """
    known = set(maps.image_ids)
    rows = [k for k, image_id in enumerate(images.image_ids) if image_id in known]
    if not rows:
        raise StimulusError(maps.source, came=f"maps of {len(maps)} images, none of the {len(images)} measured ones",
                            expected="maps of the images that are measured, by image_id",
                            remedy="Name the study and the maps that belong together; `image_id` in a map's file is "
                                   "that of the manifest.")
    ids = tuple(images.image_ids[k] for k in rows)
    chosen = maps.among(ids)
    if chosen.maps.shape[1] != chosen.maps.shape[2]:
        raise StimulusError(maps.source, came=f"maps of shape {chosen.maps.shape[1:]}", expected="square maps",
                            remedy="Cut the maps as the images were cut.")
    people = tuple(None if one is None else resampled(one, side=side) for one in chosen.participants)
    return (LabelledImages(ids, tuple(images.files[k] for k in rows), images.pixels[rows], images.labels[rows]),
            ImportanceMaps(ids, resampled(chosen.maps, side=side), chosen.images, chosen.labels, people, maps.source))


def align(network: Network, images: LabelledImages, *, maps: ImportanceMaps, scheme: Scheme | None = None,
          seed: int = 0, batch: int = 20,
          progress: ProgressWrapper = silent) -> Iterator[tuple[Aligned, Tolerated | None]]:
    """Score a network on images with importance maps.

    Parameters
    ----------
    network : Network
        Gives logits that can be differentiated by the pixels.
    images : LabelledImages
        Of its input size.
    maps : ImportanceMaps
        Of the same images, in the same order and of the same size: :func:`with_maps`.
    scheme : Scheme
        How the smallest perturbations are found.
    seed : int
        Of the random perturbations, which also depend on the image.
    batch : int
        How many images at a time; changes nothing beyond rounding.
    progress : ProgressWrapper
        Told of batches.

    Yields
    ------
    (Aligned, Tolerated or None)
        For each image; None where it is not classified correctly.
    """
    if images.image_ids != maps.image_ids:
        raise ValueError("images and maps of other images, or in another order")
    measured = {one.index: one for one in tolerance(network, images, scheme=scheme, batch=batch, progress=progress)}
    salient = spearman(saliency_maps(network, images, batch=batch), maps.maps)
    for k, image_id in enumerate(images.image_ids):
        one, human = measured.get(k), maps.maps[k:k + 1]
        noise = rng(seed, "random perturbation", image_id).standard_normal((1, *images.pixels.shape[1:]))
        rho = float("nan") if one is None or one.perturbation is None else \
            float(spearman(perturbation_map(one.perturbation[None]), human)[0])
        yield Aligned(k, rho, float(salient[k]), float(spearman(perturbation_map(noise), human)[0])), one


@dataclass(frozen=True)
class Alignment:
    """A mean over images beside the human ceiling.

    Parameters
    ----------
    mean, error : float
        Spearman's rho and its standard error over images; NaN without images.
    n_images : int
        Images with a value.
    of_ceiling : float
        The mean over the split-half correlation of people, as the published scores are given; NaN without a ceiling.
    of_highest : float
        The mean over the highest that a network could reach with so many people's maps.
    """

    mean: float
    error: float
    n_images: int
    of_ceiling: float
    of_highest: float


def summarise_alignment(values: Sequence[float] | NDArray[np.float64], *,
                        ceiling: HumanCeiling | float | None) -> Alignment:
    """Give the mean of images' values, its error, and its share of the ceiling.

    Parameters
    ----------
    values : sequence of float
        An image each; NaN where there is none.
    ceiling : HumanCeiling or float or None
        As estimated, or a published split-half correlation.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    if len(found) == 0:
        return Alignment(float("nan"), float("nan"), 0, float("nan"), float("nan"))
    mean = float(found.mean())
    error = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else float("nan")
    half = ceiling.split_half if isinstance(ceiling, HumanCeiling) else ceiling
    highest = ceiling.highest if isinstance(ceiling, HumanCeiling) else None
    shares = [mean / one if one is not None and one > 0 else float("nan") for one in (half, highest)]
    return Alignment(mean, error, len(found), *shares)
