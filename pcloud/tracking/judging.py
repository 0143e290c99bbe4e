"""What a learned judge sees of a candidate, and the small network that says how much more or less likely it makes it.

`features` is compiled and describes all candidates of a pass at once, rivals included; a `Judge` turns them into log odds that
`passes.py` adds to the candidates' log likelihood ratios.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid
from pcloud.tracking.layers import Layers

PASSES = 10  # told apart
FEATURES = (
    "hits", "layers", "layers passed without hit", "log likelihood ratio", "its mean", "least of a hit", "second least",
    "of the first hit", "of the last hit", "log hits per mm^2", "share in pixels", "first radius (m)", "last radius (m)",
    "pseudorapidity", "its size", "1 / pT (1/GeV)", "distance from the beam line (cm)", "z there (10 cm)", "width of the window",
    "rivals per hit", "share of hits where it is the likeliest", "ratio to the likeliest rival", "share of hits of that rival",
    *(f"pass {number}" for number in range(PASSES)),
)  # fmt: skip
WIDTH = 32
SHAPES = {
    "mean": (len(FEATURES),), "spread": (len(FEATURES),), "inside": (len(FEATURES), WIDTH), "inside_bias": (WIDTH,),
    "hidden": (WIDTH, WIDTH), "hidden_bias": (WIDTH,), "out": (WIDTH,), "out_bias": (1,),
}  # fmt: skip
BEND = 5.7e-4  # GeV / mm
PIXEL = 0.1  # mm, errors along v below this are those of pixels


@compiled(lean=True)
def _circle(grid: Grid, a: int, b: int, c: int) -> tuple[float, float, float, float]:
    """Signed curvature (1/mm) of the circle through three places, its distance from the beam line, z there (mm), and dz/ds."""
    x1, y1 = grid.x[b] - grid.x[a], grid.y[b] - grid.y[a]
    x2, y2 = grid.x[c] - grid.x[a], grid.y[c] - grid.y[a]
    long2 = max(x2 * x2 + y2 * y2, 1e-6)
    x3, y3 = x2 - x1, y2 - y1
    bottom = math.sqrt(max((x1 * x1 + y1 * y1) * long2 * (x3 * x3 + y3 * y3), 1e-9))
    w = 2 * (x1 * y2 - y1 * x2) / bottom
    chord = math.sqrt(long2)
    half = math.asin(min(max(0.5 * w * chord, -1.0), 1.0))
    phi = math.atan2(y2, x2) - half
    arc = chord * (1 + half * half / 6)
    t = (grid.z[c] - grid.z[a]) / max(arc, 0.1)
    ex, ey = math.cos(phi), math.sin(phi)
    across = -grid.x[a] * ey + grid.y[a] * ex
    r2 = grid.x[a] ** 2 + grid.y[a] ** 2
    away = (2 * across + w * r2) / (1 + math.sqrt(max(1 + 2 * w * across + w * w * r2, 0.0)))
    return w, away, grid.z[a] - t * (grid.x[a] * ex + grid.y[a] * ey), t


@compiled()
def features(
    names: np.ndarray, gains: np.ndarray, sizes: np.ndarray, totals: np.ndarray, layer_of: np.ndarray, grid: Grid, layers: Layers,
    number: int,
) -> np.ndarray:  # fmt: skip
    """[candidates, len(FEATURES)] float32 of candidates as `search` leaves them: names, gains [candidates, most].

    layer_of [places]: rows of Layers; number: of the pass, the last one stands for those after it.
    """
    n = len(sizes)
    out = np.zeros((n, 23 + PASSES), np.float32)
    users, best = np.zeros(len(layer_of), np.int64), np.full(len(layer_of), -1, np.int64)
    next_best = np.full(len(layer_of), -1, np.int64)
    for i in range(n):
        for j in range(sizes[i]):
            h = names[i, j]
            users[h] += 1
            if best[h] < 0 or totals[i] > totals[best[h]]:
                best[h], next_best[h] = i, best[h]
            elif next_best[h] < 0 or totals[i] > totals[next_best[h]]:
                next_best[h] = i
    for i in range(n):
        m = sizes[i]
        one = out[i]
        first, last = names[i, 0], names[i, m - 1]
        least, second = 1e9, 1e9
        count, empty = 1, 0
        crowd = pixels = users_log = mine = window = 0.0
        rival, rival_total = -1, 0.0
        for j in range(m):
            h, gain = names[i, j], gains[i, j]
            if gain < least:
                least, second = gain, least
            elif gain < second:
                second = gain
            crowd += grid.crowd[h]
            pixels += 1.0 if grid.vv[h] < PIXEL * PIXEL else 0.0
            window += 0.5 * math.log(grid.uu[h] * grid.vv[h])
            users_log += math.log(users[h])
            mine += 1.0 if best[h] == i else 0.0
            other = next_best[h] if best[h] == i else best[h]
            if other >= 0 and totals[other] > rival_total:
                rival, rival_total = other, totals[other]
            if j > 0:
                la, lb = layer_of[names[i, j - 1]], layer_of[h]
                if la != lb:
                    count += 1
                    if layers.disc[la] == layers.disc[lb]:
                        empty += max(abs(layers.rank[lb] - layers.rank[la]) - 1, 0)
        shared = 0
        if rival >= 0:
            for j in range(m):
                for k in range(sizes[rival]):
                    shared += 1 if names[i, j] == names[rival, k] else 0
        w, away, z0, t = _circle(grid, first, names[i, m // 2], last)
        one[0], one[1], one[2] = m, count, empty
        one[3], one[4], one[5], one[6] = totals[i] / 10, totals[i] / m, least, second
        one[7], one[8], one[9], one[10] = gains[i, 0], gains[i, m - 1], crowd / m, pixels / m
        one[11], one[12] = grid.r[first] / 1e3, grid.r[last] / 1e3
        one[13] = math.asinh(t)
        one[14], one[15], one[16], one[17] = (
            abs(one[13]),
            abs(w) / BEND,
            min(abs(away) / 10, 50.0),
            max(min(z0 / 100, 20.0), -20.0),
        )
        one[18], one[19], one[20], one[21], one[22] = window / m, users_log / m, mine / m, rival_total / totals[i], shared / m
        one[23 + min(number, PASSES - 1)] = 1.0
    return out


@dataclass(frozen=True)
class Judge:
    """Log odds by two layers, out(relu(hidden(relu(inside((features - mean) / spread))))), times ``scale``, within ``most``.

    weights: mean, spread [F]; inside [F, H], inside_bias; hidden [H, H], hidden_bias; out [H], out_bias [1].
    """

    weights: Mapping[str, np.ndarray]
    scale: float = 2.0  # how much of a candidate's log likelihood ratio one of log odds is worth
    most: float = 6.0  # log odds on either side

    def __call__(self, table: np.ndarray) -> np.ndarray:
        """[candidates] float64, to be added to the candidates' log likelihood ratios; table: as `features` makes it."""
        part = self.weights
        x = (table - part["mean"]) / part["spread"]
        x = np.maximum(x @ part["inside"] + part["inside_bias"], 0)
        x = np.maximum(x @ part["hidden"] + part["hidden_bias"], 0)
        odds = x @ part["out"] + part["out_bias"]
        found: np.ndarray = self.scale * np.clip(odds.astype(np.float64), -self.most, self.most)
        return found
