"""The commands that the pages of the manual name: each is there, with every option that is named."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
GROUPS = {"run_session.py": "run_session", "subjects": "subjects.__main__", "stimuli": "stimuli.__main__",
          "analysis": "analysis.__main__"}
COMMAND = re.compile(r"python3? (?:-m )?(?:\S*/)?(run_session\.py|subjects|stimuli|analysis) ([a-z][a-z-]*)([^`\n#|]*)")


def named(page: str) -> list[tuple[str, str, list[str]]]:
    """List the commands that a page names: entry point, command, options."""
    text = re.sub(r"\\\n\s*", " ", page)
    return [(match[1], match[2], re.findall(r"(?<!\S)--[a-z][a-z-]*", match[3])) for match in COMMAND.finditer(text)]


def unknown(page: str) -> list[str]:
    """List what of a page's commands is not there."""
    found = []
    for entry, name, options in named(page):
        group = importlib.import_module(GROUPS[entry]).cli
        command = group.commands.get(name)
        if not isinstance(command, click.Command):
            found.append(f"{entry} {name}")
            continue
        known = {"--help", *(option for one in command.params for option in (*one.opts, *one.secondary_opts))}
        found += [f"{entry} {name} {option}" for option in options if option not in known]
    return found


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_names_commands_and_options_that_there_are(page: Path) -> None:
    assert unknown(page.read_text(encoding="utf-8")) == []


def test_a_command_or_an_option_that_there_is_not_is_found() -> None:
    page = ("`python run_session.py nam --study S` and\n\n    python -m subjects add --study S --sub 01 \\\n"
            "        --agee 3    # --comment\n    python run_session.py name --study S --sub 01 --display window")
    assert unknown(page) == ["run_session.py nam", "subjects add --agee"]
    assert len(named((DOCS / "subject.md").read_text(encoding="utf-8"))) > 5
