"""A small study on disk with known answers: betas, meshes, labels, manifest and features, nothing simulated.

Brain: RE and AI responses share a pattern, AN responses are noise. Each vertex's pattern is one unit of
``layer1``; the other layers hold noise. 20 images in 2 sessions, 5 regions of 60 vertices a hemisphere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.data.sources import labels_path, surface_paths
from analysis.data.surface import Surface, save_surface
from analysis.glm.betas import Betas, save_betas
from analysis.regions.labels import ROIS, write_labels
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import TYPES, Manifest, Stimulus, write_manifest
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.profile import base_images, register
from subjects.provenance import sidecar
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

CHANGES = {
    "stimuli": {"per_class": 4},
    "roi": {"vertices_per_hemisphere": 15, "min_disk": 6},
    "rsa": {"n_permutations": 200, "n_bootstraps": 200},
    "encoding": {"candidates": [1, 2], "n_permutations": 200, "n_subsamples": 200},
}
LAYERS = tuple(f"layer{k}" for k in range(1, 9))
ROWS, COLUMNS = 12, 25
N_UNITS = 60


def make_study(root: Path, *, subjects: tuple[str, ...] = ("01",), network: str = "demo") -> tuple[Layout, Settings]:
    """Write the study; subject k's noise has seed k."""
    layout = init_study(Layout(root), name="fabricated", seed=7, changes=CHANGES)
    settings = load_settings(root)
    names = base_images(settings.stimuli)
    rows = tuple(_stimulus(name, kind, network=network) for name in names for kind in TYPES)
    write_manifest(layout.manifest, Manifest(rows))
    units = make_units(len(names))
    write_features(layout, names, units, network=network)
    for sub in subjects:
        register(layout, sub, virtual=True)
        pretend_bold(layout, sub)
        for hemi in ("L", "R"):
            write_anatomy(layout, sub=sub, hemi=hemi)
            betas = make_betas(names, units["layer1"], hemi=hemi, seed=int(sub))
            save_betas(layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5"), betas)
        sign_simulated(layout, sub)
    return layout, settings


def sign_simulated(layout: Layout, sub: str) -> None:
    """Say of a subject's simulated files that they were made together."""
    for path in layout.derivatives("simulated").glob(f"sub-{sub}/**/*.gii"):
        sidecar(path, inputs={}, parameters={"null": False})


def image_id(name: str, kind: str) -> str:
    return f"px-{kind}-{name}"


def _stimulus(name: str, kind: str, *, network: str) -> Stimulus:
    file = f"images/{kind}/{name}_{kind}.png"
    return Stimulus(image_id(name, kind), file, kind, name, name, 0, name[:-3], None, None, network, "0" * 16,
                    0.5, 0.999, 0.0, 0.0, 1.0, 20.0, 1, 1)


def make_units(n_images: int) -> dict[str, dict[str, np.ndarray]]:
    """Units by layer and type. layer1: AI near RE, AN apart, so that RE-AI is high; deeper: AN nears, AI parts."""
    found = {}
    for k, layer in enumerate(LAYERS):
        rng = np.random.default_rng([3, k])
        shared, share = rng.normal(size=(n_images, N_UNITS)), k / 7
        noise = {kind: rng.normal(size=shared.shape) for kind in TYPES}
        found[layer] = {"RE": shared, "AI": (1 - share) * shared + (0.05 + share) * noise["AI"],
                        "AN": share * shared + (1.05 - share) * noise["AN"]}
    return found


def write_features(layout: Layout, names: tuple[str, ...], units: dict[str, dict[str, np.ndarray]], *,
                   network: str = "demo", digest: str = "0" * 16, readings: tuple[str, ...] = ()) -> None:
    """Write them in an order of images that is not the manifest's; readings are among the units."""
    ids = [(kind, k) for kind in ("AI", "RE", "AN") for k in reversed(range(len(names)))]
    values = {layer: np.stack([found[kind][k] for kind, k in ids]).astype(np.float32) for layer, found in units.items()}
    write_store(layout.features(network), values, network=network, network_digest=digest, tap="none", layers=LAYERS,
                readings=list(readings), image_ids=[image_id(names[k], kind) for kind, k in ids])


def make_surface(hemi: str) -> Surface:
    """A flat sheet of vertices 1 mm apart."""
    y, x = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    corner = np.flatnonzero((x < COLUMNS - 1) & (y < ROWS - 1))
    faces = np.concatenate([np.stack([corner, corner + 1, corner + COLUMNS], axis=1),
                            np.stack([corner + 1, corner + COLUMNS + 1, corner + COLUMNS], axis=1)])
    flat = np.stack([x, y], axis=1).astype(np.float32)
    return Surface(hemi, np.column_stack([flat, np.zeros(len(flat))]).astype(np.float32), faces.astype(np.int32), flat)


def make_labels() -> np.ndarray:
    """Five bands of five columns: V1 to LO."""
    return (np.arange(ROWS * COLUMNS) % COLUMNS // (COLUMNS // len(ROIS)) + 1).astype(np.int16)


def pretend_bold(layout: Layout, sub: str) -> None:
    """Leave the sign by which the source of the time series is found; nothing here reads the series."""
    path = layout.bold("simulated", key=RunKey(sub, "01", "main", 1), hemi="L", space="patch")
    path.parent.mkdir(parents=True)
    path.touch()


def write_anatomy(layout: Layout, *, sub: str, hemi: str) -> None:
    paths = surface_paths(layout, source="simulated", sub=sub, hemi=hemi)
    save_surface(make_surface(hemi), paths["midthickness"], flat_path=paths["flat"])
    write_labels(labels_path(layout, source="simulated", sub=sub, hemi=hemi), make_labels(), hemi=hemi)


def make_betas(names: tuple[str, ...], units: dict[str, np.ndarray], *, hemi: str, seed: int,
               noise: float = 0.3) -> Betas:
    """Each vertex follows a unit of layer1 for RE and AI, and nothing for AN."""
    n_vertices = ROWS * COLUMNS
    rng = np.random.default_rng([seed, ord(hemi)])
    chosen = rng.integers(0, N_UNITS, size=n_vertices)
    rows, values = [], []
    for kind in TYPES:
        for k, name in enumerate(names):
            signal = units["RE"][k, chosen] if kind != "AN" else rng.normal(size=n_vertices)
            for presentation in (1, 2):
                rows.append((f"{k % 2 + 1:02d}", kind, image_id(name, kind), name, presentation))
                values.append(signal + noise * rng.normal(size=n_vertices))
    for session in ("01", "02"):
        rows.append((session, "blank", "", "", 0))
        values.append(np.zeros(n_vertices))
    conditions = pd.DataFrame(rows, columns=["session", "type", "image_id", "base_image", "presentation"])
    level = np.full(n_vertices, 1000, dtype=np.float32)
    return Betas(hemi, np.array(values, dtype=np.float32), conditions, np.zeros(n_vertices, dtype=np.float32), level)
