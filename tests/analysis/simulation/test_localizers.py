"""Localizers: pictures that follow one another evoke blocks, and areas answer as the table says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.simulation.brain.fields import AREAS
from analysis.simulation.brain.localizers import RESPONSES, localizer_responses, neural_blocks
from analysis.simulation.brain.meshes import anatomy
from paradigms.tasks.lo_localizer import make_schedule as plan_lo
from paradigms.tasks.motion_localizer import make_schedule as plan_motion
from subjects.run_key import RunKey
from subjects.settings.study import LoSettings, Settings
from tests.paradigms.texture_rows import rows


def events_of(schedule) -> pd.DataFrame:
    return pd.DataFrame([{"onset": one.onset_s, "duration": one.duration_s, "trial_type": one.trial_type,
                          "image_id": one.image_id} for one in schedule.events])


def test_blocks_of_pictures_become_blocks():
    schedule = plan_lo(Settings(), textures=rows(), key=RunKey("01", "01", "lo", 1))
    conditions, onsets, durations = neural_blocks(events_of(schedule))
    assert conditions == ["intact", "scrambled"] * 8
    blanks = np.arange(0, 21, 5) * 16.0
    assert sorted({*onsets, *blanks}) == [16.0 * k for k in range(21)]
    assert durations == pytest.approx(16.0)


def test_late_frames_do_not_break_a_block():
    events = events_of(plan_lo(Settings(), textures=rows(), key=RunKey("01", "01", "lo", 1)))
    events["onset"] += np.random.default_rng(0).choice([0.0, 0.004, 0.0167, 0.033], len(events))
    assert neural_blocks(events)[0] == ["intact", "scrambled"] * 8


def test_alternating_pictures_stay_apart():
    schedule = plan_lo(Settings(lo=LoSettings(design="within")), textures=rows(), key=RunKey("01", "01", "lo", 1))
    conditions, onsets, durations = neural_blocks(events_of(schedule))
    assert conditions == ["intact", "scrambled"] * 160
    assert np.median(durations) == pytest.approx(0.8)
    assert durations.sum() == pytest.approx(16 * 16.0)
    assert (np.diff(onsets) > 0.79).all()


def test_dots_last_as_long_as_they_are_shown():
    schedule = plan_motion(Settings(), key=RunKey("01", "01", "motion", 1))
    conditions, onsets, durations = neural_blocks(events_of(schedule))
    assert conditions == ["static", "moving"] * 10
    assert durations.tolist() == [24.0, 8.0] * 10
    assert onsets[0] == 8.0


def test_a_picture_that_stands_alone_outlasts_itself_a_little():
    events = pd.DataFrame({"onset": [1.0, 30.0], "duration": [0.3, 0.3], "trial_type": ["intact", "intact"],
                           "image_id": ["a", "b"]})
    _, onsets, durations = neural_blocks(events)
    assert onsets.tolist() == [1.0, 30.0]
    assert durations == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("hemi", ["L", "R"])
def test_areas_answer_by_the_table_and_the_overlap_to_both(hemi):
    place = anatomy(hemi, mesh="occipital", atlas="analytic", subdivisions=0).place
    found = localizer_responses(place, mean_pct=np.full(len(place.areas), 2.0, np.float32))
    for k, name in enumerate(AREAS, start=1):
        inside = (place.areas == k) & ~place.motion if name != "hMT+" else place.areas == k
        for condition, share in RESPONSES[name].items():
            assert found[condition][inside] == pytest.approx(2.0 * share)
    both = place.motion & (place.areas == AREAS.index("LO") + 1)
    assert (found["intact"] - found["scrambled"])[both] == pytest.approx(1.1)
    assert (found["moving"] - found["static"])[both] == pytest.approx(1.3)
    for values in found.values():
        assert not values[place.areas == 0].any()
