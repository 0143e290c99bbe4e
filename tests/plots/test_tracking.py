"""Curves: points where the counts put them, whole intervals, units on every axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from pcloud.metrics.intervals import Figure as Fraction
from pcloud.metrics.tracking import Bin
from pcloud.plots import canvas
from pcloud.plots.tracking import binned, training


def rows(*counts: tuple[float, float, int, int]) -> list[dict[str, Any]]:
    return [Bin(low, high, Fraction("e", k, n, "of all")).as_dict() for low, high, k, n in counts]


def curve(panel: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle, value and the drawn interval [points, 2] of the first curve."""
    bar = next(one for one in panel.containers if isinstance(one, ErrorbarContainer))
    upright = np.array([segment[:, 1] for segment in bar.lines[2][1].get_segments()])
    return bar.lines[0].get_xdata(), bar.lines[0].get_ydata(), upright


def test_points_and_intervals() -> None:
    table = rows((0, 1, 1, 2), (1, 4, 0, 0), (4, 9, 3, 3), (9, float("inf"), 0, 5))
    drawn = binned({"a": {"pt": table, "eta": rows((-1, 1, 1, 4))}}, note="pT > 0.5 GeV")
    pt, eta = drawn.axes
    x, y, interval = curve(pt)
    assert y.tolist() == [0.5, 1.0, 0.0]  # the empty bin has no point
    assert x.tolist() == pytest.approx([0.5**0.5, 6, 9 * 2**0.5])
    used = [row for row in table if row["denominator"]]
    assert interval.tolist() == [pytest.approx([row["low"], row["high"]]) for row in used]
    assert pt.get_xscale() == "log" and "(GeV)" in pt.get_xlabel() and eta.get_xscale() == "linear"
    assert curve(eta)[0].tolist() == [0.0]
    words = drawn.get_supxlabel()
    assert "pT > 0.5 GeV" in words and "goes on" in words


def test_curves_are_named_and_saved(tmp_path: Path) -> None:
    table = {"radius": rows((0, 10, 3, 4))}
    drawn = binned({"perfect": table, "double majority": table}, label="Efficiency")
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["perfect", "double majority"]
    assert "(mm)" in drawn.axes[0].get_xlabel() and drawn.axes[0].get_ylabel() == "Efficiency"
    assert canvas.save(tmp_path / "e.png", drawn).read_bytes().startswith(b"\x89PNG")


def test_wrong_tables() -> None:
    with pytest.raises(ValueError, match="bins come by phi; expected pt, eta, radius"):
        binned({"a": {"phi": []}})
    with pytest.raises(ValueError, match="a bin lacks 'high'"):
        binned({"a": {"pt": [{"low_edge": 1, "high_edge": 2, "numerator": 1, "denominator": 1, "low": 0.1}]}})


def test_no_bins_at_all_still_draws() -> None:
    binned({"a": {"pt": rows((1, 2, 0, 0)), "eta": []}}).canvas.draw()


LOG = "step,seconds,train/loss,val/loss,val/score,val/candidates\n1,0.1,2.0,,,\n2,0.1,1.0,1.5,0.25,500\n3,0.1,1.0,,,\n"


def test_training_curve(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(LOG)
    losses, fractions = training(path).axes
    assert [line.get_ydata().tolist() for line in losses.lines] == [[2, 1, 1], [2, 1, 1], [1.5]]
    assert [(line.get_label(), line.get_xdata().tolist()) for line in fractions.lines] == [("score", [2])]
    assert losses.get_xlabel() == fractions.get_xlabel() == "optimiser step" and losses.get_yscale() == "log"


def test_training_without_validation(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,train/loss\n1,-2.0\n")
    (losses,) = training(path).axes
    assert losses.get_yscale() == "linear"
    path.write_text("epoch,loss\n1,2\n")
    with pytest.raises(ValueError, match=r"metrics\.csv: expected a column 'step'"):
        training(path)
