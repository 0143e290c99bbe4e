"""The fits whose numbers are printed, by iminuit with its errors; the fast fit of the toys must agree with them.

``background_fit`` to the sidebands of a window, ``signal_fit`` of a Gaussian signal over the whole spectrum. Both need the
extra: pip install 'pcloud[fit]'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pcloud.anomaly.columns import Floats
from pcloud.anomaly.scanning import Bins, window_of
from pcloud.anomaly.shapes import Shape
from pcloud.anomaly.spectrum import Spectrum

TINY = 1e-9  # events of a bin that would expect none or fewer


@dataclass(frozen=True)
class Quoted:
    """``values`` and ``errors`` (Hesse) by name: p0, p1, ... of ``Shape``. ``events`` with ``error``, and ends ``low`` and
    ``high``: background expected in the window, or the signal with its Minos interval. ``deviance`` of ``bins`` fitted bins
    and ``z``, the signed root of the likelihood ratio to no signal (None of a background fit)."""

    values: dict[str, float]
    errors: dict[str, float]
    events: float
    error: float
    low: float
    high: float
    deviance: float
    bins: int
    z: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def background_fit(spectrum: Spectrum, low: float, high: float, *, order: int, shape: Shape | None = None) -> Quoted:
    """The background in the window low to high (GeV) as the bins outside it give it, binned Poisson likelihood."""
    window = window_of(spectrum.edges, low, high)
    shape = shape or Shape()
    design, triangle = shape.orthogonal(spectrum.edges, order)
    found = _minimum(spectrum, design, ~window, None)
    q, covariance = np.array(found.values), np.array(found.covariance)
    expected = np.diff(spectrum.edges) * np.exp(design @ q)
    slope = expected[window] @ design[window]
    events, error = float(expected[window].sum()), float(np.sqrt(slope @ covariance @ slope))
    named = _parameters(q, covariance, triangle)
    deviance = _deviance(found, spectrum, ~window)
    return Quoted(*named, events, error, events - error, events + error, deviance, int((~window).sum()))


def signal_fit(spectrum: Spectrum, mean: float, width: float, *, order: int, shape: Shape | None = None) -> Quoted:
    """Events of a Gaussian signal (mean and standard deviation in GeV), of either sign, on a free background."""
    shape = shape or Shape()
    design, triangle = shape.orthogonal(spectrum.edges, order)
    share = spectrum.gaussian(mean, width)
    if share.sum() < 0.5:
        raise ValueError(f"a signal at {mean:g} GeV lies mostly outside {spectrum.edges[0]:g} to {spectrum.edges[-1]:g} GeV")
    whole = np.ones(len(share), dtype=bool)
    found, without = (_minimum(spectrum, design, whole, one) for one in (share, None))
    found.minos("signal")
    events, error, ends = found.values["signal"], found.errors["signal"], found.merrors["signal"]
    order_q = design.shape[1]
    named = _parameters(np.array(found.values)[:order_q], np.array(found.covariance)[:order_q, :order_q], triangle)
    z = float(np.sign(events) * np.sqrt(max(0.0, 2 * (without.fval - found.fval))))
    low, high = (float(events + (end if good else side)) for end, good, side in (
        (ends.lower, ends.lower_valid, -error), (ends.upper, ends.upper_valid, error)))  # fmt: skip
    return Quoted(*named, float(events), float(error), low, high, _deviance(found, spectrum, whole), len(share), z)


def _minimum(spectrum: Spectrum, design: Floats, use: Bins, share: Floats | None) -> Any:
    """A converged Minuit of -ln L over the bins ``use``; ValueError where there is none."""
    try:
        from iminuit import Minuit  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise ImportError("a quoted fit needs iminuit: pip install 'pcloud[fit]'") from error

    n, x, wide = spectrum.counts[use], design[use], np.diff(spectrum.edges)[use]
    count = x.shape[1]
    part = np.zeros(len(n)) if share is None else share[use]

    def cost(q: Floats) -> float:
        total = wide * np.exp(np.clip(x @ q[:count], -200, 200)) + (q[count] * part if share is not None else 0)
        low = np.maximum(total, TINY)  # what lies below is a wall, straight so that its gradient points back
        return float((low - n * np.log(low) + np.where(total < TINY, (TINY - total) * (1 + n) / TINY, 0)).sum())

    root = np.sqrt(n + 0.5)
    start = np.linalg.lstsq(x * root[:, None], np.log((n + 0.5) / wide) * root, rcond=None)[0]
    names = [f"q{number}" for number in range(count)] + ["signal"] * (share is not None)
    found = Minuit(cost, np.append(start, [0.0] * (share is not None)), name=names)
    found.errordef = Minuit.LIKELIHOOD
    found.strategy = 2
    found.tol = 1e-3
    found.errors = [0.01] * count + [float(np.sqrt(n.sum() / len(n)))] * (share is not None)
    found.migrad(iterate=10)
    found.hesse()
    if not (found.valid and found.accurate):
        raise ValueError(f"the fit of {len(n)} bins with {len(names)} parameters does not converge; change order or mass range")
    return found


def _parameters(q: Floats, covariance: Floats, triangle: Floats) -> tuple[dict[str, float], dict[str, float]]:
    """Values and errors of p = R^-1 q."""
    back = np.linalg.inv(triangle)
    values, errors = back @ q, np.sqrt(np.diag(back @ covariance @ back.T))
    named = [f"p{number}" for number in range(len(q))]
    return dict(zip(named, values.tolist(), strict=True)), dict(zip(named, errors.tolist(), strict=True))


def _deviance(found: Any, spectrum: Spectrum, use: Bins) -> float:
    n = spectrum.counts[use]
    return float(2 * (found.fval - (n - n * np.log(np.where(n > 0, n, 1))).sum()))
