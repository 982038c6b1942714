"""The preregistration: settings, seed, images, verdict rules and the code that decides, in one digest, before scans.

A rule in words can stay while the code behind it changes: the source of the analysis is frozen too, wing by wing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from subjects.cli import Command, json_option, say, site_option, study_option
from subjects.errors import LayoutError, StoreError
from subjects.layout import Layout
from subjects.provenance import PROGRAM, digest_bytes, digest_file, digest_json, versions
from subjects.store import read_json, write_json

if TYPE_CHECKING:
    from subjects.settings.study import Settings

NOT_FROZEN = ("serial_trigger", "parallel_trigger", "keyboard", "buttons", "emulated_scanner", "participant", "hooks",
              "instructions", "markers", "eyelink", "study.name", "display.screen", "display.only_screen",
              "stimuli.images", "stimuli.labels", "stimuli.weights")
"""Sections and settings that say with which machines, and where files lie: another laboratory has others."""


CODE = ("analysis", "stimuli/networks")
"""Where the code lies that makes results of records: all of the analysis, and the networks' responses."""
WITH = (PROGRAM, "numpy", "scipy", "pandas", "nibabel", "torch")
"""Packages whose versions stand beside what was frozen, for the reader; they are no part of the digest."""


@dataclass(frozen=True)
class Agreement:
    """How the study as it is agrees with what was frozen.

    Parameters
    ----------
    digest : str or None
        Of what was frozen; None where nothing was.
    late : bool
        Whether it was frozen after a volunteer's first run.
    differs : tuple of str
        What is otherwise now, each as ``"rsa.measure: correlation frozen, euclidean now"``.
    """

    digest: str | None
    late: bool = False
    differs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give what a sidecar says of it."""
        if self.digest is None:
            return {"Frozen": False}
        return {"Frozen": True, "Digest": self.digest, "FrozenLate": self.late, "MadeUnderIt": not self.differs,
                "Differs": list(self.differs)}

    def sentence(self) -> str:
        """Say it in a sentence."""
        if self.digest is None:
            return "No preregistration was frozen (python -m subjects freeze)."
        late = ", after the first volunteer was scanned or had named images" if self.late else ""
        if not self.differs:
            return f"Made under the preregistration {self.digest}{late}."
        return f"Not made under the preregistration {self.digest}{late}: {'; '.join(self.differs)}."


def code_digests(root: Path | None = None) -> dict[str, str]:
    """Digest the source of the code that makes results, each wing by itself.

    Parameters
    ----------
    root : Path, optional
        The folder in which the packages lie; default: that of this program.

    Returns
    -------
    dict of str to str
        Wing (``"analysis.rsa"``; ``"analysis"`` for the modules of its ground) to a digest of names and contents of its
        modules. Line ends do not count: the same release has the same digests on every system.
    """
    root = Path(__file__).resolve().parents[2] if root is None else root
    wings: dict[str, dict[str, str]] = {}
    for place in CODE:
        for path in sorted((root / place).rglob("*.py")):
            name = path.relative_to(root)
            wing = ".".join(name.parts[:min(2, len(name.parts) - 1)])
            content = path.read_bytes().replace(b"\r\n", b"\n")
            wings.setdefault(wing, {})[name.as_posix()] = digest_bytes(content)
    return {wing: digest_json(modules) for wing, modules in sorted(wings.items())}


def content_now(layout: Layout, settings: Settings, *, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what is frozen: settings, seed, images, rules, code.

    Parameters
    ----------
    layout, settings
        The study.
    rules : mapping
        The verdict rules and margins, as ``python -m analysis rules --json`` gives them.
    """
    from subjects.settings.study import leaves

    kept = {key: value for key, value in leaves(settings.model_dump(mode="json"))
            if key not in NOT_FROZEN and key.partition(".")[0] not in NOT_FROZEN}
    digests = {name: digest_file(path) if path.is_file() else None
               for name, path in (("manifest", layout.manifest), ("textures", layout.textures))}
    return {"settings": kept, "stimuli": digests, "rules": json.loads(json.dumps(rules)), "code": code_digests()}


