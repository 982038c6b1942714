"""Result tables made by hand, in which every claim of the paper holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

REGIONS = ("V1", "V2", "V3", "V4", "LO")
LAYERS = tuple(f"layer{k}" for k in range(1, 9))
RE_AI = (0.97, 0.93, 0.88, 0.80, 0.74, 0.60, 0.48, 0.22)
RE_AN = (-0.02, 0.05, 0.15, 0.18, 0.24, 0.33, 0.41, 0.66)


def _row(**values: object) -> dict[str, object]:
    return {"n": 40, "n_resamples": 1000, "seed": 123456789012, "test": "made by hand", "correction": "none", **values}


def _spread(effect: float, width: float) -> dict[str, float]:
    return {"effect": effect, "low": effect - width, "high": effect + width}


def brain_table(subjects: tuple[str, ...] = ("01", "02", "03")) -> pd.DataFrame:
    rows = []
    for s, sub in enumerate(subjects):
        for k, roi in enumerate(REGIONS):
            ai, an = 0.55 - 0.06 * k + 0.02 * s, 0.04 * (k % 3) - 0.03
            ceiling = {"ceiling_low": ai + 0.1, "ceiling_high": ai + 0.22}
            common = {"system": "brain", "sub": sub, "place": roi, **ceiling}
            rows += [_row(**common, comparison="RE-AN", p=0.4, **_spread(an, 0.02)),
                     _row(**common, comparison="RE-AI", p=1 / 1001, **_spread(ai, 0.03)),
                     _row(**common, comparison="RE-AI minus RE-AN", p=2 / 1001, **_spread(ai - an, 0.08))]
    return pd.DataFrame(rows)


def network_table() -> pd.DataFrame:
    rows = []
    for layer, ai, an in zip(LAYERS, RE_AI, RE_AN, strict=True):
        common = {"system": "network", "sub": "", "place": layer, "ceiling_low": np.nan, "ceiling_high": np.nan}
        early = layer in ("layer1", "layer2")
        rows += [_row(**common, comparison="RE-AN", p=0.3 if early else 1 / 1001, **_spread(an, 0.03)),
                 _row(**common, comparison="RE-AI", p=1 / 1001, **_spread(ai, 0.02)),
                 _row(**common, comparison="RE-AI minus RE-AN", p=0.375 if layer == "layer7" else 2 / 1001,
                      **_spread(ai - an, 0.1))]
    rows += [_row(system="network", sub="", place="layers", comparison=comparison, effect=tau, low=np.nan,
                  high=np.nan, p=4.96e-5, ceiling_low=np.nan, ceiling_high=np.nan)
             for comparison, tau in (("trend RE-AN", 1.0), ("trend RE-AI", -1.0))]
    return pd.DataFrame(rows)


def encoding_table(subjects: tuple[str, ...] = ("01", "02", "03")) -> pd.DataFrame:
    rows, control = [], []
    for s, sub in enumerate(subjects):
        for r, roi in enumerate(REGIONS):
            for k, layer in enumerate(LAYERS):
                ai, an = 0.42 - 0.03 * r - 0.025 * k + 0.01 * s, 0.03 * ((k + r) % 3 - 1)
                common = {"sub": sub, "roi": roi, "layer": layer, "sparsity": 2, "ceiling_low": 0.8,
                          "ceiling_high": 0.8, "paper_effect": 0.1, "paper_low": 0.0,
                          "paper_high": 0.2, "paper_p": 0.01, "paper_p_mean": np.nan}
                control.append(_row(**common, type="RE", p=1 / 1001, **_spread(ai + 0.03, 0.05)))
                rows += [_row(**common, type="AN", p=0.5, **_spread(an, 0.02)),
                         _row(**common, type="AI", p=1 / 1001, **_spread(ai, 0.03)),
                         _row(**common, type="AI minus AN", p=2 / 1001, **_spread(ai - an, 0.04))]
    digests = {"digest_images": "1" * 16, "digest_data": "2" * 16, "digest_settings": "3" * 16}
    table = pd.DataFrame([*rows, *control])
    return table.assign(p_corrected=table["p"], **digests)


def hierarchy_table(subjects: tuple[str, ...] = ("01", "02", "03")) -> pd.DataFrame:
    """AI: low layers take more vertices than high ones, and high ones more in LO than in V1; AN: neither."""
    rows = []
    for sub in subjects:
        s = int(sub) - 1
        for r, roi in enumerate(REGIONS):
            for presentation in (1, 2):
                for kind in ("AN", "AI"):
                    slope = (6 - r) * (10 + s) if kind == "AI" else 10 * ((s + r + presentation) % 3 - 1)
                    counts = [150 + round(slope * (3.5 - k) / 2) for k in range(8)]
                    shares = {**dict(zip(LAYERS, counts, strict=True)), "none": 2000 - sum(counts)}
                    rows += [{"sub": sub, "roi": roi, "reading": "softmax", "type": kind, "presentation": presentation,
                              "layer": layer, "n": n, "n_vertices": 2000, "share": n / 2000}
                             for layer, n in shares.items()]
    return pd.DataFrame(rows)


def changed(table: pd.DataFrame, where: dict[str, object], **values: object) -> pd.DataFrame:
    """Copy a table with the row(s) at `where` changed."""
    copy = table.copy()
    rows = np.logical_and.reduce([copy[key] == value for key, value in where.items()])
    assert rows.any()
    for name, value in values.items():
        copy.loc[rows, name] = value
    return copy
