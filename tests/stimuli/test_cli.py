"""The command line: exit status 0, 1 or 2, one line for a mistake, nothing written after one."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stimuli.image_set.check import check
from stimuli.manifest import COLUMNS, Manifest, image_id_of, read_image, read_manifest, write_manifest
from stimuli.networks.demo import network as demo_network
from tests.stimuli.tiny import Study
from tests.stimuli.weight_files import torchvision_state

Command = Callable[..., tuple[int, str, str]]


def _said_once(said: str) -> str:
    """The one line of an error; progress bars stand above it."""
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert said.rstrip().endswith(lines[0])
    assert "Traceback" not in said
    return lines[0]


def test_build_check_features_and_sheet_end_well(empty: Study, command: Command, tmp_path: Path) -> None:
    root = empty.layout.root
    code, said, _ = command("build", "--study", root)
    assert (code, said) == (0, f"18 images of network tiny made: {empty.layout.manifest}\n")
    code, said, _ = command("build", "--study", root)
    assert (code, said) == (0, f"18 images of network tiny already up to date: {empty.layout.manifest}\n")
    code, said, _ = command("check", "--study", root)
    assert code == 0
    passes = r"^18 of 18 images pass; contrast of AN 12\.\d to 1[23]\.\d grey levels RMS, P 0\.99\d\d to 0\.99\d\d$"
    assert re.search(passes, said, re.MULTILINE)
    code, said, _ = command("features", "--study", root)
    assert (code, said) == (0, ("2 layers x 18 images of network tiny extracted: "
                            f"{empty.layout.features('tiny')} (0.1 MiB)\n"))
    assert "up to date" in command("features", "--study", root)[1]
    assert command("sheet", "--study", root, "--out", tmp_path / "sheet.png")[0] == 0
    assert read_image(tmp_path / "sheet.png").shape[1] > 300


def test_check_speaks_json(built: Study, command: Command) -> None:
    code, said, _ = command("check", "--study", built.layout.root, "--json")
    content = json.loads(said)
    assert code == 0
    assert (content["ok"], content["n_images"], content["n_failed"]) == (True, 18, 0)
    verdict = check(built.layout, built.settings)
    assert [one["p"] for one in content["images"]] == pytest.approx([one.p for one in verdict.images], abs=1e-6)


def test_a_broken_rule_ends_with_1_and_names_the_image(built: Study, command: Command) -> None:
    manifest = read_manifest(built.layout.manifest)
    one = manifest.get(base_image="dogs-02", type="RE")
    pixels = np.full((24, 24, 3), 90, np.uint8)
    Image.fromarray(pixels).save(built.layout.stimulus(one.file))
    rows = [dataclasses.replace(row, image_id=image_id_of(pixels)) if row is one else row for row in manifest.stimuli]
    write_manifest(built.layout.manifest, Manifest(tuple(rows)), overwrite=True)
    code, said, _ = command("check", "--study", built.layout.root)
    assert code == 1
    assert re.search(r"^images/RE/dogs-02_RE.png: P 0\.\d+, wanted > 0.99$", said, re.MULTILINE)
    assert "dogs-02" in next(line for line in said.splitlines() if line.rstrip().endswith("fails"))
    assert command("check", "--study", built.layout.root, "--json")[0] == 1


def _remove(study: Study) -> None:
    (study.layout.stimuli / "images/AN/cars-01_AN.png").unlink()


def _flip(study: Study) -> None:
    path = study.layout.stimuli / "images/AN/cars-01_AN.png"
    pixels = read_image(path)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)


def _narrow(study: Study) -> None:
    path = study.layout.stimuli / "images/AN/cars-01_AN.png"
    Image.fromarray(read_image(path)[:, :20]).save(path)


def _edit(study: Study, old: str, new: str) -> None:
    text = study.layout.manifest.read_text(encoding="utf-8")
    assert old in text
    study.layout.manifest.write_text(text.replace(old, new, 1), encoding="utf-8")


SPOILT: dict[str, tuple[Callable[[Study], None], str]] = {
    "missing image": (_remove, "AN/cars-01_AN.png: no such file; expected an image of the set"),
    "changed pixel": (_flip, r"AN/cars-01_AN.png: pixels with digest px-\w{16}; expected px-\w{16}, as in the manif"),
    "not square": (_narrow, "AN/cars-01_AN.png: 20 x 24 pixels; expected a square image"),
    "no manifest": (lambda study: study.layout.manifest.unlink(), "manifest.tsv: no such file"),
    "missing column": (lambda study: _edit(study, "\tssim\t", "\tsim\t"), "no column 'ssim'|unknown column 'sim'"),
    "bad type": (lambda study: _edit(study, "\tAN\t", "\tNA\t"), "type 'NA'; expected one of RE, AN, AI"),
    "bad number": (lambda study: _edit(study, "\tn/a\tn/a\t", "\tn/a\tsix\t"), "target_index = 'six'; expected int"),
}


@pytest.mark.parametrize("case", SPOILT)
@pytest.mark.parametrize("verb", ["check", "features", "sheet"])
def test_a_spoilt_set_ends_with_2_and_one_line(built: Study, command: Command, tmp_path: Path, case: str,
                                               verb: str) -> None:
    spoil, wanted = SPOILT[case]
    spoil(built)
    before = sorted(built.layout.root.rglob("*.*"))
    out = ["--out", tmp_path / "sheet.png"] if verb == "sheet" else []
    code, said, complaint = command(verb, "--study", built.layout.root, *out)
    assert (code, said) == (2, "")
    assert re.search(wanted, _said_once(complaint))
    assert sorted(built.layout.root.rglob("*.*")) == before
    assert not (tmp_path / "sheet.png").exists()


def test_a_duplicate_row_is_one_line(built: Study, command: Command) -> None:
    lines = built.layout.manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    cells = lines[4].split("\t")
    cells[COLUMNS.index("image_id")] = lines[1].split("\t")[0]
    lines[4] = "\t".join(cells)
    built.layout.manifest.write_text("".join(lines), encoding="utf-8")
    code, _, complaint = command("check", "--study", built.layout.root)
    assert code == 2
    assert re.search(r"image_id 'px-\w{16}' twice", _said_once(complaint))


@pytest.mark.parametrize("verb", ["build", "features"])
def test_an_unknown_network_names_the_nearest(built: Study, command: Command, verb: str) -> None:
    code, _, complaint = command(verb, "--study", built.layout.root, "--network", "demos")
    assert code == 2
    assert _said_once(complaint) == ("error: network: 'demos'; expected a network that is installed. "
                                     "Did you mean 'demo'?")


def test_a_set_with_other_settings_needs_a_flag(built: Study, command: Command) -> None:
    path = built.layout.settings_file
    path.write_text(path.read_text(encoding="utf-8").replace("per_class = 2", "per_class = 1"), encoding="utf-8")
    code, _, complaint = command("build", "--study", built.layout.root)
    assert code == 2
    assert "main.sessions: 2 sessions for 1 images a class; expected a number of sessions" in _said_once(complaint)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[main]\n", "[main]\nsessions = 1\n", 1), encoding="utf-8")
    code, _, complaint = command("build", "--study", built.layout.root)
    assert code == 2
    assert "a set made with other settings" in _said_once(complaint)
    code, said, _ = command("build", "--study", built.layout.root, "--overwrite")
    assert (code, said.split()[0]) == (0, "9")


@pytest.mark.parametrize("verb", ["build", "check", "features"])
def test_a_folder_that_is_no_study_is_one_line(tmp_path: Path, command: Command, verb: str) -> None:
    code, _, complaint = command(verb, "--study", tmp_path)
    assert code == 2
    assert "no study.toml; expected a study's folder" in _said_once(complaint)
    assert list(tmp_path.iterdir()) == []


def test_networks_are_listed_with_their_digests(command: Command) -> None:
    code, said, _ = command("networks")
    assert code == 0
    assert re.search(r"^demo: 227 px, 40 classes, ships with the project, digest [0-9a-f]{16}$", said, re.MULTILINE)
    assert max(map(len, said.splitlines())) <= 80


def test_networks_tell_where_weights_belong(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "squeezenet1_1-b8a52dc0.pth").touch()
    code, said, _ = command("networks")
    assert code == 0
    assert "alexnet-caffe: 227 px, bring bvlc_alexnet.caffemodel\n" in said
    assert "squeezenet1_1: 224 px, found squeezenet1_1-b8a52dc0.pth\n" in said
    assert "inception_v3: 299 px, downloads inception_v3" in said
    assert f"looked for in\n{folder}, or named with --weights.\n" in said
    assert "caffe-227" in said


def test_network_weights_and_preprocessing_are_chosen_on_the_command_line(
        command: Command, built: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny set shown to a network of another input is refused, and so one sees that the network came."""
    save_file(dict(torchvision_state("squeezenet1_1")), tmp_path / "w.safetensors")
    np.save(tmp_path / "mean.npy", np.full((3, 256, 256), 100.0))
    monkeypatch.chdir(tmp_path)
    chosen = ("--network", "squeezenet1_1", "--weights", "w.safetensors", "--preprocessing")
    for verb, expected in (("check", "expected tiny tiny-1, the network that the set was made with"),
                           ("build", "227 px, the input of network 'squeezenet1_1'")):
        code, _, complaint = command(verb, "--study", built.layout.root, *chosen, "caffe-227:mean.npy")
        assert code == 2
        assert expected in _said_once(complaint)
    code, said, _ = command("features", "--study", built.layout.root, *chosen, "caffe-227:mean.npy")
    assert code == 0
    assert "of network squeezenet1_1, not the set's (tiny) extracted: " in said
    code, _, complaint = command("features", "--study", built.layout.root, *chosen, "caffe-228")
    assert code == 2
    assert "Did you mean 'caffe-227'?" in _said_once(complaint)


