"""A dense event from a small real one: copies of it turned about the beam line, laid over one another, with complete truth.

    python -m data_prep.overlay SMALL_EVENT_FOLDER OUT --copies 17

Seventeen copies of a 5,500-hit event make one of full density. Hit ids and particle ids are new and unique, weights sum to 1.
Module ids are copied and so no longer true of the place, nor are directions of single strips; layers are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

TURNED = (("x", "y"), ("tx", "ty"), ("tpx", "tpy"), ("vx", "vy"), ("px", "py"))  # pairs of columns that turn about the beam line
VERTEX = np.int64(1) << 52  # the highest bits of a particle id number its vertex
KINDS = ("hits", "cells", "particles", "truth")

Event = dict[str, pd.DataFrame]


def overlay(event: Event, copies: int) -> Event:
    """Tables of `copies` copies of an event, the k-th turned by k / copies of a whole turn."""
    if copies < 1:
        raise ValueError(f"copies is {copies}; expected at least 1")
    hits = len(event["hits"])
    new = pd.Series(np.arange(1, hits + 1), index=event["hits"]["hit_id"].to_numpy())
    code, ids = pd.factorize(event["particles"]["particle_id"], sort=True)
    parts: dict[str, list[pd.DataFrame]] = {kind: [] for kind in event}
    for copy in range(copies):
        angle = 2 * np.pi * copy / copies
        for kind, table in event.items():
            one = table.copy()
            for a, b in TURNED:
                if a in one and b in one:
                    x, y = one[a].to_numpy(np.float64), one[b].to_numpy(np.float64)
                    one[a], one[b] = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
            if "hit_id" in one:
                one["hit_id"] = new.loc[one["hit_id"].to_numpy()].to_numpy() + copy * hits
            if "particle_id" in one:
                one["particle_id"] = _renamed(one["particle_id"].to_numpy(np.int64), ids.to_numpy(np.int64), copy)
            parts[kind].append(one)
    made = {kind: pd.concat(tables, ignore_index=True) for kind, tables in parts.items()}
    if "truth" in made:
        made["truth"]["weight"] /= made["truth"]["weight"].sum()
    return made


def _renamed(particle: np.ndarray, ids: np.ndarray, copy: int) -> np.ndarray:
    """Ids that no other copy has: copy c is vertex c + 1, and the particles of the event are its primaries; noise stays 0."""
    number = np.searchsorted(ids, particle).astype(np.int64)
    return np.where(particle == 0, 0, VERTEX * (1 + copy) + (number + 1) * (np.int64(1) << 36))


def read_event(folder: Path) -> tuple[str, Event]:
    """The one event of a folder: its name event%09d and the tables that are there."""
    paths = sorted(folder.glob("event*-hits.csv*"))
    if len(paths) != 1:
        raise ValueError(f"{folder}: {len(paths)} files event*-hits.csv[.gz] in it, expected one")
    name = paths[0].name.split("-")[0]
    found = {kind: sorted(folder.glob(f"{name}-{kind}.csv*")) for kind in KINDS}
    missing = [kind for kind in ("particles", "truth") if not found[kind]]
    if missing:
        raise ValueError(f"{folder}: no {name}-{missing[0]}.csv[.gz]; an overlay needs the whole truth")
    return name, {kind: pd.read_csv(files[0]) for kind, files in found.items() if files}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("event", type=Path, help="folder with one complete event")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--copies", type=int, default=17)
    given = parser.parse_args(arguments)
    name, event = read_event(given.event)
    given.out.mkdir(parents=True, exist_ok=True)
    for kind, table in overlay(event, given.copies).items():
        table.to_csv(given.out / f"{name}-{kind}.csv.gz", index=False)


if __name__ == "__main__":
    main()
