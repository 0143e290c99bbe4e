"""How the time of a search grows with the cloud: seconds against N for each dimension and peer.

``measured(peers, threads=2)`` gives them, each line from a process of its own; ``benchmarks.neighbor_plot`` draws them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from statistics import median

import torch

from benchmarks.neighbor_clouds import GROWING, GROWTH, Problem, grown
from benchmarks.neighbor_peers import OURS, PEERS
from benchmarks.neighbor_timing import Row, rows_of

PATIENCE = 2.0  # seconds: a line ends before the first cloud that would take longer
LINES = (OURS, "cKDTree", "sklearn kd_tree", "torch_cluster", "faiss HNSW16, ef 64", "faiss flat", "cdist+topk", "KeOps")


def measured(peers: Iterable[str], *, threads: int, most: int = GROWTH[-1]) -> list[Row]:
    """Seconds at each size for those peers of LINES that are here."""
    found: list[Row] = []
    for name in [name for name in LINES if name in peers and not PEERS[name].missing()]:
        request = {"peer": name, "threads": threads, "most": most}
        found += rows_of("benchmarks.neighbor_growth", request, threads=threads, limit=200)
    return found


def line(dim: int, peer: str, timed: Callable[[Problem], float], most: int) -> Row:
    """Sizes and seconds, until the next size would likely take over PATIENCE."""
    points: list[int] = []
    seconds: list[float] = []
    for size in GROWTH:
        slope = max(3.0, seconds[-1] / seconds[-2]) if len(seconds) > 1 else 10.0
        if size > most or (seconds and seconds[-1] * slope > PATIENCE):
            break
        problem = grown(dim, size)
        points.append(len(problem.pos))
        seconds.append(timed(problem))
    return {"dim": dim, "peer": peer, "points": points, "seconds": seconds}


def timed_here(peer: str, threads: int) -> Callable[[Problem], float]:
    """Median of three calls after one untimed; of calls of over half a second the first counts."""

    def timed(problem: Problem) -> float:
        def once() -> float:
            start = time.perf_counter()
            PEERS[peer].run(problem, threads)
            return time.perf_counter() - start

        PEERS[peer].run(problem.small(), threads)
        first = once()
        return first if first > 0.5 else median([once(), once(), once()])

    return timed


def main() -> None:
    asked = json.loads(sys.argv[1])
    peer, threads = asked["peer"], asked["threads"]
    torch.set_num_threads(threads)
    for dim in [dim for dim in GROWING if PEERS[peer].suits(grown(dim, GROWTH[0]), True)]:
        print("\n" + json.dumps(line(dim, peer, timed_here(peer, threads), asked["most"])), flush=True)


if __name__ == "__main__":
    main()
