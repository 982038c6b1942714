"""The dissimilarities of the three types' patterns: as they are, under draws of features, and without patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.rdm import RDM, compute_rdm, require_labels
from analysis.rsa.resampling.features import feature_bootstraps, group_bootstraps
from analysis.statistics.dissimilarity import WHITENED, from_products, without_noise
from analysis.statistics.whitened import contributions, crossnobis, mahalanobis, products, shrunk_covariance
from stimuli.manifest import TYPES
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
Added = Mapping[str, NDArray[np.floating]]
Presentations = Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]]


class Distances(Protocol):
    """What similarities need to know of the patterns of RE, AN and AI."""

    @property
    def shape(self) -> tuple[int, int]:
        """Images and features."""

    def rdm(self, *kinds: str, labels: Sequence[str], where: str) -> RDM:
        """Give the RDM of one type's images, or of those of several one after the other."""

    def products(self, *kinds: str, added: Added | None = None) -> Floats:
        """Give the products of the patterns of several types, one after the other, with something added to each."""

    def of_products(self, products: Floats) -> Floats:
        """Turn products (..., n, n) into condensed dissimilarities."""

    def drawn(self, kind: str, *, counts: NDArray[Any]) -> Floats:
        """Give condensed dissimilarities under counts of features, (n, n_pairs); NaN where a pattern is constant."""

    def grouped(self, kind: str, *, groups: NDArray[np.intp], counts: NDArray[Any]) -> Floats:
        """Give them under counts of groups: consecutive pieces of an order of the features, as even as can be."""


@dataclass(frozen=True, eq=False)
class PlainDistances:
    """Dissimilarities of one pattern an image.

    Parameters
    ----------
    responses : mapping of str to array, (n_images, n_features)
        ``"RE"``, ``"AN"``, ``"AI"``.
    measure : str
        One of :data:`~analysis.statistics.dissimilarity.MEASURES`.
    """

    responses: Mapping[str, NDArray[np.floating]]
    measure: str

    @property
    def shape(self) -> tuple[int, int]:
        """Images and features."""
        n_images, n_features = self.responses["RE"].shape
        return n_images, n_features

    def rdm(self, *kinds: str, labels: Sequence[str], where: str) -> RDM:
        """Give the RDM of one type, or of several."""
        values = self.responses[kinds[0]] if len(kinds) == 1 else np.concatenate([self.responses[one] for one in kinds])
        return compute_rdm(values, labels=labels, measure=self.measure, where=where)

    def products(self, *kinds: str, added: Added | None = None) -> Floats:
        """Give the products of patterns, of each less its own mean for correlations."""
        values = np.concatenate([self.responses[kind].astype(np.float64) + (added[kind] if added else 0.0)
                                 for kind in kinds])
        if self.measure != "cosine":
            values -= values.mean(axis=1 if self.measure == "correlation" else 0, keepdims=True)
        result: Floats = values @ values.T
        return result

    def of_products(self, products: Floats) -> Floats:
        """Turn products into condensed dissimilarities."""
        return from_products(products, measure=self.measure, n_features=self.shape[1])

    def drawn(self, kind: str, *, counts: NDArray[Any]) -> Floats:
        """Give condensed dissimilarities under counts of features."""
        return feature_bootstraps(self.responses[kind], counts=counts, measure=self.measure)

    def grouped(self, kind: str, *, groups: NDArray[np.intp], counts: NDArray[Any]) -> Floats:
        """Give condensed dissimilarities under counts of groups of features."""
        return group_bootstraps(self.responses[kind], groups=groups, counts=counts, measure=self.measure)


