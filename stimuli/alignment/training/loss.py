"""The harmonizer's loss: cross-entropy, weight decay, and how far saliency is from people's importance maps.

After Fel, Rodriguez, Linsley & Serre (2022), "Harmonizing the object recognition strategies of deep neural networks
with humans", NeurIPS 35, as their released training code has it:

    loss = CE(logits, labels; smoothing .1) + decay * sum(w^2) / 2 + weight * mean over 5 levels of the masked MSE

between two pyramids. One is of the saliency (gradient of the true class's logit with respect to the image, mean over
channels), the other of the importance map; both are standardised and cut at zero, and the importance map is scaled to
the saliency's maximum. The loss holds a gradient, so its own gradient holds second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

EPSILON_SD = 1e-5
"""Added to a map's standard deviation before it divides."""

EPSILON_MAX = 1e-6
"""Added to a map's maximum."""

_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
_UNDECAYED = ("embed", "class_token")


@dataclass(frozen=True)
class LossParts:
    """The loss of a batch, whole and in parts.

    Parameters
    ----------
    total : Tensor, scalar
        What is minimised; the others are its summands before they are weighed.
    cross_entropy, harmonization, decay : Tensor, scalar
        Nats; mean square of standardised maps; half the sum of squared weights.
    n_correct : Tensor, scalar
        How many images of the batch have their true class's logit highest.
    """

    total: Tensor
    cross_entropy: Tensor
    harmonization: Tensor
    decay: Tensor
    n_correct: Tensor


def standardise(maps: Tensor) -> Tensor:
    """Bring maps to mean 0 and standard deviation 1, and cut them at zero.

    Parameters
    ----------
    maps : float Tensor, (n, height, width)

    Returns
    -------
    Tensor
        The same shape, not negative: ``relu((x - mean) / (sd + 1e-5))`` with the standard deviation of all pixels of
        a map. A map without differences becomes zero.

    Examples
    --------
    >>> standardise(torch.tensor([[[0.0, 2.0], [0.0, 2.0]]])).round(decimals=3)
    tensor([[[0., 1.],
             [0., 1.]]])
    """
    sd, mean = torch.std_mean(maps, dim=(1, 2), keepdim=True, correction=0)
    return functional.relu((maps - mean) / (sd + EPSILON_SD))


def pyramid(maps: Tensor, *, levels: int) -> list[Tensor]:
    """Halve maps again and again under a binomial kernel.

    Parameters
    ----------
    maps : Tensor, (n, height, width)
    levels : int
        How many resolutions, the first of which is the maps' own.

    Returns
    -------
    list of Tensor
        A side of s px becomes ceil(s / 2). Beyond the edges are zeros, the odd one of them at the right and below, as
        TensorFlow's padding ``SAME`` has them.

    Examples
    --------
    >>> [tuple(level.shape) for level in pyramid(torch.zeros(1, 227, 224), levels=3)]
    [(1, 227, 224), (1, 114, 112), (1, 57, 56)]
    """
    line = torch.tensor(_BINOMIAL, dtype=maps.dtype, device=maps.device) / sum(_BINOMIAL)
    kernel = torch.outer(line, line)[None, None]
    found = [maps]
    for _ in range(levels - 1):
        padded = functional.pad(found[-1][:, None], (*_beyond(found[-1].shape[2]), *_beyond(found[-1].shape[1])))
        found.append(functional.conv2d(padded, kernel, stride=2)[:, 0])
    return found


