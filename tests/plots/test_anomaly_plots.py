"""Pictures of a search: what is drawn is what the report says, axes have units, and thin reports still draw."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.anomaly.hunting import hunt
from pcloud.anomaly.latent import suggest_latent
from pcloud.anomaly.sculpting import sculpting
from pcloud.anomaly.spectrum import Spectrum
from pcloud.metrics.anomaly import sic_curve
from pcloud.metrics.contamination import contamination
from pcloud.plots import anomaly as plots

EDGES = np.linspace(200, 1000, 41)


def words(panel: object) -> list[str]:
    return [text.get_text() for text in panel.get_legend().get_texts()]  # type: ignore[attr-defined]


def test_latent_marks_the_knee() -> None:
    made = plots.latent(suggest_latent(dims=[1, 2, 4, 8, 16], losses=[5, 3, 1, 0.9, 0.8]).as_dict())
    chord, curve, ring = made.axes[0].lines
    assert ring.get_xydata().tolist() == [[4, 1]] and curve.get_xdata().tolist() == [1, 2, 4, 8, 16]
    assert chord.get_xydata().tolist() == [[1, 5], [16, 0.8]] and "knee: 4" in words(made.axes[0])
    assert made.axes[0].get_xlabel() == "latent dimensions" and made.axes[0].get_ylabel() == "validation loss"


@pytest.fixture(scope="module")
def report() -> dict[str, object]:
    draw = np.random.default_rng(0)
    mass = 200 + draw.exponential(120, 3000)
    return sculpting(draw.normal(size=3000) + mass / 200, mass, mass_range=(200, 900), shuffles=299, fakes=False)


def test_profile_and_sculpting(report: dict[str, object]) -> None:
    made = plots.profile(report)
    bars = made.axes[0].containers[0]
    assert bars.lines[0].get_ydata().tolist() == report["profile"]["mean"]  # type: ignore[index]
    assert made.axes[0].get_xlabel() == "mass (GeV)" and made.axes[0].get_ylabel() == "mean anomaly score"
    made.canvas.draw()
    made = plots.sculpted(report, mass="jet mass (GeV)")
    top, bottom = made.axes
    steps = [patch for patch in top.patches if not patch.get_fill()]
    width = np.diff(report["edges"])  # type: ignore[call-overload]
    assert [float((one.get_data().values * width).sum()) for one in steps] == pytest.approx([1] * len(report["cuts"]))  # type: ignore[arg-type]
    ratio = next(patch for patch in bottom.patches if not patch.get_fill()).get_data().values
    first = report["cuts"][0]["after"][0] / report["before"][0] * sum(report["before"]) / report["cuts"][0]["passed"]  # type: ignore[index,call-overload]
    assert ratio[0] == pytest.approx(first) and np.isnan(ratio[-1])  # nothing is drawn where too little is known
    assert bottom.get_xlabel() == "jet mass (GeV)" and any("1/JSD" in word for word in words(top))
    made.canvas.draw()


def test_bump_shows_data_fit_pulls_and_scan() -> None:
    truth = 20_000 * np.exp(-np.arange(40) / 6) / 6
    found = hunt(Spectrum(EDGES, np.random.default_rng(0).poisson(truth).astype(float)), widths=[2, 3], toys=20)
    made = plots.bump(found.as_dict())
    top, pulls, scan = made.axes
    data = top.containers[0].lines[0]
    assert data.get_ydata().tolist() == [one for one in found.spectrum.counts if one > 0]
    assert top.get_ylabel() == "events / 20 GeV" and scan.get_xlabel() == "mass (GeV)" and scan.get_yscale() == "log"
    heights = pulls.patches[-1].get_data().values
    outside = 0 if found.best.low > 220 else 39
    expected = (found.spectrum.counts - found.background)[outside] / np.sqrt(found.background[outside])
    assert heights[outside] == pytest.approx(expected)
    assert sum(len(line.get_xdata()) for line in scan.lines if line.get_label().endswith("wide")) == len(found.windows)
    assert words(scan) == ["40 GeV wide", "60 GeV wide"]
    made.canvas.draw()
    assert "global" not in plots.bump({**found.as_dict(), "global_p": None})._supxlabel.get_text()  # type: ignore[attr-defined]


def test_sic_and_contamination() -> None:
    def run(fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        signal = np.arange(2000) >= 1000
        return np.random.default_rng(seed).normal(size=2000) + (1.5 - fraction) * signal, signal

    curve = sic_curve(*run(0, 0))
    made = plots.sic({"sets": curve, "none": sic_curve(np.arange(20.0), np.arange(20) > 9)})
    line = made.axes[0].lines[0]
    assert line.get_ydata().tolist() == curve["sic"] and len(made.axes[0].collections) == 1
    assert words(made.axes[0]) == [f"sets: at most {curve['max_sic']['value']:.2f}", "by chance"]
    made.canvas.draw()
    table = contamination(run, fractions=(0, 0.1))
    made = plots.contamination(table)
    assert made.axes[0].lines[0].get_ydata().tolist() == [row["auc"]["median"] for row in table["rows"]]
    assert made.axes[0].get_xlabel() == "signal in training (%)"
    made.canvas.draw()
