"""The network that ships: its files, its verdict on drawings it never saw, and its training in small."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from stimuli.categories import demo_categories
from stimuli.networks.demo import network as demo_network
from stimuli.networks.demo.training import Recipe, augment, classify, draw_set, fit, initialise
from subjects.errors import NetworkError

FILES = ("demo_network.safetensors", "demo_network.json", "demo_mean.png")


@pytest.fixture(scope="module")
def model():
    return demo_network.load_module()


@pytest.fixture(scope="module")
def record():
    return demo_network.training_record()


@pytest.fixture
def copied(tmp_path):
    """The shipped files, free to be spoiled."""
    for name in FILES:
        shutil.copy(demo_network.DATA / name, tmp_path / name)
    return tmp_path


# ---------------------------------------------------------------- the files that ship

def test_the_weights_are_small_and_in_half_precision():
    path = demo_network.DATA / FILES[0]
    assert path.stat().st_size <= 4_000_000
    assert {values.dtype for values in load_file(path).values()} == {torch.float16}


def test_the_number_of_parameters_is_that_of_the_layers(model, record):
    convolutions = [24 * 3 * 121 + 24, 64 * 12 * 25 + 64, 96 * 64 * 9 + 96, 96 * 48 * 9 + 96, 64 * 48 * 9 + 64]
    dense = [512 * 2304 + 512, 512 * 512 + 512, 40 * 512 + 40]
    counted = sum(weight.numel() for weight in model.parameters())
    assert counted == sum(convolutions) + sum(dense) == record["n_parameters"] == 1_616_008


def test_the_module_is_ready_to_classify(model):
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_outputs_are_the_forty_categories_in_order():
    assert demo_network.class_names() == tuple(name for _, name in demo_categories())


def test_preprocessing_centres_grey_and_keeps_gradients():
    pixels = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    came = demo_network.preprocess(pixels)
    assert came.tolist() == [-2.0, 0.0, 2.0]
    (gradient,) = torch.autograd.grad(came.sum(), pixels)
    assert gradient.tolist() == [4.0, 4.0, 4.0]


def test_the_record_tells_of_these_very_files(record):
    assert record["weights_digest"] == demo_network.weights_digest()
    for key, name in (("weights_digest", FILES[0]), ("mean_digest", FILES[2])):
        whole = hashlib.sha256((demo_network.DATA / name).read_bytes()).hexdigest()
        assert whole.startswith(record[key])


def test_the_record_is_complete_and_good(record):
    assert record["validation_accuracy"] >= 0.95
    assert record["validation_n"] == 400
    assert len(record["loss_by_epoch"]) == record["epochs"]
    assert record["loss_by_epoch"][-1] < 0.1 < record["loss_by_epoch"][0]
    assert {"seed", "per_category", "learning_rate", "batch", "cpu_s", "versions", "drawings_digest"} <= set(record)


def test_the_mean_image_is_grey_in_the_middle_of_the_range():
    mean = demo_network.mean_image()
    assert mean.shape == (227, 227, 3)
    assert mean.dtype == np.float32
    assert np.all(mean == np.round(mean))
    assert 80 < mean.mean() < 170
    assert mean.std(axis=(0, 1)).max() < 30


# ---------------------------------------------------------------- its verdict

@pytest.fixture(scope="module")
def fresh():
    return draw_set(demo_network.class_names(), per_category=5, seed=424_242, purpose="test")


def test_it_knows_drawings_it_never_saw(model, fresh):
    images, labels = fresh
    probabilities = classify(model, images, preprocess=demo_network.preprocess)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    assert np.mean(probabilities.argmax(axis=1) == labels) >= 0.97


def test_every_category_is_among_five_drawings_above_99_percent(model, fresh):
    images, labels = fresh
    probabilities = classify(model, images, preprocess=demo_network.preprocess)
    own = probabilities[np.arange(len(labels)), labels].reshape(40, 5)
    poor = [name for name, best in zip(demo_network.class_names(), own.max(axis=1), strict=True) if best <= 0.99]
    assert poor == []


def test_batch_size_changes_no_verdict(model, fresh):
    images = fresh[0][::40]
    apart = classify(model, images, preprocess=demo_network.preprocess, batch=1)
    together = classify(model, images, preprocess=demo_network.preprocess, batch=50)
    np.testing.assert_allclose(apart, together, atol=1e-5)


def test_the_mean_image_can_climb_to_a_category(model):
    """Ten steps of gradient ascent on the mean raise a category from chance to certainty."""
    mean = torch.from_numpy(demo_network.mean_image()).permute(2, 0, 1)[None] / 255
    category = demo_network.class_names().index("flamingo")
    image = mean.clone()
    for _ in range(60):
        image = (image * 255).round().div(255).requires_grad_()
        log_p = torch.log_softmax(model(demo_network.preprocess(image)), dim=1)[0, category]
        (gradient,) = torch.autograd.grad(log_p, image)
        if log_p.exp() >= 0.99:
            break
        image = (image.detach() + 0.5 * gradient / gradient.norm()).clamp(0, 1)
    assert log_p.exp() >= 0.99
    assert (image - mean).norm() < 15


# ---------------------------------------------------------------- files that do not hold

def test_missing_weights_are_named(tmp_path):
    with pytest.raises(NetworkError, match=r"demo_network\.safetensors: no such file; expected the demo network"):
        demo_network.load_module(tmp_path)


def test_a_file_that_is_cut_short_is_refused(copied):
    path = copied / FILES[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NetworkError, match="a file that cannot be read .* expected weights in safetensors format"):
        demo_network.load_module(copied)


def test_a_missing_tensor_is_named(copied):
    stored = load_file(copied / FILES[0])
    del stored["fc8.bias"]
    save_file(stored, copied / FILES[0])
    with pytest.raises(NetworkError, match=r"fc8\.bias: no such tensor; expected \(40,\)"):
        demo_network.load_module(copied)


def test_a_tensor_of_another_shape_is_named(copied):
    stored = load_file(copied / FILES[0])
    stored["fc8.bias"] = stored["fc8.bias"][:39].clone()
    save_file(stored, copied / FILES[0])
    with pytest.raises(NetworkError, match=r"fc8\.bias: \(39,\); expected \(40,\)"):
        demo_network.load_module(copied)


def test_a_tensor_too_many_is_named(copied):
    stored = load_file(copied / FILES[0])
    stored["fc9.bias"] = stored["fc8.bias"].clone()
    save_file(stored, copied / FILES[0])
    with pytest.raises(NetworkError, match=r"fc9\.bias: an unknown tensor; expected only those of the network"):
        demo_network.load_module(copied)


def test_the_digest_follows_the_file(copied):
    before = demo_network.weights_digest(copied)
    stored = load_file(copied / FILES[0])
    stored["fc8.bias"][0] += 1
    save_file(stored, copied / FILES[0])
    assert demo_network.weights_digest(copied) != before == demo_network.weights_digest()


# ---------------------------------------------------------------- training

def test_a_drawing_does_not_depend_on_how_many_are_drawn():
    names = demo_network.class_names()[:2]
    few, _ = draw_set(names, per_category=1, seed=5, purpose="test")
    more, labels = draw_set(names, per_category=2, seed=5, purpose="test")
    np.testing.assert_array_equal(few, more[::2])
    assert labels.tolist() == [0, 0, 1, 1]


def test_training_and_validation_share_no_drawing():
    names = demo_network.class_names()[:1]
    one, two = (draw_set(names, per_category=1, seed=5, purpose=purpose)[0] for purpose in ("training", "validation"))
    assert np.abs(one.astype(int) - two).mean() > 5


def _ramp(n):
    image = np.zeros((n, 40, 40, 3), dtype=np.uint8)
    image[:] = (np.arange(40) * 5)[None, None, :, None]
    return image


def test_augmentation_without_reach_only_mirrors():
    recipe = Recipe(epochs=1, max_shift_px=0, brightness=0.0)
    came = augment(_ramp(40), recipe=recipe, generator=np.random.default_rng(0)).numpy()
    plain = np.moveaxis(_ramp(1)[0], 2, 0) / 255
    mirrored = [np.allclose(image, plain[..., ::-1]) for image in came]
    assert all(turned or np.allclose(image, plain) for turned, image in zip(mirrored, came, strict=True))
    assert 8 < sum(mirrored) < 32


def test_augmentation_shifts_no_further_than_its_reach():
    recipe = Recipe(epochs=1, max_shift_px=3, brightness=0.0)
    came = augment(_ramp(60), recipe=recipe, generator=np.random.default_rng(0)).numpy() * 51
    middle = came[:, 0, 20, 20]
    shifts = np.round(np.where(came[:, 0, 20, 25] > middle, middle - 20, middle - 19)).astype(int)
    assert set(shifts.tolist()) == set(range(-3, 4))


def test_augmentation_stays_between_black_and_white():
    recipe = Recipe(epochs=1, brightness=0.9)
    came = augment(_ramp(30), recipe=recipe, generator=np.random.default_rng(0))
    assert came.min() >= 0
    assert came.max() <= 1
    assert came.mean(dim=(1, 2, 3)).std() > 0.1


def test_first_weights_have_hes_spread_and_a_small_end():
    model = demo_network.build()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        initialise(model)
    third = model.convolutions[2]
    assert third.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.03)
    assert model.fc7.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.03)
    assert model.fc8.weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert all(layer.bias.abs().max() == 0 for layer in (third, model.fc7, model.fc8))


def test_fitting_lowers_the_loss_and_keeps_the_images():
    class Linear(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x.mean(dim=(2, 3)))

    images = np.zeros((64, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(64) % 2
    images[labels == 1] = 255
    before = images.copy()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        losses = fit(Linear(3, 2), images, labels=labels, recipe=Recipe(epochs=30, learning_rate=0.1, batch=16),
                     preprocess=demo_network.preprocess, generator=np.random.default_rng(0))
    assert losses[-1] < 0.1 < losses[0]
    np.testing.assert_array_equal(images, before)


def test_training_in_small_writes_everything_and_repeats(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_network, "_VALIDATION_PER_CATEGORY", 1)
    state = torch.random.get_rng_state()
    records = [demo_network.train_demo(tmp_path / run, seed=3, per_category=1, epochs=1) for run in ("a", "b")]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(FILES)
    assert records[0]["weights_digest"] == records[1]["weights_digest"]
    assert records[0]["mean_digest"] == records[1]["mean_digest"]
    assert json.loads((tmp_path / "a" / FILES[1]).read_text()) == json.loads(json.dumps(records[0]))
    assert len(records[0]["loss_by_epoch"]) == 1
    images, _ = draw_set(demo_network.class_names(), per_category=1, seed=3, purpose="training")
    with Image.open(tmp_path / "a" / FILES[2]) as mean:
        np.testing.assert_allclose(np.asarray(mean, dtype=float), images.mean(axis=0), atol=0.51)


def test_progress_sees_drawing_and_training(monkeypatch, tmp_path):
    seen = []

    def progress(iterable, *, label, total=None):
        seen.append((label, total))
        yield from iterable

    monkeypatch.setattr(demo_network, "class_names", lambda: ("pug",))
    monkeypatch.setattr(demo_network, "_VALIDATION_PER_CATEGORY", 1)
    demo_network.train_demo(tmp_path, seed=1, per_category=1, epochs=1, progress=progress)
    assert seen == [("drawing (training)", 1), ("training", 1), ("drawing (validation)", 1)]
