"""``pcloud evaluate``: a model's figures on events it was not trained on, as a report to read and as JSON.

``evaluate("runs/mine")`` takes the events the run held out; ``store=`` takes others, and refuses those trained on.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pcloud import config
from pcloud.cli import anomaly_report
from pcloud.cli.high_level import beside, trees_of
from pcloud.cli.high_level import section as high_level_section
from pcloud.cli.inference import Seconds, check_input, clock, infer_many, machine, origin, peak_memory
from pcloud.cli.inspection import read_split
from pcloud.cli.sources import Input, Progress
from pcloud.cli.tagger_report import changes, is_tagger, judgement, robustness, write_scores
from pcloud.cli.tagger_report import sections as tagging_sections
from pcloud.data.event import Event
from pcloud.metrics.particles import Fiducial, Particles
from pcloud.metrics.tracking import EDGES, binned_efficiency, match, tracking_figures
from pcloud.pretrained import Model, fingerprint, load
from pcloud.pretrained.files import write
from pcloud.tasks import Rows, concatenate
from pcloud.tracking.ceilings import Ceiling, mean_ceilings

Report = dict[str, Any]


def evaluate(
    run: str | Path,
    *,
    store: str | Path | None = None,
    out: str | Path | None = None,
    allow_trained_events: bool = False,
    allow_geometry: bool = False,
    stages: bool = False,
    robust: bool = False,
    trees: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Report:
    """Figures of a run folder's (or shipped) model on a store with truth, by default on the run's own validation events.

    Writes report.json and report.html into ``out`` (default RUN/evaluation) and returns the former. Events the model was
    trained on are known by where their points lie, if there are two; they raise ValueError, or, if allowed, are counted in
    ``trained_events``.
    ``stages``: also the highest score still within reach after each stage of a track finder, which runs it once more.
    ``robust``: also the figures of a tagger on jets changed on purpose, see ``tagger_report.changes``. A tagger's rows are kept
    in scores.parquet. ``trees``: also boosted trees on observables of the jets, fitted to those that the tagger learned.
    """
    model = load(run, device)
    source, ids = _events(run, store)
    folder = report_folder(run, out)
    notes = check_input(model, source, allow_geometry)
    seconds: Seconds = dict.fromkeys(("read", "network", "linking"), 0.0)
    judged = _Judged(model, seconds, robust)
    pictured: list[Event] = []
    trained, reached, seen = [], [], model.card.training.knows()
    for done, event_id in enumerate(ids, start=1):
        with clock(seconds, "read"):
            event = source.read(event_id, True)
        if getattr(model.task, "needs_truth", True) and not (event.point_truth or event.event_truth):
            raise ValueError(f"{source.path}: no truth in this store; prepare it with truth")
        if event.points > 1 and fingerprint(event, model.inputs.pos) in seen:  # alone, every point lies at its jet's axis
            trained.append(event_id)
            _refuse(source, event_id, allow_trained_events)
        judged.add(event, last=done == len(ids))
        pictured += [event] if len(pictured) < anomaly_report.EXAMPLES else []
        if stages:
            reached.append(_ceilings(model, event))
        if progress is not None:
            progress(done, len(ids))
    rows = concatenate(judged.parts)
    if trees and not is_tagger(rows):
        raise ValueError(f"trees: they stand beside taggers; model {model.name} finds no classes")
    report: Report = {
        "model": origin(model),
        "events": {"from": source.path.name, "ids": list(ids), "source": source.store.source if source.store else {}},
        "trained_events": trained,
        "summary": model.task.summarize(rows),
        **(_tracking(rows, judged.events) if _has_tracks(rows, judged.events) else {}),
        **({"tagging": judged.tagging(rows)} if is_tagger(rows) else {}),
        **({"high_level": beside(rows, trees_of(run, source, rows))} if trees else {}),
        **({"search": anomaly_report.judgement(rows)} if anomaly_report.is_search(rows) else {}),
        **({"stages": mean_ceilings(reached)} if stages else {}),
        "seconds": seconds,
        "peak_bytes": peak_memory(),
        "device": machine(model.device),
        "notes": notes + ([f"{len(trained)} of {len(ids)} events were TRAINED ON, as allowed"] if trained else []),
    }
    folder.mkdir(exist_ok=True)
    write(folder / "report.json", (json.dumps(finite(report), indent=1, allow_nan=False) + "\n").encode())
    if is_tagger(rows) or anomaly_report.is_search(rows):
        write_scores(folder, rows)
    _page(folder / "report.html", model, report, rows, pictured)
    return report


def report_folder(run: str | Path, out: str | Path | None) -> Path:
    """Where reports go, which need not be there yet. ValueError or FileNotFoundError of one line where it cannot be made."""
    folder = Path(out) if out is not None else Path(run) / "evaluation"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; a folder is expected: name another with --out")
    if not folder.absolute().parent.is_dir():
        raise FileNotFoundError(f"{folder}: the folder above it does not exist; name another with --out")
    return folder


class _Judged:
    """Rows of events as they come: track finders see them one by one, taggers and autoencoders ``BATCH`` at a time, the former
    once more as each change of ``robust`` makes them. ``events`` are kept of track finders only: their figures need particles."""

    BATCH = 256

    def __init__(self, model: Model, seconds: Seconds, robust: bool) -> None:
        self.model, self.seconds, self.robust = model, seconds, robust
        self.parts: list[Rows] = []
        self.events: list[Event] = []
        self.changed: dict[str, list[Rows]] = {}
        self._waiting: list[Event] = []

    def add(self, event: Event, last: bool) -> None:
        self._waiting.append(event)
        small = bool(self.parts) and (is_tagger(self.parts[0]) or anomaly_report.is_search(self.parts[0]))
        if not last and small and len(self._waiting) < self.BATCH:
            return
        now, self._waiting = self._waiting, []
        rows = infer_many(self.model, now, True, self.seconds)
        if not is_tagger(rows):
            if self.robust:
                raise ValueError(f"robust: told of taggers; model {self.model.name} finds no classes")
            self.events += now if "track_id" in rows else []
        else:
            rows = rows | {"constituents": np.array([one.points for one in now])}
            for name, change in changes(self.model.inputs, event.point, len(self.parts)).items() if self.robust else ():
                self.changed.setdefault(name, []).append(infer_many(self.model, now, True, {}, change))
        self.parts.append(rows)

    def tagging(self, rows: Rows) -> Report:
        found = judgement(rows)
        if self.changed:
            found["robustness"] = robustness(rows, {name: concatenate(parts) for name, parts in self.changed.items()})
        return found


def _classes(report: Report, rows: Rows) -> list[str]:
    """Names of the labels, as far as the store knows them."""
    known = report["events"]["source"].get("classes") or []
    return [str(one) for one in known] or [f"label {number}" for number in range(int(max(rows.get("label", [0]))) + 1)]


def _ceilings(model: Model, event: Event) -> list[Ceiling]:
    if not hasattr(model.task, "ceilings") or "weight" not in event.point_truth:
        raise ValueError(f"stages: they are told of track finders on events with weights; model {model.name} finds no tracks")
    cloud = model.cloud(event)
    found: list[Ceiling] = model.task.ceilings(model.network(cloud), cloud)
    return found


def _events(run: str | Path, store: str | Path | None) -> tuple[Input, tuple[int, ...]]:
    """The store to evaluate on and which of its events."""
    if store is not None:
        source = Input.open(store)
        return source, source.ids
    split = Path(run) / "split.json"
    if not split.is_file():
        raise ValueError(f"{run}: it holds out no events of its own; name a store with --store")
    held = read_split(split).get("validation", [])
    if not held:
        raise ValueError(f"{split}: the run held out no event; name a store with --store")
    source = Input.open(config.read_data(Path(run) / "config.yaml").store)
    return source, source.chosen(held)


def finite(value: Any) -> Any:
    """The report with None for nan and infinities, which JSON has no words for."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refuse(source: Input, event_id: int, allowed: bool) -> None:
    if not allowed:
        raise ValueError(
            f"{source.path}: the model was trained on event {event_id}; evaluate on others, or say --allow-trained-events, "
            "which stamps the report"
        )


