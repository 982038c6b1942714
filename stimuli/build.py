"""The stimulus set: RE, AN and AI made, written, judged again from the files, and listed in the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

from stimuli.attacks import Ascent, Goal, Perturbed, ascend, rms_contrast
from stimuli.categories import DEMO_CATEGORIES
from stimuli.manifest import Manifest, Stimulus, image_id_of, read_image, read_manifest, write_manifest
from stimuli.network import Network, load_network
from stimuli.regular import Regular, choose_regular
from stimuli.targets import choose_target
from subjects.console import ProgressWrapper, silent
from subjects.errors import StimulusError, StoreError
from subjects.layout import Layout
from subjects.provenance import is_current, sidecar
from subjects.settings import Settings
from subjects.store import whole_file

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Built:
    """A stimulus set, and whether it stood already."""

    manifest: Manifest
    reused: bool


@dataclass(frozen=True, eq=False)
class Draft:
    """An image before it has a place in the manifest: pixels, target and how it came about."""

    base: Regular
    type: str
    pixels: Pixels
    target: int | None
    p_before: float
    p_after: float
    iterations: int
    l2: float
    linf: float

    @property
    def file(self) -> str:
        """Name its file, relative to ``stimuli/``."""
        return f"images/{self.type}/{self.base.base_image}_{self.type}.png"


def build(layout: Layout, settings: Settings, *, network: str | None = None, overwrite: bool = False,
          progress: ProgressWrapper = silent) -> Built:
    """Make the study's stimulus set, or find it made.

    Parameters
    ----------
    layout : Layout
        The study.
    settings : Settings
        ``stimuli`` and the study's seed.
    network : str, optional
        The judge. Default: ``stimuli.network``.
    overwrite : bool
        Replace a set that was made with other settings.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Built
        ``reused`` if the set stood and is current.

    Raises
    ------
    StimulusError
        If an image cannot be made by the rules; nothing is written then.
    StoreError
        If a set made otherwise stands there and `overwrite` is false.
    """
    layout.require()
    judge = load_network(network or settings.stimuli.network)
    inputs, parameters = {"network": judge.digest}, _parameters(settings, judge)
    if is_current(layout.manifest, inputs=inputs, parameters=parameters):
        return Built(read_manifest(layout.manifest), reused=True)
    if layout.manifest.exists() and not overwrite:
        raise StoreError(str(layout.manifest), came="a stimulus set made with other settings or changed since",
                         expected="none, or one that is current", remedy="Add --overwrite to make it anew.")
    drafts = _drafts(judge, settings, progress=progress)
    for draft in drafts:
        write_png(layout.stimulus(draft.file), draft.pixels)
    manifest = Manifest(tuple(_rows(layout, judge, drafts)))
    write_manifest(layout.manifest, manifest, overwrite=True)
    sidecar(layout.manifest, inputs=inputs, parameters=parameters)
    return Built(manifest, reused=False)


def _parameters(settings: Settings, network: Network) -> dict[str, Any]:
    return {"stimuli": settings.stimuli.model_dump(mode="json"), "seed": settings.study.seed, "network": network.name}


def _drafts(network: Network, settings: Settings, *, progress: ProgressWrapper) -> list[Draft]:
    regular = choose_regular(network, settings, progress=progress)
    noise = make_noise(network, settings, regular=regular, progress=progress)
    interference = make_interference(network, settings, regular=regular, progress=progress)
    plain = [Draft(one, "RE", one.pixels, None, one.p, one.p, one.n_candidates, 0.0, 0.0) for one in regular]
    return [draft for triple in zip(plain, noise, interference, strict=True) for draft in triple]


def make_noise(network: Network, settings: Settings, *, regular: Sequence[Regular],
               progress: ProgressWrapper = silent) -> list[Draft]:
    """Make the AN images: equation (1) from the mean image, until P and contrast are reached.

    Raises
    ------
    StimulusError
        Naming the image that did not get there.
    """
    stimuli = settings.stimuli
    goal = Goal(stimuli.an_p, min_contrast=stimuli.an_min_contrast)
    ascent = Ascent(stimuli.an_objective, penalty=stimuli.an_lambda, step=stimuli.an_step, goal=goal,
                    max_iterations=stimuli.max_iterations, batch=stimuli.batch)
    targets = np.array([one.index for one in regular])
    starts = np.repeat(network.mean_image[None], len(regular), axis=0)
    made = ascend(network, starts=starts, targets=targets, ascent=ascent, label="adversarial noise", progress=progress)
    return _draft_all(regular, made, starts=starts, targets=targets, kind="AN")


def make_interference(network: Network, settings: Settings, *, regular: Sequence[Regular],
                      progress: ProgressWrapper = silent) -> list[Draft]:
    """Make the AI images: from the RE image towards a wrong class, until P is exceeded.

    Raises
    ------
    StimulusError
        Naming the image that did not get there.
    """
    stimuli = settings.stimuli
    ascent = Ascent("log_prob", penalty=0.0, step=stimuli.ai_step, goal=Goal(stimuli.ai_p, strict=True),
                    max_iterations=stimuli.max_iterations, batch=stimuli.batch)
    starts = np.stack([one.pixels for one in regular])
    chances = network.probabilities(starts)
    kin = {kind: frozenset(network.class_names.index(name) for name in names if name in network.class_names)
           for kind, names in DEMO_CATEGORIES.items()}
    targets = np.array([choose_target(settings, base_image=one.base_image, own=one.index,
                                      same_class=kin[one.class_name], probabilities=chance)
                        for one, chance in zip(regular, chances, strict=True)])
    made = ascend(network, starts=starts, targets=targets, ascent=ascent, label="adversarial interference",
                  progress=progress)
    return _draft_all(regular, made, starts=starts, targets=targets, kind="AI")


def _draft_all(regular: Sequence[Regular], made: Perturbed, *, starts: NDArray[Any], targets: NDArray[np.int64],
               kind: str) -> list[Draft]:
    drafts = []
    for k, one in enumerate(regular):
        if not made.reached[k]:
            raise StimulusError(f"{kind} of {one.base_image} ({one.category})",
                                came=f"P = {made.p_after[k]:.4f} after {made.iterations[k]} steps",
                                expected="the goal of P and contrast",
                                remedy="Raise stimuli.max_iterations or lower the threshold; nothing was written.")
        l2, linf = distances(made.images[k], starts[k])
        drafts.append(Draft(one, kind, made.images[k], int(targets[k]), float(made.p_before[k]),
                            float(made.p_after[k]), int(made.iterations[k]), l2, linf))
    return drafts


def distances(image: NDArray[Any], start: NDArray[Any]) -> tuple[float, float]:
    """Give L2 and Linf between two images in 0..255, on RGB in [0, 1]."""
    difference = (image.astype(np.float64) - start.astype(np.float64)) / 255.0
    return float(np.linalg.norm(difference)), float(np.abs(difference).max())


def write_png(path: Path, pixels: Pixels) -> None:
    """Write an image as PNG: the same pixels give the same bytes."""
    with whole_file(path, overwrite=True) as beside:
        Image.fromarray(pixels).save(beside, format="PNG")


def _rows(layout: Layout, network: Network, drafts: Sequence[Draft]) -> list[Stimulus]:
    """Judge the written files and make their rows."""
    written = np.stack([read_image(layout.stimulus(draft.file)) for draft in drafts])
    chances = network.probabilities(written)
    regular = {draft.base.base_image: written[k] for k, draft in enumerate(drafts) if draft.type == "RE"}
    return [_row(network, draft, pixels=written[k], chances=chances[k], regular=regular[draft.base.base_image])
            for k, draft in enumerate(drafts)]


def _row(network: Network, draft: Draft, *, pixels: Pixels, chances: NDArray[np.float64], regular: Pixels) -> Stimulus:
    base = draft.base
    judged = base.index if draft.target is None else draft.target
    return Stimulus(
        image_id=image_id_of(pixels), file=draft.file, type=draft.type, base_image=base.base_image,
        category=base.category, category_index=base.index, class_name=base.class_name,
        target_category=None if draft.target is None else network.class_names[draft.target],
        target_index=draft.target, network=network.name, network_digest=network.digest,
        p_before=round(draft.p_before, 6), p_after=round(float(chances[judged]), 6), l2=round(draft.l2, 6),
        linf=round(draft.linf, 6), ssim=round(similarity(pixels, regular), 6),
        contrast_rms=round(rms_contrast(pixels), 4), iterations=draft.iterations, seed=base.seed)


def similarity(image: Pixels, other: Pixels) -> float:
    """Give the structural similarity (Wang et al. 2004) of two 8-bit RGB images."""
    return float(structural_similarity(image, other, channel_axis=2, data_range=255))
