"""How good and how fast is a shipped model on real TrackML events that nobody here trained on?

``python -m benchmarks.shipped [--data FOLDER] [--record]``: the small whole event, then a full one with partial truth. The
events are no part of this repository: FOLDER (or $PCLOUD_TEST_DATA) holds trackml/small_event and trackml/full_events.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import Figure, record
from pcloud import cli

COMMAND = "python -m benchmarks.shipped --record"
FULL = "event000001001"
SMALL = ("double_majority_efficiency", "lhc_efficiency", "perfect_efficiency", "fake_rate", "duplicate_rate")
Figures = dict[str, Figure]


def measure(model: str, event: Path, truth: Path) -> tuple[Any, dict[str, Any]]:
    """What ``pcloud predict`` did to a raw event, and what ``pcloud score`` says of it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "submission.csv"
        return cli.predict(model, event, out, device="cpu"), cli.score(truth, out)


def small(model: str, data: Path) -> tuple[Figures, str]:
    event = data / "trackml" / "small_event"
    made, report = measure(model, event, event)
    figures = {"TrackML score": Figure(report["score"], cuts=f"all hits; weights {report['weights']}")}
    figures |= {name.replace("_", " "): Figure.of(report["figures"][name]) for name in SMALL if name in report["figures"]}
    return figures | cost(made), f"efficiencies {report['fiducial']}; candidates of 3 or more hits; all hits in"


def full(model: str, data: Path) -> tuple[Figures, str]:
    folder = data / "trackml" / "full_events"
    made, report = measure(model, folder / FULL, folder / f"{FULL}-partial_truth_pixel_pt1GeV.csv.gz")
    figures = {name.replace("_", " "): Figure.of(one) for name, one in report["figures"].items() if one["value"] is not None}
    long = sum(count for hits, count in made.sizes.items() if hits >= 5)
    figures["candidates of 5 or more hits"] = Figure(long, cuts="all hits in")
    figures["longest candidate"] = Figure(max(made.sizes, default=0), "hits", cuts="all hits in")
    return figures | cost(made), "tracks of 3 or more labelled hits; candidates of at most 25 hits count; all hits in"


def cost(made: Any) -> Figures:
    """Seconds of each stage and the largest memory of the process."""
    stages = {f"time, {name}": Figure(value, "s", cuts="one run, nothing warmed up") for name, value in made.seconds.items()}
    return {**stages, "peak memory": Figure(made.peak_bytes / 1e9, "GB", cuts="whole process")}


def main() -> None:
    """Prints the figures; ``--record`` also adds them to results.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracks", help="shipped model or run folder (default tracks)")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PCLOUD_TEST_DATA", "../shared/data")))
    parser.add_argument("--record", action="store_true", help="add the figures to results.json")
    given = parser.parse_args()
    cases = {
        "small-event": (small, "one real event, throughput phase, 5,527 hits (trackml/small_event)"),
        "full-event": (full, f"one real event, training phase, 93,680 hits ({FULL}); partial truth: pixel hits, pT > 1 GeV"),
    }
    for name, (run, data) in cases.items():
        figures, cuts = run(given.model, given.data)
        print(name)
        for label, one in figures.items():
            print(f"  {label:32s} {one.value:.4g} {one.unit}")
        if given.record:
            title = f"Model `{given.model}`, {name.replace('-', ' ')}"
            record(f"{given.model}-{name}", figures, COMMAND, title=title, data=data, cuts=cuts)


if __name__ == "__main__":
    main()
