"""Settings of the display, and degrees of visual angle in pixels."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from subjects.settings.section import Count, Positive, Section


class DisplaySettings(Section):
    """The projector and where the subject's eyes are. `photodiode` adds a square that turns at every change."""

    width_px: Count = 1920
    height_px: Count = 1080
    refresh_hz: Positive = 120.0
    width_cm: Positive = 89.0
    height_cm: Positive = 50.0
    distance_cm: Positive = 168.0
    background: Annotated[int, Field(ge=0, le=255)] = 127
    photodiode: bool = False

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
