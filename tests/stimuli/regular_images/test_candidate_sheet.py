"""The sheet of candidates: who stands where, in which frame, and that every word fits under its photograph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from stimuli.networks.registry import TorchNetwork
from stimuli.regular_images.candidate_report import photographs_of
from stimuli.regular_images.candidate_sheet import (
    FRAMES,
    MARGIN,
    N_NEXT,
    N_RUNNERS,
    THUMB,
    _font,
    arrange_class,
    draw_candidate_sheet,
    exclude_lines,
    fit_text,
    wrap_name,
)
from stimuli.regular_images.category_choice import CHOSEN
from tests.stimuli.folders import class_folders, photo_study

Command = Callable[..., tuple[int, str, str]]


def test_the_best_of_each_category_stand_above_their_runners_up(tiny: TorchNetwork, tmp_path: Path) -> None:
    study = photo_study(tmp_path / "study", class_folders(tmp_path / "photographs"), per_class=1, re_p=0.3)
    photographs = photographs_of(study.layout, study.settings.stimuli, seed=5, network=tiny)
    assert photographs is not None
    made = photographs.selection
    for kind in study.settings.stimuli.classes:
        columns = arrange_class(made, kind)
        assert [column.is_chosen for column in columns] == [True, *[False] * (len(columns) - 1)]
        assert len(columns) <= 1 + N_NEXT
        for column in columns:
            p = [one.screened.p for one in column.verdicts]
            assert len(p) <= 1 + N_RUNNERS
            assert p[1:] == sorted(p[1:], reverse=True)  # type: ignore[type-var]
            assert len({one.screened.candidate.category for one in column.verdicts}) == 1
    sheet = np.asarray(draw_candidate_sheet(made, listing=photographs.listing, stimuli=study.settings.stimuli, side=24))
    frames = np.all(sheet == FRAMES[CHOSEN], axis=2)
    assert frames[:, MARGIN - 2:MARGIN + THUMB].any()
    assert not frames[:, MARGIN + THUMB + 10:].any(), "one chosen in every class, all in the first column"


def test_what_is_too_wide_is_cut_where_it_says_least() -> None:
    pen = ImageDraw.Draw(Image.new("RGB", (10, 10)))
    assert fit_text("banana", pen=pen) == "banana"
    long = "n02085936-Maltese_dog/n02085936_with_a_long_name.JPEG"
    assert fit_text(long, pen=pen).startswith("n02085936")
    assert "".join(wrap_name(long, pen=pen)) == long, "the name by which it is excluded stands there whole"
    longer = wrap_name("folder/" * 20 + long, pen=pen)
    assert (longer[0][0], "".join(longer)[-len(long):]) == ("…", long)
    assert all(pen.textlength(line, font=_font(12)) <= THUMB for line in longer)


def test_the_command_writes_it_and_says_how_to_leave_one_out(tiny: TorchNetwork, tmp_path: Path,
                                                             command: Command) -> None:
    study = photo_study(tmp_path / "study", class_folders(tmp_path / "photographs"))
    sheet = tmp_path / "sheet.png"
    _, said, _ = command("candidates", "--study", study.layout.root, "--sheet", sheet)
    file = said.split('exclude = ["')[1].split('"')[0]
    with Image.open(sheet) as image:
        assert image.width >= 900
    text = study.layout.settings_file.read_text()
    study.layout.settings_file.write_text(text.replace("[stimuli]\n", f'[stimuli]\nexclude = ["{file}"]\n', 1))
    _, _, complaint = command("candidates", "--study", study.layout.root)
    table = (study.layout.stimuli / "candidates.tsv").read_text()
    assert "screening candidates" not in complaint, "P is taken from the table"
    line = next(line for line in table.splitlines() if line.startswith(file))
    assert "rejected\texcluded" in line


def test_nothing_chosen_leaves_nothing_to_exclude() -> None:
    from stimuli.regular_images.category_choice import Selection

    assert list(exclude_lines(Selection((), (), ()))) == []
