"""``python -m stimuli``: make, check and show a stimulus set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stimuli.alignment.commands.harmonize import harmonize
from stimuli.alignment.commands.measures import COMMANDS
from stimuli.alignment.commands.options import (
    asked_network,
    file_type,
    folder_type,
    from_here,
    hardware_options,
    images_option,
    labels_option,
    network_options,
    overwrite_option,
    replace_option,
)
from stimuli.alignment.commands.trade_off import trade_off
from subjects.cli import group, json_option, main, rich_progress, say, study_option
from subjects.errors import NetworkError, StoreError
from subjects.layout import Layout

if TYPE_CHECKING:
    from stimuli.networks.registry import Network
    from subjects.settings.study import Settings


@group(help=__doc__)
def cli() -> None:
    pass


def _load(study: Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    from subjects.settings.loading import load_settings  # pydantic: most of the start-up time of a help text

    return load_settings(study, overrides=overrides)


def _settings(study: Path, *, images: Path | None, labels: Path | None) -> Settings:
    given = {"stimuli.images": images, "stimuli.labels": labels}
    return _load(study, {key: str(value) for key, value in given.items() if value is not None})


@cli.command()
@study_option
@network_options("Which network (default: the setting stimuli.network, else that of the set that is there).")
@images_option
@labels_option
@overwrite_option
@click.option("--float", "as_float", is_flag=True,
              help="Also export the perturbations before rounding, as the command perturbations does.")
@json_option
@hardware_options
def build(study: Path, overwrite: bool, as_float: bool, as_json: bool, device: str, threads: int | None,
          images: Path | None, labels: Path | None, **chosen: Any) -> None:
    """Make the RE, AN and AI images and their manifest, unless they are there and up to date.

    A set whose making was interrupted is completed. A set made with other settings is
    made anew with --overwrite only. The network is written beside the manifest; later commands take it from there.
    """
    from stimuli.image_set.build import below_threshold, build_record
    from stimuli.image_set.build import build as make
    from stimuli.networks.hardware import Hardware
    from subjects.profile import require_even_shares

    layout, asked = Layout(study).require(), asked_network(**chosen)
    settings = _settings(study, images=images, labels=labels)
    require_even_shares(settings.stimuli, n_sessions=settings.main.sessions)
    made = make(layout, settings, asked=asked, overwrite=overwrite, hardware=Hardware(device, threads),
                progress=rich_progress)
    record = build_record(made, path=layout.manifest)
    exported = []
    if as_float:
        from stimuli.image_set.exports.float_perturbations import export_perturbations
        from stimuli.image_set.set_network import NetworkChoice, of_each

        exported = [export_perturbations(layout, settings, asked=one, hardware=Hardware(device, threads),
                                         progress=rich_progress)
                    for one in of_each(layout, NetworkChoice(trust=asked.trust))]
    state = "already up to date" if made.reused else "made"
    say({**record, **_first_and_second([{"perturbations": one.path} for one in exported] or
                                       [{"perturbations": None}])}, as_json=as_json,
        text=[*below_threshold(made),
              f"{record['n_images']} images of {made.whose} {state}: {layout.manifest}",
              *(f"float perturbations of network {one.network}: {one.path}" for one in exported)])


def _first_and_second(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the record of the first network, and under ``second`` that of the second where there is one."""
    first, *others = records
    return {**first, **({"second": others[0]} if others else {})}


