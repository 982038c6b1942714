"""What the operator is asked in the terminal, and how lines are folded there."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from paradigms.console.session import LEAVE
from paradigms.devices.platforms.terminals import forget_typed, is_typed

WIDTH = 80


def folded(text: str) -> str:
    """Fold a line to 80 columns; a path is never broken."""
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def ask(question: str, choices: Sequence[str], *, err: bool = False) -> str:
    """Ask the operator; Enter takes the first choice, a first letter is enough.

    Answers may come from a file or a pipe, a line each; where they end, the answer is to leave.

    Parameters
    ----------
    question : str
    choices : sequence of str
        The first is the default.
    err : bool
        Ask on standard error.
    """
    named = ", ".join(choices)
    forget_typed()
    while True:
        try:
            said = click.prompt(f"{question} [{named}]", default=choices[0], show_default=True, err=err)
        except click.Abort:
            if is_typed() or LEAVE not in choices:  # Ctrl-C, or Ctrl-D
                raise
            click.echo(f"\nno more answers: {LEAVE}", err=err)
            return LEAVE
        found = [choice for choice in choices if choice.startswith(said.strip().lower())]
        if len(found) == 1:
            return found[0]
        click.echo(f"one of {named}, please", err=err)


def first_answer(question: str, choices: Sequence[str], *, err: bool = False) -> str:
    """Take the first choice, and say so."""
    click.echo(f"{question}: {choices[0]}", err=err)
    return choices[0]


def ask_number(question: str, *, err: bool = False) -> int | None:
    """Ask the operator for a number from 1; Enter, or the end of a file of answers, says that it is not known."""
    forget_typed()
    while True:
        try:
            said = click.prompt(f"{question} [number, or Enter]", default="", show_default=False, err=err).strip()
        except click.Abort:
            if is_typed():
                raise
            click.echo("", err=err)
            return None
        if not said:
            return None
        if said.isdecimal() and int(said) > 0:
            return int(said)
        click.echo("a whole number from 1, please, or Enter", err=err)
