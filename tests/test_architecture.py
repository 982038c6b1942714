"""The house's rules, read from the source: direction, doors, circles, heavy imports, sizes."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ("subjects", "stimuli", "paradigms", "analysis")
DOORS = {
    ("paradigms", "stimuli"): {"manifest", "apertures", "texture_table"},
    ("analysis", "stimuli"): {"manifest", "apertures", "feature_store"},
    ("analysis", "paradigms"): {"runlog"},
}
WINGS = {
    "subjects": ({"errors"}, {"run_key", "layout", "store", "machine"}, {"provenance"}, {"settings"},
                 {"profile", "dataset"}, {"plan"}, {"cli"}, {"upkeep"}, {"__main__"}),
    "stimuli": ({"categories", "files", "apertures", "texture_table", "feature_store"}, {"manifest"},
                {"networks"}, {"regular_images"}, {"perturbation", "textures"}, {"image_set"}, {"alignment"},
                {"__main__"}),
    "paradigms": ({"devices"}, {"recorders"}, {"emulation"}, {"tasks"}, {"texts"}, {"record"}, {"playing"},
                  {"console"}),
    "analysis": ({"data", "statistics"}, {"glm"}, {"regions"}, {"rsa", "encoding"}, {"simulation", "report"},
                 {"__main__"}),
}
"""Each folder's wings from the ground up; wings of one floor do not import one another (modules may)."""

GROUND = {"paradigms": {"schedule", "program", "detection", "runlog"},
          "analysis": {"steps", "jobs", "running", "needs"}}
"""Modules of a folder that its wings stand on or hand over, without a floor of their own; circles are tested apart."""

HEAVY = {"torch": {"stimuli", "analysis.encoding.pursuit.bfloat16"}, "torchvision": {"stimuli"},
         "psychopy": {"paradigms.devices.window"}}
"""Heavy libraries, and where they may be imported: in the analysis torch in one numerical module alone."""


def _modules(root: Path = ROOT) -> dict[str, Path]:
    found = {}
    for room in ORDER:
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(name: str, source: str, *, is_package: bool = False) -> set[str]:
    """All modules that a module names in any import statement, lazy ones included."""
    package = name if is_package else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def _faults(name: str, imported: set[str]) -> list[str]:
    room = name.partition(".")[0]
    faults = []
    for target in sorted(imported):
        head, _, rest = target.partition(".")
        allowed = HEAVY.get(head)
        if allowed and not any(name == place or name.startswith(f"{place}.") for place in allowed):
            faults.append(f"{name} imports {head}")
        if head not in ORDER or head == room:
            continue
        if ORDER.index(head) > ORDER.index(room):
            faults.append(f"{name} imports upward: {target}")
        doors = DOORS.get((room, head))
        if doors is not None and rest.split(".")[0] not in doors:
            faults.append(f"{name} passes the door: {target}")
    return faults


