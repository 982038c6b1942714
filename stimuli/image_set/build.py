"""The stimulus set: RE chosen, AN and AI made, each written as PNG and judged again from that file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stimuli.drawings import draw, drawings_digest
from stimuli.image_set.checkpoint import Draft, Origin, open_draft, require_free
from stimuli.image_set.image_rules import is_filling, judge_image
from stimuli.image_set.measures import contrast_rms, l2, linf, similarity
from stimuli.image_set.set_network import record_of
from stimuli.image_set.set_rules import require_rows
from stimuli.manifest import TYPES, Manifest, Pixels, Stimulus, image_id_of, read_image, read_manifest, read_pixels
from stimuli.networks.registry import Network, cpu_threads, network_of
from stimuli.perturbation.ascent import Ascended, Rule, ascend
from stimuli.perturbation.rules import interference_rule, noise_rule
from stimuli.perturbation.start_image import Restarted, Start, find_start, keep_start
from stimuli.perturbation.targets import choose_target, read_targets
from stimuli.regular_images.candidate_report import Photographs, photographs_of
from stimuli.regular_images.drawn import choose
from stimuli.regular_images.slots import Slot, plan_slots
from subjects.cli import ProgressWrapper, silent
from subjects.errors import ManifestError, StimulusError, StoreError
from subjects.layout import Layout
from subjects.provenance import derive_seed, digest_file, is_current, sidecar_path
from subjects.settings.study import Settings
from subjects.store import read_json, whole_file

LABELS = {"RE": "regular images", "AN": "adversarial noise", "AI": "adversarial interference"}
_DO_NOT_SHAPE = {"animal_classes", "batch", "max_iterations", "network", "weights", "preprocessing", "tap", "images",
                 "labels", "mean_image", "ai_target_table", "features_dtype", "near_duplicate_bits"}
_SHAPE_PHOTOGRAPHS = {"resize", "min_px", "min_aspect", "max_aspect", "exclude", "pin", "shortfall"}


@dataclass(frozen=True)
class Built:
    """A stimulus set, and whether it stood already."""

    manifest: Manifest
    reused: bool


@dataclass(frozen=True, eq=False)
class Made:
    """An image before it is written.

    Parameters
    ----------
    slot : Slot
        Its base image's place.
    pixels, start : array, (side, side, 3)
        The image, and what it was made from, RGB in 0..255.
    target : int or None
        The output that was raised.
    p_before : float
        Probability of the target (RE: of the own category) on the start.
    iterations : int
        Steps, or candidates seen.
    """

    slot: Slot
    pixels: Pixels
    start: NDArray[np.generic]
    target: int | None
    p_before: float
    iterations: int


def build(layout: Layout, settings: Settings, *, network: str | None = None, overwrite: bool = False,
          threads: int = 1, progress: ProgressWrapper = silent) -> Built:
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
    threads : int
        CPU threads of the network. The same number on the same kind of machine gives the same bytes.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    Built
        ``reused`` if the set stood, whole and current. A set whose making was interrupted is
        completed: batches that were finished are kept.

    Raises
    ------
    StimulusError
        If a set made otherwise stands there and `overwrite` is false, or an image cannot be made
        by the rules.
    ManifestError
        If the set is current but an image of it is missing or was changed.
    """
    layout.require()
    judge = network_of(settings.stimuli, name=network, root=layout.root)
    _require_fit(judge, settings)
    start = find_start(layout, settings, network=judge, progress=progress)
    judge = judge if start is None else Restarted(judge, start.mean)
    photographs = photographs_of(layout, settings, network=judge, progress=progress)
    table = _target_table(layout, settings)
    origin = origin_of(settings, judge, photographs=photographs, start=start, targets=table)
    if is_current(layout.manifest, inputs=origin.inputs, parameters=origin.parameters) and not overwrite:
        return Built(_verified(layout), reused=True)
    if not overwrite:
        _require_unchanged(layout, settings, origin=origin)
        require_free(layout, origin)
    with cpu_threads(threads):
        slots = plan_slots(settings, class_names=judge.class_names) if photographs is None else photographs.slots()
        targets = None if table is None else read_targets(table, slots=slots, class_names=judge.class_names)
        draft = open_draft(layout, origin, network=record_of(judge, settings.stimuli, root=layout.root),
                           overwrite=overwrite)
        if start is not None:
            keep_start(layout, settings, start=start)
        maker = Maker(draft, settings=settings, network=judge, slots=slots, photographs=photographs, targets=targets)
        for kind in TYPES:
            for _ in progress(maker.make(kind), label=LABELS[kind], total=len(slots)):
                pass
    return Built(draft.finish((slot.base_image, kind) for slot in slots for kind in TYPES), reused=False)


