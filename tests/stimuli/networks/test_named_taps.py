"""Layers and taps by name, against torchvision's own extractor; patterns against fnmatch; what cannot be read."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from stimuli.feature_store import open_store
from stimuli.image_set.exports import feature_extraction
from stimuli.image_set.exports.feature_extraction import count_at_a_time, extract
from stimuli.image_set.set_network import NetworkChoice
from stimuli.networks import registry
from stimuli.networks.named_taps import NamedTaps, find_modules, passed_modules, tap_network
from stimuli.networks.preprocessing import PREPROCESSINGS
from stimuli.networks.protocol import to_tensor
from stimuli.networks.registry import TorchNetwork, load_network
from stimuli.networks.taps import HookedModule
from stimuli.perturbation.start_image import WithMeanImage
from subjects.errors import NetworkError
from subjects.provenance import sidecar_path
from subjects.settings.loading import load_settings
from subjects.store import read_json
from tests.stimuli.tiny import NAMES, SIDE, Study
from tests.stimuli.weight_files import torchvision_state

Command = Callable[..., tuple[int, str, str]]


def _hooked(name: str) -> tuple[TorchNetwork, nn.Module]:
    """A network of torchvision with random weights, and its plain module."""
    from torchvision import models

    process = dataclasses.replace(PREPROCESSINGS["torchvision"], side=64)
    module = models.get_model(name, weights=None).eval().requires_grad_(False)
    module.load_state_dict(torchvision_state(name))
    hooked = HookedModule(module, example=torch.zeros((1, 3, 64, 64)))
    return TorchNetwork(name=name, digest="0", class_names=tuple(map(str, range(1000))), layers=hooked.layers, tap="x",
                        mean_image=process.mean_image, module=hooked.eval(), preprocess=process,
                        places=hooked.places), module


def _images(side: int = 64) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (3, side, side, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def squeezenet() -> tuple[TorchNetwork, nn.Module]:
    return _hooked("squeezenet1_1")


def test_layers_and_taps_are_what_torchvisions_extractor_reads(squeezenet: tuple[TorchNetwork, nn.Module]) -> None:
    """SqueezeNet's ReLUs work in place: a squeeze's own output is copied before they do."""
    network, plain = squeezenet
    chosen = tap_network(network, layers=("features.12", "features.[36]"),
                         taps=("features.*.squeeze", "features.**3x3", "classifier.1"))
    assert chosen.layers == ("layer1", "layer2", "layer3", "layer4")
    assert dict(chosen.places) == {"layer1": "features.3", "layer2": "features.6", "layer3": "features.12"}
    paths = [name.removeprefix("tap ") for name in chosen.taps]
    assert len(paths) == 8 + 8 + 1
    assert paths[:4] == ["features.3.squeeze", "features.3.expand3x3", "features.4.squeeze", "features.4.expand3x3"]
    images = _images()
    x = network.preprocess(to_tensor(images))
    extractor = create_feature_extractor(plain, list(chosen.places.values()))
    theirs = extractor(x)
    ours = chosen.features(images)
    assert list(ours) == [*chosen.layers, *chosen.taps]
    for layer, path in chosen.places.items():
        np.testing.assert_allclose(ours[layer], theirs[path].flatten(1).numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours["layer4"], torch.softmax(plain(x), dim=1).numpy(), rtol=1e-4, atol=1e-7)
    squeeze = plain.features[3].squeeze(plain.features[:3](x))
    np.testing.assert_allclose(ours["tap features.3.squeeze"], squeeze.flatten(1).numpy(), rtol=1e-4, atol=1e-5)
    assert (ours["tap features.3.squeeze"] < 0).any()


def test_reading_elsewhere_changes_no_answer_and_no_identity(squeezenet: tuple[TorchNetwork, nn.Module]) -> None:
    network, _ = squeezenet
    chosen = tap_network(network, layers=("features.3",), taps=("**",))
    images = _images()
    np.testing.assert_array_equal(chosen.probabilities(images), network.probabilities(images))
    assert (chosen.name, chosen.digest) == (network.name, network.digest)
    before = network.features(images)
    beside = tap_network(network, taps=("features.3",))
    assert (beside.layers, dict(beside.places)) == (network.layers, dict(network.places))
    for layer, units in before.items():
        np.testing.assert_array_equal(beside.features(images)[layer], units)
    assert not any(module._forward_hooks for module in chosen.module.modules())  # type: ignore[attr-defined]


def test_a_network_without_choices_is_handed_on(squeezenet: tuple[TorchNetwork, nn.Module]) -> None:
    assert tap_network(squeezenet[0]) is squeezenet[0]


def test_the_alexnet_of_this_project_can_be_read_at_its_modules() -> None:
    network = load_network("demo")
    chosen = tap_network(network, taps=("convolutions.*", "fc?"))
    assert chosen.taps == (*(f"tap convolutions.{k}" for k in range(5)), "tap fc6", "tap fc7", "tap fc8")
    assert chosen.layers == network.layers
    images = _images(227)
    found = chosen.features(images)
    np.testing.assert_array_equal(np.maximum(found["tap fc7"], 0), found["layer7"])
    shares = np.exp(found["tap fc8"].astype(np.float64))
    np.testing.assert_allclose(found["layer8"], shares / shares.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-7)


def test_modules_that_an_image_passes_twice_are_never_read() -> None:
    network = load_network("demo")
    with pytest.raises(NetworkError, match=r"came|'pool', which an image passes 3 times; expected a module that is "
                                           r"passed once"):
        tap_network(network, taps=("pool",))
    assert "tap pool" not in tap_network(network, taps=("*",)).taps


@pytest.mark.parametrize(("patterns", "said"), [
    (("features.33",), r"squeezenet1_1, layers and taps: 'features.33'; .*'features.3'"),
    (("features.3", "nothing*"), r"'nothing\*'; expected the path of a module .* It passes features.0, "),
    (("classifier.0.*",), r"'classifier.0.\*'")])
def test_a_pattern_that_fits_nothing_names_the_nearest(squeezenet: tuple[TorchNetwork, nn.Module],
                                                      patterns: tuple[str, ...], said: str) -> None:
    for how in ("layers", "taps"):
        with pytest.raises(NetworkError, match=said):
            tap_network(squeezenet[0], **{how: patterns})


def test_a_network_of_another_class_cannot_be_read_by_names(tiny: TorchNetwork) -> None:
    with pytest.raises(NetworkError, match="a WithMeanImage, in which no module can be found by name"):
        tap_network(WithMeanImage(tiny, tiny.mean_image), taps=("x",))


_PART = st.text("ab1", min_size=1, max_size=3)


@given(st.lists(_PART, min_size=1, max_size=4), st.lists(st.sampled_from(["a", "b", "1", "?", "**", "[ab]", "[!a]"]),
                                                        min_size=1, max_size=6))
def test_double_stars_are_fnmatchs_stars(parts: list[str], tokens: list[str]) -> None:
    """`fnmatch` knows one star, which stands for anything; a question mark here stays within a part."""
    name, pattern = "".join(parts), "".join(tokens)
    passed = {name: 1}
    wanted = fnmatchcase(name, pattern.replace("**", "*"))
    try:
        assert (find_modules([pattern], passed, where="x") == (name,)) == wanted
    except NetworkError:
        assert not wanted


def test_one_star_stays_within_a_part() -> None:
    passed = {"a": 1, "a.b": 1, "a.b.c": 1, "a.d": 1}
    assert find_modules(["a.*"], passed, where="x") == ("a.b", "a.d")
    assert find_modules(["a.**"], passed, where="x") == ("a.b", "a.b.c", "a.d")
    assert find_modules(["a.d", "a.b"], passed, where="x") == ("a.b", "a.d"), "in the order of the image's way"


class _Tupled(nn.Module):
    """A module with an attention-like part that gives a tuple, and one that gives a scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.total, self.head = _Pair(), _Total(), nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        first, _ = self.pair(x)
        return self.head(first) + self.total(x)


