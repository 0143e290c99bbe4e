"""Simulated events straight into a store, without files of text between: the same columns, bit by bit, as by way of csv.

`write_events(out, recipe, ids)` is what `pcloud simulate --store` calls.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from data_prep.simulate.recipe import Recipe
from data_prep.trackml import to_event, write_store
from pcloud import farm
from pcloud.data.event import Event
from pcloud.data.store import Store


def write_events(out: Path, recipe: Recipe, ids: range, *, workers: int = 1, progress: farm.Progress | None = None) -> Store:
    """On any error or Ctrl-C no store is left. ValueError where there is something of that name already."""
    made = farm.run(partial(_make, recipe), ids, workers=workers, progress=progress)
    series = [{"first_event": ids[0], "events": len(ids), **recipe.told()}]
    about = {"name": "trackml", "from": "pcloud simulate", "truth": True, "synthetic": True, "series": series}
    return write_store(out, made, source=about, detectors=recipe.apparatus().detector)


def _make(recipe: Recipe, event_id: int) -> Event:
    return to_event(recipe.make(event_id), recipe.apparatus().detector, event_id=event_id)
