"""Two networks that must agree on an image: what RE of a set of two networks are chosen and judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stimuli.networks.protocol import Images, Network
from subjects.errors import NetworkError
from subjects.provenance import digest_json


@dataclass(frozen=True)
class Agreement:
    """A network whose P is the smaller of two networks': a category above .99 here is so for both.

    Parameters
    ----------
    first, second : Network
        Of the same categories and input size; see :func:`require_comparable`.

    Notes
    -----
    The probabilities of an image need not sum to 1. The other attributes are those of
    :class:`~stimuli.networks.protocol.Network`; layers and mean image are the first one's, and neither is asked for.
    """

    first: Network = field(repr=False)
    second: Network = field(repr=False)

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.first.name} + {self.second.name}"

    @property
    def digest(self) -> str:
        """Of both digests."""
        return digest_json([self.first.digest, self.second.digest])

    @property
    def input_size(self) -> int:
        """Side of an image, px."""
        return self.first.input_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each output."""
        return self.first.class_names

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the first one's taps."""
        return self.first.layers

    @property
    def tap(self) -> str:
        """Where in a layer the first one's taps sit."""
        return self.first.tap

    @property
    def mean_image(self) -> NDArray[np.float32]:
        """Where the first one's adversarial noise starts."""
        return self.first.mean_image

    def logits(self, images: Tensor) -> Tensor:
        """Give (n, n_classes): the smaller log P, so that their exponentials are the smaller P."""
        return torch.minimum(*(one.logits(images).log_softmax(dim=1) for one in (self.first, self.second)))

    def probabilities(self, images: Images, *, batch: int = 20) -> NDArray[np.float64]:
        """Give (n, n_classes): the smaller P of each category."""
        found: NDArray[np.float64] = np.minimum(*(one.probabilities(images, batch=batch)
                                                  for one in (self.first, self.second)))
        return found

    def features(self, images: Images, *, batch: int = 20) -> dict[str, NDArray[np.float32]]:
        """Give the first one's layers."""
        return self.first.features(images, batch=batch)


def agreed(networks: Sequence[Network]) -> Network:
    """Give what RE are chosen and judged by: the network, or both of two."""
    return networks[0] if len(networks) == 1 else Agreement(*networks)


def require_comparable(first: Network, second: Network) -> None:
    """Refuse a second network that is the first one, or knows other categories or images of another size.

    Raises
    ------
    NetworkError
        Naming what differs.
    """
    same = "name" if first.name == second.name else "digest" if first.digest == second.digest else None
    if same is not None:
        raise NetworkError("stimuli.second_network", came=f"{second.name!r}, with the {same} of the first network",
                           expected="another network than stimuli.network",
                           remedy="Name another network, or other weights of the same one as NAME@LABEL with "
                                  "stimuli.second_weights.")
    if first.class_names != second.class_names:
        other = next((pair for pair in zip(first.class_names, second.class_names, strict=False) if pair[0] != pair[1]),
                     (len(first.class_names), len(second.class_names)))
        raise NetworkError("stimuli.second_network", came=f"{second.name!r}, whose outputs are not {first.name!r}'s "
                           f"({other[1]} where the first has {other[0]})",
                           expected="the same categories in the same order",
                           remedy="Name a network that was trained on the same categories.")
    if first.input_size != second.input_size:
        raise NetworkError("stimuli.second_network", came=f"{second.name!r}, of {second.input_size} px",
                           expected=f"{first.input_size} px, the input of {first.name!r}",
                           remedy='Choose a preprocessing of that side, for example "caffe-227" '
                                  "(stimuli.second_preprocessing).")