def _has_tracks(rows: Rows, events: Sequence[Event]) -> bool:
    kinematics = {"particle_id", "nhits", "vx", "vy", "px", "py", "pz"}
    return {"track_id", "particle_id"} <= rows.keys() and all(kinematics <= event.particle.keys() for event in events)


def _tracking(rows: Rows, events: Sequence[Event]) -> Report:
    """Efficiencies, fakes and duplicates, over all particles of the events."""
    column = {name: np.concatenate([event.particle[name] for event in events]) for name in events[0].particle}
    owner = np.repeat([event.event_id for event in events], [event.particles for event in events])
    kinematics = {name: column[name] for name in ("vx", "vy", "px", "py", "pz")}
    particles = Particles.from_kinematics(owner, column["particle_id"], column["nhits"], **kinematics)
    matches = match(rows["event_id"], rows["track_id"], rows["particle_id"], particles, unassigned=-1)
    cuts = Fiducial()
    bins = {by: binned_efficiency(matches, particles, cuts, "double_majority", by=by) for by in EDGES}
    return {
        "fiducial": str(cuts),
        "figures": {name: figure.as_dict() for name, figure in tracking_figures(matches, particles, cuts).items()},
        "binned": {by: [one.as_dict() for one in row] for by, row in bins.items()},
    }


