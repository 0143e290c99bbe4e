"""Jet images beside pixels filled by hand."""

from __future__ import annotations

import pytest
import torch

from pcloud.jets.images import rasterise


def test_pixels_by_hand() -> None:
    """Three pixels of 1 rad about the axis: rows are the first angle, columns the second; the last two are outside."""
    angles = torch.tensor([[0.0, 0.0], [0.4, -0.4], [1.4, -1.4], [-1.0, 1.0], [1.5, 0.0], [0.0, -1.6]])
    weights = torch.tensor([[10.0, 1], [5, 1], [2, 1], [1, 1], [100, 1], [100, 1]])
    image = rasterise(angles, weights, torch.tensor([0, 3, 3, 6]), pixels=3, width=3.0)
    assert image.shape == (3, 2, 3, 3)
    assert image[0, 0].tolist() == [[0, 0, 0], [0, 15, 0], [2, 0, 0]]
    assert image[0, 1].tolist() == [[0, 0, 0], [0, 2, 0], [1, 0, 0]]
    assert not image[1].any()
    assert image[2, 0].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_a_border_belongs_to_the_pixel_above() -> None:
    image = rasterise(torch.tensor([[0.0, -1.0]]), torch.ones(1, 1), torch.tensor([0, 1]), pixels=2, width=2.0)
    assert image[0, 0].tolist() == [[0, 0], [1, 0]]


def test_gradient_reaches_the_weights_inside() -> None:
    weights = torch.ones(2, 1, requires_grad=True)
    rasterise(torch.tensor([[0.0, 0.0], [9.0, 0.0]]), weights, torch.tensor([0, 2]), pixels=4, width=1.0).sum().backward()
    assert weights.grad is not None and weights.grad.tolist() == [[1], [0]]


def test_what_is_no_number_is_outside() -> None:
    image = rasterise(torch.tensor([[float("nan"), 0.0]]), torch.ones(1, 1), torch.tensor([0, 1]), pixels=4, width=1.0)
    assert not image.any()


def test_no_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels = 0"):
        rasterise(torch.zeros(1, 2), torch.ones(1, 1), torch.tensor([0, 1]), pixels=0, width=1.0)
