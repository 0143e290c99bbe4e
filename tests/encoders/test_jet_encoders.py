"""What each jet encoder promises beyond the laws of all: published size, safety, invariance, order, clear refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders import ENCODERS
from pcloud.jets.kinematics import FEATURES, constituent_features
from pcloud.jets.momenta import COLUMNS

NAMES = ["efn", "image-cnn", "lorentznet", "lstm", "part", "particlenet", "particlenet-lite", "pfn"]


def of_momenta(p4: Tensor, offsets: Tensor) -> PointCloud:
    """The cloud of jets that a store gives, from [points, 4] in GeV."""
    seen = constituent_features(p4, offsets)
    return PointCloud(
        pos=torch.stack([seen["deta"], seen["dphi"]], 1),
        feat=torch.stack([seen[name] for name in FEATURES], 1),
        offsets=offsets,
        point=dict(zip(COLUMNS, p4.unbind(1), strict=True)),
    )


def jets(sizes: list[int], seed: int = 0, kind: torch.dtype = torch.float32) -> PointCloud:
    """Massless constituents within about 0.3 of an axis, 600 GeV a jet, falling steeply in pT."""
    draw = torch.Generator().manual_seed(seed)
    offsets = segments.offsets_of(torch.tensor(sizes))
    owner, points = segments.event_of(offsets), sum(sizes)
    pt = torch.rand(points, generator=draw, dtype=torch.float64).pow(3) + 1e-3
    pt = 600 * pt / segments.sum(pt, offsets)[owner]
    eta = 0.5 + 0.3 * torch.randn(points, generator=draw, dtype=torch.float64)
    phi = 3.0 + 0.3 * torch.randn(points, generator=draw, dtype=torch.float64)  # some across the seam
    p4 = torch.stack([pt * phi.cos(), pt * phi.sin(), pt * eta.sinh(), pt * eta.cosh()], 1)
    return of_momenta(p4.to(kind), offsets)


def built(name: str, **options: object) -> nn.Module:
    torch.manual_seed(1)
    encoder: nn.Module = ENCODERS[name](in_channels=len(FEATURES), **options)
    return encoder.eval()


@pytest.mark.parametrize(
    ("name", "published", "exact"),
    [
        # No batch norm of the 7 features at the entry (Standardize instead): 14 fewer than the authors' code, 366,160.
        ("particlenet", 366_000, 366_146),
        ("particlenet-lite", 26_000, 26_402),  # the authors' 26,416 less the same 14
        # No biases before the pair embedding's norms (200), where they change nothing, and no norm of the 7 features (14).
        ("part", 2_140_000, 2_140_920),
        # 82k is with three inputs a constituent (pT, y, phi): 82,458; four more of 100 weights each make 7.
        ("pfn", 82_000, 82_858),
        ("efn", 82_000, 82_358),  # two inputs a constituent
        ("lorentznet", 224_000, 223_568),  # the mass as the one scalar
        ("image-cnn", 610_000, 609_666),
    ],
)
def test_as_many_parameters_as_published(name: str, published: int, exact: int) -> None:
    """On 7 features, with a linear head to two classes."""
    encoder = built(name)
    count = sum(one.numel() for one in encoder.parameters()) + 2 * (encoder.event_channels + 1)
    assert count == exact
    assert abs(count / published - 1) < 0.02


def test_a_small_part_is_a_matter_of_options() -> None:
    encoder = built("part", embed=(48, 128, 48), pair_channels=(32, 32), heads=4, layers=4)
    assert sum(one.numel() for one in encoder.parameters()) + 2 * 49 <= 200_000
    assert encoder(jets([5, 9])).events.shape == (2, 48)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("name", ["particlenet", "particlenet-lite"])
def test_a_jet_smaller_than_k_has_no_ghosts(name: str, size: int) -> None:
    """k = 16 on n constituents is k = n - 1 on them, in evaluation and in a training step."""
    cloud = jets([size, size])
    for train in (False, True):
        roomy, tight = built(name, k=16, dropout=0.0).train(train), built(name, k=max(size - 1, 1), dropout=0.0).train(train)
        a, b = roomy(cloud), tight(cloud)
        torch.testing.assert_close(a.events, b.events, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(a.points, b.points, rtol=1e-4, atol=1e-5)
        assert bool(torch.isfinite(a.events).all())


@pytest.mark.parametrize("name", NAMES)
def test_a_few_small_jets_train_without_a_nan(name: str) -> None:
    encoder = built(name).train()
    head = nn.Linear(encoder.event_channels, 2)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-3)
    for sizes in ([1], [3, 1, 0, 2], [1, 1], [30, 2]):
        out = head(encoder(jets(sizes, seed=len(sizes))).events)
        loss = nn.functional.cross_entropy(out, torch.zeros(len(sizes), dtype=torch.int64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(bool(torch.isfinite(one).all()) for one in [*encoder.parameters(), *encoder.buffers()])


def split(cloud: PointCloud, share: float) -> PointCloud:
    """The first constituent in two of the same direction."""
    p4 = torch.stack([cloud.point[key] for key in COLUMNS], 1)
    parts = torch.cat([share * p4[:1], (1 - share) * p4[:1], p4[1:]])
    return of_momenta(parts, torch.tensor([0, len(parts)]))


def soft(cloud: PointCloud, direction: Tensor) -> PointCloud:
    """One constituent more, of 1e-7 GeV somewhere."""
    p4 = torch.stack([cloud.point[key] for key in COLUMNS], 1)
    extra = 1e-7 * torch.cat([direction / torch.linalg.vector_norm(direction), torch.ones(1)])
    return of_momenta(torch.cat([p4, extra[None]]), torch.tensor([0, len(p4) + 1]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "change",
    [lambda jet: split(jet, 0.5), lambda jet: split(jet, 0.01), lambda jet: soft(jet, torch.tensor([-1.0, 0.2, 0.3]))],
    ids=["collinear in halves", "collinear 1:99", "soft"],
)
def test_efn_is_safe_and_pfn_is_not(change: Callable[[PointCloud], PointCloud], seed: int) -> None:
    jet = jets([25], seed)
    safe, unsafe = built("efn"), built("pfn")
    before = safe(jet).events
    assert before.abs().max() > 1e-2, "an output of nothing would be safe too"
    torch.testing.assert_close(safe(change(jet)).events, before, rtol=1e-5, atol=1e-5)
    assert (unsafe(change(jet)).events - unsafe(jet).events).abs().max() > 1e-3


def lorentz(rapidity: float, seed: int) -> Tensor:
    """A boost along z between two rotations of x, y, z, all random: [4, 4] on (px, py, pz, E)."""
    draw = torch.Generator().manual_seed(seed)
    total = torch.eye(4, dtype=torch.float64)
    boost = torch.eye(4, dtype=torch.float64)
    boost[2, 2] = boost[3, 3] = math.cosh(rapidity)
    boost[2, 3] = boost[3, 2] = math.sinh(rapidity)
    for turn in (True, False, True):
        step = boost
        if turn:
            step = torch.eye(4, dtype=torch.float64)
            q, _ = torch.linalg.qr(torch.randn(3, 3, generator=draw, dtype=torch.float64))
            step[:3, :3] = q * torch.linalg.det(q)
        total = step @ total
    return total


def lorentznet_at_work() -> nn.Module:
    """As after training: its norms have seen jets, so that scores are no ones and zeros, and its vectors move."""
    encoder = built("lorentznet", dropout=0.0)
    for block in encoder.blocks[:-1]:
        nn.init.xavier_uniform_(block.move[-1].weight)
    encoder.train()
    with torch.no_grad():
        for seed in range(40):
            encoder(jets([12, 25, 30, 20], seed=seed + 50))
    return encoder.eval()


@pytest.mark.parametrize(("kind", "rapidity"), [(torch.float64, 3.0), (torch.float64, 0.0), (torch.float32, 0.0)])
def test_lorentznet_sees_no_boost_and_no_rotation(kind: torch.dtype, rapidity: float) -> None:
    """Scores to 1e-4. Four-vectors held in float32 know a mass squared no better than 1e-7 of their energy squared, so boosts are
    tried on float64 columns."""
    encoder, head = lorentznet_at_work(), nn.Linear(72, 2)
    for seed in range(3):
        cloud = jets([12, 0, 30, 22], seed=seed, kind=kind)
        p4 = torch.stack([cloud.point[key] for key in COLUMNS], 1)
        before = head(encoder(cloud).events).softmax(1)
        assert bool(((before > 0.02) & (before < 0.98)).all()), "scores at their ends would hide a difference"
        assert (before[0] - before[2]).abs().max() > 1e-3, "and so would equal ones"
        moved = (p4.double() @ lorentz(rapidity, seed).T).to(kind)
        seen = replace(cloud, point=dict(zip(COLUMNS, moved.unbind(1), strict=True)))
        torch.testing.assert_close(head(encoder(seen).events).softmax(1), before, rtol=0, atol=1e-4)
        spoiled = replace(cloud, point=cloud.point | {"energy": 1.1 * cloud.point["energy"]})
        assert (head(encoder(spoiled).events).softmax(1) - before).abs().max() > 1e-3, "what is no boost is seen"


def test_lorentznet_hears_scalars_by_name() -> None:
    cloud = jets([6])
    flags = replace(cloud, point=cloud.point | {"is_muon": (torch.arange(6) == 2).float()})
    encoder = built("lorentznet", scalars=("is_muon",))
    quiet = replace(flags, point=flags.point | {"is_muon": torch.zeros(6)})
    assert not torch.allclose(encoder(flags).events, encoder(quiet).events)
    with pytest.raises(ValueError, match="not there: is_muon"):
        encoder(cloud)


def test_lstm_walks_down_in_pt() -> None:
    """The last state is that of the softest constituent, and the first one's is that of a jet of it alone."""
    encoder, cloud = built("lstm"), jets([7])
    pt = torch.hypot(cloud.point["px"], cloud.point["py"])
    points = encoder(cloud).points
    torch.testing.assert_close(encoder.dense(points[pt.argmin()]), encoder(cloud).events[0])
    hardest = cloud.keep(torch.arange(7) == pt.argmax())
    torch.testing.assert_close(encoder(hardest).points[0], points[pt.argmax()])


