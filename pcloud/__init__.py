"""pcloud stores every object of particle physics as a point cloud and runs one GNN core over them.

``model = pcloud.load("tracks"); tracks = model(model.cloud(pcloud.read("event_folder")))`` finds tracks; importing this
package alone loads neither torch nor lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_DOORS = {
    "PointCloud": "pcloud.cloud",
    "collate": "pcloud.cloud",
    "load": "pcloud.pretrained",
    "read": "pcloud.cli.sources",
    "knn": "pcloud.neighbors",
    "radius": "pcloud.neighbors",
}
__all__ = ["PointCloud", "collate", "knn", "load", "radius", "read"]


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"pcloud has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_DOORS[name]), name)
