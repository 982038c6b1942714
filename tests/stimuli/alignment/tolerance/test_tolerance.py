"""Tolerance of a network on images: what is measured, what is refused, the table and the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stimuli.alignment.images import LabelledImages
from stimuli.alignment.tolerance.measure import LONGER, Scheme, correct, require_unrounded, tolerance
from stimuli.alignment.tolerance.table import summarise, tolerance_table
from stimuli.networks.registry import TorchNetwork
from subjects.errors import NetworkError, StimulusError
from tests.stimuli.alignment.cases import exact_margins, grey_images, two_categories
from tests.stimuli.tiny import Study

Run = Callable[..., tuple[int, str, str]]


def _some_wrong(network: TorchNetwork, n: int, *, wrong: tuple[int, ...]) -> LabelledImages:
    images = grey_images(n, network=network)
    labels = images.labels.copy()
    labels[list(wrong)] = 1 - labels[list(wrong)]
    return replace(images, labels=labels)


@pytest.mark.parametrize("scheme", [Scheme(), Scheme("corrected"), Scheme("refined", "linf")])
def test_correctly_classified_images_alone_are_measured(scheme: Scheme) -> None:
    network, way = two_categories()
    images = _some_wrong(network, 9, wrong=(2, 7))
    found = list(tolerance(network, images, scheme=scheme, batch=4))
    assert [one.index for one in found] == [0, 1, 3, 4, 5, 6, 8]
    assert correct(network, images, batch=4).tolist() == [one.index for one in found]
    exact = exact_margins(network, images) / (np.linalg.norm(way) if scheme.norm == "l2" else np.abs(way).sum())
    for one in found:
        assert one.reached
        assert one.taken_for == 1 - images.labels[one.index]
        assert getattr(one, scheme.norm) == pytest.approx(exact[one.index], rel=0.012)
        assert one.l2 == pytest.approx(float(np.linalg.norm(one.perturbation)), rel=1e-5)
        assert one.linf == pytest.approx(float(np.abs(one.perturbation).max()), rel=1e-5)


def test_a_network_without_numbers_decides_nothing_and_is_refused() -> None:
    """Its margins compare as false, so that it would pass for one that is always wrong."""
    network, _ = two_categories()
    images = grey_images(5, network=network)

    class Odd:
        def __getattr__(self, name: str) -> object:
            return getattr(network, name)

        def logits(self, pixels: torch.Tensor) -> torch.Tensor:
            return network.logits(pixels) + torch.where(torch.arange(len(pixels)) == 1, torch.nan, 0.0)[:, None]

    with pytest.raises(NetworkError, match=r"logits that are not finite for 1\.png"):
        list(tolerance(Odd(), images))  # type: ignore[arg-type]


def test_batches_change_nothing() -> None:
    network, _ = two_categories()
    images = grey_images(7, network=network)
    one, other = ([found.l2 for found in tolerance(network, images, batch=batch)] for batch in (1, 7))
    np.testing.assert_allclose(one, other, rtol=2e-3)


@dataclass(frozen=True)
class _Elsewhere:
    """A network on a device that sees a border a little nearer than the CPU does."""

    judge: TorchNetwork
    shift: float
    name: str = "elsewhere"

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        found = self.judge.logits(images)
        own = found.argmax(dim=1, keepdim=True)
        return found.scatter_add(1, own, torch.full_like(own, -self.shift, dtype=found.dtype))


@pytest.mark.parametrize(("shift", "reached"), [(0.0, True), (2e-5, True), (0.2, False)])
def test_the_cpu_confirms_what_a_device_finds(shift: float, reached: bool) -> None:
    """By lengthening it by at most a hundredth; beyond that it is told as not reached."""
    network, way = two_categories()
    images = grey_images(3, network=network)
    exact = exact_margins(network, images) / np.linalg.norm(way)
    for one in tolerance(_Elsewhere(network, shift), images):  # type: ignore[arg-type]
        if exact[one.index] < 0.05:
            continue
        assert one.reached is reached
        if reached:
            assert exact[one.index] * 0.999 <= one.l2 <= exact[one.index] * 1.002 * LONGER[-1]


def test_schemes_are_checked() -> None:
    with pytest.raises(ValueError, match="scheme 'best'; expected one of refined"):
        Scheme("best")
    with pytest.raises(StimulusError, match="--norm: linf with the published scheme; expected l2"):
        Scheme("published", "linf")
    assert [Scheme(name).n_steps for name in ("refined", "corrected", "published")] == [20, 3, 3]
    assert Scheme("corrected", steps=10).record() == {"name": "corrected", "norm": "l2", "steps": 10, "step": 0.5}


def test_rounded_images_are_refused_and_floats_are_not() -> None:
    start = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    for rounded in (start, start / 255.0, (start / 255.0).astype(np.float32)):
        with pytest.raises(StimulusError, match=r"set.png: images that were rounded to 8 bits.*stimuli perturbations"):
            require_unrounded(rounded, where="set.png")
    require_unrounded(start / 255.0 + 1e-4, where="set.h5")


def test_the_table_has_a_line_an_image_and_its_summary_is_of_the_reached() -> None:
    network, _ = two_categories()
    images = _some_wrong(network, 6, wrong=(1,))
    found = list(tolerance(network, images))
    found[0] = replace(found[0], reached=False, l2=float("nan"), linf=float("nan"), taken_for=None)
    table = tolerance_table(images, found, network=network)
    assert table["correct"].tolist() == [True, False, True, True, True, True]
    assert table["reached"].tolist() == [False, False, True, True, True, True]
    summary = summarise(table, norm="l2")
    sizes = [one.l2 for one in found[1:]]
    assert (summary.n_images, summary.n_correct, summary.n_reached) == (6, 5, 4)
    assert summary.accuracy == pytest.approx(5 / 6)
    assert summary.median == pytest.approx(np.median(sizes))
    assert summary.mean == pytest.approx(np.mean(sizes))
    assert np.isnan(summarise(table.assign(reached=False), norm="l2").median)


def test_the_command_writes_a_table_once(tiny: TorchNetwork, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    code, out, _ = command("tolerance", "--network", "tiny", "--out", path)
    assert (code, "smallest L2 that changes the decision (refined): median" in out) == (0, True)
    table = pd.read_csv(path, sep="\t")
    assert len(table) == 3 * len(tiny.class_names)
    assert table.loc[table["reached"], "l2"].gt(0).all()
    before = path.stat().st_mtime_ns
    assert command("tolerance", "--network", "tiny", "--out", path)[0] == 0
    assert path.stat().st_mtime_ns == before
    code, _, err = command("tolerance", "--network", "tiny", "--out", path, "--norm", "linf")
    assert (code, "exists already" in err) == (2, True)
    assert command("tolerance", "--network", "tiny", "--out", path, "--norm", "linf", "--overwrite")[0] == 0


def test_a_study_s_regular_images_are_measured_into_its_derivatives(built: Study, command: Run) -> None:
    code, out, err = command("tolerance", "--study", built.layout.root, "--json")
    assert code == 0, err
    path = built.layout.derivatives("alignment") / "network-study_scheme-refined_norm-l2_tolerance.tsv"
    assert str(path) in out
    assert pd.read_csv(path, sep="\t")["file"].str.startswith("images/RE/").all()


def test_without_a_place_for_the_table_nothing_is_done(tiny: TorchNetwork, command: Run) -> None:
    code, _, err = command("tolerance", "--network", "tiny")
    assert (code, "Name a .tsv file with --out, or the study with --study." in err) == (2, True)