def test_a_pickle_that_would_run_code_ends_as_one_line(command: Command, built: Study, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    before = sorted(path.name for path in built.layout.root.rglob("*"))
    code, _, complaint = command("build", "--study", built.layout.root, "--network", "squeezenet1_1", "--weights",
                                 tmp_path / "w.pt")
    assert code == 2
    assert "w.pt: a pickle that would run code" in _said_once(complaint)
    assert sorted(path.name for path in built.layout.root.rglob("*")) == before


def test_training_does_not_replace_weights_unasked(command: Command, monkeypatch: pytest.MonkeyPatch,
                                                   tmp_path: Path) -> None:
    monkeypatch.setattr(demo_network, "train_demo", None)
    code, _, complaint = command("train-demo")
    assert code == 2
    assert "weights that exist already" in _said_once(complaint)
    assert "--overwrite" in complaint


def test_training_takes_its_settings_from_the_flags(command: Command, monkeypatch: pytest.MonkeyPatch,
                                                    tmp_path: Path) -> None:
    asked: dict[str, object] = {}

    def train(out: Path, **wanted: object) -> dict[str, float]:
        asked.update(wanted, out=out)
        return {"validation_accuracy": 0.975}

    monkeypatch.setattr(demo_network, "train_demo", train)
    code, said, _ = command("train-demo", "--out", tmp_path, "--seed", 3, "--per-category", 2, "--epochs", 1)
    assert (code, said) == (0, f"validation accuracy 0.975: {tmp_path / demo_network.WEIGHTS_FILE}\n")
    assert (asked["out"], asked["seed"], asked["per_category"], asked["epochs"]) == (tmp_path, 3, 2, 1)


@pytest.mark.parametrize("arguments", [("build",), ("check", "--study"), ("sheet", "--study", "x"), ("bild",),
                                       ("build", "--study", "x", "--threads", "0")])
def test_a_wrong_flag_ends_with_2(command: Command, arguments: tuple[str, ...]) -> None:
    code, said, complaint = command(*arguments)
    assert (code, said) == (2, "")
    assert "Error" in complaint
