"""From a network, examples and a recipe to weights on disk: begun, interrupted, taken up again, judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stimuli.alignment.training.examples import Batch, Examples
from stimuli.alignment.training.fitting import Recipe, Training
from stimuli.alignment.training.trainable import Trainable, make_trainable, write_weights
from stimuli.alignment.training.verdict import Verdict, judge
from stimuli.alignment.training.workers import ALONE, Workers
from stimuli.networks.protocol import CPU, Network
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError, StoreError
from subjects.provenance import FileFormat, digest_json, is_current, rng, sidecar, sidecar_path, versions
from subjects.store import locked, read_json, whole_file

HARMONIZED = FileFormat("harmonized weights", version=1)
WEIGHTS, CHECKPOINT = "weights.safetensors", "unfinished.pt"


@dataclass(frozen=True)
class Harmonized:
    """What came of a training.

    Parameters
    ----------
    weights : Path
        safetensors, which the network's loader reads; the sidecar beside it says how they were made.
    before, after : Verdict
        Of the held-out examples.
    epochs : tuple of dict
        Of every epoch; see :data:`~stimuli.alignment.training.fitting.PARTS`.
    reused : bool
        Whether they were there already.
    """

    weights: Path
    before: Verdict
    after: Verdict
    epochs: tuple[Mapping[str, float], ...]
    reused: bool

    def record(self) -> dict[str, Any]:
        """Give what ``harmonize --json`` prints."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows of a set of examples."""

    whole: Examples
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.whole.labels[self.rows]

    @property
    def has_map(self) -> NDArray[np.bool_]:
        return self.whole.has_map[self.rows]

    @property
    def digest(self) -> str:
        return digest_json([self.whole.digest, self.rows.tolist()])

    def take(self, rows: NDArray[np.int64]) -> Batch:
        return self.whole.take(self.rows[rows])


