"""The GPU's table: truth, time and memory of our kernels beside cdist + topk on the same card, in one call.

``python -m benchmarks.neighbors --gpu`` calls ``table``. Each case is a process of its own, so that a kernel that fails or
hangs takes no other figure with it; ``python -m benchmarks.neighbor_gpu REQUEST`` is that process.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import torch

from benchmarks.neighbor_clouds import CASES, GROWING, Problem
from benchmarks.neighbor_growth import line
from benchmarks.neighbor_peers import CUDA_PEERS, OURS, Peer, pcloud_run
from benchmarks.neighbor_timing import Row, differing, judge, rows_of, spread

# In the order of what must be known first, should time run out; the growth of d=2 is that of jets.
ORDER = ("jets", "tracker", "radius8", "radius12", "embedded8", "radius3", "million", "batch", "lowrank8", "real")
COMPILED = ("jets", "tracker", "embedded8")  # torch.compile takes longer than all else in a case
CASE_LIMIT = 110.0  # seconds for one case with all its peers
Call = Callable[[], Any]


class Card(Protocol):
    """What a run asks of a device; a test gives a pretended one."""

    device: torch.device

    def described(self) -> str: ...

    def wait(self) -> None: ...

    def captured(self, call: Call) -> tuple[Any, Callable[[int], float]]:
        """(what the graph writes to, replay: so many times -> seconds each)."""
        ...

    def peak(self, call: Call) -> tuple[Any, int]:
        """(answer, most bytes held during the call above what was held before)."""
        ...


class Cuda:
    """The card that CUDA shows first."""

    device = torch.device("cuda")

    def described(self) -> str:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            driver = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            driver = "unknown"
        try:
            triton = version("triton")
        except PackageNotFoundError:
            triton = "none"
        packages = f"torch {torch.__version__}, CUDA {torch.version.cuda}, triton {triton}"
        return f"{torch.cuda.get_device_name()}, driver {driver}, {packages}"

    def wait(self) -> None:
        torch.cuda.synchronize()

    def captured(self, call: Call) -> tuple[Any, Callable[[int], float]]:
        """As torch's documentation does it: warmed up on a stream of its own, then captured."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = call()

        def replay(times: int) -> float:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            for _ in range(times):
                graph.replay()
            end.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(end)) / 1e3 / times

        return answer, replay

    def peak(self, call: Call) -> tuple[Any, int]:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        answer = call()
        torch.cuda.synchronize()
        return answer, torch.cuda.max_memory_allocated() - before


def replays(replay: Callable[[int], float]) -> list[float]:
    """Seconds of a replay in up to 11 samples, of many replays each where one is short."""
    replay(1)
    once = max(replay(3), 1e-6)
    times = max(1, min(200, int(0.005 / once)))
    samples = max(3, min(11, int(2.0 / (once * times))))
    return [replay(times) for _ in range(samples)]


def eager(card: Card, call: Call) -> list[float]:
    """Wall seconds of up to 21 calls, waiting for the card after each."""

    def once() -> float:
        card.wait()
        start = time.perf_counter()
        answer = call()
        card.wait()
        end = time.perf_counter()
        del answer
        return end - start

    once()
    first = once()
    return [first, *(once() for _ in range(max(2, min(20, int(2.0 / first)))))]


def rows_unequal(one: Any, other: Any) -> dict[str, int]:
    """Rows in which two tables differ to the bit, by field."""
    pairs = {name: (getattr(one, name).cpu(), getattr(other, name).cpu()) for name in ("index", "distance2", "truncated")}
    return {name: int((a != b).reshape(len(a), -1).any(1).sum()) for name, (a, b) in pairs.items()}


def our_row(problem: Problem, card: Card, path: str | None = None) -> Row:
    """Our path: its cost, and whether its table is the CPU's, the reference's on chosen rows, the same again and replayed.

    What fails after the first call is told under "trouble", so that one failure does not hide the rest.
    """
    there = problem.on(card.device)
    words = {"path": path} if path else {}
    checked = partial(pcloud_run, there, 0, **words)
    free = partial(checked, check=False, max_points=problem.longest)
    checked()
    answer, memory = card.peak(free)

    def replay() -> Row:
        written, again = card.captured(free)
        seconds = replays(again)
        return {"replay": seconds, "unequal when replayed": rows_unequal(answer, written)}

    def reference() -> Row:
        return dict(zip(("differing", "looked_at"), differing(there, answer), strict=True))

    stages: dict[str, Callable[[], Row]] = {
        "path": lambda: {"path": path or checked(explain=True).path},
        "the CPU's": lambda: {"unequal to the CPU": rows_unequal(answer, pcloud_run(problem, 0))},
        "the reference's": reference,
        "a second run": lambda: {"unequal when run again": rows_unequal(answer, free())},
        "eager": lambda: {"eager": eager(card, checked), "eager, unchecked": eager(card, free)},
        "replay": replay,
    }
    row: Row = {"memory": memory}
    for name, stage in stages.items():
        try:
            row |= stage()
        except Exception as error:
            row["trouble"] = f"{row.get('trouble', '')}{name}: {_said(error)}; "
    return row


