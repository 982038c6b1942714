"""Published atlases of the visual areas on the template brain, from the files that come with neuropythy.

Only the files are read (``lib/data/fsaverage/surf/*.benson14_*.v4_0.mgz``, ``*.wang15_mplbl.v1_0.mgz``), one value at
each vertex of fsaverage; the first 10,242 of them are fsaverage5's. The package's code is not run.

References
----------
Benson NC, Butt OH, Brainard DH, Aguirre GK (2014) Correction of distortion in flattened representations of the cortical
surface allows prediction of V1-V3 functional organization from anatomy. PLoS Comput Biol 10:e1003538.
Benson NC, Winawer J (2018) Bayesian analysis of retinotopic maps. eLife 7:e40224.
Wang L, Mruczek REB, Arcaro MJ, Kastner S (2015) Probabilistic maps of visual topography in human cortex. Cereb Cortex
25:3911-3931.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from analysis.data.flattening import FREESURFER_SIDES, read_template
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
PROPOSED = ("V1", "V2", "V3", "V4")
"""Areas that an atlas can propose."""
ATLASES: Mapping[str, tuple[str, Mapping[int, str]]] = MappingProxyType({
    "benson": ("benson14_varea.v4_0", {1: "V1", 2: "V2", 3: "V3", 4: "V4"}),
    "wang": ("wang15_mplbl.v1_0", {1: "V1", 2: "V1", 3: "V2", 4: "V2", 5: "V3", 6: "V3", 7: "V4"})})
"""Atlas to the file of its areas, and their numbers there; the field map is Benson's in both."""


def atlas_folder(*, where: str = "atlas", instead: str = "or go without") -> Path:
    """Find the atlases' files in the neuropythy that is installed.

    Parameters
    ----------
    where : str
        Who asks, for the message.
    instead : str
        What else can be done.

    Raises
    ------
    AnalysisError
        If it is not installed, or has no such files.
    """
    found = importlib.util.find_spec("neuropythy")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    folder = Path(places[0]) / "lib" / "data" / "fsaverage" / "surf" if places else None
    if folder is None or not folder.is_dir():
        came = "no neuropythy" if not places else "a neuropythy without the atlas's files"
        raise AnalysisError(where, came=came, expected="neuropythy, which brings the atlas",
                            remedy=f"Install it (`pip install neuropythy`), {instead}.")
    return folder


def read_values(hemi: str, name: str, *, where: str, instead: str) -> Floats:
    """Read one of the atlases' files of a hemisphere, (163842,)."""
    path = atlas_folder(where=where, instead=instead) / f"{FREESURFER_SIDES[hemi]}.{name}.mgz"
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="the atlas of neuropythy 0.12 or newer",
                            remedy="Install another neuropythy.")
    return np.asarray(nib.load(path).dataobj, dtype=np.float64).ravel()  # type: ignore[attr-defined]


def read_atlas(hemi: str, *, where: str = "atlas", instead: str = "or go without") -> dict[str, Floats]:
    """Read Benson's atlas of a hemisphere at every vertex of fsaverage: ``varea``, ``angle`` and ``eccen`` in degrees.

    Polar angle is counted from the upper vertical meridian, 0 to 180 on either side.
    """
    return {name: read_values(hemi, f"benson14_{name}.v4_0", where=where, instead=instead)
            for name in ("varea", "angle", "eccen")}


@dataclass(frozen=True, eq=False)
class Atlas:
    """An atlas of a hemisphere on the template's flat map.

    Parameters
    ----------
    places : float64 array, (n, 2)
        mm on the flat map of fsaverage5.
    areas : int16 array, (n,)
        k + 1 for the k-th of :data:`PROPOSED`, 0 elsewhere.
    x_deg, y_deg : float64 array, (n,)
        Where in the visual field a place looks, right of and above fixation; NaN where the atlas does not say.
    """

    places: Floats
    areas: NDArray[np.int16]
    x_deg: Floats
    y_deg: Floats


def load_atlas(hemi: str, name: str) -> Atlas:
    """Read an atlas at the vertices of fsaverage5 that are on its flat map.

    Parameters
    ----------
    hemi : {"L", "R"}
    name : {"benson", "wang"}

    Raises
    ------
    AnalysisError
        If neuropythy is not installed, or lacks the files.
    """
    where, instead = f"the atlas {name!r}", "or draw the regions by hand (`python -m analysis draw`)"
    flat, faces = read_template(hemi, "flat")
    there = np.unique(faces)
    fields = {key: values[there] for key, values in read_atlas(hemi, where=where, instead=instead).items()}
    file, numbers = ATLASES[name]
    given = read_values(hemi, file, where=where, instead=instead)[there].astype(int)
    areas = np.zeros(len(there), dtype=np.int16)
    for number, area in numbers.items():
        areas[given == number] = PROPOSED.index(area) + 1
    turn, side = np.radians(fields["angle"]), 1.0 if hemi == "L" else -1.0
    known = fields["varea"].astype(int) > 0
    x, y = (np.where(known, values, np.nan) for values in (side * fields["eccen"] * np.sin(turn),
                                                           fields["eccen"] * np.cos(turn)))
    return Atlas(flat[there, :2].astype(np.float64), areas, x, y)