def split(n: int, *, held_out: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose which examples are trained on and which are held out, both ascending.

    Examples
    --------
    >>> [len(rows) for rows in split(25, held_out=0.1, seed=1)]
    [22, 3]
    """
    order = rng(seed, "harmonizer", "held out").permutation(n)
    count = int(np.ceil(held_out * n))
    return np.sort(order[count:]), np.sort(order[:count])


def harmonize(network: Network, examples: Examples, *, out: Path, recipe: Recipe, seed: int = 0,
              held_out: float = 0.1, device: torch.device = CPU, workers: Workers = ALONE, save_every: int = 200,
              overwrite: bool = False, progress: ProgressWrapper = silent) -> Harmonized:
    """Train a network to look where people look, unless that was done already.

    Parameters
    ----------
    network : Network
        On the CPU.
    examples : Examples
    out : Path
        Folder of weights, sidecar and, while it runs, checkpoint. An interrupted training is continued.
    recipe : Recipe
    seed : int
        Decides everything that is drawn.
    held_out : float
        Share of the examples that the network is judged on before and after, and not trained on.
    device : torch.device
    workers : Workers
        Processes that train together; each is given the same arguments.
    save_every : int
        Steps from one checkpoint to the next; one is also written at the end of an epoch.
    overwrite : bool
        Begin anew where other weights, or the checkpoint of another training, stand.
    progress : ProgressWrapper

    Returns
    -------
    Harmonized

    Raises
    ------
    StoreError
        If `out` holds something else and `overwrite` is not given.
    StimulusError
        If no example to be trained on has an importance map, and maps shall count.
    """
    rows, judged = split(len(examples), held_out=held_out, seed=seed)
    if recipe.harmonization > 0 and not examples.has_map[rows].any():
        raise StimulusError("examples", came=f"none of {len(rows)} images with an importance map",
                            expected="maps of some of them", remedy="Name the maps with --maps; to train by categories "
                            "alone, set --weight 0.")
    made = _Made(out, {"network": network.digest, "examples": examples.digest},
                 {**recipe.record(), "seed": seed, "held_out": held_out, "processes": workers.count})
    if made.current():
        return made.read(reused=True)
    made.require_free(overwrite=overwrite)
    module = make_trainable(network).to(device)
    training = Training(module, _Part(examples, rows), recipe=recipe, seed=seed, device=device, workers=workers)
    if workers.first:
        with locked(out, what="the training of a network"):
            _train_and_write(made, training, judged=_Part(examples, judged), name=network.name, every=save_every,
                             progress=progress)
    else:
        made.resume(training)
        training.run()
    workers.agree()
    return made.read(reused=False)


def _train_and_write(made: _Made, training: Training, *, judged: Examples, name: str, every: int,
                     progress: ProgressWrapper) -> None:
    """Train from where it was interrupted, if it was; judge before and after; write."""
    started = time.process_time()

    def see() -> Verdict:
        return judge(training.network, judged, device=training.device, levels=training.recipe.levels)

    before = see()
    made.resume(training)
    epochs = training.run(kept=_keeper(made, training, every=every), progress=progress)
    after = see()
    made.write(training.network, extra={
        "Network": name, "Before": before.record(), "After": after.record(), "Epochs": epochs,
        "MadeOn": {"device": str(training.device), "threads": torch.get_num_threads(), **versions("torch")},
        "CpuSeconds": round(time.process_time() - started, 1)})


def _keeper(made: _Made, training: Training, *, every: int) -> Callable[[], None]:
    def keep() -> None:
        step = training.state.step
        if step < training.n_steps and (step % every == 0 or step % training.per_epoch == 0):
            made.keep(training)

    return keep


@dataclass(frozen=True)
class _Made:
    """The files of one training, and from what they are made."""

    out: Path
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        return self.out / WEIGHTS

    @property
    def checkpoint(self) -> Path:
        return self.out / CHECKPOINT

    @property
    def identity(self) -> str:
        return digest_json([self.inputs, self.parameters])

    def current(self) -> bool:
        return is_current(self.weights, inputs=self.inputs, parameters=self.parameters)

    def require_free(self, *, overwrite: bool) -> None:
        """Refuse to write over other weights, or over the checkpoint of another training."""
        if overwrite:
            return
        if self.weights.exists():
            raise StoreError(str(self.weights), came="weights of another training",
                             expected="a free name, or those of this network, these examples and this recipe",
                             remedy="Nothing was trained; name another folder with --out, or add --overwrite.")
        if self.checkpoint.exists() and self._saved().get("identity") != self.identity:
            raise StoreError(str(self.checkpoint), came="the checkpoint of another training",
                             expected="one of this network, these examples and this recipe",
                             remedy="Repeat the command that was interrupted, name another folder with --out, or begin "
                                    "anew with --overwrite.")

    def _saved(self) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        return found

    def resume(self, training: Training) -> None:
        """Go on where this very training was interrupted."""
        found = self._saved() if self.checkpoint.exists() else {}
        if found.get("identity") == self.identity:
            training.load_state_dict(found)

    def keep(self, training: Training) -> None:
        """Write a checkpoint."""
        with whole_file(self.checkpoint, overwrite=True) as beside:
            torch.save({"identity": self.identity, **training.state_dict()}, beside)

    def write(self, module: Trainable, *, extra: Mapping[str, Any]) -> None:
        """Write the weights and how they were made; the checkpoint is done with."""
        write_weights(self.weights, module.state(), overwrite=True)
        sidecar(self.weights, inputs=self.inputs, parameters=self.parameters, extra=extra, form=HARMONIZED)
        self.checkpoint.unlink(missing_ok=True)

    def read(self, *, reused: bool) -> Harmonized:
        said = read_json(sidecar_path(self.weights))
        before, after = (Verdict.of(said[key]) for key in ("Before", "After"))
        return Harmonized(self.weights, before, after, tuple(said["Epochs"]), reused)
