"""What a task promises training, evaluation and prediction: four methods, one route.

A task holds an encoder and a head. Rows are plain numpy columns of equal length; rows of several batches concatenate. Where a
task also has ``begin(feat, truth) -> lines``, that is called once before training, with the names of the features and the
event_truth of all training events; the lines are told to the user.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pcloud.cloud import PointCloud

Rows = dict[str, np.ndarray]


class Task(Protocol):
    def __call__(self, cloud: PointCloud) -> Any:
        """What the network says of a cloud; reads no truth."""

    def loss(self, output: Any, cloud: PointCloud) -> dict[str, Tensor]:
        """Named terms; training minimises their sum."""

    def tabulate(self, output: Any, cloud: PointCloud) -> Rows:
        """What is reported, a row per object; truth columns are there where the cloud has truth."""

    def summarize(self, rows: Rows) -> dict[str, float]:
        """Figures of many rows."""


def concatenate(parts: list[Rows]) -> Rows:
    """Rows of several batches as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
