"""The pictures of an anomaly search: how large the latent, what the score does to the mass, and what the hunt found.

Each function draws one report of ``pcloud.anomaly`` or ``metrics.anomaly`` (its ``as_dict``, or the dict itself) and returns a
matplotlib Figure for ``canvas.save`` or a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pcloud.plots.canvas import BLACK, BLUE, CYCLE, PAGE, STYLE, VERMILION, axes, caption, figure

MASS = "mass (GeV)"
GREY, FEW = "#999999", 5
Report = Mapping[str, Any]
SIGMAS = (1, 2, 3, 4, 5, 6, 7)
P_OF = (0.1587, 0.02275, 1.35e-3, 3.167e-5, 2.867e-7, 9.866e-10, 1.28e-12)  # one-sided, of SIGMAS


def latent(report: Report, *, note: str = "") -> Figure:
    """Loss (or share of variance) against the dimension of the latent, the chord, and the knee; of ``Suggestion.as_dict``."""
    made = figure(PAGE * 0.55, 2.7)
    dims, losses = np.asarray(report["dims"]), np.asarray(report["losses"])
    with rc_context(STYLE):
        panel = axes(made)[0][0]
        best = np.minimum.accumulate(losses)
        panel.plot(dims[[0, -1]], best[[0, -1]], color=GREY, lw=0.7, ls=":", label="chord")
        panel.plot(dims, losses, color=BLUE, marker="o", ms=3)
        place = int(np.flatnonzero(dims == report["dim"])[0])
        ring: dict[str, Any] = {"color": VERMILION, "marker": "o", "ms": 7, "mfc": "none", "ls": ""}
        panel.plot(dims[place], losses[place], label=f"knee: {report['dim']}", **ring)
        panel.set(xlabel="latent dimensions", ylabel=report["quantity"])
        panel.set_ylim(bottom=min(0.0, float(losses.min())))
        panel.legend(loc="upper right")
        caption(made, note)
    return made


def profile(report: Report, *, mass: str = MASS, note: str = "") -> Figure:
    """Mean score of background in bins of mass, bars its standard error; band: where 68 % of bins would lie were score and
    mass independent. Of ``sculpting``."""
    made = figure(PAGE * 0.62, 2.9)
    table = report["profile"]
    edges, mean, error, events = (np.asarray(table[name], dtype=np.float64) for name in ("edges", "mean", "error", "events"))
    with rc_context(STYLE):
        panel = axes(made)[0][0]
        middle, width = table["all"]["mean"], table["all"]["spread"] / np.sqrt(np.maximum(events, 1))
        band: dict[str, Any] = {"fill": True, "color": GREY, "alpha": 0.35, "lw": 0}
        panel.stairs(middle + width, edges, baseline=middle - width, label="if independent", **band)
        panel.axhline(middle, color=GREY, lw=0.7, ls=":", label="mean of all")
        panel.errorbar(
            (edges[1:] + edges[:-1]) / 2, mean, yerr=error, xerr=np.diff(edges) / 2, color=BLUE, ls="", marker="o", ms=2.5,
            lw=0.9, label="background",
        )  # fmt: skip
        panel.set(xlabel=mass, ylabel="mean anomaly score", xlim=(edges[0], edges[-1]))
        panel.legend(loc="best")
        caption(made, note or _correlations(report))
    return made


def sculpted(report: Report, *, mass: str = MASS, note: str = "") -> Figure:
    """Mass of background before and after each cut, unit area, and their ratio with its standard error, in bins where 5 events
    or more would pass a cut blind to the mass. Of ``sculpting``."""
    made = figure(PAGE * 0.62, 4.2)
    edges, before = np.asarray(report["edges"]), np.asarray(report["before"], dtype=np.float64)
    width = np.diff(edges)
    with rc_context(STYLE):
        (top,), (bottom,) = axes(made, 2, 1, sharex=True, height_ratios=[2, 1])
        top.stairs(before / before.sum() / width, edges, fill=True, color="#dcdcdc", lw=0, label="all background")
        bottom.axhline(1, color=GREY, lw=0.7, ls=":")
        top_of = 2.0
        for cut, colour in zip(report["cuts"], CYCLE, strict=False):
            after = np.asarray(cut["after"], dtype=np.float64)
            value = f"{cut['inverse_jsd']:.3g}" if cut["inverse_jsd"] else "infinite"
            label = f"{cut['cut']}: 1/JSD {value} ({cut['inverse_jsd_shuffled']:.3g} if shuffled)"
            top.stairs(after / after.sum() / width, edges, color=colour, label=label)
            ratio, error = _ratio(before, after)
            known = before * after.sum() / before.sum() >= FEW
            top_of = max(top_of, 1.15 * float(ratio[known].max(initial=0)))
            bottom.stairs(np.where(known, ratio, np.nan), edges, color=colour, baseline=None)
            low, high = np.where(known, ratio - error, np.nan), np.where(known, ratio + error, np.nan)
            bottom.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.2, lw=0)
        top.set(ylabel="share of events / GeV", yscale="log", xlim=(edges[0], edges[-1]))
        low_end, high_end = top.get_ylim()
        top.set_ylim(low_end, high_end ** (1 + 0.09 * (1 + len(report["cuts"]))) / low_end ** (0.09 * (1 + len(report["cuts"]))))
        top.legend(loc="upper right")
        bottom.set(xlabel=mass, ylabel="after / before", ylim=(0, top_of))
        made.align_ylabels()
        caption(made, note or report["verdict"])
    return made


def bump(report: Report, *, mass: str = MASS, note: str = "") -> Figure:
    """Data with the background that the sidebands of the best window give, pulls, and local p of each window. Of
    ``Hunt.as_dict``. Pulls: (data - background) / sqrt(background + error^2), outside the window sqrt(background)."""
    made = figure(PAGE * 0.7, 5.2)
    edges, counts, background, error = (
        np.asarray(report[name], dtype=np.float64) for name in ("edges", "counts", "background", "error")
    )
    best, middle, width = report["best"], (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    inside = (middle > best["low"]) & (middle < best["high"])
    with rc_context(STYLE):
        (top,), (pulls,), (scan,) = axes(made, 3, 1, sharex=True, height_ratios=[2.2, 0.9, 1.2])
        for panel in (top, pulls, scan):
            panel.axvspan(best["low"], best["high"], color=VERMILION, alpha=0.12, lw=0)
        filled = counts > 0
        bars = np.sqrt(counts[filled])
        top.errorbar(
            middle[filled], counts[filled], yerr=[np.minimum(bars, counts[filled] * 0.999), bars], color=BLACK, ls="", marker="o",
            ms=2, lw=0.7, label="data",
        )  # fmt: skip
        fitted = f"fit to sidebands ({report['shape']}, order {best['order']})"
        top.stairs(background, edges, color=BLUE, baseline=None, label=fitted)
        top.stairs(
            background + error, edges, baseline=np.maximum(background - error, 1e-3), fill=True, color=BLUE, alpha=0.3, lw=0,
            label="its error",
        )  # fmt: skip
        binned = f" {width[0]:g} GeV" if np.allclose(width, width[0]) else " bin"
        top.set(ylabel=f"events /{binned}", yscale="log", xlim=(edges[0], edges[-1]))
        top.set_ylim(max(0.5, 0.5 * background.min()), 2.5 * max(counts.max(), background.max()))
        top.legend(loc="upper right")
        spread = np.sqrt(background + np.where(inside, error**2, 0))
        pull = (counts - background) / spread
        pulls.stairs(pull, edges, fill=True, color="#8c8c8c", lw=0)
        pulls.axhline(0, color=BLACK, lw=0.5)
        most = max(3.5, 1.1 * float(np.abs(pull).max()))
        pulls.set(ylabel="pull", ylim=(-most, most))
        _scanned(scan, report["windows"])
        scan.set(xlabel=mass, ylabel="local p")
        made.align_ylabels()
        caption(made, note or _found(report))
    return made


def sic(curves: Mapping[str, Report], *, note: str = "") -> Figure:
    """Significance improvement against signal efficiency, a curve with its band for each name; its maximum marked. Of
    ``metrics.anomaly.sic_curve``."""
    made = figure(PAGE * 0.62, 3.1)
    with rc_context(STYLE):
        panel = axes(made)[0][0]
        floor = 0.0
        for (name, curve), colour in zip(curves.items(), (*CYCLE, BLACK), strict=False):
            signal, value, low, high = (np.asarray(curve[key], dtype=np.float64) for key in ("signal", "sic", "low", "high"))
            largest, floor = curve["max_sic"]["value"], max(floor, float(curve["floor"]))
            if not len(value) or largest is None:
                continue
            panel.fill_between(signal, low, high, color=colour, alpha=0.25, lw=0)
            panel.plot(signal, value, color=colour, label=f"{name}: at most {largest:.2f}")
            place = int(value.argmax())
            panel.plot(signal[place], value[place], color=colour, marker="o", ms=4, ls="")
        grid = np.linspace(0, 1, 100)
        panel.plot(grid, np.sqrt(grid), color=GREY, lw=0.7, ls=":", label="by chance")
        panel.set(xlabel="signal efficiency", ylabel=r"significance improvement $\epsilon_S / \sqrt{\epsilon_B}$", xlim=(0, 1))
        panel.set_ylim(bottom=0)
        panel.legend(loc="best")
        caption(made, note or f"From the cut that {floor:g} background events pass; bands: 68 %, Poisson bootstrap.")
    return made


def contamination(report: Report, *, note: str = "") -> Figure:
    """AUC and e10 against the share of signal in training: each seed a dot, their median a line. Of ``contamination``."""
    made = figure(PAGE * 0.55, 2.8)
    with rc_context(STYLE):
        panel = axes(made)[0][0]
        share = [100 * row["fraction"] for row in report["rows"]]
        for (name, label), colour in zip({"auc": "AUC", "e10": "$E_{10}$"}.items(), CYCLE, strict=False):
            medians = [row[name]["median"] for row in report["rows"]]
            panel.plot(share, [np.nan if one is None else one for one in medians], color=colour, label=label)
            for x, row in zip(share, report["rows"], strict=True):
                values = row[name]["values"]
                panel.plot([x] * len(values), values, color=colour, marker="o", ms=2.5, ls="", alpha=0.7)
        clean = report["rows"][0]["auc"]["median"]
        panel.axhline(report["wanted"] * clean, color=GREY, lw=0.7, ls="--", label=f"{report['wanted']:g} of the clean AUC")
        panel.set(xlabel="signal in training (%)", ylabel="AUC, signal efficiency", ylim=(0, 1))
        panel.legend(loc="best")
        caption(made, note or report["verdict"])
    return made


def _ratio(before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Share of a bin after over before, and its standard error, that of passing being binomial; nan where nothing was."""
    passing = np.divide(after, before, where=before > 0, out=np.full(len(before), np.nan))
    overall = after.sum() / before.sum()
    tried = np.where(before > 0, before, 1)
    guess = (after + 0.5) / (tried + 1)  # so that a bin where none or all pass has an error too
    return passing / overall, np.sqrt(guess * (1 - guess) / tried) / overall


