"""How long does EdgeConv take, forward and backward, beside torch-geometric's with its scatter, on the same graph?

``python -m benchmarks.edge_conv [--pairs N] [--threads N] [--jets N] [--record]``: 2,000 jets of about 50 points, k = 16,
64 channels, the same weights; values and gradients are compared in the run, peak memory is that of a process of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.neighbor_clouds import CASES
from benchmarks.neighbor_timing import Row, alternate, peak, rows_of, spread
from benchmarks.record import Figure, machine, record
from pcloud.neighbors import Neighbors, knn
from pcloud.nn import EdgeConv, blocks

CHANNELS, JETS, SMALL = 64, 2000, 100
OURS, WHOLE, THEIRS = "pcloud", "pcloud, not in blocks", "torch-geometric"


class Trial:
    """Our layer and torch-geometric's of the same function on one graph, and a weighing of the output to go back from."""

    def __init__(self, jets: int, dtype: torch.dtype = torch.float32) -> None:
        problem = CASES["jets"].problem(jets / JETS)
        self.table: Neighbors = knn(problem.pos, problem.offsets, problem.k)
        self.edges = self.table.edge_index()
        torch.manual_seed(0)
        self.ours = EdgeConv(CHANNELS, CHANNELS).to(dtype)
        self.theirs = geometric_twin(self.ours)
        self.x = torch.randn(len(problem.pos), CHANNELS).to(dtype).requires_grad_()
        self.weighing = torch.randn(len(problem.pos), CHANNELS).to(dtype)

    def step(self, name: str) -> list[Tensor]:
        """Forward and backward: the output, the gradients to x, to what acts on x_i and on x_j, and to the other parameters."""
        theirs = name == THEIRS
        before, blocks.CPU_BLOCK = blocks.CPU_BLOCK, 1 << 62 if name == WHOLE else blocks.CPU_BLOCK
        net = self.theirs if theirs else self.ours
        out: Tensor = self.theirs(self.x, self.edges) if theirs else self.ours(self.x, self.table)
        to_x, *rest = torch.autograd.grad((out * self.weighing).sum(), [self.x, *net.parameters()])
        blocks.CPU_BLOCK = before
        if theirs:  # W = [A + B, B] of [x_i, x_j - x_i]
            own, other = rest[0].split(CHANNELS, dim=1)
            return [out, to_x, own, rest[1], own + other, *rest[2:]]
        return [out, to_x, *rest]


def geometric_twin(ours: EdgeConv) -> nn.Module:
    """torch-geometric's layer with our weights: A x_i + B x_j = (A + B) x_i + B (x_j - x_i)."""
    from torch_geometric.nn import EdgeConv as GeometricEdgeConv

    receiver, sender = ours.pair.receiver, ours.pair.sender
    first = nn.Linear(2 * CHANNELS, CHANNELS, dtype=receiver.weight.dtype)
    rest = copy.deepcopy(ours.pair.rest)
    theirs: nn.Module = GeometricEdgeConv(nn.Sequential(first, *rest), aggr="max")
    with torch.no_grad():  # its constructor sets all weights anew
        rest.load_state_dict(ours.pair.rest.state_dict())
        first.weight.copy_(torch.cat([receiver.weight + sender.weight, sender.weight], 1))
        first.bias.copy_(receiver.bias)
    return theirs


def truth(jets: int) -> Row:
    """Largest difference, as a share of the largest number: of the output in float32 on all jets, and of every gradient in
    float64 on a few. In float32 two messages may be so close that rounding chooses the winner: such points are counted."""
    trial = Trial(jets)
    ours, theirs = trial.step(OURS), trial.step(THEIRS)
    moved = (ours[1] - theirs[1]).abs().amax(1) > 1e-5 * theirs[1].abs().max()
    small = Trial(min(jets, SMALL), torch.float64)
    pairs = list(zip(small.step(OURS), small.step(THEIRS), strict=True))
    return {
        "output, float32": _apart(ours[0], theirs[0]),
        "output and gradients, float64": max(_apart(a, b) for a, b in pairs),
        "share of points with another gradient, float32": float(moved.float().mean()),
        "points": len(trial.x),
        "edges": trial.edges.shape[1],
    }


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def times(jets: int, pairs: int) -> Row:
    trial = Trial(jets)
    names = [OURS, WHOLE, THEIRS]
    calls: list[Callable[[], list[Tensor]]] = [lambda name=name: trial.step(name) for name in names]  # type: ignore[misc]
    return dict(zip(names, alternate(calls, pairs), strict=True))


