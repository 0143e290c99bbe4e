"""Is our neighbour search faster than what the field uses, on a CPU and on a GPU, and as true and as lean?

``python -m benchmarks.neighbors [--cases jets tracker ...] [--record]`` times pcloud against scipy's cKDTree, scikit-learn,
faiss-cpu, torch cdist + topk, KeOps and torch_cluster, those that are importable; ``--gpu`` makes the GPU's table in one call.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import torch

from benchmarks import neighbor_figures, neighbor_gpu, neighbor_growth, record
from benchmarks.neighbor_clouds import CASES, GROWTH, available
from benchmarks.neighbor_peers import OURS, PEERS
from benchmarks.neighbor_timing import Row, rows_of

GROW = "growth"
PICTURE = Path(__file__).resolve().parents[1] / "docs"


def cpu(report: Row, cases: list[str], peers: list[str], file: Path) -> None:
    """Fill the report peer by peer; it is on disk after each."""
    threads, scale = report["threads"], report["scale"]
    for case in [one for one in cases if one != GROW]:
        problem, named = CASES[case].problem(scale), neighbor_figures.judged(case)
        suited = [one for one in peers if PEERS[one].suits(problem, CASES[case].brute)]
        for name in [one for one in suited if one not in CASES[case].without]:
            request = {"case": case, "peer": name}
            if why := PEERS[name].missing():
                found = [{**request, "missing": why}]
            else:
                words = {"threads": threads, "pairs": report["pairs"], "scale": scale, "judged": name in named}
                found = rows_of("benchmarks.neighbor_timing", {**request, **words}, threads=threads)
            report["rows"] += found
            write(report, file)
            print(f"{case}, {name}: {found[-1].get('missing') or found[-1].get('failed') or 'done'}", flush=True)
    if GROW in cases:
        most = max(GROWTH[0], round(GROWTH[-1] * scale))
        report["growth"] = neighbor_growth.measured(peers, threads=threads, most=most)
        write(report, file)


def write(report: Row, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def begun(options: argparse.Namespace) -> Row:
    return {
        "kind": "gpu" if options.gpu else "cpu",
        "machine": record.machine(),
        "device": "",
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        "threads": options.threads,
        "pairs": options.pairs,
        "scale": options.scale,
        "rows": [],
        "growth": [],
    }


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*available(), GROW]
    parser.add_argument("--gpu", action="store_true", help="the GPU's table, in under 8 minutes")
    parser.add_argument("--cases", nargs="+", choices=every, default=every, metavar="CASE", help=", ".join(every))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--pairs", type=int, default=9, help="alternating pairs with a peer that a bar names (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default 2)")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the clouds, for trying out (default 1)")
    parser.add_argument("--limit", type=float, default=450.0, help="seconds that --gpu may take (default 450)")
    parser.add_argument("--every-path", action="store_true", help="with --gpu, time our paths that were not chosen too")
    parser.add_argument("--json", type=Path, help="where the rows go (default runs/neighbors.json; with --gpu $OUT, if set)")
    parser.add_argument("--from", dest="stored", type=Path, metavar="FILE", help="measure nothing: show the rows in this file")
    parser.add_argument("--record", action="store_true", help="keep the figures in results.json, the picture in docs")
    options = parser.parse_args(arguments)
    if options.record and options.scale != 1.0:
        parser.error(f"--scale {options.scale} came with --record; figures of scaled clouds are not kept: leave one of them out")
    return options


def picture(report: Row, folder: Path) -> None:
    """The plot of time against N, where it was measured."""
    if not any(row.get("seconds") for row in report["growth"]):
        return
    from benchmarks.neighbor_plot import draw

    on_gpu = report["kind"] == "gpu"
    where = report["device"] if on_gpu else f"{report['threads']} threads, {report['machine']}"
    words = (
        f"Time of one search for the 16 nearest neighbours of every point, on {where}. Synthetic clouds. Solid: exact, with an "
        "index; dashed: compares all with all; dotted: may miss neighbours. A line ends before a cloud that would take over 2 s."
    )
    folder.mkdir(parents=True, exist_ok=True)
    print(draw(report["growth"], words, folder / ("neighbors_gpu.png" if on_gpu else "neighbors.png")))


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints the table, and with ``--record`` keeps it; 2 where ``--gpu`` finds no CUDA device."""
    options = options_of(arguments)
    file = options.json or Path(os.environ.get("OUT", "runs") if options.gpu else "runs") / "neighbors.json"
    if options.stored:
        report = json.loads(options.stored.read_text(encoding="utf-8"))
    elif options.gpu and not torch.cuda.is_available():
        print("no CUDA device is here: run this on a machine with one, then --from FILE --record here", file=sys.stderr)
        return 2
    else:
        report = begun(options)
        if options.gpu:
            words = {"limit": options.limit, "scale": options.scale, "every_path": options.every_path}
            neighbor_gpu.table(report, options.cases, lambda made: write(made, file), **words)
        else:
            cpu(report, list(options.cases), [OURS, *(one for one in options.peers if one != OURS)], file)
    print("\n".join(neighbor_figures.shown(report)))
    picture(report, PICTURE if options.record else file.parent)
    if options.record:
        neighbor_figures.keep(report, f"python -m benchmarks.neighbors{' --gpu' * (report['kind'] == 'gpu')} --record")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; the rows so far are in the file of --json, and --from reads them")
