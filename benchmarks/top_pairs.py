"""Does a set autoencoder of whole events, trained on top pairs alone, help to find a Z' -> top pairs as a bump in their mass?

``python -m benchmarks.top_pairs --background TT --known TT2 --test TT3 --signal ZPRIME --runs FOLDER`` goes from four stores of
``pcloud prepare top-pairs`` to the tables; runs and scores that are in FOLDER already are taken as they are. ``--record`` keeps
the figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.anomaly import choose, run, say, scored
from benchmarks.anomaly_stores import unlabelled
from benchmarks.anomaly_table import MASS_CUT, figures, judged, text
from benchmarks.bump import EDGES, HIGH, INJECTED, LOW, WINDOW, level, sculpted, search, search_figures, search_text
from benchmarks.record import record
from pcloud.data.store import Store
from pcloud.tasks import Rows

CONFIG, NAME = "anomaly-top-pairs", "top-pairs"
DIMS, SCAN_STEPS = (2, 4, 8, 16), 300
COMMAND = "python -m benchmarks.top_pairs --background TT --known TT2 --test TT3 --signal ZPRIME --runs FOLDER --record"
# The normalised form has the settings of anomaly-jets-normalised.yaml. It, and EITHER, were added after the plain one was judged.
NORMALISED = ["task.contrast=0.3", "train.steps=300", "train.rate=1e-3", "train.warmup=20"]
EITHER = "either end"  # errors too small for background are strange as well: typicality, Nalisnick et al., arXiv 1906.02994
OF_MODEL = {"score": "error", "score_latent": "latent density"}
PLAIN = {"jet_pt": "sum of jet pT", "constituents": "number of jets", "jet_mass": MASS_CUT}
Floats = NDArray[np.float64]


def inside(rows: Rows) -> Rows:
    """Those with masses in the range of the hunt."""
    kept = (rows["jet_mass"] > LOW) & (rows["jet_mass"] < HIGH)
    return {name: column[kept] for name, column in rows.items()}


def named(models: dict[str, Rows]) -> dict[str, Floats]:
    """The scores of each model and what they have to beat."""
    found = {f"{model}: {words}": rows[name] for model, rows in models.items() for name, words in OF_MODEL.items()}
    found |= {words: next(iter(models.values()))[name] for name, words in PLAIN.items()}
    return {words: np.asarray(column, np.float64) for words, column in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--background", type=Path, required=True, metavar="TT", help="store of top pairs to train on")
    parser.add_argument("--known", type=Path, required=True, metavar="TT2", help="store of others, by which scores are flattened")
    parser.add_argument("--test", type=Path, required=True, metavar="TT3", help="store of others, of which data sets are drawn")
    parser.add_argument("--signal", type=Path, required=True, metavar="ZPRIME", help="store of Z' -> top pairs")
    parser.add_argument("--runs", type=Path, required=True, metavar="FOLDER", help="for runs, scores and top-pairs.json")
    parser.add_argument("--latent", type=int, metavar="N", help="its size, where a scan of the background was made before")
    parser.add_argument("--made", default="synthetic: pcloud prepare top-pairs --generate", help="how the events were made")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    folder = given.runs
    background = unlabelled(given.background, folder / "stores" / "background", lambda label: label == 0)
    latent = given.latent or choose(folder, background, config=CONFIG, overrides=[], dims=DIMS, steps=SCAN_STEPS)
    size = [f"task.latent={latent}"]
    plain = run(folder, NAME, background, size, config=CONFIG)
    normalised = run(folder, f"{NAME}-normalised", background, [*size, *NORMALISED], config=CONFIG, start=plain)
    tails = {"known": given.known, "test": given.test, "signal": given.signal}
    made: dict[str, dict[str, Rows]] = {tail: {} for tail in tails}
    for model, out in (("autoencoder", plain), ("normalised", normalised)):
        for tail, store in tails.items():
            made[tail][model] = inside(scored(out, store, tail))
    parts = {tail: named(models) for tail, models in made.items()}
    scores = {words: np.concatenate([column, parts["signal"][words]]) for words, column in parts["test"].items()}
    kept, mass = parts["known"], scores[MASS_CUT]
    signal, rows = np.arange(len(mass)) >= len(parts["test"][MASS_CUT]), {"jet_mass": mass}
    table = {words: judged(score, rows, signal) for words, score in scores.items()}
    say(f"\n{(~signal).sum():,} top pairs, {signal.sum():,} Z' with jets of {LOW:g} to {HIGH:g} GeV; latent {latent}")
    say(text(table))
    shares = {words: level(score, mass, kept[words], kept[MASS_CUT]) for words, score in scores.items() if words != MASS_CUT}
    shares |= {f"{words}, {EITHER}": np.abs(2 * share - 1) for words, share in shares.items() if words not in PLAIN.values()}
    verdicts = {words: sculpted(scores[words][~signal], mass[~signal]) for words in shares if words in scores}
    verdicts |= {f"{words}, flattened": sculpted(share[~signal], mass[~signal]) for words, share in shares.items()}
    say("\n" + "\n".join(f"{words:52s}{one}" for words, one in verdicts.items()))
    found = search(shares, mass, signal)
    say(f"\nbump hunt, {INJECTED} Z' injected, window {WINDOW[0]:g} to {WINDOW[1]:g} GeV\n{search_text(found)}")
    report: dict[str, Any] = {"latent": latent, "table": table, "sculpting": verdicts, "search": found, "edges": EDGES.tolist()}
    (folder / "top-pairs.json").write_text(json.dumps(report, indent=1) + "\n")
    if given.record:
        count = len(Store.open(background))
        data = f"{given.made}; trained on {count:,} top pairs; judged on {(~signal).sum():,} others and {signal.sum():,} Z'"
        cuts = f"mass of an event's jets {LOW:g} to {HIGH:g} GeV; e10, e100: signal efficiency at background rejection 10, 100"
        title = "Autoencoder of whole events: Z' -> top pairs among top pairs"
        record("anomaly-top-pairs", figures(table) | search_figures(found), COMMAND, title=title, data=data, cuts=cuts)


if __name__ == "__main__":
    main()
