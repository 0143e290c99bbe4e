"""How long does a user wait for the verbs that have nothing heavy to do?

``python -m benchmarks.startup [--runs N] [--record]``: each in a process of its own, in turns, on a warm disk; wall time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.record import Figure, record
from pcloud.cli import simulate

PCLOUD = (sys.executable, "-c", "import sys; from pcloud.cli import main; sys.exit(main())")


def verbs(folder: Path) -> dict[str, list[str]]:
    """What is asked, with a small simulated event to score in the folder."""
    raw, submission = folder / "raw", folder / "submission.csv"
    simulate(raw, events=1, pileup=1, seed=1)
    truth = pd.read_csv(next(raw.glob("*-truth.csv.gz")))
    event = int(next(raw.glob("*-truth.csv.gz")).name[len("event") : -len("-truth.csv.gz")])
    track = pd.factorize(truth["particle_id"])[0]
    pd.DataFrame({"event_id": event, "hit_id": truth["hit_id"], "track_id": track}).to_csv(submission, index=False)
    return {
        "--help": ["--help"],
        "train --help": ["train", "--help"],
        "inspect a shipped model": ["inspect", "jets-top"],
        "score a small event": ["score", "--truth", str(raw), "--submission", str(submission)],
    }


def measure(asked: Mapping[str, list[str]], runs: int) -> dict[str, Figure]:
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    for run in range(runs + 1):
        for name, words in asked.items():
            start = time.perf_counter()
            subprocess.run([*PCLOUD, *words], capture_output=True, check=True)
            if run:  # the first brings files from the disk
                seconds[name].append(time.perf_counter() - start)
    spread = f"range of {runs} runs"
    return {name: Figure(statistics.median(some), "s", min(some), max(some), spread) for name, some in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the verbs that load nothing heavy.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = measure(verbs(Path(folder)), given.runs)
    for name, one in found.items():
        print(f"{name:30s} {one.value:.3f} s  [{one.low:.3f}, {one.high:.3f}]")
    if given.record:
        data = "synthetic: one event of pcloud simulate --pileup 1"
        command = "python -m benchmarks.startup --record"
        record("startup", found, command, title="Until a light verb answers", data=data, cuts="none")


if __name__ == "__main__":
    main()
