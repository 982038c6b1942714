"""fMRIPrep's spheres: which of them is registered to fsaverage, by its name.

===================================================== =====================================================
``*_hemi-L_space-fsaverage_desc-reg_sphere.surf.gii``  FreeSurfer's ``lh.sphere.reg``, from fMRIPrep 24.1
``*_hemi-L_desc-reg_sphere.surf.gii``                  the same, fMRIPrep 23.1 to 24.0
``*_hemi-L_space-fsLR_desc-reg_sphere.surf.gii``       that one brought to fsLR: another template's
``*_hemi-L_space-fsLR_desc-msmsulc_sphere.surf.gii``   registered to fsLR by MSMSulc: another template's
``*_hemi-L_sphere.surf.gii``                           FreeSurfer's ``lh.sphere``, before its registration
===================================================== =====================================================

All have the subject's own vertices, so that nothing but the name says which is which.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.data.files.finding import BidsName, find_anatomy, list_anatomy, list_some
from analysis.data.gifti import read_gifti, require_side
from subjects.errors import AnalysisError

REGISTERED = "*_hemi-{hemi}_space-fsaverage_desc-reg_sphere.surf.gii or *_hemi-{hemi}_desc-reg_sphere.surf.gii"
"""How fMRIPrep spells the sphere that is registered to fsaverage."""
_SUFFIX, _DESC = "sphere.surf.gii", "reg"
_SPACES = ("fsaverage", "fsnative")
_ROUND = 0.01  # of the radius: what rounding and a converter's format leave of a sphere


def find_registration(folders: Iterable[Path], *, sub: str, hemi: str) -> Path | None:
    """Find the sphere of a hemisphere that is registered to fsaverage; None without one.

    Parameters
    ----------
    folders : iterable of Path
        Pipelines' folders; the first that has one counts.
    sub, hemi : str
    """
    some = tuple(folders)
    found = (find_anatomy(some, sub=sub, hemi=hemi, suffix=_SUFFIX, space=space, desc=_DESC) for space in _SPACES)
    return next((path for path in found if path is not None), None)


def describe_other_spheres(folders: Iterable[Path], *, sub: str, hemi: str) -> str:
    """Name the spheres of a hemisphere that are not registered to fsaverage, and say what each is; empty without."""
    names = [one for folder in folders for one in list_anatomy(folder, sub=sub)
             if one.hemi == hemi and one.suffix == "sphere" and not _is_registered(one)]
    return list_some([f"{one.path.name} ({_what_it_is(one)})" for one in names], n=3)


def _is_registered(name: BidsName) -> bool:
    return name.entities.get("desc") == _DESC and name.space in _SPACES


def _what_it_is(name: BidsName) -> str:
    said = name.entities
    if "space" in said and "desc" in said:
        return f"registered to {name.space}"
    return "before its registration" if "desc" not in said else f"desc-{said['desc']}, which is not known"


def read_registration(path: Path, *, hemi: str) -> NDArray[np.float64]:
    """Read the points of a registered sphere, (n_vertices, 3).

    Raises
    ------
    AnalysisError
        If it is no sphere about the origin, or is of the other hemisphere.
    """
    image = read_gifti(path, expected="a sphere registered to fsaverage")
    require_side(image, hemi=hemi, path=path)
    points = np.asarray(image.agg_data("pointset"), dtype=np.float64)
    radii = np.linalg.norm(points, axis=1) if points.ndim == 2 else np.zeros(0)
    if not len(radii) or np.ptp(radii) > _ROUND * np.median(radii):
        came = f"points {radii.min():.1f} to {radii.max():.1f} mm from the origin" if len(radii) else "no points"
        raise AnalysisError(str(path), came=came, expected="a sphere about the origin",
                            remedy="Copy it again from fMRIPrep's anat/, as fMRIPrep wrote it.")
    return points
