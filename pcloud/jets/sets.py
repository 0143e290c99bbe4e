"""A jet as a weighted set: directions about its axis, each with its share of the momentum, in the frame of choice.

``as_set(cloud, "jet")`` for the jet as it is, ``"standard"`` for jets made alike in mass, energy and orientation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.jets.frames import standard
from pcloud.jets.kinematics import FEATURES, constituent_features, jet_axis
from pcloud.jets.momenta import COLUMNS, momenta, transverse

FRAMES = ("jet", "standard")
STANDARD = ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "dr", "deta", "dphi")


@dataclass(frozen=True)
class WeightedSet:
    """pos [points, 2] (rad), share [points] of the jet's pT, which add up to 1 in each event, offsets [events + 1]."""

    pos: Tensor
    share: Tensor
    offsets: Tensor


def as_set(cloud: PointCloud, frame: str = "jet") -> tuple[PointCloud, WeightedSet]:
    """The cloud as seen in ``frame``, and its set. Needs the point columns px, py, pz, energy (GeV).

    jet       pos, deta and dphi about the axis, as it came
    standard  jets of one mass, energy and orientation (``frames.standard``): what is left depends on neither the jet's mass nor
              its pT; pos and feat, which must be the seven of ``kinematics.FEATURES`` in the order of ``STANDARD``, are made anew
    """
    p4 = momenta(cloud, "an autoencoder of sets")
    if frame == "standard":
        if cloud.feat.shape[1] != len(STANDARD):
            came = cloud.feat.shape[1]
            raise ValueError(f"feat has {came} columns; in the standard frame these are made: {', '.join(STANDARD)}")
        moved = standard(p4.double(), cloud.offsets)
        axis = jet_axis(moved, cloud.offsets)
        axis[:, 1:3] = 0.0  # along x: what is left across is rounding, whose sign would mirror jets at random
        columns = constituent_features(moved, cloud.offsets, axis)
        made = {name: column.to(cloud.pos.dtype) for name, column in columns.items()}
        point = dict(zip(COLUMNS, moved.to(p4.dtype).unbind(1), strict=True))
        pos, feat = (torch.stack([made[name] for name in names], 1) for names in (FEATURES[:2], STANDARD))
        cloud, p4 = replace(cloud, pos=pos, feat=feat, point=cloud.point | point), moved
    pt = transverse(p4)
    whole = segments.sum(pt, cloud.offsets)[cloud.event_of_point]
    share = (pt / torch.where(whole > 0, whole, 1.0)).to(cloud.pos.dtype)
    return cloud, WeightedSet(cloud.pos, share, cloud.offsets)
