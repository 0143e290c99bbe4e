"""Every set loss against the number it stands for: short direct references here, SciPy, and POT and geomloss where installed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance, wasserstein_distance
from torch import Tensor

from pcloud.losses import sets
from pcloud.losses.sets.sliced import lines

Sets = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # x, its weights, y, its weights
kinds = pytest.mark.parametrize("kind", [torch.float32, torch.float64])
NO_POINTS = np.zeros((0, 2))


def cases() -> Iterator[Sets]:
    """Random sets of like and unlike sizes, and degenerate ones: single, coincident, tied, collinear, all weight on one point."""
    draw = np.random.default_rng(11)
    for n, m in ((6, 6), (7, 4), (3, 8), (1, 1), (1, 5), (30, 24)):
        yield draw.normal(size=(n, 2)), draw.uniform(0.2, 1, n), draw.normal(size=(m, 2)), draw.uniform(0.2, 1, m)
    yield np.zeros((4, 2)), np.ones(4), np.zeros((3, 2)), np.ones(3)
    yield np.ones((4, 2)), np.ones(4), np.zeros((4, 2)), np.ones(4)
    square = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    yield square, np.ones(4), square + 1, np.ones(4)
    yield square, np.array([1.0, 0, 0, 0]), square, np.array([0, 0, 0, 2.0])
    line = np.stack([np.arange(5.0), np.arange(5.0)], 1)
    yield line, np.ones(5), line[::-1] / 2, np.arange(1.0, 6)


def check(name: str, reference: Callable[..., float], kind: torch.dtype, *, abs: float | None = None, **options: Any) -> None:
    """The loss of all cases, as one batch, equals the reference of each."""
    some = list(cases())
    columns = [torch.from_numpy(np.concatenate([one[part] for one in some])).to(kind) for part in range(4)]
    offsets = [torch.tensor([0, *(len(one[part]) for one in some)]).cumsum(0) for part in (0, 2)]
    given = columns[0], offsets[0], columns[2], offsets[1]
    found = sets.SET_LOSSES[name](*given, x_weight=columns[1], y_weight=columns[3], **options)
    exact = 1e-5 if kind == torch.float32 else 1e-9
    assert found.tolist() == pytest.approx([reference(*one) for one in some], rel=exact, abs=abs or exact)


def normalised(a: np.ndarray) -> np.ndarray:
    return a / a.sum()


def present(x: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[a > 0], a[a > 0]


def transport(cost: np.ndarray, a: np.ndarray, b: np.ndarray, equal: bool = True) -> float:
    """Least cost of moving min(sum a, sum b), by linear programming; all of it where ``equal``."""
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    if equal:
        done = linprog(cost.ravel(), A_eq=np.concatenate(rows), b_eq=np.concatenate([a, b]))
    else:
        whole = {"A_eq": np.ones((1, n * m)), "b_eq": [min(a.sum(), b.sum()) * (1 - 1e-14)]}
        done = linprog(cost.ravel(), A_ub=np.concatenate(rows), b_ub=np.concatenate([a, b]), **whole)
    assert done.status == 0
    return float(done.fun)


@kinds
def test_chamfer(kind: torch.dtype) -> None:
    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        (x, a), (y, b) = present(x, a), present(y, b)
        square = cdist(x, y, "sqeuclidean")
        return float(normalised(a) @ square.min(1) + normalised(b) @ square.min(0))

    check("chamfer", reference, kind)


@kinds
@pytest.mark.parametrize("price", [0.3, 2.0])
def test_hungarian(kind: torch.dtype, price: float) -> None:
    """Every pairing there is, for the small sets."""

    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        if len(x) > len(y):
            x, a, y, b = y, b, x, a
        (x, a), (y, b) = present(x, a), present(y, b)
        cost = (a[:, None] + b) / 2 * cdist(x, y, "sqeuclidean") + price * abs(a[:, None] - b)
        most = max(a.sum(), b.sum())
        if len(y) > 8:  # too many pairings to list
            return matched(cost, price, a, b) / most
        rows = np.arange(len(x))
        every = (np.array(some) for some in itertools.permutations(range(len(y)), len(x)))
        return float(min(cost[rows, some].sum() + price * np.delete(b, some).sum() for some in every) / most)

    check("hungarian", reference, kind, price=price)


def matched(cost: np.ndarray, price: float, a: np.ndarray, b: np.ndarray) -> float:
    """All of the fewer points paired, the rest paying, by linear programming: a further row of cost takes who stays alone."""
    alone = len(b) - len(a)
    whole = np.concatenate([cost, price * b[None]])
    return transport(whole, np.concatenate([np.ones(len(a)), [alone]]), np.ones(len(b)))


def test_hungarian_without_weights_is_a_mean_over_the_larger_set() -> None:
    x, y = torch.tensor([[0.0], [10.0]]), torch.tensor([[0.5], [10.0], [50.0]])
    found = sets.hungarian(x, torch.tensor([0, 2]), y, torch.tensor([0, 3]), price=4.0)
    assert found.item() == pytest.approx((0.25 + 0 + 4) / 3)


@kinds
def test_energy(kind: torch.dtype) -> None:
    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        a, b = normalised(a), normalised(b)
        return float(2 * a @ cdist(x, y) @ b - a @ cdist(x, x) @ a - b @ cdist(y, y) @ b)

    check("energy", reference, kind)


def test_energy_on_a_line_is_scipys() -> None:
    draw = np.random.default_rng(2)
    x, a, y, b = draw.normal(size=9), draw.uniform(size=9), draw.normal(size=14), draw.uniform(size=14)
    column = [torch.from_numpy(one)[:, None] for one in (x, y)]
    weights = {"x_weight": torch.from_numpy(a), "y_weight": torch.from_numpy(b)}
    found = sets.energy(column[0], torch.tensor([0, 9]), column[1], torch.tensor([0, 14]), **weights)
    assert found.item() == pytest.approx(energy_distance(x, y, a, b) ** 2)


@kinds
def test_mmd(kind: torch.dtype) -> None:
    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        points, weight = np.concatenate([x, y]), np.concatenate([normalised(a), -normalised(b)])
        square = cdist(points, points, "sqeuclidean")
        return float(weight @ (np.exp(-square / (2 * 0.3**2)) + np.exp(-square / 2)) @ weight / 2)

    check("mmd", reference, kind, bandwidth=(0.3, 1.0))


@kinds
@pytest.mark.parametrize("power", [1, 2])
def test_sliced(kind: torch.dtype, power: int) -> None:
    """Each line's transport, by linear programming."""
    directions = lines(3, 2, 5).double()

    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        along = directions.numpy().T
        gaps = ((x @ along).T[:, :, None] - (y @ along).T[:, None]) if len(x) else np.zeros((3, 0, 0))
        return float(np.mean([transport(abs(gap) ** power, normalised(a), normalised(b)) for gap in gaps]))

    check("sliced", reference, kind, directions=directions, power=power)


