"""``python -m stimuli``: make, check and show a stimulus set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from subjects.cli import group, main, rich_progress, study_option
from subjects.errors import NetworkError, StoreError
from subjects.layout import Layout

if TYPE_CHECKING:
    from stimuli.image_set.check import Verdict
    from stimuli.networks.registry import Network
    from subjects.settings.study import Settings


@group(help=__doc__)
def cli() -> None:
    pass


threads_option = click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1),
                              help="CPU threads of the network.")
_folder = click.Path(path_type=Path, file_okay=False, resolve_path=True)
_file = click.Path(path_type=Path, dir_okay=False, resolve_path=True)
images_option = click.option("--images", type=_folder, default=None,
                             help="Folder of photographs for RE (default: stimuli.images; unset: RE are drawn).")
labels_option = click.option("--labels", type=_file, default=None,
                             help="Their table of labels (default: stimuli.labels, then labels.tsv in the folder).")
_network = click.option("--network", default=None, help="Which network (default: the setting stimuli.network).")
_weights = click.option("--weights", type=_file, default=None,
                        help="Its weights: .safetensors, .npz, .pt, .pth, .caffemodel or .onnx (default: its own).")
_preprocessing = click.option("--preprocessing", default=None,
                              help="Its preprocessing, caffe-227 for example; see the command networks.")


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a network."""
    return _network(_weights(_preprocessing(command)))


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what stands there.")


@cli.command()
@study_option
@network_options
@images_option
@labels_option
@overwrite_option
@threads_option
def build(study: Path, overwrite: bool, threads: int, **chosen: Any) -> None:
    """Make the RE, AN and AI images and their manifest; what stands and is current is reused.

    A set whose making was interrupted is completed. A set made with other settings is
    replaced with --overwrite only.
    """
    from stimuli.image_set.build import build as make
    from stimuli.image_set.build import fillings

    layout = Layout(study).require()
    settings = _settings(study, **chosen)
    made = make(layout, settings, overwrite=overwrite, threads=threads, progress=rich_progress)
    state = "already current, reused" if made.reused else "made"
    for line in fillings(made.manifest, settings):
        click.echo(line)
    click.echo(f"{len(made.manifest)} images {state}: {layout.manifest}")


def _settings(study: Path, *, network: str | None, weights: Path | None, preprocessing: str | None,
              images: Path | None = None, labels: Path | None = None) -> Settings:
    """Read the study's settings with what the command line chooses; another network leaves the study's weights out."""
    from subjects.settings.loading import load_settings

    given: dict[str, Any] = {"images": images, "labels": labels, "weights": weights, "network": network,
                             "preprocessing": _from_here(preprocessing)}
    changed: dict[str, str | None] = {key: str(value) for key, value in given.items() if value is not None}
    if network is not None and network != load_settings(study).stimuli.network:
        changed = {"weights": None, "preprocessing": None, **changed}
    return load_settings(study, overrides={f"stimuli.{key}": value for key, value in changed.items()})


def _from_here(preprocessing: str | None) -> str | None:
    """Let the file behind a preprocessing's colon start from the working directory, as other flags do."""
    name, colon, file = (preprocessing or "").partition(":")
    return f"{name}:{Path(file).resolve()}" if colon else preprocessing


@cli.command()
@study_option
@network_options
@images_option
@labels_option
@threads_option
def candidates(study: Path, threads: int, **chosen: Any) -> int:
    """Screen the photographs for RE, and make no image.

    Writes stimuli/candidates.tsv: every candidate, its P and why it fell out. Ends with 0 if every class has its
    images, with 1 if one falls short, with 2 if something cannot be read.
    """
    from rich.console import Console

    from stimuli.regular_images.candidate_report import below_lines, report_path, screen_only, selection_table

    layout, settings = Layout(study).require(), _settings(study, **chosen)
    made = screen_only(layout, settings, threads=threads, progress=rich_progress)
    Console().print(selection_table(made, classes=settings.stimuli.classes,
                                    title=f"P > {settings.stimuli.re_p:g}, one photograph a category"))
    for line in [*below_lines(made), f"{len(made.verdicts)} candidates: {report_path(layout)}"]:
        click.echo(line)
    wanted = settings.stimuli.per_class * len(settings.stimuli.classes)
    return 0 if len(made.chosen) == wanted else 1


@cli.command()
@study_option
@network_options
@click.option("--also", multiple=True, metavar="NAME",
              help="Another network that is asked about the same images; may be given more than once.")
