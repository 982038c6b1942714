"""The truth of a virtual subject on disk: one HDF5 file beside its time series.

``derivatives/simulated/sub-XX/sub-XX_truth.h5`` holds for each hemisphere (``hemi-L``, ``hemi-R``), by vertex:

=============================================== ======================================================================
``base_images``                                 names, the rows of the next three
``RE``, ``AN``, ``AI``                          response to each image, percent signal change of an event of 2 s
``labels``                                      regions of interest, as in the label file: LO without its part in hMT+
``areas``                                       1 to 6: V1, V2, V3, V4, LO (all of it), hMT+ (outside LO)
``lo``, ``mt``                                  what the localizers look for: LO and hMT+, which overlap
``prf_x_deg``, ``prf_y_deg``, ``prf_sigma_deg``, fields; NaN where there is none. The size for a small stimulus is
``prf_exponent``, ``prf_gain_pct``              sigma / sqrt(exponent); gain: percent of lasting full-field stimulation
``localizer/intact``, ``scrambled``,            level to which blocks of each condition lead, percent signal change
``static``, ``moving``
``hrf_lag_s``, ``hrf_width``                    of Glover's response; see :mod:`analysis.simulation.hemodynamics`
``mean_signal``                                 scanner units; 0 where there is no signal
=============================================== ======================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.data.hdf5 import read_hdf5, text_array, texts, write_hdf5
from analysis.simulation.brain.fields import Fields
from analysis.simulation.brain.hemisphere import Hemisphere
from analysis.simulation.brain.localizers import DOTS, OBJECTS
from analysis.simulation.ground_truth import Truth
from analysis.simulation.worlds import TYPES
from subjects.provenance import FileFormat

FORMAT = FileFormat("true responses of a virtual subject", version=2)
REMEDY = "Run `python -m analysis simulate`."
FIELD_NAMES = ("x_deg", "y_deg", "sigma_deg", "exponent", "gain_pct")


@dataclass(frozen=True, eq=False)
class TrueAreas:
    """Where a virtual subject's areas are, and what its localizers evoke.

    Parameters
    ----------
    areas : int16 array, (n_vertices,)
        k + 1 for the k-th of :data:`~analysis.simulation.brain.fields.AREAS`, 0 elsewhere.
    lo, mt : bool array, (n_vertices,)
        LO and hMT+, each with what they share.
    localizers : mapping of str to float32 array, (n_vertices,)
        Condition to the level to which its blocks lead, percent signal change.
    """

    areas: NDArray[np.int16]
    lo: NDArray[np.bool_]
    mt: NDArray[np.bool_]
    localizers: Mapping[str, NDArray[np.float32]]


def save_truth(path: Path, hemispheres: Mapping[str, Hemisphere]) -> Path:
    """Write the truth of both hemispheres to HDF5; see above for what the file holds."""
    with write_hdf5(path, form=FORMAT, overwrite=True) as file:
        file.attrs["unit"] = "percent signal change"
        for hemi, one in hemispheres.items():
            _write(file.create_group(f"hemi-{hemi}"), one)
    return path


def _write(group: h5py.Group, one: Hemisphere) -> None:
    group.create_dataset("base_images", data=text_array(one.truth.base_images))
    arrays: dict[str, NDArray[np.generic]] = {
        **one.truth.responses, "labels": one.labels, "hrf_lag_s": one.shapes.lag_s, "hrf_width": one.shapes.width,
        "mean_signal": one.mean_signal, "areas": one.place.areas, "lo": one.objects, "mt": one.place.motion,
        **{f"prf_{name}": getattr(one.fields, name) for name in FIELD_NAMES},
        **{f"localizer/{name}": values for name, values in one.localizers.items()}}
    for name, values in arrays.items():
        group.create_dataset(name, data=values)


def load_truth(path: Path, *, hemi: str) -> Truth:
    """Read one hemisphere's true responses to the images."""
    with read_hdf5(path, form=FORMAT, remedy=REMEDY) as file:
        group = file[f"hemi-{hemi}"]
        return Truth(texts(group["base_images"]), {kind: group[kind][:] for kind in TYPES})


def load_fields(path: Path, *, hemi: str) -> Fields:
    """Read one hemisphere's population receptive fields."""
    with read_hdf5(path, form=FORMAT, remedy=REMEDY) as file:
        group = file[f"hemi-{hemi}"]
        return Fields(*(group[f"prf_{name}"][:] for name in FIELD_NAMES))


def load_areas(path: Path, *, hemi: str) -> TrueAreas:
    """Read one hemisphere's areas and its responses to the localizers."""
    with read_hdf5(path, form=FORMAT, remedy=REMEDY) as file:
        group = file[f"hemi-{hemi}"]
        return TrueAreas(group["areas"][:], group["lo"][:], group["mt"][:],
                         {name: group[f"localizer/{name}"][:] for name in (*OBJECTS, *DOTS)})
