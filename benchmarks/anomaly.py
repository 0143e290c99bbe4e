"""Do set autoencoders find tops among QCD jets and QCD jets among tops, better than images and the plain cut on the mass?

``python -m benchmarks.anomaly --background QCD --signal TOP --test BOTH --runs FOLDER`` goes from three stores to the table; runs
and scores that are in FOLDER already are taken as they are. ``--test gluinos=STORE``: other signals, as many as there are.
``--losses``: one model, one set of jets, every set loss. ``--contamination``: signal among the training jets. ``--record`` keeps
the figures, under a name that ends with ``--window``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.anomaly_plot import draw
from benchmarks.anomaly_stores import contaminated, unlabelled
from benchmarks.anomaly_table import MASS_CUT, figures, judged, text, together
from benchmarks.record import Figure, record
from pcloud.anomaly.latent import suggest_latent
from pcloud.cli import train
from pcloud.cli.tagger_report import read_scores, write_scores
from pcloud.cloud import PointCloud
from pcloud.data.dataset import Events
from pcloud.data.store import Store
from pcloud.losses.sets import SET_LOSSES
from pcloud.metrics.contamination import contamination
from pcloud.pretrained import load
from pcloud.tasks import Rows, concatenate

CONFIGS = Path(__file__).parent.parent / "configs"
PICTURE = Path(__file__).parent.parent / "docs" / "anomaly-losses.png"
SET = ["task.frame=upright", "task.decoder=dense", "task.channels=128", "task.loss=sinkhorn", "encoder.phi=[64,64,64]"]
SET += ["encoder.f=[64]", "train.events=256", "train.rate=3e-3", "train.validate_every=1000", "train.checkpoint_every=1000"]
DIMS, SCAN_STEPS = (2, 4, 8, 16, 32), 150
STEPS, LOSS_STEPS, CONTAMINATION_STEPS = 400, 150, 150
# name: configuration, overrides, and the run that its weights begin from. A name with -top is trained on tops.
MODELS: dict[str, tuple[str, list[str], str | None]] = {
    "set": ("anomaly-jets", [*SET, f"train.steps={STEPS}"], None),
    "set-standard": ("anomaly-jets", [*SET, f"train.steps={STEPS}", "task.frame=standard"], None),
    "set-normalised": ("anomaly-jets", [*SET, "train.steps=120", "train.rate=1e-3", "task.contrast=0.3"], "set"),
    "pca": ("anomaly-jets-pca", [], None),
    "dense": ("anomaly-jets-dense", [], None),
    "conv": ("anomaly-jets-conv", ["task.filters=16", "train.steps=200", "train.events=256", "train.validate_every=200"], None),
}
WORDS = {
    "set": "set autoencoder", "set-standard": "set autoencoder, standard frame", "set-normalised": "set autoencoder, normalised",
    "pca": "PCA of images", "dense": "dense, images", "conv": "convolutional, images",
}  # fmt: skip
SCORES = {"score": "error", "score_latent": "latent density"}
BATCH = 500
COMMAND = "python -m benchmarks.anomaly --background QCD --signal TOP --test BOTH --runs FOLDER --record"
EMD_JETS = 2000


def say(words: str) -> None:
    sys.stderr.write(words + "\n")


def run(folder: Path, name: str, store: Path, overrides: Sequence[str], *, config: str, start: Path | None = None) -> Path:
    """The run folder of this name, trained if its model is not there yet; one that broke off goes on."""
    out = folder / name
    if not (out / "model.json").is_file():
        say(f"training {name}")
        resume = bool(list(out.glob("checkpoints/step-*.pt")))
        train(CONFIGS / f"{config}.yaml", run=out, overrides=[f"data.store={store}", *overrides], start=start, resume=resume)
    return out


def scored(out: Path, test: Path, tail: str = "test") -> Rows:
    """What the model of a run folder says of the test jets: kept in RUN-test, where ``pcloud evaluate --out`` puts it too."""
    kept = out.with_name(f"{out.name}-{tail}")
    try:
        return read_scores(kept)
    except FileNotFoundError:
        say(f"scoring {out.name}")
    kept.mkdir(exist_ok=True)
    model = load(out, "cpu")
    rows = concatenate([model(cloud) for cloud in batches(test, out)])
    write_scores(kept, rows)
    return rows


def batches(store: Path, out: Path, places: Sequence[int] | None = None) -> Any:
    """Clouds of BATCH jets of a store, with the columns that the model of a run folder reads."""
    source = Store.open(store)
    chosen = list(range(len(source))) if places is None else list(places)
    momenta = ("px", "py", "pz", "energy")
    events = Events(source, load(out, "cpu").inputs, chosen, point=momenta)
    for first in range(0, len(chosen), BATCH):
        (cloud,) = events.__getitems__(range(first, min(first + BATCH, len(chosen))))
        yield cloud


def choose(
    folder: Path,
    background: Path,
    *,
    config: str = "anomaly-jets",
    overrides: Sequence[str] = SET,
    dims: Sequence[int] = DIMS,
    steps: int = SCAN_STEPS,
) -> int:
    """The size of the latent by validation loss on background alone; the reason is written down before any signal is read."""
    losses = []
    for dim in dims:
        given = [*overrides, f"train.steps={steps}", f"task.latent={dim}"]
        out = run(folder, f"latent-{dim}", background, given, config=config)
        losses.append(json.loads((out / "model.json").read_text())["figures"]["val/score"])
    found = suggest_latent(dims=dims, losses=losses)
    note = {"latent": found.as_dict(), "loss": [config, *overrides], "steps": steps, "signal": "none was read"}
    (folder / "choice.json").write_text(json.dumps(note, indent=1) + "\n")
    return found.dim


def table(folder: Path, stores: dict[str, Path], tests: dict[str, Path], latent: int) -> dict[str, Any]:
    """Direction -> model and score -> ``judged``. Of the tests the first is looked at from both sides."""
    found = {}
    for place, (name, test) in enumerate(tests.items()):
        found[f"{name} among QCD"] = direction(folder, "", stores[""], test, latent, tail=f"test-{name}" if place else "test")
    if "-top" in stores:
        name, test = next(iter(tests.items()))
        found[f"QCD among {name}"] = direction(folder, "-top", stores["-top"], test, latent)
    return found


def direction(folder: Path, kind: str, store: Path, test: Path, latent: int, tail: str = "test") -> dict[str, Any]:
    """Model and score -> ``judged``: models trained on ``store``; of kind "-top", label 0 is the signal."""
    made: dict[str, Any] = {}
    sets: list[np.ndarray] = []
    for name, (config, overrides, start) in MODELS.items():
        more = [f"task.latent={latent}"] if name.startswith("set") else []
        begin = folder / f"{start}{kind}" if start else None
        out = run(folder, name + kind, store, [*overrides, *more], config=config, start=begin)
        rows = scored(out, test, tail)
        signal = (rows["label"] == 0) if kind else (rows["label"] != 0)
        for score, words in SCORES.items():
            if score in rows:
                values = np.asarray(rows[score], np.float64)
                made[f"{WORDS[name]}: {words}"] = judged(values, rows, signal)
                sets += [values] if name.startswith("set") else []
    if not kind:
        made["all set autoencoders together"] = together(sets, rows, signal)
    sign = -1.0 if kind else 1.0
    made[MASS_CUT] = judged(sign * np.asarray(rows["jet_mass"], np.float64), rows, signal)
    return made


def fidelity(out: Path, store: Path) -> dict[str, float]:
    """Of validation jets: the mean exact energy mover's distance (R = 0.8, shares of the pT) of what comes back, the error of the
    count; and the seconds of a training step."""
    held = json.loads((out / "split.json").read_text())["validation"][:EMD_JETS]
    source = Store.open(store)
    places = np.flatnonzero(np.isin(source.event_ids, held)).tolist()
    model, far, off = load(out, "cpu"), [], []
    with torch.no_grad():
        for cloud in batches(store, out, places):
            rebuilt = model.task(_blind(cloud))
            given, made = rebuilt.given, rebuilt.made
            weights = {"x_weight": made.share, "y_weight": given.share}
            far.append(SET_LOSSES["emd"](made.pos, made.offsets, given.pos, given.offsets, **weights, R=0.8))
            count = torch.diff(made.offsets) / torch.diff(given.offsets).clamp(min=1)
            off.append((count - 1).abs())
    seconds = np.genfromtxt(out / "metrics.csv", delimiter=",", names=True)["seconds"]
    return {
        "emd": float(torch.cat(far).mean()),
        "count_error": float(torch.cat(off).mean()),
        "seconds": float(np.median(seconds)),
    }


def _blind(cloud: PointCloud) -> PointCloud:
    return replace(cloud, event_truth={}, point_truth={})


def losses(folder: Path, background: Path, test: Path, latent: int) -> dict[str, Any]:
    """The same model on the same jets with each set loss, judged by its own error and by the density in its latent."""
    found = {}
    for name in SET_LOSSES:
        overrides = [*SET, f"train.steps={LOSS_STEPS}", f"task.latent={latent}", f"task.loss={name}"]
        out = run(folder, f"loss-{name}", background, overrides, config="anomaly-jets")
        rows = scored(out, test)
        signal = rows["label"] != 0
        found[name] = fidelity(out, background) | {
            key: judged(np.asarray(rows[key], np.float64), rows, signal) for key in SCORES if key in rows
        }
    return found


def contamination_study(folder: Path, stores: dict[str, Path], test: Path, latent: int) -> dict[str, Any]:
    """AUC and e10 with 0 and 10 % tops among the training jets, three seeds."""

    def trained(fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        name = f"mixed-{fraction:g}-{seed}"
        store = folder / "stores" / name
        if not (folder / name / "model.json").is_file():
            contaminated(stores[""], stores["-top"], store, fraction, seed)
        overrides = [*SET, f"train.steps={CONTAMINATION_STEPS}", f"task.latent={latent}", f"train.seed={seed}"]
        rows = scored(run(folder, name, store, overrides, config="anomaly-jets"), test)
        return np.asarray(rows["score"]), rows["label"] != 0

    return contamination(trained, fractions=(0.0, 0.1))


def recorded(found: dict[str, Any], stores: dict[str, Path], tests: dict[str, Path], made: str, window: str) -> None:
    """Keep all that was found."""
    jets = {tail: len(Store.open(store)) for tail, store in stores.items()}
    first, test = next(iter(tests.items()))
    data = f"{made}; trained on {jets['']:,} QCD jets, judged on {len(Store.open(test)):,} jets, half of them {first}"
    cuts = "none; e10, e100: signal efficiency at background rejection 10, 100"
    for direction, rows in found["table"].items():
        signal = direction.split()[0]
        if signal == "QCD":
            here = data.replace(f"{jets['']:,} QCD jets", f"{jets['-top']:,} {first}")
        else:
            here = data.replace(f"half of them {first}", f"half of them {signal}")
        name = f"anomaly-{signal.lower()}{window}"
        record(name, figures(rows), COMMAND, title=f"Autoencoders: {direction}", data=here, cuts=cuts)
    if "losses" in found:
        rows = {}
        for loss, one in found["losses"].items():
            rows |= {f"{loss}: {label}": figure for label, figure in figures({"error": one["score"]}).items()}
            rows[f"{loss}: energy mover's distance of what comes back"] = Figure(one["emd"])
            rows[f"{loss}: s/step"] = Figure(one["seconds"], "s")
        title = "One set autoencoder, trained with each set loss"
        draw(found["losses"], PICTURE)
        record("anomaly-losses", rows, f"{COMMAND} --losses", title=title, data=data, cuts=cuts)
    if "contamination" in found:
        rows = {}
        for row in found["contamination"]["rows"]:
            for key in ("auc", "auc_ratio"):
                low, high = min(row[key]["values"]), max(row[key]["values"])
                rows[f"{row['fraction']:.0%} tops in training: {key}"] = Figure(
                    row[key]["median"], "", low, high, "range of 3 seeds"
                )
        title = "Set autoencoder with signal among its training jets"
        record("anomaly-contamination", rows, f"{COMMAND} --contamination", title=title, data=data, cuts=cuts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--background", type=Path, required=True, metavar="QCD", help="store to train on; its label 0")
    parser.add_argument("--signal", type=Path, metavar="TOP", help="store of the inverse direction; its other labels")
    help_ = "store of both, of which no jet is trained on, and the signal's name (tops); several may come"
    parser.add_argument("--test", action="append", required=True, metavar="[NAME=]BOTH", help=help_)
    parser.add_argument("--window", default="", metavar="-NAME", help="end of the names to record under, as -800-900")
    parser.add_argument("--runs", type=Path, required=True, metavar="FOLDER", help="for runs, scores and anomaly.json")
    parser.add_argument("--latent", type=int, metavar="N", help="its size, where a scan of the background was made before")
    parser.add_argument("--made", default="synthetic: pcloud prepare top-tagging --generate", help="how the jets were made")
    parser.add_argument("--losses", action="store_true")
    parser.add_argument("--contamination", action="store_true")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    folder = given.runs
    background = unlabelled(given.background, folder / "stores" / "background", lambda label: label == 0)
    latent = given.latent or choose(folder, background)
    stores = {"": background}
    if given.signal:
        stores["-top"] = unlabelled(given.signal, folder / "stores" / "signal", lambda label: label != 0)
    named = [one.split("=", 1) if "=" in one else ("tops", one) for one in given.test]
    tests = {name: Path(path) for name, path in named}
    first = next(iter(tests.values()))
    found: dict[str, Any] = {"latent": latent}
    if given.contamination:
        if not given.signal:
            parser.error("--contamination needs --signal")
        found["contamination"] = contamination_study(folder, stores, first, latent)
        say(found["contamination"]["verdict"])
    if given.losses:
        found["losses"] = losses(folder, background, first, latent)
    found["table"] = table(folder, stores, tests, latent)
    (folder / "anomaly.json").write_text(json.dumps(found, indent=1) + "\n")
    for direction, made in found["table"].items():
        say(f"{direction}\n{text(made)}\n")
    if given.record:
        recorded(found, stores, tests, given.made, given.window)


if __name__ == "__main__":
    main()
