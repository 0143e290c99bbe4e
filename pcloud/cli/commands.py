"""What each verb prints: the function is called, its result is told. Nothing is computed here.

``commands.VERB(arguments)`` is what ``pcloud VERB`` runs; the functions themselves are in ``pcloud.cli``.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pcloud import cli


def prepare(given: Namespace) -> None:
    if given.generate is not None:
        _generate(given)
        return
    options = {name: getattr(given, name) for name in ("most", "objects", "collection", "columns", "classes")}
    with _bar("reading events") as progress:
        store = cli.prepare(
            given.source,
            given.store,
            kind=given.kind,
            workers=given.workers,
            events=given.events,
            detectors=given.detectors,
            overwrite=given.overwrite,
            progress=progress,
            **options,
        )
    print(f"{given.store}: {len(store)} events, {store.sizes.sum():,} points")
    if "classes" in store.source:
        for note in store.source["notes"]:
            print(f"  note        {note}")
    elif store.geometry is None:
        print("  no detectors.csv: the detector is unknown, and cells were not read (--detectors F)")


def _generate(given: Namespace) -> None:
    from pcloud.cli.arguments import GENERATING
    from pcloud.data.store import Store

    options = {name: getattr(given, name) for name in GENERATING if name != "seed"} | {"overwrite": given.overwrite or None}
    seed, places = given.seed or 0, {"kind": given.kind, "workers": given.workers}
    with _bar("generating jets") as progress:
        cli.simulate(given.store, events=given.generate, seed=seed, progress=progress, **places, **options)
    store = Store.open(given.store)
    print(f"{given.store}: {len(store)} synthetic jets, {store.sizes.sum():,} points")
    for note in store.source.get("notes", ()):
        print(f"  {note}")


def simulate(given: Namespace) -> None:
    options = {name: value for name, value in vars(given).items() if name not in ("verb", "out")}
    with _bar("simulating events") as progress:
        cli.simulate(given.out, **options, progress=progress)
    print(f"{given.out}: {given.events} synthetic events")


def train(given: Namespace) -> None:
    if given.print_config:
        from pcloud import config

        print(config.read(given.config, given.overrides).to_yaml(), end="")
        return
    options = {"run": given.run, "resume": given.resume, "overrides": given.overrides, "cuts": given.cuts, "start": given.start}
    if given.seeds is not None:
        folder = cli.train_seeds(given.config, given.seeds, **options, told=lambda line: print(line, file=sys.stderr))
        print(f"{folder}: seed-0 to seed-{given.seeds - 1}, and seeds.json: median and standard deviation over the seeds")
        for name, one in json.loads((folder / "seeds.json").read_text()).items():
            print(f"  {name:28s} {one['median']:.4f} +- {one['spread']:.4f}")
        return
    folder = cli.train(given.config, **options)
    print(f"{folder}: model.safetensors and model.json; next: pcloud evaluate {folder}")


def teach(given: Namespace) -> None:
    with _bar("asking the teachers") as progress:
        options = {"device": given.device, "overwrite": given.overwrite}
        store = cli.teach(given.store, given.teachers, given.out, **options, progress=progress)
    print(f"{given.out}: {len(store)} events; next: pcloud train CONFIG --data.store={given.out} --task.teacher=0.5")


def tune(given: Namespace) -> None:
    vary = dict(given.vary) if given.vary else None
    with _bar("trying settings") as progress:
        options = {"trials": given.trials, "seed": given.seed, "device": given.device}
        found = cli.tune(given.model, given.store, given.run, vary=vary, progress=progress, **options)
    print(f"{given.run}: study.json and model.json")
    print(f"  score {found.score:.4f} after {found.trials} trials, {found.score_before:.4f} before")
    for name, value in found.best.items():
        print(f"  {name:20s} {value:.4g}")


def evaluate(given: Namespace) -> None:
    from pcloud.cli.scoring import figures
    from pcloud.cli.seeds_report import seeds_of

    options = {name: value for name, value in vars(given).items() if name not in ("verb", "run")}
    with _bar("evaluating events") as progress:
        if seeds_of(given.run):
            _seeds(cli.evaluate_seeds(given.run, **options, progress=progress))
            return
        report = cli.evaluate(given.run, **options, progress=progress)
    inputs = "all constituents in" if {"tagging", "search"} & report.keys() else "all hits in"
    print(f"{len(report['events']['ids'])} events of {report['events']['from']}, {inputs}")
    for name, value in report["summary"].items():
        print(f"  {name:28s} {value:.4f}")
    _beyond(report)
    for row in report.get("stages", ()):
        print(f"  score within reach after {row['stage']:12s} {row['score']:.4f}  ({row['made']:,.0f} per event)")
    for line in figures(report.get("figures", {})):
        print(line)
    _cost(report["seconds"], len(report["events"]["ids"]), report["peak_bytes"], report["device"], report["notes"])


def _seeds(report: Mapping[str, Any]) -> None:
    print(f"{len(report['seeds'])} seeds on {len(report['events']['ids'])} events of {report['events']['from']}")
    for name, one in report["spread"].items():
        print(f"  {name:28s} {one['median']:.4f} +- {one['spread']:.4f}")
    for name, one in report.get("tagging", {}).get("figures", {}).items():
        print(f"  {'mean as one: ' + name:28s} " + ("infinite" if one["value"] is None else f"{one['value']:.4f}"))
    _beyond(report)
    for line in report["notes"]:
        print(f"  {line}")


def _beyond(report: Mapping[str, Any]) -> None:
    if "gap" in report.get("high_level", {}):
        print(f"  {'AUC beyond that of trees':28s} {report['high_level']['gap']['value']:+.4f}")


def predict(given: Namespace) -> None:
    with _bar("finding tracks") as progress:
        made = cli.predict(
            given.model,
            given.input,
            given.out,
            events=given.events,
            device=given.device,
            detectors=given.detectors,
            allow_geometry=given.allow_geometry,
            report=given.report,
            progress=progress,
        )
    if made.model["task"].get("name") == "tagging":
        print(f"{made.out}: {len(made.events)} jets, {sum(made.events.values()):,} constituents")
    else:
        print(f"{made.out}: {len(made.events)} events, {sum(made.events.values()):,} hits, each once")
        long = sum(count for hits, count in made.sizes.items() if hits >= 5)
        longest = max(made.sizes, default=0)
        print(f"  candidates  {sum(made.sizes.values()):,}, of them {long:,} of >= 5 hits, the longest of {longest}")
    print(f"  model       {made.model['name']}, {made.model['steps']} steps, sha256 {made.model['sha256'][:16]}")
    print(f"  cuts        {made.model['cuts']}")
    _cost(made.seconds, len(made.events), made.peak_bytes, made.device, made.notes)


def score(given: Namespace) -> None:
    from pcloud.cli.scoring import lines

    report = cli.score(given.truth, given.submission)
    print(json.dumps(report, indent=1) if given.json else "\n".join(lines(report)))


def export(given: Namespace) -> None:
    made = cli.export(given.model, given.out, store=given.store)
    far = f"{len(made.apart)} differ by more than 1e-4: {made.apart[:5]}" if made.apart else "none differs by more than 1e-4"
    print(f"{made.out}: of {made.events} events compared one by one, {far}; largest difference {made.largest:.1e}")
    for name, columns in made.inputs.items():
        print(f"  {name:<11} {columns}")
    print(f"  speed       {made.rate:.0f} events/s, one at a time, on one thread")


def display(given: Namespace) -> None:
    for path in cli.display(
        given.event,
        event_id=given.event_id,
        submission=given.submission,
        truth=given.truth,
        out=given.out,
        html=not given.png_only,
        detectors=given.detectors,
    ):
        print(path)


def inspect(given: Namespace) -> None:
    facts = cli.inspect(given.path)
    print(json.dumps(facts, indent=1) if given.json else "\n".join(_tree(facts)))


def _cost(seconds: dict[str, float], events: int, peak_bytes: int, device: str, notes: list[str]) -> None:
    stages = ", ".join(f"{stage} {value / max(events, 1):.2f}" for stage, value in seconds.items())
    print(f"  s per event {stages}; total {sum(seconds.values()):.1f} s, reading and writing included")
    print(f"  memory      {peak_bytes / 1e9:.2f} GB at its peak")
    print(f"  device      {device}")
    for note in notes:
        print(f"  note        {note}")


def _tree(facts: Any, depth: int = 0) -> Iterator[str]:
    """Nested facts as indented lines; a row of a table becomes one line."""
    pad = "  " * depth
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            yield f"{pad}{key}:"
            yield from _tree(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{pad}{key}:"
            yield from (pad + "  " + "  ".join(_short(cell) for cell in row.values()) for row in value)
        else:
            yield f"{pad}{key}: {', '.join(map(str, value)) if isinstance(value, list) else _short(value)}"


def _short(value: Any) -> str:
    return "-" if value in (None, "", {}) else f"{value:.4g}" if isinstance(value, float) else str(value)


@contextmanager
def _bar(words: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error where that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
