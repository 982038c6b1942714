r"""The true responses of a virtual subject: human-like, so that the paper's claims about the brain hold in it.

For vertex v of region R, whose network layer is l(R), and base image i:

.. math::
    a_v(RE_i) &= m_v + s \sum_k w_{vk} z_k(i) \\
    a_v(AI_i) &= m_v + s \sum_k w_{vk} \left(\sqrt{1 - e^2} z_k(i) + e x_k(i)\right) \\
    a_v(AN_i) &= m_v + s \sum_k w_{vk} y_k(i)

in percent signal change. :math:`z_k(i)` are the scores of the **RE image** i on the principal components of layer
l(R) over the RE images, each component weighted by its standard deviation, all together of variance 1. x and y
are independent normal numbers with the same variances as z. :math:`m_v > 0` is the response to any image, the
tuning :math:`w_{vk}` is drawn per subject and smooth over the surface, s is the spread of responses, e small.

So an AI image is seen as the RE image that it was made from, with a small difference of its own, whatever the network
makes of it; an AN image is seen as something without relation to its RE counterpart or category. In a `null`
subject s = 0: every image evokes the same response. Vertices outside the regions, and blanks, respond with 0.

The null subject shows a bias to be avoided: all conditions of a session share the error of its baseline, so that its
betas hold a pattern of each session. Where images differ little, RDMs that span two sessions correlate for that reason
alone (RE-AN and RE-AI about .6 in a null subject; 0 once each session's mean over all its images is removed, which the
vertex selection does by default).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.sparse import csr_array

from analysis.regions.labels import ROIS
from analysis.simulation.noise import smooth_maps
from subjects.errors import AnalysisError

LAYERS = {"V1": "layer1", "V2": "layer2", "V3": "layer3", "V4": "layer4", "LO": "layer5"}
N_COMPONENTS = 12
TUNED_SHARE = 0.3  # s, as a share of the mean response
AI_OWN = 0.4  # e
MEAN_SPREAD = 0.25  # of m_v over the surface, as a share of its mean
RESPONSE_MODEL = {"layers": LAYERS, "n_components": N_COMPONENTS, "tuned_share": TUNED_SHARE, "ai_own": AI_OWN,
                  "mean_spread": MEAN_SPREAD}


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


def component_scores(features: NDArray[np.float32], *, n_components: int = N_COMPONENTS) -> NDArray[np.float64]:
    """Score images on the principal components of a layer.

    Parameters
    ----------
    features : float32 array, (n_images, n_units)
    n_components : int
        At most n_images - 1 are taken.

    Returns
    -------
    float64 array, (n_images, n_components)
        Columns of mean 0, in order of variance, the largest entry positive; the variances sum to 1. From the
        images' Gram matrix.

    Raises
    ------
    AnalysisError
        If the layer responds alike to all images.
    """
    centred = features - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    gram = (centred @ centred.T).astype(np.float64)
    variance, vectors = np.linalg.eigh(gram)
    top = np.argsort(variance)[::-1][:min(n_components, len(features) - 1)]
    total = variance[top].sum()
    if not total > 1e-12 * max(1.0, float(np.square(features, dtype=np.float64).sum())):
        raise AnalysisError("features", came="a layer that responds alike to all images",
                            expected="responses that vary", remedy="Extract the features again.")
    vectors = vectors[:, top] * np.sign(vectors[np.abs(vectors[:, top]).argmax(axis=0), top])
    scores = vectors * np.sqrt(np.maximum(variance[top], 0) / total * len(features))
    result: NDArray[np.float64] = scores - scores.mean(axis=0)
    return result


def shown_scores(scores: NDArray[np.float64], *, rng: Generator) -> dict[str, NDArray[np.float64]]:
    """Give the scores by which each type of image is seen.

    Parameters
    ----------
    scores : float64 array, (n_images, n_components)
        z, of the RE images.
    rng : Generator

    Returns
    -------
    dict of str to float64 array
        ``"RE"``: z; ``"AI"``: z and a small part of its own; ``"AN"``: independent of z. See the module's formulas.
    """
    spread = scores.std(axis=0)
    own, noise = (rng.standard_normal(scores.shape) * spread for _ in range(2))
    return {"RE": scores, "AN": noise, "AI": np.sqrt(1 - AI_OWN**2) * scores + AI_OWN * own}


def draw_truth(scores: Mapping[str, Mapping[str, NDArray[np.float64]]], *, base_images: tuple[str, ...],
               labels: NDArray[np.int16], kernel: csr_array, signal_pct: float, null: bool, rng: Generator) -> Truth:
    """Draw one hemisphere's true responses.

    Parameters
    ----------
    scores : mapping of str to mapping of str to float64 array
        Region to type to :func:`shown_scores`, the same for both hemispheres.
    base_images : tuple of str
        Rows of the scores.
    labels : int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`~analysis.regions.labels.ROIS`.
    kernel : csr_array
        Smoothness of tuning and mean response; see :func:`~analysis.simulation.noise.smoother`.
    signal_pct : float
        Mean response to an image, percent.
    null : bool
        Respond to all images alike.
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
            responses[kind][:, inside] += 0.0 if null else TUNED_SHARE * signal_pct * (seen @ tuning)
    return Truth(base_images, {kind: values.astype(np.float32) for kind, values in responses.items()})