def origin_of(settings: Settings, network: Network, *, photographs: Photographs | None = None,
              start: Start | None = None, targets: Path | None = None) -> Origin:
    """Say what a set is made from: only what shapes the images, so that the rest may change."""
    source = {"drawings": drawings_digest()} if photographs is None else {"candidates": photographs.digest}
    mean = {} if start is None else {"mean_image": start.digest}
    aims = {} if targets is None else {"targets": digest_file(targets)}
    unused = _DO_NOT_SHAPE | (_SHAPE_PHOTOGRAPHS if photographs is None else set())
    unused |= {"ai_search"} if settings.stimuli.ai_method == "first-hit" else set()
    return Origin(inputs={"network": network.digest, **source, **mean, **aims},
                  parameters={**settings.stimuli.model_dump(mode="json", exclude=unused),
                              "network": network.name, "seed": settings.study.seed})


def _require_unchanged(layout: Layout, settings: Settings, *, origin: Origin) -> None:
    """Tell a manifest that was edited after its set was made from a set that was made otherwise."""
    beside = sidecar_path(layout.manifest)
    if not layout.manifest.is_file():
        return
    try:
        found = read_json(beside) if beside.is_file() else {}
    except StoreError as error:
        raise ManifestError(str(beside), came=error.came, expected="what the set was made from",
                            remedy="Restore it, or build the set again with --overwrite.") from error
    if {key: found.get(key) for key in ("inputs", "parameters")} != origin.record():
        return
    require_rows(read_manifest(layout.manifest), settings, path=layout.manifest)
    raise ManifestError(str(layout.manifest), came="a table that was edited after the set was made",
                        expected="the digest in its sidecar",
                        remedy="Restore it, or build the set again with --overwrite; the command check names what "
                               "differs.")


def _require_fit(network: Network, settings: Settings) -> None:
    if settings.stimuli.size_px != network.input_size:
        raise StimulusError("stimuli.size_px", came=f"{settings.stimuli.size_px} px",
                            expected=f"{network.input_size} px, the input of network {network.name!r}",
                            remedy="Correct stimuli.size_px or choose another network.")


def _target_table(layout: Layout, settings: Settings) -> Path | None:
    """Spell the table of targets, relative to the study, where the settings name one."""
    named = settings.stimuli.ai_target_table
    if named is None:
        return None
    path = layout.root / named
    if not path.is_file():
        raise StimulusError(str(path), came="no such file", expected="the table that stimuli.ai_target_table names",
                            remedy="Correct the setting; a path is relative to the study's folder.")
    return path


def _verified(layout: Layout) -> Manifest:
    manifest = read_manifest(layout.manifest)
    for one in manifest.stimuli:
        read_pixels(layout.stimuli, one)
    return manifest


def fillings(manifest: Manifest, settings: Settings) -> tuple[str, ...]:
    """Name the RE below the threshold that fill a shortfall, one line each."""
    return tuple(f"{one.file}: {one.category}, P {one.p_after:.4f}, below stimuli.re_p = {settings.stimuli.re_p:g}; "
                 "it fills a shortfall" for one in manifest.stimuli
                 if is_filling(one.type, p=one.p_after, settings=settings))


