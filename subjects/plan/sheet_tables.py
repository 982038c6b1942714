"""How a run sheet looks in a terminal, and as JSON."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich import box
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from subjects.plan.checklist import Scan, local_time
from subjects.plan.run_sheet import PlannedRun, RunSheet


def sheet_tables(sheet: RunSheet) -> tuple[Table, ...]:
    """Lay a run sheet out as one table of images and one of runs."""
    return _image_table(sheet), _run_table(sheet)


def _image_table(sheet: RunSheet) -> Table:
    table = Table(title=f"sub-{sheet.sub}: base images", title_justify="left",
                  caption="each as RE, AN and AI", caption_justify="left")
    table.add_column("class")
    for ses in sheet.images:
        table.add_column(f"ses-{ses}")
    by_session = {ses: {kind: [name.rpartition("-")[2] for name in names]
                        for kind, names in groupby(images, key=_class_of)}
                  for ses, images in sheet.images.items()}
    for kind in next(iter(by_session.values())):
        table.add_row(kind, *(" ".join(shares[kind]) for shares in by_session.values()))
    return table


def _class_of(base_image: str) -> str:
    return base_image.rpartition("-")[0]


def _run_table(sheet: RunSheet) -> Table:
    """Lay the runs out within 80 columns; a narrower terminal folds seeds and what is shown, and loses nothing."""
    table = Table(title=f"sub-{sheet.sub}: runs, and scans between them", title_justify="left", box=box.SIMPLE_HEAD,
                  padding=0, show_edge=False)
    for head in ("ses", "task", "run", "state", "series", "trials", "length", "volumes", "seed", "what"):
        numeric = head in ("run", "series", "trials", "length", "volumes", "seed")
        folds = head in ("series", "seed", "what")
        head = {"series": "ser", "volumes": "vols"}.get(head, head)
        table.add_column(head, justify="right" if numeric else "left", no_wrap=not folds, overflow="fold")
    for ses in sheet.sessions:
        for item in sheet.session(ses):
            table.add_row(*(_scan_cells(item) if isinstance(item, Scan) else _run_cells(item)),
                          style="dim" if isinstance(item, Scan) else None)
    return table


def _run_cells(run: PlannedRun) -> tuple[str, ...]:
    return (run.ses, run.task, str(run.run), "done" if run.done else "planned", _numbers(run.series),
            str(run.n_trials), f"{run.duration_s:g} s", str(run.n_volumes), str(run.seed), run.what)


def _scan_cells(scan: Scan) -> tuple[str, ...]:
    return scan.ses, scan.kind, str(scan.number), _ticked(scan), _numbers(_series_of(scan))


def _series_of(item: PlannedRun | Scan) -> tuple[int, ...]:
    return item.series if isinstance(item, PlannedRun) else () if item.series is None else (item.series,)


def _numbers(series: tuple[int, ...]) -> str:
    return "+".join(map(str, series))


def _ticked(scan: Scan) -> str:
    return "to do" if scan.done_wall is None else local_time(scan.done_wall)[11:16]


def session_panel(sheet: RunSheet, *, ses: str) -> Panel:
    """Lay out how far a session has come: runs and scans in order, what is done, and when what was ticked off."""
    table = Table.grid(padding=(0, 2))
    for head in ("what", "state", "series"):
        table.add_column(head, justify="right" if head == "series" else "left", no_wrap=True)
    for item in sheet.session(ses):
        is_scan = isinstance(item, Scan)
        done = item.done_wall is not None if isinstance(item, Scan) else item.done
        name = item.name if isinstance(item, Scan) else f"{item.task} run {item.run}  {item.what}".rstrip()
        state = _ticked(item) if isinstance(item, Scan) else "done" if done else "planned"
        series = _series_of(item)
        table.add_row(Text(name, style="dim" if is_scan else ""), Text(state, style="green" if done else "yellow"),
                      f"series {_numbers(series)}" if series else "")
    return Panel(table, box=box.ROUNDED, padding=(0, 2), expand=False,
                 title=Text(f"sub-{sheet.sub}  ses-{ses}", style="bold"))


def sheet_record(sheet: RunSheet) -> dict[str, Any]:
    """Give a run sheet as JSON holds it: base images by session, every run in order, the scans beside them."""
    runs = [{"ses": one.ses, "task": one.task, "run": one.run, "what": one.what or None, "n_trials": one.n_trials,
             "duration_s": one.duration_s, "n_volumes": one.n_volumes, "seed": one.seed, "done": one.done,
             "series": list(one.series)} for one in sheet.runs]
    scans = [{"ses": one.ses, "kind": one.kind, "number": one.number, "before_run": one.before + 1,
              "done": None if one.done_wall is None else local_time(one.done_wall), "series": one.series}
             for one in sheet.scans]
    return {"sub": sheet.sub, "base_images": {ses: list(names) for ses, names in sheet.images.items()}, "runs": runs,
            "scans": scans}
