"""How a run looks in the operator's terminal: one panel while it is played, one table when it is over.

Pure functions from a :class:`~paradigms.console.run_state.RunView` to rich's renderables; nothing here is ever drawn
on the subject's display.
"""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from paradigms.console.preflight import Preflight
from paradigms.console.run_state import RunView
from paradigms.record.changes import Changes
from paradigms.schedule import BLANK, Event

GOOD, BAD, DIM, PLAIN = "green", "bold red", "dim", "bold"
_COLOURS = {"waiting for the trigger": "yellow", "running": "cyan", "complete": "green", "ended early": "red"}
WIDE = 100
"""Columns from which on the values of a run that is being played are shown in two columns."""


TOLD_EVERY_S = 30.0


def awaited(view: RunView) -> str:
    """Say what a run waits for, for how long, and how to leave; nothing once it plays.

    Examples
    --------
    >>> from paradigms.schedule import Schedule
    >>> plan = Schedule("01", "01", "main", 1, seed=1, tr_s=2.0, duration_s=20.0, events=())
    >>> awaited(RunView(plan, since_s=3.0, arm_key="space"))
    "safe: waits for the key 'space', without a limit; 'escape' or Ctrl-C ends it"
    """
    if view.since_s is None or view.zero_s is not None or view.ended:
        return ""
    what = f"safe: waits for the key {view.arm_key!r}" if view.arm_key else f"waits for the trigger, {view.trigger}"
    return f"{what}, without a limit; {view.abort_key!r} or Ctrl-C ends it"