def _beyond(side: int) -> tuple[int, int]:
    """Count the zeros before and after a side, so that ceil(side / 2) places of the kernel fit."""
    total = max((-(-side // 2) - 1) * 2 + len(_BINOMIAL) - side, 0)
    return total // 2, total - total // 2


def pyramid_error(saliency: Tensor, importance: Tensor, *, has_map: Tensor, levels: int = 5) -> Tensor:
    """Measure how far standardised saliency is from standardised importance, over all resolutions.

    Parameters
    ----------
    saliency : Tensor, (n, height, width)
        As the network gives it.
    importance : Tensor, (n, height, width)
        People's maps; of images without one, anything finite.
    has_map : Tensor, (n,)
        1 where an image has a map, 0 where it has none and counts nothing; between them, a weight.
    levels : int

    Returns
    -------
    Tensor, scalar
        Mean over levels of the mean over all pixels of all images of the weighted squared difference. The scale of the
        importance map, its maximum set to the saliency's, has no gradient.
    """
    own, theirs = standardise(saliency), standardise(importance)
    peak = own.amax(dim=(1, 2), keepdim=True).detach() + EPSILON_MAX
    theirs = theirs / (theirs.amax(dim=(1, 2), keepdim=True) + EPSILON_MAX) * peak
    weights = has_map.to(own)[:, None, None]
    pairs = zip(pyramid(theirs, levels=levels), pyramid(own, levels=levels), strict=True)
    return torch.stack([((first - second).square() * weights).mean() for first, second in pairs]).mean()


def take_saliency(logits: Tensor, images: Tensor, *, labels: Tensor, scale: float = 1.0, keep: bool = True) -> Tensor:
    """Take the gradient of the true class's logit with respect to an image, mean over its channels.

    Parameters
    ----------
    logits : Tensor, (n, n_classes)
        Computed from `images`, which ask for gradients.
    images : Tensor, (n, 3, height, width)
        RGB in [0, 1].
    labels : int Tensor, (n,)
    scale : float
        By which logits are multiplied and gradients divided, for half precision, whose smallest number is 6e-8.
    keep : bool
        Whether the result can be differentiated once more.

    Returns
    -------
    Tensor, (n, height, width)
        float32, or float64 where the network is.
    """
    own = logits.gather(1, labels[:, None]).sum()
    gradient, = torch.autograd.grad(own * scale, images, create_graph=keep)
    return (_at_least_float32(gradient) / scale).mean(dim=1)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def decayed(module: nn.Module) -> Iterator[Tensor]:
    """Give the weights that decay: all that are trained, but for those of norms and embeddings (and class tokens)."""
    for path, part in module.named_modules():
        if "Norm" in type(part).__name__:
            continue
        for name, values in part.named_parameters(recurse=False):
            if values.requires_grad and not any(word in f"{path}.{name}" for word in _UNDECAYED):
                yield values


class HarmonizerLoss(nn.Module):
    """The whole loss around a network, as a module: what is called, wrapped for several devices, and differentiated.

    Parameters
    ----------
    network : nn.Module
        From RGB (n, 3, side, side) in [0, 1] to logits; its parameters that ask for gradients are trained.
    harmonization : float
        Weight of the maps' difference.
    decay : float
        Weight of half the sum of squared weights (:func:`decayed`).
    smoothing : float
        Label smoothing of the cross-entropy.
    levels : int
        Resolutions of the pyramid.
    in_evaluation : bool
        Take the saliency from a pass of its own in evaluation mode: no dropout, batch norm by its running moments. As
        published (False) saliency and cross-entropy come from one pass in training mode.
    precision : torch.dtype
        ``float32``, or what torch's autocast computes the network in; maps and loss are float32 always.

    Notes
    -----
    Attention is computed by torch's plain kernel (:func:`plain_attention`).
    """

    def __init__(self, network: nn.Module, *, harmonization: float = 1.0, decay: float = 1e-5, smoothing: float = 0.1,
                 levels: int = 5, in_evaluation: bool = False, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = network
        self.harmonization, self.decay, self.smoothing = harmonization, decay, smoothing
        self.levels, self.in_evaluation, self.precision = levels, in_evaluation, precision

    def forward(self, images: Tensor, labels: Tensor, maps: Tensor, has_map: Tensor, scale: float = 1.0) -> LossParts:
        """Give the loss of a batch.

        Parameters
        ----------
        images : float Tensor, (n, 3, side, side)
            RGB in [0, 1].
        labels : int Tensor, (n,)
        maps : float Tensor, (n, side, side)
            See :func:`pyramid_error`.
        has_map : Tensor, (n,)
        scale : float
            See :func:`take_saliency`.

        Returns
        -------
        LossParts
        """
        images = images.detach().requires_grad_()
        maps = torch.where(has_map[:, None, None] > 0, maps, torch.zeros_like(maps))  # 0 * NaN would be NaN
        wanted = self.harmonization > 0 and bool((has_map > 0).any())
        logits = self._logits(images)
        error = self._error(logits, images, labels=labels, maps=maps, has_map=has_map, scale=scale) if wanted else \
            logits.new_zeros(())
        entropy = functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        half_squares = torch.stack([values.square().sum() / 2 for values in decayed(self.network)]).sum()
        total = entropy + self.decay * half_squares + self.harmonization * error
        return LossParts(total, entropy, error, half_squares, (logits.argmax(dim=1) == labels).sum())

    def _error(self, logits: Tensor, images: Tensor, *, labels: Tensor, maps: Tensor, has_map: Tensor,
               scale: float) -> Tensor:
        share = 1.0
        if self.in_evaluation:  # an image's saliency is its own there: those without a map need none
            rows = has_map > 0
            share = float(rows.float().mean())
            images, labels, maps, has_map = images[rows], labels[rows], maps[rows], has_map[rows]
            logits = in_evaluation(self.network, lambda: self._logits(images))
        saliency = take_saliency(logits, images, labels=labels, scale=scale)
        return share * pyramid_error(saliency, maps, has_map=has_map, levels=self.levels)

    def _logits(self, images: Tensor) -> Tensor:
        half = self.precision is not torch.float32
        with plain_attention(), torch.autocast(images.device.type, dtype=self.precision, enabled=half):
            logits: Tensor = self.network(images)
        return _at_least_float32(logits)


def plain_attention() -> AbstractContextManager[None]:
    """Compute attention by torch's plain kernel inside the block: its fused ones have no second derivative."""
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


def in_evaluation(module: nn.Module, compute: Callable[[], Tensor]) -> Tensor:
    """Compute with all of a module's parts in evaluation mode; each is put back to its own mode."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        return compute()
    finally:
        for part in training:
            part.training = True