def _scanned(panel: Axes, windows: Sequence[Mapping[str, Any]]) -> None:
    """Local p at the middle of each window, a line for each width, with marks at whole sigmas."""
    wide = sorted({round(one["high"] - one["low"], 6) for one in windows})
    for size, colour in zip(wide, (BLUE, *CYCLE[1:]), strict=False):
        some = [one for one in windows if round(one["high"] - one["low"], 6) == size]
        middle = [(one["low"] + one["high"]) / 2 for one in some]
        p = [max(one["p"], 1e-300) for one in some]
        panel.plot(middle, p, color=colour, marker="o", ms=1.5, lw=0.8, label=f"{size:g} GeV wide")
    least = max(min(one["p"] for one in windows), 1e-300)
    panel.set_yscale("log")
    panel.set_ylim(min(least / 30, 1e-4), 2)
    for sigmas, tail in zip(SIGMAS, P_OF, strict=True):
        if tail > panel.get_ylim()[0]:
            panel.axhline(tail, color="#cccccc", lw=0.5, zorder=0)
            panel.annotate(rf"{sigmas}$\sigma$", (1.005, tail), xycoords=("axes fraction", "data"), va="center", fontsize=7)
    panel.legend(loc="lower right", ncols=len(wide))


def _correlations(report: Report) -> str:
    parts = ((report["distance_correlation"], "dCor^2"), (report["pearson"], "Pearson"), (report["spearman"], "Spearman"))
    words = ", ".join(f"{name} {one['value']:.3g} (p = {one['p']:.2g})" for one, name in parts)
    return f"Score and mass of {report['rows']:,} background events: {words}; p by {report['shuffles']} shuffles."


def _found(report: Report) -> str:
    best = report["best"]
    words = (
        f"{best['low']:g} to {best['high']:g} GeV: {best['observed']:.0f} events, {best['expected']:.1f} ± {best['error']:.1f}"
    )
    words += f" expected; local p = {best['p']:.2g} ({best['z']:.2f} sigma)"
    if report["global_p"] is not None:
        words += f"; global p = {report['global_p']:.2g} of {report['toys']:,} toys"
    return "; ".join([words, *report["notes"]])
