"""Settings of the display, and degrees of visual angle in pixels."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from subjects.settings.section import Count, Positive, Section, described

Share = Annotated[float, Field(ge=0, le=1)]


class DisplaySettings(Section):
    """The projector and where the subject's eyes are. `photodiode` adds a square that turns at every change."""

    width_px: Count = described(1920, "Width of the picture.", unit="px", source="protocol 2")
    height_px: Count = described(1080, "Height of the picture.", unit="px", source="protocol 2")
    refresh_hz: Positive = described(120.0, "Refresh rate.", unit="Hz", source="protocol 2")
    width_cm: Positive = described(89.0, "Width of the picture where it is seen.", unit="cm", source="protocol 2")
    height_cm: Positive = described(50.0, "Height of the picture where it is seen.", unit="cm", source="protocol 2")
    distance_cm: Positive = described(168.0,
        "Way of the light from the picture to the eye, by the mirror.", unit="cm", source="protocol 2")
    background: Annotated[int, Field(ge=0, le=255)] = described(127,
        "Grey level of the background.", unit="0 to 255", source="protocol 3")
    screen: int | str | None = described(None,
        "The subject's screen, by index (from 0) or name as `python run_session.py screens` lists them; unset: the "
        "only one there is.", unit="index or name", since="0.2.0")
    only_screen: bool = described(False,
        "Allow the picture to fill the only screen there is: the operator sits at another computer, or the projector "
        "mirrors the operator's screen.", since="0.2.0")
    most_skipped: Share = described(0.01,
        "Share of a movie's steps (retinotopy, moving dots) that may be skipped; above it the verdict and the record "
        "call it a fault.", unit="share", since="0.2.0")
    longest_gap_s: Positive = described(0.25,
        "Longest time for which skipped steps may leave the movie standing.", unit="s", since="0.2.0")
    most_late: Share = described(0.01,
        "Share of all changes of the display that may come more than a frame late.", unit="share", since="0.2.0")
    delay_s: Annotated[float, Field(ge=0, le=0.5)] = described(0.0,
        "Time from a flip to the light on the subject's screen, as `run_session.py card --flashes 100` measures it; "
        "added to onsets.", unit="s", since="0.2.0")
    photodiode: bool = described(False,
        "Draw a square in the lower right corner that turns from black to white at every change.")

    def px_for(self, deg: float) -> float:
        """Give the extent in pixels of a centred stimulus of `deg` degrees of visual angle.

        The extent is ``2 * distance * tan(angle / 2)``, not a linear number of pixels a degree.

        Examples
        --------
        >>> round(DisplaySettings().px_for(12.0), 1)
        761.9
        """
        extent_cm = 2.0 * self.distance_cm * math.tan(math.radians(deg) / 2.0)
        return extent_cm * self.width_px / self.width_cm