@cli.command()
@study_option
@network_options("Which network (default: that of the set that is there, else the setting stimuli.network).")
@images_option
@labels_option
@click.option("--sheet", "sheet_file", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="Also write a PNG of the chosen photographs and their runners-up.")
@json_option
@hardware_options
def candidates(study: Path, as_json: bool, device: str, threads: int | None, images: Path | None,
               labels: Path | None, sheet_file: Path | None, **chosen: Any) -> int:
    """Screen the photographs for RE, and make no image.

    Writes stimuli/candidates.tsv: every candidate, its P, what the network takes it for, and why it is not taken.
    Top-1 and top-5 stand beside the network's published figures, with a warning where they are far below: is the
    preprocessing right? Ends with 0 if every class has its images, with 1 if one falls short, with 2 if something
    cannot be read.
    """
    from stimuli.image_set.set_network import load_for_candidates
    from stimuli.networks.hardware import Hardware, place
    from stimuli.regular_images.agreement import agreed
    from stimuli.regular_images.candidate_report import (
        answers_of,
        below_lines,
        list_line,
        photographs_of,
        report_path,
        screen_only,
        selection_record,
        selection_table,
    )
    from stimuli.regular_images.candidate_sheet import exclude_lines, write_candidate_sheet

    layout, asked = Layout(study).require(), asked_network(**chosen)
    settings = _settings(study, images=images, labels=labels)
    hardware = Hardware(device, threads)
    stimuli, loaded = load_for_candidates(layout, settings.stimuli, asked=asked)
    network = agreed([place(one, hardware=hardware) for one in loaded])
    made = screen_only(layout, stimuli, seed=settings.study.seed, network=network, hardware=hardware,
                       progress=rich_progress)
    table = selection_table(made, classes=stimuli.classes, title=f"P > {stimuli.re_p:g}, one photograph a category")
    answers = answers_of(made, network=network)
    shown = photographs_of(layout, stimuli, seed=settings.study.seed, network=network)
    sheets = [] if sheet_file is None or shown is None else \
        [write_candidate_sheet(sheet_file, made, listing=shown.listing, stimuli=stimuli, side=network.input_size,
                               overwrite=True)]
    say({**selection_record(made, classes=stimuli.classes, path=report_path(layout)), "answers": answers.record(),
         "sheet": next(iter(sheets), None)}, as_json=as_json,
        text=[table, *below_lines(made), *list_line(made), answers.line(), *exclude_lines(made),
              *(f"sheet: {path}" for path in sheets),
              (f"{len(made.verdicts)} candidates, network{'s' * (len(loaded) > 1)} "
               f"{' and '.join(one.name for one in loaded)}: {report_path(layout)}")])
    return 0 if len(made.chosen) == stimuli.per_class * len(stimuli.classes) else 1


@cli.command()
@study_option
@network_options("The network that the set was made with, and no other (default: it is read beside the manifest).")
@click.option("--also", multiple=True, metavar="NAME",
              help="Another network that is asked about the same images; may be given more than once.")
@click.option("--also-weights", type=file_type, default=None, help="Weights of the one network that --also names.")
@click.option("--also-preprocessing", default=None, help="Preprocessing of the one network that --also names.")
@json_option
@hardware_options
def check(study: Path, as_json: bool, device: str, threads: int | None, also: tuple[str, ...],
          also_weights: Path | None, also_preprocessing: str | None, **chosen: Any) -> int:
    """Check every rule from the files alone.

    Ends with 0 only if every image passes under the network that the set was made with, with 1 if a rule is
    broken, with 2 if a file is missing or was changed.
    """
    from stimuli.files import build_again
    from stimuli.image_set.check import check as check_set
    from stimuli.image_set.check_tables import verdict_parts
    from stimuli.networks.hardware import Hardware

    layout, settings, asked = Layout(study).require(), _load(study), asked_network(**chosen)
    others = _others(also, layout=layout, settings=settings, weights=also_weights,
                     preprocessing=from_here(also_preprocessing))
    verdict = check_set(layout, settings, asked=asked, also=others, hardware=Hardware(device, threads),
                        progress=rich_progress)
    remedy = [] if verdict.ok else [f"To make the set again: {build_again(layout.stimuli)}."]
    say(verdict.to_json(), as_json=as_json, text=[*verdict_parts(verdict), *remedy])
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


@cli.command()
@study_option
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A PNG file.")
@click.option("--columns", default=8, show_default=True, type=click.IntRange(min=1),
              help="Base images side by side; a class of more continues below.")
