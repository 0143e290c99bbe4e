"""The bump hunt: a window slides over a mass spectrum, and toys say how often chance alone looks as good.

``hunt(spectrum, widths=[3])`` gives every window's local p, and the global p of the best; ``local`` is for a window that was
fixed beforehand. After Choudalakis, arXiv:1101.0390.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta, norm

from pcloud.anomaly.columns import Floats
from pcloud.anomaly.poisson_fit import fit
from pcloud.anomaly.scanning import Bins, Scan, scan, sliding, window_of
from pcloud.anomaly.shapes import ORDERS, Shape
from pcloud.anomaly.spectrum import Spectrum

LEAST_EXPECTED = 25.0  # events in a window that is searched
CHUNK = 1000  # toys at a time
LEVEL = 0.68
POOR = 0.01  # p of a sideband fit that does not describe the sidebands
GOODNESS_TOYS = 500


@dataclass(frozen=True)
class Window:
    """One window: ``low`` and ``high`` (GeV), events ``observed``, ``expected`` from the sidebands with ``error``, ``order``
    of that fit, ``z`` and one-sided ``p`` of an excess, both local."""

    low: float
    high: float
    observed: float
    expected: float
    error: float
    order: int
    z: float

    @property
    def p(self) -> float:
        return float(norm.sf(self.z))

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "p": self.p, "excess": self.observed - self.expected}


@dataclass(frozen=True)
class Hunt:
    """``windows`` searched, ``best`` the one of the largest z; ``global_p``, the share of toys whose best window is as good,
    (1 + k) / (1 + toys), with its 68 % interval ``global_ends``; nan without toys.

    ``background`` and ``error`` [bins]: events expected from the sidebands of the best window; ``fit_p``: share of toys of that
    fit, fitted with the same order, whose deviance is as large.
    """

    spectrum: Spectrum
    shape: Shape
    windows: list[Window]
    best: Window
    background: Floats
    error: Floats
    fit_p: float
    toys: int
    global_p: float
    global_ends: tuple[float, float]
    unsearched: int

    @property
    def global_z(self) -> float:
        return float(norm.isf(self.global_p))

    @property
    def notes(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        found = []
        if self.fit_p < POOR:
            fit_words = f"the {self.shape.family} fit of order {self.best.order}"
            found.append(f"{fit_words} does not describe the sidebands: p = {self.fit_p:.2g}")
        if self.unsearched:
            found.append(f"{self.unsearched} windows expect fewer than {LEAST_EXPECTED:g} events and were not searched")
        if self.toys and self.global_p <= 1 / (1 + self.toys):
            found.append(f"no toy of {self.toys:,} is as good: the global p is a bound, more toys would lower it")
        return found

    def __str__(self) -> str:
        one = self.best
        words = f"best window {one.low:g} to {one.high:g} GeV: {one.observed:.0f} events, {one.expected:.1f} +- {one.error:.1f} "
        words += f"expected, local p = {one.p:.2g} ({one.z:.2f} sigma)"
        return words + (f", global p = {self.global_p:.2g} of {self.toys:,} toys" if self.toys else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON and ``plots.anomaly.bump``."""
        return {
            "edges": self.spectrum.edges.tolist(),
            "counts": self.spectrum.counts.tolist(),
            "background": self.background.tolist(),
            "error": self.error.tolist(),
            "shape": self.shape.family,
            "fit_p": self.fit_p,
            "windows": [one.as_dict() for one in self.windows],
            "best": self.best.as_dict(),
            "global_p": self.global_p if self.toys else None,
            "global_low": self.global_ends[0] if self.toys else None,
            "global_high": self.global_ends[1] if self.toys else None,
            "toys": self.toys,
            "notes": self.notes,
        }


def local(spectrum: Spectrum, low: float, high: float, *, shape: Shape | None = None, orders: Sequence[int] = ORDERS) -> Window:
    """The window low to high (GeV), chosen without a look at the data."""
    window = window_of(spectrum.edges, low, high)[None]
    found = scan(spectrum.counts[None], spectrum.edges, window, shape or Shape(), orders)
    return _listed(spectrum, window, found)[0]


def hunt(
    spectrum: Spectrum,
    *,
    widths: Sequence[int],
    shape: Shape | None = None,
    orders: Sequence[int] = ORDERS,
    toys: int = 1000,
    seed: int = 0,
) -> Hunt:
    """Search all windows of ``widths`` (bins; two to five times the mass resolution) for an excess.

    A toy is drawn from the background that the sidebands of the best window give, and searched as the data are: same windows,
    orders chosen anew. Windows that expect fewer than 25 events are left out of both. ``toys=0``: no global p.
    """
    shape = shape or Shape()
    windows = sliding(spectrum.edges, widths)
    found = scan(spectrum.counts[None], spectrum.edges, windows, shape, orders)
    searched = found.expected[0] >= LEAST_EXPECTED
    if not searched.any():
        most = found.expected.max()
        raise ValueError(f"no window expects {LEAST_EXPECTED:g} events, the fullest {most:.1f}; use wider windows or more events")
    listed = _listed(spectrum, windows, found)
    place = int(np.where(searched, found.z[0], -np.inf).argmax())
    best, design = listed[place], shape.orthogonal(spectrum.edges, listed[place].order)[0]
    made = fit(spectrum.counts[None], design, np.diff(spectrum.edges), use=~windows[place])
    if not made.converged[0]:
        raise ValueError(f"the {shape.family} fit to the sidebands of {best.low:g} to {best.high:g} GeV does not converge")
    goodness = np.random.default_rng(seed).poisson(made.background[0], (GOODNESS_TOYS, len(design))).astype(np.float64)
    deviance = fit(goodness, design, np.diff(spectrum.edges), use=~windows[place]).deviance
    drawn = largest(made.background[0], spectrum.edges, windows[searched], shape, orders, toys=toys, seed=seed)
    as_good = int((drawn >= best.z).sum())
    return Hunt(
        spectrum,
        shape,
        [one for one, here in zip(listed, searched, strict=True) if here],
        best,
        made.background[0],
        made.error(design)[0],
        float((1 + (deviance >= made.deviance[0]).sum()) / (1 + GOODNESS_TOYS)),
        toys,
        (1 + as_good) / (1 + toys) if toys else float("nan"),
        _ends(as_good, toys),
        int((~searched).sum()),
    )


def largest(
    expected: Floats, edges: Floats, windows: Bins, shape: Shape, orders: Sequence[int] = ORDERS, *, toys: int, seed: int
) -> Floats:
    """Largest z over the windows of each of ``toys`` spectra drawn from ``expected`` [bins], [toys]."""
    draw = np.random.default_rng(seed)
    found = np.empty(toys)
    for start in range(0, toys, CHUNK):
        counts = draw.poisson(expected, (min(CHUNK, toys - start), len(expected))).astype(np.float64)
        found[start : start + CHUNK] = scan(counts, edges, windows, shape, orders).z.max(axis=1)
    return found


def _listed(spectrum: Spectrum, windows: Bins, found: Scan) -> list[Window]:
    first, last = windows.argmax(axis=1), windows.shape[1] - windows[:, ::-1].argmax(axis=1)
    places = spectrum.edges[first], spectrum.edges[last]
    columns = *places, *(table[0] for table in (found.observed, found.expected, found.error, found.order, found.z))
    return [Window(*one) for one in zip(*(column.tolist() for column in columns), strict=True)]


def _ends(successes: int, trials: int) -> tuple[float, float]:
    """Clopper-Pearson interval at 68 %; (nan, nan) of no trials."""
    if not trials:
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low = beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta.isf(tail, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)
