"""Locality attention: hits sorted so that those of a track lie close together, and exact softmax attention inside windows.

After HEPT (arXiv 2402.12535), HEPTv2 (2510.07594) and hepattn (2411.07149): cost linear in the hits, with no graph to build.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pcloud import physics
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.nn import MLP, Standardize, WindowAttention, Windows

BENDS = (0.0, 4e-4, -4e-4, 1e-3, -1e-3)  # 1/mm, one over the diameter of the circle: pT of 0.75 and 0.3 GeV in 2 T
VERTICES = (0.0, 40.0, -40.0)  # mm, where on the beam line a track may come from
SHARPNESS = 8.0  # angles enter in units of 1/8 rad


class View(NamedTuple):
    """How a block sorts hits: along the azimuth if ``spiral``, else along eta; of tracks of this bend and vertex."""

    spiral: bool
    bend: float
    vertex: float
    offset: float  # of the borders of the strips, in strips


class WindowEncoder(nn.Module):
    """h_0 = MLP([x, g]);  h_l = h_{l-1} + Attention(norm h_{l-1}, g);  h_l += MLP(norm h_l);  points = MLP([h_L, g]).

    g: azimuth and pseudorapidity of a hit as a track of each of BENDS and VERTICES would have them at the beam line. Hits of
    one track agree where the guess is right, so each block sorts by another guess. Odd blocks sort along a spiral around the
    beam, whose turns are ``width`` apart in eta: it has no seam in phi. Even ones go up and down in eta through sectors of
    ``width`` rad. The order is cut into windows of ``window`` hits, the borders half a window further on in every other pair
    of blocks; a hit attends to its own window.

    points [points, channels]; ``pos`` must be x, y, z in mm. Time and memory grow as points * layers * (channels + window).
    ``recompute`` keeps no block's inside for the backward pass: about a third more time, much less memory.
    """

    event_channels = edge_channels = 0

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int = 48,
        layers: int = 6,
        heads: int = 4,
        window: int = 128,
        width: float = 0.25,
        dropout: float = 0.0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, layers=layers, heads=heads, window=window)
        if not 0.0 < width <= 1.0:
            raise ValueError(f"width = {width} came; a strip is more than 0 and at most 1 wide, in rad and in eta")
        self.window, self.width, self.recompute = window, width, recompute
        self.point_channels = channels
        self.views = [view(number) for number in range(layers)]
        places = 2 * len(BENDS) + len(VERTICES) + 2
        self.standardize = Standardize(in_channels)
        self.point_input = MLP([in_channels + places, channels, channels], dropout=dropout)
        self.blocks = nn.ModuleList(Block(channels, places, heads=heads, dropout=dropout) for _ in range(layers))
        self.fuse = MLP([channels + places, channels, channels], dropout=dropout)

    def forward(self, cloud: PointCloud) -> Encoding:
        if (columns := cloud.pos.shape[1]) != 3:
            raise ValueError(f"pos has {columns} columns; windows reads x, y, z in mm")
        owner, first = cloud.event_of_point, lexical([*cloud.feat.unbind(1), *cloud.pos.unbind(1)])
        place = places(cloud.pos)
        x = self.point_input(torch.cat([self.standardize(cloud.feat), place], dim=-1))
        for number, (block, view) in enumerate(zip(self.blocks, self.views, strict=True)):
            order = first[torch.argsort(sorted_by(cloud.pos, view, self.width)[first], stable=True)]
            order = order[torch.argsort(owner[order], stable=True)]
            windows = Windows.cut(order, owner, cloud.offsets, self.window, shift=number // 2 % 2 * (self.window // 2))
            if self.recompute and self.training:
                x = checkpoint(block, x, place, windows, use_reentrant=False)
            else:
                x = block(x, place, windows)
        return Encoding(self.fuse(torch.cat([x, place], dim=-1)))


class Block(nn.Module):
    """A pre-norm transformer block: x + Attention(norm x), then x + MLP(norm x)."""

    def __init__(self, channels: int, places: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.before = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, places, heads=heads)
        self.norm = nn.LayerNorm(channels)
        self.update = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.SiLU(), nn.Dropout(dropout), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor, place: Tensor, windows: Windows) -> Tensor:
        x = x + self.attention(self.before(x), place, windows)
        out: Tensor = x + self.update(self.norm(x))
        return out


def view(number: int) -> View:
    """The view of a block: its kind alternates, bends and vertices come in turn, and no border lies twice in one place."""
    return View(number % 2 == 0, BENDS[number // 2 % len(BENDS)], VERTICES[number // 2 % len(VERTICES)], number * 0.381966)


def places(pos: Tensor) -> Tensor:
    """Where a hit's track may come from: [points, 3] (mm) -> [points, 2 bends + vertices + 2], angles sharpened."""
    r, phi, z = physics.cylindrical(pos)
    azimuths = [physics.unbent(r, phi, bend) for bend in BENDS]
    circles = [part for azimuth in azimuths for part in (torch.cos(azimuth), torch.sin(azimuth))]
    slopes = [physics.pseudorapidity(r, z - vertex) for vertex in VERTICES]
    depth = [r / 500.0, torch.log(torch.hypot(r, z).clamp(min=1.0)) / SHARPNESS]
    return SHARPNESS * torch.stack([*circles, *slopes, *depth], dim=-1)


def sorted_by(pos: Tensor, view: View, width: float) -> Tensor:
    """The number [points] by which a block sorts the hits: how far along the spiral, or sector and eta."""
    r, phi, z = physics.cylindrical(pos)
    turn = physics.unbent(r, phi, view.bend) / (2 * torch.pi)
    eta = physics.pseudorapidity(r, z - view.vertex)
    if view.spiral:
        return torch.floor(eta / width - turn + view.offset) + turn
    sectors = round(2 * torch.pi / width)
    sector = torch.floor(torch.remainder(turn * sectors + view.offset, sectors)).clamp(max=sectors - 1)
    return sector + torch.sigmoid(torch.where(sector % 2 == 0, eta, -eta))


def lexical(keys: list[Tensor]) -> Tensor:
    """The order [points] that sorts by the last key, ties by the one before it, and so on: the same however hits come."""
    order = torch.argsort(keys[0], stable=True)
    for key in keys[1:]:
        order = order[torch.argsort(key[order], stable=True)]
    return order
