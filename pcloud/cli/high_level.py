"""What a tagger of constituents knows beyond a few observables of the jet: boosted trees learn the same jets, and are beside it.

``rows = trees_of(run, source, rows)`` are the trees' rows on a tagger's jets, ``beside(rows, trees)`` the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pcloud import config
from pcloud.cli.inspection import read_split
from pcloud.cli.sources import Input
from pcloud.data.store import Store
from pcloud.jets import trees
from pcloud.jets.momenta import COLUMNS
from pcloud.jets.substructure import OBSERVABLES, observables
from pcloud.metrics.bootstrap import auc_gap
from pcloud.metrics.estimates import ends
from pcloud.metrics.tagging import Tagged, judge
from pcloud.tasks import Rows

if TYPE_CHECKING:
    from pcloud.plots.report import Section


def columns(store: Store, ids: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Observables and truth (label, weight if there is one) of these jets of a store. ValueError: no four-momenta."""
    if lacking := [name for name in COLUMNS if name not in store.schema.names("point")]:
        raise ValueError(f"{store.path}: observables are made of four-momenta; no {', '.join(lacking)} in this store")
    order = np.argsort(store.event_ids)
    block = store.read_many(order[np.searchsorted(store.event_ids, ids, sorter=order)], point=set(COLUMNS))
    p4 = np.stack([block.point[name] for name in COLUMNS], 1)
    return observables(p4, np.append(0, np.cumsum(block.points))), block.event_truth


def trees_of(run: str | Path, source: Input, rows: Rows) -> Rows:
    """A tagger's rows with the probabilities of trees that learned the jets which this run learned.

    ValueError where the folder doesn't say which these were, or where the trees met other classes than the tagger knows.
    """
    split = Path(run) / "split.json"
    if not split.is_file() or source.store is None:
        raise ValueError(f"{run}: trees learn what a run learned; name the folder of a run, and a store of jets")
    known, truth = columns(Store.open(config.read_data(Path(run) / "config.yaml").store), np.array(read_split(split)["train"]))
    made = trees.fit(known, truth["label"], truth.get("weight"))
    names = [name for name in rows if name.startswith("p_")]
    if made.classes_.tolist() != list(range(len(names))):
        raise ValueError(f"{run}: trees met classes {made.classes_.tolist()} of {len(names)}; train on jets of every class")
    told = trees.probabilities(made, columns(source.store, np.asarray(rows["event_id"]))[0])
    return rows | dict(zip(names, told.T, strict=True))


def beside(rows: Rows, high: Rows) -> dict[str, Any]:
    """Figures of the trees, and, of two classes, how much more area is under the tagger's curve, paired on the jets."""
    found: dict[str, Any] = {"observables": list(OBSERVABLES), "figures": judge(high)["figures"]}
    tagged, other = Tagged.of(rows), Tagged.of(high)
    if len(tagged.classes) == 2 and tagged.has(0, 1):
        score, signal, weight = tagged.against(1, 0)
        found["gap"] = auc_gap(score, other.against(1, 0)[0], signal, weight).as_dict()
    return found


def section(found: Mapping[str, Any], own: Mapping[str, Any]) -> Section:
    """The part of the page; ``own``: the tagger's figures."""
    from pcloud.plots.report import Section, Table, Text

    rows = [[name.replace("_", " "), own[name]["value"], one["value"], ends(one)] for name, one in found["figures"].items()]
    about = f"trees on {', '.join(found['observables'])}, fitted to the jets that the tagger learned"
    shown: list[Any] = [Table(("figure", "tagger", "trees", "trees' interval"), rows, about)]
    if "gap" in found:
        words = f"AUC beyond the trees': {found['gap']['value']:+.4f}, {ends(found['gap'])}; {found['gap']['definition']}."
        shown.append(Text(words))
    return Section("Beside observables", shown)
