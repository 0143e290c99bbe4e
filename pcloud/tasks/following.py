"""Finding tracks by following helices: seeds, Kalman following over all layers, hits judged against their local density.

No training is needed; it is called, evaluated and shipped like a trained task. The finder itself is `pcloud.tracking.finding`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pcloud.cloud import PointCloud
from pcloud.tasks.hit_rows import hit_rows, track_figures
from pcloud.tasks.protocol import Rows
from pcloud.tracking.ceilings import Ceiling, ceilings
from pcloud.tracking.detector import Table, trackml_detector
from pcloud.tracking.finding import Stages, find_tracks
from pcloud.tracking.judging import SHAPES, Judge
from pcloud.tracking.settings import DEFAULT, changed

COLUMNS = ("volume_id", "layer_id", "module_id")


class TrackFollowing(nn.Module):
    """Hits -> seeds -> candidates -> tracks. Reads x, y, z (mm) as positions and the point columns volume_id, layer_id.

    cuts: changes to the finder's settings, "PASS.NAME" -> value, such as {"0.accept": 18.0}. judged: candidates are ordered
    and chosen with the help of a small network (`pcloud.tracking.judging`), which ``python -m pcloud.cli.judging`` trains.
    """

    def __init__(self, *, cuts: dict[str, float] | None = None, judged: bool = False) -> None:
        super().__init__()
        self.settings = changed(DEFAULT, cuts or {})
        self.detector = trackml_detector()
        self.judged = judged
        if judged:
            for name, shape in SHAPES.items():
                self.register_buffer(name, torch.zeros(shape))

    def use_detector(self, detector: Table) -> None:
        """Find tracks in another detector than TrackML's."""
        self.detector = detector

    def judge(self) -> Judge | None:
        """The network as it is now, without torch; None where candidates are not judged."""
        return Judge({name: getattr(self, name).cpu().numpy() for name in SHAPES}) if self.judged else None

    def forward(self, cloud: PointCloud) -> tuple[Tensor, ...]:
        return ()

    def loss(self, output: tuple[Tensor, ...], cloud: PointCloud) -> dict[str, Tensor]:
        raise ValueError("task following has nothing to train: predict and evaluate with it as it is")

    def tabulate(self, output: tuple[Tensor, ...], cloud: PointCloud) -> Rows:
        """A row per hit, as of `TrackFinding`."""
        judge = self.judge()
        return hit_rows(cloud, [find_tracks(hits, self.detector, self.settings, judge=judge) for hits in events_of(cloud)])

    def summarize(self, rows: Rows) -> dict[str, float]:
        return track_figures(rows)

    def ceilings(self, output: tuple[Tensor, ...], cloud: PointCloud) -> list[Ceiling]:
        """Of one event with truth: the highest score that each stage leaves within reach, and its seconds."""
        (hits,) = events_of(cloud)
        stages = Stages()
        track = find_tracks(hits, self.detector, self.settings, judge=self.judge(), stages=stages)
        return ceilings(stages, track, cloud.particle_of_point.cpu().numpy(), cloud.point_truth["weight"].cpu().numpy())


def events_of(cloud: PointCloud) -> list[dict[str, np.ndarray]]:
    """The columns that the finder reads, event by event. ValueError where one is missing."""
    if lack := [name for name in COLUMNS[:2] if name not in cloud.point]:
        raise ValueError(f"point column {lack[0]} is missing: following tracks needs to know the layer of each hit")
    columns = dict(zip("xyz", cloud.pos.cpu().numpy().T, strict=True))
    columns |= {name: cloud.point[name].cpu().numpy() for name in COLUMNS if name in cloud.point}
    bounds = cloud.offsets.tolist()
    return [{name: column[a:b] for name, column in columns.items()} for a, b in zip(bounds, bounds[1:], strict=False)]