def _graph() -> dict[str, set[str]]:
    modules = _modules()
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        names = _imports(name, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")
        graph[name] = {t for t in names if t in modules and t != name and modules[t].name != "__init__.py"}
    return graph


def _circle(graph: dict[str, set[str]]) -> list[str] | None:
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(node: str) -> list[str] | None:
        state[node] = 1
        trail.append(node)
        for following in sorted(graph[node]):
            if state.get(following) == 1:
                return trail[trail.index(following):]
            if following not in state and (found := visit(following)):
                return found
        state[node] = 2
        trail.pop()
        return None

    for node in sorted(graph):
        if node not in state and (found := visit(node)):
            return found
    return None


@pytest.mark.parametrize("name", sorted(_modules()))
def test_imports_keep_direction_and_doors(name: str) -> None:
    path = _modules()[name]
    imported = _imports(name, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")
    bare_doors = {f"{room}" for room in ORDER}
    assert _faults(name, imported - bare_doors) == []


@pytest.mark.parametrize(("source", "fault"), [
    ("import analysis.rsa.rdm", "imports upward"),
    ("def f():\n    from stimuli.perturbation.ascent import ascend", "passes the door"),
    ("import torch", "imports torch"),
    ("from psychopy import visual", "imports psychopy"),
    ("from stimuli.manifest import read_manifest", None),
])
def test_the_reader_sees_a_breach(source: str, fault: str | None) -> None:
    faults = _faults("paradigms.playing.engine", _imports("paradigms.playing.engine", source) - set(ORDER))
    assert faults == [] if fault is None else any(fault in line for line in faults)


def test_the_virtual_subject_shares_no_code_with_what_is_judged_on_it() -> None:
    """No module of the simulation reaches one of the GLM, the similarities or the encoding models, directly or not."""
    graph = _graph()
    reached = {name for name in graph if name.startswith("analysis.simulation.")}
    assert len(reached) > 5
    while more := {target for name in reached for target in graph[name]} - reached:
        reached |= more
    judged = ("analysis.glm", "analysis.rsa", "analysis.encoding")
    assert sorted(name for name in reached if name.startswith(judged)) == []


def _wing_faults(graph: dict[str, set[str]]) -> list[str]:
    faults = []
    for name, targets in graph.items():
        folder, _, rest = name.partition(".")
        floors = {wing: k for k, floor in enumerate(WINGS[folder]) for wing in floor}
        mine = rest.split(".")[0]
        if mine in GROUND.get(folder, set()) or not rest:
            continue
        for target in targets:
            head, _, tail = target.partition(".")
            wing = tail.split(".")[0]
            if head != folder or wing == mine or wing in GROUND.get(folder, set()):
                continue
            lone = (ROOT / folder / f"{mine}.py").is_file()
            if floors[wing] > floors[mine] or (floors[wing] == floors[mine] and not lone):
                faults.append(f"{name} imports {target}: {wing} is not below {mine}")
    return sorted(faults)


def test_wings_keep_their_order() -> None:
    assert _wing_faults(_graph()) == []


@pytest.mark.parametrize(("name", "target", "fault"), [
    ("analysis.glm.ols", "analysis.rsa.rdm", "rsa is not below glm"),
    ("analysis.rsa.run", "analysis.encoding.run", "encoding is not below rsa"),
    ("stimuli.networks.taps", "stimuli.image_set.build", "image_set is not below networks"),
    ("subjects.errors", "subjects.store", "store is not below errors"),
    ("analysis.rsa.run", "analysis.glm.betas", None),
])
def test_a_wing_out_of_order_is_found(name: str, target: str, fault: str | None) -> None:
    found = _wing_faults({name: {target}})
    assert found == [] if fault is None else fault in found[0]


def test_every_wing_has_its_floor() -> None:
    placed = {f"{folder}.{wing}" for folder, floors in WINGS.items() for floor in floors for wing in floor}
    placed |= {f"{folder}.{wing}" for folder, wings in GROUND.items() for wing in wings}
    assert {".".join(name.split(".")[:2]) for name in _modules()} - set(ORDER) == placed


def test_no_folder_is_crowded() -> None:
    crowded = {}
    for folder in {path.parent for path in _modules().values()}:
        entries = [path for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__", "data")
                   and (path.is_dir() or path.suffix == ".py")]
        if len(entries) > 13:
            crowded[str(folder.relative_to(ROOT))] = len(entries)
    assert crowded == {}


def test_there_is_no_circle() -> None:
    assert _circle(_graph()) is None


def test_a_circle_is_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_sizes_are_within_the_rules() -> None:
    lines, bodies = {}, {}
    for name, path in _modules().items():
        text = path.read_text(encoding="utf-8")
        lines[name] = text.count("\n") + 1
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                start = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0].lineno
                bodies[f"{name}.{node.name}:{node.lineno}"] = (node.end_lineno or start) - start + 1
    assert {name: n for name, n in lines.items() if n > 400} == {}
    assert {name: n for name, n in bodies.items() if n > 80} == {}
    ordered = sorted(bodies.values())
    assert statistics.median(ordered) <= 10
    assert ordered[int(0.95 * (len(ordered) - 1))] < 40


def test_the_architecture_document_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[a-z_]+(?:\.py|/)", text))
    rooms = {f"{path.parent.name}/" for path in _modules().values()}
    lone = {path.name for path in _modules().values()
            if path.parent.name in ORDER and not path.name.startswith("__")}
    assert lone | rooms - {f"{ROOT.name}/"} <= named


def test_public_callables_take_few_positional_arguments() -> None:
    many = []
    for name, path in _modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list:
                positional = node.args.posonlyargs + node.args.args
                drawn = name.startswith("stimuli.networks.demo.drawings.")  # coordinates come in pairs
                if len(positional) > 2 + drawn and node.args.vararg is None:
                    many.append(f"{name}.{node.name}({', '.join(a.arg for a in positional)})")
    assert many == []


def _handed_on(source: str) -> list[str]:
    """Name the functions that take all settings for nothing but to hand them to other functions."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            told = "" if one.annotation is None else ast.unparse(one.annotation).strip("'\"")
            if told not in ("Settings", "Settings | None"):
                continue
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
            given = {id(value) for call in calls for value in (*call.args, *(word.value for word in call.keywords))}
            uses = [use for use in ast.walk(node) if isinstance(use, ast.Name) and use.id == one.arg
                    and isinstance(use.ctx, ast.Load)]
            if uses and all(id(use) in given for use in uses):
                found.append(node.name)
    return found


def test_few_functions_hand_all_settings_on() -> None:
    paths = {**_modules(), "run_session": ROOT / "run_session.py"}
    found = [f"{name}.{one}" for name, path in paths.items() for one in _handed_on(path.read_text(encoding="utf-8"))]
    assert len(found) <= 10, found


@pytest.mark.parametrize(("body", "n"), [
    ("return g(1, settings)", 1), ("return g(settings=settings)", 1), ("return g(settings.main)", 0),
    ("return g(settings, settings.main)", 0), ("return None", 0)])
def test_settings_that_are_handed_on_are_found(body: str, n: int) -> None:
    assert len(_handed_on(f"def f(settings: Settings) -> None:\n    {body}")) == n


@pytest.mark.parametrize(("arguments", "most_s"), [
    (["-c", "import analysis"], 0.5),
    (["-m", "subjects", "--help"], 0.5), (["-m", "stimuli", "--help"], 0.5), (["-m", "analysis", "--help"], 0.5),
    (["run_session.py", "--help"], 1.0),
])
def test_light_things_stay_light(arguments: list[str], most_s: float) -> None:
    """CPU time rather than wall time, so that a busy machine does not decide."""
    code = ("import resource, runpy, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
            "stdout=subprocess.DEVNULL); u = resource.getrusage(resource.RUSAGE_CHILDREN); "
            "print(u.ru_utime + u.ru_stime)")
    out = subprocess.run([sys.executable, "-c", code, sys.executable, *arguments], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout
    assert float(out) < most_s


def test_planning_never_imports_torch_or_psychopy() -> None:
    code = ("import sys, importlib, pkgutil\n"
            "import stimuli.manifest, stimuli.feature_store\n"
            "import paradigms.playing.play_run, paradigms.playing.engine, paradigms.runlog, paradigms.schedule\n"
            "import analysis.rsa.run, analysis.encoding.run, analysis.simulation.bold, analysis.report.page\n"
            "bad = {'torch', 'psychopy', 'torchvision'} & set(sys.modules)\n"
            "sys.exit(str(bad) if bad else 0)")
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - start < 60
