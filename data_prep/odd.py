"""The OpenDataDetector's tracker as layers: what its events need where no table of its modules is at hand.

``open_data_detector()`` gives it as a detectors table. Source: the XML description in github.com/acts-project/OpenDataDetector
(radii, distances, module sizes, ring offsets), with layers numbered as ACTS does; all 11,862 hits of an ACTS event lie on them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from data_prep.layer_table import Layer, detectors_of
from pcloud.tracking.detector import Table

# T. ColliderML's solenoid; pT and curvature of its tracks agree with it to about 1 % wherever they go.
FIELD = 3.0
# Pitch along u and v of a volume (mm), as hits of ColliderML lie on it. Long strips tell u alone and lie in pairs turned against
# each other by 0.04 rad, which the finder cannot follow: their u is known as well as v (no better than the strip) lets it.
_PIXEL, _SHORT = (0.05, 0.05), (0.08, 0.5)
_LONG_BARREL, _LONG_DISC = (0.04 * 108.0, 108.0), (0.02 * 156.0, 156.0)
PITCH = {
    0: _PIXEL,
    **dict.fromkeys((16, 17, 18), _PIXEL),
    **dict.fromkeys((23, 24, 25), _SHORT),
    29: _LONG_BARREL,
    **dict.fromkeys((28, 30), _LONG_DISC),
}

# volume, radii where hits lie on average, how far they lie off that, half length with what staves are shifted (mm)
_BARRELS = (
    (17, (33.1, 68.7, 114.5, 170.4), 1.5, 511.0),
    (24, (261.1, 360.8, 500.6, 660.4), 4.0, 1143.0),
    (29, (821.3, 1021.1), 11.0, 1143.0),
)
# volumes at negative and positive z, |z|, how far hits lie off that, inner and outer radius, half width of a module by its radius
_DISCS = (
    (16, 18, (620.0, 720.0, 840.0, 980.0, 1120.0, 1320.0, 1520.0), 4.4, 42.0, 178.8, 0.19),
    (23, 25, (1300.0, 1550.0, 1850.0, 2200.0, 2550.0, 2950.0), 7.7, 240.0, 702.3, 0.10),
    (28, 30, (1300.0, 1600.0, 1900.0, 2250.0, 2600.0, 3000.0), 25.7, 742.0, 1073.1, 0.07),
)


@lru_cache(maxsize=1)
def open_data_detector() -> Table:
    """48 layers as a detectors table, with the field of ColliderML. Ids rise along r and along z: 2, 4, 6, ..."""
    layers = []
    for volume, radii, thick, half in _BARRELS:
        for number, radius in enumerate(radii, start=1):
            layers.append(Layer(volume, 2 * number, False, radius, thick, -half, half, *_errors(volume)))
    for negative, positive, distances, thick, low, high, width in _DISCS:
        for number, distance in enumerate(distances, start=1):
            turned = width * low
            layers.append(Layer(positive, 2 * number, True, distance, thick, low, high, *_errors(positive), turned))
            # In ACTS the pixel's last disc is layer 4 of its volume, the strips' last one layer 2.
            name = 2 * (len(distances) - number + (2 if negative == 16 else 1))
            layers.append(Layer(negative, name, True, -distance, thick, low, high, *_errors(negative), turned))
    return detectors_of(layers, FIELD)


def _errors(volume: int) -> tuple[float, float]:
    u, v = PITCH[volume]
    return u / np.sqrt(12), v / np.sqrt(12)
