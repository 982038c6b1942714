r"""The true responses of a virtual subject.

For vertex v of region R and base image i, an image of type c evokes

.. math::
    a_v(c_i) = m_v + s \sum_k w_{vk} z^c_k(i)

in percent signal change. :math:`z^c_k(i)` are the scores by which the region sees the image
(:mod:`analysis.simulation.contents`, :mod:`analysis.simulation.worlds`), of variance 1 over RE images;
:math:`m_v > 0` is the response to any image, the tuning :math:`w_{vk}` is drawn per subject and smooth over the
surface, s is the spread of responses. In a `null` subject every image evokes the same response. Vertices outside the
regions, and blanks, respond with 0.

The null subject shows a bias to be avoided: all conditions of a session share the error of its baseline, so that its
betas hold a pattern of each session. Where images differ little, RDMs that span two sessions correlate for that reason
alone (RE-AN and RE-AI about .6 in a null subject; 0 once each session's mean over all its images is removed, which the
vertex selection does by default).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.sparse import csr_array

from analysis.regions.labels import ROIS
from analysis.simulation.contents import N_COMPONENTS, SHARES, category_code, components, gabor_energy, mix
from analysis.simulation.noise import smooth_maps
from analysis.simulation.worlds import OWN_SHARE, TYPES, see
from stimuli.manifest import Manifest, Stimulus
from subjects.errors import AnalysisError

LAYERS = {"V1": "layer1", "V2": "layer2", "V3": "layer3", "V4": "layer4", "LO": "layer5"}
MEAN_SPREAD = 0.25  # of m_v over the surface, as a share of its mean
RESPONSE_MODEL = {"layers": LAYERS, "n_components": N_COMPONENTS, "ai_own": OWN_SHARE, "mean_spread": MEAN_SPREAD}


def choose_layers(layers: Sequence[str]) -> dict[str, str]:
    """Choose the layer that each region follows.

    Parameters
    ----------
    layers : sequence of str
        The network's, in order of depth.

    Returns
    -------
    dict of str to str
        :data:`LAYERS` where the network has them; else the regions share the layers out in order of depth, the last
        one (the output) left to none while there are enough.

    Examples
    --------
    >>> choose_layers(("stem", "block1", "block2", "head"))
    {'V1': 'stem', 'V2': 'stem', 'V3': 'block1', 'V4': 'block1', 'LO': 'block2'}
    """
    if set(LAYERS.values()) <= set(layers):
        return dict(LAYERS)
    inner = layers[:-1] or layers
    return {roi: inner[k * (len(inner) - 1) // (len(LAYERS) - 1)] for k, roi in enumerate(LAYERS)}


@dataclass(frozen=True, eq=False)
class Truth:
    """True responses of one hemisphere.

    Parameters
    ----------
    base_images : tuple of str
    responses : mapping of str to float32 array, (n_images, n_vertices)
        ``"RE"``, ``"AN"``, ``"AI"``: percent signal change.
    """

    base_images: tuple[str, ...]
    responses: Mapping[str, NDArray[np.float32]]

    def __post_init__(self) -> None:
        wrong = [kind for kind, values in self.responses.items() if len(values) != len(self.base_images)]
        if wrong:
            raise AnalysisError("true responses", came=f"{len(self.responses[wrong[0]])} rows of {wrong[0]}",
                                expected=f"{len(self.base_images)}, one a base image", remedy="Draw them again.")

    def response(self, kind: str, base_image: str) -> NDArray[np.float32]:
        """Give the response to one image, (n_vertices,).

        Raises
        ------
        AnalysisError
            If the base image has no true response.
        """
        if base_image not in self.base_images:
            raise AnalysisError("events", came=f"base image {base_image!r}", expected="base images of the manifest",
                                remedy="Use the manifest that the runs were shown from.")
        result: NDArray[np.float32] = self.responses[kind][self.base_images.index(base_image)]
        return result


def score_regions(manifest: Manifest, *, world: str, content: str, layers: Mapping[str, NDArray[np.float32]],
                  pictures: Callable[[Stimulus], NDArray[np.uint8]],
                  generator: Callable[[str], Generator]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Score the images as each region sees them.

    Parameters
    ----------
    manifest : Manifest
    world : str
        One of :data:`~analysis.simulation.worlds.WORLDS`.
    content : {"mixed", "network"}
        Pixels, categories and the network's layers together, or its layers alone.
    layers : mapping of str to float32 array, (n_images, n_units)
        Region to the responses to the RE images of the layer that it follows, in the order of the base images.
    pictures : callable
        Reads an image's pixels; asked for by ``mixed`` and by the world ``pixels`` only.
    generator : callable
        Purpose to a generator of its own.

    Returns
    -------
    dict of str to dict of str to float64 array
        Region to type to scores, (n_images, n_dimensions).

    Raises
    ------
    AnalysisError
        If a layer responds alike to all images.
    """
    rows = {kind: [manifest.get(base_image=name, type=kind) for name in manifest.base_images] for kind in TYPES}
    pixels = _pixel_scores(rows, pictures) if world == "pixels" or content == "mixed" else {}
    codes = components(category_code([one.class_name for one in rows["RE"]], rng=generator("categories")))
    found = {}
    for roi, units in layers.items():
        layer = components(units)
        if not layer.any():
            raise AnalysisError("features", came="a layer that responds alike to all images",
                                expected="responses that vary", remedy="Extract the features again.")
        scores = mix((pixels["RE"], codes, layer), shares=SHARES[roi]) if content == "mixed" else layer
        found[roi] = see(world, scores, rng=generator(roi), targets=_targets(rows), by_pixels=pixels or None)
    return found


