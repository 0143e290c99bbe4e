"""How well, how fast and in how much memory do the shipped models find tracks, in real and in simulated events?

``python -m benchmarks.tracking --data FOLDER`` with the TrackML samples in FOLDER (small_event/, full_events/, detectors.csv)
takes each model on each set in a process of its own; without it, on simulated events alone. ``--record`` keeps the figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import Figure, record
from pcloud.cli import score, simulate
from pcloud.metrics.challenge import score_files
from pcloud.metrics.intervals import Figure as Fraction
from pcloud.metrics.partial_truth import captured_perfect
from pcloud.metrics.particles import Fiducial
from pcloud.scorer import throughput_score

MODELS = ("tracks-judged", "tracks-classical", "tracks-gnn")
FULL = (1001, 1018, 1020)
SEED = 20_261_125  # of no event that any model here was trained or tuned on
COPIES = 17
CUTS = "none on hits; efficiency and fakes as defined below each figure in RESULTS.md"
COMMAND = "python -m benchmarks.tracking --data FOLDER --record"


def find(model: str, events: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Submission of a folder of raw events, made in a process of its own, and what that cost."""
    out = folder / f"{model}-{events.name}.csv"
    words = [sys.executable, "-m", "benchmarks.tracking", "--child", model, str(events), str(out)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    cost: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out, cost


def child(model: str, events: Path, out: Path) -> dict[str, Any]:
    """Find tracks in all events: seconds to the first answer, then of each event with everything warm, reading not counted."""
    start = time.perf_counter()
    from pcloud.cli.inference import check_input, infer, peak_memory
    from pcloud.cli.sources import Input
    from pcloud.pretrained import load
    from pcloud.scorer import write_submission
    from pcloud.tasks import concatenate
    from pcloud.tasks.hit_rows import alone

    chosen, source = load(model), Input.open(events)
    check_input(chosen, source)
    first = source.read(source.ids[0], False)
    infer(chosen, first, False, {})
    cold = time.perf_counter() - start
    rows, seconds, busy = [], [], []
    for event_id in source.ids:
        event = source.read(event_id, False)
        before, used = time.perf_counter(), time.process_time()
        made = infer(chosen, event, False, {})
        seconds.append(time.perf_counter() - before)
        busy.append(time.process_time() - used)
        rows.append({**made, "track_id": alone(made["track_id"])})
    whole = concatenate(rows)
    write_submission(out, whole["event_id"], whole["hit_id"], whole["track_id"])
    return {"cold": cold, "seconds": seconds, "processor": busy, "peak": peak_memory()}


def cost(made: dict[str, Any]) -> dict[str, Figure]:
    seconds, busy = np.array(made["seconds"]), np.array(made["processor"])
    spread = {"low": float(seconds.min()), "high": float(seconds.max()), "interval": f"range of {len(seconds)} events"}
    return {
        "s/event": Figure(float(np.median(seconds)), "s", **spread),
        "processor s/event": Figure(float(np.median(busy)), "s"),
        "cold start to the first answer": Figure(made["cold"], "s"),
        "peak memory": Figure(made["peak"] / 1e9, "GB"),
    }


def whole_truth(events: Path, submission: Path, made: dict[str, Any]) -> dict[str, Figure]:
    """Official score, throughput score, efficiencies above two thresholds, fakes and duplicates."""
    result = score(events, submission)
    error, n = result["score_error"], len(result["events"])
    spread = {} if error is None else {"low": result["score"] - error, "high": result["score"] + error}
    named = {"interval": f"standard error of {n} events"} if spread else {}
    figures = {"TrackML score": Figure(result["score"], "", **spread, **named)}
    median = float(np.median(made["seconds"]))
    figures["throughput score"] = Figure(throughput_score(result["score"], median))
    figures |= {name: Figure.of(one) for name, one in result["figures"].items()}
    softer = score_files(events, submission, fiducial=Fiducial(pt_min=0.5))["figures"]["double_majority_efficiency"]
    figures["fake rate, fitted pT > 0.9"] = stiff_fakes(events, submission)
    return figures | {"double_majority_efficiency, pT >= 0.5": Figure.of(softer)} | cost(made)


def stiff_fakes(events: Path, submission: Path, pt_min: float = 0.9) -> Figure:
    """Of the candidates of >= 3 hits whose circle through first, middle and last hit means pT > pt_min (GeV) in 1.9 T: the
    share without a double-majority particle of any pT, noise-majority ones counted."""
    table, parts = pd.read_csv(submission), []
    for file in sorted(events.glob("event*-truth.csv*")):
        event_id = int(file.name[5:14])
        hits = pd.read_csv(next(events.glob(f"event{event_id:09d}-hits.csv*")), usecols=["hit_id", "x", "y"])
        found = table[table.event_id == event_id].merge(hits, on="hit_id")
        parts.append(found.merge(pd.read_csv(file)[["hit_id", "particle_id"]], on="hit_id"))
    whole = pd.concat(parts).assign(r=lambda t: np.hypot(t.x, t.y)).sort_values("r", kind="stable")
    pairs = whole.groupby(["event_id", "track_id", "particle_id"]).size()
    size = whole.groupby(["event_id", "track_id"]).size()
    owned = whole.groupby(["event_id", "particle_id"]).size()
    good = pairs.index.get_level_values("particle_id") != 0
    good &= 2 * pairs.to_numpy() > size.reindex(pairs.index.droplevel("particle_id")).to_numpy()
    good &= 2 * pairs.to_numpy() > owned.reindex(pairs.index.droplevel("track_id")).to_numpy()
    true = pairs[good].groupby(["event_id", "track_id"]).size()
    place = whole.groupby(["event_id", "track_id"]).cumcount().to_numpy()
    long = size.reindex(pd.MultiIndex.from_frame(whole[["event_id", "track_id"]])).to_numpy()
    three = [whole[place == at].set_index(["event_id", "track_id"]) for at in (0 * long, long // 2, long - 1)]
    a, b, c = (one.loc[size.index[size >= 3], ["x", "y"]].to_numpy() for one in three)
    sides = [np.hypot(*(one - two).T) for one, two in ((a, b), (b, c), (a, c))]
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    stiff = 0.299792458e-3 * 1.9 * np.prod(sides, axis=0) > pt_min * 2 * area
    lost = ~size.index[size >= 3].isin(true.index) & stiff
    made = Fraction("fake_rate", int(lost.sum()), int(stiff.sum()), stiff_fakes.__doc__ or "")
    return Figure.of(made.as_dict())


def partial_truth(data: Path, model: str, folder: Path) -> dict[str, Figure]:
    """Captured and perfect of the full real events: each as a folder with its hits and the detector, no truth in reach."""
    events = folder / "full"
    if not events.exists():
        events.mkdir()
        shutil.copy(data / "detectors.csv", events)
        for number in FULL:
            shutil.copy(data / "full_events" / f"event{number:09d}-hits.csv.gz", events)
    submission, made = find(model, events, folder)
    table = pd.read_csv(submission)
    figures: dict[str, Figure] = {}
    for number in FULL:
        one = folder / f"{model}-{number}.csv"
        table[table.event_id == number].to_csv(one, index=False)
        result = score(data / "full_events" / f"event{number:09d}-partial_truth_pixel_pt1GeV.csv.gz", one)
        figures |= {f"{number} {name}": Figure.of(figure) for name, figure in result["figures"].items()}
    return figures | cost(made)


def foolish(data: Path) -> dict[str, Figure]:
    """What answers without any tracking earn: all hits in one candidate, and wedges in phi."""
    hits = pd.read_csv(data / "full_events" / f"event{FULL[0]:09d}-hits.csv.gz")
    known = pd.read_csv(data / "full_events" / f"event{FULL[0]:09d}-partial_truth_pixel_pt1GeV.csv.gz").set_index("hit_id")
    label = known.iloc[:, 0].reindex(hits.hit_id).fillna(-1).to_numpy().astype(np.int64)
    phi = np.arctan2(hits.y, hits.x).to_numpy()
    out = {}
    for wedges in (1, 16, 64):
        track = ((phi + np.pi) / (2 * np.pi) * wedges).astype(np.int64).clip(0, wedges - 1)
        captured, _ = captured_perfect(np.zeros_like(track), track, label)
        name = "all hits in one candidate" if wedges == 1 else f"{wedges} wedges in phi"
        out[f"captured by {name}"] = Figure(float(captured.value or 0.0))
    return out


def measure(model: str, data: Path | None, folder: Path, keep: bool) -> None:
    sets: dict[str, tuple[str, str, dict[str, Figure]]] = {}
    if data is not None:
        submission, made = find(model, data / "small_event", folder)
        figures = whole_truth(data / "small_event", submission, made)
        sets["small-event"] = "the small real event (5,527 hits, phase 2)", "real: one cut-out TrackML event", figures
        overlaid = folder / "overlay"
        if not overlaid.exists():
            words = [sys.executable, "-m", "data_prep.overlay", str(data / "small_event"), str(overlaid), "--copies", str(COPIES)]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            shutil.copy(data / "detectors.csv", overlaid)
        submission, made = find(model, overlaid, folder)
        figures = whole_truth(overlaid, submission, made)
        sets["overlay"] = f"{COPIES} turned copies of the small real event", "real hits, laid over one another", figures
        words_ = "real: three full TrackML training events, judged by partial truth (pixel hits of pT > 1 GeV)"
        figures = partial_truth(data, model, folder) | foolish(data)
        sets["full-event"] = "full real events (92,521 to 94,081 hits, phase 1)", words_, figures
    simulated = folder / "simulated"
    if not simulated.exists():
        simulate(simulated, events=10, preset="mu200", seed=SEED, workers=2)
    submission, made = find(model, simulated, folder)
    words_ = f"synthetic: pcloud simulate --events 10 --preset mu200 --seed {SEED}; none trained or tuned on"
    sets["simulated"] = "10 synthetic events of pile-up 200 (phase 2)", words_, whole_truth(simulated, submission, made)
    for name, (title, words_, figures) in sets.items():
        print(f"{model} on {title}")
        for label, one in figures.items():
            interval = "" if one.low is None else f" [{one.low:.4g}, {one.high:.4g}]"
            print(f"  {label:40s} {one.value:.4g} {one.unit}{interval} {one.counts}")
        if keep:
            record(f"{model}-{name}", figures, COMMAND, title=f"`{model}` on {title}", data=f"{words_}; all hits in", cuts=CUTS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the shipped track finders.")
    parser.add_argument("--data", type=Path, help="folder with small_event, full_events and detectors.csv of TrackML")
    parser.add_argument("--models", nargs="+", default=MODELS, help=f"default {' '.join(MODELS)}")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.child[0], Path(given.child[1]), Path(given.child[2]))))
        return
    with TemporaryDirectory() as place:
        for model in given.models:
            measure(model, given.data, Path(place), given.record)


if __name__ == "__main__":
    main()
