"""How much matter stands where: in the modules of each layer, and in the cylinders and discs without sensors.

`layer_material(detector)` gives one row per layer in the order of `Lookup`, `surfaces()` one per cylinder or disc.

Thickness is that of the official simulation's detector and explains the momentum lost and the angles between neighbouring
hits of a real event. The chance to interact is measured from where the secondaries of real events start (3,190 points) and
does not follow it (modules stop ten times more hadrons than their silicon should), so it has numbers of its own.
"""

from __future__ import annotations

import numpy as np

from pcloud.tracking.detector import Table

SILICON_X0, BERYLLIUM_X0 = 93.7, 352.8  # radiation lengths, mm
SILICON_LAMBDA = 465.0  # mm; the interaction tables below are mm of silicon
BERYLLIUM_LOSS = 0.76  # of silicon's, per mm

# Interactions in a module, by volume, and where one layer differs from its volume by (volume, layer).
_INTERACT = {7: 1.5, 8: 1.5, 9: 1.5, 12: 3.4, 13: 2.0, 14: 3.4, 16: 3.4, 17: 1.9, 18: 3.4}
_INTERACT_LAYER = {(8, 2): 0.9, (17, 4): 0.0}

# Cylinders: radius, half length, thickness (mm), interactions (mm of silicon).
_PIPE = ((19.0, 3000.0, 0.8, 0.9), (200.0, 3000.0, 1.8, 2.1))  # beryllium
_CYLINDERS = (
    (35.5, 500.0, 1.5, 1.5),
    (75.0, 500.0, 1.5, 1.5),
    (118.8, 500.0, 1.5, 1.5),
    (174.7, 500.0, 1.5, 1.5),
    (255.0, 1100.0, 2.0, 4.0),
    (355.0, 1100.0, 2.0, 2.2),
    (495.0, 1100.0, 2.0, 2.0),
    (655.0, 1100.0, 2.0, 2.5),
    (814.6, 1100.0, 2.5, 2.8),
    (1015.0, 1100.0, 2.5, 0.0),
)
# Discs on both sides: |z|, inner and outer radius, thickness (mm), interactions (mm of silicon).
_DISCS = (
    (570.6, 30.0, 176.0, 1.5, 10.0),
    *((z, 30.0, 176.0, 1.5, 1.8) for z in (600.0, 700.0, 820.0, 960.0, 1100.0, 1300.0, 1500.0)),
    (1182.7, 235.0, 720.0, 2.5, 5.6),
    (1181.9, 720.0, 1000.0, 3.5, 5.6),
    *((z, 235.0, 720.0, 2.5, 3.6) for z in (1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0)),
    *((z, 720.0, 1000.0, 3.5, 3.6) for z in (1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0)),
)


def layer_material(detector: Table) -> np.ndarray:
    """[layers, 4]: thickness of one module (mm), radiation length (mm), interaction lengths crossed, loss (of silicon's)."""
    key, row = np.unique(detector["volume_id"] * 1000 + detector["layer_id"], return_index=True)
    place = [divmod(int(k), 1000) for k in key]
    interact = [_INTERACT_LAYER.get(p, _INTERACT.get(p[0], 1.0)) / SILICON_LAMBDA for p in place]
    thick = detector["module_t"][row]
    return np.stack([thick, np.full(len(key), SILICON_X0), interact, np.ones(len(key))], axis=1)


def surfaces() -> np.ndarray:
    """[surfaces, 8]: 1 for a disc, radius or z, range of z or of r (two), then the four numbers as for layers."""
    rows = []
    for table, x0, loss in ((_PIPE, BERYLLIUM_X0, BERYLLIUM_LOSS), (_CYLINDERS, SILICON_X0, 1.0)):
        rows += [(0.0, r, -half, half, thick, x0, mm / SILICON_LAMBDA, loss) for r, half, thick, mm in table]
    for z, low, high, thick, mm in _DISCS:
        rows += [(1.0, side * z, low, high, thick, SILICON_X0, mm / SILICON_LAMBDA, 1.0) for side in (-1, 1)]
    return np.array(rows)
