"""The settings of what is scanned beside the runs: it is no paradigm, and belongs on the run sheet all the same."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from subjects.settings.section import Section, described

Some = Annotated[int, Field(ge=0)]


class ScansSettings(Section):
    """Scans beside the runs, for the run sheet: how many of each a session has."""

    localizers: Some = described(1, "Localizer (scout) scans at the start of each session.", since="0.2.0")
    field_maps: Some = described(3,
        "B0 field maps of each session, spread evenly: one comes before each of as many shares of the runs.",
        source="protocol 5", since="0.2.0")
    t1: tuple[Some, ...] = described((1,),
        "T1-weighted images of each session, in order, after its runs; sessions past the last have none.",
        source="protocol 5", since="0.2.0")

    def counts(self, ses: int) -> dict[str, int]:
        """Count the scans of each kind of a session, which is numbered from 1.

        Examples
        --------
        >>> ScansSettings().counts(2)
        {'localizer': 1, 'field map': 3, 'T1': 0}
        """
        return {"localizer": self.localizers, "field map": self.field_maps,
                "T1": self.t1[ses - 1] if ses <= len(self.t1) else 0}
