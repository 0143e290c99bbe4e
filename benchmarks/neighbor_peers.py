"""Other people's neighbour searches, and ours, as functions that answer one Problem, each with its best documented settings.

``PEERS[name].run(problem, threads)`` is what is timed; ``read`` brings its answer, untimed, to (index, distance2) without
the points themselves. A peer is asked for k + 1 neighbours, as each point is its own nearest.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.neighbor_clouds import Problem

Table = tuple[NDArray[np.int64], NDArray[np.float64]]  # index [points, k], -1: none; squared distance, +inf there
BLOCK = {"cpu": 1 << 25, "cuda": 1 << 30}  # distances that cdist writes at a time: 128 MB, 4 GB
OURS = "pcloud"


@dataclass(frozen=True)
class Peer:
    """needs: the module it is found by. brute: it compares all points of an event with all. radius: it can keep to one.

    alone, together: it searches one event, many of them. exact: it means to find all. warm: a call before the first timed
    one, by default a small problem; compiled code must see the shapes to come.
    """

    run: Callable[[Problem, int], Any]
    read: Callable[[Problem, Any], Table]
    needs: str
    brute: bool = False
    radius: bool = False
    alone: bool = True
    together: bool = True
    exact: bool = True
    warm: Callable[[Problem, int], Any] | None = None

    def suits(self, problem: Problem, brute: bool) -> bool:
        """Whether it can be asked; ``brute``: all may be compared with all although there are over 2e9 pairs."""
        kind = self.together if problem.events > 1 else self.alone
        return kind and (problem.r is None or self.radius) and (not self.brute or brute or problem.pairs <= 2_000_000_000)

    def missing(self) -> str:
        """Why it can't be asked here; empty where it can."""
        return "" if importlib.util.find_spec(self.needs) else f"{self.needs} is not installed"


def each(problem: Problem) -> Iterator[NDArray[np.float32]]:
    """The points of one event after the other."""
    pos = problem.pos.numpy()
    bounds = problem.offsets.tolist()
    return (pos[low:high] for low, high in zip(bounds, bounds[1:], strict=False))


