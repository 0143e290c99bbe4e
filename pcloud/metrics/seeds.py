"""Several trainings of one model that differ in the seed: their spread, those that failed, and their mean as one tagger.

``failed(aucs)`` names the seeds to leave out and why; ``spread(values)`` and ``ensemble(tables)`` are for those that are left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FAR, LEAST = 5.0, 0.2  # of `failed`


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Median, and half the distance from the 16 % to the 84 % quantile: nan of fewer than two, or where one is infinite."""
    known = np.asarray(values, dtype=np.float64)
    if not known.size or np.isnan(known).any():
        raise ValueError(f"values of seeds {known.tolist()} came; expected at least one, none of them nan")
    whole = known.size > 1 and bool(np.isfinite(known).all())
    half = float(np.diff(np.quantile(known, (0.16, 0.84)))[0] / 2) if whole else math.nan
    return float(np.median(known)), half


def failed(aucs: Sequence[float]) -> dict[int, str]:
    """Seeds (by place) whose training failed, each with the reason: for the reader, and to be left out of spread and mean.

    Failed is an AUC that is nan or below 0.5; and, of the others, one whose area above the curve, 1 - AUC, exceeds the median
    of the rest by more than FAR robust standard deviations (1.4826 times the median distance from that median) and more than
    the share LEAST of it. The second rule needs two others; a seed that is far better than they are has not failed.
    """
    values = np.asarray(aucs, dtype=np.float64)
    found = {place: "AUC is nan" for place in np.flatnonzero(np.isnan(values)).tolist()}
    found |= {place: f"AUC {values[place]:.4f} < 0.5" for place in np.flatnonzero(values < 0.5).tolist()}
    above = {place: 1 - float(value) for place, value in enumerate(values) if place not in found}
    for place, area in above.items():
        rest = np.array([one for other, one in above.items() if other != place])
        if len(rest) < 2:
            continue
        middle = float(np.median(rest))
        width = 1.4826 * float(np.median(np.abs(rest - middle)))
        if area - middle > max(FAR * width, LEAST * middle):
            found[place] = f"AUC {1 - area:.4f}, far below the others' median {1 - middle:.4f}"
    return dict(sorted(found.items()))


def ensemble(tables: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The rows of several seeds on the same events as those of one tagger: the mean of each column p_NAME.

    Rows are matched by event_id, in the order of the first table. ValueError where events, labels or weights differ.
    """
    if not tables:
        raise ValueError("no seed came; give the rows of at least one")
    first = dict(tables[0])
    classes = [name for name in first if name.startswith("p_")]
    total = {name: np.zeros(len(first["event_id"])) for name in classes}
    for number, table in enumerate(tables):
        if odd := table.keys() ^ first.keys():
            raise ValueError(f"seed {number}: columns differ from those of seed 0 in {', '.join(sorted(odd))}")
        place = _place(first["event_id"], table["event_id"], number)
        for name in ("label", "weight"):
            if name in first and not np.array_equal(first[name], table[name][place]):
                raise ValueError(f"seed {number}: column {name} differs from that of seed 0 on the same events")
        for name in classes:
            total[name] += table[name][place]
    return first | {name: column / len(tables) for name, column in total.items()}


def _place(wanted: NDArray[Any], came: NDArray[Any], number: int) -> NDArray[np.int64]:
    """Row in ``came`` of each id in ``wanted``."""
    if len(np.unique(came)) < len(came):
        raise ValueError(f"seed {number}: an event_id comes twice; expected each once")
    order = np.argsort(came)
    if len(came) != len(wanted) or not np.array_equal(came[order], np.sort(wanted)):
        raise ValueError(f"seed {number}: judged on other events than seed 0; evaluate all on the same")
    place: NDArray[np.int64] = order[np.searchsorted(came, wanted, sorter=order)]
    return place
