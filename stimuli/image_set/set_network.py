"""The network of a set: chosen when the set is built, recorded beside its manifest, found again by later commands."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stimuli.files import build_again
from stimuli.manifest import FIRST, SECOND, SetNetwork, read_set_network, read_set_networks, recorded_network
from stimuli.networks.registry import Network, network_of
from stimuli.regular_images.agreement import require_comparable
from subjects.errors import ManifestError, NetworkError, StoreError
from subjects.layout import Layout
from subjects.machine import require_trust
from subjects.provenance import digest_file, sidecar_path
from subjects.settings.history import as_made
from subjects.settings.images import StimuliSettings
from subjects.store import locked, read_json, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkChoice:
    """What a command line asks for; None where it says nothing.

    Parameters
    ----------
    name : str or None
        A network; see :func:`stimuli.networks.registry.load_network`.
    weights : Path or None
        Its weights file.
    preprocessing : str or None
        Its preprocessing.
    layers, taps : tuple of str
        Modules that stand for its layers, and that are read beside them; see :mod:`stimuli.networks.named_taps`.
    trust : bool
        Whether code that the study's own files name may run on this computer.
    """

    name: str | None = None
    weights: Path | None = None
    preprocessing: str | None = None
    layers: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()
    trust: bool = False

    def applied(self, stimuli: StimuliSettings) -> StimuliSettings:
        """Give the settings with this choice; another network leaves out what the study says of its own."""
        other = self.name is not None and self.name != stimuli.network
        changes: dict[str, Any] = {"network": self.name, "preprocessing": self.preprocessing,
                                   "weights": None if self.weights is None else str(self.weights.resolve()),
                                   "layers": self.layers or None, "taps": self.taps or None}
        given = {key: value for key, value in changes.items() if value is not None}
        left_out = {"weights": None, "preprocessing": None, "layers": (), "taps": ()} if other else {}
        return stimuli.model_copy(update={**left_out, **given})


def unfinished_path(layout: Layout) -> Path:
    """Spell the path of the note of an unfinished set."""
    return layout.stimuli / "unfinished.json"


def settings_for_build(layout: Layout, stimuli: StimuliSettings, *, asked: NetworkChoice,
                       anew: bool = False) -> StimuliSettings:
    """Give the settings of a build: the command line, else the study's, else those of the set that is there.

    Parameters
    ----------
    layout : Layout
        The study.
    stimuli : StimuliSettings
        What its settings files name, as opposed to defaults, by ``model_fields_set``.
    asked : NetworkChoice
        What the command line names.
    anew : bool
        Whether the set that is there is to be replaced.

    Returns
    -------
    StimuliSettings
        A set that was built with ``--network`` or ``--images`` keeps its network and its photographs when it is built
        again without them. One that is not replaced keeps what was done before a setting existed.
    """
    named, chosen = stimuli.model_fields_set, stimuli
    record = None if asked.name is not None or "network" in named else remembered_network(layout)
    if record is not None:
        parts = {key: getattr(record, key) for key in ("weights", "preprocessing", "tap") if key not in named}
        chosen = chosen.model_copy(update={"network": record.loaded_as, **parts})
    if "images" not in named:
        kept = remembered_photographs(layout)
        chosen = chosen.model_copy(update={key: value for key, value in kept.items() if key not in named})
    return asked.applied(chosen if anew else settings_of_set(layout, chosen))


def settings_of_set(layout: Layout, stimuli: StimuliSettings) -> StimuliSettings:
    """Give the settings under which the set that is there was made; see :func:`subjects.settings.history.as_made`."""
    recorded = (content.get("parameters") for content in _contents(layout))
    return next((as_made(stimuli, found) for found in recorded if isinstance(found, dict)), stimuli)


def remembered_network(layout: Layout) -> SetNetwork | None:
    """Find the network of a set that is there, be it unfinished or damaged; None if nothing tells it."""
    for read in (read_set_network, recorded_network):
        try:
            found = read(layout.manifest)
        except ManifestError:
            continue
        if found is not None:
            return found
    for content in _contents(layout):
        record, parameters = content.get("network"), content.get("parameters")
        if isinstance(record, dict) and isinstance(record.get("name"), str):
            texts: dict[str, Any] = {key: value for key, value in record.items() if isinstance(value, str)
                                     and key in SetNetwork.__dataclass_fields__}
            return SetNetwork(**{"digest": "", **texts})
        if isinstance(parameters, dict) and isinstance(parameters.get("network"), str):
            return SetNetwork(parameters["network"], "")
    return None


def remembered_photographs(layout: Layout) -> dict[str, str | None]:
    """Find the folder of photographs, and their table of labels, of a set that is there; empty for drawings."""
    for content in _contents(layout):
        found = content.get("photographs")
        if isinstance(found, dict) and isinstance(found.get("images"), str):
            labels = found.get("labels")
            return {"images": found["images"], "labels": labels if isinstance(labels, str) else None}
    return {}


def _contents(layout: Layout) -> list[Mapping[str, Any]]:
    """Read what is beside the manifest and in the note of an unfinished set, as far as it can be read."""
    found: list[Mapping[str, Any]] = []
    for path in (sidecar_path(layout.manifest), unfinished_path(layout)):
        try:
            found.append(read_json(path))
        except (StoreError, OSError) as error:
            log.debug("%s", error)
    return found


def load_for_build(layout: Layout, stimuli: StimuliSettings, *, asked: NetworkChoice) -> Network:
    """Load the network that :func:`settings_for_build` chose."""
    _require_consent(layout, stimuli.network, asked=asked)
    return network_of(stimuli, root=layout.root)


def second_settings(stimuli: StimuliSettings, *, name: str | None = None) -> StimuliSettings:
    """Give the settings as they are for the second network, or for the one of this name."""
    return stimuli.model_copy(update={"network": stimuli.second_network or name, "weights": stimuli.second_weights,
                                      "preprocessing": stimuli.second_preprocessing, "tap": None, "layers": (),
                                      "taps": ()})


def load_second_for_build(layout: Layout, stimuli: StimuliSettings, *, first: Network,
                          asked: NetworkChoice) -> Network | None:
    """Load the second network that the settings name, and see that it can stand beside the first; None if none."""
    if stimuli.second_network is None:
        return None
    _require_consent(layout, stimuli.second_network, asked=asked)
    found = network_of(second_settings(stimuli), root=layout.root)
    require_comparable(first, found)
    return found


def record_of(network: Network, stimuli: StimuliSettings, *, root: Path) -> SetNetwork:
    """Record the network that the settings name, as later commands find it again.

    Parameters
    ----------
    network : Network
        As it was loaded.
    stimuli : StimuliSettings
        Where its weights and preprocessing come from.
    root : Path
        The study's folder; files inside it are recorded relative to it, so that a study may be moved.
    """
    weights = None if stimuli.weights is None else root / stimuli.weights
    name, colon, file = (stimuli.preprocessing or "").partition(":")
    preprocessing = f"{name}:{_as_named(root / file, root=root)}" if colon else stimuli.preprocessing
    return SetNetwork(network.name, network.digest, preprocessing=preprocessing, tap=network.tap,
                      weights=None if weights is None else _as_named(weights, root=root),
                      weights_digest=None if weights is None else digest_file(weights),
                      function=stimuli.network if ":" in stimuli.network else None)


def photographs_record(stimuli: StimuliSettings, *, root: Path) -> dict[str, str | None]:
    """Record where the photographs and their labels are; empty for drawings."""
    named = {key: getattr(stimuli, key) for key in ("images", "labels")}
    if stimuli.images is None:
        return {}
    return {key: None if path is None else _as_named(root / path, root=root) for key, path in named.items()}


def _as_named(path: Path, *, root: Path) -> str:
    """Spell a file relative to the study where it is inside it, otherwise whole."""
    whole, study = path.resolve(), root.resolve()
    return (whole.relative_to(study) if study in whole.parents else whole).as_posix()


def renew_record(layout: Layout, networks: Sequence[SetNetwork], *, photographs: Mapping[str, str | None]) -> None:
    """Write where the parts of a current set's networks are now, and where their responses are read."""
    beside = sidecar_path(layout.manifest)
    content = read_json(beside)
    new = {**{key: asdict(one) for key, one in zip((FIRST, SECOND), networks, strict=False)},
           **({"photographs": dict(photographs)} if photographs else {})}
    if {key: content.get(key) for key in new} != new:
        with locked(layout.stimuli, what="the stimulus set"):
            write_json(beside, {**content, **new}, overwrite=True)


