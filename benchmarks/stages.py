"""Where does each shipped track finder lose its score: the highest one still within reach after every stage?

``python -m benchmarks.stages [--events N] [--record]`` simulates N events of pile-up 200 and asks ``pcloud evaluate --stages``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.record import Figure, record
from benchmarks.tracking import SEED
from pcloud.cli import evaluate, simulate

MODELS = ("tracks-classical", "tracks-judged", "tracks-gnn", "tracks-condensation")


def measure(model: str, store: Path, out: Path) -> dict[str, Figure]:
    """Ceiling after each stage, then what the largest step down is."""
    report = evaluate(model, store=store, out=out, stages=True)
    figures, last, steepest = {}, 1.0, ("", 0.0)
    for row in report["stages"]:
        score, error = row["score"], row["error"]
        spread = {} if error is None else {"low": score - error, "high": score + error, "interval": "standard error"}
        made = f"{row['made']:,.0f} made an event"
        figures[f"{model}: score within reach after {row['stage']}"] = Figure(score, cuts=made, **spread)
        steepest = max(steepest, (row["stage"], last - score), key=lambda one: one[1])
        last = score
    stage, lost = steepest
    return figures | {f"{model}: largest step down": Figure(lost, cuts=stage)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Ceilings of the shipped track finders, stage by stage.")
    parser.add_argument("--events", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=MODELS, help=f"default {' '.join(MODELS)}")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    figures: dict[str, Figure] = {}
    with TemporaryDirectory() as place:
        store = Path(place) / "store"
        simulate(store, events=given.events, preset="mu200", seed=SEED, workers=2, store=True)
        for model in given.models:
            found = measure(model, store, Path(place) / model)
            figures |= found
            for name, one in found.items():
                print(f"{name:60s} {one.value:.4f}  {one.cuts}", flush=True)
    if given.record:
        data = f"synthetic: the first {given.events} of pcloud simulate --events 10 --preset mu200 --seed {SEED}; all hits in"
        command = "python -m benchmarks.stages --record"
        record("tracks-stages", figures, command, title="Score still within reach after each stage", data=data, cuts="none")


if __name__ == "__main__":
    main()
