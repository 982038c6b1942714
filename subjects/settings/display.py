"""Settings of the display, and degrees of visual angle in pixels."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from subjects.errors import SettingsError
from subjects.settings.section import Count, Level, NotNegative, Positive, Section, described

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    gamma: Annotated[float, Field(gt=0, le=5)] | None = described(None,
        "Gamma of the display, with `black_cd_m2` and `white_cd_m2`, where no `curve` is measured; unset: not known.",
        since="0.2.0")
    black_cd_m2: NotNegative = described(0.0, "Luminance of level 0, with `gamma`.", unit="cd/m2", since="0.2.0")
    white_cd_m2: Positive = described(100.0, "Luminance of level 255, with `gamma`.", unit="cd/m2", since="0.2.0")
    curve: tuple[tuple[Level, NotNegative], ...] = described((), "Luminance as it was measured: grey levels, 0 and 255 "
        "among them, each with its luminance; between them it is interpolated.", unit="level, cd/m2", since="0.2.0")
    linearise: bool = described(False, "Show levels through a table that makes luminance linear in them, between black "
        "and white; wants `curve` or `gamma`.", since="0.2.0")
    photodiode: bool = described(False,
        "Draw a square in the lower right corner that turns from black to white at every change.")

    @model_validator(mode="after")
    def _curve_rises(self) -> DisplaySettings:
        levels, lights = [pair[0] for pair in self.curve], [pair[1] for pair in self.curve]
        if self.curve and (levels[0] != 0 or levels[-1] != 255 or levels != sorted(set(levels))
                           or any(b < a for a, b in itertools.pairwise(lights)) or lights[0] == lights[-1]):
            raise ValueError("curve wants levels from 0 to 255, each once and in order, and luminances that rise")
        if self.white_cd_m2 <= self.black_cd_m2:
            raise ValueError("white_cd_m2 is not above black_cd_m2")
        return self

    @property
    def is_calibrated(self) -> bool:
        """Whether luminances are known."""
        return bool(self.curve) or self.gamma is not None

    def luminance_of(self) -> NDArray[np.float64]:
        """Give the display's own luminance at each of its levels 0 to 255, in cd/m2, before any table.

        The curve by linear interpolation, else ``black + (white - black) * (level / 255) ** gamma``.
        """
        import numpy as np  # not needed to print a help text

        levels = np.arange(256.0)
        if self.curve:
            known, light = np.asarray(self.curve, dtype=np.float64).T
            return np.asarray(np.interp(levels, known, light), dtype=np.float64)
        gamma = 1.0 if self.gamma is None else self.gamma
        return np.asarray(self.black_cd_m2 + (self.white_cd_m2 - self.black_cd_m2) * (levels / 255.0) ** gamma)

    def level_table(self) -> NDArray[np.uint8]:
        """Give the level that is sent to the display for each level of a picture; without a table it is the same.

        With ``linearise`` each goes to the level whose luminance is nearest to the one on the straight line from
        black to white.

        Raises
        ------
        SettingsError
            With ``linearise`` and neither curve nor gamma (which may come from another file than it).
        """
        import numpy as np

        if not self.linearise:
            return np.arange(256, dtype=np.uint8)
        if not self.is_calibrated:
            raise SettingsError("display.linearise", came="neither display.curve nor display.gamma",
                                expected="a calibrated display", remedy="Measure it (docs/luminance.md), or set it to "
                                "false.")
        light = self.luminance_of()
        wanted = light[0] + (light[-1] - light[0]) * np.arange(256) / 255.0
        return np.asarray(np.abs(light[None, :] - wanted[:, None]).argmin(axis=1), dtype=np.uint8)

    def mean_luminance(self, pixels: NDArray[np.uint8]) -> float:
        """Give the mean luminance of a picture as it is shown, in cd/m2, by the Rec. 709 weights of its three colours.

        A curve is measured on greys: for colours this is what a grey of the same weighted light would give.
        """
        import numpy as np

        shown = self.luminance_of()[self.level_table()]
        weights = np.array([0.2126, 0.7152, 0.0722])
        return float((shown[pixels.reshape(-1, 3)].mean(axis=0) * weights).sum())

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
