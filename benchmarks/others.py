"""Other people's trackers on events made here: a simulation is faithful where they reach what they reach on real events.

The trackers are built and run outside this repository; each leaves a submission per event (event000001000-submission.csv:
event_id, hit_id, track_id, 0 for a hit in no track): ``python -m benchmarks.others EVENTS SUBMISSIONS --name Mikado``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.record import Figure, record
from data_prep.trackml import list_events, read_event
from pcloud.metrics.partial_truth import candidates_per_particle, captured_perfect
from pcloud.scorer import group_codes, score_event

UNASSIGNED = 0  # track_id of a hit in no track, as these trackers write it
PIXELS = (7, 8, 9)


def pixel_labels(event: dict[str, pd.DataFrame]) -> np.ndarray:
    """Track index of each hit as in the partial truth of the real events: pixel hits of pT > 1 GeV, the innermost of a layer."""
    hits = event["hits"].merge(event["truth"], on="hit_id").merge(event["particles"], on="particle_id", how="left")
    hits["row"] = np.arange(len(hits))
    hits["r"] = np.hypot(hits.x, hits.y)
    some = hits[hits.volume_id.isin(PIXELS) & (np.hypot(hits.px, hits.py) > 1)]
    first = some.sort_values("r").drop_duplicates(["particle_id", "volume_id", "layer_id"])
    labels = np.full(len(hits), -1)
    labels[first.row.to_numpy()] = group_codes(first.particle_id)[0]
    return labels


def judge(event: dict[str, pd.DataFrame], submission: pd.DataFrame) -> dict[str, float]:
    """Official score, captured and perfect (pixel hits of pT > 1 GeV), candidates per particle."""
    track = submission.set_index("hit_id").track_id.reindex(event["hits"].hit_id).fillna(UNASSIGNED).to_numpy().astype(np.int64)
    alone = track == UNASSIGNED
    track[alone] = track.max() + 1 + np.arange(alone.sum())
    whole = pd.DataFrame({"hit_id": event["hits"].hit_id, "track_id": track})
    captured, perfect = captured_perfect(np.zeros_like(track), track, pixel_labels(event))
    many = candidates_per_particle(np.zeros_like(track), track, event["particles"].nhits)
    figures = {"TrackML score": score_event(event["truth"], whole)}
    return figures | {one.name: one.value for one in (captured, perfect, many)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge another tracker's submissions on simulated events.")
    parser.add_argument("events", type=Path, help="folder of TrackML events with truth")
    parser.add_argument("submissions", type=Path, help="folder of event*-submission.csv")
    parser.add_argument("--name", required=True, help="the tracker, with its commit")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    rows = {}
    for event_id in list_events(given.events):
        file = given.submissions / f"event{event_id:09d}-submission.csv"
        if file.exists():
            rows[event_id] = judge(read_event(given.events, event_id), pd.read_csv(file))
            print(event_id, *(f"{name} {value:.4f}" for name, value in rows[event_id].items()))
    if not rows:
        raise SystemExit(f"{given.submissions}: no event*-submission.csv of the events in {given.events}")
    table = pd.DataFrame(rows.values())
    print("mean", *(f"{name} {value:.4f}" for name, value in table.mean().items()))
    if given.record:
        series = json.loads((given.events / "simulation.json").read_text())[0]
        made = f"--pileup {series['pileup']:g} --seed {series['seed']} --phase {series['phase']}"
        figures = {}
        for name, column in table.items():
            low, high = float(column.min()), float(column.max())
            figures[str(name)] = Figure(float(column.mean()), "", low, high, f"range of {len(table)} events")
        record(
            f"others-{given.name.split()[0].lower()}-phase{series['phase']}",
            figures,
            f"python -m benchmarks.others EVENTS SUBMISSIONS --name '{given.name}' --record",
            title=f"{given.name} on {len(table)} synthetic events of phase {series['phase']}",
            data=f"synthetic: pcloud simulate --events {len(table)} {made}; all hits in",
            cuts="captured, perfect: pixel hits of pT > 1 GeV, one a layer, tracks of >= 3; candidates, particles of >= 6 hits",
        )


if __name__ == "__main__":
    main()
