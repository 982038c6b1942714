"""What goes wrong in a scan, on request: played on the emulated scanner, simulated, and carried to the betas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.data.sources import resolve_subject
from analysis.data.timeseries import count_volumes, read_run, read_sessions
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from paradigms.playing.play_run import play_run
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import read_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.analysis.running_steps import run
from tests.paradigms.conftest import MAIN_ALONE, make_console_study

FIRST, SECOND = RunKey("01", "01", "main", 1), RunKey("01", "02", "main", 1)
REST = RunKey("01", "01", "main", 1, part=2)


@pytest.fixture
def study(tmp_path: Path) -> tuple[Layout, Settings]:
    layout = make_console_study(tmp_path / "study", stimuli={"per_class": 2}, main={"runs": 1}, **MAIN_ALONE,
                                glm={"model": "ols"},  # a session of one run cannot be cross-validated
                                simulate={"subdivisions": 0, "content": "network", "tuning_sd_pct": 0.6})
    ids = [one.image_id for one in read_manifest(layout.manifest).stimuli]
    rng = np.random.default_rng(0)
    layers = {f"layer{k}": rng.standard_normal((len(ids), 40), dtype=np.float32) for k in range(1, 9)}
    write_store(layout.features("none"), layers, network="none", network_digest="0", tap="none", layers=tuple(layers),
                image_ids=ids)
    return layout, load_settings(layout.root)


def play(layout: Layout, settings: Settings, key: RunKey, *, resume: bool = False, **section: object) -> bool:
    return play_run(layout, settings.model_copy(update=section), key=key, scanner="emulated", display="virtual",
                    resume=resume).complete


def test_a_missing_pulse_costs_no_volume(study):
    layout, settings = study
    play(layout, settings, FIRST, emulated_scanner=settings.emulated_scanner.model_copy(update={"missed": (40,)}))
    assert play(layout, settings, SECOND)
    events = read_sessions(layout, sub="01")["01"][FIRST]
    assert events.attrs["n_pulses"] == count_volumes(events) - 1
    run("simulate", layout, settings)
    made = read_run(resolve_subject(layout, sub="01"), FIRST, hemi="L", tr_s=2.0)
    assert len(made.data) == count_volumes(events)
    run("glm", layout, settings)
    assert np.isfinite(load_betas(betas_paths(layout, sub="01")["L"]).values).all()


def test_missed_responses_are_logged_and_change_no_bold(study):
    layout, settings = study
    sleepy = settings.participant.model_copy(update={"omission": 0.5})
    assert play(layout, settings, FIRST, participant=sleepy)
    events = read_sessions(layout, sub="01")["01"][FIRST]
    images = events[events["image_id"].notna()]
    assert 0.3 < images["response"].isna().mean() < 0.7
    run("simulate", layout, settings)


def test_an_aborted_run_is_refused_until_its_rest_is_played(study):
    layout, settings = study
    aborting = settings.emulated_scanner.model_copy(update={"abort_s": 120.5})
    assert not play(layout, settings, FIRST, emulated_scanner=aborting)
    with pytest.raises(AnalysisError, match="a run that was not played to its end.*--resume"):
        run("simulate", layout, settings)
    assert play(layout, settings, FIRST, resume=True)
    assert play(layout, settings, SECOND)
    run("simulate", layout, settings)
    data = resolve_subject(layout, sub="01")
    assert data.runs == (FIRST, REST, SECOND)
    lengths = [len(read_run(data, key, hemi="R", tr_s=2.0).data) for key in (FIRST, REST)]
    assert lengths[0] == 61
    assert all(layout.confounds("simulated", key).is_file() for key in data.runs)
    run("glm", layout, settings)
    assert np.isfinite(load_betas(betas_paths(layout, sub="01")["R"]).values).all()
