"""What is published of a network's accuracy on ImageNet's validation images, with its source."""

from __future__ import annotations

from dataclasses import dataclass

from stimuli.networks.caffe_alexnet import NAME
from stimuli.networks.protocol import Network
from stimuli.networks.torchvision_networks import default_weights, torchvision_names


@dataclass(frozen=True)
class Published:
    """A published accuracy.

    Parameters
    ----------
    top1, top5 : float
        Share of images whose category is the most probable one, and one of the five most probable.
    source : str
        Of which weights, on which images, and where that is said.
    """

    top1: float
    top5: float
    source: str


_CAFFE = Published(0.571, 0.802, "BVLC's readme of bvlc_alexnet: centre crop, ImageNet's validation images")


def find_published(network: Network) -> Published | None:
    """Give what is published of a network; None where nothing is known, of a network of one's own for example.

    Of torchvision's networks it is the figure of their default weights, which comes with torchvision.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> find_published(SimpleNamespace(name="squeezenet1_0")).top1  # type: ignore[arg-type]
    0.58092
    """
    if network.name == NAME:
        return _CAFFE
    if network.name == "demo":
        return _of_demo()
    name = "alexnet" if network.name == "alexnet-torchvision" else network.name
    if name not in torchvision_names():
        return None
    weights = default_weights(name)
    found = weights.meta.get("_metrics", {}).get("ImageNet-1K", {})
    if not {"acc@1", "acc@5"} <= set(found):
        return None
    return Published(round(found["acc@1"] / 100, 5), round(found["acc@5"] / 100, 5),
                     f"torchvision's {weights.name} weights of {name}, ImageNet's validation images")


def _of_demo() -> Published:
    from stimuli.networks.demo.network import training_record

    accuracy = float(training_record()["validation_accuracy"])
    return Published(accuracy, accuracy, "its training record: drawings that it was not trained on")