def peer_row(problem: Problem, card: Card, peer: Peer) -> Row:
    """A peer's recall and cost, or why it can't be asked."""
    if why := peer.missing():
        return {"missing": why}
    there = problem.on(card.device)
    peer.run(there, 0)
    answer, memory = card.peak(lambda: peer.run(there, 0))
    row: Row = {"memory": memory, **judge(problem, *peer.read(there, answer))}
    del answer
    row["eager"] = eager(card, lambda: peer.run(there, 0))
    try:
        row["replay"] = replays(card.captured(lambda: peer.run(there, 0))[1])
    except Exception as error:  # a peer that can't be captured has only its wall time
        row["trouble"] = f"replay: {_said(error)}"
    return row


def rows(case: str, card: Card, *, scale: float = 1.0, every_path: bool = False) -> Iterator[Row]:
    """Our row first, then the peers' that suit, then (``every_path``) our other paths by name; one that fails says why."""
    problem = CASES[case].problem(scale)
    named: dict[str, Call] = {OURS: partial(our_row, problem, card)}
    for name, peer in CUDA_PEERS.items():
        if peer.suits(problem, brute=len(problem.pos) <= 200_000) and ("compiled" not in name or case in COMPILED):
            named[name] = partial(peer_row, problem, card, peer)
    if every_path:
        gpu = importlib.import_module("pcloud.neighbors.gpu")
        named |= {f"{OURS}, {path}": partial(our_row, problem, card, path) for path in gpu.PATHS}
    for name, call in named.items():
        start = time.perf_counter()
        try:
            row = call()
        except Exception as error:
            row = {"failed": _said(error)}
        yield {"case": case, "peer": name, "points": len(problem.pos), **row, "took": time.perf_counter() - start}


def growth_rows(card: Card, most: int) -> Iterator[Row]:
    """Time under replay against N, of ours and of cdist + topk."""

    def ours(problem: Problem) -> float:
        there = problem.on(card.device)
        call = partial(pcloud_run, there, 0, check=False, max_points=there.longest)
        return spread(replays(card.captured(call)[1]))[0]

    def written_out(problem: Problem) -> float:
        there = problem.on(card.device)
        return spread(replays(card.captured(partial(CUDA_PEERS["cdist+topk"].run, there, 0))[1]))[0]

    for dim in GROWING:
        for name, timed in ((OURS, ours), ("cdist+topk", written_out)):
            try:
                yield line(dim, name, timed, most if name == OURS or dim == 2 else min(most, 100_000))
            except Exception as error:
                yield {"dim": dim, "peer": name, "failed": _said(error)}


def table(report: Row, cases: list[str], keep: Callable[[Row], None], *, limit: float, scale: float, every_path: bool) -> Row:
    """Fill the report case by case, kept after each; what there is no time left for says so."""
    end = time.perf_counter() + limit
    report["device"] = Cuda().described()
    for case in [*(case for case in ORDER if case in cases), *(one for one in cases if one == "growth")]:
        left = end - time.perf_counter()
        request = {"case": case, "scale": scale, "every_path": every_path}
        found = [{**request, "failed": "no time left"}]
        if left > 20:
            found = rows_of("benchmarks.neighbor_gpu", request, limit=left if case == "growth" else min(CASE_LIMIT, left))
        report["growth" if case == "growth" else "rows"] += found
        keep(report)
        print(f"{case}: {len(found)} rows, {time.perf_counter() - end + limit:.0f} s so far", flush=True)
    return report


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def main() -> None:
    asked = json.loads(sys.argv[1])
    case, scale = asked["case"], asked["scale"]
    most = max(1_000, round(1_000_000 * scale))
    made = growth_rows(Cuda(), most) if case == "growth" else rows(case, Cuda(), scale=scale, every_path=asked["every_path"])
    for row in made:
        print("\n" + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
