"""Flat maps, which fMRIPrep does not make: a FreeSurfer patch, or the template's by the registration of spheres."""

from __future__ import annotations

import gzip
from importlib import resources
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiImage
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from analysis.data.surface import Surface, triangle_areas
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
FREESURFER_SIDES = {"L": "lh", "R": "rh"}
"""Hemisphere to what begins the names of FreeSurfer's files."""
PATCHES = ("full.flat.patch.3d", "cortex.patch.flat", "flat.patch.3d", "occip.patch.flat", "occip.flat.patch.3d")
"""Names of flattened patches, after the side: pycortex's, fsaverage's, and those of FreeSurfer's tutorials."""
_TEMPLATE_SIDES = {"L": "left", "R": "right"}
_LONGEST_MM = 12.0  # an edge of the flat map beyond which a triangle lies across one of its cuts
_N_TRIANGLES = 12  # triangles of the template's sphere in which a vertex is looked for
_PATCH_MARK = -1
_STRETCHED, _MOST_FAR = 6.0, 0.05  # an edge so much longer than it is folded is far; so many may be
_LARGEST_SHRED = 0.05  # of a flat map: what cuts leave apart at its rim is less
_LEAST_SHARE = 0.03  # an occipital patch holds a tenth of a hemisphere


def read_template(hemi: str, kind: str) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Read one of fsaverage5's surfaces with all of its vertices."""
    file = resources.files("nilearn") / "datasets" / "data" / "fsaverage5" / f"{kind}_{_TEMPLATE_SIDES[hemi]}.gii.gz"
    points, triangles = GiftiImage.from_bytes(gzip.decompress(file.read_bytes())).agg_data(("pointset", "triangle"))
    return points.astype(np.float64), triangles.astype(np.int32)


def whole_template(hemi: str) -> tuple[Surface, NDArray[np.bool_]]:
    """Give fsaverage5 with all of its 10,242 vertices, and which of them are not on the flat map: the medial wall."""
    midway = (read_template(hemi, "white")[0] + read_template(hemi, "pial")[0]) / 2
    flat, faces = read_template(hemi, "flat")
    silent = np.ones(len(midway), dtype=bool)
    silent[np.unique(faces)] = False
    places = flat[:, :2].copy()
    places[silent] = places.max(axis=0) + 1000 + 100 * np.arange(silent.sum())[:, None]  # near to nothing
    return Surface(hemi, midway.astype(np.float32), faces, places.astype(np.float32), "fsaverage5"), silent


def read_freesurfer(folder: Path, *, hemi: str, name: str, remedy: str) -> tuple[Floats, NDArray[np.int64]]:
    """Read one of a FreeSurfer subject's surfaces, such as ``"white"``; `remedy` is for a missing one."""
    path = folder / "surf" / f"{FREESURFER_SIDES[hemi]}.{name}"
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="a surface of a FreeSurfer subject",
                            remedy=remedy)
    try:
        points, triangles = nib.freesurfer.read_geometry(path)[:2]
    except (OSError, ValueError, IndexError, TypeError, OverflowError) as error:
        raise AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected="a FreeSurfer surface",
                            remedy="Copy it again from the subject's folder.") from error
    return np.asarray(points, dtype=np.float64), np.asarray(triangles, dtype=np.int64)


def to_flat(sphere: NDArray[np.float64], *, hemi: str) -> NDArray[np.float64]:
    """Bring points of the registered sphere onto the template's flat map.

    Parameters
    ----------
    sphere : float64 array, (n, 3)
        On ``sphere.reg``, of any radius.
    hemi : {"L", "R"}

    Returns
    -------
    float64 array, (n, 2)
        mm, linear within the triangle of the template's sphere that a point is in; NaN where that is not on the map.
    """
    corners, triangles = read_template(hemi, "sphere")
    flat, on_map = read_template(hemi, "flat")
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    points = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    n = len(corners)
    known = np.isin(face_keys(triangles, n=n), face_keys(on_map, n=n))
    inverse = np.linalg.inv(corners[triangles].transpose(0, 2, 1))
    near = np.asarray(cKDTree(corners[triangles].mean(axis=1)).query(points, k=_N_TRIANGLES)[1])
    weights = np.einsum("nkij,nj->nki", inverse[near], points)
    best = weights.min(axis=2).argmax(axis=1)
    rows = np.arange(len(points))
    chosen, share = near[rows, best], np.maximum(weights[rows, best], 0)
    share /= share.sum(axis=1, keepdims=True)
    found: NDArray[np.float64] = np.einsum("ni,nij->nj", share, flat[triangles[chosen], :2])
    found[~known[chosen]] = np.nan
    return found


