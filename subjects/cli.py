"""What the entry points share: one kind of group, options, ways of reporting and of ending, progress bars."""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TextIO, TypeVar

import click

from subjects.errors import StudyError, nearest

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

PROGRAM = "adversarial-fmri"
FOLDERS = ("subjects", "stimuli", "paradigms", "analysis", "run_session")
"""Where our loggers are rooted; ``-v`` speaks for these and for no library."""

T = TypeVar("T")


class ProgressWrapper(Protocol):
    """An iterator wrapper that reports progress; injected so that inner code never prints."""

    def __call__(self, iterable: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
        """Yield the items of `iterable` unchanged, reporting under `label`."""


def silent(iterable: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG001 - the wrapper's signature
    """Pass the items on and say nothing (the default below the entry points)."""
    yield from iterable


_open_bars: list[Progress] = []
"""Progress bars on the screen. An error stops them before its message is printed: whoever iterates may not get to."""


def rich_progress(iterable: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
    """Show a progress bar on standard error while the items pass; where that is no terminal, one line at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    console = Console(stderr=True)
    if not console.is_terminal:
        passed = 0
        for item in iterable:
            yield item
            passed += 1
        click.echo(f"{label:<28} {passed}/{total or passed}", err=True)
        return
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        _open_bars.append(bar)
        yield from bar.track(iterable, description=label, total=total)
        _open_bars.remove(bar)


def stop_bars() -> None:
    """Take unfinished progress bars off the screen."""
    while _open_bars:
        _open_bars.pop().stop()


study_option = click.option(
    "--study", "study", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="The study's folder (one BIDS dataset).",
)
optional_study_option = click.option(
    "--study", "study", default=None, type=click.Path(path_type=Path, file_okay=False),
    help="The study's folder; without it, the defaults.",
)
site_option = click.option(
    "--site", "site", default=None, type=click.Path(path_type=Path, dir_okay=False),
    help="The site's settings file (its display, scanner, keys); the study's own settings override it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs, instead of text.")
subject_option = click.option("--sub", "sub", required=True, help="Subject label, for example 01.")


def say(result: Any, *, as_json: bool, text: str | Iterable[str | RenderableType]) -> None:
    """Report a command's result on standard output, for programs or for people.

    Parameters
    ----------
    result : mapping, sequence or scalar
        What ``--json`` prints. Numpy values and paths are turned into what JSON knows; a number that is not finite,
        for which JSON has no word, becomes ``null``.
    as_json : bool
        Whether ``--json`` was given.
    text : str, or iterable of str and rich renderables
        What people read: lines, which a terminal breaks between words and a file or a pipe takes as they are, and
        tables, which rich lays out.
    """
    if as_json:
        click.echo(json.dumps(_jsonable(result), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for part in [text] if isinstance(text, str) else text:
        if isinstance(part, str):
            click.echo(fitted(part, width=shutil.get_terminal_size().columns) if sys.stdout.isatty() else part)
        else:
            from rich.console import Console

            Console().print(part)


def fitted(text: str, *, width: int) -> str:
    r"""Break every line that is too long for a terminal between words: names of files and numbers stay whole.

    Examples
    --------
    >>> fitted("picture: /data/derivatives/rois/sub-01_labels.png", width=24)
    'picture:\n  /data/derivatives/rois/sub-01_labels.png'
    """
    return "\n".join(line if len(line) <= width else "\n".join(textwrap.wrap(
        line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))
        for line in text.split("\n"))


def _jsonable(value: Any) -> Any:
    from subjects.store import plain  # numpy: a fifth of the start-up time of a command that prints text

    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | bool | int) else _jsonable(plain(value))


class Command(click.Command):
    """A command that knows ``-v`` before or after its other options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Add ``-v`` to the command's own parameters."""
        own = super().get_params(ctx)
        return own if any(one.name == _verbose.name for one in own) else [*own, _verbose]


class _Group(click.Group):
    """A group whose commands, and itself, know ``-v``."""

    command_class = Command

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Add ``--version`` and ``-v`` to the group's own parameters."""
        return [*super().get_params(ctx), _version, _verbose]


def group(*, help: str | None) -> Callable[[Callable[[], None]], click.Group]:  # noqa: A002 - click's own word
    """Make an entry point's group of commands: ``-h/--help``, ``--version``, and ``-v`` here and on every command.

    Parameters
    ----------
    help : str
        What the group is for; usually the module's docstring.
    """
    return click.group(cls=_Group, help=help, context_settings={"help_option_names": ["-h", "--help"]})


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    try:
        click.echo(f"{PROGRAM} {metadata.version(PROGRAM)}")
    except metadata.PackageNotFoundError:
        click.echo(f"{PROGRAM}, run from its source without being installed")
    ctx.exit()


def _set_verbosity(ctx: click.Context, _: click.Parameter, count: int) -> None:
    """Let our loggers speak; ``-v`` before and after the command's name add up."""
    total = ctx.meta["subjects.cli.verbosity"] = ctx.meta.get("subjects.cli.verbosity", 0) + count
    level = logging.DEBUG if total > 1 else logging.INFO if total else logging.NOTSET
    for name in FOLDERS:
        logging.getLogger(name).setLevel(level)


_version = click.Option(["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_print_version,
                        help="Print the version and exit.")
_verbose = click.Option(["-v", "--verbose", "verbosity"], count=True, expose_value=False, callback=_set_verbosity,
                        help="Say on standard error what is being done; -vv says more.")


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is now, so that lines go above a progress bar and not through it.

    A warning is said once, however many steps give it, and laid out in lines as wide as the terminal; a file or a pipe
    gets a line a warning.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said = set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        self.stream = sys.stderr
        if record.levelno >= logging.WARNING:
            said = super().format(record)
            if said in self._said:
                return
            self._said.add(said)
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Break the message at words where a terminal would break it anywhere."""
        said = super().format(record)
        if not self.stream.isatty():
            return said
        width = max(40, shutil.get_terminal_size().columns - 1)
        return "\n".join(textwrap.wrap(said, width, subsequent_indent="  ", break_long_words=False,
                                       break_on_hyphens=False))


class Name(click.Choice):  # type: ignore[type-arg,unused-ignore]
    """One of some names; for a mistyped one the nearest is named."""

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
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s",
                        handlers=[_StandardError()])
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
    stop_bars()
    click.echo(f"error: {message}", err=True)
    return code


def _explain(error: OSError) -> str:
    place = re.sub(r"\.[0-9a-f]{8}\.tmp\.", "", str(error.filename or "the operating system"))
    reason = error.strerror or str(error)
    return f"{place}: {reason}; expected to read and write there. Check the folder, its permissions and free space."
