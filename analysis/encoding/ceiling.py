r"""How well a perfect model could do, given the noise of the responses: from the two presentations of each image.

With responses :math:`b_{1i}, b_{2i}` of a vertex to n images, and their means :math:`m_i`, the noise of the means has a
quarter of the variance of :math:`b_{1i} - b_{2i}`, and what is left of the variance of m is the images'. A model
without error correlates with m by the root of the images' share (the noise ceiling of Allen et al. 2022, from their
noise ceiling signal-to-noise ratio). The mean of 1 over an estimated variance is (n - 1) / (n - 3) of what it should
be, which is taken off.

References
----------
Allen EJ et al. (2022) Nat Neurosci 25:116-126.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Responses = NDArray[np.floating]


def noise_ceiling(first: Responses, second: Responses) -> float:
    """Give the accuracy of a perfect model: the root of the vertices' mean reliability.

    Parameters
    ----------
    first, second : array, (n_images, n_vertices)
        Responses of both presentations, less the mean of what is shared by images (sessions).

    Returns
    -------
    float
        0 to 1. Estimates of single vertices, which chance takes below 0, are averaged as they are; 0 where the mean is
        below it. NaN without a vertex that varies.

    Examples
    --------
    >>> b = np.array([[1.0], [2.0], [3.0], [-6.0]])
    >>> noise_ceiling(b, b)
    1.0
    """
    one, two = first.astype(np.float64), second.astype(np.float64)
    variance = ((one + two) / 2).var(axis=0, ddof=1)
    varying = variance > 0
    if not varying.any():
        return math.nan
    noise = (one - two).var(axis=0, ddof=1) / 4
    unbiased = max(0, len(one) - 3) / (len(one) - 1)
    reliability = float((1 - unbiased * noise[varying] / variance[varying]).mean())
    return math.sqrt(max(0.0, reliability))
