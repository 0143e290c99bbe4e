"""Trained models as files: safetensors weights and a JSON card that says what they are and what they were trained on.

``load("tracks")`` or ``load("runs/mine")`` gives a ready ``Model``; ``save(folder, task, card)`` writes one.
Reading a model never runs code from it; importing this package alone does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_DOORS = {
    "Card": "pcloud.pretrained.card",
    "Training": "pcloud.pretrained.card",
    "fingerprint": "pcloud.pretrained.card",
    "find": "pcloud.pretrained.files",
    "shipped": "pcloud.pretrained.files",
    "Model": "pcloud.pretrained.model",
    "load": "pcloud.pretrained.model",
    "save": "pcloud.pretrained.model",
}
__all__ = ["Card", "Model", "Training", "find", "fingerprint", "load", "save", "shipped"]


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"pcloud.pretrained has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_DOORS[name]), name)
