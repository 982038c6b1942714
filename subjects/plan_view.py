"""The run sheet as tables for the terminal."""

from __future__ import annotations

from itertools import groupby

from rich.table import Table

from subjects.plan import RunSheet


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
    table = Table(title=f"sub-{sheet.sub}: runs", title_justify="left")
    for head in ("session", "task", "run", "what", "trials", "length", "volumes", "seed", "state"):
        numeric = head in ("trials", "length", "volumes", "seed")
        table.add_column(head, justify="right" if numeric else "left", no_wrap=True)
    for item in sheet.runs:
        table.add_row(f"ses-{item.ses}", item.task, str(item.run), item.what, str(item.n_trials),
                      f"{item.duration_s:g} s", str(item.n_volumes), str(item.seed),
                      "done" if item.done else "planned")
    return table