class _Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class _Total(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum()


def test_what_gives_no_row_an_image_is_left_out() -> None:
    assert passed_modules(_Tupled().eval(), torch.zeros((1, 2, 2))) == {"head": 1}


# --- on disk -------------------------------------------------------------------------------------------

class _Deep(nn.Module):
    """Twelve modules of the same width, and the logits of the tiny network."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Identity() for _ in range(12))
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        for k, step in enumerate(self.steps):
            x = step(x + 0.01 * k)
        return self.inside(x - 0.66)

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        return {"layer1": x, "layer2": torch.softmax(self(x), dim=1)}


@pytest.fixture
def deep(built: Study, tiny: TorchNetwork, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose network has the tiny network's digest and answers, and twelve modules in a row."""
    network = dataclasses.replace(tiny, module=_Deep(tiny.module).eval())  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "NETWORKS", {**registry.NETWORKS, "tiny": lambda **_: network})
    return built


def _with(study: Study, **stimuli: object) -> Study:
    settings = load_settings(study.layout.root, overrides={f"stimuli.{key}": value for key, value in stimuli.items()})
    return Study(study.layout, settings)


def test_more_than_eight_taps_are_stored_beside_the_layers(deep: Study) -> None:
    study = _with(deep, taps=["steps.*"])
    made = extract(study.layout, study.settings)
    store = made.store
    assert store.taps == tuple(f"tap steps.{k}" for k in range(12))
    assert store.layers == ("layer1", "layer2")
    assert store.readings == ("logits",)
    start = store.read("layer1")
    np.testing.assert_allclose(store.read("tap steps.3"), start + 0.06, atol=1e-5)
    assert extract(study.layout, study.settings).reused
    said = made.record()
    assert said["taps"]["tap steps.11"] == 3 * SIDE * SIDE
    assert "tap steps.11" not in said["layers"]
    assert not extract(deep.layout, deep.settings).reused, "without taps the file is another one"
    assert open_store(store.path).taps == ()


