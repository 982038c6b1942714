"""The trade-off over a list of networks: what is measured, kept, joined and drawn, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stimuli.alignment.tolerance.measure import Scheme
from stimuli.alignment.trade_off import run
from stimuli.alignment.trade_off.figure import COLORS, MOST_NAMED, draw_trade_off, write_figure
from stimuli.alignment.trade_off.networks import Listed, read_networks, require_different, with_predictivity
from stimuli.alignment.trade_off.run import Question, measure_network, measure_networks, question_record
from stimuli.networks.registry import TorchNetwork
from subjects.errors import NetworkError, StimulusError
from tests.stimuli.alignment.cases import end_at_once, save_map
from tests.stimuli.tiny import SIDE

Run = Callable[..., tuple[int, str, str]]
TINY = "tests.stimuli.tiny:fit_tiny"


def test_a_list_of_networks_is_a_table(tmp_path: Path) -> None:
    table = tmp_path / "networks.tsv"
    table.write_text("network\tweights\tpreprocessing\tlabel\nresnet18\tn/a\tn/a\tn/a\n"
                     "squeezenet1_0\tw.safetensors\tcaffe-227\tSqueezeNet (Caffe)\n", encoding="utf-8")
    one, other = read_networks(table)
    assert one == Listed("resnet18")
    assert other == Listed("squeezenet1_0", tmp_path / "w.safetensors", "caffe-227", "SqueezeNet (Caffe)")
    assert [found.stem for found in (one, other)] == ["network-resnet18", "network-SqueezeNetCaffe"]


@pytest.mark.parametrize(("text", "said"), [
    ("name\na\n", "the columns name; expected network"), ("network\tdepth\na\t3\n", "the columns network, depth"),
    ("network\tlabel\nn/a\tb\n", "row 2: no network")])
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(StimulusError, match=said):
        read_networks(tmp_path / "a.tsv")


def test_names_that_would_share_files_are_refused() -> None:
    with pytest.raises(StimulusError, match="net.1 beside net1"):
        require_different([Listed("net1"), Listed("net.1")])
    with pytest.raises(StimulusError, match="no network"):
        require_different([])


def test_a_network_s_row_is_kept_and_taken_again(tiny: TorchNetwork, tmp_path: Path) -> None:
    """Drawings where the network knows nothing else, whatever is named; the second time nothing is made."""
    question = Question(tmp_path, images=tmp_path)
    row = measure_network(Listed("tiny"), question)
    assert (row["images"], row["n_images"]) == ("drawings", 3 * len(tiny.class_names))
    assert 0.5 < row["accuracy"] <= 1.0
    assert 0 < row["tolerance_lower"] <= row["tolerance"] <= row["tolerance_upper"]
    assert np.isnan(row["alignment"])
    assert row["peak_mib"] > 50
    path = tmp_path / "network-tiny_tolerance.tsv"
    made = path.stat().st_mtime_ns
    again = measure_network(Listed("tiny"), question)
    assert path.stat().st_mtime_ns == made
    assert again["tolerance"] == pytest.approx(row["tolerance"])
    assert measure_network(Listed("tiny"), Question(tmp_path, scheme=Scheme(steps=2)))["tolerance"] >= row["tolerance"]
    assert path.stat().st_mtime_ns != made


def test_maps_give_alignment_and_the_ceiling(tiny: TorchNetwork, tmp_path: Path) -> None:
    from stimuli.networks.demo.drawings import draw

    for k, name in enumerate(tiny.class_names):
        image = draw(name, rng=np.random.default_rng(k), size_px=SIDE)
        grey = image.mean(axis=2)
        people = np.stack([grey + 30 * np.random.default_rng(10 * k + j).random(grey.shape) for j in range(3)])
        save_map(tmp_path / "maps" / f"{k}.npz", maps=people, image=image, label=k)
    row = measure_network(Listed("tiny"), Question(tmp_path / "out", maps=tmp_path / "maps"))
    assert row["images"] == "images of the maps"
    for name in ("alignment", "saliency", "random", "ceiling"):
        assert -1 <= row[name] <= 1
    assert row["ceiling"] > 0.5
    table = pd.read_csv(tmp_path / "out" / "network-tiny_alignment.tsv", sep="\t")
    assert row["alignment"] == pytest.approx(table["rho_perturbation"].mean())
    given = Question(tmp_path / "out", maps=tmp_path / "maps", ceiling=0.66)
    assert measure_network(Listed("tiny"), given)["ceiling"] == 0.66


def test_maps_of_photographs_are_not_asked_of_a_network_of_drawn_categories(tiny: TorchNetwork, tmp_path: Path) -> None:
    """Their labels are places among other outputs: 0 to 5 would be taken for drawn categories without a word."""
    rng = np.random.default_rng(0)
    for k in range(3):
        save_map(tmp_path / "maps" / f"{k}.npz", map=rng.random((SIDE, SIDE)), label=k,
                 image=rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    question = Question(tmp_path / "out", images=tmp_path / "photographs", maps=tmp_path / "maps")
    row = measure_network(Listed("tiny"), question)
    assert (row["images"], np.isnan(row["alignment"]), np.isnan(row["saliency"])) == ("drawings", True, True)
    assert row["tolerance"] > 0
    assert not (tmp_path / "out" / "network-tiny_alignment.tsv").exists()


def test_what_cannot_be_measured_is_told_and_the_others_are(tiny: TorchNetwork, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: processes of their own are tested below."""
    monkeypatch.setattr(run, "_apart", run._guarded)
    table, failed = measure_networks([Listed("nowhere"), Listed("tiny")], Question(tmp_path))
    assert table["network"].tolist() == ["tiny"]
    assert len(failed) == 1
    assert failed[0].startswith("nowhere: network: 'nowhere'; expected a network that is installed")
    assert (tmp_path / "network-tiny_measures.json").is_file()
    with pytest.raises(StimulusError, match="none that could be measured"):
        measure_networks([Listed("nowhere")], Question(tmp_path))
    with pytest.raises(NetworkError, match="nowhere"):
        measure_network(Listed("nowhere"), Question(tmp_path))


