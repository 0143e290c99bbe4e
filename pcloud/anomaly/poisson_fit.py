"""Binned Poisson likelihood fits of thousands of toys at once, by Fisher scoring in numpy.

``fit(counts, design, width)`` takes a toy per row. The model: width * exp(design q), plus a signal of free size, of either
sign, where a template is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcloud.anomaly.columns import Floats

STEPS, ENOUGH, HALVINGS = 60, 1e-10, 30


@dataclass(frozen=True)
class Fits:
    """``q`` [toys, parameters], with the signal's events last where a template was given; ``covariance`` of them, the inverse
    Fisher information; ``background`` [toys, bins] expected; ``deviance`` [toys] over the bins used; ``converged`` [toys]."""

    q: Floats
    covariance: Floats
    background: Floats
    deviance: Floats
    converged: NDArray[np.bool_]

    def sum_over(self, window: NDArray[np.bool_], design: Floats) -> tuple[Floats, Floats]:
        """Background events expected in the bins of ``window`` [bins], and their standard error from the fit, [toys] each."""
        slope = self.background[:, window] @ design[window]
        covariance = self.covariance[:, : design.shape[1], : design.shape[1]]
        events: Floats = self.background[:, window].sum(axis=1)
        return events, np.sqrt(np.einsum("ti,tij,tj->t", slope, covariance, slope))

    def error(self, design: Floats) -> Floats:
        """Standard error of the expected background [toys, bins]."""
        covariance = self.covariance[:, : design.shape[1], : design.shape[1]]
        return np.asarray(self.background * np.sqrt(np.einsum("bi,tij,bj->tb", design, covariance, design)))


def fit(
    counts: Floats,
    design: Floats,
    width: Floats,
    *,
    use: NDArray[np.bool_] | None = None,
    template: Floats | None = None,
) -> Fits:
    """Maximum of the Poisson likelihood of each row of ``counts`` [toys, bins].

    design [bins, parameters], width [bins] (GeV), use [bins]: bins that are fitted (all, if None), template [bins]: share of
    the signal in each. Without template the likelihood is concave. Steps that do not raise it are halved; a toy has
    converged when a step would gain less than 1e-10 of ln L.
    """
    if counts.ndim != 2 or counts.shape[1] != len(design):
        raise ValueError(f"counts {list(counts.shape)} came; expected [toys, {len(design)}]")
    here = np.ones(len(design), dtype=bool) if use is None else use
    x, n, wide = design[here], counts[:, here], width[here]
    share = None if template is None else template[here]
    free = x.shape[1] + (share is not None)
    if len(x) <= free:
        raise ValueError(f"{len(x)} mass bins are left to fit {free} parameters; use more bins or a narrower window")
    if (few := n.sum(axis=1) < free).any():
        raise ValueError(f"{n[few][0].sum():.0f} events lie in the bins to fit; expected at least {free}, one a parameter")
    start = n + 0.5
    q = np.zeros((len(n), free))
    q[:, : x.shape[1]] = _solve(_squares(start, x), (start * np.log(start / wide)) @ x)
    alive = np.arange(len(n))
    level = _likelihood(n, _expected(q, x, wide, share)[1])
    for _ in range(STEPS):
        gradient, information = _derivatives(q[alive], n[alive], x, wide, share)
        step = _solve(information, gradient)
        go = (gradient * step).sum(axis=1) > 2 * ENOUGH
        alive, step = alive[go], step[go]
        if not len(alive):
            break
        q[alive], level[alive] = _climb(q[alive], step, level[alive], n[alive], x, wide, share)
    information = _derivatives(q, n, x, wide, share)[1]
    converged = np.ones(len(n), dtype=bool)
    converged[alive] = False
    saturated = (n * np.log(np.where(n > 0, n, 1)) - n).sum(axis=1)
    background = width * np.exp(q[:, : x.shape[1]] @ design.T)
    return Fits(q, _inverse(information), background, 2 * (saturated - level), converged)


def _expected(q: Floats, x: Floats, wide: Floats, share: Floats | None) -> tuple[Floats, Floats]:
    """Background, and background with signal, [toys, bins]."""
    background: Floats = wide * np.exp(np.clip(q[:, : x.shape[1]] @ x.T, -200, 200))
    return background, background if share is None else background + q[:, -1:] * share


def _derivatives(q: Floats, n: Floats, x: Floats, wide: Floats, share: Floats | None) -> tuple[Floats, Floats]:
    """Gradient of ln L [toys, parameters] and Fisher information [toys, parameters, parameters]."""
    background, total = _expected(q, x, wide, share)
    if share is None:
        return (n - total) @ x, _squares(total, x)
    excess, part, free = n / total - 1, background / total, x.shape[1]
    information = np.empty((len(q), free + 1, free + 1))
    information[:, :free, :free] = _squares(background * part, x)
    information[:, free, :free] = information[:, :free, free] = (part * share) @ x
    information[:, free, free] = (1 / total) @ share**2
    return np.column_stack([(excess * background) @ x, excess @ share]), information


def _likelihood(n: Floats, total: Floats) -> Floats:
    """ln L [toys] without the factorials; -inf where a bin would expect no events or fewer."""
    fine = (total > 0).all(axis=1)
    safe = np.where(total > 0, total, 1)
    return np.where(fine, (n * np.log(safe) - safe).sum(axis=1), -np.inf)


def _climb(
    q: Floats, step: Floats, level: Floats, n: Floats, x: Floats, wide: Floats, share: Floats | None
) -> tuple[Floats, Floats]:
    """The step, halved until ln L does not fall, and ln L there."""
    left = np.arange(len(q))
    moved, reached = q.copy(), level.copy()
    for halving in range(HALVINGS):
        tried = q[left] + step[left] / 2**halving
        got = _likelihood(n[left], _expected(tried, x, wide, share)[1])
        better = got >= level[left]
        moved[left[better]], reached[left[better]] = tried[better], got[better]
        left = left[~better]
        if not len(left):
            break
    return moved, reached


def _squares(weight: Floats, x: Floats) -> Floats:
    """X^T W X [toys, parameters, parameters]."""
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    return (weight @ pairs).reshape(-1, x.shape[1], x.shape[1])


def _solve(matrix: Floats, right: Floats) -> Floats:
    return np.asarray(np.linalg.solve(_firm(matrix), right[..., None])[..., 0], dtype=np.float64)


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.inv(_firm(matrix)), dtype=np.float64)


def _firm(matrix: Floats) -> Floats:
    """Never singular: the diagonal a part in 10^12 larger."""
    diagonal = np.diagonal(matrix, axis1=1, axis2=2)
    return matrix + np.eye(matrix.shape[-1]) * (1e-12 * diagonal + 1e-280)[:, None, :]
