"""Labelled representational dissimilarity matrices (RDMs): made, joined by label, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from analysis.data.hdf5 import read_hdf5, text_array, texts, write_hdf5
from analysis.statistics.dissimilarity import (
    FLAT,
    MEASURES,
    WHITENED,
    Floats,
    dissimilarities,
    expand,
    lengths,
    unit_ranks,
)
from subjects.errors import AnalysisError, nearest
from subjects.provenance import FileFormat

FORMAT = FileFormat("RDMs", version=1)
_GREATEST = "greatest"


@dataclass(frozen=True, eq=False)
class RDM:
    """One dissimilarity matrix with the names of its conditions.

    Parameters
    ----------
    labels : tuple of str
        Names of the n conditions, each once. RDMs are joined by these, never by position.
    condensed : array, (n * (n - 1) / 2,)
        Upper triangle in row order; copied to float64 and made read-only.
    measure : str
        See :func:`compute_rdm`; or ``"mahalanobis"``, ``"crossnobis"`` (:mod:`analysis.statistics.whitened`).
    source : str
        What it is of: ``"sub-01 V1"``, ``"network-alexnet layer3"``.

    Examples
    --------
    >>> RDM(("a", "b", "c"), np.array([1.0, 2.0, 3.0]), "euclidean").select(("c", "a")).condensed
    array([2.])
    """

    labels: tuple[str, ...]
    condensed: Floats
    measure: str
    source: str = ""

    def __post_init__(self) -> None:
        labels = require_labels(self.labels, where="RDM")
        values = np.array(self.condensed, dtype=np.float64)
        n_pairs = len(labels) * (len(labels) - 1) // 2
        if values.shape != (n_pairs,):
            raise AnalysisError("RDM", came=f"dissimilarities of shape {values.shape}",
                                expected=f"({n_pairs},) for {len(labels)} labels",
                                remedy="Give the upper triangle, row by row.")
        if not np.isfinite(values).all():
            first, second = _pair_names(labels, int(np.flatnonzero(~np.isfinite(values))[0]))
            raise AnalysisError("RDM", came=f"no finite dissimilarity between {first!r} and {second!r}",
                                expected="finite dissimilarities", remedy="Look at these two patterns.")
        _require_measure(self.measure)
        values.flags.writeable = False
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "condensed", values)

    def __len__(self) -> int:
        return len(self.labels)

    def square(self) -> Floats:
        """Give the full symmetric matrix, (n, n), zero on the diagonal."""
        return expand(self.condensed, n=len(self))

    def select(self, labels: Sequence[str]) -> RDM:
        """Give the RDM of some of the conditions, in the order asked for.

        Raises
        ------
        AnalysisError
            For a label that this RDM does not have.
        """
        place = {name: k for k, name in enumerate(self.labels)}
        for name in labels:
            if name not in place:
                raise AnalysisError("RDM", came=f"no condition {name!r}", expected="a condition of this RDM",
                                    remedy=nearest(name, self.labels))
        order = [place[name] for name in labels]
        rows, columns = np.triu_indices(len(order), 1)
        matrix = self.square()[np.ix_(order, order)]
        return RDM(tuple(labels), matrix[rows, columns], self.measure, self.source)


def compute_rdm(patterns: ArrayLike, *, labels: Sequence[str], measure: str = "correlation",
                where: str = "patterns") -> RDM:
    """Compute the dissimilarity of every pair of patterns.

    Parameters
    ----------
    patterns : array, (n, n_features)
        One row a condition: vertex betas or network units. Any float type; computed in float64.
    labels : sequence of str
        The n names of the rows.
    measure : {"correlation", "euclidean", "euclidean_root", "cosine"}
        ``1 - r`` with Pearson's r over features; the squared Euclidean distance divided by the number of features (Nili
        et al. 2014, PLoS Comput Biol 10:e1003553); the Euclidean distance itself; 1 minus the cosine.
    where : str
        What the patterns are, for messages.

    Returns
    -------
    RDM

    Raises
    ------
    AnalysisError
        If the shapes disagree, a value is not finite, or a pattern is constant (its correlation
        with anything is undefined); the message names the label.

    Examples
    --------
    >>> compute_rdm([[1, 2, 3], [2, 4, 6], [3, 2, 1]], labels=("a", "b", "c")).condensed.round(6)
    array([0., 2., 2.])
    """
    values = np.asarray(patterns, dtype=np.float64)
    names = require_labels(labels, where=where)
    _require_measure(measure, among=MEASURES)
    if values.ndim != 2 or len(values) != len(names):
        raise AnalysisError(where, came=f"shape {values.shape} for {len(names)} labels",
                            expected=f"({len(names)}, n_features)", remedy="Give one row for each label.")
    _require_finite(values, labels=names, where=where)
    found = dissimilarities(values, measure=measure)
    if np.isnan(found).any():
        _require_spread(values, labels=names, where=where)
    return RDM(names, found, measure, where if where != "patterns" else "")


def joined(first: RDM, second: RDM) -> RDM:
    """Bring the second RDM into the label order of the first.

    Raises
    ------
    AnalysisError
        If one has a condition which the other lacks.
    """
    if first.labels == second.labels:
        return second
    odd = sorted(set(first.labels) ^ set(second.labels))
    if odd:
        raise AnalysisError("RDMs to compare", came=f"{odd[0]!r} in only one of them ({len(odd)} such)",
                            expected="the same conditions in both", remedy="Select the shared conditions first.")
    return second.select(first.labels)


def spearman(first: RDM, second: RDM) -> float:
    """Correlate two RDMs over pairs of conditions by Spearman's rho with average ranks.

    Parameters
    ----------
    first, second : RDM
        Over the same conditions in any order; joined by label.

    Returns
    -------
    float
        Pearson's correlation of the ranks, in [-1, 1].

    Raises
    ------
    AnalysisError
        If the conditions differ, or one RDM is constant.
    """
    rho = float(unit_ranks(first.condensed) @ unit_ranks(joined(first, second).condensed))
    if not np.isfinite(rho):
        raise AnalysisError("RDMs to compare", came="an RDM with one and the same value for all pairs",
                            expected="dissimilarities that differ", remedy="Look at the patterns it was made from.")
    return min(1.0, max(-1.0, rho))


def save_rdms(path: Path, rdms: Mapping[str, RDM], *, overwrite: bool = False,
              greatest: Floats | None = None) -> Path:
    """Write named RDMs to HDF5: one group a name, with ``labels``, ``condensed`` and the measure.

    `greatest` is what the similarities of all of them are corrected by, if they are: the largest in each permutation.
    """
    with write_hdf5(path, form=FORMAT, overwrite=overwrite) as file:
        for name, rdm in rdms.items():
            group = file.create_group(name)
            group["labels"] = text_array(rdm.labels)
            group["condensed"] = rdm.condensed
            group.attrs["measure"] = rdm.measure
            group.attrs["source"] = rdm.source
        if greatest is not None:
            file[_GREATEST] = greatest
    return Path(path)


def load_greatest(path: Path) -> Floats | None:
    """Read what the similarities of a file's RDMs are corrected by; None if by something else."""
    with read_hdf5(path, form=FORMAT, remedy="Run `python -m analysis rsa`.") as file:
        return np.asarray(file[_GREATEST][()], dtype=np.float64) if _GREATEST in file else None


