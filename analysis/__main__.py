"""``python -m analysis``: from logged runs and time series to similarities, encoding models and one report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from subjects.cli import group, main, rich_progress, study_option, subject_option
from subjects.layout import Layout

if TYPE_CHECKING:
    from subjects.settings.study import Settings


@group(help=__doc__)
def cli() -> None:
    pass


def _open(study: Path, sub: str) -> tuple[Layout, Settings]:
    from subjects.profile import load_profile
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    settings = load_settings(study)
    load_profile(layout, sub)
    return layout, settings


@cli.command()
@study_option
@subject_option
@click.option("--null", is_flag=True, help="A subject whose responses do not depend on the images.")
def simulate(study: Path, sub: str, null: bool) -> None:
    """Make a virtual subject's BOLD from the logged events."""
    from analysis.steps import require_features, require_runs

    layout, settings = _open(study, sub)
    require_runs(layout, sub=sub)
    require_features(layout, settings)
    from analysis.simulation.bold import simulate_subject

    made = simulate_subject(layout, settings, sub=sub, null=null, progress=rich_progress)
    _say(layout.derivatives("simulated") / f"sub-{sub}", "virtual BOLD", reused=made.reused)


@cli.command()
@study_option
@subject_option
def glm(study: Path, sub: str) -> None:
    """Estimate the response to every image and presentation, in percent signal change."""
    from analysis.steps import require_runs

    layout, settings = _open(study, sub)
    require_runs(layout, sub=sub)
    from analysis.glm.estimate import run_glm

    made = run_glm(layout, settings, sub=sub, progress=rich_progress)
    _say(layout.derivatives("glm") / f"sub-{sub}", "betas", reused=made.reused)


@cli.command()
@study_option
@subject_option
def rsa(study: Path, sub: str) -> None:
    """Compare RE with AN and AI images by their dissimilarities, in the brain and in the network."""
    from analysis.steps import require_betas, require_features

    layout, settings = _open(study, sub)
    require_betas(layout, sub=sub)
    require_features(layout, settings)
    from analysis.rsa.run import run_network_rsa, run_rsa

    run_rsa(layout, settings, sub=sub, progress=rich_progress)
    run_network_rsa(layout, settings, network=settings.stimuli.network, progress=rich_progress)
    click.echo(f"similarities current: {layout.derivatives('rsa')}")


@cli.command()
@study_option
@subject_option
def encode(study: Path, sub: str) -> None:
    """Train encoding models on RE images and test them on AN and AI images."""
    from analysis.steps import require_betas, require_features

    layout, settings = _open(study, sub)
    require_betas(layout, sub=sub)
    require_features(layout, settings)
    from analysis.encoding.run import run_encoding

    run_encoding(layout, settings, sub=sub, network=settings.stimuli.network, progress=rich_progress)
    click.echo(f"encoding models current: {layout.derivative('encoding', sub=sub, suffix='encoding.tsv')}")


@cli.command()
@study_option
@click.option("--sub", "subjects", multiple=True, help="Subject label; may be given again. Default: all subjects.")
def report(study: Path, subjects: tuple[str, ...]) -> None:
    """Draw the figures, score the paper's claims, and write one HTML page."""
    from analysis.steps import choose_subjects
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    settings = load_settings(study)
    chosen = choose_subjects(layout, subjects)
    from analysis.report.page import run_report

    said = run_report(layout, settings, subjects=chosen, progress=rich_progress)
    click.echo(f"{said}: {layout.report}")


def _say(path: Path, what: str, *, reused: bool) -> None:
    click.echo(f"{what} {'already current, reused' if reused else 'made'}: {path}")


if __name__ == "__main__":
    main(cli)
