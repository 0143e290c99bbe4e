"""From a latent vector to a set of points: learned queries that hear one another, or one dense network.

``SetDecoder(8, out=3)(z)`` is [events, slots, out]. A row depends on its own latent alone: nothing else of the input is at hand.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SetDecoder(nn.Module):
    """x_s = q_s (1 + A z) + B z, slot by slot, then ``layers`` blocks of attention among the slots of an event, then linear.

    q: ``slots`` learned queries; A, B: linear. z [events, latent] -> [events, slots, out].
    """

    def __init__(self, latent: int, *, out: int, slots: int = 64, channels: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        if min(latent, out, slots, channels, layers, heads) < 1 or channels % heads:
            came = f"slots = {slots}, channels = {channels}, layers = {layers}, heads = {heads}"
            raise ValueError(f"{came} came; 1 or more expected, channels a multiple of heads")
        self.query = nn.Parameter(torch.randn(slots, channels))
        self.told = nn.Sequential(nn.Linear(latent, channels), nn.GELU(), nn.Linear(channels, 2 * channels))
        self.blocks = nn.ModuleList(_Block(channels, heads) for _ in range(layers))
        self.out = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, out))

    def forward(self, z: Tensor) -> Tensor:
        scale, shift = self.told(z)[:, None].chunk(2, dim=-1)
        x = self.query * (1 + scale) + shift
        for block in self.blocks:
            x = block(x)
        made: Tensor = self.out(x)
        return made


class _Block(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.mix = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.dense = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        heard = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.mix(heard)
        made: Tensor = x + self.dense(self.norm(x))
        return made


class DenseDecoder(nn.Module):
    """relu layers on the latent, all slots at once: z [events, latent] -> [events, slots, out]."""

    def __init__(self, latent: int, *, out: int, slots: int = 64, channels: int = 128, layers: int = 2) -> None:
        super().__init__()
        if min(latent, out, slots, channels, layers) < 1:
            raise ValueError(f"slots = {slots}, channels = {channels}, layers = {layers} came; 1 or more expected")
        sizes = [latent, *[channels] * layers]
        steps = [part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
        self.net = nn.Sequential(*steps, nn.Linear(channels, slots * out), nn.Unflatten(-1, (slots, out)))

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = self.net(z)
        return made
