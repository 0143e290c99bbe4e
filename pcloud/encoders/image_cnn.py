"""DeepTop: a convolutional network on the jet as an image (Kasieczka et al., arXiv 1701.08784; Macaluso and Shih, 1803.00107).

The cloud is rasterised about its principal axes inside the encoder, so an image tagger runs on the same stores as all others.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.pfn import dense
from pcloud.encoders.protocol import Encoding
from pcloud.jets.frames import principal_axes
from pcloud.jets.images import rasterise
from pcloud.jets.momenta import COLUMNS, momenta, transverse
from pcloud.nn import Standardize

FILTERS = {"minimal": (8, 8, 8, 8), "improved": (128, 64, 64, 64)}
DENSE = {"minimal": (64, 64, 64), "improved": (64, 256, 256)}
KERNEL = 4


class ImageCNN(nn.Module):
    """events = dense(conv^2 pool conv^2 pool image): 4 x 4 filters, pools of 2 x 2, ReLU; points = the row of their event.

    network  "minimal": 8 filters a layer and 64-64-64, as DeepTop; "improved": 128-64-64-64 filters and 64-256-256
    pixels, width   the image, in pixels a side and rad a side
    colours  three more channels beside the pT of all: pT of charged ones, how many they are, how many muons (point columns
             ``charge`` and ``is_muon``)

    Pixels are pT over the jet's pT, from px, py; ``pos`` must be the two angles about the jet axis, which are turned into the
    principal axes and mirrored first. ``feat`` is not read, so ``standardize`` has nothing to do.
    """

    edge_channels = 0

    def __init__(
        self,
        *,
        in_channels: int,
        network: Literal["minimal", "improved"] = "improved",
        pixels: int = 40,
        width: float = 2.0,
        colours: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if network not in FILTERS:
            raise ValueError(f"network = {network!r} came; {' or '.join(FILTERS)} was expected")
        if pixels < 11:
            raise ValueError(f"pixels = {pixels} came; an image of at least 11 was expected, as two pools would leave nothing")
        self.pixels, self.width, self.colours = pixels, width, colours
        self.point_columns = (*COLUMNS, *(("charge", "is_muon") if colours else ()))
        self.standardize = Standardize(in_channels)
        sizes, layers, side = [4 if colours else 1, *FILTERS[network]], [], pixels
        for number, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
            layers += [nn.Conv2d(a, b, KERNEL, padding=1), nn.ReLU()]  # one smaller a layer: 40 pixels become 8, as published
            side -= KERNEL - 3
            if number % 2:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        self.convolve = nn.Sequential(*layers, nn.Flatten())
        self.dense = dense([sizes[-1] * side**2, *DENSE[network]], dropout)
        self.point_channels = self.event_channels = DENSE[network][-1]

    def image(self, cloud: PointCloud) -> Tensor:
        """[events, channels, pixels, pixels], what the network sees."""
        if (columns := cloud.pos.shape[1]) != 2:
            raise ValueError(f"pos has {columns} columns; image-cnn reads two angles about the jet axis, deta and dphi in rad")
        pt = transverse(momenta(cloud, "image-cnn"))
        whole = segments.sum(pt, cloud.offsets)[cloud.event_of_point]
        share = pt / torch.where(whole > 0, whole, 1.0)
        weights = [share]
        if self.colours:
            missing = [name for name in ("charge", "is_muon") if name not in cloud.point]
            if missing:
                raise ValueError(f"colours of image-cnn need the point columns {' and '.join(missing)}; use colours: false")
            charged = (cloud.point["charge"] != 0).to(share.dtype)
            weights += [share * charged, charged, cloud.point["is_muon"].to(share.dtype)]
        angles = principal_axes(cloud.pos, pt.detach(), cloud.offsets)
        return rasterise(angles, torch.stack(weights, 1), cloud.offsets, pixels=self.pixels, width=self.width)

    def forward(self, cloud: PointCloud) -> Encoding:
        events: Tensor = self.dense(self.convolve(self.image(cloud).to(cloud.feat.dtype)))
        return Encoding(events[cloud.event_of_point], events=events)
