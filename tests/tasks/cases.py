"""Every task that there is, with every finder and every encoder that fits: what the laws of tasks run over.

``CASES[name]()`` builds one at its smallest sensible size; a new entry of TASKS or FINDERS comes in by itself or fails a test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from pcloud.encoders import ENCODERS
from pcloud.tasks import TASKS
from pcloud.tasks.tracking import FINDERS

SMALL = {"channels": 16, "layers": 2, "k": 8}
CHANNELS = 5  # of clouds.tracks


def encoder(name: str) -> nn.Module:
    known = inspect.signature(ENCODERS[name]).parameters
    return ENCODERS[name](in_channels=CHANNELS, **{key: value for key, value in SMALL.items() if key in known})


def tracking(finder: str, name: str) -> nn.Module:
    torch.manual_seed(2)
    return TASKS["tracking"](encoder(name), finder=finder)


def fits(finder: str, name: str) -> bool:
    return finder != "edges" or encoder(name).edge_channels > 0


CASES: dict[str, Callable[[], nn.Module]] = {
    f"tracking {finder} {name}": partial(tracking, finder, name) for finder in FINDERS for name in ENCODERS if fits(finder, name)
}
