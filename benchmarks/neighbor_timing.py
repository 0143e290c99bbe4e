"""Time, peak memory and truth of one peer beside ours, in a process of its own, so that none touches another's figures.

``rows_of(MODULE, request, ...)`` starts such a process; ``python -m benchmarks.neighbor_timing REQUEST`` is one.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.neighbor_clouds import CASES, Problem
from benchmarks.neighbor_peers import OURS, PEERS, others
from pcloud import segments

SLOW = 8.0  # a call that takes more seconds is timed once, unless a bar names the peer
PATIENCE = 9.0  # seconds for the pairs with a peer that no bar names; at least three all the same
PAUSE = 0.01  # seconds between calls: threads of one that still spin would take time from the next
LOOKED_AT = 20_000_000  # distances taken in float64 to judge an answer
Row = dict[str, Any]


def compare(case: str, peer: str, *, threads: int, pairs: int, scale: float, judged: bool) -> Row:
    """One peer on one case: its first call alone (memory, truth), then alternating pairs with ours.

    judged: a bar names the peer, so that it gets all the pairs however long they take.
    """
    torch.set_num_threads(threads)
    problem, theirs, ours = CASES[case].problem(scale), PEERS[peer], PEERS[OURS]
    small = problem.small()
    if theirs.warm:
        theirs.warm(problem, threads)
    else:
        theirs.run(small, threads)
    answer, first, memory = peak(lambda: theirs.run(problem, threads))
    row: Row = {"case": case, "peer": peer, "points": len(problem.pos), "memory": memory}
    row |= judge(problem, *theirs.read(problem, answer))
    if peer == OURS:
        row["differing"], row["looked_at"] = differing(problem, answer)
        row["path"] = theirs.run(problem, threads, explain=True).path  # type: ignore[call-arg]
        return row
    del answer
    ours.run(small, threads)
    if first > SLOW and not judged:
        return {**row, "theirs": [first], "ours": alternate([lambda: ours.run(problem, threads)], 1)[0]}
    calls = [lambda: ours.run(problem, threads), lambda: theirs.run(problem, threads)]
    start = time.perf_counter()
    calls[0]()
    both = time.perf_counter() - start + first
    taken = alternate(calls, pairs if judged else min(pairs, max(3, int(PATIENCE / both))), warm=False)
    return {**row, "ours": taken[0], "theirs": taken[1]}


def alternate(calls: list[Callable[[], Any]], times: int, warm: bool = True) -> list[list[float]]:
    """Seconds of each call in turn, so often, after one untimed round where ``warm``."""
    taken: list[list[float]] = [[] for _ in calls]
    for turn in range(-int(warm), times):
        for call, seconds in zip(calls, taken, strict=True):
            time.sleep(PAUSE)
            start = time.perf_counter()
            answer = call()
            end = time.perf_counter()
            del answer  # giving the memory back is in nobody's time
            if turn >= 0:
                seconds.append(end - start)
    return taken


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, 16th and 84th percentile."""
    low, middle, high = np.percentile(values, [16, 50, 84])
    return float(middle), float(low), float(high)


def peak(call: Callable[[], Any]) -> tuple[Any, float, int | None]:
    """(answer, seconds, bytes): the most memory held during the call above what the process held before; None off Linux."""
    gc.collect()
    before = _resident("VmRSS")
    start = time.perf_counter()
    answer = call()
    seconds = time.perf_counter() - start
    most = _resident("VmHWM")
    return answer, seconds, None if before is None or most is None else max(0, most - before)


def _resident(kind: str) -> int | None:
    """Bytes of this process; asking for what is held now also gives back what is free and resets the peak."""
    try:
        if kind == "VmRSS":
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except (OSError, AttributeError):
        return None
    return int(found[1]) * 1024 if found else None


def chosen(problem: Problem, seed: int = 0) -> NDArray[np.int64]:
    """Rows to judge by: 500, fewer where each costs much, in order."""
    number = min(len(problem.pos), max(50, min(500, LOOKED_AT // problem.longest)))
    return np.sort(np.random.default_rng(seed).permutation(len(problem.pos))[:number])


def judge(problem: Problem, index: NDArray[np.int64], distance2: NDArray[np.float64]) -> Row:
    """recall: neighbours found / neighbours there are, on chosen rows, where distances that differ by less than float32
    rounds are equals; error: the largest relative error of a squared distance; edges: all neighbours in the table."""
    pos, bounds = problem.pos.cpu().double().numpy(), problem.offsets.cpu().numpy()
    blur = (pos.shape[1] + 4) * 2.0**-23
    reach = np.inf if problem.r is None else float(problem.r) ** 2
    found = there = 0
    error = 0.0
    for row in chosen(problem):
        event = np.searchsorted(bounds, row, side="right") - 1
        true = ((pos[bounds[event] : bounds[event + 1]] - pos[row]) ** 2).sum(1)
        true[row - bounds[event]] = np.inf
        near = np.sort(true[true <= reach * (1 - blur)])[: problem.k]
        near = near[np.isfinite(near)]
        limit = near[-1] if len(near) == problem.k else reach
        mine, said = index[row][index[row] >= 0] - bounds[event], distance2[row][index[row] >= 0]
        inside = (mine >= 0) & (mine < len(true))
        mine, said = mine[inside], said[inside]
        found += min(len(near), len(np.unique(mine[true[mine] <= limit * (1 + blur)])))
        there += len(near)
        apart = (true[mine] > 0) & np.isfinite(true[mine])
        error = max([error, *(np.abs(said - true[mine])[apart] / true[mine][apart])])
    return {"recall": found / there if there else 1.0, "error": float(error), "edges": int((index >= 0).sum())}


def differing(problem: Problem, answer: Any) -> tuple[int, int]:
    """(rows of our table that are not the reference's to the bit, rows looked at)."""
    from pcloud.neighbors import knn

    rows = chosen(problem)
    at = torch.from_numpy(rows).to(problem.pos.device)
    asked = segments.offsets_of(torch.bincount(problem.owner[at], minlength=problem.events))
    words: dict[str, Any] = {"r_max": problem.r, "query": problem.pos[at], "query_offsets": asked, "path": "reference"}
    truth = knn(problem.pos, problem.offsets, problem.k + 1, **words)
    index, distance2 = others(truth.index.cpu().numpy(), truth.distance2.cpu().numpy(), rows)
    wrong = (index != answer.index[at].cpu().numpy()).any(1)
    wrong |= (distance2 != answer.distance2[at].cpu().numpy()).any(1)
    wrong |= (truth.truncated != answer.truncated[at]).cpu().numpy()
    return int(wrong.sum()), len(rows)


def rows_of(module: str, request: Row, *, threads: int | None = None, limit: float = 900.0) -> list[Row]:
    """What a process of its own finds: one row a line. One that fails or takes over ``limit`` seconds says so in a last row."""
    environment = dict(os.environ)
    if threads:
        environment |= {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")}
    words = [sys.executable, "-m", module, json.dumps(request)]
    try:
        done = subprocess.run(
            words, cwd=Path(__file__).parents[1], env=environment, capture_output=True, text=True, timeout=limit
        )
        out, failed = done.stdout, ""
        if done.returncode:
            failed = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
    except subprocess.TimeoutExpired as late:
        out = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        failed = f"stopped after {limit:.0f} s"
    rows: list[Row] = [json.loads(line) for line in out.splitlines() if line.startswith('{"')]
    return rows if not failed else [*rows, {**request, "failed": failed[:300]}]


def main() -> None:
    request = json.loads(sys.argv[1])
    print("\n" + json.dumps(compare(**request)), flush=True)


if __name__ == "__main__":
    main()
