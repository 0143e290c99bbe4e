"""Autoencoders of images, as baselines (Farina, Nakai and Shih, arXiv 1808.08992): principal components, dense, convolutions.

Each is called on images [events, 1, pixels, pixels] and gives them back, through ``latent`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SPARE = 10  # components beyond those used: what batches leave to later ones


class PrincipalComponents(nn.Module):
    """Projection on the ``latent`` directions of largest variance of all images seen in training.

    Not by descent: each batch is merged into mean and components by a singular value decomposition (Ross et al., Int. J. Comput.
    Vis. 77 (2008) 125), which is exact but for what the components beyond ``latent + SPARE`` hold.
    """

    mean: Tensor
    components: Tensor
    strength: Tensor
    count: Tensor

    def __init__(self, pixels: int, latent: int) -> None:
        super().__init__()
        self.latent, size = latent, pixels * pixels
        rank = min(latent + SPARE, size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("components", torch.zeros(rank, size))
        self.register_buffer("strength", torch.zeros(rank))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.nothing = nn.Parameter(torch.zeros(()))  # for an optimiser to hold

    def forward(self, image: Tensor) -> Tensor:
        rows = image.flatten(1)
        if self.training:
            self._merge(rows.detach())
        used = self.components[: self.latent]
        made: Tensor = ((rows - self.mean) @ used.T @ used + self.mean).view_as(image) + 0 * self.nothing
        return made

    @torch.no_grad()
    def _merge(self, rows: Tensor) -> None:
        old, new = int(self.count), len(rows)
        if not new:
            return
        middle = rows.mean(0)
        shift = (old * new / (old + new)) ** 0.5 * (self.mean - middle)
        stacked = torch.cat([self.strength[:, None] * self.components, rows - middle, shift[None]])
        _, strength, components = torch.linalg.svd(stacked, full_matrices=False)
        rank = min(len(self.strength), len(strength))
        self.strength[:rank], self.components[:rank] = strength[:rank], components[:rank]
        self.mean.copy_((old * self.mean + new * middle) / (old + new))
        self.count += new


class DenseImages(nn.Sequential):
    """pixels^2 - hidden - latent - hidden - pixels^2, relu between."""

    def __init__(self, pixels: int, latent: int, hidden: int = 32) -> None:
        size = pixels * pixels
        super().__init__(
            nn.Flatten(), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent), nn.Linear(latent, hidden), nn.ReLU(),
            nn.Linear(hidden, size), nn.Unflatten(1, (1, pixels, pixels)),
        )  # fmt: skip


class ConvImages(nn.Sequential):
    """F C3, pool 2, F C3, pool 2, F C3, 32, latent, 32, F (pixels / 4)^2, F C3, up 2, F C3, up 2, 1 C3; F = ``filters`` (128 in
    the paper). ``pixels``: a multiple of 4."""

    def __init__(self, pixels: int, latent: int, filters: int = 128) -> None:
        side = pixels // 4
        if side * 4 != pixels:
            raise ValueError(f"pixels = {pixels} came; a multiple of 4 expected, as two pools halve the image")

        def conv(a: int, b: int) -> nn.Module:
            return nn.Conv2d(a, b, 3, padding=1)

        super().__init__(
            conv(1, filters), nn.ReLU(), nn.MaxPool2d(2), conv(filters, filters), nn.ReLU(), nn.MaxPool2d(2),
            conv(filters, filters), nn.ReLU(), nn.Flatten(), nn.Linear(filters * side**2, 32), nn.ReLU(), nn.Linear(32, latent),
            nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, filters * side**2), nn.ReLU(), nn.Unflatten(1, (filters, side, side)),
            conv(filters, filters), nn.ReLU(), nn.Upsample(scale_factor=2), conv(filters, filters), nn.ReLU(),
            nn.Upsample(scale_factor=2), conv(filters, 1),
        )  # fmt: skip