@dataclass(frozen=True, eq=False)
class WhitenedDistances:
    """Dissimilarities in units of the noise that two presentations of the same images show.

    The covariance of the noise is that of the differences of all images' presentations, shrunk towards its diagonal,
    and the same for all types.

    Parameters
    ----------
    presentations : mapping of str to (array, array), each (n_images, n_vertices)
        ``"RE"``, ``"AN"``, ``"AI"``.
    measure : {"mahalanobis", "crossnobis"}
        Of the presentations' mean, or cross-validated over the two.
    """

    presentations: Presentations
    measure: str

    @property
    def shape(self) -> tuple[int, int]:
        """Images and vertices."""
        n_images, n_features = self.presentations["RE"][0].shape
        return n_images, n_features

    @cached_property
    def covariance(self) -> Floats:
        """The covariance of one presentation's noise."""
        return shrunk_covariance(np.concatenate([
            (np.asarray(first, dtype=np.float64) - second) / np.sqrt(2)
            for first, second in (self.presentations[kind] for kind in TYPES)]))

    def rdm(self, *kinds: str, labels: Sequence[str], where: str) -> RDM:
        """Give the RDM of one type, or of several."""
        names, parts = require_labels(labels, where=where), self._parts(kinds)
        if parts.shape[1] != len(names):
            raise AnalysisError(where, came=f"shape {parts.shape[1:]} for {len(names)} labels",
                                expected=f"({len(names)}, n_features)", remedy="Give one row for each label.")
        if not np.isfinite(parts).all():
            raise AnalysisError(where, came="NaN or infinity in a presentation", expected="finite values",
                                remedy="Leave out the vertices without data.")
        return RDM(names, self._of(parts, self.covariance), self.measure, where)

    def products(self, *kinds: str, added: Added | None = None) -> Floats:
        """Give whitened products of patterns, of different presentations only for crossnobis."""
        parts = self._parts(kinds)
        if added:
            parts += np.concatenate([added[kind] for kind in kinds])
        parts -= parts.mean(axis=1, keepdims=True)
        return products(parts, covariance=self.covariance, crossed=self.measure == "crossnobis")

    def of_products(self, products: Floats) -> Floats:
        """Turn products into condensed dissimilarities."""
        return from_products(products, measure=self.measure, n_features=self.shape[1])

    def drawn(self, kind: str, *, counts: NDArray[Any]) -> Floats:
        """Weight each vertex's share of the distances; the covariance stays that of all vertices."""
        shares = contributions(self._parts((kind,)), covariance=self.covariance, crossed=self.measure == "crossnobis")
        result: Floats = counts.astype(np.float64) @ shares.T / shares.shape[1]
        return result

    def grouped(self, kind: str, *, groups: NDArray[np.intp], counts: NDArray[Any]) -> Floats:
        """Give the distances without the groups whose count is 0, whitened by what is left; others count once."""
        pieces = np.array_split(groups, np.linspace(0, len(groups), counts.shape[1] + 1).astype(np.intp)[1:-1])
        parts, found = self._parts((kind,)), []
        for row in counts:
            kept = np.concatenate([piece for piece, count in zip(pieces, row, strict=True) if count])
            found.append(self._of(parts[:, :, kept], self.covariance[np.ix_(kept, kept)]))
        return np.stack(found)

    def _parts(self, kinds: Sequence[str]) -> Floats:
        return np.stack([np.concatenate([self.presentations[kind][k] for kind in kinds]).astype(np.float64)
                         for k in (0, 1)])

    def _of(self, parts: Floats, covariance: Floats) -> Floats:
        if self.measure == "crossnobis":
            return crossnobis(parts, covariance=covariance)
        return mahalanobis(parts.mean(axis=0), covariance=covariance)


def distances_of(responses: Mapping[str, NDArray[np.floating]], *, measure: str,
                 presentations: Presentations | None = None) -> Distances:
    """Choose how patterns are compared: whitened only where two presentations show the noise.

    Parameters
    ----------
    responses : mapping of str to array, (n_images, n_features)
    measure : str
        ``rsa.dissimilarity``.
    presentations : mapping of str to (array, array), optional
        Without them, as for the units of a network, whitened measures are the squared Euclidean distance: that is
        what they become where features have no noise.
    """
    if measure in WHITENED and presentations is not None:
        return WhitenedDistances(presentations, measure)
    return PlainDistances(responses, without_noise(measure))
