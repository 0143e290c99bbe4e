"""Frames to see a jet in: at rest, along the x axis, its axes turned; and all jets of one mass and energy.

Functions on four-vectors [points, 4] (px, py, pz, energy in GeV) and offsets [events + 1]; each event is moved as a whole.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments
from pcloud.jets.kinematics import jet_axis
from pcloud.jets.momenta import mass2, rapidity

TINY = 1e-12


def boost(p4: Tensor, frame: Tensor) -> Tensor:
    """Each four-vector as seen where ``frame``, [..., 4] alike and of positive mass, is at rest: p' = B(-p_frame / E_frame) p."""
    mass = torch.sqrt(mass2(frame)).clamp(min=TINY)[..., None]
    momentum, energy = frame[..., :3], frame[..., 3:]
    along = (p4[..., :3] * momentum).sum(-1, keepdim=True)
    new_energy = (p4[..., 3:] * energy - along) / mass
    return torch.cat([p4[..., :3] - momentum * (p4[..., 3:] + new_energy) / (energy + mass), new_energy], dim=-1)


def at_rest(p4: Tensor, offsets: Tensor) -> Tensor:
    """The constituents in the rest frame of their jet; a jet without mass (one massless constituent) has none and stays put."""
    jet = jet_axis(p4, offsets)
    has_one = mass2(jet) > 1e-6 * jet[:, 3].square()
    still = torch.zeros_like(jet)
    still[:, 3] = 1.0
    frame = torch.where(has_one[:, None], jet, still)
    return boost(p4, frame[segments.event_of(offsets, p4.shape[0])])


def centred(p4: Tensor, offsets: Tensor) -> Tensor:
    """Turned about and boosted along the beam so that the jet has phi = 0 and rapidity 0; every pT stays as it is."""
    jet = jet_axis(p4, offsets)
    phi, y = torch.atan2(jet[:, 1], jet[:, 0]), rapidity(jet)
    owner = segments.event_of(offsets, p4.shape[0])
    cos, sin = torch.cos(phi)[owner], torch.sin(phi)[owner]
    cosh, sinh = torch.cosh(y)[owner], torch.sinh(y)[owner]
    px, py, pz, energy = p4.unbind(-1)
    return torch.stack([cos * px + sin * py, cos * py - sin * px, cosh * pz - sinh * energy, cosh * energy - sinh * pz], dim=-1)


def principal_axes(angles: Tensor, weight: Tensor, offsets: Tensor) -> Tensor:
    """Angles [points, 2] (rad) about their ``weight``-ed mean, turned so that the axis along which they spread most is the
    second, and mirrored so that on each axis the half of larger weight is the positive one. weight [points] >= 0, such as pT.

    A jet of one constituent, or without weight, has no axis and is only moved.
    """
    owner = segments.event_of(offsets, angles.shape[0])
    share = weight / segments.sum(weight, offsets).clamp(min=TINY)[owner]
    middle = segments.sum(share[:, None] * angles, offsets)
    centred = angles - middle[owner]
    a, b = centred.unbind(-1)
    aa, ab, bb = (segments.sum(share * product, offsets) for product in (a * a, a * b, b * b))
    turn = 0.5 * torch.atan2(2 * ab, bb - aa)  # of the wide axis, seen from the second axis towards the first
    turn = torch.where(torch.hypot(ab, bb - aa) > TINY, turn, 0.0)
    cos, sin = torch.cos(turn)[owner], torch.sin(turn)[owner]
    turned = torch.stack([cos * a - sin * b, sin * a + cos * b], dim=-1)
    side = segments.sum(share[:, None] * torch.sign(turned), offsets)
    return turned * torch.where(side < 0, -1.0, 1.0).to(turned.dtype)[owner]


def turned(angles: Tensor, offsets: Tensor, by: Tensor, mirror: Tensor) -> Tensor:
    """Angles [points, 2] about the jet axis (rad), turned ``by`` an angle [events] (rad); before that, where ``mirror`` [events]
    is true, the first has its sign changed. Distances within a jet stay as they are."""
    owner = segments.event_of(offsets, angles.shape[0])
    a, b = angles.unbind(-1)
    a = torch.where(mirror[owner], -a, a)
    cos, sin = torch.cos(by)[owner], torch.sin(by)[owner]
    return torch.stack([cos * a - sin * b, sin * a + cos * b], dim=-1)


def upright(p4: Tensor, offsets: Tensor) -> Tensor:
    """Jets along the x axis turned about it, so that across it, weighted by pT / |p|^2, momenta spread most along y; and mirrored
    so that of either sign of y, and of z, the half of larger pT is the positive one. A jet that spreads alike everywhere stays.
    """
    px, py, pz, energy = p4.unbind(-1)
    weight = torch.hypot(px, py) / p4[:, :3].square().sum(-1).clamp(min=TINY)
    y, z = _along_first(py, pz, weight, offsets)
    pt = torch.hypot(px, y)
    y, z = (_positive(one, pt, offsets) for one in (y, z))
    return torch.stack([px, y, z, energy], dim=-1)