@pytest.mark.parametrize(("fault", "said"), [
    (ValueError("a fault of mine"), "tiny: ValueError: a fault of mine"), (KeyError("x"), "tiny: KeyError: 'x'"),
    (RuntimeError("of torch"), "tiny: RuntimeError: of torch"), (StimulusError("a", came="b", expected="c", remedy="d"),
                                                                "tiny: a: b; expected c. d")])
def test_whatever_a_network_of_one_s_own_raises_holds_up_no_other(
        tiny: TorchNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(run, "measure_network", fail)
    assert run._guarded((Listed("tiny"), Question(tmp_path))).failed == said


def test_a_network_that_is_never_right_has_a_row_and_no_figure(tiny: TorchNetwork, tmp_path: Path, command: Run,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy 0, no tolerance: nothing to draw, and an older figure is not left beside the new table."""
    mirrored = replace(tiny, class_names=tiny.class_names[::-1])
    right = [k for k in range(len(tiny.class_names)) if tiny.class_names[k] == mirrored.class_names[k]]
    assert not right
    monkeypatch.setattr(run, "load_network", lambda *_, **__: mirrored)
    monkeypatch.setattr(run, "_apart", run._guarded)
    monkeypatch.setattr(run, "DRAWN_EACH", 1)
    (tmp_path / "trade_off.png").write_bytes(b"of an older list")
    code, said, error = command("trade-off", "--network", "tiny", "--out", tmp_path)
    assert code == 0, error
    assert "no figure: nothing was found to draw" in said
    assert "nan" not in said
    row = pd.read_csv(tmp_path / "trade_off.tsv", sep="\t").loc[0]
    assert (row["n_correct"], row["accuracy"], np.isnan(row["tolerance"])) == (0, 0.0, True)
    assert sorted(path.name for path in tmp_path.glob("trade_off.*")) == ["trade_off.json", "trade_off.tsv"]


def test_a_wrong_table_of_predictivity_is_refused_before_anything_is_measured(
        tiny: TorchNetwork, tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_apart", lambda _: pytest.fail("measured"))
    path = tmp_path / "p.tsv"
    path.write_text("network\tpredictivity\nother\t0.5\n", encoding="utf-8")
    code, _, error = command("trade-off", "--network", "tiny", "--predictivity", path, "--out", tmp_path / "out")
    assert (code, "none of the networks of the list; expected some of tiny" in error) == (2, True)
    assert not (tmp_path / "out").exists()


def _table(n: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, 0.3, n)
    return pd.DataFrame({"network": [f"net{k}" for k in range(n)], "accuracy": rng.uniform(0.5, 0.9, n),
                         "tolerance": values, "tolerance_lower": values / 2, "tolerance_upper": 2 * values,
                         "alignment": values, "alignment_error": 0.02, "saliency": np.nan, "saliency_error": np.nan,
                         "ceiling": 0.62})


def test_predictivity_is_joined_by_name(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("network\tregion\tpredictivity\nnet2\tLO\t0.5\nother\tLO\t0.1\n", encoding="utf-8")
    joined = with_predictivity(_table(), path)
    assert joined["predictivity"].tolist()[2] == 0.5
    assert joined["predictivity"].isna().tolist() == [True, True, False]
    assert with_predictivity(_table(), None).equals(_table())
    for text, said in (("network\tr\nnet1\t1\n", "expected network and predictivity"),
                       ("network\tpredictivity\nnet1\t1\nnet1\t2\n", "network net1 twice"),
                       ("network\tpredictivity\nx\t1\n", "none of the networks of the list")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StimulusError, match=said):
            with_predictivity(_table(), path)


def test_the_figure_shows_what_was_measured_where_it_belongs() -> None:
    table = _table().assign(predictivity=[0.2, 0.3, np.nan], predictivity_error=0.05)
    figure = draw_trade_off(table)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Tolerance", "Alignment of perturbations",
                                                                "Predictivity"]
    for ax, name in zip(figure.axes, ("tolerance", "alignment", "predictivity"), strict=True):
        drawn = [(bar.lines[0].get_xdata()[0], bar.lines[0].get_ydata()[0]) for bar in ax.containers]
        np.testing.assert_allclose(drawn, np.column_stack([100 * table["accuracy"], table[name]]))
    ends = figure.axes[0].containers[1].lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, table.loc[1, ["tolerance_lower", "tolerance_upper"]].astype(float))
    assert [text.get_text() for text in figure.legends[0].texts] == table["network"].tolist()
    assert len({bar.lines[0].get_color() for bar in figure.axes[0].containers}) == 3 <= len(COLORS)


@pytest.mark.parametrize("spread", [1.2, 2.5, 8.0, 300.0])
def test_the_axis_of_tolerance_can_be_read_whatever_its_range(spread: float) -> None:
    """Three numbers at least within the axis, and each says where it stands."""
    values = 0.057 * np.array([1.0, spread**0.5, spread])
    table = _table().assign(tolerance=values, tolerance_lower=values, tolerance_upper=values)
    figure = draw_trade_off(table)
    figure.canvas.draw()
    ax = figure.axes[0]
    low, high = ax.get_ylim()
    told = [(place, text.get_text()) for place, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
            if low <= place <= high]
    assert len(told) >= 3
    assert [float(text) for _, text in told] == pytest.approx([place for place, _ in told], rel=1e-3)


def test_many_networks_are_numbered_by_their_rows() -> None:
    figure = draw_trade_off(_table(MOST_NAMED + 1), norm="linf")
    assert figure.legends == []
    assert [text.get_text() for text in figure.axes[0].texts] == [str(k + 1) for k in range(MOST_NAMED + 1)]
    assert "Linf" in figure.axes[0].get_ylabel()


def test_the_same_figure_has_the_same_bytes(tmp_path: Path) -> None:
    one, other = (write_figure(_table(), tmp_path / name / "trade_off") for name in "ab")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_the_question_is_told_without_what_changes_no_number(tmp_path: Path) -> None:
    told = question_record(Question(tmp_path, maps=tmp_path / "maps"))
    assert told["maps"] == str(tmp_path / "maps")
    assert told["scheme"]["name"] == "refined"
    assert {"folder", "hardware"} & set(told) == set()


@pytest.mark.slow
def test_the_command_measures_in_processes_of_their_own(command: Run, tmp_path: Path) -> None:
    table = tmp_path / "networks.tsv"
    table.write_text(f"network\tlabel\n{TINY}\tone\n{TINY}\ttwo\n", encoding="utf-8")
    code, out, err = command("trade-off", "--list", table, "--network", "nowhere", "--out", tmp_path / "out", "--jobs",
                             2)
    assert code == 1, err
    assert "not measured: nowhere" in out
    found = pd.read_csv(tmp_path / "out" / "trade_off.tsv", sep="\t")
    assert found["network"].tolist() == ["one", "two"]
    assert found["tolerance"].nunique() == 1
    for name in ("trade_off.png", "trade_off.svg", "trade_off.json"):
        assert (tmp_path / "out" / name).is_file()
    made = (tmp_path / "out" / "network-one_tolerance.tsv").stat().st_mtime_ns
    assert command("trade-off", "--list", table, "--out", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "network-one_tolerance.tsv").stat().st_mtime_ns == made
    assert "tests.stimuli.tiny" in sys.modules


@pytest.mark.slow
def test_a_process_that_is_killed_is_told(tmp_path: Path) -> None:
    found = run._apart((Listed("tiny"), Question(tmp_path)), end_at_once)
    assert found.row is None
    assert found.failed == "tiny: its process was ended from outside; too little memory, perhaps"
