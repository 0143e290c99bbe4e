"""The GPU's matching costs what SciPy's does, to the last digits of float64: in Triton's interpreter, and on a GPU."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest
import torch
from processes import interpreted
from scipy.optimize import linear_sum_assignment

from pcloud.losses import sets

DRAW = np.random.default_rng(5)
COSTS = {
    "square": DRAW.normal(size=(12, 12)),
    "more columns": DRAW.normal(size=(5, 40)),
    "more rows": DRAW.normal(size=(33, 7)),
    "one of each": np.array([[-3.0]]),
    "one row": DRAW.normal(size=(1, 9)),
    "one column": DRAW.normal(size=(9, 1)),
    "all alike": np.zeros((8, 8)),
    "many ties": DRAW.integers(0, 3, (20, 24)).astype(float),
    "far apart": DRAW.normal(size=(10, 10)) * 10.0 ** DRAW.integers(-6, 7, (10, 10)),
    "the first of all is everyone's": np.arange(15.0) + np.arange(15.0)[:, None] * np.arange(15.0),
    "seventy": DRAW.normal(size=(70, 70)) ** 2,
}


def one_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All of COSTS as padded events; the padding would be taken by whoever looked at it."""
    n, m = (max(one.shape[axis] for one in COSTS.values()) for axis in (0, 1))
    cost = torch.full((len(COSTS), n, m), -1e9, dtype=torch.float64)
    for place, one in enumerate(COSTS.values()):
        cost[place, : one.shape[0], : one.shape[1]] = torch.from_numpy(one)
    rows, columns = torch.tensor([one.shape for one in COSTS.values()]).T.contiguous()
    return cost, rows, columns


def sums(partner: torch.Tensor) -> dict[str, list[float]]:
    """Of each: what the pairs cost, how many there are, and how many columns of them are different ones."""
    told = {}
    for (name, cost), found in zip(COSTS.items(), partner.tolist(), strict=True):
        pairs = [(row, column) for row, column in enumerate(found) if column >= 0]
        told[name] = [sum(cost[row, column] for row, column in pairs), len(pairs), len({column for _, column in pairs})]
    return told


@pytest.fixture(scope="module")
def told() -> dict[str, list[float]]:
    """What the process below prints."""
    pytest.importorskip("triton", reason="triton is not installed")
    return dict(json.loads(interpreted(__file__).splitlines()[-1]))


def assert_best(name: str, told: dict[str, list[float]]) -> None:
    cost = COSTS[name]
    total, pairs, columns = told[name]
    assert pairs == columns == min(cost.shape)
    assert total == pytest.approx(cost[linear_sum_assignment(cost)].sum(), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", COSTS)
def test_in_the_interpreter(told: dict[str, list[float]], name: str) -> None:
    assert_best(name, told)


def test_the_loss_by_the_kernel_is_the_loss_by_scipy(told: dict[str, list[float]]) -> None:
    by_kernel, by_scipy = told["loss"], told["loss by SciPy"]
    assert by_kernel == pytest.approx(by_scipy, rel=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", COSTS)
def test_on_a_gpu(name: str) -> None:
    from pcloud.losses.sets.gpu_matching import matching

    assert_best(name, sums(matching(*(one.cuda() for one in one_batch())).cpu()))


def sets_with_empty_ones() -> list[torch.Tensor]:
    noise = torch.Generator().manual_seed(3)
    x, y = (torch.randn(points, 2, generator=noise, dtype=torch.float64) for points in (37, 35))
    return [x, torch.tensor([0, 9, 9, 20, 37]), y, torch.tensor([0, 4, 12, 30, 35])]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_loss_on_a_gpu() -> None:
    given = sets_with_empty_ones()
    assert torch.allclose(sets.hungarian(*(one.cuda() for one in given)).cpu(), sets.hungarian(*given), rtol=1e-12)


def test_a_set_too_wide_is_refused() -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    from pcloud.losses.sets.gpu_matching import matching

    with pytest.raises(ValueError, match="a set of 2049 points came; this kernel holds 2048 at most"):
        matching(torch.zeros(1, 3, 2049), torch.tensor([3]), torch.tensor([2049]))


def main() -> None:
    module = import_module("pcloud.losses.sets.hungarian")
    from pcloud.losses.sets.gpu_matching import matching

    told = sums(matching(*one_batch()))
    by_scipy = sets.hungarian(*sets_with_empty_ones()).tolist()
    module._matching = module.on_gpu  # type: ignore[attr-defined]
    print(json.dumps(told | {"loss": sets.hungarian(*sets_with_empty_ones()).tolist(), "loss by SciPy": by_scipy}))


if __name__ == "__main__":
    main()