def load_set_network(layout: Layout, stimuli: StimuliSettings, *, asked: NetworkChoice | None = None,
                     tap: str | None = None) -> Network:
    """Load the network that a study's set was made with.

    Parameters
    ----------
    layout : Layout
        A study with a set.
    stimuli : StimuliSettings
        What the settings name; where that is something else, the set's record is followed, with a warning.
    asked : NetworkChoice, optional
        ``weights`` may name the new place of a file that was moved; a name may repeat the set's own, or name the
        second network of a set of two.
    tap : str, optional
        Read its layers elsewhere than the set's record says.

    Raises
    ------
    NetworkError
        If another network is asked for, or the weights or the preprocessing are others than the set's; both digests
        are named.
    ManifestError
        If the manifest cannot be read, or does not say which network.
    """
    asked = asked or NetworkChoice()
    first, *others = read_set_networks(layout.manifest)
    second = next((one for one in others if asked.name is not None and asked.name in (one.name, one.function)), None)
    record = first if second is None else second
    stimuli = stimuli if second is None else second_settings(stimuli, name=second.loaded_as)
    if asked.name not in (None, record.name, record.function):
        raise _refusal_of_another(layout, (first, *others), load_other_network(layout, stimuli, asked=asked))
    _warn(record, stimuli, root=layout.root)
    name = stimuli.network if record.tap is None and ":" in stimuli.network else record.loaded_as
    _require_consent(layout, name, asked=asked, where=None if name == stimuli.network else str(layout.manifest))
    parts: dict[str, Any] = {**_parts(record, stimuli), **({} if tap is None else {"tap": tap})}
    if stimuli.network != name and "network" in stimuli.model_fields_set:
        parts |= {"layers": (), "taps": ()}  # those of the network that the settings name
    chosen = replace(asked, name=None).applied(stimuli.model_copy(update={"network": name, **parts}))
    _require_weights(layout, record, chosen)
    network = network_of(chosen, root=layout.root)
    if network.digest != record.digest:
        raise _refusal_of_exchanged(layout, record, network, chosen=chosen)
    return network


