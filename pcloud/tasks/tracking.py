"""Finding tracks: which hits of an event were left by the same particle?

An encoder looks at the hits; a finder reads edges or a learned space off it, is trained by truth, and links hits into candidates.
"""

from __future__ import annotations

import math
import time
from typing import Literal

import numpy as np
from scipy.special import expit
from torch import Tensor, nn

from pcloud import losses
from pcloud.cloud import PointCloud
from pcloud.encoders import Encoder, Encoding
from pcloud.nn import MLP
from pcloud.tasks.hit_rows import hit_rows, track_figures
from pcloud.tasks.protocol import Rows
from pcloud.tracking import candidates as building
from pcloud.tracking.ceilings import Ceiling, official, within_edges


class TrackFinding(nn.Module):
    """Encoder -> finder -> candidates -> TrackML score.

    finder: ``edges`` classifies pairs of hits and joins them (the encoder must have edges); ``embedding`` learns a space where
    the hits of a particle cluster and runs DBSCAN in it; ``condensation`` learns a representative hit per particle.
    threshold is the finder's cut: least edge score, DBSCAN radius, or least beta. A candidate has at most max_hits hits;
    what is larger is parted (edges), given up (embedding), or loses its farthest hits (condensation).
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        finder: Literal["edges", "embedding", "condensation"] = "edges",
        threshold: float = 0.3,
        max_hits: int = 20,
    ) -> None:
        super().__init__()
        if finder not in FINDERS:
            raise ValueError(f"finder {finder!r} came; one of {', '.join(FINDERS)} expected")
        low, high = 0.0, (math.inf if finder == "embedding" else 1.0)
        if not low < threshold < high:
            raise ValueError(f"threshold = {threshold} came; finder {finder} expects more than {low:g} and less than {high:g}")
        if max_hits < 2:
            raise ValueError(f"max_hits = {max_hits} came; a candidate has at least 2 hits")
        self.encoder = encoder
        self.finder = FINDERS[finder](encoder, threshold=threshold, max_hits=max_hits)

    def forward(self, cloud: PointCloud) -> tuple[Tensor, ...]:
        output: tuple[Tensor, ...] = self.finder(self.encoder(cloud))
        return output

    def loss(self, output: tuple[Tensor, ...], cloud: PointCloud) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.finder.loss(output, cloud.particle_of_point, cloud.offsets)
        return terms

    def tabulate(self, output: tuple[Tensor, ...], cloud: PointCloud) -> Rows:
        """A row per hit: event_id, hit_id, track_id; with truth also particle_id (0 = noise), and weight where it has one."""
        output = tuple(part.detach() for part in output)
        bounds = cloud.offsets.tolist()
        tracks = [self.finder.candidates(output, cloud.pos, a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        return hit_rows(cloud, tracks)

    def summarize(self, rows: Rows) -> dict[str, float]:
        return track_figures(rows)

    def ceilings(self, output: tuple[Tensor, ...], cloud: PointCloud) -> list[Ceiling]:
        """Of one event with truth: the highest score that each stage leaves within reach."""
        particle, weight = cloud.particle_of_point.cpu().numpy(), cloud.point_truth["weight"].cpu().numpy()
        start = time.perf_counter()
        track = self.finder.candidates(output, cloud.pos, 0, cloud.points)
        tracks = Ceiling("tracks", official(track, particle, weight), time.perf_counter() - start, int(track.max(initial=-1)) + 1)
        graphs = self.finder.graphs(output) if isinstance(self.finder, Edges) else {}
        reached = [Ceiling(name, within_edges(e, particle, weight), math.nan, e.shape[1]) for name, e in graphs.items()]
        return [*reached, tracks]


class Edges(nn.Module):
    """Score each edge, sigmoid(MLP(e_ij)), and join each hit to its surest neighbours inward and outward above ``threshold``."""

    def __init__(self, encoder: Encoder, *, threshold: float, max_hits: int) -> None:
        super().__init__()
        if not encoder.edge_channels:
            raise ValueError(f"finder edges needs an encoder with edges; {type(encoder).__name__} has none: use interaction")
        self.threshold, self.max_hits = threshold, max_hits
        self.head = MLP([encoder.edge_channels, encoder.edge_channels, 1])

    def forward(self, encoding: Encoding) -> tuple[Tensor, Tensor]:
        assert encoding.edges is not None
        return self.head(encoding.edges.features).squeeze(-1), encoding.edges.neighbors.index

    def loss(self, output: tuple[Tensor, ...], particle: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        logits, index = output
        same = (particle[:, None] >= 0) & (particle[:, None] == particle[index.clamp(min=0)])
        return {"edges": losses.edge_cross_entropy(logits, same, index >= 0, offsets)}

    def graphs(self, output: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
        """The edges [2, edges] looked at, and those that are sure enough to be followed."""
        logits, index = _arrays(0, len(output[0]), *output)
        receiver, place = np.nonzero(index >= 0)
        edges = np.stack([receiver, index[receiver, place]])
        return {"edges": edges, "sure edges": edges[:, expit(logits[receiver, place].astype(np.float64)) >= self.threshold]}

    def candidates(self, output: tuple[Tensor, ...], pos: Tensor, first: int, last: int) -> np.ndarray:
        logits, index, place_of = _arrays(first, last, *output, pos)
        depth = np.linalg.norm(place_of, axis=1)
        receiver, place = np.nonzero(index >= 0)
        edges = np.stack([receiver, index[receiver, place] - first])
        score = expit(logits[receiver, place].astype(np.float64))
        return building.linked(depth, edges, score, threshold=self.threshold, max_hits=self.max_hits)


class Embedding(nn.Module):
    """Place each hit in a space where its particle's hits are near; candidates are DBSCAN clusters of radius ``threshold``."""

    def __init__(self, encoder: Encoder, *, threshold: float, max_hits: int, dim: int = 8) -> None:
        super().__init__()
        self.threshold, self.max_hits = threshold, max_hits
        self.head = MLP([encoder.point_channels, encoder.point_channels, dim])

    def forward(self, encoding: Encoding) -> tuple[Tensor]:
        return (self.head(encoding.points),)

    def loss(self, output: tuple[Tensor, ...], particle: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        return losses.contrastive(output[0], particle, offsets)

    def candidates(self, output: tuple[Tensor, ...], pos: Tensor, first: int, last: int) -> np.ndarray:
        (coords,) = _arrays(first, last, *output)
        return building.shorter(building.dbscan(coords, eps=self.threshold), self.max_hits)


class Condensation(nn.Module):
    """Give each hit a beta and a place; hits gather around condensation points of beta above ``threshold``: to each the
    nearest ``max_hits`` within REACH, of a space in which representatives of two particles push each other within 1."""

    REACH = 0.75

    def __init__(self, encoder: Encoder, *, threshold: float, max_hits: int, dim: int = 8) -> None:
        super().__init__()
        self.threshold, self.max_hits = threshold, max_hits
        self.head = MLP([encoder.point_channels, encoder.point_channels, dim + 1])

    def forward(self, encoding: Encoding) -> tuple[Tensor, Tensor]:
        out = self.head(encoding.points)
        return out[:, 0], out[:, 1:]

    def loss(self, output: tuple[Tensor, ...], particle: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        beta_logit, coords = output
        return losses.condensation(beta_logit, coords, particle, offsets, q_min=0.5, forgiving=True)

    def candidates(self, output: tuple[Tensor, ...], pos: Tensor, first: int, last: int) -> np.ndarray:
        logit, coords = _arrays(first, last, *output)
        beta = expit(logit.astype(np.float64))
        return building.condensation_points(beta, coords, beta_min=self.threshold, distance=self.REACH, max_hits=self.max_hits)


FINDERS = {"edges": Edges, "embedding": Embedding, "condensation": Condensation}


def _arrays(first: int, last: int, *parts: Tensor) -> list[np.ndarray]:
    """One event's rows of each tensor; numpy has no bfloat16."""
    rows = [part[first:last] for part in parts]
    return [(one.float() if one.is_floating_point() else one).cpu().numpy() for one in rows]
