"""How well planted LO and hMT+ come back, what is found beside them, and what the design within blocks can find.

    PYTHONPATH=. python benchmarks/localizers.py [--subjects 10] [--null 20]

Virtual subjects on one hemisphere of the occipital patch (refined once): two runs of each localizer as they are played,
the default noise, responses that vary in lag and width; p < .05 two-tailed, uncorrected. Printed: Dice of LO (without
what hMT+ holds) and of hMT+ over the whole patch without pieces below 20 mm2 (the default), with them, and within an
outline of 10 mm around what was planted, V1 to V4 left out; of hMT+ the share of each planted area that is called hMT+;
the share of the mesh that is positive in null subjects; and, for both designs of LO, the correlation of the two
predictions and the contrast's error. Medians over subjects (means for shares of null subjects).
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from analysis.glm.design import Sampling
from analysis.regions.localizing.contrasts import (
    LOCALIZERS,
    correlate_predictions,
    in_one_piece,
    positive_vertices,
    separate_areas,
)
from analysis.simulation.brain.fields import AREAS, MOTION_AREA
from subjects.settings.analysis import LocalizerSettings
from tests.analysis.regions.test_localizers import DISCARDED, N_VOLUMES, TR_S, brain, contrast_of, dice, model_of, plan

Mask = NDArray[np.bool_]


def outline() -> tuple[Mask, Mask, Mask]:
    """Give planted LO without the overlap, planted hMT+, and what one would draw around both by hand."""
    place = brain().place
    objects = place.areas == AREAS.index("LO") + 1
    early = (place.areas > 0) & (place.areas <= AREAS.index("V4") + 1)
    near = brain().surface.distance_to(np.flatnonzero(objects | place.motion)) <= 10.0
    return objects & ~place.motion, place.motion, near & ~early


def subjects(n: int) -> None:
    """Print Dice, and where hMT+ is found beside the planted one."""
    lo, motion, hand = outline()
    place, rows, where = brain().place, [], []
    for seed in range(n):
        maps = [contrast_of(task, seed=100 + seed) for task in ("lo", "motion")]
        found = [positive_vertices(one).mask for one in maps]
        surface = brain().surface
        pieces = [in_one_piece(positive_vertices(one), edges=surface.edges, extents=surface.vertex_areas(),
                               least_mm2=LocalizerSettings().min_area_mm2).mask for one in maps]
        rates = separate_areas(*(positive_vertices(one, correction="fdr").mask for one in maps))
        row = [one for areas in (separate_areas(*pieces), separate_areas(*found), rates,
                                 separate_areas(*found, within=hand))
               for one in (dice(areas.lo, lo), dice(areas.motion, motion))]
        rows.append(row)
        where.append([*(found[1][(place.areas == k) & ~motion].mean() for k in range(len(AREAS))),
                      found[1][motion].mean()])
    names = ("over the whole patch", "with scattered vertices, as in the paper",
             "with them and a false discovery rate of .05", "within an outline, uncorrected")
    for name, pair in zip(names, np.median(rows, axis=0).reshape(4, 2), strict=True):
        print(f"Dice, {n} subjects, {name}: LO {pair[0]:.2f}, hMT+ {pair[1]:.2f}", flush=True)
    places = ("no area", *AREAS[:-1], f"planted {MOTION_AREA}")
    print("called hMT+: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in
                                      zip(places, np.mean(where, axis=0), strict=True)), flush=True)


def nulls(n: int) -> None:
    """Print the share of the mesh that is positive where nothing answers."""
    for task in ("lo", "motion"):
        maps = [contrast_of(task, seed=500 + seed, null=True) for seed in range(n)]
        shares = [100 * positive_vertices(one).mask.mean() for one in maps]
        print(f"null, {n} subjects, {LOCALIZERS[task].area}: {np.mean(shares):.2f} +- "
              f"{np.std(shares, ddof=1) / np.sqrt(n):.2f} % positive (SD over subjects {np.std(shares, ddof=1):.2f}); "
              "expected 2.5", flush=True)


def designs() -> None:
    """Print what both designs of LO can tell."""
    planted = brain().place.areas == AREAS.index("LO") + 1
    sampling = Sampling(n_volumes=N_VOLUMES, tr_s=TR_S, n_discarded=DISCARDED["lo"])
    for design in ("blocks", "within"):
        model = model_of([plan("lo", run=run, design=design) for run in (1, 2)], sampling=sampling, task="lo")
        alike = correlate_predictions(model, localizer=LOCALIZERS["lo"], where=design)
        found = contrast_of("lo", design=design)
        percent, error = (100 * np.median(values[planted]) / 800 for values in (found.effect, found.error))
        share = 100 * positive_vertices(found).mask[planted].mean()
        print(f"lo.design = {design}: predictions r = {alike:.4f}, contrast in LO {percent:.2f} % (median, standard "
              f"error {error:.2f}), {share:.0f} % of planted LO found", flush=True)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--null", type=int, default=20)
    given = parser.parse_args()
    designs()
    subjects(given.subjects)
    nulls(given.null)


if __name__ == "__main__":
    main()
