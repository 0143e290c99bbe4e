"""What may be written after ``pcloud``: the verbs and their arguments, with help that needs no heavy import.

``parse(["score", "--truth", T, "--submission", S])`` returns a namespace whose ``verb`` names a function of ``commands``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcloud import __version__

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]
CUTS = "task.threshold of the configuration"
DEVICES = ("auto", "cpu", "cuda", "mps")
GENERATING = ("seed", "process", "pt", "eta", "radius", "generator")  # what goes with prepare --generate


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Exits with 2 and a usage line on a mistake, with 0 after --help and --version."""
    parser = argparse.ArgumentParser(
        prog="pcloud",
        description="Point clouds of particle physics: find tracks, score them, show them. Every verb has --help.",
    )
    parser.add_argument("--version", action="version", version=f"pcloud {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for add in (_prepare, _simulate, _train, _teach, _tune, _evaluate, _predict, _export, _score, _display, _inspect):
        add(verbs)
    known, rest = parser.parse_known_args(arguments)
    if known.verb == "prepare":
        rest = _places(parser, known, rest)
    if rest and (known.verb != "train" or not all(one.startswith("--") and "." in one.split("=")[0] for one in rest)):
        hint = "an override is written --encoder.k=8" if known.verb == "train" else f"see pcloud {known.verb} --help"
        parser.error(f"{known.verb}: not understood: {' '.join(rest)}; {hint}")
    if known.verb == "train":
        known.overrides = [one.removeprefix("--") for one in rest]
    return known


def _prepare(verbs: Verbs) -> None:
    verb = _add(verbs, "prepare", "read raw events, or generate jets, into a store")
    verb.add_argument("kind", help="kind of source, such as trackml or top-tagging")
    verb.add_argument("source", type=Path, help="file, folder or zip of raw events, or FOLDER/event000001000 for one")
    verb.add_argument("store", type=Path, nargs="?", help="folder to write")
    verb.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1)")
    _detectors(verb)
    verb.add_argument("--events", type=_ids, metavar="ID,ID", help="only these events")
    verb.add_argument("--overwrite", action="store_true", help="replace a store that is there")
    verb.add_argument("--most", type=int, metavar="N", help="of jets: keep the N hardest constituents")
    verb.add_argument("--objects", metavar="WHAT", help="of nanoaod, delphes: jets, or events (jets and leptons as points)")
    verb.add_argument("--collection", metavar="NAME", help="of nanoaod, delphes: the branch of the jets, such as FatJet")
    verb.add_argument("--columns", metavar="MAP", help="of table: what its columns are, as pt=cand_pt,eta=cand_eta,label=y")
    verb.add_argument("--classes", metavar="A,B", help="of table: names of the labels 0, 1, ...")
    made = verb.add_argument_group("jets from nothing", "The same command again goes on with a run that broke off.")
    made.add_argument("--generate", type=int, metavar="N", help="make N jets: pcloud prepare top-tagging STORE --generate N")
    made.add_argument("--seed", type=int, metavar="S", help="same seed, same jets (default 0)")
    made.add_argument("--process", type=_names, metavar="A,B", help="classes, in equal parts, such as qcd,top,w,z,hbb")
    made.add_argument("--pt", type=_limits, metavar="LOW:HIGH", help="of jets, GeV")
    made.add_argument("--eta", type=float, metavar="MAX", help="of jets, either sign")
    made.add_argument("--radius", type=float, metavar="R", help="of anti-kT")
    made.add_argument("--generator", metavar="G", help="pythia8 (the default) or toy, which needs no package and is no physics")