@kinds
def test_sliced_on_a_line_is_scipys_wasserstein(kind: torch.dtype) -> None:
    draw = np.random.default_rng(2)
    x, a, y, b = draw.normal(size=9), draw.uniform(size=9), draw.normal(size=14), draw.uniform(size=14)
    column = [torch.from_numpy(one)[:, None].to(kind) for one in (x, y)]
    weights = {"x_weight": torch.from_numpy(a).to(kind), "y_weight": torch.from_numpy(b).to(kind)}
    found = sets.sliced(column[0], torch.tensor([0, 9]), column[1], torch.tensor([0, 14]), power=1, **weights)
    assert found.item() == pytest.approx(wasserstein_distance(x, y, a, b), rel=1e-6)


def test_lines() -> None:
    """Unit vectors; the same from the same number, new ones from a generator; the mean over many is |x - y|^2 / d."""
    for dim in (1, 2, 3):
        assert lines(7, dim, 1).norm(dim=1).tolist() == pytest.approx([1] * 7)
        assert torch.equal(lines(7, dim, 1), lines(7, dim, 1))
        x, y, one = torch.zeros(1, dim), torch.ones(1, dim), torch.tensor([0, 1])
        assert sets.sliced(x, one, y, one, projections=20000, seed=1).item() == pytest.approx(1.0, rel=0.03)
    draw = torch.Generator().manual_seed(0)
    assert not torch.equal(lines(7, 3, draw), lines(7, 3, draw))


@kinds
@pytest.mark.parametrize(("R", "beta"), [(1.0, 1.0), (0.4, 1.0), (3.0, 2.0), (1.0, 0.5)])
def test_emd(kind: torch.dtype, R: float, beta: float) -> None:
    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        return transport((cdist(x, y) / R) ** beta, a, b, equal=False) + abs(a.sum() - b.sum())

    check("emd", reference, kind, R=R, beta=beta)


