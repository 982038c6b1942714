r"""Which columns of a large dictionary correlate best with a residual: exactly, by products of low precision.

Products are made tile by tile, so that they stay in the processor's cache. Of each block of a tile's columns (those at
equal steps, so that the largest of many blocks are found side by side) only the largest absolute product is kept. The
columns of the blocks that reach highest are multiplied again in float64. With :math:`\hat u` the product of low
precision, a bound :math:`|u| \le c |\hat u| + e` says how high any column that was left out can truly reach. Where that
is as high as the last column that was found, or columns tie, the residual is searched again in the next higher
precision, in the end by multiplying all columns in float64. What is found does not depend on the precision.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.encoding.pursuit.processor import multiplies_bfloat16

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Precision = Literal["auto", "float32", "bfloat16"]

LARGE = 65_536
"""Columns from which ``auto`` takes bfloat16: loading torch takes longer than searching fewer."""
_BLOCK_TARGETS = 256
_BLOCK_COLUMNS = 16
_TILE_BLOCKS = 128


class Products(Protocol):
    """Absolute products of residuals with all columns, the largest of each block, and a bound on their error."""

    inflated: float
    """c in the bound."""
    n_more: tuple[int, int]
    """Blocks to multiply again where n columns are asked for, as (a, b) in ``a n + b``."""

    def reach(self, residuals: Floats) -> NDArray[np.float32]:
        """Give the largest product of each block, (n_tiles, blocks of a tile, n_residuals)."""
        ...

    def error(self, residuals: Floats) -> Floats:
        """Give e in the bound, (n_residuals,)."""
        ...


class Dictionary:
    """The columns: tiles of low precision that are searched, float64 columns for everything else.

    Parameters
    ----------
    phi : float64 array, (n_samples, n_columns)
        Unit-norm columns.
    precision : {"float32", "bfloat16", "auto"}
        Of the first products; ``auto``: bfloat16 for large dictionaries where the processor multiplies it.
    """

    def __init__(self, phi: Floats, *, precision: Precision = "float32") -> None:
        self.n_columns = phi.shape[1]
        self.columns = np.ascontiguousarray(phi.T)
        tiles = _cut(self.columns)
        self.products: tuple[Products, ...] = (Float32Products(tiles),)
        if precision == "bfloat16" or (precision == "auto" and self.n_columns >= LARGE and multiplies_bfloat16()):
            from analysis.encoding.pursuit.bfloat16 import Bfloat16Products

            self.products = (Bfloat16Products(tiles, block_columns=_BLOCK_COLUMNS), *self.products)

    def rank(self, residuals: Floats, *, n: int, taken: Indices) -> tuple[Indices, Floats]:
        """Give the n columns of largest absolute correlation with each residual, and these, descending.

        Parameters
        ----------
        residuals : float64 array, (n_residuals, n_samples)
        n : int
        taken : int64 array, (n_residuals, k)
            Columns that are not to be given; -1 for none.
        """
        n = min(n, self.n_columns)
        found, sizes = np.empty((len(residuals), n), dtype=np.int64), np.empty((len(residuals), n))
        for start in range(0, len(residuals), _BLOCK_TARGETS):
            rows = np.arange(start, min(start + _BLOCK_TARGETS, len(residuals)))
            for products in self.products:
                if rows.size:
                    found[rows], sizes[rows], doubtful = self._search(residuals[rows], n=n, taken=taken[rows],
                                                                      products=products)
                    rows = rows[doubtful]
            for row in rows:
                found[row], sizes[row] = self._rank_all(residuals[row], n=n, taken=taken[row])
        return found, sizes

    def _search(self, residuals: Floats, *, n: int, taken: Indices,
                products: Products) -> tuple[Indices, Floats, NDArray[np.bool_]]:
        """Rank by some products; mark the residuals whose ranking these leave in doubt."""
        times, more = products.n_more
        blocks, left_out = _highest_blocks(products.reach(residuals), n=times * n + more)
        tiles, places = np.divmod(blocks, _TILE_BLOCKS)
        inside = tiles * (_BLOCK_COLUMNS * _TILE_BLOCKS) + places
        columns = (inside[:, :, None] + _TILE_BLOCKS * np.arange(_BLOCK_COLUMNS)).reshape(len(residuals), -1)
        again = np.matmul(self.columns[np.minimum(columns, self.n_columns - 1)], residuals[:, :, None])[:, :, 0]
        sizes = np.where(columns < self.n_columns, np.abs(again), -1.0)
        best = np.argpartition(-sizes, n - 1, axis=1)[:, :n]
        columns, high = np.take_along_axis(columns, best, axis=1), np.take_along_axis(sizes, best, axis=1)
        least = high.min(axis=1)
        doubtful = least <= products.inflated * left_out + products.error(residuals)
        doubtful |= (sizes >= least[:, None]).sum(axis=1) > n
        doubtful |= (columns[:, :, None] == taken[:, None, :]).any(axis=(1, 2))
        order = np.lexsort((columns, -high), axis=1)
        return np.take_along_axis(columns, order, axis=1), np.take_along_axis(high, order, axis=1), doubtful

    def _rank_all(self, residual: Floats, *, n: int, taken: Indices) -> tuple[Indices, Floats]:
        """Rank all columns in float64; of equal ones the lower."""
        sizes = np.abs(self.columns @ residual)
        sizes[taken[taken >= 0]] = 0.0
        least = np.partition(sizes, len(sizes) - n)[len(sizes) - n]
        columns = np.flatnonzero(sizes >= least)
        order = columns[np.argsort(-sizes[columns], kind="stable")][:n]
        return order, sizes[order]


class Float32Products:
    """Products in float32, by NumPy.

    Parameters
    ----------
    tiles : float32 array, (n_tiles, columns of a tile, n_samples)
    """

    inflated = 1.0
    n_more = (1, 0)

    def __init__(self, tiles: NDArray[np.float32]) -> None:
        self._tiles = tiles

    def reach(self, residuals: Floats) -> NDArray[np.float32]:
        """Give the largest absolute product of each block; see :class:`Products`."""
        n_tiles, width, _ = self._tiles.shape
        x = np.ascontiguousarray(residuals.T, dtype=np.float32)
        held = np.empty((width, len(residuals)), dtype=np.float32)
        split = held.reshape(_BLOCK_COLUMNS, -1, len(residuals))
        high = np.empty((n_tiles, split.shape[1], len(residuals)), dtype=np.float32)
        for tile, into in zip(self._tiles, high, strict=True):
            np.abs(np.matmul(tile, x, out=held), out=held)
            np.max(split, axis=0, out=into)
        return high

    def error(self, residuals: Floats) -> Floats:
        """Bound the error: n + 4 roundings of a sum of n products of unit columns and the residual."""
        rounded = (self._tiles.shape[2] + 4) * float(np.finfo(np.float32).eps)
        result: Floats = rounded * np.linalg.norm(residuals, axis=1)
        return result


def _cut(columns: Floats) -> NDArray[np.float32]:
    """Cut the columns, (n_columns, n_samples), into tiles, the last one filled up with zeros."""
    n_columns, n_samples = columns.shape
    width = _BLOCK_COLUMNS * _TILE_BLOCKS
    tiles = np.zeros((-(-n_columns // width), width, n_samples), dtype=np.float32)
    tiles.reshape(-1, n_samples)[:n_columns] = columns
    return tiles


def _highest_blocks(high: NDArray[np.float32], *, n: int) -> tuple[Indices, Floats]:
    """Find the n blocks that reach highest for each residual, unordered, and how high any other reaches."""
    _, n_blocks, n_residuals = high.shape
    tiles, below = _top(np.ascontiguousarray(high.max(axis=1).T), n=n)
    inside = high[tiles[:, :, None], np.arange(n_blocks), np.arange(n_residuals)[:, None, None]]
    places, also_below = _top(inside.reshape(n_residuals, -1), n=n)
    tile = np.take_along_axis(tiles, places // n_blocks, axis=1)
    return tile * n_blocks + places % n_blocks, np.maximum(below, also_below).astype(np.float64)


def _top(values: NDArray[np.float32], *, n: int) -> tuple[Indices, NDArray[np.float32]]:
    """Find the n largest of each row, unordered, and the largest of the others, -inf if there are none."""
    n_values = values.shape[1]
    if n >= n_values:
        return np.tile(np.arange(n_values), (len(values), 1)), np.full(len(values), -np.inf, dtype=np.float32)
    places = np.argpartition(values, n_values - n - 1, axis=1)
    below = np.take_along_axis(values, places[:, [n_values - n - 1]], axis=1)[:, 0]
    return places[:, n_values - n:], below