def _simulate(verbs: Verbs) -> None:
    verb = _add(verbs, "simulate", "make synthetic TrackML events")
    verb.add_argument("out", type=Path, help="folder for the event files and detectors.csv, or the store")
    verb.add_argument("--events", type=int, required=True, metavar="N", help="how many")
    verb.add_argument("--seed", type=int, required=True, metavar="S", help="same seed, same events")
    verb.add_argument("--preset", metavar="NAME", help="mini, pixel, mu50 or mu200 (the challenge's density)")
    verb.add_argument("--pileup", type=float, metavar="MU", help="mean number of collisions, in place of the preset's")
    verb.add_argument("--phase", type=int, choices=(1, 2), help="of the challenge: 1 training, 2 throughput (default)")
    verb.add_argument("--generator", metavar="G", help="tables (the default), pythia8, or a HepMC3 file (plain or .gz)")
    verb.add_argument("--engine", metavar="E", help="what carries particles: pcloud (the default) or acts")
    verb.add_argument("--detectors", type=Path, metavar="F", help="detectors.csv of another detector than TrackML's")
    verb.add_argument(
        "--first-event", type=int, metavar="ID", help="id of the first event (default 1000; of a HepMC3 file the first, 0)"
    )
    verb.add_argument("--store", action="store_true", default=None, help="write a store, ready to train on, not files")
    verb.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1)")
    verb.add_argument("--kind", default="trackml", help="kind of events (default trackml)")


def _train(verbs: Verbs) -> None:
    verb = _add(verbs, "train", "train a model as a configuration says")
    verb.add_argument("config", type=Path, help="YAML file with the sections task, encoder, data and train")
    verb.add_argument("--run", type=Path, metavar="FOLDER", help="run folder (default: runs/ and the name of CONFIG)")
    verb.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run folder")
    verb.add_argument("--from", dest="start", metavar="RUN", help="begin with the weights of this run folder or shipped model")
    verb.add_argument("--seeds", type=int, metavar="N", help="train N times, in FOLDER/seed-0 ..., and say how far they differ")
    verb.add_argument("--cuts", default=CUTS, metavar="TEXT", help="for the card: on which events the thresholds were chosen")
    verb.add_argument("--print_config", action="store_true", help="print the configuration with all defaults, and end")
    verb.epilog = "--SECTION.KEY=VALUE puts a value in place of the file's, as in --encoder.k=8 --train.steps=100."


def _teach(verbs: Verbs) -> None:
    verb = _add(verbs, "teach", "write what trained taggers say of the events of a store beside them, to train a smaller one")
    verb.add_argument("store", type=Path, help="store of events")
    verb.add_argument("out", type=Path, help="store to write, with what the teachers say")
    verb.add_argument("--teacher", dest="teachers", action="append", required=True, metavar="R", help="run folder; repeatable")
    verb.add_argument("--overwrite", action="store_true", help="replace a store that is there")
    verb.add_argument("--device", choices=DEVICES, default="auto")


def _tune(verbs: Verbs) -> None:
    verb = _add(verbs, "tune", "choose a track finder's cuts by its score on simulated events")
    verb.add_argument("model", help="a shipped model's name, or a run folder")
    verb.add_argument("store", type=Path, help="store of simulated events (pcloud simulate --store)")
    verb.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="for the study and the tuned model")
    verb.add_argument("--trials", type=int, default=50, metavar="N", help="how many settings to try in all (default 50)")
    verb.add_argument("--vary", type=_range, action="append", metavar="NAME=LOW:HIGH", help="a cut to vary, as 0.accept=5:25")
    verb.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same search")
    verb.add_argument("--device", choices=DEVICES, default="auto")


def _evaluate(verbs: Verbs) -> None:
    verb = _add(verbs, "evaluate", "measure a model on events it was not trained on")
    verb.add_argument("run", help="run folder, that of several seeds, or a shipped model's name")
    verb.add_argument("--store", type=Path, metavar="S", help="events with truth (default: those the run held out)")
    verb.add_argument("--out", type=Path, metavar="FOLDER", help="for report.json and report.html (default RUN/evaluation)")
    verb.add_argument("--allow-trained-events", action="store_true", help="take trained events too, and stamp the report")
    _allow_geometry(verb)
    verb.add_argument("--robust", action="store_true", help="also the figures of a tagger on smeared, thinned and blanked jets")
    verb.add_argument("--trees", action="store_true", help="also trees on observables beside a tagger, fitted to the same jets")
    verb.add_argument("--stages", action="store_true", help="also the score still within reach after each stage of a finder")
    verb.add_argument("--device", choices=DEVICES, default="auto")