def test_emd_by_hand() -> None:
    """3 GeV at 0 to 1 GeV at 0.1 and 1 GeV at 0.3, R = 0.5: 0.2 + 0.6 moved, 1 too much; derivatives as the plan has them."""
    x, a = torch.zeros(1, 1, requires_grad=True), torch.tensor([3.0], requires_grad=True)
    y, b = torch.tensor([[0.1], [0.3]], requires_grad=True), torch.tensor([1.0, 1.0], requires_grad=True)
    value = sets.emd(x, torch.tensor([0, 1]), y, torch.tensor([0, 2]), x_weight=a, y_weight=b, R=0.5)
    assert value.item() == pytest.approx(1.8)
    value.backward()
    grown = [one.grad.flatten().tolist() for one in (x, a, y, b) if one.grad is not None]
    assert grown == [pytest.approx([-4.0]), pytest.approx([1.0]), pytest.approx([2.0, 2.0]), pytest.approx([-0.8, -0.4])]


def test_emd_of_many_sets_is_pots() -> None:
    ot = pytest.importorskip("ot")
    draw = np.random.default_rng(3)
    for trial in range(60):
        n, m, d = draw.integers(1, 50, 2).tolist() + [trial % 3 + 1]
        x, y = draw.normal(size=(n, d)).round(trial % 2 + 1), draw.normal(size=(m, d)).round(trial % 2 + 1)
        a, b = (normalised(draw.uniform(0.1, 1, size) if trial % 4 else np.ones(size)) for size in (n, m))
        given = torch.from_numpy(x), torch.tensor([0, n]), torch.from_numpy(y), torch.tensor([0, m])
        found = sets.emd(*given, x_weight=torch.from_numpy(a), y_weight=torch.from_numpy(b))
        assert found.item() == pytest.approx(ot.emd2(a, b, cdist(x, y)), rel=1e-9, abs=1e-12)


@kinds
def test_ordered(kind: torch.dtype) -> None:
    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        rows = []
        for points, weight in (present(x, a), present(y, b)):
            rows.append(sorted(([-w, *p] for p, w in zip(points, weight, strict=True)), key=tuple))
        most = max(map(len, rows))
        one, two = (np.array([*some, *[[0.0, 0, 0]] * (most - len(some))]) * [0.5, 1, 1] for some in rows)
        return float(((one - two) ** 2).sum() / most)

    check("ordered", reference, kind, scale=0.5)


def entropic(cost: np.ndarray, a: np.ndarray, b: np.ndarray, epsilon: float) -> float:
    """min <P, C> + epsilon KL(P | a b^T), by plain alternating updates until nothing moves."""
    f, g = np.zeros(len(a)), np.zeros(len(b))
    top = -cost.min()
    for _ in range(20000):
        before = f
        f = -epsilon * np.log(np.exp((g[None] - cost - top) / epsilon) @ b) - top
        g = -epsilon * np.log(np.exp((f[:, None] - cost - top) / epsilon).T @ a) - top
        if abs(f - before).max() < 1e-13:
            break
    plan = a[:, None] * b * np.exp((f[:, None] + g - cost) / epsilon)
    inner = np.log(np.where(plan > 0, plan, 1) / np.where(plan > 0, a[:, None] * b, 1))
    return float((plan * (cost + epsilon * inner)).sum())