def load_set_networks(layout: Layout, stimuli: StimuliSettings, *,
                      asked: NetworkChoice | None = None) -> tuple[Network, ...]:
    """Load the network, or both networks, that a study's set was made with; see :func:`load_set_network`.

    What is asked, of weights for example, is asked of the network that it names, and without a name of the first.
    """
    first, *others = read_set_networks(layout.manifest)
    asked = asked or NetworkChoice()
    named = next((one for one in others if asked.name is not None and asked.name in (one.name, one.function)), first)
    plain = NetworkChoice(trust=asked.trust)
    return tuple(load_set_network(layout, stimuli, asked=asked if one is named else
                                  plain if one is first else replace(plain, name=one.name))
                 for one in (first, *others))


def names_another(layout: Layout, asked: NetworkChoice) -> bool:
    """Say whether the command line names another network than those that the set was made with."""
    known = {name for one in read_set_networks(layout.manifest) for name in (one.name, one.function)}
    return asked.name is not None and asked.name not in known


def of_each(layout: Layout, asked: NetworkChoice) -> tuple[NetworkChoice, ...]:
    """Ask the same of both networks of a set of two, where the command line names neither nor what belongs to one."""
    _, *others = read_set_networks(layout.manifest)
    of_one = asked != NetworkChoice(trust=asked.trust)
    return (asked, *(replace(asked, name=one.name) for one in others if not of_one))


def load_other_network(layout: Layout, stimuli: StimuliSettings, *, asked: NetworkChoice) -> Network:
    """Load the network that the command line names, with the settings' weights where they name the same network."""
    chosen = asked.applied(stimuli)
    _require_consent(layout, chosen.network, asked=asked)
    return network_of(chosen, root=layout.root)


