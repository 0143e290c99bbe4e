"""Energy flow and particle flow networks: deep sets for jets (Komiske, Metodiev, Thaler, arXiv 1810.05165).

``ParticleFlow`` sums a function of each constituent; ``EnergyFlow`` a function of its direction alone, weighted by its share
of the pT, which makes it safe against soft and collinear radiation by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.jets.momenta import COLUMNS, momenta, transverse
from pcloud.nn import Standardize


def dense(widths: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """relu(W_n ... relu(W_1 x)), with dropout after each layer; weights as in the paper (He, arXiv 1502.01852)."""
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        linear = nn.Linear(a, b)
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


class ParticleFlow(nn.Module):
    """points = phi(x_i);  events = F(sum_i phi(x_i)); both dense networks, of widths ``phi`` and ``f``.

    The last layer of the paper's F, linear to the classes, is the task's head.
    """

    edge_channels = 0
    point_columns = ()

    def __init__(
        self,
        *,
        in_channels: int,
        phi: tuple[int, ...] = (100, 100, 256),
        f: tuple[int, ...] = (100, 100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        at_least_one(phi=min(phi, default=0), f=min(f, default=0))
        self.point_channels, self.event_channels = phi[-1], f[-1]
        self.standardize = Standardize(in_channels)
        self.phi = dense([in_channels, *phi])
        self.dense = dense([phi[-1], *f], dropout)

    def forward(self, cloud: PointCloud) -> Encoding:
        points: Tensor = self.phi(self.standardize(cloud.feat))
        return Encoding(points, events=self.dense(segments.sum(points, cloud.offsets)))


class EnergyFlow(nn.Module):
    """points = phi(p_i);  events = F(sum_i z_i phi(p_i)),  z_i = pT_i / sum of pT, p_i = ``pos``, two angles about the jet axis.

    pT comes from the point columns px, py; ``feat`` is not read (a momentum in it would end the safety), so ``standardize``
    has nothing to do. A constituent split in two of the same direction, or one more of no pT, leaves ``events`` as it is.
    """

    edge_channels = 0
    point_columns = COLUMNS

    def __init__(
        self,
        *,
        in_channels: int,
        phi: tuple[int, ...] = (100, 100, 256),
        f: tuple[int, ...] = (100, 100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        at_least_one(phi=min(phi, default=0), f=min(f, default=0))
        self.point_channels, self.event_channels = phi[-1], f[-1]
        self.standardize = Standardize(in_channels)
        self.phi = dense([2, *phi])
        self.dense = dense([phi[-1], *f], dropout)

    def forward(self, cloud: PointCloud) -> Encoding:
        if (columns := cloud.pos.shape[1]) != 2:
            raise ValueError(f"pos has {columns} columns; efn reads two angles about the jet axis, deta and dphi in rad")
        pt = transverse(momenta(cloud, "efn"))
        whole = segments.sum(pt, cloud.offsets)[cloud.event_of_point]
        share = (pt / torch.where(whole > 0, whole, 1.0)).to(cloud.pos.dtype)
        points: Tensor = self.phi(cloud.pos)
        return Encoding(points, events=self.dense(segments.sum(share[:, None] * points, cloud.offsets)))
