"""How a tagger bears a detector other than the one it was trained on: clouds of jets changed on purpose, features made anew.

``change = Perturb(pos=("deta", "dphi"), feat=(...))`` knows what the model reads; ``change.smear(cloud, energy=0.1, seed=0)``,
``change.drop``, ``change.blank`` return the changed cloud, to be given to any task in place of the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.jets.kinematics import constituent_features, jet_axis, jet_features
from pcloud.physics import pseudorapidity, transverse

MOMENTUM = ("px", "py", "pz", "energy")


@dataclass(frozen=True)
class Perturb:
    """``pos`` and ``feat``: the point columns in the cloud's pos and feat, in their order."""

    pos: Sequence[str]
    feat: Sequence[str]

    def blank(self, cloud: PointCloud, names: Sequence[str], means: Mapping[str, float] | None = None) -> PointCloud:
        """The inputs ``names``, one group of features, set to 0, or to the value each has in ``means``: as if not measured.

        ValueError where a name is no input. Four-vectors are left alone: an encoder that reads them goes by `smear`.
        """
        if unknown := [name for name in names if name not in (*self.pos, *self.feat)]:
            raise ValueError(f"{unknown[0]} is no input of this model; it reads {', '.join((*self.pos, *self.feat))}")
        filled = dict.fromkeys(names, 0.0) | dict(means or {})
        tables = []
        for table, columns in ((cloud.pos, self.pos), (cloud.feat, self.feat)):
            table = table.clone()
            for channel, column in enumerate(columns):
                if column in names:
                    table[:, channel] = filled[column]
            tables.append(table)
        point = {name: torch.full_like(column, filled[name]) for name, column in cloud.point.items() if name in names}
        return replace(cloud, pos=tables[0], feat=tables[1], point=cloud.point | point)

    def smear(self, cloud: PointCloud, *, energy: float = 0.0, angle: float = 0.0, seed: int = 0) -> PointCloud:
        """Every constituent's energy times a Gaussian of mean 1 and width ``energy`` (its mass over energy kept, at least a
        hundredth left), its eta and phi moved by Gaussians of width ``angle`` (rad); axis and features anew, hardest first."""
        if energy < 0 or angle < 0:
            raise ValueError(f"energy = {energy} and angle = {angle} came; widths are not negative")
        p4 = _momenta(cloud)
        rest = _rest(cloud, p4)
        draw = torch.Generator().manual_seed(seed)
        scale, deta, dphi = torch.randn(3, cloud.points, generator=draw, dtype=p4.dtype).to(p4.device).unbind(0)
        p4 = p4 * (1 + energy * scale).clamp(min=0.01)[:, None]
        px, py, pz, total = p4.unbind(-1)
        size = torch.linalg.vector_norm(p4[:, :3], dim=1)
        pt = transverse(px, py)
        eta, phi = pseudorapidity(pt, pz) + angle * deta, torch.atan2(py, px) + angle * dphi
        pt = size / torch.cosh(eta)  # the momentum turns, its length stays
        return self._anew(cloud, torch.stack([pt * phi.cos(), pt * phi.sin(), pt * torch.sinh(eta), total], dim=1), rest)

    def drop(self, cloud: PointCloud, fraction: float, *, seed: int = 0) -> PointCloud:
        """Each constituent is lost with probability ``fraction``; axis and features anew. A jet that would lose all keeps its
        hardest."""
        if not 0 <= fraction < 1:
            raise ValueError(f"fraction = {fraction} came; expected 0 or more and less than 1")
        p4 = _momenta(cloud)
        rest = _rest(cloud, p4)
        kept = torch.rand(cloud.points, generator=torch.Generator().manual_seed(seed)).to(p4.device) >= fraction
        owner = cloud.event_of_point
        pt = transverse(p4[:, 0], p4[:, 1])
        none = segments.sum(kept.to(torch.int64), cloud.offsets) == 0
        kept |= none[owner] & (pt == segments.max(pt, cloud.offsets)[owner])
        return self._anew(cloud.keep(kept), p4[kept], rest)

    def _anew(self, cloud: PointCloud, p4: Tensor, rest: Tensor) -> PointCloud:
        """The cloud with these four-momenta (GeV), and all that follows from them; constituents hardest first.

        rest [events, 4]: what of the jet is not among its points, see `_rest`.
        """
        owner = cloud.event_of_point
        falling = torch.argsort(transverse(p4[:, 0], p4[:, 1]), descending=True, stable=True)
        order = falling[torch.argsort(owner[falling], stable=True)]
        p4 = p4[order]
        axis = jet_axis(p4, cloud.offsets) + rest
        made = constituent_features(p4, cloud.offsets, axis) | dict(zip(MOMENTUM, p4.unbind(-1), strict=True))
        point = {name: column[order] for name, column in cloud.point.items()}
        point |= {name: column.to(point[name].dtype) for name, column in made.items() if name in point}
        jet = {name: column.to(cloud.event[name].dtype) for name, column in jet_features(axis).items() if name in cloud.event}

        def table(old: Tensor, names: Sequence[str]) -> Tensor:
            columns = [made[name] if name in made else old[order, channel] for channel, name in enumerate(names)]
            return torch.stack([column.to(old.dtype) for column in columns], dim=1) if columns else old[order]

        truth = {name: column[order] for name, column in cloud.point_truth.items()}
        pos, feat = table(cloud.pos, self.pos), table(cloud.feat, self.feat)
        return replace(cloud, pos=pos, feat=feat, point=point, point_truth=truth, event=cloud.event | jet)


def _momenta(cloud: PointCloud) -> Tensor:
    """[points, 4] px, py, pz, energy (GeV), float64."""
    if lacking := [name for name in MOMENTUM if name not in cloud.point]:
        raise ValueError(f"the cloud lacks point column {lacking[0]}; jets are changed through px, py, pz, energy (GeV)")
    return torch.stack([cloud.point[name] for name in MOMENTUM], dim=1).double()


def _rest(cloud: PointCloud, p4: Tensor) -> Tensor:
    """[events, 4]: the jet as its event columns have it less the sum of its points, such as soft constituents that were not
    stored; 0 without these columns, and where it is rounding."""
    points = jet_axis(p4, cloud.offsets)
    names = ("jet_pt", "jet_eta", "jet_phi", "jet_mass")
    if not all(name in cloud.event for name in names):
        return torch.zeros_like(points)
    pt, eta, phi, mass = (cloud.event[name].double() for name in names)
    px, py, pz = pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()
    rest = torch.stack([px, py, pz, (px**2 + py**2 + pz**2 + mass**2).sqrt()], dim=1) - points
    rounding = rest.abs().amax(dim=1) < 1e-5 * points[:, 3]
    return torch.where((rounding | (cloud.offsets.diff() == 0))[:, None], 0.0, rest)
