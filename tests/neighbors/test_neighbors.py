"""The door to neighbours: a table worked on paper, the definition as oracle, far origins, gradients, real hits, clear errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from clouds import law
from clouds_of_trouble import TROUBLE, brute
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import Neighbors, knn, paths, radius, reference
from pcloud.neighbors.search import Search


@pytest.fixture(params=["reference", "forest", "pairs"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each path behind the door in turn."""
    monkeypatch.setattr(paths, "choose", lambda asked: (request.param, "a test"))
    return str(request.param)


def listed(found: Neighbors) -> list[list[int]]:
    return [row[row >= 0].tolist() for row in found.index]


def ranked(pos: Tensor, row: int) -> Tensor:
    """All other points of one event by (distance, index) from the point at ``row``."""
    distance = reference.squared_distance(pos, pos[row])
    distance[row] = torch.inf
    return distance.sort(stable=True).indices[:-1].int()


def test_on_paper(path: str) -> None:
    """Points 0, 1, 3 on a line, and 0 of another event; 1 is as near to 0 as to 2, were it there."""
    pos, offsets = torch.tensor([[0.0], [1.0], [3.0], [0.0]]), torch.tensor([0, 3, 4])
    found = knn(pos, offsets, 3)
    assert found.index.tolist() == [[1, 2, -1], [0, 2, -1], [1, 0, -1], [-1, -1, -1]]
    inf = torch.inf
    assert found.distance2.tolist() == [[1, 9, inf], [1, 4, inf], [4, 9, inf], [inf, inf, inf]]
    assert found.index.dtype == torch.int32 and found.distance2.dtype == torch.float32
    assert found.mask.tolist() == [[True, True, False]] * 3 + [[False] * 3]
    assert knn(pos, offsets, 2, loop=True).index.tolist() == [[0, 1], [1, 0], [2, 1], [3, -1]]
    assert knn(pos, offsets, 2, r_max=2.0).index.tolist() == [[1, -1], [0, 2], [1, -1], [-1, -1]]
    assert radius(pos, offsets, 3.0, k_max=1).index.tolist() == [[1], [0], [1], [-1]]


def test_views_for_message_passing() -> None:
    found = knn(torch.tensor([[0.0], [1.0], [3.0], [0.0]]), torch.tensor([0, 3, 4]), 3)
    assert found.edge_index().tolist() == [[1, 2, 0, 2, 1, 0], [0, 0, 1, 1, 2, 2]]
    start, sender = found.csr()
    assert start.tolist() == [0, 2, 4, 6, 6] and sender.tolist() == [1, 2, 0, 2, 1, 0]
    gathered = found.gather(torch.tensor([[10.0], [11], [12], [13]]))
    assert gathered[1, :2, 0].tolist() == [10, 12] and gathered.shape == (4, 3, 1)


def test_ties_by_lower_index(path: str) -> None:
    """The four neighbours of a lattice point, and a crowd in one place."""
    pos = torch.tensor([[1.0, 0], [0, 1], [0, 0], [-1, 0], [0, -1]])
    assert knn(pos, torch.tensor([0, 5]), 2).index[2].tolist() == [0, 1]
    crowd = knn(torch.zeros(6, 2), torch.tensor([0, 6]), 2)
    assert crowd.index.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize("name", TROUBLE)
def test_the_reference_is_the_definition(name: str) -> None:
    pos, offsets = TROUBLE[name]()
    full = brute(pos, offsets, 100)
    for k in (1, 4, 100):
        index = reference.search(Search(pos, offsets, pos, offsets, k, skip_self=True)).index
        assert [row[row >= 0].tolist() for row in index] == [row[:k] for row in full]


def test_blocks_of_the_reference_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    pos, offsets = TROUBLE["random"]()
    asked = Search(pos, offsets, pos, offsets, 5, reach2=1.5, skip_self=True)
    whole = reference.search(asked)
    monkeypatch.setattr(reference, "BLOCK", 64)
    assert all(map(torch.equal, reference.search(asked), whole)) and bool(whole.truncated.any())


def test_queries_of_their_own(path: str) -> None:
    """Queries where there are no points, points where there are no queries."""
    pos, offsets = torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([0, 2, 2, 3])
    query, query_offsets = torch.tensor([[1.5], [7.0], [0.0]]), torch.tensor([0, 1, 3, 3])
    found = knn(pos, offsets, 2, query=query, query_offsets=query_offsets)
    assert found.index.tolist() == [[1, 0], [-1, -1], [-1, -1]]
    assert found.distance2[0].tolist() == [0.25, 2.25]
    assert knn(pos[:0], torch.tensor([0, 0]), 2, query=query, query_offsets=torch.tensor([0, 3])).index.tolist() == [[-1, -1]] * 3


