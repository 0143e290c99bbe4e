"""Options of our own encoders that make no sense are refused by name, before anything is built or trained."""

from __future__ import annotations

import inspect

import pytest
import torch

from pcloud.cloud import PointCloud
from pcloud.encoders import ENCODERS


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("option", ["channels", "layers", "k", "heads", "space", "window"])
def test_options_below_1_are_named(name: str, option: str) -> None:
    if option in inspect.signature(ENCODERS[name]).parameters:
        with pytest.raises(ValueError, match=f"{option} = 0 came"):
            ENCODERS[name](in_channels=2, **{option: 0})


def test_interaction_needs_three_positions() -> None:
    flat = PointCloud(torch.zeros(5, 2), torch.zeros(5, 2), torch.tensor([0, 5]))
    with pytest.raises(ValueError, match="pos has 2 columns; interaction reads x, y, z in mm"):
        ENCODERS["interaction"](in_channels=2)(flat)