def _pixel_scores(rows: Mapping[str, Sequence[Stimulus]],
                  pictures: Callable[[Stimulus], NDArray[np.uint8]]) -> dict[str, NDArray[np.float64]]:
    """Score all images on common components of their Gabor energies, of variance 1 over the RE images."""
    measured = {kind: np.stack([gabor_energy(pictures(one)) for one in some]) for kind, some in rows.items()}
    scores = dict(zip(measured, np.split(components(np.concatenate(list(measured.values()))), len(measured)),
                      strict=True))
    size = np.sqrt(np.square(scores["RE"] - scores["RE"].mean(axis=0)).sum() / len(scores["RE"]))
    return {kind: (one - scores["RE"].mean(axis=0)) / size for kind, one in scores.items()}


def _targets(rows: Mapping[str, Sequence[Stimulus]]) -> list[int | None]:
    """Find each AI image's target among the categories of the set."""
    place = {one.category: k for k, one in enumerate(rows["RE"])}
    return [place.get(one.target_category) if one.target_category is not None else None for one in rows["AI"]]


def draw_truth(scores: Mapping[str, Mapping[str, NDArray[np.float64]]], *, base_images: tuple[str, ...],
               labels: NDArray[np.int16], kernel: csr_array, signal_pct: float, tuning_sd_pct: float,
               rng: Generator) -> Truth:
    """Draw one hemisphere's true responses.

    Parameters
    ----------
    scores : mapping of str to mapping of str to float64 array
        See :func:`score_regions`; the same for both hemispheres.
    base_images : tuple of str
        Rows of the scores.
    labels : int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`~analysis.regions.labels.ROIS`.
    kernel : csr_array
        Smoothness of tuning and mean response; see :func:`~analysis.simulation.noise.smoother`.
    signal_pct : float
        Mean response to an image, percent.
    tuning_sd_pct : float
        s, the standard deviation of responses over RE images, percent.
    rng : Generator
        Of the subject and hemisphere.
    """
    mean = signal_pct * (1 + MEAN_SPREAD * smooth_maps(1, kernel=kernel, rng=rng)[0]) * (labels > 0)
    responses = {kind: np.tile(mean, (len(base_images), 1)) for kind in ("RE", "AN", "AI")}
    for k, roi in enumerate(ROIS, start=1):
        inside = labels == k
        n_components = next(iter(scores[roi].values())).shape[1]
        tuning = smooth_maps(n_components, kernel=kernel, rng=rng)[:, inside]
        for kind, seen in scores[roi].items():
            responses[kind][:, inside] += tuning_sd_pct * (seen @ tuning)
    return Truth(base_images, {kind: values.astype(np.float32) for kind, values in responses.items()})
