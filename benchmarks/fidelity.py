"""How like the real events are the simulated ones? Simulated beside real, figure by figure, with the real one's own error.

``python -m benchmarks.fidelity --data FOLDER`` with the TrackML samples in FOLDER (small_event/, full_events/) prints the table
and ends with 1 where a bound is broken; ``--record`` keeps the figures and draws docs/fidelity.png.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.fidelity_plot import draw
from benchmarks.fidelity_probes import Event, Probe, Probes, of_hits, of_particles, of_truth
from benchmarks.record import Figure, record
from data_prep.simulate import simulate_event
from data_prep.trackml import read_event
from pcloud import farm
from pcloud.scorer import decode_particle_id
from pcloud.tracking.detector import trackml_detector

FULL = (1001, 1018, 1020)
PILEUP = 200
SEED = 20_261_125
NEAR = 4  # visible vertices that a simulated event may have more or less than the real ones
PICTURE = Path(__file__).parent.parent / "docs" / "fidelity.png"


class Bound(NamedTuple):
    """How far a figure may be off: relative, absolute, or in standard errors of the real one; the widest of them counts."""

    label: str  # the start of the figure's name
    relative: float = 0.0
    absolute: float = 0.0
    errors: float = 0.0

    def width(self, real: Probe) -> float:
        return max(self.relative * abs(real.value), self.absolute, self.errors * real.error)


BOUNDS = (
    Bound("particles per visible vertex", relative=0.05),
    Bound("hits per seen particle", relative=0.05),
    Bound("noise hits", absolute=300),
    Bound("share of hits", relative=0.10),
    Bound("distance in", relative=0.10),
    Bound("double hits", relative=0.15, errors=2),
    Bound("residual", relative=0.15, errors=2),
    Bound("weight of pT > 1.0 GeV", absolute=0.03),
)


def real_events(data: Path) -> tuple[list[Event], Event]:
    """The full events of phase 1, without truth, and the small one of phase 2, whole."""
    folder, names = data / "full_events", ("hits", "particles")
    full = [{name: pd.read_csv(folder / f"event{n:09d}-{name}.csv.gz") for name in names} for n in FULL]
    return full, read_event(data / "small_event")


def visible_vertices(event: Event) -> int:
    return int(np.unique(decode_particle_id(event["particles"].particle_id)["vertex"]).size)


def simulated(phase: int, count: int, like: list[Event], workers: int) -> list[Event]:
    """The first `count` events of the seed with as many visible vertices as the events they stand beside (all, if none)."""
    low, high = (min(map(visible_vertices, like)) - NEAR, max(map(visible_vertices, like)) + NEAR) if like else (0, 1 << 12)
    make = partial(simulate_event, pileup=PILEUP, seed=SEED, phase=phase)
    kept: list[Event] = []
    start = 0
    while len(kept) < count:
        some = range(start, start + count)
        kept += [event for event in farm.run(make, some, workers=workers) if low <= visible_vertices(event) <= high]
        start += count
    return kept[:count]


def compare(real: Probes, made: Probes) -> list[tuple[str, Probe, Probe, float | None]]:
    """Rows (name, real, simulated, distance over its bound or None where none is set)."""
    rows: list[tuple[str, Probe, Probe, float | None]] = []
    for name, one in real.items():
        bound = next((b for b in BOUNDS if name.startswith(b.label)), None)
        away = abs(made[name].value - one.value)
        rows.append((name, one, made[name], None if bound is None else away / bound.width(one)))
    return rows


def show(rows: list[tuple[str, Probe, Probe, float | None]]) -> int:
    """Print the table; returns the number of broken bounds."""
    broken = 0
    for name, real, made, used in rows:
        verdict = "" if used is None else f"{used:5.0%} of the bound" + ("  BROKEN" if used > 1 else "")
        broken += used is not None and used > 1
        away = made.value / real.value - 1
        print(f"{name:50s} {real.value:10.4g} +- {real.error:<8.2g} {made.value:10.4g} {away:+7.1%}  {verdict}")
    return broken


def figures(rows: list[tuple[str, Probe, Probe, float | None]]) -> dict[str, Figure]:
    """The simulated value; beside it the real one with its error."""
    out = {}
    for name, real, made, used in rows:
        bound = "" if used is None else f"; {used:.0%} of the bound"
        out[name] = Figure(made.value, cuts=f"real {real.value:.4g} +- {real.error:.2g}{bound}")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description="Set simulated events beside real ones.")
    parser.add_argument("--data", type=Path, required=True, help="folder with small_event and full_events of TrackML")
    parser.add_argument("--events", type=int, default=8, help="simulated events of phase 1, and half as many of phase 2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="keep the figures and draw the page of plots")
    given = parser.parse_args()
    detector = trackml_detector()
    full, small = real_events(given.data)
    training = simulated(1, given.events, full, given.workers)
    throughput = simulated(2, max(1, given.events // 2), [], given.workers)
    print(f"{len(full)} real full events of phase 1, {given.events} simulated with as many visible vertices")
    first = compare(of_hits(full) | of_particles(full), of_hits(training) | of_particles(training))
    broken = show(first)
    print("the small real event of phase 2, and simulated ones of full size")
    second = compare(of_truth([small], detector), of_truth(throughput, detector))
    broken += show(second)
    if given.record:
        draw(PICTURE, full, small, training, throughput, detector)
        command = f"python -m benchmarks.fidelity --data FOLDER --events {given.events} --record"
        seeds = f"pcloud simulate --pileup {PILEUP} --seed {SEED}"
        record(
            "fidelity-full",
            figures(first),
            command,
            title=f"{given.events} synthetic events of phase 1 beside three full real ones",
            data=f"real: events {', '.join(map(str, FULL))}; synthetic: {seeds} --phase 1, those with as many visible vertices",
            cuts="none; each line's real value stands beside it with its standard error; distances in mm, to the nearest hit",
        )
        record(
            "fidelity-small",
            figures(second),
            command,
            title=f"{len(throughput)} synthetic events of phase 2 beside the small real one",
            data=f"real: one cut-out event of 5,527 hits; synthetic: {seeds} --phase 2",
            cuts="hits of particles; residuals: half of what lies between 16 % and 84 %, mm; angles in mrad",
        )
    print(f"{broken} bounds broken" if broken else "all bounds kept")
    return int(broken > 0)


if __name__ == "__main__":
    raise SystemExit(main())
