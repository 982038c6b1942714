"""How the images of a set are made: what they are made from, and batch by batch RE, AN and AI."""


from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stimuli.image_set.checkpoint import Origin, Place, UnfinishedSet
from stimuli.image_set.image_rules import check_image
from stimuli.image_set.measures import contrast_rms, l2, linf, similarity
from stimuli.image_set.set_network import (
    record_of,
    second_settings,
)
from stimuli.manifest import (
    Pixels,
    SetNetwork,
    Stimulus,
    image_id_of,
    read_image,
    read_pixels,
)
from stimuli.networks.demo.drawings import draw, drawings_digest
from stimuli.networks.registry import Network
from stimuli.perturbation.ascent import Ascended, Rule, ascend
from stimuli.perturbation.rules import interference_rule, noise_rule
from stimuli.perturbation.start_image import Start, WithMeanImage, find_start
from stimuli.perturbation.targets import choose_targets
from stimuli.regular_images.agreement import agreed
from stimuli.regular_images.base_images import BaseImage
from stimuli.regular_images.candidate_report import Photographs, photographs_of
from stimuli.regular_images.drawn import choose
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError
from subjects.layout import Layout
from subjects.provenance import derive_seed, digest_file
from subjects.settings.images import StimuliSettings
from subjects.store import whole_file

_DO_NOT_SHAPE = {"animal_classes", "batch", "max_iterations", "network", "weights", "preprocessing", "tap", "layers",
                 "taps", "second_weights", "second_preprocessing", "images", "labels", "mean_image", "ai_target_table",
             "features_dtype", "near_duplicate_bits"}
_SHAPE_PHOTOGRAPHS = {"resize", "min_px", "min_aspect", "max_aspect", "exclude", "pin", "shortfall", "class_lists"}


@dataclass(frozen=True, eq=False)
class Made:
    """An image before it is written.

    Parameters
    ----------
    base : BaseImage
        Of which base image.
    pixels, start : array, (side, side, 3)
        The image, and what it was made from, RGB in 0..255.
    target : int or None
        The output that was raised.
    p_before : float
        Probability of the target (RE: of the own category) on the start.
    iterations : int
        Steps, or candidates seen.
    """

    base: BaseImage
    pixels: Pixels
    start: NDArray[np.generic]
    target: int | None
    p_before: float
    iterations: int


