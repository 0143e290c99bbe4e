"""Layers: tensors in, tensors out. One layer, one file; encoders put them together.

A layer that looks at neighbours takes a :class:`pcloud.neighbors.Neighbors` table and reduces along its ``k`` axis.
"""

from __future__ import annotations

from pcloud.nn.batch_norm import BatchNorm
from pcloud.nn.blocks import by_blocks
from pcloud.nn.edge_block import EdgeBlock
from pcloud.nn.edge_conv import EdgeConv
from pcloud.nn.edge_kernel import EdgeKernel
from pcloud.nn.gravnet import GravNet
from pcloud.nn.interaction import Interaction
from pcloud.nn.line_graph import LineGraph
from pcloud.nn.mlp import MLP
from pcloud.nn.neighbor_attention import NeighborAttention
from pcloud.nn.packed_attention import ClassAttention, PackedAttention, Packs
from pcloud.nn.pair_mlp import PairMLP
from pcloud.nn.reduce import strongest
from pcloud.nn.set_decoder import DenseDecoder, SetDecoder
from pcloud.nn.standardize import Standardize
from pcloud.nn.window_attention import WindowAttention, Windows

__all__ = [
    "MLP",
    "BatchNorm",
    "ClassAttention",
    "DenseDecoder",
    "EdgeBlock",
    "EdgeConv",
    "EdgeKernel",
    "GravNet",
    "Interaction",
    "LineGraph",
    "NeighborAttention",
    "PackedAttention",
    "Packs",
    "PairMLP",
    "SetDecoder",
    "Standardize",
    "WindowAttention",
    "Windows",
    "by_blocks",
    "strongest",
]