@click.option("--network", default=None, help="Of a set of two networks, show the AN and AI of this one alone.")
@replace_option
def sheet(study: Path, out: Path, columns: int, network: str | None, overwrite: bool) -> None:
    """Draw the contact sheet: RE, AN and AI with labels and P; of two networks, the AN and AI of both."""
    from stimuli.image_set.contact_sheet import write_sheet

    made = write_sheet(Layout(study).require(), out, columns=columns, network=network, overwrite=overwrite)
    click.echo(f"sheet: {made}")


@cli.command()
@study_option
@click.option("--folder", type=folder_type, default=None,
              help="Your own pictures in sub-folders object, face, word, intact, scrambled (default: textures.folder).")
@click.option("--sheet", "sheet_file", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="Also write a PNG that shows some of each kind.")
@overwrite_option
@json_option
def textures(study: Path, folder: Path | None, sheet_file: Path | None, overwrite: bool, as_json: bool) -> None:
    """Make the textures of retinotopic mapping and the LO localizer, unless they are there and up to date."""
    from stimuli.textures.render import render, write_sheet

    layout = Layout(study).require()
    settings = _load(study, {} if folder is None else {"textures.folder": str(folder)})
    made = render(layout, settings, overwrite=overwrite, progress=rich_progress)
    state = "already up to date" if made.reused else "made"
    lines = [f"{len(made.table.rows)} textures {state}: {layout.textures}"]
    drawn = None if sheet_file is None else write_sheet(layout, sheet_file, overwrite=True)
    say({"table": layout.textures, "kinds": made.table.counts(), "reused": made.reused, "sheet": drawn},
        as_json=as_json, text=[*lines, *([] if drawn is None else [f"sheet: {drawn}"])])


@cli.command()
@study_option
@json_option
def practice(study: Path, as_json: bool) -> None:
    """Draw pictures to practise with, which are not in the set; your own, in stimuli/practice/CLASS, stay."""
    from stimuli.textures.practice import draw_practice

    made = draw_practice(Layout(study).require(), _load(study, {}), progress=rich_progress)
    say({"folder": made.folder, "drawn": made.n_drawn, "kept": made.n_kept}, as_json=as_json,
        text=f"{made.n_drawn} practice pictures drawn, {made.n_kept} kept: {made.folder}")


@cli.command()
@study_option
@network_options("Another network than the set's, on purpose, or one of a set of two; its features go to their own "
                 "file (default: the set's, or both).")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default=None,
              help="How responses are stored (default: stimuli.features_dtype).")
@click.option("--layers", multiple=True, metavar="PATTERN",
              help="Modules that stand for the layers before the softmax, by name or pattern (default: "
                   "stimuli.layers); may be given again.")
@click.option("--taps", multiple=True, metavar="PATTERN",
              help="Modules that are read beside the layers (default: stimuli.taps); may be given again.")
@replace_option
@json_option
@hardware_options
def features(study: Path, device: str, threads: int | None, dtype: str | None, overwrite: bool, as_json: bool,
             **chosen: Any) -> None:
    """Extract every layer's responses to the whole set, for the analysis. An interrupted extraction is continued."""
    from stimuli.image_set.exports.feature_extraction import describe, extract
    from stimuli.image_set.set_network import of_each
    from stimuli.networks.hardware import Hardware

    layout, asked = Layout(study).require(), asked_network(**chosen)
    settings = _load(study, {} if dtype is None else {"stimuli.features_dtype": dtype})
    made = [extract(layout, settings, asked=one, overwrite=overwrite, hardware=Hardware(device, threads),
                    progress=rich_progress) for one in of_each(layout, asked)]
    say(_first_and_second([one.record() for one in made]), as_json=as_json, text=[describe(one) for one in made])


@cli.command()
@study_option
@click.option("--type", "kind", type=click.Choice(["AN", "AI", "own"]), required=True,
              help="Which images are made once more; own: none, the set's responses at other taps.")
