"""How many jets a second do our taggers train on and tag, and in how much memory, beside another package on the same jets?

``python -m benchmarks.tagging_speed STORE --peer "COMMAND"``. COMMAND, run in turns with ours, has {model}, {mode}, {batch},
{variant} and {threads} filled in and prints one line of JSON as ours does: jets_per_s, base_mb, peak_mb. Jets are in memory as
batches; a training step is forward, loss, backward and the optimiser of the recipe; tagging ends with probabilities. One jet at a
time is timed on one thread: more make both slower.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.record import Figure, record

MODELS = ("particlenet-lite", "particlenet", "part-small")
CASES = (("train", 512, "eager"), ("infer", 512, "eager"), ("infer", 1, "eager"), ("infer", 1, "onnx"))
JETS = 2048
CONFIGS = Path(__file__).parent.parent / "configs"


def child(given: argparse.Namespace) -> dict[str, float]:
    """One case of ours in this process."""
    import torch

    from pcloud import config
    from pcloud.cloud import PointCloud
    from pcloud.data.dataset import Events
    from pcloud.data.event import Inputs
    from pcloud.data.store import Store
    from pcloud.train.device import keep_memory
    from pcloud.train.ranger import Ranger

    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    chosen = config.read(CONFIGS / f"tagging-top-{given.model}.yaml", [f"data.store={given.store}"])
    store, inputs = Store.open(given.store), Inputs(chosen.data.pos, chosen.data.feat)
    task = config.build(chosen.task, chosen.encoder, len(inputs.feat), store.schema.moments(inputs.feat))
    events = Events(store, inputs, point=task.encoder.point_columns)
    jets = torch.randperm(len(events), generator=torch.Generator().manual_seed(0))[:JETS].tolist()
    batches = [events.__getitems__(jets[at : at + given.batch])[0] for at in range(0, len(jets) - given.batch + 1, given.batch)]
    base = _peak()
    if given.mode == "train":
        keep_memory()  # as `pcloud train` does
        optimizer = Ranger(task.parameters(), lr=chosen.train.rate, weight_decay=chosen.train.weight_decay)

        def step(cloud: PointCloud) -> None:
            optimizer.zero_grad()
            sum(task.train().loss(task(cloud), cloud).values()).backward()
            optimizer.step()
    else:
        task.eval()
        run = _session(task, batches, given.threads) if given.variant == "onnx" else None

        def step(cloud: PointCloud) -> None:
            with torch.inference_mode():
                run(cloud) if run else task.probabilities(task(cloud))

    rates = _rates(step, batches, given)
    return {"jets_per_s": statistics.median(rates), "low": min(rates), "high": max(rates), "base_mb": base, "peak_mb": _peak()}


def _rates(step: Callable[[Any], None], batches: list[Any], given: argparse.Namespace) -> list[float]:
    for cloud in batches[:6] if len(batches) > 6 else batches * (1 + 6 // len(batches)):
        step(cloud)
    rates, place = [], 0
    for _ in range(given.repeats):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < given.seconds:
            step(batches[place % len(batches)])
            place, done = place + 1, done + given.batch
        rates.append(done / (time.perf_counter() - start))
    return rates


def _session(task: Any, batches: list[Any], threads: int) -> Callable[[Any], None]:
    """ONNX Runtime on the file that ``pcloud export`` would write of this network."""
    from tempfile import TemporaryDirectory

    from pcloud.cloud import collate
    from pcloud.pretrained.portable import Probabilities, to_onnx

    network = Probabilities(task)
    with TemporaryDirectory() as place:
        run = to_onnx(network, collate(batches[:3]), Path(place) / "net.onnx", {}, threads)
    return lambda cloud: run(*network.tensors(cloud))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ask(command: list[str]) -> dict[str, float]:
    """The last line of JSON that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: {done.stderr.strip().splitlines()[-1:]}")
    told: dict[str, float] = json.loads([line[line.index("{") :] for line in done.stdout.splitlines() if "{" in line][-1])
    if "jets_per_s" not in told:
        raise SystemExit(f"{shlex.join(command)}: {told} came; jets_per_s expected")
    return told


def compare(given: argparse.Namespace, model: str, mode: str, batch: int, variant: str) -> dict[str, Figure]:
    """Ours and the peer in turns; medians over the rounds, and their ratio round by round."""
    threads = given.threads if batch > 1 else 1
    case = {"model": model, "mode": mode, "batch": str(batch), "variant": variant, "threads": str(threads)}
    words = [f"--{name}={value}" for name, value in case.items()] + [f"--repeats={given.repeats}", f"--seconds={given.seconds}"]
    mine = [sys.executable, "-m", "benchmarks.tagging_speed", str(given.store), "--child", *words]
    theirs = shlex.split(given.peer.format(**case)) if given.peer else None
    told: list[tuple[dict[str, float], dict[str, float] | None]] = []
    for _ in range(given.rounds):
        told.append((ask(mine), ask(theirs) if theirs else None))
    name = f"{model}, {mode}, batch {batch}" + (", ONNX Runtime" if variant == "onnx" else "")
    rates = [ours["jets_per_s"] for ours, _ in told]
    spread = f"range of {len(told)} runs"
    figures = {f"{name}: jets/s": Figure(statistics.median(rates), "1/s", min(rates), max(rates), spread)}
    figures |= _memory(name, "", [ours for ours, _ in told])
    if theirs:
        other = [one["jets_per_s"] for _, one in told if one]
        ratios = [a / b for a, b in zip(rates, other, strict=True)]
        figures[f"{name}: peer's jets/s"] = Figure(statistics.median(other), "1/s", min(other), max(other), spread)
        figures[f"{name}: ours over the peer's"] = Figure(statistics.median(ratios), "", min(ratios), max(ratios), spread)
        figures |= _memory(name, "peer's ", [one for _, one in told if one])
    for label, one in figures.items():
        print(f"{label:60s} {one.value:10.4g} {one.unit}" + (f" [{one.low:.4g}, {one.high:.4g}]" if one.low is not None else ""))
    return figures


def _memory(name: str, whose: str, told: list[dict[str, float]]) -> dict[str, Figure]:
    """Of the whole process, and of it what came after the first step began."""
    return {
        f"{name}: {whose}peak memory": Figure(max(one["peak_mb"] for one in told), "MB"),
        f"{name}: {whose}memory above start": Figure(max(one["peak_mb"] - one["base_mb"] for one in told), "MB"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time taggers on the jets of a store.")
    parser.add_argument("store", type=Path, help="store of top and QCD jets")
    parser.add_argument("--peer", metavar="COMMAND", help="another package, with {model} {mode} {batch} {variant} {threads}")
    parser.add_argument("--name", default="", help="the peer, with its version")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="in each process")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each repeat")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    for name, kind in (("model", str), ("mode", str), ("batch", int), ("variant", str)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given)))
        return
    figures: dict[str, Figure] = {}
    for model in given.models:
        for mode, batch, variant in CASES:
            figures |= compare(given, model, mode, batch, variant)
    if given.record:
        beside = f" beside {given.name}" if given.peer else ""
        command = f"python -m benchmarks.tagging_speed STORE --threads {given.threads} --peer COMMAND --record"
        data = f"synthetic: {JETS} jets of `pcloud prepare top-tagging --generate`, in memory"
        cuts = "reading is not timed; batch 1 on one thread; memory: largest resident size, and less that before the first step"
        record("tagging-speed", figures, command, title=f"Taggers at work{beside}", data=data, cuts=cuts)


if __name__ == "__main__":
    main()
