"""The network that a set was made with: its record beside the manifest."""

from __future__ import annotations

from pathlib import Path

from stimuli.manifest import SetNetwork
from stimuli.networks.registry import Network
from subjects.provenance import digest_file
from subjects.settings.images import StimuliSettings


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
                      weights_digest=None if weights is None else digest_file(weights))


def _as_named(path: Path, *, root: Path) -> str:
    """Spell a file relative to the study where it lies inside it, otherwise whole."""
    whole, study = path.resolve(), root.resolve()
    return (whole.relative_to(study) if study in whole.parents else whole).as_posix()
