"""Which tagger tells tops from QCD jets best, with bands: trees, our networks seed by seed, and another package's scores.

``python -m benchmarks.tagging TEST --trees TRAIN --runs runs/pfn-*-test ... --peer NAME=SCORES.npz``. TEST and TRAIN are stores;
the folders of ``--runs`` are what ``pcloud evaluate`` left of each trained seed on TEST, named MODEL-SEED-...; a peer's file
holds scores [jets, classes] and jet_index, the row in TEST. Nothing is trained here but the trees, which no seed changes.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import Figure, record
from pcloud.cli.tagger_report import read_scores
from pcloud.data.store import Store
from pcloud.jets import trees
from pcloud.jets.substructure import observables
from pcloud.metrics.seeds import failed, spread
from pcloud.metrics.tagging import judge

NAMES = {"auc": "AUC", "accuracy": "accuracy", "rejection_50": "R50", "rejection_30": "R30"}
Scores = dict[str, np.ndarray]


def columns(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Observables and labels of a store's jets."""
    store = Store.open(path)
    block = store.read_many(np.arange(len(store)), point={"px", "py", "pz", "energy"})
    p4 = np.stack([block.point[name] for name in ("px", "py", "pz", "energy")], 1)
    return observables(p4, np.append(0, np.cumsum(block.points))), block.event_truth["label"]


def of_trees(train: Path, test: Path) -> Scores:
    made = trees.fit(*columns(train))
    known, label = columns(test)
    p = trees.probabilities(made, known)
    return {"event_id": Store.open(test).event_ids, "label": label, "p_qcd": p[:, 0], "p_top": p[:, 1]}


def of_peer(file: Path, test: Path) -> Scores:
    with np.load(file) as held:
        p, row = held["scores"], held["jet_index"]
    store = Store.open(test)
    if sorted(row) != list(range(len(store))):
        raise SystemExit(f"{file}: {len(row)} scores came; one of each of the {len(store)} jets in {test} expected")
    label = store.read_many(np.arange(len(store)), point=()).event_truth["label"]
    return {"event_id": store.event_ids[row], "label": label[row], "p_qcd": p[:, 0], "p_top": p[:, 1]}


def figures(name: str, seeds: list[Scores]) -> dict[str, Figure]:
    """Medians over the seeds that did not fail; of several seeds the interval is their spread, of one that of the test set."""
    judged = [judge(one)["figures"] for one in seeds]
    lost = failed([float(one["auc"]["value"]) for one in judged])
    kept = [one for place, one in enumerate(judged) if place not in lost]
    found: dict[str, Figure] = {}
    for key, word in NAMES.items():
        values = [one[key]["value"] for one in kept if one[key]["value"] is not None]
        middle, half = spread(values)
        first = kept[0][key]
        low, high, words = first["low"], first["high"], "68 %, Poisson bootstrap of the test jets"
        if len(values) > 1:
            low, high, words = min(values), max(values), f"range of {len(values)} seeds"
            found[f"{name} {word}, test set's own error"] = Figure(float(np.median([_half(one[key]) for one in kept])))
        known = {"low": low, "high": high, "interval": words} if low is not None and high is not None else {}
        found[f"{name} {word}"] = Figure(middle, "", **known)
    if lost:
        found[f"{name} seeds that failed"] = Figure(len(lost))
    return found


def _half(one: dict[str, Any]) -> float:
    return (one["high"] - one["low"]) / 2 if one["high"] is not None and one["low"] is not None else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare taggers on the same test jets.")
    parser.add_argument("test", type=Path)
    parser.add_argument("--trees", type=Path, metavar="TRAIN")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--made", default="synthetic: pcloud prepare top-tagging --generate", help="how the jets were made")
    parser.add_argument("--name", default="tagging-ladder", help="to record under (default tagging-ladder)")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    taggers: dict[str, list[Scores]] = defaultdict(list)
    if given.trees:
        taggers["trees"] = [of_trees(given.trees, given.test)]
    for folder in given.runs:
        taggers[re.split(r"-\d+(-|$)", folder.name)[0]].append(read_scores(folder))
    for one in given.peer:
        name, _, file = one.partition("=")
        taggers[name].append(of_peer(Path(file), given.test))
    found: dict[str, Figure] = {}
    for name, seeds in taggers.items():
        found |= figures(name, seeds)
    for label, one in found.items():
        print(f"{label:50s} {one.value:10.5g}" + (f" [{one.low:.5g}, {one.high:.5g}]" if one.low is not None else ""))
    if given.record:
        record(
            given.name, found, "python -m benchmarks.tagging TEST --trees TRAIN --runs FOLDERS --peer NAME=FILE --record",
            title="Taggers of tops against QCD jets, on the same test jets", data=given.made, cuts="none: all constituents in",
        )  # fmt: skip


if __name__ == "__main__":
    main()
