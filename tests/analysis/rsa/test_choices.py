"""Combinations of choices: the tests of `rsa` for each, and what a verdict hangs on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.rsa.choices import COLUMNS, Place, compare_choices, count_deciding, tabulate
from analysis.rsa.compare import compare_types, layer_trends
from analysis.rsa.rdm import RDM, compute_rdm
from analysis.statistics.readings import by_logits
from analysis.statistics.trend import mann_kendall
from subjects.provenance import derive_seed
from subjects.settings.analysis import RsaSettings

LABELS = tuple(f"image-{k:02d}" for k in range(12))
FEW = RsaSettings(n_permutations=60, n_bootstraps=60)


def _units(seed: int, *, like: np.ndarray | None = None, share: float = 0.7) -> np.ndarray:
    own = np.random.default_rng(seed).normal(size=(12, 30))
    return (own if like is None else share * like + (1 - share) * own).astype(np.float32)


def _rdm(units: np.ndarray) -> RDM:
    return compute_rdm(units, labels=LABELS)


def test_every_combination_has_the_numbers_that_rsa_gives_it() -> None:
    regular = _units(0)
    noise = {"6": _units(1), "12": _units(2, like=regular)}
    interference = {"own": _units(3, like=regular), "nearest": _units(4, like=regular, share=0.3)}
    found = compare_choices(Place(_rdm(regular), {name: _rdm(units) for name, units in noise.items()},
                                  {name: _rdm(units) for name, units in interference.items()}), settings=FEW, seed=8)
    for contrast, an in noise.items():
        for targets, ai in interference.items():
            wanted = compare_types({"RE": regular, "AN": an, "AI": ai}, labels=LABELS, settings=FEW, seed=8,
                                   percent=95).statistics
            for name, key in (("RE-AN", contrast), ("RE-AI", targets), ("RE-AI minus RE-AN", (contrast, targets))):
                assert found[name][key] == pytest.approx((wanted[name].effect, wanted[name].p))


def test_a_row_for_every_layer_and_trend_of_every_combination() -> None:
    layers = ("layer1", "layer2", "layer3")
    rng = np.random.default_rng(1)
    places = {place: Place(_rdm(rng.normal(size=(12, 9))), {"6": _rdm(rng.normal(size=(12, 9)))},
                           {name: _rdm(rng.normal(size=(12, 9))) for name in ("own", "any")})
              for place in (*layers, by_logits("layer3"))}
    table = pd.DataFrame(tabulate(places, layers=layers, tap="after", network="net", settings=FEW, seed=4))
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * 2 * (3 * 3 + 2)
    own = table[(table["targets"] == "own") & (table["comparison"] == "RE-AI")].pivot_table(
        index="place", columns="reading", values="effect")
    assert own["softmax"][:2].tolist() == own["logits"][:2].tolist()
    assert own["softmax"]["layer3"] != own["logits"]["layer3"]
    seed = derive_seed(4, "net", by_logits("layer3"), "rsa")
    assert own["logits"]["layer3"] == compare_choices(places[by_logits("layer3")], settings=FEW,
                                                      seed=seed)["RE-AI"]["own"][0]
    trends = table[(table["targets"] == "own") & (table["place"] == "layers") & (table["reading"] == "logits")]
    assert dict(zip(trends["comparison"], zip(trends["effect"], trends["p"], strict=True), strict=True))[
        "trend RE-AI"] == mann_kendall(own["logits"].tolist())
    assert set(trends["comparison"]) == set(layer_trends({"RE-AN": [1.0, 2.0, 3.0], "RE-AI": [1.0, 2.0, 3.0]}))


def test_a_claim_hangs_on_what_changes_it_and_on_nothing_else() -> None:
    """Holds if the contrast is 12 by the logits: contrast decides in half of the settings, reading too; tap never."""
    rows = [{"contrast": contrast, "targets": "own", "tap": tap, "reading": reading,
             "N2": contrast == "12" and reading == "logits"}
            for contrast in ("6", "12", "24") for tap in ("after", "before") for reading in ("softmax", "logits")]
    table = pd.DataFrame(rows)
    assert count_deciding(table, claim="N2", factor="contrast") == (2, 4)
    assert count_deciding(table, claim="N2", factor="reading") == (2, 6)
    assert count_deciding(table, claim="N2", factor="tap") == (0, 6)
    assert count_deciding(table, claim="N2", factor="targets") == (0, 12)