def test_image_is_of_shares_of_pt_about_the_principal_axis() -> None:
    cloud = jets([40, 3])
    image = built("image-cnn", width=9.0).image(cloud)
    torch.testing.assert_close(image.sum((1, 2, 3)), torch.ones(2))
    spread = [(image[0, 0].sum(axis) * (torch.arange(40) - 19.5) ** 2).sum() for axis in (1, 0)]
    assert spread[1] >= spread[0]
    colours = replace(cloud, point=cloud.point | {"charge": torch.ones(43), "is_muon": torch.zeros(43)})
    assert built("image-cnn", colours=True).image(colours).shape == (2, 4, 40, 40)
    with pytest.raises(ValueError, match="charge and is_muon"):
        built("image-cnn", colours=True)(cloud)


@pytest.mark.parametrize("name", ["efn", "image-cnn", "lorentznet", "lstm", "part"])
def test_a_missing_four_vector_is_one_clear_line(name: str) -> None:
    cloud = jets([3])
    short = replace(cloud, point={key: value for key, value in cloud.point.items() if key != "energy"})
    with pytest.raises(ValueError, match=f"{name} reads the point columns px, py, pz, energy .GeV.; missing: energy; there are"):
        built(name)(short)


@pytest.mark.parametrize("name", ["efn", "image-cnn"])
def test_positions_must_be_two_angles(name: str) -> None:
    cloud = jets([3])
    with pytest.raises(ValueError, match=f"pos has 3 columns; {name} reads two angles"):
        built(name)(replace(cloud, pos=torch.zeros(3, 3)))


@pytest.mark.parametrize("options", [{"widths": ()}, {"widths": (8, 0)}, {"depth": 0}, {"hidden": 0}])
def test_particlenet_refuses_empty_shapes(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} = 0 came"):
        built("particlenet", **options)
