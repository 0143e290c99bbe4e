"""Losses: pure functions of network outputs and labels, one family a file, every one of them per event.

Each takes ``offsets``: what happens in one event never pulls or pushes a point of another.
"""

from __future__ import annotations

from pcloud.losses.condensation import condensation
from pcloud.losses.contrastive import contrastive
from pcloud.losses.edges import edge_cross_entropy

__all__ = ["condensation", "contrastive", "edge_cross_entropy"]
