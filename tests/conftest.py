"""What every test may ask for: a small study's folder, and where the development data lie."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from subjects.dataset import init_study
from subjects.layout import Layout

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell that starts a job in the background has it ignore Ctrl-C, and programs started by it would ignore it as well.
for _signal, _handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, _signal) and signal.getsignal(getattr(signal, _signal)) == signal.SIG_IGN:
        signal.signal(getattr(signal, _signal), _handler)

ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")  # the same cases at every run; --hypothesis-profile=default draws others


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that open a window last.

    Mesa's software GL and torch's compiler each bring an LLVM; loaded in this order the second one crashes
    the process, in the other order it does not.
    """
    items.sort(key=lambda item: item.get_closest_marker("window") is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have networks and analysis in one process of `make test`, the console and all else in another.

    What several tests share is then made once, and neither process has windows before networks.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "networks" if nodeid.startswith(("tests/stimuli/", "tests/analysis/")) else "console"

    return ByRoom(config, log)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep digests and trust of tests out of the user's own folders, in the processes that tests start too."""
    os.environ["ADVERSARIAL_FMRI_HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture
def study(tmp_path: Path) -> Layout:
    """Make an empty study with the protocol's settings."""
    return init_study(Layout(tmp_path / "study"), name="test", seed=1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of development data, or skip."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the development data are not beside this checkout (../shared/data)")
    return folder
