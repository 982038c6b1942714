"""Caffe's AlexNet (``bvlc_alexnet``), parameterised by its widths, with a named tap after every layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from subjects.errors import NetworkError, nearest

INPUT_SIZE = 227
LAYERS = tuple(f"layer{number}" for number in range(1, 9))
"""The taps: 1, 2, 5 after pooling, 3, 4, 6, 7 after the ReLU, 8 after the softmax."""

AFTER, BEFORE = "after norm and pool", "before norm and pool"
TAPS = (AFTER, BEFORE)
"""Where in layers 1, 2 and 5 the taps sit; before norm and pool is after the ReLU, as Caffe's blob ``conv1`` is."""

GROUPS = (1, 2, 1, 2, 2)
_KERNELS = (11, 5, 3, 3, 3)
_STRIDES = (4, 1, 1, 1, 1)
_PADDINGS = (0, 2, 1, 1, 1)
_NORMED = (0, 1)
_POOLED = (0, 1, 4)


class AcrossChannelNorm(nn.Module):
    """Caffe's local response normalisation across five neighbouring channels.

    Divides by ``(1 + 1e-4 / 5 * sum of the 5 squares) ** 0.75``, with zeros beyond the first and
    last channel (Krizhevsky, Sutskever & Hinton 2012, section 3.3, in Caffe's scaling). The same as
    ``torch.nn.LocalResponseNorm(5, 1e-4, 0.75, 1)``, in less than half of its time on a CPU.
    """

    reach, alpha, k = 2, 1e-4, 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (n, channels, height, width)."""
        channels, size = x.shape[1], 2 * self.reach + 1
        band = torch.ones((channels, channels), dtype=x.dtype, device=x.device).triu(-self.reach).tril(self.reach)
        total = functional.conv2d(x * x, band[:, :, None, None])  # each channel's sum over its neighbours
        root = torch.rsqrt(self.k + total * (self.alpha / size))
        return x * (root * root.sqrt())  # root is the power -1/2, its own square root the power -1/4


class CaffeAlexNet(nn.Module):
    """AlexNet as Caffe's ``deploy.prototxt`` orders it: convolution, ReLU, norm, pool.

    Parameters
    ----------
    widths : tuple of int
        Kernels of the five convolutions. The 2nd, 4th and 5th work in two groups, so widths are even.
    fc : tuple of int
        Units of the two hidden dense layers.
    n_classes : int
        Units of the softmax.
    tap : str
        One of :data:`TAPS`: where :meth:`forward_layers` reads.

    Notes
    -----
    Krizhevsky, Sutskever & Hinton (2012), in the single-column form of the BVLC model zoo. Pooling
    is 3x3 with stride 2, rounded up. No operation works in place, so a tap keeps what it was given.

    Examples
    --------
    >>> sum(weight.numel() for weight in CaffeAlexNet(widths=(8, 8, 8, 8, 8), fc=(4, 4)).parameters())
    11072
    """

    def __init__(self, *, widths: tuple[int, ...] = (96, 256, 384, 384, 256),
                 fc: tuple[int, int] = (4096, 4096), n_classes: int = 1000, tap: str = AFTER) -> None:
        super().__init__()
        _check_widths(widths)
        self.tap = require_tap(tap)
        inputs = (3, *widths[:-1])
        self.widths, self.fc_widths, self.n_classes = tuple(widths), tuple(fc), n_classes
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs[i], widths[i], _KERNELS[i], stride=_STRIDES[i], padding=_PADDINGS[i],
                      groups=GROUPS[i]) for i in range(5))
        self.norm = AcrossChannelNorm()
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.dropout = nn.Dropout(0.5)
        self.fc6 = nn.Linear(widths[4] * 6 * 6, fc[0])
        self.fc7 = nn.Linear(fc[0], fc[1])
        self.fc8 = nn.Linear(fc[1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits.

        Parameters
        ----------
        x : Tensor
            float32 (n, 3, 227, 227), preprocessed as the weights ask for.

        Returns
        -------
        Tensor
            float32 (n, n_classes), before the softmax.

        Raises
        ------
        NetworkError
            If the images have another shape.
        """
        return self._trace(x, tap=AFTER)[-1]

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        """Give what every layer hands on, by name.

        Parameters
        ----------
        x : Tensor
            float32 (n, 3, 227, 227), preprocessed as the weights ask for.

        Returns
        -------
        dict of str to Tensor
            ``"layer1"`` to ``"layer5"`` (n, channels, height, width), ``"layer6"`` and ``"layer7"``
            (n, units), ``"layer8"`` (n, n_classes) after the softmax.
        """
        outputs = self._trace(x, tap=self.tap)
        outputs[-1] = functional.softmax(outputs[-1], dim=1)
        return dict(zip(LAYERS, outputs, strict=True))

    def _trace(self, x: Tensor, *, tap: str) -> list[Tensor]:
        _check_input(x)
        outputs = []
        for index in range(5):
            convolved = functional.relu(self.convolutions[index](x))
            x = self._normed_and_pooled(convolved, index)
            outputs.append(x if tap == AFTER else convolved)
        x = self.dropout(functional.relu(self.fc6(x.flatten(1))))
        outputs.append(x)
        x = self.dropout(functional.relu(self.fc7(x)))
        outputs.append(x)
        outputs.append(self.fc8(x))
        return outputs

    def _normed_and_pooled(self, x: Tensor, index: int) -> Tensor:
        x = self.norm(x) if index in _NORMED else x
        return self.pool(x) if index in _POOLED else x


def require_tap(tap: str) -> str:
    """Give a tap's name back if it is one of :data:`TAPS`.

    Raises
    ------
    NetworkError
        If it is not.
    """
    if tap not in TAPS:
        raise NetworkError("tap", came=repr(tap), expected=f"one of {', '.join(map(repr, TAPS))}",
                           remedy=nearest(tap, TAPS))
    return tap


def _check_widths(widths: tuple[int, ...]) -> None:
    if len(widths) != 5:
        raise NetworkError("CaffeAlexNet", came=f"{len(widths)} widths", expected="5, one a convolution",
                           remedy="Give the kernels of all five convolutions.")
    odd = [width for width in widths if width % 2]
    if odd:
        raise NetworkError("CaffeAlexNet", came=f"odd width {odd[0]}", expected="even widths",
                           remedy="Convolutions 2, 4 and 5 work in two groups; choose even widths.")


def _check_input(x: Tensor) -> None:
    wanted = (3, INPUT_SIZE, INPUT_SIZE)
    if x.ndim != 4 or tuple(x.shape[1:]) != wanted:
        raise NetworkError("CaffeAlexNet", came=f"images of shape {tuple(x.shape)}",
                           expected=f"(n, {wanted[0]}, {wanted[1]}, {wanted[2]})",
                           remedy="Resize the images and put the channels first.")


def count_units(model: CaffeAlexNet) -> dict[str, int]:
    """Count the units that each tap hands on for one image.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     list(count_units(CaffeAlexNet()).values())
    [69984, 43264, 64896, 64896, 9216, 4096, 4096, 1000]
    """
    sides = (27, 13, 13, 13, 6) if model.tap == AFTER else (55, 27, 13, 13, 13)
    counts = [width * side * side for width, side in zip(model.widths, sides, strict=True)]
    return dict(zip(LAYERS, [*counts, *model.fc_widths, model.n_classes], strict=True))