def plain_lines(view: RunView) -> tuple[str, ...]:
    """Tell a run in lines, for output that is no terminal: what it waits for, twice a minute how far it is, faults.

    A line that was told is the same the next time, so that whoever writes them writes each once.
    """
    waits = awaited(view)
    lines = [waits] if waits else []
    if view.zero_s is not None and not view.ended:
        plan, told_s = view.schedule, TOLD_EVERY_S * (view.elapsed_s() // TOLD_EVERY_S)
        lines.append(f"running: {_minutes(told_s)} of {_minutes(plan.duration_s)}"
                     + ("; 'escape' or Ctrl-C ends it".replace("escape", view.abort_key) if not told_s else ""))
    return (*lines, *view.faults)


def live_panel(view: RunView, *, now_s: float | None = None, hint: str = "", width: int = WIDE) -> Panel:
    """Draw a run that is being played.

    Parameters
    ----------
    view : RunView
    now_s : float, optional
        The clock now; default: the time of the last record (as in a run in virtual time).
    hint : str
        What can be done; default: how the run is ended.
    width : int
        Columns of the terminal; below 100 the values are one below the other instead of in two columns.
    """
    plan = view.schedule
    state = Text(view.state.upper(), style=f"bold {_COLOURS.get(view.state, 'yellow')}")
    grid = _grid(_pairs(view, now_s), n_columns=2 if width >= WIDE else 1)
    bar = ProgressBar(total=plan.duration_s, completed=view.elapsed_s(now_s), width=None, complete_style="cyan")
    body: list[RenderableType] = [state, *_wait(view, now_s), Text(), bar, Text(), grid]
    body += [Text(fault, style=BAD) for fault in view.faults if not view.ended]
    if view.reason and view.reason != "complete":
        body.append(Text(view.reason, style=BAD))
    hint = hint or f"{view.abort_key!r} in the subject's window, or Ctrl-C here, ends the run"
    return Panel(Group(*body), box=box.ROUNDED, padding=(1, 2), subtitle=Text(hint, style=DIM), subtitle_align="right",
                 title=Text(f"sub-{plan.sub}  ses-{plan.ses}  {plan.task}  run {plan.run}", style=PLAIN))


def _wait(view: RunView, now_s: float | None) -> list[RenderableType]:
    """Say what is waited for and for how long by now; a line is kept for it, so that nothing moves."""
    if not awaited(view) or view.since_s is None:
        return [Text()]
    for_s = max(0.0, (view.now_s if now_s is None else now_s) - view.since_s)
    what = f"for the key {view.arm_key!r}" if view.arm_key else f"for {view.trigger}"
    return [Text(f"waiting {what}, {_minutes(for_s)} by now, without a limit", style="yellow")]


def _grid(pairs: list[tuple[Text, Text]], *, n_columns: int) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    for name_width, value_width in ((23, 22),) if n_columns == 1 else ((13, 30), (23, 22)):
        grid.add_column(justify="right", min_width=name_width)  # least widths, so that nothing moves while it runs
        grid.add_column(min_width=value_width, ratio=1)
    for k in range(0, len(pairs), n_columns):
        grid.add_row(*(text for pair in pairs[k:k + n_columns] for text in pair))
    return grid


def _pairs(view: RunView, now_s: float | None) -> list[tuple[Text, Text]]:
    """Give the values of a run that is being played, with their names."""
    plan, changes = view.schedule, view.changes
    return [
        _pair("volume", f"{view.volume} of {plan.n_volumes}"), _pair("time left", _minutes(view.left_s(now_s))),
        _pair("pulses missed", str(view.n_missed), bad=view.n_missed > 0),
        _pair("doubled or off the grid", str(view.n_amiss), bad=view.n_amiss > 0),
        _pair("shown", f"{view.n_shown} of {_n_shown(view)}"),
        _pair("late by a frame", f"{changes.n_late} of {changes.n_changes}, worst {1e3 * changes.worst_s:.0f} ms",
              bad=not changes.times_fit(view.bounds)),
        *_movie(view),
        _pair("last button", _last_button(view, now_s)), _pair(_right(view), _hits(view), bad=_few(view)),
        *_answered(view),
        _pair("next", _next(view, now_s))]


def _pair(name: str, value: str, *, bad: bool = False) -> tuple[Text, Text]:
    return Text(name, style=DIM), Text(value, style=BAD if bad else PLAIN)


def _minutes(seconds: float) -> str:
    """Write a time as minutes and seconds.

    Examples
    --------
    >>> _minutes(556.0)
    '9:16'
    """
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _n_shown(view: RunView) -> int:
    return sum(event.trial_type != BLANK for event in view.schedule.events)


def _last_button(view: RunView, now_s: float | None) -> str:
    if view.last_key is None or view.last_key_s is None:
        return "none yet"
    now = view.now_s if now_s is None or view.ended else now_s
    return f"{view.last_key!r}, {max(0.0, now - view.last_key_s):.0f} s ago"


def _hits(view: RunView) -> str:
    right, asked = view.answers
    return f"{100 * right / asked:.0f} %  ({right} of {asked})" if asked else "none asked yet"


def _right(view: RunView) -> str:
    """Name the row of right answers, after the images that tell of attention."""
    return f"right answers to {', '.join(sorted(view.attention))}" if view.attention else "right answers"


def _few(view: RunView) -> bool:
    return view.answers[1] >= 5 and (view.hit_rate or 0.0) < view.least_right


def _movie(view: RunView) -> list[tuple[Text, Text]]:
    """Tell of a movie's steps, where there is one."""
    if view.changes.share_shown is None:
        return []
    changes, bounds = view.changes, view.bounds
    n, of = changes.n_skipped, changes.n_steps
    return [_pair("movie steps skipped", f"{n} of {of} ({100 * n / of:.1f} %)", bad=n > bounds.most_skipped * of),
            _pair("longest gap", f"{changes.longest_gap_s:.2f} s", bad=changes.longest_gap_s > bounds.longest_gap_s)]


def _steps(changes: Changes) -> str:
    skipped = f"{changes.n_skipped} of {changes.n_steps} skipped" if changes.n_skipped else "none skipped"
    return f"{100 * (changes.share_shown or 0.0):.1f} % ({skipped}, gap {changes.longest_gap_s:.2f} s)"


def _answered(view: RunView) -> list[tuple[Text, Text]]:
    share = view.share_answered
    if share is None:
        return []
    return [_pair("answered", f"{100 * share:.0f} %", bad=view.n_asked >= 5 and share < view.least_answered)]


def _next(view: RunView, now_s: float | None) -> str:
    event = view.next_event(now_s)
    if event is None:
        return "the end of the run"
    if view.zero_s is None:
        return f"{_name(event)} at {event.onset_s:.0f} s"
    return f"{_name(event)} in {max(0.0, event.onset_s - view.elapsed_s(now_s)):.0f} s"


def _name(event: Event) -> str:
    if event.trial_type == BLANK:
        return "blank"
    return event.trial_type if event.category is None else f"{event.trial_type} ({event.category})"


def preflight_panel(made: Preflight, *, sub: str, ses: str) -> Panel:
    """Lay out the findings of a preflight."""
    table = Table(box=box.SIMPLE_HEAD, expand=True)
    table.add_column("check", no_wrap=True)
    table.add_column("found", ratio=1)
    table.add_column("verdict", no_wrap=True)
    for one in made.findings:
        accepted = not one.ok and one.name in made.accepted
        verdict = Text("good", style=GOOD) if one.ok else Text("accepted", style="yellow") if accepted else \
            Text("NOT YET", style=BAD)
        said = Text(one.came) if one.ok else Text.assemble(one.came, "\n", (one.remedy, DIM))
        table.add_row(one.name, said, verdict)
    head = Text("the session can begin", style=GOOD) if made.passed else Text("the preflight found faults", style=BAD)
    return Panel(Group(head, table), box=box.ROUNDED, padding=(1, 2),
                 title=Text(f"preflight: sub-{sub}  ses-{ses}", style=PLAIN))


def verdict_panel(view: RunView) -> Panel:
    """Lay out how a run went: what was expected, what was found, and whether that is good.

    Parameters
    ----------
    view : RunView
        Folded from a whole journal.
    """
    table = Table(box=box.SIMPLE_HEAD, expand=True)
    for name in ("", "expected", "found", "verdict"):
        table.add_column(name, no_wrap=name in ("", "verdict"))
    rows = verdict_rows(view)
    for name, expected, found, good in rows:
        table.add_row(name, expected, found, Text("good", style=GOOD) if good else Text("LOOK", style=BAD))
    faults = [Text(f"- {fault}", style=BAD) for fault in view.faults]
    good = view.state == "complete" and not faults and all(row[-1] for row in rows)
    head = Text("this run can be used" if good else "look at this run before you go on", style=GOOD if good else BAD)
    plan = view.schedule
    return Panel(Group(head, table, *faults), box=box.ROUNDED, padding=(1, 2),
                 title=Text(f"verdict: sub-{plan.sub}  ses-{plan.ses}  {plan.task}  run {plan.run}", style=PLAIN))


def verdict_rows(view: RunView) -> list[tuple[str, str, str, bool]]:
    """Give the rows of the verdict: what, expected, found, good."""
    plan, rate, changes = view.schedule, view.hit_rate, view.changes
    most_late = f"at most {100 * view.bounds.most_late:g} %"
    came = view.n_pulses - view.n_amiss
    rows = [
        ("played to the end", "complete", view.reason or view.state, view.state == "complete"),
        ("pulses", f"at least {plan.n_volumes}", str(came), came >= plan.n_volumes and not view.n_missed),
        ("shown", str(_n_shown(view)), str(view.n_shown), view.n_shown == _n_shown(view)),
        ("onsets late by a frame", most_late, f"{view.n_late}, worst {1e3 * view.worst_s:.1f} ms",
         view.n_late <= view.bounds.most_late * max(view.n_shown, 1)),
        ("changes late by a frame", most_late,
         f"{changes.n_late} of {changes.n_changes}, worst {1e3 * changes.worst_s:.1f} ms",
         changes.times_fit(view.bounds)),
    ]
    if changes.share_shown is not None:
        bounds = f"at least {100 * (1 - view.bounds.most_skipped):g} %, no gap above {view.bounds.longest_gap_s:g} s"
        rows.append(("movie steps shown", bounds, _steps(changes), changes.movie_fits(view.bounds)))
    if rate is not None:
        (right, asked), least = view.answers, view.least_right
        rows.append((_right(view), f"at least {100 * least:.0f} %", f"{100 * rate:.0f} % ({right} of {asked})",
                     rate >= least))
    if view.share_answered is not None:
        rows.append(("answered", f"at least {100 * view.least_answered:.0f} %",
                     f"{100 * view.share_answered:.0f} % ({view.n_answered} of {view.n_asked})",
                     view.share_answered >= view.least_answered))
    return rows
