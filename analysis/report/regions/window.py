"""A window in which regions are drawn as polygons on the flat angle and eccentricity maps.

Everything that a key or click does is a method, so that a file of polygons does the same without a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.backend_bases import Event, KeyEvent
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.widgets import PolygonSelector
from numpy.typing import NDArray

from analysis.data.surface import Surface
from analysis.regions.drawing.outlines import Polygons, label_polygons, write_freesurfer_label, write_polygons
from analysis.report.figures.prf.maps import PrfHemisphere, draw_map
from analysis.report.figures.style import INK, MUTED, PAPER, REGION_COLORS
from subjects.errors import AnalysisError

MAPS = {"angle_deg": "polar angle", "eccentricity_deg": "eccentricity", "r2_pct": "variance explained"}
"""Maps that are gone through, and what they are called above the picture."""
HELP = ("click: corners, the first one again closes   1-9: region   m: map   backspace: last polygon away   "
        "esc: begin again   w: write")
EMPTY = "nothing drawn yet"
_SIDES = {"L": "lh", "R": "rh"}
_FEWEST = 3


class Drawing:
    """The regions of a hemisphere as polygons, and the window that shows them.

    Parameters
    ----------
    figure : Figure
        Empty; of any backend.
    hemisphere : PrfHemisphere
    surface : Surface
        The mesh of the maps.
    regions : sequence of str
        The study's, in the order of their keys.
    path : Path
        File of polygons; labels are written beside it.
    polygons : mapping of str to sequence of float64 array, optional
        Where to begin.
    """

    def __init__(self, figure: Figure, *, hemisphere: PrfHemisphere, surface: Surface, regions: Sequence[str],
                 path: Path, polygons: Polygons | None = None) -> None:
        self.regions, self.path = tuple(regions), path
        self.polygons: dict[str, list[NDArray[np.float64]]] = {
            name: [np.asarray(one, dtype=np.float64) for one in outlines]
            for name, outlines in (polygons or {}).items()}
        self.region, self._map, self.said = self.regions[0], 0, EMPTY
        self._hemisphere, self._surface, self._figure = hemisphere, surface, figure
        self._axes, self._legend = figure.add_axes((0.02, 0.05, 0.8, 0.84)), figure.add_axes((0.83, 0.4, 0.14, 0.2))
        figure.text(0.5, 0.015, HELP, ha="center", fontsize=7.5, color=MUTED)
        self._lines: list[Line2D] = []
        self._show_map()
        self._selector = PolygonSelector(self._axes, cast("Any", self._closed), useblit=False,
                                         props={"color": INK, "linewidth": 1.2})
        figure.canvas.mpl_connect("key_press_event", self._pressed)
        self._refresh()

    def add(self, corners: Sequence[Sequence[float]] | NDArray[np.float64]) -> None:
        """Add a polygon to the region at hand."""
        outline = np.asarray(corners, dtype=np.float64)
        if len(outline) < _FEWEST:
            return
        self.polygons.setdefault(self.region, []).append(outline)
        self.said = self.count()
        self._refresh()

    def remove_last(self) -> None:
        """Take the last polygon of the region at hand away."""
        outlines = self.polygons.get(self.region, [])
        if outlines:
            outlines.pop()
        if not outlines:
            self.polygons.pop(self.region, None)
        self.said = self.count()
        self._refresh()

    def choose(self, region: str) -> None:
        """Draw another region from now on."""
        self.region, self.said = region, self.count()
        self._refresh()

    def next_map(self) -> None:
        """Show another map."""
        self._map = (self._map + 1) % len(MAPS)
        self._show_map()
        self._refresh()

    def labels(self) -> NDArray[np.int16]:
        """Label the vertices within the polygons; see :func:`.outlines.label_polygons`."""
        return label_polygons(self._surface.flat, self.polygons, names=self.regions, where=self.path.name)

    def count(self) -> str:
        """Say how many vertices each region has, or what is wrong."""
        try:
            labels = self.labels()
        except AnalysisError as error:
            return f"{error.where}: {error.came}; expected {error.expected}"
        counts = {name: int((labels == k).sum()) for k, name in enumerate(self.regions, start=1)}
        return "   ".join(f"{name} {n}" for name, n in counts.items() if n) or EMPTY

    def write(self) -> list[Path]:
        """Write the polygons, and each region's label beside them; labels of regions that are gone are removed.

        Raises
        ------
        AnalysisError
            If two regions overlap: the polygons are written even so, and no label.
        """
        hemi = self._surface.hemi
        written = [write_polygons(self.path, self.polygons, hemi=hemi, flat=self._surface.flat, overwrite=True)]
        labels = self.labels()
        for k, name in enumerate(self.regions, start=1):
            target, inside = self.path.with_name(f"{_SIDES[hemi]}.{name}.label"), np.flatnonzero(labels == k)
            if len(inside):
                written.append(write_freesurfer_label(target, inside, points=self._surface.vertices, overwrite=True))
            else:
                target.unlink(missing_ok=True)
        return written

    def _closed(self, corners: Sequence[tuple[float, float]]) -> None:
        self.add(np.array(corners))
        self._selector.clear()

    def _pressed(self, event: Event) -> None:
        key = event.key if isinstance(event, KeyEvent) else None
        if key is not None and key.isdigit() and 1 <= int(key) <= len(self.regions):
            self.choose(self.regions[int(key) - 1])
        elif key == "m":
            self.next_map()
        elif key == "backspace":
            self.remove_last()
        elif key == "w":
            try:
                self.said = f"written: {', '.join(path.name for path in self.write())}"
            except AnalysisError as error:
                self.said = f"polygons written, no labels: {error.where}: {error.came}"
            self._refresh()

    def _show_map(self) -> None:
        for image in list(self._axes.images):
            image.remove()
        self._figure.delaxes(self._legend)
        self._legend = self._figure.add_axes((0.83, 0.4, 0.14, 0.2))
        low, high = draw_map(self._axes, self._hemisphere, name=self._name, legend=self._legend)
        self._axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        self._axes.set_axis_off()

    @property
    def _name(self) -> str:
        return tuple(MAPS)[self._map]

    def _refresh(self) -> None:
        for line in self._lines:
            line.remove()
        self._lines = []
        for name, outlines in self.polygons.items():
            for corners in outlines:
                closed = np.concatenate([corners, corners[:1]])
                self._lines += self._axes.plot(closed[:, 0], closed[:, 1], color=REGION_COLORS.get(name, MUTED),
                                               linewidth=2.4 if name == self.region else 1.2, label=name,
                                               path_effects=[withStroke(linewidth=4.0, foreground=PAPER, alpha=0.8)])
        number = self.regions.index(self.region) + 1
        self._figure.suptitle(f"{number}: {self.region}   on {MAPS[self._name]}\n{self.said}", fontsize=9)
        self._figure.canvas.draw_idle()


def require_window() -> None:
    """See that figures can open a window here.

    Raises
    ------
    AnalysisError
        Naming what else can be done.
    """
    import matplotlib.pyplot as plt

    tried = plt.figure()
    framework = tried.canvas.required_interactive_framework
    plt.close(tried)
    if framework is None:
        raise AnalysisError("a window to draw in", came=f"matplotlib's backend {plt.get_backend()}, which opens none",
                            expected="a display, and tkinter or PyQt6",
                            remedy="Run it on a computer with a display, or write the polygons into a file and say "
                                   "--no-window.")


def starting_polygons(path: Path, *, read: Mapping[str, Sequence[NDArray[np.float64]]] | None) -> Polygons:
    """Give the polygons of a file, which must be there where no window is opened.

    Raises
    ------
    AnalysisError
        If there is no file.
    """
    if read is None:
        raise AnalysisError(str(path), came="no such file", expected="polygons on the flat map",
                            remedy="Draw them without --no-window, or name their file with --polygons.")
    return read
