"""What a network is like before and after its training, on images that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from stimuli.alignment.importance.agreement import spearman
from stimuli.alignment.training.examples import Batch, Examples
from stimuli.alignment.training.loss import plain_attention, pyramid_error
from stimuli.alignment.training.trainable import Trainable
from stimuli.networks.protocol import to_tensor


@dataclass(frozen=True)
class Verdict:
    """A network on held-out examples.

    Parameters
    ----------
    n_images, n_maps : int
        Examples, and those with an importance map.
    accuracy : float
        Share of examples whose class has the highest logit.
    alignment : float
        Spearman's correlation over pixels of saliency (largest absolute gradient over channels) and importance, mean
        over the examples with a map; NaN without maps.
    map_error : float
        What the loss minimises: :func:`~stimuli.alignment.training.loss.pyramid_error`, mean over examples with a map.
    """

    n_images: int
    n_maps: int
    accuracy: float
    alignment: float
    map_error: float

    def record(self) -> dict[str, Any]:
        """Give it for JSON, which has no word for NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Verdict:
        """Make it of what :meth:`record` gave."""
        values: dict[str, Any] = {name: float("nan") if value is None else value for name, value in record.items()}
        return cls(**values)


def judge(network: Trainable, examples: Examples, *, device: torch.device, levels: int = 5,
          batch: int = 20) -> Verdict:
    """Measure accuracy and alignment in evaluation mode.

    Parameters
    ----------
    network : Trainable
        On `device`; its mode is put back.
    examples : Examples
    device : torch.device
    levels : int
        Of the pyramid.
    batch : int
        How many at a time.

    Returns
    -------
    Verdict
    """
    training = network.training
    network.eval()
    n_correct, scores, errors = 0, list[float](), list[float]()
    for first in range(0, len(examples), batch):
        part = examples.take(np.arange(first, min(first + batch, len(examples))))
        logits, gradient = _answer(network, part, device=device)
        n_correct += int((logits.argmax(dim=1).cpu().numpy() == part.labels).sum())
        known = part.has_map
        scores += spearman(gradient.abs().amax(dim=1).numpy()[known], part.maps[known]).tolist()
        errors += [float(pyramid_error(one.mean(dim=0)[None], torch.from_numpy(human)[None], levels=levels,
                                       has_map=torch.ones(1)))
                   for one, human in zip(gradient[torch.from_numpy(known)], part.maps[known], strict=True)]
    network.train(training)
    return Verdict(len(examples), len(errors), n_correct / max(len(examples), 1), _mean(scores), _mean(errors))


def _answer(network: Trainable, part: Batch, *, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the logits, and the gradient of each image's own logit on the CPU."""
    images = to_tensor(part.images).to(device).requires_grad_()
    with plain_attention():
        logits = network(images)
        own = logits.gather(1, torch.from_numpy(part.labels).to(device)[:, None]).sum()
        gradient, = torch.autograd.grad(own, images)
    return logits.detach(), gradient.float().cpu()


def _mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
