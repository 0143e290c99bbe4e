"""Jet images: a cloud of constituents rasterised onto pixels (Cogan et al., arXiv 1407.5675), all jets of a batch at once.

``rasterise(angles, weights, offsets, pixels=40, width=1.6)`` is [events, channels, pixels, pixels].
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments


def rasterise(angles: Tensor, weights: Tensor, offsets: Tensor, *, pixels: int, width: float) -> Tensor:
    """Pixel sums of ``weights``, such as pT (GeV) and a count: [events, channels, pixels, pixels].

    angles [points, 2] (rad) from the jet axis, the first one the image's rows, the second its columns; weights [points,
    channels]. The image is ``width`` rad wide about the axis; a constituent on a border belongs to the pixel above it, one
    outside is left out. The gradient reaches the weights, not the angles.
    """
    if pixels < 1 or not width > 0:
        raise ValueError(f"pixels = {pixels} and width = {width} came; at least 1 pixel and a width above 0 rad were expected")
    events = offsets.shape[0] - 1
    cell = torch.floor((angles.detach() / width + 0.5) * pixels)
    inside = ((cell >= 0) & (cell < pixels)).all(-1)
    row, column = torch.where(inside[:, None], cell, 0.0).long().unbind(-1)  # a NaN is outside too
    place = (segments.event_of(offsets, angles.shape[0]) * pixels + row) * pixels + column
    seen = torch.where(inside[:, None], weights, 0.0)
    image = weights.new_zeros(events * pixels * pixels, weights.shape[1]).index_add(0, place, seen)
    return image.view(events, pixels, pixels, weights.shape[1]).permute(0, 3, 1, 2).contiguous()