def _predict(verbs: Verbs) -> None:
    verb = _add(verbs, "predict", "find tracks; reads neither truth nor particles")
    verb.add_argument("model", help="a shipped model's name, such as tracks, or a run folder")
    verb.add_argument("input", type=Path, help="store, or raw events as for prepare")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE", help="submission csv or csv.gz to write")
    verb.add_argument("--events", type=_ids, metavar="ID,ID", help="only these events")
    _detectors(verb)
    _allow_geometry(verb)
    verb.add_argument("--report", type=Path, metavar="JSON", help="also write counts, times and the model's origin")
    verb.add_argument("--device", choices=DEVICES, default="auto")


def _export(verbs: Verbs) -> None:
    verb = _add(verbs, "export", "write a trained tagger as one file for ONNX Runtime (.onnx) or torch.export (.pt2)")
    verb.add_argument("model", help="a shipped model's name, such as jets-top, or a run folder")
    verb.add_argument("out", type=Path, help="file to write, FILE.onnx or FILE.pt2")
    verb.add_argument("--store", type=Path, metavar="S", help="compare with the model on events of this store (default: made-up)")


def _score(verbs: Verbs) -> None:
    verb = _add(verbs, "score", "the TrackML score of a submission, with efficiencies, fakes and duplicates")
    verb.add_argument("--truth", type=Path, required=True, metavar="T", help="truth csv, or a folder of events")
    verb.add_argument("--submission", type=Path, required=True, metavar="S", help="submission csv")
    verb.add_argument("--json", action="store_true", help="print everything as JSON")


def _display(verbs: Verbs) -> None:
    verb = _add(verbs, "display", "draw an event: 3-D page and x-y, r-z picture")
    verb.add_argument("event", type=Path, help="FOLDER/event000001000, a folder of one event, or a store with --event")
    verb.add_argument("--event", type=int, dest="event_id", metavar="ID", help="which event, where there are several")
    verb.add_argument("--submission", type=Path, metavar="S", help="tracks to show")
    verb.add_argument("--truth", type=Path, metavar="T", help="truth csv (default: the one beside the hits)")
    verb.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder for the files (default: here)")
    verb.add_argument("--png-only", action="store_true", help="no 3-D page (which needs plotly)")
    _detectors(verb)


def _inspect(verbs: Verbs) -> None:
    verb = _add(verbs, "inspect", "say what a store, run, model or folder of events is")
    verb.add_argument("path", help="store, run folder, shipped model's name, or raw events")
    verb.add_argument("--json", action="store_true", help="print everything as JSON")


def _places(parser: argparse.ArgumentParser, known: argparse.Namespace, rest: list[str]) -> list[str]:
    """SOURCE STORE, or with --generate STORE alone; argparse leaves in the rest a place that comes after an option."""
    if known.store is None and rest and not rest[0].startswith("-"):
        known.store, rest = Path(rest[0]), rest[1:]
    if known.generate is not None:
        if known.store is not None:
            parser.error(f"prepare: --generate reads no source; {known.store} came beside {known.source}, one store expected")
        for name in ("detectors", "events"):
            if getattr(known, name) is not None:
                parser.error(f"prepare: --{name} came beside --generate, which reads no source")
        known.source, known.store = None, known.source
    elif known.store is None:
        parser.error("prepare: one place came, SOURCE and STORE expected; or STORE --generate N for jets from nothing")
    elif alone := [name for name in GENERATING if getattr(known, name) is not None]:
        parser.error(f"prepare: --{alone[0]} goes with --generate N alone")
    return rest


def _add(verbs: Verbs, name: str, words: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")


def _detectors(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--detectors", type=Path, metavar="F", help="detectors.csv, if not beside the raw events")


def _allow_geometry(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--allow-geometry", action="store_true", help="go on where the detector is not the model's")


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, _, limits = text.partition("=")
    try:
        low, high = map(float, limits.split(":"))
        if name and low < high:
            return name, (low, high)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} came, a name and its range expected, such as 0.accept=5:25")


def _limits(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(":"))
        return low, high
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} came, a range such as 550:650 expected") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} came, event ids such as 1001,1018 expected") from None
