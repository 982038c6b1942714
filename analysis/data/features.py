"""Which network an analysis is about, and its responses to the images."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

from stimuli.feature_store import FeatureStore, open_store
from stimuli.manifest import read_set_networks
from subjects.errors import AnalysisError, StoreError, nearest
from subjects.layout import Layout, network_label
from subjects.provenance import sidecar_path
from subjects.store import read_json
from subjects.upkeep.cleaning import DROPPED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChosenNetwork:
    """A network to analyse.

    Parameters
    ----------
    name : str
        As the set's manifest, or the person who asked, spells it.
    features : Path
        Where its responses are.
    digest : str or None
        Digest that the responses must carry; None for another network than the set's, of which nothing is known.
    second : bool
        Whether it is the second network of a set of two.
    """

    name: str
    features: Path
    digest: str | None
    second: bool = False

    @property
    def of_set(self) -> bool:
        """Whether the stimulus set was made with it."""
        return self.digest is not None

    @property
    def entities(self) -> dict[str, str]:
        """What marks files that are made with it; those of the set's network, the first of two, have no mark."""
        return {} if self.of_set and not self.second else {"network": network_label(self.name)}


def choose_network(layout: Layout, asked: str | None = None) -> ChosenNetwork:
    """Take the network that the stimulus set was made with, or another one that was asked for.

    Parameters
    ----------
    layout : Layout
    asked : str, optional
        Name of another network, for comparison; or the ``module:function`` that gave it.
    """
    for k, one in enumerate(read_set_networks(layout.manifest)):
        if asked in (None, one.name, one.function):
            return ChosenNetwork(one.name, layout.features(one.name), one.digest, second=k > 0)
    name = _name_of_function(layout, str(asked)) if ":" in str(asked) else str(asked)
    return ChosenNetwork(name, layout.features(name), None)


def networks_of_set(layout: Layout) -> tuple[ChosenNetwork, ...]:
    """Give the networks that the stimulus set was made with: one, or two."""
    return tuple(choose_network(layout, one.name) for one in read_set_networks(layout.manifest))


def _name_of_function(layout: Layout, asked: str) -> str:
    """Give the name of the network that a function of the user's own gave when its responses were taken."""
    for path in sorted(layout.features("x").parent.glob("network-*_features.json")):
        try:
            said = read_json(path)
        except StoreError as error:
            log.debug("%s", error)
            continue
        if said.get("LoadedAs") == asked and isinstance(said.get("Network"), str):
            return str(said["Network"])
    return asked


def features_command(study: Path, network: ChosenNetwork) -> str:
    """Spell the command that takes a network's responses."""
    other = f" --network {network.name}" if network.entities else ""
    return f"python -m stimuli features --study {shlex.quote(str(study))}{other}"


def require_features(network: ChosenNetwork, *, study: Path) -> None:
    """See that a network's responses are there, or were dropped after they were taken, and are of these weights.

    Raises
    ------
    AnalysisError
        If there are none and `python -m subjects clean` dropped none, or those of other weights than the set was made
        with: both digests are named.
    """
    if network.features.is_file():
        open_features(network, study=study)
    elif not _was_dropped(network.features):
        _raise_missing(network, study=study)


def _was_dropped(path: Path) -> bool:
    try:
        return read_json(sidecar_path(path)).get(DROPPED) is True
    except StoreError:
        return False


def open_features(network: ChosenNetwork, *, study: Path) -> FeatureStore:
    """Open a network's responses.

    Parameters
    ----------
    network : ChosenNetwork
    study : Path
        The study's folder, for the remedy.

    Raises
    ------
    AnalysisError
        As :func:`require_features`.
    """
    if not network.features.is_file():
        _raise_missing(network, study=study)
    store = open_store(network.features)
    if network.digest is not None and store.network_digest != network.digest:
        raise AnalysisError(str(network.features), came=f"responses of weights {store.network_digest}",
                            expected=f"those of {network.digest}, with which the set was made ({network.name!r})",
                            remedy=f"Take them with the set's weights: `{features_command(study, network)}`.")
    return store


def _known_names(folder: Path) -> list[str]:
    """Name the networks whose responses are there."""
    names = []
    for path in sorted(folder.glob("network-*_features.h5")):
        try:
            names.append(open_store(path).network)
        except StoreError as error:
            log.debug("%s", error)
    return names


def _raise_missing(network: ChosenNetwork, *, study: Path) -> None:
    command = features_command(study, network)
    known = [] if network.of_set else _known_names(network.features.parent)
    remedy = f"{nearest(network.name, known)} For responses of {network.name!r} itself: `{command}`." if known else \
        f"Make it with `{command}`."
    raise AnalysisError(str(network.features), came="no such file", expected="the network's responses to the images",
                        remedy=remedy)
