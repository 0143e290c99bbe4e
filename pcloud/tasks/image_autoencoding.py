"""Autoencoding jet images: the baselines that an autoencoder of sets is held against, through the same train and evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.jets.frames import principal_axes
from pcloud.jets.images import rasterise
from pcloud.jets.momenta import momenta, transverse
from pcloud.metrics.reconstruction import summary
from pcloud.nn.image_autoencoder import ConvImages, DenseImages, PrincipalComponents
from pcloud.tasks.protocol import Rows


class ImageAutoencoding(nn.Module):
    """score = sum over pixels of (image - network(image))^2, times 1000; image: shares of the jet's pT about its axis, turned.

    network  "pca", "dense" or "conv", through ``latent`` numbers; ``filters`` of the last one
    pixels, width   the image, in pixels a side and rad a side
    """

    needs_truth = False

    def __init__(
        self,
        *,
        network: Literal["pca", "dense", "conv"] = "conv",
        latent: int = 6,
        pixels: int = 40,
        width: float = 1.6,
        filters: int = 128,
    ) -> None:
        super().__init__()
        if min(latent, pixels, filters) < 1:
            raise ValueError(f"latent = {latent}, pixels = {pixels}, filters = {filters} came; 1 or more expected")
        self.pixels, self.width = pixels, width
        self.network: nn.Module = (
            PrincipalComponents(pixels, latent) if network == "pca"
            else DenseImages(pixels, latent) if network == "dense"
            else ConvImages(pixels, latent, filters)
        )  # fmt: skip

    def forward(self, cloud: PointCloud) -> Tensor:
        """1000 (image - network(image))^2, summed over pixels: [events]."""
        pt = transverse(momenta(cloud, "image-autoencoding"))
        whole = segments.sum(pt, cloud.offsets)[cloud.event_of_point]
        share = (pt / torch.where(whole > 0, whole, 1.0)).to(cloud.pos.dtype)
        turned = principal_axes(cloud.pos, share, cloud.offsets)
        image = rasterise(turned, share[:, None], cloud.offsets, pixels=self.pixels, width=self.width)
        error: Tensor = 1000 * (image - self.network(image)).square().sum((1, 2, 3))
        return error

    def loss(self, output: Tensor, cloud: PointCloud) -> dict[str, Tensor]:
        weight = cloud.event_truth.get("weight", torch.ones_like(output))
        return {"pixels": (weight * output).sum() / weight.abs().sum().clamp(min=1e-9)}

    def tabulate(self, output: Tensor, cloud: PointCloud) -> Rows:
        """A row per event: event_id, score, constituents; jet_pt, jet_mass (GeV), label and weight where the cloud has them."""
        rows: dict[str, Any] = {"event_id": cloud.event["event_id"], "score": output}
        rows["constituents"] = segments.lengths(cloud.offsets)
        rows |= {name: cloud.event[name] for name in ("jet_pt", "jet_mass") if name in cloud.event}
        rows |= {name: cloud.event_truth[name] for name in ("label", "weight") if name in cloud.event_truth}
        return {name: column.detach().cpu().numpy() for name, column in rows.items()}

    def summarize(self, rows: Mapping[str, Any]) -> dict[str, float]:
        """Mean score; where there are labels, auc, e10 and e100, label 0 the background."""
        return summary(rows)
