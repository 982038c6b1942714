"""The step ``apertures``: a contact sheet of what every retinotopy run showed, and which movies are too short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from analysis.data.timeseries import count_volumes, read_sessions
from analysis.regions.prf.movies import Movie, lacking, read_export, read_movie
from analysis.regions.prf.run import TASK, aperture_path
from analysis.report.figures.prf.aperture_sheet import draw_aperture_sheet
from analysis.steps import Extras, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.analysis import PrfSettings
from subjects.store import read_json, whole_file

_SHAPING = ("apertures", "aperture_array", "aperture_width_deg", "aperture_height_deg", "aperture_tr_s")


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the sheets of each subject."""
    chosen = request.settings
    subjects = [Sheets(layout=request.layout, sub=sub, settings=chosen.prf, tr_s=chosen.scanner.tr_s)
                for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=tuple(one.paths.values()), origin=one.origin,
                      make=one.make, check=one.check, tell=one.tell) for one in subjects)


@dataclass(frozen=True, kw_only=True)
class Sheets:
    """The contact sheets of one subject, a PNG a run.

    Parameters
    ----------
    layout : Layout
    sub : str
    settings : PrfSettings
    tr_s : float
        Repetition time.
    """

    layout: Layout
    sub: str
    settings: PrfSettings
    tr_s: float

    @cached_property
    def volumes(self) -> dict[RunKey, int]:
        """Run, or part of one, to how many volumes were taken."""
        sessions = read_sessions(self.layout, sub=self.sub, task=TASK).values()
        return {key: count_volumes(events) for session in sessions for key, events in session.items()}

    @property
    def paths(self) -> dict[RunKey, Path]:
        """Run to sheet."""
        folder = self.layout.derivatives("prf") / f"sub-{self.sub}"
        return {key: folder / f"{key}_apertures.png" for key in self.volumes}

    def origin(self, path: Path) -> Origin:
        """Say what a sheet is drawn from."""
        key = next(key for key, one in self.paths.items() if one == path)
        return Origin({"apertures": aperture_path(self.layout, key, pattern=self.settings.apertures)},
                      {"n_volumes": self.volumes[key], "tr_s": self.tr_s,
                       **self.settings.model_dump(mode="json", include=set(_SHAPING))})

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Draw all sheets; give what then writes them."""
        drawn = {key: self._draw(key) for key in progress(self.paths, label=f"apertures sub-{self.sub}",
                                                          total=len(self.paths))}
        return lambda: self._write(drawn)

    def _draw(self, key: RunKey) -> tuple[Image.Image, str]:
        movie = self._read(key)
        said = lacking(movie, n_volumes=self.volumes[key], tr_s=self.tr_s)
        return draw_aperture_sheet(movie, title=str(key), tr_s=self.tr_s, lacking=said), said

    def _read(self, key: RunKey) -> Movie:
        path = aperture_path(self.layout, key, pattern=self.settings.apertures)
        return read_movie(path, settings=self.settings, tr_s=self.tr_s) if self.settings.apertures else \
            read_export(path)

    def _write(self, drawn: dict[RunKey, tuple[Image.Image, str]]) -> Extras:
        describe_derivative(self.layout, "prf")
        for key, (sheet, _) in drawn.items():
            with whole_file(self.paths[key], overwrite=True) as beside:
                sheet.save(beside, format="PNG")
        return {self.paths[key]: {"Lacking": said} for key, (_, said) in drawn.items()}

    def check(self) -> None:
        """See that the sheets' sidecars can be read."""
        for path in self.paths.values():
            read_json(sidecar_path(path))

    def tell(self) -> str:
        """Name the movies that are shorter than their runs."""
        short = {key: said for key, path in self.paths.items() if (said := read_json(sidecar_path(path))["Lacking"])}
        named = "; ".join(f"{key}: {said}" for key, said in short.items())
        return f"apertures of sub-{self.sub}, {len(self.paths)} runs" + (f"; TOO SHORT: {named}" if short else "")
