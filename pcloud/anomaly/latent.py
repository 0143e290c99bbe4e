"""How many numbers a latent needs, chosen without a signal: where more of them stop paying.

``pca_spectrum(rows)`` looks at the inputs, ``knee(dims, losses)`` at trained autoencoders; ``suggest_latent`` names a size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pcloud.anomaly.columns import Floats

FLAT = 1e-12  # relative fall of a loss that does not fall


@dataclass(frozen=True)
class Spectrum:
    """``explained`` [components]: share of the variance, falling; ``participation``: (sum l)^2 / sum l^2 of the variances l,
    the number of equal components with that spread."""

    explained: Floats
    participation: float

    def components(self, share: float) -> int:
        """Fewest components that explain ``share`` of the variance."""
        if not 0 < share <= 1:
            raise ValueError(f"share {share:g} came; expected more than 0 and at most 1")
        return int(np.searchsorted(np.cumsum(self.explained), share - 1e-12) + 1)


@dataclass(frozen=True)
class Suggestion:
    """``dim``: size of the latent, with the ``reason`` in a line; ``dims``, ``losses``: the curve it was read from;
    ``distance``: of each point of the curve below the chord, both axes 0 to 1; ``quantity``: what was on the curve."""

    dim: int
    reason: str
    dims: list[int]
    losses: list[float]
    distance: list[float]
    quantity: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON and ``plots.anomaly.latent``."""
        return dict(vars(self))


def pca_spectrum(rows: ArrayLike) -> Spectrum:
    """Principal components of rows [events, features], centred but not scaled: give features as the model reads them."""
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2:
        raise ValueError(f"rows {list(table.shape)} came; expected [events, features] with at least two events")
    if not np.isfinite(table).all():
        raise ValueError(
            f"row {int((~np.isfinite(table)).any(axis=1).argmax())} holds no finite number; clean the features first"
        )
    centred = table - table.mean(axis=0)
    variance = np.linalg.eigvalsh(centred.T @ centred / len(centred))[::-1].clip(min=0)
    if not variance.sum() > 0:
        raise ValueError("all rows are equal; there is no variance to share out")
    return Spectrum(variance / variance.sum(), float(variance.sum() ** 2 / np.square(variance).sum()))


def knee(dims: Sequence[int], losses: Sequence[float]) -> tuple[int, Floats]:
    """Place of the knee of a falling, convex curve, and how far each point lies below the chord from first to last.

    Both axes are scaled to 0..1 and the loss is replaced by the smallest up to there, since more dimensions can hold what
    fewer held. The knee is the point with the largest distance: Kneedle (Satopaa et al., ICDCSW 2011) without its threshold.
    It depends on the range of ``dims``. ValueError where the loss does not fall or no point lies below the chord.
    """
    place, loss = np.asarray(dims, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if place.shape != loss.shape or len(place) < 3 or not (np.diff(place) > 0).all():
        raise ValueError(f"dims {list(dims)} and {len(loss)} losses came; expected three or more rising, one loss each")
    if not np.isfinite(loss).all():
        raise ValueError(
            f"loss of {dims[int((~np.isfinite(loss)).argmax())]} dimensions is not finite; train it again or leave it out"
        )
    best = np.minimum.accumulate(loss)
    fall = best[0] - best[-1]
    if not fall > FLAT * abs(best[0]):
        raise ValueError(f"the loss does not fall from {dims[0]} to {dims[-1]} dimensions: there is no knee; try fewer")
    across, down = (place - place[0]) / (place[-1] - place[0]), (best - best[-1]) / fall
    below = 1 - across - down
    if not below.max() > 1e-9:
        raise ValueError(f"the loss falls as fast at {dims[-1]} dimensions as before: there is no knee; try more")
    return int(below.argmax()), below


def suggest_latent(
    *, dims: Sequence[int] | None = None, losses: Sequence[float] | None = None, rows: ArrayLike | None = None
) -> Suggestion:
    """A size of the latent from the losses of autoencoders trained at ``dims`` (validation, on background alone); without
    them from the PCA spectrum of ``rows`` [events, features]: the knee of the variance that n components leave."""
    if dims is not None and losses is not None:
        sizes, curve, quantity = list(dims), [float(one) for one in losses], "validation loss"
    elif rows is not None:
        found = pca_spectrum(rows)
        left = np.append(1.0, 1 - np.cumsum(found.explained)).clip(min=0)
        sizes, curve, quantity = list(range(len(left))), left.tolist(), "share of variance left"
    else:
        raise ValueError("nothing came to choose the latent by; give dims with losses, or rows")
    place, below = knee(sizes, curve)
    dim = sizes[place]
    reason = f"{dim}: knee of the {quantity} from {sizes[0]} to {sizes[-1]} dimensions, {below[place]:.2f} below the chord"
    reason += f"; {curve[place]:.4g} there, {curve[-1]:.4g} at {sizes[-1]}"
    if rows is not None:
        spectrum = pca_spectrum(rows)
        reason += f"; PCA: participation ratio {spectrum.participation:.1f}, 90 % of variance in {spectrum.components(0.9)}"
    return Suggestion(dim, reason, sizes, curve, below.tolist(), quantity)
