"""A study on disk in which every step is done, each file made by hand: what a report is written from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from analysis.data.sources import labels_path, surface_paths
from analysis.data.surface import save_surface
from analysis.glm.betas import save_betas
from analysis.regions.labels import write_labels
from analysis.rsa.rdm import compute_rdm, save_rdms
from analysis.steps import STEPS, Request
from paradigms.runlog import COLUMNS as EVENT_COLUMNS
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import (
    FIRST,
    SECOND,
    TYPES,
    Manifest,
    SetNetwork,
    Stimulus,
    image_id_of,
    pair_of,
    read_manifest,
    read_pixels,
    read_set_network,
    write_manifest,
)
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.profile import base_images, register
from subjects.provenance import digest_file, sidecar
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import write_bytes, write_json, write_table, write_text
from tests.analysis.fabricated import ROWS, make_betas, make_labels, make_surface, sign_simulated
from tests.analysis.paper_tables import LAYERS, REGIONS, brain_table, encoding_table, hierarchy_table, network_table

CHANGES = {"stimuli": {"per_class": 2}, "main": {"runs": 2}}
SIDE = 16


def finish_study(root: Path, *, subjects: tuple[str, ...] = ("01", "02"), source: str = "simulated") -> Layout:
    """Write the study: 10 base images, 2 sessions of 2 runs, tables in which every claim holds."""
    layout = init_study(Layout(root), name="A study <made by hand>", seed=5, changes=CHANGES)
    settings = load_settings(root)
    manifest = _manifest(layout, settings)
    rng = np.random.default_rng(3)
    write_store(layout.features("demo"), {layer: rng.normal(size=(len(manifest), 4)) for layer in LAYERS},
                network="demo", network_digest="0123456789abcdef", tap="none", layers=LAYERS,
                image_ids=[one.image_id for one in manifest.stimuli])
    write_table(layout.derivative("rsa", suffix="rsa.tsv", network="demo"), network_table())
    save_rdms(layout.derivative("rsa", suffix="rdms.h5", network="demo"),
              {f"layer1/{kind}": compute_rdm(rng.normal(size=(4, 20)), labels="abcd") for kind in TYPES})
    for sub in subjects:
        register(layout, sub, virtual=source == "simulated")
        for ses in ("01", "02"):
            for run in (1, 2):
                _events(layout, manifest, sub=sub, ses=ses, run=run)
        _results(layout, sub=sub, source=source, names=manifest.base_images)
        if source == "simulated":
            sign_simulated(layout, sub)
            write_json(layout.derivative("simulated", sub=sub, suffix="truth.json"), {"parameters": {"null": False}})
    if subjects:
        _journals(layout, sub=subjects[0])
    sign_results(layout, subjects=subjects)
    return layout


def add_second_network(layout: Layout, name: str = "other") -> Layout:
    """Give a study's set AN and AI of a second network, of random pixels."""
    rng, rows = np.random.default_rng(8), list[Stimulus]()
    first, second = read_set_network(layout.manifest), SetNetwork(name, "f" * 16)
    pair = dict(zip(("network", "network_digest"), pair_of(first, second), strict=True))
    for one in read_manifest(layout.manifest).stimuli:
        rows.append(replace(one, **pair) if one.type == "RE" else one)
        if one.type != "RE":
            pixels = rng.integers(0, 256, read_pixels(layout.stimuli, one).shape, dtype=np.uint8)
            made = replace(one, image_id=image_id_of(pixels), file=one.file.replace(".png", f"_{name}.png"),
                           network=second.name, network_digest=second.digest)
            Image.fromarray(pixels).save(layout.stimulus(made.file))
            rows.append(made)
    write_manifest(layout.manifest, Manifest(tuple(rows)), overwrite=True)
    sidecar(layout.manifest, inputs={}, parameters={}, extra={
        key: {"name": one.name, "digest": one.digest} for key, one in ((FIRST, first), (SECOND, second))})
    return layout


def sign_results(layout: Layout, *, subjects: tuple[str, ...]) -> None:
    """Say of every result that it was made from the study as it stands."""
    request = Request(layout=layout, settings=load_settings(layout.root), subjects=subjects)
    for name in ("rsa", "encode"):
        for work in STEPS[name].plan(request):
            shared = {key: digest_file(path) for key, path in work.companions.items()}
            for path in work.outputs:
                sidecar(path, **work.origin(path)._asdict(), extra=shared)