@click.option("--also-weights", type=_file, default=None, help="Weights of the one network that --also names.")
@click.option("--also-preprocessing", default=None, help="Preprocessing of the one network that --also names.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@threads_option
def check(study: Path, as_json: bool, threads: int, also: tuple[str, ...], also_weights: Path | None,
          also_preprocessing: str | None, **chosen: Any) -> int:
    """Check every rule from the files alone.

    Ends with 0 only if every image holds under the set's own network, with 1 if a rule is
    broken, with 2 if a file is missing or was changed.
    """
    from stimuli.image_set.check import check as judge

    layout, settings = Layout(study).require(), _settings(study, **chosen)
    others = _others(also, layout=layout, settings=settings, weights=also_weights,
                     preprocessing=_from_here(also_preprocessing))
    verdict = judge(layout, settings, also=others, threads=threads, progress=rich_progress)
    click.echo(json.dumps(verdict.to_json(), indent=2, allow_nan=False)) if as_json else _print(verdict)
    return 0 if verdict.ok else 1


def _others(names: tuple[str, ...], *, layout: Layout, settings: Settings, weights: Path | None,
            preprocessing: str | None) -> list[Network]:
    """Load the networks of --also; weights and preprocessing belong to one network only."""
    from stimuli.networks.registry import load_network, network_of

    if weights is None and preprocessing is None:
        return [network_of(settings.stimuli, name=name, root=layout.root) for name in names]
    if len(names) != 1:
        raise NetworkError("--also-weights, --also-preprocessing", came=f"{len(names)} networks by --also",
                           expected="one network that they belong to",
                           remedy="Name one network with --also, and run check once for each.")
    return [load_network(names[0], weights=weights, preprocessing=preprocessing)]


def _print(verdict: Verdict) -> None:
    from rich.console import Console

    from stimuli.image_set.check_tables import failure_lines, summary, transfer_lines, transfer_table, verdict_table

    console = Console()
    console.print(verdict_table(verdict))
    if verdict.transfers:
        console.print(transfer_table(verdict))
    for line in [*transfer_lines(verdict), *failure_lines(verdict)]:
        click.echo(line)
    click.echo(summary(verdict))


@cli.command()
@study_option
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A PNG file.")
@click.option("--columns", default=8, show_default=True, type=click.IntRange(min=1),
              help="Base images side by side; a class of more goes on below.")
@overwrite_option
def sheet(study: Path, out: Path, columns: int, overwrite: bool) -> None:
    """Draw the contact sheet: RE, AN and AI with labels and P."""
    from stimuli.image_set.contact_sheet import write_sheet

    click.echo(f"sheet: {write_sheet(Layout(study).require(), out, columns=columns, overwrite=overwrite)}")


@cli.command()
@study_option
@click.option("--folder", type=_folder, default=None,
              help="Your own pictures in sub-folders object, face, word, intact, scrambled (default: textures.folder).")
@click.option("--sheet", "sheet_file", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="Also write a PNG that shows some of each kind.")
@overwrite_option
def textures(study: Path, folder: Path | None, sheet_file: Path | None, overwrite: bool) -> None:
    """Render the textures of retinotopic mapping and the LO localizer; what stands and is current is reused."""
    from stimuli.textures.render import render, write_sheet
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    settings = load_settings(study, overrides={} if folder is None else {"textures.folder": str(folder)})
    made = render(layout, settings, overwrite=overwrite, progress=rich_progress)
    state = "already current, reused" if made.reused else "rendered"
    click.echo(f"{len(made.table.rows)} textures {state}: {layout.textures}")
    if sheet_file is not None:
        click.echo(f"sheet: {write_sheet(layout, sheet_file, overwrite=True)}")


@cli.command()
@study_option
@network_options
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default=None,
              help="How responses are stored (default: stimuli.features_dtype).")
@threads_option
def features(study: Path, threads: int, dtype: str | None, **chosen: Any) -> None:
    """Take every layer's responses to the whole set, for the analysis. An interrupted extraction is gone on with."""
    from stimuli.image_set.feature_extraction import describe, extract

    layout, settings = Layout(study).require(), _settings(study, **chosen)
    if dtype is not None:
        settings = settings.model_copy(update={
            "stimuli": settings.stimuli.model_copy(update={"features_dtype": dtype})})
    click.echo(describe(extract(layout, settings, threads=threads, progress=rich_progress)))


@cli.command()
def networks() -> None:
    """List the networks, where their weights are looked for, and the preprocessings. Loads none of them."""
    from stimuli.networks.registry import list_networks

    for line in list_networks():
        click.echo(line)


@cli.command("train-demo")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder for the weights (default: beside the program, where the network is loaded from).")
@click.option("--seed", default=20210, show_default=True, type=click.IntRange(min=0))
@click.option("--per-category", default=120, show_default=True, type=click.IntRange(min=1))
@click.option("--epochs", default=16, show_default=True, type=click.IntRange(min=1))
@overwrite_option
def train_demo(out: Path | None, seed: int, per_category: int, epochs: int, overwrite: bool) -> None:
    """Train the network that ships with the project (about 16 CPU minutes).

    Sets that were made with weights that are replaced no longer pass the check.
    """
    from stimuli.networks.demo import network as demo_network

    weights = (out or demo_network.DATA) / demo_network.WEIGHTS_FILE
    if weights.exists() and not overwrite:
        raise StoreError(str(weights), came="weights that exist already", expected="a free name",
                         remedy="Nothing was trained; name another folder with --out, or add --overwrite.")
    record = demo_network.train_demo(out, seed=seed, per_category=per_category, epochs=epochs, progress=rich_progress)
    click.echo(f"validation accuracy {record['validation_accuracy']:.3f}: {weights}")


if __name__ == "__main__":
    main(cli)
