"""A jet, or an event of jets, as a weighted set: directions, each with its share of the momentum, in the frame of choice.

``as_set(cloud, "jet")`` for the jet as it is, ``"upright"`` turned, ``"standard"`` made alike in mass, energy and orientation;
``"event"`` for whole events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.jets.frames import centred, level, standard, upright
from pcloud.jets.kinematics import FEATURES, constituent_features, jet_axis
from pcloud.jets.momenta import COLUMNS, momenta, transverse

MASS, ENERGY = 150.0, 600.0  # GeV, of all jets in the standard frame, so that features are about as large as those of real jets
STANDARD = ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "dr", "deta", "dphi")
Moved = Callable[[Tensor, Tensor], Tensor]


def along_x(p4: Tensor, offsets: Tensor) -> Tensor:
    """The axis of jets that lie along the x axis: what their sum has across it is rounding, of random sign, and left out."""
    axis = jet_axis(p4, offsets)
    return torch.cat([axis[:, :1], 0 * axis[:, 1:3], axis[:, 3:]], 1)


def of_event(p4: Tensor, offsets: Tensor) -> Tensor:
    """What a whole event is told about, as its readers do (`data_prep.collisions`): its scalar sum of pT at eta = phi = 0."""
    pt, energy = (segments.sum(one, offsets) for one in (transverse(p4), p4[:, 3]))
    return torch.stack([pt, 0 * pt, 0 * pt, energy], 1)


class Frame(NamedTuple):
    """move: four-vectors into the frame; axis: four-vector that features are told about there; unit of directions (rad)."""

    move: Moved | None
    axis: Moved = along_x
    unit: float = 0.8


FRAMES = {
    "jet": Frame(None),
    "upright": Frame(lambda p4, offsets: upright(centred(p4, offsets), offsets)),
    "standard": Frame(lambda p4, offsets: standard(p4, offsets, mass=MASS, energy=ENERGY)),
    "event": Frame(lambda p4, offsets: level(centred(p4, offsets), offsets), of_event, pi / 2),
}


@dataclass(frozen=True)
class WeightedSet:
    """pos [points, 2] (rad), share [points] of the summed pT, which add up to 1 in each event, offsets [events + 1]."""

    pos: Tensor
    share: Tensor
    offsets: Tensor


def as_set(cloud: PointCloud, frame: str = "jet") -> tuple[PointCloud, WeightedSet]:
    """The cloud as seen in ``frame``, and its set. Needs the point columns px, py, pz, energy (GeV).

    jet       pos, deta and dphi about the axis, as it came
    upright   the jet along the x axis, turned so that its constituents spread most in dphi, and mirrored (``frames.upright``);
              its mass and pT stay
    standard  jets of one mass, energy and orientation (``frames.standard``): what is left depends on neither the jet's mass nor
              its pT
    event     whole events: boosted along the beam to rapidity 0, turned about it and mirrored (``frames.level``); pos is eta and
              phi, and the recoil of one half on the other lies along phi, away from where phi goes round
    In all but the first pos and feat, which must be the seven of ``kinematics.FEATURES`` in the order of ``STANDARD``, are made
    anew.
    """
    p4, (move, axis, _) = momenta(cloud, "an autoencoder of sets"), FRAMES[frame]
    if move is not None:
        if cloud.feat.shape[1] != len(STANDARD):
            came = cloud.feat.shape[1]
            raise ValueError(f"feat has {came} columns; in the {frame} frame these are made: {', '.join(STANDARD)}")
        cloud = _seen(cloud, move(p4.double(), cloud.offsets), axis)
        p4 = momenta(cloud, "an autoencoder of sets")
    pt = transverse(p4)
    whole = segments.sum(pt, cloud.offsets)[cloud.event_of_point]
    share = (pt / torch.where(whole > 0, whole, 1.0)).to(cloud.pos.dtype)
    return cloud, WeightedSet(cloud.pos, share, cloud.offsets)


def as_cloud(made: WeightedSet, pt: Tensor, frame: str = "upright") -> PointCloud:
    """The way back: a cloud of massless points, as jets or events of summed ``pt`` [events] (GeV) look in every frame but "jet";
    gradients reach pos and share."""
    mine = made.share * pt[segments.event_of(made.offsets, len(made.share))]
    eta, phi = made.pos.unbind(1)
    p4 = torch.stack([mine * phi.cos(), mine * phi.sin(), mine * eta.sinh(), mine * eta.cosh()], 1)
    return _seen(PointCloud(made.pos, p4, made.offsets), p4, FRAMES[frame].axis)


def _seen(cloud: PointCloud, p4: Tensor, axis: Moved) -> PointCloud:
    """With pos, feat and four-vectors of p4 [points, 4] (GeV), told about their axis."""
    whole = axis(p4, cloud.offsets)
    made = {name: column.to(cloud.pos.dtype) for name, column in constituent_features(p4, cloud.offsets, whole).items()}
    pos, feat = (torch.stack([made[name] for name in names], 1) for names in (FEATURES[:2], STANDARD))
    point = dict(zip(COLUMNS, p4.to(cloud.pos.dtype).unbind(1), strict=True))
    return replace(cloud, pos=pos, feat=feat, point=cloud.point | point)
