"""Float perturbations are taken only for the very pixels of the manifest; their file's numbers against plain sums."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from stimuli.image_set.exports.float_perturbations import (
    MEAN,
    MEASURED_FROM,
    Exported,
    _require_same,
    _write,
    perturbations_path,
)
from stimuli.manifest import image_id_of
from subjects.errors import LayoutError, StimulusError
from subjects.layout import Layout


def _made(n: int) -> tuple[list[Any], dict[str, Any]]:
    rng = np.random.default_rng(n)
    found, made = {}, []
    for k in range(n):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        found[image_id_of(pixels)] = (rng.normal(size=(4, 4, 3)).astype(np.float32), pixels)
        made.append(SimpleNamespace(image_id=image_id_of(pixels), file=f"{k}.png", type=("AN", "AI")[k % 2],
                                    base_image=f"dogs-{k}"))
    return made, found


@pytest.mark.parametrize("wrong", [[2], [0, 1, 3, 4]])
def test_one_other_pixel_of_one_image_is_refused(tmp_path: Path, wrong: list[int]) -> None:
    made, found = _made(5)
    _require_same(Layout(tmp_path), made, found)
    for k in wrong:
        found[made[k].image_id][1][3, 3, 2] ^= 1
    named = ", ".join(f"{k}.png" for k in wrong[:3])
    with pytest.raises(StimulusError, match=rf"other pixels in {len(wrong)} of 5 images \({named}\) when the ascent"):
        _require_same(Layout(tmp_path), made, found)


def test_the_file_holds_every_perturbation_in_order_with_its_norm_and_start(tmp_path: Path) -> None:
    made, found = _made(4)
    network: Any = SimpleNamespace(name="net", digest="d", mean_image=np.full((4, 4, 3), 127.5, np.float32))
    manifest: Any = SimpleNamespace(get=lambda **row: SimpleNamespace(image_id=f"{row['type']} {row['base_image']}"))
    _write(tmp_path / "p.h5", made, found, manifest=manifest, network=network)
    with h5py.File(tmp_path / "p.h5") as file:
        starts = [one.decode() for one in file["start_ids"]]
        assert starts == [MEAN, "RE dogs-1", MEAN, "RE dogs-3"]
        for k, one in enumerate(made):
            np.testing.assert_array_equal(file["perturbation"][k], found[one.image_id][0])
            plain = math.sqrt(math.fsum(float(value)**2 for value in found[one.image_id][0].ravel()))
            assert file["l2"][k] == pytest.approx(plain, rel=1e-12)
        assert [one.decode() for one in file["image_ids"]] == [one.image_id for one in made]
        assert np.all(file["mean_image"][()] == np.float32(0.5))
        assert file.attrs["measured_from_AI"] == MEASURED_FROM["AI"]


def test_the_path_is_of_the_network_and_json_says_what_is_measured_from(tmp_path: Path) -> None:
    first, second = (perturbations_path(Layout(tmp_path), name) for name in ("squeezenet1_0", "my.networks:load"))
    assert first.parent == second.parent
    assert ("squeezenet10" in first.name, "mynetworksload" in second.name) == (True, True)
    made = Exported(first, 8, reused=True, network="squeezenet1_0")
    assert made.record()["measured_from"] == MEASURED_FROM
    assert made.line() == f"8 float perturbations of network squeezenet1_0 already up to date: {first}"
    with pytest.raises(LayoutError, match="letters and digits only"):
        perturbations_path(Layout(tmp_path), "_._")