@click.option("--contrast", type=click.FloatRange(min=0), default=None,
              help="Least contrast of AN (stimuli.an_min_contrast); 0: the first AN that reaches P.")
@click.option("--target", type=click.Choice(["other_class", "nearest", "least_likely", "any"]), default=None,
              help="Rule of the AI's targets (stimuli.ai_target).")
@click.option("--draw", type=click.Choice(["derangement", "class_to_class", "independent"]), default=None,
              help="How other_class draws them (stimuli.ai_draw).")
@click.option("--target-seed", type=click.IntRange(min=0), default=None, help="Seed of the draw (default: study.seed).")
@click.option("--tap", "taps", multiple=True, help="Where responses are taken; may be given again.")
@click.option("--out", type=folder_type, required=True, help="Folder of the variant.")
@click.option("--name", default=None, help="What its progress is called.")
@click.option("--network", default=None, help="By which network of a set of two (default: the first).")
@json_option
@hardware_options
def vary(study: Path, kind: str, contrast: float | None, target: str | None, draw: str | None, target_seed: int | None,
         taps: tuple[str, ...], out: Path, name: str | None, network: str | None, as_json: bool, device: str,
         threads: int | None) -> None:
    """Make the AN or the AI of the set once more by another choice, and take the network's responses.

    The set stays as it is. `python -m analysis robustness` runs this for many choices and compares what comes of them.
    A variant that was interrupted is completed.
    """
    from stimuli.image_set.variants import vary as make
    from stimuli.networks.hardware import Hardware

    given = {"stimuli.an_min_contrast": contrast, "stimuli.ai_target": target, "stimuli.ai_draw": draw,
             "stimuli.ai_target_table": None if target is None else ""}
    settings = _load(study, {key: value for key, value in given.items() if value is not None})
    made = make(Layout(study).require(), settings, kind=kind, folder=out, seed=target_seed, taps=taps,
                network=network, hardware=Hardware(device, threads),
                name=name or f"{kind} made otherwise", progress=rich_progress)
    say(made.record(), as_json=as_json, text=made.summary())


@cli.command()
@study_option
@network_options("The network that the set was made with, or one of two (default: it is read beside the manifest; of "
                 "two, both).")
@json_option
@hardware_options
def perturbations(study: Path, device: str, threads: int | None, as_json: bool, **chosen: Any) -> None:
    """Export the perturbations of AN and AI before they were rounded to 8 bits, as HDF5, for work on tolerance.

    The ascents are repeated; it ends with 2 unless they end in the very images of the set.
    """
    from stimuli.image_set.exports.float_perturbations import export_perturbations
    from stimuli.image_set.set_network import of_each
    from stimuli.networks.hardware import Hardware

    layout, asked, settings = Layout(study).require(), asked_network(**chosen), _load(study)
    made = [export_perturbations(layout, settings, asked=one, hardware=Hardware(device, threads),
                                 progress=rich_progress) for one in of_each(layout, asked)]
    say(_first_and_second([one.record() for one in made]), as_json=as_json, text=[one.line() for one in made])


@cli.command()
@json_option
def networks(as_json: bool) -> None:
    """List the networks, where their weights are looked for, and the preprocessings. Loads none of them."""
    from stimuli.networks.registry import list_networks, network_lines

    listed = list_networks()
    say(listed, as_json=as_json, text=network_lines(listed))


@cli.command("train-demo")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder for the weights (default: beside the program, where the network is loaded from).")
@click.option("--seed", default=20210, show_default=True, type=click.IntRange(min=0))
@click.option("--per-category", default=120, show_default=True, type=click.IntRange(min=1))
@click.option("--epochs", default=16, show_default=True, type=click.IntRange(min=1))
@replace_option
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


for one in (*COMMANDS, trade_off, harmonize):
    cli.add_command(one)


if __name__ == "__main__":
    main(cli)
