"""Training: the one Lightning module, what is logged, and checkpoints from which a killed run goes on bit for bit.

``fit(task, train_set, val_set, options, run)`` is what the rest of pcloud needs; only here is Lightning imported.
"""

from __future__ import annotations

from pcloud.train.fit import fit
from pcloud.train.options import TrainOptions
from pcloud.train.stop import Interrupted
from pcloud.train.validation import validate

__all__ = ["Interrupted", "TrainOptions", "fit", "validate"]