def test_a_query_is_not_left_out_of_its_own_points(path: str) -> None:
    pos, offsets = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 2])
    assert knn(pos, offsets, 1, query=pos.clone(), query_offsets=offsets).index.tolist() == [[0], [1]]


@pytest.mark.parametrize("step", [0.1, 0.3, 1 / 3, 1e-3, 7e5])
def test_the_radius_is_inclusive(step: float, path: str) -> None:
    """A point r away along an axis is inside, whatever r is in binary; the next float is not."""
    at = torch.tensor([[0.0], [step], [0.0]])
    at[2] = -torch.nextafter(at[1], torch.tensor(torch.inf))
    beyond = at[2] ** 2 > at[1] ** 2
    found = radius(at, torch.tensor([0, 3]), step, k_max=3)
    assert found.index[0].tolist() == ([1, -1, -1] if beyond else [1, 2, -1])


@pytest.mark.parametrize("name", ["random", "lattice", "crowds", "circle", "near ties", "wide and narrow", "tiny"])
@pytest.mark.parametrize("r", [0.0, 0.1, 1.0, 2.0**0.5, 3.0])
def test_radius_equals_the_definition(name: str, r: float, path: str) -> None:
    pos, offsets = TROUBLE[name]()
    for k in (3, 80):
        found = radius(pos, offsets, r, k_max=k)
        assert listed(found) == brute(pos, offsets, k, r_max=r)
        assert bool(torch.isinf(found.distance2[~found.mask]).all())


def test_far_from_the_origin(path: str) -> None:
    """Steps of 1e-3 at 1e6, in float64: lost if cast first. Two events at different ends, each seen from its own middle."""
    step = torch.arange(30, dtype=torch.float64)[:, None] * torch.tensor([[1e-3, 0, 0]], dtype=torch.float64)
    jitter = 1e-4 * torch.rand(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    here = step + jitter
    offsets = torch.tensor([0, 30, 60])
    near = torch.cat([here, here])
    far = torch.cat([here + 1e6, here - 1e6])
    found, expected = knn(far, offsets, 4), knn(near, offsets, 4)
    assert torch.equal(found.index, expected.index)
    torch.testing.assert_close(found.distance2, expected.distance2, rtol=1e-3, atol=0)
    elsewhere = knn(far, offsets, 4, query=far, query_offsets=offsets, loop=True)
    assert elsewhere.index[:, 0].tolist() == list(range(60)), "queries must be moved as their points are"
    assert knn(far.float(), offsets, 4).distance2.eq(0).any(), "float32 holds no such steps: the test would be idle"


@law
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    dim=st.integers(1, 6),
    k=st.integers(1, 70),
    origin=st.sampled_from([0.0, 1.0, 1e3, 1e6]),
    step=st.sampled_from([1e-3, 1.0]),
    seed=st.integers(0, 1000),
)
def test_distances_are_those_of_float64_but_for_rounding(
    sizes: list[int], dim: int, k: int, origin: float, step: float, seed: int
) -> None:
    """Place by place: the j-th distance found is the j-th smallest, within what float32 coordinates of the event's size allow;
    and the index is of a point at that distance, so sets differ at most where distances are as good as equal."""
    draw = torch.Generator().manual_seed(seed)
    pos = step * torch.randn(sum(sizes), dim, generator=draw, dtype=torch.float64) + origin
    found = knn(pos, segments.offsets_of(torch.tensor(sizes)), k)
    for low, high in zip(segments.offsets_of(torch.tensor(sizes)).tolist(), torch.tensor(sizes).cumsum(0).tolist(), strict=False):
        event = pos[low:high]
        exact = (event[:, None] - event).square().sum(-1)
        extent = float((event.amax(0) - event.amin(0)).max()) if len(event) else 0.0
        rounding = 2.0**-23 * (4 * dim * extent * exact.sqrt() + 2 * dim * exact + dim * extent**2 * 2.0**-20) + 1e-30
        ranked, order = exact.masked_fill(torch.eye(len(event), dtype=torch.bool), torch.inf).sort(dim=1)
        width = min(k, max(len(event) - 1, 0))
        table = found.index[low:high, :width].long() - low
        assert bool((found.index[low:high, width:] == -1).all()) and bool((table >= 0).all())
        allowed = rounding.gather(1, table) + rounding.gather(1, order[:, :width])
        assert bool(((found.distance2[low:high, :width] - ranked[:, :width]).abs() <= allowed).all())
        assert bool(((exact.gather(1, table) - ranked[:, :width]).abs() <= allowed).all())


