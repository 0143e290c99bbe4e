"""Does the search find what was put there? Toys with a known signal on a known background, fitted as the data are.

``injected(background, edges, mean=..., width=..., events=[0, 100, 300])`` returns a row for each size of the signal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcloud.anomaly.columns import Floats
from pcloud.anomaly.poisson_fit import fit
from pcloud.anomaly.shapes import Shape
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
    expected = np.asarray(background, dtype=np.float64)
    if not (np.isfinite(expected) & (expected >= 0)).all():
        raise ValueError("expected background that is negative or not finite came; give events per bin")
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
