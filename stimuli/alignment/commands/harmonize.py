"""The command that trains a network to look where people look."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stimuli.alignment.commands.options import asked_network, file_type, folder_type, hardware_options, network_options
from subjects.cli import Command, Name, json_option, rich_progress, say, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stimuli.alignment.training.harmonize import Harmonized
    from stimuli.alignment.training.verdict import Verdict
    from stimuli.networks.registry import Network

LABEL = "harmonized"

_POSITIVE, _SHARE = click.IntRange(min=1), click.FloatRange(min=0, max=0.9)
_RECIPE = (
    click.option("--epochs", default=10, show_default=True, type=_POSITIVE, help="Passes over the images."),
    click.option("--batch", default=32, show_default=True, type=_POSITIVE, help="Images a step, over all processes."),
    click.option("--learning-rate", default=1e-4, show_default=True, type=click.FloatRange(min=0, min_open=True),
                 help="At the start; it falls to nothing along half a cosine."),
    click.option("--optimizer", default="adam", show_default=True, type=Name(("adam", "sgd")),
                 help="sgd: with momentum .9."),
    click.option("--weight", "harmonization", default=1.0, show_default=True, type=click.FloatRange(min=0),
                 help="Weight of the maps (lambda); 0 trains by categories alone."),
    click.option("--decay", default=1e-5, show_default=True, type=click.FloatRange(min=0), help="Weight decay."),
    click.option("--smoothing", default=0.1, show_default=True, type=_SHARE,
                 help="Label smoothing; .1 trains towards P = .9, which few RE would pass (stimuli.re_p)."),
    click.option("--levels", default=5, show_default=True, type=_POSITIVE, help="Resolutions of the pyramid."),
    click.option("--saliency", default="evaluation", show_default=True, type=Name(("evaluation", "training")),
                 help="In which mode the saliency is taken; the published code: training."),
    click.option("--precision", default="float32", show_default=True, type=Name(("float32", "bfloat16", "float16")),
                 help="What the network is computed in (torch's autocast)."),
    click.option("--mirror/--no-mirror", default=True, show_default=True, help="Mirror images and maps at random."),
    click.option("--shift", default=10, show_default=True, type=click.IntRange(min=0),
                 help="Shift them at random, px at most."),
    click.option("--brightness", default=0.15, show_default=True, type=_SHARE, help="Brighten images at random."),
)


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a network is trained."""
    for option in reversed(_RECIPE):
        command = option(command)
    return command


@click.command(cls=Command)
@network_options("Which network, by name (default: the one that ships).")
@click.option("--maps", default=None, type=click.Path(path_type=Path, resolve_path=True),
              help="Importance maps: .npz files, ClickMe's TFRecords, or a folder of participants.")
@click.option("--images", default=None, type=folder_type, help="Labelled photographs, with or without maps.")
@click.option("--labels", default=None, type=file_type,
              help="Their table of labels (default: labels.tsv in the folder, else class folders).")
@click.option("--study", default=None, type=click.Path(path_type=Path, file_okay=False),
              help="A study whose RE images the maps are of.")
@click.option("--smooth", is_flag=True, help="Smooth the maps as the published code smooths ClickMe's.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
              help="Folder of the weights.")
@recipe_options
@click.option("--held-out", default=0.1, show_default=True, type=_SHARE,
              help="Share of the images that the network is judged on and not trained on.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Decides all that is drawn.")
@click.option("--save-every", default=200, show_default=True, type=_POSITIVE, help="Steps between checkpoints.")
@click.option("--overwrite", is_flag=True, help="Begin anew where other weights stand.")
@json_option
@hardware_options
def harmonize(network: str | None, weights: Path | None, preprocessing: str | None, trust: bool, out: Path,
              smooth: bool, held_out: float, seed: int, save_every: int, overwrite: bool, as_json: bool, device: str,
              threads: int | None, **given: Any) -> None:
    """Train a network so that its saliency falls where people look (the neural harmonizer).

    An interrupted training is continued by the same command. The weights are used as --network NAME@harmonized
    --weights FILE. Several GPUs: torchrun --nproc-per-node N -m stimuli harmonize ... --device cuda.
    """
    from stimuli.alignment.commands.sources import Source
    from stimuli.alignment.training.gathering import gather_examples
    from stimuli.alignment.training.harmonize import harmonize as train
    from stimuli.alignment.training.workers import joined
    from stimuli.networks.hardware import Hardware, computing, find_device

    source = Source(**{name: given.pop(name) for name in ("maps", "images", "labels", "study")})
    asked = asked_network(network=network, weights=weights, preprocessing=preprocessing, trust=trust)
    with computing(Hardware(device, threads)), joined(find_device(device)) as (workers, here):
        progress = rich_progress if workers.first else silent
        chosen, maps = source.network(asked, hardware=Hardware()), source.importance() if source.maps else None
        images = source.labelled(chosen, progress=progress) if source.study or source.images else None
        made = train(chosen, gather_examples(chosen, images, maps=maps, smooth=smooth), out=out, seed=seed,
                     recipe=_recipe(**given), held_out=held_out, device=here, workers=workers, save_every=save_every,
                     overwrite=overwrite, progress=progress)
        if workers.first:
            name = _loaded_as(chosen, asked.name, weights=made.weights, preprocessing=asked.preprocessing)
            say({**made.record(), "network": name, "preprocessing": asked.preprocessing}, as_json=as_json,
                text=[*_lines(made), to_use(name, weights=made.weights, preprocessing=asked.preprocessing)])


def _recipe(*, mirror: bool, shift: int, brightness: float, saliency: str, **given: Any) -> Any:
    from stimuli.alignment.training.examples import Changes
    from stimuli.alignment.training.fitting import Recipe

    return Recipe(changes=Changes(mirror=mirror, max_shift_px=shift, brightness=brightness),
                  in_evaluation=saliency == "evaluation", **given)


def _loaded_as(network: Network, asked: str | None, *, weights: Path, preprocessing: str | None) -> str:
    """Load the weights as every later command does, to see that they fit; give the name for it."""
    from stimuli.networks.registry import MARK, load_network

    name = f"{(asked or network.name).partition(MARK)[0]}{MARK}{LABEL}"
    found = load_network(name, weights=weights, preprocessing=preprocessing)
    logging.getLogger(__name__).info("loaded again as %s, digest %s", name, found.digest)
    return name


def to_use(name: str, *, weights: Path, preprocessing: str | None) -> str:
    """Say which options load the weights; another preprocessing than they were trained with would spoil every answer.

    Examples
    --------
    >>> to_use("resnet18@harmonized", weights=Path("my weights.safetensors"), preprocessing=None)
    "to use them: --network resnet18@harmonized --weights 'my weights.safetensors'"
    """
    words = ["--network", name, "--weights", str(weights)]
    return f"to use them: {shlex.join([*words, *(['--preprocessing', preprocessing] if preprocessing else [])])}"


def _lines(made: Harmonized) -> Iterator[str]:
    def spell(what: str, one: Verdict) -> str:
        return (f"{what}: {one.n_images} held-out images, {100 * one.accuracy:.1f} % correct, saliency and maps "
                f"correlate by {one.alignment:.3f}, error of maps {one.map_error:.3f} ({one.n_maps} maps)")

    yield spell("before", made.before)
    yield spell("after ", made.after)
    yield f"weights {'already up to date' if made.reused else 'written'}: {made.weights}"
