"""One page of simulated beside real events: points with their errors for the real ones, steps for the simulated.

`draw(path, ...)` is called by `benchmarks.fidelity`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.fidelity_probes import GROUPS, Event, joined, same_layer, straight_on
from pcloud.scorer import decode_particle_id
from pcloud.tracking.detector import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REAL, MADE = "black", "tab:red"


def _histogram(axes: Axes, real: np.ndarray, made: np.ndarray, edges: np.ndarray, xlabel: str, *, log: bool = False) -> None:
    """Shares per bin; what lies beyond the edges counts in the outermost bins."""
    middle = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    counts = [np.histogram(np.clip(v, edges[0], np.nextafter(edges[-1], edges[0])), edges)[0] for v in (real, made)]
    axes.stairs(counts[1] / max(1, counts[1].sum()), edges, color=MADE, lw=1.4)
    total = max(1, counts[0].sum())
    axes.errorbar(middle, counts[0] / total, np.sqrt(counts[0]) / total, fmt="o", ms=2.5, color=REAL, lw=0.8)
    axes.set(xlabel=xlabel, ylabel="share per bin", ylim=(0, None))
    if log:
        axes.set_xscale("log")


def _by_group(axes: Axes, real: pd.DataFrame, made: pd.DataFrame, column: str, ylabel: str, unit: float = 1.0) -> None:
    """Half widths (residuals) or means of a column in each group of volumes, with errors."""
    for table, style in ((real, {"fmt": "o", "color": REAL}), (made, {"fmt": "s", "mfc": "none", "color": MADE})):
        values, errors = [], []
        for volumes in GROUPS.values():
            some = table.loc[table.volume_id.isin(volumes), column].to_numpy()
            if column.startswith("residual"):
                values.append(np.diff(np.quantile(some, [0.16, 0.84]))[0] / 2 * unit)
                errors.append(values[-1] / np.sqrt(2 * len(some)))
            else:
                values.append(some.mean() * unit)
                errors.append(some.std() * unit / np.sqrt(len(some)))
        axes.errorbar(range(len(values)), values, errors, ms=4, lw=0.8, **style)
    axes.set(xlabel="volumes", ylabel=ylabel, yscale="log")
    axes.set_xticks(range(len(GROUPS)), list(GROUPS), fontsize=7)


def _particles(events: Sequence[Event]) -> pd.DataFrame:
    p = pd.concat([event["particles"] for event in events])
    pt = np.hypot(p.px, p.py)
    first = decode_particle_id(p.particle_id)["generation"] == 0
    return p.assign(pt=pt, eta=np.arcsinh(p.pz / pt), birth=np.hypot(p.vx, p.vy), first=first)


def _near(events: Sequence[Event], distance: object, volumes: tuple[int, ...]) -> np.ndarray:
    assert callable(distance)
    parts = [distance(event["hits"]) for event in events]
    return np.concatenate([away[np.isin(volume, volumes)] for volume, away in parts])


def draw(
    path: Path, full: Sequence[Event], small: Event, training: Sequence[Event], throughput: Sequence[Event], detector: Table
) -> None:
    """Write the page as PNG: full events (phase 1) in the first two rows, the small one (phase 2, with truth) in the third."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(4, 4, figsize=(14, 12.5), layout="constrained")
    axes = list(grid.flat)
    volumes = np.array([7, 8, 9, 12, 13, 14, 16, 17, 18])
    shares = [np.concatenate([e["hits"].volume_id.to_numpy() for e in events]) for events in (full, training)]
    counts = [np.array([(one == v).sum() for v in volumes]) for one in shares]
    axes[0].bar(range(9), counts[1] / counts[1].sum(), fill=False, edgecolor=MADE, lw=1.4)
    axes[0].errorbar(range(9), counts[0] / counts[0].sum(), np.sqrt(counts[0]) / counts[0].sum(), fmt="o", ms=3, color=REAL)
    axes[0].set(xlabel="volume", ylabel="share of hits")
    axes[0].set_xticks(range(9), volumes)

    real, made = _particles(full), _particles(training)
    _histogram(axes[1], real.nhits.to_numpy(), made.nhits.to_numpy(), np.arange(-0.5, 23), "hits of a particle")
    _histogram(axes[2], real.pt.to_numpy(), made.pt.to_numpy(), np.geomspace(0.1, 20, 30), "pT of particles (GeV)", log=True)
    axes[2].set(yscale="log", ylim=(1e-4, None))
    _histogram(axes[3], real.eta.to_numpy(), made.eta.to_numpy(), np.linspace(-4, 4, 33), "eta of particles")
    late_real, late_made = real[~real["first"]], made[~made["first"]]
    edges = np.linspace(0, 1050, 43)
    _histogram(axes[4], late_real.birth.to_numpy(), late_made.birth.to_numpy(), edges, "birth radius of later generations (mm)")
    for table, style in ((real, {"fmt": "o", "color": REAL, "ms": 3}), (made, {"fmt": "-", "color": MADE})):
        prompt = table[(table.birth < 0.1) & (table.pt > 0.5)]
        group = prompt.nhits.groupby(pd.cut(prompt.eta, np.linspace(-4, 4, 17)), observed=False)
        axes[5].errorbar(np.linspace(-3.75, 3.75, 16), group.mean(), group.std() / np.sqrt(group.size()), lw=0.9, **style)
    axes[5].set(xlabel="eta", ylabel="mean hits, prompt, pT > 0.5 GeV")
    near = ((same_layer, "nearest of the layer"), (straight_on, "nearest straight on in next"))
    for row, (distance, words) in enumerate(near):
        for column, (names, some) in enumerate((("8", (8,)), ("7, 9", (7, 9)), ("13", (13,)))):
            edges = np.geomspace(0.2, 200, 40)
            both = _near(full, distance, some), _near(training, distance, some)
            _histogram(axes[6 + 3 * row + column], *both, edges, f"{words} (mm), {names}", log=True)

    one, many = joined(small, detector), pd.concat([joined(event, detector) for event in throughput])
    one, many = one[one.particle_id != 0], many[many.particle_id != 0]
    _by_group(axes[12], one, many, "residual in u", "residual in u, half of 16-84 % (um)", 1e3)
    _by_group(axes[13], one, many, "residual in v", "residual in v, half of 16-84 % (um)", 1e3)
    _by_group(axes[14], one, many, "cells per hit", "mean cells of a hit")
    cuts = np.geomspace(0.1, 10, 40)
    for table, colour in ((one, REAL), (many, MADE)):
        pt = np.hypot(table.px, table.py).to_numpy()
        weight = table.weight.to_numpy() / table.weight.sum()
        axes[15].plot(cuts, [weight[pt > cut].sum() for cut in cuts], color=colour)
    axes[15].set(xlabel="pT above (GeV)", ylabel="share of weight", xscale="log")
    axes[0].plot([], [], "o", color=REAL, ms=3, label="real")
    axes[0].plot([], [], color=MADE, label="synthetic")
    axes[0].legend(frameon=False)
    figure.suptitle(
        f"Three full real events and {len(training)} synthetic ones (phase 1); "
        f"last row: the small real event and {len(throughput)} synthetic ones (phase 2), with truth"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)
