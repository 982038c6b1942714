"""Response estimates of one hemisphere: one row a condition, with the names by which rows are joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.hdf5 import read_hdf5, write_hdf5
from analysis.data.sources import HEMISPHERES
from subjects.errors import AnalysisError
from subjects.provenance import FileFormat

COLUMNS = ("session", "type", "image_id", "base_image", "presentation")
BLANK = "blank"
FORMAT = FileFormat("betas", version=1)
_AGAIN = "Fit again with `python -m analysis glm --study STUDY --sub SUB`."
_ARRAYS = ("values", "r2", "mean_signal")


@dataclass(frozen=True, eq=False)
class Betas:
    """Responses in percent signal change.

    Parameters
    ----------
    hemi : {"L", "R"}
    values : float32 array, (n_conditions, n_vertices)
        ``100 * beta / mean`` of the session's signal; NaN where a vertex has no signal.
    conditions : DataFrame
        One row a row of `values`, columns :data:`COLUMNS`, all text but ``presentation`` (int; 0 for blank).
        Rows are ordered by type, base image and presentation over both sessions, then one ``blank`` row a
        session (its ``image_id`` and ``base_image`` are empty): 2 x 120 + 2 rows by the protocol. The blank
        trials of two sessions are estimated apart, since each session has its own baseline and mean.
    r2 : float32 array, (n_vertices,)
        Share of variance explained, drifts removed, sessions pooled before the ratio.
    mean_signal : float32 array, (n_vertices,)
        Mean over all volumes that entered, in scanner units.
    errors : float32 array, (n_conditions, n_vertices), optional
        Standard errors of `values`.

    Raises
    ------
    AnalysisError
        If shapes, columns or names do not fit together.
    """

    hemi: str
    values: NDArray[np.float32]
    conditions: pd.DataFrame
    r2: NDArray[np.float32]
    mean_signal: NDArray[np.float32]
    errors: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        where = f"betas of hemi-{self.hemi}"
        _require(self.hemi in HEMISPHERES, where, came=f"hemisphere {self.hemi!r}", expected="'L' or 'R'")
        _require(tuple(self.conditions.columns) == COLUMNS, where, came=f"columns {list(self.conditions.columns)}",
                 expected=f"columns {list(COLUMNS)}")
        shape = (len(self.conditions), len(self.mean_signal))
        _require(self.values.shape == shape, where, came=f"values of shape {self.values.shape}",
                 expected=f"shape {shape}: one row a condition, one column a vertex")
        _require(self.r2.shape == shape[1:], where, came=f"{len(self.r2)} values of R2",
                 expected=f"one for each of {shape[1]} vertices")
        _require(self.errors is None or (self.errors.shape, str(self.errors.dtype)) == (shape, "float32"), where,
                 came="standard errors of another shape or kind", expected=f"float32 of shape {shape}")
        kinds = {str(getattr(self, name).dtype) for name in _ARRAYS}
        _require(kinds == {"float32"}, where, came=f"arrays of {', '.join(sorted(kinds))}", expected="float32")
        twice = self.conditions.duplicated()
        _require(not twice.any(), where, came=f"condition {int(np.argmax(twice))} twice", expected="each one once")

    @property
    def base_images(self) -> tuple[str, ...]:
        """Base images in the order of the rows (the manifest's order)."""
        names = self.conditions["base_image"]
        return tuple(dict.fromkeys(names[names != ""]))

    def image_ids(self, type: str, *,  # noqa: A002 - the manifest's word
                  base_images: Sequence[str] | None = None) -> tuple[str, ...]:
        """Image ids of one type, in the order of `base_images` (default: :attr:`base_images`)."""
        rows = self.conditions[self.conditions["type"] == type].drop_duplicates("base_image")
        found, wanted = rows.set_index("base_image")["image_id"], list(base_images or self.base_images)
        lacking = [name for name in wanted if name not in found.index]
        _require(not lacking, f"betas of hemi-{self.hemi}", expected="every base image in every type",
                 came=f"no condition of {', '.join(lacking[:3])} as {type}")
        return tuple(found.loc[wanted])

    def without_session_means(self, *, pooled: bool = False) -> Betas:
        """Subtract from every image's response the mean over all images of its type, session and presentation.

        Parameters
        ----------
        pooled : bool
            One mean over the images of all types of a session and presentation instead, in which types that respond
            more stay so.

        Notes
        -----
        All conditions of a session share the error of that session's baseline; two sessions that show
        different images then differ by a pattern that has nothing to do with the images. So do two presentations,
        where the baseline drifts: each has its own mean, so that halves share no pattern of opposite sign; the mean of
        both presentations comes out as with one mean for both. Types are centred apart, so that nothing of the images
        that a model is tested on enters those that it is trained on.
        Blank rows stay.
        """
        values = self.values.copy()
        images = self.conditions.reset_index(drop=True)
        for _, group in images[images["type"] != BLANK].groupby(
                ["session", "presentation"] if pooled else ["session", "presentation", "type"]):
            rows = group.index.to_numpy()
            with np.errstate(invalid="ignore"):  # a vertex that is infinite somewhere becomes NaN there
                values[rows] -= values[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
        return replace(self, values=values)

    def sessions(self) -> tuple[str, ...]:
        """Session in which each of :attr:`base_images` was shown.

        Raises
        ------
        AnalysisError
            If one was shown in two sessions.
        """
        shown = self.conditions[self.conditions["type"] != BLANK].groupby("base_image")["session"].unique()
        for name, found in shown.items():
            _require(len(found) == 1, f"betas of hemi-{self.hemi}", came=f"{name} in sessions {', '.join(found)}",
                     expected="every base image in one session")
        return tuple(shown[name][0] for name in self.base_images)

    def select(self, *, type: str,  # noqa: A002 - the manifest's word
               presentation: int | Literal["mean"] | None = "mean",
               base_images: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Give the responses to one type of image, rows joined by the base image's name.

        Parameters
        ----------
        type : {"RE", "AN", "AI"}
        presentation : int or "mean"
            1, 2, or the mean over presentations (None means the same).
        base_images : sequence of str, optional
            Which images, in which order; by default :attr:`base_images`.

        Returns
        -------
        float32 array, (n_images, n_vertices)

        Raises
        ------
        AnalysisError
            If a base image has no such response.
        """
        names = list(self.base_images if base_images is None else base_images)
        rows = self.conditions[self.conditions["type"] == type]
        if presentation in (None, "mean"):
            presentations = sorted(rows["presentation"].unique())
            _require(bool(presentations), f"betas of hemi-{self.hemi}", came=f"no condition of type {type!r}",
                     expected="responses to that type")
        else:
            presentations = [presentation]
        total = np.zeros((len(names), self.values.shape[1]), dtype=np.float64)
        for number in presentations:
            total += self.values[self._rows(rows, names, presentation=int(number), kind=type)]
        return (total / len(presentations)).astype(np.float32)

    def _rows(self, rows: pd.DataFrame, names: list[str], *, presentation: int, kind: str) -> NDArray[np.int64]:
        found = rows[rows["presentation"] == presentation]
        places = pd.Series(found.index.to_numpy(), index=found["base_image"])
        lacking = [name for name in names if name not in places.index]
        _require(not lacking, f"betas of hemi-{self.hemi}", expected="a response to every base image",
                 came=f"no response to {', '.join(lacking[:3])} as {kind} at presentation {presentation}")
        return places.loc[names].to_numpy()


def _require(holds: bool, where: str, *, came: str, expected: str) -> None:
    if not holds:
        raise AnalysisError(where, came=came, expected=expected, remedy=_AGAIN)


def save_betas(path: Path, betas: Betas, *, sub: str = "", inputs: Mapping[str, str] | None = None,
               overwrite: bool = False) -> Path:
    """Write response estimates to an HDF5 file.

    Parameters
    ----------
    path : Path
        Usually ``layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5")``.
    betas : Betas
    sub : str
        Whose they are; the file says so, and is taken for nobody else's.
    inputs : mapping of str to str, optional
        Digests of what they were made from, kept in the file.
    overwrite : bool
    """
    with write_hdf5(path, form=FORMAT, overwrite=overwrite) as file:
        file.attrs.update({"hemi": betas.hemi, "unit": "percent signal change", **({"sub": sub} if sub else {})})
        if inputs:
            file.attrs["inputs"] = json.dumps(dict(sorted(inputs.items())))
        for name in (*_ARRAYS, *(("errors",) if betas.errors is not None else ())):
            file.create_dataset(name, data=getattr(betas, name))
        for name in COLUMNS:
            column = betas.conditions[name]
            kept = column.to_numpy(np.int64) if name == "presentation" else column.to_numpy(h5py.string_dtype())
            file.create_dataset(f"conditions/{name}", data=kept)
    return Path(path)


def load_betas(path: Path, *, sub: str = "", hemi: str = "", errors: bool = False) -> Betas:
    """Read response estimates.

    Parameters
    ----------
    path : Path
    sub, hemi : str
        Whose and of which side they are to be. A file that does not say whose it is (those of release 0.1.0, and other
        programs') is taken as it is.
    errors : bool
        Also read their standard errors, where the file has them.

    Raises
    ------
    AnalysisError
        If the file is missing, is not one of betas, or is another subject's or the other hemisphere's.
    """
    with read_hdf5(path, form=FORMAT, remedy=_AGAIN, marked=True) as file:
        columns = {name: _column(file[f"conditions/{name}"]) for name in COLUMNS}
        wanted = (*_ARRAYS, *(("errors",) if errors and "errors" in file else ()))
        arrays = {name: file[name][:] for name in wanted}
        _require_owner(path, file.attrs, sub=sub, hemi=hemi)
        found = str(file.attrs["hemi"])
    return Betas(hemi=found, conditions=pd.DataFrame(columns), **arrays)


def _require_owner(path: Path, attributes: Mapping[str, object], *, sub: str, hemi: str) -> None:
    """See that a file that says whose it is, is this subject's, and this hemisphere's."""
    for name, wanted in (("sub", sub), ("hemi", hemi)):
        said = str(attributes.get(name, ""))
        _require(not (wanted and said) or said == wanted, str(path), came=f"betas of {name}-{said}",
                 expected=f"those of {name}-{wanted}")


def require_betas(path: Path, *, sub: str = "", hemi: str = "") -> Path:
    """See that a file is one of betas, without reading the estimates; raises as :func:`load_betas`."""
    with read_hdf5(path, form=FORMAT, remedy=_AGAIN, marked=True) as file:
        _require_owner(path, file.attrs, sub=sub, hemi=hemi)
        shape = (len(file["conditions/type"]), len(file["r2"]))
        if file["values"].shape != shape or str(file.attrs["hemi"]) not in HEMISPHERES:
            raise ValueError(f"values of shape {file['values'].shape} for {shape[0]} conditions, {shape[1]} vertices")
    return path


def _column(dataset: h5py.Dataset) -> NDArray[np.generic]:
    return np.asarray(dataset[:] if dataset.dtype.kind == "i" else dataset.asstr()[:].astype(object))
