"""Which discs of a volume a track can hit: the official simulation settles that where the track comes in, by its straight line.

A soft track bends back over discs near their outer edge that its straight line has passed by. There it leaves no hit (in the real
small event at 66 of 68 such crossings), so that none is looked for and none is missed. A compiled part of `following.py`.
"""

from __future__ import annotations

import math

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import FAST, NOT_REACHED, to_radius

UNSURE = 5.0  # mm, of where a straight line meets a disc


@compiled(fastmath=FAST, lean=True)
def straight_radius(layers: Layers, a: int, q: np.ndarray, entry: np.ndarray) -> float:
    """Radius at which the straight line from where a track comes into the volume of disc a meets that disc; 0 where that is all
    the same.

    entry [6]: that place, dx/dz and dy/dz there, and which volume it is, for the next disc of it.
    """
    if layers.wall[a] <= 0:
        return 0.0
    if entry[5] != layers.wall[a]:
        w, side = q[5] * q[8], 1.0 if layers.at[a] > 0 else -1.0
        d, face = to_radius(q, w, layers.wall[a]), (side * layers.face[a] - q[2]) / q[4]
        if d == NOT_REACHED or d < face:
            d = face
        turn = 0.5 * w * d
        entry[0], entry[1] = q[0] + d * (q[6] - turn * q[7]), q[1] + d * (q[7] + turn * q[6])
        entry[2] = q[2] + d * q[4]
        entry[3], entry[4] = (q[6] - 2 * turn * q[7]) / q[4], (q[7] + 2 * turn * q[6]) / q[4]
        entry[5] = layers.wall[a]
    along = layers.at[a] - entry[2]
    return math.hypot(entry[0] + along * entry[3], entry[1] + along * entry[4])
