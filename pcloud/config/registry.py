"""What a configuration may call by name: pcloud's own literal dicts and, beside them, installed entry points.

``find("encoder", "dgcnn", ENCODERS, "run.yaml: encoder.name")`` gives the class; a name is never an import path.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from pcloud.config.schema import nearest


def names(kind: str, builtin: Mapping[str, Any]) -> list[str]:
    """What a configuration may call a ``kind`` (encoder, task, source, generator): our own and the installed plug-ins."""
    return sorted({*builtin, *(point.name for point in entry_points(group=f"pcloud.{kind}s"))})


def find(kind: str, name: str, builtin: Mapping[str, Any], where: str) -> Any:
    """The class or function of this name: ours, else the entry point of the group ``pcloud.<kind>s``."""
    if name in builtin:
        return builtin[name]
    for point in entry_points(group=f"pcloud.{kind}s", name=name):
        return point.load()
    known = names(kind, builtin)
    raise ValueError(f"{where}: {name!r} came, expected one of {', '.join(known)}{nearest(name, known)}")
