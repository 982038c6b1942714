"""Two readings of a network's last layer: its softmax, which the paper takes, and the logits before it."""

from __future__ import annotations

import pandas as pd

SOFTMAX, LOGITS = "softmax", "logits"
_BY = f" by {LOGITS}"


def by_logits(place: str) -> str:
    """Name a place of the network's table, read by the logits.

    Examples
    --------
    >>> by_logits("layer8")
    'layer8 by logits'
    """
    return place + _BY


def split_readings(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Part a network's table by the reading of its last layer.

    Parameters
    ----------
    table : DataFrame
        Columns ``place`` and ``comparison``; the rows by logits, of the last layer and of the trends, have places of
        their own (:func:`by_logits`). They are never another layer.

    Returns
    -------
    dict of str to DataFrame
        ``"softmax"``: the rows without those; ``"logits"``: the same with those in the place of the softmax's, if
        there are any. Both have one row a layer and comparison, and two trends.
    """
    if "place" not in table or not len(table):
        return {SOFTMAX: table}
    place = table["place"].astype(str)
    other = place.str.endswith(_BY)
    found = {SOFTMAX: table[~other].reset_index(drop=True)}
    if other.any():
        renamed = table[other].assign(place=place[other].str.removesuffix(_BY))
        replaced = found[SOFTMAX]["place"].isin(set(renamed["place"]))
        found[LOGITS] = pd.concat([found[SOFTMAX][~replaced], renamed], ignore_index=True)
    return found
