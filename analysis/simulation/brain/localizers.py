"""What the localizers evoke in a virtual subject, area by area.

A response is given as the level to which it rises while blocks last, as a share of the mean response to an image of the
main experiment. Early areas answer to every condition, and a little more to scrambled images and to motion; the
contrast of LO and of hMT+ is large; where the two overlap, a vertex has both. Sizes are of the order of published block
designs (Malach et al. 1995 for objects against texture; Huk et al. 2002 for moving against static dots).

References
----------
Malach R et al. (1995) Object-related activity revealed by functional MRI in human occipital cortex. PNAS 92:8135-8139.
Huk AC, Dougherty RF, Heeger DJ (2002) Retinotopy and functional subdivision of human areas MT and MST. J Neurosci
22:7195-7205.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.simulation.brain.fields import AREAS, MOTION_AREA, FieldMap

Floats = NDArray[np.float64]
OBJECTS, DOTS = ("intact", "scrambled"), ("static", "moving")
RESPONSES: Mapping[str, Mapping[str, float]] = MappingProxyType({
    "V1": {"intact": 0.80, "scrambled": 0.95, "static": 0.45, "moving": 0.50},
    "V2": {"intact": 0.80, "scrambled": 0.90, "static": 0.45, "moving": 0.50},
    "V3": {"intact": 0.80, "scrambled": 0.85, "static": 0.45, "moving": 0.55},
    "V4": {"intact": 0.85, "scrambled": 0.75, "static": 0.35, "moving": 0.40},
    "LO": {"intact": 0.90, "scrambled": 0.35, "static": 0.25, "moving": 0.28},
    MOTION_AREA: {"intact": 0.30, "scrambled": 0.25, "static": 0.25, "moving": 0.90}})
"""Area and condition to the response, as a share of the mean response to an image."""
IMAGE_SHARE = 0.3
"""Response of hMT+ outside LO to any image of the main experiment, as a share of that mean."""
OUTLASTS_S = 0.5
"""A response outlasts its picture by this at most: pictures closer than that evoke one response without gaps."""
_LATE_S = 0.1  # pictures so much later than that are still of one block: frames are late at times


def localizer_responses(place: FieldMap, *, mean_pct: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Give every vertex's response to each condition of the localizers.

    Parameters
    ----------
    place : FieldMap
    mean_pct : float32 array, (n_vertices,)
        Size of the responses of each vertex, percent signal change.

    Returns
    -------
    dict of str to float32 array, (n_vertices,)
        ``"intact"``, ``"scrambled"``, ``"static"``, ``"moving"``: percent signal change; 0 outside the areas.
    """
    names = np.array(["", *AREAS])[place.areas]
    with_dots = np.where(place.motion, MOTION_AREA, names)
    found = {}
    for conditions, areas in ((OBJECTS, names), (DOTS, with_dots)):
        for condition in conditions:
            share = {name: RESPONSES[name][condition] for name in AREAS}
            found[condition] = mean_pct * np.array([share.get(str(name), 0.0) for name in areas], dtype=np.float32)
    return found


def neural_blocks(events: pd.DataFrame) -> tuple[list[str], Floats, Floats]:
    """Join the pictures of a localizer's run to what they evoke without a gap.

    Parameters
    ----------
    events : DataFrame
        A run's events table: ``onset``, ``duration``, ``trial_type``.

    Returns
    -------
    conditions : list of str
    onsets_s, durations_s : float64 array, (n_blocks,)
        A picture's response lasts until the next picture or :data:`OUTLASTS_S` past its own end, whichever comes first;
        neighbours of one condition are one block.
    """
    shown = events[events["trial_type"].isin((*OBJECTS, *DOTS))].sort_values("onset")
    onsets, durations = (shown[name].to_numpy(np.float64) for name in ("onset", "duration"))
    following = np.append(onsets[1:], np.inf)
    pictures = shown["image_id"].notna().to_numpy()
    ends = np.where(pictures, np.minimum(following, onsets + durations + OUTLASTS_S), onsets + durations)
    conditions, starts, stops = list[str](), list[float](), list[float]()
    for name, start, stop in zip(shown["trial_type"], onsets, ends, strict=True):
        if conditions and conditions[-1] == name and start - stops[-1] < _LATE_S:
            stops[-1] = stop
        else:
            conditions.append(str(name))
            starts.append(start)
            stops.append(stop)
    begin = np.array(starts, dtype=np.float64)
    return conditions, begin, np.array(stops, dtype=np.float64) - begin
