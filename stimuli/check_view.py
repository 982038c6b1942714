"""The check of a set as a table for the terminal."""

from __future__ import annotations

from rich.table import Table

from stimuli.check import Verdict


def verdict_table(verdict: Verdict) -> Table:
    """Lay a verdict out, one row an image."""
    table = Table(title=f"stimulus set, judged by {verdict.network} from its PNG files", title_justify="left")
    for name, justify in (("image", "left"), ("judged as", "left"), ("P", "right"), ("P own", "right"),
                          ("contrast", "right"), ("noise RMS", "right"), ("verdict", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=name != "verdict")
    for one in verdict.images:
        said = "holds" if not one.failures else "; ".join(one.failures)
        table.add_row(f"{one.base_image} {one.type}", one.judged_as, f"{one.p:.5f}", f"{one.p_own:.5f}",
                      f"{one.contrast:.1f}", f"{one.noise:.1f}", said, style=None if not one.failures else "bold red")
    return table
