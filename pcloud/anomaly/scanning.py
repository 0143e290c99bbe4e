"""How surprising each mass window is: events counted in it against what a fit to its sidebands expects.

``sliding(edges, widths)`` places windows, ``scan(counts, edges, windows)`` gives the significance of each in every toy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from pcloud.anomaly.columns import Floats, Ints
from pcloud.anomaly.poisson_fit import fit
from pcloud.anomaly.shapes import ORDERS, Shape

SIDE = 3  # bins at least between a window and the end of the spectrum: beyond it the fit would only extrapolate
LEVEL = 0.1  # of the test that adds an order
ROOT_STEPS = 100
Bins = NDArray[np.bool_]


@dataclass(frozen=True)
class Scan:
    """Of each toy and window [toys, windows]: events ``observed``; ``expected`` from the sidebands with its ``error``; the
    ``order`` of the fit; and the local significance ``z``, negative where there are fewer than expected."""

    observed: Floats
    expected: Floats
    error: Floats
    order: Ints
    z: Floats


def sliding(edges: Floats, widths: Sequence[int], *, side: int = SIDE) -> Bins:
    """Windows [windows, bins] of each width (bins), a bin apart, at least ``side`` bins from either end."""
    bins = len(edges) - 1
    if not widths or min(widths) < 1 or max(widths) > bins - 2 * side:
        came = f"window widths {list(widths)} (bins) came"
        raise ValueError(f"{came}; expected 1 to {bins - 2 * side}: {bins} bins less {side} on either side")
    place = np.arange(bins)
    starts = [(start, width) for width in widths for start in range(side, bins - side - width + 1)]
    return np.array([(place >= start) & (place < start + width) for start, width in starts])


def window_of(edges: Floats, low: float, high: float) -> Bins:
    """The bins [bins] that lie within low to high (GeV). ValueError where none does, or where one side has no bin left."""
    found = (edges[:-1] >= low - 1e-9 * abs(low)) & (edges[1:] <= high + 1e-9 * abs(high))
    if not found.any() or found[0] or found[-1]:
        reason = "leaves no sideband on one side" if found.any() else "holds no whole bin"
        came = f"window {low:g} to {high:g} GeV {reason}"
        raise ValueError(f"{came}; the spectrum goes from {edges[0]:g} to {edges[-1]:g} GeV in {len(found)} bins")
    return found


def scan(counts: Floats, edges: Floats, windows: Bins, shape: Shape, orders: Sequence[int] = ORDERS) -> Scan:
    """Every window of every toy; counts [toys, bins], windows [windows, bins].

    The bins outside a window are fitted with the lowest of ``orders`` that the next does not improve (likelihood ratio, p <
    10 %). Then z is the signed root of the likelihood ratio between no signal and any, of a Poisson count whose expectation
    has a log-normal error, that of the fit. This is asymptotic: for windows of some 25 events and more. A term too weak for
    that test to see moves z by some tenth; give the higher order alone where that matters.
    """
    if not orders or list(orders) != sorted(set(orders)):
        raise ValueError(f"orders {list(orders)} came; expected them rising")
    bases = {order: shape.orthogonal(edges, order)[0] for order in orders}
    shaped = np.empty((3, len(counts), len(windows)))
    for place, window in enumerate(windows):
        shaped[:, :, place] = sidebands(counts, bases, np.diff(edges), window)
    observed = counts @ windows.T.astype(np.float64)
    expected, error, order = shaped
    return Scan(observed, expected, error, order.astype(np.int64), signed_root(observed, expected, error))


def sidebands(counts: Floats, bases: Mapping[int, Floats], width: Floats, window: Bins) -> tuple[Floats, Floats, Floats]:
    """Events expected in ``window``, their error and the order chosen, [toys] each; ``bases``: a design for each order."""
    going = np.arange(len(counts))
    found = np.empty((3, len(counts)))
    deviance, before = np.full(len(counts), np.inf), 0
    for order, design in bases.items():
        made = fit(counts[going], design, width, use=~window)
        gain = deviance[going] - made.deviance
        better = gain > chi2.isf(LEVEL, order - before) if before else np.ones(len(going), dtype=bool)
        events, error = made.sum_over(window, design)
        going, before = going[better], order
        found[:2, going], found[2, going] = (events[better], error[better]), order
        deviance[going] = made.deviance[better]
        if not len(going):
            break
    return found[0], found[1], found[2]


def signed_root(observed: Floats, expected: Floats, error: Floats) -> Floats:
    """z of counts n over b: sign(n - b) sqrt(2 ln L(any signal) / L(none)), L = Poisson(n | s + b exp(e d / b)) Normal(d)."""
    width = error / expected
    excess = observed > expected
    most = np.log(np.where(excess, observed / expected, 1)) / np.where(width > 0, width, 1)
    d = (observed - expected) * width / (1 + expected * width**2)
    d = np.where(excess, np.minimum(d, most), 0.0)
    for _ in range(ROOT_STEPS):  # from the right of the root of a convex function: Newton's steps never leave it
        b = expected * np.exp(width * d)
        step = ((b - observed) * width + d) / (1 + b * width**2)
        d = d - step
        if (np.abs(step) < 1e-10).all():
            break
    b = expected * np.exp(width * d)
    ratio = b - observed + observed * np.log(np.where(observed > 0, observed, 1) / b) + d**2 / 2
    return np.asarray(np.where(excess, 1, -1) * np.sqrt(2 * np.maximum(ratio, 0)))
