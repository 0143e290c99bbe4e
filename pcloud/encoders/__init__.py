"""Whole backbones: a cloud in, point features out (and edge or event features where the encoder has them).

``ENCODERS[name](in_channels=8, **options)`` builds one; the tests run the same laws over every entry.
"""

from __future__ import annotations

from pcloud.encoders.deepsets import DeepSets
from pcloud.encoders.dgcnn import DGCNN
from pcloud.encoders.gravnet import GravNetEncoder
from pcloud.encoders.image_cnn import ImageCNN
from pcloud.encoders.interaction import InteractionNetwork
from pcloud.encoders.lorentznet import LorentzNet
from pcloud.encoders.lstm import LSTMEncoder
from pcloud.encoders.part import ParticleTransformer
from pcloud.encoders.particlenet import ParticleNet, ParticleNetLite
from pcloud.encoders.pfn import EnergyFlow, ParticleFlow
from pcloud.encoders.protocol import Edges, Encoder, Encoding
from pcloud.encoders.windows import WindowEncoder

ENCODERS = {
    "deepsets": DeepSets,
    "dgcnn": DGCNN,
    "gravnet": GravNetEncoder,
    "efn": EnergyFlow,
    "image-cnn": ImageCNN,
    "interaction": InteractionNetwork,
    "lorentznet": LorentzNet,
    "lstm": LSTMEncoder,
    "part": ParticleTransformer,
    "particlenet": ParticleNet,
    "particlenet-lite": ParticleNetLite,
    "pfn": ParticleFlow,
    "windows": WindowEncoder,
}

__all__ = [
    "ENCODERS", "DGCNN", "DeepSets", "Edges", "Encoder", "Encoding", "EnergyFlow", "GravNetEncoder", "ImageCNN",
    "InteractionNetwork", "LSTMEncoder", "LorentzNet", "ParticleFlow", "ParticleNet", "ParticleNetLite", "ParticleTransformer",
    "WindowEncoder",
]  # fmt: skip