def level(p4: Tensor, offsets: Tensor) -> Tensor:
    """Whole events turned about the beam so that, weighted by 1 / pT, transverse momenta spread most along y; and mirrored so
    that of either sign of x, of y, and of z, the half of larger pT is the positive one. What recoils against one another then
    lies at phi = pi / 2 and -pi / 2, and hardly anything at the seam of phi."""
    px, py, pz, energy = p4.unbind(-1)
    pt = torch.hypot(px, py)
    y, x = _along_first(py, px, 1 / pt.clamp(min=TINY), offsets)
    x, y, z = (_positive(one, pt, offsets) for one in (x, y, pz))
    return torch.stack([x, y, z, energy], dim=-1)


def _along_first(a: Tensor, b: Tensor, weight: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Components a and b [points] turned into one another, event by event, so that they spread most along the first."""
    aa, ab, bb = (segments.sum(weight * product, offsets) for product in (a * a, a * b, b * b))
    turn = 0.5 * torch.atan2(2 * ab, aa - bb)
    turn = torch.where(torch.hypot(ab, aa - bb) > TINY, turn, 0.0)
    owner = segments.event_of(offsets, a.shape[0])
    cos, sin = torch.cos(turn)[owner], torch.sin(turn)[owner]
    return cos * a + sin * b, cos * b - sin * a


def _positive(one: Tensor, pt: Tensor, offsets: Tensor) -> Tensor:
    """A component [points] with its sign changed in the events where the negative half has more pT."""
    side = torch.where(segments.sum(pt * torch.sign(one), offsets) < 0, -1.0, 1.0)
    return one * side[segments.event_of(offsets, one.shape[0])]


def standard(p4: Tensor, offsets: Tensor, *, mass: float = 0.25, energy: float = 1.0) -> Tensor:
    """All jets with one mass and energy (GeV) and one orientation, after Roy and Vijay (arXiv 1903.02032).

    Momenta are scaled so that the jet has ``mass``; it is boosted along its own direction until it has ``energy``; and the
    axes are, by Gram and Schmidt, the jet's direction, that of its hardest constituent, and that of its second hardest (of
    largest |p| after the boost). What is left then depends on neither the mass nor the pT of the jet. A jet without mass or
    with too few constituents keeps the axes that it can't choose.
    """
    if not 0 < mass < energy:
        raise ValueError(f"mass = {mass} and energy = {energy} came; 0 < mass < energy was expected, in GeV")
    owner = segments.event_of(offsets, p4.shape[0])
    jet = jet_axis(p4, offsets)
    direction = jet[:, :3] / torch.linalg.vector_norm(jet[:, :3], dim=-1, keepdim=True).clamp(min=TINY)
    scale = mass / torch.sqrt(mass2(jet)).clamp(min=1e-6 * jet[:, 3].clamp(min=TINY))
    resting = at_rest(p4, offsets) * scale[owner, None]
    back = torch.cat([-direction * (energy**2 - mass**2) ** 0.5, torch.full_like(direction[:, :1], energy)], dim=-1)
    moved = boost(resting, back[owner])
    size = torch.linalg.vector_norm(moved[:, :3], dim=-1)
    axes = [direction]
    first = _rows_of_largest(size, offsets)
    second = _rows_of_largest(size.index_fill(0, first[first >= 0], -1.0), offsets)
    for row in (first, second):
        vector = moved[row.clamp(min=0), :3] * (row >= 0)[:, None] if p4.shape[0] else torch.zeros_like(direction)
        axes.append(_orthogonal(vector, axes))
    basis = torch.stack(axes, dim=1)  # [events, 3, 3]
    return torch.cat([(basis[owner] @ moved[:, :3, None]).squeeze(-1), moved[:, 3:]], dim=-1)


def _orthogonal(vector: Tensor, axes: list[Tensor]) -> Tensor:
    """The part of each vector [events, 3] across the axes, of length 1; of nothing, the coordinate axis that is most across."""
    choices = [vector, *torch.eye(3, dtype=vector.dtype, device=vector.device).expand(len(vector), 3, 3).unbind(1)]
    found = torch.zeros_like(vector)
    for choice in choices:
        rest = choice
        for _ in range(2):  # once more for the digits lost the first time
            for axis in axes:
                rest = rest - (rest * axis).sum(-1, keepdim=True) * axis
        length = torch.linalg.vector_norm(rest, dim=-1, keepdim=True)
        long_enough = length > 1e-4 * torch.linalg.vector_norm(choice, dim=-1, keepdim=True).clamp(min=TINY)
        empty = (found == 0).all(-1, keepdim=True)
        found = torch.where(empty & long_enough, rest / length.clamp(min=TINY), found)
    return found


def _rows_of_largest(size: Tensor, offsets: Tensor) -> Tensor:
    """The first row of each event with the largest value that is not negative, -1 where there is none: [events] int64."""
    largest = segments.max(size, offsets, empty=-1.0)
    owner = segments.event_of(offsets, size.shape[0])
    is_it = (size == largest[owner]) & (size >= 0)
    rows = torch.where(is_it, torch.arange(len(size), device=size.device), len(size))
    low = rows.new_full((len(largest),), len(size)).scatter_reduce(0, owner, rows, "amin")
    return torch.where(low < len(size), low, -1)
