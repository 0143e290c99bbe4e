"""Accuracy against throughput over the track finder's own knobs, and other trackers' points on the same events beside them.

``python -m benchmarks.pareto --events N --plot docs/pareto.png`` simulates events and times the finder with fewer passes, without
its judge, without hits left over. ``--peers FILE``: csv of others' name, score and seconds there. ``--record`` keeps all figures.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.record import Figure, record
from benchmarks.tracking import SEED
from data_prep.simulate import simulate
from pcloud.data.store import Store
from pcloud.plots import canvas
from pcloud.pretrained import load
from pcloud.scorer import score_tracks
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.finding import find_tracks
from pcloud.tracking.judging import Judge
from pcloud.tracking.settings import DEFAULT, Settings

REPEATS = 3
COLUMNS = ("x", "y", "z", "volume_id", "layer_id", "module_id")
COMMAND = "python -m benchmarks.pareto --events N --record"
Point = tuple[str, float, float]  # name, score, seconds an event


def knobs(judge: Judge) -> Iterator[tuple[str, Settings, Judge | None]]:
    """Settings of the finder, from the quickest on."""
    passes = DEFAULT.passes
    for number in (2, 3, 4, 5):
        yield f"{number} passes", Settings(adopt=np.inf, passes=passes[:number]), None
    yield f"all {len(passes)} passes", replace(DEFAULT, adopt=np.inf), None
    yield "and hits left over", DEFAULT, None
    yield "and the judge (tracks)", DEFAULT, judge


def measure(store: Store) -> list[Point]:
    """Mean score and median of the seconds an event, the best of REPEATS taken of each, with torch's number of threads."""
    detector, points = trackml_detector(), []
    events = [store.read(number) for number in range(len(store))]
    for name, settings, judge in knobs(load("tracks-judged", "cpu").task.judge()):  # type: ignore[operator]
        scores, seconds = [], []
        for event in events:
            hits = {column: event.point[column] for column in COLUMNS}
            best = np.inf
            for _ in range(REPEATS):
                start = time.perf_counter()
                track = find_tracks(hits, detector, settings, judge=judge)
                best = min(best, time.perf_counter() - start)
            alone = np.where(track < 0, -1 - np.arange(len(track)), track)
            particle = event.point_truth["particle"]
            scores.append(score_tracks(alone, np.where(particle < 0, 0, particle + 1), event.point_truth["weight"]))
            seconds.append(best)
        points.append((name, float(np.mean(scores)), float(np.median(seconds))))
        print(f"{name:28s} score {points[-1][1]:.4f}  {points[-1][2]:.3f} s/event", flush=True)
    return points


def draw(ours: list[Point], others: list[Point], words: str, file: Path) -> Path:
    """Score against seconds an event, ours joined by a line."""
    picture = canvas.figure(canvas.PAGE, 3.4)
    panel = canvas.axes(picture)[0][0]
    panel.plot([one[2] for one in ours], [one[1] for one in ours], color=canvas.BLUE, marker="o", markersize=4, label="pcloud")
    for number, (name, score, seconds) in enumerate(ours, 1):
        style: dict[str, Any] = {"fontsize": 7, "color": canvas.BLUE}
        above = 5 if number % 2 else -11
        panel.annotate(str(number), (seconds, score), textcoords="offset points", xytext=(-2, above), **style)
        panel.text(0.6, 0.06 * (len(ours) - number + 1), f"{number}  {name}", transform=panel.transAxes, **style)
    for name, score, seconds in others:
        panel.plot(seconds, score, color=canvas.VERMILION, marker="s", markersize=4, linestyle="none")
        panel.annotate(name, (seconds, score), textcoords="offset points", xytext=(5, -10), fontsize=7, color=canvas.VERMILION)
    panel.margins(y=0.1)
    panel.set_xlim(0, 1.15 * max(one[2] for one in [*ours, *others]))
    panel.set_xlabel("Time per event (s), 2 cores")
    panel.set_ylabel("TrackML score")
    canvas.caption(picture, words)
    return canvas.save(file, picture)


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy against throughput of track finding.")
    parser.add_argument("--events", type=int, default=4, help="simulated events of pile-up 200 (default 4)")
    parser.add_argument("--peers", type=Path, metavar="CSV", help="name, score and seconds of others on the same events")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    others: list[Point] = []
    if given.peers is not None:
        with open(given.peers, newline="") as file:
            others = [(row["name"], float(row["score"]), float(row["seconds"])) for row in csv.DictReader(file)]
    with TemporaryDirectory() as place:
        simulate(Path(place) / "store", events=given.events, preset="mu200", seed=SEED, store=True)
        ours = measure(Store.open(Path(place) / "store"))
    words = f"{given.events} synthetic events of pile-up 200, phase 2, seed {SEED}, {torch.get_num_threads()} threads"
    if given.plot is not None:
        draw(ours, others, words, given.plot)
    if given.record:
        figures = {}
        for name, score, seconds in [*ours, *others]:
            figures |= {f"{name}: score": Figure(score, ""), f"{name}: time": Figure(seconds, "s/event")}
        record("tracks-pareto", figures, COMMAND, title="accuracy against throughput", data=f"synthetic: {words}", cuts="none")


if __name__ == "__main__":
    main()
