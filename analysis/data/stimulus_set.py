"""Under which settings the stimulus set was made, as its record tells."""

from __future__ import annotations

from subjects.errors import StoreError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.settings.history import as_made
from subjects.settings.images import StimuliSettings
from subjects.store import read_json


def stimuli_as_made(layout: Layout, stimuli: StimuliSettings) -> StimuliSettings:
    """Give the settings of a set that is there: a setting that is younger than the set has what was done then.

    Parameters
    ----------
    layout : Layout
    stimuli : StimuliSettings
        Today's.
    """
    try:
        recorded = read_json(sidecar_path(layout.manifest)).get("parameters")
    except StoreError:
        return stimuli
    return as_made(stimuli, recorded) if isinstance(recorded, dict) else stimuli
