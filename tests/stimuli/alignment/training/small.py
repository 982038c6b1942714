"""Networks and examples that train in a second."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from stimuli.alignment.training.examples import ArrayExamples
from stimuli.networks.registry import TorchNetwork

SIDE, N_CLASSES = 16, 4
NAMES = ("north west", "north east", "south west", "south east")


class Small(nn.Module):
    """Two convolutions, with everything that behaves otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
                                  nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True))
        self.dropout, self.head = nn.Dropout(0.2), nn.Linear(8 * 16, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.body(x).flatten(1)))
        return logits

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        middle = self.body(x)
        return {"layer1": middle, "layer2": torch.softmax(self.head(middle.flatten(1)), dim=1)}


def centred(images: Tensor) -> Tensor:
    return (images - 0.5) / 0.25


def small_network(seed: int = 0) -> TorchNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = Small().eval().requires_grad_(requires_grad=False)
    return TorchNetwork(name="small", digest=f"small-{seed}", class_names=NAMES, layers=("layer1", "layer2"),
                        tap="none", mean_image=np.full((SIDE, SIDE, 3), 127, np.float32), module=module,
                        preprocess=centred)


def small_examples(n: int = 40, *, seed: int = 0, without: int = 0) -> ArrayExamples:
    """A bright square in one of four corners, which is the class; people look at the square. The first have no map."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    images = rng.integers(40, 120, (n, SIDE, SIDE, 3)).astype(np.uint8)
    maps = rng.random((n, SIDE, SIDE)).astype(np.float32) * 0.1
    for k, label in enumerate(labels):
        rows, columns = (slice(2, 7) if low == 0 else slice(9, 14) for low in divmod(int(label), 2))
        images[k, rows, columns] = rng.integers(180, 255, 3)
        maps[k, rows, columns] += 1.0
    maps[:without] = 0.0
    return ArrayExamples(images, labels.astype(np.int64), maps, n_classes=N_CLASSES)
