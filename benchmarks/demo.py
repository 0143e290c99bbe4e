"""Does the whole chain work from nothing? Simulate, train for a few minutes, find tracks in an unseen event, score, show.

``python -m benchmarks.demo [--data FOLDER]``; every line that starts with ``$`` is a command a user could have typed.
With FOLDER (a raw TrackML event with truth) tracks are found there instead of in a simulated event, and by the shipped
model too. Everything is written under runs/demo, which is emptied first.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
from pathlib import Path

from benchmarks.record import Figure, record
from pcloud.cli import main as pcloud

OUT = Path("runs/demo")
CUTS = "0.3 for configs/tracking-demo.yaml, chosen on simulated events"
SECONDS: dict[str, float] = {}


def run(stage: str, *words: object) -> None:
    """One pcloud command, shown and timed; a failed one ends the demo with its exit status."""
    arguments = [str(word) for word in words]
    print(f"\n$ pcloud {shlex.join(arguments)}", flush=True)
    start = time.perf_counter()
    status = pcloud(arguments)
    SECONDS[stage] = SECONDS.get(stage, 0.0) + time.perf_counter() - start
    if status:
        raise SystemExit(status)


def find(model: object, name: str, event: Path) -> dict[str, float]:
    """Predict, score and draw one raw event with one model; its figures."""
    submission = OUT / f"submission-{name}.csv"
    run("predict", "predict", model, event, "--out", submission)
    run("score", "score", "--truth", event, "--submission", submission)
    run("display", "display", event, "--submission", submission, "--out", OUT / f"display-{name}")
    return summary(event, submission)


def check(data: Path) -> None:
    """Refuse, before anything is computed, a folder that the demo could not score at its end or would delete."""
    if OUT.resolve() in (data.resolve(), *data.resolve().parents):
        raise SystemExit(f"{data}: lies in {OUT}, which the demo empties; copy it elsewhere")
    for kind in ("hits", "truth", "particles"):
        if not any(data.glob(f"event*-{kind}.csv*")):
            raise SystemExit(f"{data}: no event*-{kind}.csv or .csv.gz there; give a folder of one TrackML event with truth")


def summary(event: Path, submission: Path) -> dict[str, float]:
    """Score, efficiency and fake rate of a submission, from the function behind ``pcloud score``."""
    from pcloud.cli import score

    result = score(event, submission)
    figures = result["figures"]
    return {
        "score": result["score"],
        "efficiency": figures["double_majority_efficiency"]["value"],
        "fake rate": figures["fake_rate"]["value"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of one raw TrackML event with truth")
    parser.add_argument("--record", action="store_true", help="keep the figures in results.json")
    given = parser.parse_args()
    data = given.data
    if data is not None:
        check(data)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    run("simulate", "simulate", OUT / "events", "--events", 80, "--pileup", 6, "--seed", 1, "--workers", 2)
    run("prepare", "prepare", "trackml", OUT / "events", OUT / "store", "--workers", 2)
    run("train", "train", "configs/tracking-demo.yaml", "--run", OUT / "run", "--cuts", CUTS)
    if data is None:
        data = OUT / "unseen"
        run("simulate", "simulate", data, "--events", 1, "--pileup", 6, "--seed", 2)
    run("prepare", "prepare", "trackml", data, OUT / "unseen-store")
    run("report", "evaluate", OUT / "run", "--store", OUT / "unseen-store", "--out", OUT / "report")
    found = {"trained just now": find(OUT / "run", "demo", data)}
    found |= {f"shipped ({name})": find(name, name, data) for name in ("tracks-gnn", "tracks-judged")}
    if given.record:
        figures = {f"{name}, {key}": Figure(value) for name, one in found.items() for key, value in one.items()}
        times = {f"time, {stage}": Figure(seconds, "s") for stage, seconds in SECONDS.items()}
        cuts = "efficiency: pT >= 0.9 GeV, |eta| < 4, >= 3 hits; fakes: candidates of >= 3 hits; all hits in"
        data_words = "one unseen synthetic event of pile-up 6" if given.data is None else "the event given"
        record("demo", figures | times, "python -m benchmarks.demo --record", title="`make demo`", data=data_words, cuts=cuts)
    (OUT / "summary.json").write_text(json.dumps({"figures": found, "seconds": SECONDS}, indent=1) + "\n")
    print(f"\n{data}: pT >= 0.9 GeV, |eta| < 4, >= 3 hits for efficiency; every hit in; candidates of >= 3 hits for fakes")
    for name, figures in found.items():
        print(f"  {name:18}" + "".join(f"  {key} {value:.3f}" for key, value in figures.items()))
    print("seconds: " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in SECONDS.items()))
    print(f"{OUT}: submission-*.csv, report/report.html, display-*/ (PNG and 3-D HTML), run/ (model, logs), summary.json")


if __name__ == "__main__":
    sys.exit(main())
