"""The stimulus set: RE chosen, AN and AI made, each written as PNG and checked again from that file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stimuli.files import build_again, require_own_folder
from stimuli.image_set.checkpoint import Origin, open_unfinished, records_of, require_free
from stimuli.image_set.image_rules import fills_shortfall
from stimuli.image_set.making import Maker, Plan, make_plan
from stimuli.image_set.measures import contrast_rms
from stimuli.image_set.set_network import (
    NetworkChoice,
    load_for_build,
    load_second_for_build,
    photographs_record,
    renew_record,
    settings_for_build,
)
from stimuli.image_set.set_rules import require_rows
from stimuli.manifest import (
    TYPES,
    Manifest,
    read_manifest,
    read_pixels,
)
from stimuli.networks.hardware import ON_CPU, Hardware, computing, made_on, place
from stimuli.networks.registry import Network
from stimuli.perturbation.start_image import keep_start
from stimuli.perturbation.targets import choose_targets, read_targets
from stimuli.regular_images.base_images import BaseImage, plan_base_images
from subjects.cli import ProgressWrapper, silent
from subjects.errors import ManifestError, StimulusError, StoreError
from subjects.layout import Layout
from subjects.provenance import is_current, sidecar_path
from subjects.settings.images import StimuliSettings
from subjects.settings.study import Settings
from subjects.store import locked, read_json

LABELS = {"RE": "regular images", "AN": "adversarial noise", "AI": "adversarial interference"}


@dataclass(frozen=True)
class Built:
    """A stimulus set, the settings that it was built with, and whether it was there already."""

    manifest: Manifest
    stimuli: StimuliSettings
    reused: bool

    @property
    def whose(self) -> str:
        """Say which network it was made with, or which two."""
        names = self.manifest.networks
        return f"network{'s' * (len(names) > 1)} {' and '.join(names)}"


def build(layout: Layout, settings: Settings, *, asked: NetworkChoice | None = None, overwrite: bool = False,
          hardware: Hardware = ON_CPU, progress: ProgressWrapper = silent) -> Built:
    """Make the study's stimulus set, or find it made.

    Parameters
    ----------
    layout : Layout
        The study.
    settings : Settings
        ``stimuli`` and the study's seed.
    asked : NetworkChoice, optional
        What the command line names. Default: the settings' network; where they name none, that of the set that is
        there.
    overwrite : bool
        Make the set anew; the images that are there are moved to ``stimuli/replaced``.
    hardware : Hardware
        Where the network computes. The same device and threads on the same kind of machine give the same bytes; on
        any, every image is judged on the CPU as it was written. The sidecar says which (``made_on``).
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Built
        ``reused`` if the set was there, whole and current. A set whose making was interrupted is
        completed: batches that were finished are kept.

    Raises
    ------
    StimulusError
        If a set made otherwise is there and `overwrite` is false, or an image cannot be made by the rules.
    ManifestError
        If the set is current but an image of it is missing or was changed.
    StoreError
        If another process is writing to the study's images.
    """
    layout.require()
    require_own_folder(layout)
    asked = asked or NetworkChoice()
    stimuli = settings_for_build(layout, settings.stimuli, asked=asked, anew=overwrite)
    network = place(load_for_build(layout, stimuli, asked=asked), hardware=hardware)
    second = load_second_for_build(layout, stimuli, first=network, asked=asked)
    _require_fit(network, stimuli)
    plan = make_plan(layout, stimuli, network=network, seed=settings.study.seed, progress=progress,
                     second=None if second is None else place(second, hardware=hardware))
    if not overwrite and is_current(layout.manifest, inputs=plan.origin.inputs, parameters=plan.origin.parameters):
        manifest = _verified(layout)
        renew_record(layout, plan.records, photographs=photographs_record(stimuli, root=layout.root))
        return Built(manifest, stimuli, reused=True)
    if not overwrite:
        _require_unchanged(layout, stimuli, origin=plan.origin)
        require_free(layout, plan.origin)
    for one in plan.networks:
        require_faint_start(plan.stimuli, one.mean_image)
    drawn = plan_base_images(stimuli, class_names=network.class_names) if plan.photographs is None else ()
    with locked(layout.stimuli, what="the stimulus set"), computing(hardware):
        return Built(_make(plan, drawn, overwrite=overwrite, progress=progress), stimuli, reused=False)


def _make(plan: Plan, drawn: tuple[BaseImage, ...], *, overwrite: bool, progress: ProgressWrapper) -> Manifest:
    layout, names = plan.layout, plan.network.class_names
    bases = drawn if plan.photographs is None else plan.photographs.base_images()
    targets = None if plan.targets is None else read_targets(plan.targets, bases=bases, class_names=names)
    choose_targets(bases, stimuli=plan.stimuli, seed=plan.seed, table=targets)  # says now if there is no way
    records = records_of(plan.records, photographs=photographs_record(plan.stimuli, root=layout.root))
    unfinished = open_unfinished(layout, plan.origin, records=records, here=made_on(plan.network),
                                 overwrite=overwrite)
    if plan.start is not None:
        keep_start(layout, plan.stimuli, start=plan.start)
    for kind in TYPES:
        for one in (plan.regular,) if kind == "RE" else plan.networks:
            maker = Maker(unfinished, plan=plan, bases=bases, network=one, targets=targets)
            label = LABELS[kind] if plan.second is None or kind == "RE" else f"{LABELS[kind]} of {one.name}"
            for _ in progress(maker.make(kind), label=label, total=len(bases)):
                pass
    return unfinished.finish(plan.places(bases))


def _require_unchanged(layout: Layout, stimuli: StimuliSettings, *, origin: Origin) -> None:
    """Tell a manifest that was edited after its set was made from a set that was made otherwise."""
    beside = sidecar_path(layout.manifest)
    if not layout.manifest.is_file():
        return
    again = build_again(layout.stimuli)
    try:
        found = read_json(beside) if beside.is_file() else {}
    except StoreError as error:
        raise ManifestError(str(beside), came=error.came, expected="what the set was made from",
                            remedy=f"Restore it, or build the set again with {again}.") from error
    if origin.differences(found):
        return
    require_rows(read_manifest(layout.manifest), stimuli, path=layout.manifest)
    raise ManifestError(str(layout.manifest), came="a table that was edited after the set was made",
                        expected="the digest in its sidecar",
                        remedy=f"Restore it, or build the set again with {again}; `python -m stimuli check --study "
                               f"{layout.argument}` names what differs.")


def _require_fit(network: Network, stimuli: StimuliSettings) -> None:
    if stimuli.size_px != network.input_size:
        raise StimulusError("stimuli.size_px", came=f"{stimuli.size_px} px",
                            expected=f"{network.input_size} px, the input of network {network.name!r}",
                            remedy="Correct stimuli.size_px or choose another network.")


def require_faint_start(stimuli: StimuliSettings, mean_image: NDArray[np.generic]) -> None:
    """Refuse a mean image that has the contrast of AN before there is any noise on it."""
    asked, found = stimuli.an_min_contrast, contrast_rms(mean_image)
    if stimuli.an_contrast_tolerance is not None and 0.0 < asked <= found:
        raise StimulusError("stimuli.an_min_contrast", came=f"{asked:g} grey levels, and a mean image of {found:.1f}",
                            expected="more contrast than AN start with",
                            remedy='Raise it, or set stimuli.mean_image = "channels" to start from an even colour.')


def _verified(layout: Layout) -> Manifest:
    manifest = read_manifest(layout.manifest)
    for one in manifest.stimuli:
        read_pixels(layout.stimuli, one)
    return manifest


def build_record(built: Built, *, path: Path) -> dict[str, Any]:
    """Give what ``build --json`` prints."""
    first, *others = {one.network: one.network_digest for one in built.manifest.stimuli if one.type != "RE"}.items()
    second = {"second_network": others[0][0]} if others else {}
    return {"manifest": path, "n_images": len(built.manifest), "reused": built.reused, "network": first[0],
            "network_digest": first[1], **second, "below_threshold": list(below_threshold(built))}


def below_threshold(built: Built) -> tuple[str, ...]:
    """Name the RE below the threshold that were taken because their class falls short, one line each."""
    return tuple(f"{one.file}: {one.category}, P {one.p_after:.4f}, below stimuli.re_p = {built.stimuli.re_p:g}; "
                 "taken since too few of its class reach it" for one in built.manifest.stimuli
                 if fills_shortfall(one.type, p=one.p_after, stimuli=built.stimuli))
