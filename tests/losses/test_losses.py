"""Losses: values worked on paper, the papers' formulas as slow loops, gradients, and events that never hear each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import product

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcloud import losses, segments
from pcloud.losses.contrastive import ring
from pcloud.losses.event_mean import event_mean
from pcloud.neighbors import knn

ONE = torch.tensor([0, 4])
Terms = dict[str, Tensor]


def logit(beta: list[float]) -> Tensor:
    return torch.logit(torch.tensor(beta, dtype=torch.float64)).float()


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def of(terms: Terms) -> dict[str, float]:
    return {name: value.item() for name, value in terms.items()}


# Worked on paper -----------------------------------------------------------------------------------------------------


def test_condensation_on_paper() -> None:
    """Particle 0 at 0 and 1 with beta .8 and .5, particle 1 at 1.5 with beta .6, noise at 1.25 with beta .3; q_min = 0.1.

    Representatives: hit 0 and hit 2. Attracted: hit 1 to hit 0 over 1. Repelled: hit 1 by hit 2 with 1 - 0.5, the noise by
    hit 2 with 1 - 0.25; hit 0 is 1.5 from hit 2, and 1.25 from the noise: nothing.
    """
    out = losses.condensation(logit([0.8, 0.5, 0.6, 0.3]), column(0, 1, 1.5, 1.25), torch.tensor([0, 0, 1, -1]), ONE)
    q = [math.atanh(beta) ** 2 + 0.1 for beta in (0.8, 0.5, 0.6, 0.3)]
    assert of(out) == pytest.approx(
        {
            "attract": q[0] * q[1] * 1 / 4,
            "repel": (q[1] * q[2] * 0.5 + q[3] * q[2] * 0.75) / 4,
            "coward": (0.2 + 0.4) / 2,
            "noise": 0.3,
        },
        rel=1e-4,
    )


def test_forgiving_attraction_on_paper() -> None:
    """The hit at 1 from its representative pays ln(1 + e) where the square asks for 1; all else is as before."""
    given = logit([0.8, 0.5, 0.6, 0.3]), column(0, 1, 1.5, 1.25), torch.tensor([0, 0, 1, -1]), ONE
    square, soft = of(losses.condensation(*given)), of(losses.condensation(*given, forgiving=True))
    assert soft.pop("attract") == pytest.approx(square.pop("attract") * math.log(1 + math.e), rel=1e-4)
    assert soft == square


def test_contrastive_on_paper() -> None:
    """Particle 0 at 0, 0.5 and 3; particle 1 at 1: the ring 0 -> 0.5 -> 3 -> 0; 0.5 and 1 push each other with (1 - 0.5)^2."""
    out = losses.contrastive(column(0, 0.5, 3, 1), torch.tensor([0, 0, 0, 1]), ONE)
    assert of(out) == pytest.approx({"attract": (0.25 + 6.25 + 9) / 3, "repel": 2 * 0.25 / 4}, abs=1e-4)


def test_contrastive_noise_is_pushed_by_noise() -> None:
    out = losses.contrastive(column(0, 0.5, 9, 20), torch.tensor([-1, -1, 0, 1]), ONE, margin=2.0)
    assert of(out) == pytest.approx({"attract": 0, "repel": 2 * 1.5**2 / 4}, abs=1e-4)


def test_edge_cross_entropy_on_paper() -> None:
    """-ln of the probability given to the truth; two events, one with two edges and one with one, and one with none."""
    logits = torch.tensor([[0.0, 9.0], [math.log(3), -7.0], [math.log(4), 5.0], [2.0, 2.0]])
    same = torch.tensor([[True, True], [False, True], [True, False], [True, True]])
    mask = torch.tensor([[True, False], [True, False], [True, False], [False, False]])
    out = losses.edge_cross_entropy(logits, same, mask, torch.tensor([0, 2, 3, 4]))
    assert out.item() == pytest.approx(((math.log(2) + math.log(4)) / 2 + math.log(5 / 4)) / 2)
    focal = losses.edge_cross_entropy(logits, same, mask, torch.tensor([0, 2, 3, 4]), focus=2.0)
    assert focal.item() == pytest.approx(((math.log(2) / 4 + math.log(4) * 9 / 16) / 2 + math.log(5 / 4) / 25) / 2)


def test_focus_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="focus = 0.5 came; 0 or at least 1 was expected"):
        edge = torch.ones(1, 1).bool()
        losses.edge_cross_entropy(torch.zeros(1, 1), edge, edge, torch.tensor([0, 1]), focus=0.5)


def test_event_mean() -> None:
    values, owner = torch.tensor([1.0, 3.0, 10.0]), torch.tensor([0, 0, 2])
    assert event_mean(values, owner, 3).item() == (2 + 10) / 2
    assert event_mean(values[:0], owner[:0], 3).item() == 0


def test_ring() -> None:
    here, following = ring(torch.tensor([4, -1, 7, 4, 2, 4, 2]))
    assert dict(zip(here.tolist(), following.tolist(), strict=True)) == {0: 3, 3: 5, 5: 0, 4: 6, 6: 4}
    assert [len(part) for part in ring(torch.tensor([-1, 3, 5]))] == [0, 0]


# The papers' formulas, as loops --------------------------------------------------------------------------------------


def slow_condensation(beta: Tensor, x: Tensor, particle: Tensor, offsets: Tensor, q_min: float) -> dict[str, float]:
    """arXiv 2002.03605: L_V = 1/N sum_j q_j sum_k (M_jk |x_j - x_a|^2 q_a + (1 - M_jk) max(0, 1 - |x_j - x_a|) q_a) and
    L_beta = 1/K sum_k (1 - beta_a) + 1/N_B sum_noise beta, each part averaged over the events that have it."""
    parts: dict[str, list[float]] = {"attract": [], "repel": [], "coward": [], "noise": []}
    for low, high in zip(offsets.tolist(), offsets.tolist()[1:], strict=False):
        b, y, t = beta[low:high].tolist(), x[low:high].double().numpy(), particle[low:high].tolist()
        q = [math.atanh(value) ** 2 + q_min for value in b]
        top = {k: max((j for j in range(len(t)) if t[j] == k), key=lambda j: b[j]) for k in set(t) - {-1}}
        attract = repel = 0.0
        for j, (k, a) in product(range(len(t)), top.items()):
            distance = float(((y[j] - y[a]) ** 2).sum() ** 0.5)
            if t[j] == k:
                attract += q[j] * q[a] * distance**2
            else:
                repel += q[j] * q[a] * max(0.0, 1 - distance)
        if t:
            parts["attract"].append(attract / len(t))
            parts["repel"].append(repel / len(t))
        if top:
            parts["coward"].append(sum(1 - b[a] for a in top.values()) / len(top))
        if -1 in t:
            parts["noise"].append(sum(b[j] for j in range(len(t)) if t[j] == -1) / t.count(-1))
    return {name: sum(values) / len(values) if values else 0.0 for name, values in parts.items()}


def slow_contrastive(x: Tensor, particle: Tensor, offsets: Tensor, margin: float) -> dict[str, float]:
    parts: dict[str, list[float]] = {"attract": [], "repel": []}
    for low, high in zip(offsets.tolist(), offsets.tolist()[1:], strict=False):
        y, t = x[low:high].double().numpy(), particle[low:high].tolist()
        pull = []
        for k in sorted(set(t) - {-1}):
            own = [j for j in range(len(t)) if t[j] == k]
            if len(own) > 1:
                pull += [float(((y[a] - y[b]) ** 2).sum()) for a, b in zip(own, own[1:] + own[:1], strict=True)]
        push = 0.0
        for i, j in product(range(len(t)), repeat=2):
            if i != j and (t[i] != t[j] or t[i] == -1):
                push += max(0.0, margin - float(((y[i] - y[j]) ** 2).sum() ** 0.5)) ** 2
        if pull:
            parts["attract"].append(sum(pull) / len(pull))
        if t:
            parts["repel"].append(push / len(t))
    return {name: sum(values) / len(values) if values else 0.0 for name, values in parts.items()}


def batch(sizes: list[int], seed: int, noise: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """beta logits, coordinates, particles (rows of the batch, three to an event) and offsets."""
    draw = torch.Generator().manual_seed(seed)
    offsets = segments.offsets_of(torch.tensor(sizes))
    particle = torch.randint(-1 if noise else 0, 3, (sum(sizes),), generator=draw)
    particle = torch.where(particle < 0, particle, particle + 3 * segments.event_of(offsets))
    return 2 * torch.randn(sum(sizes), generator=draw), torch.randn(sum(sizes), 2, generator=draw), particle, offsets


SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=4)


@law
@given(sizes=SIZES, seed=st.integers(0, 99), q_min=st.sampled_from([0.01, 0.1, 1.0]))
def test_condensation_is_the_formula_of_the_paper(sizes: list[int], seed: int, q_min: float) -> None:
    beta, x, particle, offsets = batch(sizes, seed)
    expected = slow_condensation(torch.sigmoid(beta), x, particle, offsets, q_min)
    assert of(losses.condensation(beta, x, particle, offsets, q_min=q_min)) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@law
@given(sizes=SIZES, seed=st.integers(0, 99), margin=st.sampled_from([0.5, 1.0, 2.0]))
def test_contrastive_is_its_formula(sizes: list[int], seed: int, margin: float) -> None:
    _, x, particle, offsets = batch(sizes, seed)
    expected = slow_contrastive(x, particle, offsets, margin)
    assert of(losses.contrastive(x, particle, offsets, margin=margin)) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_only_the_nearest_k_max_push() -> None:
    """Five points of five particles in a row, 0.1 apart; with k_max = 1 each is pushed by its nearest alone."""
    x, particle, offsets = column(0, 0.1, 0.21, 0.33, 0.46), torch.arange(5), torch.tensor([0, 5])
    near = [0.1, 0.1, 0.11, 0.12, 0.13]
    out = losses.contrastive(x, particle, offsets, k_max=1)
    assert out["repel"].item() == pytest.approx(sum((1 - d) ** 2 for d in near) / 5, rel=1e-4)


def test_the_first_of_equal_betas_represents() -> None:
    """Three points of one particle with one beta, at 0, 1 and 5: all are pulled to the first."""
    beta = logit([0.5, 0.5, 0.5])
    out = losses.condensation(beta, column(0, 1, 5), torch.tensor([3, 3, 3]), torch.tensor([0, 3]))
    q = math.atanh(0.5) ** 2 + 0.1
    assert out["attract"].item() == pytest.approx(q * q * 26 / 3, rel=1e-4)


# Laws of every loss --------------------------------------------------------------------------------------------------


def edges(beta: Tensor, x: Tensor, particle: Tensor, offsets: Tensor) -> Terms:
    table = knn(x.detach(), offsets, 3)
    logits = beta[:, None] + (x[:, None] * table.gather(x)).sum(-1)
    same = (particle[:, None] >= 0) & (particle[:, None] == table.gather(particle))
    return {"edges": losses.edge_cross_entropy(logits, same, table.mask, offsets)}


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Terms]] = {
    "condensation": losses.condensation,
    "forgiving condensation": partial(losses.condensation, forgiving=True),
    "contrastive": lambda beta, x, particle, offsets: losses.contrastive(x + 0 * beta[:, None], particle, offsets),
    "edges": edges,
}
every = pytest.mark.parametrize("name", LOSSES)


def test_every_loss_is_held_to_the_laws() -> None:
    assert set(losses.__all__) == {"condensation", "contrastive", "edge_cross_entropy"}, "add the new one to LOSSES"


@every
def test_events_do_not_hear_each_other(name: str) -> None:
    """The loss of a batch is the mean of its events' losses, and an event's gradient is the same whoever is beside it."""
    beta, x, particle, offsets = batch([8, 9, 7], seed=2)
    assert all((particle[a:b] < 0).any() for a, b in [(0, 8), (8, 17), (17, 24)]), "every event has every term"
    values = (beta.requires_grad_(), x.requires_grad_())
    whole = LOSSES[name](*values, particle, offsets)
    gradient = torch.autograd.grad(sum(whole.values()), values)
    single, parts = {key: 0.0 for key in whole}, [torch.zeros_like(value) for value in values]
    for low, high in [(0, 8), (8, 17), (17, 24)]:
        mine = tuple(value.detach()[low:high].requires_grad_() for value in values)
        terms = LOSSES[name](*mine, particle[low:high], torch.tensor([0, high - low]))
        for part, grad in zip(parts, torch.autograd.grad(sum(terms.values()), mine), strict=True):
            part[low:high] = grad / 3
        single = {key: single[key] + terms[key].item() / 3 for key in single}
    assert of(whole) == pytest.approx(single, rel=1e-4)
    for a, b in zip(gradient, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


@every
def test_the_order_of_points_does_not_matter(name: str) -> None:
    """Attraction of the metric loss follows the order in a particle of three points at most, where every ring is the same."""
    beta, x, _, _ = batch([9, 6], seed=3)
    particle, offsets = torch.tensor([0, 0, 0, 1, 1, -1, -1, 2, 2, 3, 3, 3, -1, 4, 5]), torch.tensor([0, 9, 15])
    order = torch.cat([torch.randperm(9, generator=torch.Generator().manual_seed(1)), 9 + torch.arange(6).flip(0)])
    before = LOSSES[name](beta, x, particle, offsets)
    after = LOSSES[name](beta[order], x[order], particle[order], offsets)
    assert of(before) == pytest.approx(of(after), rel=1e-4)


@every
@pytest.mark.parametrize("sizes", [[0], [0, 0], [], [1], [1, 0, 1], [5, 0], [0, 5]], ids=str)
@pytest.mark.parametrize("truth", ["mixed", "all noise", "one particle", "one hit each"])
def test_poor_events(name: str, sizes: list[int], truth: str) -> None:
    """No event, no point, no edge, no particle, nothing but particles: finite values and finite gradients."""
    beta, x, particle, offsets = batch(sizes, seed=1) if sizes else (*batch([0], 1)[:3], torch.tensor([0]))
    particle = {
        "mixed": particle,
        "all noise": torch.full_like(particle, -1),
        "one particle": segments.event_of(offsets),
        "one hit each": torch.arange(len(particle)),
    }[truth]
    out = LOSSES[name](beta.requires_grad_(), x.requires_grad_(), particle, offsets)
    assert all(term.shape == () and bool(torch.isfinite(term)) for term in out.values())
    sum(out.values()).backward()
    for value in (beta, x):
        assert value.grad is None or bool(torch.isfinite(value.grad).all())


@every
def test_empty_events_change_nothing(name: str) -> None:
    beta, x, particle, _ = batch([8, 9], seed=4)
    full = LOSSES[name](beta, x, particle, torch.tensor([0, 8, 17]))
    padded = LOSSES[name](beta, x, particle, torch.tensor([0, 0, 8, 8, 17, 17]))
    assert of(full) == of(padded)


@every
def test_gradients(name: str) -> None:
    """Against central differences, away from where a nearest neighbour or a representative changes."""
    beta, x, particle, offsets = batch([7, 6], seed=5)
    beta = torch.linspace(-2, 2, 13)[torch.randperm(13, generator=torch.Generator().manual_seed(0))]
    values = (beta.double().requires_grad_(), x.double().requires_grad_())

    def total(beta: Tensor, x: Tensor) -> Tensor:
        return sum(LOSSES[name](beta, x, particle, offsets).values()).double()  # type: ignore[union-attr]

    assert torch.autograd.gradcheck(total, values, eps=1e-2, atol=2e-2, rtol=2e-2)


@every
def test_coincident_points(name: str) -> None:
    beta, _, particle, offsets = batch([6, 6], seed=6)
    x = torch.zeros(12, 2).requires_grad_()
    out = LOSSES[name](beta.requires_grad_(), x, particle, offsets)
    sum(out.values()).backward()
    assert all(bool(torch.isfinite(term)) for term in out.values()) and bool(torch.isfinite(x.grad).all())


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_in_single_out(name: str, dtype: torch.dtype) -> None:
    beta, x, particle, offsets = batch([30, 40], seed=7)
    out = LOSSES[name](beta.to(dtype), x.to(dtype), particle, offsets)
    exact = LOSSES[name](beta.to(dtype).float(), x.to(dtype).float(), particle, offsets)
    assert all(term.dtype == torch.float32 for term in out.values())
    assert of(out) == pytest.approx(of(exact), rel=0.02)


def test_a_sure_wrong_beta_can_still_learn() -> None:
    """beta of a particle's only hit at 1e-6: the coward term must still lift it."""
    beta = torch.tensor([-14.0], requires_grad=True)
    losses.condensation(beta, torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0, 1]))["coward"].backward()
    assert beta.grad is not None and beta.grad.item() < 0


@pytest.mark.parametrize("extreme", [-200.0, 200.0])
def test_extreme_logits(extreme: float) -> None:
    beta = torch.full((4,), extreme, requires_grad=True)
    out = losses.condensation(beta, column(0, 1, 2, 3), torch.tensor([0, 0, 1, -1]), ONE)
    sum(out.values()).backward()
    assert all(bool(torch.isfinite(term)) for term in out.values()) and bool(torch.isfinite(beta.grad).all())


def test_what_stands_in_empty_cells_is_not_read() -> None:
    logits = torch.tensor([[0.5, torch.nan], [torch.inf, 1.0]], requires_grad=True)
    mask = torch.tensor([[True, False], [False, True]])
    out = losses.edge_cross_entropy(logits, torch.ones(2, 2).bool(), mask, torch.tensor([0, 2]))
    out.backward()
    assert out.item() == pytest.approx((math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-1))) / 2)
    assert logits.grad is not None and bool((logits.grad[~mask] == 0).all())
