"""Finding tracks with a network that judges triplets: does one helix, and one particle, go through these three hits?

Passes from narrow windows to wide ones, each on what the former left: graph, network, walk along the surest triplets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcloud.cloud import PointCloud
from pcloud.losses.event_mean import event_mean
from pcloud.nn import MLP, LineGraph
from pcloud.tasks.following import events_of
from pcloud.tasks.hit_rows import hit_rows, track_figures
from pcloud.tasks.protocol import Rows
from pcloud.tracking import chains
from pcloud.tracking.ceilings import Ceiling, official, within_edges
from pcloud.tracking.detector import Table, trackml_detector
from pcloud.tracking.finding import geometry_of
from pcloud.tracking.hits import prepare
from pcloud.tracking.settings import GRAPHS
from pcloud.tracking.triplets import PAIR_FEATURES, TRIPLET_FEATURES, Triplets, triplets_of

SHAPE = ("cell_count", "charge", "extent_u", "extent_v", "dir_u", "dir_v", "dir_w")


class Judged(NamedTuple):
    """What one pass looked at in one event."""

    pairs: Tensor  # [pairs, 2] points of the cloud
    triplets: Tensor  # [triplets, 3]
    pair_logits: Tensor  # [pairs]
    triplet_logits: Tensor  # [triplets]
    event: int


class TripletFinding(nn.Module):
    """Hits -> pairs and triplets within helix windows -> log odds of each triplet -> tracks.

    Reads x, y, z (mm) as positions and the point columns volume_id, layer_id; cluster shapes where they are there.
    channels, layers: of the line graph network. threshold: probability from which a triplet is followed; worth: least sum of
    log odds above it of a track's triplets. blank: share of training events whose cluster shapes are hidden.
    """

    def __init__(
        self, *, channels: int = 32, layers: int = 3, threshold: float = 0.5, worth: float = 2.0, blank: float = 0.3
    ) -> None:
        super().__init__()
        if not 0 < threshold < 1:
            raise ValueError(f"threshold = {threshold} came; a probability between 0 and 1 expected")
        self.threshold, self.worth, self.blank = threshold, worth, blank
        self.detector = trackml_detector()
        self.shape = MLP([len(SHAPE) + 1, channels, channels // 2])
        self.pair = MLP([PAIR_FEATURES + len(GRAPHS) + 2 * (channels // 2), channels, channels])
        self.triplet = MLP([TRIPLET_FEATURES + len(GRAPHS), channels, channels])
        self.layers = nn.ModuleList(LineGraph(channels) for _ in range(layers))
        self.pair_head = MLP([channels, channels, 1])
        self.triplet_head = MLP([3 * channels, channels, 1])

    def use_detector(self, detector: Table) -> None:
        """Find tracks in another detector than TrackML's."""
        self.detector = detector

    def forward(self, cloud: PointCloud) -> tuple[list[np.ndarray], list[Judged]]:
        """Track of every hit, event by event, and what the passes looked at."""
        tracks, judged = [], []
        shape = self._shape(cloud)
        for event, (first, columns) in enumerate(zip(cloud.offsets.tolist(), events_of(cloud), strict=False)):
            layers, links = geometry_of(self.detector)
            hits, _ = prepare(columns, self.detector, layers)
            track = np.full(len(hits.x), -1, np.int64)
            for number, cuts in enumerate(GRAPHS):
                free = chains.ends(hits.r, track)
                graph = triplets_of(hits, free[hits.layer[free] >= 0], layers, links, cuts, torch.get_num_threads())
                one = self._judge(graph, shape, first, number, event)
                judged.append(one)
                odds = one.triplet_logits.detach().float().cpu().numpy() - np.log(self.threshold / (1 - self.threshold))
                chains.extend(graph, hits.r, odds, track, worth=self.worth)
            tracks.append(track)
        return tracks, judged

    def _shape(self, cloud: PointCloud) -> Tensor:
        """[points, channels // 2]: what cluster shapes say; zeros go in where there are none."""
        known = all(name in cloud.point for name in SHAPE)
        columns = [cloud.point[name].float() if known else torch.zeros_like(cloud.pos[:, 0]) for name in SHAPE]
        table = torch.stack([*(torch.log1p(one) for one in columns[:4]), *columns[4:]], dim=1)
        there = (table[:, :1] > 0).float()
        if self.training:
            there = there * (torch.rand(len(cloud.offsets) - 1, device=there.device) >= self.blank)[cloud.event_of_point, None]
        out: Tensor = self.shape(torch.cat([table * there, there], dim=1))
        return out

    def _judge(self, graph: Triplets, shape: Tensor, first: int, number: int, event: int) -> Judged:
        device = shape.device
        pairs, inner, outer = (torch.from_numpy(one).to(device) for one in (graph.pairs, graph.inner, graph.outer))
        row = torch.from_numpy(graph.row).to(device) + first
        step = F.one_hot(torch.tensor(number, device=device), len(GRAPHS)).float()
        seen = shape.index_select(0, row)
        ends = pairs.unbind(1)
        p = torch.from_numpy(graph.pair_features).to(device)
        p = self.pair(torch.cat([p, step.expand(len(p), -1), *(seen.index_select(0, end) for end in ends)], dim=1))
        t = torch.from_numpy(graph.triplet_features).to(device)
        t = self.triplet(torch.cat([t, step.expand(len(t), -1)], dim=1))
        for layer in self.layers:
            p, t = layer(p, t, inner, outer, *ends, len(row))
        logits = self.triplet_head(torch.cat([p.index_select(0, inner), p.index_select(0, outer), t], dim=1)).squeeze(1)
        triplets = torch.cat([pairs[inner], pairs[outer, 1:]], dim=1)
        return Judged(row[pairs], row[triplets], self.pair_head(p).squeeze(1), logits, event)

    def loss(self, output: tuple[list[np.ndarray], list[Judged]], cloud: PointCloud) -> dict[str, Tensor]:
        """Cross-entropy of triplets and of pairs, means over an event's own, summed over the passes."""
        particle, events = cloud.particle_of_point, len(cloud.offsets) - 1
        terms = {}
        for name in ("pairs", "triplets"):
            cross, owner = [], []
            for number, one in enumerate(output[1]):
                hits, logits = getattr(one, name), getattr(one, f"{name[:-1]}_logits")
                mine = particle[hits]
                same = (mine[:, 0] >= 0) & (mine == mine[:, :1]).all(1)
                cross.append(F.binary_cross_entropy_with_logits(logits.float(), same.float(), reduction="none"))
                owner.append(torch.full_like(hits[:, 0], one.event * len(GRAPHS) + number % len(GRAPHS)))
            terms[name] = event_mean(torch.cat(cross), torch.cat(owner), events * len(GRAPHS))
        return terms

    def tabulate(self, output: tuple[list[np.ndarray], list[Judged]], cloud: PointCloud) -> Rows:
        """A row per hit, as of `TrackFinding`."""
        return hit_rows(cloud, output[0])

    def summarize(self, rows: Rows) -> dict[str, float]:
        return track_figures(rows)

    def ceilings(self, output: tuple[list[np.ndarray], list[Judged]], cloud: PointCloud) -> list[Ceiling]:
        """Of one event with truth: the highest score that each stage leaves within reach."""
        particle, weight = cloud.particle_of_point.cpu().numpy(), cloud.point_truth["weight"].cpu().numpy()
        found = np.concatenate([one.triplets.cpu().numpy() for one in output[1]])
        sure = np.concatenate([one.triplet_logits.detach().float().cpu().numpy() for one in output[1]])
        sure = sure >= np.log(self.threshold / (1 - self.threshold))
        stages = [
            Ceiling(name, within_edges(np.concatenate([some[:, :2], some[:, 1:]]).T, particle, weight), float("nan"), len(some))
            for name, some in (("triplets", found), ("sure triplets", found[sure]))
        ]
        (track,) = output[0]
        return [*stages, Ceiling("tracks", official(track, particle, weight), float("nan"), int(track.max(initial=-1)) + 1)]