def test_doubles_that_are_singles_give_what_singles_give(path: str) -> None:
    pos, offsets = TROUBLE["two lattices"]()
    single, double = knn(pos, offsets, 6), knn(pos.double(), offsets, 6)
    assert torch.equal(single.index, double.index) and torch.equal(single.distance2, double.distance2)
    half = knn(pos.half(), offsets, 6)
    assert torch.equal(single.index, half.index) and half.distance2.dtype == torch.float32


@law
@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=4), double=st.booleans(), seed=st.integers(0, 99))
def test_a_batch_is_its_events(sizes: list[int], double: bool, seed: int) -> None:
    pos = 10 * torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pos = pos if double else pos.float()
    offsets = segments.offsets_of(torch.tensor(sizes))
    batch = knn(pos, offsets, 4)
    for event, points in enumerate(pos.split(sizes)):
        low = int(offsets[event])
        alone = knn(points, torch.tensor([0, len(points)]), 4)
        rows = slice(low, low + len(points))
        assert torch.equal(torch.where(alone.mask, alone.index + low, -1), batch.index[rows])
        assert torch.equal(alone.distance2, batch.distance2[rows])


@law
@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_order_of_points_is_only_their_names(sizes: list[int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    pos = torch.randn(sum(sizes), 3, generator=draw, dtype=torch.float64)
    offsets = segments.offsets_of(torch.tensor(sizes))
    order = torch.cat([a + torch.randperm(n, generator=draw) for a, n in zip(offsets.tolist(), sizes, strict=False)])
    before, after = knn(pos, offsets, 4), knn(pos[order], offsets, 4)
    assert torch.equal(after.distance2, before.distance2[order])
    renamed = torch.where(after.mask, after.gather(order), -1)
    assert torch.equal(renamed, before.index[order])


def test_gradient_of_distances(path: str) -> None:
    draw = torch.Generator().manual_seed(3)
    pos = (30 * torch.randn(9, 3, generator=draw, dtype=torch.float64)).requires_grad_()
    query = (30 * torch.randn(4, 3, generator=draw, dtype=torch.float64)).requires_grad_()
    offsets, query_offsets = torch.tensor([0, 5, 9]), torch.tensor([0, 3, 4])

    def distances(pos: Tensor, query: Tensor) -> Tensor:
        found = [knn(pos, offsets, 3), knn(pos, offsets, 3, query=query, query_offsets=query_offsets)]
        return torch.cat([part.distance2.masked_fill(~part.mask, 0.0) for part in found]).double()

    # Squared distances are quadratic: a central difference is exact at any step, so float32 inside does no harm.
    assert torch.autograd.gradcheck(distances, (pos, query), eps=0.1, atol=0.05, rtol=1e-3)


def test_no_gradient_between_events() -> None:
    pos = torch.randn(12, 3, requires_grad=True)
    found = knn(pos, torch.tensor([0, 5, 12]), 20)
    found.distance2[:5][found.mask[:5]].sum().backward()
    assert pos.grad is not None and bool((pos.grad[:5] != 0).any()) and bool((pos.grad[5:] == 0).all())


def test_gradient_at_coincident_points_is_zero() -> None:
    pos = torch.zeros(4, 3, requires_grad=True)
    knn(pos, torch.tensor([0, 4]), 2).distance2.sum().backward()
    assert pos.grad is not None and bool((pos.grad == 0).all())


@pytest.mark.parametrize("shape", ["coincident", "lattice", "line", "few places"])
def test_no_crowd_takes_forever(shape: str) -> None:
    """20,000 points that all tie: a search that settles them one by one takes minutes, this must take seconds at most."""
    pos = {
        "coincident": lambda: torch.zeros(20_000, 3),
        "lattice": lambda: torch.cartesian_prod(*[torch.arange(27.0)] * 3),
        "line": lambda: torch.arange(20_000.0)[:, None].expand(-1, 3),
        "few places": lambda: torch.randint(0, 3, (20_000, 3), generator=torch.Generator().manual_seed(0)).float(),
    }[shape]()
    found = knn(pos, torch.tensor([0, len(pos)]), 8)
    rows = torch.randint(0, len(pos), (40,), generator=torch.Generator().manual_seed(1)).tolist()
    for row in rows:
        assert torch.equal(found.index[row], ranked(pos, row)[:8])


@pytest.mark.parametrize("space", [lambda p: p, lambda p: p.double() + 1e7, lambda p: p.half().float()])
def test_real_hits_spot_checked(space: Callable[[Tensor], Tensor], shared_data: Path) -> None:
    """All 93,680 hits of a full event, two copies in a batch; also far away, and rounded so that many tie."""
    hits = pd.read_csv(shared_data / "trackml/full_events/event000001001-hits.csv.gz", usecols=["x", "y", "z"])
    pos = space(torch.from_numpy(hits.to_numpy(dtype="float32")))
    assert len(pos) == 93_680
    found = knn(pos, torch.tensor([0, len(pos)]), 16)
    same = pos if pos.dtype == torch.float32 else (pos - (pos.amax(0) + pos.amin(0)) / 2).float()
    for row in torch.randint(0, len(pos), (60,), generator=torch.Generator().manual_seed(2)).tolist():
        assert torch.equal(found.index[row], ranked(same, row)[:16])


def test_rows_that_are_not_finite_are_named(path: str) -> None:
    pos = torch.zeros(5, 3)
    for bad in (torch.nan, torch.inf, -torch.inf, 1e18):
        pos[3, 1] = bad
        with pytest.raises(ValueError, match=r"pos row 3 is \[0.0, .*, 0.0\]; neighbours need finite coordinates below 1e\+17"):
            knn(pos, torch.tensor([0, 5]), 2)
        with pytest.raises(ValueError, match="query row 3"):
            knn(torch.zeros(5, 3), torch.tensor([0, 5]), 2, query=pos, query_offsets=torch.tensor([0, 5]))


def test_half_precision_is_checked_and_turned_as_single() -> None:
    """1e17 is beyond half precision, and so are the digits of an azimuth brought back from several turns away."""
    pos = torch.tensor([[0.0, 1.0], [2.0, torch.inf], [1.0, 1.0]], dtype=torch.float16)
    with pytest.raises(ValueError, match="pos row 1 is"):
        knn(pos, torch.tensor([0, 3]), 1)
    found = knn(pos, torch.tensor([0, 3]), 2, check=False)
    assert int(found.nonfinite) == 1 and found.index.tolist() == [[2, -1], [-1, -1], [0, -1]]
    turns = torch.linspace(-30, 30, 90)[:, None].half()
    halves, singles = (knn(t, torch.tensor([0, 90]), 5, metric="cylinder") for t in (turns, turns.float()))
    assert torch.equal(halves.index, singles.index) and torch.equal(halves.distance2, singles.distance2)


def test_wrong_questions() -> None:
    pos, offsets = torch.zeros(2, 3), torch.tensor([0, 2])
    with pytest.raises(ValueError, match="k = 0 came"):
        knn(pos, offsets, 0)
    for r in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="a radius of"):
            radius(pos, offsets, r, k_max=3)
    with pytest.raises(ValueError, match="query and query_offsets belong together"):
        knn(pos, offsets, 1, query=pos)
    with pytest.raises(ValueError, match=r"query \[2, 2\] in 1 events came for pos \[2, 3\] in 1 events"):
        knn(pos, offsets, 1, query=torch.zeros(2, 2), query_offsets=offsets)
    with pytest.raises(ValueError, match="numbers of events must agree"):
        knn(pos, offsets, 1, query=pos, query_offsets=torch.tensor([0, 1, 2]))


def test_trouble_is_trouble() -> None:
    """The clouds are what their names say: else the tests above would be idle."""
    for name in ("lattice", "crowds", "circle", "near ties"):
        distance = knn(*TROUBLE[name](), 8).distance2
        assert (distance[:, 1:] == distance[:, :-1]).any(1).sum() > 5, name
    assert knn(*TROUBLE["vanishing"](), 4).distance2.max() < 1e-38


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", TROUBLE)
def test_the_gpu_says_the_same(name: str) -> None:
    pos, offsets = TROUBLE[name]()
    for k, table in ((4, pos), (100, pos), (4, pos.double() + 1e5)):
        here, there = knn(table, offsets, k), knn(table.cuda(), offsets.cuda(), k)
        assert torch.equal(here.index, there.index.cpu()) and torch.equal(here.distance2, there.distance2.cpu())
