"""The step ``propose`` with its picture: the proposed borders over the subject's own maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from analysis.regions.drawing.atlas import PROPOSED
from analysis.regions.drawing.proposing import ProposedHemisphere, plan_proposals
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.prf.maps import PrfHemisphere, draw_prf_maps
from analysis.report.figures.style import save
from analysis.steps import Request, Work


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the proposal for each subject."""
    return plan_proposals(request, draw)


def draw(found: Mapping[str, ProposedHemisphere], path: Path) -> None:
    """Draw maps and proposed borders as PNG and SVG."""
    flat = {hemi: FlatHemisphere(hemi, one.surface.flat, one.surface.faces, one.proposal.labels, {})
            for hemi, one in found.items()}
    hemispheres = [PrfHemisphere(flat=flat[hemi], maps=one.maps, show_r2_pct=one.r2_pct)
                   for hemi, one in found.items()]
    save(draw_prf_maps(hemispheres, regions=PROPOSED), path.parent, name=path.stem)