@dataclass(frozen=True, eq=False)
class Plan:
    """What a set will be made from.

    Parameters
    ----------
    layout, stimuli, seed
        The study.
    network, second : Network, Network or None
        With the mean image at which adversarial noise starts; the second of a set of two networks.
    start : Start or None
        That mean image, where the settings ask for one.
    photographs : Photographs or None
        Where RE come from; None: they are drawn.
    targets : Path or None
        The table of the wrong categories of AI, where the settings name one.
    """

    layout: Layout
    stimuli: StimuliSettings
    seed: int
    network: Network
    start: Start | None
    photographs: Photographs | None
    targets: Path | None
    second: Network | None = None

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that AN and AI are made with: one, or two."""
        return (self.network,) if self.second is None else (self.network, self.second)

    @property
    def regular(self) -> Network:
        """What RE are chosen by: the network, or both."""
        return agreed(self.networks)

    def places(self, bases: Sequence[BaseImage]) -> Iterator[Place]:
        """Name the images in the order of the manifest: of each base image RE, then AN and AI network by network."""
        for base in bases:
            yield base.base_image, "RE", self.regular.name
            yield from ((base.base_image, kind, one.name) for one in self.networks for kind in ("AN", "AI"))

    @property
    def origin(self) -> Origin:
        """Say what the set is made from: only what shapes the images, so that the rest may change."""
        return origin_of(self.stimuli, self.network, seed=self.seed, photographs=self.photographs, start=self.start,
                         targets=self.targets, second=self.second)

    @property
    def records(self) -> tuple[SetNetwork, ...]:
        """Record the networks."""
        settings = (self.stimuli, second_settings(self.stimuli))
        return tuple(record_of(one, chosen, root=self.layout.root)
                     for one, chosen in zip(self.networks, settings, strict=False))


def make_plan(layout: Layout, stimuli: StimuliSettings, *, network: Network, seed: int, second: Network | None = None,
              progress: ProgressWrapper = silent) -> Plan:
    """Find what a set will be made from; nothing is chosen and nothing written yet.

    Of two networks both must be certain of a RE, and both begin AN at the mean image that the settings ask for.
    """
    start = find_start(layout, stimuli, network=network, progress=progress)
    photographs = photographs_of(layout, stimuli, seed=seed, progress=progress,
                                 network=agreed([one for one in (network, second) if one is not None]))
    if start is not None:
        network, second = WithMeanImage(network, start.mean), second and WithMeanImage(second, start.mean)
    return Plan(layout, stimuli, seed, network, start, photographs, _target_table(layout, stimuli), second)


def origin_of(stimuli: StimuliSettings, network: Network, *, seed: int, photographs: Photographs | None = None,
              start: Start | None = None, targets: Path | None = None, second: Network | None = None) -> Origin:
    """Say what a set is made from: only what shapes the images, so that the rest may change."""
    source = {"drawings": drawings_digest()} if photographs is None else {"candidates": photographs.digest}
    mean = {} if start is None else {"mean_image": start.digest}
    table = {} if targets is None else {"targets": digest_file(targets)}
    other = {} if second is None else {"second_network": second.digest}
    unused = _DO_NOT_SHAPE | (_SHAPE_PHOTOGRAPHS if photographs is None else set())
    unused |= {"ai_search"} if stimuli.ai_method == "first-hit" else set()
    unused |= {"ai_draw"} if stimuli.ai_target != "other_class" else set()
    return Origin(inputs={"network": network.digest, **other, **source, **mean, **table},
                  parameters={**stimuli.model_dump(mode="json", exclude=unused), "network": network.name,
                              **({} if second is None else {"second_network": second.name}), "seed": seed})


def _target_table(layout: Layout, stimuli: StimuliSettings) -> Path | None:
    """Spell the table of targets, relative to the study, where the settings name one."""
    named = stimuli.ai_target_table
    if named is None:
        return None
    path = layout.root / named
    if not path.is_file():
        raise StimulusError(str(path), came="no such file", expected="the table that stimuli.ai_target_table names",
                            remedy="Correct the setting; a path is relative to the study's folder.")
    return path


class Maker:
    """Makes the images of one network of a set, batch by batch, or the RE of all.

    Parameters
    ----------
    unfinished : UnfinishedSet
        Takes what is finished.
    plan : Plan
        What the set is made from.
    bases : sequence of BaseImage
        All base images of the set. They are cut into the same batches whatever was finished before, so
        that an interrupted set and an uninterrupted one are the same.
    network : Network
        That judges: one of the plan's, or for RE what they are chosen by.
    targets : mapping of str to int, optional
        Which output each base image's AI raises; without it the settings' rule chooses.
    """

    def __init__(self, unfinished: UnfinishedSet, *, plan: Plan, bases: Sequence[BaseImage], network: Network,
                 targets: Mapping[str, int] | None = None) -> None:
        self._table, self._regular_by = targets, plan.regular.name
        self._ending = "_second" if plan.second is not None and network is plan.second else ""
        self._unfinished, self._layout, self._stimuli = unfinished, unfinished.layout, plan.stimuli
        self._network, self._bases, self._photographs = network, tuple(bases), plan.photographs
        self._seed = plan.seed

    def make(self, kind: str) -> Iterator[BaseImage]:
        """Make and write all images of one type; yield each base as its image is finished."""
        makers = {"RE": self._choose, "AN": self._raise_noise, "AI": self._interfere}
        size = self._stimuli.batch
        for first in range(0, len(self._bases), size):
            batch = self._bases[first:first + size]
            if self._unfinished.has((base.base_image for base in batch), kind=kind, network=self._network.name):
                yield from batch
                continue
            finished = []
            for made in makers[kind](batch):
                finished.append(made)
                yield made.base
            self._keep(finished, kind=kind)

    def _choose(self, batch: Sequence[BaseImage]) -> Iterator[Made]:
        stimuli = self._stimuli
        chosen = choose(self._network, batch, seed=self._seed, p=stimuli.re_p, batch=stimuli.batch,
                        draw=lambda category, rng: draw(category, rng=rng, size_px=stimuli.size_px)) \
            if self._photographs is None else self._photographs.choose(batch)
        for one in chosen:
            yield Made(one.base, one.pixels, one.pixels, None, one.p, one.candidates)

    def _raise_noise(self, batch: Sequence[BaseImage]) -> Iterator[Made]:
        starts = np.repeat(self._network.mean_image[None], len(batch), axis=0)
        targets = np.array([base.category_index for base in batch])
        yield from self._ascend(batch, starts=starts, targets=targets, rule=noise_rule(self._stimuli),
                                remedy="Raise stimuli.max_iterations or an_step, change an_min_contrast, or lower "
                                       "an_lambda or an_p")

    def _interfere(self, batch: Sequence[BaseImage]) -> Iterator[Made]:
        starts = np.stack([self._regular(base) for base in batch])
        targets = np.array([self._targets[base.base_image] for base in batch])
        search = f"stimuli.ai_search (a search has {self._stimuli.ai_search} steps)"
        yield from self._ascend(batch, starts=starts, targets=targets, rule=interference_rule(self._stimuli),
                                remedy=f"Raise {search if self._stimuli.ai_method == 'minimal' else 'stimuli.ai_step'} "
                                       "or max_iterations, or lower ai_p")

    @cached_property
    def _targets(self) -> dict[str, int]:
        """The output that each AI raises; chosen once all RE are there, before any AI is made."""
        size = self._stimuli.batch
        batches = [self._bases[first:first + size] for first in range(0, len(self._bases), size)]
        rows = [self._network.probabilities(np.stack([self._regular(base) for base in batch]), batch=size)
                for batch in batches]
        return choose_targets(self._bases, stimuli=self._stimuli, seed=self._seed, table=self._table,
                              probabilities=np.concatenate(rows))

    def _ascend(self, batch: Sequence[BaseImage], *, starts: NDArray[np.generic], targets: NDArray[np.integer],
                rule: Rule, remedy: str) -> Iterator[Made]:
        missed = []
        for one in ascend(self._network, starts, targets=targets, rule=rule):
            if one.reached:
                yield Made(batch[one.index], one.pixels, starts[one.index], int(targets[one.index]), one.p_before,
                           one.iterations)
            else:
                missed.append(one)
        if missed:
            raise self._shortfall(batch, missed, targets=targets, remedy=remedy)

    def _shortfall(self, batch: Sequence[BaseImage], missed: Sequence[Ascended], *,
                   targets: NDArray[np.integer], remedy: str) -> StimulusError:
        names = self._network.class_names
        named = ", ".join(f"{batch[one.index].base_image} towards {names[targets[one.index]]} (P = {one.p_after:.4f}, "
                          f"contrast {contrast_rms(one.pixels):.1f})" for one in missed)
        return StimulusError("ascent", came=f"not reached in {missed[0].iterations} steps: {named}",
                             expected="the probability and contrast of the settings",
                             remedy=f"{remedy}; finished batches are kept.")

    def _regular(self, base: BaseImage) -> Pixels:
        return read_pixels(self._layout.stimuli, self._unfinished.rows[base.base_image, "RE", self._regular_by])

    def _keep(self, finished: Sequence[Made], *, kind: str) -> None:
        """Write images, read them back, check what was read, and note the rows."""
        files = [f"images/{kind}/{made.base.base_image}_{kind}{self._ending}.png" for made in finished]
        for made, file in zip(finished, files, strict=True):
            write_png(self._layout.stimulus(file), made.pixels)
        written = np.stack([read_image(self._layout.stimulus(file)) for file in files])
        probabilities = self._network.probabilities(written, batch=self._stimuli.batch)
        self._unfinished.add([self._row(made, kind=kind, file=file, pixels=pixels, probabilities=row)
                              for made, file, pixels, row in zip(finished, files, written, probabilities,
                                                                 strict=True)])

    def _row(self, made: Made, *, kind: str, file: str, pixels: Pixels, probabilities: NDArray[np.float64]) -> Stimulus:
        base, names = made.base, self._network.class_names
        target = base.category_index if made.target is None else made.target
        row = Stimulus(
            image_id=image_id_of(pixels), file=file, type=kind, base_image=base.base_image, category=base.category,
            category_index=base.category_index, class_name=base.class_name,
            target_category=None if made.target is None else names[made.target], target_index=made.target,
            network=self._network.name, network_digest=self._network.digest, p_before=round(made.p_before, 6),
            p_after=round(float(probabilities[target]), 6), l2=round(l2(pixels, made.start), 6),
            linf=round(linf(pixels, made.start), 6),
            ssim=1.0 if kind == "RE" else round(similarity(pixels, self._regular(base)), 6),
            contrast_rms=round(contrast_rms(pixels), 4), iterations=made.iterations,
            seed=derive_seed(self._seed, kind.lower(), base.base_image))
        verdict = check_image(row, image=pixels, start=made.start, probabilities=probabilities, network=self._network,
                              stimuli=self._stimuli)
        if verdict.failures:
            raise StimulusError(str(self._layout.stimulus(file)), came="; ".join(verdict.failures),
                                expected="an image that passes the rules when it is read back",
                                remedy="Build again; if it happens again, report it.")
        return row


def write_png(path: Path, pixels: Pixels) -> None:
    """Write an image as PNG, replacing what is there: the same pixels give the same bytes."""
    with whole_file(path, overwrite=True) as beside:
        Image.fromarray(pixels).save(beside, format="PNG")
