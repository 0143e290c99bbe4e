"""Autoencoding sets: a jet, or an event of jets, goes through a few numbers and comes back; what comes back badly is unlike what
was trained on.

An encoder says one vector per jet, ``latent`` numbers are made of it, and of these alone a decoder makes a set: directions,
shares of the momentum, and how many. No label is ever asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders import Encoder
from pcloud.jets.sets import FRAMES, WeightedSet, as_set
from pcloud.losses.sets import SET_LOSSES
from pcloud.metrics.reconstruction import summary
from pcloud.neighbors import knn
from pcloud.nn import DenseDecoder, SetDecoder
from pcloud.tasks.invented import contrast as contrast_of
from pcloud.tasks.protocol import Rows


@dataclass(frozen=True)
class Rebuilt:
    """given: the jets' sets; made: those decoded; latent [events, latent]; spread: log of their variance, of a variational one;
    log_count [events]: logarithm of how many points, as the latent says."""

    given: WeightedSet
    made: WeightedSet
    latent: Tensor
    spread: Tensor | None
    log_count: Tensor


class Autoencoding(nn.Module):
    """z = W norm(encoder(cloud).events);  (directions, shares, count) = decoder(z);  score = set loss, or distance to latents.

    latent    numbers a jet goes through
    loss      one of ``losses.sets.SET_LOSSES``, on directions in the unit of the frame (0.8 rad, of events pi / 2), weighted by
              shares; ``loss_options`` its own
    decoder   "queries" or "dense", of ``slots`` points at most and ``channels`` wide
    frame     "jet", or "standard": seen so that neither mass nor pT of the jet is left, or "event" for jets of whole
              events (``jets.sets``)
    beta      above 0: variational (Kingma and Welling, arXiv 1312.6114), weight of the divergence from a unit normal
    contrast  above 0: normalised, weight of the error of sets that the model itself makes up, see ``tasks.invented``; in a
              frame other than "jet"; best begun from the weights of a run without (``pcloud train --from``)
    count     weight of the squared error of the logarithm of the number of points
    known, neighbors   latents of so many training jets, the last seen, are kept; ``score_latent`` is the mean distance to so many
              nearest of them
    """

    needs_truth = False
    reference: Tensor
    seen: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        latent: int = 8,
        loss: str = "energy",
        loss_options: dict[str, float] | None = None,
        decoder: Literal["queries", "dense"] = "queries",
        slots: int = 64,
        channels: int = 64,
        frame: Literal["jet", "upright", "standard", "event"] = "jet",
        beta: float = 0.0,
        contrast: float = 0.0,
        count: float = 0.01,
        known: int = 4096,
        neighbors: int = 5,
    ) -> None:
        super().__init__()
        if loss not in SET_LOSSES:
            raise ValueError(f"loss = {loss!r} came; one of {', '.join(SET_LOSSES)} expected")
        if not encoder.event_channels:
            kind = type(encoder).__name__
            raise ValueError(f"task autoencoding needs an encoder with features of events; {kind} has none: use pfn")
        if latent < 1 or known < neighbors or neighbors < 1:
            raise ValueError(f"latent = {latent}, known = {known}, neighbors = {neighbors} came; 1 or more, known the largest")
        if contrast > 0 and frame == "jet":
            raise ValueError("contrast above 0 came with frame jet, in which what is made up has no features; take upright")
        self.contrast = contrast
        self.encoder, self.loss_name, self.options, self.frame = encoder, loss, loss_options or {}, frame
        self.unit = FRAMES[frame].unit
        self.beta, self.count, self.neighbors = beta, count, neighbors
        self.norm = nn.LayerNorm(encoder.event_channels)  # encoders that sum say most of all how many points came
        self.squeeze = nn.Linear(encoder.event_channels, 2 * latent if beta > 0 else latent)
        self.decoder = {"queries": SetDecoder, "dense": DenseDecoder}[decoder](latent, out=3, slots=slots, channels=channels)
        self.counter = nn.Sequential(nn.Linear(latent, channels), nn.ReLU(), nn.Linear(channels, 1))
        nn.init.constant_(self.counter[-1].bias, 3.5)  # type: ignore[arg-type]  # some 30 points
        self.register_buffer("reference", torch.zeros(known, latent))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, cloud: PointCloud) -> Rebuilt:
        output = self.rebuild(*as_set(cloud, self.frame))
        if self.training:
            self._remember(output.latent.detach())
        return output

    def rebuild(self, cloud: PointCloud, given: WeightedSet) -> Rebuilt:
        """What comes back of these sets, ``cloud`` being what the encoder sees of them."""
        events = self.encoder(cloud).events
        assert events is not None
        z, spread = self.squeeze(self.norm(events)), None
        if self.beta > 0:
            z, spread = z.chunk(2, dim=1)
        said = z + torch.randn_like(z) * (spread / 2).exp() if spread is not None and self.training else z
        made, log_count = self.decode(said)
        return Rebuilt(given, made, z, spread, log_count)

    def decode(self, z: Tensor) -> tuple[WeightedSet, Tensor]:
        """The sets of latents [events, latent], each of as many points as its latent says, and the logarithm of that number."""
        out = self.decoder(z)
        log_count = self.counter(z).squeeze(1)
        points = log_count.detach().exp().round().clamp(1, out.shape[1]).long()
        rank = out[..., 2].detach().argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
        kept = rank < points[:, None]
        share = out[..., 2].masked_fill(~kept, -torch.inf).softmax(1)
        return WeightedSet(out[..., :2][kept] * self.unit, share[kept], segments.offsets_of(points)), log_count

    def loss(self, output: Rebuilt, cloud: PointCloud) -> dict[str, Tensor]:
        asked = segments.lengths(output.given.offsets).clamp(min=1).log()
        terms = {self.loss_name: self.distance(output), "count": self.count * (output.log_count - asked).square()}
        if output.spread is not None:
            spread = output.spread
            terms["divergence"] = self.beta * 0.5 * (spread.exp() + output.latent.square() - 1 - spread).sum(1)
        weight = cloud.event_truth.get("weight", torch.ones_like(asked))
        mean = {name: (weight * term).sum() / weight.abs().sum().clamp(min=1e-9) for name, term in terms.items()}
        if self.contrast > 0 and self.training and cloud.points:
            typical = mean[self.loss_name].detach().clamp(min=1e-9)
            mean["contrast"] = self.contrast * contrast_of(self, output, cloud, typical)
        return mean

    def distance(self, output: Rebuilt) -> Tensor:
        """The set loss of each event [events]."""
        given, made = output.given, output.made
        still = {"seed": 0} if self.loss_name == "sliced" and not self.training else {}
        return SET_LOSSES[self.loss_name](
            made.pos / self.unit, made.offsets, given.pos / self.unit, given.offsets, x_weight=made.share, y_weight=given.share,
            **{**still, **self.options},
        )  # fmt: skip

    def tabulate(self, output: Rebuilt, cloud: PointCloud) -> Rows:
        """A row per event: event_id, score (the set loss), score_latent, constituents and how many the latent says; jet_pt,
        jet_mass (GeV; of a whole event the scalar sum of pT and the mass of all its points), label and weight where the cloud
        has them."""
        rows: dict[str, Any] = {"event_id": cloud.event["event_id"], "score": self.distance(output)}
        rows |= {"score_latent": self._strange(output.latent)} if int(self.seen) >= self.neighbors else {}
        rows["constituents"] = segments.lengths(output.given.offsets)
        rows["constituents_said"] = segments.lengths(output.made.offsets)
        rows |= {name: cloud.event[name] for name in ("jet_pt", "jet_mass") if name in cloud.event}
        rows |= {name: cloud.event_truth[name] for name in ("label", "weight") if name in cloud.event_truth}
        return {name: column.detach().cpu().numpy() for name, column in rows.items()}

    def summarize(self, rows: Mapping[str, Any]) -> dict[str, float]:
        """Mean score and error of the count; where there are labels, auc, e10 and e100 of each score, label 0 the background."""
        return summary(rows)

    def _strange(self, z: Tensor) -> Tensor:
        """Mean distance to the nearest of the latents kept."""
        known = self.reference[: int(self.seen.clamp(max=len(self.reference)))]
        ends = [torch.tensor([0, len(one)], device=z.device) for one in (known, z)]
        near = knn(known, ends[0], self.neighbors, query=z.float(), query_offsets=ends[1])
        return near.distance2.sqrt().mean(1)

    def _remember(self, z: Tensor) -> None:
        place = (self.seen + torch.arange(len(z), device=z.device)) % len(self.reference)
        self.reference[place] = z.to(self.reference)
        self.seen += len(z)
