"""Population receptive fields of a hemisphere on disk: HDF5, GIFTI and .mgz maps, and a table of its regions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from numpy.typing import NDArray

from analysis.data.gifti import STRUCTURES
from analysis.data.hdf5 import read_hdf5, write_hdf5
from analysis.regions.labels import ROIS
from analysis.regions.prf.records import PrfFit
from subjects.errors import AnalysisError
from subjects.provenance import FileFormat
from subjects.store import whole_file

Floats = NDArray[np.float64]
FORMAT = FileFormat("population receptive fields", version=1)
REMEDY = "Run `python -m analysis prf`."
MAPS: Mapping[str, str] = MappingProxyType({
    "angle_deg": "polar angle, 0 to 360, counter-clockwise from the right horizontal meridian",
    "eccentricity_deg": "distance of the centre from fixation, degrees of visual angle",
    "size_deg": "sigma / sqrt(exponent), degrees of visual angle",
    "exponent": "exponent of the compressive spatial summation; 1 for the Gaussian model",
    "gain_pct": "percent signal change at the peak of the response to one volume that fills the whole field",
    "r2_pct": "percent of the variance without drifts that the fit explains, in the data that were fitted",
    "r2_cv_pct": "percent of the variance of left-out data that fits to the others predict; missing if not asked",
    "lag_s": "how much later than the canonical response this vertex' comes, s",
    "width": "how much longer than the canonical response it takes, share",
    "x_deg": "centre, right of fixation, degrees of visual angle",
    "y_deg": "centre, above fixation, degrees of visual angle"})
"""The maps that are written, by name, and what they say."""
TABLE_COLUMNS = ("sub", "hemi", "region", "n_vertices", "n_fitted", "n_shown", "median_r2_pct", "median_r2_cv_pct",
                 "median_eccentricity_deg", "median_size_deg", "size_at_2_deg", "size_slope", "median_exponent",
                 "median_gain_pct", "median_lag_s")
_AT_DEG = 2.0
_FEWEST = 10  # vertices for a line of size over eccentricity


@dataclass(frozen=True, eq=False, kw_only=True)
class PrfMaps:
    """The fields of one hemisphere.

    Parameters
    ----------
    hemi : {"L", "R"}
    fit : PrfFit
        The gain in percent signal change; NaN where a vertex was not fitted.
    r2_cv : float64 array, (n_vertices,)
        Percent; NaN where there is no cross-validation.
    mean_signal : float64 array, (n_vertices,)
        In scanner units, all runs; 0 where there is no signal.
    field_deg : (float, float)
        Width and height of the field that the apertures filled.
    """

    hemi: str
    fit: PrfFit
    r2_cv: Floats
    mean_signal: Floats
    field_deg: tuple[float, float]

    def __post_init__(self) -> None:
        if not self.r2_cv.shape == self.mean_signal.shape == self.fit.r2.shape or self.hemi not in STRUCTURES:
            raise AnalysisError(f"receptive fields of hemi-{self.hemi}", expected="one value a vertex in every map",
                                came=f"maps of {len(self.fit.r2)}, {len(self.r2_cv)} and {len(self.mean_signal)} "
                                     "vertices", remedy=REMEDY)

    @property
    def n_vertices(self) -> int:
        """Vertices of the mesh."""
        return len(self.fit.r2)

    @property
    def by_name(self) -> dict[str, Floats]:
        """The maps by the names of :data:`MAPS`."""
        fit = self.fit
        return {"angle_deg": fit.angle_deg, "eccentricity_deg": fit.eccentricity_deg, "size_deg": fit.size_deg,
                "exponent": fit.exponent, "gain_pct": fit.gain, "r2_pct": fit.r2, "r2_cv_pct": self.r2_cv,
                "lag_s": fit.lag_s, "width": fit.width, "x_deg": fit.x_deg, "y_deg": fit.y_deg}

    def shown(self, *, r2_pct: float) -> NDArray[np.bool_]:
        """Say which vertices maps and tables show: R2 above the threshold, and the centre within the field."""
        width, height = self.field_deg
        with np.errstate(invalid="ignore"):
            inside = (np.abs(self.fit.x_deg) <= width / 2) & (np.abs(self.fit.y_deg) <= height / 2)
            result: NDArray[np.bool_] = inside & (self.fit.r2 > r2_pct)
        return result


def save_maps(path: Path, maps: PrfMaps) -> Path:
    """Write a hemisphere to HDF5: the maps of :data:`MAPS`, and what else the fit says of each vertex."""
    with write_hdf5(path, form=FORMAT, overwrite=True) as file:
        file.attrs.update({"hemi": maps.hemi, "field_deg": maps.field_deg})
        for name, values in maps.by_name.items():
            file.create_dataset(f"maps/{name}", data=values.astype(np.float32)).attrs["meaning"] = MAPS[name]
        file.create_dataset("fit", data=maps.fit.table)
        file["fit"].attrs["rows"] = list(PrfFit.TABLE)
        file.create_dataset("mean_signal", data=maps.mean_signal.astype(np.float32))
    return path


def load_maps(path: Path) -> PrfMaps:
    """Read a hemisphere.

    Raises
    ------
    AnalysisError
        If the file is missing, or is not one of receptive fields.
    """
    with read_hdf5(path, form=FORMAT, remedy=REMEDY, marked=True) as file:
        if tuple(file["fit"].attrs["rows"]) != PrfFit.TABLE:
            raise ValueError(f"rows {list(file['fit'].attrs['rows'])}")
        width, height = (float(side) for side in file.attrs["field_deg"])
        return PrfMaps(hemi=str(file.attrs["hemi"]), fit=PrfFit.from_table(file["fit"][:]),
                       r2_cv=file["maps/r2_cv_pct"][:].astype(np.float64),
                       mean_signal=file["mean_signal"][:].astype(np.float64), field_deg=(width, height))


def write_gifti(path: Path, maps: PrfMaps) -> Path:
    """Write the maps as one GIFTI file, an array a map, each under its name."""
    image = GiftiImage(meta=GiftiMetaData(AnatomicalStructurePrimary=STRUCTURES[maps.hemi]))
    for name, values in maps.by_name.items():
        image.add_gifti_data_array(GiftiDataArray(
            values.astype(np.float32), intent="NIFTI_INTENT_NONE", datatype="float32",
            meta={"Name": name, "Description": MAPS[name]}))
    with whole_file(path, overwrite=True) as beside:
        nib.save(image, beside)
    return path


def write_mgz(path: Path, values: Floats) -> Path:
    """Write one map as FreeSurfer reads it: (n_vertices, 1, 1), 0 where there is no value, as its tools expect."""
    image = nib.MGHImage(np.nan_to_num(values).astype(np.float32)[:, None, None], np.eye(4))
    with whole_file(path, overwrite=True) as beside:
        nib.save(image, beside)
    return path


def summarise(maps: PrfMaps, *, sub: str, labels: NDArray[np.int16] | None, r2_pct: float,
              names: Sequence[str] = ROIS) -> Iterator[dict[str, Any]]:
    """Sum up a hemisphere: a row for all vertices, and one a region.

    Parameters
    ----------
    maps : PrfMaps
    sub : str
    labels : int16 array, (n_vertices,), optional
        k + 1 for the k-th of `names`.
    r2_pct : float
        Medians are over vertices that are :meth:`PrfMaps.shown`.
    names : sequence of str
        The regions.

    Yields
    ------
    dict
        :data:`TABLE_COLUMNS`; ``size_slope`` and ``size_at_2_deg`` are of the least-squares line of size over
        eccentricity.
    """
    places = {"all": np.ones(maps.n_vertices, dtype=bool)}
    if labels is not None:
        places |= {name: labels == k for k, name in enumerate(names, start=1)}
    shown, fitted = maps.shown(r2_pct=r2_pct), np.isfinite(maps.fit.r2)
    values = maps.by_name
    for name, inside in places.items():
        some = inside & shown
        medians = {f"median_{key}": _median(values[key][some]) for key in
                   ("r2_pct", "r2_cv_pct", "eccentricity_deg", "size_deg", "exponent", "gain_pct", "lag_s")}
        slope, at = _line(values["eccentricity_deg"][some], values["size_deg"][some])
        row = {"sub": sub, "hemi": maps.hemi, "region": name, "n_vertices": int(inside.sum()),
               "n_fitted": int((inside & fitted).sum()), "n_shown": int(some.sum()), **medians,
               "size_at_2_deg": at, "size_slope": slope}
        yield {column: row[column] for column in TABLE_COLUMNS}


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 4) if known.size else float("nan")


def _line(eccentricity: Floats, size: Floats) -> tuple[float, float]:
    """Fit size over eccentricity: slope, and value at 2 degrees."""
    if len(size) < _FEWEST or np.ptp(eccentricity) == 0:
        return float("nan"), float("nan")
    slope, offset = np.polyfit(eccentricity, size, 1)
    return round(float(slope), 4), round(float(offset + slope * _AT_DEG), 4)