def freeze(layout: Layout, settings: Settings, *, rules: Mapping[str, Any], late: bool = False,
           again: bool = False) -> str:
    """Freeze a study; give the digest.

    Parameters
    ----------
    layout, settings, rules
        As for :func:`content_now`.
    late : bool
        Freeze although a volunteer was scanned or has named images; recorded.
    again : bool
        Put what was frozen before aside, with its own name, and freeze anew.

    Raises
    ------
    LayoutError
        If there are data of a volunteer, or it is frozen already, or there is no stimulus set.
    """
    layout.require()
    if not layout.manifest.is_file():
        raise LayoutError(str(layout.manifest), came="no stimulus set", expected="the images that will be shown",
                          remedy="Make them with `python -m stimuli build`; nothing was frozen.")
    known = first_data(layout)
    if known is not None and not late:
        what = "run" if known.stem.endswith("_journal") else "naming"
        raise LayoutError(str(known), came=f"a volunteer's {what}",
                          expected="to freeze before the first scan or naming",
                          remedy="Add --late to freeze what is left; every table will say so.")
    path = layout.freeze
    if path.exists():
        if not again:
            raise LayoutError(str(path), came=f"a study frozen already ({read_json(path).get('digest')})",
                              expected="to freeze once", remedy="Add --again; the old one is kept beside it.")
        number = 1
        while (aside := path.with_name(f"freeze-{number:02d}.json")).exists():
            number += 1
        path.rename(aside)
    content = content_now(layout, settings, rules=rules)
    digest = digest_json(content)
    write_json(path, {"digest": digest, "late": known is not None, **content,
                      "wall": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                      "with": versions(*WITH)})
    return digest


def first_data(layout: Layout) -> Path | None:
    """Give the journal of a volunteer's run, or the answers of a volunteer's naming, if there is one."""
    from subjects.profile import load_profile

    for sub in layout.subjects():
        if not load_profile(layout, sub).virtual:
            for kind in ("journal", "answers"):
                found = sorted(layout.root.glob(f"sourcedata/sub-{sub}/ses-*/*_{kind}.jsonl"))
                if found:
                    return found[0]
    return None


def agreement(layout: Layout, settings: Settings, *, rules: Mapping[str, Any]) -> Agreement:
    """Hold the study as it is against what was frozen.

    A setting, a rule or a margin that came with a later version is no difference; one that is gone is one, and so is
    a wing whose code is another.

    Raises
    ------
    StoreError
        If the frozen file was edited since.
    """
    from subjects.settings.study import leaves

    if not layout.freeze.is_file():
        return Agreement(None)
    told = read_json(layout.freeze)
    frozen: dict[str, Any] = {name: told[name] for name in ("settings", "stimuli", "rules", "code") if name in told}
    if digest_json(frozen) != told.get("digest"):
        raise StoreError(str(layout.freeze), came=f"content of digest {digest_json(frozen)}",
                         expected=f"{told.get('digest')}, as it was frozen", remedy="Restore the file.")
    now = content_now(layout, settings, rules=rules)
    then, today = (dict(leaves({**one["settings"], **{name: one[name] for name in one if name != "settings"}}))
                   for one in (frozen, now))
    differs = tuple(f"{key}: {_short(value)} frozen, {_short(today.get(key))} now"
                    for key, value in then.items() if today.get(key) != value)
    return Agreement(str(told["digest"]), late=bool(told.get("late")), differs=differs)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def ask_rules(words: Sequence[str] = ("-m", "analysis", "rules", "--json")) -> dict[str, Any]:
    """Ask the analysis for its verdict rules and margins, in a process of its own.

    Raises
    ------
    StoreError
        If it does not answer.
    """
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StoreError("verdict rules", came=(done.stderr.strip().splitlines() or ["no answer"])[-1],
                         expected="the rules of `python -m analysis rules`", remedy="Install the analysis.")
    return dict(json.loads(done.stdout))


@click.command("freeze", cls=Command)
@study_option
@click.option("--late", is_flag=True, help="Freeze although a volunteer was scanned or has named; tables say so.")
@click.option("--again", is_flag=True, help="Put what was frozen before aside and freeze anew.")
@click.option("--check", is_flag=True, help="Freeze nothing; say whether the study agrees with what was frozen.")
@site_option
@json_option
def freeze_command(study: Path, late: bool, again: bool, check: bool, site: Path | None, as_json: bool) -> int:
    """Freeze the preregistration: settings, seed, images, verdict rules, margins and code, before the first scan.

    Every later table says whether it was made under it. With --check ends with 1 where something differs.
    """
    from subjects.settings.loading import load_settings

    layout = Layout(study).require()
    settings, rules = load_settings(study, site=site), ask_rules()
    if not check:
        freeze(layout, settings, rules=rules, late=late, again=again)
    found = agreement(layout, settings, rules=rules)
    said = found.sentence() if check else f"frozen: {found.digest} ({layout.freeze})"
    say({**found.to_json(), "file": layout.freeze}, as_json=as_json, text=said)
    return 0 if found.digest is not None and not found.differs else 1
