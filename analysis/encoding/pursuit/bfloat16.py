r"""Products in bfloat16: the one module of the analysis that uses torch, whose kernels alone multiply it.

bfloat16 has 8 bits, so a unit roundoff of :math:`v = 2^{-8}`. With :math:`\hat x, \hat r` the rounded column and
residual, a product that is summed in float32 and rounded to bfloat16 obeys

.. math::
    |x^T r| \le \frac{|\hat u|}{1 - v} + (\|\hat x - x\| \|\hat r\| + \|\hat r - r\|)(1 + k \epsilon) + k \epsilon \|r\|

by Cauchy and Schwarz, with k a few more than the samples and :math:`\epsilon` of float32. The norms of what rounding
changed are computed, not bounded: they are about a third of the worst case.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDOFF = 2.0**-8
_ABSOLUTE = np.int16(0x7FFF)
"""Bits of a bfloat16 without its sign. Of numbers without one, those bits are in the numbers' order."""


class Bfloat16Products:
    """Products in bfloat16, by torch; see :class:`analysis.encoding.pursuit.search.Products`.

    Parameters
    ----------
    tiles : float32 array, (n_tiles, columns of a tile, n_samples)
        Of columns of unit length at most.
    block_columns : int
        Columns of a block.
    """

    inflated = 1 / (1 - _ROUNDOFF)
    n_more = (2, 4)

    def __init__(self, tiles: NDArray[np.float32], *, block_columns: int) -> None:
        self._tiles = torch.from_numpy(tiles).to(torch.bfloat16)
        self._block_columns = block_columns
        self._most_changed = max(float((kept.float() - torch.from_numpy(tile)).norm(dim=1).max())
                                 for kept, tile in zip(self._tiles, tiles, strict=True))

    def reach(self, residuals: Floats) -> NDArray[np.float32]:
        """Give the largest absolute product of each block, in the residuals' own units."""
        n_tiles, width, _ = self._tiles.shape
        lengths = _lengths(residuals)
        scaled = np.ascontiguousarray((residuals / lengths[:, None]).T, dtype=np.float32)
        x = torch.from_numpy(scaled).to(torch.bfloat16)
        held = torch.empty((width, len(residuals)), dtype=torch.bfloat16)
        bits = held.view(torch.int16).numpy()
        split = bits.reshape(self._block_columns, -1, len(residuals))
        high = np.empty((n_tiles, split.shape[1], len(residuals)), dtype=np.int16)
        for tile, into in zip(self._tiles, high, strict=True):
            torch.mm(tile, x, out=held)
            np.bitwise_and(bits, _ABSOLUTE, out=bits)
            np.max(split, axis=0, out=into)
        return torch.from_numpy(high).view(torch.bfloat16).float().numpy() * lengths.astype(np.float32)

    def error(self, residuals: Floats) -> Floats:
        """Bound the error of each residual's products, beyond that of the result's own rounding."""
        lengths = _lengths(residuals)
        scaled = residuals / lengths[:, None]
        rounded = torch.from_numpy(scaled.astype(np.float32)).to(torch.bfloat16).double().numpy()
        changed = np.linalg.norm(rounded - scaled, axis=1)
        summed = (residuals.shape[1] + 4) * float(np.finfo(np.float32).eps)
        bound = (self._most_changed + summed) * np.linalg.norm(rounded, axis=1) + changed
        result: Floats = lengths * (bound * (1 + _ROUNDOFF) + 2 * summed)
        return result


def _lengths(residuals: Floats) -> Floats:
    """Give the residuals' lengths, 1 for one of zeros."""
    lengths = np.linalg.norm(residuals, axis=1)
    result: Floats = np.where(lengths > 0, lengths, 1.0)
    return result