def _manifest(layout: Layout, settings: Settings) -> Manifest:
    rng = np.random.default_rng(0)
    rows = []
    for name in base_images(settings.stimuli):
        for kind in TYPES:
            pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            file = f"images/{kind}/{name}_{kind}.png"
            layout.stimulus(file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(layout.stimulus(file))
            target = {"RE": None, "AN": "own", "AI": "other"}[kind]
            rows.append(Stimulus(image_id_of(pixels), file, kind, name, "own", 3, name[:-3], target,
                                 None if target is None else 4, "demo", "0123456789abcdef", 0.2, 0.9912, 1.5, 0.1, 0.9,
                                 13.0, 20, 1))
    manifest = Manifest(tuple(rows))
    write_manifest(layout.manifest, manifest)
    return manifest


def _events(layout: Layout, manifest: Manifest, *, sub: str, ses: str, run: int) -> None:
    """Onsets late by 2 ms; the first answer of a run is wrong, the last is missing."""
    rows = []
    for k, one in enumerate(manifest.stimuli):
        last = k == len(manifest) - 1
        rows.append({"onset": 22.002 + 4 * k, "duration": 2.0, "trial_type": one.type, "stim_file": one.file,
                     "image_id": one.image_id, "base_image": one.base_image, "category": one.category,
                     "class": one.class_name, "presentation": 1, "response": None if last else "1",
                     "response_time": None if last else 0.65, "correct_response": "1",
                     "correct": 0 if k == 0 or last else 1, "onset_planned": 22.0 + 4 * k})
    rows.append({"onset": 150.0, "duration": 4.0, "trial_type": "blank", "onset_planned": 150.0})
    path = layout.events(RunKey(sub, ses, "main", run))
    write_table(path, pd.DataFrame(rows, columns=list(EVENT_COLUMNS)))
    whole = (ses, run) != ("02", 2)
    faults = [] if whole else ["3 pulses missed"]
    write_json(path.with_suffix(".json"), {"RunComplete": whole, "n_pulses": 98 if whole else 60, "n_volumes": 98,
                                           "PulseWatch": {"faults": faults}})


def _journals(layout: Layout, *, sub: str) -> None:
    """One run's devices; an excerpt of two images, one 4 ms late, one of three presses lost; a torn excerpt."""
    run = layout.journal(RunKey(sub, "01", "main", 1))
    _write_lines(run, [{"kind": "devices", "scanner": "emulated", "display": "virtual"}])
    flips = [{"kind": "flip", "t": t, "planned": planned, "what": what, "event": k}
             for k, (t, planned, what) in enumerate([(10.0, 10.0, "on"), (12.0, 12.0, "off"), (14.004, 14.0, "on")])]
    keys = [{"kind": "pulse"}, {"kind": "pulse"}, {"kind": "press"}, {"kind": "press"}]
    sent = {"kind": "sent", "planned": 2, "pulses": 2, "presses": 3}
    folder = layout.root / "sourcedata" / "excerpts"
    name = layout.run_name(RunKey(sub, "01", "main", 1))
    _write_lines(folder / f"{name}_excerpt-01_journal.jsonl", [*flips, *keys, sent])
    _write_lines(folder / f"{name}_excerpt-02_journal.jsonl", [*flips, *keys, sent, {"kind": "end", "complete": True}])


def _write_lines(path: Path, records: list[dict[str, object]]) -> None:
    write_text(path, "".join(json.dumps({"t": 0.0, "wall": 0.0, **record}) + "\n" for record in records))


def _results(layout: Layout, *, sub: str, source: str, names: tuple[str, ...]) -> None:
    bold = layout.bold(source, key=RunKey(sub, "01", "main", 1), hemi="L", space="fsnative")
    write_bytes(bold, b"time series")
    for hemi in ("L", "R"):
        paths = surface_paths(layout, source=source, sub=sub, hemi=hemi)
        save_surface(make_surface(hemi), paths["midthickness"], flat_path=paths["flat"])
        write_labels(labels_path(layout, source=source, sub=sub, hemi=hemi), make_labels(), hemi=hemi)
        units = {"RE": np.random.default_rng(1).normal(size=(len(names), 60))}
        save_betas(layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5"),
                   make_betas(names, units, hemi=hemi, seed=int(sub)))
    write_table(layout.derivative("rsa", sub=sub, suffix="rsa.tsv"), brain_table((sub,)))
    rng = np.random.default_rng(int(sub))
    save_rdms(layout.derivative("rsa", sub=sub, suffix="rdms.h5"),
              {f"{roi}/{kind}": compute_rdm(rng.normal(size=(len(names), 20)), labels=names)
               for roi in REGIONS for kind in TYPES})
    table = layout.derivative("encoding", sub=sub, suffix="encoding.tsv")
    write_table(table, encoding_table((sub,)))
    write_table(table.with_name(f"sub-{sub}_layers.tsv"), hierarchy_table((sub,)))
    with h5py.File(table.with_suffix(".h5"), "w") as file:
        for k, roi in enumerate(REGIONS):
            for hemi in ("L", "R"):
                file[f"{roi}/vertices_{hemi}"] = np.arange(5 * k, 5 * k + 5) + 25 * (ROWS // 2) + int(sub)
            for layer in LAYERS:
                file.create_group(f"{roi}/{layer}")
