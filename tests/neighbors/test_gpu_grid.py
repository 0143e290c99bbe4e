"""The grid's kernel, in Triton's interpreter: right where its cells are of no use, and it looks at few points where they are."""

from __future__ import annotations

import json
import math

import pytest
import torch
from processes import interpreted
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import reference
from pcloud.neighbors.search import Search


def search(clouds: list[Tensor], k: int, reach: float = math.inf, wrap: bool = False) -> Search:
    points = torch.cat(clouds)
    offsets = segments.offsets_of(torch.tensor([len(cloud) for cloud in clouds]))
    reach2 = float(torch.tensor(reach) ** 2)
    return Search(points, offsets, points, offsets, k, reach2, skip_self=True, wrap=wrap)


def uneven(points: int, dim: int) -> list[Tensor]:
    """Events for which no width of cells is right: strays, heavy tails, crowds far apart, lines, scales from 1e-3 to 1e4."""
    noise = torch.Generator().manual_seed(points + dim)
    cloud = torch.rand(points, dim, generator=noise)
    stray, halves, crowds, broken = cloud.clone(), cloud.clone(), cloud[:4].repeat(points // 4, 1), cloud.clone()
    stray[points // 2] = 1e9
    halves[points // 2 :] += 1e6
    crowds += 1e-3 * torch.randn(crowds.shape, generator=noise)
    broken[::5] = math.nan
    line = cloud[:, :1] * torch.arange(1.0, dim + 1)
    tails = torch.tan(torch.pi * (cloud - 0.5))
    beyond = torch.full((3, dim), math.inf)
    lattice = torch.randint(0, 3, (points, dim), generator=noise).float()
    return [
        stray,
        cloud[:0],
        1e-3 * cloud,
        1e4 * cloud,
        halves,
        crowds,
        line,
        tails,
        broken,
        beyond,
        lattice,
        cloud[:1] + 0 * cloud,
    ]


def clusters(points: int, dim: int, each: int = 10) -> Tensor:
    noise = torch.Generator().manual_seed(0)
    centres = 2 * torch.rand(points // each, dim, generator=noise) - 1
    return centres.repeat_interleave(each, 0) + 0.05 * torch.randn(points, dim, generator=noise)


SEARCHES = {
    **{f"uneven, d = {dim}, k = {k}": search(uneven(40, dim), k) for dim, k in [(1, 5), (2, 64), (3, 20), (4, 8)]},
    **{f"uneven within reach, d = {dim}": search(uneven(40, dim), 6, reach) for dim, reach in [(2, 0.3), (3, 1e4), (8, 1.0)]},
    "uneven, azimuth": search([event.clamp(-3, 3) for event in uneven(40, 3)], 7, wrap=True),
}
# The share of all pairs that may be looked at. For k = 8 the 27 cells about a query (9 in the plane) hold some 14 points, 1.4 %
# of 1,000, and a second round as many; for clusters, 3 of 10 cells along each of 5 axes are 0.2 %, its own cluster is 1 %.
PRUNED = {
    "d = 3, k = 8": (search([torch.rand(1000, 3, generator=torch.Generator().manual_seed(0))], 8), 0.04),
    "d = 2, k = 8": (search([torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))], 8), 0.03),
    "d = 8, clusters within reach": (search([clusters(1000, 8)], 32, 0.2), 0.03),
}


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    """What the process below prints: which searches were wrong, and the share of pairs looked at."""
    pytest.importorskip("triton", reason="triton is not installed")
    return dict(json.loads(interpreted(__file__).splitlines()[-1]))


@pytest.mark.parametrize("name", [*SEARCHES, *PRUNED])
def test_it_is_the_reference_to_the_bit(told: dict[str, dict[str, object]], name: str) -> None:
    assert told[name]["wrong"] == 0


@pytest.mark.parametrize("name", PRUNED)
def test_it_looks_at_few_pairs(told: dict[str, dict[str, float]], name: str) -> None:
    asked, share = PRUNED[name]
    found = int((reference.search(asked).index >= 0).sum()) / len(asked.points) ** 2
    assert found <= told[name]["looked"] < share


def main() -> None:
    from pcloud.neighbors import gpu_grid

    told = {}
    for name, asked in {**SEARCHES, **{name: asked for name, (asked, _) in PRUNED.items()}}.items():
        found, looked = gpu_grid.search(asked, count=True)
        wrong = [got.ne(want).sum() for got, want in zip(found, reference.search(asked), strict=True)]
        told[name] = {"wrong": int(sum(wrong)), "looked": int(looked.sum()) / len(asked.points) ** 2}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