def test_layers_of_ones_own_choice_are_stored_with_their_places(deep: Study) -> None:
    study = _with(deep, layers=["steps.0", "steps.1?"])
    store = extract(study.layout, study.settings).store
    assert store.layers == ("layer1", "layer2", "layer3", "layer4")
    assert store.places == {"layer1": "steps.0", "layer2": "steps.10", "layer3": "steps.11"}
    assert read_json(sidecar_path(store.path))["parameters"]["places"] == dict(store.places)
    assert not extract(_with(deep, layers=["steps.0", "steps.9", "steps.1?"]).layout,
                       _with(deep, layers=["steps.0", "steps.9", "steps.1?"]).settings).reused


def test_layers_of_the_settings_are_of_the_network_that_they_name(deep: Study, tiny: TorchNetwork,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(tiny, name="other", digest="other-1")
    monkeypatch.setattr(registry, "NETWORKS", {**registry.NETWORKS, "other": lambda **_: other})
    study = _with(deep, taps=["steps.*"])
    store = extract(study.layout, study.settings, asked=NetworkChoice("other")).store
    assert (store.network, store.taps) == ("other", ())
    with pytest.raises(NetworkError, match=r"other, layers and taps: 'steps.\*'.*no module"):
        extract(study.layout, study.settings, asked=NetworkChoice("other", taps=("steps.*",)))


def test_the_command_takes_patterns(deep: Study, command: Command) -> None:
    status, said, _ = command("features", "--study", deep.layout.root, "--taps", "steps.2", "--taps", "steps.1*",
                              "--layers", "steps.5", "--json")
    record = json.loads(said)
    assert status == 0
    assert list(record["taps"]) == ["tap steps.1", "tap steps.2", "tap steps.10", "tap steps.11"]
    assert record["places"] == {"layer1": "steps.5"}
    status, said, _ = command("features", "--study", deep.layout.root, "--taps", "steps.2", "--layers", "steps.5")
    assert "2 layers and 1 taps x 18 images" in said
    status, _, said = command("features", "--study", deep.layout.root, "--taps", "step.2")
    assert (status, "'steps.2'" in said) == (2, True)


def test_what_an_image_set_is_made_from_does_not_depend_on_where_layers_are_read(deep: Study,
                                                                                command: Command) -> None:
    file = deep.layout.settings_file
    file.write_text(file.read_text().replace("[stimuli]\n", '[stimuli]\ntaps = ["steps.*"]\nlayers = ["steps.1"]\n', 1))
    status, said, _ = command("build", "--study", deep.layout.root)
    assert (status, "already up to date" in said) == (0, True)


def test_fewer_images_at_a_time_where_responses_are_wide(tiny: TorchNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    n_units = 3 * SIDE * SIDE + len(NAMES)
    monkeypatch.setattr(feature_extraction, "MOST_BYTES", 4 * n_units * 3)
    assert [count_at_a_time(tiny, batch=batch) for batch in (1, 2, 20)] == [1, 2, 3]
    monkeypatch.setattr(feature_extraction, "MOST_BYTES", 4)
    assert count_at_a_time(tiny, batch=20) == 1


def test_responses_that_were_taken_fewer_at_a_time_are_the_same(deep: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _with(deep, taps=["steps.*"])
    whole = extract(study.layout, study.settings).store
    values = {name: whole.read(name) for name in whole.stored}
    monkeypatch.setattr(feature_extraction, "count_at_a_time", lambda *_, **__: 1)
    single = extract(study.layout, study.settings, overwrite=True).store
    for name, units in values.items():
        np.testing.assert_allclose(single.read(name), units, rtol=1e-4, atol=1e-4)


_PEAK = """
import sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.networks import registry
from stimuli.networks.registry import TorchNetwork
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.stimuli.tiny import NAMES, SIDE

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 683, 3, padding=1)          # 683 x 24 x 24 = 393,408 units
        self.steps = nn.ModuleList(nn.ReLU() for _ in range(15))
        self.head = nn.Linear(683, 6)
    def forward(self, x):
        x = self.first(x)
        for step in self.steps:
            x = step(x)
        return self.head(x.mean(dim=(2, 3)))
    def forward_layers(self, x):
        return {"layer1": x, "layer2": torch.softmax(self(x), dim=1)}

network = TorchNetwork(name="tiny", digest="tiny-1", class_names=NAMES, layers=("layer1", "layer2"), tap="none",
                       mean_image=np.full((SIDE, SIDE, 3), 127, dtype=np.float32),
                       module=Wide().eval().requires_grad_(False), preprocess=lambda images: images)
registry.NETWORKS = {"tiny": lambda **_: network}
settings = load_settings(Path(sys.argv[1]), overrides={"stimuli.taps": ["first", "steps.*"], "stimuli.batch": 20})
store = extract(Layout(Path(sys.argv[1])), settings).store
assert len(store.taps) == 16 and store.n_units["tap steps.3"] == 393408
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc, in KiB")
def test_sixteen_wide_layers_are_stored_below_a_gigabyte(built: Study) -> None:
    done = subprocess.run([sys.executable, "-c", _PEAK, str(built.layout.root)], check=False, capture_output=True,
                          text=True, cwd=Path(__file__).resolve().parents[3])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1e9 / 1024, done.stdout


def test_named_taps_are_a_network_like_any_other(squeezenet: tuple[TorchNetwork, nn.Module]) -> None:
    module = tap_network(squeezenet[0], taps=("features.0",)).module
    assert isinstance(module, NamedTaps)
    x = torch.zeros((1, 3, 64, 64))
    assert torch.equal(module(x), squeezenet[0].module(x))
    assert not module.training