def load_rdms(path: Path) -> dict[str, RDM]:
    """Read the RDMs of a file written by :func:`save_rdms`; nested names keep their slash."""
    found: dict[str, RDM] = {}

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Group) and "condensed" in item:
            found[name] = RDM(texts(item["labels"]), item["condensed"][()], str(item.attrs["measure"]),
                              str(item.attrs.get("source", "")))

    with read_hdf5(path, form=FORMAT, remedy="Run `python -m analysis rsa`.") as file:
        file.visititems(collect)
    if not found:
        raise AnalysisError(str(path), came="no RDM in it", expected="RDMs",
                            remedy="Run `python -m analysis rsa`.")
    return found


def to_rsatoolbox(rdms: Sequence[RDM]) -> Any:
    """Give RDMs over the same conditions as one ``rsatoolbox.rdm.RDMs``, joined by label.

    Its pattern descriptors are ``"label"`` and ``"index"``, its RDM descriptors ``"source"`` and ``"index"``.

    Raises
    ------
    AnalysisError
        If rsatoolbox is not installed, or conditions or measures differ.
    """
    measures = list(dict.fromkeys(one.measure for one in rdms))
    if len(measures) != 1:
        raise AnalysisError("RDMs for rsatoolbox", came=f"measures {', '.join(measures) or 'of no RDM'}",
                            expected="one measure", remedy="Hand them over one measure at a time.")
    try:
        from rsatoolbox.rdm import RDMs
    except ImportError as error:
        raise AnalysisError("RDMs for rsatoolbox", came="no rsatoolbox", expected="rsatoolbox 0.3",
                            remedy="Install it: pip install rsatoolbox.") from error
    first = rdms[0]
    return RDMs(np.stack([joined(first, one).condensed for one in rdms]), dissimilarity_measure=measures[0],
                pattern_descriptors={"label": list(first.labels), "index": list(range(len(first)))},
                rdm_descriptors={"source": [one.source for one in rdms], "index": list(range(len(rdms)))})


