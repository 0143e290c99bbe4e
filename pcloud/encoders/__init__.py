"""Whole backbones: a cloud in, point features out (and edge or event features where the encoder has them).

``ENCODERS[name](in_channels=8, **options)`` builds one; the tests run the same laws over every entry.
"""

from __future__ import annotations

from pcloud.encoders.deepsets import DeepSets
from pcloud.encoders.dgcnn import DGCNN
from pcloud.encoders.gravnet import GravNetEncoder
from pcloud.encoders.interaction import InteractionNetwork
from pcloud.encoders.protocol import Edges, Encoder, Encoding
from pcloud.encoders.windows import WindowEncoder

ENCODERS = {
    "deepsets": DeepSets,
    "dgcnn": DGCNN,
    "gravnet": GravNetEncoder,
    "interaction": InteractionNetwork,
    "windows": WindowEncoder,
}

__all__ = [
    "ENCODERS", "DGCNN", "DeepSets", "Edges", "Encoder", "Encoding", "GravNetEncoder", "InteractionNetwork", "WindowEncoder",
]  # fmt: skip
