"""Every task that there is, with every finder and every encoder that fits: what the laws of tasks run over.

``CASES[name]()`` builds one at its smallest sensible size; a new entry of TASKS or FINDERS comes in by itself or fails a test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import torch
from clouds import jets, tracks
from torch import nn

from pcloud.cloud import PointCloud
from pcloud.encoders import ENCODERS
from pcloud.tasks import TASKS
from pcloud.tasks.tracking import FINDERS

SMALL = {"channels": 16, "layers": 2, "k": 8}
NARROW = SMALL | {
    "phi": (16, 16), "f": (16,), "widths": (8, 16), "depth": 2, "hidden": 16, "embed": (16, 16), "pair_channels": (8,),
    "heads": 2, "class_layers": 1, "pixels": 12, "dropout": 0.0,
}  # fmt: skip
MADE: dict[str, Callable[..., PointCloud]] = {"tracking": tracks, "tagging": jets, "autoencoding": jets}
# A figure and what it is once eight events are known by heart.
FIGURE: dict[str, tuple[str, Callable[[float], bool]]] = {
    "tracking": ("score", lambda value: value > 0.3),
    "tagging": ("accuracy", lambda value: value > 0.99),
    "autoencoding": ("score", lambda value: value < 0.1),
}
OF_JETS = {"efn", "image-cnn", "lorentznet", "lstm", "part", "particlenet", "particlenet-lite", "pfn"}  # find no tracks


def encoder(name: str, channels: int = 5) -> nn.Module:
    known = inspect.signature(ENCODERS[name]).parameters
    small = NARROW if channels == 7 else SMALL
    return ENCODERS[name](in_channels=channels, **{key: value for key, value in small.items() if key in known})


def tracking(finder: str, name: str) -> nn.Module:
    torch.manual_seed(2)
    return TASKS["tracking"](encoder(name), finder=finder)


def tagging(name: str, **options: object) -> nn.Module:
    torch.manual_seed(2)
    return TASKS["tagging"](encoder(name, 7), **options)


def autoencoding(name: str, **options: object) -> nn.Module:
    torch.manual_seed(2)
    return TASKS["autoencoding"](encoder(name, 7), latent=6, slots=16, channels=32, **options)


def fits(finder: str, name: str) -> bool:
    return name not in OF_JETS and (finder != "edges" or encoder(name).edge_channels > 0)


CASES: dict[str, Callable[[], nn.Module]] = {
    **{f"tracking {one} {name}": partial(tracking, one, name) for one in FINDERS for name in ENCODERS if fits(one, name)},
    **{f"tagging {name}": partial(tagging, name) for name in ENCODERS if encoder(name, 7).event_channels},
    **{f"autoencoding {name}": partial(autoencoding, name) for name in ("pfn", "particlenet-lite")},
    "autoencoding pfn, dense decoder": partial(autoencoding, "pfn", decoder="dense", loss="sliced"),
    "autoencoding pfn, upright frame": partial(autoencoding, "pfn", frame="upright", loss="sinkhorn"),
    "autoencoding pfn, standard frame": partial(autoencoding, "pfn", frame="standard"),
}


def events_of(case: str, events: int) -> PointCloud:
    """So many events that this case can learn from."""
    return MADE[case.split()[0]](events)


def rows_of(case: str, cloud: PointCloud) -> int:
    """How many rows this case reports of a cloud."""
    return cloud.points if case.startswith("tracking") else cloud.events
