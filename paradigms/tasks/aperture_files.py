"""The apertures of a run as files: npz, NIfTI and BIDS stimulus table, and what their sidecars say of them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np

from paradigms.runlog import Record, delay_told, display_delay_s
from paradigms.schedule import Schedule
from paradigms.tasks.shown_apertures import ApertureMovie, aperture_movie
from stimuli.apertures import APERTURE_MASKS
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import digest_file, sidecar
from subjects.settings.paradigms import RetinotopySettings
from subjects.store import whole_file, write_bytes, write_json

APERTURES = "apertures"


def write_masks(npz: Path, made: ApertureMovie, *, nifti: Path, schedule: Schedule, overwrite: bool = False,
                delay_s: float = 0.0) -> None:
    """Write the movie as npz and as NIfTI, and the one sidecar that BIDS gives them both.

    Parameters
    ----------
    npz, nifti : Path
        ``NAME.npz`` and ``NAME.nii.gz``; the sidecar is ``NAME.json``.
    made : ApertureMovie
        What was shown.
    schedule : Schedule
        The run's plan.
    overwrite : bool
        Put them in the place of earlier ones.
    delay_s : float
        What was added to the times of flips (``DisplayDelay``).
    """
    _write_npz(npz, made, overwrite=overwrite)
    _write_nifti(nifti, made, overwrite=overwrite)
    files = {"npz": {"Array": "masks", "Axes": npz_axes(made), "Digest": digest_file(npz)},
             "nii.gz": {"Axes": nifti_axes(made), "Digest": digest_file(nifti)}}
    sidecar(npz, inputs={"schedule": schedule.digest}, form=APERTURE_MASKS,
            parameters={"n": made.masks.shape[1], "as_shown": made.as_shown, "variant": schedule.variant},
            extra={**description(made), **delay_told(delay_s), "Files": files})


def description(made: ApertureMovie) -> dict[str, Any]:
    """Say what the numbers of both files are: unit, field, time."""
    shown = "from the record of what was shown" if made.as_shown else "from the plan, as if every step came on time"
    return {
        "Description": f"Share of each volume for which a point of the visual field was uncovered, {shown}.",
        "Units": "1", "CoordinateSystem": "Degrees of visual angle from fixation, x to the right, y upward, as the "
        "subject sees the screen. Places in Axes are the middles of square cells that fill the field.",
        "FieldDiameter": made.field_deg, "FieldDiameterUnits": "deg",
        "RepetitionTime": made.tr_s, "StartTime": 0.0,
        "TimeZero": "The stamp of the first counted pulse: dummy volumes come before it and are not among the masks. "
        "Volume v (from 0) is the time from v to v + 1 repetition times after it.",
        "NumberOfVolumes": len(made.masks)}


def _axis(name: str, first: float, step: float, *, units: str) -> dict[str, Any]:
    return {"Name": name, "First": round(float(first), 9), "Step": round(float(step), 9), "Units": units}


def npz_axes(made: ApertureMovie) -> list[dict[str, Any]]:
    """Describe the axes of the array ``masks``: volume, row from the top, column from the left."""
    step = made.step_deg
    return [_axis("volume", 0.0, made.tr_s, units="s"), _axis("y", made.y_deg[0], -step, units="deg"),
            _axis("x", made.x_deg[0], step, units="deg")]


def nifti_axes(made: ApertureMovie) -> list[dict[str, Any]]:
    """Describe the axes of the NIfTI: column from the left, row from the bottom, one slice, volume."""
    step = made.step_deg
    return [_axis("x", made.x_deg[0], step, units="deg"), _axis("y", made.y_deg[-1], step, units="deg"),
            _axis("slice", 0.0, 1.0, units="1"), _axis("volume", 0.0, made.tr_s, units="s")]


def _write_npz(path: Path, made: ApertureMovie, *, overwrite: bool) -> None:
    """Write ``masks, x_deg, y_deg, tr_s, index``."""
    with whole_file(path, overwrite=overwrite) as beside:
        np.savez_compressed(beside, masks=made.masks, x_deg=made.x_deg, y_deg=made.y_deg,
                            tr_s=np.float64(made.tr_s), index=made.index,
                            format_version=np.int64(APERTURE_MASKS.version))


def _write_nifti(path: Path, made: ApertureMovie, *, overwrite: bool) -> None:
    """Write (n, n, 1, n_volumes) float32.

    The first axis runs to the right, the second upward; the affine gives degrees (in the place of millimetres), the
    fourth zoom the TR in seconds.
    """
    import nibabel

    step = made.step_deg
    affine = np.diag([step, step, 1.0, 1.0])
    affine[:2, 3] = made.x_deg[0], made.y_deg[-1]
    data = np.transpose(made.masks[:, ::-1, :], (2, 1, 0))[:, :, None, :]
    image = nibabel.Nifti1Image(np.ascontiguousarray(data), affine)
    image.header.set_zooms((step, step, 1.0, made.tr_s))
    image.header.set_xyzt_units(t="sec")
    image.header["descrip"] = b"apertures: x right, y up, degrees; see JSON"
    with whole_file(path, overwrite=overwrite) as beside:
        nibabel.save(image, beside)


def stim_table(made: ApertureMovie) -> bytes:
    """Give the index as a gzipped BIDS table without a header; the same movie gives the same bytes."""
    text = "".join(f"{aperture}\t{texture}\n" if aperture >= 0 else "n/a\tn/a\n"
                   for aperture, texture in ((int(a), int(t)) for a, t in made.index))
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.write(text.encode("ascii"))
    return buffer.getvalue()


def stim_sidecar(schedule: Schedule, *, rate_hz: float, delay_s: float = 0.0) -> dict[str, Any]:
    """Describe the index the BIDS way."""
    return {
        "SamplingFrequency": rate_hz, "StartTime": 0, "Columns": ["aperture_index", "texture_index"],
        "aperture_index": {"Description": f"Which aperture stood for most of the sample, from 1 in the order of first "
                           f"showing; 0 for none; n/a after the end of the record. The run showed {schedule.variant}."},
        "texture_index": {"Description": "Which texture was seen through it: place in the schedule's list of "
                          "textures, from 0; -1 for none.", "Textures": list(schedule.textures)},
        "schedule_digest": schedule.digest, **delay_told(delay_s)}


def write_stim(path: Path, made: ApertureMovie, *, schedule: Schedule, rate_hz: float, overwrite: bool = False,
               delay_s: float = 0.0) -> Path:
    """Write ``*_stim.tsv.gz`` and its sidecar."""
    write_json(path.with_name(path.name.removesuffix(".tsv.gz") + ".json"),
               stim_sidecar(schedule, rate_hz=rate_hz, delay_s=delay_s), overwrite=overwrite)
    return write_bytes(path, stim_table(made), overwrite=overwrite)


def export_apertures(layout: Layout, section: RetinotopySettings, *, schedule: Schedule,
                     records: list[Record]) -> list[Path]:
    """Write the aperture movie of a run as npz, NIfTI and BIDS ``_stim.tsv.gz``, in the place of an earlier one."""
    made = aperture_movie(schedule, records, section=section)
    npz, nifti = (layout.derivative(APERTURES, sub=schedule.sub, suffix=f"apertures.{kind}", ses=schedule.ses,
                                    task=schedule.task, run=schedule.run) for kind in ("npz", "nii.gz"))
    describe_derivative(layout, APERTURES)
    delay_s = display_delay_s(records)
    write_masks(npz, made, nifti=nifti, schedule=schedule, overwrite=True, delay_s=delay_s)
    stim = write_stim(layout.stim(schedule.key), made, schedule=schedule, rate_hz=section.step_hz, overwrite=True,
                      delay_s=delay_s)
    return [npz, nifti, stim]
