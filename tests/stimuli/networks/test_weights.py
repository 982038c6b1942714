"""Weights in every format against what was written; files that would run code, lie or break."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import save_file

from stimuli.networks.weights import Weights, digest_weights, fit_weights, read_weights
from subjects.errors import NetworkError
from tests.stimuli.weight_files import alexnet_blobs, named, write_caffemodel, write_onnx

ARRAYS = named(alexnet_blobs(3))


def _torch(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values.copy()) for name, values in arrays.items()}


WRITERS: dict[str, Callable[[Path, dict[str, np.ndarray]], object]] = {
    "a.safetensors": lambda path, arrays: save_file(arrays, path),
    "a.npz": lambda path, arrays: np.savez(path, **arrays),
    "a.pt": lambda path, arrays: torch.save(_torch(arrays), path),
    "old.pth": lambda path, arrays: torch.save(_torch(arrays), path, _use_new_zipfile_serialization=False),
    "wrapped.pth": lambda path, arrays: torch.save({"epoch": 3, "state_dict": _torch(
        {f"module.{name}": values for name, values in arrays.items()})}, path),
    "checkpoint.pth.tar": lambda path, arrays: torch.save({"epoch": 3, "state_dict": _torch(arrays)}, path),
    "wrapped.safetensors": lambda path, arrays: save_file(
        {f"module.{name}": values for name, values in arrays.items()}, path),
    "wrapped.npz": lambda path, arrays: np.savez(path, **{f"module.{name}": values for name, values in arrays.items()}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ARRAYS)
    found = read_weights(tmp_path / name)
    assert set(found.tensors) == set(ARRAYS)
    assert found.n_parameters == sum(values.size for values in ARRAYS.values())
    for key, values in ARRAYS.items():
        np.testing.assert_array_equal(found.tensors[key].numpy(), values)


@pytest.mark.parametrize("legacy", [False, True])
def test_caffes_layers_are_spelled_with_weight_and_bias(tmp_path: Path, legacy: bool) -> None:
    found = read_weights(write_caffemodel(tmp_path / "a.caffemodel", alexnet_blobs(3), legacy=legacy))
    assert list(found.tensors) == list(ARRAYS)
    assert found.order[:4] == ("conv1", "relu1", "norm1", "pool1")


@pytest.mark.parametrize("turned", [False, True])
def test_onnx_comes_in_the_graphs_order_and_torchs_shape(tmp_path: Path, turned: bool) -> None:
    found = read_weights(write_onnx(tmp_path / "a.onnx", alexnet_blobs(3), turned=turned))
    assert list(found.tensors) == list(ARRAYS)  # without the shape of the Reshape
    for key, values in ARRAYS.items():
        np.testing.assert_array_equal(found.tensors[key].numpy(), values)


def test_half_precision_becomes_float32_and_counters_stay_whole(tmp_path: Path) -> None:
    save_file({"a": np.ones(2, np.float16), "n": np.array([3])}, tmp_path / "a.safetensors")
    found = read_weights(tmp_path / "a.safetensors").tensors
    assert (found["a"].dtype, found["n"].dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", WRITERS)
def test_one_value_that_is_not_finite_is_found(tmp_path: Path, name: str, value: float) -> None:
    spoilt = {**ARRAYS, "fc7.weight": ARRAYS["fc7.weight"].copy()}
    spoilt["fc7.weight"][2, 3] = value
    WRITERS[name](tmp_path / name, spoilt)
    with pytest.raises(NetworkError, match=rf"{name}: fc7.weight: 1 values that are NaN or infinite; expected finite "
                                           "weights. Fetch the file again"):
        read_weights(tmp_path / name)


class _Code:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("kind", ["new", "old", "pickle", "inside", "module"])
def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path, kind: str) -> None:
    path, mark = tmp_path / "a.pth", tmp_path / "mark"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(_Code(mark)))
    else:
        held = torch.nn.Linear(2, 2) if kind == "module" else {"w": torch.ones(2), "x": _Code(mark)}
        torch.save(_Code(mark) if kind == "new" else held, path, _use_new_zipfile_serialization=kind != "old")
    with pytest.raises(NetworkError, match=r"a.pth: a pickle that would run code \(.*expected tensors and nothing "
                                           r"else. It was not opened further. Take weights from a source"):
        read_weights(path)
    assert not mark.exists()


def test_objects_in_an_npz_are_not_unpickled(tmp_path: Path) -> None:
    path, mark = tmp_path / "a.npz", tmp_path / "mark"
    np.savez(path, conv1=np.array([_Code(mark)], dtype=object))
    with pytest.raises(NetworkError, match=r"a.npz: a pickle that would run code"):
        read_weights(path)
    path.write_bytes(pickle.dumps(_Code(mark)))
    with pytest.raises(NetworkError, match=r"a.npz: a pickle that would run code"):
        read_weights(path)
    assert not mark.exists()


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pt", ".pth", ".caffemodel", ".onnx"])
@pytest.mark.parametrize("content", [b"", b"no weights at all " * 20])
def test_other_bytes_are_refused(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match=rf"a\{ending}: .*; expected "):
        read_weights(path)


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pth", ".pth.tar", ".caffemodel", ".onnx"])
def test_what_git_leaves_in_place_of_a_large_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_text(f"version https://git-lfs.example/spec/v1\noid sha256:{'0' * 64}\nsize 12\n", encoding="utf-8")
    with pytest.raises(NetworkError, match=r"a Git LFS pointer, not the file .*`git lfs pull`"):
        read_weights(path)


def test_a_prefix_of_some_names_alone_is_theirs(tmp_path: Path) -> None:
    save_file({"module.a": np.ones(2, np.float32), "b": np.ones(2, np.float32)}, tmp_path / "a.safetensors")
    assert set(read_weights(tmp_path / "a.safetensors").tensors) == {"module.a", "b"}


def test_a_torchscript_program_is_named_and_not_run(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:  # as torch.jit.save lays it out
        for name in ("a/data.pkl", "a/code/__torch__.py", "a/constants.pkl", "a/version"):
            archive.writestr(name, b"\x80\x02.")
    with pytest.raises(NetworkError, match=r"a TorchScript program, .*torch\.jit\.load\(FILE\)\.state_dict\(\)"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.safetensors", "a.npz", "a.pt", "a.onnx"])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, ARRAYS) if name in WRITERS else write_onnx(path, alexnet_blobs())
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(NetworkError, match=r"a file that (cannot be (read|parsed)|is no torch file)"):
        read_weights(path)


@pytest.mark.parametrize("held", [[torch.ones(2)], {"a": 3}, {"state_dict": {"a": "text"}}, {}])
def test_torch_files_must_hold_tensors_by_name(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "a.pt")
    with pytest.raises(NetworkError, match="that is not tensors by name; expected a state dict. Save model.state_dict"):
        read_weights(tmp_path / "a.pt")


def test_values_outside_an_onnx_file_are_refused(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", alexnet_blobs())
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="other.bin", size_threshold=0)
    with pytest.raises(NetworkError, match="values kept in another file; expected all values in the ONNX file"):
        read_weights(path)


def test_an_unknown_ending_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"the ending '.h5'; expected one of .safetensors, .npz, .pt, .pth, .pth"):
        read_weights(tmp_path / "a.h5")
    with pytest.raises(NetworkError, match=r"a.pt: no such file; .*\(--weights, stimuli.weights\)"):
        read_weights(tmp_path / "a.pt")


def _linear() -> torch.nn.Module:
    with torch.device("meta"):
        return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


def _weights(**changes: torch.Tensor | None) -> Weights:
    tensors = {"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2), "1.weight": torch.ones(2),
               "1.bias": torch.ones(2), "1.running_mean": torch.zeros(2), "1.running_var": torch.ones(2),
               **{name.replace("_", ".", 1): values for name, values in changes.items()}}
    return Weights(Path("w.pt"), {name: values for name, values in tensors.items() if values is not None})


def test_fitted_weights_are_frozen_and_ready() -> None:
    module = fit_weights(_linear(), _weights())
    assert not module.training
    assert not any(values.requires_grad for values in module.parameters())
    torch.testing.assert_close(module(torch.ones(1, 3)), torch.full((1, 2), 1 + 4 / (1 + 1e-5) ** 0.5))


@pytest.mark.parametrize(("changes", "text"), [
    ({"0_bias": None}, r"w.pt: 0.bias: no such tensor; expected \(2\). These 14 values are of another network"),
    ({"0_weight": torch.ones(3, 2)}, r"0.weight: shape \(3, 2\); expected shape \(2, 3\)"),
    ({"0_weight": torch.ones(2, 3, 1)}, r"shape \(2, 3, 1\); expected shape \(2, 3\)"),
    ({"2_weight": torch.ones(4)}, r"2.weight: a tensor of shape \(4\); expected no such tensor"),
])
def test_weights_that_do_not_fit_are_refused(changes: dict[str, torch.Tensor | None], text: str) -> None:
    with pytest.raises(NetworkError, match=text):
        fit_weights(_linear(), _weights(**changes))


def test_leading_ones_are_dropped() -> None:
    module = fit_weights(_linear(), _weights(**{"0_weight": torch.arange(6.0).reshape(1, 1, 2, 3)}))
    assert module[0].weight.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_the_digest_sees_one_value_and_no_counter() -> None:
    module = fit_weights(_linear(), _weights())
    first = digest_weights(module)
    module[1].num_batches_tracked += 1
    assert digest_weights(module) == first
    module[0].bias[1] += 1e-6
    assert digest_weights(module) != first
