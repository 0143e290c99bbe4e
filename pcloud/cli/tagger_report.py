"""What ``pcloud evaluate`` says of a tagger: figures with intervals, curves, calibration, robustness, and the rows themselves.

``judgement(rows)`` goes into report.json, ``sections(judged, rows)`` into report.html, ``write_scores`` keeps the rows, so that
seeds can be averaged and taggers compared later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pcloud.cloud import PointCloud
from pcloud.jets.perturb import MOMENTUM, Perturb
from pcloud.metrics.bootstrap import auc_gap
from pcloud.metrics.estimates import ends
from pcloud.metrics.tagging import AT, Tagged, judge, summary
from pcloud.tasks import Rows

if TYPE_CHECKING:
    from pcloud.data.event import Inputs
    from pcloud.plots.report import Section

SCORES = "scores.parquet"
GROUPS = {
    "particle id": ("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon"),
    "displacement": ("d0", "d0_error", "dz", "dz_error", "tanh_d0", "tanh_dz"),
}
Change = Callable[[PointCloud], PointCloud]


def is_tagger(rows: Rows) -> bool:
    """Whether these rows have a label and probabilities of classes."""
    return "label" in rows and sum(name.startswith("p_") for name in rows) >= 2


def judgement(rows: Rows) -> dict[str, Any]:
    return judge(rows)


def changes(inputs: Inputs, columns: Mapping[str, Any], seed: int) -> dict[str, Change]:
    """What jets are put through, in words: smearing and losses where they have four-momenta, groups of inputs that are blank.

    ``columns``: the point columns at hand. ``seed``: of the batch, so that every model sees the same changed jets.
    """
    change = Perturb(inputs.pos, inputs.feat)
    found: dict[str, Change] = {}
    if all(name in columns for name in MOMENTUM):
        found["energies smeared by 10 %"] = partial(change.smear, energy=0.1, seed=seed)
        found["angles smeared by 0.01 rad"] = partial(change.smear, angle=0.01, seed=seed)
        found["10 % of the constituents lost"] = partial(change.drop, fraction=0.1, seed=seed)
    for group, names in GROUPS.items():
        if here := [name for name in names if name in (*inputs.pos, *inputs.feat)]:
            found[f"no {group}"] = partial(change.blank, names=here)
    return found


def robustness(rows: Rows, changed: Mapping[str, Rows]) -> dict[str, Any]:
    """Name of a change -> the quick figures of the changed jets; of two classes also the loss of AUC, paired on the same jets."""
    found: dict[str, Any] = {}
    for name, other in changed.items():
        found[name] = summary(other)
        tables = Tagged.of(other), Tagged.of(rows)
        if len(tables[0].classes) == 2 and tables[1].has(0, 1):
            score, signal, weight = tables[0].against(1, 0)
            gap = auc_gap(score, tables[1].against(1, 0)[0], signal, weight)
            found[name] |= {"auc_gap": gap.as_dict()}
    return found


def write_scores(folder: Path, rows: Rows) -> None:
    """The rows as a Parquet file in the folder, for ``metrics.seeds.ensemble`` and ``metrics.bootstrap.auc_gap``."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(dict(rows)), folder / SCORES)


def read_scores(folder: str | Path) -> Rows:
    """Rows that an evaluation has kept: of its folder, or of the run folder above. FileNotFoundError of one line."""
    from pyarrow import parquet

    path = next((one for one in (Path(folder) / SCORES, Path(folder) / "evaluation" / SCORES) if one.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder}: holds no {SCORES}; make it with pcloud evaluate")
    table = parquet.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def sections(judged: Mapping[str, Any], rows: Rows) -> list[Section]:
    """The part of the page that shows a judgement: figures, curves, scores, calibration, the jets."""
    from pcloud.plots import tagging as draw
    from pcloud.plots.report import Picture, Section, Table, Text

    tagged = Tagged.of(rows)
    classes, background = judged["classes"], judged["background"]
    jets = [[name, judged["jets"][name], judged["weights"][name]] for name in classes]
    about = f"{judged['negative_weights']:,} jets of negative weight; background of all rejections: {background}"
    figures = [[name.replace("_", " "), _value(one), ends(one), one["definition"]] for name, one in judged["figures"].items()]
    shown: list[Any] = [
        Table(("class", "jets", "sum of weights"), jets, about),
        Table(("figure", "value", "interval (confidence)", "definition"), figures),
        *(Text(one) for one in judged["notes"]),
    ]
    made = [Section("Tagging", shown)]
    words = f"{judged['bootstrap']['level']:.0%} bands: Poisson bootstrap of the test jets"
    if judged["curves"]:
        picture = draw.rejection(judged["curves"], background=background, at=AT)
        made.append(Section("Rejection", [Picture(picture, f"Rejection of {background} over signal efficiency. {words}.")]))
    picture = draw.scores(tagged.p, tagged.label, tagged.weight, classes)
    parts: list[Any] = [Picture(picture, "Probabilities by true class, unit area")]
    known = {name: rows[name] for name in draw.JETS if name in rows}
    if known:
        parts.append(Picture(draw.jets(known, tagged.label, tagged.weight, classes), "The jets by true class, unit area"))
    made.append(Section("Scores and jets", parts))
    made.append(Section("Calibration", _calibration(judged["calibration"], classes)))
    if judged.get("robustness"):
        table = _robustness(judged)
        made.append(Section("Robustness", [table]))
    return made


def _calibration(found: Mapping[str, Any], classes: list[str]) -> list[Any]:
    from pcloud.plots import tagging as draw
    from pcloud.plots.report import Picture, Table

    rows: list[list[Any]] = [["log-loss", found["log_loss"]], ["expected calibration error of the class chosen", found["ece"]]]
    rows += [[f"the same of {name} alone", value] for name, value in found["classwise_ece"].items()]
    if "temperature" in found:
        rows.append(["temperature, fitted on a random half of the jets", found["temperature"]])
        for key, words in (("other_half", "as it is"), ("other_half_at_temperature", "at that temperature")):
            rows += [[f"{name.replace('_', '-')} of the other half, {words}", value] for name, value in found[key].items()]
    shown = classes[1:] if len(classes) == 2 else classes
    picture = draw.reliability({name: found["reliability"][name] for name in shown})
    caption = "15 equal bins; a perfect tagger of few jets still has an error above 0"
    return [Table(("figure", "value"), rows, caption), Picture(picture, "What was said against what was so")]


def _robustness(judged: Mapping[str, Any]) -> Any:
    from pcloud.plots.report import Table

    names = [name for name in next(iter(judged["robustness"].values())) if name != "auc_gap"]
    rows = []
    for change, one in judged["robustness"].items():
        gap = one.get("auc_gap")
        loss = None if gap is None else f"{gap['value']:+.4f}, {ends(gap)}"
        rows.append([change, *("∞" if np.isinf(one[name]) else one[name] for name in names), loss])
    return Table(("jets changed", *(name.replace("_", " ") for name in names), "change of AUC, paired interval"), rows)


def _value(one: Mapping[str, Any]) -> str:
    if one.get("infinite"):
        return "∞"
    return "–" if one["value"] is None else f"{one['value']:.5g}"
