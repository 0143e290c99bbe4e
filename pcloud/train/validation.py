"""Figures of a task on events it does not train on, by the route that evaluation and prediction take too.

``validate(task, clouds, device)``: forward, tabulate, concatenate, summarize; and the mean loss beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from pcloud.cloud import PointCloud
from pcloud.tasks.protocol import Rows, Task, concatenate


@torch.no_grad()
def validate(task: Task, clouds: Iterable[PointCloud], device: torch.device | str) -> dict[str, float]:
    """``loss``, the mean over events of the summed terms, and the task's own figures; needs truth in the clouds."""
    assert isinstance(task, nn.Module)
    training = task.training
    task.eval()
    parts: list[Rows] = []
    loss, events = 0.0, 0
    try:
        for batch in clouds:
            cloud = batch.to(device)
            output = task(cloud)
            loss += float(sum(task.loss(output, cloud).values())) * cloud.events
            events += cloud.events
            parts.append(task.tabulate(output, cloud))
    finally:
        task.train(training)
    return {"loss": loss / max(events, 1), **task.summarize(concatenate(parts))}
