"""The tiny network, loadable by name while the tests run, and a set that was built with it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stimuli.networks import registry as networks
from stimuli.networks.registry import TorchNetwork
from subjects.layout import Layout
from tests.stimuli.tiny import Study, fit_tiny, make_study


@pytest.fixture(scope="session")
def tiny() -> Iterator[TorchNetwork]:
    """Give the network, which can also be loaded as "tiny" while the tests run."""
    network = fit_tiny()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "NETWORKS", {**networks.NETWORKS, "tiny": lambda **_: network})
        yield network


@pytest.fixture
def empty(tiny: TorchNetwork, tmp_path: Path) -> Study:
    """Give a study without images."""
    return make_study(tmp_path / "empty")


@pytest.fixture(scope="session")
def _built(tiny: TorchNetwork, tmp_path_factory: pytest.TempPathFactory) -> Study:
    from stimuli.image_set.build import build

    study = make_study(tmp_path_factory.mktemp("built") / "study")
    build(study.layout, study.settings)
    return study


@pytest.fixture
def built(_built: Study, tmp_path: Path) -> Study:
    """Give a copy of a study with 18 images."""
    root = tmp_path / "built"
    shutil.copytree(_built.layout.root, root)
    return Study(Layout(root), _built.settings)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Give a function that runs ``python -m stimuli ...`` here and gives (exit status, stdout, stderr)."""
    from stimuli.__main__ import cli
    from subjects.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stimuli", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main(cli)
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run
