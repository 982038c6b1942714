"""Two readings of a network's last layer: its softmax, which the paper takes, and the logits before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from stimuli.feature_store import FeatureStore

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


def read_of(place: str) -> str:
    """Name what a place is a reading of.

    Examples
    --------
    >>> read_of("layer8 by logits"), read_of("layer8")
    ('layer8', 'layer8')
    """
    return place.removesuffix(_BY)


def named_layers(store: FeatureStore) -> dict[str, str]:
    """Name every layer as a place of the table, and the last one by the logits where they are stored."""
    return {**{layer: layer for layer in store.layers},
            **{by_logits(store.layers[-1]): name for name in store.readings if name == LOGITS}}


def split_readings(table: pd.DataFrame, *, column: str = "place") -> dict[str, pd.DataFrame]:
    """Part a network's table, or that of the models trained on it, by the reading of its last layer.

    Parameters
    ----------
    table : DataFrame
        The rows by logits, of the last layer and of the trends, have places of their own (:func:`by_logits`). They are
        never another layer.
    column : str
        Where the places are: ``"place"``, or ``"layer"`` of encoding models.

    Returns
    -------
    dict of str to DataFrame
        ``"softmax"``: the rows without those; ``"logits"``: the same with those in the place of the softmax's, if
        there are any. Both have the same rows, but for what they are read from.
    """
    if column not in table or not len(table):
        return {SOFTMAX: table}
    place = table[column].astype(str)
    other = place.str.endswith(_BY)
    found = {SOFTMAX: table[~other].reset_index(drop=True)}
    if other.any():
        renamed = table[other].assign(**{column: place[other].str.removesuffix(_BY)})
        replaced = found[SOFTMAX][column].isin(set(renamed[column]))
        found[LOGITS] = pd.concat([found[SOFTMAX][~replaced], renamed], ignore_index=True)
    return found
