"""``pcloud train CONFIG --seeds 5``: the same run with several seeds, one after the other, and how far they lie apart.

``train_seeds("configs/tagging-top-pfn.yaml", 5)`` returns the folder of seed-0, seed-1, ... and seeds.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, stdev
from typing import Any

from pcloud.cli.training import train
from pcloud.pretrained.card import Card
from pcloud.pretrained.files import write

Figures = dict[str, dict[str, Any]]


def train_seeds(
    path: str | Path,
    seeds: int,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    overrides: Sequence[str] = (),
    told: Callable[[str], None] | None = None,
    **options: Any,
) -> Path:
    """Train with train.seed = 0 ... seeds - 1; every other option is that of ``train``, the split of the events included.

    ``resume`` passes over the seeds that are finished and goes on with the one under way.
    """
    if seeds < 2:
        raise ValueError(f"--seeds {seeds}: 2 or more expected; for one run set train.seed")
    if given := [one for one in overrides if one.startswith("train.seed=")]:
        raise ValueError(f"--{given[0]}: --seeds sets it; leave out one of the two")
    folder = Path(run) if run is not None else Path("runs") / Path(path).stem
    folders = [folder / f"seed-{seed}" for seed in range(seeds)]
    if not resume and (there := [one for one in folders if one.exists()]):
        raise ValueError(f"{there[0]}: a run is there already; go on with --resume, or name another folder with --run")
    for seed, one in enumerate(folders):
        if not (one / "model.json").exists():
            if told is not None:
                told(f"seed {seed} of {seeds}")
            going = resume and (one / "config.yaml").exists()
            try:
                train(path, run=one, resume=going, overrides=[*overrides, f"train.seed={seed}"], **options)
            except KeyboardInterrupt as stop:
                saved = str(stop).split(";")[0]
                again = f"go on with `pcloud train {path} --seeds {seeds} --run {folder} --resume`"
                raise KeyboardInterrupt(f"seed {seed}: {saved}; {again}") from stop
    write(folder / "seeds.json", (json.dumps(apart(folders), indent=1) + "\n").encode())
    return folder


def apart(folders: Sequence[Path]) -> Figures:
    """Of each figure of the last validation: its value for every seed, their median and their standard deviation (n - 1)."""
    found = [Card.read(folder / "model.json").figures for folder in folders]
    names = [name for name in found[0] if name.startswith("val/") and all(name in one for one in found)]
    values = {name: [one[name] for one in found] for name in names}
    return {name: {"median": median(some), "spread": stdev(some), "values": some} for name, some in values.items()}