def divergence(epsilon: float, power: int, solver: Callable[..., float] = entropic) -> Callable[..., float]:
    def reference(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        (x, a), (y, b) = present(x, normalised(a)), present(y, normalised(b))

        def between(p: np.ndarray, a: np.ndarray, q: np.ndarray, b: np.ndarray) -> float:
            return solver(cdist(p, q) ** power / power, a, b, epsilon)

        return between(x, a, y, b) - between(x, a, x, a) / 2 - between(y, b, y, b) / 2

    return reference


@kinds
@pytest.mark.parametrize(("epsilon", "power"), [(0.3, 2), (0.3, 1), (5.0, 2), (5.0, 1)])
def test_sinkhorn(kind: torch.dtype, epsilon: float, power: int) -> None:
    exact = 1e-5 if kind == torch.float32 else 2e-7
    options = {"epsilon": epsilon, "power": power, "iterations": 300, "scaling": 0.7}
    check("sinkhorn", divergence(epsilon, power), kind, abs=exact, **options)
    check("sinkhorn", divergence(epsilon, power), kind, abs=exact, **{**options, "scaling": None})


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_sinkhorn_is_pots(epsilon: float) -> None:
    ot = pytest.importorskip("ot")

    def solver(cost: np.ndarray, a: np.ndarray, b: np.ndarray, epsilon: float) -> float:
        plan = ot.bregman.sinkhorn_log(a, b, cost, epsilon, numItermax=3000, stopThr=1e-10, warn=False)
        whole = np.where(plan > 0, plan, 1) / np.where(plan > 0, a[:, None] * b, 1)
        return float((plan * (cost + epsilon * np.log(whole))).sum())

    options = {"epsilon": epsilon, "iterations": 300}
    check("sinkhorn", divergence(epsilon, 2, solver), torch.float32, abs=1e-5, **options)


@kinds
@pytest.mark.parametrize(("power", "scaling"), [(2, 0.5), (2, 0.9), (1, 0.7)])
def test_sinkhorn_is_geomloss_step_by_step(kind: torch.dtype, power: int, scaling: float) -> None:
    """Values and gradients of the same schedule; geomloss bounds distances from below where power is 1."""
    samples = pytest.importorskip("geomloss").SamplesLoss
    other = samples("sinkhorn", p=power, blur=0.1, scaling=scaling, debias=True, backend="tensorized")
    draw = torch.Generator().manual_seed(0)
    n, m = 20, 26
    x, y = torch.rand(n, 2, generator=draw).to(kind).requires_grad_(), torch.rand(m, 2, generator=draw).to(kind)
    a, b = (one / one.sum() for one in (torch.rand(size, generator=draw).to(kind) for size in (n, m)))
    given = x, torch.tensor([0, n]), y, torch.tensor([0, m])
    options = {"epsilon": 0.1**power, "power": power, "scaling": scaling, "iterations": 0}
    found = sets.sinkhorn(*given, x_weight=a, y_weight=b, **options)
    expected = other(a, x, b, y)
    close = 1e-6 if power == 2 else 1e-4
    assert found.item() == pytest.approx(expected.item(), abs=close)
    slopes = [torch.autograd.grad(one, x)[0] for one in (found.sum(), expected)]
    assert torch.allclose(*slopes, atol=10 * close, rtol=0.0)


@kinds
def test_sinkhorn_of_a_wide_blur(kind: torch.dtype) -> None:
    """Half the energy distance for power 1, half the squared distance of the means for power 2."""

    def means(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        return float(((normalised(a) @ x - normalised(b) @ y) ** 2).sum() / 2)

    def half(x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
        a, b = normalised(a), normalised(b)
        return float(a @ cdist(x, y) @ b - a @ cdist(x, x) @ a / 2 - b @ cdist(y, y) @ b / 2)

    check("sinkhorn", means, kind, epsilon=1e4, abs=4e-3)
    check("sinkhorn", half, kind, epsilon=1e4, power=1, abs=4e-3)


@pytest.mark.parametrize("iterations", [0, 3, 400])
@pytest.mark.parametrize("scaling", [0.5, None])
def test_sinkhorn_with_a_sharp_epsilon(scaling: float | None, iterations: int) -> None:
    """Far points and weights over eight orders: sums leave float32's range, and are taken again at every step."""
    x, one = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 3])
    weight = torch.tensor([1.0, 1e-8, 1e-4])
    options = {"epsilon": 1e-6, "scaling": scaling, "iterations": iterations}
    found = []
    for kind in (torch.float32, torch.float64):
        moved = (x + 0.1).to(kind)
        found.append(sets.sinkhorn(x.to(kind), one, moved, one, x_weight=weight, y_weight=weight, **options).item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    if iterations == 400:
        assert found[0] == pytest.approx(0.005, rel=1e-4)


@pytest.mark.parametrize("name", sets.SET_LOSSES)
def test_a_step_down_the_gradient_is_a_step_nearer(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 2, generator=draw, requires_grad=True), torch.randn(20, 2, generator=draw)
    offsets = torch.tensor([0, 12, 20])
    options: dict[str, Any] = {"seed": 1} if name == "sliced" else {}

    def value(x: Tensor) -> Tensor:
        return sets.SET_LOSSES[name](x, offsets, y, offsets, **options).sum()

    start = value(x)
    start.backward()
    assert x.grad is not None
    step = 1e-3 / x.grad.norm()
    fall = (start - value(x.detach() - step * x.grad)).item()
    assert fall == pytest.approx((step * x.grad.norm() ** 2).item(), rel=0.1) and not math.isnan(fall)