def face_keys(faces: NDArray[np.int32], *, n: int) -> NDArray[np.int64]:
    """One number a triangle, whichever of its corners comes first."""
    a, b, c = np.sort(faces, axis=1).astype(np.int64).T
    result: NDArray[np.int64] = (a * n + b) * n + c
    return result


def uncut(flat: Floats, faces: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Say which triangles lie across none of a flat map's cuts: all corners on it, and no side too long, (n_faces,)."""
    sides = flat[faces] - flat[np.roll(faces, 1, axis=1)]
    with np.errstate(invalid="ignore"):
        whole: NDArray[np.bool_] = (np.linalg.norm(sides, axis=2) < _LONGEST_MM).all(axis=1)
    return whole


def find_patch(folder: Path, *, hemi: str) -> Path | None:
    """Find the flattened patch of a FreeSurfer subject's hemisphere; None without one."""
    named = (folder / "surf" / f"{FREESURFER_SIDES[hemi]}.{name}" for name in PATCHES)
    return next((path for path in named if path.is_file()), None)


def read_patch(path: Path, *, n_vertices: int) -> Floats:
    """Read a patch of FreeSurfer's, flattened by ``mris_flatten``.

    Parameters
    ----------
    path : Path
    n_vertices : int
        Of the surface that it was cut from.

    Returns
    -------
    float64 array, (n_vertices, 2)
        mm; NaN for vertices that are not on the patch.

    Raises
    ------
    AnalysisError
        If it is no patch, is not flat, or names a vertex that the surface lacks.
    """
    remedy = "Flatten it again with mris_flatten, or move the file away: the template's flat map is taken then."
    raw = path.read_bytes()
    head = np.frombuffer(raw[:8], dtype=">i4") if len(raw) >= 8 else np.zeros(2)
    if head[0] != _PATCH_MARK or len(raw) != 8 + 16 * int(head[1]):
        raise AnalysisError(str(path), came="a file that is no binary patch", expected="a FreeSurfer patch",
                            remedy=remedy)
    rows = np.frombuffer(raw[8:], dtype=[("number", ">i4"), ("place", ">f4", 3)])
    numbers = np.abs(rows["number"].astype(np.int64)) - 1  # negative on the rim
    if len(numbers) == 0 or numbers.min() < 0 or numbers.max() >= n_vertices:
        raise AnalysisError(str(path), came="vertices that the surface lacks", remedy=remedy,
                            expected=f"a patch of a surface of {n_vertices} vertices")
    places = rows["place"].astype(np.float64)
    if np.ptp(places[:, 2]) > 1e-3:
        raise AnalysisError(str(path), came=f"a patch {np.ptp(places[:, 2]):.1f} mm high", expected="a flat one",
                            remedy=remedy)
    flat = np.full((n_vertices, 2), np.nan)
    flat[numbers] = places[:, :2]
    return flat


def flatten_freesurfer(folder: Path, *, hemi: str) -> Surface:
    """Make the whole midway surface of a FreeSurfer subject with a flat map: its own patch, or else the template's.

    Parameters
    ----------
    folder : Path
        With ``surf/lh.white``, ``lh.pial`` and a flattened patch (:data:`PATCHES`) or ``lh.sphere.reg``.
    hemi : {"L", "R"}

    Returns
    -------
    Surface
        All vertices, numbered as FreeSurfer does; triangles on the flat map only.

    Raises
    ------
    AnalysisError
        If a surface is missing or cannot be read, or hardly anything of it is on the map.
    """
    remedy = "Copy the subject's surf/ folder, as recon-all wrote it."
    (white, faces), (pial, _) = (read_freesurfer(folder, hemi=hemi, name=name, remedy=remedy)
                                 for name in ("white", "pial"))
    patch = find_patch(folder, hemi=hemi)
    if patch is not None:
        flat = read_patch(patch, n_vertices=len(white))
        kept = np.asarray(np.isfinite(flat[faces]).all(axis=(1, 2)))
    else:
        flat = to_flat(read_freesurfer(folder, hemi=hemi, name="sphere.reg", remedy=remedy)[0], hemi=hemi)
        kept = uncut(flat, faces)
    _require_some(kept, where=str(patch or folder))
    midway = (white + pial) / 2
    require_own_side(midway, hemi=hemi, where=str(folder / "surf"))
    if patch is not None:
        _require_own_patch(patch, flat, midway, faces=faces[kept])
    return _cut_out(midway, faces[kept], flat=flat, hemi=hemi, where=str(patch or folder))


def flatten_registered(midway: Floats, faces: NDArray[np.int64], *, sphere: Floats, hemi: str, where: str) -> Surface:
    """Make a midway surface with the template's flat map by a registered sphere, without FreeSurfer's folder.

    Parameters
    ----------
    midway : float64 array, (n_vertices, 3)
    faces : int64 array, (n_faces, 3)
    sphere : float64 array, (n_vertices, 3)
        Registered to fsaverage.
    hemi : {"L", "R"}
    where : str
        The sphere's file, for messages.

    Raises
    ------
    AnalysisError
        If the two are not of one mesh, or hardly anything of it is on the map.
    """
    if len(midway) != len(sphere):
        raise AnalysisError(where, came=f"{len(sphere)} vertices", expected=f"{len(midway)}, as the midway mesh has",
                            remedy="Take both from one run of fMRIPrep.")
    require_own_side(midway, hemi=hemi, where=where)
    flat = to_flat(sphere, hemi=hemi)
    kept = uncut(flat, faces)
    _require_some(kept, where=where)
    return _cut_out(midway, faces[kept], flat=flat, hemi=hemi, where=where)


def _require_some(kept: NDArray[np.bool_], *, where: str) -> None:
    """See that several triangles are on a flat map."""
    if kept.sum() < _LEAST_SHARE * len(kept):
        raise AnalysisError(where, came=f"{int(kept.sum())} of {len(kept)} triangles on the flat map",
                            expected=f"at least {_LEAST_SHARE:.0%}",
                            remedy="See that the patch, or sphere.reg, is that of this subject's surface.")


def _cut_out(midway: Floats, faces: NDArray[np.int64], *, flat: Floats, hemi: str, where: str) -> Surface:
    """Make a surface of the triangles that are on a flat map, which is to be in one piece."""
    made = Surface(hemi, midway.astype(np.float32), _upright(faces, flat).astype(np.int32),
                   np.where(np.isfinite(flat), flat, 0).astype(np.float32), where)
    require_one_piece(made)
    return made


def require_own_side(points: Floats, *, hemi: str, where: str) -> None:
    """See by its place that a mesh is of its hemisphere: the left one has negative x, whatever its origin.

    Raises
    ------
    AnalysisError
        If files of the two hemispheres were exchanged.
    """
    x = float(points[:, 0].mean())
    if (x > 0) != (hemi == "R"):
        raise AnalysisError(where, came=f"{FREESURFER_SIDES[hemi]} surfaces at x = {x:.1f} mm on average",
                            expected=f"{'positive' if hemi == 'R' else 'negative'} x, where that hemisphere is",
                            remedy="Copy the subject's surf/ folder again: files of the two hemispheres were "
                                   "exchanged.")


def _require_own_patch(path: Path, flat: Floats, midway: Floats, *, faces: NDArray[np.int64]) -> None:
    """See that a patch flattens this surface: neighbours on the one are neighbours on the other."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    on_map, folded = (np.linalg.norm(points[sides[:, 0]] - points[sides[:, 1]], axis=1) for points in (flat, midway))
    far = float((on_map > np.maximum(_LONGEST_MM, _STRETCHED * folded)).mean())
    if far > _MOST_FAR:
        raise AnalysisError(str(path), came=f"neighbours of this surface far apart on the patch ({far:.0%} of its "
                            "edges)", expected="the flat patch of this subject's surface",
                            remedy="Take the patch that was cut from this subject's surface, or move the file away: "
                                   "the template's flat map is taken then.")


def require_one_piece(surface: Surface) -> None:
    """See that a flat map hangs together: distances along it end where a piece does.

    Raises
    ------
    AnalysisError
        If a second piece holds a share of it that no rim of a cut does.
    """
    used = np.unique(surface.faces)
    counts = np.sort(np.bincount(surface.components()[used]))[::-1]
    counts = counts[counts > 0]
    if len(counts) > 1 and counts[1] > _LARGEST_SHRED * counts.sum():
        raise AnalysisError(surface.where, came=f"a flat map in {len(counts)} pieces, the largest of {counts[0]} and "
                            f"{counts[1]} vertices", expected="one piece",
                            remedy="Cut and flatten it again as one patch, or move the file away: the template's flat "
                                   "map is taken then.")


def _upright(faces: NDArray[np.int64], flat: Floats) -> NDArray[np.int64]:
    """Turn all triangles over where most lie the wrong way round: patches are flattened as seen from either side."""
    return faces[:, ::-1] if np.median(triangle_areas(flat, faces)) < 0 else faces
