"""The edge block beside the paper's equations written out pair by pair; its blocks on a CPU beside the plain steps."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st
from tables_by_hand import numbers, random_table, table_of
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from pcloud.cloud import PointCloud
from pcloud.encoders import ENCODERS
from pcloud.neighbors import Neighbors
from pcloud.nn import BatchNorm, EdgeBlock, edge_block, edge_block_cpu


@pytest.fixture(params=["plainly", "in blocks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "in blocks":
        monkeypatch.setattr(edge_block_cpu, "BLOCK", 1)
    return str(request.param)


def block_of(channels_in: int = 3, widths: tuple[int, ...] = (5, 6, 4), *, train: bool = True, seed: int = 0) -> EdgeBlock:
    """In float64, with norms that do something."""
    torch.manual_seed(seed)
    net = EdgeBlock(channels_in, widths).double().train(train)
    for norm in [*net.norms, net.shortcut_norm]:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias)
        torch.nn.init.normal_(norm.mean)
        torch.nn.init.uniform_(norm.var, 0.5, 1.5)
    return net


def written_out(net: EdgeBlock, x: Tensor, table: Neighbors) -> Tensor:
    """Over the list of pairs there are, concatenated features, torch's own batch norm: no table, no parts, no mask."""
    pairs = [(i, int(j)) for i, row in enumerate(table.index) for j in row if j >= 0]
    h = torch.stack([torch.cat([x[i], x[j] - x[i]]) for i, j in pairs])
    for layer, norm in zip(net.layers, net.norms, strict=True):
        h = torch.relu(theirs(norm, layer(h), net.training))
    heard = [[h[at] for at, (i, _) in enumerate(pairs) if i == point] for point in range(len(x))]
    mean = torch.stack([torch.stack(one).mean(0) if one else torch.zeros_like(h[0]) for one in heard])
    return torch.relu(theirs(net.shortcut_norm, net.shortcut(x), net.training) + mean)


def theirs(norm: BatchNorm, rows: Tensor, training: bool) -> Tensor:
    running = norm.mean.clone(), norm.var.clone()
    return torch.nn.functional.batch_norm(rows, *running, norm.weight, norm.bias, training, 0.1, norm.eps)


