"""The laws that every encoder keeps: each test runs over the whole of ENCODERS, so a new entry is held to them at once.

An encoder is built at its smallest sensible size; ``build(name)`` gives each option it has a small value.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from clouds import permute, ragged, shuffled
from torch import Tensor, nn

from pcloud.cloud import PointCloud, collate
from pcloud.encoders import ENCODERS, Encoding
from pcloud.jets.momenta import COLUMNS

SMALL: dict[str, object] = {"channels": 8, "layers": 2, "k": 4, "heads": 2, "space": 2, "window": 4}
SMALL |= {"widths": (8, 8), "depth": 2, "hidden": 8, "phi": (8, 8), "f": (8,), "pixels": 12, "network": "minimal"}
SMALL |= {"embed": (8,), "pair_channels": (8,), "class_layers": 1, "expand": 2}
JETS = ["efn", "image-cnn", "lorentznet", "lstm", "part", "particlenet", "particlenet-lite", "pfn"]  # pos: deta, dphi
CHANNELS = 4
SIZES = [[9, 12], [0, 9, 12], [9, 0, 12], [9, 12, 0], [9, 0, 0, 1], [1, 1], [3, 2, 9], [1], [0], [0, 0], []]
every = pytest.mark.parametrize("name", ENCODERS)


def build(name: str, **options: object) -> nn.Module:
    """The encoder with weights of one seed, ready for evaluation; its standardisation is no identity."""
    known = inspect.signature(ENCODERS[name]).parameters
    torch.manual_seed(4)
    encoder = ENCODERS[name](in_channels=CHANNELS, **{key: value for key, value in SMALL.items() if key in known} | options)
    encoder.standardize.set(torch.linspace(-0.3, 0.3, CHANNELS), torch.linspace(0.8, 1.2, CHANNELS))
    return encoder.eval()


def cloud_of(name: str, sizes: list[int], seed: int = 0) -> PointCloud:
    """Random events: hits as far apart as a detector is large, in mm; of jets, angles in rad. Both have four-vectors, in GeV."""
    cloud = ragged(sizes, channels=CHANNELS, seed=seed)
    momentum = 10 * torch.randn(cloud.points, 3, generator=torch.Generator().manual_seed(seed + 100))
    columns = [*momentum.unbind(1), torch.linalg.vector_norm(momentum, dim=1) + 0.1]
    pos = 0.3 * cloud.pos[:, :2] if name in JETS else 300 * cloud.pos
    return replace(cloud, pos=pos, point=cloud.point | dict(zip(COLUMNS, columns, strict=True)))


def changed(cloud: PointCloud, change: Callable[[Tensor], Tensor]) -> PointCloud:
    """``change`` made to all that an encoder may read of points: pos, feat and the four-vectors."""
    point = cloud.point | {name: change(cloud.point[name]) for name in COLUMNS}
    return replace(cloud, pos=change(cloud.pos), feat=change(cloud.feat), point=point)


def parts(encoding: Encoding, cloud: PointCloud) -> Iterator[tuple[Tensor, Tensor]]:
    """What an encoder says, and the event of each row; of edges those that exist."""
    yield encoding.points, cloud.event_of_point
    if encoding.events is not None:
        yield encoding.events, torch.arange(cloud.events)
    if encoding.edges is not None:
        mask = encoding.edges.neighbors.mask
        yield encoding.edges.features[mask], cloud.event_of_point[mask.nonzero()[:, 0]]


def total(encoding: Encoding, cloud: PointCloud, event: int | None = None) -> Tensor:
    """A number that every output has a share in; with ``event``, every output of that event."""
    out = torch.zeros(())
    for number, (values, owner) in enumerate(parts(encoding, cloud)):
        weight = torch.sin(torch.arange(values.shape[1]) + number + 1.0)
        chosen = values if event is None else values[owner == event]
        out = out + (chosen * weight).sum() + chosen.square().sum()
    return out


def assert_alike(a: Encoding, b: Encoding, cloud: PointCloud) -> None:
    for (x, _), (y, _) in zip(parts(a, cloud), parts(b, cloud), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)


def assert_identical(a: Encoding, b: Encoding, cloud: PointCloud) -> None:
    for (x, _), (y, _) in zip(parts(a, cloud), parts(b, cloud), strict=True):
        assert torch.equal(x, y)


@every
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_it_has_the_parts_it_declares(name: str, sizes: list[int]) -> None:
    encoder, cloud = build(name), cloud_of(name, sizes)
    out = encoder(cloud)
    assert out.points.shape == (cloud.points, encoder.point_channels)
    assert (out.events is None) == (encoder.event_channels == 0)
    assert (out.edges is None) == (encoder.edge_channels == 0)
    if out.events is not None:
        assert out.events.shape == (cloud.events, encoder.event_channels)
    if out.edges is not None:
        assert out.edges.features.shape == (*out.edges.neighbors.index.shape, encoder.edge_channels)
    for values, _ in parts(out, cloud):
        assert bool(torch.isfinite(values).all())


@every
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_points_is_only_their_names(name: str, seed: int) -> None:
    encoder, cloud = build(name), cloud_of(name, [9, 0, 1, 14], seed)
    order = shuffled(cloud, seed)
    before, after = encoder(cloud), encoder(permute(cloud, order))
    torch.testing.assert_close(after.points, before.points[order], rtol=1e-4, atol=1e-5)
    if before.events is not None:
        torch.testing.assert_close(after.events, before.events, rtol=1e-4, atol=1e-5)
    if before.edges is not None:
        old, new = before.edges, after.edges
        renamed = torch.where(new.neighbors.mask, new.neighbors.gather(order), -1)
        assert torch.equal(renamed, old.neighbors.index[order])
        mask = new.neighbors.mask
        torch.testing.assert_close(new.features[mask], old.features[order][mask], rtol=1e-4, atol=1e-5)


@every
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_batch_is_its_events(name: str, sizes: list[int]) -> None:
    encoder, cloud = build(name), cloud_of(name, sizes)
    batch = list(parts(encoder(cloud), cloud))
    for number, event in enumerate(cloud.split()):
        for (values, owner), (alone, _) in zip(batch, parts(encoder(event), event), strict=True):
            torch.testing.assert_close(values[owner == number], alone, rtol=1e-4, atol=1e-5)


@every
def test_no_gradient_across_events(name: str) -> None:
    encoder, cloud = build(name), cloud_of(name, [9, 0, 1, 14])
    for event in (0, 2, 3):
        seen = changed(cloud, lambda values: values.clone().requires_grad_())
        total(encoder(seen), seen, event).backward()
        own = cloud.event_of_point == event
        reached = [one.grad for one in (seen.feat, seen.pos, *(seen.point[key] for key in COLUMNS)) if one.grad is not None]
        assert all(bool((grad[~own] == 0).all()) for grad in reached)
        assert event == 2 or any(bool((grad[own] != 0).any()) for grad in reached), "event 2 has a lone point"


@every
def test_what_others_do_is_not_heard(name: str) -> None:
    """Also what has no gradient, as the choice of neighbours: other companions, same output."""
    encoder, event = build(name), cloud_of(name, [12])
    company = [collate([event, cloud_of(name, [n, 3], seed=n)]) for n in (0, 5, 40)]
    first = next(iter(parts(encoder(company[0]), company[0])))[0][:12]
    for cloud in company[1:]:
        torch.testing.assert_close(encoder(cloud).points[:12], first, rtol=1e-4, atol=1e-5)


@every
def test_truth_is_not_seen(name: str) -> None:
    encoder, cloud = build(name), cloud_of(name, [9, 0, 12])
    assert_identical(encoder(cloud), encoder(cloud.without_truth()), cloud)


@every
def test_names_and_numbers_of_hits_are_not_seen(name: str) -> None:
    encoder, cloud = build(name), cloud_of(name, [9, 12])
    momenta = {key: cloud.point[key] for key in COLUMNS}
    assert_identical(encoder(cloud), encoder(replace(cloud, point=momenta, event={})), cloud)


@every
def test_every_parameter_gets_a_gradient(name: str) -> None:
    encoder, cloud = build(name).train(), cloud_of(name, [9, 1, 12])
    total(encoder(cloud), cloud).backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None, f"{key} has no gradient"
        assert bool(torch.isfinite(parameter.grad).all()), f"{key} has a gradient that is not finite"
        assert bool((parameter.grad != 0).any()), f"{key} has a gradient of zero"


@every
def test_hits_in_one_place(name: str) -> None:
    """Doubled points, points at the origin, and an event all in one place: finite output, finite gradients."""
    encoder, cloud = build(name).train(), cloud_of(name, [8, 6, 3])

    def pile(values: Tensor) -> Tensor:
        values = values.clone()
        values[1], values[2], values[8:14] = values[0], 0.0, values[8].clone()
        return values

    cloud = changed(cloud, pile)
    out = encoder(cloud)
    assert all(bool(torch.isfinite(values).all()) for values, _ in parts(out, cloud))
    total(out, cloud).backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in encoder.parameters())


@every
def test_the_same_twice(name: str) -> None:
    """Same weights from one seed, same numbers from same weights, dropout asleep outside training and awake in it."""
    cloud = cloud_of(name, [9, 12])
    one, two = build(name, dropout=0.5), build(name, dropout=0.5)
    assert_identical(one(cloud), two(cloud), cloud)
    assert_identical(one(cloud), build(name)(cloud), cloud)
    one.train()
    assert any(not torch.equal(a, b) for (a, _), (b, _) in zip(parts(one(cloud), cloud), parts(one(cloud), cloud), strict=True))


@every
def test_the_weights_are_all_there_is(name: str) -> None:
    """Standardisation travels with them: another encoder that loads them says the same."""
    cloud, one = cloud_of(name, [9, 12]), build(name)
    known = inspect.signature(ENCODERS[name]).parameters
    other = ENCODERS[name](in_channels=CHANNELS, **{key: value for key, value in SMALL.items() if key in known}).eval()
    assert not torch.equal(other(cloud).points, one(cloud).points)
    other.load_state_dict(one.state_dict())
    assert_identical(other(cloud), one(cloud), cloud)


@every
def test_features_are_standardised_first(name: str) -> None:
    """Other units, other statistics, same numbers."""
    encoder, cloud = build(name), cloud_of(name, [9, 12])
    mean, width = torch.tensor([5.0, -3, 0, 1]), torch.tensor([10.0, 0.1, 1, 3])
    encoder.standardize.set(torch.zeros(CHANNELS), torch.ones(CHANNELS))
    before = encoder(cloud)
    encoder.standardize.set(mean, width)
    assert_alike(encoder(replace(cloud, feat=cloud.feat * width + mean)), before, cloud)


@every
def test_half_precision(name: str) -> None:
    """Under autocast, as mixed-precision training runs it: finite, and near enough for its eight bits."""
    encoder, cloud = build(name), cloud_of(name, [9, 0, 12])
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(cloud)
    for (values, _), (exact, _) in zip(parts(rough, cloud), parts(encoder(cloud), cloud), strict=True):
        assert bool(torch.isfinite(values).all())
        assert (values.float() - exact).abs().mean() < 0.1 * exact.abs().mean()


@every
@pytest.mark.slow
def test_compiled_gives_the_same_numbers(name: str) -> None:
    """As torch.compile captures it; with PCLOUD_COMPILE=inductor also as C++ that it writes and compiles, a minute each."""
    encoder, cloud = build(name), cloud_of(name, [9, 0, 1, 12])
    torch.compiler.reset()
    compiled = torch.compile(encoder, backend=os.environ.get("PCLOUD_COMPILE", "aot_eager"))
    assert_alike(compiled(cloud), encoder(cloud), cloud)
