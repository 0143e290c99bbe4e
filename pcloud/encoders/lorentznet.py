"""LorentzNet: messages between four-vectors that see only their Minkowski products (Gong et al., arXiv 2201.08187).

Whatever boost or rotation the jet is seen in, ``events`` stay what they are; no beam and no axis enters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.jets.momenta import COLUMNS, momenta
from pcloud.jets.pairs import ordered
from pcloud.nn import BatchNorm, Standardize


class LorentzNet(nn.Module):
    """h = W [psi(m^2), scalars];  ``layers`` group equivariant blocks;  events = dropout(relu(W mean of h)), points = h.

    Reads the four-vectors px, py, pz, energy (GeV) and the point columns named by ``scalars``, such as particle-id flags, which
    must not change under boosts. ``pos`` and ``feat`` are not read (they are not invariant), so ``standardize`` has nothing to
    do. Products are taken in float64: a difference of large squares is what a mass is. Every ordered pair of a jet's
    constituents is an edge; time and memory grow with the square of their number.
    """

    edge_channels = 0

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int = 72,
        layers: int = 6,
        step: float = 0.005,
        scalars: tuple[str, ...] = (),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, layers=layers)
        self.scalars = tuple(scalars)
        self.point_columns = (*COLUMNS, *self.scalars)
        self.point_channels = self.event_channels = channels
        self.standardize = Standardize(in_channels)
        seen = 1 + len(self.scalars)
        self.embed = nn.Linear(seen, channels)
        self.blocks = nn.ModuleList(LorentzBlock(channels, seen, step, last=n == layers - 1) for n in range(layers))
        self.dense = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, cloud: PointCloud) -> Encoding:
        x = momenta(cloud, "lorentznet").double()
        missing = [name for name in self.scalars if name not in cloud.point]
        if missing:
            raise ValueError(f"lorentznet's scalars name point columns that are not there: {', '.join(missing)}")
        columns = [psi(dot(x, x)), *(cloud.point[name] for name in self.scalars)]
        seen = torch.stack([column.to(self.embed.weight.dtype) for column in columns], dim=-1)
        h = self.embed(seen)
        pairs = ordered(cloud.offsets)
        for block in self.blocks:
            h, x = block(h, x, seen, pairs)
        return Encoding(h, events=self.dense(segments.mean(h, cloud.offsets)))


class LorentzBlock(nn.Module):
    """m_ij = f_e(h_i, h_j, psi(|x_i - x_j|^2), psi(x_i . x_j));  w_ij = sigmoid(W m_ij);
    x_i' = x_i + c mean_j f_x(w_ij m_ij) (x_i - x_j);  h_i' = h_i + f_h(h_i, sum_j w_ij m_ij, scalars).

    h [points, channels], x [points, 4] float64; the first layer of f_e acts on h_i and h_j apart. The last block moves no x.
    """

    def __init__(self, channels: int, seen: int, step: float, *, last: bool) -> None:
        super().__init__()
        self.step = step
        self.receiver, self.sender = (nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.products = nn.Linear(2, channels, bias=False)
        self.norm = BatchNorm(channels)
        self.message = nn.Linear(channels, channels)
        self.weigh = nn.Linear(channels, 1)
        self.update = nn.Sequential(
            nn.Linear(2 * channels + seen, channels), BatchNorm(channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.move = None
        if not last:
            out = nn.Linear(channels, 1, bias=False)
            nn.init.xavier_uniform_(out.weight, gain=0.001)
            self.move = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), out)

    def forward(self, h: Tensor, x: Tensor, seen: Tensor, pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        i, j = pairs
        x_i, x_j = x.index_select(0, i), x.index_select(0, j)
        away = x_i - x_j
        products = torch.stack([psi(dot(away, away)), psi(dot(x_i, x_j))], dim=-1).to(h.dtype)
        pair = self.receiver(h).index_select(0, i) + self.sender(h).index_select(0, j) + self.products(products)
        message = torch.relu(self.message(torch.relu(self.norm(pair))))
        message = message * torch.sigmoid(self.weigh(message))
        if self.move is not None:
            push = self.move(message).double() * away
            others = torch.bincount(i, minlength=len(x)).clamp(min=1)[:, None]
            x = x + self.step * torch.zeros_like(x).index_add(0, i, push) / others
        heard = torch.zeros_like(h).index_add(0, i, message.to(h.dtype))
        return h + self.update(torch.cat([h, heard, seen], dim=-1)), x


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Minkowski product E E' - p . p' of (px, py, pz, energy): [..., 4], [..., 4] -> [...]."""
    return a[..., 3] * b[..., 3] - (a[..., :3] * b[..., :3]).sum(-1)


def psi(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|): large masses made small."""
    return torch.sign(x) * torch.log1p(x.abs())
