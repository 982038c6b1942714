"""The preregistration: one digest over settings, images and rules, before the first scan, told beside results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.report.scorecard import preregistered, rules
from analysis.steps import Request
from subjects.errors import LayoutError, StoreError
from subjects.layout import Layout
from subjects.profile import register
from subjects.provenance import digest_json, sidecar_path
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.store import read_json, write_json
from subjects.upkeep.freeze import NOT_FROZEN, agreement, ask_rules, code_digests, freeze
from tests.analysis.running_steps import run
from tests.paradigms.conftest import make_console_study

RULES: dict[str, Any] = {"alpha": 0.05, "claims": {"B1": "p < .05 everywhere"}}


@pytest.fixture
def study(tmp_path: Path) -> Layout:
    return make_console_study(tmp_path / "study", stimuli={"per_class": 2})


def _agrees(layout: Layout, *, rules: dict[str, Any] = RULES, **overrides: Any) -> tuple[str, ...]:
    return agreement(layout, load_settings(layout.root, overrides=overrides), rules=rules).differs


def test_the_digest_is_the_contents_and_an_unchanged_study_agrees(study: Layout, tmp_path: Path) -> None:
    digest = freeze(study, load_settings(study.root), rules=RULES)
    assert _agrees(study) == ()
    found = agreement(study, load_settings(study.root), rules=RULES)
    assert found.sentence() == f"Made under the preregistration {digest}."
    assert found.to_json() == {"Frozen": True, "Digest": digest, "FrozenLate": False, "MadeUnderIt": True,
                               "Differs": []}
    other = make_console_study(tmp_path / "other", stimuli={"per_class": 2})
    assert freeze(other, load_settings(other.root), rules=RULES) == digest
    third = make_console_study(tmp_path / "third", seed=2, stimuli={"per_class": 2})
    assert freeze(third, load_settings(third.root), rules=RULES) != digest


@pytest.mark.parametrize(("overrides", "said"), [
    ({"rsa.n_permutations": 10}, "rsa.n_permutations: 1000 frozen, 10 now"),
    ({"study.seed": 9}, "study.seed: 1 frozen, 9 now"),
    ({"naming.ai_least": 0.4}, "naming.ai_least: 0.5 frozen, 0.4 now"),
    ({"display.distance_cm": 100.0}, "display.distance_cm: 168.0 frozen, 100.0 now")])
def test_every_setting_that_shapes_a_result_is_told(study: Layout, overrides: dict[str, Any], said: str) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    assert _agrees(study, **overrides) == (said,)


@pytest.mark.parametrize("overrides", [{"scanner.trigger_key": "6"}, {"buttons.port": "COM3"},
                                       {"instructions.language": "zh"}, {"markers.device": "lsl"}])
def test_machines_and_words_are_not_frozen(study: Layout, overrides: dict[str, Any]) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    frozen = next(iter(overrides)).partition(".")[0] not in NOT_FROZEN
    assert bool(_agrees(study, **overrides)) == frozen


def test_a_changed_pixel_row_rule_or_margin_is_told(study: Layout) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    assert _agrees(study, rules={**RULES, "alpha": 0.01}) == ("rules.alpha: 0.05 frozen, 0.01 now",)
    assert "rules.claims.B1" in _agrees(study, rules={**RULES, "claims": {"B1": "p < .1"}})[0]
    assert _agrees(study, rules={**RULES, "claims": {**RULES["claims"], "Z9": "new"}}) == ()
    study.manifest.write_text(study.manifest.read_text(encoding="utf-8").replace("category 0", "category X"),
                              encoding="utf-8")
    assert _agrees(study)[0].startswith("stimuli.manifest: ")


def _house(root: Path, text: str = "p < .05") -> Path:
    for name, content in {"analysis/steps.py": "a = 1", "analysis/rsa/compare.py": text, "analysis/rsa/x/y.py": "b = 2",
                          "stimuli/networks/demo/net.py": "c = 3", "stimuli/drawings/dog.py": "d = 4"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"{content}\n".encode())
    return root


def test_the_code_that_decides_is_digested_by_wing(tmp_path: Path) -> None:
    before = code_digests(_house(tmp_path))
    assert list(before) == ["analysis", "analysis.rsa", "stimuli.networks"]

    def changed() -> list[str]:
        now = code_digests(tmp_path)
        return [name for name in {**before, **now} if now.get(name) != before.get(name)]

    _house(tmp_path, "p < .1")
    assert changed() == ["analysis.rsa"]
    _house(tmp_path)
    (tmp_path / "stimuli/drawings/dog.py").write_text("d = 5\n", encoding="utf-8")
    (tmp_path / "analysis/rsa/compare.py").write_bytes(b"p < .05\r\n")  # a check-out on Windows
    (tmp_path / "analysis/rsa/notes.md").write_text("notes\n", encoding="utf-8")
    assert changed() == []
    (tmp_path / "analysis/rsa/x/y.py").rename(tmp_path / "analysis/rsa/x/z.py")
    assert changed() == ["analysis.rsa"]
    (tmp_path / "stimuli/networks/demo/net.py").unlink()
    assert changed() == ["analysis.rsa", "stimuli.networks"]


def test_a_rule_that_is_kept_in_words_while_its_code_changes_is_told(study: Layout,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    told, now = read_json(study.freeze), code_digests()
    assert told["code"] == now
    assert now["analysis.report"] != now["analysis.rsa"]
    assert set(told["with"]) >= {"adversarial-fmri", "numpy", "scipy"}
    monkeypatch.setattr("subjects.upkeep.freeze.code_digests", lambda: {**now, "analysis.report": "0"})
    found = agreement(study, load_settings(study.root), rules=RULES)
    assert found.differs == (f"code.analysis.report: {now['analysis.report']} frozen, 0 now",)
    assert found.to_json()["MadeUnderIt"] is False
    monkeypatch.setattr("subjects.upkeep.freeze.code_digests", lambda: {**now, "analysis.new": "0"})
    assert _agrees(study) == ()


def test_what_was_frozen_without_code_is_held_against_what_it_has(study: Layout) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    told = read_json(study.freeze)
    del told["code"]
    told["digest"] = digest_json({name: told[name] for name in ("settings", "stimuli", "rules")})
    write_json(study.freeze, told, overwrite=True)
    assert _agrees(study) == ()


def test_an_edited_file_is_refused(study: Layout) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    told = read_json(study.freeze)
    told["settings"]["rsa.n_permutations"] = 10
    write_json(study.freeze, told, overwrite=True)
    with pytest.raises(StoreError, match="as it was frozen"):
        _agrees(study)


def test_it_is_refused_after_the_first_volunteer_was_scanned_and_not_after_a_virtual_subject(study: Layout) -> None:
    for sub in ("01", "05"):
        journal = study.journal(RunKey(sub, "01", "main", 1))
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text("{}\n", encoding="utf-8")
    freeze(study, load_settings(study.root), rules=RULES)
    register(study, "05")
    with pytest.raises(LayoutError, match=r"a volunteer's run; expected to freeze before the first scan.*--late"):
        freeze(study, load_settings(study.root), rules=RULES, again=True)
    freeze(study, load_settings(study.root), rules=RULES, again=True, late=True)
    assert (study.freeze.parent / "freeze-01.json").is_file()
    assert "after the first volunteer was scanned" in agreement(study, load_settings(study.root),
                                                               rules=RULES).sentence()


def test_a_volunteers_naming_is_data_too(study: Layout) -> None:
    """P1 and P2 are decided by it."""
    register(study, "05")
    for sub, virtual in (("01", True), ("05", False)):
        answers = study.naming_answers(sub, "naming")
        answers.parent.mkdir(parents=True, exist_ok=True)
        answers.write_text("{}\n", encoding="utf-8")
        if virtual:
            freeze(study, load_settings(study.root), rules=RULES)
    with pytest.raises(LayoutError, match="a volunteer's naming; expected to freeze before the first scan or naming"):
        freeze(study, load_settings(study.root), rules=RULES, again=True)
    freeze(study, load_settings(study.root), rules=RULES, again=True, late=True)
    assert "or had named images" in agreement(study, load_settings(study.root), rules=RULES).sentence()


def test_it_is_frozen_once_and_with_its_images(study: Layout) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    with pytest.raises(LayoutError, match="frozen already.*--again"):
        freeze(study, load_settings(study.root), rules=RULES)
    study.manifest.unlink()
    with pytest.raises(LayoutError, match="no stimulus set"):
        freeze(study, load_settings(study.root), rules=RULES, again=True)


def test_the_command_asks_the_analysis_for_its_rules(study: Layout) -> None:
    assert ask_rules() == json.loads(json.dumps(rules()))
    assert "p < .05" in rules()["claims"]["B1"]

    def freeze_by_command(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "subjects", "freeze", "--study", str(study.root), *more],
                              capture_output=True, text=True, check=False)

    assert freeze_by_command("--check").stdout == "No preregistration was frozen (python -m subjects freeze).\n"
    assert freeze_by_command().stdout.startswith("frozen: ")
    assert freeze_by_command("--check", "--json").returncode == 0
    text = study.settings_file.read_text(encoding="utf-8")
    study.settings_file.write_text(text.replace("[rsa]\n", "[rsa]\nn_permutations = 7\n", 1), encoding="utf-8")
    done = freeze_by_command("--check")
    assert (done.returncode, "rsa.n_permutations: 1000 frozen, 7 now" in done.stdout) == (1, True)


def test_the_sidecar_of_a_result_says_whether_it_was_made_under_it(study: Layout) -> None:
    freeze(study, load_settings(study.root), rules=rules())
    for overrides, under in (({}, True), ({"rsa.n_permutations": 10}, False)):
        request = Request(layout=study, settings=load_settings(study.root, overrides=overrides), subjects=("01",))
        assert preregistered(request)["Preregistration"]["MadeUnderIt"] is under


def test_a_picture_is_not_needed_to_compare(study: Layout) -> None:
    freeze(study, load_settings(study.root), rules=RULES)
    next(study.stimuli.rglob("*.png")).unlink()
    assert _agrees(study) == ()


def test_a_step_writes_it_beside_its_tables(study: Layout) -> None:
    settings = load_settings(study.root)
    freeze(study, settings, rules=rules())
    done = run("confounds", study, settings)
    for work in done.works:
        for path in work.outputs:
            assert read_json(sidecar_path(path))["Preregistration"]["MadeUnderIt"] is True