def memory(jets: int, name: str) -> Row:
    """Peak memory of one step above what the process held before it, in bytes."""
    Trial(4).step(name)  # threads and libraries have their memory by now
    trial = Trial(jets)
    return {"bytes": peak(lambda: trial.step(name))[2]}


PARTS: dict[str, Callable[..., Row]] = {"truth": truth, "times": times, "memory": memory}


def part(threads: int, **request: object) -> Row:
    """What a process of its own finds."""
    row = rows_of("benchmarks.edge_conv", {**request, "threads": threads}, threads=threads)[-1]
    if "failed" in row:
        raise SystemExit(f"{request}: {row['failed']}")
    return row


def run(*, pairs: int, threads: int, jets: int) -> Row:
    same = part(threads, part="truth", jets=jets)
    if max(same["output, float32"] / 1e-5, same["output and gradients, float64"] / 1e-10) > 1:
        raise SystemExit(f"the layers differ: {same}")
    taken = part(threads, part="times", jets=jets, pairs=pairs)
    held = {name: part(threads, part="memory", jets=jets, name=name)["bytes"] for name in taken}
    ratio = {name: list(np.divide(taken[name], taken[THEIRS])) for name in (OURS, WHOLE)}
    return {"same": same, "seconds": taken, "bytes": held, "ratio": ratio, "pairs": pairs, "threads": threads}


def keep(result: Row) -> None:
    """Record the medians in results.json."""
    interval = f"68% of {result['pairs']} alternating runs"
    figures = {}
    for name, taken in result["ratio"].items():
        middle, low, high = spread(taken)
        figures[f"{name}: time / torch-geometric's"] = Figure(middle, "", low, high, interval)
    for name, taken in result["seconds"].items():
        middle, low, high = spread(taken)
        figures[f"{name}: forward and backward"] = Figure(middle, "s", low, high, interval)
        if result["bytes"][name] is not None:
            figures[f"{name}: peak memory"] = Figure(result["bytes"][name] / 1e6, "MB")
    record(
        "edge_conv",
        figures,
        "python -m benchmarks.edge_conv --record",
        title=f"EdgeConv forward and backward, 64 channels, k = 16, on {result['threads']} threads",
        data=f"{CASES['jets'].data}: {result['same']['points']:,} points, {result['same']['edges']:,} edges; features random",
        cuts="the graph is given: finding neighbours is not in the time; torch-geometric in eager mode, max by scatter",
    )


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9, help="alternating runs of each (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default 2)")
    parser.add_argument("--jets", type=int, default=JETS, help=f"a smaller number to try out (default {JETS})")
    parser.add_argument("--record", action="store_true", help="keep the figures in results.json")
    options = parser.parse_args(arguments)
    if options.record and options.jets != JETS:
        parser.error(f"--jets {options.jets} came with --record, which keeps figures of {JETS} jets only: leave one of them out")
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
    result = run(pairs=options.pairs, threads=options.threads, jets=options.jets)
    print(f"{machine()}; {options.threads} threads; {options.pairs} alternating runs; median (16% to 84%)")
    print("largest relative difference: " + ", ".join(f"{name} {one:.1e}" for name, one in list(result["same"].items())[:3]))
    for name, taken in result["seconds"].items():
        middle, low, high = spread(taken)
        share = "" if name == THEIRS else "{:8.3f} ({:.3f} to {:.3f}) of its time".format(*spread(result["ratio"][name]))
        held = result["bytes"][name]
        print(f"{name:24s} {middle:7.2f} s ({low:.2f} to {high:.2f}) {held / 1e6 if held else float('nan'):8.0f} MB {share}")
    if options.record:
        keep(result)


if __name__ == "__main__":
    main()
