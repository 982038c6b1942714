"""What the entry points share: options, one way of ending, and progress bars."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import click

from subjects.errors import StudyError, nearest

T = TypeVar("T")


class ProgressWrapper(Protocol):
    """An iterator wrapper that reports progress; injected so that inner code never prints."""

    def __call__(self, iterable: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
        """Yield the items of `iterable` unchanged, reporting under `label`."""


def silent(iterable: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG001 - the wrapper's signature
    """Pass the items on and say nothing (the default below the entry points)."""
    yield from iterable


def rich_progress(iterable: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
    """Show a progress bar on standard error while the items pass."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield from bar.track(iterable, description=label, total=total)


study_option = click.option(
    "--study", "study", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="The study's folder (one BIDS dataset).",
)
subject_option = click.option("--sub", "sub", required=True, help="Subject label, for example 01.")


class Name(click.Choice):  # type: ignore[type-arg,unused-ignore]
    """One of some names; a mistyped one is told the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Hand a known name on."""
        if value not in self.choices:
            names = [str(name) for name in self.choices]
            self.fail(f"{value!r}; expected one of {', '.join(names)}. {nearest(str(value), names)}", param, ctx)
        return super().convert(value, param, ctx)


def main(command: click.Command) -> NoReturn:
    """Run a command line and end the process.

    Parameters
    ----------
    command : click.Command
        The command or group to run on ``sys.argv``.

    Notes
    -----
    A :class:`~subjects.errors.StudyError`, a refusal by the operating system and a
    wrong flag all end as one line on standard error and exit status 2. Ctrl-C ends with 130.
    """
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        code = command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_complain("interrupted", 130))
    except StudyError as error:
        sys.exit(_complain(str(error), 2))
    except OSError as error:
        sys.exit(_complain(_explain(error), 2))
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code


def _explain(error: OSError) -> str:
    place = re.sub(r"\.[0-9a-f]{8}\.tmp\.", "", str(error.filename or "the operating system"))
    reason = error.strerror or str(error)
    return f"{place}: {reason}; expected to read and write there. Check the folder, its permissions and free space."