def _page(path: Path, model: Model, report: Report, rows: Rows, pictured: Sequence[Event]) -> None:
    from pcloud.plots import report as page
    from pcloud.plots.tracking import binned, stairs

    summary = [[name, value] for name, value in report["summary"].items()]
    inputs = "all constituents in" if {"tagging", "search"} & report.keys() else "all hits in"
    spent = [[f"seconds, {stage}", value] for stage, value in report["seconds"].items()]
    spent.append(["peak memory (MB)", report["peak_bytes"] / 1e6])
    sections = [
        page.Section("Notes", [page.Text(one) for one in report["notes"]]),
        page.Section(
            "Summary",
            [page.Table(("figure", "value"), summary, f"over {len(report['events']['ids'])} events, {inputs}")],
        ),
    ]
    if "figures" in report:
        sections.append(page.figures("Tracks", report["figures"]))
        curve = binned({"double majority": report["binned"]}, note=f"Fiducial: {report['fiducial']}.")
        sections.append(
            page.Section("Efficiency", [page.Picture(curve, "Efficiency by double majority, with its intervals")])
        )
    if "tagging" in report:
        sections += tagging_sections(report["tagging"], rows)
    if "high_level" in report:
        sections.append(high_level_section(report["high_level"], report["tagging"]["figures"]))
    if "search" in report:
        pairs = anomaly_report.examples(model, [model.cloud(event) for event in pictured])
        sections += anomaly_report.sections(report["search"], rows, pairs, _classes(report, rows))
    if "stages" in report:
        picture = page.Picture(stairs({model.name: report["stages"]}), "Score still within reach after each stage")
        sections.append(page.Section("Stages", [picture]))
    sections.append(page.Section("Cost", [page.Table(("what", "over all events"), spent, report["device"])]))
    sections.append(
        page.provenance(
            command="pcloud " + " ".join(sys.argv[1:]),
            commit=model.card.commit,
            weights_sha256=model.card.sha256,
            training_steps=model.card.training.steps,
            cut_origin=model.card.training.cuts,
            data=f"{report['events']['from']}: {report['events']['source']}",
            versions={"pcloud": model.card.pcloud},
            config=config.dump({"task": model.card.task, "encoder": model.card.encoder}),
        )
    )
    page.write_report(path, f"Evaluation of {model.name}", [one for one in sections if one.parts])