def from_rsatoolbox(rdms: Any, *, labels: str = "label", source: str = "source",
                    measure: str | None = None) -> tuple[RDM, ...]:
    """Take RDMs from a ``rsatoolbox.rdm.RDMs``.

    Parameters
    ----------
    rdms : rsatoolbox.rdm.RDMs
    labels : str
        The pattern descriptor that names the conditions.
    source : str
        The RDM descriptor that says what each is of; none is no fault.
    measure : str, optional
        What was measured, where the object calls it otherwise than :class:`RDM` does (``"squared euclidean"`` and
        ``"squared mahalanobis"`` are known).

    Raises
    ------
    AnalysisError
        If the descriptor is missing or names a condition twice, or the measure is unknown.
    """
    if labels not in rdms.pattern_descriptors:
        raise AnalysisError("RDMs of rsatoolbox", came=f"no pattern descriptor {labels!r}",
                            expected=f"one of {', '.join(rdms.pattern_descriptors)}",
                            remedy="Name the one that holds the image ids.")
    known = {"squared euclidean": "euclidean", "squared mahalanobis": "mahalanobis"}
    said = measure or known.get(str(rdms.dissimilarity_measure), str(rdms.dissimilarity_measure))
    sources = rdms.rdm_descriptors.get(source, [""] * len(rdms.dissimilarities))
    return tuple(RDM(tuple(str(name) for name in rdms.pattern_descriptors[labels]), values, said, str(name))
                 for values, name in zip(rdms.dissimilarities, sources, strict=True))


def require_labels(labels: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Check that labels are text, at least two, and each given once; give them as a tuple."""
    names = tuple(str(name) for name in labels)
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise AnalysisError(where, came=f"label {twice[0]!r} twice", expected="each label once",
                            remedy="Average repeated conditions first.")
    if len(names) < 2:
        raise AnalysisError(where, came=f"{len(names)} conditions", expected="at least two",
                            remedy="Give more conditions.")
    return names


def _require_measure(measure: str, *, among: Sequence[str] = (*MEASURES, *WHITENED)) -> None:
    if measure not in among:
        raise AnalysisError("rsa.dissimilarity", came=repr(measure), expected=f"one of {', '.join(among)}",
                            remedy=nearest(measure, among))


def _require_finite(values: Floats, *, labels: tuple[str, ...], where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise AnalysisError(where, came=f"{bad.size} pattern(s) with NaN or infinity, first {labels[bad[0]]!r}",
                            expected="finite values", remedy="Leave out vertices without data; make a "
                            "layer's responses again with `python -m stimuli features --overwrite`.")


def _require_spread(values: Floats, *, labels: tuple[str, ...], where: str) -> None:
    flat = np.flatnonzero(lengths(values - values.mean(axis=1, keepdims=True)) <= FLAT * lengths(values))
    if flat.size:
        raise AnalysisError(where, came=f"{flat.size} constant pattern(s), first {labels[flat[0]]!r}",
                            expected="patterns that vary over features, for a correlation",
                            remedy="Leave the condition out, or use rsa.dissimilarity = \"euclidean\".")


def _pair_names(labels: tuple[str, ...], pair: int) -> tuple[str, str]:
    rows, columns = np.triu_indices(len(labels), 1)
    return labels[rows[pair]], labels[columns[pair]]
