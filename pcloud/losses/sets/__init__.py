"""How far one set of weighted points is from another, event by event: losses for decoders that give sets, and measures of jets.

``SET_LOSSES["sinkhorn"](x, x_offsets, y, y_offsets, x_weight=pt_x, y_weight=pt_y, epsilon=0.01)`` -> [events]. All take x
[points, d], offsets [events + 1] (events may be empty, and differ in size between x and y), weights [points] >= 0, 1 each where
not given. An event's value depends on its own points alone, and not on their order. A point of weight zero is as good as none.
Half precision is computed in float32. An event with nothing on one side costs what the loss says; with nothing on both, 0.
Gradients are finite everywhere. Coordinates or weights that are not finite, and negative weights, are a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pcloud.losses.sets.chamfer import chamfer
from pcloud.losses.sets.hungarian import hungarian
from pcloud.losses.sets.kernels import energy, mmd
from pcloud.losses.sets.movers import emd
from pcloud.losses.sets.ordered import ordered
from pcloud.losses.sets.sinkhorn import sinkhorn
from pcloud.losses.sets.sliced import sliced

__all__ = ["SET_LOSSES", "chamfer", "emd", "energy", "hungarian", "mmd", "ordered", "sinkhorn", "sliced"]

SET_LOSSES: dict[str, Callable[..., Tensor]] = {
    "chamfer": chamfer,
    "hungarian": hungarian,
    "sinkhorn": sinkhorn,
    "sliced": sliced,
    "energy": energy,
    "mmd": mmd,
    "emd": emd,
    "ordered": ordered,
}
