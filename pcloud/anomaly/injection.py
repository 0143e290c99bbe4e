"""Does the search find what was put there, and nothing where nothing was? Toys on a known background, treated as data are.

``injected(background, edges, mean=..., width=..., events=[0, 100, 300])`` returns a row for each size of the signal,
``signal_free(background, edges, widths=[3])`` one for each window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import kstest, norm

from pcloud.anomaly.columns import Floats
from pcloud.anomaly.poisson_fit import fit
from pcloud.anomaly.scanning import scan, sliding
from pcloud.anomaly.shapes import ORDERS, Shape
from pcloud.anomaly.spectrum import Spectrum


def injected(
    background: Floats,
    edges: Floats,
    *,
    mean: float,
    width: float,
    events: Sequence[float],
    order: int,
    shape: Shape | None = None,
    toys: int = 1000,
    seed: int = 0,
) -> list[dict[str, float]]:
    """A Gaussian signal (mean, standard deviation in GeV) of each size ``events`` on ``background`` [bins], Poisson toys.

    Each row: ``injected``; ``recovered`` and ``error``, means over toys of the fitted events and of their errors; mean and
    standard deviation of the pulls (recovered - injected) / error with their own errors, 0 and 1 of a fair fit;
    ``within``, share of toys within one error; ``z``, the median local significance; ``failed``, toys without a fit.
    """
    expected = _events(background)
    if not events or min(events) < 0 or toys < 2:
        raise ValueError(f"signals {list(events)} and {toys} toys came; expected sizes of 0 or more and at least 2 toys")
    design = (shape or Shape()).orthogonal(edges, order)[0]
    share = Spectrum(edges, np.rint(expected)).gaussian(mean, width)
    draw, wide = np.random.default_rng(seed), np.diff(edges)
    rows = []
    for size in events:
        counts = draw.poisson(expected + size * share, (toys, len(expected))).astype(np.float64)
        found, without = fit(counts, design, wide, template=share), fit(counts, design, wide)
        good = found.converged & without.converged
        value, error = found.q[good, -1], np.sqrt(found.covariance[good, -1, -1])
        pull = (value - size) / error
        gain = np.maximum(without.deviance - found.deviance, 0)[good]
        rows.append(
            {
                "injected": float(size),
                "recovered": float(value.mean()),
                "error": float(error.mean()),
                "pull_mean": float(pull.mean()),
                "pull_mean_error": float(pull.std(ddof=1) / np.sqrt(len(pull))),
                "pull_width": float(pull.std(ddof=1)),
                "pull_width_error": float(pull.std(ddof=1) / np.sqrt(2 * (len(pull) - 1))),
                "within": float((np.abs(pull) <= 1).mean()),
                "z": float(np.median(np.sign(value) * np.sqrt(gain))),
                "failed": float((~good).sum()),
            }
        )
    return rows


def signal_free(
    background: Floats,
    edges: Floats,
    *,
    widths: Sequence[int],
    shape: Shape | None = None,
    orders: Sequence[int] = ORDERS,
    toys: int = 1000,
    seed: int = 0,
) -> list[dict[str, float]]:
    """The same windows as a hunt's, each as if fixed beforehand, on toys of ``background`` [bins] without a signal.

    Each row: ``low``, ``high`` (GeV); mean and standard deviation of the local z, 0 and 1 where the shape can follow the
    background; ``ks_p``, of the local p-values being uniform. A mean of some tenths is a signal made by the fit.
    """
    windows = sliding(edges, widths)
    counts = np.random.default_rng(seed).poisson(_events(background), (toys, len(edges) - 1)).astype(np.float64)
    z = scan(counts, edges, windows, shape or Shape(), orders).z
    return [
        {
            "low": float(edges[:-1][window].min()),
            "high": float(edges[1:][window].max()),
            "z_mean": float(one.mean()),
            "z_width": float(one.std(ddof=1)),
            "ks_p": float(kstest(norm.sf(one), "uniform").pvalue),
        }
        for window, one in zip(windows, z.T, strict=True)
    ]


def _events(background: Floats) -> Floats:
    expected = np.asarray(background, dtype=np.float64)
    if not (np.isfinite(expected) & (expected >= 0)).all():
        raise ValueError("expected background that is negative or not finite came; give events per bin")
    return expected
