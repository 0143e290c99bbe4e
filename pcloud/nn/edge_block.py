"""The edge convolution block of ParticleNet (Qu and Gouskos, arXiv 1902.08570): three layers on each pair, a mean, a shortcut.

Takes point features and a neighbour table; missing neighbours are in no mean and in no batch statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pcloud.neighbors import Neighbors
from pcloud.neighbors.paths import unwatched
from pcloud.nn.batch_norm import BatchNorm
from pcloud.nn.edge_block_cpu import fused, suits

if TYPE_CHECKING:
    from pcloud.nn.edge_block_settled import Packed


class EdgeBlock(nn.Module):
    """x_i' = relu(norm(S x_i) + mean_j h_ij),  h_ij = f_L(... f_1([x_i, x_j - x_i])),  f_l = relu(norm(W_l .)).

    [points, channels_in] -> [points, widths[-1]]; j runs over the neighbours of i, and the mean of none is 0. ``norm`` is
    batch normalisation over the pairs (points in the shortcut) there are. The first layer's W_1 = [A, B] acts on points, as
    (A - B) x_i + B x_j, not on pairs.
    """

    def __init__(self, channels_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        sizes = [2 * channels_in, *widths]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(sizes, widths, strict=False))
        self.norms = nn.ModuleList(BatchNorm(width) for width in widths)
        self.shortcut = nn.Linear(channels_in, widths[-1], bias=False)
        self.shortcut_norm = BatchNorm(widths[-1])
        self._kept: tuple[list[tuple[int, int]], list[Tensor], Packed] | None = None

    def train(self, mode: bool = True) -> EdgeBlock:
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": None}  # a copy packs its own

    def forward(self, x: Tensor, neighbors: Neighbors) -> Tensor:
        if self._walks(x):
            from pcloud.nn.edge_block_settled import walk  # numba is heavy

            return walk(x, neighbors.index, self._packed())
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            self._kept = None  # weights may be stepped on by an optimiser whose writing torch does not count
        if not self.training and not suits(x, neighbors.index):
            return self.settled(x, neighbors)
        first: nn.Linear = self.layers[0]  # type: ignore[assignment]
        centre, step = first.weight.chunk(2, dim=1)
        receiver, sender = nn.functional.linear(x, centre - step), nn.functional.linear(x, step)
        heard = self.hear(receiver, sender, neighbors)
        return torch.relu(self.shortcut_norm(self.shortcut(x)) + heard)

    def settled(self, x: Tensor, neighbors: Neighbors) -> Tensor:
        """The same where no statistic moves any more, each norm taken into its layer's weights: fewer and smaller steps of torch,
        for an exported file and for gradients."""
        (every_weight, every_shift), *later = self._folded()
        whole = self.shortcut_norm.weight.shape[0]
        half = (every_shift.shape[0] - whole) // 2
        every = nn.functional.linear(x, every_weight, every_shift)
        receiver, sender, shortcut = torch.split(every, [half, half, whole], dim=1)
        h = torch.relu(receiver[:, None] + neighbors.gather(sender)).flatten(0, 1)
        for weight, shift in later:  # on a flat list of pairs, which ONNX Runtime does in one step
            h = torch.relu(nn.functional.linear(h, weight, shift))
        there = neighbors.mask.to(h.dtype)
        share = there / there.sum(1, keepdim=True).clamp(min=1)
        return torch.relu(shortcut + torch.bmm(share[:, None], h.view(*share.shape, h.shape[1])).squeeze(1))

    def _walks(self, x: Tensor) -> bool:
        """Whether it goes as one compiled walk: on a CPU, nobody asking for gradients or looking on, layers after the first."""
        if self.training or len(self.layers) < 2 or type(x) is not Tensor or not unwatched():
            return False
        here = x.device.type == "cpu" and x.dtype == self.shortcut.weight.dtype and not torch.is_autocast_enabled("cpu")
        return here and x.dtype in (torch.float32, torch.float64)

    def _packed(self) -> Packed:
        """What :func:`walk` takes. Kept until one of the tensors it comes from is written to, as torch counts it (it does not
        see ``.data``), or `train`, or a forward of another kind."""
        from pcloud.nn.edge_block_settled import pack

        own = self._modules
        layers, norms = (own[name]._modules.values() for name in ("layers", "norms"))  # type: ignore[union-attr]
        parts: list[Tensor | None] = []
        for one in (own["shortcut"], own["shortcut_norm"], *layers, *norms):
            parts += one._parameters.values()
            parts += one._buffers.values()
            if one._modules:  # parametrized: what it is made of is not seen here
                return pack(self._folded(), self.shortcut_norm.weight.shape[0])
        try:
            state = [(part.data_ptr(), part._version) for part in parts if part is not None]
        except RuntimeError:  # made under torch.inference_mode: nobody counts what is written to it
            return pack(self._folded(), self.shortcut_norm.weight.shape[0])
        if self._kept is None or self._kept[0] != state:
            held = [part.detach() for part in parts if part is not None]  # so that nothing else gets their place in memory
            self._kept = state, held, pack(self._folded(), self.shortcut_norm.weight.shape[0])
        return self._kept[2]

    def _folded(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and shifts with the norms in them: of the first layer's parts and the shortcut in one, then of each layer."""
        weights: list[Tensor] = [layer.weight for layer in self.layers]  # type: ignore[misc]
        norms: list[BatchNorm] = list(self.norms)  # type: ignore[arg-type]
        (weight, shift), *later = [norm.into(one) for norm, one in zip(norms, weights, strict=True)]
        centre, step = weight.chunk(2, dim=1)
        own, own_shift = self.shortcut_norm.into(self.shortcut.weight)
        shifts = torch.cat([shift, torch.zeros_like(shift), own_shift])
        return [(torch.cat([centre - step, step, own]), shifts), *later]

    def hear(self, receiver: Tensor, sender: Tensor, neighbors: Neighbors) -> Tensor:
        """mean_j h_ij from the two parts of the first layer, [points, widths[0]] each."""
        weights: list[Tensor] = [layer.weight for layer in list(self.layers)[1:]]  # type: ignore[misc]
        norms: list[BatchNorm] = list(self.norms)  # type: ignore[arg-type]
        if suits(receiver, neighbors.index):
            return fused(receiver, sender, neighbors.index, weights, norms)
        mask = neighbors.mask
        h = torch.relu(norms[0](receiver[:, None] + neighbors.gather(sender), mask))
        for weight, norm in zip(weights, norms[1:], strict=True):
            h = torch.relu(norm(nn.functional.linear(h, weight), mask))
        there = mask[..., None].to(h.dtype)
        return (h * there).sum(1) / there.sum(1).clamp(min=1)
