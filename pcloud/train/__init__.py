"""Training: the one Lightning module, what is logged, and checkpoints from which a killed run goes on bit for bit.

``fit(task, train_set, val_set, options, run)`` is what the rest of pcloud needs; only here is Lightning imported, and not
before ``fit`` is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcloud.train.fitting import fit
    from pcloud.train.options import TrainOptions
    from pcloud.train.stop import Interrupted
    from pcloud.train.validation import validate

_DOORS = {
    "Interrupted": "pcloud.train.stop",
    "TrainOptions": "pcloud.train.options",
    "fit": "pcloud.train.fitting",
    "validate": "pcloud.train.validation",
}
__all__ = ["Interrupted", "TrainOptions", "fit", "validate"]


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"pcloud.train has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_DOORS[name]), name)