def plain(net: EdgeBlock, x: Tensor, table: Neighbors, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    with monkeypatch.context() as patch:
        patch.setattr(edge_block, "suits", lambda *_: False)
        out: Tensor = net(x, table)
        return out


def with_gradients(out: Tensor, *to: Tensor) -> tuple[Tensor, ...]:
    return out, *torch.autograd.grad((out * numbers(*out.shape, seed=3, dtype=out.dtype)).sum(), to)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("size", [1 << 17, 60])
def test_it_is_the_equations(train: bool, missing: float, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_block_cpu, "BLOCK", size)
    net, table = block_of(train=train), random_table(23, 4, missing=missing, seed=2)
    x = numbers(23, 3, dtype=torch.float64).requires_grad_()
    expected = with_gradients(written_out(net, x, table), x, *net.parameters())
    other = copy.deepcopy(net)
    slow = with_gradients(plain(other, x, table, monkeypatch), x, *other.parameters())
    fast = with_gradients(net(x, table), x, *net.parameters())
    for a, b, c in zip(fast, slow, expected, strict=True):
        torch.testing.assert_close(a, c, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(b, c, rtol=1e-9, atol=1e-11)
    for ours, plainly in zip(net.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, plainly, rtol=1e-12, atol=1e-12)


@law
@given(points=st.integers(1, 30), k=st.integers(1, 6), missing=st.floats(0, 1), seed=st.integers(0, 9), block=st.integers(1, 300))
def test_blocks_are_the_plain_steps(points: int, k: int, missing: float, seed: int, block: int) -> None:
    net, table = block_of(2, (4, 3), seed=seed), random_table(points, k, missing=missing, seed=seed)
    other, x = copy.deepcopy(net), numbers(points, 2, seed=seed, dtype=torch.float64).requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge_block_cpu, "BLOCK", block)
        fast = with_gradients(net(x, table), x, *net.parameters())
        slow = with_gradients(plain(other, x, table, patch), x, *other.parameters())
    for a, b in zip((*fast, *net.buffers()), (*slow, *other.buffers()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
@pytest.mark.parametrize("widths", [(5, 6, 4), (64, 64), (33, 7, 70, 3)])
@pytest.mark.parametrize(("points", "missing"), [(1, 1.0), (5, 0.4), (23, 0.0), (40, 0.9)])
def test_one_compiled_walk_is_the_equations(points: int, missing: float, widths: tuple[int, ...], kind: torch.dtype) -> None:
    """Tiles of channels and of points that are not full, points without a neighbour."""
    net, table = block_of(3, widths, train=False), random_table(points, 4, missing=missing, seed=2)
    x = numbers(points, 3, dtype=torch.float64)
    alone = torch.relu(net.shortcut_norm(net.shortcut(x)))
    expected = written_out(net, x, table) if bool(table.mask.any()) else alone
    with torch.no_grad():
        found = net.to(kind)(x.to(kind), table)
    near = 1e-10 if kind == torch.float64 else 1e-4
    torch.testing.assert_close(found.double(), expected.detach(), rtol=near, atol=near / 10)


def test_the_walk_on_two_threads_is_the_walk_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcloud.nn import edge_block_settled

    net, table, x = block_of(train=False).float(), random_table(50, 3, missing=0.2), numbers(50, 3)
    with torch.no_grad():
        alone = net(x, table)
        monkeypatch.setattr(edge_block_settled, "SERIAL", 0)
        monkeypatch.setattr(edge_block_settled, "SHARE", 7)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(2)
            assert torch.equal(net(x, table), alone)
        finally:
            torch.set_num_threads(before)


def test_whoever_looks_on_sees_every_step() -> None:
    """Compiled loops are no steps of torch: a tracer would take their answer for a constant, a transform could not follow."""
    net, table = block_of(train=False).float().requires_grad_(False), random_table(20, 3)
    x, other = numbers(20, 3), numbers(20, 3, seed=5)
    with torch.no_grad():
        traced = torch.jit.trace(lambda given: net(given, table), (x,), check_trace=False)
        torch.testing.assert_close(traced(other), net(other, table))
        graph = make_fx(lambda given: net(given, table))(x)
        torch.testing.assert_close(graph(other), net(other, table))
        each = torch.func.vmap(lambda given: net(given, table))(torch.stack([x, other]))
        torch.testing.assert_close(each[1], net(other, table))
        _, moved = torch.func.jvp(lambda given: net(given, table), (x,), (other,))
        assert bool((moved != 0).any())
        with FlopCounterMode(display=False) as counter:
            net(x, table)
        assert counter.get_total_flops() > 0


def test_weights_are_packed_anew_after_a_step_that_torch_does_not_count() -> None:
    """Fused optimisers write to weights without a new version of them; here in evaluation, statistics held still."""
    net, table, x = block_of(train=False).float(), random_table(20, 3), numbers(20, 3)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1, fused=True)
    with torch.no_grad():
        before = net(x, table)
    net(x, table).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        after = net(x, table)
    torch.testing.assert_close(after, net(x, table).detach())
    assert not torch.allclose(after, before)


@pytest.mark.parametrize("train", [True, False])
def test_what_does_not_fit_is_refused(train: bool) -> None:
    """Compiled loops would read beyond the end of a table."""
    net, table = block_of(train=train).float(), random_table(2000, 8)
    far = table_of(torch.full((2000, 8), 2000, dtype=torch.int32))
    with torch.set_grad_enabled(train):
        for x, near in [(numbers(2000, 2), table), (numbers(2500, 3), table), (numbers(1999, 3), table), (numbers(2000, 3), far)]:
            with pytest.raises((RuntimeError, IndexError)):
                net(x, near)
        net.norms.double()
        with pytest.raises(RuntimeError, match="one floating type"):
            net(numbers(2000, 3), table)


@pytest.mark.usefixtures("way")
def test_no_pair_at_all_and_layers_that_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    net, table = block_of(3, (64, 40, 8)), table_of(torch.full((50, 4), -1, dtype=torch.int32))
    other, x = copy.deepcopy(net), numbers(50, 3, dtype=torch.float64).requires_grad_()
    fast = with_gradients(net(x, table), x, *net.parameters())
    slow = with_gradients(plain(other, x, table, monkeypatch), x, *other.parameters())
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_a_copy_packs_its_own() -> None:
    net, table, x = block_of(train=False).float(), random_table(20, 3), numbers(20, 3)
    before = len(pickle.dumps(net))
    with torch.no_grad():
        out = net(x, table)
        assert len(pickle.dumps(net)) == before
        torch.testing.assert_close(pickle.loads(pickle.dumps(net))(x, table), out)


def test_a_parametrized_weight_is_looked_at_each_time() -> None:
    net, table, x = block_of(train=False).float(), random_table(20, 3), numbers(20, 3)
    torch.nn.utils.parametrizations.weight_norm(net.layers[1])
    with torch.no_grad():
        before = net(x, table)
        net.layers[1].parametrizations.weight.original0.mul_(2.0)
        assert not torch.allclose(net(x, table), before)


def test_a_nan_stays_with_those_that_hear_it() -> None:
    net, table = block_of(train=False).float(), table_of([[1], [0], [3], [2]])
    x = numbers(4, 3)
    x[3, 1] = torch.nan
    with torch.no_grad():
        out = net(x, table)
    assert bool(out[:2].isfinite().all()) and bool(out[3].isnan().all()) and bool(out[2].isnan().any())


@pytest.mark.usefixtures("way")
def test_ghosts_are_in_no_statistic_and_no_mean() -> None:
    """Two points that see each other and one alone, with room for four neighbours: as with room for one."""
    x = numbers(3, 3, dtype=torch.float64)
    tight, roomy = table_of([[1], [0], [-1]]), table_of([[1, -1, -1, -1], [0, -1, -1, -1], [-1] * 4])
    one, two = block_of(), block_of()
    torch.testing.assert_close(one(x, tight), two(x, roomy))
    for a, b in zip(one.buffers(), two.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rows", [[], [[-1, -1]], [[1, -1], [-1, -1]]])
def test_few_pairs_or_none_are_no_error(rows: list[list[int]]) -> None:
    """With fewer than two pairs there is no variance: the running one serves, and is left alone."""
    net, table = block_of(), table_of(torch.tensor(rows, dtype=torch.int32).reshape(-1, 2))
    before = [one.clone() for one in net.norms.buffers()]
    x = numbers(len(rows), 3, dtype=torch.float64).requires_grad_()
    out = net(x, table)
    assert out.shape == (len(rows), 4) and bool(torch.isfinite(out).all())
    out.sum().backward()
    assert x.grad is not None and bool(torch.isfinite(x.grad).all())
    assert all(torch.equal(a, b) for a, b in zip(before, net.norms.buffers(), strict=True))


@pytest.mark.usefixtures("way")
def test_second_derivatives() -> None:
    net, table = block_of(2, (3, 2)), random_table(7, 3, seed=1)
    x = numbers(7, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda given: net(given, table).square().sum(), [x], atol=1e-4)


@pytest.mark.usefixtures("way")
def test_large_means_do_not_spoil_the_variance() -> None:
    """In float32, features 1000 times their spread away from 0: the running variance is that of float64."""
    net = block_of()
    table, x = random_table(200, 5, missing=0.1), numbers(200, 3, dtype=torch.float64) + 1000.0
    single = copy.deepcopy(net).float()
    single(x.float(), table)
    net(x, table)
    torch.testing.assert_close(single.norms[0].var.double(), net.norms[0].var, rtol=1e-3, atol=0)


def test_batch_norm_is_torchs_over_the_rows_there_are() -> None:
    ours, other = BatchNorm(3).double(), torch.nn.BatchNorm1d(3).double()
    x, mask = numbers(6, 4, 3, dtype=torch.float64), torch.rand(6, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    torch.testing.assert_close(ours(x, mask)[mask], other(x[mask]))
    torch.testing.assert_close(ours.mean, other.running_mean)
    torch.testing.assert_close(ours.var, other.running_var)
    torch.testing.assert_close(ours.eval()(x)[mask], other.eval()(x[mask]))


def test_many_threads_in_inference_mode_say_what_one_says() -> None:
    """Inference mode is of a thread: the members of a team are told."""
    torch.manual_seed(0)
    encoder = ENCODERS["particlenet-lite"](in_channels=3).eval()
    x, offsets = torch.randn(6000, 3), torch.arange(0, 6001, 60)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.inference_mode():
                found.append(encoder(PointCloud(x[:, :2].clone(), x.clone(), offsets)).events.clone())
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_weights_kept_with_their_norms_are_made_anew_when_one_is_written_to(mode: type) -> None:
    net, table = block_of(train=False), random_table(8, 3)
    x, other = numbers(8, 3, dtype=torch.float64), block_of(train=False, seed=1)

    def now() -> Tensor:
        with mode():
            return net(x, table).clone()

    def fresh() -> Tensor:
        return net(x, table).detach()  # with gradients nothing is kept

    seen = [now()]
    changes = [
        lambda: net.norms[1].var.mul_(2.0),
        lambda: net.shortcut_norm.bias.add_(1.0),
        lambda: net.load_state_dict(other.state_dict()),
        lambda: net.load_state_dict(block_of(train=False, seed=2).state_dict(), assign=True),
        lambda: setattr(net.layers[0], "weight", torch.nn.Parameter(2 * net.layers[0].weight.detach())),
        lambda: net.bfloat16().double(),
    ]
    for change in changes:
        with torch.no_grad():
            change()
        seen.append(now())
        torch.testing.assert_close(seen[-1], fresh(), rtol=1e-12, atol=1e-12)
        assert not torch.allclose(seen[-1], seen[-2])
    twin = copy.deepcopy(net)
    with torch.no_grad():
        net.norms[0].weight.mul_(0.5)
    with mode():
        torch.testing.assert_close(twin(x, table), seen[-1])
