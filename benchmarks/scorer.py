"""How long does scoring one full-size event take, beside the challenge's own library on the same tables?

``python -m benchmarks.scorer [--runs N] [--record]``; put a checkout of github.com/LAL/trackml-library on PYTHONPATH
to time it in alternation. One core, tables in memory (reading files is not in the time), median of the runs.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import Figure, machine, record
from pcloud.scorer import read_truth, score_event

HITS = 120_000
Score = Callable[[pd.DataFrame, pd.DataFrame], float]


def reference_score_event() -> tuple[Score, str] | None:
    """trackml-library's ``score_event`` and its commit, if the real library is importable.

    PyPI's package of the same name is unrelated and sends data out: it has no ``score`` module, and nothing of it is
    run to find that out.
    """
    spec = importlib.util.find_spec("trackml")
    folder = Path((spec.submodule_search_locations or ["/nowhere"])[0]) if spec else None
    if folder is None or not (folder / "score.py").is_file():
        return None
    found: Score = importlib.import_module("trackml.score").score_event
    return found, _git("rev-parse", "HEAD", folder=folder) or "unknown"


def synthetic_truth(hits: int = HITS, seed: int = 0) -> pd.DataFrame:
    """Truth of one event: particles of about 10 hits each, 15% noise, shuffled, ids packed as the challenge does."""
    random = np.random.default_rng(seed)
    count = np.clip(random.normal(10, 3, hits // 8).round().astype(int), 1, 20)
    number = np.arange(1, count.size + 1)
    owner = np.repeat(((number % 200 + 1) << 52) | (number << 36), count)[: hits - round(0.15 * hits)]
    particle = random.permutation(np.concatenate((owner, np.zeros(hits - owner.size, dtype=np.int64))))
    weight = np.where(particle == 0, 0.0, random.random(hits))
    return pd.DataFrame({"hit_id": np.arange(1, hits + 1), "particle_id": particle, "weight": weight / weight.sum()})


def overlay(truth: pd.DataFrame, hits: int = HITS) -> pd.DataFrame:
    """Copies of a small real event until there are ``hits`` hits: particles kept apart, hits numbered as in full events."""
    copies = -(-hits // len(truth))
    owner = np.tile(truth["particle_id"].to_numpy(), copies)
    copy = np.repeat(np.arange(copies), len(truth))
    # The secondary field of the id (bits 12 to 23) tells the copies apart; noise stays noise.
    particle = np.where(owner == 0, 0, owner + ((copy * 64) << 12))
    weight = np.tile(truth["weight"].to_numpy(), copies)
    return pd.DataFrame({"hit_id": np.arange(1, owner.size + 1), "particle_id": particle, "weight": weight})


def submission(truth: pd.DataFrame, wrong: float, seed: int = 1) -> pd.DataFrame:
    """Tracks as a finder gives them: true groups, a share ``wrong`` of the hits moved to random tracks; shuffled."""
    random = np.random.default_rng(seed)
    track, names = pd.factorize(truth["particle_id"])
    track = np.where(random.random(len(truth)) < wrong, random.integers(0, len(names), len(truth)), track)
    table = pd.DataFrame({"event_id": 0, "hit_id": truth["hit_id"], "track_id": track})
    return table.iloc[random.permutation(len(table))].reset_index(drop=True)


def run(*, runs: int = 9, hits: int = HITS, data: Path | None = None) -> dict[str, Any]:
    """Times every case; ``data``: folder of the real test data, for the overlay of the small event."""
    truth = synthetic_truth(hits)
    cases = {
        "synthetic, 10% of hits misplaced": (truth, submission(truth, 0.1)),
        "synthetic, random tracks": (truth, submission(truth, 1.0)),
    }
    real = data / "trackml/small_event/event000000001-truth.csv.gz" if data else None
    if real and real.exists():
        truth = overlay(read_truth(real), hits)
        cases["real event overlaid, 10% of hits misplaced"] = (truth, submission(truth, 0.1))
    reference = reference_score_event()
    scorers: dict[str, Score] = {"pcloud": score_event}
    if reference:
        scorers["trackml-library"] = reference[0]
    with _one_core():
        rows = [{"case": name, **_time(tables, scorers, runs)} for name, tables in cases.items()]
    return {"runs": runs, "library_commit": reference[1] if reference else None, "cases": rows}


def _time(tables: tuple[pd.DataFrame, pd.DataFrame], scorers: dict[str, Score], runs: int) -> dict[str, Any]:
    score = {name: scorer(*tables) for name, scorer in scorers.items()}  # the warm-up
    seconds: dict[str, list[float]] = {name: [] for name in scorers}
    busy: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(runs):
        for name, scorer in scorers.items():
            start, start_busy = time.perf_counter(), time.process_time()
            scorer(*tables)
            seconds[name].append(time.perf_counter() - start)
            busy[name].append(time.process_time() - start_busy)
    row: dict[str, Any] = {"hits": len(tables[0]), "score": score["pcloud"], "difference": None}
    if "trackml-library" in score:
        row["difference"] = abs(score["pcloud"] - score["trackml-library"])
    for name, taken in seconds.items():
        row[name] = {
            "median_s": statistics.median(taken),
            "min_s": min(taken),
            "max_s": max(taken),
            "cpu_median_s": statistics.median(busy[name]),  # below the wall time where others share the core
        }
    return row


@contextmanager
def _one_core() -> Iterator[None]:
    """Holds this process on one core where the system allows it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _git(*words: str, folder: Path) -> str:
    try:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def keep(result: dict[str, Any]) -> None:
    """Record the medians in results.json."""
    runs = f"range of {result['runs']} runs"
    figures = {}
    for row in result["cases"]:
        for name in ("pcloud", "trackml-library"):
            if name in row:
                low, middle, high = (1e3 * row[name][f"{key}_s"] for key in ("min", "median", "max"))
                figures[f"{row['case']}, {name}"] = Figure(middle, "ms", low, high, runs)
    hits = " / ".join(f"{row['hits']:,}" for row in result["cases"])
    library = f"; trackml-library {result['library_commit']}" if result["library_commit"] else ""
    record(
        "scorer",
        figures,
        "python -m benchmarks.scorer --record",
        title=f"scoring one event of {hits} hits on one core (median)",
        data=f"synthetic, and the small real event overlaid to full size{library}",
        cuts="tables in memory: reading files is not in the time",
    )


def main() -> None:
    """Prints the table; ``--record`` keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="timed runs of each scorer (default 9)")
    parser.add_argument("--record", action="store_true", help="keep the figures in results.json")
    options = parser.parse_args()
    data = Path(os.environ.get("PCLOUD_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    result = run(runs=options.runs, data=data)
    print(f"{machine()}; one core; {options.runs} alternating runs; median (min to max), CPU median, in ms")
    for row in result["cases"]:
        print(f"{row['case']}: {row['hits']} hits, score {row['score']:.6f}, difference {row['difference']}")
        for name in ("pcloud", "trackml-library"):
            if name in row:
                low, middle, high, cpu = (1e3 * row[name][f"{key}_s"] for key in ("min", "median", "max", "cpu_median"))
                print(f"  {name:16s} {middle:8.1f} ({low:.1f} to {high:.1f}) {cpu:8.1f}")
    if result["library_commit"] is None:
        print("trackml-library is not importable: put a checkout of github.com/LAL/trackml-library on PYTHONPATH")
    if options.record:
        keep(result)


if __name__ == "__main__":
    main()
