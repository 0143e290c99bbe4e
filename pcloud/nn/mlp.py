"""The multi-layer perceptron that every other layer is made of.

``MLP([8, 64, 64, 3])`` maps [..., 8] to [..., 3]; the last layer is linear.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


class MLP(nn.Sequential):
    """x -> W_n act(norm(W_{n-1} ... x)): linear layers with layer norm and SiLU between them.

    widths [layers + 1]: channels in, hidden, out. Layer norm (Ba 2016) needs no batch statistics, so one event gives the
    same numbers alone and in a batch.
    """

    def __init__(self, widths: Sequence[int], *, dropout: float = 0.0) -> None:
        if len(widths) < 2:
            raise ValueError(f"an MLP needs channels in and out; widths {list(widths)} came")
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
            layers.append(nn.Linear(a, b))
            if i < len(widths) - 2:
                layers += [nn.LayerNorm(b), nn.SiLU()]
                if dropout:
                    layers.append(nn.Dropout(dropout))
        super().__init__(*layers)
