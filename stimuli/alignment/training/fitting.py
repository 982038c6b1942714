"""The training itself: the same losses and weights whether it runs through or is interrupted and taken up again.

What is drawn in a step (order, changes of the images, dropout) is a function of the seed and of the step, never of what
was drawn before; so a state is weights, optimizer and step, and on a CPU the weights after an interruption are those
of an undisturbed run, bit by bit, with the same number of threads and the same torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stimuli.alignment.training.examples import Changes, Examples, change
from stimuli.alignment.training.loss import HarmonizerLoss, LossParts
from stimuli.alignment.training.trainable import Trainable
from stimuli.alignment.training.workers import ALONE, Workers
from subjects.cli import ProgressWrapper, silent
from subjects.errors import NetworkError
from subjects.provenance import derive_seed, rng

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PARTS = ("loss", "cross_entropy", "harmonization", "accuracy")
"""What is kept of every epoch."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Parameters
    ----------
    epochs, batch : int
        Passes over the examples; examples a step, over all processes together.
    learning_rate : float
        At the start; it falls to nothing along half a cosine.
    optimizer : {"adam", "sgd"}
        Adam, or stochastic gradient descent with momentum .9; neither decays weights itself.
    harmonization, decay, smoothing, levels, in_evaluation
        See :class:`~stimuli.alignment.training.loss.HarmonizerLoss`. The saliency is that of evaluation mode, which is
        the one that is measured afterwards: through the statistics of a batch the error of the maps can fall while the
        network's own saliency stays as it was.
    precision : {"float32", "bfloat16", "float16"}
        What the network is computed in; its weights are float32 always.
    changes : Changes
    """

    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-4
    optimizer: str = "adam"
    harmonization: float = 1.0
    decay: float = 1e-5
    smoothing: float = 0.1
    levels: int = 5
    in_evaluation: bool = True
    precision: str = "float32"
    changes: Changes = field(default_factory=Changes)

    def loss(self, network: nn.Module) -> HarmonizerLoss:
        """Make the loss of a network."""
        return HarmonizerLoss(network, harmonization=self.harmonization, decay=self.decay, smoothing=self.smoothing,
                              levels=self.levels, in_evaluation=self.in_evaluation,
                              precision=PRECISIONS[self.precision])

    def record(self) -> dict[str, Any]:
        """Give all of it, for files."""
        return asdict(self)


@dataclass
class State:
    """Where a training stands, apart from the weights.

    Parameters
    ----------
    step : int
        Steps that are done.
    epochs : list of dict
        :data:`PARTS` of every finished epoch.
    sums : list of float
        Sums of the parts over the examples of the epoch that is running, and their number.
    """

    step: int = 0
    epochs: list[dict[str, float]] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0] * (len(PARTS) + 1))


class Training:
    """A network on its way.

    Parameters
    ----------
    network : Trainable
        In training mode, on `device`; it is changed where it stands.
    examples : Examples
    recipe : Recipe
    seed : int
        Decides order, changes and dropout.
    device : torch.device
    workers : Workers
    """

    def __init__(self, network: Trainable, examples: Examples, *, recipe: Recipe, seed: int,
                 device: torch.device, workers: Workers = ALONE) -> None:
        self.network, self.examples, self.recipe, self.seed = network, examples, recipe, seed
        self.device, self.workers, self.state = device, workers, State()
        kind: Any = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[recipe.optimizer]
        trained = [values for values in network.parameters() if values.requires_grad]
        self.optimizer = kind(trained, lr=recipe.learning_rate, **({} if recipe.optimizer == "adam" else
                                                                   {"momentum": 0.9}))
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        self.per_epoch = -(-len(examples) // recipe.batch)
        self.n_steps = recipe.epochs * self.per_epoch

    def run(self, *, until: int | None = None, kept: Callable[[], None] = lambda: None,
            progress: ProgressWrapper = silent) -> list[dict[str, float]]:
        """Train from where it stands to the end, or to some step.

        Parameters
        ----------
        until : int, optional
            Steps to have done in all.
        kept : callable
            Called after every step: time to write a checkpoint?
        progress : ProgressWrapper
            Told of steps.

        Returns
        -------
        list of dict
            :data:`PARTS` of every epoch so far: mean loss, cross-entropy (nats), error of the maps, share of images
            classified rightly, as they were met.

        Raises
        ------
        NetworkError
            If the loss is no number any more.
        """
        loss = self.workers.wrap(self.recipe.loss(self.network), device=self.device)
        steps = range(self.state.step, self.n_steps if until is None else min(until, self.n_steps))
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            for step in progress(steps, label="harmonizing", total=len(steps)):
                self._step(loss, step)
                kept()
        return self.state.epochs

    def _step(self, loss: Any, step: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * (1 + math.cos(math.pi * step / self.n_steps)) / 2
        epoch, place = divmod(step, self.per_epoch)
        rows = self._rows(epoch, place)
        if len(rows):
            torch.manual_seed(derive_seed(self.seed, "dropout", step, self.workers.rank))
            parts = loss(*self._tensors(rows, epoch), scale=self.scaler.get_scale())
            self._note(parts, count=len(rows), step=step)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(parts.total).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.state.step = step + 1
        if place == self.per_epoch - 1:
            self._end_epoch()

    def _rows(self, epoch: int, place: int) -> NDArray[np.int64]:
        """Give the examples of a step that fall to this process: as many to each, a rest of the last step to none."""
        order = rng(self.seed, "order", epoch).permutation(len(self.examples))
        rows = order[place * self.recipe.batch:(place + 1) * self.recipe.batch]
        return rows[:len(rows) // self.workers.count * self.workers.count][self.workers.rank::self.workers.count]

    def _tensors(self, rows: NDArray[np.int64], epoch: int) -> Iterator[Tensor]:
        batch = self.examples.take(rows)
        drawn = [rng(self.seed, "changes", epoch, int(row)) for row in rows]
        images, maps = change(batch, changes=self.recipe.changes, generators=drawn)
        for values in (images, torch.from_numpy(batch.labels), maps, torch.from_numpy(batch.has_map).float()):
            yield values.to(self.device, non_blocking=True)

    def _note(self, parts: LossParts, *, count: int, step: int) -> None:
        values = [parts.total.item(), parts.cross_entropy.item(), parts.harmonization.item()]
        if not math.isfinite(values[1]) or not (math.isfinite(values[0]) or self.scaler.is_enabled()):
            raise NetworkError("training", came=f"a loss of {values[0]} in step {step + 1}", expected="a finite loss",
                               remedy="Lower --learning-rate or --weight, or use --precision float32.")
        found = [*(value * count for value in values), parts.n_correct.item(), count]
        self.state.sums = [old + (new if math.isfinite(new) else 0.0)
                           for old, new in zip(self.state.sums, found, strict=True)]

    def _end_epoch(self) -> None:
        sums = self.workers.add(torch.tensor(self.state.sums, dtype=torch.float64, device=self._sum_device())).tolist()
        self.state.epochs.append({name: value / sums[-1] for name, value in zip(PARTS, sums, strict=False)})
        self.state.sums = State().sums

    def _sum_device(self) -> torch.device:
        """Give where sums are added: on the GPU where that is how processes speak; mps knows no float64."""
        return self.device if self.device.type == "cuda" else torch.device("cpu")

    def state_dict(self) -> dict[str, Any]:
        """Give all that is needed to go on: tensors, numbers and texts only."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(), "state": asdict(self.state)}

    def load_state_dict(self, found: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.network.load_state_dict(found["network"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.scaler.load_state_dict(found["scaler"])
        self.state = State(**found["state"])
