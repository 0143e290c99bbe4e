"""How long does each set loss take, beside POT and geomloss on the same pairs of sets, and how far is it from what it stands for?

``python -m benchmarks.set_losses [--pairs N] [--points N] [--runs N] [--threads N] [--device cuda] [--record]``. Values and times
come from one process in alternation, peak memory from a process each, on a CPU only. Without POT or geomloss their rows are
left out; POT stays on the CPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.neighbor_timing import Row, alternate, peak, rows_of, spread
from benchmarks.record import Figure, machine, record
from pcloud.losses.sets import SET_LOSSES
from pcloud.losses.sets.sliced import lines

PAIRS, POINTS, RUNS = 1000, 100, 9
LINES, BLUR, EPSILON = 16, 0.05, 0.01
JUDGED = 50  # pairs that are also solved to the end, to tell errors and bias by
COMMAND = "python -m benchmarks.set_losses --record"
RATIOS = {  # what the bars ask for, ours first
    "sliced": ("ot.emd2", "ot.sliced"),
    "sinkhorn, geomloss's steps": ("geomloss sinkhorn", "ot.emd2"),
    "sinkhorn": ("ot.bregman.sinkhorn_log", "ot.empirical_sinkhorn_divergence", "ot.emd2"),
    "emd": ("ot.emd2",),
    "sinkhorn, geomloss's steps: with gradient": ("geomloss sinkhorn: with gradient",),
    "energy": ("geomloss energy",),
    "energy: with gradient": ("geomloss energy: with gradient",),
}


class Problem:
    """Pairs of weighted sets: normal of width 0.2 about centres some 0.1 apart, in a plane; weights squares of exponentials."""

    def __init__(self, pairs: int, points: int, device: str = "cpu", seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.x, self.y = (draw.normal(0.1 * draw.normal(size=(pairs, 1, 2)), 0.2, (pairs, points, 2)) for _ in "xy")
        weights = (draw.exponential(size=(pairs, points)) ** 2 for _ in "ab")
        self.a, self.b = (one / one.sum(1, keepdims=True) for one in weights)
        self.pairs, self.points = pairs, points
        self.device = device
        self.offsets = torch.arange(pairs + 1, device=device) * points
        self.tensors = [torch.from_numpy(one).float().to(device) for one in (self.x, self.y, self.a, self.b)]
        self.lines = lines(LINES, 2, seed).to(device)

    def only(self, pair: int) -> Problem:
        """One of the pairs."""
        one = copy.copy(self)
        one.x, one.y, one.a, one.b = (some[pair : pair + 1] for some in (self.x, self.y, self.a, self.b))
        one.tensors = [some.detach()[pair : pair + 1].clone() for some in self.tensors]
        one.pairs, one.offsets = 1, self.offsets[:2]
        return one

    def cost(self, square: bool) -> np.ndarray:
        """|x - y| of all pairs, or |x - y|^2 / 2: what POT is given."""
        gap = self.x[:, :, None] - self.y[:, None]
        apart = np.asarray((gap**2).sum(3))
        return apart / 2 if square else np.sqrt(apart)


@dataclass(frozen=True)
class Way:
    """One loss of one library. make: what is prepared outside of the time -> a call -> values [pairs], a tensor where ``steep``,
    which then is also timed with its gradient. share: of the pairs, for the slow ones."""

    words: str
    make: Callable[[Problem], Callable[[], Any]]
    steep: bool = False
    share: float = 1.0


def ours(name: str, **options: Any) -> Callable[[Problem], Callable[[], Tensor]]:
    def make(problem: Problem) -> Callable[[], Tensor]:
        x, y, a, b = problem.tensors
        sides = x.flatten(0, 1).requires_grad_(), problem.offsets, y.flatten(0, 1), problem.offsets
        chosen = {**options, **({"directions": problem.lines} if name == "sliced" else {})}
        return partial(SET_LOSSES[name], *sides, x_weight=a.flatten(), y_weight=b.flatten(), **chosen)

    return make


def geomloss(**options: Any) -> Callable[[Problem], Callable[[], Tensor]]:
    def make(problem: Problem) -> Callable[[], Tensor]:
        from geomloss import SamplesLoss

        x, y, a, b = problem.tensors
        return partial(SamplesLoss(**options, backend="tensorized"), a, x.requires_grad_(), b, y)

    return make


def each(square: bool, solve: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> Callable[[Problem], Callable[[], Any]]:
    """POT, pair by pair, costs given."""

    def make(problem: Problem) -> Callable[[], Any]:
        costs = problem.cost(square)
        return lambda: np.array([solve(a, b, cost) for a, b, cost in zip(problem.a, problem.b, costs, strict=True)])

    return make


def _exact(a: np.ndarray, b: np.ndarray, cost: np.ndarray) -> float:
    import ot

    return float(ot.emd2(a, b, cost))


def _log(a: np.ndarray, b: np.ndarray, cost: np.ndarray) -> float:
    import ot

    return float((ot.bregman.sinkhorn_log(a, b, cost, EPSILON, warn=False) * cost).sum())


def _divergence(problem: Problem) -> Callable[[], Any]:
    import ot

    call = partial(ot.bregman.empirical_sinkhorn_divergence, reg=2 * EPSILON, warn=False)
    every = list(zip(problem.x, problem.y, problem.a, problem.b, strict=True))
    return lambda: np.array([call(x, y, a=a, b=b) / 2 for x, y, a, b in every])


def _sliced(problem: Problem) -> Callable[[], Any]:
    import ot

    call = partial(ot.sliced.sliced_wasserstein_distance, projections=problem.lines.double().cpu().numpy().T.copy())
    every = list(zip(problem.x, problem.y, problem.a, problem.b, strict=True))
    return lambda: np.array([call(*one) ** 2 for one in every])


def ways() -> dict[str, Way]:
    """Every loss of ours, and those of POT and geomloss that are installed."""
    steps = {"epsilon": BLUR**2, "scaling": 0.5, "iterations": 0}
    schedule = f"epsilon {BLUR**2:g}, falling by 4 a step, 1 step at it"
    found = {name: Way("", ours(name), steep=True) for name in SET_LOSSES}
    found["mmd"] = Way("bandwidth 0.1", ours("mmd"), steep=True)
    found["sliced"] = Way(f"{LINES} lines, power 2", ours("sliced"), steep=True)
    found["sinkhorn"] = Way(
        f"epsilon {EPSILON}, falling by 2 a step, 21 steps at it", ours("sinkhorn", epsilon=EPSILON), steep=True
    )
    found["sinkhorn, geomloss's steps"] = Way(schedule, ours("sinkhorn", **steps), steep=True)
    if find_spec("ot"):
        found["ot.emd2"] = Way("exact, |x - y|", each(False, _exact))
        found["ot.emd2, squares"] = Way("exact, |x - y|^2 / 2", each(True, _exact))
        found["ot.bregman.sinkhorn_log"] = Way(f"epsilon {EPSILON}, <P, C>, up to 1,000 steps", each(True, _log), share=0.01)
        words = f"epsilon {EPSILON}, <P, C> alone, up to 10,000 steps"
        found["ot.empirical_sinkhorn_divergence"] = Way(words, _divergence, share=0.01)
        found["ot.sliced"] = Way(f"{LINES} lines, power 2", _sliced)
    if find_spec("geomloss"):
        found["geomloss sinkhorn"] = Way(schedule, geomloss(loss="sinkhorn", p=2, blur=BLUR, scaling=0.5), steep=True)
        found["geomloss energy"] = Way("half of ours", geomloss(loss="energy"), steep=True)
    return found


def made(name: str, pairs: int, points: int, device: str = "cpu") -> tuple[Callable[[], Any], int]:
    """The call of a way, and how many pairs it does."""
    way = ways()[name]
    number = max(2, round(way.share * pairs))
    return way.make(Problem(number, points, device)), number


def finished(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """The call, over only when the device is done."""
    return call if device == "cpu" else lambda: (call(), torch.cuda.synchronize())


def sloped(call: Callable[[], Tensor]) -> Tensor:
    """The call and its gradient by x."""
    value = call()
    value.sum().backward()
    return value


def times(pairs: int, points: int, runs: int, device: str = "cpu") -> Row:
    """Milliseconds a thousand pairs of every way, in alternation; with the gradient where it has one."""
    calls: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, way in ways().items():
        call, number = made(name, pairs, points, device)
        calls[name] = finished(call, device), number
        if way.steep:
            calls[f"{name}: with gradient"] = finished(partial(sloped, call), device), number
    taken = alternate([call for call, _ in calls.values()], runs)
    return {name: [1e6 * one / number for one in some] for (name, (_, number)), some in zip(calls.items(), taken, strict=True)}


def memory(name: str, pairs: int, points: int) -> Row:
    """Peak memory of one call with its gradient above what the process held before it, in bytes."""
    for number in (2, pairs):
        call, done = made(name, number, points)
        call = partial(sloped, call) if ways()[name].steep else call
        if number == 2:  # threads and libraries have their memory by now
            call()
    return {"bytes": peak(call)[2], "pairs": done}


def truth(pairs: int, points: int, device: str = "cpu") -> Row:
    """Mean value of each way on a few pairs; error: largest difference to the same thing solved to the end; bias: mean
    difference to the exact transport of the same cost, as a share of it."""
    problem = Problem(min(pairs, JUDGED), points, device)
    double = Problem(problem.pairs, points)
    double.tensors = [torch.from_numpy(one) for one in (double.x, double.y, double.a, double.b)]

    def solved(name: str, **options: Any) -> np.ndarray:
        found: np.ndarray = ours(name, **options)(double)().detach().numpy()
        return found

    exact = {"emd": solved("emd"), "squares": solved("emd", beta=2.0) / 2}
    double.lines = lines(1000, 2, 1)
    ends: dict[str, tuple[np.ndarray, np.ndarray | None]] = {
        "sliced": (solved("sliced"), None),
        "sinkhorn": (solved("sinkhorn", epsilon=EPSILON, iterations=2000), exact["squares"]),
        "sinkhorn, geomloss's steps": (solved("sinkhorn", epsilon=BLUR**2, iterations=5000), exact["squares"]),
        "emd": (exact["emd"], exact["emd"]),
        "ot.emd2, squares": (exact["squares"], exact["squares"]),
        **{name: (solved(name), None) for name in ("chamfer", "hungarian", "energy", "mmd", "ordered")},
    }
    same = {"ot.sliced": "sliced", "ot.emd2": "emd", "geomloss sinkhorn": "sinkhorn, geomloss's steps"}
    ends |= {peer: ends[name] for peer, name in same.items()}
    ends |= {"geomloss energy": (ends["energy"][0] / 2, None)}
    rows: Row = {}
    for name, way in ways().items():
        value = way.make(problem)()
        value = value.detach().double().cpu().numpy() if isinstance(value, Tensor) else value
        end, whole = ends.get(name, (None, exact["squares"]))
        rows[name] = {"value": float(value.mean())}
        if end is not None:
            rows[name]["error"] = float(abs(value - end).max())
        if whole is not None:
            rows[name]["bias"] = float(value.mean() / whole.mean() - 1)
        if name in ("ot.sliced", "geomloss sinkhorn"):
            rows[name]["apart"] = float(abs(alone(way, problem) - alone(ways()[same[name]], problem)).max())
    return rows


def alone(way: Way, problem: Problem) -> np.ndarray:
    """Values pair by pair: geomloss takes its steps from the largest pair of a batch."""
    values = (way.make(problem.only(pair))()[0] for pair in range(problem.pairs))
    return np.array([one.item() for one in values])


PARTS: dict[str, Callable[..., Row]] = {"truth": truth, "times": times, "memory": memory}


def part(threads: int, **request: Any) -> Row:
    """What a process of its own finds."""
    row = rows_of("benchmarks.set_losses", {**request, "threads": threads}, threads=threads, limit=3600.0)[-1]
    if "failed" in row:
        raise SystemExit(f"{request}: {row['failed']}")
    return row


def run(*, pairs: int, points: int, runs: int, threads: int, device: str) -> Row:
    size = {"pairs": pairs, "points": points}
    return {
        "truth": part(threads, part="truth", device=device, **size),
        "times": part(threads, part="times", runs=runs, device=device, **size),
        "memory": {name: part(threads, part="memory", name=name, **size) for name in ways() if device == "cpu"},
    }


def said(name: str, truth: Row) -> str:
    """The settings of a way, and how true its values are."""
    kinds = {
        "error": "largest error {:.1e}",
        "apart": "largest difference to ours {:.1e}",
        "bias": "mean {:+.2%} off exact transport",
    }
    words = [ways()[name].words, f"mean value {truth['value']:.4g}"]
    return "; ".join([one for one in words if one] + [kinds[kind].format(truth[kind]) for kind in kinds if kind in truth])


def figures_of(result: Row, runs: int) -> dict[str, Figure]:
    interval, figures = f"68% of {runs} alternating runs", {}
    for name, peers in RATIOS.items():
        for peer in peers:
            if peer in result["times"]:
                middle, low, high = spread(list(np.divide(result["times"][peer], result["times"][name])))
                figures[f"{name}: speed / {peer}'s"] = Figure(middle, "", low, high, interval)
    for name, taken in result["times"].items():
        middle, low, high = spread(taken)
        kind, _, gradient = name.partition(": with")
        cuts = "" if gradient else said(kind, result["truth"][kind])
        figures[name] = Figure(middle, "ms", low, high, interval, cuts=cuts)
    for name, held in result["memory"].items():
        if held["bytes"] is not None:
            figures[f"{name}: peak memory"] = Figure(held["bytes"] / 1e6, "MB", cuts=f"{held['pairs']:,} pairs at once")
    return figures


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"a smaller number to try out (default {PAIRS})")
    parser.add_argument("--points", type=int, default=POINTS, help=f"points of each set (default {POINTS})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"alternating runs of each (default {RUNS})")
    parser.add_argument("--threads", type=int, default=1, help="threads of each; POT's solvers use one (default 1)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where ours and geomloss compute")
    parser.add_argument("--record", action="store_true", help="keep the figures in results.json")
    options = parser.parse_args(arguments)
    if options.record and (options.pairs, options.points) != (PAIRS, POINTS):
        parser.error(f"--record keeps figures of {PAIRS} pairs of {POINTS} points only: leave it or --pairs and --points out")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Prints the table; ``--record`` keeps it. Given a request in JSON, answers it instead."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0].startswith("{"):
        request = json.loads(arguments[0])
        torch.set_num_threads(request.pop("threads"))
        print("\n" + json.dumps(PARTS[request.pop("part")](**request)), flush=True)
        return
    options = options_of(arguments)
    result = run(pairs=options.pairs, points=options.points, runs=options.runs, threads=options.threads, device=options.device)
    figures = figures_of(result, options.runs)
    print(f"{machine()}; {options.threads} threads; ms per 1,000 pairs of {options.points} points; median (16% to 84%)")
    for name, one in figures.items():
        bounds = "" if one.low is None else f"({one.low:.4g} to {one.high:.4g})"
        print(f"{name:52s} {one.value:10.4g} {one.unit:3s} {bounds:22s} {one.cuts}")
    if options.record:
        place = f"{options.threads} thread(s)" if options.device == "cpu" else torch.cuda.get_device_name()
        record(
            "set_losses" if options.device == "cpu" else "set_losses-gpu",
            figures,
            COMMAND if options.device == "cpu" else f"{COMMAND} --device cuda",
            title=f"set losses of 1,000 pairs of {POINTS} weighted points in a plane, float32, on {place}",
            data=f"synthetic: normal of width 0.2 about centres 0.1 apart; truth on {JUDGED} pairs, solved to the end in float64",
            cuts="POT in float64, pair by pair, with cost matrices given where it takes them; its slow ways timed on 10 pairs",
        )


if __name__ == "__main__":
    main()