def in_events(problem: Problem, answers: list[tuple[Any, Any]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Answers event by event (distances, places in the event) as one table k + 1 wide, in rows of the whole cloud."""
    index = np.full((len(problem.pos), problem.k + 1), -1)
    distance = np.full(index.shape, np.inf)
    for low, (far, place) in zip(problem.offsets.tolist(), answers, strict=False):
        rows, columns = slice(low, low + len(place)), slice(0, place.shape[1])
        index[rows, columns] = np.where(np.isfinite(far) & (place >= 0), place + low, -1)
        distance[rows, columns] = np.where(index[rows, columns] >= 0, far, np.inf)
    return index, distance


def others(index: NDArray[np.int64], distance2: NDArray[Any], rows: NDArray[np.int64] | None = None) -> Table:
    """A table k + 1 wide, of all points or some ``rows``, without the point itself; where its twins crowded it out, without
    the last column."""
    own = index == (np.arange(len(index)) if rows is None else rows)[:, None]
    own[~own.any(1), -1] = True
    own &= own.cumsum(1) == 1
    shape = (len(index), index.shape[1] - 1)
    return index[~own].reshape(shape), distance2[~own].reshape(shape)


# -- ours ------------------------------------------------------------------------------------------------------------------


def pcloud_run(problem: Problem, threads: int, **options: Any) -> Any:
    from pcloud.neighbors import knn, radius

    if problem.r is None:
        return knn(problem.pos, problem.offsets, problem.k, **options)
    return radius(problem.pos, problem.offsets, problem.r, k_max=problem.k, **options)


def pcloud_read(problem: Problem, answer: Any) -> Table:
    return answer.index.cpu().long().numpy(), answer.distance2.detach().cpu().double().numpy()


# -- trees -----------------------------------------------------------------------------------------------------------------


def ckdtree_run(problem: Problem, threads: int, **options: Any) -> Any:
    """One tree; events are set so far apart along an extra axis that none is within the bound of another."""
    from scipy.spatial import cKDTree

    pos, bound = problem.pos.numpy(), np.inf
    if problem.events > 1:
        bound = 1.0 + 2.0 * float(np.linalg.norm(pos.max(0) - pos.min(0)))
        pos = np.column_stack([pos, problem.owner.numpy() * bound])
        bound /= 2
    if problem.r is not None:
        bound = np.nextafter(problem.r, np.inf)  # SciPy's bound is exclusive
    return cKDTree(pos, **options).query(pos, problem.k + 1, distance_upper_bound=bound, workers=threads)


def ckdtree_read(problem: Problem, answer: Any) -> Table:
    distance, index = answer
    return others(np.where(np.isfinite(distance), index, -1), distance**2)


def ckdtree_loop_run(problem: Problem, threads: int) -> Any:
    """A tree an event; threads cost more than they give on so few points."""
    from scipy.spatial import cKDTree

    return [cKDTree(pos).query(pos, min(problem.k + 1, len(pos))) for pos in each(problem)]


def loop_read(problem: Problem, answer: Any) -> Table:
    columns = [(d.reshape(len(d), -1), i.reshape(len(i), -1)) for d, i in answer]  # SciPy drops an axis of one
    index, distance = in_events(problem, columns)
    return others(index, distance**2)


def sklearn_run(problem: Problem, threads: int, algorithm: str) -> Any:
    from sklearn.neighbors import NearestNeighbors

    if problem.r is not None:
        assert problem.events == 1, "written for one event"
        tree = NearestNeighbors(radius=problem.r, algorithm=algorithm, n_jobs=threads).fit(problem.pos.numpy())
        return tree.radius_neighbors(problem.pos.numpy(), sort_results=True)
    jobs = threads if problem.events == 1 else 1  # on small events a thread costs more than it gives
    finder = NearestNeighbors(algorithm=algorithm, n_jobs=jobs)
    return [finder.fit(pos).kneighbors(pos, min(problem.k + 1, len(pos))) for pos in each(problem)]


def sklearn_read(problem: Problem, answer: Any) -> Table:
    if problem.r is None:
        return loop_read(problem, answer)
    index = np.full((len(problem.pos), problem.k + 1), -1)
    distance = np.full(index.shape, np.inf)
    for row, (far, place) in enumerate(zip(*answer, strict=True)):
        width = min(len(place), problem.k + 1)
        index[row, :width], distance[row, :width] = place[:width], far[:width]
    return others(index, distance**2)


# -- faiss -----------------------------------------------------------------------------------------------------------------


def faiss_flat_run(problem: Problem, threads: int) -> Any:
    faiss = _faiss(threads)
    if problem.events > 1:
        return [faiss.knn(pos, pos, problem.k + 1) for pos in each(problem)]
    index = faiss.IndexFlatL2(problem.pos.shape[1])
    return [_added(index, problem)]


def faiss_ivf_run(problem: Problem, threads: int) -> Any:
    """1,024 lists, 16 of them looked into; fewer lists for a cloud too small to train them."""
    faiss, dim = _faiss(threads), problem.pos.shape[1]
    lists = max(1, min(1024, len(problem.pos) // 39))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, lists)
    index.train(problem.pos.numpy())
    index.nprobe = 16
    return [_added(index, problem)]


def faiss_hnsw_run(problem: Problem, threads: int) -> Any:
    index = _faiss(threads).IndexHNSWFlat(problem.pos.shape[1], 16)
    index.hnsw.efSearch = 64
    return [_added(index, problem)]


def faiss_gpu_run(problem: Problem, threads: int) -> Any:
    """Brute force on the card, torch tensors in and out."""
    faiss = importlib.import_module("faiss")
    importlib.import_module("faiss.contrib.torch_utils")
    resources, bounds = faiss.StandardGpuResources(), problem.offsets.tolist()
    parts = [problem.pos[low:high] for low, high in zip(bounds, bounds[1:], strict=False)]
    return [faiss.knn_gpu(resources, pos, pos, problem.k + 1) for pos in parts]


def faiss_read(problem: Problem, answer: Any) -> Table:
    """faiss gives squared distances, -1 where there is none."""
    host = [tuple(one.cpu().numpy() if isinstance(one, Tensor) else one for one in pair) for pair in answer]
    index, distance2 = in_events(problem, [(np.where(place >= 0, far, np.inf), place) for far, place in host])
    return others(index, distance2)


def _faiss(threads: int) -> Any:
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(threads)
    return faiss


def _added(index: Any, problem: Problem) -> Any:
    index.add(problem.pos.numpy())
    return index.search(problem.pos.numpy(), problem.k + 1)


# -- torch -----------------------------------------------------------------------------------------------------------------


def nearest(queries: Tensor, points: Tensor, real: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
    """The one-liner that everybody writes; ``real`` masks out the padding of a batch."""
    distance = torch.cdist(queries, points)
    if real is not None:
        distance = distance.masked_fill(~real[:, None], torch.inf)
    found = distance.topk(k, largest=False)
    return found.values, found.indices


@cache
def compiled() -> Any:
    return torch.compile(nearest)


def cdist_run(problem: Problem, threads: int, search: Any = nearest, ends: bool = False) -> Any:
    """One event: a block of queries against all points. Many: padded to the longest, so many events at a time.

    ``ends``: the first block and the last alone, which between them have every shape there is.
    """
    pos, block, k = problem.pos, BLOCK[problem.pos.device.type], problem.k + 1
    if problem.events == 1:
        blocks = torch.split(pos, max(1, block // len(pos)))
        blocks = blocks[:: max(1, len(blocks) - 1)] if ends else blocks
        return None, [search(queries, pos, None, min(k, len(pos))) for queries in blocks]
    longest = problem.longest
    column = torch.arange(longest, device=pos.device)
    rows = (problem.offsets[:-1, None] + column).clamp(max=len(pos) - 1)
    real = column < (problem.offsets[1:] - problem.offsets[:-1])[:, None]
    chunk = max(1, block // longest**2)
    first = range(0, problem.events, chunk)
    first = first[:: max(1, len(first) - 1)] if ends else first
    padded = ((pos[rows[at : at + chunk]], real[at : at + chunk]) for at in first)
    return (rows, real), [search(points, points, mask, min(k, longest)) for points, mask in padded]


def cdist_read(problem: Problem, answer: Any) -> Table:
    batch, parts = answer
    distance, index = (torch.cat(columns) for columns in zip(*parts, strict=True))
    if batch is not None:
        rows, real = batch
        index = rows[:, None].expand(-1, index.shape[1], -1).gather(2, index)[real]
        distance = distance[real]
    distance = distance.double().cpu()
    wide, far = _widened(index.cpu(), -1, problem.k + 1), _widened(distance, np.inf, problem.k + 1)
    near = np.isfinite(far) & (far <= (np.inf if problem.r is None else problem.r))
    return others(np.where(near, wide, -1), np.where(near, far**2, np.inf))


def _widened(table: Tensor, fill: float, width: int) -> NDArray[Any]:
    return torch.nn.functional.pad(table, (0, width - table.shape[1]), value=fill).numpy()


def compiled_run(problem: Problem, threads: int, ends: bool = False) -> Any:
    return cdist_run(problem, threads, compiled(), ends)


# -- KeOps and torch_cluster -----------------------------------------------------------------------------------------------


def keops_run(problem: Problem, threads: int) -> Any:
    lazy = importlib.import_module("pykeops.torch").LazyTensor
    between = ((lazy(problem.pos[:, None]) - lazy(problem.pos[None])) ** 2).sum(-1)
    if problem.events > 1:  # each event a block of its own
        block = torch.stack([problem.offsets[:-1], problem.offsets[1:]], 1).int().contiguous()
        number = torch.arange(1, problem.events + 1, dtype=torch.int32)
        between.ranges = (block, number, block, block, number, block)
    return between.Kmin_argKmin(problem.k + 1, dim=1)


def keops_read(problem: Problem, answer: Any) -> Table:
    distance2, index = (one.numpy() for one in answer)
    return others(np.where(np.isfinite(distance2), index, -1), distance2.astype(np.float64))


def cluster_run(problem: Problem, threads: int) -> Any:
    package = importlib.import_module("torch_cluster")
    owner = problem.owner if problem.events > 1 else None
    words = {"num_workers": threads, "batch_size": problem.events}
    if problem.r is None:
        return package.knn(problem.pos, problem.pos, problem.k + 1, owner, owner, **words)
    return package.radius(problem.pos, problem.pos, problem.r, owner, owner, max_num_neighbors=problem.k + 1, **words)


def cluster_read(problem: Problem, answer: Any) -> Table:
    """Edges (receiver, sender) as a table, by distance."""
    receiver, sender = answer.cpu()
    pos = problem.pos.cpu().double()
    distance2 = (pos[receiver] - pos[sender]).square().sum(1)
    order = np.lexsort((distance2.numpy(), receiver.numpy()))
    receiver, sender, distance2 = receiver[order], sender[order], distance2[order]
    start = torch.searchsorted(receiver, torch.arange(len(pos)))
    place = torch.arange(len(receiver)) - start[receiver]
    kept = place <= problem.k
    index, far = np.full((len(pos), problem.k + 1), -1), np.full((len(pos), problem.k + 1), np.inf)
    index[receiver[kept], place[kept]], far[receiver[kept], place[kept]] = sender[kept], distance2[kept]
    return others(index, far)


PEERS = {
    OURS: Peer(pcloud_run, pcloud_read, "pcloud", radius=True),
    "cKDTree": Peer(ckdtree_run, ckdtree_read, "scipy", radius=True),
    "cKDTree, unbalanced": Peer(
        partial(ckdtree_run, balanced_tree=False, compact_nodes=False), ckdtree_read, "scipy", radius=True
    ),
    "cKDTree, loop": Peer(ckdtree_loop_run, loop_read, "scipy", alone=False),
    "sklearn kd_tree": Peer(partial(sklearn_run, algorithm="kd_tree"), sklearn_read, "sklearn", radius=True),
    "sklearn brute": Peer(partial(sklearn_run, algorithm="brute"), sklearn_read, "sklearn", brute=True),
    "faiss flat": Peer(faiss_flat_run, faiss_read, "faiss", brute=True),
    "faiss IVF1024, nprobe 16": Peer(faiss_ivf_run, faiss_read, "faiss", together=False, exact=False),
    "faiss HNSW16, ef 64": Peer(faiss_hnsw_run, faiss_read, "faiss", together=False, exact=False),
    "cdist+topk": Peer(cdist_run, cdist_read, "torch", brute=True),
    "cdist+topk, compiled": Peer(compiled_run, cdist_read, "torch", brute=True, warm=partial(compiled_run, ends=True)),
    "KeOps": Peer(keops_run, keops_read, "pykeops", brute=True),
    "torch_cluster": Peer(cluster_run, cluster_read, "torch_cluster", radius=True),
    "pcloud reference": Peer(partial(pcloud_run, path="reference"), pcloud_read, "pcloud", alone=False),
}
CUDA_PEERS = {
    "cdist+topk": Peer(cdist_run, cdist_read, "torch", brute=True, radius=True),
    "cdist+topk, compiled": Peer(compiled_run, cdist_read, "torch", brute=True, radius=True),
    "faiss-gpu flat": Peer(faiss_gpu_run, faiss_read, "faiss", brute=True),
    "torch_cluster": Peer(cluster_run, cluster_read, "torch_cluster", brute=True, radius=True),
}
