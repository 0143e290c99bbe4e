"""``pcloud evaluate`` of a folder of ``train --seeds``: every seed on the same events, how far they lie apart, and their mean.

``evaluate_seeds("runs/top")`` leaves a report in each seed's folder and one of all, with the mean of the probabilities as one
tagger, in the folder above.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pcloud import config
from pcloud.cli import high_level
from pcloud.cli.evaluation import Report, evaluate, finite, report_folder
from pcloud.cli.sources import Input
from pcloud.cli.tagger_report import judgement, read_scores, sections, write_scores
from pcloud.metrics.seeds import ensemble, failed, spread
from pcloud.pretrained.files import write
from pcloud.tasks import Rows


def seeds_of(run: str | Path) -> list[Path]:
    """Folders of the finished seeds in a folder of ``train --seeds``, in their order; of anything else none."""
    found = [one for one in Path(run).glob("seed-*") if one.name[5:].isdigit() and (one / "model.json").is_file()]
    return sorted(found, key=lambda one: int(one.name[5:])) if (Path(run) / "seeds.json").is_file() else []


def evaluate_seeds(
    run: str | Path, *, store: str | Path | None = None, out: str | Path | None = None, trees: bool = False, **options: Any
) -> Report:
    """Judge all seeds of a folder as ``evaluate`` does each, and write report.json and report.html of all into ``out``.

    The report has the figures of each seed, their median and spread without the seeds that failed, and of taggers the mean of
    the others' probabilities judged as one (``metrics.seeds``), beside trees where these are asked for.
    """
    runs = seeds_of(run)
    if not runs:
        raise ValueError(f"{run}: no finished seeds; train with --seeds")
    folder = report_folder(run, out)
    folder.mkdir(exist_ok=True)
    each = {one.name: evaluate(one, store=store, out=folder / one.name, **options) for one in runs}
    first = next(iter(each.values()))
    lost: dict[str, str] = {}
    if tagger := "tagging" in first:
        areas = [_area(one["summary"]) for one in each.values()]
        lost = {runs[place].name: why for place, why in failed(areas).items()}
    elif trees:
        raise ValueError(f"trees: they stand beside taggers; the seeds of {run} find no classes")
    kept = [name for name in each if name not in lost]
    report: Report = {
        "seeds": {name: one["summary"] for name, one in each.items()},
        "failed": lost,
        "spread": {name: _spread([each[seed]["summary"][name] for seed in kept]) for name in first["summary"]} if kept else {},
        "events": first["events"],
        "notes": [f"{name} failed and is left out: {why}" for name, why in lost.items()],
    }
    rows: Rows = {}
    if tagger and kept:
        rows = ensemble([read_scores(folder / name) for name in kept])
        report["tagging"] = judgement(rows)
        write_scores(folder, rows)
        if trees:
            known = Input.open(store if store is not None else config.read_data(runs[0] / "config.yaml").store)
            report["high_level"] = high_level.beside(rows, high_level.trees_of(runs[0], known, rows))
    write(folder / "report.json", (json.dumps(finite(report), indent=1, allow_nan=False) + "\n").encode())
    _page(folder / "report.html", Path(run).name, report, rows, {name: each[name] for name in kept})
    return report


def _area(summary: Mapping[str, float]) -> float:
    return float(summary.get("auc", summary.get("auc_ovo", summary["accuracy"])))


def _spread(values: list[float]) -> dict[str, Any]:
    known = [one for one in values if not np.isnan(one)]
    middle, half = spread(known) if known else (float("nan"), float("nan"))
    return {"median": middle, "spread": half, "values": values}


def _page(path: Path, name: str, report: Report, rows: Rows, kept: Mapping[str, Report]) -> None:
    from pcloud.plots import report as page
    from pcloud.plots.tagging import rejection

    table = [
        [figure.replace("_", " "), one["median"], one["spread"], *(summary[figure] for summary in report["seeds"].values())]
        for figure, one in report["spread"].items()
    ]
    about = "spread: half the distance from the 16 % to the 84 % quantile of the seeds"
    shown: list[Any] = [page.Table(("figure", "median", "spread", *report["seeds"]), table, about)]
    made = [page.Section("Notes", [page.Text(one) for one in report["notes"]]), page.Section("Seeds", shown)]
    if "tagging" in report:
        for signal, curve in report["tagging"]["curves"].items():
            drawn = [np.asarray(one["tagging"]["curves"][signal]["background"]) for one in kept.values()]
            band = {"background": np.median(drawn, 0), "low": np.min(drawn, 0), "high": np.max(drawn, 0)}
            both = {f"one of {len(drawn)} seeds": band | {"signal": curve["signal"]}, "their mean": curve}
            words = f"Rejection of {report['tagging']['background']}. Bands: range of the seeds; bootstrap of the test jets."
            picture = page.Picture(rejection(both, background=report["tagging"]["background"]), words)
            shown.append(picture)
        made += sections(report["tagging"], rows)
    if "high_level" in report:
        made.append(high_level.section(report["high_level"], report["tagging"]["figures"]))
    shown += [page.Link(f"{seed}/report.html", f"report of {seed}") for seed in report["seeds"]]
    command = page.Code("pcloud " + " ".join(sys.argv[1:]))
    made.append(page.Section("How", [command, page.Text(f"{report['events']['from']}: {report['events']['source']}")]))
    page.write_report(path, f"Evaluation of {len(report['seeds'])} seeds of {name}", [one for one in made if one.parts])
