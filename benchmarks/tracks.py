"""How well, how fast and in how much memory does the shipped model `tracks` find tracks, in real and simulated events?

``python -m benchmarks.tracks --data FOLDER`` with the TrackML samples in FOLDER (small_event/, full_events/, detectors.csv)
predicts each in a process of its own and records the figures; without it only simulated events are measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.record import Figure, record
from pcloud.cli import score, simulate

CUTS = "none on hits; efficiency and fakes as defined below each figure in RESULTS.md"
SEED = 20_261_122  # of no event that any model here was trained or tuned on


def predict(event: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Submission of a raw event by the shipped model, and what the prediction says of its cost."""
    out, report = folder / f"{event.name}.csv", folder / f"{event.name}.json"
    words = ["predict", "tracks", str(event), "--out", str(out), "--report", str(report)]
    subprocess.run([sys.executable, "-c", "from pcloud.cli import main; raise SystemExit(main())", *words], check=True)
    return out, json.loads(report.read_text())


def cost(made: dict[str, Any], events: int = 1) -> dict[str, Figure]:
    """Seconds of each stage for an event, and peak memory."""
    seconds = {f"{stage}, s/event": Figure(value / events, "s") for stage, value in made["seconds"].items()}
    return {**seconds, "peak memory": Figure(made["peak_bytes"] / 1e9, "GB")}


def small(data: Path, folder: Path) -> None:
    submission, made = predict(data / "small_event", folder)
    result = score(data / "small_event", submission)
    figures = {name: Figure.of(one) for name, one in result["figures"].items()}
    record(
        "tracks-small-event",
        {"TrackML score": Figure(result["score"]), **figures, **cost(made)},
        "python -m benchmarks.tracks --data FOLDER",
        title="`tracks` on the small real event (5,527 hits, phase 2)",
        data="real: one cut-out TrackML event, all hits in, weights divided by their sum",
        cuts=f"{CUTS}; {result['fiducial']}",
    )


def full(data: Path, folder: Path) -> None:
    """The real events of full density: each as a folder with its hits and the detector, and no truth in reach."""
    figures: dict[str, Figure] = {}
    for number in (1001, 1018, 1020):
        event = folder / f"event{number:09d}"
        event.mkdir()
        shutil.copy(data / "full_events" / f"{event.name}-hits.csv.gz", event)
        shutil.copy(data / "detectors.csv", event)
        submission, made = predict(event, folder)
        result = score(data / "full_events" / f"{event.name}-partial_truth_pixel_pt1GeV.csv.gz", submission)
        figures |= {f"{number} {name}": Figure.of(one) for name, one in result["figures"].items()}
        figures |= {f"{number} candidates of >= 5 hits": Figure(sum(n for size, n in made["sizes"].items() if int(size) >= 5))}
        figures |= {f"{number} longest candidate": Figure(max(map(int, made["sizes"])), "hits")}
        figures |= {f"{number} {name}": one for name, one in cost(made).items()}
    record(
        "tracks-full-event",
        figures,
        "python -m benchmarks.tracks --data FOLDER",
        title="`tracks` on full real events (92,521 to 94,081 hits, phase 1)",
        data="real: three full TrackML training events, all hits in, judged by partial truth (pixel hits of pT > 1 GeV)",
        cuts="tracks with >= 3 labelled hits; a candidate of > 25 hits earns nothing",
    )


def synthetic(folder: Path) -> None:
    for name, events, pileup in (("small", 10, 10), ("full", 2, 200)):
        raw = folder / f"synthetic-{name}"
        simulate(raw, events=events, pileup=pileup, seed=SEED)
        submission, made = predict(raw, folder)
        result = score(raw, submission)
        figures = {label: Figure.of(one) for label, one in result["figures"].items()}
        error = result["score_error"]
        low, high = result["score"] - error, result["score"] + error
        whole = Figure(result["score"], "", low, high, f"standard error of {events} events")
        record(
            f"tracks-synthetic-{name}",
            {"TrackML score": whole, **figures, **cost(made, events)},
            "python -m benchmarks.tracks",
            title=f"`tracks` on {events} synthetic events of pile-up {pileup} (phase 2)",
            data=f"synthetic: pcloud simulate --events {events} --pileup {pileup} --seed {SEED}; none trained or tuned on",
            cuts=f"{CUTS}; {result['fiducial']}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the shipped track finder and record the figures.")
    parser.add_argument("--data", type=Path, help="folder with small_event, full_events and detectors.csv of TrackML")
    data = parser.parse_args().data
    with TemporaryDirectory() as place:
        if data is not None:
            small(data, Path(place))
            full(data, Path(place))
        synthetic(Path(place))


if __name__ == "__main__":
    main()
