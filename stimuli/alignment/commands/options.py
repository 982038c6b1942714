"""Options that several commands of ``python -m stimuli`` share: which network, where it computes, which photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from subjects.cli import Name

if TYPE_CHECKING:
    from stimuli.image_set.set_network import NetworkChoice

_threads = click.option("--threads", default=None, type=click.IntRange(min=1),
                        help="CPU threads of the network (default: the physical cores, at most OMP_NUM_THREADS).")
_device = click.option("--device", default="cpu", show_default=True, type=Name(("auto", "cpu", "cuda", "mps")),
                       help="Where the network computes; auto: a GPU where there is one. Images are judged on the CPU.")


def hardware_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the network computes."""
    return _device(_threads(command))


folder_type = click.Path(path_type=Path, file_okay=False, resolve_path=True)
file_type = click.Path(path_type=Path, dir_okay=False, resolve_path=True)
images_option = click.option("--images", type=folder_type, default=None,
                             help="Folder of photographs for RE (default: stimuli.images; unset: RE are drawn).")
labels_option = click.option("--labels", type=file_type, default=None,
                             help="Their table of labels (default: stimuli.labels, then labels.tsv in the folder).")
_weights = click.option("--weights", type=file_type, default=None,
                        help="Its weights: .safetensors, .npz, .pt, .pth, .pth.tar, .caffemodel or .onnx (default: "
                             "its own).")
_preprocessing = click.option("--preprocessing", default=None,
                              help="Its preprocessing, caffe-227 for example; see the command networks.")
_trust = click.option("--trust", is_flag=True,
                      help="Allow the code that the study names as its network (module:function) to run here, from "
                           "now on.")


def network_options(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: A002 - click's own word
    """Add the options that choose a network; `help` says what --network means for the command."""
    network = click.option("--network", default=None, help=help)

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        return network(_weights(_preprocessing(_trust(command))))

    return add


overwrite_option = click.option("--overwrite", is_flag=True,
                                help="Make it anew; what is there is moved to stimuli/replaced.")
replace_option = click.option("--overwrite", is_flag=True, help="Replace the file that is there.")


def asked_network(*, network: str | None, weights: Path | None, preprocessing: str | None, trust: bool,
                  layers: tuple[str, ...] = (), taps: tuple[str, ...] = ()) -> NetworkChoice:
    """Put what a command line says of its network into one record."""
    from stimuli.image_set.set_network import NetworkChoice

    return NetworkChoice(network, weights=weights, preprocessing=from_here(preprocessing), trust=trust, layers=layers,
                         taps=taps)


def from_here(preprocessing: str | None) -> str | None:
    """Let the file behind a preprocessing's colon start from the working directory, as other flags do."""
    name, colon, file = (preprocessing or "").partition(":")
    return f"{name}:{Path(file).resolve()}" if colon else preprocessing