class Maker:
    """Makes the images of one set, batch by batch.

    Parameters
    ----------
    draft : Draft
        Takes what is finished.
    settings : Settings
        The study's.
    network : Network
        The judge.
    slots : sequence of Slot
        All places of the set. They are cut into the same batches whatever was finished before, so
        that an interrupted set and an uninterrupted one are the same.
    photographs : Photographs, optional
        Where RE come from; without them they are drawn.
    targets : mapping of str to int, optional
        Which output each base image's AI raises; without it the settings' rule chooses.
    """

    def __init__(self, draft: Draft, *, settings: Settings, network: Network, slots: Sequence[Slot],
                 photographs: Photographs | None = None, targets: Mapping[str, int] | None = None) -> None:
        self._targets = targets
        self._draft, self._layout, self._settings = draft, draft.layout, settings
        self._network, self._slots, self._photographs = network, tuple(slots), photographs

    def make(self, kind: str) -> Iterator[Slot]:
        """Make and write all images of one type; yield each slot as its image is finished."""
        makers = {"RE": self._choose, "AN": self._raise_noise, "AI": self._interfere}
        size = self._settings.stimuli.batch
        for first in range(0, len(self._slots), size):
            batch = self._slots[first:first + size]
            if self._draft.holds((slot.base_image for slot in batch), kind=kind):
                yield from batch
                continue
            finished = []
            for made in makers[kind](batch):
                finished.append(made)
                yield made.slot
            self._keep(finished, kind=kind)

    def _choose(self, batch: Sequence[Slot]) -> Iterator[Made]:
        stimuli = self._settings.stimuli
        chosen = choose(self._network, batch, seed=self._settings.study.seed, p=stimuli.re_p, batch=stimuli.batch,
                        draw=lambda category, rng: draw(category, rng=rng, size_px=stimuli.size_px)) \
            if self._photographs is None else self._photographs.choose(batch)
        for one in chosen:
            yield Made(one.slot, one.pixels, one.pixels, None, one.p, one.candidates)

    def _raise_noise(self, batch: Sequence[Slot]) -> Iterator[Made]:
        starts = np.repeat(self._network.mean_image[None], len(batch), axis=0)
        targets = np.array([slot.category_index for slot in batch])
        yield from self._ascend(batch, starts=starts, targets=targets, rule=noise_rule(self._settings.stimuli))

    def _interfere(self, batch: Sequence[Slot]) -> Iterator[Made]:
        starts = np.stack([self._regular(slot) for slot in batch])
        chances = self._network.probabilities(starts, batch=self._settings.stimuli.batch)
        targets = np.array([self._target(slot, chances=row) for slot, row in zip(batch, chances, strict=True)])
        yield from self._ascend(batch, starts=starts, targets=targets, rule=interference_rule(self._settings.stimuli))

    def _target(self, slot: Slot, *, chances: NDArray[np.float64]) -> int:
        if self._targets is not None:
            return self._targets[slot.base_image]
        return choose_target(slot, rule=self._settings.stimuli.ai_target, probabilities=chances, slots=self._slots,
                             seed=self._settings.study.seed)

    def _ascend(self, batch: Sequence[Slot], *, starts: NDArray[np.generic], targets: NDArray[np.integer],
                rule: Rule) -> Iterator[Made]:
        missed = []
        for one in ascend(self._network, starts, targets=targets, rule=rule):
            if one.reached:
                yield Made(batch[one.index], one.pixels, starts[one.index], int(targets[one.index]), one.p_before,
                           one.iterations)
            else:
                missed.append(one)
        if missed:
            raise self._shortfall(batch, missed, targets=targets)

    def _shortfall(self, batch: Sequence[Slot], missed: Sequence[Ascended], *,
                   targets: NDArray[np.integer]) -> StimulusError:
        names = self._network.class_names
        named = ", ".join(f"{batch[one.index].base_image} towards {names[targets[one.index]]} (P = {one.p_after:.4f}, "
                          f"contrast {contrast_rms(one.pixels):.1f})" for one in missed)
        return StimulusError("ascent", came=f"not reached in {missed[0].iterations} steps: {named}",
                             expected="the probability and contrast of the settings",
                             remedy="Raise stimuli.max_iterations or the step, or lower an_lambda, an_min_contrast "
                                    "or the probability; finished batches are kept.")

    def _regular(self, slot: Slot) -> Pixels:
        return read_pixels(self._layout.stimuli, self._draft.rows[slot.base_image, "RE"])

    def _keep(self, finished: Sequence[Made], *, kind: str) -> None:
        """Write images, read them back, judge what was read, and note the rows."""
        files = [f"images/{kind}/{made.slot.base_image}_{kind}.png" for made in finished]
        for made, file in zip(finished, files, strict=True):
            write_png(self._layout.stimulus(file), made.pixels)
        written = np.stack([read_image(self._layout.stimulus(file)) for file in files])
        chances = self._network.probabilities(written, batch=self._settings.stimuli.batch)
        self._draft.add([self._row(made, kind=kind, file=file, pixels=pixels, chances=row) for made, file, pixels, row
                         in zip(finished, files, written, chances, strict=True)])

    def _row(self, made: Made, *, kind: str, file: str, pixels: Pixels, chances: NDArray[np.float64]) -> Stimulus:
        slot, names = made.slot, self._network.class_names
        judged = slot.category_index if made.target is None else made.target
        row = Stimulus(
            image_id=image_id_of(pixels), file=file, type=kind, base_image=slot.base_image, category=slot.category,
            category_index=slot.category_index, class_name=slot.class_name,
            target_category=None if made.target is None else names[made.target], target_index=made.target,
            network=self._network.name, network_digest=self._network.digest, p_before=round(made.p_before, 6),
            p_after=round(float(chances[judged]), 6), l2=round(l2(pixels, made.start), 6),
            linf=round(linf(pixels, made.start), 6),
            ssim=1.0 if kind == "RE" else round(similarity(pixels, self._regular(slot)), 6),
            contrast_rms=round(contrast_rms(pixels), 4), iterations=made.iterations,
            seed=derive_seed(self._settings.study.seed, kind.lower(), slot.base_image))
        verdict = judge_image(row, image=pixels, start=made.start, chances=chances, network=self._network,
                              settings=self._settings)
        if verdict.failures:
            raise StimulusError(str(self._layout.stimulus(file)), came="; ".join(verdict.failures),
                                expected="an image that holds when it is read back",
                                remedy="Build again; if it happens again, report it.")
        return row


def write_png(path: Path, pixels: Pixels) -> None:
    """Write an image as PNG, replacing what stands there: the same pixels give the same bytes."""
    with whole_file(path, overwrite=True) as beside:
        Image.fromarray(pixels).save(beside, format="PNG")