def load_for_candidates(layout: Layout, stimuli: StimuliSettings, *,
                        asked: NetworkChoice) -> tuple[StimuliSettings, tuple[Network, ...]]:
    """Load what screens photographs: the network asked for, else that of a set that is there; or both of two."""
    chosen = settings_for_build(layout, stimuli, asked=asked)
    if asked.name is None and layout.manifest.is_file():
        return chosen, load_set_networks(layout, stimuli, asked=asked)
    first = load_for_build(layout, chosen, asked=asked)
    second = load_second_for_build(layout, chosen, first=first, asked=asked)
    return chosen, (first,) if second is None else (first, second)


def _parts(record: SetNetwork, stimuli: StimuliSettings) -> dict[str, str | None]:
    """Say where weights, preprocessing and tap come from: the record, or (set of version 0.1.0) the settings."""
    names = ("weights", "preprocessing", "tap")
    if record.tap is not None:
        return {key: getattr(record, key) for key in names}
    return {key: getattr(stimuli, key) if stimuli.network == record.name else None for key in names}


def _warn(record: SetNetwork, stimuli: StimuliSettings, *, root: Path) -> None:
    named = {key: getattr(stimuli, key) for key in ("network", "weights", "preprocessing", "tap")
             if key in stimuli.model_fields_set and getattr(stimuli, key) is not None}
    if "weights" in named:
        named["weights"] = _as_named(root / named["weights"], root=root)
    known = {"network": record.loaded_as, "weights": record.weights, "preprocessing": record.preprocessing,
             "tap": record.tap}
    for key, value in named.items():
        recorded = record.tap is not None or (key == "network" and ":" not in str(value))
        if value != known[key] and recorded:
            log.warning("the settings name %s %s; the set was made with %s, which is taken (`build` says what it takes "
                        "to use the other)", key, value, known[key] or "the network's own")


def _require_consent(layout: Layout, name: str, *, asked: NetworkChoice, where: str | None = None) -> None:
    """Ask once on this computer for consent to code that the study names; a name on the command line is consent."""
    if ":" in name:
        require_trust(layout.root, name, where=where or f"{layout.settings_file}, stimuli.network",
                      trust=asked.trust or asked.name == name)


def _require_weights(layout: Layout, record: SetNetwork, chosen: StimuliSettings) -> None:
    if chosen.weights is None or (layout.root / chosen.weights).is_file():
        return
    raise NetworkError(str(layout.root / chosen.weights), came="no such file",
                       expected=f"the weights of network {record.name} that the set was made with",
                       remedy=f"Put the file back, or name its new place with --weights; `python -m stimuli build "
                              f"--study {layout.argument} --weights FILE` records the new place.")


def _refusal_of_another(layout: Layout, records: Sequence[SetNetwork], other: Network) -> NetworkError:
    ours = " or ".join(f"{one.name} {one.digest}" for one in records)
    whose = "network" if len(records) == 1 else "networks"
    return NetworkError(f"{layout.manifest}, network", came=f"{other.name} {other.digest} asked for",
                        expected=f"{ours}, the {whose} that the set was made with",
                        remedy="Leave --network out; to compare, use `python -m stimuli check --study "
                               f"{layout.argument} --also {other.name}`.")


def _refusal_of_exchanged(layout: Layout, record: SetNetwork, network: Network, *,
                          chosen: StimuliSettings) -> NetworkError:
    said = f"{network.name} {network.digest}"
    if chosen.weights is not None and record.weights_digest is not None:
        found = digest_file(layout.root / chosen.weights)
        said += f" (weights file {chosen.weights}, digest {found}; the set's had {record.weights_digest})" \
            if found != record.weights_digest else ""
    parts = f"weights {record.weights or 'of its own'}, preprocessing {record.preprocessing or 'of its own'}"
    return NetworkError(f"{layout.manifest}, network", came=said,
                        expected=f"{record.name} {record.digest}, the network that the set was made with ({parts})",
                        remedy="Put these weights and this preprocessing back (--weights, --preprocessing), or build "
                               f"the set again with {build_again(layout.stimuli)}.")
