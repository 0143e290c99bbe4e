"""Pictures of taggers: lines where the figures put them, bands that end where nothing is known, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.metrics.calibration import reliability as bins_of
from pcloud.plots.tagging import jets, rejection, reliability, scores


def test_rejection_starts_with_the_first_background_jet() -> None:
    curve = {"signal": [0.1, 0.5, 1.0], "background": [0.0, 0.01, 1.0], "low": [0.0, 0.0, 1.0], "high": [0.02, 0.02, 1.0]}
    panel = rejection({"a": curve, "b": {"signal": [0.5, 1.0], "background": [0.1, 1.0]}}, background="qcd").axes[0]
    first, second = panel.lines[:2]
    assert first.get_xdata().tolist() == [0.5, 1.0] and first.get_ydata().tolist() == pytest.approx([100, 1])
    assert second.get_ydata().tolist() == pytest.approx([10, 1])
    (band,) = panel.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].min() == 1 and 50 in corners[:, 1] and corners[:, 1].max() > panel.get_ylim()[1]
    assert panel.get_yscale() == "log" and panel.get_ylabel().startswith("qcd rejection") and panel.get_ylim()[0] == 1
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["a", "b", "by chance"]


def test_no_curve_at_all_still_draws() -> None:
    rejection({}).canvas.draw()
    rejection({"a": {"signal": [0.5, 1.0], "background": [0.0, 0.0]}}).canvas.draw()


def heights(panel: object) -> list[np.ndarray]:
    return [patch.get_data().values for patch in panel.patches if not patch.get_fill()]  # type: ignore[attr-defined]


def test_scores_have_unit_area_and_keep_the_edges() -> None:
    p1 = np.array([0.0, 1.0, 1.0, 0.51])
    panel = scores(np.stack([1 - p1, p1], 1), np.array([0, 1, 1, 0]), np.array([1, 3, -1, 1]), ["qcd", "top"]).axes[0]
    qcd, top = heights(panel)
    assert qcd.sum() / 40 == pytest.approx(1) and top[-1] == pytest.approx(40) and qcd[[0, 20]] == pytest.approx(20)
    many = scores(np.full((9, 3), 1 / 3), np.arange(9) % 3, np.ones(9), ["a", "b", "c"])
    assert [panel.get_xlabel() for panel in many.axes] == [f"probability of {name}" for name in "abc"]
    scores(np.full((3, 4), 0.25), np.zeros(3, int), np.ones(3), ["a", "b", "c", "d"]).canvas.draw()  # three classes are missing


def test_reliability_shows_the_bins_that_have_weight() -> None:
    bins = bins_of([0.1, 0.1, 0.9], [True, False, True], bins=10)
    panel = reliability({"top": [one.as_dict() for one in bins]}).axes[0]
    points = panel.containers[0].lines[0]
    assert points.get_xdata() == pytest.approx([0.1, 0.9]) and points.get_ydata() == pytest.approx([0.5, 1])


def test_jets_of_each_class() -> None:
    label = np.array([0, 0, 1, 1, 1])
    table = {"constituents": np.array([3, 5, 10, 10, 12]), "jet_pt": np.full(5, 600.0)}
    made = jets(table, label, np.ones(5), ["qcd", "top"])
    counts, pt = made.axes
    qcd, top = heights(counts)
    assert qcd.tolist() == pytest.approx([0.5, 0, 0.5] + [0] * (len(qcd) - 3))  # one bin for each whole number
    assert top[7] == pytest.approx(2 / 3) and "(GeV)" in pt.get_xlabel()
    with pytest.raises(ValueError, match="columns mass came; expected one of constituents, jet_mass, jet_pt"):
        jets({"mass": label}, label, np.ones(5), ["a", "b"])
